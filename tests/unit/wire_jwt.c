/* SPDX-License-Identifier: MIT */
/* If this fails, a token that nobody of this host signed may open a tenant's
 * state, or a good one does not. The names A1 to A19 are the attack list. */
#include "jwt_keys.h"

/* ---- headers ------------------------------------------------------------- */

struct head {
	const char *sentence;
	const char *head;
	enum jwt_refusal result;
	const char *secret; /* NULL: ACCESS */
};

#define ALG(alg) "{\"alg\":" alg ",\"kid\":\"k1\",\"typ\":\"fn-access+jwt\"}"
#define TYP(typ) "{\"alg\":\"HS256\",\"kid\":\"k1\",\"typ\":" typ "}"
#define MORE(member)                                                          \
	"{\"alg\":\"HS256\",\"kid\":\"k1\",\"typ\":\"fn-access+jwt\"," member \
	"}"
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

int
main(void)
{
	int failed;

	if (setup(NULL) != 0)
		return 1;
	failed = RUN_ROWS(heads, test_head) + RUN_ROWS(payloads, test_payload);
	teardown(NULL);
	return failed;
}
