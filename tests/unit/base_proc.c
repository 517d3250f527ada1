/* SPDX-License-Identifier: MIT */
/* If this fails, functions inherit descriptors, signals or rights of the host,
 * outlive their invocation, or die of nothing at their deadline. */

#define _GNU_SOURCE 1
#include "rows.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/proc.h"

enum { PATIENCE_MS = 20000 }; /* a hang fails, a slow machine does not */

static char self[] = "/proc/self/exe";
static char *no_env[] = { NULL };

/* ---- What the started program, this file again, does: argv[1] is a role. */

static void
show_fds(void)
{
	struct stat st;

	for (int fd = 0; fd < 256; fd++)
		if (fstat(fd, &st) == 0)
			printf("%d:%ju ", fd, (uintmax_t)st.st_size);
}

static void
show_signals(void)
{
	struct sigaction action;
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int signo = 1; signo <= 64; signo++) {
		if (sigismember(&mask, signo) == 1)
			printf("blocked:%d ", signo);
		if (sigaction(signo, NULL, &action) == 0 &&
		    action.sa_handler == SIG_IGN)
			printf("ignored:%d ", signo);
	}
}

static void
show_session(void)
{
	printf("%d %d", getsid(0) == getpid(), getpgid(0) == getpid());
}

static void
show_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	printf("%ju/%ju", (uintmax_t)limit.rlim_cur, (uintmax_t)limit.rlim_max);
}

static void
show_directory(void)
{
	char path[4096];

	printf("%s", getcwd(path, sizeof(path)));
}

static void
show_environment(void)
{
	for (char **e = environ; *e; e++)
		printf("%s;", *e);
}

static void
show_user(void)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	getresuid(&r, &e, &s);
	getresgid(&rg, &eg, &sg);
	printf("%u %u %u/%u %u %u/%d", r, e, s, rg, eg, sg, getgroups(0, NULL));
}

static void
show_death_signal(void)
{
	int signo = 0;

	prctl(PR_GET_PDEATHSIG, &signo);
	printf("%d", signo);
}

static void
show_name(void)
{
	char name[17] = "";

	prctl(PR_GET_NAME, name);
	printf("%s", name);
}

static void
wait_forever(void)
{
	for (;;)
		pause();
}

static void
show_nothing(void)
{
}

static const struct role {
	const char *name;
	void (*play)(void);
} roles[] = {
	{ "fds", show_fds },
	{ "signals", show_signals },
	{ "session", show_session },
	{ "limit", show_limit },
	{ "directory", show_directory },
	{ "environment", show_environment },
	{ "user", show_user },
	{ "death-signal", show_death_signal },
	{ "name", show_name },
	{ "wait", wait_forever },
	{ "nothing", show_nothing },
};

static int
play(const char *name)
{
	for (size_t i = 0; i < COUNT(roles); i++)
		if (strcmp(roles[i].name, name) == 0) {
			roles[i].play();
			return fflush(stdout) == 0 ? 0 : 1;
		}
	return 99;
}

/* ---- Starting it. */

static struct proc_plan
plan_of(char **argv)
{
	return (struct proc_plan){ .path = self, .argv = argv, .envp = no_env };
}

/* The wait status of a child, or a failed test when it takes too long. */
static int
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

/* What a role prints when it is started with this plan. */
static const char *
told_by(const char *role, struct proc_plan *plan)
{
	static char text[4096];
	char *argv[] = { self, (char *)(uintptr_t)role, NULL };
	int out = memfd_create("out", MFD_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fds[] = { null, out, STDERR_FILENO };
	struct proc_started started;
	ssize_t bytes;

	plan->path = self;
	plan->argv = argv;
	if (!plan->envp)
		plan->envp = no_env;
	if (!plan->fds) {
		plan->fds = fds;
		plan->fd_count = COUNT(fds);
	}
	started = proc_start(plan);
	assert_string_equal(proc_step_name(started.step), "started");
	assert_true(started.pid > 0);
	assert_int_equal(status_of(started.pid), 0);
	bytes = pread(out, text, sizeof(text) - 1, 0);
	assert_true(bytes >= 0);
	text[bytes] = '\0';
	close(out);
	close(null);
	return text;
}

/* ---- Where starting fails. */

struct failure_row {
	const char *sentence;
	struct proc_plan plan;
	enum proc_step step;
	int error;
};

static const int no_such_fd[] = { 0, 1, 2, 987 };
static char *one_arg[] = { self, NULL };

#define RUNS .path = self, .argv = one_arg, .envp = no_env

static const struct failure_row failures[] = {
	{ "namespaces that contradict each other fail at clone",
	    { RUNS, .namespaces = CLONE_NEWNS | CLONE_FS }, PROC_CLONE,
	    EINVAL },
	{ "a descriptor that is not open fails at descriptors",
	    { RUNS, .fds = no_such_fd, .fd_count = 4 }, PROC_DESCRIPTORS,
	    EBADF },
	{ "a soft limit above the hard one fails at limit",
	    { RUNS, .limits = { { RLIMIT_NOFILE, 10, 5 } }, .limit_count = 1 },
	    PROC_LIMIT, EINVAL },
	{ "a limit that does not exist fails at limit",
	    { RUNS, .limits = { { RLIMIT_NOFILE, 10, 10 }, { 99, 1, 1 } },
		.limit_count = 2 },
	    PROC_LIMIT, EINVAL },
	{ "a directory that is not there fails at directory",
	    { RUNS, .directory = "/nonexistent/here" }, PROC_DIRECTORY,
	    ENOENT },
	{ "a directory that is a file fails at directory",
	    { RUNS, .directory = "/proc/self/status" }, PROC_DIRECTORY,
	    ENOTDIR },
	{ "a program that is not there fails at execve",
	    { .path = "/nonexistent/program", .argv = one_arg, .envp = no_env },
	    PROC_EXECVE, ENOENT },
	{ "a program that is a directory fails at execve",
	    { .path = "/", .argv = one_arg, .envp = no_env }, PROC_EXECVE,
	    EACCES },
};

static void
failure(void **state)
{
	const struct failure_row *row = *state;
	struct proc_started started = proc_start(&row->plan);

	assert_string_equal(proc_step_name(started.step),
	    proc_step_name(row->step));
	assert_int_equal(started.error, row->error);
	assert_int_equal(started.pid, -1);
	/* reaped already */
	assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
	assert_int_equal(errno, ECHILD);
}

/* Files that execve refuses, by content. */
struct script_row {
	const char *sentence;
	const char *text;
	mode_t mode;
	bool being_written;
	int error;
};

static const struct script_row scripts[] = {
	{ "an empty file is no program", "", 0755, false, ENOEXEC },
	{ "a script without a first line for the kernel is no program",
	    "echo hello\n", 0755, false, ENOEXEC },
	{ "a script whose interpreter is missing is ENOENT",
	    "#!/nonexistent/perl\n", 0755, false, ENOENT },
	{ "a script with DOS line ends is ENOENT", "#!/bin/sh\r\n", 0755, false,
	    ENOENT },
	{ "a file that may not be executed is EACCES", "#!/bin/sh\n", 0644,
	    false, EACCES },
	{ "a program that is still being written is ETXTBSY", "#!/bin/sh\n",
	    0755, true, ETXTBSY },
};

static void
script(void **state)
{
	const struct script_row *row = *state;
	char path[] = "/tmp/base_proc.XXXXXX";
	char *argv[] = { path, NULL };
	struct proc_plan plan = plan_of(argv);
	struct proc_started started;
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, span_of(row->text)), 0);
	assert_int_equal(fchmod(fd, row->mode), 0);
	if (!row->being_written)
		fd_close(&fd);
	plan.path = path;
	started = proc_start(&plan);
	assert_int_equal(unlink(path), 0);
	fd_close(&fd);
	assert_string_equal(proc_step_name(started.step), "execve");
	assert_int_equal(started.error, row->error);
	assert_int_equal(started.pid, -1);
}

/* Copies of this very program, executed by descriptor. */
struct copy_row {
	const char *sentence;
	mode_t mode;
	bool being_written;
	bool no_loader; /* the one it names is not there */
	bool cut;	/* it ends behind its first bytes */
	int error;
};

static const struct copy_row copies[] = {
	{ "by descriptor, a file that may not be executed is EACCES", 0644,
	    false, false, false, EACCES },
	{ "by descriptor, a program being written is ETXTBSY", 0755, true,
	    false, false, ETXTBSY },
	{ "by descriptor, a missing loader is ENOENT", 0755, false, true, false,
	    ENOENT },
	{ "by descriptor, half a program is ENOEXEC", 0755, false, false, true,
	    ENOEXEC },
	{ "by descriptor, a program runs that has lost its name", 0755, false,
	    false, false, 0 },
};

static void
copy(void **state)
{
	const struct copy_row *row = *state;
	char path[] = "/tmp/base_proc.XXXXXX", loader[] = "/ld-";
	char *argv[] = { path, (char *)(uintptr_t) "nothing", NULL };
	struct proc_plan plan = plan_of(argv);
	int from = open(self, O_RDONLY | O_CLOEXEC);
	int fd = mkostemp(path, O_CLOEXEC), program_fd;
	struct proc_started started;
	struct stat st;
	char *bytes, *place;

	assert_int_equal(fstat(from, &st), 0);
	bytes = malloc((size_t)st.st_size);
	assert_int_equal(read(from, bytes, (size_t)st.st_size), st.st_size);
	place = memmem(bytes, (size_t)st.st_size, loader, strlen(loader));
	assert_non_null(place);
	if (row->no_loader)
		place[1] = 'L';
	assert_int_equal(fd_write_all(fd,
			     span_make(bytes,
				 row->cut ? 40 : (size_t)st.st_size)),
	    0);
	assert_int_equal(fchmod(fd, row->mode), 0);
	program_fd = open(path, O_PATH | O_CLOEXEC);
	assert_int_equal(unlink(path), 0);
	if (!row->being_written)
		fd_close(&fd);
	plan.path = "/nonexistent";
	plan.program_fd = program_fd;
	started = proc_start(&plan);
	assert_int_equal(started.error, row->error);
	assert_int_equal(started.step, row->error ? PROC_EXECVE : PROC_STARTED);
	if (row->error == 0)
		assert_int_equal(status_of(started.pid), 0);
	fd_close(&fd);
	close(from);
	close(program_fd);
	free(bytes);
}

/* Root fails in a user namespace that maps nobody, others fail anyway. */
static void
a_user_one_may_not_become_fails_at_user(void **state)
{
	struct proc_plan plan = { RUNS, .changes_user = true, .uid = 12345,
		.gid = 12345 };
	struct proc_started started;

	(void)state;
	if (geteuid() == 0)
		plan.namespaces = CLONE_NEWUSER;
	started = proc_start(&plan);
	if (started.step == PROC_CLONE)
		skip(); /* this machine has no user namespaces */
	assert_string_equal(proc_step_name(started.step), "user");
	assert_int_equal(started.error, EPERM);
}

/* ---- What the child gets. */

/* Marks are files whose size tells them apart. */
static int
mark(int size)
{
	int fd = memfd_create("mark", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

struct fds_row {
	const char *sentence;
	int from[PROC_FD_MOST]; /* 100 + n: mark n, made high; other
					 * numbers as they are in the parent */
	size_t count;
	const char *told; /* descriptor 1 is the output, size 0 */
};

/* In the parent of these, 0, 3, 4 and 5 are marks of sizes 10, 13, 14, 15. */
static const struct fds_row fd_rows[] = {
	{ "three descriptors are three", { 107, 1, 108 }, 3, "0:7 1:0 2:8 " },
	{ "two are two, and 2 is closed", { 107, 1 }, 2, "0:7 1:0 " },
	{ "none is a hole", { -1, 1, -1, 107 }, 4, "1:0 3:7 " },
	{ "two may change places", { 0, 1, -1, 4, 3 }, 5,
	    "0:10 1:0 3:14 4:13 " },
	{ "three may turn in a circle", { -1, 1, -1, 4, 5, 3 }, 6,
	    "1:0 3:14 4:15 5:13 " },
	{ "one may go to several places", { 3, 1, 3, 3, 3 }, 5,
	    "0:13 1:0 2:13 3:13 4:13 " },
	{ "one that stays loses its close-on-exec", { 0, 1, -1, 3, 4 }, 5,
	    "0:10 1:0 3:13 4:14 " },
	{ "a source may lie where another goes", { 5, 1, -1, 0, 3, 109 }, 6,
	    "0:15 1:0 3:10 4:13 5:9 " },
	{ "twelve are the most",
	    { 101, 1, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111 }, 12,
	    "0:1 1:0 2:2 3:3 4:4 5:5 6:6 7:7 8:8 9:9 10:10 11:11 " },
};

/* In a process of its own, whose low descriptors can be arranged. Exits 0 and
 * leaves what the started program told in `out`. */
static int
fds_arranged(const struct fds_row *row, int out)
{
	char *argv[] = { self, (char *)(uintptr_t) "fds", NULL };
	struct proc_plan plan = plan_of(argv);
	struct proc_started started;
	int from[PROC_FD_MOST], low, status;

	out = fcntl(out, F_DUPFD_CLOEXEC, 50);
	dup2(out, 1);
	for (int fd = 3; fd < 50; fd++)
		close(fd);
	for (int fd = 0; fd <= 5; fd++) {
		if (fd == 1 || fd == 2)
			continue;
		low = mark(10 + fd);
		if (low != fd &&
		    (dup3(low, fd, O_CLOEXEC) != fd || close(low) != 0))
			return 2;
	}
	for (size_t i = 0; i < row->count; i++) {
		from[i] = row->from[i];
		if (from[i] < 100)
			continue;
		low = mark(from[i] - 100);
		from[i] = fcntl(low, F_DUPFD_CLOEXEC, 60);
		close(low);
	}
	plan.fds = from;
	plan.fd_count = row->count;
	started = proc_start(&plan);
	if (started.pid < 0 || waitpid(started.pid, &status, 0) != started.pid)
		return 3;
	return status == 0 ? 0 : 4;
}

static void
descriptors(void **state)
{
	const struct fds_row *row = *state;
	int out = memfd_create("out", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char told[1024];
	ssize_t bytes;
	pid_t pid;

	assert_true(out >= 0);
	pid = fork();
	if (pid == 0)
		_exit(fds_arranged(row, out));
	assert_int_equal(status_of(pid), 0);
	bytes = pread(out, told, sizeof(told) - 1, 0);
	assert_true(bytes >= 0);
	told[bytes] = '\0';
	close(out);
	assert_string_equal(told, row->told);
}

static void
caught(int signo)
{
	(void)signo;
}

static void
a_child_has_default_signals_and_an_empty_mask(void **state)
{
	struct proc_plan plan = { 0 };
	struct sigaction action;
	sigset_t some, before, after;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGALRM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGRTMIN + 3, SIG_IGN);
	signal(SIGUSR1, caught);
	proc_signals_changed();
	sigfillset(&some);
	sigdelset(&some, SIGUSR2);
	sigprocmask(SIG_SETMASK, &some, &before);
	assert_string_equal(told_by("signals", &plan), "");

	/* and nothing of that touched the parent */
	sigprocmask(SIG_SETMASK, &before, &after);
	assert_int_equal(sigismember(&after, SIGTERM), 1);
	assert_int_equal(sigismember(&after, SIGUSR2), 0);
	sigaction(SIGHUP, NULL, &action);
	assert_true(action.sa_handler == SIG_IGN);
	sigaction(SIGUSR1, NULL, &action);
	assert_true(action.sa_handler == caught);

	/* the three of every library need no telling */
	signal(SIGHUP, SIG_DFL);
	signal(SIGRTMIN + 3, SIG_DFL);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	proc_signals_changed();
	assert_string_equal(told_by("signals", &plan), "");
	signal(SIGPIPE, SIG_IGN);
	assert_string_equal(told_by("signals", &plan), "");
	signal(SIGPIPE, SIG_DFL);
	signal(SIGALRM, SIG_DFL);
}

static void
a_child_has_what_its_plan_says(void **state)
{
	char *env[] = { (char *)(uintptr_t) "A=1",
		(char *)(uintptr_t) "B=", NULL };

	(void)state;
	assert_string_equal(told_by("session",
				&(struct proc_plan){ .own_session = true }),
	    "1 1");
	assert_string_equal(told_by("session", &(struct proc_plan){ 0 }),
	    "0 0");
	assert_string_equal(told_by("directory",
				&(struct proc_plan){ .directory = "/usr" }),
	    "/usr");
	assert_string_equal(told_by("limit",
				&(struct proc_plan){
				    .limits = { { RLIMIT_NOFILE, 100, 200 } },
				    .limit_count = 1 }),
	    "100/200");
	assert_string_equal(told_by("environment",
				&(struct proc_plan){ .envp = env }),
	    "A=1;B=;");
	assert_string_equal(told_by("environment", &(struct proc_plan){ 0 }),
	    "");
	assert_string_equal(told_by("death-signal",
				&(struct proc_plan){
				    .dies_with_parent = true }),
	    "9");
	assert_string_equal(told_by("death-signal", &(struct proc_plan){ 0 }),
	    "0");
}

/* What ps(1) shows, also when it was found by descriptor; before Linux 6.14
 * that was the descriptor's number. */
static void
a_child_is_named_after_its_file(void **state)
{
	int program_fd = open(self, O_PATH | O_CLOEXEC);
	char by_path[17], *slash, file[4096] = "";
	unsigned major = 0, minor = 0;
	struct utsname system;

	(void)state;
	snprintf(by_path, sizeof(by_path), "%s",
	    told_by("name", &(struct proc_plan){ 0 }));
	assert_string_equal(by_path, "exe");
	assert_true(readlink(self, file, sizeof(file) - 1) > 0);
	slash = strrchr(file, '/');
	slash[strlen(slash) < 16 ? strlen(slash) : 16] = '\0';
	uname(&system);
	sscanf(system.release, "%u.%u", &major, &minor);
	if (major * 1000 + minor >= 6014)
		assert_string_equal(told_by("name",
					&(struct proc_plan){
					    .program_fd = program_fd }),
		    slash + 1);
	close(program_fd);
}

static void
root_starts_as_another_user(void **state)
{
	struct proc_plan plan = {
		.changes_user = true, .uid = 12345, .gid = 23456
	};

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_string_equal(told_by("user", &plan),
	    "12345 12345 12345/23456 23456 23456/0");
	plan = (struct proc_plan){ .changes_user = true,
		.uid = 12345,
		.gid = 23456,
		.dies_with_parent = true };
	assert_string_equal(told_by("death-signal", &plan), "9");
}

static void
namespaces_are_entered(void **state)
{
	char *argv[] = { self, (char *)(uintptr_t) "nothing", NULL };
	struct proc_plan plan = plan_of(argv);
	struct proc_started started;

	(void)state;
	plan.namespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC |
	    CLONE_NEWUTS | (geteuid() == 0 ? 0 : CLONE_NEWUSER);
	plan.dies_with_parent = true;
	plan.own_session = true;
	started = proc_start(&plan);
	if (started.step == PROC_CLONE && started.error != EINVAL)
		skip(); /* not allowed here */
	assert_string_equal(proc_step_name(started.step), "started");
	assert_int_equal(status_of(started.pid), 0);
}

static void
an_alarm_survives_execve_and_kills(void **state)
{
	char *argv[] = { self, (char *)(uintptr_t) "wait", NULL };
	struct proc_plan plan = plan_of(argv);
	struct proc_started started;
	sigset_t alarm_only, before;
	int status;

	(void)state;
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm_only, &before);
	signal(SIGALRM, SIG_IGN);
	plan.alarm_us = 1;
	for (int i = 0; i < 20; i++) {
		/* so short that it may end the child before execve as well */
		started = proc_start(&plan);
		assert_true(started.pid > 0);
		status = status_of(started.pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGALRM);
		plan.alarm_us = plan.alarm_us * 2 + 1;
	}
	signal(SIGALRM, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void
a_child_dies_with_its_parent(void **state)
{
	char *argv[] = { self, (char *)(uintptr_t) "wait", NULL };
	struct proc_plan plan = plan_of(argv);
	struct pollfd gone = { .events = POLLIN };
	int ends[2];
	pid_t between;

	(void)state;
	/* the child alone holds the writing end: its end is the pipe's */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	plan.dies_with_parent = true;
	between = fork();
	if (between == 0) {
		int fds[] = { -1, -1, -1, ends[1] };

		plan.fds = fds;
		plan.fd_count = COUNT(fds);
		_exit(proc_start(&plan).pid > 0 ? 0 : 1);
	}
	assert_int_equal(status_of(between), 0);
	close(ends[1]);
	gone.fd = ends[0];
	assert_int_equal(poll(&gone, 1, PATIENCE_MS), 1);
	assert_true(gone.revents & POLLHUP);
	close(ends[0]);
	/* as subreaper of the tests below we may have inherited it */
	while (waitpid(-1, NULL, 0) > 0)
		;
}

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

/* ---- Who we are. */

static void
becoming_another_user_is_for_good(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		gid_t groups[] = { 7, 8 };

		if (geteuid() != 0)
			_exit(proc_become(12345, 12345) == -1 &&
				    errno == EPERM ?
				0 :
				1);
		if (setgroups(2, groups) != 0 || proc_become(12345, 23456) != 0)
			_exit(2);
		if (getuid() != 12345 || geteuid() != 12345 ||
		    getgid() != 23456 || getgroups(0, NULL) != 0)
			_exit(3);
		if (seteuid(0) == 0 || setgid(0) == 0 || proc_become(0, 0) == 0)
			_exit(4);
		_exit(0);
	}
	status = status_of(pid);
	assert_int_equal(status, 0);
}

static void
no_new_privileges_stays_on(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(proc_no_new_privs() == 0 &&
			    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ?
			0 :
			1);
	assert_int_equal(status_of(pid), 0);
}

struct user_row {
	const char *sentence;
	const char *name;
	int result;
	uid_t uid;
	gid_t gid;
};

static const struct user_row users[] = {
	{ "root has a name", "root", 0, 0, 0 },
	{ "root has a number", "0", 0, 0, 0 },
	{ "a number needs no entry", "3999999999", 0, 3999999999u,
	    3999999999u },
	{ "a number may have a group", "3999999999:77", 0, 3999999999u, 77 },
	{ "a name may have a group", "root:77", 0, 0, 77 },
	{ "a group may have a name", "12345:root", 0, 12345, 0 },
	{ "a name nobody has is no user", "nobody-has-this-name", -1, 0, 0 },
	{ "a group nobody has is no group", "root:nobody-has-this", -1, 0, 0 },
	{ "nothing is no user", "", -1, 0, 0 },
	{ "a group alone is no user", ":0", -1, 0, 0 },
	{ "a user with an empty group is none", "0:", -1, 0, 0 },
	{ "the number that means nobody is refused", "4294967295", -1, 0, 0 },
	{ "a number above 32 bits is refused", "4294967296", -1, 0, 0 },
	{ "a negative number is refused", "-1", -1, 0, 0 },
};

static void
user(void **state)
{
	const struct user_row *row = *state;
	uid_t uid = 0;
	gid_t gid = 0;

	assert_int_equal(proc_find_user(row->name, &uid, &gid), row->result);
	if (row->result == 0) {
		assert_int_equal(uid, row->uid);
		assert_int_equal(gid, row->gid);
	}
}

struct words_row {
	const char *sentence;
	int status;
	const char *words;
};

static const struct words_row words_rows[] = {
	{ "a good end is exit 0", 0, "exit 0" },
	{ "an exit code is a number", 3 << 8, "exit 3" },
	{ "a signal has its name", SIGSEGV, "signal SEGV" },
	{ "a core dump is the same signal", SIGSEGV | 0x80, "signal SEGV" },
	{ "the alarm has its name", SIGALRM, "signal ALRM" },
	{ "a real-time signal has its number", 40, "signal 40" },
};

static void
words(void **state)
{
	const struct words_row *row = *state;
	char text[32];

	assert_string_equal(proc_status_words(row->status, text), row->words);
}

static void
names_of_signals(void **state)
{
	(void)state;
	assert_string_equal(proc_signal_name(SIGKILL), "KILL");
	assert_string_equal(proc_signal_name(0), "?");
	assert_string_equal(proc_signal_name(-1), "?");
	assert_string_equal(proc_signal_name(1000), "?");
}

static int
be_subreaper(void **state)
{
	(void)state;
	return proc_subreaper();
}

static const struct CMUnitTest starting[] = {
	{ .name = "a user one may not become fails at user",
	    .test_func = a_user_one_may_not_become_fails_at_user },
	{ .name = "a child has default signals and an empty mask",
	    .test_func = a_child_has_default_signals_and_an_empty_mask },
	{ .name = "a child has what its plan says",
	    .test_func = a_child_has_what_its_plan_says },
	{ .name = "a child is named after its file",
	    .test_func = a_child_is_named_after_its_file },
	{ .name = "root starts a child as another user",
	    .test_func = root_starts_as_another_user },
	{ .name = "namespaces are entered",
	    .test_func = namespaces_are_entered },
	{ .name = "an alarm survives execve and kills",
	    .test_func = an_alarm_survives_execve_and_kills },
	{ .name = "a child dies with its parent",
	    .test_func = a_child_dies_with_its_parent },
	{ .name = "becoming another user is for good",
	    .test_func = becoming_another_user_is_for_good },
	{ .name = "no new privileges stays on",
	    .test_func = no_new_privileges_stays_on },
	{ .name = "signals have names", .test_func = names_of_signals },
};

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
main(int argc, char **argv)
{
	if (argc > 1)
		return play(argv[1]);
	if (fd_cloexec_from(3) != 0) /* what the caller's shell left us */
		return 1;
	return RUN_ROWS(failures, failure) + RUN_ROWS(scripts, script) +
	    RUN_ROWS(copies, copy) + RUN_ROWS(fd_rows, descriptors) +
	    RUN_ROWS(users, user) + RUN_ROWS(words_rows, words) +
	    cmocka_run_group_tests(starting, NULL, NULL) +
	    cmocka_run_group_tests(killing, be_subreaper, NULL);
}
