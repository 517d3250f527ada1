/* SPDX-License-Identifier: MIT */
/* If this fails, who waits for a change of state misses one, hears of one twice, or
 * waits for ever. */
#include "state_client.h"

/* ---- waiting ---------------------------------------------------------------------- */

static void
test_long_poll(void **state)
{
	struct client c;

	(void)state;
	ask("PUT /state/v1/kv/a", "", "1");
	client_open(&c, "GET /state/v1/kv/a?since=1&wait=20", "", &all_of_acme);
	client_send(&c, SPAN(""), true);
	loop_once(loop, 20);
	ask("PUT /state/v1/kv/b", "", "another");
	client_take(&c);
	assert_false(c.ended);
	ask("PUT /state/v1/kv/a", "", "2");
	client_wait(&c, NULL);
	expect(buf_string(&c.answer), "changed", "ETag: \"3\"");
	client_close(&c);

	client_open(&c, "GET /state/v1/kv/a?since=3&wait=20", "", &all_of_acme);
	client_send(&c, SPAN(""), true);
	loop_once(loop, 20);
	ask("DELETE /state/v1/kv/a", "", "");
	client_wait(&c, NULL);
	expect(buf_string(&c.answer), "deleted", "Status: 404");
	client_close(&c);

	client_open(&c, "GET /state/v1/kv/a?since=4&wait=30ms", "",
	    &all_of_acme);
	client_send(&c, SPAN(""), true);
	client_wait(&c, NULL);
	expect(buf_string(&c.answer), "time is up", "Status: 304");
	client_close(&c);

	client_open(&c, "GET /state/v1/watch?prefix=b&since=4&wait=20", "",
	    &all_of_acme);
	client_send(&c, SPAN(""), true);
	loop_once(loop, 20);
	ask("PUT /state/v1/kv/a", "", "not this");
	ask("PUT /state/v1/kv/b", "", "this");
	client_wait(&c, NULL);
	expect(buf_string(&c.answer), "a page",
	    "{\"version\":6,\"changes\":[{\"version\":6,\"op\":\"set\","
	    "\"key\":\"b\"}],\"more\":false}");
	client_close(&c);
}

static void
test_events(void **state)
{
	struct client c;

	(void)state;
	ask("PUT /state/v1/kv/a", "", "1");
	ask("PUT /state/v1/kv/a", "", "2");
	client_open(&c, "GET /state/v1/watch?since=9",
	    "Accept: text/event-stream\nLast-Event-ID: 1", &all_of_acme);
	client_send(&c, SPAN(""), true);
	client_wait(&c, "id: 2\n");
	expect(buf_string(&c.answer), "head", "X-Accel-Buffering: no\r\n");
	expect(buf_string(&c.answer), "head",
	    "Content-Type: text/event-stream\r\n");
	ask("POST /state/v1/atomic", "",
	    "{\"ops\":[{\"op\":\"set\",\"key\":\"x\",\"value\":\"\"},"
	    "{\"op\":\"delete\",\"key\":\"a\"}]}");
	client_wait(&c,
	    "event: set\ndata: {\"version\":3,\"op\":\"set\",\"key\":\"x\"}"
	    "\n\nid: 3\nevent: delete\n");
	assert_false(c.ended);
	assert_null(strstr(buf_string(&c.answer), "\"version\":1"));

	/* Those that wait leave when the host stops. */
	api_drain(api);
	client_wait(&c, NULL);
	assert_true(c.ended);
	client_close(&c);
}

/* F17: from every version on, each change comes once. */
static void
test_resume(void **state)
{
	char what[128], last[32];

	(void)state;
	for (int i = 1; i <= 12; i++) {
		snprintf(what, sizeof(what), "PUT /state/v1/kv/k%d", i);
		ask(what, "", "x");
	}
	for (int since = 0; since < 12; since++) {
		struct client c;
		const char *at;
		int next = since;

		snprintf(last, sizeof(last), "Accept: text/event-stream");
		snprintf(what, sizeof(what), "GET /state/v1/watch?since=%d",
		    since);
		client_open(&c, what, last, &all_of_acme);
		client_send(&c, SPAN(""), true);
		client_wait(&c, "id: 12\n");
		for (at = buf_string(&c.answer);
		     (at = strstr(at, "id: ")) != NULL; at++)
			assert_int_equal(atoi(at + 4), ++next);
		assert_int_equal(next, 12);
		client_close(&c);
	}
}

static void
test_watchers_most(void **state)
{
	struct client c[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		client_open(&c[i], "GET /state/v1/watch",
		    "Accept: text/event-stream", &all_of_acme);
		client_send(&c[i], SPAN(""), true);
		client_wait(&c[i], ": changes");
	}
	expect(ask("GET /state/v1/kv/a?since=0&wait=1", "", ""), "a third",
	    ":rate-limited\"");
	expect(ask("GET /state/v1/kv/a?since=0", "", ""), "without waiting",
	    "Status: 304");
	client_close(&c[0]);
	expect(ask("GET /state/v1/kv/a?since=0&wait=1ms", "", ""),
	    "there is room again", "Status: 304");
	client_close(&c[1]);
}

static void
note(void *arg, const struct store_result *result)
{
	*(int *)arg = (int)result->status;
}

static void
wait_for(const int *status)
{
	uint64_t begun_ms = clock_ms();

	while (*status < 0) {
		assert_true(clock_ms() - begun_ms < DEADLINE_MS);
		loop_once(loop, 20);
	}
	assert_int_equal(*status, STORE_OK);
}

/* What was there before a restore is no longer known: a stream says so and ends, a
 * poll looks again. */
static void
test_compacted(void **state)
{
	struct client stream, poll;
	int status = -1;

	(void)state;
	if (!(engine->can & STORE_CAN_BACKUP))
		skip();
	ask("PUT /state/v1/kv/a", "", "1");
	assert_int_equal(engine->backup(store, SPAN("acme"), exports_fd,
			     SPAN("copy"), note, &status),
	    0);
	wait_for(&status);
	ask("PUT /state/v1/kv/a", "", "2");
	client_open(&stream, "GET /state/v1/watch?since=2",
	    "Accept: text/event-stream", &all_of_acme);
	client_send(&stream, SPAN(""), true);
	client_wait(&stream, ": changes");
	client_open(&poll, "GET /state/v1/kv/a?since=2&wait=20", "",
	    &all_of_acme);
	client_send(&poll, SPAN(""), true);
	loop_once(loop, 20);
	status = -1;
	assert_int_equal(engine->restore(store, SPAN("acme"), exports_fd,
			     SPAN("copy"), note, &status),
	    0);
	wait_for(&status);
	client_wait(&stream, NULL);
	expect(buf_string(&stream.answer), "a stream",
	    "event: compacted\ndata: {\"oldest\":");
	client_wait(&poll, NULL);
	expect(buf_string(&poll.answer), "a poll", "\r\n\r\n1");
	client_close(&stream);
	client_close(&poll);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		API_TEST(test_long_poll),
		API_TEST(test_events),
		API_TEST(test_resume),
		API_TEST(test_watchers_most),
		API_TEST(test_compacted),
	};

	return run_over_engines(tests, COUNT(tests));
}
