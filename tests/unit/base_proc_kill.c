/* SPDX-License-Identifier: MIT */
/* If this fails, processes outlive their invocation, or those that are to be kept
 * do not. */

#include "proc_child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>

#include "base/clock.h"
#include "base/proc.h"

/* ---- Killing what is left. */

static uint64_t
soon_ms(void)
{
	return clock_ms() + PATIENCE_MS;
}

static pid_t
child_that_waits(void)
{
	pid_t pid = fork();

	if (pid == 0)
		wait_forever();
	assert_true(pid > 0);
	return pid;
}

static void
without_children_there_is_nothing_to_kill(void **state)
{
	(void)state;
	assert_int_equal(proc_children(NULL, 0), 0);
	assert_int_equal(proc_kill_children(NULL, 0, 0, NULL, NULL), 0);
}

/* Everything started by a test holds a pipe's writing end: when the reader
 * sees the end, nothing of it lives. */
static int holder[2];

static void
hold(void)
{
	assert_int_equal(pipe2(holder, O_CLOEXEC), 0);
}

static void
assert_all_gone(void)
{
	struct pollfd gone = { .fd = holder[0], .events = POLLIN };
	char byte;

	close(holder[1]);
	while (poll(&gone, 1, PATIENCE_MS) == 1 &&
	    read(holder[0], &byte, 1) == 1)
		;
	assert_int_equal(gone.revents & POLLHUP, POLLHUP);
	close(holder[0]);
	assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
	assert_int_equal(errno, ECHILD);
}

static void
wait_for_byte(void)
{
	struct pollfd ready = { .fd = holder[0], .events = POLLIN };
	char byte;

	assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
	assert_int_equal(read(holder[0], &byte, 1), 1);
}

static void
a_grandchild_that_hid_in_its_own_session_is_killed(void **state)
{
	pid_t pid;

	(void)state;
	hold();
	pid = fork();
	if (pid == 0) {
		if (fork() == 0) {
			setsid();
			if (fork() == 0) {
				signal(SIGTERM, SIG_IGN);
				if (write(holder[1], "r", 1) != 1)
					_exit(1);
				wait_forever();
			}
			_exit(0);
		}
		_exit(0);
	}
	wait_for_byte();
	assert_int_equal(proc_kill_children(NULL, 0, soon_ms(), NULL, NULL), 0);
	assert_all_gone();
}

static void
grow(int depth)
{
	while (depth-- > 0)
		if (fork() == 0)
			continue; /* parent and child both go on */
	if (write(holder[1], "r", 1) != 1)
		_exit(1);
	wait_forever();
}

static void
a_tree_of_processes_is_killed(void **state)
{
	(void)state;
	hold();
	if (fork() == 0)
		grow(5);
	/* while most of them are still to come */
	wait_for_byte();
	assert_int_equal(proc_kill_children(NULL, 0, soon_ms(), NULL, NULL), 0);
	assert_all_gone();
}

/* Always another pid, never there long: each forks the next and exits. It
 * ends by itself after a while, should we not win. */
static void
run_away(int generations, bool own_sessions)
{
	while (generations-- > 0) {
		if (own_sessions)
			setsid();
		if (fork() != 0)
			_exit(0);
	}
	_exit(0);
}

static void
processes_that_run_away_are_caught(void **state)
{
	(void)state;
	for (int own_sessions = 0; own_sessions <= 1; own_sessions++) {
		hold();
		for (int i = 0; i < 4; i++)
			if (fork() == 0) {
				setsid();
				run_away(20000, own_sessions);
			}
		assert_int_equal(proc_kill_children(NULL, 0, soon_ms(), NULL,
				     NULL),
		    0);
		assert_all_gone();
	}
}

static size_t reaped_count;
static int reaped_status;

static void
count_reaped(void *arg, pid_t pid, int status)
{
	assert_ptr_equal(arg, &reaped_count);
	assert_true(pid > 0);
	reaped_count++;
	reaped_status = status;
}

static void
the_kept_are_kept(void **state)
{
	pid_t keep[2] = { child_that_waits(), child_that_waits() };
	pid_t pids[8], other = child_that_waits(), dead;
	siginfo_t info;

	(void)state;
	reaped_count = 0;
	assert_int_equal(proc_children(pids, 8), 3);
	assert_int_equal(proc_children(pids, 1), 3);
	/* one that has died by itself is reaped too, a kept one is not */
	dead = fork();
	if (dead == 0)
		_exit(3);
	waitid(P_PID, (id_t)dead, &info, WEXITED | WNOWAIT);
	kill(keep[1], SIGKILL);
	waitid(P_PID, (id_t)keep[1], &info, WEXITED | WNOWAIT);
	assert_int_equal(proc_kill_children(keep, 2, soon_ms(), count_reaped,
			     &reaped_count),
	    0);
	assert_int_equal(reaped_count, 2);
	assert_int_equal(waitpid(other, NULL, WNOHANG), -1);
	assert_int_equal(waitpid(dead, NULL, WNOHANG), -1);
	assert_int_equal(waitpid(keep[0], NULL, WNOHANG), 0);
	assert_int_equal(waitpid(keep[1], NULL, WNOHANG), keep[1]);
	assert_int_equal(proc_kill_children(NULL, 0, soon_ms(), count_reaped,
			     &reaped_count),
	    0);
	assert_int_equal(reaped_count, 3);
	assert_int_equal(WTERMSIG(reaped_status), SIGKILL);
}

/* A kept template and what was forked from it are one group. */
static void
the_group_of_a_kept_one_is_spared(void **state)
{
	int said[2];
	pid_t keep, other = -1;
	char byte;

	(void)state;
	assert_int_equal(pipe2(said, O_CLOEXEC), 0);
	keep = fork();
	if (keep == 0) {
		setsid();
		other = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0,
		    0, 0);
		if (other != 0 && write(said[1], "r", 1) != 1)
			_exit(1);
		wait_forever();
	}
	assert_int_equal(read(said[0], &byte, 1), 1);
	reaped_count = 0;
	assert_int_equal(proc_kill_children(&keep, 1, soon_ms(), count_reaped,
			     &reaped_count),
	    0);
	assert_int_equal(reaped_count, 1);
	/* dies of this, so nothing worse was on its way */
	kill(keep, SIGTERM);
	assert_int_equal(WTERMSIG(status_of(keep)), SIGTERM);
	close(said[0]);
	close(said[1]);
}

static void
a_deadline_that_passed_still_kills(void **state)
{
	pid_t pid = child_that_waits();
	int status = 0;

	(void)state;
	reaped_count = 0;
	if (proc_kill_children(NULL, 0, 0, count_reaped, &reaped_count) == 0)
		assert_int_equal(reaped_count, 1);
	/* not by us, or dead of SIGKILL */
	if (reaped_count == 0)
		status = status_of(pid);
	assert_true(reaped_count == 1 || WTERMSIG(status) == SIGKILL);
}

/* Exit code 0 when killing says it cannot, and says nothing is left. */
static int
kill_without_proc(void)
{
	int status;
	pid_t pid;

	if (geteuid() != 0 && unshare(CLONE_NEWUSER) != 0)
		return 77;
	/* a place that is no /proc */
	if (chroot("/usr") != 0)
		return 77;
	if (proc_kill_children(NULL, 0, soon_ms(), NULL, NULL) != 0)
		return 1;
	pid = fork();
	if (pid == 0)
		wait_forever();
	if (proc_kill_children(NULL, 0, soon_ms(), NULL, NULL) != -1)
		return 2;
	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid ? 0 : 3;
}

static void
without_proc_killing_says_that_it_cannot(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(kill_without_proc());
	status = status_of(pid);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static int
be_subreaper(void **state)
{
	(void)state;
	return proc_subreaper();
}

static const struct CMUnitTest killing[] = {
	{ .name = "without children there is nothing to kill",
	    .test_func = without_children_there_is_nothing_to_kill },
	{ .name = "a grandchild that hid in its own session is killed",
	    .test_func = a_grandchild_that_hid_in_its_own_session_is_killed },
	{ .name = "a tree of processes is killed while it grows",
	    .test_func = a_tree_of_processes_is_killed },
	{ .name = "processes that run away are caught",
	    .test_func = processes_that_run_away_are_caught },
	{ .name = "the kept are kept, even dead",
	    .test_func = the_kept_are_kept },
	{ .name = "the group of a kept one is spared",
	    .test_func = the_group_of_a_kept_one_is_spared },
	{ .name = "a deadline that passed still kills",
	    .test_func = a_deadline_that_passed_still_kills },
	{ .name = "without /proc killing says that it cannot",
	    .test_func = without_proc_killing_says_that_it_cannot },
};

int
main(void)
{
	return cmocka_run_group_tests(killing, be_subreaper, NULL);
}
