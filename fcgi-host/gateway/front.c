/* SPDX-License-Identifier: MIT */
/* front.c - where the web server's connections meet requests: who may connect,
 * how many, and which of serve's hooks is which step of a request. */
#include <stdlib.h>

#include "gateway/gateway.h"

static void *front_begin(struct connection *);
static void front_params(void *arg, struct span);
static void front_params_end(void *arg);
static bool front_takes_body(const void *arg);
static void front_body(void *arg, struct span);
static void front_body_end(void *arg);
static void front_rests(void *arg);
static void front_room(void *arg);
static void front_abort(void *arg, bool gone);
static void front_closed(struct connection *);
static size_t front_fds(const void *arg);

static const struct serve_hooks front_hooks = {
	.begin = front_begin,
	.params = front_params,
	.params_end = front_params_end,
	.takes_body = front_takes_body,
	.body = front_body,
	.body_end = front_body_end,
	.rests = front_rests,
	.room = front_room,
	.abort = front_abort,
	.closed = front_closed,
	.fds = front_fds,
};

void
front_open(struct gateway *g)
{
	serve_init(&g->serve, g->loop, &front_hooks, g, "front");
	g->serve.request_fds = FRONT_REQUEST_FDS;
}

/* Honest numbers (F9): what the configuration lets run, and no multiplexing. */
void
front_configure(struct gateway *g)
{
	const struct config *config = g->config;

	serve_users(&g->serve, config->front_users.items,
	    config->front_users.count, "front.users");
	g->serve.conns_most =
	    (uint32_t)config->queue_host + (uint32_t)config->slots_host;
}

int
front_adopt(struct gateway *g, int *fd, struct span tenant,
    struct span function)
{
	struct front_only *only = NULL;

	if (g->state != GATEWAY_SERVING || !serve_affords(&g->serve) ||
	    !(only = malloc(sizeof(*only) + tenant.bytes + function.bytes)))
		goto out;
	only->tenant_bytes = tenant.bytes;
	only->function_bytes = function.bytes;
	memcpy(only->names, tenant.data, tenant.bytes);
	memcpy(only->names + tenant.bytes, function.data, function.bytes);
	if (connection_new(&g->serve, fd, true, only))
		return 0;
out:
	free(only);
	fd_close(fd);
	return -1;
}

bool
front_may(const struct connection *c, const struct route *route)
{
	const struct front_only *only = c->arg;

	return !only ||
	    (span_equal(route->tenant,
		 span_make(only->names, only->tenant_bytes)) &&
		span_equal(route->function,
		    span_make(only->names + only->tenant_bytes,
			only->function_bytes)));
}

static void
front_closed(struct connection *c)
{
	free(c->arg);
	c->arg = NULL;
	gateway_drained(c->serve->owner);
}

static size_t
front_fds(const void *arg)
{
	const struct gateway *g = arg;

	return g->cell_count + g->launcher_count +
	    g->request_count * FRONT_REQUEST_FDS;
}

/* ---- the steps of a request ----------------------------------------------------- */

static void *
front_begin(struct connection *c)
{
	return request_new(c->serve->owner, c);
}

static void
front_params(void *arg, struct span s)
{
	request_params(arg, s);
}

static void
front_params_end(void *arg)
{
	request_params_end(arg);
}

static bool
front_takes_body(const void *arg)
{
	return request_takes_input(arg);
}

static void
front_body(void *arg, struct span s)
{
	request_stdin(arg, s);
}

static void
front_body_end(void *arg)
{
	request_stdin_end(arg);
}

static void
front_rests(void *arg)
{
	request_input_rests(arg);
}

static void
front_room(void *arg)
{
	request_room(arg);
}

static void
front_abort(void *arg, bool gone)
{
	request_abort(arg, gone ? END_CLIENT_GONE : END_ABORTED);
}
