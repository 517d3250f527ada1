/* SPDX-License-Identifier: MIT */
/* jwt_keys.h - the keys of a host, and tokens that anybody might have signed. */
#ifndef JWT_KEYS_H
#define JWT_KEYS_H

#include "wire_spans.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "wire/base64.h"
#include "wire/jwt.h"

#define NOW UINT64_C(1800000000)
#define INVOCATION "invocation secret of 32 bytes..."
#define ACCESS "access secret of 32 bytes......."
#define OLD "access secret that was replaced."
#define STRANGER "secret of somebody else, 32 byte"
#define INVOCATION_HEAD "{\"alg\":\"HS256\",\"typ\":\"fn-inv+jwt\"}"
#define ACCESS_HEAD \
	"{\"alg\":\"HS256\",\"kid\":\"k1\",\"typ\":\"fn-access+jwt\"}"
#define WHO "\"iss\":\"fcgi-host\",\"aud\":\"fn-state\""
#define TIMES "\"iat\":1800000000,\"exp\":1800000060"
#define REST "\"sub\":\"acme\",\"jti\":\"t1\",\"scope\":\"write\""
#define GOOD "{" WHO "," TIMES "," REST "}"
#define GOOD_INVOCATION                                             \
	"{" WHO "," TIMES ",\"sub\":\"acme/hello\",\"jti\":\"t1\"," \
	"\"scope\":\"write\",\"depth\":0}"
#define KID(kid) "{\"alg\":\"HS256\",\"kid\":" kid ",\"typ\":\"fn-access+jwt\"}"
#define KID_LONG "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"

enum { INV, CUR, REPLACED, KEYS };
static struct jwt_key *keys[KEYS];
static struct buf made = { .ceiling = 4 * 1024 * 1024 };

static inline int
setup(void **state)
{
	(void)state;
	keys[INV] = jwt_key_new(JWT_INVOCATION, SPAN_NONE, SPAN(INVOCATION), 0);
	keys[CUR] = jwt_key_new(JWT_ACCESS, SPAN("k1"), SPAN(ACCESS), 0);
	keys[REPLACED] =
	    jwt_key_new(JWT_ACCESS, SPAN("k0"), SPAN(OLD), NOW + 30);
	return keys[INV] && keys[CUR] && keys[REPLACED] ? 0 : -1;
}

static inline int
teardown(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS; i++)
		jwt_key_free(&keys[i]);
	buf_free(&made);
	return 0;
}

/* Whatever it says, with a MAC that is right for the secret: in `made`. */
static inline struct span
sign(struct span head, struct span payload, const char *secret)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned bytes = 0;

	buf_clear(&made);
	assert_int_equal(base64_put(&made, BASE64_URL, head), 0);
	assert_int_equal(buf_put_byte(&made, '.'), 0);
	assert_int_equal(base64_put(&made, BASE64_URL, payload), 0);
	assert_non_null(HMAC(EVP_sha256(), secret, (int)strlen(secret),
	    (const unsigned char *)buf_span(&made).data, buf_bytes(&made), mac,
	    &bytes));
	assert_int_equal(buf_put_byte(&made, '.'), 0);
	assert_int_equal(base64_put(&made, BASE64_URL, span_make(mac, bytes)),
	    0);
	return buf_span(&made);
}

static inline enum jwt_refusal
judge(struct span token)
{
	struct jwt_claims claims, untouched;
	enum jwt_refusal result;

	memset(&claims, 0x5a, sizeof(claims));
	untouched = claims;
	result = jwt_verify(token, keys, KEYS, NOW, &claims);
	if (result != JWT_OK)
		assert_memory_equal(&claims, &untouched, sizeof(claims));
	return result;
}

#define TEST(sentence, name)                            \
	{                                               \
		sentence, test_##name, NULL, NULL, NULL \
	}

#endif
