/* SPDX-License-Identifier: MIT */
/* faults.c - which limits were reached and what failed. The host sends one JSON
 * object a line, the first of which says since when it counts; the sentences are
 * its own, so that a new kind of fault needs no line here. */

#include <time.h>

#include <jansson.h>

#include "ctl/ctl.h"

enum { TIME_CHARS = 32 };

static int faults_run(const struct ctl *, int count, char **operands);
static void faults_print(const json_t *rows, const char *tenant);
static void faults_print_none(const json_t *head, const char *tenant);
static void row_print(const json_t *row, const char *indent);
static const char *time_of(const json_t *row, const char *name,
    char text[TIME_CHARS]);

const struct command command_faults = {
	.operands_most = 1,
	.run = faults_run,
	.text =
	    "What happened to requests of a tenant, the latest first: which "
	    "limit was reached and\nwhat failed, how often, when last and in "
	    "which function, and what helps. The host\ncounts from its own "
	    "start.\n\n"
	    "  fcgi-hostctl faults demo\n"
	    "  fcgi-hostctl faults --json | jq '.faults[] | select(.class == "
	    "\"limit\")'\n",
};

static int
faults_run(const struct ctl *ctl, int count, char **operands)
{
	struct question q = question_of(VERB_FAULTS);
	const char *tenant = count > 0 ? operands[0] : NULL;
	json_t *rows, *head;
	int result = 0;

	if (tenant) {
		if (tenant_check("faults", tenant) != 0)
			return CTL_USAGE;
		q.control.tenant = span_of(tenant);
	}
	rows = answer_rows(ctl, &q);
	if (host_say(&q, rows ? 0 : CTL_FAILED) != 0)
		return CTL_FAILED;
	head = json_incref(json_array_get(rows, 0));
	json_array_remove(rows, 0);
	if (ctl->json) {
		json_object_set(head, "faults", rows);
		result = words_json(json_incref(head));
	} else if (json_array_size(rows) == 0) {
		faults_print_none(head, tenant);
	} else {
		faults_print(rows, tenant);
	}
	json_decref(head);
	json_decref(rows);
	return result;
}

static void
faults_print_none(const json_t *head, const char *tenant)
{
	char text[TIME_CHARS];
	const char *since = time_of(head, "since_unix_ms", text);

	printf("%s%s%s of %s has reached a limit or failed.\n",
	    since ? "Since " : "", since ? since : "",
	    since ? " no request" : "No request",
	    tenant ? tenant : "any tenant");
}

/* With a heading for each tenant, unless one was named. */
static void
faults_print(const json_t *rows, const char *tenant)
{
	const char *before = "";
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		const char *whose = answer_text(row, "tenant");

		if (!tenant && strcmp(whose, before) != 0) {
			if (i > 0)
				fputc('\n', stdout);
			words_put_line(stdout, span_of(whose));
			fputc('\n', stdout);
		}
		row_print(row, tenant ? "" : "  ");
		before = whose;
	}
}

static void
row_print(const json_t *row, const char *indent)
{
	json_int_t count = json_integer_value(json_object_get(row, "count"));
	const char *advice = answer_text(row, "advice");
	const char *request = answer_text(row, "request");
	const char *at;
	char text[TIME_CHARS];

	fputs(indent, stdout);
	words_put_line(stdout, span_of(answer_text(row, "says")));
	at = time_of(row, "last_unix_ms", text);
	if (at)
		printf("%s %s", count == 1 ? ", at" : "; the last one at", at);
	if (request[0]) {
		fputs(" (request ", stdout);
		words_put_line(stdout, span_of(request));
		fputc(')', stdout);
	}
	fputs(".\n", stdout);
	if (!advice[0])
		return;
	printf("%s    ", indent);
	words_put_line(stdout, span_of(advice));
	fputc('\n', stdout);
}

/* NULL when it has none. */
static const char *
time_of(const json_t *row, const char *name, char text[TIME_CHARS])
{
	json_int_t ms = json_integer_value(json_object_get(row, name));
	time_t at = (time_t)(ms / 1000);
	struct tm tm;

	if (ms == 0)
		return NULL;
	strftime(text, TIME_CHARS, "%F %T", localtime_r(&at, &tm));
	return text;
}
