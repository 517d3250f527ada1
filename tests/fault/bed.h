/* SPDX-License-Identifier: MIT */
/* bed.h - a storage for a test: in a directory of its own, with a clock the
 * test sets, and calls that wait for their answer. What an answer held is kept
 * as words, so that two storages are compared by comparing text. */
#ifndef FAULT_BED_H
#define FAULT_BED_H

#include "../unit/rows.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "state/store_fault.h"

enum { BED_WAIT_MS = 60000, BED_TEXT_MOST = 64 << 20 };

struct bed {
	const char *name;
	const struct store_engine *engine;
	struct store *store;
	struct loop *loop;
	char path[64];
	int directory;
	struct store_config config;
	bool faulty; /* behind store_fault, which only delays */
};

static atomic_uint_fast64_t bed_unix_ms, bed_steady_ms;

static inline uint64_t
bed_unix(void)
{
	return atomic_load(&bed_unix_ms);
}

static inline uint64_t
bed_steady(void)
{
	return atomic_load(&bed_steady_ms);
}

static inline void
bed_passes(uint64_t ms)
{
	atomic_fetch_add(&bed_unix_ms, ms);
	atomic_fetch_add(&bed_steady_ms, ms);
}

static inline void
bed_remove(int directory)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		int below;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (unlinkat(directory, entry->d_name, 0) == 0)
			continue;
		below = openat(directory, entry->d_name,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		bed_remove(below);
		close(below);
		unlinkat(directory, entry->d_name, AT_REMOVEDIR);
	}
	if (d)
		closedir(d);
}

/* The directory: in memory where there is such a place, as tests that write
 * durably thousands of times are not about the disk. */
static inline void
bed_make(struct bed *b, const char *name)
{
	*b = (struct bed){ .name = name, .directory = -1 };
	snprintf(b->path, sizeof(b->path), "%s/fcgi-host-store-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(b->path));
	b->directory = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(b->directory >= 0);
	atomic_store(&bed_unix_ms, UINT64_C(1800000000000));
	atomic_store(&bed_steady_ms, 1000000);
	b->config = (struct store_config){
		.directory_fd = b->directory,
		.unix_ms = bed_unix,
		.steady_ms = bed_steady,
	};
}

static inline void
bed_open(struct bed *b)
{
	char why[STORE_DETAIL_MOST] = "";
	bool memory = strstr(b->name, "memory");

	b->engine = memory ? &store_memory : &store_sqlite;
	if (!b->loop)
		b->loop = loop_new();
	b->store = b->engine->open(&b->config, b->loop, why);
	if (!b->store)
		fail_msg("open: %s", why);
	if (strstr(b->name, "fault")) {
		struct store_fault_plan plan = { .seed = 1, .delay_ms = 1 };

		b->store = store_fault_new(b->engine, b->store, b->loop, &plan);
		b->engine = &store_fault;
		b->faulty = true;
	}
}

static inline void
bed_close(struct bed *b)
{
	if (b->store)
		b->engine->close(b->store);
	b->store = NULL;
}

static inline void
bed_free(struct bed *b)
{
	bed_close(b);
	if (b->loop)
		loop_free(b->loop);
	bed_remove(b->directory);
	close(b->directory);
	rmdir(b->path);
}

/* ---- answers --------------------------------------------------------------- */

/* What came; `r` has the numbers, its pointers lead nowhere any more. */
struct got {
	bool done;
	struct store_result r;
	char detail[STORE_DETAIL_MOST];
	struct buf text; /* ours */
	struct store_op_result ops[8];
	struct store_usage usage;
	char next[STORE_KEY_MOST + 1]; /* of the first page */
	size_t next_bytes;
	bool page_more;
};

static inline void
got_item(struct buf *b, const struct store_item *i)
{
	buf_printf(b, "%.*s%s", SPAN_ARGS(i->key), i->folded ? "*" : "");
	if (i->version) {
		buf_printf(b, "@%llu", (unsigned long long)i->version);
		if (i->value.data) {
			buf_put_byte(b, '=');
			buf_put(b, i->value);
		}
		buf_printf(b, ":%llu", (unsigned long long)i->size);
		if (i->type.data)
			buf_printf(b, "(%.*s)", SPAN_ARGS(i->type));
		if (i->expires_ms)
			buf_printf(b, "!%llu",
			    (unsigned long long)i->expires_ms);
	}
	buf_put_byte(b, ' ');
}

static inline void
got_words(struct buf *b, const struct store_result *r)
{
	buf_printf(b, "%s v%llu ", store_status_word(r->status),
	    (unsigned long long)r->version);
	for (size_t i = 0; i < r->point_count; i++)
		got_item(b, &r->points[i]);
	for (size_t p = 0; p < r->page_count; p++) {
		buf_put_string(b, "[ ");
		for (size_t i = 0; i < r->pages[p].item_count; i++)
			got_item(b, &r->pages[p].items[i]);
		buf_printf(b, "]%s ", r->pages[p].more ? "+" : "");
	}
	for (size_t i = 0; i < r->op_count; i++)
		buf_printf(b, "{%llu %lld %llu%s%s} ",
		    (unsigned long long)r->ops[i].version,
		    (long long)r->ops[i].value,
		    (unsigned long long)r->ops[i].deleted,
		    r->ops[i].created ? " new" : "",
		    r->ops[i].more ? " more" : "");
	for (size_t i = 0; i < r->failed_count; i++)
		buf_printf(b, "failed %zu@%llu ", r->failed[i].index,
		    (unsigned long long)r->failed[i].version);
	if (r->status == STORE_OUT_OF_RANGE || r->status == STORE_NOT_A_NUMBER)
		buf_printf(b, "op %zu has %lld ", r->failed_op,
		    (long long)r->value);
	if (r->replayed)
		buf_printf(b, "again %.*s ", SPAN_ARGS(r->reply));
	for (size_t i = 0; i < r->change_count; i++)
		buf_printf(b, "%llu%c%.*s ",
		    (unsigned long long)r->changes[i].version,
		    "?sdx"[r->changes[i].kind], SPAN_ARGS(r->changes[i].key));
	if (r->until || r->oldest)
		buf_printf(b, "until %llu oldest %llu ",
		    (unsigned long long)r->until,
		    (unsigned long long)r->oldest);
	for (size_t i = 0; i < r->name_count; i++)
		buf_printf(b, "%.*s ", SPAN_ARGS(r->names[i]));
	if (r->more)
		buf_put_string(b, "more ");
}

static inline void
got_answer(void *arg, const struct store_result *r)
{
	struct got *g = arg;

	assert_false(g->done);
	g->done = true;
	g->r = *r;
	snprintf(g->detail, sizeof(g->detail), "%s", r->detail);
	buf_init(&g->text, BED_TEXT_MOST);
	got_words(&g->text, r);
	for (size_t i = 0; i < r->op_count && i < COUNT(g->ops); i++)
		g->ops[i] = r->ops[i];
	if (r->usage)
		g->usage = *r->usage;
	if (r->page_count) {
		g->page_more = r->pages[0].more;
		g->next_bytes = r->pages[0].next.bytes;
		if (g->next_bytes)
			memcpy(g->next, r->pages[0].next.data, g->next_bytes);
	}
}

static inline void
bed_wait(struct bed *b, const bool *done)
{
	uint64_t until = clock_ms() + BED_WAIT_MS;

	while (!*done) {
		loop_once(b->loop, 100);
		if (clock_ms() > until)
			fail_msg("no answer within %d ms", BED_WAIT_MS);
	}
}

/* Each returns the answer as text, valid until 16 more answers have come. */
static inline struct got *
bed_slot(void)
{
	static struct got slots[16];
	static unsigned next;
	struct got *g = &slots[next++ % COUNT(slots)];

	buf_free(&g->text);
	memset(g, 0, sizeof(*g));
	return g;
}

static inline const char *
got_text(struct got *g)
{
	return g->done ? buf_string(&g->text) : "nothing";
}

static inline struct got *
bed_read(struct bed *b, const char *tenant, const struct store_read *read)
{
	struct got *g = bed_slot();

	assert_int_equal(b->engine->read(b->store, span_of(tenant), read,
			     got_answer, g),
	    0);
	assert_false(g->done); /* never from within the call */
	bed_wait(b, &g->done);
	return g;
}

static inline struct got *
bed_commit(struct bed *b, const char *tenant, const struct store_batch *batch)
{
	struct got *g = bed_slot();

	assert_int_equal(b->engine->commit(b->store, span_of(tenant), batch,
			     got_answer, g),
	    0);
	assert_false(g->done);
	bed_wait(b, &g->done);
	return g;
}

static inline struct got *
bed_changes(struct bed *b, const char *tenant, const struct store_changes *ask)
{
	struct got *g = bed_slot();

	assert_int_equal(b->engine->changes(b->store, span_of(tenant), ask,
			     got_answer, g),
	    0);
	bed_wait(b, &g->done);
	return g;
}

static inline struct got *
bed_tenant(struct bed *b, const char *tenant, const struct store_tenant *ask)
{
	struct got *g = bed_slot();

	assert_int_equal(b->engine->tenant(b->store, span_of(tenant), ask,
			     got_answer, g),
	    0);
	bed_wait(b, &g->done);
	return g;
}

static inline struct got *
bed_sweep(struct bed *b, size_t budget)
{
	struct got *g = bed_slot();

	assert_int_equal(b->engine->sweep(b->store, budget, got_answer, g), 0);
	bed_wait(b, &g->done);
	return g;
}

static inline struct got *
bed_check(struct bed *b, const char *tenant, bool deep)
{
	struct got *g = bed_slot();

	assert_int_equal(b->engine->check(b->store, span_of(tenant), deep,
			     got_answer, g),
	    0);
	bed_wait(b, &g->done);
	return g;
}

static inline struct got *
bed_backup(struct bed *b, const char *tenant, int directory, const char *name)
{
	struct got *g = bed_slot();

	assert_int_equal(b->engine->backup(b->store, span_of(tenant), directory,
			     span_of(name), got_answer, g),
	    0);
	bed_wait(b, &g->done);
	return g;
}

static inline struct got *
bed_restore(struct bed *b, const char *tenant, int directory, const char *name)
{
	struct got *g = bed_slot();

	assert_int_equal(b->engine->restore(b->store, span_of(tenant),
			     directory, span_of(name), got_answer, g),
	    0);
	bed_wait(b, &g->done);
	return g;
}

/* ---- the usual calls ------------------------------------------------------- */

static inline struct got *
bed_op(struct bed *b, const char *tenant, struct store_op op)
{
	return bed_commit(b, tenant,
	    &(struct store_batch){ .ops = &op, .op_count = 1 });
}

static inline struct got *
bed_set(struct bed *b, const char *tenant, const char *key, const char *value)
{
	return bed_op(b, tenant,
	    (struct store_op){ .kind = STORE_SET,
		.key = span_of(key),
		.value = span_of(value) });
}

static inline struct got *
bed_get(struct bed *b, const char *tenant, const char *key)
{
	struct span k = span_of(key);

	return bed_read(b, tenant,
	    &(struct store_read){ .keys = &k, .key_count = 1, .values = true });
}

static inline struct got *
bed_list(struct bed *b, const char *tenant, struct store_range range)
{
	if (range.limit == 0)
		range.limit = 1000;
	return bed_read(b, tenant,
	    &(struct store_read){ .ranges = &range, .range_count = 1 });
}

static inline void
bed_assert_text(struct got *g, const char *words, int line)
{
	if (strcmp(got_text(g), words))
		fail_msg("line %d: \"%s\" instead of \"%s\" (%s)", line,
		    got_text(g), words, g->detail);
}

static inline void
bed_assert_status(struct got *g, enum store_status wanted, int line)
{
	if (g->r.status != wanted)
		fail_msg("line %d: status %s instead of %s: %s", line,
		    store_status_word(g->r.status), store_status_word(wanted),
		    g->detail);
}

#define assert_text(answer, words) bed_assert_text(answer, words, __LINE__)
#define assert_status(answer, wanted) \
	bed_assert_status(answer, wanted, __LINE__)

#endif
