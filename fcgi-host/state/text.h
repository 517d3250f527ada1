/* SPDX-License-Identifier: MIT */
/* text.h - bytes as JSON text. Pure. */
#ifndef STATE_TEXT_H
#define STATE_TEXT_H

#include "base/buf.h"
#include "base/span.h"

/* A string in quotes, of good UTF-8; 0, or -1 at the ceiling (what was written
 * until then stays). */
int text_put(struct buf *, struct span utf8);
/* A string of any bytes: what is not printable ASCII becomes '?'. */
int text_put_words(struct buf *, struct span);
/* ,"value":"..." when that is good UTF-8 without NUL and not mostly what JSON has
 * to escape, else ,"b64":"...". So a value grows by half (and 64 bytes) at most,
 * and a page of them has a ceiling. */
int text_put_value(struct buf *, struct span value);

#endif
