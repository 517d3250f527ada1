/* SPDX-License-Identifier: MIT */
/* list.c - functions with their URLs, and what is refused, with the reason. The
 * host sends one JSON object a line. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "base/diag.h"

#include "ctl/ctl.h"

enum {
	LIST_MOST = 1024 * 1024 * 1024,
	COLUMN_LEAST = 24,
	COLUMN_MOST = 60, /* a longer name moves its own line only */
};

static int list_run(const struct ctl *, int count, char **operands);
static json_t *list_parse(struct span lines);
static void list_print(const json_t *rows);
static void list_say_none(const struct ctl *, const char *tenant);
static void row_left(const json_t *row, char *text, size_t room);
static const char *text_of(const json_t *row, const char *name);

const struct command command_list = {
	.operands_most = 1,
	.run = list_run,
	.text =
	    "One line a function: its URL and its file. A file that "
	    "cannot be a function as it\nis has its reason instead; so has a "
	    "tenant that cannot be served.\n\n"
	    "  fcgi-hostctl list\n"
	    "  fcgi-hostctl list demo --json | jq -r '.[].url'\n",
};

static int
list_run(const struct ctl *ctl, int count, char **operands)
{
	struct question q = question_of(VERB_LIST);
	struct buf answer;
	json_t *rows;
	int result;

	if (count > 0) {
		if (tenant_check("list", operands[0]) != 0)
			return CTL_USAGE;
		q.control.tenant = span_of(operands[0]);
	}
	buf_init(&answer, LIST_MOST);
	q.out = host_collect;
	q.arg = &answer;
	q.control.flags = CONTROL_JSON;
	result = host_ask_loudly(ctl, &q);
	rows = result == 0 ? list_parse(buf_span(&answer)) : NULL;
	if (rows && json_array_size(rows) == 0)
		list_say_none(ctl, count > 0 ? operands[0] : NULL);
	if (result == 0 && !rows) {
		diag_error("the host's answer is not JSON, one object a line");
		result = CTL_FAILED;
	} else if (rows && ctl->json) {
		result = words_json(rows);
	} else if (rows) {
		list_print(rows);
		json_decref(rows);
	}
	buf_free(&answer);
	return result;
}

void
list_warn(const struct ctl *ctl, const char *tenant, struct span function)
{
	struct question q = question_of(VERB_LIST);
	struct buf answer;
	json_t *rows, *row;
	size_t i;

	buf_init(&answer, LIST_MOST);
	q.control.tenant = span_of(tenant);
	q.control.flags = CONTROL_JSON;
	q.out = host_collect;
	q.arg = &answer;
	rows = host_ask(ctl, &q) == 0 ? list_parse(buf_span(&answer)) : NULL;
	json_array_foreach(rows, i, row)
	{
		if (text_of(row, "refused")[0] &&
		    span_equal(span_of(text_of(row, "function")), function))
			diag_warn("%s/%.*s is not served as it is: %s", tenant,
			    SPAN_ARGS(function), text_of(row, "refused"));
	}
	json_decref(rows);
	buf_free(&answer);
}

static json_t *
list_parse(struct span lines)
{
	json_t *rows = json_array(), *row;
	struct span line;

	while (lines.bytes > 0) {
		line = span_cut(&lines, '\n');
		row = json_loadb(line.data, line.bytes, 0, NULL);
		if (!json_is_object(row) ||
		    json_array_append_new(rows, row) != 0) {
			json_decref(rows);
			return NULL;
		}
	}
	return rows;
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
		words_put_line(stdout, span_of(text_of(row, "file")));
		refused = text_of(row, "refused");
		if (refused[0]) {
			printf("%srefused: ",
			    text_of(row, "file")[0] ? " " : "");
			words_put_line(stdout, span_of(refused));
		}
		fputc('\n', stdout);
	}
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
	const char *function = text_of(row, "function");

	if (text_of(row, "url")[0])
		snprintf(text, room, "%s", text_of(row, "url"));
	else
		snprintf(text, room, "%s%s%s", text_of(row, "tenant"),
		    function[0] ? "/" : "", function);
}

static const char *
text_of(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));

	return text ? text : "";
}
