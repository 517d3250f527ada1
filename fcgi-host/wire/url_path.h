/* SPDX-License-Identifier: MIT */
/* url_path.h - a request target ("/fn/acme/hello/a%20b?x=1", or absolute form)
 * split and decoded by us, once, and never again (RFC 3986, RFC 3875 3.2-3.3).
 * Pure. */
#ifndef WIRE_URL_PATH_H
#define WIRE_URL_PATH_H

#include "base/buf.h"
#include "base/span.h"

enum url_path_error {
	URL_PATH_OK,
	URL_PATH_NOT_ABSOLUTE,	/* does not begin with '/' */
	URL_PATH_BAD_ESCAPE,	/* '%' without two hexadecimal digits */
	URL_PATH_NUL,		/* %00 */
	URL_PATH_ENCODED_SLASH, /* %2f: refused (R4, R20) */
	URL_PATH_DOTS,		/* a segment decodes to "." or ".." */
	URL_PATH_TOO_LONG,
};
const char *url_path_error_words(enum url_path_error);

/* Takes scheme and authority off an absolute-form target, the fragment off any,
 * and splits at the first '?'. *query is empty, never absent, without one. */
void url_split(struct span target, struct span *raw_path, struct span *query);

/* Appends the decoded path to `out`; control bytes decode like any other
 * (the caller decides); '//' is kept as it is (void segments, R20). On an error
 * nothing is appended. */
enum url_path_error url_path_decode(struct span raw_path, struct buf *out);

/* The byte that stands at *at, which moves behind it, percent-encoded or not; -1: a
 * '%' without two hexadecimal digits. *at is inside. */
int url_byte_decode(struct span, size_t *at);

/* Percent-encodes what may not stand in a path, '/' kept. 0 or -1. */
int url_path_encode(struct buf *, struct span decoded);

#endif
