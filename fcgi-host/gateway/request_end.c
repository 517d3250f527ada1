/* SPDX-License-Identifier: MIT */
/* request_end.c - how a request ends: a row of ends.def, set once, an answer or a
 * visible break, the slot given back, the record written. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#include "gateway/gateway.h"

static void request_reason(struct request *, enum end);
static void request_ending(struct request *);

void
request_end(struct request *r, enum end end, struct span what)
{
	if (r->ended)
		return;
	if (what.bytes > 0)
		r->end_what = span_dup(what);
	request_reason(r, end);
	request_ending(r);
}

void
request_end_limit(struct request *r, enum end end, enum limit limit,
    uint64_t value)
{
	static const char *const names[] = {
#define LIMIT(name, TYPE, standard, most, sentence) "limits." #name,
#include "config/limits.def"
#undef LIMIT
	};
	const struct terms *terms = r->tenant ? r->tenant->terms : NULL;
	char text[32], of[96] = "", all[128];

	if (r->ended)
		return;
	if (terms && value == terms->limits[limit])
		terms_of(terms, terms->limits_from[limit], of);
	snprintf(all, sizeof(all), "%s%s", limit_text(limit, value, text), of);
	r->end_limit = names[limit];
	r->end_value = strdup(all);
	request_end(r, end, SPAN_NONE);
}

void
request_end_term(struct request *r, enum end end, enum term term,
    uint64_t again_us)
{
	static const char *const names[] = {
#define TERM(member, name, TYPE, host_member, sentence) name,
#include "config/terms.def"
#undef TERM
	};
	static const char *const each[TERMS] = {
		[TERM_rate] = " a second",
		[TERM_running] = " an hour",
	};
	const struct terms *terms = r->tenant->terms;
	char text[32], of[96], all[160];

	if (r->ended)
		return;
	snprintf(all, sizeof(all), "%s%s%s", terms_text(terms, term, text),
	    each[term] ? each[term] : "",
	    terms_of(terms, terms->from[term], of));
	r->end_limit = names[term];
	r->end_value = strdup(all);
	r->retry_after_s = (unsigned)((again_us + 999999) / 1000000);
	request_end(r, end, SPAN_NONE);
}

static void
request_reason(struct request *r, enum end end)
{
	r->ended = true;
	r->end = end;
	faults_reason(r);
}

/* An answer of ours if nothing of another was seen, else a visible break. */
static void
request_ending(struct request *r)
{
	struct connection *f = r->front;

	request_unwait(r);
	admit_leave(&r->ticket);
	request_move(r, REQUEST_ENDING);
	r->body.discard = true;
	r->hold_ms = r->retry_ms = r->idle_ms = r->due_ms = 0;
	invocation_close_output(r);
	invocation_stop(r, r->end);
	if (f && r->reply.begun && !connection_take_back(f)) {
		if (r->unbuffered)
			connection_break_off(f);
		else
			connection_break(f, "a reply broke off");
	} else if (f)
		reply_own(r);
	if (!invocation_going(r))
		request_gone(r);
}

/* The reply is complete. A run that goes on has the time it has. */
void
request_done(struct request *r, enum end end, uint32_t app_status)
{
	request_reason(r, end);
	request_move(r, REQUEST_ENDING);
	r->body.discard = true;
	r->hold_ms = r->idle_ms = 0;
	reply_end(r, app_status);
	if (!invocation_going(r))
		request_gone(r);
}

/* The front is gone, or the web server wants no answer any more but END_REQUEST
 * (F11). */
void
request_abort(struct request *r, enum end end)
{
	bool answers = end == END_ABORTED;

	if (!answers)
		r->front = NULL;
	if (r->state >= REQUEST_ENDING)
		return;
	request_unwait(r);
	admit_leave(&r->ticket);
	request_reason(r, end);
	request_move(r, REQUEST_ENDING);
	if (answers)
		reply_end(r, 0);
	r->body.discard = true;
	r->hold_ms = r->retry_ms = r->idle_ms = r->due_ms = 0;
	invocation_close_output(r);
	invocation_stop(r, end);
	if (!invocation_going(r))
		request_gone(r);
}

void
request_give_slot(struct request *r)
{
	if (r->ticket.state != ADMIT_HOLDING)
		return;
	admit_give(&r->ticket, clock_us());
	r->gateway->admit_again = true;
}

void
request_gone(struct request *r)
{
	struct gateway *g = r->gateway;

	if (r->state == REQUEST_GONE)
		return;
	request_give_slot(r);
	loop_timer_clear(g->loop, &r->timer);
	stats_ended(&g->stats, r);
	faults_over(r);
	access_record(r);
	request_move(r, REQUEST_GONE);
	invocation_close_output(r);
	body_free(r);
	reply_free(&r->reply);
	function_release(&r->function);
	settings_release(&r->settings);
	if (r->tenant)
		tenant_give(r);
	list_remove(&r->all);
	g->request_count--;
	loop_defer(g->loop, &r->over, request_over, r);
	serve_freed(&g->serve);
	gateway_drained(g);
}
