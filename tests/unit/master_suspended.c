/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant that the operator has suspended is served again after
 * a restart, or one that he has not is not. */

#include "place.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"
#include "master/master.h"

static char said[4096];

static int
change(struct suspended *s, const char *tenant, const char *reason, bool add)
{
	struct buf text;
	int result;

	buf_init(&text, sizeof(said));
	result = add ?
	    suspended_add(s, span_of(tenant), span_of(reason), &text) :
	    suspended_remove(s, span_of(tenant), &text);
	snprintf(said, sizeof(said), "%.*s", SPAN_ARGS(buf_span(&text)));
	buf_free(&text);
	return result;
}

static bool
is(const struct suspended *s, const char *tenant, const char *reason)
{
	return span_equal(suspended_reason(s, span_of(tenant)),
	    span_of(reason));
}

static void
it_outlives_us(void **state)
{
	const struct place *p = *state;
	struct suspended s;
	char text[256];

	suspended_open(&s, p->fd);
	assert_null(suspended_reason(&s, SPAN("acme")).data);
	assert_int_equal(change(&s, "acme", "has moved", true), 0);
	assert_string_equal(said, "tenant acme is suspended: has moved");
	assert_int_equal(change(&s, "beta", "", true), 0);
	assert_int_equal(change(&s, "acme", "is over", true), 0);
	suspended_free(&s);

	suspended_open(&s, p->fd); /* as after a restart */
	assert_true(is(&s, "acme", "is over"));
	assert_true(is(&s, "beta", "by the operator of this host"));
	assert_int_equal(change(&s, "beta", NULL, false), 0);
	assert_string_equal(said, "tenant beta is served again");
	assert_int_equal(change(&s, "beta", NULL, false), -1);
	assert_string_equal(said, "tenant beta is not suspended");
	suspended_free(&s);

	place_read(p, "suspended", text, sizeof(text));
	assert_string_equal(text, "acme is over\n");
}

static void
what_could_not_be_read_again_is_not_taken(void **state)
{
	const struct place *p = *state;
	char longest[SUSPENDED_REASON_MOST + 2] = "";
	struct suspended s;

	suspended_open(&s, p->fd);
	assert_int_equal(change(&s, "Acme", "", true), -1);
	assert_int_equal(change(&s, "a b", "", true), -1);
	assert_int_equal(change(&s, "acme", "two\nbeta lines", true), -1);
	memset(longest, 'x', sizeof(longest) - 1);
	assert_int_equal(change(&s, "acme", longest, true), -1);
	assert_non_null(strstr(said, "200 bytes"));
	longest[SUSPENDED_REASON_MOST] = '\0';
	assert_int_equal(change(&s, "acme", longest, true), 0);
	suspended_free(&s);
	suspended_open(&s, p->fd);
	assert_true(is(&s, "acme", longest));
	suspended_free(&s);
}

/* Nothing is said to be so before it is on disk. */
static void
a_file_that_cannot_be_written_changes_nothing(void **state)
{
	const struct place *p = *state;
	struct suspended s;

	suspended_open(&s, p->fd);
	assert_int_equal(change(&s, "acme", "once", true), 0);
	assert_int_equal(mkdirat(p->fd, "suspended.new", 0700), 0);
	assert_int_equal(change(&s, "acme", "twice", true), -1);
	assert_true(is(&s, "acme", "once"));
	assert_int_equal(change(&s, "beta", "", true), -1);
	assert_null(suspended_reason(&s, SPAN("beta")).data);
	assert_int_equal(change(&s, "acme", NULL, false), -1);
	assert_true(is(&s, "acme", "once"));
	suspended_free(&s);
}

/* Exit status of a master that finds this file, and its sentence. */
static int
opened(const struct place *p, const char *content, mode_t mode)
{
	int status, out[2];
	struct suspended s;
	ssize_t n;
	pid_t pid;

	place_write(p, "suspended", content, mode);
	assert_int_equal(pipe(out), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], STDERR_FILENO);
		diag_init("master");
		suspended_open(&s, p->fd);
		_exit(0);
	}
	close(out[1]);
	n = read(out[0], said, sizeof(said) - 1);
	said[n > 0 ? n : 0] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
a_file_that_is_not_understood_stops_the_host(void **state)
{
	const struct place *p = *state;

	assert_int_equal(opened(p, "acme is over\n", 0600), 0);
	assert_int_equal(opened(p, "acme is over", 0600), 0);
	assert_int_not_equal(opened(p, "acme x\nacme y\n", 0600), 0);
	assert_non_null(strstr(said, "suspended:2:"));
	assert_int_not_equal(opened(p, "acme\n", 0600), 0);
	assert_int_not_equal(opened(p, "../acme x\n", 0600), 0);
	assert_int_not_equal(opened(p, "acme x\n", 0666), 0);
	assert_non_null(strstr(said, "cannot be read"));
	unlinkat(p->fd, "suspended", 0);
	assert_int_equal(symlinkat("/dev/null", p->fd, "suspended"), 0);
	assert_int_not_equal(opened(p, "", 0666), 0);
}

#define WITH_PLACE(test) \
	cmocka_unit_test_setup_teardown(test, place_make, place_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PLACE(it_outlives_us),
		WITH_PLACE(what_could_not_be_read_again_is_not_taken),
		WITH_PLACE(a_file_that_cannot_be_written_changes_nothing),
		WITH_PLACE(a_file_that_is_not_understood_stops_the_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
