/* SPDX-License-Identifier: MIT */
/* meter.c - a token bucket. What it earns is kept to the last fraction of a unit,
 * so that no rate is rounded. */
#include <assert.h>

#include "gateway/meter.h"

static void meter_earn(struct meter *, uint64_t now_us);
static void meter_keep(struct meter *);

void
meter_set(struct meter *m, uint64_t earns, uint64_t period_us, uint64_t most,
    uint64_t now_us)
{
	bool first = m->period_us == 0;

	assert(earns > 0 && period_us > 0 && most > 0 && most < INT64_MAX / 8);
	if (!first)
		meter_earn(m, now_us);
	m->earns = earns;
	m->period_us = period_us;
	m->most = most;
	m->part = 0;
	m->seen_us = now_us;
	if (first)
		m->units = (int64_t)most;
	meter_keep(m);
}

void
meter_charge(struct meter *m, uint64_t units, uint64_t now_us)
{
	meter_earn(m, now_us);
	/* more than all that is kept and may be owed makes no difference */
	m->units -= (int64_t)(units < 2 * m->most ? units : 2 * m->most);
	meter_keep(m);
}

uint64_t
meter_wait_us(const struct meter *m, uint64_t now_us)
{
	struct meter then = *m;
	unsigned __int128 lacks;

	meter_earn(&then, now_us);
	if (then.units > 0)
		return 0;
	lacks = (unsigned __int128)(uint64_t)(1 - then.units) * then.period_us -
	    then.part;
	return (uint64_t)((lacks + then.earns - 1) / then.earns);
}

bool
meter_take(struct meter *m, uint64_t now_us)
{
	meter_earn(m, now_us);
	meter_keep(m);
	if (m->units <= 0)
		return false;
	m->units--;
	return true;
}

bool
meter_full(const struct meter *m, uint64_t now_us)
{
	struct meter then = *m;

	meter_earn(&then, now_us);
	return then.units >= (int64_t)then.most;
}

/* May leave more than is kept: what was used in the same time is charged before
 * the rest is lost. */
static void
meter_earn(struct meter *m, uint64_t now_us)
{
	uint64_t elapsed_us = now_us > m->seen_us ? now_us - m->seen_us : 0;
	uint64_t earned, units;
	unsigned __int128 wide;

	m->seen_us += elapsed_us;
	if (!__builtin_mul_overflow(elapsed_us, m->earns, &earned) &&
	    !__builtin_add_overflow(earned, m->part, &earned)) {
		units = earned / m->period_us;
		m->part = earned % m->period_us;
	} else {
		wide = (unsigned __int128)elapsed_us * m->earns + m->part;
		m->part = (uint64_t)(wide % m->period_us);
		wide /= m->period_us;
		units = wide < 4 * m->most ? (uint64_t)wide : 4 * m->most;
	}
	/* that fills it from any debt, and pays what can have been used */
	m->units += (int64_t)(units < 4 * m->most ? units : 4 * m->most);
}

static void
meter_keep(struct meter *m)
{
	int64_t most = (int64_t)m->most;

	if (m->units >= most) {
		m->units = most;
		m->part = 0;
	}
	if (m->units < -most)
		m->units = -most;
}
