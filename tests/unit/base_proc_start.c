/* SPDX-License-Identifier: MIT */
/* If this fails, functions inherit descriptors, signals or rights of the host, or
 * die of nothing at their deadline. */

#include "proc_roles.h"

#include <errno.h>
#include <sched.h>

#include "base/fd.h"

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

/* Whatever the kernel says of it: none known, not allowed, no such thing. */
static void
rules_that_are_none_are_told(void **state)
{
	char *argv[] = { (char *)(uintptr_t) "true", NULL };
	struct proc_plan plan = plan_of(argv);
	struct proc_started started;

	(void)state;
	plan.rules_fd = 900;
	started = proc_start(&plan);
	assert_int_equal(started.pid, -1);
	assert_string_equal(proc_step_name(started.step), "rules");
	assert_int_not_equal(started.error, 0);
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

/* The directory of our group, if that is version 2 and we may make some in it. */
static bool
group_make(char path[512])
{
	static const char *const mounts[] = { "/sys/fs/cgroup",
		"/sys/fs/cgroup/unified" };
	char line[256], own[256] = "";
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "0::%255s", own) == 1)
			break;
	if (f)
		fclose(f);
	for (size_t i = 0; own[0] && i < COUNT(mounts); i++) {
		struct stat st;

		snprintf(path, 512, "%s%s/cgroup.procs", mounts[i], own);
		if (stat(path, &st) != 0)
			continue;
		snprintf(path, 512, "%s%s/fcgi-host-unit-%d", mounts[i], own,
		    getpid());
		if (mkdir(path, 0755) == 0)
			return true;
	}
	return false;
}

static void
a_child_can_be_made_in_a_control_group(void **state)
{
	struct proc_plan plan = { 0 };
	char path[512], name[64];
	const char *found;

	(void)state;
	if (geteuid() != 0 || !group_make(path))
		skip();
	plan.cgroup_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(plan.cgroup_fd > 0);
	snprintf(name, sizeof(name), "fcgi-host-unit-%d\n", getpid());
	found = strstr(told_by("groups", &plan), name);
	/* and it is as any other child is */
	plan.namespaces = CLONE_NEWUTS;
	plan.argv = NULL;
	assert_string_equal(told_by("session", &plan), "0 0");
	close(plan.cgroup_fd);
	assert_int_equal(rmdir(path), 0);
	assert_non_null(found);
}

static void
a_group_that_is_none_fails_at_clone(void **state)
{
	struct proc_plan plan = { .path = self,
		.argv = one_arg,
		.envp = no_env,
		.cgroup_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	struct proc_started started = proc_start(&plan);

	(void)state;
	assert_int_equal(started.pid, -1);
	assert_int_equal(started.step, PROC_CLONE);
	assert_int_equal(started.error, EBADF);
	close(plan.cgroup_fd);
}

static const struct CMUnitTest starting[] = {
	{ .name = "a child can be made in a control group",
	    .test_func = a_child_can_be_made_in_a_control_group },
	{ .name = "a group that is none fails at clone",
	    .test_func = a_group_that_is_none_fails_at_clone },
	{ .name = "a user one may not become fails at user",
	    .test_func = a_user_one_may_not_become_fails_at_user },
	{ .name = "rules that are none fail at rules",
	    .test_func = rules_that_are_none_are_told },
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
	    cmocka_run_group_tests(starting, NULL, NULL);
}
