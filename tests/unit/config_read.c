/* SPDX-License-Identifier: MIT */
/* If this fails, an operator is told the wrong thing about his configuration,
 * or nothing, and the host runs with another one than he wrote. */
#include "config_files.h"

/* ---- what is wrong, and where -------------------------------------------------- */

static const struct mistake {
	const char *sentence;
	struct span text;
	const char *errors; /* all of them */
} mistakes[] = {
	{ "an error of syntax has its line, and stands alone",
	    SPAN("slots = { hosts = 3; };\n\ndrain = ;\n"),
	    "host.conf:3: syntax error\n" },
	{ "an unknown option names the nearest known",
	    SPAN("\n\nslots = { hots = 3; };\n"),
	    "host.conf:3: unknown option slots.hots; did you mean "
	    "slots.host?\n" },
	{ "an unknown group names the nearest group",
	    SPAN("limit = { time = \"1s\"; };\n"),
	    "host.conf:1: unknown option limit; did you mean limits?\n" },
	{ "two swapped letters are near", SPAN("darin = \"1s\";\n"),
	    "host.conf:1: unknown option darin; did you mean drain?\n" },
	{ "an option in the wrong group finds its group", SPAN("time = 3;\n"),
	    "host.conf:1: unknown option time; did you mean limits.time?\n" },
	{ "nonsense is not compared with anything", SPAN("bananas = true;\n"),
	    "host.conf:1: unknown option bananas\n" },
	{ "all errors of meaning come at once, each with its line",
	    SPAN("drain = 5;\nslots = {\n host = \"many\";\n share = 101; };\n"
		 "allow_accel = 1;\n"),
	    "host.conf:1: drain takes a time with its unit as text, such as "
	    "\"10s\", 0 to 1h\n"
	    "host.conf:3: slots.host takes a whole number, 1 to 65536\n"
	    "host.conf:4: slots.share = 101 is out of range: it takes 1 to "
	    "100\n"
	    "host.conf:5: allow_accel takes true or false\n" },
	{ "a negative number is out of range", SPAN("slots={host=-1;};"),
	    "host.conf:1: slots.host = -1 is out of range: it takes 1 to "
	    "65536\n" },
	{ "a unit that is not known is quoted", SPAN("drain = \"5 minutes\";"),
	    "host.conf:1: drain = \"5 minutes\" has a unit that is not known: "
	    "it takes 0 to 1h\n" },
	{ "a range of sizes has its units", SPAN("cell={tmp=\"1K\";};"),
	    "host.conf:1: cell.tmp = 1 KiB is out of range: it takes 64 KiB "
	    "to 1024 GiB\n" },
	{ "a group is no value", SPAN("front = 3;"),
	    "host.conf:1: front takes a group: front = { ... };\n" },
	{ "a list of numbers is no list of paths",
	    SPAN("cell = { paths = [ 1, 2 ]; };"),
	    "host.conf:1: cell.paths takes a list of paths: [ \"/...\", "
	    "\"/...\" ]\n" },
	{ "a path that must be somewhere is not empty", SPAN("run = \"\";"),
	    "host.conf:1: run must not be empty\n" },
	{ "an option that is given twice is caught",
	    SPAN("drain = \"1s\";\ndrain = \"2s\";"),
	    "host.conf:2: duplicate setting name\n" },
	{ "a limit above its maximum names both",
	    SPAN("maximum = { time = \"5s\"; };\nlimits = { time = \"10s\"; "
		 "};"),
	    "host.conf:2: limits.time = 10 s is above maximum.time = 5 s\n" },
	{ "a limit may not be off where it has a maximum",
	    SPAN("limits = {\n memory = 0; };"),
	    "host.conf:2: limits.memory = 0 is off, which maximum.memory = "
	    "4 GiB does not allow\n" },
	{ "a default above what settings may ask for is refused",
	    SPAN("slots = { function = 9; function_maximum = 8; };"),
	    "host.conf:1: slots.function = 9 is above slots.function_maximum "
	    "= 8\n" },
	{ "one body may not be larger than all",
	    SPAN("body = { memory = \"2M\"; memory_total = \"1M\"; };"),
	    "host.conf:1: body.memory = 2 MiB is above body.memory_total = "
	    "1 MiB\n" },
	{ "the gateway's user is none of the tenants'",
	    SPAN("users = { gateway = \"71005\"; };"),
	    "host.conf:1: users.gateway = 71005 is one of the user ids for "
	    "tenants (users.tenants_first, users.tenants_count)\n" },
	{ "nor do the tenants' users reach it",
	    SPAN("users = { tenants_first = 70000; };"),
	    "host.conf:1: users.gateway = 70001 is one of the user ids for "
	    "tenants (users.tenants_first, users.tenants_count)\n"
	    "host.conf:1: users.log = 70002 is one of the user ids for "
	    "tenants (users.tenants_first, users.tenants_count)\n"
	    "host.conf:1: users.state = 70003 is one of the user ids for "
	    "tenants (users.tenants_first, users.tenants_count)\n" },
	{ "tenants is a list of groups", SPAN("tenants = { a = 1; };"),
	    "host.conf:1: tenants takes a list of groups: ( { ... }, { ... } "
	    ")\n" },
	{ "and of nothing else", SPAN("tenants = ( 1 );"),
	    "host.conf:1: tenants takes a list of groups: ( { ... }, { ... } "
	    ")\n" },
	{ "a tenant has a name", SPAN("tenants = (\n{ slots = 3; } );"),
	    "host.conf:2: tenants.name takes the name of a tenant: small "
	    "letters, digits, _ and -\n" },
	{ "a tenant's name is no path",
	    SPAN("tenants = (\n{ name = \"../x\"; } );"),
	    "host.conf:2: tenants.name takes the name of a tenant: small "
	    "letters, digits, _ and -\n" },
	{ "a tenant is named once",
	    SPAN("tenants = ( { name = \"a\"; },\n{ name = \"a\"; } );"),
	    "host.conf:2: tenants has a twice\n" },
	{ "the root is no directory among others",
	    SPAN("link_targets = [ \"/\" ];\ncell = { paths = [ \"/opt\", "
		 "\"//\" ]; };\ntenants = ( { name = \"a\"; read = [ "
		 "\"/\" ];\nwrite = [ \"/../.\" ]; } );"),
	    "host.conf:1: link_targets has \"/\", which cannot be shown as a "
	    "whole: name the directories that are meant\n"
	    "host.conf:2: cell.paths has \"/\", which cannot be shown as a "
	    "whole: name the directories that are meant\n"
	    "host.conf:3: tenants.read has \"/\", which cannot be shown as a "
	    "whole: name the directories that are meant\n"
	    "host.conf:4: tenants.write has \"/\", which cannot be shown as "
	    "a whole: name the directories that are meant\n" },
	{ "what a cell has of its own is not the host's",
	    SPAN("cell = {\npaths = [ \"/opt\", \"/usr/../dev/\" ]; };\n"
		 "plans = ( { name = \"p\";\nread = [ \"/proc/1\" ]; } );\n"
		 "tenants = ( { name = \"a\";\nread = [ \"/dev/null\" ];\n"
		 "write = [ \"/sys/fs\" ]; } );"),
	    "host.conf:2: cell.paths has \"/usr/../dev/\", which functions "
	    "must not see: a cell has its own; name the single devices that "
	    "are meant\n"
	    "host.conf:4: plans.read has \"/proc/1\", which functions must "
	    "not see: a cell has its own; this one shows the processes of the "
	    "host\n"
	    "host.conf:7: tenants.write has \"/sys/fs\", which functions must "
	    "not see: it shows devices and control groups of the machine, "
	    "which cells do not have\n" },
	{ "nor are the host's directories, or what they are in",
	    SPAN("functions = \"/x/fn\"; run = \"/r/run\"; log = \"/l/log\";\n"
		 "tenants = ( { name = \"a\";\n"
		 "read = [ \"/x/fn/b/data\", \"/x/f\", \"/r/run-not\" ];\n"
		 "}, { name = \"b\"; read = [ \"/x/fn\" ]; },\n"
		 "{ name = \"c\"; read = [ \"/x\" ]; },\n"
		 "{ name = \"d\"; write = [ \"/r/run/spool\" ]; },\n"
		 "{ name = \"e\"; write = [ \"/l/\" ]; } );"),
	    "host.conf:4: tenants.read has \"/x/fn\", which functions must not "
	    "see: the functions of all tenants are there\n"
	    "host.conf:5: tenants.read has \"/x\", which functions must not "
	    "see: the functions of all tenants are there\n"
	    "host.conf:6: tenants.write has \"/r/run/spool\", which functions "
	    "must not see: the run directory of the host is there\n"
	    "host.conf:7: tenants.write has \"/l/\", which functions must not "
	    "see: the log of the host is there\n" },
	{ "options of a tenant are known",
	    SPAN("tenants=({name=\"a\";slot=1;"
		 "});"),
	    "host.conf:1: unknown option tenants.slot; did you mean "
	    "tenants.slots?\n" },
	{ "a tenant's variables are none that the loader obeys",
	    SPAN("tenants=({name=\"a\";env={LD_PRELOAD=\"x\";};});"),
	    "host.conf:1: tenants.env: LD_PRELOAD is obeyed by the loader or "
	    "a shell before the function runs\n" },
	{ "nor does the host pass one", SPAN("environment=[\"BASH_ENV\"];"),
	    "host.conf:1: environment: BASH_ENV is obeyed by the loader or a "
	    "shell before the function runs\n" },
	{ "a number that libconfig would cut is refused",
	    SPAN("\nslots = { host = 4294967297; };"),
	    "host.conf:2: the number 4294967297 is above 2147483647, the most "
	    "a number may be; times and sizes are text with their unit\n" },
	{ "in hexadecimal as well", SPAN("slots = { host = 0x100000001; };"),
	    "host.conf:1: the number 0x100000001 is above 2147483647, the "
	    "most a number may be; times and sizes are text with their "
	    "unit\n" },
	{ "and with an L", SPAN("slots = { host = 4294967297LL; };"),
	    "host.conf:1: the number 4294967297LL is above 2147483647, the "
	    "most a number may be; times and sizes are text with their "
	    "unit\n" },
	{ "a NUL does not hide the rest of the file",
	    SPAN("drain = \"1s\";\n\0bananas = 1;"),
	    "host.conf:2: there is a NUL in the file\n" },
	{ "a NUL written as an escape is refused", SPAN("run = \"/a\\x00b\";"),
	    "host.conf:1: text cannot hold a NUL (\\x00)\n" },
	{ "a text without an end is shown where it begins",
	    SPAN("drain = \"1s\";\nrun = \"/a;\nlog = 1;\n"),
	    "host.conf:2: the text that begins here has no end\n" },
	{ "a text that belongs to nothing asks for what is missing",
	    SPAN("drain = \"1s\";\nrun \"/a\";\n"),
	    "host.conf:2: text stands where none can: is a ; or = missing?\n" },
	{ "a ; forgotten between two options is asked for",
	    SPAN("tenants = ( { name = \"a\"; } { name = \"b\"; } );"),
	    "host.conf:1: syntax error\n" },
	{ "an array is of one type", SPAN("cell={paths=[1,\"/a\"];};"),
	    "host.conf:1: mismatched element type in array\n" },
	{ "a comment without an end does not hide the rest",
	    SPAN("/**/\n/* a\nbananas = 1;\n"),
	    "host.conf:2: the comment that begins here has no end\n" },
	{ "an error cannot end its line or speak to a terminal",
	    SPAN("drain = \"\n\x1b[2J\";"),
	    "host.conf:1: drain = \"??[2J\" does not begin with a number such "
	    "as 10 or 1.5: it takes 0 to 1h\n" },
	{ "errors in an included file name that file",
	    SPAN("@include \"part.conf\"\n"),
	    "part.conf:3: unknown option slots.hots; did you mean "
	    "slots.host?\n" },
	{ "a directory cannot be included", SPAN("\n@include \"directory\"\n"),
	    "host.conf:2: @include: directory is no regular file\n" },
	{ "a file that is not there cannot be included",
	    SPAN("@include \"nothing\"\n"),
	    "host.conf:1: @include: nothing cannot be opened: No such file or "
	    "directory\n" },
	{ "a file that includes itself is found out",
	    SPAN("@include \"loop.conf\"\n"),
	    "loop.conf:1: @include is more than 10 deep\n" },
	{ "a text behind a comma is an item only in a list",
	    SPAN("front = { group = \"a\", \"b\" };"),
	    "host.conf:1: text stands where none can: is a ; or = missing?\n" },
	{ "nesting has a bound",
	    SPAN("a=((((((((((((((((((((((((((((((((((((((((((((((((("),
	    "host.conf:1: brackets are nested more than 16 deep\n" },
};

static void
run_mistake(void **state)
{
	const struct mistake *row = *state;
	struct config *c;
	struct buf errors;
	char text[4096];

	buf_init(&errors, 65536);
	c = load(row->text, &errors);
	without_directory(&errors, text, sizeof(text));
	assert_string_equal(text, row->errors);
	assert_null(c);
	buf_free(&errors);
}

/* ---- what is right ---------------------------------------------------------------- */

static struct config *
load_good(struct span text)
{
	struct config *c;
	struct buf errors;

	buf_init(&errors, 65536);
	c = load(text, &errors);
	if (!c)
		fail_msg("%s", buf_string(&errors));
	assert_int_equal(buf_bytes(&errors), 0);
	buf_free(&errors);
	return c;
}

static void
test_everything(void)
{
	struct config *c = load_good(SPAN(
	    "functions = \"/srv/f\"; log = \"\"; allow_accel = true;\n"
	    "front = { users = ( \"a\", \"b\" ); };\n"
	    "cell : { idle = \"90s\"; tmp = \"1.5 MiB\"; paths = [ \"/opt\" ] "
	    "}\n"
	    "queue = { host = 0; };\n"
	    "limits = { idle = \"3s\"; cpu = 0; };\n"
	    "maximum = { memory = 0; cpu = 0; };\n"
	    "tenants = ( { name = \"git\"; read = [ \"/srv/git\" ];\n"
	    "  slots = 8; env = { A = \"1\"; B = \"\"; }; },\n"
	    "  { name = \"acme\"; write = ( \"/srv/acme\" ); } );\n"));
	const struct terms *g = config_terms(c, SPAN("git"));

	assert_string_equal(c->functions, "/srv/f");
	assert_string_equal(c->log, "");
	assert_true(c->allow_accel);
	assert_int_equal(c->front_users.count, 2);
	assert_string_equal(c->front_users.items[1], "b");
	assert_int_equal(c->cell_idle, 90000);
	assert_int_equal(c->tmp_size, 1536 * 1024);
	assert_string_equal(c->cell_paths.items[0], "/opt");
	assert_int_equal(c->queue_host, 0);
	assert_int_equal(c->queue_tenant, 1024);
	assert_int_equal(c->limits[LIMIT_idle], 3000);
	assert_int_equal(c->limits[LIMIT_cpu], 0);
	assert_int_equal(c->maximum[LIMIT_memory], 0);
	assert_int_equal(c->generation, 1);

	assert_string_equal(g->read.items[0], "/srv/git");
	assert_int_equal(g->write.count, 0);
	assert_int_equal(g->slots, 8);
	assert_string_equal(g->env.items[0], "A=1");
	assert_string_equal(g->env.items[1], "B=");
	assert_int_equal(config_terms(c, SPAN("gi"))->env.count, 0);
	assert_string_equal(config_terms(c, SPAN("acme"))->write.items[0],
	    "/srv/acme");
	config_release(&c);
}

static void
test_relative(void)
{
	static const struct {
		const char *written;
		const char *below; /* of the directory */
	} rows[] = {
		{ "f", "/f" },
		{ "./f", "/f" },
		{ "././/f", "/f" },
		{ "f/../g", "/f/../g" },
	};
	char text[128], wanted[PATH_MAX + 16];
	struct config *c;

	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(text, sizeof(text), "functions = \"%s\";",
		    rows[i].written);
		c = load_good(span_of(text));
		snprintf(wanted, sizeof(wanted), "%s%s", directory,
		    rows[i].below);
		assert_string_equal(c->functions, wanted);
		config_release(&c);
	}
	c = load_good(SPAN("functions = \"../f\"; link_targets = [ \"x\" ];"));
	snprintf(wanted, sizeof(wanted), "%.*s/f",
	    (int)(strrchr(directory, '/') - directory), directory);
	assert_string_equal(c->functions, wanted);
	assert_string_equal(c->link_targets.items[0], path_of("x"));
	config_release(&c);

	c = load_good(SPAN("functions = \"../../../../../../f\";"));
	assert_string_equal(c->functions, "/f");
	config_release(&c);

	c = load_good(SPAN(""));
	assert_string_equal(c->functions, path_of("functions"));
	assert_string_equal(c->log, "");
	config_release(&c);
}

static void
test_follows(void)
{
	struct config *c =
	    load_good(SPAN("maximum = { time = \"5s\"; };\n"
			   "slots = { function_maximum = 3; };"));

	assert_int_equal(c->limits[LIMIT_time], 5000);
	assert_int_equal(c->slots_function, 3);
	config_release(&c);
}

static void
test_not_there(void)
{
	struct buf errors;
	char text[512];

	buf_init(&errors, 4096);
	assert_null(config_load(path_of("nothing.conf"), 1, &errors));
	assert_null(config_load(path_of("directory"), 1, &errors));
	without_directory(&errors, text, sizeof(text));
	assert_string_equal(text,
	    "nothing.conf: cannot be opened: No such file or directory\n"
	    "directory: is no regular file\n");
	buf_free(&errors);
}

/* Links are followed, and the command line is over the file. */
static void
test_places(void)
{
	static const struct config_places here = { .functions = "/f/functions",
		.run = "/f/run",
		.log = "/f/log",
		.state = "/f/state" };
	struct buf errors;
	char text[2 * PATH_MAX];

	assert_int_equal(symlink("/proc", path_of("link")), 0);
	buf_init(&errors, 4096);
	file_write("host.conf",
	    SPAN("functions = \"/g/functions\"; tenants = ( { name = \"a\";\n"
		 "read = [ \"/g\", \"/f/state/uids\", \"/f/log\" ]; } );"));
	assert_null(config_load_for(path_of("host.conf"), 1, &here, &errors));
	without_directory(&errors, text, sizeof(text));
	assert_string_equal(text,
	    "host.conf:2: tenants.read has \"/f/state/uids\", which functions "
	    "must not see: the state directory of the host is there\n"
	    "host.conf:2: tenants.read has \"/f/log\", which functions must "
	    "not see: the log of the host is there\n");

	buf_clear(&errors);
	snprintf(text, sizeof(text), "cell = { paths = [ \"%s\" ]; };",
	    path_of("link"));
	assert_null(load(span_of(text), &errors));
	assert_non_null(strstr(buf_string(&errors),
	    "this one shows the processes of the host"));
	unlink(path_of("link"));
	buf_free(&errors);
}

static void
put_tenants(struct buf *text, int count)
{
	buf_put_string(text,
	    "plans = ( { name = \"p\"; rate = 20; } );\n"
	    "tenants = (\n");
	for (int i = count; i > 0; i--)
		buf_printf(text,
		    "{ name = \"tenant-%d\"; plan = \"p\"; read = [ \"/srv/%d\" "
		    "]; env = { HOME = \"/srv/%d\"; }; }%s\n",
		    i, i, i, i > 1 ? "," : " );");
}

/* Thousands, with what classic customers have. */
static void
test_many_tenants(void)
{
	struct buf text, errors;
	const struct terms *terms;
	struct config *c, *again;
	uint64_t bytes;
	char name[32];
	int fd;

	buf_init(&text, CONFIG_BYTES_MOST);
	buf_init(&errors, 65536);
	put_tenants(&text, 20000);
	c = load(buf_span(&text), &errors);
	assert_non_null(c);
	fd = config_seal(c, true, &bytes);
	assert_true(fd >= 0);
	again = config_unseal(fd, bytes);
	assert_non_null(again);
	for (int i = 1; i <= 20000; i += 1111) {
		snprintf(name, sizeof(name), "tenant-%d", i);
		terms = config_terms(again, span_of(name));
		assert_string_equal(terms->plan, "p");
		assert_string_equal(terms->env.items[0] + 10, name + 7);
		assert_true(terms_equal(terms, config_terms(c, span_of(name))));
	}
	assert_string_equal(config_terms(again, SPAN("tenant-"))->plan, "");
	close(fd);
	config_release(&again);

	fd = config_seal(c, false, &bytes); /* for log and state */
	assert_true(bytes < 1024);
	close(fd);
	config_release(&c);
	buf_free(&errors);
	buf_free(&text);
}

/* `count` tenants with `items` long paths each. */
static void
put_paths(struct buf *text, int first, int count, int items)
{
	for (int i = first; i < first + count; i++) {
		buf_printf(text, "%s{ name = \"t%d\"; ",
		    first > 1 || i > first ? ",\n" : "", i);
		for (int list = 0; list < 2; list++) {
			buf_put_string(text, list ? "read = [" : "write = [");
			for (int j = 0; j < items; j++)
				buf_printf(text, "%s\"/%04000d\"",
				    j > 0 ? ", " : "", j);
			buf_put_string(text, "]; ");
		}
		buf_put_string(text, "}");
	}
}

static void
test_too_large(void)
{
	struct buf text, errors;

	buf_init(&text, CONFIG_BYTES_MOST + 64);
	buf_init(&errors, 65536);
	put_paths(&text, 301, 300, 4);
	file_write("part.conf", buf_span(&text));
	buf_clear(&text);
	buf_put_string(&text, "# customers\ntenants = (\n");
	put_paths(&text, 1, 300, 4);
	buf_put_string(&text, "\n@include \"part.conf\"\n);\n");
	assert_null(load(buf_span(&text), &errors));
	if (!strstr(buf_string(&errors),
		"host.conf:2: the configuration has 18793 KiB, of which "
		"tenants has 18793 KiB; 16384 KiB are allowed\n"))
		fail_msg("%s", buf_string(&errors));

	buf_clear(&text);
	buf_clear(&errors);
	while (buf_bytes(&text) <= CONFIG_BYTES_MOST)
		buf_put_string(&text, "# nothing but comments\n");
	assert_null(load(buf_span(&text), &errors));
	if (!strstr(buf_string(&errors),
		"host.conf: is larger than 16384 KiB\n"))
		fail_msg("%s", buf_string(&errors));
	buf_free(&errors);
	buf_free(&text);
}

/* A list of `count` items of `bytes` bytes that begin with `first`. */
static void
put_list(struct buf *text, const char *name, const char *first, int count,
    int bytes)
{
	buf_printf(text, "%s = [", name);
	for (int i = 0; i < count; i++)
		buf_printf(text, "%s\"%s%0*d\"", i > 0 ? ", " : "", first,
		    bytes - (int)strlen(first), i);
	buf_put_string(text, "];\n");
}

static void
put_full(struct buf *text, const char *name)
{
	buf_printf(text, "{ name = \"%s\"; ", name);
	put_list(text, "read", "/", 4, 4000);
	put_list(text, "write", "/", 4, 4000);
	buf_put_string(text, "env = {");
	for (int i = 0; i < 8; i++)
		buf_printf(text, " %s%d = \"%04000d\";", name, i, i);
	buf_put_string(text, " }; }");
}

/* A cell gets what is its own in one message: all lists have to be full before
 * that is too small. */
static void
test_too_large_for_a_cell(void)
{
	struct buf text, errors;

	buf_init(&text, CONFIG_BYTES_MOST);
	buf_init(&errors, 65536);
	buf_printf(&text, "functions = \"/%04000d\"; run = \"/%04000d\";\n", 0,
	    0);
	put_list(&text, "link_targets", "/", 4, 4000);
	put_list(&text, "environment", "N", 250, 60);
	buf_put_string(&text, "cell = { ");
	put_list(&text, "paths", "/", 4, 4000);
	buf_put_string(&text, "}; front = { ");
	put_list(&text, "users", "u", 4, 4000);
	buf_put_string(&text, "};\nplan = \"p\"; plans = (");
	put_full(&text, "p");
	buf_put_string(&text, ");\ntenants = ( { name = \"a\"; },\n");
	put_full(&text, "b");
	buf_put_string(&text, " );\n");
	assert_null(load(buf_span(&text), &errors));
	if (!strstr(buf_string(&errors),
		"host.conf:11: tenant b has 196 KiB, with its plan and the "
		"options of all; 190 KiB are allowed\n"))
		fail_msg("%s", buf_string(&errors));
	buf_free(&errors);
	buf_free(&text);
}

static void
test_random(void)
{
	static const char *const words[] = { "slots", "limits", "tenants", "{",
		"}", "(", ")", "[", "]", "=", ";", ",", "\"10s\"", "\"", "12",
		"-1", "true", "name", "env", "@include", "\n", "\\", "/*", "*/",
		"#", "//", "0x", "\xff", "time", "host", "read", "1.5", "9L",
		":" };
	uint64_t seed = rows_seed();
	struct buf text, errors;

	buf_init(&text, 4096);
	buf_init(&errors, 65536);
	for (int i = 0; i < 3000; i++) {
		struct config *c;

		buf_clear(&text);
		buf_clear(&errors);
		for (uint64_t j = rows_random(&seed, 40); j > 0; j--)
			buf_printf(&text, "%s ",
			    words[rows_random(&seed, COUNT(words))]);
		c = load(buf_span(&text), &errors);
		assert_true(c ? buf_bytes(&errors) == 0 :
				buf_bytes(&errors) > 0);
		config_release(&c);
	}
	buf_free(&errors);
	buf_free(&text);
}

static const struct tenant_row {
	const char *sentence;
	struct span name;
	bool good;
} tenants[] = {
	{ "one letter is a tenant", SPAN("a"), true },
	{ "so is a digit first", SPAN("0-_x"), true },
	{ "a tenant has a name", SPAN(""), false },
	{ "that does not begin with a dash, like an option", SPAN("-a"),
	    false },
	{ "nor with an underscore", SPAN("_a"), false },
	{ "hosts' names have no case, so it has none", SPAN("Acme"), false },
	{ "nor at its end", SPAN("acmE"), false },
	{ "nor a dot", SPAN("a.b"), false },
	{ "it is not the directory itself", SPAN("."), false },
	{ "nor the one above", SPAN(".."), false },
	{ "nor a slash", SPAN("a/b"), false },
	{ "nor a blank", SPAN("a b"), false },
	{ "nor a letter beyond ASCII", SPAN("caf\xc3\xa9"), false },
	{ "nor a line end", SPAN("a\n"), false },
	{ "nor a NUL", SPAN("a\0b"), false },
	{ "63 characters are enough",
	    SPAN("012345678901234567890123456789012345678901234567890123456789"
		 "012"),
	    true },
	{ "64 are not",
	    SPAN("012345678901234567890123456789012345678901234567890123456789"
		 "0123"),
	    false },
};

static void
test_tenant(void **state)
{
	const struct tenant_row *row = *state;

	assert_int_equal(config_tenant_name(row->name), row->good);
}

static const struct story {
	const char *sentence;
	void (*test)(void);
} stories[] = {
	{ "every kind of option is read", test_everything },
	{ "relative paths begin at the file, defaults too", test_relative },
	{ "a default that was not written follows its maximum", test_follows },
	{ "a file that is not there, or no file, is said so", test_not_there },
	{ "where the host keeps its own is not granted", test_places },
	{ "thousands of tenants fit into a message, too many are refused",
	    test_many_tenants },
	{ "what is too large is refused, with how large and where",
	    test_too_large },
	{ "what one tenant has is bounded, too", test_too_large_for_a_cell },
	{ "whatever the words, there is a configuration or an error",
	    test_random },
};

static void
run_story(void **state)
{
	((const struct story *)*state)->test();
}

int
main(void)
{
	int failed;

	directory_make();
	mkdir(path_of("directory"), 0700);
	file_write("part.conf", SPAN("# included\n\nslots = { hots = 3; };\n"));
	file_write("loop.conf", SPAN("@include \"loop.conf\"\n"));
	failed = RUN_ROWS(mistakes, run_mistake);
	failed += RUN_ROWS(stories, run_story);
	failed += RUN_ROWS(tenants, test_tenant);
	directory_remove();
	return failed;
}
