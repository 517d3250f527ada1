/* SPDX-License-Identifier: MIT */
/* request_id.c - request ids that sort by the time they were made. */
#include <string.h>

#include "wire/request_id.h"

static const char base32[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void
request_id_make(char text[REQUEST_ID_CHARS + 1], uint64_t unix_ms,
    const uint8_t random[10])
{
	uint64_t high = 0, low = 0;

	for (size_t i = 0; i < 5; i++) {
		high = high << 8 | random[i];
		low = low << 8 | random[i + 5];
	}
	for (size_t i = 0; i < 10; i++, unix_ms >>= 5)
		text[9 - i] = base32[unix_ms & 31];
	for (size_t i = 0; i < 8; i++, high >>= 5, low >>= 5) {
		text[17 - i] = base32[high & 31];
		text[25 - i] = base32[low & 31];
	}
	text[REQUEST_ID_CHARS] = '\0';
}

void
request_id_next(struct request_id_last *last, char text[REQUEST_ID_CHARS + 1],
    uint64_t unix_ms, const uint8_t random[10])
{
	if (unix_ms > last->unix_ms) {
		last->unix_ms = unix_ms;
		memcpy(last->random, random, sizeof(last->random));
	} else {
		size_t at = sizeof(last->random);

		while (at > 0 && ++last->random[at - 1] == 0)
			at--;
		last->unix_ms += at == 0;
	}
	request_id_make(text, last->unix_ms, last->random);
}

bool
client_request_id_valid(struct span id)
{
	if (id.bytes == 0 || id.bytes > CLIENT_REQUEST_ID_MOST)
		return false;
	for (size_t i = 0; i < id.bytes; i++) {
		char c = id.data[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			(c >= 'a' && c <= 'z') || memchr("._:/+=@-", c, 8)))
			return false;
	}
	return true;
}
