/* SPDX-License-Identifier: MIT */
/* explain.c - what choice.c knows, put into words. */
#include <stdio.h>

#include "base/clock.h"
#include "wire/json_text.h"
#include "wire/time_spec.h"

#include "gateway/explain.h"
#include "gateway/gateway.h"
#include "gateway/template.h"

enum { WORDS_MOST = 320, FIGURE_CHARS = 32, MIB = 1024 * 1024 };

static void put_why(json_t *, const char *setting);
static void put_function(json_t *, struct function *, struct span start);
static void say_why(char words[WORDS_MOST], const struct function *,
    const struct choice_facts *);
static void put_ways(json_t *, const struct choice *);
static json_t *way_new(json_t *ways, const char *name, uint64_t memory);
static void put_start(json_t *, const struct choice *, enum way);
static void put_runs(json_t *, const struct choice_taken *);
static json_t *ms_of(uint64_t us);
static const char *figure(uint64_t us, char text[FIGURE_CHARS]);

void
explain_put(json_t *row, struct function *f, struct span start)
{
	json_object_set_new(row, "chosen", json_string("exec"));
	if (start.bytes == 0)
		put_why(row,
		    "it cannot be forked: only a program built with the SDK, "
		    "see fn(3), or a function in Python can be a template");
	else if (span_equal(start, SPAN("exec")))
		put_why(row, "its settings say start = \"exec\"");
	else if (!f)
		put_why(row,
		    "nobody has asked for it yet; its first processes are "
		    "executed");
	else
		put_function(row, f, start);
}

static void
put_why(json_t *row, const char *why)
{
	json_object_set_new(row, "why", json_text(span_of(why)));
}

static void
put_function(json_t *row, struct function *f, struct span start)
{
	const struct cell *cell = function_tenant(f)->cell;
	struct choice_facts facts = template_facts(f, cell);
	const struct choice *c = &f->choice;
	bool forked = cell && template_ready(f, cell);
	char words[WORDS_MOST];

	if (span_equal(start, SPAN("fork"))) {
		put_why(row, "its settings say start = \"fork\"");
	} else {
		choice_ask(&f->choice, &facts);
		say_why(words, f, &facts);
		put_why(row, words);
	}
	json_object_set_new(row, "chosen",
	    json_string(forked ? "fork" : "exec"));
	json_object_set_new(row, "template",
	    json_text(span_of(templates_words(f))));
	if (c->since_us > 0)
		json_object_set_new(row, "since_unix_ms",
		    json_integer((json_int_t)(clock_unix_ms() -
			(facts.now_us - c->since_us) / 1000)));
	json_object_set_new(row, "starts_per_s",
	    json_real((double)choice_rate(c, facts.now_us) / 1000));
	put_ways(row, c);
}

static void
say_why(char words[WORDS_MOST], const struct function *f,
    const struct choice_facts *facts)
{
	const struct choice *c = &f->choice;
	char executed[FIGURE_CHARS], saved[FIGURE_CHARS], warm[32];
	bool measured;

	figure(choice_until_us(c, WAY_EXECUTED, &measured), executed);
	figure(choice_saved_us(c), saved);
	switch (c->why) {
	case CHOICE_NEW:
		snprintf(words, WORDS_MOST,
		    "nothing of it was measured yet; its first processes are "
		    "executed");
		break;
	case CHOICE_CHEAP:
		snprintf(words, WORDS_MOST,
		    "a %s takes %s, of which a template would save %s: too "
		    "little to keep a process for, as often as it is started",
		    measured ? "start" : "whole run", executed, saved);
		break;
	case CHOICE_SELDOM:
		snprintf(words, WORDS_MOST,
		    "its processes are started so seldom that a template would "
		    "be gone before the next: without work it stays for "
		    "limits.warm = %s",
		    time_spec_text(f->settings->limits[LIMIT_warm], warm));
		break;
	case CHOICE_DEAR:
		snprintf(words, WORDS_MOST,
		    "a template would need %llu MiB; those of a tenant may "
		    "have %llu MiB together, half of limits.memory, and its "
		    "others have %llu MiB",
		    (unsigned long long)(c->resident / MIB),
		    (unsigned long long)(facts->memory / CHOICE_MEMORY_PART /
			MIB),
		    (unsigned long long)(facts->held / MIB));
		break;
	case CHOICE_TRIES:
		snprintf(words, WORDS_MOST,
		    "a whole run takes %s; a template shows how much of that "
		    "is the start",
		    executed);
		break;
	case CHOICE_LONG:
		snprintf(words, WORDS_MOST,
		    "a start takes %s when it is executed, of which a "
		    "template saves %s",
		    executed, saved);
		break;
	case CHOICE_OFTEN:
		snprintf(words, WORDS_MOST,
		    "it is started so often that the %s which a template "
		    "saves each time are worth a process",
		    saved);
		break;
	}
}

/* What is not measured is left out, or said to be supposed. */
static void
put_ways(json_t *row, const struct choice *c)
{
	json_t *ways = json_array(), *way;

	way = way_new(ways, "exec", 0);
	put_start(way, c, WAY_EXECUTED);
	put_runs(way, &c->taken[WAY_EXECUTED]);
	way = way_new(ways, "fork", c->resident);
	put_start(way, c, WAY_FORKED);
	put_runs(way, &c->taken[WAY_FORKED]);
	way_new(ways, "spares", c->resident);
	way_new(ways, "worker", c->resident);
	json_object_set_new(row, "ways", ways);
}

static json_t *
way_new(json_t *ways, const char *name, uint64_t memory)
{
	json_t *way = json_object();

	json_object_set_new(way, "way", json_string(name));
	json_object_set_new(way, "memory_kib",
	    json_integer((json_int_t)(memory / 1024)));
	json_array_append_new(ways, way);
	return way;
}

static void
put_start(json_t *way, const struct choice *c, enum way which)
{
	bool measured;
	uint64_t us = choice_until_us(c, which, &measured);

	if (us == 0)
		return;
	json_object_set_new(way, "start_ms", ms_of(us));
	json_object_set_new(way, "start_measured", json_boolean(measured));
}

static void
put_runs(json_t *way, const struct choice_taken *taken)
{
	if (taken->count == 0)
		return;
	json_object_set_new(way, "run_ms", ms_of(taken->run_us));
	json_object_set_new(way, "cpu_ms", ms_of(taken->cpu_us));
	json_object_set_new(way, "runs",
	    json_integer((json_int_t)taken->count));
}

static json_t *
ms_of(uint64_t us)
{
	return json_real((double)us / 1000);
}

static const char *
figure(uint64_t us, char text[FIGURE_CHARS])
{
	snprintf(text, FIGURE_CHARS, "%.*f ms", us < 10000 ? 1 : 0,
	    (double)us / 1000);
	return text;
}
