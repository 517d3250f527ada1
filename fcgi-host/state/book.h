/* SPDX-License-Identifier: MIT */
/* book.h - what is known of access tokens: which key signs and when others
 * end, what was minted (not the tokens themselves), and what was revoked. A
 * JSON object in memory as in its file:
 *
 *   {"version": 1, "current": KID, "keys": {KID: until},
 *    "revoked": {ID: until}, "tokens": [{"id", "tenant", "scope", "prefix",
 *    "kid", "made", "expires"}]}
 *
 * A book that counts is not changed: a copy is, and takes its place when it is
 * on the disk. Times are Unix seconds. */
#ifndef STATE_BOOK_H
#define STATE_BOOK_H

#include "base/buf.h"
#include "state/vault.h"
#include "wire/jwt.h"

enum {
	BOOK_TOKENS_MOST = 10000, /* until they expire */
	BOOK_REVOKED_MOST = 10000,
};

struct json_t;

/* NULL: no memory. */
struct json_t *book_new(const char *kid);
/* Without what is over by now. */
struct json_t *book_copy(const struct json_t *, uint64_t now_s);
void book_free(struct json_t **); /* NULL is harmless */

/* 0, and *book is NULL when there is no file; -1 with the sentence: it is not
 * what book_write() writes. */
int book_read(int vault, struct json_t **book, char why[VAULT_WHY]);
int book_write(int vault, const struct json_t *, char why[VAULT_WHY]);

const char *book_current(const struct json_t
	*); /* name of the key that signs */
uint64_t book_key_until(const struct json_t *, struct span kid); /* 0: no end */
bool book_has(const struct json_t *, struct span id);
bool book_revoked(const struct json_t *, struct span id);

/* Changes of a copy: 0, or -1 with the sentence. */
int book_add(struct json_t *, const struct jwt_claims *, char why[VAULT_WHY]);
int book_revoke(struct json_t *, struct span id, uint64_t now_s,
    char why[VAULT_WHY]);
/* `kid` signs from now on; the one before ends then, and so do those before it
 * if they have not ended by then. */
int book_replace(struct json_t *, const char *kid, uint64_t until_s,
    char why[VAULT_WHY]);

/* Appends one object a line, as ring_list() has it: 0 or -1. */
int book_list(const struct json_t *, struct buf *, struct span tenant,
    uint64_t now_s);

#endif
