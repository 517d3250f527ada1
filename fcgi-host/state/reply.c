/* SPDX-License-Identifier: MIT */
/* reply.c - what goes back: a CGI header and a body, put into the connection.
 * Every header of ours has the request's id and forbids caches and guessing. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/diag.h"
#include "wire/cgi_head.h"

#include "state/api.h"
#include "state/text.h"

enum { COMMON_MOST = 512 };

static int put_common(const struct call *, struct buf *, struct span *head);
static void put_problem(struct call *, enum problem, struct span more,
    const char *format, va_list) __attribute__((format(printf, 4, 0)));
static void log_problem(const struct call *, enum problem, struct span detail);

/* Takes the first line of *head, which is its status, and goes on with what all
 * have. */
static int
put_common(const struct call *c, struct buf *out, struct span *head)
{
	return buf_put(out, span_cut(head, '\n')) ||
		buf_printf(out,
		    "\n"
		    "X-Request-Id: %s\r\n"
		    "Cache-Control: no-store\r\n"
		    "X-Content-Type-Options: nosniff\r\n%s",
		    c->id,
		    c->replayed ? "Idempotency-Replayed: true\r\n" : "") ?
	    -1 :
	    0;
}

void
reply_send(struct call *c, struct span head, struct span body)
{
	struct connection *connection = c->connection;
	struct buf common;
	bool failed;

	buf_init(&common, COMMON_MOST);
	failed = put_common(c, &common, &head) != 0 ||
	    connection_put(connection, buf_span(&common)) != 0 ||
	    connection_put(connection, head) != 0 ||
	    (!c->target.head && connection_put(connection, body) != 0);
	buf_free(&common);
	call_over(c);
	if (failed)
		connection_break(connection, "no memory for a reply");
	else
		connection_end(connection, 0);
}

void
reply_json(struct call *c, uint64_t version, struct span body)
{
	char head[160];
	int bytes = snprintf(head, sizeof(head),
	    "Status: 200 OK\r\nFn-Version: %llu\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	    (unsigned long long)version, body.bytes);

	reply_send(c, span_make(head, (size_t)bytes), body);
}

void
reply_page(struct call *c, bool failed, uint64_t version, const char *why)
{
	if (failed)
		reply_undone(c, "%s", why);
	else
		reply_json(c, version, buf_span(&c->out));
}

void
reply_empty(struct call *c, unsigned status, uint64_t version)
{
	char head[128];
	int bytes = snprintf(head, sizeof(head),
	    "Status: %u %s\r\nFn-Version: %llu\r\n\r\n", status,
	    http_reason(status), (unsigned long long)version);

	reply_send(c, span_make(head, (size_t)bytes), SPAN(""));
}

void
reply_unmodified(struct call *c, uint64_t key_version, uint64_t version)
{
	char head[160];
	int bytes = snprintf(head, sizeof(head),
	    "Status: 304 Not Modified\r\nETag: \"%llu\"\r\n"
	    "Fn-Version: %llu\r\n\r\n",
	    (unsigned long long)key_version, (unsigned long long)version);

	reply_send(c, span_make(head, (size_t)bytes), SPAN(""));
}

void
reply_problem(struct call *c, enum problem problem, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_problem(c, problem, SPAN_NONE, format, args);
	va_end(args);
}

void
reply_problem_with(struct call *c, enum problem problem, struct span more,
    const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_problem(c, problem, more, format, args);
	va_end(args);
}

void
reply_undone(struct call *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_problem(c, PROBLEM_STORAGE_UNAVAILABLE,
	    SPAN(",\"outcome\":\"none\""), format, args);
	va_end(args);
}

static void
put_problem(struct call *c, enum problem problem, struct span more,
    const char *format, va_list args)
{
	unsigned status = problem_row(problem)->status;
	char text[PROBLEM_DETAIL_MOST];
	struct span detail;
	struct buf head, body;
	bool failed;

	vsnprintf(text, sizeof(text), format, args);
	detail = span_of(text);
	log_problem(c, problem, detail);
	c->api->figures.problems[problem]++;
	buf_init(&head, 1024);
	buf_init(&body, PROBLEM_BODY_MOST + more.bytes);
	failed = problem_put(&body, problem, detail, span_of(c->id), more) ||
	    buf_printf(&head,
		"Status: %u %s\r\nContent-Type: application/problem+json\r\n"
		"Content-Length: %zu\r\n",
		status, http_reason(status), buf_bytes(&body)) ||
	    (status == 401 &&
		buf_put_string(&head,
		    c->tokenless ? "WWW-Authenticate: Bearer\r\n" :
				   "WWW-Authenticate: Bearer "
				   "error=\"invalid_token\"\r\n")) ||
	    (status == 403 &&
		buf_put_string(&head,
		    "WWW-Authenticate: Bearer "
		    "error=\"insufficient_scope\"\r\n")) ||
	    (status == 405 &&
		(buf_put_string(&head, "Allow: ") ||
		    route_allow(&head, &c->target) ||
		    buf_put_string(&head, "\r\n"))) ||
	    ((status == 429 || status == 503 ||
		 problem == PROBLEM_IDEMPOTENCY_IN_FLIGHT) &&
		buf_printf(&head, "Retry-After: %d\r\n", API_RETRY_S)) ||
	    buf_put_string(&head, "\r\n");
	if (failed) { /* without memory there is no answer either */
		struct connection *connection = c->connection;

		call_over(c);
		connection_break(connection, "no memory for a problem");
	} else {
		reply_send(c, buf_span(&head), buf_span(&body));
	}
	buf_free(&head);
	buf_free(&body);
}

/* Only what an operator can mend; a client's mistakes are the client's. */
static void
log_problem(const struct call *c, enum problem problem, struct span detail)
{
	if (problem_row(problem)->status < 500 || !api_may_log(c->api))
		return;
	diag_warn("state request failed: %.*s; problem=%s tenant=%s request=%s",
	    SPAN_ARGS(detail), problem_row(problem)->name,
	    c->access.claims.tenant, c->id);
}

void
reply_failed(struct call *c, const struct store_result *result)
{
	const char *detail = result->detail;
	struct span outcome = result->unknown ?
	    SPAN(",\"outcome\":\"unknown\"") :
	    SPAN(",\"outcome\":\"none\"");
	char more[96];

	switch (result->status) {
	case STORE_OUT_OF_RANGE:
		snprintf(more, sizeof(more), ",\"index\":%zu,\"value\":%lld",
		    result->failed_op, (long long)result->value);
		reply_problem_with(c, PROBLEM_COUNTER_RANGE, span_of(more),
		    "%s", detail);
		return;
	case STORE_NOT_A_NUMBER:
		snprintf(more, sizeof(more), ",\"index\":%zu",
		    result->failed_op);
		reply_problem_with(c, PROBLEM_NOT_A_NUMBER, span_of(more), "%s",
		    detail);
		return;
	case STORE_IDEM_MISMATCH:
		reply_problem(c, PROBLEM_IDEMPOTENCY_MISMATCH, "%s", "");
		return;
	case STORE_GONE:
		if (c->changes.since > result->version) {
			reply_problem(c, PROBLEM_BAD_QUERY,
			    "since is newer than the store, which is at "
			    "version %llu",
			    (unsigned long long)result->version);
			return;
		}
		snprintf(more, sizeof(more), ",\"oldest\":%llu",
		    (unsigned long long)result->oldest);
		reply_problem_with(c, PROBLEM_VERSION_COMPACTED, span_of(more),
		    "%s", "");
		return;
	case STORE_NO_SPACE: /* who only reads cannot make room */
		if (route_row(c->target.route)->scope != SCOPE_READ)
			reply_problem(c, PROBLEM_QUOTA_EXCEEDED,
			    "the disk is full: %s", detail);
		else
			reply_problem_with(c, PROBLEM_STORAGE_UNAVAILABLE,
			    outcome, "the disk is full: %s", detail);
		return;
	case STORE_QUOTA:
		reply_problem(c, PROBLEM_QUOTA_EXCEEDED, "%s", detail);
		return;
	case STORE_TOO_LARGE:
		snprintf(more, sizeof(more), ",\"limit\":%llu",
		    (unsigned long long)c->api->config->state_value);
		reply_problem_with(c, PROBLEM_TOO_LARGE, span_of(more), "%s",
		    detail);
		return;
	case STORE_NO_TENANT:
		reply_problem(c, PROBLEM_KEY_NOT_FOUND,
		    "nothing was ever written here");
		return;
	case STORE_BAD_NAME:
		reply_problem(c, PROBLEM_BAD_KEY, "%s", detail);
		return;
	case STORE_UNSUPPORTED:
		reply_problem(c, PROBLEM_UNSUPPORTED_OPERATION, "%s", detail);
		return;
	case STORE_OK:
	case STORE_CHECK_FAILED: /* who made checks looks for it */
	case STORE_STATUSES:
		assert(!"a result that is no failure");
		return;
	case STORE_EXISTS:
	case STORE_FROZEN:
	case STORE_QUARANTINED:
	case STORE_NO_MEMORY:
	case STORE_BUSY:
	case STORE_FAILED:
		reply_problem_with(c, PROBLEM_STORAGE_UNAVAILABLE, outcome,
		    "%s: %s", store_status_word(result->status), detail);
		return;
	}
}

void
reply_conditions(struct call *c, uint64_t current)
{
	char more[48] = ",\"current\":null";

	if (current > 0)
		snprintf(more, sizeof(more), ",\"current\":%llu",
		    (unsigned long long)current);
	reply_problem_with(c, PROBLEM_PRECONDITION_FAILED, span_of(more), "%s",
	    current > 0 ? "the key is at another version" :
			  "there is no such key");
}

void
reply_orders(struct call *c)
{
	const struct orders *o = &c->orders;
	enum problem problem = o->problem;
	char why[ORDERS_WHY_MOST], more[96] = "";

	memcpy(why, o->why, sizeof(why));
	if (problem == PROBLEM_TOO_LARGE)
		snprintf(more, sizeof(more), ",\"limit\":%llu,\"size\":%llu",
		    (unsigned long long)o->limit, (unsigned long long)o->size);
	else if (problem == PROBLEM_STORAGE_UNAVAILABLE)
		snprintf(more, sizeof(more), ",\"outcome\":\"none\"");
	reply_problem_with(c, problem, span_of(more), "%s", why);
}

/* ---- replies in pieces --------------------------------------------------------- */

int
reply_begin(struct call *c, struct span head)
{
	struct buf common;
	int result;

	buf_init(&common, COMMON_MOST);
	result = put_common(c, &common, &head);
	if (result == 0)
		result = reply_more(c, buf_span(&common));
	buf_free(&common);
	return result == 0 ? reply_more(c, head) : -1;
}

int
reply_more(struct call *c, struct span bytes)
{
	struct connection *connection = c->connection;

	if (connection_put(connection, bytes) == 0)
		return 0;
	call_over(c);
	connection_break_off(connection);
	return -1;
}

void
reply_end(struct call *c)
{
	struct connection *connection = c->connection;

	call_over(c);
	connection_end(connection, 0);
}
