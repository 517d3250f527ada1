/* SPDX-License-Identifier: MIT */
/* If this fails, a function with a slow start keeps its users waiting at each
 * request, or one with a fast start keeps a process and its memory for nothing,
 * or the host makes and ends templates in turn. The policy is run against traces
 * of starts on a made-up clock. */
#include "rows.h"

#include "gateway/choice.h"

enum {
	MS = 1000, /* microseconds */
	SECOND = 1000 * MS,
	WARM = 60 * SECOND,
	MIB = 1024 * 1024,
};

/* A program, as it is: what the policy has to find out. */
struct program {
	uint64_t start_us; /* until it is ready, executed */
	uint64_t serve_us;
	uint64_t fork_us;
	uint64_t resident;
	bool tells; /* when it is ready: a worker */
};

struct world {
	struct program program;
	struct choice choice;
	struct choice_facts facts;
	unsigned forked, executed, templates, changes;
	bool template; /* there is one */
	uint64_t idle_at_us;
};

static struct world
world_of(struct program program)
{
	return (struct world){
		.program = program,
		.facts = {
			.now_us = 1000 * SECOND,
			.warm_us = WARM,
			.memory = 256 * (uint64_t)MIB,
		},
	};
}

static void
taken(struct world *w, enum way way)
{
	const struct program *p = &w->program;
	uint64_t begin_us = way == WAY_FORKED ? p->fork_us : p->start_us;

	if (p->tells)
		choice_ready(&w->choice, way, begin_us);
	else
		choice_ran(&w->choice, way, begin_us + p->serve_us,
		    begin_us + p->serve_us);
	choice_resident(&w->choice, p->resident);
}

/* One more process, so long after the last one; as template.c does. */
static enum way
start(struct world *w, uint64_t later_us)
{
	enum way before = w->choice.way, way, next;

	w->facts.now_us += later_us;
	if (w->template && w->facts.now_us - w->idle_at_us >= WARM)
		w->template = false;
	way = w->template ? WAY_FORKED : WAY_EXECUTED;
	choice_started(&w->choice, w->facts.now_us);
	next = choice_ask(&w->choice, &w->facts);
	if (next == WAY_EXECUTED)
		w->template = false;
	taken(w, way);
	if (next == WAY_FORKED && !w->template) {
		w->template = true;
		w->templates++;
		choice_ready(&w->choice, WAY_EXECUTED, w->program.start_us);
	}
	w->idle_at_us = w->facts.now_us;
	w->forked += way == WAY_FORKED;
	w->executed += way == WAY_EXECUTED;
	w->changes += next != before;
	return way;
}

/* ---- one program each ------------------------------------------------------- */

static const struct program python = { 20 * MS, 1 * MS, 500, 12 * MIB, false };
static const struct program small = { 600, 100, 300, 2 * MIB, false };
static const struct program slow = { 300, 800 * MS, 300, 2 * MIB, false };
static const struct program table = { 250 * MS, 1 * MS, 700, 66 * MIB, true };

static const struct told {
	const char *sentence;
	const struct program *program;
	uint64_t every_us;
	unsigned count;
	unsigned executed;  /* at most */
	unsigned templates; /* exactly */
	enum choice_why why;
} tolds[] = {
	{ "a long start is forked from the third on", &python, 5 * SECOND, 10,
	    2, 1, CHOICE_LONG },
	{ "so is one that tells when it is ready", &table, 5 * SECOND, 10, 2, 1,
	    CHOICE_LONG },
	{ "also when the second comes late", &python, 50 * SECOND, 10, 2, 1,
	    CHOICE_LONG },
	{ "but not when a template would not live to see it", &python,
	    70 * SECOND, 10, 10, 0, CHOICE_SELDOM },
	{ "a short start is executed", &small, 1 * SECOND, 100, 100, 0,
	    CHOICE_CHEAP },
	{ "unless there are very many", &small, 5 * MS, 1000, 50, 1,
	    CHOICE_OFTEN },
	{ "of one that works long it is tried once, and known then", &slow,
	    1 * SECOND, 100, 99, 1, CHOICE_CHEAP },
};

static void
chosen(void **state)
{
	const struct told *row = *state;
	struct world w = world_of(*row->program);

	for (unsigned i = 0; i < row->count; i++)
		start(&w, row->every_us);
	assert_in_range(w.executed, 1, row->executed);
	assert_int_equal(w.templates, row->templates);
	assert_int_equal(w.choice.why, row->why);
	assert_int_equal(w.forked + w.executed, row->count);
}

/* ---- in the course of time ----------------------------------------------------- */

static void
idle_it_is_let_go_and_comes_back(void **state)
{
	struct world w = world_of(python);

	(void)state;
	for (int i = 0; i < 5; i++)
		start(&w, SECOND);
	assert_int_equal(start(&w, 2 * WARM), WAY_EXECUTED);
	assert_int_equal(w.choice.why, CHOICE_SELDOM);
	for (int i = 0; i < 5; i++)
		start(&w, SECOND);
	assert_int_equal(start(&w, SECOND), WAY_FORKED);
	assert_int_equal(w.templates, 2);
}

/* Just above and below what it takes: it changes once. */
static void
it_does_not_change_to_and_fro(void **state)
{
	struct world w = world_of(small);
	uint64_t seed = 1, begin = 0;

	(void)state;
	for (int i = 0; i < 200; i++)
		start(&w, 5 * MS);
	assert_int_equal(w.choice.way, WAY_FORKED);
	begin = w.changes;
	for (int i = 0; i < 5000; i++)
		start(&w, 6 * MS + rows_random(&seed, 9 * MS));
	assert_int_equal(w.changes, begin);
	for (int i = 0; i < 200; i++)
		start(&w, 100 * MS);
	assert_int_equal(w.choice.way, WAY_EXECUTED);
	assert_int_equal(w.changes, begin + 1);
}

static void
tenant_without_memory_has_none(void **state)
{
	struct world w = world_of(table);

	(void)state;
	w.facts.memory = 100 * (uint64_t)MIB;
	for (int i = 0; i < 20; i++)
		start(&w, SECOND);
	assert_int_equal(w.forked, 0);
	assert_int_equal(w.choice.why, CHOICE_DEAR);
	w.facts.memory = 200 * (uint64_t)MIB;
	start(&w, SECOND);
	assert_int_equal(start(&w, SECOND), WAY_FORKED);
	w.facts.held = 64 * (uint64_t)MIB; /* others of his have come */
	start(&w, SECOND);
	assert_int_equal(start(&w, SECOND), WAY_EXECUTED);
	assert_int_equal(w.choice.why, CHOICE_DEAR);
}

static void
changed_program_is_measured_anew(void **state)
{
	struct world w = world_of(python);
	bool measured;

	(void)state;
	for (int i = 0; i < 5; i++)
		start(&w, SECOND);
	assert_true(choice_saved_us(&w.choice) > 15 * MS);
	choice_changed(&w.choice);
	assert_int_equal(choice_saved_us(&w.choice), 0);
	assert_int_equal(choice_ask(&w.choice, &w.facts), WAY_EXECUTED);
	assert_int_equal(w.choice.why, CHOICE_NEW);
	assert_int_equal(choice_until_us(&w.choice, WAY_EXECUTED, &measured),
	    0);
}

static void
rate_falls_in_silence(void **state)
{
	struct world w = world_of(python);

	(void)state;
	assert_int_equal(choice_rate(&w.choice, w.facts.now_us), 0);
	for (int i = 0; i < 50; i++)
		start(&w, 100 * MS);
	assert_in_range(choice_rate(&w.choice, w.facts.now_us), 9900, 10100);
	assert_in_range(choice_rate(&w.choice, w.facts.now_us + 10 * SECOND),
	    99, 101);
}

/* Arrivals as they are: single ones, a rush, a day's end, and then again. It is
 * never executed more than twice after it was asked twice within a minute. */
static void
trace_of_a_day(void **state)
{
	static const struct {
		unsigned count;
		uint64_t every_us;
	} day[] = {
		{ 3, 600 * SECOND },
		{ 40, 3 * SECOND },
		{ 2000, 20 * MS },
		{ 30, 20 * SECOND },
		{ 4, 300 * SECOND },
		{ 100, SECOND },
	};
	struct world w = world_of(python);
	unsigned alone = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(day) / sizeof(day[0]); i++) {
		alone += day[i].every_us >= WARM ? day[i].count : 0;
		for (unsigned n = 0; n < day[i].count; n++)
			start(&w, day[i].every_us);
	}
	assert_in_range(w.executed, alone, alone + 6);
	assert_in_range(w.templates, 2, 3);
}

#define ONE(sentence, function)                      \
	{                                            \
		sentence, function, NULL, NULL, NULL \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ONE("in long silence it is let go, and it comes back",
		    idle_it_is_let_go_and_comes_back),
		ONE("around what it takes it does not change to and fro",
		    it_does_not_change_to_and_fro),
		ONE("a tenant without memory for it has none",
		    tenant_without_memory_has_none),
		ONE("a changed program is measured anew",
		    changed_program_is_measured_anew),
		ONE("the rate falls in silence", rate_falls_in_silence),
		ONE("a day with rushes and pauses", trace_of_a_day),
	};
	int failed = RUN_ROWS(tolds, chosen);

	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
