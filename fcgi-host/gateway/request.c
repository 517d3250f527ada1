/* SPDX-License-Identifier: MIT */
/* request.c - one request, from BEGIN to its access record: its life, its memory
 * and its times. How it is read is in request_read.c, how it comes to run in
 * request_start.c, how it ends in request_end.c. Always true: a request that has
 * a front will answer on it; one that has none only waits for its run to be
 * over. */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"

#include "gateway/gateway.h"

static void request_check(const struct request *);
static void request_due(void *arg);
static void request_overdue(struct request *);
static void request_reset(struct request *);

/* ---- its life --------------------------------------------------------------- */

static const char *const state_names[] = {
	[REQUEST_READING] = "reading",
	[REQUEST_ROUTED] = "routed",
	[REQUEST_WAITING] = "waiting",
	[REQUEST_STARTING] = "starting",
	[REQUEST_RUNNING] = "running",
	[REQUEST_REPLYING] = "replying",
	[REQUEST_ENDING] = "ending",
	[REQUEST_GONE] = "gone",
};

const char *
request_state_name(enum request_state state)
{
	return state_names[state];
}

struct request *
request_new(struct gateway *g, struct connection *f)
{
	struct list *node = list_first(&g->requests_spare);
	struct request *r;
	uint8_t random[10];

	if (node) {
		r = LIST_OWNER(node, struct request, all);
		list_remove(&r->all);
		g->requests_spare_count--;
	} else {
		r = calloc(1, sizeof(*r));
		if (!r)
			return NULL;
		r->gateway = g;
		buf_init(&r->params, PARAMS_STREAM_MOST);
		buf_init(&r->decoded, ROUTE_TARGET_MOST);
		list_init(&r->all);
		request_reset(r);
	}
	r->state = REQUEST_READING;
	r->front = f;
	random_take(random, sizeof(random));
	request_id_next(&g->last_id, r->name, clock_unix_ms(), random);
	r->begun_us = clock_us();
	list_add_last(&g->requests, &r->all);
	g->request_count++;
	g->stats.requests++;
	request_check(r);
	return r;
}

/* As new, but for its memory. */
static void
request_reset(struct request *r)
{
	struct gateway *g = r->gateway;
	struct buf params = r->params, decoded = r->decoded;

	memset(r, 0, sizeof(*r));
	r->gateway = g;
	r->params = params;
	r->decoded = decoded;
	r->state = REQUEST_GONE;
	list_init(&r->all);
	list_init(&r->waiting);
	admit_ticket_init(&r->ticket);
	body_init(&r->body);
	invocation_init(r);
	reply_init(&r->reply);
	timer_init(&r->timer, request_due, r);
}

void
request_over(void *arg)
{
	struct request *r = arg;
	struct gateway *g = r->gateway;

	free(r->redirect);
	free(r->end_value);
	free(r->end_what);
	buf_clear(&r->params);
	buf_clear(&r->decoded);
	if (g->requests_spare_count >= REQUEST_SPARE_MOST) {
		buf_free(&r->params);
		buf_free(&r->decoded);
		free(r);
		return;
	}
	if (r->params.room > REQUEST_BUF_KEPT)
		buf_free(&r->params);
	if (r->decoded.room > REQUEST_BUF_KEPT)
		buf_free(&r->decoded);
	request_reset(r);
	list_add_first(&g->requests_spare, &r->all);
	g->requests_spare_count++;
}

void
request_spare_free(struct gateway *g)
{
	LIST_EACH(node, &g->requests_spare) {
		struct request *r = LIST_OWNER(node, struct request, all);

		list_remove(&r->all);
		buf_free(&r->params);
		buf_free(&r->decoded);
		free(r);
	}
	g->requests_spare_count = 0;
}

void
request_move(struct request *r, enum request_state to)
{
#define TO(state) [REQUEST_##state] = true
	static const bool drawn[][REQUEST_GONE + 1] = {
		[REQUEST_READING] = { TO(ROUTED), TO(ENDING) },
		[REQUEST_ROUTED] = { TO(WAITING), TO(STARTING), TO(ENDING) },
		[REQUEST_WAITING] = { TO(STARTING), TO(ENDING) },
		[REQUEST_STARTING] = { TO(RUNNING), TO(ROUTED), TO(ENDING) },
		[REQUEST_RUNNING] = { TO(STARTING), TO(ROUTED), TO(REPLYING),
		    TO(ENDING) },
		[REQUEST_REPLYING] = { TO(ENDING) },
		[REQUEST_ENDING] = { TO(GONE) },
		[REQUEST_GONE] = { false },
	};
#undef TO

	assert(drawn[r->state][to]);
	r->state = to;
	request_check(r);
}

static void
request_check(const struct request *r)
{
	enum request_state s = r->state;
	enum admit_state slot = r->ticket.state;

	assert((r->front != NULL) || s >= REQUEST_ENDING);
	assert((slot == ADMIT_WAITING) <= (s == REQUEST_WAITING));
	assert(s != REQUEST_WAITING || r->waits == WAITS_NOT);
	assert(s > REQUEST_WAITING || slot != ADMIT_HOLDING ||
	    s == REQUEST_ROUTED);
	assert(s != REQUEST_STARTING || slot == ADMIT_HOLDING);
	assert(s != REQUEST_RUNNING || r->invocation.state != INVOCATION_NONE);
	assert(s <= REQUEST_ROUTED || s >= REQUEST_ENDING || r->function);
	assert(r->waits == WAITS_PROCESS ||
	    (r->waits == WAITS_NOT) == list_empty(&r->waiting));
}

struct run_about
request_about(const struct request *r)
{
	return (struct run_about){
		.request = span_make(r->name, REQUEST_ID_CHARS),
		.tenant = r->tenant,
		.function = function_name(r->function),
	};
}

/* ---- time ------------------------------------------------------------------------ */

/* A limit of 0 is off: never. */
uint64_t
request_due_after(uint64_t now_ms, uint64_t limit_ms)
{
	return limit_ms > 0 ? now_ms + limit_ms : 0;
}

/* The timer stands at the earliest, or before it: a time that moved on is found
 * out when the timer comes. */
void
request_timer(struct request *r)
{
	const uint64_t times[] = { r->due_ms, r->look_ms, r->hold_ms,
		r->retry_ms, r->idle_ms };
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i] != 0 && times[i] < least)
			least = times[i];
	if (least == UINT64_MAX)
		return;
	if (!timer_armed(&r->timer) || least < r->timer.node.key)
		loop_timer_set(r->gateway->loop, &r->timer, least);
}

static bool
is_due(uint64_t *at_ms, uint64_t now_ms)
{
	if (*at_ms == 0 || *at_ms > now_ms)
		return false;
	*at_ms = 0;
	return true;
}

static void
request_due(void *arg)
{
	struct request *r = arg;
	uint64_t now_ms = loop_now_ms(r->gateway->loop);

	if (is_due(&r->look_ms, now_ms))
		r->invocation.protocol->look(r);
	if (is_due(&r->hold_ms, now_ms))
		reply_hold_over(r);
	if (is_due(&r->retry_ms, now_ms))
		request_proceed(r);
	if (is_due(&r->idle_ms, now_ms))
		invocation_stop(r, END_IDLE);
	if (is_due(&r->due_ms, now_ms))
		request_overdue(r);
	if (r->state != REQUEST_GONE)
		request_timer(r);
}

static void
request_overdue(struct request *r)
{
	const uint64_t *limits =
	    r->settings ? r->settings->limits : r->gateway->config->limits;

	switch (r->state) {
	case REQUEST_READING:
		request_end_limit(r, END_UPLOAD_TIME, LIMIT_upload,
		    limits[LIMIT_upload]);
		break;
	case REQUEST_ROUTED:
		if (r->waits == WAITS_NOT)
			request_end_limit(r, END_UPLOAD_TIME, LIMIT_upload,
			    limits[LIMIT_upload]);
		else
			request_unanswered(r);
		break;
	case REQUEST_WAITING:
		r->retry_after_s = admit_retry_after(&r->function->admit);
		request_end_limit(r, END_QUEUE_TIME, LIMIT_queue,
		    limits[LIMIT_queue]);
		break;
	case REQUEST_STARTING:
		if (r->waits == WAITS_PROCESS)
			r->invocation.protocol->late(r);
		else
			request_unanswered(r);
		break;
	case REQUEST_RUNNING:
	case REQUEST_REPLYING:
	case REQUEST_ENDING:
		invocation_stop(r, END_TIME);
		break;
	case REQUEST_GONE:
		break;
	}
}

/* Master or the cell did not do what was asked of it. A cell that says nothing
 * at all is in nobody's interest. */
void
request_unanswered(struct request *r)
{
	if (r->tenant->cell)
		cell_doubt(r->tenant->cell, cell_patience_ms(r->gateway));
	request_end(r, END_CELL_GONE, SPAN("they did not answer"));
}
