/* SPDX-License-Identifier: MIT */
/* front.c - one connection of the web server, as the application side of FastCGI
 * (specification sections 3 to 5). Knows records and the order in which they may
 * come; what a request is made of goes to request.c. Serves one request at a
 * time and says so: another id meanwhile is refused with CANT_MPX_CONN, the same
 * id before its STDIN is over breaks the connection, afterwards it waits.
 *
 * Output of a batch is gathered and written once, at its end. A request that was
 * answered before its body had come has the rest of it read and dropped, also
 * when the connection is to be closed: who still writes would otherwise get an
 * error and never see the answer. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/diag.h"

#include "gateway/gateway.h"

/* All connections read into this; what has to wait is copied. */
static char incoming[FRONT_READ_BYTES];

static void front_move(struct front *, enum front_state);
static void front_check(const struct front *);
static void front_ready(void *arg, unsigned events);
static void front_gone(struct front *);
static void front_read(struct front *, unsigned events);
static void front_input_ends(struct front *, bool gone);
static void front_parse(struct front *, struct span *in);
static void front_resume(struct front *);
static enum front_sink front_record(struct front *);
static enum front_sink front_record_begin(struct front *);
static enum front_sink front_record_management(struct front *);
static void front_content(struct front *, struct span content);
static void front_record_end(struct front *);
static void front_begin(struct front *, struct span content);
static void front_values(struct front *, struct span asked);
static void front_write(struct front *);
static void front_listen(struct front *);
static void front_lapse(struct front *);
static void front_put(struct front *, int result);
static void front_end(void *arg);

struct front *
front_new(struct gateway *g, int *fd, struct span only_tenant,
    struct span only_function)
{
	struct front *f = calloc(1, sizeof(*f));

	if (!f)
		goto out;
	f->gateway = g;
	f->fd = *fd;
	f->stdin_ended = true;
	fcgi_reader_init(&f->reader);
	buf_init(&f->input, FRONT_READ_BYTES);
	buf_init(&f->gather, FCGI_MAX_LENGTH);
	buf_init(&f->out, FRONT_OUT_MOST);
	list_init(&f->all);
	list_init(&f->lapse);
	list_init(&f->touched);
	watch_init(&f->watch, front_ready, f);
	if (only_tenant.data && !(f->only_tenant = span_dup(only_tenant)))
		goto out;
	if (only_function.data && !(f->only_function = span_dup(only_function)))
		goto out;
	if (loop_watch(g->loop, &f->watch, f->fd, LOOP_READ) != 0)
		goto out;
	*fd = -1;
	list_add_last(&g->fronts, &f->all);
	g->front_count++;
	front_lapse(f);
	return f;
out:
	if (f) {
		free(f->only_tenant);
		free(f->only_function);
		free(f);
	}
	fd_close(fd);
	return NULL;
}

static void
front_move(struct front *f, enum front_state to)
{
	static const bool drawn[][FRONT_GONE + 1] = {
		[FRONT_IDLE] = { [FRONT_ACTIVE] = true,
		    [FRONT_CLOSING] = true,
		    [FRONT_GONE] = true },
		[FRONT_ACTIVE] = { [FRONT_IDLE] = true,
		    [FRONT_CLOSING] = true,
		    [FRONT_GONE] = true },
		[FRONT_CLOSING] = { [FRONT_GONE] = true },
		[FRONT_GONE] = { false },
	};

	assert(drawn[f->state][to]);
	f->state = to;
	front_check(f);
}

static void
front_check(const struct front *f)
{
	assert((f->request != NULL) == (f->state == FRONT_ACTIVE));
	assert((f->fd >= 0) == (f->state != FRONT_GONE));
	assert(f->state != FRONT_GONE || f->watch.fd < 0);
	assert(!f->whole || buf_bytes(&f->out) >= f->mark);
}

/* ---- events --------------------------------------------------------------- */

static void
front_ready(void *arg, unsigned events)
{
	struct front *f = arg;

	if (events == LOOP_HANGUP) { /* we read nothing, and they are gone */
		front_gone(f);
		return;
	}
	if (events & LOOP_READ)
		front_read(f, events);
	if (events & LOOP_WRITE && f->state != FRONT_GONE)
		front_touch(f);
}

/* The flags of an adopted socket are also somebody else's: MSG_DONTWAIT. */
static void
front_read(struct front *f, unsigned events)
{
	struct span in;
	ssize_t bytes;

	bytes = recv(f->fd, incoming, sizeof(incoming), MSG_DONTWAIT);
	if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (bytes <= 0) {
		front_input_ends(f, bytes < 0 || (events & LOOP_HANGUP));
		return;
	}
	in = span_make(incoming, (size_t)bytes);
	front_parse(f, &in);
	if (f->state != FRONT_GONE && in.bytes > 0 &&
	    buf_put(&f->input, in) != 0)
		front_break(f, "no memory for its input");
	front_touch(f);
}

/* Half closed, behind a whole request, is a way to say that it was the last. */
static void
front_input_ends(struct front *f, bool gone)
{
	if (gone || f->state == FRONT_IDLE ||
	    (f->state == FRONT_ACTIVE && !f->stdin_ended)) {
		front_gone(f);
		return;
	}
	f->half_closed = f->stdin_ended = true;
	front_touch(f);
}

void
front_touch(struct front *f)
{
	if (f->state != FRONT_GONE && list_empty(&f->touched))
		list_add_last(&f->gateway->fronts_touched, &f->touched);
}

/* Once at the end of a batch for each connection that something happened to. */
void
front_settle(struct front *f)
{
	list_remove(&f->touched);
	front_resume(f);
	if (f->state != FRONT_GONE && !f->held)
		front_write(f);
	if (f->state == FRONT_CLOSING && buf_bytes(&f->out) == 0 &&
	    f->stdin_ended)
		front_gone(f);
	if (f->state == FRONT_GONE)
		return;
	front_listen(f);
	front_lapse(f);
	front_check(f);
}

static void
front_gone(struct front *f)
{
	struct request *r = f->request;

	if (f->state == FRONT_GONE)
		return;
	f->request = NULL;
	loop_unwatch(f->gateway->loop, &f->watch);
	fd_close(&f->fd);
	f->whole = false;
	front_move(f, FRONT_GONE);
	list_remove(&f->all);
	list_remove(&f->lapse);
	list_remove(&f->touched);
	f->gateway->front_count--;
	loop_defer(f->gateway->loop, &f->end, front_end, f);
	if (r)
		request_abort(r, END_CLIENT_GONE);
	listener_freed(f->gateway);
	gateway_drained(f->gateway);
}

static void
front_end(void *arg)
{
	struct front *f = arg;

	buf_free(&f->input);
	buf_free(&f->gather);
	buf_free(&f->out);
	free(f->only_tenant);
	free(f->only_function);
	free(f);
}

void
front_break(struct front *f, const char *why)
{
	diag_debug("connection closed: %s", why);
	front_gone(f);
}

/* nginx that does not buffer takes a closed connection for the end of a reply
 * (tried with 1.22.1). Eight bytes that begin no record of any version are an
 * error to it. One that buffers sees the close, and would drop a header that
 * came together with the error. */
void
front_break_off(struct front *f)
{
	static const char no_record[FCGI_HEADER_LEN];
	struct span out = buf_span(&f->out);
	struct iovec parts[] = {
		{ (void *)(uintptr_t)out.data, out.bytes },
		{ (void *)(uintptr_t)no_record, sizeof(no_record) },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	if (f->fd >= 0)
		sendmsg(f->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	front_break(f, "a reply broke off");
}

/* ---- records -------------------------------------------------------------- */

/* Takes from *in until it is used up, has to wait, or the connection ends. */
static void
front_parse(struct front *f, struct span *in)
{
	struct span content;

	assert(!f->parsing);
	f->parsing = true;
	while (!f->waiting && f->state != FRONT_GONE) {
		switch (fcgi_read(&f->reader, in, &content)) {
		case FCGI_NEED_MORE:
			goto out;
		case FCGI_RECORD:
			f->sink = front_record(f);
			break;
		case FCGI_CONTENT:
			front_content(f, content);
			break;
		case FCGI_RECORD_END:
			front_record_end(f);
			break;
		case FCGI_BAD_VERSION:
			diag_warn("connection closed: what came is not "
				  "FastCGI version 1 (F2)");
			front_gone(f);
			break;
		}
	}
out:
	f->parsing = false;
	if (f->request)
		request_input_rests(f->request);
}

/* Input that waited goes on if it may. */
static void
front_resume(struct front *f)
{
	struct span in;
	size_t before;

	if (f->state == FRONT_GONE || !f->waiting)
		return;
	f->waiting = false;
	if (f->undecided) {
		f->undecided = false;
		f->sink = front_record(f);
	} else {
		f->waiting = f->request && !request_takes_input(f->request);
	}
	if (f->waiting || f->state == FRONT_GONE)
		return;
	in = buf_span(&f->input);
	before = in.bytes;
	front_parse(f, &in);
	buf_taken(&f->input, before - in.bytes);
	buf_shrink(&f->input);
}

/* Where the content of the record that begins goes. Sets `waiting` when that
 * cannot be said yet. */
static enum front_sink
front_record(struct front *f)
{
	const struct fcgi_record *record = &f->reader.record;
	bool active = f->request && record->id == f->id;

	if (f->state == FRONT_CLOSING && record->type != FCGI_STDIN)
		return FRONT_IGNORE;
	if (record->id == FCGI_NULL_REQUEST_ID)
		return front_record_management(f);
	switch (record->type) {
	case FCGI_BEGIN_REQUEST:
		return front_record_begin(f);
	case FCGI_ABORT_REQUEST:
		if (active)
			request_abort(f->request, END_ABORTED);
		return FRONT_IGNORE;
	case FCGI_PARAMS:
		if (!active || f->request->state != REQUEST_READING)
			return FRONT_IGNORE;
		return FRONT_PARAMS;
	case FCGI_STDIN:
		/* Late STDIN of a request that was answered is read to its
		 * end; what comes behind that is ignored (F6, F8). */
		if (record->id != f->id || f->stdin_ended)
			return FRONT_IGNORE;
		if (active && f->request->state == REQUEST_READING) {
			front_break(f, "STDIN before the end of PARAMS");
			return FRONT_IGNORE;
		}
		if (active && record->content_bytes > 0 &&
		    !request_takes_input(f->request))
			f->waiting = f->undecided = true;
		return FRONT_STDIN;
	default: /* DATA, what only we may send, what nobody knows (F10) */
		return FRONT_IGNORE;
	}
}

static enum front_sink
front_record_begin(struct front *f)
{
	if (f->reader.record.content_bytes != sizeof(FCGI_BeginRequestBody)) {
		diag_warn("connection closed: BEGIN_REQUEST of %u bytes (F3)",
		    f->reader.record.content_bytes);
		front_gone(f);
		return FRONT_IGNORE;
	}
	if (f->request && f->reader.record.id == f->id) {
		if (!f->stdin_ended) {
			diag_warn("connection closed: request %u began twice "
				  "(F5)",
			    f->id);
			front_gone(f);
			return FRONT_IGNORE;
		}
		f->waiting = f->undecided = true; /* F17 */
	}
	return FRONT_BEGIN;
}

static enum front_sink
front_record_management(struct front *f)
{
	if (f->reader.record.type == FCGI_GET_VALUES)
		return FRONT_VALUES;
	front_put(f, fcgi_put_unknown_type(&f->out, f->reader.record.type));
	return FRONT_IGNORE;
}

static void
front_content(struct front *f, struct span content)
{
	switch (f->sink) {
	case FRONT_IGNORE:
		break;
	case FRONT_PARAMS:
		if (f->request)
			request_params(f->request, content);
		break;
	case FRONT_STDIN:
		if (!f->request)
			break;
		request_stdin(f->request, content);
		if (f->request && !request_takes_input(f->request))
			f->waiting = true;
		break;
	case FRONT_BEGIN:
	case FRONT_VALUES:
		/* The usual case needs no copy: it came in one piece. */
		if (content.bytes == f->reader.record.content_bytes) {
			if (f->sink == FRONT_BEGIN)
				front_begin(f, content);
			else
				front_values(f, content);
			f->sink = FRONT_IGNORE;
		} else if (buf_put(&f->gather, content) != 0) {
			front_break(f, "no memory for a record");
		}
		break;
	}
}

static void
front_record_end(struct front *f)
{
	enum front_sink sink = f->sink;
	bool empty = f->reader.record.content_bytes == 0;

	f->sink = FRONT_IGNORE;
	if (sink == FRONT_BEGIN || sink == FRONT_VALUES) {
		if (sink == FRONT_BEGIN)
			front_begin(f, buf_span(&f->gather));
		else
			front_values(f, buf_span(&f->gather));
		buf_free(&f->gather);
	} else if (f->request && empty && sink == FRONT_PARAMS) {
		request_params_end(f->request);
	} else if (empty && sink == FRONT_STDIN) {
		f->stdin_ended = true;
		if (f->request)
			request_stdin_end(f->request);
	}
}

static void
front_begin(struct front *f, struct span content)
{
	struct fcgi_begin begin;
	uint16_t id = f->reader.record.id;

	if (fcgi_begin_parse(content, &begin) != 0) {
		front_break(f, "BEGIN_REQUEST of another size");
		return;
	}
	if (f->request) { /* another id: the first goes on (F5) */
		front_put(f, fcgi_put_end(&f->out, id, 0, FCGI_CANT_MPX_CONN));
		return;
	}
	if (begin.role != FCGI_RESPONDER) { /* F4 */
		front_put(f, fcgi_put_end(&f->out, id, 0, FCGI_UNKNOWN_ROLE));
		if (!begin.keep_conn && f->state == FRONT_IDLE)
			front_move(f, FRONT_CLOSING);
		return;
	}
	f->request = request_new(f);
	if (!f->request) {
		front_break(f, "no memory for a request");
		return;
	}
	f->id = id;
	f->keep = begin.keep_conn;
	f->stdin_ended = false;
	list_remove(&f->lapse);
	front_move(f, FRONT_ACTIVE);
}

/* Honest numbers (F9): what the configuration lets run, and no multiplexing. */
static void
front_values(struct front *f, struct span asked)
{
	const struct fcgi_values values = {
		.max_conns = (uint32_t)f->gateway->config->queue_host +
		    (uint32_t)f->gateway->config->slots_host,
		.max_reqs = (uint32_t)f->gateway->config->queue_host +
		    (uint32_t)f->gateway->config->slots_host,
		.mpxs_conns = false,
	};

	front_put(f, fcgi_put_values_result(&f->out, asked, &values));
}

static void
front_put(struct front *f, int result)
{
	if (result != 0)
		front_break(f, "no memory for its output");
	else
		front_touch(f);
}

/* ---- output --------------------------------------------------------------- */

size_t
front_waiting(const struct front *f)
{
	return buf_bytes(&f->out);
}

void
front_reply_begins(struct front *f)
{
	f->mark = buf_bytes(&f->out);
	f->whole = true;
}

bool
front_take_back(struct front *f)
{
	if (!f->whole)
		return false;
	f->out.end = f->out.start + f->mark;
	f->whole = false;
	return true;
}

void
front_hold(struct front *f, bool on)
{
	f->held = on;
	if (!on)
		front_touch(f);
}

void
front_done(struct front *f)
{
	bool keep = f->keep && !f->half_closed && !f->only_tenant &&
	    f->gateway->state != GATEWAY_DRAINING;

	f->request = NULL;
	f->held = f->whole = false;
	front_move(f, keep ? FRONT_IDLE : FRONT_CLOSING);
	f->since_ms = loop_now_ms(f->gateway->loop);
	front_touch(f);
}

static void
front_write(struct front *f)
{
	struct span out = buf_span(&f->out);
	ssize_t bytes;

	if (out.bytes == 0)
		return;
	bytes = send(f->fd, out.data, out.bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (bytes < 0) {
		front_gone(f);
		return;
	}
	f->whole = false;
	buf_taken(&f->out, (size_t)bytes);
	list_remove(&f->lapse); /* it moves: not stuck */
	if (f->request && buf_bytes(&f->out) < FRONT_WAIT_LESS)
		request_room(f->request);
	if (f->out.room > REQUEST_BUF_KEPT)
		buf_shrink(&f->out);
}

/* What we want to hear of. A connection that does not read what it asked for
 * is not read either. */
static void
front_listen(struct front *f)
{
	size_t unwritten = buf_bytes(&f->out);
	unsigned events = 0;

	if (!f->waiting && !f->half_closed && buf_bytes(&f->input) == 0 &&
	    unwritten < FRONT_WAIT_MOST)
		events |= LOOP_READ;
	if (unwritten > 0 && !f->held)
		events |= LOOP_WRITE;
	loop_change(f->gateway->loop, &f->watch, events);
}

/* ---- connections nothing happens on ------------------------------------------ */

/* Puts it into the list whose patience it tries; those are in the order of
 * since_ms because it is set to the present when one is added. */
static void
front_lapse(struct front *f)
{
	struct list *list = NULL;

	if (buf_bytes(&f->out) > 0 && !f->held)
		list = &f->gateway->fronts_stuck;
	else if (f->state == FRONT_IDLE || f->state == FRONT_CLOSING)
		list = &f->gateway->fronts_idle;
	if (!list) {
		list_remove(&f->lapse);
	} else if (list_empty(&f->lapse)) {
		f->since_ms = loop_now_ms(f->gateway->loop);
		list_add_last(list, &f->lapse);
		gateway_lapses(f->gateway);
	}
}

void
front_sweep(struct gateway *g, uint64_t now_ms)
{
	LIST_EACH(node, &g->fronts_stuck) {
		struct front *f = LIST_OWNER(node, struct front, lapse);

		if (now_ms - f->since_ms < FRONT_STUCK_MS)
			break;
		front_break(f, "nobody read the reply");
	}
	LIST_EACH(node, &g->fronts_idle) {
		struct front *f = LIST_OWNER(node, struct front, lapse);
		uint64_t idle_ms = now_ms - f->since_ms;

		if (idle_ms < FRONT_LINGER_MS)
			break;
		if (f->state == FRONT_CLOSING)
			front_break(f, "its body had no end");
		else if (idle_ms >= FRONT_PART_MS &&
		    !fcgi_reader_between(&f->reader))
			front_break(f, "a record did not go on");
		else if (idle_ms >= FRONT_IDLE_LONG_MS ||
		    (idle_ms >= FRONT_IDLE_MS && !listener_affords(g)))
			front_break(f, "idle");
	}
}

void
front_drain(struct front *f)
{
	if (f->state == FRONT_IDLE) {
		front_move(f, FRONT_CLOSING);
		front_touch(f);
	}
}
