/* SPDX-License-Identifier: MIT */
/* client.h - a request to the host and its reply, over the socket that the
 * function was given: variables, connection, time-outs, and what is asked again.
 * Knows HTTP and nothing of state. */
#ifndef SDK_CLIENT_H
#define SDK_CLIENT_H

#include "base/buf.h"
#include "base/span.h"

#include "sdk/fn.h"

enum {
	CLIENT_BODY_MOST = 8 * 1024 * 1024, /* of a reply: a page of 4 MiB whose
					     * values came as base64 */
	CLIENT_TARGET_MOST = 16 * 1024,	    /* path and query */
	CLIENT_TRIES_MOST = 5,
};

/* May a request whose outcome is not known be made once more? */
enum again {
	AGAIN_NEVER,	 /* it would undo what another one wrote since */
	AGAIN_CONDITION, /* the condition keeps it from that */
	AGAIN_KEYED,	 /* the host knows it by its Idempotency-Key */
	AGAIN_ALWAYS,	 /* it only reads */
};

struct call {
	const char *method;
	struct buf target; /* behind FN_STATE_URL, encoded: call_target() ... */
	bool target_bad;   /* it did not fit */
	enum again again;
	uint64_t if_match; /* 0: none */
	bool if_none_match;
	const char *type; /* of the body, NULL: no body */
	struct span body; /* borrowed */
	unsigned wait_s;  /* the host may think so long before it replies */
};

struct reply {
	unsigned status;
	uint64_t version;  /* of ETag, 0: none */
	int64_t expires_s; /* of Fn-Expires, 0: none */
	uint32_t retry_after_s;
	char type[128]; /* "" when there is none, or a longer one */
	bool repeated;	/* an earlier try may have been carried out */
	struct buf body;
	/* What a problem+json says (RFC 9457); point into the body, or absent. */
	struct span problem; /* behind the last colon of its type */
	struct span title;
	struct span detail;
	struct span failed_key; /* of the first check that did not hold */
	bool outcome_unknown;	/* it says so of a write */
};

void call_init(struct call *, const char *method, enum again);
void call_free(struct call *);
void call_path(struct call *, const char *literal);
void call_key(struct call *, const char *key); /* percent-encoded */
/* "?name=value" or "&name=value" */
void call_query(struct call *, const char *name, const char *value);
void call_query_number(struct call *, const char *name, uint64_t);

/* FN_OK: there is a reply, of whatever status, to be freed. Else the problem has
 * been said and there is none. */
enum fn_result client_call(const struct call *, struct reply *);
void reply_free(struct reply *);

/* As much of wait_s, in milliseconds, as the deadline leaves. */
uint64_t client_wait_ms(unsigned wait_s);

/* Sets what fn_problem() says, and returns the result. */
enum fn_result problem(enum fn_result, const char *, ...)
    __attribute__((format(printf, 2, 3)));
enum fn_result problem_none(void); /* FN_OK */
/* Reads a problem+json into the reply, decoding the body in place: once. */
void problem_read(struct reply *);
/* What that says is wrong, as a sentence. */
enum fn_result problem_reply(enum fn_result, const struct reply *);

#endif
