/* SPDX-License-Identifier: MIT */
/* grounds.h - the tenant's directory as the ground that functions stand on: who
 * may own and change what is there, and where its links may lead. What it
 * refuses it explains, in a reason that names the cure. */
#ifndef CELL_GROUNDS_H
#define CELL_GROUNDS_H

#include "cell/reason.h"
#include "cell/resolve.h"

struct grounds {
	struct resolve_place place;
	gid_t private_group;	/* of its user; (gid_t)-1: none */
	struct strings targets; /* ours: link_targets, canonical */
	struct stat directory;	/* as of this question */
};

void grounds_init(struct grounds *, const struct resolve_place *,
    const struct config *);
void grounds_free(struct grounds *);

/* May this file belong to whom it does, and be written by whom it may? */
bool grounds_owner_good(const struct grounds *, const char *path,
    const struct stat *, char *reason);
bool grounds_writers_good(const struct grounds *, const char *path,
    const struct stat *, char *reason);

enum place {
	PLACE_ABSENT,
	PLACE_FOUND,
	PLACE_BAD, /* reason */
};

/* Opens what a path leads to: below the directory, or through a link into one
 * of the places that are allowed. *fd is the caller's when it is found. */
enum place grounds_open(const struct grounds *, const char *path, int flags,
    int *fd, char *reason);

#endif
