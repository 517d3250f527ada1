/* SPDX-License-Identifier: MIT */
/* config.h - the host's configuration: immutable, made whole or not at all,
 * with a generation number. The struct has one member per row of options.def
 * and two arrays by the rows of limits.def. Master reads the file; the other
 * processes get the same struct in a CONFIG message. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

enum limit {
#define LIMIT(name, TYPE, standard, most, sentence) LIMIT_##name,
#include "config/limits.def"
#undef LIMIT
	LIMITS
};

struct limit_row {
	const char *name;
	char type; /* 't' ms, 's' bytes, 'c' count */
	uint64_t standard;
	uint64_t most;
	const char *sentence;
};
extern const struct limit_row limit_rows[LIMITS];
/* "10s", "64 MiB", "128": a value in the words of its row; "0" is off. */
const char *limit_text(enum limit, uint64_t value, char text[32]);

struct strings {      /* a list of text */
	char **items; /* ours */
	size_t count;
};

#define CONFIG_PATH char *
#define CONFIG_STRING char *
#define CONFIG_USER char *
#define CONFIG_GROUP char *
#define CONFIG_STRINGS struct strings
#define CONFIG_PATHS struct strings
#define CONFIG_NAMES struct strings
#define CONFIG_TIME uint64_t
#define CONFIG_SIZE uint64_t
#define CONFIG_COUNT uint64_t
#define CONFIG_BOOL bool
#define CONFIG_CHOICE unsigned
#define CONFIG_ENV struct strings /* "NAME=value" */

enum { DURABILITY_FULL, DURABILITY_RELAXED };

/* A plan, or what the administrator gives one tenant: one member per row of
 * grants.def and terms.def. Numbers that were not given are all ones. Who wants
 * to know what a tenant has asks config_terms() of terms.h.
 * `tenants = ( { name = "git"; read = [ "/srv/git" ]; slots = 8; } );` */
struct grant {
#define GRANT(member, name, TYPE, standard, least, most, sentence) \
	CONFIG_##TYPE member;
#include "config/grants.def"
#undef GRANT
#define TERM(member, name, TYPE, host_member, sentence) CONFIG_##TYPE member;
#include "config/terms.def"
#undef TERM
	uint64_t limits[LIMITS];
	uint64_t maximum[LIMITS];
	char *plan; /* ours; of a tenant: "" is that of all */
};

struct grants {
	struct grant *items; /* ours */
	size_t count;
	uint32_t *by_name; /* ours: their numbers, once settled */
};

/* What each tenant is granted, as it was encoded: see packed.c. */
struct packed {
	char *bytes; /* ours */
	size_t size;
	uint32_t *at; /* ours: where each begins, and the end */
	size_t count;
};

struct config {
	unsigned references;
	uint64_t generation;
#define OPTION(member, path, TYPE, standard, least, most, sentence) \
	CONFIG_##TYPE member;
#include "config/options.def"
#undef OPTION
	uint64_t limits[LIMITS]; /* defaults */
	uint64_t maximum[LIMITS];
	struct grants plans;
	struct packed tenants;
	struct terms **terms; /* ours: of who has no entry, then of each in
			       * `tenants`; NULL until asked for */
	size_t terms_count;
	struct strings included;    /* ours: files that @include named */
	struct strings included_at; /* ours: "file:line" of each */
};

struct config *config_new(void); /* every option at its default */
struct config *config_hold(struct config *);
void config_release(struct config **);
/* The terms will be worked out again, after members were changed: 0, or -1 when
 * the plan of all is not there. What config_terms() gave before is gone. */
int config_settle(struct config *);

/* Reads a file over the defaults. Relative PATHs are taken from the directory
 * the file is in. On errors returns NULL and appends to `errors` one line each,
 * "file:line: sentence": the first of syntax, or all of meaning. */
struct config *config_load(const char *file, uint64_t generation,
    struct buf *errors);

/* The same where the command line says where the host keeps what is its own,
 * which nobody is granted: absolute, or NULL for what the file says. */
struct config_places {
	const char *functions;
	const char *run;
	const char *log;
	const char *state; /* NULL: in the run directory */
};
struct config *config_load_for(const char *file, uint64_t generation,
    const struct config_places *, struct buf *errors);

/* The same struct in bytes, and back: NULL when they are not. That of one tenant
 * is for a CELL message and leaves out what other plans and tenants are granted:
 * a cell has no business with their variables. -1: the buffer's ceiling.
 * config_load() refuses what is more than either. */
enum {
	CONFIG_BYTES_MOST = 16 * 1024 * 1024, /* all, and the file */
	CONFIG_CELL_BYTES_MOST = 190 * 1024,
};
int config_encode(const struct config *, struct buf *);
int config_encode_for(const struct config *, struct span tenant, struct buf *);
struct config *config_decode(struct span);

/* All of it, or without plans and tenants, as a CONFIG message carries it: a
 * sealed memory file with `bytes` in it, and back. -1 with errno, or NULL. */
int config_seal(const struct config *, bool tenants, uint64_t *bytes);
struct config *config_unseal(int fd, uint64_t bytes);

enum { CONFIG_TENANT_MOST = 63 };
/* [a-z0-9][a-z0-9_-]*; or a user's own: ~ and then [a-z0-9_][a-z0-9_-]* */
bool config_tenant_name(struct span);

/* All options with sentence, type, range and default: as a commented
 * configuration file (conf/every-option.conf), or as text for --help-options,
 * or as rows of the man page (roff). */
void config_print_file(struct buf *);
void config_print_help(struct buf *);
void config_print_man(struct buf *);

#endif
