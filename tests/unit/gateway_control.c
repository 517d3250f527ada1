/* SPDX-License-Identifier: MIT */
/* If this fails, somebody may do over the control socket what he must not, or
 * the operator gets no answer when he needs one. */
#include "rows.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/fd.h"
#include "gateway/control.h"

enum {
	PATIENCE_MS = 20000,
	HOST_UID = 500,
	OPERATOR_GID = 600,
	JO_UID = 1001,
	ANN_UID = 1002,
	CALLERS = 80,
};

/* Who calls in this test. */
enum caller { ROOT, HOST, MEMBER, GROUPED, JO, ANN, CALLER_KINDS };
static const char *const caller_words[] = { "root", "the host's user",
	"who has the operator group", "who is also in the operator group",
	"a tenant's user", "another user" };
static enum caller calling;

static char directory[64], path[96];
static struct loop *loop;
static int listener = -1;
static struct control *control;

#define FAULT_LINE "{\"tenant\":\"jo\",\"count\":3}\n"

/* What the hooks were asked. */
static char asked[256];
static uint64_t last_ask;
static int answer;	 /* what they return */
static bool silent;	 /* they answer later */
static struct span args; /* of what is said */
static int invoked_fd = -1;
static char said[256];
static size_t fault_tenants;

/* What the caller got. */
static char text[1 << 20];
static size_t text_bytes;
static bool ended, failed;
static char reason[512];

static int
who(int fd, struct control_caller *caller)
{
	static const struct {
		uid_t uid;
		gid_t gid, other;
	} known[] = {
		[ROOT] = { 0, 0, 0 },
		[HOST] = { HOST_UID, 1, 1 },
		[MEMBER] = { 2000, OPERATOR_GID, 1 },
		[GROUPED] = { 2001, 1, OPERATOR_GID },
		[JO] = { JO_UID, 1, 1 },
		[ANN] = { ANN_UID, 1, 1 },
	};

	(void)fd;
	*caller = (struct control_caller){ .uid = known[calling].uid,
		.gid = known[calling].gid,
		.group_count = 2 };
	caller->groups = calloc(2, sizeof(gid_t));
	caller->groups[1] = known[calling].other;
	return 0;
}

static void
note(const char *what, struct span tenant)
{
	snprintf(asked + strlen(asked), sizeof(asked) - strlen(asked),
	    "%s(%.*s) ", what, SPAN_ARGS(tenant));
}

static void
status(void *arg, struct control_facts *facts)
{
	(void)arg;
	note("status", SPAN(""));
	control_fact_count(facts, "requests", "running", 3);
	control_fact_text(facts, "tenants/acme", "state", SPAN("ready"));
	control_fact_text(facts, "tenants/acme", "odd", SPAN("\xff\n"));
}

static int
master_status_ask(void *arg, uint64_t ask)
{
	(void)arg;
	last_ask = ask;
	if (answer == 0 && !silent)
		control_master_said(control, ask, false,
		    SPAN("version=1.0\nlog=/var/log\ngateway.pid=311\n"
			 "log.state=up\n"
			 "not_enforced=network\nenforced=users\n"
			 "not_enforced=memory\n"));
	return answer;
}

static int
reload(void *arg, uint64_t ask)
{
	(void)arg;
	note("reload", SPAN(""));
	last_ask = ask;
	if (answer == 0 && !silent)
		control_master_said(control, ask, false, SPAN("generation 2"));
	return answer;
}

static int
suspend(void *arg, uint64_t ask, struct span tenant, bool suspended, bool now,
    struct span why)
{
	(void)arg;
	note(suspended ? "suspend" : "resume", tenant);
	last_ask = ask;
	if (answer == 0 && !silent) {
		snprintf(said, sizeof(said), "%s%s: %.*s",
		    suspended ? "suspended" : "resumed", now ? " now" : "",
		    SPAN_ARGS(why));
		control_master_said(control, ask, false, span_of(said));
	}
	return answer;
}

static struct span
suspended(void *arg, struct span tenant)
{
	(void)arg;
	return span_equal(tenant, SPAN("c")) ? SPAN("is over") : SPAN_NONE;
}

static int
tenants_ask(void *arg, uint64_t ask, struct span after)
{
	(void)arg;
	note("tenants", after);
	last_ask = ask;
	if (answer == 0 && !silent)
		control_tenants(control, ask, after.bytes == 0,
		    after.bytes == 0 ? SPAN("a\0b\0") : SPAN("c\0"));
	return answer;
}

static int
tenant_ask(void *arg, uint64_t ask, struct span tenant)
{
	(void)arg;
	note("tenant", tenant);
	last_ask = ask;
	if (answer == 0 && !silent) {
		if (span_equal(tenant, SPAN("jo")))
			control_tenant(control, ask, JO_UID);
		else
			control_refused(control, ask, SPAN("no tenant"));
	}
	return answer;
}

static int
list_ask(void *arg, uint64_t ask, struct span tenant)
{
	(void)arg;
	note("list", tenant);
	last_ask = ask;
	if (answer == 0 && !silent) {
		if (span_equal(tenant, SPAN("b"))) {
			control_refused(control, ask, SPAN("not now"));
			return 0;
		}
		control_listed(control, ask, true,
		    SPAN("f\0f.sh\0\0cgi\0off\0fork\0"));
		control_listed(control, ask, false,
		    SPAN("g\0g\0is not executable\0\0\0\0"
			 "w\0w\0\0fastcgi\0\0\0"));
	}
	return answer;
}

static void
explain(void *arg, struct span tenant, struct span function, struct span start,
    json_t *row)
{
	(void)arg;
	assert_true(span_equal(function, SPAN("f")));
	note("explain", tenant);
	json_object_set_new(row, "why", json_stringn(start.data, start.bytes));
}

static int
plan_ask(void *arg, uint64_t ask, struct span tenant)
{
	(void)arg;
	note("plan", tenant);
	last_ask = ask;
	if (answer == 0 && !silent)
		control_plan(control, ask, SPAN("mount /\nmount /proc\n"));
	return answer;
}

static int
faults_begin(void *arg, struct span tenant, struct buf *line, struct buf *names)
{
	(void)arg;
	note("faults", tenant);
	for (size_t i = 0; i < fault_tenants && tenant.bytes == 0; i++)
		buf_put(names, SPAN("jo\0"));
	return answer != 0 ? -1 : buf_put(line, SPAN("{\"since\":1}\n"));
}

/* Of nobody there are none. */
static int
faults(void *arg, struct span tenant, struct buf *out)
{
	(void)arg;
	if (span_equal(tenant, SPAN("nobody")))
		return 0;
	for (size_t i = 0; i < 64; i++)
		buf_put(out, SPAN(FAULT_LINE));
	return 1;
}

static void
workers(void *arg, struct span tenant, struct span function,
    struct control_workers *counts)
{
	(void)arg;
	if (span_equal(function, SPAN("f")))
		*counts = (struct control_workers){ .template = "ready" };
	if (span_equal(tenant, SPAN("acme")) && span_equal(function, SPAN("w")))
		*counts = (struct control_workers){ .all = 3,
			.ready = 1,
			.spare = 4,
			.spare_short = 2,
			.spare_limit = "tenant.spare = 8" };
}

static int
invoke(void *arg, int *fd, struct span tenant, struct span function)
{
	(void)arg;
	note("invoke", tenant);
	note("function", function);
	fd_close(&invoked_fd);
	invoked_fd = *fd;
	*fd = -1;
	return answer;
}

static int
tail(void *arg, int fd, const struct message_tail *m)
{
	struct message_control_end end = { .failed = 0, .text = SPAN("") };
	struct buf out;

	(void)arg;
	note("tail", m->tenant);
	note("call", m->call);
	if (answer != 0)
		return answer;
	assert_int_equal(m->lines, 7);
	assert_int_equal(m->follow, 1);
	buf_init(&out, 4096);
	message_control_end_encode(&out, &end);
	assert_true(fd_send(fd, buf_span(&out), NULL, 0) > 0);
	buf_free(&out);
	return 0;
}

static int
state_verb(void *arg, int fd, const struct message_control_state *m)
{
	struct message_control_end end = { .failed = 0, .text = SPAN("") };
	struct buf out;

	(void)arg;
	note(verb_row((enum verb)m->verb)->name, m->tenant);
	if (answer != 0)
		return answer;
	assert_true(span_equal(m->args, SPAN("mint\0scope=read\0")));
	assert_int_equal(m->flags, CONTROL_FOLLOW);
	buf_init(&out, 4096);
	message_control_end_encode(&out, &end);
	assert_true(fd_send(fd, buf_span(&out), NULL, 0) > 0);
	buf_free(&out);
	return 0;
}

static const struct control_hooks hooks = {
	.status = status,
	.master_status_ask = master_status_ask,
	.reload = reload,
	.suspend = suspend,
	.suspended = suspended,
	.tenants_ask = tenants_ask,
	.tenant_ask = tenant_ask,
	.list_ask = list_ask,
	.plan_ask = plan_ask,
	.faults_begin = faults_begin,
	.faults = faults,
	.workers = workers,
	.explain = explain,
	.invoke = invoke,
	.tail = tail,
	.state = state_verb,
	.caller = who,
};

static int
setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/fcgi-host-control-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/control.sock", directory);
	loop = loop_new();
	listener = fd_listen_unix(path, SOCK_SEQPACKET, 0600, (gid_t)-1);
	if (listener < 0)
		return -1;
	control = control_new(loop, listener, &hooks, NULL);
	control_operators_set(control,
	    (struct control_operators){ HOST_UID, OPERATOR_GID });
	asked[0] = '\0';
	answer = 0;
	silent = false;
	fault_tenants = 1;
	calling = ROOT;
	args = SPAN("mint\0scope=read\0");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	control_free(&control);
	loop_free(loop);
	fd_close(&listener);
	fd_close(&invoked_fd);
	unlink(path);
	return rmdir(directory);
}

static int
call_fd(void)
{
	int fd = fd_connect_unix(path, SOCK_SEQPACKET);

	assert_true(fd >= 0);
	assert_int_equal(fd_nonblock(fd, true), 0);
	text_bytes = 0;
	ended = failed = false;
	reason[0] = '\0';
	return fd;
}

static void
say(int fd, enum verb verb, const char *tenant, int passed)
{
	struct message_control m = { .verb = verb,
		.tenant = span_of(tenant),
		.function = SPAN("f"),
		.call = SPAN("01ID"),
		.lines = 7,
		.flags = CONTROL_FOLLOW,
		.args = args };
	struct buf out;

	buf_init(&out, 8192);
	assert_int_equal(message_control_encode(&out, &m), 0);
	assert_true(fd_send(fd, buf_span(&out), &passed, passed >= 0) > 0);
	buf_free(&out);
}

/* False when the connection is closed. */
static bool
take(int fd)
{
	static char bytes[MESSAGE_MOST];
	struct message_control_out out;
	struct message_control_end end;
	struct span body;
	size_t none = 0;
	ssize_t n;

	while ((n = fd_receive(fd, bytes, sizeof(bytes), NULL, &none)) > 0)
		switch (message_type_of(span_make(bytes, (size_t)n), &body)) {
		case MESSAGE_CONTROL_OUT:
			assert_int_equal(message_control_out_decode(body, &out),
			    0);
			assert_true(text_bytes + out.bytes.bytes <
			    sizeof(text));
			memcpy(text + text_bytes, out.bytes.data,
			    out.bytes.bytes);
			text_bytes += out.bytes.bytes;
			break;
		case MESSAGE_CONTROL_END:
			assert_int_equal(message_control_end_decode(body, &end),
			    0);
			ended = true;
			failed = end.failed != 0;
			snprintf(reason, sizeof(reason), "%.*s",
			    SPAN_ARGS(end.text));
			break;
		default:
			fail_msg("neither OUT nor END");
		}
	text[text_bytes] = '\0';
	return n < 0;
}

static void
until_ended(int fd)
{
	uint64_t deadline = clock_ms() + PATIENCE_MS;

	while (take(fd) && clock_ms() < deadline)
		loop_once(loop, 50);
	assert_true(ended);
	close(fd);
}

static void
call(enum verb verb, const char *tenant)
{
	int fd = call_fd(), pair[2] = { -1, -1 };

	if (verb == VERB_INVOKE || verb == VERB_STATE)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	say(fd, verb, tenant, pair[0]);
	fd_close(&pair[0]);
	until_ended(fd);
	fd_close(&pair[1]);
}

/* Each verb, and who may: on his own tenant, on another's, without one. */
static const struct right_row {
	const char *sentence;
	enum verb verb;
	bool needs_tenant;
	bool tenants_user_may;
} rights[] = {
	{ "status is for operators", VERB_STATUS, false, false },
	{ "reload is for operators", VERB_RELOAD, false, false },
	{ "tokens are for operators", VERB_TOKEN, false, false },
	{ "suspend is for operators", VERB_SUSPEND, true, false },
	{ "resume is for operators", VERB_RESUME, true, false },
	{ "state is for the tenant's user too", VERB_STATE, false, true },
	{ "list is for the tenant's user too", VERB_LIST, false, true },
	{ "logs are for the tenant's user too", VERB_LOGS, false, true },
	{ "faults are for the tenant's user too", VERB_FAULTS, false, true },
	{ "explain is for the tenant's user too", VERB_EXPLAIN, true, true },
	{ "invoke is for the tenant's user too", VERB_INVOKE, true, true },
	{ "plan is for the tenant's user too", VERB_PLAN, true, true },
};

static void
right(void **state)
{
	const struct right_row *row = *state;
	static const char *const tenants[] = { "jo", "ann", "" };
	bool operator, may, done;

	assert_int_equal(COUNT(rights), VERBS - 1);
	assert_int_equal(setup(NULL), 0);
	for (int c = 0; c < CALLER_KINDS; c++)
		for (size_t t = 0; t < COUNT(tenants); t++) {
			calling = (enum caller)c;
			operator= c == ROOT || c == HOST || c == MEMBER ||
			    c == GROUPED;
			may = operator?
			    tenants[t][0] || !row->needs_tenant :
			    row->tenants_user_may && c == JO && t == 0;
			asked[0] = '\0';
			call(row->verb, tenants[t]);
			done = strstr(asked,
				   row->verb == VERB_LOGS ?
				       "tail" :
				       row->verb == VERB_EXPLAIN ?
				       "explain" :
				       verb_row(row->verb)->name) != NULL ||
			    (row->verb == VERB_LIST &&
				strstr(asked, "tenants"));
			if (done != may || failed == may)
				fail_msg("%s of tenant \"%s\" by %s: %s, "
					 "asked %s, \"%s\"",
				    verb_row(row->verb)->name, tenants[t],
				    caller_words[c], done ? "done" : "refused",
				    asked, reason);
		}
	assert_int_equal(teardown(NULL), 0);
}

static void
a_stranger_cannot_tell_which_tenants_there_are(void **state)
{
	char mine[sizeof(reason)];

	(void)state;
	calling = ANN;
	call(VERB_LIST, "jo");
	snprintf(mine, sizeof(mine), "%s", reason);
	call(VERB_LIST, "nobody");
	assert_string_equal(reason, mine);
}

static const struct may_row {
	const char *sentence;
	uid_t uid;
	gid_t gid, group;
	struct control_operators operators;
	uid_t tenant;
	bool operator_verb, tenant_verb;
} mays[] = {
	{ "root may", 0, 5, 5, { (uid_t)-1, (gid_t)-1 }, (uid_t)-1, true,
	    true },
	{ "without operators nobody else may", 5, 5, 5,
	    { (uid_t)-1, (gid_t)-1 }, (uid_t)-1, false, false },
	{ "no group is nobody's group", 5, (gid_t)-1, (gid_t)-1,
	    { (uid_t)-1, (gid_t)-1 }, (uid_t)-1, false, false },
	{ "no user is nobody", (uid_t)-1, 5, 5, { (uid_t)-1, (gid_t)-1 },
	    (uid_t)-1, false, false },
	{ "group 0 does not make root", 5, 0, 0, { 7, 8 }, (uid_t)-1, false,
	    false },
	{ "a tenant's user may for it", 5, 5, 5, { 7, 8 }, 5, false, true },
	{ "not for another", 5, 5, 5, { 7, 8 }, 6, false, false },
};

static void
may_row(void **state)
{
	const struct may_row *row = *state;
	gid_t groups[1] = { row->group };
	struct control_caller caller = { row->uid, row->gid, groups, 1 };

	assert_int_equal(control_may(VERB_OPERATOR, &caller, &row->operators,
			     row->tenant),
	    row->operator_verb);
	assert_int_equal(control_may(VERB_TENANT, &caller, &row->operators,
			     row->tenant),
	    row->tenant_verb);
}

static void
the_kernel_says_who_calls(void **state)
{
	struct control_caller caller;
	gid_t groups[CONTROL_GROUPS_MOST];
	int ends[2], count = getgroups(CONTROL_GROUPS_MOST, groups);

	(void)state;
	assert_int_equal(fd_channel(ends), 0);
	assert_int_equal(control_caller_of(ends[0], &caller), 0);
	assert_int_equal(caller.uid, geteuid());
	assert_int_equal(caller.gid, getegid());
	assert_int_equal(caller.group_count, count);
	for (int i = 0; i < count; i++)
		assert_int_equal(caller.groups[i], groups[i]);
	control_caller_free(&caller);
	close(ends[0]);
	close(ends[1]);
}

static void
status_is_one_object_of_gateway_and_master(void **state)
{
	json_t *root;
	const char *version, *place, *ready, *odd, *first, *second, *users, *up;
	int running, pid;

	(void)state;
	call(VERB_STATUS, "");
	assert_false(failed);
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	assert_int_equal(json_unpack(root,
			     "{s:{s:s,s:s,s:[s,s!],s:[s!]!},s:{s:i!},"
			     "s:{s:{s:s,s:s!}!},s:{s:i!},s:{s:s!}!}",
			     "host", "version", &version, "log", &place,
			     "not_enforced", &first, &second, "enforced",
			     &users, "requests", "running", &running, "tenants",
			     "acme", "state", &ready, "odd", &odd, "gateway",
			     "pid", &pid, "log", "state", &up),
	    0);
	assert_string_equal(place, "/var/log");
	assert_string_equal(up, "up");
	assert_string_equal(first, "network");
	assert_string_equal(second, "memory");
	assert_string_equal(users, "users");
	assert_int_equal(running, 3);
	assert_int_equal(pid, 311);
	assert_string_equal(version, "1.0");
	assert_string_equal(odd, "?\n");
	json_decref(root);
}

static void
status_answers_without_master(void **state)
{
	(void)state;
	answer = -1;
	call(VERB_STATUS, "");
	assert_false(failed);
	assert_non_null(strstr(text, "\"running\":3"));
	assert_non_null(strstr(text, "\"no_answer\":\"no channel to master\""));
}

static void
a_list_has_one_object_a_line(void **state)
{
	(void)state;
	call(VERB_LIST, "acme");
	assert_false(failed);
	assert_string_equal(text,
	    "{\"tenant\":\"acme\",\"function\":\"f\",\"file\":\"f.sh\","
	    "\"url\":\"/fn/acme/f\",\"protocol\":\"cgi\","
	    "\"switched_off\":true,\"start\":\"fork\","
	    "\"template\":\"ready\"}\n"
	    "{\"tenant\":\"acme\",\"function\":\"g\",\"file\":\"g\","
	    "\"refused\":\"is not executable\"}\n"
	    "{\"tenant\":\"acme\",\"function\":\"w\",\"file\":\"w\","
	    "\"url\":\"/fn/acme/w\",\"protocol\":\"fastcgi\","
	    "\"workers\":3,\"ready\":1,\"spare\":4,"
	    "\"spare_short\":2,\"spare_limit\":\"tenant.spare = 8\"}\n");
}

static void
a_list_of_all_goes_through_every_tenant(void **state)
{
	(void)state;
	call(VERB_LIST, "");
	assert_false(failed);
	assert_string_equal(asked,
	    "tenants() list(a) list(b) tenants(b) "
	    "list(c) ");
	assert_non_null(strstr(text, "{\"tenant\":\"a\",\"function\":\"f\""));
	assert_non_null(strstr(text,
	    "{\"tenant\":\"b\",\"refused\":\"not now\"}"));
	assert_non_null(strstr(text,
	    "{\"tenant\":\"c\",\"function\":\"f\",\"file\":\"f.sh\","
	    "\"refused\":\"the tenant is suspended: is over\"}"));
}

static void
a_reload_that_fails_says_what_master_said(void **state)
{
	int fd = call_fd();

	(void)state;
	silent = true;
	say(fd, VERB_RELOAD, "", -1);
	while (!strstr(asked, "reload"))
		loop_once(loop, 50);
	control_master_said(control, last_ask, true,
	    SPAN("host.conf:3: sentence\n"));
	until_ended(fd);
	assert_true(failed);
	assert_string_equal(text, "host.conf:3: sentence\n");
}

static void
who_suspends_is_told_what_master_did(void **state)
{
	int fd;

	(void)state;
	args = SPAN("is over\0");
	call(VERB_SUSPEND, "acme");
	assert_false(failed);
	assert_string_equal(text, "suspended: is over\n");
	fd = call_fd();
	silent = true;
	say(fd, VERB_RESUME, "acme", -1);
	while (!strstr(asked, "resume"))
		loop_once(loop, 50);
	control_master_said(control, last_ask, true,
	    SPAN("tenant acme is not suspended"));
	until_ended(fd);
	assert_true(failed);
	assert_string_equal(reason, "tenant acme is not suspended");
}

static void
a_plan_longer_than_a_message_arrives_whole(void **state)
{
	static char plan[60000];
	int fd = call_fd();

	(void)state;
	memset(plan, 'p', sizeof(plan));
	silent = true;
	say(fd, VERB_PLAN, "acme", -1);
	while (!strstr(asked, "plan"))
		loop_once(loop, 50);
	control_plan(control, last_ask, span_make(plan, sizeof(plan)));
	until_ended(fd);
	assert_false(failed);
	assert_int_equal(text_bytes, sizeof(plan));
}

/* More than waits for anybody: who reads slowly gets all of it, bit by bit. */
static void
many_faults_arrive_whole(void **state)
{
	uint64_t deadline = clock_ms() + PATIENCE_MS;
	size_t most = 0, bytes;
	int fd = call_fd();

	(void)state;
	fault_tenants = 500; /* 930 KB */
	say(fd, VERB_FAULTS, "", -1);
	while (take(fd) && clock_ms() < deadline) {
		bytes = text_bytes;
		loop_once(loop, 5);
		take(fd);
		most = text_bytes - bytes > most ? text_bytes - bytes : most;
	}
	assert_true(ended && !failed);
	assert_int_equal(text_bytes,
	    strlen("{\"since\":1}\n") + 500 * 64 * strlen(FAULT_LINE));
	assert_true(most < text_bytes / 4);
	close(fd);
}

static void
nothing_is_said_of_tenants_there_are_not(void **state)
{
	(void)state;
	call(VERB_FAULTS, "jo");
	assert_false(failed);
	assert_string_equal(asked, "faults(jo) ");
	assert_int_equal(text_bytes,
	    strlen("{\"since\":1}\n") + 64 * strlen(FAULT_LINE));
	call(VERB_FAULTS, "nobody");
	assert_true(failed);
	assert_string_equal(reason, "tenant nobody: no tenant");
	assert_int_equal(text_bytes, 0);
}

static void
invoke_hands_over_a_stream_socket_and_nothing_else(void **state)
{
	int fd, pair[2], pipes[2];

	(void)state;
	call(VERB_INVOKE, "acme");
	assert_false(failed);
	assert_string_equal(asked, "invoke(acme) function(f) ");
	assert_true(invoked_fd >= 0);
	asked[0] = '\0';

	assert_int_equal(pipe(pipes), 0);
	fd = call_fd();
	say(fd, VERB_INVOKE, "acme", pipes[1]);
	until_ended(fd);
	assert_true(failed);
	close(pipes[0]);
	close(pipes[1]);

	assert_int_equal(fd_channel(pair), 0);
	fd = call_fd();
	say(fd, VERB_INVOKE, "acme", pair[0]);
	until_ended(fd);
	assert_true(failed);
	close(pair[0]);
	close(pair[1]);

	fd = call_fd();
	say(fd, VERB_INVOKE, "acme", -1);
	until_ended(fd);
	assert_true(failed);
	assert_string_equal(asked, "");
}

static void
arguments_are_words_and_not_too_many(void **state)
{
	static char long_ones[3073];
	const struct span bad[] = { SPAN("mint"), SPAN("mint\0x"),
		span_make(long_ones, sizeof(long_ones)) };

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		args = bad[i];
		call(VERB_TOKEN, "acme");
		assert_true(failed);
		assert_string_equal(asked, "");
	}
}

static void
who_asks_state_hears_that_it_is_gone(void **state)
{
	(void)state;
	answer = -1;
	call(VERB_TOKEN, "acme");
	assert_true(failed);
	assert_non_null(strstr(reason, "being restarted"));
}

static void
who_has_gone_gets_no_answer(void **state)
{
	int fd = call_fd();

	(void)state;
	silent = true;
	say(fd, VERB_PLAN, "acme", -1);
	while (!strstr(asked, "plan"))
		loop_once(loop, 50);
	close(fd);
	loop_once(loop, 50);
	control_plan(control, last_ask, SPAN("late"));
	control_refused(control, last_ask, SPAN("late"));
	control_listed(control, last_ask, false, SPAN("a\0b\0\0\0"));
}

static void
an_answer_to_another_question_is_none(void **state)
{
	int fd = call_fd();

	(void)state;
	silent = true;
	calling = JO;
	say(fd, VERB_PLAN, "jo", -1);
	while (!strstr(asked, "tenant"))
		loop_once(loop, 50);
	control_plan(control, last_ask, SPAN("secret"));
	loop_once(loop, 0);
	take(fd);
	assert_int_equal(text_bytes, 0);
	assert_false(ended);
	control_tenant(control, last_ask, ANN_UID);
	until_ended(fd);
	assert_true(failed);
	assert_int_equal(text_bytes, 0);
}

static const struct nonsense_row {
	const char *sentence;
	struct span bytes;
} nonsense[] = {
	{ "no message", SPAN("GET / HTTP/1.0\r\n\r\n") },
	{ "one byte", SPAN("x") },
	{ "a message that is not for the host",
	    SPAN("\1\0\0\0"
		 "\0\0\0\0\0\0\0\0") },
};

static void
is_dropped(void **state)
{
	const struct nonsense_row *row = *state;
	uint64_t deadline = clock_ms() + PATIENCE_MS;
	int fd;

	assert_int_equal(setup(NULL), 0);
	fd = call_fd();
	assert_true(fd_send(fd, row->bytes, NULL, 0) > 0);
	while (take(fd) && clock_ms() < deadline)
		loop_once(loop, 50);
	assert_true(clock_ms() < deadline);
	assert_string_equal(asked, "");
	close(fd);
	assert_int_equal(teardown(NULL), 0);
}

static void
verbs_that_are_none_are_refused(void **state)
{
	int fd = call_fd();

	(void)state;
	say(fd, VERBS, "acme", -1);
	until_ended(fd);
	assert_true(failed);
	fd = call_fd();
	say(fd, VERB_NONE, "acme", -1);
	until_ended(fd);
	assert_true(failed);
	assert_string_equal(asked, "");
}

static void
a_user_who_floods_leaves_room(void **state)
{
	int fds[CALLERS], fd;
	unsigned refused = 0;

	(void)state;
	calling = JO;
	for (unsigned i = 0; i < CALLERS; i++) {
		fds[i] = call_fd();
		for (unsigned k = 0; k < 2; k++)
			loop_once(loop, 0);
		take(fds[i]);
		refused += ended && failed;
	}
	assert_int_equal(refused, CALLERS - CONTROL_USER_MOST);
	calling = ANN;
	fd = call_fd();
	say(fd, VERB_LIST, "jo", -1);
	until_ended(fd);
	assert_string_equal(reason, "that is no tenant of yours");
	calling = ROOT;
	call(VERB_PLAN, "acme");
	assert_false(failed);
	for (unsigned i = 0; i < CALLERS; i++)
		close(fds[i]);
}

static void
draining_takes_no_new_callers_but_answers_old_ones(void **state)
{
	int fd = call_fd(), later;

	(void)state;
	silent = true;
	say(fd, VERB_PLAN, "acme", -1);
	while (!strstr(asked, "plan"))
		loop_once(loop, 50);
	control_stop(control);
	later = fd_connect_unix(path, SOCK_SEQPACKET);
	loop_once(loop, 0);
	control_plan(control, last_ask, SPAN("done"));
	until_ended(fd);
	assert_string_equal(text, "done");
	close(later);
}

static void
whoever_cannot_be_asked_is_named(void **state)
{
	(void)state;
	answer = -1;
	for (enum verb v = VERB_LIST; v < VERBS; v++) {
		call(v, "acme");
		assert_true(failed);
		assert_non_null(strstr(reason, "try again"));
	}
	calling = JO;
	call(VERB_PLAN, "jo");
	assert_true(failed);
}

int
main(void)
{
#define WITH_CONTROL(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_CONTROL(a_stranger_cannot_tell_which_tenants_there_are),
		cmocka_unit_test(the_kernel_says_who_calls),
		WITH_CONTROL(status_is_one_object_of_gateway_and_master),
		WITH_CONTROL(status_answers_without_master),
		WITH_CONTROL(a_list_has_one_object_a_line),
		WITH_CONTROL(a_list_of_all_goes_through_every_tenant),
		WITH_CONTROL(a_reload_that_fails_says_what_master_said),
		WITH_CONTROL(who_suspends_is_told_what_master_did),
		WITH_CONTROL(a_plan_longer_than_a_message_arrives_whole),
		WITH_CONTROL(many_faults_arrive_whole),
		WITH_CONTROL(nothing_is_said_of_tenants_there_are_not),
		WITH_CONTROL(
		    invoke_hands_over_a_stream_socket_and_nothing_else),
		WITH_CONTROL(arguments_are_words_and_not_too_many),
		WITH_CONTROL(who_asks_state_hears_that_it_is_gone),
		WITH_CONTROL(who_has_gone_gets_no_answer),
		WITH_CONTROL(an_answer_to_another_question_is_none),
		WITH_CONTROL(verbs_that_are_none_are_refused),
		WITH_CONTROL(a_user_who_floods_leaves_room),
		WITH_CONTROL(
		    draining_takes_no_new_callers_but_answers_old_ones),
		WITH_CONTROL(whoever_cannot_be_asked_is_named),
	};

	return RUN_ROWS(rights, right) + RUN_ROWS(mays, may_row) +
	    RUN_ROWS(nonsense, is_dropped) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
