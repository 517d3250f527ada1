/* SPDX-License-Identifier: MIT */
/* query.h - the parameters behind '?', typed and checked by the rows of
 * query.def. Percent-decoded once; '+' is a blank, as forms write it. What a
 * route does not take, what is given twice and what is not of its type is
 * refused, so that a misspelt parameter is no silent one. Pure. */
#ifndef STATE_QUERY_H
#define STATE_QUERY_H

#include "base/buf.h"
#include "base/span.h"

enum query_name {
#define QUERY(NAME, name, type, may, sentence) QUERY_##NAME,
#include "state/query.def"
#undef QUERY
	QUERIES
};

enum {
	QUERY_BYTES_MOST = 16 * 1024,
	QUERY_DELIMITER_MOST = 16,
	QUERY_CURSOR_MOST = 1024 + 16, /* decoded */
};

enum query_error {
	QUERY_OK,
	QUERY_UNKNOWN, /* not of this route */
	QUERY_TWICE,
	QUERY_BAD_ESCAPE,
	QUERY_BAD_VALUE,
	QUERY_TOO_LONG,
	QUERY_NO_MEMORY,
};

struct query {
	unsigned given; /* bits of enum query_name */
	uint64_t since;
	uint64_t wait_ms;
	uint64_t ttl_ms;
	uint64_t expires_ms;
	uint64_t limit;
	bool reverse;
	bool values;
	bool deep;
	struct span prefix; /* SPAN_NONE when not given, as the next */
	struct span start;
	struct span end;
	struct span delimiter;
	struct span cursor; /* decoded: bytes of our own */
	/* of an error */
	struct span what; /* the parameter's name as it came */
	const char *may;  /* what it may be; NULL where that is not the point */
	const char *why;  /* more words, or NULL */

	struct buf text; /* ours: what the spans point to */
};

/* Seconds: the end of the year 9999. */
#define QUERY_UNIX_MOST INT64_C(253402300799)

void query_init(struct query *);
void query_free(struct query *);
static inline bool
query_has(const struct query *q, enum query_name name)
{
	return (q->given & 1u << name) != 0;
}

/* `takes` holds the bits of what is allowed; raw outlives an error's `what`.
 * Parsing anew forgets what was there. */
enum query_error query_parse(struct query *, struct span raw, unsigned takes);
/* The sentence of an error. */
int query_error_put(struct buf *, const struct query *, enum query_error);

/* "25s", or seconds without a unit. */
int query_time(struct span, uint64_t *ms);

#endif
