/* SPDX-License-Identifier: MIT */
/* If this fails, a function loses a write that the host took, makes one twice,
 * hangs beyond its time, or is told that something was done which was not. */
#include "sdk_server.h"

#include <sys/wait.h>

#include "sdk/fn.h"

/* The star becomes the length of the body. */
#define REPLY(status, fields, body) \
	"HTTP/1.1 " status "\r\n" fields "Content-Length: *\r\n\r\n" body
#define PROBLEM(status, type, title, more)                             \
	REPLY(status, "Content-Type: application/problem+json\r\n",    \
	    "{\"type\":\"urn:fn:problem:" type "\",\"title\":\"" title \
	    "\"" more "}")
#define VALUE                                              \
	REPLY("200 OK",                                    \
	    "Content-Type: text/plain\r\nETag: \"57\"\r\n" \
	    "Fn-Expires: 1900000000\r\n",                  \
	    "hello")
#define WRITTEN "HTTP/1.1 204 No Content\r\nETag: \"58\"\r\n\r\n"
#define COUNTED                                               \
	REPLY("200 OK", "Content-Type: application/json\r\n", \
	    "{\"value\":8,\"version\":9}\n")
#define BUSY \
	PROBLEM("503 Busy", "storage-unavailable", "t", ",\"outcome\":\"none\"")
#define BUSY_UNKNOWN                                    \
	PROBLEM("503 Busy", "storage-unavailable", "t", \
	    ",\"outcome\":\"unknown\"")
#define NO_KEY PROBLEM("404 Not Found", "key-not-found", "No Key", "")
#define STALE PROBLEM("412 Failed", "precondition-failed", "Stale", "")
#define IN_FLIGHT PROBLEM("409 Conflict", "idempotency-in-flight", "Busy", "")
#define BAD_GATEWAY \
	REPLY("502 Bad Gateway", "Content-Type: text/html\r\n", "<h1>\n")

enum what { GET, PUT, PUT_IF, DELETE, INCR };

/* ---- what is asked again, and what comes of it -------------------------------- */

static const struct row {
	const char *sentence;
	enum what what;
	struct turn turns[6];
	unsigned connections;
	enum fn_result result;
	const char *problem; /* part of it */
} rows[] = {
	{ "a read", GET, { { TURN_REPLY, VALUE } }, 1, FN_OK, "" },
	{ "a read, byte by byte", GET, { { TURN_BYTES, VALUE } }, 1, FN_OK,
	    "" },
	{ "a write", PUT, { { TURN_REPLY, WRITTEN } }, 1, FN_OK, "" },
	{ "a read is made again when the answer was lost", GET,
	    { { TURN_CLOSE, NULL }, { TURN_REPLY, VALUE } }, 2, FN_OK, "" },
	{ "a read is made again when the answer broke off", GET,
	    { { TURN_REPLY_CLOSE, "HTTP/1.1 200 OK\r\nContent-Le" },
		{ TURN_REPLY_CLOSE,
		    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel" },
		{ TURN_REPLY, VALUE } },
	    3, FN_OK, "" },
	{ "a write that was read is not made again: its outcome is unknown",
	    PUT, { { TURN_CLOSE, NULL } }, 1, FN_UNKNOWN,
	    "may have been carried out" },
	{ "so is one whose answer broke off", PUT,
	    { { TURN_REPLY_CLOSE, "HTTP/1.1 204 No" } }, 1, FN_UNKNOWN,
	    "in the middle of its answer" },
	{ "a delete that was read is not made again", DELETE,
	    { { TURN_CLOSE, NULL } }, 1, FN_UNKNOWN, "" },
	{ "a write that was not read is made again", PUT,
	    { { TURN_UNREAD, NULL }, { TURN_UNREAD, NULL },
		{ TURN_REPLY, WRITTEN } },
	    3, FN_OK, "" },
	{ "five times at most", PUT,
	    { { TURN_UNREAD, NULL }, { TURN_UNREAD, NULL },
		{ TURN_UNREAD, NULL }, { TURN_UNREAD, NULL },
		{ TURN_UNREAD, NULL } },
	    5, FN_FAILED, "without an answer" },
	{ "a conditional write is made again when the answer was lost", PUT_IF,
	    { { TURN_CLOSE, NULL }, { TURN_REPLY, WRITTEN } }, 2, FN_OK, "" },
	{ "and may then have done itself what it finds done", PUT_IF,
	    { { TURN_CLOSE, NULL }, { TURN_REPLY, STALE } }, 2, FN_UNKNOWN,
	    "may have been carried out" },
	{ "which it has not when it was not read before", PUT_IF,
	    { { TURN_UNREAD, NULL }, { TURN_REPLY, STALE } }, 2, FN_CONFLICT,
	    "412: Stale" },
	{ "a condition that does not hold", PUT_IF, { { TURN_REPLY, STALE } },
	    1, FN_CONFLICT, "412: Stale" },
	{ "a counter is made again with the same key", INCR,
	    { { TURN_CLOSE, NULL }, { TURN_REPLY, IN_FLIGHT },
		{ TURN_REPLY, COUNTED } },
	    2, FN_OK, "" },
	{ "a busy host is asked again, whatever it was", PUT,
	    { { TURN_REPLY, BUSY }, { TURN_REPLY, WRITTEN } }, 1, FN_OK, "" },
	{ "a host that does not know is not asked again for a write", PUT,
	    { { TURN_REPLY, BUSY_UNKNOWN } }, 1, FN_UNKNOWN, "503: t" },
	{ "but for a read", GET,
	    { { TURN_REPLY, BUSY_UNKNOWN }, { TURN_REPLY, VALUE } }, 1, FN_OK,
	    "" },
	{ "and for a counter", INCR,
	    { { TURN_REPLY, BUSY_UNKNOWN }, { TURN_REPLY, COUNTED } }, 1, FN_OK,
	    "" },
	{ "the web server lost the host in a read", GET,
	    { { TURN_REPLY, BAD_GATEWAY }, { TURN_REPLY, VALUE } }, 1, FN_OK,
	    "" },
	{ "the web server lost the host in a write", PUT,
	    { { TURN_REPLY, BAD_GATEWAY } }, 1, FN_UNKNOWN, "502" },
	{ "later than there is time for is not waited for", GET,
	    { { TURN_REPLY,
		REPLY("429 Too Many Requests", "Retry-After: 30\r\n", "") } },
	    1, FN_BUSY, "429" },
	{ "no such key", GET, { { TURN_REPLY, NO_KEY } }, 1, FN_NOT_FOUND,
	    "404: No Key" },
	{ "a 404 that is not of state", GET,
	    { { TURN_REPLY, REPLY("404 Not Found", "", "gone") } }, 1,
	    FN_FAILED, "state answered 404" },
	{ "a value too large, said before it was read", PUT,
	    { { TURN_EARLY,
		REPLY("413 Too Large", "Connection: close\r\n", "") } },
	    1, FN_TOO_LARGE, "413" },
	{ "a full store", PUT, { { TURN_REPLY, REPLY("507 Full", "", "") } }, 1,
	    FN_FULL, "507" },
	{ "a token that does not do", GET,
	    { { TURN_REPLY, REPLY("401 No", "", "") } }, 1, FN_REFUSED, "401" },
	{ "nonsense is not asked again", GET,
	    { { TURN_REPLY_CLOSE, "SSH-2.0-hello\r\n\r\n" } }, 1, FN_FAILED,
	    "does not speak HTTP" },
	{ "nonsense for a write leaves it unknown", PUT,
	    { { TURN_REPLY_CLOSE, "SSH-2.0-hello\r\n\r\n" } }, 1, FN_UNKNOWN,
	    "does not speak HTTP" },
	{ "a reply that ends with its connection", GET,
	    { { TURN_REPLY_CLOSE,
		"HTTP/1.1 200 OK\r\nETag: \"57\"\r\n\r\nhello" } },
	    1, FN_OK, "" },
	{ "a value in chunks", GET,
	    { { TURN_BYTES,
		"HTTP/1.1 200 OK\r\nETag: \"57\"\r\nTransfer-Encoding: chunked"
		"\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n" } },
	    1, FN_OK, "" },
};

static struct server server;

static void
environment(struct server *s, int64_t left_ms)
{
	char deadline[32];

	snprintf(deadline, sizeof(deadline), "%lld",
	    (long long)clock_unix_ms() + left_ms);
	setenv("FN_SOCKET", s->path, 1);
	setenv("FN_STATE_URL", "http://fn/state/v1", 1);
	setenv("FN_TOKEN", "aaa.bbb.ccc", 1);
	setenv("FN_DEADLINE_MS", deadline, 1);
	assert_int_equal(fn_use(NULL), FN_OK);
}

static enum fn_result
ask(enum what what)
{
	const struct fn_put if_57 = { .if_version = 57 };
	struct fn_value value;
	uint64_t version = 0;
	int64_t number = 0;
	enum fn_result result;

	switch (what) {
	case GET:
		result = fn_state_get("k", &value);
		assert_int_equal(value.version, result == FN_OK ? 57 : 0);
		if (result == FN_OK)
			assert_string_equal(value.data, "hello");
		else
			assert_null(value.data);
		fn_value_free(&value);
		return result;
	case PUT:
	case PUT_IF:
		result = fn_state_put("k", "value", 5,
		    what == PUT ? NULL : &if_57, &version);
		assert_int_equal(version, result == FN_OK ? 58 : 0);
		return result;
	case DELETE:
		return fn_state_delete("k", 0);
	case INCR:
		result = fn_state_incr("k", 1, NULL, &number);
		assert_int_equal(number, result == FN_OK ? 8 : 0);
		return result;
	}
	return FN_FAILED;
}

static void
test_row(void **state)
{
	const struct row *row = *state;
	enum fn_result result;

	server_open(&server);
	environment(&server, 8000);
	for (size_t i = 0; i < COUNT(row->turns); i++)
		if (row->turns[i].kind != TURN_REPLY || row->turns[i].text)
			server_says(&server, row->turns[i].kind,
			    row->turns[i].text);
	result = ask(row->what);
	if (result != row->result)
		fail_msg("result %d: %s", result, fn_problem());
	if (row->result == FN_OK)
		assert_string_equal(fn_problem(), "");
	else if (!strstr(fn_problem(), row->problem))
		fail_msg("\"%s\" has no \"%s\"", fn_problem(), row->problem);
	assert_int_equal(server_finished(&server), row->connections);
	server_close(&server);
}

/* ---- the connection -------------------------------------------------------------- */

static int
setup(void **state)
{
	(void)state;
	server_open(&server);
	environment(&server, 8000);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	server_close(&server);
	return 0;
}

static void
one_connection(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		server_says(&server, TURN_REPLY, i % 2 ? VALUE : WRITTEN);
	for (int i = 0; i < 4; i++)
		assert_int_equal(ask(i % 2 ? GET : PUT), FN_OK);
	assert_int_equal(server_finished(&server), 1);
}

/* It was closed while nobody looked: even a plain write is not lost by that. */
static void
closed_between(void **state)
{
	(void)state;
	server_says(&server, TURN_REPLY_CLOSE, VALUE);
	assert_int_equal(ask(GET), FN_OK);
	server_finished(&server);
	server_says(&server, TURN_REPLY, WRITTEN);
	assert_int_equal(ask(PUT), FN_OK);
	assert_int_equal(server_finished(&server), 2);
}

/* More than was asked for is not the answer to the next question. */
static void
more_than_asked(void **state)
{
	(void)state;
	server_says(&server, TURN_REPLY, WRITTEN VALUE);
	server_says(&server, TURN_REPLY, NO_KEY);
	assert_int_equal(ask(PUT), FN_OK);
	assert_int_equal(ask(GET), FN_NOT_FOUND);
	assert_int_equal(server_finished(&server), 2);
}

/* A child does not speak on the connection of its parent. */
static void
forked(void **state)
{
	pid_t child;
	int status;

	(void)state;
	server_says(&server, TURN_REPLY_CLOSE, VALUE);
	assert_int_equal(ask(GET), FN_OK);
	server_finished(&server);
	server_says(&server, TURN_REPLY_CLOSE, VALUE);
	child = fork();
	if (child == 0)
		_exit(fn_state_delete("..", 0) == FN_BAD ? ask(GET) : 99);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(server_finished(&server), 2);
}

static void
another_socket(void **state)
{
	static struct server other;

	(void)state;
	server_says(&server, TURN_REPLY, VALUE);
	assert_int_equal(ask(GET), FN_OK);
	server_open(&other);
	server_says(&other, TURN_REPLY, NO_KEY);
	environment(&other, 8000);
	assert_int_equal(ask(GET), FN_NOT_FOUND);
	assert_int_equal(server_finished(&other), 1);
	server_close(&other);
}

/* ---- what is sent ------------------------------------------------------------------ */

static void
sent_is(unsigned turn, const char *wanted)
{
	const char *is = server.requests[turn];

	assert_non_null(is);
	if (strcmp(is, wanted) != 0)
		fail_msg("sent:\n%s\nwanted:\n%s", is, wanted);
}

static void
sent(void **state)
{
	const struct fn_put how = {
		.if_version = 7, .ttl_s = 60, .type = "text/plain"
	};
	const struct fn_put absent = { .if_absent = true };
	struct fn_value value;

	(void)state;
	for (int i = 0; i < 4; i++)
		server_says(&server, TURN_REPLY, i == 3 ? VALUE : WRITTEN);
	assert_int_equal(fn_state_put("a b/c?d%e\xc3\xa4", "v", 1, &how, NULL),
	    FN_OK);
	assert_int_equal(fn_state_put("k", NULL, 0, &absent, NULL), FN_OK);
	assert_int_equal(fn_state_delete("k", 7), FN_OK);
	assert_int_equal(fn_state_get("k", &value), FN_OK);
	assert_int_equal(value.bytes, 5);
	assert_int_equal(value.expires_s, 1900000000);
	assert_string_equal(value.type, "text/plain");
	fn_value_free(&value);
	fn_value_free(&value);
	assert_int_equal(server_finished(&server), 1);
	sent_is(0,
	    "PUT /state/v1/kv/a%20b/c%3Fd%25e%C3%A4?ttl=60 HTTP/1.1\r\n"
	    "Host: fn\r\nAuthorization: Bearer aaa.bbb.ccc\r\n"
	    "If-Match: \"7\"\r\nContent-Type: text/plain\r\n"
	    "Content-Length: 1\r\n\r\nv");
	sent_is(1,
	    "PUT /state/v1/kv/k HTTP/1.1\r\n"
	    "Host: fn\r\nAuthorization: Bearer aaa.bbb.ccc\r\n"
	    "If-None-Match: *\r\nContent-Type: application/octet-stream\r\n"
	    "Content-Length: 0\r\n\r\n");
	sent_is(2,
	    "DELETE /state/v1/kv/k HTTP/1.1\r\n"
	    "Host: fn\r\nAuthorization: Bearer aaa.bbb.ccc\r\n"
	    "If-Match: \"7\"\r\n\r\n");
	sent_is(3,
	    "GET /state/v1/kv/k HTTP/1.1\r\n"
	    "Host: fn\r\nAuthorization: Bearer aaa.bbb.ccc\r\n\r\n");
}

static void
key_of(unsigned turn, char key[40])
{
	const char *at =
	    strstr(server.requests[turn], "\r\nIdempotency-Key: \"");

	assert_non_null(at);
	snprintf(key, 40, "%.34s", at + 20);
	assert_int_equal(key[32], '"');
}

/* The same for one call's tries, another for the next call. */
static void
idempotency_keys(void **state)
{
	char first[40], again[40], next[40];
	const char *body;

	(void)state;
	server_says(&server, TURN_CLOSE, NULL);
	server_says(&server, TURN_REPLY, COUNTED);
	server_says(&server, TURN_REPLY, COUNTED);
	assert_int_equal(ask(INCR), FN_OK);
	assert_int_equal(fn_state_incr("k", -3,
			     &(struct fn_incr){ .min = &(int64_t){ 0 },
				 .max = &(int64_t){ INT64_MAX },
				 .ttl_s = 9 },
			     NULL),
	    FN_OK);
	server_finished(&server);
	key_of(0, first);
	key_of(1, again);
	key_of(2, next);
	assert_string_equal(first, again);
	assert_string_not_equal(first, next);
	body = strstr(server.requests[2], "\r\n\r\n") + 4;
	assert_string_equal(body,
	    "{\"by\":-3,\"min\":0,\"max\":9223372036854775807,\"ttl\":9}");
}

static void
large(void **state)
{
	size_t bytes = 2 * 1024 * 1024;
	char *value = malloc(bytes);
	uint64_t version;

	(void)state;
	memset(value, 'v', bytes);
	server_says(&server, TURN_REPLY, WRITTEN);
	server_says(&server, TURN_REPLY, WRITTEN);
	assert_int_equal(fn_state_put("k", value, bytes, NULL, &version),
	    FN_OK);
	assert_int_equal(fn_state_put("k", value, bytes, NULL, &version),
	    FN_OK);
	assert_int_equal(server_finished(&server), 1);
	assert_memory_equal(strstr(server.requests[1], "\r\n\r\n") + 4, value,
	    bytes);
	free(value);
}

/* The host says no in the middle of a value, and does not read the rest. */
static void
large_refused(void **state)
{
	size_t bytes = 2 * 1024 * 1024;
	char *value = calloc(1, bytes);

	(void)state;
	server_says(&server, TURN_EARLY, REPLY("413 Too Large", "", ""));
	server_says(&server, TURN_REPLY, WRITTEN);
	assert_int_equal(fn_state_put("k", value, bytes, NULL, NULL),
	    FN_TOO_LARGE);
	assert_int_equal(ask(PUT), FN_OK);
	assert_int_equal(server_finished(&server), 2);
	free(value);
}

/* ---- time --------------------------------------------------------------------------- */

static void
late(void **state)
{
	uint64_t before = clock_ms();

	(void)state;
	environment(&server, 400);
	server_says(&server, TURN_HANG, NULL);
	assert_int_equal(ask(GET), FN_TIMEOUT);
	assert_true(clock_ms() - before >= 200);
	assert_string_equal(fn_problem(), "state did not answer in time");
	server_finished(&server);
	environment(&server, 400);
	server_says(&server, TURN_HANG, NULL);
	assert_int_equal(ask(PUT), FN_UNKNOWN);
	server_finished(&server);
}

static void
no_time_left(void **state)
{
	(void)state;
	environment(&server, 100);
	assert_int_equal(ask(PUT), FN_TIMEOUT);
	environment(&server, -100000);
	assert_int_equal(ask(PUT), FN_TIMEOUT);
	assert_int_equal(server_finished(&server), 0);
}

static void
waits(void **state)
{
	struct fn_value value;

	(void)state;
	server_says(&server, TURN_REPLY,
	    "HTTP/1.1 304 Not Modified\r\nFn-Version: 60\r\n\r\n");
	server_says(&server, TURN_REPLY, VALUE);
	assert_int_equal(fn_state_wait("k", 57, 1, &value), FN_UNCHANGED);
	assert_int_equal(fn_state_wait("k", 57, 50, &value), FN_OK);
	fn_value_free(&value);
	assert_int_equal(server_finished(&server), 1);
	assert_non_null(strstr(server.requests[0],
	    "GET /state/v1/kv/k?since=57&wait=1000ms HTTP/1.1\r\n"));
	/* not beyond the deadline of eight seconds */
	assert_non_null(strstr(server.requests[1],
	    "GET /state/v1/kv/k?since=57&wait=7"));
}

/* ---- where there is nobody ------------------------------------------------------------ */

static void
nobody(void **state)
{
	(void)state;
	setenv("FN_SOCKET", "/nonexistent/fn.sock", 1);
	assert_int_equal(ask(PUT), FN_FAILED);
	assert_string_equal(fn_problem(),
	    "cannot connect to state: No such file or directory");
	unsetenv("FN_TOKEN");
	assert_int_equal(ask(PUT), FN_REFUSED);
	assert_non_null(strstr(fn_problem(), "state = \"none\""));
	unsetenv("FN_SOCKET");
	assert_int_equal(ask(PUT), FN_REFUSED);
	assert_non_null(strstr(fn_problem(), "no function of fcgi-host"));
}

static void
variables(void **state)
{
	char socket[128], long_token[8192];
	char url[] = "FN_STATE_URL=http://other:81/s";
	char token[] = "FN_TOKEN=x.y.z", home[] = "HOME=/";
	char *own[] = { socket, url, token, home, NULL };
	char *too_long[] = { long_token, NULL };

	(void)state;
	snprintf(socket, sizeof(socket), "FN_SOCKET=%s", server.path);
	setenv("FN_SOCKET", "/nonexistent", 1);
	server_says(&server, TURN_REPLY, WRITTEN);
	assert_int_equal(fn_use(own), FN_OK);
	assert_int_equal(fn_state_delete("k", 0), FN_OK);
	server_finished(&server);
	sent_is(0,
	    "DELETE /s/kv/k HTTP/1.1\r\nHost: other:81\r\n"
	    "Authorization: Bearer x.y.z\r\n\r\n");
	memset(long_token, 'a', sizeof(long_token));
	memcpy(long_token, "FN_TOKEN=", 9);
	long_token[8191] = '\0';
	assert_int_equal(fn_use(too_long), FN_BAD);
}

/* ---- arguments -------------------------------------------------------------------------- */

static const struct bad {
	const char *sentence;
	const char *key;
	const char *type;
	const char *token;
	const char *problem;
} bads[] = {
	{ "an empty key", "", NULL, NULL, "1 to 1024 bytes" },
	{ "no key", NULL, NULL, NULL, "1 to 1024 bytes" },
	{ "a line end in a key", "a\r\nX: y", NULL, NULL, "control bytes" },
	{ "a key that is not UTF-8", "a\xff", NULL, NULL, "UTF-8" },
	{ "an overlong slash", "a\xc0\xaf", NULL, NULL, "UTF-8" },
	{ "a surrogate", "a\xed\xa0\x80", NULL, NULL, "UTF-8" },
	{ "a segment of two dots", "a/../b", NULL, NULL, "segment" },
	{ "a segment of one dot", "./a", NULL, NULL, "segment" },
	{ "a line end in a type", "a", "text/plain\r\nX: y", NULL,
	    "printable ASCII" },
	{ "an empty type", "a", "", NULL, "1 to 127 bytes" },
	{ "a line end in a token", "a", NULL, "x\r\nX: y", "FN_TOKEN" },
	{ "a blank in a token", "a", NULL, "x y", "FN_TOKEN" },
};

/* Nothing of it is sent. */
static void
test_bad(void **state)
{
	const struct bad *row = *state;
	struct fn_put how = { .type = row->type };

	server_open(&server);
	environment(&server, 8000);
	if (row->token)
		setenv("FN_TOKEN", row->token, 1);
	assert_int_equal(fn_state_put(row->key, "", 0, &how, NULL), FN_BAD);
	if (!strstr(fn_problem(), row->problem))
		fail_msg("%s", fn_problem());
	assert_null(strstr(fn_problem(), "X: y"));
	assert_int_equal(server_finished(&server), 0);
	server_close(&server);
}

/* A mistake of the caller's is said at once, whatever the host would have done. */
static void
nothing_there(void **state)
{
	struct fn_op ops[] = {
		{ .kind = FN_SET, .key = "k", .bytes = 5 },
		{ .kind = (enum fn_op_kind)99, .key = "k" },
		{ .kind = FN_DELETE },
	};
	struct fn_check check = { NULL, 0 };

	(void)state;
	assert_int_equal(fn_state_put("k", NULL, 5, NULL, NULL), FN_BAD);
	assert_int_equal(fn_state_get("k", NULL), FN_BAD);
	assert_int_equal(fn_state_wait("k", 0, 0, NULL), FN_BAD);
	assert_int_equal(fn_state_list(NULL, NULL), FN_BAD);
	assert_int_equal(fn_state_delete(NULL, 0), FN_BAD);
	assert_int_equal(fn_state_incr(NULL, 1, NULL, NULL), FN_BAD);
	for (size_t i = 0; i < COUNT(ops); i++)
		assert_int_equal(fn_state_atomic(NULL, 0, &ops[i], 1, NULL),
		    FN_BAD);
	assert_int_equal(fn_state_atomic(&check, 1, NULL, 0, NULL), FN_BAD);
	assert_int_equal(fn_state_atomic(NULL, 1, NULL, 0, NULL), FN_BAD);
	assert_int_equal(fn_state_atomic(NULL, 0, NULL, 1, NULL), FN_BAD);
	fn_value_free(NULL);
	fn_page_free(NULL);
	assert_int_equal(server_finished(&server), 0);
}

/* Bytes that are not there: the kernel says so, and that is the end of it. */
static void
bad_memory(void **state)
{
	uint64_t before = clock_ms();

	(void)state;
	assert_int_equal(fn_state_put("k", (const void *)16, 5, NULL, NULL),
	    FN_FAILED);
	assert_true(clock_ms() - before < 4000);
	assert_non_null(strstr(fn_problem(), "Bad address"));
}

/* ---- pages and commits ------------------------------------------------------------------- */

static const char page_text[] =
    "{\"version\":91,\"items\":[{\"key\":\"a\\/\\u00e4\\ud83d\\ude00\","
    "\"version\":57,\"size\":5,\"expires\":null,\"type\":\"text/plain\","
    "\"value\":\"h\\u0000\\\"lo\"},{\"key\":\"b\",\"version\":58,\"size\":2,"
    "\"expires\":1900000000,\"type\":null,\"b64\":\"AAE=\",\"new\":[{}]}],"
    "\"prefixes\":[\"p/\",\"q/\"],\"cursor\":\"Yg\"}";

static void
says_json(char *text, size_t room, const char *status, const char *json)
{
	snprintf(text, room,
	    "HTTP/1.1 %s\r\nContent-Type: application/%sjson\r\n"
	    "Content-Length: *\r\n\r\n%s",
	    status, status[0] == '2' ? "" : "problem+", json);
	server_says(&server, TURN_REPLY, text);
}

static void
page(void **state)
{
	const struct fn_list list = { .prefix = "a b",
		.start = "a",
		.end = "z",
		.delimiter = "/",
		.cursor = "Q+=",
		.limit = 2,
		.reverse = true,
		.values = true };
	struct fn_page p;
	char text[2048];

	(void)state;
	says_json(text, sizeof(text), "200 OK", page_text);
	assert_int_equal(fn_state_list(&list, &p), FN_OK);
	assert_int_equal(p.version, 91);
	assert_int_equal(p.item_count, 2);
	assert_string_equal(p.items[0].key, "a/\xc3\xa4\xf0\x9f\x98\x80");
	assert_int_equal(p.items[0].version, 57);
	assert_int_equal(p.items[0].bytes, 5);
	assert_memory_equal(p.items[0].data, "h\0\"lo", 6);
	assert_int_equal(p.items[0].expires_s, 0);
	assert_string_equal(p.items[0].type, "text/plain");
	assert_string_equal(p.items[1].type, "");
	assert_int_equal(p.items[1].bytes, 2);
	assert_memory_equal(p.items[1].data, "\0\1", 3);
	assert_int_equal(p.items[1].expires_s, 1900000000);
	assert_int_equal(p.prefix_count, 2);
	assert_string_equal(p.prefixes[1], "q/");
	assert_string_equal(p.cursor, "Yg");
	fn_page_free(&p);
	fn_page_free(&p);
	server_finished(&server);
	assert_non_null(strstr(server.requests[0],
	    "GET /state/v1/kv?prefix=a%20b&start=a&end=z&delimiter=%2F&"
	    "cursor=Q%2B%3D&limit=2&reverse=1&values=1 HTTP/1.1\r\n"));
}

/* Cut off anywhere, or one byte changed to another: no page, or a good one, and
 * nothing is read or freed that is not ours (which the sanitizers see). */
static void
page_broken(void **state)
{
	static const char bytes[] = "\"\\{}[],:0x";
	const struct fn_list all = { 0 };
	char json[sizeof(page_text)], text[2048];
	struct fn_page p;

	(void)state;
	for (size_t cut = 0; cut < strlen(page_text); cut += 7) {
		memcpy(json, page_text, cut);
		json[cut] = '\0';
		server.turn_count = server.turn = 0;
		free(server.requests[0]);
		server.requests[0] = NULL;
		says_json(text, sizeof(text), "200 OK", json);
		assert_int_equal(fn_state_list(&all, &p), FN_FAILED);
		assert_null(p.memory);
		server_finished(&server);
	}
	for (size_t at = 0; at < strlen(page_text); at += 3) {
		memcpy(json, page_text, sizeof(page_text));
		json[at] = bytes[at % (sizeof(bytes) - 1)];
		server.turn_count = server.turn = 0;
		free(server.requests[0]);
		server.requests[0] = NULL;
		says_json(text, sizeof(text), "200 OK", json);
		fn_state_list(&all, &p);
		fn_page_free(&p);
		server_finished(&server);
	}
}

static void
commit(void **state)
{
	const struct fn_check checks[] = { { "a", 57 }, { "lock\"", 0 } };
	struct fn_op ops[] = {
		{ .kind = FN_SET,
		    .key = "a",
		    .data = "\0\1",
		    .bytes = 2,
		    .type = "text/plain",
		    .ttl_s = 60 },
		{ .kind = FN_DELETE, .key = "b" },
		{ .kind = FN_SUM,
		    .key = "n",
		    .by = -1,
		    .min = &(int64_t){ 0 } },
		{ .kind = FN_MAX, .key = "m", .by = 9 },
	};
	uint64_t version = 0;
	char text[3][1024];

	(void)state;
	says_json(text[0], sizeof(text[0]), "200 OK",
	    "{\"version\":92,\"results\":[{\"version\":92},{\"version\":0},"
	    "{\"version\":92,\"value\":3},{\"value\":-9223372036854775808}]}");
	assert_int_equal(fn_state_atomic(checks, 2, ops, 4, &version), FN_OK);
	assert_int_equal(version, 92);
	assert_int_equal(ops[2].value, 3);
	assert_true(ops[3].value == INT64_MIN);
	server_finished(&server);
	assert_string_equal(strstr(server.requests[0], "\r\n\r\n") + 4,
	    "{\"checks\":[{\"key\":\"a\",\"version\":57},"
	    "{\"key\":\"lock\\\"\",\"version\":null}],\"ops\":["
	    "{\"op\":\"set\",\"key\":\"a\",\"b64\":\"AAE=\","
	    "\"type\":\"text/plain\",\"ttl\":60},"
	    "{\"op\":\"delete\",\"key\":\"b\"},"
	    "{\"op\":\"sum\",\"key\":\"n\",\"by\":-1,\"min\":0},"
	    "{\"op\":\"max\",\"key\":\"m\",\"by\":9}]}");

	says_json(text[1], sizeof(text[1]), "409 Conflict",
	    "{\"type\":\"urn:fn:problem:check-failed\",\"status\":409,\"title\":"
	    "\"Check Failed\",\"failed\":[{\"index\":0,\"key\":\"a\","
	    "\"version\":60}]}");
	assert_int_equal(fn_state_atomic(checks, 2, ops, 4, &version),
	    FN_CONFLICT);
	assert_string_equal(fn_problem(),
	    "state answered 409: Check Failed: a");
	says_json(text[2], sizeof(text[2]), "409 Conflict",
	    "{\"type\":\"urn:fn:problem:counter-range\",\"title\":\"Range\","
	    "\"detail\":\"n would be\\n-1\"}");
	assert_int_equal(fn_state_atomic(checks, 2, ops, 4, &version),
	    FN_RANGE);
	assert_string_equal(fn_problem(),
	    "state answered 409: Range: n would be -1");
	assert_int_equal(version, 92);
}

static void
commit_answers(void **state)
{
	static const char *const bad[] = { "", "null", "{}", "{\"version\":1}",
		"{\"version\":1,\"results\":[]}",
		"{\"version\":1,\"results\":[{},{}]}",
		"{\"version\":-1,\"results\":[{}]}",
		"{\"version\":1,\"results\":[{}]}x",
		"{\"version\":1.5,\"results\":[{}]}",
		"{\"version\":1,\"results\":[{\"value\":9223372036854775808}]}",
		"{\"results\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[" };
	struct fn_op op = { .kind = FN_SUM, .key = "n", .by = 1 };
	char text[COUNT(bad)][512];
	uint64_t version = 7;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		says_json(text[i], sizeof(text[i]), "200 OK", bad[i]);
		assert_int_equal(fn_state_atomic(NULL, 0, &op, 1, &version),
		    FN_FAILED);
		assert_int_equal(version, 7);
	}
	server_finished(&server);
}

/* ---- threads ------------------------------------------------------------------------------ */

static void *
thread(void *arg)
{
	*(enum fn_result *)arg = ask(GET);
	return NULL;
}

static void
threads(void **state)
{
	enum fn_result results[8];
	pthread_t ids[8];

	(void)state;
	for (int i = 0; i < 8; i++)
		server_says(&server, TURN_BYTES, VALUE);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&ids[i], NULL, thread,
				     &results[i]),
		    0);
	for (int i = 0; i < 8; i++) {
		pthread_join(ids[i], NULL);
		assert_int_equal(results[i], FN_OK);
	}
	assert_int_equal(server_finished(&server), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest rest[] = { TEST(one_connection),
		TEST(closed_between), TEST(more_than_asked), TEST(forked),
		TEST(another_socket), TEST(sent), TEST(idempotency_keys),
		TEST(large), TEST(large_refused), TEST(late),
		TEST(no_time_left), TEST(waits), TEST(nobody), TEST(variables),
		TEST(page), TEST(nothing_there), TEST(bad_memory),
		TEST(page_broken), TEST(commit), TEST(commit_answers),
		TEST(threads) };

	return RUN_ROWS(rows, test_row) + RUN_ROWS(bads, test_bad) +
	    cmocka_run_group_tests(rest, NULL, NULL);
}
