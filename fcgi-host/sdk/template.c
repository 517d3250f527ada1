/* SPDX-License-Identifier: MIT */
/* template.c - a process that has run fn_init() and makes copies of itself when the
 * launcher asks, each of which goes on as an executed process would behind
 * fn_init(). A copy is the launcher's child, not ours (CLONE_PARENT): it waits for
 * it and ends it as any other.
 *
 * libc has no call for that, and must not notice: its own word for the number of the
 * thread is set by the kernel, by which raise(3) and locks go, and the robust
 * list is given again. Handlers of pthread_atfork(3) are not called, fn_at_fork() is
 * for that. With a second thread, which would not be in the copy and might hold a
 * lock of malloc(3), there is no template. */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/landlock.h"

#include "wire/template.h"

#include "sdk/handler.h"

enum {
	HOOKS_MOST = 32,
	JOINED_MS = 100, /* a thread that was joined is seen so much longer */
};

struct hooks {
	void (*before)(void);
	void (*in_template)(void);
	void (*in_copy)(void);
};

static struct hooks hooks[HOOKS_MOST];
static size_t hook_count;

static int control = -1; /* to the launcher */
static int rules = -1;	 /* for each copy; -1: the kernel has none */
static char *room;	 /* for FORK, which a copy keeps: its environment */
static bool sigterm_ours;
static volatile sig_atomic_t stopping;

/* What a copy does not get from the kernel. */
static struct {
	pid_t *tid;    /* where libc has the number of the thread */
	int *tid_gone; /* where it wants a zero when that ends */
	void *robust;  /* locks that are to be let go then */
	size_t robust_bytes;
	int death_signal; /* when the launcher goes; 0: none */
	pid_t launcher;
} self;

struct order {
	struct template_fork fork;
	size_t bytes; /* of it, in `room` */
	int fds[FD_PASS_MOST];
	size_t fd_count;
};

static bool self_know(void);
static bool alone(void);
static void sigterm_take(void);
static void sigterm(int);
static bool order_receive(struct order *, int *error);
static void order_forget(struct order *);
static void order_close(struct order *);
static pid_t copy(struct order *, int out, int *error);
static int answer(uint64_t invocation, pid_t, int error);
static void copy_begin(struct order *, int out, const sigset_t *mask);
static void copy_stand_apart(void);
static void copy_shut_in(void);
static int copy_descriptors(struct order *, int out);
static void copy_standard_reset(void);
static void copy_random(void);

int
fn_at_fork(void (*before)(void), void (*in_template)(void),
    void (*in_copy)(void))
{
	if (hook_count == HOOKS_MOST)
		return -1;
	hooks[hook_count++] = (struct hooks){ before, in_template, in_copy };
	return 0;
}

bool
template_asked(void)
{
	const char *said = getenv("FN_TEMPLATE");
	int type = 0;
	socklen_t bytes = sizeof(type);

	return said && strcmp(said, "1") == 0 &&
	    getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 &&
	    type == SOCK_SEQPACKET;
}

int
template_prepare(void)
{
	self.launcher = getppid();
	if (landlock_version() >= LANDLOCK_SCOPE)
		rules = landlock_new(LANDLOCK_REFUSES_SIGNALS);
	control = standard_take_input();
	return control >= 0 && fd_nonblock(control, false) == 0 &&
		environment_note() == 0 ?
	    0 :
	    -1;
}

bool
template_run(int out, int *status)
{
	struct order order;
	int error;

	*status = EXIT_FAILURE;
	room = malloc(TEMPLATE_FORK_MOST);
	if (!room || environment_compare() != 0) {
		perror("this cannot be a template");
		return false;
	}
	if (!self_know() || !alone())
		return false;
	sigterm_take();
	if (fd_write_all(out, SPAN(TEMPLATE_READY)) != 0) {
		perror("the host cannot be told that this is ready");
		return false;
	}
	while (order_receive(&order, &error)) {
		pid_t pid = -1;

		if (error == 0 && !alone())
			return false;
		if (error == 0)
			pid = copy(&order, out, &error);
		if (pid == 0)
			return true;
		order_forget(&order);
		if (answer(order.fork.invocation, pid, error) != 0)
			return false;
	}
	if (error == 0)
		*status = EXIT_SUCCESS;
	return false;
}

void
template_leave(int status)
{
	fflush(NULL);
	_exit(status); /* what atexit(3) was told is for the template's end */
}

/* ---- what there is to know ------------------------------------------------------ */

/* glibc has told the kernel the word itself, musl a lock; that has it in front of
 * errno. Anything else would be written to by mistake, so it is compared. */
static bool
self_know(void)
{
	pid_t number = (pid_t)syscall(SYS_gettid);
	pid_t *before_errno = (pid_t *)&errno - 1;

	prctl(PR_GET_PDEATHSIG, &self.death_signal);
	syscall(SYS_get_robust_list, 0, &self.robust, &self.robust_bytes);
	if (prctl(PR_GET_TID_ADDRESS, &self.tid_gone) != 0)
		self.tid_gone = NULL;
	if (self.tid_gone && *self.tid_gone == number)
		self.tid = self.tid_gone;
	else if (*before_errno == number)
		self.tid = before_errno;
	else
		fputs("this cannot be a template: where libc keeps the number "
		      "of the thread is not known\n",
		    stderr);
	return self.tid != NULL;
}

/* The links of a directory are its directories: one for each thread. */
static bool
alone(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct stat threads;

	for (int ms = 0; ms <= JOINED_MS; ms++) {
		if (stat("/proc/self/task", &threads) != 0) {
			perror("this cannot be a template: /proc/self/task");
			return false;
		}
		if (threads.st_nlink <= 3)
			return true;
		nanosleep(&pause, NULL);
	}
	fprintf(stderr,
	    "this cannot be a template: it has %lu threads, of which a copy "
	    "would have one; start none before fn_handle()\n",
	    (unsigned long)threads.st_nlink - 2);
	return false;
}

/* ---- the end -------------------------------------------------------------------- */

/* Unless the author does something else with it. */
static void
sigterm_take(void)
{
	struct sigaction action;

	if (sigaction(SIGTERM, NULL, &action) != 0 ||
	    action.sa_handler != SIG_DFL)
		return;
	action = (struct sigaction){ .sa_flags = SA_RESTART };
	action.sa_handler = sigterm;
	sigemptyset(&action.sa_mask);
	sigterm_ours = sigaction(SIGTERM, &action, NULL) == 0;
}

/* Who waits for an order, or is about to, finds the end of the socket. */
static void
sigterm(int number)
{
	int saved = errno;

	(void)number;
	stopping = 1;
	shutdown(control, SHUT_RD);
	errno = saved;
}

/* ---- orders --------------------------------------------------------------------- */

/* True: here is one, or an error to answer. False: the end, or an error that is
 * one. A launcher that died is the end too, whatever it had left unread. */
static bool
order_receive(struct order *o, int *error)
{
	ssize_t n;

	*error = 0;
	o->fork = (struct template_fork){ 0 };
	o->fd_count = FD_PASS_MOST;
	n = fd_receive_wait(control, room, TEMPLATE_FORK_MOST, o->fds,
	    &o->fd_count);
	if (n == 0 || stopping || (n < 0 && errno == ECONNRESET))
		return false;
	if (n < 0 && errno != EMSGSIZE) {
		*error = errno;
		perror("no orders from the host");
		return false;
	}
	o->bytes = n < 0 ? TEMPLATE_FORK_MOST : (size_t)n;
	if (n < 0)
		*error = EMSGSIZE;
	else if (template_fork_decode(span_make(room, (size_t)n), &o->fork) !=
		0 ||
	    o->fd_count != TEMPLATE_FDS)
		*error = EBADMSG;
	return true;
}

/* A request and its token are for one copy, and not for those that come after. */
static void
order_forget(struct order *o)
{
	explicit_bzero(room, o->bytes);
	order_close(o);
}

static void
order_close(struct order *o)
{
	while (o->fd_count > 0)
		fd_close(&o->fds[--o->fd_count]);
}

/* 0 in the copy; else its number, or -1 with the error. */
static pid_t
copy(struct order *o, int out, int *error)
{
	sigset_t all, mask;
	pid_t pid;

	for (size_t i = hook_count; i-- > 0;)
		if (hooks[i].before)
			hooks[i].before();
	fflush(NULL); /* or it would be written once more by each */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	/* The order of its last two arguments is not the same on every machine;
	 * that of the thread's storage is not looked at. */
	pid = (pid_t)syscall(SYS_clone,
	    CLONE_PARENT | CLONE_CHILD_SETTID | SIGCHLD, 0, 0, self.tid,
	    self.tid);
	*error = errno;
	if (pid == 0) {
		copy_begin(o, out, &mask);
		return 0;
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	for (size_t i = 0; i < hook_count; i++)
		if (hooks[i].in_template)
			hooks[i].in_template();
	return pid;
}

static int
answer(uint64_t invocation, pid_t pid, int error)
{
	const struct template_forked forked = { .invocation = invocation,
		.pid = pid,
		.error = pid < 0 ? (uint32_t)error : 0 };
	struct buf b;
	int result;

	buf_init(&b, TEMPLATE_FORKED_BYTES);
	result = template_forked_encode(&b, &forked);
	if (result == 0 && fd_send(control, buf_span(&b), NULL, 0) < 0)
		result = -1;
	buf_free(&b);
	if (result != 0 && errno != EPIPE)
		perror("the host cannot be answered");
	return result;
}

/* ---- a copy --------------------------------------------------------------------- */

/* From a copy of the template to what a process is behind fn_init(). Signals wait
 * until nothing of the template's would take them. */
static void
copy_begin(struct order *o, int out, const sigset_t *mask)
{
	copy_stand_apart();
	copy_shut_in();
	limit_process(o->fork.time_us, o->fork.cpu_s);
	if (copy_descriptors(o, out) != 0) {
		perror("the descriptors of a copy cannot be put in order");
		_exit(EXIT_FAILURE);
	}
	if (sigterm_ours)
		signal(SIGTERM, SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	environment_become(room + (o->fork.env.data - room), o->fork.env.bytes);
	copy_standard_reset();
	copy_random();
	for (size_t i = 0; i < hook_count; i++)
		if (hooks[i].in_copy)
			hooks[i].in_copy();
}

static void
copy_stand_apart(void)
{
	setpgid(0, 0);
	syscall(SYS_set_tid_address, self.tid_gone);
	if (self.robust)
		syscall(SYS_set_robust_list, self.robust, self.robust_bytes);
	if (self.death_signal == 0)
		return;
	prctl(PR_SET_PDEATHSIG, self.death_signal);
	if (getppid() != self.launcher)
		_exit(EXIT_FAILURE);
}

/* As the launcher does with what it executes: it can signal what it starts itself,
 * but neither the template nor other copies, and look into none of them. Without
 * no_new_privs, where no host has set that, it is refused, and no harm. */
static void
copy_shut_in(void)
{
	if (rules < 0)
		return;
	(void)landlock_restrict(rules);
	fd_close(&rules);
}

/* As standard_prepare() leaves them. */
static int
copy_descriptors(struct order *o, int out)
{
	fd_close(&control);
	if (dup2(o->fds[0], STDIN_FILENO) < 0 ||
	    dup3(o->fds[1], out, O_CLOEXEC) < 0 ||
	    dup2(o->fds[2], STDERR_FILENO) < 0 ||
	    dup2(o->fds[2], STDOUT_FILENO) < 0)
		return -1;
	order_close(o);
	return 0;
}

/* What the template could not write goes nowhere, and that it read to the end of
 * its input says nothing of ours. */
static void
copy_standard_reset(void)
{
	FILE *const streams[] = { stdin, stdout, stderr };

	for (size_t i = 0; i < 3; i++) {
		__fpurge(streams[i]);
		clearerr(streams[i]);
	}
}

/* Else all copies of one template would draw the same. */
static void
copy_random(void)
{
	unsigned seed[3];

	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return;
	srand(seed[0]);
	srandom(seed[1]);
	srand48((long)seed[2]);
}
