/* SPDX-License-Identifier: MIT */
/* heap.c - an array with nodes[i] <= nodes[2i] and nodes[2i + 1], counted
 * from 1. A node knows its place, so moving and removing need no search. */

#include <assert.h>
#include <stdlib.h>

#include "base/heap.h"

enum { HEAP_ROOM_LEAST = 32 };

static void heap_put(struct heap *, size_t place, struct heap_node *);
static void heap_rise(struct heap *, struct heap_node *);
static void heap_sink(struct heap *, struct heap_node *);

void
heap_init(struct heap *h)
{
	*h = (struct heap){ 0 };
}

void
heap_free(struct heap *h)
{
	for (size_t i = 1; i <= h->count; i++)
		h->nodes[i]->place = 0;
	free(h->nodes);
	heap_init(h);
}

int
heap_add(struct heap *h, struct heap_node *node, uint64_t key)
{
	size_t room = h->room ? h->room * 2 : HEAP_ROOM_LEAST;
	struct heap_node **nodes;

	assert(node->place == 0);
	if (h->count + 1 >= h->room) {
		nodes = realloc(h->nodes, room * sizeof(struct heap_node *));
		if (!nodes)
			return -1;
		h->nodes = nodes;
		h->room = room;
	}
	node->key = key;
	heap_put(h, ++h->count, node);
	heap_rise(h, node);
	return 0;
}

void
heap_move(struct heap *h, struct heap_node *node, uint64_t key)
{
	assert(node->place > 0 && h->nodes[node->place] == node);
	node->key = key;
	heap_rise(h, node);
	heap_sink(h, node);
}

void
heap_remove(struct heap *h, struct heap_node *node)
{
	struct heap_node *last;

	if (node->place == 0)
		return;
	assert(node->place <= h->count && h->nodes[node->place] == node);
	last = h->nodes[h->count--];
	if (last != node) {
		heap_put(h, node->place, last);
		heap_rise(h, last);
		heap_sink(h, last);
	}
	node->place = 0;
}

struct heap_node *
heap_least(const struct heap *h)
{
	return h->count > 0 ? h->nodes[1] : NULL;
}

static void
heap_put(struct heap *h, size_t place, struct heap_node *node)
{
	h->nodes[place] = node;
	node->place = place;
}

static void
heap_rise(struct heap *h, struct heap_node *node)
{
	size_t place = node->place;

	for (; place > 1 && h->nodes[place / 2]->key > node->key; place /= 2)
		heap_put(h, place, h->nodes[place / 2]);
	heap_put(h, place, node);
}

static void
heap_sink(struct heap *h, struct heap_node *node)
{
	size_t place = node->place, below;

	for (; (below = place * 2) <= h->count; place = below) {
		if (below < h->count &&
		    h->nodes[below + 1]->key < h->nodes[below]->key)
			below++;
		if (h->nodes[below]->key >= node->key)
			break;
		heap_put(h, place, h->nodes[below]);
	}
	heap_put(h, place, node);
}
