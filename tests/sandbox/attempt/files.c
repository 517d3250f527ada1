/* SPDX-License-Identifier: MIT */
/* files.c - files of neighbours, of the host and of the machine. */
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attempt.h"

int
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

int
attempt_list_neighbour(void)
{
	return can_list(target("neighbour"));
}

int
attempt_enter_neighbour(void)
{
	return chdir(target("neighbour"));
}

int
attempt_read_neighbour_program(void)
{
	return can_read(below("neighbour", "rogue"));
}

int
attempt_read_neighbour_settings(void)
{
	return can_read(below("neighbour", "rogue.conf"));
}

int
attempt_read_neighbour_file(void)
{
	return can_read(below("neighbour", "data/public"));
}

int
attempt_read_neighbour_secret(void)
{
	return can_read(below("neighbour", "data/secret"));
}

int
attempt_write_neighbour_file(void)
{
	return can_write(below("neighbour", "data/public"));
}

int
attempt_make_neighbour_file(void)
{
	return can_make(below("neighbour", "data/new"));
}

int
attempt_read_neighbour_by_dots(void)
{
	char path[4096] = "../";

	strcat(path, target("neighbour_name"));
	return can_read(strcat(path, "/data/public"));
}

int
attempt_read_neighbour_by_link(void)
{
	unlink("data/by-link");
	if (symlink(below("neighbour", "data/public"), "data/by-link") != 0)
		return -1;
	return can_read("data/by-link");
}

int
attempt_link_neighbour_file(void)
{
	unlink("data/hard");
	return link(below("neighbour", "data/public"), "data/hard");
}

int
attempt_rename_neighbour_file(void)
{
	const char *path = below("neighbour", "data/public");

	/* and back: others look for it */
	return rename(path, "data/taken") != 0 ? -1 :
						 rename("data/taken", path);
}

int
attempt_watch_neighbour(void)
{
	return inotify_add_watch(inotify_init1(IN_CLOEXEC),
	    below("neighbour", "data"), IN_ALL_EVENTS);
}

int
attempt_read_access_log(void)
{
	return can_read(below("run", "log/access.log"));
}

int
attempt_read_neighbour_log(void)
{
	return can_read(below("run", "log/tenants/neighbour.log"));
}

int
attempt_read_neighbour_state(void)
{
	return can_read(target("state_file"));
}

int
attempt_list_state(void)
{
	return can_list(below("run", "state"));
}

int
attempt_list_spool(void)
{
	return can_list(below("run", "spool"));
}

int
attempt_list_workers(void)
{
	return can_list(below("run", "workers"));
}

int
attempt_read_pid_file(void)
{
	return can_read(below("run", "pid"));
}

int
attempt_read_configuration(void)
{
	return can_read(target("configuration"));
}

int
attempt_read_outside(void)
{
	return can_read(target("outside"));
}

int
attempt_write_outside(void)
{
	return can_write(target("outside"));
}

int
attempt_read_shadow(void)
{
	return can_read("/etc/shadow");
}

int
attempt_list_home_of_root(void)
{
	return can_list("/root");
}

int
attempt_list_homes(void)
{
	return can_list("/home");
}

int
attempt_list_var(void)
{
	return can_list("/var/log");
}

int
attempt_list_run(void)
{
	return can_list("/run");
}

int
attempt_list_sys(void)
{
	return can_list("/sys");
}

int
attempt_list_cgroups(void)
{
	return can_list("/sys/fs/cgroup");
}

int
attempt_write_program(void)
{
	return can_write("victim");
}

int
attempt_make_program(void)
{
	return can_make("another");
}

int
attempt_remove_program(void)
{
	return unlink("victim");
}

int
attempt_rename_program(void)
{
	return rename("victim", "data/victim");
}

int
attempt_change_program(void)
{
	return chmod("victim", 0755);
}

int
attempt_write_settings(void)
{
	return can_make("attempt.conf");
}

int
attempt_write_root(void)
{
	return can_make("/new");
}

int
attempt_write_usr(void)
{
	return can_make("/usr/new");
}

int
attempt_write_etc(void)
{
	return can_make("/etc/new");
}

int
attempt_write_dev(void)
{
	return can_make("/dev/new");
}

int
attempt_write_fn(void)
{
	return can_make(below("run", "fn/new"));
}

int
attempt_remove_fn(void)
{
	return rename(below("run", "fn/fn.sock"), below("run", "fn/fn.sock"));
}

int
attempt_make_device(void)
{
	unlink("/tmp/device");
	return mknod("/tmp/device", S_IFCHR | 0600, makedev(1, 1));
}

int
attempt_open_memory(void)
{
	return can_read("/dev/mem");
}

int
attempt_open_kernel_log(void)
{
	return can_read("/dev/kmsg");
}

int
attempt_open_terminal(void)
{
	return open("/dev/tty", O_RDWR | O_CLOEXEC);
}

int
attempt_open_new_terminal(void)
{
	return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

int
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

int
attempt_give_capability(void)
{
	static const unsigned char all[20] = { 1, 0, 0, 2, 0xff, 0xff, 0xff };

	close(open("data/capable", O_WRONLY | O_CREAT | O_CLOEXEC, 0700));
	return setxattr("data/capable", "security.capability", all, sizeof(all),
	    0);
}
