/* SPDX-License-Identifier: MIT */
/* candidate.c - looks at an entry and says what it is. Knows what stands in the
 * inodes; what is in the files is program.c's to read. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"

#include "cell/candidate.h"

static void look_bare(const struct grounds *, struct candidate *, bool linked);
static enum place look_for(const struct grounds *, const char *path,
    bool linked, struct stat *, char *reason);
static void check_program(const struct grounds *, struct candidate *,
    const struct stat *around);

void
candidate_look(const struct grounds *g, const char *entry, struct candidate *c)
{
	struct stat around = g->directory;
	enum place found;
	bool linked;

	c->look = LOOK_NOTHING;
	c->reason[0] = '\0';
	snprintf(c->entry, sizeof(c->entry), "%s", entry);
	snprintf(c->file, sizeof(c->file), "%s", entry);
	found = look_for(g, entry, false, &c->st, c->reason);
	if (found == PLACE_FOUND && S_ISLNK(c->st.st_mode)) {
		linked = true;
		found = look_for(g, entry, true, &c->st, c->reason);
	} else
		linked = false;
	if (found == PLACE_FOUND && S_ISDIR(c->st.st_mode)) {
		around = c->st;
		snprintf(c->file, sizeof(c->file), "%s/run", entry);
		found = look_for(g, c->file, linked, &c->st, c->reason);
		if (found == PLACE_FOUND && S_ISLNK(c->st.st_mode))
			found = look_for(g, c->file, true, &c->st, c->reason);
		if (found == PLACE_ABSENT)
			return look_bare(g, c, linked);
	}
	if (found == PLACE_FOUND)
		check_program(g, c, &around);
	else if (found == PLACE_BAD)
		c->look = LOOK_MISFIT;
}

/* A directory without a program; with settings it was meant to have one. */
static void
look_bare(const struct grounds *g, struct candidate *c, bool linked)
{
	char settings[RESOLVE_FILE_MOST + 16];
	struct stat st;

	snprintf(settings, sizeof(settings), "%s/function.conf", c->entry);
	if (look_for(g, settings, linked, &st, c->reason) != PLACE_FOUND)
		return;
	c->look = LOOK_MISFIT;
	reason_say(c->reason, "%s has a function.conf, but no executable %s",
	    c->entry, c->file);
}

/* Looks at a path. With a link somewhere in it, it is opened, to see where it
 * leads; without, one look is enough. */
static enum place
look_for(const struct grounds *g, const char *path, bool linked,
    struct stat *st, char *reason)
{
	enum place found;
	int fd = -1;

	if (!linked) {
		if (fstatat(g->place.directory_fd, path, st,
			AT_SYMLINK_NOFOLLOW) == 0)
			return PLACE_FOUND;
		if (errno == ENOENT || errno == ENOTDIR)
			return PLACE_ABSENT;
		reason_say(reason, "%s cannot be looked at by user %u: %s",
		    path, (unsigned)g->place.uid, strerror(errno));
		return PLACE_BAD;
	}
	found = grounds_open(g, path, O_PATH, &fd, reason);
	if (found == PLACE_FOUND && fstat(fd, st) != 0) {
		reason_say(reason, "%s cannot be looked at: %s", path,
		    strerror(errno));
		found = PLACE_BAD;
	}
	fd_close(&fd);
	return found;
}

/* Says what it is, and the first reason against it. */
static void
check_program(const struct grounds *g, struct candidate *c,
    const struct stat *around)
{
	const char *file = c->file, *slash = strrchr(file, '/');
	char directory[RESOLVE_FILE_MOST] = "its directory";
	mode_t mode = c->st.st_mode;

	c->look = LOOK_MISFIT;
	if (S_ISDIR(mode))
		return reason_say(c->reason, "%s is a directory, not a program",
		    file);
	if (!S_ISREG(mode))
		return reason_say(c->reason, "%s is a %s, not a program", file,
		    S_ISFIFO(mode)     ? "FIFO" :
			S_ISSOCK(mode) ? "socket" :
					 "device");
	if (!(mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return reason_say(c->reason,
		    "%s is not executable: chmod +x %s", file, file);
	c->look = LOOK_CANDIDATE;
	if (!grounds_owner_good(g, file, &c->st, c->reason) ||
	    !grounds_writers_good(g, file, &c->st, c->reason))
		return;
	if (mode & (S_ISUID | S_ISGID))
		return reason_say(c->reason,
		    "%s is %s, which functions never are: "
		    "chmod %s %s",
		    file, mode & S_ISUID ? "setuid" : "setgid",
		    mode & S_ISUID ? "u-s" : "g-s", file);
	/* who may write there may put another program in its place */
	if (slash)
		snprintf(directory, sizeof(directory), "%.*s",
		    (int)(slash - file), file);
	if (!grounds_owner_good(g, directory, around, c->reason) ||
	    !grounds_writers_good(g, directory, around, c->reason))
		return;
	if (faccessat(g->place.directory_fd, file, X_OK, AT_EACCESS) != 0)
		return reason_say(c->reason,
		    "%s may not be executed by user %u "
		    "(%s): chmod a+rx %s, if its file system allows programs",
		    file, (unsigned)g->place.uid, strerror(errno), file);
}
