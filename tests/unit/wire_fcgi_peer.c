/* SPDX-License-Identifier: MIT */
/* If this fails, our records are FastCGI to ourselves only: here a program that
 * uses libfcgi, written by others, is to understand what we write, and we what
 * it answers. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcgiapp.h>

#include "wire_spans.h"

#include "wire/fcgi.h"
#include "wire/params.h"

enum {
	DEADLINE_MS = 20000, /* without a byte moving: the test failed */
	MOST = 4 * 1024 * 1024,
	EXIT_STATUS = 7,
};

/* An address of the kernel's choice, so no file is left behind. */
static struct sockaddr_un address;
static socklen_t address_bytes;
static pid_t peer = -1;

/* What came back on one connection. */
static struct reply {
	struct buf out;
	struct buf err;
	struct buf values;  /* content of GET_VALUES_RESULT */
	struct buf content; /* of the record being read */
	unsigned out_ends;
	unsigned ends; /* END_REQUEST of our id */
	struct fcgi_end end;
	unsigned refused_id; /* END_REQUEST of another id ... */
	struct fcgi_end refused;
	int unknown_type; /* -1: none */
} reply;

static struct buf request, wanted, pairs;

/* Loaded, not linked: nothing of the host depends on libfcgi, so the build
 * links it nowhere. */
#define PEER_FUNCTIONS(X)   \
	X(FCGX_Init)        \
	X(FCGX_InitRequest) \
	X(FCGX_Accept_r)    \
	X(FCGX_Finish_r)    \
	X(FCGX_GetStr)      \
	X(FCGX_PutStr)      \
	X(FCGX_SetExitStatus)

#define MEMBER(name) __typeof__(name) *name;
static struct {
	PEER_FUNCTIONS(MEMBER)
} lib;

static int
peer_load(void)
{
	void *library = dlopen("libfcgi.so.0", RTLD_NOW);
	bool complete = library != NULL;

	if (!complete) {
		print_error("%s\n", dlerror());
		return -1;
	}
#define FIND(name)                                                       \
	lib.name = (__typeof__(name) *)(uintptr_t)dlsym(library, #name); \
	complete = complete && lib.name != NULL;
	PEER_FUNCTIONS(FIND)
	return complete ? 0 : -1;
}

static void
peer_put(FCGX_Stream *stream, struct span s)
{
	lib.FCGX_PutStr(s.data, (int)s.bytes, stream);
}

/* The peer: says its parameters, then its body, a line each and a line
 * between. */
static void
peer_answer(FCGX_Request *r)
{
	char bytes[5000];
	int count;

	for (char **e = r->envp; *e != NULL; e++) {
		peer_put(r->out, span_of(*e));
		peer_put(r->out, SPAN("\n"));
	}
	peer_put(r->out, SPAN("--\n"));
	while ((count = lib.FCGX_GetStr(bytes, sizeof(bytes), r->in)) > 0)
		peer_put(r->out, span_make(bytes, (size_t)count));
	peer_put(r->err, SPAN("for the log"));
	lib.FCGX_SetExitStatus(EXIT_STATUS, r->out);
}

static void
peer_run(int listener)
{
	FCGX_Request r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(listener, FCGI_LISTENSOCK_FILENO) < 0 ||
	    lib.FCGX_Init() != 0 ||
	    lib.FCGX_InitRequest(&r, FCGI_LISTENSOCK_FILENO, 0) != 0)
		_exit(1);
	while (lib.FCGX_Accept_r(&r) == 0) {
		peer_answer(&r);
		lib.FCGX_Finish_r(&r);
	}
	_exit(2);
}

static int
peer_start(void **state)
{
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	address_bytes = sizeof(address);
	if (peer_load() != 0 || listener < 0 ||
	    bind(listener, (struct sockaddr *)&any, sizeof(sa_family_t)) != 0 ||
	    listen(listener, 16) != 0 ||
	    getsockname(listener, (struct sockaddr *)&address,
		&address_bytes) != 0)
		return -1;
	peer = fork();
	if (peer == 0)
		peer_run(listener);
	close(listener);
	buf_init(&request, MOST);
	buf_init(&wanted, MOST);
	buf_init(&pairs, MOST);
	buf_init(&reply.out, MOST);
	buf_init(&reply.err, MOST);
	buf_init(&reply.values, MOST);
	buf_init(&reply.content, MOST);
	return peer < 0 ? -1 : 0;
}

static int
peer_stop(void **state)
{
	int status;

	(void)state;
	kill(peer, SIGKILL);
	waitpid(peer, &status, 0);
	buf_free(&request);
	buf_free(&wanted);
	buf_free(&pairs);
	buf_free(&reply.out);
	buf_free(&reply.err);
	buf_free(&reply.values);
	buf_free(&reply.content);
	/* It is to live until now. */
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : -1;
}

static int
fresh(void **state)
{
	(void)state;
	buf_clear(&request);
	buf_clear(&wanted);
	buf_clear(&pairs);
	buf_clear(&reply.out);
	buf_clear(&reply.err);
	buf_clear(&reply.values);
	buf_clear(&reply.content);
	reply.out_ends = reply.ends = reply.refused_id = 0;
	reply.unknown_type = -1;
	buf_put(&wanted, SPAN("FCGI_ROLE=RESPONDER\n"));
	return 0;
}

static void
take_record(const struct fcgi_record *record)
{
	struct span content = buf_span(&reply.content);

	switch (record->type) {
	case FCGI_STDOUT:
		assert_int_equal(record->id, 1);
		reply.out_ends += content.bytes == 0;
		buf_put(&reply.out, content);
		break;
	case FCGI_STDERR:
		buf_put(&reply.err, content);
		break;
	case FCGI_END_REQUEST:
		if (record->id != 1) {
			reply.refused_id = record->id;
			assert_int_equal(fcgi_end_parse(content,
					     &reply.refused),
			    0);
			break;
		}
		reply.ends++;
		assert_int_equal(fcgi_end_parse(content, &reply.end), 0);
		break;
	case FCGI_GET_VALUES_RESULT:
		assert_int_equal(record->id, 0);
		buf_put(&reply.values, content);
		break;
	case FCGI_UNKNOWN_TYPE:
		assert_int_equal(content.bytes, 8);
		reply.unknown_type = (unsigned char)content.data[0];
		break;
	default:
		fail_msg("record of type %u", record->type);
	}
}

static void
take_bytes(struct fcgi_reader *reader, struct span in)
{
	struct span content;
	enum fcgi_event event;

	while ((event = fcgi_read(reader, &in, &content)) != FCGI_NEED_MORE) {
		assert_int_not_equal(event, FCGI_BAD_VERSION);
		if (event == FCGI_RECORD)
			buf_clear(&reply.content);
		else if (event == FCGI_CONTENT)
			buf_put(&reply.content, content);
		else
			take_record(&reader->record);
	}
}

/* Sends the request and reads what comes meanwhile, until the request's end;
 * then closes at once, as libfcgi waits for that. */
static void
exchange(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fcgi_reader reader;
	char bytes[4096];
	ssize_t count;

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address,
			     address_bytes),
	    0);
	fcgi_reader_init(&reader);
	while (reply.ends == 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (buf_bytes(&request) > 0)
			p.events |= POLLOUT;
		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		if (p.revents & POLLOUT) {
			count = send(fd, buf_span(&request).data,
			    buf_bytes(&request), MSG_DONTWAIT | MSG_NOSIGNAL);
			assert_true(count > 0 || errno == EAGAIN);
			if (count > 0)
				buf_taken(&request, (size_t)count);
		}
		if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
			count = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
			assert_true(count > 0 ||
			    (count < 0 && errno == EAGAIN));
			if (count > 0)
				take_bytes(&reader,
				    span_make(bytes, (size_t)count));
		}
	}
	close(fd);
	assert_int_equal(reply.ends, 1);
	assert_int_equal(reply.out_ends, 1);
	assert_true(fcgi_reader_between(&reader));
	assert_int_equal(reply.end.app_status, EXIT_STATUS);
	assert_int_equal(reply.end.protocol_status, FCGI_REQUEST_COMPLETE);
	assert_span(buf_span(&reply.err), SPAN("for the log"));
	if (!span_equal(buf_span(&reply.out), buf_span(&wanted)))
		fail_msg("it answered otherwise: %zu bytes for %zu",
		    buf_bytes(&reply.out), buf_bytes(&wanted));
}

static void
add_param(struct span name, struct span value)
{
	assert_int_equal(params_put(&pairs, name, value), 0);
	buf_put(&wanted, name);
	buf_put_byte(&wanted, '=');
	buf_put(&wanted, value);
	buf_put_byte(&wanted, '\n');
}

static void
put_begin(void)
{
	assert_int_equal(fcgi_put_begin(&request, 1, FCGI_RESPONDER, false), 0);
}

static void
put_params(void)
{
	assert_int_equal(fcgi_put_stream(&request, FCGI_PARAMS, 1,
			     buf_span(&pairs)),
	    0);
	assert_int_equal(fcgi_put_stream_end(&request, FCGI_PARAMS, 1), 0);
	buf_put(&wanted, SPAN("--\n"));
}

static void
put_body(struct span body)
{
	assert_int_equal(fcgi_put_stream(&request, FCGI_STDIN, 1, body), 0);
	assert_int_equal(fcgi_put_stream_end(&request, FCGI_STDIN, 1), 0);
	buf_put(&wanted, body);
}

static void
test_plain(void **state)
{
	(void)state;
	add_param(SPAN("REQUEST_METHOD"), SPAN("GET"));
	add_param(SPAN("QUERY_STRING"), SPAN(""));
	put_begin();
	put_params();
	put_body(SPAN(""));
	exchange();
}

static void
test_lengths(void **state)
{
	static const size_t sizes[] = { 1, 127, 128, 129, 255, 256, 8191, 8192,
		65535, 65536, 100000 };
	char *bytes = malloc(100000);

	(void)state;
	fill(bytes, 100000);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct span s = span_make(bytes, sizes[i]);

		add_param(span_take(s, 512), s);
		add_param(s, SPAN(""));
		add_param(s, SPAN("x"));
	}
	put_begin();
	put_params();
	put_body(SPAN(""));
	exchange();
	free(bytes);
}

static void
test_body(void **state)
{
	char *bytes = malloc(1000000);

	(void)state;
	fill(bytes, 1000000);
	add_param(SPAN("CONTENT_LENGTH"), SPAN("1000000"));
	put_begin();
	put_params();
	put_body(span_make(bytes, 1000000));
	exchange();
	free(bytes);
}

static void
test_one_byte_records(void **state)
{
	char bytes[3000];

	(void)state;
	fill(bytes, sizeof(bytes));
	put_begin();
	add_param(SPAN("SCRIPT_NAME"), SPAN("/fn/acme/hello"));
	add_param(SPAN("LONG"), span_make(bytes, 300));
	for (size_t i = 0; i < buf_bytes(&pairs); i++)
		assert_int_equal(fcgi_put_record(&request, FCGI_PARAMS, 1,
				     span_make(buf_span(&pairs).data + i, 1)),
		    0);
	buf_clear(&pairs);
	put_params();
	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(fcgi_put_record(&request, FCGI_STDIN, 1,
				     span_make(bytes + i, 1)),
		    0);
	buf_put(&wanted, span_make(bytes, sizeof(bytes)));
	put_body(SPAN(""));
	exchange();
}

static void
test_largest_record(void **state)
{
	char *bytes = malloc(65535 + 255);
	uint8_t record_head[FCGI_HEADER_LEN];

	(void)state;
	fill(bytes, 65535 + 255);
	put_begin();
	put_params();
	fcgi_head_write(record_head, FCGI_STDIN, 1, 65535, 255);
	for (int i = 0; i < 3; i++) {
		buf_put(&request, span_make(record_head, FCGI_HEADER_LEN));
		buf_put(&request, span_make(bytes, 65535 + 255));
		buf_put(&wanted, span_make(bytes, 65535));
	}
	put_body(SPAN(""));
	exchange();
	free(bytes);
}

static void
test_values(void **state)
{
	struct buf asked;
	struct span rest;
	struct param pair;
	unsigned known = 0;

	(void)state;
	buf_init(&asked, 4096);
	params_put(&asked, SPAN(FCGI_MAX_CONNS), SPAN(""));
	params_put(&asked, SPAN("NOBODY_KNOWS"), SPAN(""));
	params_put(&asked, SPAN(FCGI_MPXS_CONNS), SPAN(""));
	assert_int_equal(fcgi_put_record(&request, FCGI_GET_VALUES, 0,
			     buf_span(&asked)),
	    0);
	buf_free(&asked);
	put_begin();
	put_params();
	put_body(SPAN(""));
	exchange();
	rest = buf_span(&reply.values);
	while (params_next(&rest, &pair) == PARAMS_PAIR) {
		if (span_equal(pair.name, SPAN(FCGI_MAX_CONNS)))
			known |= 1;
		if (span_equal(pair.name, SPAN(FCGI_MPXS_CONNS)))
			known |= 2;
		assert_false(span_equal(pair.name, SPAN("NOBODY_KNOWS")));
	}
	assert_int_equal(rest.bytes, 0);
	assert_int_equal(known, 3);
}

static void
test_unknown_type(void **state)
{
	(void)state;
	/* Without content, which libfcgi 2.4.2 would not skip. */
	assert_int_equal(fcgi_put_record(&request, 200, 0, SPAN("")), 0);
	put_begin();
	put_params();
	put_body(SPAN(""));
	exchange();
	assert_int_equal(reply.unknown_type, 200);
}

static void
test_second_begin(void **state)
{
	(void)state;
	put_begin();
	put_params();
	assert_int_equal(fcgi_put_begin(&request, 513, FCGI_RESPONDER, false),
	    0);
	put_body(SPAN("body"));
	exchange();
	assert_int_equal(reply.refused_id, 513);
	assert_int_equal(reply.refused.protocol_status, FCGI_CANT_MPX_CONN);
}

#define TEST(sentence, function)                      \
	{                                             \
		sentence, function, fresh, NULL, NULL \
	}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST("a request without a body", test_plain),
		TEST("F7: names and values of every length of length",
		    test_lengths),
		TEST("F15: a body of a million bytes, there and back",
		    test_body),
		TEST("F7, F8: every byte in a record of its own",
		    test_one_byte_records),
		TEST("F1: 65535 bytes and 255 of padding", test_largest_record),
		TEST("F9: its values are pairs we read", test_values),
		TEST("F10: it says so when it does not know a type",
		    test_unknown_type),
		TEST("F5: its refusal of a second request is read",
		    test_second_begin),
	};

	return cmocka_run_group_tests(tests, peer_start, peer_stop);
}
