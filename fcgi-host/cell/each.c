/* SPDX-License-Identifier: MIT */
/* each.c - says what launcher.c and proc_start() do. Pure. */

#include <inttypes.h>

#include "cell/each.h"

static void print_limits(const struct each_facts *, const struct terms *,
    struct buf *);
static void print_numbers(const struct terms *, enum limit, const char *unit,
    struct buf *);

void
each_print(const struct each_facts *facts, const struct terms *terms,
    struct buf *out)
{
	static const char *const names[EACHES] = {
#define EACH(NAME, name, sentence) [EACH_##NAME] = #name,
#include "cell/each.def"
#undef EACH
	};

	for (int each = 0; each < EACHES; each++) {
		if ((each == EACH_DEATH && !facts->alone) ||
		    (each == EACH_RULES && !facts->rules))
			continue;
		if (each == EACH_LIMIT) {
			print_limits(facts, terms, out);
			continue;
		}
		buf_printf(out, "each %s", names[each]);
		if (each == EACH_DESCRIPTORS)
			buf_put_string(out, " 0 1 2");
		else if (each == EACH_DEATH)
			buf_put_string(out, " signal=9");
		else if (each == EACH_RULES)
			buf_put_string(out, " signals");
		else if (each == EACH_ALARM)
			print_numbers(terms, LIMIT_time, "ms", out);
		buf_put_byte(out, '\n');
	}
}

static void
print_limits(const struct each_facts *facts, const struct terms *terms,
    struct buf *out)
{
	static const struct {
		const char *name;
		enum limit limit;
		const char *unit;
	} rows[] = {
		{ "cpu", LIMIT_cpu, "ms" },
		{ "data", LIMIT_memory, "bytes" },
		{ "nofile", LIMIT_files, "count" },
		{ "nproc", LIMIT_processes, "count" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].limit == LIMIT_processes &&
		    !facts->limits_processes)
			continue;
		buf_printf(out, "each limit %s", rows[i].name);
		print_numbers(terms, rows[i].limit, rows[i].unit, out);
		buf_put_byte(out, '\n');
	}
}

/* 0 is without end, in both. */
static void
print_numbers(const struct terms *terms, enum limit limit, const char *unit,
    struct buf *out)
{
	const struct {
		const char *name;
		uint64_t value;
	} both[] = {
		{ unit, terms->limits[limit] },
		{ "most", terms->maximum[limit] },
	};

	for (int i = 0; i < 2; i++)
		if (both[i].value == 0)
			buf_printf(out, " %s=unlimited", both[i].name);
		else
			buf_printf(out, " %s=%" PRIu64, both[i].name,
			    both[i].value);
}
