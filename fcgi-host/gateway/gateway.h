/* SPDX-License-Identifier: MIT */
/* gateway.h - the gateway's mechanism, in sections by file. Policy (route,
 * environment, admit, answer, request_id, outcome) has headers of its own and
 * is pure; what is here moves bytes, descriptors and messages as it is told.
 *
 *   serve ─▶ front ◀─▶ request ─▶ tenant ─▶ cell ─▶ launcher
 *                           │ body, invocation (cgi ─▶ run), reply
 *
 * One thread. Whatever happens in a batch of events is settled at its end:
 * slots that came free are given away, then connections are written to. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/map.h"
#include "config/config.h"
#include "config/settings.h"
#include "config/terms.h"
#include "ipc/peer.h"
#include "serve/serve.h"
#include "wire/fcgi.h"
#include "wire/jwt.h"
#include "wire/request_id.h"

#include "gateway/admit.h"
#include "gateway/answer.h"
#include "gateway/choice.h"
#include "gateway/control.h"
#include "gateway/environment.h"
#include "gateway/faults.h"
#include "gateway/inlet.h"
#include "gateway/invocation.h"
#include "gateway/meter.h"
#include "gateway/outcome.h"
#include "gateway/pool.h"
#include "gateway/route.h"
#include "gateway/run.h"
#include "gateway/usage.h"

/* ---- stats.c: counters ----------------------------------------------------- */

struct stats {
	uint64_t started_ms;  /* monotonic */
	uint64_t requests;    /* begun */
	uint64_t ends[ENDS];  /* over, by reason */
	uint64_t invocations; /* START messages */
	uint64_t stale;	      /* answered STALE: resolved again */
	uint64_t resent;      /* lost before they were read */
	uint64_t redirects;   /* local ones followed */
	uint64_t workers;     /* started */
	uint64_t workers_ended;
	uint64_t workers_evicted;  /* stood in the way */
	uint64_t workers_recycled; /* served all their requests */
	uint64_t workers_young;	   /* died by themselves, serving nothing */
	uint64_t taken_back;	   /* requests no worker had read */
	uint64_t templates;	   /* started */
	uint64_t templates_ended;
	uint64_t templates_failed;
	uint64_t templates_evicted; /* stood in the way */
	uint64_t forks;		    /* processes from them */
	uint64_t strays;	    /* processes killed after their main one */
	uint64_t cells;		    /* made */
	uint64_t launchers;	    /* made */
	uint64_t records_dropped;   /* access records the log did not get */
	uint64_t stderr_dropped;    /* pipes with bytes it did not get */
	uint64_t bytes_in;	    /* of bodies */
	uint64_t bytes_out;	    /* of replies */
};

void stats_ended(struct stats *, const struct request *);
void stats_report(const struct gateway *, struct control_facts *);

/* ---- faults_note.c: what is counted as a fault ------------------------------ */

void faults_reason(const struct request *); /* of its end is set */
void faults_over(const struct request *);   /* its run, too */
/* What its tenant reached as a whole since it was asked last. */
void faults_meter(struct cell *);
void faults_meter_all(struct gateway *);

struct access_share {	/* of what waits for the log process */
	uint64_t epoch; /* bytes are of this gateway->backlog_epoch */
	uint64_t bytes;
};

/* ---- gateway.c: all of it -----------------------------------------------------
 *
 *   STARTING ─(first CONFIG)─▶ SERVING ─(DRAIN)─▶ DRAINING ─▶ exit 0
 */

enum gateway_state { GATEWAY_STARTING, GATEWAY_SERVING, GATEWAY_DRAINING };

enum {
	GATEWAY_FRONT_FD = 4, /* descriptors at the start */
	GATEWAY_CONTROL_FD = 5,
	GATEWAY_SPOOL_FD = 6,
	GATEWAY_WORKERS_FD = 7,	 /* and ever after: where they listen */
	GATEWAY_SWEEP_MS = 1000, /* what lapses is looked for so often */
	/* Runs of a tenant that are younger than so long, for each processor:
	 * two keep it busy, and of more a neighbour would feel it (measured). */
	GATEWAY_YOUNG_US = 5000,
	GATEWAY_YOUNG_MOST = 2,
	GATEWAY_FLUSH_MS = 1000, /* for the last records */
};

struct gateway {
	enum gateway_state state;
	struct loop *loop;	    /* ours */
	uid_t uid;		    /* we are this user */
	bool nowait;		    /* pipes can be read without waiting,
					 * whatever their flags say */
	struct peer *master;	    /* ours */
	struct peer *log;	    /* ours, NULL while there is none */
	struct peer *state_peer;    /* ours, NULL while there is none */
	char *state_facts;	    /* ours: what it said last, or NULL */
	struct jwt_key *state_key;  /* ours: of invocation tokens, NULL until
				     * master has sent it */
	struct control *control;    /* ours */
	struct config *config;	    /* ours, a reference */
	struct settings *settings;  /* ours: of a function without files */
	struct strings environment; /* ours: NAME=value of every function */
	struct stats stats;
	struct faults faults; /* what tenants ran into */
	struct timer sweep;
	bool swept;	    /* ... and found something that may lapse later */
	struct timer drain; /* its limit */

	struct serve serve; /* the front socket and its connections */

	struct list requests; /* all that are not over */
	size_t request_count;
	struct list requests_spare; /* memory for the next ones */
	size_t requests_spare_count;
	struct request_id_last last_id;
	uint64_t next_invocation;
	uint64_t next_ask;

	struct map tenants;
	struct map suspended;	   /* of struct suspension, ours */
	struct list tenants_idle;  /* with a cell, without requests */
	struct list tenants_owing; /* kept because of what they used */
	struct list functions;	   /* all, least recently used first */
	size_t function_count;
	struct list runs; /* with a process */
	size_t run_count;
	struct list workers;	  /* all but those that are GONE */
	struct list workers_idle; /* used longest ago first */
	size_t worker_idle_count;
	size_t worker_count;
	struct list workers_due;   /* their pool is to be asked */
	struct list workers_short; /* ... when there is room */
	struct list templates;	   /* all but those that are GONE */
	unsigned processors;
	struct list launchers_idle; /* longest first */
	size_t launcher_count;
	size_t cell_count;
	struct admit_host admit;
	bool admit_again;   /* a slot may have come free */
	struct timer young; /* ... or will by waiting */

	int spool_fd;	       /* ours */
	bool spool_gone;       /* somebody removed it, and it was said */
	uint64_t body_memory;  /* bytes of all bodies in memory */
	uint64_t body_spool;   /* and in the spool */
	struct list handovers; /* stderr pipes that wait for a log */
	size_t handover_count;
	struct buf records; /* access records, packed, not yet sent */
	struct access_share strangers; /* of names that are no tenant's */
	uint64_t backlog_epoch;	       /* grows when nothing waits for log */
	struct timer records_due;
};

void gateway_init(struct gateway *);
/* With what a CONFIG message has. */
void gateway_configure(struct gateway *, int fd, uint64_t bytes);
void gateway_lapses(struct gateway *); /* something may, from now on */
void gateway_drain(struct gateway *, uint64_t limit_ms);
/* Takes the descriptor: it is GATEWAY_WORKERS_FD from now on. */
void gateway_workers_set(int *fd);
void gateway_drained(struct gateway *); /* exits when nothing is left */

/* ---- master.c: the channel to master ---------------------------------------- */

void master_open(struct gateway *);
int master_tenant_ask(struct gateway *, struct span tenant); /* 0 or -1 */
void master_tenant_check(struct gateway *, struct span tenant);
void master_cell_kill(struct gateway *, struct span tenant, const char *reason);

/* ---- hooks.c: what control asks of the gateway -------------------------------- */

void hooks_open(struct gateway *);
void hooks_configure(struct gateway *);

enum errand_kind { ERRAND_TENANT, ERRAND_LIST, ERRAND_PLAN };

enum {
	ERRAND_MOST_MS = 20000, /* before control itself gives up */
};

struct errand {		       /* control's ask to a cell, until answered */
	struct list node;      /* in its tenant's errands or its cell's */
	struct tenant *tenant; /* borrowed, stays while it has us */
	struct cell *cell;     /* NULL until it is asked */
	enum errand_kind kind;
	bool again; /* a cell ended with it */
	uint64_t ask;
	uint64_t since_ms;
	struct timer late;
};

void errand_run(struct errand **, struct tenant *); /* there is a cell */
void errand_fail(struct gateway *, struct errand **, struct span reason);
/* What a cell is asked, or NULL: not that, or not this cell. */
struct errand *errand_find(struct cell *, enum errand_kind, uint64_t ask);
void errand_free(struct errand **);
/* Its cell ended: it is for the next one, if it is the first that does. */
void errand_again(struct errand **);

/* ---- front.c: connections of the web server, and what they bring ---------------- */

enum {
	FRONT_REQUEST_FDS = 6, /* a request needs at most */
};

struct front_only { /* the one function a connection may ask for */
	size_t tenant_bytes;
	size_t function_bytes;
	char names[];
};

void front_open(struct gateway *);	/* serves nobody yet */
void front_configure(struct gateway *); /* who may connect, how many */
/* A connection that came by the control socket, for one request. Takes *fd; 0,
 * or -1 when it cannot be afforded. */
int front_adopt(struct gateway *, int *fd, struct span tenant,
    struct span function);
bool front_may(const struct connection *, const struct route *);

/* ---- body.c: what becomes a function's stdin -------------------------------------
 *
 *   NONE ─(first byte)─▶ MEMORY ─(too large)─▶ SPOOL
 *     └──(it is to be one)──▶ STREAM
 */

enum body_kind { BODY_NONE, BODY_MEMORY, BODY_SPOOL, BODY_PIPE };

enum {
	BODY_STAGE_BYTES = 64 * 1024,  /* small pieces are gathered */
	BODY_AGAIN_MOST = 1024 * 1024, /* more than a socket holds */
};

struct body {
	enum body_kind kind;
	bool complete;
	bool discard; /* nobody reads it any more */
	int fd;	      /* ours: what we write to */
	int read_fd;  /* ours: what the function gets */
	uint64_t bytes;
	uint64_t expected;  /* UINT64_MAX: not known */
	uint64_t most;	    /* limits.body */
	uint64_t reserved;  /* of gateway->body_memory */
	uint64_t spooled;   /* of gateway->body_spool, tenant->body_spool */
	struct watch watch; /* BODY_PIPE: room again */
	struct buf rest;    /* BODY_PIPE: found no room */
	struct buf again;   /* BODY_PIPE: was read, but by nobody in the end */
};

/* BODY_NO_ROOM: errno says why; BODY_HOST_FULL: body.spool_total is reached,
 * BODY_TENANT_FULL: the tenant's own share of it. */
enum body_result {
	BODY_TAKEN,
	BODY_TOO_LARGE,
	BODY_NO_ROOM,
	BODY_HOST_FULL,
	BODY_TENANT_FULL,
};

void body_init(struct body *);
void body_free(struct request *);
/* The function wants a pipe: 0, or -1 with errno. */
int body_stream(struct request *);
enum body_result body_put(struct request *, struct span);
enum body_result body_flush(struct request *); /* what was gathered */
/* Complete: read-only from here on. 0, or -1 with errno. */
int body_close(struct request *);
/* Takes the directory large bodies go to from now on. */
void body_spool_set(struct gateway *, int *fd);
bool body_full(const struct body *); /* wait before more is put */

/* ---- reply.c: from a function's stdout to the web server ------------------------ */

enum {
	REPLY_HOLD_MS = 20, /* from the end of output to the end of the run */
	REPLY_MISSING_MS = 1000, /* ... when there is no header to go on */
	REPLY_UNMADE_MS = 2000, /* ... nor word yet that it was forked at all */
	REPLY_UPLOAD_MS = 1000, /* held for a body that does not go on */
	REPLY_AGAIN_S = 1,	/* what was ours is well again by then */
};

struct reply {
	struct buf head; /* of the header what came in pieces */
	size_t scanned;
	bool begun;	/* the header is on its way */
	bool at_end;	/* no more will come */
	bool early;	/* held until it is whole: see invocation.h */
	bool uploading; /* held while the body comes */
	bool ending;	/* held until it is known how the run ended */
	bool discard;	/* the body is not for the client (S9, S14) */
	bool cut;	/* more than its Content-Length came */
	bool limited;	/* more than limits.output came */
	int64_t left;	/* of its Content-Length; -1: none given */
	unsigned status;
	uint64_t bytes;	   /* of stdout */
	char *redirect;	   /* ours: a local redirect to follow */
	const char *fault; /* of its header, in words; NULL: none */
};

void reply_init(struct reply *);
void reply_free(struct reply *);
void reply_pump(struct request *); /* reads what is there */
/* Derives whether the connection holds back: after a change of what says so, here
 * or reply.early. */
void reply_hold(struct request *);
void reply_drop(struct request *); /* ... when it was complete before */
/* Output and run are both over, or the hold is: what becomes of the request. */
void reply_conclude(struct request *);
void reply_hold_over(struct request *); /* its time is up */
/* A piece of a streamed body has come, or its end. */
void reply_upload_moves(struct request *, bool complete);
/* A whole document of our own, and END_REQUEST. */
void reply_own(struct request *);
/* END_REQUEST behind a reply that is complete. */
void reply_end(struct request *, uint32_t app_status);

/* ---- request.c: one request, from BEGIN to its access record ---------------------
 *
 *   READING ─▶ ROUTED ─▶ WAITING ─▶ STARTING ─▶ RUNNING ─▶ REPLYING
 *                 ▲ └────────────────▶ ▲ └◀────────┘           │
 *                 └──── (local redirect) ──────────┴◀──────────┘
 *   any of these ─▶ ENDING ─▶ GONE
 *
 * READING: its parameters are coming. ROUTED: tenant and function are being
 * found, its body is coming. WAITING: for a slot. STARTING: has a slot; needs
 * cell, launcher, or a file that is as it was resolved. RUNNING: started,
 * no header yet. REPLYING: the header went out. ENDING: the reason is set, the
 * front has its answer or is gone; the run is not over yet. GONE: counted and
 * logged; memory until the end of the batch. */

enum request_state {
	REQUEST_READING,
	REQUEST_ROUTED,
	REQUEST_WAITING,
	REQUEST_STARTING,
	REQUEST_RUNNING,
	REQUEST_REPLYING,
	REQUEST_ENDING,
	REQUEST_GONE,
};

enum request_waits { /* who will call request_proceed() */
	WAITS_NOT,
	WAITS_CELL,	/* in tenant->waiting */
	WAITS_RESOLVED, /* in resolve->requests */
	WAITS_PROCESS,	/* its protocol knows for what */
};

enum {
	REQUEST_SPARE_MOST = 64,
	REQUEST_BUF_KEPT = 4096, /* bytes of a buf that a spare keeps */
	REQUEST_REDIRECTS_MOST = 10,
	REQUEST_CELLS_MOST = 3, /* cells that ended under it */
};

struct request {
	enum request_state state;
	enum request_waits waits;
	struct gateway *gateway;  /* borrowed */
	struct connection *front; /* NULL: answered, or gone */
	struct list all;
	struct list waiting; /* by `waits`; not for PROCESS */
	char name[REQUEST_ID_CHARS + 1];
	char trace[56];

	struct buf params;  /* the PARAMS stream */
	struct span method; /* all in params or static */
	struct span target;
	struct span prefix;
	struct span host_tenant;
	bool unbuffered; /* the web server passes on what it has */
	struct span accept;
	struct span remote;
	struct span client_name; /* its own request id, if valid */
	struct span first_path;	 /* target before redirects, no query */
	char *redirect;		 /* ours: target after one */
	unsigned redirects;
	unsigned redirect_status;
	struct buf decoded;
	struct route route; /* in decoded, target */

	struct tenant *tenant;	   /* counted there */
	struct function *function; /* a reference */
	struct settings *settings; /* a reference */
	struct admit_ticket ticket;
	struct body body;
	struct invocation invocation;
	struct reply reply;
	bool resolve_again; /* STALE, or a new configuration */
	bool fresh;	    /* its cell was asked for it, not only others' */
	unsigned cells;	    /* that ended under it */
	unsigned resent;
	unsigned stale;
	unsigned busy_ms; /* of the next try; 0: file not busy */
	uint64_t busy_until_ms;

	struct timer timer; /* at the earliest of these; 0: none */
	uint64_t due_ms;    /* of the state */
	uint64_t look_ms;   /* of its protocol */
	uint64_t hold_ms;
	uint64_t retry_ms;
	uint64_t idle_ms;

	bool ended; /* `end` is set */
	enum end end;
	const char *end_limit; /* a literal: "limits.time" */
	char *end_value;       /* ours */
	char *end_what;	       /* ours */
	unsigned retry_after_s;
	unsigned status; /* sent, or 0 */
	uint64_t begun_us;
	uint64_t complete_us; /* read whole */
	uint64_t granted_us;  /* has a slot */
	struct deferred over;
};

struct request *request_new(struct gateway *,
    struct connection *); /* NULL: no memory */
void request_params(struct request *, struct span);
void request_params_end(struct request *);
/* Its parameters, until those of another are asked for. */
const struct request_params *request_pairs(const struct request *);
void request_stdin(struct request *, struct span);
void request_stdin_end(struct request *);
void request_input_rests(struct request *); /* no more for now */
bool request_takes_input(const struct request *);
void request_room(struct request *);		/* its front was written */
void request_abort(struct request *, enum end); /* END_CLIENT_GONE, _ABORTED */

struct run_about request_about(const struct request *);
/* Master or its cell did not do what was asked of them. */
void request_unanswered(struct request *);
void request_proceed(struct request *); /* whatever can be done next */
void request_granted(struct request *); /* its ticket holds a slot */
void request_resolved(struct request *, enum resolved, struct function *,
    struct span reason);
void request_cell_gone(struct request *); /* while it waited for it */
void request_running(struct request *);	  /* its invocation was SENT */
void request_run_over(struct request *);  /* ... and is OVER */
void request_replying(struct request *);  /* the header went out */
void request_redirect(struct request *);  /* to reply.redirect */
void request_timer(struct request *);	  /* a time has changed */
void request_wait(struct request *, enum request_waits, struct list *);
/* Nobody is waited for longer than for a slot. */
void request_patience(struct request *);
/* All that it is given in words, with a deadline after that time; 0, or -1: it
 * is too large, or *why. */
int request_environment(struct request *, uint64_t time_ms, bool pairs,
    struct buf *, const char **why);

/* The reason, once. what may be SPAN_NONE, limit NULL. request_end() also
 * answers with it when no header went out, breaks the connection otherwise, and
 * stops what runs. request_done() is for a reply that is complete. */
void request_end(struct request *, enum end, struct span what);
void request_end_limit(struct request *, enum end, enum limit, uint64_t value);
/* A limit of its tenant as a whole; the client may ask again after that time. */
void request_end_term(struct request *, enum end, enum term, uint64_t again_us);
void request_done(struct request *, enum end, uint32_t app_status);
void request_spare_free(struct gateway *);
const char *request_state_name(enum request_state);

/* Among the files of a request: request.c, request_read.c, request_start.c and
 * request_end.c. */
void request_move(struct request *, enum request_state);
uint64_t request_due_after(uint64_t now_ms, uint64_t limit_ms);
void request_over(void *request); /* at the end of the batch */
void request_route(struct request *);
bool request_users(const struct request *); /* see route.h */
void request_unwait(struct request *);
void request_give_slot(struct request *); /* if it has one */
/* False: its tenant has used up its running time, and it has ended. */
bool request_may_run(struct request *, uint64_t now_us);
void request_gone(struct request *);

/* ---- access.c: what the log process is told -------------------------------------- */

enum {
	ACCESS_RECORDS_MOST = 256 * 1024, /* bytes kept without a log */
	ACCESS_BATCH_BYTES = 32 * 1024,	  /* sent when there are so many, */
	ACCESS_BATCH_MS = 10,		  /* or after so long */
	ACCESS_MESSAGE_MOST = 60 * 1024,  /* bytes in one message */
	ACCESS_HANDOVERS_MOST = 64,
	ACCESS_STDERR_BYTES = 4096, /* a pipe that waits counts as so many */
	ACCESS_TARGET_MOST = 2048,
	ACCESS_DETAIL_MOST = 512,
};

void access_open(struct gateway *, int *fd); /* a new channel */
void access_record(const struct request *);
void access_due(void *arg);	    /* records have waited long enough */
void access_send(struct gateway *); /* ... or somebody wants to see them */
/* The read end of a run's stderr, which has bytes: true when it was taken. */
bool access_stderr(struct gateway *, const struct run_about *, int *fd,
    bool over);
void access_close(struct gateway *, uint64_t limit_ms);

/* ---- state.c: what functions may do at the state endpoint ------------------------ */

void state_open(struct gateway *, int *fd);    /* a new channel */
void state_key(struct gateway *, struct span); /* from master */
void state_report(const struct gateway *, struct control_facts *);
/* Passes a verb on, with fd, which stays the caller's: 0 or -1. */
int state_pass(struct gateway *, int fd, const struct message_control_state *);
/* Appends a run's token, or nothing when its settings say so; 0 or -1. */
int state_token(struct request *, uint64_t now_ms, uint64_t deadline_ms,
    struct buf *);

/* ---- launcher.c: who starts processes ----------------------------------------------
 *
 *   ASKED ─(LAUNCHER)─▶ IDLE ◀─(ENDED)─ BUSY
 *     │                   └───(START)────▶┘
 *     └──(none)──▶ GONE ◀─(channel closed, too long idle)─┘
 */

enum launcher_state {
	LAUNCHER_ASKED,
	LAUNCHER_IDLE,
	LAUNCHER_BUSY,
	LAUNCHER_GONE,
};

struct launcher {
	enum launcher_state state;
	uint32_t number;
	struct cell *cell; /* outlives us */
	struct peer *peer; /* ours */
	struct list runs;  /* it was sent, while BUSY: first come first */
	size_t run_count;
	struct template *template; /* borrowed: one of them is it, or NULL */
	struct list all;	   /* in cell->launchers */
	struct list idle;	   /* in cell->idle, last in first out */
	struct list lapse;	   /* in gateway->launchers_idle */
	uint64_t idle_since_ms;
	struct deferred end;
};

struct launcher *launcher_take(struct cell *); /* NULL: none is idle */
void launcher_give(struct launcher *);	       /* it is idle (again) */
void launcher_want(struct cell *);	       /* for who waits in wanting */
void launcher_came(struct cell *, const struct message_launcher *, int *fd);
void launcher_busy(struct launcher *, struct run *);
/* Stops an idle worker or template, of that cell unless it is NULL: its launcher
 * is needed. False: there is none. */
bool launchers_evict(struct gateway *, const struct cell *);
void launcher_abandon(struct launcher *); /* its runs are given up */
void launcher_close(struct launcher **);
void launcher_sweep(struct gateway *, uint64_t now_ms);

/* ---- cell.c: the processes of a tenant ------------------------------------------------
 *
 *   SERVING ─(idle, moved, new configuration)─▶ LEAVING ─▶ GONE
 *      └─────────────(its channel closed)──────────▶ LOST ──┘
 *
 * SERVING: the tenant's current one. LEAVING: starts nothing new; its channel
 * closes when its last run is over, and it ends. LOST: its channel is closed;
 * it waits for its launchers' channels to tell how their runs ended. */

enum {
	CELL_RESOLVES_MOST = 1024, /* questions under way */
	CELL_PATIENCE_MS = 1000,   /* at least, for what was asked */
};

enum cell_state { CELL_SERVING, CELL_LEAVING, CELL_LOST, CELL_GONE };

struct cell {
	enum cell_state state;
	struct gateway *gateway;   /* borrowed */
	struct tenant *tenant;	   /* counted there */
	struct config *config;	   /* ours, a reference: what it was given */
	const struct terms *terms; /* of its tenant, in that */
	struct settings *settings; /* ours, a reference, or NULL: of its
				    * functions without files */
	struct peer *peer;	   /* ours; NULL when LOST */
	struct list launchers;
	struct list idle;
	struct list wanting; /* runs, for a launcher */
	struct list workers;
	struct list templates;
	size_t launcher_count;
	size_t asked; /* launchers that have not come yet */
	size_t running;
	uint32_t next_launcher;
	uid_t uid;
	struct usage usage;   /* of all cells of its tenant */
	uint64_t metered_ms;  /* when faults_meter() asked last */
	uint64_t heard_ms;    /* when it said something last */
	bool doubted;	      /* master was asked to kill it */
	bool used;	      /* by a request: kept for the next ones */
	struct list resolves; /* questions */
	size_t resolve_count;
	struct list errands; /* control's asks, until answered */
	struct deferred end;
	size_t directory_bytes;
	char directory[];
};

struct resolve {	  /* one question, many who wait */
	struct list node; /* in cell->resolves */
	struct list requests;
	uint64_t ask;
	size_t name_bytes;
	char name[];
};

/* Takes the first descriptor, its channel, and of the others what it knows.
 * NULL: no memory. */
struct cell *cell_new(struct tenant *, const struct message_tenant_cell *,
    int *fds, size_t fd_count);
int cell_resolve(struct cell *, struct request *); /* 0 or -1 */
/* For nobody who waits: function_learn() will be told. Likewise. */
int cell_resolve_again(struct cell *, struct span name);
/* Another configuration, by which it would be made as it is. */
void cell_configure(struct cell *);
void cell_leave(struct cell *); /* NULL is harmless */
/* It could not be finished: who waits for it is answered with that. */
void cell_fail(struct cell *, enum end, struct span reason);
uint64_t cell_patience_ms(const struct gateway *);
/* It did not answer for so long: killed, if it said nothing at all. */
void cell_doubt(struct cell *, uint64_t silent_ms);
void cell_settle(struct cell *); /* a run of it is over */
int cell_stop(struct cell *, uint32_t launcher, uint32_t invocation, int signo);
int cell_list(struct cell *, uint64_t ask);
int cell_plan(struct cell *, uint64_t ask);

/* ---- tenant.c: tenants ----------------------------------------------------------------
 *
 *   KNOWN ─(wanted)─▶ ASKED ─(TENANT_CELL)─▶ SERVED
 *     ▲                 └─(TENANT_NONE)─┐       │
 *     └─────────────────────────────────┴◀──────┘ (cell leaves or is lost)
 */

enum tenant_state { TENANT_KNOWN, TENANT_ASKED, TENANT_SERVED };

enum {
	TENANT_CHECK_MS = 1000,
	TENANT_KNOWN_MOST = 65536,
};

struct tenant {
	enum tenant_state state;
	struct gateway *gateway;   /* borrowed */
	struct map_node node;	   /* in gateway->tenants, by name */
	const struct terms *terms; /* of gateway->config */
	struct admit_tenant admit;
	uint64_t body_spool;	     /* bytes of its bodies in the spool */
	struct access_share records; /* that wait for the log process */
	struct meter rate;	     /* in requests */
	struct meter running;	     /* in microseconds of slot time, */
	uint64_t running_paid_us;    /* ... charged up to this use */
	struct map functions;
	struct pool_tenant pool; /* spares of all of them */
	struct cell *cell;	 /* ours, while SERVED */
	struct list waiting;	 /* requests, for a cell */
	struct list errands;	 /* control's asks, for a cell */
	size_t request_count;
	size_t cell_count; /* also those that leave */
	struct list idle;  /* in gateway->tenants_idle, or while KNOWN in
			    * tenants_owing */
	uint64_t idle_since_ms;
	uint64_t checked_ms;
	struct deferred end;
	char name[];
};

struct tenant *tenant_find(struct gateway *, struct span name);
struct tenant *tenant_get(struct gateway *, struct span name); /* NULL: full */
struct span tenant_name(const struct tenant *);
void tenant_configure(struct tenant *); /* limits of the configuration */
void tenant_take(struct tenant *, struct request *);
void tenant_give(struct request *); /* clears request->tenant */
/* May it run something now, in view of what ran? 0, or the time until then. */
uint64_t tenant_rests_us(struct tenant *, uint64_t now_us);
void tenant_want_cell(struct tenant *); /* asks master, once */
void tenant_cell(struct gateway *, const struct message_tenant_cell *, int *fds,
    size_t fd_count);
void tenant_none(struct gateway *, const struct message_tenant_none *);
void tenant_moved(struct gateway *, struct span name); /* its directory */
void tenant_cell_ends(struct tenant *, struct cell *); /* no longer ours */
void tenant_settle(struct tenant *); /* freed if nobody needs it */
void tenant_sweep(struct gateway *, uint64_t now_ms);

/* ---- suspend.c: tenants of which nothing is run ----------------------------------------- */

void suspend_heard(struct gateway *, const struct message_suspended *);
/* Why; the absent span when it is served. */
struct span suspend_reason(const struct gateway *, struct span tenant);
void suspend_report(const struct gateway *, struct control_facts *);

/* ---- function.c: what cells have resolved ------------------------------------------------
 *
 * A function is known until its file or settings are found changed by who is
 * about to start it, or until memory for FUNCTIONS_MOST others is wanted. */

enum { FUNCTIONS_MOST = 65536 };

struct function {
	struct map_node node; /* in tenant->functions, by name */
	struct admit_function admit;
	struct settings *settings; /* ours, a reference */
	struct list used;	   /* in gateway->functions */
	uint32_t references;	   /* requests, and the map while listed */
	uint32_t generation;	   /* of the configuration */
	uint32_t file_bytes;
	uint32_t ticket_bytes;
	uint64_t version;     /* of file and settings, and */
	uint32_t version_of;  /* ... of the configuration they were read by */
	uint64_t compared_ms; /* its file, by the cell */
	struct workers *workers;     /* ours, or NULL */
	struct templates *templates; /* likewise */
	struct choice choice;	     /* unless settings say exec */
	bool listed;
	bool watched; /* from the start: see invocation.h */
	char *file;   /* ours: file, then ticket */
	char name[];
};

struct tenant *function_tenant(const struct function *);
struct span function_name(const struct function *);
struct span function_file(const struct function *);
struct span function_ticket(const struct function *);
/* What was asked for, if it is known and of this configuration. */
struct function *function_find(struct tenant *, struct span asked);
/* From the cell's answer, read as the configuration it was given has it; NULL
 * when its settings are out of range. */
struct function *function_learn(struct cell *, const struct message_resolved *);
/* Nothing was started and compared: the next request looks at it again. */
void function_doubt(struct function *);
/* It has workers, which nobody has compared to its file of late. */
bool function_is_old(const struct function *);
void function_doubt_file(struct function *); /* it is, from now on */
void function_forget(struct tenant *, struct span asked);
void function_forget_all(struct tenant *);
/* What a cell made from this configuration has resolved counts on. */
void function_keep_all(struct tenant *, const struct config *before);
struct function *function_hold(struct function *); /* NULL is harmless */
void function_release(struct function **);

#endif
