/* SPDX-License-Identifier: MIT */
/* map.c - chained hashing over a power of two of buckets, at most one entry a
 * bucket on average. The hash is SipHash-2-4 (Aumasson and Bernstein, 2012)
 * under a key that is drawn for every map, so nobody outside can choose names
 * that collide. Tables grow and never shrink: what they hold is bounded by
 * who fills them. */

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/diag.h"
#include "base/map.h"

enum { MAP_BUCKETS_LEAST = 16 };

static uint64_t siphash(const uint64_t seed[2], struct span);
static struct map_node **map_slot(const struct map *, uint64_t hash);
static struct map_node *map_find_hash(const struct map *, uint64_t hash,
    struct span key);
static int map_grow(struct map *);

void
map_init(struct map *m)
{
	*m = (struct map){ 0 };
	if (getrandom(m->seed, sizeof(m->seed), 0) != sizeof(m->seed))
		diag_panic("the kernel gives no random bytes: %s",
		    diag_errno());
}

void
map_free(struct map *m)
{
	free(m->buckets);
	m->buckets = NULL;
	m->bucket_count = m->count = 0;
}

int
map_add(struct map *m, struct map_node *node, struct span key)
{
	uint64_t hash = siphash(m->seed, key);
	struct map_node **slot;

	if (map_find_hash(m, hash, key))
		return -1;
	/* without memory for a larger table, longer chains still work */
	if (m->count >= m->bucket_count && map_grow(m) != 0 &&
	    m->bucket_count == 0)
		return -1;
	slot = map_slot(m, hash);
	*node = (struct map_node){ .next = *slot, .hash = hash, .key = key };
	*slot = node;
	m->count++;
	return 0;
}

struct map_node *
map_find(const struct map *m, struct span key)
{
	if (m->count == 0)
		return NULL;
	return map_find_hash(m, siphash(m->seed, key), key);
}

void
map_remove(struct map *m, struct map_node *node)
{
	struct map_node **link;

	if (m->count == 0)
		return;
	link = map_slot(m, node->hash);
	while (*link && *link != node)
		link = &(*link)->next;
	if (!*link)
		return;
	*link = node->next;
	node->next = NULL;
	m->count--;
}

struct map_node *
map_next(const struct map *m, struct map_node *node)
{
	size_t i = 0;

	if (node && node->next)
		return node->next;
	if (node)
		i = (size_t)(node->hash & (m->bucket_count - 1)) + 1;
	for (; i < m->bucket_count; i++)
		if (m->buckets[i])
			return m->buckets[i];
	return NULL;
}

static struct map_node **
map_slot(const struct map *m, uint64_t hash)
{
	return &m->buckets[hash & (m->bucket_count - 1)];
}

static struct map_node *
map_find_hash(const struct map *m, uint64_t hash, struct span key)
{
	struct map_node *node;

	if (m->bucket_count == 0)
		return NULL;
	for (node = *map_slot(m, hash); node; node = node->next)
		if (node->hash == hash && span_equal(node->key, key))
			return node;
	return NULL;
}

static int
map_grow(struct map *m)
{
	struct map grown = *m;
	struct map_node *node, **slot;

	grown.bucket_count =
	    m->bucket_count ? m->bucket_count * 2 : MAP_BUCKETS_LEAST;
	grown.buckets = calloc(grown.bucket_count, sizeof(*grown.buckets));
	if (!grown.buckets)
		return -1;
	for (size_t i = 0; i < m->bucket_count; i++)
		while ((node = m->buckets[i])) {
			m->buckets[i] = node->next;
			slot = map_slot(&grown, node->hash);
			node->next = *slot;
			*slot = node;
		}
	free(m->buckets);
	*m = grown;
	return 0;
}

static uint64_t
rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void
sip_rounds(uint64_t v[4], int rounds)
{
	while (rounds-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

/* Little-endian, whatever the machine: at most eight bytes. */
static uint64_t
sip_word(const char *data, size_t bytes)
{
	uint64_t word = 0;

	for (size_t i = 0; i < bytes; i++)
		word |= (uint64_t)(unsigned char)data[i] << (8 * i);
	return word;
}

static uint64_t
siphash(const uint64_t seed[2], struct span s)
{
	uint64_t v[4] = {
		seed[0] ^ UINT64_C(0x736f6d6570736575), /* "somepseu" */
		seed[1] ^ UINT64_C(0x646f72616e646f6d), /* "dorandom" */
		seed[0] ^ UINT64_C(0x6c7967656e657261), /* "lygenera" */
		seed[1] ^ UINT64_C(0x7465646279746573), /* "tedbytes" */
	};
	uint64_t word, last = (uint64_t)s.bytes << 56;

	for (; s.bytes >= 8; s = span_skip(s, 8)) {
		word = sip_word(s.data, 8);
		v[3] ^= word;
		sip_rounds(v, 2);
		v[0] ^= word;
	}
	last |= sip_word(s.data, s.bytes);
	v[3] ^= last;
	sip_rounds(v, 2);
	v[0] ^= last;
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
