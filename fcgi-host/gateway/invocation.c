/* SPDX-License-Identifier: MIT */
/* invocation.c - the use that one request makes of a function: its state and
 * what is known of how it ended, whatever the protocol. */
#include <assert.h>

#include "gateway/fastcgi.h"
#include "gateway/gateway.h"

static const struct protocol *const protocols[] = {
	[PROTOCOL_CGI] = &protocol_cgi,
	[PROTOCOL_FASTCGI] = &protocol_fastcgi,
};

static void invocation_move(struct invocation *, enum invocation_state);
static void invocation_learn(struct invocation *, const struct run_result *);

void
invocation_init(struct request *r)
{
	r->invocation = (struct invocation){ .state = INVOCATION_NONE };
	cgi_init(r);
	exchange_init(r);
}

static void
invocation_move(struct invocation *v, enum invocation_state to)
{
	static const bool drawn[][INVOCATION_OVER + 1] = {
		[INVOCATION_NONE] = { [INVOCATION_SENT] = true },
		[INVOCATION_SENT] = { [INVOCATION_EXITED] = true,
		    [INVOCATION_OVER] = true },
		[INVOCATION_EXITED] = { [INVOCATION_OVER] = true },
		[INVOCATION_OVER] = { [INVOCATION_NONE] = true },
	};

	assert(drawn[v->state][to]);
	assert(v->protocol);
	v->state = to;
}

bool
invocation_going(const struct request *r)
{
	return r->invocation.state == INVOCATION_SENT ||
	    r->invocation.state == INVOCATION_EXITED;
}

/* ---- the start ------------------------------------------------------------ */

void
invocation_start(struct request *r)
{
	r->invocation.protocol = protocols[r->settings->protocol];
	r->invocation.protocol->start(r);
}

void
invocation_sent(struct request *r, uint64_t time_ms)
{
	struct invocation *v = &r->invocation;
	const uint64_t *limits = r->settings->limits;
	uint64_t now_ms = loop_now_ms(r->gateway->loop);

	invocation_move(v, INVOCATION_SENT);
	v->open = true;
	v->sent_ms = now_ms;
	v->result.facts.time_ms = time_ms;
	v->result.facts.cpu_ms = limits[LIMIT_cpu];
	r->due_ms = time_ms ? now_ms + time_ms + INVOCATION_SLACK_MS : 0;
	r->idle_ms = limits[LIMIT_idle] ? now_ms + limits[LIMIT_idle] : 0;
	request_timer(r);
	request_running(r);
}

/* ---- its end -------------------------------------------------------------- */

void
invocation_exited(struct request *r, const struct run_result *result)
{
	invocation_learn(&r->invocation, result);
	invocation_move(&r->invocation, INVOCATION_EXITED);
	/* Who has a whole reply has been answered; what is still said is dropped as
	 * it comes, until no one is left to say it. */
	if (r->state != REQUEST_ENDING)
		reply_pump(r);
}

void
invocation_over(struct request *r, const struct run_result *result)
{
	invocation_learn(&r->invocation, result);
	invocation_move(&r->invocation, INVOCATION_OVER);
	r->look_ms = r->due_ms = r->idle_ms = 0;
	request_run_over(r);
}

/* What is known of the process; what it was allowed, and whether we had it
 * ended, is known here. */
static void
invocation_learn(struct invocation *v, const struct run_result *result)
{
	struct outcome_facts own = v->result.facts, *facts = &v->result.facts;

	v->result = *result;
	facts->time_ms = own.time_ms;
	facts->cpu_ms = own.cpu_ms;
	facts->stopped = own.stopped;
	facts->stop_end = own.stop_end;
}

void
invocation_close_output(struct request *r)
{
	if (!r->invocation.open)
		return;
	r->invocation.open = false;
	r->invocation.protocol->close(r);
}

void
invocation_reset(struct request *r)
{
	invocation_close_output(r);
	invocation_move(&r->invocation, INVOCATION_NONE);
	r->invocation.protocol->reset(r);
	invocation_init(r);
}

/* ---- ending it ------------------------------------------------------------ */

void
invocation_stop(struct request *r, enum end why)
{
	struct outcome_facts *facts = &r->invocation.result.facts;

	if (facts->stopped || !invocation_going(r))
		return;
	facts->stopped = true;
	facts->stop_end = why;
	r->invocation.protocol->stop(r, why);
}

/* The kernel's alarm comes before our own order: nothing is ordered yet when
 * output ends by it. */
bool
invocation_ends(const struct request *r)
{
	const struct invocation *v = &r->invocation;
	uint64_t time_ms = v->result.facts.time_ms;

	return v->result.facts.stopped ||
	    (time_ms > 0 &&
		loop_now_ms(r->gateway->loop) >= v->sent_ms + time_ms);
}
