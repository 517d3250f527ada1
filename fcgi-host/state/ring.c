/* SPDX-License-Identifier: MIT */
/* ring.c - the keys of access tokens. A change makes a new book, writes it, and
 * only then lets it count. Replaced keys are deleted when their time is over:
 * nobody can use them then. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/random.h"
#include "wire/request_id.h"

#include "state/book.h"
#include "state/ring.h"
#include "state/vault.h"

#define KEY_END ".key"

enum {
	NAME_BYTES = JWT_KID_MOST + sizeof(KEY_END),
	KID_RANDOM = 6, /* bytes of a kid that we make, in hexadecimal */
	SECRET_BYTES = 48,
};

struct ring {
	int vault;			      /* ours */
	struct json_t *book;		      /* ours */
	struct jwt_key *keys[RING_KEYS_MOST]; /* ours; the first one signs */
	size_t key_count;
	uint64_t generation;
};

static const struct jwt_key *ring_find(const struct ring *, struct span kid);
static size_t keys_staying(const struct ring *, uint64_t overlap_s);
static int ring_take(struct ring *, struct json_t *book, char why[RING_WHY]);
static int claims_fill(struct jwt_claims *, struct span tenant,
    struct span prefix, char why[RING_WHY]);
static int ring_read(struct ring *, uint64_t now_s, char why[RING_WHY]);
static void ring_clear(struct ring *);
static int ring_first(struct ring *, char why[RING_WHY]);
static int read_keys(struct ring *, uint64_t now_s, char why[RING_WHY]);
static int read_key(struct ring *, const char *name, uint64_t now_s,
    char why[RING_WHY]);
static int make_key(const struct ring *, char kid[JWT_KID_MOST + 1],
    char why[RING_WHY]);
static bool is_key_name(const char *name, struct span *kid);

struct ring *
ring_open(int directory_fd, uint64_t now_s, char why[RING_WHY])
{
	struct ring *ring = diag_alloc(sizeof(*ring));

	ring->vault = vault_open(directory_fd, why);
	if (ring->vault < 0 || ring_read(ring, now_s, why) != 0)
		ring_free(&ring);
	return ring;
}

void
ring_free(struct ring **taken)
{
	struct ring *ring = *taken;

	if (!ring)
		return;
	*taken = NULL;
	ring_clear(ring);
	fd_close(&ring->vault);
	free(ring);
}

int
ring_reload(struct ring *ring, uint64_t now_s, char why[RING_WHY])
{
	struct ring fresh = { .vault = ring->vault,
		.generation = ring->generation + 1 };

	if (ring_read(&fresh, now_s, why) != 0) {
		ring_clear(&fresh);
		return -1;
	}
	ring_clear(ring);
	*ring = fresh;
	return 0;
}

uint64_t
ring_generation(const struct ring *ring)
{
	return ring->generation;
}

struct jwt_key *const *
ring_keys(const struct ring *ring, size_t *count)
{
	*count = ring->key_count;
	return ring->keys;
}

bool
ring_has(const struct ring *ring, struct span kid, uint64_t now_s)
{
	const struct jwt_key *key = ring_find(ring, kid);

	return key && (jwt_key_until(key) == 0 || now_s < jwt_key_until(key));
}

uint64_t
ring_until(const struct ring *ring, struct span kid)
{
	const struct jwt_key *key = ring_find(ring, kid);

	return key ? jwt_key_until(key) : 0;
}

bool
ring_revoked(const struct ring *ring, struct span id)
{
	return book_revoked(ring->book, id);
}

bool
ring_knows(const struct ring *ring, struct span id)
{
	return book_has(ring->book, id);
}

int
ring_list(const struct ring *ring, struct buf *out, struct span tenant,
    uint64_t now_s)
{
	return book_list(ring->book, out, tenant, now_s);
}

static const struct jwt_key *
ring_find(const struct ring *ring, struct span kid)
{
	for (size_t i = 0; i < ring->key_count; i++)
		if (span_equal(jwt_key_kid(ring->keys[i]), kid))
			return ring->keys[i];
	return NULL;
}

/* ---- changes ------------------------------------------------------------- */

int
ring_mint(struct ring *ring, struct buf *out, struct span tenant,
    enum jwt_scope scope, struct span prefix, uint64_t ttl_s, uint64_t now_s,
    char id[JWT_ID_MOST + 1], char why[RING_WHY])
{
	struct jwt_claims claims = { .kind = JWT_ACCESS,
		.scope = scope,
		.issued_s = now_s,
		.expires_s = now_s + ttl_s };
	struct json_t *book;
	struct buf token;
	int result;

	if (ttl_s == 0 || ttl_s > JWT_ACCESS_MOST_S)
		return vault_why(why,
		    "a token is good for 1 s at least and 366 days at most");
	if (claims_fill(&claims, tenant, prefix, why) != 0)
		return -1;
	snprintf(claims.kid, sizeof(claims.kid), "%.*s",
	    SPAN_ARGS(jwt_key_kid(ring->keys[0])));
	memcpy(id, claims.id, sizeof(claims.id));

	/* Minted first: what that would refuse must not get into the book. */
	buf_init(&token, JWT_MOST);
	if (jwt_mint(&token, ring->keys[0], &claims) != 0)
		result = vault_why(why,
		    "tenant or prefix is not of its form (tenant: letters, "
		    "digits, _ and -; prefix: UTF-8 without control "
		    "characters)");
	else {
		book = book_copy(ring->book, now_s);
		result = book_add(book, &claims, why);
		if (result == 0)
			result = ring_take(ring, book, why);
		else
			book_free(&book);
	}
	if (result == 0 && buf_put(out, buf_span(&token)) != 0)
		result = vault_why(why, "no room for the token");
	buf_free(&token);
	return result;
}

static int
claims_fill(struct jwt_claims *claims, struct span tenant, struct span prefix,
    char why[RING_WHY])
{
	uint8_t random[10];

	if (tenant.bytes > JWT_TENANT_MOST)
		return vault_why(why, "tenant is too long");
	if (prefix.bytes > JWT_PREFIX_MOST)
		return vault_why(why, "prefix is longer than %d bytes",
		    JWT_PREFIX_MOST);
	if (tenant.bytes > 0)
		memcpy(claims->tenant, tenant.data, tenant.bytes);
	if (prefix.bytes > 0)
		memcpy(claims->prefix, prefix.data, prefix.bytes);
	random_take(random, sizeof(random));
	request_id_make(claims->id, claims->issued_s * 1000, random);
	return 0;
}

int
ring_revoke(struct ring *ring, struct span id, uint64_t now_s,
    char why[RING_WHY])
{
	struct json_t *book;

	if (span_starts(id, SPAN("eyJ")) && span_find(id, '.') > 0)
		return vault_why(why,
		    "that is a token, and not its id; `token list` shows ids");
	if (!jwt_id_good(id))
		return vault_why(why,
		    "\"%.*s\" is no id of a token; `token list` shows them",
		    SPAN_ARGS(span_take(id, JWT_ID_MOST)));
	if (ring_revoked(ring, id))
		return 0;
	book = book_copy(ring->book, now_s);
	if (book_revoke(book, id, now_s, why) == 0)
		return ring_take(ring, book, why);
	book_free(&book);
	return -1;
}

int
ring_rotate(struct ring *ring, uint64_t overlap_s, uint64_t now_s,
    char kid[JWT_KID_MOST + 1], char why[RING_WHY])
{
	struct json_t *book;
	char name[NAME_BYTES];

	if (overlap_s > JWT_ACCESS_MOST_S)
		return vault_why(why, "overlap is 366 days at most");
	/* All files are read again behind it, so they must be good before. */
	if (ring_reload(ring, now_s, why) != 0)
		return -1;
	if (keys_staying(ring, overlap_s) >= RING_KEYS_MOST)
		return vault_why(why,
		    "there are %d keys; remove the files of old ones in "
		    "keys/, or wait until their time is over",
		    RING_KEYS_MOST);
	if (make_key(ring, kid, why) != 0)
		return -1;
	book = book_copy(ring->book, now_s);
	if (book_replace(book, kid, now_s + overlap_s, why) != 0)
		book_free(&book);
	else if (ring_take(ring, book, why) == 0)
		return ring_reload(ring, now_s, why);
	snprintf(name, sizeof(name), "%s" KEY_END, kid);
	(void)unlinkat(ring->vault, name, 0);
	return -1;
}

/* Without overlap only those that were put there by hand. */
static size_t
keys_staying(const struct ring *ring, uint64_t overlap_s)
{
	size_t count = ring->key_count;

	if (overlap_s > 0)
		return count;
	count = 0;
	for (size_t i = 1; i < ring->key_count; i++)
		count += jwt_key_until(ring->keys[i]) == 0;
	return count;
}

/* Takes the book, whatever comes of it: it counts when it is on the disk. */
static int
ring_take(struct ring *ring, struct json_t *book, char why[RING_WHY])
{
	if (book_write(ring->vault, book, why) != 0) {
		book_free(&book);
		return -1;
	}
	book_free(&ring->book);
	ring->book = book;
	ring->generation++;
	return 0;
}

/* ---- reading it all ------------------------------------------------------ */

/* The book first: it says which key signs, and when others end. */
static int
ring_read(struct ring *ring, uint64_t now_s, char why[RING_WHY])
{
	if (book_read(ring->vault, &ring->book, why) != 0)
		return -1;
	if (!ring->book && ring_first(ring, why) != 0)
		return -1;
	return read_keys(ring, now_s, why);
}

/* Nothing there yet: a key of our own, and an empty book that names it. */
static int
ring_first(struct ring *ring, char why[RING_WHY])
{
	char kid[JWT_KID_MOST + 1];
	struct json_t *book;

	if (make_key(ring, kid, why) != 0)
		return -1;
	book = book_new(kid);
	if (!book)
		return vault_why(why, "no memory for the book of tokens");
	return ring_take(ring, book, why);
}

static void
ring_clear(struct ring *ring)
{
	book_free(&ring->book);
	while (ring->key_count > 0)
		jwt_key_free(&ring->keys[--ring->key_count]);
}

/* The one that signs stands first. */
static int
read_keys(struct ring *ring, uint64_t now_s, char why[RING_WHY])
{
	char name[NAME_BYTES];
	int fd = openat(ring->vault, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct span kid;
	int result;

	if (!directory) {
		fd_close(&fd);
		return vault_why(why, "keys/ cannot be read: %s", diag_errno());
	}
	snprintf(name, sizeof(name), "%s" KEY_END, book_current(ring->book));
	result = read_key(ring, name, now_s, why);
	while (result == 0 && (entry = readdir(directory)) != NULL) {
		if (!span_ends(span_of(entry->d_name), SPAN(KEY_END)) ||
		    strcmp(entry->d_name, name) == 0)
			continue;
		if (!is_key_name(entry->d_name, &kid))
			result = vault_why(why,
			    "keys/%s: the name before .key must be 1 to %d "
			    "letters, digits, _ and -",
			    entry->d_name, JWT_KID_MOST);
		else
			result = read_key(ring, entry->d_name, now_s, why);
	}
	closedir(directory);
	return result;
}

static int
read_key(struct ring *ring, const char *name, uint64_t now_s,
    char why[RING_WHY])
{
	char secret[JWT_SECRET_MOST];
	struct jwt_key *key = NULL;
	struct span kid;
	uint64_t until_s, size;
	ssize_t bytes;
	int fd;

	if (!is_key_name(name, &kid))
		return vault_why(why, "%s is no name of a key", name);
	until_s = book_key_until(ring->book, kid);
	if (until_s != 0 && now_s >= until_s) {
		(void)unlinkat(ring->vault, name, 0); /* or next time */
		return 0;
	}
	fd = vault_file(ring->vault, name, 0400, &size, why);
	if (fd < 0)
		return -1;
	bytes = read(fd, secret, sizeof(secret));
	fd_close(&fd);
	if (size < JWT_SECRET_LEAST || size > JWT_SECRET_MOST)
		vault_why(why, "keys/%s has %ju bytes, must have %d to %d",
		    name, (uintmax_t)size, JWT_SECRET_LEAST, JWT_SECRET_MOST);
	else if (bytes < 0 || (uint64_t)bytes != size)
		vault_why(why, "keys/%s cannot be read: %s", name,
		    bytes < 0 ? diag_errno() : "it changes");
	else if (ring->key_count == RING_KEYS_MOST)
		vault_why(why, "keys/ has more than %d keys", RING_KEYS_MOST);
	else if (!(key = jwt_key_new(JWT_ACCESS, kid,
		       span_make(secret, (size_t)bytes), until_s)))
		vault_why(why, "no memory for keys/%s", name);
	explicit_bzero(secret, sizeof(secret));
	if (!key)
		return -1;
	ring->keys[ring->key_count++] = key;
	return 0;
}

static int
make_key(const struct ring *ring, char kid[JWT_KID_MOST + 1],
    char why[RING_WHY])
{
	uint8_t random[KID_RANDOM], secret[SECRET_BYTES];
	char name[NAME_BYTES];
	int result;

	random_take(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(kid + 2 * i, 3, "%02x", random[i]);
	snprintf(name, sizeof(name), "%s" KEY_END, kid);
	random_take(secret, sizeof(secret));
	result = vault_put(ring->vault, name, 0400,
	    span_make(secret, sizeof(secret)));
	explicit_bzero(secret, sizeof(secret));
	return result == 0 ?
	    0 :
	    vault_why(why, "keys/%s cannot be written: %s", name, diag_errno());
}

static bool
is_key_name(const char *name, struct span *kid)
{
	*kid = span_of(name);
	if (!span_ends(*kid, SPAN(KEY_END)))
		return false;
	kid->bytes -= sizeof(KEY_END) - 1;
	return jwt_kid_good(*kid);
}
