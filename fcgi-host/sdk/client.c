/* SPDX-License-Identifier: MIT */
/* client.c - the one connection of the process, a request and its reply on it,
 * and whether to try once more.
 *
 * Unix sockets tell what TCP does not: a host that went away with our bytes
 * unread resets the connection, one that had read them all just ends it. The web
 * server hands on nothing before it has a request whole, so the first was not
 * carried out, whatever it was; the second may have been. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#include "sdk/client.h"
#include "sdk/http.h"
#include "sdk/variables.h"

enum {
	HEAD_MOST = 32 * 1024,	 /* target, token, type */
	READ_BYTES = 64 * 1024,	 /* at once */
	LEFT_FOR_WORDS_MS = 100, /* of the deadline, to say that it came */
	NO_DEADLINE_MS = 10 * 1000,
	NOT_BEFORE_MOST_S = 3600, /* more of Retry-After is as good as never */
};

/* Pauses after each try: a state process that died is back within a second. */
static const unsigned pause_ms[CLIENT_TRIES_MOST] = { 10, 50, 200, 800, 0 };

enum outcome {
	OUTCOME_REPLY,
	OUTCOME_UNREAD, /* not carried out; another try may do */
	OUTCOME_LOST,	/* the connection ended behind a whole request */
	OUTCOME_TIME,
	OUTCOME_BROKEN, /* not what a host says; trying again is no use */
	OUTCOME_TOO_LARGE,
};

struct trial {
	const struct call *call;
	const struct variables *variables;
	struct reply *reply;
	uint64_t until_ms;    /* of clock_ms() */
	char idempotency[33]; /* hexadecimal */
	struct buf head;
	struct span unsent[2]; /* rest of head and body */
	bool deaf;	       /* the host takes no more of it */
	bool maybe;	       /* this, or an earlier one, may be carried out */
	char reason[128];      /* why the last exchange failed */
};

static struct connection {
	int fd;	   /* ours, -1: none */
	pid_t pid; /* that opened it: a fork must not speak on it too */
	struct sockaddr_un address;
} kept = { .fd = -1 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t until(const struct call *, const struct variables *);
static int turn_take(uint64_t until_ms);
static enum fn_result trial_prepare(struct trial *);
static enum fn_result trial_run(struct trial *);
static bool trial_again(struct trial *, enum outcome, unsigned tries);
static uint64_t trial_pause(const struct trial *, enum outcome, unsigned tries);
static bool reply_undecided(const struct reply *);
static enum fn_result trial_result(struct trial *, enum outcome);
static enum outcome exchange(struct trial *);
static enum outcome exchange_connect(struct trial *);
static short exchange_wait(const struct trial *);
static enum outcome exchange_late(struct trial *);
static enum outcome exchange_write(struct trial *);
static size_t unsent(const struct trial *);
static enum outcome exchange_read(struct trial *, struct http_reader *,
    bool *over);
static enum outcome exchange_ended(struct trial *, struct http_reader *,
    int error);
static enum outcome event_take(struct trial *, const struct http_reader *,
    enum http_event, struct span content);
static void head_take(struct reply *, const struct http_reader *);
static bool connection_usable(const struct sockaddr_un *);
static void connection_close(void);

enum fn_result
client_call(const struct call *call, struct reply *reply)
{
	struct variables variables;
	struct trial t = {
		.call = call, .variables = &variables, .reply = reply
	};
	enum fn_result result = variables_get(&variables);

	*reply = (struct reply){ 0 };
	buf_init(&reply->body, CLIENT_BODY_MOST);
	if (result != FN_OK)
		return result;
	if (call->target_bad)
		return problem(FN_BAD, "key and query do not fit into %d bytes",
		    CLIENT_TARGET_MOST);
	t.until_ms = until(call, &variables);
	buf_init(&t.head, HEAD_MOST);
	result = trial_prepare(&t);
	if (result == FN_OK && turn_take(t.until_ms) != 0)
		result = problem(FN_TIMEOUT, "no time left to ask state");
	else if (result == FN_OK) {
		result = trial_run(&t);
		pthread_mutex_unlock(&lock);
	}
	buf_free(&t.head);
	if (result != FN_OK)
		reply_free(reply);
	return result;
}

uint64_t
client_wait_ms(unsigned wait_s)
{
	struct variables variables;
	struct call call = { .wait_s = wait_s };
	uint64_t wait_ms = 1000 * (uint64_t)wait_s, now = clock_ms(), left;

	if (variables_get(&variables) != FN_OK)
		return wait_ms; /* the call will say so */
	left = until(&call, &variables) - now;
	left = left > LEFT_FOR_WORDS_MS ? left - LEFT_FOR_WORDS_MS : 0;
	return wait_ms < left ? wait_ms : left;
}

void
reply_free(struct reply *r)
{
	buf_free(&r->body);
}

static uint64_t
until(const struct call *call, const struct variables *v)
{
	uint64_t now = clock_ms(), unix_now = clock_unix_ms();
	uint64_t last = unix_now + LEFT_FOR_WORDS_MS;

	if (v->deadline_ms == 0)
		return now + NO_DEADLINE_MS + 1000 * (uint64_t)call->wait_s;
	return v->deadline_ms > last ? now + (v->deadline_ms - last) : now;
}

/* Threads wait for each other, but not beyond their time. */
static int
turn_take(uint64_t until_ms)
{
	uint64_t now = clock_ms();
	uint64_t unix_ms =
	    clock_unix_ms() + (until_ms > now ? until_ms - now : 0);
	struct timespec at = { (time_t)(unix_ms / 1000),
		(long)(unix_ms % 1000) * 1000000 };

	if (until_ms <= now)
		return -1;
	return pthread_mutex_timedlock(&lock, &at) == 0 ? 0 : -1;
}

/* ---- tries ------------------------------------------------------------------ */

static enum fn_result
trial_prepare(struct trial *t)
{
	const struct call *c = t->call;
	const struct variables *v = t->variables;
	unsigned char random[16];
	struct buf *h = &t->head;
	int bad;

	bad = buf_printf(h,
	    "%s %s%.*s HTTP/1.1\r\nHost: %.*s\r\n"
	    "Authorization: Bearer %s\r\n",
	    c->method, v->path, SPAN_ARGS(buf_span(&c->target)), v->host_bytes,
	    v->host, v->token);
	if (c->if_match > 0)
		bad |= buf_printf(h, "If-Match: \"%llu\"\r\n",
		    (unsigned long long)c->if_match);
	if (c->if_none_match)
		bad |= buf_put_string(h, "If-None-Match: *\r\n");
	if (c->again == AGAIN_KEYED) {
		if (getrandom(random, sizeof(random), 0) != sizeof(random))
			return problem(FN_FAILED, "no random bytes");
		for (int i = 0; i < 16; i++)
			snprintf(t->idempotency + 2 * i, 3, "%02x", random[i]);
		bad |= buf_printf(h, "Idempotency-Key: \"%s\"\r\n",
		    t->idempotency);
	}
	if (c->type)
		bad |= buf_printf(h,
		    "Content-Type: %s\r\n"
		    "Content-Length: %zu\r\n",
		    c->type, c->body.bytes);
	bad |= buf_put_string(h, "\r\n");
	if (bad)
		return problem(FN_BAD, "the request does not fit into memory");
	return FN_OK;
}

static enum fn_result
trial_run(struct trial *t)
{
	enum outcome outcome;
	unsigned tries = 0;

	for (;;) {
		buf_clear(&t->reply->body);
		outcome = exchange(t);
		if (outcome != OUTCOME_REPLY)
			connection_close();
		tries++;
		t->reply->repeated = t->maybe;
		if (outcome == OUTCOME_LOST ||
		    (outcome == OUTCOME_REPLY && reply_undecided(t->reply)))
			t->maybe = true;
		if (!trial_again(t, outcome, tries))
			return trial_result(t, outcome);
		poll(NULL, 0, (int)trial_pause(t, outcome, tries));
	}
}

/* Is there a reason to try again, may we, and is there time? */
static bool
trial_again(struct trial *t, enum outcome outcome, unsigned tries)
{
	struct reply *r = t->reply;
	bool refused = outcome == OUTCOME_UNREAD;
	bool undecided = outcome == OUTCOME_LOST;

	if (outcome == OUTCOME_REPLY) {
		undecided = reply_undecided(r) && r->status != 500;
		refused = !undecided && (r->status == 429 || r->status == 503);
	}
	if (tries == CLIENT_TRIES_MOST ||
	    !(refused || (undecided && t->call->again != AGAIN_NEVER)))
		return false;
	return clock_ms() + trial_pause(t, outcome, tries) < t->until_ms;
}

static uint64_t
trial_pause(const struct trial *t, enum outcome outcome, unsigned tries)
{
	uint64_t ms = pause_ms[tries - 1];

	if (outcome == OUTCOME_REPLY && t->reply->retry_after_s > 0)
		return 1000 * (uint64_t)t->reply->retry_after_s;
	return ms;
}

/* Of a write, this does not say whether it was carried out: the web server lost
 * the host behind it, or the host says that it does not know, or is still at an
 * earlier try of ours. */
static bool
reply_undecided(const struct reply *r)
{
	return r->status == 500 || r->status == 502 || r->status == 504 ||
	    (r->status == 503 && r->outcome_unknown) ||
	    (r->status == 409 &&
		span_equal(r->problem, SPAN("idempotency-in-flight")));
}

static enum fn_result
trial_result(struct trial *t, enum outcome outcome)
{
	struct reply *r = t->reply;

	if (t->call->again == AGAIN_ALWAYS)
		t->maybe = r->repeated = false;
	if (outcome == OUTCOME_REPLY && reply_undecided(r) && t->maybe)
		return problem_reply(FN_UNKNOWN, r);
	if (outcome == OUTCOME_REPLY)
		return FN_OK;
	if (t->maybe)
		return problem(FN_UNKNOWN,
		    "%s; the write may have been carried "
		    "out",
		    t->reason);
	return problem(outcome == OUTCOME_TIME ? FN_TIMEOUT :
		outcome == OUTCOME_TOO_LARGE   ? FN_TOO_LARGE :
						 FN_FAILED,
	    "%s", t->reason);
}

/* ---- one exchange ------------------------------------------------------------ */

static enum outcome
exchange(struct trial *t)
{
	static struct http_reader reader; /* below the lock */
	enum outcome outcome = exchange_connect(t);
	bool over = false;
	short ready;

	if (outcome != OUTCOME_REPLY)
		return outcome;
	http_reader_init(&reader);
	t->unsent[0] = buf_span(&t->head);
	t->unsent[1] = t->call->type ? t->call->body : SPAN_NONE;
	t->deaf = false;
	outcome = exchange_write(t);
	while (outcome == OUTCOME_REPLY && !over) {
		ready = exchange_wait(t);
		if (ready == 0)
			return exchange_late(t);
		if (ready & POLLOUT)
			outcome = exchange_write(t);
		if (outcome == OUTCOME_REPLY && ready & ~POLLOUT)
			outcome = exchange_read(t, &reader, &over);
	}
	/* When an answer came before the body was read, the rest of the body
	 * would be taken for the next request. */
	if (!reader.keep || unsent(t) > 0)
		connection_close();
	return outcome;
}

/* What the connection is ready for, 0 when time is over. */
static short
exchange_wait(const struct trial *t)
{
	struct pollfd ready = { .fd = kept.fd };
	uint64_t now;

	ready.events =
	    (short)(POLLIN | (unsent(t) > 0 && !t->deaf ? POLLOUT : 0));
	while ((now = clock_ms()) < t->until_ms)
		if (poll(&ready, 1, (int)(t->until_ms - now)) > 0)
			return ready.revents;
	return 0;
}

static enum outcome
exchange_late(struct trial *t)
{
	snprintf(t->reason, sizeof(t->reason), "state did not answer in time");
	if (unsent(t) == 0)
		t->maybe = true;
	return OUTCOME_TIME;
}

static enum outcome
exchange_connect(struct trial *t)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t bytes = strlen(t->variables->socket);

	if (bytes >= sizeof(address.sun_path)) {
		snprintf(t->reason, sizeof(t->reason),
		    "FN_SOCKET is no path of a socket: above %zu bytes",
		    sizeof(address.sun_path) - 1);
		return OUTCOME_BROKEN;
	}
	memcpy(address.sun_path, t->variables->socket, bytes + 1);
	if (connection_usable(&address))
		return OUTCOME_REPLY;
	connection_close();
	kept.fd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (kept.fd >= 0 &&
	    connect(kept.fd, (const struct sockaddr *)&address,
		sizeof(address)) == 0) {
		kept.address = address;
		kept.pid = getpid();
		return OUTCOME_REPLY;
	}
	snprintf(t->reason, sizeof(t->reason), "cannot connect to state: %s",
	    strerror(errno));
	return OUTCOME_UNREAD;
}

/* Writes what the host takes now. When it takes nothing any more, it may have said
 * why: reading finds that, or the end. */
static enum outcome
exchange_write(struct trial *t)
{
	struct iovec parts[2];
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n;

	for (int i = 0; i < 2; i++)
		parts[i] = (struct iovec){ (void *)(uintptr_t)t->unsent[i].data,
			t->unsent[i].bytes };
	n = sendmsg(kept.fd, &message, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != EPIPE &&
	    errno != ECONNRESET) {
		snprintf(t->reason, sizeof(t->reason), "cannot write: %s",
		    strerror(errno));
		return OUTCOME_BROKEN;
	}
	t->deaf = n < 0 && errno != EAGAIN && errno != EINTR;
	for (int i = 0; i < 2 && n > 0; i++) {
		struct span taken = span_take(t->unsent[i], (size_t)n);

		t->unsent[i] = span_skip(t->unsent[i], taken.bytes);
		n -= (ssize_t)taken.bytes;
	}
	return OUTCOME_REPLY;
}

static size_t
unsent(const struct trial *t)
{
	return t->unsent[0].bytes + t->unsent[1].bytes;
}

static enum outcome
exchange_read(struct trial *t, struct http_reader *reader, bool *over)
{
	static char bytes[READ_BYTES];
	ssize_t n = recv(kept.fd, bytes, sizeof(bytes), 0);
	struct span in = span_make(bytes, n > 0 ? (size_t)n : 0), content;
	enum outcome outcome = OUTCOME_REPLY;
	enum http_event event;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return OUTCOME_REPLY;
	if (n <= 0) {
		*over = true;
		return exchange_ended(t, reader, n < 0 ? errno : 0);
	}
	while (outcome == OUTCOME_REPLY && !*over &&
	    (event = http_read(reader, &in, &content)) != HTTP_NEED_MORE) {
		outcome = event_take(t, reader, event, content);
		*over = event == HTTP_END;
	}
	if (*over && in.bytes > 0)
		reader->keep = false; /* more than we asked for */
	return outcome;
}

/* The end, before or in a reply, or at one that ends so. */
static enum outcome
exchange_ended(struct trial *t, struct http_reader *reader, int error)
{
	bool nothing = reader->step == HTTP_IN_HEAD && reader->head_bytes == 0;

	if (http_read_end(reader) == 0)
		return OUTCOME_REPLY;
	snprintf(t->reason, sizeof(t->reason), "state closed the connection %s",
	    nothing ? "without an answer" : "in the middle of its answer");
	if (unsent(t) > 0 || (nothing && error == ECONNRESET))
		return OUTCOME_UNREAD;
	return OUTCOME_LOST;
}

static enum outcome
event_take(struct trial *t, const struct http_reader *reader,
    enum http_event event, struct span content)
{
	struct reply *r = t->reply;

	if (event == HTTP_HEAD)
		head_take(r, reader);
	if (event == HTTP_CONTENT && buf_put(&r->body, content) != 0) {
		snprintf(t->reason, sizeof(t->reason),
		    "a reply of state is above %d bytes", CLIENT_BODY_MOST);
		return OUTCOME_TOO_LARGE;
	}
	if (event == HTTP_END && r->status >= 400)
		problem_read(r);
	if (event != HTTP_BAD)
		return OUTCOME_REPLY;
	snprintf(t->reason, sizeof(t->reason), "state does not speak HTTP/1.1");
	t->maybe = true;
	return OUTCOME_BROKEN;
}

static void
head_take(struct reply *r, const struct http_reader *reader)
{
	struct span etag = http_field(reader, SPAN("etag"));
	struct span type = http_field(reader, SPAN("content-type"));
	uint64_t expires = 0, pause = 0;

	r->status = reader->status;
	r->version = 0;
	if (etag.bytes > 2 && span_starts(etag, SPAN("\"")) &&
	    span_ends(etag, SPAN("\"")))
		span_number(span_make(etag.data + 1, etag.bytes - 2), INT64_MAX,
		    &r->version);
	span_number(http_field(reader, SPAN("fn-expires")), INT64_MAX,
	    &expires);
	r->expires_s = (int64_t)expires;
	span_number(http_field(reader, SPAN("retry-after")), NOT_BEFORE_MOST_S,
	    &pause);
	r->retry_after_s = (uint32_t)pause;
	if (type.bytes >= sizeof(r->type))
		type = SPAN_NONE;
	memset(r->type, 0, sizeof(r->type));
	if (type.bytes > 0)
		memcpy(r->type, type.data, type.bytes);
	r->problem = r->title = r->detail = r->failed_key = SPAN_NONE;
	r->outcome_unknown = false;
}

/* ---- the connection ----------------------------------------------------------- */

/* The web server closes a kept connection when it likes. One that has anything to
 * read between two requests, or its end, is not used again. */
static bool
connection_usable(const struct sockaddr_un *address)
{
	char byte;

	return kept.fd >= 0 && kept.pid == getpid() &&
	    strcmp(kept.address.sun_path, address->sun_path) == 0 &&
	    recv(kept.fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

static void
connection_close(void)
{
	if (kept.fd >= 0)
		close(kept.fd);
	kept.fd = -1;
}
