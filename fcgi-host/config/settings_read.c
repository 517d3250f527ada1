/* SPDX-License-Identifier: MIT */
/* settings_read.c - the settings of a function or tenant from a file. The file
 * is the tenant's, and so is the user this runs as. */

#include <inttypes.h>
#include <stdio.h>

#include "config/setting_rows.h"

static void check_together(struct option_file *, const struct settings *,
    unsigned program);
static void check_cgi(struct option_file *, const struct settings *,
    unsigned program);

int
settings_read(struct settings *s, const struct terms *t, int fd,
    const char *name, unsigned program, struct buf *errors)
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
		check_together(f, s, settings_program(s, program));
	if (option_file_errors(f) == 0)
		result = 0;
	option_file_free(f);
out:
	buf_free(&text);
	return result;
}

/* Each alone may be so, but one of them would do nothing. Only of what stands in
 * this file: what a tenant says for all need not fit each. */
static void
check_together(struct option_file *f, const struct settings *s,
    unsigned program)
{
	bool fastcgi = s->protocol == PROTOCOL_FASTCGI ||
	    (s->protocol == PROTOCOL_AUTO && program == PROGRAM_SDK);

	if (program == PROGRAM_CGI && s->start == START_FORK &&
	    option_file_has(f, "start"))
		option_file_say(f, "start",
		    "start = \"fork\" needs a program that can be a template: "
		    "one built with the SDK, see fn(3), or one in Python");
	if (!fastcgi) {
		if (program != PROGRAM_ANY || option_file_has(f, "protocol"))
			check_cgi(f, s, program);
		return;
	}
	if (option_file_has(f, "spare_max") && option_file_has(f, "spare") &&
	    s->spare_max > 0 && s->spare_max < s->spare)
		option_file_say(f, "spare_max",
		    "spare_max = %" PRIu64 " is less than spare = %" PRIu64,
		    s->spare_max, s->spare);
	if (option_file_has(f, "spare") && option_file_has(f, "concurrency") &&
	    s->concurrency > 0 && s->concurrency < s->spare)
		option_file_say(f, "spare",
		    "spare = %" PRIu64 " is more than concurrency = %" PRIu64
		    " lets run",
		    s->spare, s->concurrency);
}

/* The default of requests is right for both, as long as nobody says cgi. */
static void
check_cgi(struct option_file *f, const struct settings *s, unsigned program)
{
	const struct {
		const char *path;
		uint64_t value, good;
	} rows[] = {
		{ "requests", s->requests, 1 },
		{ "spare", s->spare, 0 },
		{ "spare_max", s->spare_max, 0 },
	};
	const char *why =
	    s->protocol == PROTOCOL_AUTO && program == PROGRAM_PYTHON ?
	    "needs protocol = \"fastcgi\": without that, Python has a new "
	    "process for each request" :
	    s->protocol == PROTOCOL_AUTO ?
	    "needs protocol = \"fastcgi\": the program was not built with the "
	    "SDK, so it is taken for a CGI program" :
	    option_file_has(f, "protocol") ?
	    "contradicts protocol = \"cgi\", which has a new process for each "
	    "request" :
	    "contradicts protocol = \"cgi\" of tenant.conf: say protocol = "
	    "\"fastcgi\" if it speaks that";

	for (int i = 0; i < 3; i++)
		if (rows[i].value != rows[i].good &&
		    option_file_has(f, rows[i].path) &&
		    !(i == 0 && s->protocol == PROTOCOL_AUTO &&
			s->requests == SETTINGS_REQUESTS))
			option_file_say(f, rows[i].path, "%s = %" PRIu64 " %s",
			    rows[i].path, rows[i].value, why);
}
