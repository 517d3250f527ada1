/* SPDX-License-Identifier: MIT */
/* kv.c - one key: its value, its end, its number. */
#include <stdio.h>

#include "wire/cgi_head.h"

#include "state/api.h"
#include "state/page.h"

static call_fn got;
static void send_value(struct call *, const struct store_item *,
    const struct store_result *);
static bool conditions(struct call *);

void
kv_get(struct call *c)
{
	if (query_has(&c->query, QUERY_WAIT) &&
	    !query_has(&c->query, QUERY_SINCE)) {
		reply_problem(c, PROBLEM_BAD_QUERY,
		    "wait needs since: the version that is known");
		return;
	}
	if (query_has(&c->query, QUERY_SINCE))
		watch_key(c);
	else
		kv_look(c);
}

void
kv_look(struct call *c)
{
	c->read = (struct store_read){
		.keys = &c->key, .key_count = 1, .values = !c->target.head
	};
	call_read(c, got);
}

static void
got(struct call *c, const struct store_result *result)
{
	const struct store_item *item;

	if (result->status != STORE_OK) {
		reply_failed(c, result);
		return;
	}
	item = &result->points[0];
	switch (preconditions_hold(&c->preconditions, item->version, true)) {
	case PRECONDITIONS_FAIL:
		reply_conditions(c, item->version);
		return;
	case PRECONDITIONS_UNMADE:
		reply_unmodified(c, item->version, result->version);
		return;
	case PRECONDITIONS_HOLD:
		break;
	}
	if (item->version == 0)
		reply_problem(c, PROBLEM_KEY_NOT_FOUND, "%s", "");
	else
		send_value(c, item, result);
}

static void
send_value(struct call *c, const struct store_item *item,
    const struct store_result *result)
{
	struct span type = item->type.bytes > 0 ?
	    item->type :
	    SPAN("application/octet-stream");
	char expires[64] = "", head[640];
	int bytes;

	if (item->expires_ms > 0)
		snprintf(expires, sizeof(expires), "Fn-Expires: %llu\r\n",
		    (unsigned long long)page_seconds(item->expires_ms));
	bytes = snprintf(head, sizeof(head),
	    "Status: 200 OK\r\nETag: \"%llu\"\r\nFn-Version: %llu\r\n%s"
	    "Content-Type: %.*s\r\nContent-Length: %llu\r\n\r\n",
	    (unsigned long long)item->version,
	    (unsigned long long)result->version, expires, SPAN_ARGS(type),
	    (unsigned long long)item->size);
	reply_send(c, span_make(head, (size_t)bytes), item->value);
}

void
kv_put(struct call *c)
{
	const struct query *q = &c->query;

	if (query_has(q, QUERY_TTL) && query_has(q, QUERY_EXPIRES)) {
		reply_problem(c, PROBLEM_BAD_QUERY,
		    "ttl and expires exclude each other");
		return;
	}
	if (query_has(q, QUERY_TTL) && q->ttl_ms == 0) {
		reply_problem(c, PROBLEM_BAD_QUERY,
		    "ttl is to be more than 0; without it the value stays");
		return;
	}
	if (c->type.bytes > 0 && !type_good(c->type)) {
		reply_problem(c, PROBLEM_BAD_HEADER,
		    "Content-Type is no content type of up to %d bytes",
		    ORDERS_TYPE_MOST);
		return;
	}
	if (!conditions(c))
		return;
	c->op = (struct store_op){ .kind = STORE_SET,
		.key = c->key,
		.value = buf_span(&c->body),
		.type = c->type.bytes > 0 ? c->type : SPAN_NONE };
	if (query_has(q, QUERY_TTL)) {
		c->op.expiry = STORE_FOR;
		c->op.expires_ms = q->ttl_ms;
	} else if (query_has(q, QUERY_EXPIRES)) {
		c->op.expiry = STORE_AT;
		c->op.expires_ms = q->expires_ms;
	}
	commit_run(c);
}

void
kv_delete(struct call *c)
{
	if (!conditions(c))
		return;
	c->op = (struct store_op){ .kind = STORE_DELETE, .key = c->key };
	commit_run(c);
}

void
kv_counter(struct call *c)
{
	if (orders_read_counter(&c->orders, c->key, buf_span(&c->body)) != 0) {
		reply_orders(c);
		return;
	}
	if (!conditions(c))
		return;
	c->op = c->orders.ops[0];
	commit_run(c);
}

/* The preconditions become checks of the commit, so that they hold at its
 * moment. False when the tenant wants some and there are none. */
static bool
conditions(struct call *c)
{
	const struct precondition *match = &c->preconditions.match;
	const struct precondition *none = &c->preconditions.none_match;
	size_t count = 0;

	if (!preconditions_any(&c->preconditions) &&
	    !c->api->config->state_blind_writes &&
	    c->target.route != ROUTE_COUNTER) {
		reply_problem(c, PROBLEM_PRECONDITION_REQUIRED,
		    "writes need If-Match or If-None-Match here "
		    "(state.blind_writes = false)");
		return false;
	}
	if (match->kind != PRECONDITION_NONE)
		c->checks[count++] = (struct store_check){
			.kind = match->kind == PRECONDITION_ANY ?
			    STORE_PRESENT :
			    STORE_VERSION,
			.key = c->key,
			.versions = match->versions,
			.version_count = match->count,
		};
	if (none->kind != PRECONDITION_NONE)
		c->checks[count++] = (struct store_check){
			.kind = none->kind == PRECONDITION_ANY ?
			    STORE_ABSENT :
			    STORE_NOT_VERSION,
			.key = c->key,
			.versions = none->versions,
			.version_count = none->count,
		};
	c->batch = (struct store_batch){ .checks = c->checks,
		.check_count = count,
		.ops = &c->op,
		.op_count = 1 };
	return true;
}
