/* SPDX-License-Identifier: MIT */
/* base64.h - RFC 4648 base 64 to and from bytes, strictly: each text is the only
 * spelling of its bytes. Pure. */
#ifndef WIRE_BASE64_H
#define WIRE_BASE64_H

#include "base/buf.h"
#include "base/span.h"

enum base64_alphabet {
	BASE64,	    /* section 4: '+' '/', padded with '=' */
	BASE64_URL, /* section 5: '-' '_', never padded */
};

/* Appends. 0, or -1 at the buf's ceiling with nothing written. */
int base64_put(struct buf *, enum base64_alphabet, struct span bytes);

/* Appends what the text stands for. -1, with nothing written: a character that
 * is not of the alphabet, padding missing or too much, bits behind the last byte
 * that are not 0, or the buf's ceiling. */
int base64_read(struct buf *, enum base64_alphabet, struct span text);

/* Of the text of so many bytes; SIZE_MAX when it would not fit a size_t. */
size_t base64_text_bytes(enum base64_alphabet, size_t bytes);

#endif
