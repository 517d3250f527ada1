/* SPDX-License-Identifier: MIT */
/* packed.c - what tenants are given, as bytes until somebody asks for one of
 * them: of thousands few are active, and to unfold them all would hold up the
 * gateway at a reload and cost ten times the memory. One span of options each,
 * in byte order of the names, each name once. */

#include <stdlib.h>

#include "base/diag.h"

#include "config/options.h"

static int index_all(struct packed *);
static int name_of(struct span rows, struct span *name);
static int order_of(struct span a, struct span b);

int
grants_encode(const struct grant *items, const uint32_t *order, size_t count,
    struct buf *b)
{
	struct grants standard = { 0 };
	struct option all[GRANT_OPTIONS];
	struct buf rows;
	int result = -1;

	grant_rows(all);
	buf_init(&rows, b->ceiling);
	if (!grants_add(&standard))
		goto out;
	for (size_t i = 0; i < count; i++) {
		buf_clear(&rows);
		if (options_encode(all, GRANT_OPTIONS,
			&items[order ? order[i] : i], standard.items,
			&rows) != 0 ||
		    option_put_span(b, buf_span(&rows)) != 0)
			goto out;
	}
	result = 0;
out:
	buf_free(&rows);
	grants_free(&standard);
	return result;
}

int
packed_make(struct packed *p, const struct grants *grants)
{
	struct buf bytes;
	int result;

	buf_init(&bytes, UINT32_MAX);
	result = grants_encode(grants->items, grants->by_name, grants->count,
	    &bytes);
	if (result == 0)
		result = packed_open(p, buf_span(&bytes), grants->count);
	buf_free(&bytes);
	return result;
}

int
packed_open(struct packed *p, struct span bytes, size_t count)
{
	/* each has a length and a name at least: no memory for a mere number */
	if (bytes.bytes > UINT32_MAX || count > bytes.bytes / 12)
		return -1;
	p->bytes = diag_alloc(bytes.bytes + 1);
	memcpy(p->bytes, bytes.data, bytes.bytes);
	p->size = bytes.bytes;
	p->at = diag_alloc((count + 1) * sizeof(p->at[0]));
	p->count = count;
	return index_all(p);
}

/* Where each begins, and whether all are in order. */
static int
index_all(struct packed *p)
{
	struct span rest = span_make(p->bytes, p->size), rows;
	struct span name, before = SPAN_NONE;

	for (size_t i = 0; i < p->count; i++) {
		p->at[i] = (uint32_t)(p->size - rest.bytes);
		if (option_take_span(&rest, &rows) != 0 ||
		    name_of(rows, &name) != 0 ||
		    (i > 0 && order_of(before, name) >= 0))
			return -1;
		before = name;
	}
	p->at[p->count] = (uint32_t)p->size;
	return rest.bytes == 0 ? 0 : -1;
}

void
packed_free(struct packed *p)
{
	free(p->bytes);
	free(p->at);
	*p = (struct packed){ 0 };
}

struct span
packed_bytes(const struct packed *p, size_t index)
{
	return span_make(p->bytes + p->at[index],
	    p->at[index + 1] - p->at[index]);
}

struct span
packed_name(const struct packed *p, size_t index)
{
	struct span name = SPAN_NONE;

	name_of(span_skip(packed_bytes(p, index), sizeof(uint32_t)), &name);
	return name;
}

/* The name is in the first row, as no tenant has the default. */
static int
name_of(struct span rows, struct span *name)
{
	uint32_t row;

	if (option_take_u32(&rows, &row) != 0 || row != GRANT_ROW_name ||
	    option_take_span(&rows, name) != 0 || name->bytes == 0)
		return -1;
	return 0;
}

static int
order_of(struct span a, struct span b)
{
	size_t both = a.bytes < b.bytes ? a.bytes : b.bytes;
	int order = both > 0 ? memcmp(a.data, b.data, both) : 0;

	return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

ptrdiff_t
packed_find(const struct packed *p, struct span name)
{
	size_t low = 0, high = p->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = order_of(packed_name(p, middle), name);

		if (order == 0)
			return (ptrdiff_t)middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

int
packed_take(const struct packed *p, size_t index, struct grants *to)
{
	return grants_decode(to, packed_bytes(p, index), 1);
}

int
grants_decode(struct grants *grants, struct span bytes, size_t count)
{
	struct option all[GRANT_OPTIONS];
	struct span rows;
	struct grant *g;

	grant_rows(all);
	while (count-- > 0) {
		if (option_take_span(&bytes, &rows) != 0)
			return -1;
		g = grants_add(grants);
		if (!g || options_decode(all, GRANT_OPTIONS, rows, g) != 0)
			return -1;
	}
	return 0;
}
