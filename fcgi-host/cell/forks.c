/* SPDX-License-Identifier: MIT */
/* forks.c - hands STARTs to the template, takes what it makes for what it says
 * it made only after a look, and reaps, kills and answers each. Sees through no
 * message of the functions but FORKED. One FORK is under way at a time, and
 * meanwhile the channel is not read and no stranger is reaped: a newborn may
 * have ended before its template has named it.
 *
 *	START     FORK sent            FORKED, it is our child
 *	  ───────────▶ (newborn) ───────────────────────────▶ RUNNING
 *	      │            │ late, lost, wrong: the template    │ reaped
 *	      │ refused    │ is killed; has somebody come, he   ▼
 *	      ▼            ▼ is the newborn                   ENDING
 *	    ENDED: ENDED_NO_TEMPLATE                            │ strays killed
 *	                                                        ▼
 *	                                              ENDED: ENDED_EXITED
 *
 * A stranger is a child that is neither template nor RUNNING: what somebody of
 * them left behind, whoever it was. Once any child has ended all strangers are
 * killed, so that no ENDED leaves one of its own alive. */

#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"

#include "wire/template.h"

#include "ipc/peer.h"

#include "cell/forks.h"
#include "cell/launcher.h"
#include "cell/order.h"
#include "cell/strays.h"
#include "cell/ticket.h"

enum {
	FORKS_MOST = ORDER_RUNS - 1,
	FORK_MS = 1000, /* for a FORKED; then the template is killed */
	/* nor does who has ended wait longer for one: what is ordered to end
	 * and does not say so has its whole cell killed */
	FORK_ENDING_MS = 250,
};

enum run_state { RUNNING, ENDING };

struct run {
	uint64_t invocation;
	enum run_state state;
	int order; /* its place there */
	pid_t pid; /* 0: not known yet */
	uint64_t started_us;
	uint32_t strays;
	int status; /* ENDING */
	bool told;  /* EXITED is sent */
	struct used used;
};

struct forks {
	const struct forks_place *place; /* borrowed */
	int channel;			 /* borrowed; -1: at its end */
	pid_t template;			 /* 0: reaped */
	int control;			 /* ours; -1: closed */
	bool broken;			 /* it is killed, or gone */
	bool told;			 /* EXITED of it is sent */
	uint32_t strays;		 /* that are nobody's */
	struct used used;		 /* of it and of them */
	struct message_ended *ended;	 /* borrowed: the answer to it */

	bool forking; /* newborn is awaited */
	struct run newborn;
	int error;	   /* why it does not come */
	uint64_t until_ms; /* its template may take */
	bool unreaped;	   /* somebody ended meanwhile */

	struct run *runs;
	size_t count;
	struct buf message;
};

/* Shared with the handler, which runs in ppoll() only. */
static volatile sig_atomic_t child_ended;

static void children_watch(sigset_t *before);
static void children_leave(const sigset_t *before);
static void on_child(int);
static void forks_turn(struct forks *, const sigset_t *unblocked);
static uint64_t forks_patience(const struct forks *, struct timespec *);
static void forks_take(struct forks *);
static void forks_start(struct forks *, const struct message_start *,
    const int *fds);
static int forks_send(struct forks *, const struct message_start *,
    const int *fds);
static void forks_refuse(struct forks *, uint64_t invocation, enum ended,
    int error);
static void forks_hear(struct forks *);
static void forks_born(struct forks *, pid_t);
static void forks_unborn(struct forks *, int error);
static void forks_break(struct forks *, int error);
static void forks_reap(struct forks *);
static bool forks_awaits(const struct forks *);
static void forks_reap_known(struct forks *);
static void forks_reap_any(struct forks *);
static void forks_reaped(struct forks *, pid_t, int status,
    const struct rusage *);
static void run_ends(struct run *, int status);
static void forks_sweep(struct forks *);
static void forks_stray(void *forks, pid_t, int status);
static void forks_tell(struct forks *);
static void forks_answer(struct forks *);
static void run_answer(struct forks *, const struct run *);
static struct run *forks_find(struct forks *, pid_t);
static void forks_say(struct forks *, enum message_type, const void *);
static void forks_close(struct forks *);

void
forks_serve(const struct forks_place *place, struct message_ended *ended)
{
	static struct run runs[FORKS_MOST];
	struct forks f = {
		.place = place,
		.channel = place->channel,
		.template = place->template,
		.control = place->control,
		.ended = ended,
		.runs = runs,
	};
	sigset_t before;

	buf_init(&f.message, TEMPLATE_FORK_MOST);
	children_watch(&before);
	for (;;) {
		forks_reap(&f);
		if (f.template == 0 && f.count == 0)
			break;
		forks_turn(&f, &before);
	}
	assert(!f.forking);
	children_leave(&before);
	buf_free(&f.message);
	order_forget(place->order);
	ended->ended_us = clock_us();
	ended->strays = f.strays;
	ended->cpu_us = f.used.cpu_us;
	ended->max_rss_kib = f.used.max_rss_kib;
}

/* One may have ended before. */
static void
children_watch(sigset_t *before)
{
	struct sigaction act = {
		.sa_handler = on_child,
		.sa_flags = SA_NOCLDSTOP,
	};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, before);
	sigfillset(&act.sa_mask);
	sigaction(SIGCHLD, &act, NULL);
	child_ended = true;
}

static void
children_leave(const sigset_t *before)
{
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, before, NULL);
}

static void
on_child(int signo)
{
	(void)signo;
	child_ended = true;
}

/* Waits for whatever comes first: the template, the gateway, a child's end, an
 * order (which its handler has carried out already), the end of patience. */
static void
forks_turn(struct forks *f, const sigset_t *unblocked)
{
	bool taking = !f->forking && !order_cell_gone();
	struct pollfd ready[] = {
		{ .fd = f->control, .events = POLLIN },
		{ .fd = taking ? f->channel : -1, .events = POLLIN },
	};
	struct timespec left;
	bool waits = forks_awaits(f) && !f->broken;

	if (waits && forks_patience(f, &left) == 0) {
		forks_break(f, ETIMEDOUT);
		return;
	}
	if (ppoll(ready, 2, waits ? &left : NULL, unblocked) < 0) {
		if (errno != EINTR)
			diag_panic("launcher: ppoll: %s", diag_errno());
		return;
	}
	if (ready[0].revents)
		forks_hear(f);
	if (ready[1].revents && f->channel >= 0)
		forks_take(f);
}

/* What is left of it, in milliseconds and for ppoll(). */
static uint64_t
forks_patience(const struct forks *f, struct timespec *left)
{
	uint64_t now_ms = clock_ms();
	uint64_t left_ms = now_ms < f->until_ms ? f->until_ms - now_ms : 0;

	*left = (struct timespec){
		.tv_sec = (time_t)(left_ms / 1000),
		.tv_nsec = (long)(left_ms % 1000) * 1000000,
	};
	return left_ms;
}

/* ---- from the gateway to the template ----------------------------------------- */

static void
forks_take(struct forks *f)
{
	struct message_start start;
	int fds[FD_PASS_MOST];
	size_t fd_count;

	if (!launcher_receive(f->channel, &start, fds, &fd_count)) {
		forks_close(f);
		return;
	}
	if (start.template != START_FORKED)
		diag_fatal("launcher: the gateway sent another START while "
			   "there is a template");
	forks_start(f, &start, fds);
	for (size_t i = 0; i < fd_count; i++)
		fd_close(&fds[i]);
}

static void
forks_start(struct forks *f, const struct message_start *start, const int *fds)
{
	struct ticket ticket;
	int program_fd, order;

	if (ticket_decode(start->ticket, &ticket) != 0)
		diag_fatal("launcher: the gateway sent a broken ticket");
	if (ticket_open(&ticket, f->place->directory, &program_fd) != 0) {
		forks_refuse(f, start->invocation,
		    errno == ESTALE ? ENDED_STALE : ENDED_NO_TEMPLATE,
		    errno == ESTALE ? 0 : errno);
		return;
	}
	fd_close(&program_fd);
	if (f->broken || f->count == FORKS_MOST) {
		forks_refuse(f, start->invocation, ENDED_NO_TEMPLATE,
		    f->broken ? 0 : EAGAIN);
		return;
	}
	order = order_expect(start->invocation);
	assert(order >= 0);
	f->forking = true;
	f->error = 0;
	f->until_ms = clock_ms() + FORK_MS;
	f->newborn = (struct run){
		.invocation = start->invocation,
		.order = order,
		.started_us = clock_us(),
	};
	if (forks_send(f, start, fds) == 0)
		return;
	if (errno == EPIPE || errno == ECONNRESET)
		forks_break(f, errno);
	else
		forks_unborn(f, errno);
}

static int
forks_send(struct forks *f, const struct message_start *start, const int *fds)
{
	const struct template_fork fork = {
		.invocation = start->invocation,
		.time_us = start->time_us,
		.cpu_s = start->cpu_s,
		.env = start->env,
	};
	const int *output = fds + start->has_body;
	const int given[TEMPLATE_FDS] = {
		start->has_body ? fds[0] : f->place->nothing,
		output[0],
		output[1],
	};

	buf_clear(&f->message);
	if (template_fork_encode(&f->message, &fork) != 0) {
		errno = E2BIG;
		return -1;
	}
	return fd_send(f->control, buf_span(&f->message), given, TEMPLATE_FDS) <
		0 ?
	    -1 :
	    0;
}

static void
forks_refuse(struct forks *f, uint64_t invocation, enum ended how, int error)
{
	const struct message_ended m = {
		.invocation = invocation,
		.how = how,
		.error = (uint32_t)error,
	};

	forks_say(f, MESSAGE_ENDED, &m);
}

/* ---- from the template -------------------------------------------------------- */

/* It says one thing, once, when it is asked to. */
static void
forks_hear(struct forks *f)
{
	char text[TEMPLATE_FORKED_BYTES + 1];
	int fds[FD_PASS_MOST];
	size_t fd_count = FD_PASS_MOST;
	struct template_forked said;
	ssize_t n;

	n = fd_receive(f->control, text, sizeof(text), fds, &fd_count);
	if (n < 0 && errno == EAGAIN)
		return;
	for (size_t i = 0; n > 0 && i < fd_count; i++)
		fd_close(&fds[i]);
	if (n <= 0)
		forks_break(f, n < 0 ? errno : EPIPE);
	else if (!f->forking ||
	    template_forked_decode(span_make(text, (size_t)n), &said) != 0 ||
	    said.invocation != f->newborn.invocation)
		forks_break(f, EPROTO);
	else if (said.pid < 0)
		forks_unborn(f, (int)said.error);
	else
		forks_born(f, said.pid);
}

/* That it leads its group is the newborn's own doing, too; but an order may
 * come before it has done so. */
static void
forks_born(struct forks *f, pid_t pid)
{
	siginfo_t found;
	struct run *run;

	if (pid == f->template || forks_find(f, pid) ||
	    waitid(P_PID, (id_t)pid, &found,
		WEXITED | WNOHANG | WNOWAIT | __WALL) != 0) {
		forks_break(f, ESRCH);
		return;
	}
	setpgid(pid, pid);
	run = &f->runs[f->count++];
	*run = f->newborn;
	run->pid = pid;
	f->forking = false;
	order_publish(run->order, pid);
	if (f->unreaped)
		child_ended = true;
	f->unreaped = false;
}

static void
forks_unborn(struct forks *f, int error)
{
	f->forking = false;
	order_forget(f->newborn.order);
	forks_refuse(f, f->newborn.invocation, ENDED_NO_TEMPLATE, error);
	if (f->unreaped)
		child_ended = true;
	f->unreaped = false;
}

/* It is of no use any more; that it has ended is seen by reaping it, and only
 * then it is known whether there is a newborn. */
static void
forks_break(struct forks *f, int error)
{
	fd_close(&f->control);
	f->error = error;
	f->broken = true;
	if (f->template == 0)
		return;
	kill(f->template, SIGKILL);
	kill(-f->template, SIGKILL);
}

/* ---- what has ended ------------------------------------------------------------ */

/* While a newborn is awaited only those are reaped whose numbers are known:
 * the others remain for when it has one. */
static void
forks_reap(struct forks *f)
{
	if (!child_ended)
		return;
	child_ended = false;
	if (forks_awaits(f)) {
		forks_reap_known(f);
		f->unreaped = true;
	}
	if (forks_awaits(f))
		return;
	f->unreaped = false;
	forks_reap_any(f);
	forks_sweep(f);
	forks_answer(f);
}

static bool
forks_awaits(const struct forks *f)
{
	return f->forking && f->template > 0;
}

static void
forks_reap_known(struct forks *f)
{
	uint64_t soon_ms = clock_ms() + FORK_ENDING_MS;
	struct rusage used;
	int status;

	for (size_t i = 0; i < f->count; i++) {
		pid_t pid = f->runs[i].pid;

		if (f->runs[i].state == RUNNING &&
		    wait4(pid, &status, WNOHANG | __WALL, &used) == pid) {
			forks_reaped(f, pid, status, &used);
			if (f->until_ms > soon_ms)
				f->until_ms = soon_ms;
		}
	}
	if (wait4(f->template, &status, WNOHANG | __WALL, &used) == f->template)
		forks_reaped(f, f->template, status, &used);
}

static void
forks_reap_any(struct forks *f)
{
	struct rusage used;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG | __WALL, &used)) > 0)
		forks_reaped(f, pid, status, &used);
}

static void
forks_reaped(struct forks *f, pid_t pid, int status, const struct rusage *used)
{
	struct run *run = forks_find(f, pid);

	if (!run && f->forking && f->template == 0 && f->newborn.pid == 0) {
		/* it came, but nobody is left to say so */
		run = &f->newborn;
		run->pid = pid;
	}
	if (run) {
		used_add(&run->used, used);
		run_ends(run, status);
		return;
	}
	used_add(&f->used, used);
	if (pid == f->template) {
		f->ended->wait_status = (uint32_t)status;
		f->template = 0;
		order_publish(f->place->order, 0);
		forks_break(f, f->error);
	}
}

static void
run_ends(struct run *run, int status)
{
	run->status = status;
	run->state = ENDING;
	order_publish(run->order, 0);
}

/* Once the template is gone nobody new can come but from those that run. */
static void
forks_sweep(struct forks *f)
{
	pid_t keep[FORKS_MOST + 1];
	struct used used = { 0 };
	struct run *blamed = NULL;
	size_t count = 0;

	if (f->template > 0)
		keep[count++] = f->template;
	for (size_t i = 0; i < f->count; i++) {
		if (f->runs[i].state == RUNNING)
			keep[count++] = f->runs[i].pid;
		else if (!blamed)
			blamed = &f->runs[i];
	}
	if (!strays_there(keep, count))
		return;
	forks_tell(f);
	strays_kill(keep, count, &used, forks_stray, f);
	if (blamed)
		blamed->used.cpu_us += used.cpu_us;
	else
		f->used.cpu_us += used.cpu_us;
}

static void
forks_stray(void *forks, pid_t pid, int status)
{
	struct forks *f = forks;

	if (f->forking && f->newborn.pid == 0) {
		f->newborn.pid = pid;
		run_ends(&f->newborn, status);
		return;
	}
	for (size_t i = 0; i < f->count; i++)
		if (f->runs[i].state == ENDING) {
			f->runs[i].strays++;
			return;
		}
	f->strays++;
}

/* ---- what the gateway is told --------------------------------------------------- */

/* Those whose main process is gone, though something of them is not. */
static void
forks_tell(struct forks *f)
{
	struct message_exited m;

	for (size_t i = 0; i < f->count; i++) {
		struct run *run = &f->runs[i];

		if (run->state != ENDING || run->told)
			continue;
		m = (struct message_exited){
			.invocation = run->invocation,
			.wait_status = (uint32_t)run->status,
		};
		forks_say(f, MESSAGE_EXITED, &m);
		run->told = true;
	}
	if (f->template > 0 || f->told)
		return;
	m = (struct message_exited){
		.invocation = f->ended->invocation,
		.wait_status = f->ended->wait_status,
	};
	forks_say(f, MESSAGE_EXITED, &m);
	f->told = true;
}

static void
forks_answer(struct forks *f)
{
	for (size_t i = f->count; i-- > 0;)
		if (f->runs[i].state == ENDING) {
			run_answer(f, &f->runs[i]);
			f->runs[i] = f->runs[--f->count];
		}
	if (f->forking && f->newborn.pid > 0) {
		f->forking = false;
		run_answer(f, &f->newborn);
	} else if (f->forking) {
		forks_unborn(f, f->error);
	}
	if (f->count > 0 && f->template == 0)
		forks_tell(f);
}

static void
run_answer(struct forks *f, const struct run *run)
{
	const struct message_ended m = {
		.invocation = run->invocation,
		.how = ENDED_EXITED,
		.wait_status = (uint32_t)run->status,
		.strays = run->strays,
		.started_us = run->started_us,
		.ended_us = clock_us(),
		.cpu_us = run->used.cpu_us,
		.max_rss_kib = run->used.max_rss_kib,
	};

	order_forget(run->order);
	forks_say(f, MESSAGE_ENDED, &m);
}

static struct run *
forks_find(struct forks *f, pid_t pid)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->runs[i].pid == pid && f->runs[i].state == RUNNING)
			return &f->runs[i];
	return NULL;
}

static void
forks_say(struct forks *f, enum message_type type, const void *m)
{
	if (f->channel >= 0 && peer_send_now(f->channel, type, m, NULL, 0) != 0)
		forks_close(f);
}

/* The gateway is gone, or wants no more of this launcher: nobody hears how it
 * ends. */
static void
forks_close(struct forks *f)
{
	f->channel = -1;
	order_kill_all();
	forks_break(f, EPIPE);
}
