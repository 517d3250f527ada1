/* SPDX-License-Identifier: MIT */
/* arguments.c - options from rows to variables, and what is said when that
 * does not work. */

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/diag.h"

#include "ctl/ctl.h"

enum {
	ROWS_MOST = 32,
	FIRST_LONG = 256, /* what getopt_long returns for row 0 */
	COLUMN = 22,	  /* where sentences begin */
	WIDTH = 78,
};

struct rows {
	const struct argument *all[ROWS_MOST];
	size_t count;
	struct option longs[ROWS_MOST + 1];
	char shorts[2 * ROWS_MOST + 3];
};

static void rows_add(struct rows *, const struct argument *);
static const struct argument *rows_find(const struct rows *, int found);
static int take(const char *verb, const struct argument *, const char *value);
static void print_sentence(FILE *, const char *sentence);

int
arguments_read(const char *verb, const struct argument *arguments,
    const struct argument *more, bool in_order, int argc, char **argv)
{
	struct rows rows = { .count = 0 };
	int found;

	snprintf(rows.shorts, sizeof(rows.shorts), in_order ? "+:" : ":");
	rows_add(&rows, arguments);
	if (more)
		rows_add(&rows, more);
	opterr = 0;
	optind = 0; /* begin anew, with another order */
	while ((found = getopt_long(argc, argv, rows.shorts, rows.longs,
		    NULL)) != -1) {
		if (found == '?') {
			usage(verb, "%s is not an option, or not a clear one",
			    argv[optind - 1]);
			return -1;
		}
		if (found == ':') {
			usage(verb, "%s needs a value", argv[optind - 1]);
			return -1;
		}
		if (take(verb, rows_find(&rows, found), optarg) != 0)
			return -1;
	}
	return optind;
}

int
usage(const char *verb, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	diag_error("%s; fcgi-hostctl %s%s--help tells more", text,
	    verb ? verb : "", verb ? " " : "");
	return CTL_USAGE;
}

void
arguments_print(FILE *to, const struct argument *rows)
{
	char left[64];

	for (; rows->letter || rows->name; rows++) {
		snprintf(left, sizeof(left), "%s%.1s%s%s%s%s%s",
		    rows->letter ? "-" : "", &rows->letter,
		    rows->letter && rows->name ? ", " : "",
		    rows->name ? "--" : "", rows->name ? rows->name : "",
		    rows->takes ? " " : "", rows->takes ? rows->takes : "");
		fprintf(to, "  %-*s", COLUMN - 2, left);
		if (strlen(left) >= COLUMN - 2)
			fprintf(to, "\n%*s", COLUMN, "");
		print_sentence(to, rows->sentence);
	}
}

static void
rows_add(struct rows *rows, const struct argument *row)
{
	size_t used = strlen(rows->shorts);

	for (; row->letter || row->name; row++) {
		struct option *option = &rows->longs[rows->count];

		/* getopt ends at a row without a name: all have one, or
		 * their letter for one */
		option->name = row->name ? row->name : "";
		option->has_arg = row->kind != ARGUMENT_FLAG;
		option->val = FIRST_LONG + (int)rows->count;
		rows->all[rows->count++] = row;
		if (row->letter)
			rows->shorts[used++] = row->letter;
		if (row->letter && option->has_arg)
			rows->shorts[used++] = ':';
	}
	rows->shorts[used] = '\0';
}

static const struct argument *
rows_find(const struct rows *rows, int found)
{
	if (found >= FIRST_LONG)
		return rows->all[found - FIRST_LONG];
	for (size_t i = 0; i < rows->count; i++)
		if (rows->all[i]->letter == found)
			return rows->all[i];
	diag_panic("an option without a row: %d", found);
}

static int
take(const char *verb, const struct argument *row, const char *value)
{
	struct argument_list *list = row->to;
	uint64_t number;

	switch (row->kind) {
	case ARGUMENT_FLAG:
		*(bool *)row->to = true;
		return 0;
	case ARGUMENT_TEXT:
		*(const char **)row->to = value;
		return 0;
	case ARGUMENT_COUNT:
		if (span_number(span_of(value), UINT32_MAX, &number) != 0) {
			usage(verb, "%s is not a number of %s", value,
			    row->takes);
			return -1;
		}
		*(uint32_t *)row->to = (uint32_t)number;
		return 0;
	case ARGUMENT_LIST:
		if (list->count == ARGUMENT_LIST_MOST) {
			usage(verb, "more than %d of %s", ARGUMENT_LIST_MOST,
			    row->name ? row->name : row->takes);
			return -1;
		}
		list->items[list->count++] = value;
		return 0;
	}
	return -1;
}

/* Broken at blanks, further lines below the first. */
static void
print_sentence(FILE *to, const char *sentence)
{
	struct span rest = span_of(sentence), word;
	size_t at = COLUMN;

	while (rest.bytes > 0) {
		word = span_cut(&rest, ' ');
		if (at > COLUMN && at + 1 + word.bytes > WIDTH) {
			fprintf(to, "\n%*s", COLUMN, "");
			at = COLUMN;
		}
		at += (size_t)fprintf(to, "%s%.*s", at > COLUMN ? " " : "",
		    SPAN_ARGS(word));
	}
	fputc('\n', to);
}
