/* SPDX-License-Identifier: MIT */
/* userdirs.c - tenants in the homes of their users: "~bob" in /home/bob/functions.
 * What stands behind the * is its user's to change, so every directory on the
 * way is opened from the one before, is no link, and is his or root's; the last
 * one is his. Looks at nothing in it. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "master/master.h"

struct way { /* while it is gone */
	const struct passwd *user;
	bool root; /* who we are */
	enum tenant_outcome outcome;
	char *reason;
	size_t room;
};

static int base_open(const char *pattern, struct way *);
static void step_open(int *fd, struct span name, const char *pattern, bool last,
    struct way *);
static const char *step_refusal(const struct stat *, bool last,
    const struct way *);
static void fail(struct way *, enum tenant_outcome, const char *, ...)
    __attribute__((format(printf, 3, 4)));

bool
userdirs_pattern_good(const char *pattern)
{
	const char *star = strchr(pattern, '*');

	if (pattern[0] == '\0')
		return true;
	return pattern[0] == '/' && star && star[-1] == '/' &&
	    (star[1] == '/' || star[1] == '\0') && !strchr(star + 1, '*') &&
	    star[strlen(star) - 1] != '/' && star > pattern + 1;
}

enum tenant_outcome
userdirs_open(const struct config *c, bool root, struct span name, int *fd,
    char *reason, size_t room)
{
	const char *pattern = c->user_directories;
	struct way way = { .root = root, .reason = reason, .room = room };
	char *user = span_dup(span_skip(name, 1));
	struct span rest;

	*fd = -1;
	if (!user)
		diag_fatal("no memory for the name of a user");
	if (pattern[0] == '\0') {
		fail(&way, TENANT_MISSING,
		    "user_directories is empty: users have no functions here");
		goto out;
	}
	way.user = getpwnam(user);
	if (!way.user) {
		fail(&way, TENANT_MISSING, "there is no user %s", user);
		goto out;
	}
	if (way.user->pw_uid == 0 || (!root && way.user->pw_uid != geteuid())) {
		fail(&way, TENANT_REFUSED,
		    way.user->pw_uid == 0 ?
			"user %s is root, who runs no functions" :
			"functions of user %s can only run as him, which "
			"takes a host that was started by root",
		    user);
		goto out;
	}
	*fd = base_open(pattern, &way);
	rest = span_of(strchr(pattern, '*') + 1);
	span_cut(&rest, '/'); /* what follows the *: nothing */
	step_open(fd, span_of(user), pattern, rest.bytes == 0, &way);
	while (*fd >= 0 && rest.bytes > 0) {
		struct span part = span_cut(&rest, '/');

		step_open(fd, part, pattern, rest.bytes == 0, &way);
	}
out:
	free(user);
	return *fd >= 0 ? TENANT_FOUND : way.outcome;
}

/* What stands before the * is the machine's. */
static int
base_open(const char *pattern, struct way *w)
{
	char base[PATH_MAX], text[TENANT_REASON_MOST];
	struct stat s;
	int fd;

	userdirs_base(pattern, base, sizeof(base));
	fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &s) != 0)
		fail(w, TENANT_REFUSED, "user_directories = \"%s\": %s: %s",
		    pattern, base, diag_errno());
	else if (w->root &&
	    trust_refusal(&s, "the directory", base, text, sizeof(text)))
		fail(w, TENANT_REFUSED, "user_directories = \"%s\": %s",
		    pattern, text);
	else
		return fd;
	fd_close(&fd);
	return -1;
}

void
userdirs_base(const char *pattern, char *base, size_t room)
{
	snprintf(base, room, "%.*s", (int)(strchr(pattern, '*') - pattern - 1),
	    pattern);
}

/* From *fd into a directory in it; closed, and -1, when that must not be. */
static void
step_open(int *fd, struct span name, const char *pattern, bool last,
    struct way *w)
{
	const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
		    RESOLVE_NO_MAGICLINKS,
	};
	char *text;
	const char *refusal;
	struct stat s;
	int next;

	if (*fd < 0)
		return;
	text = span_dup(name);
	if (!text)
		diag_fatal("no memory for a path");
	next = (int)syscall(SYS_openat2, *fd, text, &how, sizeof(how));
	fd_close(fd);
	if (next < 0 && (errno == ENOENT || errno == ENOTDIR))
		fail(w, TENANT_MISSING,
		    "user %s has no functions: there is no directory %s of %s",
		    w->user->pw_name, text, pattern);
	else if (next < 0 || fstat(next, &s) != 0)
		fail(w, TENANT_REFUSED, "%s of %s for user %s: %s", text,
		    pattern, w->user->pw_name,
		    errno == ELOOP ? "it is a symbolic link" : diag_errno());
	else if ((refusal = step_refusal(&s, last, w)))
		fail(w, TENANT_REFUSED, "%s of %s for user %s %s", text,
		    pattern, w->user->pw_name, refusal);
	else
		*fd = next;
	if (*fd < 0)
		fd_close(&next);
	free(text);
}

static const char *
step_refusal(const struct stat *s, bool last, const struct way *w)
{
	if (s->st_uid != w->user->pw_uid && (last || s->st_uid != 0))
		return last ? "belongs to another user" :
			      "belongs to another user, who is not root either";
	if (!trust_only_owner_writes(s))
		return "can be changed by others than its owner: chmod go-w";
	return NULL;
}

static void
fail(struct way *w, enum tenant_outcome outcome, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(w->reason, w->room, format, args);
	va_end(args);
	w->outcome = outcome;
}
