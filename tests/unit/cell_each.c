/* SPDX-License-Identifier: MIT */
/* If this fails, `fcgi-hostctl plan` says something else about invocations than
 * what is done. What is done is tested in cell_launcher and cell_serve. */

#include "rows.h"

#include <string.h>

#include "cell/each.h"

static const struct plan {
	const char *sentence;
	struct each_facts facts;
	const char *has[4];
	const char *has_not[3];
} plans[] = {
	{ "with a pid namespace and rules, all but the death signal",
	    { .limits_processes = true, .rules = true },
	    { "each signals\neach group\neach descriptors 0 1 2\n",
		"each limit cpu ms=60000 most=300000\n"
		"each limit data bytes=536870912 most=4294967296\n"
		"each limit nofile count=256 most=4096\n"
		"each limit nproc count=1024 most=4096\n",
		"each directory\neach rules signals\n",
		"each alarm ms=10000 most=300000\neach program\n" },
	    { "death" } },
	{ "alone, what dies with its launcher",
	    { .alone = true, .rules = true },
	    { "each death signal=9\n", "each rules signals\n" }, { "nproc" } },
	{ "without rules none are promised", { .limits_processes = true },
	    { "each limit nproc", "each directory\neach alarm" },
	    { "rules", "death" } },
};

static void
plan_says(void **state)
{
	const struct plan *row = *state;
	struct config *config = config_new();
	struct buf out;

	buf_init(&out, 4096);
	each_print(&row->facts, config_terms(config, SPAN_NONE), &out);
	for (int i = 0; i < 4 && row->has[i]; i++)
		if (!strstr(buf_string(&out), row->has[i]))
			fail_msg("no \"%s\" in:\n%s", row->has[i],
			    buf_string(&out));
	for (int i = 0; i < 3 && row->has_not[i]; i++)
		assert_null(strstr(buf_string(&out), row->has_not[i]));
	buf_free(&out);
	config_release(&config);
}

static void
no_limit_is_said_in_words(void **state)
{
	struct config *config = config_new();
	struct terms terms = *config_terms(config, SPAN_NONE);
	const struct each_facts facts = { .rules = true };
	struct buf out;

	(void)state;
	terms.limits[LIMIT_cpu] = 0;
	terms.maximum[LIMIT_cpu] = 0;
	buf_init(&out, 4096);
	each_print(&facts, &terms, &out);
	assert_non_null(strstr(buf_string(&out),
	    "each limit cpu ms=unlimited most=unlimited\n"));
	buf_free(&out);
	config_release(&config);
}

int
main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(no_limit_is_said_in_words),
	};
	int failed = RUN_ROWS(plans, plan_says);

	failed += cmocka_run_group_tests(others, NULL, NULL);
	return failed != 0;
}
