/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant gets more than its plan says, or is not told which plan
 * and which limit it reached. */
#include "gateway_web.h"

#include "config/options.h"

static struct grant *
a_plan(struct config *c)
{
	struct grant *plan = grants_add(&c->plans);

	assert_non_null(plan);
	free(plan->name);
	plan->name = strdup("small");
	free(c->plan);
	c->plan = strdup("small");
	return plan;
}

/* ---- rate ------------------------------------------------------------------------- */

static void
two_and_then_one_a_second(struct config *c)
{
	struct grant *plan = a_plan(c);

	plan->rate = 1;
	plan->burst = 2;
}

/* Each test has a gateway of its own kind. */
static void
with(void (*wanted)(struct config *))
{
	configure = wanted;
	setup(NULL);
}

static void
rate(void **state)
{
	(void)state;
	with(two_and_then_one_a_second);
	web_hello(&web, &host);
	web_hello(&web, &host);
	web_get(&web, "/fn/acme/hello");
	web_end(&web);
	web_has(&web, "Status: 429 Too Many Requests\r\n");
	web_has(&web, "\r\nRetry-After: 1\r\n");
	web_has(&web, "its rate = 1 a second of plan small allows");
	web_forget(&web);
	host_record(&host, "rate", 429);
	assert_int_equal(host.heard[MESSAGE_START], 2);
}

/* ---- running time ------------------------------------------------------------------- */

static void
a_thousandth_of_a_second_an_hour(struct config *c)
{
	a_plan(c)->running = 1;
}

/* What runs goes on, what comes is refused for as long as it takes to earn what
 * was used: an hour at most. */
static void
running(void **state)
{
	uint64_t began_us;
	struct web other;
	struct start s;
	const char *at;

	(void)state;
	with(a_thousandth_of_a_second_an_hour);
	web_open(&other, &host);
	web_get(&other, "/fn/acme/hello");
	host_start(&host, &s);
	for (began_us = clock_us(); clock_us() - began_us < 1500;)
		seen();
	web_get(&web, "/fn/acme/hello");
	web_end(&web);
	web_has(&web, "Status: 429 Too Many Requests\r\n");
	web_has(&web, "used up their running = 1 ms an hour of plan small");
	at = strstr(web.text, "\r\nRetry-After: ");
	assert_non_null(at);
	/* between half a thousandth and all that may be owed */
	assert_in_range(strtoul(at + 15, NULL, 10), 1800, 3604);
	web_forget(&web);
	host_record(&host, "running", 429);
	answer(&s);
	hello_comes(&other);
	web_close(&other);
	assert_int_equal(host.heard[MESSAGE_START], 1);
}

/* Who waited for a slot is refused as well: others used it up meanwhile. */
static void
one_slot_and_little_time(struct config *c)
{
	a_thousandth_of_a_second_an_hour(c);
	c->slots_host = 1;
}

static void
running_while_it_waited(void **state)
{
	uint64_t began_us;
	struct web other;
	struct start s;

	(void)state;
	with(one_slot_and_little_time);
	web_open(&other, &host);
	web_get(&other, "/fn/acme/hello");
	host_start(&host, &s);
	web_get(&web, "/fn/acme/hello");
	seen();
	for (began_us = clock_us(); clock_us() - began_us < 1500;)
		seen();
	answer(&s);
	hello_comes(&other);
	web_close(&other);
	host_record(&host, "running", 429);
	web_end(&web);
	web_has(&web, "Status: 429 ");
	web_forget(&web);
	assert_int_equal(host.heard[MESSAGE_START], 1);
}

/* ---- what its functions are given ------------------------------------------------------ */

static void
short_and_few(struct config *c)
{
	struct grant *plan = a_plan(c);

	plan->limits[LIMIT_time] = 7000;
	plan->maximum[LIMIT_processes] = 40;
	plan->processes = 20;
	plan->queue = 0;
	plan->slots = 1;
	if (strings_add(&plan->env, SPAN("PLAN=small")) != 0)
		abort();
}

static void
given(void **state)
{
	struct web other;
	struct start s;

	(void)state;
	with(short_and_few);
	web_open(&other, &host);
	web_get(&other, "/fn/acme/hello");
	host_start(&host, &s);
	assert_int_equal(s.time_us, 7000000);
	assert_int_equal(s.message.processes, 20);
	assert_string_equal(start_env(&s, "PLAN"), "small");
	web_get(&web, "/fn/acme/hello");
	web_end(&web);
	web_has(&web, "queue is full (queue.tenant = 0 of plan small)");
	web_forget(&web);
	host_record(&host, "queue-full", 503);
	host_killed(&host, &s, SIGALRM, 7000000);
	web_end(&other);
	web_has(&other, "reached limits.time = 7 s of plan small");
	web_close(&other);
	host_record(&host, "time", 504);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(rate, teardown),
		cmocka_unit_test_teardown(running, teardown),
		cmocka_unit_test_teardown(running_while_it_waited, teardown),
		cmocka_unit_test_teardown(given, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
