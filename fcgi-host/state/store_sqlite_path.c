/* SPDX-License-Identifier: MIT */
/* store_sqlite_path.c - names below a directory descriptor. SQLite opens files
 * by path; we hold the state directory as a descriptor, which keeps meaning
 * the same directory whatever is renamed or mounted above it, and works where
 * the path cannot be walked at all. So SQLite's own table of system calls gets
 * ours for paths that begin "/@N/"; they never follow a link. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "state/store_sqlite.h"

_Thread_local bool path_starved;

/* The descriptor of a path of ours, or -1; *below is what follows. */
static int
path_split(const char *path, const char **below)
{
	char *end;
	long fd;

	if (path[0] != '/' || path[1] != '@')
		return -1;
	fd = strtol(path + 2, &end, 10);
	if (end == path + 2 || (*end && *end != '/'))
		return -1;
	while (*end == '/')
		end++;
	*below = *end ? end : ".";
	return (int)fd;
}

static int
path_open_mode(int directory_fd, const char *below, int flags, int mode)
{
	struct open_how how = {
		/* not blocking: whose turn it is must not hang on a fifo */
		.flags =
		    (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK),
		.mode = flags & O_CREAT ? (uint64_t)mode & 0600 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	int fd =
	    (int)syscall(SYS_openat2, directory_fd, below, &how, sizeof(how));

	path_starved |= fd < 0 && (errno == EMFILE || errno == ENFILE);
	return fd;
}

int
path_open(int directory_fd, const char *below, int flags)
{
	return path_open_mode(directory_fd, below, flags, 0600);
}

static int
our_open(const char *path, int flags, int mode)
{
	const char *below;
	int fd = path_split(path, &below);

	return fd < 0 ? open(path, flags, mode) :
			path_open_mode(fd, below, flags, mode);
}

/* Links are shown as what they are: to lstat and to stat alike. */
static int
our_stat(const char *path, struct stat *st)
{
	const char *below;
	int fd = path_split(path, &below);

	return fd < 0 ? stat(path, st) :
			fstatat(fd, below, st, AT_SYMLINK_NOFOLLOW);
}

static int
our_lstat(const char *path, struct stat *st)
{
	const char *below;
	int fd = path_split(path, &below);

	return fd < 0 ? lstat(path, st) :
			fstatat(fd, below, st, AT_SYMLINK_NOFOLLOW);
}

static int
our_access(const char *path, int mode)
{
	const char *below;
	int fd = path_split(path, &below);

	return fd < 0 ? access(path, mode) :
			faccessat(fd, below, mode, AT_SYMLINK_NOFOLLOW);
}

static int
our_unlink(const char *path)
{
	const char *below;
	int fd = path_split(path, &below);

	return fd < 0 ? unlink(path) : unlinkat(fd, below, 0);
}

static ssize_t
our_readlink(const char *path, char *to, size_t room)
{
	const char *below;
	int fd = path_split(path, &below);

	return fd < 0 ? readlink(path, to, room) :
			readlinkat(fd, below, to, room);
}

int
path_teach(void)
{
	static const struct {
		const char *name;
		sqlite3_syscall_ptr call;
	} calls[] = {
		{ "open", (sqlite3_syscall_ptr)our_open },
		{ "stat", (sqlite3_syscall_ptr)our_stat },
		{ "lstat", (sqlite3_syscall_ptr)our_lstat },
		{ "access", (sqlite3_syscall_ptr)our_access },
		{ "unlink", (sqlite3_syscall_ptr)our_unlink },
		{ "readlink", (sqlite3_syscall_ptr)our_readlink },
	};
	sqlite3_vfs *vfs = sqlite3_vfs_find("unix");

	if (!vfs || vfs->iVersion < 3)
		return -1;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call) !=
		    SQLITE_OK)
			return -1;
	return 0;
}

void
path_of(char path[FILE_PATH_MOST], int directory_fd, const char *below)
{
	snprintf(path, FILE_PATH_MOST, "/@%d/%s", directory_fd, below);
}

/* FNV-1a: on disk, so it stays as it is. */
unsigned
path_hash(struct span tenant)
{
	uint32_t hash = UINT32_C(2166136261);

	for (size_t i = 0; i < tenant.bytes; i++)
		hash =
		    (hash ^ (unsigned char)tenant.data[i]) * UINT32_C(16777619);
	return hash;
}

void
path_tenant(char path[FILE_PATH_MOST], struct span tenant, const char *suffix)
{
	snprintf(path, FILE_PATH_MOST, "%02x/%.*s%s", path_hash(tenant) >> 24,
	    SPAN_ARGS(tenant), suffix);
}

int
path_write(int directory_fd, const char *below, struct span text)
{
	char part[FILE_PATH_MOST];
	int fd;

	snprintf(part, sizeof(part), "%s~", below);
	fd = path_open(directory_fd, part, O_WRONLY | O_CREAT | O_TRUNC);
	if (fd < 0)
		return -1;
	if (fd_write_all(fd, text) < 0 || fsync(fd) < 0 ||
	    renameat(directory_fd, part, directory_fd, below) < 0) {
		fd_close(&fd);
		unlinkat(directory_fd, part, 0);
		return -1;
	}
	fd_close(&fd);
	return path_sync_parent(directory_fd, below);
}

ssize_t
path_read(int directory_fd, const char *below, char *text, size_t room)
{
	int fd = path_open(directory_fd, below, O_RDONLY);
	ssize_t bytes;

	if (fd < 0)
		return -1;
	bytes = read(fd, text, room - 1);
	if (bytes >= 0)
		text[bytes] = '\0';
	fd_close(&fd);
	return bytes;
}

int
path_sync_parent(int directory_fd, const char *below)
{
	const char *slash = strrchr(below, '/');
	char parent[FILE_PATH_MOST] = ".";
	int fd, result;

	if (slash)
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - below),
		    below);
	fd = path_open(directory_fd, parent, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return -1;
	result = fsync(fd);
	fd_close(&fd);
	return result;
}

bool
path_file_name_good(struct span name)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-";

	if (name.bytes < 1 || name.bytes > 100 || name.data[0] == '.')
		return false;
	for (size_t i = 0; i < name.bytes; i++)
		if (!name.data[i] || !strchr(good, name.data[i]))
			return false;
	return true;
}
