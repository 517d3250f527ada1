/* SPDX-License-Identifier: MIT */
/* json.c - a walk over JSON text. It comes from the host, yet nothing is taken on
 * trust: what is not JSON, or nested deeper than JSON_DEPTH_MOST, is bad. */

#include "sdk/json.h"

static void blanks_skip(struct json *);
static bool byte_take(struct json *, char);
static bool bracket_open(struct json *, char);
static bool entry_next(struct json *, char close);
static bool escape_take(struct json *, char **to);
static bool unicode_take(struct json *, char **to);
static bool hex_take(struct json *, unsigned *value);
static size_t utf8_put(char *to, unsigned code);
static size_t utf8_length(struct span);
static bool word_take(struct json *, struct span word);
static bool number_skip(struct json *);
static bool fail(struct json *);

void
json_init(struct json *j, char *data, size_t bytes)
{
	*j = (struct json){ .at = data, .end = data + bytes };
}

bool
json_object(struct json *j)
{
	return bracket_open(j, '{');
}

bool
json_member(struct json *j, struct span *name)
{
	if (!entry_next(j, '}'))
		return false;
	if (!json_string(j, name))
		return false;
	blanks_skip(j);
	return byte_take(j, ':') || fail(j);
}

bool
json_array(struct json *j)
{
	return bracket_open(j, '[');
}

bool
json_element(struct json *j)
{
	return entry_next(j, ']');
}

bool
json_string(struct json *j, struct span *text)
{
	char *to, *from;

	*text = SPAN_NONE;
	blanks_skip(j);
	if (!byte_take(j, '"'))
		return fail(j);
	to = from = j->at;
	while (j->at < j->end && *j->at != '"') {
		if ((unsigned char)*j->at < ' ')
			return fail(j);
		if (*j->at != '\\')
			*to++ = *j->at++;
		else if (!escape_take(j, &to))
			return fail(j);
	}
	if (!byte_take(j, '"'))
		return fail(j);
	*to = '\0'; /* at the latest where the quote was */
	*text = span_make(from, (size_t)(to - from));
	return json_utf8(*text) || fail(j);
}

bool
json_integer(struct json *j, int64_t *value)
{
	struct span digits;
	bool negative;
	uint64_t n = 0;

	blanks_skip(j);
	digits.data = j->at;
	negative = byte_take(j, '-');
	digits.data = j->at;
	if (!number_skip(j))
		return fail(j);
	digits.bytes = (size_t)(j->at - digits.data);
	if (span_number(digits, (uint64_t)INT64_MAX + negative, &n) != 0)
		return fail(j);
	*value = negative ? (int64_t)-n : (int64_t)n;
	return true;
}

bool
json_null(struct json *j)
{
	blanks_skip(j);
	return word_take(j, SPAN("null"));
}

void
json_skip(struct json *j)
{
	struct span text;

	blanks_skip(j);
	if (j->bad || j->at == j->end) {
		fail(j);
	} else if (*j->at == '{') {
		json_object(j);
		while (json_member(j, &text))
			json_skip(j);
	} else if (*j->at == '[') {
		json_array(j);
		while (json_element(j))
			json_skip(j);
	} else if (*j->at == '"') {
		json_string(j, &text);
	} else if (!word_take(j, SPAN("null")) && !word_take(j, SPAN("true")) &&
	    !word_take(j, SPAN("false"))) {
		byte_take(j, '-');
		if (!number_skip(j))
			fail(j);
	}
}

bool
json_over(struct json *j)
{
	blanks_skip(j);
	return !j->bad && j->depth == 0 && j->at == j->end;
}

/* ---- strings ----------------------------------------------------------------- */

int
json_put_string(struct buf *b, struct span text)
{
	size_t before = buf_bytes(b);
	int result = buf_put_byte(b, '"');

	for (size_t i = 0; i < text.bytes && result == 0; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c == '"' || c == '\\') {
			result = buf_put_byte(b, '\\');
			if (result == 0)
				result = buf_put_byte(b, (char)c);
		} else if (c < ' ' || c == 0x7f) {
			result = buf_printf(b, "\\u%04x", c);
		} else {
			result = buf_put_byte(b, (char)c);
		}
	}
	if (result == 0)
		result = buf_put_byte(b, '"');
	if (result != 0)
		b->end -= buf_bytes(b) - before;
	return result;
}

bool
json_utf8(struct span text)
{
	while (text.bytes > 0) {
		size_t length = utf8_length(text);

		if (length == 0)
			return false;
		text = span_skip(text, length);
	}
	return true;
}

/* Of its first character, 0 when that is none: too long a form, a surrogate, above
 * U+10FFFF, cut off. */
static size_t
utf8_length(struct span s)
{
	unsigned char first = (unsigned char)s.data[0];
	unsigned char second = s.bytes > 1 ? (unsigned char)s.data[1] : 0;
	size_t length = first < 0x80 ? 1 :
	    first < 0xc2	     ? 0 :
	    first < 0xe0	     ? 2 :
	    first < 0xf0	     ? 3 :
	    first < 0xf5	     ? 4 :
				       0;

	if (length > s.bytes || (first == 0xe0 && second < 0xa0) ||
	    (first == 0xed && second > 0x9f) ||
	    (first == 0xf0 && second < 0x90) ||
	    (first == 0xf4 && second > 0x8f))
		return 0;
	for (size_t i = 1; i < length; i++)
		if (((unsigned char)s.data[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

/* At a backslash. */
static bool
escape_take(struct json *j, char **to)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *found;

	j->at++;
	if (j->at == j->end)
		return false;
	if (*j->at == 'u')
		return unicode_take(j, to);
	found = *j->at ? strchr(names, *j->at) : NULL;
	if (!found)
		return false;
	*(*to)++ = bytes[found - names];
	j->at++;
	return true;
}

/* At the u of \uXXXX; above U+FFFF two of them stand for one character. */
static bool
unicode_take(struct json *j, char **to)
{
	unsigned code, low;

	j->at++;
	if (!hex_take(j, &code))
		return false;
	if (code >= 0xd800 && code < 0xdc00) {
		if (!byte_take(j, '\\') || !byte_take(j, 'u') ||
		    !hex_take(j, &low) || low < 0xdc00 || low > 0xdfff)
			return false;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	*to += utf8_put(*to, code);
	return true;
}

static bool
hex_take(struct json *j, unsigned *value)
{
	if (j->end - j->at < 4)
		return false;
	*value = 0;
	for (int i = 0; i < 4; i++) {
		char c = *j->at++;
		int low = c | 0x20;

		if (c >= '0' && c <= '9')
			*value = *value * 16 + (unsigned)(c - '0');
		else if (low >= 'a' && low <= 'f')
			*value = *value * 16 + (unsigned)(low - 'a' + 10);
		else
			return false;
	}
	return true;
}

/* A lone surrogate gives three bytes that json_utf8() refuses. */
static size_t
utf8_put(char *to, unsigned code)
{
	static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	size_t length = code < 0x80 ? 1 :
	    code < 0x800	    ? 2 :
	    code < 0x10000	    ? 3 :
				      4;

	for (size_t i = length; i-- > 1; code >>= 6)
		to[i] = (char)(0x80 | (code & 0x3f));
	to[0] = (char)(first[length] | code);
	return length;
}

/* ---- pieces ------------------------------------------------------------------ */

static bool
bracket_open(struct json *j, char bracket)
{
	blanks_skip(j);
	if (j->depth == JSON_DEPTH_MOST || !byte_take(j, bracket))
		return fail(j);
	j->depth++;
	j->fresh = true;
	return true;
}

static bool
entry_next(struct json *j, char close)
{
	bool fresh = j->fresh;

	j->fresh = false;
	blanks_skip(j);
	if (byte_take(j, close)) {
		j->depth--;
		return false;
	}
	if (!fresh && !byte_take(j, ','))
		return fail(j);
	return (!j->bad && j->at < j->end) || fail(j);
}

static void
blanks_skip(struct json *j)
{
	while (!j->bad && j->at < j->end &&
	    (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' ||
		*j->at == '\r'))
		j->at++;
}

static bool
byte_take(struct json *j, char byte)
{
	if (j->bad || j->at == j->end || *j->at != byte)
		return false;
	j->at++;
	return true;
}

static bool
word_take(struct json *j, struct span word)
{
	if (j->bad ||
	    !span_starts(span_make(j->at, (size_t)(j->end - j->at)), word))
		return false;
	j->at += word.bytes;
	return true;
}

static size_t
digits_skip(struct json *j)
{
	char *before = j->at;

	while (j->at < j->end && *j->at >= '0' && *j->at <= '9')
		j->at++;
	return (size_t)(j->at - before);
}

/* Behind the sign. */
static bool
number_skip(struct json *j)
{
	bool zero = !j->bad && j->at < j->end && *j->at == '0';
	size_t digits = j->bad ? 0 : digits_skip(j);

	if (digits == 0 || (zero && digits > 1))
		return false;
	if (byte_take(j, '.') && digits_skip(j) == 0)
		return false;
	if (byte_take(j, 'e') || byte_take(j, 'E')) {
		if (!byte_take(j, '+'))
			byte_take(j, '-');
		return digits_skip(j) > 0;
	}
	return true;
}

static bool
fail(struct json *j)
{
	j->bad = true;
	return false;
}
