/* SPDX-License-Identifier: MIT */
/* If this fails, a visitor can write headers of a reply, or markup into its page. */
#include "wire_spans.h"

#include "sdk/field.h"

static const struct row {
	const char *sentence;
	struct span text;
	bool good;
} names[] = {
	{ "a name", SPAN("X-Thing"), true },
	{ "all that a token may have", SPAN("!#$%&'*+-.^_`|~09azAZ"), true },
	{ "no name", SPAN(""), false },
	{ "a blank", SPAN("X Thing"), false },
	{ "a colon", SPAN("X:"), false },
	{ "a line end", SPAN("X\r\nY"), false },
	{ "a byte above 127", SPAN("X\xc3\xa4"), false },
	{ "the status", SPAN("sTatus"), false },
	{ "one of the connection", SPAN("Transfer-Encoding"), false },
	{ "another", SPAN("connection"), false },
	{ "a name like one", SPAN("Connections"), true },
}, values[] = {
	{ "a value", SPAN("text/html; charset=utf-8"), true },
	{ "an empty one", SPAN(""), true },
	{ "a tab", SPAN("a\tb"), true },
	{ "bytes above 127", SPAN("gr\xc3\xbc\xc3\x9f"), true },
	{ "a line end", SPAN("a\r\nSet-Cookie: b=c"), false },
	{ "half of one", SPAN("a\nb"), false },
	{ "the other half", SPAN("a\rb"), false },
	{ "a NUL", SPAN("a\0b"), false },
	{ "an escape", SPAN("a\x1b[2J"), false },
	{ "DEL", SPAN("a\x7f"), false },
};

static void
test_name(void **state)
{
	const struct row *row = *state;

	assert_int_equal(field_name_fault(row->text) == NULL, row->good);
}

static void
test_value(void **state)
{
	const struct row *row = *state;

	assert_int_equal(field_value_fault(row->text) == NULL, row->good);
}

static const struct escape {
	const char *sentence;
	int (*put)(struct buf *, struct span);
	struct span text, wanted;
} escapes[] = {
	{ "html", field_put_html, SPAN("<a href='\"'>&amp;\xc3\xa4"),
	    SPAN("&lt;a href=&#39;&quot;&#39;&gt;&amp;amp;\xc3\xa4") },
	{ "a URL", field_put_url, SPAN("a b/\xc3\xa4?&=+-._~%"),
	    SPAN("a%20b%2F%C3%A4%3F%26%3D%2B-._~%25") },
	{ "a URL with a NUL", field_put_url, SPAN("\0"), SPAN("%00") },
	{ "JSON", field_put_json, SPAN("\"\\\n\x01 \xe2\x82\xac"),
	    SPAN("\"\\\"\\\\\\u000a\\u0001 \xe2\x82\xac\"") },
	{ "JSON of what is not UTF-8", field_put_json,
	    SPAN("a\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82"),
	    SPAN("\"a????????????\"") },
};

static void
test_escape(void **state)
{
	const struct escape *row = *state;
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(row->put(&b, row->text), 0);
	assert_span(buf_span(&b), row->wanted);
	buf_free(&b);
}

static void
test_lengths(void **state)
{
	static char text[FIELD_VALUE_MOST + 1];

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_null(field_value_fault(span_make(text, FIELD_VALUE_MOST)));
	assert_non_null(field_value_fault(span_make(text,
	    FIELD_VALUE_MOST + 1)));
	assert_null(field_name_fault(span_make(text, FIELD_NAME_MOST)));
	assert_non_null(field_name_fault(span_make(text, FIELD_NAME_MOST + 1)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lengths) };

	return RUN_ROWS(names, test_name) + RUN_ROWS(values, test_value) +
	    RUN_ROWS(escapes, test_escape) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
