/* SPDX-License-Identifier: MIT */
/* apply.h - carries out a plan, step by step. The only place that mounts. */
#ifndef CELL_APPLY_H
#define CELL_APPLY_H

#include "cell/plan.h"

/* 0; or -1 when a step failed, with a sentence that names step and path in
 * `reason`: the process is then good for nothing but to say so. Writes notes
 * into the steps. *directory_fd is the tenant's directory (-1: none, a probe);
 * a plan with a root of its own replaces it by one of the same directory in
 * there, since the first would lead out. */
int apply_plan(struct plan *, int *directory_fd, struct buf *reason);

#endif
