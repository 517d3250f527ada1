/* SPDX-License-Identifier: MIT */
/* If this fails, the host's own errors do not say what happened, or carry a
 * client's bytes into a page or a terminal. */
#include <jansson.h>

#include "rows.h"

#include "gateway/answer.h"

static struct answer_facts
facts_of(enum end end)
{
	return (struct answer_facts){ .end = end,
		.tenant = SPAN("acme"),
		.function = SPAN("slow"),
		.limit = SPAN("limits.time"),
		.value = SPAN("10s"),
		.what = SPAN("signal SEGV"),
		.request_id = SPAN("01ARZ3NDEKTSV4RRFFQ69G5FAV") };
}

static const struct detail_row {
	const char *sentence;
	enum end end;
	struct span function;
	const char *detail;
} details[] = {
	{ "a time limit names function, setting and value", END_TIME,
	    SPAN("slow"), "function acme/slow reached limits.time = 10s" },
	{ "a crash names the signal", END_CRASHED, SPAN("slow"),
	    "function acme/slow was ended by signal SEGV before its reply "
	    "was complete" },
	{ "no function names what was asked", END_NO_FUNCTION, SPAN("x"),
	    "there is no function acme/x" },
	{ "control bytes do not reach a terminal", END_NO_FUNCTION,
	    SPAN("a\033[2Jb\n"), "there is no function acme/a?[2Jb?" },
	{ "braces in a name are not filled in", END_NO_FUNCTION,
	    SPAN("{value}"), "there is no function acme/{value}" },
};

static void
test_detail(void **state)
{
	const struct detail_row *row = *state;
	struct answer_facts facts = facts_of(row->end);
	struct buf out;

	facts.function = row->function;
	buf_init(&out, 4096);
	assert_int_equal(answer_detail(&out, &facts), 0);
	assert_string_equal(buf_string(&out), row->detail);
	buf_free(&out);
}

static const struct accept_row {
	const char *sentence;
	struct span accept;
	bool html;
} accepts[] = {
	{ "a browser gets a page",
	    SPAN("text/html,application/xhtml+xml,*/*;q=0.8"), true },
	{ "who takes anything gets JSON", SPAN("*/*"), false },
	{ "who says nothing gets JSON", SPAN(""), false },
	{ "who prefers JSON gets it", SPAN("application/json, text/html;q=0.5"),
	    false },
	{ "who prefers a page gets it",
	    SPAN("application/json;q=0.4 , text/html; q=0.5"), true },
	{ "who refuses a page gets JSON", SPAN("text/html;q=0"), false },
	{ "q=0.0 refuses too", SPAN("text/html;q=0.000"), false },
	{ "case does not matter", SPAN("TEXT/HTML"), true },
};

static void
test_accept(void **state)
{
	const struct accept_row *row = *state;

	assert_int_equal(answer_prefers_html(row->accept), row->html);
}

/* Splits what answer_write() wrote; the body must be Content-Length long. */
static const char *
body_of(struct buf *out)
{
	const char *text = buf_string(out);
	const char *body = strstr(text, "\r\n\r\n");
	const char *length = strstr(text, "Content-Length: ");

	assert_non_null(body);
	assert_non_null(length);
	body += 4;
	assert_int_equal(strtoul(length + 16, NULL, 10), strlen(body));
	return body;
}

static void
test_every_row_is_problem_json(void **state)
{
	(void)state;
	for (unsigned end = 0; end < ENDS; end++) {
		struct answer_facts facts = facts_of((enum end)end);
		const struct end_row *row = end_row((enum end)end);
		struct buf out, detail;
		json_t *problem;

		if (row->status == 0)
			continue;
		facts.what = SPAN("\"quoted\" \\ and \xff");
		buf_init(&out, 65536);
		buf_init(&detail, 65536);
		assert_int_equal(answer_write(&out, &facts), 0);
		assert_int_equal(answer_detail(&detail, &facts), 0);
		problem =
		    json_loads(body_of(&out), JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(problem);
		assert_int_equal(json_integer_value(json_object_get(problem,
				     "status")),
		    row->status);
		assert_string_equal(json_string_value(json_object_get(problem,
					"detail")),
		    buf_string(&detail));
		assert_string_equal(json_string_value(json_object_get(problem,
					"instance")),
		    "01ARZ3NDEKTSV4RRFFQ69G5FAV");
		assert_int_equal(strchr(json_string_value(
					    json_object_get(problem, "detail")),
				     '{') != NULL,
		    0);
		json_decref(problem);
		buf_free(&out);
		buf_free(&detail);
	}
}

static const struct path_row {
	const char *sentence;
	struct span what;
	const char *shown;
} paths[] = {
	{ "a directory is where nobody needs to know",
	    SPAN("/srv/functions/acme can be changed by others"),
	    ".../acme can be changed by others" },
	{ "a setting keeps its name", SPAN("functions = \"/srv/f\": No such"),
	    "functions = \".../f\": No such" },
	{ "what is in the root has no directory",
	    SPAN("sandbox step \"read /nosuch\" of cell.paths: No such"),
	    "sandbox step \"read /nosuch\" of cell.paths: No such" },
	{ "several, and one at the end", SPAN("/a/b, /c/d/ and (/e/f/g"),
	    ".../b, .../d/ and (.../g" },
	{ "a slash in a word is no path", SPAN("acme/hello: read/write /"),
	    "acme/hello: read/write /" },
};

static void
test_paths(void **state)
{
	const struct path_row *row = *state;
	struct answer_facts facts = facts_of(END_TENANT_REFUSED);
	struct buf out, log;
	json_t *problem;
	char text[256];

	facts.what = row->what;
	buf_init(&out, 65536);
	buf_init(&log, 65536);
	assert_int_equal(answer_write(&out, &facts), 0);
	assert_int_equal(answer_detail(&log, &facts), 0);
	problem = json_loads(body_of(&out), 0, NULL);
	snprintf(text, sizeof(text), "tenant acme is not served: %s",
	    row->shown);
	assert_string_equal(json_string_value(json_object_get(problem,
				"detail")),
	    text);
	snprintf(text, sizeof(text), "tenant acme is not served: %.*s",
	    SPAN_ARGS(row->what));
	assert_string_equal(buf_string(&log), text);
	json_decref(problem);
	buf_free(&out);
	buf_free(&log);
}

static void
test_html_is_escaped(void **state)
{
	struct answer_facts facts = facts_of(END_NO_FUNCTION);
	struct buf out;

	(void)state;
	facts.accept = SPAN("text/html");
	facts.function = SPAN("<script>&\"");
	buf_init(&out, 65536);
	assert_int_equal(answer_write(&out, &facts), 0);
	assert_non_null(strstr(body_of(&out), "&lt;script&gt;&amp;&quot;"));
	assert_non_null(strstr(body_of(&out), "<p>There is no function "));
	assert_null(strstr(body_of(&out), "<script>"));
	buf_free(&out);
}

static void
test_fields(void **state)
{
	struct answer_facts facts = facts_of(END_METHOD);
	struct buf out;

	(void)state;
	facts.allow = SPAN("GET, HEAD");
	facts.retry_after_s = 3;
	facts.head = true;
	buf_init(&out, 65536);
	assert_int_equal(answer_write(&out, &facts), 0);
	assert_non_null(strstr(buf_string(&out),
	    "Status: 405 Method Not Allowed\r\n"));
	assert_non_null(strstr(buf_string(&out), "Allow: GET, HEAD\r\n"));
	assert_non_null(strstr(buf_string(&out), "Retry-After: 3\r\n"));
	assert_non_null(strstr(buf_string(&out),
	    "X-Request-Id: 01ARZ3NDEKTSV4RRFFQ69G5FAV\r\n"));
	assert_string_equal(strstr(buf_string(&out), "\r\n\r\n"), "\r\n\r\n");
	buf_free(&out);
}

int
main(void)
{
	static const struct CMUnitTest others[] = {
		{ "every row is valid problem+json with its sentence",
		    test_every_row_is_problem_json, NULL, NULL, NULL },
		{ "a page escapes what a client chose", test_html_is_escaped,
		    NULL, NULL, NULL },
		{ "S9: HEAD has the header alone, with Allow and Retry-After",
		    test_fields, NULL, NULL, NULL },
	};

	return RUN_ROWS(details, test_detail) + RUN_ROWS(accepts, test_accept) +
	    RUN_ROWS(paths, test_paths) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
