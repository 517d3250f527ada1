/* SPDX-License-Identifier: MIT */
/* meter.h - how much of something may be used over time: units are earned evenly
 * and kept up to a bound, which is full at the start. Pure; times are given, of
 * one clock that never goes back. */
#ifndef GATEWAY_METER_H
#define GATEWAY_METER_H

#include <stdbool.h>
#include <stdint.h>

struct meter {
	uint64_t earns;	    /* units in each period */
	uint64_t period_us; /* 0: not set up */
	uint64_t most;	    /* units kept; and owed, at most */
	int64_t units;	    /* what may be used; below 0: owed */
	uint64_t part;	    /* of the next unit, in 1/period_us */
	uint64_t seen_us;
};

/* Full at first; set anew it keeps what is left, or owed. None is 0. */
void meter_set(struct meter *, uint64_t earns, uint64_t period_us,
    uint64_t most, uint64_t now_us);
/* That many were used by now, whether or not there were so many. */
void meter_charge(struct meter *, uint64_t units, uint64_t now_us);
/* Time until there is a unit if none is used till then; 0: there is one. */
uint64_t meter_wait_us(const struct meter *, uint64_t now_us);
/* Charges one, if there is one. */
bool meter_take(struct meter *, uint64_t now_us);
bool meter_full(const struct meter *, uint64_t now_us);

#endif
