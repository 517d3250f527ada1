/* SPDX-License-Identifier: MIT */
/* If this fails, the operator reads nothing, reads a flood, or reads lines
 * that a client wrote. */

#define _GNU_SOURCE 1
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/diag.h"

/* Stands in for the machine's clock: time is what a test says it is. */
static uint64_t fake_ms = 1000000;

uint64_t
clock_ms(void)
{
	return fake_ms;
}

static int reader = -1, kept_stderr = -1;

static int
capture(void **state)
{
	int ends[2];

	(void)state;
	if (pipe2(ends, O_NONBLOCK) != 0)
		return -1;
	kept_stderr = dup(2);
	dup2(ends[1], 2);
	close(ends[1]);
	reader = ends[0];
	fake_ms += 60000; /* nothing said before counts as a repeat */
	diag_init("gateway");
	return 0;
}

static int
release(void **state)
{
	(void)state;
	dup2(kept_stderr, 2);
	close(kept_stderr);
	close(reader);
	return 0;
}

/* What was said since the last call. */
static const char *
said(void)
{
	static char text[65536];
	size_t bytes = 0;
	ssize_t n;

	while ((n = read(reader, text + bytes, sizeof(text) - 1 - bytes)) > 0)
		bytes += (size_t)n;
	text[bytes] = '\0';
	return text;
}

static void
a_line_names_process_and_severity(void **state)
{
	(void)state;
	diag_info("worker gone: pid=%d", 311);
	assert_string_equal(said(), "gateway: info: worker gone: pid=311\n");
	diag_warn("a");
	diag_error("b");
	assert_string_equal(said(), "gateway: warn: a\ngateway: error: b\n");
}

static void
debug_is_silent_until_asked_for(void **state)
{
	(void)state;
	diag_debug("quiet");
	assert_string_equal(said(), "");
	diag_verbose(1);
	diag_debug("loud");
	diag_verbose(0);
	assert_string_equal(said(), "gateway: debug: loud\n");
}

static void
control_bytes_are_escaped(void **state)
{
	(void)state;
	diag_info("path=%s", "/a\nlog: info: forged\x1b[2J\x7f\ttab\xc3\xa4");
	assert_string_equal(said(),
	    "gateway: info: path=/a\\x0alog: info: "
	    "forged\\x1b[2J\\x7f\\x09tab\xc3\xa4\n");
}

static void
equal_lines_are_counted(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		diag_warn("no slot free");
	assert_string_equal(said(), "gateway: warn: no slot free\n");
	diag_warn("other");
	assert_string_equal(said(),
	    "gateway: info: last line repeated 999 times\n"
	    "gateway: warn: other\n");
	diag_warn("other one");
	assert_string_equal(said(), "gateway: warn: other one\n");
}

static void
after_ten_seconds_a_repeat_is_said_again(void **state)
{
	(void)state;
	diag_warn("disk is full");
	fake_ms += 9999;
	diag_warn("disk is full");
	assert_string_equal(said(), "gateway: warn: disk is full\n");
	fake_ms += 1;
	diag_warn("disk is full");
	assert_string_equal(said(),
	    "gateway: info: last line repeated 1 times\n"
	    "gateway: warn: disk is full\n");
}

static void
the_same_words_of_another_severity_are_no_repeat(void **state)
{
	(void)state;
	diag_warn("x");
	diag_error("x");
	assert_string_equal(said(), "gateway: warn: x\ngateway: error: x\n");
}

static void
a_long_line_is_cut_and_still_ends(void **state)
{
	static char words[DIAG_LINE_MOST * 2];
	const char *line;

	(void)state;
	memset(words, 'a', sizeof(words) - 1);
	diag_info("%s", words);
	line = said();
	assert_in_range(strlen(line), DIAG_LINE_MOST - 1, DIAG_LINE_MOST);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	memset(words, '\n', sizeof(words) - 1);
	diag_info("%s", words);
	line = said();
	assert_in_range(strlen(line), DIAG_LINE_MOST - 8, DIAG_LINE_MOST);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void
errno_survives_a_line(void **state)
{
	(void)state;
	errno = ETXTBSY;
	diag_error("execve: %s", diag_errno());
	assert_int_equal(errno, ETXTBSY);
	assert_string_equal(said(), "gateway: error: execve: Text file busy\n");
	errno = 4711;
	assert_string_equal(diag_errno(), "unknown error");
	errno = 0;
}

/* What becomes of a process that calls it. */
static int
status_of(void (*say)(const char *, ...))
{
	struct rlimit no_core = { 0, 0 };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		/* not by way of exit(), which would run our own handlers */
		say("the socket %s is taken", "fn.sock");
		_exit(77);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
fatal_exits_with_one(void **state)
{
	int status = status_of(diag_fatal);

	(void)state;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_string_equal(said(),
	    "gateway: fatal: the socket fn.sock is taken\n");
}

static void
panic_aborts(void **state)
{
	int status = status_of(diag_panic);

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_string_equal(said(),
	    "gateway: panic: the socket fn.sock is taken\n");
}

static void
memory_of_our_own_is_zeroed(void **state)
{
	char *memory = diag_alloc(64), *none = diag_alloc(0);
	char *copy = diag_strdup("hello");

	(void)state;
	for (int i = 0; i < 64; i++)
		assert_int_equal(memory[i], 0);
	assert_non_null(none);
	assert_string_equal(copy, "hello");
	free(memory);
	free(none);
	free(copy);
}

#define SAID(sentence, function)                                \
	{                                                       \
		.name = (sentence), .test_func = (function),    \
		.setup_func = capture, .teardown_func = release \
	}

static const struct CMUnitTest tests[] = {
	SAID("a line names process and severity",
	    a_line_names_process_and_severity),
	SAID("debug is silent until asked for",
	    debug_is_silent_until_asked_for),
	SAID("control bytes of others are escaped", control_bytes_are_escaped),
	SAID("equal lines in a row are counted, not printed",
	    equal_lines_are_counted),
	SAID("after ten seconds a repeat is said again",
	    after_ten_seconds_a_repeat_is_said_again),
	SAID("the same words of another severity are no repeat",
	    the_same_words_of_another_severity_are_no_repeat),
	SAID("a line that is too long is cut and still ends",
	    a_long_line_is_cut_and_still_ends),
	SAID("errno survives a line and has words", errno_survives_a_line),
	SAID("fatal exits with 1", fatal_exits_with_one),
	SAID("panic aborts", panic_aborts),
	{ .name = "memory of our own is zeroed and never NULL",
	    .test_func = memory_of_our_own_is_zeroed },
};

int
main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
