/* SPDX-License-Identifier: MIT */
/* probe.c - what this kernel lets us do, found out by doing it: this program
 * is started once more the way a cell will be, and mounts a new /proc. What
 * cannot be is said in words, at start and in `status`. */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/proc.h"

#include "master/master.h"

enum { PROBE_NO_MOUNTS = 3, PROBE_NO_PROC = 4 };

enum {
	CELL_NAMESPACES =
	    CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS
};

struct promise {
	uint64_t namespace; /* it takes this one; 0: other */
	bool root;	    /* it takes root */
	bool kept;	    /* otherwise: kept by all hosts, or by none */
	const char *enforced;
	const char *not_enforced;
};

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
	    "system calls: functions may use all that their user may" },
};
/* clang-format on */

uint64_t
probe_namespaces(bool root, char *reason, size_t room)
{
	char *argv[] = { (char *)(uintptr_t) "fcgi-host",
		(char *)(uintptr_t) "--" PROBE_OPTION, NULL };
	const int fds[] = { -1, -1, STDERR_FILENO };
	struct proc_plan plan = {
		.path = "/proc/self/exe",
		.argv = argv,
		.envp = environ,
		.fds = fds,
		.fd_count = 3,
		.namespaces = CELL_NAMESPACES | (root ? 0 : CLONE_NEWUSER),
		.dies_with_parent = true,
	};
	struct proc_started started = proc_start(&plan);
	char text[32];
	int status;

	reason[0] = '\0';
	if (started.pid < 0) {
		errno = started.error;
		snprintf(reason, room,
		    "the system refuses namespaces (%s: "
		    "%s)",
		    proc_step_name(started.step), diag_errno());
		return 0;
	}
	while (waitpid(started.pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status == 0)
		return plan.namespaces;
	if (WIFEXITED(status) && WEXITSTATUS(status) == PROBE_NO_MOUNTS)
		snprintf(reason, room, "the system refuses mounts of our own");
	else if (WIFEXITED(status) && WEXITSTATUS(status) == PROBE_NO_PROC)
		snprintf(reason, room,
		    "the system refuses a new /proc, as in "
		    "most containers");
	else
		snprintf(reason, room, "trying namespaces ended with %s",
		    proc_status_words(status, text));
	return 0;
}

/* In the new namespaces; nothing of it is seen outside. */
int
probe_child(void)
{
	if (getpid() != 1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return PROBE_NO_MOUNTS;
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		NULL) != 0)
		return PROBE_NO_PROC;
	return EXIT_SUCCESS;
}

void
probe_list(const struct master *m,
    void (*each)(void *arg, const char *key, const char *sentence), void *arg)
{
	char text[512];

	for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
		const struct promise *p = &promises[i];
		bool kept = p->namespace ? (m->namespaces & p->namespace) != 0 :
		    p->root		 ? m->root :
					   p->kept;

		if (kept)
			each(arg, "enforced", p->enforced);
		else if (p->namespace) {
			snprintf(text, sizeof(text), "%s, since %s",
			    p->not_enforced, m->namespaces_reason);
			each(arg, "not_enforced", text);
		} else
			each(arg, "not_enforced", p->not_enforced);
	}
}
