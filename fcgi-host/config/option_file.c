/* SPDX-License-Identifier: MIT */
/* option_file.c - a file of options as syntax: its text through option_scan.c and
 * libconfig, and errors with their file and line. */

#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"

#include "config/option_file.h"

enum {
	ERRORS_MOST = 32, /* lines; a person reads the first */
	ERROR_BYTES_MOST = 1024,
};

static void say_list(struct option_file *, const char *name, int line,
    const char *, va_list) __attribute__((format(printf, 4, 0)));

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
	strings_free(&f->included);
	strings_free(&f->included_at);
	free(f);
}

void
option_file_included(struct option_file *f, struct strings *paths,
    struct strings *at)
{
	*paths = f->included;
	*at = f->included_at;
	f->included = f->included_at = (struct strings){ 0 };
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

void
option_file_at(struct option_file *f, const char *list, size_t index,
    const char *path)
{
	const config_setting_t *setting = config_lookup(&f->config, list);
	const config_setting_t *group = setting, *found = NULL;

	if (setting && config_setting_type(setting) == CONFIG_TYPE_LIST)
		group = config_setting_get_elem(setting, (unsigned)index);
	if (group && path && config_setting_type(group) == CONFIG_TYPE_GROUP)
		found = config_setting_lookup((config_setting_t *)group, path);
	f->group = found ? found : group;
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

void
option_file_complain(struct option_file *f, const config_setting_t *setting,
    const char *format, ...)
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

const char *
option_file_shown(const char *value, char text[OPTION_SHOWN_MOST + 8])
{
	snprintf(text, OPTION_SHOWN_MOST + 8, "%.*s%s", OPTION_SHOWN_MOST,
	    value, strlen(value) > OPTION_SHOWN_MOST ? "..." : "");
	return text;
}
