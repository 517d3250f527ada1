/* SPDX-License-Identifier: MIT */
/* control.c - the control socket: takes callers in, keeps the crowd small, and
 * finds the one an answer is for. What a caller says and gets is caller.c's. */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/diag.h"
#include "base/fd.h"

#include "gateway/caller.h"

enum {
	ACCEPT_AGAIN_MS = 100, /* when descriptors are out */
};

static void control_accept(void *arg, unsigned events);
static void control_accept_again(void *arg);
static const char *control_crowded(const struct control *,
    const struct caller *);

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

struct caller *
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
	caller = caller_new(c, &fd);
	if (!caller)
		return;
	crowded = control_crowded(c, caller);
	list_add_last(&c->callers, &caller->node);
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
	bool operator= control_operator(&coming->who, &c->operators);

	LIST_EACH(node, &c->callers) {
		const struct caller *there =
		    LIST_OWNER(node, struct caller, node);

		all++;
		others += !control_operator(&there->who, &c->operators);
		own += there->who.uid == coming->who.uid;
	}
	if (all >= CONTROL_CALLERS_MOST ||
	    (!operator&&(others >= CONTROL_OTHERS_MOST ||
		own >= CONTROL_USER_MOST)))
		return "too many are calling; try again";
	return NULL;
}
