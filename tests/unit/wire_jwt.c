/* SPDX-License-Identifier: MIT */
/* If this fails, a token that nobody of this host signed may open a tenant's
 * state, or a good one does not. The names A1 to A19 are the attack list. */
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

enum { INV, CUR, REPLACED, KEYS };
static struct jwt_key *keys[KEYS];
static struct buf made = { .ceiling = 4 * 1024 * 1024 };

static int
setup(void **state)
{
	(void)state;
	keys[INV] = jwt_key_new(JWT_INVOCATION, SPAN_NONE, SPAN(INVOCATION), 0);
	keys[CUR] = jwt_key_new(JWT_ACCESS, SPAN("k1"), SPAN(ACCESS), 0);
	keys[REPLACED] =
	    jwt_key_new(JWT_ACCESS, SPAN("k0"), SPAN(OLD), NOW + 30);
	return keys[INV] && keys[CUR] && keys[REPLACED] ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS; i++)
		jwt_key_free(&keys[i]);
	buf_free(&made);
	return 0;
}

/* Whatever it says, with a MAC that is right for the secret: in `made`. */
static struct span
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

static enum jwt_refusal
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

/* ---- headers ------------------------------------------------------------- */

struct head {
	const char *sentence;
	const char *head;
	enum jwt_refusal result;
	const char *secret; /* NULL: ACCESS */
};

#define ALG(alg) "{\"alg\":" alg ",\"kid\":\"k1\",\"typ\":\"fn-access+jwt\"}"
#define KID(kid) "{\"alg\":\"HS256\",\"kid\":" kid ",\"typ\":\"fn-access+jwt\"}"
#define TYP(typ) "{\"alg\":\"HS256\",\"kid\":\"k1\",\"typ\":" typ "}"
#define MORE(member)                                                          \
	"{\"alg\":\"HS256\",\"kid\":\"k1\",\"typ\":\"fn-access+jwt\"," member \
	"}"
#define KID_LONG "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define KID_1K                                                                 \
	KID_LONG KID_LONG KID_LONG KID_LONG KID_LONG KID_LONG KID_LONG         \
	    KID_LONG KID_LONG KID_LONG KID_LONG KID_LONG KID_LONG KID_LONG     \
		KID_LONG KID_LONG KID_LONG KID_LONG KID_LONG KID_LONG KID_LONG \
		    KID_LONG KID_LONG KID_LONG KID_LONG KID_LONG KID_LONG      \
			KID_LONG KID_LONG KID_LONG

static const struct head heads[] = {
	{ "what we issue", ACCESS_HEAD, JWT_OK, NULL },
	{ "members in another order",
	    "{\"typ\":\"fn-access+jwt\",\"alg\":\"HS256\",\"kid\":\"k1\"}",
	    JWT_OK, NULL },
	{ "blanks, as a library may write them",
	    " {\n\t\"typ\" : \"fn-access+jwt\" , \"kid\": \"k1\",\r"
	    " \"alg\" :\"HS256\" } ",
	    JWT_OK, NULL },
	{ "the key before this one", KID("\"k0\""), JWT_OK, OLD },
	{ "A1 alg none", ALG("\"none\""), JWT_HEADER, NULL },
	{ "A1 alg None", ALG("\"None\""), JWT_HEADER, NULL },
	{ "A1 alg nOnE", ALG("\"nOnE\""), JWT_HEADER, NULL },
	{ "A1 alg NONE", ALG("\"NONE\""), JWT_HEADER, NULL },
	{ "A1 alg empty", ALG("\"\""), JWT_HEADER, NULL },
	{ "A1 alg null", ALG("null"), JWT_HEADER, NULL },
	{ "A1 alg missing", "{\"kid\":\"k1\",\"typ\":\"fn-access+jwt\"}",
	    JWT_HEADER, NULL },
	{ "A2 signed with the kid as secret", ACCESS_HEAD, JWT_SIGNATURE,
	    "k1" },
	{ "A2 signed with an empty secret", ACCESS_HEAD, JWT_SIGNATURE, "" },
	{ "A2 signed with the header as secret", ACCESS_HEAD, JWT_SIGNATURE,
	    ACCESS_HEAD },
	{ "A2 signed with a secret of somebody else", ACCESS_HEAD,
	    JWT_SIGNATURE, STRANGER },
	{ "A3 RS256", ALG("\"RS256\""), JWT_HEADER, NULL },
	{ "A3 ES256", ALG("\"ES256\""), JWT_HEADER, NULL },
	{ "A3 HS384", ALG("\"HS384\""), JWT_HEADER, NULL },
	{ "A3 HS512", ALG("\"HS512\""), JWT_HEADER, NULL },
	{ "A3 hs256", ALG("\"hs256\""), JWT_HEADER, NULL },
	{ "A3 EdDSA", ALG("\"EdDSA\""), JWT_HEADER, NULL },
	{ "A3 HS256 and a blank", ALG("\"HS256 \""), JWT_HEADER, NULL },
	{ "A4 a kid nobody has", KID("\"k2\""), JWT_KEY, NULL },
	{ "A4 a kid that begins like one", KID("\"k11\""), JWT_KEY, NULL },
	{ "A4 a kid in capitals", KID("\"K1\""), JWT_KEY, NULL },
	{ "A4 another key's kid", KID("\"k0\""), JWT_SIGNATURE, NULL },
	{ "A4 an empty kid", KID("\"\""), JWT_HEADER, NULL },
	{ "A4 a kid of 33 bytes", KID("\"" KID_LONG "\""), JWT_KEY, NULL },
	{ "A4 a kid of 1 KB", KID("\"" KID_1K "\""), JWT_HEADER, NULL },
	{ "A4 a kid that is a path", KID("\"../../dev/null\""), JWT_HEADER,
	    NULL },
	{ "A4 a kid that is SQL", KID("\"' OR 1=1\""), JWT_HEADER, NULL },
	{ "A4 a kid with NUL", KID("\"k1\\u0000\""), JWT_HEADER, NULL },
	{ "A4 a kid with an escape", KID("\"\\u006b1\""), JWT_HEADER, NULL },
	{ "A4 a kid that is a list", KID("[\"k1\"]"), JWT_HEADER, NULL },
	{ "A4 a kid that is a number", KID("1"), JWT_HEADER, NULL },
	{ "A4 kid twice", KID("\"k1\",\"kid\":\"k1\""), JWT_HEADER, NULL },
	{ "A4 kid twice, differently", KID("\"k2\",\"kid\":\"k1\""), JWT_HEADER,
	    NULL },
	{ "A4 alg twice", ALG("\"HS256\",\"alg\":\"none\""), JWT_HEADER, NULL },
	{ "A4 no kid", "{\"alg\":\"HS256\",\"typ\":\"fn-access+jwt\"}",
	    JWT_HEADER, NULL },
	{ "A5 jwk", MORE("\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}"), JWT_HEADER,
	    NULL },
	{ "A5 jku", MORE("\"jku\":\"https://a.example/\""), JWT_HEADER, NULL },
	{ "A5 x5u", MORE("\"x5u\":\"https://a.example/\""), JWT_HEADER, NULL },
	{ "A5 x5c", MORE("\"x5c\":[\"AA\"]"), JWT_HEADER, NULL },
	{ "A5 crit", MORE("\"crit\":[\"exp\"]"), JWT_HEADER, NULL },
	{ "A5 b64", MORE("\"b64\":false"), JWT_HEADER, NULL },
	{ "A5 zip", MORE("\"zip\":\"DEF\""), JWT_HEADER, NULL },
	{ "A5 cty", MORE("\"cty\":\"JWT\""), JWT_HEADER, NULL },
	{ "A9 a header that is a list", "[" ACCESS_HEAD "]", JWT_HEADER, NULL },
	{ "A9 two headers", ACCESS_HEAD ACCESS_HEAD, JWT_HEADER, NULL },
	{ "A9 a byte behind the header", ACCESS_HEAD "x", JWT_HEADER, NULL },
	{ "A9 a byte order mark", "\xef\xbb\xbf" ACCESS_HEAD, JWT_HEADER,
	    NULL },
	{ "A9 a comma too many",
	    "{\"alg\":\"HS256\",\"kid\":\"k1\",\"typ\":\"fn-access+jwt\",}",
	    JWT_HEADER, NULL },
	{ "A9 an empty object", "{}", JWT_HEADER, NULL },
	{ "A9 an unfinished object", "{\"alg\":\"HS256\"", JWT_HEADER, NULL },
	{ "A9 an unfinished string", "{\"alg\":\"HS256", JWT_HEADER, NULL },
	{ "A14 an access token of the invocation type", INVOCATION_HEAD,
	    JWT_SIGNATURE, NULL },
	{ "A14 the invocation type with an access key's kid",
	    TYP("\"fn-inv+jwt\""), JWT_HEADER, NULL },
	{ "A14 typ JWT", TYP("\"JWT\""), JWT_HEADER, NULL },
	{ "A14 typ in capitals", TYP("\"FN-ACCESS+JWT\""), JWT_HEADER, NULL },
	{ "A14 typ as a media type", TYP("\"application/fn-access+jwt\""),
	    JWT_HEADER, NULL },
	{ "A14 no typ", "{\"alg\":\"HS256\",\"kid\":\"k1\"}", JWT_HEADER,
	    NULL },
	{ "A14 an access header signed with the invocation key", ACCESS_HEAD,
	    JWT_SIGNATURE, INVOCATION },
	{ "A14 the invocation header in another order",
	    "{\"typ\":\"fn-inv+jwt\",\"alg\":\"HS256\"}", JWT_HEADER,
	    INVOCATION },
};

static void
test_head(void **state)
{
	const struct head *row = *state;

	assert_int_equal(judge(sign(span_of(row->head), SPAN(GOOD),
			     row->secret ? row->secret : ACCESS)),
	    row->result);
}

/* ---- payloads ------------------------------------------------------------ */

struct payload {
	const char *sentence;
	struct span json;
	enum jwt_refusal result;
	bool invocation;
};

#define ONLY(members) SPAN("{" WHO "," REST "," members "}")
#define CLAIM(members) SPAN("{" WHO "," TIMES "," members "}")
#define BY(members) SPAN("{" TIMES "," REST "," members "}")
#define PLUS(members) SPAN("{" WHO "," TIMES "," REST "," members "}")
#define RUN(members) SPAN("{" WHO "," TIMES ",\"jti\":\"t1\"," members "}")
#define X63 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X504 X63 X63 X63 X63 X63 X63 X63 X63

static const struct payload payloads[] = {
	{ "what we issue", SPAN(GOOD), JWT_OK, false },
	{ "of an invocation", SPAN(GOOD_INVOCATION), JWT_OK, true },
	{ "claims that mean nothing here",
	    PLUS("\"name\":\"Ada\",\"roles\":[{\"a\":1}]"), JWT_OK, false },
	{ "a prefix", PLUS("\"pfx\":\"app/\""), JWT_OK, false },
	{ "a prefix of 512 bytes", PLUS("\"pfx\":\"" X504 "12345678\""), JWT_OK,
	    false },
	{ "a prefix of 513", PLUS("\"pfx\":\"" X504 "123456789\""), JWT_CLAIM,
	    false },
	{ "a prefix that is no string", PLUS("\"pfx\":1"), JWT_CLAIM, false },
	{ "a prefix that is null", PLUS("\"pfx\":null"), JWT_CLAIM, false },
	{ "a prefix with a control byte", PLUS("\"pfx\":\"a\\n\""), JWT_CLAIM,
	    false },
	{ "A9 a claim twice", PLUS("\"sub\":\"other\""), JWT_JSON, false },
	{ "A9 a claim twice, spelled differently",
	    PLUS("\"s\\u0075b\":\"other\""), JWT_JSON, false },
	{ "A9 a claim twice, deeper", PLUS("\"x\":{\"a\":1,\"a\":2}"), JWT_JSON,
	    false },
	{ "A9 NaN", PLUS("\"x\":NaN"), JWT_JSON, false },
	{ "A9 1e999", PLUS("\"x\":1e999"), JWT_JSON, false },
	{ "A9 2^63", PLUS("\"x\":9223372036854775808"), JWT_JSON, false },
	{ "A9 no UTF-8", PLUS("\"x\":\"\xff\""), JWT_JSON, false },
	{ "A9 UTF-8 that is too long", PLUS("\"x\":\"\xc0\xaf\""), JWT_JSON,
	    false },
	{ "A9 half of a pair", PLUS("\"x\":\"\\ud800\""), JWT_JSON, false },
	{ "A9 NUL in a string", PLUS("\"x\":\"a\\u0000b\""), JWT_JSON, false },
	{ "A9 NUL in the tenant",
	    CLAIM("\"sub\":\"acme\\u0000x\",\"jti\":\"t1\",\"scope\":\"read\""),
	    JWT_JSON, false },
	{ "A9 bytes behind the object", SPAN(GOOD "x"), JWT_JSON, false },
	{ "A9 NUL and more behind it", SPAN(GOOD "\0x"), JWT_JSON, false },
	{ "A9 two objects", SPAN(GOOD GOOD), JWT_JSON, false },
	{ "A9 a byte order mark", SPAN("\xef\xbb\xbf" GOOD), JWT_JSON, false },
	{ "A9 a list", SPAN("[" GOOD "]"), JWT_JSON, false },
	{ "A9 a string", SPAN("\"acme\""), JWT_JSON, false },
	{ "A9 a comment", PLUS("/* */\"x\":1"), JWT_JSON, false },
	{ "A10 no exp", ONLY("\"iat\":1800000000"), JWT_CLAIM, false },
	{ "A10 no iat", ONLY("\"exp\":1800000060"), JWT_CLAIM, false },
	{ "A10 exp is a string",
	    ONLY("\"iat\":1800000000,\"exp\":\"1800000060\""), JWT_CLAIM,
	    false },
	{ "A10 exp is a fraction",
	    ONLY("\"iat\":1800000000,\"exp\":1800000060.5"), JWT_CLAIM, false },
	{ "A10 exp is whole, but not written so",
	    ONLY("\"iat\":1800000000,\"exp\":1.80000006e9"), JWT_CLAIM, false },
	{ "A10 exp is negative", ONLY("\"iat\":1800000000,\"exp\":-1"),
	    JWT_CLAIM, false },
	{ "A10 exp is 0", ONLY("\"iat\":1800000000,\"exp\":0"), JWT_CLAIM,
	    false },
	{ "A10 exp is true", ONLY("\"iat\":1800000000,\"exp\":true"), JWT_CLAIM,
	    false },
	{ "A10 exp is beyond what numbers are exact",
	    ONLY("\"iat\":1800000000,\"exp\":9007199254740992"), JWT_CLAIM,
	    false },
	{ "A10 exp is now", ONLY("\"iat\":1799999990,\"exp\":1800000000"),
	    JWT_EXPIRED, false },
	{ "A10 exp was a second ago",
	    ONLY("\"iat\":1799999990,\"exp\":1799999999"), JWT_EXPIRED, false },
	{ "A10 exp is in a second",
	    ONLY("\"iat\":1799999990,\"exp\":1800000001"), JWT_OK, false },
	{ "A10 exp is before iat",
	    ONLY("\"iat\":1800000003,\"exp\":1800000002"), JWT_CLAIM, false },
	{ "A10 a year and a day", ONLY("\"iat\":1800000000,\"exp\":1831622400"),
	    JWT_OK, false },
	{ "A10 a second more", ONLY("\"iat\":1800000000,\"exp\":1831622401"),
	    JWT_LIFETIME, false },
	{ "A10 iat is as far ahead as clocks differ",
	    ONLY("\"iat\":1800000005,\"exp\":1800000060"), JWT_OK, false },
	{ "A10 iat is a second further",
	    ONLY("\"iat\":1800000006,\"exp\":1800000060"), JWT_EARLY, false },
	{ "A10 nbf is as far ahead", PLUS("\"nbf\":1800000005"), JWT_OK,
	    false },
	{ "A10 nbf is a second further", PLUS("\"nbf\":1800000006"), JWT_EARLY,
	    false },
	{ "A10 nbf is a string", PLUS("\"nbf\":\"0\""), JWT_CLAIM, false },
	{ "A10 an invocation of a day",
	    SPAN("{" WHO ",\"iat\":1800000000,\"exp\":1800086400,"
		 "\"sub\":\"a/b\",\"jti\":\"t\",\"scope\":\"read\","
		 "\"depth\":0}"),
	    JWT_OK, true },
	{ "A10 an invocation of a second more",
	    SPAN("{" WHO ",\"iat\":1800000000,\"exp\":1800086401,"
		 "\"sub\":\"a/b\",\"jti\":\"t\",\"scope\":\"read\","
		 "\"depth\":0}"),
	    JWT_LIFETIME, true },
	{ "A11 another audience",
	    BY("\"iss\":\"fcgi-host\",\"aud\":\"fn-mail\""), JWT_AUDIENCE,
	    false },
	{ "A11 a list with the audience",
	    BY("\"iss\":\"fcgi-host\",\"aud\":[\"fn-state\"]"), JWT_AUDIENCE,
	    false },
	{ "A11 the beginning of the audience",
	    BY("\"iss\":\"fcgi-host\",\"aud\":\"fn-\""), JWT_AUDIENCE, false },
	{ "A11 the audience and more",
	    BY("\"iss\":\"fcgi-host\",\"aud\":\"fn-state2\""), JWT_AUDIENCE,
	    false },
	{ "A11 the audience in capitals",
	    BY("\"iss\":\"fcgi-host\",\"aud\":\"FN-STATE\""), JWT_AUDIENCE,
	    false },
	{ "A11 no audience", BY("\"iss\":\"fcgi-host\""), JWT_AUDIENCE, false },
	{ "A11 another issuer", BY("\"iss\":\"somebody\",\"aud\":\"fn-state\""),
	    JWT_ISSUER, false },
	{ "A11 a list with the issuer",
	    BY("\"iss\":[\"fcgi-host\"],\"aud\":\"fn-state\""), JWT_ISSUER,
	    false },
	{ "A11 a part of the issuer",
	    BY("\"iss\":\"host\",\"aud\":\"fn-state\""), JWT_ISSUER, false },
	{ "A11 the issuer in capitals",
	    BY("\"iss\":\"FCGI-HOST\",\"aud\":\"fn-state\""), JWT_ISSUER,
	    false },
	{ "A11 an empty issuer", BY("\"iss\":\"\",\"aud\":\"fn-state\""),
	    JWT_ISSUER, false },
	{ "A11 no issuer", BY("\"aud\":\"fn-state\""), JWT_ISSUER, false },
	{ "A14 an access token's claims with the invocation key", SPAN(GOOD),
	    JWT_CLAIM, true },
	{ "A14 an invocation's claims with an access key",
	    SPAN(GOOD_INVOCATION), JWT_CLAIM, false },
	{ "A15 no scope", CLAIM("\"sub\":\"acme\",\"jti\":\"t1\""), JWT_CLAIM,
	    false },
	{ "A15 a scope nobody knows",
	    CLAIM("\"sub\":\"acme\",\"jti\":\"t1\",\"scope\":\"root\""),
	    JWT_CLAIM, false },
	{ "A15 two scopes",
	    CLAIM("\"sub\":\"acme\",\"jti\":\"t1\","
		  "\"scope\":\"read write\""),
	    JWT_CLAIM, false },
	{ "A15 a list of scopes",
	    CLAIM("\"sub\":\"acme\",\"jti\":\"t1\",\"scope\":[\"read\"]"),
	    JWT_CLAIM, false },
	{ "A15 scope admin",
	    CLAIM("\"sub\":\"acme\",\"jti\":\"t1\",\"scope\":\"admin\""),
	    JWT_OK, false },
	{ "A15 an invocation of scope admin",
	    RUN("\"sub\":\"a/b\",\"scope\":\"admin\",\"depth\":0"), JWT_CLAIM,
	    true },
	{ "no subject", CLAIM("\"jti\":\"t1\",\"scope\":\"read\""), JWT_CLAIM,
	    false },
	{ "an empty subject",
	    CLAIM("\"sub\":\"\",\"jti\":\"t1\",\"scope\":\"read\""), JWT_CLAIM,
	    false },
	{ "a tenant that leads elsewhere",
	    CLAIM("\"sub\":\"..\",\"jti\":\"t1\",\"scope\":\"read\""),
	    JWT_CLAIM, false },
	{ "a tenant that begins with a dash",
	    CLAIM("\"sub\":\"-a\",\"jti\":\"t1\",\"scope\":\"read\""),
	    JWT_CLAIM, false },
	{ "a tenant in capitals",
	    CLAIM("\"sub\":\"Acme\",\"jti\":\"t1\",\"scope\":\"read\""),
	    JWT_CLAIM, false },
	{ "a tenant of 63",
	    CLAIM("\"sub\":\"" X63 "\",\"jti\":\"t1\",\"scope\":\"read\""),
	    JWT_OK, false },
	{ "a tenant of 64",
	    CLAIM("\"sub\":\"x" X63 "\",\"jti\":\"t1\",\"scope\":\"read\""),
	    JWT_CLAIM, false },
	{ "no token id", CLAIM("\"sub\":\"acme\",\"scope\":\"read\""),
	    JWT_CLAIM, false },
	{ "an empty token id",
	    CLAIM("\"sub\":\"acme\",\"jti\":\"\",\"scope\":\"read\""),
	    JWT_CLAIM, false },
	{ "an invocation without a function",
	    RUN("\"sub\":\"a\",\"scope\":\"read\",\"depth\":0"), JWT_CLAIM,
	    true },
	{ "an invocation of an empty function",
	    RUN("\"sub\":\"a/\",\"scope\":\"read\",\"depth\":0"), JWT_CLAIM,
	    true },
	{ "an invocation of a path",
	    RUN("\"sub\":\"a/b/c\",\"scope\":\"read\",\"depth\":0"), JWT_CLAIM,
	    true },
	{ "an invocation of 63 and 63",
	    RUN("\"sub\":\"" X63 "/" X63 "\",\"scope\":\"read\",\"depth\":0"),
	    JWT_OK, true },
	{ "an invocation of 63 and 64",
	    RUN("\"sub\":\"" X63 "/x" X63 "\",\"scope\":\"read\",\"depth\":0"),
	    JWT_CLAIM, true },
	{ "an invocation without depth",
	    RUN("\"sub\":\"a/b\",\"scope\":\"read\""), JWT_CLAIM, true },
	{ "an invocation at a depth that cannot be",
	    RUN("\"sub\":\"a/b\",\"scope\":\"read\",\"depth\":4294967296"),
	    JWT_CLAIM, true },
};

static void
test_payload(void **state)
{
	const struct payload *row = *state;
	struct span head =
	    row->invocation ? SPAN(INVOCATION_HEAD) : SPAN(ACCESS_HEAD);

	assert_int_equal(judge(sign(head, row->json, STRANGER)), JWT_SIGNATURE);
	assert_int_equal(judge(sign(head, row->json,
			     row->invocation ? INVOCATION : ACCESS)),
	    row->result);
}

/* ---- texts --------------------------------------------------------------- */

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

/* ---- what we write ------------------------------------------------------- */

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

#define TEST(sentence, name)                            \
	{                                               \
		sentence, test_##name, NULL, NULL, NULL \
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
	TEST("a token is signed as RFC 7515 says", as_signed),
	TEST("what is written is read", written_is_read),
	TEST("the longest claims fit", longest),
	TEST("what would be refused is not written", not_written),
	TEST("scopes have their names", scopes),
};

int
main(void)
{
	int failed;

	if (setup(NULL) != 0)
		return 1;
	failed = RUN_ROWS(heads, test_head) + RUN_ROWS(payloads, test_payload) +
	    cmocka_run_group_tests(others, NULL, NULL);
	teardown(NULL);
	return failed;
}
