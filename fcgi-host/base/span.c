/* SPDX-License-Identifier: MIT */
/* span.c - comparing, cutting and reading bytes that somebody else owns.
 * Knows nothing of locales: letters are ASCII letters, blanks are the blank
 * and the tab. Nothing here reads behind data + bytes. */

#include <stdlib.h>

#include "base/span.h"

static unsigned char
lower(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t';
}

bool
span_equal_nocase(struct span a, struct span b)
{
	if (a.bytes != b.bytes)
		return false;
	for (size_t i = 0; i < a.bytes; i++)
		if (lower(a.data[i]) != lower(b.data[i]))
			return false;
	return true;
}

bool
span_starts(struct span s, struct span prefix)
{
	return s.bytes >= prefix.bytes &&
	    span_equal(span_take(s, prefix.bytes), prefix);
}

bool
span_starts_nocase(struct span s, struct span prefix)
{
	return s.bytes >= prefix.bytes &&
	    span_equal_nocase(span_take(s, prefix.bytes), prefix);
}

bool
span_ends(struct span s, struct span suffix)
{
	return s.bytes >= suffix.bytes &&
	    span_equal(span_skip(s, s.bytes - suffix.bytes), suffix);
}

struct span
span_skip(struct span s, size_t bytes)
{
	if (bytes > s.bytes)
		bytes = s.bytes;
	if (bytes == 0) /* NULL + 0 is undefined, too */
		return s;
	return span_make(s.data + bytes, s.bytes - bytes);
}

struct span
span_take(struct span s, size_t bytes)
{
	return span_make(s.data, bytes < s.bytes ? bytes : s.bytes);
}

struct span
span_trim(struct span s)
{
	while (s.bytes > 0 && blank(s.data[0]))
		s = span_skip(s, 1);
	while (s.bytes > 0 && blank(s.data[s.bytes - 1]))
		s.bytes--;
	return s;
}

ptrdiff_t
span_find(struct span s, char c)
{
	const char *at = s.bytes > 0 ? memchr(s.data, c, s.bytes) : NULL;

	return at ? at - s.data : -1;
}

struct span
span_cut(struct span *rest, char separator)
{
	struct span all = *rest;
	ptrdiff_t at = span_find(all, separator);

	if (at < 0) {
		*rest = SPAN_NONE;
		return all;
	}
	*rest = span_skip(all, (size_t)at + 1);
	return span_take(all, (size_t)at);
}

int
span_number(struct span s, uint64_t most, uint64_t *value)
{
	uint64_t sum = 0;

	if (s.bytes == 0)
		return -1;
	for (size_t i = 0; i < s.bytes; i++) {
		unsigned digit = (unsigned)(unsigned char)s.data[i] - '0';

		if (digit > 9 || digit > most || sum > (most - digit) / 10)
			return -1;
		sum = sum * 10 + digit;
	}
	*value = sum;
	return 0;
}

char *
span_dup(struct span s)
{
	char *copy = malloc(s.bytes + 1);

	if (!copy)
		return NULL;
	if (s.bytes > 0)
		memcpy(copy, s.data, s.bytes);
	copy[s.bytes] = '\0';
	return copy;
}
