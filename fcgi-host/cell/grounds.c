/* SPDX-License-Identifier: MIT */
/* grounds.c - owners, writers and links of what is in a tenant's directory. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/diag.h"

#include "cell/grounds.h"

enum {
	OVERFLOW_ID = 65534, /* who has no name in a user namespace */
	OPEN_TRIES = 16,     /* a rename may disturb openat2's look */
};

static gid_t private_group_of(uid_t, gid_t);
static bool group_is_private(const struct grounds *, const struct stat *);
static enum place open_outside(const struct grounds *, const char *path,
    int flags, int *fd, char *reason);
static bool target_allowed(const struct grounds *, const char *path);

void
grounds_init(struct grounds *g, const struct resolve_place *place,
    const struct config *config)
{
	size_t count = config->link_targets.count;
	char *canonical;

	*g = (struct grounds){ .place = *place };
	g->private_group = private_group_of(place->uid, place->gid);
	g->targets.items = diag_alloc((count + 1) * sizeof(char *));
	for (size_t i = 0; i < count; i++) {
		canonical = realpath(config->link_targets.items[i], NULL);
		if (canonical) /* others cannot be led into anyway */
			g->targets.items[g->targets.count++] = canonical;
	}
}

void
grounds_free(struct grounds *g)
{
	for (size_t i = 0; i < g->targets.count; i++)
		free(g->targets.items[i]);
	free(g->targets.items);
}

/* A group that has the user's name and no other members. Same numbers need no
 * look into the user database, whose modules cost 60 KiB a cell. */
static gid_t
private_group_of(uid_t uid, gid_t gid)
{
	const struct passwd *user;
	const struct group *group;

	if (uid == gid)
		return gid;
	user = getpwuid(uid);
	group = getgrgid(gid);
	if (!user || !group || strcmp(user->pw_name, group->gr_name) != 0 ||
	    group->gr_mem[0])
		return (gid_t)-1;
	return gid;
}

/* Whoever owns the tenant's directory decides what is in it. A user namespace
 * does not tell root from other strangers; the host is an ordinary user's
 * there, and only its own rights are at stake. */
bool
grounds_owner_good(const struct grounds *g, const char *path,
    const struct stat *st, char *reason)
{
	uid_t owner = st->st_uid;

	if (owner == 0 || owner == g->place.uid || owner == g->directory.st_uid)
		return true;
	if (g->place.user_namespace && owner == OVERFLOW_ID)
		return true;
	reason_say(reason, "%s belongs to user %u: chown it to %u or root",
	    path, (unsigned)owner, (unsigned)g->place.uid);
	return false;
}

bool
grounds_writers_good(const struct grounds *g, const char *path,
    const struct stat *st, char *reason)
{
	if (st->st_mode & S_IWOTH) {
		reason_say(reason, "%s is writable by everybody: chmod o-w %s",
		    path, path);
		return false;
	}
	if ((st->st_mode & S_IWGRP) && !group_is_private(g, st)) {
		reason_say(reason,
		    "%s is writable by group %u, which is not its "
		    "owner's own: chmod g-w %s",
		    path, (unsigned)st->st_gid, path);
		return false;
	}
	return true;
}

/* Debian gives every user a group of the same number; where the numbers have
 * drifted apart, the group's name and emptiness tell. */
static bool
group_is_private(const struct grounds *g, const struct stat *st)
{
	if (g->place.user_namespace && st->st_gid == OVERFLOW_ID)
		return false;
	return st->st_gid == st->st_uid ||
	    (st->st_uid == g->place.uid && st->st_gid == g->private_group);
}

enum place
grounds_open(const struct grounds *g, const char *path, int flags, int *fd,
    char *reason)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	struct stat st;

	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		*fd = (int)syscall(SYS_openat2, g->place.directory_fd, path,
		    &how, sizeof(how));
		if (*fd >= 0 || errno != EAGAIN)
			break;
	}
	if (*fd >= 0)
		return PLACE_FOUND;
	if (errno == EXDEV)
		return open_outside(g, path, flags, fd, reason);
	if (errno == ENOENT || errno == ENOTDIR) {
		if (fstatat(g->place.directory_fd, path, &st,
			AT_SYMLINK_NOFOLLOW) != 0)
			return PLACE_ABSENT;
		reason_say(reason,
		    "%s is a symbolic link to something that does not "
		    "exist",
		    path);
	} else if (errno == ELOOP)
		reason_say(reason,
		    "%s is a symbolic link that leads in circles", path);
	else
		reason_say(reason, "%s cannot be opened by user %u: %s", path,
		    (unsigned)g->place.uid, strerror(errno));
	return PLACE_BAD;
}

/* The canonical path has no links, so what is opened is what was checked. */
static enum place
open_outside(const struct grounds *g, const char *path, int flags, int *fd,
    char *reason)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	char link[PATH_MAX], canonical[PATH_MAX];
	int n = snprintf(link, sizeof(link), "%s/%s", g->place.directory, path);
	struct stat st;

	if (n < 0 || (size_t)n >= sizeof(link))
		reason_say(reason, "%s: its path is too long", path);
	else if (!realpath(link, canonical)) {
		/* the link may be on the way there, and lead to where there is
		 * nothing of this name */
		if (errno == ENOENT && lstat(link, &st) != 0)
			return PLACE_ABSENT;
		reason_say(reason,
		    "%s is a symbolic link out of the tenant's "
		    "directory to something that is not there for functions",
		    path);
	} else if (!target_allowed(g, canonical))
		reason_say(reason,
		    "%s is a symbolic link to %s, which is not in "
		    "link_targets",
		    path, canonical);
	else if ((*fd = (int)syscall(SYS_openat2, AT_FDCWD, canonical, &how,
		      sizeof(how))) >= 0)
		return PLACE_FOUND;
	else
		reason_say(reason,
		    "%s is a symbolic link to %s, which cannot be "
		    "opened by user %u: %s",
		    path, canonical, (unsigned)g->place.uid, strerror(errno));
	return PLACE_BAD;
}

static bool
target_allowed(const struct grounds *g, const char *path)
{
	size_t bytes = strlen(g->place.directory);

	/* an absolute link to its own neighbour */
	if (strncmp(path, g->place.directory, bytes) == 0 && path[bytes] == '/')
		return true;
	for (size_t i = 0; i < g->targets.count; i++) {
		bytes = strlen(g->targets.items[i]);
		if (strncmp(path, g->targets.items[i], bytes) == 0 &&
		    (path[bytes] == '/' || path[bytes] == '\0'))
			return true;
	}
	return false;
}
