/* SPDX-License-Identifier: MIT */
/* desk.c - takes calls and answers them, on the loop's thread. Jobs that are
 * done come as a stack that any thread pushes a chain onto with one exchange;
 * only who finds it empty writes to the eventfd, so a thousand answers that
 * come while the loop is busy cost one wake-up. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "state/desk.h"

enum {
	JOBS_SPARE_MOST =
	    512,	     /* about 1.5 MiB; beyond, malloc is cheap enough */
	BLOCK_LEAST = 16384, /* a page of a list, without a value */
};

struct job_block {
	struct job_block *next;
	size_t room;
	size_t used;
	_Alignas(16) char bytes[];
};

/* A tenant that somebody watches. */
struct hub {
	struct map_node node;
	char name[STORE_TENANT_MOST + 1];
	struct list watches;
	uint64_t version; /* told last */
	unsigned busy;	  /* its watches are being told: do not free it */
};

static void desk_woken(void *arg, unsigned events);
static void desk_answer(struct desk *, struct job *);
static void desk_tell(struct desk *, struct span tenant, uint64_t version,
    bool first);
static void hub_free_unused(struct desk *, struct hub *);
static void job_free_blocks(struct job *);

void *
job_alloc(struct job *job, size_t bytes)
{
	struct job_block *block = job->blocks;
	size_t room = (bytes + 15) & ~(size_t)15;
	size_t block_room;

	if (room < bytes)
		return NULL;
	if (JOB_INLINE_BYTES - job->used >= room) {
		job->used += room;
		return job->bytes + job->used - room;
	}
	if (!block || block->room - block->used < room) {
		block_room = room > BLOCK_LEAST ? room : BLOCK_LEAST;
		if (!(block = malloc(sizeof(*block) + block_room)))
			return NULL;
		*block = (struct job_block){ job->blocks, block_room, 0 };
		job->blocks = block;
	}
	block->used += room;
	return block->bytes + block->used - room;
}

struct span
job_copy(struct job *job, struct span from)
{
	char *to =
	    from.data ? job_alloc(job, from.bytes ? from.bytes : 1) : NULL;

	if (!to)
		return SPAN_NONE;
	if (from.bytes)
		memcpy(to, from.data, from.bytes);
	return span_make(to, from.bytes);
}

void
job_fail(struct job *job, enum store_status status, const char *format, ...)
{
	struct store_result *r = &job->result;
	va_list arguments;

	*r = (struct store_result){
		.status = status,
		.detail = job->detail,
		.version = r->version,
		.now_ms = r->now_ms,
		.failed = r->failed,
		.failed_count = r->failed_count,
		.failed_op = r->failed_op,
		.value = r->value,
		.oldest = r->oldest,
	};
	va_start(arguments, format);
	vsnprintf(job->detail, sizeof(job->detail), format, arguments);
	va_end(arguments);
}

int
desk_open(struct desk *desk, struct loop *loop, unsigned queue_most)
{
	*desk = (struct desk){ .loop = loop, .queue_most = queue_most };
	map_init(&desk->hubs);
	desk->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (desk->wake_fd < 0)
		return -1;
	watch_init(&desk->wake, desk_woken, desk);
	if (loop_watch(loop, &desk->wake, desk->wake_fd, LOOP_READ) < 0) {
		fd_close(&desk->wake_fd);
		return -1;
	}
	return 0;
}

void
desk_close(struct desk *desk)
{
	struct job *job;
	struct map_node *node;

	desk->queue_most = 0; /* callbacks find us closed */
	desk_woken(desk, 0);
	while ((node = map_next(&desk->hubs, NULL))) {
		struct hub *hub = MAP_OWNER(node, struct hub, node);

		LIST_EACH(n, &hub->watches) {
			LIST_OWNER(n, struct store_watch, node)->hub = NULL;
			list_remove(n);
		}
		hub_free_unused(desk, hub);
	}
	map_free(&desk->hubs);
	while ((job = desk->spare)) {
		desk->spare = job->next;
		free(job);
	}
	loop_unwatch(desk->loop, &desk->wake);
	fd_close(&desk->wake_fd);
}

struct job *
desk_take(struct desk *desk, enum job_kind kind, struct span tenant,
    store_fn *callback, void *arg)
{
	struct job *job = desk->spare;

	if (desk->queued >= desk->queue_most) {
		errno = EAGAIN;
		return NULL;
	}
	if (job) {
		desk->spare = job->next;
		desk->spare_count--;
	} else if (!(job = malloc(sizeof(*job)))) {
		errno = ENOMEM;
		return NULL;
	}
	desk->queued++;
	memset(job, 0, offsetof(struct job, detail));
	job->blocks = NULL;
	job->used = 0;
	job->kind = kind;
	job->callback = callback;
	job->arg = arg;
	job->directory_fd = -1;
	job->result.detail = "";
	/* a longer name is a bad one, and stays so when it is cut */
	tenant = span_take(tenant, STORE_TENANT_MOST + 1);
	if (tenant.bytes)
		memcpy(job->tenant_name, tenant.data,
		    tenant.bytes > STORE_TENANT_MOST ? STORE_TENANT_MOST :
						       tenant.bytes);
	job->tenant = span_make(job->tenant_name, tenant.bytes);
	return job;
}

void
desk_done(struct desk *desk, struct job *first)
{
	struct job *stack = NULL, *last = first, *next, *top;
	uint64_t one = 1;

	/* turned round: the stack has the last one on top */
	while (first) {
		next = first->next;
		first->next = stack;
		stack = first;
		first = next;
	}
	if (!stack)
		return;
	top = atomic_load_explicit(&desk->done, memory_order_relaxed);
	do {
		last->next = top;
	} while (!atomic_compare_exchange_weak_explicit(&desk->done, &top,
	    stack, memory_order_release, memory_order_relaxed));
	if (top)
		return; /* who pushed that has woken the loop */
	atomic_fetch_add_explicit(&desk->wakeups, 1, memory_order_relaxed);
	/* fails only when 2^64 wake-ups are not taken */
	if (write(desk->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static void
desk_woken(void *arg, unsigned events)
{
	struct desk *desk = arg;
	struct job *stack, *first = NULL, *next;
	uint64_t count;

	(void)events;
	/* before the stack is taken: what comes behind it wakes us again */
	if (read(desk->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	stack =
	    atomic_exchange_explicit(&desk->done, NULL, memory_order_acquire);
	for (; stack; stack = next) {
		next = stack->next;
		stack->next = first;
		first = stack;
	}
	for (; first; first = next) {
		next = first->next;
		desk_answer(desk, first);
	}
}

static void
desk_answer(struct desk *desk, struct job *job)
{
	struct job *whole = job->whole;

	if (whole) { /* a part: the last one answers for all */
		whole->result.swept += job->result.swept;
		whole->result.more |= job->result.more;
		if (job->result.status != STORE_OK)
			whole->result.status = job->result.status;
		if (--whole->parts == 0)
			desk_answer(desk, whole);
	} else if (job->callback) {
		job->callback(job->arg, &job->result);
	}
	if (job->tenant.bytes)
		desk_tell(desk, job->tenant, job->result.version,
		    job->kind == JOB_VERSION);
	for (size_t i = 0; i < job->moved_count; i++)
		desk_tell(desk, job->moved[i].tenant, job->moved[i].version,
		    false);
	job_free_blocks(job);
	desk->queued--;
	if (desk->spare_count >= JOBS_SPARE_MOST) {
		free(job);
		return;
	}
	job->next = desk->spare;
	desk->spare = job;
	desk->spare_count++;
}

static void
job_free_blocks(struct job *job)
{
	struct job_block *block;

	while ((block = job->blocks)) {
		job->blocks = block->next;
		free(block);
	}
}

int
desk_watch(struct desk *desk, struct span tenant, struct store_watch *watch,
    struct job **first)
{
	struct map_node *node = map_find(&desk->hubs, tenant);
	struct hub *hub = node ? MAP_OWNER(node, struct hub, node) : NULL;

	if (!store_tenant_name_good(tenant)) {
		errno = EINVAL;
		return -1;
	}
	if (!(*first = desk_take(desk, JOB_VERSION, tenant, NULL, NULL)))
		return -1;
	if (!hub) {
		if (!(hub = calloc(1, sizeof(*hub))))
			goto no_memory;
		list_init(&hub->watches);
		memcpy(hub->name, tenant.data, tenant.bytes);
		if (map_add(&desk->hubs, &hub->node,
			span_make(hub->name, tenant.bytes)) < 0) {
			free(hub);
			goto no_memory;
		}
	}
	watch->hub = hub;
	watch->told = false;
	list_add_last(&hub->watches, &watch->node);
	return 0;

no_memory:
	desk_done(desk, *first);
	*first = NULL;
	errno = ENOMEM;
	return -1;
}

void
desk_unwatch(struct desk *desk, struct store_watch *watch)
{
	struct hub *hub = watch->hub;

	if (!hub)
		return;
	list_remove(&watch->node);
	watch->hub = NULL;
	hub_free_unused(desk, hub);
}

/* A tenant is at a version: who watches it hears of that when it is news, and
 * at first in any case. */
static void
desk_tell(struct desk *desk, struct span tenant, uint64_t version, bool first)
{
	struct map_node *node =
	    desk->hubs.count ? map_find(&desk->hubs, tenant) : NULL;
	struct list round, *n;
	struct hub *hub;
	bool moved;

	if (!node)
		return;
	hub = MAP_OWNER(node, struct hub, node);
	if (!(moved = version > hub->version) && !first)
		return;
	if (moved)
		hub->version = version;
	/* told ones go back into the hub, so any of them may go away */
	list_init(&round);
	while ((n = list_first(&hub->watches))) {
		list_remove(n);
		list_add_last(&round, n);
	}
	hub->busy++;
	while ((n = list_first(&round))) {
		struct store_watch *watch =
		    LIST_OWNER(n, struct store_watch, node);

		list_remove(n);
		list_add_last(&hub->watches, n);
		if (watch->told ? !moved : !first)
			continue;
		watch->told = true;
		watch->callback(watch->arg, hub->version);
	}
	hub->busy--;
	hub_free_unused(desk, hub);
}

static void
hub_free_unused(struct desk *desk, struct hub *hub)
{
	if (hub->busy || !list_empty(&hub->watches))
		return;
	map_remove(&desk->hubs, &hub->node);
	free(hub);
}
