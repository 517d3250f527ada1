/* SPDX-License-Identifier: MIT */
/* If this fails, a change in a tenant's directory goes unseen, or what has not
 * changed is looked for again and again. */

#include <elf.h>

#include "cell_ask.h"

static void
the_one_that_serves_stays(void **state)
{
	(void)state;
	place_put("hello.sh", 0755, SCRIPT);
	ask("hello");
	assert_string_equal(got.file, "hello.sh");
	place_put("hello.py", 0755, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_FOUND);
	assert_string_equal(got.file, "hello.sh");
	ask("hello.sh");
	assert_int_equal(got.outcome, RESOLVED_FOUND);
	ask("hello.py");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	unlink(place_of("hello.sh"));
	ask("hello");
	assert_string_equal(got.file, "hello.py");
	place_put("hello.sh", 0755, SCRIPT);
	ask("hello");
	assert_string_equal(got.file, "hello.py");
}

static void
the_one_that_served_is_forgotten_with_its_name(void **state)
{
	(void)state;
	place_put("hello.sh", 0755, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_FOUND);
	unlink(place_of("hello.sh"));
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_NONE);
	place_put("hello.sh", 0755, SCRIPT);
	place_put("hello.py", 0755, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
}

static void
list_nothing(void *arg, const struct resolution *r)
{
	(void)arg;
	assert_string_equal(r->function, "hello");
}

static void
listing_makes_nothing_serve(void **state)
{
	(void)state;
	place_put("hello.sh", 0755, SCRIPT);
	assert_int_equal(resolve_list(resolver, now_ms, list_nothing, NULL), 0);
	place_put("hello.py", 0755, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
}

static struct ticket
ticket_got(void)
{
	struct ticket t;

	assert_int_equal(ticket_decode(buf_span(&got.ticket), &t), 0);
	return t;
}

static bool
ticket_stale(const struct ticket *t)
{
	int program_fd, result = ticket_open(t, place_fd, &program_fd);

	if (result != 0)
		assert_int_equal(errno, ESTALE);
	assert_int_equal(program_fd >= 0, result == 0 && t->native);
	fd_close(&program_fd);
	return result != 0;
}

static void
a_ticket_is_good_until_something_changes(void **state)
{
	struct ticket t;

	(void)state;
	place_put("hello", 0755, SCRIPT);
	ask("hello");
	t = ticket_got();
	assert_false(ticket_stale(&t));
	place_put("hello.conf", 0644, "concurrency = 3;");
	assert_true(ticket_stale(&t));
	ask("hello");
	t = ticket_got();
	assert_false(ticket_stale(&t));
	place_put("hello.conf", 0644, "concurrency = 4;");
	assert_true(ticket_stale(&t));
	ask("hello");
	t = ticket_got();
	place_put("tenant.conf", 0644, "");
	assert_true(ticket_stale(&t));
	ask("hello");
	t = ticket_got();
	place_put("hello", 0755, SCRIPT "longer");
	assert_true(ticket_stale(&t));
}

/* A program as our own: the first bytes are those of this test, the others 0;
 * less than HEAD_BYTES are all there is. */
enum { HEAD_BYTES = 4096 };

static void
put_native(const char *name, mode_t mode, size_t bytes)
{
	char head[HEAD_BYTES];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fd;
	struct stat st;

	assert_int_equal(read(from, head, sizeof(head)), sizeof(head));
	assert_int_equal(fstat(from, &st), 0);
	close(from);
	place_put(name, 0600, "");
	fd = open(place_of(name), O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, head, bytes), (ssize_t)bytes);
	if (bytes == HEAD_BYTES)
		assert_int_equal(ftruncate(fd, st.st_size), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void
a_ticket_says_what_the_kernel_runs_without_help(void **state)
{
	static const struct {
		const char *text; /* NULL: as many bytes of a program */
		size_t bytes;
		mode_t mode;
		bool native;
	} rows[] = {
		{ NULL, 4096, 0755, true },
		{ "#!/bin/sh\n", 0, 0755, false },
		/* too odd to know */
		{ "\177ELF, for another machine, and longer than its first "
		  "record, which has 64 bytes",
		    0, 0755, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].text)
			place_put("hello", rows[i].mode, rows[i].text);
		else
			put_native("hello", rows[i].mode, rows[i].bytes);
		ask("hello");
		assert_int_equal(got.outcome, RESOLVED_FOUND);
		assert_int_equal(ticket_got().native, rows[i].native);
	}
}

/* The first bytes of this test with one of them changed. */
#define CUT_OFF "hello is cut off: parts of the ELF program are missing"

static void
a_program_that_was_changed_is_refused(void **state)
{
	static const struct {
		size_t at;
		char byte;
		const char *reason; /* NULL: found */
	} rows[] = {
		{ 0, '\177', NULL },
		{ 18, 8, "hello: an ELF program for another machine" },
		{ 5, 2, "hello: an ELF program for another machine" },
		{ 16, ET_REL,
		    "hello: an ELF file, but no program: it is not linked "
		    "yet" },
		{ 16, ET_CORE, "hello: an ELF file, but no program" },
		{ 54, 1, "hello: a damaged ELF program" },
		{ 56, 0, "hello: a damaged ELF program" },
		{ 39, 1, CUT_OFF }, /* where its table of parts is */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd;

		put_native("hello", 0755, 4096);
		fd = open(place_of("hello"), O_WRONLY | O_CLOEXEC);
		assert_int_equal(pwrite(fd, &rows[i].byte, 1,
				     (off_t)rows[i].at),
		    1);
		close(fd);
		ask("hello");
		if (rows[i].reason)
			assert_string_equal(got.reason, rows[i].reason);
		else
			assert_int_equal(got.outcome, RESOLVED_FOUND);
	}
}

/* An upload that broke off: it would start, and end by a signal. */
static void
a_program_that_is_cut_off_is_refused(void **state)
{
	static const size_t sizes[] = { 4, 16, 63, 100, HEAD_BYTES - 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		put_native("hello", 0755, sizes[i]);
		ask("hello");
		assert_int_equal(got.outcome, RESOLVED_REFUSED);
		assert_says(got.reason, "hello is cut off: *");
	}
	put_native("hello", 0755, HEAD_BYTES);
	assert_int_equal(truncate(place_of("hello"), 2 * HEAD_BYTES), 0);
	ask("hello");
	assert_string_equal(got.reason, CUT_OFF);
}

static void
a_script_with_nul_in_its_first_line_is_refused(void **state)
{
	static const char line[] = "#!/bin/sh\0\necho\n";
	int fd;

	(void)state;
	place_put("hello", 0755, "");
	fd = open(place_of("hello"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, line, sizeof(line) - 1),
	    (ssize_t)sizeof(line) - 1);
	close(fd);
	ask("hello");
	assert_string_equal(got.reason,
	    "hello: its first line has NUL bytes in it");
}

static void
a_program_without_its_loader_is_refused(void **state)
{
	static const char loader[] = "/lib64/ld-";
	char head[4096], *found;
	int fd;

	(void)state;
	put_native("hello", 0755, 4096);
	fd = open(place_of("hello"), O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
	found = memmem(head, sizeof(head), loader, strlen(loader));
	if (!found) { /* another machine's is elsewhere */
		close(fd);
		skip();
	}
	assert_int_equal(pwrite(fd, "x", 1, found + 1 - head), 1);
	close(fd);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	assert_says(got.reason, "hello: its loader /xib64/ld-* this system");
}

/* Its writer has only just begun: the request waits for him. */
static void
an_empty_file_that_is_still_written_is_left_to_wait(void **state)
{
	int fd;

	(void)state;
	place_put("hello", 0755, "");
	fd = open(place_of("hello"), O_WRONLY | O_CLOEXEC);
	ask("hello");
	close(fd);
	assert_int_equal(got.outcome, RESOLVED_FOUND);
	ask("hello");
	assert_string_equal(got.reason, "hello is empty");
}

static void
an_interpreter_that_comes_later_counts(void **state)
{
	char text[PATH_MAX];

	(void)state;
	snprintf(text, sizeof(text), "#!%.2000s/inter\n", place_path);
	place_put("hello", 0755, text);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	place_put("inter", 0755, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_FOUND);
}

static void
a_program_that_cannot_be_read_is_refused(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip();
	place_put("hello", 0111, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	assert_string_equal(got.reason,
	    "hello cannot be read by the tenant's user, as its interpreter "
	    "must: chmod a+r hello");
}

static void
list_refused(void *arg, const struct resolution *r)
{
	char *text = arg;

	assert_int_equal(r->outcome, RESOLVED_REFUSED);
	assert_string_equal(r->function, "");
	sprintf(text + strlen(text), "%s|%s|", r->file, r->reason);
}

/* No URL leads to it, so only the list can say that it is there. */
static void
a_function_of_an_impossible_name_is_listed(void **state)
{
	static const char *const names[] = { "we ird", "\xc3\xbcn", "new\nline",
		("a23456789012345678901234567890123456789012345"
		 "6789012345678901234") };
	static const char *const never[] = { ".hidden", "old copy~", "a b.conf",
		"a b.bak" };
	static const char rule[] = "its name has characters other than "
				   "letters, digits, _ and -|";
	char text[4096] = "", row[1024];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		place_put(names[i], 0755, SCRIPT);
		place_put(never[i], 0755, SCRIPT);
	}
	place_put("no program", 0644, SCRIPT);
	assert_int_equal(mkdir(place_of("no function"), 0755), 0);
	assert_int_equal(mkdir(place_of("a function"), 0755), 0);
	place_put("a function/run", 0755, SCRIPT);
	assert_int_equal(resolve_list(resolver, now_ms, list_refused, text), 0);
	for (size_t i = 0; i < 3; i++) {
		snprintf(row, sizeof(row), "%s|%s: %s", names[i], names[i],
		    rule);
		assert_non_null(strstr(text, row));
	}
	assert_non_null(strstr(text, "more than 63 characters"));
	snprintf(row, sizeof(row), "a function/run|a function: %s", rule);
	assert_non_null(strstr(text, row));
	for (size_t i = 0; i < 4; i++)
		assert_null(strstr(text, never[i]));
	assert_null(strstr(text, "no "));
}

/* Whatever the name leads to a moment later. */
static void
a_ticket_opens_the_file_it_compared(void **state)
{
	struct identity found;
	int program_fd;
	struct ticket t;
	struct stat st;

	(void)state;
	put_native("hello", 0755, 4096);
	ask("hello");
	t = ticket_got();
	assert_int_equal(ticket_open(&t, place_fd, &program_fd), 0);
	assert_true(fcntl(program_fd, F_GETFD) & FD_CLOEXEC);
	put_native("other", 0755, 2048);
	assert_int_equal(rename(place_of("other"), place_of("hello")), 0);
	assert_int_equal(fstat(program_fd, &st), 0);
	assert_true(st.st_size > 2048);
	found = identity_of(&st);
	assert_int_equal(found.inode, t.files[TICKET_PROGRAM].inode);
	close(program_fd);
	assert_true(ticket_stale(&t));
}

/* ... which says nothing about the file. */
static void
no_descriptor_left_is_not_stale(void **state)
{
	struct rlimit before, none;
	struct ticket t;
	int program_fd;

	(void)state;
	put_native("hello", 0755, 4096);
	ask("hello");
	t = ticket_got();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(ticket_open(&t, place_fd, &program_fd), -1);
	assert_int_equal(errno, EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(program_fd, -1);
	assert_false(ticket_stale(&t));
}

/* A ticket of settings that are younger than the file system's clock tick is
 * good for that tick only. */
static void
young_settings_are_not_trusted_for_long(void **state)
{
	struct ticket t;
	struct stat st;

	(void)state;
	place_put("hello", 0755, SCRIPT);
	place_put("hello.conf", 0644, "concurrency = 3;");
	assert_int_equal(stat(place_of("hello.conf"), &st), 0);
	now_ms = (uint64_t)st.st_ctim.tv_sec * 1000 +
	    (uint64_t)st.st_ctim.tv_nsec / 1000000;
	ask("hello");
	t = ticket_got();
	assert_int_equal(t.young_until_ms, now_ms + TICKET_TICK_MS);
	now_ms += TICKET_TICK_MS + 1;
	ask("hello");
	t = ticket_got();
	assert_int_equal(t.young_until_ms, 0);
}

static void
settings_go_over_the_tenants_over_the_hosts(void **state)
{
	struct settings *s;

	(void)state;
	place_put("hello", 0755, SCRIPT);
	ask("hello");
	assert_int_equal(buf_bytes(&got.settings), 0);
	place_put("tenant.conf", 0644, "concurrency = 3; state = \"none\";");
	place_put("hello.conf", 0644, "concurrency = 5;");
	ask("hello");
	s = settings_decode(buf_span(&got.settings),
	    config_terms(config, SPAN_NONE));
	assert_non_null(s);
	assert_int_equal(s->concurrency, 5);
	assert_int_equal(s->state, STATE_NONE);
	settings_release(&s);
	unlink(place_of("hello.conf"));
	ask("hello");
	s = settings_decode(buf_span(&got.settings),
	    config_terms(config, SPAN_NONE));
	assert_int_equal(s->concurrency, 3);
	settings_release(&s);
}

static void
large_settings_are_refused(void **state)
{
	static char text[SETTINGS_FILE_MOST + 2];

	(void)state;
	memset(text, '#', sizeof(text) - 1);
	place_put("hello", 0755, SCRIPT);
	place_put("hello.conf", 0644, text);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	assert_string_equal(got.reason, "hello.conf is larger than 64 KiB");
}

static void
a_directory_that_is_gone_has_moved(void **state)
{
	(void)state;
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_NONE);
	assert_int_equal(rmdir(place_path), 0);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_MOVED);
}

static void
a_directory_that_cannot_be_read_is_refused(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip();
	place_put("hello", 0755, SCRIPT);
	assert_int_equal(chmod(place_path, 0311), 0);
	ask("hello");
	assert_int_equal(chmod(place_path, 0755), 0);
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	assert_non_null(strstr(got.reason, "cannot be read by user"));
}

static void
a_program_for_others_only_is_refused(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip();
	place_put("hello", 0055, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	assert_non_null(strstr(got.reason, "hello may not be executed by"));
}

/* In a user namespace root's files look like nobody's. */
static void
a_user_namespace_does_not_know_root(void **state)
{
	struct resolve_place place = { .directory_fd = place_fd,
		.directory = place_path,
		.uid = geteuid(),
		.gid = getegid(),
		.user_namespace = true };
	struct resolve *r = resolve_new(&place, config);

	(void)state;
	if (geteuid() != 0) {
		resolve_free(&r);
		skip();
	}
	place_put("hello", 0755, SCRIPT);
	assert_int_equal(chown(place_of("hello"), 65534, 65534), 0);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	resolve_name(r, SPAN("hello"), now_ms, &got);
	assert_int_equal(got.outcome, RESOLVED_FOUND);
	/* but a group that may write there is nobody's own */
	assert_int_equal(chmod(place_of("hello"), 0775), 0);
	resolve_name(r, SPAN("hello"), now_ms, &got);
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	resolve_free(&r);
}

/* What is young is told so, but is no other for it. */
static void
a_version_is_that_of_files_and_settings(void **state)
{
	uint64_t first, second;

	(void)state;
	place_put("hello", 0755, SCRIPT);
	place_put("hello.conf", 0644, "concurrency = 3;");
	now_ms = clock_unix_ms();
	ask("hello");
	first = got.version;
	assert_true(first != 0);
	now_ms += 3600 * 1000;
	ask("hello");
	assert_true(got.version == first);

	place_put("hello.conf", 0644, "concurrency = 4;");
	ask("hello");
	second = got.version;
	assert_true(second != first);
	place_put("new", 0755, SCRIPT);
	assert_int_equal(rename(place_of("new"), place_of("hello")), 0);
	ask("hello");
	assert_true(got.version != first && got.version != second);
	second = got.version;
	assert_int_equal(unlink(place_of("hello.conf")), 0);
	ask("hello");
	assert_true(got.version != second);
	second = got.version;
	place_put("tenant.conf", 0644, "");
	ask("hello");
	assert_true(got.version != second);
	ask("nobody");
	assert_true(got.version == 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		ONE(a_version_is_that_of_files_and_settings),
		ONE(the_one_that_serves_stays),
		ONE(the_one_that_served_is_forgotten_with_its_name),
		ONE(listing_makes_nothing_serve),
		ONE(a_ticket_is_good_until_something_changes),
		ONE(a_ticket_says_what_the_kernel_runs_without_help),
		ONE(a_program_that_was_changed_is_refused),
		ONE(a_program_that_is_cut_off_is_refused),
		ONE(a_script_with_nul_in_its_first_line_is_refused),
		ONE(a_program_without_its_loader_is_refused),
		ONE(an_empty_file_that_is_still_written_is_left_to_wait),
		ONE(an_interpreter_that_comes_later_counts),
		ONE(a_program_that_cannot_be_read_is_refused),
		ONE(a_function_of_an_impossible_name_is_listed),
		ONE(a_ticket_opens_the_file_it_compared),
		ONE(no_descriptor_left_is_not_stale),
		ONE(young_settings_are_not_trusted_for_long),
		ONE(settings_go_over_the_tenants_over_the_hosts),
		ONE(large_settings_are_refused),
		ONE(a_directory_that_is_gone_has_moved),
		ONE(a_directory_that_cannot_be_read_is_refused),
		ONE(a_program_for_others_only_is_refused),
		ONE(a_user_namespace_does_not_know_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
