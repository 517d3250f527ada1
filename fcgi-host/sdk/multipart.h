/* SPDX-License-Identifier: MIT */
/* multipart.h - a multipart/form-data body (RFC 7578), as browsers send files of a
 * form. Pure. */
#ifndef SDK_MULTIPART_H
#define SDK_MULTIPART_H

#include "sdk/pairs.h"

bool multipart_is(struct span content_type);
/* Into pairs that point into the body, in which NULs are written behind names and
 * values: once. FN_OK; FN_BAD: it is no such body, or does not end as one;
 * FN_TOO_LARGE: more than PAIRS_MOST; FN_FAILED: no memory. Then there are none. */
enum fn_result multipart_read(struct pairs *, char *body, size_t bytes,
    struct span content_type);

#endif
