/* SPDX-License-Identifier: MIT */
/* stats.c - counters, and what `status` says about the gateway. */
#include <stdio.h>

#include "base/clock.h"

#include "gateway/gateway.h"
#include "gateway/template.h"
#include "gateway/worker.h"

enum { STATS_FAULTS_MOST = 10, STATS_WORDS_MOST = 1024 };

static void report_requests(const struct gateway *, struct control_facts *);
static void report_ends(const struct gateway *, struct control_facts *);
static void report_capacity(const struct gateway *, struct control_facts *);
static void report_workers(const struct gateway *, struct control_facts *);
static void report_templates(const struct gateway *, struct control_facts *);
static uint64_t workers_in(const struct gateway *, enum worker_state);
static void report_tenants(const struct gateway *, struct control_facts *);
static void report_tenant(const struct tenant *, struct control_facts *);
static void report_faults(const struct gateway *, struct control_facts *);
static void report_fault(const struct faults_tenant *, struct control_facts *);

void
stats_ended(struct stats *s, const struct request *r)
{
	s->ends[r->end]++;
	s->bytes_out += r->reply.bytes;
}

void
stats_report(const struct gateway *g, struct control_facts *facts)
{
	control_fact_count(facts, "gateway", "up_s",
	    (loop_now_ms(g->loop) - g->stats.started_ms) / 1000);
	control_fact_count(facts, "gateway", "generation",
	    g->config->generation);
	report_requests(g, facts);
	report_ends(g, facts);
	report_capacity(g, facts);
	report_workers(g, facts);
	report_templates(g, facts);
	report_tenants(g, facts);
	suspend_report(g, facts);
	report_faults(g, facts);
	state_report(g, facts);
}

static void
report_requests(const struct gateway *g, struct control_facts *facts)
{
	const struct stats *s = &g->stats;
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "begun", s->requests },
		{ "open", g->request_count },
		{ "running", g->admit.running },
		{ "waiting", g->admit.waiting },
		{ "invocations", s->invocations },
		{ "stale", s->stale },
		{ "resent", s->resent },
		{ "redirects", s->redirects },
		{ "strays_killed", s->strays },
		{ "bytes_in", s->bytes_in },
		{ "bytes_out", s->bytes_out },
		{ "records_dropped", s->records_dropped },
		{ "stderr_dropped", s->stderr_dropped },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		control_fact_count(facts, "requests", rows[i].name,
		    rows[i].value);
}

static void
report_ends(const struct gateway *g, struct control_facts *facts)
{
	for (int end = 0; end < ENDS; end++)
		if (g->stats.ends[end] > 0)
			control_fact_count(facts, "ends",
			    end_row((enum end)end)->name, g->stats.ends[end]);
}

static void
report_capacity(const struct gateway *g, struct control_facts *facts)
{
	const struct stats *s = &g->stats;
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "slots", g->admit.limits.slots },
		{ "queue", g->admit.limits.queue },
		{ "cells", g->cell_count },
		{ "launchers", g->launcher_count },
		{ "workers", g->worker_count },
		{ "workers_idle", g->worker_idle_count },
		{ "functions_known", g->function_count },
		{ "cells_made", s->cells },
		{ "launchers_made", s->launchers },
		{ "connections", g->serve.connections },
		{ "connections_accepted", g->serve.accepted },
		{ "connections_refused", g->serve.refused },
		{ "accept_pauses", g->serve.pauses },
		{ "body_memory", g->body_memory },
		{ "body_spool", g->body_spool },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		control_fact_count(facts, "capacity", rows[i].name,
		    rows[i].value);
}

static void
report_workers(const struct gateway *g, struct control_facts *facts)
{
	const struct stats *s = &g->stats;
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "starting",
		    workers_in(g, WORKER_WANTED) +
			workers_in(g, WORKER_STARTING) },
		{ "ready", workers_in(g, WORKER_READY) },
		{ "busy", workers_in(g, WORKER_BUSY) },
		{ "leaving", workers_in(g, WORKER_LEAVING) },
		{ "started", s->workers },
		{ "ended", s->workers_ended },
		{ "recycled", s->workers_recycled },
		{ "died_young", s->workers_young },
		{ "stopped_for_others", s->workers_evicted },
		{ "requests_taken_back", s->taken_back },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		control_fact_count(facts, "workers", rows[i].name,
		    rows[i].value);
}

static void
report_templates(const struct gateway *g, struct control_facts *facts)
{
	const struct stats *s = &g->stats;
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "starting",
		    templates_in(g, TEMPLATE_WANTED) +
			templates_in(g, TEMPLATE_STARTING) },
		{ "ready", templates_in(g, TEMPLATE_SERVING) },
		{ "leaving", templates_in(g, TEMPLATE_LEAVING) },
		{ "started", s->templates },
		{ "ended", s->templates_ended },
		{ "failed", s->templates_failed },
		{ "stopped_for_others", s->templates_evicted },
		{ "processes", s->forks },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		control_fact_count(facts, "templates", rows[i].name,
		    rows[i].value);
}

/* Of functions that are known; those of others are leaving. */
static uint64_t
workers_in(const struct gateway *g, enum worker_state state)
{
	uint64_t count = 0;

	LIST_EACH(node, &g->functions) {
		const struct function *f =
		    LIST_OWNER(node, struct function, used);

		count += f->workers ? f->workers->count[state] : 0;
	}
	return count;
}

/* Those that are doing something. */
static void
report_tenants(const struct gateway *g, struct control_facts *facts)
{
	struct map_node *node = NULL;

	while ((node = map_next(&g->tenants, node))) {
		const struct tenant *t = MAP_OWNER(node, struct tenant, node);

		if (t->cell_count > 0 || t->request_count > 0)
			report_tenant(t, facts);
	}
}

static void
report_tenant(const struct tenant *t, struct control_facts *facts)
{
	char section[16 + CONFIG_TENANT_MOST];

	snprintf(section, sizeof(section), "tenants/%s", t->name);
	if (t->terms->plan[0])
		control_fact_text(facts, section, "plan",
		    span_of(t->terms->plan));
	control_fact_count(facts, section, "running", t->admit.running);
	control_fact_count(facts, section, "body_spool", t->body_spool);
	control_fact_count(facts, section, "waiting", t->admit.waiting);
	control_fact_count(facts, section, "slots", t->admit.limits.slots);
	control_fact_count(facts, section, "slot_time_ms",
	    admit_used_us(&t->admit, clock_us()) / 1000);
	control_fact_count(facts, section, "functions_known",
	    t->functions.count);
	control_fact_count(facts, section, "spare",
	    t->pool.least + t->pool.more);
	control_fact_count(facts, section, "launchers",
	    t->cell ? t->cell->launcher_count : 0);
}

/* Tenants that ran into most of late; `faults` tells of what. */
static void
report_faults(const struct gateway *g, struct control_facts *facts)
{
	const struct faults_tenant *most[STATS_FAULTS_MOST];
	size_t count =
	    faults_most(&g->faults, clock_unix_ms(), most, STATS_FAULTS_MOST);

	control_fact_count(facts, "faults", "since_unix_ms",
	    g->faults.since_unix_ms);
	control_fact_count(facts, "faults", "count", g->faults.count);
	control_fact_count(facts, "faults", "tenants", g->faults.tenants.count);
	for (size_t i = 0; i < count; i++)
		report_fault(most[i], facts);
}

static void
report_fault(const struct faults_tenant *t, struct control_facts *facts)
{
	const struct fault *last =
	    LIST_OWNER(list_first(&t->rows), struct fault, in_tenant);
	char section[sizeof("faults/") + CONFIG_TENANT_MOST];
	struct buf words;

	snprintf(section, sizeof(section), "faults/%s", t->name);
	control_fact_count(facts, section, "count", t->count);
	control_fact_count(facts, section, "last_unix_ms", last->last_unix_ms);
	buf_init(&words, STATS_WORDS_MOST);
	(void)fault_put_sentence(&words, faults_worst(t));
	control_fact_text(facts, section, "most", buf_span(&words));
	buf_free(&words);
}
