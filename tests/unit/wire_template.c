/* SPDX-License-Identifier: MIT */
/* If this fails, a launcher kills a process that is not its own, a template makes
 * one with half an environment, or either dies of what the other says. */
#include "wire_spans.h"

#include <errno.h>
#include <limits.h>

#include "wire/template.h"

struct variables {
	const char *sentence;
	struct span env;
	int count; /* -1: refused */
};

static const struct variables environments[] = {
	{ "there may be none", SPAN(""), 0 },
	{ "one variable", SPAN("A=b\0"), 1 },
	{ "a value may be empty, and may have '=' in it",
	    SPAN("A=\0BB=c=d\0C= \0"), 3 },
	{ "the last one needs its NUL", SPAN("A=b\0B=c"), -1 },
	{ "what has no '=' is refused", SPAN("A=b\0B\0"), -1 },
	{ "what has no name is refused", SPAN("A=b\0=c\0"), -1 },
	{ "what is empty is refused", SPAN("A=b\0\0"), -1 },
	{ "a NUL alone is refused", SPAN("\0"), -1 },
};

static void
test_environment(void **state)
{
	const struct variables *row = *state;
	struct template_fork order = { 7, 8, 9, row->env }, got;
	struct buf b;
	size_t count;

	buf_init(&b, 4096);
	assert_int_equal(template_variables(row->env, &count),
	    row->count < 0 ? -1 : 0);
	assert_int_equal(template_fork_encode(&b, &order),
	    row->count < 0 ? -1 : 0);
	if (row->count >= 0) {
		assert_int_equal(count, row->count);
		assert_int_equal(template_fork_decode(buf_span(&b), &got), 0);
		assert_int_equal(got.invocation, 7);
		assert_int_equal(got.time_us, 8);
		assert_int_equal(got.cpu_s, 9);
		assert_span(got.env, row->env);
	} else {
		assert_int_equal(buf_bytes(&b), 0);
	}
	buf_free(&b);
}

struct forked {
	const char *sentence;
	struct template_forked what;
	int result;
};

static const struct forked answers[] = {
	{ "a process", { UINT64_MAX, 2, 0 }, 0 },
	{ "the largest pid", { 1, INT_MAX, 0 }, 0 },
	{ "none, with the reason", { 1, -1, EAGAIN }, 0 },
	{ "none, with the last reason", { 1, -1, TEMPLATE_ERROR_MOST }, 0 },
	{ "a process and an error is refused", { 1, 2, EAGAIN }, -1 },
	{ "none without a reason is refused", { 1, -1, 0 }, -1 },
	{ "a reason that is none is refused",
	    { 1, -1, TEMPLATE_ERROR_MOST + 1 }, -1 },
	{ "pid 0, a group to kill(2), is refused", { 1, 0, 0 }, -1 },
	{ "pid 0 with an error is refused", { 1, 0, EAGAIN }, -1 },
	{ "pid 1, the cell, is refused", { 1, 1, 0 }, -1 },
	{ "pid -2, a group to kill(2), is refused", { 1, -2, EAGAIN }, -1 },
	{ "the smallest number is refused", { 1, INT_MIN, EAGAIN }, -1 },
};

/* A peer may send what our own encoder would not. */
static void
raw(struct buf *b, const struct template_forked *what)
{
	struct template_forked good = { what->invocation, 2, 0 };
	char bytes[TEMPLATE_FORKED_BYTES];

	assert_int_equal(template_forked_encode(b, &good), 0);
	memcpy(bytes, buf_span(b).data, sizeof(bytes));
	memcpy(bytes + 4, &what->error, sizeof(what->error));
	memcpy(bytes + 16, &what->pid, sizeof(what->pid));
	buf_clear(b);
	assert_int_equal(buf_put(b, span_make(bytes, sizeof(bytes))), 0);
}

static void
test_answer(void **state)
{
	const struct forked *row = *state;
	struct template_forked got;
	struct buf b;

	buf_init(&b, TEMPLATE_FORKED_BYTES);
	assert_int_equal(template_forked_encode(&b, &row->what), row->result);
	assert_int_equal(buf_bytes(&b),
	    row->result == 0 ? TEMPLATE_FORKED_BYTES : 0);
	buf_clear(&b);
	raw(&b, &row->what);
	assert_int_equal(template_forked_decode(buf_span(&b), &got),
	    row->result);
	assert_int_equal(got.invocation, row->what.invocation);
	if (row->result == 0) {
		assert_int_equal(got.pid, row->what.pid);
		assert_int_equal(got.error, row->what.error);
	}
	buf_free(&b);
}

/* ---- others -------------------------------------------------------------------- */

static const struct template_fork order = {
	.invocation = 5, .time_us = 1, .env = { "A=1\0B=2\0", 8 }
};

/* Also where it would be a whole environment: the length is said. */
static void
test_cut_anywhere(void **state)
{
	struct template_fork got;
	struct template_forked other;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(template_fork_encode(&b, &order), 0);
	for (size_t at = 0; at < buf_bytes(&b); at++)
		assert_int_equal(template_fork_decode(span_take(buf_span(&b),
							  at),
				     &got),
		    -1);
	assert_int_equal(got.invocation, 5); /* so that it can be refused */
	assert_int_equal(template_forked_decode(buf_span(&b), &other), -1);
	buf_put(&b, SPAN("C=3\0"));
	assert_int_equal(template_fork_decode(buf_span(&b), &got), -1);
	buf_clear(&b);
	assert_int_equal(template_forked_encode(&b,
			     &(struct template_forked){ 1, 2, 0 }),
	    0);
	assert_int_equal(template_fork_decode(buf_span(&b), &got), -1);
	assert_int_equal(got.invocation, 0);
	for (size_t at = 0; at < buf_bytes(&b); at++)
		assert_int_equal(template_forked_decode(span_take(buf_span(&b),
							    at),
				     &other),
		    -1);
	buf_put(&b, SPAN("\0"));
	assert_int_equal(template_forked_decode(buf_span(&b), &other), -1);
	buf_free(&b);
}

static void
test_other_kinds(void **state)
{
	struct template_forked forked;
	struct template_fork got;
	char bytes[64] = { 0 };
	struct buf b;

	(void)state;
	buf_init(&b, sizeof(bytes));
	assert_int_equal(template_fork_encode(&b, &order), 0);
	memcpy(bytes, buf_span(&b).data, buf_bytes(&b));
	bytes[3]++; /* the next version */
	assert_int_equal(template_fork_decode(span_make(bytes, buf_bytes(&b)),
			     &got),
	    -1);
	memset(bytes, 0, sizeof(bytes));
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		assert_int_equal(template_fork_decode(span_make(bytes, n),
				     &got),
		    -1);
		assert_int_equal(template_forked_decode(span_make(bytes, n),
				     &forked),
		    -1);
	}
	buf_free(&b);
}

/* Of `bytes` in all, variables of two letters but for the last. */
static void
test_sizes(void **state)
{
	static char env[TEMPLATE_FORK_MOST];
	struct template_fork large = { .invocation = 1 }, got;
	size_t head, count;
	struct buf b;

	(void)state;
	buf_init(&b, 2 * TEMPLATE_FORK_MOST);
	assert_int_equal(template_fork_encode(&b, &large), 0);
	head = buf_bytes(&b);
	memset(env, 'x', sizeof(env));
	env[1] = '=';
	env[TEMPLATE_FORK_MOST - head - 1] = '\0';
	large.env = span_make(env, TEMPLATE_FORK_MOST - head);
	buf_clear(&b);
	assert_int_equal(template_fork_encode(&b, &large), 0);
	assert_int_equal(buf_bytes(&b), TEMPLATE_FORK_MOST);
	assert_int_equal(template_fork_decode(buf_span(&b), &got), 0);
	assert_true(span_equal(got.env, large.env));

	env[TEMPLATE_FORK_MOST - head - 1] = 'x';
	env[TEMPLATE_FORK_MOST - head] = '\0';
	large.env.bytes++;
	buf_clear(&b);
	assert_int_equal(template_fork_encode(&b, &large), -1);
	assert_int_equal(buf_bytes(&b), 0);

	for (size_t i = 0; i + 3 <= sizeof(env); i += 3)
		memcpy(env + i, "A=", 3);
	large.env = span_make(env, 3 * TEMPLATE_VARIABLES_MOST);
	assert_int_equal(template_variables(large.env, &count), 0);
	assert_int_equal(count, TEMPLATE_VARIABLES_MOST);
	large.env.bytes += 3;
	assert_int_equal(template_variables(large.env, &count), -1);
	assert_int_equal(template_fork_encode(&b, &large), -1);
	buf_free(&b);
}

static void
test_ceiling(void **state)
{
	struct template_forked forked = { 1, 2, 0 };
	struct buf b;

	(void)state;
	buf_init(&b, TEMPLATE_FORKED_BYTES - 1);
	assert_int_equal(template_forked_encode(&b, &forked), -1);
	assert_int_equal(template_fork_encode(&b, &order), -1);
	assert_int_equal(buf_bytes(&b), 0);
	buf_free(&b);
}

static const struct CMUnitTest others[] = {
	{ "a packet that was cut, or has more behind it, is refused",
	    test_cut_anywhere, NULL, NULL, NULL },
	{ "another version, or zeroes, are refused", test_other_kinds, NULL,
	    NULL, NULL },
	{ "the largest goes through, one byte or one variable more does not",
	    test_sizes, NULL, NULL, NULL },
	{ "at the ceiling nothing is written", test_ceiling, NULL, NULL, NULL },
};

int
main(void)
{
	return RUN_ROWS(environments, test_environment) +
	    RUN_ROWS(answers, test_answer) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
