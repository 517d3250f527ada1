/* SPDX-License-Identifier: MIT */
/* If this fails, a function that is to be forked is not, or a request is lost when
 * its template is: dead, stopped, too slow, or of a file that has changed. The test
 * is the launcher: it is told what to fork, and says that a template is ready by
 * writing to its standard output. */
#include "gateway_web.h"

#include "gateway/template.h"
#include "wire/template.h"

static void
some(struct config *c)
{
	few_of_all(c);
	c->slots_host = c->slots_tenant = 6;
	c->slots_function = 4;
	c->queue_function = c->queue_tenant = 8;
	c->limits[LIMIT_queue] = 5000;
	c->limits[LIMIT_warm] = 60000;
	c->launcher_idle = 60000;
	c->cell_idle = 60000;
}

static void
one_slot(struct config *c)
{
	some(c);
	c->slots_tenant = 1;
}

static void
two_slots(struct config *c)
{
	some(c);
	c->slots_tenant = 2;
}

static void
forked(void)
{
	settings_release(&host.settings);
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->start = START_FORK;
	host.version = 1;
}

static int
set_up(void **state, void (*tweak)(struct config *))
{
	configure = tweak;
	setup(state);
	forked();
	return 0;
}

static int
setup_some(void **state)
{
	return set_up(state, some);
}

static int
setup_one_slot(void **state)
{
	return set_up(state, one_slot);
}

static int
setup_two_slots(void **state)
{
	return set_up(state, two_slots);
}

#define TEMPLATE_TEST(words, function) TEST_AFTER(setup_some, words, function)

static struct start swap;

static void
says_ready(const struct start *template)
{
	start_write(template, TEMPLATE_READY);
}

/* A request that is executed, with the template it wants: on which launcher each
 * is, and so which is heard first, is all the same. */
static void
first(struct start *template, const char *target)
{
	static struct start s;

	web_get(&web, target);
	host_start(&host, &s);
	host_start(&host, template);
	if (s.message.template == START_TEMPLATE) {
		swap = s;
		s = *template;
		*template = swap;
	}
	assert_int_equal(s.message.template, START_EXECUTED);
	assert_int_equal(template->message.template, START_TEMPLATE);
	assert_int_not_equal(template->launcher, s.launcher);
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
}

static void
warmed(struct start *template)
{
	first(template, "/fn/acme/hello");
	says_ready(template);
	seen();
}

/* The next one is asked for, in a connection of its own, and forked. */
static void
asks(struct web *w, struct start *s, const struct start *template)
{
	web_get(w, "/fn/acme/hello");
	host_start(&host, s);
	assert_int_equal(s->message.template, START_FORKED);
	assert_int_equal(s->launcher, template->launcher);
}

static void
is_executed(void)
{
	struct start s;

	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	assert_int_equal(s.message.template, START_EXECUTED);
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
}

static void
is_stopped(const struct start *s)
{
	struct event e;

	do
		host_expect(&host, MESSAGE_STOP, &e);
	while (host.stop.signal != SIGTERM);
	assert_int_equal(host.stop.invocation, (uint32_t)s->invocation);
}

/* ---- what happens ----------------------------------------------------------- */

static void
first_and_next(void **state)
{
	struct start template, s;

	(void)state;
	first(&template, "/fn/acme/hello");
	assert_int_equal(template.in, -1);
	assert_string_equal(start_env(&template, "FN_TEMPLATE"), "1");
	assert_null(start_env(&template, "FN_WORKER"));
	assert_null(start_env(&template, "FN_TOKEN"));
	assert_null(start_env(&template, "REQUEST_METHOD"));
	assert_int_equal(template.message.time_us, 0);
	assert_int_equal(template.message.cpu_s, 0);
	is_executed(); /* as long as it is not ready */
	says_ready(&template);
	seen();
	for (int i = 0; i < 3; i++) {
		asks(&web, &s, &template);
		assert_string_equal(start_env(&s, "REQUEST_METHOD"), "GET");
		assert_null(start_env(&s, "FN_TEMPLATE"));
		assert_true(s.message.time_us > 0);
		answer(&s);
		hello_comes(&web);
		host_record(&host, "done", 200);
	}
	assert_int_equal(host.launcher_count, 2);
}

static void
several_at_once(void **state)
{
	struct start template, s[3];
	struct web others[3];

	(void)state;
	warmed(&template);
	for (int i = 0; i < 3; i++) {
		web_open(&others[i], &host);
		asks(&others[i], &s[i], &template);
	}
	for (int i = 2; i >= 0; i--) {
		char text[64];

		snprintf(text, sizeof(text), "Status: 200 OK\n\nthis is %d\n",
		    i);
		start_write(&s[i], text);
		host_exit(&host, &s[i], 0);
	}
	for (int i = 0; i < 3; i++) {
		char text[32];

		web_end(&others[i]);
		snprintf(text, sizeof(text), "\r\n\r\nthis is %d\n", i);
		web_has(&others[i], text);
		web_close(&others[i]);
	}
	assert_int_equal(host.launcher_count, 2);
	assert_int_equal(host.heard[MESSAGE_STOP], 0);
}

/* Its own number, not the template's. */
static void
over_time(void **state)
{
	struct start template, s;

	(void)state;
	host.settings->limits[LIMIT_time] = 100;
	warmed(&template);
	asks(&web, &s, &template);
	is_stopped(&s);
	host_killed(&host, &s, SIGTERM, 200000);
	web_end(&web);
	web_has(&web, "Status: 504 ");
	web_forget(&web);
	host_record(&host, "time", 504);
	asks(&web, &s, &template);
	answer(&s);
	hello_comes(&web);
}

static void
crashes(void **state)
{
	struct start template, s;

	(void)state;
	warmed(&template);
	asks(&web, &s, &template);
	host_killed(&host, &s, SIGSEGV, 1000);
	web_end(&web);
	web_has(&web, "Status: 502 ");
	web_forget(&web);
	asks(&web, &s, &template);
	answer(&s);
	hello_comes(&web);
}

static void
does_not_fork(void **state)
{
	struct start template, s;

	(void)state;
	warmed(&template);
	asks(&web, &s, &template);
	not_started(&s, ENDED_NO_TEMPLATE, EAGAIN, PROC_STARTED);
	host_start(&host, &s);
	assert_int_equal(s.message.template, START_EXECUTED);
	answer(&s);
	hello_comes(&web);
	assert_int_equal(host.stop.invocation, (uint32_t) template.invocation);
	assert_int_equal(host.stop.signal, SIGTERM);
	host_killed(&host, &template, SIGTERM, 1000);
	is_executed(); /* and no other is made so soon */
	is_executed();
	assert_int_equal(host.launcher_count, 2);
}

/* Its launcher says so only when what it made is over. */
static void
dies_at_work(void **state)
{
	struct start template, s[2];
	struct web other;

	(void)state;
	warmed(&template);
	asks(&web, &s[0], &template);
	web_open(&other, &host);
	asks(&other, &s[1], &template);
	not_started(&s[1], ENDED_NO_TEMPLATE, 0, PROC_STARTED);
	host_start(&host, &s[1]);
	assert_int_equal(s[1].message.template, START_EXECUTED);
	answer(&s[1]);
	hello_comes(&other);
	assert_int_equal(host.heard[MESSAGE_STOP], 0);
	answer(&s[0]);
	hello_comes(&web);
	host_killed(&host, &template, SIGKILL, 1000);
	is_executed();
	web_close(&other);
}

static void
dies_idle(void **state)
{
	struct start template;

	(void)state;
	warmed(&template);
	host_killed(&host, &template, SIGSEGV, 1000);
	seen();
	is_executed();
	is_executed();
}

/* Which it asks for by itself, with what is executed: is there a START? */
static bool
is_started(int wait_ms)
{
	struct pollfd polled[LAUNCHERS_MOST];

	for (size_t i = 0; i < host.launcher_count; i++)
		polled[i] = (struct pollfd){ .fd = host.launchers[i].fd,
			.events = POLLIN };
	return poll(polled, host.launcher_count, wait_ms) > 0;
}

/* One after the other: each pause is twice as long. */
static void
dies_young(void **state)
{
	struct start template, s;
	uint64_t begun_ms, ms[2];

	(void)state;
	first(&template, "/fn/acme/hello");
	for (int i = 0; i < 2; i++) {
		begun_ms = clock_ms();
		host_exit(&host, &template, 3);
		seen();
		for (;;) {
			web_get(&web, "/fn/acme/hello");
			host_start(&host, &s);
			if (s.message.template == START_TEMPLATE)
				break;
			answer(&s);
			hello_comes(&web);
			if (is_started(20))
				break;
		}
		ms[i] = clock_ms() - begun_ms;
		host_start(&host, &template);
		if (s.message.template == START_TEMPLATE) {
			swap = s;
			s = template;
			template = swap;
			answer(&s);
			hello_comes(&web);
		}
		assert_int_equal(template.message.template, START_TEMPLATE);
	}
	assert_in_range(ms[0], 1000, 1900);
	assert_in_range(ms[1], 2000, 4000);
}

static void
never_ready(void **state)
{
	struct start template;

	(void)state;
	host.settings->limits[LIMIT_start] = 50;
	first(&template, "/fn/acme/hello");
	is_stopped(&template);
	says_ready(&template); /* too late */
	host_killed(&host, &template, SIGTERM, 1000);
	is_executed();
}

/* What was made of the old one goes on; it is asked to end behind that. */
static void
file_changes(void **state)
{
	struct start template, next, s[2];
	struct web other;

	(void)state;
	warmed(&template);
	asks(&web, &s[0], &template);
	web_open(&other, &host);
	asks(&other, &s[1], &template);
	host.version = 2;
	not_started(&s[1], ENDED_STALE, 0, PROC_STARTED);
	host_start(&host, &s[1]);
	assert_int_equal(s[1].message.template, START_EXECUTED);
	host_start(&host, &next);
	assert_int_equal(next.message.template, START_TEMPLATE);
	answer(&s[1]);
	hello_comes(&other);
	says_ready(&next);
	seen();
	assert_int_equal(host.heard[MESSAGE_STOP], 0);
	answer(&s[0]);
	hello_comes(&web);
	is_stopped(&template);
	host_killed(&host, &template, SIGTERM, 1000);
	asks(&web, &s[0], &next);
	answer(&s[0]);
	hello_comes(&web);
	web_close(&other);
}

static void
launcher_dies(void **state)
{
	struct start template, s[2];
	struct web other;

	(void)state;
	warmed(&template);
	asks(&web, &s[0], &template);
	web_open(&other, &host);
	asks(&other, &s[1], &template);
	host_launcher_dies(&host, template.launcher);
	web_end(&web);
	web_has(&web, "Status: 502 ");
	web_forget(&web);
	web_end(&other);
	web_has(&other, "Status: 502 ");
	is_executed();
	web_close(&other);
}

/* A launcher is a tenant's user. */
static void
what_was_executed_has_no_template(void **state)
{
	struct start s;

	(void)state;
	host.settings->start = START_EXEC;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	not_started(&s, ENDED_NO_TEMPLATE, 0, PROC_STARTED);
	web_end(&web);
	web_has(&web, "Status: 502 ");
}

static void
goes_when_idle(void **state)
{
	struct start template, s;

	(void)state;
	host.settings->limits[LIMIT_warm] = 1;
	warmed(&template);
	asks(&web, &s, &template);
	answer(&s);
	hello_comes(&web);
	is_stopped(&template);
	host_exit(&host, &template, 0);
	first(&template, "/fn/acme/hello"); /* it was no fault: at once */
}

static void
none_with_one_slot(void **state)
{
	(void)state;
	is_executed();
	is_executed();
	assert_int_equal(host.launcher_count, 1);
}

/* Two other functions have both slots. */
static void
makes_room(void **state)
{
	struct start template, s[2];
	struct web other;

	(void)state;
	warmed(&template);
	host.settings->start = START_EXEC;
	web_get(&web, "/fn/acme/one");
	host_start(&host, &s[0]);
	web_open(&other, &host);
	web_get(&other, "/fn/acme/two");
	is_stopped(&template);
	host_exit(&host, &template, 0);
	host_start(&host, &s[1]);
	assert_int_equal(host.launcher_count, 2);
	answer(&s[0]);
	answer(&s[1]);
	hello_comes(&web);
	hello_comes(&other);
	web_close(&other);
}

/* Its listener is what it gets, and it is told that it is one. */
static void
workers_are_forked(void **state)
{
	struct start template, s;

	(void)state;
	warmed(&template);
	host.settings->protocol = PROTOCOL_FASTCGI;
	host.settings->requests = 1;
	host.version = 2;
	asks(&web, &s, &template);
	not_started(&s, ENDED_STALE, 0, PROC_STARTED);
	is_stopped(&template);
	host_exit(&host, &template, 0);
	host_start(&host, &s);
	assert_int_equal(s.message.template, START_EXECUTED);
	assert_string_equal(start_env(&s, "FN_WORKER"), "1");
	host_start(&host, &template);
	assert_int_equal(template.message.template, START_TEMPLATE);
	says_ready(&template);
	seen();
	host_exit(&host, &s, 1); /* it takes nothing: tried once more */
	host_start(&host, &s);
	assert_int_equal(s.message.template, START_FORKED);
	assert_string_equal(start_env(&s, "FN_WORKER"), "1");
	assert_true(s.in >= 0);
	not_started(&s, ENDED_NO_TEMPLATE, 0, PROC_STARTED);
	host_start(&host, &s);
	assert_int_equal(s.message.template, START_EXECUTED);
	host_exit(&host, &s, 1);
	web_end(&web);
	web_has(&web, "Status: 502 ");
}

static void
cell_ends(void **state)
{
	struct message_tenant_moved moved = { .tenant = SPAN("acme") };
	struct start template, s;

	(void)state;
	warmed(&template);
	asks(&web, &s, &template);
	host_send(&host, host.master, MESSAGE_TENANT_MOVED, &moved, NULL, 0);
	seen();
	assert_int_equal(host.heard[MESSAGE_STOP], 0);
	answer(&s);
	hello_comes(&web);
	is_stopped(&template);
	host_exit(&host, &template, 0);
	first(&template, "/fn/acme/hello");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEMPLATE_TEST("the first is executed, the next are forked",
		    first_and_next),
		TEMPLATE_TEST("several are forked at once", several_at_once),
		TEMPLATE_TEST("one over its time is ended, and it alone",
		    over_time),
		TEMPLATE_TEST("one that crashes is 502", crashes),
		TEMPLATE_TEST("a template that does not fork is stopped, the "
			      "request executed",
		    does_not_fork),
		TEMPLATE_TEST("a template dies while others run", dies_at_work),
		TEMPLATE_TEST("a template dies while none runs", dies_idle),
		TEMPLATE_TEST("templates that die young come seldom",
		    dies_young),
		TEMPLATE_TEST("a template has limits.start to be ready",
		    never_ready),
		TEMPLATE_TEST("a changed file has another template",
		    file_changes),
		TEMPLATE_TEST("a launcher dies with all it has", launcher_dies),
		TEMPLATE_TEST("what was executed was not to be forked",
		    what_was_executed_has_no_template),
		TEMPLATE_TEST("a template nobody needs goes", goes_when_idle),
		TEST_AFTER(setup_one_slot, "a tenant of one slot has none",
		    none_with_one_slot),
		TEST_AFTER(setup_two_slots, "an idle template makes room",
		    makes_room),
		TEMPLATE_TEST("workers are forked, too", workers_are_forked),
		TEMPLATE_TEST("its cell leaves, and so does it", cell_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
