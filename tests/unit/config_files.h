/* SPDX-License-Identifier: MIT */
/* config_files.h - files for the tests of the configuration: in a directory of
 * their own, or in memory. */
#ifndef CONFIG_FILES_H
#define CONFIG_FILES_H

#include "rows.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "config/settings.h"

static char directory[PATH_MAX]; /* canonical */

static inline void
directory_make(void)
{
	char name[] = "/tmp/fcgi-host-config-XXXXXX";

	if (!mkdtemp(name) || !realpath(name, directory))
		abort();
}

static inline const char *
path_of(const char *name)
{
	static char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static inline void
file_write(const char *name, struct span text)
{
	int fd =
	    open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text), 0);
	fd_close(&fd);
}

static inline void
directory_remove(void)
{
	const char *names[] = { "host.conf", "part.conf", "loop.conf" };

	for (size_t i = 0; i < COUNT(names); i++)
		unlink(path_of(names[i]));
	rmdir(path_of("directory"));
	rmdir(directory);
}

static inline int
file_in_memory(struct span text)
{
	int fd = memfd_create("settings", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text), 0);
	return fd;
}

/* host.conf with this text; errors in *errors. */
static inline struct config *
load(struct span text, struct buf *errors)
{
	file_write("host.conf", text);
	return config_load(path_of("host.conf"), 1, errors);
}

/* The same with the directory taken out of the errors. */
static inline void
without_directory(struct buf *errors, char *text, size_t room)
{
	const char *from = buf_string(errors);
	size_t bytes = strlen(directory), used = 0;

	while (*from && used + 1 < room)
		if (strncmp(from, directory, bytes) == 0 && from[bytes] == '/')
			from += bytes + 1;
		else
			text[used++] = *from++;
	text[used] = '\0';
}

#endif
