/* SPDX-License-Identifier: MIT */
/* jwt.h - signed tokens: JWT in compact form, HS256 (RFC 7515, 7518, 7519; the
 * rules of RFC 8725). Two kinds that are told apart by `typ` and never stand
 * in for each other. Pure: time and keys are parameters. Not for several
 * threads at once with the same key.
 *
 * What is signed, in JSON:
 *   header   alg "HS256", typ "fn-inv+jwt" or "fn-access+jwt", kid (access)
 *   payload  iss "fcgi-host", aud "fn-state", sub "tenant/function" (run) or
 *            "tenant" (access), jti, iat, exp, scope "read", "write" or
 *            "admin" (access), depth (run), pfx and nbf (may be absent).
 *            Other claims are not looked at. */
#ifndef WIRE_JWT_H
#define WIRE_JWT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

enum jwt_kind {
	JWT_INVOCATION, /* minted by the gateway, for one run of a function */
	JWT_ACCESS,	/* for people and programs, with a key from a file */
};

enum jwt_scope { JWT_READ, JWT_WRITE, JWT_ADMIN }; /* each contains the last */
const char *jwt_scope_name(enum jwt_scope);
int jwt_scope_find(struct span name, enum jwt_scope *); /* 0 or -1 */
bool jwt_id_good(struct span); /* of the form that a jti must have */

enum {
	JWT_MOST = 2048,       /* bytes of a token */
	JWT_SECRET_LEAST = 32, /* bytes: what the hash has (RFC 7518 3.2) */
	JWT_SECRET_MOST = 1024,
	JWT_KID_MOST = 32,
	JWT_TENANT_MOST = 63,
	JWT_FUNCTION_MOST = 63, /* NAME_FUNCTION_MOST */
	JWT_ID_MOST = 64,
	JWT_PREFIX_MOST = 512,
	JWT_DEPTH_MOST = 1000,
	JWT_EARLY_S = 5, /* iat and nbf may be ahead of our clock so much; exp
			  * has no such leeway: what is over is over */
	JWT_INVOCATION_MOST_S = 24 * 3600, /* from iat to exp */
	JWT_ACCESS_MOST_S = 366 * 24 * 3600,
};

struct jwt_claims {
	enum jwt_kind kind;
	enum jwt_scope scope;
	uint32_t depth;	   /* calls above this one; invocation only */
	uint64_t issued_s; /* Unix seconds */
	uint64_t expires_s;
	char tenant[JWT_TENANT_MOST + 1];
	char function[JWT_FUNCTION_MOST + 1]; /* "" for access */
	char id[JWT_ID_MOST + 1];	      /* jti: [A-Za-z0-9._-]+ */
	char prefix[JWT_PREFIX_MOST + 1]; /* of keys; UTF-8, no control bytes */
	char kid[JWT_KID_MOST + 1]; /* of the key it was signed with, or "" */
};

/* ---- keys ---------------------------------------------------------------- */

struct jwt_key; /* opaque; what it was made from is not kept readable */

/* kid: [A-Za-z0-9_-], up to JWT_KID_MOST; absent for JWT_INVOCATION. until_s:
 * nothing is good after that time; 0: no end. NULL when kid or secret are not
 * of that form, or memory is out. */
struct jwt_key *jwt_key_new(enum jwt_kind, struct span kid, struct span secret,
    uint64_t until_s);
void jwt_key_free(struct jwt_key **); /* NULL is harmless */
bool jwt_kid_good(struct span);
struct span jwt_key_kid(const struct jwt_key *);
uint64_t jwt_key_until(const struct jwt_key *); /* 0: no end */

/* ---- tokens -------------------------------------------------------------- */

enum jwt_refusal {
	JWT_OK,
#define JWT_REFUSAL(NAME, name, sentence) JWT_##NAME,
#include "wire/jwt.def"
#undef JWT_REFUSAL
	JWT_REFUSALS
};

/* Appends the token. 0; -1 with nothing written: the claims would be refused,
 * are of another kind than the key, the buf is full, or memory is out. */
int jwt_mint(struct buf *, struct jwt_key *, const struct jwt_claims *);

/* *claims is set on JWT_OK only. No JSON of a stranger is parsed: the header is
 * compared, or read by a grammar of three plain members, and the payload's turn
 * comes when its signature was found good. */
enum jwt_refusal jwt_verify(struct span token, struct jwt_key *const *keys,
    size_t key_count, uint64_t now_s, struct jwt_claims *);

#endif
