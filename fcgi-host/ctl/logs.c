/* SPDX-License-Identifier: MIT */
/* logs.c - log lines for people and programs. A tenant's log is text as the
 * log process wrote it, "TIME REQUEST FUNCTION<mark> TEXT"; without a tenant it
 * is access.log, JSON, one object a line. */

#include <poll.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/diag.h"
#include "wire/json_text.h"

#include "ctl/ctl.h"

enum {
	LINE_MOST = 1024 * 1024,
	REQUEST_MOST = 128,
	LINES_STANDARD = 20,
	CALL_WAIT_MS = 500,
	CALL_AGAIN_MS = 20,
};

struct logs {
	const struct ctl *ctl;
	bool access;	    /* lines are JSON already */
	bool any;	    /* one was there */
	struct buf partial; /* a line whose end has not come */
};

static bool follow;
static const char *call = "";
static uint32_t lines = LINES_STANDARD;

static int logs_run(const struct ctl *, int count, char **operands);
static int logs_ask(const struct ctl *, struct question *, const struct logs *);
static int tenant_there(const struct ctl *, const char *tenant,
    void (*say)(const char *, ...));
static void logs_take(void *arg, struct span);
static void line_print(const struct logs *, struct span line);
static void access_print(struct span line);
static long long number(const json_t *record, const char *name);
static void tenant_print_json(struct span line);

/* clang-format off */
const struct command command_logs = {
	.arguments = (const struct argument[]){
		{ 'f', "follow", ARGUMENT_FLAG, &follow, NULL,
		    "and what comes, until interrupted; with --call, until "
		    "that request is over" },
		{ 'n', "lines", ARGUMENT_COUNT, &lines, "LINES",
		    "how many old lines; 20 without it" },
		{ 0, "call", ARGUMENT_TEXT, &call, "ID",
		    "all lines of one request, by its X-Request-Id" },
		{ 0 },
	},
	.operands_most = 1,
	.run = logs_run,
	.text = "With TENANT: what its functions wrote to stderr, and one "
	    "line per request. Behind\nthe function's name stands : before a "
	    "line of stderr, + before the rest of a long\none, ! before words "
	    "of the host about it, = before how a request ended.\n"
	    "Without: one line per request of all tenants. With --json: one "
	    "object a line.\n\n"
	    "  fcgi-hostctl logs -f demo\n"
	    "  fcgi-hostctl logs -n 1000 --json | jq -r "
	    "'select(.status >= 500).request'\n"
	    "  fcgi-hostctl logs --call 01KATW8ZQG7JT0G3MZ9V0YQ4XN\n",
};
/* clang-format on */

static int
logs_run(const struct ctl *ctl, int count, char **operands)
{
	struct question q = question_of(VERB_LOGS);
	struct logs logs = { .ctl = ctl };
	int result;

	if (count > 0) {
		if (tenant_check("logs", operands[0]) != 0)
			return CTL_USAGE;
		q.control.tenant = span_of(operands[0]);
	}
	if (strlen(call) > REQUEST_MOST)
		return usage("logs", "no request id is so long");
	logs.access = count == 0 && !call[0];
	buf_init(&logs.partial, LINE_MOST);
	q.control.call = span_of(call);
	q.control.lines = lines;
	q.control.flags = follow ? CONTROL_FOLLOW : 0;
	q.wait_ms = follow ? -1 : q.wait_ms;
	q.out = logs_take;
	q.arg = &logs;
	if (count > 0 && follow)
		tenant_there(ctl, operands[0], diag_warn);
	result = logs_ask(ctl, &q, &logs);
	if (result != 0)
		diag_error("%s", q.reason);
	else if (count > 0 && !follow && !logs.any && !call[0])
		result = tenant_there(ctl, operands[0], diag_error);
	if (result == 0 && q.reason[0])
		diag_info("%s", q.reason);
	buf_free(&logs.partial);
	return result;
}

/* A reply comes before its call is over, and what is logged of it then: who asks
 * for a call that is not there yet is told so only a moment later. */
static int
logs_ask(const struct ctl *ctl, struct question *q, const struct logs *logs)
{
	uint64_t until_ms = clock_ms() + CALL_WAIT_MS;
	int result;

	do {
		q->reason[0] = '\0';
		result = host_ask(ctl, q);
	} while (call[0] && !follow && result != 0 && !logs->any &&
	    clock_ms() < until_ms && poll(NULL, 0, CALL_AGAIN_MS) == 0);
	return result;
}

/* What is gone may have left lines, and what is not there yet may be followed:
 * so whether there is such a tenant is asked when there is nothing else. */
static int
tenant_there(const struct ctl *ctl, const char *tenant,
    void (*say)(const char *, ...))
{
	struct question q = question_of(VERB_LIST);
	json_t *rows;

	q.control.tenant = span_of(tenant);
	rows = answer_rows(ctl, &q);
	if (rows) {
		json_decref(rows);
		return 0;
	}
	say("%s", q.reason);
	return CTL_FAILED;
}

static void
logs_take(void *arg, struct span bytes)
{
	struct logs *logs = arg;
	struct span rest;
	ptrdiff_t end;

	logs->any |= bytes.bytes > 0;
	host_collect(&logs->partial, bytes);
	rest = buf_span(&logs->partial);
	while ((end = span_find(rest, '\n')) >= 0) {
		line_print(logs, span_take(rest, (size_t)end));
		rest = span_skip(rest, (size_t)end + 1);
	}
	buf_taken(&logs->partial, buf_bytes(&logs->partial) - rest.bytes);
	fflush(stdout);
}

static void
line_print(const struct logs *logs, struct span line)
{
	if (logs->access && !logs->ctl->json) {
		access_print(line);
	} else if (!logs->access && logs->ctl->json) {
		tenant_print_json(line);
	} else {
		words_put(stdout, line);
		fputc('\n', stdout);
	}
}

static void
access_print(struct span line)
{
	json_t *record =
	    json_loadb(line.data, line.bytes, JSON_ALLOW_NUL, NULL);
	struct buf words;

	if (!json_is_object(record)) {
		json_decref(record);
		words_put(stdout, line);
		fputc('\n', stdout);
		return;
	}
	buf_init(&words, LINE_MOST);
	buf_printf(&words, "%s %s %lld %s %s end=%s",
	    answer_text(record, "time"), answer_text(record, "request"),
	    number(record, "status"), answer_text(record, "method"),
	    answer_text(record, "target"), answer_text(record, "end"));
	if (json_object_get(record, "ran_ms"))
		buf_printf(&words, " ran=%.3fms",
		    json_number_value(json_object_get(record, "ran_ms")));
	if (json_object_get(record, "start"))
		buf_printf(&words, " start=%s", answer_text(record, "start"));
	if (json_object_get(record, "worker"))
		buf_printf(&words, " worker=%lld served=%lld",
		    number(record, "worker"), number(record, "served"));
	buf_printf(&words, " out=%lld", number(record, "bytes_out"));
	if (answer_text(record, "detail")[0])
		buf_printf(&words, " - %s", answer_text(record, "detail"));
	words_put(stdout, buf_span(&words));
	fputc('\n', stdout);
	buf_free(&words);
	json_decref(record);
}

static long long
number(const json_t *record, const char *name)
{
	return json_integer_value(json_object_get(record, name));
}

static void
tenant_print_json(struct span line)
{
	static const struct {
		char mark;
		const char *kind;
	} kinds[] = {
		{ ':', "stderr" },
		{ '+', "stderr_more" },
		{ '!', "host" },
		{ '=', "result" },
	};
	struct span time = span_cut(&line, ' ');
	struct span request = span_cut(&line, ' ');
	struct span word = span_cut(&line, ' ');
	const char *kind = "unknown";
	json_t *object = json_object();
	char *text;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (word.bytes > 0 &&
		    word.data[word.bytes - 1] == kinds[i].mark)
			kind = kinds[i].kind;
	json_object_set_new(object, "time", json_text(time));
	json_object_set_new(object, "request", json_text(request));
	json_object_set_new(object, "function",
	    json_text(span_take(word, word.bytes > 0 ? word.bytes - 1 : 0)));
	json_object_set_new(object, "kind", json_string(kind));
	json_object_set_new(object, "text", json_text(line));
	text = json_dumps(object, JSON_COMPACT);
	if (text)
		puts(text);
	free(text);
	json_decref(object);
}
