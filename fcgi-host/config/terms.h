/* SPDX-License-Identifier: MIT */
/* terms.h - what one tenant gets: the host's options, over them its plan, over
 * that what it was given by name. Worked out once for a configuration, so that
 * whoever needs a number of a tenant has it at hand; all are settled, nothing
 * is to be combined any more. */
#ifndef CONFIG_TERMS_H
#define CONFIG_TERMS_H

#include "config/config.h"

enum term {
#define TERM(member, name, TYPE, host_member, sentence) TERM_##member,
#include "config/terms.def"
#undef TERM
	TERMS
};

enum { NETWORK_AUTO, NETWORK_NONE, NETWORK_HOST };

/* Who said it last. */
enum terms_from { TERMS_HOST, TERMS_PLAN, TERMS_TENANT };

struct terms {
	const char *plan; /* borrowed from the configuration; "": none */
#define TERM(member, name, TYPE, host_member, sentence) CONFIG_##TYPE member;
#include "config/terms.def"
#undef TERM
	struct strings read; /* ours, these three */
	struct strings write;
	struct strings env;	  /* "NAME=value" */
	uint64_t limits[LIMITS];  /* of an invocation: what it has, */
	uint64_t maximum[LIMITS]; /* ... and may ask for; 0: anything */
	uint64_t concurrency;	  /* of a function: likewise */
	uint64_t concurrency_most;
	unsigned char from[TERMS]; /* enum terms_from */
	unsigned char limits_from[LIMITS];
	unsigned char maximum_from[LIMITS];
};

/* Of any name, also of no tenant (SPAN_NONE): those without a plan or entry of
 * their own. Lives as long as the configuration. */
const struct terms *config_terms(const struct config *, struct span tenant);
/* Whether nothing has changed for who has them, wherever it comes from. */
bool terms_equal(const struct terms *, const struct terms *);
/* Whether a cell of this tenant that was made from the one configuration is as
 * one made from the other would be. */
bool config_same_cell(const struct config *, const struct config *,
    struct span tenant);
/* Whether any tenant has variables, which may be secrets. */
bool config_has_env(const struct config *);
/* The greatest maximum that any tenant has; 0: one has none. */
uint64_t config_maximum(const struct config *, enum limit);

/* "64 MiB", "none": a value in the words of its row. */
const char *terms_text(const struct terms *, enum term, char text[32]);
/* " of plan small", " of tenants", or "" for the host's: what stands behind the
 * name of an option. */
const char *terms_of(const struct terms *, enum terms_from, char text[96]);

#endif
