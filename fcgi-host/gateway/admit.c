/* SPDX-License-Identifier: MIT */
/* admit.c - who may run now. Deficit round robin (Shreedhar and Varghese 1995)
 * over tenants, where the cost of a packet is the slot time of an invocation:
 * it is not known before the end, so a typical one is charged at the start and
 * the difference at the end. */
#include <assert.h>

#include "gateway/admit.h"

enum {
	/* Slot time a tenant of the usual weight earns per turn: a few
	 * short invocations. */
	QUANTUM_US = 20000,
	/* What an invocation costs as long as nothing is known. */
	TYPICAL_FIRST_US = 5000,
	/* A tenant's debt is bounded so that one hour-long invocation is not
	 * held against it for ever. */
	DEBT_MOST_US = 10 * 1000 * 1000,
	/* A tenant has the host to itself when none other asked for so long. */
	ALONE_US = 1000 * 1000,
};

static void host_age(struct admit_host *, uint64_t now_us);
static void host_asked(struct admit_host *, const struct admit_tenant *,
    uint64_t now_us);
static bool tenant_is_young(const struct admit_tenant *, uint64_t now_us);
static void ticket_ages(struct admit_ticket *);
static bool function_has_slot(const struct admit_function *);
static bool tenant_has_slot(const struct admit_tenant *);
static bool host_has_slot(const struct admit_host *);
static void ticket_grant(struct admit_ticket *, uint64_t now_us);
static void ticket_wait(struct admit_ticket *);
static void ticket_unwait(struct admit_ticket *);
static struct admit_function *tenant_runnable(struct admit_tenant *,
    uint64_t now_us);
static uint64_t tenant_quantum(const struct admit_tenant *);
static uint64_t tenant_quanta_needed(const struct admit_tenant *);
static void host_turn(struct admit_host *, uint64_t quanta, uint64_t now_us);
static struct admit_ticket *function_grant_first(struct admit_function *,
    uint64_t now_us);
static uint64_t cost_of(const struct admit_tenant *);
static void tenant_runs(struct admit_tenant *, int change, uint64_t now_us);

void
admit_host_init(struct admit_host *host, struct admit_limits limits)
{
	*host =
	    (struct admit_host){ .limits = limits, .quantum_us = QUANTUM_US };
	list_init(&host->young);
	list_init(&host->active);
}

void
admit_tenant_init(struct admit_tenant *tenant, struct admit_host *host,
    struct admit_limits limits)
{
	*tenant = (struct admit_tenant){ .host = host,
		.limits = limits,
		.weight = ADMIT_WEIGHT,
		.typical_us = TYPICAL_FIRST_US };
	list_init(&tenant->turn);
	list_init(&tenant->active);
}

void
admit_function_init(struct admit_function *function,
    struct admit_tenant *tenant, struct admit_limits limits)
{
	*function =
	    (struct admit_function){ .tenant = tenant, .limits = limits };
	list_init(&function->turn);
	list_init(&function->queue);
}

void
admit_function_done(struct admit_function *function)
{
	assert(function->running == 0 && function->waiting == 0);
	list_remove(&function->turn);
}

void
admit_tenant_done(struct admit_tenant *tenant)
{
	assert(tenant->running == 0 && tenant->waiting == 0);
	list_remove(&tenant->turn);
	if (tenant->host->asked == tenant)
		tenant->host->asked = NULL;
}

void
admit_ticket_init(struct admit_ticket *ticket)
{
	*ticket = (struct admit_ticket){ .state = ADMIT_OUT };
	list_init(&ticket->queue);
	list_init(&ticket->young);
}

/* A slot that is free while others wait is one they cannot use (admit_next has
 * seen to that), so a newcomer who can takes it without overtaking anybody. */
enum admit_answer
admit_ask(struct admit_ticket *ticket, struct admit_function *function,
    uint64_t now_us)
{
	struct admit_tenant *tenant = function->tenant;
	struct admit_host *host = tenant->host;
	enum admit_answer full = ADMIT_QUEUED;
	bool slot;

	assert(ticket->state == ADMIT_OUT);
	if (function->limits.slots == 0)
		return ADMIT_SWITCHED_OFF;
	ticket->function = function;
	host_asked(host, tenant, now_us);
	if (host->waiting == 0)
		host_age(host, now_us);
	if (function->waiting >= function->limits.queue)
		full = ADMIT_FULL_FUNCTION;
	else if (tenant->waiting >= tenant->limits.queue)
		full = ADMIT_FULL_TENANT;
	else if (host->waiting >= host->limits.queue)
		full = ADMIT_FULL_HOST;
	slot = function_has_slot(function) && tenant_has_slot(tenant) &&
	    host_has_slot(host);
	if (slot &&
	    (full != ADMIT_QUEUED ||
		(function->waiting == 0 && !tenant_is_young(tenant, now_us)))) {
		ticket_grant(ticket, now_us);
		return ADMIT_GRANTED;
	}
	if (full != ADMIT_QUEUED)
		return full;
	ticket_wait(ticket);
	return ADMIT_QUEUED;
}

/* The first tenant in turn that can run and has credit. One without credit
 * earns a quantum and goes behind the others; one whose own slots are all taken
 * only goes behind. When all who can run are in debt, they earn as many quanta
 * as the first of them needs: debt orders tenants, it never leaves a slot
 * idle. */
struct admit_ticket *
admit_next(struct admit_host *host, uint64_t now_us)
{
	host_age(host, now_us);
	if (!host_has_slot(host))
		return NULL;
	for (;;) {
		uint64_t needed = UINT64_MAX;

		LIST_EACH(node, &host->active) {
			struct admit_tenant *tenant =
			    LIST_OWNER(node, struct admit_tenant, turn);
			struct admit_function *function =
			    tenant_runnable(tenant, now_us);
			uint64_t quanta;

			if (function && tenant->deficit_us > 0)
				return function_grant_first(function, now_us);
			if (function) {
				quanta = tenant_quanta_needed(tenant);
				needed = quanta < needed ? quanta : needed;
			}
		}
		if (needed == UINT64_MAX)
			return NULL;
		host_turn(host, needed, now_us);
	}
}

uint64_t
admit_due_us(const struct admit_host *host)
{
	if (host->waiting > 0 && host_has_slot(host))
		LIST_EACH(node, &host->young) {
			const struct admit_ticket *ticket =
			    LIST_OWNER(node, struct admit_ticket, young);
			const struct admit_tenant *tenant =
			    ticket->function->tenant;

			if (tenant->waiting > 0 && tenant_has_slot(tenant) &&
			    tenant_is_young(tenant, ticket->granted_us))
				return ticket->granted_us + host->young_us;
		}
	return UINT64_MAX;
}

void
admit_leave(struct admit_ticket *ticket)
{
	if (ticket->state != ADMIT_WAITING)
		return;
	ticket_unwait(ticket);
	ticket->state = ADMIT_OUT;
}

bool
admit_exceeds(const struct admit_ticket *ticket)
{
	const struct admit_function *function = ticket->function;

	assert(ticket->state == ADMIT_HOLDING);
	return function->running > function->limits.slots;
}

void
admit_give(struct admit_ticket *ticket, uint64_t now_us)
{
	struct admit_function *function = ticket->function;
	struct admit_tenant *tenant = function->tenant;
	uint64_t used =
	    now_us > ticket->granted_us ? now_us - ticket->granted_us : 0;

	assert(ticket->state == ADMIT_HOLDING);
	if (!list_empty(&ticket->young))
		ticket_ages(ticket);
	function->running--;
	tenant_runs(tenant, -1, now_us);
	ticket->state = ADMIT_OUT;

	tenant->deficit_us += (int64_t)ticket->charged_us;
	tenant->deficit_us -=
	    (int64_t)(used < DEBT_MOST_US ? used : DEBT_MOST_US);
	if (tenant->deficit_us < -DEBT_MOST_US)
		tenant->deficit_us = -DEBT_MOST_US;
	tenant->typical_us += used / 8;
	tenant->typical_us -= tenant->typical_us / 8;
	/* Who neither waits nor runs keeps no debt and no credit: fairness is
	 * between those who compete. */
	if (tenant->waiting == 0 && tenant->running == 0)
		tenant->deficit_us = 0;
}

uint64_t
admit_used_us(const struct admit_tenant *tenant, uint64_t now_us)
{
	uint64_t since =
	    now_us > tenant->used_at_us ? now_us - tenant->used_at_us : 0;

	return tenant->used_us + tenant->running * since;
}

unsigned
admit_retry_after(const struct admit_function *function)
{
	const struct admit_tenant *tenant = function->tenant;
	uint64_t slots = function->limits.slots ? function->limits.slots : 1;
	uint64_t seconds =
	    (function->waiting + 1) * tenant->typical_us / slots / 1000000 + 1;

	return seconds > 30 ? 30 : (unsigned)seconds;
}

static void
host_age(struct admit_host *host, uint64_t now_us)
{
	struct list *node;

	while ((node = list_first(&host->young))) {
		struct admit_ticket *ticket =
		    LIST_OWNER(node, struct admit_ticket, young);

		if (now_us < ticket->granted_us + host->young_us)
			return;
		ticket_ages(ticket);
	}
}

static void
host_asked(struct admit_host *host, const struct admit_tenant *tenant,
    uint64_t now_us)
{
	if (host->asked && host->asked != tenant)
		host->shared_until_us = now_us + ALONE_US;
	host->asked = tenant;
}

static bool
tenant_is_young(const struct admit_tenant *tenant, uint64_t now_us)
{
	const struct admit_host *host = tenant->host;

	return host->young_most > 0 && tenant->young >= host->young_most &&
	    now_us < host->shared_until_us;
}

static void
ticket_ages(struct admit_ticket *ticket)
{
	list_remove(&ticket->young);
	ticket->function->tenant->young--;
}

static bool
function_has_slot(const struct admit_function *function)
{
	return function->running < function->limits.slots;
}

static bool
tenant_has_slot(const struct admit_tenant *tenant)
{
	return tenant->running < tenant->limits.slots;
}

static bool
host_has_slot(const struct admit_host *host)
{
	return host->running < host->limits.slots;
}

static uint64_t
cost_of(const struct admit_tenant *tenant)
{
	return tenant->typical_us > 0 ? tenant->typical_us : 1;
}

static void
ticket_grant(struct admit_ticket *ticket, uint64_t now_us)
{
	struct admit_tenant *tenant = ticket->function->tenant;

	ticket->state = ADMIT_HOLDING;
	ticket->granted_us = now_us;
	ticket->charged_us = cost_of(tenant);
	tenant->deficit_us -= (int64_t)ticket->charged_us;
	ticket->function->running++;
	tenant->young++;
	list_add_last(&tenant->host->young, &ticket->young);
	tenant_runs(tenant, 1, now_us);
}

static void
tenant_runs(struct admit_tenant *tenant, int change, uint64_t now_us)
{
	tenant->used_us = admit_used_us(tenant, now_us);
	if (now_us > tenant->used_at_us)
		tenant->used_at_us = now_us;
	tenant->running += (uint64_t)change;
	tenant->host->running += (uint64_t)change;
}

static void
ticket_wait(struct admit_ticket *ticket)
{
	struct admit_function *function = ticket->function;
	struct admit_tenant *tenant = function->tenant;

	ticket->state = ADMIT_WAITING;
	list_add_last(&function->queue, &ticket->queue);
	if (function->waiting++ == 0)
		list_add_last(&tenant->active, &function->turn);
	if (tenant->waiting++ == 0)
		list_add_last(&tenant->host->active, &tenant->turn);
	tenant->host->waiting++;
}

static void
ticket_unwait(struct admit_ticket *ticket)
{
	struct admit_function *function = ticket->function;
	struct admit_tenant *tenant = function->tenant;

	list_remove(&ticket->queue);
	if (--function->waiting == 0)
		list_remove(&function->turn);
	if (--tenant->waiting == 0)
		list_remove(&tenant->turn);
	tenant->host->waiting--;
}

static struct admit_function *
tenant_runnable(struct admit_tenant *tenant, uint64_t now_us)
{
	if (!tenant_has_slot(tenant) || tenant_is_young(tenant, now_us))
		return NULL;
	LIST_EACH(node, &tenant->active) {
		struct admit_function *function =
		    LIST_OWNER(node, struct admit_function, turn);

		if (function_has_slot(function))
			return function;
	}
	return NULL;
}

/* Never so little that paying off the debt of long invocations takes more
 * turns than a slot is worth. */
static uint64_t
tenant_quantum(const struct admit_tenant *tenant)
{
	uint64_t quantum = tenant->host->quantum_us;

	if (quantum < cost_of(tenant) / 4)
		quantum = cost_of(tenant) / 4;
	quantum = quantum * tenant->weight / ADMIT_WEIGHT;
	return quantum > 0 ? quantum : 1;
}

static uint64_t
tenant_quanta_needed(const struct admit_tenant *tenant)
{
	return (uint64_t)-tenant->deficit_us / tenant_quantum(tenant) + 1;
}

/* All who could run earn; who got into credit by it goes first, in the order
 * they stood. */
static void
host_turn(struct admit_host *host, uint64_t quanta, uint64_t now_us)
{
	LIST_EACH(node, &host->active) {
		struct admit_tenant *tenant =
		    LIST_OWNER(node, struct admit_tenant, turn);

		if (tenant_runnable(tenant, now_us))
			tenant->deficit_us +=
			    (int64_t)(quanta * tenant_quantum(tenant));
	}
}

/* Functions of a tenant take turns; a tenant that has used up its credit goes
 * behind the others. */
static struct admit_ticket *
function_grant_first(struct admit_function *function, uint64_t now_us)
{
	struct admit_tenant *tenant = function->tenant;
	struct admit_ticket *ticket = LIST_OWNER(list_first(&function->queue),
	    struct admit_ticket, queue);

	ticket_unwait(ticket);
	ticket_grant(ticket, now_us);
	if (function->waiting > 0) {
		list_remove(&function->turn);
		list_add_last(&tenant->active, &function->turn);
	}
	if (tenant->waiting > 0 && tenant->deficit_us <= 0) {
		list_remove(&tenant->turn);
		list_add_last(&tenant->host->active, &tenant->turn);
	}
	return ticket;
}
