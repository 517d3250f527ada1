/* SPDX-License-Identifier: MIT */
/* children.c - gateway, log and state: makes their processes, gives them
 * configuration and each other, and does what supervise.c decides. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/proc.h"

#include "master/master.h"

enum {
	LOG_DRAIN_MS = 3000,	/* for what is in its pipes when all ended */
	STATE_DRAIN_MS = 10000, /* for commits under way, and closing files */
	PING_MS = 5000,
	PINGS_MOST = 6, /* longer than it may need to close its files */
};

struct child_row {
	const char *name;
	const char *program;
	enum role role;
	bool keeps_key;
	bool knows_tenants; /* what each is granted; their secrets too */
	bool pinged;	    /* its death is noticed, that it hangs is not */
	uint64_t drain_ms;  /* 0: option drain */
};

static const struct child_row child_rows[CHILD_KINDS] = {
	[CHILD_LOG] = { "log", "fcgi-host-log", ROLE_LOG, false, false, false,
	    LOG_DRAIN_MS },
	[CHILD_STATE] = { "state", "fcgi-host-state", ROLE_STATE, true, false,
	    true, STATE_DRAIN_MS },
	[CHILD_GATEWAY] = { "gateway", "fcgi-host-gateway", ROLE_GATEWAY, true,
	    true, false, 0 },
};

static void child_obey(struct child *, enum child_order);
static void child_start(struct child *);
static int child_spawn(struct child *);
static void child_send_config(struct child *);
static void child_send_key(struct child *);
static void child_send_suspended(void *child, struct span tenant,
    struct span reason);
static void child_send_drain(struct child *);
static size_t child_gets(const struct child *, int fds[PROC_FD_MOST],
    const uid_t **, const gid_t **);
static void child_wire(struct child *);
static void child_wire_pair(struct child *, struct child *);
static void child_tell_died(struct child *, pid_t, const char *how);
static void child_timer(void *arg);
static void child_ping(void *arg);
static void child_message(void *arg, enum message_type, struct span body,
    int *fds, size_t fd_count);
static void child_lost(void *arg, const char *reason, bool unread);

void
children_init(struct master *m)
{
	for (int kind = 0; kind < CHILD_KINDS; kind++) {
		struct child *c = &m->children[kind];

		*c = (struct child){ .master = m,
			.kind = kind,
			.pid = -1,
			.since_unix_ms = clock_unix_ms() };
		timer_init(&c->timer, child_timer, c);
		timer_init(&c->ping, child_ping, c);
	}
}

/* Log first, so that it hears of everything. */
void
children_start(struct master *m)
{
	for (int kind = 0; kind < CHILD_KINDS; kind++)
		children_tell(&m->children[kind], CHILD_WANTED);
}

void
children_configure(struct master *m)
{
	for (int kind = 0; kind < CHILD_KINDS; kind++)
		if (m->children[kind].peer)
			child_send_config(&m->children[kind]);
}

void
children_suspended(struct master *m, struct span tenant, bool now)
{
	struct child *c = &m->children[CHILD_GATEWAY];
	struct span reason = suspended_reason(&m->suspended, tenant);
	const struct message_suspended suspended = {
		.tenant = tenant,
		.suspended = reason.data != NULL,
		.now = now,
		.reason = reason,
	};

	if (c->peer &&
	    peer_send(c->peer, MESSAGE_SUSPENDED, &suspended, NULL, 0) != 0)
		children_tell(c, CHILD_BROKEN);
}

int
children_again(struct master *m, enum rundir_place place, char *text,
    size_t room)
{
	static const enum message_type types[RUNDIR_PLACES] = {
		[RUNDIR_SPOOL] = MESSAGE_SPOOL,
		[RUNDIR_WORKERS] = MESSAGE_WORKERS,
	};
	struct child *c = &m->children[CHILD_GATEWAY];
	int made =
	    rundir_again(&m->rundir, place, &m->settled, m->root, text, room);

	/* neither has fields */
	if (made > 0 && c->peer &&
	    peer_send(c->peer, types[place], NULL, &m->rundir.place_fds[place],
		1) != 0)
		children_tell(c, CHILD_BROKEN);
	return made;
}

void
children_tell(struct child *c, enum child_event event)
{
	struct supervise *s = &c->supervise;
	enum child_state before = s->state;
	enum child_order order;

	s->drain_ms = child_rows[c->kind].drain_ms;
	if (s->drain_ms == 0)
		s->drain_ms = c->master->config->drain;
	order = supervise(s, event, loop_now_ms(c->master->loop));
	if (s->state != before)
		c->since_unix_ms = clock_unix_ms();
	if (s->timer_ms)
		loop_timer_set(c->master->loop, &c->timer, s->timer_ms);
	else
		loop_timer_clear(c->master->loop, &c->timer);
	child_obey(c, order);
}

bool
children_reaped(struct master *m, pid_t pid, int wait_status)
{
	char text[32];

	for (int kind = 0; kind < CHILD_KINDS; kind++) {
		struct child *c = &m->children[kind];

		if (c->pid != pid)
			continue;
		c->pid = -1;
		peer_free(&c->peer);
		child_tell_died(c, pid, proc_status_words(wait_status, text));
		return true;
	}
	return false;
}

bool
children_all(const struct master *m, enum child_state state)
{
	for (int kind = 0; kind < CHILD_KINDS; kind++)
		if (m->children[kind].supervise.state != state)
			return false;
	return true;
}

const char *
child_name(enum child_kind kind)
{
	return child_rows[kind].name;
}

struct peer *
children_gateway(struct master *m)
{
	return m->children[CHILD_GATEWAY].peer;
}

pid_t
children_spawn(struct master *m, const char *program, int channel,
    const int *more, size_t more_count, uint64_t namespaces, int cgroup_fd,
    const uid_t *uid, const gid_t *gid, bool dies_with_us, char *const *envp,
    char *reason, size_t room)
{
	int fds[PROC_FD_MOST] = { -1, STDERR_FILENO, STDERR_FILENO, channel };
	char *argv[] = { (char *)(uintptr_t)program, NULL };
	struct proc_plan plan = {
		.path = program,
		.argv = argv,
		.envp = envp,
		.fds = fds,
		.fd_count = PEER_FIRST_FD + 1 + more_count,
		.namespaces = namespaces,
		.cgroup_fd = cgroup_fd < 0 ? 0 : cgroup_fd,
		.own_session = true, /* Ctrl-C is for us alone */
		.dies_with_parent = dies_with_us,
		.changes_user = m->root && uid,
		.uid = uid ? *uid : 0,
		.gid = gid ? *gid : 0,
	};
	struct proc_started started;

	assert(plan.fd_count <= PROC_FD_MOST);
	for (size_t i = 0; i < more_count; i++)
		fds[PEER_FIRST_FD + 1 + i] = more[i];
	fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fds[0] < 0) {
		snprintf(reason, room, "/dev/null: %s", diag_errno());
		return -1;
	}
	started = proc_start(&plan);
	if (started.step == PROC_CLONE && plan.cgroup_fd > 0) {
		plan.cgroup_fd = 0; /* it joins by itself */
		started = proc_start(&plan);
	}
	fd_close(&fds[0]);
	errno = started.error;
	if (started.pid >= 0)
		return started.pid;
	snprintf(reason, room, "%s cannot be started: %s: %s%s", program,
	    proc_step_name(started.step), diag_errno(),
	    errno == EACCES && plan.changes_user ?
		"; its user must be able to execute it, so it and its "
		"directory have to be open to all (chmod a+rx)" :
		"");
	return -1;
}

static void
child_obey(struct child *c, enum child_order order)
{
	const char *name = child_name(c->kind);

	switch (order) {
	case CHILD_NOTHING:
		break;
	case CHILD_START:
		child_start(c);
		break;
	case CHILD_KILL:
		if (c->pid > 0)
			kill(c->pid, SIGKILL);
		break;
	case CHILD_SEND_DRAIN:
		child_send_drain(c);
		break;
	case CHILD_SAY_READY:
		diag_debug("%s ready: pid=%d", name, (int)c->pid);
		c->pings = 0;
		child_ping(c);
		serve_child_ready(c->master);
		break;
	case CHILD_SAY_STUCK:
		diag_error("%s does not die: pid=%d; the kernel holds it, we "
			   "keep waiting",
		    name, (int)c->pid);
		break;
	case CHILD_SAY_GONE:
		stop_step(c->master);
		break;
	case CHILD_GIVE_UP:
		diag_error("%s has ended %d times and was never ready: the "
			   "host cannot start",
		    name, SUPERVISE_GIVE_UP);
		stop_failed(c->master);
		break;
	}
}

static void
child_start(struct child *c)
{
	c->started_ms = loop_now_ms(c->master->loop);
	if (child_spawn(c) != 0)
		return;
	diag_debug("%s started: pid=%d", child_name(c->kind), (int)c->pid);
	if (c->kind == CHILD_GATEWAY)
		suspended_each(&c->master->suspended, child_send_suspended, c);
	child_send_config(c);
	child_send_key(c);
	child_wire(c);
}

static int
child_spawn(struct child *c)
{
	const struct child_row *row = &child_rows[c->kind];
	struct master *m = c->master;
	int fds[PROC_FD_MOST], ends[2];
	size_t fd_count;
	const uid_t *uid;
	const gid_t *gid;
	char reason[256];

	if (fd_channel(ends) != 0) {
		snprintf(reason, sizeof(reason), "no channel: %s",
		    diag_errno());
		child_tell_died(c, -1, reason);
		return -1;
	}
	for (int place = 0; c->kind == CHILD_GATEWAY && place < RUNDIR_PLACES;
	     place++)
		if (rundir_again(&m->rundir, (enum rundir_place)place,
			&m->settled, m->root, reason, sizeof(reason)) != 0)
			diag_warn("%s", reason);
	fd_count = child_gets(c, fds, &uid, &gid);
	c->pid = children_spawn(m, row->program, ends[1], fds, fd_count, 0, -1,
	    uid, gid, true, m->child_environment, reason, sizeof(reason));
	fd_close(&ends[1]);
	if (c->pid < 0) {
		fd_close(&ends[0]);
		child_tell_died(c, -1, reason);
		return -1;
	}
	c->peer = peer_new(m->loop, ends[0], ROLE_MASTER, row->role,
	    child_message, child_lost, c);
	return 0;
}

/* What it is started with, from descriptor 4 up, and who it is. */
static size_t
child_gets(const struct child *c, int fds[PROC_FD_MOST], const uid_t **uid,
    const gid_t **gid)
{
	const struct settled *s = &c->master->settled;
	const struct rundir *r = &c->master->rundir;
	size_t count = 0;

	*uid = &s->gateway_uid;
	*gid = &s->gateway_gid;
	switch (c->kind) {
	case CHILD_LOG:
		*uid = &s->log_uid;
		*gid = &s->log_gid;
		fds[count++] = r->log_fd;
		break;
	case CHILD_STATE:
		*uid = &s->state_uid;
		*gid = &s->state_gid;
		fds[count++] = r->state_listen_fd;
		fds[count++] = r->data_fd;
		break;
	case CHILD_GATEWAY:
	case CHILD_KINDS:
		fds[count++] = r->front_fd;
		fds[count++] = r->control_fd;
		fds[count++] = r->place_fds[RUNDIR_SPOOL];
		fds[count++] = r->place_fds[RUNDIR_WORKERS];
		break;
	}
	return count;
}

/* A channel that cannot take a message any more is about to be reported lost,
 * or its process does not read: the same in the end. */
static void
child_send_config(struct child *c)
{
	const struct master *m = c->master;
	struct message_config config = {
		.generation = m->config->generation,
		.bytes = m->sealed_bytes,
	};
	int fewer = -1, fd = m->sealed_fd;

	if (!child_rows[c->kind].knows_tenants)
		fd = fewer = config_seal(m->config, false, &config.bytes);
	if (fd < 0 || peer_send(c->peer, MESSAGE_CONFIG, &config, &fd, 1) != 0)
		children_tell(c, CHILD_BROKEN);
	fd_close(&fewer);
}

static void
child_send_key(struct child *c)
{
	const struct message_key key = {
		.key = span_make(c->master->key, MASTER_KEY_BYTES),
	};

	if (child_rows[c->kind].keeps_key &&
	    peer_send(c->peer, MESSAGE_KEY, &key, NULL, 0) != 0)
		children_tell(c, CHILD_BROKEN);
}

static void
child_send_suspended(void *arg, struct span tenant, struct span reason)
{
	struct child *c = arg;

	(void)reason;
	children_suspended(c->master, tenant, false);
}

static void
child_send_drain(struct child *c)
{
	struct message_drain drain = { .limit_ms = c->supervise.drain_ms };

	if (!c->peer || peer_send(c->peer, MESSAGE_DRAIN, &drain, NULL, 0) != 0)
		children_tell(c, CHILD_BROKEN);
}

/* A new channel between the gateway and each of the others whenever one of the
 * two is new. */
static void
child_wire(struct child *c)
{
	struct child *all = c->master->children;

	for (int kind = 0; kind < CHILD_KINDS; kind++)
		if (kind != CHILD_GATEWAY &&
		    (c->kind == CHILD_GATEWAY || (int)c->kind == kind))
			child_wire_pair(&all[CHILD_GATEWAY], &all[kind]);
}

static void
child_wire_pair(struct child *a, struct child *b)
{
	struct child *const both[] = { a, b };
	int ends[2];

	if (!a->peer || !b->peer)
		return;
	if (fd_channel(ends) != 0) {
		diag_error("no channel between %s and %s: %s; both are "
			   "replaced",
		    child_name(a->kind), child_name(b->kind), diag_errno());
		children_tell(a, CHILD_BROKEN);
		children_tell(b, CHILD_BROKEN);
		return;
	}
	for (int i = 0; i < 2; i++) {
		struct message_wire wire = {
			.role = child_rows[both[1 - i]->kind].role,
		};

		if (peer_send(both[i]->peer, MESSAGE_WIRE, &wire, &ends[i],
			1) != 0)
			children_tell(both[i], CHILD_BROKEN);
		fd_close(&ends[i]);
	}
}

/* pid -1: it could not even be started. */
static void
child_tell_died(struct child *c, pid_t pid, const char *how)
{
	const struct supervise *s = &c->supervise;
	const char *name = child_name(c->kind);
	double lived_s =
	    (double)(loop_now_ms(c->master->loop) - c->started_ms) / 1000;
	enum child_state before = s->state;

	if (before == CHILD_DRAINING || before == CHILD_ENDING)
		diag_debug("%s ended: pid=%d %s", name, (int)pid, how);
	else if (pid < 0)
		diag_error("%s: %s", name, how);
	else
		diag_error(
		    "%s gone: pid=%d %s lived=%.1fs; it is started again", name,
		    (int)pid, how, lived_s);
	children_tell(c, CHILD_DIED);
	if (s->state == CHILD_PAUSED)
		diag_warn("%s: next start in %llu ms (%u early deaths in a "
			  "row)",
		    name, (unsigned long long)(s->timer_ms - s->since_ms),
		    s->early_deaths);
}

static void
child_timer(void *arg)
{
	struct child *c = arg;

	if (c->supervise.state == CHILD_STARTING)
		diag_error("%s: not ready after %d s; killing pid=%d",
		    child_name(c->kind), SUPERVISE_READY_MS / 1000,
		    (int)c->pid);
	else if (c->supervise.state == CHILD_DRAINING)
		diag_warn("%s: not finished after %llu ms; killing pid=%d",
		    child_name(c->kind),
		    (unsigned long long)c->supervise.drain_ms, (int)c->pid);
	children_tell(c, CHILD_TIMER);
}

/* One that is stopped or hangs keeps its channel, and would keep all who ask it
 * waiting. Counted, not timed: it may be us who were stopped. */
static void
child_ping(void *arg)
{
	struct child *c = arg;

	loop_timer_clear(c->master->loop, &c->ping);
	if (!child_rows[c->kind].pinged || c->supervise.state != CHILD_UP)
		return;
	if (c->pings == PINGS_MOST) {
		diag_error("%s has not answered for %d s; killing pid=%d",
		    child_name(c->kind), PINGS_MOST * PING_MS / 1000,
		    (int)c->pid);
		children_tell(c, CHILD_BROKEN);
		return;
	}
	loop_timer_set(c->master->loop, &c->ping,
	    loop_now_ms(c->master->loop) + PING_MS);
	c->pings++;
	if (peer_send(c->peer, MESSAGE_PING, NULL, NULL, 0) != 0)
		children_tell(c, CHILD_BROKEN);
}

static void
child_message(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct child *c = arg;

	(void)fds; /* no row to master has descriptors; peer.c checks */
	(void)fd_count;
	if (type == MESSAGE_READY)
		children_tell(c, CHILD_READY);
	else if (type == MESSAGE_PONG)
		c->pings = 0;
	else
		gateway_says(c->master, type, body);
}

/* Mostly because it died, which is told when it is reaped; the signal then
 * changes nothing. */
static void
child_lost(void *arg, const char *reason, bool unread)
{
	struct child *c = arg;

	(void)unread;
	diag_debug("%s: channel lost: %s", child_name(c->kind), reason);
	children_tell(c, CHILD_BROKEN);
}
