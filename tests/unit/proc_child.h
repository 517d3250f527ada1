/* SPDX-License-Identifier: MIT */
/* proc_child.h - children of a test: one that waits, and how one ended. */
#ifndef PROC_CHILD_H
#define PROC_CHILD_H

#include "rows.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 }; /* a hang fails, a slow machine does not */

static inline void
wait_forever(void)
{
	for (;;)
		pause();
}

/* The wait status of a child, or a failed test when it takes too long. */
static inline int
status_of(pid_t pid)
{
	struct pollfd dead = { .events = POLLIN };
	int status = -1;

	dead.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(dead.fd >= 0);
	if (poll(&dead, 1, PATIENCE_MS) != 1)
		kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(dead.fd);
	return status;
}

#endif
