/* SPDX-License-Identifier: MIT */
/* request.c - one request, from BEGIN to its access record. Decides what is next
 * and calls who does it; every way it can end is a row of ends.def, set once.
 * Always true: a request that has a front will answer on it; one that has none
 * only waits for its run to be over. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/proc.h"
#include "base/random.h"
#include "wire/url_path.h"

#include "gateway/gateway.h"

static void request_move(struct request *, enum request_state);
static void request_check(const struct request *);
static void request_route(struct request *);
static bool request_read_params(struct request *);
static bool request_read_length(struct request *,
    const struct request_params *);
static bool request_may(struct request *);
static void request_find(struct request *);
static bool request_found(struct request *, struct function *);
static bool request_judged(struct request *);
static void request_end_method(struct request *);
static void request_look_again(struct request *);
static void request_admit(struct request *);
static uint64_t due_after(uint64_t now_ms, uint64_t limit_ms);
static void request_busy(struct request *, enum admit_answer);
static void request_start(struct request *);
static void request_again(struct request *);
static void request_patience(struct request *);
static void request_resolve(struct request *);
static void request_unstart(struct request *);
static void request_not_started(struct request *);
static void request_hold_back(struct request *, uint64_t now_ms);
static void request_unwait(struct request *);
static void request_due(void *arg);
static void request_overdue(struct request *);
static void request_unanswered(struct request *);
static void request_give_slot(struct request *);
static void request_reason(struct request *, enum end);
static void request_ending(struct request *);
static void request_gone(struct request *);
static void request_over(void *arg);
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
	request_id_make(r->name, clock_unix_ms(), random);
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

static void
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
	assert(s != REQUEST_RUNNING || r->run.state != INVOCATION_NONE);
	assert(s <= REQUEST_ROUTED || s >= REQUEST_ENDING || r->function);
	assert((r->waits == WAITS_NOT) == list_empty(&r->waiting));
}

/* ---- reading it ----------------------------------------------------------------- */

void
request_params(struct request *r, struct span s)
{
	if (buf_put(&r->params, s) != 0)
		request_end(r, END_HEAD_SIZE,
		    SPAN("its parameters are longer than 128 KiB"));
}

void
request_params_end(struct request *r)
{
	if (!request_read_params(r))
		return;
	request_route(r);
	if (r->state != REQUEST_READING)
		return;
	request_move(r, REQUEST_ROUTED);
	request_proceed(r);
}

/* Taken apart when they have come, and usually still so at the start. */
static struct request_params pairs; /* large */
static const struct request *pairs_of;

const struct request_params *
request_pairs(const struct request *r)
{
	if (pairs_of != r)
		request_params_read(&pairs, buf_span(&r->params));
	pairs_of = r;
	return &pairs;
}

/* What the gateway itself wants to know of them. False: it has ended. */
static bool
request_read_params(struct request *r)
{
	enum params_result result;
	struct span client, parent;
	uint8_t random[24];

	pairs_of = NULL;
	result = request_params_read(&pairs, buf_span(&r->params));
	if (result != PARAMS_DONE) {
		request_end(r,
		    result == PARAMS_TOO_LONG ? END_HEAD_SIZE : END_BAD_REQUEST,
		    span_of(params_result_words(result)));
		return false;
	}
	r->method = request_params_get(&pairs, SPAN("REQUEST_METHOD"));
	r->target = request_params_get(&pairs, SPAN("REQUEST_URI"));
	r->prefix = request_params_get(&pairs, SPAN("FN_PREFIX"));
	r->host_tenant = request_params_get(&pairs, SPAN("FN_TENANT"));
	r->unbuffered =
	    span_equal(request_params_get(&pairs, SPAN("FN_BUFFERING")),
		SPAN("off"));
	r->accept = request_params_get(&pairs, SPAN("HTTP_ACCEPT"));
	r->remote = request_params_get(&pairs, SPAN("REMOTE_ADDR"));
	if (r->prefix.bytes == 0)
		r->prefix = SPAN("/fn/");
	client = request_params_get(&pairs, SPAN("HTTP_X_REQUEST_ID"));
	if (client_request_id_valid(client))
		r->client_name = client;
	parent = request_params_get(&pairs, SPAN("HTTP_TRACEPARENT"));
	random_take(random, sizeof(random));
	trace_parent_next(parent, random, r->trace);
	pairs_of = r;
	return request_read_length(r, &pairs);
}

/* Without a length the body is what comes until the end of STDIN (R11). */
static bool
request_read_length(struct request *r, const struct request_params *params)
{
	struct span length = request_params_get(params, SPAN("CONTENT_LENGTH"));

	if (r->method.bytes == 0 || r->target.bytes == 0) {
		request_end(r, END_BAD_REQUEST,
		    r->method.bytes == 0 ?
			SPAN("the web server sent no REQUEST_METHOD") :
			SPAN("the web server sent no REQUEST_URI"));
		return false;
	}
	if (length.bytes > 0 &&
	    span_number(length, INT64_MAX, &r->body.expected) != 0) {
		request_end(r, END_BAD_REQUEST,
		    SPAN("its Content-Length is not a number"));
		return false;
	}
	return true;
}

static void
request_route(struct request *r)
{
	const char *why;

	buf_clear(&r->decoded);
	switch (route_find(r->target, r->prefix, r->host_tenant, &r->decoded,
	    &r->route, &why)) {
	case ROUTE_FOUND:
		break;
	case ROUTE_BAD_TARGET:
		request_end(r, END_BAD_REQUEST, span_of(why));
		return;
	case ROUTE_NOT_OURS:
	case ROUTE_NO_FUNCTION:
	case ROUTE_BAD_NAME:
		request_end(r, END_NO_FUNCTION, SPAN_NONE);
		return;
	}
	if (!request_may(r))
		return;
	r->tenant = tenant_get(r->gateway, r->route.tenant);
	if (r->tenant)
		tenant_take(r->tenant, r);
	else
		request_end(r, END_MACHINE, SPAN("too many tenants"));
}

static bool
request_may(struct request *r)
{
	if (r->gateway->state == GATEWAY_DRAINING && r->redirects == 0) {
		request_end(r, END_DRAINING, SPAN_NONE);
		return false;
	}
	if (!front_may(r->front, &r->route)) {
		request_end(r, END_FORBIDDEN,
		    SPAN("this connection is for another function"));
		return false;
	}
	return true;
}

/* Before the function is known nothing says where its body belongs, or how
 * large it may be. */
bool
request_takes_input(const struct request *r)
{
	return r->state >= REQUEST_ENDING || r->body.complete ||
	    (r->function && !body_full(&r->body));
}

void
request_stdin(struct request *r, struct span s)
{
	switch (body_put(r, s)) {
	case BODY_TAKEN:
		reply_upload_moves(r, false);
		break;
	case BODY_TOO_LARGE:
		if (!r->fresh)
			function_doubt(r->function);
		request_end_limit(r, END_BODY_SIZE, LIMIT_body,
		    r->settings->limits[LIMIT_body]);
		break;
	case BODY_NO_ROOM:
		request_end(r, END_MACHINE, span_of(diag_errno()));
		break;
	}
}

void
request_stdin_end(struct request *r)
{
	struct body *b = &r->body;

	if (b->complete)
		return;
	if (body_flush(r) != BODY_TAKEN) {
		request_end(r, END_MACHINE, span_of(diag_errno()));
		return;
	}
	if (b->expected != UINT64_MAX && b->bytes < b->expected) {
		request_end(r, END_BODY_CUT, SPAN_NONE); /* F8 */
		return;
	}
	if (body_close(r) != 0) {
		request_end(r, END_MACHINE, span_of(diag_errno()));
		return;
	}
	r->gateway->stats.bytes_in += b->bytes;
	reply_upload_moves(r, true);
	if (r->state == REQUEST_ROUTED) {
		r->due_ms = 0;
		request_proceed(r);
	}
}

/* A limit of 0 is off: never. */
static uint64_t
due_after(uint64_t now_ms, uint64_t limit_ms)
{
	return limit_ms > 0 ? now_ms + limit_ms : 0;
}

/* What came was looked at, and more is to come. */
void
request_input_rests(struct request *r)
{
	uint64_t now_ms = loop_now_ms(r->gateway->loop);

	if (body_flush(r) != BODY_TAKEN) {
		request_end(r, END_MACHINE, span_of(diag_errno()));
		return;
	}
	if (r->due_ms != 0)
		return;
	if (r->state == REQUEST_READING)
		r->due_ms =
		    due_after(now_ms, r->gateway->config->limits[LIMIT_upload]);
	else if (r->state == REQUEST_ROUTED && r->function)
		r->due_ms =
		    due_after(now_ms, r->settings->limits[LIMIT_upload]);
	else
		return;
	request_timer(r);
}

/* ---- forward --------------------------------------------------------------------- */

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
		r->due_ms = due_after(loop_now_ms(r->gateway->loop),
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
	uint64_t value = answer == ADMIT_FULL_FUNCTION ?
	    config->queue_function :
	    answer == ADMIT_FULL_TENANT ? config->queue_tenant :
					  config->queue_host;
	char text[32];

	r->end_limit = rows[answer].limit;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
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
	request_start(r);
}

static void
request_start(struct request *r)
{
	struct cell *cell = r->tenant->cell;
	struct launcher *l;
	const char *why;

	if (r->resolve_again ||
	    r->function->generation != r->gateway->config->generation) {
		request_resolve(r);
		return;
	}
	if (!cell) {
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
	while ((l = launcher_take(cell))) {
		switch (invocation_start(r, l, &why)) {
		case INVOCATION_STARTED:
			request_move(r, REQUEST_RUNNING);
			return;
		case INVOCATION_NO_LAUNCHER:
			continue; /* it is told of that by itself */
		case INVOCATION_NO_ROOM:
			launcher_give(l);
			request_end(r, END_HEAD_SIZE, span_of(why));
			return;
		case INVOCATION_NO_RESOURCES:
			why = diag_errno();
			launcher_give(l);
			request_end(r, END_MACHINE, span_of(why));
			return;
		}
	}
	request_patience(r);
	request_wait(r, WAITS_LAUNCHER, &cell->wanting);
	launcher_want(cell);
}

/* Nobody is waited for longer than for a slot. */
static void
request_patience(struct request *r)
{
	if (r->due_ms != 0)
		return;
	r->due_ms =
	    loop_now_ms(r->gateway->loop) + cell_patience_ms(r->gateway);
	request_timer(r);
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

static void
request_unwait(struct request *r)
{
	r->waits = WAITS_NOT;
	list_remove(&r->waiting);
}

/* ---- its run --------------------------------------------------------------------- */

void
request_run_over(struct request *r)
{
	struct invocation *run = &r->run;

	if (r->state == REQUEST_ENDING) {
		request_give_slot(r);
		request_gone(r);
		return;
	}
	if (run->lost && run->facts.unread && r->reply.bytes == 0 &&
	    run->stop == STOP_NONE && r->resent++ < INVOCATION_RESENT_MOST) {
		r->gateway->stats.resent++;
		request_again(r);
		return;
	}
	if (!run->lost && run->how != ENDED_EXITED) {
		request_not_started(r);
		return;
	}
	request_give_slot(r);
	if (run->out_fd >= 0)
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
	connection_hold(r->front, false);
	r->due_ms = r->hold_ms = 0;
	request_move(r, REQUEST_STARTING);
}

static void
request_not_started(struct request *r)
{
	struct invocation *run = &r->run;
	uint64_t now_ms = loop_now_ms(r->gateway->loop);
	char words[128];

	/* Gone between the look and the start is changed, too. */
	if (run->how == ENDED_STALE ||
	    (run->error == ENOENT && r->stale == 0)) {
		r->gateway->stats.stale++;
		r->resolve_again = true;
		if (r->stale++ < INVOCATION_STALE_MOST)
			request_again(r);
		else
			request_hold_back(r, now_ms);
		return;
	}
	if (run->error == ETXTBSY) {
		request_hold_back(r, now_ms);
		return;
	}
	errno = run->error;
	snprintf(words, sizeof(words), "%s: %s",
	    proc_step_name((enum proc_step)run->step), diag_errno());
	request_end(r,
	    run->error == EAGAIN || run->error == ENOMEM ||
		    run->error == EMFILE || run->error == ENFILE ?
		END_MACHINE :
		END_NOT_STARTED,
	    span_of(words));
}

/* Somebody is still writing the file: a little later, with its slot. */
static void
request_hold_back(struct request *r, uint64_t now_ms)
{
	uint64_t queue_ms = r->settings->limits[LIMIT_queue];

	if (r->busy_until_ms == 0)
		r->busy_until_ms = due_after(now_ms, queue_ms);
	if (queue_ms > 0 && now_ms >= r->busy_until_ms) {
		request_end_limit(r, END_STILL_WRITTEN, LIMIT_queue, queue_ms);
		return;
	}
	r->busy_ms = r->busy_ms == 0		     ? INVOCATION_BUSY_MS :
	    r->busy_ms * 2 > INVOCATION_BUSY_MOST_MS ? INVOCATION_BUSY_MOST_MS :
						       r->busy_ms * 2;
	request_unstart(r);
	r->resolve_again = true;
	r->retry_ms = now_ms + r->busy_ms;
	request_timer(r);
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
	struct invocation *run = &r->run;

	if (run->out_fd < 0)
		return;
	if (run->state == INVOCATION_OVER)
		reply_pump(r);
	else if (run->out.fd >= 0)
		loop_change(r->gateway->loop, &run->out, LOOP_READ);
}

/* ---- time ------------------------------------------------------------------------ */

/* The timer stands at the earliest, or before it: a time that moved on is found
 * out when the timer comes. */
void
request_timer(struct request *r)
{
	const uint64_t times[] = { r->due_ms, r->watch_ms, r->hold_ms,
		r->retry_ms, r->idle_ms, r->stop_ms };
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

	if (is_due(&r->watch_ms, now_ms))
		invocation_watch(r);
	if (is_due(&r->stop_ms, now_ms))
		invocation_stop_next(r);
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
static void
request_unanswered(struct request *r)
{
	if (r->tenant->cell)
		cell_doubt(r->tenant->cell);
	request_end(r, END_CELL_GONE, SPAN("they did not answer"));
}

/* ---- the end ---------------------------------------------------------------------- */

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
	char text[32];

	if (r->ended)
		return;
	r->end_limit = names[limit];
	r->end_value = strdup(limit_text(limit, value, text));
	request_end(r, end, SPAN_NONE);
}

static void
request_reason(struct request *r, enum end end)
{
	r->ended = true;
	r->end = end;
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
	if (!r->run.launcher)
		request_gone(r);
}

/* The reply is complete. A run that goes on without its output has the time it
 * has. */
void
request_done(struct request *r, enum end end, uint32_t app_status)
{
	request_reason(r, end);
	request_move(r, REQUEST_ENDING);
	r->body.discard = true;
	r->hold_ms = r->idle_ms = 0;
	invocation_close_output(r);
	reply_end(r, app_status);
	if (!r->run.launcher)
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
	if (!r->run.launcher)
		request_gone(r);
}

static void
request_give_slot(struct request *r)
{
	if (r->ticket.state != ADMIT_HOLDING)
		return;
	admit_give(&r->ticket, clock_us());
	r->gateway->admit_again = true;
}

static void
request_gone(struct request *r)
{
	struct gateway *g = r->gateway;

	if (r->state == REQUEST_GONE)
		return;
	request_give_slot(r);
	loop_timer_clear(g->loop, &r->timer);
	stats_ended(&g->stats, r);
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

static void
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
