/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant is told less than happened, or of somebody else, or who
 * floods the host with faults takes its memory. */
#include "rows.h"

#include <jansson.h>

#include "gateway/faults.h"

enum { NOW = 1000 * 1000, HOUR = FAULTS_HALF_MS };

static struct faults faults;
static struct buf words;

static int
setup(void **state)
{
	(void)state;
	faults_init(&faults, NOW);
	buf_init(&words, 16 * 1024 * 1024);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	faults_free(&faults);
	buf_free(&words);
	return 0;
}

static void
add(const char *tenant, const char *function, enum fault_kind kind,
    uint64_t at_unix_ms)
{
	const struct fault_event event = {
		.kind = kind,
		.tenant = span_of(tenant),
		.function = span_of(function),
		.limit = kind == FAULTS_TIME ? SPAN("limits.time") : SPAN_NONE,
		.value = kind == FAULTS_TIME ? SPAN("10 s") : SPAN_NONE,
		.what =
		    kind == FAULTS_CRASHED ? SPAN("signal SEGV") : SPAN_NONE,
		.request = SPAN("0123456789ABCDEFGHJKMNPQRS"),
		.times = 1,
		.at_unix_ms = at_unix_ms,
	};

	faults_add(&faults, &event);
}

static const struct faults_tenant *
tenant(const char *name)
{
	return faults_tenant(&faults, span_of(name));
}

static const struct fault *
latest(const char *name)
{
	const struct list *first = list_first(&tenant(name)->rows);

	assert_non_null(first);
	return LIST_OWNER(first, struct fault, in_tenant);
}

/* ---- words ---------------------------------------------------------------- */

static const struct word_row {
	const char *sentence;
	enum fault_kind kind;
	const char *function;
	size_t times;
	const char *says, *advice;
} word_rows[] = {
	{ "a limit has its name and value", FAULTS_TIME, "photos", 3,
	    "3 requests of photos took longer than limits.time = 10 s",
	    "Make it faster, or ask your provider for more time." },
	{ "one request is one", FAULTS_TIME, "photos", 1,
	    "1 request of photos took longer than limits.time = 10 s", NULL },
	{ "no function in particular", FAULTS_TIME, "", 2,
	    "2 requests took longer than limits.time = 10 s", NULL },
	{ "what happened last, and whose log tells more", FAULTS_CRASHED, "f",
	    2, "2 requests of f crashed, the last by signal SEGV",
	    "fcgi-hostctl logs acme shows what it wrote before." },
	{ "one request was, and not were", FAULTS_REFUSED, "f", 1,
	    "1 request of f was refused because of its file or settings: "
	    "an unknown reason",
	    NULL },
	{ "what is not known is not guessed", FAULTS_NOT_STARTED, "f", 1,
	    "1 request of f could not be started, the last because of an "
	    "unknown reason",
	    NULL },
	{ "a limit without a name", FAULTS_QUEUE_FULL, "f", 1,
	    "1 request of f found every slot in use and the queue full, its "
	    "limit",
	    NULL },
};

static void
test_words(void **state)
{
	const struct word_row *row = *state;

	setup(NULL);
	for (size_t i = 0; i < row->times; i++)
		add("acme", row->function, row->kind, NOW + i);
	assert_int_equal(fault_put_sentence(&words, latest("acme")), 0);
	assert_string_equal(buf_string(&words), row->says);
	buf_clear(&words);
	assert_int_equal(fault_put_advice(&words, latest("acme")), 0);
	if (row->advice)
		assert_string_equal(buf_string(&words), row->advice);
	teardown(NULL);
}

/* Every row of faults.def: no placeholder is left, and it fits. */
static void
test_all_words(void **state)
{
	(void)state;
	for (int kind = 0; kind < FAULTS; kind++) {
		add("acme", "f", (enum fault_kind)kind, NOW);
		buf_clear(&words);
		assert_int_equal(fault_put_sentence(&words, latest("acme")), 0);
		assert_int_equal(fault_put_advice(&words, latest("acme")), 0);
		assert_null(strchr(buf_string(&words), '{'));
		assert_in_range(buf_bytes(&words), 20, 500);
	}
}

static void
test_json(void **state)
{
	struct span lines, line;
	json_t *row;

	(void)state;
	add("acme", "photos", FAULTS_TIME, NOW);
	add("acme", "photos", FAULTS_TIME, NOW + 5);
	add("zoo", "\xff\"\n", FAULTS_CRASHED, NOW + 7);
	assert_int_equal(faults_put_names(&words, &faults), 0);
	assert_true(span_equal(buf_span(&words), SPAN("zoo\0acme\0")));
	buf_clear(&words);
	assert_int_equal(faults_put_json(&words, tenant("zoo")), 0);
	assert_int_equal(faults_put_json(&words, tenant("acme")), 0);
	lines = buf_span(&words);
	line = span_cut(&lines, '\n');
	row = json_loadb(line.data, line.bytes, 0, NULL);
	assert_non_null(row);
	assert_string_equal(json_string_value(json_object_get(row, "tenant")),
	    "zoo");
	json_decref(row);
	line = span_cut(&lines, '\n');
	row = json_loadb(line.data, line.bytes, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(row);
	for (size_t i = 0; i < 8; i++) {
		static const char *const want[][2] = { { "tenant", "acme" },
			{ "function", "photos" }, { "fault", "time" },
			{ "class", "limit" }, { "limit", "limits.time" },
			{ "value", "10 s" },
			{ "request", "0123456789ABCDEFGHJKMNPQRS" },
			{ "says",
			    "2 requests of photos took longer than limits.time "
			    "= 10 s" } };

		assert_string_equal(json_string_value(json_object_get(row,
					want[i][0])),
		    want[i][1]);
	}
	assert_int_equal(json_integer_value(json_object_get(row, "count")), 2);
	assert_int_equal(json_integer_value(json_object_get(row,
			     "first_unix_ms")),
	    NOW);
	assert_int_equal(json_integer_value(json_object_get(row,
			     "last_unix_ms")),
	    NOW + 5);
	json_decref(row);
	assert_int_equal(lines.bytes, 0);
}

/* ---- counting --------------------------------------------------------------- */

static void
test_apart(void **state)
{
	(void)state;
	add("acme", "a", FAULTS_TIME, NOW);
	add("acme", "b", FAULTS_TIME, NOW);
	add("acme", "a", FAULTS_CRASHED, NOW);
	add("zoo", "a", FAULTS_TIME, NOW);
	add("acme", "a", FAULTS_TIME, NOW + 1);
	assert_int_equal(tenant("acme")->row_count, 3);
	assert_int_equal(tenant("acme")->count, 4);
	assert_int_equal(tenant("zoo")->count, 1);
	assert_int_equal(faults.count, 5);
	assert_int_equal(latest("acme")->count, 2);
	assert_string_equal(latest("acme")->function, "a");
	assert_ptr_equal(faults_worst(tenant("acme")), latest("acme"));
	assert_null(tenant("nobody"));
	assert_null(tenant("acm"));
}

static void
test_one_tenant_is_bounded(void **state)
{
	char name[16];

	(void)state;
	add("zoo", "f", FAULTS_TIME, NOW);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		add("acme", name, FAULTS_TIME, NOW + i);
	}
	assert_int_equal(tenant("acme")->row_count, FAULTS_TENANT_MOST);
	assert_int_equal(tenant("acme")->count, 1000);
	assert_int_equal(tenant("acme")->forgotten, 1000 - FAULTS_TENANT_MOST);
	assert_string_equal(latest("acme")->function, "f999");
	assert_int_equal(tenant("zoo")->count, 1);
	assert_int_equal(faults_put_json(&words, tenant("acme")), 0);
	assert_non_null(strstr(buf_string(&words), "936 more, longer ago"));
}

static void
test_all_are_bounded(void **state)
{
	char name[16];

	(void)state;
	for (unsigned i = 0; i < FAULTS_ROWS_MOST + 100; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		add(name, "f", FAULTS_TIME, NOW + i);
		add("busy", "f", FAULTS_TIME, NOW + i);
	}
	assert_int_equal(faults.row_count, FAULTS_ROWS_MOST);
	assert_int_equal(faults.tenants.count, FAULTS_ROWS_MOST);
	assert_int_equal(tenant("busy")->count, FAULTS_ROWS_MOST + 100);
	assert_null(tenant("t0"));
	assert_int_equal(faults.count, 2 * (FAULTS_ROWS_MOST + 100));
	assert_int_equal(faults_put_names(&words, &faults), 0);
}

static void
test_lately(void **state)
{
	const struct faults_tenant *most[2];

	(void)state;
	assert_int_equal(faults_most(&faults, NOW, most, 2), 0);
	for (unsigned i = 0; i < 100; i++)
		add("long", "f", FAULTS_TIME, NOW);
	for (unsigned i = 0; i < 9; i++)
		add("late", "f", FAULTS_TIME, NOW + 5 * HOUR);
	add("little", "f", FAULTS_TIME, NOW + 5 * HOUR);
	assert_int_equal(faults_most(&faults, NOW + 5 * HOUR, most, 2), 2);
	assert_string_equal(most[0]->name, "late");
	assert_string_equal(most[1]->name, "long");
	assert_int_equal(faults_most(&faults, NOW + 2 * HOUR, most, 2), 2);
	assert_string_equal(most[0]->name, "long");
	add("long", "f", FAULTS_TIME, NOW + 5 * HOUR);
	assert_int_equal(tenant("long")->lately, 100 / 32 + 1);
	assert_int_equal(tenant("long")->count, 101);
	/* nothing goes wrong when the clock does */
	add("long", "f", FAULTS_TIME, NOW);
	assert_int_equal(tenant("long")->lately, 100 / 32 + 2);
	assert_int_equal(faults_most(&faults, NOW + 1000 * (uint64_t)HOUR, most,
			     1),
	    1);
}

/* ---- ends ------------------------------------------------------------------- */

/* A new row of ends.def is a fault, the client's, or named here. */
static void
test_ends(void **state)
{
	static const enum end none[] = { END_SWITCHED_OFF, END_DRAINING };
	static const enum end of_clients[] = { END_BODY_SIZE, END_UPLOAD_TIME,
		END_HEAD_SIZE };

	(void)state;
	for (int end = 0; end < ENDS; end++) {
		const struct end_row *row = end_row((enum end)end);
		bool wanted =
		    row->fault != FAULT_NOBODY && row->fault != FAULT_CLIENT;
		bool is = fault_of_end((enum end)end, SPAN_NONE) != FAULTS;

		for (size_t i = 0; i < COUNT(none); i++)
			wanted = wanted && end != (int)none[i];
		for (size_t i = 0; i < COUNT(of_clients); i++)
			wanted = wanted || end == (int)of_clients[i];
		if (is != wanted)
			fail_msg("%s is %s fault of faults.def", row->name,
			    is ? "a" : "no");
	}
	assert_int_equal(fault_of_end(END_QUEUE_FULL, SPAN("queue.tenant")),
	    FAULTS_QUEUE_FULL);
	assert_int_equal(fault_of_end(END_QUEUE_FULL, SPAN("queue.host")),
	    FAULTS_HOST_FULL);
}

int
main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test_setup_teardown(test_all_words, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_tenant_is_bounded,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_are_bounded, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_lately, setup, teardown),
		cmocka_unit_test(test_ends),
	};

	return RUN_ROWS(word_rows, test_words) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
