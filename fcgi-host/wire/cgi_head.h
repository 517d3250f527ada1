/* SPDX-License-Identifier: MIT */
/* cgi_head.h - the header a CGI program writes (RFC 3875 section 6): found,
 * validated, and written anew. Never passed through: what leaves here is a
 * header nginx cannot misread. Pure; spans point into the parsed bytes. */
#ifndef WIRE_CGI_HEAD_H
#define WIRE_CGI_HEAD_H

#include "base/buf.h"
#include "base/span.h"

enum {
	CGI_HEAD_MOST = 32 * 1024, /* bytes with the blank line (S11) */
	CGI_HEAD_LINE_MOST = 16 * 1024,
	CGI_HEAD_FIELDS_MOST = 256,
};

/* RFC 3875 section 6.2. Location without Status is a local redirect when it is
 * "/path?query" and the only field, else a client redirect (302) that keeps the
 * fields beside it: a cookie set with "Location: /path" is not lost. "//host"
 * and "/path#fragment" are for the client to resolve, so are relative ones, of
 * which programs write many. Location with a Status that is not 3xx is a field
 * of a document like any other (201 Created). */
enum cgi_head_kind {
	CGI_DOCUMENT,
	CGI_LOCAL_REDIRECT,	      /* Location: /path alone (S3) */
	CGI_CLIENT_REDIRECT,	      /* Location without Status: 302 (S4) */
	CGI_CLIENT_REDIRECT_DOCUMENT, /* Location, Status 3xx (S5) */
};

enum cgi_head_error { /* rows of cgi_head_error_words() */
	CGI_HEAD_OK,
	CGI_HEAD_TOO_LONG,
	CGI_HEAD_TOO_MANY_FIELDS,
	CGI_HEAD_LINE_TOO_LONG,
	CGI_HEAD_NO_COLON,
	CGI_HEAD_BAD_NAME,     /* not a token, or a blank in it (S7) */
	CGI_HEAD_CONTINUATION, /* a folded line (S7) */
	CGI_HEAD_BAD_VALUE,    /* NUL, CR or another control byte */
	CGI_HEAD_BAD_STATUS,   /* S6 */
	CGI_HEAD_TWICE,	       /* one of CGI's three fields (S1) */
	CGI_HEAD_BAD_LENGTH,   /* no decimal number, or two (S13) */
	CGI_HEAD_NO_CGI_FIELD, /* none of the three (S1) */
	CGI_HEAD_BAD_LOCATION, /* empty; a local one with blanks */
	CGI_HEAD_UPGRADE,      /* 101, Connection: upgrade (S14) */
};
const char *cgi_head_error_words(enum cgi_head_error); /* one sentence part */

enum cgi_field_kind { /* what cgi_head_write does with it */
	CGI_FIELD_PLAIN,
	CGI_FIELD_LENGTH, /* written from content_length */
	CGI_FIELD_HOP,	  /* of one connection: never written */
	CGI_FIELD_ACCEL,  /* X-Accel-*: written when allowed */
};

struct cgi_field {
	struct span name;
	struct span value; /* trimmed */
	enum cgi_field_kind kind;
};

struct cgi_head {
	enum cgi_head_kind kind;
	enum cgi_head_error error;
	unsigned status;	  /* unless given: 200, a redirect 302 */
	struct span reason;	  /* as given, maybe empty */
	struct span location;	  /* SPAN_NONE when there is none */
	struct span content_type; /* likewise */
	int64_t content_length;	  /* -1 = not given */
	bool bodyless;		  /* 204, 304: no body may follow (S14) */
	struct cgi_field fields[CGI_HEAD_FIELDS_MOST]; /* all but Status */
	size_t field_count;
};

enum cgi_head_state { CGI_HEAD_NEED_MORE, CGI_HEAD_COMPLETE, CGI_HEAD_BAD };

/* Looks for the end of the header in what has been read so far. *scanned is 0
 * at first and remembers how far it looked, so each byte is looked at once.
 * COMPLETE: *head_bytes counts the header with its blank line. BAD: more than
 * CGI_HEAD_MOST without one, (or at_end: the output ended without one). */
enum cgi_head_state cgi_head_find(struct span bytes, bool at_end,
    size_t *scanned, size_t *head_bytes);

/* Parses a complete header (with its blank line; nothing behind it is looked
 * at). LF, CRLF, mixed (S7). A first line "HTTP/1.x NNN Reason" is taken as a
 * Status (N1). 0, or -1 with head->error, when nothing else may be read. */
int cgi_head_parse(struct span bytes, struct cgi_head *);

/* Writes it anew for the web server: "Status: NNN Reason" first, always with a
 * reason; fields in order with hop-by-hop ones and what is not allowed left
 * out; CRLF; the blank line. Content-Length comes last, when it is known and
 * there may be a body. extra is further complete lines with CRLF, or SPAN_NONE; a
 * plain field of a name that is in it is left out, so that ours is the only one.
 * A local redirect is written as the 302 it is for who does not follow it.
 * 0, or -1 at the ceiling with nothing written. */
struct cgi_head_policy {
	bool allow_accel; /* X-Accel-* may pass */
	struct span extra;
};
int cgi_head_write(struct buf *, const struct cgi_head *,
    const struct cgi_head_policy *);

const char *http_reason(unsigned status); /* "Not Found", "Unknown" */

#endif
