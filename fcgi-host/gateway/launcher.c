/* SPDX-License-Identifier: MIT */
/* launcher.c - the launchers of a cell: made when a run that is wanted
 * finds none idle, used last in first out so that few stay warm, closed when
 * idle for long. What a launcher says is about one of the runs it was sent, by
 * number. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"

#include "gateway/gateway.h"
#include "gateway/template.h"
#include "gateway/worker.h"

static void launcher_move(struct launcher *, enum launcher_state);
static void launcher_check(const struct launcher *);
static void launcher_says(void *arg, enum message_type, struct span body,
    int *fds, size_t fd_count);
static void launcher_gone(void *arg, const char *reason, bool unread);
static void launcher_ended(struct launcher *, struct run *,
    const struct message_ended *);
static struct run *launcher_run(const struct launcher *, uint64_t number);
static void launcher_over(struct launcher *, struct run *);
static void launcher_lose(struct launcher *, bool unread);
static struct launcher *launcher_numbered(struct cell *, uint32_t);
static void launcher_clear(struct cell *, size_t waiting);
static bool leaves(const struct worker *);
static void launcher_none(struct cell *, const char *why);
static void launcher_end(void *arg);

/* ---- its life --------------------------------------------------------------- */

static void
launcher_move(struct launcher *l, enum launcher_state to)
{
	static const bool drawn[][LAUNCHER_GONE + 1] = {
		[LAUNCHER_ASKED] = { [LAUNCHER_IDLE] = true,
		    [LAUNCHER_GONE] = true },
		[LAUNCHER_IDLE] = { [LAUNCHER_BUSY] = true,
		    [LAUNCHER_GONE] = true },
		[LAUNCHER_BUSY] = { [LAUNCHER_IDLE] = true,
		    [LAUNCHER_GONE] = true },
		[LAUNCHER_GONE] = { false },
	};

	assert(drawn[l->state][to]);
	l->state = to;
	launcher_check(l);
}

static void
launcher_check(const struct launcher *l)
{
	assert((l->peer != NULL) ==
	    (l->state == LAUNCHER_IDLE || l->state == LAUNCHER_BUSY));
	assert(list_empty(&l->runs) || l->state == LAUNCHER_BUSY);
	assert((l->run_count == 0) == list_empty(&l->runs));
	assert(list_empty(&l->idle) || l->state == LAUNCHER_IDLE);
}

/* As many as wait for one are on their way, but no more than the tenant may run
 * at once. */
void
launcher_want(struct cell *c)
{
	struct message_launcher_wanted wanted = { 0 };
	struct launcher *l;
	size_t waiting = 0;

	LIST_EACH(node, &c->wanting)
		waiting++;
	if (c->asked >= waiting)
		return;
	if (c->launcher_count >= c->tenant->admit.limits.slots) {
		launcher_clear(c, waiting);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		return; /* who waits has a deadline */
	l->cell = c;
	l->number = wanted.launcher = c->next_launcher++;
	list_init(&l->runs);
	list_init(&l->idle);
	list_init(&l->lapse);
	list_init(&l->all);
	if (peer_send(c->peer, MESSAGE_LAUNCHER_WANTED, &wanted, NULL, 0)) {
		free(l);
		return;
	}
	list_add_last(&c->launchers, &l->all);
	c->launcher_count++;
	c->gateway->launcher_count++;
	c->asked++;
}

/* Whoever waits has a slot, or is to serve somebody who has: idle workers and
 * templates stand in the way. As many go as are waited for. */
static void
launcher_clear(struct cell *c, size_t waiting)
{
	size_t leaving = c->asked;

	LIST_EACH(node, &c->workers)
		leaving += leaves(LIST_OWNER(node, struct worker, in_cell));
	LIST_EACH(node, &c->templates)
		leaving += LIST_OWNER(node, struct template, in_cell)->state ==
		    TEMPLATE_LEAVING;
	while (leaving++ < waiting && launchers_evict(c->gateway, c))
		;
}

/* ... and its launcher with it. */
static bool
leaves(const struct worker *w)
{
	return w->state == WORKER_LEAVING && !w->run.forked;
}

bool
launchers_evict(struct gateway *g, const struct cell *c)
{
	return workers_evict(g, c) || templates_evict(g, c);
}

void
launcher_came(struct cell *c, const struct message_launcher *m, int *fd)
{
	struct launcher *l = launcher_numbered(c, m->launcher);

	if (!l || l->state != LAUNCHER_ASKED)
		return; /* it says so twice, or we never asked */
	c->asked--;
	if (*fd < 0) {
		errno = (int)m->error;
		diag_warn("no launcher for tenant %s: %s; the next request "
			  "asks again",
		    c->tenant->name, diag_errno());
		launcher_close(&l);
		if (c->launcher_count == 0)
			launcher_none(c, diag_errno());
		return;
	}
	c->gateway->stats.launchers++;
	l->peer = peer_new(c->gateway->loop, *fd, ROLE_GATEWAY, ROLE_LAUNCHER,
	    launcher_says, launcher_gone, l);
	*fd = -1;
	launcher_move(l, LAUNCHER_IDLE);
	launcher_give(l);
}

/* With others at work those who wait will have theirs; now there is nobody. */
static void
launcher_none(struct cell *c, const char *why)
{
	while (!list_empty(&c->wanting)) {
		struct run *run =
		    LIST_OWNER(list_first(&c->wanting), struct run, waiting);

		run_unwait(run);
		run->owner->refused(run->arg, END_MACHINE, span_of(why));
	}
}

static struct launcher *
launcher_numbered(struct cell *c, uint32_t number)
{
	LIST_EACH(node, &c->launchers) {
		struct launcher *l = LIST_OWNER(node, struct launcher, all);

		if (l->number == number)
			return l;
	}
	return NULL;
}

/* Who waited longest gets it, else it waits. */
void
launcher_give(struct launcher *l)
{
	struct cell *c = l->cell;

	l->idle_since_ms = loop_now_ms(c->gateway->loop);
	list_add_first(&c->idle, &l->idle);
	list_add_last(&c->gateway->launchers_idle, &l->lapse);
	gateway_lapses(c->gateway);
	while (!list_empty(&c->idle) && !list_empty(&c->wanting)) {
		struct run *run =
		    LIST_OWNER(list_first(&c->wanting), struct run, waiting);

		run_unwait(run);
		run->owner->launcher(run->arg);
	}
}

struct launcher *
launcher_take(struct cell *c)
{
	struct list *node = list_first(&c->idle);
	struct launcher *l;

	if (!node)
		return NULL;
	l = LIST_OWNER(node, struct launcher, idle);
	list_remove(&l->idle);
	list_remove(&l->lapse);
	return l;
}

void
launcher_busy(struct launcher *l, struct run *run)
{
	if (l->state == LAUNCHER_IDLE)
		launcher_move(l, LAUNCHER_BUSY);
	list_add_last(&l->runs, &run->in_launcher);
	l->run_count++;
	l->cell->running++;
}

static void
launcher_over(struct launcher *l, struct run *run)
{
	if (l->template && run == &l->template->run)
		l->template = NULL;
	list_remove(&run->in_launcher);
	l->run_count--;
	l->cell->running--;
}

/* What it runs cannot be ended: it gets nothing more, and is not heard. */
void
launcher_abandon(struct launcher *l)
{
	struct cell *c = l->cell;

	launcher_lose(l, false);
	launcher_close(&l);
	cell_settle(c);
}

/* Of several nobody can say which was not read. */
static void
launcher_lose(struct launcher *l, bool unread)
{
	bool several = l->run_count > 1;
	struct list *node;

	while ((node = list_first(&l->runs))) {
		struct run *run = LIST_OWNER(node, struct run, in_launcher);

		launcher_over(l, run);
		run_lost(run, unread && !several);
	}
}

void
launcher_close(struct launcher **owned)
{
	struct launcher *l = *owned;
	struct cell *c = l->cell;

	*owned = NULL;
	list_remove(&l->idle);
	list_remove(&l->lapse);
	list_remove(&l->all);
	peer_free(&l->peer);
	launcher_move(l, LAUNCHER_GONE);
	c->launcher_count--;
	c->gateway->launcher_count--;
	loop_defer(c->gateway->loop, &l->end, launcher_end, l);
}

static void
launcher_end(void *arg)
{
	free(arg);
}

void
launcher_sweep(struct gateway *g, uint64_t now_ms)
{
	LIST_EACH(node, &g->launchers_idle) {
		struct launcher *l = LIST_OWNER(node, struct launcher, lapse);

		if (now_ms - l->idle_since_ms < g->config->launcher_idle)
			return;
		launcher_close(&l);
	}
}

/* ---- what it says ------------------------------------------------------------ */

static void
launcher_says(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct launcher *l = arg;
	struct message_exited exited;
	struct message_ended ended;
	struct run *run = NULL;

	(void)fds;
	(void)fd_count;
	if (type == MESSAGE_EXITED &&
	    message_exited_decode(body, &exited) == 0 &&
	    (run = launcher_run(l, exited.invocation)))
		run_exited(run, &exited);
	else if (type == MESSAGE_ENDED &&
	    message_ended_decode(body, &ended) == 0 &&
	    (run = launcher_run(l, ended.invocation)))
		launcher_ended(l, run, &ended);
	else
		diag_warn("launcher of tenant %s said %s, which does not fit; "
			  "ignored",
		    l->cell->tenant->name, message_row(type)->name);
}

static struct run *
launcher_run(const struct launcher *l, uint64_t number)
{
	LIST_EACH(node, &l->runs) {
		struct run *run = LIST_OWNER(node, struct run, in_launcher);

		if (run->number == number)
			return run;
	}
	return NULL;
}

/* The launcher is free before its run's owner hears of it: what comes next may need
 * it. */
static void
launcher_ended(struct launcher *l, struct run *run,
    const struct message_ended *m)
{
	struct cell *c = l->cell;

	launcher_over(l, run);
	if (l->run_count == 0) {
		launcher_move(l, LAUNCHER_IDLE);
		launcher_give(l);
	}
	if (m->how == ENDED_NO_TEMPLATE && l->template)
		template_refused(l->template, (int)m->error);
	run_ended(run, c, m);
	if (l->template && l->run_count == 1)
		template_alone(l->template);
	cell_settle(c);
}

static void
launcher_gone(void *arg, const char *reason, bool unread)
{
	struct launcher *l = arg;
	struct cell *c = l->cell;
	struct list *first = list_first(&l->runs);
	const struct run *run =
	    first ? LIST_OWNER(first, struct run, in_launcher) : NULL;
	struct span request =
	    run ? run->owner->about(run->arg).request : SPAN("-");
	bool wanted;

	if (l->state == LAUNCHER_BUSY && c->state == CELL_SERVING &&
	    c->gateway->state != GATEWAY_DRAINING)
		diag_warn("launcher gone: tenant=%s launcher=%u reason=\"%s\" "
			  "request=%.*s; the next request gets another",
		    c->tenant->name, l->number, reason, SPAN_ARGS(request));
	wanted = c->state == CELL_SERVING && !list_empty(&c->wanting);
	launcher_lose(l, unread);
	launcher_close(&l);
	if (wanted && c->state == CELL_SERVING)
		launcher_want(c);
	cell_settle(c);
}
