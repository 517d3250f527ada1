/* SPDX-License-Identifier: MIT */
/* If this fails, the host becomes another user than it was told to, or stays who
 * it was, and says wrongly how a process ended. */

#include "proc_child.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>

#include "base/proc.h"

static void
becoming_another_user_is_for_good(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		gid_t groups[] = { 7, 8 };

		if (geteuid() != 0)
			_exit(proc_become(12345, 12345) == -1 &&
				    errno == EPERM ?
				0 :
				1);
		if (setgroups(2, groups) != 0 || proc_become(12345, 23456) != 0)
			_exit(2);
		if (getuid() != 12345 || geteuid() != 12345 ||
		    getgid() != 23456 || getgroups(0, NULL) != 0)
			_exit(3);
		if (seteuid(0) == 0 || setgid(0) == 0 || proc_become(0, 0) == 0)
			_exit(4);
		_exit(0);
	}
	status = status_of(pid);
	assert_int_equal(status, 0);
}

static void
no_new_privileges_stays_on(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(proc_no_new_privs() == 0 &&
			    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ?
			0 :
			1);
	assert_int_equal(status_of(pid), 0);
}

struct user_row {
	const char *sentence;
	const char *name;
	int result;
	uid_t uid;
	gid_t gid;
};

static const struct user_row users[] = {
	{ "root has a name", "root", 0, 0, 0 },
	{ "root has a number", "0", 0, 0, 0 },
	{ "a number needs no entry", "3999999999", 0, 3999999999u,
	    3999999999u },
	{ "a number may have a group", "3999999999:77", 0, 3999999999u, 77 },
	{ "a name may have a group", "root:77", 0, 0, 77 },
	{ "a group may have a name", "12345:root", 0, 12345, 0 },
	{ "a name nobody has is no user", "nobody-has-this-name", -1, 0, 0 },
	{ "a group nobody has is no group", "root:nobody-has-this", -1, 0, 0 },
	{ "nothing is no user", "", -1, 0, 0 },
	{ "a group alone is no user", ":0", -1, 0, 0 },
	{ "a user with an empty group is none", "0:", -1, 0, 0 },
	{ "the number that means nobody is refused", "4294967295", -1, 0, 0 },
	{ "a number above 32 bits is refused", "4294967296", -1, 0, 0 },
	{ "a negative number is refused", "-1", -1, 0, 0 },
};

static void
user(void **state)
{
	const struct user_row *row = *state;
	uid_t uid = 0;
	gid_t gid = 0;

	assert_int_equal(proc_find_user(row->name, &uid, &gid), row->result);
	if (row->result == 0) {
		assert_int_equal(uid, row->uid);
		assert_int_equal(gid, row->gid);
	}
}

struct words_row {
	const char *sentence;
	int status;
	const char *words;
};

static const struct words_row words_rows[] = {
	{ "a good end is exit 0", 0, "exit 0" },
	{ "an exit code is a number", 3 << 8, "exit 3" },
	{ "a signal has its name", SIGSEGV, "signal SEGV" },
	{ "a core dump is the same signal", SIGSEGV | 0x80, "signal SEGV" },
	{ "the alarm has its name", SIGALRM, "signal ALRM" },
	{ "a real-time signal has its number", 40, "signal 40" },
};

static void
words(void **state)
{
	const struct words_row *row = *state;
	char text[32];

	assert_string_equal(proc_status_words(row->status, text), row->words);
}

static void
names_of_signals(void **state)
{
	(void)state;
	assert_string_equal(proc_signal_name(SIGKILL), "KILL");
	assert_string_equal(proc_signal_name(0), "?");
	assert_string_equal(proc_signal_name(-1), "?");
	assert_string_equal(proc_signal_name(1000), "?");
}

static const struct CMUnitTest others[] = {
	{ .name = "becoming another user is for good",
	    .test_func = becoming_another_user_is_for_good },
	{ .name = "no new privileges stays on",
	    .test_func = no_new_privileges_stays_on },
	{ .name = "signals have names", .test_func = names_of_signals },
};

int
main(void)
{
	return RUN_ROWS(users, user) + RUN_ROWS(words_rows, words) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
