/* SPDX-License-Identifier: MIT */
/* config_print.c - the host's options for people. */

#include "config/options.h"

static void
print_lists(struct buf *b)
{
	struct option rows[GRANT_OPTIONS];

	grant_rows(rows);
	buf_put_byte(b, '\n');
	options_print_prose(
	    "plans: what tenants get that have such a plan; tenants: what "
	    "single tenants get, over their plan and over what all get. Names "
	    "and numbers are of the group tenant and others above, unless they "
	    "are given here; limits and maximum are groups as above.",
	    b);
	buf_put_string(b,
	    "#   plans = ( { name = \"small\"; slots = 4; memory = \"256 MiB\"; "
	    "} );\n"
	    "#   tenants = ( { name = \"git\"; plan = \"small\"; "
	    "read = [ \"/srv/git\" ]; } );\n");
	options_print_list(rows, GRANT_FIRST_LIMIT, b);
	options_print_list(&rows[GRANT_ROW_plan], 1, b);
	buf_put_string(b, "#" CONFIG_PLANS " = ( );\n");
	buf_put_string(b, "#" CONFIG_TENANTS " = ( );\n");
}

void
config_print_file(struct buf *b)
{
	options_print_prose(
	    "Every option of fcgi-host at its default. What "
	    "is left commented stays so. A path that does not begin with / is "
	    "taken from the directory of this file.",
	    b);
	options_print_file(config_options, CONFIG_PLANS_ROW, b);
	print_lists(b);
}

void
config_print_help(struct buf *b)
{
	struct option rows[GRANT_OPTIONS];

	grant_rows(rows);
	options_print_help(config_options, CONFIG_OPTIONS, "", b);
	options_print_help(rows, GRANT_FIRST_LIMIT, "  " CONFIG_TENANTS ".", b);
	options_print_help(&rows[GRANT_ROW_plan], 1, "  " CONFIG_TENANTS ".",
	    b);
}

void
config_print_man(struct buf *b)
{
	struct option rows[GRANT_OPTIONS];

	grant_rows(rows);
	options_print_man(config_options, CONFIG_OPTIONS, "", b);
	options_print_man(rows, GRANT_FIRST_LIMIT, CONFIG_TENANTS ".", b);
	options_print_man(&rows[GRANT_ROW_plan], 1, CONFIG_TENANTS ".", b);
}
