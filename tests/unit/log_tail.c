/* SPDX-License-Identifier: MIT */
/* If this fails, `fcgi-hostctl logs` shows lines of others, misses some, shows
 * them twice, or a listener that does not read holds up the log. */
#include "rows.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "log/log.h"

enum { PATIENCE_MS = 20000, LISTENERS = 40 };

static char directory[64];
static int directory_fd;
static struct loop *loop;
static struct files *files;
static struct tails *tails;
static char text[1 << 20]; /* what the listener got */
static size_t text_bytes;
static bool ended, failed;
static char reason[256];

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void
on_written(void *arg, struct span name)
{
	(void)arg;
	if (tails)
		tails_written(tails, name);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/fcgi-host-log-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	loop = loop_new();
	files = files_new(directory_fd, on_written, NULL);
	files_limits_set(files, 1 << 20, 3);
	tails = tails_new(loop, files);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tails_free(&tails);
	files_free(&files);
	loop_free(loop);
	close(directory_fd);
	return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int
listener(const char *tenant, const char *call, uint32_t lines, bool follow)
{
	struct message_tail m = { span_of(tenant), span_of(call), lines,
		follow };
	int ends[2];

	assert_int_equal(fd_channel(ends), 0);
	text_bytes = 0;
	ended = failed = false;
	tails_add(tails, &m, &ends[0]);
	assert_int_equal(ends[0], -1);
	return ends[1];
}

/* What has come so far; false when the connection is closed. */
static bool
take(int fd)
{
	static char bytes[MESSAGE_MOST];
	size_t none = 0;
	struct message_control_out out;
	struct message_control_end end;
	struct span body;
	enum message_type type;
	ssize_t n;

	while ((n = fd_receive(fd, bytes, sizeof(bytes), NULL, &none)) > 0) {
		type = message_type_of(span_make(bytes, (size_t)n), &body);
		assert_false(ended);
		if (type == MESSAGE_CONTROL_OUT) {
			assert_int_equal(message_control_out_decode(body, &out),
			    0);
			assert_true(text_bytes + out.bytes.bytes <
			    sizeof(text));
			memcpy(text + text_bytes, out.bytes.data,
			    out.bytes.bytes);
			text_bytes += out.bytes.bytes;
		} else {
			assert_int_equal(type, MESSAGE_CONTROL_END);
			assert_int_equal(message_control_end_decode(body, &end),
			    0);
			ended = true;
			failed = end.failed != 0;
			snprintf(reason, sizeof(reason), "%.*s",
			    SPAN_ARGS(end.text));
		}
	}
	text[text_bytes] = '\0';
	return n < 0;
}

static void
until_ended(int fd)
{
	uint64_t deadline = clock_ms() + PATIENCE_MS;

	while (take(fd) && clock_ms() < deadline)
		loop_once(loop, 100);
	assert_true(ended);
	close(fd);
}

static void
until_text(int fd, const char *expected)
{
	uint64_t deadline = clock_ms() + PATIENCE_MS;

	do {
		loop_once(loop, 10);
		take(fd);
	} while (strcmp(text, expected) != 0 && clock_ms() < deadline);
	assert_string_equal(text, expected);
}

static void
put(const char *tenant, const char *line)
{
	assert_int_equal(files_put(files, span_of(tenant), span_of(line),
			     FILES_MAKE),
	    0);
	files_flush(files);
}

/* A line of a request; RESULT ones say how long it took. */
static void
put_line(unsigned second, const char *request, enum line_mark mark,
    const char *words)
{
	char line[256];

	snprintf(line, sizeof(line),
	    "2026-11-23T09:%02u:%02u.000Z %s hello%c "
	    "%s\n",
	    second / 60, second % 60, request, mark, words);
	put("acme", line);
}

static const struct back_row {
	const char *sentence;
	const char *text;
	uint64_t left;
	ptrdiff_t at;
	uint64_t still;
} backs[] = {
	{ "the last line", "a\nb\nc\n", 2, 4, 0 },
	{ "two lines", "a\nb\nc\n", 3, 2, 0 },
	{ "no line begins at the end", "a\nb\nc\n", 1, 6, 0 },
	{ "all lines have no line end before them", "a\nb\nc\n", 4, -1, 1 },
	{ "more than there are", "a\nb\n", 9, -1, 7 },
	{ "nothing", "", 3, -1, 3 },
	{ "empty lines are lines", "\n\n\n", 2, 2, 0 },
};

static void
back(void **state)
{
	const struct back_row *row = *state;
	uint64_t left = row->left;

	assert_int_equal(tail_back(span_of(row->text), &left), row->at);
	assert_int_equal(left, row->still);
}

static const struct last_row {
	const char *sentence;
	unsigned written; /* lines of 10 bytes, numbered from 0 */
	uint64_t size;	  /* of a file */
	unsigned keep;
	uint32_t lines;
	unsigned first, count; /* what is shown */
} lasts[] = {
	{ "the last lines are shown", 10, 1 << 20, 3, 3, 7, 3 },
	{ "all, when there are fewer", 3, 1 << 20, 3, 10, 0, 3 },
	{ "none, when none are wanted", 3, 1 << 20, 3, 0, 3, 0 },
	{ "from the rotated file too", 7, 30, 3, 3, 4, 3 },
	{ "from all of them", 7, 30, 3, 100, 0, 7 },
	{ "as many as are kept", 100, 30, 2, 100, 93, 7 },
	{ "exactly one file", 6, 30, 3, 3, 3, 3 },
	{ "many", 30000, 1 << 20, 3, 29999, 1, 29999 },
	{ "many in small files", 300, 100, 90, 299, 1, 299 },
};

static void
last(void **state)
{
	const struct last_row *row = *state;
	char line[32];
	size_t at = 0;

	assert_int_equal(setup(NULL), 0);
	files_limits_set(files, row->size, row->keep);
	for (unsigned i = 0; i < row->written; i++) {
		snprintf(line, sizeof(line), "ln %06u\n", i);
		assert_int_equal(files_put(files, SPAN("acme"), span_of(line),
				     FILES_MAKE),
		    0);
	}
	files_flush(files);
	until_ended(listener("acme", "", row->lines, false));
	assert_false(failed);
	for (unsigned i = 0; i < row->count; i++, at += 10) {
		snprintf(line, sizeof(line), "ln %06u\n", row->first + i);
		assert_memory_equal(text + at, line, 10);
	}
	assert_int_equal(text_bytes, at);
	assert_int_equal(teardown(NULL), 0);
}

static void
a_tenant_without_log_has_no_lines(void **state)
{
	(void)state;
	until_ended(listener("acme", "", 10, false));
	assert_false(failed);
	assert_int_equal(text_bytes, 0);
	assert_string_equal(reason, "nothing is logged yet for that tenant");
}

static void
without_tenant_it_is_the_access_log(void **state)
{
	(void)state;
	put("", "{\"request\":\"01ID\"}\n");
	put("acme", "secret\n");
	until_ended(listener("", "", 10, false));
	assert_string_equal(text, "{\"request\":\"01ID\"}\n");
}

static void
following_shows_what_comes(void **state)
{
	int fd;

	(void)state;
	put("acme", "one\n");
	put("acme", "two\n");
	fd = listener("acme", "", 1, true);
	until_text(fd, "two\n");
	put("acme", "three\n");
	put("other", "not mine\n");
	until_text(fd, "two\nthree\n");
	close(fd);
	loop_once(loop, 100);
}

static void
following_begins_before_there_is_a_file(void **state)
{
	int fd = listener("acme", "", 0, true);

	(void)state;
	loop_once(loop, 0);
	loop_once(loop, 0);
	put("acme", "one\n");
	put("acme", "two\n");
	until_text(fd, "one\ntwo\n");
	close(fd);
}

static void
following_goes_on_over_a_rotation(void **state)
{
	int fd;

	(void)state;
	files_limits_set(files, 12, 9);
	put("acme", "one\n");
	fd = listener("acme", "", 9, true);
	until_text(fd, "one\n");
	/* two rotations before it looks again */
	put("acme", "two\n");
	put("acme", "three\n");
	put("acme", "four\n");
	put("acme", "five\n");
	put("acme", "six\n");
	until_text(fd, "one\ntwo\nthree\nfour\nfive\nsix\n");
	put("acme", "seven\n");
	until_text(fd, "one\ntwo\nthree\nfour\nfive\nsix\nseven\n");
	close(fd);
}

static void
who_is_overtaken_by_rotation_is_told(void **state)
{
	int fd;

	(void)state;
	files_limits_set(files, 12, 1);
	put("acme", "one\n");
	fd = listener("acme", "", 9, true);
	until_text(fd, "one\n");
	for (unsigned i = 0; i < 10; i++)
		put("acme", "another\n");
	until_ended(fd);
	assert_true(failed);
	assert_non_null(strstr(reason, "rotated"));
}

static void
path_of(char path[128], const char *name)
{
	snprintf(path, 128, "%s/tenants/%s", directory, name);
}

/* As logrotate does it, with USR1 behind; and older files are not repeated. */
static void
following_goes_on_when_somebody_renames_the_file(void **state)
{
	static const struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
	char from[128], to[128];
	int fd;

	(void)state;
	put("acme", "zero\n");
	path_of(from, "acme.log");
	path_of(to, "acme.log.1");
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(utimensat(AT_FDCWD, to, old, 0), 0);
	files_reopen(files);
	put("acme", "one\n");
	fd = listener("acme", "", 1, true);
	until_text(fd, "one\n");
	path_of(to, "acme.log-20261123");
	assert_int_equal(rename(from, to), 0);
	put("acme", "two\n");
	until_text(fd, "one\ntwo\n");
	files_reopen(files);
	loop_once(loop, 0);
	put("acme", "three\n");
	until_text(fd, "one\ntwo\nthree\n");
	put("acme", "four\n");
	until_text(fd, "one\ntwo\nthree\nfour\n");
	close(fd);
}

/* Between the renaming and USR1 the host writes on, to what is NAME.log.1. */
static void
following_goes_on_while_the_old_file_is_written(bool made_anew)
{
	char from[128], to[128], older[128];
	int fd;

	path_of(from, "acme.log");
	path_of(to, "acme.log.1");
	path_of(older, "acme.log.2");
	put("acme", "zero\n");
	assert_int_equal(rename(from, to), 0);
	files_reopen(files);
	put("acme", "one\n");
	fd = listener("acme", "", 1, true);
	until_text(fd, "one\n");
	assert_int_equal(rename(to, older), 0);
	assert_int_equal(rename(from, to), 0);
	if (made_anew)
		assert_int_equal(close(open(from, O_CREAT | O_WRONLY, 0640)),
		    0);
	put("acme", "two\n");
	until_text(fd, "one\ntwo\n");
	put("acme", "three\n");
	until_text(fd, "one\ntwo\nthree\n");
	files_reopen(files);
	for (unsigned i = 0; i < 5; i++)
		loop_once(loop, 0);
	put("acme", "four\n");
	until_text(fd, "one\ntwo\nthree\nfour\n");
	assert_false(ended);
	close(fd);
}

static void
following_goes_on_when_somebody_rotates(void **state)
{
	(void)state;
	following_goes_on_while_the_old_file_is_written(false);
}

static void
following_goes_on_when_somebody_rotates_and_creates(void **state)
{
	(void)state;
	following_goes_on_while_the_old_file_is_written(true);
}

static void
following_goes_on_when_somebody_removes_the_file(void **state)
{
	char path[128];
	int fd;

	(void)state;
	put("acme", "one\n");
	fd = listener("acme", "", 1, true);
	until_text(fd, "one\n");
	path_of(path, "acme.log");
	assert_int_equal(unlink(path), 0);
	put("acme", "two\n");
	until_text(fd, "one\ntwo\n");
	files_reopen(files);
	put("acme", "three\n");
	until_text(fd, "one\ntwo\nthree\n");
	close(fd);
}

static void
following_begins_anew_when_somebody_empties_the_file(void **state)
{
	char path[128];
	int fd;

	(void)state;
	put("acme", "a line before\n");
	fd = listener("acme", "", 1, true);
	until_text(fd, "a line before\n");
	path_of(path, "acme.log");
	assert_int_equal(truncate(path, 0), 0);
	put("acme", "two\n");
	until_text(fd, "a line before\ntwo\n");
	close(fd);
}

static void
a_listener_that_reads_nothing_holds_up_nobody(void **state)
{
	static char junk[1000];
	int stuck, fd;

	(void)state;
	memset(junk, 'x', sizeof(junk) - 2);
	junk[sizeof(junk) - 2] = '\n';
	stuck = listener("acme", "", 0, true);
	for (unsigned i = 0; i < 1000; i++)
		put("acme", junk);
	for (unsigned i = 0; i < 100; i++)
		loop_once(loop, 0);
	fd = listener("acme", "", 1, false);
	until_ended(fd);
	assert_int_equal(text_bytes, sizeof(junk) - 1);
	/* and has lost nothing, if it reads after all */
	text_bytes = 0;
	ended = false;
	for (uint64_t deadline = clock_ms() + PATIENCE_MS;
	     text_bytes < 1000 * (sizeof(junk) - 1) && clock_ms() < deadline;) {
		loop_once(loop, 10);
		take(stuck);
	}
	assert_int_equal(text_bytes, 1000 * (sizeof(junk) - 1));
	close(stuck);
}

static void
put_three_calls(void)
{
	put_line(1, "01A", LINE_TEXT, "a one");
	put_line(2, "01B", LINE_TEXT, "b one 01A");
	put_line(3, "01A", LINE_TEXT, "a two");
	put_line(4, "01B", LINE_RESULT, "200 GET / end=done total=2100.000ms");
	put_line(5, "01A", LINE_RESULT, "200 GET / end=done total=4100.000ms");
	put_line(6, "01C", LINE_TEXT, "c one");
}

static const char call_a[] =
    "2026-11-23T09:00:01.000Z 01A hello: a one\n"
    "2026-11-23T09:00:03.000Z 01A hello: a two\n"
    "2026-11-23T09:00:05.000Z 01A hello= 200 GET / end=done "
    "total=4100.000ms\n";

static void
a_call_is_shown_whole_and_alone(void **state)
{
	(void)state;
	put_three_calls();
	until_ended(listener("acme", "01A", 0, false));
	assert_false(failed);
	assert_string_equal(text, call_a);
}

static void
a_call_is_found_across_rotated_files(void **state)
{
	(void)state;
	files_limits_set(files, 100, 20);
	put_three_calls();
	for (unsigned i = 10; i < 30; i++)
		put_line(i, "01D", LINE_TEXT, "later");
	until_ended(listener("acme", "01A", 0, false));
	assert_string_equal(text, call_a);
}

static void
a_call_is_found_by_its_id_alone(void **state)
{
	(void)state;
	put_three_calls();
	put("",
	    "{\"time\":\"\",\"request\":\"01A\",\"tenant\":\"acme\","
	    "\"target\":\"/\"}\n");
	put("",
	    "{\"time\":\"\",\"request\":\"01E\",\"tenant\":\"\","
	    "\"target\":\"\\\"request\\\":\\\"01A\\\"\"}\n");
	until_ended(listener("", "01A", 0, false));
	assert_string_equal(text, call_a);
	until_ended(listener("", "01E", 0, false));
	assert_true(failed);
}

static void
a_call_that_is_not_there_is_an_error(void **state)
{
	(void)state;
	put_three_calls();
	until_ended(listener("acme", "01Z", 0, false));
	assert_true(failed);
	assert_string_equal(reason, "no such request in the log");
}

static void
a_running_call_is_shown_as_far_as_it_is(void **state)
{
	(void)state;
	put_three_calls();
	until_ended(listener("acme", "01C", 0, false));
	assert_false(failed);
	assert_string_equal(text,
	    "2026-11-23T09:00:06.000Z 01C hello: c one\n");
}

static void
a_call_can_be_waited_for(void **state)
{
	int fd;

	(void)state;
	put_three_calls();
	fd = listener("acme", "01C", 0, true);
	until_text(fd, "2026-11-23T09:00:06.000Z 01C hello: c one\n");
	put_line(7, "01D", LINE_TEXT, "d one");
	put_line(8, "01C", LINE_RESULT, "200");
	put_line(9, "01C", LINE_TEXT, "after the end");
	until_ended(fd);
	assert_false(failed);
	assert_string_equal(text,
	    "2026-11-23T09:00:06.000Z 01C hello: c one\n"
	    "2026-11-23T09:00:08.000Z 01C hello= 200\n");
}

static void
a_call_can_be_waited_for_before_anything_is_known(void **state)
{
	int fd = listener("acme", "01A", 0, true);

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		loop_once(loop, 0);
	put_three_calls();
	until_ended(fd);
	assert_false(failed);
	assert_string_equal(text, call_a);
}

static void
who_waits_for_a_call_that_never_was_is_told(void **state)
{
	int fd = listener("acme", "01Z", 0, true);
	uint64_t deadline = clock_ms() + PATIENCE_MS;
	unsigned second = 0;

	(void)state;
	/* the traffic of others does not prolong it */
	while (take(fd) && clock_ms() < deadline) {
		put_line(second++, "01D", LINE_TEXT, "other");
		loop_once(loop, 10);
	}
	assert_true(ended);
	assert_true(failed);
	assert_string_equal(reason, "no such request in the log");
	close(fd);
}

static void
a_result_that_is_in_no_file_is_shown_too(void **state)
{
	struct span line = SPAN("2026-11-23T09:00:08.000Z 01A -= 404\n");
	int fd = listener("acme", "01A", 0, true);

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		loop_once(loop, 0);
	tails_result(tails, SPAN("01A"), SPAN("acme"), line, false);
	until_ended(fd);
	assert_string_equal(text, line.data);
	/* afterwards as well, but not to another tenant */
	until_ended(listener("acme", "01A", 0, false));
	assert_string_equal(text, line.data);
	until_ended(listener("", "01A", 0, false));
	assert_string_equal(text, line.data);
	until_ended(listener("other", "01A", 0, false));
	assert_true(failed);
}

static void
listeners_are_counted(void **state)
{
	int fds[LISTENERS];
	unsigned refused = 0;
	/* as root all may be used, else a user's share */
	unsigned most = geteuid() == 0 ? TAIL_MOST : TAIL_USER_MOST;

	(void)state;
	for (unsigned i = 0; i < LISTENERS; i++) {
		fds[i] = listener("acme", "", 0, true);
		loop_once(loop, 0);
		loop_once(loop, 0);
		take(fds[i]);
		refused += ended && failed;
		assert_true(!ended || strstr(reason, "too many"));
	}
	assert_int_equal(refused, LISTENERS - most);
	for (unsigned i = 0; i < LISTENERS; i++)
		close(fds[i]);
	/* who has gone makes room */
	loop_once(loop, 100);
	put("acme", "x\n");
	until_ended(listener("acme", "", 1, false));
	assert_string_equal(text, "x\n");
}

static void
at_exit_listeners_are_told(void **state)
{
	int fd = listener("acme", "", 0, true);

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		loop_once(loop, 0);
	tails_free(&tails);
	assert_false(take(fd));
	assert_true(ended && failed);
	close(fd);
}

int
main(void)
{
#define WITH_TAILS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_TAILS(a_tenant_without_log_has_no_lines),
		WITH_TAILS(without_tenant_it_is_the_access_log),
		WITH_TAILS(following_shows_what_comes),
		WITH_TAILS(following_begins_before_there_is_a_file),
		WITH_TAILS(following_goes_on_over_a_rotation),
		WITH_TAILS(who_is_overtaken_by_rotation_is_told),
		WITH_TAILS(following_goes_on_when_somebody_renames_the_file),
		WITH_TAILS(following_goes_on_when_somebody_rotates),
		WITH_TAILS(following_goes_on_when_somebody_rotates_and_creates),
		WITH_TAILS(following_goes_on_when_somebody_removes_the_file),
		WITH_TAILS(
		    following_begins_anew_when_somebody_empties_the_file),
		WITH_TAILS(a_listener_that_reads_nothing_holds_up_nobody),
		WITH_TAILS(a_call_is_shown_whole_and_alone),
		WITH_TAILS(a_call_is_found_across_rotated_files),
		WITH_TAILS(a_call_is_found_by_its_id_alone),
		WITH_TAILS(a_call_that_is_not_there_is_an_error),
		WITH_TAILS(a_running_call_is_shown_as_far_as_it_is),
		WITH_TAILS(a_call_can_be_waited_for),
		WITH_TAILS(a_call_can_be_waited_for_before_anything_is_known),
		WITH_TAILS(who_waits_for_a_call_that_never_was_is_told),
		WITH_TAILS(a_result_that_is_in_no_file_is_shown_too),
		WITH_TAILS(listeners_are_counted),
		WITH_TAILS(at_exit_listeners_are_told),
	};

	return RUN_ROWS(backs, back) + RUN_ROWS(lasts, last) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
