/* SPDX-License-Identifier: MIT */
/* control_verbs.c - what is done for a caller who may, verb by verb, and what the
 * answers to the asks mean for him. The rows are in verbs.def. */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <jansson.h>

#include "base/fd.h"
#include "config/config.h"
#include "wire/json_text.h"

#include "gateway/caller.h"
#include "gateway/route.h"

enum {
	PAUSE_BYTES = 256 * 1024, /* waiting for a slow reader before
					 * more is asked for */
	PAUSE_MS = 10,
	PAGE_BYTES = 32 * 1024, /* of faults, made at once */
};

/* Of a function, or of a tenant that cannot be listed: then without a name. */
struct row {
	struct span name;
	struct span file;
	struct span refused; /* empty: it is served */
	struct span protocol;
	struct span off;   /* not empty: it is switched off */
	struct span start; /* empty: it cannot be forked */
};

static void verb_status(struct caller *);
static void verb_suspend(struct caller *, bool suspended);
static void verb_suspended(struct caller *, bool failed, struct span said);
static void verb_list_all(struct caller *, struct span after);
static void verb_list_on(struct caller *);
static void verb_list_wait(struct caller *, uint64_t ms);
static void verb_list_last(struct caller *);
static void verb_list_came(struct caller *, struct caller_late *);
static struct caller_late *verb_list_late(struct control *, uint64_t ask,
    struct caller **);
static bool verb_pauses(struct caller *);
static void verb_pause(struct caller *, uint64_t ms);
static void verb_faults(struct caller *);
static void verb_faults_on(struct caller *);
static void verb_logs(struct caller *);
static void verb_state(struct caller *);
static void verb_state_connect(struct caller *);
static void verb_invoke(struct caller *);
static void verb_put_row(struct caller *, const char *tenant,
    const struct row *);
static void verb_put_how(struct caller *, const char *tenant,
    const struct row *, json_t *);
static bool is_connection(int fd);

void
verb_go(struct caller *c)
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
			verb_list_all(c, SPAN(""));
		else
			caller_asked(c,
			    all->hooks.list_ask(all->arg,
				caller_ask(c, NEXT_LIST), tenant),
			    "the tenant's cell");
		break;
	case VERB_EXPLAIN:
		caller_asked(c,
		    all->hooks.list_ask(all->arg, caller_ask(c, NEXT_LIST),
			tenant),
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
	case VERB_SUSPEND:
	case VERB_RESUME:
		verb_suspend(c, c->verb == VERB_SUSPEND);
		break;
	case VERB_LOGS:
		verb_logs(c);
		break;
	case VERB_FAULTS:
		verb_faults(c);
		break;
	case VERB_INVOKE:
		verb_invoke(c);
		break;
	case VERB_TOKEN:
		verb_state(c);
		break;
	case VERB_STATE:
		verb_state_connect(c);
		break;
	case VERB_NONE:
	case VERBS:
		assert(!"a verb without a row was let through");
	}
}

void
control_tenant(struct control *c, uint64_t ask, uid_t uid)
{
	struct caller *caller = control_asking(c, ask, NEXT_FAULTS);

	if (caller) {
		verb_faults_on(caller);
		return;
	}
	caller = control_asking(c, ask, NEXT_RIGHT);
	if (!caller)
		return;
	if (control_may(verb_row(caller->verb)->right, &caller->who,
		&c->operators, uid))
		verb_go(caller);
	else
		caller_end(caller, "that is no tenant of yours");
}

void
control_master_said(struct control *c, uint64_t ask, bool failed,
    struct span text)
{
	struct caller *caller = control_asking(c, ask, NEXT_STATUS);

	if (caller) {
		while (text.bytes > 0)
			control_fact_line(caller->facts, span_cut(&text, '\n'));
		verb_status(caller);
		return;
	}
	caller = control_asking(c, ask, NEXT_SUSPEND);
	if (caller) {
		verb_suspended(caller, failed, text);
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
	verb_list_on(caller);
}

void
control_listed(struct control *c, uint64_t ask, bool more, struct span rows)
{
	struct caller *caller = control_asking(c, ask, NEXT_LIST);
	struct caller_late *late = NULL;
	struct row row;

	if (!caller)
		late = verb_list_late(c, ask, &caller);
	if (!caller)
		return;
	while (rows.bytes > 0) {
		row.name = span_cut(&rows, '\0');
		row.file = span_cut(&rows, '\0');
		row.refused = span_cut(&rows, '\0');
		row.protocol = span_cut(&rows, '\0');
		row.off = span_cut(&rows, '\0');
		row.start = span_cut(&rows, '\0');
		if (caller->verb == VERB_EXPLAIN &&
		    !span_equal(row.name, span_of(caller->function)))
			continue;
		caller->found = true;
		verb_put_row(caller, late ? late->tenant : caller->tenant,
		    &row);
	}
	if (!more && late)
		verb_list_came(caller, late);
	else if (!more)
		verb_list_on(caller);
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
	struct caller_late *late;
	char text[512];

	late = caller ? NULL : verb_list_late(c, ask, &caller);
	if (late) {
		verb_put_row(caller, late->tenant,
		    &(struct row){ .refused = reason });
		verb_list_came(caller, late);
		return;
	}
	if (!caller)
		return;
	if (caller->next == NEXT_RIGHT) {
		caller_end(caller, "that is no tenant of yours");
	} else if (caller->next == NEXT_STATUS) {
		control_fact_text(caller->facts, "master", "no_answer", reason);
		verb_status(caller);
	} else if (caller->next == NEXT_LIST && caller->all) {
		verb_put_row(caller, caller->tenant,
		    &(struct row){ .refused = reason });
		verb_list_on(caller);
	} else {
		snprintf(text, sizeof(text), "%s%s%s%.*s",
		    caller->tenant[0] ? "tenant " : "", caller->tenant,
		    caller->tenant[0] ? ": " : "",
		    SPAN_ARGS(span_take(reason, sizeof(text) / 2)));
		caller_end(caller, text);
	}
}

static void
verb_status(struct caller *c)
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
verb_suspend(struct caller *c, bool suspended)
{
	struct span args = buf_span(&c->args);

	caller_asked(c,
	    c->control->hooks.suspend(c->control->arg,
		caller_ask(c, NEXT_SUSPEND), span_of(c->tenant), suspended,
		(c->flags & CONTROL_NOW) != 0, span_cut(&args, '\0')),
	    "master");
}

static void
verb_suspended(struct caller *c, bool failed, struct span said)
{
	char text[512];

	if (failed) {
		snprintf(text, sizeof(text), "%.*s",
		    SPAN_ARGS(span_take(said, sizeof(text) - 1)));
		caller_end(c, text);
		return;
	}
	caller_put(c, said);
	caller_put(c, SPAN("\n"));
	caller_end(c, NULL);
}

static void
verb_list_all(struct caller *c, struct span after)
{
	caller_asked(c,
	    c->control->hooks.tenants_ask(c->control->arg,
		caller_ask(c, NEXT_NAMES), after),
	    "which tenants there are");
}

/* One tenant after the other, as fast as the reader reads. */
static void
verb_list_on(struct caller *c)
{
	struct span names = buf_span(&c->names), name;

	if (verb_pauses(c))
		return;
	if (names.bytes > 0) {
		name = span_cut(&names, '\0');
		snprintf(c->tenant, sizeof(c->tenant), "%.*s", SPAN_ARGS(name));
		buf_taken(&c->names, name.bytes + 1);
		if (!config_tenant_name(span_of(c->tenant))) {
			verb_put_row(c, c->tenant,
			    &(struct row){
				.refused = SPAN("a tenant's name "
						"has " ROUTE_TENANT_RULE) });
			verb_list_on(c);
			return;
		}
		caller_ask(c, NEXT_LIST);
		if (c->late_count < CONTROL_LATE_MOST)
			verb_list_wait(c, CONTROL_LATE_MS);
		caller_asked(c,
		    c->control->hooks.list_ask(c->control->arg, c->ask,
			span_of(c->tenant)),
		    "a tenant's cell");
	} else if (c->more_names) {
		verb_list_all(c, span_of(c->tenant));
	} else {
		verb_list_last(c);
	}
}

static void
verb_list_wait(struct caller *c, uint64_t ms)
{
	loop_timer_set(c->control->loop, &c->limit,
	    loop_now_ms(c->control->loop) + ms);
}

/* All were asked; some may not have answered. */
static void
verb_list_last(struct caller *c)
{
	if (list_empty(&c->late)) {
		caller_end(c,
		    c->verb == VERB_EXPLAIN && !c->found ?
			"there is no such function: fcgi-hostctl list shows "
			"what there is" :
			NULL);
		return;
	}
	caller_ask(c, NEXT_LATE);
	verb_list_wait(c, CONTROL_LAST_MS);
}

/* A tenant may keep its cell from answering: the others are listed without it. */
bool
verb_late(struct caller *c)
{
	struct caller_late *late;

	if (c->next == NEXT_LATE) {
		LIST_EACH(node, &c->late)
			verb_put_row(c,
			    LIST_OWNER(node, struct caller_late, node)->tenant,
			    &(struct row){
				.refused = SPAN("its cell does not answer") });
		caller_end(c, NULL);
		return true;
	}
	if (c->next != NEXT_LIST || !c->all ||
	    c->late_count >= CONTROL_LATE_MOST ||
	    !(late = malloc(sizeof(*late))))
		return false;
	list_init(&late->node);
	late->ask = c->ask;
	snprintf(late->tenant, sizeof(late->tenant), "%s", c->tenant);
	list_add_last(&c->late, &late->node);
	c->late_count++;
	verb_list_on(c);
	return true;
}

/* The tenant of a list of all that this is the late answer of, or NULL. */
static struct caller_late *
verb_list_late(struct control *c, uint64_t ask, struct caller **found)
{
	LIST_EACH(node, &c->callers) {
		struct caller *caller = LIST_OWNER(node, struct caller, node);

		LIST_EACH(one, &caller->late) {
			struct caller_late *late =
			    LIST_OWNER(one, struct caller_late, node);

			if (late->ask != ask)
				continue;
			*found = caller;
			return late;
		}
	}
	return NULL;
}

/* Some progress: who else is late gets as much time again. */
static void
verb_list_came(struct caller *c, struct caller_late *late)
{
	list_remove(&late->node);
	c->late_count--;
	free(late);
	if (c->next == NEXT_LATE)
		verb_list_last(c);
}

void
verb_go_on(struct caller *c)
{
	if (c->verb == VERB_FAULTS)
		verb_faults_on(c);
	else
		verb_list_on(c);
}

/* He has not read what he was sent, or is gone: nothing more for now. */
static bool
verb_pauses(struct caller *c)
{
	if (c->state == CALLER_GONE)
		return true;
	if (peer_queued(c->peer) <= PAUSE_BYTES)
		return false;
	if (c->state == CALLER_PAUSED &&
	    loop_now_ms(c->control->loop) >= c->paused_until_ms)
		caller_gone(c);
	else
		verb_pause(c, PAUSE_MS);
	return true;
}

static void
verb_pause(struct caller *c, uint64_t ms)
{
	struct loop *loop = c->control->loop;
	uint64_t now_ms = loop_now_ms(loop);

	if (c->state != CALLER_PAUSED) {
		c->next = NEXT_NOTHING;
		c->paused_until_ms = now_ms + CONTROL_ASK_MS;
		caller_move(c, CALLER_PAUSED);
	}
	loop_timer_set(loop, &c->limit, now_ms + ms);
}

/* That there is nothing to tell of a tenant must not be said of one there is
 * not. */
static void
verb_faults(struct caller *c)
{
	const struct control_hooks *hooks = &c->control->hooks;
	struct span tenant = span_of(c->tenant);
	int found =
	    hooks->faults_begin(c->control->arg, tenant, &c->answer, &c->names);

	if (found == 0 && tenant.bytes > 0) {
		found = hooks->faults(c->control->arg, tenant, &c->answer);
		if (found == 0) {
			caller_asked(c,
			    hooks->tenant_ask(c->control->arg,
				caller_ask(c, NEXT_FAULTS), tenant),
			    "whether there is such a tenant");
			return;
		}
	}
	if (found < 0)
		caller_end(c, "no memory for the answer now; try again");
	else
		verb_faults_on(c);
}

/* A page a turn of the loop, and no more than he reads. */
static void
verb_faults_on(struct caller *c)
{
	const struct control_hooks *hooks = &c->control->hooks;

	if (verb_pauses(c))
		return;
	caller_put(c, buf_span(&c->answer));
	buf_clear(&c->answer);
	if (c->state == CALLER_GONE)
		return;
	if (buf_bytes(&c->names) == 0) {
		caller_end(c, NULL);
		return;
	}
	while (buf_bytes(&c->names) > 0 && buf_bytes(&c->answer) < PAGE_BYTES) {
		struct span names = buf_span(&c->names);
		struct span name = span_cut(&names, '\0');

		if (hooks->faults(c->control->arg, name, &c->answer) < 0) {
			caller_end(c,
			    "no memory for the answer now; try again");
			return;
		}
		buf_taken(&c->names, name.bytes + 1);
	}
	verb_pause(c, 1);
	c->paused_until_ms = loop_now_ms(c->control->loop) + CONTROL_ASK_MS;
}

static void
verb_logs(struct caller *c)
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
verb_state(struct caller *c)
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
verb_state_connect(struct caller *c)
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
verb_invoke(struct caller *c)
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

static void
verb_put_row(struct caller *c, const char *tenant, const struct row *given)
{
	const struct control_hooks *hooks = &c->control->hooks;
	struct span name = given->name, refused = given->refused;
	json_t *row = json_object();
	char url[512], why[512], *text;
	struct span suspended = SPAN_NONE, plan = SPAN_NONE;

	if (hooks->plan_of)
		plan = hooks->plan_of(c->control->arg, span_of(tenant));
	if (hooks->suspended)
		suspended = hooks->suspended(c->control->arg, span_of(tenant));
	if (suspended.data) {
		snprintf(why, sizeof(why), "the tenant is suspended: %.*s",
		    SPAN_ARGS(suspended));
		refused = span_of(why);
	}

	json_object_set_new(row, "tenant", json_text(span_of(tenant)));
	if (plan.bytes > 0)
		json_object_set_new(row, "plan", json_text(plan));
	if (name.data) {
		json_object_set_new(row, "function", json_text(name));
		json_object_set_new(row, "file", json_text(given->file));
	}
	if (refused.bytes > 0) {
		json_object_set_new(row, "refused", json_text(refused));
	} else {
		snprintf(url, sizeof(url), "/%s%s/%.*s",
		    tenant[0] == '~' ? "" : "fn/", tenant,
		    SPAN_ARGS(span_take(name, CALLER_FUNCTION_MOST)));
		json_object_set_new(row, "url", json_text(span_of(url)));
		verb_put_how(c, tenant, given, row);
	}
	text = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(6));
	json_decref(row);
	if (text) {
		caller_put(c, span_of(text));
		caller_put(c, SPAN("\n"));
	}
	free(text);
}

/* How it runs, and what of it is there now. */
static void
verb_put_how(struct caller *c, const char *tenant, const struct row *given,
    json_t *row)
{
	const struct control_hooks *hooks = &c->control->hooks;
	struct control_workers workers = { 0 };

	if (given->protocol.bytes == 0)
		return;
	json_object_set_new(row, "protocol", json_text(given->protocol));
	if (given->off.bytes > 0)
		json_object_set_new(row, "switched_off", json_true());
	if (hooks->workers)
		hooks->workers(c->control->arg, span_of(tenant), given->name,
		    &workers);
	if (given->start.bytes > 0) {
		json_object_set_new(row, "start", json_text(given->start));
		json_object_set_new(row, "template",
		    json_text(span_of(workers.template)));
	}
	if (c->verb == VERB_EXPLAIN && hooks->explain)
		hooks->explain(c->control->arg, span_of(tenant), given->name,
		    given->start, row);
	if (!span_equal(given->protocol, SPAN("fastcgi")))
		return;
	json_object_set_new(row, "workers",
	    json_integer((json_int_t)workers.all));
	json_object_set_new(row, "ready",
	    json_integer((json_int_t)workers.ready));
	if (workers.spare_short == 0)
		return;
	json_object_set_new(row, "spare",
	    json_integer((json_int_t)workers.spare));
	json_object_set_new(row, "spare_short",
	    json_integer((json_int_t)workers.spare_short));
	json_object_set_new(row, "spare_limit",
	    json_text(span_of(workers.spare_limit)));
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
