/* SPDX-License-Identifier: MIT */
/* cgi.c - CGI/1.1: a process for each request. Its body is the standard input,
 * the standard output is the reply, and the environment says all the rest. */
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"

#include "gateway/gateway.h"
#include "gateway/worker.h"

static void cgi_start(struct request *);
static void cgi_unwait(struct request *);
static ssize_t cgi_read(struct request *, char *block, size_t room, char **at);
static void cgi_pause(struct request *, bool);
static void cgi_look(struct request *);
static void cgi_stop(struct request *, enum end);
static void cgi_close(struct request *);
static void cgi_reset(struct request *);
static enum run_answer cgi_run(struct request *, const char **why);
static void cgi_sent(struct request *);
static int output_watch(struct request *);
static void output_ready(void *arg, unsigned events);
static void early_over(struct request *);
static void cgi_launcher(void *arg);
static void cgi_cell_gone(void *arg);
static void cgi_refused(void *arg, enum end, struct span reason);
static void cgi_exited(void *arg);
static void cgi_over(void *arg);
static void cgi_measure(const struct request *, const struct run_result *);
static struct run_about cgi_about(const void *arg);

const struct protocol protocol_cgi = {
	.start = cgi_start,
	.unwait = cgi_unwait,
	.read = cgi_read,
	.pause = cgi_pause,
	.look = cgi_look,
	.late = request_unanswered,
	.stop = cgi_stop,
	.close = cgi_close,
	.reset = cgi_reset,
};

static const struct run_owner owner = {
	.launcher = cgi_launcher,
	.cell_gone = cgi_cell_gone,
	.refused = cgi_refused,
	.exited = cgi_exited,
	.over = cgi_over,
	.about = cgi_about,
};

void
cgi_init(struct request *r)
{
	struct cgi *c = &r->invocation.cgi;

	*c = (struct cgi){ .out_fd = -1 };
	run_init(&c->run, r->gateway, &owner, r);
	watch_init(&c->out, output_ready, r);
}

static void
cgi_reset(struct request *r)
{
	run_reset(&r->invocation.cgi.run);
}

/* ---- the start ------------------------------------------------------------ */

static void
cgi_start(struct request *r)
{
	struct cell *cell = r->tenant->cell;
	enum run_answer answer = RUN_NO_LAUNCHER;
	const char *why = NULL;

	if (run_may_start(r->function, cell))
		answer = cgi_run(r, &why);
	switch (answer) {
	case RUN_STARTED:
		cgi_sent(r);
		break;
	case RUN_NO_LAUNCHER:
		request_patience(r);
		r->waits = WAITS_PROCESS;
		run_wait(&r->invocation.cgi.run, cell);
		break;
	case RUN_NO_ROOM:
		request_end(r, END_HEAD_SIZE, span_of(why));
		break;
	case RUN_NO_RESOURCES:
		request_end(r, END_MACHINE, span_of(diag_errno()));
		break;
	}
}

static void
cgi_unwait(struct request *r)
{
	run_unwait(&r->invocation.cgi.run);
}

static enum run_answer
cgi_run(struct request *r, const char **why)
{
	static struct buf environment = { .ceiling = ENVIRONMENT_MOST };
	struct cell *cell = r->tenant->cell;
	struct cgi *c = &r->invocation.cgi;
	uint64_t time_ms = r->settings->limits[LIMIT_time];
	struct message_start start;
	enum run_answer answer;
	int error, out_fd;

	buf_clear(&environment);
	if (request_environment(r, time_ms, false, &environment, why) != 0)
		return RUN_NO_ROOM;
	run_describe(&start, r->function, r->settings, cell);
	start.time_us = time_ms * 1000;
	start.env = buf_span(&environment);
	c->run.grace_ms = r->settings->limits[LIMIT_grace];
	if (run_pipe(cell, &c->out_fd, &out_fd) != 0)
		return RUN_NO_RESOURCES;
	answer = run_start(&c->run, r->function, cell, &start,
	    r->body.kind != BODY_NONE ? r->body.read_fd : -1, out_fd, why);
	error = errno;
	fd_close(&out_fd);
	if (answer != RUN_STARTED)
		fd_close(&c->out_fd);
	errno = error;
	return answer;
}

static void
cgi_sent(struct request *r)
{
	struct gateway *g = r->gateway;

	if (g->run_count > g->config->slots_host)
		launchers_evict(g, NULL); /* it has a slot, they do not */
	r->look_ms = loop_now_ms(g->loop) + CGI_WATCH_MS;
	r->invocation.forked = r->invocation.cgi.run.forked;
	invocation_sent(r, r->settings->limits[LIMIT_time]);
	if (r->function->watched)
		cgi_look(r);
	else if (g->admit.running <= CGI_EARLY_MOST && r->body.complete)
		r->reply.early = output_watch(r) == 0;
}

/* ---- output --------------------------------------------------------------- */

static ssize_t
cgi_read(struct request *r, char *block, size_t room, char **at)
{
	ssize_t n = run_read(r->gateway, r->invocation.cgi.out_fd, block, room);

	*at = block;
	if (n < 0 && errno == EAGAIN)
		return -1;
	return n < 0 ? 0 : n;
}

static void
cgi_look(struct request *r)
{
	struct cgi *c = &r->invocation.cgi;

	r->look_ms = 0;
	early_over(r);
	if (c->watched || !invocation_going(r))
		return;
	if (output_watch(r) != 0 || run_watch_errors(&c->run) != 0) {
		/* Its output would be lost: the machine is out of memory. */
		invocation_stop(r, END_MACHINE);
		return;
	}
	c->watched = true;
}

static void
early_over(struct request *r)
{
	if (!r->reply.early)
		return;
	r->reply.early = false;
	reply_hold(r);
}

static int
output_watch(struct request *r)
{
	struct cgi *c = &r->invocation.cgi;

	if (c->out_fd < 0 || c->out.fd >= 0)
		return 0;
	return loop_watch(r->gateway->loop, &c->out, c->out_fd, LOOP_READ);
}

static void
output_ready(void *arg, unsigned events)
{
	struct request *r = arg;

	/* Paused because the client is slow: what is there stays there. */
	if (events == LOOP_HANGUP)
		return;
	if (r->state == REQUEST_ENDING)
		reply_drop(r);
	else
		reply_pump(r);
}

static void
cgi_pause(struct request *r, bool pause)
{
	struct cgi *c = &r->invocation.cgi;

	if (c->out.fd >= 0)
		loop_change(r->gateway->loop, &c->out, pause ? 0 : LOOP_READ);
}

static void
cgi_close(struct request *r)
{
	struct cgi *c = &r->invocation.cgi;

	loop_unwatch(r->gateway->loop, &c->out);
	fd_close(&c->out_fd);
}

/* ---- what its run says ---------------------------------------------------- */

static void
cgi_launcher(void *arg)
{
	struct request *r = arg;

	r->waits = WAITS_NOT;
	request_proceed(r);
}

static void
cgi_cell_gone(void *arg)
{
	request_cell_gone(arg);
}

static void
cgi_refused(void *arg, enum end end, struct span reason)
{
	request_end(arg, end, reason);
}

static void
cgi_exited(void *arg)
{
	struct request *r = arg;

	invocation_exited(r, &r->invocation.cgi.run.result);
}

static void
cgi_over(void *arg)
{
	struct request *r = arg;
	const struct run_result *result = &r->invocation.cgi.run.result;

	if (result->facts.ran_us > CGI_LONG_MS * 1000)
		r->function->watched = true;
	cgi_measure(r, result);
	early_over(r);
	invocation_over(r, result);
}

/* Of those that went their own way to the end. */
static void
cgi_measure(const struct request *r, const struct run_result *result)
{
	struct choice *choice = &r->function->choice;

	if (r->settings->start == START_EXEC || !result->ended ||
	    result->facts.stopped)
		return;
	choice_ran(choice,
	    r->invocation.cgi.run.forked ? WAY_FORKED : WAY_EXECUTED,
	    result->facts.ran_us, result->facts.cpu_us);
	choice_resident(choice, result->max_rss_kib * 1024);
}

static void
cgi_stop(struct request *r, enum end why)
{
	run_stop(&r->invocation.cgi.run, why);
}

static struct run_about
cgi_about(const void *arg)
{
	return request_about(arg);
}
