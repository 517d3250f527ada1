/* SPDX-License-Identifier: MIT */
/* start.c - the first message, and the namespaces an ordinary user's cell has
 * to make for itself. Runs before the sandbox: touches nothing of the tenant's,
 * and master is the only one who can have sent anything. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/proc.h"

#include "cell/apply.h"
#include "cell/cell.h"

enum {
	ALL_NAMESPACES = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS |
	    CLONE_NEWIPC | CLONE_NEWUTS
};

static void keeper_wait(pid_t, int alive_fd) __attribute__((noreturn));
static int enter_behind(const int alive[2], struct buf *reason);

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
			.root = geteuid() == 0,
		},
		.config = config_decode(m.options),
		.directory_fd = fds[0],
		.gateway_fd = fds[1],
	};
	if (!start->facts.tenant || !start->facts.directory || !start->config)
		diag_fatal("master sent a CELL message without sense");
	if (fd_cloexec(PEER_FIRST_FD, true) != 0)
		diag_fatal("descriptor %d: %s", PEER_FIRST_FD, diag_errno());
	return true;
}

void
start_failed(struct span reason)
{
	struct message_cell_failed m = { .reason = reason };

	if (peer_send_now(PEER_FIRST_FD, MESSAGE_CELL_FAILED, &m, NULL, 0) != 0)
		diag_error("%.*s", SPAN_ARGS(reason));
	exit(1);
}

int
start_enter(const struct plan_facts *facts, struct buf *reason)
{
	pid_t child;
	int alive[2];

	if (!(facts->namespaces & CLONE_NEWUSER))
		return 0;
	if (pipe2(alive, O_CLOEXEC) != 0 ||
	    proc_unshare(facts->namespaces) != 0 || (child = fork()) < 0) {
		buf_printf(reason, "cannot make namespaces: %s", diag_errno());
		return -1;
	}
	if (child > 0)
		keeper_wait(child, alive[1]);
	return enter_behind(alive, reason);
}

int
start_probe(void)
{
	struct plan_facts facts = {
		.tenant = "probe",
		.uid = geteuid(),
		.gid = getegid(),
		.namespaces = ALL_NAMESPACES,
	};
	struct config *config = config_new();
	struct plan *plan = plan_make(&facts, config);
	struct buf reason;
	int directory_fd = -1;

	buf_init(&reason, 4096);
	if (start_enter(&facts, &reason) == 0 &&
	    apply_plan(plan, &directory_fd, &reason) == 0)
		return 0;
	fprintf(stderr, "%s\n", buf_string(&reason));
	return 1;
}

/* Has nothing else open, so that no channel seems alive when the cell is not. */
static void
keeper_wait(pid_t child, int alive_fd)
{
	sigset_t all;
	int status;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (dup2(alive_fd, PEER_FIRST_FD) < 0)
		_exit(1);
	close_range(PEER_FIRST_FD + 1, ~0U, 0);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			_exit(1);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* It dies with its keeper, also one that is dead before this can be said: in
 * here that cannot be seen by its number, but by its end of the pipe. */
static int
enter_behind(const int alive[2], struct buf *reason)
{
	struct pollfd end = { .fd = alive[0] };

	close(alive[1]);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
		buf_printf(reason, "cannot die with my parent: %s",
		    diag_errno());
		return -1;
	}
	if (poll(&end, 1, 0) != 0)
		_exit(1);
	close(alive[0]);
	return 0;
}
