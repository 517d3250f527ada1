/* SPDX-License-Identifier: MIT */
/* fastcgi.h - one request put to one worker, and the connections to workers.
 *
 * A request counts as taken when its worker accepted the connection that was made
 * for it: until then it can be taken back, exactly, and put to another. On a kept
 * connection nobody can know; so one is kept with programs of the SDK, which say
 * that they read all they are sent and end only when told to, and with any
 * program behind a small request, which it has certainly read whole: without a
 * body, sent at once in so few bytes that libfcgi reads them at once. The next on
 * that connection is a GET or HEAD without a body again, or comes on a new one. As
 * long as something of a small one is unread there, nothing of it was begun.
 * None is kept with programs that were seen to begin a reply before they had read
 * a small request whole, that close it all the same, or that did something behind
 * END_REQUEST while the next request waited for them. */
#ifndef GATEWAY_FASTCGI_H
#define GATEWAY_FASTCGI_H

#include "base/buf.h"
#include "base/loop.h"
#include "wire/fcgi_app.h"

#include "gateway/invocation.h"

struct worker;

enum {
	FASTCGI_KEEP_MOST = 8192,	 /* bytes of a request: see above */
	FASTCGI_SMALL_BODY = 16 * 1024,	 /* sent with its parameters */
	FASTCGI_STDIN_BYTES = 64 * 1024, /* gathered, then sent */
	FASTCGI_STDIN_TURNS = 4,	 /* so often an event */
	FASTCGI_ENDS_MS = 50,		 /* and its end is known within */
	FASTCGI_TAKEN_MS = 1000,	 /* a proved worker accepts within */
};

struct link { /* a connection to a worker */
	struct gateway *gateway;
	int fd; /* ours */
	struct watch watch;
	struct request *request; /* NULL: kept */
	struct worker *worker;	 /* NULL: it is gone */
	bool closed;		 /* at the end of the batch */
	struct deferred end;
};

void link_close(struct link **); /* NULL is harmless */

void exchange_init(struct request *);
/* To this worker, which is idle or starting; when it cannot take it the request
 * proceeds without it. */
void fastcgi_give(struct request *, struct worker *);
/* Its worker is over or gave it back, and has forgotten it. unread: not a byte of
 * it was read. */
void exchange_over(struct request *, const struct run_result *, bool unread);
/* What was sent of a streamed body, to be sent again: fd is the other end of its
 * link, which nobody had. */
void exchange_recover(struct request *, int fd);
/* Its worker ended by itself and has taken none at all: whether it is worth while
 * to try another. */
void exchange_not_taken(struct request *, const struct run_result *);
/* Whether a worker that ended so had read none of it on its kept connection. */
bool exchange_unread(const struct request *, const struct run_result *);

#endif
