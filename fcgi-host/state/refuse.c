/* SPDX-License-Identifier: MIT */
/* refuse.c - the answer to everybody while keys or storage cannot be opened: 503,
 * and the reason is in the log, where only the operator reads it. A request is its
 * connection: nothing of it is kept. */
#include <stdio.h>

#include "base/clock.h"
#include "base/random.h"
#include "wire/request_id.h"

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
				   "X-Request-Id: %s\r\n"
				   "Content-Type: application/problem+json\r\n"
				   "Cache-Control: no-store\r\n"
				   "Retry-After: 5\r\n\r\n";
	struct connection *c = arg;
	char id[REQUEST_ID_CHARS + 1];
	uint8_t random[10];
	struct buf text;

	random_take(random, sizeof(random));
	request_id_make(id, clock_unix_ms(), random);
	buf_init(&text, PROBLEM_BODY_MOST);
	if (buf_printf(&text, head, id) != 0 ||
	    problem_put(&text, PROBLEM_STORAGE_UNAVAILABLE, SPAN_NONE,
		span_of(id), SPAN(",\"outcome\":\"none\"")) != 0 ||
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
