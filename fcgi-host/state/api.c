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
	uint64_t most = (uint64_t)config->state_page_bytes;

	/* config_hold() counts references of what is otherwise immutable. */
	if (api->config != NULL)
		config_release(&api->config);
	api->config = config_hold((struct config *)(uintptr_t)config);
	/* The largest reply is a page of values (JSON makes them half as large
	 * again) with keys, or one value. */
	if (most < (uint64_t)config->state_value)
		most = (uint64_t)config->state_value;
	serve->out_most = (size_t)(2 * most) + CONNECTION_OUT_MOST +
	    (size_t)config->state_page * 2 * API_ITEM_BYTES;
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

/* The client hears no reason; the operator does, but no stranger may fill the log
 * with them. */
void
api_refused(struct api *api, const char *id, enum auth_refusal refusal)
{
	uint64_t now_ms = loop_now_ms(api->loop);

	if (now_ms - api->refusals_ms >= 1000) {
		api->refusals_ms = now_ms;
		api->refusals = 0;
	}
	if (++api->refusals <= API_REFUSALS_MOST)
		diag_info("request refused: %s; reason=%s request=%s",
		    auth_refusal_words(refusal), auth_refusal_name(refusal),
		    id);
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
