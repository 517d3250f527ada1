/* SPDX-License-Identifier: MIT */
/* probe.c - what this kernel lets us do, found out by doing it: the program of
 * a cell is started the way a cell will be, and walks its plan without a
 * tenant. What cannot be is said in words, at start and in `status`. */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/proc.h"

#include "master/master.h"

#define CELL_PROGRAM "fcgi-host-cell"

enum {
	CELL_NAMESPACES =
	    CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS
};

struct promise {
	/* what any of keeps it: */
	uint64_t namespace; /* this one, 0: none would */
	bool root;
	bool kept; /* by all hosts */
	const char *enforced;
	const char *not_enforced;
};

static void read_words(int fd, char *text, size_t room);

/* clang-format off */
static const struct promise promises[] = {
	{ 0, false, true,
	    "time: a process is ended at its limits.time, with all it started",
	    NULL },
	{ 0, false, true,
	    "size: memory, open files and processor time of each process "
	    "(limits.memory, limits.files, limits.cpu)", NULL },
	{ 0, true, false,
	    "users: functions run as their tenant's user",
	    "users: all functions run as the host's own user, since the host "
	    "was not started by root" },
	{ CLONE_NEWUSER, true, false,
	    "count: processes and threads of a tenant's user "
	    "(limits.processes)",
	    "count: functions start as many processes as their user may, "
	    "limits.processes is not set" },
	{ CLONE_NEWNS, false, false,
	    "files: functions see their own tenant's directory, what they are "
	    "granted, and the system's read-only",
	    "files: functions see every file their user may read" },
	{ CLONE_NEWPID, false, false,
	    "processes: functions see and signal processes of their own "
	    "tenant only",
	    "processes: functions see all processes, and may signal those of "
	    "their user" },
	{ 0, false, false, NULL,
	    "network: functions reach whatever this machine reaches" },
	{ 0, false, false, NULL,
	    "tenant as a whole: memory and processor time are limited per "
	    "process, not together" },
	{ 0, false, false, NULL,
	    "memory that is no process's own: limits.memory does not count "
	    "shared memory (MAP_SHARED, System V) and files in /tmp" },
	{ 0, false, false, NULL,
	    "system calls: functions may use all that their user may" },
};
/* clang-format on */

uint64_t
probe_namespaces(const struct master *m, char *reason, size_t room)
{
	char *argv[] = { (char *)(uintptr_t)CELL_PROGRAM,
		(char *)(uintptr_t) "--probe", NULL };
	int fds[] = { -1, -1, -1 }, words[2];
	struct proc_plan plan = {
		.path = CELL_PROGRAM,
		.argv = argv,
		.envp = m->cell_environment,
		.fds = fds,
		.fd_count = 3,
		.namespaces = CELL_NAMESPACES | (m->root ? 0 : CLONE_NEWUSER),
		.dies_with_parent = true,
	};
	struct proc_started started;
	int status;

	if (pipe2(words, O_CLOEXEC) != 0)
		diag_fatal("no pipe: %s", diag_errno());
	fds[2] = words[1];
	started = proc_start(&plan);
	fd_close(&words[1]);
	if (started.pid < 0) {
		errno = started.error;
		snprintf(reason, room, "the system refuses namespaces (%s: %s)",
		    proc_step_name(started.step), diag_errno());
		fd_close(&words[0]);
		return 0;
	}
	read_words(words[0], reason, room);
	fd_close(&words[0]);
	while (waitpid(started.pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status == 0) {
		reason[0] = '\0';
		return plan.namespaces;
	}
	if (!reason[0])
		proc_status_words(status, reason);
	return 0;
}

void
probe_list(const struct master *m,
    void (*each)(void *arg, const char *key, const char *sentence), void *arg)
{
	char text[512];

	for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
		const struct promise *p = &promises[i];
		bool kept = p->kept || (p->root && m->root) ||
		    (m->namespaces & p->namespace) != 0;

		if (kept)
			each(arg, "enforced", p->enforced);
		else if (p->namespace) {
			snprintf(text, sizeof(text),
			    "%s, since a cell cannot be shut in here: %s",
			    p->not_enforced, m->namespaces_reason);
			each(arg, "not_enforced", text);
		} else
			each(arg, "not_enforced", p->not_enforced);
	}
}

/* The one sentence it says when it fails, without the line's end. */
static void
read_words(int fd, char *text, size_t room)
{
	size_t used = 0;
	ssize_t n;

	while ((n = read(fd, text + used, room - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	text[strcspn(text, "\n")] = '\0';
}
