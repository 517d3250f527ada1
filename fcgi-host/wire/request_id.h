/* SPDX-License-Identifier: MIT */
/* request_id.h - our request ids: 26 characters of Crockford's base 32, 48 bits
 * of Unix milliseconds and 80 random ones, so they sort by time. Pure. */
#ifndef WIRE_REQUEST_ID_H
#define WIRE_REQUEST_ID_H

#include "base/span.h"

enum { REQUEST_ID_CHARS = 26, CLIENT_REQUEST_ID_MOST = 128 };

void request_id_make(char text[REQUEST_ID_CHARS + 1], uint64_t unix_ms,
    const uint8_t random[10]);
/* Sorts behind the one before it, also within a millisecond, or when the clock
 * stands still or goes back: the random bits of the last are counted up. */
struct request_id_last {
	uint64_t unix_ms;
	uint8_t random[10];
};
void request_id_next(struct request_id_last *, char text[REQUEST_ID_CHARS + 1],
    uint64_t unix_ms, const uint8_t random[10]);
/* What a client sent as X-Request-Id may be logged: 1 to 128 characters of
 * [A-Za-z0-9._:/+=@-]. */
bool client_request_id_valid(struct span);

#endif
