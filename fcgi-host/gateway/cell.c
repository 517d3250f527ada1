/* SPDX-License-Identifier: MIT */
/* cell.c - the channel to a tenant's cell: what names mean, new launchers, and
 * orders to end invocations. Equal questions are asked once. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"

#include "gateway/gateway.h"
#include "gateway/template.h"
#include "gateway/worker.h"

static void cell_move(struct cell *, enum cell_state);
static void cell_check(const struct cell *);
static void cell_says(void *arg, enum message_type, struct span body, int *fds,
    size_t fd_count);
static void cell_resolved(struct cell *, const struct message_resolved *);
static void cell_listed(struct cell *, const struct message_listed *);
static void cell_planned(struct cell *, const struct message_plan *);
static void cell_gone(void *arg, const char *reason, bool unread);
static void cell_go(struct cell *, enum cell_state);
static void cell_let_go(struct cell *, struct list *waiting, struct list *runs,
    struct list *errands);
static struct run *run_first(struct list *);
static void cell_close_launchers(struct cell *, bool idle_only);
static void cell_end(void *arg);
static bool resolved_fits(const struct message_resolved *, struct span asked);
static void cell_misbehaves(struct cell *, const char *what);
static struct resolve *resolve_of(struct cell *, struct span name);
static void resolve_free(struct cell *, struct resolve *);
static void take_all(struct list *to, struct list *from);

struct cell *
cell_new(struct tenant *t, const struct message_tenant_cell *m, int *fds,
    size_t fd_count)
{
	struct gateway *g = t->gateway;
	struct cell *c = calloc(1, sizeof(*c) + m->directory.bytes + 1);

	if (!c)
		return NULL;
	c->gateway = g;
	c->tenant = t;
	c->config = config_hold(g->config);
	c->terms = config_terms(c->config, tenant_name(t));
	c->uid = (uid_t)m->uid;
	c->heard_ms = loop_now_ms(g->loop);
	c->directory_bytes = m->directory.bytes;
	memcpy(c->directory, m->directory.data, m->directory.bytes);
	list_init(&c->launchers);
	list_init(&c->idle);
	list_init(&c->wanting);
	list_init(&c->workers);
	list_init(&c->templates);
	list_init(&c->resolves);
	list_init(&c->errands);
	c->peer = peer_new(g->loop, fds[0], ROLE_GATEWAY, ROLE_CELL, cell_says,
	    cell_gone, c);
	fds[0] = -1;
	usage_init(&c->usage);
	usage_open(&c->usage, m->meters, fds + 1, fd_count - 1);
	t->cell_count++;
	g->cell_count++;
	g->stats.cells++;
	cell_check(c);
	return c;
}

static void
cell_move(struct cell *c, enum cell_state to)
{
	static const bool drawn[][CELL_GONE + 1] = {
		[CELL_SERVING] = { [CELL_LEAVING] = true, [CELL_LOST] = true },
		[CELL_LEAVING] = { [CELL_LOST] = true, [CELL_GONE] = true },
		[CELL_LOST] = { [CELL_GONE] = true },
		[CELL_GONE] = { false },
	};

	assert(drawn[c->state][to]);
	c->state = to;
	cell_check(c);
}

static void
cell_check(const struct cell *c)
{
	assert((c->peer != NULL) ==
	    (c->state == CELL_SERVING || c->state == CELL_LEAVING));
	assert(c->state == CELL_SERVING ||
	    (list_empty(&c->wanting) && list_empty(&c->resolves) &&
		list_empty(&c->errands)));
	assert(c->state != CELL_GONE || list_empty(&c->launchers));
	assert(c->state != CELL_SERVING || c->tenant->cell == c ||
	    c->tenant->cell == NULL);
}

/* ---- names ------------------------------------------------------------------- */

int
cell_resolve(struct cell *c, struct request *r)
{
	struct resolve *q = resolve_of(c, r->route.function);

	if (!q)
		return -1;
	request_wait(r, WAITS_RESOLVED, &q->requests);
	return 0;
}

int
cell_resolve_again(struct cell *c, struct span name)
{
	return resolve_of(c, name) ? 0 : -1;
}

/* The question that is asked already, or a new one. */
static struct resolve *
resolve_of(struct cell *c, struct span name)
{
	struct message_resolve ask = { .name = name };
	struct resolve *q;

	LIST_EACH(node, &c->resolves) {
		q = LIST_OWNER(node, struct resolve, node);
		if (span_equal(name, span_make(q->name, q->name_bytes)))
			return q;
	}
	if (c->resolve_count >= CELL_RESOLVES_MOST)
		return NULL;
	q = malloc(sizeof(*q) + name.bytes);
	if (!q)
		return NULL;
	q->ask = ask.ask = c->gateway->next_ask++;
	q->name_bytes = name.bytes;
	memcpy(q->name, name.data, name.bytes);
	list_init(&q->requests);
	list_init(&q->node);
	/* One that is gone without our having heard is about to be lost. */
	if (peer_send(c->peer, MESSAGE_RESOLVE, &ask, NULL, 0) != 0 &&
	    errno != EPIPE && errno != ECONNRESET) {
		free(q);
		return NULL;
	}
	list_add_last(&c->resolves, &q->node);
	c->resolve_count++;
	return q;
}

static void
cell_resolved(struct cell *c, const struct message_resolved *m)
{
	struct resolve *q = NULL;
	struct span name, reason = m->reason;
	enum resolved outcome = (enum resolved)m->outcome;
	struct function *f = NULL;
	struct list requests;

	LIST_EACH(node, &c->resolves) {
		q = LIST_OWNER(node, struct resolve, node);
		if (q->ask == m->ask)
			break;
		q = NULL;
	}
	if (!q)
		return; /* nobody waits for that any more */
	name = span_make(q->name, q->name_bytes);
	if (!resolved_fits(m, name)) {
		cell_misbehaves(c, "its answer does not fit the question");
		return;
	}
	if (outcome == RESOLVED_FOUND) {
		f = function_learn(c, m);
		if (!f) {
			outcome = RESOLVED_REFUSED;
			reason = SPAN("its settings are not within the host's "
				      "limits");
		}
	}
	if (outcome != RESOLVED_FOUND)
		function_forget(c->tenant, name);
	function_hold(f);
	/* The question is answered before those who asked go on: they may ask
	 * it again. */
	list_init(&requests);
	take_all(&requests, &q->requests);
	resolve_free(c, q);
	if (outcome == RESOLVED_MOVED)
		cell_leave(c);
	while (!list_empty(&requests))
		request_resolved(LIST_OWNER(list_first(&requests),
				     struct request, waiting),
		    outcome, f, reason);
	function_release(&f);
}

/* A cell is a tenant's user: what it says may be anything. */
static bool
resolved_fits(const struct message_resolved *m, struct span asked)
{
	struct span rest = asked, name = span_cut(&rest, '.');

	if (m->outcome > RESOLVED_UNFINISHED)
		return false;
	if (m->outcome != RESOLVED_FOUND)
		return true;
	return span_equal(m->name, name) && m->file.bytes > 0 &&
	    m->file.data[0] != '/' && span_find(m->file, '\0') < 0;
}

static void
cell_misbehaves(struct cell *c, const char *what)
{
	diag_error("cell closed: tenant=%s: %s", c->tenant->name, what);
	peer_free(&c->peer);
	cell_go(c, CELL_LOST);
}

static void
resolve_free(struct cell *c, struct resolve *q)
{
	list_remove(&q->node);
	c->resolve_count--;
	free(q);
}

/* ---- what it says ------------------------------------------------------------- */

static void
cell_says(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct cell *c = arg;
	int none = -1;
	union {
		struct message_resolved resolved;
		struct message_launcher launcher;
		struct message_listed listed;
		struct message_plan plan;
	} m;

	c->heard_ms = loop_now_ms(c->gateway->loop);
	if (c->state != CELL_SERVING)
		return;
	if (type == MESSAGE_RESOLVED &&
	    message_resolved_decode(body, &m.resolved) == 0)
		cell_resolved(c, &m.resolved);
	else if (type == MESSAGE_LAUNCHER &&
	    message_launcher_decode(body, &m.launcher) == 0)
		launcher_came(c, &m.launcher, fd_count > 0 ? &fds[0] : &none);
	else if (type == MESSAGE_LISTED &&
	    message_listed_decode(body, &m.listed) == 0)
		cell_listed(c, &m.listed);
	else if (type == MESSAGE_PLAN &&
	    message_plan_decode(body, &m.plan) == 0)
		cell_planned(c, &m.plan);
	else
		cell_misbehaves(c, "what it says is malformed");
}

static void
cell_listed(struct cell *c, const struct message_listed *m)
{
	struct errand *e = errand_find(c, ERRAND_LIST, m->ask);

	if (!e)
		return; /* nobody waits for that, or not for this tenant's */
	if (!m->more)
		errand_free(&e);
	control_listed(c->gateway->control, m->ask, m->more != 0, m->rows);
	tenant_settle(c->tenant);
}

static void
cell_planned(struct cell *c, const struct message_plan *m)
{
	struct errand *e = errand_find(c, ERRAND_PLAN, m->ask);

	if (!e)
		return;
	errand_free(&e);
	control_plan(c->gateway->control, m->ask, m->text);
	tenant_settle(c->tenant);
}

int
cell_stop(struct cell *c, uint32_t launcher, uint32_t invocation, int signo)
{
	const struct message_stop stop = { .launcher = launcher,
		.invocation = invocation,
		.signal = (uint32_t)signo };

	return c->peer ? peer_send(c->peer, MESSAGE_STOP, &stop, NULL, 0) : -1;
}

int
cell_list(struct cell *c, uint64_t ask)
{
	const struct message_list list = { .ask = ask };

	return peer_send(c->peer, MESSAGE_LIST, &list, NULL, 0);
}

int
cell_plan(struct cell *c, uint64_t ask)
{
	const struct message_plan_ask plan = { .ask = ask };

	return peer_send(c->peer, MESSAGE_PLAN_ASK, &plan, NULL, 0);
}

/* As long as for a slot, but a moment even where nobody may wait for one. */
uint64_t
cell_patience_ms(const struct gateway *g)
{
	uint64_t queue_ms = g->config->limits[LIMIT_queue];

	return queue_ms > CELL_PATIENCE_MS ? queue_ms : CELL_PATIENCE_MS;
}

/* Somebody waited in vain. If it was silent all that time it is
 * stuck or stopped, and all it runs is out of anybody's control. */
void
cell_doubt(struct cell *c, uint64_t silent_ms)
{
	struct gateway *g = c->gateway;

	if (c->doubted || loop_now_ms(g->loop) - c->heard_ms < silent_ms)
		return;
	c->doubted = true;
	master_cell_kill(g, tenant_name(c->tenant), "it does not answer");
}

void
cell_configure(struct cell *c)
{
	struct config *before = c->config;

	c->config = config_hold(c->gateway->config);
	c->terms = config_terms(c->config, tenant_name(c->tenant));
	settings_release(&c->settings);
	function_keep_all(c->tenant, before);
	config_release(&before);
}

/* ---- its end ------------------------------------------------------------------- */

void
cell_leave(struct cell *c)
{
	if (!c || c->state != CELL_SERVING)
		return;
	cell_go(c, CELL_LEAVING);
}

void
cell_fail(struct cell *c, enum end end, struct span reason)
{
	struct list waiting, runs, errands;
	struct run *run;

	cell_let_go(c, &waiting, &runs, &errands);
	cell_move(c, CELL_LEAVING);
	while (!list_empty(&errands)) {
		struct errand *e =
		    LIST_OWNER(list_first(&errands), struct errand, node);

		errand_fail(c->gateway, &e, reason);
	}
	while (!list_empty(&waiting))
		request_end(LIST_OWNER(list_first(&waiting), struct request,
				waiting),
		    end, reason);
	while ((run = run_first(&runs)))
		run->owner->refused(run->arg, end, reason);
	workers_leave(c);
	templates_leave(c);
	workers_cell_gone(c->tenant);
	cell_close_launchers(c, true);
	cell_settle(c);
}

/* Who waited for it goes on without it. */
static void
cell_go(struct cell *c, enum cell_state to)
{
	struct list waiting, runs, errands;
	struct run *run;

	if (c->tenant->cell == c)
		faults_meter(c);
	cell_let_go(c, &waiting, &runs, &errands);
	cell_move(c, to);
	while (!list_empty(&errands)) {
		struct errand *e =
		    LIST_OWNER(list_first(&errands), struct errand, node);

		errand_again(&e);
	}
	while (!list_empty(&waiting))
		request_cell_gone(LIST_OWNER(list_first(&waiting),
		    struct request, waiting));
	while ((run = run_first(&runs)))
		run->owner->cell_gone(run->arg);
	workers_leave(c);
	templates_leave(c);
	workers_cell_gone(c->tenant);
	cell_close_launchers(c, true);
	cell_settle(c);
}

/* No longer the tenant's. */
static void
cell_let_go(struct cell *c, struct list *waiting, struct list *runs,
    struct list *errands)
{
	tenant_cell_ends(c->tenant, c);
	list_init(errands);
	take_all(errands, &c->errands);
	list_init(waiting);
	list_init(runs);
	take_all(runs, &c->wanting);
	while (!list_empty(&c->resolves)) {
		struct resolve *q =
		    LIST_OWNER(list_first(&c->resolves), struct resolve, node);

		take_all(waiting, &q->requests);
		resolve_free(c, q);
	}
	c->asked = 0;
}

/* The next of those that wait no more. */
static struct run *
run_first(struct list *runs)
{
	struct list *node = list_first(runs);
	struct run *run = node ? LIST_OWNER(node, struct run, waiting) : NULL;

	if (run)
		run_unwait(run);
	return run;
}

static void
cell_gone(void *arg, const char *reason, bool unread)
{
	struct cell *c = arg;

	(void)unread;
	if (c->gateway->state != GATEWAY_DRAINING &&
	    (c->state == CELL_SERVING || c->running > 0))
		diag_warn("cell gone: tenant=%s reason=\"%s\" runs=%zu; the "
			  "next request makes another",
		    c->tenant->name, reason, c->running);
	peer_free(&c->peer);
	cell_go(c, CELL_LOST);
}

void
cell_settle(struct cell *c)
{
	if ((c->state != CELL_LEAVING || c->running > 0) &&
	    (c->state != CELL_LOST || !list_empty(&c->launchers)))
		return;
	peer_free(&c->peer);
	cell_close_launchers(c, false);
	cell_move(c, CELL_GONE);
	if (!c->tenant->cell)
		faults_meter(c); /* else the next one has the same meters */
	c->tenant->cell_count--;
	c->gateway->cell_count--;
	tenant_settle(c->tenant);
	loop_defer(c->gateway->loop, &c->end, cell_end, c);
}

static void
cell_close_launchers(struct cell *c, bool idle_only)
{
	LIST_EACH(node, &c->launchers) {
		struct launcher *l = LIST_OWNER(node, struct launcher, all);

		if (!idle_only || l->state != LAUNCHER_BUSY)
			launcher_close(&l);
	}
}

static void
cell_end(void *arg)
{
	struct cell *c = arg;

	settings_release(&c->settings);
	config_release(&c->config);
	usage_close(&c->usage);
	free(c);
}

/* Behind what is in `to` already. */
static void
take_all(struct list *to, struct list *from)
{
	struct list *node;

	while ((node = list_first(from))) {
		list_remove(node);
		list_add_last(to, node);
	}
}
