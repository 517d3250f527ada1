/* SPDX-License-Identifier: MIT */
/* hooks.c - what the control socket asks of the gateway. Questions to master and
 * log are passed on; questions to a cell wait until there is one. */
#include <stdlib.h>
#include <unistd.h>

#include "base/proc.h"

#include "gateway/gateway.h"

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
static int hook_invoke(void *, int *fd, struct span tenant,
    struct span function);
static int hook_tail(void *, int fd, const struct message_tail *);
static int hook_state(void *, int fd, const struct message_control_state *);
static int errand_new(struct gateway *, enum errand_kind, uint64_t ask,
    struct span tenant);

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

	e = malloc(sizeof(*e));
	if (!e)
		return -1;
	list_init(&e->node);
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
	if (t->state == TENANT_SERVED) {
		errand_run(&e, t);
		return 0;
	}
	list_add_last(&t->errands, &e->node);
	tenant_want_cell(t);
	return 0;
}

void
errand_run(struct errand **owned, struct tenant *t)
{
	struct errand *e = *owned;
	int failed = 0;

	*owned = NULL;
	switch (e->kind) {
	case ERRAND_TENANT:
		control_tenant(t->gateway->control, e->ask, t->cell->uid);
		break;
	case ERRAND_LIST:
		failed = cell_list(t->cell, e->ask);
		break;
	case ERRAND_PLAN:
		failed = cell_plan(t->cell, e->ask);
		break;
	}
	if (failed)
		control_refused(t->gateway->control, e->ask,
		    SPAN("the tenant's cell cannot be asked"));
	free(e);
}

void
errand_fail(struct gateway *g, struct errand **owned, struct span reason)
{
	struct errand *e = *owned;

	*owned = NULL;
	control_refused(g->control, e->ask, reason);
	free(e);
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

static int
hook_invoke(void *arg, int *fd, struct span tenant, struct span function)
{
	struct gateway *g = arg;

	return front_adopt(g, fd, tenant, function);
}
