/* SPDX-License-Identifier: MIT */
/* book.c - the book of access tokens: read strictly, written by rename, changed
 * as a copy. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "base/diag.h"
#include "base/fd.h"

#include "state/book.h"

#define FILE_NAME "book.json"
#define FILE_NEW FILE_NAME ".new"

enum {
	FILE_MOST = 16 * 1024 * 1024,
	FILE_VERSION = 1,
	REVOKED_LONGER_S = 7 * 24 * 3600, /* a clock that was ahead for a while
					   * lets no revocation be forgotten */
};

static const char *book_fault(const json_t *book);
static bool are_times(json_t *object);
static json_t *part(const json_t *book, const char *name);
static json_t *token_find(const json_t *book, struct span id);
static json_int_t token_ends(const json_t *book, const json_t *token);
static int list_row(struct buf *out, json_t *entry, json_int_t ends,
    bool revoked);
static json_int_t number_of(const json_t *object, const char *name);
static struct span text_of(const json_t *object, const char *name);

json_t *
book_new(const char *kid)
{
	return json_pack("{s:i, s:s, s:{}, s:[], s:{}}", "version",
	    FILE_VERSION, "current", kid, "keys", "tokens", "revoked");
}

json_t *
book_copy(const json_t *book, uint64_t now_s)
{
	json_t *copy = json_deep_copy(book), *tokens = part(copy, "tokens");
	json_t *revoked = part(copy, "revoked"), *until;
	json_int_t now = (json_int_t)now_s;
	const char *id;
	void *next;

	for (size_t i = json_array_size(tokens); i-- > 0;)
		if (number_of(json_array_get(tokens, i), "expires") <= now)
			json_array_remove(tokens, i);
	json_object_foreach_safe(revoked, next, id, until)
	{
		if (json_integer_value(until) + REVOKED_LONGER_S <= now)
			json_object_del(revoked, id);
	}
	return copy;
}

void
book_free(json_t **taken)
{
	json_decref(*taken);
	*taken = NULL;
}

/* ---- the file ------------------------------------------------------------ */

int
book_read(int vault, json_t **book, char why[VAULT_WHY])
{
	struct buf text;
	const char *fault;
	uint64_t bytes;
	ssize_t got = -1;
	char *to;
	int fd;

	*book = NULL;
	if (faccessat(vault, FILE_NAME, F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
	    errno == ENOENT)
		return 0;
	fd = vault_file(vault, FILE_NAME, 0600, &bytes, why);
	if (fd < 0)
		return -1;
	buf_init(&text, FILE_MOST);
	to = bytes > 0 ? buf_reserve(&text, bytes) : NULL;
	if (to)
		got = read(fd, to, bytes);
	fd_close(&fd);
	if (got > 0 && (uint64_t)got == bytes)
		*book = json_loadb(to, bytes, JSON_REJECT_DUPLICATES, NULL);
	buf_free(&text);
	fault = book_fault(*book);
	if (!fault)
		return 0;
	book_free(book);
	return vault_why(why,
	    "keys/" FILE_NAME ": %s; put back a copy of it, or remove keys/ "
	    "with all that is in it (no access token is good then)",
	    fault);
}

/* What is wrong with it, or NULL. All other functions rely on it. */
static const char *
book_fault(const json_t *book)
{
	json_t *tokens = json_object_get(book, "tokens"), *entry;
	static const char *const texts[] = { "id", "tenant", "scope", "prefix",
		"kid" };
	size_t i;

	if (!json_is_object(book))
		return "it is no JSON object";
	if (json_integer_value(json_object_get(book, "version")) !=
	    FILE_VERSION)
		return "it is of another version of fcgi-host";
	if (!jwt_kid_good(span_of(json_string_value(json_object_get(book,
		"current")))) ||
	    !json_is_object(json_object_get(book, "keys")) ||
	    !json_is_array(tokens) ||
	    !json_is_object(json_object_get(book, "revoked")))
		return "a part of it is missing";
	if (json_object_get(part(book, "keys"), book_current(book)))
		return "the key that signs has an end";
	if (!are_times(json_object_get(book, "keys")))
		return "the end of a key is no time";
	if (!are_times(json_object_get(book, "revoked")))
		return "the end of a revocation is no time";
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

static bool
are_times(json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		if (json_integer_value(value) <= 0)
			return false;
	}
	return true;
}

int
book_write(int vault, const json_t *book, char why[VAULT_WHY])
{
	char *text = json_dumps(book, JSON_INDENT(1) | JSON_SORT_KEYS);
	int result = 0;

	if (!text)
		return vault_why(why, "no memory to write the book of tokens");
	(void)unlinkat(vault, FILE_NEW, 0); /* of who did not finish */
	if (vault_put(vault, FILE_NEW, 0600, span_of(text)) != 0 ||
	    renameat(vault, FILE_NEW, vault, FILE_NAME) != 0 ||
	    fsync(vault) != 0)
		result = vault_why(why,
		    "keys/" FILE_NAME " cannot be written: %s", diag_errno());
	free(text);
	return result;
}

/* ---- what is in it ------------------------------------------------------- */

const char *
book_current(const json_t *book)
{
	return json_string_value(json_object_get(book, "current"));
}

uint64_t
book_key_until(const json_t *book, struct span kid)
{
	return (uint64_t)json_integer_value(json_object_getn(part(book, "keys"),
	    kid.data, kid.bytes));
}

bool
book_has(const json_t *book, struct span id)
{
	return token_find(book, id) != NULL;
}

bool
book_revoked(const json_t *book, struct span id)
{
	return json_object_getn(part(book, "revoked"), id.data, id.bytes) !=
	    NULL;
}

int
book_add(json_t *book, const struct jwt_claims *claims, char why[VAULT_WHY])
{
	json_t *token;

	if (json_array_size(part(book, "tokens")) >= BOOK_TOKENS_MOST)
		return vault_why(why,
		    "there are %d tokens that have not expired; a shorter ttl "
		    "makes them fewer",
		    BOOK_TOKENS_MOST);
	token = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "id",
	    claims->id, "tenant", claims->tenant, "scope",
	    jwt_scope_name(claims->scope), "prefix", claims->prefix, "kid",
	    claims->kid, "made", (json_int_t)claims->issued_s, "expires",
	    (json_int_t)claims->expires_s);
	if (json_array_append_new(part(book, "tokens"), token) != 0)
		return vault_why(why, "no memory for the token");
	return 0;
}

/* Kept until no token can be good that has this id. */
int
book_revoke(json_t *book, struct span id, uint64_t now_s, char why[VAULT_WHY])
{
	const json_t *token = token_find(book, id);
	json_int_t until = token ? number_of(token, "expires") :
				   (json_int_t)now_s + JWT_ACCESS_MOST_S;

	if (json_object_size(part(book, "revoked")) >= BOOK_REVOKED_MOST)
		return vault_why(why,
		    "%d tokens are revoked already; `token rotate --overlap 0` "
		    "ends all there are",
		    BOOK_REVOKED_MOST);
	if (json_object_setn_new(part(book, "revoked"), id.data, id.bytes,
		json_integer(until)) != 0)
		return vault_why(why, "no memory for the revocation");
	return 0;
}

int
book_replace(json_t *book, const char *kid, uint64_t until_s,
    char why[VAULT_WHY])
{
	json_int_t until = (json_int_t)until_s;
	const char *old;
	json_t *ends;

	json_object_foreach(part(book, "keys"), old, ends)
	{
		if (json_integer_value(ends) > until)
			json_integer_set(ends, until);
	}
	if (json_object_set_new(part(book, "keys"), book_current(book),
		json_integer(until)) != 0 ||
	    json_object_set_new(book, "current", json_string(kid)) != 0)
		return vault_why(why, "no memory for the key");
	return 0;
}

/* ---- listing ------------------------------------------------------------- */

int
book_list(const json_t *book, struct buf *out, struct span tenant,
    uint64_t now_s)
{
	json_t *revoked = part(book, "revoked"), *token, *until;
	json_int_t now = (json_int_t)now_s;
	const char *id;
	size_t i;
	int failed = 0;

	json_array_foreach(part(book, "tokens"), i, token)
	{
		json_int_t ends = token_ends(book, token);

		if (!failed && ends > now &&
		    (!tenant.data ||
			span_equal(tenant, text_of(token, "tenant"))))
			failed = list_row(out, token, ends,
			    book_revoked(book, text_of(token, "id")));
	}
	json_object_foreach(revoked, id, until)
	{
		if (failed || tenant.data || book_has(book, span_of(id)) ||
		    json_integer_value(until) <= now)
			continue;
		token = json_pack("{s:s}", "id", id);
		failed = list_row(out, token, json_integer_value(until), true);
		json_decref(token);
	}
	return failed;
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

/* By itself or with its key. */
static json_int_t
token_ends(const json_t *book, const json_t *token)
{
	json_int_t ends = number_of(token, "expires");
	json_int_t key_ends =
	    (json_int_t)book_key_until(book, text_of(token, "kid"));

	return key_ends != 0 && key_ends < ends ? key_ends : ends;
}

static json_t *
token_find(const json_t *book, struct span id)
{
	json_t *token;
	size_t i;

	json_array_foreach(part(book, "tokens"), i, token)
	{
		if (span_equal(text_of(token, "id"), id))
			return token;
	}
	return NULL;
}

static json_t *
part(const json_t *book, const char *name)
{
	return json_object_get(book, name);
}

static json_int_t
number_of(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static struct span
text_of(const json_t *object, const char *name)
{
	return span_of(json_string_value(json_object_get(object, name)));
}
