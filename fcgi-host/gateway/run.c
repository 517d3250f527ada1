/* SPDX-License-Identifier: MIT */
/* run.c - one process of a function: the order to start it, its stderr, the
 * orders to end it, and what is known when it is over. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/proc.h"

#include "gateway/gateway.h"
#include "gateway/template.h"
#include "gateway/worker.h"

/* Than its control group allows. */
enum { PROCESSES_MORE = 64 };

static void run_move(struct run *, enum run_state);
static void run_check(const struct run *);
static uint32_t processes(const struct settings *, const struct cell *);
static void put_args(struct buf *, const struct strings *);
static int run_fork(struct run *, const struct function *, struct cell *,
    struct message_start *, const int *fds, size_t fd_count);
static int run_execute(struct run *, struct cell *,
    const struct message_start *, const int *fds, size_t fd_count);
static bool is_gone(int error);
static int run_send(struct run *, struct launcher *,
    const struct message_start *, const int *fds, size_t fd_count);
static void run_began(struct run *, struct launcher *);
static void errors_ready(void *arg, unsigned events);
static void errors_check(struct run *);
static void run_over(struct run *);
static void run_killed(struct run *, struct cell *);
static void run_stop_next(void *arg);

void
run_init(struct run *run, struct gateway *g, const struct run_owner *owner,
    void *arg)
{
	*run = (struct run){
		.gateway = g, .owner = owner, .arg = arg, .err_fd = -1
	};
	list_init(&run->waiting);
	list_init(&run->all);
	list_init(&run->in_launcher);
	watch_init(&run->err, errors_ready, run);
	timer_init(&run->timer, run_stop_next, run);
}

static void
run_move(struct run *run, enum run_state to)
{
	static const bool drawn[][RUN_OVER + 1] = {
		[RUN_NONE] = { [RUN_WAITING] = true, [RUN_SENT] = true },
		[RUN_WAITING] = { [RUN_NONE] = true },
		[RUN_SENT] = { [RUN_EXITED] = true, [RUN_OVER] = true },
		[RUN_EXITED] = { [RUN_OVER] = true },
		[RUN_OVER] = { [RUN_NONE] = true },
	};

	assert(drawn[run->state][to]);
	run->state = to;
	run_check(run);
}

static void
run_check(const struct run *run)
{
	assert((run->launcher != NULL) == run_going(run));
	assert((run->state == RUN_WAITING) == !list_empty(&run->waiting));
	assert(run_going(run) == !list_empty(&run->all));
	assert(run->err.fd < 0 || run->err.fd == run->err_fd);
}

bool
run_going(const struct run *run)
{
	return run->state == RUN_SENT || run->state == RUN_EXITED;
}

/* ---- the start ------------------------------------------------------------ */

void
run_wait(struct run *run, struct cell *c)
{
	list_add_last(&c->wanting, &run->waiting);
	run_move(run, RUN_WAITING);
	launcher_want(c);
}

void
run_unwait(struct run *run)
{
	if (run->state != RUN_WAITING)
		return;
	list_remove(&run->waiting);
	run_move(run, RUN_NONE);
}

/* Mode 0666, for programs that open /dev/stdout or /dev/stderr anew: pipes
 * belong to who made them, and the function is another user. A function can
 * also read from its stdout then, so our reading must not wait for what was
 * there a moment ago. */
int
run_pipe(const struct cell *c, int *read_end, int *write_end)
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
run_can_nowait(void)
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
run_read(const struct gateway *g, int fd, char *to, size_t room)
{
	struct iovec part = { to, room };
	ssize_t n;

	do
		n = g->nowait ? preadv2(fd, &part, 1, -1, RWF_NOWAIT) :
				read(fd, to, room);
	while (n < 0 && errno == EINTR);
	return n;
}

void
run_describe(struct message_start *start, const struct function *f,
    const struct settings *s, const struct cell *c)
{
	static struct buf args = { .ceiling = ENVIRONMENT_MOST };

	buf_clear(&args);
	put_args(&args, &s->args);
	*start = (struct message_start){
		.cpu_s = run_seconds(s->limits[LIMIT_cpu]),
		.memory_bytes = s->limits[LIMIT_memory],
		.files = (uint32_t)s->limits[LIMIT_files],
		.processes = processes(s, c),
		.ticket = function_ticket(f),
		.args = buf_span(&args),
	};
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

uint64_t
run_seconds(uint64_t ms)
{
	return (ms + 999) / 1000;
}

int
run_environment(struct buf *out, const struct function *f,
    const struct settings *s, const struct cell *c, enum environment_role role,
    const char **why)
{
	const struct environment_worker facts = {
		.role = role,
		.directory = span_make(c->directory, c->directory_bytes),
		.tenant = tenant_name(c->tenant),
		.function_name = function_name(f),
		.run = span_of(c->gateway->config->run),
		.settings = s,
		.granted = &c->tenant->terms->env,
		.host = &c->gateway->environment,
		.cpu_s = run_seconds(s->limits[LIMIT_cpu]),
	};

	buf_clear(out);
	return environment_write_worker(out, &facts, why);
}

bool
run_may_start(const struct function *f, const struct cell *c)
{
	return !list_empty(&c->idle) || template_ready(f, c);
}

enum run_answer
run_start(struct run *run, struct function *f, struct cell *c,
    struct message_start *start, int in_fd, int out_fd, const char **why)
{
	int fds[3] = { in_fd, out_fd, -1 }, error = EPIPE;
	size_t first = in_fd < 0;

	*why = NULL;
	if (!run_may_start(f, c))
		return RUN_NO_LAUNCHER;
	if (run_pipe(c, &run->err_fd, &fds[2]) != 0)
		return RUN_NO_RESOURCES;
	run->number = start->invocation = run->gateway->next_invocation++;
	start->has_body = in_fd >= 0;
	if (start->template == START_EXECUTED)
		error = run_fork(run, f, c, start, fds + first, 3 - first);
	if (is_gone(error))
		error = run_execute(run, c, start, fds + first, 3 - first);
	fd_close(&fds[2]);
	if (error == 0) {
		template_want(f, c);
		return RUN_STARTED;
	}
	fd_close(&run->err_fd);
	errno = error;
	*why = "program arguments and environment are too long";
	return error == EMSGSIZE ? RUN_NO_ROOM :
	    is_gone(error)	 ? RUN_NO_LAUNCHER :
				   RUN_NO_RESOURCES;
}

/* 0 or errno; EPIPE without a template. */
static int
run_fork(struct run *run, const struct function *f, struct cell *c,
    struct message_start *start, const int *fds, size_t fd_count)
{
	struct template *t = template_ready(f, c);
	int error;

	if (!t)
		return EPIPE;
	start->template = START_FORKED;
	error = run_send(run, t->run.launcher, start, fds, fd_count);
	if (error != 0) {
		start->template = START_EXECUTED;
		return error == EAGAIN ? EPIPE : error;
	}
	run->forked = true;
	template_used(t);
	return 0;
}

/* 0 or errno. A launcher that is gone is told of that by itself. */
static int
run_execute(struct run *run, struct cell *c, const struct message_start *start,
    const int *fds, size_t fd_count)
{
	int error = EPIPE;
	struct launcher *l;

	while (is_gone(error) && (l = launcher_take(c))) {
		error = run_send(run, l, start, fds, fd_count);
		if (error != 0 && !is_gone(error))
			launcher_give(l);
	}
	return error;
}

static bool
is_gone(int error)
{
	return error == EPIPE || error == ECONNRESET;
}

/* 0 or errno. */
static int
run_send(struct run *run, struct launcher *l, const struct message_start *start,
    const int *fds, size_t fd_count)
{
	if (peer_send(l->peer, MESSAGE_START, start, fds, fd_count) != 0)
		return errno;
	run_began(run, l);
	return 0;
}

static void
run_began(struct run *run, struct launcher *l)
{
	struct gateway *g = run->gateway;

	g->stats.invocations++;
	run->launcher = l;
	run->sent_ms = loop_now_ms(g->loop);
	run->killed_before = usage_killed_before(&l->cell->usage, run->sent_ms);
	list_add_last(&g->runs, &run->all);
	g->run_count++;
	launcher_busy(l, run);
	run_move(run, RUN_SENT);
}

/* ---- its stderr ------------------------------------------------------------- */

int
run_watch_errors(struct run *run)
{
	if (!run_going(run))
		return 0;
	run->err_watched = true;
	if (run->err_fd < 0 || run->err.fd >= 0)
		return 0;
	return loop_watch(run->gateway->loop, &run->err, run->err_fd,
	    LOOP_READ);
}

void
run_errors_again(struct run *run)
{
	if (run->err_watched && run_watch_errors(run) != 0)
		diag_warn("cannot watch a function's stderr: %s", diag_errno());
}

static void
errors_ready(void *arg, unsigned events)
{
	struct run *run = arg;

	if (events & LOOP_READ)
		errors_check(run);
	if (run->err.fd >= 0 && (events & LOOP_HANGUP)) {
		loop_unwatch(run->gateway->loop, &run->err);
		fd_close(&run->err_fd);
	}
}

/* Somebody writes: the log process reads it from here on. While there is none,
 * the pipe waits for the next. */
static void
errors_check(struct run *run)
{
	struct run_about about;
	int bytes = 0;

	if (run->err_fd < 0)
		return;
	if (ioctl(run->err_fd, FIONREAD, &bytes) != 0 || bytes == 0)
		return;
	loop_unwatch(run->gateway->loop, &run->err);
	fcntl(run->err_fd, F_SETFL, O_NONBLOCK); /* log never waits */
	about = run->owner->about(run->arg);
	if (access_stderr(run->gateway, &about, &run->err_fd,
		run->state == RUN_OVER))
		fd_close(&run->err_fd);
}

/* ---- its end -------------------------------------------------------------- */

void
run_exited(struct run *run, const struct message_exited *m)
{
	struct outcome_facts *facts = &run->result.facts;

	if (run->state != RUN_SENT)
		return;
	facts->wait_status = (int)m->wait_status;
	/* Exact when all of it has ended; near enough to tell an alarm's. */
	facts->ran_us = (loop_now_ms(run->gateway->loop) - run->sent_ms) * 1000;
	run->result.ended = true;
	run_killed(run, run->launcher->cell);
	run_move(run, RUN_EXITED);
	run->owner->exited(run->arg);
}

/* Its launcher is somebody else's by now. */
void
run_ended(struct run *run, struct cell *cell, const struct message_ended *m)
{
	struct run_result *result = &run->result;

	/* A launcher is a tenant's user: a step or way there is not is none. */
	bool known =
	    m->how <= (run->forked ? ENDED_NO_TEMPLATE : ENDED_NOT_STARTED);

	result->how = known ? (enum ended)m->how : ENDED_NOT_STARTED;
	result->error = known ? (int)m->error : EPROTO;
	result->step = m->step <= PROC_EXECVE ? m->step : PROC_STARTED;
	if (result->how == ENDED_EXITED) {
		result->ended = true;
		result->facts.wait_status = (int)m->wait_status;
		result->facts.ran_us = m->ended_us > m->started_us ?
		    m->ended_us - m->started_us :
		    0;
		result->facts.cpu_us = m->cpu_us;
		result->strays = m->strays;
		result->started_us = m->started_us;
		result->max_rss_kib = m->max_rss_kib;
		run->gateway->stats.strays += m->strays;
		run_killed(run, cell);
	}
	run_over(run);
}

void
run_lost(struct run *run, bool unread)
{
	struct cell *cell = run->launcher->cell;
	struct run_result *result = &run->result;

	result->lost = true;
	result->facts.lost = true;
	result->facts.unread = unread && !result->ended;
	result->facts.cell_lost = cell->state == CELL_LOST;
	run_killed(run, cell);
	run_over(run);
}

static void
run_over(struct run *run)
{
	struct gateway *g = run->gateway;
	struct loop *loop = g->loop;

	run->launcher = NULL;
	list_remove(&run->all);
	g->run_count--;
	run_move(run, RUN_OVER);
	loop_timer_clear(loop, &run->timer);
	errors_check(run);
	loop_unwatch(loop, &run->err);
	fd_close(&run->err_fd);
	run->owner->over(run->arg);
	workers_room(g);
}

/* Only asked when something was killed, and not by us. */
static void
run_killed(struct run *run, struct cell *cell)
{
	struct outcome_facts *f = &run->result.facts;

	if (!f->stopped &&
	    (f->lost || (run->result.ended && outcome_killed(f->wait_status))))
		f->out_of_memory |=
		    usage_killed(&cell->usage) > run->killed_before;
}

void
run_reset(struct run *run)
{
	run_move(run, RUN_NONE);
	run_init(run, run->gateway, run->owner, run->arg);
}

/* ---- ending it ------------------------------------------------------------ */

void
run_stop(struct run *run, enum end why)
{
	if (run->stop != STOP_NONE || !run_going(run))
		return;
	run->result.facts.stop_end = why;
	run->result.facts.stopped = true;
	run_stop_next(run);
}

static void
run_stop_next(void *arg)
{
	struct run *run = arg;
	struct launcher *l = run->launcher;
	struct run_about about = run->owner->about(run->arg);
	uint64_t next_ms = 0;

	switch (run->stop) {
	case STOP_NONE:
		cell_stop(l->cell, l->number, (uint32_t)run->number, SIGTERM);
		run->stop = STOP_ASKED;
		next_ms = run->grace_ms;
		break;
	case STOP_ASKED:
		cell_stop(l->cell, l->number, (uint32_t)run->number, SIGKILL);
		run->stop = STOP_KILLED;
		next_ms = RUN_CONFIRM_MS;
		break;
	case STOP_KILLED:
		master_cell_kill(run->gateway, tenant_name(about.tenant),
		    "a run was not ended in time");
		run->stop = STOP_CELL;
		next_ms = RUN_ABANDON_MS;
		break;
	case STOP_CELL:
		diag_error("run not confirmed as ended, given up: "
			   "function=%s/%.*s request=%.*s launcher=%u",
		    about.tenant->name, SPAN_ARGS(about.function),
		    SPAN_ARGS(about.request), l->number);
		run->stop = STOP_ABANDONED;
		launcher_abandon(l);
		return;
	case STOP_ABANDONED:
		return;
	}
	loop_timer_set(run->gateway->loop, &run->timer,
	    loop_now_ms(run->gateway->loop) + next_ms);
}
