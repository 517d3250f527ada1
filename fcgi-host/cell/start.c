/* SPDX-License-Identifier: MIT */
/* start.c - the first message: who this cell is. Runs before the sandbox:
 * touches nothing of the tenant's, and master is the only one who can have sent
 * anything. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/landlock.h"
#include "base/proc.h"

#include "cell/apply.h"
#include "cell/cell.h"
#include "cell/program.h"

static bool cgroups_fit(struct span names, size_t fds);
static bool belongs_to_root(int directory_fd);
static char *python_find(void);

bool
start_receive(struct cell_start *start)
{
	struct message_cell m;
	struct span body;
	int fds[FD_PASS_MOST];
	size_t fd_count;

	if (peer_receive_now(PEER_FIRST_FD, ROLE_CELL, ROLE_MASTER, &body, fds,
		&fd_count) != MESSAGE_CELL) {
		if (errno == 0)
			return false;
		diag_fatal("no CELL message on descriptor %d: %s",
		    PEER_FIRST_FD, diag_errno());
	}
	if (message_cell_decode(body, &m) != 0)
		diag_fatal("master sent a broken CELL message");
	*start = (struct cell_start){
		.facts = {
			.tenant = span_dup(m.tenant),
			.directory = span_dup(m.directory),
			.uid = m.uid,
			.gid = m.gid,
			.namespaces = m.namespaces,
			.cgroups = span_make(span_dup(m.cgroups),
			    m.cgroups.bytes),
			.root = geteuid() == 0,
			.python = python_find(),
			.of_root = belongs_to_root(fds[0]),
		},
		.config = config_decode(m.options),
		.directory_fd = fds[0],
		.gateway_fd = fds[1],
	};
	if (fd_count > 2)
		memcpy(start->facts.cgroup_fds, fds + 2,
		    (fd_count - 2) * sizeof(fds[0]));
	if (!cgroups_fit(m.cgroups, fd_count - 2))
		diag_fatal("master sent control groups without sense");
	if (!start->facts.tenant || !start->facts.directory || !start->config)
		diag_fatal("master sent a CELL message without sense");
	if (fd_cloexec(PEER_FIRST_FD, true) != 0)
		diag_fatal("descriptor %d: %s", PEER_FIRST_FD, diag_errno());
	return true;
}

/* A name with its NUL for each descriptor. */
static bool
cgroups_fit(struct span names, size_t fds)
{
	size_t count = 0;

	for (size_t i = 0; i < names.bytes; i++)
		count += names.data[i] == '\0';
	return count == fds &&
	    (names.bytes == 0 || names.data[names.bytes - 1] == '\0');
}

/* Such a tenant has no user who could make a place to write, or own one. */
static bool
belongs_to_root(int directory_fd)
{
	struct stat st;

	return fstat(directory_fd, &st) == 0 && st.st_uid == 0;
}

/* Beside us, where master found us: whoever put it there could have put another
 * cell there. */
static char *
python_find(void)
{
	char path[PATH_MAX], python[PATH_MAX + sizeof(PYTHON_NAME)];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	struct stat st;

	if (n <= 0)
		return NULL;
	path[n] = '\0';
	*strrchr(path, '/') = '\0';
	snprintf(python, sizeof(python), "%s/" PYTHON_NAME, path);
	if (stat(python, &st) != 0 || !S_ISREG(st.st_mode) ||
	    !(st.st_mode & S_IXOTH))
		return NULL;
	return diag_strdup(python);
}

void
start_failed(struct span reason)
{
	struct message_cell_failed m = { .reason = reason };

	if (peer_send_now(PEER_FIRST_FD, MESSAGE_CELL_FAILED, &m, NULL, 0) != 0)
		diag_error("%.*s", SPAN_ARGS(reason));
	_exit(1);
}

int
start_probe(uint64_t namespaces)
{
	struct plan_facts facts = {
		.tenant = "probe",
		.uid = geteuid(),
		.gid = getegid(),
		.namespaces = namespaces,
		.root = geteuid() == 0,
	};
	struct config *config = config_new();
	struct plan *plan = plan_make(&facts, config);
	struct buf reason;
	int directory_fd = -1;
	bool filter = true;

	buf_init(&reason, 4096);
	if (apply_plan(plan, &directory_fd, &reason) != 0) {
		fprintf(stderr, "%s\n", buf_string(&reason));
		return 1;
	}
	for (size_t i = 0; i < plan->count; i++)
		if (plan->steps[i].op == PLAN_FILTER && plan->steps[i].note[0])
			filter = false;
	fprintf(stderr, "landlock=%d seccomp=%d\n", landlock_version(), filter);
	return 0;
}
