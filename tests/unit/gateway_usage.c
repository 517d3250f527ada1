/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant hears of limits it did not reach, or not of those it
 * did. */

#include "place.h"

#include "base/fd.h"

#include "gateway/usage.h"

/* ---- numbers ------------------------------------------------------------------ */

static const struct number {
	const char *sentence;
	const char *text;
	const char *key;
	uint64_t value;
} numbers[] = {
	{ "memory.oom_control of version 1",
	    "oom_kill_disable 0\nunder_oom 1\noom_kill 7\n", "oom_kill", 7 },
	{ "memory.events of version 2",
	    "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n",
	    "oom_kill", 2 },
	{ "pids.events", "max 40\n", "max", 40 },
	{ "the last line may have no end", "max 40", "max", 40 },
	{ "cpu.stat", "nr_periods 9\nnr_throttled 5\nthrottled_usec 1\n",
	    "nr_throttled", 5 },
	{ "one that is not there", "nr_periods 9\n", "nr_throttled", 0 },
	{ "the beginning of a name is another one", "maximum 4\nmax 1\n", "max",
	    1 },
	{ "no number", "max many\n", "max", 0 },
	{ "nothing", "", "max", 0 },
};

static void
it_is_found(void **state)
{
	const struct number *row = *state;

	assert_int_equal(usage_number(span_of(row->text), span_of(row->key)),
	    row->value);
}

/* ---- counting -------------------------------------------------------------------- */

static const char meters[] = "memory\0pids\0cpu";

static void
usage_of(const struct place *p, struct usage *u)
{
	int fds[USAGE_KINDS];

	place_write(p, "memory", "oom_kill 3\n", 0644);
	place_write(p, "pids", "max 1\n", 0644);
	place_write(p, "cpu", "nr_throttled 0\n", 0644);
	fds[0] = openat(p->fd, "memory", O_RDONLY | O_CLOEXEC);
	fds[1] = openat(p->fd, "pids", O_RDONLY | O_CLOEXEC);
	fds[2] = openat(p->fd, "cpu", O_RDONLY | O_CLOEXEC);
	usage_init(u);
	usage_open(u, span_make(meters, sizeof(meters)), fds, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fds[i], -1);
}

static void
each_is_told_once(void **state)
{
	const struct place *p = *state;
	struct usage u;

	usage_of(p, &u);
	assert_int_equal(usage_take(&u, USAGE_PROCESSES), 0);
	place_write(p, "pids", "max 5\n", 0644);
	place_write(p, "cpu", "nr_periods 8\nnr_throttled 2\n", 0644);
	assert_int_equal(usage_take(&u, USAGE_PROCESSES), 4);
	assert_int_equal(usage_take(&u, USAGE_PROCESSES), 0);
	assert_int_equal(usage_take(&u, USAGE_CPU), 2);
	assert_int_equal(usage_take(&u, USAGE_MEMORY), 0);
	usage_close(&u);
}

static void
a_kill_is_known_at_once(void **state)
{
	const struct place *p = *state;
	struct usage u;

	usage_of(p, &u);
	assert_int_equal(usage_killed_before(&u, 5000), 3);
	place_write(p, "memory", "oom_kill 4\n", 0644);
	assert_int_equal(usage_killed_before(&u, 5999), 3);
	assert_int_equal(usage_killed(&u), 4);
	place_write(p, "memory", "oom_kill 6\n", 0644);
	assert_int_equal(usage_killed_before(&u, 6000), 6);
	/* whom else it was told is another matter */
	assert_int_equal(usage_take(&u, USAGE_MEMORY), 3);
	usage_close(&u);
}

static void
what_cannot_be_read_stays(void **state)
{
	const struct place *p = *state;
	struct usage u;

	usage_of(p, &u);
	place_write(p, "memory", "", 0644);
	assert_int_equal(usage_killed(&u), 3);
	usage_close(&u);
	assert_int_equal(usage_killed(&u), 3);
	assert_int_equal(usage_take(&u, USAGE_MEMORY), 0);
}

static void
names_and_descriptors_may_not_fit(void **state)
{
	const struct place *p = *state;
	int fds[3] = { openat(p->fd, ".", O_RDONLY),
		openat(p->fd, ".", O_RDONLY), openat(p->fd, ".", O_RDONLY) };
	struct usage u;

	usage_init(&u);
	usage_open(&u, span_make("disk\0memory\0memory\0cpu", 23), fds, 3);
	assert_true(fds[0] >= 0); /* not known: not ours */
	assert_int_equal(fds[1], -1);
	assert_true(fds[2] >= 0); /* there is one */
	assert_int_equal(usage_killed(&u), 0);
	usage_close(&u);
	fd_close(&fds[0]);
	fd_close(&fds[2]);
	usage_init(&u);
	usage_open(&u, SPAN_NONE, NULL, 0);
	assert_int_equal(usage_take(&u, USAGE_CPU), 0);
	usage_close(&u);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(test) \
	cmocka_unit_test_setup_teardown(test, place_make, place_remove)
		TEST(each_is_told_once),
		TEST(a_kill_is_known_at_once),
		TEST(what_cannot_be_read_stays),
		TEST(names_and_descriptors_may_not_fit),
	};

	return RUN_ROWS(numbers, it_is_found) ||
	    cmocka_run_group_tests(tests, NULL, NULL);
}
