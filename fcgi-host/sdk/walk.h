/* SPDX-License-Identifier: MIT */
/* walk.h - JSON (RFC 8259) read where it lies and written into a buffer; only
 * what state's requests and replies need. Reading is a walk: the caller says what
 * it wants next, and anything else than that sets `bad`, after which every
 * question is answered no. Strings are decoded in place, where they take no more
 * bytes than they did, and have a NUL behind them. Pure. */
#ifndef SDK_WALK_H
#define SDK_WALK_H

#include "base/buf.h"
#include "base/span.h"

enum { WALK_DEPTH_MOST = 32 };

struct walk {
	char *at; /* borrowed, writable */
	char *end;
	unsigned depth;
	bool fresh; /* right behind '[' or '{' */
	bool bad;
};

void walk_init(struct walk *, char *data, size_t bytes);

/* Objects: while (walk_member(w, &name)) reads one value each. Arrays: while
 * (walk_element(w)) likewise. Both take the closing bracket. */
bool walk_object(struct walk *);
bool walk_member(struct walk *, struct span *name);
bool walk_array(struct walk *);
bool walk_element(struct walk *);

bool walk_string(struct walk *, struct span *text);
bool walk_integer(struct walk *, int64_t *); /* no fraction, no exponent */
bool walk_null(struct walk *);		     /* false leaves what is there */
void walk_skip(struct walk *);		     /* any value */
bool walk_over(struct walk *);		     /* nothing but blanks is left */

/* In quotes; of good UTF-8. 0, or -1 at the buffer's ceiling. */
int walk_put_string(struct buf *, struct span);

bool walk_utf8(struct span); /* well-formed; a NUL is a character */

#endif
