/* SPDX-License-Identifier: MIT */
/* serve.c - one listening socket and its connections as a whole: how it begins,
 * the end of each batch of events, what lapses, and how it ends. */
#include <stdlib.h>
#include <unistd.h>

#include "serve/connection.h"

static void serve_sweep(void *arg);
static void serve_break(struct serve *);

void
serve_init(struct serve *s, struct loop *loop, const struct serve_hooks *hooks,
    void *owner, const char *name)
{
	*s = (struct serve){
		.loop = loop,
		.hooks = hooks,
		.owner = owner,
		.name = name,
		.reserve = SERVE_RESERVE,
		.conns_most = 1,
		.out_most = CONNECTION_OUT_MOST,
		.listener = { .fd = -1 },
		.uid = geteuid(),
	};
	list_init(&s->all);
	list_init(&s->idle);
	list_init(&s->stuck);
	list_init(&s->touched);
	timer_init(&s->sweep, serve_sweep, s);
}

bool
serve_settle(struct serve *s)
{
	struct list *node = list_first(&s->touched);

	if (!node)
		return false;
	connection_settle(LIST_OWNER(node, struct connection, touched));
	return true;
}

/* Nothing lapses where nobody comes: it sleeps. */
void
serve_lapses(struct serve *s)
{
	if (!timer_armed(&s->sweep))
		loop_timer_set(s->loop, &s->sweep,
		    loop_now_ms(s->loop) + SERVE_SWEEP_MS);
}

static void
serve_sweep(void *arg)
{
	struct serve *s = arg;

	connection_sweep(s, loop_now_ms(s->loop));
	if (!list_empty(&s->idle) || !list_empty(&s->stuck))
		serve_lapses(s);
}

void
serve_drain(struct serve *s)
{
	s->draining = true;
	listener_close(s);
	LIST_EACH(node, &s->all)
		connection_drain(LIST_OWNER(node, struct connection, all));
}

void
serve_change(struct serve *s, const struct serve_hooks *hooks, void *owner)
{
	serve_break(s);
	s->hooks = hooks;
	s->owner = owner;
}

static void
serve_break(struct serve *s)
{
	struct list *node;

	while ((node = list_first(&s->all)))
		connection_break(LIST_OWNER(node, struct connection, all),
		    "no longer served");
}

void
serve_close(struct serve *s)
{
	listener_close(s);
	serve_break(s);
	loop_timer_clear(s->loop, &s->sweep);
	free(s->users);
	s->users = NULL;
	s->user_count = 0;
}
