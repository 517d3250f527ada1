/* SPDX-License-Identifier: MIT */
/* buf.c - one allocation, contents at [start, end), one byte more than room
 * for the NUL of buf_string(). Contents move to the front only when the back
 * is full, so a byte is copied about once for each time memory doubles. */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

enum { BUF_ROOM_LEAST = 256 }; /* the first allocation: a short line fits */

static void buf_compact(struct buf *);
static int buf_grow(struct buf *, size_t room);

void
buf_init(struct buf *b, size_t ceiling)
{
	assert(ceiling < SIZE_MAX);
	*b = (struct buf){ .ceiling = ceiling };
}

void
buf_free(struct buf *b)
{
	free(b->data);
	buf_init(b, b->ceiling);
}

char *
buf_reserve(struct buf *b, size_t bytes)
{
	size_t held = buf_bytes(b);

	if (bytes > b->ceiling - held)
		return NULL;
	if (bytes > b->room - b->end && b->start > 0)
		buf_compact(b);
	if ((!b->data || bytes > b->room - b->end) &&
	    buf_grow(b, held + bytes) != 0)
		return NULL;
	return b->data + b->end;
}

void
buf_wrote(struct buf *b, size_t bytes)
{
	assert(bytes <= b->room - b->end);
	b->end += bytes;
}

int
buf_put(struct buf *b, struct span s)
{
	char *to = buf_reserve(b, s.bytes);

	if (!to)
		return -1;
	if (s.bytes > 0)
		memcpy(to, s.data, s.bytes);
	b->end += s.bytes;
	return 0;
}

int
buf_put_string(struct buf *b, const char *string)
{
	return buf_put(b, span_of(string));
}

int
buf_put_byte(struct buf *b, char byte)
{
	return buf_put(b, span_make(&byte, 1));
}

int
buf_fill(struct buf *b, const char *template, buf_name_fn *put, const void *arg)
{
	struct span rest = span_of(template);

	while (rest.bytes > 0) {
		ptrdiff_t open = span_find(rest, '{');

		if (open < 0)
			return buf_put(b, rest);
		if (buf_put(b, span_take(rest, (size_t)open)) != 0)
			return -1;
		rest = span_skip(rest, (size_t)open + 1);
		if (put(b, span_cut(&rest, '}'), arg) != 0)
			return -1;
	}
	return 0;
}

int
buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	int result;

	va_start(args, format);
	result = buf_vprintf(b, format, args);
	va_end(args);
	return result;
}

int
buf_vprintf(struct buf *b, const char *format, va_list args)
{
	va_list again;
	char *to;
	int bytes;

	va_copy(again, args);
	/* the NUL goes into the spare byte behind room */
	bytes = vsnprintf(b->data ? b->data + b->end : NULL,
	    b->data ? b->room - b->end + 1 : 0, format, args);
	if (bytes >= 0 && (!b->data || (size_t)bytes > b->room - b->end)) {
		to = buf_reserve(b, (size_t)bytes);
		bytes =
		    to ? vsnprintf(to, (size_t)bytes + 1, format, again) : -1;
	}
	va_end(again);
	if (bytes < 0)
		return -1;
	b->end += (size_t)bytes;
	return 0;
}

void
buf_taken(struct buf *b, size_t bytes)
{
	assert(bytes <= buf_bytes(b));
	b->start += bytes;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void
buf_clear(struct buf *b)
{
	b->start = b->end = 0;
}

void
buf_shrink(struct buf *b)
{
	if (buf_bytes(b) == 0)
		buf_free(b);
}

const char *
buf_string(struct buf *b)
{
	if (!b->data)
		return "";
	b->data[b->end] = '\0';
	return b->data + b->start;
}

static void
buf_compact(struct buf *b)
{
	size_t held = buf_bytes(b);

	assert(b->data);
	memmove(b->data, b->data + b->start, held);
	b->start = 0;
	b->end = held;
}

/* To at least `room`, which is not above the ceiling: doubled, so that n
 * bytes written one by one cost O(n). */
static int
buf_grow(struct buf *b, size_t room)
{
	size_t wanted = b->room < BUF_ROOM_LEAST ? BUF_ROOM_LEAST : b->room;
	char *data;

	while (wanted < room)
		wanted = wanted > b->ceiling / 2 ? b->ceiling : wanted * 2;
	if (wanted > b->ceiling)
		wanted = b->ceiling;
	data = realloc(b->data, wanted + 1);
	if (!data)
		return -1;
	b->data = data;
	b->room = wanted;
	return 0;
}
