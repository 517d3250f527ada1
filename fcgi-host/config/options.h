/* SPDX-License-Identifier: MIT */
/* options.h - the rows of the host's configuration as tables. Private to this
 * folder. */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include "config/option.h"
#include "config/terms.h"

#define CONFIG_PLANS "plans"
#define CONFIG_TENANTS "tenants"

enum {
#define OPTION(member, ...) CONFIG_ROW_##member,
#include "config/options.def"
#undef OPTION
	CONFIG_FIRST_LIMIT,
	CONFIG_FIRST_MAXIMUM = CONFIG_FIRST_LIMIT + LIMITS,
	CONFIG_PLANS_ROW = CONFIG_FIRST_MAXIMUM + LIMITS,
	CONFIG_TENANTS_ROW,
	CONFIG_OPTIONS,
};

enum {
#define GRANT(member, ...) GRANT_ROW_##member,
#include "config/grants.def"
#undef GRANT
	GRANT_FIRST_TERM,
	GRANT_FIRST_LIMIT = GRANT_FIRST_TERM + TERMS,
	GRANT_FIRST_MAXIMUM = GRANT_FIRST_LIMIT + LIMITS,
	GRANT_ROW_plan = GRANT_FIRST_MAXIMUM + LIMITS,
	GRANT_OPTIONS,
	PLAN_OPTIONS = GRANT_ROW_plan, /* a plan has no plan */
};

extern const struct option config_options[CONFIG_OPTIONS];

const struct option *config_limit_row(enum limit);

/* As config_decode(), of bytes that only config_encode() can have made: what a
 * tenant has is not looked at before it is asked for. */
struct config *config_open(struct span);

/* ---- grant.c: elements of plans and tenants ---------------------------------- */

/* Ranges, words and defaults are those of the host's options. */
void grant_rows(struct option rows[GRANT_OPTIONS]);
struct grant *grants_add(struct grants *); /* NULL: no memory */
void grants_free(struct grants *);
void grants_sort(struct grants *); /* so that they can be found */
/* NULL: there is none of that name. */
const struct grant *grants_find(const struct grants *, struct span name);

/* ---- packed.c: many of them as bytes ----------------------------------------- */

/* Spans of options, in this order or as they stand. 0, or -1: the ceiling. */
int grants_encode(const struct grant *, const uint32_t *order, size_t count,
    struct buf *);
/* Adds `count` of them. 0, or -1 when the bytes are none. */
int grants_decode(struct grants *, struct span, size_t count);
/* 0, or -1: two have one name, and from bytes: they are not `count` in order of
 * their names. To be freed in any case. */
int packed_make(struct packed *, const struct grants *);
int packed_open(struct packed *, struct span, size_t count);
void packed_free(struct packed *);
ptrdiff_t packed_find(const struct packed *, struct span name); /* -1: none */
struct span packed_name(const struct packed *, size_t index);
struct span packed_bytes(const struct packed *, size_t index);
/* Adds one to a list. 0, or -1 when its bytes are no options. */
int packed_take(const struct packed *, size_t index, struct grants *);

/* ---- apart.c: what must not be granted ------------------------------------------ */

/* Errors for cell.paths, and `read` and `write` of plans and of these tenants. */
void apart_check(struct option_file *, const struct config *,
    const struct grants *tenants, const struct config_places *);

/* ---- terms.c -------------------------------------------------------------------- */

/* What the host's options, a plan and a tenant's entry come to; the latter two
 * may be NULL. */
void terms_make(struct terms *, const struct config *, const struct grant *plan,
    const struct grant *own);
void terms_free(struct terms *);
void terms_forget(struct config *); /* those that were asked for */

#endif
