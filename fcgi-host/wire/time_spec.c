/* SPDX-License-Identifier: MIT */
/* time_spec.c - quantities with their unit written. One parser and one writer
 * over two tables of units; whole numbers only, no floating point, so that what
 * is read is exactly what was written. */
#include <inttypes.h>
#include <stdio.h>

#include "wire/time_spec.h"

struct unit {
	const char *name;
	uint64_t factor; /* of what the parser returns */
	uint64_t divisor;
	const char *written; /* by *_spec_text; NULL: only read */
};

/* Ascending: the writer prefers the later of two texts as long. */
static const struct unit time_units[] = {
	{ "us", 1, 1000, NULL },
	{ "ms", 1, 1, "ms" },
	{ "s", 1000, 1, "s" },
	{ "m", 60 * 1000, 1, "m" },
	{ "h", 60 * 60 * 1000, 1, "h" },
	{ "d", 24 * 60 * 60 * 1000, 1, "d" },
	{ NULL, 0, 0, NULL },
};

static const struct unit size_units[] = {
	{ "B", 1, 1, " B" },
	{ "K", 1024, 1, NULL },
	{ "KiB", 1024, 1, " KiB" },
	{ "M", 1024 * 1024, 1, NULL },
	{ "MiB", 1024 * 1024, 1, " MiB" },
	{ "G", 1024 * 1024 * 1024, 1, NULL },
	{ "GiB", 1024 * 1024 * 1024, 1, " GiB" },
	{ NULL, 0, 0, NULL },
};

/* What is written before the unit: whole + fraction / scale. */
struct number {
	uint64_t whole;
	uint64_t fraction;
	uint64_t scale; /* a power of ten */
};

static enum time_spec_error parse(struct span, const struct unit *,
    uint64_t *value);
static const char *write_shortest(uint64_t value, const struct unit *,
    char text[32]);

const char *
time_spec_error_words(enum time_spec_error error)
{
	switch (error) {
	case TIME_SPEC_OK:
		return "is good";
	case TIME_SPEC_EMPTY:
		return "is empty";
	case TIME_SPEC_NO_NUMBER:
		return "does not begin with a number such as 10 or 1.5";
	case TIME_SPEC_NO_UNIT:
		return "lacks its unit";
	case TIME_SPEC_BAD_UNIT:
		return "has a unit that is not known";
	case TIME_SPEC_TOO_LARGE:
		return "is too large or has too many digits";
	}
	return "unknown";
}

enum time_spec_error
time_spec_parse(struct span s, uint64_t *ms)
{
	return parse(s, time_units, ms);
}

enum time_spec_error
size_spec_parse(struct span s, uint64_t *bytes)
{
	return parse(s, size_units, bytes);
}

const char *
time_spec_text(uint64_t ms, char text[32])
{
	return write_shortest(ms, time_units, text);
}

const char *
size_spec_text(uint64_t bytes, char text[32])
{
	return write_shortest(bytes, size_units, text);
}

/* Digits of *s into *number; how many there were, or -1: they do not fit. */
static int
take_digits(struct span *s, uint64_t *number)
{
	int count = 0;

	*number = 0;
	while (s->bytes > 0 && s->data[0] >= '0' && s->data[0] <= '9') {
		uint64_t digit = (uint64_t)(s->data[0] - '0');

		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, digit, number))
			return -1;
		*s = span_skip(*s, 1);
		count++;
	}
	return count;
}

static enum time_spec_error
take_number(struct span *s, struct number *n)
{
	int digits = take_digits(s, &n->whole);

	n->fraction = 0;
	n->scale = 1;
	if (digits > 0 && span_starts(*s, SPAN("."))) {
		*s = span_skip(*s, 1);
		digits = take_digits(s, &n->fraction);
		for (int i = 0; i < digits; i++)
			if (__builtin_mul_overflow(n->scale, 10, &n->scale))
				return TIME_SPEC_TOO_LARGE;
	}
	if (digits == 0)
		return TIME_SPEC_NO_NUMBER;
	return digits < 0 ? TIME_SPEC_TOO_LARGE : TIME_SPEC_OK;
}

static uint64_t
divide_up(uint64_t value, uint64_t by)
{
	return value / by + (value % by > 0);
}

/* Rounded up: a limit that is not 0 must not become "off". */
static enum time_spec_error
multiply(const struct number *n, const struct unit *u, uint64_t *value)
{
	uint64_t whole, fraction;

	if (__builtin_mul_overflow(n->whole, u->factor, &whole) ||
	    __builtin_mul_overflow(n->fraction, u->factor, &fraction) ||
	    __builtin_add_overflow(whole, divide_up(fraction, n->scale),
		&whole))
		return TIME_SPEC_TOO_LARGE;
	*value = divide_up(whole, u->divisor);
	return TIME_SPEC_OK;
}

static enum time_spec_error
parse(struct span s, const struct unit *units, uint64_t *value)
{
	struct number n;
	enum time_spec_error error;

	s = span_trim(s);
	if (s.bytes == 0)
		return TIME_SPEC_EMPTY;
	error = take_number(&s, &n);
	if (error != TIME_SPEC_OK)
		return error;

	s = span_trim(s);
	if (s.bytes == 0) {
		if (n.whole != 0 || n.fraction != 0)
			return TIME_SPEC_NO_UNIT;
		*value = 0;
		return TIME_SPEC_OK;
	}
	for (const struct unit *u = units; u->name != NULL; u++)
		if (span_equal(s, span_of(u->name)))
			return multiply(&n, u, value);
	return TIME_SPEC_BAD_UNIT;
}

/* "1.5s": at most three decimals, and never "0.x". False when the unit is too
 * large or too coarse for the value. */
static bool
write_in(uint64_t value, const struct unit *u, char text[32])
{
	uint64_t whole = value / u->factor;
	uint64_t thousandths = value % u->factor * 1000;
	int decimals = 3;

	if (whole == 0 || thousandths % u->factor != 0)
		return false;
	thousandths /= u->factor;
	if (thousandths == 0) {
		snprintf(text, 32, "%" PRIu64 "%s", whole, u->written);
		return true;
	}
	while (thousandths % 10 == 0) {
		thousandths /= 10;
		decimals--;
	}
	snprintf(text, 32, "%" PRIu64 ".%0*" PRIu64 "%s", whole, decimals,
	    thousandths, u->written);
	return true;
}

static const char *
write_shortest(uint64_t value, const struct unit *units, char text[32])
{
	size_t best = 32;
	char candidate[32];

	memcpy(text, "0", 2);
	for (const struct unit *u = units; u->name != NULL; u++) {
		size_t bytes;
		bool whole;

		if (u->written == NULL || !write_in(value, u, candidate))
			continue;
		/* As long: the larger unit, but 1234ms rather than 1.234s. */
		bytes = strlen(candidate);
		whole = strchr(candidate, '.') == NULL;
		if (bytes < best || (bytes == best && whole)) {
			best = bytes;
			memcpy(text, candidate, bytes + 1);
		}
	}
	return text;
}
