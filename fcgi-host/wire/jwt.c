/* SPDX-License-Identifier: MIT */
/* jwt.c - tokens written and judged. A token is judged from the outside in, so
 * that each step looks only at what the one before left no doubt about: size,
 * two dots, header, base 64, signature, and only then the JSON a holder of the
 * key wrote. The one place in the host that computes a MAC. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "wire/base64.h"
#include "wire/name.h"

#include "wire/jwt.h"

#define ISSUER "fcgi-host"
#define AUDIENCE "fn-state"
#define ALGORITHM "HS256"

enum {
	MAC_BYTES = 32,
	HEADER_MOST = 256,   /* bytes of a header in base 64 */
	PAYLOAD_MOST = 1536, /* of the longest we write: escapes in pfx */
};
#define NUMBER_MOST INT64_C(9007199254740991) /* exact in every JSON library */

struct jwt_key {
	enum jwt_kind kind;
	uint64_t until_s;
	char kid[JWT_KID_MOST + 1];
	EVP_MAC_CTX *mac;
	struct buf header; /* in base 64, as we issue it */
	struct buf text;   /* the token being made: its room is kept */
};

struct parts { /* of a token, all in base 64 */
	struct span header;
	struct span payload;
	struct span signature;
	struct span signed_text; /* header, dot, payload */
};

static const char *const types[] = {
	[JWT_INVOCATION] = "fn-inv+jwt",
	[JWT_ACCESS] = "fn-access+jwt",
};
static const char *const scopes[] = {
	[JWT_READ] = "read",
	[JWT_WRITE] = "write",
	[JWT_ADMIN] = "admin",
};
enum { SCOPES = sizeof(scopes) / sizeof(scopes[0]) };

static EVP_MAC_CTX *mac_new(struct span secret);
static int mac_of(struct jwt_key *, struct span text, uint8_t mac[MAC_BYTES]);
static int header_write(struct jwt_key *);
static bool claims_good(const struct jwt_claims *);
static bool lives_too_long(const struct jwt_claims *);
static int payload_write(char text[PAYLOAD_MOST], const struct jwt_claims *);
static int prefix_write(char *to, size_t room, const char *prefix);
static int parts_cut(struct span token, struct parts *);
static enum jwt_refusal find_key(struct span header,
    struct jwt_key *const *keys, size_t count, struct jwt_key **key);
static int header_read(struct span text, struct span *alg, struct span *kid,
    struct span *type);
static struct span header_string(struct span *rest);
static enum jwt_refusal payload_read(struct span json, enum jwt_kind,
    uint64_t now_s, struct jwt_claims *);
static enum jwt_refusal claims_read(const json_t *, struct jwt_claims *,
    uint64_t *not_before_s);
static bool take_text(const json_t *, const char *name, char *to, size_t room);
static bool take_number(const json_t *, const char *name, uint64_t *);
static bool is_text(const json_t *, const char *name, const char *wanted);
static bool name_good(struct span, size_t most, const char *more);
static bool prefix_good(struct span);

const char *
jwt_scope_name(enum jwt_scope scope)
{
	return scopes[scope];
}

int
jwt_scope_find(struct span name, enum jwt_scope *scope)
{
	for (unsigned i = 0; i < SCOPES; i++)
		if (span_equal(name, span_of(scopes[i]))) {
			*scope = (enum jwt_scope)i;
			return 0;
		}
	return -1;
}

bool
jwt_id_good(struct span id)
{
	return name_good(id, JWT_ID_MOST, "._-");
}

/* ---- keys ---------------------------------------------------------------- */

struct jwt_key *
jwt_key_new(enum jwt_kind kind, struct span kid, struct span secret,
    uint64_t until_s)
{
	struct jwt_key *key;

	if (secret.bytes < JWT_SECRET_LEAST || secret.bytes > JWT_SECRET_MOST ||
	    (kind == JWT_ACCESS ? !jwt_kid_good(kid) : kid.bytes > 0))
		return NULL;
	key = calloc(1, sizeof(*key));
	if (!key)
		return NULL;
	key->kind = kind;
	key->until_s = until_s;
	if (kid.bytes > 0)
		memcpy(key->kid, kid.data, kid.bytes);
	buf_init(&key->header, HEADER_MOST);
	buf_init(&key->text, JWT_MOST);
	key->mac = mac_new(secret);
	if (!key->mac || header_write(key) != 0 ||
	    !buf_reserve(&key->text, JWT_MOST))
		jwt_key_free(&key);
	return key;
}

void
jwt_key_free(struct jwt_key **taken)
{
	struct jwt_key *key = *taken;

	if (!key)
		return;
	*taken = NULL;
	EVP_MAC_CTX_free(key->mac);
	buf_free(&key->header);
	buf_free(&key->text);
	free(key);
}

bool
jwt_kid_good(struct span kid)
{
	return name_good(kid, JWT_KID_MOST, "_-");
}

struct span
jwt_key_kid(const struct jwt_key *key)
{
	return span_of(key->kid);
}

uint64_t
jwt_key_until(const struct jwt_key *key)
{
	return key->until_s;
}

static EVP_MAC_CTX *
mac_new(struct span secret)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
		    0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;

	EVP_MAC_free(hmac); /* the context holds it */
	if (mac &&
	    EVP_MAC_init(mac, (const unsigned char *)secret.data, secret.bytes,
		params) == 1)
		return mac;
	EVP_MAC_CTX_free(mac);
	return NULL;
}

/* The key's own schedule was done once; from there each text starts. */
static int
mac_of(struct jwt_key *key, struct span text, uint8_t mac[MAC_BYTES])
{
	size_t bytes = 0;

	if (EVP_MAC_init(key->mac, NULL, 0, NULL) != 1 ||
	    EVP_MAC_update(key->mac, (const unsigned char *)text.data,
		text.bytes) != 1 ||
	    EVP_MAC_final(key->mac, mac, &bytes, MAC_BYTES) != 1 ||
	    bytes != MAC_BYTES)
		return -1;
	return 0;
}

static int
header_write(struct jwt_key *key)
{
	char text[HEADER_MOST / 4 * 3];
	int bytes;

	bytes = snprintf(text, sizeof(text),
	    "{\"alg\":\"%s\"%s%s%s,\"typ\":\"%s\"}", ALGORITHM,
	    key->kid[0] ? ",\"kid\":\"" : "", key->kid, key->kid[0] ? "\"" : "",
	    types[key->kind]);
	return base64_put(&key->header, BASE64_URL,
	    span_make(text, (size_t)bytes));
}

/* ---- minting ------------------------------------------------------------- */

int
jwt_mint(struct buf *out, struct jwt_key *key, const struct jwt_claims *claims)
{
	char payload[PAYLOAD_MOST];
	struct buf *text = &key->text;
	uint8_t mac[MAC_BYTES];
	int bytes;

	if (claims->kind != key->kind || !claims_good(claims))
		return -1;
	bytes = payload_write(payload, claims);
	if (bytes < 0)
		return -1;
	buf_clear(text);
	if (buf_put(text, buf_span(&key->header)) != 0 ||
	    buf_put_byte(text, '.') != 0 ||
	    base64_put(text, BASE64_URL, span_make(payload, (size_t)bytes)) !=
		0 ||
	    mac_of(key, buf_span(text), mac) != 0 ||
	    buf_put_byte(text, '.') != 0 ||
	    base64_put(text, BASE64_URL, span_make(mac, sizeof(mac))) != 0)
		return -1;
	return buf_put(out, buf_span(text));
}

/* Also of what was read: a token that we would not write we do not take. */
static bool
claims_good(const struct jwt_claims *c)
{
	bool run = c->kind == JWT_INVOCATION;

	return name_is_tenant(span_of(c->tenant)) &&
	    (run ? name_is_function(span_of(c->function)) :
		   c->function[0] == '\0') &&
	    (run ? c->scope != JWT_ADMIN : c->depth == 0) &&
	    jwt_id_good(span_of(c->id)) && prefix_good(span_of(c->prefix)) &&
	    c->depth <= JWT_DEPTH_MOST && c->issued_s < c->expires_s &&
	    c->expires_s <= NUMBER_MOST && !lives_too_long(c);
}

static bool
lives_too_long(const struct jwt_claims *c)
{
	uint64_t most_s = c->kind == JWT_INVOCATION ? JWT_INVOCATION_MOST_S :
						      JWT_ACCESS_MOST_S;

	return c->expires_s > c->issued_s &&
	    c->expires_s - c->issued_s > most_s;
}

/* Names are of characters that stand for themselves in JSON. Returns bytes, or
 * -1. */
static int
payload_write(char text[PAYLOAD_MOST], const struct jwt_claims *c)
{
	bool invocation = c->kind == JWT_INVOCATION;
	int bytes, more;

	bytes = snprintf(text, PAYLOAD_MOST,
	    "{\"iss\":\"" ISSUER "\",\"aud\":\"" AUDIENCE "\","
	    "\"sub\":\"%s%s%s\",\"jti\":\"%s\",\"iat\":%" PRIu64
	    ",\"exp\":%" PRIu64 ",\"scope\":\"%s\"",
	    c->tenant, invocation ? "/" : "", c->function, c->id, c->issued_s,
	    c->expires_s, scopes[c->scope]);
	if (invocation)
		bytes += snprintf(text + bytes, PAYLOAD_MOST - (size_t)bytes,
		    ",\"depth\":%" PRIu32, c->depth);
	if (c->prefix[0]) {
		more = prefix_write(text + bytes, PAYLOAD_MOST - (size_t)bytes,
		    c->prefix);
		if (more < 0)
			return -1;
		bytes += more;
	}
	return bytes +
	    snprintf(text + bytes, PAYLOAD_MOST - (size_t)bytes, "}");
}

/* The one claim of any characters: escaped, and checked to be UTF-8, by who
 * reads it too. */
static int
prefix_write(char *to, size_t room, const char *prefix)
{
	json_t *value = json_string(prefix);
	char *text =
	    value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	int bytes = text ? snprintf(to, room, ",\"pfx\":%s", text) : -1;

	free(text);
	json_decref(value);
	return bytes;
}

/* ---- judging ------------------------------------------------------------- */

enum jwt_refusal
jwt_verify(struct span token, struct jwt_key *const *keys, size_t key_count,
    uint64_t now_s, struct jwt_claims *claims)
{
	struct buf payload, signature;
	struct jwt_claims found = { .depth = 0 };
	struct jwt_key *key = NULL;
	struct parts parts;
	uint8_t mac[MAC_BYTES];
	enum jwt_refusal result;

	if (token.bytes > JWT_MOST)
		return JWT_LONG;
	if (parts_cut(token, &parts) != 0)
		return JWT_FORM;
	result = find_key(parts.header, keys, key_count, &key);
	if (result != JWT_OK)
		return result;

	buf_init(&payload, JWT_MOST);
	buf_init(&signature, MAC_BYTES);
	if (base64_read(&payload, BASE64_URL, parts.payload) != 0 ||
	    base64_read(&signature, BASE64_URL, parts.signature) != 0)
		result = JWT_BASE64;
	else if (buf_bytes(&signature) != MAC_BYTES ||
	    mac_of(key, parts.signed_text, mac) != 0 ||
	    CRYPTO_memcmp(mac, buf_span(&signature).data, MAC_BYTES) != 0)
		result = JWT_SIGNATURE;
	else if (key->until_s != 0 && now_s >= key->until_s)
		result = JWT_KEY_ENDED;
	else
		result =
		    payload_read(buf_span(&payload), key->kind, now_s, &found);
	buf_free(&payload);
	buf_free(&signature);
	if (result == JWT_OK) {
		memcpy(found.kid, key->kid, sizeof(found.kid));
		*claims = found;
	}
	return result;
}

static int
parts_cut(struct span token, struct parts *parts)
{
	struct span rest = token;

	parts->header = span_cut(&rest, '.');
	parts->payload = span_cut(&rest, '.');
	parts->signature = rest; /* absent without a second dot */
	if (parts->header.bytes == 0 || parts->payload.bytes == 0 ||
	    parts->signature.bytes == 0 || span_find(rest, '.') >= 0)
		return -1;
	parts->signed_text =
	    span_take(token, parts->header.bytes + 1 + parts->payload.bytes);
	return 0;
}

/* A header that we issue needs no reading. Only keys that others may sign with
 * are looked up by what a header says, and then it is said in full: the
 * algorithm and the type that belong to the key. */
static enum jwt_refusal
find_key(struct span header, struct jwt_key *const *keys, size_t count,
    struct jwt_key **key)
{
	struct span alg, kid, type;
	enum jwt_refusal result = JWT_KEY;
	struct buf text;

	for (size_t i = 0; i < count; i++)
		if (span_equal(header, buf_span(&keys[i]->header))) {
			*key = keys[i];
			return JWT_OK;
		}
	buf_init(&text, HEADER_MOST / 4 * 3);
	if (base64_read(&text, BASE64_URL, header) != 0 ||
	    header_read(buf_span(&text), &alg, &kid, &type) != 0 ||
	    !span_equal(alg, SPAN(ALGORITHM)) ||
	    !span_equal(type, span_of(types[JWT_ACCESS])))
		result = JWT_HEADER;
	for (size_t i = 0; i < count && result == JWT_KEY; i++)
		if (keys[i]->kind == JWT_ACCESS &&
		    span_equal(kid, span_of(keys[i]->kid))) {
			*key = keys[i];
			result = JWT_OK;
		}
	buf_free(&text);
	return result;
}

static struct span
skip_blanks(struct span text)
{
	while (text.bytes > 0 && memchr(" \t\r\n", text.data[0], 4))
		text = span_skip(text, 1);
	return text;
}

/* Takes the character that must come next, and blanks on both sides. */
static bool
header_take(struct span *rest, char wanted)
{
	*rest = skip_blanks(*rest);
	if (rest->bytes == 0 || rest->data[0] != wanted)
		return false;
	*rest = skip_blanks(span_skip(*rest, 1));
	return true;
}

/* An object of alg, kid and typ, each once, in any order, each a string without
 * escapes: what a JSON library writes for them, and nothing that two readers
 * could understand differently. */
static int
header_read(struct span rest, struct span *alg, struct span *kid,
    struct span *type)
{
	*alg = *kid = *type = SPAN_NONE;
	if (!header_take(&rest, '{'))
		return -1;
	for (int member = 0; member < 3; member++) {
		struct span name = header_string(&rest), *value;

		value = span_equal(name, SPAN("alg")) ? alg :
		    span_equal(name, SPAN("kid"))     ? kid :
		    span_equal(name, SPAN("typ"))     ? type :
							NULL;
		if (!value || value->data || !header_take(&rest, ':'))
			return -1;
		*value = header_string(&rest);
		if (!value->data || !header_take(&rest, member < 2 ? ',' : '}'))
			return -1;
	}
	return rest.bytes == 0 ? 0 : -1;
}

/* What stands between the quotes at the front; SPAN_NONE when it is of other
 * characters than our own values. */
static struct span
header_string(struct span *rest)
{
	struct span text = span_skip(*rest, 1), value;

	if (rest->bytes == 0 || rest->data[0] != '"')
		return SPAN_NONE;
	value = span_cut(&text, '"');
	if (!text.data || !name_good(value, HEADER_MOST, "+_-"))
		return SPAN_NONE;
	*rest = text;
	return value;
}

/* ---- payload ------------------------------------------------------------- */

static enum jwt_refusal
payload_read(struct span text, enum jwt_kind kind, uint64_t now_s,
    struct jwt_claims *claims)
{
	json_t *json =
	    json_loadb(text.data, text.bytes, JSON_REJECT_DUPLICATES, NULL);
	enum jwt_refusal result = JWT_JSON;
	uint64_t not_before_s = 0;

	claims->kind = kind;
	if (json_is_object(json))
		result = claims_read(json, claims, &not_before_s);
	json_decref(json);
	if (result != JWT_OK)
		return result;
	if (claims->issued_s > now_s + JWT_EARLY_S ||
	    not_before_s > now_s + JWT_EARLY_S)
		return JWT_EARLY;
	return now_s >= claims->expires_s ? JWT_EXPIRED : JWT_OK;
}

static enum jwt_refusal
claims_read(const json_t *json, struct jwt_claims *c, uint64_t *not_before_s)
{
	char subject[sizeof(c->tenant) + sizeof(c->function)], scope[16];
	struct span tenant, function;
	bool invocation = c->kind == JWT_INVOCATION;
	uint64_t depth = 0;

	if (!is_text(json, "iss", ISSUER))
		return JWT_ISSUER;
	if (!is_text(json, "aud", AUDIENCE))
		return JWT_AUDIENCE;
	if (!take_text(json, "sub", subject, sizeof(subject)) ||
	    !take_text(json, "jti", c->id, sizeof(c->id)) ||
	    !take_text(json, "scope", scope, sizeof(scope)) ||
	    jwt_scope_find(span_of(scope), &c->scope) != 0 ||
	    !take_number(json, "iat", &c->issued_s) ||
	    !take_number(json, "exp", &c->expires_s) ||
	    (json_object_get(json, "pfx") &&
		!take_text(json, "pfx", c->prefix, sizeof(c->prefix))) ||
	    (json_object_get(json, "nbf") &&
		!take_number(json, "nbf", not_before_s)) ||
	    (invocation && !take_number(json, "depth", &depth)) ||
	    depth > JWT_DEPTH_MOST)
		return JWT_CLAIM;
	c->depth = (uint32_t)depth;
	function = span_of(subject);
	tenant = span_cut(&function, '/');
	if (tenant.bytes > JWT_TENANT_MOST ||
	    function.bytes > JWT_FUNCTION_MOST ||
	    (function.data != NULL) != invocation)
		return JWT_CLAIM;
	memcpy(c->tenant, tenant.data, tenant.bytes);
	if (invocation)
		memcpy(c->function, function.data, function.bytes);
	if (!claims_good(c))
		return lives_too_long(c) ? JWT_LIFETIME : JWT_CLAIM;
	return JWT_OK;
}

/* With its NUL; a string of JSON has none in it (jansson sees to that). */
static bool
take_text(const json_t *json, const char *name, char *to, size_t room)
{
	const json_t *value = json_object_get(json, name);
	size_t bytes = json_string_length(value);

	if (!json_is_string(value) || bytes >= room)
		return false;
	memcpy(to, json_string_value(value), bytes + 1);
	return true;
}

static bool
take_number(const json_t *json, const char *name, uint64_t *to)
{
	const json_t *value = json_object_get(json, name);
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 0 || number > NUMBER_MOST)
		return false;
	*to = (uint64_t)number;
	return true;
}

static bool
is_text(const json_t *json, const char *name, const char *wanted)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text && strcmp(text, wanted) == 0;
}

static bool
name_good(struct span name, size_t most, const char *more)
{
	for (size_t i = 0; i < name.bytes; i++) {
		char c = name.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') ||
			(c != '\0' && strchr(more, c) != NULL)))
			return false;
	}
	return name.bytes > 0 && name.bytes <= most;
}

static bool
prefix_good(struct span prefix)
{
	for (size_t i = 0; i < prefix.bytes; i++)
		if ((unsigned char)prefix.data[i] < 0x20 ||
		    prefix.data[i] == 0x7f)
			return false;
	return true;
}
