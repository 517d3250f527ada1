/* SPDX-License-Identifier: MIT */
/* loop.c - the one user of epoll, signalfd and the timer heap.
 * Always true: a watch is in the epoll set exactly while its fd is not -1;
 * the time is read once a batch, after the wait; nothing is freed while the
 * batch that may still name it is running. */

#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/loop.h"

enum {
	BATCH_MOST = 128, /* events a wait; more come with the next */
	SIGNALS_MOST = 8, /* signals a read; likewise */
};

struct loop {
	int epoll_fd;	/* ours */
	uint64_t batch; /* number of the running or last one */
	uint64_t now_ms;
	bool running;
	bool stir; /* do not sleep: work may have come up outside
				 * of a batch */
	bool reap; /* children may have died */
	struct heap timers;
	struct list deferred;

	struct watch signals; /* the signalfd, ours */
	sigset_t caught;
	sigset_t start_mask;
	struct {
		loop_signal_fn *callback;
		void *arg;
	} on_signal[_NSIG];
	loop_child_fn *on_child;
	void *child_arg;
	loop_fn *before_wait;
	void *before_wait_arg;

	struct epoll_event events[BATCH_MOST];
};

static int loop_timeout(const struct loop *, int64_t wait_ms);
static void loop_dispatch(struct loop *, int count);
static void loop_run_timers(struct loop *);
static void loop_reap(struct loop *);
static void loop_run_deferred(struct loop *);
static void loop_catch(struct loop *, int signo);
static void loop_read_signals(void *arg, unsigned events);
static int loop_control(struct loop *, int operation, struct watch *);

struct loop *
loop_new(void)
{
	struct loop *l = diag_alloc(sizeof(*l));

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		diag_fatal("cannot make an event loop: %s", diag_errno());
	heap_init(&l->timers);
	list_init(&l->deferred);
	watch_init(&l->signals, loop_read_signals, l);
	sigemptyset(&l->caught);
	sigprocmask(SIG_SETMASK, NULL, &l->start_mask);
	l->now_ms = clock_ms();
	return l;
}

void
loop_free(struct loop *l)
{
	int signal_fd = l->signals.fd;

	loop_run_deferred(l);
	if (signal_fd >= 0)
		loop_unwatch(l, &l->signals);
	fd_close(&signal_fd);
	fd_close(&l->epoll_fd);
	sigprocmask(SIG_SETMASK, &l->start_mask, NULL);
	heap_free(&l->timers);
	free(l);
}

void
loop_run(struct loop *l)
{
	l->running = true;
	while (l->running)
		loop_once(l, -1);
}

void
loop_stop(struct loop *l)
{
	l->running = false;
}

void
loop_once(struct loop *l, int64_t wait_ms)
{
	int count, timeout = loop_timeout(l, wait_ms);

	/* counted before the wait: what is watched from here on is new */
	l->batch++;
	l->stir = false;
	count = epoll_wait(l->epoll_fd, l->events, BATCH_MOST, timeout);
	if (count < 0 && errno != EINTR)
		diag_panic("epoll_wait: %s", diag_errno());
	l->now_ms = clock_ms();

	loop_dispatch(l, count);
	loop_run_timers(l);
	/* after all I/O: what a child wrote before it died has been read by
	 * the callbacks that could, and nobody's pid is reused before */
	if (l->reap)
		loop_reap(l);
	if (l->before_wait)
		l->before_wait(l->before_wait_arg);
	loop_run_deferred(l);
}

uint64_t
loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}

void
watch_init(struct watch *w, loop_watch_fn *callback, void *arg)
{
	*w = (struct watch){ .fd = -1, .callback = callback, .arg = arg };
}

int
loop_watch(struct loop *l, struct watch *w, int fd, unsigned events)
{
	assert(w->fd == -1 && fd >= 0);
	w->fd = fd;
	w->events = events;
	w->batch = l->batch;
	if (loop_control(l, EPOLL_CTL_ADD, w) == 0)
		return 0;
	w->fd = -1;
	return -1;
}

void
loop_change(struct loop *l, struct watch *w, unsigned events)
{
	assert(w->fd >= 0);
	if (w->events == events)
		return;
	w->events = events;
	if (loop_control(l, EPOLL_CTL_MOD, w) != 0)
		diag_panic("descriptor %d is not the one that was watched: %s",
		    w->fd, diag_errno());
}

/* The descriptor may live on elsewhere (in a child, in a message under way),
 * so closing it would not take it out of the set. */
void
loop_unwatch(struct loop *l, struct watch *w)
{
	if (w->fd < 0)
		return;
	if (loop_control(l, EPOLL_CTL_DEL, w) != 0)
		diag_panic("descriptor %d was closed while watched: %s", w->fd,
		    diag_errno());
	w->fd = -1;
}

void
timer_init(struct timer *t, loop_fn *callback, void *arg)
{
	*t = (struct timer){ .callback = callback, .arg = arg };
}

void
loop_timer_set(struct loop *l, struct timer *t, uint64_t at_ms)
{
	if (timer_armed(t))
		heap_move(&l->timers, &t->node, at_ms);
	else if (heap_add(&l->timers, &t->node, at_ms) != 0)
		diag_fatal("no memory for a timer, %zu are set",
		    l->timers.count);
}

void
loop_timer_clear(struct loop *l, struct timer *t)
{
	heap_remove(&l->timers, &t->node);
}

void
loop_defer(struct loop *l, struct deferred *d, loop_fn *callback, void *arg)
{
	if (d->node.next)
		return; /* already on its way */
	d->callback = callback;
	d->arg = arg;
	list_add_last(&l->deferred, &d->node);
}

void
loop_on_signal(struct loop *l, int signo, loop_signal_fn *callback, void *arg)
{
	assert(signo > 0 && signo < _NSIG && signo != SIGCHLD);
	l->on_signal[signo].callback = callback;
	l->on_signal[signo].arg = arg;
	loop_catch(l, signo);
}

void
loop_on_child(struct loop *l, loop_child_fn *callback, void *arg)
{
	l->on_child = callback;
	l->child_arg = arg;
	loop_catch(l, SIGCHLD);
	l->reap = true; /* some may have died before we listened */
}

void
loop_before_wait(struct loop *l, loop_fn *callback, void *arg)
{
	l->before_wait = callback;
	l->before_wait_arg = arg;
	l->stir = true; /* what it would have done is waiting already */
}

const sigset_t *
loop_start_mask(const struct loop *l)
{
	return &l->start_mask;
}

/* The shortest of what the caller, the next timer and waiting work allow. */
static int
loop_timeout(const struct loop *l, int64_t wait_ms)
{
	const struct heap_node *next = heap_least(&l->timers);
	uint64_t wait = wait_ms < 0 ? UINT64_MAX : (uint64_t)wait_ms;

	if (l->stir || l->reap || !list_empty(&l->deferred))
		return 0;
	if (next && next->key <= l->now_ms)
		return 0;
	if (next && next->key - l->now_ms < wait)
		wait = next->key - l->now_ms;
	if (wait == UINT64_MAX)
		return -1;
	return wait < INT_MAX ? (int)wait : INT_MAX;
}

static void
loop_dispatch(struct loop *l, int count)
{
	for (int i = 0; i < count; i++) {
		struct watch *w = l->events[i].data.ptr;
		uint32_t ready = l->events[i].events;
		unsigned events = 0;

		if (w->fd < 0 || w->batch == l->batch)
			continue; /* taken off, or another one by now */
		if (ready & EPOLLIN)
			events |= LOOP_READ;
		if (ready & EPOLLOUT)
			events |= LOOP_WRITE;
		events &= w->events; /* changed during the batch */
		if (ready & (EPOLLHUP | EPOLLERR))
			events |= LOOP_HANGUP | (w->events ? LOOP_READ : 0);
		if (events != 0)
			w->callback(w->arg, events);
	}
}

/* A callback may set timers that are due at once: they take their turn, but
 * no more run than there were, so that descriptors are not starved. */
static void
loop_run_timers(struct loop *l)
{
	size_t most = l->timers.count;
	struct heap_node *node;
	struct timer *t;

	while (most-- > 0 && (node = heap_least(&l->timers)) &&
	    node->key <= l->now_ms) {
		heap_remove(&l->timers, node);
		t = (struct timer *)(void *)((char *)node -
		    offsetof(struct timer, node));
		t->callback(t->arg);
	}
}

/* Signals of the same kind merge, so one SIGCHLD stands for any number. */
static void
loop_reap(struct loop *l)
{
	struct rusage used;
	int status;
	pid_t pid;

	l->reap = false;
	for (;;) {
		pid = wait4(-1, &status, WNOHANG | __WALL, &used);
		if (pid > 0)
			l->on_child(l->child_arg, pid, status, &used);
		else if (pid == 0 || errno != EINTR)
			return;
	}
}

static void
loop_run_deferred(struct loop *l)
{
	struct list *node;
	struct deferred *d;

	while ((node = list_first(&l->deferred))) {
		d = LIST_OWNER(node, struct deferred, node);
		assert(node->next);
		list_remove(node);
		node->next = NULL;   /* may be deferred again */
		d->callback(d->arg); /* usually the end of d */
	}
}

static void
loop_catch(struct loop *l, int signo)
{
	sigset_t one;
	int fd;

	if (sigismember(&l->caught, signo))
		return;
	sigaddset(&l->caught, signo);
	sigemptyset(&one);
	sigaddset(&one, signo);
	sigprocmask(SIG_BLOCK, &one, NULL);
	fd = signalfd(l->signals.fd, &l->caught, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0 ||
	    (l->signals.fd < 0 &&
		loop_watch(l, &l->signals, fd, LOOP_READ) != 0))
		diag_fatal("cannot listen for signals: %s", diag_errno());
}

static void
loop_read_signals(void *arg, unsigned events)
{
	struct loop *l = arg;
	struct signalfd_siginfo found[SIGNALS_MOST];
	ssize_t bytes = read(l->signals.fd, found, sizeof(found));
	size_t count = bytes > 0 ? (size_t)bytes / sizeof(found[0]) : 0;

	(void)events;
	for (size_t i = 0; i < count; i++) {
		int signo = (int)found[i].ssi_signo;

		if (signo == SIGCHLD)
			l->reap = true;
		else
			l->on_signal[signo].callback(l->on_signal[signo].arg,
			    signo);
	}
}

/* Nobody cares about events that nobody asked for, so a paused watch (no
 * events) is told of a hangup once and then left alone: level-triggered, the
 * kernel would repeat it for as long as the owner cannot act. */
static int
loop_control(struct loop *l, int operation, struct watch *w)
{
	struct epoll_event event = { .data.ptr = w };

	if (w->events & LOOP_READ)
		event.events |= EPOLLIN;
	if (w->events & LOOP_WRITE)
		event.events |= EPOLLOUT;
	if (w->events == 0)
		event.events = EPOLLONESHOT;
	return epoll_ctl(l->epoll_fd, operation, w->fd, &event);
}
