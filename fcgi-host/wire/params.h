/* SPDX-License-Identifier: MIT */
/* params.h - FastCGI name-value pairs (specification section 3.4) to and from
 * bytes, with the limits and rules a host needs. Pure. Spans point into the
 * parsed stream. */
#ifndef WIRE_PARAMS_H
#define WIRE_PARAMS_H

#include "base/buf.h"
#include "base/span.h"

enum {
	PARAMS_STREAM_MOST = 128 * 1024, /* bytes of a request's PARAMS */
	PARAMS_COUNT_MOST = 512,
	PARAMS_NAME_MOST = 512,
};

struct param {
	struct span name;
	struct span value;
};

enum params_result {
	PARAMS_PAIR,	  /* *pair holds the next one */
	PARAMS_DONE,	  /* the stream ends at a pair boundary */
	PARAMS_CUT,	  /* it ends in the middle of a pair */
	PARAMS_BAD_NAME,  /* empty, or with NUL or '=' in it (R16, F7) */
	PARAMS_BAD_VALUE, /* NUL in it: no environment can carry that */
	PARAMS_TOO_LONG,  /* a name above PARAMS_NAME_MOST */
};
const char *params_result_words(enum params_result);

/* The next pair of a stream that is complete; takes it from *rest, which stays
 * as it is for any other result. Lengths in the 1-byte and 4-byte forms, also a
 * long form for a short length. PARAMS_STREAM_MOST and PARAMS_COUNT_MOST are
 * for the caller to keep: it holds the stream and the count. */
enum params_result params_next(struct span *rest, struct param *pair);
/* The same by the frame alone, whatever name and value are made of: gives
 * PARAMS_PAIR, PARAMS_DONE or PARAMS_CUT. */
enum params_result params_cut(struct span *rest, struct param *pair);

/* 0, or -1 at the buf's ceiling with nothing written. */
int params_put(struct buf *, struct span name, struct span value);
/* The same with a value that the caller writes: to there, all of its bytes, before
 * anything else is put. NULL: as -1. */
char *params_put_room(struct buf *, struct span name, size_t value_bytes);

#endif
