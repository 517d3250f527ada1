/* SPDX-License-Identifier: MIT */
/* base64.c - base 64 both ways. Two texts that decode to the same bytes would be
 * two spellings of one token or cursor, so what is not exactly what base64_put()
 * writes is refused. */
#include "wire/base64.h"

static const char digits[2][65] = {
	[BASE64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		   "0123456789+/",
	[BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		       "0123456789-_",
};

static int digit_value(enum base64_alphabet, char);
static int read_rest(char *to, enum base64_alphabet, struct span rest);

size_t
base64_text_bytes(enum base64_alphabet alphabet, size_t bytes)
{
	size_t rest = bytes % 3;

	if (bytes > SIZE_MAX / 4 - 1)
		return SIZE_MAX;
	if (rest == 0)
		return bytes / 3 * 4;
	return bytes / 3 * 4 + (alphabet == BASE64 ? 4 : rest + 1);
}

int
base64_put(struct buf *out, enum base64_alphabet alphabet, struct span bytes)
{
	const char *digit = digits[alphabet];
	const unsigned char *from = (const unsigned char *)bytes.data;
	size_t room = base64_text_bytes(alphabet, bytes.bytes), left;
	char *to;

	if (bytes.bytes == 0)
		return 0;
	to = room == SIZE_MAX ? NULL : buf_reserve(out, room);
	if (to == NULL)
		return -1;
	for (left = bytes.bytes; left >= 3; left -= 3, from += 3) {
		*to++ = digit[from[0] >> 2];
		*to++ = digit[(from[0] & 3) << 4 | from[1] >> 4];
		*to++ = digit[(from[1] & 15) << 2 | from[2] >> 6];
		*to++ = digit[from[2] & 63];
	}
	if (left > 0) {
		unsigned second = left == 2 ? from[1] : 0;

		*to++ = digit[from[0] >> 2];
		*to++ = digit[(from[0] & 3u) << 4 | second >> 4];
		if (left == 2)
			*to++ = digit[(second & 15) << 2];
		if (alphabet == BASE64) {
			*to++ = '=';
			if (left == 1)
				*to = '=';
		}
	}
	buf_wrote(out, room);
	return 0;
}

int
base64_read(struct buf *out, enum base64_alphabet alphabet, struct span text)
{
	char *to, *begin;
	int rest;

	if (alphabet == BASE64) {
		if (text.bytes % 4 != 0)
			return -1;
		for (int i = 0; i < 2 && span_ends(text, SPAN("=")); i++)
			text.bytes--;
	}
	if (text.bytes % 4 == 1)
		return -1;
	if (text.bytes == 0)
		return 0;
	begin = to = buf_reserve(out, text.bytes * 3 / 4);
	if (to == NULL)
		return -1;
	for (; text.bytes >= 4; text = span_skip(text, 4), to += 3) {
		int a = digit_value(alphabet, text.data[0]);
		int b = digit_value(alphabet, text.data[1]);
		int c = digit_value(alphabet, text.data[2]);
		int d = digit_value(alphabet, text.data[3]);

		if ((a | b | c | d) < 0)
			return -1;
		to[0] = (char)(a << 2 | b >> 4);
		to[1] = (char)((b & 15) << 4 | c >> 2);
		to[2] = (char)((c & 3) << 6 | d);
	}
	rest = read_rest(to, alphabet, text);
	if (rest < 0)
		return -1;
	buf_wrote(out, (size_t)(to - begin) + (size_t)rest);
	return 0;
}

/* The last 0, 2 or 3 characters: how many bytes they are, or -1. */
static int
read_rest(char *to, enum base64_alphabet alphabet, struct span rest)
{
	int a, b, c = 0;

	if (rest.bytes == 0)
		return 0;
	a = digit_value(alphabet, rest.data[0]);
	b = digit_value(alphabet, rest.data[1]);
	if (rest.bytes == 3)
		c = digit_value(alphabet, rest.data[2]);
	if ((a | b | c) < 0)
		return -1;
	if (rest.bytes == 2 ? (b & 15) != 0 : (c & 3) != 0)
		return -1;
	to[0] = (char)(a << 2 | b >> 4);
	if (rest.bytes == 3)
		to[1] = (char)((b & 15) << 4 | c >> 2);
	return (int)rest.bytes - 1;
}

static int
digit_value(enum base64_alphabet alphabet, char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == digits[alphabet][62])
		return 62;
	if (c == digits[alphabet][63])
		return 63;
	return -1;
}
