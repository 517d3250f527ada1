/* SPDX-License-Identifier: MIT */
/* cell_place.h - a tenant's directory for one test: made empty, removed with
 * everything in it, also when the test fails or takes too long. */
#ifndef CELL_PLACE_H
#define CELL_PLACE_H

#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

static char place_path[PATH_MAX];
static int place_fd = -1;
static char place_top[PATH_MAX]; /* what is to be removed; "": nothing */
static pid_t place_owner;

static inline const char *
place_of(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, PATH_MAX, "%.2000s/%.2000s", place_path, name);
	return path;
}

static inline int
place_remove_one(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Nothing when it is gone; children that exit leave it alone. */
static inline void
place_leave(void)
{
	if (place_owner == getpid() && place_top[0])
		nftw(place_top, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	place_top[0] = '\0';
}

static inline void
place_late(int number)
{
	place_leave();
	signal(number, SIG_DFL);
	raise(number);
}

/* A new directory in /tmp, to place_leave(); that of a test that failed goes. */
static inline void
place_top_make(void)
{
	char name[] = "/tmp/fcgi-host-cell-XXXXXX";

	if (place_owner != getpid()) {
		place_owner = getpid();
		place_top[0] = '\0';
		assert_int_equal(atexit(place_leave), 0);
		signal(SIGALRM, place_late);
	}
	place_leave();
	umask(022);
	assert_non_null(mkdtemp(name));
	assert_non_null(realpath(name, place_top));
}

static inline void
place_make(void)
{
	place_top_make();
	snprintf(place_path, sizeof(place_path), "%s", place_top);
	assert_int_equal(chmod(place_path, 0755), 0);
	place_fd = open(place_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(place_fd >= 0);
}

static inline void
place_remove(void)
{
	close(place_fd);
	place_fd = -1;
	place_leave();
}

/* A file with exactly this mode, new each time. */
static inline void
place_put(const char *name, mode_t mode, const char *text)
{
	const char *path = place_of(name);
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

#endif
