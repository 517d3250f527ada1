/* SPDX-License-Identifier: MIT */
/* If this fails, a message is lost, comes twice, or is believed from someone
 * who may not send it; or a slow process takes the others with it. */
#include "rows.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ipc/peer.h"

enum { WAIT_MS = 10000, MANY = 5000 };

static struct loop *loop;

/* One end and what came to it. */
struct end {
	struct peer *peer;
	unsigned messages;
	enum message_type type;
	uint64_t invocation; /* of the last ENDED or START */
	int taken;	     /* descriptor kept of the last message */
	bool takes;	     /* keeps the first one */
	unsigned pipes;	     /* of those it took */
	bool frees;	     /* in its message callback */
	unsigned gone;
	bool unread;
	char reason[200];
};

static struct end gateway, launcher;
static int raw; /* the launcher's end, when a test plays it by hand */

static unsigned
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

static void
came(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct end *e = arg;
	struct message_ended ended;
	struct message_start start;

	e->messages++;
	e->type = type;
	if (type == MESSAGE_ENDED && message_ended_decode(body, &ended) == 0) {
		/* in order, each once */
		if (e->messages > 1)
			assert_true(ended.invocation == e->invocation + 1);
		e->invocation = ended.invocation;
	}
	if (type == MESSAGE_START && message_start_decode(body, &start) == 0)
		e->invocation = start.invocation;
	if (e->takes && fd_count > 0) {
		struct stat s;

		assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(fstat(fds[0], &s), 0);
		e->pipes += S_ISFIFO(s.st_mode);
		fd_close(&e->taken);
		e->taken = fds[0];
		fds[0] = -1;
	}
	if (e->frees)
		peer_free(&e->peer);
}

static void
gone(void *arg, const char *reason, bool unread)
{
	struct end *e = arg;

	e->gone++;
	e->unread = unread;
	snprintf(e->reason, sizeof(e->reason), "%s", reason);
	if (e->frees)
		peer_free(&e->peer);
}

static void
pair(bool both)
{
	int ends[2];

	gateway = launcher = (struct end){ .taken = -1 };
	assert_int_equal(fd_channel(ends), 0);
	gateway.peer = peer_new(loop, ends[0], ROLE_GATEWAY, ROLE_LAUNCHER,
	    came, gone, &gateway);
	raw = both ? -1 : ends[1];
	if (both)
		launcher.peer = peer_new(loop, ends[1], ROLE_LAUNCHER,
		    ROLE_GATEWAY, came, gone, &launcher);
}

static void
unpair(void)
{
	peer_free(&gateway.peer);
	peer_free(&launcher.peer);
	fd_close(&raw);
	loop_once(loop, 0);
}

#define UNTIL(condition)                                          \
	for (uint64_t begun = loop_now_ms(loop); !(condition);) { \
		assert_true(loop_now_ms(loop) - begun < WAIT_MS); \
		loop_once(loop, 100);                             \
	}

static void
send_ended(struct peer *p, uint64_t invocation)
{
	struct message_ended m = { .invocation = invocation };

	assert_int_equal(peer_send(p, MESSAGE_ENDED, &m, NULL, 0), 0);
}

/* ---- what arrives ------------------------------------------------------------- */

static void
test_descriptors(void)
{
	struct message_start m = { .invocation = 7, .env = SPAN("A=b") };
	int fds[3] = { open("/dev/null", O_RDONLY), open("/dev/zero", O_RDONLY),
		open("/dev/full", O_RDONLY) };
	struct stat sent, taken;
	unsigned before;

	pair(true);
	before = open_fds();
	launcher.takes = true;
	assert_int_equal(peer_send(gateway.peer, MESSAGE_START, &m, fds, 3), 0);
	UNTIL(launcher.messages == 1);
	assert_int_equal(launcher.type, MESSAGE_START);
	assert_int_equal(launcher.invocation, 7);
	assert_int_equal(fstat(fds[0], &sent), 0);
	assert_int_equal(fstat(launcher.taken, &taken), 0);
	assert_true(sent.st_rdev == taken.st_rdev);
	fd_close(&launcher.taken);
	assert_int_equal(open_fds(), before);
	for (int i = 0; i < 3; i++)
		fd_close(&fds[i]);
}

static void
test_batch(void)
{
	pair(true);
	for (unsigned i = 0; i < 100; i++)
		send_ended(launcher.peer, i);
	loop_once(loop, WAIT_MS);
	assert_int_equal(gateway.messages, 32);
	UNTIL(gateway.messages == 100);
}

static void
test_back_pressure(void)
{
	pair(true);
	for (unsigned i = 0; i < MANY; i++)
		send_ended(launcher.peer, i);
	assert_true(peer_queued(launcher.peer) > 0);
	UNTIL(gateway.messages == MANY);
	assert_int_equal(peer_queued(launcher.peer), 0);
	/* and it no longer asks for room: nothing is left to wake us */
	loop_once(loop, 0);
	send_ended(launcher.peer, MANY);
	UNTIL(gateway.messages == MANY + 1);
}

static void
test_waiting_descriptors(void)
{
	static char big[60000];
	struct message_start m = { .env = span_make(big, sizeof(big)) };
	enum { SENT = 20 };

	pair(true);
	launcher.takes = true;
	for (m.invocation = 0; m.invocation < SENT; m.invocation++) {
		int ends[2], fds[2];

		/* a pipe of its own, closed here before it can arrive */
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		fds[0] = fds[1] = ends[1];
		assert_int_equal(peer_send(gateway.peer, MESSAGE_START, &m, fds,
				     2),
		    0);
		fd_close(&ends[0]);
		fd_close(&ends[1]);
	}
	assert_true(peer_queued(gateway.peer) > 0);
	UNTIL(launcher.messages == SENT);
	assert_int_equal(launcher.pipes, SENT);
	assert_int_equal(launcher.invocation, SENT - 1);
}

static void
test_queue_bound(void)
{
	static char big[150000];
	struct message_start m = { .env = span_make(big, sizeof(big)) };
	int fds[2] = { 1, 2 };
	unsigned sent = 0;
	int result;

	pair(true);
	do {
		m.invocation = sent;
		result = peer_send(gateway.peer, MESSAGE_START, &m, fds, 2);
		sent += result == 0;
	} while (result == 0);
	assert_int_equal(errno, ENOBUFS);
	assert_true(peer_queued(gateway.peer) <= PEER_QUEUE_BYTES);
	assert_true(peer_queued(gateway.peer) > PEER_QUEUE_BYTES / 2);
	UNTIL(launcher.messages == sent);
	assert_int_equal(gateway.gone + launcher.gone, 0);
}

static void
test_too_large(void)
{
	static char big[200000];
	struct message_start m = { .env = span_make(big, sizeof(big)) };
	int fds[2] = { 1, 2 };

	pair(true);
	assert_int_equal(peer_send(gateway.peer, MESSAGE_START, &m, fds, 2),
	    -1);
	assert_int_equal(errno, EMSGSIZE);
	m.env.bytes = 190000;
	assert_int_equal(peer_send(gateway.peer, MESSAGE_START, &m, fds, 2), 0);
	UNTIL(launcher.messages == 1);
}

/* ---- who breaks the rules --------------------------------------------------------- */

static void
put_raw(enum message_type type, size_t bytes, size_t fd_count)
{
	static char message[MESSAGE_MOST];
	int fds[FD_PASS_MOST] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	uint32_t number = type;

	memset(message, 0, sizeof(message));
	memcpy(message, &number, sizeof(number));
	assert_true(fd_send(raw, span_make(message, bytes), fds, fd_count) > 0);
}

static const struct breach {
	const char *sentence;
	uint32_t type;
	size_t bytes;
	size_t fd_count;
	const char *reason;
} breaches[] = {
	{ "a launcher that speaks as a cell is dropped", MESSAGE_RESOLVED, 64,
	    0, "sent RESOLVED, which only cell may send to gateway" },
	{ "a launcher that speaks to master is dropped", MESSAGE_READY, 4, 0,
	    "sent READY, which only child may send to master" },
	{ "a descriptor that the row does not have drops its sender",
	    MESSAGE_ENDED, 80, 1, "sent ENDED with 1 descriptors" },
	{ "eight descriptors drop their sender, too", MESSAGE_ENDED, 80, 8,
	    "sent ENDED with 8 descriptors" },
	{ "a message larger than its row drops its sender", MESSAGE_ENDED, 257,
	    0, "no message, or one larger than its row" },
	{ "the largest message of all in the wrong row, too", MESSAGE_ENDED,
	    MESSAGE_MOST, 0, "no message, or one larger than its row" },
	{ "a type without a row drops its sender", 4711, 8, 0,
	    "sent 8 bytes that are no message" },
	{ "type 0 is no type", 0, 8, 0, "sent 8 bytes that are no message" },
	{ "three bytes are no message", MESSAGE_ENDED, 3, 0,
	    "sent 3 bytes that are no message" },
};

static void
run_breach(void **state)
{
	const struct breach *row = *state;
	unsigned before;
	char byte;

	pair(false);
	before = open_fds();
	put_raw((enum message_type)row->type, row->bytes, row->fd_count);
	UNTIL(gateway.gone == 1);
	assert_int_equal(gateway.messages, 0);
	if (!strstr(gateway.reason, row->reason))
		fail_msg("the reason is: %s", gateway.reason);
	assert_int_equal(peer_fd(gateway.peer), -1);
	assert_int_equal(open_fds(), before - 1);
	assert_int_equal(recv(raw, &byte, 1, 0), 0); /* it was closed on it */
	assert_int_equal(peer_send(gateway.peer, MESSAGE_START,
			     &(struct message_start){ 0 }, (int[]){ 1, 2 }, 2),
	    -1);
	assert_int_equal(errno, EPIPE);
	unpair();
}

static void
test_more_descriptors_than_room(void)
{
	int fds[16] = { 0 };
	char control[CMSG_SPACE(sizeof(fds))] = "", bytes[80] = "";
	struct iovec part = { bytes, sizeof(bytes) };
	struct msghdr m = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	unsigned before;

	pair(false);
	before = open_fds();
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	assert_true(sendmsg(raw, &m, 0) > 0);
	UNTIL(gateway.gone == 1);
	assert_int_equal(gateway.messages, 0);
	assert_int_equal(open_fds(), before - 1);
}

/* ---- the other end goes ------------------------------------------------------------- */

static void
test_closed(void)
{
	pair(true);
	send_ended(launcher.peer, 1);
	peer_free(&launcher.peer);
	UNTIL(gateway.gone == 1);
	assert_int_equal(gateway.messages, 1);
	assert_false(gateway.unread);
	assert_string_equal(gateway.reason, "has closed its channel");
	loop_once(loop, 0);
	assert_int_equal(gateway.gone, 1);
}

static void
test_unread(void)
{
	struct message_start m = { 0 };

	pair(false);
	launcher.messages = 0;
	put_raw(MESSAGE_ENDED, 4 + 4 * 4 + 8 * 5, 0);
	assert_int_equal(peer_send(gateway.peer, MESSAGE_START, &m,
			     (int[]){ 1, 2 }, 2),
	    0);
	fd_close(&raw); /* without reading START */
	UNTIL(gateway.gone == 1);
	assert_int_equal(gateway.messages, 1); /* what it had said counts */
	assert_true(gateway.unread);
}

static void
test_unread_seen_by_sending(void)
{
	struct message_start m = { 0 };

	pair(false);
	assert_int_equal(peer_send(gateway.peer, MESSAGE_START, &m,
			     (int[]){ 1, 2 }, 2),
	    0);
	fd_close(&raw);
	assert_int_equal(peer_send(gateway.peer, MESSAGE_START, &m,
			     (int[]){ 1, 2 }, 2),
	    -1);
	assert_int_equal(gateway.gone, 0); /* not from inside peer_send */
	UNTIL(gateway.gone == 1);
	assert_true(gateway.unread);
}

static void
test_no_callbacks(void)
{
	unsigned before = open_fds();
	int ends[2];

	assert_int_equal(fd_channel(ends), 0);
	gateway.peer = peer_new(loop, ends[0], ROLE_GATEWAY, ROLE_LAUNCHER,
	    NULL, NULL, NULL);
	raw = ends[1];
	put_raw(MESSAGE_ENDED, 4 + 4 * 4 + 8 * 5, 0);
	fd_close(&raw);
	UNTIL(peer_fd(gateway.peer) < 0);
	assert_int_equal(open_fds(), before);
	assert_int_equal(peer_send(gateway.peer, MESSAGE_START,
			     &(struct message_start){ 0 }, (int[]){ 1, 2 }, 2),
	    -1);
}

static void
test_waiting_is_unread(void)
{
	pair(true);
	for (unsigned i = 0; i < MANY; i++)
		send_ended(launcher.peer, i);
	peer_free(&gateway.peer);
	UNTIL(launcher.gone == 1);
	assert_true(launcher.unread);
}

static void
test_free_in_message(void)
{
	pair(true);
	gateway.frees = true;
	for (unsigned i = 0; i < 10; i++)
		send_ended(launcher.peer, i);
	UNTIL(launcher.gone == 1);
	assert_int_equal(gateway.messages, 1);
	assert_int_equal(gateway.gone, 0);
	assert_true(launcher.unread);
}

static void
test_free_in_gone(void)
{
	pair(true);
	gateway.frees = true;
	peer_free(&launcher.peer);
	UNTIL(gateway.gone == 1);
	assert_null(gateway.peer);
	loop_once(loop, 0);
}

static void
test_free_both_in_one_batch(void)
{
	pair(true);
	send_ended(launcher.peer, 1);
	assert_int_equal(peer_send(gateway.peer, MESSAGE_START,
			     &(struct message_start){ 0 }, (int[]){ 1, 2 }, 2),
	    0);
	gateway.frees = launcher.frees = true;
	UNTIL(!gateway.peer && !launcher.peer);
}

/* ---- the last words -------------------------------------------------------------------- */

static void
test_finish(void)
{
	pair(true);
	for (unsigned i = 0; i < MANY; i++)
		send_ended(launcher.peer, i);
	assert_true(peer_queued(launcher.peer) > 0);
	peer_finish(&launcher.peer, WAIT_MS);
	assert_null(launcher.peer);
	UNTIL(gateway.gone == 1);
	assert_int_equal(gateway.messages, MANY);
	assert_int_equal(launcher.gone, 0);
}

static void
test_finish_limit(void)
{
	unsigned before;

	pair(false);
	before = open_fds();
	/* nobody reads at the other end */
	while (peer_queued(gateway.peer) == 0)
		assert_int_equal(peer_send(gateway.peer, MESSAGE_START,
				     &(struct message_start){ 0 },
				     (int[]){ 1, 2 }, 2),
		    0);
	peer_finish(&gateway.peer, 20);
	UNTIL(open_fds() < before);
	assert_int_equal(gateway.gone, 0);
}

static void
test_finish_gone(void)
{
	unsigned before;

	pair(true);
	before = open_fds();
	for (unsigned i = 0; i < MANY; i++)
		send_ended(launcher.peer, i);
	peer_finish(&launcher.peer, UINT32_MAX);
	peer_free(&gateway.peer);
	UNTIL(open_fds() == before - 2);
}

static void
test_flush(void)
{
	unsigned received = 0;
	enum message_type type;
	pid_t child;
	int status;

	pair(true);
	raw = fcntl(peer_fd(gateway.peer), F_DUPFD_CLOEXEC, 3);
	for (unsigned i = 0; i < MANY; i++)
		send_ended(launcher.peer, i);
	child = fork();
	if (child == 0) {
		while (received < MANY) {
			struct span body;
			int fds[FD_PASS_MOST];
			size_t fd_count;

			type = peer_receive_now(raw, ROLE_GATEWAY,
			    ROLE_LAUNCHER, &body, fds, &fd_count);
			if (type != MESSAGE_ENDED)
				break;
			received++;
		}
		_exit(received == MANY ? 0 : 1);
	}
	peer_flush(launcher.peer, WAIT_MS);
	assert_int_equal(peer_queued(launcher.peer), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* ---- without a loop ---------------------------------------------------------------------- */

static void
test_now(void)
{
	int ends[2], status;
	pid_t child;

	assert_int_equal(fd_channel(ends), 0);
	child = fork();
	if (child == 0) {
		fd_close(&ends[0]);
		for (unsigned i = 0; i < MANY; i++) {
			struct message_ended m = { .invocation = i };

			if (peer_send_now(ends[1], MESSAGE_ENDED, &m, NULL,
				0) != 0)
				_exit(1);
		}
		_exit(0);
	}
	fd_close(&ends[1]);
	for (unsigned i = 0; i < MANY; i++) {
		struct message_ended m;
		struct span body;
		int fds[FD_PASS_MOST];
		size_t fd_count;

		assert_int_equal(peer_receive_now(ends[0], ROLE_GATEWAY,
				     ROLE_LAUNCHER, &body, fds, &fd_count),
		    MESSAGE_ENDED);
		assert_int_equal(message_ended_decode(body, &m), 0);
		assert_int_equal(m.invocation, i);
		assert_int_equal(fd_count, 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	fd_close(&ends[0]);
}

static void
test_now_breach_and_end(void)
{
	struct span body;
	int ends[2], fds[FD_PASS_MOST];
	size_t fd_count;
	unsigned before;

	assert_int_equal(fd_channel(ends), 0);
	raw = ends[1];
	before = open_fds();
	put_raw(MESSAGE_ENDED, 80, 2);
	assert_int_equal(peer_receive_now(ends[0], ROLE_GATEWAY, ROLE_LAUNCHER,
			     &body, fds, &fd_count),
	    MESSAGE_NONE);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(fd_count, 0);
	assert_int_equal(open_fds(), before);

	fd_close(&raw);
	errno = EPROTO;
	assert_int_equal(peer_receive_now(ends[0], ROLE_GATEWAY, ROLE_LAUNCHER,
			     &body, fds, &fd_count),
	    MESSAGE_NONE);
	assert_int_equal(errno, 0);
	fd_close(&ends[0]);
}

static const struct story {
	const char *sentence;
	void (*test)(void);
} stories[] = {
	{ "descriptors arrive close-on-exec, and those nobody takes are closed",
	    test_descriptors },
	{ "a peer that talks without end is heard 32 messages at a time",
	    test_batch },
	{ "what finds no room waits and arrives in order", test_back_pressure },
	{ "what waits has descriptors of its own", test_waiting_descriptors },
	{ "the queue has a bound, and what is in it arrives",
	    test_queue_bound },
	{ "a message above its row is refused to the sender, the next one "
	  "is not",
	    test_too_large },
	{ "more descriptors than fit are closed with the peer",
	    test_more_descriptors_than_room },
	{ "the last messages of a peer come before the news that it is gone",
	    test_closed },
	{ "a peer that went without reading is told apart", test_unread },
	{ "even when sending notices it first", test_unread_seen_by_sending },
	{ "what still waited was not read either", test_waiting_is_unread },
	{ "who wants to hear nothing hears neither messages nor the end",
	    test_no_callbacks },
	{ "a peer may be freed in its message callback", test_free_in_message },
	{ "a peer may be freed in its gone callback", test_free_in_gone },
	{ "two peers may free themselves in one batch",
	    test_free_both_in_one_batch },
	{ "a finished peer still says what waited, then goes", test_finish },
	{ "a finished peer does not wait for ever", test_finish_limit },
	{ "a finished peer goes with the other end", test_finish_gone },
	{ "flushing sends all without the loop", test_flush },
	{ "without a loop, sending and receiving wait", test_now },
	{ "without a loop the rules are the same", test_now_breach_and_end },
};

static void
run_story(void **state)
{
	unsigned before = open_fds();

	((const struct story *)*state)->test();
	unpair();
	fd_close(&gateway.taken);
	fd_close(&launcher.taken);
	assert_int_equal(open_fds(), before);
}

int
main(void)
{
	int failed;

	loop = loop_new();
	gateway.taken = launcher.taken = raw = -1;
	failed = RUN_ROWS(breaches, run_breach);
	failed += RUN_ROWS(stories, run_story);
	loop_free(loop);
	return failed;
}
