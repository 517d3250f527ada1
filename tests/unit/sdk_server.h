/* SPDX-License-Identifier: MIT */
/* sdk_server.h - a host for the SDK that does as its script says: for each
 * request, or connection, the next turn. A thread of the test with a Unix socket
 * in a directory of its own; what it was asked can be read afterwards. */
#ifndef SDK_SERVER_H
#define SDK_SERVER_H

#include "place.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/span.h"

enum {
	SERVER_TURNS_MOST = 32,
	SERVER_REQUEST_MOST = 3 * 1024 * 1024,
	SERVER_PATIENCE_MS = 20000,
};

enum turn_kind {
	TURN_REPLY,	  /* reads the request whole, writes `text`, goes on */
	TURN_BYTES,	  /* the same, one byte a write */
	TURN_REPLY_CLOSE, /* the same, and closes without having said so */
	TURN_CLOSE,	  /* reads the request whole and closes */
	TURN_UNREAD,	  /* closes when there is something to read, unread */
	TURN_EARLY,	  /* reads the header only, writes `text`, closes */
	TURN_HANG,	  /* reads the request whole; closes when the client
			   * has */
};

struct turn {
	enum turn_kind kind;
	const char *text; /* a star for its length becomes that */
};

struct server {
	struct place *place;
	char path[108];
	int listener;
	int stop[2];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	/* below the lock */
	struct turn turns[SERVER_TURNS_MOST];
	unsigned turn_count;
	unsigned turn;	      /* next */
	unsigned connections; /* ever */
	char *requests[SERVER_TURNS_MOST];
	size_t request_bytes[SERVER_TURNS_MOST];
};

static inline bool
server_wait(struct server *s, int fd)
{
	struct pollfd ready[2] = { { .fd = fd, .events = POLLIN },
		{ .fd = s->stop[0], .events = POLLIN } };

	while (poll(ready, 2, -1) < 0)
		;
	return ready[1].revents == 0;
}

/* Reads one request, or its header: NULL at the connection's end. Whoever has the
 * text frees it. */
static inline char *
server_read(struct server *s, int fd, bool head_only, size_t *bytes)
{
	char *text = calloc(1, SERVER_REQUEST_MOST + 1), *end = NULL, *field;
	size_t have = 0, wanted = SIZE_MAX;
	ssize_t n;

	while (have < wanted && server_wait(s, fd)) {
		n = read(fd, text + have,
		    head_only ? 1 : SERVER_REQUEST_MOST - have);
		if (n <= 0)
			break;
		have += (size_t)n;
		end = end ? end : strstr(text, "\r\n\r\n");
		if (!end || wanted < SIZE_MAX)
			continue;
		field = strstr(text, "\r\nContent-Length: ");
		wanted = (size_t)(end - text) + 4;
		if (field && field < end && !head_only)
			wanted += strtoul(field + 18, NULL, 10);
	}
	*bytes = have;
	if (have >= wanted)
		return text;
	free(text);
	return NULL;
}

static inline void
server_write(int fd, const struct turn *t)
{
	const char *star = strstr(t->text, "Content-Length: *");
	const char *body = strstr(t->text, "\r\n\r\n");
	char *whole = NULL;
	struct span text = span_of(t->text);
	size_t piece;

	if (star && body) {
		star += strlen("Content-Length: ");
		assert_true(asprintf(&whole, "%.*s%zu%s", (int)(star - t->text),
				t->text, strlen(body + 4), star + 1) > 0);
		text = span_of(whole);
	}
	piece = t->kind == TURN_BYTES ? 1 : text.bytes;
	while (text.bytes > 0) {
		fd_write_all(fd, span_take(text, piece));
		text = span_skip(text, piece);
	}
	free(whole);
}

/* One turn: false when the connection is over. */
static inline bool
server_turn(struct server *s, int fd, const struct turn *t, unsigned number)
{
	char *request = NULL, byte;
	size_t bytes = 0;

	if (t->kind == TURN_UNREAD) {
		server_wait(s, fd);
	} else {
		request = server_read(s, fd, t->kind == TURN_EARLY, &bytes);
		if (!request)
			return false;
	}
	if (t->text)
		server_write(fd, t);
	if (t->kind == TURN_HANG && server_wait(s, fd))
		while (read(fd, &byte, 1) > 0)
			;
	pthread_mutex_lock(&s->lock);
	s->requests[number] = request;
	s->request_bytes[number] = bytes;
	pthread_mutex_unlock(&s->lock);
	return t->kind <= TURN_BYTES;
}

static inline void
server_done(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	s->turn++;
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

static inline bool
server_next(struct server *s, struct turn *turn)
{
	bool more;

	pthread_mutex_lock(&s->lock);
	more = s->turn < s->turn_count;
	if (more)
		*turn = s->turns[s->turn];
	pthread_mutex_unlock(&s->lock);
	return more;
}

static inline void
server_connection(struct server *s, int fd)
{
	struct turn turn;
	bool on = true;

	while (on && server_wait(s, fd) && server_next(s, &turn)) {
		on = server_turn(s, fd, &turn, s->turn);
		if (!on)
			fd_close(&fd); /* before anybody knows of it */
		if (on || turn.kind > TURN_BYTES)
			server_done(s);
	}
	fd_close(&fd);
}

static inline void *
server_run(void *arg)
{
	struct server *s = arg;
	int fd;

	while (server_wait(s, s->listener)) {
		fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		pthread_mutex_lock(&s->lock);
		s->connections++;
		pthread_mutex_unlock(&s->lock);
		server_connection(s, fd);
	}
	return NULL;
}

static inline void
server_open(struct server *s)
{
	void *place = NULL;

	memset(s, 0, sizeof(*s));
	assert_int_equal(place_make(&place), 0);
	s->place = place;
	snprintf(s->path, sizeof(s->path), "%s/fn.sock", s->place->path);
	s->listener = fd_listen_unix(s->path, SOCK_STREAM, 0600, (gid_t)-1);
	assert_true(s->listener >= 0);
	assert_int_equal(pipe(s->stop), 0);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->moved, NULL);
	assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
}

static inline void
server_close(struct server *s)
{
	void *place = s->place;

	assert_int_equal(write(s->stop[1], "", 1), 1);
	pthread_join(s->thread, NULL);
	close(s->stop[0]);
	close(s->stop[1]);
	close(s->listener);
	for (unsigned i = 0; i < SERVER_TURNS_MOST; i++)
		free(s->requests[i]);
	place_remove(&place);
}

/* Adds a turn to the script. */
static inline void
server_says(struct server *s, enum turn_kind kind, const char *text)
{
	pthread_mutex_lock(&s->lock);
	assert_true(s->turn_count < SERVER_TURNS_MOST);
	s->turns[s->turn_count++] = (struct turn){ kind, text };
	pthread_mutex_unlock(&s->lock);
}

/* All turns of the script have been taken, and the connections closed of which it
 * says so. Returns how many connections there were. */
static inline unsigned
server_finished(struct server *s)
{
	struct timespec until;
	unsigned connections;
	int result = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SERVER_PATIENCE_MS / 1000;
	pthread_mutex_lock(&s->lock);
	while (s->turn < s->turn_count && result == 0)
		result = pthread_cond_timedwait(&s->moved, &s->lock, &until);
	if (s->turn < s->turn_count)
		fail_msg("only %u of %u turns were taken", s->turn,
		    s->turn_count);
	connections = s->connections;
	pthread_mutex_unlock(&s->lock);
	return connections;
}

#endif
