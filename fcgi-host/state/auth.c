/* SPDX-License-Identifier: MIT */
/* auth.c - who asks, from one header; and what he may, from what his token
 * says. Tokens that were found good are known for a while: who comes again is
 * found by all the bytes of his token, a tenth of the work of judging it. The
 * table's hash has a key of its own, so nothing is learned from how long a
 * guess takes. */
#include <stdlib.h>

#include "base/diag.h"
#include "base/map.h"

#include "state/auth.h"
#include "state/ring.h"

enum {
	KNOWN_MOST = 256,	/* the oldest gives way */
	KNOWN_TOKEN_MOST = 768, /* bytes: all but those of a long prefix */
};

struct known {
	struct map_node node; /* by token */
	struct access access;
	uint64_t until_s; /* it or its key ends then */
	char token[KNOWN_TOKEN_MOST];
};

struct auth {
	struct ring *ring;	    /* borrowed */
	struct jwt_key *invocation; /* ours, NULL until it came */
	uint64_t counts[AUTH_REFUSALS];
	struct map known;
	struct known *places; /* ours, KNOWN_MOST */
	size_t next;	      /* of them, to be taken */
	uint64_t generation;  /* of the ring they were judged by */
};

static enum auth_refusal auth_judge(struct auth *, const struct span *headers,
    size_t header_count, uint64_t now_s, struct access *);
static int bearer_token(struct span header, struct span *token);
static const struct known *known_find(struct auth *, struct span token,
    uint64_t now_s);
static void known_add(struct auth *, struct span token, const struct access *);
static void known_forget(struct auth *);
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
	auth->places = diag_alloc(KNOWN_MOST * sizeof(auth->places[0]));
	auth->generation = ring_generation(ring);
	map_init(&auth->known);
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
	map_free(&auth->known);
	explicit_bzero(auth->places, KNOWN_MOST * sizeof(auth->places[0]));
	free(auth->places);
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
	known_forget(auth);
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
	const struct known *known;
	size_t count = 0, other_count;
	struct access found;
	struct span token;
	enum jwt_refusal result;

	if (header_count != 1)
		return header_count == 0 ? AUTH_NONE : AUTH_SEVERAL;
	if (bearer_token(headers[0], &token) != 0)
		return AUTH_SCHEME;
	known = known_find(auth, token, now_s);
	if (known) {
		*access = known->access;
		return AUTH_OK;
	}
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
	known_add(auth, token, &found);
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

/* ---- tokens that were good ----------------------------------------------- */

static const struct known *
known_find(struct auth *auth, struct span token, uint64_t now_s)
{
	struct map_node *node;
	struct known *known;

	if (auth->generation != ring_generation(auth->ring)) {
		known_forget(auth);
		auth->generation = ring_generation(auth->ring);
	}
	node = map_find(&auth->known, token);
	if (!node)
		return NULL;
	known = MAP_OWNER(node, struct known, node);
	return now_s < known->until_s ? known : NULL;
}

/* One whose time was over at its last look is there still: it has no second
 * place, and none is needed. */
static void
known_add(struct auth *auth, struct span token, const struct access *access)
{
	struct known *known = &auth->places[auth->next];
	uint64_t key_until_s = 0;

	if (token.bytes > KNOWN_TOKEN_MOST || map_find(&auth->known, token))
		return;
	if (known->node.key.data)
		map_remove(&auth->known, &known->node);
	known->node.key = SPAN_NONE;
	memcpy(known->token, token.data, token.bytes);
	known->access = *access;
	known->until_s = access->claims.expires_s;
	if (access->claims.kind == JWT_ACCESS)
		key_until_s =
		    ring_until(auth->ring, span_of(access->claims.kid));
	if (key_until_s != 0 && key_until_s < known->until_s)
		known->until_s = key_until_s;
	if (map_add(&auth->known, &known->node,
		span_make(known->token, token.bytes)) == 0)
		auth->next = (auth->next + 1) % KNOWN_MOST;
}

static void
known_forget(struct auth *auth)
{
	for (size_t i = 0; i < KNOWN_MOST; i++) {
		struct known *known = &auth->places[i];

		if (known->node.key.data)
			map_remove(&auth->known, &known->node);
		known->node.key = SPAN_NONE;
	}
}

/* ---- what lasts ---------------------------------------------------------- */

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

/* ---- what may be done ---------------------------------------------------- */

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

/* Of a key, or of the beginning that many keys have in common: what is wider
 * than the token's prefix does not begin with it. */
static bool
in_prefix(const struct access *access, struct span key)
{
	return span_starts(key, span_of(access->claims.prefix));
}
