/* SPDX-License-Identifier: MIT */
/* processes.c - others' processes: to signal, trace, read, slow down or limit them. */
#include <sys/resource.h>
#include <sys/syscall.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "attempt.h"

enum { I386_PRLIMIT64 = 340 };

int
attempt_signal_neighbour(void)
{
	return kill(process("neighbour_pid"), 0);
}

int
attempt_signal_master(void)
{
	return kill(process("master"), 0);
}

int
attempt_signal_gateway(void)
{
	return kill(process("gateway"), 0);
}

int
attempt_signal_log(void)
{
	return kill(process("log"), 0);
}

int
attempt_signal_state(void)
{
	return kill(process("state"), 0);
}

int
attempt_signal_cell(void)
{
	return kill(process("cell"), 0);
}

int
attempt_signal_launcher(void)
{
	return kill(launcher, 0);
}

int
attempt_signal_launcher_thread(void)
{
	return (int)syscall(SYS_tgkill, launcher, launcher, 0);
}

int
attempt_signal_other_invocation(void)
{
	return kill(process("sibling"), 0);
}

int
attempt_signal_by_descriptor(void)
{
	int fd = (int)syscall(SYS_pidfd_open, launcher, 0);

	return fd < 0 ? fd :
			(int)syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0);
}

int
attempt_trace_neighbour(void)
{
	return can_trace(process("neighbour_pid"));
}

int
attempt_trace_gateway(void)
{
	return can_trace(process("gateway"));
}

int
attempt_trace_cell(void)
{
	return can_trace(process("cell"));
}

int
attempt_trace_launcher(void)
{
	return can_trace(launcher);
}

int
attempt_trace_other_invocation(void)
{
	return can_trace(process("sibling"));
}

int
attempt_look_into_neighbour(void)
{
	return can_look_into(process("neighbour_pid"));
}

int
attempt_look_into_gateway(void)
{
	return can_look_into(process("gateway"));
}

int
attempt_look_into_launcher(void)
{
	return can_look_into(launcher);
}

int
attempt_look_into_other_invocation(void)
{
	return can_look_into(process("sibling"));
}

int
attempt_take_by_descriptor(void)
{
	int fd = (int)syscall(SYS_pidfd_open, launcher, 0);

	return fd < 0 ? fd : (int)syscall(SYS_pidfd_getfd, fd, 0, 0);
}

int
attempt_compare_with_launcher(void)
{
	return (int)syscall(SYS_kcmp, getpid(), launcher, 2 /* FILES */, 0, 0);
}

int
attempt_nice_neighbour(void)
{
	errno = 0;
	return setpriority(PRIO_PROCESS, (id_t)process("neighbour_pid"), 0);
}

int
attempt_nice_gateway(void)
{
	return setpriority(PRIO_PROCESS, (id_t)process("gateway"), 0);
}

int
attempt_limit_neighbour(void)
{
	struct rlimit limit;

	return prlimit(process("neighbour_pid"), RLIMIT_NOFILE, NULL, &limit);
}

int
attempt_limit_gateway(void)
{
	struct rlimit limit;

	return prlimit(process("gateway"), RLIMIT_NOFILE, NULL, &limit);
}

int
attempt_nice_cell(void)
{
	return setpriority(PRIO_PROCESS, (id_t)process("cell"), 0);
}

int
attempt_nice_user(void)
{
	return setpriority(PRIO_USER, 0, 0);
}

int
attempt_nice_launcher(void)
{
	int nice = getpriority(PRIO_PROCESS, (id_t)launcher);

	return setpriority(PRIO_PROCESS, (id_t)launcher, nice);
}

/* To what they are. */
static int
can_limit(pid_t pid)
{
	struct rlimit limit;

	return prlimit(pid, RLIMIT_NOFILE, NULL, &limit) != 0 ?
	    -1 :
	    prlimit(pid, RLIMIT_NOFILE, &limit, NULL);
}

int
attempt_limit_cell(void)
{
	return can_limit(process("cell"));
}

int
attempt_limit_launcher(void)
{
	return can_limit(launcher);
}

int
attempt_limit_launcher_in_i386(void)
{
#ifdef __x86_64__
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(I386_PRLIMIT64), "b"(launcher),
			 "c"(RLIMIT_NOFILE), "d"(0), "S"(0)
			 : "memory");
	if (result >= 0)
		return 0;
	errno = (int)-result;
	return -1;
#else
	return attempt_limit_launcher();
#endif
}

int
attempt_limit_itself(void)
{
	return can_limit(0);
}

static int
can_schedule(pid_t pid)
{
	const struct sched_param none = { 0 };

	return sched_setscheduler(pid, SCHED_BATCH, &none);
}

int
attempt_schedule_neighbour(void)
{
	return can_schedule(process("neighbour_pid"));
}

int
attempt_schedule_cell(void)
{
	return can_schedule(process("cell"));
}

int
attempt_schedule_launcher(void)
{
	return can_schedule(launcher);
}

int
attempt_schedule_itself(void)
{
	return can_schedule(0);
}

int
attempt_set_parameters_of_launcher(void)
{
	const struct sched_param none = { 0 };

	return sched_setparam(launcher, &none);
}

int
attempt_set_attributes_of_launcher(void)
{
	char attributes[56];

	return syscall(SYS_sched_getattr, launcher, attributes,
		   sizeof(attributes), 0) != 0 ?
	    -1 :
	    (int)syscall(SYS_sched_setattr, launcher, attributes, 0);
}

int
attempt_io_priority_of_launcher(void)
{
	return (int)syscall(SYS_ioprio_set, 1 /* process */, launcher, 0);
}

int
attempt_io_priority_of_user(void)
{
	return (int)syscall(SYS_ioprio_set, 3 /* user */, 0, 0);
}

static int
can_pin(pid_t pid)
{
	cpu_set_t where;

	return sched_getaffinity(pid, sizeof(where), &where) != 0 ?
	    -1 :
	    sched_setaffinity(pid, sizeof(where), &where);
}

int
attempt_pin_cell(void)
{
	return can_pin(process("cell"));
}

int
attempt_pin_launcher(void)
{
	return can_pin(launcher);
}

int
attempt_join_session_of_launcher(void)
{
	return setpgid(launcher, launcher);
}
