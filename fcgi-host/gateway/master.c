/* SPDX-License-Identifier: MIT */
/* master.c - the channel to master: what it orders, what it answers, and what
 * only it can do. When it is gone the gateway ends at once. */
#include <stdlib.h>

#include "base/diag.h"

#include "gateway/gateway.h"

static void master_says(void *arg, enum message_type, struct span body,
    int *fds, size_t fd_count);
static void master_gone(void *arg, const char *reason, bool unread);
static bool master_life(struct gateway *, enum message_type, struct span body,
    int *fds);
static bool master_answer(struct gateway *, enum message_type, struct span body,
    int *fds, size_t fd_count);

void
master_open(struct gateway *g)
{
	g->master = peer_new(g->loop, PEER_FIRST_FD, ROLE_GATEWAY, ROLE_MASTER,
	    master_says, master_gone, g);
}

static void
master_says(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct gateway *g = arg;

	if (!master_life(g, type, body, fds) &&
	    !master_answer(g, type, body, fds, fd_count))
		diag_panic("master sent a malformed %s",
		    message_row(type)->name);
}

static void
master_gone(void *arg, const char *reason, bool unread)
{
	(void)arg;
	(void)unread;
	diag_warn("master %s: ending", reason);
	exit(1);
}

static bool
master_life(struct gateway *g, enum message_type type, struct span body,
    int *fds)
{
	struct message_config config;
	struct message_drain drain;
	struct message_wire wire;
	struct message_key key;
	struct message_spool spool;
	struct message_workers workers;

	if (type == MESSAGE_CONFIG && message_config_decode(body, &config) == 0)
		gateway_configure(g, fds[0], config.bytes);
	else if (type == MESSAGE_DRAIN &&
	    message_drain_decode(body, &drain) == 0)
		gateway_drain(g, drain.limit_ms);
	else if (type == MESSAGE_WIRE &&
	    message_wire_decode(body, &wire) == 0 && wire.role == ROLE_LOG)
		access_open(g, &fds[0]);
	else if (type == MESSAGE_WIRE &&
	    message_wire_decode(body, &wire) == 0 && wire.role == ROLE_STATE)
		state_open(g, &fds[0]);
	else if (type == MESSAGE_KEY && message_key_decode(body, &key) == 0)
		state_key(g, key.key);
	else if (type == MESSAGE_SPOOL &&
	    message_spool_decode(body, &spool) == 0)
		body_spool_set(g, &fds[0]);
	else if (type == MESSAGE_WORKERS &&
	    message_workers_decode(body, &workers) == 0)
		gateway_workers_set(&fds[0]);
	else
		return false;
	return true;
}

static bool
master_answer(struct gateway *g, enum message_type type, struct span body,
    int *fds, size_t fd_count)
{
	struct message_tenant_cell cell;
	struct message_tenant_none none;
	struct message_tenant_moved moved;
	struct message_suspended suspended;
	struct message_tenants tenants;
	struct message_master_says says;

	if (type == MESSAGE_TENANT_CELL &&
	    message_tenant_cell_decode(body, &cell) == 0)
		tenant_cell(g, &cell, fds, fd_count);
	else if (type == MESSAGE_TENANT_NONE &&
	    message_tenant_none_decode(body, &none) == 0)
		tenant_none(g, &none);
	else if (type == MESSAGE_TENANT_MOVED &&
	    message_tenant_moved_decode(body, &moved) == 0)
		tenant_moved(g, moved.tenant);
	else if (type == MESSAGE_SUSPENDED &&
	    message_suspended_decode(body, &suspended) == 0)
		suspend_heard(g, &suspended);
	else if (type == MESSAGE_TENANTS &&
	    message_tenants_decode(body, &tenants) == 0)
		control_tenants(g->control, tenants.ask, tenants.more != 0,
		    tenants.names);
	else if (type == MESSAGE_MASTER_SAYS &&
	    message_master_says_decode(body, &says) == 0)
		control_master_said(g->control, says.ask, says.failed != 0,
		    says.text);
	else
		return false;
	return true;
}

int
master_tenant_ask(struct gateway *g, struct span tenant)
{
	const struct message_tenant_ask m = { .tenant = tenant };

	return peer_send(g->master, MESSAGE_TENANT_ASK, &m, NULL, 0);
}

void
master_tenant_check(struct gateway *g, struct span tenant)
{
	const struct message_tenant_check m = { .tenant = tenant };

	/* Asked again a second later anyway. */
	(void)peer_send(g->master, MESSAGE_TENANT_CHECK, &m, NULL, 0);
}

void
master_cell_kill(struct gateway *g, struct span tenant, const char *reason)
{
	const struct message_cell_kill m = { .tenant = tenant,
		.reason = span_of(reason) };

	diag_error("cell to be killed: tenant=%.*s reason=\"%s\"",
	    SPAN_ARGS(tenant), reason);
	if (peer_send(g->master, MESSAGE_CELL_KILL, &m, NULL, 0) != 0)
		diag_error("master could not be told: %s", diag_errno());
}
