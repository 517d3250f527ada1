/* SPDX-License-Identifier: MIT */
/* option_scan.c - a text before libconfig sees it: what version 1.5 does not
 * say or does not survive. Integers above 32 bits are cut silently, \x00
 * disappears, a NUL or a comment without an end hides the rest of the file, a
 * text that is no part of the grammar leaks, and @include of a directory ends
 * the process. Knows tokens, no grammar and no options. */

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/fd.h"

#include "config/option_file.h"

enum {
	SHOWN_MOST = 48,		       /* of a number that is wrong */
	INCLUDE_DEPTH_MOST = 10,	       /* as libconfig's own */
	INCLUDE_BYTES_MOST = 16 * 1024 * 1024, /* as a file without */
	NESTING_MOST = 16,		       /* brackets; options need four */
};

struct scan {
	struct option_file *file;
	const char *directory; /* of @include; NULL: none allowed */
	const char *name;
	struct span rest;
	int line;
	int depth;   /* of @include */
	char before; /* ends the last token: a sign, '"' or 'w'; 0: none */
	char open[NESTING_MOST]; /* brackets, the innermost last */
	int nesting;
};

static int scan_text(struct option_file *, const char *name, struct span,
    const char *directory, int depth);

int
option_scan(struct option_file *f, const char *name, struct span text,
    const char *directory)
{
	return scan_text(f, name, text, directory, 0);
}

static void
scan_skip(struct scan *s, size_t bytes)
{
	for (size_t i = 0; i < bytes && i < s->rest.bytes; i++)
		if (s->rest.data[i] == '\n')
			s->line++;
	s->rest = span_skip(s->rest, bytes);
}

/* Behind the next `end`; false at the end of the text. */
static bool
scan_behind(struct scan *s, struct span end)
{
	while (s->rest.bytes > 0 && !span_starts(s->rest, end))
		scan_skip(s, 1);
	if (s->rest.bytes == 0)
		return false;
	scan_skip(s, end.bytes);
	return true;
}

static int
scan_comment(struct scan *s)
{
	int line = s->line;

	scan_skip(s, 2);
	if (scan_behind(s, SPAN("*/")))
		return 0;
	option_file_say_at(s->file, s->name, line,
	    "the comment that begins here has no "
	    "end");
	return -1;
}

/* A comma separates items, but in a group it ends an option like a ; does. */
static bool
text_may_stand(const struct scan *s)
{
	if (s->before == ',')
		return s->nesting > 0 && s->open[s->nesting - 1] != '{';
	return s->before && strchr("=:([\"", s->before);
}

static int
scan_string(struct scan *s)
{
	int line = s->line;

	if (!text_may_stand(s)) {
		option_file_say_at(s->file, s->name, line,
		    "text stands where none can: is a ; or = missing?");
		return -1;
	}
	scan_skip(s, 1);
	while (s->rest.bytes > 0 && s->rest.data[0] != '"') {
		if (span_starts_nocase(s->rest, SPAN("\\x00"))) {
			option_file_say_at(s->file, s->name, s->line,
			    "text cannot hold a NUL (\\x00)");
			return -1;
		}
		scan_skip(s, s->rest.data[0] == '\\' ? 2 : 1);
	}
	if (s->rest.bytes == 0) {
		option_file_say_at(s->file, s->name, line,
		    "the text that begins here has "
		    "no end");
		return -1;
	}
	scan_skip(s, 1);
	return 0;
}

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '*';
}

/* A name or a number. */
static int
scan_word(struct scan *s)
{
	struct span word = s->rest, digits;
	uint64_t value = 0;
	bool fits = true;
	size_t bytes = 0;

	while (bytes < word.bytes && is_word(word.data[bytes]))
		bytes++;
	word = digits = span_take(word, bytes);
	scan_skip(s, bytes);
	if (word.data[0] == '-')
		digits = span_skip(digits, 1);
	if (digits.bytes == 0 || digits.data[0] < '0' || digits.data[0] > '9')
		return 0;
	if (span_ends(digits, SPAN("L")))
		digits.bytes--;
	if (span_ends(digits, SPAN("L")))
		digits.bytes--;
	if (span_starts_nocase(digits, SPAN("0x"))) {
		digits = span_skip(digits, 2);
		while (digits.bytes > 0 && digits.data[0] == '0')
			digits = span_skip(digits, 1);
		fits = digits.bytes < 8 ||
		    (digits.bytes == 8 && digits.data[0] < '8');
	} else {
		while (digits.bytes > 1 && digits.data[0] == '0')
			digits = span_skip(digits, 1);
		/* what is no number libconfig says itself */
		for (size_t i = 0; i < digits.bytes; i++)
			if (digits.data[i] < '0' || digits.data[i] > '9')
				return 0;
		fits = span_number(digits, INT_MAX, &value) == 0;
	}
	if (fits)
		return 0;
	option_file_say_at(s->file, s->name, s->line,
	    "the number %.*s is above %d, the "
	    "most a number may be; times and sizes are text with their unit",
	    (int)(word.bytes < SHOWN_MOST ? word.bytes : SHOWN_MOST), word.data,
	    INT_MAX);
	return -1;
}

static int
add_included(struct scan *s, const char *path)
{
	char at[PATH_MAX + 16];

	snprintf(at, sizeof(at), "%s:%d", s->name, s->line);
	if (strings_add(&s->file->included_at, span_of(at)) != 0)
		return -1;
	return strings_add(&s->file->included, span_of(path));
}

static int
scan_included(struct scan *s, struct span name)
{
	char path[PATH_MAX], why[OPTION_WHY_MOST];
	struct buf text;
	int fd, result = -1;

	if (name.bytes == 0 || name.data[0] == '/' ||
	    span_find(name, '\\') >= 0) {
		option_file_say_at(s->file, s->name, s->line,
		    "@include takes a path "
		    "relative to %s",
		    s->directory);
		return -1;
	}
	if (s->depth >= INCLUDE_DEPTH_MOST) {
		option_file_say_at(s->file, s->name, s->line,
		    "@include is more than %d "
		    "deep",
		    INCLUDE_DEPTH_MOST);
		return -1;
	}
	snprintf(path, sizeof(path), "%s/%.*s", s->directory, SPAN_ARGS(name));
	buf_init(&text, INCLUDE_BYTES_MOST + 1);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		option_file_say_at(s->file, s->name, s->line,
		    "@include: %s cannot be "
		    "opened: %s",
		    path, diag_errno());
	else if (option_file_load(fd, INCLUDE_BYTES_MOST, &text, why) != 0)
		option_file_say_at(s->file, s->name, s->line, "@include: %s %s",
		    path, why);
	else if (add_included(s, path) == 0)
		result = scan_text(s->file, path, buf_span(&text), s->directory,
		    s->depth + 1);
	else
		diag_fatal("no memory to read %s", path);
	fd_close(&fd);
	buf_free(&text);
	return result;
}

static int
scan_include(struct scan *s)
{
	struct span rest, name;

	if (!span_starts(s->rest, SPAN("@include"))) {
		scan_skip(s, 1);
		return 0;
	}
	if (!s->directory) {
		option_file_say_at(s->file, s->name, s->line,
		    "@include is not allowed in the settings of a tenant");
		return -1;
	}
	scan_skip(s, strlen("@include"));
	rest = span_trim(s->rest);
	if (!span_starts(rest, SPAN("\"")))
		return 0; /* libconfig will call it what it is */
	rest = span_skip(rest, 1);
	name = span_cut(&rest, '"');
	if (scan_included(s, name) != 0)
		return -1;
	scan_behind(s, SPAN("\""));
	scan_behind(s, SPAN("\""));
	return 0;
}

/* Any other sign. Which brackets match, libconfig says. */
static int
scan_sign(struct scan *s)
{
	char sign = s->rest.data[0];

	scan_skip(s, 1);
	if (strchr(")]}", sign) && s->nesting > 0)
		s->nesting--;
	if (!strchr("([{", sign))
		return 0;
	if (s->nesting == NESTING_MOST) {
		option_file_say_at(s->file, s->name, s->line,
		    "brackets are nested more than %d deep", NESTING_MOST);
		return -1;
	}
	s->open[s->nesting++] = sign;
	return 0;
}

static int
scan_token(struct scan *s)
{
	char first = s->rest.data[0];
	int result = 0;

	if (first == ' ' || (first >= '\t' && first <= '\r')) {
		scan_skip(s, 1);
	} else if (first == '#' || span_starts(s->rest, SPAN("//"))) {
		scan_behind(s, SPAN("\n"));
	} else if (span_starts(s->rest, SPAN("/*"))) {
		result = scan_comment(s);
	} else if (first == '"') {
		result = scan_string(s);
		s->before = '"';
	} else if (first == '@') {
		result = scan_include(s);
		s->before = '\0';
	} else if (is_word(first)) {
		result = scan_word(s);
		s->before = 'w';
	} else {
		result = scan_sign(s);
		s->before = first;
	}
	return result;
}

static int
scan_text(struct option_file *f, const char *name, struct span text,
    const char *directory, int depth)
{
	struct scan s = {
		.file = f,
		.directory = directory,
		.name = name,
		.rest = text,
		.line = 1,
		.depth = depth,
	};
	ptrdiff_t nul = span_find(text, '\0');

	if (nul >= 0) {
		scan_skip(&s, (size_t)nul);
		option_file_say_at(f, name, s.line,
		    "there is a NUL in the file");
		return -1;
	}
	while (s.rest.bytes > 0)
		if (scan_token(&s) != 0)
			return -1;
	return 0;
}
