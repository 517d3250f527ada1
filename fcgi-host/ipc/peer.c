/* SPDX-License-Identifier: MIT */
/* peer.c - one channel: messages out, messages in, and when it is over.
 * Whoever is at the other end may be compromised: what comes is compared with
 * its row before anybody sees it. All peers of a process share one buffer to
 * send from and one to receive into, since the loop runs one callback at a
 * time; only a message that has to wait is copied. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/diag.h"

#include "ipc/peer.h"

enum {
	BATCH_MOST = 32, /* messages an event, so that one peer that
				 * never stops does not starve the others */
	REASON_MOST = 160,
	STARVED_MS = 10, /* the kernel has no memory: ask again */
};

/*         peer_new                 peer_free
 *   ─────▶ OPEN ──▶ GONE ───────────────────────────▶ FREED ──▶ (end of batch)
 *            ├────────┴── peer_free ──────────────────▶ ▲
 *            └── peer_finish ──▶ FINISHING ──────────────┘
 *                                 all sent, limit, or gone
 * OPEN: sends and receives. GONE: the descriptor is closed, the owner knows.
 * FINISHING: sends what waits, calls nobody. FREED: memory until the batch is
 * over, because the loop or one of our callers may still be inside. */
enum state { OPEN, GONE, FINISHING, FREED };

struct waiting { /* a message that found no room */
	struct list node;
	size_t bytes;
	size_t fd_count;
	int fds[FD_PASS_MOST]; /* ours, duplicates */
	char data[];
};

struct peer {
	struct loop *loop; /* borrowed, outlives us */
	enum state state;
	enum role own;
	enum role other;
	int fd;	     /* ours; -1 from GONE on */
	bool unread; /* it closed without reading it all */
	peer_message_fn *on_message;
	peer_gone_fn *on_gone;
	void *arg;
	struct watch watch;
	struct timer timer; /* STARVED_MS, or FINISHING's limit */
	struct list queue;  /* of struct waiting, oldest first */
	size_t queued;	    /* bytes in it */
	struct deferred end;
};

static struct buf outgoing = { .ceiling = MESSAGE_MOST };
static char incoming[MESSAGE_MOST];

static void peer_move(struct peer *, enum state);
static void peer_ready(void *arg, unsigned events);
static void peer_timer(void *arg);
static void peer_read(struct peer *);
static bool peer_read_one(struct peer *);
static void peer_gone(struct peer *, const char *reason);
static int peer_queue(struct peer *, struct span, const int *fds, size_t);
static void peer_drain(struct peer *);
static bool passes(int error);
static void peer_await_room(struct peer *, int error);
static void peer_drop_queue(struct peer *);
static void waiting_free(struct waiting **);
static void peer_end(void *arg);
static int encode(enum message_type, const void *m, size_t fd_count,
    struct span *);
static const char *broken_rule(struct span, enum role from, enum role to,
    size_t fd_count, enum message_type *, struct span *body, char *text);

struct peer *
peer_new(struct loop *loop, int fd, enum role own, enum role other,
    peer_message_fn *on_message, peer_gone_fn *on_gone, void *arg)
{
	struct peer *p = diag_alloc(sizeof(*p));

	p->loop = loop;
	p->state = OPEN;
	p->own = own;
	p->other = other;
	p->fd = fd;
	p->on_message = on_message;
	p->on_gone = on_gone;
	p->arg = arg;
	list_init(&p->queue);
	watch_init(&p->watch, peer_ready, p);
	timer_init(&p->timer, peer_timer, p);
	if (fd_nonblock(fd, true) != 0 || fd_cloexec(fd, true) != 0 ||
	    loop_watch(loop, &p->watch, fd, LOOP_READ) != 0)
		/* As if it had closed at once: one path for the owner. */
		loop_timer_set(loop, &p->timer, loop_now_ms(loop));
	return p;
}

void
peer_free(struct peer **owned)
{
	struct peer *p = *owned;

	*owned = NULL;
	if (p)
		peer_move(p, FREED);
}

void
peer_finish(struct peer **owned, uint64_t limit_ms)
{
	struct peer *p = *owned;

	*owned = NULL;
	if (!p)
		return;
	if (p->state == GONE || list_empty(&p->queue)) {
		peer_move(p, FREED);
		return;
	}
	peer_move(p, FINISHING);
	loop_timer_set(p->loop, &p->timer, loop_now_ms(p->loop) + limit_ms);
	loop_change(p->loop, &p->watch, LOOP_WRITE);
}

int
peer_send(struct peer *p, enum message_type type, const void *m, const int *fds,
    size_t fd_count)
{
	struct span message;
	int error;

	assert(p->state == OPEN || p->state == GONE);
	assert(message_allowed(type, p->own, p->other));
	if (p->watch.fd < 0) {
		errno = EPIPE;
		return -1;
	}
	if (encode(type, m, fd_count, &message) != 0)
		return -1;
	if (!list_empty(&p->queue))
		return peer_queue(p, message, fds, fd_count);
	if (fd_send(p->fd, message, fds, fd_count) >= 0)
		return 0;
	error = errno;
	if (error == ECONNRESET) /* said once, to whoever asks first */
		p->unread = true;
	if (!passes(error) || peer_queue(p, message, fds, fd_count) != 0)
		return -1;
	peer_await_room(p, error);
	return 0;
}

size_t
peer_queued(const struct peer *p)
{
	return p->queued;
}

int
peer_fd(const struct peer *p)
{
	return p->fd;
}

void
peer_flush(struct peer *p, uint64_t limit_ms)
{
	uint64_t now_ms, until_ms = clock_ms() + limit_ms;

	while (p->state == OPEN && !list_empty(&p->queue)) {
		struct pollfd ready = { .fd = p->fd, .events = POLLOUT };

		now_ms = clock_ms();
		if (now_ms >= until_ms)
			return;
		if (poll(&ready, 1, (int)(until_ms - now_ms)) > 0) {
			if (ready.revents & (POLLHUP | POLLERR))
				return;
			peer_drain(p);
		}
	}
}

/* ---- without a loop ------------------------------------------------------- */

int
peer_send_now(int fd, enum message_type type, const void *m, const int *fds,
    size_t fd_count)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	struct span message;

	if (encode(type, m, fd_count, &message) != 0)
		return -1;
	while (fd_send(fd, message, fds, fd_count) < 0) {
		if (errno != EAGAIN)
			return -1;
		poll(&room, 1, -1);
	}
	return 0;
}

enum message_type
peer_receive_now(int fd, enum role own, enum role other, struct span *body,
    int *fds, size_t *fd_count)
{
	struct pollfd come = { .fd = fd, .events = POLLIN };
	char text[REASON_MOST];
	enum message_type type;
	ssize_t bytes;

	do {
		*fd_count = FD_PASS_MOST;
		bytes = fd_receive_wait(fd, incoming, sizeof(incoming), fds,
		    fd_count);
	} while (bytes < 0 &&
	    (errno == ECONNRESET ||
		(errno == EAGAIN &&
		    (poll(&come, 1, -1) > 0 || errno == EINTR))));
	if (bytes <= 0) {
		if (bytes == 0)
			errno = 0;
		return MESSAGE_NONE;
	}
	if (broken_rule(span_make(incoming, (size_t)bytes), other, own,
		*fd_count, &type, body, text)) {
		while (*fd_count > 0)
			fd_close(&fds[--*fd_count]);
		errno = EPROTO;
		return MESSAGE_NONE;
	}
	return type;
}

/* ---- its life --------------------------------------------------------------- */

static void
peer_move(struct peer *p, enum state to)
{
	static const bool drawn[][FREED + 1] = {
		[OPEN] = { [GONE] = true, [FINISHING] = true, [FREED] = true },
		[GONE] = { [FREED] = true },
		[FINISHING] = { [FREED] = true },
		[FREED] = { false },
	};

	assert(drawn[p->state][to]);
	p->state = to;
	if (to == FINISHING)
		return;
	loop_timer_clear(p->loop, &p->timer);
	loop_unwatch(p->loop, &p->watch);
	fd_close(&p->fd);
	peer_drop_queue(p);
	if (to == FREED)
		loop_defer(p->loop, &p->end, peer_end, p);
}

static void
peer_end(void *arg)
{
	struct peer *p = arg;

	assert(p->state == FREED && list_empty(&p->queue) && p->fd == -1);
	free(p);
}

static void
peer_gone(struct peer *p, const char *reason)
{
	bool unread = p->unread || !list_empty(&p->queue);

	if (p->state == FINISHING) {
		peer_move(p, FREED);
		return;
	}
	peer_move(p, GONE);
	if (p->on_gone)
		p->on_gone(p->arg, reason, unread);
}

static void
peer_ready(void *arg, unsigned events)
{
	struct peer *p = arg;

	if (p->state == FINISHING && (events & LOOP_HANGUP))
		peer_gone(p, "has closed its channel");
	if (p->state == OPEN && (events & LOOP_READ))
		peer_read(p);
	if ((p->state == OPEN || p->state == FINISHING) &&
	    (events & LOOP_WRITE))
		peer_drain(p);
}

static void
peer_timer(void *arg)
{
	struct peer *p = arg;

	if (p->state == FINISHING)
		peer_move(p, FREED);
	else if (p->watch.fd < 0)
		peer_gone(p, "cannot be watched: the kernel has no memory");
	else
		peer_drain(p);
}

/* ---- receiving ---------------------------------------------------------------- */

static void
peer_read(struct peer *p)
{
	for (int i = 0; i < BATCH_MOST; i++)
		if (!peer_read_one(p) || p->state != OPEN)
			return;
}

/* False when there is nothing more for now. */
static bool
peer_read_one(struct peer *p)
{
	int fds[FD_PASS_MOST];
	size_t fd_count = FD_PASS_MOST;
	char text[REASON_MOST];
	const char *broken;
	enum message_type type;
	struct span body;
	ssize_t bytes;

	bytes = fd_receive(p->fd, incoming, sizeof(incoming), fds, &fd_count);
	if (bytes < 0 && errno == EAGAIN)
		return false;
	if (bytes < 0 && errno == ECONNRESET) {
		/* The kernel says this first; what it sent before it went is
		 * still there to be read. */
		p->unread = true;
		return true;
	}
	if (bytes <= 0) {
		if (bytes == 0)
			snprintf(text, sizeof(text), "has closed its channel");
		else if (errno == EMSGSIZE)
			snprintf(text, sizeof(text),
			    "sent a message larger "
			    "than any or with too many descriptors");
		else
			snprintf(text, sizeof(text), "cannot be read from: %s",
			    diag_errno());
		peer_gone(p, text);
		return false;
	}
	broken = broken_rule(span_make(incoming, (size_t)bytes), p->other,
	    p->own, fd_count, &type, &body, text);
	if (broken)
		peer_gone(p, broken);
	else if (p->on_message)
		p->on_message(p->arg, type, body, fds, fd_count);
	for (size_t i = 0; i < fd_count; i++)
		fd_close(&fds[i]);
	return true;
}

/* NULL when a row allows the message, else which rule it broke, in `text`. */
static const char *
broken_rule(struct span message, enum role from, enum role to, size_t fd_count,
    enum message_type *type, struct span *body, char *text)
{
	const struct message_row *row;

	*type = message_type_of(message, body);
	row = message_row(*type);
	if (!row)
		snprintf(text, REASON_MOST,
		    "sent %zu bytes that are no "
		    "message, or one larger than its row allows",
		    message.bytes);
	else if (!message_allowed(*type, from, to))
		snprintf(text, REASON_MOST,
		    "sent %s, which only %s may send "
		    "to %s",
		    row->name, role_name(row->from), role_name(row->to));
	else if (fd_count < row->fds_least || fd_count > row->fds_most)
		snprintf(text, REASON_MOST, "sent %s with %zu descriptors",
		    row->name, fd_count);
	else
		return NULL;
	return text;
}

/* ---- sending ------------------------------------------------------------------ */

/* Into the shared buffer; the span is good until the next message. */
static int
encode(enum message_type type, const void *m, size_t fd_count,
    struct span *message)
{
	const struct message_row *row = message_row(type);

	assert(row && fd_count >= row->fds_least && fd_count <= row->fds_most);
	buf_clear(&outgoing);
	if (message_encode(&outgoing, type, m) != 0) {
		errno = EMSGSIZE;
		return -1;
	}
	*message = buf_span(&outgoing);
	return 0;
}

static int
peer_queue(struct peer *p, struct span message, const int *fds, size_t fd_count)
{
	struct waiting *w;

	if (message.bytes > PEER_QUEUE_BYTES - p->queued) {
		errno = ENOBUFS;
		return -1;
	}
	w = malloc(sizeof(*w) + message.bytes);
	if (!w)
		return -1;
	list_init(&w->node);
	w->bytes = message.bytes;
	memcpy(w->data, message.data, message.bytes);
	for (w->fd_count = 0; w->fd_count < fd_count; w->fd_count++) {
		/* The caller's may be closed, or be another file, by then. */
		int copy = fcntl(fds[w->fd_count], F_DUPFD_CLOEXEC, 3);

		if (copy < 0) {
			waiting_free(&w);
			return -1;
		}
		w->fds[w->fd_count] = copy;
	}
	list_add_last(&p->queue, &w->node);
	p->queued += w->bytes;
	return 0;
}

/* Sends what waits, as far as there is room. */
static void
peer_drain(struct peer *p)
{
	struct waiting *w;
	struct list *node;

	while ((node = list_first(&p->queue))) {
		w = LIST_OWNER(node, struct waiting, node);
		if (fd_send(p->fd, span_make(w->data, w->bytes), w->fds,
			w->fd_count) < 0) {
			peer_await_room(p, errno);
			return;
		}
		p->queued -= w->bytes;
		waiting_free(&w);
	}
	if (p->state == FINISHING)
		peer_move(p, FREED);
	else
		loop_change(p->loop, &p->watch, LOOP_READ);
}

/* Why nothing could be sent just now, but later may. */
static bool
passes(int error)
{
	return error == EAGAIN || error == ENOBUFS || error == ENOMEM ||
	    error == ETOOMANYREFS;
}

/* EAGAIN ends with a writable event. What else passes (memory, or too many
 * descriptors under way) does so without one, so time tells. A channel that
 * the other end closed is left to the reading side, which first takes what was
 * sent before. */
static void
peer_await_room(struct peer *p, int error)
{
	unsigned reading = p->state == OPEN ? LOOP_READ : 0;
	char text[REASON_MOST];

	if (error == ECONNRESET)
		p->unread = true;
	if (error == EAGAIN) {
		loop_change(p->loop, &p->watch, reading | LOOP_WRITE);
	} else if (p->state == OPEN && passes(error)) {
		loop_change(p->loop, &p->watch, LOOP_READ);
		loop_timer_set(p->loop, &p->timer,
		    loop_now_ms(p->loop) + STARVED_MS);
	} else if (p->state == OPEN &&
	    (error == EPIPE || error == ECONNRESET)) {
		loop_change(p->loop, &p->watch, LOOP_READ);
	} else {
		snprintf(text, sizeof(text), "cannot be written to: %s",
		    strerrordesc_np(error));
		peer_gone(p, text);
	}
}

static void
peer_drop_queue(struct peer *p)
{
	struct waiting *w;
	struct list *node;

	while ((node = list_first(&p->queue))) {
		w = LIST_OWNER(node, struct waiting, node);
		waiting_free(&w);
	}
	p->queued = 0;
}

static void
waiting_free(struct waiting **owned)
{
	struct waiting *w = *owned;

	*owned = NULL;
	list_remove(&w->node);
	for (size_t i = 0; i < w->fd_count; i++)
		fd_close(&w->fds[i]);
	free(w);
}
