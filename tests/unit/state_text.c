/* SPDX-License-Identifier: MIT */
/* If this fails, what a client stored comes back as something else, or breaks
 * out of a reply. */
#include <jansson.h>

#include "rows.h"

#include "state/page.h"
#include "state/problem.h"
#include "state/text.h"

static const struct value_row {
	const char *sentence;
	struct span value;
	const char *json;
} values[] = {
	{ "text is text", SPAN("hello"), ",\"value\":\"hello\"" },
	{ "nothing is empty text", SPAN(""), ",\"value\":\"\"" },
	{ "quotes and backslashes are escaped", SPAN("\"\\"),
	    ",\"value\":\"\\\"\\\\\"" },
	{ "so are control bytes", SPAN("\b\t\n\f\r\x01\x1f"),
	    ",\"value\":\"\\b\\t\\n\\f\\r\\u0001\\u001f\"" },
	{ "DEL is not", SPAN("\x7f"), ",\"value\":\"\x7f\"" },
	{ "letters of the world stay", SPAN("\xc3\xbc"),
	    ",\"value\":\"\xc3\xbc\"" },
	{ "NUL is for base 64", SPAN("a\0b"), ",\"b64\":\"YQBi\"" },
	{ "bytes that are no UTF-8 too", SPAN("\xff"), ",\"b64\":\"/w==\"" },
};

static void
test_value(void **state)
{
	const struct value_row *row = *state;
	struct buf out;

	buf_init(&out, 1024);
	assert_int_equal(text_put_value(&out, row->value), 0);
	assert_string_equal(buf_string(&out), row->json);
	buf_free(&out);
}

/* Whatever is in a value, its JSON is no larger than half as much again. */
static void
test_growth(void **state)
{
	static char value[4096];
	struct buf out;

	(void)state;
	for (int c = 0; c < 256; c++) {
		memset(value, c, sizeof(value));
		buf_init(&out, sizeof(value) * 3 / 2 + 64 + 16);
		assert_int_equal(text_put_value(&out,
				     span_make(value, sizeof(value))),
		    0);
		buf_free(&out);
	}
}

static void
test_problems(void **state)
{
	(void)state;
	for (int p = 0; p < PROBLEMS; p++) {
		const struct problem_row *row = problem_row((enum problem)p);
		char type[128];
		struct buf out;
		json_t *found;

		buf_init(&out, PROBLEM_BODY_MOST);
		assert_int_equal(problem_put(&out, (enum problem)p,
				     p % 2 ? SPAN("a \"b\"\n\xff") : SPAN_NONE,
				     SPAN("01ARZ"), SPAN(",\"limit\":3")),
		    0);
		found = json_loadb(buf_span(&out).data, buf_bytes(&out),
		    JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(found);
		snprintf(type, sizeof(type), "urn:fn:problem:%s", row->name);
		assert_string_equal(json_string_value(json_object_get(found,
					"type")),
		    type);
		assert_int_equal(json_integer_value(json_object_get(found,
				     "status")),
		    row->status);
		assert_string_equal(json_string_value(json_object_get(found,
					"detail")),
		    p % 2 ? "a \"b\"??" : row->sentence);
		assert_int_equal(json_integer_value(json_object_get(found,
				     "limit")),
		    3);
		json_decref(found);
		buf_free(&out);
	}
}

/* The id is what one resumes from, so it comes with the last of a commit. */
static void
test_events(void **state)
{
	static const struct store_change changes[] = {
		{ STORE_CHANGE_SET, 7, SPAN("a") },
		{ STORE_CHANGE_DELETE, 7, SPAN("b\n") },
		{ STORE_CHANGE_EXPIRE, 9, SPAN("c") },
	};
	const struct store_result result = { .changes = changes,
		.change_count = 3 };
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(page_events(&out, &result), 0);
	assert_string_equal(buf_string(&out),
	    "event: set\ndata: {\"version\":7,\"op\":\"set\",\"key\":\"a\"}"
	    "\n\n"
	    "id: 7\nevent: delete\n"
	    "data: {\"version\":7,\"op\":\"delete\",\"key\":\"b\\n\"}\n\n"
	    "id: 9\nevent: expire\n"
	    "data: {\"version\":9,\"op\":\"expire\",\"key\":\"c\"}\n\n");
	buf_free(&out);
}

static void
test_seconds(void **state)
{
	(void)state;
	assert_int_equal(page_seconds(0), 0);
	assert_int_equal(page_seconds(1), 1);
	assert_int_equal(page_seconds(1000), 1);
	assert_int_equal(page_seconds(1001), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_problems),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_seconds),
	};

	return RUN_ROWS(values, test_value) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
