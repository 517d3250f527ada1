/* SPDX-License-Identifier: MIT */
/* can.c - where to try it, and the tries that many attempts are made of. */
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attempt.h"

enum { TARGETS_MOST = 32 };

static struct {
	char *key;
	char *value;
} targets[TARGETS_MOST];
static int target_count;

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

void
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
const char *
target(const char *key)
{
	for (int i = 0; i < target_count; i++)
		if (strcmp(targets[i].key, key) == 0)
			return targets[i].value;
	_exit(255);
}

pid_t
process(const char *key)
{
	return (pid_t)strtol(target(key), NULL, 10);
}

const char *
below(const char *key, const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", target(key), name);
	return path;
}

const char *
proc(pid_t pid, const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return path;
}

/* To have opened it is not enough: /proc checks some of it when it is read. */
int
can_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char byte;

	if (fd < 0)
		return -1;
	return read(fd, &byte, 1) < 0 ? -1 : 0;
}

int
can_write(const char *path)
{
	return open(path, O_WRONLY | O_CLOEXEC);
}

int
can_make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0)
		unlink(path);
	return fd;
}

int
can_list(const char *path)
{
	return opendir(path) ? 0 : -1;
}

int
can_connect(const char *path, int type)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	return connect(fd, (struct sockaddr *)&to, sizeof(to));
}

int
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

int
can_look_into(pid_t pid)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)0x400000, 1 };

	return process_vm_readv(pid, &here, 1, &there, 1, 0) >= 0 ||
		errno == EFAULT ?
	    0 :
	    -1;
}

int
can_trace(pid_t pid)
{
	return (int)ptrace(PTRACE_SEIZE, pid, NULL, NULL);
}

int
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
int
can_clone(unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(0);
	return (int)pid;
}
