/* SPDX-License-Identifier: MIT */
/* sockets.c - sockets and other ways to talk, and descriptors left open. */
#include <sys/shm.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "attempt.h"

int
attempt_connect_fn(void)
{
	return can_connect(below("run", "fn/fn.sock"), SOCK_STREAM);
}

int
attempt_connect_front(void)
{
	return can_connect(below("run", "front.sock"), SOCK_STREAM);
}

int
attempt_connect_control(void)
{
	return can_connect(below("run", "control.sock"), SOCK_SEQPACKET);
}

int
attempt_connect_state(void)
{
	return can_connect(below("run", "state.sock"), SOCK_STREAM);
}

int
attempt_make_worker_socket(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s",
	    below("run", "workers/mine"));
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		return -1;
	unlink(to.sun_path);
	return 0;
}

int
attempt_connect_worker_of_neighbour(void)
{
	return can_connect(target("worker"), SOCK_STREAM);
}

int
attempt_remove_worker_socket(void)
{
	return unlink(target("worker"));
}

int
attempt_connect_unix_outside(void)
{
	return can_connect(target("unix"), SOCK_STREAM);
}

int
attempt_connect_abstract(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *name = target("abstract");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(to.sun_path + 1, name, strlen(name));
	return connect(fd, (struct sockaddr *)&to,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
		strlen(name)));
}

int
attempt_connect_loopback(void)
{
	return can_reach("127.0.0.1", (int)process("port"), SOCK_STREAM);
}

/* Connecting a datagram socket sends nothing: it only asks for a way there. */
int
attempt_way_outside(void)
{
	return can_reach("192.0.2.1", 9, SOCK_DGRAM);
}

int
attempt_low_port(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(80),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return bind(fd, (struct sockaddr *)&to, sizeof(to));
}

int
attempt_raw_socket(void)
{
	return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
}

int
attempt_packet_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}

int
attempt_see_shared_memory(void)
{
	return shmget((key_t)process("shm_key"), 0, 0);
}

int
attempt_see_posix_memory(void)
{
	char path[128];

	snprintf(path, sizeof(path), "/dev/shm/%s", target("shm_name"));
	return access(path, F_OK);
}

int
attempt_message_queue(void)
{
	int queue = mq_open("/attempt", O_RDWR | O_CREAT, 0600, NULL);

	if (queue >= 0)
		mq_unlink("/attempt");
	return queue;
}

/* ---- what was left open ------------------------------------------------------ */

int
attempt_use_inherited(void)
{
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return fd;
	errno = EBADF;
	return -1;
}

int
attempt_read_own_output(void)
{
	char byte;

	return read(1, &byte, 1) < 0 || read(2, &byte, 1) < 0 ? -1 : 0;
}
