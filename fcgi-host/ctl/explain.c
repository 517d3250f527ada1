/* SPDX-License-Identifier: MIT */
/* explain.c - how the processes of a function are made, why, and what the other
 * ways would cost. The reasons are the host's own sentences. */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/diag.h"

#include "ctl/ctl.h"

static int explain_run(const struct ctl *, int count, char **operands);
static void explain_print(const json_t *row);
static void print_facts(const json_t *row);
static void print_ways(const json_t *row);
static void print_way(const json_t *way, const char *chosen);
static void print_ms(const json_t *way, const char *name, bool supposed);
static const char *how_to(const char *way);

const struct command command_explain = {
	.operands_least = 1,
	.operands_most = 1,
	.run = explain_run,
	.text =
	    "How the processes of a function are made: executed, or forked from "
	    "a template which\nhas run the initialisation already; why, by what "
	    "was measured since the host knows\nthe function as it is now; and "
	    "what the other ways would cost.\n\n"
	    "  fcgi-hostctl explain demo/hello\n"
	    "  fcgi-hostctl explain demo/hello --json | jq .ways\n",
};

static int
explain_run(const struct ctl *ctl, int count, char **operands)
{
	struct question q = question_of(VERB_EXPLAIN);
	char *tenant = strdup(operands[0]);
	const char *function;
	json_t *row;
	int result;

	(void)count;
	if (!tenant)
		diag_fatal("no memory");
	function = strchr(tenant, '/');
	if (!function || !function[1]) {
		result = usage("explain",
		    "\"%s\" names no function: TENANT/FUNCTION", operands[0]);
		goto out;
	}
	tenant[function - tenant] = '\0';
	result = tenant_check("explain", tenant);
	if (result != 0)
		goto out;
	q.control.tenant = span_of(tenant);
	q.control.function = span_of(function + 1);
	row = answer_object(ctl, &q);
	result = host_say(&q, row ? 0 : CTL_FAILED);
	if (row && ctl->json)
		result = words_json(json_incref(row));
	else if (row)
		explain_print(row);
	json_decref(row);
out:
	free(tenant);
	return result;
}

static void
explain_print(const json_t *row)
{
	const char *chosen = answer_text(row, "chosen");
	json_int_t ms =
	    json_integer_value(json_object_get(row, "since_unix_ms"));
	time_t at = (time_t)(ms / 1000);
	char since[32];
	struct tm tm;

	words_put_line(stdout, span_of(answer_text(row, "tenant")));
	fputc('/', stdout);
	words_put_line(stdout, span_of(answer_text(row, "function")));
	if (answer_text(row, "refused")[0]) {
		fputs(" is refused: ", stdout);
		words_put_line(stdout, span_of(answer_text(row, "refused")));
		fputc('\n', stdout);
		return;
	}
	fputs(strcmp(chosen, "fork") == 0 ? " is forked from a template" :
					    " is executed",
	    stdout);
	if (ms > 0 &&
	    strftime(since, sizeof(since), "%F %T", localtime_r(&at, &tm)) > 0)
		printf(", since %s", since);
	fputs(":\n    ", stdout);
	words_put_line(stdout, span_of(answer_text(row, "why")));
	fputs(".\n", stdout);
	print_facts(row);
	if (json_object_get(row, "ways"))
		print_ways(row);
}

static void
print_facts(const json_t *row)
{
	const json_t *rate = json_object_get(row, "starts_per_s");
	const char *start = answer_text(row, "start");
	const char *template = answer_text(row, "template");

	fputs("    ", stdout);
	if (start[0])
		printf("start = \"%s\", ", start);
	printf("protocol = \"%s\"", answer_text(row, "protocol"));
	if (rate && json_number_value(rate) > 0)
		printf(", %.3g starts a second", json_number_value(rate));
	if (template[0]) {
		fputs(", template: ", stdout);
		words_put_line(stdout, span_of(template));
	}
	fputs(".\n", stdout);
}

static void
print_ways(const json_t *row)
{
	const json_t *ways = json_object_get(row, "ways");
	const char *chosen = answer_text(row, "chosen");
	json_t *way;
	size_t i;

	printf("\n  %-8s %12s %12s %12s  %s\n", "", "start", "whole run",
	    "processor", "stays in memory");
	json_array_foreach(ways, i, way) print_way(way, chosen);
	puts("\n~ is supposed, - is not known; the rest was measured.");
}

static void
print_way(const json_t *way, const char *chosen)
{
	const char *name = answer_text(way, "way");
	json_int_t kib = json_integer_value(json_object_get(way, "memory_kib"));
	bool ready = strcmp(name, "spares") == 0 || strcmp(name, "worker") == 0;

	printf("%c %-8s", strcmp(name, chosen) == 0 ? '*' : ' ', name);
	if (ready)
		printf(" %12s", "none");
	else
		print_ms(way, "start_ms",
		    !json_is_true(json_object_get(way, "start_measured")));
	print_ms(way, "run_ms", false);
	print_ms(way, "cpu_ms", false);
	if (strcmp(name, "exec") == 0)
		printf("  nothing\n");
	else if (kib == 0)
		printf("  -%s\n", how_to(name));
	else
		printf("  %.1f MiB%s%s\n", (double)kib / 1024,
		    ready ? " each" : "", how_to(name));
}

static void
print_ms(const json_t *way, const char *name, bool supposed)
{
	const json_t *ms = json_object_get(way, name);
	char text[32];

	if (ms)
		snprintf(text, sizeof(text), "%s%.2f ms", supposed ? "~" : "",
		    json_number_value(ms));
	printf(" %12s", ms ? text : "-");
}

static const char *
how_to(const char *way)
{
	if (strcmp(way, "spares") == 0)
		return ": protocol = \"fastcgi\"; requests = 1; spare = 2;";
	if (strcmp(way, "worker") == 0)
		return ": protocol = \"fastcgi\";";
	return "";
}
