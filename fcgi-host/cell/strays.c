/* SPDX-License-Identifier: MIT */
/* strays.c - accounts, and kills what is left. Knows no invocation. */

#include "base/clock.h"
#include "base/diag.h"
#include "base/proc.h"

#include "cell/strays.h"

enum {
	/* Killed processes go at once, unless one hangs in the kernel; then
	 * this launcher is given up and its orphans are the cell's. */
	STRAYS_MS = 5000,
	STRAYS_SEEN = 512, /* more than are ever kept */
};

static uint64_t cpu_us(const struct rusage *);
static bool is_among(pid_t, const pid_t *pids, size_t count);

void
used_add(struct used *u, const struct rusage *more)
{
	u->cpu_us += cpu_us(more);
	if ((uint64_t)more->ru_maxrss > u->max_rss_kib)
		u->max_rss_kib = (uint64_t)more->ru_maxrss;
}

bool
strays_there(const pid_t *keep, size_t keep_count)
{
	pid_t pids[STRAYS_SEEN];
	ssize_t found = proc_children(pids, STRAYS_SEEN);

	if (found < 0 || found > STRAYS_SEEN)
		return true;
	for (ssize_t i = 0; i < found; i++)
		if (!is_among(pids[i], keep, keep_count))
			return true;
	return false;
}

void
strays_kill(const pid_t *keep, size_t keep_count, struct used *u,
    void (*on_reaped)(void *arg, pid_t, int status), void *arg)
{
	struct rusage before, after;

	getrusage(RUSAGE_CHILDREN, &before);
	if (proc_kill_children(keep, keep_count, clock_ms() + STRAYS_MS,
		on_reaped, arg) != 0)
		diag_fatal("launcher: processes of an invocation cannot be "
			   "killed; the cell has them now");
	getrusage(RUSAGE_CHILDREN, &after);
	u->cpu_us += cpu_us(&after) - cpu_us(&before);
}

static uint64_t
cpu_us(const struct rusage *used)
{
	return (uint64_t)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) *
	    1000000 +
	    (uint64_t)used->ru_utime.tv_usec + (uint64_t)used->ru_stime.tv_usec;
}

static bool
is_among(pid_t pid, const pid_t *pids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (pids[i] == pid)
			return true;
	return false;
}
