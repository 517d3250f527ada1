/* SPDX-License-Identifier: MIT */
/* outcome.c - why a run ended. A signal alone does not say: the alarm that ends
 * a function at its limit is the same SIGALRM it may have set itself, so times
 * are compared as well. */
#include <signal.h>
#include <sys/wait.h>

#include "gateway/outcome.h"

enum {
	/* The kernel arms the alarm a little after the launcher notes the
	 * start, and counts processor time in ticks. */
	TIME_SLACK_US = 2000,
	CPU_SLACK_US = 20000,
};

static bool reached_alarm(const struct outcome_facts *);
static bool reached_time(const struct outcome_facts *);
static bool reached_cpu(const struct outcome_facts *);
static bool reached_memory(const struct outcome_facts *);

enum end
outcome_of_reply(const struct outcome_facts *f)
{
	if (f->lost)
		return f->stopped    ? f->stop_end :
		    f->out_of_memory ? END_MEMORY :
		    f->unread	     ? END_CELL_GONE :
				       END_LAUNCHER_GONE;
	if (!WIFSIGNALED(f->wait_status))
		return END_DONE;
	if (f->stopped)
		return f->stop_end;
	if (reached_alarm(f))
		return END_TIME;
	if (reached_cpu(f))
		return END_CPU;
	if (reached_memory(f))
		return END_MEMORY;
	return END_CRASHED;
}

enum end
outcome_without_reply(const struct outcome_facts *f, bool wrote)
{
	enum end end = outcome_of_reply(f);

	if (end != END_DONE)
		return end;
	/* It was asked to end, by us or by the alarm it caught, and did,
	 * without a word. */
	if (f->stopped)
		return f->stop_end;
	if (reached_time(f))
		return END_TIME;
	if (reached_memory(f))
		return END_MEMORY;
	return wrote ? END_BAD_REPLY : END_NO_REPLY;
}

bool
outcome_killed(int wait_status)
{
	return WIFSIGNALED(wait_status) ?
	    WTERMSIG(wait_status) == SIGKILL :
	    WEXITSTATUS(wait_status) == 128 + SIGKILL;
}

uint32_t
outcome_app_status(const struct outcome_facts *f)
{
	if (f->lost)
		return 0;
	if (WIFSIGNALED(f->wait_status))
		return 128 + (uint32_t)WTERMSIG(f->wait_status);
	return (uint32_t)WEXITSTATUS(f->wait_status);
}

static bool
reached_alarm(const struct outcome_facts *f)
{
	return WTERMSIG(f->wait_status) == SIGALRM && reached_time(f);
}

static bool
reached_time(const struct outcome_facts *f)
{
	return f->time_ms > 0 && f->ran_us + TIME_SLACK_US >= f->time_ms * 1000;
}

/* RLIMIT_CPU counts whole seconds: SIGXCPU at the limit, SIGKILL a second
 * later for who catches it. */
static bool
reached_cpu(const struct outcome_facts *f)
{
	uint64_t limit_us = (f->cpu_ms + 999) / 1000 * 1000000;
	int signo = WTERMSIG(f->wait_status);

	if (f->cpu_ms == 0)
		return false;
	return signo == SIGXCPU ||
	    (signo == SIGKILL && f->cpu_us + CPU_SLACK_US >= limit_us);
}

/* The kernel chooses whom to kill: the program itself, or one it has started;
 * then a shell tells by its exit code. */
static bool
reached_memory(const struct outcome_facts *f)
{
	return f->out_of_memory && outcome_killed(f->wait_status);
}
