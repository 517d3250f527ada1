/* SPDX-License-Identifier: MIT */
/* store_sqlite_copy.c - backup, restore and check. A backup goes through the
 * file's own connection, some pages between two commits, which it takes along;
 * so it is the state after a commit, that of its end. The copy is looked
 * through by a thread of its own, made durable, and only then gets its name. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/diag.h"
#include "base/fd.h"
#include "state/schema.h"
#include "state/store_sqlite.h"

enum { COPY_PAGES = 256 }; /* between two commits */

struct copy {
	struct list node; /* in the thread's */
	struct file *file;
	struct store *store;
	struct job *job;
	sqlite3 *to;
	sqlite3_backup *backup;
	char part[FILE_PATH_MOST]; /* ".NAME.part" until it is good */
	char name[FILE_PATH_MOST];
};

static void copy_end(struct copy *, int code);
static void *copy_verify(void *);
static bool copy_believe(struct job *, int directory, const char *name,
    bool restoring);

struct copy *
copy_first(struct thread *t)
{
	struct list *node = list_first(&t->copies);

	return node ? LIST_OWNER(node, struct copy, node) : NULL;
}

static int
open_at(struct store *s, int directory, const char *name, int flags,
    sqlite3 **db)
{
	char path[2 * FILE_PATH_MOST];

	snprintf(path, sizeof(path), "/@%d/%s", directory, name);
	return sqlite3_open_v2(path, db,
	    flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
		SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE,
	    s->config.vfs);
}

static void
remove_all(int directory, const char *name)
{
	static const char *const suffixes[] = { "", "-journal", "-wal" };
	char path[2 * FILE_PATH_MOST];

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", name, suffixes[i]);
		unlinkat(directory, path, 0);
	}
}

/* ---- backup ---------------------------------------------------------------- */

void
copy_start(struct file *f, struct job *job)
{
	struct thread *t = f->thread;
	char why[STORE_DETAIL_MOST];
	struct copy *copy = NULL;
	struct stat st;
	enum store_status status;

	if (!path_file_name_good(job->name)) {
		job_fail(job, STORE_BAD_NAME, "no name for a backup");
		goto out;
	}
	if ((status = file_open(f, FILE_EXISTING, why)) != STORE_OK) {
		job_fail(job, status, "%s", why);
		goto out;
	}
	if (!f->db) {
		job_fail(job, STORE_NO_TENANT, "there is no such tenant");
		goto out;
	}
	if (f->copy) {
		job_fail(job, STORE_BUSY, "a backup of it is under way");
		goto out;
	}
	if (!(copy = calloc(1, sizeof(*copy)))) {
		job_fail(job, STORE_NO_MEMORY, "no memory");
		goto out;
	}
	*copy = (struct copy){ .file = f, .store = t->store, .job = job };
	snprintf(copy->name, sizeof(copy->name), "%.*s", SPAN_ARGS(job->name));
	snprintf(copy->part, sizeof(copy->part), ".%.*s.part",
	    SPAN_ARGS(job->name));
	if (fstatat(job->directory_fd, copy->name, &st, AT_SYMLINK_NOFOLLOW) ==
	    0) {
		job_fail(job, STORE_EXISTS, "there is a file %s", copy->name);
		goto out;
	}
	remove_all(job->directory_fd, copy->part);
	if (open_at(t->store, job->directory_fd, copy->part,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
		&copy->to) != SQLITE_OK ||
	    sqlite3_exec(copy->to,
		"PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF;",
		NULL, NULL, NULL) != SQLITE_OK ||
	    !(copy->backup =
		    sqlite3_backup_init(copy->to, "main", f->db, "main"))) {
		job_fail(job, STORE_FAILED, "cannot make the copy: %s",
		    copy->to ? sqlite3_errmsg(copy->to) : "out of memory");
		sqlite3_close(copy->to);
		remove_all(job->directory_fd, copy->part);
		goto out;
	}
	f->copy = copy;
	list_add_last(&t->copies, &copy->node);
	return;

out:
	free(copy);
	thread_reply(t, job);
}

bool
copy_step(struct copy *copy)
{
	struct thread *t = copy->file->thread;
	int code = sqlite3_backup_step(copy->backup, COPY_PAGES);

	if (code == SQLITE_OK) { /* others have their turn */
		list_remove(&copy->node);
		list_add_last(&t->copies, &copy->node);
		return true;
	}
	copy_end(copy, code == SQLITE_DONE ? SQLITE_OK : code);
	return false;
}

void
copy_break(struct file *f)
{
	copy_end(f->copy, SQLITE_ABORT);
}

/* The pages are there, or will not be. */
static void
copy_end(struct copy *copy, int code)
{
	struct thread *t = copy->file->thread;
	struct job *job = copy->job;
	char why[STORE_DETAIL_MOST] = "its file was closed";
	pthread_attr_t detached;
	pthread_t id;

	list_remove(&copy->node);
	copy->file->copy = NULL;
	sqlite3_backup_finish(copy->backup);
	/* one plain file: the WAL of it would be left behind */
	if (code == SQLITE_OK)
		code = sqlite3_exec(copy->to, "PRAGMA journal_mode = DELETE",
		    NULL, NULL, NULL);
	if (code != SQLITE_OK && code != SQLITE_ABORT)
		snprintf(why, sizeof(why), "%s", sqlite3_errstr(code));
	sqlite3_close(copy->to);
	if (code != SQLITE_OK) {
		remove_all(job->directory_fd, copy->part);
		job_fail(job,
		    (code & 0xff) == SQLITE_FULL ? STORE_NO_SPACE :
						   STORE_FAILED,
		    "cannot write the copy: %s", why);
		thread_reply(t, job);
		free(copy);
		return;
	}
	atomic_fetch_add(&copy->store->copies_checked, 1);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&id, &detached, copy_verify, copy) != 0)
		copy_verify(copy); /* then the others wait */
	pthread_attr_destroy(&detached);
}

/* A thread of its own: the copy is nobody else's yet. */
static void *
copy_verify(void *arg)
{
	struct copy *copy = arg;
	struct store *s = copy->store;
	struct job *job = copy->job;
	int directory = job->directory_fd, fd = -1;
	struct stat st;

	job->next = NULL;
	if (!copy_believe(job, directory, copy->part, false))
		goto out;
	fd = path_open(directory, copy->part, O_RDONLY);
	if (fd < 0 || fsync(fd) < 0 || fstat(fd, &st) < 0 ||
	    renameat2(directory, copy->part, directory, copy->name,
		RENAME_NOREPLACE) < 0) {
		job_fail(job, errno == EEXIST ? STORE_EXISTS : STORE_FAILED,
		    "cannot finish the copy: %s", diag_errno());
	} else if (path_sync_parent(directory, copy->name) < 0) {
		job_fail(job, STORE_FAILED, "cannot sync the directory: %s",
		    diag_errno());
	} else {
		job->result.bytes = (uint64_t)st.st_size;
	}
	fd_close(&fd);
out:
	if (job->result.status != STORE_OK)
		remove_all(directory, copy->part);
	free(copy);
	desk_done(&s->desk, job);
	pthread_mutex_lock(&s->copies_lock);
	atomic_fetch_sub(&s->copies_checked, 1);
	pthread_cond_signal(&s->copies_end);
	pthread_mutex_unlock(&s->copies_lock);
	return NULL;
}

static int
number_of(sqlite3 *db, const char *sql, int64_t *number)
{
	sqlite3_stmt *s;
	int result = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW) {
		*number = sqlite3_column_int64(s, 0);
		result = 0;
	}
	sqlite3_finalize(s);
	return result;
}

/* Opens a copy and reads all of it: false with the job failed; its version is
 * the job's. */
static bool
copy_believe(struct job *job, int directory, const char *name, bool restoring)
{
	char path[2 * FILE_PATH_MOST], why[STORE_DETAIL_MOST];
	enum store_status status = restoring ? STORE_UNSUPPORTED : STORE_FAILED;
	int64_t application = 0, schema = 0, version = 0, page = 0;
	sqlite3 *db = NULL;
	bool good = false;

	/* immutable: read as it lies, without locks, journal or WAL */
	snprintf(path, sizeof(path), "file:///@%d/%s?immutable=1", directory,
	    name);
	if (sqlite3_open_v2(path, &db,
		SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI |
		    SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_PRIVATECACHE,
		NULL) != SQLITE_OK)
		job_fail(job, restoring ? STORE_BAD_NAME : status,
		    "cannot open the copy: %s",
		    db ? sqlite3_errmsg(db) : "out of memory");
	else if (number_of(db, "PRAGMA application_id", &application) < 0 ||
	    application != SCHEMA_APPLICATION_ID)
		job_fail(job, status, "the copy is no tenant's file");
	else if (number_of(db, "PRAGMA user_version", &schema) < 0 ||
	    schema > SCHEMA_NEWEST)
		job_fail(job, status, "the copy is of a newer fcgi-host");
	else if (!schema_exact(db) ||
	    number_of(db, "PRAGMA page_size", &page) < 0 || page != PAGE_BYTES)
		job_fail(job, status,
		    "the copy has other tables than a tenant's file");
	else if (file_look(db, true, why) != SQLITE_OK)
		job_fail(job, status, "%s", why);
	else if (number_of(db, "SELECT version FROM meta", &version) < 0 ||
	    version < 0 || (uint64_t)version > VERSION_MOST / 2)
		job_fail(job, status, "the copy has no possible version");
	else
		good = true;
	sqlite3_close(db);
	job->result.version = (uint64_t)version;
	return good;
}

/* ---- restore --------------------------------------------------------------- */

/* What of a tenant is the administrator's, and not the copy's. */
struct kept {
	uint64_t quota;
	int durability;
	bool frozen;
};

/* The copy's pages in a new file beside the tenant's: a code, with what is to
 * be told. Nothing of the copy is run or believed here. */
static int
restore_pages(struct store *s, struct job *job, const char *new,
    enum store_status *status)
{
	char name[FILE_PATH_MOST];
	sqlite3 *from = NULL, *to = NULL;
	sqlite3_backup *backup;
	int code;

	*status = STORE_BAD_NAME;
	snprintf(name, sizeof(name), "%.*s", SPAN_ARGS(job->name));
	code = open_at(s, job->directory_fd, name, SQLITE_OPEN_READONLY, &from);
	if (code == SQLITE_OK) {
		*status = STORE_FAILED;
		code = open_at(s, s->config.directory_fd, new,
		    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &to);
	}
	if (code == SQLITE_OK)
		code = sqlite3_exec(to, "PRAGMA locking_mode = EXCLUSIVE", NULL,
		    NULL, NULL);
	if (code == SQLITE_OK) {
		backup = sqlite3_backup_init(to, "main", from, "main");
		code = backup ? sqlite3_backup_step(backup, -1) :
				sqlite3_extended_errcode(to);
		sqlite3_backup_finish(backup);
		code = code == SQLITE_DONE ? SQLITE_OK : code;
	}
	if ((code & 0xff) == SQLITE_FULL)
		*status = STORE_NO_SPACE;
	else if ((code & 0xff) == SQLITE_CORRUPT ||
	    (code & 0xff) == SQLITE_NOTADB)
		*status = STORE_UNSUPPORTED;
	sqlite3_close(from);
	sqlite3_close(to);
	return code;
}

/* Once it is known to be one of ours: at a version above all, with the settings
 * that the tenant had. */
static int
restore_settle(struct store *s, const char *new, uint64_t version,
    const struct kept *kept)
{
	char text[256];
	sqlite3 *db = NULL;
	int code;

	code =
	    open_at(s, s->config.directory_fd, new, SQLITE_OPEN_READWRITE, &db);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db,
		    "PRAGMA locking_mode = EXCLUSIVE;"
		    "PRAGMA trusted_schema = OFF;",
		    NULL, NULL, NULL);
	if (code == SQLITE_OK && schema_open(db, 0, &code) == SCHEMA_GOOD) {
		/* nobody may follow changes from before into this */
		snprintf(text, sizeof(text),
		    "UPDATE meta SET version = %llu, oldest = %llu,"
		    " quota = %llu, durability = %d, frozen = %d;"
		    "DELETE FROM chg;",
		    (unsigned long long)version, (unsigned long long)version,
		    (unsigned long long)kept->quota, kept->durability,
		    kept->frozen);
		code = sqlite3_exec(db, text, NULL, NULL, NULL);
	}
	sqlite3_close(db);
	return code;
}

static int
sync_file(int directory, const char *name)
{
	int fd = path_open(directory, name, O_RDONLY);
	int result = fd < 0 ? -1 : fsync(fd);

	fd_close(&fd);
	return result;
}

/* What there is now: its settings, when it can be read. */
static struct kept
restore_keep(struct file *f)
{
	char why[STORE_DETAIL_MOST];

	if (f->state == FILE_BAD ||
	    file_open(f, FILE_EXISTING, why) != STORE_OK || !f->db)
		return (struct kept){ 0 };
	return (struct kept){ f->quota_own, f->durability_own, f->frozen };
}

/* The new file is good, settled and durable: it takes the place of the old. */
static int
restore_swap(struct file *f, const char *new, uint64_t version)
{
	int directory = f->thread->store->config.directory_fd;
	char wal[FILE_PATH_MOST];

	path_tenant(wal, f->node.key, ".db-wal");
	file_close(f);
	if ((unlinkat(directory, wal, 0) < 0 && errno != ENOENT) ||
	    renameat(directory, new, directory, f->path) < 0 ||
	    path_sync_parent(directory, f->path) < 0)
		return -1;
	return file_floor_write(f, version + VERSION_LEAP, true);
}

void
copy_restore(struct file *f, struct job *job)
{
	struct store *s = f->thread->store;
	int directory = s->config.directory_fd, code;
	char new[FILE_PATH_MOST], why[STORE_DETAIL_MOST];
	enum store_status status;
	struct kept kept;
	uint64_t version, quota;
	struct stat st;

	if (!path_file_name_good(job->name)) {
		job_fail(job, STORE_BAD_NAME, "no name of a backup");
		return;
	}
	if (f->copy) {
		job_fail(job, STORE_BUSY, "a backup of it is under way");
		return;
	}
	kept = restore_keep(f);
	quota = kept.quota ? kept.quota : s->config.quota_bytes;
	path_tenant(new, f->node.key, ".new");
	if (file_make_directory(f) < 0 || file_floor_force(f) < 0)
		goto failed;
	remove_all(directory, new);
	if ((code = restore_pages(s, job, new, &status)) != SQLITE_OK) {
		job_fail(job, status, "cannot take the copy over: %s",
		    sqlite3_errstr(code));
		goto out;
	}
	/* ours now, so what is looked at is what will be used */
	if (!copy_believe(job, directory, new, true))
		goto out;
	if (fstatat(directory, new, &st, AT_SYMLINK_NOFOLLOW) < 0)
		goto failed;
	if ((uint64_t)st.st_size > quota + FREE_PAGES_MORE * PAGE_BYTES) {
		job_fail(job, STORE_QUOTA, "the copy is above the quota");
		goto out;
	}
	version = job->result.version;
	version = version > f->floor ? version : f->floor;
	if (file_floor_write(f, version + VERSION_LEAP, f->expected) < 0)
		goto failed;
	if ((code = restore_settle(s, new, version, &kept)) != SQLITE_OK) {
		job_fail(job,
		    (code & 0xff) == SQLITE_FULL ? STORE_NO_SPACE :
						   STORE_FAILED,
		    "cannot write the tenant's file: %s", sqlite3_errstr(code));
		goto out;
	}
	if (sync_file(directory, new) < 0 || restore_swap(f, new, version) < 0)
		goto failed;
	file_good(f);
	f->suspect = false;
	if ((status = file_open(f, FILE_EXISTING, why)) != STORE_OK)
		job_fail(job, status, "%s", why);
	job->result.version = f->version;
	return;

failed:
	job_fail(job, errno == ENOSPC ? STORE_NO_SPACE : STORE_FAILED,
	    "cannot put the tenant's file in place: %s", diag_errno());
out:
	remove_all(directory, new);
}

/* ---- check ----------------------------------------------------------------- */

void
copy_check(struct file *f, struct job *job)
{
	char why[STORE_DETAIL_MOST];
	bool was_bad = f->state == FILE_BAD;
	enum store_status status;
	int code;

	f->suspect = f->suspect || f->reads_only;
	if (f->copy) {
		job_fail(job, STORE_BUSY, "a backup of it is under way");
		return;
	}
	file_close(f); /* what is looked at is what is on the disk */
	file_good(f);
	if ((status = file_open(f, FILE_EXISTING, why)) != STORE_OK) {
		job_fail(job, status, "%s", why);
		return;
	}
	if (!f->db) {
		job_fail(job, STORE_NO_TENANT, "there is no such tenant");
		return;
	}
	job->result.version = f->version;
	code = SQLITE_CORRUPT;
	if (!schema_exact(f->db))
		snprintf(why, sizeof(why),
		    "the tenant's file has other tables than it should");
	else
		code = file_look(f->db, job->deep || was_bad, why);
	if (code == SQLITE_CORRUPT) {
		file_bad(f, why);
		job_fail(job, STORE_QUARANTINED, "%s", why);
	} else if (code != SQLITE_OK) {
		file_failed(f, job, code, "checking");
	}
}
