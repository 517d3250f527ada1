/* SPDX-License-Identifier: MIT */
/* faults_note.c - what the gateway counts as a fault: ends of requests, ends of runs
 * behind a complete reply, and what the kernel counts for a tenant as a whole. */
#include "base/clock.h"
#include "base/proc.h"

#include "gateway/gateway.h"

enum { FAULTS_METER_MS = 1000 }; /* so often at most while requests end */

static void note(const struct request *);
static bool is_there(const struct request *);
static enum fault_kind kind_of_run(const struct request *, struct fault_event *,
    char words[32]);

/* Who reads that its request failed finds it counted. */
void
faults_reason(const struct request *r)
{
	if (r->end != END_DONE)
		note(r);
}

/* A run may have gone wrong behind a complete reply. */
void
faults_over(const struct request *r)
{
	struct cell *cell = r->tenant ? r->tenant->cell : NULL;
	uint64_t now_ms = loop_now_ms(r->gateway->loop);

	if (r->end == END_DONE)
		note(r);
	if (cell && now_ms - cell->metered_ms >= FAULTS_METER_MS)
		faults_meter(cell);
}

void
faults_meter(struct cell *cell)
{
	const struct terms *terms = cell->terms;
	static const struct {
		enum usage_kind usage;
		enum fault_kind fault;
		enum term term;
		struct span limit;
	} rows[] = {
		{ USAGE_MEMORY, FAULTS_KILLED, TERM_memory, SPAN("memory") },
		{ USAGE_PROCESSES, FAULTS_PROCESSES, TERM_processes,
		    SPAN("processes") },
		{ USAGE_CPU, FAULTS_THROTTLED, TERM_cpu, SPAN("cpu") },
	};
	char value[32];

	cell->metered_ms = loop_now_ms(cell->gateway->loop);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault_event event = {
			.kind = rows[i].fault,
			.tenant = tenant_name(cell->tenant),
			.limit = rows[i].limit,
			.times = usage_take(&cell->usage, rows[i].usage),
		};

		if (event.times == 0)
			continue;
		event.value = span_of(terms_text(terms, rows[i].term, value));
		event.at_unix_ms = clock_unix_ms();
		faults_add(&cell->gateway->faults, &event);
	}
}

void
faults_meter_all(struct gateway *g)
{
	struct map_node *node = NULL;

	while ((node = map_next(&g->tenants, node))) {
		struct tenant *t = MAP_OWNER(node, struct tenant, node);

		if (t->cell)
			faults_meter(t->cell);
	}
}

/* Of functions that are there: what is asked for by a name that is none says
 * nothing about a tenant. */
static void
note(const struct request *r)
{
	char words[32];
	struct fault_event event = {
		.tenant = r->route.tenant,
		.function = r->function	  ? function_name(r->function) :
		    r->end == END_REFUSED ? r->route.function :
					    SPAN_NONE,
		.limit = span_of(r->end_limit),
		.value = span_of(r->end_value),
		.what = span_of(r->end_what),
		.request = span_make(r->name, REQUEST_ID_CHARS),
		.times = 1,
	};

	if (r->end == END_DONE)
		event.kind = kind_of_run(r, &event, words);
	else if (is_there(r))
		event.kind = fault_of_end(r->end, event.limit);
	else
		return;
	if (event.kind == FAULTS)
		return;
	event.at_unix_ms = clock_unix_ms();
	faults_add(&r->gateway->faults, &event);
}

/* Master or a cell has said so: anybody can ask for names. */
static bool
is_there(const struct request *r)
{
	switch (r->end) {
	case END_REFUSED:
	case END_TENANT_REFUSED:
	case END_SUSPENDED:
	case END_CELL_GONE:
		return true;
	default:
		return r->function ||
		    (r->tenant &&
			(r->tenant->cell || r->tenant->functions.count > 0));
	}
}

/* Limits, and what says in both ways that it failed; what else its end was, nobody
 * asked for. */
static enum fault_kind
kind_of_run(const struct request *r, struct fault_event *event, char words[32])
{
	const struct run_result *result = &r->invocation.result;
	const struct outcome_facts *facts = &result->facts;
	enum limit limit;

	if (!result->ended || !r->settings)
		return FAULTS;
	switch (outcome_of_reply(facts)) {
	case END_DONE:
		if (r->status < 500 || outcome_app_status(facts) == 0)
			return FAULTS;
		event->what =
		    span_of(proc_status_words(facts->wait_status, words));
		return FAULTS_FAILED;
	case END_TIME:
		limit = LIMIT_time;
		event->limit = SPAN("limits.time");
		break;
	case END_CPU:
		limit = LIMIT_cpu;
		event->limit = SPAN("limits.cpu");
		break;
	case END_IDLE:
		limit = LIMIT_idle;
		event->limit = SPAN("limits.idle");
		break;
	case END_OUTPUT_SIZE:
		limit = LIMIT_output;
		event->limit = SPAN("limits.output");
		break;
	default:
		return FAULTS;
	}
	event->value =
	    span_of(limit_text(limit, r->settings->limits[limit], words));
	return fault_of_end(outcome_of_reply(facts), event->limit);
}
