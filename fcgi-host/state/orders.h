/* SPDX-License-Identifier: MIT */
/* orders.h - the JSON bodies of /atomic, /counter/ and /get, as what the store
 * takes. Strict: a member that is not known is refused, so that a misspelt
 * "verison" is no check that always holds. Pure. */
#ifndef STATE_ORDERS_H
#define STATE_ORDERS_H

#include "base/buf.h"
#include "base/span.h"

#include "state/problem.h"
#include "state/store.h"

struct orders_limits {
	size_t checks;
	size_t ops;
	size_t keys;
	uint64_t value; /* bytes of one */
};

enum {
	ORDERS_DEPTH_MOST = 8,	  /* arrays and objects in one another */
	ORDERS_WHY_MOST = 256,	  /* bytes of a sentence, with NUL */
	ORDERS_MEMBERS_MOST = 24, /* commas and brackets an operation, so that
				   * a body cannot become a thousand times its
				   * size in memory */
	ORDERS_TYPE_MOST = STORE_TYPE_MOST,
};

struct orders {
	/* ours; NULL when there are none */
	struct store_check *checks;
	struct store_op *ops;
	struct span *keys;
	uint64_t *versions; /* what checks point to */
	size_t check_count;
	size_t op_count;
	size_t key_count;
	bool values; /* of keys */

	void *document;	  /* ours: what the spans point to */
	struct buf bytes; /* ours: what was base 64 */

	/* of what was refused */
	enum problem problem;
	char why[ORDERS_WHY_MOST];
	uint64_t limit; /* of PROBLEM_TOO_LARGE */
	uint64_t size;
};

void orders_init(struct orders *);
void orders_free(struct orders *); /* may be used again */

/* All: 0, or -1 with problem and why. A body of no bytes is "{}" for a counter
 * alone. The orders do not refer to the body afterwards. */
int orders_read_atomic(struct orders *, struct span body,
    const struct orders_limits *);
int orders_read_counter(struct orders *, struct span key, struct span body);
int orders_read_many(struct orders *, struct span body,
    const struct orders_limits *);

/* May be a Content-Type: 1 to ORDERS_TYPE_MOST bytes of printable ASCII. */
bool type_good(struct span);

#endif
