/* SPDX-License-Identifier: MIT */
/* desk.h - where an engine takes calls and answers them, on the loop's thread.
 *
 *   desk_take() ▶ the engine works, on whatever thread ▶ desk_done() ▶ one
 *   eventfd wakes the loop ▶ the callback ▶ the job is used again
 *
 * It knows no storage. What is true: a job taken is answered exactly once,
 * jobs finished by one thread are answered in that order, and the loop is
 * woken once however many are waiting for it. */
#ifndef STATE_DESK_H
#define STATE_DESK_H

#include <stdatomic.h>

#include "base/map.h"
#include "state/store.h"

enum job_kind {
	JOB_READ,
	JOB_COMMIT,
	JOB_CHANGES,
	JOB_TENANT,
	JOB_BACKUP,
	JOB_RESTORE,
	JOB_CHECK,
	JOB_VERSION, /* what a new watcher is told first */
	JOB_SWEEP,
	JOB_TENANTS,
};

enum { JOB_INLINE_BYTES = 2048 };

struct job_block; /* opaque */

/* A tenant whose version a sweep has moved. */
struct job_moved {
	struct span tenant;
	uint64_t version;
};

/* One call. Its answer lives in its own memory, which is freed with it. */
struct job {
	struct job *next; /* in one queue at a time */
	enum job_kind kind;
	struct span tenant; /* in tenant_name */
	char tenant_name[STORE_TENANT_MOST + 1];
	store_fn *callback;
	void *arg;
	union { /* borrowed from the caller until the callback */
		const struct store_read *read;
		const struct store_batch *batch;
		const struct store_changes *changes;
		const struct store_tenant *tenant;
	} request;
	int directory_fd;	 /* BACKUP, RESTORE; borrowed */
	struct span name;	 /* BACKUP, RESTORE, TENANTS (after): a copy */
	size_t count;		 /* SWEEP: budget; TENANTS: limit */
	bool deep;		 /* CHECK */
	struct job *whole;	 /* SWEEP: the job this one is a part of */
	unsigned parts;		 /* ... and how many of them are missing */
	struct job_moved *moved; /* SWEEP */
	size_t moved_count;
	struct store_result result;
	char detail[STORE_DETAIL_MOST];
	struct job_block *blocks; /* ours */
	size_t used;		  /* of bytes */
	_Alignas(16) char bytes[JOB_INLINE_BYTES];
};

/* Memory that lives as long as the job: NULL when there is none. */
void *job_alloc(struct job *, size_t bytes);
/* A copy; SPAN_NONE stays so. data is NULL only then or without memory. */
struct span job_copy(struct job *, struct span);
/* Sets status and sentence and clears the rest of the result but version,
 * now_ms and what names the culprit. */
void job_fail(struct job *, enum store_status, const char *, ...)
    __attribute__((format(printf, 3, 4)));

struct desk {
	struct loop *loop; /* borrowed */
	struct watch wake;
	int wake_fd;
	_Atomic(struct job *) done; /* the last one finished first */
	struct job *spare;	    /* unused jobs */
	unsigned spare_count;
	unsigned queued; /* taken and not answered */
	unsigned queue_most;
	struct map hubs; /* of tenants that are watched */
	atomic_uint_fast64_t wakeups;
};

int desk_open(struct desk *, struct loop *, unsigned queue_most);
/* Answers what is done; nothing may be under way elsewhere. */
void desk_close(struct desk *);

/* NULL with errno: EAGAIN, ENOMEM. */
struct job *desk_take(struct desk *, enum job_kind, struct span tenant,
    store_fn *, void *arg);
/* Any thread. A chain linked by next, the first finished first. */
void desk_done(struct desk *, struct job *first);

/* As in store_engine; *first is a job of kind JOB_VERSION for the engine. */
int desk_watch(struct desk *, struct span tenant, struct store_watch *,
    struct job **first);
void desk_unwatch(struct desk *, struct store_watch *);

#endif
