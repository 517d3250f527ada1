/* SPDX-License-Identifier: MIT */
/* key.c - keys: decoded once, then checked. */
#include "wire/url_path.h"

#include "state/key.h"

static size_t utf8_bytes(const unsigned char *, size_t left);
static enum key_error check_bytes(struct span);
static bool has_dots(struct span);

const char *
key_error_words(enum key_error error)
{
	switch (error) {
	case KEY_OK:
		return "is good";
	case KEY_EMPTY:
		return "is empty";
	case KEY_TOO_LONG:
		return "is longer than 1024 bytes";
	case KEY_BAD_ESCAPE:
		return "has a '%' without two hexadecimal digits";
	case KEY_CONTROL:
		return "has a control byte in it";
	case KEY_NOT_UTF8:
		return "is not UTF-8";
	case KEY_DOTS:
		return "has a segment '.' or '..'";
	}
	return "is unknown";
}

enum key_error
key_check(struct span key)
{
	enum key_error error;

	if (key.bytes == 0)
		return KEY_EMPTY;
	error = check_bytes(key);
	return error == KEY_OK && has_dots(key) ? KEY_DOTS : error;
}

enum key_error
key_part_check(struct span part)
{
	return check_bytes(part);
}

enum key_error
key_decode(struct span raw, char room[KEY_MOST], size_t *bytes)
{
	size_t count = 0;

	*bytes = 0;
	for (size_t at = 0; at < raw.bytes;) {
		int byte = url_byte_decode(raw, &at);

		if (byte < 0)
			return KEY_BAD_ESCAPE;
		if (count == KEY_MOST)
			return KEY_TOO_LONG;
		room[count++] = (char)byte;
	}
	*bytes = count;
	return key_check(span_make(room, count));
}

bool
utf8_good(struct span text)
{
	const unsigned char *at = (const unsigned char *)text.data;
	size_t left = text.bytes, bytes;

	for (; left > 0; at += bytes, left -= bytes) {
		bytes = *at < 0x80 ? 1 : utf8_bytes(at, left);
		if (bytes == 0)
			return false;
	}
	return true;
}

/* Of the character above U+007F that begins here; 0: it is none. */
static size_t
utf8_bytes(const unsigned char *at, size_t left)
{
	/* The second byte tells overlong forms, surrogates and what is above
	 * U+10FFFF (RFC 3629 section 4). */
	unsigned low = 0x80, high = 0xbf;
	size_t bytes;

	if (*at >= 0xc2 && *at <= 0xdf) {
		bytes = 2;
	} else if (*at >= 0xe0 && *at <= 0xef) {
		bytes = 3;
		if (*at == 0xe0)
			low = 0xa0;
		if (*at == 0xed)
			high = 0x9f;
	} else if (*at >= 0xf0 && *at <= 0xf4) {
		bytes = 4;
		if (*at == 0xf0)
			low = 0x90;
		if (*at == 0xf4)
			high = 0x8f;
	} else {
		return 0;
	}
	if (bytes > left || at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < bytes; i++)
		if (at[i] < 0x80 || at[i] > 0xbf)
			return 0;
	return bytes;
}

static enum key_error
check_bytes(struct span key)
{
	if (key.bytes > KEY_MOST)
		return KEY_TOO_LONG;
	for (size_t i = 0; i < key.bytes; i++)
		if ((unsigned char)key.data[i] < ' ' || key.data[i] == 0x7f)
			return KEY_CONTROL;
	return utf8_good(key) ? KEY_OK : KEY_NOT_UTF8;
}

static bool
has_dots(struct span rest)
{
	while (rest.data != NULL) {
		struct span segment = span_cut(&rest, '/');

		if (span_equal(segment, SPAN(".")) ||
		    span_equal(segment, SPAN("..")))
			return true;
	}
	return false;
}
