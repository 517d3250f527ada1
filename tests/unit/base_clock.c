/* SPDX-License-Identifier: MIT */
/* If this fails, logs and reports carry wrong times. */

#include "rows.h"

#include "base/clock.h"

struct iso_row {
	const char *sentence;
	uint64_t unix_ms;
	const char *text;
};

static const struct iso_row isos[] = {
	{ "time begins in 1970", 0, "1970-01-01T00:00:00.000Z" },
	{ "milliseconds have three digits", 7, "1970-01-01T00:00:00.007Z" },
	{ "a day ends a millisecond before the next", 86399999,
	    "1970-01-01T23:59:59.999Z" },
	{ "2000 was a leap year", UINT64_C(951782400000),
	    "2000-02-29T00:00:00.000Z" },
	{ "2100 will be none", UINT64_C(4107542400000),
	    "2100-03-01T00:00:00.000Z" },
	{ "a year ends in December", UINT64_C(1735689599999),
	    "2024-12-31T23:59:59.999Z" },
	{ "a leap year has its own 31 December", UINT64_C(1735603200000),
	    "2024-12-31T00:00:00.000Z" },
};

static void
iso(void **state)
{
	const struct iso_row *row = *state;
	char text[25];

	clock_iso(row->unix_ms, text);
	assert_string_equal(text, row->text);
}

static void
every_day_is_what_libc_says(void **state)
{
	char ours[25], theirs[25];
	struct tm tm;

	(void)state;
	for (time_t s = 0; s < (time_t)86400 * 366 * 500; s += 86400 - 61) {
		clock_iso((uint64_t)s * 1000, ours);
		gmtime_r(&s, &tm);
		strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
		assert_string_equal(ours, theirs);
	}
}

static void
the_clocks_agree_with_each_other(void **state)
{
	uint64_t before_us = clock_us(), ms = clock_ms(), us = clock_us();
	uint64_t unix_ms = clock_unix_ms();
	time_t now = time(NULL);

	(void)state;
	assert_true(before_us / 1000 <= ms && ms <= us / 1000);
	assert_true(unix_ms / 1000 <= (uint64_t)now + 1);
	assert_true(unix_ms / 1000 + 60 > (uint64_t)now);
}

static const struct CMUnitTest others[] = {
	{ .name = "every day of 500 years is what libc says",
	    .test_func = every_day_is_what_libc_says },
	{ .name = "the clocks agree with each other",
	    .test_func = the_clocks_agree_with_each_other },
};

int
main(void)
{
	return RUN_ROWS(isos, iso) + cmocka_run_group_tests(others, NULL, NULL);
}
