/* SPDX-License-Identifier: MIT */
/* request_read.c - what the web server sends of a request: its parameters, whose
 * function they name, and its body as it comes. */
#include "base/diag.h"
#include "base/random.h"
#include "config/options.h"

#include "gateway/gateway.h"

static bool request_read_params(struct request *);
static bool request_read_length(struct request *,
    const struct request_params *);
static bool request_may(struct request *);
static bool request_body_fits(struct request *, enum body_result);

/* When others may have been read: most functions are done by then. */
enum { SPOOL_AGAIN_US = 10 * 1000000 };

/* ---- its parameters --------------------------------------------------------------- */

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

bool
request_users(const struct request *r)
{
	return r->gateway->config->user_directories[0] != '\0';
}

void
request_route(struct request *r)
{
	const char *why;

	buf_clear(&r->decoded);
	switch (route_find(r->target, r->prefix, request_users(r),
	    r->host_tenant, &r->decoded, &r->route, &why)) {
	case ROUTE_FOUND:
		break;
	case ROUTE_BAD_TARGET:
		request_end(r, END_BAD_REQUEST, span_of(why));
		return;
	case ROUTE_BAD_TENANT:
		request_end(r, END_NO_TENANT,
		    SPAN(": a tenant's name has " ROUTE_TENANT_RULE));
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
	if (!r->tenant) {
		request_end(r, END_MACHINE, SPAN("too many tenants"));
		return;
	}
	tenant_take(r->tenant, r);
	/* a request that is sent on inside came once */
	if (r->redirects == 0 && !meter_take(&r->tenant->rate, r->begun_us))
		request_end_term(r, END_RATE, TERM_rate,
		    meter_wait_us(&r->tenant->rate, r->begun_us));
	else
		request_may_run(r, r->begun_us);
}

static bool
request_may(struct request *r)
{
	struct span suspended = suspend_reason(r->gateway, r->route.tenant);

	if (r->gateway->state == GATEWAY_DRAINING && r->redirects == 0) {
		request_end(r, END_DRAINING, SPAN_NONE);
		return false;
	}
	if (!front_may(r->front, &r->route)) {
		request_end(r, END_FORBIDDEN,
		    SPAN("this connection is for another function"));
		return false;
	}
	if (suspended.data) {
		request_end(r, END_SUSPENDED, suspended);
		return false;
	}
	return true;
}

/* ---- its body ------------------------------------------------------------------- */

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
	if (request_body_fits(r, body_put(r, s)))
		reply_upload_moves(r, false);
}

/* Else the request has ended. */
static bool
request_body_fits(struct request *r, enum body_result result)
{
	char text[32];

	switch (result) {
	case BODY_TAKEN:
		return true;
	case BODY_TOO_LARGE:
		if (!r->fresh)
			function_doubt(r->function);
		request_end_limit(r, END_BODY_SIZE, LIMIT_body,
		    r->settings->limits[LIMIT_body]);
		break;
	case BODY_NO_ROOM:
		request_end(r, END_MACHINE, span_of(diag_errno()));
		break;
	case BODY_TENANT_FULL:
		request_end_term(r, END_SPOOL_FULL, TERM_spool, SPOOL_AGAIN_US);
		break;
	case BODY_HOST_FULL:
		if (r->ended)
			break;
		r->end_limit = "body.spool_total";
		r->end_value = strdup(option_number_words(
		    &config_options[CONFIG_ROW_body_spool_total],
		    r->gateway->config->body_spool_total, text));
		r->retry_after_s = SPOOL_AGAIN_US / 1000000;
		request_end(r, END_SPOOL_FULL, SPAN_NONE);
		break;
	}
	return false;
}

void
request_stdin_end(struct request *r)
{
	struct body *b = &r->body;

	if (b->complete)
		return;
	if (!request_body_fits(r, body_flush(r)))
		return;
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

/* What came was looked at, and more is to come. */
void
request_input_rests(struct request *r)
{
	uint64_t now_ms = loop_now_ms(r->gateway->loop);

	if (!request_body_fits(r, body_flush(r)))
		return;
	if (r->due_ms != 0)
		return;
	if (r->state == REQUEST_READING)
		r->due_ms = request_due_after(now_ms,
		    r->gateway->config->limits[LIMIT_upload]);
	else if (r->state == REQUEST_ROUTED && r->function)
		r->due_ms = request_due_after(now_ms,
		    r->settings->limits[LIMIT_upload]);
	else
		return;
	request_timer(r);
}
