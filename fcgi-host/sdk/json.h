/* SPDX-License-Identifier: MIT */
/* json.h - JSON (RFC 8259) read where it lies and written into a buffer; only
 * what state's requests and replies need. Reading is a walk: the caller says what
 * it wants next, and anything else than that sets `bad`, after which every
 * question is answered no. Strings are decoded in place, where they take no more
 * bytes than they did, and have a NUL behind them. Pure. */
#ifndef SDK_JSON_H
#define SDK_JSON_H

#include "base/buf.h"
#include "base/span.h"

enum { JSON_DEPTH_MOST = 32 };

struct json {
	char *at; /* borrowed, writable */
	char *end;
	unsigned depth;
	bool fresh; /* right behind '[' or '{' */
	bool bad;
};

void json_init(struct json *, char *data, size_t bytes);

/* Objects: while (json_member(j, &name)) reads one value each. Arrays: while
 * (json_element(j)) likewise. Both take the closing bracket. */
bool json_object(struct json *);
bool json_member(struct json *, struct span *name);
bool json_array(struct json *);
bool json_element(struct json *);

bool json_string(struct json *, struct span *text);
bool json_integer(struct json *, int64_t *); /* no fraction, no exponent */
bool json_null(struct json *);		     /* false leaves what is there */
void json_skip(struct json *);		     /* any value */
bool json_over(struct json *);		     /* nothing but blanks is left */

/* In quotes; of good UTF-8. 0, or -1 at the buffer's ceiling. */
int json_put_string(struct buf *, struct span);

bool json_utf8(struct span); /* well-formed; a NUL is a character */

#endif
