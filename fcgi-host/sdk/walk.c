/* SPDX-License-Identifier: MIT */
/* walk.c - a walk over JSON text. It comes from the host, yet nothing is taken on
 * trust: what is not JSON, or nested deeper than WALK_DEPTH_MOST, is bad. */

#include "sdk/walk.h"

static void blanks_skip(struct walk *);
static bool byte_take(struct walk *, char);
static bool bracket_open(struct walk *, char);
static bool entry_next(struct walk *, char close);
static bool escape_take(struct walk *, char **to);
static bool unicode_take(struct walk *, char **to);
static bool hex_take(struct walk *, unsigned *value);
static size_t utf8_put(char *to, unsigned code);
static size_t utf8_length(struct span);
static bool word_take(struct walk *, struct span word);
static bool number_skip(struct walk *);
static bool fail(struct walk *);

void
walk_init(struct walk *w, char *data, size_t bytes)
{
	*w = (struct walk){ .at = data, .end = data + bytes };
}

bool
walk_object(struct walk *w)
{
	return bracket_open(w, '{');
}

bool
walk_member(struct walk *w, struct span *name)
{
	if (!entry_next(w, '}'))
		return false;
	if (!walk_string(w, name))
		return false;
	blanks_skip(w);
	return byte_take(w, ':') || fail(w);
}

bool
walk_array(struct walk *w)
{
	return bracket_open(w, '[');
}

bool
walk_element(struct walk *w)
{
	return entry_next(w, ']');
}

bool
walk_string(struct walk *w, struct span *text)
{
	char *to, *from;

	*text = SPAN_NONE;
	blanks_skip(w);
	if (!byte_take(w, '"'))
		return fail(w);
	to = from = w->at;
	while (w->at < w->end && *w->at != '"') {
		if ((unsigned char)*w->at < ' ')
			return fail(w);
		if (*w->at != '\\')
			*to++ = *w->at++;
		else if (!escape_take(w, &to))
			return fail(w);
	}
	if (!byte_take(w, '"'))
		return fail(w);
	*to = '\0'; /* at the latest where the quote was */
	*text = span_make(from, (size_t)(to - from));
	return walk_utf8(*text) || fail(w);
}

bool
walk_integer(struct walk *w, int64_t *value)
{
	struct span digits;
	bool negative;
	uint64_t n = 0;

	blanks_skip(w);
	digits.data = w->at;
	negative = byte_take(w, '-');
	digits.data = w->at;
	if (!number_skip(w))
		return fail(w);
	digits.bytes = (size_t)(w->at - digits.data);
	if (span_number(digits, (uint64_t)INT64_MAX + negative, &n) != 0)
		return fail(w);
	*value = negative ? (int64_t)-n : (int64_t)n;
	return true;
}

bool
walk_null(struct walk *w)
{
	blanks_skip(w);
	return word_take(w, SPAN("null"));
}

void
walk_skip(struct walk *w)
{
	struct span text;

	blanks_skip(w);
	if (w->bad || w->at == w->end) {
		fail(w);
	} else if (*w->at == '{') {
		walk_object(w);
		while (walk_member(w, &text))
			walk_skip(w);
	} else if (*w->at == '[') {
		walk_array(w);
		while (walk_element(w))
			walk_skip(w);
	} else if (*w->at == '"') {
		walk_string(w, &text);
	} else if (!word_take(w, SPAN("null")) && !word_take(w, SPAN("true")) &&
	    !word_take(w, SPAN("false"))) {
		byte_take(w, '-');
		if (!number_skip(w))
			fail(w);
	}
}

bool
walk_over(struct walk *w)
{
	blanks_skip(w);
	return !w->bad && w->depth == 0 && w->at == w->end;
}

/* ---- strings ----------------------------------------------------------------- */

int
walk_put_string(struct buf *b, struct span text)
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
walk_utf8(struct span text)
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
escape_take(struct walk *w, char **to)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *found;

	w->at++;
	if (w->at == w->end)
		return false;
	if (*w->at == 'u')
		return unicode_take(w, to);
	found = *w->at ? strchr(names, *w->at) : NULL;
	if (!found)
		return false;
	*(*to)++ = bytes[found - names];
	w->at++;
	return true;
}

/* At the u of \uXXXX; above U+FFFF two of them stand for one character. */
static bool
unicode_take(struct walk *w, char **to)
{
	unsigned code, low;

	w->at++;
	if (!hex_take(w, &code))
		return false;
	if (code >= 0xd800 && code < 0xdc00) {
		if (!byte_take(w, '\\') || !byte_take(w, 'u') ||
		    !hex_take(w, &low) || low < 0xdc00 || low > 0xdfff)
			return false;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	*to += utf8_put(*to, code);
	return true;
}

static bool
hex_take(struct walk *w, unsigned *value)
{
	if (w->end - w->at < 4)
		return false;
	*value = 0;
	for (int i = 0; i < 4; i++) {
		char c = *w->at++;
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

/* A lone surrogate gives three bytes that walk_utf8() refuses. */
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
bracket_open(struct walk *w, char bracket)
{
	blanks_skip(w);
	if (w->depth == WALK_DEPTH_MOST || !byte_take(w, bracket))
		return fail(w);
	w->depth++;
	w->fresh = true;
	return true;
}

static bool
entry_next(struct walk *w, char close)
{
	bool fresh = w->fresh;

	w->fresh = false;
	blanks_skip(w);
	if (byte_take(w, close)) {
		w->depth--;
		return false;
	}
	if (!fresh && !byte_take(w, ','))
		return fail(w);
	return (!w->bad && w->at < w->end) || fail(w);
}

static void
blanks_skip(struct walk *w)
{
	while (!w->bad && w->at < w->end &&
	    (*w->at == ' ' || *w->at == '\t' || *w->at == '\n' ||
		*w->at == '\r'))
		w->at++;
}

static bool
byte_take(struct walk *w, char byte)
{
	if (w->bad || w->at == w->end || *w->at != byte)
		return false;
	w->at++;
	return true;
}

static bool
word_take(struct walk *w, struct span word)
{
	if (w->bad ||
	    !span_starts(span_make(w->at, (size_t)(w->end - w->at)), word))
		return false;
	w->at += word.bytes;
	return true;
}

static size_t
digits_skip(struct walk *w)
{
	char *before = w->at;

	while (w->at < w->end && *w->at >= '0' && *w->at <= '9')
		w->at++;
	return (size_t)(w->at - before);
}

/* Behind the sign. */
static bool
number_skip(struct walk *w)
{
	bool zero = !w->bad && w->at < w->end && *w->at == '0';
	size_t digits = w->bad ? 0 : digits_skip(w);

	if (digits == 0 || (zero && digits > 1))
		return false;
	if (byte_take(w, '.') && digits_skip(w) == 0)
		return false;
	if (byte_take(w, 'e') || byte_take(w, 'E')) {
		if (!byte_take(w, '+'))
			byte_take(w, '-');
		return digits_skip(w) > 0;
	}
	return true;
}

static bool
fail(struct walk *w)
{
	w->bad = true;
	return false;
}
