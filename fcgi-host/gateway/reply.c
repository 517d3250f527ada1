/* SPDX-License-Identifier: MIT */
/* reply.c - from a function's standard output to STDOUT records. The header is
 * parsed, checked and written anew; the body is passed on byte for byte, cut at
 * its Content-Length. What was read in a batch is written at its end, so a
 * trickle stays a trickle; what ends with the run is written together with the
 * end. Reads nothing while the web server does not. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/proc.h"
#include "wire/cgi_head.h"

#include "gateway/gateway.h"

enum { HEAD_USUAL = 512 }; /* room for a header, with the body at once */

/* What is read at once: as much as a pipe holds. */
static char block[64 * 1024];

static bool reply_read(struct request *);
static bool reply_whole(const struct request *);
static void reply_take(struct request *, struct span);
static void reply_head(struct request *, struct span);
static void reply_head_complete(struct request *, struct span bytes,
    size_t head_bytes);
static void reply_begin(struct request *, const struct cgi_head *,
    struct span body);
static struct span reply_body_part(struct reply *, struct span);
static void reply_body(struct request *, struct span);
static void reply_hold_upload(struct request *);
static void reply_at_end(struct request *);
static uint64_t reply_hold_ms(const struct request *);
static void reply_missing(struct request *);
static void reply_failed(struct request *, enum end);
static int record_open(struct buf *, size_t *at, size_t room);
static void record_close(struct buf *, size_t at, uint16_t id);
static bool stays_inside(const struct request *, struct span location);

void
reply_init(struct reply *p)
{
	*p = (struct reply){ .left = -1 };
	buf_init(&p->head, CGI_HEAD_MOST + sizeof(block));
}

void
reply_free(struct reply *p)
{
	buf_free(&p->head);
	free(p->redirect);
	reply_init(p);
}

/* ---- reading --------------------------------------------------------------- */

/* While the run goes on one read an event, so that others get their turn; when
 * it is over all that is left. */
void
reply_pump(struct request *r)
{
	struct invocation *v = &r->invocation;
	bool over = v->state != INVOCATION_SENT;

	while (v->open) {
		if (connection_waiting(r->front) >= CONNECTION_WAIT_MOST) {
			reply_upload_moves(r, true);
			v->protocol->pause(r, true);
			return;
		}
		if (!reply_read(r))
			break;
		if (!over && reply_whole(r))
			request_done(r, END_DONE, 0);
		if (!over)
			return;
	}
	/* An answer in the middle of it has closed the output as well. */
	if (r->front && r->reply.at_end)
		reply_at_end(r);
}

/* All that its header promised is there: nobody needs to wait for the process
 * to end. */
static bool
reply_whole(const struct request *r)
{
	const struct reply *p = &r->reply;

	return p->begun && p->left == 0 && !p->cut && r->body.complete;
}

/* What is said behind a reply that was complete is read and dropped: who says
 * it is not stopped, or killed by SIGPIPE, in the middle of what it does. */
void
reply_drop(struct request *r)
{
	uint64_t most = r->settings->limits[LIMIT_output];
	char *at;
	ssize_t n = r->invocation.protocol->read(r, block, sizeof(block), &at);

	if (n < 0)
		return;
	if (n > 0) {
		r->reply.cut = true;
		r->reply.bytes += (uint64_t)n;
		if (!most || r->reply.bytes <= most)
			return;
		invocation_stop(r, END_OUTPUT_SIZE);
	}
	invocation_close_output(r);
}

/* False when there is no more for now, or for ever (at_end, and closed). A read
 * that does not fill the buffer has emptied the pipe. When the run is over
 * nobody writes any more; when only its main process is, what others still
 * write does not count. */
static bool
reply_read(struct request *r)
{
	struct invocation *v = &r->invocation;
	bool over = v->state != INVOCATION_SENT;
	ssize_t n;
	char *at;

	n = v->protocol->read(r, block, sizeof(block), &at);
	if (n < 0 && !over)
		return false;
	if (n > 0) {
		reply_take(r, span_make(at, (size_t)n));
		if (!v->open)
			return false;
		if (!over || (size_t)n == sizeof(block))
			return true;
	}
	r->reply.at_end = true;
	invocation_close_output(r);
	return false;
}

static void
reply_take(struct request *r, struct span s)
{
	struct reply *p = &r->reply;
	const uint64_t *limits = r->settings->limits;

	p->bytes += s.bytes;
	if (p->bytes > CGI_MUCH)
		r->function->watched = true;
	if (limits[LIMIT_output] && p->bytes > limits[LIMIT_output]) {
		request_end_limit(r, END_OUTPUT_SIZE, LIMIT_output,
		    limits[LIMIT_output]);
		return;
	}
	if (limits[LIMIT_idle] && !r->invocation.result.facts.stopped)
		r->idle_ms = loop_now_ms(r->gateway->loop) + limits[LIMIT_idle];
	if (p->begun)
		reply_body(r, s);
	else if (!p->redirect)
		reply_head(r, s);
}

/* ---- the header ------------------------------------------------------------ */

/* Usually it comes in one piece, and is parsed where it was read to. */
static void
reply_head(struct request *r, struct span s)
{
	struct reply *p = &r->reply;
	size_t head_bytes;

	if (buf_bytes(&p->head) > 0) {
		if (buf_put(&p->head, s) != 0) {
			request_end(r, END_MACHINE, SPAN("no memory"));
			return;
		}
		s = buf_span(&p->head);
	}
	switch (cgi_head_find(s, false, &p->scanned, &head_bytes)) {
	case CGI_HEAD_NEED_MORE:
		if (buf_bytes(&p->head) == 0 && buf_put(&p->head, s) != 0)
			request_end(r, END_MACHINE, SPAN("no memory"));
		break;
	case CGI_HEAD_BAD:
		request_end(r, END_BAD_REPLY,
		    span_of(cgi_head_error_words(CGI_HEAD_TOO_LONG)));
		break;
	case CGI_HEAD_COMPLETE:
		reply_head_complete(r, s, head_bytes);
		buf_free(&p->head);
		break;
	}
}

static void
reply_head_complete(struct request *r, struct span bytes, size_t head_bytes)
{
	static struct cgi_head head; /* large */

	if (cgi_head_parse(span_take(bytes, head_bytes), &head) != 0) {
		request_end(r, END_BAD_REPLY,
		    span_of(cgi_head_error_words(head.error)));
		return;
	}
	if (head.kind == CGI_LOCAL_REDIRECT && stays_inside(r, head.location)) {
		r->reply.redirect = span_dup(head.location);
		r->redirect_status = head.status;
		if (!r->reply.redirect)
			request_end(r, END_MACHINE, SPAN("no memory"));
		return;
	}
	reply_begin(r, &head, span_skip(bytes, head_bytes));
}

/* Header and the first of the body share a record. */
static void
reply_begin(struct request *r, const struct cgi_head *head, struct span body)
{
	struct connection *f = r->front;
	struct reply *p = &r->reply;
	char extra[64];
	struct cgi_head_policy policy = {
		.allow_accel = r->gateway->config->allow_accel,
		.extra = SPAN_NONE,
	};
	struct span part;
	size_t at, room;

	policy.extra = span_make(extra,
	    (size_t)snprintf(extra, sizeof(extra), "X-Request-Id: %s\r\n",
		r->name));
	p->begun = true;
	p->left = head->content_length;
	p->discard = head->bodyless || span_equal(r->method, SPAN("HEAD"));
	r->status = head->status;
	connection_reply_begins(f);
	body = reply_body_part(p, body);
	if (record_open(&f->out, &at, body.bytes + HEAD_USUAL) != 0 ||
	    cgi_head_write(&f->out, head, &policy) != 0) {
		connection_break(f, "no memory for a reply");
		return;
	}
	room = FCGI_RECORD_CONTENT_MOST -
	    (buf_bytes(&f->out) - at - FCGI_HEADER_LEN);
	part = span_take(body, room);
	if (buf_put(&f->out, part) != 0) {
		connection_break(f, "no memory for a reply");
		return;
	}
	record_close(&f->out, at, f->id);
	if (fcgi_put_stream(&f->out, FCGI_STDOUT, f->id,
		span_skip(body, part.bytes)) != 0) {
		connection_break(f, "no memory for a reply");
		return;
	}
	connection_touch(f);
	request_replying(r);
	reply_hold_upload(r);
	reply_hold(r);
}

/* A record whose content is written in place: room for its head now, the head
 * when its size is known. */
static int
record_open(struct buf *b, size_t *at, size_t room)
{
	*at = buf_bytes(b);
	if (!buf_reserve(b, FCGI_HEADER_LEN + room))
		return -1;
	buf_wrote(b, FCGI_HEADER_LEN);
	return 0;
}

static void
record_close(struct buf *b, size_t at, uint16_t id)
{
	static const char zeros[8];
	size_t content = buf_bytes(b) - at - FCGI_HEADER_LEN;
	size_t padding = (8 - content % 8) % 8;

	if (buf_put(b, span_make(zeros, padding)) != 0)
		padding = 0;
	fcgi_head_write((uint8_t *)b->data + b->start + at, FCGI_STDOUT, id,
	    (uint16_t)content, (uint8_t)padding);
}

/* Inside the tenant (S3)? Else it is for the client to follow. */
static bool
stays_inside(const struct request *r, struct span location)
{
	struct buf decoded;
	struct route route;
	const char *why;
	bool inside;

	buf_init(&decoded, ROUTE_TARGET_MOST);
	inside = route_find(location, r->prefix, request_users(r),
		     r->host_tenant, &decoded, &route, &why) == ROUTE_FOUND &&
	    span_equal(route.tenant, r->route.tenant);
	buf_free(&decoded);
	return inside;
}

/* ---- the body --------------------------------------------------------------- */

/* What of it is for the client. */
static struct span
reply_body_part(struct reply *p, struct span s)
{
	if (p->discard)
		return span_make(s.data, 0);
	if (p->left >= 0) {
		if (s.bytes > (uint64_t)p->left) {
			s.bytes = (size_t)p->left;
			p->cut = true;
		}
		p->left -= (int64_t)s.bytes;
	}
	return s;
}

static void
reply_body(struct request *r, struct span s)
{
	struct connection *f = r->front;

	s = reply_body_part(&r->reply, s);
	if (s.bytes == 0)
		return;
	if (fcgi_put_stream(&f->out, FCGI_STDOUT, f->id, s) != 0)
		connection_break(f, "no memory for a reply");
	else
		connection_touch(f);
}

/* ---- the end ----------------------------------------------------------------- */

/* What was put goes at the end of the batch, unless there is a reason to wait. */
void
reply_hold(struct request *r)
{
	const struct reply *p = &r->reply;

	if (r->front)
		connection_hold(r->front,
		    (p->begun && p->early) || p->uploading || p->ending);
}

/* nginx sends no more of a body once it has seen a header: what a function says
 * before it has read all of a stream waits, as far as there is room, for as long
 * as the stream moves. */
static void
reply_hold_upload(struct request *r)
{
	if (r->body.kind != BODY_PIPE || r->body.complete || r->body.discard)
		return;
	r->reply.uploading = true;
	reply_upload_moves(r, false);
}

void
reply_upload_moves(struct request *r, bool complete)
{
	struct reply *p = &r->reply;

	if (!p->uploading || p->at_end)
		return;
	if (complete) {
		p->uploading = false;
		r->hold_ms = 0;
		reply_hold(r);
		return;
	}
	r->hold_ms = loop_now_ms(r->gateway->loop) + REPLY_UPLOAD_MS;
	request_timer(r);
}

void
reply_hold_over(struct request *r)
{
	if (!r->reply.at_end)
		reply_upload_moves(r, true);
	else if (!invocation_ends(r))
		reply_conclude(r);
}

/* Nothing more will come. How the run ended decides whether that was all of it;
 * that is known a moment later at most, unless it goes on without its output.
 * One that ran into its limit does not, and is waited for: the order to end, with
 * grace and all that stands behind it, bounds that. */
static void
reply_at_end(struct request *r)
{
	if (r->invocation.state != INVOCATION_SENT) {
		reply_conclude(r);
		return;
	}
	r->reply.ending = true;
	reply_hold(r);
	if (invocation_ends(r))
		return;
	r->hold_ms = loop_now_ms(r->gateway->loop) + reply_hold_ms(r);
	request_timer(r);
}

/* A template that drops what it was given, and does not answer, is given up by its
 * launcher after a second: then another process answers. */
static uint64_t
reply_hold_ms(const struct request *r)
{
	if (r->reply.begun)
		return REPLY_HOLD_MS;
	return r->invocation.forked && r->reply.bytes == 0 ? REPLY_UNMADE_MS :
							     REPLY_MISSING_MS;
}

void
reply_conclude(struct request *r)
{
	struct reply *p = &r->reply;
	const struct invocation *v = &r->invocation;
	const struct outcome_facts *facts = &v->result.facts;
	bool known = v->state != INVOCATION_SENT;
	enum end end;
	char missing[64];

	r->hold_ms = 0;
	p->ending = false;
	reply_hold(r);
	if (v->broken && (!known || outcome_of_reply(facts) == END_DONE)) {
		if (v->overloaded)
			r->retry_after_s = REPLY_AGAIN_S;
		request_end(r,
		    v->overloaded    ? END_OVERLOADED :
			v->broke_off ? END_BROKE_OFF :
				       END_BROKEN,
		    span_of(v->broken));
		return;
	}
	if (p->redirect) {
		/* Its slot is needed again: not before the run is over. */
		if (v->state == INVOCATION_OVER)
			request_redirect(r);
		return;
	}
	if (!p->begun) {
		reply_missing(r);
		return;
	}
	end = known ? outcome_of_reply(facts) : END_DONE;
	if (end != END_DONE && !p->discard && p->left != 0) {
		reply_failed(r, end);
		return;
	}
	if (p->left > 0 && !p->discard) {
		snprintf(missing, sizeof(missing),
		    "%" PRId64 " bytes are "
		    "missing",
		    p->left);
		request_end(r, END_SHORT_REPLY, span_of(missing));
		return;
	}
	request_done(r, END_DONE, known ? outcome_app_status(facts) : 0);
}

/* There is no complete header. */
static void
reply_missing(struct request *r)
{
	const struct invocation *v = &r->invocation;
	bool wrote = r->reply.bytes > 0;
	enum end end;

	if (v->state != INVOCATION_SENT) {
		end = outcome_without_reply(&v->result.facts, wrote);
		reply_failed(r,
		    end == END_NO_REPLY && v->not_taken ? END_NOT_TAKEN : end);
	} else if (wrote)
		request_end(r, END_BAD_REPLY,
		    SPAN("it closed its output before the header was over"));
	else
		request_end(r, END_NO_REPLY, SPAN("a closed output"));
}

/* Each reason with the words its row of ends.def wants. */
static void
reply_failed(struct request *r, enum end end)
{
	const struct outcome_facts *facts = &r->invocation.result.facts;
	const uint64_t *limits = r->settings->limits;
	char words[32];

	switch (end) {
	case END_TIME:
		request_end_limit(r, end, LIMIT_time, limits[LIMIT_time]);
		break;
	case END_CPU:
		request_end_limit(r, end, LIMIT_cpu, limits[LIMIT_cpu]);
		break;
	case END_IDLE:
		request_end_limit(r, end, LIMIT_idle, limits[LIMIT_idle]);
		break;
	case END_MEMORY:
		request_end_term(r, end, TERM_memory, 0);
		break;
	case END_BAD_REPLY:
		request_end(r, end, SPAN("it ended before the header did"));
		break;
	case END_LAUNCHER_GONE:
		request_end(r, end,
		    facts->cell_lost ? SPAN("its cell ended") :
				       SPAN("its launcher ended"));
		break;
	case END_CELL_GONE:
		request_end(r, end, SPAN("nothing was started"));
		break;
	default:
		request_end(r, end,
		    span_of(proc_status_words(facts->wait_status, words)));
		break;
	}
}

void
reply_end(struct request *r, uint32_t app_status)
{
	struct connection *f = r->front;

	if (fcgi_put_stream_end(&f->out, FCGI_STDOUT, f->id) != 0 ||
	    fcgi_put_end(&f->out, f->id, app_status, FCGI_REQUEST_COMPLETE) !=
		0) {
		connection_break(f, "no memory for a reply");
		return;
	}
	r->front = NULL;
	connection_done(f);
}

void
reply_own(struct request *r)
{
	static struct buf text = { .ceiling = 64 * 1024 };
	struct connection *f = r->front;
	const struct end_row *row = end_row(r->end);
	const struct run_result *result = &r->invocation.result;
	bool again = row->fault == FAULT_HOST && row->status == 503;
	const struct answer_facts facts = {
		.end = r->end,
		.tenant = r->route.tenant,
		.function = r->route.function,
		.limit = span_of(r->end_limit),
		.value = span_of(r->end_value),
		.what = span_of(r->end_what),
		.request_id = span_make(r->name, REQUEST_ID_CHARS),
		.method = r->method,
		.accept = r->accept,
		.allow =
		    r->end == END_METHOD ? span_of(r->end_value) : SPAN_NONE,
		.retry_after_s = again ? REPLY_AGAIN_S : r->retry_after_s,
		.head = span_equal(r->method, SPAN("HEAD")),
	};

	buf_clear(&text);
	r->status = row->status;
	if (answer_write(&text, &facts) != 0 ||
	    fcgi_put_stream(&f->out, FCGI_STDOUT, f->id, buf_span(&text)) !=
		0) {
		connection_break(f, "no memory for an answer");
		return;
	}
	reply_end(r, result->ended ? outcome_app_status(&result->facts) : 0);
}
