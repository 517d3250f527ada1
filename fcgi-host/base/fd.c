/* SPDX-License-Identifier: MIT */
/* fd.c - descriptors and how they travel. Whoever sends to us may be
 * compromised: what arrives is counted, and closed when it does not fit. */

#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

union control { /* aligned for the first header */
	struct cmsghdr header;
	char bytes[CMSG_SPACE(FD_PASS_MOST * sizeof(int))];
};

static ssize_t receive(int socket, char *data, size_t room, int *fds,
    size_t *fd_count, int flags);
static bool control_take(struct msghdr *, int *fds, size_t *fd_count);
static void control_close(struct msghdr *);
static int unix_address(struct sockaddr_un *, const char *path);
static int unix_socket(int type);
static int listen_under(int socket, const char *directory, int dir_fd,
    const char *temporary, mode_t mode, gid_t gid);

void
fd_close(int *fd)
{
	int kept_errno = errno;

	if (*fd < 0)
		return;
	close(*fd); /* Linux has let go of it even when this is EINTR */
	*fd = -1;
	errno = kept_errno;
}

int
fd_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);
	int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;

	if (flags < 0)
		return -1;
	return flags == wanted ? 0 : fcntl(fd, F_SETFL, wanted);
}

int
fd_cloexec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

int
fd_write_all(int fd, struct span s)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	ssize_t n;

	while (s.bytes > 0) {
		n = write(fd, s.data, s.bytes);
		if (n >= 0)
			s = span_skip(s, (size_t)n);
		else if (errno == EAGAIN)
			poll(&ready, 1, -1);
		else if (errno != EINTR)
			return -1;
	}
	return 0;
}

int
fd_fill_standard(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* those below are open, so this is the number it gets */
		if (open("/dev/null", O_RDWR) != fd)
			return -1;
	}
	return 0;
}

int
fd_cloexec_from(int from)
{
	/* not every libc has a name for it */
	return (int)syscall(SYS_close_range, (unsigned)from, ~0u,
	    CLOSE_RANGE_CLOEXEC);
}

ssize_t
fd_send(int socket, struct span s, const int *fds, size_t fd_count)
{
	struct iovec part = { (void *)(uintptr_t)s.data, s.bytes };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	union control control;
	ssize_t n;

	assert(s.bytes > 0 && fd_count <= FD_PASS_MOST);
	if (fd_count > 0) {
		memset(&control, 0, sizeof(control));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	}
	do
		n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n;
}

ssize_t
fd_receive(int socket, char *data, size_t room, int *fds, size_t *fd_count)
{
	return receive(socket, data, room, fds, fd_count, MSG_DONTWAIT);
}

ssize_t
fd_receive_wait(int socket, char *data, size_t room, int *fds, size_t *fd_count)
{
	return receive(socket, data, room, fds, fd_count, 0);
}

static ssize_t
receive(int socket, char *data, size_t room, int *fds, size_t *fd_count,
    int flags)
{
	struct iovec part = { data, room };
	union control control;
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	do
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		*fd_count = 0;
		return -1;
	}
	/* zero bytes are the end, or a peer that plays: then nothing it
	 * attached is taken either */
	if (n > 0 && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
	    control_take(&message, fds, fd_count))
		return n;
	control_close(&message);
	*fd_count = 0;
	if (n == 0)
		return 0;
	errno = EMSGSIZE;
	return -1;
}

int
fd_channel(int ends[2])
{
	return socketpair(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
}

int
fd_listen_unix(const char *path, int type, mode_t mode, gid_t gid)
{
	const char *slash = strrchr(path, '/');
	struct sockaddr_un address;
	char directory[sizeof(address.sun_path)], temporary[32];
	int dir_fd = -1, fd = -1, kept_errno;
	static unsigned sequence;

	if (unix_address(&address, path) != 0)
		return -1;
	snprintf(directory, sizeof(directory), "%.*s",
	    slash ? (int)(slash - path) + 1 : 2, slash ? path : "./");
	snprintf(temporary, sizeof(temporary), ".new-%ld-%u", (long)getpid(),
	    sequence++);
	dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return -1;
	fd = unix_socket(type);
	if (fd < 0)
		goto out;
	if (listen_under(fd, directory, dir_fd, temporary, mode, gid) != 0 ||
	    renameat(dir_fd, temporary, AT_FDCWD, path) != 0) {
		kept_errno = errno;
		unlinkat(dir_fd, temporary, 0);
		errno = kept_errno;
		fd_close(&fd);
	}
out:
	fd_close(&dir_fd);
	return fd;
}

int
fd_connect_unix(const char *path, int type)
{
	struct sockaddr_un address;
	int fd, result;

	if (unix_address(&address, path) != 0 || (fd = unix_socket(type)) < 0)
		return -1;
	do
		result =
		    connect(fd, (struct sockaddr *)&address, sizeof(address));
	while (result != 0 && errno == EINTR);
	if (result != 0)
		fd_close(&fd);
	return fd;
}

int
fd_peer_of(int socket, struct fd_peer *peer)
{
	struct ucred found;
	socklen_t bytes = sizeof(found);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &found, &bytes) != 0)
		return -1;
	*peer = (struct fd_peer){ found.pid, found.uid, found.gid };
	return 0;
}

/* Moves received descriptors into fds. False when they do not fit; the caller
 * closes then, so nothing is moved unless all of it is. */
static bool
control_take(struct msghdr *message, int *fds, size_t *fd_count)
{
	struct cmsghdr *c;
	size_t count = 0, more;

	for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		more = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (more > *fd_count - count)
			return false;
		memcpy(fds + count, CMSG_DATA(c), more * sizeof(int));
		count += more;
	}
	*fd_count = count;
	return true;
}

static void
control_close(struct msghdr *message)
{
	struct cmsghdr *c;
	size_t count;
	int fd;

	for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			fd_close(&fd);
		}
	}
}

static int
unix_address(struct sockaddr_un *address, const char *path)
{
	size_t bytes = strlen(path);

	if (bytes == 0 || bytes >= sizeof(address->sun_path)) {
		errno = bytes ? ENAMETOOLONG : ENOENT;
		return -1;
	}
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(address->sun_path, path, bytes);
	return 0;
}

static int
unix_socket(int type)
{
	return socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* The temporary name may be longer than the final one, which may itself fill
 * sun_path: then it is reached through /proc. */
static int
listen_under(int socket, const char *directory, int dir_fd,
    const char *temporary, mode_t mode, gid_t gid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t room = sizeof(address.sun_path);

	if ((size_t)snprintf(address.sun_path, room, "%s%s", directory,
		temporary) >= room)
		snprintf(address.sun_path, room, "/proc/self/fd/%d/%s", dir_fd,
		    temporary);
	unlinkat(dir_fd, temporary, 0);
	if (bind(socket, (struct sockaddr *)&address, sizeof(address)) != 0)
		return -1;
	if (fchmodat(dir_fd, temporary, mode, 0) != 0)
		return -1;
	if (gid != (gid_t)-1 &&
	    fchownat(dir_fd, temporary, (uid_t)-1, gid, 0) != 0)
		return -1;
	return listen(socket, SOMAXCONN);
}
