/* SPDX-License-Identifier: MIT */
/* url_path.c - a request target split and decoded once. What two readers might
 * understand differently (an encoded slash, dot segments, NUL) is refused, not
 * repaired, so that the path routed is the path the function sees. */
#include "wire/url_path.h"

static size_t scheme_bytes(struct span);
static size_t authority_end(struct span, size_t from);
static int hex_value(char);
static bool segment_is_dots(const char *decoded, size_t bytes);
static bool stands_in_path(unsigned char);

const char *
url_path_error_words(enum url_path_error error)
{
	switch (error) {
	case URL_PATH_OK:
		return "the path is good";
	case URL_PATH_NOT_ABSOLUTE:
		return "the path does not begin with '/'";
	case URL_PATH_BAD_ESCAPE:
		return "a '%' in the path lacks its two hexadecimal digits";
	case URL_PATH_NUL:
		return "the path has NUL in it";
	case URL_PATH_ENCODED_SLASH:
		return "the path has an encoded slash (%2f) in it";
	case URL_PATH_DOTS:
		return "the path has a segment '.' or '..'";
	case URL_PATH_TOO_LONG:
		return "the path is too long";
	}
	return "unknown";
}

void
url_split(struct span target, struct span *raw_path, struct span *query)
{
	ptrdiff_t at = span_find(target, '#');
	size_t skip;

	if (at >= 0)
		target = span_take(target, (size_t)at);
	skip = scheme_bytes(target);
	if (skip > 0)
		target = span_skip(target, authority_end(target, skip));

	*raw_path = target;
	*query = SPAN("");
	at = span_find(target, '?');
	if (at >= 0) {
		*raw_path = span_take(target, (size_t)at);
		*query = span_skip(target, (size_t)at + 1);
	}
	/* "http://host" asks for the root (RFC 9112 section 3.2.2). */
	if (skip > 0 && raw_path->bytes == 0)
		*raw_path = SPAN("/");
}

enum url_path_error
url_path_decode(struct span raw, struct buf *out)
{
	size_t decoded_bytes = 0, segment_bytes = 0;
	char segment[2]; /* the first bytes of the one we are in */
	char *to;

	if (raw.bytes == 0 || raw.data[0] != '/')
		return URL_PATH_NOT_ABSOLUTE;

	for (size_t at = 0; at < raw.bytes; decoded_bytes++) {
		bool escaped = raw.data[at] == '%';
		int byte = url_byte_decode(raw, &at);

		if (byte < 0)
			return URL_PATH_BAD_ESCAPE;
		if (byte == '\0')
			return URL_PATH_NUL;
		if (byte == '/') {
			if (escaped)
				return URL_PATH_ENCODED_SLASH;
			if (segment_is_dots(segment, segment_bytes))
				return URL_PATH_DOTS;
			segment_bytes = 0;
			continue;
		}
		if (segment_bytes < sizeof(segment))
			segment[segment_bytes] = (char)byte;
		segment_bytes++;
	}
	if (segment_is_dots(segment, segment_bytes))
		return URL_PATH_DOTS;

	to = buf_reserve(out, decoded_bytes);
	if (to == NULL)
		return URL_PATH_TOO_LONG;
	for (size_t at = 0; at < raw.bytes;)
		*to++ = (char)url_byte_decode(raw, &at);
	buf_wrote(out, decoded_bytes);
	return URL_PATH_OK;
}

int
url_byte_decode(struct span s, size_t *at)
{
	size_t i = *at;
	int high, low;

	if (s.data[i] != '%') {
		*at = i + 1;
		return (unsigned char)s.data[i];
	}
	if (s.bytes - i < 3)
		return -1;
	high = hex_value(s.data[i + 1]);
	low = hex_value(s.data[i + 2]);
	if (high < 0 || low < 0)
		return -1;
	*at = i + 3;
	return high << 4 | low;
}

int
url_path_encode(struct buf *b, struct span decoded)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t bytes = 0;
	char *to;

	for (size_t i = 0; i < decoded.bytes; i++)
		bytes += stands_in_path((unsigned char)decoded.data[i]) ? 1 : 3;
	if (bytes == 0)
		return 0;
	to = buf_reserve(b, bytes);
	if (to == NULL)
		return -1;
	for (size_t i = 0; i < decoded.bytes; i++) {
		unsigned char c = (unsigned char)decoded.data[i];

		if (stands_in_path(c)) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = digits[c >> 4];
		*to++ = digits[c & 0xf];
	}
	buf_wrote(b, bytes);
	return 0;
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Of "http://" and its kind, in absolute-form; 0 in any other form. */
static size_t
scheme_bytes(struct span s)
{
	size_t i = 0;

	if (s.bytes == 0 || !is_letter(s.data[0]))
		return 0;
	while (i < s.bytes &&
	    (is_letter(s.data[i]) || is_digit(s.data[i]) || s.data[i] == '+' ||
		s.data[i] == '-' || s.data[i] == '.'))
		i++;
	if (!span_starts(span_skip(s, i), SPAN("://")))
		return 0;
	return i + 3;
}

static size_t
authority_end(struct span s, size_t from)
{
	while (from < s.bytes && s.data[from] != '/' && s.data[from] != '?')
		from++;
	return from;
}

static int
hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
segment_is_dots(const char *decoded, size_t bytes)
{
	return (bytes == 1 && decoded[0] == '.') ||
	    (bytes == 2 && decoded[0] == '.' && decoded[1] == '.');
}

/* pchar and '/' (RFC 3986 section 3.3) */
static bool
stands_in_path(unsigned char c)
{
	return is_letter((char)c) || is_digit((char)c) ||
	    (c != '\0' && strchr("/-._~!$&'()*+,;=:@", c) != NULL);
}
