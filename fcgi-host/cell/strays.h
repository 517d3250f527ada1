/* SPDX-License-Identifier: MIT */
/* strays.h - what a launcher's processes have used, and those of its children
 * that nobody waits for any more. */
#ifndef CELL_STRAYS_H
#define CELL_STRAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct used {
	uint64_t cpu_us; /* user and system */
	uint64_t max_rss_kib;
};
void used_add(struct used *, const struct rusage *);

/* Is there any child but those in `keep`? */
bool strays_there(const pid_t *keep, size_t keep_count);

/* Kills and reaps every child but those in `keep`, and tells of each; what they
 * used is added. Does not return when one cannot be killed: the cell has it
 * then. */
void strays_kill(const pid_t *keep, size_t keep_count, struct used *,
    void (*on_reaped)(void *arg, pid_t, int status), void *arg);

#endif
