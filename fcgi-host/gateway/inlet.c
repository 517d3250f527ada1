/* SPDX-License-Identifier: MIT */
/* inlet.c - sockets of workers: made, reached, shut and taken back. Knows no
 * worker. A socket's address has at most 107 bytes, and the run directory may
 * have a longer path: so it is reached by way of the descriptor, in /proc. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "gateway/inlet.h"

/* A worker has one request at a time; that many more may wait in the socket
 * until connect() says EAGAIN. */
enum { BACKLOG = 1 };

static int bind_at(int fd, const char *path);
static int sweep(int directory_fd);
static int try_out(int directory_fd);

void
inlet_init(struct inlet *i)
{
	*i = (struct inlet){ .fd = -1 };
}

int
inlet_open(struct inlet *i, int directory_fd)
{
	/* never the same name again: who asks for the one before must not
	 * reach this one */
	static uint64_t number;
	int fd;

	assert(i->fd < 0);
	i->shut = false;
	snprintf(i->path, sizeof(i->path), "/proc/self/fd/%d/%" PRIu64,
	    directory_fd, ++number);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (bind_at(fd, i->path) != 0) {
		fd_close(&fd);
		return -1;
	}
	i->fd = fd;
	if (listen(fd, BACKLOG) == 0)
		return 0;
	inlet_close(i);
	return -1;
}

int
inlet_connect(const struct inlet *i)
{
	return fd_connect_unix(i->path, SOCK_STREAM);
}

void
inlet_shut(struct inlet *i)
{
	if (i->fd < 0 || i->shut)
		return;
	/* cannot fail on a socket that listens, and if it did taking back
	 * could wait for ever */
	if (shutdown(i->fd, SHUT_RD) != 0)
		diag_panic("shutdown of a worker's socket: %s", diag_errno());
	i->shut = true;
}

bool
inlet_waiting(const struct inlet *i)
{
	struct pollfd ready = { .fd = i->fd, .events = POLLIN };

	return i->fd >= 0 && poll(&ready, 1, 0) == 1;
}

int
inlet_take_back(struct inlet *i)
{
	int fd;

	assert(i->fd < 0 || i->shut);
	do
		fd = accept4(i->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (fd < 0 && errno == EINTR);
	return fd;
}

void
inlet_close(struct inlet *i)
{
	int error = errno;

	if (i->fd < 0)
		return;
	unlink(i->path);
	fd_close(&i->fd);
	errno = error;
}

int
inlet_prepare(int directory_fd, char *text, size_t room)
{
	if (fcntl(directory_fd, F_GETFD) < 0 || sweep(directory_fd) != 0) {
		snprintf(text, room, "the directory of workers' sockets: %s",
		    diag_errno());
		return -1;
	}
	if (try_out(directory_fd) != 0) {
		snprintf(text, room,
		    "cannot make or reach a socket at /proc/self/fd/%d: %s; "
		    "without that no function with protocol = \"fastcgi\" "
		    "runs",
		    directory_fd, diag_errno());
		return -1;
	}
	return 0;
}

/* Everything in it is a gateway's, and the one before us is dead. */
static int
sweep(int directory_fd)
{
	/* a description of its own: reading moves its place */
	int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *directory;

	if (fd < 0)
		return -1;
	directory = fdopendir(fd);
	if (!directory) {
		fd_close(&fd);
		return -1;
	}
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			unlinkat(directory_fd, entry->d_name, 0);
	closedir(directory);
	return 0;
}

static int
bind_at(int fd, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	_Static_assert(sizeof(((struct inlet *)0)->path) <=
		sizeof(address.sun_path),
	    "an inlet's path is an address");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

static int
try_out(int directory_fd)
{
	struct inlet inlet;
	int fd, back;

	inlet_init(&inlet);
	if (inlet_open(&inlet, directory_fd) != 0)
		return -1;
	fd = inlet_connect(&inlet);
	if (fd < 0) {
		inlet_close(&inlet);
		return -1;
	}
	inlet_shut(&inlet);
	back = inlet_take_back(&inlet);
	fd_close(&back);
	fd_close(&fd);
	inlet_close(&inlet);
	return 0;
}
