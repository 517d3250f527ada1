/* SPDX-License-Identifier: MIT */
/* option.h - what config and settings have in common: a table of options and a
 * struct with a member for each. Defaults, checks, bytes, reading and printing
 * know the table only. Private to this folder.
 *   option.c        defaults, checks, bytes        links libc and wire only
 *   option_file.c   a file and its errors          \ the two users of
 *   option_read.c   options from a file            / libconfig
 *   option_scan.c   what libconfig must not see
 *   option_print.c  for people */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include "config/config.h"

enum {
	OPTION_WHY_MOST = 320,	      /* a sentence about a value */
	OPTION_TEXT_MOST = 4096,      /* bytes of one text */
	OPTION_ITEMS_MOST = 256,      /* items of a list */
	OPTION_LIST_MOST = 16 * 1024, /* bytes of a list */
	OPTION_ENV_MOST = 32 * 1024,  /* bytes of a list of variables */
	OPTION_METHODS_MOST = 32,
	OPTION_METHOD_MOST = 32, /* bytes of a method */
	OPTION_SHOWN_MOST = 48,	 /* bytes of a value that is wrong */
};

enum option_type {
	OPTION_PATH,
	OPTION_STRING,
	OPTION_USER,
	OPTION_GROUP,
	OPTION_PATHS,
	OPTION_NAMES,
	OPTION_STRINGS,
	OPTION_METHODS,
	OPTION_ENV,
	OPTION_TIME,
	OPTION_SIZE,
	OPTION_COUNT,
	OPTION_BOOL,
	OPTION_CHOICE,
	OPTION_OTHER, /* known by name; its owner reads, writes, prints it */
};

enum option_kind { OPTION_NUMBER, OPTION_TEXT, OPTION_LIST, OPTION_NOTHING };

struct option {
	const char *path; /* "slots.host" */
	enum option_type type;
	size_t offset;	  /* of the member */
	uint64_t number;  /* default of numbers */
	const char *text; /* default of texts; items of lists, by blanks */
	uint64_t least;
	uint64_t most;
	bool off;	    /* 0 is allowed, too, though below least */
	const char *set_by; /* option that says most, or NULL, */
	const char *set_of; /* ... and whose it is: " of plan small" */
	const struct option *standard_of; /* whose value is the default, while
					   * this is OPTION_UNSET; or NULL */
	const char *const *words; /* of a CHOICE, NULL behind the last */
	const char *sentence;
};

/* The number of an option with a standard_of that was not given. */
#define OPTION_UNSET UINT64_MAX

/* Which member of struct option a row's default goes to. */
#define STANDARD_PATH(s) .text = (s)
#define STANDARD_STRING(s) .text = (s)
#define STANDARD_USER(s) .text = (s)
#define STANDARD_GROUP(s) .text = (s)
#define STANDARD_PATHS(s) .text = (s)
#define STANDARD_NAMES(s) .text = (s)
#define STANDARD_STRINGS(s) .text = (s)
#define STANDARD_METHODS(s) .text = (s)
#define STANDARD_ENV(s) .text = (s)
#define STANDARD_TIME(s) .number = (s)
#define STANDARD_SIZE(s) .number = (s)
#define STANDARD_COUNT(s) .number = (s)
#define STANDARD_BOOL(s) .number = (s)
#define STANDARD_CHOICE(s) .number = (s)

/* ---- option.c -------------------------------------------------------------- */

/* A value on its way into a struct: the member its kind says is meant. */
struct option_value {
	uint64_t number;
	char *text;	     /* ours */
	struct strings list; /* ours */
};

enum option_kind option_kind(const struct option *);
void option_value_free(struct option_value *);
uint64_t option_number(const struct option *, const void *object);
bool option_is_set(const struct option *, const void *object); /* a number */
const char *option_string(const struct option *, const void *object);
const struct strings *option_list(const struct option *, const void *object);

/* All options of a zeroed object at their defaults; fatal without memory. */
void options_default(const struct option *, size_t count, void *object);
void options_free(const struct option *, size_t count, void *object);

/* May the option have this value? 0, or -1 and `why`: the sentence behind the
 * option's path, " = 0 is out of range: ...". One item of a list likewise. */
int option_check(const struct option *, const struct option_value *,
    char why[OPTION_WHY_MOST]);
int option_check_item(const struct option *, struct span item,
    char why[OPTION_WHY_MOST]);
/* Takes what is in the value. */
void option_set(const struct option *, void *object, struct option_value *);

/* What differs from `standard`, row by row. decode: over the object's defaults;
 * -1 unless the bytes are rows of ascending number with allowed values. */
int options_encode(const struct option *, size_t count, const void *object,
    const void *standard, struct buf *);
int options_decode(const struct option *, size_t count, struct span,
    void *object);

/* "0 or 1ms to 5m"; "" when there is nothing to say. A value in words. */
const char *option_range(const struct option *, char text[96]);
const char *option_number_text(const struct option *, uint64_t, char text[32]);
/* "10s" in a file, "10 s" in a sentence. */
const char *option_number_words(const struct option *, uint64_t, char text[32]);

/* Numbers and spans as in messages. 0 or -1. */
int option_put_u32(struct buf *, uint32_t);
int option_put_u64(struct buf *, uint64_t);
int option_put_span(struct buf *, struct span);
int option_take_u32(struct span *, uint32_t *);
int option_take_u64(struct span *, uint64_t *);
int option_take_span(struct span *, struct span *);

int strings_add(struct strings *, struct span); /* 0 or -1 */
/* A pair NAME=value; a name that is there gets its new value in its old place.
 * 0 or -1. */
int strings_put_env(struct strings *, struct span pair);
bool strings_have(const struct strings *, struct span);
int strings_copy(struct strings *, const struct strings *);
void strings_free(struct strings *);
bool strings_equal(const struct strings *, const struct strings *);

/* ---- option_file.c ---------------------------------------------------------- */

struct option_file; /* opaque: a file that is being read, and its errors */

/* Reads the text of a file. NULL when it has an error of syntax, which is in
 * `errors`. `directory` is where relative paths and @include start; NULL: there
 * are none, and no @include. */
struct option_file *option_file_new(const char *name, struct span text,
    const char *directory, struct buf *errors);
void option_file_free(struct option_file *);

/* An error at the line of an option, without `path` of the last group; at any
 * line (0: none) of any file. Is the option in the file, were there errors? */
void option_file_say(struct option_file *, const char *path, const char *, ...)
    __attribute__((format(printf, 3, 4)));
void option_file_say_at(struct option_file *, const char *name, int line,
    const char *, ...) __attribute__((format(printf, 4, 5)));
bool option_file_has(const struct option_file *, const char *path);
/* Errors stand at the line of an option of that group from now on, if it has
 * that option, and else of the group. */
void option_file_at(struct option_file *, const char *list, size_t index,
    const char *path);
size_t option_file_errors(const struct option_file *);

/* A value from the file for an error, cut. */
const char *option_file_shown(const char *value,
    char text[OPTION_SHOWN_MOST + 8]);

/* Paths of the files that @include named, and "file:line" where it did; the
 * caller's from now on. */
void option_file_included(struct option_file *, struct strings *paths,
    struct strings *at);
/* At most `most` bytes of a regular file, from its start, into *b. 0, or -1
 * and `why`: "cannot be read: ...". */
int option_file_load(int fd, size_t most, struct buf *b,
    char why[OPTION_WHY_MOST]);

/* ---- option_read.c ---------------------------------------------------------- */

/* Everything in the file goes into the object by the rows; errors of meaning
 * are appended, each with its line. */
void option_file_read(struct option_file *, const struct option *, size_t count,
    void *object);
/* The same for an OPTION_OTHER that is a list of groups: returns how many it
 * has, and reads one of them. */
size_t option_file_groups(struct option_file *, const char *path);
void option_file_group(struct option_file *, const char *path, size_t index,
    const struct option *, size_t count, void *object);

/* Relative to that directory, which is canonical, if it does not begin with /;
 * an empty one stays empty. The caller frees. */
char *option_path_from(const char *directory, const char *path);

/* ---- option_scan.c ---------------------------------------------------------- */

/* 0, or -1 with one error said: there is something in the text, or in a file
 * that it includes from that directory, that libconfig must not see. */
int option_scan(struct option_file *, const char *name, struct span text,
    const char *directory);

/* ---- option_print.c ---------------------------------------------------------- */

/* As a configuration file in which every option is commented: a line that
 * begins "# " is prose, any other "#" stands before an option. */
void options_print_file(const struct option *, size_t count, struct buf *);
void options_print_help(const struct option *, size_t count, const char *prefix,
    struct buf *);
void options_print_man(const struct option *, size_t count, const char *prefix,
    struct buf *);
/* Prose of a file, broken into lines behind "# "; names and sentences so. */
void options_print_prose(const char *, struct buf *);
void options_print_list(const struct option *, size_t count, struct buf *);

#endif
