/* SPDX-License-Identifier: MIT */
/* http.h - an HTTP/1.1 reply (RFC 9112) from bytes that come split anywhere.
 * Pure: no I/O, no allocation. The header is kept in the reader, bounded; content
 * is handed out in slices as it comes. Strict: what could be read in two ways
 * (two lengths, a length beside chunks, a folded line) is no reply. */
#ifndef SDK_HTTP_H
#define SDK_HTTP_H

#include "base/span.h"

enum {
	HTTP_HEAD_MOST = 16 * 1024, /* with the blank line */
	HTTP_LINE_MOST = 256,	    /* of a chunk's size */
	HTTP_TRAILER_MOST = 4 * 1024,
};

enum http_event {
	HTTP_NEED_MORE, /* *in is used up */
	HTTP_HEAD,	/* the header is complete: status, keep, fields */
	HTTP_CONTENT,	/* *content is the next slice of the content */
	HTTP_END,	/* the reply is complete; nothing more is read */
	HTTP_BAD,	/* no reply; ever after */
};

enum http_step {
	HTTP_IN_HEAD,
	HTTP_IN_LENGTH, /* `left` bytes of content */
	HTTP_IN_REST,	/* content up to the end of the connection */
	HTTP_IN_SIZE,	/* a chunk's size, with its line end */
	HTTP_IN_CHUNK,
	HTTP_IN_CHUNK_END,
	HTTP_IN_TRAILER,
	HTTP_AT_END,
	HTTP_LOST,
};

struct http_reader {
	enum http_step step;
	unsigned status; /* 200 to 599 */
	bool keep;	 /* the connection may be used again */
	uint64_t left;
	char head[HTTP_HEAD_MOST];
	size_t head_bytes;
	char line[HTTP_LINE_MOST];
	size_t line_bytes;    /* of the size, of the trailer's line */
	size_t trailer_bytes; /* in all */
};

void http_reader_init(struct http_reader *);
/* The next event; takes what it used from the front of *in. Call until
 * HTTP_NEED_MORE, HTTP_END or HTTP_BAD. Replies of 100 to 199 are passed over. */
enum http_event http_read(struct http_reader *, struct span *in,
    struct span *content);
/* The connection has ended: 0 when the reply is complete, or ends with it. */
int http_read_end(struct http_reader *);
/* A field of the complete header, trimmed, or SPAN_NONE: the first of that
 * name. */
struct span http_field(const struct http_reader *, struct span name);

#endif
