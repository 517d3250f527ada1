/* SPDX-License-Identifier: MIT */
/* http.c - the reply's header is collected to its blank line and looked at whole;
 * then content goes by in the one of three framings that the header names
 * (RFC 9112 section 6.3). */

#include "sdk/http.h"

static enum http_event head_read(struct http_reader *, struct span *in);
static bool head_complete(const struct http_reader *);
static int head_take(struct http_reader *);
static int status_take(struct http_reader *, struct span line);
static int framing_take(struct http_reader *);
static int field_check(struct span line);
static struct span line_cut(struct span *rest);
static bool list_has(struct span list, struct span word);
static enum http_event length_read(struct http_reader *, struct span *in,
    struct span *content);
static enum http_event chunked_read(struct http_reader *, struct span *in,
    struct span *content);
static enum http_event size_read(struct http_reader *, struct span *in);
static int size_take(struct http_reader *);
static enum http_event chunk_end_read(struct http_reader *, struct span *in);
static enum http_event trailer_read(struct http_reader *, struct span *in);
static enum http_event lost(struct http_reader *);

void
http_reader_init(struct http_reader *r)
{
	r->step = HTTP_IN_HEAD;
	r->status = 0;
	r->keep = false;
	r->left = 0;
	r->head_bytes = r->line_bytes = r->trailer_bytes = 0;
}

enum http_event
http_read(struct http_reader *r, struct span *in, struct span *content)
{
	*content = SPAN_NONE;
	switch (r->step) {
	case HTTP_IN_HEAD:
		return head_read(r, in);
	case HTTP_IN_LENGTH:
	case HTTP_IN_REST:
		return length_read(r, in, content);
	case HTTP_AT_END:
		return HTTP_END;
	case HTTP_LOST:
		return HTTP_BAD;
	default:
		return chunked_read(r, in, content);
	}
}

int
http_read_end(struct http_reader *r)
{
	r->keep = false;
	if (r->step == HTTP_IN_REST)
		r->step = HTTP_AT_END;
	return r->step == HTTP_AT_END ? 0 : -1;
}

struct span
http_field(const struct http_reader *r, struct span name)
{
	struct span rest = span_make(r->head, r->head_bytes), line, found;

	line_cut(&rest);
	while (rest.bytes > 0) {
		line = line_cut(&rest);
		found = span_cut(&line, ':');
		if (line.data != NULL && span_equal_nocase(found, name))
			return span_trim(line);
	}
	return SPAN_NONE;
}

/* ---- the header ------------------------------------------------------------ */

static enum http_event
head_read(struct http_reader *r, struct span *in)
{
	while (in->bytes > 0) {
		if (r->head_bytes == HTTP_HEAD_MOST)
			return lost(r);
		r->head[r->head_bytes++] = in->data[0];
		*in = span_skip(*in, 1);
		if (!head_complete(r))
			continue;
		if (head_take(r) != 0)
			return lost(r);
		if (r->status >= 200)
			return HTTP_HEAD;
		r->head_bytes = 0; /* 1xx: another one follows */
		r->step = HTTP_IN_HEAD;
	}
	return HTTP_NEED_MORE;
}

/* Lines end with CR LF, or, as section 2.2 allows, with LF. */
static bool
head_complete(const struct http_reader *r)
{
	struct span head = span_make(r->head, r->head_bytes);

	return span_ends(head, SPAN("\n\r\n")) || span_ends(head, SPAN("\n\n"));
}

static int
head_take(struct http_reader *r)
{
	struct span rest = span_make(r->head, r->head_bytes), line;

	if (status_take(r, line_cut(&rest)) != 0)
		return -1;
	while (rest.bytes > 0) {
		line = line_cut(&rest);
		if (line.bytes > 0 && field_check(line) != 0)
			return -1;
	}
	return framing_take(r);
}

/* "HTTP/1.1 204 No Content", the reason may be missing (section 4). */
static int
status_take(struct http_reader *r, struct span line)
{
	struct span digits = span_take(span_skip(line, 9), 3);
	uint64_t status;

	if (!span_starts(line, SPAN("HTTP/1.")) || line.bytes < 12 ||
	    (line.data[7] != '0' && line.data[7] != '1') ||
	    line.data[8] != ' ' || (line.bytes > 12 && line.data[12] != ' ') ||
	    span_number(digits, 599, &status) != 0 || status < 100)
		return -1;
	r->status = (unsigned)status;
	r->keep = line.data[7] == '1';
	return 0;
}

static int
framing_take(struct http_reader *r)
{
	struct span rest = span_make(r->head, r->head_bytes), line, name;
	bool chunked = false, length = false;

	line_cut(&rest);
	while (rest.bytes > 0) {
		line = line_cut(&rest);
		name = span_cut(&line, ':');
		line = span_trim(line);
		if (span_equal_nocase(name, SPAN("content-length"))) {
			if (length ||
			    span_number(line, INT64_MAX, &r->left) != 0)
				return -1;
			length = true;
		} else if (span_equal_nocase(name, SPAN("transfer-encoding"))) {
			if (chunked ||
			    !span_equal_nocase(line, SPAN("chunked")))
				return -1;
			chunked = true;
		} else if (span_equal_nocase(name, SPAN("connection")) &&
		    list_has(line, SPAN("close"))) {
			r->keep = false;
		}
	}
	if (chunked && length)
		return -1;
	if (r->status == 204 || r->status == 304)
		r->step = HTTP_AT_END;
	else if (chunked)
		r->step = HTTP_IN_SIZE;
	else if (length)
		r->step = r->left > 0 ? HTTP_IN_LENGTH : HTTP_AT_END;
	else
		r->step = HTTP_IN_REST;
	if (r->step == HTTP_IN_REST)
		r->keep = false;
	return 0;
}

/* "Name: value", no blank before the colon, no control bytes. */
static int
field_check(struct span line)
{
	ptrdiff_t colon = span_find(line, ':');

	if (colon <= 0)
		return -1;
	for (size_t i = 0; i < line.bytes; i++) {
		unsigned char c = (unsigned char)line.data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f ||
		    (i < (size_t)colon && c <= ' '))
			return -1;
	}
	return 0;
}

static struct span
line_cut(struct span *rest)
{
	struct span line = span_cut(rest, '\n');

	if (span_ends(line, SPAN("\r")))
		line.bytes--;
	return line;
}

static bool
list_has(struct span list, struct span word)
{
	while (list.data != NULL)
		if (span_equal_nocase(span_trim(span_cut(&list, ',')), word))
			return true;
	return false;
}

/* ---- content --------------------------------------------------------------- */

static enum http_event
length_read(struct http_reader *r, struct span *in, struct span *content)
{
	uint64_t most = r->step == HTTP_IN_REST ? UINT64_MAX : r->left;

	if (in->bytes == 0)
		return HTTP_NEED_MORE;
	*content = span_take(*in, in->bytes < most ? in->bytes : (size_t)most);
	*in = span_skip(*in, content->bytes);
	if (r->step == HTTP_IN_REST)
		return HTTP_CONTENT;
	r->left -= content->bytes;
	if (r->left == 0)
		r->step =
		    r->step == HTTP_IN_CHUNK ? HTTP_IN_CHUNK_END : HTTP_AT_END;
	return HTTP_CONTENT;
}

static enum http_event
chunked_read(struct http_reader *r, struct span *in, struct span *content)
{
	enum http_event event = HTTP_NEED_MORE;

	while (in->bytes > 0 && event == HTTP_NEED_MORE) {
		if (r->step == HTTP_IN_SIZE)
			event = size_read(r, in);
		else if (r->step == HTTP_IN_CHUNK)
			event = length_read(r, in, content);
		else if (r->step == HTTP_IN_CHUNK_END)
			event = chunk_end_read(r, in);
		else
			event = trailer_read(r, in);
	}
	return event;
}

static enum http_event
size_read(struct http_reader *r, struct span *in)
{
	while (in->bytes > 0) {
		char c = in->data[0];

		*in = span_skip(*in, 1);
		if (c == '\n')
			return size_take(r) == 0 ? HTTP_NEED_MORE : lost(r);
		if (r->line_bytes == HTTP_LINE_MOST)
			return lost(r);
		r->line[r->line_bytes++] = c;
	}
	return HTTP_NEED_MORE;
}

/* "1f;name=value" CR: hexadecimal digits, extensions are passed over. The CR must
 * be there: a bare LF here is how replies are smuggled. */
static int
size_take(struct http_reader *r)
{
	struct span line = span_make(r->line, r->line_bytes), digits;

	r->line_bytes = 0;
	if (!span_ends(line, SPAN("\r")))
		return -1;
	line.bytes--;
	digits = span_trim(span_cut(&line, ';'));
	if (digits.bytes == 0 || digits.bytes > 15)
		return -1;
	r->left = 0;
	for (size_t i = 0; i < digits.bytes; i++) {
		char c = digits.data[i];
		int low = c | 0x20;

		if (c >= '0' && c <= '9')
			r->left = r->left * 16 + (uint64_t)(c - '0');
		else if (low >= 'a' && low <= 'f')
			r->left = r->left * 16 + (uint64_t)(low - 'a' + 10);
		else
			return -1;
	}
	r->step = r->left > 0 ? HTTP_IN_CHUNK : HTTP_IN_TRAILER;
	return 0;
}

static enum http_event
chunk_end_read(struct http_reader *r, struct span *in)
{
	char wanted = r->line_bytes == 0 ? '\r' : '\n';

	if (in->data[0] != wanted)
		return lost(r);
	*in = span_skip(*in, 1);
	r->line_bytes++;
	if (wanted == '\n') {
		r->line_bytes = 0;
		r->step = HTTP_IN_SIZE;
	}
	return HTTP_NEED_MORE;
}

/* Fields behind the last chunk count for nothing; an empty line is the end. */
static enum http_event
trailer_read(struct http_reader *r, struct span *in)
{
	while (in->bytes > 0) {
		char c = in->data[0];

		*in = span_skip(*in, 1);
		if (r->trailer_bytes++ == HTTP_TRAILER_MOST)
			return lost(r);
		if (c == '\n' && r->line_bytes == 0) {
			r->step = HTTP_AT_END;
			return HTTP_END;
		}
		if (c == '\n')
			r->line_bytes = 0;
		else if (c != '\r')
			r->line_bytes = 1; /* it is not empty */
	}
	return HTTP_NEED_MORE;
}

static enum http_event
lost(struct http_reader *r)
{
	r->step = HTTP_LOST;
	r->keep = false;
	return HTTP_BAD;
}
