/* SPDX-License-Identifier: MIT */
/* options.h - the rows of the host's configuration as tables. Private to this
 * folder. */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include "config/option.h"

#define CONFIG_GRANTS "tenants"

enum {
#define OPTION(member, ...) CONFIG_ROW_##member,
#include "config/options.def"
#undef OPTION
	CONFIG_FIRST_LIMIT,
	CONFIG_FIRST_MAXIMUM = CONFIG_FIRST_LIMIT + LIMITS,
	CONFIG_GRANTS_ROW = CONFIG_FIRST_MAXIMUM + LIMITS,
	CONFIG_OPTIONS,
};

enum {
#define GRANT(member, ...) GRANT_ROW_##member,
#include "config/grants.def"
#undef GRANT
	GRANT_OPTIONS,
};

extern const struct option config_options[CONFIG_OPTIONS];
extern const struct option grant_options[GRANT_OPTIONS];

const struct option *config_limit_row(enum limit);
struct grant *config_grant_add(struct config *); /* NULL: no memory */

#endif
