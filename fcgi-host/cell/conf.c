/* SPDX-License-Identifier: MIT */
/* conf.c - tenant.conf and the function's own file, opened and looked at like
 * programs, then read. */

#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdio.h>

#include "base/fd.h"

#include "config/settings.h"

#include "cell/conf.h"

static int conf_read_one(const struct grounds *, const struct terms *,
    const char *name, unsigned program, uint64_t unix_ms, struct settings *,
    struct ticket *, struct identity *, char *reason);
static void conf_say(struct buf *errors, char *reason);

int
conf_read(const struct grounds *g, const struct terms *terms, const char *file,
    unsigned *program, unsigned *protocol, uint64_t unix_ms,
    struct ticket *ticket, struct buf *encoded, char *reason)
{
	struct settings *settings = settings_draft(terms);
	int result = -1;

	if (conf_read_one(g, terms, TICKET_TENANT_NAME, PROGRAM_ANY, unix_ms,
		settings, ticket, &ticket->files[TICKET_TENANT], reason) != 0 ||
	    conf_read_one(g, terms, file, *program, unix_ms, settings, ticket,
		&ticket->files[TICKET_SETTINGS], reason) != 0)
		goto out;
	settings_settle(settings, *program);
	*program = settings_program(settings, *program);
	*protocol = settings->protocol;
	ticket->python |= settings->runtime == RUNTIME_PYTHON;
	if (settings_encode(settings, terms, encoded) != 0) {
		reason_say(reason, "%s: all settings together are too large",
		    file);
		goto out;
	}
	result = 0;
out:
	settings_release(&settings);
	return result;
}

/* Identity first, then the contents: what changes in between shows at the
 * next start. */
static int
conf_read_one(const struct grounds *g, const struct terms *terms,
    const char *name, unsigned program, uint64_t unix_ms,
    struct settings *settings, struct ticket *ticket, struct identity *identity,
    char *reason)
{
	struct buf errors;
	struct stat st;
	uint64_t tick_ms;
	enum place found;
	int fd = -1, result = -1;

	found = grounds_open(g, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd,
	    reason);
	if (found == PLACE_ABSENT)
		return 0;
	buf_init(&errors, SETTINGS_FILE_MOST);
	if (found == PLACE_BAD)
		goto out;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		reason_say(reason, "%s is not a regular file", name);
		goto out;
	}
	if (!grounds_owner_good(g, name, &st, reason) ||
	    !grounds_writers_good(g, name, &st, reason))
		goto out;
	if (st.st_size > SETTINGS_FILE_MOST) {
		reason_say(reason, "%s is larger than %d KiB", name,
		    SETTINGS_FILE_MOST / 1024);
		goto out;
	}
	*identity = identity_of(&st);
	tick_ms = (uint64_t)identity->changed_ns / 1000000 + TICKET_TICK_MS;
	if (tick_ms >= unix_ms && tick_ms > ticket->young_until_ms)
		ticket->young_until_ms = tick_ms;
	if (settings_read(settings, terms, fd, name, program, &errors) != 0) {
		conf_say(&errors, reason);
		goto out;
	}
	result = 0;
out:
	buf_free(&errors);
	fd_close(&fd);
	return result;
}

/* The first line, and how many more there are. */
static void
conf_say(struct buf *errors, char *reason)
{
	struct span rest = buf_span(errors), line = span_cut(&rest, '\n');
	size_t more = 0;

	while (rest.data)
		more += span_cut(&rest, '\n').bytes > 0;
	if (more > 0)
		reason_say(reason, "%.*s (and %zu more)", SPAN_ARGS(line),
		    more);
	else
		reason_say(reason, "%.*s", SPAN_ARGS(line));
}
