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

struct setting_rows {
	struct option rows[SETTING_OPTIONS];
	char of[TERMS_TENANT + 1][96]; /* what rows call who set a maximum */
};

/* Defaults and maxima are those of these terms. */
void setting_rows(const struct terms *, struct setting_rows *);

#endif
