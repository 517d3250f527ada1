/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant gets more than the administrator allows, or an author
 * is told nothing useful about his settings. */
#include "config_files.h"

#include <errno.h>

static struct config *config;	       /* the defaults */
static unsigned program = PROGRAM_CGI; /* what the function is */

static int
read_settings(struct settings *s, const struct config *c, struct span text,
    struct buf *errors)
{
	int fd = file_in_memory(text), result;

	result = settings_read(s, config_terms(c, SPAN_NONE), fd, "hello.conf",
	    program, errors);
	fd_close(&fd);
	return result;
}

#define UNKNOWN                                                             \
	"needs protocol = \"fastcgi\": the program was not built with the " \
	"SDK, so it is taken for a CGI program\n"
#define NEW_EACH                                                            \
	"contradicts protocol = \"cgi\", which has a new process for each " \
	"request\n"

static const struct mistake {
	const char *sentence;
	struct span text;
	const char *errors; /* all of them */
} mistakes[] = {
	{ "a limit above the maximum names the maximum and whose it is",
	    SPAN("\n\nlimits = { time = \"1h\"; };\n"),
	    "hello.conf:3: limits.time = 1h is above the host's maximum of 5m "
	    "(maximum.time)\n" },
	{ "so for sizes", SPAN("limits = { memory = \"5 GiB\"; };"),
	    "hello.conf:1: limits.memory = 5 GiB is above the host's maximum "
	    "of 4 GiB (maximum.memory)\n" },
	{ "so for counts", SPAN("limits = { files = 5000; };"),
	    "hello.conf:1: limits.files = 5000 is above the host's maximum of "
	    "4096 (maximum.files)\n" },
	{ "more slots than a function may ask for", SPAN("concurrency=1025;"),
	    "hello.conf:1: concurrency = 1025 is above the host's maximum of "
	    "1024 (slots.function_maximum)\n" },
	{ "a limit cannot be switched off", SPAN("limits = { time = 0; };"),
	    "hello.conf:1: limits.time = 0 would switch it off, which the "
	    "host does not allow: it takes 1ms to 5m\n" },
	{ "not by a unit either", SPAN("limits = { output = \"0 GiB\"; };"),
	    "hello.conf:1: limits.output = 0 would switch it off, which the "
	    "host does not allow: it takes 1 B to 64 GiB\n" },
	{ "an error of syntax stands alone",
	    SPAN("concurrency = -1;\nenv = { A = ; };\n"),
	    "hello.conf:2: syntax error\n" },
	{ "errors of meaning come all at once",
	    SPAN("body = \"steram\";\nconcurrency = -1;\ntiem = 3;\n"),
	    "hello.conf:1: body = \"steram\" is not known: it takes one of "
	    "\"file\", \"stream\"; did you mean \"stream\"?\n"
	    "hello.conf:2: concurrency = -1 is out of range: it takes 0 to "
	    "1024\n"
	    "hello.conf:3: unknown option tiem; did you mean limits.time?\n" },
	{ "@include is refused, whatever it names",
	    SPAN("requests = 1;\n  @include \"/etc/passwd\"\n"),
	    "hello.conf:2: @include is not allowed in the settings of a "
	    "tenant\n" },
	{ "also behind an option", SPAN("requests = 1; @include \"x\"\n"),
	    "hello.conf:1: @include is not allowed in the settings of a "
	    "tenant\n" },
	{ "also behind a comment", SPAN("/* \n */ @include \"x\"\n"),
	    "hello.conf:2: @include is not allowed in the settings of a "
	    "tenant\n" },
	{ "a client's header is no variable of a file",
	    SPAN("env = {\n HTTP_COOKIE = \"x\"; };"),
	    "hello.conf:2: env: HTTP_COOKIE is set by the host for each "
	    "request\n" },
	{ "nor what the web server knows",
	    SPAN("env = { REMOTE_USER = \"root\"; };"),
	    "hello.conf:1: env: REMOTE_USER is set by the host for each "
	    "request\n" },
	{ "nor what the host says", SPAN("env = { FN_TOKEN = \"x\"; };"),
	    "hello.conf:1: env: FN_TOKEN is set by the host for each "
	    "request\n" },
	{ "nor what the loader obeys", SPAN("env = { LD_AUDIT = \"x\"; };"),
	    "hello.conf:1: env: LD_AUDIT is obeyed by the loader or a shell "
	    "before the function runs\n" },
	{ "a name with a dash is no variable", SPAN("env = { A-B = \"x\"; };"),
	    "hello.conf:1: env: A-B is no name of a variable: letters, digits "
	    "and _ only\n" },
	{ "a variable is text", SPAN("env = {\nPORT = 80; };"),
	    "hello.conf:2: env.PORT takes text: \"...\"\n" },
	{ "variables are no list", SPAN("env = [ \"A=b\" ];"),
	    "hello.conf:1: env takes a group of texts: { NAME = \"value\"; "
	    "}\n" },
	{ "arguments are a list", SPAN("args = \"-v\";"),
	    "hello.conf:1: args takes a list of texts: [ \"...\", \"...\" "
	    "]\n" },
	{ "arguments are text", SPAN("args = ( \"-n\", 3 );"),
	    "hello.conf:1: args takes a list of texts: [ \"...\", \"...\" "
	    "]\n" },
	{ "a method has no blank in it", SPAN("methods = [ \"GE T\" ];"),
	    "hello.conf:1: methods has what is no request method\n" },
	{ "what cannot fork is not asked to", SPAN("\nstart = \"fork\";"),
	    "hello.conf:2: start = \"fork\" needs a program that can be a "
	    "template: one built with the SDK, see fn(3), or one in "
	    "Python\n" },
	{ "a way to start that there is not", SPAN("start = \"frok\";"),
	    "hello.conf:1: start = \"frok\" is not known: it takes one of "
	    "\"auto\", \"exec\", \"fork\"; did you mean \"fork\"?\n" },
	{ "a protocol that there is not",
	    SPAN("protocol = \"fascgi\"; spare = -1;"),
	    "hello.conf:1: protocol = \"fascgi\" is not known: it takes one "
	    "of \"auto\", \"cgi\", \"fastcgi\"; did you mean \"fastcgi\"?\n"
	    "hello.conf:1: spare = -1 is out of range: it takes 0 to 8\n" },
	{ "processes ahead are for programs that speak FastCGI",
	    SPAN("\nspare = 2;"), "hello.conf:2: spare = 2 " UNKNOWN },
	{ "so is serving many requests", SPAN("requests = 20;"),
	    "hello.conf:1: requests = 20 " UNKNOWN },
	{ "or without end", SPAN("requests = 0;"),
	    "hello.conf:1: requests = 0 " UNKNOWN },
	{ "what contradicts what the same file says",
	    SPAN("protocol = \"cgi\";\nspare = 2;\nspare_max = 3;\n"
		 "requests = 4;"),
	    "hello.conf:4: requests = 4 " NEW_EACH
	    "hello.conf:2: spare = 2 " NEW_EACH
	    "hello.conf:3: spare_max = 3 " NEW_EACH },
	{ "the most that is less than the least",
	    SPAN("protocol = \"fastcgi\"; spare = 3;\nspare_max = 2;"),
	    "hello.conf:2: spare_max = 2 is less than spare = 3\n" },
	{ "more ready than may run",
	    SPAN("protocol = \"fastcgi\"; spare = 3; concurrency = 2;"),
	    "hello.conf:1: spare = 3 is more than concurrency = 2 lets run\n" },
	{ "more ready than all functions may have",
	    SPAN("protocol = \"fastcgi\"; spare = 9;"),
	    "hello.conf:1: spare = 9 is above the host's maximum of 8 "
	    "(tenant.spare)\n" },
	{ "also as the most", SPAN("protocol = \"fastcgi\"; spare_max = 9;"),
	    "hello.conf:1: spare_max = 9 is above the host's maximum of 8 "
	    "(tenant.spare)\n" },
	{ "a group is not repeated",
	    SPAN("limits={time=\"1s\";};\nlimits={files=9;};"),
	    "hello.conf:2: duplicate setting name\n" },
	{ "an option of the host is no setting", SPAN("slots = { host = 1; };"),
	    "hello.conf:1: unknown option slots\n" },
	{ "the host's maxima are no settings",
	    SPAN("maximum = { time = \"1h\"; };"),
	    "hello.conf:1: unknown option maximum\n" },
	{ "a number that would be cut is refused",
	    SPAN("requests = 4294967297;"),
	    "hello.conf:1: the number 4294967297 is above 2147483647, the "
	    "most a number may be; times and sizes are text with their "
	    "unit\n" },
	{ "a NUL is found", SPAN("requests = 1;\0start = 3;"),
	    "hello.conf:1: there is a NUL in the file\n" },
};

static void
run_mistake(void **state)
{
	const struct mistake *row = *state;
	struct settings *s = settings_draft(config_terms(config, SPAN_NONE));
	struct buf errors;

	buf_init(&errors, 65536);
	assert_int_equal(read_settings(s, config, row->text, &errors), -1);
	assert_string_equal(buf_string(&errors), row->errors);
	buf_free(&errors);
	settings_release(&s);
}

static int
read_tenant(struct settings *s, const struct config *c, struct span text,
    struct buf *errors)
{
	unsigned before = program;
	int result;

	program = PROGRAM_ANY;
	result = read_settings(s, c, text, errors);
	program = before;
	return result;
}

/* ---- what is right ---------------------------------------------------------------- */

static struct settings *
settings_of(const struct config *c, struct span first, struct span second)
{
	struct settings *s = settings_draft(config_terms(c, SPAN_NONE));
	struct buf errors;

	buf_init(&errors, 65536);
	if (read_tenant(s, c, first, &errors) != 0 ||
	    read_settings(s, c, second, &errors) != 0)
		fail_msg("%s", buf_string(&errors));
	assert_int_equal(buf_bytes(&errors), 0);
	buf_free(&errors);
	settings_settle(s, program);
	return s;
}

static void
test_defaults(void)
{
	struct settings *s = settings_of(config, SPAN(""), SPAN("# none\n"));

	assert_int_equal(s->start, START_EXEC);
	assert_int_equal(s->protocol, PROTOCOL_CGI);
	assert_int_equal(s->requests, 1);
	assert_int_equal(s->concurrency, config->slots_function);
	assert_int_equal(s->body, BODY_FILE);
	assert_int_equal(s->state, STATE_WRITE);
	assert_int_equal(s->env.count, 0);
	assert_false(s->pass_authorization);
	assert_memory_equal(s->limits, config->limits, sizeof(s->limits));
	settings_release(&s);
}

static void
test_everything(void)
{
	struct settings *s = settings_of(config,
	    SPAN("env = { A = \"tenant\"; B = \"tenant\"; };\n"
		 "limits = { time = \"1s\"; grace = \"0.25s\"; };\n"
		 "args = [ \"-t\" ];\n"),
	    SPAN("start = \"exec\"; protocol = \"cgi\"; requests = 1;\n"
		 "spare = 0; concurrency = 0; methods = [ \"GET\", \"PUT\" ];\n"
		 "env = { B = \"own\\n\"; C = \"=\"; GIT_DIR = \"/x\"; };\n"
		 "args = [ \"\", \"-v\" ]; pass_authorization = true;\n"
		 "body = \"stream\"; state = \"none\";\n"
		 "limits = { time = \"5m\"; idle = \"2s\"; body = \"1 KiB\"; "
		 "files = 4096; };\n"));

	assert_int_equal(s->start, START_EXEC);
	assert_int_equal(s->protocol, PROTOCOL_CGI);
	assert_int_equal(s->requests, 1);
	assert_int_equal(s->spare, 0);
	assert_int_equal(s->concurrency, 0);
	assert_int_equal(s->methods.count, 2);
	assert_int_equal(s->env.count, 4);
	assert_string_equal(s->env.items[0], "A=tenant");
	assert_string_equal(s->env.items[1], "B=own\n");
	assert_string_equal(s->env.items[2], "C==");
	assert_string_equal(s->env.items[3], "GIT_DIR=/x");
	assert_int_equal(s->args.count, 2);
	assert_string_equal(s->args.items[0], "");
	assert_true(s->pass_authorization);
	assert_int_equal(s->body, BODY_STREAM);
	assert_int_equal(s->state, STATE_NONE);
	assert_int_equal(s->limits[LIMIT_time], 300000);
	assert_int_equal(s->limits[LIMIT_grace], 250);
	assert_int_equal(s->limits[LIMIT_idle], 2000);
	assert_int_equal(s->limits[LIMIT_body], 1024);
	assert_int_equal(s->limits[LIMIT_files], 4096);
	assert_int_equal(s->limits[LIMIT_queue], config->limits[LIMIT_queue]);
	settings_release(&s);
}

static const struct mode_row {
	const char *sentence;
	unsigned program;
	struct span tenant;
	struct span own;
	unsigned protocol;
	uint64_t requests;
	uint64_t spare;
	uint64_t spare_max;
} modes[] = {
	{ "a program without settings is a CGI program", PROGRAM_CGI, SPAN(""),
	    SPAN(""), PROTOCOL_CGI, 1, 0, 0 },
	{ "one of the SDK stays, without a line", PROGRAM_SDK, SPAN(""),
	    SPAN(""), PROTOCOL_FASTCGI, 500, 0, 0 },
	{ "one in Python has a process for each request", PROGRAM_PYTHON,
	    SPAN(""), SPAN(""), PROTOCOL_CGI, 1, 0, 0 },
	{ "and stays with one line", PROGRAM_PYTHON, SPAN(""),
	    SPAN("protocol = \"fastcgi\";"), PROTOCOL_FASTCGI, 500, 0, 0 },
	{ "any other with one line", PROGRAM_CGI, SPAN(""),
	    SPAN("protocol = \"fastcgi\";"), PROTOCOL_FASTCGI, 500, 0, 0 },
	{ "one of the SDK runs as CGI where its file says so", PROGRAM_SDK,
	    SPAN(""), SPAN("protocol = \"cgi\";"), PROTOCOL_CGI, 1, 0, 0 },
	{ "a process for each request, ready before it", PROGRAM_CGI, SPAN(""),
	    SPAN("protocol = \"fastcgi\"; requests = 1; spare = 4;"),
	    PROTOCOL_FASTCGI, 1, 4, 4 },
	{ "requests without end", PROGRAM_SDK, SPAN(""),
	    SPAN("requests = 0; spare_max = 3;"), PROTOCOL_FASTCGI, 0, 0, 3 },
	{ "what a tenant wants for all does not make a CGI program wrong",
	    PROGRAM_CGI, SPAN("requests = 9; spare = 2;"), SPAN(""),
	    PROTOCOL_CGI, 1, 0, 0 },
	{ "nor one that says so itself", PROGRAM_SDK,
	    SPAN("spare = 2; protocol = \"fastcgi\";"),
	    SPAN("protocol = \"cgi\"; requests = 1;"), PROTOCOL_CGI, 1, 0, 0 },
	{ "and is had by those that are not", PROGRAM_SDK,
	    SPAN("requests = 9; spare = 2; concurrency = 3;"),
	    SPAN("spare_max = 1;"), PROTOCOL_FASTCGI, 9, 2, 2 },
	{ "auto comes over what the tenant says", PROGRAM_SDK,
	    SPAN("protocol = \"cgi\";"),
	    SPAN("protocol = \"auto\"; spare = 1;"), PROTOCOL_FASTCGI, 500, 1,
	    1 },
};

static void
run_mode(void **state)
{
	const struct mode_row *row = *state;
	struct settings *s, *again;
	struct buf bytes;

	program = row->program;
	s = settings_of(config, row->tenant, row->own);
	program = PROGRAM_CGI;
	assert_int_equal(s->protocol, row->protocol);
	assert_int_equal(s->requests, row->requests);
	assert_int_equal(s->spare, row->spare);
	assert_int_equal(s->spare_max, row->spare_max);

	buf_init(&bytes, SETTINGS_BYTES_MOST);
	assert_int_equal(settings_encode(s, config_terms(config, SPAN_NONE),
			     &bytes),
	    0);
	again =
	    settings_decode(buf_span(&bytes), config_terms(config, SPAN_NONE));
	assert_non_null(again);
	assert_int_equal(again->protocol, row->protocol);
	assert_int_equal(again->requests, row->requests);
	assert_int_equal(again->spare, row->spare);
	assert_int_equal(again->spare_max, row->spare_max);
	settings_release(&again);
	buf_free(&bytes);
	settings_release(&s);
}

static const struct start_row {
	const char *sentence;
	unsigned program;
	struct span tenant;
	struct span own;
	unsigned start;
} starts[] = {
	{ "what has the SDK is forked where its file says so", PROGRAM_SDK,
	    SPAN(""), SPAN("start = \"fork\"; protocol = \"cgi\";"),
	    START_FORK },
	{ "or its tenant's", PROGRAM_SDK, SPAN("start = \"fork\";"), SPAN(""),
	    START_FORK },
	{ "but not where its own says otherwise", PROGRAM_SDK,
	    SPAN("start = \"fork\";"), SPAN("start = \"exec\";"), START_EXEC },
	{ "what may be is, where that pays, without a line", PROGRAM_SDK,
	    SPAN(""), SPAN(""), START_AUTO },
	{ "so is a function in Python", PROGRAM_PYTHON, SPAN(""), SPAN(""),
	    START_AUTO },
	{ "which its runtime makes it", PROGRAM_CGI, SPAN(""),
	    SPAN("runtime = \"python\"; start = \"fork\";"), START_FORK },
	{ "what cannot be is not, whatever its tenant wants for all",
	    PROGRAM_CGI, SPAN("start = \"fork\";"), SPAN(""), START_EXEC },
};

static void
run_start(void **state)
{
	const struct start_row *row = *state;
	struct settings *s, *again;
	struct buf bytes;

	program = row->program;
	s = settings_of(config, row->tenant, row->own);
	program = PROGRAM_CGI;
	assert_int_equal(s->start, row->start);
	buf_init(&bytes, SETTINGS_BYTES_MOST);
	assert_int_equal(settings_encode(s, config_terms(config, SPAN_NONE),
			     &bytes),
	    0);
	again =
	    settings_decode(buf_span(&bytes), config_terms(config, SPAN_NONE));
	assert_non_null(again);
	assert_int_equal(again->start, row->start);
	settings_release(&again);
	buf_free(&bytes);
	settings_release(&s);
}

/* Two files that are each right, but not this one over that one. */
static void
test_tenant_says_cgi(void)
{
	struct settings *s = settings_draft(config_terms(config, SPAN_NONE));
	struct buf errors;

	buf_init(&errors, 4096);
	assert_int_equal(read_tenant(s, config, SPAN("protocol = \"cgi\";"),
			     &errors),
	    0);
	assert_int_equal(read_settings(s, config, SPAN("spare = 2;"), &errors),
	    -1);
	assert_string_equal(buf_string(&errors),
	    "hello.conf:1: spare = 2 contradicts protocol = \"cgi\" of "
	    "tenant.conf: say protocol = \"fastcgi\" if it speaks that\n");
	buf_free(&errors);
	settings_release(&s);
}

static void
test_tenant_contradicts_itself(void)
{
	struct settings *s = settings_draft(config_terms(config, SPAN_NONE));
	struct buf errors;

	buf_init(&errors, 4096);
	assert_int_equal(read_tenant(s, config,
			     SPAN("protocol = \"cgi\"; spare = 2;"), &errors),
	    -1);
	assert_string_equal(buf_string(&errors),
	    "hello.conf:1: spare = 2 " NEW_EACH);
	buf_free(&errors);
	settings_release(&s);
}

static void
test_plan_bounds_spares(void)
{
	struct config *c;
	struct settings *s;
	struct buf errors;

	buf_init(&errors, 4096);
	c = load(
	    span_of("plans = ( { name = \"p\"; spare = 0; } ); plan = \"p\";"),
	    &errors);
	assert_non_null(c);
	s = settings_draft(config_terms(c, SPAN_NONE));
	assert_int_equal(read_settings(s, c,
			     SPAN("protocol = \"fastcgi\"; spare = 1;"),
			     &errors),
	    -1);
	assert_string_equal(buf_string(&errors),
	    "hello.conf:1: spare = 1 is above the tenant's maximum of 0 "
	    "(spare of plan p)\n");
	buf_free(&errors);
	settings_release(&s);
	config_release(&c);
}

static void
test_off(void)
{
	struct config *c = config_new();
	struct settings *s;
	struct buf errors;

	buf_init(&errors, 4096);
	/* the host itself does not limit it */
	c->limits[LIMIT_cpu] = 0;
	config_settle(c);
	s = settings_of(c, SPAN("limits={cpu=\"1s\";};"),
	    SPAN("limits={cpu=0;};"));
	assert_int_equal(s->limits[LIMIT_cpu], 0);
	settings_release(&s);

	/* it does now */
	c->limits[LIMIT_cpu] = 1000;
	config_settle(c);
	s = settings_draft(config_terms(c, SPAN_NONE));
	assert_int_equal(read_settings(s, c, SPAN("limits={cpu=0;};"), &errors),
	    -1);
	settings_release(&s);

	/* no maximum: off, or anything */
	c->maximum[LIMIT_time] = 0;
	config_settle(c);
	s = settings_of(c, SPAN("limits={time=\"1d\";};"),
	    SPAN("limits={time=0;};"));
	assert_int_equal(s->limits[LIMIT_time], 0);
	settings_release(&s);
	buf_free(&errors);
	config_release(&c);
}

static void
test_methods(void)
{
	struct settings *all =
	    settings_of(config, SPAN(""), SPAN("methods = [ ];"));
	struct settings *some =
	    settings_of(config, SPAN(""), SPAN("methods = [ \"GET\" ];"));
	struct settings *post =
	    settings_of(config, SPAN(""), SPAN("methods = [ \"POST\" ];"));

	assert_true(settings_takes_method(all, SPAN("PROPFIND")));
	assert_true(settings_takes_method(some, SPAN("GET")));
	assert_true(settings_takes_method(some, SPAN("HEAD")));
	assert_false(settings_takes_method(some, SPAN("get")));
	assert_false(settings_takes_method(some, SPAN("GE")));
	assert_false(settings_takes_method(some, SPAN("")));
	assert_true(settings_takes_method(post, SPAN("POST")));
	assert_false(settings_takes_method(post, SPAN("HEAD")));
	settings_release(&all);
	settings_release(&some);
	settings_release(&post);
}

static void
test_sizes(void)
{
	static char text[SETTINGS_FILE_MOST + 2];
	struct settings *s = settings_draft(config_terms(config, SPAN_NONE));
	struct buf errors, env;

	buf_init(&errors, 65536);
	buf_init(&env, 128 * 1024);
	memset(text, '\n', sizeof(text));
	assert_int_equal(read_settings(s, config,
			     span_make(text, SETTINGS_FILE_MOST), &errors),
	    0);
	assert_int_equal(read_settings(s, config,
			     span_make(text, SETTINGS_FILE_MOST + 1), &errors),
	    -1);
	assert_string_equal(buf_string(&errors),
	    "hello.conf: is larger than 64 KiB\n");

	buf_clear(&errors);
	memset(text, 'x', sizeof(text));
	buf_printf(&env, "env = { A = \"%.*s\"; B = \"%.*s\"; };", 16000, text,
	    17000, text);
	assert_int_equal(read_settings(s, config, buf_span(&env), &errors), -1);
	assert_string_equal(buf_string(&errors),
	    "hello.conf:1: env has 33006 bytes; 32768 are allowed\n");

	buf_clear(&errors);
	buf_clear(&env);
	buf_put_string(&env, "env = {\n");
	for (int i = 0; i < 257; i++)
		buf_printf(&env, "A%d = \"\";", i);
	buf_put_string(&env, "};");
	assert_int_equal(read_settings(s, config, buf_span(&env), &errors), -1);
	assert_string_equal(buf_string(&errors),
	    "hello.conf:1: env has 257 items; 256 are allowed\n");
	buf_free(&env);
	buf_free(&errors);
	settings_release(&s);
}

static void
test_many_errors(void)
{
	struct settings *s = settings_draft(config_terms(config, SPAN_NONE));
	struct buf errors, text;
	size_t lines = 0;

	buf_init(&errors, 65536);
	buf_init(&text, 65536);
	for (int i = 0; i < 2000; i++)
		buf_printf(&text, "x%d = 1;\n", i);
	assert_int_equal(read_settings(s, config, buf_span(&text), &errors),
	    -1);
	for (const char *c = buf_string(&errors); *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 32);
	buf_free(&text);
	buf_free(&errors);
	settings_release(&s);
}

static void
test_no_file(void)
{
	struct settings *s = settings_draft(config_terms(config, SPAN_NONE));
	struct buf errors;
	int fd = open("/tmp", O_RDONLY | O_CLOEXEC), ends[2];

	buf_init(&errors, 65536);
	assert_int_equal(settings_read(s, config_terms(config, SPAN_NONE), fd,
			     "hello.conf", program, &errors),
	    -1);
	fd_close(&fd);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(settings_read(s, config_terms(config, SPAN_NONE),
			     ends[0], "hello.conf", program, &errors),
	    -1);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	fd = open(path_of("host.conf"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(settings_read(s, config_terms(config, SPAN_NONE), fd,
			     "hello.conf", program, &errors),
	    -1);
	fd_close(&fd);
	assert_string_equal(buf_string(&errors),
	    "hello.conf: is no regular file\n"
	    "hello.conf: is no regular file\n"
	    "hello.conf: cannot be read: Bad file descriptor\n");
	buf_free(&errors);
	settings_release(&s);
}

static void
test_read_from_its_start(void)
{
	struct settings *s = settings_draft(config_terms(config, SPAN_NONE));
	struct buf errors;
	int fd = file_in_memory(SPAN("state=\"none\""));

	buf_init(&errors, 65536);
	assert_int_equal(lseek(fd, 0, SEEK_END), 12);
	assert_int_equal(settings_read(s, config_terms(config, SPAN_NONE), fd,
			     "hello.conf", program, &errors),
	    0);
	assert_int_equal(s->state, STATE_NONE);
	fd_close(&fd);
	buf_free(&errors);
	settings_release(&s);
}

static const struct story {
	const char *sentence;
	void (*test)(void);
} stories[] = {
	{ "without settings a function has the host's defaults",
	    test_defaults },
	{ "its own settings come over its tenant's, variables by name",
	    test_everything },
	{ "what needs FastCGI is refused where the tenant says CGI",
	    test_tenant_says_cgi },
	{ "a tenant's file may not contradict itself either",
	    test_tenant_contradicts_itself },
	{ "a plan without ready processes is named", test_plan_bounds_spares },
	{ "0 is off where the host has no limit or no maximum", test_off },
	{ "GET takes HEAD along, and methods are spelt exactly", test_methods },
	{ "a file, its variables and their number have bounds", test_sizes },
	{ "of many errors the first are told", test_many_errors },
	{ "what is no readable file is said so", test_no_file },
	{ "a file is read from its start", test_read_from_its_start },
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
	config = config_new();
	failed = RUN_ROWS(mistakes, run_mistake);
	failed += RUN_ROWS(modes, run_mode);
	failed += RUN_ROWS(starts, run_start);
	failed += RUN_ROWS(stories, run_story);
	config_release(&config);
	directory_remove();
	return failed;
}
