/* SPDX-License-Identifier: MIT */
/* fuzz_jwt.c - tokens: any bytes as a token, as a header and as a payload under
 * a good signature are judged. What is found good is written again as the same
 * claims, whatever its first spelling was, and is not good a bit later. */
#include "fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "wire/base64.h"
#include "wire/jwt.h"

#define NOW UINT64_C(1800000000)
#define SECRET "0123456789abcdef0123456789abcdef"

static const struct span heads[] = {
	SPAN("{\"alg\":\"HS256\",\"typ\":\"fn-inv+jwt\"}"),
	SPAN("{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"fn-access+jwt\"}"),
};
static const struct span good =
    SPAN("{\"iss\":\"fcgi-host\",\"aud\":\"fn-state\",\"sub\":\"a\","
	 "\"jti\":\"t\",\"iat\":1800000000,\"exp\":1800000001,"
	 "\"scope\":\"read\"}");
static struct jwt_key *keys[2];

static void
judge(struct span token)
{
	struct jwt_claims claims, again;
	struct buf out, out_again;

	if (jwt_verify(token, keys, 2, NOW, &claims) != JWT_OK)
		return;
	assert(token.bytes <= JWT_MOST);
	assert(claims.expires_s > NOW);
	buf_init(&out, JWT_MOST);
	must(jwt_mint(&out, keys[claims.kind], &claims));
	assert(jwt_verify(buf_span(&out), keys, 2, NOW, &again) == JWT_OK);
	buf_init(&out_again, JWT_MOST);
	must(jwt_mint(&out_again, keys[claims.kind], &again));
	must_equal(buf_span(&out), buf_span(&out_again));
	assert(jwt_verify(token, keys, 2, claims.expires_s, &again) ==
	    JWT_EXPIRED);
	buf_free(&out);
	buf_free(&out_again);
}

static void
judge_signed(struct span head, struct span payload)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned bytes = 0;
	struct buf token;

	buf_init(&token, 4 * (head.bytes + payload.bytes) + 128);
	must(base64_put(&token, BASE64_URL, head));
	must(buf_put_byte(&token, '.'));
	must(base64_put(&token, BASE64_URL, payload));
	assert(HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET),
	    (const unsigned char *)buf_span(&token).data, buf_bytes(&token),
	    mac, &bytes));
	must(buf_put_byte(&token, '.'));
	must(base64_put(&token, BASE64_URL, span_make(mac, bytes)));
	judge(buf_span(&token));
	buf_free(&token);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span input = span_make(data, bytes);

	if (!keys[0]) {
		keys[JWT_INVOCATION] =
		    jwt_key_new(JWT_INVOCATION, SPAN_NONE, SPAN(SECRET), 0);
		keys[JWT_ACCESS] =
		    jwt_key_new(JWT_ACCESS, SPAN("k"), SPAN(SECRET), 0);
		assert(keys[0] && keys[1]);
	}
	judge(input);
	judge_signed(heads[JWT_INVOCATION], input);
	judge_signed(heads[JWT_ACCESS], input);
	judge_signed(input, good);
	return 0;
}
