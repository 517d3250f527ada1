/* SPDX-License-Identifier: MIT */
/* rows.h - a table of rows becomes a group of tests named by sentences.
 * A row is any struct whose first member is its sentence; the test function
 * finds the row in *state. */
#ifndef ROWS_H
#define ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define RUN_ROWS(rows, run) \
	rows_run(#rows, (rows), COUNT(rows), sizeof((rows)[0]), (run))

static inline int
rows_run(const char *group, const void *rows, size_t count, size_t row_bytes,
    CMUnitTestFunction run)
{
	struct CMUnitTest *tests = calloc(count, sizeof(*tests));
	int failed;

	if (!tests)
		abort();
	for (size_t i = 0; i < count; i++) {
		const char *row = (const char *)rows + i * row_bytes;

		tests[i].name = *(const char *const *)(const void *)row;
		tests[i].test_func = run;
		tests[i].initial_state = (void *)(uintptr_t)row;
	}
	failed = _cmocka_run_group_tests(group, tests, count, NULL, NULL);
	free(tests);
	return failed;
}

/* A seed that is new every time and printed, or FCGI_HOST_SEED to see a
 * failure again; and the generator (xorshift64*) that it feeds. */
static inline uint64_t
rows_seed(void)
{
	const char *given = getenv("FCGI_HOST_SEED");
	uint64_t seed = given ?
	    strtoull(given, NULL, 10) :
	    (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();

	print_message("FCGI_HOST_SEED=%llu\n", (unsigned long long)seed);
	return seed ? seed : 1;
}

static inline uint64_t
rows_random(uint64_t *state, uint64_t below)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * UINT64_C(2685821657736338717) >> 11) % below;
}

#endif
