/* SPDX-License-Identifier: MIT */
/* machine.c - what belongs to the whole machine: mounts, namespaces, the
 * kernel, its clocks and names. */
#include <sys/mount.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/timex.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "attempt.h"

enum { X32_BIT = 0x40000000, I386_PTRACE = 26 };

int
attempt_mount(void)
{
	return mount("none", "/tmp", "tmpfs", 0, NULL);
}

int
attempt_mount_over(void)
{
	return mount("/tmp", "/usr", NULL, MS_BIND, NULL);
}

int
attempt_remount_writable(void)
{
	return mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL);
}

int
attempt_unmount(void)
{
	return umount2("/tmp", MNT_DETACH);
}

int
attempt_new_mount_calls(void)
{
	return fsopen("tmpfs", FSOPEN_CLOEXEC);
}

int
attempt_copy_mount(void)
{
	return open_tree(AT_FDCWD, "/usr", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

int
attempt_change_mount(void)
{
	struct mount_attr attr = { .attr_clr = MOUNT_ATTR_RDONLY };

	return mount_setattr(AT_FDCWD, "/usr", 0, &attr, sizeof(attr));
}

int
attempt_chroot(void)
{
	return chroot("/tmp");
}

int
attempt_pivot_root(void)
{
	return (int)syscall(SYS_pivot_root, ".", ".");
}

int
attempt_unshare_user(void)
{
	return unshare(CLONE_NEWUSER);
}

int
attempt_unshare_mounts(void)
{
	return unshare(CLONE_NEWNS);
}

int
attempt_unshare_network(void)
{
	return unshare(CLONE_NEWNET);
}

int
attempt_clone_user(void)
{
	return can_clone(CLONE_NEWUSER);
}

int
attempt_clone_user_and_mounts(void)
{
	return can_clone(CLONE_NEWUSER | CLONE_NEWNS);
}

int
attempt_clone3_user(void)
{
	struct clone_args args = { .flags = CLONE_NEWUSER,
		.exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(0);
	return (int)pid;
}

int
attempt_enter_namespace(void)
{
	int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);

	return setns(fd, CLONE_NEWUSER);
}

int
attempt_enter_namespace_of_launcher(void)
{
	return can_read(proc(launcher, "ns/mnt"));
}

int
attempt_io_uring(void)
{
	char params[120] = "";

	return (int)syscall(SYS_io_uring_setup, 1, params);
}

int
attempt_bpf(void)
{
	struct {
		unsigned type, key_size, value_size, entries, rest[28];
	} map = { 2, 4, 4, 1, { 0 } };

	return (int)syscall(SYS_bpf, 0 /* MAP_CREATE */, &map, sizeof(map));
}

int
attempt_perf_events(void)
{
	struct {
		unsigned type, size;
		unsigned long rest[15];
	} event = { 1, 128, { 0 } };

	return (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
}

int
attempt_fault_memory(void)
{
	return (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* USER_MODE */);
}

int
attempt_add_key(void)
{
	return (int)syscall(SYS_add_key, "user", "attempt", "x", 1,
	    -1 /* thread */);
}

int
attempt_read_keys(void)
{
	return (int)syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -4 /* user */,
	    0);
}

int
attempt_request_key(void)
{
	return (int)syscall(SYS_request_key, "user", "attempt", NULL, 0);
}

int
attempt_load_kernel(void)
{
	return (int)syscall(SYS_kexec_load, 0, 0, NULL, 0);
}

int
attempt_load_module(void)
{
	return (int)syscall(SYS_init_module, "", 0, "");
}

int
attempt_load_module_file(void)
{
	return (int)syscall(SYS_finit_module, -1, "", 0);
}

int
attempt_remove_module(void)
{
	return (int)syscall(SYS_delete_module, "none", O_NONBLOCK);
}

int
attempt_swap(void)
{
	return swapon("/tmp/none", 0);
}

int
attempt_reboot(void)
{
	return (int)syscall(SYS_reboot, 0, 0, 0, NULL); /* magic is wrong */
}

int
attempt_account(void)
{
	return acct("/tmp/none");
}

int
attempt_quota(void)
{
	return (int)syscall(SYS_quotactl, 0x80000100 /* sync */, NULL, 0, NULL);
}

int
attempt_set_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return clock_settime(CLOCK_REALTIME, &now);
}

int
attempt_bend_clock(void)
{
	struct timex how = { .modes = ADJ_TICK, .tick = -1 };

	return adjtimex(&how) < 0 ? -1 : 0;
}

int
attempt_name_machine(void)
{
	return sethostname("attempt", 7);
}

int
attempt_name_domain(void)
{
	return setdomainname("attempt", 7);
}

int
attempt_read_kernel_log(void)
{
	char text[64];

	return (int)syscall(SYS_syslog, 3, text, sizeof(text));
}

int
attempt_personality(void)
{
	return (int)syscall(SYS_personality, 0x40000 /* NO_RANDOMIZE */);
}

int
attempt_hang_up(void)
{
	return (int)syscall(SYS_vhangup);
}

int
attempt_watch_mounts(void)
{
	return (int)syscall(SYS_fanotify_init, 0x200 /* REPORT_FID */, 0);
}

int
attempt_fake_terminal_input(void)
{
	return ioctl(0, TIOCSTI, "x");
}

int
attempt_paste_into_terminal(void)
{
	char arguments[8] = { 3 /* TIOCL_PASTESEL */ };

	return ioctl(0, TIOCLINUX, arguments);
}

int
attempt_ports(void)
{
#ifdef SYS_iopl
	return (int)syscall(SYS_iopl, 3);
#else
	errno = EPERM;
	return -1;
#endif
}

int
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

int
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
int
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
