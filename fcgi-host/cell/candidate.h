/* SPDX-License-Identifier: MIT */
/* candidate.h - what an entry of a tenant's directory is: a file or directory
 * that could be a function, with what may stand against it. */
#ifndef CELL_CANDIDATE_H
#define CELL_CANDIDATE_H

#include "cell/grounds.h"

enum look {
	LOOK_NOTHING,	/* no candidate, and nothing to say */
	LOOK_MISFIT,	/* there, but no candidate: reason */
	LOOK_CANDIDATE, /* unless there is a reason, it is good */
};

struct candidate {
	enum look look;
	char entry[NAME_FILE_MOST + 1];	  /* in the directory */
	char file[RESOLVE_FILE_MOST + 1]; /* entry or entry/run */
	char reason[REASON_MOST];	  /* empty: none */
	struct stat st;			  /* of what runs */
};

void candidate_look(const struct grounds *, const char *entry,
    struct candidate *);

#endif
