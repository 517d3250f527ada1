/* SPDX-License-Identifier: MIT */
/* worker.c - a process that answers many requests, one after the other, from a
 * listening socket. Under fcgi-host (FN_WORKER=1) the socket is this worker's
 * alone, and ends it by being shut; under any other server it is a FastCGI
 * program like others. */

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sdk/records.h"

#define READY "fn-worker 1 ready\n"

static struct fastcgi connection;
static struct turn turn;
static int listener = -1;
static bool hosted;

static void sigterm(int);
static void sigterm_take(void);
static int next(void);
static bool peer_allowed(int fd);
static void serve(handle_fn *, uint64_t cpu_s);
static void serve_one(handle_fn *, uint64_t cpu_s, bool *again);
static int refuse(struct fn_request *, struct fn_reply *);

int
worker_main(int out, handle_fn *handle)
{
	const char *said = getenv("FN_WORKER"), *cpu = getenv("FN_CPU_S");
	uint64_t cpu_s = 0;
	int fd;

	hosted = said && strcmp(said, "1") == 0;
	span_number(span_of(cpu), INT32_MAX, &cpu_s);
	listener = standard_take_input();
	if (listener < 0) {
		perror("the listening socket cannot be taken");
		return EXIT_FAILURE;
	}
	sigterm_take();
	fastcgi_init(&connection, &turn);
	connection.patient = hosted;
	if (hosted && write(out, READY, strlen(READY)) < 0)
		perror("the host cannot be told that this is ready");
	while ((fd = next()) >= 0) {
		fastcgi_open(&connection, fd);
		serve(handle, cpu_s);
		fastcgi_close(&connection);
	}
	if (turn.stopping || errno == EINVAL) /* it was shut */
		return EXIT_SUCCESS;
	perror("no more connections");
	return EXIT_FAILURE;
}

/* ---- the end -------------------------------------------------------------------- */

/* A shut socket wakes who waits for it, and who is just about to; what had
 * arrived on it stays for the host to take back. It must be ours alone for
 * that. */
static void
sigterm(int number)
{
	int saved = errno;

	(void)number;
	turn.stopping = 1;
	if (turn.waiting && !hosted)
		_exit(EXIT_SUCCESS);
	if (turn.waiting) {
		shutdown(listener, SHUT_RD);
		if (connection.fd >= 0)
			shutdown(connection.fd, SHUT_RD);
	}
	errno = saved;
}

/* Unless the author does something else with it. */
static void
sigterm_take(void)
{
	struct sigaction action;

	if (sigaction(SIGTERM, NULL, &action) != 0 ||
	    action.sa_handler != SIG_DFL)
		return;
	action = (struct sigaction){ .sa_flags = SA_RESTART };
	action.sa_handler = sigterm;
	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
}

/* ---- requests --------------------------------------------------------------------- */

/* The next connection, or -1. */
static int
next(void)
{
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	int fd, error;

	for (;;) {
		turn.waiting = 1;
		if (turn.stopping)
			return -1;
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		error = errno;
		/* Who gave it to us may have made it a non-blocking one. */
		if (fd < 0 && (error == EAGAIN || error == EWOULDBLOCK))
			poll(&ready, 1, -1);
		turn.waiting = 0;
		if (fd >= 0 && peer_allowed(fd))
			return fd;
		if (fd >= 0)
			close(fd);
		else if (error != EAGAIN && error != EWOULDBLOCK &&
		    error != EINTR && error != ECONNABORTED) {
			errno = error;
			return -1;
		}
	}
}

/* Specification section 3.2: over IPv4, only web servers of this list. */
static bool
peer_allowed(int fd)
{
	struct span list = span_of(getenv("FCGI_WEB_SERVER_ADDRS"));
	struct sockaddr_in peer = { 0 };
	socklen_t bytes = sizeof(peer);
	char text[INET_ADDRSTRLEN];

	if (!list.data ||
	    getpeername(fd, (struct sockaddr *)&peer, &bytes) != 0 ||
	    peer.sin_family != AF_INET)
		return true;
	inet_ntop(AF_INET, &peer.sin_addr, text, sizeof(text));
	while (list.data)
		if (span_equal(span_trim(span_cut(&list, ',')), span_of(text)))
			return true;
	return false;
}

static void
serve(handle_fn *handle, uint64_t cpu_s)
{
	bool again = true;

	while (again && fastcgi_request(&connection) == 0)
		serve_one(handle, cpu_s, &again);
}

static void
serve_one(handle_fn *handle, uint64_t cpu_s, bool *again)
{
	static char *const none[] = { NULL };
	char *const *list = fastcgi_variables(&connection);
	char *const *variables = list ? list : none;
	uint64_t deadline_ms = 0;
	bool broken;

	if (hosted) {
		span_number(span_of(variable_find(variables, "FN_DEADLINE_MS")),
		    INT64_MAX, &deadline_ms);
		limit_begin(deadline_ms, cpu_s);
	}
	fn_use(variables);
	broken =
	    run(&connection.carrier, variables, list ? handle : refuse) != 0;
	/* What was printed by mistake belongs to nobody's request but this. */
	fflush(stdout);
	*again = fastcgi_end(&connection, broken);
	limit_end();
	fn_use(NULL);
}

/* No web server sends such parameters. */
static int
refuse(struct fn_request *request, struct fn_reply *reply)
{
	(void)request;
	fn_log("the parameters of the request cannot be read");
	fn_reply_problem(reply, connection.params_large ? 431 : 400,
	    "the parameters of the request cannot be read");
	return 0;
}
