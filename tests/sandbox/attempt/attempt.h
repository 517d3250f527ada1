/* SPDX-License-Identifier: MIT */
/* attempt.h - what each row of attempts.def is: a function that returns at least 0
 * when it could, -1 with errno when not; and what many of them are made of. */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include <stdbool.h>
#include <sys/types.h>

#define ATTEMPT(name, root, network, user, bare) int attempt_##name(void);
#include "../attempts.def"
#undef ATTEMPT

extern pid_t launcher; /* ours */

/* Where to try comes in the query, KEY=VALUE between '&'. */
void read_targets(const char *query);
const char *target(const char *key);
pid_t process(const char *key); /* a target, as a number */
const char *below(const char *key, const char *name); /* a target's file */
const char *proc(pid_t, const char *name);	      /* /proc/PID/name */

int can_read(const char *path);
int can_write(const char *path);
int can_make(const char *path);
int can_list(const char *path);
int can_connect(const char *path, int type);
int can_reach(const char *address, int port, int type);
int can_look_into(pid_t);
int can_trace(pid_t);
int can_raise(int resource);
int can_clone(unsigned long flags);

#endif
