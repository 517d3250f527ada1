/* SPDX-License-Identifier: MIT */
/* text.c - JSON strings. Runs of plain bytes are copied whole; only quotes,
 * backslashes and control bytes need an escape (RFC 8259 section 7). */
#include "wire/base64.h"

#include "state/key.h"
#include "state/text.h"

static size_t escape(unsigned char, char to[6]);
static size_t text_bytes(struct span);

int
text_put(struct buf *out, struct span text)
{
	size_t plain = 0;

	if (buf_put_byte(out, '"') != 0)
		return -1;
	for (size_t i = 0; i < text.bytes; i++) {
		char to[6];
		size_t bytes = escape((unsigned char)text.data[i], to);

		if (bytes == 0)
			continue;
		if (buf_put(out, span_make(text.data + plain, i - plain)) ||
		    buf_put(out, span_make(to, bytes)))
			return -1;
		plain = i + 1;
	}
	if (buf_put(out, span_skip(text, plain)))
		return -1;
	return buf_put_byte(out, '"');
}

int
text_put_words(struct buf *out, struct span words)
{
	if (buf_put_byte(out, '"') != 0)
		return -1;
	for (size_t i = 0; i < words.bytes; i++) {
		char c = words.data[i], to[6];

		if (c < ' ' || c > '~')
			c = '?';
		if (escape((unsigned char)c, to) > 0 &&
		    buf_put_byte(out, '\\') != 0)
			return -1;
		if (buf_put_byte(out, c) != 0)
			return -1;
	}
	return buf_put_byte(out, '"');
}

int
text_put_value(struct buf *out, struct span value)
{
	if (text_bytes(value) <= value.bytes + value.bytes / 2 + 64 &&
	    utf8_good(value))
		return buf_put(out, SPAN(",\"value\":")) ||
			text_put(out, value) ?
		    -1 :
		    0;
	return buf_put(out, SPAN(",\"b64\":\"")) ||
		base64_put(out, BASE64, value) || buf_put_byte(out, '"') ?
	    -1 :
	    0;
}

/* 0: stands for itself. */
static size_t
escape(unsigned char c, char to[6])
{
	static const char digits[] = "0123456789abcdef";
	static const char names[] = "btn\0fr"; /* of 8 to 13 */

	if (c >= ' ' && c != '"' && c != '\\')
		return 0;
	to[0] = '\\';
	to[1] = (char)c;
	if (c >= ' ')
		return 2;
	if (c >= 8 && c <= 13 && c != 11) {
		to[1] = names[c - 8];
		return 2;
	}
	memcpy(to + 1, "u00", 3);
	to[4] = digits[c >> 4];
	to[5] = digits[c & 15];
	return 6;
}

/* Inside the quotes; SIZE_MAX when NUL is in it, which some readers of JSON
 * refuse and others take for an end. */
static size_t
text_bytes(struct span text)
{
	size_t bytes = text.bytes;

	for (size_t i = 0; i < text.bytes; i++) {
		char to[6];
		size_t escaped = escape((unsigned char)text.data[i], to);

		if (text.data[i] == '\0')
			return SIZE_MAX;
		if (escaped > 0)
			bytes += escaped - 1;
	}
	return bytes;
}
