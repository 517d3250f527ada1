/* SPDX-License-Identifier: MIT */
/* If this fails, a request gets at state without a token, with a token that
 * says otherwise, or a good one is turned away. The names A14 to A20 are the
 * attack list. */
#include "place.h"

#include "base/buf.h"
#include "base/fd.h"
#include "state/auth.h"
#include "state/ring.h"

#define NOW UINT64_C(1800000000)
#define SECRET "secret that master made, 32 byte"

static struct ring *ring;
static struct auth *auth;
static struct jwt_key *gateway;
static char good[JWT_MOST + 1], why[RING_WHY];
static char id[JWT_ID_MOST + 1];

static int
setup(void **state)
{
	const struct place *p;
	struct buf token;

	if (place_make(state) != 0)
		return -1;
	p = *state;
	ring = ring_open(p->fd, NOW, why);
	if (!ring)
		return -1;
	auth = auth_new(ring);
	gateway = jwt_key_new(JWT_INVOCATION, SPAN_NONE, SPAN(SECRET), 0);
	buf_init(&token, JWT_MOST + 1);
	if (auth_invocation_key(auth, SPAN(SECRET)) != 0 ||
	    ring_mint(ring, &token, SPAN("acme"), JWT_READ, SPAN_NONE, 60, NOW,
		id, why) != 0)
		return -1;
	snprintf(good, sizeof(good), "%s", buf_string(&token));
	buf_free(&token);
	return 0;
}

static int
teardown(void **state)
{
	jwt_key_free(&gateway);
	auth_free(&auth);
	ring_free(&ring);
	return place_remove(state);
}

static enum auth_refusal
check(const char *before, const char *token, const char *behind,
    struct access *access)
{
	char text[2 * JWT_MOST];
	struct access untouched, own;
	enum auth_refusal result;
	struct span header;

	if (!access)
		access = &own;
	memset(access, 0x5a, sizeof(*access));
	untouched = *access;
	snprintf(text, sizeof(text), "%s%s%s", before, token, behind);
	header = span_of(text);
	result = auth_check(auth, &header, 1, NOW, access);
	if (result != AUTH_OK)
		assert_memory_equal(access, &untouched, sizeof(untouched));
	return result;
}

static const char *
run_token(uint64_t expires_s)
{
	static char text[JWT_MOST + 1];
	struct jwt_claims claims = { .kind = JWT_INVOCATION,
		.scope = JWT_WRITE,
		.issued_s = NOW - 10,
		.expires_s = expires_s,
		.tenant = "acme",
		.function = "hello",
		.id = "run-1" };
	struct buf token;

	buf_init(&token, sizeof(text));
	assert_int_equal(jwt_mint(&token, gateway, &claims), 0);
	snprintf(text, sizeof(text), "%s", buf_string(&token));
	buf_free(&token);
	return text;
}

/* ---- A16: headers -------------------------------------------------------- */

struct header {
	const char *sentence;
	const char *before; /* the token */
	const char *behind;
	enum auth_refusal result;
};

static const struct header headers[] = {
	{ "as everybody writes it", "Bearer ", "", AUTH_OK },
	{ "A16 in lower case", "bearer ", "", AUTH_OK },
	{ "A16 in any case", "bEaReR ", "", AUTH_OK },
	{ "several blanks", "Bearer   ", "", AUTH_OK },
	{ "A16 a tab", "Bearer\t", "", AUTH_SCHEME },
	{ "A16 a tab behind the blank", "Bearer \t", "", AUTH_JWT_HEADER },
	{ "A16 no blank", "Bearer", "", AUTH_SCHEME },
	{ "A16 no scheme", "", "", AUTH_SCHEME },
	{ "A16 another scheme", "Basic ", "", AUTH_SCHEME },
	{ "A16 a scheme that begins so", "Bearer2 ", "", AUTH_SCHEME },
	{ "A16 a blank before", " Bearer ", "", AUTH_SCHEME },
	{ "A16 a blank behind", "Bearer ", " ", AUTH_JWT_BASE64 },
	{ "A16 in quotes", "Bearer \"", "\"", AUTH_JWT_HEADER },
	{ "A16 a parameter", "Bearer token=", "", AUTH_JWT_HEADER },
	{ "A16 two in one line", "Bearer x, Bearer ", "", AUTH_JWT_HEADER },
	{ "A16 something behind a comma", "Bearer ", ", Basic x",
	    AUTH_JWT_BASE64 },
};

static void
test_header(void **state)
{
	const struct header *row = *state;
	void *place = NULL;

	assert_int_equal(setup(&place), 0);
	assert_int_equal(check(row->before, good, row->behind, NULL),
	    row->result);
	assert_int_equal(auth_count(auth, row->result), 1);
	assert_int_equal(teardown(&place), 0);
}

static void
test_how_many(void **state)
{
	struct span lines[2];
	struct access access;
	char text[JWT_MOST + 8];

	(void)state;
	snprintf(text, sizeof(text), "Bearer %s", good);
	lines[0] = lines[1] = span_of(text);
	assert_int_equal(auth_check(auth, NULL, 0, NOW, &access), AUTH_NONE);
	assert_int_equal(auth_check(auth, lines, 2, NOW, &access),
	    AUTH_SEVERAL);
	assert_int_equal(auth_check(auth, lines, 1, NOW, &access), AUTH_OK);
	lines[0] = SPAN("");
	assert_int_equal(auth_check(auth, lines, 1, NOW, &access), AUTH_SCHEME);
	lines[0] = SPAN("Bearer ");
	assert_int_equal(auth_check(auth, lines, 1, NOW, &access), AUTH_SCHEME);
	lines[0] = SPAN("Bearer");
	assert_int_equal(auth_check(auth, lines, 1, NOW, &access), AUTH_SCHEME);
}

/* ---- tokens -------------------------------------------------------------- */

static void
test_what_it_says(void **state)
{
	struct access access;

	(void)state;
	assert_int_equal(check("Bearer ", good, "", &access), AUTH_OK);
	assert_int_equal(access.claims.kind, JWT_ACCESS);
	assert_string_equal(access.claims.tenant, "acme");
	assert_int_equal(access.claims.scope, JWT_READ);
	assert_int_equal(access.claims.expires_s, NOW + 60);
	assert_int_equal(check("Bearer ", run_token(NOW + 5), "", &access),
	    AUTH_OK);
	assert_int_equal(access.claims.kind, JWT_INVOCATION);
	assert_string_equal(access.claims.function, "hello");
	assert_string_equal(access.claims.id, "run-1");
	assert_int_equal(access.claims.scope, JWT_WRITE);
}

static void
test_A13_another_start(void **state)
{
	(void)state;
	assert_int_equal(check("Bearer ", run_token(NOW + 5), "", NULL),
	    AUTH_OK);
	assert_int_equal(check("Bearer ", run_token(NOW + 5), "", NULL),
	    AUTH_OK); /* known by now */
	assert_int_equal(auth_invocation_key(auth,
			     SPAN("secret of the next start, 32 byt")),
	    0);
	assert_int_equal(check("Bearer ", run_token(NOW + 5), "", NULL),
	    AUTH_JWT_SIGNATURE);
	/* a key that is too short changes nothing */
	assert_int_equal(auth_invocation_key(auth, SPAN("short")), -1);
	assert_int_equal(check("Bearer ", good, "", NULL), AUTH_OK);
}

static void
test_before_the_key(void **state)
{
	struct auth *early = auth_new(ring);
	struct access access;
	char text[JWT_MOST + 8];
	struct span header;

	(void)state;
	snprintf(text, sizeof(text), "Bearer %s", run_token(NOW + 5));
	header = span_of(text);
	assert_int_equal(auth_check(early, &header, 1, NOW, &access),
	    AUTH_JWT_HEADER);
	auth_free(&early);
}

static void
test_A20_over(void **state)
{
	struct access access;

	(void)state;
	assert_int_equal(check("Bearer ", run_token(NOW + 1), "", &access),
	    AUTH_OK);
	assert_true(auth_stands(auth, &access, NOW));
	assert_false(auth_stands(auth, &access, NOW + 1));
	assert_int_equal(check("Bearer ", run_token(NOW), "", NULL),
	    AUTH_JWT_EXPIRED);
}

static void
test_revoked(void **state)
{
	struct access access;
	char kid[JWT_KID_MOST + 1];

	(void)state;
	assert_int_equal(check("Bearer ", good, "", &access), AUTH_OK);
	assert_true(auth_stands(auth, &access, NOW));
	assert_int_equal(ring_rotate(ring, 10, NOW, kid, why), 0);
	assert_true(auth_stands(auth, &access, NOW + 9));
	assert_false(auth_stands(auth, &access, NOW + 10));
	assert_int_equal(check("Bearer ", good, "", NULL), AUTH_OK);
	assert_int_equal(ring_revoke(ring, span_of(access.claims.id), NOW, why),
	    0);
	assert_false(auth_stands(auth, &access, NOW));
	assert_int_equal(check("Bearer ", good, "", NULL), AUTH_REVOKED);
}

/* Of what was good a moment ago, everything is asked again that can change. */
static void
test_known(void **state)
{
	struct span header;
	struct access access;
	struct place *p = *state;
	char text[JWT_MOST + 8], kid[JWT_KID_MOST + 1], name[64];

	snprintf(text, sizeof(text), "Bearer %s", good);
	header = span_of(text);
	for (int twice = 0; twice < 2; twice++) {
		memset(&access, 0, sizeof(access));
		assert_int_equal(auth_check(auth, &header, 1, NOW, &access),
		    AUTH_OK);
		assert_string_equal(access.claims.tenant, "acme");
	}
	/* its time */
	assert_int_equal(auth_check(auth, &header, 1, NOW + 59, &access),
	    AUTH_OK);
	for (int twice = 0; twice < 2; twice++)
		assert_int_equal(auth_check(auth, &header, 1, NOW + 60,
				     &access),
		    AUTH_JWT_EXPIRED);
	assert_int_equal(auth_check(auth, &header, 1, NOW, &access), AUTH_OK);
	/* every bit of it */
	for (size_t bit = 7 * 8; bit < header.bytes * 8; bit++) {
		text[bit / 8] ^= (char)(1 << bit % 8);
		assert_int_not_equal(auth_check(auth, &header, 1, NOW, &access),
		    AUTH_OK);
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
	/* its key's time */
	assert_int_equal(ring_rotate(ring, 10, NOW, kid, why), 0);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(auth_check(auth, &header, 1, NOW + 9, &access),
		    AUTH_OK);
		assert_int_equal(auth_check(auth, &header, 1, NOW + 10,
				     &access),
		    AUTH_JWT_KEY_ENDED);
	}
	/* its key's bytes: another file of the same name */
	snprintf(name, sizeof(name), "keys/%s.key", access.claims.kid);
	assert_int_equal(unlinkat(p->fd, name, 0), 0);
	place_write(p, name, "0123456789abcdef0123456789abcdef", 0400);
	assert_int_equal(auth_check(auth, &header, 1, NOW, &access), AUTH_OK);
	assert_int_equal(ring_reload(ring, NOW, why), 0);
	assert_int_equal(auth_check(auth, &header, 1, NOW, &access),
	    AUTH_JWT_SIGNATURE);
}

static void
test_known_revoked(void **state)
{
	struct access access;

	(void)state;
	for (int twice = 0; twice < 2; twice++)
		assert_int_equal(check("Bearer ", good, "", &access), AUTH_OK);
	assert_int_equal(ring_revoke(ring, span_of(access.claims.id), NOW, why),
	    0);
	for (int twice = 0; twice < 2; twice++)
		assert_int_equal(check("Bearer ", good, "", NULL),
		    AUTH_REVOKED);
}

static void
test_known_too_many(void **state)
{
	struct access access;

	(void)state;
	for (int round = 0; round < 2; round++)
		for (uint64_t i = 1; i < 1000; i++) {
			assert_int_equal(check("Bearer ", run_token(NOW + i),
					     "", &access),
			    AUTH_OK);
			assert_int_equal(access.claims.expires_s, NOW + i);
			assert_int_equal(check("Bearer ", good, "", &access),
			    AUTH_OK);
			assert_int_equal(access.claims.kind, JWT_ACCESS);
		}
	assert_int_equal(auth_count(auth, AUTH_OK), 2 * 2 * 999);
}

static void
test_words(void **state)
{
	(void)state;
	for (int i = AUTH_OK; i < AUTH_REFUSALS; i++) {
		assert_non_null(auth_refusal_name((enum auth_refusal)i));
		assert_non_null(auth_refusal_words((enum auth_refusal)i));
	}
	assert_int_equal(AUTH_JWT_LONG, JWT_LONG);
	assert_int_equal(AUTH_JWT_EXPIRED, JWT_EXPIRED);
	assert_string_equal(auth_refusal_name(AUTH_REVOKED), "revoked");
}

/* ---- A15: what may be done ----------------------------------------------- */

struct may {
	const char *sentence;
	enum jwt_scope scope;
	const char *prefix;
	const char *key; /* or the prefix of many */
	const char *may; /* of r, w, R, W (all), a */
};

static const struct may mays[] = {
	{ "A15 read reads", JWT_READ, "", "a", "rR" },
	{ "A15 write reads and writes", JWT_WRITE, "", "a", "rwRW" },
	{ "A15 admin does all", JWT_ADMIN, "", "a", "rwRWa" },
	{ "all keys", JWT_WRITE, "", "", "rwRW" },
	{ "A15 a key below the prefix", JWT_WRITE, "app/", "app/x", "rwRW" },
	{ "A15 the prefix itself", JWT_WRITE, "app/", "app/", "rwRW" },
	{ "A15 the prefix without its slash", JWT_ADMIN, "app/", "app", "" },
	{ "A15 a key beside the prefix", JWT_ADMIN, "app/", "apple", "" },
	{ "A15 a list wider than the prefix", JWT_ADMIN, "app/", "ap", "" },
	{ "A15 a list of everything", JWT_ADMIN, "app/", "", "" },
	{ "A15 the prefix in capitals", JWT_ADMIN, "app/", "APP/x", "" },
	{ "A15 the prefix further back", JWT_ADMIN, "app/", "/app/x", "" },
	{ "A15 an encoded slash is none", JWT_ADMIN, "app/", "app%2fx", "" },
	{ "A15 admin of a prefix is no admin of the tenant", JWT_ADMIN, "app/",
	    "app/x", "rwRW" },
};

static void
test_may(void **state)
{
	const struct may *row = *state;
	struct access access = { .claims = { .kind = JWT_ACCESS,
				     .scope = row->scope } };
	struct span key = span_of(row->key);

	strcpy(access.claims.prefix, row->prefix);
	assert_int_equal(access_may_read(&access, key),
	    strchr(row->may, 'r') != NULL);
	assert_int_equal(access_may_write(&access, key),
	    strchr(row->may, 'w') != NULL);
	assert_int_equal(access_may_read_all(&access, key),
	    strchr(row->may, 'R') != NULL);
	assert_int_equal(access_may_write_all(&access, key),
	    strchr(row->may, 'W') != NULL);
	assert_int_equal(access_may_admin(&access),
	    strchr(row->may, 'a') != NULL);
	if (key.bytes == 0) { /* not said is the same as empty */
		assert_int_equal(access_may_read_all(&access, SPAN_NONE),
		    strchr(row->may, 'R') != NULL);
		assert_int_equal(access_may_write_all(&access, SPAN_NONE),
		    strchr(row->may, 'W') != NULL);
	}
	access.claims.kind = JWT_INVOCATION;
	assert_false(access_may_admin(&access));
}

#define TEST(sentence, name)                                 \
	{                                                    \
		sentence, test_##name, setup, teardown, NULL \
	}
static const struct CMUnitTest others[] = {
	TEST("A16 one header, not none and not two", how_many),
	TEST("a token's claims are what the request may", what_it_says),
	TEST("A13 the host has started again", A13_another_start),
	TEST("no invocation is known before master's key", before_the_key),
	TEST("A20 a run whose time is over", A20_over),
	TEST("A19 revoked, or its key has ended", revoked),
	TEST("what was good is asked for its time and key again", known),
	TEST("what was good and is revoked is good no more", known_revoked),
	TEST("more tokens than are remembered", known_too_many),
	TEST("every refusal has its words", words),
};

int
main(void)
{
	return RUN_ROWS(headers, test_header) + RUN_ROWS(mays, test_may) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
