/* SPDX-License-Identifier: MIT */
/* api.c - all of the API: where its requests come from, and what they share. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/diag.h"

#include "state/api.h"

static void *begin(struct connection *);
static void params(void *request, struct span);
static void params_end(void *request);
static void body(void *request, struct span);
static void body_end(void *request);
static void room(void *request);
static void gone(void *request, bool connection_gone);

const struct serve_hooks api_hooks = {
	.begin = begin,
	.params = params,
	.params_end = params_end,
	.body = body,
	.body_end = body_end,
	.room = room,
	.abort = gone,
	.closed = host_closed,
};

struct api *
api_open(struct loop *loop, const struct store_engine *engine,
    struct store *store, struct auth *auth, int exports_fd)
{
	struct api *api = diag_alloc(sizeof(*api));

	api->loop = loop;
	api->engine = engine;
	api->store = store;
	api->auth = auth;
	api->exports_fd = exports_fd;
	list_init(&api->calls);
	list_init(&api->spare);
	map_init(&api->watched);
	map_init(&api->idempotency);
	export_clean(api);
	return api;
}

void
api_configure(struct api *api, const struct config *config, struct serve *serve)
{
	size_t most = (size_t)config->state_page_bytes;
	size_t page = (size_t)config->state_page, commit = API_SWEEP_MOST;

	/* config_hold() counts references of what is otherwise immutable. */
	if (api->config != NULL)
		config_release(&api->config);
	api->config = config_hold((struct config *)(uintptr_t)config);

	/* A page of changes goes on to the end of a commit. */
	if (commit < page)
		commit = page;
	if (commit < (size_t)config->state_atomic_ops)
		commit = (size_t)config->state_atomic_ops;
	api->changes_most = (page + commit) *
	    (2 * (size_t)config->state_key + API_CHANGE_BYTES);

	/* The largest reply is a page of values (JSON makes them half as large
	 * again) with keys, one value, or changes. */
	if (most < (size_t)config->state_value)
		most = (size_t)config->state_value;
	most = 2 * (most + page * API_ITEM_BYTES);
	if (most < api->changes_most)
		most = api->changes_most;
	serve->out_most = most + CONNECTION_OUT_MOST;
}

void
api_renew(struct api *api, struct store *store)
{
	api->store = store;
	api->draining = false;
}

void
api_drain(struct api *api)
{
	api->draining = true;
	LIST_EACH(node, &api->calls)
		watch_drain(LIST_OWNER(node, struct call, node));
}

void
api_close(struct api **held)
{
	struct api *api = *held;
	struct list *node;

	*held = NULL;
	while ((node = list_first(&api->spare)) != NULL) {
		struct call *c = LIST_OWNER(node, struct call, node);

		list_remove(node);
		buf_free(&c->params);
		free(c);
	}
	map_free(&api->watched);
	map_free(&api->idempotency);
	config_release(&api->config);
	free(api);
}

void
api_report(const struct api *api, struct api_figures *figures)
{
	*figures = api->figures;
	figures->bodies = api->bodies;
}

bool
api_may_log(struct api *api)
{
	uint64_t now_ms = loop_now_ms(api->loop);

	if (now_ms - api->lines_ms >= 1000) {
		api->lines_ms = now_ms;
		api->lines = 0;
	}
	return api->lines++ < API_LINES_MOST;
}

static void *
begin(struct connection *connection)
{
	return call_new(connection->serve->owner, connection);
}

static void
params(void *request, struct span bytes)
{
	call_params(request, bytes);
}

static void
params_end(void *request)
{
	call_params_end(request);
}

static void
body(void *request, struct span bytes)
{
	call_body(request, bytes);
}

static void
body_end(void *request)
{
	call_body_end(request);
}

static void
room(void *request)
{
	call_room(request);
}

/* FCGI_ABORT_REQUEST wants an end of the request all the same. */
static void
gone(void *request, bool connection_gone)
{
	struct call *c = request;
	struct connection *connection = c->connection;

	call_gone(c);
	if (!connection_gone && connection != NULL)
		connection_end(connection, 0);
}
