/* SPDX-License-Identifier: MIT */
/* probe.c - what this kernel lets us do, found out by doing it: the program of
 * a cell is started the way a cell will be, and walks its plan without a
 * tenant. What cannot be is said in words, at start and in `status`. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/landlock.h"
#include "base/proc.h"

#include "master/master.h"

#define CELL_PROGRAM "fcgi-host-cell"

/* What a promise may rest on. */
enum have {
	HAVE_ANYWAY = 1,
	HAVE_ROOT = 2,
	HAVE_USERS = 4, /* a user's processes can be counted */
	HAVE_MOUNTS = 8,
	HAVE_PIDS = 16,
	HAVE_NETWORK = 32, /* of their own, who are not given the host's */
	HAVE_FILE_RULES = 64,
	HAVE_SCOPES = 128,
	HAVE_FILTER = 256,
	HAVE_NETWORKS = 512, /* those who ask for one */
	HAVE_TCP_RULES = 1024,
	HAVE_GROUPS = 2048, /* and further up, one for each kind */
};

/* What is said besides when it is not kept. */
enum because { NOTHING, OF_CELL, OF_GROUPS };

struct promise {
	unsigned any;	 /* of these keeps it */
	unsigned unless; /* with any of these another row says more */
	enum because because;
	const char *enforced;
	const char *not_enforced; /* NULL: then there is nothing to say */
};

static int probe_try(struct master *, uint64_t namespaces, char *reason,
    size_t room);
static int read_answer(struct master *, struct span);
static void read_words(int fd, char *text, size_t room);
static unsigned found(const struct master *);

/* clang-format off */
static const struct promise promises[] = {
	{ HAVE_ANYWAY, 0, NOTHING,
	    "time: a process is ended at its limits.time, with all it started",
	    NULL },
	{ HAVE_ANYWAY, 0, NOTHING,
	    "size: memory, open files and processor time of each process "
	    "(limits.memory, limits.files, limits.cpu)", NULL },
	{ HAVE_ANYWAY, 0, NOTHING,
	    "privileges: functions have none and gain none; setuid programs "
	    "run as their user", NULL },
	{ HAVE_ROOT, 0, NOTHING,
	    "users: functions run as their tenant's user",
	    "users: all functions run as the host's own user, since the host "
	    "was not started by root" },
	{ HAVE_USERS, 0, NOTHING,
	    "count: processes and threads of a tenant's user "
	    "(limits.processes)",
	    "count: functions start as many processes as their user may, "
	    "limits.processes is not set" },
	{ HAVE_MOUNTS, 0, NOTHING,
	    "files: functions see their own tenant's directory, what they are "
	    "granted, and the system's read-only", NULL },
	{ HAVE_FILE_RULES, HAVE_MOUNTS, OF_CELL,
	    "files: functions open, make, move and remove their own tenant's, "
	    "what they are granted, and the system's; of their user's others "
	    "they reach what is not the content, such as mode and times",
	    "files: functions see every file their user may read" },
	{ HAVE_MOUNTS, 0, OF_CELL,
	    "socket files: functions reach fn.sock and what is where they are "
	    "granted a path",
	    "socket files: functions reach all of their user, the host's among "
	    "them" },
	{ HAVE_PIDS, 0, OF_CELL,
	    "processes: functions see processes of their own tenant only",
	    "processes: functions see all processes and how they were called" },
	{ HAVE_SCOPES, 0, NOTHING,
	    "signals: functions signal processes of their own invocation only",
	    NULL },
	{ HAVE_PIDS, HAVE_SCOPES, OF_CELL,
	    "signals: functions signal processes of their own tenant only, "
	    "launchers among them",
	    "signals: functions signal every process of their user" },
	{ HAVE_NETWORK, 0, NOTHING,
	    "network: functions reach nothing but 127.0.0.1 of their own, unless "
	    "their tenant has network = host",
	    "network: functions reach whatever this machine reaches, unless "
	    "their tenant has network = none" },
	{ HAVE_NETWORKS, 0, NOTHING,
	    "network = none: functions reach nothing but 127.0.0.1 of their own",
	    NULL },
	{ HAVE_TCP_RULES, HAVE_NETWORKS, OF_CELL,
	    "network = none: functions make and take no TCP connection; other "
	    "protocols are not kept from them",
	    "network = none: it keeps nothing from functions here" },
	{ HAVE_NETWORK | HAVE_SCOPES, 0, NOTHING,
	    "abstract sockets: functions reach those of their own tenant only",
	    "abstract sockets: functions reach those of all programs" },
	{ HAVE_FILTER, 0, NOTHING,
	    "system calls: mounts, namespaces, looking into other processes, "
	    "io_uring, bpf, keys and the like are refused",
	    "system calls: functions may use all that their user may" },
	{ HAVE_GROUPS << CGROUP_MEMORY, 0, OF_GROUPS,
	    "memory of a tenant as a whole, with shared memory and files in "
	    "/tmp (memory)",
	    "memory of a tenant as a whole: limits.memory holds for each "
	    "process, and does not count shared memory (MAP_SHARED, System V) "
	    "and files in /tmp" },
	{ HAVE_GROUPS << CGROUP_PIDS, 0, OF_GROUPS,
	    "processes of a tenant as a whole (processes)",
	    "processes of a tenant as a whole: they are counted by user" },
	{ HAVE_GROUPS << CGROUP_CPU, 0, OF_GROUPS,
	    "processor time of a tenant as a whole, and fair shares of it "
	    "(cpu, weight)",
	    "processor time of a tenant as a whole: who starts more gets "
	    "more, limits.cpu holds for each process" },
};
/* clang-format on */

void
probe_machine(struct master *m)
{
	uint64_t most = CELL_NAMESPACES | (m->root ? 0 : CLONE_NEWUSER);
	char *reason = m->namespaces_reason;
	size_t room = sizeof(m->namespaces_reason);

	if (probe_try(m, most, reason, room) == 0)
		return;
	/* it is the network, or all of it */
	if (probe_try(m, most & ~(uint64_t)CLONE_NEWNET, reason, room) == 0)
		return;
	if (probe_try(m, 0, m->rules_reason, sizeof(m->rules_reason)) != 0)
		diag_fatal("functions cannot be shut in here at all: %s",
		    m->rules_reason);
}

/* 0: m has what there is; -1: why not in `reason`. */
static int
probe_try(struct master *m, uint64_t namespaces, char *reason, size_t room)
{
	char number[24];
	char *argv[] = { (char *)(uintptr_t)CELL_PROGRAM,
		(char *)(uintptr_t) "--probe", number, NULL };
	int fds[] = { -1, -1, -1 }, words[2];
	struct proc_plan plan = {
		.path = CELL_PROGRAM,
		.argv = argv,
		.envp = m->cell_environment,
		.fds = fds,
		.fd_count = 3,
		.namespaces = namespaces & CELL_MADE_IN,
		.dies_with_parent = true,
	};
	struct proc_started started;
	int status;

	snprintf(number, sizeof(number), "%" PRIu64, namespaces);
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
		return -1;
	}
	read_words(words[0], reason, room);
	fd_close(&words[0]);
	while (waitpid(started.pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status == 0 && read_answer(m, span_of(reason)) == 0) {
		m->namespaces = namespaces;
		return 0;
	}
	if (!reason[0])
		proc_status_words(status, reason);
	return -1;
}

void
probe_list(const struct master *m,
    void (*each)(void *arg, const char *key, const char *sentence), void *arg)
{
	unsigned have = found(m);
	char text[512];

	for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
		const struct promise *p = &promises[i];

		if (have & p->unless)
			continue;
		if (have & p->any) {
			each(arg, "enforced", p->enforced);
		} else if (p->because == OF_CELL && p->not_enforced) {
			snprintf(text, sizeof(text),
			    "%s, since a cell cannot be shut in here: %s",
			    p->not_enforced, m->namespaces_reason);
			each(arg, "not_enforced", text);
		} else if (p->because == OF_GROUPS) {
			snprintf(text, sizeof(text),
			    "%s, since there is no control group for that: %s",
			    p->not_enforced, m->cgroups.reason);
			each(arg, "not_enforced", text);
		} else if (p->not_enforced) {
			each(arg, "not_enforced", p->not_enforced);
		}
	}
}

static unsigned
found(const struct master *m)
{
	unsigned have = HAVE_ANYWAY;

	if (m->root)
		have |= HAVE_ROOT;
	if (m->root || (m->namespaces & CLONE_NEWUSER))
		have |= HAVE_USERS;
	if (m->namespaces & CLONE_NEWNS)
		have |= HAVE_MOUNTS;
	if (m->namespaces & CLONE_NEWPID)
		have |= HAVE_PIDS;
	if (cell_namespaces(m, SPAN("")) & CLONE_NEWNET)
		have |= HAVE_NETWORK;
	if (m->namespaces & CLONE_NEWNET)
		have |= HAVE_NETWORKS;
	if (m->landlock >= LANDLOCK_TCP)
		have |= HAVE_TCP_RULES;
	if (m->landlock >= LANDLOCK_FILES)
		have |= HAVE_FILE_RULES;
	if (m->landlock >= LANDLOCK_SCOPE)
		have |= HAVE_SCOPES;
	if (m->seccomp)
		have |= HAVE_FILTER;
	for (int kind = 0; kind < CGROUP_KINDS; kind++)
		if (cgroups_have(&m->cgroups, (enum cgroup_kind)kind))
			have |= HAVE_GROUPS << kind;
	return have;
}

/* "landlock=7 seccomp=1" */
static int
read_answer(struct master *m, struct span answer)
{
	struct span rest = answer, first = span_cut(&rest, ' ');
	uint64_t landlock, seccomp;

	if (!span_starts(first, SPAN("landlock=")) ||
	    !span_starts(rest, SPAN("seccomp=")) ||
	    span_number(span_skip(first, 9), 1000, &landlock) != 0 ||
	    span_number(span_skip(rest, 8), 1, &seccomp) != 0)
		return -1;
	m->landlock = (int)landlock;
	m->seccomp = seccomp == 1;
	return 0;
}

/* The one line it says, without its end. */
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
