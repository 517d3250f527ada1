/* SPDX-License-Identifier: MIT */
/* If this fails, a client gets another reply than the function wrote, or none,
 * or one that looks whole and is not. Names S1 to S14 are those of the RFC 3875
 * checklist. */
#include <sys/ioctl.h>

#include "gateway_web.h"

/* ---- a table of whole replies ------------------------------------------------- */

struct row {
	const char *sentence;
	const char *method;
	const char *wrote; /* by the function, all at once, then it ends */
	int wait_status;
	uint64_t ran_us;
	unsigned status; /* in the answer; 0: the connection breaks */
	const char *has; /* in the answer */
	const char *end; /* in the record */
};

#define T "Content-Type: text/plain\n"
#define EXIT(code) ((code) << 8)

static const struct row rows[] = {
	{ "S2: a document", "GET", T "\nhi", 0, 0, 200, "\r\n\r\nhi", "done" },
	{ "S2: no body at all", "GET", T "\n", 0, 0, 200, "text/plain",
	    "done" },
	{ "S4: another place", "GET", "Location: http://a/b#c\n\n", 0, 0, 302,
	    "Location: http://a/b#c\r\n", "done" },
	{ "S5: created", "GET", "Status: 201 Made\nLocation: /a\n" T "\nx", 0,
	    0, 201, "Status: 201 Made\r\n", "done" },
	{ "S6: a status without words gets some", "GET", "Status: 404\n" T "\n",
	    0, 0, 404, "Status: 404 Not Found\r\n", "done" },
	{ "S6: 1000 is none", "GET", "Status: 1000 x\n\n", 0, 0, 502,
	    "bad-reply", "bad-reply" },
	{ "S1: two types", "GET", T T "\n", 0, 0, 502, "bad-reply",
	    "bad-reply" },
	{ "S9: HEAD has no body", "HEAD", T "Content-Length: 2\n\nhi", 0, 0,
	    200, "Content-Length: 2\r\n", "done" },
	{ "S9: HEAD may be answered without one", "HEAD",
	    T "Content-Length: 2\n\n", 0, 0, 200, "Content-Length: 2\r\n",
	    "done" },
	{ "S12: nothing", "GET", "", EXIT(3), 0, 502, "exit 3", "no-reply" },
	{ "S12: half a header", "GET", T, 0, 0, 502, "before the header",
	    "bad-reply" },
	{ "S12: garbage", "GET", "hello\n\n", 0, 0, 502, "bad-reply",
	    "bad-reply" },
	{ "S12: a failure after a whole reply is one for the log", "GET",
	    T "\nhi", EXIT(9), 0, 200, "hi", "done" },
	{ "S13: more than announced is cut", "GET",
	    T "Content-Length: 2\n\nhimore", 0, 0, 200, "\r\n\r\nhi", "done" },
	{ "S13: less than announced is no reply", "GET",
	    T "Content-Length: 9\n\nhi", 0, 0, 502, "7 bytes are missing",
	    "short-reply" },
	{ "S13: a length that is none", "GET", T "Content-Length: +5\n\nhello",
	    0, 0, 502, "bad-reply", "bad-reply" },
	{ "S14: 204 has no body", "GET", "Status: 204 No\n\nbody", 0, 0, 204,
	    "Status: 204 No\r\n", "done" },
	{ "S14: no other protocol", "GET",
	    "Status: 101 Switching\nUpgrade: x\n\n", 0, 0, 502, "bad-reply",
	    "bad-reply" },
	{ "N1: a status line", "GET", "HTTP/1.1 418 Teapot\n" T "\nx", 0, 0,
	    418, "Status: 418 Teapot\r\n", "done" },
	{ "a crash before the header", "GET", "", SIGSEGV, 0, 502,
	    "signal SEGV", "crashed" },
	{ "a crash behind an unfinished reply", "GET", T "\nhi", SIGSEGV, 0,
	    502, "signal SEGV", "crashed" },
	{ "a crash behind a reply that was whole", "GET",
	    T "Content-Length: 2\n\nhi", SIGSEGV, 0, 200, "hi", "done" },
	{ "T1: its alarm at the limit", "GET", "", SIGALRM, 10000000, 504,
	    "limits.time = 10", "time" },
	{ "its own alarm before the limit", "GET", "", SIGALRM, 900000, 502,
	    "signal ALRM", "crashed" },
	{ "X-Accel-Redirect is dropped", "GET",
	    T "X-Accel-Redirect: /secret\n\nhi", 0, 0, 200, "hi", "done" },
};

static void
one_reply(void **state)
{
	const struct row *row = *state;
	char method[32], status[32];
	const char *pairs[] = { method, "REQUEST_URI=/fn/acme/hello", NULL };
	struct start s;

	snprintf(method, sizeof(method), "REQUEST_METHOD=%s", row->method);
	snprintf(status, sizeof(status), "Status: %u ", row->status);
	setup(NULL);
	web_begin(&web, 1, true, pairs);
	web_body(&web, 1, SPAN_NONE);
	web_flush(&web);
	host_start(&host, &s);
	start_write(&s, row->wrote);
	host_ended(&host, &s,
	    (struct message_ended){ .how = ENDED_EXITED,
		.wait_status = (uint32_t)row->wait_status,
		.started_us = 1,
		.ended_us = 1 + row->ran_us });
	web_end(&web);
	assert_true(web.ended);
	assert_int_equal(web.stdout_ends, 1); /* F12 */
	web_has(&web, status);
	web_has(&web, row->has);
	web_has(&web, "X-Request-Id: ");
	web_has_not(&web, "X-Accel");
	web_has_not(&web, "more");
	if (strcmp(row->method, "HEAD") == 0)
		web_has_not(&web, "\r\n\r\nhi");
	host_record(&host, row->end, row->status);
	web_hello(&web, &host);
	teardown(NULL);
}

/* ---- replies that take their time ------------------------------------------------- */

static void
streamed(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/events");
	host_start(&host, &s);
	start_write(&s, "Content-Type: text/event-stream\n\ndata: 1\n\n");
	web_until(&web, "data: 1\n\n"); /* the run goes on */
	start_write(&s, "data: 2\n\n");
	web_until(&web, "data: 2\n\n");
	host_exit(&host, &s, 0);
	web_end(&web);
	assert_true(web.ended);
	host_record(&host, "done", 200);
}

/* A run that breaks off once something of it was seen must be seen to. */
static void
broken_off(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/events");
	host_start(&host, &s);
	start_write(&s, T "\nhalf");
	web_until(&web, "half");
	host_killed(&host, &s, SIGKILL, 10);
	web_end(&web);
	assert_false(web.ended);
	assert_true(web.closed);
	host_record(&host, "crashed", 200);
	web_close(&web);
	web_open(&web, &host);
	web_hello(&web, &host);
}

static void
short_and_seen(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/events");
	host_start(&host, &s);
	start_write(&s, T "Content-Length: 100\n\nhalf");
	web_until(&web, "half");
	host_exit(&host, &s, 0);
	web_end(&web);
	assert_false(web.ended);
	host_record(&host, "short-reply", 200);
}

static void
header_in_single_bytes(void **state)
{
	static const char text[] =
	    "Status: 200 Script output follows\r\n"
	    "Content-Type: text/html\r\nX-A: b\r\n\r\nbody";
	struct start s;

	(void)state;
	/* watched from the start, so that each byte may be an event */
	web_get(&web, "/fn/acme/slow");
	host_start(&host, &s);
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		assert_int_equal(write(s.out, text + i, 1), 1);
	web_until(&web, "body");
	host_exit(&host, &s, 0);
	web_end(&web);
	web_has(&web, "Status: 200 Script output follows\r\n");
	host_record(&host, "done", 200);
}

/* The pipe of a run is emptied after its end: 60000 bytes in it, no more. */
static void
a_full_pipe_at_the_end(void **state)
{
	static char body[60001];
	struct start s;

	(void)state;
	memset(body, 'x', 60000);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	start_write(&s, T "\n");
	start_write(&s, body);
	host_exit(&host, &s, 0);
	web_end(&web);
	assert_true(web.ended);
	assert_non_null(strstr(web.text, "\r\n\r\nxxxx"));
	assert_int_equal(web.bytes - 60000,
	    (size_t)(strstr(web.text, "\r\n\r\n") + 4 - web.text));
	host_record(&host, "done", 200);
}

/* Back-pressure: nobody reads, the function waits; then all of it comes. */
static void
slow_reader(void **state)
{
	enum { BYTES = 3 << 20 };
	static char block[65536];
	struct start s;
	size_t wrote = 0, read_bytes, idle = 0;

	(void)state;
	memset(block, 'x', sizeof(block));
	web_get(&web, "/fn/acme/big");
	host_start(&host, &s);
	fd_nonblock(s.out, true);
	start_write(&s, T "\n");
	while (wrote < BYTES) {
		size_t room = BYTES - wrote < sizeof(block) ? BYTES - wrote :
							      sizeof(block);
		ssize_t n = write(s.out, block, room);

		if (n > 0) {
			wrote += (size_t)n;
			idle = 0;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		/* stuck for good: the gateway holds back */
		if (poll(&(struct pollfd){ .fd = s.out, .events = POLLOUT }, 1,
			300) == 0 &&
		    ++idle == 1)
			break;
	}
	assert_true(wrote < 2 << 20);
	while (wrote < BYTES) {
		struct pollfd p = { .fd = s.out, .events = POLLOUT };

		if (poll(&p, 1, 0) == 1) {
			ssize_t n = write(s.out, block,
			    BYTES - wrote < sizeof(block) ? BYTES - wrote :
							    sizeof(block));

			assert_true(n > 0 || errno == EAGAIN);
			wrote += n > 0 ? (size_t)n : 0;
		} else
			assert_true(web_read(&web));
	}
	host_exit(&host, &s, 0);
	web_end(&web);
	assert_true(web.ended);
	read_bytes =
	    web.bytes - (size_t)(strstr(web.text, "\r\n\r\n") + 4 - web.text);
	assert_int_equal(read_bytes, BYTES);
	host_record(&host, "done", 200);
}

/* The reply is over with the main process; what it left is not waited for. */
static void
left_behind(void **state)
{
	struct start s;
	struct message_exited exited = { 0 };
	int out;

	(void)state;
	web_get(&web, "/fn/acme/daemon");
	host_start(&host, &s);
	start_write(&s, T "\nhello");
	exited.invocation = s.invocation;
	host_send(&host, host.launchers[s.launcher].fd, MESSAGE_EXITED, &exited,
	    NULL, 0);
	web_end(&web); /* though s.out is open */
	assert_true(web.ended);
	out = s.out;
	s.out = -1;
	host_exit(&host, &s, 0);
	host_record(&host, "done", 200);
	close(out);
	web_hello(&web, &host);
}

/* A run that closes its output and goes on: its reply is complete, its slot and
 * launcher are not free. */
static void
output_closed_early(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/tail");
	host_start(&host, &s);
	start_write(&s, T "\nhello");
	fd_close(&s.out);
	web_end(&web);
	assert_true(web.ended);
	web_hello(&web, &host);
	assert_int_equal(host.launcher_count, 2);
	host_exit(&host, &s, 0);
	host_record(&host, "done", 200);
}

static void
output_closed_without_reply(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	web_get(&web, "/fn/acme/tail");
	host_start(&host, &s);
	fd_close(&s.out);
	web_end(&web);
	web_has(&web, "Status: 502 ");
	host_expect(&host, MESSAGE_STOP, &e);
	host_killed(&host, &s, SIGTERM, 10);
	host_record(&host, "no-reply", 502);
}

/* ---- time limits, when the outcome comes later than the end of output ----------- */

static void
limited(uint64_t time_ms, uint64_t grace_ms)
{
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->limits[LIMIT_time] = time_ms;
	host.settings->limits[LIMIT_grace] = grace_ms;
}

/* An alarm closes the output; that it was one is known when the kernel has put
 * the process away. */
static void
outcome_is_late(void **state)
{
	struct start s;
	struct event e;
	uint64_t until_ms;

	(void)state;
	limited(100, 500);
	web_get(&web, "/fn/acme/events");
	host_start(&host, &s);
	until_ms = clock_ms() + 101;
	start_write(&s, T "\nhalf");
	web_until(&web, "half");
	while (clock_ms() < until_ms)
		poll(NULL, 0, 1);
	fd_close(&s.out);
	host_expect(&host, MESSAGE_STOP, &e); /* 50 ms behind the limit */
	host_killed(&host, &s, SIGALRM, 100000);
	web_end(&web);
	assert_false(web.ended);
	host_record(&host, "time", 200);
}

static void
outcome_of_a_stop_is_late(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	limited(20, 60);
	web_get(&web, "/fn/acme/events");
	host_start(&host, &s);
	start_write(&s, T "\nhalf");
	web_until(&web, "half");
	host_expect(&host, MESSAGE_STOP, &e);
	fd_close(&s.out);
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGKILL);
	host_killed(&host, &s, SIGKILL, 80000);
	web_end(&web);
	assert_false(web.ended);
	host_record(&host, "time", 200);
}

/* However late: as long as a reply that is missing is waited for, and longer. */
static void
outcome_is_very_late(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	limited(20, REPLY_MISSING_MS + 100);
	web_get(&web, "/fn/acme/slow");
	host_start(&host, &s);
	fd_close(&s.out);
	host_expect(&host, MESSAGE_STOP, &e);
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGKILL);
	host_killed(&host, &s, SIGKILL, 1200000);
	web_end(&web);
	assert_true(web.ended);
	web_has(&web, "Status: 504 ");
	web_has(&web, "limits.time = 20");
	host_record(&host, "time", 504);
}

/* It never comes: then the order to end counts. */
static void
outcome_never_comes(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	limited(20, 20);
	web_get(&web, "/fn/acme/slow");
	host_start(&host, &s);
	fd_close(&s.out);
	host_expect(&host, MESSAGE_CELL_KILL, &e);
	host_launcher_dies(&host, s.launcher);
	start_close(&s);
	web_end(&web);
	web_has(&web, "Status: 504 ");
	host_record(&host, "time", 504);
}

/* ---- S3 ------------------------------------------------------------------------------ */

static void
redirected(void **state)
{
	const char *pairs[] = { "REQUEST_METHOD=POST", "CONTENT_LENGTH=3",
		"CONTENT_TYPE=a/b", "REQUEST_URI=/fn/acme/hello/x?y", NULL };
	struct start s;

	(void)state;
	web_begin(&web, 1, true, pairs);
	web_body(&web, 1, SPAN("abc"));
	web_flush(&web);
	host_start(&host, &s);
	start_write(&s, "Location: /fn/acme/other/p%20q?z=1\n\n");
	host_exit(&host, &s, 0);
	host_start(&host, &s);
	assert_string_equal(start_env(&s, "REQUEST_METHOD"), "GET");
	assert_string_equal(start_env(&s, "SCRIPT_NAME"), "/fn/acme/other");
	assert_string_equal(start_env(&s, "PATH_INFO"), "/p q");
	assert_string_equal(start_env(&s, "QUERY_STRING"), "z=1");
	assert_string_equal(start_env(&s, "REDIRECT_URL"), "/fn/acme/hello/x");
	assert_null(start_env(&s, "CONTENT_LENGTH"));
	assert_null(start_env(&s, "CONTENT_TYPE"));
	assert_int_equal(s.in, -1);
	start_write(&s, T "\nthere");
	host_exit(&host, &s, 0);
	web_end(&web);
	web_has(&web, "there");
	host_record(&host, "done", 200);
	web_hello(&web, &host);
}

static void
redirected_for_ever(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/loop");
	for (int i = 0; i <= 10; i++) {
		host_start(&host, &s);
		start_write(&s, "Location: /fn/acme/loop\n\n");
		host_exit(&host, &s, 0);
	}
	web_end(&web);
	web_has(&web, "Status: 508 ");
	host_record(&host, "redirect-loop", 508);
	assert_int_equal(host.heard[MESSAGE_START], 11);
}

static void
redirected_outside(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	start_write(&s, "Location: /fn/other/secret\n\n");
	host_exit(&host, &s, 0);
	web_end(&web);
	web_has(&web, "Status: 302 ");
	web_has(&web, "Location: /fn/other/secret\r\n");
	host_record(&host, "done", 302);
	assert_int_equal(host.heard[MESSAGE_TENANT_ASK], 1);
}

/* ---- limits ---------------------------------------------------------------------------- */

/* It is passed on before the run is over; what the function says after it
 * neither reaches the client nor kills it. */
static void
whole_before_its_end(void **state)
{
	static char block[200 * 1024];
	struct start s;

	(void)state;
	memset(block, 'x', sizeof(block) - 1);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	start_write(&s, T "Content-Length: 2\n\nhi");
	web_end(&web);
	assert_true(web.ended);
	web_has(&web, "\r\n\r\nhi");
	assert_int_equal(host.heard[MESSAGE_ACCESS], 0);
	start_write(&s, block); /* more than a pipe holds */
	host_exit(&host, &s, 3);
	host_record(&host, "done", 200);
	assert_int_equal(host.access.wait_status, 3 << 8);
	web_has_not(&web, "xxx");
	web_hello(&web, &host);
}

/* What was held back is more than may wait, and the run is over. */
static void
much_at_once(void **state)
{
	static char block[50000];
	struct start s;

	(void)state;
	memset(block, 'x', sizeof(block) - 1);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	start_write(&s, T "\n");
	for (int i = 0; i < 7; i++)
		start_write(&s, block);
	host_exit(&host, &s, 0);
	web_end(&web);
	assert_true(web.ended);
	assert_true(web.bytes > 7 * (sizeof(block) - 1));
	host_record(&host, "done", 200);
}

/* Its main process is gone, another of it still has the output. */
static void
whole_before_its_others_end(void **state)
{
	struct message_exited exited = { 0 };
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	start_write(&s, T "Content-Length: 2\n\nhi");
	web_end(&web);
	exited.invocation = s.invocation;
	host_send(&host, host.launchers[s.launcher].fd, MESSAGE_EXITED, &exited,
	    NULL, 0);
	start_write(&s, "xxx");
	host_exit(&host, &s, 0);
	host_record(&host, "done", 200);
	web_has_not(&web, "xxx");
	web_hello(&web, &host);
}

/* Nothing of it has gone out yet. */
static void
crash_in_a_reply_that_is_not_whole(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	start_write(&s, T "Content-Length: 200\n\nhi");
	/* the gateway has read it when the pipe is empty */
	for (int bytes = 1; bytes > 0;)
		assert_int_equal(ioctl(s.out, FIONREAD, &bytes), 0);
	host_killed(&host, &s, SIGSEGV, 10);
	web_end(&web);
	web_has(&web, "Status: 502 ");
	web_has(&web, "signal SEGV");
	host_record(&host, "crashed", 502);
}

/* One that is slow about its body is heard of before it is whole. */
static void
slow_reply_is_not_held_back(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	start_write(&s, T "Content-Length: 8\n\nhi");
	web_until(&web, "hi");
	start_write(&s, " there");
	host_exit(&host, &s, 0);
	web_end(&web);
	web_has(&web, "hi there");
	host_record(&host, "done", 200);
}

static void
too_much_output(void **state)
{
	static char block[2000];
	struct start s;
	struct event e;

	(void)state;
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->limits[LIMIT_output] = 1000;
	memset(block, 'x', sizeof(block) - 1);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	start_write(&s, T "\n");
	start_write(&s, block);
	host_expect(&host, MESSAGE_STOP, &e);
	host_killed(&host, &s, SIGTERM, 10);
	web_end(&web);
	web_has(&web, "Status: 502 ");
	web_has(&web, "limits.output");
	host_record(&host, "output-size", 502);
}

static void
idle_output(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->limits[LIMIT_idle] = 50;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_expect(&host, MESSAGE_STOP, &e);
	host_killed(&host, &s, SIGTERM, 10);
	web_end(&web);
	web_has(&web, "Status: 504 ");
	web_has(&web, "limits.idle = 50");
	host_record(&host, "idle", 504);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST("what is written comes at once", streamed),
		TEST("a reply that breaks off is seen to", broken_off),
		TEST("S13: less than announced, once seen, breaks",
		    short_and_seen),
		TEST("a header may come byte by byte", header_in_single_bytes),
		TEST("what is in the pipe at the end is not lost",
		    a_full_pipe_at_the_end),
		TEST("S10: who reads slowly gets all of it, and holds the "
		     "function back",
		    slow_reader),
		TEST("a process left behind delays nothing", left_behind),
		TEST("a closed output ends the reply, not the run",
		    output_closed_early),
		TEST("a closed output without a reply is an answer",
		    output_closed_without_reply),
		TEST("T1: at the limit a reply waits for how its run ended",
		    outcome_is_late),
		TEST("T1: so it does when the run was told to end",
		    outcome_of_a_stop_is_late),
		TEST("T1: and when nothing was written", outcome_is_very_late),
		TEST("T1: what never says how it ended was ended by its limit",
		    outcome_never_comes),
		TEST("S3: a local redirect is followed", redirected),
		TEST("S3: ten times, no more", redirected_for_ever),
		TEST("S3: not to another tenant", redirected_outside),
		TEST("a whole reply does not wait for the process to end",
		    whole_before_its_end),
		TEST("a large reply of a short run comes", much_at_once),
		TEST("a whole reply does not wait for others of the run",
		    whole_before_its_others_end),
		TEST("a crash early in a reply is a complete answer",
		    crash_in_a_reply_that_is_not_whole),
		TEST("a slow reply is not held back",
		    slow_reply_is_not_held_back),
		TEST("more than limits.output is an error", too_much_output),
		TEST("nothing for limits.idle is an error", idle_output),
	};
	int failed = RUN_ROWS(rows, one_reply);

	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
