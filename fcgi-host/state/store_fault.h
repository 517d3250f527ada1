/* SPDX-License-Identifier: MIT */
/* store_fault.h - a storage for tests that breaks another one on purpose: what
 * the API must live through, without a disk that fails on request. */
#ifndef STATE_STORE_FAULT_H
#define STATE_STORE_FAULT_H

#include "state/store.h"

struct store_fault_plan {
	uint64_t seed;		 /* the same one, the same faults; not 0 */
	unsigned delay_ms;	 /* at most, each call */
	unsigned fail_per_mille; /* of reads and commits: nothing was done */
	unsigned lose_per_mille; /* of commits: done, the answer is lost */
};

extern const struct store_engine store_fault;

/* Takes `inner` over; open() of the engine itself is refused. */
struct store *store_fault_new(const struct store_engine *, struct store *inner,
    struct loop *, const struct store_fault_plan *);
void store_fault_change(struct store *, const struct store_fault_plan *);

#endif
