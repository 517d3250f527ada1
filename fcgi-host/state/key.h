/* SPDX-License-Identifier: MIT */
/* key.h - what a key may be, and how it comes out of a path. Pure.
 * Segments "." and ".." are refused because proxies and clients would resolve
 * them, control bytes because they end up in logs and terminals. */
#ifndef STATE_KEY_H
#define STATE_KEY_H

#include "base/span.h"

enum { KEY_MOST = 1024 }; /* bytes */

enum key_error {
	KEY_OK,
	KEY_EMPTY,
	KEY_TOO_LONG,
	KEY_BAD_ESCAPE, /* '%' without two hexadecimal digits */
	KEY_CONTROL,
	KEY_NOT_UTF8,
	KEY_DOTS, /* a segment is "." or ".." */
};
const char *key_error_words(enum key_error); /* part of a sentence */

enum key_error key_check(struct span);
/* The beginning of a key: may be empty, and end in dots. */
enum key_error key_part_check(struct span);

/* Percent-decodes once; "%2f" and '/' are the same byte of a key. What is longer
 * than KEY_MOST is KEY_TOO_LONG, with nothing written behind the room. */
enum key_error key_decode(struct span raw, char room[KEY_MOST], size_t *bytes);

bool utf8_good(struct span); /* RFC 3629: shortest forms, no surrogates */

#endif
