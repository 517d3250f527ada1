/* SPDX-License-Identifier: MIT */
/* make_filter.c - writes cell/denied.def as a seccomp filter for this
 * architecture, in C: run once while the host is built, so that a cell carries
 * a table and no library. Programs for 32-bit x86 get the same; x32 and all
 * other architectures do not exist. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct row {
	const char *name;
	unsigned conditions; /* 0: whatever its arguments are */
	enum scmp_compare compare;
	unsigned argument;
	uint64_t mask; /* SCMP_CMP_NE: the value */
	uint64_t value;
	int error;
};

static const struct row rows[] = {
#define DENIED(name, error) { #name, 0, SCMP_CMP_EQ, 0, 0, 0, error },
#define DENIED_FLAG(name, argument, mask, value, error) \
	{ #name, 1, SCMP_CMP_MASKED_EQ, argument, mask, value, error },
#define DENIED_BUT(name, argument, value, error) \
	{ #name, 1, SCMP_CMP_NE, argument, value, 0, error },
#include "cell/denied.def"
#undef DENIED
#undef DENIED_FLAG
#undef DENIED_BUT
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void add(scmp_filter_ctx, const struct row *);
static void print(int fd);
static void check(int error, const char *what);

int
main(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int fd = memfd_create("filter", MFD_CLOEXEC);

	if (!filter || fd < 0)
		check(-ENOMEM, "a filter");
	check(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
		  SCMP_ACT_ERRNO(ENOSYS)),
	    "other architectures");
#ifdef __x86_64__
	check(seccomp_arch_add(filter, SCMP_ARCH_X86), "x86");
#endif
	for (size_t i = 0; i < ROWS; i++)
		add(filter, &rows[i]);
	check(seccomp_export_bpf(filter, fd), "export");
	print(fd);
	return 0;
}

static void
add(scmp_filter_ctx filter, const struct row *r)
{
	int number = seccomp_syscall_resolve_name(r->name);
	const struct scmp_arg_cmp compare =
	    SCMP_CMP64(r->argument, r->compare, r->mask, r->value);

	if (number == __NR_SCMP_ERROR)
		check(-ENOSYS, r->name);
	check(seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)r->error),
		  number, r->conditions, compare),
	    r->name);
}

static void
print(int fd)
{
	struct sock_filter line;
	off_t at = 0;

	printf("/* made by make_filter of cell/denied.def */\n");
	while (pread(fd, &line, sizeof(line), at) == (ssize_t)sizeof(line)) {
		printf("{ 0x%x, %u, %u, 0x%x },\n", line.code, line.jt, line.jf,
		    line.k);
		at += (off_t)sizeof(line);
	}
	if (fflush(stdout) != 0 || at == 0)
		check(-EIO, "output");
}

static void
check(int error, const char *what)
{
	if (error == 0)
		return;
	fprintf(stderr, "make_filter: %s: %s\n", what, strerror(-error));
	exit(1);
}
