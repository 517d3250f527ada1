/* SPDX-License-Identifier: MIT */
/* each.h - what is done for each invocation, in words for `plan`. */
#ifndef CELL_EACH_H
#define CELL_EACH_H

#include <stdbool.h>

#include "config/terms.h"

enum each {
#define EACH(NAME, name, sentence) EACH_##NAME,
#include "cell/each.def"
#undef EACH
	EACHES
};

struct each_facts {
	bool alone;	       /* no pid namespace ends what is left */
	bool limits_processes; /* as in launcher.h */
	bool rules;	       /* the kernel has some that keep signals in */
};

/* "each NAME ...", a line a step. */
void each_print(const struct each_facts *, const struct terms *, struct buf *);

#endif
