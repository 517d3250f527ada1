/* SPDX-License-Identifier: MIT */
/* suspend.c - tenants of which nothing is to be run, as master says. Asked once
 * a request, before anything is done for it; master keeps them and knows why. */
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"

#include "gateway/gateway.h"

struct suspension {
	struct map_node node; /* in gateway->suspended */
	char *reason;	      /* behind the name */
	char name[];
};

static struct suspension *suspension_find(const struct gateway *,
    struct span tenant);
static void suspension_put(struct gateway *, const struct message_suspended *);
static void suspension_remove(struct gateway *, struct span tenant);
static void suspend_requests(struct gateway *, struct span tenant, bool now);

void
suspend_heard(struct gateway *g, const struct message_suspended *m)
{
	struct tenant *t = tenant_find(g, m->tenant);

	suspension_remove(g, m->tenant);
	if (!m->suspended)
		return;
	suspension_put(g, m);
	if (!t)
		return;
	suspend_requests(g, m->tenant, m->now != 0);
	cell_leave(t->cell); /* when what runs in it is over */
}

struct span
suspend_reason(const struct gateway *g, struct span tenant)
{
	const struct suspension *s = suspension_find(g, tenant);

	return s ? span_of(s->reason) : SPAN_NONE;
}

void
suspend_report(const struct gateway *g, struct control_facts *facts)
{
	struct map_node *node = NULL;

	while ((node = map_next(&g->suspended, node))) {
		const struct suspension *s =
		    MAP_OWNER(node, struct suspension, node);

		control_fact_text(facts, "suspended", s->name,
		    span_of(s->reason));
	}
}

/* What has begun to run finishes, unless it is to end now. */
static void
suspend_requests(struct gateway *g, struct span tenant, bool now)
{
	struct span reason = suspend_reason(g, tenant);

	LIST_EACH(node, &g->requests) {
		struct request *r = LIST_OWNER(node, struct request, all);

		if (r->tenant && r->state < REQUEST_ENDING &&
		    (now || r->state < REQUEST_RUNNING) &&
		    span_equal(tenant_name(r->tenant), tenant))
			request_end(r, END_SUSPENDED, reason);
	}
}

static struct suspension *
suspension_find(const struct gateway *g, struct span tenant)
{
	struct map_node *node = map_find(&g->suspended, tenant);

	return node ? MAP_OWNER(node, struct suspension, node) : NULL;
}

/* Master bounds how many there are. */
static void
suspension_put(struct gateway *g, const struct message_suspended *m)
{
	struct suspension *s =
	    diag_alloc(sizeof(*s) + m->tenant.bytes + m->reason.bytes + 2);

	memcpy(s->name, m->tenant.data, m->tenant.bytes);
	s->reason = s->name + m->tenant.bytes + 1;
	memcpy(s->reason, m->reason.data, m->reason.bytes);
	if (map_add(&g->suspended, &s->node, span_of(s->name)) != 0)
		diag_fatal("no memory for a suspended tenant");
}

static void
suspension_remove(struct gateway *g, struct span tenant)
{
	struct suspension *s = suspension_find(g, tenant);

	if (!s)
		return;
	map_remove(&g->suspended, &s->node);
	free(s);
}
