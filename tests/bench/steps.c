/* SPDX-License-Identifier: MIT */
/* steps.c - how many instructions a process executes outside the kernel, on a
 * machine that does not count them: steps PID goes through its first thread one by
 * one, until SIGINT, and prints the number on stderr, as perf does. Meanwhile both
 * are on one processor: a step is three times as fast without waking another. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/wait.h>

static volatile sig_atomic_t over;

static void
end(int signal)
{
	over = over || signal == SIGINT;
}

/* A step that is done and not told yet would kill who is left alone with it. */
static bool
step_is_due(int pid)
{
	struct __ptrace_peeksiginfo_args all = { .nr = 8 };
	siginfo_t pending[8];
	long found = ptrace(PTRACE_PEEKSIGINFO, pid, &all, pending);

	for (long i = 0; i < found; i++)
		if (pending[i].si_signo == SIGTRAP)
			return true;
	return false;
}

/* True when it is let go. */
static bool
go_on(int pid, int status)
{
	bool event = status >> 16 != 0;
	int pass = event || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);

	if (!over)
		return ptrace(PTRACE_SINGLESTEP, pid, NULL,
			   (void *)(long)pass) != 0;
	if (event && step_is_due(pid))
		return ptrace(PTRACE_CONT, pid, NULL, NULL) != 0;
	ptrace(PTRACE_DETACH, pid, NULL, (void *)(long)pass);
	return true;
}

static unsigned long long
count(int pid)
{
	unsigned long long steps = 0;
	int status;

	for (;;) {
		if (waitpid(pid, &status, __WALL) != pid) {
			if (errno != EINTR)
				return steps;
			if (over) /* while it waits in the kernel */
				ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
			continue;
		}
		if (!WIFSTOPPED(status))
			return steps;
		steps += WSTOPSIG(status) == SIGTRAP && status >> 16 == 0;
		if (go_on(pid, status))
			return steps;
	}
}

int
main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = end };
	struct itimerval often = { .it_interval = { .tv_usec = 50000 },
		.it_value = { .tv_usec = 50000 } };
	cpu_set_t before, one;
	int pid;

	if (argc != 2)
		return 2;
	pid = atoi(argv[1]);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGALRM, &act, NULL);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0) {
		perror("steps");
		return 1;
	}
	sched_getaffinity(pid, sizeof(before), &before);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(pid, sizeof(one), &one);
	sched_setaffinity(0, sizeof(one), &one);
	setitimer(ITIMER_REAL, &often, NULL);
	fprintf(stderr, "%llu\n", count(pid));
	sched_setaffinity(pid, sizeof(before), &before);
	return 0;
}
