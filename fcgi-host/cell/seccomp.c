/* SPDX-License-Identifier: MIT */
/* seccomp.c - the filter was made when the host was built (tools/make_filter.c):
 * a table of constants that all cells share. */

#define _GNU_SOURCE 1
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cell/seccomp.h"

int
seccomp_deny(void)
{
	static const struct sock_filter filter[] = {
#include "cell/seccomp_filter.inc"
	};
	const struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = (struct sock_filter *)(uintptr_t)filter,
	};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

size_t
seccomp_rows(void)
{
	static const char rows[] = {
#define DENIED(name, error) 1,
#define DENIED_FLAG(name, argument, mask, value, error) 1,
#define DENIED_BUT(name, argument, value, error) 1,
#include "cell/denied.def"
#undef DENIED
#undef DENIED_FLAG
#undef DENIED_BUT
	};

	return sizeof(rows);
}
