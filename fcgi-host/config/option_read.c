/* SPDX-License-Identifier: MIT */
/* option_read.c - options from a file; the one user of libconfig. libconfig
 * knows the syntax, the rows know the meaning; option_scan.c looks through a
 * text before libconfig sees it. */

#include <assert.h>
#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "wire/time_spec.h"

#include "config/nearest.h"
#include "config/option.h"

enum {
	ERRORS_MOST = 32, /* lines; a person reads the first */
	ERROR_BYTES_MOST = 1024,
	SHOWN_MOST = 48, /* of a value that is wrong */
	CANDIDATES_MOST = 128,
	GROUP_MOST = 32, /* a name of one, with its NUL */
};

struct option_file {
	const char *name;      /* borrowed */
	const char *directory; /* borrowed; NULL: no @include */
	struct buf *errors;    /* borrowed */
	size_t error_count;
	const char *prefix;	       /* of paths in errors: "tenants." */
	const config_setting_t *group; /* the last one, of libconfig */
	config_t config;	       /* ours */

	const struct option *rows; /* while reading: borrowed */
	size_t row_count;
	void *object;
};

static void say(struct option_file *, const config_setting_t *, const char *,
    ...) __attribute__((format(printf, 3, 4)));
static void say_list(struct option_file *, const char *name, int line,
    const char *, va_list) __attribute__((format(printf, 4, 0)));
static void read_group(struct option_file *, const config_setting_t *,
    const char *prefix);
static void read_option(struct option_file *, const struct option *,
    const config_setting_t *);
static int read_value(struct option_file *, const struct option *,
    const config_setting_t *, struct option_value *);

/* ---- a file, as syntax -------------------------------------------------------- */

struct option_file *
option_file_new(const char *name, struct span text, const char *directory,
    struct buf *errors)
{
	struct option_file *f = diag_alloc(sizeof(*f));
	const char *words, *file;
	char *copy;
	int good;

	f->name = name;
	f->directory = directory;
	f->errors = errors;
	f->prefix = "";
	config_init(&f->config);
	if (option_scan(f, name, text, directory) != 0) {
		option_file_free(f);
		return NULL;
	}
	/* Where @include starts: below a file is nothing, so none is read. */
	config_set_include_dir(&f->config, directory ? directory : "/dev/null");
	copy = span_dup(text);
	if (!copy)
		diag_fatal("no memory to read %s", name);
	good = config_read_string(&f->config, copy);
	free(copy);
	if (!good) {
		words = config_error_text(&f->config);
		file = config_error_file(&f->config);
		option_file_say_at(f, file ? file : name,
		    config_error_line(&f->config), "%s",
		    words ? words : "syntax error");
		option_file_free(f);
		return NULL;
	}
	return f;
}

void
option_file_free(struct option_file *f)
{
	config_destroy(&f->config);
	free(f);
}

int
option_file_load(int fd, size_t most, struct buf *b, char why[OPTION_WHY_MOST])
{
	struct stat status;
	ssize_t bytes;
	char *at;

	if (fstat(fd, &status) != 0)
		goto unreadable;
	if (!S_ISREG(status.st_mode)) {
		snprintf(why, OPTION_WHY_MOST, "is no regular file");
		return -1;
	}
	buf_clear(b);
	for (;;) {
		size_t held = buf_bytes(b);
		size_t room = most + 1 - held;

		if (room > 16384)
			room = 16384;
		at = buf_reserve(b, room);
		if (!at)
			goto unreadable;
		bytes = pread(fd, at, room, (off_t)held);
		if (bytes < 0)
			goto unreadable;
		if (bytes == 0)
			return 0;
		buf_wrote(b, (size_t)bytes);
		if (buf_bytes(b) > most)
			break;
	}
	snprintf(why, OPTION_WHY_MOST, "is larger than %zu KiB", most / 1024);
	return -1;

unreadable:
	snprintf(why, OPTION_WHY_MOST, "cannot be read: %s", diag_errno());
	return -1;
}

/* ---- errors --------------------------------------------------------------------- */

void
option_file_say(struct option_file *f, const char *path, const char *format,
    ...)
{
	const config_setting_t *setting =
	    path ? config_lookup(&f->config, path) : f->group;
	const char *file = setting ? config_setting_source_file(setting) : NULL;
	va_list args;

	va_start(args, format);
	say_list(f, file ? file : f->name,
	    setting ? config_setting_source_line(setting) : 0, format, args);
	va_end(args);
}

bool
option_file_has(const struct option_file *f, const char *path)
{
	return config_lookup(&f->config, path) != NULL;
}

size_t
option_file_errors(const struct option_file *f)
{
	return f->error_count;
}

static void
say(struct option_file *f, const config_setting_t *setting, const char *format,
    ...)
{
	const char *file = config_setting_source_file(setting);
	va_list args;

	va_start(args, format);
	say_list(f, file ? file : f->name, config_setting_source_line(setting),
	    format, args);
	va_end(args);
}

void
option_file_say_at(struct option_file *f, const char *name, int line,
    const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_list(f, name, line, format, args);
	va_end(args);
}

/* Line 0: of no line. Values come from the file, so nothing in an error may
 * end its line or speak to a terminal. */
static void
say_list(struct option_file *f, const char *name, int line, const char *format,
    va_list args)
{
	char text[ERROR_BYTES_MOST];

	if (f->error_count++ >= ERRORS_MOST)
		return;
	vsnprintf(text, sizeof(text), format, args);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	if (line > 0)
		buf_printf(f->errors, "%s:%d: %s\n", name, line, text);
	else
		buf_printf(f->errors, "%s: %s\n", name, text);
}

/* A value from the file for an error, cut. */
static const char *
shown(const char *value, char text[SHOWN_MOST + 8])
{
	snprintf(text, SHOWN_MOST + 8, "%.*s%s", SHOWN_MOST, value,
	    strlen(value) > SHOWN_MOST ? "..." : "");
	return text;
}

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
		say(f, list, "%s takes a list of groups: ( { ... }, { ... } )",
		    path);
		return 0;
	}
	count = (size_t)config_setting_length(list);
	for (size_t i = 0; i < count; i++) {
		const config_setting_t *group =
		    config_setting_get_elem(list, (unsigned)i);

		if (config_setting_type(group) == CONFIG_TYPE_GROUP)
			good++;
		else
			say(f, group,
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
	char text[SHOWN_MOST + 8], group[GROUP_MOST];
	const char *meant = config_setting_is_group(setting) ?
	    probably_group(f, path, group) :
	    NULL;

	if (!meant)
		meant = probably(f, path);

	if (meant)
		say(f, setting, "unknown option %s%s; did you mean %s%s?",
		    f->prefix, shown(path, text), f->prefix, meant);
	else
		say(f, setting, "unknown option %s%s", f->prefix,
		    shown(path, text));
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
			say(f, setting, "%s%s takes a group: %s = { ... };",
			    f->prefix, path, path);
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
			say(f, setting, "%s%s%s", f->prefix, row->path, why);
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

	say(f, setting, "%s%s takes %s%s%s", f->prefix, row->path,
	    takes[row->type], separator, range);
}

static int
read_integer(struct option_file *f, const struct option *row,
    const config_setting_t *setting, struct option_value *value)
{
	long long number = config_setting_get_int64(setting);
	char range[96];

	if (number < 0 && row->fixed) {
		say(f, setting, "%s%s = %lld %s", f->prefix, row->path, number,
		    row->fixed);
		return -1;
	}
	if (number < 0) {
		say(f, setting, "%s%s = %lld is out of range: it takes %s",
		    f->prefix, row->path, number, option_range(row, range));
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
	char range[96], cut[SHOWN_MOST + 8];

	if (error == TIME_SPEC_OK)
		return 0;
	say(f, setting, "%s%s = \"%s\" %s: it takes %s", f->prefix, row->path,
	    shown(text, cut), time_spec_error_words(error),
	    option_range(row, range));
	return -1;
}

static int
read_word(struct option_file *f, const struct option *row,
    const config_setting_t *setting, struct option_value *value)
{
	const char *text = config_setting_get_string(setting), *meant;
	char known[160] = "", cut[SHOWN_MOST + 8];
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
	if (row->fixed) {
		say(f, setting, "%s%s = \"%s\" %s", f->prefix, row->path,
		    shown(text, cut), row->fixed);
		return -1;
	}
	meant = nearest(text, row->words, count);
	say(f, setting, "%s%s = \"%s\" is not known: it takes one of %s%s%s%s",
	    f->prefix, row->path, shown(text, cut), known,
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
			say(f, item, "%s%s%s", f->prefix, row->path, why);
			result = -1;
		} else if (strings_add(&value->list, span_of(text)) != 0) {
			diag_fatal("no memory to read %s", f->name);
		}
		free(text);
	}
	return result;
}

/* A name that is there already gets its new value in its old place. */
static void
env_put(struct strings *list, struct span pair)
{
	struct span rest = pair, name = span_cut(&rest, '=');

	for (size_t i = 0; i < list->count; i++)
		if (strncmp(list->items[i], pair.data, name.bytes + 1) == 0) {
			free(list->items[i]);
			list->items[i] = diag_strdup(pair.data);
			return;
		}
	if (strings_add(list, pair) != 0)
		diag_fatal("no memory for the environment");
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
			say(f, item, "%s%s.%s takes text: \"...\"", f->prefix,
			    row->path, name);
			result = -1;
		} else if (buf_printf(&pair, "%s=%s", name,
			       config_setting_get_string(item)) != 0) {
			say(f, item, "%s%s.%s is longer than %d bytes",
			    f->prefix, row->path, name, OPTION_ENV_MOST);
			result = -1;
		} else if (option_check_item(row, buf_span(&pair), why) != 0) {
			say(f, item, "%s%s%s", f->prefix, row->path, why);
			result = -1;
		} else {
			buf_string(&pair); /* ends it with a NUL */
			env_put(&value->list, buf_span(&pair));
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
