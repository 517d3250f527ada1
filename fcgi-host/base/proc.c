/* SPDX-License-Identifier: MIT */
/* proc.c - the one door to clone, execve and setuid.
 * Between clone and execve the child borrows the memory of its parent, which
 * sleeps: it calls the kernel only, changes nothing but its own stack and the
 * struct launch, and never returns. Not for threads: the child's stack is one
 * static array. */

#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/landlock.h"
#include "base/proc.h"

enum {
	CHILD_STACK_BYTES = 16 * 1024, /* measured use: 312 bytes, 3.5 KiB
					 * when symbols are bound on the way */
	CHILDREN_AT_ONCE = 512,	       /* seen per look at /proc; more than
					 * anybody keeps */
	KERNEL_SIGSET_BYTES = 8,
	SIGNAL_MOST = 64,
};

/* Ids end below (uid_t)-1, which the kernel reads as "leave it". */
#define ID_MOST UINT64_C(0xfffffffe)

/* The kernel's struct clone_args, whose header does not go with libc's. */
struct clone3_args {
	uint64_t flags;
	uint64_t pidfd;
	uint64_t child_tid;
	uint64_t parent_tid;
	uint64_t exit_signal;
	uint64_t stack;
	uint64_t stack_size;
	uint64_t tls;
	uint64_t set_tid;
	uint64_t set_tid_size;
	uint64_t cgroup;
};
#define FLAG_INTO_CGROUP UINT64_C(0x200000000)

/* What the child inherits by the shared memory, and how it reports. */
struct launch {
	const struct proc_plan *plan;
	uint64_t reset; /* bit s - 1: signal s */
	pid_t parent;
	char uid_map[48]; /* of a user namespace */
	char gid_map[48];
	volatile enum proc_step step;
	volatile int error;
};

static pid_t clone_into_cgroup(struct launch *, char *stack, size_t bytes);
static void launch_maps(struct launch *);
static int launch_child(void *arg);
static void launch_execute(const struct proc_plan *);
static enum proc_step launch_prepare(const struct launch *);
static void launch_reset_signals(uint64_t reset);
static int launch_own_namespace(const struct launch *);
static int launch_keep_capabilities(void);
static int write_file(const char *path, const char *text);
static int launch_descriptors(const struct proc_plan *);
static int launch_limits(const struct proc_plan *);
static int launch_user(const struct launch *);
static int launch_alarm(uint64_t alarm_us);
static void launch_empty_mask(void);
static uint64_t signals_to_reset(void);
static int id_number(struct span, uint32_t *id);
static bool pid_among(pid_t, const pid_t *, size_t count);
static int child_wait(pid_t, uint64_t deadline_ms, int *status);
static void child_kill(pid_t, const pid_t *keep, size_t keep_count);

const char *
proc_step_name(enum proc_step step)
{
	static const char *const names[] = {
		[PROC_STARTED] = "started",
		[PROC_CLONE] = "clone",
		[PROC_SESSION] = "session",
		[PROC_DESCRIPTORS] = "descriptors",
		[PROC_LIMIT] = "limit",
		[PROC_USER] = "user",
		[PROC_DIRECTORY] = "directory",
		[PROC_RULES] = "rules",
		[PROC_EXECVE] = "execve",
	};

	assert(step < sizeof(names) / sizeof(names[0]));
	return names[step];
}

struct proc_started
proc_start(const struct proc_plan *plan)
{
	static char stack[CHILD_STACK_BYTES] __attribute__((aligned(16)));
	struct launch launch = {
		.plan = plan,
		.reset = signals_to_reset(),
		.parent = plan->dies_with_parent ? getpid() : 0,
	};
	struct proc_started started = { .pid = -1, .step = PROC_CLONE };
	sigset_t all, before;

	assert(plan->fd_count <= PROC_FD_MOST);
	assert(plan->limit_count <= PROC_LIMIT_MOST);
	assert(plan->program_fd == 0 || plan->program_fd > STDERR_FILENO);
	assert(plan->program_fd == 0 ||
	    (size_t)plan->program_fd >= plan->fd_count);
	assert(plan->rules_fd == 0 || plan->rules_fd > STDERR_FILENO);
	assert(plan->rules_fd == 0 || (size_t)plan->rules_fd >= plan->fd_count);
	if (plan->namespaces & CLONE_NEWUSER)
		launch_maps(&launch);
	/* a handler that ran in the child would run on our memory */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	started.pid = plan->cgroup_fd > 0 ?
	    clone_into_cgroup(&launch, stack, sizeof(stack)) :
	    clone(launch_child, stack + sizeof(stack),
		CLONE_VM | CLONE_VFORK | SIGCHLD | (int)plan->namespaces,
		&launch);
	started.error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);

	if (started.pid < 0)
		return started;
	started.step = launch.step;
	started.error = launch.error;
	if (started.step != PROC_STARTED) {
		while (waitpid(started.pid, NULL, __WALL) < 0 && errno == EINTR)
			;
		started.pid = -1;
	}
	return started;
}

/* clone() of libc has no way to say it. As that one does, the child begins on a
 * stack of its own, so nothing that is on ours may be needed: function and
 * argument are in registers that the system call keeps. */
static pid_t
clone_into_cgroup(struct launch *launch, char *stack, size_t bytes)
{
	const struct clone3_args args = {
		.flags = CLONE_VM | CLONE_VFORK | FLAG_INTO_CGROUP |
		    launch->plan->namespaces,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = bytes,
		.cgroup = (uint64_t)launch->plan->cgroup_fd,
	};
	long result = -ENOSYS;

#if defined(__x86_64__) && defined(__LP64__)
	register int (*child)(void *) __asm__("r12") = launch_child;
	register void *argument __asm__("r13") = launch;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "movq %%r13, %%rdi\n\t"
			 "callq *%%r12\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(result)
			 : "0"((long)SYS_clone3), "D"(&args), "S"(sizeof(args)),
			 "r"(child), "r"(argument)
			 : "rcx", "r11", "memory", "cc");
#elif defined(__aarch64__)
	register long number __asm__("x8") = SYS_clone3;
	register long first __asm__("x0") = (long)&args;
	register size_t second __asm__("x1") = sizeof(args);
	register int (*child)(void *) __asm__("x20") = launch_child;
	register void *argument __asm__("x21") = launch;

	__asm__ volatile("svc 0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x0, x21\n\t"
			 "blr x20\n\t"
			 "brk 1\n"
			 "1:"
			 : "+r"(first)
			 : "r"(number), "r"(second), "r"(child), "r"(argument)
			 : "x30", "memory", "cc");
	result = first;
#else
	(void)args;
#endif
	if (result >= 0)
		return (pid_t)result;
	errno = (int)-result;
	return -1;
}

static void
launch_maps(struct launch *launch)
{
	unsigned uid = geteuid(), gid = getegid();

	snprintf(launch->uid_map, sizeof(launch->uid_map), "%u %u 1", uid, uid);
	snprintf(launch->gid_map, sizeof(launch->gid_map), "%u %u 1", gid, gid);
}

/* The order matters: what needs root before the change of user; the death
 * signal after it, because changing user clears it; the directory with the
 * user's own rights; the rules behind all that they might refuse. */
static enum proc_step
launch_prepare(const struct launch *launch)
{
	const struct proc_plan *plan = launch->plan;

	if ((plan->namespaces & CLONE_NEWUSER) &&
	    launch_own_namespace(launch) != 0)
		return PROC_USER;
	if ((plan->own_session && setsid() < 0) ||
	    (plan->own_group && setpgid(0, 0) != 0))
		return PROC_SESSION;
	if (launch_descriptors(plan) != 0)
		return PROC_DESCRIPTORS;
	if (launch_limits(plan) != 0)
		return PROC_LIMIT;
	if (launch_user(launch) != 0)
		return PROC_USER;
	if (plan->directory && chdir(plan->directory) != 0)
		return PROC_DIRECTORY;
	if (plan->rules_fd > 0 && landlock_restrict(plan->rules_fd) != 0)
		return PROC_RULES;
	return PROC_STARTED;
}

/* Everything is blocked here. SIGALRM is back to default before the alarm is
 * armed and the mask opens last, or the alarm would never kill. */
static int
launch_child(void *arg)
{
	struct launch *launch = arg;
	const struct proc_plan *plan = launch->plan;
	enum proc_step step;

	launch_reset_signals(launch->reset);
	step = launch_prepare(launch);
	if (step == PROC_STARTED) {
		step = PROC_EXECVE;
		if (launch_alarm(plan->alarm_us) == 0) {
			launch_empty_mask();
			launch_execute(plan);
		}
	}
	launch->error = errno;
	launch->step = step;
	_exit(127);
}

/* Returns only when it fails. */
static void
launch_execute(const struct proc_plan *plan)
{
	if (plan->program_fd > 0)
		execveat(plan->program_fd, "", plan->argv, plan->envp,
		    AT_EMPTY_PATH);
	else
		execve(plan->path, plan->argv, plan->envp);
}

/* The kernel's own struct sigaction, all zero, is SIG_DFL. By number, because
 * libc's wrapper may belong to a sanitizer, which keeps books. */
static void
launch_reset_signals(uint64_t reset)
{
	static const uint64_t to_default[4];

	for (int signo = 1; reset != 0; signo++, reset >>= 1)
		if (reset & 1)
			syscall(SYS_rt_sigaction, signo, to_default, NULL,
			    KERNEL_SIGSET_BYTES);
}

/* In a user namespace of its own the child keeps its ids, and what it may do
 * there: without a map before execve all of it would be lost for good. */
static int
launch_own_namespace(const struct launch *launch)
{
	if (write_file("/proc/self/setgroups", "deny") != 0 ||
	    write_file("/proc/self/uid_map", launch->uid_map) != 0 ||
	    write_file("/proc/self/gid_map", launch->gid_map) != 0)
		return -1;
	return launch_keep_capabilities();
}

/* As the ambient set: for a user who is not 0 there is no other way through
 * execve. */
static int
launch_keep_capabilities(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, sets) != 0)
		return -1;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		sets[i].inheritable = sets[i].permitted;
	if (syscall(SYS_capset, &header, sets) != 0)
		return -1;
	/* EINVAL: behind the last one this kernel knows */
	for (unsigned long c = 0;
	     prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) == 0; c++)
		;
	return errno == EINVAL ? 0 : -1;
}

static int
write_file(const char *path, const char *text)
{
	ssize_t bytes = (ssize_t)strlen(text);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, (size_t)bytes);

	fd_close(&fd);
	return n == bytes ? 0 : -1;
}

static int
launch_descriptors(const struct proc_plan *plan)
{
	int count = (int)plan->fd_count;
	int from[PROC_FD_MOST];

	/* sources that stand where a target will be step aside first */
	for (int i = 0; i < count; i++) {
		from[i] = plan->fds[i];
		if (from[i] < 0 || from[i] >= count || from[i] == i)
			continue;
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, count);
		if (from[i] < 0)
			return -1;
	}
	for (int i = 0; i < count; i++) {
		if (from[i] < 0)
			close(i);
		else if (from[i] == i ? fcntl(i, F_SETFD, 0) < 0 :
					dup2(from[i], i) < 0)
			return -1;
	}
	/* the standard ones of this process are not close-on-exec */
	for (int i = count; i <= STDERR_FILENO; i++)
		close(i);
	return 0;
}

static int
launch_limits(const struct proc_plan *plan)
{
	for (size_t i = 0; i < plan->limit_count; i++) {
		const struct proc_limit *l = &plan->limits[i];
		struct rlimit limit = { l->soft, l->hard };

		if (prlimit(0, (__rlimit_resource_t)l->resource, &limit,
			NULL) != 0)
			return -1;
	}
	return 0;
}

/* By system call: libc's wrappers want to tell all threads, whose list is the
 * parent's. Changing user on borrowed memory also makes the parent undumpable
 * (the kernel marks the memory), which a privileged parent should be anyway. */
static int
launch_user(const struct launch *launch)
{
	const struct proc_plan *plan = launch->plan;
	uid_t uid = plan->uid;
	gid_t gid = plan->gid;

	if (plan->changes_user &&
	    (syscall(SYS_setgroups, 0, NULL) != 0 ||
		syscall(SYS_setresgid, gid, gid, gid) != 0 ||
		syscall(SYS_setresuid, uid, uid, uid) != 0))
		return -1;
	if (!plan->dies_with_parent)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		return -1;
	/* it may have died already. In a new pid namespace the parent is 0
	 * either way; there the closed channel has to tell */
	if (!(plan->namespaces & CLONE_NEWPID) &&
	    syscall(SYS_getppid) != launch->parent) {
		errno = ESRCH;
		return -1;
	}
	return 0;
}

static int
launch_alarm(uint64_t alarm_us)
{
	struct itimerval once = {
		.it_value.tv_sec = (time_t)(alarm_us / 1000000),
		.it_value.tv_usec = (suseconds_t)(alarm_us % 1000000),
	};

	return alarm_us > 0 ? setitimer(ITIMER_REAL, &once, NULL) : 0;
}

static void
launch_empty_mask(void)
{
	static const uint64_t none;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL,
	    KERNEL_SIGSET_BYTES);
}

/* Handlers must not run on the parent's memory, ignored signals survive
 * execve. Which they are is looked up once; the three that everybody's
 * library likes to change cost less to reset than to trust. */
static bool signals_known;

void
proc_signals_changed(void)
{
	signals_known = false;
}

static uint64_t
signals_to_reset(void)
{
	static uint64_t reset;
	struct sigaction found;

	if (signals_known)
		return reset;
	reset = UINT64_C(1) << (SIGPIPE - 1) | UINT64_C(1) << (SIGCHLD - 1) |
	    UINT64_C(1) << (SIGALRM - 1);
	for (int signo = 1; signo <= SIGNAL_MOST; signo++)
		if (sigaction(signo, NULL, &found) == 0 &&
		    found.sa_handler != SIG_DFL)
			reset |= UINT64_C(1) << (signo - 1);
	signals_known = true;
	return reset;
}

int
proc_unshare(uint64_t namespaces)
{
	return unshare((int)namespaces);
}

int
proc_become(uid_t uid, gid_t gid)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		return -1;
	if (getresuid(&ruid, &euid, &suid) != 0 ||
	    getresgid(&rgid, &egid, &sgid) != 0)
		return -1;
	if (ruid != uid || euid != uid || suid != uid || rgid != gid ||
	    egid != gid || sgid != gid || getgroups(0, NULL) != 0 ||
	    (uid != 0 && setresuid(0, 0, 0) == 0)) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

int
proc_die_with_parent(void)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int
proc_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int
proc_subreaper(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

int
proc_batch(void)
{
	struct sched_param none = { 0 };

	return sched_setscheduler(0, SCHED_BATCH, &none);
}

int
proc_find_user(const char *name, uid_t *uid, gid_t *gid)
{
	struct span rest = span_of(name), first = span_cut(&rest, ':');
	const struct passwd *entry;
	char user[256];

	if (first.bytes == 0 || first.bytes >= sizeof(user))
		return -1;
	snprintf(user, sizeof(user), "%.*s", SPAN_ARGS(first));
	if (id_number(first, uid) == 0) {
		entry = getpwuid(*uid);
		*gid = entry ? entry->pw_gid : *uid;
	} else {
		entry = getpwnam(user);
		if (!entry)
			return -1;
		*uid = entry->pw_uid;
		*gid = entry->pw_gid;
	}
	return rest.data ? proc_find_group(rest.data, gid) : 0;
}

int
proc_find_group(const char *name, gid_t *gid)
{
	const struct group *entry;

	if (id_number(span_of(name), gid) == 0)
		return 0;
	entry = getgrnam(name);
	if (!entry)
		return -1;
	*gid = entry->gr_gid;
	return 0;
}

ssize_t
proc_children(pid_t *pids, size_t room)
{
	char text[2048];
	ssize_t n, count = 0;
	uint64_t pid = 0;
	int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	/* "311 312 ": a number may be cut by the end of a read */
	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (uint64_t)(text[i] - '0');
				continue;
			}
			if (pid > 0 && (size_t)count < room)
				pids[count] = (pid_t)pid;
			count += pid > 0;
			pid = 0;
		}
	fd_close(&fd);
	return n < 0 ? -1 : count;
}

/* In rounds: all that are there are killed, then waited for. A process hands
 * its children to us before it can be waited for, so a round that finds
 * nobody means nobody is left. */
int
proc_kill_children(const pid_t *keep, size_t keep_count, uint64_t deadline_ms,
    void (*on_reaped)(void *arg, pid_t, int status), void *arg)
{
	pid_t pids[CHILDREN_AT_ONCE];
	size_t stored, killed;
	ssize_t found;
	int status;
	pid_t pid;

	do {
		/* the usual answer, ECHILD, costs one system call */
		while (keep_count == 0 &&
		    (pid = waitpid(-1, &status, WNOHANG | __WALL)) != 0) {
			if (pid > 0 && on_reaped)
				on_reaped(arg, pid, status);
			else if (pid < 0 && errno == ECHILD)
				return 0;
		}
		found = proc_children(pids, CHILDREN_AT_ONCE);
		if (found < 0)
			return -1;
		stored = found < CHILDREN_AT_ONCE ? (size_t)found :
						    (size_t)CHILDREN_AT_ONCE;
		killed = 0;
		for (size_t i = 0; i < stored; i++)
			if (!pid_among(pids[i], keep, keep_count)) {
				child_kill(pids[i], keep, keep_count);
				pids[killed++] = pids[i];
			}
		if (killed == 0 && stored == (size_t)found)
			return 0;
		for (size_t i = 0; i < killed; i++)
			if (child_wait(pids[i], deadline_ms, &status) == 0 &&
			    on_reaped)
				on_reaped(arg, pids[i], status);
	} while (clock_ms() < deadline_ms);
	return -1;
}

const char *
proc_status_words(int wait_status, char text[32])
{
	int signo = WTERMSIG(wait_status);

	if (WIFEXITED(wait_status))
		snprintf(text, 32, "exit %d", WEXITSTATUS(wait_status));
	else if (WIFSIGNALED(wait_status) && sigabbrev_np(signo))
		snprintf(text, 32, "signal %s", sigabbrev_np(signo));
	else if (WIFSIGNALED(wait_status))
		snprintf(text, 32, "signal %d", signo);
	else
		snprintf(text, 32, "status 0x%x", (unsigned)wait_status);
	return text;
}

const char *
proc_signal_name(int signo)
{
	const char *name = sigabbrev_np(signo);

	return name ? name : "?";
}

static int
id_number(struct span s, uint32_t *id)
{
	uint64_t value;

	if (span_number(s, ID_MOST, &value) != 0)
		return -1;
	*id = (uint32_t)value;
	return 0;
}

static bool
pid_among(pid_t pid, const pid_t *pids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* With its whole group, which the kernel kills in one step: a group that
 * forks as fast as it is looked at cannot run away. Only groups of a session
 * that we lead, or that is not ours (its leader was a child of ours): all in
 * it come from us. Not our own group, and none that a kept child is in. */
static void
child_kill(pid_t pid, const pid_t *keep, size_t keep_count)
{
	pid_t group = getpgid(pid), session = getsid(0);

	kill(pid, SIGKILL);
	if (group <= 1 || group == getpgrp() ||
	    (getsid(pid) == session && session != getpid()))
		return;
	for (size_t i = 0; i < keep_count; i++)
		if (getpgid(keep[i]) == group)
			return;
	kill(-group, SIGKILL);
}

/* Reaps one that was killed: 0, or -1 when it is not dead by the deadline
 * (in the kernel, waiting for a disk that is gone) or not ours any more. */
static int
child_wait(pid_t pid, uint64_t deadline_ms, int *status)
{
	pid_t reaped = waitpid(pid, status, WNOHANG | __WALL);
	struct pollfd dead = { .fd = -1, .events = POLLIN };
	uint64_t now_ms;

	if (reaped == 0)
		dead.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	while (reaped == 0 && (now_ms = clock_ms()) < deadline_ms) {
		uint64_t left_ms = deadline_ms - now_ms;

		/* without a pidfd (no such call, none free): a look each ms */
		poll(&dead, 1,
		    dead.fd < 0		? 1 :
			left_ms < 60000 ? (int)left_ms :
					  60000);
		reaped = waitpid(pid, status, WNOHANG | __WALL);
	}
	fd_close(&dead.fd);
	return reaped == pid ? 0 : -1;
}
