/* SPDX-License-Identifier: MIT */
/* about.c - the store as a whole: its limits, and how much of it is used. */
#include "state/api.h"
#include "state/page.h"

enum { ABOUT_MOST = 4096 };

static call_fn informed, used;

void
about_info(struct call *c)
{
	c->read = (struct store_read){ .keys = NULL };
	call_read(c, informed);
}

/* Every limit by the name of its option. */
static int
put_limits(struct buf *out, const struct config *config)
{
	const struct {
		const char *name;
		uint64_t value;
	} limits[] = {
		{ "key", (uint64_t)config->state_key },
		{ "value", (uint64_t)config->state_value },
		{ "keys", (uint64_t)config->state_keys },
		{ "atomic_body", (uint64_t)config->state_atomic_body },
		{ "atomic_checks", (uint64_t)config->state_atomic_checks },
		{ "atomic_ops", (uint64_t)config->state_atomic_ops },
		{ "page", (uint64_t)config->state_page },
		{ "page_bytes", (uint64_t)config->state_page_bytes },
		{ "wait_ms", (uint64_t)config->state_wait },
		{ "watchers", (uint64_t)config->state_watchers },
		{ "quota", (uint64_t)config->state_quota },
		{ "history", (uint64_t)config->state_history },
		{ "history_ms", (uint64_t)config->state_history_time },
		{ "idempotency_ms", (uint64_t)config->state_idempotency },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (buf_printf(out, "%s\"%s\":%llu", i > 0 ? "," : "",
			limits[i].name,
			(unsigned long long)limits[i].value) != 0)
			return -1;
	return 0;
}

static void
informed(struct call *c, const struct store_result *result)
{
	const struct store_engine *engine = c->api->engine;
	bool bad;

	if (result->status != STORE_OK) {
		reply_failed(c, result);
		return;
	}
	buf_init(&c->out, ABOUT_MOST);
	bad = buf_printf(&c->out,
		  "{\"version\":%llu,\"engine\":\"%s\",\"export\":%s,"
		  "\"blind_writes\":%s,\"scope\":\"%s\",\"limits\":{",
		  (unsigned long long)result->version, engine->name,
		  engine->can & STORE_CAN_BACKUP && c->api->exports_fd >= 0 ?
		      "true" :
		      "false",
		  c->api->config->state_blind_writes ? "true" : "false",
		  jwt_scope_name(c->access.claims.scope)) ||
	    put_limits(&c->out, c->api->config) ||
	    buf_put_string(&c->out, "}}\n");
	reply_page(c, bad, result->version, "there is no memory");
}

void
about_usage(struct call *c)
{
	call_usage(c, used);
}

static void
used(struct call *c, const struct store_result *result)
{
	if (result->status != STORE_OK) {
		reply_failed(c, result);
		return;
	}
	buf_init(&c->out, ABOUT_MOST);
	reply_page(c, page_usage(&c->out, result), result->version,
	    "there is no memory");
}
