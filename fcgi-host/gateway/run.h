/* SPDX-License-Identifier: MIT */
/* run.h - one process of a function, from the wish for it to the word of its
 * launcher that nothing of it is left. Knows no request: whose it is, and what
 * comes of it, is its owner's business.
 *
 *   NONE ─▶ WAITING ─▶ NONE ─(START)─▶ SENT ─(EXITED)─▶ EXITED ─(ENDED)─▶ OVER
 *    ▲      (for a launcher)             └──(ENDED, launcher gone)─────────▶ │
 *    └─────────────────────────────(run_reset)──────────────────────────────┘
 *
 * and beside it, once it has to end before it would by itself:
 *
 *   RUN_ON ─▶ ASKED (TERM) ─grace─▶ KILLED ─▶ CELL_KILLED ─▶ ABANDONED
 *
 * The gateway can signal nobody: it orders, cell and launcher act; what they do
 * not confirm in time ends with the cell. */
#ifndef GATEWAY_RUN_H
#define GATEWAY_RUN_H

#include "base/list.h"
#include "base/loop.h"
#include "config/settings.h"
#include "ipc/message.h"

#include "gateway/environment.h"
#include "gateway/outcome.h"

struct cell;
struct function;
struct gateway;
struct launcher;
struct tenant;

enum run_state {
	RUN_NONE,
	RUN_WAITING,
	RUN_SENT,
	RUN_EXITED,
	RUN_OVER,
};

enum run_stop { STOP_NONE, STOP_ASKED, STOP_KILLED, STOP_CELL, STOP_ABANDONED };

enum {
	RUN_CONFIRM_MS = 500,  /* behind grace, then the cell ends */
	RUN_ABANDON_MS = 2000, /* behind that, we are on our own */
};

struct run_about {	     /* in the log */
	struct span request; /* its id, or "-" */
	struct tenant *tenant;
	struct span function;
};

struct run_owner { /* what it does when; none may be NULL */
	/* It waited, and a launcher may be there: try again. */
	void (*launcher)(void *owner);
	/* It waited, and there will be none of this cell; with a reason of
	 * ends.def there will be none at all. */
	void (*cell_gone)(void *owner);
	void (*refused)(void *owner, enum end, struct span reason);
	void (*exited)(void *owner); /* its result's facts are known */
	void (*over)(void *owner);
	struct run_about (*about)(const void *owner);
};

struct run_result {	/* what is known of how it went */
	bool ended;	/* wait status and what is behind it */
	bool lost;	/* its launcher is gone */
	enum ended how; /* of ENDED */
	int error;
	uint32_t step;
	struct outcome_facts facts;
	uint32_t strays;
	uint64_t started_us;
	uint64_t max_rss_kib;
};

struct run {
	enum run_state state;
	enum run_stop stop;
	struct gateway *gateway; /* borrowed */
	const struct run_owner *owner;
	void *arg;
	uint64_t number;
	struct list waiting;	   /* in cell->wanting, while WAITING */
	struct list all;	   /* in gateway->runs, from SENT until OVER */
	struct list in_launcher;   /* in launcher->runs, likewise */
	struct launcher *launcher; /* from SENT until OVER */
	bool forked;		   /* not executed */
	uint64_t sent_ms;
	uint64_t grace_ms;
	uint64_t killed_before; /* usage_killed_before() its start */
	struct timer timer;	/* the next step of stopping it */
	int err_fd;		/* ours, until log gets it */
	bool err_watched;	/* run_watch_errors() */
	struct watch err;
	struct run_result result;
};

enum run_answer {
	RUN_STARTED,
	RUN_NO_LAUNCHER,  /* none is idle: run_wait() */
	RUN_NO_ROOM,	  /* for args and environment: words in *why */
	RUN_NO_RESOURCES, /* errno */
};

/* Whether the kernel reads pipes without waiting when asked to (6.4 does). */
bool run_can_nowait(void);
void run_init(struct run *, struct gateway *, const struct run_owner *,
    void *arg);
void run_wait(struct run *, struct cell *); /* for a launcher */
void run_unwait(struct run *);		    /* harmless when it does not */
/* A pipe for its output: 0, or -1 with errno. */
int run_pipe(const struct cell *, int *read_end, int *write_end);
/* As read(2) from such a pipe, but never waits. */
ssize_t run_read(const struct gateway *, int fd, char *to, size_t room);
/* Fills in all that its function says about it: not the environment, and no
 * time. The spans in it stay until the next call. */
void run_describe(struct message_start *, const struct function *,
    const struct settings *, const struct cell *);
/* What is the same for all requests: for a process that begins without one. */
int run_environment(struct buf *, const struct function *,
    const struct settings *, const struct cell *, enum environment_role,
    const char **why); /* 0 or -1 */
/* Whether somebody is there who could start it: else it is to wait. */
bool run_may_start(const struct function *, const struct cell *);
/* Starts a process of that function: forked, if it has a template, or executed.
 * in_fd (-1: /dev/null) and out_fd stay the caller's. */
enum run_answer run_start(struct run *, struct function *, struct cell *,
    struct message_start *, int in_fd, int out_fd, const char **why);
int run_watch_errors(struct run *);  /* 0 or -1 */
void run_errors_again(struct run *); /* there is a log now */
uint64_t run_seconds(uint64_t ms);   /* limits of the kernel have whole ones */
bool run_going(const struct run *);  /* a process of it may be left */
/* Ends it for this reason; the first reason counts. */
void run_stop(struct run *, enum end);
void run_reset(struct run *); /* OVER ─▶ NONE */

/* What its launcher, of that cell, says. */
void run_exited(struct run *, const struct message_exited *);
void run_ended(struct run *, struct cell *, const struct message_ended *);
void run_lost(struct run *, bool unread);

#endif
