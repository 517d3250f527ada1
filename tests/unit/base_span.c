/* SPDX-License-Identifier: MIT */
/* If this fails, bytes from clients are compared, cut or read as numbers
 * wrongly, everywhere. */

#include "rows.h"

#include "base/list.h"
#include "base/span.h"

struct number_row {
	const char *sentence;
	struct span text;
	uint64_t most;
	int result;
	uint64_t value;
};

static const struct number_row numbers[] = {
	{ "nothing is not a number", SPAN(""), 9, -1, 0 },
	{ "an absent span is not a number", SPAN_NONE, 9, -1, 0 },
	{ "zero is a number", SPAN("0"), 9, 0, 0 },
	{ "zero is a number when nothing more is allowed", SPAN("0"), 0, 0, 0 },
	{ "leading zeros do not matter", SPAN("007"), 7, 0, 7 },
	{ "the most allowed is allowed", SPAN("65535"), 65535, 0, 65535 },
	{ "one more than allowed is refused", SPAN("65536"), 65535, -1, 0 },
	{ "one digit above a small most is refused", SPAN("5"), 4, -1, 0 },
	{ "the largest number of 64 bits can be read",
	    SPAN("18446744073709551615"), UINT64_MAX, 0, UINT64_MAX },
	{ "one more than 64 bits hold does not wrap",
	    SPAN("18446744073709551616"), UINT64_MAX, -1, 0 },
	{ "many digits do not wrap to something small",
	    SPAN("100000000000000000000000000000001"), UINT64_MAX, -1, 0 },
	{ "a sign is not a digit", SPAN("-1"), UINT64_MAX, -1, 0 },
	{ "a plus is not a digit", SPAN("+1"), UINT64_MAX, -1, 0 },
	{ "a blank before is refused", SPAN(" 1"), 9, -1, 0 },
	{ "a blank behind is refused", SPAN("1 "), 9, -1, 0 },
	{ "hexadecimal is refused", SPAN("0x1"), 9, -1, 0 },
	{ "a NUL inside is refused",
	    SPAN("1\0"
		 "2"),
	    99, -1, 0 },
	{ "a byte above 127 is refused", SPAN("\xb1"), 99, -1, 0 },
};

static void
number(void **state)
{
	const struct number_row *row = *state;
	uint64_t value = 77;

	assert_int_equal(span_number(row->text, row->most, &value),
	    row->result);
	assert_true(value == (row->result == 0 ? row->value : 77));
}

enum relation {
	EQUAL = 1,
	EQUAL_NOCASE = 2,
	STARTS = 4,
	STARTS_NOCASE = 8,
	ENDS = 16,
};

struct compare_row {
	const char *sentence;
	struct span a, b;
	unsigned holds;
};

static const struct compare_row compares[] = {
	{ "a span equals itself in every way", SPAN("Status"), SPAN("Status"),
	    EQUAL | EQUAL_NOCASE | STARTS | STARTS_NOCASE | ENDS },
	{ "case matters only where it should", SPAN("STATUS"), SPAN("Status"),
	    EQUAL_NOCASE | STARTS_NOCASE },
	{ "an absent span equals an empty one", SPAN_NONE, SPAN(""),
	    EQUAL | EQUAL_NOCASE | STARTS | STARTS_NOCASE | ENDS },
	{ "everything starts and ends with nothing", SPAN("x"), SPAN_NONE,
	    STARTS | STARTS_NOCASE | ENDS },
	{ "a prefix is not the whole", SPAN("HTTP_HOST"), SPAN("http_"),
	    STARTS_NOCASE },
	{ "a suffix is not a prefix", SPAN("hello.conf"), SPAN(".conf"), ENDS },
	{ "what is longer is no prefix", SPAN("ab"), SPAN("abc"), 0 },
	{ "letters end where the alphabet does", SPAN("[{@`"), SPAN("{[`@"),
	    0 },
	{ "bytes above 127 have no case", SPAN("\xc4"), SPAN("\xe4"), 0 },
	{ "a NUL does not end a comparison", SPAN("a\0b"), SPAN("a\0c"), 0 },
};

static void
compare(void **state)
{
	const struct compare_row *row = *state;
	unsigned holds = 0;

	holds |= span_equal(row->a, row->b) ? EQUAL : 0;
	holds |= span_equal_nocase(row->a, row->b) ? EQUAL_NOCASE : 0;
	holds |= span_starts(row->a, row->b) ? STARTS : 0;
	holds |= span_starts_nocase(row->a, row->b) ? STARTS_NOCASE : 0;
	holds |= span_ends(row->a, row->b) ? ENDS : 0;
	assert_int_equal(holds, row->holds);
}

struct cut_row {
	const char *sentence;
	const char *text;
	const char *parts[5];
};

static const struct cut_row cuts[] = {
	{ "without a separator all of it is one part", "abc", { "abc" } },
	{ "a separator makes two", "a/b", { "a", "b" } },
	{ "one at the end leaves an empty last part", "a/", { "a", "" } },
	{ "one at the front leaves an empty first part", "/a", { "", "a" } },
	{ "two in a row leave an empty one between", "a//b", { "a", "", "b" } },
	{ "an empty text is one empty part", "", { "" } },
};

static void
cut(void **state)
{
	const struct cut_row *row = *state;
	struct span rest = span_of(row->text), part;
	size_t i = 0;

	while (rest.data) {
		assert_non_null(row->parts[i]);
		part = span_cut(&rest, '/');
		assert_true(span_equal(part, span_of(row->parts[i++])));
		assert_non_null(part.data);
	}
	assert_null(row->parts[i]);
	/* the absent span stays absent */
	assert_null(span_cut(&rest, '/').data);
}

static void
skip_and_take_stop_at_the_end(void **state)
{
	struct span s = SPAN("abc");

	(void)state;
	assert_true(span_equal(span_skip(s, 1), SPAN("bc")));
	assert_true(span_equal(span_take(s, 1), SPAN("a")));
	assert_int_equal(span_skip(s, 4).bytes, 0);
	assert_ptr_equal(span_skip(s, SIZE_MAX).data, s.data + 3);
	assert_true(span_equal(span_take(s, SIZE_MAX), s));
	assert_null(span_skip(SPAN_NONE, 1).data);
	assert_null(span_take(SPAN_NONE, 1).data);
}

static void
trim_takes_blanks_and_tabs_only(void **state)
{
	(void)state;
	assert_true(span_equal(span_trim(SPAN(" \t a b\t ")), SPAN("a b")));
	assert_true(span_equal(span_trim(SPAN("\r\na\v")), SPAN("\r\na\v")));
	assert_int_equal(span_trim(SPAN(" \t ")).bytes, 0);
	assert_null(span_trim(SPAN_NONE).data);
}

static void
find_gives_the_first_or_minus_one(void **state)
{
	(void)state;
	assert_int_equal(span_find(SPAN("a=b=c"), '='), 1);
	assert_int_equal(span_find(SPAN("abc"), '='), -1);
	assert_int_equal(span_find(SPAN("ab\0="), '='), 3);
	assert_int_equal(span_find(SPAN_NONE, '='), -1);
}

static void
dup_is_a_string_of_its_own(void **state)
{
	char *copy = span_dup(span_take(SPAN("hello"), 4));
	char *none = span_dup(SPAN_NONE);

	(void)state;
	assert_string_equal(copy, "hell");
	assert_string_equal(none, "");
	free(copy);
	free(none);
}

struct item {
	int value;
	struct list node;
};

static void
lists_keep_order_and_survive_removal(void **state)
{
	struct list head;
	struct item items[4];
	int seen = 0;

	(void)state;
	list_init(&head);
	assert_true(list_empty(&head));
	assert_null(list_first(&head));
	assert_null(list_last(&head));
	for (int i = 1; i <= 3; i++) {
		items[i].value = i;
		list_add_last(&head, &items[i].node);
	}
	items[0].value = 0;
	list_add_first(&head, &items[0].node);
	LIST_EACH(node, &head) {
		struct item *item = LIST_OWNER(node, struct item, node);

		assert_int_equal(item->value, seen++);
		list_remove(node);
		list_remove(node); /* twice is harmless */
	}
	assert_int_equal(seen, 4);
	assert_true(list_empty(&head));
}

static const struct CMUnitTest others[] = {
	{ .name = "skip and take stop at the end",
	    .test_func = skip_and_take_stop_at_the_end },
	{ .name = "trim takes blanks and tabs, not line ends",
	    .test_func = trim_takes_blanks_and_tabs_only },
	{ .name = "find gives the first index or -1",
	    .test_func = find_gives_the_first_or_minus_one },
	{ .name = "a copy is a string of its own",
	    .test_func = dup_is_a_string_of_its_own },
	{ .name = "a list keeps its order and survives removal while walked",
	    .test_func = lists_keep_order_and_survive_removal },
};

int
main(void)
{
	return RUN_ROWS(numbers, number) + RUN_ROWS(compares, compare) +
	    RUN_ROWS(cuts, cut) + cmocka_run_group_tests(others, NULL, NULL);
}
