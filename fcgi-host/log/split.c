/* SPDX-License-Identifier: MIT */
/* split.c - a stream of stderr into pieces of lines. A piece is at most
 * line_most bytes; one that stands whole in what was read is not copied. CR
 * before LF belongs to the line end. */

#include "log/log.h"

static bool split_stands_whole(const struct split *, struct span in);
static bool split_piece(struct split *, struct span line, bool ended,
    bool at_end, struct split_piece *, size_t *used);

void
split_init(struct split *s, size_t line_most)
{
	/* one byte more: the CR of a line that just fits, or the proof that
	 * a line does not */
	buf_init(&s->partial, line_most + 1);
	s->line_most = line_most;
	s->middle = false;
}

void
split_free(struct split *s)
{
	buf_free(&s->partial);
}

bool
split_next(struct split *s, struct span *in, struct split_piece *piece)
{
	size_t held = buf_bytes(&s->partial), used = 0;
	struct span line;
	ptrdiff_t end;
	bool ended, found;

	if (held == 0)
		buf_shrink(&s->partial);
	if (in->bytes == 0)
		return false;
	line = span_take(*in, s->line_most + 1 - held);
	end = span_find(span_take(*in, line.bytes + 1), '\n');
	ended = end >= 0;
	if (ended)
		line = span_take(line, (size_t)end);
	if (split_stands_whole(s, *in)) {
		split_piece(s, line, ended, in->bytes == line.bytes, piece,
		    &used);
		*in = span_skip(*in, used);
		return true;
	}
	/* without memory these bytes are lost, the stream is not */
	(void)buf_put(&s->partial, line);
	*in = span_skip(*in, line.bytes);
	found = split_piece(s, buf_span(&s->partial), ended, in->bytes == 0,
	    piece, &used);
	if (!found)
		return false;
	/* the bytes stay where they are until something is put behind them */
	if (used > buf_bytes(&s->partial)) {
		*in = span_skip(*in, 1);
		used--;
	}
	buf_taken(&s->partial, used);
	return true;
}

bool
split_last(struct split *s, struct split_piece *piece)
{
	struct span line = buf_span(&s->partial);
	size_t used = 0;

	if (line.bytes == 0)
		return false;
	split_piece(s, line, true, true, piece, &used);
	buf_taken(&s->partial, used > line.bytes ? line.bytes : used);
	return true;
}

/* Can a piece be shown to the caller in his own bytes? */
static bool
split_stands_whole(const struct split *s, struct span in)
{
	struct span seen = span_take(in, s->line_most + 2);

	return buf_bytes(&s->partial) == 0 &&
	    (seen.bytes == s->line_most + 2 || span_find(seen, '\n') >= 0);
}

/* The piece at the front of a line of which at most line_most + 1 bytes are
 * known; *used counts its bytes and its line end. False: more must come. */
static bool
split_piece(struct split *s, struct span line, bool ended, bool at_end,
    struct split_piece *piece, size_t *used)
{
	bool has_return = line.bytes > 0 && line.data[line.bytes - 1] == '\r';

	piece->mark = s->middle ? LINE_MORE : LINE_TEXT;
	if (ended && line.bytes - has_return <= s->line_most) {
		piece->text = span_take(line, line.bytes - has_return);
		*used = line.bytes + 1;
		s->middle = false;
		return true;
	}
	if (line.bytes <= s->line_most || (has_return && at_end && !ended))
		return false;
	*used = line_cut(line, s->line_most);
	piece->text = span_take(line, *used);
	s->middle = true;
	return true;
}
