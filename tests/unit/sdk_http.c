/* SPDX-License-Identifier: MIT */
/* If this fails, a function takes a reply of the host for another one: for whole
 * when it was cut off, for two when it was one. */
#include "wire_spans.h"

#include "sdk/http.h"

enum { BODY_ROOM = 4096 };

struct outcome {
	enum http_event last; /* NEED_MORE, END or BAD */
	unsigned status;
	bool keep;
	char body[BODY_ROOM];
	size_t body_bytes;
	size_t left; /* bytes not looked at */
};

/* Reads all, cut into pieces of `piece` bytes. */
static void
read_all(struct http_reader *r, struct span all, size_t piece,
    struct outcome *o)
{
	struct span in, content;

	memset(o, 0, sizeof(*o));
	http_reader_init(r);
	while (all.bytes > 0 && o->last == HTTP_NEED_MORE) {
		in = span_take(all, piece);
		all = span_skip(all, in.bytes);
		while ((o->last = http_read(r, &in, &content)) !=
			HTTP_NEED_MORE &&
		    o->last != HTTP_END && o->last != HTTP_BAD) {
			assert_true(o->body_bytes + content.bytes <= BODY_ROOM);
			if (content.bytes > 0)
				memcpy(o->body + o->body_bytes, content.data,
				    content.bytes);
			o->body_bytes += content.bytes;
		}
		o->left = in.bytes + all.bytes;
	}
	o->status = r->status;
	o->keep = r->keep;
}

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static const struct row {
	const char *sentence;
	struct span text;
	enum http_event last;
	unsigned status;
	bool keep;
	struct span body;
	size_t left;
} rows[] = {
	{ "a length", SPAN(OK "Content-Length: 5\r\n\r\nhello"), HTTP_END, 200,
	    true, SPAN("hello"), 0 },
	{ "a length of nothing", SPAN(OK "Content-Length: 0\r\n\r\n"), HTTP_END,
	    200, true, SPAN(""), 0 },
	{ "what is behind a reply is not of it",
	    SPAN(OK "Content-Length: 2\r\n\r\nhello"), HTTP_END, 200, true,
	    SPAN("he"), 3 },
	{ "less than its length is not the end",
	    SPAN(OK "Content-Length: 6\r\n\r\nhello"), HTTP_NEED_MORE, 200,
	    true, SPAN("hello"), 0 },
	{ "no length: as long as the connection", SPAN(OK "\r\nhello"),
	    HTTP_NEED_MORE, 200, false, SPAN("hello"), 0 },
	{ "chunks", SPAN(CHUNKED "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), HTTP_END,
	    200, true, SPAN("hello"), 0 },
	{ "chunks with capitals, zeros in front, an extension",
	    SPAN(CHUNKED "00A;x=y\r\n0123456789\r\n0\r\n\r\n"), HTTP_END, 200,
	    true, SPAN("0123456789"), 0 },
	{ "chunks with a trailer",
	    SPAN(CHUNKED "1\r\na\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n+"), HTTP_END,
	    200, true, SPAN("a"), 1 },
	{ "chunks without the last one", SPAN(CHUNKED "1\r\na\r\n"),
	    HTTP_NEED_MORE, 200, true, SPAN("a"), 0 },
	{ "a chunk that is longer than it says", SPAN(CHUNKED "1\r\nab\r\n"),
	    HTTP_BAD, 200, false, SPAN("a"), 3 },
	{ "a chunk's line without CR", SPAN(CHUNKED "1\na\r\n0\r\n\r\n"),
	    HTTP_BAD, 200, false, SPAN(""), 8 },
	{ "a chunk's size with a sign", SPAN(CHUNKED "+1\r\na\r\n"), HTTP_BAD,
	    200, false, SPAN(""), 3 },
	{ "a chunk without a size", SPAN(CHUNKED "\r\na\r\n"), HTTP_BAD, 200,
	    false, SPAN(""), 3 },
	{ "a chunk of 2^64", SPAN(CHUNKED "10000000000000000\r\na"), HTTP_BAD,
	    200, false, SPAN(""), 1 },
	{ "204 has no body, whatever it says",
	    SPAN("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nHTTP/"),
	    HTTP_END, 204, true, SPAN(""), 5 },
	{ "304 has no body",
	    SPAN("HTTP/1.1 304 Not Modified\r\nETag: \"7\"\r\n\r\n"), HTTP_END,
	    304, true, SPAN(""), 0 },
	{ "100 is no reply yet",
	    SPAN("HTTP/1.1 100 Continue\r\n\r\n" OK
		 "Content-Length: 1\r\n\r\na"),
	    HTTP_END, 200, true, SPAN("a"), 0 },
	{ "no reason, not even a blank",
	    SPAN("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n"), HTTP_END, 404,
	    true, SPAN(""), 0 },
	{ "lines may end with LF",
	    SPAN("HTTP/1.1 200 OK\nContent-Length: 1\n\na"), HTTP_END, 200,
	    true, SPAN("a"), 0 },
	{ "HTTP/1.0 closes",
	    SPAN("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na"), HTTP_END,
	    200, false, SPAN("a"), 0 },
	{ "it says that it closes",
	    SPAN(OK "Connection: x, Close\r\nContent-Length: 1\r\n\r\na"),
	    HTTP_END, 200, false, SPAN("a"), 0 },
	{ "HTTP/2 is none", SPAN("HTTP/2.0 200 OK\r\n\r\n"), HTTP_BAD, 0, false,
	    SPAN(""), 0 },
	{ "a status of four digits", SPAN("HTTP/1.1 2000 OK\r\n\r\n"), HTTP_BAD,
	    0, false, SPAN(""), 0 },
	{ "a status of two digits", SPAN("HTTP/1.1 99 OK\r\n\r\n"), HTTP_BAD, 0,
	    false, SPAN(""), 0 },
	{ "a status of 600", SPAN("HTTP/1.1 600 OK\r\n\r\n"), HTTP_BAD, 0,
	    false, SPAN(""), 0 },
	{ "two lengths",
	    SPAN(OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"),
	    HTTP_BAD, 200, false, SPAN(""), 1 },
	{ "a length beside chunks",
	    SPAN(OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na"),
	    HTTP_BAD, 200, false, SPAN(""), 1 },
	{ "another encoding",
	    SPAN(OK "Transfer-Encoding: gzip, chunked\r\n\r\na"), HTTP_BAD, 200,
	    false, SPAN(""), 1 },
	{ "a length with a sign", SPAN(OK "Content-Length: +1\r\n\r\na"),
	    HTTP_BAD, 200, false, SPAN(""), 1 },
	{ "a length of 2^63",
	    SPAN(OK "Content-Length: 9223372036854775808\r\n"
		    "\r\na"),
	    HTTP_BAD, 200, false, SPAN(""), 1 },
	{ "a field without a colon", SPAN(OK "nonsense\r\n\r\n"), HTTP_BAD, 200,
	    false, SPAN(""), 0 },
	{ "a blank before the colon", SPAN(OK "Content-Length : 1\r\n\r\na"),
	    HTTP_BAD, 200, false, SPAN(""), 1 },
	{ "a folded line", SPAN(OK "A: b\r\n c\r\n\r\n"), HTTP_BAD, 200, false,
	    SPAN(""), 0 },
	{ "a CR inside a line", SPAN(OK "A: b\rC: d\r\n\r\n"), HTTP_BAD, 200,
	    false, SPAN(""), 0 },
	{ "a page of somebody else", SPAN("<html>\n\n</html>"), HTTP_BAD, 0,
	    false, SPAN(""), 7 },
};

static void
row_check(const struct row *row, const struct outcome *o)
{
	assert_int_equal(o->last, row->last);
	assert_int_equal(o->status, row->status);
	assert_int_equal(o->keep, row->keep);
	assert_span(span_make(o->body, o->body_bytes), row->body);
	assert_int_equal(o->left, row->left);
}

static void
test_row(void **state)
{
	static struct http_reader reader;
	const struct row *row = *state;
	struct outcome o;

	for (size_t piece = row->text.bytes; piece > 0; piece--) {
		read_all(&reader, row->text, piece, &o);
		row_check(row, &o);
	}
}

/* Whatever was cut off, the end of the connection makes a reply whole only when
 * that is how it ends. */
static void
test_cut(void **state)
{
	static struct http_reader reader;
	const struct row *row = *state;
	struct outcome o;
	int ended;

	for (size_t bytes = 0; bytes < row->text.bytes - row->left; bytes++) {
		read_all(&reader, span_take(row->text, bytes), 64, &o);
		if (o.last == HTTP_BAD || o.last == HTTP_END)
			continue;
		ended = http_read_end(&reader);
		assert_false(reader.keep);
		assert_int_equal(ended == 0, reader.step == HTTP_AT_END);
		if (ended == 0)
			assert_true(span_equal(row->text,
			    rows[4].text) /* no length */);
	}
}

static void
test_fields(void **state)
{
	static struct http_reader r;
	struct outcome o;

	(void)state;
	read_all(&r,
	    SPAN(OK "ETag: \"57\" \r\nfn-Expires:\t12\r\nEmpty:\r\n"
		    "Content-Length: 0\r\nETag: \"58\"\r\n\r\n"),
	    7, &o);
	assert_int_equal(o.last, HTTP_END);
	assert_span(http_field(&r, SPAN("etag")), SPAN("\"57\""));
	assert_span(http_field(&r, SPAN("Fn-Expires")), SPAN("12"));
	assert_span(http_field(&r, SPAN("empty")), SPAN(""));
	assert_null(http_field(&r, SPAN("HTTP/1.1 200 OK")).data);
	assert_null(http_field(&r, SPAN("fn")).data);
}

/* Memory stays under the declared ceilings, and it says so. */
static void
test_ceilings(void **state)
{
	static struct http_reader r;
	static char text[2 * HTTP_HEAD_MOST];
	struct outcome o;
	const size_t first = strlen(OK "A: ");

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, OK "A: ", first);
	memcpy(text + HTTP_HEAD_MOST - 4, "\r\n\r\n", 4);
	read_all(&r, span_make(text, HTTP_HEAD_MOST), 4096, &o);
	assert_int_equal(o.last, HTTP_NEED_MORE); /* as long as it may be */
	assert_int_equal(r.step, HTTP_IN_REST);
	memset(text + HTTP_HEAD_MOST - 4, 'a', 4);
	read_all(&r, span_make(text, sizeof(text)), 4096, &o);
	assert_int_equal(o.last, HTTP_BAD);

	memset(text, '0', sizeof(text));
	memcpy(text, CHUNKED, strlen(CHUNKED));
	read_all(&r, span_make(text, strlen(CHUNKED) + HTTP_LINE_MOST + 1),
	    4096, &o);
	assert_int_equal(o.last, HTTP_BAD);

	memcpy(text, CHUNKED "0\r\n", strlen(CHUNKED) + 3);
	read_all(&r, span_make(text, strlen(CHUNKED) + 3 + HTTP_TRAILER_MOST),
	    4096, &o);
	assert_int_equal(o.last, HTTP_NEED_MORE);
	read_all(&r, span_make(text, strlen(CHUNKED) + 4 + HTTP_TRAILER_MOST),
	    4096, &o);
	assert_int_equal(o.last, HTTP_BAD);
}

int
main(void)
{
	static const struct CMUnitTest rest[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_ceilings),
	};

	return RUN_ROWS(rows, test_row) + RUN_ROWS(rows, test_cut) +
	    cmocka_run_group_tests(rest, NULL, NULL);
}
