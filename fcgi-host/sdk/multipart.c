/* SPDX-License-Identifier: MIT */
/* multipart.c - parts between delimiters. Strict in what frames them, since what is
 * half a file must not look like a whole one; lines of a part's header that say
 * nothing of a form are passed over. */

#include "sdk/multipart.h"

enum {
	BOUNDARY_MOST = 70,	 /* RFC 2046 section 5.1.1 */
	HEADER_MOST = 16 * 1024, /* of a part */
	DELIMITER_ROOM = 4 + BOUNDARY_MOST,
};

struct delimiter {
	char text[DELIMITER_ROOM]; /* "\r\n--boundary" */
	size_t bytes;
};

/* What follows a delimiter, or is one. */
enum mark { MARK_NONE, MARK_PART, MARK_END };

static bool delimiter_make(struct delimiter *, struct span type);
static enum mark mark_take(struct span *rest);
static enum mark part_take(const struct delimiter *, struct span *rest,
    struct fn_pair *);
static bool header_take(struct span *rest, struct fn_pair *);
static void field_take(struct span line, struct fn_pair *);
static struct span parameter(struct span value, struct span name);
static struct span parameter_cut(struct span *rest);
static const char *ended(struct span);

bool
multipart_is(struct span type)
{
	return span_equal_nocase(span_trim(span_cut(&type, ';')),
	    SPAN("multipart/form-data"));
}

enum fn_result
multipart_read(struct pairs *p, char *body, size_t bytes, struct span type)
{
	struct span rest = span_make(body, bytes);
	enum fn_result result = FN_OK;
	struct delimiter d;
	enum mark mark;

	p->read = true;
	/* The first one may stand at the very beginning. */
	if (!delimiter_make(&d, type) ||
	    !span_starts(rest, span_make(d.text + 2, d.bytes - 2)))
		return FN_BAD;
	rest = span_skip(rest, d.bytes - 2);
	mark = mark_take(&rest);
	while (mark == MARK_PART && result == FN_OK) {
		struct fn_pair pair = { .name = NULL };

		mark = part_take(&d, &rest, &pair);
		if (mark != MARK_NONE && pair.name)
			result = pairs_add(p, &pair);
	}
	if (result == FN_OK && mark == MARK_NONE)
		result = FN_BAD;
	if (result != FN_OK)
		p->count = 0;
	return result;
}

static bool
delimiter_make(struct delimiter *d, struct span type)
{
	struct span boundary;

	span_cut(&type, ';');
	boundary = parameter(type, SPAN("boundary"));
	if (boundary.bytes == 0 || boundary.bytes > BOUNDARY_MOST)
		return false;
	memcpy(d->text, "\r\n--", 4);
	memcpy(d->text + 4, boundary.data, boundary.bytes);
	d->bytes = 4 + boundary.bytes;
	return true;
}

/* Behind a delimiter: blanks and a line end, or "--". */
static enum mark
mark_take(struct span *rest)
{
	struct span line = *rest;

	if (span_starts(line, SPAN("--")))
		return MARK_END;
	while (line.bytes > 0 && (line.data[0] == ' ' || line.data[0] == '\t'))
		line = span_skip(line, 1);
	if (!span_starts(line, SPAN("\r\n")))
		return MARK_NONE;
	*rest = span_skip(line, 2);
	return MARK_PART;
}

/* A part, up to and with the delimiter behind it, which is returned. Without a name
 * in its header, pair->name stays NULL. */
static enum mark
part_take(const struct delimiter *d, struct span *rest, struct fn_pair *pair)
{
	enum mark mark = MARK_NONE;
	struct span behind;
	const char *at;

	if (!header_take(rest, pair))
		return MARK_NONE;
	pair->value = rest->data;
	for (behind = *rest; mark == MARK_NONE;) {
		at = memmem(behind.data, behind.bytes, d->text, d->bytes);
		if (!at)
			return MARK_NONE;
		behind =
		    span_skip(behind, (size_t)(at - behind.data) + d->bytes);
		/* Or the boundary was the beginning of a word. */
		mark = mark_take(&behind);
	}
	pair->bytes = (size_t)(at - pair->value);
	ended(span_make(pair->value, pair->bytes));
	*rest = behind;
	return mark;
}

/* Lines up to the empty one. */
static bool
header_take(struct span *rest, struct fn_pair *pair)
{
	struct span all = span_take(*rest, HEADER_MOST), line;

	for (;;) {
		const char *end = memmem(all.data, all.bytes, "\r\n", 2);

		if (!end)
			return false;
		line = span_take(all, (size_t)(end - all.data));
		all = span_skip(all, line.bytes + 2);
		*rest = span_skip(*rest, line.bytes + 2);
		if (line.bytes == 0)
			return true;
		field_take(line, pair);
	}
}

static void
field_take(struct span line, struct fn_pair *pair)
{
	struct span value = line, name = span_cut(&value, ':');
	struct span part, file;

	if (!value.data)
		return;
	if (span_equal_nocase(name, SPAN("Content-Type")))
		pair->type = ended(span_trim(value));
	if (!span_equal_nocase(name, SPAN("Content-Disposition")) ||
	    !span_equal_nocase(span_trim(span_cut(&value, ';')),
		SPAN("form-data")))
		return;
	/* Both are looked for before one is ended: that writes behind it. */
	part = parameter(value, SPAN("name"));
	file = parameter(value, SPAN("filename"));
	pair->name = part.data ? ended(part) : NULL;
	pair->file = file.data ? ended(file) : NULL;
}

/* The value of name="value", or of name=value, or SPAN_NONE. */
static struct span
parameter(struct span rest, struct span name)
{
	struct span value;

	while (rest.data) {
		value = parameter_cut(&rest);
		if (!span_equal_nocase(span_trim(span_cut(&value, '=')), name))
			continue;
		value = span_trim(value);
		if (value.bytes > 1 && value.data[0] == '"')
			value = span_make(value.data + 1, value.bytes - 2);
		return value;
	}
	return SPAN_NONE;
}

/* Up to a ';' that is not in quotes. Browsers write no quote inside of them, but
 * %22 (HTML standard, "multipart/form-data encoding"). */
static struct span
parameter_cut(struct span *rest)
{
	struct span all;
	bool quoted = false;

	for (size_t i = 0; i < rest->bytes; i++) {
		struct span part = span_take(*rest, i);

		quoted ^= rest->data[i] == '"';
		if (rest->data[i] != ';' || quoted)
			continue;
		*rest = span_skip(*rest, i + 1);
		return part;
	}
	all = *rest;
	*rest = SPAN_NONE;
	return all;
}

/* As a string: what stands behind it has been read. */
static const char *
ended(struct span text)
{
	((char *)(uintptr_t)text.data)[text.bytes] = '\0';
	return text.data;
}
