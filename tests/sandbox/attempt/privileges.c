/* SPDX-License-Identifier: MIT */
/* privileges.c - to be somebody else, or to be allowed more. */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <unistd.h>

#include "attempt.h"

int
attempt_become_root(void)
{
	return setuid(0);
}

int
attempt_become_neighbour(void)
{
	uid_t uid = (uid_t)process("neighbour_uid");

	return setresuid(uid, uid, uid);
}

int
attempt_become_group_of_root(void)
{
	return setgid(0);
}

int
attempt_join_groups(void)
{
	return setgroups(1, &(gid_t){ 0 });
}

int
attempt_gain_capability(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .effective = 1, .permitted = 1 },
	};

	return (int)syscall(SYS_capset, &head, data);
}

int
attempt_gain_ambient(void)
{
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0);
}

int
attempt_set_securebits(void)
{
	return prctl(PR_SET_SECUREBITS, 0);
}

/* data/setuid is this program, of root and setuid; the test puts it there. */
int
attempt_run_setuid(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl("data/setuid", "setuid", "--who", NULL);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	errno = EPERM;
	return WIFEXITED(status) && WEXITSTATUS(status) == 1 ? -1 : 0;
}

int
attempt_nicer(void)
{
	return setpriority(PRIO_PROCESS, 0, -1);
}

int
attempt_real_time(void)
{
	return sched_setscheduler(0, SCHED_FIFO,
	    &(struct sched_param){ .sched_priority = 1 });
}

int
attempt_raise_core(void)
{
	return can_raise(RLIMIT_CORE);
}

int
attempt_raise_files(void)
{
	return can_raise(RLIMIT_NOFILE);
}

int
attempt_raise_processes(void)
{
	return can_raise(RLIMIT_NPROC);
}

int
attempt_raise_memory(void)
{
	return can_raise(RLIMIT_DATA);
}

int
attempt_raise_priority(void)
{
	return can_raise(RLIMIT_NICE);
}

int
attempt_raise_queues(void)
{
	return can_raise(RLIMIT_MSGQUEUE);
}

int
attempt_lock_memory(void)
{
	return mlock(&launcher, sizeof(launcher));
}
