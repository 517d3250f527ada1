/* SPDX-License-Identifier: MIT */
/* wire_spans.h - spans in tests: compared, and filled. */
#ifndef WIRE_SPANS_H
#define WIRE_SPANS_H

#include "rows.h"

#include "base/buf.h"
#include "base/span.h"

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
