/* SPDX-License-Identifier: MIT */
/* call.c - the life of one request: its parameters, who asks, which route, its
 * body, the store's answer, its end. What a route does is in its own file.
 *
 * Nothing is said to a stranger but 401: the token is looked at before the path.
 * What is asked of the store is borrowed by it until it calls back, so a call
 * whose client went away lives on until then. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/random.h"
#include "wire/params.h"

#include "state/api.h"

static const struct {
	struct span name;
	size_t offset; /* of its span in struct call */
} fields[] = {
	{ SPAN("REQUEST_METHOD"), offsetof(struct call, method) },
	{ SPAN("REQUEST_URI"), offsetof(struct call, uri) },
	{ SPAN("CONTENT_TYPE"), offsetof(struct call, type) },
	{ SPAN("CONTENT_LENGTH"), offsetof(struct call, length) },
	{ SPAN("HTTP_CONTENT_ENCODING"), offsetof(struct call, encoding) },
	{ SPAN("HTTP_CONTENT_RANGE"), offsetof(struct call, range_of) },
	{ SPAN("HTTP_ACCEPT"), offsetof(struct call, accept) },
	{ SPAN("HTTP_IF_MATCH"), offsetof(struct call, if_match) },
	{ SPAN("HTTP_IF_NONE_MATCH"), offsetof(struct call, if_none_match) },
	{ SPAN("HTTP_IDEMPOTENCY_KEY"),
	    offsetof(struct call, idempotency_key) },
	{ SPAN("HTTP_LAST_EVENT_ID"), offsetof(struct call, last_event_id) },
	{ SPAN("HTTP_X_REQUEST_ID"), offsetof(struct call, client_id) },
};

static void (*const handlers[ROUTES])(struct call *) = {
	[ROUTE_INFO] = about_info,
	[ROUTE_GET] = kv_get,
	[ROUTE_PUT] = kv_put,
	[ROUTE_DELETE] = kv_delete,
	[ROUTE_LIST] = list_get,
	[ROUTE_BULK] = list_delete,
	[ROUTE_MANY] = list_many,
	[ROUTE_COUNTER] = kv_counter,
	[ROUTE_ATOMIC] = list_atomic,
	[ROUTE_WATCH] = watch_get,
	[ROUTE_USAGE] = about_usage,
	[ROUTE_EXPORT] = export_get,
	[ROUTE_CHECK] = host_check,
	[ROUTE_RESTORE] = host_restore,
	[ROUTE_DROP] = host_drop,
	[ROUTE_TENANTS] = host_tenants,
};

static void check(const struct call *);
static int read_fields(struct call *);
static bool authenticated(struct call *);
static enum route_result find_route(struct call *);
static bool routed(struct call *);
static void options(struct call *);
static bool asked_well(struct call *);
static void expect_body(struct call *);
static void upload_ended(void *arg);
static void run(struct call *);
static void asked(struct call *, int result, call_fn *then);
static store_fn answered;
static bool key_fits(struct call *, struct span key);

struct call *
call_new(struct api *api, struct connection *connection)
{
	struct list *spare = list_first(&api->spare);
	struct call *c;
	struct buf params;

	if (spare != NULL) {
		c = LIST_OWNER(spare, struct call, node);
		list_remove(spare);
		api->spare_count--;
		params = c->params;
	} else {
		c = malloc(sizeof(*c));
		if (c == NULL)
			return NULL;
		buf_init(&params, PARAMS_STREAM_MOST);
	}
	/* The key's room is large and set before it is read. */
	memset(c, 0, offsetof(struct call, target));
	memset(&c->target, 0, offsetof(struct target, key));
	memset((char *)c + offsetof(struct call, query), 0,
	    sizeof(*c) - offsetof(struct call, query));
	c->state = CALL_PARAMS;
	c->api = api;
	c->connection = connection;
	c->params = params;
	c->file = -1;
	query_init(&c->query);
	orders_init(&c->orders);
	list_add_last(&api->calls, &c->node);
	api->figures.calls++;
	return c;
}

void
call_move(struct call *c, enum call_state to)
{
	static const bool drawn[][CALL_OVER + 1] = {
		[CALL_PARAMS] = { [CALL_BODY] = true,
		    [CALL_STORE] = true,
		    [CALL_WAITING] = true,
		    [CALL_OVER] = true },
		[CALL_BODY] = { [CALL_STORE] = true, [CALL_OVER] = true },
		[CALL_STORE] = { [CALL_STORE] = true,
		    [CALL_WAITING] = true,
		    [CALL_SENDING] = true,
		    [CALL_ORPHAN] = true,
		    [CALL_OVER] = true },
		[CALL_WAITING] = { [CALL_STORE] = true, [CALL_OVER] = true },
		[CALL_SENDING] = { [CALL_OVER] = true },
		[CALL_ORPHAN] = { [CALL_OVER] = true },
		[CALL_OVER] = { false },
	};

	assert(drawn[c->state][to]);
	c->state = to;
	check(c);
}

static void
check(const struct call *c)
{
	assert((c->connection == NULL) ==
	    (c->state == CALL_ORPHAN || c->state == CALL_OVER));
	assert(c->file < 0 || c->state == CALL_SENDING ||
	    c->state == CALL_BODY);
	assert(!c->streams || c->state == CALL_STORE ||
	    c->state == CALL_WAITING);
	assert(c->watched == NULL || c->state == CALL_STORE ||
	    c->state == CALL_WAITING || c->state == CALL_PARAMS);
}

void
call_over(struct call *c)
{
	struct api *api = c->api;

	watch_stop(c);
	loop_timer_clear(api->loop, &c->timer);
	if (c->in_flight)
		map_remove(&api->idempotency, &c->idem);
	c->in_flight = false;
	api->bodies -= c->body_reserved;
	c->body_reserved = 0;
	fd_close(&c->file);
	export_discard(c);
	query_free(&c->query);
	orders_free(&c->orders);
	buf_free(&c->body);
	buf_free(&c->out);
	buf_free(&c->idem_name);
	c->connection = NULL;
	c->streams = false;
	call_move(c, CALL_OVER);

	list_remove(&c->node);
	api->figures.calls--;
	buf_clear(&c->params);
	if (c->params.room > API_KEEP_BYTES)
		buf_free(&c->params);
	if (api->spare_count < API_SPARE_MOST) {
		list_add_first(&api->spare, &c->node);
		api->spare_count++;
	} else {
		buf_free(&c->params);
		free(c);
	}
}

/* ---- what comes ------------------------------------------------------------------- */

void
call_params(struct call *c, struct span bytes)
{
	if (buf_put(&c->params, bytes) != 0)
		c->too_long = true;
}

void
call_params_end(struct call *c)
{
	uint8_t random[10];
	int result;

	random_take(random, sizeof(random));
	request_id_make(c->id, clock_unix_ms(), random);
	result = c->too_long ? -1 : read_fields(c);
	if (result != 0) {
		reply_problem(c, PROBLEM_BAD_HEADER,
		    "the request's header is too long, or cut off");
		return;
	}
	if (!authenticated(c) || !routed(c) || !asked_well(c))
		return;
	if (route_row(c->target.route)->body == BODY_NONE)
		run(c);
	else
		expect_body(c);
}

static int
read_fields(struct call *c)
{
	struct span rest = buf_span(&c->params);
	struct param pair;
	enum params_result result;

	while ((result = params_cut(&rest, &pair)) == PARAMS_PAIR) {
		if (span_equal(pair.name, SPAN("HTTP_AUTHORIZATION"))) {
			if (c->authorization_count < 2)
				c->authorization[c->authorization_count++] =
				    pair.value;
			continue;
		}
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]);
		     i++) {
			struct span *field = (struct span *)(void *)((char *)c +
			    fields[i].offset);

			if (!span_equal(pair.name, fields[i].name))
				continue;
			if (field->data != NULL)
				c->twice = fields[i].name.data;
			*field = pair.value;
			break;
		}
	}
	return result == PARAMS_DONE ? 0 : -1;
}

/* A connection that the host itself made brings its access with it. */
static bool
authenticated(struct call *c)
{
	const struct access *given = c->connection->arg;
	enum auth_refusal refusal;

	if (given != NULL) {
		c->access = *given;
		return true;
	}
	/* OPTIONS is answered to everybody: the routes are no secret. */
	if (span_equal(c->method, SPAN("OPTIONS")) &&
	    find_route(c) == ROUTE_OPTIONS) {
		options(c);
		return false;
	}
	refusal = auth_check(c->api->auth, c->authorization,
	    c->authorization_count, clock_unix_ms() / 1000, &c->access);
	if (refusal == AUTH_OK)
		return true;
	/* The client hears no reason; the operator does. */
	if (api_may_log(c->api))
		diag_info("request refused: %s; reason=%s request=%s",
		    auth_refusal_words(refusal), auth_refusal_name(refusal),
		    c->id);
	c->tokenless = refusal == AUTH_NONE || refusal == AUTH_SCHEME;
	reply_problem(c, PROBLEM_INVALID_TOKEN, "%s", "");
	return false;
}

/* The host's own routes are none to others, whatever they ask. */
static enum route_result
find_route(struct call *c)
{
	enum route_result result = route_find(c->method, c->uri, &c->target);

	if (result != ROUTE_NO_PATH &&
	    route_row(c->target.path)->scope == SCOPE_HOST &&
	    c->connection->arg == NULL)
		return ROUTE_NO_PATH;
	return result;
}

static bool
routed(struct call *c)
{
	switch (find_route(c)) {
	case ROUTE_FOUND:
		break;
	case ROUTE_OPTIONS:
		options(c);
		return false;
	case ROUTE_NO_PATH:
		c->api->figures.no_route++;
		reply_problem(c, PROBLEM_NO_ROUTE, "%s", "");
		return false;
	case ROUTE_NOT_METHOD:
		c->api->figures.no_route++;
		reply_problem(c, PROBLEM_METHOD_NOT_ALLOWED, "%s", "");
		return false;
	case ROUTE_BAD_KEY:
		reply_problem(c, PROBLEM_BAD_KEY, "the key %s",
		    key_error_words(c->target.key_error));
		return false;
	}
	c->api->figures.requests[c->target.route]++;
	c->key = target_key(&c->target);
	if (c->client_id.data != NULL && client_request_id_valid(c->client_id))
		diag_debug("request: request=%s client=%.*s", c->id,
		    SPAN_ARGS(c->client_id));
	return true;
}

static void
options(struct call *c)
{
	struct buf head;

	buf_init(&head, 256);
	if (buf_put_string(&head, "Status: 204 No Content\r\nAllow: ") ||
	    route_allow(&head, &c->target) || buf_put_string(&head, "\r\n\r\n"))
		buf_clear(&head);
	reply_send(c, buf_span(&head), SPAN(""));
	buf_free(&head);
}

/* What the token allows, and that query and conditions can be understood. False
 * when it was answered. */
static bool
asked_well(struct call *c)
{
	const struct route_row *row = route_row(c->target.route);
	enum query_error error;
	enum precondition_error bad;
	const char *field;

	if ((row->scope != SCOPE_HOST &&
		(unsigned)c->access.claims.scope < (unsigned)row->scope) ||
	    (row->scope == SCOPE_ADMIN && !access_may_admin(&c->access))) {
		reply_problem(c, PROBLEM_INSUFFICIENT_SCOPE,
		    c->access.claims.scope >= JWT_ADMIN ?
			"this needs a token of scope %s without a prefix" :
			"this needs a token of scope %s",
		    jwt_scope_name((enum jwt_scope)row->scope));
		return false;
	}
	if (row->key &&
	    !(row->scope == SCOPE_READ ? call_may_read : call_may_write)(c,
		c->key))
		return false;
	if (c->twice != NULL) {
		reply_problem(c, PROBLEM_BAD_HEADER,
		    "a field came more than once: %s", c->twice);
		return false;
	}
	error = query_parse(&c->query, c->target.query, row->query);
	if (error != QUERY_OK) {
		struct buf why;

		buf_init(&why, 512);
		query_error_put(&why, &c->query, error);
		reply_problem(c, PROBLEM_BAD_QUERY, "%.*s",
		    SPAN_ARGS(buf_span(&why)));
		buf_free(&why);
		return false;
	}
	/* RFC 9110 section 14.5: a part is not to be taken for the whole. */
	if (c->range_of.data != NULL) {
		reply_problem(c, PROBLEM_BAD_HEADER,
		    "a value is written whole, without Content-Range");
		return false;
	}
	/* It would come back without the field that says how to read it. */
	if (row->body != BODY_NONE && c->encoding.bytes > 0 &&
	    !span_equal_nocase(c->encoding, SPAN("identity"))) {
		reply_problem(c, PROBLEM_UNSUPPORTED_ENCODING, "%s", "");
		return false;
	}
	bad = preconditions_read(&c->preconditions, c->if_match,
	    c->if_none_match, &field);
	if (bad != PRECONDITION_OK)
		reply_problem(c, PROBLEM_BAD_HEADER,
		    bad == PRECONDITION_BAD ?
			"%s is to be * or entity tags like \"57\"" :
			"%s has more than 16 entity tags",
		    field);
	else if (!row->key && row->scope == SCOPE_WRITE &&
	    preconditions_any(&c->preconditions)) {
		reply_problem(c, PROBLEM_BAD_HEADER,
		    "%s is for one key; checks of an atomic request are for "
		    "many",
		    c->if_match.data != NULL ? "If-Match" : "If-None-Match");
		return false;
	} else if (!row->key &&
	    c->preconditions.match.kind == PRECONDITION_TAGS) {
		reply_problem_with(c, PROBLEM_PRECONDITION_FAILED,
		    SPAN(",\"current\":null"),
		    "If-Match is for one key; what is asked for has no entity "
		    "tag");
		return false;
	}
	return bad == PRECONDITION_OK;
}

static void
expect_body(struct call *c)
{
	const struct config *config = c->api->config;
	enum route_body body = route_row(c->target.route)->body;
	uint64_t bytes = 0;

	c->body_most = body == BODY_VALUE ? (uint64_t)config->state_value :
	    body == BODY_JSON ? (uint64_t)config->state_atomic_body :
				INT64_MAX;
	buf_init(&c->body, c->body_most);
	if (c->length.bytes > 0 &&
	    span_number(c->length, INT64_MAX, &bytes) != 0) {
		reply_problem(c, PROBLEM_BAD_HEADER,
		    "Content-Length is no number");
		return;
	}
	if (bytes > c->body_most) {
		call_too_large(c, bytes);
		return;
	}
	call_move(c, CALL_BODY);
	timer_init(&c->timer, upload_ended, c);
	loop_timer_set(c->api->loop, &c->timer,
	    loop_now_ms(c->api->loop) + API_UPLOAD_MS);
	if (body == BODY_COPY)
		host_restore_begin(c);
}

void
call_too_large(struct call *c, uint64_t bytes)
{
	bool value = route_row(c->target.route)->body == BODY_VALUE;
	char more[96];

	snprintf(more, sizeof(more), ",\"limit\":%llu,\"size\":%llu",
	    (unsigned long long)c->body_most, (unsigned long long)bytes);
	reply_problem_with(c, PROBLEM_TOO_LARGE, span_of(more),
	    "the body is larger than %s = %llu bytes",
	    value ? "state.value" : "state.atomic_body",
	    (unsigned long long)c->body_most);
}

void
call_body(struct call *c, struct span bytes)
{
	struct api *api = c->api;

	if (c->state != CALL_BODY) /* a body that nobody takes */
		return;
	if (route_row(c->target.route)->body == BODY_COPY) {
		host_restore_body(c, bytes);
		return;
	}
	if (bytes.bytes > c->body_most - buf_bytes(&c->body)) {
		call_too_large(c, buf_bytes(&c->body) + bytes.bytes);
		return;
	}
	if (api->bodies + bytes.bytes > API_BODIES_MOST ||
	    buf_put(&c->body, bytes) != 0) {
		reply_problem(c, PROBLEM_RATE_LIMITED,
		    "there is no room for the body now");
		return;
	}
	api->bodies += bytes.bytes;
	c->body_reserved += bytes.bytes;
}

void
call_body_end(struct call *c)
{
	uint64_t bytes;

	if (c->state != CALL_BODY)
		return;
	loop_timer_clear(c->api->loop, &c->timer);
	/* A client that went away in the middle has not asked for that. */
	if (c->length.bytes > 0 &&
	    (span_number(c->length, INT64_MAX, &bytes) != 0 ||
		bytes != buf_bytes(&c->body) + c->file_left)) {
		reply_problem(c, PROBLEM_BAD_BODY,
		    "the body ended before its Content-Length");
		return;
	}
	run(c);
}

static void
upload_ended(void *arg)
{
	struct call *c = arg;

	reply_problem(c, PROBLEM_UPLOAD_TIME,
	    "the body was not complete after %d s", API_UPLOAD_MS / 1000);
}

static void
run(struct call *c)
{
	handlers[c->target.route](c);
}

/* ---- what it asks of the store ------------------------------------------------------- */

void
call_read(struct call *c, call_fn *then)
{
	struct api *api = c->api;

	asked(c,
	    api->engine->read(api->store, call_tenant(c), &c->read, answered,
		c),
	    then);
}

void
call_commit(struct call *c, call_fn *then)
{
	struct api *api = c->api;

	asked(c,
	    api->engine->commit(api->store, call_tenant(c), &c->batch, answered,
		c),
	    then);
}

void
call_changes(struct call *c, call_fn *then)
{
	struct api *api = c->api;

	asked(c,
	    api->engine->changes(api->store, call_tenant(c), &c->changes,
		answered, c),
	    then);
}

void
call_usage(struct call *c, call_fn *then)
{
	struct api *api = c->api;

	c->tenant = (struct store_tenant){ .op = STORE_TENANT_STAT };
	asked(c,
	    api->engine->tenant(api->store, call_tenant(c), &c->tenant,
		answered, c),
	    then);
}

void
call_backup(struct call *c, struct span name, call_fn *then)
{
	struct api *api = c->api;

	asked(c,
	    api->engine->backup(api->store, call_tenant(c), api->exports_fd,
		name, answered, c),
	    then);
}

void
call_restore(struct call *c, struct span name, call_fn *then)
{
	struct api *api = c->api;

	asked(c,
	    api->engine->restore(api->store, call_tenant(c), api->exports_fd,
		name, answered, c),
	    then);
}

void
call_check(struct call *c, bool deep, call_fn *then)
{
	struct api *api = c->api;

	asked(c,
	    api->engine->check(api->store, call_tenant(c), deep, answered, c),
	    then);
}

void
call_drop(struct call *c, call_fn *then)
{
	struct api *api = c->api;

	c->tenant = (struct store_tenant){ .op = STORE_TENANT_DROP };
	asked(c,
	    api->engine->tenant(api->store, call_tenant(c), &c->tenant,
		answered, c),
	    then);
}

void
call_tenants(struct call *c, struct span after, size_t limit, call_fn *then)
{
	struct api *api = c->api;

	asked(c, api->engine->tenants(api->store, after, limit, answered, c),
	    then);
}

static void
asked(struct call *c, int result, call_fn *then)
{
	if (result == 0) {
		c->then = then;
		call_move(c, CALL_STORE);
		return;
	}
	if (c->streams) {
		reply_end(c);
		return;
	}
	reply_undone(c, "the store has too much to do: %s", diag_errno());
}

static void
answered(void *arg, const struct store_result *result)
{
	struct call *c = arg;

	if (c->state == CALL_ORPHAN) {
		export_discard(c);
		call_over(c);
		return;
	}
	assert(c->state == CALL_STORE);
	c->then(c, result);
}

void
call_gone(struct call *c)
{
	if (c->state == CALL_OVER || c->state == CALL_ORPHAN)
		return;
	if (c->state != CALL_STORE) {
		call_over(c);
		return;
	}
	watch_stop(c);
	c->streams = false;
	c->connection = NULL;
	call_move(c, CALL_ORPHAN);
}

void
call_room(struct call *c)
{
	if (c->state == CALL_SENDING)
		export_room(c);
	else if (c->state == CALL_WAITING)
		watch_room(c);
}

/* ---- what the token allows ---------------------------------------------------------- */

static bool
allowed(struct call *c, bool may, const char *what)
{
	if (!may)
		reply_problem(c, PROBLEM_INSUFFICIENT_SCOPE,
		    "the token does not allow %s", what);
	return may;
}

bool
call_may_read(struct call *c, struct span key)
{
	return key_fits(c, key) &&
	    allowed(c, access_may_read(&c->access, key), "this key to be read");
}

bool
call_may_write(struct call *c, struct span key)
{
	return key_fits(c, key) &&
	    allowed(c, access_may_write(&c->access, key),
		"this key to be written");
}

bool
call_may_read_all(struct call *c, struct span prefix)
{
	return allowed(c, access_may_read_all(&c->access, prefix),
	    "all keys with this prefix to be read");
}

bool
call_may_write_all(struct call *c, struct span prefix)
{
	return allowed(c, access_may_write_all(&c->access, prefix),
	    "all keys with this prefix to be written");
}

static bool
key_fits(struct call *c, struct span key)
{
	if (key.bytes <= (size_t)c->api->config->state_key)
		return true;
	reply_problem(c, PROBLEM_BAD_KEY,
	    "the key is longer than state.key = %llu bytes",
	    (unsigned long long)c->api->config->state_key);
	return false;
}
