/* SPDX-License-Identifier: MIT */
/* fastcgi.c - one request on one connection, as the web server would make it:
 * what we have to say is written while what comes back is read, so that neither
 * side waits for the other. */

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/diag.h"
#include "base/fd.h"
#include "wire/fcgi.h"

#include "ctl/ctl.h"

enum {
	REQUEST_ID = 1,
	READ_BYTES = 64 * 1024,
	WRITE_AHEAD = 256 * 1024, /* of the body, in records */
	BODY_STEP = 64 * 1024,
	WRITE_MOST = 1024 * 1024,
	UNREAD_MS = 5000, /* nobody is so busy */
};

struct state {
	struct exchange *exchange;
	struct buf out;
	struct span body; /* not yet in `out` */
	bool body_ended;
	struct fcgi_reader reader;
	struct buf end; /* content of END_REQUEST */
	bool over;
	const char *reason;
};

static bool state_unread(const struct state *);
static int state_fill(struct state *);
static int state_write(struct state *);
static int state_read(struct state *);
static int state_record(struct state *, enum fcgi_event, struct span content);

int
exchange_run(struct exchange *x, const char **reason)
{
	struct state s = { .exchange = x, .body = x->body };
	struct pollfd poll_fd = { .fd = x->fd };
	int result = 0, ready;

	buf_init(&s.out, WRITE_MOST);
	buf_init(&s.end, 64);
	fcgi_reader_init(&s.reader);
	fd_nonblock(x->fd, true);
	if (fcgi_put_begin(&s.out, REQUEST_ID, FCGI_RESPONDER, false) != 0 ||
	    fcgi_put_stream(&s.out, FCGI_PARAMS, REQUEST_ID, x->params) != 0 ||
	    fcgi_put_stream_end(&s.out, FCGI_PARAMS, REQUEST_ID) != 0) {
		s.reason = "the request does not fit into memory";
		result = -1;
	}
	while (result == 0 && !s.over) {
		if (state_fill(&s) != 0) {
			result = -1;
			break;
		}
		poll_fd.events =
		    (short)(POLLIN | (buf_bytes(&s.out) > 0 ? POLLOUT : 0));
		ready = poll(&poll_fd, 1, UNREAD_MS);
		if (ready == 0 && state_unread(&s)) {
			s.reason = "what was to answer does not (stopped or "
				   "overloaded)";
			result = -1;
		}
		if (ready <= 0)
			continue;
		if (poll_fd.revents & POLLOUT)
			result = state_write(&s);
		if (result == 0 && poll_fd.revents & (POLLIN | POLLHUP))
			result = state_read(&s);
	}
	buf_free(&s.out);
	buf_free(&s.end);
	*reason = s.reason;
	return result;
}

int
exchange_ask(const struct ctl *ctl, struct question *q, struct exchange *x)
{
	const char *reason;
	int pair[2], result;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		diag_error("cannot make a socket: %s", diag_errno());
		return CTL_FAILED;
	}
	q->fd = pair[1];
	result = host_ask_loudly(ctl, q);
	fd_close(&pair[1]); /* only the host has it: its end is an end */
	x->fd = pair[0];
	if (result != 0)
		return result;
	if (exchange_run(x, &reason) != 0) {
		diag_error("%s", reason);
		return CTL_FAILED;
	}
	return 0;
}

/* Nothing moved for a while: is that because nobody takes what we wrote? Who has
 * taken it may think as long as he likes. */
static bool
state_unread(const struct state *s)
{
	int unread = 0;

	return ioctl(s->exchange->fd, SIOCOUTQ, &unread) == 0 && unread > 0;
}

static int
state_fill(struct state *s)
{
	struct span part;

	while (!s->body_ended && buf_bytes(&s->out) < WRITE_AHEAD) {
		part = span_take(s->body, BODY_STEP);
		s->body = span_skip(s->body, part.bytes);
		s->body_ended = part.bytes == 0;
		if (fcgi_put_stream(&s->out, FCGI_STDIN, REQUEST_ID, part) !=
			0 ||
		    (s->body_ended &&
			fcgi_put_stream_end(&s->out, FCGI_STDIN, REQUEST_ID) !=
			    0)) {
			s->reason = "no memory for the body";
			return -1;
		}
	}
	return 0;
}

/* An answer may come before the body was read (413): then writing fails, and
 * the answer is still there to be read. */
static int
state_write(struct state *s)
{
	struct span out = buf_span(&s->out);
	ssize_t n = send(s->exchange->fd, out.data, out.bytes,
	    MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0) {
		buf_taken(&s->out, (size_t)n);
	} else if (errno != EAGAIN && errno != EINTR) {
		buf_clear(&s->out);
		s->body_ended = true;
	}
	return 0;
}

static int
state_read(struct state *s)
{
	static char bytes[READ_BYTES];
	ssize_t n = recv(s->exchange->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	struct span in = span_make(bytes, n > 0 ? (size_t)n : 0), content;
	enum fcgi_event event;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		s->reason = "the host closed the connection before the reply "
			    "was complete";
		return -1;
	}
	while (!s->over &&
	    (event = fcgi_read(&s->reader, &in, &content)) != FCGI_NEED_MORE)
		if (state_record(s, event, content) != 0)
			return -1;
	return 0;
}

static int
state_record(struct state *s, enum fcgi_event event, struct span content)
{
	struct exchange *x = s->exchange;
	struct fcgi_end end;
	uint8_t type = s->reader.record.type;

	if (event == FCGI_BAD_VERSION ||
	    (event == FCGI_RECORD && s->reader.record.id != REQUEST_ID)) {
		s->reason = "the host does not speak FastCGI";
		return -1;
	}
	if (event == FCGI_CONTENT && type == FCGI_STDOUT) {
		s->reason = x->on_stdout(x->arg, content);
		return s->reason ? -1 : 0;
	}
	if (event == FCGI_CONTENT && type == FCGI_STDERR)
		x->on_stderr(x->arg, content);
	if (event == FCGI_CONTENT && type == FCGI_END_REQUEST)
		buf_put(&s->end, content);
	if (event != FCGI_RECORD_END || type != FCGI_END_REQUEST)
		return 0;
	if (fcgi_end_parse(buf_span(&s->end), &end) != 0 ||
	    end.protocol_status != FCGI_REQUEST_COMPLETE) {
		s->reason = "the host does not take the request";
		return -1;
	}
	x->app_status = end.app_status;
	s->over = true;
	return 0;
}

/* ---- the reply's header ------------------------------------------------------- */

void
reply_head_init(struct reply_head *h)
{
	*h = (struct reply_head){ 0 };
	buf_init(&h->bytes, REPLY_HEAD_MOST);
}

void
reply_head_free(struct reply_head *h)
{
	buf_free(&h->bytes);
}

const char *
reply_head_take(struct reply_head *h, struct span bytes, struct span *body)
{
	size_t head_bytes;

	*body = h->parsed ? bytes : SPAN("");
	if (h->parsed)
		return NULL;
	if (buf_put(&h->bytes, bytes) != 0)
		return "the reply's header is too long";
	switch (cgi_head_find(buf_span(&h->bytes), false, &h->scanned,
	    &head_bytes)) {
	case CGI_HEAD_NEED_MORE:
		return NULL;
	case CGI_HEAD_BAD:
		return "the reply's header is too long";
	case CGI_HEAD_COMPLETE:
		break;
	}
	if (cgi_head_parse(span_take(buf_span(&h->bytes), head_bytes),
		&h->cgi) != 0)
		return cgi_head_error_words(h->cgi.error);
	h->parsed = true;
	*body = span_skip(buf_span(&h->bytes), head_bytes);
	return NULL;
}
