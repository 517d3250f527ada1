/* SPDX-License-Identifier: MIT */
/* loop.h - one thread, one epoll: descriptors, timers, signals, children.
 * Order within a batch: descriptor events, then timers that are due, then
 * child exits, then the before-wait hook, then deferred frees. An event of a
 * watch that was taken off, or put on anew, during the batch is dropped, so a
 * callback may unwatch anything; memory of a watch must live until the end of
 * the batch (loop_defer). */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "base/heap.h"
#include "base/list.h"

struct loop; /* opaque */
struct rusage;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 };

/* `events` holds LOOP_READ and LOOP_WRITE as ready; LOOP_HANGUP when the peer
 * is gone (always reported, together with LOOP_READ). A paused watch, one with
 * events 0, hears of that once, as LOOP_HANGUP alone, and of nothing more
 * until it is changed: back-pressure never spins. */
typedef void loop_watch_fn(void *arg, unsigned events);
typedef void loop_fn(void *arg);
typedef void loop_signal_fn(void *arg, int signo);
typedef void loop_child_fn(void *arg, pid_t, int wait_status,
    const struct rusage *);

struct watch {	/* embedded in its owner */
	int fd; /* borrowed from the owner; -1 = not watched */
	unsigned events;
	uint64_t batch; /* when it was put on: older events are stale */
	loop_watch_fn *callback;
	void *arg;
};

struct timer {		       /* embedded in its owner */
	struct heap_node node; /* key = due, ms */
	loop_fn *callback;
	void *arg;
};

struct deferred { /* embedded, zeroed, in what is to be freed */
	struct list node;
	loop_fn *callback;
	void *arg;
};

struct loop *loop_new(void); /* fatal when the machine refuses */
void loop_free(struct loop *);
void loop_run(struct loop *); /* until loop_stop() */
void loop_stop(struct loop *);
/* One batch, waiting wait_ms at most; -1 is without limit. */
void loop_once(struct loop *, int64_t wait_ms);

uint64_t loop_now_ms(const struct loop *); /* monotonic, one value a batch */

void watch_init(struct watch *, loop_watch_fn *, void *arg);
int loop_watch(struct loop *, struct watch *, int fd, unsigned events);
/* Costs nothing when the events are the same. */
void loop_change(struct loop *, struct watch *, unsigned events);
void loop_unwatch(struct loop *, struct watch *); /* before close(fd) */

void timer_init(struct timer *, loop_fn *, void *arg);
void loop_timer_set(struct loop *, struct timer *, uint64_t at_ms);
void loop_timer_clear(struct loop *, struct timer *);
static inline bool
timer_armed(const struct timer *t)
{
	return t->node.place != 0;
}

/* Runs the callback at the end of the batch, once. */
void loop_defer(struct loop *, struct deferred *, loop_fn *, void *arg);

void loop_on_signal(struct loop *, int signo, loop_signal_fn *, void *arg);
/* All children of the process, known or not (unknown ones are normal), and
 * those that died before this call. */
void loop_on_child(struct loop *, loop_child_fn *, void *arg);
/* One hook; the first wait after this does not sleep. */
void loop_before_wait(struct loop *, loop_fn *, void *arg);

/* Signals are blocked for signalfd; this is the mask before that. proc_start()
 * gives its children an empty one by itself. */
const sigset_t *loop_start_mask(const struct loop *);

#endif
