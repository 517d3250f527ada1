/* SPDX-License-Identifier: MIT */
/* list.c - functions with their URLs, and what is refused, with the reason. The
 * host sends one JSON object a line. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/diag.h"

#include "ctl/ctl.h"

enum {
	COLUMN_LEAST = 24,
	COLUMN_MOST = 60, /* a longer name moves its own line only */
};

static int list_run(const struct ctl *, int count, char **operands);
static void list_print(const json_t *rows);
static void list_print_how(const json_t *row);
static void list_print_start(const json_t *row);
static void list_say_none(const struct ctl *, const char *tenant);
static void row_left(const json_t *row, char *text, size_t room);

const struct command command_list = {
	.operands_most = 1,
	.run = list_run,
	.text =
	    "One line a function: its URL, its file and how it runs: cgi, "
	    "or fastcgi with the\nworkers it has now. A file that cannot be a "
	    "function as it is has its reason\ninstead; so has a tenant that "
	    "cannot be served.\nBehind it is the plan that the "
	    "configuration gives the tenant, if it does.\n\n"
	    "  fcgi-hostctl list\n"
	    "  fcgi-hostctl list demo --json | jq -r '.[].url'\n",
};

static int
list_run(const struct ctl *ctl, int count, char **operands)
{
	struct question q = question_of(VERB_LIST);
	json_t *rows;

	if (count > 0) {
		if (tenant_check("list", operands[0]) != 0)
			return CTL_USAGE;
		q.control.tenant = span_of(operands[0]);
	}
	rows = answer_rows(ctl, &q);
	if (host_say(&q, rows ? 0 : CTL_FAILED) != 0)
		return CTL_FAILED;
	if (json_array_size(rows) == 0)
		list_say_none(ctl, count > 0 ? operands[0] : NULL);
	if (ctl->json)
		return words_json(rows);
	list_print(rows);
	json_decref(rows);
	return 0;
}

void
list_warn(const struct ctl *ctl, const char *tenant, struct span function)
{
	struct question q = question_of(VERB_LIST);
	json_t *rows, *row;
	size_t i;

	q.control.tenant = span_of(tenant);
	rows = answer_rows(ctl, &q);
	json_array_foreach(rows, i, row)
	{
		if (answer_text(row, "refused")[0] &&
		    span_equal(span_of(answer_text(row, "function")), function))
			diag_warn("%s/%.*s is not served as it is: %s", tenant,
			    SPAN_ARGS(function), answer_text(row, "refused"));
	}
	json_decref(rows);
}

void
list_warn_of(const struct ctl *ctl, const char *tenant, struct span file)
{
	struct question q = question_of(VERB_LIST);
	const char *reason = NULL;
	unsigned count = 0;
	json_t *rows, *row;
	size_t i;

	q.control.tenant = span_of(tenant);
	rows = answer_rows(ctl, &q);
	json_array_foreach(rows, i, row)
	{
		const char *refused = answer_text(row, "refused");

		if (!span_starts(span_of(refused), file))
			continue;
		reason = reason ? reason : refused;
		count++;
	}
	if (reason)
		diag_warn("%s/%.*s: %u of its functions %s not served: %s",
		    tenant, SPAN_ARGS(file), count, count == 1 ? "is" : "are",
		    reason);
	json_decref(rows);
}

static void
list_print(const json_t *rows)
{
	size_t width = COLUMN_LEAST, i, bytes;
	const char *refused;
	char left[512];
	json_t *row;

	json_array_foreach(rows, i, row)
	{
		row_left(row, left, sizeof(left));
		bytes = strlen(left);
		if (bytes > width && bytes <= COLUMN_MOST)
			width = bytes;
	}
	json_array_foreach(rows, i, row)
	{
		row_left(row, left, sizeof(left));
		words_put_line(stdout, span_of(left));
		bytes = strlen(left);
		printf("%*s", bytes < width ? (int)(width - bytes) + 2 : 2, "");
		words_put_line(stdout, span_of(answer_text(row, "file")));
		list_print_how(row);
		if (answer_text(row, "plan")[0])
			printf("%s(plan %s)",
			    answer_text(row, "file")[0] ? "  " : "",
			    answer_text(row, "plan"));
		refused = answer_text(row, "refused");
		if (refused[0]) {
			printf("%srefused: ",
			    answer_text(row, "file")[0] ||
				    answer_text(row, "plan")[0] ?
				" " :
				"");
			words_put_line(stdout, span_of(refused));
		}
		fputc('\n', stdout);
	}
}

/* "cgi", or "fastcgi, 3 workers (1 ready)", and what the owner may not expect. */
static void
list_print_how(const json_t *row)
{
	json_int_t workers =
	    json_integer_value(json_object_get(row, "workers"));
	json_int_t ready = json_integer_value(json_object_get(row, "ready"));
	json_int_t spare = json_integer_value(json_object_get(row, "spare"));
	json_int_t lacks =
	    json_integer_value(json_object_get(row, "spare_short"));

	if (!answer_text(row, "protocol")[0])
		return;
	fputs("  ", stdout);
	words_put_line(stdout, span_of(answer_text(row, "protocol")));
	if (workers > 0)
		printf(", %lld worker%s (%lld ready)", (long long)workers,
		    workers == 1 ? "" : "s", (long long)ready);
	list_print_start(row);
	if (json_is_true(json_object_get(row, "switched_off")))
		printf(", switched off (concurrency = 0)");
	if (lacks > 0) {
		printf(", %lld of spare = %lld: ", (long long)(spare - lacks),
		    (long long)spare);
		words_put_line(stdout,
		    span_of(answer_text(row, "spare_limit")));
		printf(" is used up");
	}
}

/* What is executed says nothing. */
static void
list_print_start(const json_t *row)
{
	const char *start = answer_text(row, "start");
	const char *template = answer_text(row, "template");

	if (strcmp(start, "fork") != 0 &&
	    (strcmp(start, "auto") != 0 || strcmp(template, "none") == 0))
		return;
	printf(", start = %s (template: ", start);
	words_put_line(stdout, span_of(template));
	fputc(')', stdout);
}

/* An empty answer is one, but not the one that was hoped for. */
static void
list_say_none(const struct ctl *ctl, const char *tenant)
{
	char reason[HOST_REASON], *functions;

	if (tenant) {
		diag_info("tenant %s has no function; fcgi-hostctl put FILE %s "
			  "makes one",
		    tenant, tenant);
		return;
	}
	functions = host_functions(ctl, reason);
	if (!functions)
		diag_info("no functions: %s", reason);
	else if (access(functions, F_OK) != 0 && errno == ENOENT)
		diag_info("no functions: there is no directory %s", functions);
	else
		diag_info("no functions: %s has no tenant's directory",
		    functions);
	free(functions);
}

static void
row_left(const json_t *row, char *text, size_t room)
{
	const char *function = answer_text(row, "function");

	if (answer_text(row, "url")[0])
		snprintf(text, room, "%s", answer_text(row, "url"));
	else
		snprintf(text, room, "%s%s%s", answer_text(row, "tenant"),
		    function[0] ? "/" : "", function);
}
