/* SPDX-License-Identifier: MIT */
/* sqlite.h - the SQLite storage of a test: on a disk and with a memory that can
 * fail, its files looked into from outside. TORTURE=1 walks every point of a
 * loop, else every few; ONLY picks tests by a pattern. */
#ifndef FAULT_SQLITE_H
#define FAULT_SQLITE_H

#include "bed.h"
#include "vfs.h"

#include "state/schema.h"

static struct bed bed;
static bool torture;

static inline void
bed_begin(const char *vfs)
{
	bed_make(&bed, "sqlite");
	bed.config.vfs = vfs;
	bed.config.threads = 1;
	bed_open(&bed);
}

/* Where the tenant's file is, for those who open it themselves. */
static inline const char *
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

/* Whether tenant acme has the key, and since which version. */
static inline bool
has(const char *key, uint64_t *version)
{
	struct got *g = bed_get(&bed, "acme", key);
	const char *at = strchr(got_text(g), '@');

	*version = at ? strtoull(at + 1, NULL, 10) : 0;
	return at;
}

/* A file as the first version of the schema made it. */
static inline void
make_old_file(void)
{
	char path[400];
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

/* Before anything else is asked of SQLite. */
static inline void
sqlite_begin(void)
{
	torture = getenv("TORTURE");
	if (getenv("ONLY"))
		cmocka_set_test_filter(getenv("ONLY"));
	if (fault_memory_register() < 0)
		abort();
	sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_initialize();
	fault_register();
}

#endif
