/* SPDX-License-Identifier: MIT */
/* worker.c - the workers of functions: started when pool says so and a launcher
 * is there, idle last in first out, ended in peace. Whatever a worker does, who
 * waits for it has somebody who tells him: it answers, its launcher says that it
 * is over, or a timer comes. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/proc.h"

#include "gateway/fastcgi.h"
#include "gateway/gateway.h"
#include "gateway/worker.h"

static void worker_move(struct worker *, enum worker_state);
static void worker_check(const struct worker *);
static void workers_ask(struct workers *);
static uint64_t wanting(const struct cell *);
static bool workers_may(const struct workers *);
static struct pool_facts workers_facts(const struct workers *);
static uint64_t spare_most(const struct settings *);
static void workers_asked_again(void *arg);
static void workers_wake(struct workers *);
static struct request *workers_first(const struct workers *);
static void workers_stale(struct workers *);
static void workers_due(struct workers *);
static bool workers_cold(const struct workers *);
static struct worker *workers_starting(const struct workers *);
static bool worker_new(struct workers *);
static void worker_start(struct worker *);
static enum run_answer worker_run(struct worker *, const char **why);
static void worker_started(struct worker *);
static void worker_failed(struct worker *, enum end, struct span reason);
static void worker_works(struct worker *);
static void worker_idle(struct worker *);
static void worker_offer(struct worker *);
static bool worker_stands_in_way(const struct worker *);
static void worker_part(void *arg);
static void worker_take_back(struct worker *);
static void worker_patience(struct worker *);
static void worker_late(void *arg);
static void worker_gone(struct worker *);
static void worker_freed(void *arg);
static void worker_report(const struct worker *);
static void worker_ready(void *arg);
static void worker_launcher(void *arg);
static void worker_cell_gone(void *arg);
static void worker_refused(void *arg, enum end, struct span reason);
static void worker_exited(void *arg);
static void worker_over(void *arg);
static struct run_about worker_about(const void *arg);

static const struct run_owner owner = {
	.launcher = worker_launcher,
	.cell_gone = worker_cell_gone,
	.refused = worker_refused,
	.exited = worker_exited,
	.over = worker_over,
	.about = worker_about,
};

/* ---- the workers of a function ---------------------------------------------- */

struct workers *
workers_of(struct function *f)
{
	struct tenant *t = function_tenant(f);
	struct workers *ws;

	if (f->workers)
		return f->workers;
	ws = calloc(1, sizeof(*ws));
	if (!ws)
		return NULL;
	ws->function = f;
	ws->gateway = t->gateway;
	list_init(&ws->all);
	list_init(&ws->idle);
	list_init(&ws->wanting);
	list_init(&ws->due);
	pool_init(&ws->pool, &t->pool);
	timer_init(&ws->timer, workers_asked_again, ws);
	f->workers = ws;
	return ws;
}

void
workers_free(struct workers **owned)
{
	struct workers *ws = *owned;

	*owned = NULL;
	if (!ws)
		return;
	assert(list_empty(&ws->all) && list_empty(&ws->wanting));
	loop_timer_clear(ws->gateway->loop, &ws->timer);
	list_remove(&ws->due);
	pool_done(&ws->pool);
	free(ws);
}

unsigned
workers_spare_short(const struct workers *ws)
{
	struct pool_facts facts = workers_facts(ws);

	return pool_short(&ws->pool, &facts);
}

/* With one request each the oldest: it is the most likely to be ready. */
struct worker *
workers_idle(const struct workers *ws)
{
	struct list *node = ws->function->settings->requests == 1 ?
	    list_last(&ws->idle) :
	    list_first(&ws->idle);

	if (node)
		return LIST_OWNER(node, struct worker, idle);
	return workers_cold(ws) ? workers_starting(ws) : NULL;
}

/* Nothing of it is known to work. */
static bool
workers_cold(const struct workers *ws)
{
	return ws->count[WORKER_READY] + ws->count[WORKER_BUSY] == 0;
}

static struct worker *
workers_starting(const struct workers *ws)
{
	LIST_EACH(node, &ws->all) {
		struct worker *w = LIST_OWNER(node, struct worker, all);

		if (w->state == WORKER_STARTING && !w->request)
			return w;
	}
	return NULL;
}

void
workers_want(struct workers *ws, struct request *r)
{
	request_wait(r, WAITS_PROCESS, &ws->wanting);
	ws->waiting++;
	workers_ask(ws);
}

/* request_unwait() takes it off the list. */
void
workers_unwant(struct workers *ws, struct request *r)
{
	assert(r->waits == WAITS_PROCESS);
	ws->waiting--;
}

static struct request *
workers_first(const struct workers *ws)
{
	struct list *node = list_first(&ws->wanting);

	return node ? LIST_OWNER(node, struct request, waiting) : NULL;
}

/* Each looks again at what there is now. */
static void
workers_wake(struct workers *ws)
{
	struct list woken;
	struct list *node;

	list_init(&woken);
	while ((node = list_first(&ws->wanting))) {
		list_remove(node);
		list_add_last(&woken, node);
	}
	while ((node = list_first(&woken))) {
		struct request *r = LIST_OWNER(node, struct request, waiting);

		request_unwait(r);
		request_proceed(r);
	}
}

void
workers_changed(struct function *f)
{
	if (!f->workers)
		return;
	pool_changed(&f->workers->pool);
	f->workers->refused_until_us = 0;
	f->workers->lingers = f->workers->piecemeal = f->workers->keeps = false;
	LIST_EACH(node, &f->workers->all)
		worker_leave(LIST_OWNER(node, struct worker, all));
	workers_due(f->workers);
}

void
workers_compared(struct function *f)
{
	if (!f->workers || !f->workers->stale)
		return;
	f->workers->stale = false;
	workers_due(f->workers);
}

/* A spare found another file than was resolved. No request asks what it is now,
 * so we do; if that is not true for long either, the next request will. */
static void
workers_stale(struct workers *ws)
{
	struct function *f = ws->function;
	struct cell *c = function_tenant(f)->cell;
	uint64_t now_ms = loop_now_ms(ws->gateway->loop);

	function_doubt_file(f);
	ws->stale = true;
	if (!f->listed || !c || c->state != CELL_SERVING ||
	    (ws->stale_ms > 0 && now_ms - ws->stale_ms < WORKER_COMPARED_MS))
		return;
	ws->stale_ms = now_ms;
	(void)cell_resolve_again(c, function_name(f));
}

void
workers_cell_gone(struct tenant *t)
{
	struct map_node *node = NULL;

	while ((node = map_next(&t->functions, node))) {
		struct function *f = MAP_OWNER(node, struct function, node);

		if (f->workers && f->workers->waiting > 0)
			workers_due(f->workers);
	}
}

void
workers_leave(struct cell *c)
{
	LIST_EACH(node, &c->workers)
		worker_leave(LIST_OWNER(node, struct worker, in_cell));
}

void
workers_drain(struct gateway *g)
{
	LIST_EACH(node, &g->workers_idle)
		worker_leave(LIST_OWNER(node, struct worker, lapse));
}

/* Their sockets have names. */
void
workers_close(struct gateway *g)
{
	LIST_EACH(node, &g->workers)
		inlet_close(&LIST_OWNER(node, struct worker, in_gateway)
				 ->inlet);
}

bool
workers_evict(struct gateway *g, const struct cell *c)
{
	LIST_EACH(node, &g->workers_idle) {
		struct worker *w = LIST_OWNER(node, struct worker, lapse);

		if (c && w->cell != c)
			continue;
		g->stats.workers_evicted++;
		worker_leave(w);
		return true;
	}
	return false;
}

/* Those that have requests are asked before who would only keep some ahead. */
void
workers_room(struct gateway *g)
{
	struct list *node;

	while ((node = list_last(&g->workers_short))) {
		list_remove(node);
		list_add_first(&g->workers_due, node);
	}
}

/* ---- how many ------------------------------------------------------------------ */

/* At the end of the batch, once for all that happened in it. */
static void
workers_due(struct workers *ws)
{
	list_remove(&ws->due);
	list_add_last(&ws->gateway->workers_due, &ws->due);
}

bool
workers_settle(struct gateway *g)
{
	struct list *node = list_first(&g->workers_due);

	if (!node)
		return false;
	list_remove(node);
	workers_ask(LIST_OWNER(node, struct workers, due));
	return true;
}

static void
workers_asked_again(void *arg)
{
	workers_due(arg);
}

/* What pool says is done at once; a start that has no room waits for it, with an
 * idle worker of somebody else asked to make some. */
static void
workers_ask(struct workers *ws)
{
	struct gateway *g = ws->gateway;
	struct function *f = function_hold(ws->function);
	struct pool_facts facts = workers_facts(ws);
	struct pool_answer answer = pool_ask(&ws->pool, &facts);
	uint64_t now_ms = loop_now_ms(g->loop);

	while (answer.stop && !list_empty(&ws->idle)) {
		worker_leave(LIST_OWNER(list_last(&ws->idle), struct worker,
		    idle));
		facts = workers_facts(ws);
		answer = pool_ask(&ws->pool, &facts);
	}
	ws->refused_until_us = answer.refused_until_us;
	if (ws->waiting > 0 && (!f->listed || !function_tenant(f)->cell))
		workers_wake(ws);
	/* one that fails may have asked for others by now */
	for (unsigned i = 0; i < answer.start && workers_may(ws); i++) {
		if (g->run_count >= g->config->slots_host) {
			list_remove(&ws->due);
			list_add_last(&g->workers_short, &ws->due);
			launchers_evict(g, NULL);
			break;
		}
		if (!worker_new(ws))
			break;
	}
	for (unsigned i = 0; i < answer.ahead && workers_may(ws); i++)
		if (!worker_new(ws))
			break;
	if (answer.again_us != UINT64_MAX)
		loop_timer_set(g->loop, &ws->timer,
		    answer.again_us > facts.now_us ?
			now_ms + (answer.again_us - facts.now_us) / 1000 + 1 :
			now_ms + 1);
	function_release(&f);
}

/* Runs that will have a launcher. */
static uint64_t
wanting(const struct cell *c)
{
	uint64_t count = 0;

	LIST_EACH(node, &c->wanting)
		count++;
	return count;
}

static bool
workers_may(const struct workers *ws)
{
	uint64_t all = 0;

	for (int state = WORKER_WANTED; state < WORKER_GONE; state++)
		all += ws->count[state];
	return all < ws->function->settings->concurrency;
}

static struct pool_facts
workers_facts(const struct workers *ws)
{
	const struct gateway *g = ws->gateway;
	const struct function *f = ws->function;
	const struct settings *s = f->settings;
	const struct tenant *t = function_tenant(f);
	const struct cell *c = t->cell;
	uint64_t host = g->config->slots_host, tenant = t->terms->slots;
	uint64_t host_room =
	    host > g->run_count && list_empty(&g->workers_short) ?
	    host - g->run_count :
	    0;
	uint64_t used = c ? c->running + wanting(c) : 0;
	uint64_t tenant_room = c && tenant > used ? tenant - used : 0;
	struct list *longest = list_last(&ws->idle);
	uint64_t resident = ws->pool.resident *
	    (ws->count[WORKER_STARTING] + ws->count[WORKER_READY] +
		ws->count[WORKER_BUSY] + ws->count[WORKER_LEAVING]);
	bool ours = f->listed && g->state == GATEWAY_SERVING && c &&
	    c->state == CELL_SERVING;

	return (struct pool_facts){
		.now_us = clock_us(),
		.concurrency = ours ? (unsigned)s->concurrency : 0,
		.spare = ours && !ws->stale ? (unsigned)s->spare : 0,
		.spare_most = ours && !ws->stale ? (unsigned)spare_most(s) : 0,
		.requests = s->requests,
		.warm_us = s->limits[LIMIT_warm] * 1000,
		.tenant_spare = (unsigned)t->terms->spare,
		.processors = g->processors,
		.room = (unsigned)(host_room < tenant_room ? host_room :
							     tenant_room),
		.memory = t->terms->memory > resident ?
		    t->terms->memory - resident :
		    0,
		.starting =
		    ws->count[WORKER_WANTED] + ws->count[WORKER_STARTING],
		.ready = ws->count[WORKER_READY],
		.busy = ws->count[WORKER_BUSY],
		.last = ws->last,
		.leaving = ws->count[WORKER_LEAVING],
		.waiting = ws->waiting + ws->assigned,
		.idle_since_us = longest ?
		    LIST_OWNER(longest, struct worker, idle)->idle_us :
		    0,
	};
}

/* One that serves one request is started for each: where settings leave that to us,
 * the rate decides how many are ready before. */
static uint64_t
spare_most(const struct settings *s)
{
	return s->start == START_AUTO && s->requests == 1 && s->spare_max == 0 ?
	    WORKERS_SPARE_AUTO :
	    s->spare_max;
}

/* ---- its life --------------------------------------------------------------------- */

static void
worker_move(struct worker *w, enum worker_state to)
{
#define TO(state) [WORKER_##state] = true
	static const bool drawn[][WORKER_GONE + 1] = {
		[WORKER_WANTED] = { TO(STARTING), TO(GONE) },
		[WORKER_STARTING] = { TO(READY), TO(BUSY), TO(LEAVING),
		    TO(GONE) },
		[WORKER_READY] = { TO(BUSY), TO(LEAVING), TO(GONE) },
		[WORKER_BUSY] = { TO(READY), TO(LEAVING), TO(GONE) },
		[WORKER_LEAVING] = { TO(GONE) },
		[WORKER_GONE] = { false },
	};
#undef TO
	struct workers *ws = w->workers;

	assert(drawn[w->state][to]);
	if (w->state == WORKER_READY) {
		if (ws->trial == w)
			ws->trial = NULL;
		list_remove(&w->idle);
		list_remove(&w->lapse);
		w->gateway->worker_idle_count--;
	}
	if (w->last && w->state == WORKER_BUSY)
		ws->last--;
	if (w->last && to == WORKER_BUSY)
		ws->last++;
	if (w->request && w->state == WORKER_STARTING)
		ws->assigned--;
	ws->count[w->state]--;
	ws->count[to]++;
	w->state = to;
	worker_check(w);
}

static void
worker_check(const struct worker *w)
{
	enum worker_state s = w->state;

	assert((s == WORKER_BUSY) <= (w->request != NULL));
	assert(s != WORKER_READY || !w->request);
	assert(s != WORKER_GONE || (!w->request && !run_going(&w->run)));
	assert(s == WORKER_WANTED || s == WORKER_GONE ||
	    w->run.state != RUN_NONE);
	assert(!w->inlet.shut || s >= WORKER_LEAVING);
	assert(list_empty(&w->idle) || s == WORKER_READY);
}

/* False: there is no memory, or no cell. */
static bool
worker_new(struct workers *ws)
{
	struct gateway *g = ws->gateway;
	struct cell *c = function_tenant(ws->function)->cell;
	struct worker *w;

	if (!c || c->state != CELL_SERVING || !(w = calloc(1, sizeof(*w))))
		return false;
	w->gateway = g;
	w->workers = ws;
	w->function = function_hold(ws->function);
	w->settings = settings_hold(ws->function->settings);
	w->cell = c;
	run_init(&w->run, g, &owner, w);
	herald_init(&w->herald, &w->run, SPAN(WORKER_READY_LINE), worker_ready);
	inlet_init(&w->inlet);
	list_init(&w->all);
	list_init(&w->in_cell);
	list_init(&w->in_gateway);
	list_init(&w->idle);
	list_init(&w->lapse);
	timer_init(&w->timer, worker_late, w);
	list_add_last(&ws->all, &w->all);
	list_add_last(&c->workers, &w->in_cell);
	list_add_last(&g->workers, &w->in_gateway);
	ws->count[WORKER_WANTED]++;
	g->worker_count++;
	worker_start(w);
	return true;
}

/* WANTED: now, or when there is a launcher. */
static void
worker_start(struct worker *w)
{
	enum run_answer answer = RUN_NO_LAUNCHER;
	const char *why = NULL;

	if (run_may_start(w->function, w->cell))
		answer = worker_run(w, &why);
	switch (answer) {
	case RUN_STARTED:
		worker_started(w);
		break;
	case RUN_NO_LAUNCHER:
		inlet_close(&w->inlet);
		run_wait(&w->run, w->cell);
		break;
	case RUN_NO_ROOM:
		worker_failed(w, END_HEAD_SIZE, span_of(why));
		break;
	case RUN_NO_RESOURCES:
		worker_failed(w, END_MACHINE, span_of(diag_errno()));
		break;
	}
}

static enum run_answer
worker_run(struct worker *w, const char **why)
{
	static struct buf environment = { .ceiling = ENVIRONMENT_MOST };
	const struct cell *c = w->cell;
	struct message_start start;
	enum run_answer answer;
	int error, out_fd;

	if (run_environment(&environment, w->function, w->settings, c,
		ENVIRONMENT_WORKER, why) != 0)
		return RUN_NO_ROOM;
	run_describe(&start, w->function, w->settings, c);
	start.cpu_s = 0; /* counts for all requests together */
	start.env = buf_span(&environment);
	w->run.grace_ms = w->settings->limits[LIMIT_grace];
	if (inlet_open(&w->inlet, GATEWAY_WORKERS_FD) != 0)
		return RUN_NO_RESOURCES;
	if (run_pipe(c, &w->herald.fd, &out_fd) != 0)
		return RUN_NO_RESOURCES;
	answer = run_start(&w->run, w->function, w->cell, &start, w->inlet.fd,
	    out_fd, why);
	error = errno;
	fd_close(&out_fd);
	if (answer != RUN_STARTED)
		fd_close(&w->herald.fd);
	errno = error;
	return answer;
}

/* While nothing of the function works yet, who waits gets it at once, for none is
 * known that will be sooner. */
static void
worker_started(struct worker *w)
{
	struct gateway *g = w->gateway;
	struct workers *ws = w->workers;
	struct request *r;
	uint64_t ready_us = pool_ready_us(&ws->pool);

	g->stats.workers++;
	w->started_us = clock_us();
	worker_move(w, WORKER_STARTING);
	if (run_watch_errors(&w->run) != 0 || herald_watch(&w->herald) != 0)
		diag_warn("cannot watch a worker's output: %s", diag_errno());
	while (workers_cold(ws) && w->state == WORKER_STARTING && !w->request &&
	    (r = workers_first(ws)))
		fastcgi_give(r, w);
	if (w->state == WORKER_STARTING && ready_us != UINT64_MAX)
		loop_timer_set(g->loop, &w->timer,
		    loop_now_ms(g->loop) + ready_us / 1000 + 1);
}

/* It could not be started: one that waits for it is told why. For nobody it is
 * not tried again at once. */
static void
worker_failed(struct worker *w, enum end end, struct span reason)
{
	struct request *r = workers_first(w->workers);

	worker_gone(w);
	if (r) {
		request_end(r, end, reason);
	} else {
		pool_ended(&w->workers->pool, POOL_LIFE_UNPROVED, false, 0,
		    clock_us());
		diag_warn("no worker for function=%s/%s: %.*s",
		    w->cell->tenant->name, w->function->name,
		    SPAN_ARGS(reason));
	}
}

void
worker_give(struct worker *w, struct request *r)
{
	struct workers *ws = w->workers;

	assert(!w->request);
	w->request = r;
	w->given_us = clock_us();
	w->last =
	    w->settings->requests > 0 && w->served + 1 >= w->settings->requests;
	if (w->state == WORKER_STARTING)
		ws->assigned++;
	else
		worker_move(w, WORKER_BUSY);
}

static void
worker_ready(void *arg)
{
	struct worker *w = arg;

	w->drains = true;
	w->ready_us = clock_us();
	if (!w->proved)
		choice_ready(&w->workers->function->choice,
		    w->run.forked ? WAY_FORKED : WAY_EXECUTED,
		    w->ready_us - w->started_us);
	worker_proved(w);
}

void
worker_proved(struct worker *w)
{
	uint64_t now_us;

	if (w->proved)
		return;
	now_us = clock_us();
	w->proved = true;
	pool_proved(&w->workers->pool, now_us - w->started_us,
	    w->request ? now_us - w->given_us : 0);
	if (w->state == WORKER_STARTING)
		worker_works(w);
}

/* One start is over; who still waits may need the next. */
static void
worker_works(struct worker *w)
{
	if (w->request)
		worker_move(w, WORKER_BUSY);
	else
		worker_idle(w);
	if (w->workers->waiting > 0)
		workers_due(w->workers);
}

/* Before any program is asked on a connection that was kept, one worker shows
 * that it does keep it: some close it all the same, and a request on its way
 * would be lost. */
static void
worker_idle(struct worker *w)
{
	struct gateway *g = w->gateway;
	struct workers *ws = w->workers;

	worker_move(w, WORKER_READY);
	w->idle_us = clock_us();
	g->worker_idle_count++;
	if (!w->link || w->drains || ws->keeps || ws->trial) {
		worker_offer(w);
		return;
	}
	ws->trial = w;
	loop_timer_set(g->loop, &w->timer,
	    loop_now_ms(g->loop) + WORKER_TRIAL_MS);
}

/* Somebody else's run waits for a launcher. */
static bool
worker_stands_in_way(const struct worker *w)
{
	LIST_EACH(node, &w->cell->wanting) {
		const struct run *run = LIST_OWNER(node, struct run, waiting);
		const struct worker *other = run->arg;

		if (run->owner != &owner || other->workers != w->workers)
			return true;
	}
	return false;
}

void
worker_hung_up(struct worker *w)
{
	link_close(&w->link);
	w->hung_up = true;
	if (w->workers->trial != w)
		return;
	w->workers->trial = NULL;
	loop_timer_clear(w->gateway->loop, &w->timer);
	worker_offer(w);
}

static void
worker_offer(struct worker *w)
{
	struct gateway *g = w->gateway;
	struct workers *ws = w->workers;
	struct request *r;

	list_add_first(&ws->idle, &w->idle);
	list_add_last(&g->workers_idle, &w->lapse);
	while (w->state == WORKER_READY && (r = workers_first(ws)))
		fastcgi_give(r, w);
	if (w->state == WORKER_READY &&
	    (!timer_armed(&ws->timer) || w->settings->spare_max > 0))
		workers_due(ws);
	/* who found none in the way that was idle, has one now */
	if (w->state == WORKER_READY && !list_empty(&g->workers_short))
		workers_evict(g, NULL);
	else if (w->state == WORKER_READY && worker_stands_in_way(w))
		launcher_want(w->cell);
}

void
worker_done(struct worker *w)
{
	uint64_t now_us = clock_us();
	uint64_t since_us =
	    w->given_us > w->ready_us ? w->given_us : w->ready_us;
	bool silent = w->served == 0 && !w->drains;

	if (w->state == WORKER_STARTING) {
		w->workers->assigned--;
		w->request = NULL;
		worker_leave(w);
		return;
	}
	w->request = NULL;
	w->served++;
	if (!silent)
		pool_served(&w->workers->pool, now_us - since_us);
	if (w->state == WORKER_LEAVING) {
		link_close(&w->link);
		worker_patience(w);
	} else if (w->last || w->gateway->state != GATEWAY_SERVING) {
		w->gateway->stats.workers_recycled += w->last;
		worker_move(w, WORKER_LEAVING);
		loop_defer(w->gateway->loop, &w->part, worker_part, w);
	} else {
		worker_idle(w);
	}
}

void
worker_spurned(struct worker *w)
{
	struct request *r = w->request;
	const struct run_result lost = {
		.lost = true,
		.facts = { .lost = true },
	};

	w->request = NULL;
	w->hung_up = true;
	w->gateway->stats.taken_back++;
	exchange_over(r, &lost, true);
	if (w->state == WORKER_BUSY)
		worker_idle(w);
	else
		worker_patience(w);
}

/* ---- its end -------------------------------------------------------------------- */

/* What ends and begins because of it comes behind the reply it has written. */
static void
worker_part(void *arg)
{
	struct worker *w = arg;

	if (w->state == WORKER_GONE)
		return;
	inlet_shut(&w->inlet);
	link_close(&w->link);
	worker_patience(w);
}

void
worker_leave(struct worker *w)
{
	if (w->state >= WORKER_LEAVING)
		return;
	if (w->state == WORKER_WANTED) {
		run_unwait(&w->run);
		worker_gone(w);
		return;
	}
	inlet_shut(&w->inlet);
	worker_move(w, WORKER_LEAVING);
	worker_take_back(w);
	if (w->request)
		return;
	link_close(&w->link);
	worker_patience(w);
}

/* What it has not accepted it has not begun. */
static void
worker_take_back(struct worker *w)
{
	struct request *r = w->request;
	const struct run_result lost = {
		.lost = true,
		.facts = { .lost = true },
	};
	int fd;

	while ((fd = inlet_take_back(&w->inlet)) >= 0) {
		if (w->request)
			exchange_recover(r, fd);
		fd_close(&fd);
		if (!w->request)
			continue;
		w->request = NULL;
		w->gateway->stats.taken_back++;
		exchange_over(r, &lost, true);
	}
}

/* It may still do something behind its last reply, for as long as that request
 * could have taken. */
static void
worker_patience(struct worker *w)
{
	uint64_t now_ms = loop_now_ms(w->gateway->loop);
	uint64_t at_ms = now_ms + w->settings->limits[LIMIT_grace];

	if (worker_peace_ms(w) > at_ms)
		at_ms = worker_peace_ms(w);
	loop_timer_set(w->gateway->loop, &w->timer, at_ms);
}

uint64_t
worker_peace_ms(const struct worker *w)
{
	uint64_t time_ms = w->settings->limits[LIMIT_time];

	if (w->served == 0)
		return 0;
	return w->given_us / 1000 + (time_ms > 0 ? time_ms : WORKER_PEACE_MS);
}

static void
worker_late(void *arg)
{
	struct worker *w = arg;

	if (w->state == WORKER_STARTING)
		worker_works(w);
	else if (w->workers->trial == w) {
		w->workers->trial = NULL;
		w->workers->keeps = true;
		worker_offer(w);
	} else if (w->state == WORKER_LEAVING && !w->request)
		run_stop(&w->run, END_DONE);
}

void
worker_stop(struct worker *w, enum end why)
{
	if (w->state < WORKER_LEAVING) {
		inlet_shut(&w->inlet);
		worker_move(w, WORKER_LEAVING);
	}
	w->failed |= end_row(why)->fault == FAULT_FUNCTION;
	run_stop(&w->run, why);
}

static void
worker_gone(struct worker *w)
{
	struct gateway *g = w->gateway;

	worker_move(w, WORKER_GONE);
	loop_timer_clear(g->loop, &w->timer);
	link_close(&w->link);
	herald_close(&w->herald);
	inlet_close(&w->inlet);
	list_remove(&w->all);
	list_remove(&w->in_cell);
	list_remove(&w->in_gateway);
	g->worker_count--;
	workers_due(w->workers);
	loop_defer(g->loop, &w->end, worker_freed, w);
}

static void
worker_freed(void *arg)
{
	struct worker *w = arg;

	settings_release(&w->settings);
	function_release(&w->function);
	free(w);
}

/* ---- what its run says ---------------------------------------------------------- */

static void
worker_launcher(void *arg)
{
	worker_start(arg);
}

static void
worker_cell_gone(void *arg)
{
	worker_gone(arg);
}

static void
worker_refused(void *arg, enum end end, struct span reason)
{
	worker_failed(arg, end, reason);
}

/* What it has sent can be read, as long as others of its processes are there. */
static void
worker_exited(void *arg)
{
	(void)arg;
}

/* Whether its last request was read by it is known exactly: what it had not
 * accepted is in the inlet; on a kept connection the kernel says that something
 * was unread, which with a program that ended by itself, in good order, means all
 * of it (see fastcgi.c for when such a connection is used). */
static void
worker_over(void *arg)
{
	struct worker *w = arg;
	struct request *r = w->request;
	const struct run_result *result = &w->run.result;
	bool started = result->lost || result->how == ENDED_EXITED;
	bool ordered = w->state == WORKER_LEAVING && !w->failed;
	bool unread = false;
	int fd;

	inlet_shut(&w->inlet);
	if (w->state < WORKER_LEAVING)
		worker_move(w, WORKER_LEAVING);
	while (r && (fd = inlet_take_back(&w->inlet)) >= 0) {
		exchange_recover(r, fd);
		fd_close(&fd);
		unread = true;
	}
	if (unread && started && !ordered && w->served == 0 && result->ended)
		exchange_not_taken(r, result);
	if (r && !unread && started)
		unread = exchange_unread(r, result);
	pool_ended(&w->workers->pool,
	    w->served > 0 ? POOL_LIFE_SERVED :
		w->proved ? POOL_LIFE_PROVED :
			    POOL_LIFE_UNPROVED,
	    ordered || result->how == ENDED_STALE ||
		result->how == ENDED_NO_TEMPLATE,
	    result->max_rss_kib * 1024, clock_us());
	choice_resident(&w->workers->function->choice,
	    result->max_rss_kib * 1024);
	w->gateway->stats.workers_ended++;
	if (started && !ordered && w->served == 0) {
		w->gateway->stats.workers_young++;
		w->workers->died_status = result->facts.wait_status;
	}
	if (started && !ordered && !result->lost)
		worker_report(w);
	if (r) {
		w->request = NULL;
		w->gateway->stats.taken_back += unread;
	} else if (result->how == ENDED_STALE) {
		workers_stale(w->workers);
		workers_wake(w->workers);
	} else if (result->how == ENDED_NO_TEMPLATE) {
		workers_wake(w->workers);
	}
	worker_gone(w);
	if (r)
		exchange_over(r, result, unread);
}

/* What nobody asked for is said. */
static void
worker_report(const struct worker *w)
{
	const struct run_result *result = &w->run.result;
	char words[32];

	diag_warn("worker gone: function=%s/%s %s after=%llums served=%llu; "
		  "the next request that needs one has another started",
	    w->cell->tenant->name, w->function->name,
	    proc_status_words(result->facts.wait_status, words),
	    (unsigned long long)(clock_us() - w->started_us) / 1000,
	    (unsigned long long)w->served);
}

static struct run_about
worker_about(const void *arg)
{
	const struct worker *w = arg;

	return (struct run_about){
		.request = SPAN("-"),
		.tenant = w->cell->tenant,
		.function = function_name(w->function),
	};
}
