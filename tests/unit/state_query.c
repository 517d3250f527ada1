/* SPDX-License-Identifier: MIT */
/* If this fails, a parameter means something else than it says, or a misspelt one
 * is taken for none. */
#include "rows.h"

#include "state/query.h"

#define ALL (~0u)

static const struct query_row {
	const char *sentence;
	struct span raw;
	enum query_error error;
	const char *words; /* of the error */
} queries[] = {
	{ "nothing is good", SPAN(""), QUERY_OK, NULL },
	{ "empty parameters are none", SPAN("&&limit=1&"), QUERY_OK, NULL },
	{ "a number", SPAN("since=57"), QUERY_OK, NULL },
	{ "the largest version", SPAN("since=9007199254740991"), QUERY_OK,
	    NULL },
	{ "a larger one", SPAN("since=9007199254740992"), QUERY_BAD_VALUE,
	    "the parameter since is no version" },
	{ "a sign", SPAN("since=-1"), QUERY_BAD_VALUE, NULL },
	{ "blanks", SPAN("since=+1"), QUERY_BAD_VALUE, NULL },
	{ "no number", SPAN("limit="), QUERY_BAD_VALUE, NULL },
	{ "no items", SPAN("limit=0"), QUERY_BAD_VALUE,
	    "the parameter limit is no number" },
	{ "seconds need no unit", SPAN("wait=25"), QUERY_OK, NULL },
	{ "times have units", SPAN("wait=250ms"), QUERY_OK, NULL },
	{ "but known ones", SPAN("wait=1y"), QUERY_BAD_VALUE,
	    "the parameter wait is no time" },
	{ "no time is for ever", SPAN("ttl=99999999999"), QUERY_BAD_VALUE,
	    NULL },
	{ "flags stand alone", SPAN("values"), QUERY_OK, NULL },
	{ "or are 0 or 1", SPAN("values=yes"), QUERY_BAD_VALUE, NULL },
	{ "twice is once too often", SPAN("limit=1&limit=2"), QUERY_TWICE,
	    "the parameter limit is given twice" },
	{ "a misspelt name", SPAN("prefx=a"), QUERY_UNKNOWN,
	    "there is no parameter prefx here" },
	{ "names have their case", SPAN("Limit=1"), QUERY_UNKNOWN, NULL },
	{ "names are not decoded", SPAN("l%69mit=1"), QUERY_UNKNOWN, NULL },
	{ "a token is no parameter (A16)", SPAN("access_token=x"),
	    QUERY_UNKNOWN, NULL },
	{ "half an escape", SPAN("prefix=%2"), QUERY_BAD_ESCAPE, NULL },
	{ "NUL in a prefix", SPAN("prefix=a%00"), QUERY_BAD_VALUE,
	    "the parameter prefix has a control byte in it" },
	{ "no UTF-8 in a prefix", SPAN("start=%ff"), QUERY_BAD_VALUE,
	    "the parameter start is not UTF-8" },
	{ "a delimiter is something", SPAN("delimiter="), QUERY_BAD_VALUE,
	    NULL },
	{ "and short", SPAN("delimiter=01234567890123456"), QUERY_BAD_VALUE,
	    NULL },
	{ "a cursor is base 64", SPAN("cursor=a.b"), QUERY_BAD_VALUE,
	    "the parameter cursor is none that a page gave" },
	{ "and not empty", SPAN("cursor="), QUERY_BAD_VALUE, NULL },
};

static void
test_query(void **state)
{
	const struct query_row *row = *state;
	struct query query;
	struct buf words;

	query_init(&query);
	buf_init(&words, 512);
	assert_int_equal(query_parse(&query, row->raw, ALL), row->error);
	assert_int_equal(query_error_put(&words, &query, row->error), 0);
	if (row->words != NULL)
		assert_string_equal(buf_string(&words), row->words);
	buf_free(&words);
	query_free(&query);
}

static void
test_values(void **state)
{
	struct query q;

	(void)state;
	query_init(&q);
	assert_int_equal(
	    query_parse(&q,
		SPAN("prefix=a+b%2Fc%2B&start=%C3%BC&end=&limit=7&reverse&"
		     "values=0&cursor=Zm9v&delimiter=%2F&since=3&wait=2s&"
		     "ttl=90&expires=1700000000"),
		ALL),
	    QUERY_OK);
	assert_true(span_equal(q.prefix, SPAN("a b/c+")));
	assert_true(span_equal(q.start, SPAN("\xc3\xbc")));
	assert_true(q.end.data != NULL && q.end.bytes == 0);
	assert_true(span_equal(q.cursor, SPAN("foo")));
	assert_true(span_equal(q.delimiter, SPAN("/")));
	assert_true(q.reverse && !q.values);
	assert_int_equal(q.limit, 7);
	assert_int_equal(q.since, 3);
	assert_int_equal(q.wait_ms, 2000);
	assert_int_equal(q.ttl_ms, 90000);
	assert_int_equal(q.expires_ms, 1700000000000);
	/* The next one starts anew. */
	assert_int_equal(query_parse(&q, SPAN("limit=1"), ALL), QUERY_OK);
	assert_true(q.prefix.data == NULL && !q.reverse);
	assert_false(query_has(&q, QUERY_PREFIX));
	query_free(&q);
}

static void
test_takes(void **state)
{
	struct query q;

	(void)state;
	query_init(&q);
	assert_int_equal(query_parse(&q, SPAN("ttl=1"), 1u << QUERY_TTL),
	    QUERY_OK);
	assert_int_equal(query_parse(&q, SPAN("ttl=1"), 1u << QUERY_LIMIT),
	    QUERY_UNKNOWN);
	query_free(&q);
}

static void
test_length(void **state)
{
	static char raw[QUERY_BYTES_MOST + 1];
	struct query q;

	(void)state;
	memset(raw, '&', sizeof(raw));
	query_init(&q);
	assert_int_equal(query_parse(&q, span_make(raw, sizeof(raw) - 1), ALL),
	    QUERY_OK);
	assert_int_equal(query_parse(&q, span_make(raw, sizeof(raw)), ALL),
	    QUERY_TOO_LONG);
	query_free(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_takes),
		cmocka_unit_test(test_length),
	};

	return RUN_ROWS(queries, test_query) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
