/* SPDX-License-Identifier: MIT */
/* If this fails, a function is told something else than its visitor wrote into the
 * form, or a cookie that was not sent. */
#include "wire_spans.h"

#include "sdk/pairs.h"

static const struct row {
	const char *sentence;
	struct span text;
	const char *pairs; /* "name=value(bytes)\n" each */
} forms[] = {
	{ "two values", SPAN("a=1&b=2"), "a=1(1)\nb=2(1)\n" },
	{ "a name twice", SPAN("a=1&a=2"), "a=1(1)\na=2(1)\n" },
	{ "a name without a value", SPAN("a"), "a=(0)\n" },
	{ "an empty value", SPAN("a="), "a=(0)\n" },
	{ "an empty name", SPAN("=1"), "=1(1)\n" },
	{ "a '=' in a value", SPAN("a=b=c"), "a=b=c(3)\n" },
	{ "nothing between separators", SPAN("&&a=1&&"), "a=1(1)\n" },
	{ "nothing", SPAN(""), "" },
	{ "separators only", SPAN("&&&"), "" },
	{ "a ';' is no separator", SPAN("a=1;b=2"), "a=1;b=2(5)\n" },
	{ "blanks as '+'", SPAN("a+b=c+d"), "a b=c d(3)\n" },
	{ "an escaped '+' is one", SPAN("a=%2B"), "a=+(1)\n" },
	{ "escapes in both cases", SPAN("%61%2f=%C3%a4"), "a/=\xc3\xa4(2)\n" },
	{ "separators that are escaped", SPAN("a=%26b%3dc"), "a=&b=c(4)\n" },
	{ "an escape decodes once", SPAN("a=%2541"), "a=%41(3)\n" },
	{ "what is no escape stays", SPAN("a=%&b=%g0&c=%4&d=100%"),
	    "a=%(1)\nb=%g0(3)\nc=%4(2)\nd=100%(4)\n" },
	{ "half an escape before an escape", SPAN("a=%%41"), "a=%A(2)\n" },
	{ "an escape does not reach over a separator", SPAN("a=%4&1=b"),
	    "a=%4(2)\n1=b(1)\n" },
	{ "an escaped NUL counts", SPAN("a=b%00c"), "a=b(3)\n" },
	{ "a NUL as it is counts", SPAN("a=b\0c"), "a=b(3)\n" },
	{ "a line end", SPAN("a=1%0D%0A2"), "a=1\r\n2(4)\n" },
}, cookies[] = {
	{ "two cookies", SPAN("a=1; b=2"), "a=1(1)\nb=2(1)\n" },
	{ "no blank between", SPAN("a=1;b=2"), "a=1(1)\nb=2(1)\n" },
	{ "nothing is decoded", SPAN("a=%41+b"), "a=%41+b(5)\n" },
	{ "quotes stay", SPAN("a=\"b\""), "a=\"b\"(3)\n" },
	{ "blanks around", SPAN("  a=1  ;  "), "a=1(1)\n" },
	{ "an '&' is no separator", SPAN("a=1&b=2"), "a=1&b=2(5)\n" },
	{ "nothing", SPAN(""), "" },
};

static void
check(const struct row *row, const struct pairs *p, int result)
{
	char text[512] = "";
	size_t at = 0;

	assert_int_equal(result, 0);
	assert_true(p->read);
	for (size_t i = 0; i < p->count; i++) {
		const struct fn_pair *pair = &p->list[i];

		assert_int_equal(pair->value[pair->bytes], '\0');
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		    "%s=%s(%zu)\n", pair->name, pair->value, pair->bytes);
	}
	assert_string_equal(text, row->pairs);
}

static void
test_form(void **state)
{
	const struct row *row = *state;
	struct pairs p = { 0 };
	int result = pairs_read_form(&p, row->text);

	check(row, &p, result);
	pairs_free(&p);
	assert_false(p.read);
}

static void
test_cookie(void **state)
{
	const struct row *row = *state;
	struct pairs p = { 0 };
	int result = pairs_read_cookies(&p, row->text);

	check(row, &p, result);
	pairs_free(&p);
}

static void
test_find(void **state)
{
	struct pairs p = { 0 };

	(void)state;
	assert_null(pairs_find(&p, "a"));
	pairs_read_form(&p, SPAN("a=1&b&a=2&A=3"));
	assert_string_equal(pairs_find(&p, "a"), "1");
	assert_string_equal(pairs_find(&p, "A"), "3");
	assert_string_equal(pairs_find(&p, "b"), "");
	assert_null(pairs_find(&p, "c"));
	assert_null(pairs_find(&p, ""));
	pairs_free(&p);
	pairs_free(&p);
}

static void
test_most(void **state)
{
	static char text[2 * (PAIRS_MOST + 1)];
	struct pairs p = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "a&"[i % 2];
	assert_int_equal(pairs_read_form(&p,
			     span_make(text, (size_t)2 * PAIRS_MOST)),
	    0);
	assert_int_equal(p.count, PAIRS_MOST);
	pairs_free(&p);
	assert_int_equal(pairs_read_form(&p, span_make(text, sizeof(text))),
	    -1);
	assert_int_equal(p.count, PAIRS_MOST);
	assert_string_equal(pairs_find(&p, "a"), "");
	pairs_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_most),
	};

	return RUN_ROWS(forms, test_form) + RUN_ROWS(cookies, test_cookie) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
