/* SPDX-License-Identifier: MIT */
/* gateway_says.c - what the gateway may ask of us, one function a message. It
 * speaks with clients, so it may be anybody's by now: nothing it says leads
 * further than its row in message.def. */

#include <assert.h>
#include <errno.h>

#include "base/diag.h"

#include "master/master.h"

enum {
	NAMES_MOST = 60 * 1024, /* of tenants, in one message */
	WORDS_MOST = 60 * 1024,
};

static void tenants_ask(struct master *, struct span body);
static void reload_ask(struct master *, struct span body);
static void status_ask(struct master *, struct span body);
static void suspend(struct master *, struct span body);
static void say(struct master *, uint64_t ask, bool failed, struct buf *);
static void broken(struct master *, const char *message);

/* The body of a message of that type, or the gateway has broken its rules. */
#define DECODE(type, name)                               \
	struct message_##type name;                      \
	if (message_##type##_decode(body, &name) != 0) { \
		broken(m, #type);                        \
		return;                                  \
	}

static void
tenant_ask(struct master *m, struct span body)
{
	DECODE(tenant_ask, ask);
	cells_ask(m, ask.tenant);
}

static void
tenant_check(struct master *m, struct span body)
{
	DECODE(tenant_check, check);
	cells_check(m, check.tenant);
}

static void
cell_kill(struct master *m, struct span body)
{
	DECODE(cell_kill, kill);
	cells_kill(m, kill.tenant, kill.reason);
}

void
gateway_says(struct master *m, enum message_type type, struct span body)
{
	static void (*const answers[MESSAGE_TYPES])(struct master *,
	    struct span) = {
		[MESSAGE_TENANT_ASK] = tenant_ask,
		[MESSAGE_TENANT_CHECK] = tenant_check,
		[MESSAGE_CELL_KILL] = cell_kill,
		[MESSAGE_TENANTS_ASK] = tenants_ask,
		[MESSAGE_RELOAD] = reload_ask,
		[MESSAGE_MASTER_STATUS_ASK] = status_ask,
		[MESSAGE_SUSPEND] = suspend,
	};

	assert(type < MESSAGE_TYPES && answers[type]);
	answers[type](m, body);
}

static void
tenants_ask(struct master *m, struct span body)
{
	struct message_tenants answer = { .more = 0 };
	struct peer *gateway = children_gateway(m);
	struct buf names;
	bool more = false;

	DECODE(tenants_ask, ask);
	buf_init(&names, NAMES_MOST);
	if (tenant_names(m->config, ask.after, NAMES_MOST, &names, &more) != 0)
		diag_error("functions = \"%s\" or users cannot be listed: %s",
		    m->config->functions, diag_errno());
	answer.ask = ask.ask;
	answer.more = more;
	answer.names = buf_span(&names);
	if (gateway)
		peer_send(gateway, MESSAGE_TENANTS, &answer, NULL, 0);
	buf_free(&names);
}

static void
reload_ask(struct master *m, struct span body)
{
	struct buf text;
	int result;

	DECODE(reload, ask);
	buf_init(&text, WORDS_MOST);
	result = reload(m, &text);
	say(m, ask.ask, result != 0, &text);
	buf_free(&text);
}

static void
status_ask(struct master *m, struct span body)
{
	struct buf text;

	DECODE(master_status_ask, ask);
	buf_init(&text, WORDS_MOST);
	status_print(m, &text);
	say(m, ask.ask, false, &text);
	buf_free(&text);
}

/* The gateway hears of it before it is answered: who asked finds it done. */
static void
suspend(struct master *m, struct span body)
{
	struct buf text;
	int result;

	DECODE(suspend, ask);
	buf_init(&text, WORDS_MOST);
	if (ask.suspended)
		result =
		    suspended_add(&m->suspended, ask.tenant, ask.reason, &text);
	else
		result = suspended_remove(&m->suspended, ask.tenant, &text);
	if (result == 0) {
		diag_info("%.*s", SPAN_ARGS(buf_span(&text)));
		children_suspended(m, ask.tenant, ask.now != 0);
	}
	say(m, ask.ask, result != 0, &text);
	buf_free(&text);
}

static void
say(struct master *m, uint64_t ask, bool failed, struct buf *text)
{
	struct message_master_says answer = {
		.ask = ask,
		.failed = failed,
		.text = buf_span(text),
	};
	struct peer *gateway = children_gateway(m);

	if (gateway)
		peer_send(gateway, MESSAGE_MASTER_SAYS, &answer, NULL, 0);
}

static void
broken(struct master *m, const char *message)
{
	diag_error("gateway: a %s message is broken; it is replaced", message);
	children_tell(&m->children[CHILD_GATEWAY], CHILD_BROKEN);
}
