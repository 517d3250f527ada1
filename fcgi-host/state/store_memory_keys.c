/* SPDX-License-Identifier: MIT */
/* store_memory_keys.c - what the reference model keeps: sorted keys, tenants and
 * the notes of what changed. */
#include <stdlib.h>

#include "base/diag.h"
#include "state/store_memory.h"

static const uint64_t version_leap = UINT64_C(1) << 20;

uint64_t
memory_now(struct store *s, struct tenant *t)
{
	if (!t->exists) /* nothing that could run back */
		t->clock = (struct store_clock){ 0 };
	return store_clock_now(&t->clock, s->config.unix_ms(),
	    s->config.steady_ms());
}

struct span
memory_own(struct span from)
{
	char *to;

	if (!from.data)
		return SPAN_NONE;
	to = diag_alloc(from.bytes + 1);
	if (from.bytes)
		memcpy(to, from.data, from.bytes);
	return span_make(to, from.bytes);
}

void
memory_disown(struct span s)
{
	free((char *)(uintptr_t)s.data);
}

int
memory_compare(struct span a, struct span b)
{
	size_t least = a.bytes < b.bytes ? a.bytes : b.bytes;
	int order = least ? memcmp(a.data, b.data, least) : 0;

	if (order)
		return order;
	return a.bytes < b.bytes ? -1 : a.bytes > b.bytes;
}

/* ---- entries --------------------------------------------------------------- */

static size_t
place_of(const struct entries *e, struct span key)
{
	size_t low = 0, high = e->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memory_compare(e->at[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
memory_alive(const struct entry *entry, uint64_t now)
{
	return entry->expires_ms == 0 || entry->expires_ms > now;
}

/* The key as everybody sees it: NULL when it has expired. */
struct entry *
memory_find(const struct entries *e, struct span key, uint64_t now)
{
	size_t place = e->count ? place_of(e, key) : 0;

	if (!e->at || place == e->count || !span_equal(e->at[place].key, key) ||
	    !memory_alive(&e->at[place], now))
		return NULL;
	return &e->at[place];
}

static void
forget(struct entry *entry)
{
	memory_disown(entry->key);
	memory_disown(entry->value);
	memory_disown(entry->type);
}

void
memory_take_out(struct entries *e, size_t place)
{
	forget(&e->at[place]);
	e->count--;
	memmove(&e->at[place], &e->at[place + 1],
	    (e->count - place) * sizeof(*e->at));
}

void
memory_put(struct entries *e, const struct entry *entry)
{
	size_t place = place_of(e, entry->key);

	if (place < e->count && span_equal(e->at[place].key, entry->key)) {
		forget(&e->at[place]);
	} else {
		if (e->count == e->room) {
			e->room = e->room ? e->room * 2 : 16;
			e->at = realloc(e->at, e->room * sizeof(*e->at));
			if (!e->at)
				diag_panic("no memory for the model");
		}
		memmove(&e->at[place + 1], &e->at[place],
		    (e->count - place) * sizeof(*e->at));
		e->count++;
	}
	e->at[place] = (struct entry){ memory_own(entry->key),
		memory_own(entry->value), memory_own(entry->type),
		entry->version, entry->expires_ms };
}

void
memory_free_entries(struct entries *e)
{
	for (size_t i = 0; i < e->count; i++)
		forget(&e->at[i]);
	free(e->at);
	*e = (struct entries){ 0 };
}

struct entries
memory_copy_entries(const struct entries *from)
{
	struct entries to = { 0 };

	for (size_t i = 0; i < from->count; i++)
		memory_put(&to, &from->at[i]);
	return to;
}

/* ---- tenants --------------------------------------------------------------- */

struct tenant *
memory_tenant_of(struct store *s, struct span name)
{
	struct map_node *node = map_find(&s->tenants, name);
	struct tenant *t;

	if (node)
		return MAP_OWNER(node, struct tenant, node);
	t = diag_alloc(sizeof(*t));
	memcpy(t->name, name.data, name.bytes);
	if (map_add(&s->tenants, &t->node, span_make(t->name, name.bytes)) < 0)
		diag_panic("no memory for the model");
	return t;
}

void
memory_create(struct store *s, struct tenant *t)
{
	(void)s;
	if (t->exists)
		return;
	t->exists = true;
	t->version = t->oldest = t->floor;
	t->floor += version_leap;
}

void
memory_cut_changes(struct tenant *t, size_t count)
{
	for (size_t i = 0; i < count; i++)
		memory_disown(t->changes[i].key);
	t->change_count -= count;
	if (count)
		memmove(t->changes, t->changes + count,
		    t->change_count * sizeof(*t->changes));
}

void
memory_drop(struct tenant *t)
{
	memory_free_entries(&t->entries);
	memory_cut_changes(t, t->change_count);
	for (size_t i = 0; i < t->idem_count; i++) {
		memory_disown(t->idems[i].key);
		memory_disown(t->idems[i].print);
		memory_disown(t->idems[i].reply);
	}
	t->idem_count = 0;
	t->exists = t->frozen = false;
	t->quota_bytes = 0;
	t->relaxed = t->full = false;
	t->version = t->oldest = t->floor;
}

void
memory_free_tenant(struct tenant *t)
{
	memory_drop(t);
	free(t->entries.at);
	free(t->changes);
	free(t->idems);
	free(t);
}

void
memory_note(struct tenant *t, enum store_change_kind kind, uint64_t version,
    struct span key, uint64_t ms)
{
	if (t->change_count == t->change_room) {
		t->change_room = t->change_room ? t->change_room * 2 : 16;
		t->changes =
		    realloc(t->changes, t->change_room * sizeof(*t->changes));
		if (!t->changes)
			diag_panic("no memory for the model");
	}
	t->changes[t->change_count++] =
	    (struct change){ kind, version, ms, memory_own(key) };
}
