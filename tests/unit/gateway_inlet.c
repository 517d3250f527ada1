/* SPDX-License-Identifier: MIT */
/* If this fails, a request that a worker had begun is repeated by another, one
 * that no worker read is answered with an error, or the gateway waits for ever in
 * a system call. */
#include "place.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/diag.h"
#include "base/fd.h"
#include "gateway/inlet.h"

enum { DEADLINE_MS = 20000 };

static int
make(struct place *p, struct inlet *l)
{
	inlet_init(l);
	return inlet_open(l, p->fd);
}

/* Names in the directory. */
static unsigned
names(const struct place *p)
{
	DIR *d = opendir(p->path);
	struct dirent *entry;
	unsigned count = 0;

	while ((entry = readdir(d)))
		count += entry->d_name[0] != '.';
	closedir(d);
	return count;
}

static void
assert_readable(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
}

/* ---- a worker: a process that has the socket and answers in one byte -------- */

struct worker {
	pid_t pid;
	int said; /* what it tells */
};

/* Accepts until that fails; tells 'a' for each, and at last the errno. */
static void
worker_start(struct worker *w, const struct inlet *l, bool reads)
{
	int ends[2], error, fd;
	char request[64];

	assert_int_equal(pipe(ends), 0);
	w->pid = fork();
	if (w->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while ((fd = accept(l->fd, NULL, NULL)) >= 0)
			if ((reads && read(fd, request, sizeof(request)) < 0) ||
			    write(ends[1], "a", 1) != 1)
				_exit(1);
		error = errno;
		_exit(write(ends[1], &(char){ (char)error }, 1) != 1);
	}
	close(ends[1]);
	w->said = ends[0];
}

static int
worker_says(struct worker *w)
{
	char c;

	assert_readable(w->said);
	return read(w->said, &c, 1) == 1 ? c : -1;
}

/* It sleeps in a system call, which is accept(): there is no other that waits. */
static void
worker_waits(struct worker *w)
{
	char path[64], text[256];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", w->pid);
	for (;;) {
		ssize_t n;

		fd = open(path, O_RDONLY);
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		assert_true(n > 0);
		text[n] = '\0';
		if (strncmp(strrchr(text, ')'), ") S", 3) == 0)
			return;
		sched_yield();
	}
}

static void
worker_end(struct worker *w)
{
	int status;

	assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
	assert_int_equal(status, 0);
	close(w->said);
}

/* ---- making ----------------------------------------------------------------- */

static void
a_socket_has_a_name_until_it_is_closed(void **state)
{
	struct place *p = *state;
	struct inlet a, b;

	assert_int_equal(make(p, &a), 0);
	assert_int_equal(make(p, &b), 0);
	assert_int_equal(names(p), 2);
	assert_string_not_equal(a.path, b.path);
	inlet_close(&a);
	assert_int_equal(a.fd, -1);
	assert_int_equal(names(p), 1);
	inlet_close(&a);
	inlet_close(&b);
	assert_int_equal(names(p), 0);
}

static void
a_name_is_never_used_again(void **state)
{
	struct place *p = *state;
	struct inlet l;
	char before[sizeof(l.path)];

	assert_int_equal(make(p, &l), 0);
	memcpy(before, l.path, sizeof(before));
	inlet_close(&l);
	assert_int_equal(inlet_open(&l, p->fd), 0);
	assert_string_not_equal(l.path, before);
	inlet_close(&l);
}

static void
a_socket_waits_and_is_not_inherited(void **state)
{
	struct place *p = *state;
	struct inlet l;

	assert_int_equal(make(p, &l), 0);
	assert_int_equal(fcntl(l.fd, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(l.fd, F_GETFD), FD_CLOEXEC);
	inlet_close(&l);
}

/* As libfcgi asks whether it is CGI. */
static void
a_socket_has_no_peer(void **state)
{
	struct place *p = *state;
	struct sockaddr_un address;
	socklen_t bytes = sizeof(address);
	struct inlet l;

	assert_int_equal(make(p, &l), 0);
	assert_int_equal(getpeername(l.fd, (struct sockaddr *)&address, &bytes),
	    -1);
	assert_int_equal(errno, ENOTCONN);
	inlet_close(&l);
}

static void
a_directory_that_was_removed_is_an_error(void **state)
{
	struct place *p = *state;
	struct inlet l;
	int fd;

	assert_int_equal(mkdirat(p->fd, "gone", 0700), 0);
	fd = openat(p->fd, "gone", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(unlinkat(p->fd, "gone", AT_REMOVEDIR), 0);
	inlet_init(&l);
	assert_int_equal(inlet_open(&l, fd), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(l.fd, -1);
	close(fd);
}

static void
a_long_run_directory_is_no_matter(void **state)
{
	struct place *p = *state;
	char name[201];
	struct inlet l;
	int fd, client;

	memset(name, 'n', 200);
	name[200] = '\0';
	assert_int_equal(mkdirat(p->fd, name, 0700), 0);
	fd = openat(p->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	inlet_init(&l);
	assert_int_equal(inlet_open(&l, fd), 0);
	client = inlet_connect(&l);
	assert_true(client >= 0);
	close(client);
	inlet_close(&l);
	close(fd);
}

/* ---- reaching ----------------------------------------------------------------- */

static void
a_connection_does_not_wait_and_is_not_inherited(void **state)
{
	struct place *p = *state;
	struct inlet l;
	int client;

	assert_int_equal(make(p, &l), 0);
	client = inlet_connect(&l);
	assert_true(client >= 0);
	assert_true(fcntl(client, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(client, F_GETFD), FD_CLOEXEC);
	close(client);
	inlet_close(&l);
}

static void
a_full_queue_is_eagain_at_once(void **state)
{
	struct place *p = *state;
	int clients[16], count = 0;
	struct inlet l;

	assert_int_equal(make(p, &l), 0);
	while (count < 16 && (clients[count] = inlet_connect(&l)) >= 0)
		count++;
	assert_int_equal(errno, EAGAIN);
	assert_in_range(count, 1, 4);
	while (count > 0)
		close(clients[--count]);
	inlet_close(&l);
}

static void
what_nobody_accepted_is_waiting(void **state)
{
	struct place *p = *state;
	struct inlet l;
	int client, accepted;

	assert_int_equal(make(p, &l), 0);
	assert_false(inlet_waiting(&l));
	client = inlet_connect(&l);
	assert_true(inlet_waiting(&l));
	assert_int_equal(write(client, "request", 7), 7);
	accepted = accept(l.fd, NULL, NULL);
	assert_false(inlet_waiting(&l));
	close(accepted);
	close(client);
	shutdown(l.fd, SHUT_RDWR);
	assert_true(inlet_waiting(&l));
	inlet_close(&l);
	assert_false(inlet_waiting(&l));
}

static void
a_removed_name_is_enoent(void **state)
{
	struct place *p = *state;
	struct inlet l;

	assert_int_equal(make(p, &l), 0);
	assert_int_equal(unlink(l.path), 0);
	assert_int_equal(inlet_connect(&l), -1);
	assert_int_equal(errno, ENOENT);
	inlet_close(&l);
}

/* ---- shutting ----------------------------------------------------------------- */

static void
an_accept_that_waits_ends_with_einval(void **state)
{
	struct place *p = *state;
	struct inlet l;
	struct worker w;

	assert_int_equal(make(p, &l), 0);
	worker_start(&w, &l, false);
	worker_waits(&w);
	inlet_shut(&l);
	assert_int_equal(worker_says(&w), EINVAL);
	worker_end(&w);
	inlet_close(&l);
}

static void
an_accept_that_comes_later_ends_with_einval(void **state)
{
	struct place *p = *state;
	struct inlet l;
	struct worker w;

	assert_int_equal(make(p, &l), 0);
	inlet_shut(&l);
	inlet_shut(&l);
	worker_start(&w, &l, false);
	assert_int_equal(worker_says(&w), EINVAL);
	worker_end(&w);
	inlet_close(&l);
}

static void
a_connect_behind_the_shut_is_refused(void **state)
{
	struct place *p = *state;
	struct inlet l;

	assert_int_equal(make(p, &l), 0);
	inlet_shut(&l);
	assert_int_equal(inlet_connect(&l), -1);
	assert_int_equal(errno, ECONNREFUSED);
	inlet_close(&l);
	inlet_shut(&l);
}

static void
a_worker_that_shuts_its_socket_refuses(void **state)
{
	struct place *p = *state;
	struct inlet l;

	assert_int_equal(make(p, &l), 0);
	shutdown(l.fd, SHUT_RDWR);
	assert_int_equal(inlet_connect(&l), -1);
	assert_int_equal(errno, ECONNREFUSED);
	inlet_shut(&l);
	assert_int_equal(inlet_take_back(&l), -1);
	inlet_close(&l);
}

/* ---- taking back -------------------------------------------------------------- */

static void
what_was_queued_is_given_back_whole(void **state)
{
	static const char request[] = "all of a request";
	struct place *p = *state;
	char bytes[64];
	struct inlet l;
	int client, back;

	assert_int_equal(make(p, &l), 0);
	client = inlet_connect(&l);
	assert_int_equal(write(client, request, sizeof(request)),
	    sizeof(request));
	inlet_shut(&l);
	back = inlet_take_back(&l);
	assert_true(back >= 0);
	assert_int_equal(fcntl(back, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(back, F_GETFL) & O_NONBLOCK);
	assert_int_equal(read(back, bytes, sizeof(bytes)), sizeof(request));
	assert_memory_equal(bytes, request, sizeof(request));
	assert_int_equal(read(back, bytes, sizeof(bytes)), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(inlet_take_back(&l), -1);
	close(back);
	close(client);
	inlet_close(&l);
}

/* Also when the worker is gone, or closed its copy: ours is open. */
static void
what_a_dead_worker_left_is_given_back(void **state)
{
	struct place *p = *state;
	struct inlet l;
	struct worker w;
	int client, back;

	assert_int_equal(make(p, &l), 0);
	worker_start(&w, &l, false);
	worker_waits(&w);
	kill(w.pid, SIGKILL);
	waitpid(w.pid, NULL, 0);
	client = inlet_connect(&l);
	assert_true(client >= 0);
	inlet_shut(&l);
	back = inlet_take_back(&l);
	assert_true(back >= 0);
	close(back);
	close(client);
	close(w.said);
	inlet_close(&l);
}

static void
what_was_accepted_is_not_given_back(void **state)
{
	struct place *p = *state;
	struct inlet l;
	struct worker w;
	int client;

	assert_int_equal(make(p, &l), 0);
	worker_start(&w, &l, false);
	client = inlet_connect(&l);
	assert_int_equal(worker_says(&w), 'a');
	inlet_shut(&l);
	assert_int_equal(inlet_take_back(&l), -1);
	assert_int_equal(worker_says(&w), EINVAL);
	worker_end(&w);
	close(client);
	inlet_close(&l);
}

/* Also when the worker says that its socket does not wait, or ends it. */
static void
taking_back_never_waits(void **state)
{
	struct place *p = *state;
	struct inlet l;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(make(p, &l), 0);
		if (i == 1)
			fd_nonblock(l.fd, true);
		if (i == 2)
			listen(l.fd, 100);
		inlet_shut(&l);
		if (i == 2)
			listen(l.fd, 100);
		alarm(DEADLINE_MS / 1000);
		assert_int_equal(inlet_take_back(&l), -1);
		alarm(0);
		inlet_close(&l);
		assert_int_equal(inlet_take_back(&l), -1);
	}
}

/* The worker accepts while we shut: each connection is either its own or ours,
 * never nobody's and never both's. */
static void
each_connection_belongs_to_one(void **state)
{
	struct place *p = *state;
	unsigned ours = 0, its = 0;

	for (int round = 0; round < 200; round++) {
		int client, back, said;
		struct inlet l;
		struct worker w;

		assert_int_equal(make(p, &l), 0);
		worker_start(&w, &l, true);
		if (round % 2)
			worker_waits(&w);
		client = inlet_connect(&l);
		assert_int_equal(write(client, "request", 7), 7);
		inlet_shut(&l);
		back = inlet_take_back(&l);
		said = worker_says(&w);
		assert_int_equal(said, back >= 0 ? EINVAL : 'a');
		if (said == 'a')
			assert_int_equal(worker_says(&w), EINVAL);
		ours += back >= 0;
		its += said == 'a';
		worker_end(&w);
		fd_close(&back);
		close(client);
		inlet_close(&l);
	}
	assert_int_equal(ours + its, 200);
}

/* ---- the start ---------------------------------------------------------------- */

static void
what_a_gateway_left_is_removed(void **state)
{
	struct place *p = *state;
	struct inlet left[3];
	char text[256] = "";

	for (int i = 0; i < 3; i++)
		assert_int_equal(make(p, &left[i]), 0);
	place_write(p, "file", "", 0600);
	assert_int_equal(names(p), 4);
	assert_int_equal(inlet_prepare(p->fd, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(names(p), 0);
	for (int i = 0; i < 3; i++)
		inlet_close(&left[i]);
}

static void
no_directory_is_said(void **state)
{
	char text[256] = "";

	(void)state;
	assert_int_equal(inlet_prepare(-1, text, sizeof(text)), -1);
	assert_string_equal(text,
	    "the directory of workers' sockets: Bad file descriptor");
}

static void
a_directory_without_sockets_is_said(void **state)
{
	struct place *p = *state;
	char text[256] = "", wanted[128];
	int fd;

	assert_int_equal(mkdirat(p->fd, "gone", 0700), 0);
	fd = openat(p->fd, "gone", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(unlinkat(p->fd, "gone", AT_REMOVEDIR), 0);
	assert_int_equal(inlet_prepare(fd, text, sizeof(text)), -1);
	snprintf(wanted, sizeof(wanted),
	    "cannot make or reach a socket at /proc/self/fd/%d: No such file",
	    fd);
	assert_non_null(strstr(text, wanted));
	close(fd);
}

#define IN_A_PLACE(test)                                    \
	{                                                   \
#test, test, place_make, place_remove, NULL \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_PLACE(a_socket_has_a_name_until_it_is_closed),
		IN_A_PLACE(a_name_is_never_used_again),
		IN_A_PLACE(a_socket_waits_and_is_not_inherited),
		IN_A_PLACE(a_socket_has_no_peer),
		IN_A_PLACE(a_directory_that_was_removed_is_an_error),
		IN_A_PLACE(a_long_run_directory_is_no_matter),
		IN_A_PLACE(a_connection_does_not_wait_and_is_not_inherited),
		IN_A_PLACE(a_full_queue_is_eagain_at_once),
		IN_A_PLACE(what_nobody_accepted_is_waiting),
		IN_A_PLACE(a_removed_name_is_enoent),
		IN_A_PLACE(an_accept_that_waits_ends_with_einval),
		IN_A_PLACE(an_accept_that_comes_later_ends_with_einval),
		IN_A_PLACE(a_connect_behind_the_shut_is_refused),
		IN_A_PLACE(a_worker_that_shuts_its_socket_refuses),
		IN_A_PLACE(what_was_queued_is_given_back_whole),
		IN_A_PLACE(what_a_dead_worker_left_is_given_back),
		IN_A_PLACE(what_was_accepted_is_not_given_back),
		IN_A_PLACE(taking_back_never_waits),
		IN_A_PLACE(each_connection_belongs_to_one),
		IN_A_PLACE(what_a_gateway_left_is_removed),
		cmocka_unit_test(no_directory_is_said),
		IN_A_PLACE(a_directory_without_sockets_is_said),
	};

	diag_init("gateway_inlet");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
