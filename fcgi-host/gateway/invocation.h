/* SPDX-License-Identifier: MIT */
/* invocation.h - the use that one request makes of a function, in whatever
 * protocol its settings ask for. A request and its reply know what is here and
 * nothing else of processes, pipes and records.
 *
 *   NONE ─(given to a process)─▶ SENT ─▶ EXITED ─▶ OVER
 *    ▲                             └──────────────▶ │
 *    └──(it did not run, local redirect)────────────┘
 *
 * SENT: it may answer. EXITED: how it ended is known, but others of its processes
 * are still being ended. OVER: nothing of it runs; what it wrote may still be
 * read. */
#ifndef GATEWAY_INVOCATION_H
#define GATEWAY_INVOCATION_H

#include "base/buf.h"
#include "wire/fcgi_app.h"

#include "gateway/run.h"

struct link;
struct request;
struct worker;

enum invocation_state {
	INVOCATION_NONE,
	INVOCATION_SENT,
	INVOCATION_EXITED,
	INVOCATION_OVER,
};

enum {
	INVOCATION_SLACK_MS = 50, /* the kernel's alarm comes first */
	INVOCATION_RESENT_MOST = 3,
	INVOCATION_STALE_MOST = 3,
	INVOCATION_BUSY_MS = 5,	       /* file is being written: try again, */
	INVOCATION_BUSY_MOST_MS = 100, /* doubling up to this */
};

/* How a request is put to a function. None of these waits; those without a
 * sentence do nothing when there is nothing to do. */
struct protocol {
	/* STARTING, it has a slot: gives it to a process (invocation_sent()), or
	 * lets it wait (WAITS_PROCESS) until request_proceed(), or ends it. */
	void (*start)(struct request *);
	void (*unwait)(struct request *);
	/* At most room bytes of its output, which *at points to in block; 0 when
	 * no more will come, -1 when there is none now. */
	ssize_t (*read)(struct request *, char *block, size_t room, char **at);
	/* Calls reply_pump(), or reply_drop() when it was answered, whenever
	 * there is something, but not while it is paused. */
	void (*pause)(struct request *, bool);
	void (*look)(struct request *); /* request->look_ms has come */
	/* It has waited as long as it may: ends it. */
	void (*late)(struct request *);
	/* Ends it for this reason: invocation_over() comes. */
	void (*stop)(struct request *, enum end);
	void (*close)(struct request *); /* its output */
	void (*reset)(struct request *); /* OVER ─▶ NONE */
};

/* cgi.c: its own process, which lives for it alone: a run whose standard output
 * is the reply.
 *
 * Output is not watched for the first WATCH milliseconds: most runs are over
 * by then, and all of it is read at once, which spares four system calls and two
 * wake-ups. A function that was seen to write more than a pipe holds well, or to
 * run for long, is watched from the start.
 *
 * A run that has the machine to itself is watched early: as soon as all that
 * its header promised is there it is passed on, and its end is waited for by
 * nobody (measured: a fifth of the latency of a small program). What is not yet
 * whole is held back in that time (reply.early), so that a crash is still a
 * complete 502. */
enum {
	CGI_EARLY_MOST = 1, /* so few at once */
	CGI_WATCH_MS = 20,
	CGI_MUCH = 32 * 1024, /* bytes of output, and */
	CGI_LONG_MS = 100,    /* ... that mean watching */
};

struct cgi {
	struct run run;
	int out_fd; /* ours */
	struct watch out;
	bool watched;
};

extern const struct protocol protocol_cgi;

void cgi_init(struct request *);

/* fastcgi.c: a worker, which serves many, by the records of FastCGI. */
struct exchange {
	struct worker *worker; /* borrowed, while it has the request */
	struct link *link;     /* ours */
	struct fcgi_app app;
	struct buf rest;     /* records that found no room in the socket */
	uint64_t body_bytes; /* of it that are in records */
	bool stdin_ended;
	bool fresh; /* the link was made for it */
	bool heard; /* a byte of the worker has come */
	bool small; /* all of it was sent at once; see fastcgi.h */
	bool keep;  /* the link may be kept */
	bool paused;
	bool left;    /* nobody waits for it any more */
	bool reset;   /* the link broke with bytes unread */
	bool spurned; /* ... of which it had read none */
	bool behind;  /* its worker still does something else */
	uint64_t given_us;
	uint64_t number;   /* of the run it was given to; 0: none yet */
	uint64_t served;   /* ... as its how-manyth request */
	uint64_t peace_ms; /* so long that may take */
	struct watch body; /* a streamed one: more has come */
	int err_fd;	   /* ours: the pipe log reads its STDERR from */
	struct watch err;  /* room in it again */
	struct buf err_rest;
};

extern const struct protocol protocol_fastcgi;

struct invocation {
	enum invocation_state state;
	const struct protocol *protocol; /* from its first start on */
	bool open;			 /* its output: there may be more */
	const char *broken; /* why no more of it will come, in words */
	bool overloaded;    /* ... because it takes no more */
	bool broke_off;	    /* ... because it gave up what it had begun */
	bool not_taken;	    /* its worker ended before it took any request */
	bool forked;	    /* its process was */
	uint64_t sent_ms;
	struct run_result result; /* of who ran it, from EXITED on */
	struct cgi cgi;
	struct exchange exchange;
};

void invocation_init(struct request *);
void invocation_start(struct request *);       /* by the settings it has now */
bool invocation_going(const struct request *); /* SENT or EXITED */
/* Its time is up or it was told to end: how it ended will be known soon. */
bool invocation_ends(const struct request *);
/* Ends it for this reason; the first reason counts. */
void invocation_stop(struct request *, enum end);
void invocation_close_output(struct request *);
void invocation_reset(struct request *); /* OVER ─▶ NONE */

/* What a protocol says of it: it has so much time. */
void invocation_sent(struct request *, uint64_t time_ms);
void invocation_exited(struct request *, const struct run_result *);
void invocation_over(struct request *, const struct run_result *);

#endif
