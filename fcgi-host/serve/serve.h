/* SPDX-License-Identifier: MIT */
/* serve.h - the application side of FastCGI (specification sections 3 to 5): a
 * listening socket, the connections of the web server, and the order in which
 * records may come. Knows nothing of what a request means: what comes of it goes
 * to the hooks, what is to be answered is put into the connection's `out`.
 *
 * One thread, the owner's loop. Output of a batch is gathered and written once,
 * at its end: the owner's before-wait hook calls serve_settle() until it says
 * false. A request costs no allocation here and no copy of its bytes but the one
 * into `out`. */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/loop.h"
#include "wire/fcgi.h"

struct connection;
struct serve;

/* ---- what the owner does ------------------------------------------------------
 *
 *   begin ─▶ params* ─▶ params_end ─▶ body* ─▶ body_end
 *      any of these may be the last: ─▶ abort
 *
 * A request may be answered at any point (connection_done), from within a hook as
 * well: it is then not called again. Spans are valid until the hook returns. A
 * hook that is NULL is not called; begin, params, params_end and abort must be
 * there. */

struct serve_hooks {
	/* A responder's request begins: it is passed to the hooks below. NULL:
	 * no memory; the connection is closed. */
	void *(*begin)(struct connection *);
	void (*params)(void *request, struct span);
	void (*params_end)(void *request);
	/* May body be called? Otherwise its bytes wait, mostly in the socket,
	 * until connection_touch(). Turns false within hooks of the request
	 * only. NULL: always. */
	bool (*takes_body)(const void *request);
	void (*body)(void *request, struct span);
	void (*body_end)(void *request);
	/* What came was handed on, and more is to come. */
	void (*rests)(void *request);
	/* Written: less than CONNECTION_WAIT_LESS is waiting now. */
	void (*room)(void *request);
	/* gone: the web server closed the connection, or it broke, and may not
	 * be used any more. Otherwise FCGI_ABORT_REQUEST came (F11): END_REQUEST
	 * is still to be sent, now or later. */
	void (*abort)(void *request, bool gone);
	/* A connection has ended; its memory lives until the end of the batch.
	 * What `arg` points to is the owner's to free, here. */
	void (*closed)(struct connection *);
	/* Descriptors in use beside connections and the reserve. NULL: none. */
	size_t (*fds)(const void *owner);
};

/* ---- serve.c, listener.c: one listening socket -----------------------------------
 *
 *   IDLE ─▶ OPEN ◀──(freed, a second later)── PAUSED
 *             └──────(descriptors are short)────▶┘        any ─▶ CLOSED */

enum {
	SERVE_BATCH = 32,      /* connections an event */
	SERVE_RESERVE = 64,    /* the usual reserve */
	SERVE_PAUSE_MS = 1000, /* before it is looked at again */
	SERVE_SWEEP_MS = 1000, /* what lapses is looked for so often */
};

enum listener_state {
	LISTENER_IDLE,
	LISTENER_OPEN,
	LISTENER_PAUSED,
	LISTENER_CLOSED,
};

struct listener {
	enum listener_state state;
	int fd; /* ours */
	size_t fd_limit;
	struct watch watch;
	struct timer pause;
};

struct serve { /* embedded in its owner */
	/* to be read only */
	struct loop *loop; /* borrowed, outlives us */
	const struct serve_hooks *hooks;
	void *owner;
	const char *name;   /* of the socket, for the log: "front" */
	size_t connections; /* now */
	uint64_t accepted;  /* connections, ever */
	uint64_t refused;   /* by their user */
	uint64_t pauses;    /* descriptors were short */
	bool draining;
	/* to be set */
	size_t reserve;	     /* descriptors kept for the owner itself */
	size_t request_fds;  /* a request needs at most */
	uint32_t conns_most; /* for who asks (GET_VALUES) */
	size_t out_most;     /* bytes of one batch, with CONNECTION_WAIT_MOST */

	/* ours alone */
	struct listener listener;
	struct timer sweep;
	uid_t uid;    /* we are this user */
	uid_t *users; /* ours: who may connect */
	size_t user_count;
	const char *users_option;
	struct list all;
	struct list idle;    /* without a request, longest first */
	struct list stuck;   /* with bytes nobody reads, longest first */
	struct list touched; /* to be settled at the end of the batch */
};

void serve_init(struct serve *, struct loop *, const struct serve_hooks *,
    void *owner, const char *name);
/* Users who may connect beside root and our own, by name or number; those this
 * machine does not have are said in the log, naming `option`. */
void serve_users(struct serve *, char *const *names, size_t count,
    const char *option);
/* Serves connections of this listening socket, which it takes; fatal when it is
 * none. Raises the limit of open files as far as it may. */
void serve_open(struct serve *, int fd);
/* May one more connection with a request be afforded? */
bool serve_affords(const struct serve *);
/* A descriptor was closed: a pause for want of them is over. */
void serve_freed(struct serve *);
/* Settles a connection that something happened to; false when there is none. */
bool serve_settle(struct serve *);
/* Accepts no more; connections close when their request is over. */
void serve_drain(struct serve *);
/* Other hooks from now on. Connections there are break: their requests are the
 * old owner's, which hears of it. */
void serve_change(struct serve *, const struct serve_hooks *, void *owner);
/* Breaks what is left. The loop must go through one more batch before it or the
 * owner is freed. */
void serve_close(struct serve *);

/* ---- connection.c: one connection of the web server ---------------------------------
 *
 *   IDLE ◀──────────────▶ ACTIVE ──────▶ CLOSING ──▶ GONE
 *     BEGIN / END_REQUEST     END_REQUEST    written
 *   IDLE, ACTIVE ─(peer gone, protocol broken, reply broken)─▶ GONE
 *
 * IDLE: no request. ACTIVE: exactly one. CLOSING: what is to be written is, the
 * rest of the body is read and dropped, then it closes. GONE: closed, memory until
 * the end of the batch.
 *
 * Input waits unread, in the socket and up to one read of it here, while the
 * request cannot take more of its body, or while the next request is there
 * before the one before it is over (F17). A connection that is half closed behind
 * a whole request is served to its end (F16). */

enum connection_state {
	CONNECTION_IDLE,
	CONNECTION_ACTIVE,
	CONNECTION_CLOSING,
	CONNECTION_GONE,
};

enum connection_sink { /* where the content of this record goes */
	CONNECTION_IGNORE,
	CONNECTION_BEGIN,
	CONNECTION_PARAMS,
	CONNECTION_BODY,
	CONNECTION_VALUES,
};

enum {
	CONNECTION_READ_BYTES = 64 * 1024, /* the buffer all share */
	CONNECTION_WAIT_MOST = 256 * 1024, /* unwritten: put no more, and wait
					     * for the hook room, which comes */
	CONNECTION_WAIT_LESS = 64 * 1024,  /* ... when it is less than this */
	CONNECTION_OUT_MOST = 2 * 1024 * 1024, /* the usual out_most */
	CONNECTION_OUT_KEPT = 4096,	/* room kept when all is written */
	CONNECTION_IDLE_MS = 75 * 1000, /* nginx closes after 60 s, so first */
	CONNECTION_IDLE_LONG_MS = 600 * 1000, /* descriptors are not short */
	CONNECTION_LINGER_MS = 5 * 1000,  /* closing, but the body goes on */
	CONNECTION_PART_MS = 60 * 1000,	  /* in the middle of a record */
	CONNECTION_STUCK_MS = 120 * 1000, /* nothing of a reply was read */
};

struct connection {
	/* to be read, and written to, by who answers */
	struct buf out; /* records: fcgi_put_...(&c->out, ..., c->id, ...) and
			 * then connection_touch() */
	uint16_t id;	/* of the request */
	void *arg;	/* the owner's, from connection_new() */

	/* ours alone */
	enum connection_state state;
	struct serve *serve; /* borrowed */
	int fd;		     /* ours */
	struct watch watch;
	struct fcgi_reader reader;
	enum connection_sink sink;
	bool parsing;	/* we are inside connection_parse() */
	bool waiting;	/* input has to wait */
	bool undecided; /* ... at the head of a record */
	bool once;	/* for one request */
	bool keep;	/* FCGI_KEEP_CONN */
	bool params_ended;
	bool stdin_ended;
	bool half_closed;  /* nothing more will come */
	bool held;	   /* output waits for more of it */
	bool whole;	   /* nothing of the reply was written yet */
	size_t mark;	   /* bytes in out before the reply */
	void *request;	   /* the owner's; NULL unless ACTIVE */
	struct buf input;  /* read, not parsed yet */
	struct buf gather; /* a small record in pieces */
	uint64_t since_ms; /* idle, or stuck */
	struct list all;
	struct list lapse; /* serve->idle or serve->stuck */
	struct list touched;
	struct deferred end;
};

/* A connection that came another way, for one request. Takes *fd. NULL when
 * memory or epoll refuse; then the hook closed is not called. */
struct connection *connection_new(struct serve *, int *fd, bool once,
    void *arg);
void connection_touch(struct connection *); /* settled at the batch's end */
size_t connection_waiting(const struct connection *); /* bytes not written */

/* A piece of the reply: a CGI header and body, in as many pieces as one likes. 0,
 * or -1 when memory or serve->out_most are reached: connection_break() it. */
int connection_put(struct connection *, struct span);
/* The reply is complete: end of STDOUT, END_REQUEST, and connection_done(). When
 * there is no memory for them the connection is broken, and abort comes. */
void connection_end(struct connection *, uint32_t app_status);

/* For who writes records into `out` himself. END_REQUEST is there: the request is
 * not called any more. */
void connection_done(struct connection *);
/* The reply begins here; connection_take_back() forgets it again, if nothing of
 * it was written (true). */
void connection_reply_begins(struct connection *);
bool connection_take_back(struct connection *);
/* Writes nothing until it is called with false, or the request is done. */
void connection_hold(struct connection *, bool);
/* Closes at once; the request hears it by abort. */
void connection_break(struct connection *, const char *why);
/* ... when all before it is written, with bytes that are no end of a reply to any
 * web server: for a reply that has begun and cannot be completed. */
void connection_break_off(struct connection *);

#endif
