/* SPDX-License-Identifier: MIT */
/* control.c - the control socket. Everything a caller sends is compared with a
 * row before it is looked at; who he is comes from the kernel, what he may from
 * verbs.def. Whose a tenant is has to be asked, so a tenant's user waits for
 * that answer, and cannot tell a tenant that is not his from one that is not.
 *
 *	SPEAKING ──CONTROL──▶ ASKING ◀──▶ PAUSED	he reads slowly
 *	    └───────────────────┴───────────┴──▶ GONE
 *
 * ASKING: one ask is under way, `next` says what its answer is for. GONE: the
 * rest of the answer is with the peer, nothing else is left. */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "base/diag.h"
#include "base/fd.h"
#include "config/config.h"
#include "ipc/peer.h"
#include "wire/json_text.h"

#include "gateway/control.h"
#include "gateway/route.h"

enum {
	TENANT_MOST = 63,
	CALL_MOST = 128,
	FUNCTION_MOST = 255,
	ARGS_MOST = 3072,	  /* bytes; CONTROL_STATE takes as much */
	SEND_BYTES = 32 * 1024,	  /* in one CONTROL_OUT */
	PAUSE_BYTES = 256 * 1024, /* waiting for a slow reader before
					 * more is asked for */
	PAUSE_MS = 10,
	ACCEPT_AGAIN_MS = 100, /* when descriptors are out */
	NAMES_MOST = 65536,    /* of TENANTS */
};

enum caller_state {
	CALLER_SPEAKING,
	CALLER_ASKING,
	CALLER_PAUSED,
	CALLER_GONE,
};

enum caller_next { /* what the answer is for */
	NEXT_NOTHING,
	NEXT_RIGHT, /* whose tenant is it: may he? */
	NEXT_STATUS,
	NEXT_RELOAD,
	NEXT_NAMES, /* of tenants, for `list` without one */
	NEXT_LIST,
	NEXT_PLAN,
};

struct caller {
	struct list node;	 /* in control.callers until GONE */
	struct control *control; /* borrowed, outlives us */
	enum caller_state state;
	struct peer *peer; /* ours until GONE */
	struct timer limit;
	struct deferred freed;
	struct control_caller who;

	enum verb verb; /* what he wants, from ASKING on */
	char tenant[TENANT_MOST + 1];
	char function[FUNCTION_MOST + 1];
	char call[CALL_MOST + 1];
	uint32_t lines;
	uint32_t flags;
	bool follow;
	struct buf args;
	int fd; /* ours: the socket of `invoke`; -1 */

	enum caller_next next;
	uint64_t ask;
	struct control_facts *facts; /* NEXT_STATUS */
	struct buf names; /* `list`: tenants to come, each with NUL */
	bool all;	  /* `list` without a tenant */
	bool more_names;
	uint64_t paused_until_ms;
};

struct control {
	struct loop *loop; /* borrowed */
	struct watch listener;
	int listener_fd; /* borrowed; -1 when stopped */
	struct timer accept_again;
	struct control_hooks hooks;
	void *arg;
	struct control_operators operators;
	struct list callers;
	uint64_t asks; /* given out so far */
};

static void control_accept(void *arg, unsigned events);
static void control_accept_again(void *arg);
static const char *control_crowded(const struct control *,
    const struct caller *);
static struct caller *control_asking(struct control *, uint64_t ask,
    enum caller_next);
static bool is_operator(const struct control_caller *,
    const struct control_operators *);
static void caller_move(struct caller *, enum caller_state);
static void caller_message(void *arg, enum message_type, struct span body,
    int *fds, size_t fd_count);
static void caller_wants(struct caller *, const struct message_control *,
    int *fd);
static const char *caller_refusal(struct caller *,
    const struct message_control *);
static void caller_peer_gone(void *arg, const char *reason, bool unread);
static void caller_limit(void *arg);
static uint64_t caller_ask(struct caller *, enum caller_next);
static void caller_asked(struct caller *, int result, const char *what);
static void caller_go(struct caller *);
static void caller_status(struct caller *);
static void caller_list_all(struct caller *, struct span after);
static void caller_list_on(struct caller *);
static void caller_logs(struct caller *);
static void caller_state(struct caller *);
static void caller_state_connect(struct caller *);
static void caller_invoke(struct caller *);
static void caller_put_row(struct caller *, struct span name, struct span file,
    struct span refused);
static void caller_put(struct caller *, struct span text);
static void caller_end(struct caller *, const char *reason);
static void caller_gone(struct caller *);
static void caller_free(void *arg);
static bool is_connection(int fd);

struct control *
control_new(struct loop *loop, int listener, const struct control_hooks *hooks,
    void *arg)
{
	struct control *c = diag_alloc(sizeof(*c));

	c->loop = loop;
	c->listener_fd = listener;
	c->hooks = *hooks;
	c->arg = arg;
	c->operators = (struct control_operators){ (uid_t)-1, (gid_t)-1 };
	list_init(&c->callers);
	watch_init(&c->listener, control_accept, c);
	timer_init(&c->accept_again, control_accept_again, c);
	if (fd_nonblock(listener, true) != 0 ||
	    loop_watch(loop, &c->listener, listener, LOOP_READ) != 0)
		diag_fatal("cannot serve the control socket: %s", diag_errno());
	return c;
}

void
control_free(struct control **taken)
{
	struct control *c = *taken;

	if (!c)
		return;
	*taken = NULL;
	control_stop(c);
	LIST_EACH(node, &c->callers)
		caller_end(LIST_OWNER(node, struct caller, node),
		    "the host stops");
	free(c);
}

void
control_operators_set(struct control *c, struct control_operators operators)
{
	c->operators = operators;
}

void
control_stop(struct control *c)
{
	loop_timer_clear(c->loop, &c->accept_again);
	loop_unwatch(c->loop, &c->listener);
	c->listener_fd = -1;
}

bool
control_may(enum verb_right right, const struct control_caller *who,
    const struct control_operators *operators, uid_t tenant_uid)
{
	return is_operator(who, operators) ||
	    (right == VERB_TENANT && tenant_uid != (uid_t)-1 &&
		who->uid == tenant_uid);
}

int
control_caller_of(int fd, struct control_caller *who)
{
	struct fd_peer peer;
	socklen_t bytes = 64 * sizeof(gid_t);

	*who = (struct control_caller){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	if (fd_peer_of(fd, &peer) != 0)
		return -1;
	who->uid = peer.uid;
	who->gid = peer.gid;
	for (int tries = 0; tries < 2; tries++) {
		free(who->groups);
		who->groups = diag_alloc(bytes);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, who->groups,
			&bytes) == 0) {
			who->group_count = bytes / sizeof(gid_t);
			return 0;
		}
		/* the kernel said how many there are */
		if (errno != ERANGE ||
		    bytes > CONTROL_GROUPS_MOST * sizeof(gid_t))
			break;
	}
	return 0; /* without groups: he may less, not more */
}

void
control_caller_free(struct control_caller *who)
{
	free(who->groups);
	who->groups = NULL;
	who->group_count = 0;
}

void
control_master_said(struct control *c, uint64_t ask, bool failed,
    struct span text)
{
	struct caller *caller = control_asking(c, ask, NEXT_STATUS);

	if (caller) {
		while (text.bytes > 0)
			control_fact_line(caller->facts, span_cut(&text, '\n'));
		caller_status(caller);
		return;
	}
	caller = control_asking(c, ask, NEXT_RELOAD);
	if (!caller)
		return;
	caller_put(caller, text);
	if (text.bytes > 0 && text.data[text.bytes - 1] != '\n')
		caller_put(caller, SPAN("\n"));
	caller_end(caller,
	    failed ? "nothing was changed, the configuration before stands" :
		     NULL);
}

void
control_tenants(struct control *c, uint64_t ask, bool more, struct span names)
{
	struct caller *caller = control_asking(c, ask, NEXT_NAMES);

	if (!caller)
		return;
	buf_clear(&caller->names);
	if ((names.bytes > 0 && names.data[names.bytes - 1] != '\0') ||
	    (more && names.bytes == 0) || buf_put(&caller->names, names) != 0) {
		caller_end(caller, "master's list of tenants cannot be read");
		return;
	}
	caller->more_names = more;
	caller_list_on(caller);
}

void
control_tenant(struct control *c, uint64_t ask, uid_t uid)
{
	struct caller *caller = control_asking(c, ask, NEXT_RIGHT);

	if (!caller)
		return;
	if (control_may(verb_row(caller->verb)->right, &caller->who,
		&c->operators, uid))
		caller_go(caller);
	else
		caller_end(caller, "that is no tenant of yours");
}

void
control_listed(struct control *c, uint64_t ask, bool more, struct span rows)
{
	struct caller *caller = control_asking(c, ask, NEXT_LIST);
	struct span name, file;

	if (!caller)
		return;
	while (rows.bytes > 0) {
		name = span_cut(&rows, '\0');
		file = span_cut(&rows, '\0');
		caller_put_row(caller, name, file, span_cut(&rows, '\0'));
	}
	if (!more)
		caller_list_on(caller);
}

void
control_plan(struct control *c, uint64_t ask, struct span text)
{
	struct caller *caller = control_asking(c, ask, NEXT_PLAN);

	if (!caller)
		return;
	caller_put(caller, text);
	caller_end(caller, NULL);
}

/* The tenant is not there, or refused; or who was asked is gone. */
void
control_refused(struct control *c, uint64_t ask, struct span reason)
{
	struct caller *caller = control_asking(c, ask, NEXT_NOTHING);
	char text[512];

	if (!caller)
		return;
	if (caller->next == NEXT_RIGHT) {
		caller_end(caller, "that is no tenant of yours");
	} else if (caller->next == NEXT_STATUS) {
		control_fact_text(caller->facts, "master", "no_answer", reason);
		caller_status(caller);
	} else if (caller->next == NEXT_LIST && caller->all) {
		caller_put_row(caller, SPAN_NONE, SPAN_NONE, reason);
		caller_list_on(caller);
	} else {
		snprintf(text, sizeof(text), "%s%s%s%.*s",
		    caller->tenant[0] ? "tenant " : "", caller->tenant,
		    caller->tenant[0] ? ": " : "",
		    SPAN_ARGS(span_take(reason, sizeof(text) / 2)));
		caller_end(caller, text);
	}
}

static void
control_accept(void *arg, unsigned events)
{
	struct control *c = arg;
	struct caller *caller;
	const char *crowded;
	int fd =
	    accept4(c->listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			diag_warn("cannot take a control connection: %s; "
				  "trying again",
			    diag_errno());
			loop_unwatch(c->loop, &c->listener);
			loop_timer_set(c->loop, &c->accept_again,
			    loop_now_ms(c->loop) + ACCEPT_AGAIN_MS);
		}
		return;
	}
	caller = diag_alloc(sizeof(*caller));
	caller->control = c;
	caller->fd = -1;
	buf_init(&caller->names, NAMES_MOST);
	buf_init(&caller->args, ARGS_MOST);
	timer_init(&caller->limit, caller_limit, caller);
	if ((c->hooks.caller ? c->hooks.caller : control_caller_of)(fd,
		&caller->who) != 0) {
		fd_close(&fd);
		free(caller);
		return;
	}
	crowded = control_crowded(c, caller);
	list_add_last(&c->callers, &caller->node);
	caller->peer = peer_new(c->loop, fd, ROLE_GATEWAY, ROLE_CTL,
	    caller_message, caller_peer_gone, caller);
	loop_timer_set(c->loop, &caller->limit,
	    loop_now_ms(c->loop) + CONTROL_SPEAK_MS);
	if (crowded)
		caller_end(caller, crowded);
}

static void
control_accept_again(void *arg)
{
	struct control *c = arg;

	if (loop_watch(c->loop, &c->listener, c->listener_fd, LOOP_READ) != 0)
		loop_timer_set(c->loop, &c->accept_again,
		    loop_now_ms(c->loop) + ACCEPT_AGAIN_MS);
}

/* A sentence, or NULL. No user keeps the others out, nor all of them the
 * operators. */
static const char *
control_crowded(const struct control *c, const struct caller *coming)
{
	size_t all = 0, others = 0, own = 0;
	bool operator= is_operator(&coming->who, &c->operators);

	LIST_EACH(node, &c->callers) {
		const struct caller *there =
		    LIST_OWNER(node, struct caller, node);

		all++;
		others += !is_operator(&there->who, &c->operators);
		own += there->who.uid == coming->who.uid;
	}
	if (all >= CONTROL_CALLERS_MOST ||
	    (!operator&&(others >= CONTROL_OTHERS_MOST ||
		own >= CONTROL_USER_MOST)))
		return "too many are calling; try again";
	return NULL;
}

/* The caller this is an answer for, NULL when there is none any more. */
static struct caller *
control_asking(struct control *c, uint64_t ask, enum caller_next next)
{
	LIST_EACH(node, &c->callers) {
		struct caller *caller = LIST_OWNER(node, struct caller, node);

		if (caller->state == CALLER_ASKING && caller->ask == ask &&
		    (next == NEXT_NOTHING || caller->next == next))
			return caller;
	}
	return NULL;
}

static bool
is_operator(const struct control_caller *who,
    const struct control_operators *operators)
{
	if (who->uid == 0 ||
	    (operators->uid != (uid_t)-1 && who->uid == operators->uid))
		return true;
	if (operators->group == (gid_t)-1)
		return false;
	for (size_t i = 0; i < who->group_count; i++)
		if (who->groups[i] == operators->group)
			return true;
	return who->gid == operators->group;
}

static void
caller_move(struct caller *c, enum caller_state to)
{
	static const bool may[CALLER_GONE + 1][CALLER_GONE + 1] = {
		[CALLER_SPEAKING] = { [CALLER_ASKING] = true,
		    [CALLER_GONE] = true },
		[CALLER_ASKING] = { [CALLER_ASKING] = true,
		    [CALLER_PAUSED] = true,
		    [CALLER_GONE] = true },
		[CALLER_PAUSED] = { [CALLER_ASKING] = true,
		    [CALLER_GONE] = true },
	};

	assert(may[c->state][to]);
	c->state = to;
	assert(to == CALLER_GONE || c->peer);
	assert((to == CALLER_ASKING) == (c->next != NEXT_NOTHING));
}

static void
caller_message(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct caller *c = arg;
	struct message_control m;
	int none = -1;

	if (type != MESSAGE_CONTROL || c->state != CALLER_SPEAKING ||
	    message_control_decode(body, &m) != 0)
		caller_end(c,
		    "one request a connection, of the form that "
		    "this version of fcgi-hostctl sends");
	else
		caller_wants(c, &m, fd_count > 0 ? &fds[0] : &none);
}

static void
caller_wants(struct caller *c, const struct message_control *m, int *fd)
{
	const char *refusal = caller_refusal(c, m);
	const struct verb_row *row;

	if (refusal) {
		caller_end(c, refusal);
		return;
	}
	row = verb_row((enum verb)m->verb);
	c->verb = (enum verb)m->verb;
	snprintf(c->tenant, sizeof(c->tenant), "%.*s", SPAN_ARGS(m->tenant));
	snprintf(c->function, sizeof(c->function), "%.*s",
	    SPAN_ARGS(m->function));
	snprintf(c->call, sizeof(c->call), "%.*s", SPAN_ARGS(m->call));
	c->lines = m->lines;
	c->flags = m->flags;
	c->follow = (m->flags & CONTROL_FOLLOW) != 0;
	if (buf_put(&c->args, m->args) != 0) {
		caller_end(c, "no memory for what is wanted");
		return;
	}
	if (c->verb == VERB_INVOKE || c->verb == VERB_STATE) {
		c->fd = *fd;
		*fd = -1;
	}
	if (control_may(row->right, &c->who, &c->control->operators,
		(uid_t)-1)) {
		caller_go(c);
		return;
	}
	caller_asked(c,
	    c->control->hooks.tenant_ask(c->control->arg,
		caller_ask(c, NEXT_RIGHT), m->tenant),
	    "whose tenant that is");
}

/* What is wrong whatever the answers are. A sentence, or NULL. */
static const char *
caller_refusal(struct caller *c, const struct message_control *m)
{
	const struct verb_row *row =
	    m->verb < VERBS ? verb_row((enum verb)m->verb) : NULL;

	if (!row)
		return "the host does not know that verb; it is another "
		       "version than this fcgi-hostctl";
	if (m->tenant.bytes > TENANT_MOST ||
	    m->function.bytes > FUNCTION_MOST || m->call.bytes > CALL_MOST ||
	    span_find(m->tenant, '\0') >= 0 ||
	    span_find(m->function, '\0') >= 0 || span_find(m->call, '\0') >= 0)
		return "a name is too long, or has NUL in it";
	if (m->args.bytes > ARGS_MOST ||
	    (m->args.bytes > 0 && m->args.data[m->args.bytes - 1] != '\0'))
		return "the arguments are too long, or without their ends";
	if (m->tenant.bytes == 0 &&
	    (m->verb == VERB_INVOKE || m->verb == VERB_PLAN))
		return "a tenant must be named";
	if (!is_operator(&c->who, &c->control->operators)) {
		if (row->right != VERB_TENANT)
			return "only root, the host's user and members of "
			       "operator_group may do this";
		if (m->tenant.bytes == 0)
			return "only root, the host's user and members of "
			       "operator_group may do this for all tenants; "
			       "name yours";
	}
	return NULL;
}

static void
caller_peer_gone(void *arg, const char *reason, bool unread)
{
	(void)reason;
	(void)unread;
	caller_gone(arg);
}

static void
caller_limit(void *arg)
{
	struct caller *c = arg;

	if (c->state == CALLER_PAUSED)
		caller_list_on(c);
	else if (c->state == CALLER_ASKING)
		caller_end(c,
		    "no answer within 30 s; the log of fcgi-host "
		    "tells what it is busy with");
	else
		caller_gone(c);
}

/* A new number for what is asked next. */
static uint64_t
caller_ask(struct caller *c, enum caller_next next)
{
	c->next = next;
	caller_move(c, CALLER_ASKING);
	c->ask = CONTROL_ASK_BIT | ++c->control->asks;
	loop_timer_set(c->control->loop, &c->limit,
	    loop_now_ms(c->control->loop) + CONTROL_ASK_MS);
	return c->ask;
}

/* The result of a hook: when it could not ask, nobody will answer. */
static void
caller_asked(struct caller *c, int result, const char *what)
{
	char text[128];

	if (result == 0)
		return;
	snprintf(text, sizeof(text), "cannot ask %s now; try again", what);
	caller_end(c, text);
}

/* He may. */
static void
caller_go(struct caller *c)
{
	struct control *all = c->control;
	struct span tenant = span_of(c->tenant);

	switch (c->verb) {
	case VERB_STATUS:
		c->facts = control_facts_new();
		all->hooks.status(all->arg, c->facts);
		if (all->hooks.master_status_ask(all->arg,
			caller_ask(c, NEXT_STATUS)) != 0)
			control_refused(all, c->ask,
			    SPAN("no channel to "
				 "master"));
		break;
	case VERB_LIST:
		c->all = tenant.bytes == 0;
		if (c->all)
			caller_list_all(c, SPAN(""));
		else
			caller_asked(c,
			    all->hooks.list_ask(all->arg,
				caller_ask(c, NEXT_LIST), tenant),
			    "the tenant's cell");
		break;
	case VERB_PLAN:
		caller_asked(c,
		    all->hooks.plan_ask(all->arg, caller_ask(c, NEXT_PLAN),
			tenant),
		    "the tenant's cell");
		break;
	case VERB_RELOAD:
		caller_asked(c,
		    all->hooks.reload(all->arg, caller_ask(c, NEXT_RELOAD)),
		    "master");
		break;
	case VERB_LOGS:
		caller_logs(c);
		break;
	case VERB_INVOKE:
		caller_invoke(c);
		break;
	case VERB_TOKEN:
		caller_state(c);
		break;
	case VERB_STATE:
		caller_state_connect(c);
		break;
	case VERB_NONE:
	case VERBS:
		assert(!"a verb without a row was let through");
	}
}

static void
caller_status(struct caller *c)
{
	char *text = control_facts_print(c->facts);

	if (text) {
		caller_put(c, span_of(text));
		caller_put(c, SPAN("\n"));
	}
	caller_end(c, text ? NULL : "no memory for the answer");
	free(text);
}

static void
caller_list_all(struct caller *c, struct span after)
{
	caller_asked(c,
	    c->control->hooks.tenants_ask(c->control->arg,
		caller_ask(c, NEXT_NAMES), after),
	    "which tenants there are");
}

/* One tenant after the other, as fast as the reader reads. */
static void
caller_list_on(struct caller *c)
{
	struct loop *loop = c->control->loop;
	struct span names = buf_span(&c->names), name;
	uint64_t now_ms = loop_now_ms(loop);

	if (c->state == CALLER_GONE)
		return;
	if (peer_queued(c->peer) > PAUSE_BYTES) {
		if (c->state != CALLER_PAUSED) {
			c->next = NEXT_NOTHING;
			c->paused_until_ms = now_ms + CONTROL_ASK_MS;
			caller_move(c, CALLER_PAUSED);
		} else if (now_ms >= c->paused_until_ms) {
			caller_gone(c);
			return;
		}
		loop_timer_set(loop, &c->limit, now_ms + PAUSE_MS);
		return;
	}
	if (names.bytes > 0) {
		name = span_cut(&names, '\0');
		snprintf(c->tenant, sizeof(c->tenant), "%.*s", SPAN_ARGS(name));
		buf_taken(&c->names, name.bytes + 1);
		if (!config_tenant_name(span_of(c->tenant))) {
			caller_put_row(c, SPAN_NONE, SPAN_NONE,
			    SPAN("a tenant's name has " ROUTE_TENANT_RULE));
			caller_list_on(c);
			return;
		}
		caller_asked(c,
		    c->control->hooks.list_ask(c->control->arg,
			caller_ask(c, NEXT_LIST), span_of(c->tenant)),
		    "a tenant's cell");
	} else if (c->more_names) {
		caller_list_all(c, span_of(c->tenant));
	} else {
		caller_end(c, NULL);
	}
}

static void
caller_logs(struct caller *c)
{
	const struct message_tail tail = {
		.tenant = span_of(c->tenant),
		.call = span_of(c->call),
		.lines = c->lines,
		.follow = c->follow,
	};

	if (c->control->hooks.tail(c->control->arg, peer_fd(c->peer), &tail) !=
	    0)
		caller_end(c, "the log process is being restarted; try again");
	else
		caller_gone(c);
}

static void
caller_state(struct caller *c)
{
	const struct message_control_state m = {
		.verb = c->verb,
		.tenant = span_of(c->tenant),
		.args = buf_span(&c->args),
		.flags = c->flags,
	};

	if (c->control->hooks.state(c->control->arg, peer_fd(c->peer), &m) != 0)
		caller_end(c,
		    "the state process is being restarted; try again");
	else
		caller_gone(c);
}

/* What the caller brought is his connection to the state process from now on. */
static void
caller_state_connect(struct caller *c)
{
	const struct message_control_state m = {
		.verb = c->verb,
		.tenant = span_of(c->tenant),
		.args = buf_span(&c->args),
		.flags = c->flags,
	};

	if (c->fd < 0 || !is_connection(c->fd))
		caller_end(c, "state needs a connected Unix stream socket");
	else if (c->control->hooks.state(c->control->arg, c->fd, &m) != 0)
		caller_end(c,
		    "the state process is being restarted; try again");
	else
		caller_end(c, NULL);
	fd_close(&c->fd); /* the end of state's is the end */
}

static void
caller_invoke(struct caller *c)
{
	int fd = c->fd;

	c->fd = -1;
	if (fd < 0 || !is_connection(fd)) {
		fd_close(&fd);
		caller_end(c, "invoke needs a connected Unix stream socket");
		return;
	}
	caller_end(c,
	    c->control->hooks.invoke(c->control->arg, &fd, span_of(c->tenant),
		span_of(c->function)) == 0 ?
		NULL :
		"the host takes no more connections now; try again");
	assert(fd == -1);
}

/* Of a function, or of a tenant that cannot be listed. */
static void
caller_put_row(struct caller *c, struct span name, struct span file,
    struct span refused)
{
	json_t *row = json_object();
	char url[512], *text;

	json_object_set_new(row, "tenant", json_text(span_of(c->tenant)));
	if (name.data) {
		json_object_set_new(row, "function", json_text(name));
		json_object_set_new(row, "file", json_text(file));
	}
	if (refused.bytes > 0) {
		json_object_set_new(row, "refused", json_text(refused));
	} else {
		snprintf(url, sizeof(url), "/fn/%s/%.*s", c->tenant,
		    SPAN_ARGS(span_take(name, FUNCTION_MOST)));
		json_object_set_new(row, "url", json_text(span_of(url)));
	}
	text = json_dumps(row, JSON_COMPACT);
	json_decref(row);
	if (text) {
		caller_put(c, span_of(text));
		caller_put(c, SPAN("\n"));
	}
	free(text);
}

static void
caller_put(struct caller *c, struct span text)
{
	struct message_control_out m;

	while (text.bytes > 0 && c->state != CALLER_GONE) {
		m.bytes = span_take(text, SEND_BYTES);
		text = span_skip(text, m.bytes.bytes);
		if (peer_send(c->peer, MESSAGE_CONTROL_OUT, &m, NULL, 0) != 0)
			caller_gone(c); /* or he reads too slowly */
	}
}

/* NULL: all is well. */
static void
caller_end(struct caller *c, const char *reason)
{
	struct message_control_end m = { .failed = reason != NULL,
		.text = span_of(reason ? reason : "") };

	if (c->state == CALLER_GONE)
		return;
	if (peer_send(c->peer, MESSAGE_CONTROL_END, &m, NULL, 0) == 0)
		peer_finish(&c->peer, CONTROL_SPEAK_MS);
	caller_gone(c);
}

static void
caller_gone(struct caller *c)
{
	struct loop *loop = c->control->loop;

	if (c->state == CALLER_GONE)
		return;
	peer_free(&c->peer);
	loop_timer_clear(loop, &c->limit);
	list_remove(&c->node);
	fd_close(&c->fd);
	c->next = NEXT_NOTHING;
	caller_move(c, CALLER_GONE);
	loop_defer(loop, &c->freed, caller_free, c);
}

static void
caller_free(void *arg)
{
	struct caller *c = arg;

	control_facts_free(&c->facts);
	buf_free(&c->names);
	buf_free(&c->args);
	control_caller_free(&c->who);
	free(c);
}

static bool
is_connection(int fd)
{
	struct sockaddr_storage address;
	socklen_t bytes = sizeof(address);
	int type = 0, domain = 0;

	if (getpeername(fd, (struct sockaddr *)&address, &bytes) != 0)
		return false;
	bytes = sizeof(type);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) != 0)
		return false;
	bytes = sizeof(domain);
	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) == 0 &&
	    type == SOCK_STREAM && domain == AF_UNIX;
}
