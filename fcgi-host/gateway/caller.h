/* SPDX-License-Identifier: MIT */
/* caller.h - one caller of the control socket, between control.c, which takes
 * him in, caller.c, which hears him and answers, control_rights.c, which knows
 * what he may, and control_verbs.c, which does what he wants. The gateway
 * includes control.h only.
 *
 *	SPEAKING ──CONTROL──▶ ASKING ◀──▶ PAUSED	he reads slowly
 *	    └───────────────────┴───────────┴──▶ GONE
 *
 * ASKING: one ask is under way, `next` says what its answer is for. GONE: the
 * rest of the answer is with the peer, nothing else is left. */
#ifndef GATEWAY_CALLER_H
#define GATEWAY_CALLER_H

#include "base/buf.h"
#include "ipc/peer.h"

#include "gateway/control.h"

enum {
	CALLER_TENANT_MOST = 63,
	CALLER_CALL_MOST = 128,
	CALLER_FUNCTION_MOST = 255,
};

enum caller_state {
	CALLER_SPEAKING,
	CALLER_ASKING,
	CALLER_PAUSED,
	CALLER_GONE,
};

enum caller_next { /* what the answer is for */
	NEXT_NOTHING,
	NEXT_RIGHT, /* whose tenant is it: may he? */
	NEXT_STATUS,
	NEXT_RELOAD,
	NEXT_SUSPEND,
	NEXT_NAMES, /* of tenants, for `list` without one */
	NEXT_LIST,
	NEXT_LATE, /* tenants that did not answer when it was their turn */
	NEXT_PLAN,
	NEXT_FAULTS, /* is there such a tenant, of whom none are known? */
};

struct caller_late { /* a tenant that a list of all went on without */
	struct list node;
	uint64_t ask;
	char tenant[CALLER_TENANT_MOST + 1];
};

struct caller {
	struct list node;	 /* in control.callers until GONE */
	struct control *control; /* borrowed, outlives us */
	enum caller_state state;
	struct peer *peer; /* ours until GONE */
	struct timer limit;
	struct deferred freed;
	struct control_caller who;

	enum verb verb; /* what he wants, from ASKING on */
	char tenant[CALLER_TENANT_MOST + 1];
	char function[CALLER_FUNCTION_MOST + 1];
	char call[CALLER_CALL_MOST + 1];
	uint32_t lines;
	uint32_t flags;
	bool follow;
	struct buf args;
	int fd; /* ours: the socket of `invoke`; -1 */

	enum caller_next next;
	uint64_t ask;
	struct control_facts *facts; /* NEXT_STATUS */
	struct buf names;  /* `list`, `faults`: tenants to come, with NUL */
	struct buf answer; /* `faults`: what is still to be sent */
	bool found;	   /* `explain`: the function is there */
	bool all;	   /* `list` without a tenant */
	bool more_names;
	struct list late; /* of struct caller_late, ours */
	size_t late_count;
	uint64_t paused_until_ms;
};

struct control {
	struct loop *loop; /* borrowed */
	struct watch listener;
	int listener_fd; /* borrowed; -1 when stopped */
	struct timer accept_again;
	struct control_hooks hooks;
	void *arg;
	struct control_operators operators;
	struct list callers;
	uint64_t asks; /* given out so far */
};

/* ---- control.c ----------------------------------------------------------------- */

/* The caller this is an answer for, NULL when there is none any more.
 * NEXT_NOTHING: whatever he asked. */
struct caller *control_asking(struct control *, uint64_t ask, enum caller_next);

/* ---- control_rights.c ---------------------------------------------------------- */

bool control_operator(const struct control_caller *,
    const struct control_operators *);

/* ---- caller.c ------------------------------------------------------------------ */

/* Takes *fd. NULL: who is there cannot be said; he is sent away. */
struct caller *caller_new(struct control *, int *fd);
void caller_move(struct caller *, enum caller_state);
/* A new number for what is asked next. */
uint64_t caller_ask(struct caller *, enum caller_next);
/* The result of a hook: when it could not ask, nobody will answer. */
void caller_asked(struct caller *, int result, const char *what);
void caller_put(struct caller *, struct span text);
void caller_end(struct caller *, const char *reason); /* NULL: all is well */
void caller_gone(struct caller *);

/* ---- control_verbs.c ----------------------------------------------------------- */

/* He may: does the verb, or asks whoever can. */
void verb_go(struct caller *);
/* He was PAUSED: goes on if he has read by now. */
void verb_go_on(struct caller *);
/* Nothing came in time: false when that is the end of it. */
bool verb_late(struct caller *);

#endif
