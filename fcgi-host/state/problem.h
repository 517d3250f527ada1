/* SPDX-License-Identifier: MIT */
/* problem.h - errors of the API as application/problem+json (RFC 9457), one row
 * of problems.def each. Pure; what clients chose is escaped. */
#ifndef STATE_PROBLEM_H
#define STATE_PROBLEM_H

#include "base/buf.h"
#include "base/span.h"

enum problem {
#define PROBLEM(NAME, ...) PROBLEM_##NAME,
#include "state/problems.def"
#undef PROBLEM
	PROBLEMS
};

struct problem_row {
	const char *name;
	unsigned status;
	const char *title;
	const char *sentence;
};
const struct problem_row *problem_row(enum problem);

enum { PROBLEM_DETAIL_MOST = 1024, PROBLEM_BODY_MOST = 64 * 1024 };

/* The body: type, title, status, detail, instance (the request id) and `more`,
 * which is further members as JSON text, each with a comma before it, or
 * SPAN_NONE. An empty detail is the row's sentence. 0, or -1 at the ceiling. */
int problem_put(struct buf *, enum problem, struct span detail,
    struct span request_id, struct span more);

#endif
