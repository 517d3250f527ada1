/* SPDX-License-Identifier: MIT */
/* tail.c - who asked for logs, and what is read for them.
 *
 *	FINDING ◀──▶ READING ◀──▶ WAITING
 *	   └────────────┴────────────┴──▶ ENDING ──▶ GONE
 *
 * FINDING looks backwards for the place to begin, READING sends from there on,
 * WAITING is at the end and gets more. FINDING begins anew in the tenant's log
 * when access.log has told whose a request was; without a file there is nothing
 * to find.
 * Both do one chunk a turn of the loop, so that no pipe waits for a long file.
 * A listener's place is an open file and an offset: rotation changes neither,
 * and where it stands among the rotated ones is seen from its identity. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "log/tail.h"

enum { SEND_BYTES = 32 * 1024 }; /* in one CONTROL_OUT */

static const char *tail_refusal(const struct tails *, uid_t);
static void tail_check(const struct tail *);
static void tail_step(void *arg);
static void tail_read(struct tail *);
static void tail_filter(struct tail *, struct span bytes);
static bool tail_go_on(struct tail *);
static bool tail_send(struct tail *);
static void tail_send_end(struct tail *);
static void tail_gone(struct tail *);
static void tail_free(void *arg);
static void tail_event(void *arg, unsigned events);
static void tail_limit(void *arg);

struct tails *
tails_new(struct loop *loop, struct files *files)
{
	struct tails *ts = diag_alloc(sizeof(*ts));

	ts->loop = loop;
	ts->files = files;
	ts->chunk = diag_alloc(TAIL_CHUNK);
	list_init(&ts->list);
	return ts;
}

void
tails_free(struct tails **taken)
{
	struct tails *ts = *taken;

	if (!ts)
		return;
	*taken = NULL;
	LIST_EACH(node, &ts->list) {
		struct tail *t = LIST_OWNER(node, struct tail, node);

		tail_end(t, "the log process ends");
		tail_send_end(t);
		if (t->state != TAIL_GONE)
			tail_gone(t);
	}
	for (size_t i = 0; i < TAIL_RECENT; i++)
		free(ts->recent[i]);
	free(ts->chunk);
	free(ts);
}

void
tails_add(struct tails *ts, const struct message_tail *m, int *fd)
{
	struct tail *t = diag_alloc(sizeof(*t));
	struct fd_peer peer = { .uid = (uid_t)-1 };
	const char *refusal;

	t->all = ts;
	t->fd = *fd;
	*fd = -1;
	t->state = TAIL_FINDING;
	t->find.fd = t->start.fd = -1;
	buf_init(&t->out, FILES_LINE_MOST + TAIL_CHUNK);
	watch_init(&t->watch, tail_event, t);
	timer_init(&t->step, tail_step, t);
	timer_init(&t->limit, tail_limit, t);
	if (fd_peer_of(t->fd, &peer) == 0)
		t->uid = peer.uid;
	refusal = tail_refusal(ts, t->uid);
	list_add_last(&ts->list, &t->node);
	if (fd_nonblock(t->fd, true) != 0 ||
	    loop_watch(ts->loop, &t->watch, t->fd, 0) != 0) {
		tail_gone(t);
		return;
	}
	if (m->tenant.bytes >= LINE_NAME_MOST || m->call.bytes >= ID_MOST)
		refusal = "that is no tenant, or no request id";
	if (refusal) {
		tail_end(t, refusal);
		return;
	}
	t->tenant_bytes = m->tenant.bytes;
	memcpy(t->tenant, m->tenant.data, m->tenant.bytes);
	memcpy(t->call, m->call.data, m->call.bytes);
	t->follow = m->follow != 0;
	t->known_by_ms = loop_now_ms(ts->loop) + TAIL_WAIT_MS;
	t->left = (uint64_t)m->lines + 1;
	tail_begin(t);
}

void
tails_written(struct tails *ts, struct span name)
{
	LIST_EACH(node, &ts->list) {
		struct tail *t = LIST_OWNER(node, struct tail, node);

		if (t->state == TAIL_WAITING && span_equal(tail_name(t), name))
			tail_soon(t);
	}
}

void
tails_result(struct tails *ts, struct span request, struct span tenant,
    struct span line, bool in_file)
{
	struct recent **slot = &ts->recent[ts->recent_next];

	if (in_file || request.bytes == 0 || request.bytes >= ID_MOST ||
	    tenant.bytes >= LINE_NAME_MOST || line.bytes >= TAIL_RECENT_LINE)
		return;
	ts->recent_next = (ts->recent_next + 1) % TAIL_RECENT;
	if (!*slot)
		*slot = diag_alloc(sizeof(**slot));
	snprintf((*slot)->call, ID_MOST, "%.*s", SPAN_ARGS(request));
	snprintf((*slot)->tenant, LINE_NAME_MOST, "%.*s", SPAN_ARGS(tenant));
	snprintf((*slot)->line, TAIL_RECENT_LINE, "%.*s", SPAN_ARGS(line));
	LIST_EACH(node, &ts->list) {
		struct tail *t = LIST_OWNER(node, struct tail, node);

		if (t->state == TAIL_WAITING &&
		    span_equal(span_of(t->call), request))
			tail_soon(t);
	}
}

/* A sentence, or NULL. One user cannot keep the others from listening, nor all
 * users root. */
static const char *
tail_refusal(const struct tails *ts, uid_t uid)
{
	size_t all = 0, others = 0, own = 0;

	LIST_EACH(node, &ts->list) {
		const struct tail *t = LIST_OWNER(node, struct tail, node);

		all++;
		others += t->uid != 0;
		own += t->uid == uid;
	}
	if (all >= TAIL_MOST ||
	    (uid != 0 && (others >= TAIL_OTHERS_MOST || own >= TAIL_USER_MOST)))
		return "too many are reading logs already; end one of them";
	return NULL;
}

void
tail_move(struct tail *t, enum tail_state to)
{
	static const bool may[TAIL_GONE + 1][TAIL_GONE + 1] = {
		[TAIL_FINDING] = { [TAIL_FINDING] = true,
		    [TAIL_READING] = true,
		    [TAIL_WAITING] = true,
		    [TAIL_ENDING] = true,
		    [TAIL_GONE] = true },
		[TAIL_READING] = { [TAIL_FINDING] = true,
		    [TAIL_WAITING] = true,
		    [TAIL_ENDING] = true,
		    [TAIL_GONE] = true },
		[TAIL_WAITING] = { [TAIL_READING] = true,
		    [TAIL_ENDING] = true,
		    [TAIL_GONE] = true },
		[TAIL_ENDING] = { [TAIL_GONE] = true },
	};

	assert(may[t->state][to]);
	t->state = to;
	tail_check(t);
}

static void
tail_check(const struct tail *t)
{
	assert(t->state == TAIL_GONE || t->fd >= 0);
	assert(t->state != TAIL_GONE || (t->fd < 0 && t->start.fd < 0));
	assert(t->state == TAIL_FINDING || t->find.fd < 0);
	assert(t->state != TAIL_READING || t->start.fd >= 0);
	assert(t->state != TAIL_WAITING || t->follow);
}

/* Finding begins at the end of the file that grows now. */
void
tail_begin(struct tail *t)
{
	struct stat st;

	fd_close(&t->find.fd);
	fd_close(&t->start.fd);
	t->seen = t->over = false;
	t->looked_bytes = t->since_ms = 0;
	t->start.offset = 0;
	tail_move(t, TAIL_FINDING);
	t->find.fd = files_open(t->all->files, tail_name(t), 0);
	if (t->find.fd >= 0 && fstat(t->find.fd, &st) == 0) {
		t->find.offset = t->start.offset = (uint64_t)st.st_size;
		t->here = true;
	}
	tail_soon(t);
}

static void
tail_step(void *arg)
{
	struct tail *t = arg;

	if (buf_bytes(&t->out) > 0 && !tail_send(t))
		return;
	switch (t->state) {
	case TAIL_FINDING:
		tail_find(t);
		break;
	case TAIL_WAITING:
		if (t->start.fd < 0) /* the file may be there by now */
			t->start.fd =
			    files_open(t->all->files, tail_name(t), 0);
		if (t->start.fd < 0) {
			tail_at_end(t);
			break;
		}
		loop_timer_clear(t->all->loop, &t->limit);
		tail_move(t, TAIL_READING);
		/* fall through */
	case TAIL_READING:
		tail_read(t);
		break;
	case TAIL_ENDING:
		tail_send_end(t);
		break;
	case TAIL_GONE:
		break;
	}
}

static void
tail_read(struct tail *t)
{
	size_t most = t->call[0] ? TAIL_CHUNK : SEND_BYTES;
	ssize_t n =
	    pread(t->start.fd, t->all->chunk, most, (off_t)t->start.offset);
	struct span bytes = span_make(t->all->chunk, n > 0 ? (size_t)n : 0);

	if (n < 0) {
		tail_end(t, "the log cannot be read");
	} else if (n == 0) {
		tail_at_end(t);
	} else if (t->call[0]) {
		tail_filter(t, bytes);
	} else {
		t->start.offset += bytes.bytes;
		buf_put(&t->out, bytes);
		tail_soon(t);
	}
}

/* Only the lines of the call, up to its result. */
static void
tail_filter(struct tail *t, struct span bytes)
{
	struct span text, rest = bytes;
	struct line line;
	ptrdiff_t end;

	while (!t->over && (end = span_find(rest, '\n')) >= 0) {
		text = span_take(rest, (size_t)end + 1);
		rest = span_skip(rest, text.bytes);
		if (!tail_is_of_call(t, text))
			continue;
		if (t->tenant_bytes == 0) {
			tail_found_tenant(t, text);
			return;
		}
		t->seen = true;
		if (buf_put(&t->out, text) != 0) {
			tail_end(t, "no memory for a line of the log");
			return;
		}
		t->over =
		    line_parse(text, &line) == 0 && line.mark == LINE_RESULT;
	}
	/* a line longer than a chunk is none of ours */
	t->start.offset +=
	    rest.bytes == bytes.bytes ? bytes.bytes : bytes.bytes - rest.bytes;
	if (t->over)
		tail_end(t, NULL);
	else if (t->follow && !t->seen &&
	    loop_now_ms(t->all->loop) >= t->known_by_ms)
		tail_limit(t); /* others write faster than we come to wait */
	else
		tail_soon(t);
}

/* The end of a file: of the newest, or of one that was rotated meanwhile. */
void
tail_at_end(struct tail *t)
{
	const struct recent *recent;

	if (t->start.fd >= 0 && tail_go_on(t))
		return;
	if (t->call[0] && !t->seen && (recent = recent_find(t->all, t))) {
		buf_put_string(&t->out, recent->line);
		tail_end(t, NULL);
		return;
	}
	if (!t->follow) {
		tail_end(t, NULL);
		if (t->start.fd < 0)
			snprintf(t->reason, sizeof(t->reason),
			    "nothing is logged yet%s",
			    t->tenant_bytes > 0 ? " for that tenant" : "");
		return;
	}
	if (t->state != TAIL_WAITING)
		tail_move(t, TAIL_WAITING);
	if (t->call[0] && !t->seen)
		loop_timer_set(t->all->loop, &t->limit, t->known_by_ms);
}

/* Is there more behind the end of this file: in the one after it, or in itself,
 * because somebody emptied it? */
static bool
tail_go_on(struct tail *t)
{
	struct span name = tail_name(t);
	int fd = t->start.fd, age = files_age(t->all->files, name, fd);
	int next;
	bool lost = false;
	struct stat st;

	if (fstat(fd, &st) == 0 && (uint64_t)st.st_size < t->start.offset) {
		t->start.offset = 0;
		tail_soon(t);
		return true;
	}
	/* whatever its name is by now, what comes is written to it still */
	if (age == 0 || files_grows(t->all->files, name, fd))
		return false;
	if (age < 0)
		age = files_after(t->all->files, name, fd, &lost);
	else
		age--;
	if (age < 0)
		return false;
	/* somebody may have taken some, and the newest comes with a line */
	next = -1;
	while (!lost && next < 0 && age >= 0)
		next = files_open(t->all->files, name, (unsigned)age--);
	if (next < 0 && !lost)
		return false;
	fd_close(&fd);
	t->start.fd = next;
	t->start.offset = 0;
	if (t->start.fd < 0)
		tail_end(t,
		    "the log was rotated faster than it was "
		    "read; lines are missing");
	else
		tail_soon(t);
	return true;
}

/* All of `out`; false when the listener takes no more now, or has gone. */
static bool
tail_send(struct tail *t)
{
	struct message_control_out m;
	struct buf encoded;
	ssize_t n;

	buf_init(&encoded, MESSAGE_MOST);
	while (buf_bytes(&t->out) > 0) {
		m.bytes = span_take(buf_span(&t->out), SEND_BYTES);
		buf_clear(&encoded);
		n = message_control_out_encode(&encoded, &m) == 0 ?
		    fd_send(t->fd, buf_span(&encoded), NULL, 0) :
		    -1;
		if (n < 0)
			break;
		buf_taken(&t->out, m.bytes.bytes);
		loop_timer_clear(t->all->loop, &t->limit);
	}
	buf_free(&encoded);
	if (buf_bytes(&t->out) == 0) {
		buf_shrink(&t->out);
		loop_change(t->all->loop, &t->watch, 0);
		return true;
	}
	if (errno != EAGAIN) {
		tail_gone(t);
		return false;
	}
	loop_change(t->all->loop, &t->watch, LOOP_WRITE);
	if (!timer_armed(&t->limit))
		loop_timer_set(t->all->loop, &t->limit,
		    loop_now_ms(t->all->loop) + TAIL_STUCK_MS);
	return false;
}

/* NULL: all that was asked for has been read. */
void
tail_end(struct tail *t, const char *reason)
{
	if (t->state == TAIL_ENDING || t->state == TAIL_GONE)
		return;
	t->failed = reason != NULL;
	snprintf(t->reason, sizeof(t->reason), "%s", reason ? reason : "");
	fd_close(&t->find.fd);
	loop_timer_clear(t->all->loop, &t->limit);
	tail_move(t, TAIL_ENDING);
	tail_soon(t);
}

static void
tail_send_end(struct tail *t)
{
	struct message_control_end m = { .failed = t->failed,
		.text = span_of(t->reason) };
	struct buf encoded;
	ssize_t n;

	buf_init(&encoded, MESSAGE_MOST);
	n = message_control_end_encode(&encoded, &m) == 0 ?
	    fd_send(t->fd, buf_span(&encoded), NULL, 0) :
	    -1;
	buf_free(&encoded);
	if (n < 0 && errno == EAGAIN) {
		loop_change(t->all->loop, &t->watch, LOOP_WRITE);
		if (!timer_armed(&t->limit))
			loop_timer_set(t->all->loop, &t->limit,
			    loop_now_ms(t->all->loop) + TAIL_STUCK_MS);
		return;
	}
	tail_gone(t);
}

static void
tail_gone(struct tail *t)
{
	struct loop *loop = t->all->loop;

	loop_timer_clear(loop, &t->step);
	loop_timer_clear(loop, &t->limit);
	loop_unwatch(loop, &t->watch);
	fd_close(&t->fd);
	fd_close(&t->find.fd);
	fd_close(&t->start.fd);
	buf_free(&t->out);
	list_remove(&t->node);
	tail_move(t, TAIL_GONE);
	loop_defer(loop, &t->freed, tail_free, t);
}

static void
tail_free(void *arg)
{
	free(arg);
}

static void
tail_event(void *arg, unsigned events)
{
	struct tail *t = arg;

	if (events & LOOP_HANGUP)
		tail_gone(t);
	else if (events & LOOP_WRITE)
		tail_step(t);
}

static void
tail_limit(void *arg)
{
	struct tail *t = arg;

	if (t->state == TAIL_ENDING) {
		tail_gone(t);
	} else if (buf_bytes(&t->out) == 0) {
		tail_end(t, "no such request in the log");
	} else {
		buf_clear(&t->out);
		tail_end(t, "the reader took nothing for too long");
	}
}

void
tail_soon(struct tail *t)
{
	loop_timer_set(t->all->loop, &t->step, loop_now_ms(t->all->loop));
}

struct span
tail_name(const struct tail *t)
{
	return t->tenant_bytes > 0 ? span_make(t->tenant, t->tenant_bytes) :
				     SPAN_NONE;
}

const struct recent *
recent_find(const struct tails *ts, const struct tail *t)
{
	for (size_t i = 0; i < TAIL_RECENT; i++) {
		const struct recent *r = ts->recent[i];

		if (r && strcmp(r->call, t->call) == 0 &&
		    (t->tenant_bytes == 0 ||
			span_equal(span_of(r->tenant), tail_name(t))))
			return r;
	}
	return NULL;
}
