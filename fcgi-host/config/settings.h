/* SPDX-License-Identifier: MIT */
/* settings.h - the settings of one function: its own file over the tenant's
 * over the tenant's terms, within their maxima. Parsed only by a process
 * that runs as the tenant; the gateway gets them as bytes and trusts no value
 * before settings_decode() has checked it against the maxima again. Encode and
 * decode with the terms of the same generation of the configuration. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "config/terms.h"

enum {
	SETTINGS_FILE_MOST = 64 * 1024,
	SETTINGS_ENV_MOST = 32 * 1024,	 /* all of env together */
	SETTINGS_REQUESTS = 500,	 /* of a worker, by default */
	SETTINGS_BYTES_MOST = 56 * 1024, /* settings_encode() */
};
enum { START_AUTO, START_EXEC, START_FORK };
enum { RUNTIME_AUTO, RUNTIME_PYTHON };
enum { PROTOCOL_AUTO, PROTOCOL_CGI, PROTOCOL_FASTCGI };
/* What the function is. ANY: not known, for the defaults of a tenant. */
enum { PROGRAM_ANY, PROGRAM_CGI, PROGRAM_SDK, PROGRAM_PYTHON };
enum { BODY_FILE, BODY_STREAM };
enum { STATE_WRITE, STATE_READ, STATE_NONE };

#define SETTINGS_COUNT uint64_t
#define SETTINGS_BOOL bool
#define SETTINGS_CHOICE unsigned
#define SETTINGS_STRINGS struct strings
#define SETTINGS_METHODS struct strings
#define SETTINGS_ENV struct strings /* "NAME=value" */

struct settings {
	unsigned references;
#define WORDS(member, ...)
#define SETTING(member, name, TYPE, standard, least, most, sentence) \
	SETTINGS_##TYPE member;
#include "config/settings.def"
#undef SETTING
#undef WORDS
	uint64_t limits[LIMITS];
};

/* The tenant's defaults: what a function without any file has, if it is a CGI
 * program. concurrency is slots.function. */
struct settings *settings_new(const struct terms *);
struct settings *settings_hold(struct settings *);
void settings_release(struct settings **);

/* The same before any file was read, when protocol still is PROTOCOL_AUTO. What
 * the program then is says settings_settle(), behind the last file: PROGRAM_CGI,
 * or what else it could be seen to be. From then on all of them are true: nobody
 * sees PROTOCOL_AUTO, requests is 1 and spare 0 with cgi, spare_max is at least
 * spare, and only what has the SDK is forked, or may be (START_AUTO). */
struct settings *settings_draft(const struct terms *);
void settings_settle(struct settings *, unsigned program);

/* What a program is whose first bytes say `program`, by what its settings add to
 * that: its runtime. */
unsigned settings_program(const struct settings *, unsigned program);

/* Applies one file over a draft. `name` is what errors call it ("hello.conf").
 * fd is read from its start, at most SETTINGS_FILE_MOST bytes; @include is
 * refused. `program` is what the function's program is; PROGRAM_ANY for the
 * file of a tenant, whose defaults may be more than some of its functions can
 * use. 0, or -1 with lines "name:line: sentence" in `errors`: the first of
 * syntax, or all of meaning; *s is then to be thrown away. */
int settings_read(struct settings *, const struct terms *, int fd,
    const char *name, unsigned program, struct buf *errors);

/* Of settled ones. Only what differs from settings_new() of the same terms goes into the bytes, so
 * a CGI program without files has none. decode: NULL unless every value is in
 * range for these terms, and they are settled. */
int settings_encode(const struct settings *, const struct terms *,
    struct buf *);
struct settings *settings_decode(struct span, const struct terms *);

bool settings_takes_method(const struct settings *, struct span method);

void settings_print_man(struct buf *);	/* roff rows */
void settings_print_file(struct buf *); /* conf/function.conf */

#endif
