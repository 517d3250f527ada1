/* SPDX-License-Identifier: MIT */
/* suite.h - sentences about storages, each run over every engine. */
#ifndef FAULT_SUITE_H
#define FAULT_SUITE_H

#include "bed.h"

#define SPAN_INIT(literal)                      \
	{                                       \
		"" literal, sizeof(literal) - 1 \
	}

static struct bed bed;

static inline struct got *
get(const char *key)
{
	return bed_get(&bed, "acme", key);
}

static inline struct got *
set(const char *key, const char *value)
{
	return bed_set(&bed, "acme", key, value);
}

static inline struct got *
op(struct store_op o)
{
	return bed_op(&bed, "acme", o);
}

static inline struct got *
list(struct store_range range)
{
	return bed_list(&bed, "acme", range);
}

static inline struct got *
changes(struct store_changes ask)
{
	if (ask.limit == 0)
		ask.limit = 1000;
	return bed_changes(&bed, "acme", &ask);
}

static inline struct store_op
delete_of(const char *key)
{
	return (struct store_op){ .kind = STORE_DELETE, .key = span_of(key) };
}

static inline struct store_op
sum_of(const char *key, int64_t by)
{
	return (struct store_op){
		.kind = STORE_SUM, .key = span_of(key), .number = by
	};
}

struct sentence {
	const char *name;
	void (*run)(void);
	const char *engine;
};

static inline void
run_sentence(void **state)
{
	const struct sentence *s = *state;

	bed_make(&bed, s->engine);
	bed_open(&bed);
	s->run();
	bed_free(&bed);
}

static inline int
suite_run(const struct sentence *sentences, size_t count)
{
	static const char *const engines[] = { "memory", "sqlite",
		"fault over memory", "fault over sqlite" };
	struct sentence *rows = calloc(count, sizeof(*rows));
	int failed = 0;

	for (size_t e = 0; e < COUNT(engines); e++) {
		for (size_t i = 0; i < count; i++) {
			rows[i] = sentences[i];
			rows[i].engine = engines[e];
		}
		print_message("over %s\n", engines[e]);
		failed += rows_run(engines[e], rows, count, sizeof(*rows),
		    run_sentence);
	}
	free(rows);
	return failed;
}

#define SENTENCE(name)            \
	{                         \
#name, name, NULL \
	}

#endif
