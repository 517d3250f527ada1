/* SPDX-License-Identifier: MIT */
/* heap.h - a binary heap of intrusive nodes, least key first. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
	uint64_t key;
	size_t place; /* 1-based index in the heap, 0 = not in it */
};

struct heap {
	struct heap_node **nodes; /* ours; nodes[0] unused */
	size_t count;
	size_t room;
};

void heap_init(struct heap *);
void heap_free(struct heap *);
int heap_add(struct heap *, struct heap_node *, uint64_t key); /* 0 or -1 */
void heap_move(struct heap *, struct heap_node *, uint64_t key);
void heap_remove(struct heap *, struct heap_node *); /* harmless if out */
struct heap_node *heap_least(const struct heap *);   /* NULL when empty */

#endif
