/* SPDX-License-Identifier: MIT */
/* list.c - many keys at once: pages, bulk deletion, many reads of one moment,
 * atomic requests. */
#include "state/api.h"
#include "state/page.h"

static call_fn listed, got_many;
static bool limit_of(struct call *, uint64_t standard, size_t *limit);
static struct orders_limits limits_of(const struct config *);
static size_t page_most(const struct call *, size_t items);

void
list_get(struct call *c)
{
	const struct query *q = &c->query;
	size_t limit;

	if (!call_may_read_all(c, q->prefix) || !limit_of(c, API_LIST, &limit))
		return;
	c->range = (struct store_range){ .prefix = q->prefix,
		.start = q->start,
		.end = q->end,
		.after = q->cursor,
		.delimiter = q->delimiter,
		.limit = limit,
		.reverse = q->reverse,
		.values = q->values };
	c->read = (struct store_read){ .ranges = &c->range,
		.range_count = 1,
		.bytes_most = (size_t)c->api->config->state_page_bytes };
	call_read(c, listed);
}

static void
listed(struct call *c, const struct store_result *result)
{
	if (result->status != STORE_OK) {
		reply_failed(c, result);
		return;
	}
	buf_init(&c->out, page_most(c, result->pages[0].item_count));
	reply_page(c, page_list(&c->out, result), result->version,
	    "there is no memory for the page");
}

void
list_delete(struct call *c)
{
	const struct query *q = &c->query;
	size_t limit;

	if (q->prefix.bytes == 0) {
		reply_problem(c, PROBLEM_BAD_QUERY,
		    "it needs a prefix that is not empty");
		return;
	}
	if (!call_may_write_all(c, q->prefix) ||
	    !limit_of(c, (uint64_t)c->api->config->state_page, &limit))
		return;
	c->op = (struct store_op){
		.kind = STORE_DELETE_RANGE, .key = q->prefix, .limit = limit
	};
	c->batch = (struct store_batch){ .ops = &c->op, .op_count = 1 };
	commit_run(c);
}

void
list_many(struct call *c)
{
	struct orders_limits limits = limits_of(c->api->config);

	if (orders_read_many(&c->orders, buf_span(&c->body), &limits) != 0) {
		reply_orders(c);
		return;
	}
	for (size_t i = 0; i < c->orders.key_count; i++)
		if (!call_may_read(c, c->orders.keys[i]))
			return;
	c->read = (struct store_read){ .keys = c->orders.keys,
		.key_count = c->orders.key_count,
		.values = c->orders.values,
		.bytes_most = (size_t)c->api->config->state_page_bytes };
	call_read(c, got_many);
}

static void
got_many(struct call *c, const struct store_result *result)
{
	if (result->status != STORE_OK) {
		reply_failed(c, result);
		return;
	}
	buf_init(&c->out, page_most(c, result->point_count));
	reply_page(c, page_many(&c->out, result, &c->read), result->version,
	    "there is no memory for the values");
}

void
list_atomic(struct call *c)
{
	struct orders_limits limits = limits_of(c->api->config);
	const struct orders *o = &c->orders;

	if (orders_read_atomic(&c->orders, buf_span(&c->body), &limits) != 0) {
		reply_orders(c);
		return;
	}
	/* A check tells what is there, so it is a read. */
	for (size_t i = 0; i < o->check_count; i++)
		if (!call_may_read(c, o->checks[i].key))
			return;
	for (size_t i = 0; i < o->op_count; i++)
		if (!call_may_write(c, o->ops[i].key))
			return;
	c->batch = (struct store_batch){ .checks = o->checks,
		.check_count = o->check_count,
		.ops = o->ops,
		.op_count = o->op_count };
	commit_run(c);
}

/* False when it was answered. */
static bool
limit_of(struct call *c, uint64_t standard, size_t *limit)
{
	uint64_t most = (uint64_t)c->api->config->state_page;

	if (standard > most)
		standard = most;
	*limit = (size_t)(query_has(&c->query, QUERY_LIMIT) ? c->query.limit :
							      standard);
	if (*limit <= most)
		return true;
	reply_problem(c, PROBLEM_BAD_QUERY,
	    "limit is more than state.page = %llu", (unsigned long long)most);
	return false;
}

static struct orders_limits
limits_of(const struct config *config)
{
	return (struct orders_limits){
		.checks = (size_t)config->state_atomic_checks,
		.ops = (size_t)config->state_atomic_ops,
		.keys = (size_t)config->state_keys,
		.value = (uint64_t)config->state_value,
	};
}

/* Bytes of JSON that a page may become. */
static size_t
page_most(const struct call *c, size_t items)
{
	return 2 * (size_t)c->api->config->state_page_bytes +
	    (items + 4) * 2 * API_ITEM_BYTES +
	    2 * (size_t)c->api->config->state_keys * KEY_MOST;
}
