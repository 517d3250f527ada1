/* SPDX-License-Identifier: MIT */
/* place.h - a directory of a test's own, gone after it, and files in
 * it. */
#ifndef PLACE_H
#define PLACE_H

#include "rows.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

struct place {
	char path[64];
	int fd;
};

static inline int
place_make(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	if (!p)
		return -1;
	snprintf(p->path, sizeof(p->path), "/tmp/fcgi-host-unit.XXXXXX");
	if (!mkdtemp(p->path))
		return -1;
	chmod(p->path, 0755);
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return p->fd < 0 ? -1 : 0;
}

static inline int
place_remove_one(const char *path, const struct stat *s, int type,
    struct FTW *ftw)
{
	(void)s;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int
place_remove(void **state)
{
	struct place *p = *state;
	int result = nftw(p->path, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);

	close(p->fd);
	free(p);
	return result;
}

static inline void
place_write(const struct place *p, const char *name, const char *text,
    mode_t mode)
{
	int fd = openat(p->fd, name, O_WRONLY | O_CREAT | O_TRUNC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	fchmod(fd, mode);
	close(fd);
}

static inline void
place_read(const struct place *p, const char *name, char *text, size_t room)
{
	int fd = openat(p->fd, name, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, room - 1);

	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
}

#endif
