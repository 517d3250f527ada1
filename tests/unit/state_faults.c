/* SPDX-License-Identifier: MIT */
/* If this fails, the SQLite storage says what is not so, or stays broken, when
 * the disk or the memory fails, is full or is slow. The names are those of the
 * list of faults. */
#include "../fault/sqlite.h"

#include <sys/resource.h>

#include "state/store_sqlite.h"

/* ---- F2, F3, F4: the N-th call fails ------------------------------------------ */

/* What a tenant does in a short while. Each answer must be one of those that
 * may be; what was acknowledged, and what is known not to have happened, is
 * kept for the end. */
struct walk {
	bool set_known[3], set_there[3];
	int64_t sum_least, sum_most;
	unsigned failed;
};

static void
walk_answer(struct walk *w, struct got *g, const char *doing)
{
	switch (g->r.status) {
	case STORE_OK:
		return;
	case STORE_FAILED:
	case STORE_NO_SPACE:
	case STORE_NO_MEMORY:
	case STORE_FROZEN: /* too many failures */
	case STORE_QUOTA:
	case STORE_BUSY:
		w->failed++;
		return;
	default:
		fail_msg("%s: %s: %s", doing, store_status_word(g->r.status),
		    g->detail);
	}
}

static void
walk_run(struct walk *w)
{
	static const char *const keys[] = { "x", "y", "z" };
	struct store_op ops[] = {
		{ .kind = STORE_SUM, .key = SPAN("n"), .number = 1 },
		{ .kind = STORE_SET, .key = SPAN("t"), .value = SPAN("1") },
		{ .kind = STORE_SUM, .key = SPAN("m"), .number = 1 },
	};
	struct store_batch batch = { .ops = ops, .op_count = 3 };
	struct got *g;

	for (unsigned i = 0; i < 3; i++) {
		g = bed_set(&bed, "acme", keys[i], "some value");
		walk_answer(w, g, "set");
		w->set_known[i] = !g->r.unknown;
		w->set_there[i] = g->r.status == STORE_OK;
		g = bed_commit(&bed, "acme", &batch);
		walk_answer(w, g, "sum");
		w->sum_most += g->r.status == STORE_OK || g->r.unknown;
		w->sum_least += g->r.status == STORE_OK;
		walk_answer(w, bed_get(&bed, "acme", keys[i]), "get");
		walk_answer(w,
		    bed_list(&bed, "acme", (struct store_range){ .limit = 9 }),
		    "list");
		if (i == 1) { /* a checkpoint, sweeping */
			bed_passes(2000);
			bed_sweep(&bed, 100);
		}
	}
}

static void
walk_judge(const struct walk *w, const char *what, long at)
{
	static const char *const keys[] = { "x", "y", "z" };
	struct got *g;
	uint64_t version;
	int64_t sum;
	const char *value;

	/* whatever happened: after a check it goes on */
	assert_status(bed_check(&bed, "acme", true), STORE_OK);
	assert_status(bed_set(&bed, "acme", "after", "1"), STORE_OK);
	assert_true(has("before", &version));
	for (unsigned i = 0; i < 3; i++)
		if (w->set_known[i] &&
		    has(keys[i], &version) != w->set_there[i])
			fail_msg("%s %ld: key %s is %sthere", what, at, keys[i],
			    w->set_there[i] ? "not " : "");
	g = bed_get(&bed, "acme", "n");
	value = strchr(got_text(g), '=');
	sum = value ? strtoll(value + 1, NULL, 10) : 0;
	if (sum < w->sum_least || sum > w->sum_most)
		fail_msg("%s %ld: %lld counted, %lld to %lld told", what, at,
		    (long long)sum, (long long)w->sum_least,
		    (long long)w->sum_most);
}

/* A file that is there and closed, so that opening it is part of the walk. */
static void
walk_begin(void)
{
	bed_begin("fault");
	assert_status(bed_set(&bed, "acme", "before", "1"), STORE_OK);
	bed_close(&bed);
	bed_open(&bed);
}

static void
walk_faults(const char *what, int calls, int code)
{
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		bool struck = true;
		unsigned failed = 0;

		for (long at = 1; struck; at += torture || at < 20 ? 1 : 3) {
			struct walk w = { 0 };

			walk_begin();
			fault_arm(calls, at, persistent, code);
			walk_run(&w);
			struck = fault_disarm();
			walk_judge(&w, what, at);
			failed += w.failed;
			bed_free(&bed);
		}
		/* a disk that was full for a moment is no failure */
		assert_true(failed > 0 || (!persistent && code == SQLITE_FULL));
	}
}

static void
F2_a_read_fails(void **state)
{
	(void)state;
	walk_faults("read", FAULT_READ, SQLITE_IOERR_READ);
}

static void
F2_a_write_fails(void **state)
{
	(void)state;
	walk_faults("write", FAULT_WRITE, SQLITE_IOERR_WRITE);
}

static void
F2_a_sync_fails(void **state)
{
	(void)state;
	walk_faults("sync", FAULT_SYNC, SQLITE_IOERR_FSYNC);
}

static void
F2_a_truncation_fails(void **state)
{
	bool struck = true;

	(void)state;
	for (long at = 1; struck; at++) {
		struct walk w = { 0 };

		walk_begin();
		fault_arm(FAULT_TRUNCATE, at, true, SQLITE_IOERR_TRUNCATE);
		walk_run(&w);
		bed_close(&bed);
		struck = fault_disarm();
		bed_open(&bed);
		walk_judge(&w, "truncation", at);
		bed_free(&bed);
	}
}

static void
F2_a_failed_sync_is_said_to_be_unknown(void **state)
{
	struct got *g;

	(void)state;
	bed_begin("fault");
	bed_set(&bed, "acme", "a", "1");
	fault_arm(FAULT_SYNC, 1, false, SQLITE_IOERR_FSYNC);
	g = bed_set(&bed, "acme", "b", "1");
	assert_true(fault_disarm());
	assert_status(g, STORE_FAILED);
	assert_true(g->r.unknown);
	assert_status(bed_set(&bed, "acme", "c", "1"), STORE_OK);
	bed_free(&bed);
}

static void
unknown_or_ok(void *arg, const struct store_result *r)
{
	unsigned *counts = arg; /* answers, and those that are unknown */

	assert_true(r->status == STORE_OK ||
	    (r->status == STORE_FAILED && r->unknown));
	counts[0]++;
	counts[1] += r->unknown;
}

/* A group whose COMMIT fails is not run again: it might be done twice. */
static void
F2_a_failed_sync_leaves_its_group_unknown(void **state)
{
	struct store_op o = {
		.kind = STORE_SUM, .key = SPAN("n"), .number = 1
	};
	struct store_batch batch = { .ops = &o, .op_count = 1 };
	unsigned counts[2] = { 0 };
	int64_t sum;

	(void)state;
	bed_begin("fault");
	bed_op(&bed, "acme", o);
	fault_arm(FAULT_SYNC, 1, false, SQLITE_IOERR_FSYNC);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(bed.engine->commit(bed.store, SPAN("acme"),
				     &batch, unknown_or_ok, counts),
		    0);
	while (counts[0] < 20)
		loop_once(bed.loop, 1000);
	assert_true(fault_disarm());
	assert_true(counts[1] > 0);
	sum = strtoll(strchr(got_text(bed_get(&bed, "acme", "n")), '=') + 1,
	    NULL, 10);
	assert_in_range(sum, 21 - counts[1], 21);
	bed_free(&bed);
}

static void
F2_three_failures_in_a_minute_leave_reads_only(void **state)
{
	struct got *g;

	(void)state;
	bed_begin("fault");
	bed_set(&bed, "acme", "a", "1");
	for (unsigned i = 0; i < 3; i++) {
		fault_arm(FAULT_SYNC, 1, false, SQLITE_IOERR_FSYNC);
		assert_status(bed_set(&bed, "acme", "b", "1"), STORE_FAILED);
		fault_disarm();
	}
	g = bed_set(&bed, "acme", "c", "1");
	assert_status(g, STORE_FROZEN);
	assert_false(g->r.unknown);
	assert_status(bed_get(&bed, "acme", "a"), STORE_OK);
	assert_status(bed_set(&bed, "other", "c", "1"), STORE_OK);
	assert_status(bed_check(&bed, "acme", false), STORE_OK);
	assert_status(bed_set(&bed, "acme", "c", "1"), STORE_OK);
	bed_free(&bed);
}

static void
F3_the_disk_is_full(void **state)
{
	(void)state;
	walk_faults("full", FAULT_WRITE, SQLITE_FULL);
}

/* Reading needs no room, not even to open what was closed. */
static void
F3_a_full_disk_is_read(void **state)
{
	(void)state;
	bed_begin("fault");
	bed_set(&bed, "acme", "a", "1");
	bed_close(&bed);
	bed_open(&bed);
	fault_arm(FAULT_WRITE, 1, true, SQLITE_FULL);
	assert_text(bed_get(&bed, "acme", "a"), "ok v1 a@1=1:1 ");
	assert_status(bed_set(&bed, "acme", "a", "2"), STORE_NO_SPACE);
	assert_text(bed_get(&bed, "acme", "a"), "ok v1 a@1=1:1 ");
	fault_disarm();
	assert_text(bed_set(&bed, "acme", "a", "2"), "ok v2 {2 0 0} ");
	bed_free(&bed);
}

static void
full_or_ok(void *arg, const struct store_result *r)
{
	unsigned *counts = arg; /* answers, and those that are OK */

	assert_true(r->status == STORE_OK || r->status == STORE_NO_SPACE);
	counts[0]++;
	counts[1] += r->status == STORE_OK;
}

/* Small batches of a group that does not fit still pass, one by one. */
static void
F3_a_full_disk_takes_what_still_fits(void **state)
{
	struct store_op o = {
		.kind = STORE_SET, .key = SPAN("b"), .value = SPAN("1")
	};
	struct store_batch batch = { .ops = &o, .op_count = 1 };
	unsigned counts[2] = { 0 };

	(void)state;
	bed_begin("fault");
	bed_set(&bed, "acme", "a", "1");
	/* the first attempt of the group fails, what comes after does not */
	fault_arm(FAULT_WRITE, 1, false, SQLITE_FULL);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(bed.engine->commit(bed.store, SPAN("acme"),
				     &batch, full_or_ok, counts),
		    0);
	while (counts[0] < 8)
		loop_once(bed.loop, 1000);
	assert_true(fault_disarm());
	assert_true(counts[1] >= 7);
	bed_free(&bed);
}

static void
F3_the_quota_is_used_up(void **state)
{
	struct store_tenant create = { .op = STORE_TENANT_CREATE,
		.set = STORE_SET_QUOTA,
		.quota_bytes = 1 << 20 };
	char value[20000], key[16];
	struct store_op o = { .kind = STORE_SET,
		.value = span_make(value, sizeof(value)) };
	struct store_op delete = {
		.kind = STORE_DELETE_RANGE, .key = SPAN("key"), .limit = 10
	};
	unsigned count = 0;
	struct got *g;

	(void)state;
	memset(value, 'x', sizeof(value));
	bed_begin(NULL);
	bed_tenant(&bed, "acme", &create);
	do {
		snprintf(key, sizeof(key), "key%03u", count++);
		o.key = span_of(key);
		g = bed_op(&bed, "acme", o);
	} while (g->r.status == STORE_OK);
	assert_status(g, STORE_QUOTA);
	assert_true(count > 30 && count < 60);
	/* filled to the last page, deleting still works */
	while (bed_set(&bed, "acme", "small", "1")->r.status == STORE_OK &&
	    count < 5000) {
		snprintf(key, sizeof(key), "small%u", count++);
		if (bed_set(&bed, "acme", key, "1")->r.status != STORE_OK)
			break;
	}
	assert_status(bed_get(&bed, "acme", "key000"), STORE_OK);
	assert_status(bed_set(&bed, "other", "a", "1"), STORE_OK);
	g = bed_op(&bed, "acme", delete);
	assert_status(g, STORE_OK);
	assert_int_equal(g->ops[0].deleted, 10);
	o.key = SPAN("again");
	assert_status(bed_op(&bed, "acme", o), STORE_OK);
	bed_free(&bed);
}

static void
F4_the_memory_is_used_up(void **state)
{
	(void)state;
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		bool struck = true;
		unsigned failed = 0;

		for (long at = 1; struck; at += torture ? 1 : 7) {
			struct walk w = { 0 };

			walk_begin();
			fault_memory_arm(at, persistent);
			walk_run(&w);
			struck = fault_memory_disarm();
			walk_judge(&w, "allocation", at);
			failed += w.failed;
			bed_free(&bed);
		}
		assert_true(failed > 0);
	}
}

/* ---- F6, F7: slow disks, many tenants ------------------------------------------ */

static void
count_done(void *arg, const struct store_result *r)
{
	unsigned *count = arg;

	assert_int_equal(r->status, STORE_OK);
	++*count;
}

static void
F6_a_slow_disk_makes_groups_and_holds_up_no_reads(void **state)
{
	enum { MANY = 200 };
	static struct store_op ops[MANY];
	static struct store_batch batches[MANY];
	struct span key = SPAN("a");
	struct store_read read = { .keys = &key, .key_count = 1 };
	struct store_figures before, after;
	unsigned committed = 0, reads = 0;
	char other[16] = "";
	uint64_t until;

	(void)state;
	bed_make(&bed, "sqlite");
	bed.config.vfs = "fault";
	bed.config.threads = 2;
	bed_open(&bed);
	for (unsigned i = 0; i == 0 ||
	     path_hash(span_of(other)) % 2 == path_hash(SPAN("acme")) % 2;
	     i++)
		snprintf(other, sizeof(other), "other%u", i);
	bed_set(&bed, "acme", "a", "1");
	bed_set(&bed, other, "a", "1");
	bed.engine->figures(bed.store, &before);
	atomic_store(&fault_disk.sync_us, 50000);
	for (unsigned i = 0; i < MANY; i++) {
		ops[i] = (struct store_op){
			.kind = STORE_SET, .key = SPAN("a"), .value = SPAN("2")
		};
		batches[i] =
		    (struct store_batch){ .ops = &ops[i], .op_count = 1 };
		assert_int_equal(bed.engine->commit(bed.store, SPAN("acme"),
				     &batches[i], count_done, &committed),
		    0);
	}
	for (unsigned i = 0; i < 50; i++) {
		unsigned want = reads + 1;

		bed.engine->read(bed.store, span_of(other), &read, count_done,
		    &reads);
		until = clock_ms() + BED_WAIT_MS;
		while (reads < want && clock_ms() < until)
			loop_once(bed.loop, 10);
		assert_int_equal(reads, want);
	}
	assert_true(committed < MANY); /* all reads overtook the last one */
	until = clock_ms() + BED_WAIT_MS;
	while (committed < MANY && clock_ms() < until)
		loop_once(bed.loop, 10);
	assert_int_equal(committed, MANY);
	atomic_store(&fault_disk.sync_us, 0);
	bed.engine->figures(bed.store, &after);
	assert_true(after.groups - before.groups <= 6);
	assert_true(after.group_most >= 64);
	bed_free(&bed);
}

static void
F7_no_more_descriptors(void **state)
{
	struct rlimit before, low;
	char tenant[16], bad[400] = "";

	(void)state;
	bed_make(&bed, "sqlite");
	bed_open(&bed);
	bed_set(&bed, "first", "a", "1");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 40;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < (torture ? 5000 : 200); i++) {
			struct got *g;

			snprintf(tenant, sizeof(tenant), "t%u", i);
			g = round ? bed_get(&bed, tenant, "a") :
				    bed_set(&bed, tenant, "a", "1");
			if (g->r.status == STORE_OK && strchr(got_text(g), '1'))
				continue;
			snprintf(bad, sizeof(bad), "%s: %s", tenant, g->detail);
		}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_string_equal(bad, "");
	bed_free(&bed);
}

static void
no_more_files_are_open_than_allowed(void **state)
{
	struct store_figures figures;
	char tenant[16];

	(void)state;
	bed_make(&bed, "sqlite");
	bed.config.handles_most = 8;
	bed_open(&bed);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(tenant, sizeof(tenant), "t%u", i * 7 % 40);
		assert_status(bed_set(&bed, tenant, "a", "1"), STORE_OK);
		bed.engine->figures(bed.store, &figures);
		assert_true(figures.handles <= 8);
	}
	bed_passes(61000);
	bed_sweep(&bed, 100);
	bed.engine->figures(bed.store, &figures);
	assert_int_equal(figures.handles, 0);
	assert_text(bed_get(&bed, "t7", "a"),
	    got_text(bed_get(&bed, "t7", "a")));
	bed_free(&bed);
}

/* ---- groups, checkpoints ---------------------------------------------------- */

/* One batch of a group fails at a moment when others were already run. */
static void
F11_the_others_of_a_group_are_kept(void **state)
{
	enum { MANY = 90 };
	static struct store_op ops[MANY][3];
	static struct store_batch batches[MANY];
	static struct got got[MANY];
	static char keys[MANY][16];
	unsigned good = 0;

	(void)state;
	bed_begin("fault");
	bed_set(&bed, "acme", "text", "no number");
	atomic_store(&fault_disk.sync_us, 20000); /* so that they gather */
	for (unsigned i = 0; i < MANY; i++) {
		memset(&got[i], 0, sizeof(got[i]));
		snprintf(keys[i], sizeof(keys[i]), "key%u", i);
		ops[i][0] = (struct store_op){ .kind = STORE_SET,
			.key = span_of(keys[i]),
			.value = SPAN("1") };
		ops[i][1] = (struct store_op){
			.kind = STORE_SUM, .key = SPAN("n"), .number = 1
		};
		ops[i][2] = (struct store_op){ .kind = STORE_SUM,
			.key = i % 3 ? SPAN("m") : SPAN("text"),
			.number = 1 };
		batches[i] =
		    (struct store_batch){ .ops = ops[i], .op_count = 3 };
		bed.engine->commit(bed.store, SPAN("acme"), &batches[i],
		    got_answer, &got[i]);
	}
	for (unsigned i = 0; i < MANY; i++) {
		uint64_t version;

		bed_wait(&bed, &got[i].done);
		assert_status(&got[i], i % 3 ? STORE_OK : STORE_NOT_A_NUMBER);
		good += i % 3 != 0;
		assert_int_equal(has(keys[i], &version), i % 3 != 0);
		buf_free(&got[i].text);
	}
	atomic_store(&fault_disk.sync_us, 0);
	assert_text(bed_get(&bed, "acme", "n"), "ok v61 n@61=60:2 ");
	assert_int_equal(good, 60);
	bed_free(&bed);
}

/* The WAL is as good as the file: a checkpoint that cannot be is no error of
 * anybody's request. */
static void
F16_the_disk_is_full_in_a_checkpoint(void **state)
{
	(void)state;
	bed_begin("fault");
	bed_set(&bed, "acme", "a", "1");
	for (unsigned i = 0; i < 3; i++) {
		atomic_store(&fault_disk.end, ".db");
		fault_arm(FAULT_WRITE, 1, true, SQLITE_FULL);
		bed_passes(2000);
		bed_sweep(&bed, 10); /* checkpoints what is idle */
		assert_true(atomic_load(&fault_disk.count) > 0);
		assert_status(bed_set(&bed, "acme", "a", "2"), STORE_OK);
		assert_status(bed_get(&bed, "acme", "a"), STORE_OK);
		fault_disarm();
	}
	assert_status(bed_set(&bed, "acme", "a", "3"), STORE_OK);
	bed_close(&bed);
	assert_int_not_equal(access(path_of_tenant("acme", "-wal"), F_OK), 0);
	bed_open(&bed);
	assert_text(bed_get(&bed, "acme", "a"), "ok v5 a@5=3:1 ");
	bed_free(&bed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F2_a_read_fails),
		cmocka_unit_test(F2_a_write_fails),
		cmocka_unit_test(F2_a_sync_fails),
		cmocka_unit_test(F2_a_truncation_fails),
		cmocka_unit_test(F2_a_failed_sync_is_said_to_be_unknown),
		cmocka_unit_test(F2_a_failed_sync_leaves_its_group_unknown),
		cmocka_unit_test(
		    F2_three_failures_in_a_minute_leave_reads_only),
		cmocka_unit_test(F3_the_disk_is_full),
		cmocka_unit_test(F3_a_full_disk_is_read),
		cmocka_unit_test(F3_a_full_disk_takes_what_still_fits),
		cmocka_unit_test(F3_the_quota_is_used_up),
		cmocka_unit_test(F4_the_memory_is_used_up),
		cmocka_unit_test(
		    F6_a_slow_disk_makes_groups_and_holds_up_no_reads),
		cmocka_unit_test(F7_no_more_descriptors),
		cmocka_unit_test(no_more_files_are_open_than_allowed),
		cmocka_unit_test(F11_the_others_of_a_group_are_kept),
		cmocka_unit_test(F16_the_disk_is_full_in_a_checkpoint),
	};

	sqlite_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
