/* SPDX-License-Identifier: MIT */
/* request_start.c - from a request that is routed to the run of its function, and
 * again when that did not start: what the name is, whether its settings allow it,
 * a slot, a launcher. Whatever can be done next is done here; what has to be
 * waited for calls request_proceed() when it is there. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/proc.h"
#include "wire/url_path.h"

#include "gateway/gateway.h"

static void request_find(struct request *);
static bool request_found(struct request *, struct function *);
static bool request_judged(struct request *);
static void request_end_method(struct request *);
static void request_look_again(struct request *);
static void request_admit(struct request *);
static void request_busy(struct request *, enum admit_answer);
static void request_start(struct request *);
static void request_resolve(struct request *);
static void request_again(struct request *);
static void request_unstart(struct request *);
static void request_not_started(struct request *);
static void request_hold_back(struct request *, uint64_t now_ms);
static void request_unfinished(struct request *, struct span reason);
static bool request_waits_for_writer(struct request *, uint64_t now_ms);

/* ---- its function ----------------------------------------------------------------- */

void
request_proceed(struct request *r)
{
	if (r->waits != WAITS_NOT)
		return;
	if (r->state == REQUEST_ROUTED)
		request_find(r);
	else if (r->state == REQUEST_STARTING)
		request_start(r);
}

static void
request_find(struct request *r)
{
	struct function *f;

	if (!r->function) {
		f = function_find(r->tenant, r->route.function);
		if (!f) {
			request_resolve(r);
			return;
		}
		if (!request_found(r, f))
			return;
	}
	if (r->front && !r->body.complete)
		connection_touch(r->front); /* it may go on */
	if (r->body.complete || r->body.kind == BODY_PIPE)
		request_admit(r);
}

/* False: it has ended. */
static bool
request_found(struct request *r, struct function *f)
{
	struct body *b = &r->body;

	r->function = function_hold(f);
	r->due_ms = 0;
	if (!request_judged(r))
		return false;
	if (r->settings->body == BODY_STREAM && !b->complete &&
	    b->kind == BODY_NONE && body_stream(r) != 0) {
		request_end(r, END_MACHINE, span_of(diag_errno()));
		return false;
	}
	return true;
}

/* By the settings its function has now, which it will run with. False: they
 * forbid it, and it has ended, or they are looked at again first: nobody compares
 * them where nothing is started. A body that is there already is taken as it
 * came, file or stream. */
static bool
request_judged(struct request *r)
{
	const struct settings *s = r->function->settings;
	struct body *b = &r->body;
	bool method, size;

	settings_release(&r->settings);
	r->settings = settings_hold(r->function->settings);
	b->most = s->limits[LIMIT_body] ? s->limits[LIMIT_body] : UINT64_MAX;
	method = settings_takes_method(s, r->method);
	size = (b->expected != UINT64_MAX ? b->expected : b->bytes) <= b->most;
	if (method && size)
		return true;
	if (!r->fresh)
		request_look_again(r);
	else if (!method)
		request_end_method(r);
	else
		request_end_limit(r, END_BODY_SIZE, LIMIT_body, b->most);
	return false;
}

static void
request_end_method(struct request *r)
{
	const struct strings *names = &r->settings->methods;
	struct buf text;

	buf_init(&text, 1024);
	for (size_t i = 0; i < names->count; i++)
		buf_printf(&text, "%s%s", i ? ", " : "", names->items[i]);
	r->end_value = span_dup(buf_span(&text));
	buf_free(&text);
	request_end(r, END_METHOD, SPAN_NONE);
}

/* Before it is refused for what was found out for somebody else. */
static void
request_look_again(struct request *r)
{
	if (r->state == REQUEST_ROUTED) {
		function_release(&r->function);
		settings_release(&r->settings);
	}
	request_resolve(r);
}

/* Asks the cell what the name is now; for the cell itself first. */
static void
request_resolve(struct request *r)
{
	struct cell *cell = r->tenant->cell;

	request_patience(r);
	if (!cell) {
		request_wait(r, WAITS_CELL, &r->tenant->waiting);
		tenant_want_cell(r->tenant);
	} else if (cell_resolve(cell, r) != 0) {
		request_end(r, END_MACHINE, SPAN("no memory to ask its cell"));
	}
}

void
request_patience(struct request *r)
{
	if (r->due_ms != 0)
		return;
	r->due_ms =
	    loop_now_ms(r->gateway->loop) + cell_patience_ms(r->gateway);
	request_timer(r);
}

void
request_resolved(struct request *r, enum resolved outcome, struct function *f,
    struct span reason)
{
	request_unwait(r);
	switch (outcome) {
	case RESOLVED_NONE:
		request_end(r, END_NO_FUNCTION, SPAN_NONE);
		return;
	case RESOLVED_REFUSED:
		request_end(r, END_REFUSED, reason);
		return;
	case RESOLVED_MOVED:
		/* The directory is another one now: another cell. */
		request_cell_gone(r);
		return;
	case RESOLVED_UNFINISHED:
		request_unfinished(r, reason);
		return;
	case RESOLVED_FOUND:
		break;
	}
	r->fresh = true;
	if (r->state == REQUEST_STARTING && r->function != f) {
		/* Forgotten meanwhile, and found anew: so is its queue. */
		request_give_slot(r);
		function_release(&r->function);
		settings_release(&r->settings);
		r->resolve_again = false;
		request_move(r, REQUEST_ROUTED);
	}
	if (r->state == REQUEST_ROUTED) {
		if (!request_found(r, f))
			return;
	} else {
		r->resolve_again = false;
		r->due_ms = 0;
	}
	request_proceed(r);
}

void
request_cell_gone(struct request *r)
{
	request_unwait(r);
	if (++r->cells >= REQUEST_CELLS_MOST)
		request_end(r, END_CELL_GONE, SPAN("more than once"));
	else
		request_proceed(r);
}

void
request_wait(struct request *r, enum request_waits waits, struct list *list)
{
	assert(r->waits == WAITS_NOT);
	r->waits = waits;
	list_add_last(list, &r->waiting);
}

void
request_unwait(struct request *r)
{
	if (r->waits == WAITS_PROCESS)
		r->invocation.protocol->unwait(r);
	r->waits = WAITS_NOT;
	list_remove(&r->waiting);
}

/* ---- its slot ---------------------------------------------------------- */

static void
request_admit(struct request *r)
{
	enum admit_answer answer;

	r->complete_us = clock_us();
	answer = admit_ask(&r->ticket, &r->function->admit, r->complete_us);
	if (answer == ADMIT_SWITCHED_OFF && !r->fresh) {
		request_look_again(r);
		return;
	}
	switch (answer) {
	case ADMIT_GRANTED:
		request_granted(r);
		break;
	case ADMIT_QUEUED:
		request_move(r, REQUEST_WAITING);
		r->due_ms = request_due_after(loop_now_ms(r->gateway->loop),
		    r->settings->limits[LIMIT_queue]);
		request_timer(r);
		break;
	default:
		request_busy(r, answer);
		break;
	}
}

static void
request_busy(struct request *r, enum admit_answer answer)
{
	static const struct {
		enum end end;
		const char *limit;
	} rows[] = {
		[ADMIT_FULL_FUNCTION] = { END_QUEUE_FULL, "queue.function" },
		[ADMIT_FULL_TENANT] = { END_QUEUE_FULL, "queue.tenant" },
		[ADMIT_FULL_HOST] = { END_QUEUE_FULL, "queue.host" },
		[ADMIT_SWITCHED_OFF] = { END_SWITCHED_OFF, NULL },
	};
	const struct config *config = r->gateway->config;
	const struct terms *terms = r->tenant->terms;
	uint64_t value = answer == ADMIT_FULL_FUNCTION ?
	    config->queue_function :
	    answer == ADMIT_FULL_TENANT ? terms->queue :
					  config->queue_host;
	char text[128], of[96] = "";

	if (answer == ADMIT_FULL_TENANT)
		terms_of(terms, terms->from[TERM_queue], of);
	r->end_limit = rows[answer].limit;
	snprintf(text, sizeof(text), "%llu%s", (unsigned long long)value, of);
	r->end_value = strdup(text);
	if (rows[answer].end == END_QUEUE_FULL)
		r->retry_after_s = admit_retry_after(&r->function->admit);
	request_end(r, rows[answer].end, SPAN_NONE);
}

void
request_granted(struct request *r)
{
	r->granted_us = r->ticket.granted_us;
	request_move(r, REQUEST_STARTING);
	r->due_ms = 0;
	if (request_may_run(r, r->granted_us))
		request_start(r);
}

bool
request_may_run(struct request *r, uint64_t now_us)
{
	uint64_t rests_us = tenant_rests_us(r->tenant, now_us);

	if (rests_us > 0)
		request_end_term(r, END_RUNNING, TERM_running, rests_us);
	return rests_us == 0;
}

static void
request_start(struct request *r)
{
	if (r->resolve_again || function_is_old(r->function) ||
	    r->function->generation != r->gateway->config->generation) {
		request_resolve(r);
		return;
	}
	if (!r->tenant->cell) {
		request_resolve(r); /* waits for the cell first */
		return;
	}
	if (r->settings != r->function->settings) {
		if (!request_judged(r))
			return;
		if (admit_exceeds(&r->ticket)) {
			request_give_slot(r);
			request_move(r, REQUEST_ROUTED);
			request_admit(r);
			return;
		}
	}
	invocation_start(r);
}

int
request_environment(struct request *r, uint64_t time_ms, bool pairs,
    struct buf *out, const char **why)
{
	static struct buf token = { .ceiling = JWT_MOST };
	const struct cell *cell = r->tenant->cell;
	uint64_t now_ms = clock_unix_ms();
	struct environment_facts facts = {
		.params = request_pairs(r),
		.route = &r->route,
		.method = r->method,
		.has_body = r->body.kind != BODY_NONE,
		.body_bytes =
		    r->body.complete ? r->body.bytes : r->body.expected,
		.body_length_known =
		    r->body.complete || r->body.expected != UINT64_MAX,
		.directory = span_make(cell->directory, cell->directory_bytes),
		.file = function_file(r->function),
		.request_id = span_make(r->name, REQUEST_ID_CHARS),
		.function_name = function_name(r->function),
		.deadline_unix_ms = time_ms ? now_ms + time_ms : 0,
		.run = span_of(r->gateway->config->run),
		.trace_parent = span_make(r->trace, 55),
		.server_software = SPAN("fcgi-host"),
		.settings = r->settings,
		.granted = &r->tenant->terms->env,
		.host = &r->gateway->environment,
		.redirects = r->redirects,
		.redirect_url = r->first_path,
		.redirect_status = r->redirect_status,
	};

	buf_clear(&token);
	if (state_token(r, now_ms, facts.deadline_unix_ms, &token) != 0) {
		*why = "no token for its state can be made";
		return -1;
	}
	facts.token = buf_span(&token);
	return pairs ? environment_write_pairs(out, &facts, why) :
		       environment_write(out, &facts, why);
}

/* ---- its run --------------------------------------------------------------------- */

void
request_running(struct request *r)
{
	request_move(r, REQUEST_RUNNING);
}

void
request_run_over(struct request *r)
{
	const struct run_result *result = &r->invocation.result;

	if (r->state == REQUEST_ENDING) {
		request_give_slot(r);
		request_gone(r);
		return;
	}
	if (result->facts.unread && r->reply.bytes == 0 &&
	    !result->facts.stopped && r->resent++ < INVOCATION_RESENT_MOST) {
		r->gateway->stats.resent++;
		request_again(r);
		return;
	}
	if (!result->lost && result->how != ENDED_EXITED) {
		request_not_started(r);
		return;
	}
	request_give_slot(r);
	if (r->invocation.open)
		reply_pump(r);
	else if (r->reply.at_end)
		reply_conclude(r);
}

/* The slot stays with it. */
static void
request_again(struct request *r)
{
	request_unstart(r);
	request_proceed(r);
}

/* Nothing was run. That its pipes are closed may have been seen before the
 * reason was: then its end was waited for. */
static void
request_unstart(struct request *r)
{
	invocation_reset(r);
	reply_free(&r->reply);
	reply_hold(r);
	r->due_ms = r->hold_ms = 0;
	request_move(r, REQUEST_STARTING);
}

static void
request_not_started(struct request *r)
{
	const struct run_result *result = &r->invocation.result;
	uint64_t now_ms = loop_now_ms(r->gateway->loop);
	char words[128];

	/* Gone between the look and the start is changed, too. */
	if (result->how == ENDED_STALE ||
	    (result->how == ENDED_NOT_STARTED && result->error == ENOENT &&
		r->stale == 0)) {
		r->gateway->stats.stale++;
		r->resolve_again = true;
		if (r->stale++ < INVOCATION_STALE_MOST)
			request_again(r);
		else
			request_hold_back(r, now_ms);
		return;
	}
	if (result->how == ENDED_NO_TEMPLATE) { /* there is none now */
		request_again(r);
		return;
	}
	if (result->error == ETXTBSY) {
		request_hold_back(r, now_ms);
		return;
	}
	errno = result->error;
	snprintf(words, sizeof(words), "%s: %s",
	    proc_step_name((enum proc_step)result->step), diag_errno());
	request_end(r,
	    result->error == EAGAIN || result->error == ENOMEM ||
		    result->error == EMFILE || result->error == ENFILE ?
		END_MACHINE :
		END_NOT_STARTED,
	    span_of(words));
}

/* Somebody is still writing the file: a little later, with its slot. One that is
 * replaced all the time is tried often: any moment may be the right one. */
static void
request_hold_back(struct request *r, uint64_t now_ms)
{
	if (!request_waits_for_writer(r, now_ms)) {
		request_end_limit(r, END_STILL_WRITTEN, LIMIT_queue,
		    r->settings->limits[LIMIT_queue]);
		return;
	}
	request_unstart(r);
}

/* So it seems to be; for who waits too long it is refused as it is. */
static void
request_unfinished(struct request *r, struct span reason)
{
	r->due_ms = 0;
	if (!request_waits_for_writer(r, loop_now_ms(r->gateway->loop)))
		request_end(r, END_REFUSED, reason);
}

/* False: it has, for as long as requests may wait. */
static bool
request_waits_for_writer(struct request *r, uint64_t now_ms)
{
	const uint64_t *limits =
	    r->settings ? r->settings->limits : r->gateway->config->limits;
	uint64_t queue_ms = limits[LIMIT_queue];

	if (r->busy_until_ms == 0)
		r->busy_until_ms = request_due_after(now_ms, queue_ms);
	if (queue_ms > 0 && now_ms >= r->busy_until_ms)
		return false;
	r->busy_ms =
	    r->busy_ms == 0 || r->invocation.result.how == ENDED_STALE ?
	    INVOCATION_BUSY_MS :
	    r->busy_ms * 2 > INVOCATION_BUSY_MOST_MS ? INVOCATION_BUSY_MOST_MS :
						       r->busy_ms * 2;
	r->resolve_again = true;
	r->retry_ms = now_ms + r->busy_ms;
	request_timer(r);
	return true;
}

void
request_replying(struct request *r)
{
	request_move(r, REQUEST_REPLYING);
}

/* RFC 3875 section 6.2.2: as if the client had asked for it with GET (S3). */
void
request_redirect(struct request *r)
{
	struct gateway *g = r->gateway;
	struct span query;
	char most[16];

	if (r->redirects++ == 0)
		url_split(r->target, &r->first_path, &query);
	if (r->redirects > REQUEST_REDIRECTS_MOST) {
		snprintf(most, sizeof(most), "%d", REQUEST_REDIRECTS_MOST);
		r->end_value = strdup(most);
		request_end(r, END_REDIRECT_LOOP, SPAN_NONE);
		return;
	}
	g->stats.redirects++;
	request_move(r, REQUEST_ROUTED);
	free(r->redirect);
	r->redirect = r->reply.redirect;
	r->reply.redirect = NULL;
	r->target = span_of(r->redirect);
	if (!span_equal(r->method, SPAN("HEAD")))
		r->method = SPAN("GET");
	body_free(r);
	r->body.complete = true;
	reply_free(&r->reply);
	invocation_reset(r);
	function_release(&r->function);
	settings_release(&r->settings);
	tenant_give(r);
	r->resolve_again = r->fresh = false;
	r->cells = r->resent = r->stale = r->busy_ms = 0;
	r->due_ms = r->hold_ms = r->busy_until_ms = 0;
	request_route(r);
	if (r->state == REQUEST_ROUTED)
		request_proceed(r);
}

/* The web server has read some of what we held back for it. */
void
request_room(struct request *r)
{
	const struct invocation *v = &r->invocation;

	if (!v->open)
		return;
	if (v->state == INVOCATION_OVER)
		reply_pump(r);
	else
		v->protocol->pause(r, false);
}
