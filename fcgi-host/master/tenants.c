/* SPDX-License-Identifier: MIT */
/* tenants.c - from a name to a directory and a user. The name comes from a
 * client by way of the gateway, so it is checked again here; the directory is
 * opened and nothing in it; its owner decides who its functions run as. */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/proc.h"

#include "master/master.h"

enum {
	NAMES_KEPT = 2048, /* of a directory listing, at once */
};

typedef char tenant_name[CONFIG_TENANT_MOST + 1];

struct page {		   /* of names */
	tenant_name *kept; /* ours: 2 * NAMES_KEPT */
	size_t count;
	tenant_name last; /* of the page before */
	bool more;
};

static int functions_open(const struct master *, char *reason, size_t room);
static int open_beneath(int functions, const tenant_name);
static enum tenant_outcome directory_open(const struct master *,
    const tenant_name, int *fd, char *reason, size_t room);
static enum tenant_outcome not_opened(const char *functions, const tenant_name,
    char *reason, size_t room);
static int choose_user(struct master *, struct span name, const struct stat *,
    struct tenant_place *);
static int check_owner(struct master *, struct span name, uid_t owner,
    struct tenant_place *);
static int check_range(struct master *, struct span name,
    struct tenant_place *);
static int page_take(struct page *, const char *path, const char *below);
static bool has_functions(DIR *, const char *user, const char *below);
static bool may_be_tenant(DIR *, const struct dirent *);
static size_t keep_least(tenant_name *, size_t count, size_t most);
static int name_order(const void *, const void *);

enum tenant_outcome
tenant_find(struct master *m, struct span name, struct tenant_place *p)
{
	const char *path = m->config->functions;
	size_t room = sizeof(p->reason);
	char link[32];
	tenant_name text = "";
	struct stat s;
	ssize_t bytes;
	enum tenant_outcome outcome;

	*p = (struct tenant_place){ .fd = -1 };
	if (!config_tenant_name(name)) {
		snprintf(p->reason, room, "no tenant can have this name");
		return TENANT_MISSING;
	}
	memcpy(text, name.data, name.bytes);
	outcome = directory_open(m, text, &p->fd, p->reason, room);
	if (outcome != TENANT_FOUND)
		return outcome;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", p->fd);
	bytes = readlink(link, p->path, sizeof(p->path) - 1);
	if (fstat(p->fd, &s) != 0 || bytes < 0) {
		snprintf(p->reason, room, "%s/%s: %s", path, text,
		    diag_errno());
		goto refused;
	}
	p->device = s.st_dev;
	p->inode = s.st_ino;
	p->owner = s.st_uid;
	if (!trust_only_owner_writes(&s)) {
		snprintf(p->reason, room,
		    "%.700s can be changed by others than "
		    "its owner: chmod go-w",
		    p->path);
		goto refused;
	}
	if (choose_user(m, name, &s, p) == 0)
		return TENANT_FOUND;
refused:
	fd_close(&p->fd);
	return TENANT_REFUSED;
}

bool
tenant_same(struct master *m, struct span name, dev_t device, ino_t inode,
    uid_t owner)
{
	char reason[TENANT_REASON_MOST];
	tenant_name text = "";
	struct stat s;
	int fd;
	bool same;

	assert(name.bytes < sizeof(text));
	memcpy(text, name.data, name.bytes);
	same = directory_open(m, text, &fd, reason, sizeof(reason)) ==
		TENANT_FOUND &&
	    fstat(fd, &s) == 0 && s.st_dev == device && s.st_ino == inode &&
	    s.st_uid == owner;
	fd_close(&fd);
	return same;
}

/* A page is found by keeping the least names seen so far: a directory may
 * have any number of entries, in any order. */
int
tenant_names(const struct config *c, struct span after, size_t most,
    struct buf *names, bool *more)
{
	struct page page = { .kept = diag_alloc(2 * NAMES_KEPT *
				 sizeof(*page.kept)) };
	char base[PATH_MAX];
	int result;

	if (after.bytes < sizeof(page.last))
		memcpy(page.last, after.data, after.bytes);
	result = page_take(&page, c->functions, NULL);
	if (c->user_directories[0]) {
		userdirs_base(c->user_directories, base, sizeof(base));
		result |= page_take(&page, base,
		    strchr(c->user_directories, '*') + 1);
	}
	page.more |= page.count > NAMES_KEPT;
	page.count = keep_least(page.kept, page.count, NAMES_KEPT);
	for (size_t i = 0; i < page.count; i++) {
		struct span name = { page.kept[i], strlen(page.kept[i]) + 1 };

		if (buf_bytes(names) + name.bytes > most ||
		    buf_put(names, name) != 0) {
			page.more = true;
			break;
		}
	}
	free(page.kept);
	*more = page.more;
	return result;
}

/* Of a directory of tenants; or of users (below is not NULL) who have that in
 * their own. */
static int
page_take(struct page *p, const char *path, const char *below)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	tenant_name name;
	int bytes;

	if (!directory)
		return -1;
	while ((entry = readdir(directory))) {
		bytes = snprintf(name, sizeof(name), "%s%s", below ? "~" : "",
		    entry->d_name);
		if (bytes >= (int)sizeof(name) || entry->d_name[0] == '.' ||
		    strcmp(name, p->last) <= 0 ||
		    !(below ? has_functions(directory, entry->d_name, below) :
			      may_be_tenant(directory, entry)))
			continue;
		memcpy(p->kept[p->count++], name, sizeof(name));
		if (p->count == 2 * NAMES_KEPT) {
			p->count = keep_least(p->kept, p->count, NAMES_KEPT);
			p->more = true;
		}
	}
	closedir(directory);
	return 0;
}

static bool
has_functions(DIR *directory, const char *user, const char *below)
{
	char path[PATH_MAX];
	struct stat s;

	snprintf(path, sizeof(path), "%s%s", user, below);
	return fstatat(dirfd(directory), path, &s, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(s.st_mode);
}

/* By name each time: the directory may be a link that is switched from one
 * release to the next. */
static int
functions_open(const struct master *m, char *reason, size_t room)
{
	const char *path = m->config->functions;
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat s;

	if (fd < 0 || fstat(fd, &s) != 0) {
		snprintf(reason, room, "functions = \"%s\": %s", path,
		    diag_errno());
		fd_close(&fd);
		return -1;
	}
	/* sticky: everybody may add a directory of his own, as in /tmp; fine
	 * where it runs as him, and not as us */
	if (trust_only_owner_writes(&s) || (m->root && (s.st_mode & S_ISVTX)))
		return fd;
	snprintf(reason, room,
	    "functions = \"%s\" can be changed by others "
	    "than its owner: chmod go-w",
	    path);
	fd_close(&fd);
	return -1;
}

static int
open_beneath(int functions, const tenant_name name)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
		    RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, functions, name, &how, sizeof(how));
}

static enum tenant_outcome
directory_open(const struct master *m, const tenant_name name, int *fd,
    char *reason, size_t room)
{
	int functions;

	if (name[0] == '~')
		return userdirs_open(m->config, m->root, span_of(name), fd,
		    reason, room);
	*fd = -1;
	functions = functions_open(m, reason, room);
	if (functions < 0)
		return TENANT_REFUSED;
	*fd = open_beneath(functions, name);
	fd_close(&functions);
	return *fd >= 0 ? TENANT_FOUND :
			  not_opened(m->config->functions, name, reason, room);
}

static enum tenant_outcome
not_opened(const char *functions, const tenant_name name, char *reason,
    size_t room)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		snprintf(reason, room, "there is no directory %s/%s", functions,
		    name);
		return TENANT_MISSING;
	case ELOOP:
		snprintf(reason, room,
		    "%s/%s is a symbolic link; a "
		    "tenant has to be a directory",
		    functions, name);
		return TENANT_REFUSED;
	default:
		snprintf(reason, room, "%s/%s: %s", functions, name,
		    diag_errno());
		return TENANT_REFUSED;
	}
}

static int
choose_user(struct master *m, struct span name, const struct stat *s,
    struct tenant_place *p)
{
	const struct config *c = m->config;
	char number[16];

	if (!m->root) {
		p->uid = geteuid();
		p->gid = getegid();
		return 0;
	}
	if (s->st_uid == 0) {
		if (registry_uid(&m->registry, name, c->tenant_first,
			c->tenant_count, &p->uid, p->reason,
			sizeof(p->reason)) != 0)
			return -1;
		p->gid = p->uid;
	} else {
		/* the user's own group, not the directory's: that is often
		 * the web server's, which may connect to our socket */
		snprintf(number, sizeof(number), "%u", (unsigned)s->st_uid);
		if (proc_find_user(number, &p->uid, &p->gid) != 0)
			p->uid = p->gid = s->st_uid;
	}
	return check_owner(m, name, s->st_uid, p);
}

static int
check_owner(struct master *m, struct span name, uid_t owner,
    struct tenant_place *p)
{
	size_t room = sizeof(p->reason);
	struct span other = registry_name(&m->registry, p->uid);
	const char *host = users_host(&m->users, p->uid, p->gid);

	if (owner != 0 && owner < m->config->tenant_least)
		snprintf(p->reason, room,
		    "%.700s belongs to user id %u, below "
		    "users.least = %llu: give it to its user, or to root",
		    p->path, (unsigned)owner,
		    (unsigned long long)m->config->tenant_least);
	else if (host)
		snprintf(p->reason, room,
		    "%.700s belongs to user id %u, which is %s: give it to a "
		    "user of its own, or to root",
		    p->path, (unsigned)p->uid, host);
	else if (users_nobody(p->uid) || users_nobody(p->gid))
		snprintf(p->reason, room,
		    "%.700s belongs to user id %u, group %u, which is what "
		    "files of nobody have: give it to a user of its own, or to "
		    "root",
		    p->path, (unsigned)p->uid, (unsigned)p->gid);
	else if (p->gid == 0)
		snprintf(p->reason, room, "user id %u is in root's group",
		    (unsigned)p->uid);
	else if (p->gid < m->config->tenant_least_group)
		snprintf(p->reason, room,
		    "%.700s belongs to user id %u, who is in group %u, below "
		    "users.least_group = %llu: give it to another user, or to "
		    "root",
		    p->path, (unsigned)p->uid, (unsigned)p->gid,
		    (unsigned long long)m->config->tenant_least_group);
	else if (other.data && !span_equal(other, name))
		snprintf(p->reason, room,
		    "%.700s belongs to user id %u, which is "
		    "tenant %.*s's",
		    p->path, (unsigned)p->uid, SPAN_ARGS(other));
	else
		return check_range(m, name, p);
	return -1;
}

/* A number of the host's own range that it did not give to this tenant, it
 * would give to another. */
static int
check_range(struct master *m, struct span name, struct tenant_place *p)
{
	const struct config *c = m->config;
	bool given = span_equal(registry_name(&m->registry, p->uid), name);
	bool inside = p->uid - c->tenant_first < c->tenant_count;
	bool group =
	    p->gid != p->uid && p->gid - c->tenant_first < c->tenant_count;

	if ((given || !inside) && !group)
		return 0;
	snprintf(p->reason, sizeof(p->reason),
	    "%.700s belongs to %s id %u, one of those from users.tenants_first "
	    "= %llu on, which the host gives itself: give it to another user, "
	    "or to root",
	    p->path, inside && !given ? "user" : "a user of group",
	    (unsigned)(inside && !given ? p->uid : p->gid),
	    (unsigned long long)c->tenant_first);
	return -1;
}

/* A link is none, and is told so. */
static bool
may_be_tenant(DIR *directory, const struct dirent *entry)
{
	struct stat s;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR || entry->d_type == DT_LNK;
	return fstatat(dirfd(directory), entry->d_name, &s,
		   AT_SYMLINK_NOFOLLOW) == 0 &&
	    (S_ISDIR(s.st_mode) || S_ISLNK(s.st_mode));
}

static size_t
keep_least(tenant_name *names, size_t count, size_t most)
{
	qsort(names, count, sizeof(*names), name_order);
	return count < most ? count : most;
}

static int
name_order(const void *a, const void *b)
{
	return strcmp(a, b);
}
