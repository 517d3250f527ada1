/* SPDX-License-Identifier: MIT */
/* ring.c - key files and the book. The book is a JSON object in memory as it is
 * on the disk; a change makes a new one, writes it, and only then lets it count.
 * Replaced keys are deleted when their time is over: nobody can use them then. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/random.h"
#include "wire/request_id.h"

#include "state/ring.h"

#define BOOK "book.json"
#define BOOK_NEW "book.json.new"
#define KEY_END ".key"

enum {
	BOOK_MOST = 16 * 1024 * 1024,
	NAME_BYTES = JWT_KID_MOST + sizeof(KEY_END),
	FIRST_VERSION = 1,
	KID_RANDOM = 6, /* bytes of a kid that we make, in hexadecimal */
	SECRET_BYTES = 48,
};

struct ring {
	int fd;	      /* keys/, ours */
	json_t *book; /* ours: {"current", "keys", "tokens", "revoked"} */
	struct jwt_key *keys[RING_KEYS_MOST]; /* ours */
	size_t key_count;
	uint64_t generation;
};

static int keys_directory(int directory_fd, char why[RING_WHY]);
static int ring_read(struct ring *, uint64_t now_s, char why[RING_WHY]);
static void ring_clear(struct ring *);
static int ring_first(struct ring *, char why[RING_WHY]);
static void make_kid(char kid[JWT_KID_MOST + 1]);
static int read_keys(struct ring *, uint64_t now_s, char why[RING_WHY]);
static int read_key(struct ring *, const char *name, uint64_t now_s,
    char why[RING_WHY]);
static int open_file(const struct ring *, const char *name, mode_t mode,
    struct stat *, char why[RING_WHY]);
static int write_key(const struct ring *, const char *kid, char why[RING_WHY]);
static int read_book(struct ring *, char why[RING_WHY]);
static const char *book_fault(const json_t *book);
static int write_book(struct ring *, json_t *taken, char why[RING_WHY]);
static int write_file(int fd, const char *name, mode_t mode, struct span);
static void book_forget(json_t *book, uint64_t now_s);
static json_t *token_entry(const struct jwt_claims *);
static json_t *token_find(const json_t *book, struct span id);
static int list_row(struct buf *out, json_t *entry, json_int_t ends,
    bool revoked);
static json_int_t token_ends(const struct ring *, const json_t *entry);
static bool is_key_name(const char *name, struct span *kid);
static json_int_t number_of(const json_t *object, const char *name);
static int explain(char why[RING_WHY], const char *, ...)
    __attribute__((format(printf, 2, 3)));

struct ring *
ring_open(int directory_fd, uint64_t now_s, char why[RING_WHY])
{
	struct ring *ring = diag_alloc(sizeof(*ring));

	ring->fd = keys_directory(directory_fd, why);
	if (ring->fd < 0 || ring_read(ring, now_s, why) != 0)
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
	fd_close(&ring->fd);
	free(ring);
}

int
ring_reload(struct ring *ring, uint64_t now_s, char why[RING_WHY])
{
	struct ring fresh = { .fd = ring->fd,
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
	for (size_t i = 0; i < ring->key_count; i++)
		if (span_equal(jwt_key_kid(ring->keys[i]), kid))
			return jwt_key_until(ring->keys[i]) == 0 ||
			    now_s < jwt_key_until(ring->keys[i]);
	return false;
}

uint64_t
ring_until(const struct ring *ring, struct span kid)
{
	for (size_t i = 0; i < ring->key_count; i++)
		if (span_equal(jwt_key_kid(ring->keys[i]), kid))
			return jwt_key_until(ring->keys[i]);
	return 0;
}

bool
ring_revoked(const struct ring *ring, struct span id)
{
	return json_object_getn(json_object_get(ring->book, "revoked"), id.data,
		   id.bytes) != NULL;
}

bool
ring_knows(const struct ring *ring, struct span id)
{
	return token_find(ring->book, id) != NULL;
}

/* ---- changes ---------------------------------------------------------------- */

int
ring_mint(struct ring *ring, struct buf *out, struct span tenant,
    enum jwt_scope scope, struct span prefix, uint64_t ttl_s, uint64_t now_s,
    char id[JWT_ID_MOST + 1], char why[RING_WHY])
{
	struct jwt_claims claims = { .kind = JWT_ACCESS,
		.scope = scope,
		.issued_s = now_s,
		.expires_s = now_s + ttl_s };
	struct jwt_key *key = ring->keys[0];
	uint8_t random[10];
	json_t *book, *tokens;
	struct buf token;
	int result;

	if (ttl_s == 0 || ttl_s > JWT_ACCESS_MOST_S)
		return explain(why,
		    "a token is good for 1 s at least and 366 days at most");
	if (tenant.bytes > JWT_TENANT_MOST || prefix.bytes > JWT_PREFIX_MOST)
		return explain(why, "%s is too long",
		    tenant.bytes > JWT_TENANT_MOST ? "tenant" : "prefix");
	if (tenant.bytes > 0)
		memcpy(claims.tenant, tenant.data, tenant.bytes);
	if (prefix.bytes > 0)
		memcpy(claims.prefix, prefix.data, prefix.bytes);
	random_take(random, sizeof(random));
	request_id_make(claims.id, now_s * 1000, random);

	book = json_deep_copy(ring->book);
	book_forget(book, now_s);
	tokens = json_object_get(book, "tokens");
	if (json_array_size(tokens) >= RING_TOKENS_MOST) {
		json_decref(book);
		return explain(why,
		    "there are %d tokens that have not expired; a shorter ttl "
		    "makes them fewer",
		    RING_TOKENS_MOST);
	}
	snprintf(claims.kid, sizeof(claims.kid), "%.*s",
	    SPAN_ARGS(jwt_key_kid(key)));
	if (json_array_append_new(tokens, token_entry(&claims)) != 0) {
		json_decref(book);
		return explain(why, "no memory for the token");
	}
	/* Mint first: what it would refuse must not get into the book. */
	buf_init(&token, JWT_MOST);
	if (jwt_mint(&token, key, &claims) != 0) {
		json_decref(book);
		result = explain(why,
		    "tenant or prefix is not of its form (tenant: letters, "
		    "digits, _ and -; prefix: UTF-8 without control "
		    "characters)");
	} else {
		result = write_book(ring, book, why);
	}
	if (result == 0 && buf_put(out, buf_span(&token)) != 0)
		result = explain(why, "no room for the token");
	buf_free(&token);
	memcpy(id, claims.id, sizeof(claims.id));
	return result;
}

int
ring_revoke(struct ring *ring, struct span id, uint64_t now_s,
    char why[RING_WHY])
{
	json_t *book, *revoked, *entry;
	json_int_t until = (json_int_t)now_s + JWT_ACCESS_MOST_S;

	if (!jwt_id_good(id))
		return explain(why,
		    "\"%.*s\" is no id of a token; `token list` shows them",
		    SPAN_ARGS(span_take(id, JWT_ID_MOST)));
	if (ring_revoked(ring, id))
		return 0;
	book = json_deep_copy(ring->book);
	book_forget(book, now_s);
	revoked = json_object_get(book, "revoked");
	entry = token_find(book, id);
	if (entry)
		until = number_of(entry, "expires");
	if (json_object_size(revoked) >= RING_REVOKED_MOST) {
		json_decref(book);
		return explain(why,
		    "%d tokens are revoked already; `token rotate --overlap 0` "
		    "ends all there are",
		    RING_REVOKED_MOST);
	}
	if (json_object_setn_new(revoked, id.data, id.bytes,
		json_integer(until)) != 0) {
		json_decref(book);
		return explain(why, "no memory for the revocation");
	}
	return write_book(ring, book, why);
}

int
ring_rotate(struct ring *ring, uint64_t overlap_s, uint64_t now_s,
    char kid[JWT_KID_MOST + 1], char why[RING_WHY])
{
	json_t *book, *keys;
	char name[NAME_BYTES];
	struct span old;

	if (overlap_s > JWT_ACCESS_MOST_S)
		return explain(why, "overlap is 366 days at most");
	/* All files are read again behind it, so they must be good before. */
	if (ring_reload(ring, now_s, why) != 0)
		return -1;
	if (ring->key_count >= RING_KEYS_MOST)
		return explain(why,
		    "there are %d keys; remove the files of old ones in "
		    "keys/, or wait until their time is over",
		    RING_KEYS_MOST);
	make_kid(kid);
	if (write_key(ring, kid, why) != 0)
		return -1;

	old = jwt_key_kid(ring->keys[0]);
	book = json_deep_copy(ring->book);
	book_forget(book, now_s);
	keys = json_object_get(book, "keys");
	if (json_object_setn_new(keys, old.data, old.bytes,
		json_integer((json_int_t)now_s + (json_int_t)overlap_s)) != 0 ||
	    json_object_set_new(book, "current", json_string(kid)) != 0) {
		json_decref(book);
		explain(why, "no memory for the key");
	} else if (write_book(ring, book, why) == 0) {
		return ring_reload(ring, now_s, why);
	}
	snprintf(name, sizeof(name), "%s" KEY_END, kid);
	(void)unlinkat(ring->fd, name, 0);
	return -1;
}

int
ring_list(const struct ring *ring, struct buf *out, struct span tenant,
    uint64_t now_s)
{
	json_t *revoked = json_object_get(ring->book, "revoked");
	json_t *entry, *value;
	const char *id;
	size_t i;

	json_array_foreach(json_object_get(ring->book, "tokens"), i, entry)
	{
		const char *of =
		    json_string_value(json_object_get(entry, "tenant"));
		json_int_t ends = token_ends(ring, entry);

		id = json_string_value(json_object_get(entry, "id"));
		if ((tenant.data && !span_equal(tenant, span_of(of))) ||
		    ends <= (json_int_t)now_s)
			continue;
		if (list_row(out, entry, ends,
			json_object_get(revoked, id) != NULL) != 0)
			return -1;
	}
	json_object_foreach(revoked, id, value)
	{
		int failed;

		if (tenant.data || token_find(ring->book, span_of(id)) ||
		    json_integer_value(value) <= (json_int_t)now_s)
			continue;
		entry = json_pack("{s:s}", "id", id);
		failed = list_row(out, entry, json_integer_value(value), true);
		json_decref(entry);
		if (failed)
			return -1;
	}
	return 0;
}

static int
list_row(struct buf *out, json_t *entry, json_int_t ends, bool revoked)
{
	json_t *row = json_copy(entry);
	char *text = NULL;
	int result = -1;

	if (json_object_set_new(row, "expires", json_integer(ends)) == 0 &&
	    json_object_set_new(row, "revoked", json_boolean(revoked)) == 0)
		text = json_dumps(row, JSON_COMPACT);
	if (text && buf_put_string(out, text) == 0 &&
	    buf_put_byte(out, '\n') == 0)
		result = 0;
	free(text);
	json_decref(row);
	return result;
}

/* By itself or with its key; 0 when that is gone. */
static json_int_t
token_ends(const struct ring *ring, const json_t *entry)
{
	json_int_t ends = number_of(entry, "expires"), key_ends;
	struct span kid =
	    span_of(json_string_value(json_object_get(entry, "kid")));

	for (size_t i = 0; i < ring->key_count; i++) {
		if (!span_equal(jwt_key_kid(ring->keys[i]), kid))
			continue;
		key_ends = (json_int_t)jwt_key_until(ring->keys[i]);
		return key_ends != 0 && key_ends < ends ? key_ends : ends;
	}
	return 0;
}

/* ---- reading it all ------------------------------------------------------------ */

static int
keys_directory(int directory_fd, char why[RING_WHY])
{
	struct stat is;
	int fd;

	if (mkdirat(directory_fd, "keys", 0700) != 0 && errno != EEXIST) {
		explain(why, "keys/ cannot be made: %s", diag_errno());
		return -1;
	}
	fd = openat(directory_fd, "keys",
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &is) != 0) {
		explain(why, "keys/ cannot be opened: %s", diag_errno());
	} else if (is.st_uid != geteuid() || (is.st_mode & 077) != 0) {
		explain(why,
		    "keys/ belongs to user %u with mode %04o, must belong to "
		    "%u, mode 0700",
		    is.st_uid, is.st_mode & 07777, geteuid());
		fd_close(&fd);
	}
	return fd;
}

/* The book first: it says which key signs, and when others end. */
static int
ring_read(struct ring *ring, uint64_t now_s, char why[RING_WHY])
{
	if (read_book(ring, why) != 0)
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
	json_t *book;

	make_kid(kid);
	if (write_key(ring, kid, why) != 0)
		return -1;
	book = json_pack("{s:i, s:s, s:{}, s:[], s:{}}", "version",
	    FIRST_VERSION, "current", kid, "keys", "tokens", "revoked");
	if (!book)
		return explain(why, "no memory for the book of tokens");
	return write_book(ring, book, why);
}

static void
make_kid(char kid[JWT_KID_MOST + 1])
{
	uint8_t random[KID_RANDOM];

	random_take(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(kid + 2 * i, 3, "%02x", random[i]);
}

static void
ring_clear(struct ring *ring)
{
	json_decref(ring->book);
	ring->book = NULL;
	while (ring->key_count > 0)
		jwt_key_free(&ring->keys[--ring->key_count]);
}

/* The one that signs stands first. */
static int
read_keys(struct ring *ring, uint64_t now_s, char why[RING_WHY])
{
	const char *current =
	    json_string_value(json_object_get(ring->book, "current"));
	char name[NAME_BYTES];
	int fd = openat(ring->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct span kid;
	int result;

	if (!directory) {
		fd_close(&fd);
		return explain(why, "keys/ cannot be read: %s", diag_errno());
	}
	snprintf(name, sizeof(name), "%s" KEY_END, current);
	result = read_key(ring, name, now_s, why);
	while (result == 0 && (entry = readdir(directory)) != NULL) {
		if (!span_ends(span_of(entry->d_name), SPAN(KEY_END)) ||
		    strcmp(entry->d_name, name) == 0)
			continue;
		if (!is_key_name(entry->d_name, &kid))
			result = explain(why,
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
	struct stat is;
	uint64_t until_s;
	ssize_t bytes;
	int fd;

	if (!is_key_name(name, &kid))
		return explain(why,
		    "keys/" BOOK ": current is no name of a key");
	until_s = (uint64_t)json_integer_value(json_object_getn(
	    json_object_get(ring->book, "keys"), kid.data, kid.bytes));
	if (until_s != 0 && now_s >= until_s) {
		(void)unlinkat(ring->fd, name, 0); /* tried again next time */
		return 0;
	}
	fd = open_file(ring, name, 0400, &is, why);
	if (fd < 0)
		return -1;
	bytes = read(fd, secret, sizeof(secret));
	fd_close(&fd);
	if (is.st_size < JWT_SECRET_LEAST || is.st_size > JWT_SECRET_MOST)
		explain(why, "keys/%s has %jd bytes, must have %d to %d", name,
		    (intmax_t)is.st_size, JWT_SECRET_LEAST, JWT_SECRET_MOST);
	else if (bytes != is.st_size)
		explain(why, "keys/%s cannot be read: %s", name,
		    bytes < 0 ? diag_errno() : "it changes");
	else if (ring->key_count == RING_KEYS_MOST)
		explain(why, "keys/ has more than %d keys", RING_KEYS_MOST);
	else
		key = jwt_key_new(JWT_ACCESS, kid,
		    span_make(secret, (size_t)bytes), until_s);
	explicit_bzero(secret, sizeof(secret));
	if (!key)
		return -1;
	ring->keys[ring->key_count++] = key;
	return 0;
}

/* Ours, a plain file, and nobody else can have written (0600) or read it. */
static int
open_file(const struct ring *ring, const char *name, mode_t mode,
    struct stat *is, char why[RING_WHY])
{
	int fd = openat(ring->fd, name,
	    O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		explain(why, "keys/%s cannot be opened: %s", name,
		    errno == ELOOP ? "it is a symbolic link" : diag_errno());
	else if (fstat(fd, is) != 0)
		explain(why, "keys/%s: %s", name, diag_errno());
	else if (!S_ISREG(is->st_mode))
		explain(why, "keys/%s is no regular file", name);
	else if (is->st_uid != geteuid())
		explain(why, "keys/%s belongs to user %u, must belong to %u",
		    name, is->st_uid, geteuid());
	else if ((is->st_mode & 07777) != mode)
		explain(why, "keys/%s has mode %04o, must have %04o", name,
		    is->st_mode & 07777, mode);
	else
		return fd;
	fd_close(&fd);
	return -1;
}

static int
write_key(const struct ring *ring, const char *kid, char why[RING_WHY])
{
	uint8_t secret[SECRET_BYTES];
	char name[NAME_BYTES];
	int result;

	random_take(secret, sizeof(secret));
	snprintf(name, sizeof(name), "%s" KEY_END, kid);
	result =
	    write_file(ring->fd, name, 0400, span_make(secret, sizeof(secret)));
	explicit_bzero(secret, sizeof(secret));
	return result == 0 ?
	    0 :
	    explain(why, "keys/%s cannot be written: %s", name, diag_errno());
}

/* ---- the book -------------------------------------------------------------------- */

static int
read_book(struct ring *ring, char why[RING_WHY])
{
	struct buf text;
	struct stat is;
	const char *fault;
	char *to;
	ssize_t bytes = -1;
	int fd;

	if (faccessat(ring->fd, BOOK, F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
	    errno == ENOENT)
		return 0;
	fd = open_file(ring, BOOK, 0600, &is, why);
	if (fd < 0)
		return -1;
	buf_init(&text, BOOK_MOST);
	to = is.st_size > 0 ? buf_reserve(&text, (size_t)is.st_size) : NULL;
	if (to)
		bytes = read(fd, to, (size_t)is.st_size);
	fd_close(&fd);
	if (bytes == is.st_size)
		ring->book =
		    json_loadb(to, (size_t)bytes, JSON_REJECT_DUPLICATES, NULL);
	buf_free(&text);
	fault = book_fault(ring->book);
	if (!fault)
		return 0;
	return explain(why,
	    "keys/" BOOK ": %s; put back a copy of it, or remove keys/ with "
	    "all that is in it (no access token is good then)",
	    fault);
}

/* What is wrong with it, or NULL. The functions above rely on this. */
static const char *
book_fault(const json_t *book)
{
	json_t *tokens = json_object_get(book, "tokens"), *entry, *value;
	static const char *const texts[] = { "id", "tenant", "scope", "prefix",
		"kid" };
	const char *name;
	size_t i;

	if (!json_is_object(book))
		return "it is no JSON object";
	if (json_integer_value(json_object_get(book, "version")) !=
	    FIRST_VERSION)
		return "it is of another version of fcgi-host";
	if (!jwt_kid_good(span_of(json_string_value(json_object_get(book,
		"current")))) ||
	    !json_is_object(json_object_get(book, "keys")) ||
	    !json_is_array(tokens) ||
	    !json_is_object(json_object_get(book, "revoked")))
		return "a part of it is missing";
	json_object_foreach(json_object_get(book, "keys"), name,
	    value) if (json_integer_value(value) <=
	    0) return "the end of a key is no time";
	json_object_foreach(json_object_get(book, "revoked"), name,
	    value) if (json_integer_value(value) <=
	    0) return "the end of a revocation is no time";
	json_array_foreach(tokens, i, entry)
	{
		for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++)
			if (!json_is_string(json_object_get(entry, texts[t])))
				return "a token's entry is not whole";
		if (number_of(entry, "made") <= 0 ||
		    number_of(entry, "expires") <= 0)
			return "a token's entry has no times";
	}
	return NULL;
}

/* Takes the book, whatever comes of it. */
static int
write_book(struct ring *ring, json_t *book, char why[RING_WHY])
{
	char *text = json_dumps(book, JSON_INDENT(1) | JSON_SORT_KEYS);

	if (!text) {
		json_decref(book);
		return explain(why, "no memory to write the book of tokens");
	}
	(void)unlinkat(ring->fd, BOOK_NEW, 0);
	if (write_file(ring->fd, BOOK_NEW, 0600, span_of(text)) != 0 ||
	    renameat(ring->fd, BOOK_NEW, ring->fd, BOOK) != 0 ||
	    fsync(ring->fd) != 0) {
		explain(why, "keys/" BOOK " cannot be written: %s",
		    diag_errno());
		free(text);
		json_decref(book);
		return -1;
	}
	free(text);
	json_decref(ring->book);
	ring->book = book;
	ring->generation++;
	return 0;
}

/* A new file, whole and on the disk, or none. */
static int
write_file(int directory, const char *name, mode_t mode, struct span bytes)
{
	int fd = openat(directory, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	int error;

	if (fd < 0)
		return -1;
	if (fchmod(fd, mode) == 0 && fd_write_all(fd, bytes) == 0 &&
	    fsync(fd) == 0 && fsync(directory) == 0) {
		fd_close(&fd);
		return 0;
	}
	error = errno;
	fd_close(&fd);
	(void)unlinkat(directory, name, 0);
	errno = error;
	return -1;
}

/* What is over by itself. */
static void
book_forget(json_t *book, uint64_t now_s)
{
	json_t *tokens = json_object_get(book, "tokens"), *value;
	const char *name;
	void *next;

	for (size_t i = json_array_size(tokens); i-- > 0;)
		if (number_of(json_array_get(tokens, i), "expires") <=
		    (json_int_t)now_s)
			json_array_remove(tokens, i);
	json_object_foreach_safe(json_object_get(book, "revoked"), next, name,
	    value) if (json_integer_value(value) <= (json_int_t)now_s)
	    json_object_del(json_object_get(book, "revoked"), name);
}

static json_t *
token_entry(const struct jwt_claims *claims)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "id",
	    claims->id, "tenant", claims->tenant, "scope",
	    jwt_scope_name(claims->scope), "prefix", claims->prefix, "kid",
	    claims->kid, "made", (json_int_t)claims->issued_s, "expires",
	    (json_int_t)claims->expires_s);
}

static json_t *
token_find(const json_t *book, struct span id)
{
	json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(book, "tokens"), i, entry) if (
	    span_equal(span_of(json_string_value(json_object_get(entry, "id"))),
		id)) return entry;
	return NULL;
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

static json_int_t
number_of(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static int
explain(char why[RING_WHY], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, RING_WHY, format, args);
	va_end(args);
	return -1;
}
