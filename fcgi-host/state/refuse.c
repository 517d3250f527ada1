/* SPDX-License-Identifier: MIT */
/* refuse.c - the answer to everybody while keys or storage cannot be opened: 503,
 * and the reason is in the log, where only the operator reads it. A request is its
 * connection: nothing of it is kept. */
#include <stdio.h>

#include "base/diag.h"

#include "state/problem.h"
#include "state/state.h"

static void *refuse_begin(struct connection *);
static void refuse_params(void *arg, struct span);
static void refuse_params_end(void *arg);
static void refuse_abort(void *arg, bool gone);

const struct serve_hooks refuse_hooks = {
	.begin = refuse_begin,
	.params = refuse_params,
	.params_end = refuse_params_end,
	.abort = refuse_abort,
};

static void *
refuse_begin(struct connection *c)
{
	return c;
}

static void
refuse_params(void *arg, struct span s)
{
	(void)arg;
	(void)s;
}

static void
refuse_params_end(void *arg)
{
	static const char head[] = "Status: 503 Service Unavailable\r\n"
				   "Content-Type: application/problem+json\r\n"
				   "Cache-Control: no-store\r\n"
				   "Retry-After: 5\r\n\r\n";
	struct connection *c = arg;
	struct buf text;

	buf_init(&text, PROBLEM_BODY_MOST);
	if (buf_put_string(&text, head) != 0 ||
	    problem_put(&text, PROBLEM_STORAGE_UNAVAILABLE, SPAN_NONE,
		SPAN_NONE, SPAN(",\"outcome\":\"none\"")) != 0 ||
	    connection_put(c, buf_span(&text)) != 0)
		connection_break(c, "no memory for an answer");
	else
		connection_end(c, 0);
	buf_free(&text);
}

static void
refuse_abort(void *arg, bool gone)
{
	if (!gone)
		connection_end(arg, 0);
}
