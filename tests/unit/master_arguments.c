/* SPDX-License-Identifier: MIT */
/* If this fails, the host does something else than its command line says. */

#include "rows.h"

#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"

#include "master/master.h"

enum { ARGUMENTS_MOST = 8 };

struct row {
	const char *sentence;
	const char *line[ARGUMENTS_MOST];
	enum task task;
	const char *config_file, *functions, *run;
	bool verbose;
};

/* clang-format off */
static const struct row rows[] = {
	{ "nothing: serve by the defaults", { NULL }, .task = TASK_SERVE },
	{ "a file, short", { "-c", "a.conf" }, .task = TASK_SERVE,
	    .config_file = "a.conf" },
	{ "a file, long", { "--config=a.conf" }, .task = TASK_SERVE,
	    .config_file = "a.conf" },
	{ "directories", { "--functions", "f", "--run", "r" }, .task = TASK_SERVE,
	    .functions = "f", .run = "r" },
	{ "the last one counts", { "--run", "a", "--run", "b" }, .task = TASK_SERVE,
	    .run = "b" },
	{ "verbose", { "-v" }, .task = TASK_SERVE, .verbose = true },
	{ "check", { "-n" }, .task = TASK_CHECK },
	{ "check of a file", { "-n", "-c", "a.conf" }, .task = TASK_CHECK,
	    .config_file = "a.conf" },
	{ "short ones together", { "-nvc", "a.conf" }, .task = TASK_CHECK,
	    .config_file = "a.conf", .verbose = true },
	{ "nginx's limits", { "-n", "--nginx" }, .task = TASK_NGINX },
	{ "nginx's limits of the state endpoint", { "-n", "--nginx-state" },
	    .task = TASK_NGINX_STATE },
	{ "nginx's limits, in the other order", { "--nginx", "-n" },
	    .task = TASK_NGINX },
	{ "help counts before all", { "-n", "--help", "--nginx" },
	    .task = TASK_PRINT },
};
/* clang-format on */

static int
count_of(const char *const *line)
{
	int count = 0;

	while (count < ARGUMENTS_MOST && line[count])
		count++;
	return count;
}

static void
fill(char **argv, const char *const *line)
{
	argv[0] = (char *)(uintptr_t) "fcgi-host";
	for (int i = 0; i < count_of(line); i++)
		argv[i + 1] = (char *)(uintptr_t)line[i];
	argv[count_of(line) + 1] = NULL;
}

static void
assert_text(const char *a, const char *b)
{
	if (b)
		assert_string_equal(a, b);
	else
		assert_null(a);
}

static void
run(void **state)
{
	const struct row *row = *state;
	char *argv[ARGUMENTS_MOST + 2];
	struct arguments a;

	fill(argv, row->line);
	optind = 0; /* starts anew */
	arguments_read(&a, count_of(row->line) + 1, argv);
	assert_int_equal(a.task, row->task);
	assert_text(a.config_file, row->config_file);
	assert_text(a.functions, row->functions);
	assert_text(a.run, row->run);
	assert_int_equal(a.verbose, row->verbose);
	assert_int_equal(a.print != NULL, row->task == TASK_PRINT);
	free(a.directory);
}

struct wrong_row {
	const char *sentence;
	const char *line[ARGUMENTS_MOST];
	const char *words;
};

static const struct wrong_row wrong_rows[] = {
	{ "a misspelt one names what was meant", { "--confg", "x" },
	    "--confg is no option; did you mean --config?" },
	{ "one that resembles nothing", { "--zzzzzzzzzzzz" },
	    "--zzzzzzzzzzzz is no option" },
	{ "a letter that is none", { "-z" }, "-z is no option" },
	{ "one without its argument", { "--run" }, "--run needs an argument" },
	{ "a letter without its argument", { "-c" }, "-c needs an argument" },
	{ "one with an argument it does not take", { "--check=now" },
	    "--check=now is no option" },
	{ "a word that is no option", { "start" }, "start is not expected" },
};

static void
run_wrong(void **state)
{
	const struct wrong_row *row = *state;
	char *argv[ARGUMENTS_MOST + 2], text[1024] = "";
	struct arguments a;
	int ends[2], status;
	pid_t pid;

	fill(argv, row->line);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		optind = 0;
		arguments_read(&a, count_of(row->line) + 1, argv);
		_exit(0);
	}
	close(ends[1]);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
	if (!strstr(text, row->words))
		fail_msg("\"%s\", without \"%s\"", text, row->words);
}

/* Whoever reads it on a terminal of 80 columns. */
static void
help_fits_a_terminal(void **state)
{
	char *argv[] = { (char *)(uintptr_t) "fcgi-host",
		(char *)(uintptr_t) "-h", NULL };
	struct arguments a;
	struct span rest;
	struct buf out;

	(void)state;
	optind = 0;
	arguments_read(&a, 2, argv);
	buf_init(&out, 65536);
	a.print(&out);
	rest = buf_span(&out);
	assert_true(rest.bytes > 1000);
	while (rest.bytes > 0)
		assert_true(span_cut(&rest, '\n').bytes <= 80);
	buf_free(&out);
	free(a.directory);
}

static void
nginx_gets_limits_that_agree(void **state)
{
	struct config *c = config_new();
	struct buf out;
	const char *text;

	(void)state;
	c->maximum[LIMIT_body] = 12345;
	c->maximum[LIMIT_upload] = 60001;
	c->maximum[LIMIT_queue] = 10000;
	c->maximum[LIMIT_start] = 5000;
	c->maximum[LIMIT_time] = 300000;
	c->maximum[LIMIT_grace] = 500;
	config_settle(c);
	buf_init(&out, 65536);
	nginx_print(c, &out);
	text = buf_string(&out);
	assert_non_null(strstr(text, "client_max_body_size 12345;\n"));
	assert_non_null(strstr(text, "client_body_timeout 61s;\n"));
	assert_non_null(strstr(text, "fastcgi_send_timeout 66s;\n"));
	/* later than we give up: 315.5 s, rounded up, and 5 */
	assert_non_null(strstr(text, "fastcgi_read_timeout 321s;\n"));
	buf_free(&out);
	config_release(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_fits_a_terminal),
		cmocka_unit_test(nginx_gets_limits_that_agree),
	};

	return RUN_ROWS(rows, run) + RUN_ROWS(wrong_rows, run_wrong) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
