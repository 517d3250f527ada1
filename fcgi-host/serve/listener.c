/* SPDX-License-Identifier: MIT */
/* listener.c - who may connect (SO_PEERCRED), and whether there are descriptors
 * for one more. A connection that cannot be served waits in the kernel's queue,
 * where it costs nothing; the listener is looked at again when a descriptor was
 * closed, or after a second. */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/proc.h"

#include "serve/connection.h"

static void listener_ready(void *arg, unsigned events);
static bool listener_accept(struct serve *);
static void listener_pause(struct serve *, const char *why);
static void listener_resume(void *arg);
static size_t raise_fd_limit(void);
static bool may_connect(const struct serve *, const struct fd_peer *);

void
serve_open(struct serve *s, int fd)
{
	struct listener *l = &s->listener;

	*l = (struct listener){
		.state = LISTENER_OPEN, .fd = fd, .fd_limit = raise_fd_limit()
	};
	watch_init(&l->watch, listener_ready, s);
	timer_init(&l->pause, listener_resume, s);
	if (fd_nonblock(l->fd, true) != 0 || fd_cloexec(l->fd, true) != 0 ||
	    loop_watch(s->loop, &l->watch, l->fd, LOOP_READ) != 0)
		diag_fatal("cannot listen on the %s socket (descriptor %d): "
			   "%s",
		    s->name, l->fd, diag_errno());
}

/* Names that this machine does not have are no error: the configuration may be
 * for several. */
void
serve_users(struct serve *s, char *const *names, size_t count,
    const char *option)
{
	gid_t gid;

	free(s->users);
	s->user_count = 0;
	s->users_option = option;
	s->users = diag_alloc((count + 1) * sizeof(uid_t));
	for (size_t i = 0; i < count; i++)
		if (proc_find_user(names[i], &s->users[s->user_count], &gid) ==
		    0)
			s->user_count++;
		else
			diag_info("%s: there is no user %s here", option,
			    names[i]);
}

void
listener_close(struct serve *s)
{
	struct listener *l = &s->listener;

	if (l->state == LISTENER_OPEN || l->state == LISTENER_PAUSED) {
		loop_timer_clear(s->loop, &l->pause);
		loop_unwatch(s->loop, &l->watch);
		fd_close(&l->fd);
	}
	l->state = LISTENER_CLOSED;
}

bool
serve_affords(const struct serve *s)
{
	size_t used = s->reserve + s->connections +
	    (s->hooks->fds ? s->hooks->fds(s->owner) : 0);

	return used + 1 + s->request_fds < s->listener.fd_limit;
}

void
serve_freed(struct serve *s)
{
	if (s->listener.state == LISTENER_PAUSED && serve_affords(s))
		listener_resume(s);
}

static void
listener_ready(void *arg, unsigned events)
{
	struct serve *s = arg;

	(void)events;
	for (int i = 0; i < SERVE_BATCH; i++)
		if (s->listener.state != LISTENER_OPEN || !listener_accept(s))
			return;
}

/* False when there is nothing more to accept for now. */
static bool
listener_accept(struct serve *s)
{
	struct fd_peer peer;
	int fd;

	if (!serve_affords(s)) {
		listener_pause(s, "as many as its limit of open files allows");
		return false;
	}
	fd = accept4(s->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			listener_pause(s, diag_errno());
		return errno == ECONNABORTED || errno == EINTR;
	}
	if (fd_peer_of(fd, &peer) != 0 || !may_connect(s, &peer)) {
		s->refused++;
		diag_warn("connection to the %s socket refused: user %u is "
			  "not in %s; pid=%ld",
		    s->name, (unsigned)peer.uid,
		    s->users_option ? s->users_option : "any list",
		    (long)peer.pid);
		fd_close(&fd);
		return true;
	}
	s->accepted++;
	connection_new(s, &fd, false, NULL);
	return true;
}

static void
listener_pause(struct serve *s, const char *why)
{
	s->pauses++;
	diag_warn("no more connections are accepted: %s; looking again in a "
		  "second; connections=%zu descriptors=%zu",
	    why, s->connections, s->hooks->fds ? s->hooks->fds(s->owner) : 0);
	s->listener.state = LISTENER_PAUSED;
	loop_change(s->loop, &s->listener.watch, 0);
	loop_timer_set(s->loop, &s->listener.pause,
	    loop_now_ms(s->loop) + SERVE_PAUSE_MS);
}

static void
listener_resume(void *arg)
{
	struct serve *s = arg;

	if (s->listener.state != LISTENER_PAUSED)
		return;
	s->listener.state = LISTENER_OPEN;
	loop_timer_clear(s->loop, &s->listener.pause);
	loop_change(s->loop, &s->listener.watch, LOOP_READ);
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
may_connect(const struct serve *s, const struct fd_peer *peer)
{
	if (peer->uid == 0 || peer->uid == s->uid)
		return true;
	for (size_t i = 0; i < s->user_count; i++)
		if (s->users[i] == peer->uid)
			return true;
	return false;
}
