/* SPDX-License-Identifier: MIT */
/* pool.c - how many processes a function of workers should have. Pure policy over
 * counts and times, in whole numbers: rates are requests in 1000 seconds, and
 * workers that are wanted on average are counted in thousandths. */

#include "gateway/pool.h"

enum {
	TICK_US = 250000,   /* arrivals are counted for so long */
	TICKS_SMOOTHED = 8, /* so many ticks weigh, the last one most */
	TICKS_MOST = 200,   /* of silence; then nothing is left */
	SAMPLES_SMOOTHED = 4,
	STARTS_PER_CPU = 2,	   /* more at once make each slower */
	START_UNKNOWN_US = 500000, /* until one was measured */
	ROOM_AGAIN_US = 1000000,
	WANTED_LEAST = 10, /* thousandths; fewer are nobody */
};

static uint64_t start_us(const struct pool *);
static void tick(struct pool *, uint64_t now_us);
static void smooth(uint64_t *, uint64_t sample);
static void score_fall(struct pool *, uint64_t now_us);
static unsigned score_allows(struct pool *, const struct pool_facts *,
    uint64_t *refused_until_us);
static unsigned for_requests(struct pool *, const struct pool_facts *,
    uint64_t *again_us);
static unsigned wanted_ahead(struct pool *, const struct pool_facts *);
static uint64_t least_ahead(const struct pool_facts *);
static uint64_t by_rate(const struct pool *, const struct pool_facts *);
static unsigned by_tenant(struct pool *, uint64_t least, uint64_t most,
    uint64_t allowed);
static unsigned to_ahead(struct pool *, const struct pool_facts *,
    unsigned wanted, unsigned start, uint64_t *again_us);
static bool one_too_many(struct pool *, const struct pool_facts *,
    unsigned wanted, uint64_t *again_us);
static unsigned workers(const struct pool_facts *);
static uint64_t root(uint64_t);
static uint64_t least_of(uint64_t, uint64_t);
static uint64_t rest_of(uint64_t, uint64_t);

void
pool_init(struct pool *p, struct pool_tenant *tenant)
{
	*p = (struct pool){ .tenant = tenant };
}

void
pool_done(struct pool *p)
{
	by_tenant(p, 0, 0, 0);
	pool_init(p, p->tenant);
}

/* ---- what happened ------------------------------------------------------------- */

void
pool_arrived(struct pool *p, uint64_t now_us)
{
	p->asked_for = true;
	tick(p, now_us);
	p->arrivals++;
}

/* Where it had time to get ready, its first request tells how long requests
 * take; where it had not, how long a start takes and a request. */
void
pool_proved(struct pool *p, uint64_t age_us, uint64_t serving_us)
{
	if (serving_us == 0) {
		smooth(&p->start_us, age_us);
		return;
	}
	p->sour = false;
	if (p->start_us > 0 &&
	    rest_of(age_us, serving_us) >= pool_ready_us(p)) {
		pool_served(p, serving_us);
		return;
	}
	if (p->serve_us == 0)
		p->start_serves = true;
	smooth(&p->start_us, rest_of(age_us, p->serve_us));
}

void
pool_served(struct pool *p, uint64_t serving_us)
{
	p->sour = false;
	smooth(&p->serve_us, serving_us);
	if (!p->start_serves)
		return;
	p->start_serves = false;
	p->start_us = rest_of(p->start_us, p->serve_us) + 1;
}

void
pool_ended(struct pool *p, enum pool_life life, bool ordered, uint64_t resident,
    uint64_t now_us)
{
	uint64_t score = POOL_SCORE_YOUNG;

	if (resident > p->resident)
		p->resident = resident;
	if (ordered || life == POOL_LIFE_SERVED)
		return;
	if (life == POOL_LIFE_UNPROVED)
		score += POOL_SCORE_START;
	p->sour = true;
	score_fall(p, now_us);
	p->score_us = least_of(p->score_us + score * POOL_SCORE_FALLS_US,
	    POOL_SCORE_KEPT * (uint64_t)POOL_SCORE_FALLS_US);
}

void
pool_changed(struct pool *p)
{
	p->start_us = p->serve_us = p->resident = p->score_us = 0;
	p->start_serves = p->sour = false;
}

/* A quarter more than usual: who is sent to it too early has to wait there. */
uint64_t
pool_ready_us(const struct pool *p)
{
	uint64_t usual_us = start_us(p);

	return usual_us + usual_us / 4;
}

/* What is known of it. */
static uint64_t
start_us(const struct pool *p)
{
	if (p->start_us == 0 ||
	    (p->start_serves && p->start_us > START_UNKNOWN_US))
		return START_UNKNOWN_US;
	return p->start_us;
}

/* ---- what is measured ---------------------------------------------------------- */

static void
tick(struct pool *p, uint64_t now_us)
{
	uint64_t now = now_us / TICK_US, ticks = now - p->tick;

	if (p->tick == 0 || ticks > TICKS_MOST) {
		p->rate = 0;
		p->arrivals = 0;
		ticks = 0;
	}
	p->tick = now;
	for (; ticks > 0; ticks--) {
		uint64_t sample = p->arrivals * 1000 * (1000000 / TICK_US);

		/* rounded down, so that silence comes to nothing */
		p->rate =
		    (p->rate * (TICKS_SMOOTHED - 1) + sample) / TICKS_SMOOTHED;
		p->arrivals = 0;
	}
}

static void
smooth(uint64_t *value, uint64_t sample)
{
	if (*value == 0)
		*value = sample;
	else
		*value = (*value * (SAMPLES_SMOOTHED - 1) + sample) /
		    SAMPLES_SMOOTHED;
	if (*value == 0)
		*value = 1; /* 0 is not known */
}

static void
score_fall(struct pool *p, uint64_t now_us)
{
	p->score_us = rest_of(p->score_us, now_us - p->scored_at_us);
	p->scored_at_us = now_us;
}

/* ---- what is to be done ------------------------------------------------------------ */

struct pool_answer
pool_ask(struct pool *p, const struct pool_facts *f)
{
	struct pool_answer answer = { .again_us = UINT64_MAX };
	unsigned may = score_allows(p, f, &answer.refused_until_us);

	tick(p, f->now_us);
	may = (unsigned)least_of(may,
	    rest_of(STARTS_PER_CPU * (uint64_t)f->processors, f->starting));
	may = (unsigned)least_of(may, rest_of(f->concurrency, workers(f)));
	answer.spare = wanted_ahead(p, f);
	answer.start =
	    (unsigned)least_of(may, for_requests(p, f, &answer.again_us));
	answer.ahead = (unsigned)least_of(may - answer.start,
	    to_ahead(p, f, answer.spare, answer.start, &answer.again_us));
	answer.stop = one_too_many(p, f, answer.spare, &answer.again_us);
	if (answer.refused_until_us > 0)
		answer.again_us =
		    least_of(answer.again_us, answer.refused_until_us);
	return answer;
}

unsigned
pool_short(const struct pool *p, const struct pool_facts *f)
{
	if (!p->asked_for || p->sour || p->tenant->least < f->tenant_spare)
		return 0;
	return (unsigned)rest_of(least_ahead(f), p->least);
}

/* Who never died young may start as many as there is need for. */
static unsigned
score_allows(struct pool *p, const struct pool_facts *f,
    uint64_t *refused_until_us)
{
	const uint64_t unit = POOL_SCORE_FALLS_US;
	uint64_t room;

	score_fall(p, f->now_us);
	if (p->score_us == 0)
		return UINT32_MAX;
	room = rest_of(POOL_SCORE_MOST * unit, p->score_us);
	if (room < POOL_SCORE_START * unit)
		*refused_until_us = f->now_us + POOL_SCORE_START * unit - room +
		    rest_of(p->score_us, POOL_SCORE_MOST * unit);
	return (unsigned)rest_of(room / (POOL_SCORE_START * unit), f->starting);
}

/* A function that is cold has nothing to lose. One that is warm starts what will
 * still be of use: who waits would wait for longer than a start takes, or has.
 * One at a time; as many as there are, where even two starts are sooner. */
static unsigned
for_requests(struct pool *p, const struct pool_facts *f, uint64_t *again_us)
{
	unsigned proven = f->ready + f->busy;
	uint64_t unserved = rest_of(f->waiting, f->ready + f->starting);
	uint64_t drained_us, due_us, most = 1;

	if (f->waiting <= f->ready || proven == 0) {
		p->wanted_at_us = 0;
		return (unsigned)unserved;
	}
	if (p->wanted_at_us == 0)
		p->wanted_at_us = f->now_us;
	drained_us = unserved * p->serve_us / proven;
	due_us = p->wanted_at_us + start_us(p);
	if (drained_us < start_us(p) && f->now_us < due_us) {
		*again_us = least_of(*again_us, due_us);
		return 0;
	}
	if (p->serve_us == 0 || drained_us / 2 >= start_us(p))
		most = proven;
	return (unsigned)least_of(unserved, rest_of(most, f->starting));
}

/* How many ready ones there should be: what the tenant has left of what the
 * settings and the rate say. */
static unsigned
wanted_ahead(struct pool *p, const struct pool_facts *f)
{
	uint64_t most = least_of(f->spare_most, f->concurrency);

	if (!p->asked_for || p->sour)
		return by_tenant(p, 0, 0, f->tenant_spare);
	return by_tenant(p, least_ahead(f), least_of(by_rate(p, f), most),
	    f->tenant_spare);
}

static uint64_t
least_ahead(const struct pool_facts *f)
{
	return least_of(f->spare, least_of(f->spare_most, f->concurrency));
}

/* Little's law: requests that arrive in a second times the seconds for which each
 * takes a worker away, and three standard deviations of that. Of those that serve
 * n requests each takes one away for the time to serve it, but the last for
 * ever, until another has started. */
static uint64_t
by_rate(const struct pool *p, const struct pool_facts *f)
{
	uint64_t each_us = p->serve_us, wanted;

	if (f->requests > 0) {
		each_us -= each_us / f->requests;
		each_us += p->start_us / f->requests;
	}
	wanted = p->rate * each_us / 1000000;
	if (wanted < WANTED_LEAST)
		return 0;
	wanted = (wanted + 3 * root(1000 * wanted) + 999) / 1000;
	/* some of them are at work, and come back */
	return rest_of(wanted, rest_of(f->busy, f->last));
}

/* First what each function has at least, then what some have more. */
static unsigned
by_tenant(struct pool *p, uint64_t least, uint64_t most, uint64_t allowed)
{
	struct pool_tenant *t = p->tenant;

	t->least -= p->least;
	t->more -= p->more;
	p->least = (unsigned)least_of(least, rest_of(allowed, t->least));
	t->least += p->least;
	p->more = (unsigned)least_of(rest_of(most, p->least),
	    rest_of(allowed, (uint64_t)t->least + t->more));
	t->more += p->more;
	return p->least + p->more;
}

/* Those that start and nobody waits for count as if they were ready; and for as
 * long as a start takes those that are at work, if they come back sooner. */
static unsigned
to_ahead(struct pool *p, const struct pool_facts *f, unsigned wanted,
    unsigned start, uint64_t *again_us)
{
	uint64_t there = rest_of(f->ready + f->starting, f->waiting);
	uint64_t more = rest_of(wanted, there), due_us, room;

	if (more == 0) {
		p->short_at_us = 0;
		return 0;
	}
	if (p->short_at_us == 0)
		p->short_at_us = f->now_us;
	due_us = p->short_at_us + start_us(p);
	if (p->serve_us > 0 && p->serve_us <= start_us(p) &&
	    f->now_us < due_us) {
		more = rest_of(more, rest_of(f->busy, f->last));
		*again_us = least_of(*again_us, due_us);
	}
	room = rest_of(f->room, start);
	if (p->resident > 0)
		room = least_of(room, f->memory / p->resident);
	if (room >= more)
		return (unsigned)more;
	/* nobody tells us when there is more */
	*again_us = least_of(*again_us, f->now_us + ROOM_AGAIN_US);
	return (unsigned)room;
}

/* Those that were wanted in the last warm_us may be again, so what comes and goes
 * within that does not start and stop workers. */
static bool
one_too_many(struct pool *p, const struct pool_facts *f, unsigned wanted,
    uint64_t *again_us)
{
	uint64_t due_us;

	if (wanted >= p->held || f->now_us - p->held_at_us >= f->warm_us) {
		p->held = wanted;
		p->held_at_us = f->now_us;
	}
	if (f->ready == 0 || f->waiting > 0)
		return false;
	if (workers(f) > f->concurrency)
		return true;
	if (f->ready <= p->least)
		return false;
	due_us = f->idle_since_us + f->warm_us;
	if (f->ready <= p->held && due_us < p->held_at_us + f->warm_us)
		due_us = p->held_at_us + f->warm_us;
	if (f->now_us >= due_us && f->ready > wanted)
		return true;
	if (due_us <= f->now_us) /* what is wanted falls by itself */
		due_us = f->now_us + f->warm_us;
	*again_us = least_of(*again_us, due_us);
	return false;
}

/* ---- numbers ------------------------------------------------------------------------ */

static unsigned
workers(const struct pool_facts *f)
{
	return f->starting + f->ready + f->busy + f->leaving;
}

static uint64_t
root(uint64_t square)
{
	uint64_t low = 0, high = UINT32_MAX;

	while (low < high) {
		uint64_t middle = low + (high - low + 1) / 2;

		if (middle * middle <= square)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

static uint64_t
least_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
rest_of(uint64_t of, uint64_t taken)
{
	return of > taken ? of - taken : 0;
}
