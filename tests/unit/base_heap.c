/* SPDX-License-Identifier: MIT */
/* If this fails, time limits fire late, early, twice or never. */

#include "rows.h"

#include "base/heap.h"

enum { NODES = 500, STEPS = 50000 };

/* The model: which nodes are in and their keys, searched one by one. */
static uint64_t
least_key(const struct heap_node *nodes, size_t *count)
{
	uint64_t least = UINT64_MAX;

	*count = 0;
	for (size_t i = 0; i < NODES; i++)
		if (nodes[i].place != 0) {
			(*count)++;
			least = nodes[i].key < least ? nodes[i].key : least;
		}
	return least;
}

static void
check_order(const struct heap *h)
{
	for (size_t i = 1; i <= h->count; i++) {
		assert_int_equal(h->nodes[i]->place, i);
		if (i > 1)
			assert_true(h->nodes[i / 2]->key <= h->nodes[i]->key);
	}
}

static void
random_use_matches_a_model(void **state)
{
	static struct heap_node nodes[NODES];
	uint64_t seed = rows_seed(), key, least;
	size_t count;
	struct heap h;

	(void)state;
	heap_init(&h);
	assert_null(heap_least(&h));
	for (int step = 0; step < STEPS; step++) {
		struct heap_node *n = &nodes[rows_random(&seed, NODES)];

		key = rows_random(&seed, 1000); /* many are equal */
		if (n->place == 0)
			assert_int_equal(heap_add(&h, n, key), 0);
		else if (rows_random(&seed, 2))
			heap_move(&h, n, key);
		else
			heap_remove(&h, n);
		if (step % 50)
			continue;
		least = least_key(nodes, &count);
		assert_int_equal(h.count, count);
		check_order(&h);
		if (count > 0)
			assert_true(heap_least(&h)->key == least);
	}
	heap_free(&h);
	least_key(nodes, &count);
	assert_int_equal(count, 0);
}

static int
by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
it_empties_in_sorted_order(void **state)
{
	static struct heap_node nodes[NODES];
	static uint64_t keys[NODES];
	uint64_t seed = rows_seed();
	struct heap h;

	(void)state;
	heap_init(&h);
	for (size_t i = 0; i < NODES; i++) {
		keys[i] = rows_random(&seed, UINT64_C(1) << 40);
		assert_int_equal(heap_add(&h, &nodes[i], keys[i]), 0);
	}
	qsort(keys, NODES, sizeof(keys[0]), by_value);
	for (size_t i = 0; i < NODES; i++) {
		assert_true(heap_least(&h)->key == keys[i]);
		heap_remove(&h, heap_least(&h));
	}
	assert_null(heap_least(&h));
	heap_free(&h);
}

static void
removing_what_is_not_in_is_harmless(void **state)
{
	struct heap_node in = { 0 }, out = { 0 };
	struct heap h;

	(void)state;
	heap_init(&h);
	heap_remove(&h, &out);
	assert_int_equal(heap_add(&h, &in, UINT64_MAX), 0);
	heap_remove(&h, &out);
	assert_ptr_equal(heap_least(&h), &in);
	heap_remove(&h, &in);
	heap_remove(&h, &in);
	assert_null(heap_least(&h));
	heap_free(&h);
}

static const struct CMUnitTest tests[] = {
	{ .name = "any order of adding, moving and removing matches a model",
	    .test_func = random_use_matches_a_model },
	{ .name = "a heap empties in sorted order",
	    .test_func = it_empties_in_sorted_order },
	{ .name = "removing what is not in is harmless",
	    .test_func = removing_what_is_not_in_is_harmless },
};

int
main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
