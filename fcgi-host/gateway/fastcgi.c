/* SPDX-License-Identifier: MIT */
/* fastcgi.c - FastCGI 1.0 toward workers: a request is sent, its body follows as
 * fast as it is read, and STDOUT is the reply. What a worker may not say ends it:
 * its request is answered, and the next has another worker. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/proc.h"

#include "gateway/fastcgi.h"
#include "gateway/gateway.h"
#include "gateway/worker.h"

static void fastcgi_start(struct request *);
static void fastcgi_patience(struct request *);
static void fastcgi_unwait(struct request *);
static ssize_t fastcgi_read(struct request *, char *to, size_t room, char **at);
static void fastcgi_pause(struct request *, bool);
static void fastcgi_look(struct request *);
static void fastcgi_late(struct request *);
static void fastcgi_stop(struct request *, enum end);
static void fastcgi_close(struct request *);
static void fastcgi_reset(struct request *);
static int exchange_write(struct request *, struct worker *, uint64_t time_ms,
    const char **why);
static int exchange_send(struct request *, struct worker *);
static bool exchange_takes_link(const struct request *, const struct worker *);
static bool exchange_untouched(const struct request *);
static void exchange_heard(struct request *);
static bool exchange_spurned(struct request *);
static void exchange_ready(struct request *, unsigned events);
static void exchange_drop(struct request *);
static size_t exchange_decode(struct request *, struct span in, char **at);
static void exchange_end(struct request *);
static int exit_status(const struct exchange *);
static void exchange_learn(struct request *);
static void exchange_quit(struct request *);
static void exchange_listen(struct request *);
static void exchange_release(struct request *);
static void exchange_push(struct request *);
static void exchange_gather(struct request *);
static ssize_t body_read(struct request *, char *to, size_t room);
static void recover_records(struct request *, struct fcgi_reader *,
    struct span);
static void body_ready(void *arg, unsigned events);
static void errors_put(struct request *, struct span);
static int errors_open(struct request *);
static void errors_room(void *arg, unsigned events);
static struct link *link_open(struct worker *);
static void link_ready(void *arg, unsigned events);
static void link_closed(void *arg);

const struct protocol protocol_fastcgi = {
	.start = fastcgi_start,
	.unwait = fastcgi_unwait,
	.read = fastcgi_read,
	.pause = fastcgi_pause,
	.look = fastcgi_look,
	.late = fastcgi_late,
	.stop = fastcgi_stop,
	.close = fastcgi_close,
	.reset = fastcgi_reset,
};

/* What is being sent, records and all. */
static struct buf out = { .ceiling =
			      ENVIRONMENT_MOST + 2 * FASTCGI_STDIN_BYTES };

/* A piece of a body, or what nobody wants. */
static char block[FASTCGI_STDIN_BYTES];

static const char broke_off[] = "it closed the connection before END_REQUEST";

void
exchange_init(struct request *r)
{
	struct exchange *x = &r->invocation.exchange;

	*x = (struct exchange){ .err_fd = -1 };
	buf_init(&x->rest, out.ceiling);
	buf_init(&x->err_rest, FASTCGI_STDIN_BYTES);
	watch_init(&x->body, body_ready, r);
	watch_init(&x->err, errors_room, r);
}

static void
fastcgi_reset(struct request *r)
{
	exchange_release(r);
}

/* What is the request's own of it. */
static void
exchange_release(struct request *r)
{
	struct exchange *x = &r->invocation.exchange;
	struct loop *loop = r->gateway->loop;

	link_close(&x->link);
	loop_unwatch(loop, &x->body);
	loop_unwatch(loop, &x->err);
	fd_close(&x->err_fd);
	buf_free(&x->rest);
	buf_free(&x->err_rest);
}

/* ---- the start ------------------------------------------------------------ */

static void
fastcgi_start(struct request *r)
{
	struct workers *ws = workers_of(r->function);
	struct worker *w;

	if (!ws) {
		request_end(r, END_MACHINE, SPAN("no memory"));
		return;
	}
	if (r->body.kind == BODY_PIPE && !r->gateway->nowait)
		fd_nonblock(r->body.read_fd, true);
	pool_arrived(&ws->pool, clock_us());
	w = workers_idle(ws);
	if (w) {
		fastcgi_give(r, w);
		return;
	}
	fastcgi_patience(r);
	workers_want(ws, r);
}

/* However often it has to begin again: for no longer, all together, than anybody
 * waits for a slot. */
static void
fastcgi_patience(struct request *r)
{
	uint64_t queue_ms = r->settings->limits[LIMIT_queue];

	if (queue_ms < CELL_PATIENCE_MS)
		queue_ms = CELL_PATIENCE_MS;
	r->due_ms = r->granted_us / 1000 + queue_ms;
	request_timer(r);
}

static void
fastcgi_unwait(struct request *r)
{
	workers_unwant(r->function->workers, r);
}

/* The first request of a worker of which nothing was heard yet has the time of
 * its start as well. */
void
fastcgi_give(struct request *r, struct worker *w)
{
	struct exchange *x = &r->invocation.exchange;
	const uint64_t *limits = r->settings->limits;
	uint64_t now_ms = loop_now_ms(r->gateway->loop);
	uint64_t time_ms = limits[LIMIT_time];
	uint64_t taken_ms = w->proved ? FASTCGI_TAKEN_MS : limits[LIMIT_start];
	const char *why = NULL;

	if (r->waits == WAITS_PROCESS)
		request_unwait(r);
	if (time_ms > 0 && !w->proved)
		time_ms += limits[LIMIT_start];
	if (exchange_write(r, w, time_ms, &why) != 0) {
		request_end(r, END_HEAD_SIZE, span_of(why));
		return;
	}
	if (exchange_send(r, w) != 0) {
		diag_warn("worker cannot be reached: function=%s/%s: %s; it is "
			  "replaced",
		    r->tenant->name, r->function->name, diag_errno());
		exchange_release(r);
		exchange_init(r);
		worker_stop(w, END_BROKEN);
		request_proceed(r);
		return;
	}
	x->worker = w;
	x->given_us = clock_us();
	x->number = w->run.number;
	r->invocation.forked = w->run.forked;
	x->served = w->served + 1;
	x->peace_ms = worker_peace_ms(w);
	worker_give(w, r);
	r->look_ms = taken_ms > 0 ? now_ms + taken_ms : 0;
	invocation_sent(r, time_ms);
	exchange_push(r);
}

/* Into `out`: all of it, or all but a body that is large or still comes. The
 * connection is kept for the next where nothing of this one can be left in it. */
static int
exchange_write(struct request *r, struct worker *w, uint64_t time_ms,
    const char **why)
{
	struct exchange *x = &r->invocation.exchange;
	size_t at;

	fcgi_app_init(&x->app);
	buf_clear(&out);
	*why = "all of it is longer than 128 KiB";
	if (fcgi_app_open_params(&out, &at) != 0 ||
	    request_environment(r, time_ms, true, &out, why) != 0)
		return -1;
	x->small = r->body.kind == BODY_NONE &&
	    buf_bytes(&out) + 2 * FCGI_OVERHEAD + 8 <= FASTCGI_KEEP_MOST;
	x->keep = w->drains ||
	    (x->small && !w->workers->lingers && !w->workers->piecemeal &&
		(w->workers->keeps || !w->workers->trial));
	if (fcgi_app_close_params(&out, at, x->keep) != 0)
		return -1;
	if (r->body.complete && r->body.bytes <= FASTCGI_SMALL_BODY)
		exchange_gather(r);
	return 0;
}

/* 0, or -1 with errno: the worker cannot be reached. What fails on a connection
 * that was kept was not read: it is made anew. */
static int
exchange_send(struct request *r, struct worker *w)
{
	struct exchange *x = &r->invocation.exchange;
	struct span s = buf_span(&out);
	ssize_t n = -1;

	if (w->link && !exchange_takes_link(r, w))
		link_close(&w->link);
	x->fresh = !w->link;
	if (w->link)
		n = send(w->link->fd, s.data, s.bytes,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (w->link && n < 0 && errno != EAGAIN) {
		link_close(&w->link);
		x->fresh = true;
	}
	if (x->fresh) {
		w->link = link_open(w);
		if (!w->link)
			return -1;
		n = send(w->link->fd, s.data, s.bytes,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return -1;
		if (loop_watch(w->gateway->loop, &w->link->watch, w->link->fd,
			LOOP_READ) != 0)
			return -1;
	}
	s = span_skip(s, n > 0 ? (size_t)n : 0);
	if (s.bytes > 0 && buf_put(&x->rest, s) != 0) {
		errno = ENOMEM;
		return -1;
	}
	x->link = w->link;
	x->link->request = r;
	w->link = NULL;
	return 0;
}

static bool
exchange_takes_link(const struct request *r, const struct worker *w)
{
	return w->drains ||
	    (r->body.kind == BODY_NONE && !w->workers->lingers &&
		w->workers->keeps &&
		(span_equal(r->method, SPAN("GET")) ||
		    span_equal(r->method, SPAN("HEAD"))));
}

/* ---- was it taken? ---------------------------------------------------------- */

static void
fastcgi_look(struct request *r)
{
	struct exchange *x = &r->invocation.exchange;
	struct worker *w = x->worker;

	if (!w)
		return;
	if (x->left) {
		worker_stop(w, r->end);
		return;
	}
	if (x->spurned) {
		worker_spurned(w);
		return;
	}
	if (x->heard || !exchange_untouched(r))
		return;
	if (x->behind) {
		worker_stop(w, END_DONE);
		return;
	}
	if (w->proved && x->fresh) {
		worker_leave(w); /* what waits there is taken back */
		return;
	}
	if (w->proved) {
		/* On a kept connection only its death gives it back; and its
		 * time has not begun. */
		w->workers->lingers = x->behind = true;
		r->look_ms = x->peace_ms;
		if (r->due_ms > 0)
			r->due_ms =
			    x->peace_ms + r->settings->limits[LIMIT_time];
		request_timer(r);
		return;
	}
	diag_warn("worker has not taken its first request: function=%s/%s; it "
		  "is replaced",
	    r->tenant->name, r->function->name);
	request_end_limit(r, END_START_TIME, LIMIT_start,
	    r->settings->limits[LIMIT_start]);
}

static bool
exchange_untouched(const struct request *r)
{
	const struct exchange *x = &r->invocation.exchange;
	int unread = 0;

	if (x->fresh)
		return !x->worker->inlet.shut &&
		    inlet_waiting(&x->worker->inlet);
	return x->small && !x->worker->workers->piecemeal &&
	    ioctl(x->link->fd, SIOCOUTQ, &unread) == 0 && unread > 0;
}

/* The first of its reply is there: who begins one has read all of a small
 * request, or reads piece by piece. */
static void
exchange_heard(struct request *r)
{
	struct exchange *x = &r->invocation.exchange;
	int unread = 0;

	worker_proved(x->worker);
	x->worker->workers->lingers |= x->worker->hung_up;
	if (!x->small || !x->keep || x->worker->drains ||
	    x->worker->workers->keeps ||
	    ioctl(x->link->fd, SIOCOUTQ, &unread) != 0 || unread == 0)
		return;
	x->worker->workers->piecemeal = true;
	x->keep = false;
}

/* Nobody was free for so long as anybody waits for a slot. */
static void
fastcgi_late(struct request *r)
{
	const struct workers *ws = r->function->workers;
	uint64_t now_us = clock_us();
	char words[32];

	if (ws->refused_until_us > now_us) {
		r->retry_after_s =
		    (unsigned)((ws->refused_until_us - now_us) / 1000000 + 1);
		request_end(r, END_DAMPED,
		    span_of(proc_status_words(ws->died_status, words)));
	} else if (ws->count[WORKER_WANTED] > 0) {
		request_unanswered(r);
	} else {
		r->retry_after_s = admit_retry_after(&r->function->admit);
		request_end_limit(r, END_QUEUE_TIME, LIMIT_queue,
		    r->settings->limits[LIMIT_queue]);
	}
}

/* ---- the reply ---------------------------------------------------------------- */

static void
exchange_ready(struct request *r, unsigned events)
{
	struct exchange *x = &r->invocation.exchange;
	struct invocation *v = &r->invocation;

	if ((events & LOOP_WRITE) && invocation_going(r))
		exchange_push(r);
	if (!(events & (LOOP_READ | LOOP_HANGUP)) || x->paused || !x->link)
		return;
	if (r->state == REQUEST_ENDING || !v->open)
		exchange_drop(r);
	else
		reply_pump(r);
	if (!x->worker)
		return; /* that was the end of it */
	if (x->app.over)
		exchange_end(r);
	else if (v->broken && r->state == REQUEST_ENDING)
		exchange_quit(r);
	else if (x->app.violation)
		request_end(r, END_BROKEN, span_of(v->broken));
}

/* Its client is gone, or has its reply: read, so that the worker is not held
 * up. */
static void
exchange_drop(struct request *r)
{
	char *at;

	if (r->invocation.open)
		reply_drop(r);
	else
		(void)fastcgi_read(r, block, sizeof(block), &at);
}

static ssize_t
fastcgi_read(struct request *r, char *to, size_t room, char **at)
{
	struct exchange *x = &r->invocation.exchange;
	struct invocation *v = &r->invocation;
	size_t bytes;
	ssize_t n;

	if (x->app.over || v->broken || !x->link)
		return 0;
	if (x->spurned)
		return -1;
	n = recv(x->link->fd, to, room, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -1;
	if (n <= 0) {
		x->reset = n < 0;
		if (exchange_spurned(r))
			return -1;
		/* How it ended says more, when nothing of a reply came. */
		if (x->worker || r->reply.begun)
			v->broken = broke_off;
		v->broke_off = r->reply.begun;
		loop_unwatch(r->gateway->loop, &x->link->watch);
		return 0;
	}
	if (!x->heard && x->worker)
		exchange_heard(r);
	x->heard = true;
	bytes = exchange_decode(r, span_make(to, (size_t)n), at);
	if (bytes > 0)
		return (ssize_t)bytes;
	return x->app.over || v->broken ? 0 : -1;
}

/* The worker closed a kept connection on which it had read nothing of a small
 * request: because it ends, which we are about to hear (worker_over() judges), or
 * only so, and then the request can go elsewhere. */
static bool
exchange_spurned(struct request *r)
{
	struct exchange *x = &r->invocation.exchange;

	if (!x->reset || x->fresh || x->heard || !x->worker || !x->small ||
	    x->worker->workers->piecemeal || r->state == REQUEST_ENDING)
		return false;
	x->spurned = true;
	loop_unwatch(r->gateway->loop, &x->link->watch);
	r->look_ms = loop_now_ms(r->gateway->loop) + FASTCGI_ENDS_MS;
	request_timer(r);
	return true;
}

/* The bytes of STDOUT, moved together where they stand. */
static size_t
exchange_decode(struct request *r, struct span in, char **at)
{
	struct exchange *x = &r->invocation.exchange;
	struct span content;
	size_t bytes = 0;

	for (;;) {
		switch (fcgi_app_read(&x->app, &in, &content)) {
		case FCGI_APP_NEED_MORE:
			return bytes;
		case FCGI_APP_STDOUT:
			if (bytes == 0)
				*at = (char *)(uintptr_t)content.data;
			else
				memmove(*at + bytes, content.data,
				    content.bytes);
			bytes += content.bytes;
			break;
		case FCGI_APP_STDERR:
			errors_put(r, content);
			break;
		case FCGI_APP_END:
			r->invocation.broken =
			    fcgi_app_refusal(x->app.end.protocol_status);
			r->invocation.overloaded =
			    x->app.end.protocol_status == FCGI_OVERLOADED;
			x->keep &= in.bytes == 0;
			if (!x->worker) /* how it ended came sooner */
				exchange_learn(r);
			return bytes;
		case FCGI_APP_VIOLATION:
			r->invocation.broken = x->app.violation;
			return bytes;
		}
	}
}

/* END_REQUEST: the worker is free, and the request has all that there is. */
static void
exchange_end(struct request *r)
{
	struct exchange *x = &r->invocation.exchange;
	struct worker *w = x->worker;
	const struct run_result result = {
		.ended = true,
		.how = ENDED_EXITED,
		.facts = {
			.wait_status = exit_status(x),
			.ran_us = clock_us() - x->given_us,
		},
		.started_us = x->given_us,
	};

	x->worker = NULL;
	x->keep &= buf_bytes(&x->rest) == 0 && x->stdin_ended &&
	    x->app.strange_bytes == 0 && !r->invocation.broken;
	if (x->keep) {
		x->link->request = NULL;
		w->link = x->link;
		x->link = NULL;
	}
	exchange_release(r);
	if (r->invocation.broken)
		worker_leave(w);
	worker_done(w);
	invocation_over(r, &result);
}

static int
exit_status(const struct exchange *x)
{
	return (int)(x->app.end.app_status & 0xff) << 8;
}

static void
exchange_learn(struct request *r)
{
	struct run_result *result = &r->invocation.result;

	result->ended = true;
	result->lost = result->facts.lost = false;
	result->facts.wait_status = exit_status(&r->invocation.exchange);
}

/* The worker broke it off, and nobody waits for an answer. */
static void
exchange_quit(struct request *r)
{
	struct exchange *x = &r->invocation.exchange;
	struct worker *w = x->worker;
	const struct run_result result = { .lost = true };

	x->worker = NULL;
	exchange_release(r);
	if (x->app.violation)
		worker_stop(w, END_BROKEN);
	else
		worker_leave(w);
	worker_done(w);
	invocation_over(r, &result);
}

void
exchange_over(struct request *r, const struct run_result *of_worker,
    bool unread)
{
	struct exchange *x = &r->invocation.exchange;
	struct run_result result = *of_worker;

	/* That tries are few is for those who never serve anybody. */
	if (unread && x->worker->served > 0 && r->resent > 0)
		r->resent--;
	x->worker = NULL;
	if (x->link)
		x->link->worker = NULL;
	result.facts.unread = unread;
	result.facts.ran_us = clock_us() - x->given_us;
	result.facts.cpu_us = 0; /* of all its requests */
	result.started_us = x->given_us;
	if (r->invocation.broken == broke_off && !r->reply.begun)
		r->invocation.broken = NULL;
	if (unread || !r->invocation.open)
		exchange_release(r);
	x->paused = false;
	invocation_over(r, &result);
}

/* Once, unless it was well pleased: then it is none that speaks FastCGI. */
void
exchange_not_taken(struct request *r, const struct run_result *result)
{
	r->invocation.not_taken = true;
	if (result->facts.wait_status == 0 || r->resent > 0)
		r->resent = INVOCATION_RESENT_MOST;
}

/* What waits in the socket is what it said before: nothing, when it closed the
 * connection with something unread. */
bool
exchange_unread(const struct request *r, const struct run_result *result)
{
	const struct exchange *x = &r->invocation.exchange;
	bool reset = x->reset;
	char byte;

	if (x->fresh || x->heard || !x->worker || !x->small || !result->ended)
		return false;
	if (!x->behind &&
	    (x->worker->drains || result->facts.wait_status != 0 ||
		result->facts.stopped))
		return false;
	if (!reset && x->link)
		reset =
		    recv(x->link->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 &&
		    errno == ECONNRESET;
	return reset;
}

static void
fastcgi_pause(struct request *r, bool pause)
{
	r->invocation.exchange.paused = pause;
	exchange_listen(r);
}

static void
exchange_listen(struct request *r)
{
	struct exchange *x = &r->invocation.exchange;
	bool more = !x->stdin_ended && !(x->body.fd >= 0 && x->body.events);

	if (!x->link || x->link->watch.fd < 0)
		return;
	loop_change(r->gateway->loop, &x->link->watch,
	    (x->paused || buf_bytes(&x->err_rest) > 0 ? 0 : LOOP_READ) |
		(more || buf_bytes(&x->rest) > 0 ? LOOP_WRITE : 0));
}

/* ---- its end -------------------------------------------------------------- */

/* A worker whose client has gone may end its work in peace, but for no longer
 * than a program of its own would have; one that is still starting is left to
 * become useful. */
static void
fastcgi_stop(struct request *r, enum end why)
{
	struct exchange *x = &r->invocation.exchange;
	uint64_t now_ms = loop_now_ms(r->gateway->loop);

	if (!x->worker || x->app.over)
		return; /* it is about to hear of that */
	if (why != END_CLIENT_GONE && why != END_ABORTED) {
		worker_stop(x->worker, why);
		return;
	}
	x->left = true;
	r->look_ms = now_ms + r->settings->limits[LIMIT_grace];
	if (!x->worker->proved)
		r->look_ms = r->invocation.sent_ms +
		    r->settings->limits[LIMIT_start] +
		    r->settings->limits[LIMIT_time];
	request_timer(r);
}

static void
fastcgi_close(struct request *r)
{
	if (invocation_going(r))
		fastcgi_pause(r, false);
	else
		exchange_release(r);
}

/* ---- the body --------------------------------------------------------------- */

/* As much as the socket takes, but others have their turn. */
static void
exchange_push(struct request *r)
{
	struct exchange *x = &r->invocation.exchange;
	struct span s;
	ssize_t n;

	for (int turn = 0; turn < FASTCGI_STDIN_TURNS; turn++) {
		if (buf_bytes(&x->rest) == 0 && !x->stdin_ended) {
			buf_clear(&out);
			exchange_gather(r);
			if (buf_put(&x->rest, buf_span(&out)) != 0) {
				invocation_stop(r, END_MACHINE);
				return;
			}
		}
		s = buf_span(&x->rest);
		if (s.bytes == 0)
			break;
		n = send(x->link->fd, s.data, s.bytes,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) {
			/* It reads no more; it may have answered. */
			buf_clear(&x->rest);
			x->stdin_ended = true;
			x->keep = false;
			break;
		}
		buf_taken(&x->rest, (size_t)n);
	}
	exchange_listen(r);
}

/* Into `out`: what there is of the body, and its end. */
static void
exchange_gather(struct request *r)
{
	struct exchange *x = &r->invocation.exchange;
	struct body *b = &r->body;
	ssize_t n = 0;

	if (b->kind != BODY_NONE) {
		n = body_read(r, block, sizeof(block));
		if (n < 0)
			return;
		x->body_bytes += (uint64_t)n;
	}
	fcgi_put_stream(&out, FCGI_STDIN, FCGI_APP_ID,
	    span_make(block, (size_t)n));
	if (n == 0 || (b->kind != BODY_PIPE && x->body_bytes >= b->bytes)) {
		fcgi_put_stream_end(&out, FCGI_STDIN, FCGI_APP_ID);
		x->stdin_ended = true;
		loop_unwatch(r->gateway->loop, &x->body);
	}
}

/* 0 at its end, -1 when there is none now and body_ready() comes. */
static ssize_t
body_read(struct request *r, char *to, size_t room)
{
	struct exchange *x = &r->invocation.exchange;
	struct body *b = &r->body;
	ssize_t n;

	if (b->kind != BODY_PIPE) {
		n = pread(b->read_fd, to, room, (off_t)x->body_bytes);
		return n < 0 ? 0 : n;
	}
	if (buf_bytes(&b->again) > 0) {
		struct span s = span_take(buf_span(&b->again), room);

		memcpy(to, s.data, s.bytes);
		buf_taken(&b->again, s.bytes);
		return (ssize_t)s.bytes;
	}
	n = run_read(r->gateway, b->read_fd, to, room);
	if (n >= 0 || errno != EAGAIN)
		return n < 0 ? 0 : n;
	if (x->body.fd < 0 &&
	    loop_watch(r->gateway->loop, &x->body, b->read_fd, LOOP_READ) != 0)
		return 0;
	loop_change(r->gateway->loop, &x->body, LOOP_READ);
	return -1;
}

void
exchange_recover(struct request *r, int fd)
{
	struct exchange *x = &r->invocation.exchange;
	struct fcgi_reader reader;
	ssize_t n;

	if (r->body.kind != BODY_PIPE || x->body_bytes == 0)
		return;
	fcgi_reader_init(&reader);
	while ((n = recv(fd, block, sizeof(block), MSG_DONTWAIT)) > 0)
		recover_records(r, &reader, span_make(block, (size_t)n));
	recover_records(r, &reader, buf_span(&x->rest));
}

static void
recover_records(struct request *r, struct fcgi_reader *reader, struct span in)
{
	struct span content;
	enum fcgi_event event;

	while ((event = fcgi_read(reader, &in, &content)) != FCGI_NEED_MORE &&
	    event != FCGI_BAD_VERSION)
		if (event == FCGI_CONTENT &&
		    reader->record.type == FCGI_STDIN &&
		    buf_put(&r->body.again, content) != 0)
			request_end(r, END_MACHINE, SPAN("no memory"));
}

static void
body_ready(void *arg, unsigned events)
{
	struct request *r = arg;
	struct exchange *x = &r->invocation.exchange;

	(void)events;
	if (!invocation_going(r) || !x->link) {
		loop_unwatch(r->gateway->loop, &x->body);
		return;
	}
	exchange_push(r);
	if (buf_bytes(&x->rest) > 0 && x->body.fd >= 0)
		loop_change(r->gateway->loop, &x->body, 0);
}

/* ---- STDERR ----------------------------------------------------------------- */

/* As a CGI program's: through a pipe that the log process reads. When it is full
 * the worker waits. */
static void
errors_put(struct request *r, struct span s)
{
	struct exchange *x = &r->invocation.exchange;
	ssize_t n = 0;

	if (x->err_fd < 0 && errors_open(r) != 0) {
		r->gateway->stats.stderr_dropped++;
		return;
	}
	if (buf_bytes(&x->err_rest) == 0)
		n = write(x->err_fd, s.data, s.bytes);
	if (n < 0 && errno != EAGAIN)
		return; /* nobody reads it */
	s = span_skip(s, n > 0 ? (size_t)n : 0);
	if (s.bytes == 0 || buf_put(&x->err_rest, s) != 0)
		return;
	if (x->err.fd < 0 &&
	    loop_watch(r->gateway->loop, &x->err, x->err_fd, LOOP_WRITE) != 0)
		buf_clear(&x->err_rest);
	exchange_listen(r);
}

static int
errors_open(struct request *r)
{
	struct exchange *x = &r->invocation.exchange;
	struct run_about about = request_about(r);
	int ends[2];
	bool taken;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return -1;
	taken = access_stderr(r->gateway, &about, &ends[0], false);
	fd_close(&ends[0]);
	if (!taken) {
		fd_close(&ends[1]);
		return -1;
	}
	x->err_fd = ends[1];
	return 0;
}

static void
errors_room(void *arg, unsigned events)
{
	struct request *r = arg;
	struct exchange *x = &r->invocation.exchange;
	struct span s = buf_span(&x->err_rest);
	ssize_t n = write(x->err_fd, s.data, s.bytes);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	buf_taken(&x->err_rest, n < 0 ? s.bytes : (size_t)n);
	if (buf_bytes(&x->err_rest) > 0)
		return;
	loop_unwatch(r->gateway->loop, &x->err);
	exchange_listen(r);
}

/* ---- connections ------------------------------------------------------------- */

static struct link *
link_open(struct worker *w)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->gateway = w->gateway;
	l->worker = w;
	watch_init(&l->watch, link_ready, l);
	l->fd = inlet_connect(&w->inlet);
	if (l->fd < 0) {
		free(l);
		return NULL;
	}
	return l;
}

/* A kept one that says something, or ends, is no use any more. */
static void
link_ready(void *arg, unsigned events)
{
	struct link *l = arg;

	if (l->closed)
		return;
	if (l->request)
		exchange_ready(l->request, events);
	else
		worker_hung_up(l->worker);
}

void
link_close(struct link **owned)
{
	struct link *l = *owned;

	*owned = NULL;
	if (!l)
		return;
	l->closed = true;
	loop_defer(l->gateway->loop, &l->end, link_closed, l);
}

/* It wakes the worker: behind what is written to those who wait for a reply. */
static void
link_closed(void *arg)
{
	struct link *l = arg;

	loop_unwatch(l->gateway->loop, &l->watch);
	fd_close(&l->fd);
	free(l);
}
