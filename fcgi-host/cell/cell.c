/* SPDX-License-Identifier: MIT */
/* cell.c - serves one tenant: says what names mean, makes launchers, passes on
 * orders to stop. Runs as the tenant, in its sandbox; never waits for a
 * function. Ends when either channel does, and takes along what runs in here.
 *
 *	SERVING --- gateway or master gone ---> everything killed, exit 0
 *
 * Children are launchers, and orphans of launchers that died: those are
 * killed, since nobody knows any more whose they are. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/landlock.h"
#include "base/proc.h"

#include "config/settings.h"

#include "cell/cell.h"
#include "cell/each.h"
#include "cell/launcher.h"
#include "cell/order.h"
#include "cell/resolve.h"

enum {
	/* A gateway that wants more is broken: it may have as many at once as
	 * there are slots, and those it let go may not have ended yet. */
	LAUNCHERS_PER_SLOT = 2,
	ORPHANS_MS = 100,	 /* killing waits this long ... */
	ORPHANS_AGAIN_MS = 1000, /* ... and is tried again after this */
	END_MS = 3000,		 /* at the end it may take longer */
	LISTED_PARTS = 6,	 /* texts of a row */
	ROWS_MOST = 60000,	 /* bytes of LISTED rows in one message */
	PLAN_MOST = 65000,	 /* and of PLAN */
};

struct launcher_entry {
	struct list node;
	uint32_t number; /* the gateway's */
	pid_t pid;
};

struct cell {
	struct cell_start start; /* ours */
	struct plan *plan;	 /* ours */
	bool alone;		 /* no pid namespace of our own */
	int rules_fd;		 /* ours: for each invocation; 0: none */
	struct loop *loop;	 /* ours, like all below */
	struct peer *master;
	struct peer *gateway;
	struct resolve *resolve;
	struct resolution resolution; /* of the question being answered */
	struct list launchers;	      /* newest first */
	size_t launcher_count;
	struct timer orphans;
};

struct listing { /* an answer to LIST being written */
	struct cell *cell;
	uint64_t ask;
	struct buf rows;
};

static int rules_for_each(void);
static void from_gateway(void *cell, enum message_type, struct span body,
    int *fds, size_t fd_count);
static void channel_gone(void *cell, const char *reason, bool unread);
static void answer_resolve(struct cell *, struct span body);
static void answer_list(struct cell *, struct span body);
static void listing_add(void *listing, const struct resolution *);
static void listing_refuse(struct listing *);
static struct span start_word(unsigned);
static struct span protocol_word(unsigned);
static void listing_send(struct listing *, bool more);
static void answer_plan(struct cell *, struct span body);
static void launcher_make(struct cell *, struct span body);
static bool limits_processes(const struct cell *);
static pid_t launcher_fork(struct cell *, int *fd);
static void launcher_stop(struct cell *, struct span body);
static void on_child(void *cell, pid_t, int status, const struct rusage *);
static void orphans_kill(void *cell);
static void nothing_happens(void *cell, int signo);
static void send_gateway(struct cell *, enum message_type, const void *m);

void
cell_serve(struct cell_start *start, struct plan **plan)
{
	static struct cell cell;
	struct cell *c = &cell;
	struct resolve_place place = {
		.tenant = start->facts.tenant,
		.directory_fd = start->directory_fd,
		.directory = start->facts.directory,
		.uid = start->facts.uid,
		.gid = start->facts.gid,
		.python = start->facts.python,
		.user_namespace = start->facts.namespaces & CLONE_NEWUSER,
	};

	c->start = *start;
	c->plan = *plan;
	*plan = NULL;
	c->alone = !(start->facts.namespaces & CLONE_NEWPID);
	c->rules_fd = rules_for_each();
	c->resolve = resolve_new(&place, start->config);
	resolution_init(&c->resolution);
	list_init(&c->launchers);
	order_block();
	c->loop = loop_new();
	timer_init(&c->orphans, orphans_kill, c);
	loop_on_signal(c->loop, SIGTERM, nothing_happens, c);
	loop_on_signal(c->loop, SIGINT, nothing_happens, c);
	loop_on_child(c->loop, on_child, c);
	/* what a cell is was said once; the next generation gets another one */
	c->master = peer_new(c->loop, PEER_FIRST_FD, ROLE_CELL, ROLE_MASTER,
	    NULL, channel_gone, c);
	c->gateway = peer_new(c->loop, start->gateway_fd, ROLE_CELL,
	    ROLE_GATEWAY, from_gateway, channel_gone, c);
	if (peer_send(c->master, MESSAGE_READY, NULL, NULL, 0) == 0)
		loop_run(c->loop);
	/* pid 1 takes everything with it; without that, it has to be done */
	if (c->alone &&
	    proc_kill_children(NULL, 0, clock_ms() + END_MS, NULL, NULL) != 0)
		diag_error("processes of %s cannot be killed",
		    c->start.facts.tenant);
	_exit(0);
}

/* Made once: to put it upon a program that starts costs 6 us, and then it can
 * signal what it starts itself, but no launcher, nor what another runs. Their
 * signals still reach it: those it is beneath may signal it. */
static int
rules_for_each(void)
{
	int fd;

	if (landlock_version() < LANDLOCK_SCOPE)
		return 0;
	fd = landlock_new(LANDLOCK_REFUSES_SIGNALS);
	if (fd < 0)
		diag_fatal("rules for invocations: %s", diag_errno());
	return fd;
}

static void
from_gateway(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct cell *c = arg;

	(void)fds;
	(void)fd_count;
	switch (type) {
	case MESSAGE_RESOLVE:
		return answer_resolve(c, body);
	case MESSAGE_LAUNCHER_WANTED:
		return launcher_make(c, body);
	case MESSAGE_STOP:
		return launcher_stop(c, body);
	case MESSAGE_LIST:
		return answer_list(c, body);
	case MESSAGE_PLAN_ASK:
		return answer_plan(c, body);
	default:
		return;
	}
}

static void
channel_gone(void *arg, const char *reason, bool unread)
{
	struct cell *c = arg;

	(void)unread;
	diag_debug("the cell of %s ends: %s", c->start.facts.tenant, reason);
	loop_stop(c->loop);
}

static void
answer_resolve(struct cell *c, struct span body)
{
	struct resolution *r = &c->resolution;
	struct message_resolved m = { 0 };
	struct message_resolve asked;

	if (message_resolve_decode(body, &asked) != 0)
		return loop_stop(c->loop);
	resolve_name(c->resolve, asked.name, clock_unix_ms(), r);
	m = (struct message_resolved){
		.ask = asked.ask,
		.outcome = r->outcome,
		.name = span_of(r->function),
		.reason = span_of(r->reason),
		.file = span_of(r->file),
		.ticket = buf_span(&r->ticket),
		.settings = buf_span(&r->settings),
		.version = r->version,
	};
	if (peer_send(c->gateway, MESSAGE_RESOLVED, &m, NULL, 0) == 0 ||
	    errno != EMSGSIZE)
		return;
	m.outcome = RESOLVED_REFUSED;
	m.reason = SPAN("its settings are too large to be passed on");
	m.ticket = m.settings = SPAN_NONE;
	send_gateway(c, MESSAGE_RESOLVED, &m);
}

static void
answer_list(struct cell *c, struct span body)
{
	struct listing listing = { .cell = c };
	struct message_list asked;

	if (message_list_decode(body, &asked) != 0)
		return loop_stop(c->loop);
	listing.ask = asked.ask;
	buf_init(&listing.rows, ROWS_MOST);
	if (resolve_list(c->resolve, clock_unix_ms(), listing_add, &listing) !=
	    0)
		listing_refuse(&listing);
	listing_send(&listing, false);
	buf_free(&listing.rows);
}

static void
listing_add(void *arg, const struct resolution *r)
{
	struct listing *listing = arg;
	struct resolution_facts facts =
	    resolution_facts(listing->cell->resolve, r);
	struct span parts[] = {
		span_of(r->function), span_of(r->file), span_of(r->reason),
		protocol_word(r->protocol), facts.off ? SPAN("off") : SPAN_NONE,
		r->program > PROGRAM_CGI ? start_word(facts.start) : SPAN_NONE
	};
	size_t bytes = 0;

	for (size_t i = 0; i < LISTED_PARTS; i++)
		bytes += parts[i].bytes + 1;
	if (buf_bytes(&listing->rows) + bytes > ROWS_MOST)
		listing_send(listing, true);
	for (size_t i = 0; i < LISTED_PARTS; i++) {
		buf_put(&listing->rows, parts[i]);
		buf_put_byte(&listing->rows, '\0');
	}
}

static struct span
start_word(unsigned start)
{
	return start == START_FORK ? SPAN("fork") :
	    start == START_AUTO	   ? SPAN("auto") :
				     SPAN("exec");
}

static struct span
protocol_word(unsigned protocol)
{
	switch (protocol) {
	case PROTOCOL_CGI:
		return SPAN("cgi");
	case PROTOCOL_FASTCGI:
		return SPAN("fastcgi");
	default:
		return SPAN("");
	}
}

/* A directory that cannot be read is a row of its own. */
static void
listing_refuse(struct listing *listing)
{
	struct resolution *r = &listing->cell->resolution;

	r->outcome = RESOLVED_REFUSED;
	r->function[0] = '\0';
	r->program = PROGRAM_ANY;
	r->protocol = PROTOCOL_AUTO;
	snprintf(r->file, sizeof(r->file), ".");
	snprintf(r->reason, sizeof(r->reason),
	    "the tenant's directory cannot be read by user %u: %s",
	    (unsigned)listing->cell->start.facts.uid, diag_errno());
	listing_add(listing, r);
}

static void
listing_send(struct listing *listing, bool more)
{
	struct message_listed m = {
		.ask = listing->ask,
		.more = more,
		.rows = buf_span(&listing->rows),
	};

	send_gateway(listing->cell, MESSAGE_LISTED, &m);
	buf_clear(&listing->rows);
}

static void
answer_plan(struct cell *c, struct span body)
{
	struct message_plan_ask asked;
	struct message_plan m;
	const struct each_facts each = {
		.alone = c->alone,
		.limits_processes = limits_processes(c),
		.rules = c->rules_fd > 0,
	};
	struct buf text;

	if (message_plan_ask_decode(body, &asked) != 0)
		return loop_stop(c->loop);
	buf_init(&text, PLAN_MOST);
	plan_print(c->plan, &text);
	each_print(&each,
	    config_terms(c->start.config, span_of(c->start.facts.tenant)),
	    &text);
	m = (struct message_plan){ asked.ask, buf_span(&text), {} };
	send_gateway(c, MESSAGE_PLAN, &m);
	buf_free(&text);
}

static void
launcher_make(struct cell *c, struct span body)
{
	struct message_launcher_wanted wanted;
	struct message_launcher m = { 0 };
	struct launcher_entry *entry;
	int fd = -1;

	if (message_launcher_wanted_decode(body, &wanted) != 0)
		return loop_stop(c->loop);
	entry = diag_alloc(sizeof(*entry));
	entry->number = m.launcher = wanted.launcher;
	entry->pid = launcher_fork(c, &fd);
	if (entry->pid < 0) {
		m.error = (uint32_t)errno;
		free(entry);
		return send_gateway(c, MESSAGE_LAUNCHER, &m);
	}
	list_add_first(&c->launchers, &entry->node);
	c->launcher_count++;
	/* if it does not get there, the launcher sees its channel close */
	if (peer_send(c->gateway, MESSAGE_LAUNCHER, &m, &fd, 1) != 0)
		diag_error("a launcher of %s is lost: %s",
		    c->start.facts.tenant, diag_errno());
	fd_close(&fd);
}

/* Where none but the tenant's own are counted. */
static bool
limits_processes(const struct cell *c)
{
	return c->start.facts.root ||
	    (c->start.facts.namespaces & CLONE_NEWUSER) != 0;
}

/* *fd becomes the gateway's end of its channel. */
static pid_t
launcher_fork(struct cell *c, int *fd)
{
	struct launcher_place place = {
		.directory_fd = c->start.directory_fd,
		.directory = c->start.facts.directory,
		.python = c->start.facts.python,
		.cell = getpid(),
		.alone = c->alone,
		.rules_fd = c->rules_fd,
		.limits_processes = limits_processes(c),
	};
	int ends[2], kept_errno;
	pid_t pid;

	if (c->launcher_count >=
	    c->start.config->slots_host * LAUNCHERS_PER_SLOT) {
		errno = EAGAIN;
		return -1;
	}
	if (fd_channel(ends) != 0)
		return -1;
	place.channel = ends[1];
	pid = fork();
	if (pid == 0)
		launcher_run(&place);
	kept_errno = errno;
	fd_close(&ends[1]);
	if (pid < 0)
		fd_close(&ends[0]);
	*fd = ends[0];
	errno = kept_errno;
	return pid;
}

/* A function has its launcher's user: it may have stopped it, or filled their
 * queue of signals so that an order is not taken (EAGAIN). Then the launcher
 * itself goes, and what it ran with it. */
static void
launcher_stop(struct cell *c, struct span body)
{
	struct message_stop m;

	if (message_stop_decode(body, &m) != 0 ||
	    (m.signal != SIGTERM && m.signal != SIGKILL))
		return loop_stop(c->loop);
	LIST_EACH(node, &c->launchers) {
		struct launcher_entry *entry =
		    LIST_OWNER(node, struct launcher_entry, node);

		if (entry->number != m.launcher)
			continue;
		kill(entry->pid, SIGCONT);
		if (order_send(entry->pid, m.invocation, (int)m.signal) != 0 &&
		    m.signal == SIGKILL)
			kill(entry->pid, SIGKILL);
		return;
	}
}

static void
on_child(void *arg, pid_t pid, int status, const struct rusage *used)
{
	struct cell *c = arg;
	char words[32];

	(void)used;
	LIST_EACH(node, &c->launchers) {
		struct launcher_entry *entry =
		    LIST_OWNER(node, struct launcher_entry, node);

		if (entry->pid != pid)
			continue;
		list_remove(&entry->node);
		free(entry);
		c->launcher_count--;
		if (status != 0) {
			diag_warn("launcher gone: tenant=%s pid=%ld %s",
			    c->start.facts.tenant, (long)pid,
			    proc_status_words(status, words));
			loop_timer_set(c->loop, &c->orphans, 0);
		}
		return;
	}
}

/* Not while children are being reaped: it reaps as well. */
static void
orphans_kill(void *arg)
{
	struct cell *c = arg;
	pid_t *keep = diag_alloc((c->launcher_count + 1) * sizeof(*keep));
	size_t count = 0;

	LIST_EACH(node, &c->launchers)
		keep[count++] =
		    LIST_OWNER(node, struct launcher_entry, node)->pid;
	if (proc_kill_children(keep, count, clock_ms() + ORPHANS_MS, NULL,
		NULL) != 0)
		loop_timer_set(c->loop, &c->orphans,
		    loop_now_ms(c->loop) + ORPHANS_AGAIN_MS);
	free(keep);
}

static void
nothing_happens(void *arg, int signo)
{
	(void)arg;
	(void)signo;
}

/* An answer that finds no room is an answer lost, and its question waits: a
 * gateway that does not read is gone for us. */
static void
send_gateway(struct cell *c, enum message_type type, const void *m)
{
	if (peer_send(c->gateway, type, m, NULL, 0) != 0 && errno == ENOBUFS)
		loop_stop(c->loop);
}
