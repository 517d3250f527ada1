/* SPDX-License-Identifier: MIT */
/* paced.c - a client that asks at a pace, whatever the answers do:
 *   paced PORT TARGET RATE SECONDS CONNECTIONS
 * Requests are due at fixed times. One that is due is sent at once on a
 * connection that is idle, a new one if there is none, so that a slow answer
 * delays no other request; and its time runs from when it was due, not from
 * when it was sent: what the client itself was late is not forgotten. It stands
 * for clients on other machines, so it goes before everybody on the processors
 * here when it may. Prints a line a request: when it was due, sent and
 * answered, in microseconds since the first was due, its status (0: broken) and
 * X-Request-Id or -. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTIONS_MOST = 256,
	REPLY_MOST = 16 * 1024,
	ANSWER_US = 10 * 1000 * 1000, /* for the last ones */
	WAIT_US = 1000,
};

struct asked {
	uint64_t due_us, sent_us, answered_us;
	int status;
	char name[64];
};

struct connection {
	int fd;
	struct asked *asked; /* NULL: idle */
	size_t bytes;
	char reply[REPLY_MOST + 1];
};

static struct connection connections[CONNECTIONS_MOST];
static char request[1024];
static struct sockaddr_in server;
static uint64_t begin_us;

static uint64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void
connection_open(struct connection *c)
{
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 ||
	    connect(c->fd, (struct sockaddr *)&server, sizeof(server)) != 0) {
		perror("paced: connect");
		exit(1);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static void
answered(struct connection *c, int status)
{
	const char *name =
	    status ? strcasestr(c->reply, "\nX-Request-Id: ") : NULL;

	c->asked->answered_us = now_us() - begin_us;
	c->asked->status = status;
	strcpy(c->asked->name, "-");
	if (name)
		sscanf(name + 15, "%63[0-9A-Za-z-]", c->asked->name);
	c->asked = NULL;
	c->bytes = 0;
	if (status == 0 || strcasestr(c->reply, "\nConnection: close")) {
		close(c->fd);
		c->fd = -1;
	}
}

/* False when so many are waited for that it has to wait, too. */
static bool
ask(struct asked *asked)
{
	struct connection *c = NULL;

	for (int i = 0; i < CONNECTIONS_MOST; i++) {
		struct connection *one = &connections[i];

		if (!one->asked && (!c || (c->fd < 0 && one->fd >= 0)))
			c = one;
	}
	if (!c)
		return false;
	if (c->fd < 0)
		connection_open(c);
	c->asked = asked;
	asked->sent_us = now_us() - begin_us;
	if (write(c->fd, request, strlen(request)) != (ssize_t)strlen(request))
		answered(c, 0);
	return true;
}

/* Whole when its length, or its last chunk, has come. */
static bool
whole(const struct connection *c)
{
	const char *end = strstr(c->reply, "\r\n\r\n");
	const char *length = strcasestr(c->reply, "\nContent-Length: ");
	size_t head;

	if (!end)
		return false;
	head = (size_t)(end - c->reply) + 4;
	if (length && length < end)
		return c->bytes >= head + strtoul(length + 17, NULL, 10);
	return c->bytes >= head + 5 &&
	    memcmp(c->reply + c->bytes - 5, "0\r\n\r\n", 5) == 0;
}

static void
hear(struct connection *c)
{
	ssize_t n =
	    read(c->fd, c->reply + c->bytes, (size_t)(REPLY_MOST - c->bytes));

	if (n < 0 && errno == EAGAIN)
		return;
	if (!c->asked) { /* closed while idle */
		close(c->fd);
		c->fd = -1;
		return;
	}
	if (n <= 0) {
		answered(c, 0);
		return;
	}
	c->bytes += (size_t)n;
	c->reply[c->bytes] = '\0';
	if (whole(c))
		answered(c, atoi(c->reply + sizeof("HTTP/1.1")));
}

static void
hear_until(uint64_t until_us)
{
	struct pollfd polled[CONNECTIONS_MOST];
	uint64_t now = now_us() - begin_us;
	struct timespec left = { 0 };

	if (until_us > now) {
		left.tv_sec = (time_t)((until_us - now) / 1000000);
		left.tv_nsec = (long)((until_us - now) % 1000000 * 1000);
	}
	for (int i = 0; i < CONNECTIONS_MOST; i++)
		polled[i] = (struct pollfd){ .fd = connections[i].fd,
			.events = POLLIN };
	if (ppoll(polled, CONNECTIONS_MOST, &left, NULL) <= 0)
		return;
	for (int i = 0; i < CONNECTIONS_MOST; i++)
		if (polled[i].revents)
			hear(&connections[i]);
}

static bool
some_wait(void)
{
	for (int i = 0; i < CONNECTIONS_MOST; i++)
		if (connections[i].asked)
			return true;
	return false;
}

int
main(int argc, char **argv)
{
	struct sched_param first = { .sched_priority = 1 };
	uint64_t due_us = 0, over_us;
	size_t count, next = 0;
	struct asked *all;

	if (argc != 6 || atof(argv[3]) <= 0)
		return 2;
	count = (size_t)(atof(argv[3]) * atof(argv[4]));
	all = calloc(count, sizeof(all[0]));
	if (!all)
		return 1;
	server = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(argv[1])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	snprintf(request, sizeof(request),
	    "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[2]);
	for (int i = 0; i < CONNECTIONS_MOST; i++)
		connections[i].fd = -1;
	for (int i = 0; i < atoi(argv[5]) && i < CONNECTIONS_MOST; i++)
		connection_open(&connections[i]);
	prctl(PR_SET_TIMERSLACK, 1);
	sched_setscheduler(0, SCHED_FIFO, &first); /* root may */
	begin_us = now_us();
	over_us = (uint64_t)(atof(argv[4]) * 1e6) + ANSWER_US;
	while (next < count || some_wait()) {
		uint64_t now = now_us() - begin_us;

		if (now > over_us)
			break;
		for (; next < count && due_us <= now; next++) {
			all[next].due_us = due_us;
			if (!ask(&all[next]))
				break;
			due_us = (uint64_t)((double)(next + 1) * 1e6 /
			    atof(argv[3]));
		}
		hear_until(next < count && due_us > now ? due_us :
			next < count			? now + WAIT_US :
							  over_us);
	}
	for (size_t i = 0; i < next; i++)
		printf("%llu %llu %llu %d %s\n",
		    (unsigned long long)all[i].due_us,
		    (unsigned long long)all[i].sent_us,
		    (unsigned long long)all[i].answered_us, all[i].status,
		    all[i].name[0] ? all[i].name : "-");
	return 0;
}
