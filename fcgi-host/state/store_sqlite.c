/* SPDX-License-Identifier: MIT */
/* store_sqlite.c - the engine that keeps a SQLite file per tenant: the table of
 * operations, on the loop's thread. It writes down what is asked for and gives
 * it to the thread that has the tenant's file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "state/store_sqlite.h"

static void sqlite_close(struct store *);
static void wake_all(void *arg);

static struct thread *
thread_of(struct store *s, struct span tenant)
{
	/* other bits than those that name the directory */
	return &s->threads[(path_hash(tenant) & 0xffff) % s->thread_count];
}

/* Whoever sleeps is woken at the end of the loop's batch, once for all that it
 * was given by then: a wake-up costs more than a read. */
static void
give_to(struct thread *t, struct job *job)
{
	thread_give(t, job);
	loop_defer(t->store->desk.loop, &t->store->wake, wake_all, t->store);
}

static void
wake_all(void *arg)
{
	struct store *s = arg;

	for (unsigned i = 0; i < s->thread_count; i++)
		thread_wake(&s->threads[i]);
}

/* To its thread, or at once back when the name is none. */
static int
give(struct store *s, struct job *job)
{
	if (!job)
		return -1;
	if (!store_tenant_name_good(job->tenant)) {
		job->tenant = SPAN_NONE;
		job_fail(job, STORE_BAD_NAME, "no name of a tenant");
		job->next = NULL;
		desk_done(&s->desk, job);
		return 0;
	}
	give_to(thread_of(s, job->tenant), job);
	return 0;
}

static struct store *
sqlite_open(const struct store_config *config, struct loop *loop,
    char why[STORE_DETAIL_MOST])
{
	struct store *s = diag_alloc(sizeof(*s));

	s->config = *config;
	store_config_defaults(&s->config);
	if (s->config.threads > THREADS_MOST)
		s->config.threads = THREADS_MOST;
	s->handles_each = s->config.handles_most / s->config.threads;
	if (s->handles_each < 1)
		s->handles_each = 1;
	pthread_mutex_init(&s->copies_lock, NULL);
	pthread_cond_init(&s->copies_end, NULL);
	/* each connection stays in its thread, and nobody asks how much memory
	 * is used, which every allocation would take a lock for. Refused when
	 * SQLite is in use already, which only a second open() meets. */
	sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	if (sqlite3_initialize() != SQLITE_OK || path_teach() < 0) {
		snprintf(why, STORE_DETAIL_MOST,
		    "this SQLite (%s) cannot be taught to open files below a "
		    "descriptor",
		    sqlite3_libversion());
		free(s);
		return NULL;
	}
	if (desk_open(&s->desk, loop, s->config.queue_most) < 0) {
		snprintf(why, STORE_DETAIL_MOST, "no eventfd: %s",
		    diag_errno());
		free(s);
		return NULL;
	}
	for (unsigned i = 0; i < s->config.threads; i++) {
		s->threads[i].store = s;
		s->thread_count++;
		if (thread_start(&s->threads[i]) < 0) {
			snprintf(why, STORE_DETAIL_MOST,
			    "cannot start a thread: %s", diag_errno());
			sqlite_close(s);
			return NULL;
		}
	}
	return s;
}

static void
sqlite_close(struct store *s)
{
	for (unsigned i = 0; i < s->thread_count; i++)
		thread_stop(&s->threads[i]);
	pthread_mutex_lock(&s->copies_lock);
	while (atomic_load(&s->copies_checked))
		pthread_cond_wait(&s->copies_end, &s->copies_lock);
	pthread_mutex_unlock(&s->copies_lock);
	desk_close(&s->desk);
	if (s->wake.node.next)
		list_remove(&s->wake.node);
	pthread_cond_destroy(&s->copies_end);
	pthread_mutex_destroy(&s->copies_lock);
	free(s);
}

static int
sqlite_read(struct store *s, struct span tenant, const struct store_read *read,
    store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_READ, tenant, fn, arg);

	if (job)
		job->request.read = read;
	return give(s, job);
}

static int
sqlite_commit(struct store *s, struct span tenant,
    const struct store_batch *batch, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_COMMIT, tenant, fn, arg);
	enum store_status status;
	size_t op;

	if (!job)
		return -1;
	job->request.batch = batch;
	status = store_batch_good(batch, s->config.value_most, &op);
	if (status == STORE_OK)
		return give(s, job);
	job->result.failed_op = op;
	job_fail(job, status, "operation %zu cannot be", op);
	job->next = NULL;
	desk_done(&s->desk, job);
	return 0;
}

static int
sqlite_changes(struct store *s, struct span tenant,
    const struct store_changes *changes, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_CHANGES, tenant, fn, arg);

	if (job)
		job->request.changes = changes;
	return give(s, job);
}

static int
sqlite_watch(struct store *s, struct span tenant, struct store_watch *watch)
{
	struct job *first;

	if (desk_watch(&s->desk, tenant, watch, &first) < 0)
		return -1;
	return give(s, first);
}

static void
sqlite_unwatch(struct store *s, struct store_watch *watch)
{
	desk_unwatch(&s->desk, watch);
}

/* Every thread sweeps; the last one that is ready answers. */
static int
sqlite_sweep(struct store *s, size_t budget, store_fn *fn, void *arg)
{
	struct job *whole = desk_take(&s->desk, JOB_SWEEP, SPAN_NONE, fn, arg);
	struct job *parts[THREADS_MOST], *part;

	if (!whole)
		return -1;
	for (unsigned i = 0; i < s->thread_count; i++) {
		part = desk_take(&s->desk, JOB_SWEEP, SPAN_NONE, NULL, NULL);
		if (!part)
			break;
		part->count = budget;
		part->whole = whole;
		parts[whole->parts++] = part;
	}
	if (whole->parts == 0) {
		job_fail(whole, STORE_BUSY, "too much is queued");
		desk_done(&s->desk, whole);
		return 0;
	}
	for (unsigned i = whole->parts; i-- > 0;)
		give_to(&s->threads[i], parts[i]);
	return 0;
}

static int
sqlite_tenant(struct store *s, struct span tenant,
    const struct store_tenant *ask, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_TENANT, tenant, fn, arg);

	if (job)
		job->request.tenant = ask;
	return give(s, job);
}

/* With a copy of a name; NULL as desk_take(). */
static struct job *
take_named(struct store *s, enum job_kind kind, struct span tenant,
    struct span name, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, kind, tenant, fn, arg);

	if (job) /* longer ones are no good, and stay so */
		job->name = job_copy(job, span_take(name, 256));
	return job;
}

static int
sqlite_tenants(struct store *s, struct span after, size_t limit, store_fn *fn,
    void *arg)
{
	struct job *job = take_named(s, JOB_TENANTS, SPAN_NONE, after, fn, arg);

	if (!job)
		return -1;
	job->count = limit;
	give_to(&s->threads[0], job);
	return 0;
}

static int
sqlite_backup(struct store *s, struct span tenant, int directory_fd,
    struct span name, store_fn *fn, void *arg)
{
	struct job *job = take_named(s, JOB_BACKUP, tenant, name, fn, arg);

	if (job)
		job->directory_fd = directory_fd;
	return give(s, job);
}

static int
sqlite_restore(struct store *s, struct span tenant, int directory_fd,
    struct span name, store_fn *fn, void *arg)
{
	struct job *job = take_named(s, JOB_RESTORE, tenant, name, fn, arg);

	if (job)
		job->directory_fd = directory_fd;
	return give(s, job);
}

static int
sqlite_check(struct store *s, struct span tenant, bool deep, store_fn *fn,
    void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_CHECK, tenant, fn, arg);

	if (job)
		job->deep = deep;
	return give(s, job);
}

static void
sqlite_figures(struct store *s, struct store_figures *figures)
{
	*figures = (struct store_figures){
		.reads = atomic_load(&s->reads),
		.commits = atomic_load(&s->commits),
		.groups = atomic_load(&s->groups),
		.group_most = atomic_load(&s->group_most),
		.reruns = atomic_load(&s->reruns),
		.failures = atomic_load(&s->failures),
		.quarantined = atomic_load(&s->quarantined),
		.opened = atomic_load(&s->opened),
		.handles = atomic_load(&s->handles),
		.wakeups = atomic_load(&s->desk.wakeups),
		.queued = s->desk.queued,
	};
}

const struct store_engine store_sqlite = {
	.name = "sqlite",
	.can = STORE_CAN_BACKUP,
	.open = sqlite_open,
	.close = sqlite_close,
	.read = sqlite_read,
	.commit = sqlite_commit,
	.changes = sqlite_changes,
	.watch = sqlite_watch,
	.unwatch = sqlite_unwatch,
	.sweep = sqlite_sweep,
	.tenant = sqlite_tenant,
	.tenants = sqlite_tenants,
	.backup = sqlite_backup,
	.restore = sqlite_restore,
	.check = sqlite_check,
	.figures = sqlite_figures,
};
