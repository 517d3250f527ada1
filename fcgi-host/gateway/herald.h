/* SPDX-License-Identifier: MIT */
/* herald.h - the standard output of a process that writes no reply there: its
 * first line may announce that it is ready, and all else is for the log. */
#ifndef GATEWAY_HERALD_H
#define GATEWAY_HERALD_H

#include "base/loop.h"
#include "base/span.h"

struct run;

struct herald {
	struct run *run;	      /* borrowed: whose output it is */
	struct span line;	      /* by which it says so; a literal */
	void (*ready)(void *run_arg); /* it did */
	int fd;			      /* ours, until log gets it */
	struct watch watch;
	size_t said; /* bytes of the line */
};

void herald_init(struct herald *, struct run *, struct span line,
    void (*ready)(void *run_arg));
int herald_watch(struct herald *); /* fd is there: 0 or -1 */
void herald_close(struct herald *);

#endif
