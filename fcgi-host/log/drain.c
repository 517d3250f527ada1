/* SPDX-License-Identifier: MIT */
/* drain.c - functions' stderr, from pipe to log. A pipe is read whether or not
 * its bytes are kept, so that no function ever waits for its log. Tenants have
 * turns: at the end of each batch of events each of those whose pipes have bytes
 * may cost so much work, its pipes one after the other, and the rest waits where
 * it is; and of each tenant only so many bytes a second are kept. So whoever
 * floods delays and loses nobody's lines but his own. A request has
 * one pipe, or several when it was redirected to another function; its result
 * is written when the last of them has ended, as the last line:
 *
 *	READING ──last pipe ends──▶ ENDED ──the result comes──▶ written at once
 *	   └─the result comes─▶ HELD ──last pipe ends, or──▶ written
 *	                               DRAIN_HOLD_MS
 * A request in ENDED is not known here any more. */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "wire/time_spec.h"

#include "log/log.h"

/* What belongs to no request, such as what a worker says between two, has the
 * id "-" with each tenant. */
struct request {
	struct map_node node; /* by tenant and id */
	struct drains *all;   /* borrowed, outlives us */
	size_t pipes;	      /* drains that point here; at least one */
	struct timer hold;    /* armed while HELD */
	struct buf result;    /* HELD: the line */
	bool ran;
	struct span id; /* into text */
	struct span tenant;
	char text[];
};

struct source { /* a tenant whose functions write, or did a moment ago */
	struct map_node node; /* in drains.sources, by name */
	struct list turn;     /* in drains.turns while pipes are ready */
	struct list ready;    /* its pipes with bytes, in turn */
	struct list idle;     /* in drains.idle without pipes, longest first */
	size_t pipes;
	size_t work;	    /* in this turn */
	uint64_t second_ms; /* when the second of kept_bytes began */
	uint64_t kept_bytes;
	uint64_t idle_since_ms;
	char name[];
};

struct drain {
	struct list node;	 /* in drains.list */
	struct list ready;	 /* in source.ready */
	struct drains *all;	 /* borrowed, outlives us */
	struct source *source;	 /* counted there */
	struct request *request; /* ours together with its other pipes */
	struct watch watch;
	struct deferred freed;
	int fd; /* ours */
	struct split split;
	uint64_t stderr_most; /* logs.stderr when it began */
	uint64_t read_bytes;
	uint64_t taken_bytes;  /* of them that are in the log */
	uint64_t kept_bytes;   /* what they became, with heads and escapes */
	uint64_t missed_bytes; /* faster than logs.rate, not told yet */
	bool over;	       /* kept_bytes reached stderr_most */
	size_t function_bytes;
	char function[];
};

struct drains {
	struct loop *loop;   /* borrowed */
	struct files *files; /* borrowed */
	struct map requests;
	struct map sources;
	struct list turns; /* sources with ready pipes */
	struct list idle;  /* sources without any */
	struct list list;
	size_t line_most;
	uint64_t stderr_most;
	uint64_t rate;	 /* bytes a second and tenant */
	struct buf line; /* the one being made */
	struct buf key;	 /* of request_key() */
	void (*on_result)(void *, struct span, struct span, struct span, bool);
	void *result_arg;
	void (*on_empty)(void *);
	void *empty_arg;
	char *block; /* DRAIN_COUNTED bytes */
};

static struct span request_key(struct drains *, struct span id,
    struct span tenant);
static struct request *request_find(struct drains *, struct span id,
    struct span tenant);
static struct request *request_take(struct drains *, struct span id,
    struct span tenant);
static void request_give(struct request *);
static void request_release(void *arg);
static struct source *source_take(struct drains *, struct span tenant);
static void source_give(struct drains *, struct source *);
static void source_free(struct drains *, struct source *);
static void sources_sweep(struct drains *, uint64_t now_ms);
static void source_turn(struct source *);
static bool source_keeps(struct drain *, size_t bytes);
static void drain_ready(void *arg, unsigned events);
static void drain_read(struct drain *);
static void drain_take(struct drain *, struct span bytes);
static void drain_keep(struct drain *, const struct split_piece *);
static void drain_over(struct drain *, uint64_t taken_bytes);
static void drain_missed(struct drain *);
static void drain_put(struct drain *, enum line_mark, struct span text);
static void drain_end(struct drain *);
static void drain_free(void *arg);
static void result_put(struct drains *, struct span request, struct span tenant,
    struct span line, bool make);

struct drains *
drains_new(struct loop *loop, struct files *files)
{
	struct drains *ds = diag_alloc(sizeof(*ds));

	ds->loop = loop;
	ds->files = files;
	ds->line_most = 8192;
	ds->stderr_most = ds->rate = UINT64_MAX;
	ds->block = diag_alloc(DRAIN_COUNTED);
	map_init(&ds->requests);
	map_init(&ds->sources);
	list_init(&ds->turns);
	list_init(&ds->idle);
	list_init(&ds->list);
	buf_init(&ds->line, FILES_LINE_MOST);
	buf_init(&ds->key, FILES_LINE_MOST);
	return ds;
}

void
drains_free(struct drains **taken)
{
	struct drains *ds = *taken;

	if (!ds)
		return;
	*taken = NULL;
	ds->on_empty = NULL;
	LIST_EACH(node, &ds->list)
		drain_end(LIST_OWNER(node, struct drain, node));
	sources_sweep(ds, UINT64_MAX);
	map_free(&ds->requests);
	map_free(&ds->sources);
	buf_free(&ds->line);
	buf_free(&ds->key);
	free(ds->block);
	free(ds);
}

void
drains_limits_set(struct drains *ds, size_t line, uint64_t stderr_most,
    uint64_t rate)
{
	ds->line_most = line;
	ds->stderr_most = stderr_most;
	ds->rate = rate;
}

void
drains_on_result(struct drains *ds,
    void (*on_result)(void *, struct span, struct span, struct span, bool),
    void *arg)
{
	ds->on_result = on_result;
	ds->result_arg = arg;
}

void
drains_on_empty(struct drains *ds, void (*on_empty)(void *), void *arg)
{
	ds->on_empty = on_empty;
	ds->empty_arg = arg;
}

bool
drains_empty(const struct drains *ds)
{
	return list_empty(&ds->list);
}

void
drains_add(struct drains *ds, const struct message_stderr *m, int *fd)
{
	struct drain *d = diag_alloc(sizeof(*d) + m->function.bytes + 1);

	d->all = ds;
	d->fd = *fd;
	*fd = -1;
	d->function_bytes = m->function.bytes;
	memcpy(d->function, m->function.data, m->function.bytes);
	d->stderr_most = ds->stderr_most;
	split_init(&d->split, ds->line_most);
	watch_init(&d->watch, drain_ready, d);
	list_add_last(&ds->list, &d->node);
	list_init(&d->ready);
	d->request = request_take(ds, m->request, m->tenant);
	d->source = source_take(ds, m->tenant);
	if (fd_nonblock(d->fd, true) != 0 ||
	    loop_watch(ds->loop, &d->watch, d->fd, LOOP_READ) != 0) {
		diag_error("cannot read the stderr of a function: %s; "
			   "request=%.*s tenant=%.*s function=%.*s",
		    diag_errno(), SPAN_ARGS(m->request), SPAN_ARGS(m->tenant),
		    SPAN_ARGS(m->function));
		drain_end(d);
	}
}

void
drains_result(struct drains *ds, const struct message_access *m)
{
	struct request *r = request_find(ds, m->request, m->tenant);
	char time[LINE_TIME_BYTES + 1];

	clock_iso(clock_unix_ms(), time);
	buf_clear(&ds->line);
	if (record_put_result(&ds->line, m, time) != 0)
		return;
	if (r && buf_bytes(&r->result) == 0 &&
	    buf_put(&r->result, buf_span(&ds->line)) == 0) {
		r->ran = m->ran != 0;
		loop_timer_set(ds->loop, &r->hold,
		    loop_now_ms(ds->loop) + DRAIN_HOLD_MS);
		return;
	}
	result_put(ds, m->request, m->tenant, buf_span(&ds->line), m->ran != 0);
}

/* Until the next one. */
static struct span
request_key(struct drains *ds, struct span id, struct span tenant)
{
	buf_clear(&ds->key);
	if (buf_printf(&ds->key, "%.*s/%.*s", SPAN_ARGS(tenant),
		SPAN_ARGS(id)) != 0)
		diag_fatal("no memory for a pipe, %zu requests have one",
		    ds->requests.count);
	return buf_span(&ds->key);
}

static struct request *
request_find(struct drains *ds, struct span id, struct span tenant)
{
	struct map_node *node =
	    map_find(&ds->requests, request_key(ds, id, tenant));

	return node ? MAP_OWNER(node, struct request, node) : NULL;
}

/* The request a further pipe belongs to. */
static struct request *
request_take(struct drains *ds, struct span id, struct span tenant)
{
	struct request *r = request_find(ds, id, tenant);
	struct span key = request_key(ds, id, tenant);

	if (r) {
		r->pipes++;
		return r;
	}
	r = diag_alloc(sizeof(*r) + key.bytes);
	r->all = ds;
	r->pipes = 1;
	memcpy(r->text, key.data, key.bytes);
	key = span_make(r->text, key.bytes);
	r->tenant = span_take(key, tenant.bytes);
	r->id = span_skip(key, tenant.bytes + 1);
	timer_init(&r->hold, request_release, r);
	buf_init(&r->result, FILES_LINE_MOST);
	if (map_add(&ds->requests, &r->node, key) != 0)
		diag_fatal("no memory for a pipe, %zu requests have one",
		    ds->requests.count);
	return r;
}

static void
request_give(struct request *r)
{
	if (--r->pipes > 0)
		return;
	request_release(r);
	map_remove(&r->all->requests, &r->node);
	buf_free(&r->result);
	free(r);
}

/* HELD no more: all pipes have ended, or somebody keeps one open. */
static void
request_release(void *arg)
{
	struct request *r = arg;

	loop_timer_clear(r->all->loop, &r->hold);
	if (buf_bytes(&r->result) == 0)
		return;
	result_put(r->all, r->id, r->tenant, buf_span(&r->result), r->ran);
	buf_clear(&r->result);
}

/* ---- tenants -------------------------------------------------------------------- */

void
drains_turn(struct drains *ds)
{
	LIST_EACH(node, &ds->turns)
		source_turn(LIST_OWNER(node, struct source, turn));
}

static struct source *
source_take(struct drains *ds, struct span tenant)
{
	struct map_node *node;
	struct source *s;

	sources_sweep(ds, loop_now_ms(ds->loop));
	node = map_find(&ds->sources, tenant);
	if (node) {
		s = MAP_OWNER(node, struct source, node);
	} else {
		s = diag_alloc(sizeof(*s) + tenant.bytes + 1);
		memcpy(s->name, tenant.data, tenant.bytes);
		list_init(&s->turn);
		list_init(&s->ready);
		list_init(&s->idle);
		if (map_add(&ds->sources, &s->node,
			span_make(s->name, tenant.bytes)) != 0)
			diag_fatal(
			    "no memory for a tenant's pipe, %zu have one",
			    ds->sources.count);
	}
	list_remove(&s->idle);
	s->pipes++;
	return s;
}

/* It is kept for a while, so that many short runs are not each a first. */
static void
source_give(struct drains *ds, struct source *s)
{
	if (--s->pipes > 0)
		return;
	assert(list_empty(&s->ready));
	s->idle_since_ms = loop_now_ms(ds->loop);
	list_add_last(&ds->idle, &s->idle);
}

static void
source_free(struct drains *ds, struct source *s)
{
	list_remove(&s->turn);
	list_remove(&s->idle);
	map_remove(&ds->sources, &s->node);
	free(s);
}

static void
sources_sweep(struct drains *ds, uint64_t now_ms)
{
	LIST_EACH(node, &ds->idle) {
		struct source *s = LIST_OWNER(node, struct source, idle);

		if (now_ms - s->idle_since_ms <= DRAIN_SECOND_MS)
			return;
		source_free(ds, s);
	}
}

/* What is not done is reported again by the loop, which does not wait then. */
static void
source_turn(struct source *s)
{
	s->work = 0;
	while (s->work < DRAIN_WORK && !list_empty(&s->ready)) {
		struct drain *d =
		    LIST_OWNER(list_first(&s->ready), struct drain, ready);

		list_remove(&d->ready);
		list_add_last(&s->ready, &d->ready);
		drain_read(d);
	}
	if (list_empty(&s->ready))
		list_remove(&s->turn);
}

/* May so many bytes more of its tenant be kept in this second? */
static bool
source_keeps(struct drain *d, size_t bytes)
{
	struct source *s = d->source;
	uint64_t now_ms = loop_now_ms(d->all->loop);

	if (now_ms - s->second_ms >= DRAIN_SECOND_MS) {
		s->second_ms = now_ms;
		s->kept_bytes = 0;
	}
	if (s->kept_bytes >= d->all->rate)
		return false;
	s->kept_bytes += bytes;
	return true;
}

/* ---- pipes ---------------------------------------------------------------------- */

static void
drain_ready(void *arg, unsigned events)
{
	struct drain *d = arg;
	struct source *s = d->source;

	(void)events;
	if (list_empty(&d->ready))
		list_add_last(&s->ready, &d->ready);
	if (list_empty(&s->turn))
		list_add_last(&d->all->turns, &s->turn);
}

/* A read that does not fill the block has emptied the pipe. */
static void
drain_read(struct drain *d)
{
	size_t room = d->over ? DRAIN_COUNTED : DRAIN_READ;
	ssize_t n = read(d->fd, d->all->block, room);

	if (n > 0) {
		d->source->work += (size_t)n / DRAIN_CHEAPER + 1;
		if ((size_t)n < room)
			list_remove(&d->ready);
		drain_take(d, span_make(d->all->block, (size_t)n));
	} else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		list_remove(&d->ready);
	} else {
		drain_end(d);
	}
}

static void
drain_take(struct drain *d, struct span bytes)
{
	struct split_piece piece;
	uint64_t taken = d->read_bytes - buf_bytes(&d->split.partial);

	d->read_bytes += bytes.bytes;
	while (!d->over && split_next(&d->split, &bytes, &piece)) {
		drain_keep(d, &piece);
		if (d->over)
			drain_over(d, taken);
		taken =
		    d->read_bytes - bytes.bytes - buf_bytes(&d->split.partial);
	}
}

static void
drain_keep(struct drain *d, const struct split_piece *piece)
{
	struct buf *line = &d->all->line;

	if (!source_keeps(d, piece->text.bytes + LINE_TIME_BYTES)) {
		d->missed_bytes += piece->text.bytes + 1;
		return;
	}
	drain_missed(d);
	drain_put(d, piece->mark, piece->text);
	d->source->work += buf_bytes(line);
	if (d->kept_bytes + buf_bytes(line) > d->stderr_most) {
		d->over = true;
		return;
	}
	d->kept_bytes += buf_bytes(line);
	files_put(d->all->files, d->request->tenant, buf_span(line),
	    FILES_MAKE);
}

/* Where lines are missing it is said once. */
static void
drain_missed(struct drain *d)
{
	char text[128], size[32];

	if (d->missed_bytes == 0)
		return;
	snprintf(text, sizeof(text),
	    "%llu bytes of stderr were not kept: the tenant wrote faster than "
	    "logs.rate = %s a second",
	    (unsigned long long)d->missed_bytes,
	    size_spec_text(d->all->rate, size));
	d->missed_bytes = 0;
	drain_put(d, LINE_HOST, span_of(text));
	files_put(d->all->files, d->request->tenant, buf_span(&d->all->line),
	    FILES_MAKE);
}

/* From here on bytes are only counted. */
static void
drain_over(struct drain *d, uint64_t taken_bytes)
{
	char text[64], size[32];

	d->taken_bytes = taken_bytes;
	split_free(&d->split);
	snprintf(text, sizeof(text),
	    "stderr reached logs.stderr = %s; the "
	    "rest is counted",
	    size_spec_text(d->stderr_most, size));
	drain_put(d, LINE_HOST, span_of(text));
	files_put(d->all->files, d->request->tenant, buf_span(&d->all->line),
	    FILES_MAKE);
}

/* Makes the line in all->line. */
static void
drain_put(struct drain *d, enum line_mark mark, struct span text)
{
	struct buf *line = &d->all->line;
	char time[LINE_TIME_BYTES + 1];

	buf_clear(line);
	clock_iso(clock_unix_ms(), time);
	if (line_put_head(line, time, d->request->id,
		span_make(d->function, d->function_bytes), mark) != 0 ||
	    line_put_text(line, text) != 0 || buf_put_byte(line, '\n') != 0)
		buf_clear(line);
}

static void
drain_end(struct drain *d)
{
	struct drains *ds = d->all;
	struct split_piece piece;
	char text[96];

	while (!d->over && split_last(&d->split, &piece)) {
		drain_keep(d, &piece);
		if (d->over)
			drain_over(d, d->read_bytes - piece.text.bytes);
	}
	drain_missed(d);
	if (d->over) {
		snprintf(text, sizeof(text),
		    "%llu bytes of stderr were not "
		    "kept",
		    (unsigned long long)(d->read_bytes - d->taken_bytes));
		drain_put(d, LINE_HOST, span_of(text));
		files_put(ds->files, d->request->tenant, buf_span(&ds->line),
		    FILES_MAKE);
	}
	loop_unwatch(ds->loop, &d->watch);
	fd_close(&d->fd);
	split_free(&d->split);
	list_remove(&d->node);
	list_remove(&d->ready);
	source_give(ds, d->source);
	request_give(d->request);
	loop_defer(ds->loop, &d->freed, drain_free, d);
	if (list_empty(&ds->list) && ds->on_empty)
		ds->on_empty(ds->empty_arg);
}

static void
drain_free(void *arg)
{
	free(arg);
}

/* A file is made for who ran something: asking for names that are none must
 * not fill the directory. */
static void
result_put(struct drains *ds, struct span request, struct span tenant,
    struct span line, bool make)
{
	bool in_file = tenant.bytes > 0 &&
	    files_put(ds->files, tenant, line,
		make ? FILES_MAKE : FILES_IF_THERE) == 0;

	if (ds->on_result)
		ds->on_result(ds->result_arg, request, tenant, line, in_file);
}
