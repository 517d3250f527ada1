/* SPDX-License-Identifier: MIT */
/* fcgi_app.c - what an application may say to a web server, and when. The rules
 * are those of the record types it may send; frames are fcgi.c's. */
#include "wire/fcgi_app.h"

/* What stands before the pairs. */
enum { HEADS = sizeof(FCGI_BeginRequestRecord) + FCGI_HEADER_LEN };

static enum fcgi_app_event app_record(struct fcgi_app *);
static enum fcgi_app_event app_own_record(struct fcgi_app *);
static enum fcgi_app_event app_strange(struct fcgi_app *);
static enum fcgi_app_event app_content(struct fcgi_app *, struct span);
static enum fcgi_app_event app_record_end(struct fcgi_app *);
static enum fcgi_app_event app_violation(struct fcgi_app *, const char *);
static int close_long(struct buf *, size_t at, bool keep_conn);
static void begin_write(uint8_t *to, bool keep_conn);
static int put_pairs(struct buf *, struct span environment);

void
fcgi_app_init(struct fcgi_app *a)
{
	*a = (struct fcgi_app){ 0 };
	fcgi_reader_init(&a->reader);
}

enum fcgi_app_event
fcgi_app_read(struct fcgi_app *a, struct span *in, struct span *content)
{
	enum fcgi_app_event event = FCGI_APP_NEED_MORE;

	*content = SPAN_NONE;
	if (a->violation)
		return FCGI_APP_VIOLATION;
	if (a->over && in->bytes > 0)
		return app_violation(a, "bytes behind END_REQUEST");

	/* NEED_MORE of ours means that a record brought nothing to tell */
	while (event == FCGI_APP_NEED_MORE)
		switch (fcgi_read(&a->reader, in, content)) {
		case FCGI_NEED_MORE:
			return FCGI_APP_NEED_MORE;
		case FCGI_BAD_VERSION:
			return app_violation(a,
			    "what is no record of FastCGI version 1");
		case FCGI_RECORD:
			event = app_record(a);
			break;
		case FCGI_CONTENT:
			event = app_content(a, *content);
			break;
		case FCGI_RECORD_END:
			event = app_record_end(a);
			break;
		}
	return event;
}

const char *
fcgi_app_refusal(uint8_t protocol_status)
{
	switch (protocol_status) {
	case FCGI_REQUEST_COMPLETE:
		return NULL;
	case FCGI_CANT_MPX_CONN:
		return "takes one request of a connection only "
		       "(FCGI_CANT_MPX_CONN)";
	case FCGI_OVERLOADED:
		return "takes no more requests (FCGI_OVERLOADED)";
	case FCGI_UNKNOWN_ROLE:
		return "is no responder (FCGI_UNKNOWN_ROLE)";
	}
	return "refused the request with a status that FastCGI does not have";
}

/* A header is there. */
static enum fcgi_app_event
app_record(struct fcgi_app *a)
{
	const struct fcgi_record *r = &a->reader.record;

	a->strange = false;
	if (r->id == FCGI_APP_ID)
		return app_own_record(a);
	if (r->id == FCGI_NULL_REQUEST_ID && r->type != FCGI_UNKNOWN_TYPE &&
	    r->type != FCGI_GET_VALUES_RESULT)
		return app_violation(a,
		    "a record without a request's id that only a request has");
	a->strange_id |= r->id != FCGI_NULL_REQUEST_ID;
	return app_strange(a);
}

static enum fcgi_app_event
app_own_record(struct fcgi_app *a)
{
	const struct fcgi_record *r = &a->reader.record;
	bool empty = r->content_bytes == 0;
	bool *ended =
	    r->type == FCGI_STDOUT ? &a->stdout_ended : &a->stderr_ended;

	switch (r->type) {
	case FCGI_STDOUT:
	case FCGI_STDERR:
		if (*ended && !empty)
			return app_violation(a,
			    r->type == FCGI_STDOUT ?
				"stdout behind the end of stdout" :
				"stderr behind the end of stderr");
		if (*ended)
			return app_strange(a);
		*ended = empty;
		return FCGI_APP_NEED_MORE;
	case FCGI_END_REQUEST:
		if (r->content_bytes != sizeof(a->end_body))
			return app_violation(a,
			    "an END_REQUEST that has not 8 bytes");
		return FCGI_APP_NEED_MORE;
	}
	return app_violation(a,
	    r->type > 0 && r->type <= FCGI_MAXTYPE ?
		"a record of a type that only a web server sends" :
		"a record of a type that FastCGI does not have");
}

/* Does no harm, once. */
static enum fcgi_app_event
app_strange(struct fcgi_app *a)
{
	const struct fcgi_record *r = &a->reader.record;

	a->strange = true;
	a->strange_bytes +=
	    (size_t)FCGI_HEADER_LEN + r->content_bytes + r->padding_bytes;
	if (a->strange_bytes > FCGI_APP_STRANGE_MOST)
		return app_violation(a,
		    a->strange_id ? "too many records of other requests" :
				    "too many records that say nothing");
	return FCGI_APP_NEED_MORE;
}

static enum fcgi_app_event
app_content(struct fcgi_app *a, struct span content)
{
	if (a->strange)
		return FCGI_APP_NEED_MORE;
	if (a->reader.record.type == FCGI_STDOUT)
		return FCGI_APP_STDOUT;
	if (a->reader.record.type == FCGI_STDERR)
		return FCGI_APP_STDERR;
	/* all of them are within its 8 bytes */
	memcpy(a->end_body + a->end_bytes, content.data, content.bytes);
	a->end_bytes += (unsigned)content.bytes;
	return FCGI_APP_NEED_MORE;
}

static enum fcgi_app_event
app_record_end(struct fcgi_app *a)
{
	if (a->strange || a->reader.record.type != FCGI_END_REQUEST)
		return FCGI_APP_NEED_MORE;
	fcgi_end_parse(span_make(a->end_body, a->end_bytes), &a->end);
	a->over = true;
	return FCGI_APP_END;
}

static enum fcgi_app_event
app_violation(struct fcgi_app *a, const char *phrase)
{
	a->violation = phrase;
	return FCGI_APP_VIOLATION;
}

/* ---- the request ---------------------------------------------------------- */

int
fcgi_app_put_begin(struct buf *out, bool keep_conn, struct span environment)
{
	size_t before = out->end - out->start, at;

	if (fcgi_app_open_params(out, &at) == 0 &&
	    put_pairs(out, environment) == 0 &&
	    fcgi_app_close_params(out, at, keep_conn) == 0)
		return 0;
	/* all of it or nothing */
	out->end = out->start + before;
	return -1;
}

int
fcgi_app_open_params(struct buf *out, size_t *at)
{
	*at = buf_bytes(out);
	if (buf_reserve(out, HEADS) == NULL)
		return -1;
	buf_wrote(out, HEADS);
	return 0;
}

int
fcgi_app_close_params(struct buf *out, size_t at, bool keep_conn)
{
	static const char zeros[8];
	struct span pairs = span_skip(buf_span(out), at + HEADS);
	size_t padding = (8 - pairs.bytes % 8) % 8;
	uint8_t *head;

	if (pairs.bytes == 0 || pairs.bytes > FCGI_RECORD_CONTENT_MOST)
		return close_long(out, at, keep_conn);
	if (buf_put(out, span_make(zeros, padding)) != 0 ||
	    fcgi_put_stream_end(out, FCGI_PARAMS, FCGI_APP_ID) != 0)
		return -1;
	head = (uint8_t *)out->data + out->start + at;
	begin_write(head, keep_conn);
	fcgi_head_write(head + sizeof(FCGI_BeginRequestRecord), FCGI_PARAMS,
	    FCGI_APP_ID, (uint16_t)pairs.bytes, (uint8_t)padding);
	return 0;
}

/* More than a record, or none, which is rare. */
static int
close_long(struct buf *out, size_t at, bool keep_conn)
{
	struct span pairs = span_skip(buf_span(out), at + HEADS);
	struct buf copy;
	int result = -1;

	buf_init(&copy, pairs.bytes + 1);
	if (buf_put(&copy, pairs) == 0) {
		out->end = out->start + at;
		result = fcgi_put_begin(out, FCGI_APP_ID, FCGI_RESPONDER,
			     keep_conn) |
		    fcgi_put_stream(out, FCGI_PARAMS, FCGI_APP_ID,
			buf_span(&copy)) |
		    fcgi_put_stream_end(out, FCGI_PARAMS, FCGI_APP_ID);
	}
	buf_free(&copy);
	return result;
}

static void
begin_write(uint8_t *to, bool keep_conn)
{
	const FCGI_BeginRequestBody body = {
		.roleB0 = FCGI_RESPONDER,
		.flags = keep_conn ? FCGI_KEEP_CONN : 0,
	};

	fcgi_head_write(to, FCGI_BEGIN_REQUEST, FCGI_APP_ID, sizeof(body), 0);
	memcpy(to + FCGI_HEADER_LEN, &body, sizeof(body));
}

static int
put_pairs(struct buf *pairs, struct span environment)
{
	struct span name, value;

	while (environment.bytes > 0) {
		value = span_cut(&environment, '\0');
		name = span_cut(&value, '=');
		if (params_put(pairs, name, value) != 0)
			return -1;
	}
	return 0;
}
