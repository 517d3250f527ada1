/* SPDX-License-Identifier: MIT */
/* cell_place.h - a tenant's directory for one test: made empty, removed with
 * everything in it. */
#ifndef CELL_PLACE_H
#define CELL_PLACE_H

#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static char place_path[PATH_MAX];
static int place_fd = -1;

static inline const char *
place_of(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, PATH_MAX, "%.2000s/%.2000s", place_path, name);
	return path;
}

static inline void
place_make(void)
{
	char name[] = "/tmp/fcgi-host-cell-XXXXXX";

	umask(022);
	assert_non_null(mkdtemp(name));
	assert_int_equal(chmod(name, 0755), 0);
	assert_non_null(realpath(name, place_path));
	place_fd = open(place_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(place_fd >= 0);
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

static inline void
place_remove(void)
{
	close(place_fd);
	place_fd = -1;
	nftw(place_path, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
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
