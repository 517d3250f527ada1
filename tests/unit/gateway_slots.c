/* SPDX-License-Identifier: MIT */
/* If this fails, launchers that die lose requests, a run outlives its limit, or
 * somebody waits who should not. */
#include "gateway_web.h"

static void (*configure)(struct config *) = few_of_all;

/* ---- launchers ---------------------------------------------------------------------- */

static void
launcher_dies(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_launcher_dies(&host, s.launcher);
	start_close(&s);
	web_end(&web);
	web_has(&web, "Status: 502 ");
	web_has(&web, "launcher-gone");
	host_record(&host, "launcher-gone", 502);
	web_hello(&web, &host);
}

static void
launcher_dies_in_the_middle(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	start_write(&s, "Content-Type: text/plain\n\nhalf");
	web_until(&web, "half");
	host_launcher_dies(&host, s.launcher);
	start_close(&s);
	web_end(&web);
	assert_false(web.ended);
	host_record(&host, "launcher-gone", 200);
}

/* It died without reading START: nothing was run, another may run it. */
static void
launcher_dies_before_reading(void **state)
{
	struct start s;
	struct pollfd p;

	(void)state;
	web_hello(&web, &host);
	web_get(&web, "/fn/acme/hello");
	p = (struct pollfd){ .fd = host.launchers[0].fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	host_launcher_dies(&host, 0);
	host_start(&host, &s);
	assert_int_equal(s.launcher, 1);
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
}

static void
no_launcher(void **state)
{
	struct event e;

	(void)state;
	host.no_launcher = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_ACCESS, &e);
	web_end(&web);
	web_has(&web, "Status: 503 ");
	host.no_launcher = false;
	web_hello(&web, &host);
}

/* Idle launchers end, then idle cells, and nothing of the tenant is kept; all
 * comes again. */
static void
idle(void **state)
{
	struct pollfd p;
	char byte;

	(void)state;
	web_hello(&web, &host);
	p = (struct pollfd){ .fd = host.launchers[0].fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(p.fd, &byte, 1, 0), 0);
	p.fd = host.cells[0];
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(p.fd, &byte, 1, 0), 0);
	web_hello(&web, &host);
	assert_int_equal(host.heard[MESSAGE_TENANT_ASK], 2);
	assert_int_equal(host.heard[MESSAGE_RESOLVE], 2);
}

/* ---- time ------------------------------------------------------------------------------ */

/* TERM, grace, KILL, confirmation, the cell, and on without it. */
static void
every_step_to_the_end(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->limits[LIMIT_time] = 20;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGTERM);
	assert_int_equal(host.stop.invocation, s.invocation);
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGKILL);
	host_expect(&host, MESSAGE_CELL_KILL, &e);
	web_end(&web);
	web_has(&web, "Status: 504 ");
	web_has(&web, "limits.time = 20");
	host_record(&host, "time", 504);
	start_close(&s);
	web_hello(&web, &host);
}

/* Who catches the alarm may finish, and is believed. */
static void
finishes_in_grace(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->limits[LIMIT_time] = 20;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_expect(&host, MESSAGE_STOP, &e);
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
}

static void
ends_in_grace_without_a_word(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->limits[LIMIT_time] = 20;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_expect(&host, MESSAGE_STOP, &e);
	host_exit(&host, &s, 0);
	web_end(&web);
	web_has(&web, "Status: 504 ");
	host_record(&host, "time", 504);
}

/* ---- slots ------------------------------------------------------------------------------ */

static void
slots_and_queue(void **state)
{
	struct web webs[5];
	struct start first, second, s;

	(void)state;
	web_hello(&web, &host);
	for (int i = 0; i < 5; i++) {
		web_open(&webs[i], &host);
		web_get(&webs[i], "/fn/acme/hello");
	}
	/* two run, two wait, one is turned away; which is not ours to say */
	host_start(&host, &first);
	host_start(&host, &second);
	answer(&first);
	host_start(&host, &s);
	answer(&second);
	host_start(&host, &first);
	answer(&s);
	answer(&first);
	unsigned full = 0;
	for (int i = 0; i < 5; i++) {
		web_end(&webs[i]);
		if (strstr(webs[i].text, "Status: 503 ")) {
			web_has(&webs[i], "Retry-After: ");
			web_has(&webs[i], "queue.function = 2");
			full++;
		} else
			web_has(&webs[i], "hello");
		web_close(&webs[i]);
	}
	assert_int_equal(full, 1);
	assert_true(host.launcher_count <= 2);
}

static void
waited_too_long(void **state)
{
	struct web webs[3];
	struct start a, b;

	(void)state;
	for (int i = 0; i < 3; i++)
		web_open(&webs[i], &host);
	web_get(&webs[0], "/fn/acme/hello");
	host_start(&host, &a);
	web_get(&webs[1], "/fn/acme/hello");
	host_start(&host, &b);
	web_get(&webs[2], "/fn/acme/hello");
	web_end(&webs[2]);
	web_has(&webs[2], "Status: 503 ");
	web_has(&webs[2], "limits.queue");
	web_has(&webs[2], "Retry-After: ");
	answer(&a);
	answer(&b);
	hello_comes(&webs[0]);
	hello_comes(&webs[1]);
	for (int i = 0; i < 3; i++)
		web_close(&webs[i]);
}

/* Whoever waits and goes away leaves nothing behind. */
static void
gone_while_waiting(void **state)
{
	struct web other, third;
	struct start a, b;

	(void)state;
	web_open(&other, &host);
	web_open(&third, &host);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &a);
	web_get(&other, "/fn/acme/hello");
	host_start(&host, &b);
	web_get(&third, "/fn/acme/hello");
	web_close(&third);
	host_record(&host, "client-gone", 0);
	answer(&a);
	answer(&b);
	hello_comes(&web);
	hello_comes(&other);
	web_close(&other);
	assert_int_equal(host.heard[MESSAGE_START], 2);
}

static void
switched_off(void **state)
{
	(void)state;
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->concurrency = 0;
	refused("/fn/acme/hello", "Status: 503 ", "switched off",
	    "switched-off");
	/* nothing is started, so nothing is compared: it is asked for */
	settings_release(&host.settings);
	web_hello(&web, &host);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST("a launcher that dies is a 502", launcher_dies),
		TEST("a launcher that dies in mid-reply breaks it",
		    launcher_dies_in_the_middle),
		TEST("a launcher that dies before it read loses nothing",
		    launcher_dies_before_reading),
		TEST("no launcher to be had is 503", no_launcher),
		TEST("idle launchers and cells end and come again", idle),
		TEST("T1: every step to the end of a run",
		    every_step_to_the_end),
		TEST("T1: who finishes within grace is believed",
		    finishes_in_grace),
		TEST("T1: who ends within grace without a word is 504",
		    ends_in_grace_without_a_word),
		TEST("as many run as slots, as many wait as may",
		    slots_and_queue),
		TEST("who waits for limits.queue is told so", waited_too_long),
		TEST("who goes while waiting leaves nothing",
		    gone_while_waiting),
		TEST("concurrency 0 switches off", switched_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
