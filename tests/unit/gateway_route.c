/* SPDX-License-Identifier: MIT */
/* If this fails, a request runs another function than its URL names, or the
 * function is told other paths than it was asked by. */
#include "rows.h"

#include "gateway/route.h"
#include "wire/request_id.h"

static const struct route_row {
	const char *sentence;
	const char *target, *prefix, *host_tenant;
	enum route_result result;
	const char *tenant, *function, *script_name, *path_info, *query;
} routes[] = {
	{ "R3: tenant, function and nothing more", "/fn/acme/hello", "/fn/", "",
	    ROUTE_FOUND, "acme", "hello", "/fn/acme/hello", "", "" },
	{ "R4: what follows the function is PATH_INFO", "/fn/acme/hello/a/b",
	    "/fn/", "", ROUTE_FOUND, "acme", "hello", "/fn/acme/hello", "/a/b",
	    "" },
	{ "R4: a slash alone is a void segment", "/fn/acme/hello/", "/fn/", "",
	    ROUTE_FOUND, "acme", "hello", "/fn/acme/hello", "/", "" },
	{ "R4: void segments and case are kept", "/fn/acme/hello//A//", "/fn/",
	    "", ROUTE_FOUND, "acme", "hello", "/fn/acme/hello", "//A//", "" },
	{ "R4: PATH_INFO is decoded, once", "/fn/acme/hello/a%20b%2541", "/fn/",
	    "", ROUTE_FOUND, "acme", "hello", "/fn/acme/hello", "/a b%41", "" },
	{ "R3: SCRIPT_NAME is decoded", "/fn/acme/h%65llo/x", "/fn/", "",
	    ROUTE_FOUND, "acme", "hello", "/fn/acme/hello", "/x", "" },
	{ "R6: the query is not", "/fn/acme/hello?a%20b/../c", "/fn/", "",
	    ROUTE_FOUND, "acme", "hello", "/fn/acme/hello", "", "a%20b/../c" },
	{ "a newline in the path is the function's to read",
	    "/fn/acme/hello/a%0ab", "/fn/", "", ROUTE_FOUND, "acme", "hello",
	    "/fn/acme/hello", "/a\nb", "" },
	{ "the full file name may be asked", "/fn/acme/report.py/x", "/fn/", "",
	    ROUTE_FOUND, "acme", "report.py", "/fn/acme/report.py", "/x", "" },
	{ "a virtual host names the tenant", "/hello/x", "/", "acme",
	    ROUTE_FOUND, "acme", "hello", "/hello", "/x", "" },
	{ "a virtual host may have a prefix too", "/cgi-bin/hello", "/cgi-bin/",
	    "acme", ROUTE_FOUND, "acme", "hello", "/cgi-bin/hello", "", "" },
	{ "a user directory is a prefix like any", "/~jo/hello/x", "/~", "",
	    ROUTE_FOUND, "jo", "hello", "/~jo/hello", "/x", "" },
	{ "an absolute target is the same target", "http://other/fn/acme/hello",
	    "/fn/", "", ROUTE_FOUND, "acme", "hello", "/fn/acme/hello", "",
	    "" },
	{ "a tenant without a function", "/fn/acme/", "/fn/", "",
	    ROUTE_NO_FUNCTION, "acme", "", "", "", "" },
	{ "a tenant without even a slash", "/fn/acme", "/fn/", "",
	    ROUTE_NO_FUNCTION, "acme", "", "", "", "" },
	{ "a void function", "/fn/acme//x", "/fn/", "", ROUTE_NO_FUNCTION,
	    "acme", "", "", "", "" },
	{ "the root of a virtual host", "/", "/", "acme", ROUTE_NO_FUNCTION,
	    "acme", "", "", "", "" },
	{ "the prefix alone", "/fn/", "/fn/", "", ROUTE_NOT_OURS, "", "", "",
	    "", "" },
	{ "another prefix", "/gn/acme/hello", "/fn/", "", ROUTE_NOT_OURS, "",
	    "", "", "", "" },
	{ "dots do not lead out of the prefix", "/fn/acme/../../etc", "/fn/",
	    "", ROUTE_BAD_TARGET, "", "", "", "", "" },
	{ "encoded dots do not either", "/fn/acme/%2e%2e/x", "/fn/", "",
	    ROUTE_BAD_TARGET, "", "", "", "", "" },
	{ "R4: an encoded slash is refused", "/fn/acme%2fhello", "/fn/", "",
	    ROUTE_BAD_TARGET, "", "", "", "", "" },
	{ "NUL is refused", "/fn/acme/hello%00.py", "/fn/", "",
	    ROUTE_BAD_TARGET, "", "", "", "", "" },
	{ "an asterisk names nothing", "*", "/fn/", "", ROUTE_BAD_TARGET, "",
	    "", "", "", "" },
	{ "a function is never a dotfile", "/fn/acme/.hello", "/fn/", "",
	    ROUTE_BAD_NAME, "acme", ".hello", "", "", "" },
	{ "nor has it a newline", "/fn/acme/hello%0a", "/fn/", "",
	    ROUTE_BAD_NAME, "acme", "hello\n", "", "", "" },
	{ "nor a tilde behind it", "/fn/acme/hello.sh~", "/fn/", "",
	    ROUTE_BAD_NAME, "acme", "hello.sh~", "", "", "" },
	{ "a tenant is no dotfile", "/fn/.git/hello", "/fn/", "",
	    ROUTE_BAD_TENANT, ".git", "", "", "", "" },
	{ "a tenant begins with a letter or digit", "/fn/-acme/hello", "/fn/",
	    "", ROUTE_BAD_TENANT, "-acme", "", "", "", "" },
	{ "behind /~ is a tenant", "/~acme/hello/a", "/~", "", ROUTE_FOUND,
	    "acme", "hello", "/~acme/hello", "/a", "" },
	{ "a user is a tenant of that name", "/fn/~bob/hello", "/fn/", "",
	    ROUTE_FOUND, "~bob", "hello", "/fn/~bob/hello", "", "" },
	{ "a tenant has no capitals", "/fn/Upper/hello", "/fn/", "",
	    ROUTE_BAD_TENANT, "Upper", "", "", "", "" },
	{ "a virtual host may name no tenant there can be", "/hello", "/",
	    "acme.org", ROUTE_BAD_TENANT, "acme.org", "", "", "", "" },
};

/* Where users have functions. */
static const struct route_row user_routes[] = {
	{ "behind /~ is a user", "/~bob/hello/a", "/~", "", ROUTE_FOUND, "~bob",
	    "hello", "/~bob/hello", "/a", "" },
	{ "... however it is encoded", "/%7Ebob/hello", "/~", "", ROUTE_FOUND,
	    "~bob", "hello", "/~bob/hello", "", "" },
	{ "... and nothing else is there", "/acme/hello", "/~", "",
	    ROUTE_NOT_OURS, "", "", "", "", "" },
	{ "nobody is called ~", "/~/hello", "/~", "", ROUTE_BAD_TENANT, "~", "",
	    "", "", "" },
};

static void
assert_text(struct span got, const char *wanted)
{
	char *text = span_dup(got);

	assert_string_equal(text ? text : "", wanted);
	free(text);
}

static void
check_route(const struct route_row *row, bool users)
{
	struct buf decoded;
	struct route route;
	const char *why;

	buf_init(&decoded, ROUTE_TARGET_MOST);
	assert_int_equal(route_find(span_of(row->target), span_of(row->prefix),
			     users, span_of(row->host_tenant), &decoded, &route,
			     &why),
	    row->result);
	assert_true((why != NULL) == (row->result == ROUTE_BAD_TARGET));
	assert_text(route.tenant, row->tenant);
	assert_text(route.function, row->function);
	assert_text(route.script_name, row->script_name);
	assert_text(route.path_info, row->path_info);
	if (row->result == ROUTE_FOUND)
		assert_text(route.query, row->query);
	buf_free(&decoded);
}

static void
test_route(void **state)
{
	check_route(*state, false);
}

static void
test_user_route(void **state)
{
	check_route(*state, true);
}

static const struct id_row {
	const char *sentence;
	struct span id;
	bool valid;
} client_ids[] = {
	{ "a client's id may be a UUID",
	    SPAN("5f3e0c1a-9c1b-4d0e-8f55-0123456789ab"), true },
	{ "it may not be empty", SPAN(""), false },
	{ "it may not break a log line", SPAN("a\nb"), false },
	{ "it may not hold NUL", SPAN("a\0b"), false },
	{ "it may not hold quotes", SPAN("a\"b"), false },
	{ "it may not hold blanks", SPAN("a b"), false },
};

static void
test_client_id(void **state)
{
	const struct id_row *row = *state;

	assert_int_equal(client_request_id_valid(row->id), row->valid);
}

static void
test_ids_sort(void **state)
{
	static const uint8_t most[10] = { 255, 255, 255, 255, 255, 255, 255,
		255, 255, 255 };
	static const uint8_t least[10];
	char a[REQUEST_ID_CHARS + 1], b[REQUEST_ID_CHARS + 1];

	(void)state;
	request_id_make(a, 1790000000000, most);
	request_id_make(b, 1790000000001, least);
	assert_int_equal(strlen(a), REQUEST_ID_CHARS);
	assert_true(strcmp(a, b) < 0);
	assert_string_equal(b + 10, "0000000000000000");
	assert_string_equal(a + 10, "ZZZZZZZZZZZZZZZZ");
	assert_true(client_request_id_valid(span_of(a)));
}

/* Also within a millisecond, when the clock goes back, and at the last number of
 * a millisecond. */
static void
test_ids_sort_whatever_the_clock_says(void **state)
{
	static const uint64_t clock_says[] = { 1790000000000, 1790000000000,
		1790000000000, 1700000000000, 1790000000001, 1790000000009 };
	static const uint8_t most[10] = { 255, 255, 255, 255, 255, 255, 255,
		255, 255, 254 };
	char before[REQUEST_ID_CHARS + 1] = "", id[REQUEST_ID_CHARS + 1];
	struct request_id_last last = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(clock_says); i++) {
		request_id_next(&last, id, clock_says[i], most);
		assert_true(strcmp(before, id) < 0);
		memcpy(before, id, sizeof(id));
	}
}

/* Most of it may be the query: the path is not what is told to be too long. */
static void
test_long_target(void **state)
{
	static char target[ROUTE_TARGET_MOST + 1];
	struct buf decoded;
	struct route route;
	const char *why;

	(void)state;
	memset(target, 'q', sizeof(target));
	memcpy(target, "/fn/acme/hello?", 15);
	buf_init(&decoded, ROUTE_TARGET_MOST);
	assert_int_equal(route_find(span_make(target, sizeof(target) - 1),
			     SPAN("/fn/"), false, SPAN_NONE, &decoded, &route,
			     &why),
	    ROUTE_FOUND);
	assert_int_equal(route.query.bytes, ROUTE_TARGET_MOST - 15);
	buf_clear(&decoded);
	assert_int_equal(route_find(span_make(target, sizeof(target)),
			     SPAN("/fn/"), false, SPAN_NONE, &decoded, &route,
			     &why),
	    ROUTE_BAD_TARGET);
	assert_string_equal(why,
	    "path and query together are longer than 16 KiB");
	buf_free(&decoded);
}

int
main(void)
{
	static const struct CMUnitTest ids[] = {
		cmocka_unit_test(test_long_target),
		cmocka_unit_test(test_ids_sort),
		cmocka_unit_test(test_ids_sort_whatever_the_clock_says),
	};

	return RUN_ROWS(routes, test_route) +
	    RUN_ROWS(user_routes, test_user_route) +
	    RUN_ROWS(client_ids, test_client_id) +
	    cmocka_run_group_tests(ids, NULL, NULL);
}
