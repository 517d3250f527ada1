/* SPDX-License-Identifier: MIT */
/* proc_roles.h - what a started program shows of itself: the test is that program
 * when argv[1] is a role, and told_by() is how it is asked. */
#ifndef PROC_ROLES_H
#define PROC_ROLES_H

#include "proc_child.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/proc.h"

static char self[] = "/proc/self/exe";
static char *no_env[] = { NULL };

/* ---- What the started program, this file again, does: argv[1] is a role. */

static inline void
show_fds(void)
{
	struct stat st;

	for (int fd = 0; fd < 256; fd++)
		if (fstat(fd, &st) == 0)
			printf("%d:%ju ", fd, (uintmax_t)st.st_size);
}

static inline void
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

static inline void
show_session(void)
{
	printf("%d %d", getsid(0) == getpid(), getpgid(0) == getpid());
}

static inline void
show_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	printf("%ju/%ju", (uintmax_t)limit.rlim_cur, (uintmax_t)limit.rlim_max);
}

static inline void
show_directory(void)
{
	char path[4096];

	printf("%s", getcwd(path, sizeof(path)));
}

static inline void
show_environment(void)
{
	for (char **e = environ; *e; e++)
		printf("%s;", *e);
}

static inline void
show_user(void)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	getresuid(&r, &e, &s);
	getresgid(&rg, &eg, &sg);
	printf("%u %u %u/%u %u %u/%d", r, e, s, rg, eg, sg, getgroups(0, NULL));
}

static inline void
show_death_signal(void)
{
	int signo = 0;

	prctl(PR_GET_PDEATHSIG, &signo);
	printf("%d", signo);
}

static inline void
show_name(void)
{
	char name[17] = "";

	prctl(PR_GET_NAME, name);
	printf("%s", name);
}

static inline void
show_groups(void)
{
	char text[2048];
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text));

	if (n > 0)
		printf("%.*s", (int)n, text);
	close(fd);
}

static inline void
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
	{ "groups", show_groups },
	{ "wait", wait_forever },
	{ "nothing", show_nothing },
};

static inline int
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

static inline struct proc_plan
plan_of(char **argv)
{
	return (struct proc_plan){ .path = self, .argv = argv, .envp = no_env };
}

/* What a role prints when it is started with this plan. */
static inline const char *
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

#endif
