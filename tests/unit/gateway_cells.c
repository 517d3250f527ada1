/* SPDX-License-Identifier: MIT */
/* If this fails, a request is lost when a cell dies or moves, or a cell, which
 * is its tenant's, gets the better of the gateway. */
#include "gateway_web.h"

static void (*configure)(struct config *) = few_of_all;

/* ---- cells -------------------------------------------------------------------------------- */

static void
cell_dies(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	fd_close(&host.cells[0]);
	seen(); /* so it is the cell's end, not only its launcher's */
	host_launcher_dies(&host, s.launcher);
	start_close(&s);
	web_end(&web);
	assert_true(web.ended);
	web_has(&web, "Status: 502 ");
	web_has(&web, "its cell ended");
	web_has_not(&web, "Retry-After");
	host_record(&host, "launcher-gone", 502);
	web_hello(&web, &host);
	assert_int_equal(host.heard[MESSAGE_TENANT_ASK], 2);
}

/* Nobody has read START: the next cell runs it. */
static void
cell_dies_before_reading(void **state)
{
	struct start s;
	struct pollfd p;

	(void)state;
	web_hello(&web, &host);
	web_get(&web, "/fn/acme/hello");
	p = (struct pollfd){ .fd = host.launchers[0].fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	fd_close(&host.cells[0]);
	host_launcher_dies(&host, 0);
	host_start(&host, &s);
	assert_int_equal(host.cell_count, 2);
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
}

/* That often, and it is no more than unlucky: it may be asked for again. */
static void
nobody_reads(void **state)
{
	struct pollfd p;
	size_t i;

	(void)state;
	web_hello(&web, &host);
	web_get(&web, "/fn/acme/hello");
	for (i = 0; i <= INVOCATION_RESENT_MOST; i++) {
		struct event e;

		p = (struct pollfd){ .fd = host.launchers[i].fd,
			.events = POLLIN };
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		host_launcher_dies(&host, i);
		if (i < INVOCATION_RESENT_MOST)
			host_expect(&host, MESSAGE_LAUNCHER_WANTED, &e);
	}
	host_record(&host, "cell-gone", 503);
	web_end(&web);
	web_has(&web, "Status: 503 ");
	web_has(&web, "Retry-After: 1\r\n");
	web_hello(&web, &host);
}

/* Only asked, nothing started: the next cell is asked the same. */
static void
cell_dies_while_asked(void **state)
{
	struct event e;
	struct start s;

	(void)state;
	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_RESOLVE, &e);
	host.silent = false;
	fd_close(&host.cells[0]);
	host_start(&host, &s);
	answer(&s);
	hello_comes(&web);
	assert_int_equal(host.cell_count, 2);
}

/* Asked before it is heard that it is gone. */
static void
cell_died_unheard(void **state)
{
	struct start s;

	(void)state;
	web_hello(&web, &host);
	kill(host.pid, SIGSTOP);
	assert_int_equal(waitpid(host.pid, NULL, WUNTRACED), host.pid);
	web_get(&web, "/fn/acme/other");
	fd_close(&host.cells[0]);
	kill(host.pid, SIGCONT);
	host_start(&host, &s);
	answer(&s);
	hello_comes(&web);
	assert_int_equal(host.cell_count, 2);
}

static void
cell_dies_again_and_again(void **state)
{
	struct event e;

	(void)state;
	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	for (int i = 0; i < 3; i++) {
		host_expect(&host, MESSAGE_RESOLVE, &e);
		fd_close(&host.cells[i]);
	}
	host_record(&host, "cell-gone", 503);
	web_end(&web);
	web_has(&web, "Status: 503 ");
	web_has(&web, "Retry-After: 1\r\n");
}

static void
cell_is_silent(void **state)
{
	(void)state;
	host.silent = true;
	refused("/fn/acme/hello", "Retry-After: 1\r\n", "did not answer",
	    "cell-gone");
	assert_int_equal(host.heard[MESSAGE_CELL_KILL], 1);
	fd_close(&host.cells[0]); /* master does */
	host.silent = false;
	web_hello(&web, &host);
}

static void
cell_could_not_be_made(void **state)
{
	struct message_tenant_none none = { .tenant = SPAN("acme"),
		.refused = 1,
		.reason = SPAN("mount: no such path /x") };
	struct event e;

	(void)state;
	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_RESOLVE, &e);
	host_send(&host, host.master, MESSAGE_TENANT_NONE, &none, NULL, 0);
	host_record(&host, "tenant-refused", 503);
	web_end(&web);
	web_has(&web, "no such path /x");
	host.silent = false;
	web_hello(&web, &host);
}

static void
directory_moved(void **state)
{
	struct event e;
	struct message_resolve ask;
	struct start s;

	(void)state;
	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_RESOLVE, &e);
	message_resolve_decode(e.body, &ask);
	ask.name = SPAN("hello");
	host.silent = false;
	host.outcome = RESOLVED_MOVED;
	host_resolved(&host, 0, &ask);
	host.outcome = RESOLVED_FOUND;
	host_start(&host, &s);
	assert_int_equal(host.cell_count, 2);
	answer(&s);
	hello_comes(&web);
}

/* Master has seen it: what runs may finish, what comes next has a new cell. */
static void
directory_moved_under_a_run(void **state)
{
	struct message_tenant_moved moved = { .tenant = SPAN("acme") };
	struct web other;
	struct start s, next;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_send(&host, host.master, MESSAGE_TENANT_MOVED, &moved, NULL, 0);
	seen();
	web_open(&other, &host);
	web_get(&other, "/fn/acme/hello");
	host_start(&host, &next);
	assert_int_equal(host.cell_count, 2);
	assert_int_not_equal(s.launcher, next.launcher);
	answer(&next);
	hello_comes(&other);
	web_close(&other);
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
	host_record(&host, "done", 200);
	moved.tenant = SPAN("nobody");
	host_send(&host, host.master, MESSAGE_TENANT_MOVED, &moved, NULL, 0);
	web_hello(&web, &host);
}

/* ---- cells and launchers are a tenant's user ---------------------------------- */

static void
lies(const struct message_resolved *lie)
{
	struct event e;
	struct message_resolve ask;
	struct message_resolved m = *lie;
	struct start s;

	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_RESOLVE, &e);
	message_resolve_decode(e.body, &ask);
	m.ask = ask.ask;
	host.silent = false;
	host_send(&host, host.cells[0], MESSAGE_RESOLVED, &m, NULL, 0);
	/* the cell is closed, and the next one asked */
	host_start(&host, &s);
	assert_int_equal(host.cell_count, 2);
	assert_int_equal(host.cells[0], -1);
	answer(&s);
	hello_comes(&web);
}

static void
another_name(void **state)
{
	(void)state;
	lies(&(struct message_resolved){ .outcome = RESOLVED_FOUND,
	    .name = SPAN("other"),
	    .file = SPAN("hello") });
}

static void
long_name(void **state)
{
	static char much[60000];

	(void)state;
	memset(much, 'x', sizeof(much));
	lies(&(struct message_resolved){ .outcome = RESOLVED_FOUND,
	    .name = span_make(much, sizeof(much)),
	    .file = SPAN("hello") });
}

static void
file_with_nul(void **state)
{
	(void)state;
	lies(&(struct message_resolved){ .outcome = RESOLVED_FOUND,
	    .name = SPAN("hello"),
	    .file = SPAN("a\0LD_PRELOAD=x") });
}

static void
no_such_outcome(void **state)
{
	(void)state;
	lies(&(struct message_resolved){ .outcome = 77 });
}

static void
settings_out_of_range(void **state)
{
	struct event e;
	struct message_resolve ask;
	struct message_resolved m = { .outcome = RESOLVED_FOUND,
		.name = SPAN("hello"),
		.file = SPAN("hello"),
		.settings = SPAN("\377\377\377\377\377\377\377") };

	(void)state;
	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_RESOLVE, &e);
	message_resolve_decode(e.body, &ask);
	m.ask = ask.ask;
	host_send(&host, host.cells[0], MESSAGE_RESOLVED, &m, NULL, 0);
	host_record(&host, "refused", 503);
	web_end(&web);
	host.silent = false;
	web_hello(&web, &host);
}

static void
no_such_end(void **state)
{
	static const struct message_ended lies[] = {
		{ .how = 9, .error = 1, .step = 1 },
		{ .how = ENDED_NOT_STARTED, .error = EACCES, .step = 99 },
		{ .how = ENDED_NOT_STARTED, .error = 123456, .step = 7 },
		{ .how = ENDED_EXITED, .wait_status = 0x7f7f7f7f },
		{ .how = ENDED_EXITED,
		    .started_us = UINT64_MAX,
		    .ended_us = 1 },
	};
	struct start s;

	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		web_get(&web, "/fn/acme/hello");
		host_start(&host, &s);
		host_ended(&host, &s, lies[i]);
		web_end(&web);
		assert_true(web.ended);
		web_has(&web, "Status: 502 ");
		web_forget(&web);
	}
	web_hello(&web, &host);
}

/* An end that is nobody's, twice, or of another. */
static void
ends_of_nobody(void **state)
{
	struct message_ended m = { .how = ENDED_EXITED };
	struct message_exited exited = { .invocation = 99 };
	struct start s;

	(void)state;
	web_hello(&web, &host);
	host_send(&host, host.launchers[0].fd, MESSAGE_ENDED, &m, NULL, 0);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	m.invocation = s.invocation + 1;
	host_send(&host, host.launchers[0].fd, MESSAGE_ENDED, &m, NULL, 0);
	host_send(&host, host.launchers[0].fd, MESSAGE_EXITED, &exited, NULL,
	    0);
	m.invocation = s.invocation;
	answer(&s);
	host_send(&host, host.launchers[0].fd, MESSAGE_ENDED, &m, NULL, 0);
	hello_comes(&web);
	web_hello(&web, &host);
}

/* What is given as a launcher's channel may be any descriptor. */
static void
launcher_is_a_file(void **state)
{
	struct event e;
	struct message_launcher m = { .launcher = 0 };
	int fd = open("/dev/null", O_RDWR);
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	do {
		host_event(&host, &e);
		if (e.type == MESSAGE_LAUNCHER_WANTED)
			break;
		host_react(&host, &e);
	} while (true);
	host_send(&host, host.cells[0], MESSAGE_LAUNCHER, &m, &fd, 1);
	close(fd);
	host_start(&host, &s);
	answer(&s);
	hello_comes(&web);
}

/* A channel is shared with who made it: he can make it block, and never read.
 * Other tenants do not notice. */
static void
channel_made_blocking(void **state)
{
	enum { ENOUGH = 700 };
	char target[32];
	int cell;

	(void)state;
	host.keep_ends = true;
	web_hello(&web, &host);
	host.keep_ends = false;
	assert_int_equal(fd_nonblock(host.kept_end, false), 0);
	cell = host.cells[0];
	host.cells[0] = -1; /* we do not listen any more */
	for (int i = 0; i < ENOUGH; i++) {
		snprintf(target, sizeof(target), "/fn/acme/f%d", i);
		web_get(&web, target);
		fcgi_put_abort(&web.send, 1);
		web_flush(&web);
		web_end(&web);
		assert_true(web.ended);
	}
	web_known(&web, &host, "/fn/beta/hello");
	close(cell);
	close(host.kept_end);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST("a cell that dies takes its runs with it", cell_dies),
		TEST("a cell that dies before START was read costs nobody",
		    cell_dies_before_reading),
		TEST("launchers that die before they read, again and again",
		    nobody_reads),
		TEST("a cell that dies while asked costs nobody",
		    cell_dies_while_asked),
		TEST("nor does one that had died just before",
		    cell_died_unheard),
		TEST("a cell that dies again and again is an answer",
		    cell_dies_again_and_again),
		TEST("a cell that does not answer is one too", cell_is_silent),
		TEST("a cell that could not be made says why",
		    cell_could_not_be_made),
		TEST("a directory that moved gets a new cell", directory_moved),
		TEST("a directory that moved under a run lets it finish",
		    directory_moved_under_a_run),
		TEST("an answer about another name closes the cell",
		    another_name),
		TEST("an answer with a long name closes the cell", long_name),
		TEST("an answer with NUL in a file closes the cell",
		    file_with_nul),
		TEST("an answer of no kind closes the cell", no_such_outcome),
		TEST("settings that are none are refused",
		    settings_out_of_range),
		TEST("a launcher may say any end", no_such_end),
		TEST("a launcher may end what is not its", ends_of_nobody),
		TEST("a launcher may be a file", launcher_is_a_file),
		TEST("a channel may be made to block", channel_made_blocking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
