/* SPDX-License-Identifier: MIT */
/* suspended.c - tenants of which the operator wants nothing run, and why. Few,
 * and seldom changed: the file is written whole each time, under another name
 * first, so that what is there is always all of it. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "master/master.h"

#define FILE_NAME "suspended"
#define NEW_NAME "suspended.new"
#define NO_REASON "by the operator of this host"

enum { FILE_MOST = 4 * 1024 * 1024 };

struct suspension {
	struct map_node by_name;
	char *reason; /* behind the name */
	char name[];
};

static void load(struct suspended *);
static int read_file(int fd, struct buf *);
static int parse_line(struct suspended *, struct span line);
static int store(const struct suspended *);
static int write_file(const struct suspended *, int fd);
static void put_line(void *buf, struct span tenant, struct span reason);
static struct suspension *find(const struct suspended *, struct span tenant);
static struct suspension *make(struct span tenant, struct span reason);
static void put_in(struct suspended *, struct suspension *);
static bool is_line(struct span);

void
suspended_open(struct suspended *s, int dir_fd)
{
	*s = (struct suspended){ .dir_fd = dir_fd };
	map_init(&s->by_name);
	load(s);
}

void
suspended_free(struct suspended *s)
{
	struct map_node *node, *next;

	for (node = map_next(&s->by_name, NULL); node; node = next) {
		next = map_next(&s->by_name, node);
		map_remove(&s->by_name, node);
		free(MAP_OWNER(node, struct suspension, by_name));
	}
	map_free(&s->by_name);
}

int
suspended_add(struct suspended *s, struct span tenant, struct span reason,
    struct buf *text)
{
	struct suspension *old, *new;

	if (reason.bytes == 0)
		reason = SPAN(NO_REASON);
	if (!config_tenant_name(tenant)) {
		buf_put_string(text, "no tenant can have this name");
		return -1;
	}
	if (reason.bytes > SUSPENDED_REASON_MOST || !is_line(reason)) {
		buf_printf(text,
		    "the reason has to be one line of at most %d bytes",
		    SUSPENDED_REASON_MOST);
		return -1;
	}
	old = find(s, tenant);
	if (!old && s->by_name.count >= SUSPENDED_MOST) {
		buf_printf(text, "%d tenants are suspended, no more can be",
		    SUSPENDED_MOST);
		return -1;
	}
	new = make(tenant, reason);
	if (old)
		map_remove(&s->by_name, &old->by_name);
	put_in(s, new);
	if (store(s) != 0) {
		buf_printf(text, "the file " FILE_NAME " cannot be written: %s",
		    diag_errno());
		map_remove(&s->by_name, &new->by_name);
		free(new);
		if (old)
			put_in(s, old);
		return -1;
	}
	free(old);
	buf_printf(text, "tenant %.*s is suspended: %.*s", SPAN_ARGS(tenant),
	    SPAN_ARGS(reason));
	return 0;
}

int
suspended_remove(struct suspended *s, struct span tenant, struct buf *text)
{
	struct suspension *old = find(s, tenant);

	if (!old) {
		buf_printf(text, "tenant %.*s is not suspended",
		    SPAN_ARGS(tenant));
		return -1;
	}
	map_remove(&s->by_name, &old->by_name);
	if (store(s) != 0) {
		buf_printf(text, "the file " FILE_NAME " cannot be written: %s",
		    diag_errno());
		put_in(s, old);
		return -1;
	}
	free(old);
	buf_printf(text, "tenant %.*s is served again", SPAN_ARGS(tenant));
	return 0;
}

struct span
suspended_reason(const struct suspended *s, struct span tenant)
{
	const struct suspension *found = find(s, tenant);

	return found ? span_of(found->reason) : SPAN_NONE;
}

void
suspended_each(const struct suspended *s,
    void (*each)(void *arg, struct span tenant, struct span reason), void *arg)
{
	struct map_node *node = NULL;

	while ((node = map_next(&s->by_name, node))) {
		const struct suspension *one =
		    MAP_OWNER(node, struct suspension, by_name);

		each(arg, node->key, span_of(one->reason));
	}
}

/* ---- the file -------------------------------------------------------------- */

static void
load(struct suspended *s)
{
	unsigned number = 0;
	struct span rest;
	struct buf text;
	int fd;

	fd = openat(s->dir_fd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return;
	buf_init(&text, FILE_MOST);
	if (fd < 0 || read_file(fd, &text) != 0)
		diag_fatal("the file " FILE_NAME " of suspended tenants cannot "
			   "be read: %s",
		    diag_errno());
	fd_close(&fd);
	rest = buf_span(&text);
	while (rest.bytes > 0) {
		number++;
		if (parse_line(s, span_cut(&rest, '\n')) != 0)
			diag_fatal(FILE_NAME
			    ":%u: has to be \"tenant reason\", each tenant "
			    "once; nobody is served until it is repaired, so "
			    "that nobody is served who is suspended",
			    number);
	}
	buf_free(&text);
}

/* 0, or -1 with errno. */
static int
read_file(int fd, struct buf *text)
{
	struct stat st;
	ssize_t n;
	char *to;

	if (fstat(fd, &st) != 0)
		return -1;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & (S_IWGRP | S_IWOTH))) {
		errno = EPERM; /* somebody else decides who is served */
		return -1;
	}
	for (;;) {
		to = buf_reserve(text, 4096);
		if (!to) {
			errno = EFBIG;
			return -1;
		}
		n = read(fd, to, 4096);
		if (n <= 0)
			return (int)n;
		buf_wrote(text, (size_t)n);
	}
}

static int
parse_line(struct suspended *s, struct span line)
{
	struct span tenant = span_cut(&line, ' ');

	if (!config_tenant_name(tenant) || line.bytes == 0 ||
	    line.bytes > SUSPENDED_REASON_MOST || !is_line(line) ||
	    find(s, tenant) || s->by_name.count >= SUSPENDED_MOST)
		return -1;
	put_in(s, make(tenant, line));
	return 0;
}

/* 0, or -1 with errno and the file is as it was. */
static int
store(const struct suspended *s)
{
	int error,
	    fd = openat(s->dir_fd, NEW_NAME,
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -1;
	if (write_file(s, fd) != 0 || fdatasync(fd) != 0 ||
	    renameat(s->dir_fd, NEW_NAME, s->dir_fd, FILE_NAME) != 0) {
		error = errno;
		unlinkat(s->dir_fd, NEW_NAME, 0);
		fd_close(&fd);
		errno = error;
		return -1;
	}
	fd_close(&fd);
	(void)fsync(s->dir_fd); /* the name; the old one is as good as none */
	return 0;
}

static int
write_file(const struct suspended *s, int fd)
{
	struct buf text;
	int result;

	buf_init(&text, FILE_MOST);
	suspended_each(s, put_line, &text);
	result = fd_write_all(fd, buf_span(&text));
	buf_free(&text);
	return result;
}

static void
put_line(void *arg, struct span tenant, struct span reason)
{
	if (buf_printf(arg, "%.*s %.*s\n", SPAN_ARGS(tenant),
		SPAN_ARGS(reason)) != 0)
		diag_fatal("no memory for the file " FILE_NAME);
}

/* ---- what is in it --------------------------------------------------------- */

static struct suspension *
find(const struct suspended *s, struct span tenant)
{
	struct map_node *node = map_find(&s->by_name, tenant);

	return node ? MAP_OWNER(node, struct suspension, by_name) : NULL;
}

static struct suspension *
make(struct span tenant, struct span reason)
{
	struct suspension *new =
	    diag_alloc(sizeof(*new) + tenant.bytes + reason.bytes + 2);

	memcpy(new->name, tenant.data, tenant.bytes);
	new->reason = new->name + tenant.bytes + 1;
	memcpy(new->reason, reason.data, reason.bytes);
	return new;
}

static void
put_in(struct suspended *s, struct suspension *one)
{
	if (map_add(&s->by_name, &one->by_name, span_of(one->name)) != 0)
		diag_fatal("no memory for a suspended tenant");
}

/* It goes into a file of lines, a log and an answer. */
static bool
is_line(struct span text)
{
	for (size_t i = 0; i < text.bytes; i++)
		if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
			return false;
	return true;
}
