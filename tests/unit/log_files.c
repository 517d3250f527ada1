/* SPDX-License-Identifier: MIT */
/* If this fails, lines of the log are lost, cut or in the wrong file, files
 * grow without end, or names from outside lead out of the log directory. */
#include "rows.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "log/log.h"

static char directory[64];
static int directory_fd;
static unsigned written;

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/fcgi-host-log-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	written = 0;
	return directory_fd < 0 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(directory_fd);
	return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
count_written(void *arg, struct span name)
{
	(void)arg;
	(void)name;
	written++;
}

static struct files *
files_here(uint64_t size, uint64_t keep)
{
	struct files *files = files_new(directory_fd, count_written, NULL);

	files_limits_set(files, size, keep);
	return files;
}

/* What is in a file; "absent" when there is none. */
static const char *
content(const char *path)
{
	static char text[4096];
	int fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return "absent";
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static unsigned
open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void
lines_of_a_batch_are_written_together(void **state)
{
	struct files *files = files_here(1 << 20, 3);

	(void)state;
	assert_int_equal(files_put(files, SPAN_NONE, SPAN("a\n"), FILES_MAKE),
	    0);
	assert_int_equal(files_put(files, SPAN_NONE, SPAN("b\n"), FILES_MAKE),
	    0);
	assert_string_equal(content("access.log"), "");
	files_flush(files);
	assert_string_equal(content("access.log"), "a\nb\n");
	assert_int_equal(written, 1);
	files_flush(files);
	assert_int_equal(written, 1);
	files_free(&files);
}

static void
a_tenant_has_its_own_file(void **state)
{
	struct files *files = files_here(1 << 20, 3);
	struct stat st;

	(void)state;
	files_put(files, SPAN("acme"), SPAN("a\n"), FILES_MAKE);
	files_put(files, SPAN("git"), SPAN("b\n"), FILES_MAKE);
	files_free(&files);
	assert_string_equal(content("tenants/acme.log"), "a\n");
	assert_string_equal(content("tenants/git.log"), "b\n");
	assert_string_equal(content("access.log"), "absent");
	assert_int_equal(fstatat(directory_fd, "tenants/acme.log", &st, 0), 0);
	assert_int_equal(st.st_mode & 07, 0);
}

static void
no_file_is_made_for_who_only_asked(void **state)
{
	struct files *files = files_here(1 << 20, 3);

	(void)state;
	assert_int_equal(files_put(files, SPAN("acme"), SPAN("a\n"),
			     FILES_IF_THERE),
	    -1);
	files_flush(files);
	assert_string_equal(content("tenants/acme.log"), "absent");
	files_put(files, SPAN("acme"), SPAN("b\n"), FILES_MAKE);
	assert_int_equal(files_put(files, SPAN("acme"), SPAN("c\n"),
			     FILES_IF_THERE),
	    0);
	files_free(&files);
	assert_string_equal(content("tenants/acme.log"), "b\nc\n");
}

static const struct name_row {
	const char *sentence;
	struct span name;
	bool good;
} names[] = {
	{ "a plain name", SPAN("acme"), true },
	{ "all that a name may have", SPAN("A-z_0.9"), true },
	{ "63 bytes",
	    SPAN("123456789012345678901234567890123456789012345678901"
		 "234567890123"),
	    true },
	{ "64 bytes are too many",
	    SPAN("1234567890123456789012345678901234567"
		 "890123456789012345678901234"),
	    false },
	{ "no slash", SPAN("../etc/passwd"), false },
	{ "no dots in front", SPAN(".."), false },
	{ "no NUL", SPAN("a\0b"), false },
	{ "no blank", SPAN("a b"), false },
	{ "not nothing", SPAN(""), false },
};

static void
name(void **state)
{
	const struct name_row *row = *state;
	struct files *files;

	assert_int_equal(files_name_good(row->name), row->good);
	if (row->good || row->name.bytes == 0)
		return;
	assert_int_equal(setup(NULL), 0);
	files = files_here(1 << 20, 3);
	assert_int_equal(files_put(files, row->name, SPAN("x\n"), FILES_MAKE),
	    -1);
	assert_int_equal(files_open(files, row->name, 0), -1);
	files_free(&files);
	assert_int_equal(teardown(NULL), 0);
}

static const struct rotation_row {
	const char *sentence;
	uint64_t size, keep;
	unsigned lines;	      /* of 10 bytes, numbered from 0 */
	const char *files[4]; /* by age */
} rotations[] = {
	{ "under its size a file is not rotated", 100, 2, 3,
	    { "line 0000\nline 0001\nline 0002\n", "absent" } },
	{ "a file that is just full is not either", 30, 2, 3,
	    { "line 0000\nline 0001\nline 0002\n", "absent" } },
	{ "the line that would not fit begins a new one", 30, 2, 4,
	    { "line 0003\n", "line 0000\nline 0001\nline 0002\n", "absent" } },
	{ "they move up", 20, 2, 5,
	    { "line 0004\n", "line 0002\nline 0003\n", "line 0000\nline 0001\n",
		"absent" } },
	{ "the oldest goes", 20, 2, 7,
	    { "line 0006\n", "line 0004\nline 0005\n", "line 0002\nline 0003\n",
		"absent" } },
	{ "one may be kept", 20, 1, 7,
	    { "line 0006\n", "line 0004\nline 0005\n", "absent" } },
	{ "or none", 20, 0, 7, { "line 0006\n", "absent" } },
	{ "a line larger than the size gets a file of its own", 5, 1, 2,
	    { "line 0001\n", "line 0000\n", "absent" } },
};

static void
rotation(void **state)
{
	static const char *const paths[] = { "tenants/acme.log",
		"tenants/acme.log.1", "tenants/acme.log.2",
		"tenants/acme.log.3" };
	const struct rotation_row *row = *state;
	struct files *files;
	char line[32];

	for (int batched = 0; batched < 2; batched++) {
		assert_int_equal(setup(NULL), 0);
		files = files_here(row->size, row->keep);
		for (unsigned i = 0; i < row->lines; i++) {
			snprintf(line, sizeof(line), "line %04u\n", i);
			assert_int_equal(files_put(files, SPAN("acme"),
					     span_of(line), FILES_MAKE),
			    0);
			if (!batched)
				files_flush(files);
		}
		files_free(&files);
		for (unsigned i = 0; i < 4 && row->files[i]; i++)
			assert_string_equal(content(paths[i]), row->files[i]);
		assert_int_equal(teardown(NULL), 0);
	}
}

static void
fewer_kept_files_take_effect(void **state)
{
	struct files *files = files_here(10, 3);

	(void)state;
	for (int i = 0; i < 5; i++) {
		char line[] = "123456789\n";

		line[0] = "abcde"[i];
		files_put(files, SPAN("acme"), span_of(line), FILES_MAKE);
	}
	assert_string_equal(content("tenants/acme.log.3"), "b23456789\n");
	files_limits_set(files, 10, 1);
	files_put(files, SPAN("acme"), SPAN("f23456789\n"), FILES_MAKE);
	files_free(&files);
	assert_string_equal(content("tenants/acme.log"), "f23456789\n");
	assert_string_equal(content("tenants/acme.log.1"), "e23456789\n");
	assert_string_equal(content("tenants/acme.log.2"), "absent");
	assert_string_equal(content("tenants/acme.log.3"), "absent");
}

static void
a_file_is_continued_after_a_restart(void **state)
{
	struct files *files = files_here(20, 1);

	(void)state;
	files_put(files, SPAN_NONE, SPAN("123456789\n"), FILES_MAKE);
	files_free(&files);
	files = files_here(20, 1);
	files_put(files, SPAN_NONE, SPAN("123456789\n"), FILES_MAKE);
	files_put(files, SPAN_NONE, SPAN("x\n"), FILES_MAKE);
	files_free(&files);
	assert_string_equal(content("access.log"), "x\n");
	assert_string_equal(content("access.log.1"), "123456789\n123456789\n");
}

static void
reopening_follows_a_file_that_was_moved_away(void **state)
{
	struct files *files = files_here(1 << 20, 3);

	(void)state;
	files_put(files, SPAN_NONE, SPAN("a\n"), FILES_MAKE);
	files_flush(files);
	assert_int_equal(renameat(directory_fd, "access.log", directory_fd,
			     "moved"),
	    0);
	files_put(files, SPAN_NONE, SPAN("b\n"), FILES_MAKE);
	files_reopen(files);
	files_put(files, SPAN_NONE, SPAN("c\n"), FILES_MAKE);
	files_free(&files);
	assert_string_equal(content("moved"), "a\nb\n");
	assert_string_equal(content("access.log"), "c\n");
}

static void
a_directory_that_was_tidied_away_is_made_again(void **state)
{
	struct files *files = files_here(1 << 20, 3);

	(void)state;
	files_put(files, SPAN("acme"), SPAN("a\n"), FILES_MAKE);
	files_flush(files);
	assert_int_equal(unlinkat(directory_fd, "tenants/acme.log", 0), 0);
	assert_int_equal(unlinkat(directory_fd, "tenants", AT_REMOVEDIR), 0);
	files_reopen(files);
	assert_int_equal(files_put(files, SPAN("acme"), SPAN("b\n"),
			     FILES_MAKE),
	    0);
	files_free(&files);
	assert_string_equal(content("tenants/acme.log"), "b\n");
}

static void
a_thousand_tenants_need_few_descriptors(void **state)
{
	struct files *files = files_here(1 << 20, 3);
	unsigned before = open_descriptors();
	char tenant[16], path[64];

	(void)state;
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < 1000; i++) {
			snprintf(tenant, sizeof(tenant), "t%u", i);
			assert_int_equal(files_put(files, span_of(tenant),
					     SPAN("x\n"), FILES_MAKE),
			    0);
		}
	assert_int_equal(open_descriptors(), before + FILES_OPEN_MOST);
	files_free(&files);
	assert_int_equal(open_descriptors(), before);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "tenants/t%u.log", i);
		assert_string_equal(content(path), "x\nx\n");
	}
}

static void
a_link_is_not_followed(void **state)
{
	struct files *files = files_here(1 << 20, 3);

	(void)state;
	assert_int_equal(symlinkat("../victim", directory_fd,
			     "tenants/acme.log"),
	    0);
	assert_int_equal(files_put(files, SPAN("acme"), SPAN("x\n"),
			     FILES_MAKE),
	    -1);
	files_free(&files);
	assert_string_equal(content("victim"), "absent");
}

/* RLIMIT_FSIZE stands for the full disk: a write is cut short, then fails. */
static void
a_full_disk_leaves_whole_lines_and_heals(void **state)
{
	struct rlimit normal, little;
	struct files *files = files_here(1 << 20, 3);

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &normal), 0);
	little = normal;
	little.rlim_cur = 15;
	files_put(files, SPAN_NONE, SPAN("123456789\n"), FILES_MAKE);
	files_flush(files);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	for (unsigned i = 0; i < 3; i++) {
		files_put(files, SPAN_NONE, SPAN("lost line\n"), FILES_MAKE);
		files_flush(files);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &normal), 0);
	assert_string_equal(content("access.log"), "123456789\n");
	files_put(files, SPAN_NONE, SPAN("again\n"), FILES_MAKE);
	files_free(&files);
	assert_string_equal(content("access.log"), "123456789\nagain\n");
}

static void
the_age_of_an_open_file_is_known(void **state)
{
	struct files *files = files_here(10, 2);
	int fd;

	(void)state;
	files_put(files, SPAN("acme"), SPAN("123456789\n"), FILES_MAKE);
	files_flush(files);
	fd = files_open(files, SPAN("acme"), 0);
	for (int age = 0; age <= 2; age++) {
		assert_int_equal(files_age(files, SPAN("acme"), fd), age);
		files_put(files, SPAN("acme"), SPAN("123456789\n"), FILES_MAKE);
	}
	assert_int_equal(files_age(files, SPAN("acme"), fd), -1);
	close(fd);
	files_free(&files);
}

int
main(void)
{
#define IN_A_DIRECTORY(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		IN_A_DIRECTORY(lines_of_a_batch_are_written_together),
		IN_A_DIRECTORY(a_tenant_has_its_own_file),
		IN_A_DIRECTORY(no_file_is_made_for_who_only_asked),
		IN_A_DIRECTORY(fewer_kept_files_take_effect),
		IN_A_DIRECTORY(a_file_is_continued_after_a_restart),
		IN_A_DIRECTORY(reopening_follows_a_file_that_was_moved_away),
		IN_A_DIRECTORY(a_directory_that_was_tidied_away_is_made_again),
		IN_A_DIRECTORY(a_thousand_tenants_need_few_descriptors),
		IN_A_DIRECTORY(a_link_is_not_followed),
		IN_A_DIRECTORY(a_full_disk_leaves_whole_lines_and_heals),
		IN_A_DIRECTORY(the_age_of_an_open_file_is_known),
	};

	return RUN_ROWS(names, name) + RUN_ROWS(rotations, rotation) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
