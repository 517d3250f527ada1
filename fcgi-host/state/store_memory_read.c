/* SPDX-License-Identifier: MIT */
/* store_memory_read.c - the reference model reads: every key in turn, asking of
 * each whether it is to be shown. */
#include "base/diag.h"
#include "state/store_memory.h"

/* ---- reading --------------------------------------------------------------- */

static struct store_item
item_of(struct job *job, const struct entry *entry, bool values)
{
	return (struct store_item){
		.key = job_copy(job, entry->key),
		.value = values ? job_copy(job, entry->value) : SPAN_NONE,
		.type = job_copy(job, entry->type),
		.version = entry->version,
		.expires_ms = entry->expires_ms,
		.size = entry->value.bytes,
	};
}

/* The common beginning that a key is folded into, or SPAN_NONE. */
static struct span
folded(const struct store_range *range, struct span key)
{
	size_t d = range->delimiter.bytes;

	if (d == 0)
		return SPAN_NONE;
	for (size_t i = range->prefix.bytes; i + d <= key.bytes; i++)
		if (memcmp(key.data + i, range->delimiter.data, d) == 0)
			return span_take(key, i + d);
	return SPAN_NONE;
}

static void
read_range(struct job *job, const struct tenant *t, uint64_t now,
    const struct store_range *range, size_t bytes_most, size_t *used,
    struct store_page *page)
{
	struct store_item *items =
	    job_alloc(job, (t->entries.count + 1) * sizeof(*items));
	struct span last = SPAN_NONE;

	if (!items)
		diag_panic("no memory for the model");
	page->items = items;
	for (size_t i = 0; i < t->entries.count; i++) {
		const struct entry *entry =
		    &t->entries
			 .at[range->reverse ? t->entries.count - 1 - i : i];
		struct span shown = folded(range, entry->key);
		struct store_item item;
		size_t cost;
		int order;

		if (!memory_alive(entry, now) ||
		    !span_starts(entry->key, range->prefix) ||
		    (range->start.data &&
			memory_compare(entry->key, range->start) < 0) ||
		    (range->end.data &&
			memory_compare(entry->key, range->end) >= 0))
			continue;
		if (!shown.data)
			shown = entry->key;
		if (last.data && span_equal(last, shown))
			continue;
		if (range->after.data) {
			order = memory_compare(shown, range->after);
			if (range->reverse ? order >= 0 : order <= 0)
				continue;
		}
		if (shown.bytes == entry->key.bytes &&
		    !folded(range, entry->key).data)
			item = item_of(job, entry, range->values);
		else
			item = (struct store_item){ .key = job_copy(job, shown),
				.folded = true };
		cost = item.key.bytes + item.type.bytes + item.value.bytes;
		if (page->item_count == range->limit ||
		    (page->item_count > 0 && *used + cost > bytes_most)) {
			page->more = true;
			page->next = last;
			return;
		}
		*used += cost;
		items[page->item_count++] = item;
		last = item.key;
	}
}

void
memory_run_read(struct store *s, struct tenant *t, struct job *job)
{
	const struct store_read *read = job->request.read;
	struct store_result *r = &job->result;
	uint64_t now = memory_now(s, t);
	size_t used = 0, most = read->bytes_most;
	struct store_item *points =
	    job_alloc(job, (read->key_count + 1) * sizeof(*points));
	struct store_page *pages =
	    job_alloc(job, (read->range_count + 1) * sizeof(*pages));

	if (!points || !pages)
		diag_panic("no memory for the model");
	if (most == 0)
		most = s->config.page_bytes_most;
	for (size_t i = 0; i < read->key_count; i++) {
		const struct entry *entry =
		    memory_find(&t->entries, read->keys[i], now);

		if (!entry) {
			points[i] = (struct store_item){ .key = read->keys[i] };
			continue;
		}
		points[i] = item_of(job, entry, read->values);
		used += points[i].key.bytes + points[i].type.bytes;
		if (points[i].value.data) {
			if (i > 0 && used + points[i].size > most)
				points[i].value = SPAN_NONE;
			else
				used += points[i].size;
		}
	}
	for (size_t i = 0; i < read->range_count; i++) {
		pages[i] = (struct store_page){ 0 };
		read_range(job, t, now, &read->ranges[i], most, &used,
		    &pages[i]);
	}
	r->version = t->version;
	r->now_ms = now;
	r->points = points;
	r->point_count = read->key_count;
	r->pages = pages;
	r->page_count = read->range_count;
	s->figures.reads++;
}

/* ---- changes --------------------------------------------------------------- */

void
memory_run_changes(struct store *s, struct tenant *t, struct job *job)
{
	const struct store_changes *ask = job->request.changes;
	struct store_result *r = &job->result;
	struct store_change *changes =
	    job_alloc(job, (t->change_count + 1) * sizeof(*changes));
	size_t scanned = 0;

	if (!changes)
		diag_panic("no memory for the model");
	r->version = t->version;
	r->now_ms = memory_now(s, t);
	r->oldest = t->oldest;
	if (ask->since < t->oldest || ask->since > t->version) {
		job_fail(job, STORE_GONE,
		    "changes are known from version %llu on",
		    (unsigned long long)t->oldest);
		return;
	}
	r->changes = changes;
	r->until = t->version;
	for (size_t i = 0; i < t->change_count; i++) {
		const struct change *change = &t->changes[i];

		if (change->version <= ask->since)
			continue;
		if ((r->change_count >= ask->limit ||
			scanned >= CHANGES_SCAN_MOST) &&
		    change->version != t->changes[i - 1].version) {
			r->until = t->changes[i - 1].version;
			r->more = true;
			return;
		}
		scanned++;
		if (ask->exact ? !span_equal(change->key, ask->prefix) :
				 !span_starts(change->key, ask->prefix))
			continue;
		changes[r->change_count++] =
		    (struct store_change){ change->kind, change->version,
			    job_copy(job, change->key) };
	}
}
