/* SPDX-License-Identifier: MIT */
/* auth.c - who asks, from one header; and what he may, from what his token
 * says. */
#include <stdlib.h>

#include "base/diag.h"

#include "state/auth.h"
#include "state/ring.h"

struct auth {
	struct ring *ring;	    /* borrowed */
	struct jwt_key *invocation; /* ours, NULL until it came */
	uint64_t counts[AUTH_REFUSALS];
};

static enum auth_refusal auth_judge(struct auth *, const struct span *headers,
    size_t header_count, uint64_t now_s, struct access *);
static int bearer_token(struct span header, struct span *token);
static bool in_prefix(const struct access *, struct span);

/* clang-format off */
static const struct {
	const char *name;
	const char *words;
} refusals[AUTH_REFUSALS] = {
	[AUTH_OK] = { "ok", "it is good" },
#define JWT_REFUSAL(NAME, name, sentence) [AUTH_JWT_##NAME] = { name, sentence },
#include "wire/jwt.def"
#undef JWT_REFUSAL
#define AUTH_REFUSAL(NAME, name, sentence) [AUTH_##NAME] = { name, sentence },
#include "state/auth.def"
#undef AUTH_REFUSAL
};
/* clang-format on */

const char *
auth_refusal_name(enum auth_refusal refusal)
{
	return refusals[refusal].name;
}

const char *
auth_refusal_words(enum auth_refusal refusal)
{
	return refusals[refusal].words;
}

struct auth *
auth_new(struct ring *ring)
{
	struct auth *auth = diag_alloc(sizeof(*auth));

	auth->ring = ring;
	return auth;
}

void
auth_free(struct auth **taken)
{
	struct auth *auth = *taken;

	if (!auth)
		return;
	*taken = NULL;
	jwt_key_free(&auth->invocation);
	free(auth);
}

int
auth_invocation_key(struct auth *auth, struct span secret)
{
	struct jwt_key *key = jwt_key_new(JWT_INVOCATION, SPAN_NONE, secret, 0);

	if (!key)
		return -1;
	jwt_key_free(&auth->invocation);
	auth->invocation = key;
	return 0;
}

enum auth_refusal
auth_check(struct auth *auth, const struct span *headers, size_t header_count,
    uint64_t now_s, struct access *access)
{
	enum auth_refusal result =
	    auth_judge(auth, headers, header_count, now_s, access);

	auth->counts[result]++;
	return result;
}

uint64_t
auth_count(const struct auth *auth, enum auth_refusal refusal)
{
	return auth->counts[refusal];
}

static enum auth_refusal
auth_judge(struct auth *auth, const struct span *headers, size_t header_count,
    uint64_t now_s, struct access *access)
{
	struct jwt_key *keys[1 + RING_KEYS_MOST];
	struct jwt_key *const *others;
	size_t count = 0, other_count;
	struct access found;
	struct span token;
	enum jwt_refusal result;

	if (header_count != 1)
		return header_count == 0 ? AUTH_NONE : AUTH_SEVERAL;
	if (bearer_token(headers[0], &token) != 0)
		return AUTH_SCHEME;
	if (auth->invocation)
		keys[count++] = auth->invocation; /* first: most are its */
	others = ring_keys(auth->ring, &other_count);
	for (size_t i = 0; i < other_count; i++)
		keys[count++] = others[i];
	result = jwt_verify(token, keys, count, now_s, &found.claims);
	if (result != JWT_OK)
		return (enum auth_refusal)result;
	if (found.claims.kind == JWT_ACCESS &&
	    ring_revoked(auth->ring, span_of(found.claims.id)))
		return AUTH_REVOKED;
	*access = found;
	return AUTH_OK;
}

/* RFC 6750 section 2.1, RFC 9110 section 11.4: the scheme in any case, blanks,
 * the token; what a token may be made of is not our question. */
static int
bearer_token(struct span header, struct span *token)
{
	static const struct span scheme = SPAN("Bearer ");

	if (!span_starts_nocase(header, scheme))
		return -1;
	*token = span_skip(header, scheme.bytes);
	while (token->bytes > 0 && token->data[0] == ' ')
		*token = span_skip(*token, 1);
	return token->bytes > 0 ? 0 : -1;
}

bool
auth_stands(const struct auth *auth, const struct access *access,
    uint64_t now_s)
{
	const struct jwt_claims *claims = &access->claims;

	if (now_s >= claims->expires_s)
		return false;
	return claims->kind == JWT_INVOCATION ||
	    (!ring_revoked(auth->ring, span_of(claims->id)) &&
		ring_has(auth->ring, span_of(claims->kid), now_s));
}

/* ---- what may be done -------------------------------------------------------- */

bool
access_may_read(const struct access *access, struct span key)
{
	return access->claims.scope >= JWT_READ && in_prefix(access, key);
}

bool
access_may_write(const struct access *access, struct span key)
{
	return access->claims.scope >= JWT_WRITE && in_prefix(access, key);
}

bool
access_may_read_all(const struct access *access, struct span prefix)
{
	return access_may_read(access, prefix);
}

bool
access_may_write_all(const struct access *access, struct span prefix)
{
	return access_may_write(access, prefix);
}

bool
access_may_admin(const struct access *access)
{
	return access->claims.kind == JWT_ACCESS &&
	    access->claims.scope >= JWT_ADMIN &&
	    access->claims.prefix[0] == '\0';
}

/* Of a key, or of the beginning that many keys have in common: what is wider than
 * the token's prefix does not begin with it. */
static bool
in_prefix(const struct access *access, struct span key)
{
	return span_starts(key, span_of(access->claims.prefix));
}
