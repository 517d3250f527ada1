/* SPDX-License-Identifier: MIT */
/* landlock.c - the kernel's numbers, written down here because the headers of
 * Debian 12 end at version 2. */

#define _GNU_SOURCE 1
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/landlock.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

struct ruleset_attr {
	uint64_t files;
	uint64_t network;
	uint64_t scoped;
};

struct path_attr {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

enum { RULE_PATH = 1, CREATE_VERSION = 1 };

enum { /* on files */
	EXECUTE = 1 << 0,
	WRITE_FILE = 1 << 1,
	READ_FILE = 1 << 2,
	READ_DIR = 1 << 3,
	MAKE_AND_REMOVE = 0x1ff << 4, /* nine rights */
	REFER = 1 << 13,	      /* move elsewhere; version 2 */
	TRUNCATE = 1 << 14,	      /* version 3 */
	IOCTL_DEV = 1 << 15,	      /* version 5 */
	OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV,
};
enum { BIND_TCP = 1 << 0, CONNECT_TCP = 1 << 1 };
enum { SCOPE_SOCKETS = 1 << 0, SCOPE_SIGNALS = 1 << 1 };

/* Of restrict_self: denials are a function's own business, and nobody shall
 * fill the audit log with them. Version 7. */
enum { LOG_NOTHING = 1 << 0 | 1 << 2 };

static int create(const struct ruleset_attr *);
static int allow_moves(int rules_fd);
static uint64_t rights_known(int version);

int
landlock_version(void)
{
	long version =
	    syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

	return version < 0 ? 0 : (int)version;
}

int
landlock_new(unsigned refusals)
{
	int version = landlock_version();
	struct ruleset_attr attr = { 0 };
	int rules_fd;

	if ((refusals & LANDLOCK_REFUSES_TCP) && version >= LANDLOCK_TCP)
		attr.network = BIND_TCP | CONNECT_TCP;
	if ((refusals & LANDLOCK_REFUSES_SIGNALS) && version >= LANDLOCK_SCOPE)
		attr.scoped |= SCOPE_SIGNALS;
	if ((refusals & LANDLOCK_REFUSES_SOCKETS) && version >= LANDLOCK_SCOPE)
		attr.scoped |= SCOPE_SOCKETS;
	if (refusals & LANDLOCK_REFUSES_FILES)
		attr.files = rights_known(version);
	else if (version >= 2)
		attr.files = REFER;
	rules_fd = create(&attr);
	if (attr.files == REFER && rules_fd >= 0 && allow_moves(rules_fd) != 0)
		fd_close(&rules_fd);
	return rules_fd;
}

static int
create(const struct ruleset_attr *attr)
{
	return (int)syscall(SYS_landlock_create_ruleset, attr, sizeof(*attr),
	    0);
}

/* The one right that every set of rules on top of another takes away unless it
 * says something about it: between directories, files could only be copied. */
static int
allow_moves(int rules_fd)
{
	struct path_attr rule = {
		.allowed = REFER,
		.parent_fd = open("/", O_PATH | O_CLOEXEC),
	};
	int root_fd = rule.parent_fd, result = -1;

	if (root_fd >= 0)
		result = (int)syscall(SYS_landlock_add_rule, rules_fd,
		    RULE_PATH, &rule, 0);
	fd_close(&root_fd);
	return result;
}

int
landlock_allow(int rules_fd, int path_fd, enum landlock_right right)
{
	static const uint64_t rights[] = {
		[LANDLOCK_OPEN] = READ_FILE,
		[LANDLOCK_READ] = READ_DIR | READ_FILE | EXECUTE,
		[LANDLOCK_WRITE] = READ_DIR | READ_FILE | EXECUTE | WRITE_FILE |
		    MAKE_AND_REMOVE | REFER | TRUNCATE,
		[LANDLOCK_ALL] = ~UINT64_C(0),
	};
	struct path_attr rule = {
		.allowed = rights[right] & rights_known(landlock_version()),
		.parent_fd = path_fd,
	};
	struct stat st;

	if (fstat(path_fd, &st) != 0)
		return -1;
	if (!S_ISDIR(st.st_mode))
		rule.allowed &= OF_FILES;
	return (int)syscall(SYS_landlock_add_rule, rules_fd, RULE_PATH, &rule,
	    0);
}

int
landlock_restrict(int rules_fd)
{
	long result =
	    syscall(SYS_landlock_restrict_self, rules_fd, LOG_NOTHING);

	/* who does not know the flags logs nothing either */
	if (result != 0)
		result = syscall(SYS_landlock_restrict_self, rules_fd, 0);
	return (int)result;
}

static uint64_t
rights_known(int version)
{
	uint64_t known =
	    EXECUTE | WRITE_FILE | READ_FILE | READ_DIR | MAKE_AND_REMOVE;

	if (version >= 2)
		known |= REFER;
	if (version >= 3)
		known |= TRUNCATE;
	if (version >= 5)
		known |= IOCTL_DEV;
	return version >= LANDLOCK_FILES ? known : 0;
}
