/* SPDX-License-Identifier: MIT */
/* page.c - a page of keys: its items point into the reply, whose strings were
 * decoded where they stood, and into a buffer beside it for values that came as
 * base 64. */

#include <stdlib.h>

#include "wire/base64.h"

#include "sdk/client.h"
#include "sdk/page.h"
#include "sdk/walk.h"

struct memory {
	struct buf body;
	struct buf decoded; /* reserved once, so that it never moves */
	size_t item_room;
	size_t prefix_room;
};

static bool member_take(struct walk *, struct span name, struct fn_page *);
static bool items_take(struct walk *, struct fn_page *);
static bool item_take(struct walk *, struct fn_page *);
static bool value_take(struct walk *, struct span name, struct fn_item *,
    struct memory *);
static bool prefixes_take(struct walk *, struct fn_page *);
static bool string_take(struct walk *, const char **text);
static bool number_take(struct walk *, int64_t *number);
static void *row_add(void *rows, size_t row_bytes, size_t *count, size_t *room);

enum fn_result
page_read(struct fn_page *page, struct buf *body)
{
	struct memory *m = calloc(1, sizeof(*m));
	struct span name, text = buf_span(body);
	struct walk w;
	bool good;

	*page = (struct fn_page){ .memory = m };
	if (!m)
		return problem(FN_FAILED, "no memory for the page");
	m->body = *body;
	buf_init(body, 0);
	buf_init(&m->decoded, text.bytes + 1);
	good = buf_reserve(&m->decoded, text.bytes + 1) != NULL;
	walk_init(&w, (char *)(uintptr_t)text.data, text.bytes);
	good = good && walk_object(&w);
	while (good && walk_member(&w, &name))
		good = member_take(&w, name, page);
	if (good && walk_over(&w))
		return FN_OK;
	fn_page_free(page);
	return problem(FN_FAILED, "state's answer is no page of keys");
}

void
fn_page_free(struct fn_page *page)
{
	struct memory *m = page ? page->memory : NULL;

	if (!page)
		return;
	if (m) {
		buf_free(&m->body);
		buf_free(&m->decoded);
	}
	free(m);
	free(page->items);
	free((void *)page->prefixes);
	*page = (struct fn_page){ 0 };
}

static bool
member_take(struct walk *w, struct span name, struct fn_page *page)
{
	int64_t version;

	if (span_equal(name, SPAN("items")))
		return items_take(w, page);
	if (span_equal(name, SPAN("prefixes")))
		return prefixes_take(w, page);
	if (span_equal(name, SPAN("cursor")))
		return string_take(w, &page->cursor);
	if (span_equal(name, SPAN("version"))) {
		if (!number_take(w, &version))
			return false;
		page->version = (uint64_t)version;
		return true;
	}
	walk_skip(w);
	return !w->bad;
}

static bool
items_take(struct walk *w, struct fn_page *page)
{
	walk_array(w);
	while (walk_element(w))
		if (!item_take(w, page))
			return false;
	return !w->bad;
}

static bool
item_take(struct walk *w, struct fn_page *page)
{
	struct memory *m = page->memory;
	struct fn_item *items = row_add(page->items, sizeof(*items),
			   &page->item_count, &m->item_room),
		       *item;
	struct span name;
	int64_t number = 0;

	if (!items)
		return false;
	page->items = items;
	item = &items[page->item_count - 1];
	*item = (struct fn_item){ .type = "" };
	walk_object(w);
	while (walk_member(w, &name)) {
		if (span_equal(name, SPAN("key"))) {
			string_take(w, &item->key);
		} else if (span_equal(name, SPAN("version"))) {
			number_take(w, &number);
			item->version = (uint64_t)number;
		} else if (span_equal(name, SPAN("size"))) {
			number_take(w, &number);
			item->bytes = (size_t)number;
		} else if (span_equal(name, SPAN("expires"))) {
			number_take(w, &item->expires_s);
		} else if (span_equal(name, SPAN("type"))) {
			string_take(w, &item->type);
		} else if (!value_take(w, name, item, m)) {
			return false;
		}
	}
	if (!item->type)
		item->type = "";
	return !w->bad && item->key && item->version > 0;
}

/* A value is text, where it is good UTF-8, or base 64. */
static bool
value_take(struct walk *w, struct span name, struct fn_item *item,
    struct memory *m)
{
	size_t before = buf_bytes(&m->decoded);
	struct span text;

	if (span_equal(name, SPAN("value"))) {
		if (!walk_string(w, &text))
			return false;
		item->data = text.data;
		item->bytes = text.bytes;
		return true;
	}
	if (!span_equal(name, SPAN("b64"))) {
		walk_skip(w);
		return !w->bad;
	}
	if (!walk_string(w, &text) ||
	    base64_read(&m->decoded, BASE64, text) != 0)
		return false;
	item->data = m->decoded.data + before;
	item->bytes = buf_bytes(&m->decoded) - before;
	return buf_put_byte(&m->decoded, '\0') == 0;
}

static bool
prefixes_take(struct walk *w, struct fn_page *page)
{
	struct memory *m = page->memory;
	const char **prefixes;

	walk_array(w);
	while (walk_element(w)) {
		prefixes = row_add((void *)page->prefixes, sizeof(*prefixes),
		    &page->prefix_count, &m->prefix_room);
		if (!prefixes)
			return false;
		page->prefixes = prefixes;
		if (!string_take(w, &prefixes[page->prefix_count - 1]) ||
		    !prefixes[page->prefix_count - 1])
			return false;
	}
	return !w->bad;
}

/* Without a NUL in it, since the caller gets it as a string; null gives NULL. */
static bool
string_take(struct walk *w, const char **text)
{
	struct span s;

	*text = NULL;
	if (walk_null(w))
		return true;
	if (!walk_string(w, &s))
		return false;
	w->bad = memchr(s.data, '\0', s.bytes) != NULL;
	*text = s.data;
	return !w->bad;
}

/* Not below 0; null gives 0. */
static bool
number_take(struct walk *w, int64_t *number)
{
	*number = 0;
	if (!walk_null(w) && walk_integer(w, number) && *number < 0)
		w->bad = true;
	return !w->bad;
}

/* One more row behind the others, in the memory returned; NULL: none left, and
 * all is as it was. */
static void *
row_add(void *rows, size_t row_bytes, size_t *count, size_t *room)
{
	if (*count == *room) {
		size_t more = *room > 0 ? 2 * *room : 64;

		rows = reallocarray(rows, more, row_bytes);
		if (!rows)
			return NULL;
		*room = more;
	}
	++*count;
	return rows;
}
