/* SPDX-License-Identifier: MIT */
/* registry.c - user ids of tenants whose directory belongs to root. What is
 * given is on disk before anybody hears of it, and what is in the file but not
 * understood stops us from giving more: two tenants with one id would be one
 * tenant. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "master/master.h"

#define FILE_NAME "uids"

enum { FILE_MOST = 128 * 1024 * 1024 }; /* a million names of full length */

struct registered {
	struct map_node by_name;
	struct map_node by_uid;
	uint32_t uid;
	char name[];
};

static bool taken(struct registry *, uint32_t id);
static int load(struct registry *, char *reason, size_t room);
static int load_file(struct registry *, char *reason, size_t room);
static int load_from(struct registry *, int fd, char *reason, size_t room);
static int parse(struct registry *, struct span text, char *reason,
    size_t room);
static int parse_line(struct registry *, struct span line);
static int remember(struct registry *, struct span name, uint32_t uid);
static int append(struct registry *, struct span name, uint32_t uid);
static struct registered *find(struct registry *, struct span name);
static struct registered *find_uid(struct registry *, uint32_t uid);

void
registry_init(struct registry *r, int dir_fd)
{
	*r = (struct registry){ .dir_fd = dir_fd };
	map_init(&r->by_name);
	map_init(&r->by_uid);
}

void
registry_free(struct registry *r)
{
	struct map_node *node, *next;

	for (node = map_next(&r->by_name, NULL); node; node = next) {
		next = map_next(&r->by_name, node);
		map_remove(&r->by_name, node);
		free(MAP_OWNER(node, struct registered, by_name));
	}
	map_free(&r->by_name);
	map_free(&r->by_uid);
}

int
registry_uid(struct registry *r, struct span tenant, uint64_t first,
    uint64_t count, uid_t *uid, char *reason, size_t room)
{
	const struct registered *known;
	uint64_t next, end = first + count;

	if (load(r, reason, room) != 0)
		return -1;
	known = find(r, tenant);
	if (known) {
		*uid = known->uid;
		return 0;
	}
	if (end > (uint64_t)INT32_MAX + 1)
		end = (uint64_t)INT32_MAX + 1;
	for (next = first; next < end && taken(r, (uint32_t)next); next++)
		;
	if (next >= end) {
		snprintf(reason, room,
		    "all %llu user ids from %llu on are "
		    "given to tenants: raise users.tenants_count",
		    (unsigned long long)(end - first),
		    (unsigned long long)first);
		return -1;
	}
	if (append(r, tenant, (uint32_t)next) != 0 ||
	    remember(r, tenant, (uint32_t)next) != 0) {
		snprintf(reason, room,
		    "its user id cannot be written to the "
		    "file " FILE_NAME ": %s",
		    diag_errno());
		return -1;
	}
	*uid = (uid_t)next;
	return 0;
}

struct span
registry_name(struct registry *r, uid_t uid)
{
	char reason[TENANT_REASON_MOST];
	const struct registered *known;

	if (load(r, reason, sizeof(reason)) != 0)
		return SPAN_NONE;
	known = find_uid(r, uid);
	return known ? span_of(known->name) : SPAN_NONE;
}

/* As a user or, as the id becomes both, as a group. Directories that have it
 * already are refused when they are asked for: see check_owner(). */
static bool
taken(struct registry *r, uint32_t id)
{
	return find_uid(r, id) || users_nobody(id) || getpwuid(id) ||
	    getgrgid(id);
}

/* At the first tenant that needs it, and again after an error, so that a
 * repaired file counts without a restart. Clients are told each time, the
 * operator once. */
static int
load(struct registry *r, char *reason, size_t room)
{
	int result;

	if (r->loaded)
		return 0;
	result = load_file(r, reason, room);
	if (result != 0 && !r->told)
		diag_error("no tenant of root's is served: %s", reason);
	r->told = result != 0;
	return result;
}

static int
load_file(struct registry *r, char *reason, size_t room)
{
	int fd, result;

	fd = openat(r->dir_fd, FILE_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		r->loaded = true;
		return 0;
	}
	if (fd < 0) {
		snprintf(reason, room,
		    "the file " FILE_NAME " cannot be "
		    "read: %s",
		    diag_errno());
		return -1;
	}
	result = load_from(r, fd, reason, room);
	if (result != 0) {
		struct registry old = *r;

		registry_free(r);
		registry_init(r, old.dir_fd);
		r->told = old.told;
	}
	r->loaded = result == 0;
	fd_close(&fd);
	return result;
}

static int
load_from(struct registry *r, int fd, char *reason, size_t room)
{
	size_t bytes, used = 0;
	struct stat s;
	ssize_t n = 0;
	int result;
	char *text;

	if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) ||
	    s.st_uid != geteuid() || (s.st_mode & (S_IWGRP | S_IWOTH)) ||
	    s.st_size > FILE_MOST) {
		snprintf(reason, room,
		    "the file " FILE_NAME " is not a file "
		    "that only fcgi-host can write");
		return -1;
	}
	bytes = (size_t)s.st_size;
	text = diag_alloc(bytes);
	while (used < bytes && (n = read(fd, text + used, bytes - used)) > 0)
		used += (size_t)n;
	/* a line without its end was never answered: the machine went down,
	 * or the disk was full, while it was written */
	bytes = used;
	while (bytes > 0 && text[bytes - 1] != '\n')
		bytes--;
	if (n < 0 || (bytes < used && ftruncate(fd, (off_t)bytes) != 0)) {
		snprintf(reason, room, "the file " FILE_NAME ": %s",
		    diag_errno());
		result = -1;
	} else
		result = parse(r, span_make(text, bytes), reason, room);
	free(text);
	return result;
}

static int
parse(struct registry *r, struct span text, char *reason, size_t room)
{
	unsigned number = 0;

	while (text.bytes > 0) {
		number++;
		if (parse_line(r, span_cut(&text, '\n')) == 0)
			continue;
		snprintf(reason, room,
		    FILE_NAME
		    ":%u: has to be \"uid "
		    "tenant\", each once; no user ids are given until it is "
		    "repaired",
		    number);
		return -1;
	}
	return 0;
}

static int
parse_line(struct registry *r, struct span line)
{
	struct span uid = span_cut(&line, ' ');
	uint64_t value;

	if (span_number(uid, INT32_MAX, &value) != 0 || value == 0 ||
	    !config_tenant_name(line))
		return -1;
	return remember(r, line, (uint32_t)value);
}

/* 0, or -1 when name or id is there already. */
static int
remember(struct registry *r, struct span name, uint32_t uid)
{
	struct registered *new = diag_alloc(sizeof(*new) + name.bytes + 1);

	new->uid = uid;
	memcpy(new->name, name.data, name.bytes);
	if (map_add(&r->by_name, &new->by_name, span_of(new->name)) != 0) {
		free(new);
		return -1;
	}
	if (map_add(&r->by_uid, &new->by_uid,
		span_make(&new->uid, sizeof(new->uid))) != 0) {
		map_remove(&r->by_name, &new->by_name);
		free(new);
		return -1;
	}
	return 0;
}

/* Whole or not at all: half a line would spoil the next one. */
static int
append(struct registry *r, struct span name, uint32_t uid)
{
	char line[CONFIG_TENANT_MOST + 16];
	int fd, result, bytes;
	struct stat s;

	bytes = snprintf(line, sizeof(line), "%u %.*s\n", (unsigned)uid,
	    SPAN_ARGS(name));
	fd = openat(r->dir_fd, FILE_NAME,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 || fstat(fd, &s) != 0) {
		fd_close(&fd);
		return -1;
	}
	result = fd_write_all(fd, span_make(line, (size_t)bytes));
	if (result == 0)
		result = fdatasync(fd);
	if (result != 0 && ftruncate(fd, s.st_size) != 0)
		r->loaded = false; /* let load() mend it */
	fd_close(&fd);
	return result;
}

static struct registered *
find(struct registry *r, struct span name)
{
	struct map_node *node = map_find(&r->by_name, name);

	return node ? MAP_OWNER(node, struct registered, by_name) : NULL;
}

static struct registered *
find_uid(struct registry *r, uint32_t uid)
{
	struct map_node *node =
	    map_find(&r->by_uid, span_make(&uid, sizeof(uid)));

	return node ? MAP_OWNER(node, struct registered, by_uid) : NULL;
}
