/* SPDX-License-Identifier: MIT */
/* template.c - the template of a function: wanted by what was executed in want of
 * it, ended when nobody needs it, its file has changed, or it did not do what a
 * template does. Nobody ever waits for one. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/proc.h"
#include "wire/template.h"
#include "wire/time_spec.h"

#include "gateway/gateway.h"
#include "gateway/template.h"

static struct templates *templates_of(struct function *);
static bool templates_wanted(struct function *, const struct cell *);
static bool templates_may(const struct templates *, const struct cell *);
static void templates_failed(struct templates *, const char *why);
static void template_move(struct template *, enum template_state);
static void template_check(const struct template *);
static void template_new(struct templates *, struct cell *);
static void template_start(struct template *);
static enum run_answer template_run(struct template *, const char **why);
static void template_leave(struct template *);
static void template_fail(struct template *, const char *why);
static void template_stop(struct template *);
static bool template_serves(const struct template *);
static void template_late(void *arg);
static void template_is_ready(void *arg);
static void template_rest(struct template *);
static void template_gone(struct template *);
static void template_freed(void *arg);
static void template_launcher(void *arg);
static void template_refuse(void *arg, enum end, struct span reason);
static void template_cell_gone(void *arg);
static void template_exited(void *arg);
static void template_over(void *arg);
static const char *template_end(const struct template *, char words[96]);
static struct run_about template_about(const void *arg);

static const struct run_owner owner = {
	.launcher = template_launcher,
	.cell_gone = template_cell_gone,
	.refused = template_refuse,
	.exited = template_exited,
	.over = template_over,
	.about = template_about,
};

/* ---- of a function ---------------------------------------------------------- */

static struct templates *
templates_of(struct function *f)
{
	if (!f->templates && (f->templates = calloc(1, sizeof(*f->templates))))
		f->templates->function = f;
	return f->templates;
}

void
templates_free(struct templates **owned)
{
	struct templates *ts = *owned;

	*owned = NULL;
	assert(!ts || !ts->current);
	free(ts);
}

void
template_want(struct function *f, struct cell *c)
{
	struct templates *ts = f->templates;

	if (f->settings->start == START_EXEC)
		return;
	choice_started(&f->choice, clock_us());
	if (templates_wanted(f, c)) {
		ts = templates_of(f);
		if (ts && !ts->current && templates_may(ts, c))
			template_new(ts, c);
	} else if (ts && ts->current) {
		template_leave(ts->current);
	}
}

static bool
templates_wanted(struct function *f, const struct cell *c)
{
	struct choice_facts facts;

	if (f->settings->start == START_FORK)
		return true;
	facts = template_facts(f, c);
	return choice_ask(&f->choice, &facts) == WAY_FORKED;
}

struct choice_facts
template_facts(const struct function *f, const struct cell *c)
{
	uint64_t memory = function_tenant(f)->terms->memory;
	struct choice_facts facts = {
		.now_us = clock_us(),
		.warm_us = f->settings->limits[LIMIT_warm] * 1000,
		.memory = memory > 0 ? memory : UINT64_MAX,
	};

	if (c)
		LIST_EACH(node, &c->templates) {
			const struct template *t =
			    LIST_OWNER(node, struct template, in_cell);

			if (t->function != f)
				facts.held += t->function->choice.resident;
		}
	return facts;
}

/* It has a process beside the request's, so who may have one only has none. When
 * all are taken it gets the next that comes free: under load it is needed most. */
static bool
templates_may(const struct templates *ts, const struct cell *c)
{
	const struct gateway *g = c->gateway;

	return ts->function->listed && c->state == CELL_SERVING &&
	    g->state == GATEWAY_SERVING && g->config->slots_host > 1 &&
	    c->tenant->admit.limits.slots > 1 &&
	    loop_now_ms(g->loop) >= ts->again_ms;
}

struct template *
template_ready(const struct function *f, const struct cell *c)
{
	struct template *t = f->templates ? f->templates->current : NULL;

	return t && t->state == TEMPLATE_SERVING && t->cell == c &&
		t->run.launcher->run_count <= TEMPLATE_RUNS_MOST ?
	    t :
	    NULL;
}

void
templates_changed(struct function *f)
{
	struct templates *ts = f->templates;

	choice_changed(&f->choice);
	if (!ts)
		return;
	if (ts->current)
		template_leave(ts->current);
	ts->again_ms = ts->pause_ms = 0;
	ts->why[0] = '\0';
}

void
templates_leave(struct cell *c)
{
	LIST_EACH(node, &c->templates)
		template_leave(LIST_OWNER(node, struct template, in_cell));
}

void
templates_drain(struct gateway *g)
{
	LIST_EACH(node, &g->templates)
		template_leave(LIST_OWNER(node, struct template, in_gateway));
}

/* Its function has to do without for a while: two that do not fit side by side
 * would else have theirs made in turn. */
bool
templates_evict(struct gateway *g, const struct cell *c)
{
	LIST_EACH(node, &g->templates) {
		struct template *t =
		    LIST_OWNER(node, struct template, in_gateway);

		if (t->state != TEMPLATE_SERVING || (c && t->cell != c) ||
		    template_serves(t))
			continue;
		g->stats.templates_evicted++;
		t->templates->again_ms =
		    loop_now_ms(g->loop) + TEMPLATE_PAUSE_MS;
		template_leave(t);
		return true;
	}
	return false;
}

uint64_t
templates_in(const struct gateway *g, enum template_state state)
{
	uint64_t count = 0;

	LIST_EACH(node, &g->templates)
		count += LIST_OWNER(node, struct template, in_gateway)->state ==
		    state;
	return count;
}

const char *
templates_words(const struct function *f)
{
	static char words[160];
	const struct templates *ts = f->templates;
	uint64_t now_ms = loop_now_ms(function_tenant(f)->gateway->loop);

	if (ts && ts->current)
		return ts->current->state == TEMPLATE_SERVING ? "ready" :
								"starting";
	if (!ts || !ts->why[0] || ts->again_ms <= now_ms)
		return "none";
	snprintf(words, sizeof(words), "none for %llus: the last one %s",
	    (unsigned long long)run_seconds(ts->again_ms - now_ms), ts->why);
	return words;
}

/* ---- its life --------------------------------------------------------------- */

static void
template_move(struct template *t, enum template_state to)
{
#define TO(state) [TEMPLATE_##state] = true
	static const bool drawn[][TEMPLATE_GONE + 1] = {
		[TEMPLATE_WANTED] = { TO(STARTING), TO(GONE) },
		[TEMPLATE_STARTING] = { TO(SERVING), TO(LEAVING) },
		[TEMPLATE_SERVING] = { TO(LEAVING) },
		[TEMPLATE_LEAVING] = { TO(GONE) },
		[TEMPLATE_GONE] = { false },
	};
#undef TO

	assert(drawn[t->state][to]);
	t->state = to;
	if (to >= TEMPLATE_LEAVING && t->templates->current == t)
		t->templates->current = NULL;
	template_check(t);
}

static void
template_check(const struct template *t)
{
	enum template_state s = t->state;

	assert((s <= TEMPLATE_SERVING) == (t->templates->current == t));
	assert(s != TEMPLATE_STARTING || run_going(&t->run));
	assert(s != TEMPLATE_SERVING || run_going(&t->run));
	assert(s != TEMPLATE_GONE || !run_going(&t->run));
}

static void
template_new(struct templates *ts, struct cell *c)
{
	struct gateway *g = c->gateway;
	struct template *t = calloc(1, sizeof(*t));

	if (!t)
		return; /* it is asked for again */
	t->gateway = g;
	t->templates = ts;
	t->function = function_hold(ts->function);
	t->settings = settings_hold(ts->function->settings);
	t->cell = c;
	run_init(&t->run, g, &owner, t);
	herald_init(&t->herald, &t->run, SPAN(TEMPLATE_READY),
	    template_is_ready);
	list_init(&t->in_cell);
	list_init(&t->in_gateway);
	timer_init(&t->timer, template_late, t);
	list_add_last(&c->templates, &t->in_cell);
	list_add_last(&g->templates, &t->in_gateway);
	ts->current = t;
	template_start(t);
}

/* WANTED: now, or when there is a launcher. */
static void
template_start(struct template *t)
{
	enum run_answer answer = RUN_NO_LAUNCHER;
	const char *why = NULL;
	uint64_t start_ms = t->settings->limits[LIMIT_start];

	if (!list_empty(&t->cell->idle))
		answer = template_run(t, &why);
	switch (answer) {
	case RUN_STARTED:
		t->gateway->stats.templates++;
		t->run.launcher->template = t;
		t->started_us = clock_us();
		template_move(t, TEMPLATE_STARTING);
		if (run_watch_errors(&t->run) != 0 ||
		    herald_watch(&t->herald) != 0)
			diag_warn("cannot watch a template's output: %s",
			    diag_errno());
		if (start_ms > 0)
			loop_timer_set(t->gateway->loop, &t->timer,
			    loop_now_ms(t->gateway->loop) + start_ms);
		break;
	case RUN_NO_LAUNCHER:
		run_wait(&t->run, t->cell);
		break;
	case RUN_NO_ROOM:
		template_refuse(t, END_HEAD_SIZE, span_of(why));
		break;
	case RUN_NO_RESOURCES:
		template_refuse(t, END_MACHINE, span_of(diag_errno()));
		break;
	}
}

static enum run_answer
template_run(struct template *t, const char **why)
{
	static struct buf environment = { .ceiling = ENVIRONMENT_MOST };
	struct message_start start;
	enum run_answer answer;
	int error, out_fd;

	if (run_environment(&environment, t->function, t->settings, t->cell,
		ENVIRONMENT_TEMPLATE, why) != 0)
		return RUN_NO_ROOM;
	run_describe(&start, t->function, t->settings, t->cell);
	start.cpu_s = 0; /* each that is forked has its own */
	start.env = buf_span(&environment);
	start.template = START_TEMPLATE;
	t->run.grace_ms = t->settings->limits[LIMIT_grace];
	if (run_pipe(t->cell, &t->herald.fd, &out_fd) != 0)
		return RUN_NO_RESOURCES;
	answer =
	    run_start(&t->run, t->function, t->cell, &start, -1, out_fd, why);
	error = errno;
	fd_close(&out_fd);
	if (answer != RUN_STARTED)
		fd_close(&t->herald.fd);
	errno = error;
	return answer;
}

static void
template_is_ready(void *arg)
{
	struct template *t = arg;

	if (t->state != TEMPLATE_STARTING)
		return;
	choice_ready(&t->function->choice, WAY_EXECUTED,
	    clock_us() - t->started_us);
	t->ready_ms = loop_now_ms(t->gateway->loop);
	loop_timer_clear(t->gateway->loop, &t->timer);
	template_move(t, TEMPLATE_SERVING);
	template_rest(t);
}

void
template_used(struct template *t)
{
	struct gateway *g = t->gateway;

	g->stats.forks++;
	list_remove(&t->in_gateway);
	list_add_last(&g->templates, &t->in_gateway);
}

/* Something other than itself. */
static bool
template_serves(const struct template *t)
{
	return run_going(&t->run) && t->run.launcher->run_count > 1;
}

void
template_alone(struct template *t)
{
	struct cell *c = t->cell;

	if (t->state == TEMPLATE_LEAVING)
		template_stop(t);
	else
		template_rest(t);
	if (c->state == CELL_SERVING && !list_empty(&c->wanting))
		launcher_want(c); /* it may be in the way */
}

/* From now on it is idle; the timer that runs already looks again by itself. */
static void
template_rest(struct template *t)
{
	struct loop *loop = t->gateway->loop;

	t->idle_ms = loop_now_ms(loop);
	if (t->state == TEMPLATE_SERVING && !timer_armed(&t->timer))
		template_late(t);
}

/* ---- its end ---------------------------------------------------------------- */

static void
template_leave(struct template *t)
{
	if (t->state >= TEMPLATE_LEAVING)
		return;
	if (t->state == TEMPLATE_WANTED) {
		run_unwait(&t->run);
		template_gone(t);
		return;
	}
	template_move(t, TEMPLATE_LEAVING);
	loop_timer_clear(t->gateway->loop, &t->timer);
	if (!template_serves(t))
		template_stop(t);
}

/* Its ENDED comes behind that of all it has made, so it is not asked to end
 * before: what is not confirmed in time ends with the whole cell. */
static void
template_stop(struct template *t)
{
	run_stop(&t->run, END_DONE);
}

static void
template_fail(struct template *t, const char *why)
{
	if (t->state >= TEMPLATE_LEAVING)
		return;
	templates_failed(t->templates, why);
	template_leave(t);
}

void
template_refused(struct template *t, int error)
{
	char words[96];

	errno = error;
	snprintf(words, sizeof(words), "did not fork%s%s", error ? ": " : "",
	    error ? diag_errno() : "");
	template_fail(t, words);
}

static void
template_late(void *arg)
{
	struct template *t = arg;
	struct loop *loop = t->gateway->loop;
	uint64_t idle_ms = t->settings->limits[LIMIT_warm];
	char words[96], time[32];

	if (idle_ms < TEMPLATE_IDLE_MS)
		idle_ms = TEMPLATE_IDLE_MS;
	if (t->state == TEMPLATE_STARTING) {
		snprintf(words, sizeof(words),
		    "was not ready within limits.start = %s",
		    time_spec_text(t->settings->limits[LIMIT_start], time));
		template_fail(t, words);
		return;
	}
	if (t->state != TEMPLATE_SERVING || template_serves(t))
		return; /* when it is alone */
	if (t->idle_ms + idle_ms > loop_now_ms(loop))
		loop_timer_set(loop, &t->timer, t->idle_ms + idle_ms);
	else
		template_leave(t);
}

/* The next pause is twice as long, unless this one was sound. */
static void
templates_failed(struct templates *ts, const char *why)
{
	const struct template *t = ts->current;
	struct gateway *g = function_tenant(ts->function)->gateway;
	uint64_t now_ms = loop_now_ms(g->loop);

	if (t && t->ready_ms > 0 && now_ms - t->ready_ms >= TEMPLATE_SOUND_MS)
		ts->pause_ms = 0;
	ts->pause_ms = ts->pause_ms == 0	      ? TEMPLATE_PAUSE_MS :
	    ts->pause_ms * 2 > TEMPLATE_PAUSE_MOST_MS ? TEMPLATE_PAUSE_MOST_MS :
							ts->pause_ms * 2;
	ts->again_ms = now_ms + ts->pause_ms;
	snprintf(ts->why, sizeof(ts->why), "%s", why);
	g->stats.templates_failed++;
	diag_warn("template failed: function=%s/%s reason=\"%s\"; its "
		  "processes are executed, another template is made in %llus",
	    function_tenant(ts->function)->name, ts->function->name, why,
	    (unsigned long long)ts->pause_ms / 1000);
}

static void
template_gone(struct template *t)
{
	template_move(t, TEMPLATE_GONE);
	loop_timer_clear(t->gateway->loop, &t->timer);
	herald_close(&t->herald);
	list_remove(&t->in_cell);
	list_remove(&t->in_gateway);
	loop_defer(t->gateway->loop, &t->end, template_freed, t);
}

static void
template_freed(void *arg)
{
	struct template *t = arg;

	settings_release(&t->settings);
	function_release(&t->function);
	free(t);
}

/* ---- what its run says ------------------------------------------------------ */

static void
template_launcher(void *arg)
{
	template_start(arg);
}

static void
template_cell_gone(void *arg)
{
	template_gone(arg);
}

static void
template_refuse(void *arg, enum end end, struct span reason)
{
	struct template *t = arg;
	char words[96];

	(void)end;
	snprintf(words, sizeof(words), "could not be started: %.*s",
	    SPAN_ARGS(span_take(reason, 64)));
	templates_failed(t->templates, words);
	template_gone(t);
}

/* What it has made goes on. */
static void
template_exited(void *arg)
{
	struct template *t = arg;
	char words[96];

	template_fail(t, template_end(t, words));
}

/* Nobody asked it to: a file that has changed or a cell that ends is not its
 * fault. */
static void
template_over(void *arg)
{
	struct template *t = arg;
	const struct run_result *result = &t->run.result;
	char words[96];

	t->gateway->stats.templates_ended++;
	choice_resident(&t->function->choice, result->max_rss_kib * 1024);
	if (t->state < TEMPLATE_LEAVING && result->how != ENDED_STALE &&
	    t->cell->state == CELL_SERVING)
		templates_failed(t->templates, template_end(t, words));
	if (t->state < TEMPLATE_LEAVING)
		template_move(t, TEMPLATE_LEAVING);
	template_gone(t);
}

static const char *
template_end(const struct template *t, char words[96])
{
	const struct run_result *result = &t->run.result;
	char status[32];

	if (result->lost)
		snprintf(words, 96, "was lost with its launcher");
	else if (result->how == ENDED_EXITED)
		snprintf(words, 96, "ended by itself: %s",
		    proc_status_words(result->facts.wait_status, status));
	else {
		errno = result->error;
		snprintf(words, 96, "could not be started: %s: %s",
		    proc_step_name((enum proc_step)result->step), diag_errno());
	}
	return words;
}

static struct run_about
template_about(const void *arg)
{
	const struct template *t = arg;

	return (struct run_about){
		.request = SPAN("-"),
		.tenant = t->cell->tenant,
		.function = function_name(t->function),
	};
}
