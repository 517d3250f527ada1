/* SPDX-License-Identifier: MIT */
/* precondition.h - If-Match and If-None-Match (RFC 9110 section 13): read once,
 * then held against what is there, or handed to the store as checks that hold at
 * the moment of the commit. Versions are our only entity tags and always strong.
 * Pure. */
#ifndef STATE_PRECONDITION_H
#define STATE_PRECONDITION_H

#include "base/span.h"

enum { PRECONDITION_TAGS_MOST = 16 };

enum precondition_kind {
	PRECONDITION_NONE, /* no such field */
	PRECONDITION_ANY,  /* "*" */
	PRECONDITION_TAGS, /* one of these; none can match when count is 0 */
};

struct precondition {
	enum precondition_kind kind;
	size_t count;
	uint64_t versions[PRECONDITION_TAGS_MOST];
};

struct preconditions {
	struct precondition match;
	struct precondition none_match;
};

enum precondition_error {
	PRECONDITION_OK,
	PRECONDITION_BAD,      /* neither "*" nor a list of entity tags */
	PRECONDITION_TOO_MANY, /* tags */
};

/* Of absent fields SPAN_NONE. *field names the one that is bad. Tags that are no
 * versions of ours are good and match nothing; weak ones only If-None-Match. */
enum precondition_error preconditions_read(struct preconditions *,
    struct span if_match, struct span if_none_match, const char **field);

enum precondition_result {
	PRECONDITIONS_HOLD,
	PRECONDITIONS_FAIL,   /* 412 */
	PRECONDITIONS_UNMADE, /* 304 for GET and HEAD: it has what there is */
};

/* Against a version, 0: there is no such key. If-Match comes first (section
 * 13.2.2). `reading` is GET or HEAD. */
enum precondition_result preconditions_hold(const struct preconditions *,
    uint64_t version, bool reading);

static inline bool
preconditions_any(const struct preconditions *p)
{
	return p->match.kind != PRECONDITION_NONE ||
	    p->none_match.kind != PRECONDITION_NONE;
}

#endif
