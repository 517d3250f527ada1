/* SPDX-License-Identifier: MIT */
/* If this fails, one tenant can starve the others, a limit is exceeded, or a
 * slot stays empty while somebody waits for it. */
#include "rows.h"

#include "gateway/admit.h"

enum { TENANTS = 4, TICKETS = 14000 };

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
	bool varied; /* costs are that much on average only */
} shares[] = {
	{ "equal tenants get equal shares", { 100, 100, 100, 100 },
	    { 900, 900, 900, 900 }, { 1000, 1000, 1000, 1000 }, 4, false },
	{ "a flood of one does not take the others' share",
	    { 100, 100, 100, 100 }, { 1300, 900, 900, 0 },
	    { 1000, 1000, 1000, 1000 }, 4, false },
	{ "weights are shares", { 100, 200, 500, 0 }, { 400, 800, 2000, 0 },
	    { 2000, 2000, 2000, 0 }, 4, false },
	{ "they may be far apart", { 1, 100, 0, 0 }, { 30, 3000, 0, 0 },
	    { 2000, 2000, 0, 0 }, 3, false },
	{ "as they may with many slots", { 100, 300, 50, 200 },
	    { 600, 1800, 300, 1200 }, { 700, 700, 700, 700 }, 64, false },
	{ "slow functions pay for the time they hold a slot",
	    { 100, 100, 0, 0 }, { 60, 3000, 0, 0 }, { 50000, 1000, 0, 0 }, 2,
	    false },
	{ "so they do with more weight than the others", { 100, 400, 0, 0 },
	    { 1500, 600, 0, 0 }, { 1000, 10000, 0, 0 }, 4, false },
	{ "functions that crash at once, in a loop, get no more time",
	    { 100, 100, 100, 0 }, { 300, 3000, 300, 0 }, { 3000, 300, 3000, 0 },
	    4, false },
	{ "nor by their weight", { 200, 100, 0, 0 }, { 400, 2000, 0, 0 },
	    { 3000, 300, 0, 0 }, 4, false },
	{ "times that vary are shared as well", { 100, 200, 300, 400 },
	    { 800, 1600, 2400, 3200 }, { 4000, 4000, 4000, 4000 }, 8, true },
	{ "slow and fast, heavy and light, all varying", { 100, 300, 100, 200 },
	    { 600, 3600, 6000, 2400 }, { 10000, 5000, 1000, 5000 }, 6, true },
};

static uint64_t
some_cost(const struct share_row *row, size_t tenant, uint64_t *seed)
{
	uint64_t cost = row->cost_us[tenant];

	return row->varied ? cost / 5 + rows_random(seed, cost * 8 / 5) : cost;
}

/* What the weights alone would say, of all the tenants that want some. */
static double
wanted_share(const struct share_row *row, size_t tenant, bool starts)
{
	double own = 0, all = 0;

	for (size_t t = 0; t < TENANTS; t++) {
		double part = row->backlog[t] > 0 ? (double)row->weight[t] : 0;

		if (starts && part > 0)
			part /= (double)row->cost_us[t];
		all += part;
		if (t == tenant)
			own = part;
	}
	return own / all;
}

static void
assert_shares(const struct share_row *row, const uint64_t had[TENANTS],
    bool starts)
{
	uint64_t total = 0;

	for (size_t t = 0; t < TENANTS; t++)
		total += had[t];
	for (size_t t = 0; t < TENANTS; t++) {
		double share = (double)had[t] / (double)total;
		double wanted = wanted_share(row, t, starts);

		if (share < wanted * 0.9 || share > wanted * 1.1)
			fail_msg("tenant %zu had %.4f of the %s, not %.4f", t,
			    share, starts ? "starts" : "slot time", wanted);
	}
}

/* Runs the wheel in made-up time while all have a backlog, and compares how much
 * slot time and how many starts each tenant had. The first grants, to who came
 * first while slots were free, are not counted. */
static void
test_share(void **state)
{
	const struct share_row *row = *state;
	static uint64_t ends[TICKETS];
	static size_t owner[TICKETS];
	uint64_t used[TENANTS] = { 0 }, starts[TENANTS] = { 0 }, now = 0;
	uint64_t seed = row->varied ? rows_seed() : 1;
	size_t count = 0;
	bool worked_off = false;

	setup_world((struct admit_limits){ row->slots, TICKETS },
	    (struct admit_limits){ TICKETS, TICKETS },
	    (struct admit_limits){ TICKETS, TICKETS });
	for (size_t t = 0; t < TENANTS; t++) {
		tenants[t].weight = row->weight[t];
		for (uint64_t i = 0; i < row->backlog[t]; i++) {
			assert_true(count < TICKETS);
			owner[count] = t;
			ends[count] = UINT64_MAX;
			if (admit_ask(&tickets[count], &functions[t], 0) ==
			    ADMIT_GRANTED)
				ends[count] = some_cost(row, t, &seed);
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
		admit_give(&tickets[first], now);
		while ((next = admit_next(&host, now)) != NULL) {
			size_t i = (size_t)(next - tickets);
			uint64_t cost = some_cost(row, owner[i], &seed);

			ends[i] = now + cost;
			used[owner[i]] += cost;
			starts[owner[i]]++;
		}
		assert_true(host.waiting == 0 || host.running == row->slots);
		for (size_t t = 0; t < TENANTS; t++)
			if (row->backlog[t] > 0 && tenants[t].waiting == 0)
				worked_off = true;
	}
	assert_shares(row, used, false);
	assert_shares(row, starts, true);
}

/* Any order of asks, gives and leaves keeps counts true and slots full, but those
 * that wait for who is young. */
static void
test_random(void **state)
{
	const uint64_t *young_most = *state;
	uint64_t seed = rows_seed(), now = 0;

	setup_world((struct admit_limits){ 5, 40 },
	    (struct admit_limits){ 3, 20 }, (struct admit_limits){ 3, 15 });
	host.young_most = *young_most;
	host.young_us = 20000;
	host.shared_until_us = *young_most ? UINT64_MAX : 0;
	for (size_t step = 0; step < 200000; step++) {
		struct admit_ticket *ticket = &tickets[rows_random(&seed, 99)];
		size_t tenant = (size_t)rows_random(&seed, TENANTS);
		uint64_t running = 0, waiting = 0, young = 0;

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
			young += tenants[i].young;
			if (tenants[i].waiting > 0 && tenants[i].running < 3 &&
			    (host.young_most == 0 ||
				tenants[i].young < host.young_most))
				assert_int_equal(host.running, 5);
			if (tenants[i].waiting > 0 && host.running < 5 &&
			    tenants[i].running < 3)
				assert_in_range(admit_due_us(&host), now + 1,
				    now + 20000);
		}
		LIST_EACH(node, &host.young)
			young--;
		assert_int_equal(young, 0);
		assert_int_equal(running, host.running);
		assert_int_equal(waiting, host.waiting);
		assert_in_range(host.running, 0, 5);
	}
}

static void
test_young(void **state)
{
	(void)state;
	setup_world((struct admit_limits){ 9, 9 },
	    (struct admit_limits){ 5, 9 }, (struct admit_limits){ 5, 2 });
	host.young_most = 2;
	host.young_us = 1000;
	host.shared_until_us = UINT64_MAX;
	assert_int_equal(admit_due_us(&host), UINT64_MAX);
	assert_int_equal(admit_ask(&tickets[0], &functions[0], 0),
	    ADMIT_GRANTED);
	assert_int_equal(admit_ask(&tickets[1], &functions[0], 300),
	    ADMIT_GRANTED);
	assert_int_equal(admit_due_us(&host), UINT64_MAX);
	assert_int_equal(admit_ask(&tickets[2], &functions[0], 400),
	    ADMIT_QUEUED);
	assert_int_equal(admit_due_us(&host), 1000);
	assert_null(admit_next(&host, 999));

	/* another tenant has not started any */
	assert_int_equal(admit_ask(&tickets[3], &functions[1], 400),
	    ADMIT_GRANTED);
	host.shared_until_us = UINT64_MAX;
	/* it waits for nothing but time, and who came later behind it */
	assert_int_equal(admit_ask(&tickets[4], &functions[0], 1000),
	    ADMIT_QUEUED);
	assert_ptr_equal(admit_next(&host, 1000), &tickets[2]);
	assert_null(admit_next(&host, 1000));
	assert_int_equal(admit_due_us(&host), 1300);
	/* one that ends makes room at once */
	admit_give(&tickets[2], 1100);
	assert_ptr_equal(admit_next(&host, 1100), &tickets[4]);
	assert_int_equal(admit_due_us(&host), UINT64_MAX);
	/* with nobody before them, those who are older do not count */
	assert_int_equal(admit_ask(&tickets[5], &functions[0], 1400),
	    ADMIT_GRANTED);
	/* all its slots are taken: no time will help */
	assert_int_equal(admit_ask(&tickets[6], &functions[0], 9000),
	    ADMIT_GRANTED);
	assert_int_equal(admit_ask(&tickets[7], &functions[0], 9000),
	    ADMIT_QUEUED);
	assert_int_equal(admit_due_us(&host), UINT64_MAX);
}

static void
test_alone(void **state)
{
	const uint64_t second = 1000 * 1000;

	(void)state;
	setup_world((struct admit_limits){ 99, 99 },
	    (struct admit_limits){ 50, 99 }, (struct admit_limits){ 50, 99 });
	host.young_most = 2;
	host.young_us = 5000;
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(admit_ask(&tickets[i], &functions[0], 0),
		    ADMIT_GRANTED);
	/* somebody else comes: no more, until these are older */
	assert_int_equal(admit_ask(&tickets[10], &functions[1], 100),
	    ADMIT_GRANTED);
	assert_int_equal(admit_ask(&tickets[11], &functions[0], 200),
	    ADMIT_QUEUED);
	assert_int_equal(admit_due_us(&host), 5000);
	assert_null(admit_next(&host, 4999));
	assert_ptr_equal(admit_next(&host, 5000), &tickets[11]);
	/* and is gone again for a second */
	for (size_t i = 12; i < 20; i++)
		assert_int_equal(admit_ask(&tickets[i], &functions[0],
				     200 + second),
		    ADMIT_GRANTED);
}

static void
test_young_refuses_nobody(void **state)
{
	(void)state;
	setup_world((struct admit_limits){ 9, 9 },
	    (struct admit_limits){ 4, 9 }, (struct admit_limits){ 9, 1 });
	host.young_most = 2;
	host.young_us = 1000;
	host.shared_until_us = UINT64_MAX;
	for (size_t i = 0; i < 3; i++)
		admit_ask(&tickets[i], &functions[0], 0);
	assert_int_equal(tickets[2].state, ADMIT_WAITING);
	assert_int_equal(admit_ask(&tickets[3], &functions[0], 0),
	    ADMIT_GRANTED);
	assert_int_equal(admit_ask(&tickets[4], &functions[0], 0),
	    ADMIT_GRANTED);
	assert_int_equal(admit_ask(&tickets[5], &functions[0], 0),
	    ADMIT_FULL_FUNCTION);
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
	static uint64_t any_young = 0, one_young = 1;
	static const struct CMUnitTest others[] = {
		{ "who came first is first, who left is not", test_first_come,
		    NULL, NULL, NULL },
		{ "a tenant whose slots are taken holds up nobody",
		    test_blocked_tenant_passed_over, NULL, NULL, NULL },
		{ "functions of a tenant take turns", test_functions_take_turns,
		    NULL, NULL, NULL },
		{ "counts stay true and no slot idles, whatever happens",
		    test_random, NULL, NULL, &any_young },
		{ "... also when only one may be young", test_random, NULL,
		    NULL, &one_young },
		{ "of a tenant only so many are young, and time helps",
		    test_young, NULL, NULL, NULL },
		{ "who has the host to himself starts as many as he likes",
		    test_alone, NULL, NULL, NULL },
		{ "being young is no reason to refuse",
		    test_young_refuses_nobody, NULL, NULL, NULL },
		{ "Retry-After is a second at least and half a minute at most",
		    test_retry_after, NULL, NULL, NULL },
	};

	return RUN_ROWS(bounds, test_bound) + RUN_ROWS(shares, test_share) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
