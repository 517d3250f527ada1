/* SPDX-License-Identifier: MIT */
/* store_sqlite_tenant.c - tenants as a whole: made, dropped, changed, counted
 * and listed. What is left of a dropped one is the note of its versions. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/diag.h"
#include "base/fd.h"
#include "state/store_sqlite.h"

static void tenant_change(struct file *, struct job *);
static void tenant_drop(struct file *, struct job *);
static void tenant_stat(struct file *, struct job *);

void
tenant_run(struct file *f, struct job *job)
{
	enum store_tenant_op op = job->request.tenant->op;
	char why[STORE_DETAIL_MOST];
	enum store_status status = file_open(f,
	    op == STORE_TENANT_CREATE ? FILE_CREATE : FILE_EXISTING, why);

	if (op == STORE_TENANT_DROP) {
		tenant_drop(f, job);
		return;
	}
	if (status != STORE_OK) {
		job_fail(job, status, "%s", why);
		return;
	}
	job->result.version = f->version;
	job->result.now_ms = file_now(f);
	if (op == STORE_TENANT_STAT)
		tenant_stat(f, job);
	else if (!f->db)
		job_fail(job, STORE_NO_TENANT, "there is no such tenant");
	else
		tenant_change(f, job);
}

static void
tenant_change(struct file *f, struct job *job)
{
	const struct store_tenant *ask = job->request.tenant;
	sqlite3_stmt *s;
	int code;

	if (ask->set == 0)
		return;
	if (ask->set & STORE_SET_QUOTA)
		f->quota_own = ask->quota_bytes;
	if (ask->set & STORE_SET_DURABILITY)
		f->durability_own = 1 + (ask->durability == STORE_RELAXED);
	if (ask->set & STORE_SET_FROZEN)
		f->frozen = ask->frozen;
	if ((s = file_statement(f, STATEMENT_META_SET))) {
		sqlite3_bind_int64(s, 1, (int64_t)f->quota_own);
		sqlite3_bind_int(s, 2, f->durability_own);
		sqlite3_bind_int(s, 3, f->frozen);
		code = file_done(s, sqlite3_step(s));
	} else {
		code = sqlite3_extended_errcode(f->db);
	}
	if (code == SQLITE_OK)
		code = file_settings(f);
	if (code != SQLITE_OK) {
		file_failed(f, job, code, "changing a tenant");
		file_abandon(f); /* opened anew, it is as it was written */
		return;
	}
	f->dirty = true;
}

static void
tenant_drop(struct file *f, struct job *job)
{
	static const char *const suffixes[] = { ".db", ".db-wal", ".db-journal",
		".bad", ".new" };
	int directory = f->thread->store->config.directory_fd;
	char path[FILE_PATH_MOST];
	struct stat st;

	if (f->copy) {
		job_fail(job, STORE_BUSY, "a backup of it is under way");
		return;
	}
	if (file_floor_force(f) < 0) {
		job_fail(job, STORE_FAILED,
		    "cannot read which versions were given out: %s",
		    diag_errno());
		return;
	}
	if (fstatat(directory, f->path, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
	    errno == ENOENT && !f->expected && f->state != FILE_BAD) {
		job->result.version = f->floor;
		job_fail(job, STORE_NO_TENANT, "there is no such tenant");
		return;
	}
	file_close(f);
	if (file_floor_write(f, f->floor, false) < 0) {
		job_fail(job, STORE_FAILED, "cannot note that it is gone: %s",
		    diag_errno());
		return;
	}
	/* the file first: without it nothing else counts */
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		path_tenant(path, f->node.key, suffixes[i]);
		if (unlinkat(directory, path, 0) < 0 && errno != ENOENT) {
			job_fail(job, STORE_FAILED, "cannot remove %s: %s",
			    path, diag_errno());
			return;
		}
	}
	if (path_sync_parent(directory, f->path) < 0) {
		job_fail(job, STORE_FAILED, "cannot drop it for good: %s",
		    diag_errno());
		job->result.unknown = true;
		return;
	}
	file_good(f);
	f->suspect = false;
	f->version = f->oldest = job->result.version = f->floor;
}

static uint64_t
bytes_of(const struct file *f, const char *suffix)
{
	char path[FILE_PATH_MOST];
	struct stat st;

	path_tenant(path, f->node.key, suffix);
	if (fstatat(f->thread->store->config.directory_fd, path, &st,
		AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return (uint64_t)st.st_size;
}

static void
tenant_stat(struct file *f, struct job *job)
{
	struct store_usage *usage = job_alloc(job, sizeof(*usage));
	sqlite3_stmt *s, *e;
	int code;

	if (!usage) {
		job_fail(job, STORE_NO_MEMORY, "no memory");
		return;
	}
	*usage = (struct store_usage){
		.bytes = bytes_of(f, ".db") + bytes_of(f, ".db-wal"),
		.quota_bytes = f->db ? f->quota_bytes :
				       f->thread->store->config.quota_bytes,
		.oldest = f->oldest,
		.durability =
		    f->db ? f->durability : f->thread->store->config.durability,
		.frozen = f->db && (f->frozen || f->reads_only),
	};
	job->result.usage = usage;
	if (!f->db)
		return;
	s = file_statement(f, STATEMENT_COUNT);
	e = file_statement(f, STATEMENT_COUNT_EXPIRING);
	if (!s || !e) {
		file_failed(f, job, sqlite3_extended_errcode(f->db),
		    "counting");
		return;
	}
	sqlite3_bind_int64(e, 1, (int64_t)job->result.now_ms);
	if ((code = sqlite3_step(s)) == SQLITE_ROW)
		usage->keys = (uint64_t)sqlite3_column_int64(s, 0);
	if ((code = file_done(s, code)) == SQLITE_OK) {
		if ((code = sqlite3_step(e)) == SQLITE_ROW)
			usage->keys += (uint64_t)sqlite3_column_int64(e, 0);
		code = file_done(e, code);
	}
	if (code != SQLITE_OK)
		file_failed(f, job, code, "counting");
}

/* ---- the list -------------------------------------------------------------- */

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Tenants' names in one directory of the 256, added to the array; false
 * without memory. */
static bool
list_directory(int fd, const char *after, char ***names, size_t *count,
    size_t *room)
{
	DIR *directory = fdopendir(fd);
	struct dirent *entry;
	bool good = directory;

	while (good && (entry = readdir(directory))) {
		struct span name = span_of(entry->d_name);
		char **more;

		if (!span_ends(name, SPAN(".db")))
			continue;
		name = span_take(name, name.bytes - 3);
		entry->d_name[name.bytes] = '\0';
		if (!store_tenant_name_good(name) ||
		    strcmp(entry->d_name, after) <= 0)
			continue;
		if (*count == *room) {
			*room = *room ? *room * 2 : 64;
			more = realloc(*names, *room * sizeof(*more));
			if (!(good = more))
				break;
			*names = more;
		}
		good = ((*names)[*count] = span_dup(name));
		*count += good;
	}
	if (directory)
		closedir(directory);
	else
		fd_close(&fd);
	return good;
}

void
tenant_list(struct thread *t, struct job *job)
{
	char **names = NULL, after[STORE_TENANT_MOST + 1] = "";
	size_t count = 0, room = 0, shown;
	struct span *list;
	bool good = true;

	memcpy(after, job->name.data ? job->name.data : "",
	    job->name.bytes < sizeof(after) ? job->name.bytes :
					      sizeof(after) - 1);
	for (unsigned i = 0; i < 256 && good; i++) {
		char name[8];
		int fd;

		snprintf(name, sizeof(name), "%02x", i);
		fd = path_open(t->store->config.directory_fd, name,
		    O_RDONLY | O_DIRECTORY);
		if (fd >= 0)
			good = list_directory(fd, after, &names, &count, &room);
	}
	if (count)
		qsort(names, count, sizeof(*names), compare_names);
	shown = count < job->count ? count : job->count;
	list = job_alloc(job, shown * sizeof(*list));
	good = good && list;
	for (size_t i = 0; i < shown && good; i++)
		good = (list[i] = job_copy(job, span_of(names[i]))).data;
	if (good) {
		job->result.names = list;
		job->result.name_count = shown;
		job->result.more = count > shown;
	} else {
		job_fail(job, STORE_NO_MEMORY, "no memory for the list");
	}
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}
