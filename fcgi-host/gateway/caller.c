/* SPDX-License-Identifier: MIT */
/* caller.c - one caller of the control socket. Everything he sends is compared
 * with a row before it is looked at; who he is comes from the kernel, what he
 * may from verbs.def. Whose a tenant is has to be asked, so a tenant's user waits
 * for that answer, and cannot tell a tenant that is not his from one that is
 * not. The drawing of his states is in caller.h. */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "base/fd.h"

#include "gateway/caller.h"

enum {
	ARGS_MOST = 3072,	   /* bytes; CONTROL_STATE takes as much */
	SEND_BYTES = 32 * 1024,	   /* in one CONTROL_OUT */
	NAMES_MOST = 1024 * 1024,  /* of TENANTS, or of those with faults */
	ANSWER_MOST = 1024 * 1024, /* a page of faults and a tenant's */
};

static void caller_message(void *arg, enum message_type, struct span body,
    int *fds, size_t fd_count);
static void caller_wants(struct caller *, const struct message_control *,
    int *fd);
static const char *caller_refusal(struct caller *,
    const struct message_control *);
static void caller_peer_gone(void *arg, const char *reason, bool unread);
static void caller_limit(void *arg);
static void caller_free(void *arg);

struct caller *
caller_new(struct control *control, int *fd)
{
	struct caller *c = diag_alloc(sizeof(*c));

	c->control = control;
	c->fd = -1;
	list_init(&c->late);
	buf_init(&c->names, NAMES_MOST);
	buf_init(&c->answer, ANSWER_MOST);
	buf_init(&c->args, ARGS_MOST);
	timer_init(&c->limit, caller_limit, c);
	if ((control->hooks.caller ? control->hooks.caller :
				     control_caller_of)(*fd, &c->who) != 0) {
		fd_close(fd);
		free(c);
		return NULL;
	}
	c->peer = peer_new(control->loop, *fd, ROLE_GATEWAY, ROLE_CTL,
	    caller_message, caller_peer_gone, c);
	*fd = -1;
	loop_timer_set(control->loop, &c->limit,
	    loop_now_ms(control->loop) + CONTROL_SPEAK_MS);
	return c;
}

void
caller_move(struct caller *c, enum caller_state to)
{
	static const bool may[CALLER_GONE + 1][CALLER_GONE + 1] = {
		[CALLER_SPEAKING] = { [CALLER_ASKING] = true,
		    [CALLER_PAUSED] = true,
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
		verb_go(c);
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
	if (m->tenant.bytes > CALLER_TENANT_MOST ||
	    m->function.bytes > CALLER_FUNCTION_MOST ||
	    m->call.bytes > CALLER_CALL_MOST ||
	    span_find(m->tenant, '\0') >= 0 ||
	    span_find(m->function, '\0') >= 0 || span_find(m->call, '\0') >= 0)
		return "a name is too long, or has NUL in it";
	if (m->args.bytes > ARGS_MOST ||
	    (m->args.bytes > 0 && m->args.data[m->args.bytes - 1] != '\0'))
		return "the arguments are too long, or without their ends";
	if (m->tenant.bytes == 0 &&
	    (m->verb == VERB_INVOKE || m->verb == VERB_PLAN ||
		m->verb == VERB_EXPLAIN || m->verb == VERB_SUSPEND ||
		m->verb == VERB_RESUME))
		return "a tenant must be named";
	if (!control_operator(&c->who, &c->control->operators)) {
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
		verb_go_on(c);
	else if (c->state == CALLER_ASKING && !verb_late(c))
		caller_end(c,
		    "no answer within 30 s; the log of fcgi-host "
		    "tells what it is busy with");
	else if (c->state == CALLER_SPEAKING)
		caller_gone(c);
}

uint64_t
caller_ask(struct caller *c, enum caller_next next)
{
	c->next = next;
	caller_move(c, CALLER_ASKING);
	c->ask = CONTROL_ASK_BIT | ++c->control->asks;
	loop_timer_set(c->control->loop, &c->limit,
	    loop_now_ms(c->control->loop) + CONTROL_ASK_MS);
	return c->ask;
}

void
caller_asked(struct caller *c, int result, const char *what)
{
	char text[128];

	if (result == 0)
		return;
	snprintf(text, sizeof(text), "cannot ask %s now; try again", what);
	caller_end(c, text);
}

void
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

void
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

void
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

	LIST_EACH(node, &c->late)
		free(LIST_OWNER(node, struct caller_late, node));
	control_facts_free(&c->facts);
	buf_free(&c->names);
	buf_free(&c->answer);
	buf_free(&c->args);
	control_caller_free(&c->who);
	free(c);
}
