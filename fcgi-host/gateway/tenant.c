/* SPDX-License-Identifier: MIT */
/* tenant.c - tenants by name: found by master on their first request, with a
 * cell while they are used, known without one for as long as functions of theirs
 * are. Who is idle for so long that his cell ends is forgotten: ten thousand of
 * them cost nothing. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"

#include "gateway/gateway.h"

enum { SECOND_US = 1000000, HOUR_MS = 3600000 };

static void tenant_move(struct tenant *, enum tenant_state);
static void tenant_check(const struct tenant *);
static struct tenant *tenant_new(struct gateway *, struct span name);
static bool tenant_owes(struct tenant *);
static void tenant_rest(struct tenant *);
static void tenant_fail(struct tenant *, enum end, struct span reason);
static void tenant_free(void *arg);

struct tenant *
tenant_find(struct gateway *g, struct span name)
{
	struct map_node *node = map_find(&g->tenants, name);

	return node ? MAP_OWNER(node, struct tenant, node) : NULL;
}

struct tenant *
tenant_get(struct gateway *g, struct span name)
{
	struct tenant *t = tenant_find(g, name);

	if (!t && g->tenants.count < TENANT_KNOWN_MOST)
		t = tenant_new(g, name);
	return t;
}

static struct tenant *
tenant_new(struct gateway *g, struct span name)
{
	struct tenant *t = calloc(1, sizeof(*t) + name.bytes + 1);

	if (!t)
		return NULL;
	t->gateway = g;
	memcpy(t->name, name.data, name.bytes);
	if (map_add(&g->tenants, &t->node, span_make(t->name, name.bytes))) {
		free(t);
		return NULL;
	}
	map_init(&t->functions);
	list_init(&t->waiting);
	list_init(&t->errands);
	list_init(&t->idle);
	admit_tenant_init(&t->admit, &g->admit, (struct admit_limits){ 0 });
	tenant_configure(t);
	tenant_check(t);
	return t;
}

struct span
tenant_name(const struct tenant *t)
{
	return t->node.key;
}

void
tenant_configure(struct tenant *t)
{
	uint64_t now_us = clock_us();

	t->terms = config_terms(t->gateway->config, tenant_name(t));
	t->admit.limits.slots = t->terms->slots;
	t->admit.limits.queue = t->terms->queue;
	t->admit.weight = t->terms->weight;
	meter_set(&t->rate, t->terms->rate, SECOND_US, t->terms->burst, now_us);
	meter_set(&t->running, t->terms->running, HOUR_MS,
	    t->terms->running * 1000, now_us);
}

uint64_t
tenant_rests_us(struct tenant *t, uint64_t now_us)
{
	uint64_t used_us = admit_used_us(&t->admit, now_us);

	if (used_us > t->running_paid_us) {
		meter_charge(&t->running, used_us - t->running_paid_us, now_us);
		t->running_paid_us = used_us;
	}
	return meter_wait_us(&t->running, now_us);
}

static void
tenant_move(struct tenant *t, enum tenant_state to)
{
	static const bool drawn[][TENANT_SERVED + 1] = {
		[TENANT_KNOWN] = { [TENANT_ASKED] = true },
		[TENANT_ASKED] = { [TENANT_KNOWN] = true,
		    [TENANT_SERVED] = true },
		[TENANT_SERVED] = { [TENANT_KNOWN] = true },
	};

	assert(drawn[t->state][to]);
	t->state = to;
	tenant_check(t);
}

static void
tenant_check(const struct tenant *t)
{
	assert((t->cell != NULL) == (t->state == TENANT_SERVED));
	assert(list_empty(&t->idle) || t->state != TENANT_ASKED);
}

/* ---- requests ------------------------------------------------------------------ */

/* Also asks master, now and then, whether the directory is still the one it was
 * and its owner's. */
void
tenant_take(struct tenant *t, struct request *r)
{
	uint64_t now_ms = loop_now_ms(t->gateway->loop);

	assert(r->tenant == t);
	t->request_count++;
	list_remove(&t->idle);
	if (t->cell)
		t->cell->used = true;
	if (t->state == TENANT_SERVED &&
	    now_ms - t->checked_ms >= TENANT_CHECK_MS) {
		t->checked_ms = now_ms;
		master_tenant_check(t->gateway, tenant_name(t));
	}
}

void
tenant_give(struct request *r)
{
	struct tenant *t = r->tenant;

	r->tenant = NULL;
	t->request_count--;
	tenant_settle(t);
}

void
tenant_settle(struct tenant *t)
{
	if (t->request_count > 0)
		return;
	if (t->state == TENANT_SERVED) {
		if (!t->cell->used) {
			if (list_empty(&t->cell->errands))
				tenant_rest(t);
			return;
		}
		if (!list_empty(&t->idle))
			return;
		t->idle_since_ms = loop_now_ms(t->gateway->loop);
		list_add_last(&t->gateway->tenants_idle, &t->idle);
		gateway_lapses(t->gateway);
		return;
	}
	if (t->state == TENANT_KNOWN && t->cell_count == 0 &&
	    t->functions.count == 0 && list_empty(&t->errands))
		loop_defer(t->gateway->loop, &t->end, tenant_free, t);
}

/* Somebody may have come for it until now. */
static void
tenant_free(void *arg)
{
	struct tenant *t = arg;

	if (t->request_count > 0 || t->state != TENANT_KNOWN ||
	    t->cell_count > 0 || t->functions.count > 0 ||
	    !list_empty(&t->errands))
		return;
	assert(list_empty(&t->waiting));
	list_remove(&t->idle);
	if (tenant_owes(t)) {
		list_add_last(&t->gateway->tenants_owing, &t->idle);
		gateway_lapses(t->gateway);
		return;
	}
	map_remove(&t->gateway->tenants, &t->node);
	admit_tenant_done(&t->admit);
	map_free(&t->functions);
	free(t);
}

/* Forgotten now, it would come back with all that it may use. */
static bool
tenant_owes(struct tenant *t)
{
	uint64_t now_us = clock_us();

	if (t->admit.used_us == 0)
		return false;
	tenant_rests_us(t, now_us);
	return !meter_full(&t->rate, now_us) ||
	    !meter_full(&t->running, now_us);
}

void
tenant_sweep(struct gateway *g, uint64_t now_ms)
{
	LIST_EACH(node, &g->tenants_owing) {
		struct tenant *t = LIST_OWNER(node, struct tenant, idle);

		if (tenant_owes(t))
			continue;
		list_remove(&t->idle);
		tenant_settle(t);
	}
	LIST_EACH(node, &g->tenants_idle) {
		struct tenant *t = LIST_OWNER(node, struct tenant, idle);

		if (now_ms - t->idle_since_ms < g->config->cell_idle)
			return;
		if (!list_empty(&t->cell->errands) ||
		    !list_empty(&t->cell->workers) ||
		    !list_empty(&t->cell->templates))
			continue;
		tenant_rest(t);
	}
}

static void
tenant_rest(struct tenant *t)
{
	list_remove(&t->idle);
	cell_leave(t->cell);
	/* the next cell has to look anyway */
	function_forget_all(t);
}

/* ---- its cell ------------------------------------------------------------------ */

void
tenant_want_cell(struct tenant *t)
{
	if (t->state != TENANT_KNOWN)
		return;
	if (master_tenant_ask(t->gateway, tenant_name(t)) != 0) {
		tenant_fail(t, END_MACHINE,
		    SPAN("the channel to master is full"));
		return;
	}
	list_remove(&t->idle);
	tenant_move(t, TENANT_ASKED);
}

void
tenant_cell(struct gateway *g, const struct message_tenant_cell *m, int *fds,
    size_t fd_count)
{
	struct tenant *t = tenant_find(g, m->tenant);
	struct list waiting;

	if (!t || t->state != TENANT_ASKED)
		return; /* nobody asked: closing it ends the cell */
	t->cell = cell_new(t, m, fds, fd_count);
	if (!t->cell) {
		tenant_move(t, TENANT_KNOWN);
		tenant_fail(t, END_MACHINE, SPAN("no memory"));
		return;
	}
	t->cell->used = t->request_count > 0;
	t->checked_ms = loop_now_ms(g->loop);
	tenant_move(t, TENANT_SERVED);
	while (!list_empty(&t->errands)) {
		struct errand *e =
		    LIST_OWNER(list_first(&t->errands), struct errand, node);

		list_remove(&e->node);
		errand_run(&e, t);
	}
	/* Some may wait again, for the next one: each once. */
	list_init(&waiting);
	while (!list_empty(&t->waiting)) {
		struct list *node = list_first(&t->waiting);

		list_remove(node);
		list_add_last(&waiting, node);
	}
	while (!list_empty(&waiting)) {
		struct request *r =
		    LIST_OWNER(list_first(&waiting), struct request, waiting);

		r->waits = WAITS_NOT;
		list_remove(&r->waiting);
		request_proceed(r);
	}
	tenant_settle(t);
}

void
tenant_none(struct gateway *g, const struct message_tenant_none *m)
{
	struct tenant *t = tenant_find(g, m->tenant);

	if (!t)
		return;
	if (t->state == TENANT_ASKED)
		tenant_move(t, TENANT_KNOWN);
	else if (t->state == TENANT_SERVED) /* it could not be finished */
		cell_fail(t->cell,
		    m->refused ? END_TENANT_REFUSED : END_NO_TENANT, m->reason);
	function_forget_all(t);
	if (m->refused)
		tenant_fail(t, END_TENANT_REFUSED, m->reason);
	else
		tenant_fail(t, END_NO_TENANT, SPAN_NONE);
	tenant_settle(t);
}

/* What is not started yet goes to the next cell; what runs finishes where it
 * began. */
void
tenant_moved(struct gateway *g, struct span name)
{
	struct tenant *t = tenant_find(g, name);

	if (t)
		cell_leave(t->cell);
}

static void
tenant_fail(struct tenant *t, enum end end, struct span reason)
{
	while (!list_empty(&t->errands)) {
		struct errand *e =
		    LIST_OWNER(list_first(&t->errands), struct errand, node);

		list_remove(&e->node);
		errand_fail(t->gateway, &e,
		    reason.bytes > 0 ? reason :
				       SPAN("there is no such tenant"));
	}
	while (!list_empty(&t->waiting))
		request_end(LIST_OWNER(list_first(&t->waiting), struct request,
				waiting),
		    end, reason);
}

void
tenant_cell_ends(struct tenant *t, struct cell *c)
{
	if (t->cell != c)
		return;
	list_remove(&t->idle);
	t->cell = NULL;
	tenant_move(t, TENANT_KNOWN);
}
