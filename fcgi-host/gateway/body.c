/* SPDX-License-Identifier: MIT */
/* body.c - what becomes a function's standard input. A file, complete before the
 * function starts: sealed memory up to body.memory, else an unlinked file of the
 * spool; so a slow upload holds no process and a function that reads late, or
 * never, blocks nobody. Both are read-only for the function and have mode 0444,
 * so that it may open /dev/stdin. Or a pipe, when its settings ask for one. No
 * body is no file: the cell gives /dev/null. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"

#include "gateway/gateway.h"

/* Small pieces of one read of one connection are put together here. */
static char stage[BODY_STAGE_BYTES];
static size_t stage_bytes;
static const struct request *stage_owner;

static void body_move(struct body *, enum body_kind);
static enum body_result body_write(struct request *, struct span);
static enum body_result body_reserve_spool(struct request *, uint64_t bytes);
static int body_write_file(struct body *, struct span);
static int body_write_pipe(struct request *, struct span);
static int body_to_memory(struct request *, uint64_t bytes);
static int body_to_spool(struct request *);
static void body_spool_gone(struct gateway *);
static int body_copy(int from, int to, uint64_t bytes);
static void body_unreserve(struct request *);
static void body_writable(void *arg, unsigned events);
static void body_pipe_end(struct request *);

void
body_init(struct body *b)
{
	*b = (struct body){ .fd = -1,
		.read_fd = -1,
		.expected = UINT64_MAX,
		.most = UINT64_MAX };
	buf_init(&b->rest, CONNECTION_READ_BYTES + BODY_STAGE_BYTES);
	buf_init(&b->again, BODY_AGAIN_MOST);
	watch_init(&b->watch, NULL, NULL);
}

void
body_free(struct request *r)
{
	struct body *b = &r->body;

	if (stage_owner == r)
		stage_bytes = 0;
	body_unreserve(r);
	if (b->spooled > 0) {
		r->gateway->body_spool -= b->spooled;
		r->tenant->body_spool -= b->spooled;
	}
	loop_unwatch(r->gateway->loop, &b->watch);
	fd_close(&b->fd);
	fd_close(&b->read_fd);
	buf_free(&b->rest);
	buf_free(&b->again);
	body_init(b);
}

static void
body_move(struct body *b, enum body_kind to)
{
	static const bool drawn[][BODY_PIPE + 1] = {
		[BODY_NONE] = { [BODY_MEMORY] = true,
		    [BODY_SPOOL] = true,
		    [BODY_PIPE] = true },
		[BODY_MEMORY] = { [BODY_SPOOL] = true },
		[BODY_SPOOL] = { false },
		[BODY_PIPE] = { false },
	};

	if (!drawn[b->kind][to])
		diag_panic("a body of kind %d cannot become %d", b->kind, to);
	b->kind = to;
}

/* What is more than the announced length is dropped (F8). */
enum body_result
body_put(struct request *r, struct span s)
{
	struct body *b = &r->body;
	uint64_t left = b->expected - b->bytes;
	enum body_result result;

	if (b->complete || b->discard)
		return BODY_TAKEN;
	if (b->expected != UINT64_MAX)
		s = span_take(s, left < s.bytes ? (size_t)left : s.bytes);
	if (s.bytes > b->most - b->bytes)
		return BODY_TOO_LARGE;
	if (s.bytes > sizeof(stage) - stage_bytes &&
	    (result = body_flush(r)) != BODY_TAKEN)
		return result;
	b->bytes += s.bytes;
	if (stage_bytes == 0 && s.bytes >= sizeof(stage) / 4)
		return body_write(r, s);
	stage_owner = r;
	if (s.bytes > 0)
		memcpy(stage + stage_bytes, s.data, s.bytes);
	stage_bytes += s.bytes;
	return BODY_TAKEN;
}

enum body_result
body_flush(struct request *r)
{
	struct span s = span_make(stage, stage_bytes);

	stage_bytes = 0;
	if (s.bytes == 0 || r->body.discard)
		return BODY_TAKEN;
	return body_write(r, s);
}

/* b->bytes counts s already. */
static enum body_result
body_write(struct request *r, struct span s)
{
	const struct config *config = r->gateway->config;
	struct body *b = &r->body;
	uint64_t size = b->expected != UINT64_MAX ? b->expected : b->bytes;
	enum body_result result;
	bool memory;

	if (b->kind == BODY_PIPE)
		return body_write_pipe(r, s) == 0 ? BODY_TAKEN : BODY_NO_ROOM;
	memory = b->kind != BODY_SPOOL && size <= config->body_memory &&
	    body_to_memory(r, b->bytes) == 0;
	if (!memory) {
		result = body_reserve_spool(r, b->bytes);
		if (result != BODY_TAKEN)
			return result;
		if (b->kind != BODY_SPOOL && body_to_spool(r) != 0)
			return BODY_NO_ROOM;
	}
	return body_write_file(b, s) == 0 ? BODY_TAKEN : BODY_NO_ROOM;
}

/* What came, not what was announced: nobody takes the others' disk by a
 * Content-Length alone. */
static enum body_result
body_reserve_spool(struct request *r, uint64_t bytes)
{
	struct gateway *g = r->gateway;
	uint64_t more = bytes - r->body.spooled;

	if (r->tenant->body_spool + more > r->tenant->terms->spool)
		return BODY_TENANT_FULL;
	if (g->body_spool + more > g->config->body_spool_total)
		return BODY_HOST_FULL;
	r->tenant->body_spool += more;
	g->body_spool += more;
	r->body.spooled = bytes;
	return BODY_TAKEN;
}

/* By position: the offset, which the function gets with the file, stays 0. */
static int
body_write_file(struct body *b, struct span s)
{
	uint64_t at = b->bytes - s.bytes;
	ssize_t n;

	while (s.bytes > 0) {
		n = pwrite(b->fd, s.data, s.bytes, (off_t)at);
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			at += (uint64_t)n;
			s = span_skip(s, (size_t)n);
		}
	}
	return 0;
}

/* 0 when the body may be, and is, in memory up to this size. */
static int
body_to_memory(struct request *r, uint64_t bytes)
{
	struct gateway *g = r->gateway;
	struct body *b = &r->body;
	uint64_t more = bytes - b->reserved;

	if (g->body_memory + more > g->config->body_memory_total)
		return -1;
	if (b->kind == BODY_NONE) {
		b->fd = memfd_create("body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (b->fd < 0)
			return -1;
		body_move(b, BODY_MEMORY);
	}
	g->body_memory += more;
	b->reserved += more;
	return 0;
}

/* The name is gone before a byte is in the file; the second descriptor cannot
 * write. */
static int
body_to_spool(struct request *r)
{
	struct gateway *g = r->gateway;
	struct body *b = &r->body;
	int memory = b->fd, fd = -1, read_fd = -1, error = 0;

	fd = openat(g->spool_fd, r->name,
	    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
	if (fd < 0 && errno == ENOENT)
		body_spool_gone(g);
	if (fd < 0)
		return -1;
	read_fd =
	    openat(g->spool_fd, r->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (read_fd < 0 || fchmod(fd, 0444) != 0)
		error = errno;
	unlinkat(g->spool_fd, r->name, 0);
	if (error == 0 && b->reserved > 0 &&
	    body_copy(memory, fd, b->reserved) != 0)
		error = errno;
	if (error != 0) {
		fd_close(&fd);
		fd_close(&read_fd);
		errno = error;
		return -1;
	}
	body_move(b, BODY_SPOOL);
	fd_close(&memory);
	body_unreserve(r);
	b->fd = fd;
	b->read_fd = read_fd;
	return 0;
}

void
body_spool_set(struct gateway *g, int *fd)
{
	fd_close(&g->spool_fd);
	g->spool_fd = *fd;
	*fd = -1;
	g->spool_gone = false;
}

/* In a directory that was removed nothing can be made. errno is kept. */
static void
body_spool_gone(struct gateway *g)
{
	if (!g->spool_gone)
		diag_error("the spool directory %s/spool was removed (option "
			   "run): bodies that are not kept in memory "
			   "(body.memory = %llu) are refused; a reload makes "
			   "it again",
		    g->config->run, (unsigned long long)g->config->body_memory);
	g->spool_gone = true;
	errno = ENOENT;
}

static int
body_copy(int from, int to, uint64_t bytes)
{
	static char block[64 * 1024];
	uint64_t at = 0;

	while (at < bytes) {
		ssize_t n = pread(from, block, sizeof(block), (off_t)at);

		if (n == 0)
			break;
		if (n < 0 || pwrite(to, block, (size_t)n, (off_t)at) != n)
			return -1;
		at += (uint64_t)n;
	}
	return 0;
}

int
body_close(struct request *r)
{
	struct body *b = &r->body;

	b->complete = true;
	switch (b->kind) {
	case BODY_NONE:
		return 0;
	case BODY_MEMORY:
		if (fchmod(b->fd, 0444) != 0 ||
		    fcntl(b->fd, F_ADD_SEALS,
			F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW |
			    F_SEAL_SEAL) != 0)
			return -1;
		b->read_fd = b->fd;
		b->fd = -1;
		return 0;
	case BODY_SPOOL:
		fd_close(&b->fd);
		return 0;
	case BODY_PIPE:
		body_pipe_end(r);
		return 0;
	}
	return 0;
}

static void
body_unreserve(struct request *r)
{
	r->gateway->body_memory -= r->body.reserved;
	r->body.reserved = 0;
}

/* ---- the pipe ------------------------------------------------------------- */

int
body_stream(struct request *r)
{
	struct body *b = &r->body;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	if (fchmod(fds[0], 0444) != 0 || fd_nonblock(fds[1], true) != 0) {
		fd_close(&fds[0]);
		fd_close(&fds[1]);
		return -1;
	}
	b->read_fd = fds[0];
	b->fd = fds[1];
	watch_init(&b->watch, body_writable, r);
	body_move(b, BODY_PIPE);
	return 0;
}

bool
body_full(const struct body *b)
{
	return buf_bytes(&b->rest) > 0;
}

/* A function need not read its input: once nobody can, the rest is dropped. */
static int
body_write_pipe(struct request *r, struct span s)
{
	struct body *b = &r->body;
	ssize_t n = 0;

	if (!body_full(b))
		n = write(b->fd, s.data, s.bytes);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		b->discard = true;
		body_pipe_end(r);
		return 0;
	}
	if (n > 0)
		s = span_skip(s, (size_t)n);
	if (s.bytes == 0)
		return 0;
	if (buf_put(&b->rest, s) != 0)
		return -1;
	if (b->watch.fd < 0)
		return loop_watch(r->gateway->loop, &b->watch, b->fd,
		    LOOP_WRITE);
	return 0;
}

static void
body_writable(void *arg, unsigned events)
{
	struct request *r = arg;
	struct body *b = &r->body;
	struct span s = buf_span(&b->rest);
	ssize_t n;

	(void)events;
	n = write(b->fd, s.data, s.bytes);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		b->discard = true;
		buf_clear(&b->rest);
	} else {
		buf_taken(&b->rest, (size_t)n);
	}
	if (body_full(b))
		return;
	loop_unwatch(r->gateway->loop, &b->watch);
	buf_free(&b->rest);
	if (b->complete || b->discard)
		body_pipe_end(r);
	if (r->front)
		connection_touch(r->front);
}

/* Once what waits is written, the reader sees the end. */
static void
body_pipe_end(struct request *r)
{
	struct body *b = &r->body;

	if (body_full(b) && !b->discard)
		return;
	loop_unwatch(r->gateway->loop, &b->watch);
	fd_close(&b->fd);
}
