/* SPDX-License-Identifier: MIT */
/* landlock.h - rights that a process gives up for itself and all it will start,
 * for good: the one door to Landlock. What a kernel does not know of it is left
 * out, and the version says so. */
#ifndef BASE_LANDLOCK_H
#define BASE_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* The first version that knows ... */
enum landlock_since {
	LANDLOCK_FILES = 1,
	LANDLOCK_TCP = 4,   /* bind and connect */
	LANDLOCK_SCOPE = 6, /* signals, abstract sockets */
};

enum landlock_refusal {
	LANDLOCK_REFUSES_FILES = 1, /* but what landlock_allow() says */
	LANDLOCK_REFUSES_TCP = 2,
	LANDLOCK_REFUSES_SIGNALS = 4, /* out of the domain */
	LANDLOCK_REFUSES_SOCKETS = 8, /* abstract ones of outside */
};

enum landlock_right {	/* each has those above it */
	LANDLOCK_OPEN,	/* files, to read them */
	LANDLOCK_READ,	/* and list, and execute */
	LANDLOCK_WRITE, /* and make, move, remove */
	LANDLOCK_ALL,	/* and make devices of it do things */
};

int landlock_version(void); /* 0: the kernel has none, or has it off */

/* A set of rules that refuses all of `refusals` (enum landlock_refusal); its
 * close-on-exec descriptor, or -1 with errno. */
int landlock_new(unsigned refusals);

/* ... but this to a file or a directory with all below it (path_fd: O_PATH
 * will do). 0 or -1. */
int landlock_allow(int rules_fd, int path_fd, enum landlock_right);

/* From now on. Needs no_new_privs. A single system call, which may be made on
 * borrowed memory. 0 or -1. */
int landlock_restrict(int rules_fd);

#endif
