/* SPDX-License-Identifier: MIT */
/* page.c - a page of keys: its items point into the reply, whose strings were
 * decoded where they stood, and into a buffer beside it for values that came as
 * base 64. */

#include <stdlib.h>

#include "wire/base64.h"

#include "sdk/client.h"
#include "sdk/json.h"
#include "sdk/page.h"

struct memory {
	struct buf body;
	struct buf decoded; /* reserved once, so that it never moves */
	size_t item_room;
	size_t prefix_room;
};

static bool member_take(struct json *, struct span name, struct fn_page *);
static bool items_take(struct json *, struct fn_page *);
static bool item_take(struct json *, struct fn_page *);
static bool value_take(struct json *, struct span name, struct fn_item *,
    struct memory *);
static bool prefixes_take(struct json *, struct fn_page *);
static bool string_take(struct json *, const char **text);
static bool number_take(struct json *, int64_t *number);
static void *row_add(void *rows, size_t row_bytes, size_t *count, size_t *room);

enum fn_result
page_read(struct fn_page *page, struct buf *body)
{
	struct memory *m = calloc(1, sizeof(*m));
	struct span name, text = buf_span(body);
	struct json j;
	bool good;

	*page = (struct fn_page){ .memory = m };
	if (!m)
		return problem(FN_FAILED, "no memory for the page");
	m->body = *body;
	buf_init(body, 0);
	buf_init(&m->decoded, text.bytes + 1);
	good = buf_reserve(&m->decoded, text.bytes + 1) != NULL;
	json_init(&j, (char *)(uintptr_t)text.data, text.bytes);
	good = good && json_object(&j);
	while (good && json_member(&j, &name))
		good = member_take(&j, name, page);
	if (good && json_over(&j))
		return FN_OK;
	fn_page_free(page);
	return problem(FN_FAILED, "state's answer is no page of keys");
}

void
fn_page_free(struct fn_page *page)
{
	struct memory *m = page->memory;

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
member_take(struct json *j, struct span name, struct fn_page *page)
{
	int64_t version;

	if (span_equal(name, SPAN("items")))
		return items_take(j, page);
	if (span_equal(name, SPAN("prefixes")))
		return prefixes_take(j, page);
	if (span_equal(name, SPAN("cursor")))
		return string_take(j, &page->cursor);
	if (span_equal(name, SPAN("version"))) {
		if (!number_take(j, &version))
			return false;
		page->version = (uint64_t)version;
		return true;
	}
	json_skip(j);
	return !j->bad;
}

static bool
items_take(struct json *j, struct fn_page *page)
{
	json_array(j);
	while (json_element(j))
		if (!item_take(j, page))
			return false;
	return !j->bad;
}

static bool
item_take(struct json *j, struct fn_page *page)
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
	json_object(j);
	while (json_member(j, &name)) {
		if (span_equal(name, SPAN("key"))) {
			string_take(j, &item->key);
		} else if (span_equal(name, SPAN("version"))) {
			number_take(j, &number);
			item->version = (uint64_t)number;
		} else if (span_equal(name, SPAN("size"))) {
			number_take(j, &number);
			item->bytes = (size_t)number;
		} else if (span_equal(name, SPAN("expires"))) {
			number_take(j, &item->expires_s);
		} else if (span_equal(name, SPAN("type"))) {
			string_take(j, &item->type);
		} else if (!value_take(j, name, item, m)) {
			return false;
		}
	}
	if (!item->type)
		item->type = "";
	return !j->bad && item->key && item->version > 0;
}

/* A value is text, where it is good UTF-8, or base 64. */
static bool
value_take(struct json *j, struct span name, struct fn_item *item,
    struct memory *m)
{
	size_t before = buf_bytes(&m->decoded);
	struct span text;

	if (span_equal(name, SPAN("value"))) {
		if (!json_string(j, &text))
			return false;
		item->data = text.data;
		item->bytes = text.bytes;
		return true;
	}
	if (!span_equal(name, SPAN("b64"))) {
		json_skip(j);
		return !j->bad;
	}
	if (!json_string(j, &text) ||
	    base64_read(&m->decoded, BASE64, text) != 0)
		return false;
	item->data = m->decoded.data + before;
	item->bytes = buf_bytes(&m->decoded) - before;
	return buf_put_byte(&m->decoded, '\0') == 0;
}

static bool
prefixes_take(struct json *j, struct fn_page *page)
{
	struct memory *m = page->memory;
	const char **prefixes;

	json_array(j);
	while (json_element(j)) {
		prefixes = row_add((void *)page->prefixes, sizeof(*prefixes),
		    &page->prefix_count, &m->prefix_room);
		if (!prefixes)
			return false;
		page->prefixes = prefixes;
		if (!string_take(j, &prefixes[page->prefix_count - 1]) ||
		    !prefixes[page->prefix_count - 1])
			return false;
	}
	return !j->bad;
}

/* Without a NUL in it, since the caller gets it as a string; null gives NULL. */
static bool
string_take(struct json *j, const char **text)
{
	struct span s;

	*text = NULL;
	if (json_null(j))
		return true;
	if (!json_string(j, &s))
		return false;
	j->bad = memchr(s.data, '\0', s.bytes) != NULL;
	*text = s.data;
	return !j->bad;
}

/* Not below 0; null gives 0. */
static bool
number_take(struct json *j, int64_t *number)
{
	*number = 0;
	if (!json_null(j) && json_integer(j, number) && *number < 0)
		j->bad = true;
	return !j->bad;
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
