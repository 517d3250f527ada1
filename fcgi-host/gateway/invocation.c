/* SPDX-License-Identifier: MIT */
/* invocation.c - one run of a function: its pipes, the order to start it, the
 * orders to end it, and what is known when it is over. The gateway can signal
 * nobody: it orders, cell and launcher act; what they do not confirm in time
 * ends with the cell. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/proc.h"

#include "gateway/gateway.h"

/* Than its control group allows. */
enum { PROCESSES_MORE = 64 };

static void invocation_move(struct request *, enum invocation_state);
static void invocation_check(const struct request *);
static int make_pipe(const struct cell *, int *read_end, int *write_end);
static int write_start(struct request *, struct message_start *,
    const char **why);
static void put_args(struct buf *, const struct strings *);
static uint32_t processes(const struct settings *, const struct cell *);
static void invocation_times(struct request *);
static void invocation_over(struct request *);
static void invocation_killed(struct request *, struct cell *);
static int output_watch(struct request *);
static void early_over(struct request *);
static void output_ready(void *arg, unsigned events);
static void errors_ready(void *arg, unsigned events);
static void errors_check(struct request *);
static uint64_t seconds_up(uint64_t ms);

void
invocation_init(struct request *r)
{
	r->run = (struct invocation){ .out_fd = -1, .err_fd = -1 };
	watch_init(&r->run.out, output_ready, r);
	watch_init(&r->run.err, errors_ready, r);
}

static void
invocation_move(struct request *r, enum invocation_state to)
{
	static const bool drawn[][INVOCATION_OVER + 1] = {
		[INVOCATION_NONE] = { [INVOCATION_SENT] = true },
		[INVOCATION_SENT] = { [INVOCATION_EXITED] = true,
		    [INVOCATION_OVER] = true },
		[INVOCATION_EXITED] = { [INVOCATION_OVER] = true },
		[INVOCATION_OVER] = { [INVOCATION_NONE] = true },
	};

	assert(drawn[r->run.state][to]);
	r->run.state = to;
	invocation_check(r);
}

static void
invocation_check(const struct request *r)
{
	const struct invocation *run = &r->run;
	bool running =
	    run->state == INVOCATION_SENT || run->state == INVOCATION_EXITED;

	assert((run->launcher != NULL) == running);
	assert(run->state != INVOCATION_NONE || run->out_fd < 0);
	assert(run->out.fd < 0 || run->out.fd == run->out_fd);
	assert(run->err.fd < 0 || run->err.fd == run->err_fd);
}

/* ---- the start ------------------------------------------------------------ */

enum invocation_result
invocation_start(struct request *r, struct launcher *l, const char **why)
{
	struct gateway *g = r->gateway;
	struct invocation *run = &r->run;
	struct message_start start;
	int fds[3] = { -1, -1, -1 }, error;
	size_t count = 0;

	*why = NULL;
	if (write_start(r, &start, why) != 0)
		return INVOCATION_NO_ROOM;
	if (start.has_body)
		fds[count++] = r->body.read_fd;
	if (make_pipe(l->cell, &run->out_fd, &fds[count]) != 0)
		return INVOCATION_NO_RESOURCES;
	if (make_pipe(l->cell, &run->err_fd, &fds[count + 1]) != 0) {
		error = errno;
		fd_close(&run->out_fd);
		fd_close(&fds[count]);
		errno = error;
		return INVOCATION_NO_RESOURCES;
	}
	error = peer_send(l->peer, MESSAGE_START, &start, fds, count + 2) ?
	    errno :
	    0;
	fd_close(&fds[count]);
	fd_close(&fds[count + 1]);
	if (error != 0) {
		fd_close(&run->out_fd);
		fd_close(&run->err_fd);
		errno = error;
		*why = "program arguments and environment are too long";
		return error == EMSGSIZE ? INVOCATION_NO_ROOM :
		    error == EPIPE || error == ECONNRESET ?
					   INVOCATION_NO_LAUNCHER :
					   INVOCATION_NO_RESOURCES;
	}
	g->stats.invocations++;
	run->launcher = l;
	run->killed_before =
	    usage_killed_before(&l->cell->usage, loop_now_ms(g->loop));
	launcher_busy(l, r);
	invocation_move(r, INVOCATION_SENT);
	invocation_times(r);
	return INVOCATION_STARTED;
}

/* Mode 0666, for programs that open /dev/stdout or /dev/stderr anew: pipes
 * belong to who made them, and the function is another user. A function can
 * also read from its stdout then, so our reading must not wait for what was
 * there a moment ago. */
static int
make_pipe(const struct cell *c, int *read_end, int *write_end)
{
	const struct gateway *g = c->gateway;
	int fds[2], error;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	if ((!g->nowait && fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0) ||
	    (c->uid != g->uid && fchmod(fds[0], 0666) != 0)) {
		error = errno;
		fd_close(&fds[0]);
		fd_close(&fds[1]);
		errno = error;
		return -1;
	}
	*read_end = fds[0];
	*write_end = fds[1];
	return 0;
}

bool
invocation_can_nowait(void)
{
	char byte;
	struct iovec part = { &byte, 1 };
	int fds[2];
	bool can;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return false;
	can = preadv2(fds[0], &part, 1, -1, RWF_NOWAIT) < 0 && errno == EAGAIN;
	fd_close(&fds[0]);
	fd_close(&fds[1]);
	return can;
}

ssize_t
invocation_read(struct request *r, char *to, size_t room)
{
	struct iovec part = { to, room };
	ssize_t n;

	do
		n = r->gateway->nowait ?
		    preadv2(r->run.out_fd, &part, 1, -1, RWF_NOWAIT) :
		    read(r->run.out_fd, to, room);
	while (n < 0 && errno == EINTR);
	return n;
}

/* The parts of *start stay until the next call. */
static int
write_start(struct request *r, struct message_start *start, const char **why)
{
	static struct buf environment = { .ceiling = ENVIRONMENT_MOST };
	static struct buf args = { .ceiling = ENVIRONMENT_MOST };
	static struct buf token = { .ceiling = JWT_MOST };
	const struct settings *s = r->settings;
	const struct config *config = r->gateway->config;
	const struct terms *terms = r->tenant->terms;
	uint64_t time_ms = s->limits[LIMIT_time], now_ms = clock_unix_ms();
	struct environment_facts facts = {
		.params = request_pairs(r),
		.route = &r->route,
		.method = r->method,
		.has_body = r->body.kind != BODY_NONE,
		.body_bytes =
		    r->body.complete ? r->body.bytes : r->body.expected,
		.body_length_known =
		    r->body.complete || r->body.expected != UINT64_MAX,
		.directory = span_make(r->tenant->cell->directory,
		    r->tenant->cell->directory_bytes),
		.file = function_file(r->function),
		.request_id = span_make(r->name, REQUEST_ID_CHARS),
		.function_name = function_name(r->function),
		.deadline_unix_ms = time_ms ? now_ms + time_ms : 0,
		.run = span_of(config->run),
		.trace_parent = span_make(r->trace, 55),
		.server_software = SPAN("fcgi-host"),
		.settings = s,
		.granted = &terms->env,
		.host = &r->gateway->environment,
		.redirects = r->redirects,
		.redirect_url = r->first_path,
		.redirect_status = r->redirect_status,
	};

	buf_clear(&environment);
	buf_clear(&args);
	buf_clear(&token);
	if (state_token(r, now_ms, facts.deadline_unix_ms, &token) != 0) {
		*why = "no token for its state can be made";
		return -1;
	}
	facts.token = buf_span(&token);
	if (environment_write(&environment, &facts, why) != 0)
		return -1;
	put_args(&args, &s->args);
	*start = (struct message_start){
		.invocation = r->gateway->next_invocation++,
		.has_body = r->body.kind != BODY_NONE,
		.time_us = time_ms * 1000,
		.cpu_s = seconds_up(s->limits[LIMIT_cpu]),
		.memory_bytes = s->limits[LIMIT_memory],
		.files = (uint32_t)s->limits[LIMIT_files],
		.processes = processes(s, r->tenant->cell),
		.ticket = function_ticket(r->function),
		.args = buf_span(&args),
		.env = buf_span(&environment),
	};
	r->run.number = start->invocation;
	return 0;
}

/* Where there are no control groups, this is all that holds the tenant to what it
 * may have together: the kernel counts what its user has. Where there are, they
 * come first, for they count how often it was reached. */
static uint32_t
processes(const struct settings *s, const struct cell *c)
{
	uint64_t most = s->limits[LIMIT_processes];
	uint64_t together = c->tenant->terms->processes;

	if (most > 0 && most < together)
		return (uint32_t)most;
	return (uint32_t)(usage_known(&c->usage, USAGE_PROCESSES) ?
		together + PROCESSES_MORE :
		together);
}

static void
put_args(struct buf *out, const struct strings *args)
{
	for (size_t i = 0; i < args->count; i++) {
		struct span arg = span_of(args->items[i]);

		if (buf_put(out, span_make(arg.data, arg.bytes + 1)) != 0)
			return;
	}
}

static void
invocation_times(struct request *r)
{
	uint64_t now_ms = loop_now_ms(r->gateway->loop);
	const uint64_t *limits = r->settings->limits;

	r->run.sent_ms = now_ms;
	r->run.facts.time_ms = limits[LIMIT_time];
	r->run.facts.cpu_ms = limits[LIMIT_cpu];
	r->watch_ms = now_ms + INVOCATION_WATCH_MS;
	if (r->function->watched) {
		invocation_watch(r);
	} else if (r->gateway->admit.running <= INVOCATION_EARLY_MOST &&
	    r->body.complete) {
		r->run.early = output_watch(r) == 0;
	}
	r->due_ms = limits[LIMIT_time] ?
	    now_ms + limits[LIMIT_time] + INVOCATION_SLACK_MS :
	    0;
	r->idle_ms = limits[LIMIT_idle] ? now_ms + limits[LIMIT_idle] : 0;
	request_timer(r);
}

/* Limits of the kernel are in whole seconds. */
static uint64_t
seconds_up(uint64_t ms)
{
	return (ms + 999) / 1000;
}

/* ---- output --------------------------------------------------------------- */

void
invocation_watch(struct request *r)
{
	struct invocation *run = &r->run;
	struct loop *loop = r->gateway->loop;

	r->watch_ms = 0;
	early_over(r);
	if (run->watched || run->state == INVOCATION_OVER)
		return;
	if (output_watch(r) != 0 ||
	    (run->err_fd >= 0 &&
		loop_watch(loop, &run->err, run->err_fd, LOOP_READ) != 0)) {
		/* Its output would be lost: the machine is out of memory. */
		invocation_stop(r, END_MACHINE);
		return;
	}
	run->watched = true;
}

static void
early_over(struct request *r)
{
	if (!r->run.early)
		return;
	r->run.early = false;
	reply_hold(r);
}

static int
output_watch(struct request *r)
{
	struct invocation *run = &r->run;

	if (run->out_fd < 0 || run->out.fd >= 0)
		return 0;
	return loop_watch(r->gateway->loop, &run->out, run->out_fd, LOOP_READ);
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

void
invocation_close_output(struct request *r)
{
	if (r->run.out_fd < 0)
		return;
	loop_unwatch(r->gateway->loop, &r->run.out);
	fd_close(&r->run.out_fd);
}

static void
errors_ready(void *arg, unsigned events)
{
	struct request *r = arg;

	if (events & LOOP_READ)
		errors_check(r);
	if (r->run.err.fd >= 0 && (events & LOOP_HANGUP)) {
		loop_unwatch(r->gateway->loop, &r->run.err);
		fd_close(&r->run.err_fd);
	}
}

/* Somebody writes: the log process reads it from here on. While there is none,
 * the pipe waits for the next. */
static void
errors_check(struct request *r)
{
	struct invocation *run = &r->run;
	bool over = run->state == INVOCATION_OVER;
	int bytes = 0;

	if (run->err_fd < 0)
		return;
	if (ioctl(run->err_fd, FIONREAD, &bytes) != 0 || bytes == 0)
		return;
	loop_unwatch(r->gateway->loop, &run->err);
	fcntl(run->err_fd, F_SETFL, O_NONBLOCK); /* log never waits */
	if (!access_stderr(r, &run->err_fd, over))
		return;
	fd_close(&run->err_fd);
}

void
invocation_stderr_again(struct request *r)
{
	struct invocation *run = &r->run;

	if (run->watched && run->err_fd >= 0 && run->err.fd < 0 &&
	    loop_watch(r->gateway->loop, &run->err, run->err_fd, LOOP_READ) !=
		0)
		diag_warn("cannot watch a function's stderr: %s", diag_errno());
}

/* ---- its end -------------------------------------------------------------- */

void
invocation_exited(struct request *r, const struct message_exited *m)
{
	if (r->run.state != INVOCATION_SENT)
		return;
	r->run.facts.wait_status = (int)m->wait_status;
	/* Exact when all of it has ended; near enough to tell an alarm's. */
	r->run.facts.ran_us =
	    (loop_now_ms(r->gateway->loop) - r->run.sent_ms) * 1000;
	r->run.ended = true;
	invocation_killed(r, r->run.launcher->cell);
	invocation_move(r, INVOCATION_EXITED);
	reply_pump(r);
}

void
invocation_ended(struct request *r, struct cell *cell,
    const struct message_ended *m)
{
	struct invocation *run = &r->run;
	uint64_t ran_us =
	    m->ended_us > m->started_us ? m->ended_us - m->started_us : 0;

	/* A launcher is a tenant's user: a step or way there is not is none. */
	run->how = m->how <= ENDED_NOT_STARTED ? (enum ended)m->how :
						 ENDED_NOT_STARTED;
	run->error = m->how <= ENDED_NOT_STARTED ? (int)m->error : EPROTO;
	run->step = m->step <= PROC_EXECVE ? m->step : PROC_STARTED;
	if (run->how == ENDED_EXITED) {
		run->ended = true;
		run->facts.wait_status = (int)m->wait_status;
		run->facts.ran_us = ran_us;
		run->facts.cpu_us = m->cpu_us;
		run->strays = m->strays;
		run->started_us = m->started_us;
		run->max_rss_kib = m->max_rss_kib;
		if (ran_us > INVOCATION_LONG_MS * 1000)
			r->function->watched = true;
		r->gateway->stats.strays += m->strays;
		invocation_killed(r, cell);
	}
	invocation_over(r);
}

void
invocation_lost(struct request *r, bool unread)
{
	struct cell *cell = r->run.launcher->cell;

	r->run.lost = true;
	r->run.facts.lost = true;
	r->run.facts.unread = unread && !r->run.ended;
	r->run.facts.cell_lost = cell->state == CELL_LOST;
	invocation_killed(r, cell);
	invocation_over(r);
}

static void
invocation_over(struct request *r)
{
	struct invocation *run = &r->run;

	run->launcher = NULL;
	invocation_move(r, INVOCATION_OVER);
	early_over(r);
	errors_check(r);
	loop_unwatch(r->gateway->loop, &run->err);
	fd_close(&run->err_fd);
	r->watch_ms = r->due_ms = r->idle_ms = r->stop_ms = 0;
	request_run_over(r);
}

/* Only asked when something was killed, and not by us. */
static void
invocation_killed(struct request *r, struct cell *cell)
{
	struct outcome_facts *f = &r->run.facts;

	if (!f->stopped &&
	    (f->lost || (r->run.ended && outcome_killed(f->wait_status))))
		f->out_of_memory |=
		    usage_killed(&cell->usage) > r->run.killed_before;
}

void
invocation_reset(struct request *r)
{
	invocation_close_output(r);
	invocation_move(r, INVOCATION_NONE);
	invocation_init(r);
}

/* ---- ending it ------------------------------------------------------------ */

void
invocation_stop(struct request *r, enum end why)
{
	struct invocation *run = &r->run;

	if (run->stop != STOP_NONE ||
	    (run->state != INVOCATION_SENT && run->state != INVOCATION_EXITED))
		return;
	run->stop_end = run->facts.stop_end = why;
	run->facts.stopped = true;
	invocation_stop_next(r);
}

/* The kernel's alarm comes before our own order: nothing is ordered yet when
 * output ends by it. */
bool
invocation_ends(const struct request *r)
{
	const struct invocation *run = &r->run;
	uint64_t time_ms = run->facts.time_ms;

	return run->stop != STOP_NONE ||
	    (time_ms > 0 &&
		loop_now_ms(r->gateway->loop) >= run->sent_ms + time_ms);
}

void
invocation_stop_next(struct request *r)
{
	struct invocation *run = &r->run;
	struct launcher *l = run->launcher;
	uint64_t now_ms = loop_now_ms(r->gateway->loop);
	uint64_t grace_ms = r->settings->limits[LIMIT_grace];

	r->stop_ms = 0;
	switch (run->stop) {
	case STOP_NONE:
		cell_stop(l->cell, l->number, (uint32_t)run->number, SIGTERM);
		run->stop = STOP_ASKED;
		r->stop_ms = now_ms + grace_ms;
		break;
	case STOP_ASKED:
		cell_stop(l->cell, l->number, (uint32_t)run->number, SIGKILL);
		run->stop = STOP_KILLED;
		r->stop_ms = now_ms + INVOCATION_CONFIRM_MS;
		break;
	case STOP_KILLED:
		master_cell_kill(r->gateway, tenant_name(r->tenant),
		    "a run was not ended in time");
		run->stop = STOP_CELL;
		r->stop_ms = now_ms + INVOCATION_ABANDON_MS;
		break;
	case STOP_CELL:
		diag_error("run not confirmed as ended, given up: "
			   "function=%s/%s request=%s launcher=%u",
		    r->tenant->name, r->function->name, r->name, l->number);
		run->stop = STOP_ABANDONED;
		launcher_abandon(l);
		invocation_lost(r, false);
		return;
	case STOP_ABANDONED:
		return;
	}
	request_timer(r);
}
