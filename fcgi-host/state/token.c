/* SPDX-License-Identifier: MIT */
/* token.c - the four things an operator does with access tokens, and their keys
 * read again. Each of the four is said in the log, with who it was and the
 * token's id; the token itself goes to him and nowhere else. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "ipc/peer.h"

#include "state/ring.h"
#include "state/token.h"

enum {
	SEND_BYTES = 32 * 1024, /* in one CONTROL_OUT */
	LIST_MOST = 3 * 1024 * 1024,
	TAKE_MS = 5000, /* for the caller to read the answer */
};

struct order {
	struct span tenant; /* absent: all */
	struct span scope;
	struct span prefix;
	struct span id;
	uint64_t ttl_s;
	uint64_t overlap_s;
};

struct answer {
	struct buf out;
	char why[RING_WHY]; /* a sentence; "" */
	uid_t uid;	    /* of who asks */
};

static int order_read(struct span words, struct order *, struct span *action);
static int token_do(struct ring *, struct span action, const struct order *,
    struct answer *);
static int token_mint(struct ring *, const struct order *, uint64_t now_s,
    struct answer *);
static int token_revoke(struct ring *, const struct order *, uint64_t now_s,
    struct answer *);
static int token_rotate(struct ring *, const struct order *, uint64_t now_s,
    struct answer *);
static int token_keys(struct ring *, uint64_t now_s, struct answer *);
static void say_others(const struct ring *, char why[RING_WHY]);
static void answer_send(struct loop *, struct answer *, bool failed, int *fd);

void
token_control(struct loop *loop, struct ring *ring,
    const struct message_control_state *m, int *fd)
{
	struct answer answer = { .why = "", .uid = (uid_t)-1 };
	struct order order = { .tenant = m->tenant };
	struct fd_peer peer;
	struct span action;
	int result = -1;

	buf_init(&answer.out, LIST_MOST);
	if (m->tenant.bytes == 0)
		order.tenant = SPAN_NONE;
	if (fd_peer_of(*fd, &peer) == 0)
		answer.uid = peer.uid;
	if (!ring)
		snprintf(answer.why, sizeof(answer.why),
		    "the state process cannot read its keys; the log of "
		    "fcgi-host tells why");
	else if (order_read(m->args, &order, &action) != 0)
		snprintf(answer.why, sizeof(answer.why),
		    "the state process is another version than this "
		    "fcgi-hostctl");
	else
		result = token_do(ring, action, &order, &answer);
	answer_send(loop, &answer, result != 0, fd);
	if (buf_bytes(&answer.out) > 0)
		explicit_bzero((void *)(uintptr_t)buf_span(&answer.out).data,
		    buf_bytes(&answer.out));
	buf_free(&answer.out);
}

/* The action, then NAME=VALUE; each word ends with NUL. */
static int
order_read(struct span words, struct order *order, struct span *action)
{
	*action = span_cut(&words, '\0');
	while (words.bytes > 0) {
		struct span value = span_cut(&words, '\0');
		struct span name = span_cut(&value, '=');

		if (span_equal(name, SPAN("scope")))
			order->scope = value;
		else if (span_equal(name, SPAN("prefix")))
			order->prefix = value;
		else if (span_equal(name, SPAN("id")))
			order->id = value;
		else if (span_equal(name, SPAN("ttl"))) {
			if (span_number(value, UINT32_MAX, &order->ttl_s) != 0)
				return -1;
		} else if (span_equal(name, SPAN("overlap"))) {
			if (span_number(value, UINT32_MAX, &order->overlap_s) !=
			    0)
				return -1;
		} else
			return -1;
	}
	return 0;
}

static int
token_do(struct ring *ring, struct span action, const struct order *order,
    struct answer *answer)
{
	uint64_t now_s = clock_unix_ms() / 1000;

	if (span_equal(action, SPAN("mint")))
		return token_mint(ring, order, now_s, answer);
	if (span_equal(action, SPAN("revoke")))
		return token_revoke(ring, order, now_s, answer);
	if (span_equal(action, SPAN("rotate")))
		return token_rotate(ring, order, now_s, answer);
	if (span_equal(action, SPAN("keys")))
		return token_keys(ring, now_s, answer);
	if (span_equal(action, SPAN("list"))) {
		if (ring_list(ring, &answer->out, order->tenant, now_s) == 0)
			return 0;
		snprintf(answer->why, sizeof(answer->why),
		    "the list is too long; name a tenant");
		return -1;
	}
	snprintf(answer->why, sizeof(answer->why),
	    "the state process is another version than this fcgi-hostctl");
	return -1;
}

/* For who reloads: their files are read again, and what is wrong with them is
 * the answer. */
static int
token_keys(struct ring *ring, uint64_t now_s, struct answer *answer)
{
	if (ring_reload(ring, now_s, answer->why) != 0)
		buf_put_string(&answer->out, answer->why);
	answer->why[0] = '\0';
	return 0;
}

static int
token_mint(struct ring *ring, const struct order *order, uint64_t now_s,
    struct answer *answer)
{
	char id[JWT_ID_MOST + 1];
	enum jwt_scope scope;

	if (jwt_scope_find(order->scope, &scope) != 0) {
		snprintf(answer->why, sizeof(answer->why),
		    "a scope is read, write or admin");
		return -1;
	}
	if (ring_mint(ring, &answer->out, order->tenant, scope, order->prefix,
		order->ttl_s, now_s, id, answer->why) != 0)
		return -1;
	diag_info("access token minted: id=%s tenant=%.*s scope=%s ttl=%llus "
		  "by=%d",
	    id, SPAN_ARGS(order->tenant), jwt_scope_name(scope),
	    (unsigned long long)order->ttl_s, (int)answer->uid);
	return 0;
}

static int
token_revoke(struct ring *ring, const struct order *order, uint64_t now_s,
    struct answer *answer)
{
	bool known = ring_knows(ring, order->id);

	if (ring_revoke(ring, order->id, now_s, answer->why) != 0)
		return -1;
	if (!known)
		snprintf(answer->why, sizeof(answer->why),
		    "no token of that id was minted here; one that another "
		    "program made is not good any more");
	diag_info("access token revoked: id=%.*s by=%d", SPAN_ARGS(order->id),
	    (int)answer->uid);
	return 0;
}

static int
token_rotate(struct ring *ring, const struct order *order, uint64_t now_s,
    struct answer *answer)
{
	char kid[JWT_KID_MOST + 1], until[25];

	if (ring_rotate(ring, order->overlap_s, now_s, kid, answer->why) != 0)
		return -1;
	clock_iso((now_s + order->overlap_s) * 1000, until);
	snprintf(answer->why, sizeof(answer->why),
	    "keys/%s.key signs from now on; tokens of those before are good "
	    "until %.16sZ at most",
	    kid, until);
	say_others(ring, answer->why);
	diag_info("access tokens have a new key: kid=%s before_until=%s by=%d",
	    kid, until, (int)answer->uid);
	return 0;
}

/* Keys that somebody put there are his to take away. */
static void
say_others(const struct ring *ring, char why[RING_WHY])
{
	size_t count, used;
	struct jwt_key *const *keys = ring_keys(ring, &count);
	const char *before = "; put there by hand and still good: ";

	for (size_t i = 1; i < count; i++) {
		if (jwt_key_until(keys[i]) != 0)
			continue;
		used = strlen(why);
		snprintf(why + used, RING_WHY - used, "%skeys/%.*s.key", before,
		    SPAN_ARGS(jwt_key_kid(keys[i])));
		before = ", ";
	}
}

/* What the caller does not take at once waits, and not for long. */
static void
answer_send(struct loop *loop, struct answer *answer, bool failed, int *fd)
{
	struct message_control_end end = { .failed = failed,
		.text = span_of(answer->why) };
	struct message_control_out out;
	struct span rest = buf_span(&answer->out);
	struct peer *peer;

	peer = peer_new(loop, *fd, ROLE_STATE, ROLE_CTL, NULL, NULL, NULL);
	*fd = -1;
	while (!failed && rest.bytes > 0) {
		out.bytes = span_take(rest, SEND_BYTES);
		rest = span_skip(rest, out.bytes.bytes);
		if (peer_send(peer, MESSAGE_CONTROL_OUT, &out, NULL, 0) != 0)
			break;
	}
	if (rest.bytes > 0 && !failed)
		peer_free(&peer); /* he has gone */
	else if (peer_send(peer, MESSAGE_CONTROL_END, &end, NULL, 0) != 0)
		peer_free(&peer);
	else
		peer_finish(&peer, TAKE_MS);
}
