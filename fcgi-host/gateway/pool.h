/* SPDX-License-Identifier: MIT */
/* pool.h - how many processes a function of workers should have: when one more is
 * started, when an idle one is stopped, when a program that dies young has to
 * wait. Pure policy: no system calls, no clock of its own; it knows numbers and
 * times, not workers. Who has the workers counts them, tells what happened, asks
 * and does as told. All times are microseconds of one clock that never goes
 * back; lengths of time likewise.
 *
 * Growth: a request without a worker has one started. While nothing is proven one
 * is started for each that waits, up to twice the processors; later only what
 * will still be wanted when it is ready, one at a time or as many as there are.
 * Spares: once the function was asked for, `spare` ready ones are kept ahead, and
 * up to `spare_most` when the rate of requests asks for them (Little's law).
 * They are never more than tenant, memory and free room allow.
 * Decline: an idle worker beyond those is stopped when it was idle for warm_us.
 * Damper: workers that die young add to a score, which falls with time; at its
 * limit nothing is started. What died young last is not kept ahead. */
#ifndef GATEWAY_POOL_H
#define GATEWAY_POOL_H

#include <stdbool.h>
#include <stdint.h>

/* The score of mod_fcgid, but that a start counts only until it is proved good:
 * with requests = 1 every request is a start. */
enum {
	POOL_SCORE_START = 1, /* as long as it is not proved */
	POOL_SCORE_YOUNG = 2, /* it ended, served nothing, nobody asked it */
	POOL_SCORE_MOST = 10, /* a start that would be above it waits */
	POOL_SCORE_KEPT = 30, /* however many die: so nobody waits for ever */
	POOL_SCORE_FALLS_US = 1000000, /* for each 1 less */
};

/* What the functions of a tenant keep ahead together. Zeroed is none. */
struct pool_tenant {
	unsigned least; /* their `spare`, of those that were asked for */
	unsigned more;	/* what they have beyond it */
};

struct pool {			    /* embedded in a function; pool_init() */
	struct pool_tenant *tenant; /* outlives us */
	bool asked_for;		    /* since the gateway started */
	unsigned least, more;	    /* ours of the tenant's */
	uint64_t arrivals;	    /* in this tick */
	uint64_t tick;		    /* its number */
	uint64_t rate;		    /* requests in 1000 s, smoothed */
	uint64_t start_us;	    /* smoothed, 0: not known */
	uint64_t serve_us;	    /* likewise */
	bool start_serves;	    /* a first request is in start_us, too */
	bool sour;		    /* the last one died young */
	uint64_t resident;	    /* bytes of the largest so far, 0: none */
	uint64_t score_us; /* POOL_SCORE_FALLS_US for each of the score */
	uint64_t scored_at_us;
	unsigned held;	       /* the most ahead in the last warm_us */
	uint64_t held_at_us;   /* when it was */
	uint64_t short_at_us;  /* since when fewer are ready, 0: enough */
	uint64_t wanted_at_us; /* since when somebody waits, 0: nobody */
};

/* As it is now. Workers are in one of four states until ENDED has come. */
struct pool_facts {
	uint64_t now_us;
	unsigned concurrency; /* of the function; 0: switched off */
	unsigned spare;	      /* settled settings: least, ... */
	unsigned spare_most;  /* ... most, 0 or not below spare */
	uint64_t requests;    /* a worker serves, 0: no limit */
	uint64_t warm_us;
	unsigned tenant_spare; /* terms->spare */
	unsigned processors;
	unsigned room;	   /* processes that tenant and host still allow */
	uint64_t memory;   /* bytes the tenant may still use for spares */
	unsigned starting; /* not ready, whether a request was sent to it */
	unsigned ready;	   /* ready and idle */
	unsigned busy;	   /* ready and serving */
	unsigned last;	   /* of the busy: serve their last request */
	unsigned leaving;
	unsigned waiting; /* requests that hold a slot and have no worker, or
			   * one that is starting */
	uint64_t idle_since_us; /* of the ready one that is idle longest */
};

struct pool_answer {
	unsigned start;	   /* so many now, for requests: make room for them */
	unsigned ahead;	   /* and so many, only where there is room */
	bool stop;	   /* the one idle longest; then ask again */
	unsigned spare;	   /* how many ready ones are kept now */
	uint64_t again_us; /* ask at that time, UINT64_MAX: when anything
			    * happens */
	uint64_t refused_until_us; /* the damper: nothing starts before; 0:
				    * something may */
};

void pool_init(struct pool *, struct pool_tenant *);
/* Gives back what it has of its tenant: the function is gone, or has no workers
 * any more. It is as it was after pool_init(). */
void pool_done(struct pool *);

/* A request holds its slot and wants a worker. */
void pool_arrived(struct pool *, uint64_t now_us);
/* The first sign of a worker that it works: it said that it is ready, or answered
 * its first request. How long after its START, and how long ago it was given that
 * request; 0 when it said so without one. */
void pool_proved(struct pool *, uint64_t age_us, uint64_t serving_us);
/* A request was served: from when the worker was given it, or was ready if that
 * was later. Not the first of a worker that never said that it is ready. */
void pool_served(struct pool *, uint64_t serving_us);
/* ENDED came. `ordered`: we had asked it to end, and not because it failed.
 * `resident`: its largest size in bytes, 0: unknown. */
enum pool_life {
	POOL_LIFE_UNPROVED,
	POOL_LIFE_PROVED, /* and served nothing */
	POOL_LIFE_SERVED,
};
void pool_ended(struct pool *, enum pool_life, bool ordered, uint64_t resident,
    uint64_t now_us);
/* The program is another one now: what was measured of it is forgotten, and that
 * it died young. */
void pool_changed(struct pool *);

/* The age from which a worker that says nothing counts as ready. */
uint64_t pool_ready_us(const struct pool *);

/* Idle ones that are given to requests are the one used last; with requests = 1
 * the oldest. */
struct pool_answer pool_ask(struct pool *, const struct pool_facts *);

/* How many of its `spare` it does not keep, because all that its tenant may is kept
 * ahead already. */
unsigned pool_short(const struct pool *, const struct pool_facts *);

#endif
