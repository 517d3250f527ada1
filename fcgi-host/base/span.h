/* SPDX-License-Identifier: MIT */
/* span.h - bytes somebody else owns: a pointer and a length, never a string.
 * A span is passed by value and never freed. {NULL, 0} is the absent span,
 * {non-NULL, 0} the empty one. */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *data;
	size_t bytes;
};

#define SPAN(literal) ((struct span){ "" literal, sizeof(literal) - 1 })
#define SPAN_NONE ((struct span){ NULL, 0 })
#define SPAN_ARGS(s) (int)(s).bytes, (s).data /* for "%.*s" */

static inline struct span
span_of(const char *string)
{
	return (struct span){ string, string ? strlen(string) : 0 };
}

static inline struct span
span_make(const void *data, size_t bytes)
{
	return (struct span){ data, bytes };
}

static inline bool
span_equal(struct span a, struct span b)
{
	return a.bytes == b.bytes &&
	    (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

bool span_equal_nocase(struct span, struct span); /* ASCII only */
bool span_starts(struct span, struct span prefix);
bool span_starts_nocase(struct span, struct span prefix);
bool span_ends(struct span, struct span suffix);
struct span span_skip(struct span, size_t bytes); /* at most all of it */
struct span span_take(struct span, size_t bytes); /* at most all of it */
struct span span_trim(struct span);		  /* blanks and tabs */
ptrdiff_t span_find(struct span, char);		  /* index, or -1 */

/* Cuts *rest at the first separator: returns what stands before it and moves
 * *rest behind it; without one returns all of *rest and leaves SPAN_NONE. */
struct span span_cut(struct span *rest, char separator);

/* Decimal digits only, no sign, no blanks: 0, or -1 when it is not a number
 * or above most. */
int span_number(struct span, uint64_t most, uint64_t *value);

char *span_dup(struct span); /* NUL-terminated copy, caller frees */

#endif
