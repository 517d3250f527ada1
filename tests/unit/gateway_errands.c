/* SPDX-License-Identifier: MIT */
/* If this fails, one tenant's cell keeps an operator from seeing the others, or
 * answers in their place. */
#include "gateway_web.h"

static void (*configure)(struct config *) = few_of_all;

struct call { /* one of the control socket */
	int fd;
	char text[65536];
	size_t bytes;
	bool ended;
	bool failed;
	char reason[512];
};

static void
call_open(struct call *c, enum verb verb, const char *tenant)
{
	const struct message_control m = { .verb = verb,
		.tenant = span_of(tenant) };

	memset(c, 0, sizeof(*c));
	c->fd = fd_connect_unix(host.control, SOCK_SEQPACKET);
	assert_true(c->fd >= 0);
	host_send(&host, c->fd, MESSAGE_CONTROL, &m, NULL, 0);
}

static void
call_end(struct call *c)
{
	struct message_control_out out;
	struct message_control_end end;
	struct span body;
	int fds[FD_PASS_MOST];
	size_t fd_count;

	while (!c->ended)
		switch (peer_receive_now(c->fd, ROLE_CTL, ROLE_GATEWAY, &body,
		    fds, &fd_count)) {
		case MESSAGE_CONTROL_OUT:
			message_control_out_decode(body, &out);
			assert_true(c->bytes + out.bytes.bytes <
			    sizeof(c->text));
			memcpy(c->text + c->bytes, out.bytes.data,
			    out.bytes.bytes);
			c->bytes += out.bytes.bytes;
			break;
		case MESSAGE_CONTROL_END:
			message_control_end_decode(body, &end);
			c->ended = true;
			c->failed = end.failed != 0;
			snprintf(c->reason, sizeof(c->reason), "%.*s",
			    SPAN_ARGS(end.text));
			break;
		default:
			fail_msg("the control socket was closed");
		}
	fd_close(&c->fd);
}

static void
call_has(const struct call *c, const char *text)
{
	if (!strstr(c->text, text))
		fail_msg("no \"%s\" in \"%s\"", text, c->text);
}

static void
tenants_are(struct span names)
{
	struct message_tenants_ask ask;
	struct message_tenants m = { .names = names };
	struct event e;

	host_expect(&host, MESSAGE_TENANTS_ASK, &e);
	message_tenants_ask_decode(e.body, &ask);
	m.ask = ask.ask;
	host_send(&host, host.master, MESSAGE_TENANTS, &m, NULL, 0);
}

/* Of the cell with this number. */
static uint64_t
asked_for_list(size_t cell)
{
	struct message_list m;
	struct event e;

	host_expect(&host, MESSAGE_LIST, &e);
	assert_int_equal(e.index, cell);
	message_list_decode(e.body, &m);
	return m.ask;
}

static void
listed(size_t cell, uint64_t ask, struct span rows)
{
	const struct message_listed m = { .ask = ask, .rows = rows };

	host_send(&host, host.cells[cell], MESSAGE_LISTED, &m, NULL, 0);
}

static void
planned(size_t cell, const struct event *question)
{
	struct message_plan_ask ask;
	struct message_plan m = { .text = SPAN("mount /\n") };

	message_plan_ask_decode(question->body, &ask);
	m.ask = ask.ask;
	host_send(&host, host.cells[cell], MESSAGE_PLAN, &m, NULL, 0);
}

/* The gateway closes its channel, and says nothing more in it. */
static void
let_go(size_t cell)
{
	struct pollfd p = { .fd = host.cells[cell], .events = POLLIN };
	int fds[FD_PASS_MOST];
	struct span body;
	size_t fd_count;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(peer_receive_now(p.fd, ROLE_CELL, ROLE_GATEWAY, &body,
			     fds, &fd_count),
	    MESSAGE_NONE);
	fd_close(&host.cells[cell]);
}

static void
others_are_listed_without_it(void **state)
{
	struct call c;
	struct event e;

	(void)state;
	call_open(&c, VERB_LIST, "");
	tenants_are(SPAN("acme\0beta\0"));
	asked_for_list(0); /* in vain */
	listed(1, asked_for_list(1), SPAN("hello\0hello.sh\0\0cgi\0"));
	call_end(&c);
	assert_false(c.failed);
	call_has(&c, "\"url\":\"/fn/beta/hello\"");
	call_has(&c,
	    "{\"tenant\":\"acme\",\"refused\":\"its cell does not answer\"}");
	host_expect(&host, MESSAGE_CELL_KILL, &e);
	fd_close(&host.cells[0]); /* master does */
	web_hello(&web, &host);
	assert_int_equal(host.heard[MESSAGE_CELL_KILL], 1);
}

static void
late_is_not_never(void **state)
{
	struct call c;
	uint64_t late;

	(void)state;
	call_open(&c, VERB_LIST, "");
	tenants_are(SPAN("acme\0beta\0"));
	late = asked_for_list(0);
	listed(1, asked_for_list(1), SPAN("hello\0hello.sh\0\0cgi\0"));
	listed(0, late, SPAN("slow\0slow.sh\0\0cgi\0"));
	call_end(&c);
	assert_false(c.failed);
	call_has(&c, "\"url\":\"/fn/beta/hello\"");
	call_has(&c, "\"url\":\"/fn/acme/slow\"");
	web_hello(&web, &host);
	assert_int_equal(host.heard[MESSAGE_CELL_KILL], 0);
}

static void
silent(enum verb verb, enum message_type question)
{
	struct call c;
	struct event e;

	call_open(&c, verb, "acme");
	host_expect(&host, question, &e);
	host_expect(&host, MESSAGE_CELL_KILL, &e);
	call_end(&c);
	assert_true(c.failed);
	assert_string_equal(c.reason, "tenant acme: its cell does not answer");
	assert_int_equal(c.bytes, 0);
	fd_close(&host.cells[0]);
	web_hello(&web, &host);
	assert_int_equal(host.heard[MESSAGE_CELL_KILL], 1);
}

static void
list_of_a_silent_cell(void **state)
{
	(void)state;
	silent(VERB_LIST, MESSAGE_LIST);
}

static void
plan_of_a_silent_cell(void **state)
{
	(void)state;
	silent(VERB_PLAN, MESSAGE_PLAN_ASK);
}

/* A new configuration ends cells, too: who asks in that moment is answered. */
static void
the_next_cell_is_asked(void **state)
{
	struct call c;

	(void)state;
	call_open(&c, VERB_LIST, "acme");
	asked_for_list(0);
	fd_close(&host.cells[0]);
	listed(1, asked_for_list(1), SPAN("hello\0hello.sh\0\0cgi\0"));
	call_end(&c);
	assert_false(c.failed);
	call_has(&c, "\"url\":\"/fn/acme/hello\"");
}

static void
cells_end_again_and_again(void **state)
{
	struct call c;

	(void)state;
	call_open(&c, VERB_LIST, "acme");
	for (size_t i = 0; i < 2; i++) {
		asked_for_list(i);
		fd_close(&host.cells[i]);
	}
	call_end(&c);
	assert_true(c.failed);
	assert_non_null(strstr(c.reason, "acme: its cell ended"));
	web_hello(&web, &host);
}

static void
nobody_answers_for_another(void **state)
{
	struct call c;
	uint64_t ask;

	(void)state;
	web_hello(&web, &host); /* acme's cell stays */
	call_open(&c, VERB_LIST, "");
	tenants_are(SPAN("acme\0beta\0"));
	listed(0, asked_for_list(0), SPAN("hello\0hello.sh\0\0cgi\0"));
	ask = asked_for_list(1);
	listed(0, ask, SPAN("forged\0forged.sh\0\0cgi\0"));
	seen();
	listed(1, ask, SPAN("right\0right.sh\0\0cgi\0"));
	call_end(&c);
	assert_false(c.failed);
	call_has(&c, "\"url\":\"/fn/beta/right\"");
	assert_null(strstr(c.text, "forged"));
	web_hello(&web, &host);
}

/* All of a machine's tenants would be cells for a minute after each list. */
static void
only_requests_keep_cells(void **state)
{
	struct call c;
	struct event e;

	(void)state;
	web_hello(&web, &host); /* acme's is used */
	call_open(&c, VERB_LIST, "");
	tenants_are(SPAN("acme\0beta\0"));
	listed(0, asked_for_list(0), SPAN("hello\0hello.sh\0\0cgi\0"));
	listed(1, asked_for_list(1), SPAN("hello\0hello.sh\0\0cgi\0"));
	call_end(&c);
	assert_false(c.failed);
	let_go(1);
	call_open(&c, VERB_PLAN, "beta");
	host_expect(&host, MESSAGE_PLAN_ASK, &e);
	assert_int_equal(e.index, 2);
	planned(2, &e);
	call_end(&c);
	let_go(2);
	web_hello(&web, &host);
	assert_int_equal(host.cell_count, 3);
	assert_true(host.cells[0] >= 0);
}

static void
a_request_finds_it_in_time(void **state)
{
	struct start s;
	struct call c;
	uint64_t ask;

	(void)state;
	call_open(&c, VERB_LIST, "acme");
	ask = asked_for_list(0);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	listed(0, ask, SPAN("hello\0hello.sh\0\0cgi\0"));
	call_end(&c);
	answer(&s);
	hello_comes(&web);
	web_hello(&web, &host);
	assert_int_equal(host.cell_count, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST("who lists all tenants waits for no silent cell",
		    others_are_listed_without_it),
		TEST("a cell that answers late is listed late",
		    late_is_not_never),
		TEST("a silent cell that is asked for its list is killed",
		    list_of_a_silent_cell),
		TEST("a silent cell that is asked for its plan is killed",
		    plan_of_a_silent_cell),
		TEST("when a cell ends the next one is asked",
		    the_next_cell_is_asked),
		TEST("... once", cells_end_again_and_again),
		TEST("a cell answers for its own tenant only",
		    nobody_answers_for_another),
		TEST("a cell that was only asked goes with its answer",
		    only_requests_keep_cells),
		TEST("... unless a request has come for it",
		    a_request_finds_it_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
