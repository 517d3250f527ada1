/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant may use more than its rate or running time, or less,
 * or is told to come again too early. */
#include "rows.h"

#include "gateway/meter.h"

#define SECOND UINT64_C(1000000)
#define HOUR_MS UINT64_C(3600000)

/* Of so many a second, and a bound: units taken one by one, as many as there
 * are, at each of these times. */
static const struct take_row {
	const char *sentence;
	uint64_t rate, most;
	struct {
		uint64_t at_us;
		uint64_t taken; /* until it is empty */
		uint64_t wait_us;
	} steps[6];
} takes[] = {
	{ "it is full at first, and earns evenly", 10, 20,
	    { { 0, 20, 100000 }, { 99999, 0, 1 }, { 100000, 1, 100000 },
		{ 350000, 2, 50000 }, { 1000000, 7, 100000 } } },
	{ "it keeps no more than its bound", 10, 3,
	    { { 5 * SECOND, 3, 100000 }, { 90 * SECOND, 3, 100000 } } },
	{ "a rate that is no part of a second loses nothing", 3, 2,
	    { { 0, 2, 333334 }, { 333333, 0, 1 }, { 333334, 1, 333333 },
		{ 666667, 1, 333333 }, { 1000000, 1, 333334 } } },
	{ "a million a second are one each microsecond", 1000000, 5,
	    { { 0, 5, 1 }, { 3, 3, 1 }, { 4, 1, 1 } } },
	{ "time does not go back", 10, 1,
	    { { SECOND, 1, 100000 }, { 0, 0, 100000 }, { SECOND, 0, 100000 },
		{ SECOND + 100000, 1, 100000 } } },
};

static void
test_take(void **state)
{
	const struct take_row *row = *state;
	struct meter m = { 0 };

	meter_set(&m, row->rate, SECOND, row->most, 0);
	for (size_t i = 0; i < COUNT(row->steps); i++) {
		uint64_t at_us = row->steps[i].at_us, taken = 0;

		if (row->steps[i].wait_us == 0)
			break;
		while (meter_take(&m, at_us))
			taken++;
		assert_int_equal(taken, row->steps[i].taken);
		assert_int_equal(meter_wait_us(&m, at_us),
		    row->steps[i].wait_us);
	}
}

/* ---- running time ---------------------------------------------------------------- */

/* An hour's worth, in microseconds, of so many milliseconds. */
static struct meter
running(uint64_t ms)
{
	struct meter m = { 0 };

	meter_set(&m, ms, HOUR_MS, ms * 1000, 0);
	return m;
}

static void
test_running(void **state)
{
	struct meter m = running(7200000); /* two hours an hour */

	(void)state;
	/* 90 minutes of slot time within one */
	meter_charge(&m, 90 * 60 * SECOND, 60 * SECOND);
	assert_int_equal(m.units, 30 * 60 * SECOND + 2 * 60 * SECOND);
	assert_int_equal(meter_wait_us(&m, 60 * SECOND), 0);
	/* what went on is owed, and pays itself back at two to one */
	meter_charge(&m, 34 * 60 * SECOND, 60 * SECOND);
	assert_int_equal(m.units, -2 * 60 * (int64_t)SECOND);
	assert_int_equal(meter_wait_us(&m, 60 * SECOND), 60 * SECOND + 1);
	assert_int_equal(meter_wait_us(&m, 90 * SECOND), 30 * SECOND + 1);
	assert_int_equal(meter_wait_us(&m, 120 * SECOND), 1);
	assert_int_equal(meter_wait_us(&m, 120 * SECOND + 1), 0);
	assert_false(meter_full(&m, 120 * SECOND));
	assert_true(meter_full(&m, 2 * 3600 * SECOND));
}

/* As many slots as running time has hours never use it up, however long they
 * run: what is earned and used at the same time is not cut in between. */
static void
test_never_used_up(void **state)
{
	struct meter m = running(64 * HOUR_MS);
	uint64_t now = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		now += 90 * 60 * SECOND;
		meter_charge(&m, 64 * 90 * 60 * SECOND, now);
		assert_true(meter_full(&m, now));
	}
}

static void
test_owes_an_hour_at_most(void **state)
{
	struct meter m = running(1000);

	(void)state;
	meter_charge(&m, UINT64_MAX, 0);
	assert_int_equal(meter_wait_us(&m, 0), 3600 * SECOND + 3600);
	assert_int_equal(meter_wait_us(&m, UINT64_MAX), 0);
}

static void
test_set_again(void **state)
{
	struct meter m = { 0 };

	(void)state;
	meter_set(&m, 10, SECOND, 100, 0);
	meter_charge(&m, 90, 0);
	meter_set(&m, 1, SECOND, 20, 0); /* keeps what was left */
	assert_int_equal(m.units, 10);
	meter_set(&m, 1, SECOND, 5, 0); /* but not above its bound */
	assert_int_equal(m.units, 5);
	meter_charge(&m, 9, 0);
	meter_set(&m, 100, SECOND, 200, 0);
	assert_int_equal(m.units, -4);
	assert_int_equal(meter_wait_us(&m, 0), 50000);
}

/* Over any time, what could be taken is what was earned, and the wait that is
 * told is the shortest. */
static void
test_random(void **state)
{
	uint64_t seed = rows_seed();

	(void)state;
	for (int round = 0; round < 200; round++) {
		uint64_t rate = 1 + rows_random(&seed, 1000000);
		uint64_t most = 2 + rows_random(&seed, 1000), now = 0,
			 taken = 0;
		struct meter m = { 0 };

		meter_set(&m, rate, SECOND, most, 0);
		while (meter_take(&m, 0))
			;
		for (int i = 0; i < 1000; i++) {
			uint64_t wait = meter_wait_us(&m, now);

			assert_true(wait > 0);
			assert_true(meter_wait_us(&m, now + wait - 1) == 1);
			now += wait;
			assert_int_equal(meter_wait_us(&m, now), 0);
			while (meter_take(&m, now))
				taken++;
		}
		assert_int_equal(taken, now * rate / SECOND);
	}
}

int
main(void)
{
	static const struct CMUnitTest others[] = {
		{ "running time is earned while it is used", test_running, NULL,
		    NULL, NULL },
		{ "an hour for each slot is never used up", test_never_used_up,
		    NULL, NULL, NULL },
		{ "nobody owes more than an hour earns",
		    test_owes_an_hour_at_most, NULL, NULL, NULL },
		{ "another rate keeps what is left, or owed", test_set_again,
		    NULL, NULL, NULL },
		{ "what is taken is what was earned, to the last fraction",
		    test_random, NULL, NULL, NULL },
	};

	return RUN_ROWS(takes, test_take) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
