/* SPDX-License-Identifier: MIT */
/* If this fails, an owner of FastCGI connections hears of records in another
 * order than they came, of a request that is over, or not of one that is: for the
 * gateway and the state endpoint alike. Names F1 to F17 are those of the FastCGI
 * checklist. The owner here writes down what it hears. */
#include "rows.h"

#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "serve/serve.h"

#include "settle.h"

enum { TEXT_MOST = 4096, OUT_MOST = 1 << 20 };

enum answers { /* when the owner answers with "hello" */
	AT_BODY_END,
	AT_PARAMS_END,
	AT_BODY,
	NEVER,
};

static struct loop *loop;
static struct serve serve;
static int web = -1; /* the web server's end */
static enum answers answers;
static bool takes = true;
static bool no_memory;
static char heard[TEXT_MOST];
static struct connection *current; /* the request is its connection */
static struct buf received;
static bool closed;
static unsigned rooms;

static void
hear(const char *format, ...)
{
	size_t used = strlen(heard);
	va_list list;

	va_start(list, format);
	vsnprintf(heard + used, sizeof(heard) - used, format, list);
	va_end(list);
}

static void
answer(struct connection *c)
{
	connection_put(c, SPAN("hello"));
	connection_end(c, 3);
}

static void *
owner_begin(struct connection *c)
{
	if (no_memory)
		return NULL;
	hear("begin%u ", c->id);
	return current = c;
}

static void
owner_params(void *request, struct span s)
{
	assert_ptr_equal(request, current);
	for (size_t i = 0; i < s.bytes; i++)
		hear("%c", s.data[i]);
}

static void
owner_params_end(void *request)
{
	hear(" params_end ");
	if (answers == AT_PARAMS_END)
		answer(request);
}

static bool
owner_takes_body(const void *request)
{
	assert_ptr_equal(request, current);
	return takes;
}

static void
owner_body(void *request, struct span s)
{
	assert_true(takes);
	for (size_t i = 0; i < s.bytes; i++)
		hear("%c", s.data[i]);
	if (answers == AT_BODY)
		answer(request);
}

static void
owner_body_end(void *request)
{
	hear(" body_end ");
	if (answers == AT_BODY_END)
		answer(request);
}

static void
owner_room(void *request)
{
	assert_ptr_equal(request, current);
	rooms++;
}

static void
owner_abort(void *request, bool gone)
{
	assert_ptr_equal(request, current);
	hear(gone ? "gone " : "abort ");
	if (!gone)
		connection_end(request, 0);
}

static void
owner_closed(struct connection *c)
{
	(void)c;
	hear("closed");
}

static const struct serve_hooks owner = {
	.begin = owner_begin,
	.params = owner_params,
	.params_end = owner_params_end,
	.takes_body = owner_takes_body,
	.body = owner_body,
	.body_end = owner_body_end,
	.room = owner_room,
	.abort = owner_abort,
	.closed = owner_closed,
};

static void
open_all(bool once)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX,
			     SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
			     ends),
	    0);
	web = ends[0];
	loop = loop_new();
	loop_before_wait(loop, settle, &serve);
	serve_init(&serve, loop, &owner, NULL, "test");
	serve.conns_most = 7;
	heard[0] = '\0';
	current = NULL;
	takes = true;
	closed = no_memory = false;
	buf_init(&received, OUT_MOST);
	assert_non_null(connection_new(&serve, &ends[1], once, NULL));
	assert_int_equal(ends[1], -1);
}

/* All that comes without anybody's doing. */
static void
read_all(void)
{
	char block[65536];
	ssize_t n;

	for (;;) {
		loop_once(loop, 0);
		n = recv(web, block, sizeof(block), MSG_DONTWAIT);
		if (n == 0)
			closed = true;
		if (n <= 0)
			return;
		assert_int_equal(buf_put(&received,
				     span_make(block, (size_t)n)),
		    0);
	}
}

static void
close_all(void)
{
	serve_close(&serve);
	loop_once(loop, 0);
	loop_free(loop);
	buf_free(&received);
	fd_close(&web);
}

/* What the web server got, as words: text of STDOUT, "end1=3/0" for END_REQUEST
 * of request 1 with statuses 3 and 0, "unknown(9)", "values". */
static const char *
got(void)
{
	static char text[TEXT_MOST];
	struct span in = buf_span(&received), content;
	struct fcgi_reader reader;
	struct fcgi_end end;
	size_t used = 0;

	fcgi_reader_init(&reader);
	text[0] = '\0';
	for (;;) {
		switch (fcgi_read(&reader, &in, &content)) {
		case FCGI_NEED_MORE:
			return text;
		case FCGI_BAD_VERSION:
			snprintf(text + used, sizeof(text) - used, "broken");
			return text;
		case FCGI_RECORD:
		case FCGI_RECORD_END:
			continue;
		case FCGI_CONTENT:
			break;
		}
		if (reader.record.type == FCGI_STDOUT)
			used += (size_t)snprintf(text + used,
			    sizeof(text) - used, "%.*s ", SPAN_ARGS(content));
		else if (reader.record.type == FCGI_END_REQUEST &&
		    fcgi_end_parse(content, &end) == 0)
			used +=
			    (size_t)snprintf(text + used, sizeof(text) - used,
				"end%u=%u/%u ", reader.record.id,
				end.app_status, end.protocol_status);
		else if (reader.record.type == FCGI_UNKNOWN_TYPE)
			used +=
			    (size_t)snprintf(text + used, sizeof(text) - used,
				"unknown(%d) ", content.data[0]);
		else
			used += (size_t)snprintf(text + used,
			    sizeof(text) - used, "values ");
	}
}

/* One letter a record. */
static void
put_records(struct buf *b, const char *letters)
{
	for (; *letters; letters++) {
		switch (*letters) {
		case 'B': /* begin, keep the connection */
			fcgi_put_begin(b, 1, FCGI_RESPONDER, true);
			break;
		case 'b':
			fcgi_put_begin(b, 1, FCGI_RESPONDER, false);
			break;
		case '2':
			fcgi_put_begin(b, 2, FCGI_RESPONDER, true);
			break;
		case 'Z':
			fcgi_put_begin(b, 1, FCGI_AUTHORIZER, true);
			break;
		case 'P':
			fcgi_put_stream(b, FCGI_PARAMS, 1, SPAN("PQ"));
			break;
		case 'p':
			fcgi_put_stream_end(b, FCGI_PARAMS, 1);
			break;
		case 'S':
			fcgi_put_stream(b, FCGI_STDIN, 1, SPAN("xyz"));
			break;
		case 'O':
			fcgi_put_stream(b, FCGI_STDIN, 1, SPAN("o"));
			break;
		case 's':
			fcgi_put_stream_end(b, FCGI_STDIN, 1);
			break;
		case 'T': /* of nobody */
			fcgi_put_stream(b, FCGI_STDIN, 9, SPAN("!!!"));
			break;
		case 'D':
			fcgi_put_stream(b, FCGI_DATA, 1, SPAN("ddd"));
			break;
		case 'A':
			fcgi_put_abort(b, 1);
			break;
		case 'G':
			fcgi_put_record(b, FCGI_GET_VALUES, 0,
			    SPAN("\x0e\0FCGI_MAX_CONNS"));
			break;
		case 'U':
			fcgi_put_record(b, 77, 0, SPAN("?"));
			break;
		case 'V': /* version 2 */
			buf_put(b, SPAN("\2\1\0\1\0\0\0\0"));
			break;
		case '9': /* BEGIN of nine bytes */
			buf_put(b, SPAN("\1\1\0\1\0\x9\0\0\0\1\1\0\0\0\0\0\0"));
			break;
		}
	}
}

/* ---- records in, calls and records out ----------------------------------------- */

static const struct record_row {
	const char *sentence;
	const char *records;
	enum answers answers;
	const char *heard;
	const char *got;
	bool closed;
} records[] = {
	{ "a request goes in and its answer out", "BPpSs", AT_BODY_END,
	    "begin1 PQ params_end xyz body_end ", "hello end1=3/0 ", false },
	{ "one after the other on a kept connection", "BPpsBPps", AT_BODY_END,
	    "begin1 PQ params_end  body_end begin1 PQ params_end  body_end ",
	    "hello end1=3/0 hello end1=3/0 ", false },
	{ "without KEEP_CONN it closes behind the answer", "bPps", AT_BODY_END,
	    "begin1 PQ params_end  body_end closed", "hello end1=3/0 ", true },
	{ "F8: a body nobody wants any more is read to its end", "BPpSsBPps",
	    AT_PARAMS_END, "begin1 PQ params_end begin1 PQ params_end ",
	    "hello end1=3/0 hello end1=3/0 ", false },
	{ "F8: before the connection closes, too", "bPpSSs", AT_PARAMS_END,
	    "begin1 PQ params_end closed", "hello end1=3/0 ", true },
	{ "an answer in the middle of the body is the last call", "BPpOSs",
	    AT_BODY, "begin1 PQ params_end o", "hello end1=3/0 ", false },
	{ "F2: another version ends the connection", "BPV", AT_BODY_END,
	    "begin1 PQgone closed", "", true },
	{ "F3: BEGIN_REQUEST has eight bytes", "9", AT_BODY_END, "closed", "",
	    true },
	{ "F4: we are responder only", "ZBPps", AT_BODY_END,
	    "begin1 PQ params_end  body_end ", "end1=0/3 hello end1=3/0 ",
	    false },
	{ "F5: another id meanwhile is refused, the first goes on", "BP2ps",
	    AT_BODY_END, "begin1 PQ params_end  body_end ",
	    "end2=0/1 hello end1=3/0 ", false },
	{ "F5: the same id before its STDIN is over breaks", "BPB", AT_BODY_END,
	    "begin1 PQgone closed", "", true },
	{ "F6: STDIN of nobody is dropped", "TBPpTs", AT_BODY_END,
	    "begin1 PQ params_end  body_end ", "hello end1=3/0 ", false },
	{ "STDIN before the end of PARAMS breaks", "BPS", AT_BODY_END,
	    "begin1 PQgone closed", "", true },
	{ "PARAMS behind their end are dropped", "BPpPs", AT_BODY_END,
	    "begin1 PQ params_end  body_end ", "hello end1=3/0 ", false },
	{ "F9: values are honest", "G", AT_BODY_END, "", "values ", false },
	{ "F10: a management record nobody knows is answered", "UBPps",
	    AT_BODY_END, "begin1 PQ params_end  body_end ",
	    "unknown(77) hello end1=3/0 ", false },
	{ "F10: DATA is ignored", "BPDpDs", AT_BODY_END,
	    "begin1 PQ params_end  body_end ", "hello end1=3/0 ", false },
	{ "F11: an abort is told, and answered", "BPpA", NEVER,
	    "begin1 PQ params_end abort ", "end1=0/0 ", false },
	{ "F11: an abort of nobody is nothing", "ABPps", AT_BODY_END,
	    "begin1 PQ params_end  body_end ", "hello end1=3/0 ", false },
	{ "F17: the next request waits for the one before", "BPpsB", NEVER,
	    "begin1 PQ params_end  body_end ", "", false },
};

static void
as_said(const struct record_row *row)
{
	read_all();
	assert_string_equal(heard, row->heard);
	assert_string_equal(got(), row->got);
	assert_int_equal(closed, row->closed);
	close_all();
}

/* F1: whole, and every byte by itself. */
static void
test_records(void **state)
{
	const struct record_row *row = *state;
	struct buf in;

	answers = row->answers;
	buf_init(&in, OUT_MOST);
	put_records(&in, row->records);
	open_all(false);
	assert_int_equal(fd_write_all(web, buf_span(&in)), 0);
	as_said(row);
	open_all(false);
	for (size_t i = 0; i < buf_bytes(&in) && !closed; i++) {
		if (send(web, in.data + in.start + i, 1, MSG_NOSIGNAL) != 1)
			break;
		read_all();
	}
	as_said(row);
	buf_free(&in);
}

/* ---- the rest ------------------------------------------------------------------- */

static void
write_records(const char *letters)
{
	struct buf in;

	buf_init(&in, OUT_MOST);
	put_records(&in, letters);
	assert_int_equal(fd_write_all(web, buf_span(&in)), 0);
	buf_free(&in);
	read_all();
}

static void
no_memory_for_a_request_closes(void **state)
{
	(void)state;
	open_all(false);
	no_memory = true;
	write_records("BPps");
	assert_true(closed);
	assert_string_equal(heard, "closed");
	close_all();
}

static void
a_body_waits_until_it_is_wanted(void **state)
{
	(void)state;
	answers = AT_BODY_END;
	open_all(false);
	takes = false;
	write_records("BPpSSs");
	assert_string_equal(heard, "begin1 PQ params_end ");
	takes = true;
	connection_touch(current);
	read_all();
	assert_string_equal(heard, "begin1 PQ params_end xyzxyz body_end ");
	assert_string_equal(got(), "hello end1=3/0 ");
	close_all();
}

static void
the_web_server_goes_and_the_request_hears_it(void **state)
{
	(void)state;
	answers = NEVER;
	open_all(false);
	write_records("BPps");
	fd_close(&web);
	loop_once(loop, 0);
	assert_string_equal(heard,
	    "begin1 PQ params_end  body_end gone closed");
	close_all();
}

/* The first is answered while the BEGIN_REQUEST of the next is on its way. */
static void
a_begin_in_pieces_may_be_too_late(void **state)
{
	struct buf in;

	(void)state;
	answers = NEVER;
	open_all(false);
	write_records("bPp");
	buf_init(&in, OUT_MOST);
	put_records(&in, "2");
	assert_int_equal(fd_write_all(web, span_take(buf_span(&in), 12)), 0);
	read_all();
	answer(current);
	read_all();
	assert_false(closed); /* the body goes on */
	assert_int_equal(fd_write_all(web, span_skip(buf_span(&in), 12)), 0);
	write_records("s");
	assert_true(closed);
	assert_string_equal(heard, "begin1 PQ params_end closed");
	buf_free(&in);
	close_all();
}

/* F16: that was the last one. */
static void
half_closed_behind_a_request_is_served(void **state)
{
	(void)state;
	answers = NEVER;
	open_all(false);
	write_records("BPps");
	shutdown(web, SHUT_WR);
	read_all();
	assert_false(closed);
	answer(current);
	read_all();
	assert_string_equal(got(), "hello end1=3/0 ");
	assert_true(closed);
	close_all();
}

static void
once_is_once(void **state)
{
	(void)state;
	answers = AT_BODY_END;
	open_all(true);
	write_records("BPps");
	assert_string_equal(got(), "hello end1=3/0 ");
	assert_true(closed);
	close_all();
}

static void
when_draining_nothing_is_kept(void **state)
{
	(void)state;
	answers = NEVER;
	open_all(false);
	write_records("BPps");
	serve_drain(&serve);
	read_all();
	assert_false(closed);
	answer(current);
	read_all();
	assert_string_equal(got(), "hello end1=3/0 ");
	assert_true(closed);
	close_all();
	open_all(false);
	serve_drain(&serve);
	read_all();
	assert_true(closed);
	close_all();
}

/* Nobody reads: it waits, and says when there is room. */
static void
who_does_not_read_is_waited_for(void **state)
{
	static char much[CONNECTION_WAIT_MOST * 2];

	(void)state;
	answers = NEVER;
	open_all(false);
	write_records("BPps");
	rooms = 0;
	memset(much, 'm', sizeof(much));
	assert_int_equal(connection_put(current, span_make(much, sizeof(much))),
	    0);
	loop_once(loop, 0);
	assert_true(connection_waiting(current) > CONNECTION_WAIT_LESS);
	assert_int_equal(rooms, 0);
	read_all();
	assert_int_equal(connection_waiting(current), 0);
	assert_true(rooms > 0);
	close_all();
}

static void
there_is_a_ceiling(void **state)
{
	static char much[CONNECTION_OUT_MOST];

	(void)state;
	answers = NEVER;
	open_all(false);
	write_records("BPps");
	assert_int_equal(connection_put(current, span_make(much, sizeof(much))),
	    -1);
	close_all();
}

static void
a_reply_can_be_held_and_taken_back(void **state)
{
	(void)state;
	answers = NEVER;
	open_all(false);
	write_records("BPps");
	connection_reply_begins(current);
	connection_put(current, SPAN("wrong"));
	connection_hold(current, true);
	read_all();
	assert_string_equal(got(), "");
	assert_true(connection_take_back(current));
	answer(current);
	read_all();
	assert_string_equal(got(), "hello end1=3/0 ");
	close_all();
}

static void
what_was_written_cannot_be_taken_back(void **state)
{
	(void)state;
	answers = NEVER;
	open_all(false);
	write_records("BPps");
	connection_reply_begins(current);
	connection_put(current, SPAN("begun"));
	read_all();
	assert_false(connection_take_back(current));
	connection_break_off(current);
	read_all();
	assert_string_equal(got(), "begun broken");
	assert_true(closed);
	assert_non_null(strstr(heard, "gone closed"));
	close_all();
}

/* A client that reads slowly sees the break where it is, behind all before it. */
static void
a_break_waits_behind_what_is_unwritten(void **state)
{
	static char much[60000];
	size_t put = 0, found = 0;
	struct fcgi_reader reader;
	struct span in, content;
	enum fcgi_event event;

	(void)state;
	memset(much, '.', sizeof(much));
	answers = NEVER;
	open_all(false);
	write_records("BPp");
	connection_reply_begins(current);
	while (put < 10 * sizeof(much)) {
		connection_put(current, span_make(much, sizeof(much)));
		put += sizeof(much);
	}
	loop_once(loop, 0);
	connection_break_off(current);
	assert_non_null(strstr(heard, "gone"));
	loop_once(loop, 0);
	assert_false(closed);
	read_all();
	assert_true(closed);
	in = buf_span(&received);
	fcgi_reader_init(&reader);
	while ((event = fcgi_read(&reader, &in, &content)) != FCGI_NEED_MORE &&
	    event != FCGI_BAD_VERSION)
		found += event == FCGI_CONTENT ? content.bytes : 0;
	assert_int_equal(found, put);
	assert_int_equal(event, FCGI_BAD_VERSION);
	close_all();
}

/* Requests of the old owner are told; who asks again meets the new one. */
static void
hooks_can_be_changed(void **state)
{
	(void)state;
	answers = NEVER;
	open_all(false);
	write_records("BPp");
	heard[0] = '\0';
	serve_change(&serve, &owner, NULL);
	read_all();
	assert_string_equal(heard, "gone closed");
	assert_true(closed);
	close_all();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_memory_for_a_request_closes),
		cmocka_unit_test(a_body_waits_until_it_is_wanted),
		cmocka_unit_test(the_web_server_goes_and_the_request_hears_it),
		cmocka_unit_test(a_begin_in_pieces_may_be_too_late),
		cmocka_unit_test(half_closed_behind_a_request_is_served),
		cmocka_unit_test(once_is_once),
		cmocka_unit_test(when_draining_nothing_is_kept),
		cmocka_unit_test(who_does_not_read_is_waited_for),
		cmocka_unit_test(there_is_a_ceiling),
		cmocka_unit_test(a_reply_can_be_held_and_taken_back),
		cmocka_unit_test(what_was_written_cannot_be_taken_back),
		cmocka_unit_test(a_break_waits_behind_what_is_unwritten),
		cmocka_unit_test(hooks_can_be_changed),
	};
	int failed = RUN_ROWS(records, test_records);

	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
