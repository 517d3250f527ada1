/* SPDX-License-Identifier: MIT */
/* proxy.c - a bare loop between the web server and programs that speak FastCGI:
 * what any process in that place costs. proxy SOCKET WORKERS PROGRAM: each worker
 * has one connection, which is kept, and one request at a time; who finds none
 * idle waits. No limits, no log, no timers, no trust: for the bench alone. */
#include <err.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	END_REQUEST = 3,
	STDIN = 5,
	HEAD_BYTES = 8,
	EVENTS = 64,
	AUTOBIND_BYTES = 6, /* unix(7): a NUL and five digits */
};

struct end { /* of a connection: to the web server, or to a worker */
	int fd;
	int last;	  /* type of the record that ends what it says */
	bool busy, gone;  /* a client: its request is on its way; it left */
	struct end *peer; /* a worker: whose request it has */
	struct end *next; /* waiting, or idle */
	struct sockaddr_un at; /* a worker's */
	size_t bytes;
	unsigned char buf[65536];
};

static struct end *idle, *waiting, **behind = &waiting;
static int epoll;

static struct end *
end_new(int last)
{
	struct end *e = malloc(sizeof(*e));

	if (!e)
		err(1, "a connection");
	memset(e, 0, offsetof(struct end, buf));
	e->fd = -1;
	e->last = last;
	return e;
}

static void
end_watch(struct end *e, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = e };

	if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		err(1, "a connection");
	e->fd = fd;
}

static int
listen_at(const struct sockaddr_un *at, size_t bytes)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)at, bytes) != 0 ||
	    listen(fd, 1024) != 0)
		err(1, "listen");
	return fd;
}

/* At an address that the kernel chooses. */
static void
worker_start(char *program)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t bytes = sizeof(at);
	int listener = listen_at(&at, sizeof(at.sun_family));
	struct end *worker = end_new(END_REQUEST);

	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(listener, STDIN_FILENO);
		execl(program, program, (char *)NULL);
		err(1, "%s", program);
	}
	if (getsockname(listener, (struct sockaddr *)&worker->at, &bytes) != 0)
		err(1, "getsockname");
	close(listener);
	worker->next = idle;
	idle = worker;
}

/* When it gets its first request: libfcgi closes a connection that brings none
 * within two seconds, but not one that has brought one. */
static void
worker_connect(struct end *worker)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t bytes = offsetof(struct sockaddr_un, sun_path) + AUTOBIND_BYTES;

	if (connect(fd, (struct sockaddr *)&worker->at, (socklen_t)bytes) != 0)
		err(1, "connect");
	end_watch(worker, fd);
}

/* Whole records are there, and the last is the end of a request or a reply. */
static bool
whole(const struct end *e)
{
	const unsigned char *at = e->buf;
	size_t left = e->bytes, content, record;

	for (; left >= HEAD_BYTES; at += record, left -= record) {
		content = (size_t)at[4] << 8 | at[5];
		record = HEAD_BYTES + content + at[6];
		if (record > left)
			return false;
		if (record == left)
			return at[1] == e->last &&
			    (e->last != STDIN || content == 0);
	}
	return false;
}

static void
pass(struct end *from, const struct end *to)
{
	if (write(to->fd, from->buf, from->bytes) != (ssize_t)from->bytes)
		warn("a write");
	from->bytes = 0;
}

static void
serve_waiting(void)
{
	struct end *client, *worker;

	while (idle && waiting) {
		client = waiting;
		waiting = client->next;
		if (!waiting)
			behind = &waiting;
		worker = idle;
		idle = worker->next;
		if (worker->fd < 0)
			worker_connect(worker);
		worker->peer = client;
		pass(client, worker);
	}
}

static void
client_free(struct end *client)
{
	close(client->fd);
	free(client);
}

static void
answered(struct end *worker)
{
	pass(worker, worker->peer);
	worker->peer->busy = false;
	if (worker->peer->gone)
		client_free(worker->peer);
	worker->next = idle;
	idle = worker;
}

static void
asked(struct end *client)
{
	client->buf[10] = 1; /* BEGIN: its connection to the worker is kept */
	client->busy = true;
	client->next = NULL;
	*behind = client;
	behind = &client->next;
}

/* A client that leaves with its request on its way is answered all the same. */
static void
left(struct end *client)
{
	client->gone = true;
	if (epoll_ctl(epoll, EPOLL_CTL_DEL, client->fd, NULL) != 0)
		err(1, "epoll_ctl");
	if (!client->busy)
		client_free(client);
}

static void
heard(struct end *e)
{
	ssize_t n = read(e->fd, e->buf + e->bytes, sizeof(e->buf) - e->bytes);

	if (n <= 0 && e->last == END_REQUEST)
		errx(1, "a worker has gone");
	if (n <= 0) {
		left(e);
		return;
	}
	e->bytes += (size_t)n;
	if (!whole(e))
		return;
	if (e->last == STDIN)
		asked(e);
	else
		answered(e);
	serve_waiting();
}

int
main(int argc, char **argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct epoll_event events[EVENTS];
	struct end *front;
	int count;

	if (argc != 4 || strlen(argv[1]) >= sizeof(at.sun_path))
		return 2;
	signal(SIGPIPE, SIG_IGN);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < atoi(argv[2]); i++)
		worker_start(argv[3]);
	strcpy(at.sun_path, argv[1]);
	front = end_new(0);
	end_watch(front, listen_at(&at, sizeof(at)));
	if (chmod(argv[1], 0666) != 0)
		err(1, "%s", argv[1]);
	while ((count = epoll_wait(epoll, events, EVENTS, -1)) >= 0)
		for (int i = 0; i < count; i++)
			if (events[i].data.ptr == front)
				end_watch(end_new(STDIN),
				    accept(front->fd, NULL, NULL));
			else
				heard(events[i].data.ptr);
	err(1, "epoll_wait");
}
