/* SPDX-License-Identifier: MIT */
/* notify.c - sd_notify(3) in a page: one datagram, no library. */

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "master/master.h"

void
notify(const char *state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t bytes = path ? strlen(path) : 0;
	int fd;

	if (bytes == 0 || bytes >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, bytes);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    sendto(fd, state, strlen(state), MSG_NOSIGNAL,
		(const struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes)) <
		0)
		diag_warn("cannot tell NOTIFY_SOCKET \"%s\": %s", state,
		    diag_errno());
	fd_close(&fd);
}
