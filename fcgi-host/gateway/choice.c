/* SPDX-License-Identifier: MIT */
/* choice.c - whether processes are executed or forked. Pure policy over lengths of
 * time, in whole numbers. */

#include "gateway/choice.h"

enum {
	SAMPLES_SMOOTHED = 4,
	GAPS_SMOOTHED = 8,
	MIB = 1024 * 1024,
	SECOND_US = 1000000,
};

static void choice_move(struct choice *, enum way, enum choice_why,
    uint64_t now_us);
static enum way decide(const struct choice *, const struct choice_facts *,
    enum choice_why *);
static bool share(const struct choice *, uint64_t each_us, uint64_t part,
    uint64_t now_us);
static uint64_t gap_now(const struct choice *, uint64_t now_us);
static void smooth(uint64_t *, uint64_t sample, uint64_t samples);

/* ---- what happened ---------------------------------------------------------- */

void
choice_started(struct choice *c, uint64_t now_us)
{
	if (c->start_at_us > 0) {
		c->last_us = now_us - c->start_at_us + 1;
		smooth(&c->gap_us, c->last_us, GAPS_SMOOTHED);
	}
	c->start_at_us = now_us;
	c->starts++;
}

void
choice_ready(struct choice *c, enum way way, uint64_t ready_us)
{
	smooth(&c->taken[way].ready_us, ready_us, SAMPLES_SMOOTHED);
}

void
choice_ran(struct choice *c, enum way way, uint64_t run_us, uint64_t cpu_us)
{
	smooth(&c->taken[way].run_us, run_us, SAMPLES_SMOOTHED);
	smooth(&c->taken[way].cpu_us, cpu_us, SAMPLES_SMOOTHED);
	c->taken[way].count++;
}

void
choice_resident(struct choice *c, uint64_t bytes)
{
	if (bytes > c->resident)
		c->resident = bytes;
}

void
choice_changed(struct choice *c)
{
	*c = (struct choice){ 0 };
}

/* ---- what is known ---------------------------------------------------------- */

uint64_t
choice_until_us(const struct choice *c, enum way way, bool *measured)
{
	const struct choice_taken *taken = &c->taken[way];
	uint64_t usual_us =
	    CHOICE_FORK_US + c->resident / MIB * CHOICE_FORK_MIB_US;

	*measured = taken->ready_us > 0;
	if (*measured)
		return taken->ready_us;
	if (way == WAY_EXECUTED ||
	    (taken->run_us > 0 && taken->run_us < usual_us))
		return taken->run_us;
	return usual_us;
}

uint64_t
choice_saved_us(const struct choice *c)
{
	bool measured;
	uint64_t executed_us = choice_until_us(c, WAY_EXECUTED, &measured);
	uint64_t forked_us = choice_until_us(c, WAY_FORKED, &measured);

	return executed_us > forked_us ? executed_us - forked_us : 0;
}

uint64_t
choice_rate(const struct choice *c, uint64_t now_us)
{
	uint64_t gap_us = gap_now(c, now_us);

	return gap_us > 0 ? (uint64_t)1000 * SECOND_US / gap_us : 0;
}

/* Silence is a long gap, too, though nobody has told its end. */
static uint64_t
gap_now(const struct choice *c, uint64_t now_us)
{
	uint64_t silent_us = now_us - c->start_at_us;

	return c->gap_us > 0 && silent_us > c->gap_us ? silent_us : c->gap_us;
}

static void
smooth(uint64_t *value, uint64_t sample, uint64_t samples)
{
	*value =
	    *value == 0 ? sample : (*value * (samples - 1) + sample) / samples;
	if (*value == 0)
		*value = 1; /* 0 is not known */
}

/* ---- what is to be done ------------------------------------------------------ */

enum way
choice_ask(struct choice *c, const struct choice_facts *f)
{
	enum choice_why why = CHOICE_NEW;
	enum way way = decide(c, f, &why);

	choice_move(c, way, why, f->now_us);
	return way;
}

static void
choice_move(struct choice *c, enum way way, enum choice_why why,
    uint64_t now_us)
{
	if (c->way != way || c->since_us == 0)
		c->since_us = now_us;
	c->way = way;
	c->why = why;
}

/* Whoever is forked already goes on at half of what it takes to begin. */
static enum way
decide(const struct choice *c, const struct choice_facts *f,
    enum choice_why *why)
{
	uint64_t back = c->way == WAY_FORKED ? CHOICE_BACK : 1;
	uint64_t saved_us = choice_saved_us(c);
	uint64_t part = CHOICE_PROCESSOR;
	bool measured;

	*why = CHOICE_NEW;
	if (choice_until_us(c, WAY_EXECUTED, &measured) == 0)
		return WAY_EXECUTED;
	if (!measured)
		part = CHOICE_TRY_PROCESSOR;
	*why = CHOICE_CHEAP;
	if (saved_us * back < CHOICE_NOTICED_US &&
	    !share(c, saved_us * back, part, f->now_us))
		return WAY_EXECUTED;
	*why = CHOICE_SELDOM;
	if (c->last_us == 0 || c->last_us >= f->warm_us)
		return WAY_EXECUTED;
	*why = CHOICE_DEAR;
	if (f->held + c->resident > f->memory / CHOICE_MEMORY_PART)
		return WAY_EXECUTED;
	*why = !measured			 ? CHOICE_TRIES :
	    saved_us * back >= CHOICE_NOTICED_US ? CHOICE_LONG :
						   CHOICE_OFTEN;
	return WAY_FORKED;
}

/* Of one processor's time. */
static bool
share(const struct choice *c, uint64_t each_us, uint64_t part, uint64_t now_us)
{
	uint64_t gap_us = gap_now(c, now_us);

	return c->starts > CHOICE_MANY && each_us * part >= gap_us;
}
