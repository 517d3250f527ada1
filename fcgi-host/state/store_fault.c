/* SPDX-License-Identifier: MIT */
/* store_fault.c - breaks another engine on purpose. Calls wait in one line, so
 * that they stay in order however long each is held up; whether one fails is
 * drawn when it is made, from a seed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "state/store_fault.h"

enum kind {
	CALL_READ,
	CALL_COMMIT,
	CALL_CHANGES,
	CALL_SWEEP,
	CALL_TENANT,
	CALL_TENANTS,
	CALL_BACKUP,
	CALL_RESTORE,
	CALL_CHECK,
};

struct call {
	struct list node; /* in the line, then nowhere */
	struct store *store;
	enum kind kind;
	char tenant_name[STORE_TENANT_MOST + 2];
	struct span tenant; /* in tenant_name, one longer if it was too long */
	const void *request;
	char name_text[256];
	struct span name;
	size_t count;
	bool deep;
	int directory_fd;
	store_fn *callback;
	void *arg;
	uint64_t due_ms;
	bool fail;
	bool lose;
};

struct store {
	const struct store_engine *engine;
	struct store *inner; /* ours */
	struct loop *loop;
	struct store_fault_plan plan;
	struct list line;
	struct timer timer;
	bool closing;
};

static void line_run(void *arg);
static void call_start(struct call *);
static void call_refuse(struct call *, enum store_status, const char *);

static uint64_t
draw(struct store *s, uint64_t below)
{
	uint64_t *x = &s->plan.seed;

	*x ^= *x >> 12;
	*x ^= *x << 25;
	*x ^= *x >> 27;
	return (*x * UINT64_C(2685821657736338717) >> 11) % below;
}

static struct store *
fault_open(const struct store_config *config, struct loop *loop,
    char why[STORE_DETAIL_MOST])
{
	(void)config;
	(void)loop;
	snprintf(why, STORE_DETAIL_MOST, "store_fault_new() makes one");
	return NULL;
}

struct store *
store_fault_new(const struct store_engine *engine, struct store *inner,
    struct loop *loop, const struct store_fault_plan *plan)
{
	struct store *s = diag_alloc(sizeof(*s));

	*s = (struct store){
		.engine = engine, .inner = inner, .loop = loop, .plan = *plan
	};
	list_init(&s->line);
	timer_init(&s->timer, line_run, s);
	return s;
}

void
store_fault_change(struct store *s, const struct store_fault_plan *plan)
{
	uint64_t seed = s->plan.seed;

	s->plan = *plan;
	if (s->plan.seed == 0)
		s->plan.seed = seed;
}

static void
fault_close(struct store *s)
{
	s->closing = true;
	LIST_EACH(node, &s->line)
		call_start(LIST_OWNER(node, struct call, node));
	loop_timer_clear(s->loop, &s->timer);
	s->engine->close(s->inner);
	free(s);
}

static void
line_run(void *arg)
{
	struct store *s = arg;
	uint64_t now = loop_now_ms(s->loop);
	struct list *node;

	while ((node = list_first(&s->line))) {
		struct call *call = LIST_OWNER(node, struct call, node);

		if (call->due_ms > now) {
			loop_timer_set(s->loop, &s->timer, call->due_ms);
			return;
		}
		call_start(call);
	}
}

static void
call_done(void *arg, const struct store_result *result)
{
	struct call *call = arg;
	struct store_result lost = {
		.status = STORE_FAILED,
		.unknown = true,
		.detail = "the storage did not answer",
	};

	if (call->callback)
		call->callback(call->arg, call->lose ? &lost : result);
	free(call);
}

static void
call_refuse(struct call *call, enum store_status status, const char *detail)
{
	struct store_result result = { .status = status, .detail = detail };

	if (call->callback)
		call->callback(call->arg, &result);
	free(call);
}

static void
call_start(struct call *c)
{
	const struct store_engine *e = c->store->engine;
	struct store *inner = c->store->inner;
	int taken = -1;

	list_remove(&c->node);
	if (c->fail) {
		call_refuse(c, STORE_FAILED, "the storage failed");
		return;
	}
	switch (c->kind) {
	case CALL_READ:
		taken = e->read(inner, c->tenant, c->request, call_done, c);
		break;
	case CALL_COMMIT:
		taken = e->commit(inner, c->tenant, c->request, call_done, c);
		break;
	case CALL_CHANGES:
		taken = e->changes(inner, c->tenant, c->request, call_done, c);
		break;
	case CALL_SWEEP:
		taken = e->sweep(inner, c->count, call_done, c);
		break;
	case CALL_TENANT:
		taken = e->tenant(inner, c->tenant, c->request, call_done, c);
		break;
	case CALL_TENANTS:
		taken = e->tenants(inner, c->name, c->count, call_done, c);
		break;
	case CALL_BACKUP:
		taken = e->backup(inner, c->tenant, c->directory_fd, c->name,
		    call_done, c);
		break;
	case CALL_RESTORE:
		taken = e->restore(inner, c->tenant, c->directory_fd, c->name,
		    call_done, c);
		break;
	case CALL_CHECK:
		taken = e->check(inner, c->tenant, c->deep, call_done, c);
		break;
	}
	if (taken < 0)
		call_refuse(c, STORE_BUSY, "the storage has too much to do");
}

/* A call at the end of the line, or NULL. */
static struct call *
call_new(struct store *s, enum kind kind, struct span tenant,
    const void *request, store_fn *callback, void *arg)
{
	struct call *c = s->closing ? NULL : calloc(1, sizeof(*c));
	uint64_t now = loop_now_ms(s->loop);

	if (!c) {
		errno = s->closing ? EAGAIN : ENOMEM;
		return NULL;
	}
	c->store = s;
	c->kind = kind;
	c->request = request;
	c->callback = callback;
	c->arg = arg;
	tenant = span_take(tenant, STORE_TENANT_MOST + 1);
	if (tenant.bytes)
		memcpy(c->tenant_name, tenant.data, tenant.bytes);
	c->tenant = span_make(c->tenant_name, tenant.bytes);
	c->due_ms =
	    now + (s->plan.delay_ms ? draw(s, s->plan.delay_ms + 1) : 0);
	if (kind == CALL_READ || kind == CALL_COMMIT)
		c->fail = draw(s, 1000) < s->plan.fail_per_mille;
	if (kind == CALL_COMMIT)
		c->lose = draw(s, 1000) < s->plan.lose_per_mille;
	list_add_last(&s->line, &c->node);
	if (!timer_armed(&s->timer))
		loop_timer_set(s->loop, &s->timer, c->due_ms);
	return c;
}

static int
fault_read(struct store *s, struct span tenant, const struct store_read *read,
    store_fn *fn, void *arg)
{
	return call_new(s, CALL_READ, tenant, read, fn, arg) ? 0 : -1;
}

static int
fault_commit(struct store *s, struct span tenant,
    const struct store_batch *batch, store_fn *fn, void *arg)
{
	return call_new(s, CALL_COMMIT, tenant, batch, fn, arg) ? 0 : -1;
}

static int
fault_changes(struct store *s, struct span tenant,
    const struct store_changes *changes, store_fn *fn, void *arg)
{
	return call_new(s, CALL_CHANGES, tenant, changes, fn, arg) ? 0 : -1;
}

static int
fault_watch(struct store *s, struct span tenant, struct store_watch *watch)
{
	return s->engine->watch(s->inner, tenant, watch);
}

static void
fault_unwatch(struct store *s, struct store_watch *watch)
{
	s->engine->unwatch(s->inner, watch);
}

static int
fault_sweep(struct store *s, size_t budget, store_fn *fn, void *arg)
{
	struct call *c = call_new(s, CALL_SWEEP, SPAN_NONE, NULL, fn, arg);

	if (c)
		c->count = budget;
	return c ? 0 : -1;
}

static int
fault_tenant(struct store *s, struct span tenant,
    const struct store_tenant *ask, store_fn *fn, void *arg)
{
	return call_new(s, CALL_TENANT, tenant, ask, fn, arg) ? 0 : -1;
}

/* With a copy of the name; longer ones are no good, and stay so. */
static struct call *
named(struct call *c, struct span name, int directory_fd, size_t count)
{
	if (!c)
		return NULL;
	name = span_take(name, sizeof(c->name_text));
	if (name.bytes)
		memcpy(c->name_text, name.data, name.bytes);
	c->name = span_make(c->name_text, name.bytes);
	c->directory_fd = directory_fd;
	c->count = count;
	return c;
}

static int
fault_tenants(struct store *s, struct span after, size_t limit, store_fn *fn,
    void *arg)
{
	struct call *c = call_new(s, CALL_TENANTS, SPAN_NONE, NULL, fn, arg);

	return named(c, after, -1, limit) ? 0 : -1;
}

static int
fault_backup(struct store *s, struct span tenant, int directory_fd,
    struct span name, store_fn *fn, void *arg)
{
	struct call *c = call_new(s, CALL_BACKUP, tenant, NULL, fn, arg);

	return named(c, name, directory_fd, 0) ? 0 : -1;
}

static int
fault_restore(struct store *s, struct span tenant, int directory_fd,
    struct span name, store_fn *fn, void *arg)
{
	struct call *c = call_new(s, CALL_RESTORE, tenant, NULL, fn, arg);

	return named(c, name, directory_fd, 0) ? 0 : -1;
}

static int
fault_check(struct store *s, struct span tenant, bool deep, store_fn *fn,
    void *arg)
{
	struct call *c = call_new(s, CALL_CHECK, tenant, NULL, fn, arg);

	if (c)
		c->deep = deep;
	return c ? 0 : -1;
}

static void
fault_figures(struct store *s, struct store_figures *figures)
{
	s->engine->figures(s->inner, figures);
}

const struct store_engine store_fault = {
	.name = "fault",
	.can = STORE_CAN_BACKUP,
	.open = fault_open,
	.close = fault_close,
	.read = fault_read,
	.commit = fault_commit,
	.changes = fault_changes,
	.watch = fault_watch,
	.unwatch = fault_unwatch,
	.sweep = fault_sweep,
	.tenant = fault_tenant,
	.tenants = fault_tenants,
	.backup = fault_backup,
	.restore = fault_restore,
	.check = fault_check,
	.figures = fault_figures,
};
