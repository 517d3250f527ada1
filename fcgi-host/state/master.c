/* SPDX-License-Identifier: MIT */
/* master.c - the channels to master and to the gateway. When master is gone the
 * process ends at once; a gateway that is gone is made anew by master. */
#include <stdlib.h>

#include "base/diag.h"

#include "state/api.h"
#include "state/state.h"
#include "state/token.h"

static void master_says(void *arg, enum message_type, struct span body,
    int *fds, size_t fd_count);
static void master_gone(void *arg, const char *reason, bool unread);
static void master_wire(struct state *, int *fd);
static void gateway_says(void *arg, enum message_type, struct span body,
    int *fds, size_t fd_count);
static void gateway_gone(void *arg, const char *reason, bool unread);

void
master_open(struct state *s)
{
	s->master = peer_new(s->loop, PEER_FIRST_FD, ROLE_STATE, ROLE_MASTER,
	    master_says, master_gone, s);
}

static void
master_says(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct state *s = arg;
	struct message_config config;
	struct message_drain drain;
	struct message_wire wire;
	struct message_key key;

	(void)fd_count; /* as the row says */
	if (type == MESSAGE_CONFIG && message_config_decode(body, &config) == 0)
		state_configure(s, fds[0], config.bytes);
	else if (type == MESSAGE_DRAIN &&
	    message_drain_decode(body, &drain) == 0)
		state_drain(s, drain.limit_ms);
	else if (type == MESSAGE_PING)
		(void)peer_send(s->master, MESSAGE_PONG, NULL, NULL, 0);
	else if (type == MESSAGE_KEY && message_key_decode(body, &key) == 0)
		state_key(s, key.key);
	else if (type == MESSAGE_WIRE &&
	    message_wire_decode(body, &wire) == 0 && wire.role == ROLE_GATEWAY)
		master_wire(s, &fds[0]);
	else
		diag_panic("master sent a malformed %s",
		    message_row(type)->name);
}

/* What is acknowledged is on the disk; a new process goes on from there. */
static void
master_gone(void *arg, const char *reason, bool unread)
{
	(void)arg;
	(void)unread;
	diag_warn("master %s: ending", reason);
	_Exit(1);
}

/* A new gateway: the one before has ended, or is about to. */
static void
master_wire(struct state *s, int *fd)
{
	int own = *fd;

	*fd = -1;
	peer_free(&s->gateway);
	s->gateway = peer_new(s->loop, own, ROLE_STATE, ROLE_GATEWAY,
	    gateway_says, gateway_gone, s);
	buf_free(&s->facts); /* it knows none */
	if (s->phase != STATE_STARTING)
		facts_send(s);
}

/* Verbs of fcgi-hostctl, from who may use them. */
static void
gateway_says(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct state *s = arg;
	struct message_control_state m;

	(void)fd_count; /* as the row says */
	if (type != MESSAGE_CONTROL_STATE ||
	    message_control_state_decode(body, &m) != 0)
		diag_error("the gateway sent a malformed %s",
		    message_row(type)->name);
	else if (m.verb == VERB_TOKEN)
		token_control(s->loop, s->ring, &m, &fds[0]);
	else if (m.verb == VERB_STATE && s->api)
		host_serve(&s->serve, &fds[0], m.tenant);
	else if (m.verb == VERB_STATE) /* to hear why not */
		connection_new(&s->serve, &fds[0], true, NULL);
}

static void
gateway_gone(void *arg, const char *reason, bool unread)
{
	struct state *s = arg;

	(void)unread;
	/* master says why, and makes a new one */
	diag_debug("no channel to the gateway: %s", reason);
	peer_free(&s->gateway);
}
