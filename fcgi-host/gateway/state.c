/* SPDX-License-Identifier: MIT */
/* state.c - what the gateway has to do with state: it signs for each run what
 * the function may do there, and passes on what operators ask of the state
 * process. It reads no token and keeps none. */
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"

#include "gateway/gateway.h"

static void state_says(void *arg, enum message_type, struct span body, int *fds,
    size_t fd_count);
static void state_gone(void *arg, const char *reason, bool unread);
static void copy_name(char *to, size_t room, struct span);

void
state_open(struct gateway *g, int *fd)
{
	peer_free(&g->state_peer);
	g->state_peer = peer_new(g->loop, *fd, ROLE_GATEWAY, ROLE_STATE,
	    state_says, state_gone, g);
	*fd = -1;
}

static void
state_says(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct gateway *g = arg;
	struct message_state_facts m;

	(void)fds;
	(void)fd_count;
	if (type != MESSAGE_STATE_FACTS ||
	    message_state_facts_decode(body, &m) != 0)
		return;
	free(g->state_facts);
	g->state_facts = span_dup(m.lines);
}

void
state_report(const struct gateway *g, struct control_facts *facts)
{
	struct span lines = span_of(g->state_facts);

	while (lines.bytes > 0)
		control_fact_line(facts, span_cut(&lines, '\n'));
}

static void
state_gone(void *arg, const char *reason, bool unread)
{
	struct gateway *g = arg;

	(void)reason; /* master says why, and makes a new one */
	(void)unread;
	peer_free(&g->state_peer);
	free(g->state_facts); /* of a process that is no more */
	g->state_facts = NULL;
}

int
state_pass(struct gateway *g, int fd, const struct message_control_state *m)
{
	return g->state_peer ?
	    peer_send(g->state_peer, MESSAGE_CONTROL_STATE, m, &fd, 1) :
	    -1;
}

void
state_key(struct gateway *g, struct span secret)
{
	jwt_key_free(&g->state_key);
	g->state_key = jwt_key_new(JWT_INVOCATION, SPAN_NONE, secret, 0);
	if (!g->state_key)
		diag_panic("master sent a key that is none");
}

/* Good until the deadline, which a run cannot outlive by more than grace; a
 * second that has begun counts. Without a time limit it is good for as long as
 * any may be. */
int
state_token(struct request *r, uint64_t now_ms, uint64_t deadline_ms,
    struct buf *out)
{
	const struct gateway *g = r->gateway;
	struct jwt_claims claims = {
		.kind = JWT_INVOCATION,
		.scope =
		    r->settings->state == STATE_READ ? JWT_READ : JWT_WRITE,
		.issued_s = now_ms / 1000,
		.expires_s = (deadline_ms + 999) / 1000,
	};
	uint64_t most_s = claims.issued_s + JWT_INVOCATION_MOST_S;

	if (!g->state_key || r->settings->state == STATE_NONE)
		return 0;
	if (deadline_ms == 0 || claims.expires_s > most_s)
		claims.expires_s = most_s;
	copy_name(claims.tenant, sizeof(claims.tenant), tenant_name(r->tenant));
	copy_name(claims.function, sizeof(claims.function),
	    function_name(r->function));
	copy_name(claims.id, sizeof(claims.id),
	    span_make(r->name, REQUEST_ID_CHARS));
	return jwt_mint(out, g->state_key, &claims);
}

/* Names of tenants and functions have the form and length of those in
 * tokens. */
static void
copy_name(char *to, size_t room, struct span name)
{
	name = span_take(name, room - 1);
	memcpy(to, name.data, name.bytes);
}
