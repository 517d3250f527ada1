/* SPDX-License-Identifier: MIT */
/* trust.c - whether somebody else could change what we are about to rely on.
 * Only asks; refusing is the caller's. */

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/master.h"

static const char *way_refusal(const char *path, char *text, size_t room);
static bool group_private(uid_t, gid_t);

const char *
trust_refusal(const struct stat *s, const char *what, const char *path,
    char *text, size_t room)
{
	if (s->st_uid != 0)
		snprintf(text, room,
		    "%s %s belongs to user id %u; when fcgi-host runs as root "
		    "it has to belong to root (chown root %s)",
		    what, path, (unsigned)s->st_uid, path);
	else if (s->st_mode & S_IWOTH)
		snprintf(text, room,
		    "%s %s can be changed by everybody; when fcgi-host runs as "
		    "root only root may (chmod o-w %s)",
		    what, path, path);
	else if ((s->st_mode & S_IWGRP) && s->st_gid != 0)
		snprintf(text, room,
		    "%s %s can be changed by group id %u; when fcgi-host runs "
		    "as root only root may (chmod g-w %s)",
		    what, path, (unsigned)s->st_gid, path);
	else
		return NULL;
	return text;
}

const char *
trust_way_refusal(const char *path, char *text, size_t room)
{
	const char *refusal = way_refusal(path, text, room);
	char *real;

	if (refusal)
		return refusal;
	real = realpath(path, NULL);
	if (real)
		refusal = way_refusal(real, text, room);
	free(real);
	return refusal;
}

/* In a sticky directory, as /tmp, what is root's stays where it is. */
static const char *
way_refusal(const char *path, char *text, size_t room)
{
	const char *refusal = NULL;
	char above[PATH_MAX];
	struct stat s;

	for (size_t i = 1; !refusal && i < sizeof(above) && path[i]; i++) {
		if (path[i] != '/')
			continue;
		memcpy(above, path, i);
		above[i] = '\0';
		if (stat(above, &s) != 0)
			continue;
		if (s.st_mode & S_ISVTX)
			s.st_mode &= ~(mode_t)(S_IWGRP | S_IWOTH);
		refusal = trust_refusal(&s, "the directory", above, text, room);
	}
	return refusal;
}

bool
trust_only_owner_writes(const struct stat *s)
{
	if (s->st_mode & S_IWOTH)
		return false;
	return !(s->st_mode & S_IWGRP) || group_private(s->st_uid, s->st_gid);
}

/* Many systems give each user a group of the same name and number. */
static bool
group_private(uid_t uid, gid_t gid)
{
	const struct passwd *user;
	const struct group *group;

	user = getpwuid(uid);
	if (!user)
		return gid == uid; /* an id of ours, in no database */
	if (user->pw_gid != gid)
		return false;
	group = getgrgid(gid);
	return group && strcmp(group->gr_name, user->pw_name) == 0 &&
	    group->gr_mem[0] == NULL;
}
