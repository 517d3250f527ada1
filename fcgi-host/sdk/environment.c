/* SPDX-License-Identifier: MIT */
/* environment.c - the variables of a process that a template makes: its request's,
 * as an executed one has them, and then what fn_init() did, as if it had done it
 * there. What that did is known by the addresses: libc leaves the words that the
 * process began with where they are, and puts others in their place. */

#include <stdlib.h>
#include <unistd.h>

#include "wire/template.h"

#include "sdk/handler.h"

struct words {
	char **list; /* ours, of words that are not */
	size_t count;
};

static struct words before; /* as the template began */
static struct words set;    /* fn_init() has put them there */
static struct words gone;   /* of `before`: it has taken away that name */
static struct words now;    /* of a made process, room for all */

static struct words words_of(char **);
static int words_room(struct words *, size_t);
static bool words_have(const struct words *, const char *word);
static char *words_find(const struct words *, const char *word);
static bool same_name(const char *, const char *);

int
environment_note(void)
{
	const struct words all = words_of(environ);

	if (words_room(&before, all.count) != 0)
		return -1;
	for (size_t i = 0; i < all.count; i++)
		before.list[before.count++] = all.list[i];
	return 0;
}

int
environment_compare(void)
{
	const struct words all = words_of(environ);

	if (words_room(&set, all.count) != 0 ||
	    words_room(&gone, before.count) != 0 ||
	    words_room(&now, TEMPLATE_VARIABLES_MOST + all.count) != 0)
		return -1;
	for (size_t i = 0; i < all.count; i++)
		if (!words_have(&before, all.list[i]))
			set.list[set.count++] = all.list[i];
	for (size_t i = 0; i < before.count; i++)
		if (!words_find(&all, before.list[i]))
			gone.list[gone.count++] = before.list[i];
	return 0;
}

void
environment_become(char *variables, size_t bytes)
{
	for (char *at = variables; at < variables + bytes;
	     at += strlen(at) + 1) {
		char *other = words_find(&set, at);

		if (!words_find(&gone, at))
			now.list[now.count++] = other ? other : at;
	}
	for (size_t i = 0; i < set.count; i++)
		if (!words_find(&now, set.list[i]))
			now.list[now.count++] = set.list[i];
	now.list[now.count] = NULL;
	environ = now.list;
}

static struct words
words_of(char **list)
{
	struct words all = { .list = list };

	while (list && list[all.count])
		all.count++;
	return all;
}

static int
words_room(struct words *w, size_t count)
{
	w->list = calloc(count + 1, sizeof(*w->list));
	return w->list ? 0 : -1;
}

static bool
words_have(const struct words *w, const char *word)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->list[i] == word)
			return true;
	return false;
}

/* The one of that name, or NULL. */
static char *
words_find(const struct words *w, const char *word)
{
	for (size_t i = 0; i < w->count; i++)
		if (same_name(w->list[i], word))
			return w->list[i];
	return NULL;
}

static bool
same_name(const char *a, const char *b)
{
	size_t bytes = strcspn(a, "=");

	return strncmp(a, b, bytes) == 0 && (b[bytes] == '=' || !b[bytes]);
}
