/* SPDX-License-Identifier: MIT */
/* usage.h - how often a tenant has reached what it may use as a whole: counters
 * of the kernel, in files that master opened. Where there are none, as without
 * control groups, nothing was ever reached. */
#ifndef GATEWAY_USAGE_H
#define GATEWAY_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum usage_kind {
	USAGE_MEMORY,	 /* processes killed */
	USAGE_PROCESSES, /* ... that could not be started */
	USAGE_CPU,	 /* periods at whose end they had to wait */
	USAGE_KINDS,
};

struct usage {
	int fds[USAGE_KINDS];	     /* ours, or -1 */
	uint64_t count[USAGE_KINDS]; /* as read last */
	uint64_t taken[USAGE_KINDS]; /* ... of which have been told */
	uint64_t read_ms;	     /* memory, for usage_killed_before() */
};

void usage_init(struct usage *);
/* Takes descriptors of TENANT_CELL: those that `meters` names, by fds[i] = -1.
 * What was counted before is not this cell's. */
void usage_open(struct usage *, struct span meters, int *fds, size_t count);
void usage_close(struct usage *);

/* Whether the kernel counts, and so limits, this. */
bool usage_known(const struct usage *, enum usage_kind);

/* How often since it was taken last; 0 also when that is not known. */
uint64_t usage_take(struct usage *, enum usage_kind);

/* How many processes the kernel has killed because memory was at its limit:
 * before a run, a little out of date, and now. */
uint64_t usage_killed_before(struct usage *, uint64_t now_ms);
uint64_t usage_killed(struct usage *);

/* A number in "key value" lines; 0 when it is not there. */
uint64_t usage_number(struct span text, struct span key);

#endif
