/* SPDX-License-Identifier: MIT */
/* herald.c - see herald.h. What is not the line it could begin with goes to the
 * log process as it came, pipe and all. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

#include "gateway/gateway.h"
#include "gateway/herald.h"

enum { HERALD_LINE_MOST = 32 };

static void herald_hears(void *arg, unsigned events);
static void herald_pass(struct herald *, struct span said);

void
herald_init(struct herald *h, struct run *run, struct span line,
    void (*ready)(void *run_arg))
{
	*h = (struct herald){
		.run = run, .line = line, .ready = ready, .fd = -1
	};
	watch_init(&h->watch, herald_hears, h);
}

int
herald_watch(struct herald *h)
{
	return loop_watch(h->run->gateway->loop, &h->watch, h->fd, LOOP_READ);
}

void
herald_close(struct herald *h)
{
	loop_unwatch(h->run->gateway->loop, &h->watch);
	fd_close(&h->fd);
}

static void
herald_hears(void *arg, unsigned events)
{
	struct herald *h = arg;
	char said[HERALD_LINE_MOST];
	ssize_t n;

	(void)events;
	if (h->said == h->line.bytes) {
		herald_pass(h, SPAN_NONE);
		return;
	}
	n = run_read(h->run->gateway, h->fd, said, h->line.bytes - h->said);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		herald_close(h);
		return;
	}
	if (memcmp(said, h->line.data + h->said, (size_t)n) != 0) {
		herald_pass(h, span_make(said, (size_t)n));
		return;
	}
	h->said += (size_t)n;
	if (h->said == h->line.bytes)
		h->ready(h->run->arg);
}

/* With what was read of it already. */
static void
herald_pass(struct herald *h, struct span said)
{
	struct gateway *g = h->run->gateway;
	struct run_about about = h->run->owner->about(h->run->arg);
	char more[4096];
	int ends[2];
	ssize_t n;

	loop_unwatch(g->loop, &h->watch);
	if (said.bytes > 0 && pipe2(ends, O_CLOEXEC) == 0) {
		(void)!write(ends[1], h->line.data, h->said);
		(void)!write(ends[1], said.data, said.bytes);
		n = run_read(g, h->fd, more, sizeof(more));
		if (n > 0) /* so that a line stays one */
			(void)!write(ends[1], more, (size_t)n);
		fd_close(&ends[1]);
		access_stderr(g, &about, &ends[0], false);
		fd_close(&ends[0]);
	}
	if (!access_stderr(g, &about, &h->fd, false))
		g->stats.stderr_dropped++;
	fd_close(&h->fd);
}
