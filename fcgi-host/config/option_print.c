/* SPDX-License-Identifier: MIT */
/* option_print.c - the same rows for people: a file to edit, a help text, a man
 * page. Writing past the ceiling of the buffer is noticed by its owner. */

#include <stdio.h>

#include "base/diag.h"

#include "config/option.h"

enum {
	PROSE_WIDTH = 76,
	HELP_WIDTH = 79,
	HELP_INDENT = 8,
};

static const char *const type_names[] = {
	[OPTION_PATH] = "path",
	[OPTION_STRING] = "text",
	[OPTION_USER] = "user",
	[OPTION_GROUP] = "group",
	[OPTION_PATHS] = "paths",
	[OPTION_NAMES] = "names of variables",
	[OPTION_STRINGS] = "texts",
	[OPTION_METHODS] = "methods",
	[OPTION_ENV] = "group of NAME = \"value\"",
	[OPTION_TIME] = "time",
	[OPTION_SIZE] = "size",
	[OPTION_COUNT] = "number",
	[OPTION_BOOL] = "true or false",
	[OPTION_CHOICE] = "word",
	[OPTION_OTHER] = "list of groups",
};

/* Words, broken into lines that begin with `first`, then with `others`. */
static void
put_words(struct buf *b, const char *text, const char *first,
    const char *others, size_t width)
{
	struct span rest = span_of(text), word;
	size_t column = 0;

	while (rest.bytes > 0) {
		word = span_cut(&rest, ' ');
		if (column > 0 && column + 1 + word.bytes > width) {
			buf_put_byte(b, '\n');
			column = 0;
		}
		if (column == 0) {
			buf_put_string(b, first);
			column = strlen(first);
			first = others;
		} else {
			buf_put_byte(b, ' ');
			column++;
		}
		buf_put(b, word);
		column += word.bytes;
	}
	buf_put_byte(b, '\n');
}

void
options_print_prose(const char *text, struct buf *b)
{
	put_words(b, text, "# ", "# ", PROSE_WIDTH);
}

/* As far in as the option it stands above. */
static void
put_prose(struct buf *b, const char *text, bool in_group)
{
	const char *begin = in_group ? "#       " : "# ";

	put_words(b, text, begin, begin, PROSE_WIDTH);
}

void
options_print_list(const struct option *rows, size_t count, struct buf *b)
{
	struct buf words;

	buf_init(&words, 4096);
	for (const struct option *row = rows; row < rows + count; row++) {
		buf_clear(&words);
		buf_printf(&words, "%s: %s", row->path, row->sentence);
		put_words(b, buf_string(&words), "# - ", "#   ", PROSE_WIDTH);
	}
	buf_free(&words);
}

/* The default as it is written in a file, or the option that says it. */
static void
put_default(const struct option *row, struct buf *b)
{
	struct span rest = span_of(row->text), item;
	const char *separator = "[ ";
	char text[32];

	if (row->standard_of) {
		buf_put_string(b, row->standard_of->path);
		return;
	}
	switch (option_kind(row)) {
	case OPTION_NUMBER:
		option_number_text(row, row->number, text);
		if (row->type == OPTION_CHOICE ||
		    ((row->type == OPTION_TIME || row->type == OPTION_SIZE) &&
			row->number > 0))
			buf_printf(b, "\"%s\"",
			    row->type == OPTION_CHOICE ?
				row->words[row->number] :
				text);
		else
			buf_put_string(b,
			    row->type == OPTION_BOOL ?
				(row->number ? "true" : "false") :
				text);
		break;
	case OPTION_TEXT:
		buf_printf(b, "\"%s\"", row->text);
		break;
	case OPTION_LIST:
		if (row->type == OPTION_ENV) {
			buf_put_string(b, "{ }");
			break;
		}
		while (rest.bytes > 0) {
			item = span_cut(&rest, ' ');
			buf_printf(b, "%s\"%.*s\"", separator, SPAN_ARGS(item));
			separator = ", ";
		}
		buf_put_string(b, row->text ? " ]" : "[ ]");
		break;
	case OPTION_NOTHING:
		buf_put_string(b, "( )");
		break;
	}
}

/* "time, 1s to 1d", `word, one of "file", "stream"`. */
static void
put_type(const struct option *row, struct buf *b)
{
	char range[96];

	buf_put_string(b, type_names[row->type]);
	if (option_range(row, range)[0])
		buf_printf(b, ", %s", range);
	for (size_t i = 0; row->words && row->words[i]; i++)
		buf_printf(b, "%s\"%s\"", i > 0 ? ", " : ", one of ",
		    row->words[i]);
}

static const char *
leaf_of(const struct option *row)
{
	const char *dot = strrchr(row->path, '.');

	return dot ? dot + 1 : row->path;
}

/* The group of an option with its dot: "slots.", or nothing. */
static struct span
group_of(const struct option *row)
{
	return span_make(row->path, (size_t)(leaf_of(row) - row->path));
}

void
options_print_file(const struct option *rows, size_t count, struct buf *b)
{
	struct span group = SPAN(""), own;
	struct buf words;

	buf_init(&words, 4096);
	for (const struct option *row = rows; row < rows + count; row++) {
		own = group_of(row);
		if (!span_equal(own, group)) {
			if (group.bytes > 0)
				buf_put_string(b, "#};\n");
			if (own.bytes > 0)
				buf_printf(b, "\n#%.*s = {\n",
				    (int)own.bytes - 1, own.data);
			group = own;
		}
		if (own.bytes == 0)
			buf_put_byte(b, '\n');
		buf_clear(&words);
		buf_printf(&words, "%s (", row->sentence);
		put_type(row, &words);
		buf_put_byte(&words, ')');
		put_prose(b, buf_string(&words), own.bytes > 0);
		buf_printf(b, "#%s%s = ", own.bytes > 0 ? "\t" : "",
		    leaf_of(row));
		put_default(row, b);
		buf_put_string(b, ";\n");
	}
	if (group.bytes > 0)
		buf_put_string(b, "#};\n");
	buf_free(&words);
}

void
options_print_help(const struct option *rows, size_t count, const char *prefix,
    struct buf *b)
{
	static const char indent[HELP_INDENT + 1] = "        ";

	for (const struct option *row = rows; row < rows + count; row++) {
		buf_printf(b, "%s%s = ", prefix, row->path);
		put_default(row, b);
		buf_put_string(b, "  (");
		put_type(row, b);
		buf_put_string(b, ")\n");
		put_words(b, row->sentence, indent, indent, HELP_WIDTH);
	}
}

/* Text of ours in roff: a backslash, and what begins a request, escaped. */
static void
put_roff(struct buf *b, const char *text)
{
	if (*text == '.' || *text == '\'')
		buf_put_string(b, "\\&");
	for (; *text; text++)
		if (*text == '\\')
			buf_put_string(b, "\\e");
		else if (*text == '-')
			buf_put_string(b, "\\-");
		else
			buf_put_byte(b, *text);
}

void
options_print_man(const struct option *rows, size_t count, const char *prefix,
    struct buf *b)
{
	struct buf words;

	buf_init(&words, 4096);
	for (const struct option *row = rows; row < rows + count; row++) {
		buf_clear(&words);
		put_default(row, &words);
		buf_put_string(b, ".TP\n.B ");
		put_roff(b, prefix);
		put_roff(b, row->path);
		buf_put_string(b, "\n");
		put_roff(b, row->sentence);
		buf_put_string(b, ".\n.br\nTakes: ");
		put_type(row, b);
		buf_put_string(b, ". Default: ");
		put_roff(b, buf_string(&words));
		buf_put_string(b, "\n");
	}
	buf_free(&words);
}
