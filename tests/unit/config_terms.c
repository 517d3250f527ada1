/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant gets more or less than its plan says, or a mistake in
 * a plan is found by a customer instead of by its author. */
#include "config_files.h"

#include "config/terms.h"

static struct config *
load_good(const char *text)
{
	struct config *c;
	struct buf errors;

	buf_init(&errors, 65536);
	c = load(span_of(text), &errors);
	if (!c)
		fail_msg("%s", buf_string(&errors));
	buf_free(&errors);
	return c;
}

/* ---- numbers ---------------------------------------------------------------------- */

static const struct number_row {
	const char *sentence;
	const char *text;
	const char *tenant;
	enum term term;
	const char *value;
	const char *of;
} numbers[] = {
	{ "what nobody says is the host's", "slots = { tenant = 7; };", "a",
	    TERM_slots, "7", "" },
	{ "a plan is over the host's",
	    "plans = ( { name = \"p\"; memory = \"64 MiB\"; } ); plan = \"p\";",
	    "a", TERM_memory, "64 MiB", " of plan p" },
	{ "a plan that nobody has is no one's",
	    "plans = ( { name = \"p\"; memory = \"64 MiB\"; } );", "a",
	    TERM_memory, "4 GiB", "" },
	{ "a tenant's plan is over that of all",
	    "plans = ( { name = \"p\"; rate = 5; }, { name = \"q\"; rate = 6; } "
	    "); plan = \"p\"; tenants = ( { name = \"a\"; plan = \"q\"; } );",
	    "a", TERM_rate, "6", " of plan q" },
	{ "and nothing of the other plan is left",
	    "plans = ( { name = \"p\"; rate = 5; }, { name = \"q\"; } "
	    "); plan = \"p\"; tenants = ( { name = \"a\"; plan = \"q\"; } );",
	    "a", TERM_rate, "100000", "" },
	{ "an entry without a plan has that of all",
	    "plans = ( { name = \"p\"; rate = 5; } ); plan = \"p\"; "
	    "tenants = ( { name = \"a\"; slots = 3; } );",
	    "a", TERM_rate, "5", " of plan p" },
	{ "what a tenant is given by name is over its plan",
	    "plans = ( { name = \"p\"; rate = 5; } ); plan = \"p\"; "
	    "tenants = ( { name = \"a\"; rate = 7; } );",
	    "a", TERM_rate, "7", " of this tenant" },
	{ "and not for others",
	    "plans = ( { name = \"p\"; rate = 5; } ); plan = \"p\"; "
	    "tenants = ( { name = \"a\"; rate = 7; } );",
	    "b", TERM_rate, "5", " of plan p" },
	{ "a tenant of a user has an entry as well",
	    "tenants = ( { name = \"~bob\"; rate = 7; } );", "~bob", TERM_rate,
	    "7", " of this tenant" },
	{ "words are given like numbers",
	    "plans = ( { name = \"p\"; network = \"none\"; } ); plan = \"p\";",
	    "a", TERM_network, "none", " of plan p" },
	{ "the share of the host binds what the host says",
	    "slots = { host = 10; tenant = 9; };", "a", TERM_slots, "5", "" },
	{ "not what the administrator gives on purpose",
	    "slots = { host = 10; }; tenants = ( { name = \"a\"; slots = 9; } );",
	    "a", TERM_slots, "9", " of this tenant" },
	{ "though never more than there are",
	    "slots = { host = 10; }; tenants = ( { name = \"a\"; slots = 99; } "
	    ");",
	    "a", TERM_slots, "10", " of this tenant" },
	{ "slots need processes",
	    "plans = ( { name = \"p\"; processes = 21; } ); plan = \"p\";", "a",
	    TERM_slots, "10", "" },
	{ "there is one at least", "slots = { host = 1; };", "a", TERM_slots,
	    "1", "" },
	{ "a burst is twice the rate unless it is given",
	    "plans = ( { name = \"p\"; rate = 5; } ); plan = \"p\";", "a",
	    TERM_burst, "10", "" },
	{ "running time is an hour for each slot unless it is given",
	    "tenants = ( { name = \"a\"; slots = 3; } );", "a", TERM_running,
	    "3 h", "" },
};

static void
run_number(void **state)
{
	const struct number_row *row = *state;
	struct config *c = load_good(row->text), *again;
	const struct terms *t = config_terms(c, span_of(row->tenant));
	struct buf bytes;
	char text[96];

	assert_string_equal(terms_text(t, row->term, text), row->value);
	assert_string_equal(terms_of(t, t->from[row->term], text), row->of);

	/* the cell of that tenant is told the same */
	buf_init(&bytes, CONFIG_BYTES_MOST);
	assert_int_equal(config_encode_for(c, span_of(row->tenant), &bytes), 0);
	again = config_decode(buf_span(&bytes));
	assert_non_null(again);
	t = config_terms(again, span_of(row->tenant));
	assert_string_equal(terms_text(t, row->term, text), row->value);
	assert_string_equal(terms_of(t, t->from[row->term], text), row->of);
	config_release(&again);

	/* and so is the gateway */
	buf_clear(&bytes);
	assert_int_equal(config_encode(c, &bytes), 0);
	again = config_decode(buf_span(&bytes));
	assert_non_null(again);
	t = config_terms(again, span_of(row->tenant));
	assert_string_equal(terms_text(t, row->term, text), row->value);
	config_release(&again);
	buf_free(&bytes);
	config_release(&c);
}

/* ---- limits and lists -------------------------------------------------------------- */

static void
test_limits(void)
{
	struct config *c = load_good(
	    "limits = { time = \"10s\"; }; maximum = { time = \"20s\"; };\n"
	    "plans = ( { name = \"less\"; maximum = { time = \"5s\"; "
	    "cpu = \"2s\"; }; },\n"
	    "  { name = \"more\"; limits = { time = \"50s\"; memory = \"1 MiB\"; "
	    "}; maximum = { time = 0; }; } );\n"
	    "tenants = ( { name = \"a\"; plan = \"less\"; },\n"
	    "  { name = \"b\"; plan = \"more\"; },\n"
	    "  { name = \"c\"; plan = \"more\"; maximum = { time = \"30s\"; }; "
	    "} );");
	const struct terms *a = config_terms(c, SPAN("a"));
	const struct terms *b = config_terms(c, SPAN("b"));
	const struct terms *d = config_terms(c, SPAN("c"));

	/* a default follows a maximum that is lower */
	assert_int_equal(a->limits[LIMIT_time], 5000);
	assert_int_equal(a->limits[LIMIT_cpu], 2000);
	assert_int_equal(a->limits_from[LIMIT_time], TERMS_PLAN);
	assert_int_equal(a->limits[LIMIT_memory], c->limits[LIMIT_memory]);
	/* a maximum may be higher than the host's, or none */
	assert_int_equal(b->limits[LIMIT_time], 50000);
	assert_int_equal(b->maximum[LIMIT_time], 0);
	assert_int_equal(b->limits[LIMIT_memory], 1 << 20);
	assert_int_equal(d->limits[LIMIT_time], 30000);
	/* the web server waits for whoever has most */
	assert_int_equal(config_maximum(c, LIMIT_time), 0);
	assert_int_equal(config_maximum(c, LIMIT_cpu), c->maximum[LIMIT_cpu]);
	config_release(&c);
}

static void
test_lists(void)
{
	struct config *c = load_good(
	    "plans = ( { name = \"p\"; read = [ \"/srv/a\", \"/srv/b\" ];\n"
	    "  env = { ONE = \"1\"; TWO = \"2\"; }; } ); plan = \"p\";\n"
	    "tenants = ( { name = \"a\"; read = [ \"/srv/b\", \"/srv/c\" ];\n"
	    "  write = [ \"/srv/d\" ]; env = { TWO = \"two\"; }; } );");
	const struct terms *a = config_terms(c, SPAN("a"));

	assert_int_equal(a->read.count, 3);
	assert_string_equal(a->read.items[2], "/srv/c");
	assert_int_equal(a->write.count, 1);
	assert_int_equal(a->env.count, 2);
	assert_string_equal(a->env.items[1], "TWO=two");
	assert_int_equal(config_terms(c, SPAN("b"))->read.count, 2);
	assert_int_equal(config_terms(c, SPAN_NONE)->env.count, 2);
	config_release(&c);
}

static void
test_only_its_own(void)
{
	struct config *c = load_good(
	    "plans = ( { name = \"p\"; env = { A = \"of-p\"; }; },\n"
	    "  { name = \"q\"; env = { A = \"of-q\"; }; } ); plan = \"p\";\n"
	    "tenants = ( { name = \"a\"; plan = \"q\"; } );");
	struct buf bytes;

	buf_init(&bytes, CONFIG_BYTES_MOST);
	assert_int_equal(config_encode_for(c, SPAN("a"), &bytes), 0);
	assert_non_null(memmem(buf_span(&bytes).data, buf_bytes(&bytes), "of-q",
	    4));
	assert_null(memmem(buf_span(&bytes).data, buf_bytes(&bytes), "of-p",
	    4));
	buf_clear(&bytes);
	assert_int_equal(config_encode_for(c, SPAN("b"), &bytes), 0);
	assert_non_null(memmem(buf_span(&bytes).data, buf_bytes(&bytes), "of-p",
	    4));
	assert_null(memmem(buf_span(&bytes).data, buf_bytes(&bytes), "of-q",
	    4));
	buf_free(&bytes);
	config_release(&c);
}

/* Every number is finite, whatever is not said. */
static void
test_finite(void)
{
	struct config *c = config_new();
	const struct terms *t = config_terms(c, SPAN("a"));

	assert_in_range(t->slots, 1, 65536);
	assert_in_range(t->queue, 1, 1048576);
	assert_in_range(t->weight, 1, 10000);
	assert_in_range(t->rate, 1, 1000000);
	assert_in_range(t->burst, 1, 10000000);
	assert_in_range(t->running, 1, 235929600000);
	assert_in_range(t->memory, 1, 1099511627776);
	assert_in_range(t->processes, 2 * t->slots + 1, 1048576);
	assert_in_range(t->cpu, 1, 102400);
	assert_in_range(t->tmp, 1, 1099511627776);
	for (int i = 0; i < LIMITS; i++)
		assert_true(t->maximum[i] > 0 &&
		    (t->limits[i] > 0 || i == LIMIT_idle));
	/* as many as slots may run at once, each with its launcher */
	assert_true(t->limits[LIMIT_processes] > 2 * t->slots);
	config_release(&c);
}

static void
test_many(void)
{
	struct buf text;
	struct config *c;
	char name[32];

	buf_init(&text, 4 * 1024 * 1024);
	buf_put_string(&text,
	    "plans = ( { name = \"large\"; slots = 9; } );\n");
	buf_put_string(&text, "tenants = (\n");
	for (int i = 0; i < 5000; i++)
		buf_printf(&text, "%s{ name = \"c%d\"; plan = \"large\"; }",
		    i > 0 ? ",\n" : "", 4999 - i);
	buf_put_string(&text, ");\n");
	c = load_good(buf_string(&text));
	for (int i = 0; i < 5000; i += 7) {
		snprintf(name, sizeof(name), "c%d", i);
		assert_int_equal(config_terms(c, span_of(name))->slots, 9);
		snprintf(name, sizeof(name), "c%dx", i);
		assert_int_equal(config_terms(c, span_of(name))->slots, 64);
	}
	config_release(&c);
	buf_free(&text);
}

static const struct story {
	const char *sentence;
	void (*test)(void);
} stories[] = {
	{ "limits and maxima of plans and tenants", test_limits },
	{ "paths and variables add up", test_lists },
	{ "a cell learns nothing of other plans", test_only_its_own },
	{ "every default is finite, and starves nobody", test_finite },
	{ "five thousand tenants with a plan", test_many },
};

static void
run_story(void **state)
{
	((const struct story *)*state)->test();
}

/* ---- mistakes ------------------------------------------------------------------------ */

static const struct mistake {
	const char *sentence;
	const char *text;
	const char *errors;
} mistakes[] = {
	{ "a plan that is not there names the nearest",
	    "plans = ( { name = \"small\"; } );\ntenants = (\n"
	    "{ name = \"a\";\nplan = \"smal\"; } );",
	    "host.conf:4: tenants.plan = \"smal\" is none of plans; did you "
	    "mean \"small\"?\n" },
	{ "so does the plan of all", "\nplan = \"large\";",
	    "host.conf:2: plan = \"large\" is none of plans\n" },
	{ "a plan is named once",
	    "plans = ( { name = \"p\"; },\n{ name = \"p\"; } );",
	    "host.conf:2: plans has p twice\n" },
	{ "a plan has a name", "plans = (\n{ slots = 3; } );",
	    "host.conf:2: plans.name takes the name of a plan: small letters, "
	    "digits, _ and -\n" },
	{ "a plan has no plan", "plans = ( { name = \"p\";\nplan = \"p\"; } );",
	    "host.conf:2: unknown option plans.plan\n" },
	{ "options of a plan are known",
	    "plans = ( { name = \"p\"; slot = 3; } );",
	    "host.conf:1: unknown option plans.slot; did you mean "
	    "plans.slots?\n" },
	{ "so are its limits",
	    "plans = ( { name = \"p\"; limits = { tine = \"1s\"; }; } );",
	    "host.conf:1: unknown option plans.limits.tine; did you mean "
	    "plans.limits.time?\n" },
	{ "their ranges are the host's",
	    "plans = ( { name = \"p\"; weight = 0; memory = \"1 KiB\"; } );",
	    "host.conf:1: plans.weight = 0 is out of range: it takes 1 to "
	    "10000\n"
	    "host.conf:1: plans.memory = 1 KiB is out of range: it takes "
	    "16 MiB to 1024 GiB\n" },
	{ "words are known",
	    "plans = ( { name = \"p\"; network = \"nine\"; } );",
	    "host.conf:1: plans.network = \"nine\" is not known: it takes one "
	    "of \"auto\", \"none\", \"host\"; did you mean \"none\"?\n" },
	{ "a limit of a plan stays below the host's maximum",
	    "maximum = { time = \"10s\"; };\nplans = ( { name = \"p\";\n"
	    "limits = {\ntime = \"11s\"; }; } );",
	    "host.conf:4: plans.limits.time = 11 s is above maximum.time = "
	    "10 s\n" },
	{ "and its own",
	    "plans = ( { name = \"p\"; maximum = { time = \"5s\"; };\n"
	    "limits = { time = \"6s\"; }; } );",
	    "host.conf:2: plans.limits.time = 6 s is above maximum.time = 5 s "
	    "of plan p\n" },
	{ "a tenant's stays below its plan's",
	    "plans = ( { name = \"p\"; maximum = { time = \"5s\"; }; } );\n"
	    "tenants = ( { name = \"a\"; plan = \"p\";\n"
	    "limits = { time = \"6s\"; }; } );",
	    "host.conf:3: tenants.limits.time = 6 s is above maximum.time = "
	    "5 s of plan p\n" },
	{ "a limit may not be off where it has a maximum",
	    "plans = ( { name = \"p\"; limits = { time = 0; }; } );",
	    "host.conf:1: plans.limits.time = 0 is off, which maximum.time = "
	    "5 m does not allow\n" },
};

static void
run_mistake(void **state)
{
	const struct mistake *row = *state;
	struct config *c;
	struct buf errors;
	char text[4096];

	buf_init(&errors, 65536);
	c = load(span_of(row->text), &errors);
	without_directory(&errors, text, sizeof(text));
	assert_string_equal(text, row->errors);
	assert_null(c);
	buf_free(&errors);
}

/* What a function's own settings ask for, on a plan. */
static void
test_settings(void **state)
{
	struct config *c = load_good(
	    "plans = ( { name = \"small\"; limits = { memory = \"8 MiB\"; }; "
	    "maximum = { time = \"5s\"; }; } ); plan = \"small\";\n"
	    "tenants = ( { name = \"b\"; maximum = { time = \"7s\"; }; } );");
	int fd = file_in_memory(SPAN("\nlimits = { time = \"8s\"; };"));
	struct settings *s = settings_draft(config_terms(c, SPAN("a")));
	struct buf errors;

	(void)state;
	buf_init(&errors, 4096);
	assert_int_equal(s->limits[LIMIT_time], 5000);
	assert_int_equal(s->limits[LIMIT_memory], 8 << 20);
	assert_int_equal(settings_read(s, config_terms(c, SPAN("a")), fd,
			     "hello.conf", PROGRAM_CGI, &errors),
	    -1);
	assert_string_equal(buf_string(&errors),
	    "hello.conf:2: limits.time = 8s is above the tenant's maximum of "
	    "5s (maximum.time of plan small)\n");
	buf_clear(&errors);
	assert_int_equal(settings_read(s, config_terms(c, SPAN("b")), fd,
			     "hello.conf", PROGRAM_CGI, &errors),
	    -1);
	assert_string_equal(buf_string(&errors),
	    "hello.conf:2: limits.time = 8s is above the tenant's maximum of "
	    "7s (maximum.time of this tenant)\n");
	settings_release(&s);
	buf_free(&errors);
	fd_close(&fd);
	config_release(&c);
}

int
main(void)
{
	static const struct CMUnitTest others[] = {
		{ "a function that asks for too much is told by which plan",
		    test_settings, NULL, NULL, NULL },
	};
	int failed;

	directory_make();
	failed = RUN_ROWS(numbers, run_number);
	failed += RUN_ROWS(mistakes, run_mistake);
	failed += RUN_ROWS(stories, run_story);
	failed += cmocka_run_group_tests(others, NULL, NULL);
	directory_remove();
	return failed;
}
