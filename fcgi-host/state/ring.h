/* SPDX-License-Identifier: MIT */
/* ring.h - the keys of access tokens, and the book about them, in files below
 * the state directory that only the state process reads:
 *
 *   keys/           0700
 *   keys/KID.key    a secret: 0400, every byte of it counts
 *   keys/book.json  which key signs; when replaced ones end; what was minted
 *                   (not the tokens themselves); what was revoked
 *
 * A file that is not exactly like that is refused with a sentence that names
 * it and the rule: at the start there is no ring then, later the ring is what
 * it was. A change is on the disk before it counts. */
#ifndef STATE_RING_H
#define STATE_RING_H

#include "base/buf.h"
#include "base/span.h"
#include "state/vault.h"
#include "wire/jwt.h"

enum {
	RING_WHY = VAULT_WHY, /* room for a sentence */
	RING_KEYS_MOST = 16,  /* files */
};

struct ring; /* opaque */

/* Makes directory, first key and book when there is none of them. NULL with the
 * sentence. directory_fd is borrowed. */
struct ring *ring_open(int directory_fd, uint64_t now_s, char why[RING_WHY]);
void ring_free(struct ring **); /* NULL is harmless */
/* Reads all files again. 0; -1 with the sentence: nothing has changed. */
int ring_reload(struct ring *, uint64_t now_s, char why[RING_WHY]);

/* Another number after each change: what was judged before may be otherwise. */
uint64_t ring_generation(const struct ring *);

/* Good until the next call that changes the ring. */
struct jwt_key *const *ring_keys(const struct ring *, size_t *count);
bool ring_has(const struct ring *, struct span kid, uint64_t now_s);
uint64_t ring_until(const struct ring *, struct span kid); /* 0: no end */
bool ring_revoked(const struct ring *, struct span id);
bool ring_knows(const struct ring *, struct span id); /* it is in the book */

/* What follows: 0, or -1 with the sentence and nothing changed. */

/* Appends a token of that tenant, scope and prefix to `out`; its id is in
 * `id`. */
int ring_mint(struct ring *, struct buf *out, struct span tenant,
    enum jwt_scope, struct span prefix, uint64_t ttl_s, uint64_t now_s,
    char id[JWT_ID_MOST + 1], char why[RING_WHY]);
/* Of a token minted here or by who else has a key. */
int ring_revoke(struct ring *, struct span id, uint64_t now_s,
    char why[RING_WHY]);
/* A new key signs from now on; tokens of those that signed before end with
 * their own time, or after overlap_s, whichever is first. Keys that somebody
 * put there stay. */
int ring_rotate(struct ring *, uint64_t overlap_s, uint64_t now_s,
    char kid[JWT_KID_MOST + 1], char why[RING_WHY]);

/* Appends one JSON object a line: {"id", "tenant", "scope", "prefix", "kid",
 * "made", "expires", "revoked"} of each token that has not expired (and of
 * that tenant, unless SPAN_NONE); a revoked one that is not in the book has no
 * more than id, expires and revoked. 0, or -1 when memory is out. */
int ring_list(const struct ring *, struct buf *out, struct span tenant,
    uint64_t now_s);

#endif
