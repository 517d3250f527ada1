/* SPDX-License-Identifier: MIT */
/* clock.c - two clocks and one way to write a time down. The calendar is
 * computed here because gmtime_r(3) opens /etc/localtime on its first call,
 * which a sandboxed process cannot. */

#include <assert.h>
#include <time.h>

#include "base/clock.h"

static uint64_t
clock_read_us(clockid_t id)
{
	struct timespec now;
	int failed = clock_gettime(id, &now);

	assert(!failed);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t
clock_ms(void)
{
	return clock_read_us(CLOCK_MONOTONIC) / 1000;
}

uint64_t
clock_us(void)
{
	return clock_read_us(CLOCK_MONOTONIC);
}

uint64_t
clock_unix_ms(void)
{
	return clock_read_us(CLOCK_REALTIME) / 1000;
}

static char *
put_digits(char *to, uint64_t value, int digits, char behind)
{
	for (int i = digits - 1; i >= 0; i--, value /= 10)
		to[i] = (char)('0' + value % 10);
	to[digits] = behind;
	return to + digits + 1;
}

/* Gregorian, in eras of 400 years that begin on 1 March, so that the leap day
 * is the last of a year: no table of months, no loop. */
void
clock_iso(uint64_t unix_ms, char text[25])
{
	uint64_t ms = unix_ms % 1000, s = unix_ms / 1000;
	uint64_t days = s / 86400 + 719468; /* since 0000-03-01 */
	uint64_t era_day = days % 146097;
	uint64_t year =
	    (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) /
	    365;
	uint64_t year_day = era_day - (365 * year + year / 4 - year / 100);
	uint64_t month = (5 * year_day + 2) / 153; /* 0 is March */

	year += days / 146097 * 400 + (month >= 10);
	text = put_digits(text, year, 4, '-');
	text = put_digits(text, month < 10 ? month + 3 : month - 9, 2, '-');
	text = put_digits(text, year_day - (153 * month + 2) / 5 + 1, 2, 'T');
	text = put_digits(text, s / 3600 % 24, 2, ':');
	text = put_digits(text, s / 60 % 60, 2, ':');
	text = put_digits(text, s % 60, 2, '.');
	text = put_digits(text, ms, 3, 'Z');
	*text = '\0';
}
