/* SPDX-License-Identifier: MIT */
/* If this fails, a function gets a token for another tenant's state, for more
 * than its settings allow, or for longer than it runs. */
#include "rows.h"

#include <string.h>

#include "gateway/gateway.h"

#define SECRET "secret that master made, 32 byte"
#define NOW_MS UINT64_C(1800000000250)

struct claimed {
	const char *sentence;
	unsigned state;
	uint64_t deadline_ms; /* from now; 0: none */
	enum jwt_scope scope;
	uint64_t good_s; /* from the second that now is in; 0: no token */
};

static const struct claimed runs[] = {
	{ "of a function that may write", STATE_WRITE, 10000, JWT_WRITE, 11 },
	{ "of a function that may read", STATE_READ, 10000, JWT_READ, 11 },
	{ "of a function without state", STATE_NONE, 10000, JWT_READ, 0 },
	{ "to the end of its second", STATE_WRITE, 749, JWT_WRITE, 1 },
	{ "to the end of a second", STATE_WRITE, 750, JWT_WRITE, 1 },
	{ "a millisecond into the next", STATE_WRITE, 751, JWT_WRITE, 2 },
	{ "without a time limit", STATE_WRITE, 0, JWT_WRITE, 24 * 3600 },
	{ "with a limit of days", STATE_WRITE, 72 * 3600 * 1000, JWT_WRITE,
	    24 * 3600 },
};

static const char *const request_name = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/* As many parts of a request as a token says something of. */
struct place {
	struct gateway gateway;
	struct settings settings;
	struct request request;
	union {
		struct tenant tenant;
		char tenant_room[sizeof(struct tenant) + 64];
	};
	union {
		struct function function;
		char function_room[sizeof(struct function) + 64];
	};
};

static struct request *
request_of(struct place *p, const char *tenant, const char *function)
{
	memset(p, 0, sizeof(*p));
	p->tenant.node.key = span_of(tenant);
	p->function.node.key = span_of(function);
	p->request.gateway = &p->gateway;
	p->request.settings = &p->settings;
	p->request.tenant = &p->tenant;
	p->request.function = &p->function;
	memcpy(p->request.name, request_name, REQUEST_ID_CHARS);
	return &p->request;
}

static enum jwt_refusal
judge(struct span token, uint64_t now_s, struct jwt_claims *claims)
{
	struct jwt_key *key =
	    jwt_key_new(JWT_INVOCATION, SPAN_NONE, SPAN(SECRET), 0);
	enum jwt_refusal result = jwt_verify(token, &key, 1, now_s, claims);

	jwt_key_free(&key);
	return result;
}

static void
test_run(void **state)
{
	const struct claimed *row = *state;
	struct place p;
	struct request *r = request_of(&p, "acme", "hello");
	struct jwt_claims claims;
	struct buf token;

	buf_init(&token, JWT_MOST);
	p.settings.state = row->state;
	state_key(&p.gateway, SPAN(SECRET));
	assert_int_equal(state_token(r, NOW_MS,
			     row->deadline_ms ? NOW_MS + row->deadline_ms : 0,
			     &token),
	    0);
	if (row->good_s == 0) {
		assert_int_equal(buf_bytes(&token), 0);
	} else {
		assert_int_equal(judge(buf_span(&token), NOW_MS / 1000,
				     &claims),
		    JWT_OK);
		assert_int_equal(claims.kind, JWT_INVOCATION);
		assert_int_equal(claims.scope, row->scope);
		assert_int_equal(claims.issued_s, NOW_MS / 1000);
		assert_int_equal(claims.expires_s, NOW_MS / 1000 + row->good_s);
		assert_string_equal(claims.tenant, "acme");
		assert_string_equal(claims.function, "hello");
		assert_string_equal(claims.id, request_name);
		assert_string_equal(claims.prefix, "");
		assert_int_equal(judge(buf_span(&token),
				     NOW_MS / 1000 + row->good_s, &claims),
		    JWT_EXPIRED);
	}
	jwt_key_free(&p.gateway.state_key);
	buf_free(&token);
}

static void
longest_names(void **state)
{
	char name[64] = "";
	struct place p;
	struct request *r;
	struct jwt_claims claims;
	struct buf token;

	(void)state;
	memset(name, 'x', 63);
	r = request_of(&p, name, name);
	buf_init(&token, JWT_MOST);
	state_key(&p.gateway, SPAN(SECRET));
	assert_int_equal(state_token(r, NOW_MS, NOW_MS + 1, &token), 0);
	assert_int_equal(judge(buf_span(&token), NOW_MS / 1000, &claims),
	    JWT_OK);
	assert_string_equal(claims.tenant, name);
	assert_string_equal(claims.function, name);
	jwt_key_free(&p.gateway.state_key);
	buf_free(&token);
}

static void
before_and_after_the_key(void **state)
{
	struct place p;
	struct request *r = request_of(&p, "acme", "hello");
	struct jwt_claims claims;
	struct buf token;

	(void)state;
	buf_init(&token, JWT_MOST);
	assert_int_equal(state_token(r, NOW_MS, NOW_MS + 1, &token), 0);
	assert_int_equal(buf_bytes(&token), 0);
	state_key(&p.gateway, SPAN("secret of the start before, 32 b"));
	state_key(&p.gateway, SPAN(SECRET));
	assert_int_equal(state_token(r, NOW_MS, NOW_MS + 1, &token), 0);
	assert_int_equal(judge(buf_span(&token), NOW_MS / 1000, &claims),
	    JWT_OK);
	jwt_key_free(&p.gateway.state_key);
	buf_free(&token);
}

static const struct CMUnitTest others[] = {
	{ "the longest names fit", longest_names, NULL, NULL, NULL },
	{ "without a key there is no token, and the last key signs",
	    before_and_after_the_key, NULL, NULL, NULL },
};

int
main(void)
{
	return RUN_ROWS(runs, test_run) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
