/* SPDX-License-Identifier: MIT */
/* option_read.c - options from a file. libconfig knows the syntax, the rows know
 * the meaning. */

#include <assert.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "wire/time_spec.h"

#include "config/nearest.h"
#include "config/option_file.h"

enum {
	CANDIDATES_MOST = 128,
	GROUP_MOST = 32, /* a name of one, with its NUL */
};

static void read_group(struct option_file *, const config_setting_t *,
    const char *prefix);
static void read_option(struct option_file *, const struct option *,
    const config_setting_t *);
static int read_value(struct option_file *, const struct option *,
    const config_setting_t *, struct option_value *);

/* ---- a file, as options -------------------------------------------------------------- */

void
option_file_read(struct option_file *f, const struct option *rows, size_t count,
    void *object)
{
	f->rows = rows;
	f->row_count = count;
	f->object = object;
	f->prefix = "";
	read_group(f, config_root_setting(&f->config), "");
}

size_t
option_file_groups(struct option_file *f, const char *path)
{
	const config_setting_t *list = config_lookup(&f->config, path);
	size_t count, good = 0;

	if (!list)
		return 0;
	if (config_setting_type(list) != CONFIG_TYPE_LIST) {
		option_file_complain(f, list,
		    "%s takes a list of groups: ( { ... }, { ... } )", path);
		return 0;
	}
	count = (size_t)config_setting_length(list);
	for (size_t i = 0; i < count; i++) {
		const config_setting_t *group =
		    config_setting_get_elem(list, (unsigned)i);

		if (config_setting_type(group) == CONFIG_TYPE_GROUP)
			good++;
		else
			option_file_complain(f, group,
			    "%s takes a list of groups: ( { ... }, "
			    "{ ... } )",
			    path);
	}
	return good == count ? count : 0;
}

void
option_file_group(struct option_file *f, const char *path, size_t index,
    const struct option *rows, size_t count, void *object)
{
	const config_setting_t *list = config_lookup(&f->config, path);
	char prefix[64];

	snprintf(prefix, sizeof(prefix), "%s.", path);
	f->rows = rows;
	f->row_count = count;
	f->object = object;
	f->prefix = prefix;
	f->group = config_setting_get_elem(list, (unsigned)index);
	read_group(f, f->group, "");
	f->prefix = "";
}

static const struct option *
find_row(const struct option_file *f, const char *path)
{
	for (size_t i = 0; i < f->row_count; i++)
		if (strcmp(f->rows[i].path, path) == 0)
			return &f->rows[i];
	return NULL;
}

static bool
is_group(const struct option_file *f, const char *path)
{
	size_t bytes = strlen(path);

	for (size_t i = 0; i < f->row_count; i++)
		if (strncmp(f->rows[i].path, path, bytes) == 0 &&
		    f->rows[i].path[bytes] == '.')
			return true;
	return false;
}

static const char *
leaf_of(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? dot + 1 : path;
}

/* An option of that name in another group, one that is written nearly so, or
 * in another group nearly so. */
static const char *
probably(const struct option_file *f, const char *path)
{
	const char *paths[CANDIDATES_MOST], *leaves[CANDIDATES_MOST], *found;

	assert(f->row_count <= CANDIDATES_MOST);
	for (size_t i = 0; i < f->row_count; i++) {
		paths[i] = f->rows[i].path;
		leaves[i] = leaf_of(paths[i]);
		if (strcmp(leaves[i], leaf_of(path)) == 0)
			return paths[i];
	}
	found = nearest(path, paths, f->row_count);
	if (found)
		return found;
	found = nearest(leaf_of(path), leaves, f->row_count);
	for (size_t i = 0; found && i < f->row_count; i++)
		if (leaves[i] == found)
			return paths[i];
	return NULL;
}

/* A group that is written nearly so; the name is kept in `group`. */
static const char *
probably_group(const struct option_file *f, const char *path,
    char group[GROUP_MOST])
{
	char names[CANDIDATES_MOST][GROUP_MOST];
	const char *candidates[CANDIDATES_MOST], *found;
	size_t count = 0;

	for (size_t i = 0; i < f->row_count; i++) {
		size_t bytes = strcspn(f->rows[i].path, ".");

		if (f->rows[i].path[bytes] == '\0' || bytes >= GROUP_MOST)
			continue;
		memcpy(names[count], f->rows[i].path, bytes);
		names[count][bytes] = '\0';
		candidates[count] = names[count];
		count++;
	}
	found = nearest(path, candidates, count);
	return found ? memcpy(group, found, strlen(found) + 1) : NULL;
}

static void
say_unknown(struct option_file *f, const config_setting_t *setting,
    const char *path)
{
	char text[OPTION_SHOWN_MOST + 8], group[GROUP_MOST];
	const char *meant = config_setting_is_group(setting) ?
	    probably_group(f, path, group) :
	    NULL;

	if (!meant)
		meant = probably(f, path);

	if (meant)
		option_file_complain(f, setting,
		    "unknown option %s%s; did you mean %s%s?", f->prefix,
		    option_file_shown(path, text), f->prefix, meant);
	else
		option_file_complain(f, setting, "unknown option %s%s",
		    f->prefix, option_file_shown(path, text));
}

static void
read_group(struct option_file *f, const config_setting_t *group,
    const char *prefix)
{
	int count = config_setting_length(group);

	for (int i = 0; i < count; i++) {
		const config_setting_t *setting =
		    config_setting_get_elem(group, (unsigned)i);
		const struct option *row;
		char path[256];

		/* cut, a name is as unknown as before */
		snprintf(path, sizeof(path), "%s%s", prefix,
		    config_setting_name(setting));
		row = find_row(f, path);
		if (row) {
			read_option(f, row, setting);
		} else if (!is_group(f, path)) {
			say_unknown(f, setting, path);
		} else if (config_setting_type(setting) != CONFIG_TYPE_GROUP) {
			option_file_complain(f, setting,
			    "%s%s takes a group: %s = { ... };", f->prefix,
			    path, path);
		} else {
			snprintf(path, sizeof(path), "%s%s.", prefix,
			    config_setting_name(setting));
			read_group(f, setting, path);
		}
	}
}

static void
read_option(struct option_file *f, const struct option *row,
    const config_setting_t *setting)
{
	struct option_value value = { 0 };
	char why[OPTION_WHY_MOST];

	if (row->type == OPTION_OTHER)
		return;
	if (read_value(f, row, setting, &value) == 0) {
		if (option_check(row, &value, why) == 0)
			option_set(row, f->object, &value);
		else
			option_file_complain(f, setting, "%s%s%s", f->prefix,
			    row->path, why);
	}
	option_value_free(&value);
}

/* ---- one value ------------------------------------------------------------------------- */

/* "a whole number, 1 to 65536". */
static void
say_type(struct option_file *f, const struct option *row,
    const config_setting_t *setting)
{
	static const char *const takes[] = {
		[OPTION_PATH] = "the text of a path: \"...\"",
		[OPTION_STRING] = "text: \"...\"",
		[OPTION_USER] =
		    "the name or number of a user, as text: \"...\"",
		[OPTION_GROUP] = "the name or number of a group, as text: "
				 "\"...\"",
		[OPTION_PATHS] = "a list of paths: [ \"/...\", \"/...\" ]",
		[OPTION_NAMES] = "a list of names: [ \"LANG\", \"TZ\" ]",
		[OPTION_STRINGS] = "a list of texts: [ \"...\", \"...\" ]",
		[OPTION_METHODS] = "a list of methods: [ \"GET\", \"POST\" ]",
		[OPTION_ENV] = "a group of texts: { NAME = \"value\"; }",
		[OPTION_TIME] = "a time with its unit as text, such as \"10s\"",
		[OPTION_SIZE] = "a size with its unit as text, such as "
				"\"64 MiB\"",
		[OPTION_COUNT] = "a whole number",
		[OPTION_BOOL] = "true or false",
		[OPTION_CHOICE] = "one word",
		[OPTION_OTHER] = "something else",
	};
	char range[96];
	const char *separator = option_range(row, range)[0] ? ", " : "";

	option_file_complain(f, setting, "%s%s takes %s%s%s", f->prefix,
	    row->path, takes[row->type], separator, range);
}

static int
read_integer(struct option_file *f, const struct option *row,
    const config_setting_t *setting, struct option_value *value)
{
	long long number = config_setting_get_int64(setting);
	char range[96];

	if (number < 0) {
		option_file_complain(f, setting,
		    "%s%s = %lld is out of range: it takes %s", f->prefix,
		    row->path, number, option_range(row, range));
		return -1;
	}
	value->number = (uint64_t)number;
	return 0;
}

static int
read_quantity(struct option_file *f, const struct option *row,
    const config_setting_t *setting, struct option_value *value)
{
	const char *text = config_setting_get_string(setting);
	enum time_spec_error error = row->type == OPTION_TIME ?
	    time_spec_parse(span_of(text), &value->number) :
	    size_spec_parse(span_of(text), &value->number);
	char range[96], cut[OPTION_SHOWN_MOST + 8];

	if (error == TIME_SPEC_OK)
		return 0;
	option_file_complain(f, setting, "%s%s = \"%s\" %s: it takes %s",
	    f->prefix, row->path, option_file_shown(text, cut),
	    time_spec_error_words(error), option_range(row, range));
	return -1;
}

static int
read_word(struct option_file *f, const struct option *row,
    const config_setting_t *setting, struct option_value *value)
{
	const char *text = config_setting_get_string(setting), *meant;
	char known[160] = "", cut[OPTION_SHOWN_MOST + 8];
	size_t count, used = 0;

	for (count = 0; row->words[count]; count++) {
		if (strcmp(row->words[count], text) == 0) {
			value->number = count;
			return 0;
		}
		used += (size_t)snprintf(known + used, sizeof(known) - used,
		    "%s\"%s\"", count > 0 ? ", " : "", row->words[count]);
		assert(used < sizeof(known));
	}
	meant = nearest(text, row->words, count);
	option_file_complain(f, setting,
	    "%s%s = \"%s\" is not known: it takes one of %s%s%s%s", f->prefix,
	    row->path, option_file_shown(text, cut), known,
	    meant ? "; did you mean \"" : "", meant ? meant : "",
	    meant ? "\"?" : "");
	return -1;
}

/* "." and ".." in front are taken out, so that errors and listings show where
 * it really is; the directory is canonical, so ".." is its parent. */
char *
option_path_from(const char *directory, const char *path)
{
	size_t bytes = strlen(directory), path_bytes;
	char *text;

	if (path[0] == '/' || path[0] == '\0')
		return diag_strdup(path);
	for (;;) {
		if (strncmp(path, "./", 2) == 0) {
			path += 2;
		} else if (strncmp(path, "../", 3) == 0) {
			path += 3;
			while (bytes > 0 && directory[--bytes] != '/')
				;
		} else if (path[0] == '/') {
			path++;
		} else {
			break;
		}
	}
	while (bytes > 0 && directory[bytes - 1] == '/')
		bytes--;
	path_bytes = strlen(path);
	text = diag_alloc(bytes + path_bytes + 2);
	memcpy(text, directory, bytes);
	text[bytes] = '/';
	memcpy(text + bytes + 1, path, path_bytes);
	return text;
}

static char *
text_of(const struct option_file *f, const struct option *row, const char *text)
{
	if (f->directory &&
	    (row->type == OPTION_PATH || row->type == OPTION_PATHS))
		return option_path_from(f->directory, text);
	return diag_strdup(text);
}

static int
read_list(struct option_file *f, const struct option *row,
    const config_setting_t *setting, struct option_value *value)
{
	int count = config_setting_length(setting), result = 0;
	char why[OPTION_WHY_MOST];

	for (int i = 0; i < count; i++) {
		const config_setting_t *item =
		    config_setting_get_elem(setting, (unsigned)i);
		char *text;

		if (config_setting_type(item) != CONFIG_TYPE_STRING) {
			say_type(f, row, item);
			return -1;
		}
		text = text_of(f, row, config_setting_get_string(item));
		if (option_check_item(row, span_of(text), why) != 0) {
			option_file_complain(f, item, "%s%s%s", f->prefix,
			    row->path, why);
			result = -1;
		} else if (strings_add(&value->list, span_of(text)) != 0) {
			diag_fatal("no memory to read %s", f->name);
		}
		free(text);
	}
	return result;
}

static int
read_env(struct option_file *f, const struct option *row,
    const config_setting_t *setting, struct option_value *value)
{
	int count = config_setting_length(setting), result = 0;
	struct buf pair;

	if (strings_copy(&value->list, option_list(row, f->object)) != 0)
		diag_fatal("no memory to read %s", f->name);
	buf_init(&pair, OPTION_ENV_MOST);
	for (int i = 0; i < count; i++) {
		const config_setting_t *item =
		    config_setting_get_elem(setting, (unsigned)i);
		const char *name = config_setting_name(item);
		char why[OPTION_WHY_MOST];

		buf_clear(&pair);
		if (config_setting_type(item) != CONFIG_TYPE_STRING) {
			option_file_complain(f, item,
			    "%s%s.%s takes text: \"...\"", f->prefix, row->path,
			    name);
			result = -1;
		} else if (buf_printf(&pair, "%s=%s", name,
			       config_setting_get_string(item)) != 0) {
			option_file_complain(f, item,
			    "%s%s.%s is longer than %d bytes", f->prefix,
			    row->path, name, OPTION_ENV_MOST);
			result = -1;
		} else if (option_check_item(row, buf_span(&pair), why) != 0) {
			option_file_complain(f, item, "%s%s%s", f->prefix,
			    row->path, why);
			result = -1;
		} else {
			if (strings_put_env(&value->list, buf_span(&pair)) != 0)
				diag_fatal("no memory for the environment");
		}
	}
	buf_free(&pair);
	return result;
}

static int
read_value(struct option_file *f, const struct option *row,
    const config_setting_t *setting, struct option_value *value)
{
	int type = config_setting_type(setting);
	bool integer = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
	bool text = type == CONFIG_TYPE_STRING;
	bool list = type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST;

	if (option_kind(row) == OPTION_TEXT && text) {
		value->text =
		    text_of(f, row, config_setting_get_string(setting));
		return 0;
	}
	if (row->type == OPTION_ENV && type == CONFIG_TYPE_GROUP)
		return read_env(f, row, setting, value);
	if (option_kind(row) == OPTION_LIST && row->type != OPTION_ENV && list)
		return read_list(f, row, setting, value);
	if (row->type == OPTION_COUNT && integer)
		return read_integer(f, row, setting, value);
	if (row->type == OPTION_BOOL && type == CONFIG_TYPE_BOOL) {
		value->number = (uint64_t)config_setting_get_bool(setting);
		return 0;
	}
	if (row->type == OPTION_CHOICE && text)
		return read_word(f, row, setting, value);
	if (row->type == OPTION_TIME || row->type == OPTION_SIZE) {
		if (text)
			return read_quantity(f, row, setting, value);
		if (integer && config_setting_get_int64(setting) == 0)
			return 0; /* off needs no unit */
	}
	say_type(f, row, setting);
	return -1;
}
