/* SPDX-License-Identifier: MIT */
/* If this fails, a client of the state API gets another answer than the manual
 * promises: over FastCGI, against both engines, with a clock of our own. */
#include "state_client.h"

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
	{ "a field of one value, twice", "PUT /state/v1/kv/a",
	    "If-Match: *\nIf-Match: \"3\"", "x", "400",
	    "more than once: HTTP_IF_MATCH" },
	{ "no length at all", "PUT /state/v1/kv/a", "Content-Length: x", "x",
	    "400", "Content-Length is no number" },
	{ "no content type", "PUT /state/v1/kv/a", "Content-Type: \xff", "x",
	    "400", ":bad-header\"" },
	{ "bodies are as they are", "PUT /state/v1/kv/a",
	    "Content-Encoding: gzip", "x", "415", ":unsupported-encoding\"" },
	{ "a part is not the whole", "PUT /state/v1/kv/a",
	    "Content-Range: bytes 0-1/5", "xx", "400", ":bad-header\"" },
	{ "a list has no tag", "GET /state/v1/kv", "If-Match: \"1\"", "", "412",
	    "\"If-Match is for one key" },
	{ "but is there", "GET /state/v1/kv", "If-Match: *", "", "200",
	    "\"items\"" },
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
	{ "no larger page of changes", "GET /state/v1/watch?limit=101", "", "",
	    "400", "state.page = 100" },
	{ "events from nowhere", "GET /state/v1/watch",
	    "Accept: text/event-stream\nLast-Event-ID: x", "", "400",
	    ":bad-header\"" },
	{ "of what is yet to be", "GET /state/v1/watch?since=99", "", "", "400",
	    "\"since is newer than the store, which is at version " },
	{ "of a key, likewise", "GET /state/v1/kv/lock?since=99&wait=20", "",
	    "", "400", ":bad-query\"" },
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

/* ---- who may what (A15) ------------------------------------------------------------ */

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
	{ "A15 nor may admin with a prefix", JWT_ADMIN, "app/",
	    "GET /state/v1/export", "", "403" },
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
	/* RFC 6750 section 3: who showed no token is told no error of it. */
	expect(ask_as(NULL, whats[0], "Cookie: token=x", SPAN("")), "no token",
	    "WWW-Authenticate: Bearer\r\n");
	expect(ask_as(NULL, whats[0], "", SPAN("")), "no token",
	    "\"detail\":\"there is no token, or it is not, or no longer, "
	    "valid\"");
	expect(ask_as(NULL, "OPTIONS /state/v1/kv/a", "", SPAN("")), "OPTIONS",
	    "Status: 204");
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		API_TEST(test_story),
		API_TEST(test_cursor),
		API_TEST(test_ttl),
		API_TEST(test_may),
		API_TEST(test_uniform),
		API_TEST(test_blind_writes),
	};

	return run_over_engines(tests, COUNT(tests));
}
