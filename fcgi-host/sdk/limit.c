/* SPDX-License-Identifier: MIT */
/* limit.c - what a CGI program is started with, done for each request of a process
 * that answers many: the kernel's alarm at the deadline, whose default action ends
 * the process, and a soft limit of its processor time. */

#include <sys/resource.h>
#include <sys/time.h>

#include "base/clock.h"

#include "sdk/handler.h"

static bool armed, limited;
static struct rlimit before;

static void cpu_limit(uint64_t cpu_s);

void
limit_begin(uint64_t deadline_ms, uint64_t cpu_s)
{
	uint64_t now = clock_unix_ms();
	/* 0 would be no alarm at all. */
	uint64_t left = deadline_ms > now ? deadline_ms - now : 1;
	struct itimerval once = { 0 };

	once.it_value.tv_sec = (time_t)(left / 1000);
	once.it_value.tv_usec = (suseconds_t)(left % 1000 * 1000);
	if (deadline_ms != REQUEST_DEADLINE_NONE)
		armed = setitimer(ITIMER_REAL, &once, NULL) == 0;
	if (cpu_s > 0)
		cpu_limit(cpu_s);
}

void
limit_end(void)
{
	static const struct itimerval never;

	if (armed)
		setitimer(ITIMER_REAL, &never, NULL);
	if (limited)
		setrlimit(RLIMIT_CPU, &before);
	armed = limited = false;
}

void
limit_process(uint64_t time_us, uint64_t cpu_s)
{
	struct itimerval once = { 0 };
	struct rlimit now;

	once.it_value.tv_sec = (time_t)(time_us / 1000000);
	once.it_value.tv_usec = (suseconds_t)(time_us % 1000000);
	if (time_us > 0)
		setitimer(ITIMER_REAL, &once, NULL);
	if (cpu_s == 0 || getrlimit(RLIMIT_CPU, &now) != 0)
		return;
	/* The template's own may be lower; it can only be lowered. */
	if (now.rlim_max > (rlim_t)cpu_s + 1)
		now.rlim_max = (rlim_t)cpu_s + 1;
	now.rlim_cur =
	    now.rlim_max > (rlim_t)cpu_s ? (rlim_t)cpu_s : now.rlim_max;
	setrlimit(RLIMIT_CPU, &now);
}

/* The kernel counts whole seconds, from the start of the process. */
static void
cpu_limit(uint64_t cpu_s)
{
	struct rusage used;
	struct rlimit now;

	if (getrusage(RUSAGE_SELF, &used) != 0 ||
	    getrlimit(RLIMIT_CPU, &before) != 0)
		return;
	now = before;
	now.rlim_cur = (rlim_t)cpu_s + (rlim_t)used.ru_utime.tv_sec +
	    (rlim_t)used.ru_stime.tv_sec +
	    ((rlim_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) + 999999) /
		1000000;
	if (now.rlim_cur < before.rlim_max)
		limited = setrlimit(RLIMIT_CPU, &now) == 0;
}
