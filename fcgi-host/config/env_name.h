/* SPDX-License-Identifier: MIT */
/* env_name.h - which variables a file may put into a function's environment.
 * Pure. */
#ifndef CONFIG_ENV_NAME_H
#define CONFIG_ENV_NAME_H

#include "base/span.h"

/* NULL when a file may set it, else why not, as the end of a sentence that
 * begins with its name: "is set by the host for each request". */
const char *env_name_refused(struct span name);

#endif
