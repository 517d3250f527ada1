/* SPDX-License-Identifier: MIT */
/* template.h - processes of functions that serve nobody: they have run their
 * initialisation, and others are forked from them (start = "fork"). A template is
 * a run like any, with a launcher of its own; what is forked from it is a run of
 * that launcher, and no different to who has it. Always true: whoever finds no
 * template that is ready is executed, so without one everything goes on, slower.
 *
 *   WANTED ─(START)─▶ STARTING ─(it says so)─▶ SERVING ─▶ LEAVING ─(ENDED)─▶ GONE
 *     │                  └──────────────────────────────▶ ▲                  ▲
 *     └──────────────────────────────────────────────────────────────────────┘
 *
 * WANTED: waits for a launcher. STARTING: its initialisation runs. SERVING:
 * what starts is forked from it. LEAVING: nothing is any more; what was goes on to its
 * end, and then it is stopped. GONE: nothing of it is left; memory until the end
 * of the batch.
 *
 * One that failed - died by itself, was not ready in time, did not fork - is
 * followed by another only after a pause, which doubles from failure to failure:
 * a program that cannot be one costs little more than its requests. */
#ifndef GATEWAY_TEMPLATE_H
#define GATEWAY_TEMPLATE_H

#include "gateway/herald.h"
#include "gateway/run.h"

enum template_state {
	TEMPLATE_WANTED,
	TEMPLATE_STARTING,
	TEMPLATE_SERVING,
	TEMPLATE_LEAVING,
	TEMPLATE_GONE,
};

enum {
	TEMPLATE_IDLE_MS = 1000,	/* it stays at least */
	TEMPLATE_RUNS_MOST = 256,	/* from one at once */
	TEMPLATE_PAUSE_MS = 1000,	/* behind the first failure, */
	TEMPLATE_PAUSE_MOST_MS = 60000, /* ... and behind many */
	TEMPLATE_SOUND_MS = 60000, /* ready so long, it had not failed before */
};

struct template
{
	enum template_state state;
	struct gateway *gateway;     /* borrowed */
	struct templates *templates; /* borrowed, stays while it has us */
	struct function *function;   /* a reference */
	struct settings *settings;   /* a reference: it was started by these */
	struct cell *cell;	     /* outlives us */
	struct list in_cell;	     /* in cell->templates */
	struct list in_gateway;	     /* in gateway->templates, used last last */
	struct run run;
	struct herald herald;
	uint64_t started_us;
	uint64_t ready_ms;
	uint64_t idle_ms;   /* nothing that it made is there, since then */
	struct timer timer; /* STARTING: too long; SERVING: idle */
	struct deferred end;
};

struct templates {		   /* of a function */
	struct function *function; /* whose we are */
	struct template *current;  /* WANTED to SERVING, or NULL */
	uint64_t again_ms;	   /* not another one before; 0: at once */
	uint64_t pause_ms;	   /* the last one */
	char why[96];		   /* ... was for; empty: none was */
};

/* Something of the function was started: has a template made if the next is to be
 * forked, unless there is one, or it has to wait; or lets go of it. */
void template_want(struct function *, struct cell *);
/* What choice_ask() has to know of a function whose settings leave it to us. */
struct choice_facts template_facts(const struct function *,
    const struct cell *);
/* The one to fork from, or NULL. */
struct template *template_ready(const struct function *, const struct cell *);
void template_used(struct template *);
/* It did not fork when it was to; errno, or 0 when there was nothing to know. */
void template_refused(struct template *, int error);
/* All that was forked from it is over. */
void template_alone(struct template *);
void templates_free(struct templates **);  /* none is left; NULL is harmless */
void templates_changed(struct function *); /* its file or settings */
void templates_leave(struct cell *);	   /* all of a cell */
void templates_drain(struct gateway *);
/* Stops the one that was used longest ago and has nothing running, of that cell
 * unless it is NULL. False: there is none. */
bool templates_evict(struct gateway *, const struct cell *);
uint64_t templates_in(const struct gateway *, enum template_state);
/* What there is for a function that is to be forked, in words. */
const char *templates_words(const struct function *); /* until the next */

#endif
