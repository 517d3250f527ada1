/* SPDX-License-Identifier: MIT */
/* If this fails, a token that is not spelled as it has to be, too long, cut off,
 * changed or signed with another secret may open a tenant's state. The names A1 to
 * A19 are the attack list. */
#include "jwt_keys.h"

static enum jwt_refusal
judge_text(const char *format, ...)
{
	char text[8192];
	va_list args;
	int bytes;

	va_start(args, format);
	bytes = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return judge(span_make(text, (size_t)bytes));
}

/* The parts of a good token as strings. */
static char head[256], body[1024], mac[64];

static void
cut_good(void)
{
	struct span rest = sign(SPAN(ACCESS_HEAD), SPAN(GOOD), ACCESS), part;

	part = span_cut(&rest, '.');
	snprintf(head, sizeof(head), "%.*s", SPAN_ARGS(part));
	part = span_cut(&rest, '.');
	snprintf(body, sizeof(body), "%.*s", SPAN_ARGS(part));
	snprintf(mac, sizeof(mac), "%.*s", SPAN_ARGS(rest));
	assert_int_equal(judge_text("%s.%s.%s", head, body, mac), JWT_OK);
}

static void
test_A6_base64(void **state)
{
	static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *last;

	(void)state;
	cut_good();
	assert_int_equal(judge_text("%s.%s.%s=", head, body, mac), JWT_BASE64);
	assert_int_equal(judge_text("%s.%s=.%s", head, body, mac), JWT_BASE64);
	assert_int_equal(judge_text("%s.%s==.%s", head, body, mac), JWT_BASE64);
	assert_int_equal(judge_text("%s=.%s.%s", head, body, mac), JWT_HEADER);
	for (const char *junk = " \t\r\n!+/,:\x80~"; *junk; junk++) {
		assert_int_equal(judge_text("%s.%s.%s%c", head, body, mac,
				     *junk),
		    JWT_BASE64);
		assert_int_equal(judge_text("%s.%s.%c%s", head, body, *junk,
				     mac + 1),
		    JWT_BASE64);
		assert_int_equal(judge_text("%s.%s.%c%s", head, body, *junk,
				     mac),
		    JWT_BASE64);
		assert_int_equal(judge_text("%s.%c%s.%s", head, *junk, body,
				     mac),
		    JWT_BASE64);
		assert_int_equal(judge_text("%c%s.%s.%s", *junk, head, body,
				     mac),
		    JWT_HEADER);
	}
	/* 43 characters have two bits more than 32 bytes. */
	last = strchr(url, mac[42]);
	assert_non_null(last);
	for (int spare = 1; spare < 4; spare++) {
		mac[42] = url[(last - url) ^ spare];
		assert_int_equal(judge_text("%s.%s.%s", head, body, mac),
		    JWT_BASE64);
	}
}

static void
test_A7_dots(void **state)
{
	char *many = malloc(100000);

	(void)state;
	cut_good();
	assert_int_equal(judge_text("%s", ""), JWT_FORM);
	assert_int_equal(judge_text("%s", head), JWT_FORM);
	assert_int_equal(judge_text("%s.%s", head, body), JWT_FORM);
	assert_int_equal(judge_text("%s.%s.%s.", head, body, mac), JWT_FORM);
	assert_int_equal(judge_text("%s.%s.%s.%s", head, body, mac, mac),
	    JWT_FORM);
	assert_int_equal(judge_text(".%s.%s.%s", head, body, mac), JWT_FORM);
	assert_int_equal(judge_text("%s..%s", head, mac), JWT_FORM);
	assert_int_equal(judge_text(".%s.%s", body, mac), JWT_FORM);
	assert_int_equal(judge_text(".."), JWT_FORM);
	assert_int_equal(judge_text("%s.%s.%s.%s.%s", head, body, body, body,
			     mac),
	    JWT_FORM); /* an encrypted one has five */
	assert_int_equal(judge_text("{\"payload\":\"%s\",\"signatures\":[{"
				    "\"protected\":\"%s\",\"signature\":\"%s\"}"
				    "]}",
			     body, head, mac),
	    JWT_FORM);
	for (size_t dots = 3; dots <= 100000; dots *= 10) {
		memset(many, '.', dots);
		assert_int_equal(judge(span_make(many, dots)),
		    dots > JWT_MOST ? JWT_LONG : JWT_FORM);
	}
	free(many);
}

/* A claim nobody reads fills the token up to so many bytes. */
static struct span
sign_bytes(size_t bytes)
{
	static char payload[2 * 1024 * 1024];
	struct span token = SPAN_NONE;

	for (size_t fill = 3 * (bytes / 4) - 400; token.bytes < bytes; fill++) {
		int at = snprintf(payload, sizeof(payload),
		    "{" WHO "," TIMES "," REST ",\"x\":\"");

		memset(payload + at, 'x', fill);
		memcpy(payload + at + fill, "\"}", 2);
		token = sign(SPAN(ACCESS_HEAD),
		    span_make(payload, (size_t)at + fill + 2), ACCESS);
	}
	return token;
}

static void
test_A8_sizes(void **state)
{
	(void)state;
	for (size_t bytes = 2040; bytes < 2060; bytes++) {
		struct span token = sign_bytes(bytes);

		assert_int_equal(judge(token),
		    token.bytes > 2048 ? JWT_LONG : JWT_OK);
	}
	assert_int_equal(sign_bytes(2048).bytes, 2048);
	assert_int_equal(judge(sign_bytes(2048)), JWT_OK);
	assert_int_equal(sign_bytes(2049).bytes, 2049);
	assert_int_equal(judge(sign_bytes(2049)), JWT_LONG);
	assert_int_equal(judge(sign_bytes(8192)), JWT_LONG);
	assert_int_equal(judge(sign_bytes(1 << 20)), JWT_LONG);
}

static void
test_A9_depth(void **state)
{
	char payload[1400];
	int at = snprintf(payload, sizeof(payload),
	    "{" WHO "," TIMES "," REST ",\"x\":");

	(void)state;
	memset(payload + at, '[', 600);
	memset(payload + at + 600, ']', 600);
	payload[at + 1200] = '}';
	assert_int_equal(judge(sign(SPAN(ACCESS_HEAD),
			     span_make(payload, (size_t)at + 1201), ACCESS)),
	    JWT_OK); /* what fits is harmless */
	payload[at + 1200] = ']';
	assert_int_equal(judge(sign(SPAN(ACCESS_HEAD),
			     span_make(payload, (size_t)at + 1201), ACCESS)),
	    JWT_JSON);
}

static void
test_A12_signatures(void **state)
{
	char other_mac[64];
	struct span rest;

	(void)state;
	rest = sign(SPAN(ACCESS_HEAD), SPAN("{" WHO "," TIMES "," REST " }"),
	    ACCESS);
	span_cut(&rest, '.');
	span_cut(&rest, '.');
	snprintf(other_mac, sizeof(other_mac), "%.*s", SPAN_ARGS(rest));
	cut_good();
	assert_int_equal(judge_text("%s.%s.%s", head, body, other_mac),
	    JWT_SIGNATURE);
	assert_int_equal(judge_text("%s.%s.", head, body), JWT_FORM);
	assert_int_equal(judge_text("%s.%s.%sAA", head, body, mac), JWT_BASE64);
	assert_int_equal(judge_text("%s.%s.%s%s", head, body, mac, mac),
	    JWT_BASE64);
	for (int bytes = 1; bytes < 43; bytes++) {
		enum jwt_refusal result =
		    judge_text("%s.%s.%.*s", head, body, bytes, mac);

		assert_true(result == JWT_SIGNATURE || result == JWT_BASE64);
	}
	assert_int_equal(judge_text("%s.%s.%.40s", head, body, mac),
	    JWT_SIGNATURE); /* 30 bytes, all right */
}

static void
test_A12_every_bit(void **state)
{
	static const char *const secrets[] = { INVOCATION, ACCESS };
	static const char *const said[] = { GOOD_INVOCATION, GOOD };
	static const char *const begins[] = { INVOCATION_HEAD, ACCESS_HEAD };

	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct span good = sign(span_of(begins[kind]),
		    span_of(said[kind]), secrets[kind]);
		char *text = span_dup(good);

		assert_int_equal(judge(span_of(text)), JWT_OK);
		for (size_t bit = 0; bit < good.bytes * 8; bit++) {
			text[bit / 8] ^= (char)(1 << bit % 8);
			assert_int_not_equal(judge(span_make(text, good.bytes)),
			    JWT_OK);
			text[bit / 8] ^= (char)(1 << bit % 8);
		}
		for (size_t bytes = 0; bytes < good.bytes; bytes++)
			assert_int_not_equal(judge(span_make(text, bytes)),
			    JWT_OK);
		free(text);
	}
}

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Prints what an attacker could measure; the comparison is CRYPTO_memcmp(), so
 * the two are as far apart as two runs of one of them. */
static void
test_A17_times(void **state)
{
	enum { ROUNDS = 4001 };
	static uint64_t ns[2][ROUNDS];
	struct timespec from, to;

	(void)state;
	cut_good();
	for (int i = 0; i < 2 * ROUNDS; i++) {
		char *byte = &mac[i % 2 == 0 ? 0 : 41], was = *byte;

		*byte = was == 'A' ? 'B' : 'A';
		clock_gettime(CLOCK_MONOTONIC, &from);
		assert_int_not_equal(judge_text("%s.%s.%s", head, body, mac),
		    JWT_OK);
		clock_gettime(CLOCK_MONOTONIC, &to);
		*byte = was;
		ns[i % 2][i / 2] =
		    (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000 +
		    (uint64_t)to.tv_nsec - (uint64_t)from.tv_nsec;
	}
	for (int i = 0; i < 2; i++)
		qsort(ns[i], ROUNDS, sizeof(ns[i][0]), by_size);
	print_message("median of the first byte wrong: %llu ns, of the last: "
		      "%llu ns\n",
	    (unsigned long long)ns[0][ROUNDS / 2],
	    (unsigned long long)ns[1][ROUNDS / 2]);
}

static void
test_A13_another_boot(void **state)
{
	struct jwt_key *before =
	    jwt_key_new(JWT_INVOCATION, SPAN_NONE, SPAN(STRANGER), 0);
	struct jwt_claims claims;
	struct span token =
	    sign(SPAN(INVOCATION_HEAD), SPAN(GOOD_INVOCATION), INVOCATION);

	(void)state;
	assert_int_equal(jwt_verify(token, &keys[INV], 1, NOW, &claims),
	    JWT_OK);
	assert_int_equal(jwt_verify(token, &before, 1, NOW, &claims),
	    JWT_SIGNATURE);
	assert_int_equal(jwt_verify(token, NULL, 0, NOW, &claims), JWT_HEADER);
	jwt_key_free(&before);
}

static void
test_A18_secrets(void **state)
{
	char secret[JWT_SECRET_MOST + 1];
	struct jwt_key *key;

	(void)state;
	fill(secret, sizeof(secret));
	for (size_t bytes = 0; bytes <= sizeof(secret); bytes++) {
		key = jwt_key_new(JWT_ACCESS, SPAN("k"),
		    span_make(secret, bytes), 0);
		assert_int_equal(key != NULL, bytes >= 32 && bytes <= 1024);
		jwt_key_free(&key);
	}
	assert_null(jwt_key_new(JWT_ACCESS, SPAN(""), SPAN(ACCESS), 0));
	assert_null(jwt_key_new(JWT_ACCESS, SPAN("a.b"), SPAN(ACCESS), 0));
	assert_null(jwt_key_new(JWT_ACCESS, SPAN(KID_LONG), SPAN(ACCESS), 0));
	assert_null(jwt_key_new(JWT_INVOCATION, SPAN("k"), SPAN(ACCESS), 0));
}

static void
test_A19_rotation(void **state)
{
	struct span token = sign(span_of(KID("\"k0\"")), SPAN(GOOD), OLD);
	struct jwt_claims claims;

	(void)state;
	assert_int_equal(jwt_verify(token, keys, KEYS, NOW + 29, &claims),
	    JWT_OK);
	assert_string_equal(claims.kid, "k0");
	assert_int_equal(jwt_verify(token, keys, KEYS, NOW + 30, &claims),
	    JWT_KEY_ENDED);
	token = sign(SPAN(ACCESS_HEAD), SPAN(GOOD), ACCESS);
	assert_int_equal(jwt_verify(token, keys, KEYS, NOW + 59, &claims),
	    JWT_OK);
	assert_int_equal(jwt_verify(token, keys, KEYS, NOW + 60, &claims),
	    JWT_EXPIRED);
}

static const struct CMUnitTest others[] = {
	TEST("A6 base 64 has one spelling", A6_base64),
	TEST("A7 exactly two dots, and something around each", A7_dots),
	TEST("A8 2048 bytes and no more", A8_sizes),
	TEST("A9 lists in lists", A9_depth),
	TEST("A12 empty, short, long signatures, and another's",
	    A12_signatures),
	TEST("A12 no bit may change, no byte be missing", A12_every_bit),
	TEST("A13 a token of another start of the host", A13_another_boot),
	TEST("A17 a wrong first byte takes as long as a wrong last", A17_times),
	TEST("A18 secrets that are too short", A18_secrets),
	TEST("A19 an old key is good until its time is over", A19_rotation),
};

int
main(void)
{
	return cmocka_run_group_tests(others, setup, teardown);
}
