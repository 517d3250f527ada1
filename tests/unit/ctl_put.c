/* SPDX-License-Identifier: MIT */
/* If this fails, `fcgi-hostctl put` leaves half a function, or one that cannot
 * run, or writes outside the tenant's directory, maybe as root. */
#include "rows.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ctl/ctl.h"

static char base[64], source[96];

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static const char *
path_of(const char *below)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", base, below);
	return path;
}

static void
write_file(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

/* "absent" when there is none. */
static const char *
content(const char *below)
{
	static char text[256];
	FILE *file = fopen(path_of(below), "r");
	size_t n;

	if (!file)
		return "absent";
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

static int
setup(void **state)
{
	static const char *const made[] = { "f", "f/demo", "f/demo/gallery",
		"f/beta", "out" };

	(void)state;
	umask(022);
	strcpy(base, "/tmp/fcgi-host-put-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	for (size_t i = 0; i < COUNT(made); i++)
		assert_int_equal(mkdir(path_of(made[i]), 0755), 0);
	assert_int_equal(symlink("../../out", path_of("f/demo/link")), 0);
	assert_int_equal(symlink("../out", path_of("f/linked")), 0);
	snprintf(source, sizeof(source), "%s/hello.sh", base);
	write_file(source, "new", 0755);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	return nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* As from the command line, in a process of its own:
 * put --functions BASE/f [--mode MODE] FILE TO */
static pid_t
put_start(const char *file, const char *to, const char *mode)
{
	const struct ctl ctl = { .run = "/nonexistent" };
	const char *words[] = { "put", "--functions", NULL, file, to,
		mode ? "--mode" : NULL, mode, NULL };
	int count = mode ? 7 : 5, first;
	pid_t pid;

	words[2] = strdup(path_of("f"));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		first = arguments_read("put", command_put.arguments, NULL,
		    false, count, (char **)(uintptr_t)words);
		if (count - first != 2)
			_exit(99);
		_exit(command_put.run(&ctl, 2,
		    (char **)(uintptr_t)words + first));
	}
	free((char *)(uintptr_t)words[2]);
	return pid;
}

static int
put(const char *file, const char *to, const char *mode)
{
	pid_t pid = put_start(file, to, mode);
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static size_t
entries(const char *below)
{
	DIR *directory = opendir(path_of(below));
	size_t count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count - 2;
}

#define LONG_63 \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
#define LONG_64 LONG_63 "-"

/* clang-format off */
static const struct row {
	const char *sentence;
	const char *to, *mode;	/* NULL: not given */
	mode_t source_mode;
	int result;
	const char *file;	/* where it is then; NULL: nowhere */
	mode_t file_mode;
} rows[] = {
	{ "the name is the file's", "demo", NULL, 0755, 0,
	    "f/demo/hello.sh", 0755 },
	{ "or another", "demo/hi", NULL, 0755, 0, "f/demo/hi", 0755 },
	{ "a file of a function in its directory", "demo/gallery/data.txt",
	    NULL, 0644, 0, "f/demo/gallery/data.txt", 0644 },
	{ "what is to be a function is made executable", "demo/hi", NULL, 0644,
	    0, "f/demo/hi", 0755 },
	{ "so is the run of a directory", "demo/gallery/run", NULL, 0640, 0,
	    "f/demo/gallery/run", 0750 },
	{ "settings are not", "demo/hi.conf", NULL, 0755, 0,
	    "f/demo/hi.conf", 0644 },
	{ "others may not write it", "demo/hi", NULL, 0777, 0, "f/demo/hi",
	    0755 },
	{ "what is private stays private", "demo/hi", NULL, 0600, 0,
	    "f/demo/hi", 0700 },
	{ "no bits but permissions", "demo/hi", NULL, 06755, 0, "f/demo/hi",
	    0755 },
	{ "a mode may be given", "demo/hi", "750", 0644, 0, "f/demo/hi", 0750 },
	{ "not one that others may write", "demo/hi", "777", 0755, CTL_USAGE,
	    NULL, 0 },
	{ "nor setuid", "demo/hi", "4755", 0755, CTL_USAGE, NULL, 0 },
	{ "nor words", "demo/hi", "rwx", 0755, CTL_USAGE, NULL, 0 },
	{ "a tenant that is not there is not made", "other", NULL, 0755,
	    CTL_FAILED, NULL, 0 },
	{ "nor a directory of one", "demo/none/run", NULL, 0755, CTL_FAILED,
	    NULL, 0 },
	{ "a link in the tenant's directory is not followed", "demo/link/x",
	    NULL, 0755, CTL_FAILED, NULL, 0 },
	{ "nor one for a tenant", "linked/x", NULL, 0755, CTL_FAILED, NULL,
	    0 },
	{ "dots do not lead out", "demo/../../out/x", NULL, 0755, CTL_USAGE,
	    NULL, 0 },
	{ "nor into another tenant", "demo/../beta/x", NULL, 0755, CTL_USAGE,
	    NULL, 0 },
	{ "nor do they stand for nothing", "demo/./x", NULL, 0755, CTL_USAGE,
	    NULL, 0 },
	{ "not even further below", "demo/gallery/../x", NULL, 0755, CTL_USAGE,
	    NULL, 0 },
	{ "a part must have a name", "demo//x", NULL, 0755, CTL_USAGE, NULL,
	    0 },
	{ "the first too", "demo/", NULL, 0755, CTL_USAGE, NULL, 0 },
	{ "what is never served is not put", "demo/we ird", NULL, 0755,
	    CTL_USAGE, NULL, 0 },
	{ "nor into a directory that is not", "demo/we ird/run", NULL, 0755,
	    CTL_USAGE, NULL, 0 },
	{ "nor under a name that is too long", "demo/" LONG_64 ".sh", NULL,
	    0755, CTL_USAGE, NULL, 0 },
	{ "a name just short enough is one", "demo/" LONG_63 ".we ird", NULL,
	    0755, 0, "f/demo/" LONG_63 ".we ird", 0755 },
	{ "a backup is never a function", "demo/hi.bak", NULL, 0755, CTL_USAGE,
	    NULL, 0 },
	{ "a file of a function may be called anything", "demo/gallery/we ird",
	    NULL, 0644, 0, "f/demo/gallery/we ird", 0644 },
	{ "a directory is not replaced", "demo/gallery", NULL, 0755,
	    CTL_FAILED, NULL, 0 },
	{ "a dotfile is never a function", "demo/.hi", NULL, 0755, CTL_USAGE,
	    NULL, 0 },
	{ "a name must be there", "demo/gallery/", NULL, 0755, CTL_USAGE, NULL,
	    0 },
	{ "a tenant must have a tenant's name", "../demo", NULL, 0755,
	    CTL_USAGE, NULL, 0 },
};
/* clang-format on */

static void
row_test(void **state)
{
	const struct row *row = *state;
	struct stat st;
	size_t before;

	assert_int_equal(setup(NULL), 0);
	before = entries("f/demo");
	assert_int_equal(chmod(source, row->source_mode), 0);
	assert_int_equal(put(source, row->to, row->mode), row->result);
	assert_int_equal(entries("out"), 0);
	assert_int_equal(entries("f/beta"), 0);
	if (row->file) {
		assert_string_equal(content(row->file), "new");
		assert_int_equal(stat(path_of(row->file), &st), 0);
		assert_int_equal(st.st_mode & 07777, row->file_mode);
	} else {
		assert_int_equal(entries("f/demo"), before);
	}
	assert_int_equal(teardown(NULL), 0);
}

static void
an_open_file_keeps_its_content(void **state)
{
	char text[8] = "";
	int fd;

	(void)state;
	write_file(path_of("f/demo/hi"), "old", 0755);
	fd = open(path_of("f/demo/hi"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(put(source, "demo/hi", NULL), 0);
	assert_int_equal(read(fd, text, sizeof(text)), 3);
	close(fd);
	assert_string_equal(text, "old");
	assert_string_equal(content("f/demo/hi"), "new");
}

static void
a_link_is_replaced_not_written_through(void **state)
{
	(void)state;
	write_file(path_of("out/victim"), "old", 0644);
	assert_int_equal(symlink("../../out/victim", path_of("f/demo/hi")), 0);
	assert_int_equal(put(source, "demo/hi", NULL), 0);
	assert_string_equal(content("out/victim"), "old");
	assert_string_equal(content("f/demo/hi"), "new");
}

static void
what_cannot_be_read_changes_nothing(void **state)
{
	size_t before;

	(void)state;
	write_file(path_of("f/demo/hi"), "old", 0755);
	before = entries("f/demo");
	assert_int_equal(put("/nonexistent", "demo/hi", NULL), CTL_FAILED);
	assert_int_equal(put(base, "demo/hi", NULL), CTL_FAILED);
	assert_string_equal(content("f/demo/hi"), "old");
	assert_int_equal(entries("f/demo"), before);
}

static void
stdin_needs_a_name(void **state)
{
	(void)state;
	assert_int_equal(put("-", "demo", NULL), CTL_USAGE);
}

static void
who_ends_it_finds_nothing_new(void **state)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGTERM };
	int ends[2], status, standard = dup(0);
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		assert_int_equal(pipe(ends), 0);
		assert_int_equal(dup2(ends[0], 0), 0);
		signal(numbers[i], SIG_DFL);
		pid = put_start("-", "demo/hi", NULL);
		/* it waits for its input when the new file is there */
		while (entries("f/demo") < 3)
			assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
		assert_int_equal(kill(pid, numbers[i]), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), numbers[i]);
		assert_int_equal(entries("f/demo"), 2);
		close(ends[0]);
		close(ends[1]);
	}
	dup2(standard, 0);
	close(standard);
}

static void
under_root_it_belongs_to_the_tenant(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(path_of("f/demo"), 1234, 2345), 0);
	assert_int_equal(put(source, "demo/hi", NULL), 0);
	assert_int_equal(stat(path_of("f/demo/hi"), &st), 0);
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 2345);
}

int
main(void)
{
#define IN_A_DIRECTORY(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		IN_A_DIRECTORY(an_open_file_keeps_its_content),
		IN_A_DIRECTORY(a_link_is_replaced_not_written_through),
		IN_A_DIRECTORY(what_cannot_be_read_changes_nothing),
		IN_A_DIRECTORY(stdin_needs_a_name),
		IN_A_DIRECTORY(who_ends_it_finds_nothing_new),
		IN_A_DIRECTORY(under_root_it_belongs_to_the_tenant),
	};

	return RUN_ROWS(rows, row_test) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
