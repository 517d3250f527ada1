/* SPDX-License-Identifier: MIT */
/* grant.c - plans, and what tenants are given by name: rows that say what the
 * host's options say, or nothing. */

#define _GNU_SOURCE 1
#include <stdlib.h>

#include "base/diag.h"

#include "config/options.h"

/* clang-format off */
static const struct option own_rows[GRANT_FIRST_TERM] = {
#define GRANT(member, path_, TYPE, standard, least_, most_, sentence_)      \
	{ .path = path_, .type = OPTION_##TYPE,                             \
	    .offset = offsetof(struct grant, member),                       \
	    STANDARD_##TYPE(standard), .least = least_, .most = most_,      \
	    .sentence = sentence_ },
#include "config/grants.def"
#undef GRANT
};

static const struct {
	const char *path;
	size_t offset;
	int host_row;
	const char *sentence;
} term_rows[TERMS] = {
#define TERM(member, name, TYPE, host_member, sentence_)                    \
	{ name, offsetof(struct grant, member), CONFIG_ROW_##host_member,   \
	    sentence_ },
#include "config/terms.def"
#undef TERM
};
/* clang-format on */

static int compare(const void *a, const void *b, void *items);
static int order_of(const struct grant *, struct span name);
static struct option row_like(const struct option *host, size_t offset);

void
grant_rows(struct option rows[GRANT_OPTIONS])
{
	memcpy(rows, own_rows, sizeof(own_rows));
	for (int i = 0; i < TERMS; i++) {
		struct option *row = &rows[GRANT_FIRST_TERM + i];

		*row = row_like(&config_options[term_rows[i].host_row],
		    term_rows[i].offset);
		row->path = term_rows[i].path;
		row->sentence = term_rows[i].sentence;
	}
	for (int i = 0; i < LIMITS; i++) {
		rows[GRANT_FIRST_LIMIT + i] =
		    row_like(&config_options[CONFIG_FIRST_LIMIT + i],
			offsetof(struct grant, limits) +
			    (size_t)i * sizeof(uint64_t));
		rows[GRANT_FIRST_MAXIMUM + i] =
		    row_like(&config_options[CONFIG_FIRST_MAXIMUM + i],
			offsetof(struct grant, maximum) +
			    (size_t)i * sizeof(uint64_t));
	}
	rows[GRANT_ROW_plan] = (struct option){
		.path = "plan",
		.type = OPTION_STRING,
		.offset = offsetof(struct grant, plan),
		.text = "",
		.sentence = "of a tenant: the plan it has; empty is that of "
			    "the option plan",
	};
}

static struct option
row_like(const struct option *host, size_t offset)
{
	struct option row = *host;

	row.offset = offset;
	row.number = OPTION_UNSET;
	row.standard_of = host;
	return row;
}

struct grant *
grants_add(struct grants *grants)
{
	struct grant *items =
	    realloc(grants->items, (grants->count + 1) * sizeof(*items));
	struct option rows[GRANT_OPTIONS];

	if (!items)
		return NULL;
	grants->items = items;
	items += grants->count++;
	*items = (struct grant){ 0 };
	grant_rows(rows);
	options_default(rows, GRANT_OPTIONS, items);
	return items;
}

void
grants_free(struct grants *grants)
{
	struct option rows[GRANT_OPTIONS];

	grant_rows(rows);
	for (size_t i = 0; i < grants->count; i++)
		options_free(rows, GRANT_OPTIONS, &grants->items[i]);
	free(grants->items);
	free(grants->by_name);
	*grants = (struct grants){ 0 };
}

void
grants_sort(struct grants *grants)
{
	free(grants->by_name);
	grants->by_name =
	    diag_alloc((grants->count + 1) * sizeof(grants->by_name[0]));
	for (size_t i = 0; i < grants->count; i++)
		grants->by_name[i] = (uint32_t)i;
	qsort_r(grants->by_name, grants->count, sizeof(grants->by_name[0]),
	    compare, grants->items);
}

/* Those of one name stay in the order they were written in. */
static int
compare(const void *a, const void *b, void *items)
{
	const uint32_t *first = a, *second = b;
	const struct grant *all = items;
	int order = strcmp(all[*first].name, all[*second].name);

	return order != 0 ? order : *first < *second ? -1 : *first > *second;
}

const struct grant *
grants_find(const struct grants *grants, struct span name)
{
	size_t low = 0, high = grants->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct grant *grant =
		    &grants->items[grants->by_name[middle]];
		int order = order_of(grant, name);

		if (order == 0)
			return grant;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* As strcmp(), for a name that may not end in a NUL. */
static int
order_of(const struct grant *grant, struct span name)
{
	int order =
	    name.bytes > 0 ? strncmp(grant->name, name.data, name.bytes) : 0;

	return order != 0 ? order : grant->name[name.bytes] != '\0';
}
