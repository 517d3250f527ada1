/* SPDX-License-Identifier: MIT */
/* If this fails, one tenant's bad file harms others, somebody else gets into a
 * file, versions come back, or a backup is not what it was taken for. */
#include "../fault/sqlite.h"

#include <sys/wait.h>

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
	char other[420];

	snprintf(other, sizeof(other), "%s.moved", path);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
}

static void
bad_second_name(const char *path)
{
	char other[420];

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
	char path[400], key[16];
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
	char path[400];
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
	char path[400], wal[420];
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
	char path[400], c;
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

static bool
there(const char *name)
{
	struct stat st;

	return fstatat(bed.directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The N-th call on the copy fails: for every N nothing is left behind, and
 * neither the tenant nor its file takes harm. */
static void
F13_a_copy_that_cannot_be_written_leaves_nothing(void **state)
{
	static const struct {
		int calls, code;
		enum store_status status;
	} ways[] = {
		{ FAULT_WRITE, SQLITE_FULL, STORE_NO_SPACE },
		{ FAULT_WRITE, SQLITE_IOERR_WRITE, STORE_FAILED },
		{ FAULT_READ, SQLITE_IOERR_READ, STORE_FAILED },
	};
	struct got *g;

	(void)state;
	bed_begin("fault");
	bed_set(&bed, "acme", "a", "kept");
	assert_status(bed_backup(&bed, "acme", bed.directory, "good"),
	    STORE_OK);
	bed_set(&bed, "acme", "a", "newer");
	for (size_t way = 0; way < COUNT(ways); way++) {
		bool struck = true;

		for (long at = 1; struck; at++) {
			atomic_store(&fault_disk.part, "copy.part");
			fault_arm(ways[way].calls, at, true, ways[way].code);
			g = bed_backup(&bed, "acme", bed.directory, "copy");
			struck = fault_disarm();
			assert_status(g, struck ? ways[way].status : STORE_OK);
			assert_false(there(".copy.part"));
			assert_int_equal(there("copy"), !struck);
			unlinkat(bed.directory, "copy", 0);

			atomic_store(&fault_disk.part, "acme.new");
			fault_arm(ways[way].calls, at, true, ways[way].code);
			g = bed_restore(&bed, "acme", bed.directory, "good");
			fault_disarm();
			assert_true(g->r.status == STORE_OK ||
			    g->r.status == ways[way].status);
			assert_non_null(strstr(got_text(bed_get(&bed, "acme",
						   "a")),
			    g->r.status == STORE_OK ? "=kept" : "=newer"));
			assert_status(bed_set(&bed, "acme", "a", "newer"),
			    STORE_OK);
		}
	}
	assert_status(bed_check(&bed, "acme", true), STORE_OK);
	bed_free(&bed);
}

/* The file is closed under the backup, as an error makes it. */
static void
F13_a_backup_ends_when_its_file_fails(void **state)
{
	static struct got got;
	char key[16], filler[8000];
	struct store_op o = { .kind = STORE_SET,
		.value = span_make(filler, sizeof(filler)) };

	(void)state;
	memset(filler, 'f', sizeof(filler));
	bed_begin("fault");
	for (unsigned i = 0; i < 1500; i++) {
		snprintf(key, sizeof(key), "key%u", i);
		o.key = span_of(key);
		bed_op(&bed, "acme", o);
	}
	memset(&got, 0, sizeof(got));
	fault_arm(FAULT_SYNC, 1, false, SQLITE_IOERR_FSYNC);
	atomic_store(&fault_disk.end, ".db-wal");
	assert_int_equal(bed.engine->backup(bed.store, SPAN("acme"),
			     bed.directory, SPAN("copy"), got_answer, &got),
	    0);
	assert_status(bed_set(&bed, "acme", "a", "1"), STORE_FAILED);
	assert_true(fault_disarm());
	bed_wait(&bed, &got.done);
	assert_status(&got, STORE_FAILED);
	assert_false(there("copy") || there(".copy.part"));
	buf_free(&got.text);
	assert_status(bed_set(&bed, "acme", "a", "1"), STORE_OK);
	assert_status(bed_backup(&bed, "acme", bed.directory, "copy"),
	    STORE_OK);
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
empty_it(const char *path)
{
	assert_int_equal(truncate(path, 0), 0);
}

static void
lose_it(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void
spoil_floor(const char *path)
{
	char floor[420];

	snprintf(floor, sizeof(floor), "%.*s.floor", (int)strlen(path) - 3,
	    path);
	write_at(floor, 0, "xyz", 3);
}

/* All of it gone is no empty tenant: somebody must hear of it, and what comes
 * after is above every version that was told. */
static void
a_lost_file_is_no_empty_one(void **state)
{
	static void (*const ways[])(const char *) = { empty_it, lose_it,
		spoil_floor };
	struct store_tenant drop = { .op = STORE_TENANT_DROP };
	uint64_t version;
	char path[400];

	(void)state;
	for (size_t way = 0; way < 2 * COUNT(ways); way++) {
		bed_begin(NULL);
		bed_set(&bed, "acme", "a", "1");
		version = bed_set(&bed, "acme", "a", "2")->r.version;
		assert_status(bed_backup(&bed, "acme", bed.directory, "copy"),
		    STORE_OK);
		bed_close(&bed);
		snprintf(path, sizeof(path), "%s", path_of_tenant("acme", ""));
		ways[way / 2](path);
		bed_open(&bed);
		assert_status(bed_get(&bed, "acme", "a"), STORE_QUARANTINED);
		assert_status(bed_set(&bed, "acme", "a", "1"),
		    STORE_QUARANTINED);
		assert_status(way % 2 ?
			bed_tenant(&bed, "acme", &drop) :
			bed_restore(&bed, "acme", bed.directory, "copy"),
		    STORE_OK);
		assert_true(bed_set(&bed, "acme", "a", "1")->r.version >
		    version);
		assert_status(bed_check(&bed, "acme", true), STORE_OK);
		bed_free(&bed);
	}
}

/* A copy may come from a stranger: only data is taken from it. */
static void
a_hostile_copy_is_refused(void **state)
{
	static const char *const ways[] = {
		"CREATE TRIGGER evil AFTER INSERT ON kv BEGIN DELETE FROM kv; "
		"END",
		"ALTER TABLE kv RENAME TO kv0; CREATE VIEW kv AS WITH RECURSIVE"
		" r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n AS"
		" id, 'k' AS k, x'00' AS v, NULL AS type, 1 AS ver, NULL AS exp"
		" FROM r",
		"UPDATE meta SET version = 9223372036854775807",
		"UPDATE meta SET version = -1",
		"CREATE INDEX slow ON kv(length(hex(v)))",
		"DROP INDEX kv_exp",
		"CREATE TABLE more(a)",
		"DELETE FROM meta",
		"PRAGMA user_version = 0",
		"PRAGMA page_size = 512; VACUUM",
		"PRAGMA application_id = 7",
	};
	char path[128];

	(void)state;
	for (size_t way = 0; way < COUNT(ways); way++) {
		bed_begin(NULL);
		bed_set(&bed, "acme", "a", "1");
		assert_status(bed_backup(&bed, "acme", bed.directory, "copy"),
		    STORE_OK);
		snprintf(path, sizeof(path), "%s/copy", bed.path);
		in_sql(path, ways[way]);
		assert_status(bed_restore(&bed, "acme", bed.directory, "copy"),
		    STORE_UNSUPPORTED);
		assert_text(bed_get(&bed, "acme", "a"), "ok v1 a@1=1:1 ");
		assert_text(bed_set(&bed, "acme", "a", "2"), "ok v2 {2 0 0} ");
		unlinkat(bed.directory, "copy", 0);
		assert_int_equal(mkfifoat(bed.directory, "copy", 0600), 0);
		assert_true(bed_restore(&bed, "acme", bed.directory, "copy")
				->r.status != STORE_OK);
		bed_free(&bed);
	}
}

/* Nor does it bring a larger quota. */
static void
a_copy_brings_no_settings(void **state)
{
	struct store_tenant ask = { .op = STORE_TENANT_CHANGE,
		.set = STORE_SET_QUOTA | STORE_SET_FROZEN,
		.quota_bytes = 2 << 20 };
	char path[128];

	(void)state;
	bed_begin(NULL);
	bed_set(&bed, "acme", "a", "1");
	assert_status(bed_tenant(&bed, "acme", &ask), STORE_OK);
	assert_status(bed_backup(&bed, "acme", bed.directory, "copy"),
	    STORE_OK);
	snprintf(path, sizeof(path), "%s/copy", bed.path);
	in_sql(path, "UPDATE meta SET quota = 1 << 40, frozen = 1");
	assert_status(bed_restore(&bed, "acme", bed.directory, "copy"),
	    STORE_OK);
	ask.op = STORE_TENANT_STAT;
	assert_int_equal(bed_tenant(&bed, "acme", &ask)->usage.quota_bytes,
	    2 << 20);
	assert_status(bed_set(&bed, "acme", "a", "1"), STORE_OK);
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
	char path[400];

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
		cmocka_unit_test(F8_a_quarantined_tenant_can_be_dropped),
		cmocka_unit_test(F8_a_cut_wal_is_recovered),
		cmocka_unit_test(F12_nobody_else_gets_in),
		cmocka_unit_test(F12_a_file_held_by_another_is_busy),
		cmocka_unit_test(F13_a_backup_under_load_is_of_one_moment),
		cmocka_unit_test(
		    F13_a_copy_that_cannot_be_written_leaves_nothing),
		cmocka_unit_test(F13_a_backup_ends_when_its_file_fails),
		cmocka_unit_test(F13_a_restore_is_above_every_version),
		cmocka_unit_test(an_older_file_is_brought_up_to_date),
		cmocka_unit_test(a_lost_file_is_no_empty_one),
		cmocka_unit_test(a_hostile_copy_is_refused),
		cmocka_unit_test(a_copy_brings_no_settings),
		cmocka_unit_test(what_is_given_back_makes_the_file_smaller),
	};
	int failed;

	sqlite_begin();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed + RUN_ROWS(bads, F8_a_bad_file_is_its_tenants_alone);
}
