/* SPDX-License-Identifier: MIT */
/* If this fails, a client of the state API gets another answer than the manual
 * promises: over FastCGI, against both engines, with a clock of our own. */
#include "place.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "wire/params.h"

#include "state/api.h"
#include "state/ring.h"
#include "state/store_fault.h"

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

static uint64_t
unix_ms(void)
{
	return unix_now;
}

static void
settle(void *arg)
{
	(void)arg;
	while (serve_settle(&serve))
		;
}

static int
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
	loop_before_wait(loop, settle, NULL);
	snprintf(all_of_acme.claims.tenant, sizeof(all_of_acme.claims.tenant),
	    "acme");
	all_of_acme.claims.scope = JWT_ADMIN;
	all_of_acme.claims.kind = JWT_ACCESS;
	all_of_acme.claims.prefix[0] = '\0';
	return 0;
}

static int
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

static void
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
static void
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

static void
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

static void
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
static void
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

static void
client_close(struct client *c)
{
	fd_close(&c->fd);
	buf_free(&c->answer);
	loop_once(loop, 0);
	loop_once(loop, 0);
}

/* The whole answer; valid until the next. */
static const char *
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

static const char *
ask(const char *what, const char *headers, const char *body)
{
	return ask_as(&all_of_acme, what, headers, span_of(body));
}

static void
expect(const char *answer, const char *sentence, const char *has)
{
	if (strstr(answer, has) == NULL)
		fail_msg("%s: there is no\n%s\nin\n%s", sentence, has, answer);
}

/* ---- a story ------------------------------------------------------------------- */

static const struct step {
	const char *sentence;
	const char *what;
	const char *headers;
	const char *body;
	const char *status;
	const char *has; /* and this */
} story[] = {
	{ "nothing is there", "GET /state/v1/kv/a", "", "", "404",
	    ":key-not-found\"" },
	{ "a tenant nobody wrote to is at version 0", "GET /state/v1/", "", "",
	    "200", "\"version\":0" },
	{ "a new key is created", "PUT /state/v1/kv/a",
	    "Content-Type: text/plain", "one", "201", "ETag: \"1\"" },
	{ "and read with its type", "GET /state/v1/kv/a", "", "", "200",
	    "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\none" },
	{ "and its version", "GET /state/v1/kv/a", "", "", "200",
	    "ETag: \"1\"\r\nFn-Version: 1\r\n" },
	{ "HEAD has the length and no body", "HEAD /state/v1/kv/a", "", "",
	    "200", "Content-Length: 3\r\n\r\n" },
	{ "writing again is no creation", "PUT /state/v1/kv/a", "", "two",
	    "204", "ETag: \"2\"" },
	{ "no type is octets", "GET /state/v1/kv/a", "", "", "200",
	    "application/octet-stream" },
	{ "a lost race", "PUT /state/v1/kv/a", "If-Match: \"1\"", "x", "412",
	    "\"current\":2" },
	{ "a won one", "PUT /state/v1/kv/a", "If-Match: \"2\"", "three", "204",
	    "ETag: \"3\"" },
	{ "only if new, and it is not", "PUT /state/v1/kv/a",
	    "If-None-Match: *", "x", "412", "\"current\":3" },
	{ "only if new, and it is", "PUT /state/v1/kv/lock?ttl=30",
	    "If-None-Match: *", "me", "201", "ETag: \"4\"" },
	{ "a time to live is told", "GET /state/v1/kv/lock", "", "", "200",
	    "Fn-Expires: 180000003" },
	{ "released by who holds it", "DELETE /state/v1/kv/lock",
	    "If-Match: \"4\"", "", "204", "Fn-Version: 5" },
	{ "not by another", "DELETE /state/v1/kv/lock", "If-Match: \"4\"", "",
	    "412", "\"current\":null" },
	{ "deleting nothing is no error", "DELETE /state/v1/kv/lock", "", "",
	    "204", "Fn-Version: 5" },
	{ "the client has it", "GET /state/v1/kv/a", "If-None-Match: \"3\"", "",
	    "304", "ETag: \"3\"" },
	{ "the client has an old one", "GET /state/v1/kv/a",
	    "If-None-Match: \"2\"", "", "200", "three" },
	{ "bad conditions are an error", "PUT /state/v1/kv/a", "If-Match: 3",
	    "x", "400", ":bad-header\"" },
	{ "a part is not the whole", "PUT /state/v1/kv/a",
	    "Content-Range: bytes 0-1/5", "xx", "400", ":bad-header\"" },
	{ "conditions are for one key", "DELETE /state/v1/kv?prefix=a",
	    "If-Match: \"3\"", "", "400", "If-Match is for one key" },
	{ "atomic requests have checks", "POST /state/v1/atomic",
	    "If-None-Match: *", "{\"ops\":[]}", "400",
	    "If-None-Match is for one key" },
	{ "a value above state.value", "PUT /state/v1/kv/a", "",
	    "12345678901234567890123456789012345678901234567890123456789012345",
	    "413", "\"limit\":64,\"size\":65" },
	{ "one told before", "PUT /state/v1/kv/a", "Content-Length: 1000", "x",
	    "413", "\"limit\":64,\"size\":1000" },
	{ "F10: a body that is cut off is not stored", "PUT /state/v1/kv/a",
	    "Content-Length: 5", "four", "400", ":bad-body\"" },
	{ "and nothing was", "GET /state/v1/kv/a", "", "", "200", "three" },
	{ "both expiries", "PUT /state/v1/kv/a?ttl=1&expires=1", "", "x", "400",
	    ":bad-query\"" },
	{ "no time to live", "PUT /state/v1/kv/a?ttl=0", "", "x", "400",
	    ":bad-query\"" },
	{ "a parameter of another route", "PUT /state/v1/kv/a?limit=1", "", "x",
	    "400", "there is no parameter limit here" },
	{ "no such path", "GET /state/v1/sql", "", "", "404", ":no-route\"" },
	{ "no such method", "PATCH /state/v1/kv/a", "", "", "405",
	    "Allow: GET, HEAD, PUT, DELETE, OPTIONS" },
	{ "OPTIONS", "OPTIONS /state/v1/counter/x", "", "", "204",
	    "Allow: POST, OPTIONS" },
	{ "a bad key", "GET /state/v1/kv/a/../b", "", "", "400", ":bad-key\"" },

	{ "a counter begins at 0", "POST /state/v1/counter/n", "", "", "200",
	    "{\"value\":1,\"version\":6}" },
	{ "and goes on", "POST /state/v1/counter/n", "",
	    "{\"by\":41,\"max\":42}", "200", "{\"value\":42,\"version\":7}" },
	{ "within its bounds", "POST /state/v1/counter/n", "", "{\"max\":42}",
	    "409", "\"value\":42" },
	{ "it is text", "GET /state/v1/kv/n", "", "", "200", "\r\n\r\n42" },
	{ "text is no counter", "POST /state/v1/counter/a", "", "", "422",
	    ":not-a-number\"" },
	{ "a counter of bad JSON", "POST /state/v1/counter/n", "", "{", "400",
	    ":bad-json\"" },

	{ "all or nothing: all", "POST /state/v1/atomic", "",
	    "{\"checks\":[{\"key\":\"a\",\"version\":3},"
	    "{\"key\":\"x\",\"version\":null}],\"ops\":["
	    "{\"op\":\"set\",\"key\":\"p/1\",\"value\":\"1\"},"
	    "{\"op\":\"set\",\"key\":\"p/2\",\"b64\":\"AAE=\"},"
	    "{\"op\":\"sum\",\"key\":\"n\",\"by\":-2},"
	    "{\"op\":\"delete\",\"key\":\"none\"}]}",
	    "200",
	    "{\"version\":8,\"results\":[{\"version\":8,\"created\":true},"
	    "{\"version\":8,\"created\":true},"
	    "{\"value\":40,\"version\":8,\"created\":false},"
	    "{\"deleted\":0}]}" },
	{ "or nothing: a check", "POST /state/v1/atomic", "",
	    "{\"checks\":[{\"key\":\"a\",\"version\":3},"
	    "{\"key\":\"n\",\"version\":7},{\"key\":\"x\",\"version\":1}],"
	    "\"ops\":[{\"op\":\"delete\",\"key\":\"a\"}]}",
	    "409",
	    "\"failed\":[{\"index\":1,\"key\":\"n\",\"version\":8},"
	    "{\"index\":2,\"key\":\"x\",\"version\":null}]" },
	{ "or nothing: an operation", "POST /state/v1/atomic", "",
	    "{\"ops\":[{\"op\":\"delete\",\"key\":\"a\"},"
	    "{\"op\":\"sum\",\"key\":\"n\",\"by\":1,\"max\":10}]}",
	    "409", "\"index\":1,\"value\":40" },
	{ "nothing it was", "GET /state/v1/kv/a", "", "", "200", "three" },
	{ "events are refused", "POST /state/v1/atomic", "",
	    "{\"ops\":[{\"op\":\"enqueue\",\"function\":\"mail\"}]}", "422",
	    "it comes with events" },

	{ "many of one moment", "POST /state/v1/get", "",
	    "{\"keys\":[\"p/2\",\"none\",\"a\"]}", "200",
	    "{\"version\":8,\"items\":[{\"key\":\"p/2\",\"version\":8,"
	    "\"size\":2,\"expires\":null,\"type\":null,\"b64\":\"AAE=\"},"
	    "{\"key\":\"none\",\"version\":null},"
	    "{\"key\":\"a\",\"version\":3,\"size\":5,\"expires\":null,"
	    "\"type\":null,\"value\":\"three\"}]}" },

	{ "a list is in order and without values", "GET /state/v1/kv", "", "",
	    "200",
	    "\"items\":[{\"key\":\"a\",\"version\":3,\"size\":5,"
	    "\"expires\":null,\"type\":null},{\"key\":\"n\"" },
	{ "or with them", "GET /state/v1/kv?prefix=p/1&values", "", "", "200",
	    "\"value\":\"1\"}],\"prefixes\":[],\"cursor\":null}" },
	{ "folded behind a delimiter", "GET /state/v1/kv?delimiter=/", "", "",
	    "200", "\"prefixes\":[\"p/\"],\"cursor\":null" },
	{ "from the end", "GET /state/v1/kv?reverse&limit=1", "", "", "200",
	    "\"items\":[{\"key\":\"p/2\"" },
	{ "between two keys", "GET /state/v1/kv?start=b&end=p", "", "", "200",
	    "\"items\":[{\"key\":\"n\",\"version\":8,\"size\":2,"
	    "\"expires\":null,\"type\":\"text/plain\"}],\"prefixes\"" },
	{ "no more than a page", "GET /state/v1/kv?limit=101", "", "", "400",
	    "state.page = 100" },
	{ "a cursor of nobody", "GET /state/v1/kv?cursor=!", "", "", "400",
	    "none that a page gave" },

	{ "what came since", "GET /state/v1/watch?since=6", "", "", "200",
	    "{\"version\":8,\"changes\":[{\"version\":7,\"op\":\"set\","
	    "\"key\":\"n\"},{\"version\":8,\"op\":\"set\",\"key\":\"p/1\"}" },
	{ "of a prefix", "GET /state/v1/watch?since=0&prefix=lock", "", "",
	    "200",
	    "{\"version\":8,\"changes\":[{\"version\":4,\"op\":\"set\","
	    "\"key\":\"lock\"},{\"version\":5,\"op\":\"delete\","
	    "\"key\":\"lock\"}],\"more\":false}" },
	{ "of now", "GET /state/v1/watch", "", "", "200",
	    "{\"version\":8,\"changes\":[],\"more\":false}" },
	{ "of what never was", "GET /state/v1/watch?since=99", "", "", "410",
	    ":version-compacted\"" },
	{ "a key that changed since", "GET /state/v1/kv/a?since=2", "", "",
	    "200", "three" },
	{ "a key that did not", "GET /state/v1/kv/a?since=3", "", "", "304",
	    "Fn-Version: 8" },
	{ "a key that went since", "GET /state/v1/kv/lock?since=4", "", "",
	    "404", ":key-not-found\"" },
	{ "waiting needs to know since when", "GET /state/v1/kv/a?wait=1", "",
	    "", "400", ":bad-query\"" },
	{ "waiting has an end", "GET /state/v1/kv/a?since=3&wait=51s", "", "",
	    "400", "state.wait" },

	{ "once, with a key", "POST /state/v1/counter/n",
	    "Idempotency-Key: \"k-1\"", "", "200",
	    "{\"value\":41,\"version\":9}" },
	{ "again, with the same", "POST /state/v1/counter/n",
	    "Idempotency-Key: \"k-1\"", "", "200",
	    "{\"value\":41,\"version\":9}" },
	{ "the client is told", "POST /state/v1/counter/n",
	    "Idempotency-Key: k-1", "", "200", "Idempotency-Replayed: true" },
	{ "another request with it", "POST /state/v1/counter/n",
	    "Idempotency-Key: \"k-1\"", "{}", "422",
	    ":idempotency-mismatch\"" },
	{ "a key that is none", "POST /state/v1/counter/n",
	    "Idempotency-Key: \"a b\"", "", "400", ":bad-header\"" },
	{ "a PUT with one", "PUT /state/v1/kv/once", "Idempotency-Key: \"k-2\"",
	    "x", "201", "ETag: \"10\"" },
	{ "gets its reply again", "PUT /state/v1/kv/once",
	    "Idempotency-Key: \"k-2\"", "x", "201", "ETag: \"10\"" },

	{ "deleting many needs a prefix", "DELETE /state/v1/kv", "", "", "400",
	    ":bad-query\"" },
	{ "deleting many, one by one", "DELETE /state/v1/kv?prefix=p/&limit=1",
	    "", "", "200", "{\"version\":11,\"deleted\":1,\"more\":true}" },
	{ "and the rest", "DELETE /state/v1/kv?prefix=p/", "", "", "200",
	    "{\"version\":12,\"deleted\":1,\"more\":false}" },
	{ "and no more", "DELETE /state/v1/kv?prefix=p/", "", "", "200",
	    "{\"version\":12,\"deleted\":0,\"more\":false}" },
	{ "usage", "GET /state/v1/usage", "", "", "200", "\"keys\":3" },
	{ "usage has no body for HEAD", "HEAD /state/v1/usage", "", "", "200",
	    "\r\n\r\n" },
};

static void
test_story(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(story); i++) {
		const struct step *s = &story[i];
		const char *answer = ask(s->what, s->headers, s->body);
		char status[32];

		snprintf(status, sizeof(status), "Status: %s ", s->status);
		expect(answer, s->sentence, status);
		expect(answer, s->sentence, s->has);
		expect(answer, s->sentence, "X-Request-Id: 0");
		expect(answer, s->sentence, "Cache-Control: no-store\r\n");
		if (strncmp(s->what, "HEAD ", 5) == 0)
			assert_string_equal(strstr(answer, "\r\n\r\n"),
			    "\r\n\r\n");
	}
}

/* ---- pages -------------------------------------------------------------------- */

static void
test_cursor(void **state)
{
	char what[256], key[64];
	const char *cursor = "";
	char held[128] = "";
	size_t pages = 0, found = 0;

	(void)state;
	for (int i = 0; i < 23; i++) {
		snprintf(what, sizeof(what), "PUT /state/v1/kv/k%02d", i);
		expect(ask(what, "", "v"), what, "201");
	}
	do {
		const char *answer, *at;

		snprintf(what, sizeof(what), "GET /state/v1/kv?limit=5%s%s",
		    *cursor ? "&cursor=" : "", cursor);
		answer = ask(what, "", "");
		for (at = answer; (at = strstr(at, "\"key\":\"k")) != NULL;
		     at++) {
			snprintf(key, sizeof(key), "\"key\":\"k%02zu\"",
			    found++);
			assert_int_equal(strncmp(at, key, strlen(key)), 0);
		}
		at = strstr(answer, "\"cursor\":");
		assert_non_null(at);
		held[0] = '\0';
		sscanf(at, "\"cursor\":\"%100[^\"]\"", held);
		cursor = held;
		pages++;
	} while (*cursor && pages < 10);
	assert_int_equal(pages, 5);
	assert_int_equal(found, 23);
	/* Whatever somebody makes of one, it harms nobody. */
	expect(ask("GET /state/v1/kv?cursor=AAAA&prefix=k", "", ""), "NUL",
	    "Status: 200");
	expect(ask("GET /state/v1/kv?cursor=____&reverse&delimiter=/", "", ""),
	    "0xff", "Status: 200");
}

/* ---- time ----------------------------------------------------------------------- */

static void
test_ttl(void **state)
{
	(void)state;
	expect(ask("PUT /state/v1/kv/t?ttl=2", "", "x"), "put", "201");
	unix_now += 1999;
	expect(ask("GET /state/v1/kv/t", "", ""), "before", "200");
	unix_now += 1;
	expect(ask("GET /state/v1/kv/t", "", ""), "then", "404");
	expect(ask("PUT /state/v1/kv/t", "If-Match: *", "x"), "checks too",
	    "412");
	expect(ask("PUT /state/v1/kv/t", "If-None-Match: *", "x"), "it is new",
	    "201");
	/* A window of a rate limiter begins with its first count. */
	expect(ask("POST /state/v1/counter/w", "", "{\"ttl\":10,\"max\":2}"),
	    "first", "\"value\":1");
	unix_now += 9000;
	expect(ask("POST /state/v1/counter/w", "", "{\"ttl\":10,\"max\":2}"),
	    "second", "\"value\":2");
	expect(ask("POST /state/v1/counter/w", "", "{\"ttl\":10,\"max\":2}"),
	    "third", ":counter-range\"");
	unix_now += 1000;
	expect(ask("POST /state/v1/counter/w", "", "{\"ttl\":10,\"max\":2}"),
	    "a new window", "\"value\":1");
}

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

/* ---- who may what (A15), and who goes away ------------------------------------------ */

static const struct may_row {
	const char *sentence;
	enum jwt_scope scope;
	const char *prefix;
	const char *what;
	const char *body;
	const char *status;
} mays[] = {
	{ "A15 read may read", JWT_READ, "", "GET /state/v1/kv/a", "", "404" },
	{ "A15 read may not PUT", JWT_READ, "", "PUT /state/v1/kv/a", "x",
	    "403" },
	{ "A15 read may not DELETE", JWT_READ, "", "DELETE /state/v1/kv/a", "",
	    "403" },
	{ "A15 read may not count", JWT_READ, "", "POST /state/v1/counter/a",
	    "", "403" },
	{ "A15 read may not be atomic", JWT_READ, "", "POST /state/v1/atomic",
	    "{\"checks\":[{\"key\":\"a\",\"version\":null}]}", "403" },
	{ "A15 read may get many", JWT_READ, "", "POST /state/v1/get",
	    "{\"keys\":[\"a\"]}", "200" },
	{ "A15 write may not export", JWT_WRITE, "", "GET /state/v1/export", "",
	    "403" },
	{ "A15 the prefix itself is none of its keys", JWT_WRITE, "app/",
	    "GET /state/v1/kv/app", "", "403" },
	{ "A15 keys below are", JWT_WRITE, "app/", "GET /state/v1/kv/app/x", "",
	    "404" },
	{ "A15 dots do not lead out of it", JWT_WRITE, "app/",
	    "GET /state/v1/kv/app%2f../x", "", "400" },
	{ "A15 a list wider than the prefix", JWT_WRITE, "app/",
	    "GET /state/v1/kv?prefix=ap", "", "403" },
	{ "A15 a list of all", JWT_WRITE, "app/", "GET /state/v1/kv", "",
	    "403" },
	{ "A15 a list by bounds", JWT_WRITE, "app/",
	    "GET /state/v1/kv?start=app/&end=app0", "", "403" },
	{ "A15 a list within", JWT_WRITE, "app/",
	    "GET /state/v1/kv?prefix=app/x", "", "200" },
	{ "A15 a watch wider than the prefix", JWT_WRITE, "app/",
	    "GET /state/v1/watch?since=0", "", "403" },
	{ "A15 a watch within", JWT_WRITE, "app/",
	    "GET /state/v1/watch?since=0&prefix=app/", "", "200" },
	{ "A15 bulk deletion wider", JWT_WRITE, "app/",
	    "DELETE /state/v1/kv?prefix=a", "", "403" },
	{ "A15 one of many keys is outside", JWT_WRITE, "app/",
	    "POST /state/v1/get", "{\"keys\":[\"app/a\",\"b\"]}", "403" },
	{ "A15 one operation is outside", JWT_WRITE, "app/",
	    "POST /state/v1/atomic",
	    "{\"ops\":[{\"op\":\"set\",\"key\":\"app/a\",\"value\":\"\"},"
	    "{\"op\":\"set\",\"key\":\"b\",\"value\":\"\"}]}",
	    "403" },
	{ "A15 one check is outside", JWT_WRITE, "app/",
	    "POST /state/v1/atomic",
	    "{\"checks\":[{\"key\":\"b\",\"version\":null}]}", "403" },
	{ "A15 and nothing of it was done", JWT_WRITE, "app/",
	    "GET /state/v1/kv/app/a", "", "404" },
};

static void
test_may(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(mays); i++) {
		struct access access = all_of_acme;
		char status[32];

		access.claims.scope = mays[i].scope;
		snprintf(access.claims.prefix, sizeof(access.claims.prefix),
		    "%s", mays[i].prefix);
		snprintf(status, sizeof(status), "Status: %s ", mays[i].status);
		expect(ask_as(&access, mays[i].what, "", span_of(mays[i].body)),
		    mays[i].sentence, status);
	}
}

/* Without access of its own, a connection needs a token: one answer to all. */
static void
test_uniform(void **state)
{
	static const char *const whats[] = { "GET /state/v1/kv/a",
		"GET /state/v1/none", "BREW /state/v1/kv/..",
		"PUT /elsewhere?access_token=x" };

	(void)state;
	for (size_t i = 0; i < COUNT(whats); i++) {
		const char *answer = ask_as(NULL, whats[i],
		    "Authorization: Bearer x.y.z\nCookie: token=x", SPAN(""));

		expect(answer, whats[i], "Status: 401 ");
		expect(answer, whats[i],
		    "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n");
		expect(answer, whats[i],
		    "\"detail\":\"there is no token, or it is not, or no "
		    "longer, valid\"");
	}
	expect(ask_as(NULL, "OPTIONS /state/v1/kv/a", "", SPAN("")), "OPTIONS",
	    "Status: 204");
}

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

static void
test_blind_writes(void **state)
{
	(void)state;
	config->state_blind_writes = false;
	expect(ask("PUT /state/v1/kv/a", "", "1"), "blind",
	    ":precondition-required\"");
	expect(ask("DELETE /state/v1/kv/a", "", ""), "blind", "428");
	expect(ask("PUT /state/v1/kv/a", "If-None-Match: *", "1"), "seeing",
	    "201");
	expect(ask("POST /state/v1/counter/n", "", ""), "a sum is not blind",
	    "200");
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
#define BROKEN(test) cmocka_unit_test_setup_teardown(test, begin, end_broken)
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(test_story),
		TEST(test_cursor),
		TEST(test_ttl),
		TEST(test_long_poll),
		TEST(test_events),
		TEST(test_resume),
		TEST(test_watchers_most),
		TEST(test_may),
		TEST(test_uniform),
		TEST(test_gone),
		TEST(test_export),
		TEST(test_blind_writes),
		BROKEN(test_store_fails),
		BROKEN(test_store_loses),
		BROKEN(test_store_is_slow),
	};
	static const struct store_engine *const engines[] = { &store_memory,
		&store_sqlite };
	int failed = 0;

	for (size_t i = 0; i < COUNT(engines); i++) {
		engine = engines[i];
		failed += _cmocka_run_group_tests(engine->name, tests,
		    COUNT(tests), NULL, NULL);
	}
	return failed;
}
