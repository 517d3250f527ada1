/* SPDX-License-Identifier: MIT */
/* hooks.c - what the control socket asks of the gateway. Questions to master and
 * log are passed on; questions to a cell wait until there is one. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/proc.h"

#include "gateway/explain.h"
#include "gateway/gateway.h"
#include "gateway/template.h"
#include "gateway/worker.h"

static void hook_status(void *, struct control_facts *);
static int hook_master_status(void *, uint64_t ask);
static int hook_reload(void *, uint64_t ask);
static int hook_suspend(void *, uint64_t ask, struct span tenant,
    bool suspended, bool now, struct span reason);
static struct span hook_suspended(void *, struct span tenant);
static struct span hook_plan_of(void *, struct span tenant);
static int hook_tenants(void *, uint64_t ask, struct span after);
static int hook_tenant(void *, uint64_t ask, struct span tenant);
static int hook_list(void *, uint64_t ask, struct span tenant);
static int hook_plan(void *, uint64_t ask, struct span tenant);
static int hook_faults_begin(void *, struct span tenant, struct buf *line,
    struct buf *names);
static int hook_faults(void *, struct span tenant, struct buf *);
static void hook_explain(void *, struct span tenant, struct span function,
    struct span start, json_t *row);
static void hook_workers(void *, struct span tenant, struct span function,
    struct control_workers *);
static int hook_invoke(void *, int *fd, struct span tenant,
    struct span function);
static int hook_tail(void *, int fd, const struct message_tail *);
static int hook_state(void *, int fd, const struct message_control_state *);
static int errand_new(struct gateway *, enum errand_kind, uint64_t ask,
    struct span tenant);
static void errand_wait(struct errand *);
static void errand_late(void *arg);

void
hooks_open(struct gateway *g)
{
	static const struct control_hooks hooks = {
		.status = hook_status,
		.master_status_ask = hook_master_status,
		.reload = hook_reload,
		.suspend = hook_suspend,
		.suspended = hook_suspended,
		.plan_of = hook_plan_of,
		.tenants_ask = hook_tenants,
		.tenant_ask = hook_tenant,
		.list_ask = hook_list,
		.plan_ask = hook_plan,
		.faults_begin = hook_faults_begin,
		.faults = hook_faults,
		.workers = hook_workers,
		.explain = hook_explain,
		.invoke = hook_invoke,
		.tail = hook_tail,
		.state = hook_state,
	};

	g->control = control_new(g->loop, GATEWAY_CONTROL_FD, &hooks, g);
	hooks_configure(g);
}

void
hooks_configure(struct gateway *g)
{
	struct control_operators operators = { .uid = geteuid(),
		.group = (gid_t)-1 };

	if (g->config->operator_group[0] &&
	    proc_find_group(g->config->operator_group, &operators.group) != 0)
		operators.group = (gid_t)-1; /* master has complained */
	control_operators_set(g->control, operators);
}

static void
hook_status(void *arg, struct control_facts *facts)
{
	faults_meter_all(arg);
	stats_report(arg, facts);
}

/* ---- to master and log ------------------------------------------------------ */

static int
hook_master_status(void *arg, uint64_t ask)
{
	const struct message_master_status_ask m = { .ask = ask };
	struct gateway *g = arg;

	return peer_send(g->master, MESSAGE_MASTER_STATUS_ASK, &m, NULL, 0);
}

static int
hook_reload(void *arg, uint64_t ask)
{
	const struct message_reload m = { .ask = ask };
	struct gateway *g = arg;

	return peer_send(g->master, MESSAGE_RELOAD, &m, NULL, 0);
}

static int
hook_suspend(void *arg, uint64_t ask, struct span tenant, bool suspended,
    bool now, struct span reason)
{
	const struct message_suspend m = { .ask = ask,
		.tenant = tenant,
		.suspended = suspended,
		.now = now,
		.reason = reason };
	struct gateway *g = arg;

	return peer_send(g->master, MESSAGE_SUSPEND, &m, NULL, 0);
}

static struct span
hook_suspended(void *arg, struct span tenant)
{
	return suspend_reason(arg, tenant);
}

static struct span
hook_plan_of(void *arg, struct span tenant)
{
	const struct gateway *g = arg;

	return span_of(config_terms(g->config, tenant)->plan);
}

static int
hook_tenants(void *arg, uint64_t ask, struct span after)
{
	const struct message_tenants_ask m = { .ask = ask, .after = after };
	struct gateway *g = arg;

	return peer_send(g->master, MESSAGE_TENANTS_ASK, &m, NULL, 0);
}

static int
hook_tail(void *arg, int fd, const struct message_tail *m)
{
	struct gateway *g = arg;

	access_send(g); /* who asks for it wants his last request */
	return g->log ? peer_send(g->log, MESSAGE_TAIL, m, &fd, 1) : -1;
}

static int
hook_state(void *arg, int fd, const struct message_control_state *m)
{
	return state_pass(arg, fd, m);
}

/* ---- to a cell ---------------------------------------------------------------- */

static int
hook_tenant(void *arg, uint64_t ask, struct span tenant)
{
	return errand_new(arg, ERRAND_TENANT, ask, tenant);
}

static int
hook_list(void *arg, uint64_t ask, struct span tenant)
{
	return errand_new(arg, ERRAND_LIST, ask, tenant);
}

static int
hook_plan(void *arg, uint64_t ask, struct span tenant)
{
	return errand_new(arg, ERRAND_PLAN, ask, tenant);
}

static int
errand_new(struct gateway *g, enum errand_kind kind, uint64_t ask,
    struct span name)
{
	struct tenant *t = NULL;
	struct errand *e;

	e = calloc(1, sizeof(*e));
	if (!e)
		return -1;
	list_init(&e->node);
	timer_init(&e->late, errand_late, e);
	e->kind = kind;
	e->ask = ask;
	if (!config_tenant_name(name)) {
		errand_fail(g, &e, SPAN("there is no such tenant"));
		return 0;
	}
	t = tenant_get(g, name);
	if (!t) {
		free(e);
		return -1;
	}
	e->tenant = t;
	if (t->state == TENANT_SERVED) {
		errand_run(&e, t);
		return 0;
	}
	errand_wait(e);
	list_add_last(&t->errands, &e->node);
	tenant_want_cell(t);
	return 0;
}

/* As long as a request would, and no longer than control does. */
static void
errand_wait(struct errand *e)
{
	struct gateway *g = e->tenant->gateway;
	uint64_t ms = cell_patience_ms(g);

	e->since_ms = loop_now_ms(g->loop);
	loop_timer_set(g->loop, &e->late,
	    e->since_ms + (ms < ERRAND_MOST_MS ? ms : ERRAND_MOST_MS));
}

static void
errand_late(void *arg)
{
	struct errand *e = arg;
	struct tenant *t = e->tenant;
	struct gateway *g = t->gateway;

	if (e->cell)
		cell_doubt(e->cell, loop_now_ms(g->loop) - e->since_ms);
	errand_fail(g, &e,
	    e->cell ? SPAN("its cell does not answer") :
		      SPAN("its cell is still being made"));
	tenant_settle(t);
}

struct errand *
errand_find(struct cell *c, enum errand_kind kind, uint64_t ask)
{
	LIST_EACH(node, &c->errands) {
		struct errand *e = LIST_OWNER(node, struct errand, node);

		if (e->kind == kind && e->ask == ask)
			return e;
	}
	return NULL;
}

void
errand_again(struct errand **owned)
{
	struct errand *e = *owned;
	struct tenant *t = e->tenant;

	if (e->again) {
		errand_fail(t->gateway, owned,
		    SPAN("its cell ended, and so did the next"));
		return;
	}
	*owned = NULL;
	e->again = true;
	e->cell = NULL;
	errand_wait(e);
	list_remove(&e->node);
	list_add_last(&t->errands, &e->node);
	tenant_want_cell(t);
}

void
errand_free(struct errand **owned)
{
	struct errand *e = *owned;

	*owned = NULL;
	list_remove(&e->node);
	if (e->tenant)
		loop_timer_clear(e->tenant->gateway->loop, &e->late);
	free(e);
}

void
errand_run(struct errand **owned, struct tenant *t)
{
	struct errand *e = *owned;
	struct gateway *g = t->gateway;
	uint64_t ask = e->ask;
	int failed = 0;

	switch (e->kind) {
	case ERRAND_TENANT:
		errand_free(owned);
		control_tenant(g->control, ask, t->cell->uid);
		return;
	case ERRAND_LIST:
		failed = cell_list(t->cell, e->ask);
		break;
	case ERRAND_PLAN:
		failed = cell_plan(t->cell, e->ask);
		break;
	}
	if (failed) {
		errand_fail(g, owned, SPAN("its cell cannot be asked"));
		return;
	}
	*owned = NULL;
	e->cell = t->cell;
	list_remove(&e->node);
	list_add_last(&t->cell->errands, &e->node);
	errand_wait(e);
}

void
errand_fail(struct gateway *g, struct errand **owned, struct span reason)
{
	uint64_t ask = (*owned)->ask;

	errand_free(owned);
	control_refused(g->control, ask, reason);
}

static int
hook_faults_begin(void *arg, struct span tenant, struct buf *line,
    struct buf *names)
{
	struct gateway *g = arg;
	const struct tenant *one = tenant_find(g, tenant);

	if (tenant.bytes == 0)
		faults_meter_all(g);
	else if (one && one->cell)
		faults_meter(one->cell);
	if (faults_put_since(line, &g->faults) != 0)
		return -1;
	return tenant.bytes > 0 ? 0 : faults_put_names(names, &g->faults);
}

static int
hook_faults(void *arg, struct span tenant, struct buf *out)
{
	const struct gateway *g = arg;
	const struct faults_tenant *t = faults_tenant(&g->faults, tenant);

	return !t ? 0 : faults_put_json(out, t) == 0 ? 1 : -1;
}

static void
hook_workers(void *arg, struct span tenant, struct span function,
    struct control_workers *out)
{
	const struct tenant *t = tenant_find(arg, tenant);
	struct map_node *node = t ? map_find(&t->functions, function) : NULL;
	const struct function *f =
	    node ? MAP_OWNER(node, struct function, node) : NULL;
	const struct workers *ws = f ? f->workers : NULL;
	char text[32], of[96];

	snprintf(out->template, sizeof(out->template), "%s",
	    f ? templates_words(f) : "none");

	for (int state = 0; ws && state < WORKER_GONE; state++)
		out->all += ws->count[state];
	out->ready = ws ? ws->count[WORKER_READY] : 0;
	out->spare = ws ? ws->function->settings->spare : 0;
	out->spare_short = ws ? workers_spare_short(ws) : 0;
	if (out->spare_short > 0)
		snprintf(out->spare_limit, sizeof(out->spare_limit),
		    "tenant.spare = %s%s",
		    terms_text(t->terms, TERM_spare, text),
		    terms_of(t->terms, t->terms->from[TERM_spare], of));
}

static void
hook_explain(void *arg, struct span tenant, struct span function,
    struct span start, json_t *row)
{
	const struct tenant *t = tenant_find(arg, tenant);
	struct map_node *node = t ? map_find(&t->functions, function) : NULL;

	explain_put(row, node ? MAP_OWNER(node, struct function, node) : NULL,
	    start);
}

static int
hook_invoke(void *arg, int *fd, struct span tenant, struct span function)
{
	struct gateway *g = arg;

	return front_adopt(g, fd, tenant, function);
}
