/* SPDX-License-Identifier: MIT */
/* cells.c - the processes of tenants: made when the gateway asks, ended by
 * themselves when the gateway closes their channel, killed here when they do
 * not build up, do not obey, or stand in a directory that is another one now.
 * A tenant has an entry while it has cells, or a failure worth remembering. */

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/proc.h"

#include "config/terms.h"

#include "master/master.h"

enum {
	RETRY_MS = 250,	      /* behind the first failure, doubled */
	REMEMBER_MS = 10000,  /* failures, behind the retry */
	STRAYS_AGAIN_MS = 20, /* a killed process hands on its own */
	GROUPS_MS = 500,      /* behind the last process: the gateway may
				* ask what ended it */
};

struct tenant {
	struct map_node by_name;
	struct list cells; /* of struct cell, newest last */
	unsigned count;	   /* of them */
	unsigned failures; /* cells that were not built, in a row */
	uint64_t retry_ms; /* no new one before, 0 = any time */
	bool grouped;	   /* there is a control group of it */
	char *reason;	   /* ours: of the last failure */
	char name[CONFIG_TENANT_MOST + 1];
};

/*   STARTING --READY--> UP
 *      |                 |
 *   FAILED, timer     CHECK, KILL, lost channel
 *      +----> ENDING <---+
 *   any --reaped--> freed. SIGKILL is sent on the way to ENDING. */
enum cell_state { CELL_STARTING, CELL_UP, CELL_ENDING };

struct cell {
	struct master *master; /* borrowed */
	struct tenant *tenant; /* borrowed, lives while we do */
	struct list node;      /* in tenant->cells */
	struct map_node by_pid;
	enum cell_state state;
	pid_t pid;
	struct peer *peer;  /* ours */
	struct timer timer; /* while STARTING */
	dev_t device;
	ino_t inode;
	uid_t owner;
	uid_t uid; /* as whom its functions run */
	gid_t gid;
	struct granted granted;
};

static struct tenant *tenant_get(struct master *, struct span name);
static struct tenant *tenant_take(struct master *, struct span name);
static void tenant_release(struct master *, struct tenant *);
static int tenant_limit(struct master *, struct tenant *, char *reason,
    size_t room);
static void tenant_failed(struct master *, struct tenant *, struct span reason);
static void answer_none(struct master *, struct span name, bool refused,
    struct span reason);
static void refuse(struct master *, struct span name, const char *reason);
static void cell_new(struct master *, struct span name,
    const struct tenant_place *);
static int cell_spawn(struct cell *, int ends[2], char *reason, size_t room);
static int cell_introduce(struct cell *, const struct tenant_place *,
    int gateway_end, int cell_end);
static void cell_end(struct cell *);
static void cell_free(struct cell *);
static void cell_message(void *arg, enum message_type, struct span body,
    int *fds, size_t fd_count);
static void cell_lost(void *arg, const char *reason, bool unread);
static const struct cell *newest(const struct tenant *);
static void tell_moved(const struct cell *, const char *why);
static bool cell_moved(const struct cell *);
static bool cell_chosen_otherwise(const struct cell *);
static void cell_late(void *arg);
static void look_for_strays(void *arg);
static void kill_stray(pid_t);
static void sweep(void *arg);
static void remove_groups(void *arg);

void
cells_init(struct master *m)
{
	map_init(&m->cells.tenants);
	map_init(&m->cells.by_pid);
	timer_init(&m->cells.strays, look_for_strays, m);
	timer_init(&m->cells.sweep, sweep, m);
	timer_init(&m->cells.groups, remove_groups, m);
}

/* Groups that are not empty yet go with the instance. */
void
cells_free(struct master *m)
{
	for (struct map_node *node = map_next(&m->cells.tenants, NULL); node;
	     node = map_next(&m->cells.tenants, node))
		MAP_OWNER(node, struct tenant, by_name)->grouped = false;
	cells_forgive(m);
	map_free(&m->cells.tenants);
	map_free(&m->cells.by_pid);
}

void
cells_ask(struct master *m, struct span name)
{
	const struct tenant *t = tenant_get(m, name);
	struct tenant_place place;
	enum tenant_outcome outcome;

	if (t && loop_now_ms(m->loop) < t->retry_ms) {
		answer_none(m, name, true, span_of(t->reason));
		return;
	}
	if (t && t->count >= CELLS_OF_TENANT) {
		refuse(m, name,
		    "too many older cells of this tenant still "
		    "finish their requests");
		return;
	}
	if (cells_count(m) >= CELLS_MOST) {
		refuse(m, name, "the host has as many cells as it may");
		return;
	}
	outcome = tenant_find(m, name, &place);
	if (outcome == TENANT_FOUND)
		cell_new(m, name, &place);
	else
		answer_none(m, name, outcome == TENANT_REFUSED,
		    span_of(place.reason));
	fd_close(&place.fd);
}

void
cells_check(struct master *m, struct span name)
{
	const struct tenant *t = tenant_get(m, name);
	const struct cell *c = t ? newest(t) : NULL;

	if (!c)
		return;
	if (cell_moved(c))
		tell_moved(c, "the directory or its owner is another one now");
	else if (granted_moved(&c->granted))
		tell_moved(c, "a path it is granted is another one now");
}

/* Who may be served, where it stands and whose it is may be others now, too. */
void
cells_configure(struct master *m)
{
	struct map_node *node = NULL;

	while ((node = map_next(&m->cells.tenants, node))) {
		const struct cell *c =
		    newest(MAP_OWNER(node, struct tenant, by_name));

		if (c && cell_chosen_otherwise(c))
			tell_moved(c, "the configuration says so");
	}
}

/* The others are finishing what they have. So may this one; its channels close
 * when it has. */
static const struct cell *
newest(const struct tenant *t)
{
	const struct cell *c;

	if (list_empty(&t->cells))
		return NULL;
	c = LIST_OWNER(list_last(&t->cells), struct cell, node);
	return c->state == CELL_ENDING ? NULL : c;
}

static void
tell_moved(const struct cell *c, const char *why)
{
	const struct message_tenant_moved moved = {
		.tenant = span_of(c->tenant->name),
	};
	struct peer *gateway = children_gateway(c->master);

	if (!gateway)
		return;
	diag_info("another cell for what comes next, %s: tenant=%s pid=%d", why,
	    c->tenant->name, (int)c->pid);
	peer_send(gateway, MESSAGE_TENANT_MOVED, &moved, NULL, 0);
}

/* All of them: the gateway does not say which, and whatever did not end may
 * be in an older one. */
void
cells_kill(struct master *m, struct span name, struct span reason)
{
	struct tenant *t = tenant_get(m, name);

	if (!t)
		return;
	diag_warn("cells killed: tenant=%s count=%u: %.*s", t->name, t->count,
	    SPAN_ARGS(reason));
	LIST_EACH(node, &t->cells)
		cell_end(LIST_OWNER(node, struct cell, node));
}

void
cells_forgive(struct master *m)
{
	struct map_node *node, *next;

	for (node = map_next(&m->cells.tenants, NULL); node; node = next) {
		struct tenant *t = MAP_OWNER(node, struct tenant, by_name);

		next = map_next(&m->cells.tenants, node);
		t->failures = 0;
		t->retry_ms = 0;
		tenant_release(m, t);
	}
}

/* What is there already keeps what it had where the kernel refuses: memory in
 * use cannot always be taken back. */
void
cells_limit(struct master *m)
{
	char reason[256];

	for (struct map_node *node = map_next(&m->cells.tenants, NULL); node;
	     node = map_next(&m->cells.tenants, node)) {
		struct tenant *t = MAP_OWNER(node, struct tenant, by_name);

		if (t->count > 0 &&
		    tenant_limit(m, t, reason, sizeof(reason)) != 0)
			diag_warn("tenant %s: %s; the next cell gets the new "
				  "limits",
			    t->name, reason);
	}
}

void
cells_kill_all(struct master *m)
{
	for (struct map_node *node = map_next(&m->cells.by_pid, NULL); node;
	     node = map_next(&m->cells.by_pid, node))
		cell_end(MAP_OWNER(node, struct cell, by_pid));
}

size_t
cells_count(const struct master *m)
{
	return m->cells.by_pid.count;
}

bool
cells_reaped(struct master *m, pid_t pid, int wait_status)
{
	struct map_node *node =
	    map_find(&m->cells.by_pid, span_make(&pid, sizeof(pid)));
	char text[32], reason[128];
	struct cell *c;

	if (!node)
		return false;
	c = MAP_OWNER(node, struct cell, by_pid);
	proc_status_words(wait_status, text);
	/* one that the gateway had no use for may be gone before we read that
	 * it was ready; its status is 0 then, and no failure */
	if (c->state == CELL_STARTING && wait_status != 0 && !cell_moved(c)) {
		snprintf(reason, sizeof(reason),
		    "its cell ended while it was built: %s", text);
		tenant_failed(m, c->tenant, span_of(reason));
	} else if (c->state == CELL_UP && wait_status != 0 &&
	    m->stop == STOP_SERVING) {
		diag_warn("cell gone: tenant=%s pid=%d %s; the next request "
			  "makes another",
		    c->tenant->name, (int)pid, text);
	} else {
		diag_debug("cell ended: tenant=%s pid=%d %s", c->tenant->name,
		    (int)pid, text);
	}
	cell_free(c);
	/* a pid namespace dies with its first process; without one what was
	 * in the cell comes to us */
	if (!(m->namespaces & CLONE_NEWPID))
		loop_timer_set(m->loop, &m->cells.strays, loop_now_ms(m->loop));
	return true;
}

void
cells_stray_reaped(struct master *m)
{
	if (!(m->namespaces & CLONE_NEWPID))
		loop_timer_set(m->loop, &m->cells.strays, loop_now_ms(m->loop));
}

bool
cells_kill_strays(struct master *m)
{
	size_t room = cells_count(m) + 512;
	ssize_t count;
	bool found = false;
	pid_t *pids;

	if (m->namespaces & CLONE_NEWPID)
		return false;
	pids = diag_alloc(room * sizeof(*pids));
	count = proc_children(pids, room);
	if (count > (ssize_t)room) {
		count = (ssize_t)room; /* the rest in the next round */
		found = true;
	}
	for (ssize_t i = 0; i < count; i++) {
		bool known = map_find(&m->cells.by_pid,
		    span_make(&pids[i], sizeof(pids[i])));

		for (int kind = 0; kind < CHILD_KINDS; kind++)
			known |= m->children[kind].pid == pids[i];
		if (known)
			continue;
		kill_stray(pids[i]);
		found = true;
	}
	free(pids);
	return found;
}

/* ---- tenants ------------------------------------------------------------- */

static struct tenant *
tenant_get(struct master *m, struct span name)
{
	struct map_node *node = map_find(&m->cells.tenants, name);

	return node ? MAP_OWNER(node, struct tenant, by_name) : NULL;
}

/* Its entry, new if need be; only for names that were found on disk. */
static struct tenant *
tenant_take(struct master *m, struct span name)
{
	struct tenant *t = tenant_get(m, name);

	if (t)
		return t;
	assert(name.bytes <= CONFIG_TENANT_MOST);
	t = diag_alloc(sizeof(*t));
	list_init(&t->cells);
	memcpy(t->name, name.data, name.bytes);
	if (map_add(&m->cells.tenants, &t->by_name, span_of(t->name)) != 0)
		diag_fatal("no memory for tenant %s", t->name);
	return t;
}

/* Nothing holds it any more? Then it goes. */
static void
tenant_release(struct master *m, struct tenant *t)
{
	if (t->count == 0 && t->grouped && !timer_armed(&m->cells.groups))
		loop_timer_set(m->loop, &m->cells.groups,
		    loop_now_ms(m->loop) + GROUPS_MS);
	if (t->count > 0 || t->failures > 0 || t->grouped)
		return;
	map_remove(&m->cells.tenants, &t->by_name);
	free(t->reason);
	free(t);
}

/* One group for all cells of the tenant: an older one that still finishes what
 * it has counts as well. */
static int
tenant_limit(struct master *m, struct tenant *t, char *reason, size_t room)
{
	const struct terms *terms = config_terms(m->config, span_of(t->name));
	long online = sysconf(_SC_NPROCESSORS_ONLN); /* which may change */
	const struct cgroup_limits limits = {
		.memory = terms->memory,
		.processes = terms->processes,
		.cpu = terms->cpu,
		.weight = terms->weight,
		.processors = online > 0 ? (uint64_t)online : 0,
	};

	t->grouped = true;
	return cgroup_limit(&m->cgroups, t->name, &limits, reason, room);
}

/* Building a cell costs us more than asking for one costs a client, so what
 * failed is not tried again at once. */
static void
tenant_failed(struct master *m, struct tenant *t, struct span reason)
{
	uint64_t now_ms = loop_now_ms(m->loop), pause = RETRY_MS;

	for (unsigned i = 0; i < t->failures && pause < CELL_RETRY_MOST_MS; i++)
		pause *= 2;
	if (pause > CELL_RETRY_MOST_MS)
		pause = CELL_RETRY_MOST_MS;
	t->failures++;
	t->retry_ms = now_ms + pause;
	free(t->reason);
	t->reason = span_dup(reason);
	if (!t->reason)
		t->reason = diag_strdup("its cell was not built");
	diag_error("cell not built: tenant=%s: %s; not tried again for %llu "
		   "ms",
	    t->name, t->reason, (unsigned long long)pause);
	if (!timer_armed(&m->cells.sweep))
		loop_timer_set(m->loop, &m->cells.sweep, now_ms + REMEMBER_MS);
	answer_none(m, span_of(t->name), true, span_of(t->reason));
}

static void
sweep(void *arg)
{
	struct master *m = arg;
	uint64_t now_ms = loop_now_ms(m->loop);
	struct map_node *node, *next;
	bool again = false;

	for (node = map_next(&m->cells.tenants, NULL); node; node = next) {
		struct tenant *t = MAP_OWNER(node, struct tenant, by_name);

		next = map_next(&m->cells.tenants, node);
		if (t->failures > 0 && now_ms >= t->retry_ms + REMEMBER_MS)
			t->failures = 0;
		again |= t->failures > 0;
		tenant_release(m, t);
	}
	if (again)
		loop_timer_set(m->loop, &m->cells.sweep, now_ms + REMEMBER_MS);
}

static void
remove_groups(void *arg)
{
	struct master *m = arg;
	struct map_node *node, *next;

	for (node = map_next(&m->cells.tenants, NULL); node; node = next) {
		struct tenant *t = MAP_OWNER(node, struct tenant, by_name);

		next = map_next(&m->cells.tenants, node);
		if (t->count == 0 && t->grouped &&
		    cgroup_remove(&m->cgroups, t->name))
			t->grouped = false;
		tenant_release(m, t);
	}
}

static void
answer_none(struct master *m, struct span name, bool refused,
    struct span reason)
{
	struct message_tenant_none none = {
		.tenant = name,
		.refused = refused,
		.reason = span_take(reason, TENANT_REASON_MOST),
	};
	struct peer *gateway = children_gateway(m);

	if (gateway)
		peer_send(gateway, MESSAGE_TENANT_NONE, &none, NULL, 0);
}

static void
refuse(struct master *m, struct span name, const char *reason)
{
	answer_none(m, name, true, span_of(reason));
}

/* ---- a cell -------------------------------------------------------------- */

static void
cell_new(struct master *m, struct span name, const struct tenant_place *place)
{
	struct tenant *t = tenant_take(m, name);
	struct cell *c = diag_alloc(sizeof(*c));
	char reason[256];
	int between[2]; /* gateway and cell */

	*c = (struct cell){ .master = m,
		.tenant = t,
		.pid = -1,
		.device = place->device,
		.inode = place->inode,
		.owner = place->owner,
		.uid = place->uid,
		.gid = place->gid };
	list_init(&c->node);
	timer_init(&c->timer, cell_late, c);
	granted_look(&c->granted, m->config, config_terms(m->config, name));
	if (tenant_limit(m, t, reason, sizeof(reason)) != 0 ||
	    cell_spawn(c, between, reason, sizeof(reason)) != 0) {
		granted_free(&c->granted);
		free(c);
		tenant_failed(m, t, span_of(reason));
		return;
	}
	list_add_last(&t->cells, &c->node);
	if (t->count++ == 0)
		cgroups_share(&m->cgroups, ++m->cells.served);
	if (map_add(&m->cells.by_pid, &c->by_pid,
		span_make(&c->pid, sizeof(c->pid))) != 0)
		diag_fatal("no memory for a cell");
	loop_timer_set(m->loop, &c->timer,
	    loop_now_ms(m->loop) + CELL_READY_MS);
	diag_debug("cell started: tenant=%s pid=%d uid=%u", t->name,
	    (int)c->pid, (unsigned)place->uid);
	if (cell_introduce(c, place, between[0], between[1]) != 0)
		cell_end(c);
	fd_close(&between[0]);
	fd_close(&between[1]);
}

/* Nothing is left of it unless it runs. */
static int
cell_spawn(struct cell *c, int between[2], char *reason, size_t room)
{
	struct master *m = c->master;
	int ends[2], cgroup_fd;

	if (fd_channel(between) != 0) {
		snprintf(reason, room, "no channel: %s", diag_errno());
		return -1;
	}
	if (fd_channel(ends) != 0) {
		snprintf(reason, room, "no channel: %s", diag_errno());
		goto failed;
	}
	/* without a namespace that dies with it, a cell has to outlive us for
	 * the moment it takes to kill what is in it */
	cgroup_fd = cgroup_home(&m->cgroups, c->tenant->name);
	c->pid = children_spawn(m, "fcgi-host-cell", ends[1], NULL, 0,
	    m->namespaces & CELL_MADE_IN, cgroup_fd, NULL, NULL,
	    (m->namespaces & CLONE_NEWPID) != 0, m->cell_environment, reason,
	    room);
	fd_close(&cgroup_fd);
	fd_close(&ends[1]);
	if (c->pid < 0) {
		fd_close(&ends[0]);
		goto failed;
	}
	c->peer = peer_new(m->loop, ends[0], ROLE_MASTER, ROLE_CELL,
	    cell_message, cell_lost, c);
	return 0;
failed:
	fd_close(&between[0]);
	fd_close(&between[1]);
	return -1;
}

uint64_t
cell_namespaces(const struct master *m, struct span name)
{
	uint64_t network = config_terms(m->config, name)->network;

	if (network == NETWORK_AUTO)
		network = m->root ? NETWORK_NONE : NETWORK_HOST;
	if (network == NETWORK_NONE)
		return m->namespaces;
	return m->namespaces & ~(uint64_t)CLONE_NEWNET;
}

/* The cell gets the configuration without what other tenants are granted: what
 * a function may find in its cell's memory is its own tenant's. The gateway gets
 * its end at once and may send: the cell reads it when it is built, or the
 * channel closes. */
static int
cell_introduce(struct cell *c, const struct tenant_place *place,
    int gateway_end, int cell_end_fd)
{
	struct master *m = c->master;
	struct span name = span_of(c->tenant->name);
	struct message_cell cell = {
		.tenant = name,
		.directory = span_of(place->path),
		.uid = place->uid,
		.gid = place->gid,
		.namespaces = cell_namespaces(m, name),
	};
	struct message_tenant_cell answer = {
		.tenant = name,
		.uid = place->uid,
		.gid = place->gid,
		.directory = span_of(place->path),
	};
	int to_cell[2 + CGROUP_KINDS] = { place->fd, cell_end_fd };
	int to_gateway[1 + CGROUP_KINDS] = { gateway_end };
	struct peer *gateway = children_gateway(m);
	struct buf options, joins, meters;
	int result = -1, join_count, meter_count;

	buf_init(&options, CONFIG_CELL_BYTES_MOST);
	buf_init(&joins, CGROUP_NAMES_MOST);
	buf_init(&meters, CGROUP_NAMES_MOST);
	join_count =
	    cgroup_joins(&m->cgroups, c->tenant->name, &joins, to_cell + 2);
	meter_count = cgroup_meters(&m->cgroups, c->tenant->name, &meters,
	    to_gateway + 1);
	cell.cgroups = buf_span(&joins);
	answer.meters = buf_span(&meters);
	if (join_count >= 0 &&
	    config_encode_for(m->config, name, &options) == 0) {
		cell.options = buf_span(&options);
		result = peer_send(c->peer, MESSAGE_CELL, &cell, to_cell,
		    2 + (size_t)join_count);
	}
	if (result == 0)
		result = gateway ?
		    peer_send(gateway, MESSAGE_TENANT_CELL, &answer, to_gateway,
			1 + (size_t)meter_count) :
		    -1;
	while (join_count > 0)
		fd_close(&to_cell[1 + join_count--]);
	while (meter_count > 0)
		fd_close(&to_gateway[meter_count--]);
	buf_free(&meters);
	buf_free(&joins);
	buf_free(&options);
	return result;
}

static void
cell_end(struct cell *c)
{
	if (c->state == CELL_ENDING)
		return;
	c->state = CELL_ENDING;
	loop_timer_clear(c->master->loop, &c->timer);
	kill(c->pid, SIGKILL);
}

static void
cell_free(struct cell *c)
{
	struct master *m = c->master;
	struct tenant *t = c->tenant;

	loop_timer_clear(m->loop, &c->timer);
	peer_free(&c->peer);
	map_remove(&m->cells.by_pid, &c->by_pid);
	list_remove(&c->node);
	if (--t->count == 0)
		cgroups_share(&m->cgroups, --m->cells.served);
	granted_free(&c->granted);
	free(c);
	tenant_release(m, t);
}

static void
cell_message(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct cell *c = arg;
	struct message_cell_failed failed;

	(void)fds; /* no row to master has descriptors; peer.c checks */
	(void)fd_count;
	if (c->state != CELL_STARTING)
		return;
	if (type == MESSAGE_READY) {
		c->state = CELL_UP;
		c->tenant->failures = 0;
		loop_timer_clear(c->master->loop, &c->timer);
		return;
	}
	if (message_cell_failed_decode(body, &failed) != 0)
		failed.reason = SPAN("its cell spoke nonsense");
	if (!cell_moved(c))
		tenant_failed(c->master, c->tenant, failed.reason);
	cell_end(c);
}

/* Its directory is another one now, or has another owner. One that could not be
 * built for that is no failure: the gateway sees it end, and asks again. */
static bool
cell_moved(const struct cell *c)
{
	return !tenant_same(c->master, span_of(c->tenant->name), c->device,
	    c->inode, c->owner);
}

static bool
cell_chosen_otherwise(const struct cell *c)
{
	struct tenant_place place;
	bool other = tenant_find(c->master, span_of(c->tenant->name), &place) !=
		TENANT_FOUND ||
	    place.device != c->device || place.inode != c->inode ||
	    place.uid != c->uid || place.gid != c->gid;

	fd_close(&place.fd);
	return other;
}

/* Mostly because it ended; then it is told apart when it is reaped, so the
 * state stays. A cell that lives on without us could not be ended later. */
static void
cell_lost(void *arg, const char *reason, bool unread)
{
	struct cell *c = arg;

	(void)unread;
	diag_debug("cell: channel lost: tenant=%s pid=%d: %s", c->tenant->name,
	    (int)c->pid, reason);
	kill(c->pid, SIGKILL);
}

static void
cell_late(void *arg)
{
	struct cell *c = arg;

	tenant_failed(c->master, c->tenant,
	    SPAN("its cell was not built in time"));
	cell_end(c);
}

/* ---- what cells without a pid namespace leave ---------------------------- */

static void
look_for_strays(void *arg)
{
	struct master *m = arg;

	if (cells_kill_strays(m))
		loop_timer_set(m->loop, &m->cells.strays,
		    loop_now_ms(m->loop) + STRAYS_AGAIN_MS);
	stop_step(m);
}

/* With its whole group, so that it cannot fork away from us; a group of our
 * own session is not its own. */
static void
kill_stray(pid_t pid)
{
	pid_t group = getpgid(pid);

	kill(pid, SIGKILL);
	if (group > 1 && getsid(pid) != getsid(0))
		kill(-group, SIGKILL);
}
