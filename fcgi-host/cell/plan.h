/* SPDX-License-Identifier: MIT */
/* plan.h - a cell's sandbox as data: which steps, in which order. Pure; made
 * from facts and configuration, carried out by apply.c, printed for `plan`. */
#ifndef CELL_PLAN_H
#define CELL_PLAN_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/config.h"

/* The one directory of a tenant that its functions may write. */
#define PLAN_DATA_NAME "data"

/* Control groups a cell joins: one for each controller at most. */
enum { PLAN_CGROUPS_MOST = 3 };

enum plan_op {
#define STEP(NAME, name, first, second, sentence) PLAN_##NAME,
#include "cell/steps.def"
#undef STEP
	PLAN_OPS
};

struct plan_facts {
	const char *tenant;    /* borrowed */
	const char *directory; /* borrowed; NULL: a probe without tenant */
	uid_t uid;
	gid_t gid;
	uint64_t namespaces; /* CLONE_NEW... the cell is in */
	bool root;	     /* it is root still */
	struct span cgroups; /* borrowed: names, each with its NUL */
	int cgroup_fds[PLAN_CGROUPS_MOST];
	const char *python; /* borrowed: path of fcgi-host-python; NULL: none */
	bool of_root; /* the directory belongs to root, uid is a given one */
};

struct plan_step {
	enum plan_op op;
	char *path;	/* ours, or NULL */
	char *options;	/* ours, or NULL: tmpfs options, link target */
	uint64_t first; /* see steps.def */
	uint64_t second;
	int resource; /* of a limit: RLIMIT_...; of a control group: the
		       * descriptor to join it by, closed by that */
	const char
	    *setting;  /* borrowed: the option that asks for it, or NULL */
	char note[96]; /* what apply made of it, if not just that */
};

struct plan {
	struct plan_step *steps; /* ours */
	size_t count;
	size_t room;
};

struct plan *plan_make(const struct plan_facts *, const struct config *);
void plan_free(struct plan **);

const char *plan_op_name(enum plan_op);
void plan_print_step(const struct plan_step *, struct buf *);
void plan_print(const struct plan *, struct buf *); /* a line a step */

#endif
