/* SPDX-License-Identifier: MIT */
/* If this fails, two tenants share a user, or a tenant's files are another
 * one's after a restart. */

#include "place.h"

#include "master/master.h"

/* Far above what any machine gives to people. */
enum { FIRST = 1871000000 };

static int
ask(struct registry *r, const char *tenant, uint64_t count, uid_t *uid,
    char *reason)
{
	return registry_uid(r, span_of(tenant), FIRST, count, uid, reason,
	    TENANT_REASON_MOST);
}

static void
ids_are_given_in_order_and_stay(void **state)
{
	const struct place *p = *state;
	char reason[TENANT_REASON_MOST], text[256];
	struct registry r;
	uid_t uid;

	registry_init(&r, p->fd);
	assert_int_equal(ask(&r, "acme", 10, &uid, reason), 0);
	assert_int_equal(uid, FIRST);
	assert_int_equal(ask(&r, "beta", 10, &uid, reason), 0);
	assert_int_equal(uid, FIRST + 1);
	assert_int_equal(ask(&r, "acme", 10, &uid, reason), 0);
	assert_int_equal(uid, FIRST);
	registry_free(&r);

	place_read(p, "uids", text, sizeof(text));
	assert_string_equal(text, "1871000000 acme\n1871000001 beta\n");

	registry_init(&r, p->fd); /* as after a restart */
	assert_int_equal(ask(&r, "beta", 10, &uid, reason), 0);
	assert_int_equal(uid, FIRST + 1);
	assert_int_equal(ask(&r, "new", 10, &uid, reason), 0);
	assert_int_equal(uid, FIRST + 2);
	assert_true(span_equal(registry_name(&r, FIRST + 1), SPAN("beta")));
	assert_null(registry_name(&r, FIRST + 3).data);
	registry_free(&r);
}

static void
when_all_are_given_the_setting_is_named(void **state)
{
	const struct place *p = *state;
	char reason[TENANT_REASON_MOST];
	struct registry r;
	uid_t uid;

	registry_init(&r, p->fd);
	assert_int_equal(ask(&r, "a", 2, &uid, reason), 0);
	assert_int_equal(ask(&r, "b", 2, &uid, reason), 0);
	assert_int_equal(ask(&r, "c", 2, &uid, reason), -1);
	assert_non_null(strstr(reason, "users.tenants_count"));
	assert_int_equal(ask(&r, "b", 2, &uid, reason), 0);
	registry_free(&r);
}

static void
an_id_of_a_moved_range_stays_its_owners(void **state)
{
	const struct place *p = *state;
	char reason[TENANT_REASON_MOST];
	struct registry r;
	uid_t uid;

	place_write(p, "uids", "1870000000 old\n1871000000 acme\n", 0644);
	registry_init(&r, p->fd);
	assert_int_equal(ask(&r, "old", 10, &uid, reason), 0);
	assert_int_equal(uid, 1870000000);
	assert_int_equal(ask(&r, "new", 10, &uid, reason), 0);
	assert_int_equal(uid, FIRST + 1);
	registry_free(&r);
}

/* Of nobody, and above what any file of ids has. */
static void
some_ids_are_given_to_none(void **state)
{
	const struct place *p = *state;
	char reason[TENANT_REASON_MOST];
	struct registry r;
	uid_t uid;

	registry_init(&r, p->fd);
	assert_int_equal(registry_uid(&r, SPAN("a"), 65534, 1, &uid, reason,
			     sizeof(reason)),
	    -1);
	assert_int_equal(registry_uid(&r, SPAN("a"), INT32_MAX, 9, &uid, reason,
			     sizeof(reason)),
	    0);
	assert_int_equal(uid, INT32_MAX);
	assert_int_equal(registry_uid(&r, SPAN("b"), INT32_MAX, 9, &uid, reason,
			     sizeof(reason)),
	    -1);
	assert_non_null(strstr(reason, "users.tenants_count"));
	registry_free(&r);
}

static void
half_a_line_was_never_given(void **state)
{
	const struct place *p = *state;
	char reason[TENANT_REASON_MOST], text[256];
	struct registry r;
	uid_t uid;

	place_write(p, "uids", "1871000000 acme\n18710", 0644);
	registry_init(&r, p->fd);
	assert_int_equal(ask(&r, "beta", 10, &uid, reason), 0);
	assert_int_equal(uid, FIRST + 1);
	place_read(p, "uids", text, sizeof(text));
	assert_string_equal(text, "1871000000 acme\n1871000001 beta\n");
	registry_free(&r);
}

static void
a_file_that_others_can_write_counts_for_nothing(void **state)
{
	const struct place *p = *state;
	char reason[TENANT_REASON_MOST];
	struct registry r;
	uid_t uid;

	place_write(p, "uids", "1871000000 acme\n", 0666);
	registry_init(&r, p->fd);
	assert_int_equal(ask(&r, "acme", 10, &uid, reason), -1);
	/* and once it is repaired, it counts without a restart */
	assert_int_equal(fchmodat(p->fd, "uids", 0644, 0), 0);
	assert_int_equal(ask(&r, "acme", 10, &uid, reason), 0);
	registry_free(&r);
}

static void
a_link_is_not_followed(void **state)
{
	const struct place *p = *state;
	char reason[TENANT_REASON_MOST];
	struct registry r;
	uid_t uid;

	place_write(p, "elsewhere", "", 0644);
	assert_int_equal(symlinkat("elsewhere", p->fd, "uids"), 0);
	registry_init(&r, p->fd);
	assert_int_equal(ask(&r, "acme", 10, &uid, reason), -1);
	registry_free(&r);
}

struct row {
	const char *sentence;
	const char *text;
	const char *where; /* in the reason */
};

static const struct row rows[] = {
	{ "a name twice", "1871000000 a\n1871000001 a\n", "uids:2" },
	{ "an id twice", "1871000000 a\n1871000000 b\n", "uids:2" },
	{ "an empty line", "1871000000 a\n\n", "uids:2" },
	{ "a name that no tenant can have", "1871000000 ../a\n", "uids:1" },
	{ "root's id", "0 a\n", "uids:1" },
	{ "an id too large", "99999999999 a\n", "uids:1" },
	{ "no name", "1871000000\n", "uids:1" },
	{ "words", "who knows\n", "uids:1" },
};

static void
run(void **state)
{
	const struct row *row = *state;
	char reason[TENANT_REASON_MOST];
	void *made = NULL;
	struct registry r;
	uid_t uid;

	assert_int_equal(place_make(&made), 0);
	place_write(made, "uids", row->text, 0644);
	registry_init(&r, ((struct place *)made)->fd);
	assert_int_equal(ask(&r, "new", 10, &uid, reason), -1);
	assert_non_null(strstr(reason, row->where));
	assert_int_equal(ask(&r, "new", 10, &uid, reason), -1);
	registry_free(&r);
	assert_int_equal(place_remove(&made), 0);
}

#define IN_A_PLACE(test) \
	cmocka_unit_test_setup_teardown(test, place_make, place_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_PLACE(ids_are_given_in_order_and_stay),
		IN_A_PLACE(when_all_are_given_the_setting_is_named),
		IN_A_PLACE(an_id_of_a_moved_range_stays_its_owners),
		IN_A_PLACE(some_ids_are_given_to_none),
		IN_A_PLACE(half_a_line_was_never_given),
		IN_A_PLACE(a_file_that_others_can_write_counts_for_nothing),
		IN_A_PLACE(a_link_is_not_followed),
	};

	return RUN_ROWS(rows, run) + cmocka_run_group_tests(tests, NULL, NULL);
}
