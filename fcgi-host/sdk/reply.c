/* SPDX-License-Identifier: MIT */
/* reply.c - a reply while it is written. It is held back as long as it is small, so
 * that it has a length, may still become another one, and leaves in one piece. */

#include <assert.h>
#include <inttypes.h>

#include "wire/cgi_head.h"

#include "sdk/field.h"
#include "sdk/handler.h"

#define TYPE_OF_TEXT "text/plain; charset=utf-8"

enum { DETAIL_MOST = 1000 };

static enum fn_result refuse(struct fn_reply *, struct span name,
    const char *why);
static enum fn_result header_set(struct fn_reply *, const char *name,
    bool replace, const char *format, va_list) FN_PRINTF(4, 0);
static bool is_single(struct span name);
static size_t header_count(const struct fn_reply *);
static struct span header_line(const struct fn_reply *, struct span name);
static void header_remove(struct fn_reply *, struct span name);
static bool wants_no_body(const struct fn_reply *);
static enum fn_result wrote(struct fn_reply *, size_t before, int result);
static enum fn_result room_make(struct fn_reply *, size_t bytes);
static enum fn_result lost(struct fn_reply *);
static int head_make(const struct fn_reply *, struct buf *, bool whole);
static int send(struct fn_reply *, struct span more, bool last);

void
reply_init(struct fn_reply *r, struct fn_request *request)
{
	*r = (struct fn_reply){ .request = request, .status = 200 };
	buf_init(&r->head, REPLY_HEAD_MOST);
	buf_init(&r->body, REPLY_BODY_MOST);
}

void
reply_free_all(struct fn_reply *r)
{
	buf_free(&r->head);
	buf_free(&r->body);
}

int
reply_finish(struct fn_reply *r, int result)
{
	if (!r->begun && (result != 0 || r->refused || r->memory)) {
		fn_log(result != 0 ? "fn_handle() returned %d" :
				     "a call was refused: the reply is a 500",
		    result);
		result = 0;
		if (fn_reply_problem(r, 500, "the function failed") != FN_OK)
			return -1;
	}
	if (result != 0)
		fn_log("fn_handle() returned %d in the middle of its reply",
		    result);
	if (result != 0 || r->lost || r->memory)
		return -1;
	return send(r, SPAN_NONE, true);
}

/* ---- status and header ----------------------------------------------------------- */

enum fn_result
fn_reply_status(struct fn_reply *r, unsigned status)
{
	if (r->begun)
		return FN_CONFLICT;
	if (status < 200 || status > 599)
		return refuse(r, SPAN("status"), "it is not 200 to 599");
	r->status = status;
	return FN_OK;
}

enum fn_result
fn_reply_type(struct fn_reply *r, const char *type)
{
	return fn_reply_header(r, "Content-Type", "%s", type);
}

enum fn_result
fn_reply_header(struct fn_reply *r, const char *name, const char *format, ...)
{
	enum fn_result result;
	va_list args;

	va_start(args, format);
	result = header_set(r, name, true, format, args);
	va_end(args);
	return result;
}

enum fn_result
fn_reply_header_add(struct fn_reply *r, const char *name, const char *format,
    ...)
{
	enum fn_result result;
	va_list args;

	va_start(args, format);
	result = header_set(r, name, false, format, args);
	va_end(args);
	return result;
}

enum fn_result
fn_reply_reset(struct fn_reply *r)
{
	if (r->begun)
		return FN_CONFLICT;
	r->status = 200;
	r->body_bytes = 0;
	r->refused = r->memory = false;
	buf_clear(&r->head);
	buf_clear(&r->body);
	return FN_OK;
}

enum fn_result
fn_reply_redirect(struct fn_reply *r, unsigned status, const char *url)
{
	enum fn_result result = fn_reply_reset(r);

	if (result != FN_OK)
		return result;
	if (status != 301 && status != 302 && status != 303 && status != 307 &&
	    status != 308)
		return refuse(r, SPAN("redirect"), "no status of one");
	if (!url[0] || strpbrk(url, " \t"))
		return refuse(r, SPAN("redirect"), "no URL");
	r->status = status;
	return fn_reply_header(r, "Location", "%s", url);
}

enum fn_result
fn_reply_problem(struct fn_reply *r, unsigned status, const char *format, ...)
{
	char detail[DETAIL_MOST + 1];
	enum fn_result result = fn_reply_reset(r);
	struct buf *b = &r->body;
	va_list args;
	int bad;

	if (result != FN_OK)
		return result;
	result = fn_reply_status(r, status);
	if (result != FN_OK)
		return result;
	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	bad = buf_printf(b,
	    "{\"type\":\"about:blank\",\"status\":%u,"
	    "\"title\":\"%s\",\"detail\":",
	    status, http_reason(status));
	bad |= field_put_json(b, span_of(detail));
	if (fn_request_id(r->request)[0]) {
		bad |= buf_put_string(b, ",\"instance\":");
		bad |= field_put_json(b, span_of(fn_request_id(r->request)));
	}
	bad |= buf_put_string(b, "}\n");
	if (bad || fn_reply_type(r, "application/problem+json") != FN_OK ||
	    fn_reply_header(r, "Cache-Control", "no-store") != FN_OK) {
		r->memory = true;
		return FN_FAILED;
	}
	return wrote(r, 0, 0);
}

/* An author who did not look at the result must not send half of what was to be
 * said: a policy left out, a redirect to nowhere. */
static enum fn_result
refuse(struct fn_reply *r, struct span name, const char *why)
{
	r->refused = true;
	fn_log("refused for the reply: %.*s: %s",
	    SPAN_ARGS(span_take(name, 64)), why);
	return FN_BAD;
}

static enum fn_result
header_set(struct fn_reply *r, const char *name, bool replace,
    const char *format, va_list args)
{
	char value[FIELD_VALUE_MOST + 2];
	const char *fault = field_name_fault(span_of(name));
	struct span text;
	uint64_t number;

	if (r->begun)
		return FN_CONFLICT;
	if (fault)
		return refuse(r, span_of(name), fault);
	vsnprintf(value, sizeof(value), format, args);
	fault = field_value_fault(span_of(value));
	if (fault)
		return refuse(r, span_of(name), fault);
	text = span_trim(span_of(value));
	if (span_equal_nocase(span_of(name), SPAN("Content-Length")) &&
	    span_number(text, INT64_MAX, &number) != 0)
		return refuse(r, span_of(name), "the value is no number");
	if (replace || is_single(span_of(name)))
		header_remove(r, span_of(name));
	if (header_count(r) == REPLY_FIELDS_MOST ||
	    buf_printf(&r->head, "%s: %.*s\r\n", name, SPAN_ARGS(text)) != 0)
		return refuse(r, span_of(name), "the header is too long");
	return FN_OK;
}

/* Two of them would be no reply (RFC 3875 section 6.3). */
static bool
is_single(struct span name)
{
	return span_equal_nocase(name, SPAN("Content-Type")) ||
	    span_equal_nocase(name, SPAN("Content-Length")) ||
	    span_equal_nocase(name, SPAN("Location"));
}

static size_t
header_count(const struct fn_reply *r)
{
	struct span rest = buf_span(&r->head);
	size_t count = 0;

	for (; rest.bytes > 0; count++)
		span_cut(&rest, '\n');
	return count;
}

/* With its line end; SPAN_NONE: not set. */
static struct span
header_line(const struct fn_reply *r, struct span name)
{
	struct span rest = buf_span(&r->head), line;

	while (rest.bytes > 0) {
		const char *begin = rest.data;

		line = span_cut(&rest, '\n');
		if (line.bytes > name.bytes && line.data[name.bytes] == ':' &&
		    span_starts_nocase(line, name))
			return span_make(begin, line.bytes + 1);
	}
	return SPAN_NONE;
}

static void
header_remove(struct fn_reply *r, struct span name)
{
	struct span line;

	while ((line = header_line(r, name)).data) {
		struct span all = buf_span(&r->head);
		char *to = r->head.data + (line.data - r->head.data);
		size_t behind =
		    (size_t)(all.data + all.bytes - (line.data + line.bytes));

		memmove(to, to + line.bytes, behind);
		r->head.end -= line.bytes;
	}
}

/* ---- body --------------------------------------------------------------------------- */

enum fn_result
fn_reply_write(struct fn_reply *r, const void *data, size_t bytes)
{
	struct span more = span_make(data, bytes);

	if (r->lost || r->memory)
		return FN_FAILED;
	r->body_bytes += bytes;
	if (wants_no_body(r) || bytes == 0)
		return FN_OK;
	if (buf_bytes(&r->body) + bytes <= REPLY_BODY_MOST)
		return buf_put(&r->body, more) == 0 ? FN_OK : lost(r);
	return send(r, more, false) == 0 ? FN_OK : FN_FAILED;
}

enum fn_result
fn_reply_puts(struct fn_reply *r, const char *text)
{
	return fn_reply_write(r, text, strlen(text));
}

enum fn_result
fn_reply_printf(struct fn_reply *r, const char *format, ...)
{
	size_t before = buf_bytes(&r->body);
	struct buf large;
	va_list args;
	int result;

	if (r->lost || r->memory)
		return FN_FAILED;
	va_start(args, format);
	result = buf_vprintf(&r->body, format, args);
	va_end(args);
	if (result == 0)
		return wrote(r, before, result);
	/* No room for it: behind what is there, or, longer than that may ever
	 * be, in a piece of its own. */
	buf_init(&large, INT32_MAX);
	va_start(args, format);
	result = buf_vprintf(&large, format, args);
	va_end(args);
	if (result != 0)
		return lost(r);
	result =
	    (int)fn_reply_write(r, buf_span(&large).data, buf_bytes(&large));
	buf_free(&large);
	return (enum fn_result)result;
}

enum fn_result
fn_reply_html(struct fn_reply *r, const char *text)
{
	struct span rest = span_of(text);

	while (rest.bytes > 0) {
		/* So much that it fits even if all of it is escaped. */
		struct span part = span_take(rest, 4096);
		size_t before;

		if (room_make(r, 6 * part.bytes) != FN_OK)
			return FN_FAILED;
		before = buf_bytes(&r->body);
		if (wrote(r, before, field_put_html(&r->body, part)) != FN_OK)
			return FN_FAILED;
		rest = span_skip(rest, part.bytes);
	}
	return FN_OK;
}

enum fn_result
fn_reply_url(struct fn_reply *r, const char *text)
{
	struct span rest = span_of(text);

	while (rest.bytes > 0) {
		struct span part = span_take(rest, 4096);
		size_t before;

		if (room_make(r, 3 * part.bytes) != FN_OK)
			return FN_FAILED;
		before = buf_bytes(&r->body);
		if (wrote(r, before, field_put_url(&r->body, part)) != FN_OK)
			return FN_FAILED;
		rest = span_skip(rest, part.bytes);
	}
	return FN_OK;
}

enum fn_result
fn_reply_flush(struct fn_reply *r)
{
	if (r->lost || r->memory)
		return FN_FAILED;
	if (r->refused && !r->begun)
		return FN_BAD;
	if (r->begun && buf_bytes(&r->body) == 0)
		return FN_OK;
	return send(r, SPAN_NONE, false) == 0 ? FN_OK : FN_FAILED;
}

/* RFC 9110 section 9.3.2. */
static bool
wants_no_body(const struct fn_reply *r)
{
	return strcmp(fn_request_method(r->request), "HEAD") == 0;
}

/* Something was put behind `before` in the body. */
static enum fn_result
wrote(struct fn_reply *r, size_t before, int result)
{
	if (result != 0)
		return lost(r);
	r->body_bytes += buf_bytes(&r->body) - before;
	if (wants_no_body(r))
		buf_clear(&r->body);
	return FN_OK;
}

static enum fn_result
room_make(struct fn_reply *r, size_t bytes)
{
	if (r->lost || r->memory)
		return FN_FAILED;
	if (buf_bytes(&r->body) + bytes <= REPLY_BODY_MOST)
		return FN_OK;
	return send(r, SPAN_NONE, false) == 0 ? FN_OK : FN_FAILED;
}

static enum fn_result
lost(struct fn_reply *r)
{
	r->memory = true;
	return FN_FAILED;
}

/* ---- sending -------------------------------------------------------------------------- */

/* whole: nothing follows, so that the length is known. */
static int
head_make(const struct fn_reply *r, struct buf *head, bool whole)
{
	bool bodyless = r->status == 204 || r->status == 304;
	struct span length = header_line(r, SPAN("Content-Length"));
	struct span rest = buf_span(&r->head);
	int bad;

	bad = buf_printf(head, "Status: %u %s\r\n", r->status,
	    http_reason(r->status));
	if (!bodyless && !header_line(r, SPAN("Content-Type")).data &&
	    (r->body_bytes > 0 || !whole))
		bad |=
		    buf_put_string(head, "Content-Type: " TYPE_OF_TEXT "\r\n");
	/* Of HEAD nothing need have been written: then the author knows it. */
	if (whole && !bodyless && (r->body_bytes > 0 || !length.data)) {
		bad |= buf_printf(head, "Content-Length: %" PRIu64 "\r\n",
		    r->body_bytes);
		if (length.data) {
			bad |= buf_put(head,
			    span_take(rest, (size_t)(length.data - rest.data)));
			rest = span_skip(rest,
			    (size_t)(length.data - rest.data) + length.bytes);
		}
	}
	bad |= buf_put(head, rest);
	bad |= buf_put_string(head, "\r\n");
	return bad;
}

/* What is held, and more. A header that is refused is never sent. */
static int
send(struct fn_reply *r, struct span more, bool last)
{
	struct carrier *c = r->request->carrier;
	bool bodyless = r->status == 204 || r->status == 304;
	struct span body = bodyless ? SPAN_NONE : buf_span(&r->body);
	struct buf head;
	int result = 0;

	if (r->refused && !r->begun)
		return -1;
	if (bodyless)
		more = SPAN_NONE;
	buf_init(&head, REPLY_HEAD_MOST + 256);
	if (!r->begun)
		result = head_make(r, &head, last);
	if (result != 0) {
		r->memory = true;
	} else {
		r->begun = true;
		result =
		    c->write(c, buf_span(&head), body, last && more.bytes == 0);
		if (result == 0 && more.bytes > 0)
			result = c->write(c, SPAN_NONE, more, last);
		r->lost = result != 0;
	}
	buf_free(&head);
	buf_clear(&r->body);
	return result;
}
