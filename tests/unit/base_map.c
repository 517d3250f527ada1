/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant's or function's name finds nothing, finds another,
 * or clients can choose names that make every look-up slow. */

#include "rows.h"

#include "base/map.h"

/* Published with SipHash: key bytes 00 .. 0f, input bytes 00, 01, 02 ... */
struct hash_row {
	const char *sentence;
	size_t bytes;
	uint64_t hash;
};

static const struct hash_row hashes[] = {
	{ "the hash of nothing is SipHash-2-4's", 0,
	    UINT64_C(0x726fdb47dd0e0e31) },
	{ "the hash of fifteen bytes is the paper's example", 15,
	    UINT64_C(0xa129ca6149be45e5) },
};

static void
hash(void **state)
{
	const struct hash_row *row = *state;
	struct map_node node;
	struct map m;
	char input[16];

	for (size_t i = 0; i < sizeof(input); i++)
		input[i] = (char)i;
	map_init(&m);
	m.seed[0] = UINT64_C(0x0706050403020100);
	m.seed[1] = UINT64_C(0x0f0e0d0c0b0a0908);
	assert_int_equal(map_add(&m, &node, span_make(input, row->bytes)), 0);
	assert_true(node.hash == row->hash);
	map_free(&m);
}

enum { ENTRIES = 3000, STEPS = 60000 };

struct entry {
	struct map_node node;
	char name[16];
	bool in;
	unsigned seen;
};

static void
check_walk(const struct map *m, struct entry *entries, size_t held)
{
	size_t seen = 0;

	for (size_t i = 0; i < ENTRIES; i++)
		entries[i].seen = 0;
	for (struct map_node *n = map_next(m, NULL); n; n = map_next(m, n)) {
		struct entry *e = MAP_OWNER(n, struct entry, node);

		assert_true(e->in);
		assert_int_equal(e->seen++, 0);
		seen++;
	}
	assert_int_equal(seen, held);
	assert_int_equal(m->count, held);
}

static void
random_use_matches_a_model(void **state)
{
	static struct entry entries[ENTRIES];
	uint64_t seed = rows_seed();
	struct map_node twin;
	size_t held = 0;
	struct map m;

	(void)state;
	map_init(&m);
	for (size_t i = 0; i < ENTRIES; i++)
		snprintf(entries[i].name, sizeof(entries[i].name), "f%zu", i);
	for (int step = 0; step < STEPS; step++) {
		struct entry *e = &entries[rows_random(&seed, ENTRIES)];
		struct span key = span_of(e->name);

		assert_ptr_equal(map_find(&m, key), e->in ? &e->node : NULL);
		if (e->in) {
			assert_int_equal(map_add(&m, &twin, key), -1);
			map_remove(&m, &e->node);
			held--;
		} else {
			assert_int_equal(map_add(&m, &e->node, key), 0);
			held++;
		}
		e->in = !e->in;
		if (step % 5000 == 0)
			check_walk(&m, entries, held);
	}
	check_walk(&m, entries, held);
	map_free(&m);
}

static void
all_can_be_removed_while_walking(void **state)
{
	static struct entry entries[ENTRIES];
	struct map_node *n, *next;
	struct map m;

	(void)state;
	map_init(&m);
	for (size_t i = 0; i < ENTRIES; i++) {
		snprintf(entries[i].name, sizeof(entries[i].name), "%zu", i);
		assert_int_equal(map_add(&m, &entries[i].node,
				     span_of(entries[i].name)),
		    0);
	}
	for (n = map_next(&m, NULL); n; n = next) {
		next = map_next(&m, n);
		map_remove(&m, n);
	}
	assert_int_equal(m.count, 0);
	assert_null(map_next(&m, NULL));
	map_remove(&m, &entries[0].node); /* harmless */
	map_free(&m);
}

static void
keys_are_bytes_not_strings(void **state)
{
	struct map_node a, b, empty;
	struct map m;

	(void)state;
	map_init(&m);
	assert_null(map_find(&m, SPAN("a")));
	assert_null(map_next(&m, NULL));
	assert_int_equal(map_add(&m, &a, SPAN("a\0b")), 0);
	assert_int_equal(map_add(&m, &b, SPAN("a\0c")), 0);
	assert_int_equal(map_add(&m, &empty, SPAN("")), 0);
	assert_null(map_find(&m, SPAN("a")));
	assert_ptr_equal(map_find(&m, SPAN("a\0c")), &b);
	assert_ptr_equal(map_find(&m, SPAN_NONE), &empty);
	map_free(&m);
	map_free(&m);
}

static void
two_maps_hash_differently(void **state)
{
	struct map_node in_a, in_b;
	struct map a, b;

	(void)state;
	map_init(&a);
	map_init(&b);
	assert_int_equal(map_add(&a, &in_a, SPAN("hello")), 0);
	assert_int_equal(map_add(&b, &in_b, SPAN("hello")), 0);
	assert_true(in_a.hash != in_b.hash);
	map_free(&a);
	map_free(&b);
}

static const struct CMUnitTest others[] = {
	{ .name = "any order of adding and removing matches a plain array",
	    .test_func = random_use_matches_a_model },
	{ .name = "every entry can be removed while walking",
	    .test_func = all_can_be_removed_while_walking },
	{ .name = "keys are bytes, not strings",
	    .test_func = keys_are_bytes_not_strings },
	{ .name = "the same name hashes differently in another map",
	    .test_func = two_maps_hash_differently },
};

int
main(void)
{
	return RUN_ROWS(hashes, hash) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
