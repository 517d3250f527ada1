/* SPDX-License-Identifier: MIT */
/* pairs.h - "name=value" texts: queries and forms as browsers write them (URL
 * standard, section 5.1), and cookies (RFC 6265 section 4.2.1). Pure. Nothing is
 * malformed: what is no escape stays as it is. */
#ifndef SDK_PAIRS_H
#define SDK_PAIRS_H

#include <stdbool.h>

#include "base/span.h"

#include "sdk/fn.h"

enum { PAIRS_MOST = 4096 };

struct pairs {		      /* zeroed: none, not read yet */
	struct fn_pair *list; /* ours */
	size_t count;
	char *text; /* ours: into which they point */
	bool read;
};

/* Both read once; 0, or -1 without memory (then there are none) or when there are
 * more than PAIRS_MOST (then there are the first of them). */
int pairs_read_form(struct pairs *, struct span);
int pairs_read_cookies(struct pairs *, struct span);
/* FN_OK; FN_TOO_LARGE, FN_FAILED: it is not added. */
enum fn_result pairs_add(struct pairs *, const struct fn_pair *);
const char *pairs_find(const struct pairs *, const char *name); /* or NULL */
void pairs_free(struct pairs *);				/* as zeroed */

#endif
