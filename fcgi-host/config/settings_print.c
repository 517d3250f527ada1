/* SPDX-License-Identifier: MIT */
/* settings_print.c - the settings of a function for people, with the limits of
 * a host that is configured by default. */

#include "config/setting_rows.h"

void
settings_print_file(struct buf *b)
{
	struct setting_rows all;
	struct config *c = config_new();

	setting_rows(config_terms(c, SPAN_NONE), &all);
	options_print_prose(
	    "Every setting of a function at its default: "
	    "copied to NAME.conf beside the executable NAME, to function.conf "
	    "in the directory of a function, or to tenant.conf, whose settings "
	    "are the defaults of all functions of the tenant. The host may "
	    "have other defaults and maxima than the ones named here.",
	    b);
	options_print_file(all.rows, SETTING_OPTIONS, b);
	config_release(&c);
}

void
settings_print_man(struct buf *b)
{
	struct setting_rows all;
	struct config *c = config_new();

	setting_rows(config_terms(c, SPAN_NONE), &all);
	options_print_man(all.rows, SETTING_OPTIONS, "", b);
	config_release(&c);
}
