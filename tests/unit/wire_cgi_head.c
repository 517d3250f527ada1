/* SPDX-License-Identifier: MIT */
/* If this fails, what a tenant's program wrote reaches nginx with a meaning of
 * its own: a broken status line, two lengths, an internal redirect. */
#include <stdio.h>
#include <stdlib.h>

#include "wire_spans.h"

#include "wire/cgi_head.h"

static struct cgi_head head, again;
static const struct cgi_head_policy strict = { .allow_accel = false };

static const struct good {
	const char *sentence;
	struct span bytes;
	enum cgi_head_kind kind;
	struct span written;
} goods[] = {
	/* documents */
	{ "S2: a document without Status is 200",
	    SPAN("Content-Type: text/plain\n\n"), CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n") },
	{ "S2: a Content-Type is not guessed", SPAN("Status: 200 OK\n\n"),
	    CGI_DOCUMENT, SPAN("Status: 200 OK\r\n\r\n") },
	{ "S5: Location with Status 201 is a document",
	    SPAN("Status: 201 Created\nLocation: /new/7\n\n"), CGI_DOCUMENT,
	    SPAN("Status: 201 Created\r\nLocation: /new/7\r\n\r\n") },
	{ "S5: Location with Status 200 is a document",
	    SPAN("Status: 200 OK\nLocation: /x\nContent-Type: a/b\n\n"),
	    CGI_DOCUMENT,
	    SPAN(
		"Status: 200 OK\r\nLocation: /x\r\nContent-Type: a/b\r\n\r\n") },
	{ "S5: Location with Status 404 is a document",
	    SPAN("Location: /x\nStatus: 404 Gone Fishing\n\n"), CGI_DOCUMENT,
	    SPAN("Status: 404 Gone Fishing\r\nLocation: /x\r\n\r\n") },
	/* redirects */
	{ "S3: a path alone is a local redirect",
	    SPAN("Location: /fn/acme/other?a=b\n\n"), CGI_LOCAL_REDIRECT,
	    SPAN("Status: 302 Found\r\nLocation: /fn/acme/other?a=b\r\n\r\n") },
	{ "S3: a path with Content-Type is for the client",
	    SPAN("Content-Type: text/html\nLocation: /x\n\n"),
	    CGI_CLIENT_REDIRECT,
	    SPAN("Status: 302 Found\r\nContent-Type: text/html\r\n"
		 "Location: /x\r\n\r\n") },
	{ "S3: a path with a cookie is for the client, who gets the cookie",
	    SPAN("Location: /x\nSet-Cookie: a=b\n\n"), CGI_CLIENT_REDIRECT,
	    SPAN(
		"Status: 302 Found\r\nLocation: /x\r\nSet-Cookie: a=b\r\n\r\n") },
	{ "S3: a path with a fragment is for the client",
	    SPAN("Location: /x#top\n\n"), CGI_CLIENT_REDIRECT,
	    SPAN("Status: 302 Found\r\nLocation: /x#top\r\n\r\n") },
	{ "S3: two slashes begin another host, not a path",
	    SPAN("Location: //example.org/x\n\n"), CGI_CLIENT_REDIRECT,
	    SPAN("Status: 302 Found\r\nLocation: //example.org/x\r\n\r\n") },
	{ "S4: an absolute Location alone is 302",
	    SPAN("Location: http://example.org/x\n\n"), CGI_CLIENT_REDIRECT,
	    SPAN(
		"Status: 302 Found\r\nLocation: http://example.org/x\r\n\r\n") },
	{ "S4: an absolute Location may have a fragment",
	    SPAN("Location: http://example.org/x#y\n\n"), CGI_CLIENT_REDIRECT,
	    SPAN("Status: 302 Found\r\n"
		 "Location: http://example.org/x#y\r\n\r\n") },
	{ "S4: fields beside an absolute Location are kept",
	    SPAN("Set-Cookie: a=b\nLocation: http://example.org/\n\n"),
	    CGI_CLIENT_REDIRECT,
	    SPAN("Status: 302 Found\r\nSet-Cookie: a=b\r\n"
		 "Location: http://example.org/\r\n\r\n") },
	{ "S4: a relative Location is the client's to resolve",
	    SPAN("Location: index.cgi?x\n\n"), CGI_CLIENT_REDIRECT,
	    SPAN("Status: 302 Found\r\nLocation: index.cgi?x\r\n\r\n") },
	{ "S5: Location with Status 3xx is as given",
	    SPAN("Status: 301 Moved\nLocation: /x\nContent-Type: a/b\n\n"),
	    CGI_CLIENT_REDIRECT_DOCUMENT,
	    SPAN("Status: 301 Moved\r\nLocation: /x\r\n"
		 "Content-Type: a/b\r\n\r\n") },
	{ "S5: it needs no document", SPAN("Status: 303\nLocation: /x\n\n"),
	    CGI_CLIENT_REDIRECT_DOCUMENT,
	    SPAN("Status: 303 See Other\r\nLocation: /x\r\n\r\n") },
	{ "S5: Status may follow Location",
	    SPAN("Location: /x\nStatus: 307 Later\n\n"),
	    CGI_CLIENT_REDIRECT_DOCUMENT,
	    SPAN("Status: 307 Later\r\nLocation: /x\r\n\r\n") },
	/* Status */
	{ "S6: words of the program's own are kept as the reason",
	    SPAN("Status: 200 Script output follows\n\n"), CGI_DOCUMENT,
	    SPAN("Status: 200 Script output follows\r\n\r\n") },
	{ "S6: a Status without a reason gets one", SPAN("Status: 404\n\n"),
	    CGI_DOCUMENT, SPAN("Status: 404 Not Found\r\n\r\n") },
	{ "S6: so does one with a blank for a reason", SPAN("Status: 404 \n\n"),
	    CGI_DOCUMENT, SPAN("Status: 404 Not Found\r\n\r\n") },
	{ "S6: a number nobody knows gets a reason too",
	    SPAN("Status: 599\n\n"), CGI_DOCUMENT,
	    SPAN("Status: 599 Unknown\r\n\r\n") },
	/* syntax */
	{ "S7: names are the same in any case",
	    SPAN("sTATUS: 404\nCONTENT-TYPE: a/b\ncontent-length: 3\n\n"),
	    CGI_DOCUMENT,
	    SPAN("Status: 404 Not Found\r\nCONTENT-TYPE: a/b\r\n"
		 "Content-Length: 3\r\n\r\n") },
	{ "S7: lines may end in CRLF",
	    SPAN("Content-Type: a/b\r\nX-A: 1\r\n\r\n"), CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\nContent-Type: a/b\r\nX-A: 1\r\n\r\n") },
	{ "S7: line ends may be mixed",
	    SPAN("Content-Type: a/b\nX-A: 1\r\nX-B: 2\n\r\n"), CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\nContent-Type: a/b\r\nX-A: 1\r\n"
		 "X-B: 2\r\n\r\n") },
	{ "S7: the blank line may be LF behind CRLF",
	    SPAN("Content-Type: a/b\r\n\n"), CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\nContent-Type: a/b\r\n\r\n") },
	{ "S7: blanks around a value go",
	    SPAN("Content-Type:a/b\nX-A: \t 1 2\t \n\n"), CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\nContent-Type: a/b\r\nX-A: 1 2\r\n\r\n") },
	{ "S7: a value may be empty", SPAN("Content-Type: a/b\nX-A:\n\n"),
	    CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\nContent-Type: a/b\r\nX-A: \r\n\r\n") },
	{ "S7: a value may have tabs and bytes above 127",
	    SPAN("Content-Type: a/b\nX-A: a\t\303\244\n\n"), CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\nContent-Type: a/b\r\n"
		 "X-A: a\t\303\244\r\n\r\n") },
	{ "S8: fields of one name keep their order",
	    SPAN("Set-Cookie: a\nContent-Type: a/b\nSet-Cookie: b\n\n"),
	    CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\nSet-Cookie: a\r\nContent-Type: a/b\r\n"
		 "Set-Cookie: b\r\n\r\n") },
	/* what does not pass */
	{ "S8: hop-by-hop fields are left out",
	    SPAN("Content-Type: a/b\nConnection: close\nKeep-Alive: 5\n"
		 "Proxy-Authenticate: x\nproxy-connection: x\nTE: gzip\n"
		 "Trailer: x\nTransfer-Encoding: chunked\nUpgrade: h2c\n\n"),
	    CGI_DOCUMENT, SPAN("Status: 200 OK\r\nContent-Type: a/b\r\n\r\n") },
	{ "S8: names that only begin like them stay",
	    SPAN("Content-Type: a/b\nTEE: 1\nProxy: 2\nConnections: 3\n"
		 "Trailers: 4\n\n"),
	    CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\nContent-Type: a/b\r\nTEE: 1\r\nProxy: 2\r\n"
		 "Connections: 3\r\nTrailers: 4\r\n\r\n") },
	{ "X-Accel-Redirect and its kind are left out",
	    SPAN(
		"Content-Type: a/b\nX-Accel-Redirect: /other\n"
		"x-accel-buffering: no\nX-ACCEL-Limit-Rate: 1\nX-Accelerate: y\n\n"),
	    CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\nContent-Type: a/b\r\nX-Accelerate: y\r\n"
		 "\r\n") },
	/* length */
	{ "S13: a Content-Length is written last, as a number",
	    SPAN("Content-Length: 007\nContent-Type: a/b\n\n"), CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\nContent-Type: a/b\r\n"
		 "Content-Length: 7\r\n\r\n") },
	{ "S13: a Content-Length of 0 is one",
	    SPAN("Content-Length: 0\nContent-Type: a/b\n\n"), CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\nContent-Type: a/b\r\n"
		 "Content-Length: 0\r\n\r\n") },
	{ "S13: the largest Content-Length",
	    SPAN("Content-Length: 9223372036854775807\nStatus: 200\n\n"),
	    CGI_DOCUMENT,
	    SPAN("Status: 200 OK\r\n"
		 "Content-Length: 9223372036854775807\r\n\r\n") },
	{ "S14: 204 has no Content-Length",
	    SPAN("Status: 204\nContent-Length: 5\n\n"), CGI_DOCUMENT,
	    SPAN("Status: 204 No Content\r\n\r\n") },
	{ "S14: neither has 304",
	    SPAN("Status: 304\nETag: \"x\"\nContent-Length: 5\n\n"),
	    CGI_DOCUMENT,
	    SPAN("Status: 304 Not Modified\r\nETag: \"x\"\r\n\r\n") },
	/* status lines */
	{ "N1: a status line is taken as a Status",
	    SPAN("HTTP/1.1 404 Nothing Here\r\nContent-Type: a/b\r\n\r\n"),
	    CGI_DOCUMENT,
	    SPAN("Status: 404 Nothing Here\r\nContent-Type: a/b\r\n\r\n") },
	{ "N1: a status line may be all there is", SPAN("HTTP/1.0 200\n\n"),
	    CGI_DOCUMENT, SPAN("Status: 200 OK\r\n\r\n") },
	{ "N1: a status line makes Location a client redirect",
	    SPAN("HTTP/1.0 302 Found\nLocation: /x\n\n"),
	    CGI_CLIENT_REDIRECT_DOCUMENT,
	    SPAN("Status: 302 Found\r\nLocation: /x\r\n\r\n") },
};

static const struct bad {
	const char *sentence;
	struct span bytes;
	enum cgi_head_error error;
} bads[] = {
	{ "S12: no header at all", SPAN("\n"), CGI_HEAD_NO_CGI_FIELD },
	{ "S12: words that are no header", SPAN("Hello, world\n\n"),
	    CGI_HEAD_NO_COLON },
	{ "S12: a body where the header should be",
	    SPAN("<a href=\"x:y\">z</a>\n\n"), CGI_HEAD_BAD_NAME },
	{ "S1: no field of CGI's own", SPAN("X-A: 1\nContent-Length: 3\n\n"),
	    CGI_HEAD_NO_CGI_FIELD },
	{ "S1: Status twice", SPAN("Status: 200\nStatus: 200\n\n"),
	    CGI_HEAD_TWICE },
	{ "S1: Location twice", SPAN("Location: /a\nlocation: /a\n\n"),
	    CGI_HEAD_TWICE },
	{ "S1: Content-Type twice",
	    SPAN("Content-Type: a/b\nContent-type: a/b\n\n"), CGI_HEAD_TWICE },
	{ "S1: Content-Type twice, the first one empty",
	    SPAN("Content-Type:\nContent-type: a/b\n\n"), CGI_HEAD_TWICE },
	{ "N1: a status line and a Status",
	    SPAN("HTTP/1.1 200 OK\nStatus: 200\n\n"), CGI_HEAD_TWICE },
	{ "N1: two status lines", SPAN("HTTP/1.1 200 OK\nHTTP/1.1 200 OK\n\n"),
	    CGI_HEAD_NO_COLON },
	{ "N1: a status line of a version that is not 1.0 or 1.1",
	    SPAN("HTTP/1.7 200 OK\n\n"), CGI_HEAD_BAD_STATUS },
	{ "N1: a status line of HTTP/2", SPAN("HTTP/2 200 OK\n\n"),
	    CGI_HEAD_NO_COLON },
	{ "N1: a status line without a status", SPAN("HTTP/1.1 OK\n\n"),
	    CGI_HEAD_BAD_STATUS },
	{ "N1: a status line with a control byte",
	    SPAN("HTTP/1.1 200 O\001K\n\n"), CGI_HEAD_BAD_VALUE },
	{ "S6: Status 1000", SPAN("Status: 1000 x\n\n"), CGI_HEAD_BAD_STATUS },
	{ "S6: Status 99", SPAN("Status: 99 x\n\n"), CGI_HEAD_BAD_STATUS },
	{ "S6: Status 099", SPAN("Status: 099 x\n\n"), CGI_HEAD_BAD_STATUS },
	{ "S6: Status 100", SPAN("Status: 100 x\n\n"), CGI_HEAD_BAD_STATUS },
	{ "S6: Status 600", SPAN("Status: 600 x\n\n"), CGI_HEAD_BAD_STATUS },
	{ "S6: Status +20", SPAN("Status: +20 x\n\n"), CGI_HEAD_BAD_STATUS },
	{ "S6: Status 200OK", SPAN("Status: 200OK\n\n"), CGI_HEAD_BAD_STATUS },
	{ "S6: Status with a tab behind the number",
	    SPAN("Status: 200\tOK\n\n"), CGI_HEAD_BAD_STATUS },
	{ "S6: an empty Status", SPAN("Status:\n\n"), CGI_HEAD_BAD_STATUS },
	{ "S6: words for a Status", SPAN("Status: OK\n\n"),
	    CGI_HEAD_BAD_STATUS },
	{ "S7: a blank before the colon", SPAN("Content-Type : a/b\n\n"),
	    CGI_HEAD_BAD_NAME },
	{ "S7: a blank in a name", SPAN("Status: 200\nX A: b\n\n"),
	    CGI_HEAD_BAD_NAME },
	{ "S7: an empty name", SPAN("Status: 200\n: b\n\n"),
	    CGI_HEAD_BAD_NAME },
	{ "S7: a name of bytes above 127",
	    SPAN("Status: 200\nX\303\244: b\n\n"), CGI_HEAD_BAD_NAME },
	{ "S7: a line without a colon", SPAN("Status: 200\nnonsense\n\n"),
	    CGI_HEAD_NO_COLON },
	{ "S7: a folded line", SPAN("Content-Type: a/b\n charset=c\n\n"),
	    CGI_HEAD_CONTINUATION },
	{ "S7: a line folded by a tab", SPAN("Content-Type: a/b\n\tX: c\n\n"),
	    CGI_HEAD_CONTINUATION },
	{ "S7: a blank before the first line", SPAN(" Content-Type: a/b\n\n"),
	    CGI_HEAD_CONTINUATION },
	{ "S8: a CR in a value", SPAN("Status: 200\nX-A: a\rSet-Cookie: b\n\n"),
	    CGI_HEAD_BAD_VALUE },
	{ "S8: two CRs before the LF", SPAN("Status: 200\nX-A: a\r\r\n\n"),
	    CGI_HEAD_BAD_VALUE },
	{ "S8: a CR in a name", SPAN("Status: 200\nX\r-A: b\n\n"),
	    CGI_HEAD_BAD_NAME },
	{ "S8: NUL in a value", SPAN("Status: 200\nX-A: a\0b\n\n"),
	    CGI_HEAD_BAD_VALUE },
	{ "S8: NUL in a reason", SPAN("Status: 200 O\0K\n\n"),
	    CGI_HEAD_BAD_VALUE },
	{ "S13: Content-Length twice",
	    SPAN("Status: 200\nContent-Length: 5\nContent-Length: 6\n\n"),
	    CGI_HEAD_BAD_LENGTH },
	{ "S13: the same Content-Length twice",
	    SPAN("Status: 200\nContent-Length: 5\nContent-Length: 5\n\n"),
	    CGI_HEAD_BAD_LENGTH },
	{ "S13: Content-Length +5", SPAN("Status: 200\nContent-Length: +5\n\n"),
	    CGI_HEAD_BAD_LENGTH },
	{ "S13: Content-Length -5", SPAN("Status: 200\nContent-Length: -5\n\n"),
	    CGI_HEAD_BAD_LENGTH },
	{ "S13: Content-Length 0x5",
	    SPAN("Status: 200\nContent-Length: 0x5\n\n"), CGI_HEAD_BAD_LENGTH },
	{ "S13: Content-Length 5,5",
	    SPAN("Status: 200\nContent-Length: 5,5\n\n"), CGI_HEAD_BAD_LENGTH },
	{ "S13: Content-Length 5 5",
	    SPAN("Status: 200\nContent-Length: 5 5\n\n"), CGI_HEAD_BAD_LENGTH },
	{ "S13: Content-Length 5.0",
	    SPAN("Status: 200\nContent-Length: 5.0\n\n"), CGI_HEAD_BAD_LENGTH },
	{ "S13: an empty Content-Length",
	    SPAN("Status: 200\nContent-Length:\n\n"), CGI_HEAD_BAD_LENGTH },
	{ "S13: Content-Length 2^63",
	    SPAN("Status: 200\nContent-Length: 9223372036854775808\n\n"),
	    CGI_HEAD_BAD_LENGTH },
	{ "S13: Content-Length 2^64 + 5",
	    SPAN("Status: 200\nContent-Length: 18446744073709551621\n\n"),
	    CGI_HEAD_BAD_LENGTH },
	{ "S14: Status 101", SPAN("Status: 101 Switching\nUpgrade: x\n\n"),
	    CGI_HEAD_UPGRADE },
	{ "S14: a status line 101",
	    SPAN("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
	    CGI_HEAD_UPGRADE },
	{ "S14: Connection: upgrade",
	    SPAN("Status: 200\nConnection: close, Upgrade\n\n"),
	    CGI_HEAD_UPGRADE },
	{ "S3: an empty Location", SPAN("Location:\n\n"),
	    CGI_HEAD_BAD_LOCATION },
	{ "S3: an empty Location with Status",
	    SPAN("Status: 302\nLocation:\n\n"), CGI_HEAD_BAD_LOCATION },
	{ "S3: a blank in a local redirect",
	    SPAN("Location: /a b HTTP/1.1\n\n"), CGI_HEAD_BAD_LOCATION },
	{ "S3: a tab in a local redirect", SPAN("Location: /a\tb\n\n"),
	    CGI_HEAD_BAD_LOCATION },
};

/* The header ends where the bytes do, however they come. */
static void
assert_found(struct span bytes)
{
	size_t head_bytes = 0, scanned = 0;

	for (size_t n = 0; n < bytes.bytes; n++) {
		assert_int_equal(cgi_head_find(span_take(bytes, n), false,
				     &scanned, &head_bytes),
		    CGI_HEAD_NEED_MORE);
		assert_true(scanned <= n);
	}
	assert_int_equal(cgi_head_find(bytes, false, &scanned, &head_bytes),
	    CGI_HEAD_COMPLETE);
	assert_int_equal(head_bytes, bytes.bytes);

	for (size_t n = 0; n < bytes.bytes; n++) {
		scanned = head_bytes = 0;
		assert_int_equal(cgi_head_find(span_take(bytes, n), false,
				     &scanned, &head_bytes),
		    CGI_HEAD_NEED_MORE);
		assert_int_equal(cgi_head_find(bytes, true, &scanned,
				     &head_bytes),
		    CGI_HEAD_COMPLETE);
		assert_int_equal(head_bytes, bytes.bytes);
	}
}

static void
test_good(void **state)
{
	const struct good *row = *state;
	struct buf b, b_again;

	assert_found(row->bytes);
	if (cgi_head_parse(row->bytes, &head) != 0)
		fail_msg("%s", cgi_head_error_words(head.error));
	assert_int_equal(head.kind, row->kind);
	buf_init(&b, 4096);
	buf_init(&b_again, 4096);
	assert_int_equal(cgi_head_write(&b, &head, &strict), 0);
	assert_span(buf_span(&b), row->written);

	/* What we write is a header we read the same way. */
	assert_int_equal(cgi_head_parse(buf_span(&b), &again), 0);
	assert_int_equal(again.status, head.status);
	assert_int_equal(again.bodyless, head.bodyless);
	assert_int_equal(cgi_head_write(&b_again, &again, &strict), 0);
	assert_span(buf_span(&b_again), row->written);
	buf_free(&b);
	buf_free(&b_again);
}

static void
test_bad(void **state)
{
	const struct bad *row = *state;

	assert_found(row->bytes);
	assert_int_equal(cgi_head_parse(row->bytes, &head), -1);
	if (head.error != row->error)
		fail_msg("is \"%s\", wanted \"%s\"",
		    cgi_head_error_words(head.error),
		    cgi_head_error_words(row->error));
}

static void
test_end(void **state)
{
	struct span cut = SPAN("Content-Type: a/b\n");
	struct span body = SPAN("Status: 200\r\n\r\nStatus: 500\n\nbody");
	size_t scanned = 0, head_bytes = 0;

	(void)state;
	assert_int_equal(cgi_head_find(cut, false, &scanned, &head_bytes),
	    CGI_HEAD_NEED_MORE);
	assert_int_equal(cgi_head_find(cut, true, &scanned, &head_bytes),
	    CGI_HEAD_BAD);
	scanned = 0;
	assert_int_equal(cgi_head_find(SPAN(""), true, &scanned, &head_bytes),
	    CGI_HEAD_BAD);
	scanned = 0;
	assert_int_equal(cgi_head_find(body, false, &scanned, &head_bytes),
	    CGI_HEAD_COMPLETE);
	assert_int_equal(head_bytes, 15);
	assert_int_equal(cgi_head_parse(span_take(body, 15), &head), 0);
	assert_int_equal(head.status, 200);
}

/* A header of exactly `total` bytes in lines of at most 1000. */
static struct span
header_of(char *at, size_t total)
{
	static const char first[] = "Content-Type: a/b\n";
	size_t used = sizeof(first) - 1;

	memcpy(at, first, used);
	while (used < total - 1) {
		size_t line = total - 1 - used;

		if (line > 1100) /* never leaves too little for a line */
			line = 1000;
		memset(at + used, 'x', line - 1);
		at[used + 1] = ':';
		at[used + line - 1] = '\n';
		used += line;
	}
	at[used++] = '\n';
	assert_int_equal(used, total);
	return span_make(at, total);
}

static void
test_total(void **state)
{
	char *bytes = malloc(CGI_HEAD_MOST + 2);
	struct span s = header_of(bytes, CGI_HEAD_MOST);
	size_t scanned = 0, head_bytes = 0;

	(void)state;
	assert_int_equal(cgi_head_find(s, false, &scanned, &head_bytes),
	    CGI_HEAD_COMPLETE);
	assert_int_equal(head_bytes, CGI_HEAD_MOST);
	assert_int_equal(cgi_head_parse(s, &head), 0);

	s = header_of(bytes, CGI_HEAD_MOST + 1);
	scanned = 0;
	assert_int_equal(cgi_head_find(span_take(s, CGI_HEAD_MOST - 1), false,
			     &scanned, &head_bytes),
	    CGI_HEAD_NEED_MORE);
	assert_int_equal(cgi_head_find(s, false, &scanned, &head_bytes),
	    CGI_HEAD_BAD);
	assert_int_equal(cgi_head_parse(s, &head), -1);
	assert_int_equal(head.error, CGI_HEAD_TOO_LONG);
	free(bytes);
}

static void
test_line(void **state)
{
	static const char start[] = "Status: 200\n";
	char *bytes = calloc(1, CGI_HEAD_MOST);
	size_t used = sizeof(start) - 1;
	struct span s = span_make(bytes, used + CGI_HEAD_LINE_MOST + 2);

	(void)state;
	memcpy(bytes, start, used);
	memset(bytes + used, 'x', CGI_HEAD_LINE_MOST + 3);
	bytes[used + 1] = ':';
	memset(bytes + used + CGI_HEAD_LINE_MOST, '\n', 2);
	assert_int_equal(cgi_head_parse(s, &head), 0);
	assert_int_equal(head.fields[0].value.bytes, CGI_HEAD_LINE_MOST - 2);

	bytes[used + CGI_HEAD_LINE_MOST] = 'x';
	bytes[used + CGI_HEAD_LINE_MOST + 2] = '\n';
	s.bytes++;
	assert_int_equal(cgi_head_parse(s, &head), -1);
	assert_int_equal(head.error, CGI_HEAD_LINE_TOO_LONG);
	free(bytes);
}

static void
test_field_count(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, CGI_HEAD_MOST);
	buf_put(&b, SPAN("Status: 200\n"));
	for (int i = 0; i < CGI_HEAD_FIELDS_MOST; i++)
		buf_put(&b, SPAN("A: b\n"));
	buf_put(&b, SPAN("\n"));
	assert_int_equal(cgi_head_parse(buf_span(&b), &head), 0);
	assert_int_equal(head.field_count, CGI_HEAD_FIELDS_MOST);
	b.end--;
	buf_put(&b, SPAN("A: b\n\n"));
	assert_int_equal(cgi_head_parse(buf_span(&b), &head), -1);
	assert_int_equal(head.error, CGI_HEAD_TOO_MANY_FIELDS);
	buf_free(&b);
}

static void
test_every_status(void **state)
{
	(void)state;
	for (unsigned status = 0; status < 1000; status++) {
		char text[64];
		bool good = status >= 200 && status <= 599;

		snprintf(text, sizeof(text), "Status: %03u x\n\n", status);
		assert_int_equal(cgi_head_parse(span_of(text), &head),
		    good ? 0 : -1);
		if (!good)
			continue;
		assert_int_equal(head.status, status);
		assert_int_equal(head.bodyless, status == 204 || status == 304);
		assert_true(http_reason(status)[0] != '\0');
	}
	assert_string_equal(http_reason(404), "Not Found");
	assert_string_equal(http_reason(999), "Unknown");
	assert_string_equal(http_reason(0), "Unknown");
}

static void
test_every_byte(void **state)
{
	static const char token[] =
	    "!#$%&'*+-.^_`|~0123456789"
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		char name[] = "Status: 200\nX?Y: z\n\n";
		char value[] = "Status: 200\nX: y?z\n\n";
		bool in_name = c != 0 && strchr(token, (int)c) != NULL;
		bool in_value = c == '\t' || (c >= ' ' && c != 0x7f);

		if (c == '\n')
			continue;
		name[13] = (char)c;
		value[16] = (char)c;
		/* A colon ends the name: "X" is ":Y: z" then. */
		assert_int_equal(cgi_head_parse(span_make(name,
						    sizeof(name) - 1),
				     &head),
		    in_name || c == ':' ? 0 : -1);
		assert_int_equal(cgi_head_parse(span_make(value,
						    sizeof(value) - 1),
				     &head),
		    in_value ? 0 : -1);
	}
}

static void
test_policy(void **state)
{
	const struct cgi_head_policy open = {
		.allow_accel = true,
		.extra = SPAN("X-Request-Id: 7\r\n"),
	};
	struct buf b;

	(void)state;
	assert_int_equal(
	    cgi_head_parse(SPAN("Status: 200\n"
				"X-Accel-Redirect: /f\nConnection: close\n\n"),
		&head),
	    0);
	buf_init(&b, 4096);
	assert_int_equal(cgi_head_write(&b, &head, &open), 0);
	assert_span(buf_span(&b),
	    SPAN("Status: 200 OK\r\n"
		 "X-Accel-Redirect: /f\r\nX-Request-Id: 7\r\n\r\n"));
	buf_free(&b);
}

static void
test_extra_wins(void **state)
{
	const struct cgi_head_policy ours = {
		.extra = SPAN("X-Request-Id: 7\r\nX-Other: o\r\n"),
	};
	struct buf b;

	(void)state;
	assert_int_equal(
	    cgi_head_parse(SPAN("X-Request-Id: theirs\nContent-Type: a/b\n"
				"x-request-ID:\nX-Request: 1\nx-other: 2\n"
				"X-Request-Id-2: 3\n\n"),
		&head),
	    0);
	buf_init(&b, 4096);
	assert_int_equal(cgi_head_write(&b, &head, &ours), 0);
	assert_span(buf_span(&b),
	    SPAN("Status: 200 OK\r\nContent-Type: a/b\r\nX-Request: 1\r\n"
		 "X-Request-Id-2: 3\r\nX-Request-Id: 7\r\nX-Other: o\r\n"
		 "\r\n"));
	buf_free(&b);
	buf_init(&b, 4096);
	assert_int_equal(cgi_head_write(&b, &head, &strict), 0);
	assert_non_null(strstr(buf_string(&b), "\r\nX-Request-Id: theirs\r\n"));
	buf_free(&b);
}

static void
test_ceiling(void **state)
{
	static const char written[] = "Status: 200 OK\r\nContent-Type: a/b\r\n"
				      "Content-Length: 42\r\n\r\n";
	struct buf b;

	(void)state;
	assert_int_equal(
	    cgi_head_parse(SPAN("Content-Type: a/b\n"
				"Connection: close\nContent-Length: 42\n\n"),
		&head),
	    0);
	for (size_t most = 1; most < sizeof(written) - 1; most++) {
		buf_init(&b, most);
		assert_int_equal(cgi_head_write(&b, &head, &strict), -1);
		assert_int_equal(buf_bytes(&b), 0);
		buf_free(&b);
	}
	buf_init(&b, sizeof(written) - 1);
	assert_int_equal(cgi_head_write(&b, &head, &strict), 0);
	assert_span(buf_span(&b), span_of(written));
	buf_free(&b);
}

static void
test_words(void **state)
{
	(void)state;
	for (int i = CGI_HEAD_OK; i <= CGI_HEAD_UPGRADE; i++)
		assert_string_not_equal(
		    cgi_head_error_words((enum cgi_head_error)i), "unknown");
}

static const struct CMUnitTest others[] = {
	{ "S12: output that ends without a blank line has no header", test_end,
	    NULL, NULL, NULL },
	{ "S11: 32 KiB are a header, a byte more is not", test_total, NULL,
	    NULL, NULL },
	{ "S11: 16 KiB are a line, a byte more is not", test_line, NULL, NULL,
	    NULL },
	{ "S11: 256 fields are a header, one more is not", test_field_count,
	    NULL, NULL, NULL },
	{ "S6: every number for a Status", test_every_status, NULL, NULL,
	    NULL },
	{ "S7: every byte in a name and in a value", test_every_byte, NULL,
	    NULL, NULL },
	{ "X-Accel-* passes when allowed, and what the host adds comes last",
	    test_policy, NULL, NULL, NULL },
	{ "what the host adds a program does not say beside it",
	    test_extra_wins, NULL, NULL, NULL },
	{ "at the ceiling nothing is written", test_ceiling, NULL, NULL, NULL },
	{ "every error has its words", test_words, NULL, NULL, NULL },
};

int
main(void)
{
	return RUN_ROWS(goods, test_good) + RUN_ROWS(bads, test_bad) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
