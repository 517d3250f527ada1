/* SPDX-License-Identifier: MIT */
/* If this fails, a function waits for processes that could be there, has more
 * than it may, starts and stops them for nothing, or a program that dies young
 * takes a processor for itself. The policy is run against traces of arrivals
 * (tests/unit/traces) on a made-up clock, with made-up processes. */
#include "rows.h"

#include <string.h>

#include "gateway/pool.h"

enum {
	MS = 1000, /* microseconds */
	SECOND = 1000 * MS,
	WORKERS_MOST = 64,
	SEGMENTS_MOST = 32,
	QUEUE_MOST = 8192,
	LEAVING_US = 2 * MS,
	RETRY_US = 500 * MS,
	HIT_US = 1 * MS, /* who waits for less was not kept waiting */
};

/* ---- a trace ------------------------------------------------------------------- */

struct segment { /* as a line of the file, in microseconds */
	uint64_t from, until, every, serve_us;
	unsigned count;
	bool at_random;
	uint64_t next;
};

struct trace {
	struct segment segments[SEGMENTS_MOST];
	size_t count;
	uint64_t seed;
	uint64_t until;
};

/* An exponentially distributed time: -ln(u) by its series of squares. */
static uint64_t
random_time(struct trace *t, uint64_t mean)
{
	double u = (double)(rows_random(&t->seed, 1000000) + 1) / 1000001;
	double y = (u - 1) / (u + 1), square = y * y, term = y, sum = 0;

	while (u < 0.25) { /* where the series is slow */
		u *= 2;
		sum += 0.34657359027997264;
		y = (u - 1) / (u + 1);
		square = y * y;
		term = y;
	}
	for (int i = 1; i < 40; i += 2, term *= square)
		sum -= term / i;
	return (uint64_t)(2 * sum * (double)mean) + 1;
}

static void
segment_step(struct trace *t, struct segment *s)
{
	s->next += s->at_random ? random_time(t, s->every) : s->every;
	if (s->next >= s->until)
		s->next = UINT64_MAX;
}

static void
trace_read(struct trace *t, const char *name)
{
	char path[128], line[256], every[32];
	unsigned long long from, until, serve;
	unsigned count;
	FILE *file;

	*t = (struct trace){ .seed = 1 };
	snprintf(path, sizeof(path), "tests/unit/traces/%s", name);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		struct segment *s = &t->segments[t->count];

		if (line[0] == '#')
			continue;
		assert_true(t->count < SEGMENTS_MOST);
		assert_int_equal(sscanf(line, "%llu %llu %31s %u %llu", &from,
				     &until, every, &count, &serve),
		    5);
		*s = (struct segment){
			.from = from * MS,
			.until = until * MS,
			.at_random = every[0] == '~',
			.serve_us = serve * MS,
			.count = count,
			.next = from * MS,
		};
		s->every = strtoull(every + s->at_random, NULL, 10) * MS;
		assert_true(s->every > 0);
		if (s->at_random)
			segment_step(t, s);
		if (s->until > t->until)
			t->until = s->until;
		t->count++;
	}
	fclose(file);
}

static struct segment *
trace_next(struct trace *t)
{
	struct segment *first = &t->segments[0];

	for (size_t i = 1; i < t->count; i++)
		if (t->segments[i].next < first->next)
			first = &t->segments[i];
	return first;
}

/* ---- a host -------------------------------------------------------------------- */

/* What the program is like. */
struct program {
	uint64_t start_us;
	uint64_t dies_us; /* at that age, whatever it does; 0: it lives */
	bool says_ready;
};

enum state { GONE, STARTING, READY, BUSY, LEAVING };

struct worker {
	enum state state;
	uint64_t started_us;
	uint64_t ready_us; /* when it really is */
	uint64_t given_us; /* its request; 0: none */
	uint64_t due_us;   /* when that is served, or it is gone */
	uint64_t idle_us;
	uint64_t served;
	bool proved;
};

struct world {
	struct pool pool;
	struct pool_tenant tenant;
	struct pool_facts facts; /* the settings in it */
	struct program program;
	struct trace trace;
	struct worker workers[WORKERS_MOST];
	struct {
		uint64_t came_us, serve_us;
	} queue[QUEUE_MOST]; /* those with a slot first */
	size_t queued, admitted;
	uint64_t again_us;

	uint64_t requests, hits, served, longest_us;
	uint64_t starts, stops, recycled, deaths;
	uint64_t starts_in_minute, most_in_minute, minute;
	unsigned most, most_starting; /* workers at once */
	unsigned rest, rest_ready;    /* when all is quiet again */
	uint64_t quiet_us;	      /* asked for nothing since */
};

static struct world w;

static uint64_t
ready_seen(const struct worker *one)
{
	if (w.program.says_ready)
		return one->ready_us;
	return one->started_us + pool_ready_us(&w.pool);
}

static void
count(struct pool_facts *f)
{
	f->starting = f->ready = f->busy = f->last = f->leaving = 0;
	f->waiting = (unsigned)w.admitted;
	f->idle_since_us = UINT64_MAX;
	for (int i = 0; i < WORKERS_MOST; i++) {
		const struct worker *one = &w.workers[i];

		f->starting += one->state == STARTING;
		f->waiting += one->state == STARTING && one->given_us;
		f->ready += one->state == READY;
		f->busy += one->state == BUSY;
		f->last += one->state == BUSY && one->served + 1 == f->requests;
		f->leaving += one->state == LEAVING;
		if (one->state == READY && one->idle_us < f->idle_since_us)
			f->idle_since_us = one->idle_us;
	}
}

static unsigned
held_slots(void)
{
	unsigned held = (unsigned)w.admitted;

	for (int i = 0; i < WORKERS_MOST; i++)
		held += w.workers[i].given_us > 0 && w.workers[i].state != GONE;
	return held;
}

static void
start_one(uint64_t now)
{
	struct worker *one = NULL;
	unsigned starting = 0, all = 0;

	for (int i = WORKERS_MOST - 1; i >= 0; i--) {
		starting += w.workers[i].state == STARTING;
		all += w.workers[i].state != GONE;
		if (w.workers[i].state == GONE)
			one = &w.workers[i];
	}
	assert_non_null(one);
	*one = (struct worker){
		.state = STARTING,
		.started_us = now,
		.ready_us = now + w.program.start_us,
		.due_us = UINT64_MAX,
	};
	w.starts++;
	if (now / (60 * SECOND) != w.minute) {
		w.minute = now / (60 * SECOND);
		w.starts_in_minute = 0;
	}
	if (++w.starts_in_minute > w.most_in_minute)
		w.most_in_minute = w.starts_in_minute;
	if (all + 1 > w.most)
		w.most = all + 1;
	if (starting + 1 > w.most_starting)
		w.most_starting = starting + 1;
}

static void
leave(struct worker *one, uint64_t now)
{
	one->state = LEAVING;
	one->given_us = 0;
	one->due_us = now + LEAVING_US;
}

static void
give(struct worker *one, uint64_t now)
{
	uint64_t begins = now > one->ready_us ? now : one->ready_us;
	uint64_t waited = begins - w.queue[0].came_us;

	one->given_us = now > 0 ? now : 1;
	one->due_us = begins + w.queue[0].serve_us;
	if (one->state == READY)
		one->state = BUSY;
	w.hits += waited < HIT_US;
	if (waited > w.longest_us)
		w.longest_us = waited;
	w.queued--;
	w.admitted--;
	memmove(w.queue, w.queue + 1, w.queued * sizeof(w.queue[0]));
}

/* The one used last; with one request each, the oldest. */
static struct worker *
ready_one(bool oldest)
{
	struct worker *best = NULL;

	for (int i = 0; i < WORKERS_MOST; i++) {
		struct worker *one = &w.workers[i];

		if (one->state == READY &&
		    (!best ||
			(oldest ? one->idle_us < best->idle_us :
				  one->idle_us > best->idle_us)))
			best = one;
	}
	return best;
}

static struct worker *
starting_one(void)
{
	for (int i = 0; i < WORKERS_MOST; i++)
		if (w.workers[i].state == STARTING && !w.workers[i].given_us)
			return &w.workers[i];
	return NULL;
}

/* What the gateway does whenever anything has happened. */
static void
settle(uint64_t now)
{
	struct pool_facts *f = &w.facts;
	struct pool_answer answer;
	struct worker *one;

	while (w.admitted < w.queued && held_slots() < f->concurrency) {
		w.admitted++;
		pool_arrived(&w.pool, now);
	}
	while (w.admitted > 0 && (one = ready_one(f->requests == 1)))
		give(one, now);
	count(f);
	while (w.admitted > 0 && f->ready + f->busy == 0 &&
	    (one = starting_one()))
		give(one, now);
	f->now_us = now;
	for (;;) {
		count(f);
		answer = pool_ask(&w.pool, f);
		assert_true(answer.again_us > now);
		assert_true(answer.start + answer.ahead + f->starting +
			f->ready + f->busy + f->leaving <=
		    f->concurrency);
		assert_true(answer.start <= f->waiting);
		assert_true(answer.spare <= f->spare_most);
		if (!answer.stop)
			break;
		assert_true(f->ready > 0);
		leave(ready_one(true), now);
		w.stops++;
	}
	for (unsigned i = 0; i < answer.start + answer.ahead; i++)
		start_one(now);
	w.again_us = answer.again_us;
	if (answer.start > 0)
		settle(now); /* who waits goes to those */
}

static void
worker_step(struct worker *one, uint64_t now)
{
	bool dies = w.program.dies_us > 0 && one->state != GONE &&
	    now >= one->started_us + w.program.dies_us;

	if (one->state == LEAVING && now >= one->due_us) {
		pool_ended(&w.pool, POOL_LIFE_SERVED, true, 10 << 20, now);
		one->state = GONE;
		return;
	}
	if (one->state != LEAVING && dies) {
		pool_ended(&w.pool,
		    one->served > 0 ? POOL_LIFE_SERVED :
			one->proved ? POOL_LIFE_PROVED :
				      POOL_LIFE_UNPROVED,
		    false, 0, now);
		w.deaths++;
		one->state = GONE;
		one->given_us = 0;
		return;
	}
	if (one->given_us && now >= one->due_us) {
		if (one->proved)
			pool_served(&w.pool,
			    now -
				(one->given_us > one->ready_us ?
					one->given_us :
					one->ready_us));
		else
			pool_proved(&w.pool, now - one->started_us,
			    now - one->given_us);
		one->proved = true;
		one->given_us = 0;
		one->due_us = UINT64_MAX;
		one->idle_us = now;
		one->state = READY;
		w.served++;
		if (++one->served == w.facts.requests) {
			w.recycled++;
			leave(one, now);
		}
	}
	if (one->state == STARTING && now >= ready_seen(one)) {
		if (w.program.says_ready && !one->proved) {
			pool_proved(&w.pool, now - one->started_us, 0);
			one->proved = true;
		}
		one->state = one->given_us ? BUSY : READY;
		one->idle_us = now;
	}
}

static uint64_t
worker_due(const struct worker *one)
{
	uint64_t due = one->due_us;

	if (one->state == GONE)
		return UINT64_MAX;
	if (one->state == STARTING && ready_seen(one) < due)
		due = ready_seen(one);
	if (w.program.dies_us > 0 && one->state != LEAVING &&
	    one->started_us + w.program.dies_us < due)
		due = one->started_us + w.program.dies_us;
	return due;
}

static uint64_t
next_event(void)
{
	uint64_t next = trace_next(&w.trace)->next;

	for (int i = 0; i < WORKERS_MOST; i++)
		if (worker_due(&w.workers[i]) < next)
			next = worker_due(&w.workers[i]);
	return w.again_us < next ? w.again_us : next;
}

static void
arrive(uint64_t now)
{
	struct segment *s;

	while ((s = trace_next(&w.trace))->next <= now) {
		for (unsigned i = 0; i < s->count; i++) {
			assert_true(w.queued < QUEUE_MOST);
			w.queue[w.queued].came_us = now;
			w.queue[w.queued].serve_us = s->serve_us;
			w.queued++;
			w.requests++;
		}
		segment_step(&w.trace, s);
	}
}

/* From the first request until it has been quiet for ten minutes. */
static void
world_run(void)
{
	uint64_t end = w.trace.until + 600 * (uint64_t)SECOND, now = 0;
	uint64_t events = 0;

	settle(0);
	while ((now = next_event()) < end) {
		assert_true(++events < 20000000);
		for (int i = 0; i < WORKERS_MOST; i++)
			worker_step(&w.workers[i], now);
		arrive(now);
		settle(now);
	}
	count(&w.facts);
	w.rest_ready = w.facts.ready;
	w.rest =
	    w.facts.starting + w.facts.ready + w.facts.busy + w.facts.leaving;
}

/* ---- stories -------------------------------------------------------------------- */

struct story {
	const char *sentence;
	const char *trace;
	struct {
		unsigned concurrency, spare, spare_most;
		uint64_t requests;
		unsigned tenant_spare;
	} settings;
	struct program program;
	void (*check)(void);
};

static double
hit_rate(void)
{
	return (double)w.hits / (double)w.requests;
}

#define ASSERT_AT_MOST(value, most)                                      \
	do {                                                             \
		if ((value) > (most))                                    \
			fail_msg(#value " is %llu, at most %llu wanted", \
			    (unsigned long long)(value),                 \
			    (unsigned long long)(most));                 \
	} while (0)

static void
all_are_ready_before(void)
{
	/* all but the first, which is the function's first */
	assert_true(w.requests - w.hits <= 2);
	assert_int_equal(w.recycled, w.requests);
	ASSERT_AT_MOST(w.starts, w.requests + 4);
	assert_int_equal(w.rest_ready, 4);
	assert_int_equal(w.rest, 4);
}

static void
nearly_all_are_ready_before(void)
{
	if (hit_rate() < 0.97)
		fail_msg("only %.3f were ready", hit_rate());
	ASSERT_AT_MOST(w.starts, w.requests + 8);
	assert_int_equal(w.rest_ready, 4);
}

static void
the_rate_raises_them(void)
{
	/* one, which is what `spare` says, would be too few */
	if (hit_rate() < 0.98)
		fail_msg("only %.3f were ready", hit_rate());
	ASSERT_AT_MOST(w.most, 12);
	assert_int_equal(w.rest_ready, 1);
}

static void
the_rate_raises_them_unsaid(void)
{
	if (hit_rate() < 0.95)
		fail_msg("only %.3f were ready", hit_rate());
	ASSERT_AT_MOST(w.most, 12);
	assert_int_equal(w.rest_ready, 1);
}

static void
each_waits_for_a_start(void)
{
	assert_int_equal(w.served, w.requests);
	assert_true(hit_rate() < 0.01);
	assert_int_equal(w.rest, 0);
	ASSERT_AT_MOST(w.starts, w.requests);
}

static void
started_once_for_all(void)
{
	assert_int_equal(w.served, w.requests);
	ASSERT_AT_MOST(w.most, 5);
	/* in the first burst; the pause is shorter than limits.warm */
	ASSERT_AT_MOST(w.starts - w.recycled, 5);
	ASSERT_AT_MOST(w.stops, 5);
	assert_int_equal(w.rest, 0);
}

static void
a_few_all_day(void)
{
	assert_int_equal(w.served, w.requests);
	if (hit_rate() < 0.99)
		fail_msg("only %.3f were ready", hit_rate());
	ASSERT_AT_MOST(w.most, 12);
	/* two kept at night, and no more than a few an hour come and go */
	ASSERT_AT_MOST(w.starts - w.recycled, 24 * 6);
	assert_int_equal(w.rest_ready, 2);
}

static void
nothing_between(void)
{
	assert_int_equal(w.served, 24);
	assert_int_equal(w.starts, 24);
	assert_int_equal(w.stops, 24);
	assert_int_equal(w.most, 1);
	assert_int_equal(w.rest, 0);
}

static void
one_is_there_all_day(void)
{
	assert_int_equal(w.served, 24);
	assert_int_equal(w.hits, 23);
	ASSERT_AT_MOST(w.starts, 2);
	assert_int_equal(w.rest_ready, 1);
}

static void
a_fresh_one_each_hour(void)
{
	assert_int_equal(w.hits, 23);
	assert_int_equal(w.starts, 26);
	assert_int_equal(w.recycled, 24);
	assert_int_equal(w.rest_ready, 2);
}

static void
one_start_a_visit(void)
{
	assert_int_equal(w.starts, 4);
	assert_int_equal(w.stops, 4);
	assert_int_equal(w.hits, w.requests - 4);
}

static void
grows_to_the_limit(void)
{
	assert_int_equal(w.most, 32);
	assert_int_equal(w.starts, 32);
	assert_int_equal(w.served, 64);
	/* cold: no more at once than the processors can start */
	ASSERT_AT_MOST(w.most_starting, 4);
	/* two rounds of two seconds, and the starts before them */
	ASSERT_AT_MOST(w.longest_us, 6500 * MS);
	assert_int_equal(w.rest, 0);
}

static void
grows_by_no_more_than_helps(void)
{
	/* a start takes 800 ms, the queue is empty in 4 */
	ASSERT_AT_MOST(w.starts, 4);
	assert_int_equal(w.served, w.requests);
}

static void
bounded_starts(void)
{
	ASSERT_AT_MOST(w.most_in_minute, 30);
	assert_true(w.starts >= 5 * 15); /* it is tried again and again */
	assert_int_equal(w.served, 0);
	assert_int_equal(w.deaths, w.starts);
}

static void
no_starts_for_nobody(void)
{
	/* all requests are gone with the workers that had them */
	ASSERT_AT_MOST(w.starts, w.requests + 3);
	assert_int_equal(w.served, 0);
	assert_int_equal(w.rest, 0);
}

static void
none_is_kept_ahead(void)
{
	assert_int_equal(w.served, w.requests);
	assert_int_equal(w.rest, 0);
	ASSERT_AT_MOST(w.starts, w.requests);
}

static void
no_coming_and_going(void)
{
	/* 600 s of it: a start or two a minute beside the recycling */
	ASSERT_AT_MOST(w.stops, 12);
	ASSERT_AT_MOST(w.starts - w.recycled, 16);
}

static const struct story stories[] = {
	{ "a fresh process for each request is ready before it, at a pace",
	    "steady", { 32, 4, 4, 1, 8 }, { 22 * MS, 0, true },
	    all_are_ready_before },
	{ "also where the program does not say that it is ready", "steady",
	    { 32, 4, 4, 1, 8 }, { 22 * MS, 0, false }, all_are_ready_before },
	{ "and nearly always without a pace", "random", { 32, 4, 4, 1, 8 },
	    { 22 * MS, 0, true }, nearly_all_are_ready_before },
	{ "more are kept ahead while the rate is high", "random",
	    { 32, 1, 8, 1, 8 }, { 40 * MS, 0, true }, the_rate_raises_them },
	{ "also in silence about being ready", "random", { 32, 1, 8, 1, 8 },
	    { 40 * MS, 0, false }, the_rate_raises_them_unsaid },
	{ "without spares each request has its own start", "steady",
	    { 32, 0, 0, 1, 8 }, { 10 * MS, 0, true }, each_waits_for_a_start },
	{ "bursts find the workers of the burst before", "bursts",
	    { 5, 0, 0, 500, 8 }, { 30 * MS, 0, true }, started_once_for_all },
	{ "and never more than concurrency, silent or not", "bursts",
	    { 5, 0, 0, 0, 8 }, { 30 * MS, 0, false }, started_once_for_all },
	{ "nor with spares", "bursts", { 5, 5, 5, 1, 8 }, { 30 * MS, 0, true },
	    NULL },
	{ "a day goes up and down with few starts", "day", { 32, 2, 6, 500, 8 },
	    { 50 * MS, 0, true }, a_few_all_day },
	{ "scale to zero: an hour's silence costs nothing", "lonely",
	    { 32, 0, 0, 500, 8 }, { 30 * MS, 0, true }, nothing_between },
	{ "one spare waits for a lonely request all day", "lonely",
	    { 32, 1, 1, 500, 8 }, { 30 * MS, 0, true }, one_is_there_all_day },
	{ "or two, of which one is new after each", "lonely",
	    { 32, 2, 2, 1, 8 }, { 30 * MS, 0, false }, a_fresh_one_each_hour },
	{ "a visitor has one start, the next visitor another", "visitors",
	    { 32, 0, 0, 500, 8 }, { 30 * MS, 0, false }, one_start_a_visit },
	{ "slow requests have as many workers as they may", "slow",
	    { 32, 0, 0, 500, 8 }, { 300 * MS, 0, false }, grows_to_the_limit },
	{ "what a start cannot help against starts nothing", "short",
	    { 32, 0, 0, 0, 8 }, { 800 * MS, 0, true },
	    grows_by_no_more_than_helps },
	{ "a program that dies young is started seldom", "insistent",
	    { 5, 0, 0, 500, 8 }, { 20 * MS, 5 * MS, true }, bounded_starts },
	{ "no more often with spares", "insistent", { 5, 5, 5, 1, 8 },
	    { 20 * MS, 5 * MS, false }, bounded_starts },
	{ "and not at all when nobody asks", "visitors", { 5, 3, 3, 500, 8 },
	    { 20 * MS, 25 * MS, true }, no_starts_for_nobody },
	{ "a tenant without spares has none", "steady", { 32, 4, 4, 1, 0 },
	    { 10 * MS, 0, true }, none_is_kept_ahead },
	{ "at the edge of one more they do not come and go", "edge",
	    { 32, 1, 8, 500, 8 }, { 60 * MS, 0, true }, no_coming_and_going },
};

static void
run_story(void **state)
{
	const struct story *s = *state;

	w = (struct world){
		.facts = {
			.concurrency = s->settings.concurrency,
			.spare = s->settings.spare,
			.spare_most = s->settings.spare_most,
			.requests = s->settings.requests,
			.tenant_spare = s->settings.tenant_spare,
			.warm_us = 60 * (uint64_t)SECOND,
			.processors = 2,
			.room = UINT32_MAX,
			.memory = UINT64_MAX,
		},
		.program = s->program,
	};
	pool_init(&w.pool, &w.tenant);
	trace_read(&w.trace, s->trace);
	world_run();
	print_message(
	    "%llu requests, %.3f hits, longest wait %llu ms; %llu starts, "
	    "%llu stops, %llu recycled, %llu died; most %u, at rest %u\n",
	    (unsigned long long)w.requests, hit_rate(),
	    (unsigned long long)w.longest_us / MS, (unsigned long long)w.starts,
	    (unsigned long long)w.stops, (unsigned long long)w.recycled,
	    (unsigned long long)w.deaths, w.most, w.rest);
	ASSERT_AT_MOST(w.most, s->settings.concurrency);
	if (s->check)
		s->check();
	pool_done(&w.pool);
	assert_int_equal(w.tenant.least + w.tenant.more, 0);
}

/* ---- single answers ----------------------------------------------------------- */

static const struct pool_facts quiet = {
	.now_us = 100 * (uint64_t)SECOND,
	.concurrency = 10,
	.spare = 3,
	.spare_most = 3,
	.requests = 500,
	.warm_us = 60 * (uint64_t)SECOND,
	.tenant_spare = 8,
	.processors = 4,
	.room = 100,
	.memory = UINT64_MAX,
	.idle_since_us = UINT64_MAX,
};

/* Asked for once, long ago; starts in 10 ms and serves in 20. */
static struct pool
known(struct pool_tenant *tenant)
{
	struct pool p;

	pool_init(&p, tenant);
	pool_arrived(&p, 0);
	pool_proved(&p, 10 * MS, 0);
	pool_served(&p, 20 * MS);
	return p;
}

static void
die(struct pool *p, unsigned times, uint64_t now_us)
{
	while (times-- > 0)
		pool_ended(p, POOL_LIFE_UNPROVED, false, 0, now_us);
}

static void
test_not_asked_for(void **state)
{
	struct pool_tenant tenant = { 0 };
	struct pool_facts f = quiet;
	struct pool p;

	(void)state;
	pool_init(&p, &tenant);
	assert_int_equal(pool_ask(&p, &f).ahead, 0);
	assert_int_equal(tenant.least, 0);
	pool_arrived(&p, f.now_us);
	assert_int_equal(pool_ask(&p, &f).ahead, 3);
	assert_int_equal(tenant.least, 3);
}

static void
test_bounds(void **state)
{
	struct pool_tenant tenant = { 0 };
	struct pool p = known(&tenant);
	struct pool_facts f = quiet;

	(void)state;
	f.room = 2;
	assert_int_equal(pool_ask(&p, &f).ahead, 2);
	assert_int_equal(pool_ask(&p, &f).again_us, f.now_us + SECOND);
	f.waiting = 1; /* who waits goes first, and needs no room */
	assert_int_equal(pool_ask(&p, &f).start, 1);
	assert_int_equal(pool_ask(&p, &f).ahead, 1);
	f.room = 0;
	assert_int_equal(pool_ask(&p, &f).start, 1);
	assert_int_equal(pool_ask(&p, &f).ahead, 0);
	f = quiet;

	pool_ended(&p, POOL_LIFE_SERVED, true, 100, f.now_us);
	pool_ended(&p, POOL_LIFE_SERVED, true, 50, f.now_us);
	f.memory = 299; /* the largest so far is what one takes */
	assert_int_equal(pool_ask(&p, &f).ahead, 2);
	f.memory = 99;
	assert_int_equal(pool_ask(&p, &f).ahead, 0);
	f = quiet;

	f.leaving = 8; /* those are processes as well */
	assert_int_equal(pool_ask(&p, &f).ahead, 2);
	f.leaving = 10;
	f.waiting = 2;
	assert_int_equal(pool_ask(&p, &f).start, 0);
	f = quiet;

	f.processors = 1;
	assert_int_equal(pool_ask(&p, &f).ahead, 2);
	f.starting = 1;
	assert_int_equal(pool_ask(&p, &f).ahead, 1);
}

static void
test_tenant(void **state)
{
	struct pool_tenant tenant = { 0 };
	struct pool a = known(&tenant), b = known(&tenant);
	struct pool c = known(&tenant);
	struct pool_facts f = quiet, more = quiet;

	(void)state;
	more.spare = 1;
	more.spare_most = 8;
	for (int i = 0; i < 4000; i++)
		pool_arrived(&a, f.now_us - 2 * SECOND + (uint64_t)i * 500);
	assert_int_equal(pool_ask(&a, &more).spare, 8); /* all there are */
	assert_int_equal(pool_ask(&b, &f).spare, 3);	/* its own, at once */
	assert_int_equal(pool_ask(&a, &more).spare, 5); /* what is left */
	assert_int_equal(pool_short(&b, &f), 0);
	assert_int_equal(pool_ask(&c, &f).spare, 3);
	assert_int_equal(pool_ask(&a, &more).spare, 2);
	assert_int_equal(tenant.least + tenant.more, 8);
	pool_done(&b);
	assert_int_equal(pool_ask(&a, &more).spare, 5);
	f.tenant_spare = more.tenant_spare = 2; /* its plan is another one */
	assert_int_equal(pool_ask(&c, &f).spare, 1);
	assert_int_equal(pool_ask(&a, &more).spare, 1);
	assert_int_equal(tenant.least + tenant.more, 2);
	pool_done(&a);
	pool_done(&c);
	assert_int_equal(tenant.least + tenant.more, 0);
}

/* Who asks for it is told why it has fewer. */
static void
test_short(void **state)
{
	struct pool_tenant tenant = { 0 };
	struct pool a = known(&tenant), b = known(&tenant), c;
	struct pool_facts f = quiet;

	(void)state;
	f.spare = f.spare_most = 6; /* of 8 */
	pool_init(&c, &tenant);
	pool_ask(&a, &f);
	assert_int_equal(pool_short(&a, &f), 0);
	assert_int_equal(pool_ask(&b, &f).spare, 2);
	assert_int_equal(pool_short(&b, &f), 4);
	assert_int_equal(pool_short(&a, &f), 0);
	assert_int_equal(pool_short(&c, &f), 0); /* nobody asks for it */
	f.concurrency = 2;
	assert_int_equal(pool_short(&b, &f), 0); /* it may have no more */
	pool_done(&a);
	pool_done(&b);
	f = quiet;
	f.spare = f.spare_most = f.tenant_spare + 1;
	b = known(&tenant);
	pool_ask(&b, &f);
	assert_int_equal(pool_short(&b, &f), 1); /* without any other */
	die(&b, 3, f.now_us);
	pool_ask(&b, &f);
	assert_int_equal(pool_short(&b, &f), 0); /* that is why */
}

static void
test_damper(void **state)
{
	struct pool_tenant tenant = { 0 };
	struct pool p = known(&tenant);
	struct pool_facts f = quiet;
	struct pool_answer answer;

	(void)state;
	f.waiting = 5;
	die(&p, 3, f.now_us);
	answer = pool_ask(&p, &f);
	assert_int_equal(answer.start, 1); /* 9 and one more are 10 */
	assert_int_equal(answer.ahead, 0);
	assert_int_equal(answer.refused_until_us, 0);
	f.starting = 1;
	assert_int_equal(pool_ask(&p, &f).start, 0);
	f.starting = 0;
	die(&p, 1, f.now_us);
	answer = pool_ask(&p, &f);
	assert_int_equal(answer.start, 0);
	assert_int_equal(answer.refused_until_us, f.now_us + 3 * SECOND);
	assert_int_equal(answer.again_us, f.now_us + 3 * SECOND);
	f.now_us += 3 * SECOND - 1;
	assert_int_equal(pool_ask(&p, &f).start, 0);
	f.now_us += 1;
	answer = pool_ask(&p, &f);
	assert_int_equal(answer.start, 1);
	assert_int_equal(answer.refused_until_us, 0);

	/* however many died, it is tried again within half a minute */
	die(&p, 1000, f.now_us);
	answer = pool_ask(&p, &f);
	assert_int_equal(answer.refused_until_us, f.now_us + 21 * SECOND);

	/* another program has done nothing wrong */
	pool_changed(&p);
	assert_int_equal(pool_ask(&p, &f).start, 5);

	/* nor has who was told to go, or served */
	for (int i = 0; i < 100; i++) {
		pool_ended(&p, POOL_LIFE_UNPROVED, true, 0, f.now_us);
		pool_ended(&p, POOL_LIFE_SERVED, false, 0, f.now_us);
	}
	assert_int_equal(pool_ask(&p, &f).start, 5);
}

static void
test_sour(void **state)
{
	struct pool_tenant tenant = { 0 };
	struct pool p = known(&tenant);
	struct pool_facts f = quiet;

	(void)state;
	die(&p, 1, f.now_us);
	f.now_us += 3600 * (uint64_t)SECOND;
	assert_int_equal(pool_ask(&p, &f).ahead, 0);
	pool_proved(&p, 10 * MS, 0); /* to be ready is not yet to serve */
	assert_int_equal(pool_ask(&p, &f).ahead, 0);
	pool_served(&p, 20 * MS);
	assert_int_equal(pool_ask(&p, &f).ahead, 3);
}

static void
test_stop(void **state)
{
	struct pool_tenant tenant = { 0 };
	struct pool p = known(&tenant);
	struct pool_facts f = quiet;

	(void)state;
	f.ready = 4;
	f.idle_since_us = f.now_us - 30 * SECOND;
	assert_false(pool_ask(&p, &f).stop);
	assert_int_equal(pool_ask(&p, &f).again_us,
	    f.now_us + 30 * (uint64_t)SECOND);
	f.now_us += 30 * SECOND;
	assert_true(pool_ask(&p, &f).stop);
	f.ready = 3;
	assert_false(pool_ask(&p, &f).stop);
	assert_int_equal(pool_ask(&p, &f).again_us, UINT64_MAX);
	f.concurrency = 2; /* was 10 when they were started */
	assert_true(pool_ask(&p, &f).stop);
	f.ready = 2;
	f.concurrency = 0; /* switched off */
	assert_true(pool_ask(&p, &f).stop);
	assert_int_equal(pool_ask(&p, &f).ahead, 0);
}

static void
test_growth(void **state)
{
	struct pool_tenant tenant = { 0 };
	struct pool p = known(&tenant);
	struct pool_facts f = quiet;

	(void)state;
	f.spare = f.spare_most = 0;
	f.concurrency = 100;
	f.waiting = 50;
	assert_int_equal(pool_ask(&p, &f).start, 8); /* of 4 processors */
	f.starting = 8;
	assert_int_equal(pool_ask(&p, &f).start, 0);

	/* served in 20 ms, sooner than by a start of 30 */
	pool_changed(&p);
	pool_proved(&p, 30 * MS, 0);
	pool_served(&p, 20 * MS);
	f.starting = 0;
	f.busy = 4;
	f.waiting = 4;
	assert_int_equal(pool_ask(&p, &f).start, 0);
	assert_int_equal(pool_ask(&p, &f).again_us, f.now_us + 30 * MS);
	f.now_us += 30 * MS; /* or so it seemed */
	assert_int_equal(pool_ask(&p, &f).start, 1);
	f.starting = 1;
	assert_int_equal(pool_ask(&p, &f).start, 0);

	/* two starts would be over before they are served */
	f.starting = 0;
	f.waiting = 16;
	assert_int_equal(pool_ask(&p, &f).start, 4);
	f.starting = 3;
	assert_int_equal(pool_ask(&p, &f).start, 1);
}

static void
test_recycled(void **state)
{
	struct pool_tenant tenant = { 0 };
	struct pool p = known(&tenant);
	struct pool_facts f = quiet;

	(void)state;
	f.busy = 3; /* those come back sooner than one starts */
	pool_proved(&p, 90 * MS, 0);
	pool_proved(&p, 90 * MS, 0);
	assert_int_equal(pool_ask(&p, &f).ahead, 0);
	f.last = 2; /* but two of them do not */
	assert_int_equal(pool_ask(&p, &f).ahead, 2);
	f.spare = f.spare_most = 0; /* nobody has asked for that */
	assert_int_equal(pool_ask(&p, &f).ahead, 0);
}

/* Whatever is true, nothing is more than it may be. */
static void
test_anything(void **state)
{
	struct pool_tenant tenant = { 0 };
	uint64_t seed = rows_seed(), now = 0;
	struct pool pools[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		pool_init(&pools[i], &tenant);
	for (int i = 0; i < 300000; i++) {
		struct pool *p = &pools[rows_random(&seed, 3)];
		struct pool_facts f = {
			.concurrency = (unsigned)rows_random(&seed, 20),
			.spare = (unsigned)rows_random(&seed, 6),
			.spare_most = 6,
			.requests = rows_random(&seed, 4),
			.warm_us = rows_random(&seed, 10 * SECOND) + 1,
			.tenant_spare = 8,
			.processors = (unsigned)rows_random(&seed, 8) + 1,
			.room = (unsigned)rows_random(&seed, 20),
			.memory = rows_random(&seed, 1000),
			.starting = (unsigned)rows_random(&seed, 8),
			.ready = (unsigned)rows_random(&seed, 8),
			.busy = (unsigned)rows_random(&seed, 8),
			.leaving = (unsigned)rows_random(&seed, 8),
			.waiting = (unsigned)rows_random(&seed, 40),
			.idle_since_us = rows_random(&seed, now + 1),
		};
		unsigned all = f.starting + f.ready + f.busy + f.leaving;
		struct pool_answer answer;

		now += rows_random(&seed, 1 << 20);
		f.now_us = now;
		f.last = f.busy / 2;
		switch (rows_random(&seed, 8)) {
		case 0:
			pool_ended(p, (enum pool_life)rows_random(&seed, 3),
			    rows_random(&seed, 2), rows_random(&seed, 400),
			    now);
			break;
		case 1:
			pool_proved(p, rows_random(&seed, SECOND),
			    rows_random(&seed, 2 * SECOND));
			break;
		case 2:
			pool_served(p, rows_random(&seed, 2 * SECOND));
			break;
		case 3:
			if (i % 100 == 0)
				pool_done(p);
			break;
		default:
			pool_arrived(p, now);
		}
		answer = pool_ask(p, &f);
		if (answer.start + answer.ahead > 0)
			assert_true(answer.start + answer.ahead + all <=
			    f.concurrency);
		if (answer.start > 0)
			assert_true(answer.start + f.starting <= f.waiting);
		assert_true(answer.start + answer.ahead <= 2 * f.processors);
		if (answer.ahead > 0)
			assert_true(answer.start + answer.ahead <= f.room);
		if (answer.stop)
			assert_true(f.ready > 0 && f.waiting == 0);
		assert_true(answer.again_us > now);
		assert_true(answer.spare <= f.spare_most);
		assert_true(tenant.least <= 8);
		if (answer.refused_until_us > 0)
			assert_int_equal(answer.start + answer.ahead, 0);
	}
}

#define ONE(sentence, function)                      \
	{                                            \
		sentence, function, NULL, NULL, NULL \
	}

int
main(void)
{
	const struct CMUnitTest answers[] = {
		ONE("nothing is kept ahead before it was asked for",
		    test_not_asked_for),
		ONE("room, memory, processors and those that leave bound it",
		    test_bounds),
		ONE("functions share what their tenant may keep, `spare` first",
		    test_tenant),
		ONE("who has fewer spares because of the others is told",
		    test_short),
		ONE("who dies young is started by the score", test_damper),
		ONE("and is not kept ahead until it has served", test_sour),
		ONE("the one idle longest goes after limits.warm, or when it is "
		    "too many",
		    test_stop),
		ONE("one at a time, or as many as will be waited for",
		    test_growth),
		ONE("the last request of a worker has the next one started",
		    test_recycled),
		ONE("no facts lead beyond the bounds", test_anything),
	};
	int failed = RUN_ROWS(stories, run_story);

	return failed + cmocka_run_group_tests(answers, NULL, NULL);
}
