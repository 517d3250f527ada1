/* SPDX-License-Identifier: MIT */
/* wire_rows.h - tables of sentences as cmocka tests: every row is a test of its
 * own, named by its sentence, so that the first red line is the diagnosis. */
#ifndef TESTS_WIRE_ROWS_H
#define TESTS_WIRE_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/span.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* A row begins with its sentence. Appends its tests behind *count. */
#define ADD_ROWS(tests, count, table, function)                               \
	add_rows((tests), (count), (table), sizeof((table)[0]), COUNT(table), \
	    (function))

static inline void
add_rows(struct CMUnitTest *tests, size_t *count, const void *table,
    size_t row_bytes, size_t rows, CMUnitTestFunction function)
{
	const char *row = table;

	for (size_t i = 0; i < rows; i++, row += row_bytes) {
		const char *sentence;

		memcpy(&sentence, row, sizeof(sentence));
		tests[(*count)++] = (struct CMUnitTest){
			.name = sentence,
			.test_func = function,
			.initial_state = (void *)(uintptr_t)row,
		};
	}
}

/* Bytes of a kind that a mistake by one shows in: no two neighbours equal. */
static inline void
fill(char *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (char)('a' + i * 7 % 23);
}

static inline void
assert_span(struct span is, struct span wanted)
{
	if (!span_equal(is, wanted))
		fail_msg("is \"%.*s\", wanted \"%.*s\"", SPAN_ARGS(is),
		    SPAN_ARGS(wanted));
}

#endif
