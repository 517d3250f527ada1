/* SPDX-License-Identifier: MIT */
/* control_facts.c - what `status` says, while it is gathered: values by section
 * and name, from the gateway's counters and from the lines master answers with,
 * and the JSON text they become. */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/diag.h"
#include "wire/json_text.h"

#include "gateway/control.h"

struct control_facts {
	json_t *root; /* ours */
};

static void fact_put(struct control_facts *, const char *section,
    const char *name, json_t *taken);
static bool fact_is_list(const char *name);
static void fact_append(struct control_facts *, const char *section,
    const char *name, struct span value);

struct control_facts *
control_facts_new(void)
{
	struct control_facts *facts = diag_alloc(sizeof(*facts));

	facts->root = json_object();
	return facts;
}

void
control_facts_free(struct control_facts **owned)
{
	struct control_facts *facts = *owned;

	*owned = NULL;
	if (!facts)
		return;
	json_decref(facts->root);
	free(facts);
}

void
control_fact_count(struct control_facts *facts, const char *section,
    const char *name, uint64_t value)
{
	fact_put(facts, section, name, json_integer((json_int_t)value));
}

void
control_fact_text(struct control_facts *facts, const char *section,
    const char *name, struct span value)
{
	fact_put(facts, section, name, json_text(value));
}

static void
fact_put(struct control_facts *facts, const char *section, const char *name,
    json_t *value)
{
	json_t *object = facts->root, *inner;
	struct span rest = span_of(section), part;

	while (rest.bytes > 0) {
		part = span_cut(&rest, '/');
		inner = json_object_getn(object, part.data, part.bytes);
		if (!inner) {
			inner = json_object();
			if (json_object_setn_new(object, part.data, part.bytes,
				inner) != 0) {
				json_decref(value);
				return;
			}
		}
		object = inner;
	}
	json_object_set_new(object, name, value);
}

/* "gateway.pid=311" of master becomes a fact of the section gateway; a key
 * without a dot is of the host: it says "log=" (where) and "log.pid=". */
void
control_fact_line(struct control_facts *facts, struct span line)
{
	char section[64], name[64];
	struct span key = span_cut(&line, '='), part;
	uint64_t number;

	if (key.bytes == 0 || key.bytes >= sizeof(name) || !line.data)
		return;
	part = span_cut(&key, '.');
	snprintf(section, sizeof(section), "%.*s",
	    SPAN_ARGS(key.data ? part : SPAN("host")));
	snprintf(name, sizeof(name), "%.*s", SPAN_ARGS(key.data ? key : part));
	if (fact_is_list(name))
		fact_append(facts, section, name, line);
	else if (span_number(line, INT64_MAX, &number) == 0)
		control_fact_count(facts, section, name, number);
	else
		control_fact_text(facts, section, name, line);
}

/* What master says any number of times, maybe once: always a list. */
static bool
fact_is_list(const char *name)
{
	return strcmp(name, "enforced") == 0 ||
	    strcmp(name, "not_enforced") == 0;
}

static void
fact_append(struct control_facts *facts, const char *section, const char *name,
    struct span value)
{
	json_t *list =
	    json_object_get(json_object_get(facts->root, section), name);

	if (!list)
		fact_put(facts, section, name, list = json_array());
	json_array_append_new(list, json_text(value));
}

char *
control_facts_print(const struct control_facts *facts)
{
	return json_dumps(facts->root, JSON_COMPACT);
}
