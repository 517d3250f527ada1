/* SPDX-License-Identifier: MIT */
/* choice.h - whether the processes of a function are executed or forked from a
 * template, where its settings leave that to the host (start = "auto"). Pure
 * policy: no system calls, no clock of its own. Who starts processes tells what
 * they took, asks at each start and does as told. All times are microseconds of
 * one clock that never goes back; lengths of time likewise.
 *
 * A template saves what there is between execve(2) and the first request, for
 * each process, and costs one process that stays: its memory and one start. It
 * pays when a start is so long that who waits for it notices, or when there are
 * so many that the processor does; not when they are so far apart that it would
 * end of idleness between them, nor when the tenant's memory does not allow it.
 *
 * How long a start is says a process that tells when it is ready (a worker, a
 * template). Of a CGI program only the whole run is known, so where that is long
 * a template is tried, once: how long it takes to be ready is the answer. */
#ifndef GATEWAY_CHOICE_H
#define GATEWAY_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	CHOICE_NOTICED_US = 5000,  /* saved for each: somebody notices */
	CHOICE_PROCESSOR = 100,	   /* 1/100 of one saved: it does */
	CHOICE_TRY_PROCESSOR = 20, /* of whole runs, of which it is a part */
	CHOICE_FORK_US = 400,	   /* until it was measured, and for each */
	CHOICE_FORK_MIB_US = 20,   /* ... MiB without huge pages */
	CHOICE_MANY = 16,	   /* starts, before their rate is one */
	CHOICE_BACK = 2,	   /* it goes back at half of what it took */
	CHOICE_MEMORY_PART = 2,	   /* of the tenant's, for all its templates */
};

enum way { WAY_EXECUTED, WAY_FORKED, WAYS };

struct choice_taken {	   /* by processes made so; smoothed, 0: not known */
	uint64_t ready_us; /* from START until it could serve */
	uint64_t run_us;   /* ... until its end, one request each */
	uint64_t cpu_us;   /* likewise */
	uint64_t count;	   /* processes */
};

enum choice_why {      /* sentences: explain.c */
	CHOICE_NEW,    /* nothing is measured */
	CHOICE_CHEAP,  /* a start is so short that nothing is saved */
	CHOICE_SELDOM, /* it would end of idleness in between */
	CHOICE_DEAR,   /* the tenant's memory does not allow it */
	CHOICE_TRIES,  /* runs are long: what of it is the start? */
	CHOICE_LONG,   /* each start is noticed */
	CHOICE_OFTEN,  /* all of them together are */
};

struct choice { /* embedded in a function; zeroed is a new one */
	enum way way;
	enum choice_why why;
	uint64_t since_us; /* it is that way, 0: from the start */
	uint64_t starts;
	uint64_t start_at_us; /* the last one, 0: there was none */
	uint64_t last_us;     /* between the last two, 0: there was one */
	uint64_t gap_us;      /* ... between any two, smoothed */
	uint64_t resident; /* bytes of one that has initialised, 0: unknown */
	struct choice_taken taken[WAYS];
};

/* As it is now. */
struct choice_facts {
	uint64_t now_us;
	uint64_t warm_us; /* a template without anything to do stays so long */
	uint64_t memory;  /* bytes that the tenant may use, */
	uint64_t held;	  /* ... and its templates of other functions do */
};

/* A process was started, either way. */
void choice_started(struct choice *, uint64_t now_us);
/* One has told that it is ready. A template is executed. */
void choice_ready(struct choice *, enum way, uint64_t ready_us);
/* One has ended that served one request. */
void choice_ran(struct choice *, enum way, uint64_t run_us, uint64_t cpu_us);
/* The most that one had of memory. */
void choice_resident(struct choice *, uint64_t bytes);
/* The program is another one now: what was measured of it is forgotten. */
void choice_changed(struct choice *);

/* How the next one is made; at each start, and whenever anybody wants to know. */
enum way choice_ask(struct choice *, const struct choice_facts *);

/* For each start, if it were forked; 0 when nothing is, or nothing is known. */
uint64_t choice_saved_us(const struct choice *);
/* Starts in 1000 s; 0: one at most. */
uint64_t choice_rate(const struct choice *, uint64_t now_us);
/* Until a process made so can serve: measured, or else supposed; 0: not even
 * that. */
uint64_t choice_until_us(const struct choice *, enum way, bool *measured);

#endif
