/* SPDX-License-Identifier: MIT */
/* attempt.c - a function that tries what no function may do, and says what it
 * was told: one line NAME=ERRNO for each row of attempts.def, NAME=ok when it
 * was allowed, NAME=SIG... when it was killed for trying. Where to try comes in
 * the query, KEY=VALUE between '&'. Each attempt has a process of its own and
 * does as little as shows that it could: signals are 0, values are those that
 * are there already. Knows nothing of the host; static, so that it runs
 * anywhere; refuses to be run by root, who could. */
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	X32_BIT = 0x40000000,
	I386_PTRACE = 26,
	I386_PRLIMIT64 = 340,
	TARGETS_MOST = 32,
};

static struct {
	char *key;
	char *value;
} targets[TARGETS_MOST];
static int target_count;
static pid_t launcher;

#define ATTEMPT(name, root, network, user, bare) \
	static int attempt_##name(void);
#include "attempts.def"
#undef ATTEMPT

/* ---- helpers ------------------------------------------------------------- */

static int
hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10;
}

static void
decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text == '%' && isxdigit((unsigned char)text[1]) &&
		    isxdigit((unsigned char)text[2])) {
			*to++ = (char)(hex(text[1]) * 16 + hex(text[2]));
			text += 2;
		} else
			*to++ = *text;
	}
	*to = '\0';
}

static void
read_targets(const char *query)
{
	char *rest = strdup(query ? query : ""), *item, *value;

	while ((item = strsep(&rest, "&")) && target_count < TARGETS_MOST) {
		value = strchr(item, '=');
		if (!value)
			continue;
		*value++ = '\0';
		decode(value);
		targets[target_count].key = item;
		targets[target_count++].value = value;
	}
}

/* A test that forgets one must not look as if the attempt had failed. */
static const char *
target(const char *key)
{
	for (int i = 0; i < target_count; i++)
		if (strcmp(targets[i].key, key) == 0)
			return targets[i].value;
	_exit(255);
}

static pid_t
process(const char *key)
{
	return (pid_t)strtol(target(key), NULL, 10);
}

static const char *
below(const char *key, const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", target(key), name);
	return path;
}

static const char *
proc(pid_t pid, const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return path;
}

/* To have opened it is not enough: /proc checks some of it when it is read. */
static int
can_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char byte;

	if (fd < 0)
		return -1;
	return read(fd, &byte, 1) < 0 ? -1 : 0;
}

static int
can_write(const char *path)
{
	return open(path, O_WRONLY | O_CLOEXEC);
}

static int
can_make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0)
		unlink(path);
	return fd;
}

static int
can_list(const char *path)
{
	return opendir(path) ? 0 : -1;
}

static int
can_connect(const char *path, int type)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	return connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static int
can_reach(const char *address, int port, int type)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = inet_addr(address),
	};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	return fd < 0 ? fd : connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static int
can_look_into(pid_t pid)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)0x400000, 1 };

	return process_vm_readv(pid, &here, 1, &there, 1, 0) >= 0 ||
		errno == EFAULT ?
	    0 :
	    -1;
}

static int
can_trace(pid_t pid)
{
	return (int)ptrace(PTRACE_SEIZE, pid, NULL, NULL);
}

static int
can_raise(int resource)
{
	struct rlimit limit;

	getrlimit((__rlimit_resource_t)resource, &limit);
	if (limit.rlim_max == RLIM_INFINITY) {
		errno = 0; /* it is not limited at all */
		return 0;
	}
	limit.rlim_max++;
	return setrlimit((__rlimit_resource_t)resource, &limit);
}

/* In a process of its own, which may end as it likes. */
static int
can_clone(unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(0);
	return (int)pid;
}

/* ---- files ---------------------------------------------------------------- */

static int
attempt_list_tenants(void)
{
	DIR *directory = opendir(target("functions"));
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (strcmp(entry->d_name, target("neighbour_name")) == 0)
			return 0;
	if (directory)
		errno = ENOENT; /* none but its own */
	return -1;
}

static int
attempt_list_neighbour(void)
{
	return can_list(target("neighbour"));
}

static int
attempt_enter_neighbour(void)
{
	return chdir(target("neighbour"));
}

static int
attempt_read_neighbour_program(void)
{
	return can_read(below("neighbour", "rogue"));
}

static int
attempt_read_neighbour_settings(void)
{
	return can_read(below("neighbour", "rogue.conf"));
}

static int
attempt_read_neighbour_file(void)
{
	return can_read(below("neighbour", "data/public"));
}

static int
attempt_read_neighbour_secret(void)
{
	return can_read(below("neighbour", "data/secret"));
}

static int
attempt_write_neighbour_file(void)
{
	return can_write(below("neighbour", "data/public"));
}

static int
attempt_make_neighbour_file(void)
{
	return can_make(below("neighbour", "data/new"));
}

static int
attempt_read_neighbour_by_dots(void)
{
	char path[4096] = "../";

	strcat(path, target("neighbour_name"));
	return can_read(strcat(path, "/data/public"));
}

static int
attempt_read_neighbour_by_link(void)
{
	unlink("data/by-link");
	if (symlink(below("neighbour", "data/public"), "data/by-link") != 0)
		return -1;
	return can_read("data/by-link");
}

static int
attempt_link_neighbour_file(void)
{
	unlink("data/hard");
	return link(below("neighbour", "data/public"), "data/hard");
}

static int
attempt_rename_neighbour_file(void)
{
	const char *path = below("neighbour", "data/public");

	/* and back: others look for it */
	return rename(path, "data/taken") != 0 ? -1 :
						 rename("data/taken", path);
}

static int
attempt_watch_neighbour(void)
{
	return inotify_add_watch(inotify_init1(IN_CLOEXEC),
	    below("neighbour", "data"), IN_ALL_EVENTS);
}

static int
attempt_read_access_log(void)
{
	return can_read(below("run", "log/access.log"));
}

static int
attempt_read_neighbour_log(void)
{
	return can_read(below("run", "log/tenants/neighbour.log"));
}

static int
attempt_read_neighbour_state(void)
{
	return can_read(target("state_file"));
}

static int
attempt_list_state(void)
{
	return can_list(below("run", "state"));
}

static int
attempt_list_spool(void)
{
	return can_list(below("run", "spool"));
}

static int
attempt_read_pid_file(void)
{
	return can_read(below("run", "pid"));
}

static int
attempt_read_configuration(void)
{
	return can_read(target("configuration"));
}

static int
attempt_read_outside(void)
{
	return can_read(target("outside"));
}

static int
attempt_write_outside(void)
{
	return can_write(target("outside"));
}

static int
attempt_read_shadow(void)
{
	return can_read("/etc/shadow");
}

static int
attempt_list_home_of_root(void)
{
	return can_list("/root");
}

static int
attempt_list_homes(void)
{
	return can_list("/home");
}

static int
attempt_list_var(void)
{
	return can_list("/var/log");
}

static int
attempt_list_run(void)
{
	return can_list("/run");
}

static int
attempt_list_sys(void)
{
	return can_list("/sys");
}

static int
attempt_list_cgroups(void)
{
	return can_list("/sys/fs/cgroup");
}

static int
attempt_write_program(void)
{
	return can_write("victim");
}

static int
attempt_make_program(void)
{
	return can_make("another");
}

static int
attempt_remove_program(void)
{
	return unlink("victim");
}

static int
attempt_rename_program(void)
{
	return rename("victim", "data/victim");
}

static int
attempt_change_program(void)
{
	return chmod("victim", 0755);
}

static int
attempt_write_settings(void)
{
	return can_make("attempt.conf");
}

static int
attempt_write_root(void)
{
	return can_make("/new");
}

static int
attempt_write_usr(void)
{
	return can_make("/usr/new");
}

static int
attempt_write_etc(void)
{
	return can_make("/etc/new");
}

static int
attempt_write_dev(void)
{
	return can_make("/dev/new");
}

static int
attempt_write_fn(void)
{
	return can_make(below("run", "fn/new"));
}

static int
attempt_remove_fn(void)
{
	return rename(below("run", "fn/fn.sock"), below("run", "fn/fn.sock"));
}

static int
attempt_make_device(void)
{
	unlink("/tmp/device");
	return mknod("/tmp/device", S_IFCHR | 0600, makedev(1, 1));
}

static int
attempt_open_memory(void)
{
	return can_read("/dev/mem");
}

static int
attempt_open_kernel_log(void)
{
	return can_read("/dev/kmsg");
}

static int
attempt_open_terminal(void)
{
	return open("/dev/tty", O_RDWR | O_CLOEXEC);
}

static int
attempt_open_new_terminal(void)
{
	return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static int
attempt_open_by_handle(void)
{
	struct {
		struct file_handle head;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount_id;

	if (name_to_handle_at(AT_FDCWD, "/", &handle.head, &mount_id, 0) != 0)
		return -1;
	return open_by_handle_at(AT_FDCWD, &handle.head, O_RDONLY);
}

static int
attempt_give_capability(void)
{
	static const unsigned char all[20] = { 1, 0, 0, 2, 0xff, 0xff, 0xff };

	close(open("data/capable", O_WRONLY | O_CREAT | O_CLOEXEC, 0700));
	return setxattr("data/capable", "security.capability", all, sizeof(all),
	    0);
}

/* ---- what the kernel shows of others -------------------------------------- */

static int
attempt_see_neighbour(void)
{
	return access(proc(process("neighbour_pid"), "stat"), F_OK);
}

static int
attempt_read_neighbour_environment(void)
{
	return can_read(proc(process("neighbour_pid"), "environ"));
}

static int
attempt_read_neighbour_memory(void)
{
	return can_read(proc(process("neighbour_pid"), "maps"));
}

static int
attempt_enter_neighbour_root(void)
{
	return can_list(proc(process("neighbour_pid"), "root/"));
}

static int
attempt_take_neighbour_descriptor(void)
{
	return can_read(proc(process("neighbour_pid"), "fd/0"));
}

static int
attempt_see_master(void)
{
	return access(proc(process("master"), "stat"), F_OK);
}

static int
attempt_read_gateway_environment(void)
{
	return can_read(proc(process("gateway"), "environ"));
}

static int
attempt_read_gateway_memory(void)
{
	return can_read(proc(process("gateway"), "maps"));
}

static int
attempt_read_launcher_environment(void)
{
	return can_read(proc(launcher, "environ"));
}

static int
attempt_read_launcher_memory(void)
{
	return can_read(proc(launcher, "maps"));
}

static int
attempt_take_launcher_descriptor(void)
{
	return can_list(proc(launcher, "fd"));
}

static int
attempt_read_cell_environment(void)
{
	return can_read(proc(process("cell"), "environ"));
}

static int
attempt_enter_cell_root(void)
{
	return can_list(proc(process("cell"), "root/"));
}

static int
attempt_take_cell_descriptor(void)
{
	return can_list(proc(process("cell"), "fd"));
}

static int
attempt_write_core_pattern(void)
{
	return can_write("/proc/sys/kernel/core_pattern");
}

static int
attempt_trigger_sysrq(void)
{
	return can_write("/proc/sysrq-trigger");
}

static int
attempt_read_kernel_memory(void)
{
	return can_read("/proc/kcore");
}

static int
attempt_protect_from_oom(void)
{
	int fd = can_write("/proc/self/oom_score_adj");

	return fd < 0 ? fd : (int)write(fd, "-999", 4);
}

/* ---- processes of others --------------------------------------------------- */

static int
attempt_signal_neighbour(void)
{
	return kill(process("neighbour_pid"), 0);
}

static int
attempt_signal_master(void)
{
	return kill(process("master"), 0);
}

static int
attempt_signal_gateway(void)
{
	return kill(process("gateway"), 0);
}

static int
attempt_signal_log(void)
{
	return kill(process("log"), 0);
}

static int
attempt_signal_state(void)
{
	return kill(process("state"), 0);
}

static int
attempt_signal_cell(void)
{
	return kill(process("cell"), 0);
}

static int
attempt_signal_launcher(void)
{
	return kill(launcher, 0);
}

static int
attempt_signal_launcher_thread(void)
{
	return (int)syscall(SYS_tgkill, launcher, launcher, 0);
}

static int
attempt_signal_other_invocation(void)
{
	return kill(process("sibling"), 0);
}

static int
attempt_signal_by_descriptor(void)
{
	int fd = (int)syscall(SYS_pidfd_open, launcher, 0);

	return fd < 0 ? fd :
			(int)syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0);
}

static int
attempt_trace_neighbour(void)
{
	return can_trace(process("neighbour_pid"));
}

static int
attempt_trace_gateway(void)
{
	return can_trace(process("gateway"));
}

static int
attempt_trace_cell(void)
{
	return can_trace(process("cell"));
}

static int
attempt_trace_launcher(void)
{
	return can_trace(launcher);
}

static int
attempt_trace_other_invocation(void)
{
	return can_trace(process("sibling"));
}

static int
attempt_look_into_neighbour(void)
{
	return can_look_into(process("neighbour_pid"));
}

static int
attempt_look_into_gateway(void)
{
	return can_look_into(process("gateway"));
}

static int
attempt_look_into_launcher(void)
{
	return can_look_into(launcher);
}

static int
attempt_look_into_other_invocation(void)
{
	return can_look_into(process("sibling"));
}

static int
attempt_take_by_descriptor(void)
{
	int fd = (int)syscall(SYS_pidfd_open, launcher, 0);

	return fd < 0 ? fd : (int)syscall(SYS_pidfd_getfd, fd, 0, 0);
}

static int
attempt_compare_with_launcher(void)
{
	return (int)syscall(SYS_kcmp, getpid(), launcher, 2 /* FILES */, 0, 0);
}

static int
attempt_nice_neighbour(void)
{
	errno = 0;
	return setpriority(PRIO_PROCESS, (id_t)process("neighbour_pid"), 0);
}

static int
attempt_nice_gateway(void)
{
	return setpriority(PRIO_PROCESS, (id_t)process("gateway"), 0);
}

static int
attempt_limit_neighbour(void)
{
	struct rlimit limit;

	return prlimit(process("neighbour_pid"), RLIMIT_NOFILE, NULL, &limit);
}

static int
attempt_limit_gateway(void)
{
	struct rlimit limit;

	return prlimit(process("gateway"), RLIMIT_NOFILE, NULL, &limit);
}

static int
attempt_nice_cell(void)
{
	return setpriority(PRIO_PROCESS, (id_t)process("cell"), 0);
}

static int
attempt_nice_user(void)
{
	return setpriority(PRIO_USER, 0, 0);
}

static int
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

static int
attempt_limit_cell(void)
{
	return can_limit(process("cell"));
}

static int
attempt_limit_launcher(void)
{
	return can_limit(launcher);
}

static int
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

static int
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

static int
attempt_schedule_neighbour(void)
{
	return can_schedule(process("neighbour_pid"));
}

static int
attempt_schedule_cell(void)
{
	return can_schedule(process("cell"));
}

static int
attempt_schedule_launcher(void)
{
	return can_schedule(launcher);
}

static int
attempt_schedule_itself(void)
{
	return can_schedule(0);
}

static int
attempt_set_parameters_of_launcher(void)
{
	const struct sched_param none = { 0 };

	return sched_setparam(launcher, &none);
}

static int
attempt_set_attributes_of_launcher(void)
{
	char attributes[56];

	return syscall(SYS_sched_getattr, launcher, attributes,
		   sizeof(attributes), 0) != 0 ?
	    -1 :
	    (int)syscall(SYS_sched_setattr, launcher, attributes, 0);
}

static int
attempt_io_priority_of_launcher(void)
{
	return (int)syscall(SYS_ioprio_set, 1 /* process */, launcher, 0);
}

static int
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

static int
attempt_pin_cell(void)
{
	return can_pin(process("cell"));
}

static int
attempt_pin_launcher(void)
{
	return can_pin(launcher);
}

static int
attempt_join_session_of_launcher(void)
{
	return setpgid(launcher, launcher);
}

/* ---- privileges ------------------------------------------------------------ */

static int
attempt_become_root(void)
{
	return setuid(0);
}

static int
attempt_become_neighbour(void)
{
	uid_t uid = (uid_t)process("neighbour_uid");

	return setresuid(uid, uid, uid);
}

static int
attempt_become_group_of_root(void)
{
	return setgid(0);
}

static int
attempt_join_groups(void)
{
	return setgroups(1, &(gid_t){ 0 });
}

static int
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

static int
attempt_gain_ambient(void)
{
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0);
}

static int
attempt_set_securebits(void)
{
	return prctl(PR_SET_SECUREBITS, 0);
}

/* data/setuid is this program, of root and setuid; the test puts it there. */
static int
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

static int
attempt_nicer(void)
{
	return setpriority(PRIO_PROCESS, 0, -1);
}

static int
attempt_real_time(void)
{
	return sched_setscheduler(0, SCHED_FIFO,
	    &(struct sched_param){ .sched_priority = 1 });
}

static int
attempt_raise_core(void)
{
	return can_raise(RLIMIT_CORE);
}

static int
attempt_raise_files(void)
{
	return can_raise(RLIMIT_NOFILE);
}

static int
attempt_raise_processes(void)
{
	return can_raise(RLIMIT_NPROC);
}

static int
attempt_raise_memory(void)
{
	return can_raise(RLIMIT_DATA);
}

static int
attempt_raise_priority(void)
{
	return can_raise(RLIMIT_NICE);
}

static int
attempt_raise_queues(void)
{
	return can_raise(RLIMIT_MSGQUEUE);
}

static int
attempt_lock_memory(void)
{
	return mlock(targets, 1);
}

/* ---- the machine ------------------------------------------------------------ */

static int
attempt_mount(void)
{
	return mount("none", "/tmp", "tmpfs", 0, NULL);
}

static int
attempt_mount_over(void)
{
	return mount("/tmp", "/usr", NULL, MS_BIND, NULL);
}

static int
attempt_remount_writable(void)
{
	return mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL);
}

static int
attempt_unmount(void)
{
	return umount2("/tmp", MNT_DETACH);
}

static int
attempt_new_mount_calls(void)
{
	return fsopen("tmpfs", FSOPEN_CLOEXEC);
}

static int
attempt_copy_mount(void)
{
	return open_tree(AT_FDCWD, "/usr", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static int
attempt_change_mount(void)
{
	struct mount_attr attr = { .attr_clr = MOUNT_ATTR_RDONLY };

	return mount_setattr(AT_FDCWD, "/usr", 0, &attr, sizeof(attr));
}

static int
attempt_chroot(void)
{
	return chroot("/tmp");
}

static int
attempt_pivot_root(void)
{
	return (int)syscall(SYS_pivot_root, ".", ".");
}

static int
attempt_unshare_user(void)
{
	return unshare(CLONE_NEWUSER);
}

static int
attempt_unshare_mounts(void)
{
	return unshare(CLONE_NEWNS);
}

static int
attempt_unshare_network(void)
{
	return unshare(CLONE_NEWNET);
}

static int
attempt_clone_user(void)
{
	return can_clone(CLONE_NEWUSER);
}

static int
attempt_clone_user_and_mounts(void)
{
	return can_clone(CLONE_NEWUSER | CLONE_NEWNS);
}

static int
attempt_clone3_user(void)
{
	struct clone_args args = { .flags = CLONE_NEWUSER,
		.exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(0);
	return (int)pid;
}

static int
attempt_enter_namespace(void)
{
	int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);

	return setns(fd, CLONE_NEWUSER);
}

static int
attempt_enter_namespace_of_launcher(void)
{
	return can_read(proc(launcher, "ns/mnt"));
}

static int
attempt_io_uring(void)
{
	char params[120] = "";

	return (int)syscall(SYS_io_uring_setup, 1, params);
}

static int
attempt_bpf(void)
{
	struct {
		unsigned type, key_size, value_size, entries, rest[28];
	} map = { 2, 4, 4, 1, { 0 } };

	return (int)syscall(SYS_bpf, 0 /* MAP_CREATE */, &map, sizeof(map));
}

static int
attempt_perf_events(void)
{
	struct {
		unsigned type, size;
		unsigned long rest[15];
	} event = { 1, 128, { 0 } };

	return (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
}

static int
attempt_fault_memory(void)
{
	return (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* USER_MODE */);
}

static int
attempt_add_key(void)
{
	return (int)syscall(SYS_add_key, "user", "attempt", "x", 1,
	    -1 /* thread */);
}

static int
attempt_read_keys(void)
{
	return (int)syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -4 /* user */,
	    0);
}

static int
attempt_request_key(void)
{
	return (int)syscall(SYS_request_key, "user", "attempt", NULL, 0);
}

static int
attempt_load_kernel(void)
{
	return (int)syscall(SYS_kexec_load, 0, 0, NULL, 0);
}

static int
attempt_load_module(void)
{
	return (int)syscall(SYS_init_module, "", 0, "");
}

static int
attempt_load_module_file(void)
{
	return (int)syscall(SYS_finit_module, -1, "", 0);
}

static int
attempt_remove_module(void)
{
	return (int)syscall(SYS_delete_module, "none", O_NONBLOCK);
}

static int
attempt_swap(void)
{
	return swapon("/tmp/none", 0);
}

static int
attempt_reboot(void)
{
	return (int)syscall(SYS_reboot, 0, 0, 0, NULL); /* magic is wrong */
}

static int
attempt_account(void)
{
	return acct("/tmp/none");
}

static int
attempt_quota(void)
{
	return (int)syscall(SYS_quotactl, 0x80000100 /* sync */, NULL, 0, NULL);
}

static int
attempt_set_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return clock_settime(CLOCK_REALTIME, &now);
}

static int
attempt_bend_clock(void)
{
	struct timex how = { .modes = ADJ_TICK, .tick = -1 };

	return adjtimex(&how) < 0 ? -1 : 0;
}

static int
attempt_name_machine(void)
{
	return sethostname("attempt", 7);
}

static int
attempt_name_domain(void)
{
	return setdomainname("attempt", 7);
}

static int
attempt_read_kernel_log(void)
{
	char text[64];

	return (int)syscall(SYS_syslog, 3, text, sizeof(text));
}

static int
attempt_personality(void)
{
	return (int)syscall(SYS_personality, 0x40000 /* NO_RANDOMIZE */);
}

static int
attempt_hang_up(void)
{
	return (int)syscall(SYS_vhangup);
}

static int
attempt_watch_mounts(void)
{
	return (int)syscall(SYS_fanotify_init, 0x200 /* REPORT_FID */, 0);
}

static int
attempt_fake_terminal_input(void)
{
	return ioctl(0, TIOCSTI, "x");
}

static int
attempt_paste_into_terminal(void)
{
	char arguments[8] = { 3 /* TIOCL_PASTESEL */ };

	return ioctl(0, TIOCLINUX, arguments);
}

static int
attempt_ports(void)
{
#ifdef SYS_iopl
	return (int)syscall(SYS_iopl, 3);
#else
	errno = EPERM;
	return -1;
#endif
}

static int
attempt_segments(void)
{
#ifdef SYS_modify_ldt
	char entry[16] = "";

	return (int)syscall(SYS_modify_ldt, 1, entry, sizeof(entry));
#else
	errno = EPERM;
	return -1;
#endif
}

static int
attempt_x32_call(void)
{
#ifdef __x86_64__
	return (int)syscall(X32_BIT | SYS_getpid);
#else
	errno = ENOSYS;
	return -1;
#endif
}

/* What is forbidden has to be in the table of the other kind of calls too. */
static int
attempt_i386_trace(void)
{
#ifdef __x86_64__
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(I386_PTRACE), "b"(0), "c"(0), "d"(0), "S"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	errno = (int)-result;
	return result < 0 ? -1 : 0;
#else
	errno = EPERM;
	return -1;
#endif
}

/* ---- sockets and other ways to talk ----------------------------------------- */

static int
attempt_connect_fn(void)
{
	return can_connect(below("run", "fn/fn.sock"), SOCK_STREAM);
}

static int
attempt_connect_front(void)
{
	return can_connect(below("run", "front.sock"), SOCK_STREAM);
}

static int
attempt_connect_control(void)
{
	return can_connect(below("run", "control.sock"), SOCK_SEQPACKET);
}

static int
attempt_connect_state(void)
{
	return can_connect(below("run", "state.sock"), SOCK_STREAM);
}

static int
attempt_connect_unix_outside(void)
{
	return can_connect(target("unix"), SOCK_STREAM);
}

static int
attempt_connect_abstract(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *name = target("abstract");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(to.sun_path + 1, name, strlen(name));
	return connect(fd, (struct sockaddr *)&to,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
		strlen(name)));
}

static int
attempt_connect_loopback(void)
{
	return can_reach("127.0.0.1", (int)process("port"), SOCK_STREAM);
}

/* Connecting a datagram socket sends nothing: it only asks for a way there. */
static int
attempt_way_outside(void)
{
	return can_reach("192.0.2.1", 9, SOCK_DGRAM);
}

static int
attempt_low_port(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(80),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return bind(fd, (struct sockaddr *)&to, sizeof(to));
}

static int
attempt_raw_socket(void)
{
	return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
}

static int
attempt_packet_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static int
attempt_see_shared_memory(void)
{
	return shmget((key_t)process("shm_key"), 0, 0);
}

static int
attempt_see_posix_memory(void)
{
	char path[128];

	snprintf(path, sizeof(path), "/dev/shm/%s", target("shm_name"));
	return access(path, F_OK);
}

static int
attempt_message_queue(void)
{
	int queue = mq_open("/attempt", O_RDWR | O_CREAT, 0600, NULL);

	if (queue >= 0)
		mq_unlink("/attempt");
	return queue;
}

/* ---- what was left open ------------------------------------------------------ */

static int
attempt_use_inherited(void)
{
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return fd;
	errno = EBADF;
	return -1;
}

static int
attempt_read_own_output(void)
{
	char byte;

	return read(1, &byte, 1) < 0 || read(2, &byte, 1) < 0 ? -1 : 0;
}

/* ------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	int (*function)(void);
} attempts[] = {
#define ATTEMPT(name, root, network, user, bare) { #name, attempt_##name },
#include "attempts.def"
#undef ATTEMPT
};

/* The result is an exit status: 0 allowed, else errno. */
static void
try(const char *name, int (*function)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(function() < 0 ? errno : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		printf("%s=not tried\n", name);
	else if (WIFSIGNALED(status))
		printf("%s=SIG%s\n", name, sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 255)
		printf("%s=no target\n", name);
	else if (WEXITSTATUS(status) != 0)
		printf("%s=%s\n", name, strerrorname_np(WEXITSTATUS(status)));
	else
		printf("%s=ok\n", name);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--who") == 0)
		return geteuid() == 0 || getegid() == 0 ? 0 : 1;
	if (geteuid() == 0 || !getenv("GATEWAY_INTERFACE")) {
		fprintf(stderr, "attempt: only in a cell\n");
		return 1;
	}
	launcher = getppid();
	read_targets(getenv("QUERY_STRING"));
	printf("Content-Type: text/plain\r\n\r\n");
	fflush(stdout);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		try(attempts[i].name, attempts[i].function);
	return 0;
}
