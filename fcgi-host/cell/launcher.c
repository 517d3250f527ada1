/* SPDX-License-Identifier: MIT */
/* launcher.c - receive START, compare, start, wait, clean up, answer: the path
 * every request takes, so each system call in it is there for a reason.
 * Orders to stop come as signals, whenever they like (order.c): a process is
 * expected before it is made. A program that is started to be a template is
 * served by forks.c until it and all that was forked from it have ended.
 *
 *	       START                  reaped
 *	IDLE ----------> RUNNING ----------------> ENDING ----> IDLE
 *	  |  stale, not started: ENDED at once       | others are left: EXITED,
 *	  +------------------------------> IDLE      | kill them; then ENDED
 */

#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/proc.h"

#include "ipc/message.h"
#include "ipc/peer.h"

#include "cell/forks.h"
#include "cell/launcher.h"
#include "cell/order.h"
#include "cell/strays.h"
#include "cell/ticket.h"

/* Where a launcher keeps what it has. */
enum { CHANNEL = 3, DIRECTORY, NOTHING, RULES };

enum { LAUNCHER_FEW = 192 /* words, paths included */ };

struct launcher {
	const struct launcher_place *place;
	void *room; /* ours: words and paths of what is being started */
	size_t room_bytes;
	/* of what runs */
	pid_t pid;
	int order;   /* its place there */
	int control; /* ours: to a template; -1: it is none */
	uint32_t strays;
	struct used used;
};

static void launcher_become(const struct launcher_place *);
static void launcher_stand_apart(void);
static void launcher_drop(const struct launcher *);
static bool launcher_start(struct launcher *, const struct message_start *,
    const int *fds, struct message_ended *);
static int launcher_control(struct launcher *, const struct message_start *,
    int *its_end);
static int launcher_words(struct launcher *, const struct message_start *,
    const struct ticket *, struct proc_plan *);
static void *launcher_room(struct launcher *, size_t bytes);
static size_t words_split(struct span, char **words);
static void launcher_limits(const struct launcher *,
    const struct message_start *, struct proc_plan *);
static void limit_add(struct proc_plan *, int resource, uint64_t soft,
    uint64_t hard);
static void launcher_wait(struct launcher *, struct message_ended *);
static void launcher_serve_forks(struct launcher *, struct message_ended *);
static void launcher_clean_up(struct launcher *, const struct message_ended *);
static void count_stray(void *launcher, pid_t, int status);

void
launcher_run(const struct launcher_place *place)
{
	struct launcher l = { .place = place };
	struct message_start start;
	struct message_ended ended;
	int fds[FD_PASS_MOST];
	size_t fd_count;

	launcher_become(place);
	while (!order_cell_gone() &&
	    launcher_receive(CHANNEL, &start, fds, &fd_count)) {
		bool started = launcher_start(&l, &start, fds, &ended);

		launcher_drop(&l);
		if (started && l.control >= 0)
			launcher_serve_forks(&l, &ended);
		else if (started)
			launcher_wait(&l, &ended);
		if (peer_send_now(CHANNEL, MESSAGE_ENDED, &ended, NULL, 0) != 0)
			break;
	}
	_exit(0);
}

bool
launcher_receive(int channel, struct message_start *start,
    int fds[FD_PASS_MOST], size_t *fd_count)
{
	struct span body;

	if (peer_receive_now(channel, ROLE_LAUNCHER, ROLE_GATEWAY, &body, fds,
		fd_count) != MESSAGE_START) {
		if (errno == 0)
			return false;
		diag_fatal("launcher: from the gateway: %s", diag_errno());
	}
	if (message_start_decode(body, start) != 0 || start->has_body > 1 ||
	    start->template > START_FORKED ||
	    (start->template == START_TEMPLATE && start->has_body) ||
	    *fd_count != 2 + start->has_body)
		diag_fatal("launcher: the gateway sent a broken START");
	return true;
}

/* From a copy of the cell to a process that knows nothing of it. */
static void
launcher_become(const struct launcher_place *place)
{
	int channel = fcntl(place->channel, F_DUPFD_CLOEXEC, 64);
	int directory = fcntl(place->directory_fd, F_DUPFD_CLOEXEC, 64);
	int rules = place->rules_fd > 0 ?
	    fcntl(place->rules_fd, F_DUPFD_CLOEXEC, 64) :
	    -1;
	int nothing;

	close_range(CHANNEL, 63, 0);
	if (dup3(channel, CHANNEL, O_CLOEXEC) < 0 ||
	    dup3(directory, DIRECTORY, O_CLOEXEC) < 0 ||
	    (place->rules_fd > 0 && dup3(rules, RULES, O_CLOEXEC) < 0))
		diag_fatal("launcher: descriptors: %s", diag_errno());
	close_range(RULES + 1, ~0U, 0);
	/* opened in here: one from outside the cell would be refused */
	nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (nothing != NOTHING || fd_nonblock(CHANNEL, false) != 0)
		diag_fatal("launcher: /dev/null: %s", diag_errno());
	prctl(PR_SET_NAME, "fcgi-launcher");
	launcher_stand_apart();
	if (proc_subreaper() != 0)
		diag_fatal("launcher: subreaper: %s", diag_errno());
	order_catch(place->cell);
}

/* One session for all it will start: a session for each would cost a
 * scheduling group each, and like this no function can move into the process
 * group of another's. As a batch process neither it nor what it starts takes
 * the processor from gateway and web server at the moment it is woken: waking
 * is most of what a small request costs. */
static void
launcher_stand_apart(void)
{
	if (setsid() < 0)
		diag_fatal("launcher: session: %s", diag_errno());
	if (proc_batch() != 0)
		diag_debug("launcher: batch scheduling: %s", diag_errno());
}

/* All of the request: the function has its copies; with ours open, nobody would
 * see the end of its output. */
static void
launcher_drop(const struct launcher *l)
{
	unsigned first = l->place->rules_fd > 0 ? RULES + 1 : NOTHING + 1;
	unsigned control = (unsigned)l->control;

	if (l->control >= 0 && control > first)
		close_range(first, control - 1, 0);
	close_range(l->control >= 0 ? control + 1 : first, ~0U, 0);
}

/* True when it runs; else the answer is complete. */
static bool
launcher_start(struct launcher *l, const struct message_start *start,
    const int *fds, struct message_ended *ended)
{
	const int *output = fds + start->has_body;
	int given[] = {
		start->has_body ? fds[0] : NOTHING,
		output[0],
		output[1],
	};
	struct proc_plan plan = {
		.fds = given,
		.fd_count = 3,
		.own_group = true,
		.dies_with_parent = l->place->alone,
		.alarm_us = start->time_us,
		.rules_fd = l->place->rules_fd > 0 ? RULES : 0,
	};
	struct proc_started started;
	struct ticket ticket;
	int program_fd;

	*ended = (struct message_ended){ .invocation = start->invocation };
	l->control = -1;
	if (start->template != START_EXECUTED) {
		ended->how = ENDED_NO_TEMPLATE;
		if (launcher_control(l, start, &given[0]) != 0) {
			ended->error = (uint32_t)errno;
			return false;
		}
	}
	if (ticket_decode(start->ticket, &ticket) != 0)
		diag_fatal("launcher: the gateway sent a broken ticket");
	if (ticket_open(&ticket, DIRECTORY, &program_fd) != 0) {
		ended->how = ENDED_STALE;
		if (errno == ESTALE)
			return false;
		ended->how = ENDED_NOT_STARTED;
		ended->error = (uint32_t)errno;
		ended->step = PROC_DESCRIPTORS;
		return false;
	}
	if (program_fd >= 0)
		plan.program_fd = program_fd;
	ended->how = ENDED_NOT_STARTED;
	if (launcher_words(l, start, &ticket, &plan) != 0) {
		ended->error = (uint32_t)errno;
		ended->step = PROC_EXECVE;
		return false;
	}
	launcher_limits(l, start, &plan);
	l->order = order_expect(start->invocation);
	ended->started_us = clock_us();
	started = proc_start(&plan);
	if (started.pid < 0) {
		order_forget(l->order);
		ended->error = (uint32_t)started.error;
		ended->step = started.step;
		return false;
	}
	l->pid = started.pid;
	order_publish(l->order, l->pid);
	ended->how = ENDED_EXITED;
	return true;
}

/* A channel to what is to be a template: *its_end is its standard input. 0, or
 * -1 with errno, 0 when there is no template to fork from. What is left behind
 * by a failure goes with the descriptors of the request. */
static int
launcher_control(struct launcher *l, const struct message_start *start,
    int *its_end)
{
	int ends[2];

	errno = 0;
	if (start->template != START_TEMPLATE)
		return -1;
	/* strays among several can only be told by their numbers */
	if (proc_children(NULL, 0) < 0 || fd_channel(ends) != 0 ||
	    fd_nonblock(ends[1], false) != 0)
		return -1;
	l->control = ends[0];
	*its_end = ends[1];
	return 0;
}

/* What the program is called with, all in one place: its words, its path, and
 * the directory that is in (RFC 3875, 7.2). Python's program is the host's, and
 * the tenant's file its first argument. */
static int
launcher_words(struct launcher *l, const struct message_start *start,
    const struct ticket *ticket, struct proc_plan *plan)
{
	const char *python = ticket->python ? l->place->python : NULL;
	struct span program = ticket->program;
	size_t args = words_split(start->args, NULL);
	size_t variables = words_split(start->env, NULL);
	size_t words_most = args + variables + 4, first = python ? 2 : 1;
	size_t word_bytes = words_most * sizeof(char *);
	size_t path_bytes = strlen(l->place->directory) + program.bytes + 2;
	char **words, **envp, *path, *directory;

	if (path_bytes > PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (ticket->python && !python) {
		errno = ENOENT;
		return -1;
	}
	words = launcher_room(l, word_bytes + 2 * path_bytes);
	if (!words)
		return -1;
	path = (char *)words + word_bytes;
	directory = path + path_bytes;
	snprintf(path, path_bytes, "%s/%.*s", l->place->directory,
	    SPAN_ARGS(program));
	memcpy(directory, path, path_bytes);
	*strrchr(directory, '/') = '\0';
	words[0] = strrchr(python ? python : path, '/') + 1;
	if (python)
		words[1] = path;
	words_split(start->args, words + first);
	words[first + args] = NULL;
	envp = words + first + args + 1;
	words_split(start->env, envp);
	envp[variables] = NULL;
	plan->path = python ? python : path;
	plan->directory = directory;
	plan->argv = words;
	plan->envp = envp;
	return 0;
}

/* Most fit into what is there anyway: the heap is the cell's, and each page of
 * it that a launcher writes to is one more of its own. */
static void *
launcher_room(struct launcher *l, size_t bytes)
{
	static char *few[LAUNCHER_FEW];

	if (bytes <= sizeof(few))
		return few;
	if (bytes > l->room_bytes) {
		free(l->room);
		l->room = malloc(bytes);
		l->room_bytes = l->room ? bytes : 0;
	}
	return l->room;
}

/* How many strings there are; their places, when asked for. What does not end
 * with NUL is none. */
static size_t
words_split(struct span rest, char **words)
{
	size_t count = 0;
	ptrdiff_t end;

	while ((end = span_find(rest, '\0')) >= 0) {
		if (words)
			words[count] = (char *)(uintptr_t)rest.data;
		count++;
		rest = span_skip(rest, (size_t)end + 1);
	}
	return count;
}

/* Set for every function even when it is the default: a limit that can be
 * raised again is none, so launcher and function cannot have the same.
 * Processes are counted for the user, in a user namespace only those in there:
 * where the user has a life beside us, the limit would hit or miss by what else
 * he runs. */
static void
launcher_limits(const struct launcher *l, const struct message_start *start,
    struct proc_plan *plan)
{
	if (start->cpu_s > 0)
		limit_add(plan, RLIMIT_CPU, start->cpu_s, start->cpu_s + 1);
	if (start->memory_bytes > 0)
		limit_add(plan, RLIMIT_DATA, start->memory_bytes,
		    start->memory_bytes);
	if (start->files > 0)
		limit_add(plan, RLIMIT_NOFILE, start->files, start->files);
	if (start->processes > 0 && l->place->limits_processes)
		limit_add(plan, RLIMIT_NPROC, start->processes,
		    start->processes);
}

static void
limit_add(struct proc_plan *plan, int resource, uint64_t soft, uint64_t hard)
{
	plan->limits[plan->limit_count++] =
	    (struct proc_limit){ resource, soft, hard };
}

/* Until the main process and all that came to us from it are gone. Its
 * daemons may die before it: any child is reaped as it comes. */
static void
launcher_wait(struct launcher *l, struct message_ended *ended)
{
	struct rusage used;
	int status;
	pid_t pid;

	l->strays = 0;
	l->used = (struct used){ 0 };
	do {
		pid = wait4(-1, &status, __WALL, &used);
		if (pid > 0)
			used_add(&l->used, &used);
		else if (errno != EINTR)
			diag_panic("launcher: wait4: %s", diag_errno());
	} while (pid != l->pid);
	order_publish(l->order, 0);
	ended->wait_status = (uint32_t)status;
	do {
		pid = wait4(-1, &status, WNOHANG | __WALL, &used);
		if (pid > 0)
			used_add(&l->used, &used);
	} while (pid > 0);
	if (pid == 0)
		launcher_clean_up(l, ended);
	order_forget(l->order);
	ended->ended_us = clock_us();
	ended->strays = l->strays;
	ended->cpu_us = l->used.cpu_us;
	ended->max_rss_kib = l->used.max_rss_kib;
}

static void
launcher_clean_up(struct launcher *l, const struct message_ended *ended)
{
	struct message_exited exited = {
		.invocation = ended->invocation,
		.wait_status = ended->wait_status,
	};

	if (peer_send_now(CHANNEL, MESSAGE_EXITED, &exited, NULL, 0) != 0)
		diag_debug("launcher: the gateway is gone");
	strays_kill(NULL, 0, &l->used, count_stray, l);
}

static void
count_stray(void *launcher, pid_t pid, int status)
{
	struct launcher *l = launcher;

	(void)pid;
	(void)status;
	l->strays++;
}

static void
launcher_serve_forks(struct launcher *l, struct message_ended *ended)
{
	struct forks_place place = {
		.channel = CHANNEL,
		.directory = DIRECTORY,
		.nothing = NOTHING,
		.control = l->control,
		.template = l->pid,
		.order = l->order,
	};

	forks_serve(&place, ended);
	l->control = -1;
}
