/* SPDX-License-Identifier: MIT */
/* option_file.h - a file of options while it is read: what libconfig made of its
 * text, and the errors in it. Private to option_{file,scan,read}.c. */
#ifndef CONFIG_OPTION_FILE_H
#define CONFIG_OPTION_FILE_H

#include <libconfig.h>

#include "config/option.h"

struct option_file {
	const char *name;      /* borrowed */
	const char *directory; /* borrowed; NULL: no @include */
	struct buf *errors;    /* borrowed */
	size_t error_count;
	const char *prefix;	       /* of paths in errors: "tenants." */
	struct strings included;       /* ours: paths */
	struct strings included_at;    /* ours: "file:line" of each */
	const config_setting_t *group; /* the last one, of libconfig */
	config_t config;	       /* ours */

	const struct option *rows; /* while reading: borrowed */
	size_t row_count;
	void *object;
};

/* An error at the line of a setting. */
void option_file_complain(struct option_file *, const config_setting_t *,
    const char *, ...) __attribute__((format(printf, 3, 4)));

#endif
