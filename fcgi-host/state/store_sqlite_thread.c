/* SPDX-License-Identifier: MIT */
/* store_sqlite_thread.c - a store thread. What has come in while the last
 * commit was written is the next one: there is no waiting for a group to fill,
 * the disk itself makes it. In each round
 *
 *   1. what came is sorted by file,
 *   2. all reads are answered, so that no read waits for more than one commit,
 *   3. one file has one group of batches committed, replies go out behind the
 *      COMMIT, and only then its WAL is brought into the file, if it is time,
 *   4. one backup goes on by some pages, and one file is swept, if it is time.
 */
#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/diag.h"
#include "state/store_sqlite.h"

enum {
	CHORE_WAITS_MOST = 16,	   /* rounds of work before one of them */
	YIELDS = 1,		   /* before sleeping */
	WAL_PAGES_MOST = 1000,	   /* then PASSIVE */
	WAL_PAGES_TRUNCATE = 1024, /* more than 4 MiB: TRUNCATE */
	CHECKPOINT_IDLE_MS = 1000, /* nobody wrote for so long: PASSIVE */
	VACUUM_FREE_PAGES = 256,   /* and a quarter of the file */
};

static void *thread_run(void *);
static bool thread_take(struct thread *, struct queue *);
static void thread_sort(struct thread *, struct queue *);
static void thread_reads(struct thread *);
static void thread_writes(struct thread *);
static void thread_flush(struct thread *);
static void thread_sweep(struct thread *, struct job *);
static void thread_chore(struct thread *);
static void group_run(struct file *);
static void group_alone(struct file *, struct job *);

int
thread_start(struct thread *t)
{
	map_init(&t->files);
	list_init(&t->open);
	list_init(&t->waiting);
	list_init(&t->copies);
	list_init(&t->chores);
	errno = pthread_create(&t->id, NULL, thread_run, t);
	t->started = errno == 0;
	return t->started ? 0 : -1;
}

void
thread_stop(struct thread *t)
{
	if (t->started) {
		atomic_store(&t->stop, true);
		thread_wake(t);
		pthread_join(t->id, NULL);
	}
	map_free(&t->files);
}

/* Only the loop's thread gives. One that is at work finds it by itself. */
void
thread_give(struct thread *t, struct job *job)
{
	job->next = atomic_load_explicit(&t->inbox, memory_order_relaxed);
	while (!atomic_compare_exchange_weak(&t->inbox, &job->next, job))
		;
}

/* Who falls asleep says so and looks once more; who gives looks for that
 * afterwards: one of them sees the other. */
void
thread_wake(struct thread *t)
{
	if (atomic_exchange(&t->asleep, 0))
		syscall(SYS_futex, &t->asleep, FUTEX_WAKE_PRIVATE, 1, NULL,
		    NULL, 0);
}

static void
thread_sleep(struct thread *t)
{
	/* whoever is about to give something may do so first */
	for (unsigned i = 0; i < YIELDS; i++) {
		sched_yield();
		if (atomic_load(&t->inbox))
			return;
	}
	atomic_store(&t->asleep, 1);
	while (!atomic_load(&t->inbox) && !atomic_load(&t->stop) &&
	    atomic_load(&t->asleep))
		syscall(SYS_futex, &t->asleep, FUTEX_WAIT_PRIVATE, 1, NULL,
		    NULL, 0);
	atomic_store(&t->asleep, 0);
}

void
thread_reply(struct thread *t, struct job *job)
{
	queue_add(&t->replies, job);
}

static void
thread_flush(struct thread *t)
{
	struct job *first = t->replies.first;

	t->replies = (struct queue){ NULL, NULL };
	desk_done(&t->store->desk, first);
}

static void *
thread_run(void *arg)
{
	struct thread *t = arg;
	struct queue come;
	struct map_node *node;

	while (thread_take(t, &come)) {
		thread_sort(t, &come);
		thread_reads(t);
		thread_flush(t);
		thread_writes(t);
		thread_flush(t);
		if (copy_first(t))
			copy_step(copy_first(t));
		thread_chore(t);
		thread_flush(t);
	}
	while ((node = map_next(&t->files, NULL))) {
		struct file *f = MAP_OWNER(node, struct file, node);

		file_close(f);
		map_remove(&t->files, node);
		free(f->why);
		free(f);
	}
	return NULL;
}

/* Waits unless there is work of its own; false: all is done and over. */
static bool
thread_take(struct thread *t, struct queue *come)
{
	bool busy = !list_empty(&t->waiting) || copy_first(t) || t->sweep;
	bool stop;
	struct job *job, *next, *first = NULL;

	*come = (struct queue){ NULL, NULL };
	for (;;) {
		stop = atomic_load(&t->stop); /* before the last look */
		job = atomic_exchange(&t->inbox, NULL);
		if (job || busy || stop)
			break;
		thread_sleep(t);
	}
	for (; job; job = next) { /* turned round: first come, first served */
		next = job->next;
		job->next = first;
		first = job;
	}
	for (job = first; job; job = next) {
		next = job->next;
		queue_add(come, job);
	}
	return busy || come->first || !stop;
}

/* ---- whose turn it is ------------------------------------------------------ */

static struct file *
file_of(struct thread *t, struct span tenant)
{
	struct map_node *node = map_find(&t->files, tenant);
	struct file *f;

	if (node)
		return MAP_OWNER(node, struct file, node);
	if (!(f = calloc(1, sizeof(*f))))
		return NULL;
	f->thread = t;
	memcpy(f->name, tenant.data, tenant.bytes);
	path_tenant(f->path, tenant, ".db");
	list_init(&f->waiting);
	list_init(&f->used);
	list_init(&f->chore);
	if (map_add(&t->files, &f->node, span_make(f->name, tenant.bytes)) <
	    0) {
		free(f);
		return NULL;
	}
	return f;
}

static bool
reads_only_kind(enum job_kind kind)
{
	return kind == JOB_READ || kind == JOB_CHANGES || kind == JOB_VERSION;
}

static void
thread_sort(struct thread *t, struct queue *come)
{
	struct job *job;
	struct file *f;

	while ((job = queue_take(come))) {
		if (job->kind == JOB_SWEEP) {
			thread_sweep(t, job);
			continue;
		}
		if (job->kind == JOB_TENANTS) {
			tenant_list(t, job);
			thread_reply(t, job);
			continue;
		}
		if (!(f = file_of(t, job->tenant))) {
			job_fail(job, STORE_NO_MEMORY, "no memory");
			thread_reply(t, job);
			continue;
		}
		queue_add(reads_only_kind(job->kind) ? &f->reads : &f->writes,
		    job);
		if (list_empty(&f->waiting))
			list_add_last(&t->waiting, &f->waiting);
	}
}

static void
read_job(struct file *f, struct job *job)
{
	char why[STORE_DETAIL_MOST];
	enum store_status status = file_open(f, FILE_EXISTING, why);

	if (status != STORE_OK) {
		job_fail(job, status, "%s", why);
	} else if (job->kind == JOB_READ) {
		read_run(f, job);
	} else if (job->kind == JOB_CHANGES) {
		read_changes(f, job);
	} else {
		job->result.version = f->version;
	}
	thread_reply(f->thread, job);
}

static void
thread_reads(struct thread *t)
{
	struct job *job;

	LIST_EACH(node, &t->waiting) {
		struct file *f = LIST_OWNER(node, struct file, waiting);

		if (!f->reads.first)
			continue;
		while ((job = queue_take(&f->reads)))
			read_job(f, job);
		if (f->state == FILE_OPEN)
			file_used(f);
		if (f->writes.first)
			continue;
		list_remove(&f->waiting);
		file_forget(f);
	}
}

static void
other_job(struct file *f, struct job *job)
{
	switch (job->kind) {
	case JOB_TENANT:
		tenant_run(f, job);
		break;
	case JOB_RESTORE:
		copy_restore(f, job);
		break;
	case JOB_CHECK:
		copy_check(f, job);
		break;
	case JOB_BACKUP:
		copy_start(f, job);
		return; /* it replies when it has ended */
	default:
		assert(0);
	}
	thread_reply(f->thread, job);
}

/* The WAL of a small tenant is not to be larger than all it may have. */
static unsigned
wal_pages_most(const struct file *f)
{
	uint64_t pages = f->quota_bytes / PAGE_BYTES / 4;

	if (pages < 64)
		return 64;
	return pages < WAL_PAGES_MOST ? (unsigned)pages : WAL_PAGES_MOST;
}

static void
thread_writes(struct thread *t)
{
	struct list *node = list_first(&t->waiting);
	struct file *f;

	if (!node)
		return;
	f = LIST_OWNER(node, struct file, waiting);
	if (f->writes.first && f->writes.first->kind == JOB_COMMIT)
		group_run(f);
	else if (f->writes.first)
		other_job(f, queue_take(&f->writes));
	list_remove(&f->waiting);
	if (f->writes.first || f->reads.first)
		list_add_last(&t->waiting, &f->waiting);
	if (f->state == FILE_OPEN)
		file_used(f);
	thread_flush(t);
	if (f->state == FILE_OPEN && f->wal_pages > wal_pages_most(f))
		file_checkpoint(f,
		    f->wal_pages > WAL_PAGES_TRUNCATE ||
			    wal_pages_most(f) < WAL_PAGES_MOST ?
			SQLITE_CHECKPOINT_TRUNCATE :
			SQLITE_CHECKPOINT_PASSIVE);
	file_forget(f);
}

/* ---- groups ---------------------------------------------------------------- */

/* One that leaves an absent tenant absent. */
static bool
batch_makes(const struct store_batch *batch)
{
	for (size_t i = 0; i < batch->op_count; i++)
		if (batch->ops[i].kind != STORE_DELETE &&
		    batch->ops[i].kind != STORE_DELETE_RANGE)
			return true;
	return batch->idem_key.data;
}

static bool
batch_only_deletes(const struct store_batch *batch)
{
	for (size_t i = 0; i < batch->op_count; i++)
		if (batch->ops[i].kind != STORE_DELETE &&
		    batch->ops[i].kind != STORE_DELETE_RANGE)
			return false;
	return batch->op_count > 0;
}

static size_t
batch_bytes(const struct store_batch *batch)
{
	size_t bytes = 0;

	for (size_t i = 0; i < batch->op_count; i++)
		bytes += batch->ops[i].key.bytes + batch->ops[i].value.bytes;
	return bytes;
}

/* Ready for batches, or the job is failed. */
static bool
group_ready(struct file *f, struct job *job)
{
	char why[STORE_DETAIL_MOST];
	enum file_use use =
	    batch_makes(job->request.batch) ? FILE_CREATE : FILE_EXISTING;
	enum store_status status = file_open(f, use, why);

	if (status != STORE_OK)
		job_fail(job, status, "%s", why);
	else if (f->db && f->frozen)
		job_fail(job, STORE_FROZEN, "the tenant takes reads only");
	else if (f->reads_only)
		job_fail(job, STORE_FROZEN,
		    "the tenant takes reads only, as its file failed %d times "
		    "in a minute",
		    FILE_FAILURES_MOST);
	else if (f->db && f->version + GROUP_JOBS_MOST > f->floor &&
	    file_floor_write(f, f->version + VERSION_LEAP, true) < 0)
		job_fail(job, errno == ENOSPC ? STORE_NO_SPACE : STORE_FAILED,
		    "cannot note versions: %s", diag_errno());
	else
		return true;
	return false;
}

static void
group_back(struct file *f, uint64_t version)
{
	if (f->db && !sqlite3_get_autocommit(f->db))
		file_run(f, STATEMENT_ROLLBACK);
	f->version = version;
}

static void
group_count(struct file *f, uint64_t batches)
{
	struct store *s = f->thread->store;
	uint64_t most = atomic_load(&s->group_most);

	store_count(&s->commits, batches);
	store_count(&s->groups, 1);
	while (batches > most &&
	    !atomic_compare_exchange_weak(&s->group_most, &most, batches))
		;
}

/* The end of a transaction: the code of the COMMIT. */
static int
group_end(struct file *f, uint64_t version, uint64_t now, bool *committing)
{
	int code = SQLITE_OK;

	if (f->version != version)
		code = write_meta(f, now);
	if (code != SQLITE_OK)
		return code;
	*committing = true;
	if ((code = file_run(f, STATEMENT_COMMIT)) == SQLITE_OK) {
		f->dirty = true;
		f->sweep_ms = 0;
	}
	return code;
}

/* A commit that failed, of a job for which nothing better can be tried. What
 * COMMIT leaves behind is known when the disk was full, and only then. */
static void
group_failed(struct file *f, struct job *job, int code, bool committing)
{
	bool unknown = committing && (code & 0xff) != SQLITE_FULL &&
	    (code & 0xff) != SQLITE_BUSY;

	if (!committing && (code & 0xff) == SQLITE_FULL)
		job_fail(job, STORE_QUOTA,
		    "the tenant's quota of %llu bytes is used up",
		    (unsigned long long)f->quota_bytes);
	else
		file_failed(f, job, code, "writing");
	if (unknown) {
		job->result.unknown = true;
		f->suspect = true;
		file_abandon(f);
	}
}

/* Takes jobs from the file's queue: a group in one transaction. */
static void
group_run(struct file *f)
{
	struct queue group = { NULL, NULL };
	struct job *job = f->writes.first;
	bool alone = !job->next || job->next->kind != JOB_COMMIT;
	uint64_t version, now, started = clock_us(), most = GROUP_JOBS_MOST;
	size_t count = 0, bytes = 0;
	bool committing = false;
	int code = SQLITE_OK;

	if (alone) {
		group_alone(f, queue_take(&f->writes));
		return;
	}
	if (!group_ready(f, job)) {
		thread_reply(f->thread, queue_take(&f->writes));
		return;
	}
	if (!f->db) { /* there is no tenant, and this one makes none */
		group_alone(f, queue_take(&f->writes));
		return;
	}
	version = f->version;
	now = file_now(f);
	code = file_run(f, STATEMENT_BEGIN);
	while (code == SQLITE_OK && (job = f->writes.first) &&
	    job->kind == JOB_COMMIT && count < most &&
	    bytes < GROUP_BYTES_MOST && clock_us() - started < GROUP_US_MOST) {
		queue_add(&group, queue_take(&f->writes));
		code = write_batch(f, job, now, false);
		bytes += batch_bytes(job->request.batch);
		count++;
	}
	if (code == SQLITE_OK)
		code = group_end(f, version, now, &committing);
	if (code == SQLITE_OK) {
		group_count(f, count);
		while ((job = queue_take(&group)))
			thread_reply(f->thread, job);
		return;
	}
	group_back(f, version);
	store_count(&f->thread->store->reruns, 1);
	/* nobody knows what became of it: it must not be done twice */
	if (committing && (code & 0xff) != SQLITE_FULL) {
		bool first = true;

		while ((job = queue_take(&group))) {
			write_reset(job);
			if (first)
				group_failed(f, job, code, true);
			else
				job_fail(job, STORE_FAILED,
				    "the commit of its group failed");
			job->result.unknown = true;
			first = false;
			thread_reply(f->thread, job);
		}
		return;
	}
	while ((job = queue_take(&group))) {
		write_reset(job);
		group_alone(f, job);
	}
}

static int
alone_try(struct file *f, struct job *job, bool *committing)
{
	uint64_t version = f->version, now = file_now(f);
	int code = f->db ? file_run(f, STATEMENT_BEGIN) : SQLITE_OK;

	*committing = false;
	if (code == SQLITE_OK)
		code = write_batch(f, job, now, true);
	if (code == SQLITE_OK && f->db)
		code = group_end(f, version, now, committing);
	if (code != SQLITE_OK)
		group_back(f, version);
	return code;
}

static void
group_alone(struct file *f, struct job *job)
{
	bool committing;
	int code;

	if (!group_ready(f, job)) {
		thread_reply(f->thread, job);
		return;
	}
	code = alone_try(f, job, &committing);
	if ((code & 0xff) == SQLITE_FULL && !committing &&
	    batch_only_deletes(job->request.batch) &&
	    file_set_quota(f, FREE_PAGES_MORE) == SQLITE_OK) {
		/* to get below the quota takes some pages above it */
		write_reset(job);
		code = alone_try(f, job, &committing);
		file_set_quota(f, 0);
	}
	if ((code & 0xff) == SQLITE_FULL && committing) {
		/* what is in the WAL has its place in the file, mostly: that
		 * gives room back, to a batch that deletes above all */
		file_checkpoint(f, SQLITE_CHECKPOINT_TRUNCATE);
		if (f->state == FILE_OPEN) {
			write_reset(job);
			code = alone_try(f, job, &committing);
		}
	}
	if (code == SQLITE_OK) {
		group_count(f, 1);
	} else if (code != SQLITE_ABORT) {
		write_reset(job);
		job->result.version = f->version;
		group_failed(f, job, code, committing);
	}
	thread_reply(f->thread, job);
}

/* ---- sweeping -------------------------------------------------------------- */

static uint64_t
number_of(struct file *f, enum statement which)
{
	sqlite3_stmt *s = file_statement(f, which);
	uint64_t number = 0;

	if (s && sqlite3_step(s) == SQLITE_ROW)
		number = (uint64_t)sqlite3_column_int64(s, 0);
	if (s)
		file_done(s, SQLITE_OK);
	return number;
}

/* Gives some pages back to the disk; every step of the statement is one. */
static void
vacuum(struct file *f)
{
	struct job dummy = { .tenant = f->node.key };
	sqlite3_stmt *s = file_statement(f, STATEMENT_VACUUM);
	int code = s ? SQLITE_ROW : sqlite3_extended_errcode(f->db);

	while (s && code == SQLITE_ROW)
		code = sqlite3_step(s);
	if (s)
		code = file_done(s, code);
	f->dirty = true;
	if (code != SQLITE_OK)
		file_failed(f, &dummy, code, "vacuuming");
}

/* What nobody waits for. */
static void
tidy(struct file *f, uint64_t now)
{
	uint64_t idle = now - f->used_ms, free_pages;

	if (f->dirty && idle >= CHECKPOINT_IDLE_MS)
		file_checkpoint(f, SQLITE_CHECKPOINT_PASSIVE);
	if (f->state != FILE_OPEN || f->copy || f->writes.first)
		return;
	if (idle >= f->thread->store->config.idle_ms) {
		file_close(f);
		return;
	}
	if (f->frozen || f->reads_only)
		return;
	free_pages = number_of(f, STATEMENT_FREE_PAGES);
	if (free_pages >= VACUUM_FREE_PAGES &&
	    free_pages > number_of(f, STATEMENT_PAGES) / 4)
		vacuum(f);
}

/* All files that are open now are to be visited, one between two rounds of
 * work: to write one is a sync or two, and hundreds in a row would hold up
 * every read. */
static void
thread_sweep(struct thread *t, struct job *job)
{
	if (t->sweep) { /* the one before is not ready */
		thread_reply(t, job);
		return;
	}
	t->moved_most = t->open_count;
	job->moved = job_alloc(job, t->moved_most * sizeof(*job->moved));
	if (!job->moved) {
		job_fail(job, STORE_NO_MEMORY, "no memory to sweep");
		thread_reply(t, job);
		return;
	}
	LIST_EACH(node, &t->open)
		list_add_last(&t->chores,
		    &LIST_OWNER(node, struct file, used)->chore);
	t->sweep = job;
}

/* Whether it wrote. */
static bool
sweep_file(struct thread *t, struct file *f, struct job *job)
{
	struct store_result *r = &job->result;
	struct job_moved *m = &job->moved[job->moved_count];
	uint64_t swept;
	bool moved;

	if (r->swept >= job->count) {
		r->more = true;
		return false;
	}
	if (!write_sweep(f, job->count - r->swept, &swept, &moved))
		r->more = true;
	r->swept += swept;
	if (moved && job->moved_count < t->moved_most) {
		m->tenant = job_copy(job, f->node.key);
		m->version = f->version;
		job->moved_count += m->tenant.data != NULL;
	}
	return swept > 0;
}

/* The next file of the sweep. */
static void
thread_chore(struct thread *t)
{
	struct list *node = list_first(&t->chores);
	struct file *f;

	if (!t->sweep)
		return;
	/* those who wait go first, but not for ever */
	if (atomic_load(&t->inbox) && t->chore_waits++ < CHORE_WAITS_MOST)
		return;
	t->chore_waits = 0;
	if (node) {
		f = LIST_OWNER(node, struct file, chore);
		list_remove(node);
		if (!sweep_file(t, f, t->sweep) && f->state == FILE_OPEN)
			tidy(f, t->store->config.steady_ms());
		file_forget(f);
	}
	if (list_empty(&t->chores)) {
		thread_reply(t, t->sweep);
		t->sweep = NULL;
	}
}
