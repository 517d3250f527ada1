/* SPDX-License-Identifier: MIT */
/* store_sqlite_open.c - how a tenant's file is opened, and what is believed of it.
 * A WAL that is there when a file is opened says that it was not closed: then
 * it is looked through before it is used. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/diag.h"
#include "state/schema.h"
#include "state/store_sqlite.h"

enum {
	BUSY_WAIT_MS = 100,  /* for another process that holds the file ... */
	BUSY_REST_MS = 1000, /* and so long nobody waits for it again */
	ROW_BYTES_MORE = 65536, /* of a row beside its value */
};

static enum store_status file_believe(struct file *, bool *there, bool *empty,
    bool *unclean, char *why);
static enum store_status file_open_once(struct file *, enum file_use,
    char *why);
static enum store_status file_connect(struct file *, enum file_use, bool blank,
    char *why);
static enum store_status file_settle(struct file *, bool is_new, bool unclean,
    char *why);
static enum store_status file_open_failed(struct file *, int code, char *why);
static int file_exec(struct file *, const char *);
static int file_wal_grew(void *, sqlite3 *, const char *, int pages);

enum store_status
file_open(struct file *f, enum file_use use, char why[STORE_DETAIL_MOST])
{
	enum store_status status;

	path_starved = false;
	status = file_open_once(f, use, why);
	if (status == STORE_OK || f->thread->open_count == 0 || !path_starved)
		return status;
	/* no more descriptors: other files of ours give theirs */
	file_evict(f->thread, f->thread->open_count / 2);
	f->busy_until_ms = 0;
	return file_open_once(f, use, why);
}

static enum store_status
file_open_once(struct file *f, enum file_use use, char *why)
{
	bool there = false, empty = false, unclean = false;
	enum store_status status;
	const char *bad = NULL;

	if (f->state == FILE_OPEN)
		return STORE_OK;
	if (f->state == FILE_BAD) {
		snprintf(why, STORE_DETAIL_MOST, "%s", f->why);
		return STORE_QUARANTINED;
	}
	if (file_steady_ms(f) < f->busy_until_ms) {
		snprintf(why, STORE_DETAIL_MOST,
		    "another process holds the tenant's file");
		return STORE_BUSY;
	}
	if ((status = file_believe(f, &there, &empty, &unclean, why)) !=
	    STORE_OK)
		return status;
	if (file_floor_read(f) < 0 && errno != EBADMSG) {
		snprintf(why, STORE_DETAIL_MOST,
		    "cannot read which versions were given out: %s",
		    diag_errno());
		return STORE_FAILED;
	}
	if (f->floor == FLOOR_BAD)
		bad = "the note of the tenant's versions (.floor) is damaged";
	else if (f->expected && !there)
		bad = "the tenant's file is gone";
	else if (f->expected && empty)
		bad = "the tenant's file is empty";
	if (bad) {
		file_bad(f, bad);
		snprintf(why, STORE_DETAIL_MOST, "%s", f->why);
		return STORE_QUARANTINED;
	}
	if (!there && use == FILE_EXISTING) {
		f->version = f->oldest = f->floor;
		return STORE_OK;
	}
	if (!there && file_make_directory(f) < 0) {
		snprintf(why, STORE_DETAIL_MOST, "cannot make a file: %s",
		    diag_errno());
		return errno == ENOSPC ? STORE_NO_SPACE : STORE_FAILED;
	}
	file_evict(f->thread, f->thread->store->handles_each - 1);
	status = file_connect(f, use, !there || empty, why);
	if (status != STORE_OK)
		return status;
	return file_settle(f, !there, unclean, why);
}

/* Looks at what is there without opening it: closing any descriptor of a file
 * would drop the locks SQLite has on it. */
static enum store_status
file_believe(struct file *f, bool *there, bool *empty, bool *unclean, char *why)
{
	char path[FILE_PATH_MOST], text[STORE_DETAIL_MOST];
	int directory = file_directory(f);
	struct stat st;
	const char *bad = NULL;
	ssize_t bytes;

	file_beside(f, path, ".bad");
	bytes = path_read(directory, path, text, sizeof(text));
	if (bytes > 0) {
		bad = text;
	} else if (bytes < 0 && errno != ENOENT) {
		snprintf(why, STORE_DETAIL_MOST, "cannot look for %s: %s", path,
		    diag_errno());
		return STORE_FAILED;
	} else if (fstatat(directory, f->path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return STORE_OK;
		snprintf(why, STORE_DETAIL_MOST, "cannot look for %s: %s",
		    f->path, diag_errno());
		return STORE_FAILED;
	} else if (!S_ISREG(st.st_mode)) {
		bad = "the tenant's file is not a regular one";
	} else if (st.st_uid != geteuid()) {
		bad = "the tenant's file belongs to another user";
	} else if (st.st_nlink != 1) {
		bad = "the tenant's file has a second name";
	}
	if (bad) {
		file_bad(f, bad);
		snprintf(why, STORE_DETAIL_MOST, "%s", f->why);
		return STORE_QUARANTINED;
	}
	*there = true;
	*empty = st.st_size == 0;
	file_beside(f, path, ".db-wal");
	*unclean = fstatat(directory, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	return STORE_OK;
}

int
file_make_directory(struct file *f)
{
	char name[3] = { f->path[0], f->path[1], '\0' };

	if (mkdirat(file_directory(f), name, 0700) < 0)
		return errno == EEXIST ? 0 : -1;
	return path_sync_parent(file_directory(f), name);
}

static enum store_status
file_connect(struct file *f, enum file_use use, bool blank, char *why)
{
	struct store_config *config = &f->thread->store->config;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
	    SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW |
	    SQLITE_OPEN_EXRESCODE;
	char path[FILE_PATH_MOST];
	int code;

	assert(!f->db);
	path_of(path, config->directory_fd, f->path);
	if (use == FILE_CREATE)
		flags |= SQLITE_OPEN_CREATE;
	code = sqlite3_open_v2(path, &f->db, flags, config->vfs);
	if (code == SQLITE_OK) {
		sqlite3_busy_timeout(f->db, BUSY_WAIT_MS);
		sqlite3_db_config(f->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		sqlite3_db_config(f->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0,
		    NULL);
		sqlite3_db_config(f->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
		sqlite3_limit(f->db, SQLITE_LIMIT_LENGTH,
		    (int)config->value_most + ROW_BYTES_MORE);
		sqlite3_limit(f->db, SQLITE_LIMIT_ATTACHED, 0);
		sqlite3_limit(f->db, SQLITE_LIMIT_VARIABLE_NUMBER, 16);
		/* exclusive first, before anything looks at the file: then the
		 * index of its WAL is in our memory and nobody else gets in */
		code = file_exec(f, "PRAGMA locking_mode = EXCLUSIVE");
	}
	/* the last one writes, so only where it is needed */
	if (code == SQLITE_OK && blank)
		code = file_exec(f,
		    "PRAGMA page_size = 4096;"
		    "PRAGMA auto_vacuum = INCREMENTAL;");
	if (code == SQLITE_OK)
		code = file_exec(f,
		    "PRAGMA trusted_schema = OFF;"
		    "PRAGMA cell_size_check = ON;"
		    "PRAGMA foreign_keys = ON;"
		    "PRAGMA temp_store = MEMORY;"
		    "PRAGMA mmap_size = 0;"
		    "PRAGMA cache_size = -512;"
		    /* so FULL from a statement is the quota, FULL from COMMIT
		     * the disk */
		    "PRAGMA cache_spill = OFF;"
		    "PRAGMA secure_delete = FAST;"
		    "PRAGMA journal_mode = WAL;"
		    "PRAGMA synchronous = FULL;"
		    "PRAGMA wal_autocheckpoint = 0;"
		    "PRAGMA journal_size_limit = 4194304;");
	if (code != SQLITE_OK)
		return file_open_failed(f, code, why);
	f->state = FILE_OPEN;
	f->thread->open_count++;
	store_count(&f->thread->store->handles, 1);
	store_count(&f->thread->store->opened, 1);
	file_used(f);
	return STORE_OK;
}

/* A handle that could not be had, or a file that is not to be used. */
static enum store_status
file_open_failed(struct file *f, int code, char *why)
{
	int number = f->db ? sqlite3_system_errno(f->db) : 0;
	enum store_status status = STORE_FAILED;

	snprintf(why, STORE_DETAIL_MOST, "cannot open the tenant's file: %s",
	    f->db ? sqlite3_errmsg(f->db) : "out of memory");
	switch (code & 0xff) {
	case SQLITE_NOMEM:
		status = STORE_NO_MEMORY;
		break;
	case SQLITE_FULL:
		status = STORE_NO_SPACE;
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		status = STORE_BUSY;
		f->busy_until_ms = file_steady_ms(f) + BUSY_REST_MS;
		snprintf(why, STORE_DETAIL_MOST,
		    "another process holds the tenant's file");
		break;
	case SQLITE_CANTOPEN:
		if (number == EMFILE || number == ENFILE)
			status = STORE_BUSY;
		else if (number == ELOOP)
			status = STORE_QUARANTINED;
		break;
	case SQLITE_IOERR:
		if (code == SQLITE_IOERR_NOMEM)
			status = STORE_NO_MEMORY;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		status = STORE_QUARANTINED;
		break;
	default:
		break;
	}
	if (status == STORE_QUARANTINED) {
		file_bad(f, why);
		return status;
	}
	if (status == STORE_FAILED)
		file_count_failure(f, "opening", code);
	file_abandon(f);
	return status;
}

int
file_look(sqlite3 *db, bool deep, char why[STORE_DETAIL_MOST])
{
	sqlite3_stmt *statement;
	int code;

	code = sqlite3_prepare_v2(db,
	    deep ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)", -1,
	    &statement, NULL);
	if (code == SQLITE_OK &&
	    (code = sqlite3_step(statement)) == SQLITE_ROW) {
		code = SQLITE_OK;
		if (!span_equal(file_column(statement, 0), SPAN("ok"))) {
			snprintf(why, STORE_DETAIL_MOST,
			    "the file is damaged: %.200s",
			    (const char *)sqlite3_column_text(statement, 0));
			code = SQLITE_CORRUPT;
		}
	} else {
		snprintf(why, STORE_DETAIL_MOST, "cannot check the file: %s",
		    sqlite3_errmsg(db));
		if (code == SQLITE_DONE)
			code = SQLITE_CORRUPT;
	}
	sqlite3_finalize(statement);
	return code;
}

static int
file_read_meta(struct file *f)
{
	sqlite3_stmt *meta = file_statement(f, STATEMENT_META_GET);
	struct store_config *config = &f->thread->store->config;
	int code;

	if (!meta)
		return sqlite3_extended_errcode(f->db);
	if ((code = sqlite3_step(meta)) != SQLITE_ROW)
		return file_done(meta,
		    code == SQLITE_DONE ? SQLITE_CORRUPT : code);
	f->version = (uint64_t)sqlite3_column_int64(meta, 0);
	f->oldest = (uint64_t)sqlite3_column_int64(meta, 1);
	f->clock.unix_ms = (uint64_t)sqlite3_column_int64(meta, 2);
	f->clock.steady_ms = config->steady_ms();
	f->quota_own = (uint64_t)sqlite3_column_int64(meta, 3);
	f->durability_own = sqlite3_column_int(meta, 4);
	f->durability = f->durability_own ?
	    (enum store_durability)(f->durability_own - 1) :
	    config->durability;
	f->frozen = sqlite3_column_int(meta, 5) != 0;
	return file_done(meta, SQLITE_OK);
}

/* The versions of the file against those given out. */
static int
file_settle_versions(struct file *f, bool is_new, bool unclean)
{
	bool leap = f->version + VERSION_LEAP < f->floor; /* an old copy */

	/* what was told may be gone; who followed it must begin anew */
	leap |= unclean && f->durability == STORE_RELAXED;
	if (leap && !is_new)
		f->version = f->oldest = f->floor;
	if (f->version >= f->floor)
		return file_floor_write(f, f->version + VERSION_LEAP, true);
	/* made in place of one that was dropped, or found without a note */
	return f->expected ? 0 : file_floor_write(f, f->floor, true);
}

static enum store_status
file_settle(struct file *f, bool is_new, bool unclean, char *why)
{
	int code = SQLITE_OK;

	switch (schema_open(f->db, f->floor, &code)) {
	case SCHEMA_GOOD:
		break;
	case SCHEMA_FOREIGN:
		snprintf(why, STORE_DETAIL_MOST,
		    "the tenant's file is a database of another program");
		file_bad(f, why);
		return STORE_QUARANTINED;
	case SCHEMA_NEWER:
		snprintf(why, STORE_DETAIL_MOST,
		    "the tenant's file was made by a newer fcgi-host");
		file_bad(f, why);
		return STORE_QUARANTINED;
	case SCHEMA_FAILED:
		return file_open_failed(f, code, why);
	}
	if (unclean &&
	    (code = file_look(f->db, false, why)) == SQLITE_CORRUPT) {
		file_bad(f, why);
		return STORE_QUARANTINED;
	}
	if (code == SQLITE_OK)
		code = file_read_meta(f);
	if (code == SQLITE_OK && f->suspect) {
		/* what the disk did not take once is written anew, elsewhere */
		code = sqlite3_wal_checkpoint_v2(f->db, NULL,
		    SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
		f->suspect = code != SQLITE_OK;
	}
	if (code != SQLITE_OK)
		return file_open_failed(f, code, why);
	if (f->version > VERSION_MOST - VERSION_LEAP) {
		snprintf(why, STORE_DETAIL_MOST,
		    "the tenant's file has an impossible version");
		file_bad(f, why);
		return STORE_QUARANTINED;
	}
	if (file_settle_versions(f, is_new, unclean) < 0) {
		snprintf(why, STORE_DETAIL_MOST, "cannot note versions: %s",
		    diag_errno());
		code = errno;
		file_abandon(f);
		return code == ENOSPC ? STORE_NO_SPACE : STORE_FAILED;
	}
	if ((code = file_settings(f)) != SQLITE_OK)
		return file_open_failed(f, code, why);
	f->dirty = true;
	f->wal_pages = 0;
	f->sweep_ms = 0;
	sqlite3_wal_hook(f->db, file_wal_grew, f);
	return STORE_OK;
}

static int
file_wal_grew(void *arg, sqlite3 *db, const char *schema, int pages)
{
	struct file *f = arg;

	(void)db;
	(void)schema;
	f->wal_pages = (unsigned)pages;
	return SQLITE_OK;
}

int
file_settings(struct file *f)
{
	struct store_config *config = &f->thread->store->config;
	int code;

	f->quota_bytes = f->quota_own ? f->quota_own : config->quota_bytes;
	f->durability = f->durability_own ?
	    (enum store_durability)(f->durability_own - 1) :
	    config->durability;
	code = file_exec(f,
	    f->durability == STORE_RELAXED ? "PRAGMA synchronous = NORMAL" :
					     "PRAGMA synchronous = FULL");
	return code == SQLITE_OK ? file_set_quota(f, 0) : code;
}

int
file_set_quota(struct file *f, unsigned more_pages)
{
	uint64_t pages = f->quota_bytes / PAGE_BYTES + more_pages;
	char text[64];

	snprintf(text, sizeof(text), "PRAGMA max_page_count = %llu",
	    (unsigned long long)(pages < 32 ? 32 : pages));
	return file_exec(f, text);
}

static int
file_exec(struct file *f, const char *text)
{
	return sqlite3_exec(f->db, text, NULL, NULL, NULL);
}
