/* SPDX-License-Identifier: MIT */
/* state_client.h - the state API in this process, over either engine and with a
 * clock of the test's, and a FastCGI client for it. */
#ifndef STATE_CLIENT_H
#define STATE_CLIENT_H

#include "place.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "wire/params.h"

#include "state/api.h"
#include "state/ring.h"

#include "settle.h"

enum { ANSWER_MOST = 1024 * 1024, DEADLINE_MS = 10000 };

static const struct store_engine *engine;
static struct loop *loop;
static struct serve serve;
static struct api *api;
static struct store *store;
static struct config *config;
static struct ring *ring;
static struct auth *auth;
static struct access all_of_acme;
static int exports_fd;
static uint64_t unix_now;

static inline uint64_t
unix_ms(void)
{
	return unix_now;
}

static inline int
begin(void **state)
{
	struct store_config with = {
		.threads = 1, .unix_ms = unix_ms, .steady_ms = unix_ms
	};
	char why[RING_WHY], sentence[STORE_DETAIL_MOST];
	struct place *p;

	if (place_make(state) != 0)
		return -1;
	p = *state;
	unix_now = UINT64_C(1800000000000);
	loop = loop_new();
	config = config_new();
	config->state_watchers = 2;
	config->state_value = 64;
	config->state_page = 100;
	ring = ring_open(p->fd, unix_now / 1000, why);
	assert_non_null(ring);
	auth = auth_new(ring);
	assert_int_equal(mkdirat(p->fd, "export", 0700), 0);
	exports_fd = openat(p->fd, "export", O_RDONLY | O_DIRECTORY);
	with.directory_fd = p->fd;
	store = engine->open(&with, loop, sentence);
	assert_non_null(store);
	api = api_open(loop, engine, store, auth, exports_fd);
	serve_init(&serve, loop, &api_hooks, api, "state");
	api_configure(api, config, &serve);
	loop_before_wait(loop, settle, &serve);
	snprintf(all_of_acme.claims.tenant, sizeof(all_of_acme.claims.tenant),
	    "acme");
	all_of_acme.claims.scope = JWT_ADMIN;
	all_of_acme.claims.kind = JWT_ACCESS;
	all_of_acme.claims.prefix[0] = '\0';
	return 0;
}

static inline int
end(void **state)
{
	struct api_figures figures;

	serve_close(&serve);
	loop_once(loop, 0);
	engine->close(store);
	api_report(api, &figures);
	assert_int_equal(figures.calls, 0);
	assert_int_equal(figures.watchers, 0);
	assert_int_equal(figures.bodies, 0);
	api_close(&api);
	auth_free(&auth);
	ring_free(&ring);
	fd_close(&exports_fd);
	loop_free(loop);
	config_release(&config);
	return place_remove(state);
}

/* ---- a client ---------------------------------------------------------------- */

struct client {
	int fd;
	struct fcgi_reader reader;
	struct buf answer;
	bool ended;
	bool closed;
};

static inline void
put_header(struct buf *params, struct span line)
{
	struct span name = span_cut(&line, ':');
	char key[64] = "HTTP_";

	if (span_equal(name, SPAN("Content-Type")) ||
	    span_equal(name, SPAN("Content-Length")))
		key[0] = '\0';
	for (size_t i = 0; i < name.bytes; i++) {
		char c[2] = { name.data[i], '\0' };

		if (c[0] >= 'a' && c[0] <= 'z')
			c[0] = (char)(c[0] - 'a' + 'A');
		if (c[0] == '-')
			c[0] = '_';
		strncat(key, c, sizeof(key) - strlen(key) - 1);
	}
	assert_int_equal(params_put(params, span_of(key), span_trim(line)), 0);
}

/* what: "METHOD target"; headers: lines. The body, or a part of it, follows. */
static inline void
client_open(struct client *c, const char *what, const char *headers,
    const struct access *access)
{
	struct span target = span_of(what), method = span_cut(&target, ' ');
	struct span lines = span_of(headers);
	struct access *own = NULL; /* the connection's, freed with it */
	struct buf params, out;
	int ends[2];

	memset(c, 0, sizeof(*c));
	buf_init(&c->answer, ANSWER_MOST);
	fcgi_reader_init(&c->reader);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
			     ends),
	    0);
	c->fd = ends[0];
	fd_nonblock(c->fd, true);
	fd_nonblock(ends[1], true);
	buf_init(&params, 64 * 1024);
	buf_init(&out, 128 * 1024);
	params_put(&params, SPAN("REQUEST_METHOD"), method);
	params_put(&params, SPAN("REQUEST_URI"), target);
	while (lines.bytes > 0)
		put_header(&params, span_cut(&lines, '\n'));
	fcgi_put_begin(&out, 1, FCGI_RESPONDER, false);
	fcgi_put_stream(&out, FCGI_PARAMS, 1, buf_span(&params));
	fcgi_put_stream_end(&out, FCGI_PARAMS, 1);
	assert_int_equal(fd_write_all(c->fd, buf_span(&out)), 0);
	if (access != NULL) {
		own = malloc(sizeof(*own));
		assert_non_null(own);
		*own = *access;
	}
	assert_non_null(connection_new(&serve, &ends[1], true, own));
	buf_free(&params);
	buf_free(&out);
}

static inline void
client_send(struct client *c, struct span body, bool last)
{
	struct buf out;

	buf_init(&out, body.bytes + 1024);
	fcgi_put_stream(&out, FCGI_STDIN, 1, body);
	if (last)
		fcgi_put_stream_end(&out, FCGI_STDIN, 1);
	assert_int_equal(fd_write_all(c->fd, buf_span(&out)), 0);
	buf_free(&out);
}

static inline void
client_take(struct client *c)
{
	char bytes[65536];
	ssize_t count;

	while ((count = read(c->fd, bytes, sizeof(bytes))) > 0) {
		struct span in = span_make(bytes, (size_t)count), content;
		enum fcgi_event event;

		while ((event = fcgi_read(&c->reader, &in, &content)) !=
		    FCGI_NEED_MORE) {
			assert_int_not_equal(event, FCGI_BAD_VERSION);
			if (event == FCGI_RECORD &&
			    c->reader.record.type == FCGI_END_REQUEST)
				c->ended = true;
			if (event == FCGI_CONTENT &&
			    c->reader.record.type == FCGI_STDOUT)
				assert_int_equal(buf_put(&c->answer, content),
				    0);
		}
	}
	c->closed = count == 0;
}

/* Until it has `text`, or with NULL until the request is over. */
static inline void
client_wait(struct client *c, const char *text)
{
	uint64_t begun_ms = clock_ms();

	for (;;) {
		client_take(c);
		if (text != NULL && strstr(buf_string(&c->answer), text))
			return;
		if (c->ended || c->closed)
			break;
		assert_true(clock_ms() - begun_ms < DEADLINE_MS);
		loop_once(loop, 20);
	}
	if (text != NULL)
		assert_string_equal(buf_string(&c->answer), text);
}

static inline void
client_close(struct client *c)
{
	fd_close(&c->fd);
	buf_free(&c->answer);
	loop_once(loop, 0);
	loop_once(loop, 0);
}

/* The whole answer; valid until the next. */
static inline const char *
ask_as(const struct access *access, const char *what, const char *headers,
    struct span body)
{
	static char text[ANSWER_MOST];
	struct client c;
	struct span answer;

	client_open(&c, what, headers, access);
	client_send(&c, body, true);
	client_wait(&c, NULL);
	answer = buf_span(&c.answer);
	assert_true(c.ended);
	assert_true(answer.bytes < sizeof(text));
	memcpy(text, answer.data, answer.bytes);
	text[answer.bytes] = '\0';
	client_close(&c);
	return text;
}

static inline const char *
ask(const char *what, const char *headers, const char *body)
{
	return ask_as(&all_of_acme, what, headers, span_of(body));
}

static inline void
expect(const char *answer, const char *sentence, const char *has)
{
	if (strstr(answer, has) == NULL)
		fail_msg("%s: there is no\n%s\nin\n%s", sentence, has, answer);
}

#define API_TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

/* Each test over each engine. */
static inline int
run_over_engines(const struct CMUnitTest *tests, size_t count)
{
	static const struct store_engine *const engines[] = { &store_memory,
		&store_sqlite };
	int failed = 0;

	for (size_t i = 0; i < COUNT(engines); i++) {
		engine = engines[i];
		failed += _cmocka_run_group_tests(engine->name, tests, count,
		    NULL, NULL);
	}
	return failed;
}

#endif
