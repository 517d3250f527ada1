/* SPDX-License-Identifier: MIT */
/* If this fails, a request reaches another route or key than the one it names. */
#include "rows.h"

#include "state/route.h"

static const struct target_row {
	const char *sentence;
	struct span method;
	struct span uri;
	enum route_result result;
	enum route route;
	struct span key;
} targets[] = {
	{ "a key is what stands behind /kv/", SPAN("GET"),
	    SPAN("/state/v1/kv/a"), ROUTE_FOUND, ROUTE_GET, SPAN("a") },
	{ "slashes belong to it", SPAN("PUT"), SPAN("/state/v1/kv/a/b//c/"),
	    ROUTE_FOUND, ROUTE_PUT, SPAN("a/b//c/") },
	{ "encoded slashes are slashes", SPAN("DELETE"),
	    SPAN("/state/v1/kv/a%2Fb%2fc"), ROUTE_FOUND, ROUTE_DELETE,
	    SPAN("a/b/c") },
	{ "it is decoded once", SPAN("GET"), SPAN("/state/v1/kv/a%252fb"),
	    ROUTE_FOUND, ROUTE_GET, SPAN("a%2fb") },
	{ "plus is plus in a path", SPAN("GET"), SPAN("/state/v1/kv/a+b"),
	    ROUTE_FOUND, ROUTE_GET, SPAN("a+b") },
	{ "letters of the world", SPAN("GET"),
	    SPAN("/state/v1/kv/%e4%bd%a0%C3%BC"), ROUTE_FOUND, ROUTE_GET,
	    SPAN("\xe4\xbd\xa0\xc3\xbc") },
	{ "a query is none of it", SPAN("GET"), SPAN("/state/v1/kv/a?b=/c"),
	    ROUTE_FOUND, ROUTE_GET, SPAN("a") },
	{ "nor is a fragment", SPAN("GET"), SPAN("/state/v1/kv/a#b"),
	    ROUTE_FOUND, ROUTE_GET, SPAN("a") },
	{ "an absolute target has the same path", SPAN("GET"),
	    SPAN("http://h/state/v1/kv/a"), ROUTE_FOUND, ROUTE_GET, SPAN("a") },
	{ "HEAD is GET", SPAN("HEAD"), SPAN("/state/v1/kv/a"), ROUTE_FOUND,
	    ROUTE_GET, SPAN("a") },
	{ "no key is an empty one", SPAN("GET"), SPAN("/state/v1/kv/"),
	    ROUTE_BAD_KEY, ROUTE_GET, SPAN("") },
	{ "a segment of one dot", SPAN("GET"), SPAN("/state/v1/kv/a/./b"),
	    ROUTE_BAD_KEY, ROUTE_GET, SPAN("") },
	{ "a segment of two dots, encoded (A15)", SPAN("GET"),
	    SPAN("/state/v1/kv/app%2f%2e%2e/x"), ROUTE_BAD_KEY, ROUTE_GET,
	    SPAN("") },
	{ "two dots at the end", SPAN("GET"), SPAN("/state/v1/kv/.."),
	    ROUTE_BAD_KEY, ROUTE_GET, SPAN("") },
	{ "three dots are a name", SPAN("GET"), SPAN("/state/v1/kv/..."),
	    ROUTE_FOUND, ROUTE_GET, SPAN("...") },
	{ "dots in a name are fine", SPAN("GET"), SPAN("/state/v1/kv/a.b/.c"),
	    ROUTE_FOUND, ROUTE_GET, SPAN("a.b/.c") },
	{ "NUL", SPAN("GET"), SPAN("/state/v1/kv/a%00"), ROUTE_BAD_KEY,
	    ROUTE_GET, SPAN("") },
	{ "a line end", SPAN("GET"), SPAN("/state/v1/kv/a%0a"), ROUTE_BAD_KEY,
	    ROUTE_GET, SPAN("") },
	{ "DEL", SPAN("GET"), SPAN("/state/v1/kv/%7f"), ROUTE_BAD_KEY,
	    ROUTE_GET, SPAN("") },
	{ "half an escape", SPAN("GET"), SPAN("/state/v1/kv/a%2"),
	    ROUTE_BAD_KEY, ROUTE_GET, SPAN("") },
	{ "no digits in an escape", SPAN("GET"), SPAN("/state/v1/kv/a%zz"),
	    ROUTE_BAD_KEY, ROUTE_GET, SPAN("") },
	{ "a byte that is no UTF-8", SPAN("GET"), SPAN("/state/v1/kv/%ff"),
	    ROUTE_BAD_KEY, ROUTE_GET, SPAN("") },
	{ "an overlong slash", SPAN("GET"), SPAN("/state/v1/kv/%c0%af"),
	    ROUTE_BAD_KEY, ROUTE_GET, SPAN("") },
	{ "a surrogate", SPAN("GET"), SPAN("/state/v1/kv/%ed%a0%80"),
	    ROUTE_BAD_KEY, ROUTE_GET, SPAN("") },
	{ "above the last character", SPAN("GET"),
	    SPAN("/state/v1/kv/%f4%90%80%80"), ROUTE_BAD_KEY, ROUTE_GET,
	    SPAN("") },
	{ "the last character", SPAN("GET"), SPAN("/state/v1/kv/%f4%8f%bf%bf"),
	    ROUTE_FOUND, ROUTE_GET, SPAN("\xf4\x8f\xbf\xbf") },
	{ "a character cut off", SPAN("GET"), SPAN("/state/v1/kv/%e4%bd"),
	    ROUTE_BAD_KEY, ROUTE_GET, SPAN("") },
	{ "the list has no slash", SPAN("GET"), SPAN("/state/v1/kv"),
	    ROUTE_FOUND, ROUTE_LIST, SPAN("") },
	{ "deleting many", SPAN("DELETE"), SPAN("/state/v1/kv?prefix=a"),
	    ROUTE_FOUND, ROUTE_BULK, SPAN("") },
	{ "the root", SPAN("GET"), SPAN("/state/v1/"), ROUTE_FOUND, ROUTE_INFO,
	    SPAN("") },
	{ "the root without its slash", SPAN("GET"), SPAN("/state/v1"),
	    ROUTE_FOUND, ROUTE_INFO, SPAN("") },
	{ "a counter", SPAN("POST"), SPAN("/state/v1/counter/a/b"), ROUTE_FOUND,
	    ROUTE_COUNTER, SPAN("a/b") },
	{ "a counter without a key is no route", SPAN("POST"),
	    SPAN("/state/v1/counter"), ROUTE_NO_PATH, ROUTE_INFO, SPAN("") },
	{ "nothing else is there", SPAN("GET"), SPAN("/state/v1/sql"),
	    ROUTE_NO_PATH, ROUTE_INFO, SPAN("") },
	{ "a longer name is another", SPAN("GET"), SPAN("/state/v1/kvx"),
	    ROUTE_NO_PATH, ROUTE_INFO, SPAN("") },
	{ "routes are compared as they stand", SPAN("GET"),
	    SPAN("/state/v1/%6bv"), ROUTE_NO_PATH, ROUTE_INFO, SPAN("") },
	{ "another version is not ours", SPAN("GET"), SPAN("/state/v2/kv/a"),
	    ROUTE_NO_PATH, ROUTE_INFO, SPAN("") },
	{ "nor another prefix", SPAN("GET"), SPAN("/state/v12"), ROUTE_NO_PATH,
	    ROUTE_INFO, SPAN("") },
	{ "nor nothing", SPAN("GET"), SPAN(""), ROUTE_NO_PATH, ROUTE_INFO,
	    SPAN("") },
	{ "POST is not for keys", SPAN("POST"), SPAN("/state/v1/kv/a"),
	    ROUTE_NOT_METHOD, ROUTE_GET, SPAN("") },
	{ "methods have their case", SPAN("get"), SPAN("/state/v1/kv/a"),
	    ROUTE_NOT_METHOD, ROUTE_GET, SPAN("") },
	{ "HEAD is not where GET is not", SPAN("HEAD"),
	    SPAN("/state/v1/atomic"), ROUTE_NOT_METHOD, ROUTE_ATOMIC,
	    SPAN("") },
	{ "OPTIONS of a key, good or not", SPAN("OPTIONS"),
	    SPAN("/state/v1/kv/.."), ROUTE_OPTIONS, ROUTE_GET, SPAN("") },
	{ "OPTIONS of nothing", SPAN("OPTIONS"), SPAN("/state/v1/x"),
	    ROUTE_NO_PATH, ROUTE_INFO, SPAN("") },
};

static void
test_target(void **state)
{
	const struct target_row *row = *state;
	struct target target;

	assert_int_equal(route_find(row->method, row->uri, &target),
	    row->result);
	if (row->result == ROUTE_FOUND) {
		assert_int_equal(target.route, row->route);
		assert_true(span_equal(target_key(&target), row->key));
		assert_int_equal(target.head,
		    span_equal(row->method, SPAN("HEAD")));
	}
	if (row->result == ROUTE_BAD_KEY)
		assert_int_not_equal(target.key_error, KEY_OK);
}

static const struct allow_row {
	const char *sentence;
	struct span uri;
	const char *allow;
} allows[] = {
	{ "of a key", SPAN("/state/v1/kv/a"),
	    "GET, HEAD, PUT, DELETE, OPTIONS" },
	{ "of the list", SPAN("/state/v1/kv"), "GET, HEAD, DELETE, OPTIONS" },
	{ "of atomic", SPAN("/state/v1/atomic"), "POST, OPTIONS" },
	{ "of watch", SPAN("/state/v1/watch"), "GET, HEAD, OPTIONS" },
	{ "of the root", SPAN("/state/v1/"), "GET, HEAD, OPTIONS" },
};

static void
test_allow(void **state)
{
	const struct allow_row *row = *state;
	struct target target;
	struct buf out;

	buf_init(&out, 256);
	assert_int_equal(route_find(SPAN("OPTIONS"), row->uri, &target),
	    ROUTE_OPTIONS);
	assert_int_equal(route_allow(&out, &target), 0);
	assert_string_equal(buf_string(&out), row->allow);
	buf_free(&out);
}

/* 1024 bytes are a key, 1025 are none, and neither is written behind its room. */
static void
test_lengths(void **state)
{
	char uri[64 + KEY_MOST + 8];
	size_t prefix = sizeof("/state/v1/kv/") - 1;
	struct target target;

	(void)state;
	memcpy(uri, "/state/v1/kv/", prefix);
	memset(uri + prefix, 'k', sizeof(uri) - prefix);
	assert_int_equal(route_find(SPAN("GET"),
			     span_make(uri, prefix + KEY_MOST), &target),
	    ROUTE_FOUND);
	assert_int_equal(target.key_bytes, KEY_MOST);
	assert_int_equal(route_find(SPAN("GET"),
			     span_make(uri, prefix + KEY_MOST + 1), &target),
	    ROUTE_BAD_KEY);
	assert_int_equal(target.key_error, KEY_TOO_LONG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lengths) };

	return RUN_ROWS(targets, test_target) + RUN_ROWS(allows, test_allow) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
