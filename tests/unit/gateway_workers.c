/* SPDX-License-Identifier: MIT */
/* If this fails, a request is put to no worker, to two, or to one that cannot
 * serve it; or there are more workers than may be. The test is the launcher and
 * each worker: it has the listening socket of START, and may take a request, or
 * not, and say anything. */
#include "gateway_web.h"

#include "gateway/worker.h"
#include "wire/fcgi_app.h"

static const char hello[] = "Content-Type: text/plain\r\n\r\nhello\n";

struct peer_request { /* what a worker was given */
	int fd;
	struct fcgi_reader reader;
	bool keep;
	bool ended; /* of STDIN */
	size_t param_bytes;
	char params[64 * 1024];
	uint64_t body_bytes;
	char body[64];
	uint8_t begin[8];
	size_t begin_bytes;
};

static struct peer_request one;

/* ---- the worker's side --------------------------------------------------------- */

static bool
has_caller(const struct start *s, int wait_ms)
{
	struct pollfd p = { .fd = s->in, .events = POLLIN };

	return poll(&p, 1, wait_ms) > 0 && (p.revents & POLLIN) &&
	    !(p.revents & POLLHUP);
}

static void
worker_accept(const struct start *s, struct peer_request *p)
{
	memset(p, 0, sizeof(*p));
	if (!has_caller(s, PATIENCE_MS))
		fail_msg("no request comes to the worker");
	p->fd = accept4(s->in, NULL, NULL, SOCK_CLOEXEC);
	assert_true(p->fd >= 0);
	fcgi_reader_init(&p->reader);
}

static void
worker_content(struct peer_request *p, struct span s)
{
	switch (p->reader.record.type) {
	case FCGI_BEGIN_REQUEST:
		assert_true(p->begin_bytes + s.bytes <= sizeof(p->begin));
		memcpy(p->begin + p->begin_bytes, s.data, s.bytes);
		p->begin_bytes += s.bytes;
		break;
	case FCGI_PARAMS:
		assert_true(p->param_bytes + s.bytes <= sizeof(p->params));
		memcpy(p->params + p->param_bytes, s.data, s.bytes);
		p->param_bytes += s.bytes;
		break;
	default:
		if (p->body_bytes == 0)
			memcpy(p->body, s.data,
			    s.bytes < sizeof(p->body) ? s.bytes :
							sizeof(p->body));
		p->body_bytes += s.bytes;
	}
}

/* One request, whole. False: the connection ended before. */
static bool
worker_read(struct peer_request *p)
{
	static char block[65536];
	struct pollfd poll_fd = { .fd = p->fd, .events = POLLIN };
	struct span in, content;
	ssize_t n;

	p->ended = false;
	p->param_bytes = p->begin_bytes = 0;
	p->body_bytes = 0;
	while (!p->ended) {
		if (poll(&poll_fd, 1, PATIENCE_MS) <= 0)
			fail_msg("the request does not end");
		n = recv(p->fd, block, sizeof(block), 0);
		if (n <= 0)
			return false;
		in = span_make(block, (size_t)n);
		for (;;) {
			enum fcgi_event event =
			    fcgi_read(&p->reader, &in, &content);

			if (event == FCGI_NEED_MORE)
				break;
			assert_int_not_equal(event, FCGI_BAD_VERSION);
			if (event == FCGI_CONTENT)
				worker_content(p, content);
			if (event == FCGI_RECORD_END &&
			    p->reader.record.type == FCGI_STDIN &&
			    p->reader.record.content_bytes == 0)
				p->ended = true;
		}
	}
	p->keep = (p->begin[2] & FCGI_KEEP_CONN) != 0;
	return true;
}

static const char *
worker_param(const struct peer_request *p, const char *name)
{
	static char value[4096];
	struct span rest = span_make(p->params, p->param_bytes);
	struct param pair;

	while (params_next(&rest, &pair) == PARAMS_PAIR) {
		if (!span_equal(pair.name, span_of(name)))
			continue;
		assert_true(pair.value.bytes < sizeof(value));
		memcpy(value, pair.value.data, pair.value.bytes);
		value[pair.value.bytes] = '\0';
		return value;
	}
	return NULL;
}

static void
worker_write(const struct peer_request *p, struct buf *b)
{
	assert_int_equal(fd_write_all(p->fd, buf_span(b)), 0);
	buf_free(b);
}

static void
worker_says(struct peer_request *p, const char *text, bool end)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	fcgi_put_stream(&b, FCGI_STDOUT, FCGI_APP_ID, span_of(text));
	if (end) {
		fcgi_put_stream_end(&b, FCGI_STDOUT, FCGI_APP_ID);
		fcgi_put_end(&b, FCGI_APP_ID, 0, FCGI_REQUEST_COMPLETE);
	}
	worker_write(p, &b);
	if (end && !p->keep)
		fd_close(&p->fd);
}

static void
worker_serves(const struct start *s, struct peer_request *p)
{
	worker_accept(s, p);
	assert_true(worker_read(p));
	worker_says(p, hello, true);
}

/* ---- the host's side ------------------------------------------------------------ */

static void
few(struct config *c)
{
	few_of_all(c);
	c->limits[LIMIT_queue] = 5000;
	c->launcher_idle = 60000;
	c->cell_idle = 60000;
	c->slots_function = 4;
	c->queue_function = c->queue_tenant = 16;
	c->queue_host = 64;
}

static void (*configure)(struct config *) = few;

static void
as_fastcgi(void)
{
	settings_release(&host.settings);
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->protocol = PROTOCOL_FASTCGI;
	host.settings->requests = 500;
	host.settings->limits[LIMIT_grace] = 100;
	host.version = 1;
}

static int
setup_workers(void **state)
{
	setup(state);
	as_fastcgi();
	return 0;
}

#define WORKER_TEST(words, function) TEST_AFTER(setup_workers, words, function)

/* A first request, served: the function has one idle worker. */
static void
warmed(struct start *s, struct peer_request *p)
{
	web_get(&web, "/fn/acme/hello");
	host_start(&host, s);
	worker_serves(s, p);
	hello_comes(&web);
	host_record(&host, "done", 200);
}

static void
worker_exits(struct start *s, int wait_status)
{
	host_ended(&host, s,
	    (struct message_ended){ .how = ENDED_EXITED,
		.wait_status = (uint32_t)wait_status,
		.started_us = 1000000,
		.ended_us = 1002000 });
}

/* Its listening socket is shut: accept() says so. */
static void
worker_is_shut(const struct start *s)
{
	struct pollfd p = { .fd = s->in, .events = POLLIN };

	assert_true(poll(&p, 1, PATIENCE_MS) > 0);
	assert_int_equal(accept4(s->in, NULL, NULL, SOCK_CLOEXEC), -1);
	assert_int_equal(errno, EINVAL);
}

/* ---- tests -------------------------------------------------------------------- */

static void
serves_many(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello?a=b");
	host_start(&host, &s);
	assert_int_equal(s.time_us, 0);
	assert_string_equal(start_env(&s, "FN_WORKER"), "1");
	assert_string_equal(start_env(&s, "FN_NAME"), "hello");
	assert_non_null(start_env(&s, "PATH"));
	assert_string_equal(start_env(&s, "PHP_FCGI_MAX_REQUESTS"), "0");
	assert_null(start_env(&s, "QUERY_STRING"));
	assert_null(start_env(&s, "FN_REQUEST_ID"));
	worker_accept(&s, &one);
	assert_true(worker_read(&one));
	assert_string_equal(worker_param(&one, "QUERY_STRING"), "a=b");
	assert_non_null(worker_param(&one, "FN_REQUEST_ID"));
	assert_non_null(worker_param(&one, "FN_DEADLINE_MS"));
	assert_null(worker_param(&one, "FN_WORKER"));
	worker_says(&one, hello, true);
	hello_comes(&web);
	host_record(&host, "done", 200);
	for (int i = 0; i < 3; i++) {
		web_get(&web, "/fn/acme/hello");
		assert_true(worker_read(&one)); /* on the same connection */
		worker_says(&one, hello, true);
		hello_comes(&web);
		host_record(&host, "done", 200);
	}
	assert_int_equal(host.heard[MESSAGE_START], 1);
	fd_close(&one.fd);
	start_close(&s);
}

/* A body may be left unread, and what is left may look like a request. */
static void
kept_connections(void **state)
{
	const char *post[] = { "REQUEST_METHOD=POST", "CONTENT_LENGTH=4",
		"REQUEST_URI=/fn/acme/hello", NULL };
	const char *plain[] = { "REQUEST_METHOD=POST",
		"REQUEST_URI=/fn/acme/hello", NULL };
	static struct peer_request two;
	char large[9000] = "HTTP_X_LARGE=";
	const char *get[] = { "REQUEST_METHOD=GET", large,
		"REQUEST_URI=/fn/acme/hello", NULL };
	struct start s;

	(void)state;
	warmed(&s, &one);
	assert_true(one.keep);
	/* with a body: on a connection of its own, which is not kept */
	web_begin(&web, 1, true, post);
	web_body(&web, 1, SPAN("body"));
	web_flush(&web);
	worker_accept(&s, &two);
	assert_false(worker_read(&one)); /* the kept one was closed */
	fd_close(&one.fd);
	assert_true(worker_read(&two));
	assert_false(two.keep);
	assert_int_equal(two.body_bytes, 4);
	worker_says(&two, hello, true);
	hello_comes(&web);
/* without one, but it may not be asked twice */
warmed_again:
	web_get(&web, "/fn/acme/hello");
	worker_serves(&s, &one);
	assert_true(one.keep);
	hello_comes(&web);
	web_begin(&web, 1, true, plain);
	web_body(&web, 1, SPAN_NONE);
	web_flush(&web);
	worker_accept(&s, &two);
	assert_true(worker_read(&two));
	worker_says(&two, hello, true);
	hello_comes(&web);
	if (large[13] == '\0') {
		/* more than libfcgi reads at once comes on the kept one, which
		 * is the last on it */
		memset(large + 13, 'x', sizeof(large) - 14);
		fd_close(&one.fd);
		one = two;
		web_begin(&web, 1, true, get);
		web_body(&web, 1, SPAN_NONE);
		web_flush(&web);
		assert_true(worker_read(&one));
		assert_false(one.keep);
		worker_says(&one, hello, true);
		hello_comes(&web);
		goto warmed_again;
	}
	fd_close(&one.fd);
	fd_close(&two.fd);
	start_close(&s);
}

/* One that says it drains what it is sent keeps its connection for anything. */
static void
ready_line(void **state)
{
	const char *post[] = { "REQUEST_METHOD=POST", "CONTENT_LENGTH=4",
		"REQUEST_URI=/fn/acme/hello", NULL };
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	start_write(&s, WORKER_READY_LINE);
	worker_serves(&s, &one);
	hello_comes(&web);
	seen();
	for (int i = 0; i < 2; i++) {
		web_begin(&web, 1, true, post);
		web_body(&web, 1, SPAN("body"));
		web_flush(&web);
		assert_true(worker_read(&one));
		assert_true(one.keep);
		assert_int_equal(one.body_bytes, 4);
		worker_says(&one, hello, true);
		hello_comes(&web);
	}
	fd_close(&one.fd);
	start_close(&s);
}

/* What it writes to its standard output otherwise is for the log, all of it. */
static void
stray_output(void **state)
{
	char text[64] = "";
	struct start s;
	struct event e;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	start_write(&s, "fn-wonder\n");
	for (size_t bytes = 0; bytes < 10;) {
		struct pollfd p;

		host_expect(&host, MESSAGE_STDERR, &e);
		assert_int_equal(e.fd_count, 1);
		p = (struct pollfd){ .fd = e.fds[0], .events = POLLIN };
		if (poll(&p, 1, 0) > 0) {
			ssize_t n =
			    read(e.fds[0], text + bytes, sizeof(text) - bytes);

			assert_true(n >= 0);
			bytes += (size_t)n;
		}
		fd_close(&e.fds[0]);
	}
	assert_string_equal(text, "fn-wonder\n");
	worker_serves(&s, &one);
	hello_comes(&web);
	fd_close(&one.fd);
	start_close(&s);
}

/* A streamed body is moved before anybody has taken it, and comes whole to who
 * takes it in the end. */
static void
stream_not_taken(void **state)
{
	static char large[150000];
	const char *post[] = { "REQUEST_METHOD=POST",
		"REQUEST_URI=/fn/acme/hello", NULL };
	struct start s, next;

	(void)state;
	host.settings->body = BODY_STREAM;
	memset(large, 'x', sizeof(large));
	memcpy(large, "begin", 5);
	web_begin(&web, 1, true, post);
	fcgi_put_stream(&web.send, FCGI_STDIN, 1,
	    span_make(large, sizeof(large)));
	web_flush(&web);
	host_start(&host, &s);
	assert_true(has_caller(&s, PATIENCE_MS));
	seen();
	worker_exits(&s, 3 << 8);
	host_start(&host, &next);
	worker_accept(&next, &one);
	web_body(&web, 1, SPAN("end"));
	web_flush(&web);
	assert_true(worker_read(&one));
	assert_int_equal(one.body_bytes, sizeof(large) + 3);
	assert_memory_equal(one.body, "beginxxx", 8);
	worker_says(&one, hello, true);
	hello_comes(&web);
	start_close(&next);
}

/* It closes what it was asked to keep: nobody is asked on such a connection. */
static void
keeps_nothing(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	for (int i = 0; i < 20; i++) {
		if (i > 0)
			web_get(&web, "/fn/acme/hello");
		worker_accept(&s, &one);
		assert_true(worker_read(&one));
		if (i > 1)
			assert_false(one.keep);
		worker_says(&one, hello, true);
		fd_close(&one.fd);
		hello_comes(&web);
	}
	assert_int_equal(host.heard[MESSAGE_START], 1);
	start_close(&s);
}

static void
slow_to_accept(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	assert_true(has_caller(&s, PATIENCE_MS));
	seen();
	worker_serves(&s, &one);
	hello_comes(&web);
	host_record(&host, "done", 200);
	fd_close(&one.fd);
	start_close(&s);
}

/* Its first request waits for it, but not for ever. */
static void
never_accepts(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	host.settings->limits[LIMIT_start] = 200;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGTERM);
	web_end(&web);
	web_has(&web, "Status: 504 ");
	web_has(&web, "limits.start = 200 ms");
	worker_exits(&s, SIGTERM);
	host_record(&host, "start-time", 504);
}

/* It ended, or was stopped, before it accepted: nobody has seen the request. */
static void
not_taken(void **state)
{
	struct start s, next;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	assert_true(has_caller(&s, PATIENCE_MS));
	worker_exits(&s, 3 << 8);
	host_start(&host, &next);
	worker_serves(&next, &one);
	hello_comes(&web);
	host_record(&host, "done", 200);
	/* idle, and does not accept any more */
	fd_close(&one.fd);
	seen();
	web_get(&web, "/fn/acme/hello");
	assert_true(has_caller(&next, PATIENCE_MS));
	host_start(&host, &s); /* after a second */
	worker_serves(&s, &one);
	hello_comes(&web);
	fd_close(&one.fd);
	worker_is_shut(&next);
	start_close(&s);
	start_close(&next);
}

/* It may have done what it was asked: it is not asked again. */
static void
taken_and_dead(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	worker_accept(&s, &one);
	assert_true(worker_read(&one));
	fd_close(&one.fd);
	worker_exits(&s, SIGSEGV);
	web_end(&web);
	web_has(&web, "Status: 502 ");
	web_has(&web, "signal SEGV");
	web_forget(&web);
	host_record(&host, "crashed", 502);
	assert_int_equal(host.heard[MESSAGE_START], 1);
	/* in the middle of a reply */
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	worker_accept(&s, &one);
	assert_true(worker_read(&one));
	worker_says(&one, hello, false);
	web_until(&web, "hello");
	fd_close(&one.fd);
	worker_exits(&s, 0);
	while (web_read(&web))
		;
	assert_true(web.closed);
	host_record(&host, "broke-off", 200);
	assert_int_equal(host.heard[MESSAGE_START], 2);
}

/* It ends behind its last request, as it likes, while the next is on its way on
 * the connection both have kept. */
static void
ends_while_asked(void **state)
{
	struct start s, next;

	(void)state;
	warmed(&s, &one);
	web_get(&web, "/fn/acme/hello");
	assert_int_equal(poll(&(struct pollfd){ .fd = one.fd,
				  .events = POLLIN },
			     1, PATIENCE_MS),
	    1);
	fd_close(&one.fd); /* unread */
	worker_exits(&s, 0);
	host_start(&host, &next);
	worker_serves(&next, &one);
	hello_comes(&web);
	host_record(&host, "done", 200);
	/* but what it has read it may have done */
	web_get(&web, "/fn/acme/hello");
	assert_true(worker_read(&one));
	fd_close(&one.fd);
	worker_exits(&next, 0);
	web_end(&web);
	web_has(&web, "Status: 502 ");
	host_record(&host, "no-reply", 502);
	assert_int_equal(host.heard[MESSAGE_START], 2);
}

static void
many(struct config *c)
{
	few(c);
	c->slots_host = c->slots_tenant = 64;
	c->slots_function = 5;
	c->queue_function = c->queue_tenant = c->queue_host = 4096;
	c->limits[LIMIT_queue] = 20000;
}

static int
setup_many(void **state)
{
	configure = many;
	setup_workers(state);
	configure = few;
	host.settings->concurrency = 5;
	return 0;
}

struct crowd_worker {
	struct start s;
	struct peer_request p;
};

/* 1,000 first requests at once, and five workers at most. */
static void
crowd(void **state)
{
	enum { CROWD = 1000 };
	static struct crowd_worker workers[5];
	static int fds[CROWD];
	size_t started = 0, served = 0;
	struct buf ask;

	(void)state;
	buf_init(&ask, 4096);
	web_begin(&web, 1, false,
	    (const char *const[]){
		"REQUEST_METHOD=GET", "REQUEST_URI=/fn/acme/hello", NULL });
	web_body(&web, 1, SPAN_NONE);
	for (size_t i = 0; i < CROWD; i++) {
		fds[i] = fd_connect_unix(host.front, SOCK_STREAM);
		assert_true(fds[i] >= 0);
		assert_int_equal(fd_write_all(fds[i], buf_span(&web.send)), 0);
	}
	buf_clear(&web.send);
	host_start(&host, &workers[started++].s);
	workers[0].p.fd = -1;
	while (served < CROWD) {
		struct pollfd polled[11];
		size_t count = 0;

		for (size_t i = 0; i < started; i++) {
			polled[count++] =
			    (struct pollfd){ .fd = workers[i].p.fd >= 0 ?
					workers[i].p.fd :
					workers[i].s.in,
				    .events = POLLIN };
		}
		for (size_t i = 0; i < host.launcher_count; i++)
			polled[count++] =
			    (struct pollfd){ .fd = host.launchers[i].fd,
				    .events = POLLIN };
		polled[count++] =
		    (struct pollfd){ .fd = host.cells[0], .events = POLLIN };
		assert_true(poll(polled, count, PATIENCE_MS) > 0);
		for (size_t i = started; i < count; i++) {
			struct event e;

			if (!(polled[i].revents & POLLIN))
				continue;
			host_event(&host, &e);
			if (e.type != MESSAGE_START) {
				host_react(&host, &e);
				break;
			}
			assert_true(started < 5); /* never a sixth */
			memset(&workers[started], 0, sizeof(workers[0]));
			workers[started].p.fd = -1;
			workers[started].s.launcher = e.index;
			workers[started].s.in = e.fds[0];
			workers[started].s.out = e.fds[1];
			workers[started].s.err = e.fds[2];
			started++;
			break;
		}
		for (size_t i = 0; i < started; i++) {
			struct crowd_worker *w = &workers[i];

			if (!(polled[i].revents & POLLIN) ||
			    (polled[i].fd != w->s.in &&
				polled[i].fd != w->p.fd))
				continue;
			if (w->p.fd < 0)
				worker_accept(&w->s, &w->p);
			if (worker_read(&w->p)) {
				worker_says(&w->p, hello, true);
				if (!w->p.keep)
					w->p.fd = -1;
				served++;
			} else {
				fd_close(&w->p.fd);
			}
		}
	}
	assert_true(started <= 5);
	for (size_t i = 0; i < CROWD; i++) {
		char text[1024];
		size_t bytes = 0;
		ssize_t n;

		do {
			poll(&(struct pollfd){ .fd = fds[i], .events = POLLIN },
			    1, PATIENCE_MS);
			n = read(fds[i], text + bytes,
			    sizeof(text) - 1 - bytes);
			bytes += n > 0 ? (size_t)n : 0;
		} while (n > 0);
		if (!memmem(text, bytes, "hello\n", 6))
			fail_msg("answer %zu of %zu bytes (%s) is \"%.*s\"", i,
			    bytes, n < 0 ? strerror(errno) : "its end",
			    bytes > 8 ? (int)bytes - 8 : 0, text + 8);
		fd_close(&fds[i]);
	}
	for (size_t i = 0; i < started; i++) {
		fd_close(&workers[i].p.fd);
		start_close(&workers[i].s);
	}
	buf_free(&ask);
}

static void
recycled(void **state)
{
	struct start s, next;

	(void)state;
	host.settings->requests = 2;
	warmed(&s, &one);
	web_get(&web, "/fn/acme/hello");
	assert_true(worker_read(&one));
	worker_says(&one, hello, true);
	hello_comes(&web);
	worker_is_shut(&s);
	assert_false(worker_read(&one)); /* closed as well */
	fd_close(&one.fd);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &next); /* there is room for it beside */
	worker_serves(&next, &one);
	hello_comes(&web);
	worker_exits(&s, 0);
	fd_close(&one.fd);
	start_close(&next);
	assert_int_equal(host.heard[MESSAGE_STOP], 0);
}

/* The file is another one: noticed within a second of requests. */
static void
replaced(void **state)
{
	struct start s, next;
	unsigned asked;

	(void)state;
	host.settings->requests = 0;
	warmed(&s, &one);
	asked = host.heard[MESSAGE_RESOLVE];
	while (host.heard[MESSAGE_RESOLVE] == asked) {
		struct event e;

		web_get(&web, "/fn/acme/hello");
		if (poll(&(struct pollfd){ .fd = one.fd, .events = POLLIN }, 1,
			20) <= 0) {
			host.version = 2;
			host_expect(&host, MESSAGE_START, &e);
			memset(&next, 0, sizeof(next));
			next.launcher = e.index;
			next.in = e.fds[0];
			next.out = e.fds[1];
			next.err = e.fds[2];
			break;
		}
		assert_true(worker_read(&one));
		worker_says(&one, hello, true);
		hello_comes(&web);
	}
	assert_true(host.heard[MESSAGE_RESOLVE] > asked);
	fd_close(&one.fd);
	worker_serves(&next, &one);
	hello_comes(&web);
	worker_is_shut(&s);
	worker_exits(&s, 0);
	fd_close(&one.fd);
	start_close(&next);
}

/* Programs that end as soon as they are started are not started without end; who
 * asks gets an answer that says so. */
static void
dies_young(void **state)
{
	unsigned starts = 0, refused_busy = 0;

	(void)state;
	host.settings->limits[LIMIT_queue] = 100;
	for (int i = 0; i < 8; i++) {
		struct event e;

		web_get(&web, "/fn/acme/hello");
		do {
			host_event(&host, &e);
			if (e.type == MESSAGE_START) {
				struct start s = { .launcher = e.index,
					.in = e.fds[0],
					.out = e.fds[1],
					.err = e.fds[2] };

				message_start_decode(e.body, &s.message);
				s.invocation = s.message.invocation;
				starts++;
				worker_exits(&s, 7 << 8);
			} else
				host_react(&host, &e);
		} while (e.type != MESSAGE_ACCESS);
		web_end(&web);
		web_has(&web, "exit 7");
		if (strstr(web.text, "Status: 503 ")) {
			web_has(&web, "Retry-After: ");
			assert_true(span_equal(host.access.end,
			    SPAN("damped")));
			refused_busy++;
		} else {
			web_has(&web, "Status: 502 ");
		}
		web_forget(&web);
	}
	assert_true(refused_busy > 0);
	assert_true(starts < 24);
}

/* A CGI program that is said to speak FastCGI: run once, and told so. */
static void
not_fastcgi(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	assert_true(has_caller(&s, PATIENCE_MS));
	start_write(&s, hello);
	worker_exits(&s, 0);
	web_end(&web);
	web_has(&web, "Status: 502 ");
	web_has(&web, "exit 0 before it took a request");
	host_record(&host, "not-taken", 502);
	assert_int_equal(host.heard[MESSAGE_START], 1);
}

struct row {
	const char *sentence;
	const char *bytes; /* behind the header and "hello\n" */
	size_t count;
	const char *end;
	unsigned status;
	bool replaced; /* the worker, at once */
};

#define RECORD(type, id, length) "\1" type "\0" id "\0" length "\0\0"
#define STDOUT_END RECORD("\6", "\1", "\0")
#define END_OK RECORD("\3", "\1", "\10") "\0\0\0\0\0\0\0\0"
#define END_FULL RECORD("\3", "\1", "\10") "\0\0\0\0\2\0\0\0"
#define ROW(bytes) bytes, sizeof(bytes) - 1

static const struct row rows[] = {
	{ "the end, as it should be", ROW(STDOUT_END END_OK), "done", 200,
	    false },
	{ "no end of its output before the end", ROW(END_OK), "done", 200,
	    false },
	{ "words for another request are nobody's",
	    ROW(RECORD("\6", "\2", "\2") "xx" STDOUT_END END_OK), "done", 200,
	    false },
	{ "two ends", ROW(STDOUT_END END_OK END_OK), "done", 200, false },
	{ "no record", ROW("Content-Type: text/html\n\n"), "bad-fastcgi", 502,
	    true },
	{ "it takes no more", ROW(STDOUT_END END_FULL), "overloaded", 503,
	    true },
};

static void
one_row(void **state)
{
	const struct row *row = *state;
	struct start s;
	struct buf b;

	setup_workers(NULL);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	worker_accept(&s, &one);
	assert_true(worker_read(&one));
	buf_init(&b, 4096);
	if (row->status == 200)
		fcgi_put_stream(&b, FCGI_STDOUT, FCGI_APP_ID, span_of(hello));
	buf_put(&b, span_make(row->bytes, row->count));
	worker_write(&one, &b);
	if (row->status == 200)
		hello_comes(&web);
	else
		web_end(&web);
	if (row->status == 502)
		worker_exits(&s, SIGTERM);
	host_record(&host, row->end, row->status);
	fd_close(&one.fd);
	web_forget(&web);
	web_get(&web, "/fn/acme/hello");
	if (row->replaced) {
		if (row->status != 502)
			worker_exits(&s, 0);
		host_start(&host, &s);
	}
	worker_serves(&s, &one);
	hello_comes(&web);
	fd_close(&one.fd);
	start_close(&s);
	teardown(NULL);
}

/* Byte by byte, a header in pieces, and words for the log. */
static void
in_pieces(void **state)
{
	char text[16] = "";
	struct start s;
	struct event e;
	struct buf b;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	worker_accept(&s, &one);
	assert_true(worker_read(&one));
	buf_init(&b, 65536);
	for (size_t i = 0; i < strlen(hello); i++) {
		fcgi_put_stream(&b, FCGI_STDOUT, FCGI_APP_ID,
		    span_make(hello + i, 1));
		fcgi_put_stream(&b, FCGI_STDERR, FCGI_APP_ID, SPAN("e"));
	}
	fcgi_put_end(&b, FCGI_APP_ID, 0, FCGI_REQUEST_COMPLETE);
	worker_write(&one, &b);
	hello_comes(&web);
	host_expect(&host, MESSAGE_STDERR, &e);
	assert_int_equal(read(e.fds[0], text, 8), 8);
	assert_string_equal(text, "eeeeeeee");
	fd_close(&e.fds[0]);
	host_record(&host, "done", 200);
	fd_close(&one.fd);
	start_close(&s);
}

/* Its client goes: a worker that is done soon stays, one that is not is ended. */
static void
client_gone(void **state)
{
	struct start s;
	struct event e;
	struct web other;

	(void)state;
	warmed(&s, &one);
	web_open(&other, &host);
	web_get(&other, "/fn/acme/hello");
	assert_true(worker_read(&one));
	web_close(&other);
	seen();
	worker_says(&one, hello, true);
	host_record(&host, "client-gone", 0);
	web_get(&web, "/fn/acme/hello");
	assert_true(worker_read(&one)); /* the same one */
	worker_says(&one, hello, true);
	hello_comes(&web);
	assert_int_equal(host.heard[MESSAGE_STOP], 0);
	web_open(&other, &host);
	web_get(&other, "/fn/acme/hello");
	assert_true(worker_read(&one));
	web_close(&other);
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGTERM);
	fd_close(&one.fd);
	worker_exits(&s, SIGTERM);
	host_record(&host, "client-gone", 0);
}

static void
over_time(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	host.settings->limits[LIMIT_time] = 100;
	warmed(&s, &one);
	web_get(&web, "/fn/acme/hello");
	assert_true(worker_read(&one));
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGTERM);
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGKILL);
	fd_close(&one.fd);
	worker_exits(&s, SIGKILL);
	web_end(&web);
	web_has(&web, "Status: 504 ");
	web_has(&web, "limits.time = 100 ms");
	host_record(&host, "time", 504);
}

/* Nobody asks any more. */
static void
scales_to_zero(void **state)
{
	struct start s;

	(void)state;
	host.settings->limits[LIMIT_warm] = 100;
	warmed(&s, &one);
	assert_false(worker_read(&one));
	worker_is_shut(&s);
	fd_close(&one.fd);
	worker_exits(&s, 0);
	seen();
}

static void
one_slot(struct config *c)
{
	few(c);
	c->slots_tenant = 1;
	c->slots_function = 1;
}

static int
setup_one_slot(void **state)
{
	configure = one_slot;
	setup_workers(state);
	configure = few;
	return 0;
}

/* It stands in the way of another function that has a slot. */
static void
makes_room(void **state)
{
	struct start s, other;

	(void)state;
	warmed(&s, &one);
	settings_release(&host.settings);
	web_get(&web, "/fn/acme/other");
	while (host.heard[MESSAGE_RESOLVE] < 2) {
		struct event e;

		host_event(&host, &e);
		host_react(&host, &e);
	}
	worker_is_shut(&s);
	fd_close(&one.fd);
	worker_exits(&s, 0);
	host_start(&host, &other);
	answer(&other);
	hello_comes(&web);
	host_record(&host, "done", 200);
}

static void
cell_ends(void **state)
{
	struct message_tenant_moved moved = { .tenant = SPAN("acme") };
	struct start s, next;

	(void)state;
	warmed(&s, &one);
	host_send(&host, host.master, MESSAGE_TENANT_MOVED, &moved, NULL, 0);
	worker_is_shut(&s);
	fd_close(&one.fd);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &next);
	worker_exits(&s, 0);
	worker_serves(&next, &one);
	hello_comes(&web);
	fd_close(&one.fd);
	start_close(&next);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORKER_TEST("a worker serves one request after the other",
		    serves_many),
		WORKER_TEST("a connection is kept where nothing can be left "
			    "in it",
		    kept_connections),
		WORKER_TEST("one that says it is ready keeps its connection",
		    ready_line),
		WORKER_TEST("what else it writes to its output is for the log",
		    stray_output),
		WORKER_TEST("a stream that was not taken comes whole",
		    stream_not_taken),
		WORKER_TEST("a program that keeps no connection",
		    keeps_nothing),
		WORKER_TEST("a request waits for a worker that starts",
		    slow_to_accept),
		WORKER_TEST("a worker that takes no request is 504",
		    never_accepts),
		WORKER_TEST("what was not taken goes to another", not_taken),
		WORKER_TEST("what was taken is never asked twice",
		    taken_and_dead),
		WORKER_TEST("a worker that ends while it is asked",
		    ends_while_asked),
		TEST_AFTER(setup_many, "a crowd makes no sixth worker", crowd),
		WORKER_TEST("a worker is replaced after its requests",
		    recycled),
		WORKER_TEST("a changed file has new workers", replaced),
		WORKER_TEST("a program that dies young is damped", dies_young),
		WORKER_TEST("a program that speaks no FastCGI", not_fastcgi),
		WORKER_TEST("a reply in pieces, with words for the log",
		    in_pieces),
		WORKER_TEST("the client goes, the worker may stay",
		    client_gone),
		WORKER_TEST("a worker over its time is ended", over_time),
		WORKER_TEST("nobody asks: it is let go", scales_to_zero),
		TEST_AFTER(setup_one_slot, "an idle worker makes room",
		    makes_room),
		WORKER_TEST("its cell leaves, and so does it", cell_ends),
	};

	int failed = RUN_ROWS(rows, one_row);

	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
