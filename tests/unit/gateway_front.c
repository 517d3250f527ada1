/* SPDX-License-Identifier: MIT */
/* If this fails, a web server's connection is misread: requests are lost, run
 * twice, run half, or one request becomes two. Names F1 to F18 are those of the
 * FastCGI checklist. */
#include "gateway_web.h"

static const char *const hello[] = { "REQUEST_METHOD=GET",
	"REQUEST_URI=/fn/acme/hello", NULL };
static const char *const post_5[] = { "REQUEST_METHOD=POST", "CONTENT_LENGTH=5",
	"REQUEST_URI=/fn/acme/hello", NULL };

/* What was sent last is answered with hello. */
static void
answered(void)
{
	struct start s;

	host_start(&host, &s);
	start_write(&s, "Content-Type: text/plain\n\nhello\n");
	host_exit(&host, &s, 0);
	web_end(&web);
	assert_true(web.ended);
	assert_int_equal(web.end.protocol_status, FCGI_REQUEST_COMPLETE);
	web_has(&web, "hello\n");
	web_forget(&web);
}

static void
connection_closes(void)
{
	while (web_read(&web))
		;
	assert_true(web.closed);
	assert_int_equal(host.heard[MESSAGE_START], 0);
	web_close(&web);
	web_open(&web, &host);
	web_hello(&web, &host);
}

static void
plain_get(void **state)
{
	(void)state;
	web_hello(&web, &host);
	web_hello(&web, &host); /* on the kept connection */
	assert_int_equal(host.heard[MESSAGE_TENANT_ASK], 1);
	assert_int_equal(host.heard[MESSAGE_RESOLVE], 1);
	assert_int_equal(host.heard[MESSAGE_LAUNCHER_WANTED], 1);
}

/* F1: every byte in a segment of its own. */
static void
split_everywhere(void **state)
{
	struct span all;

	(void)state;
	web_begin(&web, 1, true, post_5);
	web_body(&web, 1, SPAN("12345"));
	all = buf_span(&web.send);
	for (size_t i = 0; i < all.bytes; i++)
		assert_int_equal(fd_write_all(web.fd,
				     span_make(all.data + i, 1)),
		    0);
	buf_clear(&web.send);
	answered();
}

static void
version_2(void **state)
{
	(void)state;
	buf_put(&web.send, SPAN("\2\1\0\1\0\10\0\0"));
	web_flush(&web);
	connection_closes();
}

static void
begin_of_9_bytes(void **state)
{
	(void)state;
	buf_put(&web.send, SPAN("\1\1\0\1\0\11\0\0\0\1\1\0\0\0\0\0\0"));
	web_flush(&web);
	connection_closes();
}

static void
begin_with_id_0(void **state)
{
	(void)state;
	fcgi_put_begin(&web.send, 0, FCGI_RESPONDER, true);
	web_flush(&web);
	while (web.unknown_type == 0)
		assert_true(web_read(&web));
	assert_int_equal(web.unknown_type, FCGI_BEGIN_REQUEST);
	web_hello(&web, &host);
}

static void
unknown_role(void **state)
{
	(void)state;
	fcgi_put_begin(&web.send, 7, FCGI_AUTHORIZER, true);
	web_flush(&web);
	web_end(&web);
	assert_int_equal(web.ended_id, 7);
	assert_int_equal(web.end.protocol_status, FCGI_UNKNOWN_ROLE);
	web_hello(&web, &host);
}

static void
unknown_role_without_keep_conn(void **state)
{
	(void)state;
	fcgi_put_begin(&web.send, 7, FCGI_FILTER, false);
	web_flush(&web);
	web_end(&web);
	assert_int_equal(web.end.protocol_status, FCGI_UNKNOWN_ROLE);
	connection_closes();
}

static void
begin_twice(void **state)
{
	(void)state;
	fcgi_put_begin(&web.send, 1, FCGI_RESPONDER, true);
	fcgi_put_begin(&web.send, 1, FCGI_RESPONDER, true);
	web_flush(&web);
	connection_closes();
}

static void
second_id_while_active(void **state)
{
	struct start s;

	(void)state;
	web_begin(&web, 1, true, hello);
	web_body(&web, 1, SPAN_NONE);
	web_begin(&web, 2, true, hello);
	web_body(&web, 2, SPAN_NONE);
	web_flush(&web);
	web_end(&web);
	assert_int_equal(web.ended_id, 2);
	assert_int_equal(web.end.protocol_status, FCGI_CANT_MPX_CONN);
	host_start(&host, &s);
	start_write(&s, "Content-Type: text/plain\n\nfirst\n");
	host_exit(&host, &s, 0);
	web_end(&web);
	assert_int_equal(web.ended_id, 1);
	web_has(&web, "first");
	assert_int_equal(host.heard[MESSAGE_START], 1);
}

static void
records_of_nobody(void **state)
{
	(void)state;
	fcgi_put_stream(&web.send, FCGI_STDIN, 9, SPAN("late"));
	fcgi_put_stream_end(&web.send, FCGI_STDIN, 9);
	fcgi_put_stream(&web.send, FCGI_PARAMS, 9, SPAN("late"));
	fcgi_put_abort(&web.send, 9);
	fcgi_put_stream(&web.send, FCGI_DATA, 9, SPAN("data"));
	fcgi_put_record(&web.send, 99, 9, SPAN("what"));
	web_flush(&web);
	web_hello(&web, &host);
}

/* F7: a pair may be cut by a record anywhere. */
static void
params_in_single_bytes(void **state)
{
	struct buf params;

	(void)state;
	buf_init(&params, 4096);
	web_params(&params, hello);
	fcgi_put_begin(&web.send, 65535, FCGI_RESPONDER, true);
	for (size_t i = 0; i < buf_bytes(&params); i++)
		fcgi_put_record(&web.send, FCGI_PARAMS, 65535,
		    span_make(params.data + i, 1));
	fcgi_put_stream_end(&web.send, FCGI_PARAMS, 65535);
	web_body(&web, 65535, SPAN_NONE);
	buf_free(&params);
	web_flush(&web);
	answered();
	assert_int_equal(web.ended_id, 65535);
}

/* F7, and number 3 of the nastiest: it must not run. */
static void
truncated_params(void **state)
{
	struct buf params;

	(void)state;
	buf_init(&params, 4096);
	web_params(&params, hello);
	fcgi_put_begin(&web.send, 1, FCGI_RESPONDER, true);
	fcgi_put_stream(&web.send, FCGI_PARAMS, 1, buf_span(&params));
	web_flush(&web);
	buf_free(&params);
	shutdown(web.fd, SHUT_WR);
	connection_closes();
	assert_int_equal(host.heard[MESSAGE_ACCESS], 2);
}

static void
params_aborted(void **state)
{
	(void)state;
	fcgi_put_begin(&web.send, 1, FCGI_RESPONDER, true);
	fcgi_put_abort(&web.send, 1);
	web_flush(&web);
	web_end(&web);
	assert_int_equal(web.ended_id, 1);
	assert_int_equal(web.end.protocol_status, FCGI_REQUEST_COMPLETE);
	host_record(&host, "aborted", 0);
	web_hello(&web, &host);
	assert_int_equal(host.heard[MESSAGE_START], 1);
}

static void
half_a_pair(void **state)
{
	(void)state;
	fcgi_put_begin(&web.send, 1, FCGI_RESPONDER, true);
	fcgi_put_stream(&web.send, FCGI_PARAMS, 1, SPAN("\16\3REQUEST_"));
	fcgi_put_stream_end(&web.send, FCGI_PARAMS, 1);
	web_body(&web, 1, SPAN_NONE);
	web_flush(&web);
	web_end(&web);
	web_has(&web, "Status: 400 Bad Request");
	host_record(&host, "bad-request", 400);
	web_hello(&web, &host);
}

/* 200 KiB of parameters, nearly endless to come. */
static void
params_without_bound(void **state)
{
	static char much[60000];
	const char *pairs[] = { "A=", NULL };
	struct buf params;

	(void)state;
	memset(much, 'x', sizeof(much));
	buf_init(&params, 1 << 20);
	web_params(&params, pairs);
	fcgi_put_begin(&web.send, 1, FCGI_RESPONDER, true);
	for (int i = 0; i < 4; i++) {
		params_put(&params, SPAN("HTTP_X"),
		    span_make(much, sizeof(much)));
		fcgi_put_stream(&web.send, FCGI_PARAMS, 1, buf_span(&params));
		buf_clear(&params);
	}
	fcgi_put_stream_end(&web.send, FCGI_PARAMS, 1);
	web_body(&web, 1, SPAN_NONE);
	buf_free(&params);
	web_flush(&web);
	web_end(&web);
	web_has(&web, "Status: 431 ");
	web_hello(&web, &host);
}

static void
values(void **state)
{
	struct buf asked;

	(void)state;
	buf_init(&asked, 65536);
	for (int i = 0; i < 4000; i++)
		params_put(&asked, SPAN(FCGI_MPXS_CONNS), SPAN(""));
	params_put(&asked, SPAN("NO_SUCH"), SPAN(""));
	fcgi_put_record(&web.send, FCGI_GET_VALUES, 0,
	    span_take(buf_span(&asked), 65000));
	web_flush(&web);
	buf_free(&asked);
	while (web.values_bytes == 0)
		assert_true(web_read(&web));
	assert_int_equal(web.values_bytes, 2 + 15 + 1);
	assert_memory_equal(web.values, "\17\1FCGI_MPXS_CONNS0", 18);
	web_hello(&web, &host);
}

static void
values_during_a_request(void **state)
{
	struct buf asked;

	(void)state;
	buf_init(&asked, 256);
	params_put(&asked, SPAN(FCGI_MAX_CONNS), SPAN(""));
	web_begin(&web, 1, true, hello);
	fcgi_put_record(&web.send, FCGI_GET_VALUES, 0, buf_span(&asked));
	buf_free(&asked);
	web_body(&web, 1, SPAN_NONE);
	web_flush(&web);
	answered();
	assert_true(web.values_bytes > 0);
}

static void
unknown_management(void **state)
{
	(void)state;
	fcgi_put_record(&web.send, 200, 0, SPAN("?"));
	web_flush(&web);
	while (web.unknown_type == 0)
		assert_true(web_read(&web));
	assert_int_equal(web.unknown_type, 200);
	web_hello(&web, &host);
}

static void
abort_of_a_run(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	fcgi_put_abort(&web.send, 1);
	web_flush(&web);
	web_end(&web);
	assert_int_equal(web.ended_id, 1);
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGTERM);
	assert_int_equal(host.stop.invocation, s.invocation);
	host_killed(&host, &s, SIGTERM, 10);
	host_record(&host, "aborted", 0);
	web_hello(&web, &host);
}

/* F14 */
static void
without_keep_conn(void **state)
{
	(void)state;
	web_begin(&web, 1, false, hello);
	web_body(&web, 1, SPAN_NONE);
	web_flush(&web);
	answered();
	assert_false(web_read(&web));
}

/* F16 */
static void
client_goes(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	web_close(&web);
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGTERM);
	/* it does not listen: after grace it is killed */
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGKILL);
	host_killed(&host, &s, SIGKILL, 10);
	host_record(&host, "client-gone", 0);
	web_open(&web, &host);
	web_hello(&web, &host);
}

static void
half_closed(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	shutdown(web.fd, SHUT_WR);
	host_start(&host, &s);
	start_write(&s, "Content-Type: text/plain\n\nearly");
	web_until(&web, "early");
	host_exit(&host, &s, 0);
	web_end(&web);
	assert_true(web.ended);
	assert_false(web_read(&web)); /* though KEEP_CONN */
	host_record(&host, "done", 200);
}

static void
half_closed_then_gone(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	shutdown(web.fd, SHUT_WR);
	host_start(&host, &s);
	web_close(&web);
	host_expect(&host, MESSAGE_STOP, &e);
	host_killed(&host, &s, SIGTERM, 10);
	host_record(&host, "client-gone", 0);
	web_open(&web, &host);
	web_hello(&web, &host);
}

/* F17: in one segment with the end of the one before. */
static void
pipelined(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		web_begin(&web, 1, true, hello);
		web_body(&web, 1, SPAN_NONE);
	}
	web_flush(&web);
	answered();
	answered();
	answered();
	assert_int_equal(host.heard[MESSAGE_START], 3);
}

/* Number 1 of the nastiest: the body of a request is never read as records. */
static void
smuggled(void **state)
{
	struct buf inner;
	char length[64];
	const char *outer[] = { "REQUEST_METHOD=POST",
		"REQUEST_URI=/fn/acme/hello", length, NULL };
	const char *evil[] = { "REQUEST_METHOD=GET", "REMOTE_USER=admin",
		"REQUEST_URI=/fn/acme/evil", NULL };
	struct web w;

	(void)state;
	web_open(&w, &host);
	buf_init(&inner, 65536);
	for (int i = 0; i < 8192; i++)
		buf_put_byte(&inner, 'x');
	web_begin(&w, 1, true, evil);
	web_body(&w, 1, SPAN_NONE);
	buf_put(&inner, buf_span(&w.send));
	web_close(&w);
	snprintf(length, sizeof(length), "CONTENT_LENGTH=%zu",
	    buf_bytes(&inner));
	web_begin(&web, 1, true, outer);
	web_body(&web, 1, buf_span(&inner));
	buf_free(&inner);
	web_flush(&web);
	answered();
	web_hello(&web, &host);
	assert_int_equal(host.heard[MESSAGE_START], 2);
}

/* An answer before the body has come; the rest of it is nobody's. */
static void
early_answer(void **state)
{
	const char *pairs[] = { "REQUEST_METHOD=POST",
		"CONTENT_LENGTH=99999999"
		"99",
		"REQUEST_URI=/fn/acme/hello", NULL };
	static char much[300000];
	struct event e;

	(void)state;
	web_begin(&web, 1, true, pairs);
	web_flush(&web);
	host_expect(&host, MESSAGE_RESOLVE, &e);
	struct message_resolve m;
	message_resolve_decode(e.body, &m);
	host_resolved(&host, e.index, &m);
	web_end(&web);
	web_has(&web, "Status: 413 ");
	web_has(&web, "limits.body");
	fcgi_put_stream(&web.send, FCGI_STDIN, 1, span_make(much, 300000));
	fcgi_put_stream_end(&web.send, FCGI_STDIN, 1);
	web_flush(&web);
	host_record(&host, "body-size", 413);
	web_hello(&web, &host);
}

/* The same when the connection is to be closed: the answer is read first. */
static void
early_answer_without_keep_conn(void **state)
{
	const char *pairs[] = { "REQUEST_METHOD=POST",
		"REQUEST_URI=/nowhere/acme/hello", NULL };
	static char much[1 << 20];

	(void)state;
	web_begin(&web, 1, false, pairs);
	fcgi_put_stream(&web.send, FCGI_STDIN, 1, span_make(much, 1 << 20));
	fcgi_put_stream_end(&web.send, FCGI_STDIN, 1);
	web_flush(&web); /* all of it is taken */
	web_end(&web);
	web_has(&web, "Status: 404 ");
	assert_false(web_read(&web));
}

static void
half_record_then_silence(void **state)
{
	struct web other;

	(void)state;
	web_open(&other, &host);
	buf_put(&other.send, SPAN("\1\1\0"));
	web_flush(&other);
	web_hello(&web, &host); /* nobody waits for that one */
	web_close(&other);
	web_hello(&web, &host);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST("a GET is answered, and the next one on its connection",
		    plain_get),
		TEST("F1: bytes may come one by one", split_everywhere),
		TEST("F2: another version closes the connection", version_2),
		TEST("F3: BEGIN_REQUEST of 9 bytes closes the connection",
		    begin_of_9_bytes),
		TEST("F3: a request cannot have id 0", begin_with_id_0),
		TEST("F4: an authorizer is refused, its connection kept",
		    unknown_role),
		TEST("F4: a filter is refused, its connection closed",
		    unknown_role_without_keep_conn),
		TEST("F5: the same request twice closes the connection",
		    begin_twice),
		TEST("F5: another id meanwhile is refused, the first goes on",
		    second_id_while_active),
		TEST("F6: records of no request are ignored",
		    records_of_nobody),
		TEST("F7: parameters may be cut anywhere",
		    params_in_single_bytes),
		TEST("F7: half closed in PARAMS, nothing runs",
		    truncated_params),
		TEST("F7: aborted in PARAMS, nothing runs", params_aborted),
		TEST("F7: half a pair is a bad request", half_a_pair),
		TEST("F7: more parameters than may be are 431",
		    params_without_bound),
		TEST("F9: 4000 names are answered in one record", values),
		TEST("F9: values may be asked during a request",
		    values_during_a_request),
		TEST("F10: an unknown management record is said to be unknown",
		    unknown_management),
		TEST("F11: an aborted request is answered at once, its run "
		     "ended",
		    abort_of_a_run),
		TEST("F14: without KEEP_CONN the gateway closes",
		    without_keep_conn),
		TEST("F16: who closes ends his request, politely and then not",
		    client_goes),
		TEST("F16: half closed behind a request serves it",
		    half_closed),
		TEST("F16: half closed, then gone, is gone",
		    half_closed_then_gone),
		TEST("F17: requests may be sent before the answer", pipelined),
		TEST("a body that looks like records is a body", smuggled),
		TEST("F6: an early answer does not need the body",
		    early_answer),
		TEST("F14: an early answer is read before the connection "
		     "closes",
		    early_answer_without_keep_conn),
		TEST("F18: a connection in the middle of a record harms nobody",
		    half_record_then_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
