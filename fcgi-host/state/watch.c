/* SPDX-License-Identifier: MIT */
/* watch.c - who waits for changes: of one key (GET with since), of a prefix as
 * pages or as server-sent events. All do the same: ask for what came after the
 * version they have seen; when that was nothing, wait until the store's version
 * moves, time is up, or the connection has room again; then ask again. So a change
 * is never missed between asking and waiting, and never told twice. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#include "state/api.h"
#include "state/page.h"

static call_fn told, at_version;
static void ask(struct call *);
static void wait_more(struct call *);
static void set_timer(struct call *);
static void moved(void *arg, uint64_t version);
static void timer_due(void *arg);
static void time_is_up(struct call *);
static void tell_key(struct call *, const struct store_result *);
static void tell_page(struct call *, const struct store_result *);
static void tell_events(struct call *, const struct store_result *);
static void gone(struct call *, const struct store_result *);
static int stream_begin(struct call *);
static bool wants_events(struct span accept);
static bool prepared(struct call *, bool events);
static int watched_take(struct call *);
static bool room_for_more(const struct call *);

void
watch_key(struct call *c)
{
	if (!prepared(c, false))
		return;
	c->seen = c->query.since;
	c->changes = (struct store_changes){
		.prefix = c->key, .exact = true, .limit = 1
	};
	ask(c);
}

void
watch_get(struct call *c)
{
	const struct query *q = &c->query;
	bool events = wants_events(c->accept), since;

	if (!call_may_read_all(c, q->prefix))
		return;
	if (query_has(q, QUERY_LIMIT) &&
	    q->limit > (uint64_t)c->api->config->state_page) {
		reply_problem(c, PROBLEM_BAD_QUERY,
		    "limit is more than state.page = %llu",
		    (unsigned long long)c->api->config->state_page);
		return;
	}
	since = query_has(q, QUERY_SINCE);
	c->seen = q->since;
	if (events && c->last_event_id.bytes > 0) {
		if (span_number(c->last_event_id, INT64_MAX, &c->seen) != 0) {
			reply_problem(c, PROBLEM_BAD_HEADER,
			    "Last-Event-ID is none that an event had");
			return;
		}
		since = true;
	}
	if (!prepared(c, events))
		return;
	c->changes = (struct store_changes){ .prefix = q->prefix,
		.limit = query_has(q, QUERY_LIMIT) ? (size_t)q->limit :
						     API_EVENTS_MOST };
	c->events = events;
	if (since) {
		ask(c);
		return;
	}
	c->read = (struct store_read){ .keys = NULL };
	call_read(c, at_version);
}

/* Checks wait and takes a place among the tenant's watchers, if it may come to
 * waiting. False when it was answered. */
static bool
prepared(struct call *c, bool events)
{
	uint64_t most_ms = (uint64_t)c->api->config->state_wait;
	uint64_t now_ms = loop_now_ms(c->api->loop);

	if (c->query.wait_ms > most_ms) {
		reply_problem(c, PROBLEM_BAD_QUERY,
		    "wait is more than state.wait = %llu ms",
		    (unsigned long long)most_ms);
		return false;
	}
	timer_init(&c->timer, timer_due, c);
	c->until_ms = events ? UINT64_MAX : now_ms + c->query.wait_ms;
	if (!events && c->query.wait_ms == 0)
		return true;
	if (watched_take(c) == 0)
		return true;
	reply_problem(c, PROBLEM_RATE_LIMITED,
	    "the tenant has state.watchers = %llu requests that wait",
	    (unsigned long long)c->api->config->state_watchers);
	return false;
}

/* Without a version to begin with, it begins now. */
static void
at_version(struct call *c, const struct store_result *result)
{
	if (result->status != STORE_OK) {
		reply_failed(c, result);
		return;
	}
	c->seen = result->version;
	if (c->events && stream_begin(c) != 0)
		return;
	wait_more(c);
}

static void
ask(struct call *c)
{
	c->changes.since = c->seen;
	loop_timer_clear(c->api->loop, &c->timer);
	call_changes(c, told);
}

static void
told(struct call *c, const struct store_result *result)
{
	if (result->status != STORE_OK) {
		gone(c, result);
		return;
	}
	if (c->events)
		tell_events(c, result);
	else if (c->changes.exact)
		tell_key(c, result);
	else
		tell_page(c, result);
}

static void
tell_key(struct call *c, const struct store_result *result)
{
	if (result->change_count > 0) {
		watch_stop(c);
		kv_look(c);
		return;
	}
	c->seen = result->until;
	wait_more(c);
}

static void
tell_page(struct call *c, const struct store_result *result)
{
	if (result->change_count == 0) {
		c->seen = result->until;
		wait_more(c);
		return;
	}
	buf_init(&c->out, c->api->changes_most);
	reply_page(c, page_changes(&c->out, result), result->version,
	    "there is no memory for the changes");
}

static void
tell_events(struct call *c, const struct store_result *result)
{
	struct buf events;
	int failed;

	if (!c->streams && stream_begin(c) != 0)
		return;
	buf_init(&events, c->api->changes_most);
	failed = page_events(&events, result);
	if (failed == 0 && buf_bytes(&events) > 0 &&
	    reply_more(c, buf_span(&events)) != 0) {
		buf_free(&events);
		return;
	}
	buf_free(&events);
	if (failed) { /* it comes again and finds them */
		reply_end(c);
		return;
	}
	c->seen = result->until;
	if (c->news < result->version)
		c->news = result->version;
	wait_more(c);
}

/* The changes are not to be had any more, or not now. */
static void
gone(struct call *c, const struct store_result *result)
{
	char event[96];
	int bytes;

	if (!c->streams) {
		if (c->changes.exact && result->status == STORE_GONE &&
		    c->seen <= result->version) {
			watch_stop(c);
			kv_look(c); /* it may have changed: that is allowed */
			return;
		}
		reply_failed(c, result);
		return;
	}
	if (result->status == STORE_GONE) {
		bytes = snprintf(event, sizeof(event),
		    "event: compacted\ndata: {\"oldest\":%llu}\n\n",
		    (unsigned long long)result->oldest);
		if (reply_more(c, span_make(event, (size_t)bytes)) != 0)
			return;
	}
	reply_end(c);
}

static int
stream_begin(struct call *c)
{
	static const struct span head =
	    SPAN("Status: 200 OK\r\n"
		 "Content-Type: text/event-stream\r\n"
		 "X-Accel-Buffering: no\r\n\r\n"
		 ": changes\n\n");

	if (reply_begin(c,
		c->target.head ? span_take(head, head.bytes - 11) : head) != 0)
		return -1;
	c->streams = true;
	return 0;
}

/* ---- waiting ------------------------------------------------------------------------ */

static void
wait_more(struct call *c)
{
	struct api *api = c->api;

	if (c->target.head || api->draining ||
	    loop_now_ms(api->loop) >= c->until_ms) {
		time_is_up(c);
		return;
	}
	if (c->watch.callback == NULL) {
		c->watch.callback = moved;
		c->watch.arg = c;
		if (api->engine->watch(api->store, call_tenant(c), &c->watch) !=
		    0) {
			c->watch.callback = NULL;
			time_is_up(c);
			return;
		}
	}
	if (c->news > c->seen && room_for_more(c)) {
		ask(c);
		return;
	}
	call_move(c, CALL_WAITING);
	set_timer(c);
}

/* To what comes first: the end of its patience, the next comment, the end of its
 * token. */
static void
set_timer(struct call *c)
{
	uint64_t now_ms = loop_now_ms(c->api->loop), unix_ms = clock_unix_ms();
	uint64_t due_ms = now_ms + API_PING_MS;
	uint64_t token_ms = c->access.claims.expires_s * 1000;

	if (due_ms > c->until_ms)
		due_ms = c->until_ms;
	if (c->connection->arg == NULL && token_ms > unix_ms &&
	    due_ms - now_ms > token_ms - unix_ms)
		due_ms = now_ms + (token_ms - unix_ms);
	loop_timer_set(c->api->loop, &c->timer, due_ms);
}

static bool
room_for_more(const struct call *c)
{
	return !c->streams ||
	    connection_waiting(c->connection) < CONNECTION_WAIT_MOST;
}

static void
moved(void *arg, uint64_t version)
{
	struct call *c = arg;

	if (version > c->news)
		c->news = version;
	if (c->state == CALL_WAITING && c->news > c->seen && room_for_more(c))
		ask(c);
}

void
watch_room(struct call *c)
{
	if (c->news > c->seen)
		ask(c);
}

/* A token that is no longer good ends what it began. */
static void
timer_due(void *arg)
{
	struct call *c = arg;
	struct api *api = c->api;
	uint64_t now_ms = loop_now_ms(api->loop);

	if (c->connection->arg == NULL &&
	    !auth_stands(api->auth, &c->access, clock_unix_ms() / 1000)) {
		if (c->streams)
			reply_end(c);
		else
			reply_problem(c, PROBLEM_INVALID_TOKEN, "%s", "");
		return;
	}
	if (now_ms >= c->until_ms) {
		time_is_up(c);
		return;
	}
	if (c->streams && connection_waiting(c->connection) == 0 &&
	    reply_more(c, SPAN(": ping\n\n")) != 0)
		return;
	set_timer(c);
}

/* Nothing has changed; who streams comes again. */
static void
time_is_up(struct call *c)
{
	char text[96];
	int bytes;

	if (c->streams) {
		reply_end(c);
		return;
	}
	if (c->changes.exact) {
		reply_empty(c, 304, c->seen);
		return;
	}
	bytes = snprintf(text, sizeof(text),
	    "{\"version\":%llu,\"changes\":[],\"more\":false}\n",
	    (unsigned long long)c->seen);
	reply_json(c, c->seen, span_make(text, (size_t)bytes));
}

void
watch_drain(struct call *c)
{
	if (c->state == CALL_WAITING)
		time_is_up(c);
}

void
watch_stop(struct call *c)
{
	struct api *api = c->api;
	struct watched *watched = c->watched;

	if (c->watch.callback != NULL)
		api->engine->unwatch(api->store, &c->watch);
	c->watch.callback = NULL;
	c->watched = NULL;
	if (watched == NULL)
		return;
	api->figures.watchers--;
	if (--watched->count > 0)
		return;
	map_remove(&api->watched, &watched->node);
	free(watched);
}

/* One more of the tenant's watchers: 0, or -1 when it has as many as it may, or
 * memory is out. */
static int
watched_take(struct call *c)
{
	struct api *api = c->api;
	struct span tenant = call_tenant(c);
	struct map_node *node = map_find(&api->watched, tenant);
	struct watched *watched;

	if (node != NULL) {
		watched = MAP_OWNER(node, struct watched, node);
		if (watched->count >= (size_t)api->config->state_watchers)
			return -1;
	} else {
		if (api->config->state_watchers == 0)
			return -1;
		watched = calloc(1, sizeof(*watched));
		if (watched == NULL)
			return -1;
		memcpy(watched->tenant, tenant.data, tenant.bytes);
		if (map_add(&api->watched, &watched->node,
			span_of(watched->tenant)) != 0) {
			free(watched);
			return -1;
		}
	}
	watched->count++;
	c->watched = watched;
	api->figures.watchers++;
	return 0;
}

static bool
wants_events(struct span accept)
{
	while (accept.bytes > 0) {
		struct span item = span_cut(&accept, ',');

		if (span_equal_nocase(span_trim(span_cut(&item, ';')),
			SPAN("text/event-stream")))
			return true;
	}
	return false;
}
