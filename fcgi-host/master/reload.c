/* SPDX-License-Identifier: MIT */
/* reload.c - the next generation of the configuration. All or nothing: an
 * error leaves everything as it is, and listeners are never touched. */

#include <malloc.h>

#include "base/diag.h"
#include "base/fd.h"

#include "master/master.h"

static void say_lines(struct buf *text, size_t from, bool failed);

int
reload(struct master *m, struct buf *text)
{
	size_t from = buf_bytes(text);
	struct config *next, *old = m->config;
	char missing[TENANT_REASON_MOST];
	struct settled settled;
	uint64_t bytes;
	int fd = -1;

	next =
	    settle(&m->arguments, m->root, old->generation + 1, &settled, text);
	if (next)
		settle_keep(old, next, text);
	if (next && (fd = config_seal(next, true, &bytes)) < 0) {
		buf_printf(text, "no memory file for the configuration: %s\n",
		    diag_errno());
		config_release(&next);
	}
	if (!next) {
		buf_put_string(text, "nothing is changed\n");
		say_lines(text, from, true);
		return -1;
	}
	if (settle_missing(next, missing, sizeof(missing)))
		buf_printf(text, "%s\n", missing);
	if (settle_exposed(&m->arguments, m->root, next, missing,
		sizeof(missing)))
		buf_printf(text, "%s\n", missing);
	if (rundir_missing(&m->rundir, missing, sizeof(missing)))
		buf_printf(text, "%s\n", missing);
	m->config = next;
	users_settle(&m->users, next, &m->settled);
	fd_close(&m->sealed_fd);
	m->sealed_fd = fd;
	m->sealed_bytes = bytes;
	cells_configure(m); /* first: or the gateway would keep them */
	children_configure(m);
	cells_forgive(m);
	cells_limit(m);
	for (int place = 0; place < RUNDIR_PLACES; place++)
		if (children_again(m, (enum rundir_place)place, missing,
			sizeof(missing)) != 0)
			buf_printf(text, "%s\n", missing);
	config_release(&old);
	malloc_trim(0); /* what reading the file needed */
	buf_printf(text, "configuration read again: generation %llu\n",
	    (unsigned long long)next->generation);
	say_lines(text, from, false);
	return 0;
}

/* The operator who sent HUP reads stderr, who asked by ctl gets the text. */
static void
say_lines(struct buf *text, size_t from, bool failed)
{
	struct span lines = span_skip(buf_span(text), from);

	while (lines.bytes > 0) {
		struct span line = span_cut(&lines, '\n');

		if (failed)
			diag_error("reload: %.*s", SPAN_ARGS(line));
		else
			diag_info("reload: %.*s", SPAN_ARGS(line));
	}
}
