/* SPDX-License-Identifier: MIT */
/* store_memory.h - private to the files of the reference model.
 *
 *   store_memory.c         the table of operations; tenants, sweeping, lists
 *   store_memory_keys.c    sorted keys, tenants, notes of changes
 *   store_memory_read.c    reads and changes
 *   store_memory_write.c   batches
 */
#ifndef STATE_STORE_MEMORY_H
#define STATE_STORE_MEMORY_H

#include "state/desk.h"

enum {
	IDEM_PER_TENANT_MOST = 100000,
	/* after this many rows a page of changes ends with a commit, as a
	 * filter that fits nothing must not take for ever */
	CHANGES_SCAN_MOST = 16384,
};

struct entry {
	struct span key; /* all spans: ours */
	struct span value;
	struct span type;
	uint64_t version;
	uint64_t expires_ms;
};

struct entries {
	struct entry *at; /* ours, sorted by key */
	size_t count;
	size_t room;
};

struct change {
	enum store_change_kind kind;
	uint64_t version;
	uint64_t ms;
	struct span key; /* ours */
};

struct idem {
	struct span key, print, reply; /* ours */
	uint64_t expires_ms;
};

struct tenant {
	struct map_node node;
	char name[STORE_TENANT_MOST + 1];
	bool exists;
	uint64_t version;
	uint64_t oldest;
	uint64_t floor; /* where a next life begins */
	struct store_clock clock;
	struct entries entries;
	struct change *changes; /* ours, oldest first */
	size_t change_count, change_room;
	struct idem *idems; /* ours */
	size_t idem_count;
	uint64_t quota_bytes; /* 0: the configuration's */
	bool relaxed, full;   /* what was set */
	bool frozen;
};

struct store {
	struct desk desk;
	struct store_config config;
	struct map tenants;
	struct store_figures figures;
};

/* ---- store_memory_keys.c --------------------------------------------------- */

uint64_t memory_now(struct store *, struct tenant *); /* its clock */
struct span memory_own(struct span);		      /* a copy of ours */
void memory_disown(struct span);
int memory_compare(struct span, struct span); /* bytewise */

bool memory_alive(const struct entry *, uint64_t now);
/* The key as everybody sees it: NULL when absent or expired. */
struct entry *memory_find(const struct entries *, struct span key,
    uint64_t now);
void memory_take_out(struct entries *, size_t place);
void memory_put(struct entries *, const struct entry *); /* copies */
void memory_free_entries(struct entries *);
struct entries memory_copy_entries(const struct entries *);

struct tenant *memory_tenant_of(struct store *, struct span name); /* or new */
void memory_create(struct store *, struct tenant *);
void memory_drop(struct tenant *);
void memory_free_tenant(struct tenant *);
void memory_note(struct tenant *, enum store_change_kind, uint64_t version,
    struct span key, uint64_t ms);
void memory_cut_changes(struct tenant *, size_t count); /* the oldest */

/* ---- store_memory_read.c --------------------------------------------------- */

void memory_run_read(struct store *, struct tenant *, struct job *);
void memory_run_changes(struct store *, struct tenant *, struct job *);

/* ---- store_memory_write.c -------------------------------------------------- */

void memory_run_commit(struct store *, struct tenant *, struct job *);
void memory_forget_idem(struct tenant *, size_t i);

#endif
