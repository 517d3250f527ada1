/* SPDX-License-Identifier: MIT */
/* usage.c - reads the kernel's counters of a tenant's control groups. A group
 * that is gone can be read no more: what was read last stays. */
#include <unistd.h>

#include "base/fd.h"

#include "gateway/usage.h"

enum {
	TEXT_MOST = 1024, /* the longest, cpu.stat, has a few hundred bytes */
	STALE_MS = 1000,
};

static const struct {
	const char *meter;
	const char *key;
} kinds[USAGE_KINDS] = {
	[USAGE_MEMORY] = { "memory", "oom_kill" },
	[USAGE_PROCESSES] = { "pids", "max" },
	[USAGE_CPU] = { "cpu", "nr_throttled" },
};

static void usage_read(struct usage *, enum usage_kind);

void
usage_init(struct usage *u)
{
	*u = (struct usage){ .fds = { -1, -1, -1 } };
}

void
usage_open(struct usage *u, struct span meters, int *fds, size_t count)
{
	for (size_t i = 0; i < count && meters.bytes > 0; i++) {
		struct span name = span_cut(&meters, '\0');

		for (int kind = 0; kind < USAGE_KINDS; kind++) {
			if (!span_equal(name, span_of(kinds[kind].meter)) ||
			    u->fds[kind] >= 0)
				continue;
			u->fds[kind] = fds[i];
			fds[i] = -1;
			usage_read(u, (enum usage_kind)kind);
			u->taken[kind] = u->count[kind];
		}
	}
}

void
usage_close(struct usage *u)
{
	for (int kind = 0; kind < USAGE_KINDS; kind++)
		fd_close(&u->fds[kind]);
}

bool
usage_known(const struct usage *u, enum usage_kind kind)
{
	return u->fds[kind] >= 0;
}

uint64_t
usage_take(struct usage *u, enum usage_kind kind)
{
	uint64_t count;

	usage_read(u, kind);
	count = u->count[kind] - u->taken[kind];
	u->taken[kind] = u->count[kind];
	return count;
}

uint64_t
usage_killed_before(struct usage *u, uint64_t now_ms)
{
	if (now_ms - u->read_ms >= STALE_MS) {
		u->read_ms = now_ms;
		usage_read(u, USAGE_MEMORY);
	}
	return u->count[USAGE_MEMORY];
}

uint64_t
usage_killed(struct usage *u)
{
	usage_read(u, USAGE_MEMORY);
	return u->count[USAGE_MEMORY];
}

uint64_t
usage_number(struct span text, struct span key)
{
	uint64_t value = 0;

	while (text.bytes > 0) {
		struct span line = span_cut(&text, '\n');

		if (span_equal(span_cut(&line, ' '), key) &&
		    span_number(line, UINT64_MAX, &value) == 0)
			return value;
	}
	return 0;
}

/* They only grow: one that does not is of a file that cannot be read. */
static void
usage_read(struct usage *u, enum usage_kind kind)
{
	char text[TEXT_MOST];
	ssize_t n =
	    u->fds[kind] < 0 ? -1 : pread(u->fds[kind], text, sizeof(text), 0);
	uint64_t count;

	if (n <= 0)
		return;
	count =
	    usage_number(span_make(text, (size_t)n), span_of(kinds[kind].key));
	if (count > u->count[kind])
		u->count[kind] = count;
}
