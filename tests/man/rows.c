/* SPDX-License-Identifier: MIT */
/* rows.c - the rows that the man pages document, for tests/check-man: a line
 * each, fields separated by tabs, the first of which says what kind of row it
 * is. Options and settings come as the programs print them for a man page. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "config/config.h"
#include "config/settings.h"
#include "ipc/message.h"

static void print_options(const char *kind, void (*)(struct buf *));

int
main(void)
{
	print_options("option", config_print_man);
	print_options("setting", settings_print_man);
#define VERB(NAME, name, right, arguments, sentence) \
	printf("verb\t%s\t%s\t%s\n", #name, arguments, sentence);
#include "ipc/verbs.def"
#undef VERB
#define END(NAME, name, status, fault, title, detail) \
	printf("end\t%s\t%u\t%s\n", #name, (unsigned)(status), detail);
#include "gateway/ends.def"
#undef END
#define STEP(NAME, name, first, second, sentence) \
	printf("step\t%s\t%s\n", #name, sentence);
#include "cell/steps.def"
#undef STEP
#define EACH(NAME, name, sentence) \
	printf("step\teach %s\t%s\n", #name, sentence);
#include "cell/each.def"
#undef EACH
#define Q(name) 0
#define ROUTE(NAME, method, path, key, scope, query, body, sentence)    \
	printf("route\t%s %s%s\t%s\t%s\n", #method, path, #key, #scope, \
	    sentence);
#include "state/routes.def"
#undef ROUTE
#define QUERY(NAME, name, type, may, sentence) \
	printf("query\t%s\t%s\t%s\n", #name, may, sentence);
#include "state/query.def"
#undef QUERY
#define PROBLEM(NAME, name, status, title, sentence) \
	printf("problem\t%s\t%u\t%s\n", name, (unsigned)(status), sentence);
#include "state/problems.def"
#undef PROBLEM
	return EXIT_SUCCESS;
}

/* ".TP", ".B name", "sentence.", ".br", "Takes: type. Default: value": the
 * name, and the other two lines as they are. */
static void
print_options(const char *kind, void (*print)(struct buf *))
{
	struct buf roff;
	struct span rest, line;

	buf_init(&roff, 1024 * 1024);
	print(&roff);
	rest = buf_span(&roff);
	while (rest.bytes > 0) {
		line = span_cut(&rest, '\n');
		if (span_starts(line, SPAN(".B ")))
			printf("%s\t%.*s", kind, SPAN_ARGS(span_skip(line, 3)));
		else if (span_starts(line, SPAN("Takes: ")))
			printf("\t%.*s\n", SPAN_ARGS(line));
		else if (line.bytes > 0 && line.data[0] != '.')
			printf("\t%.*s", SPAN_ARGS(line));
	}
	buf_free(&roff);
}
