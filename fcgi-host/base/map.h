/* SPDX-License-Identifier: MIT */
/* map.h - a hash map from bytes to what they name, intrusive, keyed SipHash
 * style against chosen collisions (tenant and function names come from
 * clients). The key belongs to the entry and must outlive it in the map. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/span.h"

struct map_node {
	struct map_node *next;
	uint64_t hash;
	struct span key; /* borrowed from the object that embeds us */
};

struct map {
	struct map_node **buckets; /* ours */
	size_t bucket_count;	   /* 0 or a power of two */
	size_t count;
	uint64_t seed[2];
};

#define MAP_OWNER(node, type, member) \
	((type *)(void *)((char *)(node)-offsetof(type, member)))

void map_init(struct map *);
void map_free(struct map *); /* the table, not what it names */
int map_add(struct map *, struct map_node *, struct span key);
/* 0; -1: key is there already, or no memory */
struct map_node *map_find(const struct map *, struct span key);
void map_remove(struct map *, struct map_node *);

/* Any order; NULL begins and ends. The current node may be removed only
 * after its successor was asked for. */
struct map_node *map_next(const struct map *, struct map_node *);

#endif
