/* SPDX-License-Identifier: MIT */
/* problem.c - problem documents. */
#include "state/problem.h"
#include "state/text.h"

static const struct problem_row rows[PROBLEMS] = {
#define PROBLEM(NAME, name, status, title, sentence) \
	[PROBLEM_##NAME] = { name, status, title, sentence },
#include "state/problems.def"
#undef PROBLEM
};

const struct problem_row *
problem_row(enum problem problem)
{
	return &rows[problem];
}

int
problem_put(struct buf *out, enum problem problem, struct span detail,
    struct span request_id, struct span more)
{
	const struct problem_row *row = &rows[problem];

	if (detail.bytes == 0)
		detail = span_of(row->sentence);
	return buf_printf(out,
		   "{\"type\":\"urn:fn:problem:%s\",\"title\":\"%s\","
		   "\"status\":%u,\"detail\":",
		   row->name, row->title, row->status) != 0 ||
		text_put_words(out, detail) != 0 ||
		buf_put(out, SPAN(",\"instance\":")) != 0 ||
		text_put_words(out, request_id) != 0 ||
		buf_put(out, more) != 0 || buf_put(out, SPAN("}\n")) != 0 ?
	    -1 :
	    0;
}
