/* SPDX-License-Identifier: MIT */
/* launcher.h - one slot's process: starts one program at a time for the
 * gateway, waits for it, and leaves nothing of it behind; or a template, and
 * any number of forks of that. Forked from the cell, which calls order_block()
 * before; single-threaded; blocks, because it has nothing else to do. */
#ifndef CELL_LAUNCHER_H
#define CELL_LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/fd.h"

#include "ipc/message.h"

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

/* The life of a launcher, in the child after fork(). Returns never: exits 0
 * when the gateway closes the channel, 1 when something is wrong. */
void launcher_run(const struct launcher_place *) __attribute__((noreturn));

/* For forks.c: the next START, which lives until the one after it; false at the
 * end of the channel. */
bool launcher_receive(int channel, struct message_start *,
    int fds[FD_PASS_MOST], size_t *fd_count);

#endif
