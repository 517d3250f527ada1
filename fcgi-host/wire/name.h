/* SPDX-License-Identifier: MIT */
/* name.h - what functions and their files may be called. One rule for
 * who looks into a tenant's directory, who puts files there, and who takes a
 * URL apart. Pure: knows names, not what is behind them. */
#ifndef WIRE_NAME_H
#define WIRE_NAME_H

#include "base/span.h"

enum {
	NAME_TENANT_MOST = 63,
	NAME_FUNCTION_MOST = 63,
	NAME_FILE_MOST = 255,  /* NAME_MAX of Linux */
	NAME_ASKED_MOST = 127, /* of a file, in a URL */
};

/* The function a file belongs to: its name up to the first dot. */
struct span name_function(struct span file);
/* [a-z0-9][a-z0-9_-]*, or a user behind "~": [a-z0-9_][a-z0-9_-]* */
bool name_is_tenant(struct span);
bool name_is_function(struct span); /* [A-Za-z0-9_-]{1,63} */

/* What an entry of a tenant's directory could be, by its name alone. */
enum name_file {
	NAME_FILE_PROGRAM,  /* a function, file or directory */
	NAME_FILE_SETTINGS, /* ends with .conf */
	NAME_FILE_MISNAMED, /* a function if it were called otherwise */
	NAME_FILE_NEVER,    /* a dotfile, or a copy: ~ .bak .orig .swp .tmp */
};
enum name_file name_file(struct span file);

/* May a URL ask for it? A function, or the whole name of its file if behind
 * the first dot are the characters of a function's name and further dots. */
bool name_is_asked(struct span);

#endif
