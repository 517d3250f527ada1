/* SPDX-License-Identifier: MIT */
/* If this fails, the host writes tokens that it refuses, or that say something
 * else than they were to. */
#include "jwt_keys.h"

static const struct jwt_claims model = {
	.kind = JWT_ACCESS,
	.scope = JWT_WRITE,
	.issued_s = NOW,
	.expires_s = NOW + 60,
	.tenant = "acme",
	.id = "t1",
};

static void
assert_minted(const struct jwt_claims *claims, struct jwt_key *key)
{
	struct jwt_claims read;
	struct buf out;

	buf_init(&out, JWT_MOST);
	assert_int_equal(jwt_mint(&out, key, claims), 0);
	assert_int_equal(jwt_verify(buf_span(&out), keys, KEYS,
			     claims->issued_s, &read),
	    JWT_OK);
	assert_int_equal(read.kind, claims->kind);
	assert_int_equal(read.scope, claims->scope);
	assert_int_equal(read.depth, claims->depth);
	assert_int_equal(read.issued_s, claims->issued_s);
	assert_int_equal(read.expires_s, claims->expires_s);
	assert_string_equal(read.tenant, claims->tenant);
	assert_string_equal(read.function, claims->function);
	assert_string_equal(read.id, claims->id);
	assert_string_equal(read.prefix, claims->prefix);
	assert_string_equal(read.kid, key == keys[CUR] ? "k1" : "");
	buf_free(&out);
}

static void
test_as_signed(void **state)
{
	struct jwt_claims claims = model;
	struct buf out;

	(void)state;
	buf_init(&out, JWT_MOST);
	assert_int_equal(buf_put(&out, SPAN("FN_TOKEN=")), 0);
	claims.kind = JWT_INVOCATION;
	strcpy(claims.function, "hello");
	assert_int_equal(jwt_mint(&out, keys[INV], &claims), 0);
	assert_span(span_take(buf_span(&out), 9), SPAN("FN_TOKEN="));
	assert_span(span_skip(buf_span(&out), 9),
	    sign(SPAN(INVOCATION_HEAD),
		SPAN("{" WHO ",\"sub\":\"acme/hello\",\"jti\":\"t1\"," TIMES
		     ",\"scope\":\"write\",\"depth\":0}"),
		INVOCATION));
	buf_free(&out);
}

static void
put_random_name(char *to, size_t most, uint64_t *seed)
{
	static const char all[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	size_t bytes = 1 + rows_random(seed, most);

	for (size_t i = 0; i < bytes; i++)
		to[i] = all[rows_random(seed, i == 0 ? 36 : 38)];
	to[bytes] = '\0';
}

static void
test_written_is_read(void **state)
{
	static const char *const pieces[] = { "a", "/", "\"", "\\", "\xc3\xa4",
		"\xf0\x9f\x8c\x8d", " ", "\\u0000", "\xe2\x80\xa8" };
	uint64_t seed = rows_seed();

	(void)state;
	for (int i = 0; i < 5000; i++) {
		bool invocation = rows_random(&seed, 2) == 0;
		struct jwt_claims c = {
			.kind = invocation ? JWT_INVOCATION : JWT_ACCESS,
			.scope = (enum jwt_scope)rows_random(&seed,
			    invocation ? 2 : 3),
			.depth = invocation ?
			    (uint32_t)rows_random(&seed, JWT_DEPTH_MOST + 1) :
			    0,
			.issued_s = rows_random(&seed, NOW * 2),
		};

		c.expires_s =
		    c.issued_s + 1 + rows_random(&seed, JWT_INVOCATION_MOST_S);
		put_random_name(c.tenant, JWT_TENANT_MOST, &seed);
		put_random_name(c.id, JWT_ID_MOST, &seed);
		if (invocation)
			put_random_name(c.function, JWT_FUNCTION_MOST, &seed);
		for (uint64_t n = rows_random(&seed, 100); n > 0; n--)
			strcat(c.prefix,
			    pieces[rows_random(&seed, COUNT(pieces))]);
		assert_minted(&c, keys[invocation ? INV : CUR]);
	}
}

static void
test_longest(void **state)
{
	struct jwt_claims c = model;

	(void)state;
	memset(c.tenant, 'x', JWT_TENANT_MOST);
	memset(c.id, 'x', JWT_ID_MOST);
	memset(c.prefix, '"', JWT_PREFIX_MOST);
	c.issued_s = UINT64_C(9007199254740991) - JWT_ACCESS_MOST_S;
	c.expires_s = UINT64_C(9007199254740991);
	assert_minted(&c, keys[CUR]);
	c.kind = JWT_INVOCATION;
	c.expires_s = c.issued_s + JWT_INVOCATION_MOST_S;
	c.depth = JWT_DEPTH_MOST;
	memset(c.function, 'x', JWT_FUNCTION_MOST);
	assert_minted(&c, keys[INV]);
}

static void
assert_not_minted(const struct jwt_claims *claims, int key)
{
	struct buf out;

	buf_init(&out, JWT_MOST);
	assert_int_equal(jwt_mint(&out, keys[key], claims), -1);
	assert_int_equal(buf_bytes(&out), 0);
	buf_free(&out);
}

static void
test_not_written(void **state)
{
	struct jwt_claims c;
	struct buf out;

	(void)state;
	assert_not_minted(&model, INV);
	c = model;
	strcpy(c.tenant, "a\",\"scope\":\"admin");
	assert_not_minted(&c, CUR);
	c = model;
	c.tenant[0] = '\0';
	assert_not_minted(&c, CUR);
	c = model;
	strcpy(c.id, "a b");
	assert_not_minted(&c, CUR);
	c = model;
	strcpy(c.function, "hello");
	assert_not_minted(&c, CUR);
	c = model;
	strcpy(c.prefix, "\xff");
	assert_not_minted(&c, CUR);
	c = model;
	strcpy(c.prefix, "a\x1f");
	assert_not_minted(&c, CUR);
	c = model;
	c.expires_s = c.issued_s;
	assert_not_minted(&c, CUR);
	c = model;
	c.expires_s = c.issued_s + JWT_ACCESS_MOST_S + 1;
	assert_not_minted(&c, CUR);
	c = model;
	c.kind = JWT_INVOCATION;
	strcpy(c.function, "hello");
	c.scope = JWT_ADMIN;
	assert_not_minted(&c, INV);
	/* no room is no token, not a part of one */
	buf_init(&out, 100);
	assert_int_equal(jwt_mint(&out, keys[CUR], &model), -1);
	assert_int_equal(buf_bytes(&out), 0);
	buf_free(&out);
}

static void
test_scopes(void **state)
{
	enum jwt_scope scope;

	(void)state;
	for (int i = JWT_READ; i <= JWT_ADMIN; i++) {
		assert_int_equal(
		    jwt_scope_find(span_of(jwt_scope_name((enum jwt_scope)i)),
			&scope),
		    0);
		assert_int_equal(scope, i);
	}
	assert_int_equal(jwt_scope_find(SPAN("Write"), &scope), -1);
	assert_int_equal(jwt_scope_find(SPAN_NONE, &scope), -1);
}

static const struct CMUnitTest others[] = {
	TEST("a token is signed as RFC 7515 says", as_signed),
	TEST("what is written is read", written_is_read),
	TEST("the longest claims fit", longest),
	TEST("what would be refused is not written", not_written),
	TEST("scopes have their names", scopes),
};

int
main(void)
{
	return cmocka_run_group_tests(others, setup, teardown);
}
