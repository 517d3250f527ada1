/* SPDX-License-Identifier: MIT */
/* fd.h - descriptors: -1 is no descriptor, everything is close-on-exec. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/span.h"

enum { FD_PASS_MOST = 8 }; /* descriptors in one message */

void fd_close(int *fd);		       /* closes and sets -1; keeps errno */
int fd_nonblock(int fd, bool on);      /* 0 or -1 */
int fd_cloexec(int fd, bool on);       /* 0 or -1 */
int fd_write_all(int fd, struct span); /* blocking; 0 or -1 */

/* Descriptors 0, 1 and 2 are open (on /dev/null when they were not): called
 * first in every main, so that nothing of ours ever gets a number below 3. */
int fd_fill_standard(void);

/* What a stranger left open for us, from number `from` up, is not passed on to
 * who we start. 0 or -1. */
int fd_cloexec_from(int from);

/* One datagram of at least a byte (none reads as the end) with up to
 * FD_PASS_MOST descriptors. Sending leaves the sender's descriptors open.
 * Returns bytes sent, or -1 with errno (EAGAIN is normal back-pressure). Neither
 * this nor fd_receive() ever waits: whoever else holds a socket may have made it
 * a blocking one. */
ssize_t fd_send(int socket, struct span, const int *fds, size_t fd_count);

/* One datagram. Returns bytes, 0 at end, -1 with errno; EMSGSIZE when the
 * message or its control data were cut (its descriptors are closed). *fd_count
 * is room on entry, received on return; received ones are close-on-exec. */
ssize_t fd_receive(int socket, char *data, size_t room, int *fds,
    size_t *fd_count);
/* Likewise, but on a blocking socket it waits, in one system call. */
ssize_t fd_receive_wait(int socket, char *data, size_t room, int *fds,
    size_t *fd_count);

int fd_channel(int ends[2]); /* SOCK_SEQPACKET pair, both non-blocking */

/* A Unix socket at `path`, listening, bound to a temporary name and renamed,
 * so that the path is never half there. mode and gid (-1: leave) are set
 * before the rename. type is SOCK_STREAM or SOCK_SEQPACKET. -1 with errno;
 * ENAMETOOLONG above 107 bytes. Both are non-blocking: a connect to a full
 * backlog is EAGAIN; who gives a listener to a program that blocks in accept
 * clears the flag first. */
int fd_listen_unix(const char *path, int type, mode_t mode, gid_t gid);
int fd_connect_unix(const char *path, int type); /* -1 with errno */

struct fd_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
int fd_peer_of(int socket, struct fd_peer *); /* SO_PEERCRED; 0 or -1 */

#endif
