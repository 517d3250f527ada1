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

#include "config/nearest.h"
#include "config/options.h"

enum {
	/* of a file and what it includes: to say how much too much it is */
	MEASURED_MOST = 1024 * 1024 * 1024,
};

static char *directory_of(const char *file);
static void settle_paths(struct config *, const char *directory);
static void read_grants(struct option_file *, struct grants *, const char *list,
    size_t rows);
static void check_plans(struct option_file *, const struct config *,
    const struct grants *tenants);
static void check_plan(struct option_file *, const struct config *,
    const char *path, const char *name);
static void check_terms(struct option_file *, const struct config *,
    const struct grants *tenants);
static void check_limits(struct option_file *, struct config *);
static void check_users(struct option_file *, const struct config *);
static void check_pairs(struct option_file *, struct config *);
static void check_size(struct option_file *, const struct config *,
    const struct grants *tenants);
static void check_all(struct option_file *, size_t host, size_t plans,
    size_t tenants);
static void check_cells(struct option_file *, const struct config *,
    const struct grants *tenants, size_t host, const size_t *plans);
static size_t kib(size_t bytes);

struct config *
config_load(const char *file, uint64_t generation, struct buf *errors)
{
	return config_load_for(file, generation, NULL, errors);
}

struct config *
config_load_for(const char *file, uint64_t generation,
    const struct config_places *places, struct buf *errors)
{
	struct config *c = config_new();
	char *directory = directory_of(file), why[OPTION_WHY_MOST];
	struct option_file *f = NULL;
	struct grants tenants = { 0 };
	struct buf text;
	bool good = false;
	int fd;

	c->generation = generation;
	buf_init(&text, CONFIG_BYTES_MOST + 1);
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || !directory) {
		buf_printf(errors, "%s: cannot be opened: %s\n", file,
		    diag_errno());
		goto out;
	}
	if (option_file_load(fd, CONFIG_BYTES_MOST, &text, why) != 0) {
		buf_printf(errors, "%s: %s\n", file, why);
		goto out;
	}
	f = option_file_new(file, buf_span(&text), directory, errors);
	if (!f)
		goto out;
	option_file_included(f, &c->included, &c->included_at);
	option_file_read(f, config_options, CONFIG_OPTIONS, c);
	settle_paths(c, directory);
	read_grants(f, &c->plans, CONFIG_PLANS, PLAN_OPTIONS);
	read_grants(f, &tenants, CONFIG_TENANTS, GRANT_OPTIONS);
	check_limits(f, c);
	check_users(f, c);
	check_pairs(f, c);
	check_plans(f, c, &tenants);
	check_terms(f, c, &tenants);
	apart_check(f, c, &tenants, places);
	good = option_file_errors(f) == 0 &&
	    packed_make(&c->tenants, &tenants) == 0 && config_settle(c) == 0;
	if (good)
		check_size(f, c, &tenants);
	good = good && option_file_errors(f) == 0;
out:
	if (f)
		option_file_free(f);
	if (!good)
		config_release(&c);
	fd_close(&fd);
	grants_free(&tenants);
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

/* Their names are their own. */
static void
read_grants(struct option_file *f, struct grants *grants, const char *list,
    size_t rows)
{
	struct option all[GRANT_OPTIONS];
	size_t count = option_file_groups(f, list);

	grant_rows(all);
	for (size_t i = 0; i < count; i++) {
		struct grant *g = grants_add(grants);

		if (!g)
			diag_fatal("no memory for %zu %s", count, list);
		option_file_group(f, list, i, all, rows, g);
		if (!config_tenant_name(span_of(g->name)))
			option_file_say(f, NULL,
			    "%s.name takes the name of a %.*s: small letters, "
			    "digits, _ and -",
			    list, (int)strlen(list) - 1, list);
	}
	grants_sort(grants);
	for (size_t i = 1; i < count; i++) {
		const char *name = grants->items[grants->by_name[i]].name;

		if (strcmp(grants->items[grants->by_name[i - 1]].name, name) !=
		    0)
			continue;
		option_file_at(f, list, grants->by_name[i], "name");
		option_file_say(f, NULL, "%s has %s twice", list, name);
	}
}

static void
check_plans(struct option_file *f, const struct config *c,
    const struct grants *tenants)
{
	option_file_at(f, config_options[CONFIG_ROW_plan].path, 0, NULL);
	check_plan(f, c, config_options[CONFIG_ROW_plan].path, c->plan);
	for (size_t i = 0; i < tenants->count; i++) {
		option_file_at(f, CONFIG_TENANTS, i, "plan");
		check_plan(f, c, CONFIG_TENANTS ".plan",
		    tenants->items[i].plan);
	}
}

/* The error stands at the last option_file_at(). */
static void
check_plan(struct option_file *f, const struct config *c, const char *path,
    const char *name)
{
	const char **names, *meant;
	char shown[OPTION_SHOWN_MOST + 8];

	if (name[0] == '\0' || grants_find(&c->plans, span_of(name)))
		return;
	names = diag_alloc((c->plans.count + 1) * sizeof(*names));
	for (size_t i = 0; i < c->plans.count; i++)
		names[i] = c->plans.items[i].name;
	meant = nearest(name, names, c->plans.count);
	option_file_say(f, NULL,
	    "%s = \"%s\" is none of " CONFIG_PLANS "%s%s%s", path,
	    option_file_shown(name, shown), meant ? "; did you mean \"" : "",
	    meant ? meant : "", meant ? "\"?" : "");
	free(names);
}

/* What a plan or a tenant says itself, together with what it does not say. */
static void
check_given(struct option_file *f, const struct terms *t, enum terms_from from,
    const char *list, size_t index)
{
	char value[32], most[32], of[96];

	for (int i = 0; i < LIMITS; i++) {
		const struct option *row = config_limit_row((enum limit)i);
		bool off = t->limits[i] == 0 && row->number > 0;

		if (t->limits_from[i] != from || t->maximum[i] == 0 ||
		    (!off && t->limits[i] <= t->maximum[i]))
			continue;
		option_file_at(f, list, index, row->path);
		limit_text((enum limit)i, t->maximum[i], most);
		terms_of(t, t->maximum_from[i], of);
		if (off)
			option_file_say(f, NULL,
			    "%s.%s = 0 is off, which maximum.%s = %s%s does "
			    "not allow",
			    list, row->path, limit_rows[i].name, most, of);
		else
			option_file_say(f, NULL,
			    "%s.%s = %s is above maximum.%s = %s%s", list,
			    row->path,
			    limit_text((enum limit)i, t->limits[i], value),
			    limit_rows[i].name, most, of);
	}
}

static void
check_terms(struct option_file *f, const struct config *c,
    const struct grants *tenants)
{
	struct terms t;

	for (size_t i = 0; i < c->plans.count; i++) {
		terms_make(&t, c, &c->plans.items[i], NULL);
		check_given(f, &t, TERMS_PLAN, CONFIG_PLANS, i);
		terms_free(&t);
	}
	for (size_t i = 0; i < tenants->count; i++) {
		const struct grant *own = &tenants->items[i];
		const char *plan = own->plan[0] ? own->plan : c->plan;

		terms_make(&t, c, grants_find(&c->plans, span_of(plan)), own);
		check_given(f, &t, TERMS_TENANT, CONFIG_TENANTS, i);
		terms_free(&t);
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

/* What the other processes get has a bound: see config.h. */
static void
check_size(struct option_file *f, const struct config *c,
    const struct grants *tenants)
{
	size_t *plans = diag_alloc((c->plans.count + 1) * sizeof(*plans));
	size_t in_plans = 0, host;
	struct buf bytes;

	buf_init(&bytes, MEASURED_MOST);
	for (size_t i = 0; i < c->plans.count; i++) {
		buf_clear(&bytes);
		if (grants_encode(&c->plans.items[i], NULL, 1, &bytes) != 0)
			diag_fatal("no memory to measure the configuration");
		plans[i] = buf_bytes(&bytes);
		in_plans += plans[i];
	}
	buf_clear(&bytes);
	if (config_encode(c, &bytes) != 0)
		diag_fatal("no memory to measure the configuration");
	host = buf_bytes(&bytes) - in_plans - c->tenants.size;
	buf_free(&bytes);
	check_all(f, host, in_plans, c->tenants.size);
	check_cells(f, c, tenants, host, plans);
	free(plans);
}

static void
check_all(struct option_file *f, size_t host, size_t plans, size_t tenants)
{
	const char *list = plans > tenants ? CONFIG_PLANS : CONFIG_TENANTS;
	size_t all = host + plans + tenants;

	if (all > CONFIG_BYTES_MOST)
		option_file_say(f, list,
		    "the configuration has %zu KiB, of which %s has %zu KiB; "
		    "%zu KiB are allowed",
		    kib(all), list, kib(plans > tenants ? plans : tenants),
		    kib(CONFIG_BYTES_MOST));
}

/* The last is who has no entry. */
static void
check_cells(struct option_file *f, const struct config *c,
    const struct grants *tenants, size_t host, const size_t *plans)
{
	for (size_t i = 0; i <= tenants->count; i++) {
		uint32_t at = i < tenants->count ? tenants->by_name[i] : 0;
		const struct grant *own =
		    i < tenants->count ? &tenants->items[at] : NULL;
		const struct grant *plan = grants_find(&c->plans,
		    span_of(own && own->plan[0] ? own->plan : c->plan));
		size_t plan_at = plan ? (size_t)(plan - c->plans.items) : 0;
		size_t bytes = host + (plan ? plans[plan_at] : 0) +
		    (own ? packed_bytes(&c->tenants, i).bytes : 0);

		if (bytes <= CONFIG_CELL_BYTES_MOST)
			continue;
		option_file_at(f, own ? CONFIG_TENANTS : CONFIG_PLANS,
		    own ? at : plan_at, NULL);
		option_file_say(f, NULL,
		    "tenant %s has %zu KiB, with its plan and the options of "
		    "all; %zu KiB are allowed",
		    own ? own->name : "without an entry", kib(bytes),
		    kib(CONFIG_CELL_BYTES_MOST));
	}
}

/* The next whole one: never what is allowed, when it is more. */
static size_t
kib(size_t bytes)
{
	return (bytes + 1023) / 1024;
}
