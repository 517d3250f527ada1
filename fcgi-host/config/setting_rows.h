/* SPDX-License-Identifier: MIT */
/* setting_rows.h - the rows of a function's settings as a table. Private to
 * this folder. */
#ifndef CONFIG_SETTING_ROWS_H
#define CONFIG_SETTING_ROWS_H

#include "config/option.h"
#include "config/settings.h"

enum {
#define WORDS(member, ...)
#define SETTING(member, ...) SETTING_ROW_##member,
#include "config/settings.def"
#undef SETTING
#undef WORDS
	SETTING_FIRST_LIMIT,
	SETTING_OPTIONS = SETTING_FIRST_LIMIT + LIMITS,
};

/* Defaults and maxima are those of this configuration. */
void setting_rows(const struct config *, struct option rows[SETTING_OPTIONS]);

#endif
