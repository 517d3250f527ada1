/* SPDX-License-Identifier: MIT */
/* state.h - asking the state API, for the files of the verb `state`. */
#ifndef CTL_STATE_H
#define CTL_STATE_H

#include "ctl/ctl.h"

enum { STATE_BODY_MOST = 64 * 1024 * 1024 }; /* of a reply we keep */

struct state_ask {
	const char *tenant; /* "": all of them */
	const char *method;
	struct buf uri;
	struct span send; /* borrowed; SPAN_NONE: no body */
	const char *type;
	const char *accept;
	/* The reply's body in parts, when its status is below 400; a sentence
	 * ends it. NULL: it is kept in `body`. */
	const char *(*sink)(void *arg, struct span);
	void *arg;

	struct reply_head head;
	struct buf body;
	struct buf problem;
};

/* path is below /state/v1, not encoded anew. */
void state_ask_init(struct state_ask *, const char *tenant, const char *method,
    const char *path);
void state_ask_key(struct state_ask *, const char *key);
void state_ask_query(struct state_ask *, const char *name, const char *value);
/* 0, or CTL_FAILED or CTL_USAGE with the reason said. */
int state_ask_run(const struct ctl *, struct state_ask *);
/* What it kept. New reference, or NULL with the reason said. */
struct json_t *state_ask_json(const struct state_ask *);
void state_ask_free(struct state_ask *);

/* Is it for every tenant? Then what fails says for which. (state.c) */
bool state_all(void);

/* ---- state_copy.c: whole files ------------------------------------------------ */

int state_backup(const struct ctl *, const char *tenant, const char *to);
/* Was it said that what is there may go? (state.c) */
bool state_may_overwrite(void);
int state_restore(const struct ctl *, const char *tenant, const char *from);

#endif
