/* SPDX-License-Identifier: MIT */
/* launcher.h - one slot's process: starts one program at a time for the
 * gateway, waits for it, and leaves nothing of it behind. Forked from the cell;
 * single-threaded; blocks, because it has nothing else to do. */
#ifndef CELL_LAUNCHER_H
#define CELL_LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct launcher_place {
	int channel;	       /* to the gateway; taken over */
	int directory_fd;      /* the tenant's directory; a copy is taken */
	const char *directory; /* borrowed: its absolute path */
	const char *python;    /* borrowed: fcgi-host-python; NULL: none */
	pid_t cell;	       /* who forked us */
	bool alone;	       /* no pid namespace ends what we start */
	bool limits_processes; /* which counts all processes of its user */
	int rules_fd; /* that each program gets on top of ours, a copy is
		       * taken; 0: none */
};

/* Once, by who is going to fork launchers: orders wait until a newborn launcher
 * can take them. */
void launcher_prepare(void);

/* The life of a launcher, in the child after fork(). Returns never: exits 0
 * when the gateway closes the channel, 1 when something is wrong. */
void launcher_run(const struct launcher_place *) __attribute__((noreturn));

/* The cell's side of STOP: orders the launcher `pid` to end an invocation (its
 * low 32 bits), by SIGTERM or SIGKILL. An order for another invocation than
 * the running one is remembered until its START comes, or never. 0 or -1 with
 * errno. */
int launcher_order(pid_t, uint32_t invocation, int signo);

#endif
