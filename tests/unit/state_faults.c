/* SPDX-License-Identifier: MIT */
/* If this fails, the SQLite storage loses what it acknowledged, says what is
 * not so, or lets one tenant's bad file harm others, when the disk, the memory,
 * the clock or somebody else does what they do at times. The names are those
 * of the list of faults. TORTURE=1 walks every point, else every few. */
#include "../fault/bed.h"
#include "../fault/vfs.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/diag.h"
#include "state/schema.h"
#include "state/store_sqlite.h"

static struct bed bed;
static bool torture;

static void
bed_begin(const char *vfs)
{
	bed_make(&bed, "sqlite");
	bed.config.vfs = vfs;
	bed.config.threads = 1;
	bed_open(&bed);
}

/* Where the tenant's file is, for those who open it themselves. */
static const char *
path_of_tenant(const char *tenant, const char *suffix)
{
	static char path[400];
	DIR *d = opendir(bed.path);
	struct dirent *entry;
	bool found = false;

	while (!found && (entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s.db", bed.path,
		    entry->d_name, tenant);
		found = access(path, F_OK) == 0;
	}
	closedir(d);
	strncat(path, suffix, sizeof(path) - strlen(path) - 1);
	return path;
}

/* ---- F1: the power goes ------------------------------------------------------ */

enum { LIVES = 3, LIFE_COMMITS = 8, AT_ONCE = 4 };

struct pair { /* a commit of two keys, which are there both or not at all */
	struct store_op ops[2];
	struct store_batch batch;
	char keys[2][16];
	char value[64];
	unsigned number;
	int acked; /* pipe */
};

static unsigned pairs_done;

static void
pair_done(void *arg, const struct store_result *r)
{
	struct pair *p = arg;

	pairs_done++;
	if (r->status == STORE_OK &&
	    write(p->acked, &p->number, sizeof(p->number)) < 0)
		_exit(1);
}

static void
pair_commit(struct pair *p, unsigned number, int acked)
{
	memset(p, 0, sizeof(*p));
	p->number = number;
	p->acked = acked;
	snprintf(p->value, sizeof(p->value), "value %u %*s", number,
	    (int)(number % 40), "");
	for (unsigned i = 0; i < 2; i++) {
		snprintf(p->keys[i], sizeof(p->keys[i]), "%c%u", "ab"[i],
		    number);
		p->ops[i] = (struct store_op){ .kind = STORE_SET,
			.key = span_of(p->keys[i]),
			.value = span_of(p->value) };
	}
	p->batch = (struct store_batch){ .ops = p->ops, .op_count = 2 };
	if (bed.engine->commit(bed.store, SPAN("acme"), &p->batch, pair_done,
		p) < 0)
		_exit(1);
}

/* The process that the power is cut for. It opens, writes and closes three
 * times, so that every kind of moment comes by: making a file, migrating one,
 * commits alone and in groups, checkpoints, recovering. */
static void
live(long power_at, uint64_t seed, bool lying, int acked)
{
	static struct pair pairs[AT_ONCE];
	unsigned number = 0;

	fault_disk.seed = seed;
	atomic_store(&fault_disk.lying, lying);
	atomic_store(&fault_disk.power_at, power_at);
	bed.loop = NULL;
	for (unsigned life = 0; life < LIVES; life++) {
		bed_open(&bed);
		for (unsigned i = 0; i < LIFE_COMMITS; i++) {
			unsigned count = i % 2 ? AT_ONCE : 1;

			pairs_done = 0;
			for (unsigned j = 0; j < count; j++)
				pair_commit(&pairs[j], number++, acked);
			while (pairs_done < count)
				loop_once(bed.loop, 1000);
		}
		bed_close(&bed);
	}
	_exit(0);
}

struct loss {
	unsigned lost;	  /* acknowledged and not there */
	unsigned partial; /* half a commit */
	unsigned damaged; /* files in quarantine */
};

static bool
has(const char *key, uint64_t *version)
{
	struct got *g = bed_get(&bed, "acme", key);
	const char *at = strchr(got_text(g), '@');

	*version = at ? strtoull(at + 1, NULL, 10) : 0;
	return at;
}

/* What is there afterwards, against what was acknowledged. */
static void
judge(int acked, struct loss *loss)
{
	unsigned count = LIVES * LIFE_COMMITS * AT_ONCE, number;
	bool *told = calloc(count, sizeof(*told));
	char key[2][16];
	uint64_t version[2];
	bool there[2];

	while (read(acked, &number, sizeof(number)) == sizeof(number))
		told[number] = true;
	bed.loop = NULL;
	bed.config.vfs = NULL;
	bed_open(&bed);
	switch (bed_check(&bed, "acme", true)->r.status) {
	case STORE_OK:
	case STORE_NO_TENANT:
		break;
	default:
		loss->damaged++;
		goto out;
	}
	for (number = 0; number < count; number++) {
		for (unsigned i = 0; i < 2; i++) {
			snprintf(key[i], sizeof(key[i]), "%c%u", "ab"[i],
			    number);
			there[i] = has(key[i], &version[i]);
		}
		loss->lost += told[number] && !(there[0] && there[1]);
		loss->partial +=
		    there[0] != there[1] || version[0] != version[1];
	}
	/* and it goes on from there */
	if (bed_set(&bed, "acme", "after", "1")->r.status != STORE_OK)
		loss->damaged++;
out:
	free(told);
	bed_close(&bed);
	loop_free(bed.loop);
	bed.loop = NULL;
}

/* A file as the first version of the schema made it. */
static void
make_old_file(void)
{
	char path[128];
	sqlite3 *db;
	int code;

	/* where the engine would have it */
	bed.config.vfs = NULL;
	bed_open(&bed);
	bed_set(&bed, "acme", "a", "1");
	bed_close(&bed);
	loop_free(bed.loop);
	bed.loop = NULL;
	snprintf(path, sizeof(path), "%s", path_of_tenant("acme", ""));
	unlink(path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(schema_open_at(db, 7, 1, &code), SCHEMA_GOOD);
	assert_int_equal(
	    sqlite3_exec(db,
		"INSERT INTO kv(k, v, ver) VALUES('old', x'31', 7)", NULL, NULL,
		NULL),
	    SQLITE_OK);
	sqlite3_close(db);
}

/* One life with the power cut at the N-th write: false when it never came to
 * that. */
static bool
cut(long power_at, uint64_t seed, bool lying, bool old,
    enum store_durability durability, struct loss *loss)
{
	int acked[2], status;
	pid_t pid;

	bed_make(&bed, "sqlite");
	if (old)
		make_old_file();
	bed.config.vfs = "fault";
	bed.config.threads = 1;
	bed.config.durability = durability;
	assert_int_equal(pipe(acked), 0);
	fflush(NULL);
	if ((pid = fork()) == 0) {
		close(acked[0]);
		live(power_at, seed, lying, acked[1]);
	}
	close(acked[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != 0 &&
	    WEXITSTATUS(status) != FAULT_POWER_STATUS)
		fail_msg("the process ended with %d", WEXITSTATUS(status));
	judge(acked[0], loss);
	close(acked[0]);
	bed_free(&bed);
	return WEXITSTATUS(status) == FAULT_POWER_STATUS;
}

static void
F1_power_loss_takes_nothing_acknowledged(void **state)
{
	uint64_t seed = rows_seed();
	struct loss loss = { 0 };
	unsigned cuts = 0;

	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		/* all points in all ways together, when it is not torture */
		long step = torture ? 1 : 4;

		for (long at = 1 + (torture ? 0 : (long)how); at < 100000;
		     at += step) {
			bool more = cut(at, how & 1 ? seed + (uint64_t)at : 0,
			    false, how & 2, STORE_FULL, &loss);

			cuts += more;
			if (loss.lost || loss.partial || loss.damaged)
				fail_msg("power cut at %ld (way %u): "
					 "%u lost, %u partial, %u damaged",
				    at, how, loss.lost, loss.partial,
				    loss.damaged);
			if (!more)
				break;
		}
	}
	print_message("%u power cuts\n", cuts);
	assert_true(cuts > 100);
}

static void
F1_relaxed_may_lose_but_stays_whole(void **state)
{
	uint64_t seed = rows_seed();
	struct loss loss = { 0 };

	(void)state;
	for (long at = 5;
	     cut(at, seed + (uint64_t)at, false, false, STORE_RELAXED, &loss);
	     at += torture ? 1 : 9)
		;
	print_message("relaxed: %u lost\n", loss.lost);
	assert_int_equal(loss.damaged, 0);
	assert_int_equal(loss.partial, 0);
}

/* The test that tests the test. */
static void
F1_a_disk_that_lies_about_syncs_is_found_out(void **state)
{
	uint64_t seed = rows_seed();
	struct loss loss = { 0 };

	(void)state;
	for (long at = 40;
	     cut(at, seed + (uint64_t)at, true, false, STORE_FULL, &loss);
	     at += 23)
		;
	print_message("without syncs: %u lost, %u partial, %u damaged\n",
	    loss.lost, loss.partial, loss.damaged);
	assert_true(loss.lost + loss.damaged > 0);
}

/* F5 at this level: the process is killed, not the machine. */
static void
F5_a_killed_process_loses_nothing_acknowledged(void **state)
{
	unsigned rounds = torture ? 200 : 10;
	uint64_t random = rows_seed();

	(void)state;
	for (unsigned round = 0; round < rounds; round++) {
		struct loss loss = { 0 };
		int acked[2], copy[2];
		unsigned number, until = (unsigned)rows_random(&random, 50);
		pid_t pid;

		bed_make(&bed, "sqlite");
		assert_int_equal(pipe(acked), 0);
		assert_int_equal(pipe(copy), 0);
		fflush(NULL);
		if ((pid = fork()) == 0)
			live(0, 0, false, acked[1]);
		close(acked[1]);
		for (unsigned i = 0; i <= until; i++)
			if (read(acked[0], &number, sizeof(number)) ==
			    sizeof(number))
				assert_true(write(copy[1], &number,
						sizeof(number)) > 0);
		kill(pid, SIGKILL);
		while (read(acked[0], &number, sizeof(number)) ==
		    sizeof(number))
			assert_true(write(copy[1], &number, sizeof(number)) >
			    0);
		waitpid(pid, NULL, 0);
		close(copy[1]);
		judge(copy[0], &loss);
		close(copy[0]);
		close(acked[0]);
		bed_free(&bed);
		assert_int_equal(loss.lost + loss.partial + loss.damaged, 0);
	}
}

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
		assert_true(failed > 0);
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

/* Small batches of a group that does not fit still pass, one by one. */
static void
F3_a_full_disk_takes_what_still_fits(void **state)
{
	struct pair pairs[8];
	int acked[2];

	(void)state;
	bed_begin("fault");
	bed_set(&bed, "acme", "a", "1");
	assert_int_equal(pipe(acked), 0);
	/* the first attempt of the group fails, what comes after does not */
	fault_arm(FAULT_WRITE, 1, false, SQLITE_FULL);
	pairs_done = 0;
	for (unsigned i = 0; i < 8; i++)
		pair_commit(&pairs[i], i, acked[1]);
	while (pairs_done < 8)
		loop_once(bed.loop, 1000);
	assert_true(fault_disarm());
	close(acked[1]);
	for (unsigned i = 0, number; i < 7; i++)
		assert_int_equal(read(acked[0], &number, sizeof(number)),
		    sizeof(number));
	close(acked[0]);
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

/* ---- F8: bad files ------------------------------------------------------------ */

static void
write_at(const char *path, off_t at, const char *text, size_t bytes)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, bytes, at), (ssize_t)bytes);
	close(fd);
}

static void
bad_header(const char *path)
{
	write_at(path, 0, "This is no database at all", 26);
}

static void
bad_short(const char *path)
{
	assert_int_equal(truncate(path, 5000), 0);
}

static void
bad_page(const char *path)
{
	char noise[4096];
	struct stat st;

	memset(noise, 0xa5, sizeof(noise));
	assert_int_equal(stat(path, &st), 0);
	for (off_t at = 4096; at < st.st_size; at += 4096)
		write_at(path, at, noise, sizeof(noise));
}

static void
in_sql(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
bad_application(const char *path)
{
	in_sql(path, "PRAGMA application_id = 1");
}

static void
bad_schema(const char *path)
{
	in_sql(path, "PRAGMA user_version = 99");
}

static void
bad_meta(const char *path)
{
	in_sql(path, "DELETE FROM meta");
}

static void
bad_link(const char *path)
{
	char other[300];

	snprintf(other, sizeof(other), "%s.moved", path);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
}

static void
bad_second_name(const char *path)
{
	char other[300];

	snprintf(other, sizeof(other), "%s.second", path);
	assert_int_equal(link(path, other), 0);
}

static void
bad_kind(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void
bad_owner(const char *path)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(path, 12345, -1), 0);
}

static const struct bad {
	const char *name;
	void (*spoil)(const char *path);
} bads[] = {
	{ "F8 garbage instead of a header", bad_header },
	{ "F8 the end is missing", bad_short },
	{ "F8 pages are overwritten", bad_page },
	{ "F8 a database of another program", bad_application },
	{ "F8 a file of a newer version", bad_schema },
	{ "F8 the file has no versions", bad_meta },
	{ "F8 a symbolic link", bad_link },
	{ "F8 a file with a second name", bad_second_name },
	{ "F8 a fifo", bad_kind },
	{ "F8 a file of another user", bad_owner },
};

static void
F8_a_bad_file_is_its_tenants_alone(void **state)
{
	const struct bad *bad = *state;
	struct store_figures figures;
	char path[300], key[16];
	uint64_t version;
	struct got *g;

	bed_begin(NULL);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "key%u", i);
		bed_set(&bed, "acme", key, "some value of some length");
	}
	bed_set(&bed, "other", "a", "1");
	version = bed_get(&bed, "acme", "a")->r.version;
	assert_status(bed_backup(&bed, "acme", bed.directory, "copy.db"),
	    STORE_OK);
	bed_close(&bed);
	snprintf(path, sizeof(path), "%s", path_of_tenant("acme", ""));
	bad->spoil(path);
	bed_open(&bed);
	/* pages that nobody looks at are found by a check */
	g = bed_check(&bed, "acme", true);
	assert_status(g, STORE_QUARANTINED);
	assert_true(g->detail[0]);
	assert_status(bed_get(&bed, "acme", "key1"), STORE_QUARANTINED);
	assert_status(bed_set(&bed, "acme", "key1", "x"), STORE_QUARANTINED);
	assert_status(bed_get(&bed, "other", "a"), STORE_OK);
	assert_status(bed_set(&bed, "other", "a", "2"), STORE_OK);
	bed.engine->figures(bed.store, &figures);
	assert_int_equal(figures.quarantined, 1);
	/* it is remembered */
	bed_close(&bed);
	bed_open(&bed);
	assert_status(bed_get(&bed, "acme", "key1"), STORE_QUARANTINED);
	/* a copy puts it right, above every version that was told */
	g = bed_restore(&bed, "acme", bed.directory, "copy.db");
	assert_status(g, STORE_OK);
	assert_true(g->r.version > version);
	g = bed_set(&bed, "acme", "key1", "x");
	assert_status(g, STORE_OK);
	assert_true(g->r.version > version && !g->ops[0].created);
	bed_free(&bed);
}

static void
F8_a_quarantined_tenant_can_be_dropped(void **state)
{
	char path[300];
	struct store_tenant drop = { .op = STORE_TENANT_DROP };
	struct got *g;

	(void)state;
	bed_begin(NULL);
	bed_set(&bed, "acme", "a", "1");
	bed_close(&bed);
	snprintf(path, sizeof(path), "%s", path_of_tenant("acme", ""));
	bad_header(path);
	bed_open(&bed);
	assert_status(bed_get(&bed, "acme", "a"), STORE_QUARANTINED);
	assert_status(bed_tenant(&bed, "acme", &drop), STORE_OK);
	g = bed_set(&bed, "acme", "a", "1");
	assert_status(g, STORE_OK);
	assert_true(g->r.version > 1 && g->ops[0].created);
	bed_free(&bed);
}

/* What the WAL has behind a hole was never acknowledged as durable. */
static void
F8_a_cut_wal_is_recovered(void **state)
{
	char path[300], wal[320];
	struct stat st;

	(void)state;
	for (off_t cut_bytes = 1; cut_bytes < 20000; cut_bytes += 1999) {
		int from, to;
		static char bytes[1 << 20];
		ssize_t size;

		bed_begin(NULL);
		for (unsigned i = 0; i < 5; i++)
			bed_set(&bed, "acme", "a", "1");
		snprintf(path, sizeof(path), "%s", path_of_tenant("acme", ""));
		snprintf(wal, sizeof(wal), "%s-wal", path);
		/* as after a crash: the WAL outlives the closing */
		from = open(wal, O_RDONLY);
		size = read(from, bytes, sizeof(bytes));
		assert_true(size > 20000);
		close(from);
		bed_close(&bed);
		to = open(wal, O_WRONLY | O_CREAT, 0600);
		assert_int_equal(write(to, bytes, (size_t)(size - cut_bytes)),
		    size - cut_bytes);
		close(to);
		assert_int_equal(stat(wal, &st), 0);
		bed_open(&bed);
		assert_status(bed_get(&bed, "acme", "a"), STORE_OK);
		assert_status(bed_check(&bed, "acme", true), STORE_OK);
		bed_free(&bed);
	}
}

/* ---- F11 to F16 --------------------------------------------------------------- */

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

static int
python(const char *script, const char *path)
{
	int status;
	pid_t pid;

	fflush(NULL);
	if ((pid = fork()) == 0) {
		execl("/usr/bin/python3", "python3", "-c", script, path, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
F12_nobody_else_gets_in(void **state)
{
	static const char script[] =
	    "import sqlite3, sys\n"
	    "db = sqlite3.connect(sys.argv[1], timeout=0)\n"
	    "try:\n"
	    "    db.execute('DELETE FROM kv')\n"
	    "except sqlite3.OperationalError as e:\n"
	    "    sys.exit(3 if 'locked' in str(e) else 4)\n";

	(void)state;
	bed_begin(NULL);
	bed_set(&bed, "acme", "a", "1");
	assert_int_equal(python(script, path_of_tenant("acme", "")), 3);
	assert_text(bed_get(&bed, "acme", "a"), "ok v1 a@1=1:1 ");
	assert_status(bed_set(&bed, "acme", "a", "2"), STORE_OK);
	/* nor may another storage, in this process or another */
	bed_free(&bed);
}

static void
F12_a_file_held_by_another_is_busy(void **state)
{
	static const char script[] =
	    "import sqlite3, sys, os\n"
	    "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
	    "db.execute('PRAGMA locking_mode = EXCLUSIVE')\n"
	    "db.execute('BEGIN EXCLUSIVE')\n"
	    "os.write(1, b'x')\n"
	    "os.read(0, 1)\n";
	int in[2], out[2];
	char path[300], c;
	pid_t pid;

	(void)state;
	bed_begin(NULL);
	bed_set(&bed, "acme", "a", "1");
	bed_set(&bed, "other", "a", "1");
	bed_close(&bed);
	snprintf(path, sizeof(path), "%s", path_of_tenant("acme", ""));
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	fflush(NULL);
	if ((pid = fork()) == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl("/usr/bin/python3", "python3", "-c", script, path, NULL);
		_exit(127);
	}
	close(out[1]);
	assert_int_equal(read(out[0], &c, 1), 1);
	bed_open(&bed);
	assert_status(bed_get(&bed, "acme", "a"), STORE_BUSY);
	assert_status(bed_set(&bed, "acme", "a", "1"), STORE_BUSY);
	assert_status(bed_set(&bed, "other", "a", "1"), STORE_OK);
	close(in[0]);
	close(in[1]);
	waitpid(pid, NULL, 0);
	close(out[0]);
	bed_passes(1000);
	assert_text(bed_get(&bed, "acme", "a"), "ok v1 a@1=1:1 ");
	assert_status(bed_set(&bed, "acme", "a", "2"), STORE_OK);
	bed_free(&bed);
}

struct load {
	struct store_op ops[2];
	struct store_batch batch;
	char value[2000];
	uint64_t number;
	bool stop, stopped;
};

static void
load_next(void *arg, const struct store_result *r)
{
	struct load *l = arg;

	if (r)
		assert_int_equal(r->status, STORE_OK);
	if (l->stop) {
		l->stopped = true;
		return;
	}
	memset(l->value, 'a' + (int)(l->number % 26), sizeof(l->value));
	snprintf(l->value, sizeof(l->value), "%llu",
	    (unsigned long long)l->number++);
	for (unsigned i = 0; i < 2; i++)
		l->ops[i] = (struct store_op){ .kind = STORE_SET,
			.key = i ? SPAN("b") : SPAN("a"),
			.value = span_make(l->value, sizeof(l->value)) };
	l->batch = (struct store_batch){ .ops = l->ops, .op_count = 2 };
	assert_int_equal(bed.engine->commit(bed.store, SPAN("acme"), &l->batch,
			     load_next, l),
	    0);
}

static void
F13_a_backup_under_load_is_of_one_moment(void **state)
{
	static struct load load;
	char name[32], key[16], filler[8000];
	struct store_op o = { .kind = STORE_SET,
		.value = span_make(filler, sizeof(filler)) };

	(void)state;
	memset(filler, 'f', sizeof(filler));
	bed_begin(NULL);
	for (unsigned i = 0; i < 1000; i++) { /* so that it takes steps */
		snprintf(key, sizeof(key), "key%u", i);
		o.key = span_of(key);
		bed_op(&bed, "acme", o);
	}
	memset(&load, 0, sizeof(load));
	load_next(&load, NULL);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t before = load.number, version, copied;
		struct got *g;
		char *a, *b;

		snprintf(name, sizeof(name), "copy%u.db", i);
		g = bed_backup(&bed, "acme", bed.directory, name);
		assert_status(g, STORE_OK);
		copied = g->r.version;
		assert_true(copied > 0 && g->r.bytes > 8000000);
		assert_true(load.number > before); /* nobody waited for it */
		assert_status(bed_backup(&bed, "acme", bed.directory, name),
		    STORE_EXISTS);
		g = bed_restore(&bed, "twin", bed.directory, name);
		assert_status(g, STORE_OK);
		assert_true(g->r.version >= copied);
		version = g->r.version;
		a = strdup(got_text(bed_get(&bed, "twin", "a")));
		b = strdup(got_text(bed_get(&bed, "twin", "b")));
		/* both of the same commit: but for the key, the same words */
		*strchr(b, 'b') = 'a';
		assert_string_equal(a, b);
		free(a);
		free(b);
		assert_true(bed_set(&bed, "twin", "c", "1")->r.version >
		    version);
	}
	load.stop = true;
	bed_wait(&bed, &load.stopped);
	bed_free(&bed);
}

static void
F13_a_restore_is_above_every_version(void **state)
{
	struct store_changes ask = { .since = 5, .limit = 10 };
	struct got *g;
	uint64_t last;

	(void)state;
	bed_begin(NULL);
	for (unsigned i = 0; i < 5; i++)
		bed_set(&bed, "acme", "a", "old");
	assert_status(bed_backup(&bed, "acme", bed.directory, "copy"),
	    STORE_OK);
	for (unsigned i = 0; i < 5; i++)
		last = bed_set(&bed, "acme", "a", "new")->r.version;
	g = bed_restore(&bed, "acme", bed.directory, "copy");
	assert_true(g->r.version > last);
	assert_non_null(strstr(got_text(bed_get(&bed, "acme", "a")), "=old:"));
	assert_status(bed_changes(&bed, "acme", &ask), STORE_GONE);
	ask.since = g->r.version;
	last = bed_set(&bed, "acme", "a", "1")->r.version;
	assert_true(last > ask.since);
	assert_int_equal(bed_changes(&bed, "acme", &ask)->r.change_count, 1);
	/* what is no copy is not taken for one, and harms nothing */
	write_at(strcat(strcpy(bed_slot()->detail, bed.path), "/copy"), 8192,
	    "garbage garbage garbage garbage garbage garbage garbage", 50);
	assert_status(bed_restore(&bed, "acme", bed.directory, "copy"),
	    STORE_UNSUPPORTED);
	assert_status(bed_restore(&bed, "acme", bed.directory, "none"),
	    STORE_BAD_NAME);
	assert_status(bed_restore(&bed, "acme", bed.directory, "../x"),
	    STORE_BAD_NAME);
	assert_status(bed_backup(&bed, "acme", bed.directory, ".x"),
	    STORE_BAD_NAME);
	assert_status(bed_backup(&bed, "nobody", bed.directory, "x"),
	    STORE_NO_TENANT);
	assert_int_equal(bed_get(&bed, "acme", "a")->r.version, last);
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

/* ---- versions and schema -------------------------------------------------------- */

static void
an_older_file_is_brought_up_to_date(void **state)
{
	struct store_op o = {
		.kind = STORE_SUM, .key = SPAN("n"), .number = 1
	};
	struct store_batch batch = { .idem_key = SPAN("k"),
		.idem_print = SPAN("p"),
		.ops = &o,
		.op_count = 1 };

	(void)state;
	bed_make(&bed, "sqlite");
	make_old_file();
	bed_open(&bed);
	assert_text(bed_get(&bed, "acme", "old"), "ok v7 old@7=1:1 ");
	assert_text(bed_commit(&bed, "acme", &batch), "ok v8 {8 1 0 new} ");
	assert_text(bed_commit(&bed, "acme", &batch), "ok v8 again  ");
	assert_status(bed_check(&bed, "acme", true), STORE_OK);
	bed_free(&bed);
}

static void
a_lost_file_does_not_bring_versions_back(void **state)
{
	uint64_t version;
	char path[300];

	(void)state;
	bed_begin(NULL);
	bed_set(&bed, "acme", "a", "1");
	version = bed_set(&bed, "acme", "a", "2")->r.version;
	bed_close(&bed);
	snprintf(path, sizeof(path), "%s", path_of_tenant("acme", ""));
	assert_int_equal(unlink(path), 0);
	bed_open(&bed);
	assert_true(bed_set(&bed, "acme", "a", "1")->r.version > version);
	bed_free(&bed);
}

static void
what_is_given_back_makes_the_file_smaller(void **state)
{
	char value[20000], key[16];
	struct store_op o = { .kind = STORE_SET,
		.value = span_make(value, sizeof(value)) };
	struct store_op delete = {
		.kind = STORE_DELETE_RANGE, .key = SPAN("key"), .limit = 1000
	};
	struct stat before, after;
	char path[300];

	(void)state;
	memset(value, 'x', sizeof(value));
	bed_begin(NULL);
	for (unsigned i = 0; i < 400; i++) {
		snprintf(key, sizeof(key), "key%u", i);
		o.key = span_of(key);
		assert_status(bed_op(&bed, "acme", o), STORE_OK);
	}
	bed_passes(2000);
	bed_sweep(&bed, 100);
	snprintf(path, sizeof(path), "%s", path_of_tenant("acme", ""));
	assert_int_equal(stat(path, &before), 0);
	bed_op(&bed, "acme", delete);
	for (unsigned i = 0; i < 50; i++) {
		bed_passes(2000);
		bed_sweep(&bed, 100);
	}
	assert_int_equal(stat(path, &after), 0);
	assert_true(after.st_size < before.st_size / 2);
	bed_free(&bed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F1_power_loss_takes_nothing_acknowledged),
		cmocka_unit_test(F1_relaxed_may_lose_but_stays_whole),
		cmocka_unit_test(F1_a_disk_that_lies_about_syncs_is_found_out),
		cmocka_unit_test(F2_a_read_fails),
		cmocka_unit_test(F2_a_write_fails),
		cmocka_unit_test(F2_a_sync_fails),
		cmocka_unit_test(F2_a_truncation_fails),
		cmocka_unit_test(F2_a_failed_sync_is_said_to_be_unknown),
		cmocka_unit_test(
		    F2_three_failures_in_a_minute_leave_reads_only),
		cmocka_unit_test(F3_the_disk_is_full),
		cmocka_unit_test(F3_a_full_disk_takes_what_still_fits),
		cmocka_unit_test(F3_the_quota_is_used_up),
		cmocka_unit_test(F4_the_memory_is_used_up),
		cmocka_unit_test(
		    F5_a_killed_process_loses_nothing_acknowledged),
		cmocka_unit_test(
		    F6_a_slow_disk_makes_groups_and_holds_up_no_reads),
		cmocka_unit_test(F7_no_more_descriptors),
		cmocka_unit_test(no_more_files_are_open_than_allowed),
		cmocka_unit_test(F8_a_quarantined_tenant_can_be_dropped),
		cmocka_unit_test(F8_a_cut_wal_is_recovered),
		cmocka_unit_test(F11_the_others_of_a_group_are_kept),
		cmocka_unit_test(F12_nobody_else_gets_in),
		cmocka_unit_test(F12_a_file_held_by_another_is_busy),
		cmocka_unit_test(F13_a_backup_under_load_is_of_one_moment),
		cmocka_unit_test(F13_a_restore_is_above_every_version),
		cmocka_unit_test(F16_the_disk_is_full_in_a_checkpoint),
		cmocka_unit_test(an_older_file_is_brought_up_to_date),
		cmocka_unit_test(a_lost_file_does_not_bring_versions_back),
		cmocka_unit_test(what_is_given_back_makes_the_file_smaller),
	};
	int failed;

	torture = getenv("TORTURE");
	if (getenv("ONLY"))
		cmocka_set_test_filter(getenv("ONLY"));
	if (fault_memory_register() < 0)
		return 1;
	sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_initialize();
	fault_register();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed + RUN_ROWS(bads, F8_a_bad_file_is_its_tenants_alone);
}
