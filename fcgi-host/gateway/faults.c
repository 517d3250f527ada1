/* SPDX-License-Identifier: MIT */
/* faults.c - what tenants' functions ran into. A flood of one fault costs a look
 * at the head of a list: what came last stands first. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/faults.h"

static struct faults_tenant *tenant_get(struct faults *, struct span name);
static void tenant_drop(struct faults *, struct faults_tenant *);
static void tenant_lately(struct faults_tenant *, uint64_t now_unix_ms);
static uint64_t halved(uint64_t count, uint64_t since_ms, uint64_t now_ms);
static struct fault *row_get(struct faults *, struct faults_tenant *,
    const struct fault_event *);
static struct fault *row_find(const struct faults_tenant *,
    const struct fault_event *);
static void row_drop(struct faults *, struct fault *);
static void keep_text(char *to, size_t most, struct span text);
static bool is_text(const char *kept, size_t most, struct span text);

static const struct fault_row_text texts[] = {
#define FAULT(NAME, name, CLASS, sentence, advice) \
	{ #name, FAULT_CLASS_##CLASS, sentence, advice },
#include "gateway/faults.def"
#undef FAULT
};

const struct fault_row_text *
fault_text(enum fault_kind kind)
{
	return &texts[kind];
}

enum fault_kind
fault_of_end(enum end end, struct span limit)
{
	switch (end) {
	case END_TIME:
		return FAULTS_TIME;
	case END_CPU:
		return FAULTS_CPU;
	case END_IDLE:
		return FAULTS_IDLE;
	case END_OUTPUT_SIZE:
		return FAULTS_OUTPUT;
	case END_BODY_SIZE:
		return FAULTS_BODY;
	case END_UPLOAD_TIME:
		return FAULTS_UPLOAD;
	case END_HEAD_SIZE:
		return FAULTS_HEAD;
	case END_MEMORY:
		return FAULTS_MEMORY;
	case END_QUEUE_FULL:
		return span_equal(limit, SPAN("queue.host")) ?
		    FAULTS_HOST_FULL :
		    FAULTS_QUEUE_FULL;
	case END_SPOOL_FULL:
		return span_equal(limit, SPAN("body.spool_total")) ?
		    FAULTS_HOST_FULL :
		    FAULTS_SPOOL_FULL;
	case END_QUEUE_TIME:
		return FAULTS_QUEUE_TIME;
	case END_RATE:
		return FAULTS_RATE;
	case END_RUNNING:
		return FAULTS_RUNNING;
	case END_START_TIME:
		return FAULTS_START_TIME;
	case END_DAMPED:
		return FAULTS_DAMPED;
	case END_NOT_TAKEN:
		return FAULTS_NOT_TAKEN;
	case END_OVERLOADED:
		return FAULTS_OVERLOADED;
	case END_BROKEN:
		return FAULTS_BROKEN;
	case END_BROKE_OFF:
		return FAULTS_BROKE_OFF;
	case END_CRASHED:
		return FAULTS_CRASHED;
	case END_NO_REPLY:
		return FAULTS_NO_REPLY;
	case END_BAD_REPLY:
		return FAULTS_BAD_REPLY;
	case END_SHORT_REPLY:
		return FAULTS_SHORT_REPLY;
	case END_REDIRECT_LOOP:
		return FAULTS_REDIRECT_LOOP;
	case END_NOT_STARTED:
		return FAULTS_NOT_STARTED;
	case END_REFUSED:
		return FAULTS_REFUSED;
	case END_STILL_WRITTEN:
		return FAULTS_STILL_WRITTEN;
	case END_TENANT_REFUSED:
		return FAULTS_TENANT_REFUSED;
	case END_SUSPENDED:
		return FAULTS_SUSPENDED;
	case END_MACHINE:
		return FAULTS_MACHINE;
	case END_LAUNCHER_GONE:
		return FAULTS_LOST;
	case END_CELL_GONE:
		return FAULTS_RESTARTED;
	default:
		return FAULTS;
	}
}

void
faults_init(struct faults *all, uint64_t now_unix_ms)
{
	*all = (struct faults){ .since_unix_ms = now_unix_ms };
	map_init(&all->tenants);
	list_init(&all->rows);
}

void
faults_free(struct faults *all)
{
	while (!list_empty(&all->rows))
		row_drop(all,
		    LIST_OWNER(list_last(&all->rows), struct fault, in_all));
	assert(all->tenants.count == 0);
	map_free(&all->tenants);
}

void
faults_add(struct faults *all, const struct fault_event *event)
{
	struct faults_tenant *t = tenant_get(all, event->tenant);
	struct fault *f = t ? row_get(all, t, event) : NULL;

	if (t && t->row_count == 0)
		tenant_drop(all, t);
	if (!f)
		return;
	tenant_lately(t, event->at_unix_ms);
	all->count += event->times;
	t->count += event->times;
	t->lately += event->times;
	f->count += event->times;
	f->last_unix_ms = event->at_unix_ms;
	keep_text(f->request, REQUEST_ID_CHARS, event->request);
	keep_text(f->value, FAULTS_VALUE_MOST, event->value);
	keep_text(f->what, FAULTS_WHAT_MOST, event->what);
}

const struct faults_tenant *
faults_tenant(const struct faults *all, struct span name)
{
	struct map_node *node = map_find(&all->tenants, name);

	return node ? MAP_OWNER(node, struct faults_tenant, node) : NULL;
}

size_t
faults_most(const struct faults *all, uint64_t now_unix_ms,
    const struct faults_tenant **most, size_t room)
{
	struct map_node *node = NULL;
	size_t count = 0;

	while ((node = map_next(&all->tenants, node))) {
		const struct faults_tenant *t =
		    MAP_OWNER(node, struct faults_tenant, node);
		uint64_t lately =
		    halved(t->lately, t->lately_unix_ms, now_unix_ms);
		size_t at = count;

		for (; at > 0; at--) {
			const struct faults_tenant *before = most[at - 1];
			uint64_t theirs = halved(before->lately,
			    before->lately_unix_ms, now_unix_ms);

			if (theirs > lately ||
			    (theirs == lately && before->count >= t->count))
				break;
			if (at < room)
				most[at] = before;
		}
		if (at < room)
			most[at] = t;
		count += count < room;
	}
	return count;
}

const struct fault *
faults_worst(const struct faults_tenant *t)
{
	const struct fault *worst = NULL;

	LIST_EACH(node, &t->rows) {
		const struct fault *f =
		    LIST_OWNER(node, struct fault, in_tenant);

		if (!worst || f->count > worst->count)
			worst = f;
	}
	assert(worst);
	return worst;
}

static struct faults_tenant *
tenant_get(struct faults *all, struct span name)
{
	struct map_node *node = map_find(&all->tenants, name);
	struct faults_tenant *t;

	if (node)
		return MAP_OWNER(node, struct faults_tenant, node);
	t = calloc(1, sizeof(*t) + name.bytes + 1);
	if (!t)
		return NULL;
	memcpy(t->name, name.data, name.bytes);
	list_init(&t->rows);
	if (map_add(&all->tenants, &t->node, span_make(t->name, name.bytes)) !=
	    0) {
		free(t);
		return NULL;
	}
	return t;
}

/* Nothing of it is left that could be shown. */
static void
tenant_drop(struct faults *all, struct faults_tenant *t)
{
	assert(list_empty(&t->rows));
	map_remove(&all->tenants, &t->node);
	free(t);
}

static void
tenant_lately(struct faults_tenant *t, uint64_t now_unix_ms)
{
	uint64_t halves;

	if (t->lately_unix_ms == 0)
		t->lately_unix_ms = now_unix_ms;
	if (now_unix_ms < t->lately_unix_ms)
		return; /* the clock was set back */
	halves = (now_unix_ms - t->lately_unix_ms) / FAULTS_HALF_MS;
	t->lately = halved(t->lately, t->lately_unix_ms, now_unix_ms);
	t->lately_unix_ms += halves * FAULTS_HALF_MS;
}

static uint64_t
halved(uint64_t count, uint64_t since_ms, uint64_t now_ms)
{
	uint64_t halves =
	    now_ms > since_ms ? (now_ms - since_ms) / FAULTS_HALF_MS : 0;

	return halves < 64 ? count >> halves : 0;
}

/* ---- rows ------------------------------------------------------------------ */

static struct fault *
row_get(struct faults *all, struct faults_tenant *t,
    const struct fault_event *event)
{
	struct fault *f = row_find(t, event);

	if (f) {
		list_remove(&f->in_tenant);
		list_remove(&f->in_all);
	} else {
		f = calloc(1, sizeof(*f) + event->function.bytes + 1);
		if (!f)
			return NULL;
		list_init(&f->in_tenant);
		list_init(&f->in_all);
		f->tenant = t;
		f->kind = event->kind;
		f->first_unix_ms = event->at_unix_ms;
		keep_text(f->limit, FAULTS_LIMIT_MOST, event->limit);
		keep_text(f->function, event->function.bytes, event->function);
		t->row_count++;
		all->row_count++;
	}
	list_add_first(&t->rows, &f->in_tenant);
	list_add_first(&all->rows, &f->in_all);
	/* behind the new one, so that its tenant is not left without any */
	if (t->row_count > FAULTS_TENANT_MOST)
		row_drop(all,
		    LIST_OWNER(list_last(&t->rows), struct fault, in_tenant));
	else if (all->row_count > FAULTS_ROWS_MOST)
		row_drop(all,
		    LIST_OWNER(list_last(&all->rows), struct fault, in_all));
	return f;
}

static struct fault *
row_find(const struct faults_tenant *t, const struct fault_event *event)
{
	LIST_EACH(node, &t->rows) {
		struct fault *f = LIST_OWNER(node, struct fault, in_tenant);

		if (f->kind == event->kind &&
		    span_equal(span_of(f->function), event->function) &&
		    is_text(f->limit, FAULTS_LIMIT_MOST, event->limit))
			return f;
	}
	return NULL;
}

static void
row_drop(struct faults *all, struct fault *f)
{
	struct faults_tenant *t = f->tenant;

	list_remove(&f->in_tenant);
	list_remove(&f->in_all);
	t->forgotten += f->count;
	all->row_count--;
	free(f);
	if (--t->row_count == 0)
		tenant_drop(all, t);
}

static void
keep_text(char *to, size_t most, struct span text)
{
	struct span kept = span_take(text, most);

	if (kept.bytes > 0)
		memcpy(to, kept.data, kept.bytes);
	to[kept.bytes] = '\0';
}

static bool
is_text(const char *kept, size_t most, struct span text)
{
	return span_equal(span_of(kept), span_take(text, most));
}
