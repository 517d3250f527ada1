/* SPDX-License-Identifier: MIT */
/* store_memory.c - the reference model: what a storage is to do, as plainly as
 * it can be written down. Tenants are sorted arrays in memory; every call takes
 * effect when it is made. Whatever store_sqlite does is compared with this, so
 * nothing here may be clever, and the two share no code beyond store.c.
 * Nothing lasts, and quotas, which count bytes on a disk, are not enforced. */
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "state/store_memory.h"

/* ---- the other operations -------------------------------------------------- */

static void
change_tenant(struct tenant *t, const struct store_tenant *ask)
{
	if (ask->set & STORE_SET_QUOTA)
		t->quota_bytes = ask->quota_bytes;
	if (ask->set & STORE_SET_DURABILITY)
		t->relaxed = !(t->full = ask->durability == STORE_FULL);
	if (ask->set & STORE_SET_FROZEN)
		t->frozen = ask->frozen;
}

static void
stat_tenant(struct store *s, struct tenant *t, struct job *job)
{
	struct store_usage *usage = job_alloc(job, sizeof(*usage));
	uint64_t now = memory_now(s, t);

	if (!usage)
		diag_panic("no memory for the model");
	*usage = (struct store_usage){
		.quota_bytes =
		    t->quota_bytes ? t->quota_bytes : s->config.quota_bytes,
		.oldest = t->oldest,
		.durability = t->full ? STORE_FULL :
		    t->relaxed	      ? STORE_RELAXED :
					s->config.durability,
		.frozen = t->frozen,
	};
	for (size_t i = 0; i < t->entries.count; i++) {
		usage->bytes +=
		    t->entries.at[i].key.bytes + t->entries.at[i].value.bytes;
		usage->keys += memory_alive(&t->entries.at[i], now);
	}
	job->result.usage = usage;
}

static void
run_tenant(struct store *s, struct tenant *t, struct job *job)
{
	const struct store_tenant *ask = job->request.tenant;

	if (ask->op == STORE_TENANT_CREATE)
		memory_create(s, t);
	job->result.now_ms = memory_now(s, t);
	job->result.version = t->version;
	if (!t->exists && ask->op != STORE_TENANT_STAT) {
		job_fail(job, STORE_NO_TENANT, "there is no such tenant");
		return;
	}
	switch (ask->op) {
	case STORE_TENANT_CREATE:
	case STORE_TENANT_CHANGE:
		change_tenant(t, ask);
		break;
	case STORE_TENANT_DROP:
		memory_drop(t);
		break;
	case STORE_TENANT_STAT:
		stat_tenant(s, t, job);
		break;
	}
	job->result.version = t->version;
}

static size_t
sweep_keys(struct tenant *t, uint64_t now, size_t budget)
{
	size_t swept = 0;

	for (size_t i = 0; i < t->entries.count && swept < budget;) {
		if (memory_alive(&t->entries.at[i], now)) {
			i++;
			continue;
		}
		memory_note(t, STORE_CHANGE_EXPIRE, t->version + 1,
		    t->entries.at[i].key, now);
		memory_take_out(&t->entries, i);
		swept++;
	}
	t->version += swept > 0;
	return swept;
}

static size_t
sweep_changes(struct store *s, struct tenant *t, uint64_t now, size_t budget)
{
	uint64_t most = s->config.log_commits_most;
	uint64_t last = t->version > most ? t->version - most : 0;
	uint64_t old = now > s->config.log_ms ? now - s->config.log_ms : 0;
	size_t count_of = 0;

	while (count_of < t->change_count && count_of < budget &&
	    (t->changes[count_of].version <= last ||
		t->changes[count_of].ms < old))
		count_of++;
	/* the rest of a commit goes with its beginning */
	while (count_of > 0 && count_of < t->change_count &&
	    t->changes[count_of].version == t->changes[count_of - 1].version)
		count_of++;
	if (count_of > 0)
		t->oldest = t->changes[count_of - 1].version;
	memory_cut_changes(t, count_of);
	return count_of;
}

static void
run_sweep(struct store *s, struct job *job)
{
	struct store_result *r = &job->result;
	struct map_node *node = NULL;

	job->moved =
	    job_alloc(job, (s->tenants.count + 1) * sizeof(*job->moved));
	if (!job->moved)
		diag_panic("no memory for the model");
	while ((node = map_next(&s->tenants, node))) {
		struct tenant *t = MAP_OWNER(node, struct tenant, node);
		uint64_t now = memory_now(s, t);
		size_t swept;

		if (!t->exists)
			continue;
		if (r->swept >= job->count) {
			r->more = true;
			return;
		}
		swept =
		    t->frozen ? 0 : sweep_keys(t, now, job->count - r->swept);
		if (swept)
			job->moved[job->moved_count++] =
			    (struct job_moved){ job_copy(job, t->node.key),
				    t->version };
		swept += sweep_changes(s, t, now, job->count);
		for (size_t i = 0; i < t->idem_count; i++) {
			if (t->idems[i].expires_ms > now)
				continue;
			memory_forget_idem(t, i--);
			swept++;
		}
		r->swept += swept;
	}
	r->more = r->swept >= job->count;
}

static int
compare_names(const void *a, const void *b)
{
	return memory_compare(*(const struct span *)a, *(const struct span *)b);
}

static void
run_tenants(struct store *s, struct job *job)
{
	struct span *names =
	    job_alloc(job, (s->tenants.count + 1) * sizeof(*names));
	struct map_node *node = NULL;
	size_t n = 0;

	if (!names)
		diag_panic("no memory for the model");
	while ((node = map_next(&s->tenants, node)))
		if (MAP_OWNER(node, struct tenant, node)->exists &&
		    memory_compare(node->key, job->name) > 0)
			names[n++] = job_copy(job, node->key);
	qsort(names, n, sizeof(*names), compare_names);
	job->result.names = names;
	job->result.name_count = n > job->count ? job->count : n;
	job->result.more = n > job->count;
}

/* ---- the table ------------------------------------------------------------- */

static struct store *
memory_open(const struct store_config *config, struct loop *loop,
    char why[STORE_DETAIL_MOST])
{
	struct store *s = diag_alloc(sizeof(*s));

	s->config = *config;
	store_config_defaults(&s->config);
	map_init(&s->tenants);
	if (desk_open(&s->desk, loop, s->config.queue_most) == 0)
		return s;
	snprintf(why, STORE_DETAIL_MOST, "no eventfd: %s", diag_errno());
	map_free(&s->tenants);
	free(s);
	return NULL;
}

static void
memory_close(struct store *s)
{
	struct map_node *node;

	desk_close(&s->desk);
	while ((node = map_next(&s->tenants, NULL))) {
		map_remove(&s->tenants, node);
		memory_free_tenant(MAP_OWNER(node, struct tenant, node));
	}
	map_free(&s->tenants);
	free(s);
}

static void
memory_run(struct store *s, struct job *job)
{
	struct tenant *t;
	size_t bad;
	enum store_status status;

	job->next = NULL;
	if (job->kind == JOB_SWEEP) {
		run_sweep(s, job);
	} else if (job->kind == JOB_TENANTS) {
		run_tenants(s, job);
	} else if (!store_tenant_name_good(job->tenant)) {
		job_fail(job, STORE_BAD_NAME, "no name of a tenant");
	} else {
		t = memory_tenant_of(s, job->tenant);
		job->result.version = t->version;
		switch (job->kind) {
		case JOB_READ:
			memory_run_read(s, t, job);
			break;
		case JOB_COMMIT:
			status = store_batch_good(job->request.batch,
			    s->config.value_most, &bad);
			job->result.failed_op = bad;
			if (status != STORE_OK)
				job_fail(job, status, "operation %zu cannot be",
				    bad);
			else
				memory_run_commit(s, t, job);
			break;
		case JOB_CHANGES:
			memory_run_changes(s, t, job);
			break;
		case JOB_TENANT:
			run_tenant(s, t, job);
			break;
		case JOB_CHECK:
			if (!t->exists)
				job_fail(job, STORE_NO_TENANT,
				    "there is no such tenant");
			break;
		case JOB_BACKUP:
		case JOB_RESTORE:
			job_fail(job, STORE_UNSUPPORTED,
			    "a storage in memory has no backups");
			break;
		default:
			break;
		}
	}
	desk_done(&s->desk, job);
}

static int
memory_read(struct store *s, struct span tenant, const struct store_read *read,
    store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_READ, tenant, fn, arg);

	if (!job)
		return -1;
	job->request.read = read;
	memory_run(s, job);
	return 0;
}

static int
memory_commit(struct store *s, struct span tenant,
    const struct store_batch *batch, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_COMMIT, tenant, fn, arg);

	if (!job)
		return -1;
	job->request.batch = batch;
	memory_run(s, job);
	return 0;
}

static int
memory_changes(struct store *s, struct span tenant,
    const struct store_changes *changes, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_CHANGES, tenant, fn, arg);

	if (!job)
		return -1;
	job->request.changes = changes;
	memory_run(s, job);
	return 0;
}

static int
memory_watch(struct store *s, struct span tenant, struct store_watch *watch)
{
	struct job *first;

	if (desk_watch(&s->desk, tenant, watch, &first) < 0)
		return -1;
	memory_run(s, first);
	return 0;
}

static void
memory_unwatch(struct store *s, struct store_watch *watch)
{
	desk_unwatch(&s->desk, watch);
}

static int
memory_sweep(struct store *s, size_t budget, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_SWEEP, SPAN_NONE, fn, arg);

	if (!job)
		return -1;
	job->count = budget;
	memory_run(s, job);
	return 0;
}

static int
memory_tenant(struct store *s, struct span tenant,
    const struct store_tenant *ask, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_TENANT, tenant, fn, arg);

	if (!job)
		return -1;
	job->request.tenant = ask;
	memory_run(s, job);
	return 0;
}

static int
memory_tenants(struct store *s, struct span after, size_t limit, store_fn *fn,
    void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_TENANTS, SPAN_NONE, fn, arg);

	if (!job)
		return -1;
	job->name = after;
	job->count = limit;
	memory_run(s, job);
	return 0;
}

static int
memory_backup(struct store *s, struct span tenant, int directory_fd,
    struct span name, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_BACKUP, tenant, fn, arg);

	(void)directory_fd;
	(void)name;
	if (!job)
		return -1;
	memory_run(s, job);
	return 0;
}

static int
memory_check(struct store *s, struct span tenant, bool deep, store_fn *fn,
    void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_CHECK, tenant, fn, arg);

	if (!job)
		return -1;
	job->deep = deep;
	memory_run(s, job);
	return 0;
}

static void
memory_figures(struct store *s, struct store_figures *figures)
{
	*figures = s->figures;
	figures->wakeups = atomic_load(&s->desk.wakeups);
	figures->queued = s->desk.queued;
}

const struct store_engine store_memory = {
	.name = "memory",
	.open = memory_open,
	.close = memory_close,
	.read = memory_read,
	.commit = memory_commit,
	.changes = memory_changes,
	.watch = memory_watch,
	.unwatch = memory_unwatch,
	.sweep = memory_sweep,
	.tenant = memory_tenant,
	.tenants = memory_tenants,
	.backup = memory_backup,
	.restore = memory_backup,
	.check = memory_check,
	.figures = memory_figures,
};
