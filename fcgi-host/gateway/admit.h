/* SPDX-License-Identifier: MIT */
/* admit.h - who may run now: slots at three levels and fair, bounded queues.
 * Pure policy: no system calls, no clock of its own. A slot of function, tenant
 * and host is taken together or not at all. Waiting requests queue in their
 * function; functions of a tenant take turns; tenants are served by deficit
 * round robin, charged with the slot time they were measured to use, so that a
 * tenant of long invocations gets no more than one of short ones.
 *
 * Of a tenant only so many invocations are young, which is as much as: use the
 * processor now. More of them would be done no sooner, but whoever else asks
 * would stand behind all of them, in the queues of the web server, the gateway
 * and the scheduler, where nobody is fair. Who waits for something itself gets
 * older and counts no more, being young is no reason to refuse anybody, and a
 * tenant that has the host to itself starts as many as it likes.
 *
 *   admit_ask ─▶ GRANTED ─────────────────────────────▶ admit_give
 *        └─────▶ QUEUED ─(admit_next)─▶ granted ──────▶ admit_give
 *        │           └───(admit_leave: gone, timed out)
 *        └─────▶ FULL_FUNCTION, FULL_TENANT, FULL_HOST, SWITCHED_OFF */
#ifndef GATEWAY_ADMIT_H
#define GATEWAY_ADMIT_H

#include "base/list.h"
#include <stdbool.h>
#include <stdint.h>

struct admit_limits {
	uint64_t slots;
	uint64_t queue;
};

struct admit_host {
	struct admit_limits limits;
	uint64_t running;
	uint64_t waiting;
	uint64_t young_most; /* of a tenant; 0: as many as it has slots */
	uint64_t young_us;   /* for so long it is */
	struct list young;   /* tickets, oldest first */
	const struct admit_tenant *asked; /* who did last, or NULL */
	uint64_t shared_until_us;	  /* ... by more than one */
	struct list active;  /* tenants with somebody waiting, in turn */
	uint64_t quantum_us; /* slot time a tenant earns per round */
};

struct admit_tenant {
	struct admit_host *host; /* outlives us */
	struct admit_limits limits;
	uint64_t running;
	uint64_t waiting;
	uint64_t young;
	uint64_t weight;     /* share of the host */
	int64_t deficit_us;  /* slot time it may still use */
	uint64_t typical_us; /* smoothed slot time of an invocation */
	uint64_t used_us;    /* slot time of all invocations until */
	uint64_t used_at_us; /* ... then */
	struct list turn;    /* in host->active while waiting > 0 */
	struct list active;  /* functions with somebody waiting */
};

struct admit_function {
	struct admit_tenant *tenant; /* outlives us */
	struct admit_limits limits;  /* slots 0: switched off */
	uint64_t running;
	uint64_t waiting;
	struct list turn;  /* in tenant->active while waiting > 0 */
	struct list queue; /* of admit_ticket, first come first */
};

enum { ADMIT_WEIGHT = 100 }; /* unless it is given another */

enum admit_state { ADMIT_OUT, ADMIT_WAITING, ADMIT_HOLDING };

struct admit_ticket { /* embedded in a request */
	enum admit_state state;
	struct admit_function *function; /* while not OUT */
	struct list queue;
	struct list young; /* in host->young until it is older */
	uint64_t granted_us;
	uint64_t charged_us; /* taken from the tenant's deficit at grant */
};

enum admit_answer {
	ADMIT_GRANTED,
	ADMIT_QUEUED,
	ADMIT_FULL_FUNCTION, /* its queue is full: 503, queue.function */
	ADMIT_FULL_TENANT,   /* queue.tenant */
	ADMIT_FULL_HOST,     /* queue.host */
	ADMIT_SWITCHED_OFF,  /* concurrency = 0 */
};

void admit_host_init(struct admit_host *, struct admit_limits);
void admit_tenant_init(struct admit_tenant *, struct admit_host *,
    struct admit_limits);
void admit_function_init(struct admit_function *, struct admit_tenant *,
    struct admit_limits);
/* Takes an idle function or tenant out; panics when it is in use. */
void admit_function_done(struct admit_function *);
void admit_tenant_done(struct admit_tenant *);

void admit_ticket_init(struct admit_ticket *);
enum admit_answer admit_ask(struct admit_ticket *, struct admit_function *,
    uint64_t now_us);
/* The next waiting ticket that may run now; it holds its slot on return. NULL:
 * nobody can. Call until NULL after each admit_give or change of limits. */
struct admit_ticket *admit_next(struct admit_host *, uint64_t now_us);
/* When to call it again although nothing happened: somebody waits for others to
 * get older. UINT64_MAX: nobody does. */
uint64_t admit_due_us(const struct admit_host *);
void admit_leave(struct admit_ticket *); /* stops waiting; harmless OUT */
/* It holds a slot of which its function has fewer now than are in use. */
bool admit_exceeds(const struct admit_ticket *);
/* The slot is free again; the tenant is charged what it really used. */
void admit_give(struct admit_ticket *, uint64_t now_us);

/* Slot time of all invocations so far, those that run included. */
uint64_t admit_used_us(const struct admit_tenant *, uint64_t now_us);

/* Seconds a client should wait before it tries again: from the queue's length
 * and the typical slot time, 1 to 30. */
unsigned admit_retry_after(const struct admit_function *);

#endif
