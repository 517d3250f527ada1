/* SPDX-License-Identifier: MIT */
/* settings_read.c - the settings of a function or tenant from a file. The file
 * is the tenant's, and so is the user this runs as. */

#include <stdio.h>

#include "config/setting_rows.h"

int
settings_read(struct settings *s, const struct terms *t, int fd,
    const char *name, struct buf *errors)
{
	struct setting_rows all;
	char why[OPTION_WHY_MOST];
	struct option_file *f;
	struct buf text;
	int result = -1;

	setting_rows(t, &all);
	buf_init(&text, SETTINGS_FILE_MOST + 1);
	if (option_file_load(fd, SETTINGS_FILE_MOST, &text, why) != 0) {
		buf_printf(errors, "%s: %s\n", name, why);
		goto out;
	}
	f = option_file_new(name, buf_span(&text), NULL, errors);
	if (!f)
		goto out;
	option_file_read(f, all.rows, SETTING_OPTIONS, s);
	if (option_file_errors(f) == 0)
		result = 0;
	option_file_free(f);
out:
	buf_free(&text);
	return result;
}
