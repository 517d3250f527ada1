/* SPDX-License-Identifier: MIT */
/* If this fails, descriptors leak, arrive where they should not, or a peer
 * that plays tricks can fill our table of them. */

#define _GNU_SOURCE 1
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"

static size_t
open_descriptors(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

struct pass_row {
	const char *sentence;
	size_t bytes;
	size_t fd_count;
	size_t room;
	size_t fd_room;
	ssize_t result;
};

static const struct pass_row passes[] = {
	{ "a message without descriptors arrives", 5, 0, 64, 8, 5 },
	{ "one descriptor arrives", 5, 1, 64, 8, 5 },
	{ "eight descriptors arrive", 5, FD_PASS_MOST, 64, FD_PASS_MOST, 5 },
	{ "a message that fills its room arrives", 64, 1, 64, 1, 64 },
	{ "64 KiB arrive in one piece", 65536, 3, 65536, 3, 65536 },
	{ "a message that is cut is refused, its descriptors closed", 65, 2, 64,
	    8, -1 },
	{ "more descriptors than expected are refused and closed", 5, 3, 64, 2,
	    -1 },
	{ "descriptors where none are expected are refused and closed", 5, 1,
	    64, 0, -1 },
};

static void
pass(void **state)
{
	static char sent[65536], received[65536];
	const struct pass_row *row = *state;
	int ends[2], fds[FD_PASS_MOST], got[FD_PASS_MOST];
	size_t before, got_count = row->fd_room;
	char mark[16];

	memset(sent, 'm', sizeof(sent));
	assert_int_equal(fd_channel(ends), 0);
	for (size_t i = 0; i < row->fd_count; i++) {
		fds[i] = memfd_create("passed", MFD_CLOEXEC);
		assert_int_equal(write(fds[i], &i, sizeof(i)), sizeof(i));
	}
	assert_int_equal(fd_send(ends[0], span_make(sent, row->bytes), fds,
			     row->fd_count),
	    row->bytes);
	before = open_descriptors();
	assert_int_equal(fd_receive(ends[1], received, row->room, got,
			     &got_count),
	    row->result);
	if (row->result < 0) {
		assert_int_equal(errno, EMSGSIZE);
		assert_int_equal(got_count, 0);
		assert_int_equal(open_descriptors(), before);
	} else {
		assert_int_equal(got_count, row->fd_count);
		assert_memory_equal(received, sent, row->bytes);
	}
	for (size_t i = 0; i < got_count; i++) {
		assert_int_equal(pread(got[i], mark, sizeof(i), 0), sizeof(i));
		assert_memory_equal(mark, &i, sizeof(i));
		assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
		fd_close(&got[i]);
	}
	for (size_t i = 0; i < row->fd_count; i++)
		fd_close(&fds[i]);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

static void
an_empty_channel_is_eagain_and_a_closed_one_the_end(void **state)
{
	int ends[2], got[2];
	size_t count = 2;
	char data[8];

	(void)state;
	assert_int_equal(fd_channel(ends), 0);
	assert_int_equal(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(fd_receive(ends[1], data, 8, got, &count), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(count, 0);
	fd_close(&ends[0]);
	assert_int_equal(ends[0], -1);
	count = 2;
	assert_int_equal(fd_receive(ends[1], data, 8, got, &count), 0);
	assert_int_equal(count, 0);
	fd_close(&ends[1]);
}

static void
sending_to_nobody_is_an_error_not_a_signal(void **state)
{
	static const int types[] = { SOCK_SEQPACKET, SOCK_STREAM };
	int ends[2];

	(void)state;
	signal(SIGPIPE, SIG_DFL);
	for (size_t i = 0; i < COUNT(types); i++) {
		assert_int_equal(socketpair(AF_UNIX, types[i], 0, ends), 0);
		fd_close(&ends[0]);
		assert_int_equal(fd_send(ends[1], SPAN("x"), NULL, 0), -1);
		assert_int_equal(errno, EPIPE);
		fd_close(&ends[1]);
	}
}

static void
a_full_channel_is_eagain(void **state)
{
	static char data[65536];
	int ends[2], sent = 0;

	(void)state;
	assert_int_equal(fd_channel(ends), 0);
	while (fd_send(ends[0], span_make(data, sizeof(data)), NULL, 0) > 0)
		assert_true(++sent < 1000);
	assert_int_equal(errno, EAGAIN);
	assert_true(sent > 0);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

/* An empty message reads like the end; what hangs on it must not stay. */
static void
descriptors_on_an_empty_message_are_closed(void **state)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = {
			  CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr message = { .msg_control = &control,
		.msg_controllen = sizeof(control) };
	int ends[2], got[4], one = memfd_create("x", MFD_CLOEXEC);
	size_t count = 4, before;
	char data[8];

	(void)state;
	memcpy(CMSG_DATA(&control.header), &one, sizeof(one));
	assert_int_equal(fd_channel(ends), 0);
	assert_int_equal(sendmsg(ends[0], &message, 0), 0);
	before = open_descriptors();
	assert_int_equal(fd_receive(ends[1], data, 8, got, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(open_descriptors(), before);
	fd_close(&one);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

static void
closing_keeps_errno_and_happens_once(void **state)
{
	int fd = dup(0), none = -1;

	(void)state;
	errno = ENOENT;
	fd_close(&fd);
	assert_int_equal(fd, -1);
	fd_close(&fd);
	fd_close(&none);
	assert_int_equal(errno, ENOENT);
}

static void
flags_go_on_and_off(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	for (int on = 1; on >= 0; on--) {
		assert_int_equal(fd_nonblock(ends[0], on), 0);
		assert_int_equal(!!(fcntl(ends[0], F_GETFL) & O_NONBLOCK), on);
		assert_int_equal(fd_cloexec(ends[0], on), 0);
		assert_int_equal(!!(fcntl(ends[0], F_GETFD) & FD_CLOEXEC), on);
	}
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	assert_int_equal(fd_nonblock(-1, true), -1);
	assert_int_equal(fd_cloexec(-1, true), -1);
}

static void
all_is_written_to_a_slow_reader(void **state)
{
	static char data[1 << 20];
	char taken[4096];
	size_t sum = 0;
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		fd_close(&ends[1]);
		while ((n = read(ends[0], taken, sizeof(taken))) > 0)
			sum += (size_t)n;
		_exit(sum == sizeof(data) ? 0 : 1);
	}
	fd_close(&ends[0]);
	assert_int_equal(fd_nonblock(ends[1], true), 0);
	assert_int_equal(fd_write_all(ends[1], span_make(data, sizeof(data))),
	    0);
	fd_close(&ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(fd_write_all(-1, SPAN("x")), -1);
	assert_int_equal(errno, EBADF);
}

/* 0: what it was before. 1: closed. */
static int
fill_after_closing(const int closed[3])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		for (int fd = 0; fd < 3; fd++)
			if (closed[fd])
				close(fd);
		if (fd_fill_standard() != 0)
			_exit(1);
		for (int fd = 0; fd < 3; fd++)
			if (fcntl(fd, F_GETFD) != 0)
				_exit(2);
		_exit(dup(0) > 2 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
standard_descriptors_are_filled(void **state)
{
	(void)state;
	assert_int_equal(fill_after_closing((int[]){ 0, 0, 0 }), 0);
	assert_int_equal(fill_after_closing((int[]){ 1, 0, 0 }), 0);
	assert_int_equal(fill_after_closing((int[]){ 0, 1, 0 }), 0);
	assert_int_equal(fill_after_closing((int[]){ 1, 0, 1 }), 0);
	assert_int_equal(fill_after_closing((int[]){ 1, 1, 1 }), 0);
}

/* Sockets live in a directory of this test's own. */
static char directory[] = "/tmp/base_fd.XXXXXX";

static int
make_directory(void **state)
{
	strcpy(directory, "/tmp/base_fd.XXXXXX");
	*state = directory;
	return mkdtemp(directory) ? 0 : -1;
}

static int
remove_directory(void **state)
{
	(void)state;
	/* fails when a temporary name was left behind */
	return rmdir(directory);
}

static void
listening_replaces_the_path_in_one_step(void **state)
{
	char path[64];
	struct stat first, second;
	int old, new, client, accepted;

	(void)state;
	snprintf(path, sizeof(path), "%s/s", directory);
	assert_int_equal(fd_connect_unix(path, SOCK_STREAM), -1);
	assert_int_equal(errno, ENOENT);
	umask(077);
	old = fd_listen_unix(path, SOCK_STREAM, 0666, (gid_t)-1);
	umask(022);
	assert_true(old >= 0);
	assert_int_equal(stat(path, &first), 0);
	assert_true(S_ISSOCK(first.st_mode));
	assert_int_equal(first.st_mode & 07777, 0666);
	new = fd_listen_unix(path, SOCK_STREAM, 0600, getegid());
	assert_true(new >= 0);
	assert_int_equal(stat(path, &second), 0);
	assert_int_equal(second.st_mode & 07777, 0600);
	assert_true(first.st_ino != second.st_ino);

	client = fd_connect_unix(path, SOCK_STREAM);
	assert_true(client >= 0);
	assert_int_equal(accept(old, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	accepted = accept(new, NULL, NULL);
	assert_true(accepted >= 0);
	fd_close(&accepted);
	fd_close(&client);
	fd_close(&new);
	assert_int_equal(fd_connect_unix(path, SOCK_STREAM), -1);
	assert_int_equal(errno, ECONNREFUSED);
	fd_close(&old);
	assert_int_equal(unlink(path), 0);
}

static void
sequenced_packets_work_too(void **state)
{
	char path[64];
	int listener, client;

	(void)state;
	snprintf(path, sizeof(path), "%s/s", directory);
	listener = fd_listen_unix(path, SOCK_SEQPACKET, 0600, (gid_t)-1);
	assert_true(listener >= 0);
	client = fd_connect_unix(path, SOCK_SEQPACKET);
	assert_true(client >= 0);
	assert_int_equal(fcntl(client, F_GETFD), FD_CLOEXEC);
	fd_close(&client);
	fd_close(&listener);
	assert_int_equal(unlink(path), 0);
}

static void
a_path_of_107_bytes_works_and_108_are_too_long(void **state)
{
	char path[128], deep[120];
	int listener, client;
	size_t bytes;

	(void)state;
	snprintf(deep, sizeof(deep), "%s/", directory);
	bytes = strlen(deep);
	memset(deep + bytes, 'd', 105 - bytes);
	deep[105] = '\0';
	assert_int_equal(mkdir(deep, 0700), 0);
	snprintf(path, sizeof(path), "%s/s", deep);
	assert_int_equal(strlen(path), 107);
	listener = fd_listen_unix(path, SOCK_STREAM, 0600, (gid_t)-1);
	assert_true(listener >= 0);
	client = fd_connect_unix(path, SOCK_STREAM);
	assert_true(client >= 0);
	fd_close(&client);
	fd_close(&listener);
	assert_int_equal(unlink(path), 0);

	strcat(path, "s");
	assert_int_equal(fd_listen_unix(path, SOCK_STREAM, 0600, (gid_t)-1),
	    -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(fd_connect_unix(path, SOCK_STREAM), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(rmdir(deep), 0);
}

static void
a_listener_that_fails_leaves_nothing_behind(void **state)
{
	size_t before = open_descriptors();
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/taken", directory);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(fd_listen_unix(path, SOCK_STREAM, 0600, (gid_t)-1),
	    -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/missing/s", directory);
	assert_int_equal(fd_listen_unix(path, SOCK_STREAM, 0600, (gid_t)-1),
	    -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(fd_listen_unix("", SOCK_STREAM, 0600, (gid_t)-1), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(open_descriptors(), before);
}

static void
a_relative_path_is_bound_where_we_are(void **state)
{
	int here = open(".", O_PATH | O_CLOEXEC), listener;

	(void)state;
	assert_int_equal(chdir(directory), 0);
	listener = fd_listen_unix("s", SOCK_STREAM, 0600, (gid_t)-1);
	assert_true(listener >= 0);
	assert_int_equal(unlink("s"), 0);
	fd_close(&listener);
	assert_int_equal(fchdir(here), 0);
	fd_close(&here);
}

static void
the_peer_is_who_made_the_pair(void **state)
{
	struct fd_peer peer;
	int ends[2];

	(void)state;
	assert_int_equal(fd_channel(ends), 0);
	assert_int_equal(fd_peer_of(ends[0], &peer), 0);
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(peer.uid, geteuid());
	assert_int_equal(peer.gid, getegid());
	assert_int_equal(fd_peer_of(-1, &peer), -1);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

#define IN_DIRECTORY(sentence, function)                     \
	{                                                    \
		.name = (sentence), .test_func = (function), \
		.setup_func = make_directory,                \
		.teardown_func = remove_directory            \
	}

static const struct CMUnitTest others[] = {
	{ .name = "an empty channel is EAGAIN, a closed one is the end",
	    .test_func = an_empty_channel_is_eagain_and_a_closed_one_the_end },
	{ .name = "sending to nobody is an error, not a signal",
	    .test_func = sending_to_nobody_is_an_error_not_a_signal },
	{ .name = "a full channel is EAGAIN",
	    .test_func = a_full_channel_is_eagain },
	{ .name = "descriptors on an empty message are closed",
	    .test_func = descriptors_on_an_empty_message_are_closed },
	{ .name = "closing keeps errno and happens once",
	    .test_func = closing_keeps_errno_and_happens_once },
	{ .name = "flags go on and off", .test_func = flags_go_on_and_off },
	{ .name = "all is written to a slow reader",
	    .test_func = all_is_written_to_a_slow_reader },
	{ .name = "descriptors 0, 1 and 2 are filled, whichever were closed",
	    .test_func = standard_descriptors_are_filled },
	IN_DIRECTORY("listening replaces the path in one step",
	    listening_replaces_the_path_in_one_step),
	IN_DIRECTORY("sequenced packets work too", sequenced_packets_work_too),
	IN_DIRECTORY("a path of 107 bytes works, 108 are too long",
	    a_path_of_107_bytes_works_and_108_are_too_long),
	IN_DIRECTORY("a listener that fails leaves nothing behind",
	    a_listener_that_fails_leaves_nothing_behind),
	IN_DIRECTORY("a relative path is bound where we are",
	    a_relative_path_is_bound_where_we_are),
	{ .name = "the peer is who made the pair",
	    .test_func = the_peer_is_who_made_the_pair },
};

int
main(void)
{
	return RUN_ROWS(passes, pass) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
