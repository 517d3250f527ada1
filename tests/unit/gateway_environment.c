/* SPDX-License-Identifier: MIT */
/* If this fails, a function sees a variable it must not see, misses one that
 * RFC 3875 promises, or a client chooses one. */
#include "rows.h"

#include "gateway/environment.h"

static const struct env_row {
	const char *sentence;
	const char *pairs; /* "NAME=value\n" from the web server */
	const char *name;  /* variable of the function */
	const char *value; /* NULL: it must not be there */
} variables[] = {
	{ "R1: GATEWAY_INTERFACE", "", "GATEWAY_INTERFACE", "CGI/1.1" },
	{ "R1: not what a peer says", "GATEWAY_INTERFACE=CGI/9\n",
	    "GATEWAY_INTERFACE", "CGI/1.1" },
	{ "R2: REQUEST_METHOD is ours", "REQUEST_METHOD=get\n",
	    "REQUEST_METHOD", "M-SEARCH" },
	{ "R3: SCRIPT_NAME", "", "SCRIPT_NAME", "/fn/acme/hello" },
	{ "R3: SCRIPT_NAME is not the peer's", "SCRIPT_NAME=/etc/passwd\n",
	    "SCRIPT_NAME", "/fn/acme/hello" },
	{ "SCRIPT_FILENAME is not the peer's", "SCRIPT_FILENAME=/bin/sh\n",
	    "SCRIPT_FILENAME", "/srv/fn/acme/hello.sh" },
	{ "R4: PATH_INFO", "", "PATH_INFO", "/a b" },
	{ "R5: PATH_TRANSLATED follows PATH_INFO", "", "PATH_TRANSLATED",
	    "/srv/fn/acme/a b" },
	{ "R6: QUERY_STRING", "QUERY_STRING=other\n", "QUERY_STRING", "x=1" },
	{ "R7: REMOTE_ADDR", "REMOTE_ADDR=::1\n", "REMOTE_ADDR", "::1" },
	{ "R7: REMOTE_ADDR is there in any case", "", "REMOTE_ADDR",
	    "0.0.0.0" },
	{ "R7: who comes by fn.sock has no address that somebody trusts",
	    "REMOTE_ADDR=unix:\n", "REMOTE_ADDR", "0.0.0.0" },
	{ "R8: nor a name", "REMOTE_ADDR=unix:\n", "REMOTE_HOST", "0.0.0.0" },
	{ "R9: a socket has no port, requests have one",
	    "REMOTE_ADDR=unix:\nSERVER_PORT=\n", "SERVER_PORT", "80" },
	{ "R9: the path of a socket is no address",
	    "SERVER_ADDR=unix:/run/fn.sock\n", "SERVER_ADDR", NULL },
	{ "where functions ask", "FN_SOCKET=/tmp/evil\n", "FN_SOCKET",
	    "/run/fcgi-host/fn/fn.sock" },
	{ "where state is", "FN_STATE_URL=http://evil/\n", "FN_STATE_URL",
	    "http://fn/state/v1" },
	{ "R8: REMOTE_ADDR stands in for REMOTE_HOST",
	    "REMOTE_ADDR=192.0.2.1\n", "REMOTE_HOST", "192.0.2.1" },
	{ "R9: SERVER_NAME in brackets", "SERVER_NAME=::1\n", "SERVER_NAME",
	    "[::1]" },
	{ "R9: not in two pairs of them", "SERVER_NAME=[::1]\n", "SERVER_NAME",
	    "[::1]" },
	{ "R9: SERVER_PORT", "SERVER_PORT=80\n", "SERVER_PORT", "80" },
	{ "R9: SERVER_PROTOCOL", "SERVER_PROTOCOL=HTTP/2.0\n",
	    "SERVER_PROTOCOL", "HTTP/2.0" },
	{ "R10: CONTENT_LENGTH is counted", "CONTENT_LENGTH=99\n",
	    "CONTENT_LENGTH", "42" },
	{ "R12: CONTENT_TYPE if there is one", "CONTENT_TYPE=a/b\n",
	    "CONTENT_TYPE", "a/b" },
	{ "R12: no CONTENT_TYPE if it is empty", "CONTENT_TYPE=\n",
	    "CONTENT_TYPE", NULL },
	{ "R14: REMOTE_USER when the web server checked",
	    "AUTH_TYPE=Basic\nREMOTE_USER=jo\n", "REMOTE_USER", "jo" },
	{ "R14: not what a client just typed", "REMOTE_USER=jo\n",
	    "REMOTE_USER", NULL },
	{ "R15: a header field", "HTTP_X_A=1\n", "HTTP_X_A", "1" },
	{ "R15: an empty one", "HTTP_X_A=\n", "HTTP_X_A", "" },
	{ "R15: repeated fields are one value",
	    "HTTP_X_A=1\nHTTP_B=x\nHTTP_X_A=2\nHTTP_X_A=3\n", "HTTP_X_A",
	    "1, 2, 3" },
	{ "R15: cookies too", "HTTP_COOKIE=a=1\nHTTP_COOKIE=b=2\n",
	    "HTTP_COOKIE", "a=1; b=2" },
	{ "R15: never HTTP_PROXY", "HTTP_PROXY=http://evil\n", "HTTP_PROXY",
	    NULL },
	{ "R15: nor its kin", "HTTP_PROXY_AUTHORIZATION=x\n",
	    "HTTP_PROXY_AUTHORIZATION", NULL },
	{ "R15: Authorization only if asked for", "HTTP_AUTHORIZATION=x\n",
	    "HTTP_AUTHORIZATION", NULL },
	{ "R15: Content-Length is no HTTP_*", "HTTP_CONTENT_LENGTH=5\n",
	    "HTTP_CONTENT_LENGTH", NULL },
	{ "R11: nor Transfer-Encoding", "HTTP_TRANSFER_ENCODING=chunked\n",
	    "HTTP_TRANSFER_ENCODING", NULL },
	{ "R15: nor Connection", "HTTP_CONNECTION=close\n", "HTTP_CONNECTION",
	    NULL },
	{ "R16: one case only", "HTTP_x_a=1\n", "HTTP_x_a", NULL },
	{ "R16: no odd bytes in names", "HTTP_X()=1\n", "HTTP_X()", NULL },
	{ "LD_PRELOAD does not pass", "LD_PRELOAD=/x.so\n", "LD_PRELOAD",
	    NULL },
	{ "BASH_ENV does not pass", "BASH_ENV=/x\n", "BASH_ENV", NULL },
	{ "PATH is the host's", "PATH=/evil\n", "PATH", "/usr/bin" },
	{ "unknown names do not pass", "PHP_VALUE=x\nFN_PREFIX=/\n",
	    "PHP_VALUE", NULL },
	{ "nor those for the host", "FN_PREFIX=/\n", "FN_PREFIX", NULL },
	{ "R17: the host's own names begin FN_", "FN_TENANT=evil\n",
	    "FN_TENANT", "acme" },
	{ "the token for its state", "FN_TOKEN=evil\nHTTP_FN_TOKEN=evil\n",
	    "FN_TOKEN", "the.state.token" },
	{ "the deadline is absolute", "", "FN_DEADLINE_MS", "1790000010000" },
	{ "HTTPS", "HTTPS=on\n", "HTTPS", "on" },
	{ "HTTPS is absent without it", "HTTPS=\n", "HTTPS", NULL },
	{ "php-cgi finds its REDIRECT_STATUS", "", "REDIRECT_STATUS", "200" },
	{ "a function's own variable", "", "GREETING", "hi" },
	{ "a function's comes before the tenant's", "", "COLOUR", "red" },
	{ "the tenant's before the host's", "", "LANG", "C.UTF-8" },
	{ "HOME is the tenant's directory", "", "HOME", "/srv/fn/acme" },
	{ "TMPDIR may be chosen", "", "TMPDIR", "/tmp/own" },
};

static char *own[] = { (char *)"GREETING=hi", (char *)"COLOUR=red",
	(char *)"TMPDIR=/tmp/own" };
static char *granted[] = { (char *)"COLOUR=blue", (char *)"LANG=C.UTF-8" };
static char *host[] = { (char *)"PATH=/usr/bin", (char *)"LANG=C" };

static struct request_params params;
static struct settings settings = { .env = { own, 3 } };
static const struct strings granted_strings = { granted, 2 };
static const struct strings host_strings = { host, 2 };

static struct buf
params_of(const char *pairs)
{
	struct span rest = span_of(pairs);
	struct buf stream;

	buf_init(&stream, 1 << 20);
	while (rest.bytes > 0) {
		struct span line = span_cut(&rest, '\n');
		struct span name = span_cut(&line, '=');

		assert_int_equal(params_put(&stream, name, line), 0);
	}
	return stream;
}

static struct environment_facts
facts_of(const struct route *route)
{
	return (struct environment_facts){
		.params = &params,
		.route = route,
		.method = SPAN("M-SEARCH"),
		.has_body = true,
		.body_bytes = 42,
		.body_length_known = true,
		.directory = SPAN("/srv/fn/acme"),
		.file = SPAN("hello.sh"),
		.request_id = SPAN("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
		.function_name = SPAN("hello"),
		.deadline_unix_ms = 1790000010000,
		.token = SPAN("the.state.token"),
		.run = SPAN("/run/fcgi-host"),
		.server_software = SPAN("fcgi-host"),
		.settings = &settings,
		.granted = &granted_strings,
		.host = &host_strings,
	};
}

static const struct route route = {
	.tenant = SPAN("acme"),
	.function = SPAN("hello"),
	.script_name = SPAN("/fn/acme/hello"),
	.path_info = SPAN("/a b"),
	.query = SPAN("x=1"),
};

/* The value of a variable; fails when there are two. */
static const char *
environment_get(const struct buf *out, const char *name)
{
	const char *found = NULL, *at = buf_span(out).data;
	const char *end = at + buf_bytes(out);

	for (; at < end; at += strlen(at) + 1) {
		size_t bytes = strlen(name);

		if (strncmp(at, name, bytes) != 0 || at[bytes] != '=')
			continue;
		assert_null(found);
		found = at + bytes + 1;
	}
	return found;
}

static void
test_variable(void **state)
{
	const struct env_row *row = *state;
	struct buf stream = params_of(row->pairs), out;
	struct environment_facts facts = facts_of(&route);
	const char *value, *why;

	assert_int_equal(request_params_read(&params, buf_span(&stream)),
	    PARAMS_DONE);
	buf_init(&out, ENVIRONMENT_MOST);
	assert_int_equal(environment_write(&out, &facts, &why), 0);
	value = environment_get(&out, row->name);
	if (row->value) {
		assert_non_null(value);
		assert_string_equal(value, row->value);
	} else
		assert_null(value);
	buf_free(&out);
	buf_free(&stream);
}

static void
test_absent(void **state)
{
	static const char *const names[] = { "CONTENT_LENGTH", "PATH_INFO",
		"PATH_TRANSLATED", "FN_DEADLINE_MS", "FN_TOKEN",
		"REDIRECT_URL" };
	struct route bare = route;
	struct environment_facts facts = facts_of(&bare);
	const char *why;
	struct buf out;

	(void)state;
	params.count = 0;
	bare.path_info = SPAN("");
	facts.has_body = false;
	facts.deadline_unix_ms = 0;
	facts.token = SPAN("");
	buf_init(&out, ENVIRONMENT_MOST);
	assert_int_equal(environment_write(&out, &facts, &why), 0);
	for (size_t i = 0; i < COUNT(names); i++)
		assert_null(environment_get(&out, names[i]));
	assert_string_equal(environment_get(&out, "QUERY_STRING"), "x=1");
	buf_free(&out);
}

static void
test_redirected(void **state)
{
	struct environment_facts facts = facts_of(&route);
	struct buf stream = params_of("CONTENT_TYPE=a/b\n"), out;
	const char *why;

	(void)state;
	request_params_read(&params, buf_span(&stream));
	facts.has_body = false;
	facts.redirects = 1;
	facts.redirect_status = 302;
	facts.redirect_url = SPAN("/fn/acme/first");
	buf_init(&out, ENVIRONMENT_MOST);
	assert_int_equal(environment_write(&out, &facts, &why), 0);
	assert_string_equal(environment_get(&out, "REDIRECT_URL"),
	    "/fn/acme/first");
	assert_string_equal(environment_get(&out, "REDIRECT_STATUS"), "302");
	assert_null(environment_get(&out, "CONTENT_TYPE"));
	buf_free(&out);
	buf_free(&stream);
}

static void
test_ceilings(void **state)
{
	static char wide[ENVIRONMENT_VALUE_MOST + 1];
	struct environment_facts facts = facts_of(&route);
	const char *why;
	struct buf out;

	(void)state;
	memset(wide, 'a', sizeof(wide));
	params.count = 1;
	params.pairs[0] =
	    (struct param){ SPAN("HTTP_X"), span_make(wide, sizeof(wide)) };
	buf_init(&out, ENVIRONMENT_MOST);
	assert_int_equal(environment_write(&out, &facts, &why), -1);
	assert_non_null(strstr(why, "64 KiB"));

	buf_clear(&out);
	params.count = 3;
	for (size_t i = 0; i < params.count; i++)
		params.pairs[i].value = span_make(wide, 60000);
	params.pairs[1].name = SPAN("HTTP_Y");
	params.pairs[2].name = SPAN("HTTP_Z");
	assert_int_equal(environment_write(&out, &facts, &why), -1);
	assert_non_null(strstr(why, "128 KiB"));
	buf_free(&out);
}

static void
test_authorization_asked(void **state)
{
	struct settings open = { .pass_authorization = true };
	struct environment_facts facts = facts_of(&route);
	struct buf stream = params_of("HTTP_AUTHORIZATION=Bearer x\n"), out;
	const char *why;

	(void)state;
	request_params_read(&params, buf_span(&stream));
	facts.settings = &open;
	buf_init(&out, ENVIRONMENT_MOST);
	assert_int_equal(environment_write(&out, &facts, &why), 0);
	assert_string_equal(environment_get(&out, "HTTP_AUTHORIZATION"),
	    "Bearer x");
	buf_free(&out);
	buf_free(&stream);
}

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define RANDOM_TRACE "000102030405060708090a0b0c0d0e0f"
#define RANDOM_SPAN "1011121314151617"

static const struct trace_row {
	const char *sentence, *incoming, *next;
} traces[] = {
	{ "a valid trace is continued with a span of our own",
	    "00-" TRACE "-b7ad6b7169203331-01",
	    "00-" TRACE "-" RANDOM_SPAN "-01" },
	{ "without one a trace begins", "",
	    "00-" RANDOM_TRACE "-" RANDOM_SPAN "-00" },
	{ "capitals are not valid",
	    "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
	    "00-" RANDOM_TRACE "-" RANDOM_SPAN "-00" },
	{ "a trace of zeros is not valid",
	    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
	    "00-" RANDOM_TRACE "-" RANDOM_SPAN "-00" },
	{ "nor is a parent of zeros", "00-" TRACE "-0000000000000000-01",
	    "00-" RANDOM_TRACE "-" RANDOM_SPAN "-00" },
	{ "nor one that goes on", "00-" TRACE "-b7ad6b7169203331-01-more",
	    "00-" RANDOM_TRACE "-" RANDOM_SPAN "-00" },
	{ "nor another version", "ff-" TRACE "-b7ad6b7169203331-01",
	    "00-" RANDOM_TRACE "-" RANDOM_SPAN "-00" },
};

static void
test_trace(void **state)
{
	const struct trace_row *row = *state;
	uint8_t random[24];
	char text[56];

	for (size_t i = 0; i < sizeof(random); i++)
		random[i] = (uint8_t)i;
	trace_parent_next(span_of(row->incoming), random, text);
	assert_string_equal(text, row->next);
}

int
main(void)
{
	static const struct CMUnitTest others[] = {
		{ "R5, R10: what there is not is not there", test_absent, NULL,
		    NULL, NULL },
		{ "S3: a redirected request knows where it came from",
		    test_redirected, NULL, NULL, NULL },
		{ "R20: values and volume are bounded, and said which",
		    test_ceilings, NULL, NULL, NULL },
		{ "R15: Authorization passes when the function asks for it",
		    test_authorization_asked, NULL, NULL, NULL },
	};

	return RUN_ROWS(variables, test_variable) +
	    RUN_ROWS(traces, test_trace) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
