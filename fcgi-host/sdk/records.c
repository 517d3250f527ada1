/* SPDX-License-Identifier: MIT */
/* records.c - one event after the other from a blocking socket, whoever waits for
 * it: the parameters, a handler that reads its body, or the end of the request.
 *
 * A body is read to its end before END_REQUEST, whatever the handler read of it:
 * what is left in the socket would be taken for the next request (and whoever
 * sent it could write that one), or would reset the connection when it is closed,
 * and the reply with it. Where that cannot be waited for, the connection ends. */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sdk/records.h"

enum { PARTS_MOST = 5, PARAMS_KEPT = 64 * 1024, CLOSE_S = 2 };

static char *span_copy(char *to, struct span from);
static bool step(struct fastcgi *, bool wait);
static bool receive(struct fastcgi *, bool wait);
static void content_take(struct fastcgi *, struct span);
static void record_end(struct fastcgi *);
static void begin_take(struct fastcgi *);
static void abort_take(struct fastcgi *);
static void management_take(struct fastcgi *);
static void answer(struct fastcgi *, struct buf *);
static void over(struct fastcgi *);
static void drain(struct fastcgi *);
static ptrdiff_t carrier_read(struct carrier *, char *to, size_t room);
static int carrier_write(struct carrier *, struct span head, struct span body,
    bool last);
static void carrier_log(struct carrier *, struct span line);
static void look(struct fastcgi *, bool last);
static int end_send(struct fastcgi *, struct span head, struct span body);
static int records_send(struct fastcgi *, uint8_t type, struct span a,
    struct span b, struct span behind);
static int parts_send(struct fastcgi *, struct iovec *, int count);

void
fastcgi_init(struct fastcgi *f, struct turn *turn)
{
	f->carrier = (struct carrier){
		.read = carrier_read, .write = carrier_write, .log = carrier_log
	};
	f->turn = turn;
	f->fd = -1;
	f->state = FASTCGI_OVER;
	buf_init(&f->small, FCGI_MAX_LENGTH);
	buf_init(&f->params, PARAMS_STREAM_MOST);
}

void
fastcgi_open(struct fastcgi *f, int fd)
{
	f->fd = fd;
	f->state = FASTCGI_BETWEEN;
	f->ended = false;
	f->id = 0;
	f->unread = f->slice = SPAN_NONE;
	fcgi_reader_init(&f->reader);
}

/* What a peer sends to a closed TCP socket makes it forget what it has not read: so
 * it is told the end first, and has a moment to take it. */
void
fastcgi_close(struct fastcgi *f)
{
	const struct timeval moment = { .tv_sec = CLOSE_S };

	if (f->fd >= 0 && f->ended && !f->input_over &&
	    shutdown(f->fd, SHUT_WR) == 0 &&
	    setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &moment,
		sizeof(moment)) == 0)
		while (recv(f->fd, f->in, sizeof(f->in), 0) > 0)
			;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	f->state = FASTCGI_OVER;
}

int
fastcgi_request(struct fastcgi *f)
{
	while (f->state == FASTCGI_BETWEEN || f->state == FASTCGI_PARAMS)
		step(f, true);
	return f->state == FASTCGI_REQUEST ? 0 : -1;
}

char *const *
fastcgi_variables(struct fastcgi *f)
{
	struct span rest = buf_span(&f->params);
	enum params_result result;
	struct param pair;
	size_t count = 0;
	char *to;

	/* A pair has two lengths there, '=' and NUL here: it does not grow. */
	free(f->text);
	f->text = to = malloc(rest.bytes + 1);
	if (f->params_large || !to)
		return NULL;
	while ((result = params_next(&rest, &pair)) == PARAMS_PAIR &&
	    count < PARAMS_COUNT_MOST) {
		f->variables[count++] = to;
		to = span_copy(to, pair.name);
		*to++ = '=';
		to = span_copy(to, pair.value);
		*to++ = '\0';
	}
	f->variables[count] = NULL;
	return result == PARAMS_DONE ? f->variables : NULL;
}

bool
fastcgi_end(struct fastcgi *f, bool broken)
{
	if (f->state == FASTCGI_REQUEST && f->aborted && !f->ended)
		end_send(f, SPAN_NONE, SPAN_NONE);
	else if (broken)
		over(f);
	if (f->params.room > PARAMS_KEPT)
		buf_free(&f->params);
	if (f->state != FASTCGI_REQUEST || !f->keep)
		return false;
	f->state = FASTCGI_BETWEEN;
	f->id = 0;
	return true;
}

static char *
span_copy(char *to, struct span from)
{
	if (from.bytes > 0)
		memcpy(to, from.data, from.bytes);
	return to + from.bytes;
}

/* ---- reading --------------------------------------------------------------------- */

/* One event. False: there is none without waiting, or ever. While there is a slice
 * of the body to be handed out, none is taken. */
static bool
step(struct fastcgi *f, bool wait)
{
	struct span content;

	if (f->state == FASTCGI_OVER || f->slice.bytes > 0)
		return false;
	switch (fcgi_read(&f->reader, &f->unread, &content)) {
	case FCGI_NEED_MORE:
		return receive(f, wait);
	case FCGI_RECORD:
		buf_clear(&f->small);
		return true;
	case FCGI_CONTENT:
		content_take(f, content);
		return true;
	case FCGI_RECORD_END:
		record_end(f);
		return true;
	case FCGI_BAD_VERSION:
		break;
	}
	over(f);
	return false;
}

static bool
receive(struct fastcgi *f, bool wait)
{
	int flags = wait ? 0 : MSG_DONTWAIT;
	ssize_t n;

	/* First said, then looked at: who is told to stop in between says so to
	 * the socket. */
	f->turn->waiting =
	    f->state == FASTCGI_BETWEEN && fcgi_reader_between(&f->reader);
	/* What has come is answered still; whoever sends from here on is told
	 * that nobody reads it. */
	if (f->turn->waiting && f->turn->stopping) {
		shutdown(f->fd, SHUT_RD);
		flags = MSG_DONTWAIT;
	}
	do
		n = recv(f->fd, f->in, sizeof(f->in), flags);
	while (n < 0 && errno == EINTR);
	f->turn->waiting = 0;
	if (n < 0 && !wait && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	if (n <= 0) {
		/* The one end of a connection may be closed before the other:
		 * a reply under way is another matter. */
		if (f->state == FASTCGI_REQUEST && n == 0 && f->input_over)
			f->keep = false;
		else
			over(f);
		return false;
	}
	f->unread = span_make(f->in, (size_t)n);
	return true;
}

static void
content_take(struct fastcgi *f, struct span content)
{
	const struct fcgi_record *r = &f->reader.record;

	if (r->id == 0 || r->type == FCGI_BEGIN_REQUEST)
		buf_put(&f->small, content); /* a record always fits */
	else if (r->id != f->id)
		return; /* section 3.3: of a request that is not */
	else if (r->type == FCGI_PARAMS && f->state == FASTCGI_PARAMS)
		f->params_large |= buf_put(&f->params, content) != 0;
	else if (r->type == FCGI_STDIN && f->state == FASTCGI_PARAMS)
		over(f); /* no web server does, and who would keep it? */
	else if (r->type == FCGI_STDIN && !f->input_over)
		f->slice = content;
}

static void
record_end(struct fastcgi *f)
{
	const struct fcgi_record *r = &f->reader.record;

	if (r->id == 0)
		management_take(f);
	else if (r->type == FCGI_BEGIN_REQUEST)
		begin_take(f);
	else if (r->id != f->id)
		return;
	else if (r->type == FCGI_ABORT_REQUEST)
		abort_take(f);
	else if (r->type == FCGI_STDIN && r->content_bytes == 0)
		f->input_over = true;
	else if (r->type == FCGI_PARAMS && r->content_bytes == 0 &&
	    f->state == FASTCGI_PARAMS)
		f->state = FASTCGI_REQUEST;
}

/* Half of the parameters are no request: nobody is called with them. */
static void
abort_take(struct fastcgi *f)
{
	f->aborted = f->input_over = true;
	if (f->state != FASTCGI_PARAMS)
		return;
	f->state = FASTCGI_REQUEST;
	fastcgi_end(f, false);
	if (f->state == FASTCGI_REQUEST)
		over(f);
}

static void
begin_take(struct fastcgi *f)
{
	uint16_t id = f->reader.record.id;
	struct fcgi_begin begin;
	struct buf b;

	if (fcgi_begin_parse(buf_span(&f->small), &begin) != 0 || id == f->id) {
		over(f);
		return;
	}
	if (f->id == 0 && begin.role == FCGI_RESPONDER) {
		f->state = FASTCGI_PARAMS;
		f->id = id;
		f->keep = begin.keep_conn;
		f->params_large = f->input_over = f->aborted = false;
		f->begun = f->said = f->ended = false;
		buf_clear(&f->params);
		return;
	}
	buf_init(&b, FCGI_MAX_LENGTH);
	fcgi_put_end(&b, id, 0,
	    f->id != 0 ? FCGI_CANT_MPX_CONN : FCGI_UNKNOWN_ROLE);
	answer(f, &b);
	if (f->id == 0 && !begin.keep_conn)
		over(f);
}

static void
management_take(struct fastcgi *f)
{
	static const struct fcgi_values values = { .max_conns = 1,
		.max_reqs = 1 };
	struct buf b;

	buf_init(&b, FCGI_MAX_LENGTH);
	if (f->reader.record.type == FCGI_GET_VALUES)
		fcgi_put_values_result(&b, buf_span(&f->small), &values);
	else
		fcgi_put_unknown_type(&b, f->reader.record.type);
	answer(f, &b);
}

static void
answer(struct fastcgi *f, struct buf *b)
{
	struct span bytes = buf_span(b);
	struct iovec part = { (void *)(uintptr_t)bytes.data, bytes.bytes };

	if (parts_send(f, &part, 1) != 0)
		over(f);
	buf_free(b);
}

static void
over(struct fastcgi *f)
{
	f->state = FASTCGI_OVER;
	f->slice = f->unread = SPAN_NONE;
}

/* To the end of the body, as fast as it comes. */
static void
drain(struct fastcgi *f)
{
	while (f->state == FASTCGI_REQUEST && !f->input_over) {
		f->slice = SPAN_NONE;
		step(f, true);
	}
	f->slice = SPAN_NONE;
}

/* ---- the carrier -------------------------------------------------------------------- */

static ptrdiff_t
carrier_read(struct carrier *carrier, char *to, size_t room)
{
	struct fastcgi *f = (struct fastcgi *)carrier;
	struct span part;

	while (f->slice.bytes == 0 && !f->input_over &&
	    f->state == FASTCGI_REQUEST)
		step(f, true);
	if (f->state != FASTCGI_REQUEST || f->aborted)
		return -1;
	part = span_take(f->slice, room);
	if (part.bytes > 0)
		memcpy(to, part.data, part.bytes);
	f->slice = span_skip(f->slice, part.bytes);
	return (ptrdiff_t)part.bytes;
}

static int
carrier_write(struct carrier *carrier, struct span head, struct span body,
    bool last)
{
	struct fastcgi *f = (struct fastcgi *)carrier;

	look(f, last);
	if (f->state != FASTCGI_REQUEST || f->aborted)
		return -1;
	if (last)
		return end_send(f, head, body);
	f->begun = true;
	return records_send(f, FCGI_STDOUT, head, body, SPAN_NONE);
}

/* In a record of its own at once, so that it is not lost with the process. */
static void
carrier_log(struct carrier *carrier, struct span line)
{
	struct fastcgi *f = (struct fastcgi *)carrier;

	if (f->state != FASTCGI_REQUEST || f->ended)
		return;
	f->said = true;
	records_send(f, FCGI_STDERR, line, SPAN_NONE, SPAN_NONE);
}

/* What has come already: an abort, and, when nobody will read it any more, the
 * rest of the body. */
static void
look(struct fastcgi *f, bool last)
{
	do
		if (last)
			f->slice = SPAN_NONE;
	while ((!last || !f->input_over) && step(f, false));
}

/* ---- writing ------------------------------------------------------------------------ */

/* The rest of the reply, and the end of the request, in one piece. Before anything
 * of the reply: nginx sends no more of a body once it has a header. Where it has
 * one already, and does not promise better, there is no end of the body to be
 * waited for. */
static int
end_send(struct fastcgi *f, struct span head, struct span body)
{
	struct buf end;
	int result = 0;

	if (!f->begun || f->patient)
		drain(f);
	if (f->state != FASTCGI_REQUEST)
		return -1;
	if (!f->input_over)
		f->keep = false;
	limit_end(); /* from here on the alarm would hit another request */
	buf_init(&end, 256);
	result = fcgi_put_stream_end(&end, FCGI_STDOUT, f->id);
	if (f->said)
		result |= fcgi_put_stream_end(&end, FCGI_STDERR, f->id);
	result |= fcgi_put_end(&end, f->id, (uint32_t)f->carrier.status,
	    FCGI_REQUEST_COMPLETE);
	f->ended = true;
	if (result == 0)
		result =
		    records_send(f, FCGI_STDOUT, head, body, buf_span(&end));
	buf_free(&end);
	return result;
}

/* a and b as one stream, then `behind`, which is records already. */
static int
records_send(struct fastcgi *f, uint8_t type, struct span a, struct span b,
    struct span behind)
{
	static const char zeros[8];
	uint8_t record[FCGI_HEADER_LEN];
	struct iovec parts[PARTS_MOST];
	int result = 0;

	do {
		struct span first = span_take(a, FCGI_RECORD_CONTENT_MOST);
		struct span second = span_take(b,
		    a.bytes > first.bytes ?
			0 :
			FCGI_RECORD_CONTENT_MOST - first.bytes);
		size_t bytes = first.bytes + second.bytes;
		uint8_t padding = (uint8_t)(-bytes & 7);
		int count = 0;

		a = span_skip(a, first.bytes);
		b = span_skip(b, second.bytes);
		fcgi_head_write(record, type, f->id, (uint16_t)bytes, padding);
		if (bytes > 0) {
			parts[count++] =
			    (struct iovec){ record, sizeof(record) };
			parts[count++] =
			    (struct iovec){ (void *)(uintptr_t)first.data,
				    first.bytes };
			parts[count++] =
			    (struct iovec){ (void *)(uintptr_t)second.data,
				    second.bytes };
			parts[count++] =
			    (struct iovec){ (void *)(uintptr_t)zeros, padding };
		}
		if (a.bytes + b.bytes == 0)
			parts[count++] =
			    (struct iovec){ (void *)(uintptr_t)behind.data,
				    behind.bytes };
		result = parts_send(f, parts, count);
	} while (result == 0 && a.bytes + b.bytes > 0);
	if (result != 0)
		over(f);
	return result;
}

/* All of it; -1: nobody reads any more. Changes the parts. */
static int
parts_send(struct fastcgi *f, struct iovec *parts, int count)
{
	struct msghdr message = { .msg_iov = parts };
	ssize_t n;
	int at = 0;

	for (;;) {
		while (at < count && parts[at].iov_len == 0)
			at++;
		if (at == count)
			return 0;
		message.msg_iov = parts + at;
		message.msg_iovlen = (size_t)(count - at);
		n = sendmsg(f->fd, &message, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		for (; at < count && (size_t)n >= parts[at].iov_len; at++)
			n -= (ssize_t)parts[at].iov_len;
		if (n == 0)
			continue;
		parts[at].iov_base = (char *)parts[at].iov_base + n;
		parts[at].iov_len -= (size_t)n;
	}
}
