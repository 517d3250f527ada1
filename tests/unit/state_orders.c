/* SPDX-License-Identifier: MIT */
/* If this fails, the store is asked for something else than the client wrote, or
 * a body takes more memory than it may. */
#include "rows.h"

#include "state/orders.h"

static const struct orders_limits limits = {
	.checks = 2, .ops = 3, .keys = 2, .value = 8
};

static const struct refusal_row {
	const char *sentence;
	struct span body;
	enum problem problem;
	const char *why; /* begins with this */
} refusals[] = {
	{ "nothing", SPAN(""), PROBLEM_BAD_JSON, "" },
	{ "no JSON", SPAN("{\"ops\":"), PROBLEM_BAD_JSON, "line 1" },
	{ "a list", SPAN("[]"), PROBLEM_BAD_JSON, "it is to be an object" },
	{ "what follows the document", SPAN("{\"ops\":[]} x"), PROBLEM_BAD_JSON,
	    "line 1" },
	{ "a member twice", SPAN("{\"ops\":[],\"ops\":[]}"), PROBLEM_BAD_JSON,
	    "line 1" },
	{ "NUL in a string",
	    SPAN("{\"ops\":[{\"op\":\"delete\",\"key\":\"a\\u0000\"}]}"),
	    PROBLEM_BAD_JSON, "line 1" },
	{ "half a surrogate",
	    SPAN("{\"ops\":[{\"op\":\"delete\",\"key\":\"\\ud800\"}]}"),
	    PROBLEM_BAD_JSON, "line 1" },
	{ "bytes that are no UTF-8",
	    SPAN("{\"ops\":[{\"op\":\"delete\",\"key\":\"\xff\"}]}"),
	    PROBLEM_BAD_JSON, "line 1" },
	{ "neither checks nor ops", SPAN("{}"), PROBLEM_BAD_JSON,
	    "there are neither" },
	{ "a member nobody knows", SPAN("{\"op\":[]}"), PROBLEM_BAD_JSON,
	    "there is no member \"op\" here" },
	{ "ops that are no list", SPAN("{\"ops\":{}}"), PROBLEM_BAD_JSON,
	    "checks and ops are lists" },
	{ "an op that is no object", SPAN("{\"ops\":[1]}"), PROBLEM_BAD_JSON,
	    "ops[0]: op is to be" },
	{ "a check that is no object", SPAN("{\"checks\":[1]}"),
	    PROBLEM_BAD_JSON, "checks[0]: it is to be" },
	{ "a misspelt check",
	    SPAN("{\"checks\":[{\"key\":\"a\",\"verison\":1}]}"),
	    PROBLEM_BAD_JSON,
	    "checks[0]: there is no member \"verison\" here" },
	{ "a check without a version", SPAN("{\"checks\":[{\"key\":\"a\"}]}"),
	    PROBLEM_BAD_JSON, "checks[0]: version" },
	{ "version 0", SPAN("{\"checks\":[{\"key\":\"a\",\"version\":0}]}"),
	    PROBLEM_BAD_JSON, "checks[0]: version" },
	{ "a version as text",
	    SPAN("{\"checks\":[{\"key\":\"a\",\"version\":\"1\"}]}"),
	    PROBLEM_BAD_JSON, "checks[0]: version" },
	{ "a key that is none",
	    SPAN("{\"ops\":[{\"op\":\"delete\",\"key\":\"a/../b\"}]}"),
	    PROBLEM_BAD_KEY, "ops[0]: the key has a segment" },
	{ "an empty key", SPAN("{\"ops\":[{\"op\":\"delete\",\"key\":\"\"}]}"),
	    PROBLEM_BAD_KEY, "ops[0]: the key is empty" },
	{ "no key", SPAN("{\"ops\":[{\"op\":\"delete\"}]}"), PROBLEM_BAD_JSON,
	    "ops[0]: a key is to be a string" },
	{ "events are not there yet",
	    SPAN("{\"ops\":[{\"op\":\"enqueue\",\"function\":\"mail\"}]}"),
	    PROBLEM_UNSUPPORTED_OPERATION,
	    "ops[0]: this host has no operation enqueue: it comes" },
	{ "an operation nobody knows",
	    SPAN("{\"ops\":[{\"op\":\"drop\",\"key\":\"a\"}]}"),
	    PROBLEM_UNSUPPORTED_OPERATION,
	    "ops[0]: this host has no operation drop" },
	{ "a value and none",
	    SPAN("{\"ops\":[{\"op\":\"set\",\"key\":\"a\"}]}"),
	    PROBLEM_BAD_JSON, "ops[0]: it needs a string" },
	{ "two values",
	    SPAN("{\"ops\":[{\"op\":\"set\",\"key\":\"a\",\"value\":\"\","
		 "\"b64\":\"\"}]}"),
	    PROBLEM_BAD_JSON, "ops[0]: it needs a string" },
	{ "a value that is no text",
	    SPAN("{\"ops\":[{\"op\":\"set\",\"key\":\"a\",\"value\":1}]}"),
	    PROBLEM_BAD_JSON, "ops[0]: it needs a string" },
	{ "base 64 of another kind",
	    SPAN("{\"ops\":[{\"op\":\"set\",\"key\":\"a\",\"b64\":\"Zg\"}]}"),
	    PROBLEM_BAD_JSON, "ops[0]: b64 is not" },
	{ "a value above its limit",
	    SPAN("{\"ops\":[{\"op\":\"set\",\"key\":\"a\","
		 "\"value\":\"123456789\"}]}"),
	    PROBLEM_TOO_LARGE, "ops[0]: the value is larger than 8 bytes" },
	{ "the second b64 above its limit",
	    SPAN("{\"ops\":[{\"op\":\"set\",\"key\":\"a\",\"b64\":\"Zg==\"},"
		 "{\"op\":\"set\",\"key\":\"b\",\"b64\":\"MTIzNDU2Nzg5\"}]}"),
	    PROBLEM_TOO_LARGE, "ops[1]: the value is larger than 8 bytes" },
	{ "a type that would be a header of its own",
	    SPAN("{\"ops\":[{\"op\":\"set\",\"key\":\"a\",\"value\":\"\","
		 "\"type\":\"a/b\\r\\nSet-Cookie: x\"}]}"),
	    PROBLEM_BAD_JSON, "ops[0]: type is no content type" },
	{ "both expiries",
	    SPAN("{\"ops\":[{\"op\":\"set\",\"key\":\"a\",\"value\":\"\","
		 "\"ttl\":1,\"expires\":2}]}"),
	    PROBLEM_BAD_JSON, "ops[0]: it has both" },
	{ "no time at all",
	    SPAN("{\"ops\":[{\"op\":\"set\",\"key\":\"a\",\"value\":\"\","
		 "\"ttl\":0}]}"),
	    PROBLEM_BAD_JSON, "ops[0]: ttl" },
	{ "time that runs backwards",
	    SPAN("{\"ops\":[{\"op\":\"set\",\"key\":\"a\",\"value\":\"\","
		 "\"ttl\":-1}]}"),
	    PROBLEM_BAD_JSON, "ops[0]: ttl" },
	{ "a number with a part",
	    SPAN("{\"ops\":[{\"op\":\"sum\",\"key\":\"a\",\"by\":1.5}]}"),
	    PROBLEM_BAD_JSON, "ops[0]: by is to be a whole number" },
	{ "a number above 64 bits",
	    SPAN("{\"ops\":[{\"op\":\"sum\",\"key\":\"a\","
		 "\"by\":9223372036854775808}]}"),
	    PROBLEM_BAD_JSON, "line 1" },
	{ "bounds the wrong way round",
	    SPAN("{\"ops\":[{\"op\":\"sum\",\"key\":\"a\",\"min\":2,"
		 "\"max\":1}]}"),
	    PROBLEM_BAD_JSON, "ops[0]: min is more than max" },
	{ "max needs its number",
	    SPAN("{\"ops\":[{\"op\":\"max\",\"key\":\"a\"}]}"),
	    PROBLEM_BAD_JSON, "ops[0]: by is to be a number" },
	{ "max has no bounds",
	    SPAN("{\"ops\":[{\"op\":\"max\",\"key\":\"a\",\"by\":1,"
		 "\"min\":1}]}"),
	    PROBLEM_BAD_JSON, "ops[0]: there is no member \"min\" here" },
	{ "too many checks",
	    SPAN("{\"checks\":[{\"key\":\"a\",\"version\":1},{\"key\":\"a\","
		 "\"version\":1},{\"key\":\"a\",\"version\":1}]}"),
	    PROBLEM_TOO_LARGE, "there are more than 2 checks" },
	{ "too many ops",
	    SPAN("{\"ops\":[{\"op\":\"delete\",\"key\":\"a\"},"
		 "{\"op\":\"delete\",\"key\":\"a\"},"
		 "{\"op\":\"delete\",\"key\":\"a\"},"
		 "{\"op\":\"delete\",\"key\":\"a\"}]}"),
	    PROBLEM_TOO_LARGE, "there are more than 2 checks or 3 ops" },
	{ "nested too deep", SPAN("{\"ops\":[[[[[[[[[[]]]]]]]]]]}"),
	    PROBLEM_BAD_JSON, "it is nested more than 8 deep" },
};

static void
test_refusal(void **state)
{
	const struct refusal_row *row = *state;
	struct orders orders;

	orders_init(&orders);
	assert_int_equal(orders_read_atomic(&orders, row->body, &limits), -1);
	assert_int_equal(orders.problem, row->problem);
	if (strncmp(orders.why, row->why, strlen(row->why)) != 0)
		assert_string_equal(orders.why, row->why);
	orders_free(&orders);
}

static void
test_atomic(void **state)
{
	struct orders o;

	(void)state;
	orders_init(&o);
	assert_int_equal(
	    orders_read_atomic(&o,
		SPAN("{\"checks\":[{\"key\":\"a\",\"version\":57},"
		     "{\"key\":\"lock\",\"version\":null}],\"ops\":["
		     "{\"op\":\"set\",\"key\":\"a\",\"value\":\"text\","
		     "\"type\":\"text/plain\",\"ttl\":60},"
		     "{\"op\":\"set\",\"key\":\"b\",\"b64\":\"AAE=\"},"
		     "{\"op\":\"sum\",\"key\":\"n\",\"by\":-1,\"min\":0,"
		     "\"ttl\":\"250ms\"}]}"),
		&limits),
	    0);
	assert_int_equal(o.check_count, 2);
	assert_int_equal(o.checks[0].kind, STORE_VERSION);
	assert_int_equal(o.checks[0].versions[0], 57);
	assert_int_equal(o.checks[1].kind, STORE_ABSENT);
	assert_int_equal(o.op_count, 3);
	assert_int_equal(o.ops[0].kind, STORE_SET);
	assert_true(span_equal(o.ops[0].value, SPAN("text")));
	assert_true(span_equal(o.ops[0].type, SPAN("text/plain")));
	assert_int_equal(o.ops[0].expiry, STORE_FOR);
	assert_int_equal(o.ops[0].expires_ms, 60000);
	assert_true(span_equal(o.ops[1].value, SPAN("\0\1")));
	assert_int_equal(o.ops[1].expiry, STORE_FOREVER);
	assert_int_equal(o.ops[2].kind, STORE_SUM);
	assert_int_equal(o.ops[2].number, -1);
	assert_true(o.ops[2].has_least && !o.ops[2].has_most);
	assert_int_equal(o.ops[2].expiry, STORE_FOR_NEW);
	assert_int_equal(o.ops[2].expires_ms, 250);
	orders_free(&o);
}

static void
test_counter(void **state)
{
	struct orders o;

	(void)state;
	orders_init(&o);
	assert_int_equal(orders_read_counter(&o, SPAN("k"), SPAN("")), 0);
	assert_int_equal(o.ops[0].number, 1);
	assert_int_equal(o.ops[0].expiry, STORE_KEEP);
	assert_int_equal(
	    orders_read_counter(&o, SPAN("k"),
		SPAN("{\"by\":-9223372036854775808,\"min\":0,\"max\":100}")),
	    0);
	assert_true(o.ops[0].number == INT64_MIN);
	assert_true(o.ops[0].has_least && o.ops[0].has_most);
	assert_int_equal(o.ops[0].most, 100);
	assert_int_equal(orders_read_counter(&o, SPAN("k"),
			     SPAN("{\"key\":\"x\"}")),
	    -1);
	orders_free(&o);
}

static void
test_many(void **state)
{
	struct orders o;

	(void)state;
	orders_init(&o);
	assert_int_equal(orders_read_many(&o, SPAN("{\"keys\":[\"a\",\"b\"]}"),
			     &limits),
	    0);
	assert_int_equal(o.key_count, 2);
	assert_true(o.values);
	assert_true(span_equal(o.keys[1], SPAN("b")));
	assert_int_equal(orders_read_many(&o,
			     SPAN("{\"keys\":[\"a\"],\"values\":false}"),
			     &limits),
	    0);
	assert_false(o.values);
	assert_int_equal(orders_read_many(&o,
			     SPAN("{\"keys\":[\"a\",\"b\",\"c\"]}"), &limits),
	    -1);
	assert_int_equal(o.problem, PROBLEM_TOO_LARGE);
	assert_int_equal(o.limit, 2);
	assert_int_equal(o.size, 3);
	assert_int_equal(orders_read_many(&o, SPAN("{\"keys\":[]}"), &limits),
	    -1);
	orders_free(&o);
}

/* A body of small values would be many times as large in memory. */
static void
test_values_most(void **state)
{
	static char body[64 * 1024];
	struct orders o;

	(void)state;
	memset(body, ',', sizeof(body));
	orders_init(&o);
	assert_int_equal(orders_read_atomic(&o, span_make(body, sizeof(body)),
			     &limits),
	    -1);
	assert_int_equal(o.problem, PROBLEM_TOO_LARGE);
	assert_null(o.document);
	orders_free(&o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_atomic),
		cmocka_unit_test(test_counter),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_values_most),
	};

	return RUN_ROWS(refusals, test_refusal) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
