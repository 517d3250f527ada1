/* SPDX-License-Identifier: MIT */
/* field.h - what may stand in the header of a reply, and what escapes text in its
 * body. Pure. */
#ifndef SDK_FIELD_H
#define SDK_FIELD_H

#include "base/buf.h"
#include "base/span.h"

enum {
	FIELD_VALUE_MOST = 8000, /* bytes: what browsers and web servers take */
	FIELD_NAME_MOST = 256,
};

/* NULL, or why this may not be set (RFC 9110 section 5: a token; no control
 * byte). Fields of a connection, and Status, are not a function's. */
const char *field_name_fault(struct span);
const char *field_value_fault(struct span);

/* Append; 0, or -1 at the ceiling with some of it written. */
int field_put_html(struct buf *, struct span); /* & < > " ' as references */
int field_put_url(struct buf *, struct span);  /* RFC 3986 section 2.3 */
/* A string of JSON in its quotes; what is not UTF-8 becomes '?'. */
int field_put_json(struct buf *, struct span);

#endif
