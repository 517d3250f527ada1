/* SPDX-License-Identifier: MIT */
/* vault.c - files of ours alone: their rules, and how they come to the disk. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "state/vault.h"

int
vault_why(char why[VAULT_WHY], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, VAULT_WHY, format, args);
	va_end(args);
	return -1;
}

int
vault_open(int directory_fd, char why[VAULT_WHY])
{
	struct stat is;
	int fd;

	if (mkdirat(directory_fd, "keys", 0700) != 0 && errno != EEXIST) {
		vault_why(why, "keys/ cannot be made: %s", diag_errno());
		return -1;
	}
	fd = openat(directory_fd, "keys",
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &is) != 0) {
		vault_why(why, "keys/ cannot be opened: %s", diag_errno());
	} else if (is.st_uid != geteuid() || (is.st_mode & 077) != 0) {
		vault_why(why,
		    "keys/ belongs to user %u with mode %04o, must belong to "
		    "%u, mode 0700",
		    is.st_uid, is.st_mode & 07777, geteuid());
		fd_close(&fd);
	}
	return fd;
}

int
vault_file(int vault, const char *name, mode_t mode, uint64_t *bytes,
    char why[VAULT_WHY])
{
	struct stat is;
	int fd = openat(vault, name,
	    O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		vault_why(why, "keys/%s cannot be opened: %s", name,
		    errno == ELOOP ? "it is a symbolic link" : diag_errno());
	else if (fstat(fd, &is) != 0)
		vault_why(why, "keys/%s: %s", name, diag_errno());
	else if (!S_ISREG(is.st_mode))
		vault_why(why, "keys/%s is no regular file", name);
	else if (is.st_uid != geteuid())
		vault_why(why, "keys/%s belongs to user %u, must belong to %u",
		    name, is.st_uid, geteuid());
	else if ((is.st_mode & 07777) != mode)
		vault_why(why, "keys/%s has mode %04o, must have %04o", name,
		    is.st_mode & 07777, mode);
	else {
		*bytes = (uint64_t)is.st_size;
		return fd;
	}
	fd_close(&fd);
	return -1;
}

int
vault_put(int vault, const char *name, mode_t mode, struct span bytes)
{
	int fd = openat(vault, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	int error;

	if (fd < 0)
		return -1;
	if (fchmod(fd, mode) == 0 && fd_write_all(fd, bytes) == 0 &&
	    fsync(fd) == 0 && fsync(vault) == 0) {
		fd_close(&fd);
		return 0;
	}
	error = errno;
	fd_close(&fd);
	(void)unlinkat(vault, name, 0);
	errno = error;
	return -1;
}
