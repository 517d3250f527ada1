/* SPDX-License-Identifier: MIT */
/* config_read.c - the host's configuration from its file, and what the options
 * must be to each other. Who a user or group is, master asks the system. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "base/fd.h"

#include "config/options.h"

enum { FILE_MOST = 1024 * 1024 };

static char *directory_of(const char *file);
static void settle_paths(struct config *, const char *directory);
static void read_grants(struct option_file *, struct config *);
static void check_limits(struct option_file *, struct config *);
static void check_users(struct option_file *, const struct config *);
static void check_pairs(struct option_file *, struct config *);
static void check_size(struct option_file *, const struct config *);

struct config *
config_load(const char *file, uint64_t generation, struct buf *errors)
{
	struct config *c = config_new();
	char *directory = directory_of(file), why[OPTION_WHY_MOST];
	struct option_file *f = NULL;
	struct buf text;
	bool good = false;
	int fd;

	c->generation = generation;
	buf_init(&text, FILE_MOST + 1);
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || !directory) {
		buf_printf(errors, "%s: cannot be opened: %s\n", file,
		    diag_errno());
		goto out;
	}
	if (option_file_load(fd, FILE_MOST, &text, why) != 0) {
		buf_printf(errors, "%s: %s\n", file, why);
		goto out;
	}
	f = option_file_new(file, buf_span(&text), directory, errors);
	if (!f)
		goto out;
	option_file_read(f, config_options, CONFIG_OPTIONS, c);
	settle_paths(c, directory);
	read_grants(f, c);
	check_limits(f, c);
	check_users(f, c);
	check_pairs(f, c);
	check_size(f, c);
	good = option_file_errors(f) == 0;
out:
	if (f)
		option_file_free(f);
	if (!good)
		config_release(&c);
	fd_close(&fd);
	buf_free(&text);
	free(directory);
	return c;
}

/* Canonical, since sockets and cells name it to others. NULL with errno. */
static char *
directory_of(const char *file)
{
	const char *slash = strrchr(file, '/');
	char path[PATH_MAX];

	if (!slash)
		return realpath(".", NULL);
	if ((size_t)(slash - file) + 2 > sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	snprintf(path, sizeof(path), "%.*s/", (int)(slash - file), file);
	return realpath(path, NULL);
}

/* Defaults may be relative too, and mean the same as if they were written. */
static void
settle_paths(struct config *c, const char *directory)
{
	for (size_t i = 0; i < CONFIG_OPTIONS; i++) {
		const struct option *row = &config_options[i];
		struct option_value value = { 0 };
		const char *path;

		if (row->type != OPTION_PATH)
			continue;
		path = option_string(row, c);
		if (path[0] == '/' || path[0] == '\0')
			continue;
		value.text = option_path_from(directory, path);
		option_set(row, c, &value);
	}
}

static void
read_grants(struct option_file *f, struct config *c)
{
	size_t count = option_file_groups(f, CONFIG_GRANTS);

	for (size_t i = 0; i < count; i++) {
		struct grant *g = config_grant_add(c);
		const struct grant *first;
		struct span name;

		if (!g)
			diag_fatal("no memory for %zu tenants", count);
		option_file_group(f, CONFIG_GRANTS, i, grant_options,
		    GRANT_OPTIONS, g);
		name = span_of(g->tenant);
		first = config_grant(c, name);
		if (!config_tenant_name(name))
			option_file_say(f, NULL,
			    CONFIG_GRANTS
			    ".name takes "
			    "the name of a tenant: small letters, digits, _ "
			    "and -");
		else if (first != g)
			option_file_say(f, NULL,
			    CONFIG_GRANTS " has %s "
					  "twice",
			    g->tenant);
	}
}

/* A default that was not written follows a maximum that was. */
static void
check_limits(struct option_file *f, struct config *c)
{
	for (int i = 0; i < LIMITS; i++) {
		const struct option *row = config_limit_row((enum limit)i);
		uint64_t maximum = c->maximum[i];
		char value[32], most[32];

		if (maximum == 0)
			continue;
		if (!option_file_has(f, row->path)) {
			if (c->limits[i] > maximum)
				c->limits[i] = maximum;
			continue;
		}
		limit_text((enum limit)i, c->limits[i], value);
		limit_text((enum limit)i, maximum, most);
		if (c->limits[i] > maximum)
			option_file_say(f, row->path,
			    "%s = %s is above "
			    "maximum.%s = %s",
			    row->path, value, limit_rows[i].name, most);
		else if (c->limits[i] == 0 && row->number > 0)
			option_file_say(f, row->path,
			    "%s = 0 is off, which "
			    "maximum.%s = %s does not allow",
			    row->path, limit_rows[i].name, most);
	}
}

/* A tenant that gets the gateway's user id could take its place. */
static void
check_users(struct option_file *f, const struct config *c)
{
	static const int rows[] = { CONFIG_ROW_gateway_user,
		CONFIG_ROW_log_user, CONFIG_ROW_state_user };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct option *row = &config_options[rows[i]];
		struct span rest = span_of(option_string(row, c));
		uint64_t uid;

		if (span_number(span_cut(&rest, ':'), UINT32_MAX, &uid) != 0)
			continue;
		if (uid >= c->tenant_first &&
		    uid - c->tenant_first < c->tenant_count)
			option_file_say(f,
			    option_file_has(f, row->path) ? row->path : "users",
			    "%s = %" PRIu64 " is one of "
			    "the user ids for tenants (users.tenants_first, "
			    "users.tenants_count)",
			    row->path, uid);
	}
}

/* *low, unless it was written, follows a *high that was. */
static void
check_pair(struct option_file *f, int low_row, uint64_t *low, int high_row,
    uint64_t high)
{
	const struct option *row = &config_options[low_row];
	char value[32], most[32];

	if (*low <= high)
		return;
	if (!option_file_has(f, row->path)) {
		*low = high;
		return;
	}
	option_file_say(f, row->path, "%s = %s is above %s = %s", row->path,
	    option_number_text(row, *low, value), config_options[high_row].path,
	    option_number_text(row, high, most));
}

static void
check_pairs(struct option_file *f, struct config *c)
{
	check_pair(f, CONFIG_ROW_slots_function, &c->slots_function,
	    CONFIG_ROW_slots_function_most, c->slots_function_most);
	check_pair(f, CONFIG_ROW_body_memory, &c->body_memory,
	    CONFIG_ROW_body_memory_total, c->body_memory_total);
}

/* It has to fit into one message to each process. */
static void
check_size(struct option_file *f, const struct config *c)
{
	struct buf bytes;

	buf_init(&bytes, CONFIG_BYTES_MOST);
	if (config_encode(c, &bytes) != 0)
		option_file_say(f, CONFIG_GRANTS,
		    "the configuration has more "
		    "than %d KiB; " CONFIG_GRANTS " is usually what is large",
		    CONFIG_BYTES_MOST / 1024);
	buf_free(&bytes);
}
