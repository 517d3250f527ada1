/* SPDX-License-Identifier: MIT */
/* connection.c - one connection of the web server, as the application side of
 * FastCGI (specification sections 3 to 5). Knows records and the order in which
 * they may come; what a request is made of goes to the owner's hooks. Serves one
 * request at a time and says so: another id meanwhile is refused with
 * CANT_MPX_CONN, the same id before its STDIN is over breaks the connection,
 * afterwards it waits.
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
#include "base/fd.h"

#include "serve/connection.h"

/* All connections read into this; what has to wait is copied. */
static char incoming[CONNECTION_READ_BYTES];

static void connection_move(struct connection *, enum connection_state);
static void connection_check(const struct connection *);
static void connection_ready(void *arg, unsigned events);
static void connection_gone(struct connection *);
static void connection_read(struct connection *, unsigned events);
static void connection_input_ends(struct connection *, bool gone);
static void connection_parse(struct connection *, struct span *in);
static void connection_resume(struct connection *);
static enum connection_sink connection_record(struct connection *);
static enum connection_sink connection_record_begin(struct connection *);
static enum connection_sink connection_record_management(struct connection *);
static void connection_content(struct connection *, struct span content);
static void connection_record_end(struct connection *);
static void connection_begin(struct connection *, struct span content);
static void connection_values(struct connection *, struct span asked);
static void connection_finish(struct connection *, bool keep);
static void connection_write(struct connection *);
static void connection_listen(struct connection *);
static void connection_lapse(struct connection *);
static void connection_say(struct connection *, int result);
static void connection_free(void *arg);
static bool connection_takes_body(const struct connection *);

struct connection *
connection_new(struct serve *s, int *fd, bool once, void *arg)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		goto out;
	c->serve = s;
	c->fd = *fd;
	c->once = once;
	c->arg = arg;
	c->stdin_ended = true;
	fcgi_reader_init(&c->reader);
	buf_init(&c->input, CONNECTION_READ_BYTES);
	buf_init(&c->gather, FCGI_MAX_LENGTH);
	buf_init(&c->out, s->out_most);
	list_init(&c->all);
	list_init(&c->lapse);
	list_init(&c->touched);
	watch_init(&c->watch, connection_ready, c);
	if (loop_watch(s->loop, &c->watch, c->fd, LOOP_READ) != 0)
		goto out;
	*fd = -1;
	list_add_last(&s->all, &c->all);
	s->connections++;
	connection_lapse(c);
	return c;
out:
	free(c);
	fd_close(fd);
	return NULL;
}

static void
connection_move(struct connection *c, enum connection_state to)
{
	static const bool drawn[][CONNECTION_GONE + 1] = {
		[CONNECTION_IDLE] = { [CONNECTION_ACTIVE] = true,
		    [CONNECTION_CLOSING] = true,
		    [CONNECTION_GONE] = true },
		[CONNECTION_ACTIVE] = { [CONNECTION_IDLE] = true,
		    [CONNECTION_CLOSING] = true,
		    [CONNECTION_GONE] = true },
		[CONNECTION_CLOSING] = { [CONNECTION_GONE] = true },
		[CONNECTION_GONE] = { false },
	};

	assert(drawn[c->state][to]);
	c->state = to;
	connection_check(c);
}

static void
connection_check(const struct connection *c)
{
	assert((c->request != NULL) == (c->state == CONNECTION_ACTIVE));
	assert((c->fd >= 0) == (c->state != CONNECTION_GONE));
	assert(c->state != CONNECTION_GONE || c->watch.fd < 0);
	assert(!c->whole || buf_bytes(&c->out) >= c->mark);
}

/* ---- events --------------------------------------------------------------- */

static void
connection_ready(void *arg, unsigned events)
{
	struct connection *c = arg;

	if (events == LOOP_HANGUP) { /* we read nothing, and they are gone */
		connection_gone(c);
		return;
	}
	if (events & LOOP_READ)
		connection_read(c, events);
	if (events & LOOP_WRITE && c->state != CONNECTION_GONE)
		connection_touch(c);
}

/* The flags of an adopted socket are also somebody else's: MSG_DONTWAIT. */
static void
connection_read(struct connection *c, unsigned events)
{
	struct span in;
	ssize_t bytes;

	bytes = recv(c->fd, incoming, sizeof(incoming), MSG_DONTWAIT);
	if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (bytes <= 0) {
		connection_input_ends(c, bytes < 0 || (events & LOOP_HANGUP));
		return;
	}
	in = span_make(incoming, (size_t)bytes);
	connection_parse(c, &in);
	if (c->state != CONNECTION_GONE && in.bytes > 0 &&
	    buf_put(&c->input, in) != 0)
		connection_break(c, "no memory for its input");
	connection_touch(c);
}

/* Half closed, behind a whole request, is a way to say that it was the last. */
static void
connection_input_ends(struct connection *c, bool gone)
{
	if (gone || c->state == CONNECTION_IDLE ||
	    (c->state == CONNECTION_ACTIVE && !c->stdin_ended)) {
		connection_gone(c);
		return;
	}
	c->half_closed = c->stdin_ended = true;
	connection_touch(c);
}

void
connection_touch(struct connection *c)
{
	if (c->state != CONNECTION_GONE && list_empty(&c->touched))
		list_add_last(&c->serve->touched, &c->touched);
}

/* Once at the end of a batch for each connection that something happened to. */
void
connection_settle(struct connection *c)
{
	list_remove(&c->touched);
	connection_resume(c);
	if (c->state != CONNECTION_GONE && !c->held)
		connection_write(c);
	if (c->state == CONNECTION_CLOSING && buf_bytes(&c->out) == 0 &&
	    c->stdin_ended)
		connection_gone(c);
	if (c->state == CONNECTION_GONE)
		return;
	connection_listen(c);
	connection_lapse(c);
	connection_check(c);
}

static void
connection_gone(struct connection *c)
{
	struct serve *s = c->serve;
	void *request = c->request;

	if (c->state == CONNECTION_GONE)
		return;
	c->request = NULL;
	loop_unwatch(s->loop, &c->watch);
	fd_close(&c->fd);
	c->whole = false;
	connection_move(c, CONNECTION_GONE);
	list_remove(&c->all);
	list_remove(&c->lapse);
	list_remove(&c->touched);
	s->connections--;
	loop_defer(s->loop, &c->end, connection_free, c);
	if (request)
		s->hooks->abort(request, true);
	if (s->hooks->closed)
		s->hooks->closed(c);
	serve_freed(s);
}

static void
connection_free(void *arg)
{
	struct connection *c = arg;

	buf_free(&c->input);
	buf_free(&c->gather);
	buf_free(&c->out);
	free(c);
}

void
connection_break(struct connection *c, const char *why)
{
	diag_debug("connection closed: %s", why);
	connection_gone(c);
}

/* nginx that does not buffer takes a closed connection for the end of a reply
 * (tried with 1.22.1). Eight bytes that begin no record of any version are an
 * error to it. They go where a record would, behind all that still waits to be
 * written, however long a slow client takes for that. One that buffers sees the
 * close, and would drop a header that came together with the error. */
void
connection_break_off(struct connection *c)
{
	static const char no_record[FCGI_HEADER_LEN];
	void *request = c->request;

	c->out.ceiling += sizeof(no_record);
	if (c->state != CONNECTION_ACTIVE ||
	    buf_put(&c->out, span_make(no_record, sizeof(no_record))) != 0) {
		connection_break(c, "a reply broke off");
		return;
	}
	diag_debug("connection closes: a reply broke off");
	c->stdin_ended = true; /* nobody waits for more of it */
	connection_finish(c, false);
	c->serve->hooks->abort(request, true);
}

/* ---- records -------------------------------------------------------------- */

/* Takes from *in until it is used up, has to wait, or the connection ends. */
static void
connection_parse(struct connection *c, struct span *in)
{
	struct span content;

	assert(!c->parsing);
	c->parsing = true;
	while (!c->waiting && c->state != CONNECTION_GONE) {
		switch (fcgi_read(&c->reader, in, &content)) {
		case FCGI_NEED_MORE:
			goto out;
		case FCGI_RECORD:
			c->sink = connection_record(c);
			break;
		case FCGI_CONTENT:
			connection_content(c, content);
			break;
		case FCGI_RECORD_END:
			connection_record_end(c);
			break;
		case FCGI_BAD_VERSION:
			diag_warn("connection closed: what came is not "
				  "FastCGI version 1 (F2)");
			connection_gone(c);
			break;
		}
	}
out:
	c->parsing = false;
	if (c->request && c->serve->hooks->rests)
		c->serve->hooks->rests(c->request);
}

static bool
connection_takes_body(const struct connection *c)
{
	return !c->serve->hooks->takes_body ||
	    c->serve->hooks->takes_body(c->request);
}

/* Input that waited goes on if it may. */
static void
connection_resume(struct connection *c)
{
	struct span in;
	size_t before;

	if (c->state == CONNECTION_GONE || !c->waiting)
		return;
	c->waiting = false;
	if (c->undecided) {
		c->undecided = false;
		c->sink = connection_record(c);
	} else {
		c->waiting = c->request && !connection_takes_body(c);
	}
	if (c->waiting || c->state == CONNECTION_GONE)
		return;
	in = buf_span(&c->input);
	before = in.bytes;
	connection_parse(c, &in);
	buf_taken(&c->input, before - in.bytes);
	buf_shrink(&c->input);
}

/* Where the content of the record that begins goes. Sets `waiting` when that
 * cannot be said yet. */
static enum connection_sink
connection_record(struct connection *c)
{
	const struct fcgi_record *record = &c->reader.record;
	bool active = c->request && record->id == c->id;

	if (c->state == CONNECTION_CLOSING && record->type != FCGI_STDIN)
		return CONNECTION_IGNORE;
	if (record->id == FCGI_NULL_REQUEST_ID)
		return connection_record_management(c);
	switch (record->type) {
	case FCGI_BEGIN_REQUEST:
		return connection_record_begin(c);
	case FCGI_ABORT_REQUEST:
		if (active)
			c->serve->hooks->abort(c->request, false);
		return CONNECTION_IGNORE;
	case FCGI_PARAMS:
		if (!active || c->params_ended)
			return CONNECTION_IGNORE;
		return CONNECTION_PARAMS;
	case FCGI_STDIN:
		/* Late STDIN of a request that was answered is read to its
		 * end; what comes behind that is ignored (F6, F8). */
		if (record->id != c->id || c->stdin_ended)
			return CONNECTION_IGNORE;
		if (active && !c->params_ended) {
			connection_break(c, "STDIN before the end of PARAMS");
			return CONNECTION_IGNORE;
		}
		if (active && record->content_bytes > 0 &&
		    !connection_takes_body(c))
			c->waiting = c->undecided = true;
		return CONNECTION_BODY;
	default: /* DATA, what only we may send, what nobody knows (F10) */
		return CONNECTION_IGNORE;
	}
}

static enum connection_sink
connection_record_begin(struct connection *c)
{
	if (c->reader.record.content_bytes != sizeof(FCGI_BeginRequestBody)) {
		diag_warn("connection closed: BEGIN_REQUEST of %u bytes (F3)",
		    c->reader.record.content_bytes);
		connection_gone(c);
		return CONNECTION_IGNORE;
	}
	if (c->request && c->reader.record.id == c->id) {
		if (!c->stdin_ended) {
			diag_warn("connection closed: request %u began twice "
				  "(F5)",
			    c->id);
			connection_gone(c);
			return CONNECTION_IGNORE;
		}
		c->waiting = c->undecided = true; /* F17 */
	}
	return CONNECTION_BEGIN;
}

static enum connection_sink
connection_record_management(struct connection *c)
{
	if (c->reader.record.type == FCGI_GET_VALUES)
		return CONNECTION_VALUES;
	connection_say(c,
	    fcgi_put_unknown_type(&c->out, c->reader.record.type));
	return CONNECTION_IGNORE;
}

static void
connection_content(struct connection *c, struct span content)
{
	const struct serve_hooks *hooks = c->serve->hooks;

	switch (c->sink) {
	case CONNECTION_IGNORE:
		break;
	case CONNECTION_PARAMS:
		if (c->request)
			hooks->params(c->request, content);
		break;
	case CONNECTION_BODY:
		if (!c->request)
			break;
		if (hooks->body)
			hooks->body(c->request, content);
		if (c->request && !connection_takes_body(c))
			c->waiting = true;
		break;
	case CONNECTION_BEGIN:
	case CONNECTION_VALUES:
		/* The usual case needs no copy: it came in one piece. */
		if (content.bytes == c->reader.record.content_bytes) {
			if (c->sink == CONNECTION_BEGIN)
				connection_begin(c, content);
			else
				connection_values(c, content);
			c->sink = CONNECTION_IGNORE;
		} else if (buf_put(&c->gather, content) != 0) {
			connection_break(c, "no memory for a record");
		}
		break;
	}
}

static void
connection_record_end(struct connection *c)
{
	const struct serve_hooks *hooks = c->serve->hooks;
	enum connection_sink sink = c->sink;
	bool empty = c->reader.record.content_bytes == 0;

	c->sink = CONNECTION_IGNORE;
	if (sink == CONNECTION_BEGIN || sink == CONNECTION_VALUES) {
		if (sink == CONNECTION_BEGIN)
			connection_begin(c, buf_span(&c->gather));
		else
			connection_values(c, buf_span(&c->gather));
		buf_free(&c->gather);
	} else if (c->request && empty && sink == CONNECTION_PARAMS) {
		c->params_ended = true;
		hooks->params_end(c->request);
	} else if (empty && sink == CONNECTION_BODY) {
		c->stdin_ended = true;
		if (c->request && hooks->body_end)
			hooks->body_end(c->request);
	}
}

static void
connection_begin(struct connection *c, struct span content)
{
	struct fcgi_begin begin;
	uint16_t id = c->reader.record.id;

	if (fcgi_begin_parse(content, &begin) != 0) {
		connection_break(c, "BEGIN_REQUEST of another size");
		return;
	}
	if (c->state == CONNECTION_CLOSING) /* since its record began */
		return;
	if (c->request) { /* another id: the first goes on (F5) */
		connection_say(c,
		    fcgi_put_end(&c->out, id, 0, FCGI_CANT_MPX_CONN));
		return;
	}
	if (begin.role != FCGI_RESPONDER) { /* F4 */
		connection_say(c,
		    fcgi_put_end(&c->out, id, 0, FCGI_UNKNOWN_ROLE));
		if (!begin.keep_conn && c->state == CONNECTION_IDLE)
			connection_move(c, CONNECTION_CLOSING);
		return;
	}
	c->id = id;
	c->request = c->serve->hooks->begin(c);
	if (!c->request) {
		connection_break(c, "no memory for a request");
		return;
	}
	c->keep = begin.keep_conn;
	c->params_ended = c->stdin_ended = false;
	list_remove(&c->lapse);
	connection_move(c, CONNECTION_ACTIVE);
}

/* Honest numbers (F9): what the configuration lets run, and no multiplexing. */
static void
connection_values(struct connection *c, struct span asked)
{
	const struct fcgi_values values = {
		.max_conns = c->serve->conns_most,
		.max_reqs = c->serve->conns_most,
		.mpxs_conns = false,
	};

	connection_say(c, fcgi_put_values_result(&c->out, asked, &values));
}

static void
connection_say(struct connection *c, int result)
{
	if (result != 0)
		connection_break(c, "no memory for its output");
	else
		connection_touch(c);
}

/* ---- output --------------------------------------------------------------- */

size_t
connection_waiting(const struct connection *c)
{
	return buf_bytes(&c->out);
}

void
connection_reply_begins(struct connection *c)
{
	c->mark = buf_bytes(&c->out);
	c->whole = true;
}

bool
connection_take_back(struct connection *c)
{
	if (!c->whole)
		return false;
	c->out.end = c->out.start + c->mark;
	c->whole = false;
	return true;
}

void
connection_hold(struct connection *c, bool on)
{
	c->held = on;
	if (!on)
		connection_touch(c);
}

int
connection_put(struct connection *c, struct span s)
{
	if (fcgi_put_stream(&c->out, FCGI_STDOUT, c->id, s) != 0)
		return -1;
	connection_touch(c);
	return 0;
}

void
connection_end(struct connection *c, uint32_t app_status)
{
	if (fcgi_put_stream_end(&c->out, FCGI_STDOUT, c->id) != 0 ||
	    fcgi_put_end(&c->out, c->id, app_status, FCGI_REQUEST_COMPLETE) !=
		0) {
		connection_break(c, "no memory for the end of a reply");
		return;
	}
	connection_done(c);
}

void
connection_done(struct connection *c)
{
	connection_finish(c,
	    c->keep && !c->half_closed && !c->once && !c->serve->draining);
}

static void
connection_finish(struct connection *c, bool keep)
{
	c->request = NULL;
	c->held = c->whole = false;
	connection_move(c, keep ? CONNECTION_IDLE : CONNECTION_CLOSING);
	c->since_ms = loop_now_ms(c->serve->loop);
	connection_touch(c);
}

static void
connection_write(struct connection *c)
{
	struct span out = buf_span(&c->out);
	ssize_t bytes;

	if (out.bytes == 0)
		return;
	bytes = send(c->fd, out.data, out.bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (bytes < 0) {
		connection_gone(c);
		return;
	}
	c->whole = false;
	buf_taken(&c->out, (size_t)bytes);
	list_remove(&c->lapse); /* it moves: not stuck */
	if (c->request && c->serve->hooks->room &&
	    buf_bytes(&c->out) < CONNECTION_WAIT_LESS)
		c->serve->hooks->room(c->request);
	if (c->out.room > CONNECTION_OUT_KEPT)
		buf_shrink(&c->out);
}

/* What we want to hear of. A connection that does not read what it asked for
 * is not read either. */
static void
connection_listen(struct connection *c)
{
	size_t unwritten = buf_bytes(&c->out);
	unsigned events = 0;

	if (!c->waiting && !c->half_closed && buf_bytes(&c->input) == 0 &&
	    unwritten < CONNECTION_WAIT_MOST)
		events |= LOOP_READ;
	if (unwritten > 0 && !c->held)
		events |= LOOP_WRITE;
	loop_change(c->serve->loop, &c->watch, events);
}

/* ---- connections nothing happens on ------------------------------------------ */

/* Puts it into the list whose patience it tries; those are in the order of
 * since_ms because it is set to the present when one is added. */
static void
connection_lapse(struct connection *c)
{
	struct list *list = NULL;

	if (buf_bytes(&c->out) > 0 && !c->held)
		list = &c->serve->stuck;
	else if (c->state == CONNECTION_IDLE || c->state == CONNECTION_CLOSING)
		list = &c->serve->idle;
	if (!list) {
		list_remove(&c->lapse);
	} else if (list_empty(&c->lapse)) {
		c->since_ms = loop_now_ms(c->serve->loop);
		list_add_last(list, &c->lapse);
		serve_lapses(c->serve);
	}
}

void
connection_sweep(struct serve *s, uint64_t now_ms)
{
	LIST_EACH(node, &s->stuck) {
		struct connection *c =
		    LIST_OWNER(node, struct connection, lapse);

		if (now_ms - c->since_ms < CONNECTION_STUCK_MS)
			break;
		connection_break(c, "nobody read the reply");
	}
	LIST_EACH(node, &s->idle) {
		struct connection *c =
		    LIST_OWNER(node, struct connection, lapse);
		uint64_t idle_ms = now_ms - c->since_ms;

		if (idle_ms < CONNECTION_LINGER_MS)
			break;
		if (c->state == CONNECTION_CLOSING)
			connection_break(c, "its body had no end");
		else if (idle_ms >= CONNECTION_PART_MS &&
		    !fcgi_reader_between(&c->reader))
			connection_break(c, "a record did not go on");
		else if (idle_ms >= CONNECTION_IDLE_LONG_MS ||
		    (idle_ms >= CONNECTION_IDLE_MS && !serve_affords(s)))
			connection_break(c, "idle");
	}
}

void
connection_drain(struct connection *c)
{
	if (c->state == CONNECTION_IDLE) {
		connection_move(c, CONNECTION_CLOSING);
		connection_touch(c);
	}
}
