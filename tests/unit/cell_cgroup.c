/* SPDX-License-Identifier: MIT */
/* If this fails, a cell is not in its tenant's control group, or joins it at the
 * price of 10 ms although it was made there. The group is a plain file here. */

#include "place.h"

#include "cell/apply.h"

static int
joins(const struct place *p, const char *listed, int flags, char *note,
    char *found)
{
	struct plan_step step = { .op = PLAN_CGROUP,
		.options = (char *)(uintptr_t) "unified" };
	struct plan plan = { .steps = &step, .count = 1 };
	int directory_fd = -1, result;
	struct buf reason;

	place_write(p, "cgroup.procs", listed, 0644);
	step.resource = openat(p->fd, "cgroup.procs", flags | O_CLOEXEC);
	buf_init(&reason, 1024);
	result = apply_plan(&plan, &directory_fd, &reason);
	assert_int_equal(step.resource, -1);
	if (result != 0)
		snprintf(found, 256, "%s", buf_string(&reason));
	else
		place_read(p, "cgroup.procs", found, 256);
	snprintf(note, sizeof(step.note), "%s", step.note);
	buf_free(&reason);
	return result;
}

static void
who_is_not_in_it_joins_by_a_write(void **state)
{
	char note[96], found[256];

	assert_int_equal(joins(*state, "", O_RDWR, note, found), 0);
	assert_string_equal(found, "0");
	assert_string_equal(note, "");
	/* version 1 can only be written */
	assert_int_equal(joins(*state, "", O_WRONLY, note, found), 0);
	assert_string_equal(found, "0");
	/* another cell of the tenant, as seen from here */
	assert_int_equal(joins(*state, "x\n0\n", O_RDWR, note, found), 0);
	assert_string_equal(found, "0\n0\n");
}

static void
who_was_made_in_it_does_not(void **state)
{
	char listed[64], note[96], found[256];

	snprintf(listed, sizeof(listed), "1\n0\n%d\n", (int)getpid());
	assert_int_equal(joins(*state, listed, O_RDWR, note, found), 0);
	assert_string_equal(found, listed);
	assert_string_equal(note, "made in it");
}

static void
one_that_cannot_be_joined_ends_it(void **state)
{
	char note[96], found[256];

	assert_int_equal(joins(*state, "", O_RDONLY, note, found), -1);
	assert_string_equal(found,
	    "sandbox step \"cgroup unified\": Bad file descriptor");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(test) \
	cmocka_unit_test_setup_teardown(test, place_make, place_remove)
		TEST(who_is_not_in_it_joins_by_a_write),
		TEST(who_was_made_in_it_does_not),
		TEST(one_that_cannot_be_joined_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
