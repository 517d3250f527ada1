/* SPDX-License-Identifier: MIT */
/* line.c - text that is safe to put into a line. Knows UTF-8 and what a
 * terminal, a pager and a JSON parser do with it; knows no files. */

#define _GNU_SOURCE 1 /* timegm */
#include <stdlib.h>
#include <time.h>

#include "log/log.h"

static size_t utf8_take(struct span, uint32_t *point);
static bool point_moves_text(uint32_t point);
static size_t json_plain_bytes(struct span);
static int put_hex(struct buf *, struct span);
static int put_escaped(struct buf *, struct span, bool one_word);
static size_t plain_bytes(struct span, bool one_word);

int
line_put_head(struct buf *out, const char *time, struct span request,
    struct span function, enum line_mark mark)
{
	if (buf_put_string(out, time) != 0 || buf_put_byte(out, ' ') != 0 ||
	    line_put_word(out, span_take(request, LINE_NAME_MOST)) != 0 ||
	    buf_put_byte(out, ' ') != 0 ||
	    line_put_word(out, span_take(function, LINE_NAME_MOST)) != 0)
		return -1;
	return buf_put(out, span_make((char[]){ (char)mark, ' ' }, 2));
}

int
line_put_text(struct buf *out, struct span text)
{
	return put_escaped(out, text, false);
}

int
line_put_word(struct buf *out, struct span text)
{
	if (text.bytes == 0)
		return buf_put_byte(out, '-');
	return put_escaped(out, text, true);
}

int
line_put_json(struct buf *out, struct span text)
{
	uint32_t point;
	size_t bytes;
	int result = buf_put_byte(out, '"');

	while (text.bytes > 0 && result == 0) {
		bytes = json_plain_bytes(text);
		if (bytes > 0) {
			result = buf_put(out, span_take(text, bytes));
			text = span_skip(text, bytes);
			continue;
		}
		bytes = utf8_take(text, &point);
		if (bytes == 0) {
			result = buf_put_string(out, "\\ufffd");
			bytes = 1;
		} else if (point == '"' || point == '\\') {
			result = buf_printf(out, "\\%c", (int)point);
		} else if (point < 0x20 || point_moves_text(point)) {
			result = buf_printf(out, "\\u%04x", (unsigned)point);
		} else {
			result = buf_put(out, span_take(text, bytes));
		}
		text = span_skip(text, bytes);
	}
	return result == 0 ? buf_put_byte(out, '"') : -1;
}

size_t
line_cut(struct span bytes, size_t most)
{
	size_t cut = most;
	uint32_t point;

	if (bytes.bytes <= most)
		return bytes.bytes;
	/* the piece must not end within a character: step back to where one
	 * begins, unless what stands there is none */
	for (size_t back = 1; back < 4 && back < most; back++) {
		unsigned char first = (unsigned char)bytes.data[most - back];

		if ((first & 0xc0) == 0x80)
			continue;
		if (utf8_take(span_skip(bytes, most - back), &point) > back)
			cut = most - back;
		break;
	}
	return cut;
}

int
line_parse(struct span bytes, struct line *l)
{
	struct span rest = bytes, word;

	l->time = span_cut(&rest, ' ');
	l->request = span_cut(&rest, ' ');
	word = span_cut(&rest, ' ');
	if (l->time.bytes != LINE_TIME_BYTES || word.bytes < 2 || !rest.data)
		return -1;
	l->function = span_take(word, word.bytes - 1);
	l->mark = (enum line_mark)word.data[word.bytes - 1];
	l->text = rest;
	return l->mark == LINE_TEXT || l->mark == LINE_MORE ||
		l->mark == LINE_HOST || l->mark == LINE_RESULT ?
	    0 :
	    -1;
}

int
line_time(struct span text, uint64_t *unix_ms)
{
	/* where each number of "2026-11-23T09:56:42.123Z" stands */
	static const struct {
		size_t at, bytes;
	} parts[7] = {
		{ 0, 4 },
		{ 5, 2 },
		{ 8, 2 },
		{ 11, 2 },
		{ 14, 2 },
		{ 17, 2 },
		{ 20, 3 },
	};
	uint64_t n[7];
	struct tm tm = { 0 };

	if (text.bytes != LINE_TIME_BYTES)
		return -1;
	for (size_t i = 0; i < 7; i++)
		if (span_number(span_take(span_skip(text, parts[i].at),
				    parts[i].bytes),
			9999, &n[i]) != 0)
			return -1;
	tm.tm_year = (int)n[0] - 1900;
	tm.tm_mon = (int)n[1] - 1;
	tm.tm_mday = (int)n[2];
	tm.tm_hour = (int)n[3];
	tm.tm_min = (int)n[4];
	tm.tm_sec = (int)n[5];
	*unix_ms = (uint64_t)timegm(&tm) * 1000 + n[6];
	return 0;
}

static int
put_escaped(struct buf *out, struct span text, bool one_word)
{
	uint32_t point;
	size_t bytes;
	int result = 0;

	while (text.bytes > 0 && result == 0) {
		bytes = plain_bytes(text, one_word);
		if (bytes > 0) {
			result = buf_put(out, span_take(text, bytes));
		} else if ((bytes = utf8_take(text, &point)) > 1 &&
		    !point_moves_text(point)) {
			result = buf_put(out, span_take(text, bytes));
		} else {
			bytes = bytes > 0 ? bytes : 1;
			result = put_hex(out, span_take(text, bytes));
		}
		text = span_skip(text, bytes);
	}
	return result;
}

/* How many bytes from the front need no second look: most lines are nothing
 * else. A tab is text, except in a word. */
static size_t
plain_bytes(struct span text, bool one_word)
{
	size_t i;

	for (i = 0; i < text.bytes; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c >= 0x7f || (c < 0x20 && (c != '\t' || one_word)))
			break;
		if (one_word && c == ' ')
			break;
	}
	return i;
}

static size_t
json_plain_bytes(struct span text)
{
	size_t i;

	for (i = 0; i < text.bytes; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			break;
	}
	return i;
}

static int
put_hex(struct buf *out, struct span bytes)
{
	int result = 0;

	for (size_t i = 0; i < bytes.bytes && result == 0; i++)
		result = buf_printf(out, "\\x%02x",
		    (unsigned)(unsigned char)bytes.data[i]);
	return result;
}

/* The character at the front (RFC 3629: shortest form, no surrogates, up to
 * U+10FFFF): its bytes, or 0 when there is none. */
static size_t
utf8_take(struct span text, uint32_t *point)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = (unsigned char)text.data[0];
	size_t bytes = first < 0x80 ? 1 :
	    first < 0xc0	    ? 0 :
	    first < 0xe0	    ? 2 :
	    first < 0xf0	    ? 3 :
	    first < 0xf8	    ? 4 :
				      0;

	if (bytes == 0 || bytes > text.bytes)
		return 0;
	*point = bytes == 1 ? first : first & (0xffu >> (bytes + 1));
	for (size_t i = 1; i < bytes; i++) {
		unsigned char next = (unsigned char)text.data[i];

		if ((next & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (next & 0x3f);
	}
	if (*point < least[bytes] || *point > 0x10ffff ||
	    (*point >= 0xd800 && *point <= 0xdfff))
		return 0;
	return bytes;
}

/* DEL and C1 (a terminal obeys them), line and paragraph separator (a viewer
 * breaks the line), directional overrides and isolates (the line reads as
 * another one), and the byte order mark. */
static bool
point_moves_text(uint32_t point)
{
	return (point >= 0x7f && point <= 0x9f) || point == 0x200e ||
	    point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
	    (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}
