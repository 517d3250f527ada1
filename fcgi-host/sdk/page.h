/* SPDX-License-Identifier: MIT */
/* page.h - a page of keys from state's JSON. Pure. */
#ifndef SDK_PAGE_H
#define SDK_PAGE_H

#include "base/buf.h"

#include "sdk/fn.h"

/* Takes the body over. FN_OK, or FN_FAILED with the problem said and nothing in
 * the page. */
enum fn_result page_read(struct fn_page *, struct buf *body);

#endif
