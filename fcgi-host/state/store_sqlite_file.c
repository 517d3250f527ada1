/* SPDX-License-Identifier: MIT */
/* store_sqlite_file.c - a tenant's file while it is open, how it is closed, and
 * what becomes of it after an error. Beside "3f/acme.db" and its WAL lie
 * "3f/acme.floor", the versions given out, and, while the file is in quarantine,
 * "3f/acme.bad" with the reason. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "state/store_sqlite.h"

enum {
	FAILURES_MS = 60000,
};

static const char *const sql[STATEMENTS] = {
#define STATEMENT_SQL(name, text) [STATEMENT_##name] = (text),
	STATEMENT_EACH(STATEMENT_SQL)
#undef STATEMENT_SQL
};

static void file_finalize(struct file *);

uint64_t
file_now(struct file *f)
{
	return store_clock_now(&f->clock, f->thread->store->config.unix_ms(),
	    file_steady_ms(f));
}

void
file_used(struct file *f)
{
	f->used_ms = file_steady_ms(f);
	list_remove(&f->used);
	list_add_last(&f->thread->open, &f->used);
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
	bytes = path_read(file_directory(f), path, text, sizeof(text));
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
	if (path_write(file_directory(f), path,
		span_make(text, (size_t)bytes)) < 0)
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
	    f->busy_until_ms > file_steady_ms(f) || !list_empty(&f->waiting))
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
	if (path_write(file_directory(f), path, span_of(why)) < 0)
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
	unlinkat(file_directory(f), path, 0);
	f->state = FILE_CLOSED;
	free(f->why);
	f->why = NULL;
	store_count(&f->thread->store->quarantined, (uint64_t)-1);
}

/* ---- errors ---------------------------------------------------------------- */

/* Too often, and writes are refused: a disk that fails must not be asked again
 * and again with what was not kept. */
void
file_count_failure(struct file *f, const char *doing, int code)
{
	uint64_t now = file_steady_ms(f);

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
