/* SPDX-License-Identifier: MIT */
/* seccomp.h - the system calls of denied.def are refused from now on, to this
 * process and all it starts. The only place that loads a filter. */
#ifndef CELL_SECCOMP_H
#define CELL_SECCOMP_H

#include <stddef.h>

/* 0 or -1 with errno; needs no_new_privs. */
int seccomp_deny(void);

size_t seccomp_rows(void); /* of denied.def, for the plan */

#endif
