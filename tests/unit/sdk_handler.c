/* SPDX-License-Identifier: MIT */
/* If this fails, what a function says is not what its client gets: a header that
 * was refused is missing, half a reply looks whole, a failure looks like success. */
#include <string.h>

#include "wire_spans.h"

#include "sdk/fn_test.h"

enum { LARGE = 100 * 1000 };

static char large[LARGE + 1];

/* ---- replies ------------------------------------------------------------------ */

static int
nothing(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	(void)r;
	return 0;
}

static int
text(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	assert_int_equal(fn_reply_printf(r, "%s %d", "hello", 7), FN_OK);
	assert_int_equal(fn_reply_write(r, "\0!", 2), FN_OK);
	return 0;
}

static int
late(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_puts(r, "made\n");
	fn_reply_header(r, "X-Thing", "%d", 1);
	fn_reply_header(r, "x-thing", "%d", 2);
	fn_reply_header_add(r, "Set-Cookie", "a=1");
	fn_reply_header_add(r, "Set-Cookie", "b=2");
	fn_reply_type(r, "text/css");
	fn_reply_status(r, 201);
	return 0;
}

static int
forged(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_puts(r, "secret");
	assert_int_equal(fn_reply_header(r, "Location", "/%s", "a\r\nX: b"),
	    FN_BAD);
	return 0;
}

static int
forged_and_seen(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	if (fn_reply_redirect(r, 303, "/a\nb") == FN_BAD)
		fn_reply_problem(r, 400, "no \"%s\"", "place\n");
	return 0;
}

static int
fails(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_puts(r, "half");
	fn_reply_header(r, "X-Thing", "1");
	return 3;
}

static int
fails_late(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_puts(r, "half");
	assert_int_equal(fn_reply_flush(r), FN_OK);
	return 3;
}

static int
streams(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_puts(r, "one ");
	assert_int_equal(fn_reply_flush(r), FN_OK);
	assert_int_equal(fn_reply_flush(r), FN_OK);
	assert_int_equal(fn_reply_status(r, 404), FN_CONFLICT);
	assert_int_equal(fn_reply_header(r, "X", "1"), FN_CONFLICT);
	assert_int_equal(fn_reply_reset(r), FN_CONFLICT);
	assert_int_equal(fn_reply_redirect(r, 303, "/"), FN_CONFLICT);
	assert_int_equal(fn_reply_problem(r, 404, "x"), FN_CONFLICT);
	fn_reply_puts(r, "two");
	return 0;
}

static int
writes_much(struct fn_request *q, struct fn_reply *r)
{
	const char *how = fn_request_query(q, "how");

	if (strcmp(how, "once") == 0)
		assert_int_equal(fn_reply_write(r, large, LARGE), FN_OK);
	else if (strcmp(how, "printf") == 0)
		assert_int_equal(fn_reply_printf(r, "%s", large), FN_OK);
	else if (strcmp(how, "html") == 0)
		assert_int_equal(fn_reply_html(r, large), FN_OK);
	else if (strcmp(how, "url") == 0)
		assert_int_equal(fn_reply_url(r, large), FN_OK);
	else
		for (int i = 0; i < LARGE; i += 1000)
			assert_int_equal(fn_reply_write(r, large + i, 1000),
			    FN_OK);
	return 0;
}

static int
no_content(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_status(r, 204);
	fn_reply_puts(r, "nobody reads that");
	return 0;
}

static int
length_said(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_header(r, "Content-Length", "%d", 99);
	if (strcmp(fn_request_method(q), "HEAD") != 0)
		fn_reply_puts(r, "five!");
	return 0;
}

static int
bad_status(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	assert_int_equal(fn_reply_status(r, 199), FN_BAD);
	assert_int_equal(fn_reply_status(r, 600), FN_BAD);
	assert_int_equal(fn_reply_flush(r), FN_BAD);
	return 0;
}

static int
much_header(struct fn_request *q, struct fn_reply *r)
{
	enum fn_result result = FN_OK;

	(void)q;
	for (int i = 0; i < 30 && result == FN_OK; i++)
		result = fn_reply_header_add(r, "X", "%01000d", i);
	assert_int_equal(result, FN_BAD);
	return 0;
}

static int
many_fields(struct fn_request *q, struct fn_reply *r)
{
	int i = 0;

	(void)q;
	while (fn_reply_header_add(r, "X", "%d", i) == FN_OK)
		i++;
	assert_int_equal(i, 200);
	return 0;
}

static int
single(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_type(r, "a/b");
	fn_reply_header_add(r, "content-type", "c/d");
	fn_reply_puts(r, "x");
	return 0;
}

static int
redirects(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_puts(r, "gone");
	fn_reply_status(r, 500);
	fn_reply_header(r, "X-Thing", "1");
	assert_int_equal(fn_reply_redirect(r, 303, "/a?b=c#d"), FN_OK);
	return 0;
}

static int
redirects_wrong(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	assert_int_equal(fn_reply_redirect(r, 200, "/a"), FN_BAD);
	assert_int_equal(fn_reply_redirect(r, 302, ""), FN_BAD);
	assert_int_equal(fn_reply_redirect(r, 302, "/a b"), FN_BAD);
	return 0;
}

#define TYPE "Content-Type: text/plain; charset=utf-8\r\n"
#define FAILED                                      \
	"{\"type\":\"about:blank\",\"status\":500," \
	"\"title\":\"Internal Server Error\","      \
	"\"detail\":\"the function failed\",\"instance\":\"test\"}\n"
#define FAILED_HEAD                                                    \
	"Status: 500 Internal Server Error\r\nContent-Length: 117\r\n" \
	"Content-Type: application/problem+json\r\n"                   \
	"Cache-Control: no-store\r\n"

static const struct row {
	const char *sentence;
	int (*handle)(struct fn_request *, struct fn_reply *);
	const char *header;
	struct span body;
	const char *method;
	bool broken;
	unsigned sent;
} replies[] = {
	{ "nothing said is 200 and empty", nothing,
	    "Status: 200 OK\r\nContent-Length: 0\r\n", SPAN(""), NULL, false,
	    1 },
	{ "text has a length and a type", text,
	    "Status: 200 OK\r\n" TYPE "Content-Length: 9\r\n",
	    SPAN("hello 7\0!"), NULL, false, 1 },
	{ "HEAD has the same header", text,
	    "Status: 200 OK\r\n" TYPE "Content-Length: 9\r\n", SPAN(""), "HEAD",
	    false, 1 },
	{ "headers may come behind the body", late,
	    "Status: 201 Created\r\nContent-Length: 5\r\nx-thing: 2\r\n"
	    "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Type: text/css\r\n",
	    SPAN("made\n"), NULL, false, 1 },
	{ "a refused header is not left out", forged, FAILED_HEAD, SPAN(FAILED),
	    NULL, false, 1 },
	{ "who looks at that may answer something else", forged_and_seen,
	    "Status: 400 Bad Request\r\nContent-Length: 106\r\n"
	    "Content-Type: application/problem+json\r\n"
	    "Cache-Control: no-store\r\n",
	    SPAN("{\"type\":\"about:blank\",\"status\":400,\"title\":"
		 "\"Bad Request\",\"detail\":\"no \\\"place\\u000a\\\"\","
		 "\"instance\":\"test\"}\n"),
	    NULL, false, 1 },
	{ "who fails is a 500, and nothing else of it", fails, FAILED_HEAD,
	    SPAN(FAILED), NULL, false, 1 },
	{ "of HEAD too", fails, FAILED_HEAD, SPAN(""), "HEAD", false, 1 },
	{ "who fails behind a flush is broken off", fails_late,
	    "Status: 200 OK\r\n" TYPE, SPAN("half"), NULL, true, 1 },
	{ "a flush sends at once", streams, "Status: 200 OK\r\n" TYPE,
	    SPAN("one two"), NULL, false, 2 },
	{ "HEAD of a stream", streams, "Status: 200 OK\r\n" TYPE, SPAN(""),
	    "HEAD", false, 1 },
	{ "204 has no body, no type, no length", no_content,
	    "Status: 204 No Content\r\n", SPAN(""), NULL, false, 1 },
	{ "a wrong length is made right", length_said,
	    "Status: 200 OK\r\n" TYPE "Content-Length: 5\r\n", SPAN("five!"),
	    NULL, false, 1 },
	{ "a length of HEAD is the author's", length_said,
	    "Status: 200 OK\r\nContent-Length: 99\r\n", SPAN(""), "HEAD", false,
	    1 },
	{ "no such status", bad_status, FAILED_HEAD, SPAN(FAILED), NULL, false,
	    1 },
	{ "above 24 KiB of header", much_header, FAILED_HEAD, SPAN(FAILED),
	    NULL, false, 1 },
	{ "above 200 headers", many_fields, FAILED_HEAD, SPAN(FAILED), NULL,
	    false, 1 },
	{ "one type, even when one is added", single,
	    "Status: 200 OK\r\nContent-Length: 1\r\ncontent-type: c/d\r\n",
	    SPAN("x"), NULL, false, 1 },
	{ "a redirect", redirects,
	    "Status: 303 See Other\r\nContent-Length: 0\r\n"
	    "Location: /a?b=c#d\r\n",
	    SPAN(""), NULL, false, 1 },
	{ "no such redirect", redirects_wrong, FAILED_HEAD, SPAN(FAILED), NULL,
	    false, 1 },
};

static void
test_reply(void **state)
{
	const struct row *row = *state;
	const struct fn_test_request request = { .method = row->method };
	struct fn_test_reply reply;

	assert_int_equal(fn_test_call(row->handle, &request, &reply), 0);
	assert_string_equal(reply.header, row->header);
	assert_span(span_make(reply.body, reply.bytes), row->body);
	assert_int_equal(reply.broken, row->broken);
	assert_int_equal(reply.sent, row->sent);
	fn_test_free(&reply);
	fn_test_free(&reply);
}

static void
test_large(void **state)
{
	static const char *const how[] = { "/?how=once", "/?how=printf",
		"/?how=html", "/?how=url", "/?how=pieces" };
	struct fn_test_reply reply;

	(void)state;
	memset(large, 'x', LARGE);
	for (size_t i = 0; i < COUNT(how); i++)
		for (int head = 0; head < 2; head++) {
			const struct fn_test_request request = {
				.method = head ? "HEAD" : "GET",
				.target = how[i]
			};

			fn_test_call(writes_much, &request, &reply);
			assert_int_equal(reply.status, 200);
			assert_int_equal(reply.bytes, head ? 0 : LARGE);
			assert_true(head ||
			    memcmp(reply.body, large, LARGE) == 0);
			assert_int_equal(fn_test_header(&reply,
					     "content-length") != NULL,
			    head);
			fn_test_free(&reply);
		}
}

/* ---- requests --------------------------------------------------------------------- */

static int
asks(struct fn_request *q, struct fn_reply *r)
{
	const struct fn_pair *pairs;

	(void)r;
	assert_string_equal(fn_request_method(q), "POST");
	assert_string_equal(fn_request_path(q), "/a b");
	assert_string_equal(fn_request_script(q), "/fn/test/function");
	assert_string_equal(fn_request_address(q), "192.0.2.1");
	assert_string_equal(fn_request_id(q), "test");
	assert_string_equal(fn_request_query(q, "x"), "1");
	assert_null(fn_request_query(q, "y"));
	assert_int_equal(fn_request_query_pairs(q, &pairs), 2);
	assert_string_equal(pairs[1].value, "2");
	assert_string_equal(fn_request_header(q, "ACCEPT-language"), "de");
	assert_string_equal(fn_request_header(q, "content-length"), "9");
	assert_null(fn_request_header(q, "Accept"));
	assert_null(fn_request_header(q, ""));
	assert_string_equal(fn_request_cookie(q, "b"), "2");
	assert_null(fn_request_cookie(q, "c"));
	assert_string_equal(fn_request_variable(q, "HTTPS"), "on");
	assert_null(fn_request_variable(q, "HTTP"));
	assert_null(fn_request_form(q, "n"));
	assert_int_equal(fn_request_read_form(q, 9), FN_OK);
	assert_int_equal(fn_request_read_form(q, 9), FN_OK);
	assert_string_equal(fn_request_form(q, "n"), "7");
	assert_string_equal(fn_request_form(q, "m"), "&");
	assert_int_equal(fn_request_form_pairs(q, &pairs), 2);
	assert_int_equal(fn_request_length(q), 9);
	assert_int_equal(fn_request_ms_left(q), INT64_MAX);
	return 0;
}

static void
test_request(void **state)
{
	static const char *const headers[] = { "Accept-Language: de",
		"Cookie: a=1; b=2", NULL };
	static const char *const variables[] = { "REMOTE_ADDR=192.0.2.1",
		"HTTPS=on", NULL };
	const struct fn_test_request request = { .target = "/a%20b?x=1&x=2",
		.headers = headers,
		.variables = variables,
		.body = "n=7&m=%26",
		.bytes = 9 };
	struct fn_test_reply reply;

	(void)state;
	assert_int_equal(fn_test_call(asks, &request, &reply), 0);
	fn_test_free(&reply);
}

static int
deadlines(struct fn_request *q, struct fn_reply *r)
{
	(void)r;
	return (int)fn_request_ms_left(q);
}

static void
test_deadline(void **state)
{
	static const char *const past[] = { "FN_DEADLINE_MS=1000", NULL };
	const struct fn_test_request request = { .variables = past };
	struct fn_test_reply reply;

	(void)state;
	fn_test_call(deadlines, &request, &reply);
	assert_int_equal(reply.result, 0);
	fn_test_free(&reply);
}

/* Says what it got of the body. */
static int
reads(struct fn_request *q, struct fn_reply *r)
{
	enum fn_result result;
	const char *data;
	size_t bytes;

	result = strcmp(fn_request_path(q), "/form") == 0 ?
	    fn_request_read_form(q, 10) :
	    fn_request_body(q, 10, &data, &bytes);
	if (strcmp(fn_request_path(q), "/form") == 0)
		data = fn_request_form(q, "a") ? fn_request_form(q, "a") : "";
	fn_reply_printf(r, "%d %s", result, data);
	return 0;
}

static int
reads_in_pieces(struct fn_request *q, struct fn_reply *r)
{
	char piece[4];
	ptrdiff_t n;

	while ((n = fn_request_read(q, piece, 3)) > 0) {
		piece[n] = '\0';
		fn_reply_printf(r, "%s|", piece);
	}
	fn_reply_printf(r, "%d", (int)n);
	assert_int_equal(fn_request_read(q, piece, 3), n);
	return 0;
}

#define FORM "Content-Type: application/x-www-form-urlencoded"

static const struct body {
	const char *sentence;
	int (*handle)(struct fn_request *, struct fn_reply *);
	const char *target, *type, *body;
	size_t cut;
	const char *length; /* instead of the right one */
	const char *reply;
} bodies[] = {
	{ "a body", reads, "", "Content-Type: a/b", "12345", 0, NULL,
	    "0 12345" },
	{ "no body", reads, "", "Content-Type: a/b", "", 0, NULL, "0 " },
	{ "a body as long as it may be", reads, "", "Content-Type: a/b",
	    "1234567890", 0, NULL, "0 1234567890" },
	{ "a longer one", reads, "", "Content-Type: a/b", "12345678901", 0,
	    NULL, "6 " },
	{ "a longer one that does not say so", reads, "", "Content-Type: a/b",
	    "12345678901", 0, "CONTENT_LENGTH=", "6 " },
	{ "no length said", reads, "", "Content-Type: a/b", "12345", 0,
	    "CONTENT_LENGTH=", "0 12345" },
	{ "one that breaks off", reads, "", "Content-Type: a/b", "12345", 1,
	    NULL, "12 " },
	{ "one that ends before its length", reads, "", "Content-Type: a/b",
	    "12345", 0, "CONTENT_LENGTH=6", "12 " },
	{ "a form", reads, "/form", FORM, "a=b%20c", 0, NULL, "0 b c" },
	{ "a form with a charset", reads, "/form",
	    "Content-Type: Application/X-WWW-Form-Urlencoded ; charset=utf-8",
	    "a=b", 0, NULL, "0 b" },
	{ "something else is no form", reads, "/form",
	    "Content-Type: text/plain", "a=b", 0, NULL, "1 " },
	{ "a form that is too long", reads, "/form", FORM, "a=123456789", 0,
	    NULL, "6 " },
	{ "a form that breaks off", reads, "/form", FORM, "a=b", 1, NULL,
	    "12 " },
	{ "in pieces", reads_in_pieces, "", "Content-Type: a/b", "12345678", 0,
	    NULL, "123|456|78|0" },
	{ "in pieces, broken off", reads_in_pieces, "", "Content-Type: a/b",
	    "12345678", 3, NULL, "123|45|-1" },
};

static void
test_body(void **state)
{
	const struct body *row = *state;
	const char *const headers[] = { row->type, NULL };
	const char *const variables[] = { row->length, NULL };
	const struct fn_test_request request = { .target = row->target,
		.headers = headers,
		.variables = variables,
		.body = row->body,
		.bytes = strlen(row->body),
		.cut = row->cut };
	struct fn_test_reply reply;

	assert_int_equal(fn_test_call(row->handle, &request, &reply), 0);
	assert_string_equal(reply.body, row->reply);
	fn_test_free(&reply);
}

static int
reads_all(struct fn_request *q, struct fn_reply *r)
{
	const char *data;
	size_t bytes;

	assert_int_equal(fn_request_body(q, LARGE, &data, &bytes), FN_OK);
	return fn_reply_write(r, data, bytes) != FN_OK;
}

static void
test_large_body(void **state)
{
	static const char *const no_length[] = { "CONTENT_LENGTH=", NULL };
	struct fn_test_request request = { .body = large, .bytes = LARGE };
	struct fn_test_reply reply;

	(void)state;
	fill(large, LARGE);
	for (int i = 0; i < 2; i++) {
		fn_test_call(reads_all, &request, &reply);
		assert_span(span_make(reply.body, reply.bytes),
		    span_make(large, LARGE));
		fn_test_free(&reply);
		request.variables = no_length;
	}
}

/* ---- the rest ----------------------------------------------------------------------- */

static int
logs(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	(void)r;
	fn_log("a %s", "word\nforged line\x1b[2J\n");
	fn_log("%5000d", 1);
	return 0;
}

static void
test_log(void **state)
{
	static const char *const elsewhere[] = { "FN_REQUEST_ID=number 7",
		NULL };
	struct fn_test_request request = { 0 };
	struct fn_test_reply reply;

	(void)state;
	fn_test_call(logs, &request, &reply);
	assert_int_equal(strncmp(reply.log, "a word forged line [2J\n   ", 26),
	    0);
	assert_int_equal(strlen(reply.log), 23 + 4001);
	fn_test_free(&reply);
	request.variables = elsewhere;
	fn_test_call(logs, &request, &reply);
	assert_null(strstr(reply.log, "number 7")); /* the host says it */
	fn_test_free(&reply);
}

static void
test_wrong_requests(void **state)
{
	static const char *const colon[] = { "Accept", NULL };
	const struct fn_test_request wrong[] = { { .target = "/%zz" },
		{ .target = "a" }, { .headers = colon } };
	struct fn_test_reply reply;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_int_equal(fn_test_call(nothing, &wrong[i], &reply), -1);
		fn_test_free(&reply);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_large_body),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_wrong_requests),
	};

	return RUN_ROWS(replies, test_reply) + RUN_ROWS(bodies, test_body) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
