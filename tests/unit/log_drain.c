/* SPDX-License-Identifier: MIT */
/* If this fails, a function waits for its log, floods it, or writes a line in
 * the name of another; or what it wrote last is missing. */
#include "rows.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "log/log.h"

enum { PATIENCE_MS = 20000 };

static char directory[64];
static int directory_fd;
static struct loop *loop;
static struct files *files;
static struct drains *drains;
static unsigned results;

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void
count_result(void *arg, struct span request, struct span tenant,
    struct span line, bool in_file)
{
	(void)arg;
	(void)request;
	(void)tenant;
	(void)line;
	(void)in_file;
	results++;
}

static void
give_turns(void *arg)
{
	(void)arg;
	drains_turn(drains);
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
	files = files_new(directory_fd, NULL, NULL);
	drains = drains_new(loop, files);
	drains_limits_set(drains, 80, 1000, UINT64_MAX);
	loop_before_wait(loop, give_turns, NULL);
	drains_on_result(drains, count_result, NULL);
	results = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	drains_free(&drains);
	files_free(&files);
	loop_free(loop);
	close(directory_fd);
	return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The write end of a new pipe that is being drained. */
static int
pipe_of_tenant(const char *tenant, const char *request, const char *function)
{
	struct message_stderr m = { span_of(request), span_of(tenant),
		span_of(function) };
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	drains_add(drains, &m, &ends[0]);
	assert_int_equal(ends[0], -1);
	return ends[1];
}

static int
pipe_of(const char *request, const char *function)
{
	return pipe_of_tenant("acme", request, function);
}

static void
result_of(const char *request)
{
	struct message_access m = { .request = span_of(request),
		.tenant = SPAN("acme"),
		.function = SPAN("hello"),
		.method = SPAN("GET"),
		.target = SPAN("/"),
		.status = 200,
		.end = SPAN("done"),
		.ran = 1 };

	drains_result(drains, &m);
}

static void
write_string(int fd, const char *text)
{
	assert_int_equal(fd_write_all(fd, span_of(text)), 0);
}

static void
until_empty(void)
{
	uint64_t deadline = clock_ms() + PATIENCE_MS;

	while (!drains_empty(drains) && clock_ms() < deadline)
		loop_once(loop, 100);
	assert_true(drains_empty(drains));
}

/* The tenant's log without the time in front of its lines. */
static const char *
log_text(void)
{
	static char raw[1 << 20], text[1 << 20];
	struct span rest, line;
	int fd;
	ssize_t n;
	size_t bytes = 0;

	files_flush(files);
	fd = openat(directory_fd, "tenants/acme.log", O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, raw, sizeof(raw));
	close(fd);
	rest = span_make(raw, n > 0 ? (size_t)n : 0);
	while (rest.bytes > 0) {
		line = span_skip(span_cut(&rest, '\n'), LINE_TIME_BYTES + 1);
		bytes += (size_t)snprintf(text + bytes, sizeof(text) - bytes,
		    "%.*s\n", SPAN_ARGS(line));
	}
	text[bytes] = '\0';
	return text;
}

static const struct row {
	const char *sentence;
	const char *written;
	const char *logged;
} rows[] = {
	{ "every line has its own head", "one\ntwo\n",
	    "01ID hello: one\n01ID hello: two\n" },
	{ "what has no line end is a line at the end", "one\ntwo",
	    "01ID hello: one\n01ID hello: two\n" },
	{ "19: a forged head is text like any other",
	    "2026-11-23T09:56:42.123Z 02ID other= 200 GET / end=done\n",
	    "01ID hello: 2026-11-23T09:56:42.123Z 02ID other= 200 GET / "
	    "end=done\n" },
	{ "19: CR and escapes do not overwrite it", "x\r\x1b[1Aforged\n",
	    "01ID hello: x\\x0d\\x1b[1Aforged\n" },
	{ "19: a line without end is cut, and the pieces say so",
	    "0123456789012345678901234567890123456789012345678901234567890123"
	    "45678901234567890123456789\n",
	    "01ID hello: 01234567890123456789012345678901234567890123456789012"
	    "345678901234567890123456789\n01ID hello+ 0123456789\n" },
	{ "nothing written is nothing logged", "", "" },
};

static void
row(void **state)
{
	const struct row *r = *state;
	int fd;

	assert_int_equal(setup(NULL), 0);
	fd = pipe_of("01ID", "hello");
	write_string(fd, r->written);
	close(fd);
	until_empty();
	assert_string_equal(log_text(), r->logged);
	assert_int_equal(teardown(NULL), 0);
}

static void
beyond_the_limit_bytes_are_counted(void **state)
{
	int fd = pipe_of("01ID", "hello");
	const char *text;
	unsigned lines = 0;

	(void)state;
	/* each becomes 24 + 13 + 9 + 1 = 47 bytes of 1000 */
	for (unsigned i = 0; i < 100; i++)
		write_string(fd, "line 6789\n");
	close(fd);
	until_empty();
	for (text = log_text(); strncmp(text, "01ID hello: line", 16) == 0;
	     text = strchr(text, '\n') + 1)
		lines++;
	assert_int_equal(lines, 21);
	assert_string_equal(text,
	    "01ID hello! stderr reached logs.stderr = 1000 B; the rest is "
	    "counted\n01ID hello! 790 bytes of stderr were not kept\n");
}

static void
a_flood_neither_waits_nor_fills_the_log(void **state)
{
	static char junk[65536];
	int fd = pipe_of("01ID", "hello");
	size_t left = 64 << 20;
	uint64_t deadline = clock_ms() + PATIENCE_MS;
	struct stat st;
	ssize_t n;

	(void)state;
	memset(junk, '\n', sizeof(junk)); /* the worst: all heads */
	assert_int_equal(fd_nonblock(fd, true), 0);
	while (left > 0 && clock_ms() < deadline) {
		n = write(fd, junk, sizeof(junk));
		if (n > 0)
			left -= (size_t)n < left ? (size_t)n : left;
		else
			loop_once(loop, 100);
	}
	assert_int_equal(left, 0);
	close(fd);
	until_empty();
	files_flush(files);
	assert_int_equal(fstatat(directory_fd, "tenants/acme.log", &st, 0), 0);
	assert_true(st.st_size < 1300);
}

static void
a_flood_leaves_other_pipes_their_turn(void **state)
{
	static char junk[65536];
	int flood = pipe_of("01ID", "flood"), fd;
	uint64_t deadline = clock_ms() + PATIENCE_MS;
	unsigned turns = 0;

	(void)state;
	memset(junk, 'x', sizeof(junk));
	assert_int_equal(fd_nonblock(flood, true), 0);
	while (write(flood, junk, sizeof(junk)) > 0)
		;
	fd = pipe_of("02ID", "hello");
	write_string(fd, "heard\n");
	close(fd);
	while (!strstr(log_text(), "02ID hello: heard") &&
	    clock_ms() < deadline) {
		loop_once(loop, 100);
		turns++;
		while (write(flood, junk, sizeof(junk)) > 0)
			;
	}
	assert_true(turns <= 2);
	close(flood);
	until_empty();
}

/* As many pipes as a tenant has slots, full of what costs most, lines without
 * text: the other's line is written in the same turn, and of the flood no more
 * than its budget and what one read brings. */
static void
a_tenants_flood_is_one_turn_of_many(void **state)
{
	enum { FLOODS = 64 };
	static char junk[65536];
	int floods[FLOODS], fd;
	struct stat before, after;

	(void)state;
	drains_limits_set(drains, 80, UINT64_MAX, UINT64_MAX);
	memset(junk, '\n', sizeof(junk));
	for (size_t i = 0; i < FLOODS; i++) {
		floods[i] = pipe_of_tenant("flood", "01ID", "f");
		assert_int_equal(fd_nonblock(floods[i], true), 0);
		while (write(floods[i], junk, sizeof(junk)) > 0)
			;
	}
	loop_once(loop, 100);
	files_flush(files);
	fd = pipe_of("02ID", "hello");
	write_string(fd, "heard\n");
	assert_int_equal(fstatat(directory_fd, "tenants/flood.log", &before, 0),
	    0);
	loop_once(loop, 100);
	assert_non_null(strstr(log_text(), "02ID hello: heard"));
	assert_int_equal(fstatat(directory_fd, "tenants/flood.log", &after, 0),
	    0);
	assert_in_range(after.st_size - before.st_size, 1,
	    DRAIN_WORK + DRAIN_READ * 50);
	for (size_t i = 0; i < FLOODS; i++)
		close(floods[i]);
	close(fd);
	until_empty();
}

/* Each pipe of a tenant has its turn, whatever the others bring. */
static void
a_tenants_pipes_take_turns(void **state)
{
	static char junk[65536];
	int floods[8], fd;
	unsigned turns = 0;

	(void)state;
	drains_limits_set(drains, 80, UINT64_MAX, UINT64_MAX);
	memset(junk, '\n', sizeof(junk));
	for (size_t i = 0; i < COUNT(floods); i++) {
		floods[i] = pipe_of("01ID", "flood");
		assert_int_equal(fd_nonblock(floods[i], true), 0);
	}
	fd = pipe_of("02ID", "hello");
	write_string(fd, "heard\n");
	while (!strstr(log_text(), "02ID hello: heard") && turns < 100) {
		for (size_t i = 0; i < COUNT(floods); i++)
			while (write(floods[i], junk, sizeof(junk)) > 0)
				;
		loop_once(loop, 100);
		turns++;
	}
	/* a read of each is worth more than a turn */
	assert_in_range(turns, 1, COUNT(floods) + 1);
	for (size_t i = 0; i < COUNT(floods); i++)
		close(floods[i]);
	close(fd);
	until_empty();
}

/* A second may end meanwhile; what was not kept is told to the byte. */
static void
faster_than_the_rate_bytes_are_counted(void **state)
{
	unsigned long long lines = 0, missed = 0, some;
	const char *text;
	char *end;
	int fd;

	(void)state;
	drains_limits_set(drains, 80, UINT64_MAX, 1000);
	for (unsigned i = 0; i < 3; i++) {
		fd = pipe_of(i == 0 ? "01ID" :
			i == 1	    ? "02ID" :
				      "03ID",
		    "hello");
		for (unsigned line = 0; line < 100; line++)
			write_string(fd, "line 6789\n");
		close(fd);
	}
	until_empty();
	for (text = log_text(); *text; text = strchr(text, '\n') + 1) {
		if (strncmp(text + 4, " hello: line 6789\n", 18) == 0) {
			lines++;
			continue;
		}
		some = strtoull(text + 12, &end, 10);
		assert_int_equal(strncmp(text + 4, " hello! ", 8), 0);
		assert_int_equal(
		    strncmp(end,
			" bytes of stderr were not kept: the tenant "
			"wrote faster than logs.rate = 1000 B a "
			"second\n",
			strchr(end, '\n') + 1 - end),
		    0);
		missed += some;
	}
	assert_int_equal(10 * lines + missed, 3000);
	assert_in_range(lines, 30, 90); /* 34 bytes each, of 1000 */
	/* others are not concerned */
	fd = pipe_of_tenant("other", "04ID", "f");
	write_string(fd, "heard\n");
	close(fd);
	until_empty();
	files_flush(files);
	assert_int_equal(faccessat(directory_fd, "tenants/other.log", R_OK, 0),
	    0);
}

static void
the_result_is_the_last_line(void **state)
{
	int fd = pipe_of("01ID", "hello");

	(void)state;
	write_string(fd, "before\nlast words");
	loop_once(loop, 0);
	result_of("01ID");
	assert_string_equal(log_text(), "01ID hello: before\n");
	assert_int_equal(results, 0);
	close(fd);
	until_empty();
	assert_non_null(strstr(log_text(),
	    "01ID hello: last words\n01ID hello= 200 GET / end=done "));
	assert_int_equal(results, 1);
}

static void
a_redirected_request_has_two_pipes_and_one_result(void **state)
{
	int first = pipe_of("01ID", "one"), second = pipe_of("01ID", "two");

	(void)state;
	result_of("01ID");
	write_string(first, "a\n");
	close(first);
	while (!strstr(log_text(), "01ID one: a"))
		loop_once(loop, 100);
	write_string(second, "b\n");
	loop_once(loop, 100);
	assert_int_equal(results, 0);
	close(second);
	until_empty();
	assert_int_equal(results, 1);
	assert_non_null(strstr(log_text(), "01ID two: b\n01ID hello= 200"));
}

/* What workers and templates say is of no request, and has the id of none. */
static void
tenants_share_no_id(void **state)
{
	int other = pipe_of_tenant("other", "-", "secret");
	int ours = pipe_of_tenant("acme", "-", "hello");

	(void)state;
	write_string(other, "of the other\n");
	write_string(ours, "ours\n");
	close(other);
	close(ours);
	until_empty();
	assert_string_equal(log_text(), "- hello: ours\n");
}

static void
somebody_who_keeps_stderr_open_holds_no_result_back(void **state)
{
	int fd = pipe_of("01ID", "hello");
	uint64_t deadline = clock_ms() + PATIENCE_MS;

	(void)state;
	result_of("01ID");
	while (results == 0 && clock_ms() < deadline)
		loop_once(loop, 100);
	assert_int_equal(results, 1);
	assert_false(drains_empty(drains));
	write_string(fd, "late\n");
	close(fd);
	until_empty();
	assert_non_null(strstr(log_text(), "01ID hello: late\n"));
	assert_int_equal(results, 1);
}

static void
a_result_without_pipe_is_written_at_once(void **state)
{
	(void)state;
	result_of("01ID");
	assert_int_equal(results, 1);
	assert_non_null(strstr(log_text(), "01ID hello= 200"));
}

static void
at_exit_what_is_held_is_written(void **state)
{
	int fd = pipe_of("01ID", "hello");

	(void)state;
	write_string(fd, "half a line");
	loop_once(loop, 0);
	result_of("01ID");
	drains_free(&drains);
	assert_non_null(strstr(log_text(),
	    "01ID hello: half a line\n01ID hello= 200"));
	close(fd);
}

int
main(void)
{
#define WITH_DRAINS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_DRAINS(beyond_the_limit_bytes_are_counted),
		WITH_DRAINS(a_flood_neither_waits_nor_fills_the_log),
		WITH_DRAINS(a_flood_leaves_other_pipes_their_turn),
		WITH_DRAINS(a_tenants_flood_is_one_turn_of_many),
		WITH_DRAINS(a_tenants_pipes_take_turns),
		WITH_DRAINS(faster_than_the_rate_bytes_are_counted),
		WITH_DRAINS(the_result_is_the_last_line),
		WITH_DRAINS(a_redirected_request_has_two_pipes_and_one_result),
		WITH_DRAINS(tenants_share_no_id),
		WITH_DRAINS(
		    somebody_who_keeps_stderr_open_holds_no_result_back),
		WITH_DRAINS(a_result_without_pipe_is_written_at_once),
		WITH_DRAINS(at_exit_what_is_held_is_written),
	};

	return RUN_ROWS(rows, row) + cmocka_run_group_tests(tests, NULL, NULL);
}
