/* SPDX-License-Identifier: MIT */
/* If this fails, a function reads another body than was sent, can change it, or
 * is started with half of one. */
#include "gateway_web.h"

static void
small_memory(struct config *c)
{
	c->body_memory = 4096;
	c->body_memory_total = 1 << 20;
	c->limits[LIMIT_body] = 1 << 20;
	c->limits[LIMIT_upload] = 400;
}

static void (*configure)(struct config *) = small_memory;

static int
setup_known(void **state)
{
	setup(state);
	web_known(&web, &host, "/fn/acme/echo");
	return 0;
}

static void
begin(const char *method, const char *length)
{
	char a[64], b[64];
	const char *pairs[] = { a, "REQUEST_URI=/fn/acme/echo", b, NULL };

	snprintf(a, sizeof(a), "REQUEST_METHOD=%s", method);
	snprintf(b, sizeof(b), "CONTENT_LENGTH=%s", length);
	web_begin(&web, 1, true, pairs);
}

static void
answered(struct start *s, const char *end)
{
	start_write(s, "Content-Type: text/plain\n\nhello\n");
	host_exit(&host, s, 0);
	web_end(&web);
	assert_true(web.ended);
	host_record(&host, end, 200);
	web_forget(&web);
}

/* All of stdin, compared with what was sent. */
static void
reads(const struct start *s, const char *bytes, size_t count)
{
	char *got = malloc(count + 1);
	size_t have = 0;
	ssize_t n;

	while (have <= count &&
	    (n = read(s->in, got + have, count + 1 - have)) > 0)
		have += (size_t)n;
	assert_int_equal(have, count);
	assert_memory_equal(got, bytes, count);
	free(got);
}

/* As a file it has the mode, nobody can write to it, and it can be opened by
 * path (/dev/stdin). */
static void
is_read_only_file(const struct start *s)
{
	struct stat st;
	char path[64];
	int fd;

	assert_int_equal(fstat(s->in, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(lseek(s->in, 0, SEEK_CUR), 0);
	assert_int_equal(write(s->in, "x", 1), -1);
	assert_int_equal(ftruncate(s->in, 0), -1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->in);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	close(fd);
}

static void
none(void **state)
{
	struct start s;

	(void)state;
	begin("POST", "0");
	web_body(&web, 1, SPAN_NONE);
	web_flush(&web);
	host_start(&host, &s);
	assert_int_equal(s.in, -1);
	assert_null(start_env(&s, "CONTENT_LENGTH")); /* R10 */
	answered(&s, "done");
}

static void
small(void **state)
{
	struct start s;

	(void)state;
	begin("POST", "5");
	web_body(&web, 1, SPAN("hello"));
	web_flush(&web);
	host_start(&host, &s);
	assert_string_equal(start_env(&s, "CONTENT_LENGTH"), "5");
	is_read_only_file(&s);
	reads(&s, "hello", 5);
	answered(&s, "done");
}

/* R11: without a length, as of a chunked upload, it is counted. */
static void
unannounced(void **state)
{
	struct start s;

	(void)state;
	begin("PUT", "");
	for (int i = 0; i < 1000; i++)
		fcgi_put_record(&web.send, FCGI_STDIN, 1, SPAN("abc"));
	fcgi_put_stream_end(&web.send, FCGI_STDIN, 1);
	web_flush(&web);
	host_start(&host, &s);
	assert_string_equal(start_env(&s, "CONTENT_LENGTH"), "3000");
	assert_string_equal(start_env(&s, "REQUEST_METHOD"), "PUT");
	is_read_only_file(&s);
	answered(&s, "done");
}

/* It begins in memory and turns out to be for the spool, piece by piece. */
static void
growing(void **state)
{
	static char much[70000];
	uint64_t seed = rows_seed();
	struct start s;
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(much); i++)
		much[i] = (char)rows_random(&seed, 256);
	begin("POST", "");
	while (at < sizeof(much)) {
		size_t part = 1 + rows_random(&seed, at < 9000 ? 700 : 30000);

		if (part > sizeof(much) - at)
			part = sizeof(much) - at;
		fcgi_put_record(&web.send, FCGI_STDIN, 1,
		    span_make(much + at, part));
		at += part;
		web_flush(&web);
	}
	fcgi_put_stream_end(&web.send, FCGI_STDIN, 1);
	web_flush(&web);
	host_start(&host, &s);
	assert_string_equal(start_env(&s, "CONTENT_LENGTH"), "70000");
	is_read_only_file(&s);
	reads(&s, much, sizeof(much));
	answered(&s, "done");
}

static void
large(void **state)
{
	static char much[1000000];
	struct start s;
	char spool[128];
	DIR *d;
	struct dirent *e;

	(void)state;
	memset(much, 'm', sizeof(much));
	begin("POST", "1000000");
	web_body(&web, 1, span_make(much, sizeof(much)));
	web_flush(&web);
	host_start(&host, &s);
	is_read_only_file(&s);
	reads(&s, much, sizeof(much));
	snprintf(spool, sizeof(spool), "%s/spool", host.directory);
	d = opendir(spool);
	while ((e = readdir(d)))
		assert_true(e->d_name[0] == '.'); /* no name is left */
	closedir(d);
	answered(&s, "done");
}

/* F8 */
static void
cut_short(void **state)
{
	(void)state;
	begin("POST", "10");
	web_body(&web, 1, SPAN("12345"));
	web_flush(&web);
	web_end(&web);
	web_has(&web, "Status: 400 ");
	host_record(&host, "body-cut", 400);
	assert_int_equal(host.heard[MESSAGE_START], 1);
	web_hello(&web, &host);
}

static void
excess(void **state)
{
	struct start s;

	(void)state;
	begin("POST", "5");
	fcgi_put_stream(&web.send, FCGI_STDIN, 1, SPAN("1234"));
	fcgi_put_stream(&web.send, FCGI_STDIN, 1, SPAN("5more"));
	fcgi_put_stream_end(&web.send, FCGI_STDIN, 1);
	fcgi_put_stream_end(&web.send, FCGI_STDIN, 1); /* once more */
	web_flush(&web);
	host_start(&host, &s);
	reads(&s, "12345", 5);
	answered(&s, "done");
	web_hello(&web, &host);
}

static void
over_the_limit_unannounced(void **state)
{
	static char much[100000];

	(void)state;
	begin("POST", "");
	for (int i = 0; i < 12; i++)
		fcgi_put_stream(&web.send, FCGI_STDIN, 1,
		    span_make(much, sizeof(much)));
	fcgi_put_stream_end(&web.send, FCGI_STDIN, 1);
	web_flush(&web);
	web_end(&web);
	web_has(&web, "Status: 413 ");
	host_record(&host, "body-size", 413);
	web_hello(&web, &host);
}

static void
no_number(void **state)
{
	(void)state;
	begin("POST", "5x");
	web_body(&web, 1, SPAN("hello"));
	web_flush(&web);
	web_end(&web);
	web_has(&web, "Status: 400 ");
	host_record(&host, "bad-request", 400);
}

/* F18: nobody waits for ever, and no process is held. */
static void
stalled(void **state)
{
	(void)state;
	begin("POST", "10");
	fcgi_put_stream(&web.send, FCGI_STDIN, 1, SPAN("12345"));
	web_flush(&web);
	web_end(&web);
	web_has(&web, "Status: 408 ");
	web_has(&web, "limits.upload");
	host_record(&host, "upload-time", 408);
	assert_int_equal(host.heard[MESSAGE_START], 1);
}

static void
stalled_in_params(void **state)
{
	(void)state;
	fcgi_put_begin(&web.send, 1, FCGI_RESPONDER, true);
	web_flush(&web);
	web_end(&web);
	web_has(&web, "Status: 408 ");
	host_record(&host, "upload-time", 408);
}

/* The total of what is in memory is bounded: beyond it the spool is used. */
static void
memory_is_bounded(void **state)
{
	enum { MANY = 12 };
	static char body[4000];
	struct web webs[MANY];
	struct start s;

	(void)state;
	host.config->body_memory_total = 1 << 20;
	for (int i = 0; i < MANY; i++) {
		web_open(&webs[i], &host);
		const char *pairs[] = { "REQUEST_METHOD=POST",
			"REQUEST_URI=/fn/acme/echo", "CONTENT_LENGTH=4000",
			NULL };
		web_begin(&webs[i], 1, true, pairs);
		web_body(&webs[i], 1, span_make(body, sizeof(body)));
		web_flush(&webs[i]);
		host_start(&host, &s);
		is_read_only_file(&s);
		reads(&s, body, sizeof(body));
		start_write(&s, "Content-Type: a/b\n\n");
		host_exit(&host, &s, 0);
		web_end(&webs[i]);
	}
	for (int i = 0; i < MANY; i++)
		web_close(&webs[i]);
	web_hello(&web, &host);
}

/* What is on disk is bounded, for a tenant and for all: who comes too late is
 * told so, and there is room again when others have been read. */
enum { SPOOL_LEAST = 1 << 20 };

static void
small_spool(struct config *c)
{
	small_memory(c);
	c->tenant_spool = SPOOL_LEAST;
	c->body_spool_total = 2 * SPOOL_LEAST;
}

static void
smaller_spool(struct config *c)
{
	small_memory(c);
	c->tenant_spool = 2 * SPOOL_LEAST;
	c->body_spool_total = SPOOL_LEAST;
}

static int
setup_spool(void (*with)(struct config *), void **state)
{
	configure = with;
	setup_known(state);
	configure = small_memory;
	return 0;
}

static int
setup_small_spool(void **state)
{
	return setup_spool(small_spool, state);
}

static int
setup_smaller_spool(void **state)
{
	return setup_spool(smaller_spool, state);
}

static void
post(struct web *w, const char *length)
{
	static char body[700000];
	const char *pairs[] = { "REQUEST_METHOD=POST",
		"REQUEST_URI=/fn/acme/echo", length, NULL };

	web_begin(w, 1, true, pairs);
	web_body(w, 1, span_make(body, sizeof(body)));
	web_flush(w);
}

static void
spool_is_full(const char *words)
{
	struct web other;
	struct start s;

	web_open(&other, &host);
	for (int i = 0; i < 3; i++) {
		post(&other, "CONTENT_LENGTH=700000");
		host_start(&host, &s);
		/* announced or not */
		post(&web,
		    i == 0 ? "CONTENT_LENGTH=700000" : "CONTENT_LENGTH=");
		web_end(&web);
		web_has(&web, "Status: 503 ");
		web_has(&web, "Retry-After: 10");
		web_has(&web, words);
		web_forget(&web);
		host_record(&host, "spool-full", 503);
		start_write(&s, "Content-Type: a/b\n\n");
		host_exit(&host, &s, 0);
		web_end(&other);
		web_forget(&other);
		host_record(&host, "done", 200);
	}
	web_close(&other);
	web_hello(&web, &host);
}

static void
spool_of_a_tenant(void **state)
{
	(void)state;
	spool_is_full("spool = 1 MiB");
}

static void
spool_of_all(void **state)
{
	(void)state;
	spool_is_full("body.spool_total = 1 MiB");
}

/* ---- body = "stream" ------------------------------------------------------------- */

static int
setup_stream(void **state)
{
	setup(state);
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->body = BODY_STREAM;
	web_known(&web, &host, "/fn/acme/echo");
	return 0;
}

static void
stream(void **state)
{
	struct start s;
	char got[16];

	(void)state;
	begin("POST", "");
	web_flush(&web);
	host_start(&host, &s); /* before a byte of it */
	assert_null(start_env(&s, "CONTENT_LENGTH"));
	fcgi_put_stream(&web.send, FCGI_STDIN, 1, SPAN("one"));
	web_flush(&web);
	assert_int_equal(read(s.in, got, sizeof(got)), 3);
	fcgi_put_stream(&web.send, FCGI_STDIN, 1, SPAN("two!"));
	fcgi_put_stream_end(&web.send, FCGI_STDIN, 1);
	web_flush(&web);
	assert_int_equal(read(s.in, got, sizeof(got)), 4);
	assert_int_equal(read(s.in, got, sizeof(got)), 0);
	answered(&s, "done");
	web_hello(&web, &host);
}

/* More than a pipe holds, to a function that reads late: it waits outside. */
static void
stream_waits(void **state)
{
	enum { BYTES = 900000 };
	static char much[BYTES];
	struct start s;
	size_t sent = 0, got = 0;
	static char block[65536];

	(void)state;
	memset(much, 's', sizeof(much));
	begin("POST", "900000");
	web_body(&web, 1, span_make(much, sizeof(much)));
	struct span all = buf_span(&web.send);
	fd_nonblock(web.fd, true);
	sent = (size_t)send(web.fd, all.data, all.bytes, MSG_DONTWAIT);
	host_start(&host, &s);
	assert_string_equal(start_env(&s, "CONTENT_LENGTH"), "900000");
	while (got < BYTES) {
		struct pollfd p[2] = { { .fd = s.in, .events = POLLIN },
			{ .fd = web.fd,
			    .events = sent < all.bytes ? POLLOUT : 0 } };
		ssize_t n;

		assert_true(poll(p, 2, PATIENCE_MS) > 0);
		if (p[0].revents) {
			n = read(s.in, block, sizeof(block));
			assert_true(n > 0);
			got += (size_t)n;
		}
		if (p[1].revents & POLLOUT) {
			n = send(web.fd, all.data + sent, all.bytes - sent,
			    MSG_DONTWAIT);
			sent += n > 0 ? (size_t)n : 0;
		}
	}
	assert_int_equal(read(s.in, block, sizeof(block)), 0);
	answered(&s, "done");
}

/* RFC 3875 4.2: it need not read; the rest is dropped, the connection good. */
static void
stream_unread(void **state)
{
	static char much[900000];
	struct start s;

	(void)state;
	begin("POST", "900000");
	web_flush(&web);
	host_start(&host, &s);
	start_write(&s, "Content-Type: text/plain\n\nenough\n");
	host_exit(&host, &s, 0);
	web_end(&web);
	web_has(&web, "enough");
	host_record(&host, "done", 200);
	web_body(&web, 1, span_make(much, sizeof(much)));
	web_flush(&web);
	web_hello(&web, &host);
}

/* nginx stops sending when it sees a header, so it does not while the body
 * comes; who waits for nothing more gets it. */
static void
stream_answered_early(void **state)
{
	struct start s;
	struct pollfd p;

	(void)state;
	begin("POST", "");
	web_flush(&web);
	host_start(&host, &s);
	start_write(&s, "Content-Type: text/plain\n\nearly");
	fcgi_put_stream(&web.send, FCGI_STDIN, 1, SPAN("one"));
	web_flush(&web);
	p = (struct pollfd){ .fd = web.fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 200), 0);
	fcgi_put_stream_end(&web.send, FCGI_STDIN, 1);
	web_flush(&web);
	web_until(&web, "early");
	answered(&s, "done");
	/* a body that does not go on */
	begin("POST", "");
	web_flush(&web);
	host_start(&host, &s);
	start_write(&s, "Content-Type: text/plain\n\nevents");
	web_until(&web, "events");
	host_exit(&host, &s, 0);
	web_end(&web);
	assert_true(web.ended);
}

/* What came while its function was being found waits, and then goes on by
 * itself: nothing else happens on the connection. */
static void
stream_of_an_unknown_function(void **state)
{
	const char *pairs[] = { "REQUEST_METHOD=POST",
		"REQUEST_URI=/fn/acme/unknown", NULL };
	struct start s;

	(void)state;
	web_begin(&web, 1, true, pairs);
	web_body(&web, 1, SPAN("hello"));
	web_flush(&web);
	host_start(&host, &s);
	reads(&s, "hello", 5);
	answered(&s, "done");
}

/* A stream that has no end keeps the run going, but its client may go. */
static void
stream_client_goes(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	begin("POST", "");
	web_flush(&web);
	host_start(&host, &s);
	web_close(&web);
	host_expect(&host, MESSAGE_STOP, &e);
	host_killed(&host, &s, SIGTERM, 10);
	host_record(&host, "client-gone", 0);
	web_open(&web, &host);
	web_hello(&web, &host);
}

int
main(void)
{
#define KNOWN(words, function) TEST_AFTER(setup_known, words, function)
#define STREAM(words, function) TEST_AFTER(setup_stream, words, function)
	const struct CMUnitTest tests[] = {
		KNOWN("R10: no body is no CONTENT_LENGTH and /dev/null", none),
		KNOWN("a small body is sealed memory", small),
		KNOWN("R11: a body of unknown length is counted", unannounced),
		KNOWN("a body that grows moves to the spool", growing),
		KNOWN("a large body is a file without a name", large),
		KNOWN("F8: a body that ends early runs nothing", cut_short),
		KNOWN("F8: what is more than announced is dropped", excess),
		KNOWN("a body that turns out too large is 413",
		    over_the_limit_unannounced),
		KNOWN("a length that is no number is 400", no_number),
		KNOWN("F18: a body that does not come is 408", stalled),
		KNOWN("F18: parameters that do not come are 408",
		    stalled_in_params),
		KNOWN("bodies one after the other leave no memory taken",
		    memory_is_bounded),
		TEST_AFTER(setup_small_spool,
		    "a tenant's bodies on disk are bounded", spool_of_a_tenant),
		TEST_AFTER(setup_smaller_spool,
		    "those of all tenants are bounded", spool_of_all),
		STREAM("a stream is passed on as it comes", stream),
		STREAM("a stream waits for its reader", stream_waits),
		STREAM("R13: a stream need not be read", stream_unread),
		STREAM("a reply waits for a stream that moves",
		    stream_answered_early),
		STREAM("a stream waits for its function to be found",
		    stream_of_an_unknown_function),
		STREAM("a stream ends with its client", stream_client_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
