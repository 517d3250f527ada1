/* SPDX-License-Identifier: MIT */
/* gateway.c - the gateway as a whole: its configuration, the end of each batch of
 * events, and its own end. It serves from its first CONFIG on. It starts no
 * program and opens no file by name: what it needs came with it or comes from
 * master. */
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/proc.h"

#include "gateway/gateway.h"
#include "gateway/template.h"
#include "gateway/worker.h"

static void gateway_limits(struct gateway *);
static void gateway_workers(void);
static void gateway_environment(struct gateway *);
static void gateway_serve(struct gateway *);
static void gateway_settle(void *arg);
static void gateway_give_slots(struct gateway *);
static void gateway_wait_young(struct gateway *);
static void gateway_older(void *arg);
static unsigned gateway_processors(void);
static void gateway_sweep(void *arg);
static void gateway_drain_over(void *arg);
static void strings_clear(struct strings *);

void
gateway_init(struct gateway *g)
{
	struct list *lists[] = { &g->requests, &g->requests_spare,
		&g->tenants_idle, &g->tenants_owing, &g->functions, &g->runs,
		&g->launchers_idle, &g->handovers, &g->workers,
		&g->workers_idle, &g->workers_due, &g->workers_short,
		&g->templates };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		list_init(lists[i]);
	g->loop = loop_new();
	g->uid = geteuid();
	front_open(g);
	g->nowait = run_can_nowait();
	g->spool_fd = GATEWAY_SPOOL_FD;
	g->next_invocation = g->next_ask = 1;
	g->stats.started_ms = loop_now_ms(g->loop);
	map_init(&g->tenants);
	map_init(&g->suspended);
	faults_init(&g->faults, clock_unix_ms());
	admit_host_init(&g->admit, (struct admit_limits){ 0 });
	g->admit.young_us = GATEWAY_YOUNG_US;
	g->processors = gateway_processors();
	g->admit.young_most = GATEWAY_YOUNG_MOST * g->processors;
	timer_init(&g->young, gateway_older, g);
	buf_init(&g->records, ACCESS_RECORDS_MOST);
	timer_init(&g->records_due, access_due, g);
	timer_init(&g->sweep, gateway_sweep, g);
	timer_init(&g->drain, gateway_drain_over, g);
	if (fd_cloexec(g->spool_fd, true) != 0 ||
	    fd_cloexec(GATEWAY_WORKERS_FD, true) != 0 ||
	    fd_cloexec(GATEWAY_CONTROL_FD, true) != 0)
		diag_fatal(
		    "descriptors %d to %d are for the control listener, the "
		    "spool and workers' sockets: %s; this program is started "
		    "by fcgi-host",
		    GATEWAY_CONTROL_FD, GATEWAY_WORKERS_FD, diag_errno());
	gateway_workers();
}

/* Without them there is still CGI. */
static void
gateway_workers(void)
{
	char text[256];

	if (inlet_prepare(GATEWAY_WORKERS_FD, text, sizeof(text)) != 0)
		diag_error("%s", text);
}

/* Under the number of the one before, since listeners' paths have it. */
void
gateway_workers_set(int *fd)
{
	if (dup3(*fd, GATEWAY_WORKERS_FD, O_CLOEXEC) < 0)
		diag_error("a new directory of workers' sockets: %s",
		    diag_errno());
	fd_close(fd);
	gateway_workers();
}

/* ---- configuration ------------------------------------------------------------ */

void
gateway_configure(struct gateway *g, int fd, uint64_t bytes)
{
	struct config *config = config_unseal(fd, bytes);

	if (!config)
		diag_panic("master sent a configuration that is none");
	config_release(&g->config);
	settings_release(&g->settings);
	g->config = config;
	g->settings = settings_new(config_terms(config, SPAN_NONE));
	gateway_environment(g);
	front_configure(g);
	gateway_limits(g);
	if (g->state == GATEWAY_STARTING)
		gateway_serve(g);
	else
		hooks_configure(g);
}

/* Cells carry the options they were made with: one whose would be others now is
 * replaced when it is wanted again, and what runs in it ends in peace. */
static void
gateway_limits(struct gateway *g)
{
	struct map_node *node = NULL;

	g->admit.limits.slots = g->config->slots_host;
	g->admit.limits.queue = g->config->queue_host;
	while ((node = map_next(&g->tenants, node))) {
		struct tenant *t = MAP_OWNER(node, struct tenant, node);

		tenant_configure(t);
		if (t->cell &&
		    config_same_cell(t->cell->config, g->config,
			tenant_name(t)))
			cell_configure(t->cell);
		else
			cell_leave(t->cell);
	}
	g->admit_again = true;
}

/* What every function has in its environment beside what is its own. */
static void
gateway_environment(struct gateway *g)
{
	const struct strings *names = &g->config->pass_environment;
	struct strings *out = &g->environment;

	strings_clear(out);
	out->items = diag_alloc((names->count + 1) * sizeof(out->items[0]));
	if (asprintf(&out->items[out->count++], "PATH=%s", g->config->path) < 0)
		diag_fatal("no memory");
	for (size_t i = 0; i < names->count; i++) {
		const char *value = getenv(names->items[i]);

		if (value &&
		    asprintf(&out->items[out->count++], "%s=%s",
			names->items[i], value) < 0)
			diag_fatal("no memory");
	}
}

static void
strings_clear(struct strings *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i]);
	free(s->items);
	*s = (struct strings){ 0 };
}

static void
gateway_serve(struct gateway *g)
{
	g->state = GATEWAY_SERVING;
	serve_open(&g->serve, GATEWAY_FRONT_FD);
	hooks_open(g);
	loop_before_wait(g->loop, gateway_settle, g);
	if (peer_send(g->master, MESSAGE_READY, NULL, NULL, 0) != 0)
		diag_fatal("cannot tell master: %s", diag_errno());
}

/* ---- the end of each batch ------------------------------------------------------ */

/* Slots first: what they start may be answered at once. Replies come before the
 * processes that are started ahead of the next requests. A connection that is
 * settled may begin its next request, which may take a slot. */
static void
gateway_settle(void *arg)
{
	struct gateway *g = arg;

	for (;;) {
		if (g->admit_again)
			gateway_give_slots(g);
		else if (!serve_settle(&g->serve) && !workers_settle(g))
			break;
	}
	gateway_wait_young(g);
}

static void
gateway_give_slots(struct gateway *g)
{
	uint64_t now_us = clock_us();
	struct admit_ticket *ticket;

	g->admit_again = false;
	while ((ticket = admit_next(&g->admit, now_us)))
		request_granted(LIST_OWNER(ticket, struct request, ticket));
}

/* Somebody may wait for nothing but time. */
static void
gateway_wait_young(struct gateway *g)
{
	uint64_t due_us, now_us;

	if (g->admit.waiting == 0 || timer_armed(&g->young) ||
	    (due_us = admit_due_us(&g->admit)) == UINT64_MAX)
		return;
	now_us = clock_us();
	loop_timer_set(g->loop, &g->young,
	    loop_now_ms(g->loop) +
		(due_us > now_us ? (due_us - now_us) / 1000 + 1 : 1));
}

static void
gateway_older(void *arg)
{
	struct gateway *g = arg;

	g->admit_again = true;
}

/* Those we may use: a host may be held to a few. */
static unsigned
gateway_processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	return CPU_COUNT(&set) > 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* Nothing lapses in a gateway nobody uses: it sleeps. */
void
gateway_lapses(struct gateway *g)
{
	if (!timer_armed(&g->sweep))
		loop_timer_set(g->loop, &g->sweep,
		    loop_now_ms(g->loop) + GATEWAY_SWEEP_MS);
}

static void
gateway_sweep(void *arg)
{
	struct gateway *g = arg;
	uint64_t now_ms = loop_now_ms(g->loop);
	bool more;

	launcher_sweep(g, now_ms);
	tenant_sweep(g, now_ms);
	more = !list_empty(&g->launchers_idle) ||
	    !list_empty(&g->tenants_idle) || !list_empty(&g->tenants_owing);
	/* once more behind the last: what it left is free only then */
	if (more || g->swept)
		gateway_lapses(g);
	else
		malloc_trim(0); /* what the busy hours needed */
	g->swept = more;
}

/* ---- the end ---------------------------------------------------------------------- */

void
gateway_drain(struct gateway *g, uint64_t limit_ms)
{
	if (g->state != GATEWAY_SERVING)
		exit(0); /* nothing has begun */
	g->state = GATEWAY_DRAINING;
	diag_info("stopping: %zu requests have %llu ms to finish",
	    g->request_count, (unsigned long long)limit_ms);
	serve_drain(&g->serve);
	workers_drain(g);
	templates_drain(g);
	control_stop(g->control);
	loop_timer_set(g->loop, &g->drain, loop_now_ms(g->loop) + limit_ms);
	gateway_drained(g);
}

void
gateway_drained(struct gateway *g)
{
	if (g->state == GATEWAY_DRAINING && g->serve.connections == 0 &&
	    g->request_count == 0)
		loop_stop(g->loop);
}

/* What still runs ends with its cell, when our channels close. */
static void
gateway_drain_over(void *arg)
{
	struct gateway *g = arg;

	diag_warn("stopping: %zu requests did not finish in time",
	    g->request_count);
	loop_stop(g->loop);
}
