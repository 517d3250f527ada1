/* SPDX-License-Identifier: MIT */
/* records.h - the application's side of one FastCGI connection (specification
 * sections 3 to 6): requests one after the other, blocking. Only here does the
 * SDK know a record.
 *
 *     BETWEEN ▶ PARAMS ▶ REQUEST ▶ BETWEEN
 *                                 any ▶ OVER   (closed, or what came is no FastCGI)
 */
#ifndef SDK_RECORDS_H
#define SDK_RECORDS_H

#include <signal.h>

#include "wire/fcgi.h"
#include "wire/params.h"

#include "sdk/handler.h"

enum { FASTCGI_IN_BYTES = 32 * 1024 };

enum fastcgi_state {
	FASTCGI_BETWEEN, /* id is 0 */
	FASTCGI_PARAMS,	 /* of request `id` */
	FASTCGI_REQUEST, /* they are complete */
	FASTCGI_OVER,
};

/* Read by a signal handler. `waiting`: in a call that may last for ever, for a
 * request that has not begun. */
struct turn {
	volatile sig_atomic_t waiting;
	volatile sig_atomic_t stopping; /* no further request is wanted */
};

struct fastcgi {
	struct carrier carrier;
	struct turn *turn; /* borrowed */
	bool patient; /* the web server sends all of a body, whatever it gets */
	int fd;	      /* ours, -1: none */
	enum fastcgi_state state;
	struct fcgi_reader reader;
	struct span unread; /* of `in` */
	struct span slice;  /* of the body, in `in`, not yet handed out */
	struct buf small;   /* content of BEGIN and of management records */
	struct buf params;
	bool params_large; /* above PARAMS_STREAM_MOST */
	char *text;	   /* ours: what they are made into */
	char *variables[PARAMS_COUNT_MOST + 1];
	uint16_t id;
	bool keep;
	bool input_over; /* of the body */
	bool aborted;	 /* by the web server: nobody waits for the reply */
	bool begun;	 /* some of the reply has been sent */
	bool said;	 /* something to FCGI_STDERR */
	bool ended;	 /* END_REQUEST has been sent */
	char in[FASTCGI_IN_BYTES];
};

void fastcgi_init(struct fastcgi *, struct turn *);
void fastcgi_open(struct fastcgi *, int fd); /* takes it over */
/* Waits for a request, up to the end of its parameters: 0, or -1: none comes. */
int fastcgi_request(struct fastcgi *);
/* "NAME=value" for each parameter, ends with NULL; until the next request. NULL: they
 * are none, too many, or there is no memory. */
char *const *fastcgi_variables(struct fastcgi *);
/* The reply is finished, or broken off (then so is the connection): ends the
 * request. True: another one may follow. */
bool fastcgi_end(struct fastcgi *, bool broken);
void fastcgi_close(struct fastcgi *);

#endif
