/* SPDX-License-Identifier: MIT */
/* handler.h - the inside of the handler's side of the SDK, in sections by file.
 * A request comes and its reply leaves through a carrier: the descriptors of a CGI
 * program, a FastCGI connection, or the memory of a test. What authors see of
 * a request and a reply knows nothing of which it is. */
#ifndef SDK_HANDLER_H
#define SDK_HANDLER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/span.h"

#include "sdk/fn.h"
#include "sdk/pairs.h"

typedef int handle_fn(struct fn_request *, struct fn_reply *);

/* ---- a carrier ------------------------------------------------------------- */

struct carrier { /* the first member of each kind */
	/* The next bytes of the body: how many, 0 at the end, -1 broken off. */
	ptrdiff_t (*read)(struct carrier *, char *to, size_t room);
	/* All of head and body: 0, or -1 when nobody is there any more. `last`: no
	 * more of this reply follows. */
	int (*write)(struct carrier *, struct span head, struct span body,
	    bool last);
	void (*log)(struct carrier *, struct span line); /* with its line end */
	int status; /* of the request, as of a program's exit; set before `last` */
};

/* ---- request.c -------------------------------------------------------------- */

enum { REQUEST_DEADLINE_NONE = 0 };

struct fn_request {
	struct carrier *carrier; /* borrowed; outlives us */
	char *const *variables;	 /* "NAME=value" ..., NULL; borrowed */
	int64_t length;		 /* CONTENT_LENGTH; 0: not said */
	int64_t taken;		 /* bytes of the body that were read */
	struct pairs query, cookies, form;
	enum fn_result form_result; /* when form.read */
	struct buf body;	    /* when it is read as a whole */
	enum fn_result body_result;
	bool body_read;
};

void request_init(struct fn_request *, struct carrier *,
    char *const *variables);
void request_free(struct fn_request *);
/* In a list of "NAME=value", or NULL. */
const char *variable_find(char *const *variables, const char *name);
/* Unix time in milliseconds, or REQUEST_DEADLINE_NONE. */
uint64_t request_deadline_ms(const struct fn_request *);

/* ---- reply.c ----------------------------------------------------------------- */

enum {
	REPLY_BODY_MOST = 60 * 1024, /* with its header in one FastCGI record */
	REPLY_HEAD_MOST = 24 * 1024, /* the host takes 32 KiB */
	REPLY_FIELDS_MOST = 200,     /* ... and 256 */
};

struct fn_reply {
	struct fn_request *request; /* borrowed; outlives us */
	unsigned status;
	struct buf head;     /* lines "Name: value\r\n" of what was set */
	struct buf body;     /* not sent yet; of HEAD none */
	uint64_t body_bytes; /* written in all, of HEAD as well */
	bool begun;	     /* the header has been sent */
	bool refused;	     /* a call was FN_BAD: it becomes a 500 */
	bool lost;	     /* nobody is there to read it */
	bool memory;	     /* there was not enough */
};

void reply_init(struct fn_reply *, struct fn_request *);
void reply_free_all(struct fn_reply *);
/* Sends what is left. `result` is what the handler returned. 0, or -1: it was
 * broken off, and who reads it must see that. */
int reply_finish(struct fn_reply *, int result);

/* ---- log.c -------------------------------------------------------------------- */

/* Of which request fn_log() speaks; NULL: of none. */
void log_of(const struct fn_request *);

/* ---- run.c --------------------------------------------------------------------- */

/* One request from its variables to the end of its reply: 0, or -1: broken off. The
 * carrier's status is what the handler returned. */
int run(struct carrier *, char *const *variables, handle_fn *);

/* ---- cgi.c --------------------------------------------------------------------- */

/* The request of the environment and descriptor 0, its reply to descriptor `out`.
 * Returns the exit status of the process. */
int cgi_main(int out, handle_fn *);

/* ---- worker.c ------------------------------------------------------------------- */

/* Requests of the listening socket at descriptor 0, until it is shut or SIGTERM
 * comes. `out` is what descriptor 1 was. Returns the exit status. */
int worker_main(int out, handle_fn *);

/* ---- main.c --------------------------------------------------------------------- */

/* What descriptor 0 was, where nothing that a handler starts reads from it or holds
 * it open; in its place is /dev/null. -1 with errno. */
int standard_take_input(void);

/* ---- template.c ------------------------------------------------------------------ */

/* Is this process to be a template? Asked first, while nothing has been done. */
bool template_asked(void);
/* Before anything of the author's is called. 0, or -1 with errno. */
int template_prepare(void);
/* After fn_init(). Returns true in each process that it makes, which is then as one
 * that was executed; false in the template, with its exit status, in the end. */
bool template_run(int out, int *status);
/* The end of a made process: what is of the template stays the template's. */
void template_leave(int status) __attribute__((noreturn));

/* ---- environment.c --------------------------------------------------------------- */

/* Of a template, before and after fn_init(): 0, or -1 with errno. */
int environment_note(void);
int environment_compare(void);
/* In a made process: these variables, of which there are at most
 * TEMPLATE_VARIABLES_MOST and which stay where they are, with what fn_init() changed
 * in those of the template. */
void environment_become(char *variables, size_t bytes);

/* ---- limit.c --------------------------------------------------------------------- */

/* The alarm that ends the process at that Unix time, in milliseconds, and a limit
 * of so many further processor seconds; 0: none. */
void limit_begin(uint64_t deadline_ms, uint64_t cpu_s);
void limit_end(void);
/* For a process that answers one request, until its end; 0: none. */
void limit_process(uint64_t time_us, uint64_t cpu_s);

#endif
