/* SPDX-License-Identifier: MIT */
/* If this fails, one tenant can starve the others, a limit is exceeded, or a
 * slot stays empty while somebody waits for it. */
#include "rows.h"

#include "gateway/admit.h"

enum { TENANTS = 4, TICKETS = 4000 };

static struct admit_host host;
static struct admit_tenant tenants[TENANTS];
static struct admit_function functions[TENANTS];
static struct admit_ticket tickets[TICKETS];

static void
setup_world(struct admit_limits host_limits, struct admit_limits tenant_limits,
    struct admit_limits function_limits)
{
	admit_host_init(&host, host_limits);
	for (size_t i = 0; i < TENANTS; i++) {
		admit_tenant_init(&tenants[i], &host, tenant_limits);
		admit_function_init(&functions[i], &tenants[i],
		    function_limits);
	}
	for (size_t i = 0; i < TICKETS; i++)
		admit_ticket_init(&tickets[i]);
}

static const struct bound_row {
	const char *sentence;
	struct admit_limits host, tenant, function;
	size_t asks;
	enum admit_answer last;
	uint64_t running, waiting;
} bounds[] = {
	{ "a free slot is granted at once", { 9, 9 }, { 9, 9 }, { 9, 9 }, 1,
	    ADMIT_GRANTED, 1, 0 },
	{ "the function's slots are the limit", { 9, 9 }, { 9, 9 }, { 2, 9 }, 3,
	    ADMIT_QUEUED, 2, 1 },
	{ "the tenant's slots are the limit", { 9, 9 }, { 2, 9 }, { 9, 9 }, 3,
	    ADMIT_QUEUED, 2, 1 },
	{ "the host's slots are the limit", { 2, 9 }, { 9, 9 }, { 9, 9 }, 3,
	    ADMIT_QUEUED, 2, 1 },
	{ "the function's queue is bounded", { 9, 9 }, { 9, 9 }, { 1, 2 }, 4,
	    ADMIT_FULL_FUNCTION, 1, 2 },
	{ "the tenant's queue is bounded", { 9, 9 }, { 9, 2 }, { 1, 9 }, 4,
	    ADMIT_FULL_TENANT, 1, 2 },
	{ "the host's queue is bounded", { 9, 2 }, { 9, 9 }, { 1, 9 }, 4,
	    ADMIT_FULL_HOST, 1, 2 },
	{ "a queue of nothing refuses at once", { 9, 9 }, { 9, 9 }, { 1, 0 }, 2,
	    ADMIT_FULL_FUNCTION, 1, 0 },
	{ "concurrency = 0 switches off", { 9, 9 }, { 9, 9 }, { 0, 9 }, 1,
	    ADMIT_SWITCHED_OFF, 0, 0 },
};

static void
test_bound(void **state)
{
	const struct bound_row *row = *state;
	enum admit_answer answer = ADMIT_GRANTED;

	setup_world(row->host, row->tenant, row->function);
	for (size_t i = 0; i < row->asks; i++)
		answer = admit_ask(&tickets[i], &functions[0], 0);
	assert_int_equal(answer, row->last);
	assert_int_equal(host.running, row->running);
	assert_int_equal(host.waiting, row->waiting);
	assert_null(admit_next(&host, 0));
}

static void
test_first_come(void **state)
{
	(void)state;
	setup_world((struct admit_limits){ 1, 9 },
	    (struct admit_limits){ 9, 9 }, (struct admit_limits){ 9, 9 });
	for (size_t i = 0; i < 4; i++)
		admit_ask(&tickets[i], &functions[0], 0);
	admit_leave(&tickets[2]);
	admit_leave(&tickets[2]);
	admit_give(&tickets[0], 10);
	assert_ptr_equal(admit_next(&host, 10), &tickets[1]);
	assert_null(admit_next(&host, 10));
	admit_give(&tickets[1], 20);
	assert_ptr_equal(admit_next(&host, 20), &tickets[3]);
	admit_give(&tickets[3], 30);
	assert_null(admit_next(&host, 30));
	assert_int_equal(host.waiting + host.running, 0);
}

static void
test_blocked_tenant_passed_over(void **state)
{
	(void)state;
	setup_world((struct admit_limits){ 3, 9 },
	    (struct admit_limits){ 1, 9 }, (struct admit_limits){ 9, 9 });
	admit_ask(&tickets[0], &functions[0], 0);
	admit_ask(&tickets[1], &functions[0], 0);
	assert_int_equal(admit_ask(&tickets[2], &functions[1], 0),
	    ADMIT_GRANTED);
	assert_null(admit_next(&host, 0));
	assert_int_equal(admit_ask(&tickets[3], &functions[2], 0),
	    ADMIT_GRANTED);
	admit_give(&tickets[0], 5);
	assert_ptr_equal(admit_next(&host, 5), &tickets[1]);
}

static void
test_functions_take_turns(void **state)
{
	struct admit_function other;

	(void)state;
	setup_world((struct admit_limits){ 1, 99 },
	    (struct admit_limits){ 9, 99 }, (struct admit_limits){ 9, 99 });
	admit_function_init(&other, &tenants[0],
	    (struct admit_limits){ 9, 99 });
	for (size_t i = 0; i < 4; i++)
		admit_ask(&tickets[i], &functions[0], 0);
	admit_ask(&tickets[4], &other, 0);
	admit_give(&tickets[0], 1);
	assert_ptr_equal(admit_next(&host, 1), &tickets[1]);
	admit_give(&tickets[1], 2);
	assert_ptr_equal(admit_next(&host, 2), &tickets[4]);
	admit_give(&tickets[4], 3);
	assert_ptr_equal(admit_next(&host, 3), &tickets[2]);
}

static const struct share_row {
	const char *sentence;
	uint64_t weight[TENANTS], backlog[TENANTS], cost_us[TENANTS];
	uint64_t slots;
	double share[TENANTS]; /* of the slot time handed out */
} shares[] = {
	{ "equal tenants get equal slot time", { 1, 1, 1, 1 },
	    { 900, 900, 900, 900 }, { 1000, 1000, 1000, 1000 }, 4,
	    { .25, .25, .25, .25 } },
	{ "a flood of one does not take the others' share", { 1, 1, 1, 1 },
	    { 1300, 900, 900, 0 }, { 1000, 1000, 1000, 1000 }, 4,
	    { .333, .333, .333, 0 } },
	{ "long invocations pay for the time they hold a slot", { 1, 1, 1, 1 },
	    { 900, 900, 0, 0 }, { 50000, 1000, 0, 0 }, 2, { .5, .5, 0, 0 } },
	{ "weights are shares", { 1, 2, 5, 0 }, { 900, 900, 900, 0 },
	    { 2000, 2000, 2000, 0 }, 4, { .125, .25, .625, 0 } },
};

/* Runs the wheel in made-up time until the first backlog is worked off, and
 * compares the slot time each tenant had. */
static void
test_share(void **state)
{
	const struct share_row *row = *state;
	uint64_t ends[TICKETS], used[TENANTS] = { 0 }, now = 0, total = 0;
	size_t owner[TICKETS], count = 0;
	bool worked_off = false;

	setup_world((struct admit_limits){ row->slots, TICKETS },
	    (struct admit_limits){ TICKETS, TICKETS },
	    (struct admit_limits){ TICKETS, TICKETS });
	for (size_t t = 0; t < TENANTS; t++) {
		tenants[t].weight = row->weight[t];
		for (uint64_t i = 0; i < row->backlog[t]; i++) {
			owner[count] = t;
			ends[count] = UINT64_MAX;
			if (admit_ask(&tickets[count], &functions[t], 0) ==
			    ADMIT_GRANTED)
				ends[count] = row->cost_us[t];
			count++;
		}
	}
	while (!worked_off) {
		struct admit_ticket *next;
		size_t first = 0;

		for (size_t i = 1; i < count; i++)
			if (ends[i] < ends[first])
				first = i;
		now = ends[first];
		ends[first] = UINT64_MAX;
		used[owner[first]] += row->cost_us[owner[first]];
		admit_give(&tickets[first], now);
		while ((next = admit_next(&host, now)) != NULL) {
			size_t i = (size_t)(next - tickets);

			ends[i] = now + row->cost_us[owner[i]];
		}
		assert_true(host.waiting == 0 || host.running == row->slots);
		for (size_t t = 0; t < TENANTS; t++)
			if (row->backlog[t] > 0 && tenants[t].waiting == 0)
				worked_off = true;
	}
	for (size_t t = 0; t < TENANTS; t++)
		total += used[t];
	for (size_t t = 0; t < TENANTS; t++) {
		double share = (double)used[t] / (double)total;

		if (share < row->share[t] * 0.9 ||
		    share > row->share[t] * 1.1 + 0.001)
			fail_msg("tenant %zu had %.3f of the slot time", t,
			    share);
	}
}

/* Any order of asks, gives and leaves keeps counts true and slots full. */
static void
test_random(void **state)
{
	uint64_t seed = rows_seed(), now = 0;

	(void)state;
	setup_world((struct admit_limits){ 5, 40 },
	    (struct admit_limits){ 3, 20 }, (struct admit_limits){ 3, 15 });
	for (size_t step = 0; step < 200000; step++) {
		struct admit_ticket *ticket = &tickets[rows_random(&seed, 99)];
		size_t tenant = (size_t)rows_random(&seed, TENANTS);
		uint64_t running = 0, waiting = 0;

		now += rows_random(&seed, 5000);
		if (ticket->state == ADMIT_OUT)
			admit_ask(ticket, &functions[tenant], now);
		else if (ticket->state == ADMIT_HOLDING)
			admit_give(ticket, now);
		else
			admit_leave(ticket);
		while (admit_next(&host, now))
			;
		for (size_t i = 0; i < TENANTS; i++) {
			running += tenants[i].running;
			waiting += tenants[i].waiting;
			assert_in_range(tenants[i].running, 0, 3);
			if (tenants[i].waiting > 0 && tenants[i].running < 3)
				assert_int_equal(host.running, 5);
		}
		assert_int_equal(running, host.running);
		assert_int_equal(waiting, host.waiting);
		assert_in_range(host.running, 0, 5);
	}
}

static void
test_retry_after(void **state)
{
	(void)state;
	setup_world((struct admit_limits){ 9, 999 },
	    (struct admit_limits){ 9, 999 }, (struct admit_limits){ 1, 999 });
	assert_in_range(admit_retry_after(&functions[0]), 1, 30);
	tenants[0].typical_us = 3000000;
	for (size_t i = 0; i < 100; i++)
		admit_ask(&tickets[i], &functions[0], 0);
	assert_int_equal(admit_retry_after(&functions[0]), 30);
}

int
main(void)
{
	static const struct CMUnitTest others[] = {
		{ "who came first is first, who left is not", test_first_come,
		    NULL, NULL, NULL },
		{ "a tenant whose slots are taken holds up nobody",
		    test_blocked_tenant_passed_over, NULL, NULL, NULL },
		{ "functions of a tenant take turns", test_functions_take_turns,
		    NULL, NULL, NULL },
		{ "counts stay true and no slot idles, whatever happens",
		    test_random, NULL, NULL, NULL },
		{ "Retry-After is a second at least and half a minute at most",
		    test_retry_after, NULL, NULL, NULL },
	};

	return RUN_ROWS(bounds, test_bound) + RUN_ROWS(shares, test_share) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
