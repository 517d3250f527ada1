/* SPDX-License-Identifier: MIT */
/* If this fails, a child that died is not replaced, or is replaced in a storm,
 * or outlives the host. */

#include "rows.h"

#include "master/supervise.h"

enum { STEPS_MOST = 16, DRAIN_MS = 30000 };

struct step {
	uint64_t at_ms;
	enum child_event event;
	enum child_state state; /* then */
	enum child_order order;
};

struct row {
	const char *sentence;
	struct step steps[STEPS_MOST]; /* until one that is all zero */
};

/* clang-format off */
static const struct row rows[] = {
	{ "a child that is wanted is started, and up when it is ready", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 20, CHILD_READY, CHILD_UP, CHILD_SAY_READY } } },
	{ "one that served for a second and died is started again at once", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 20, CHILD_READY, CHILD_UP, CHILD_SAY_READY },
		{ 1020, CHILD_DIED, CHILD_STARTING, CHILD_START },
		{ 1030, CHILD_READY, CHILD_UP, CHILD_SAY_READY },
		{ 2030, CHILD_DIED, CHILD_STARTING, CHILD_START } } },
	{ "the first early death costs no pause, the second 100 ms", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 20, CHILD_READY, CHILD_UP, CHILD_SAY_READY },
		{ 1019, CHILD_DIED, CHILD_STARTING, CHILD_START },
		{ 1025, CHILD_READY, CHILD_UP, CHILD_SAY_READY },
		{ 1030, CHILD_DIED, CHILD_PAUSED, CHILD_NOTHING },
		{ 1130, CHILD_TIMER, CHILD_STARTING, CHILD_START } } },
	{ "one that is never ready is given up after five deaths", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 11, CHILD_DIED, CHILD_STARTING, CHILD_START },
		{ 12, CHILD_DIED, CHILD_PAUSED, CHILD_NOTHING },
		{ 112, CHILD_TIMER, CHILD_STARTING, CHILD_START },
		{ 113, CHILD_DIED, CHILD_PAUSED, CHILD_NOTHING },
		{ 313, CHILD_TIMER, CHILD_STARTING, CHILD_START },
		{ 314, CHILD_DIED, CHILD_PAUSED, CHILD_NOTHING },
		{ 714, CHILD_TIMER, CHILD_STARTING, CHILD_START },
		{ 715, CHILD_DIED, CHILD_DOWN, CHILD_GIVE_UP } } },
	{ "one that has once been ready is never given up", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 11, CHILD_READY, CHILD_UP, CHILD_SAY_READY },
		{ 12, CHILD_DIED, CHILD_STARTING, CHILD_START },
		{ 13, CHILD_DIED, CHILD_PAUSED, CHILD_NOTHING },
		{ 113, CHILD_TIMER, CHILD_STARTING, CHILD_START },
		{ 114, CHILD_DIED, CHILD_PAUSED, CHILD_NOTHING },
		{ 314, CHILD_TIMER, CHILD_STARTING, CHILD_START },
		{ 315, CHILD_DIED, CHILD_PAUSED, CHILD_NOTHING },
		{ 715, CHILD_TIMER, CHILD_STARTING, CHILD_START },
		{ 716, CHILD_DIED, CHILD_PAUSED, CHILD_NOTHING },
		{ 1516, CHILD_TIMER, CHILD_STARTING, CHILD_START },
		{ 1517, CHILD_READY, CHILD_UP, CHILD_SAY_READY } } },
	{ "one that is not ready in time is killed and replaced", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 10010, CHILD_TIMER, CHILD_KILLED, CHILD_KILL },
		{ 10011, CHILD_DIED, CHILD_STARTING, CHILD_START } } },
	{ "a late READY of one that is being killed changes nothing", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 10010, CHILD_TIMER, CHILD_KILLED, CHILD_KILL },
		{ 10011, CHILD_READY, CHILD_KILLED, CHILD_NOTHING },
		{ 10012, CHILD_DIED, CHILD_STARTING, CHILD_START } } },
	{ "one that closes its channel but lives is killed", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 20, CHILD_READY, CHILD_UP, CHILD_SAY_READY },
		{ 5000, CHILD_BROKEN, CHILD_KILLED, CHILD_KILL },
		{ 5001, CHILD_DIED, CHILD_STARTING, CHILD_START } } },
	{ "one that SIGKILL does not end is told of, and still awaited", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 20, CHILD_BROKEN, CHILD_KILLED, CHILD_KILL },
		{ 5020, CHILD_TIMER, CHILD_KILLED, CHILD_SAY_STUCK },
		{ 10020, CHILD_TIMER, CHILD_KILLED, CHILD_SAY_STUCK },
		{ 10021, CHILD_DIED, CHILD_STARTING, CHILD_START } } },
	{ "a drain asks once, and the end is the end", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 20, CHILD_READY, CHILD_UP, CHILD_SAY_READY },
		{ 30, CHILD_DRAIN, CHILD_DRAINING, CHILD_SEND_DRAIN },
		{ 31, CHILD_DRAIN, CHILD_DRAINING, CHILD_NOTHING },
		{ 40, CHILD_DIED, CHILD_DOWN, CHILD_SAY_GONE },
		{ 41, CHILD_DIED, CHILD_DOWN, CHILD_NOTHING } } },
	{ "one that does not finish within the drain is killed", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 20, CHILD_READY, CHILD_UP, CHILD_SAY_READY },
		{ 30, CHILD_DRAIN, CHILD_DRAINING, CHILD_SEND_DRAIN },
		{ 30031, CHILD_TIMER, CHILD_ENDING, CHILD_KILL },
		{ 30040, CHILD_DIED, CHILD_DOWN, CHILD_SAY_GONE } } },
	{ "a second stop kills what still drains", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 20, CHILD_READY, CHILD_UP, CHILD_SAY_READY },
		{ 30, CHILD_DRAIN, CHILD_DRAINING, CHILD_SEND_DRAIN },
		{ 40, CHILD_STOP, CHILD_ENDING, CHILD_KILL },
		{ 50, CHILD_STOP, CHILD_ENDING, CHILD_NOTHING },
		{ 60, CHILD_DIED, CHILD_DOWN, CHILD_SAY_GONE } } },
	{ "one that pauses when the host stops is not started again", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 11, CHILD_DIED, CHILD_STARTING, CHILD_START },
		{ 12, CHILD_DIED, CHILD_PAUSED, CHILD_NOTHING },
		{ 13, CHILD_DRAIN, CHILD_DOWN, CHILD_SAY_GONE },
		{ 112, CHILD_TIMER, CHILD_DOWN, CHILD_NOTHING } } },
	{ "one that was to be replaced when the host stops is not", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 20, CHILD_BROKEN, CHILD_KILLED, CHILD_KILL },
		{ 21, CHILD_DRAIN, CHILD_ENDING, CHILD_NOTHING },
		{ 22, CHILD_DIED, CHILD_DOWN, CHILD_SAY_GONE } } },
	{ "one that is starting can be drained", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 20, CHILD_DRAIN, CHILD_DRAINING, CHILD_SEND_DRAIN },
		{ 21, CHILD_READY, CHILD_DRAINING, CHILD_NOTHING },
		{ 22, CHILD_DIED, CHILD_DOWN, CHILD_SAY_GONE } } },
	{ "one that breaks its channel while it drains is killed for good", {
		{ 10, CHILD_WANTED, CHILD_STARTING, CHILD_START },
		{ 20, CHILD_DRAIN, CHILD_DRAINING, CHILD_SEND_DRAIN },
		{ 21, CHILD_BROKEN, CHILD_ENDING, CHILD_KILL },
		{ 22, CHILD_DIED, CHILD_DOWN, CHILD_SAY_GONE } } },
};
/* clang-format on */

static void
run(void **state)
{
	const struct row *row = *state;
	struct supervise s = { .drain_ms = DRAIN_MS };

	for (const struct step *step = row->steps; step->at_ms; step++) {
		enum child_order order =
		    supervise(&s, step->event, step->at_ms);

		if (s.state != step->state)
			fail_msg("at %u ms: %s, not %s", (unsigned)step->at_ms,
			    child_state_name(s.state),
			    child_state_name(step->state));
		assert_int_equal(order, step->order);
		/* a timer fires when it says, not before */
		if (step[1].at_ms && step[1].event == CHILD_TIMER &&
		    s.state != CHILD_DOWN)
			assert_int_equal(s.timer_ms, step[1].at_ms);
	}
}

static void
the_pause_doubles_up_to_four_seconds(void **state)
{
	struct supervise s = { .drain_ms = DRAIN_MS };
	uint64_t now_ms = 1,
		 pauses[] = { 100, 200, 400, 800, 1600, 3200, 4000, 4000 };

	(void)state;
	supervise(&s, CHILD_WANTED, now_ms);
	supervise(&s, CHILD_READY, now_ms);
	supervise(&s, CHILD_DIED, now_ms);
	for (size_t i = 0; i < COUNT(pauses); i++) {
		supervise(&s, CHILD_DIED, now_ms);
		assert_int_equal(s.state, CHILD_PAUSED);
		assert_int_equal(s.timer_ms - now_ms, pauses[i]);
		now_ms = s.timer_ms;
		supervise(&s, CHILD_TIMER, now_ms);
	}
	/* and a life of a second forgives it all */
	supervise(&s, CHILD_READY, now_ms);
	now_ms += SUPERVISE_EARLY_MS;
	assert_int_equal(supervise(&s, CHILD_DIED, now_ms), CHILD_START);
	assert_int_equal(s.early_deaths, 0);
}

static void
restarts_are_counted_from_the_second_start_on(void **state)
{
	struct supervise s = { .drain_ms = DRAIN_MS };

	(void)state;
	supervise(&s, CHILD_WANTED, 1);
	assert_int_equal(s.restarts, 0);
	supervise(&s, CHILD_READY, 2);
	supervise(&s, CHILD_DIED, 3000);
	assert_int_equal(s.restarts, 1);
}

/* Any order of events: the state's promises hold (supervise_check aborts),
 * nothing is started twice, and after a stop nothing is started at all. */
static void
no_sequence_of_events_starts_two(void **state)
{
	uint64_t seed = rows_seed();

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct supervise s = { .drain_ms = DRAIN_MS };
		bool alive = false, stopped = false;
		uint64_t now_ms = 1;

		for (int i = 0; i < 60; i++) {
			enum child_event event =
			    rows_random(&seed, CHILD_EVENTS);
			enum child_order order;

			if (stopped && event == CHILD_WANTED)
				continue;
			now_ms += rows_random(&seed, 2000);
			if (event == CHILD_DIED) {
				if (!alive)
					continue;
				alive = false;
			}
			stopped |= s.state != CHILD_DOWN &&
			    (event == CHILD_DRAIN || event == CHILD_STOP);
			order = supervise(&s, event, now_ms);
			if (order == CHILD_START) {
				assert_false(alive);
				assert_false(stopped);
				alive = true;
			}
			if (order == CHILD_KILL)
				assert_true(alive);
			assert_int_equal(alive, supervise_has_process(&s));
			if (s.state == CHILD_DOWN && order != CHILD_NOTHING)
				break;
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pause_doubles_up_to_four_seconds),
		cmocka_unit_test(restarts_are_counted_from_the_second_start_on),
		cmocka_unit_test(no_sequence_of_events_starts_two),
	};

	return RUN_ROWS(rows, run) + cmocka_run_group_tests(tests, NULL, NULL);
}
