/* SPDX-License-Identifier: MIT */
/* listener.c - the front listener: who may connect (SO_PEERCRED), and whether
 * there are descriptors for one more. A connection that cannot be served waits
 * in the kernel's queue, where it costs nothing; the listener is looked at again
 * when a descriptor was closed, or after a second. */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/diag.h"

#include "gateway/gateway.h"

/*   OPEN ◀──(freed, a second later)── PAUSED
 *     └──────(descriptors are short)────▶┘        any ─▶ CLOSED */
enum listener_state { LISTENER_OPEN, LISTENER_PAUSED, LISTENER_CLOSED };

struct listener {
	enum listener_state state;
	struct gateway *gateway;
	int fd; /* ours */
	size_t fd_limit;
	struct watch watch;
	struct timer pause;
};

static void listener_ready(void *arg, unsigned events);
static bool listener_accept(struct listener *);
static void listener_pause(struct listener *, const char *why);
static void listener_resume(void *arg);
static size_t raise_fd_limit(void);
static bool may_connect(const struct gateway *, const struct fd_peer *);

void
listener_open(struct gateway *g)
{
	struct listener *l = diag_alloc(sizeof(*l));

	*l = (struct listener){ .gateway = g,
		.fd = GATEWAY_FRONT_FD,
		.fd_limit = raise_fd_limit() };
	g->listener = l;
	watch_init(&l->watch, listener_ready, l);
	timer_init(&l->pause, listener_resume, l);
	if (fd_nonblock(l->fd, true) != 0 || fd_cloexec(l->fd, true) != 0 ||
	    loop_watch(g->loop, &l->watch, l->fd, LOOP_READ) != 0)
		diag_fatal("cannot listen on the front socket (descriptor %d): "
			   "%s",
		    l->fd, diag_errno());
}

void
listener_close(struct gateway *g)
{
	struct listener *l = g->listener;

	if (l->state == LISTENER_CLOSED)
		return;
	l->state = LISTENER_CLOSED;
	loop_timer_clear(g->loop, &l->pause);
	loop_unwatch(g->loop, &l->watch);
	fd_close(&l->fd);
}

bool
listener_affords(const struct gateway *g)
{
	size_t used = LISTENER_RESERVE + g->front_count + g->cell_count +
	    g->launcher_count + g->request_count * LISTENER_REQUEST_FDS;

	return used + 1 + LISTENER_REQUEST_FDS < g->listener->fd_limit;
}

void
listener_freed(struct gateway *g)
{
	if (g->listener->state == LISTENER_PAUSED && listener_affords(g))
		listener_resume(g->listener);
}

static void
listener_ready(void *arg, unsigned events)
{
	struct listener *l = arg;

	(void)events;
	for (int i = 0; i < LISTENER_BATCH; i++)
		if (l->state != LISTENER_OPEN || !listener_accept(l))
			return;
}

/* False when there is nothing more to accept for now. */
static bool
listener_accept(struct listener *l)
{
	struct gateway *g = l->gateway;
	struct fd_peer peer;
	int fd;

	if (!listener_affords(g)) {
		listener_pause(l, "as many as its limit of open files allows");
		return false;
	}
	fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			listener_pause(l, diag_errno());
		return errno == ECONNABORTED || errno == EINTR;
	}
	if (fd_peer_of(fd, &peer) != 0 || !may_connect(g, &peer)) {
		g->stats.connections_refused++;
		diag_warn("connection to the front socket refused: user %u is "
			  "not in front.users; pid=%ld",
		    (unsigned)peer.uid, (long)peer.pid);
		fd_close(&fd);
		return true;
	}
	g->stats.connections++;
	front_new(g, &fd, SPAN_NONE, SPAN_NONE);
	return true;
}

static void
listener_pause(struct listener *l, const char *why)
{
	struct gateway *g = l->gateway;

	g->stats.accept_pauses++;
	diag_warn("no more connections are accepted: %s; looking again in a "
		  "second; connections=%zu requests=%zu",
	    why, g->front_count, g->request_count);
	l->state = LISTENER_PAUSED;
	loop_change(g->loop, &l->watch, 0);
	loop_timer_set(g->loop, &l->pause,
	    loop_now_ms(g->loop) + LISTENER_PAUSE_MS);
}

static void
listener_resume(void *arg)
{
	struct listener *l = arg;

	if (l->state != LISTENER_PAUSED)
		return;
	l->state = LISTENER_OPEN;
	loop_timer_clear(l->gateway->loop, &l->pause);
	loop_change(l->gateway->loop, &l->watch, LOOP_READ);
}

static size_t
raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 1024;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			getrlimit(RLIMIT_NOFILE, &limit);
	}
	return (size_t)limit.rlim_cur;
}

static bool
may_connect(const struct gateway *g, const struct fd_peer *peer)
{
	if (peer->uid == 0 || peer->uid == g->uid)
		return true;
	for (size_t i = 0; i < g->front_user_count; i++)
		if (g->front_users[i] == peer->uid)
			return true;
	return false;
}
