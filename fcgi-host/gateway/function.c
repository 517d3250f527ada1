/* SPDX-License-Identifier: MIT */
/* function.c - what cells have resolved: where a function's executable is, how it
 * is to be run, and the ticket by which its launcher sees that it is still the
 * same. Small, because there may be ten thousand. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"

#include "gateway/gateway.h"
#include "gateway/template.h"
#include "gateway/worker.h"

static struct function *function_new(struct tenant *, struct span name);
static int function_set(struct function *, const struct config *,
    const struct message_resolved *, struct settings *);
static void function_unlist(struct function *);
static struct settings *settings_of(struct cell *, struct span bytes);
static struct span name_of(struct span asked);

struct tenant *
function_tenant(const struct function *f)
{
	return MAP_OWNER(f->admit.tenant, struct tenant, admit);
}

struct span
function_name(const struct function *f)
{
	return f->node.key;
}

struct span
function_file(const struct function *f)
{
	return span_make(f->file, f->file_bytes);
}

struct span
function_ticket(const struct function *f)
{
	return span_make(f->file + f->file_bytes, f->ticket_bytes);
}

/* "report.py" is the function "report" if that is its file. */
struct function *
function_find(struct tenant *t, struct span asked)
{
	struct span name = name_of(asked);
	struct map_node *node = map_find(&t->functions, name);
	struct function *f;

	if (!node)
		return NULL;
	f = MAP_OWNER(node, struct function, node);
	if (f->generation != (uint32_t)t->gateway->config->generation)
		return NULL;
	if (name.bytes != asked.bytes && !span_equal(asked, function_file(f)))
		return NULL;
	list_remove(&f->used);
	list_add_last(&t->gateway->functions, &f->used);
	return f;
}

struct function *
function_learn(struct cell *c, const struct message_resolved *m)
{
	struct tenant *t = c->tenant;
	struct gateway *g = t->gateway;
	struct map_node *node = map_find(&t->functions, m->name);
	struct function *f =
	    node ? MAP_OWNER(node, struct function, node) : NULL;
	struct settings *settings = settings_of(c, m->settings);

	if (!settings)
		return NULL;
	if (!f)
		f = function_new(t, m->name);
	if (!f || function_set(f, c->config, m, settings) != 0) {
		settings_release(&settings);
		return NULL;
	}
	while (g->function_count > FUNCTIONS_MOST)
		function_unlist(LIST_OWNER(list_first(&g->functions),
		    struct function, used));
	return f;
}

static struct function *
function_new(struct tenant *t, struct span name)
{
	struct function *f = calloc(1, sizeof(*f) + name.bytes + 1);

	if (!f)
		return NULL;
	memcpy(f->name, name.data, name.bytes);
	if (map_add(&t->functions, &f->node, span_make(f->name, name.bytes)) !=
	    0) {
		free(f);
		return NULL;
	}
	admit_function_init(&f->admit, &t->admit, (struct admit_limits){ 0 });
	f->listed = true;
	f->references = 1;
	list_init(&f->used);
	list_add_last(&t->gateway->functions, &f->used);
	t->gateway->function_count++;
	return f;
}

/* Takes the settings over when it is 0. */
static int
function_set(struct function *f, const struct config *config,
    const struct message_resolved *m, struct settings *settings)
{
	char *file = malloc(m->file.bytes + m->ticket.bytes + 1);
	bool changed = f->version != m->version ||
	    f->version_of != (uint32_t)config->generation;

	if (!file)
		return -1;
	memcpy(mempcpy(file, m->file.data, m->file.bytes), m->ticket.data,
	    m->ticket.bytes);
	free(f->file);
	f->file = file;
	f->file_bytes = (uint32_t)m->file.bytes;
	f->ticket_bytes = (uint32_t)m->ticket.bytes;
	f->version = m->version;
	f->compared_ms = loop_now_ms(function_tenant(f)->gateway->loop);
	settings_release(&f->settings);
	f->settings = settings;
	f->generation = f->version_of = (uint32_t)config->generation;
	f->admit.limits.slots = settings->concurrency;
	f->admit.limits.queue = config->queue_function;
	if (changed) {
		workers_changed(f);
		templates_changed(f);
	}
	workers_compared(f);
	return 0;
}

/* Those without files share one: all tenants on the same terms that none has of
 * its own, and else what is in one cell. */
static struct settings *
settings_of(struct cell *c, struct span bytes)
{
	const struct gateway *g = c->gateway;

	if (bytes.bytes > 0)
		return settings_decode(bytes, c->terms);
	if (!c->settings && c->terms == config_terms(g->config, SPAN_NONE))
		c->settings = settings_hold(g->settings);
	if (!c->settings)
		c->settings = settings_new(c->terms);
	return settings_hold(c->settings);
}

void
function_doubt(struct function *f)
{
	f->generation = 0;
}

bool
function_is_old(const struct function *f)
{
	const struct gateway *g = function_tenant(f)->gateway;

	return f->workers &&
	    (!f->listed ||
		loop_now_ms(g->loop) - f->compared_ms >= WORKER_COMPARED_MS);
}

void
function_doubt_file(struct function *f)
{
	f->compared_ms = 0;
}

void
function_forget(struct tenant *t, struct span asked)
{
	struct map_node *node = map_find(&t->functions, name_of(asked));
	struct function *f =
	    node ? MAP_OWNER(node, struct function, node) : NULL;

	/* A wrong extension says nothing about the function itself. */
	if (f &&
	    (name_of(asked).bytes == asked.bytes ||
		span_equal(asked, function_file(f))))
		function_unlist(f);
}

void
function_forget_all(struct tenant *t)
{
	struct map_node *node = map_next(&t->functions, NULL), *next;

	for (; node; node = next) {
		next = map_next(&t->functions, node);
		function_unlist(MAP_OWNER(node, struct function, node));
	}
}

void
function_keep_all(struct tenant *t, const struct config *before)
{
	const struct config *now = t->gateway->config;
	struct map_node *node = NULL;

	while ((node = map_next(&t->functions, node))) {
		struct function *f = MAP_OWNER(node, struct function, node);

		if (f->generation == (uint32_t)before->generation)
			f->generation = (uint32_t)now->generation;
		if (f->version_of == (uint32_t)before->generation)
			f->version_of = (uint32_t)now->generation;
		f->admit.limits.queue = now->queue_function;
	}
}

static void
function_unlist(struct function *f)
{
	struct tenant *t = function_tenant(f);

	if (!f->listed)
		return;
	f->listed = false;
	workers_changed(f);
	templates_changed(f);
	map_remove(&t->functions, &f->node);
	list_remove(&f->used);
	t->gateway->function_count--;
	function_release(&f);
	tenant_settle(t);
}

struct function *
function_hold(struct function *f)
{
	if (f)
		f->references++;
	return f;
}

/* Who holds one also counts in its tenant, which therefore outlives it. */
void
function_release(struct function **owned)
{
	struct function *f = *owned;

	*owned = NULL;
	if (!f || --f->references > 0)
		return;
	assert(!f->listed);
	workers_free(&f->workers);
	templates_free(&f->templates);
	admit_function_done(&f->admit);
	settings_release(&f->settings);
	free(f->file);
	free(f);
}

static struct span
name_of(struct span asked)
{
	struct span rest = asked;

	return span_cut(&rest, '.');
}
