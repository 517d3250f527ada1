/* SPDX-License-Identifier: MIT */
/* terms.c - what a tenant gets, from the host's options, its plan and its own
 * entry. Links libc and wire only, as option.c does. */

#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"

#include "config/options.h"

#define HOUR_MS UINT64_C(3600000)

static void take_numbers(struct terms *, const struct grant *, enum terms_from);
static void take_limits(uint64_t numbers[LIMITS], unsigned char from[LIMITS],
    const uint64_t given[LIMITS], enum terms_from);
static void take_lists(struct terms *, const struct grant *);
static void settle_numbers(struct terms *, const struct config *);
static void settle_limits(struct terms *);
static const struct grant *plan_of(const struct config *, const struct grant *);
static const struct terms *terms_at(const struct config *, size_t index);

/* ---- all of a configuration ------------------------------------------------ */

int
config_settle(struct config *c)
{
	terms_forget(c);
	grants_sort(&c->plans);
	c->terms_count = c->tenants.count + 1;
	c->terms = diag_alloc(c->terms_count * sizeof(c->terms[0]));
	return c->plan[0] && !plan_of(c, NULL) ? -1 : 0;
}

void
terms_forget(struct config *c)
{
	for (size_t i = 0; i < c->terms_count; i++) {
		if (c->terms[i])
			terms_free(c->terms[i]);
		free(c->terms[i]);
	}
	free(c->terms);
	c->terms = NULL;
	c->terms_count = 0;
}

static const struct grant *
plan_of(const struct config *c, const struct grant *own)
{
	const char *name = own && own->plan[0] ? own->plan : c->plan;

	return grants_find(&c->plans, span_of(name));
}

const struct terms *
config_terms(const struct config *c, struct span tenant)
{
	return terms_at(c, (size_t)(packed_find(&c->tenants, tenant) + 1));
}

static const struct terms *
terms_at(const struct config *c, size_t index)
{
	struct grants one = { 0 };
	const struct grant *own = NULL;

	if (c->terms[index])
		return c->terms[index];
	if (index > 0) {
		/* config_load() or config_decode() has looked at it */
		if (packed_take(&c->tenants, index - 1, &one) != 0)
			diag_panic("a tenant's options are none");
		own = one.items;
	}
	c->terms[index] = diag_alloc(sizeof(*c->terms[index]));
	terms_make(c->terms[index], c, plan_of(c, own), own);
	grants_free(&one);
	return c->terms[index];
}

uint64_t
config_maximum(const struct config *c, enum limit limit)
{
	uint64_t most = terms_at(c, 0)->maximum[limit];

	for (size_t i = 1; i <= c->tenants.count && most > 0; i++) {
		uint64_t own = terms_at(c, i)->maximum[limit];

		most = own == 0 || own > most ? own : most;
	}
	return most;
}

bool
config_has_env(const struct config *c)
{
	for (size_t i = 0; i <= c->tenants.count; i++)
		if (terms_at(c, i)->env.count > 0)
			return true;
	return false;
}

/* What cells look at beside the terms: see cell/plan.c and cell/grounds.c. */
bool
config_same_cell(const struct config *a, const struct config *b,
    struct span tenant)
{
	return terms_equal(config_terms(a, tenant), config_terms(b, tenant)) &&
	    strings_equal(&a->cell_paths, &b->cell_paths) &&
	    strings_equal(&a->link_targets, &b->link_targets);
}

bool
terms_equal(const struct terms *a, const struct terms *b)
{
#define TERM(member, name, TYPE, host_member, sentence) \
	if (a->member != b->member)                     \
		return false;
#include "config/terms.def"
#undef TERM
	return memcmp(a->limits, b->limits, sizeof(a->limits)) == 0 &&
	    memcmp(a->maximum, b->maximum, sizeof(a->maximum)) == 0 &&
	    a->concurrency == b->concurrency &&
	    a->concurrency_most == b->concurrency_most &&
	    strings_equal(&a->read, &b->read) &&
	    strings_equal(&a->write, &b->write) &&
	    strings_equal(&a->env, &b->env);
}

/* ---- one ------------------------------------------------------------------------ */

void
terms_make(struct terms *t, const struct config *c, const struct grant *plan,
    const struct grant *own)
{
	*t = (struct terms){
		.plan = plan ? plan->name : "",
#define TERM(member, name, TYPE, host_member, sentence) \
	.member = c->host_member,
#include "config/terms.def"
#undef TERM
		.concurrency = c->slots_function,
		.concurrency_most = c->slots_function_most,
	};
	memcpy(t->limits, c->limits, sizeof(t->limits));
	memcpy(t->maximum, c->maximum, sizeof(t->maximum));
	if (plan)
		take_numbers(t, plan, TERMS_PLAN);
	if (own)
		take_numbers(t, own, TERMS_TENANT);
	if (plan)
		take_lists(t, plan);
	if (own)
		take_lists(t, own);
	settle_numbers(t, c);
	settle_limits(t);
}

void
terms_free(struct terms *t)
{
	strings_free(&t->read);
	strings_free(&t->write);
	strings_free(&t->env);
}

static void
take_numbers(struct terms *t, const struct grant *given, enum terms_from from)
{
	struct option rows[GRANT_OPTIONS];

	grant_rows(rows);
#define TERM(member_, name, TYPE, host_member, sentence)                      \
	if (option_is_set(&rows[GRANT_FIRST_TERM + TERM_##member_], given)) { \
		t->member_ = given->member_;                                  \
		t->from[TERM_##member_] = (unsigned char)from;                \
	}
#include "config/terms.def"
#undef TERM
	take_limits(t->limits, t->limits_from, given->limits, from);
	take_limits(t->maximum, t->maximum_from, given->maximum, from);
}

static void
take_limits(uint64_t numbers[LIMITS], unsigned char from[LIMITS],
    const uint64_t given[LIMITS], enum terms_from who)
{
	for (int i = 0; i < LIMITS; i++) {
		if (given[i] == OPTION_UNSET)
			continue;
		numbers[i] = given[i];
		from[i] = (unsigned char)who;
	}
}

static void
take_lists(struct terms *t, const struct grant *given)
{
	const struct strings *from[] = { &given->read, &given->write };
	struct strings *to[] = { &t->read, &t->write };
	int failed = 0;

	for (int i = 0; i < 2; i++)
		for (size_t j = 0; j < from[i]->count; j++) {
			struct span path = span_of(from[i]->items[j]);

			if (!strings_have(to[i], path))
				failed |= strings_add(to[i], path);
		}
	for (size_t j = 0; j < given->env.count; j++)
		failed |=
		    strings_put_env(&t->env, span_of(given->env.items[j]));
	if (failed)
		diag_fatal("no memory for what tenants are granted");
}

/* A slot is a launcher and a process, and the cell is one more. */
static void
settle_numbers(struct terms *t, const struct config *c)
{
	uint64_t share = c->slots_host * c->slots_share / 100;
	uint64_t fit = (t->processes - 1) / 2;

	if (t->from[TERM_slots] == TERMS_HOST && t->slots > share)
		t->slots = share;
	if (t->slots > c->slots_host)
		t->slots = c->slots_host;
	if (t->slots > fit)
		t->slots = fit;
	if (t->slots == 0)
		t->slots = 1;
	if (t->burst == 0)
		t->burst = 2 * t->rate;
	if (t->running == 0)
		t->running = t->slots * HOUR_MS;
}

/* A default follows a maximum that was set for fewer. */
static void
settle_limits(struct terms *t)
{
	for (int i = 0; i < LIMITS; i++) {
		uint64_t most = t->maximum[i];
		bool off = t->limits[i] == 0 &&
		    config_limit_row((enum limit)i)->number > 0;

		if (most > 0 && (off || t->limits[i] > most) &&
		    t->maximum_from[i] > t->limits_from[i]) {
			t->limits[i] = most;
			t->limits_from[i] = t->maximum_from[i];
		}
	}
}

/* ---- for people --------------------------------------------------------------- */

const char *
terms_text(const struct terms *t, enum term term, char text[32])
{
	const uint64_t values[TERMS] = {
#define TERM(member, name, TYPE, host_member, sentence) t->member,
#include "config/terms.def"
#undef TERM
	};
	struct option rows[GRANT_OPTIONS];

	grant_rows(rows);
	return option_number_words(&rows[GRANT_FIRST_TERM + term], values[term],
	    text);
}

const char *
terms_of(const struct terms *t, enum terms_from from, char text[96])
{
	text[0] = '\0';
	if (from == TERMS_PLAN)
		snprintf(text, 96, " of plan %s", t->plan);
	if (from == TERMS_TENANT)
		snprintf(text, 96, " of this tenant");
	return text;
}
