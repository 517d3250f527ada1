/* SPDX-License-Identifier: MIT */
/* raw_sqlite.c - what SQLite alone can do on this disk, with the settings of the
 * state process and its table: no web, no thread, no queue.
 * raw_sqlite DIRECTORY SECONDS prints, one a line: fdatasync in µs; writes/s with a
 * commit each, with a commit for each 8 and for each 64; point reads/s. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

enum { KEYS = 1000, VALUE_BYTES = 100, PAGE = 4096 };

static sqlite3 *db;
static sqlite3_stmt *begin, *commit, *version, *put, *change, *read_one;

static void
must(int result)
{
	if (result != SQLITE_OK && result != SQLITE_DONE &&
	    result != SQLITE_ROW) {
		fprintf(stderr, "raw_sqlite: %s\n", sqlite3_errmsg(db));
		exit(1);
	}
}

static double
seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static sqlite3_stmt *
prepare(const char *sql)
{
	sqlite3_stmt *made;

	must(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &made,
	    NULL));
	return made;
}

static void
step(sqlite3_stmt *s)
{
	must(sqlite3_step(s));
	must(sqlite3_reset(s));
}

static void
open_database(const char *directory)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/raw.db", directory);
	must(sqlite3_open_v2(path, &db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
	    NULL));
	must(sqlite3_exec(db,
	    "PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL;"
	    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
	    "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=1000;"
	    "CREATE TABLE kv(id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE,"
	    " v BLOB NOT NULL, type TEXT, ver INTEGER NOT NULL, exp INTEGER)"
	    " STRICT;"
	    "CREATE TABLE chg(ver INTEGER, n INTEGER, op INTEGER NOT NULL,"
	    " k TEXT NOT NULL, PRIMARY KEY(ver, n)) STRICT, WITHOUT ROWID;"
	    "CREATE TABLE meta(k TEXT PRIMARY KEY, v ANY NOT NULL) STRICT,"
	    " WITHOUT ROWID;"
	    "INSERT INTO meta VALUES('version', 0)",
	    NULL, NULL, NULL));
	begin = prepare("BEGIN IMMEDIATE");
	commit = prepare("COMMIT");
	version = prepare("UPDATE meta SET v = v + 1 WHERE k = 'version'");
	put = prepare("INSERT INTO kv(k, v, ver) VALUES(?1, ?2, ?3) ON "
		      "CONFLICT(k) DO UPDATE SET v = ?2, ver = ?3");
	change = prepare("INSERT INTO chg VALUES(?1, 0, 1, ?2)");
	read_one = prepare("SELECT v, type, ver, exp FROM kv WHERE k = ?1");
}

static void
bind_key(sqlite3_stmt *s, int at, unsigned number)
{
	char key[32];
	int bytes = snprintf(key, sizeof(key), "bench/%u", number % KEYS);

	must(sqlite3_bind_text(s, at, key, bytes, SQLITE_TRANSIENT));
}

/* What one PUT costs in the file, `group` of them with one commit. */
static double
writes(unsigned group, double seconds)
{
	static char value[VALUE_BYTES];
	static sqlite3_int64 number;
	double started = seconds_now(), took;
	unsigned long count = 0;

	while ((took = seconds_now() - started) < seconds) {
		step(begin);
		for (unsigned i = 0; i < group; i++, count++) {
			number++;
			step(version);
			bind_key(put, 1, (unsigned)number);
			must(sqlite3_bind_blob(put, 2, value, sizeof(value),
			    SQLITE_STATIC));
			must(sqlite3_bind_int64(put, 3, number));
			step(put);
			must(sqlite3_bind_int64(change, 1, number));
			bind_key(change, 2, (unsigned)number);
			step(change);
		}
		step(commit);
	}
	return (double)count / took;
}

static double
reads(double seconds)
{
	double started = seconds_now(), took;
	unsigned long count = 0;

	while ((took = seconds_now() - started) < seconds)
		for (int i = 0; i < 100; i++, count++) {
			bind_key(read_one, 1, (unsigned)count);
			step(read_one);
		}
	return (double)count / took;
}

static double
fdatasync_us(const char *directory, double seconds)
{
	static const char page[PAGE];
	double started = seconds_now(), took;
	unsigned count = 0;
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/fdatasync", directory);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	while (fd >= 0 && (took = seconds_now() - started) < seconds) {
		if (pwrite(fd, page, PAGE, (off_t)(count % 1000) * PAGE) < 0 ||
		    fdatasync(fd) < 0)
			break;
		count++;
	}
	if (fd < 0 || count == 0) {
		perror(path);
		exit(1);
	}
	close(fd);
	unlink(path);
	return took * 1e6 / count;
}

int
main(int argc, char **argv)
{
	double seconds;

	if (argc != 3)
		return 2;
	seconds = strtod(argv[2], NULL);
	printf("%.1f\n", fdatasync_us(argv[1], seconds));
	open_database(argv[1]);
	printf("%.0f\n", writes(1, seconds));
	printf("%.0f\n", writes(8, seconds));
	printf("%.0f\n", writes(64, seconds));
	printf("%.0f\n", reads(seconds));
	return 0;
}
