/* SPDX-License-Identifier: MIT */
/* store_sqlite_file.c - a tenant's file: how it is opened, what is believed of
 * it, and what becomes of it after an error. Beside "3f/acme.db" and its WAL
 * lie "3f/acme.floor", the versions given out, and, while the file is in
 * quarantine, "3f/acme.bad" with the reason.
 *
 * A WAL that is there when a file is opened says that it was not closed: then
 * it is looked through before it is used. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/diag.h"
#include "state/schema.h"
#include "state/store_sqlite.h"

enum {
	BUSY_WAIT_MS = 100,  /* for another process that holds the file ... */
	BUSY_REST_MS = 1000, /* and so long nobody waits for it again */
	FAILURES_MS = 60000,
	ROW_BYTES_MORE = 65536, /* of a row beside its value */
};

static const char *const sql[STATEMENTS] = {
#define STATEMENT_SQL(name, text) [STATEMENT_##name] = (text),
	STATEMENT_EACH(STATEMENT_SQL)
#undef STATEMENT_SQL
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
static void file_count_failure(struct file *, const char *doing, int code);
static int file_exec(struct file *, const char *);
static int file_wal_grew(void *, sqlite3 *, const char *, int pages);
static void file_finalize(struct file *);

static int
directory_of(const struct file *f)
{
	return f->thread->store->config.directory_fd;
}

static uint64_t
steady_of(const struct file *f)
{
	return f->thread->store->config.steady_ms();
}

static void
file_beside(const struct file *f, char path[FILE_PATH_MOST], const char *suffix)
{
	path_tenant(path, f->node.key, suffix);
}

uint64_t
file_now(struct file *f)
{
	return store_clock_now(&f->clock, f->thread->store->config.unix_ms(),
	    steady_of(f));
}

void
file_used(struct file *f)
{
	f->used_ms = steady_of(f);
	list_remove(&f->used);
	list_add_last(&f->thread->open, &f->used);
}

/* ---- opening --------------------------------------------------------------- */

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
	if (steady_of(f) < f->busy_until_ms) {
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
	int directory = directory_of(f);
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

	if (mkdirat(directory_of(f), name, 0700) < 0)
		return errno == EEXIST ? 0 : -1;
	return path_sync_parent(directory_of(f), name);
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
		f->busy_until_ms = steady_of(f) + BUSY_REST_MS;
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

/* ---- versions given out ---------------------------------------------------- */

int
file_floor_read(struct file *f)
{
	char path[FILE_PATH_MOST], text[64];
	struct span rest;
	ssize_t bytes;

	f->expected = false;
	file_beside(f, path, ".floor");
	bytes = path_read(directory_of(f), path, text, sizeof(text));
	if (bytes < 0 && errno == ENOENT) {
		f->floor = 0;
		return 0;
	}
	if (bytes >= 0) {
		rest = span_make(text, (size_t)bytes);
		f->expected = !span_ends(rest, SPAN(" gone"));
		if (span_number(span_cut(&rest, ' '), VERSION_MOST,
			&f->floor) == 0)
			return 0;
		errno = EBADMSG;
		f->floor = FLOOR_BAD;
	}
	return -1;
}

int
file_floor_force(struct file *f)
{
	if (file_floor_read(f) == 0)
		return 0;
	if (errno != EBADMSG)
		return -1;
	/* a version a millisecond since 1970 is more than there ever were */
	f->floor = f->thread->store->config.unix_ms();
	return 0;
}

int
file_floor_write(struct file *f, uint64_t floor, bool expected)
{
	char path[FILE_PATH_MOST], text[64];
	int bytes = snprintf(text, sizeof(text), "%llu%s",
	    (unsigned long long)floor, expected ? "" : " gone");

	if (floor > VERSION_MOST) {
		errno = EOVERFLOW;
		return -1;
	}
	file_beside(f, path, ".floor");
	if (path_write(directory_of(f), path, span_make(text, (size_t)bytes)) <
	    0)
		return -1;
	f->floor = floor;
	f->expected = expected;
	return 0;
}

/* ---- closing --------------------------------------------------------------- */

static void
file_finalize(struct file *f)
{
	for (size_t i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(f->statements[i]);
		f->statements[i] = NULL;
	}
}

static void
file_disconnect(struct file *f)
{
	if (f->copy)
		copy_break(f);
	file_finalize(f);
	if (sqlite3_close(f->db) != SQLITE_OK)
		diag_panic("a statement of %s was kept open", f->path);
	f->db = NULL;
	list_remove(&f->used);
	list_remove(&f->chore);
	if (f->state != FILE_OPEN)
		return;
	f->state = FILE_CLOSED;
	f->thread->open_count--;
	store_count(&f->thread->store->handles, (uint64_t)-1);
}

/* The machine's clock was set back while the tenant's went on: that is noted,
 * lest what has expired comes back. Without it, only that is lost. */
static void
file_note_clock(struct file *f)
{
	uint64_t now = file_now(f);

	if (now > f->thread->store->config.unix_ms() && !f->suspect)
		write_meta(f, now);
}

void
file_close(struct file *f)
{
	if (f->state != FILE_OPEN)
		return;
	file_note_clock(f);
	file_disconnect(f);
}

void
file_abandon(struct file *f)
{
	if (!f->db)
		return;
	sqlite3_db_config(f->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	file_disconnect(f);
}

void
file_evict(struct thread *thread, unsigned most)
{
	LIST_EACH(node, &thread->open) {
		struct file *f = LIST_OWNER(node, struct file, used);

		if (thread->open_count <= most)
			return;
		if (f->copy)
			continue;
		file_close(f);
		file_forget(f);
	}
}

void
file_forget(struct file *f)
{
	if (f->state != FILE_CLOSED || f->reads.first || f->writes.first ||
	    f->failed_ms[0] || f->suspect || f->reads_only ||
	    f->busy_until_ms > steady_of(f) || !list_empty(&f->waiting))
		return;
	map_remove(&f->thread->files, &f->node);
	free(f);
}

void
file_bad(struct file *f, const char *why)
{
	char path[FILE_PATH_MOST];
	char *kept = diag_strdup(why); /* `why` may be what we free */

	file_abandon(f);
	if (f->state == FILE_BAD) {
		free(kept);
		return;
	}
	f->why = kept;
	f->state = FILE_BAD;
	store_count(&f->thread->store->quarantined, 1);
	diag_error("a tenant's state is in quarantine, its requests get 503: "
		   "tenant=%s reason=\"%s\"; next: check or restore it",
	    f->name, why);
	file_beside(f, path, ".bad");
	if (path_write(directory_of(f), path, span_of(why)) < 0)
		diag_warn("the quarantine of a tenant's state is forgotten at "
			  "the next start: tenant=%s error=\"%s\"",
		    f->name, diag_errno());
}

void
file_good(struct file *f)
{
	char path[FILE_PATH_MOST];

	f->reads_only = false;
	f->busy_until_ms = 0;
	memset(f->failed_ms, 0, sizeof(f->failed_ms));
	if (f->state != FILE_BAD)
		return;
	file_beside(f, path, ".bad");
	unlinkat(directory_of(f), path, 0);
	f->state = FILE_CLOSED;
	free(f->why);
	f->why = NULL;
	store_count(&f->thread->store->quarantined, (uint64_t)-1);
}

/* ---- errors ---------------------------------------------------------------- */

/* Too often, and writes are refused: a disk that fails must not be asked again
 * and again with what was not kept. */
static void
file_count_failure(struct file *f, const char *doing, int code)
{
	uint64_t now = steady_of(f);

	store_count(&f->thread->store->failures, 1);
	diag_error("a tenant's file failed: tenant=%s doing=%s error=\"%s\" "
		   "code=%d; it is opened anew",
	    f->name, doing, f->db ? sqlite3_errmsg(f->db) : "", code);
	memmove(f->failed_ms + 1, f->failed_ms,
	    sizeof(f->failed_ms) - sizeof(f->failed_ms[0]));
	f->failed_ms[0] = now;
	f->suspect = true;
	if (f->reads_only || f->failed_ms[FILE_FAILURES_MOST - 1] == 0 ||
	    now - f->failed_ms[FILE_FAILURES_MOST - 1] > FAILURES_MS)
		return;
	f->reads_only = true;
	diag_error("a tenant's state takes reads only after %d failures in a "
		   "minute: tenant=%s; next: see to the disk, then check it",
	    FILE_FAILURES_MOST, f->name);
}

static void
file_io_failed(struct file *f, const char *doing, int code)
{
	file_count_failure(f, doing, code);
	file_abandon(f);
}

void
file_failed(struct file *f, struct job *job, int code, const char *doing)
{
	char why[STORE_DETAIL_MOST];

	/* %.*s: the sentence is ours, its end SQLite's */
	snprintf(why, sizeof(why), "%s: %.180s", doing,
	    f->db ? sqlite3_errmsg(f->db) : sqlite3_errstr(code));
	switch (code & 0xff) {
	case SQLITE_NOMEM:
		job_fail(job, STORE_NO_MEMORY, "no memory, %s", doing);
		return;
	case SQLITE_FULL:
		job_fail(job, STORE_NO_SPACE, "the disk is full, %s", doing);
		return;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		job_fail(job, STORE_BUSY, "%s", why);
		return;
	case SQLITE_TOOBIG:
		job_fail(job, STORE_TOO_LARGE, "%s", why);
		return;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		job_fail(job, STORE_QUARANTINED, "%s", why);
		file_bad(f, why);
		return;
	case SQLITE_IOERR:
		if (code == SQLITE_IOERR_NOMEM) {
			job_fail(job, STORE_NO_MEMORY, "no memory, %s", doing);
			return;
		}
		break;
	default:
		break;
	}
	job_fail(job, STORE_FAILED, "%s", why);
	file_io_failed(f, doing, code);
}

/* ---- statements ------------------------------------------------------------ */

sqlite3_stmt *
file_statement(struct file *f, enum statement which)
{
	sqlite3_stmt **s = &f->statements[which];

	if (!*s &&
	    sqlite3_prepare_v3(f->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT,
		s, NULL) != SQLITE_OK)
		return NULL;
	return *s;
}

/* Values are bound where they lie: after this nothing refers to them. */
int
file_done(sqlite3_stmt *statement, int code)
{
	int reset = sqlite3_reset(statement);

	sqlite3_clear_bindings(statement);
	if (code == SQLITE_DONE || code == SQLITE_ROW || code == SQLITE_OK)
		return SQLITE_OK;
	return reset != SQLITE_OK ? reset : code;
}

int
file_run(struct file *f, enum statement which)
{
	sqlite3_stmt *s = file_statement(f, which);

	return s ? file_done(s, sqlite3_step(s)) :
		   sqlite3_extended_errcode(f->db);
}

/* ---- checkpoints ----------------------------------------------------------- */

/* Nobody waits for it: replies have gone out. What cannot be written now stays
 * in the WAL, which is as good, and is tried again. */
void
file_checkpoint(struct file *f, int mode)
{
	int pages = 0, code;

	if (f->state != FILE_OPEN)
		return;
	code = sqlite3_wal_checkpoint_v2(f->db, NULL, mode, &pages, NULL);
	if (code == SQLITE_OK) {
		f->dirty = false;
		f->wal_pages = 0;
		return;
	}
	if ((code & 0xff) == SQLITE_CORRUPT) {
		file_bad(f, "the tenant's file is damaged");
		return;
	}
	if ((code & 0xff) == SQLITE_IOERR && code != SQLITE_IOERR_NOMEM) {
		file_io_failed(f, "checkpoint", code);
		return;
	}
	/* full or no memory: again after as many pages as now */
	f->wal_pages = 0;
}
