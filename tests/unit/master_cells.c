/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant has no cell, or one that knows what is another's, or a
 * cell outlives what it is for. */
#include "master_host.h"

static void
a_tenant_gets_a_cell_and_loses_it(void **state)
{
	struct host *h = *state;
	bool own_pids;

	host_start(h);
	host_ready(h);
	assert_says(h, "ask acme", "/functions/acme");
	own_pids = strstr(ask(h, "status"), "\nenforced=processes") != NULL;
	if (own_pids)
		assert_says(h, "hear", "1 "); /* first of its namespace */
	else
		ask(h, "hear");
	assert_int_equal(status_of(h, "cells="), 1);
	assert_says(h, "kill acme", "ok");
	assert_says(h, "hear", "gone");
	await_no_cell(h);
	/* and the next one comes at once */
	assert_says(h, "ask acme", "cell ");
	ask(h, "hear");
	assert_int_equal(status_of(h, "cells="), 1);
	kill(h->pid, SIGTERM);
	assert_int_equal(host_await_end(h), 0);
	assert_nothing_lives(); /* nor the cell's own children */
}

static void
no_tenant_is_a_clear_answer(void **state)
{
	struct host *h = *state;

	host_start(h);
	host_ready(h);
	assert_says(h, "ask nobody", "none refused=0 there is no directory");
	assert_says(h, "ask ..", "none refused=0");
	assert_int_equal(symlinkat("/etc", h->place->fd, "functions/etc"), 0);
	assert_says(h, "ask etc", "none refused=1");
	assert_int_equal(status_of(h, "cells="), 0);
}

static void
a_cell_that_cannot_be_built_is_told_and_not_tried_at_once(void **state)
{
	struct host *h = *state;

	host_start(h);
	host_ready(h);
	assert_says(h, "ask failing", "cell ");
	assert_says(h, "refused", "no such luck");
	/* from memory, as long as the pause lasts: no other cell is made */
	for (int i = 0; i < 5; i++)
		if (strstr(ask(h, "ask failing"), "cell "))
			assert_says(h, "refused", "no such luck");
	assert_says(h, "ask dying", "cell ");
	assert_says(h, "refused", "exit 3");
	await_no_cell(h);
}

static void
nobody_gets_what_others_are_granted(void **state)
{
	struct host *h = *state;

	place_write(h->place, "host.conf",
	    "tenants = ( { name = \"other\"; env = { KEY = \"theirs\"; }; },\n"
	    "  { name = \"acme\"; env = { KEY = \"ours\"; }; } );\n",
	    0644);
	host_start(h);
	host_ready(h);
	assert_says(h, "ask acme", "cell ");
	assert_says(h, "hear", "generation=1 acme has KEY=ours");
}

static void
a_replaced_directory_gets_another_cell(void **state)
{
	struct host *h = *state;

	host_start(h);
	host_ready(h);
	assert_says(h, "ask acme", "cell ");
	ask(h, "hear");
	ask(h, "check acme"); /* the same: nothing happens */
	assert_int_equal(status_of(h, "cells="), 1);
	assert_int_equal(renameat(h->place->fd, "functions/acme", h->place->fd,
			     "functions/old"),
	    0);
	make_directory(h, "functions/acme");
	ask(h, "check acme");
	assert_says(h, "moved", "moved acme");
	assert_int_equal(status_of(h, "cells="), 1); /* it may finish */
	ask(h, "leave");
	await_no_cell(h);
	assert_says(h, "ask acme", "cell ");
}

/* As a service does that has its directory made anew by each restart. */
static void
a_granted_path_made_anew_gets_another_cell(void **state)
{
	struct host *h = *state;
	char text[512];

	make_directory(h, "run-of-db");
	snprintf(text, sizeof(text),
	    "tenants = ( { name = \"acme\"; read = [ \"%s/run-of-db\" ];\n"
	    "  env = { KEY = \"any\"; }; } );\n",
	    h->place->path);
	place_write(h->place, "host.conf", text, 0644);
	host_start(h);
	host_ready(h);
	assert_says(h, "ask acme", "cell ");
	ask(h, "hear");
	ask(h, "check acme"); /* the same: nothing happens */
	assert_int_equal(renameat(h->place->fd, "run-of-db", h->place->fd,
			     "old-of-db"),
	    0);
	ask(h, "check acme"); /* none: what it has is better */
	assert_int_equal(status_of(h, "cells="), 1); /* it has done so */
	assert_string_equal(ask(h, "moved so far"), "moved ");
	make_directory(h, "run-of-db");
	ask(h, "check acme");
	assert_says(h, "moved", "moved acme");
	ask(h, "leave");
	await_no_cell(h);
	assert_says(h, "ask acme", "cell ");
	ask(h, "hear");
	ask(h, "check acme"); /* it has the new one */
	assert_int_equal(status_of(h, "cells="), 1);
}

static void
a_cell_that_was_not_wanted_is_no_failure(void **state)
{
	struct host *h = *state;

	make_directory(h, "functions/hasty");
	host_start(h);
	host_ready(h);
	for (int i = 0; i < 5; i++) {
		assert_says(h, "ask hasty", "cell ");
		await_no_cell(h);
	}
}

static void
tenants_are_listed(void **state)
{
	struct host *h = *state;

	host_start(h);
	host_ready(h);
	assert_string_equal(ask(h, "names"), "acme dying failing ");
}

/* The gateway's end takes them along, each in its way. */
static void
cells_that_end_with_the_host_are_no_news(void **state)
{
	struct host *h = *state;
	char text[LINE_MOST];

	make_directory(h, "functions/rough");
	host_start(h);
	host_ready(h);
	assert_says(h, "ask rough", "cell ");
	ask(h, "hear");
	kill(h->pid, SIGTERM);
	assert_false(await_words(h->err, "no such words", text, sizeof(text)));
	assert_non_null(strstr(text, "cell ended: tenant=rough"));
	assert_null(strstr(text, "cell gone"));
	assert_int_equal(host_await_end(h), 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WITH_A_HOST(a_tenant_gets_a_cell_and_loses_it),
		WITH_A_HOST(no_tenant_is_a_clear_answer),
		WITH_A_HOST(
		    a_cell_that_cannot_be_built_is_told_and_not_tried_at_once),
		WITH_A_HOST(nobody_gets_what_others_are_granted),
		WITH_A_HOST(a_replaced_directory_gets_another_cell),
		WITH_A_HOST(a_granted_path_made_anew_gets_another_cell),
		WITH_A_HOST(a_cell_that_was_not_wanted_is_no_failure),
		WITH_A_HOST(tenants_are_listed),
		WITH_A_HOST(cells_that_end_with_the_host_are_no_news),
	};

	return RUN_WITH_FAKES(tests, argc, argv);
}
