/* SPDX-License-Identifier: MIT */
/* If this fails, a client that goes away, or a store that fails or is slow, leaves
 * something behind, or gets an answer that is not so. */
#include "state/store_fault.h"
#include "state_client.h"

#define BROKEN(test) cmocka_unit_test_setup_teardown(test, begin, end_broken)

/* F10: who goes away leaves nothing behind, whatever it was waiting for. */
static void
test_gone(void **state)
{
	struct api_figures figures;
	struct client c;

	(void)state;
	client_open(&c, "PUT /state/v1/kv/a", "Content-Length: 10",
	    &all_of_acme);
	client_send(&c, SPAN("12345"), false);
	loop_once(loop, 20);
	client_close(&c);
	client_open(&c, "PUT /state/v1/kv/b", "", &all_of_acme);
	client_send(&c, SPAN("12345"), true);
	client_close(&c); /* maybe while the store works at it */
	client_open(&c, "GET /state/v1/kv/b?since=0&wait=10", "", &all_of_acme);
	client_send(&c, SPAN(""), true);
	client_close(&c);
	client_open(&c, "GET /state/v1/export", "", &all_of_acme);
	client_send(&c, SPAN(""), true);
	client_close(&c);
	for (int i = 0; i < 500; i++) {
		api_report(api, &figures);
		if (figures.calls == 0)
			break;
		loop_once(loop, 10);
	}
	assert_int_equal(figures.calls, 0);
	assert_int_equal(figures.watchers, 0);
	assert_int_equal(figures.bodies, 0);
	expect(ask("GET /state/v1/kv/a", "", ""), "half a body", "404");
}

static void
test_export(void **state)
{
	const char *answer;

	(void)state;
	expect(ask("PUT /state/v1/kv/a", "", "1"), "put", "201");
	answer = ask("GET /state/v1/export", "", "");
	if (!(engine->can & STORE_CAN_BACKUP)) {
		expect(answer, "no copies", ":unsupported-operation\"");
		return;
	}
	expect(answer, "a copy", "Content-Type: application/vnd.sqlite3\r\n");
	expect(answer, "a file of SQLite", "\r\n\r\nSQLite format 3");
	assert_int_equal(faccessat(exports_fd, "export-1", F_OK, 0), -1);
	answer = ask("HEAD /state/v1/export", "", "");
	expect(answer, "its size", "Content-Length: ");
	assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
}

/* ---- a store that fails ---------------------------------------------------------- */

/* The api gets the broken store, which takes the good one over. */
static void
break_store(const struct store_fault_plan *plan)
{
	store = store_fault_new(engine, store, loop, plan);
	api->engine = &store_fault;
	api->store = store;
}

static void
mend_store(void)
{
	static const struct store_fault_plan none = { .seed = 1 };

	store_fault_change(store, &none);
}

static int
end_broken(void **state)
{
	const struct store_engine *mended = engine;
	int result;

	engine = &store_fault; /* closes what it took over */
	result = end(state);
	engine = mended;
	return result;
}

/* F2: an error is said, nothing was done, and the next request works. */
static void
test_store_fails(void **state)
{
	static const struct store_fault_plan all = { .seed = 1,
		.fail_per_mille = 1000 };
	static const char *const whats[] = { "GET /state/v1/kv/a",
		"PUT /state/v1/kv/a", "DELETE /state/v1/kv/a",
		"GET /state/v1/kv", "DELETE /state/v1/kv?prefix=a",
		"POST /state/v1/counter/a", "GET /state/v1/" };

	(void)state;
	break_store(&all);
	for (size_t i = 0; i < COUNT(whats); i++) {
		const char *answer = ask(whats[i], "", "");

		expect(answer, whats[i], "Status: 503 ");
		expect(answer, whats[i], "Retry-After: ");
		expect(answer, whats[i], ":storage-unavailable\"");
		expect(answer, whats[i], "\"outcome\":\"none\"");
	}
	mend_store();
	expect(ask("GET /state/v1/kv/a", "", ""), "mended", "404");
	expect(ask("PUT /state/v1/kv/a", "", "x"), "mended", "201");
}

/* An answer that was lost: the outcome is unknown, and the Idempotency-Key finds
 * out without doing it twice. */
static void
test_store_loses(void **state)
{
	static const struct store_fault_plan all = { .seed = 1,
		.lose_per_mille = 1000 };

	(void)state;
	break_store(&all);
	expect(ask("POST /state/v1/counter/n", "Idempotency-Key: \"k\"", ""),
	    "lost", "\"outcome\":\"unknown\"");
	mend_store();
	expect(ask("POST /state/v1/counter/n", "Idempotency-Key: \"k\"", ""),
	    "again", "Idempotency-Replayed: true");
	expect(ask("GET /state/v1/kv/n", "", ""), "once", "\r\n\r\n1");
}

/* While the store works at it, a client may go, or send it again. */
static void
test_store_is_slow(void **state)
{
	static const struct store_fault_plan slow = { .seed = 7,
		.delay_ms = 300 };
	struct client c[20];
	struct api_figures figures;

	(void)state;
	break_store(&slow);
	client_open(&c[0], "POST /state/v1/counter/n", "Idempotency-Key: k",
	    &all_of_acme);
	client_send(&c[0], SPAN(""), true);
	api_report(api, &figures);
	while (api->idempotency.count == 0)
		loop_once(loop, 10);
	expect(ask("POST /state/v1/counter/n", "Idempotency-Key: k", ""),
	    "in flight", ":idempotency-in-flight\"");
	client_close(&c[0]); /* and its key is free when the store is done */
	while (api->idempotency.count > 0)
		loop_once(loop, 10);
	expect(ask("POST /state/v1/counter/n", "Idempotency-Key: k", ""),
	    "done", "\"value\":1");

	for (size_t i = 0; i < COUNT(c); i++) {
		client_open(&c[i],
		    i % 2 ? "GET /state/v1/watch?since=0&wait=20" :
			    "PUT /state/v1/kv/x",
		    "", &all_of_acme);
		client_send(&c[i], SPAN("x"), true);
		loop_once(loop, 1);
		client_close(&c[i]);
	}
	do {
		loop_once(loop, 10);
		api_report(api, &figures);
	} while (figures.calls > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		API_TEST(test_gone),
		API_TEST(test_export),
		BROKEN(test_store_fails),
		BROKEN(test_store_loses),
		BROKEN(test_store_is_slow),
	};

	return run_over_engines(tests, COUNT(tests));
}
