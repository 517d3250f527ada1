/* SPDX-License-Identifier: MIT */
/* config_print.c - the host's options for people. */

#include "config/options.h"

static const struct option *const grants = &config_options[CONFIG_GRANTS_ROW];

void
config_print_file(struct buf *b)
{
	options_print_prose(
	    "Every option of fcgi-host at its default. What "
	    "is left commented stays so. A path that does not begin with / is "
	    "taken from the directory of this file.",
	    b);
	options_print_file(config_options, CONFIG_GRANTS_ROW, b);
	buf_put_byte(b, '\n');
	options_print_prose(grants->sentence, b);
	buf_put_string(b,
	    "#   " CONFIG_GRANTS
	    " = ( { name = \"git\"; read = [ \"/srv/git\" ]; slots = 8; } );\n");
	options_print_list(grant_options, GRANT_OPTIONS, b);
	buf_put_string(b, "#" CONFIG_GRANTS " = ( );\n");
}

void
config_print_help(struct buf *b)
{
	options_print_help(config_options, CONFIG_OPTIONS, "", b);
	options_print_help(grant_options, GRANT_OPTIONS, "  " CONFIG_GRANTS ".",
	    b);
}

void
config_print_man(struct buf *b)
{
	options_print_man(config_options, CONFIG_OPTIONS, "", b);
	options_print_man(grant_options, GRANT_OPTIONS, CONFIG_GRANTS ".", b);
}
