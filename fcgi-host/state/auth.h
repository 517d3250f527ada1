/* SPDX-License-Identifier: MIT */
/* auth.h - from the Authorization header of a request to what it may do, or to
 * the reason why nothing. Knows tokens, keys and revocations; knows no route:
 * the API asks the functions at the end, which are pure.
 *
 * Outside every refusal is one and the same 401; reason and token never go out
 * together, and a token goes nowhere at all: not into a log, a metric or an
 * error body. */
#ifndef STATE_AUTH_H
#define STATE_AUTH_H

#include "base/span.h"
#include "wire/jwt.h"

/* JWT_OK to the last of enum jwt_refusal have the same numbers here. */
enum auth_refusal {
	AUTH_OK,
#define JWT_REFUSAL(NAME, name, sentence) AUTH_JWT_##NAME,
#include "wire/jwt.def"
#undef JWT_REFUSAL
#define AUTH_REFUSAL(NAME, name, sentence) AUTH_##NAME,
#include "state/auth.def"
#undef AUTH_REFUSAL
	AUTH_REFUSALS
};
const char *auth_refusal_name(enum auth_refusal);  /* for metrics */
const char *auth_refusal_words(enum auth_refusal); /* for the log */

struct access {
	struct jwt_claims claims; /* tenant, function, id, expires_s, ... */
};

struct auth; /* opaque */
struct ring;

/* Keys and revocations are the ring's, which is borrowed and outlives us. */
struct auth *auth_new(struct ring *);
void auth_free(struct auth **);

/* The key of invocation tokens, which master made: of JWT_SECRET_LEAST bytes at
 * least. Until it came no invocation token is good. 0 or -1. */
int auth_invocation_key(struct auth *, struct span secret);

/* All values of HTTP_AUTHORIZATION that came, as they came. *access is set on
 * AUTH_OK only. Counts. */
enum auth_refusal auth_check(struct auth *, const struct span *headers,
    size_t header_count, uint64_t now_s, struct access *);

/* Is what was good still good? For what lasts long, such as a watch. */
bool auth_stands(const struct auth *, const struct access *, uint64_t now_s);

/* How often each was the answer, AUTH_OK too. */
uint64_t auth_count(const struct auth *, enum auth_refusal);

/* ---- what may be done: pure, false is 403 -------------------------------- */

bool access_may_read(const struct access *, struct span key);
bool access_may_write(const struct access *, struct span key);
/* All keys that begin with `prefix` (absent is empty): for listing, watching
 * and deleting many. A range (start, end) needs a prefix beside it when the
 * token has one. */
bool access_may_read_all(const struct access *, struct span prefix);
bool access_may_write_all(const struct access *, struct span prefix);
/* What concerns the tenant as a whole: export, import. Never an invocation. */
bool access_may_admin(const struct access *);

#endif
