/* SPDX-License-Identifier: MIT */
/* page.c - JSON of results. */
#include "wire/base64.h"

#include "state/page.h"
#include "state/text.h"

static int put_item(struct buf *, const struct store_item *);
static int put_version(struct buf *, uint64_t version);
static int put_change(struct buf *, const struct store_change *);
static const char *change_name(enum store_change_kind);
static int put_result(struct buf *, const struct store_op *,
    const struct store_op_result *);

uint64_t
page_seconds(uint64_t ms)
{
	return ms / 1000 + (ms % 1000 > 0);
}

int
page_list(struct buf *out, const struct store_result *result)
{
	const struct store_page *page = &result->pages[0];
	const char *comma = "";

	if (buf_printf(out, "{\"version\":%llu,\"items\":[",
		(unsigned long long)result->version) != 0)
		return -1;
	for (size_t i = 0; i < page->item_count; i++) {
		if (page->items[i].folded)
			continue;
		if (buf_put_string(out, comma) ||
		    put_item(out, &page->items[i]))
			return -1;
		comma = ",";
	}
	if (buf_put_string(out, "],\"prefixes\":[") != 0)
		return -1;
	comma = "";
	for (size_t i = 0; i < page->item_count; i++) {
		if (!page->items[i].folded)
			continue;
		if (buf_put_string(out, comma) ||
		    text_put(out, page->items[i].key))
			return -1;
		comma = ",";
	}
	if (buf_put_string(out, "],\"cursor\":") != 0)
		return -1;
	if (!page->more)
		return buf_put_string(out, "null}\n");
	return buf_put_byte(out, '"') ||
		base64_put(out, BASE64_URL, page->next) ||
		buf_put_string(out, "\"}\n") ?
	    -1 :
	    0;
}

int
page_many(struct buf *out, const struct store_result *result,
    const struct store_read *read)
{
	if (buf_printf(out, "{\"version\":%llu,\"items\":[",
		(unsigned long long)result->version) != 0)
		return -1;
	for (size_t i = 0; i < result->point_count; i++) {
		struct store_item item = result->points[i];

		item.key = read->keys[i]; /* absent ones have it too */
		if ((i > 0 && buf_put_byte(out, ',')) || put_item(out, &item))
			return -1;
	}
	return buf_put_string(out, "]}\n");
}

static int
put_item(struct buf *out, const struct store_item *item)
{
	if (buf_put_string(out, "{\"key\":") || text_put(out, item->key) ||
	    put_version(out, item->version))
		return -1;
	if (item->version == 0)
		return buf_put_byte(out, '}');
	if (buf_printf(out, ",\"size\":%llu,\"expires\":",
		(unsigned long long)item->size) != 0)
		return -1;
	if (item->expires_ms == 0 ?
		buf_put_string(out, "null") :
		buf_printf(out, "%llu",
		    (unsigned long long)page_seconds(item->expires_ms)))
		return -1;
	if (buf_put_string(out, ",\"type\":") ||
	    (item->type.bytes == 0 ? buf_put_string(out, "null") :
				     text_put_words(out, item->type)))
		return -1;
	if (item->value.data != NULL && text_put_value(out, item->value) != 0)
		return -1;
	return buf_put_byte(out, '}');
}

static int
put_version(struct buf *out, uint64_t version)
{
	return version == 0 ?
	    buf_put_string(out, ",\"version\":null") :
	    buf_printf(out, ",\"version\":%llu", (unsigned long long)version);
}

int
page_changes(struct buf *out, const struct store_result *result)
{
	if (buf_printf(out, "{\"version\":%llu,\"changes\":[",
		(unsigned long long)result->until) != 0)
		return -1;
	for (size_t i = 0; i < result->change_count; i++)
		if ((i > 0 && buf_put_byte(out, ',')) ||
		    put_change(out, &result->changes[i]))
			return -1;
	return buf_printf(out, "],\"more\":%s}\n",
	    result->until < result->version ? "true" : "false");
}

int
page_events(struct buf *out, const struct store_result *result)
{
	for (size_t i = 0; i < result->change_count; i++) {
		const struct store_change *change = &result->changes[i];
		bool last = i + 1 == result->change_count ||
		    change[1].version != change->version;

		/* Who resumes from an id gets nothing of its commit again. */
		if (last &&
		    buf_printf(out, "id: %llu\n",
			(unsigned long long)change->version) != 0)
			return -1;
		if (buf_printf(out,
			"event: %s\ndata: ", change_name(change->kind)) ||
		    put_change(out, change) || buf_put_string(out, "\n\n"))
			return -1;
	}
	return 0;
}

static int
put_change(struct buf *out, const struct store_change *change)
{
	return buf_printf(out, "{\"version\":%llu,\"op\":\"%s\",\"key\":",
		   (unsigned long long)change->version,
		   change_name(change->kind)) ||
		text_put(out, change->key) || buf_put_byte(out, '}') ?
	    -1 :
	    0;
}

static const char *
change_name(enum store_change_kind kind)
{
	switch (kind) {
	case STORE_CHANGE_SET:
		return "set";
	case STORE_CHANGE_DELETE:
		return "delete";
	case STORE_CHANGE_EXPIRE:
		return "expire";
	}
	return "unknown";
}

int
page_results(struct buf *out, const struct store_result *result,
    const struct store_batch *batch)
{
	if (buf_printf(out, "{\"version\":%llu,\"results\":[",
		(unsigned long long)result->version) != 0)
		return -1;
	for (size_t i = 0; i < result->op_count; i++)
		if ((i > 0 && buf_put_byte(out, ',')) ||
		    put_result(out, &batch->ops[i], &result->ops[i]))
			return -1;
	return buf_put_string(out, "]}\n");
}

static int
put_result(struct buf *out, const struct store_op *op,
    const struct store_op_result *result)
{
	if (op->kind == STORE_DELETE)
		return buf_printf(out, "{\"deleted\":%llu}",
		    (unsigned long long)result->deleted);
	if (buf_put_byte(out, '{') != 0)
		return -1;
	if (op->kind != STORE_SET &&
	    buf_printf(out, "\"value\":%lld,", (long long)result->value) != 0)
		return -1;
	return buf_printf(out, "\"version\":%llu,\"created\":%s}",
	    (unsigned long long)result->version,
	    result->created ? "true" : "false");
}

int
page_failed(struct buf *out, const struct store_result *result,
    const struct store_batch *batch)
{
	if (buf_put_string(out, ",\"failed\":[") != 0)
		return -1;
	for (size_t i = 0; i < result->failed_count; i++) {
		const struct store_failed_check *failed = &result->failed[i];

		if ((i > 0 && buf_put_byte(out, ',')) ||
		    buf_printf(out, "{\"index\":%zu,\"key\":", failed->index) ||
		    text_put(out, batch->checks[failed->index].key) ||
		    put_version(out, failed->version) || buf_put_byte(out, '}'))
			return -1;
	}
	return buf_put_byte(out, ']');
}

int
page_usage(struct buf *out, const struct store_result *result)
{
	const struct store_usage *usage = result->usage;

	return buf_printf(out,
	    "{\"version\":%llu,\"bytes\":%llu,\"quota\":%llu,\"keys\":%llu,"
	    "\"oldest\":%llu,\"durability\":\"%s\",\"frozen\":%s}\n",
	    (unsigned long long)result->version,
	    (unsigned long long)usage->bytes,
	    (unsigned long long)usage->quota_bytes,
	    (unsigned long long)usage->keys, (unsigned long long)usage->oldest,
	    usage->durability == STORE_FULL ? "full" : "relaxed",
	    usage->frozen ? "true" : "false");
}
