/* SPDX-License-Identifier: MIT */
/* worker.h - processes that serve many requests, one at a time: the workers of a
 * function with protocol fastcgi. How many there are is pool.h's to say; how a
 * request is put to one is in fastcgi.c. Always true: a worker has one launcher
 * from START to ENDED, and what holds a function's slot is the request, not the
 * worker.
 *
 *   WANTED ─(START)─▶ STARTING ─▶ READY ◀──▶ BUSY
 *     │                   └─────────────────▶ │
 *     │    any of these ─▶ LEAVING ─(ENDED)─▶ GONE
 *     └───────────────────────────────────────▶
 *
 * WANTED: waits for a launcher. STARTING: nothing was heard of it yet; it may
 * have its first request, which waits in its inlet. READY: idle. BUSY: has a
 * request, and works. LEAVING: gets no request any more; it may have its last.
 * Its inlet is shut, which ends the wait of an idle one, and what it has not
 * taken is taken back; TERM comes only when limits.time since it was given its
 * last request is over. GONE: nothing of it is left; memory until the end of the
 * batch. */
#ifndef GATEWAY_WORKER_H
#define GATEWAY_WORKER_H

#include "gateway/herald.h"
#include "gateway/inlet.h"
#include "gateway/pool.h"
#include "gateway/run.h"

struct link;
struct request;

enum worker_state {
	WORKER_WANTED,
	WORKER_STARTING,
	WORKER_READY,
	WORKER_BUSY,
	WORKER_LEAVING,
	WORKER_GONE,
};

enum {
	WORKERS_SPARE_AUTO = 4,	   /* at most, unless settings say */
	WORKER_COMPARED_MS = 1000, /* its file, so often, when it is used */
	WORKER_TRIAL_MS = 20,
	WORKER_PEACE_MS = 10000, /* to end in, without limits.time */
};

/* What a program of the SDK writes to descriptor 1 when it is ready: it drains
 * what it is sent, and a connection to it may be kept. */
#define WORKER_READY_LINE "fn-worker 1 ready\n"

struct worker {
	enum worker_state state;
	struct gateway *gateway;   /* borrowed */
	struct workers *workers;   /* borrowed, stays while it has us */
	struct function *function; /* a reference */
	struct settings *settings; /* a reference: it was started by these */
	struct cell *cell;	   /* outlives us */
	struct list all;	   /* in workers->all */
	struct list in_cell;	   /* in cell->workers */
	struct list in_gateway;	   /* in gateway->workers */
	struct list idle;	   /* in workers->idle, while READY */
	struct list lapse;	   /* in gateway->workers_idle, likewise */
	struct run run;
	struct inlet inlet;	 /* ours */
	struct request *request; /* it was given, until it is over */
	bool proved;		 /* it said it is ready, or answered */
	bool drains;		 /* ... it said it */
	bool last;		 /* request is its last */
	bool hung_up;		 /* it has closed a connection to keep */
	bool failed;		 /* ended because it did not do its work */
	uint64_t served;
	uint64_t started_us;
	uint64_t ready_us; /* when it said so */
	uint64_t given_us; /* its last request */
	uint64_t idle_us;  /* since then, while READY */
	struct link *link; /* ours, unless it is the request's, or NULL */
	struct herald herald;
	struct timer timer; /* STARTING: old enough; LEAVING: too long */
	struct deferred part;
	struct deferred end;
};

struct workers {		   /* of a function */
	struct function *function; /* whose we are */
	struct gateway *gateway;
	struct list all;
	struct list idle;		 /* READY, used last first */
	struct list wanting;		 /* requests, first come first */
	struct list due;		 /* in gateway->workers_due */
	unsigned count[WORKER_GONE + 1]; /* by state */
	unsigned last;			 /* of the BUSY */
	unsigned waiting;		 /* in wanting */
	unsigned assigned;		 /* requests of STARTING ones */
	struct pool pool;
	uint64_t refused_until_us; /* the damper; 0: no */
	struct worker *trial;	   /* shows whether it keeps its connection */
	bool keeps;		   /* one did */
	bool lingers;		   /* no connection is kept, see fastcgi.h */
	bool piecemeal;		   /* likewise */
	int died_status;	   /* of who died young last */
	bool stale;		   /* no spares until it is resolved anew */
	uint64_t stale_ms;	   /* when we had that asked last */
	struct timer timer;	   /* pool wants to be asked */
};

/* Of a function, which has them from its first request on: NULL without memory. */
struct workers *workers_of(struct function *);
/* pool_short() of it. */
unsigned workers_spare_short(const struct workers *);
void workers_free(struct workers **); /* none is left; NULL is harmless */
/* Who gets the next request: worker_give() takes it. One that is idle, or, when
 * nothing works yet, one that is starting. NULL: none. */
struct worker *workers_idle(const struct workers *);
/* Waits for one (WAITS_PROCESS), and has one started if that helps. */
void workers_want(struct workers *, struct request *);
void workers_unwant(struct workers *, struct request *); /* no more */
void workers_changed(struct function *);  /* its file or settings */
void workers_compared(struct function *); /* it is resolved anew */
void workers_cell_gone(struct tenant *);  /* who waits, waits for another */
void workers_leave(struct cell *);	  /* all of a cell */
void workers_drain(struct gateway *);	  /* all that are idle */
void workers_close(struct gateway *);	  /* before the gateway ends */
/* Stops the idle one that was used longest ago, of that cell unless it is NULL.
 * False: there is none. */
bool workers_evict(struct gateway *, const struct cell *);
void workers_room(struct gateway *); /* a process has ended */
bool workers_settle(struct gateway
	*); /* at a batch's end; false: nothing to do */

/* It has a request, which was sent to it. */
void worker_give(struct worker *, struct request *);
void worker_proved(struct worker *);  /* something of it was heard */
void worker_hung_up(struct worker *); /* the connection that was kept */
/* It closed a kept connection, with all of its request unread. */
void worker_spurned(struct worker *);
/* The request is over, or given up. */
void worker_done(struct worker *);
/* Until when it may still do something behind its last request. */
uint64_t worker_peace_ms(const struct worker *);
/* Gets no more requests, and ends in peace. */
void worker_leave(struct worker *);
/* ... at once, for this reason. */
void worker_stop(struct worker *, enum end);

#endif
