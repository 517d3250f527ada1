/* SPDX-License-Identifier: MIT */
/* page.h - what the store answered, as JSON. Versions and times are numbers, a
 * time is in seconds since 1970 (a part of one counts as a whole one), what is
 * not there is null. Pure. All: 0, or -1 at the buf's ceiling. */
#ifndef STATE_PAGE_H
#define STATE_PAGE_H

#include "base/buf.h"

#include "state/store.h"

enum {
	PAGE_ITEM_BYTES =
	    256, /* of an item, at most, beside key, type, value */
};

/* {"version","items":[...],"prefixes":[...],"cursor"} of a range. */
int page_list(struct buf *, const struct store_result *);
/* {"version","items":[...]} of keys, in their order. */
int page_many(struct buf *, const struct store_result *,
    const struct store_read *);
/* {"version","changes":[...],"more"}, to be resumed from version. */
int page_changes(struct buf *, const struct store_result *);
/* Server-sent events; the last one of a commit has its id. */
int page_events(struct buf *, const struct store_result *);
/* {"version","results":[...]} of an atomic request. */
int page_results(struct buf *, const struct store_result *,
    const struct store_batch *);
/* ,"failed":[...] of its checks, for a problem. */
int page_failed(struct buf *, const struct store_result *,
    const struct store_batch *);
int page_usage(struct buf *, const struct store_result *);

uint64_t page_seconds(uint64_t ms);

#endif
