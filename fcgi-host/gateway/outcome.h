/* SPDX-License-Identifier: MIT */
/* outcome.h - what the end of a run means: from wait status, times and what the
 * host had ordered to a row of ends.def. Pure. */
#ifndef GATEWAY_OUTCOME_H
#define GATEWAY_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/answer.h"

struct outcome_facts {
	bool lost;	 /* whoever ran it is gone: nothing is known */
	bool unread;	 /* ... but that START was not read: nothing ran */
	bool cell_lost;	 /* ... with all of the tenant's processes */
	int wait_status; /* of the main process */
	uint64_t ran_us;
	uint64_t cpu_us;
	uint64_t time_ms;   /* limits.time, 0: none */
	uint64_t cpu_ms;    /* limits.cpu, 0: none */
	bool out_of_memory; /* the kernel has killed for that in its tenant,
			     * while it ran */
	bool stopped;	    /* the host had ordered its end, */
	enum end stop_end;  /* ... because of this */
};

/* For a reply whose header is complete: END_DONE when the run ended by itself,
 * with whatever exit code (S12), else what broke it off. A run that may have
 * started and is lost never ends as one to be asked for again: what it did would
 * be done twice. */
enum end outcome_of_reply(const struct outcome_facts *);
/* For a run that wrote no complete header: never END_DONE. `wrote`: there were
 * bytes. */
enum end outcome_without_reply(const struct outcome_facts *, bool wrote);

/* By SIGKILL it or, as a shell tells, what it has started last: only then can
 * out_of_memory be true. */
bool outcome_killed(int wait_status);

/* appStatus of END_REQUEST (F12): the exit code, or 128 and the signal. */
uint32_t outcome_app_status(const struct outcome_facts *);

#endif
