/* SPDX-License-Identifier: MIT */
/* resolve.h - the rules of the drop-in directory: what a name means now. Runs
 * as the tenant, so what it may not read cannot be asked for. Every answer but
 * "found" and "none" is a sentence that names the file and the cure. */
#ifndef CELL_RESOLVE_H
#define CELL_RESOLVE_H

#include <sys/types.h>

#include "config/config.h"
#include "ipc/message.h"
#include "wire/name.h"

#include "cell/reason.h"
#include "cell/scan.h"

enum { RESOLVE_FILE_MOST = NAME_FILE_MOST + 5 };

struct resolve; /* opaque */

struct resolve_place {
	const char *tenant;    /* borrowed; NULL: any */
	int directory_fd;      /* borrowed: the tenant's directory */
	const char *directory; /* borrowed: its absolute path */
	uid_t uid;	       /* who we are */
	gid_t gid;
	const char *python;  /* borrowed: fcgi-host-python, as it is called in
			     * here; NULL: this host has none */
	bool user_namespace; /* other users' ids read as the overflow id */
};

struct resolution {
	enum resolved outcome;
	char function[NAME_FUNCTION_MOST + 1];
	char file[RESOLVE_FILE_MOST + 1]; /* relative to the directory */
	char reason[REASON_MOST];	  /* refused: one sentence */
	uint64_t version;    /* found: another one when a file or setting is */
	unsigned program;    /* found: PROGRAM_..., settled; else ANY */
	unsigned protocol;   /* found: PROTOCOL_CGI or _FASTCGI; else 0 */
	struct buf ticket;   /* found */
	struct buf settings; /* found; empty: the defaults */
};
void resolution_init(struct resolution *);
void resolution_free(struct resolution *);

struct resolution_facts { /* of its settings; none of what was not found */
	bool off;	  /* it is switched off */
	unsigned start;	  /* START_... */
};

struct resolution_facts resolution_facts(const struct resolve *,
    const struct resolution *);

/* Borrows what the place borrows, holds the configuration. */
struct resolve *resolve_new(const struct resolve_place *, struct config *);
void resolve_free(struct resolve **);

/* What is `asked`, a function's name or the whole name of its file? */
void resolve_name(struct resolve *, struct span asked, uint64_t unix_ms,
    struct resolution *);

/* Every function of the directory and every file that is refused, by name, but
 * for what only lies beside them. 0, or -1 when the directory cannot be read. */
typedef void resolve_list_fn(void *arg, const struct resolution *);
int resolve_list(struct resolve *, uint64_t unix_ms, resolve_list_fn *,
    void *arg);

#endif
