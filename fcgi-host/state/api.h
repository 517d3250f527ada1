/* SPDX-License-Identifier: MIT */
/* api.h - the state API: from a FastCGI request to calls of the store and back.
 * What is pure has headers of its own (route, query, key, precondition, orders,
 * page, problem); here are the lives of requests, in sections by file. Knows a
 * store by its table only, and a token by what auth.h says of it.
 *
 *   serve ─▶ call ─▶ kv, list, atomic, watch, export ─▶ store
 *               ◀──── reply ◀───────────────────────────┘
 *
 * One thread, the loop's. */
#ifndef STATE_API_H
#define STATE_API_H

#include "base/buf.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/map.h"
#include "config/config.h"
#include "serve/serve.h"
#include "wire/request_id.h"

#include "state/auth.h"
#include "state/orders.h"
#include "state/page.h"
#include "state/precondition.h"
#include "state/problem.h"
#include "state/query.h"
#include "state/route.h"
#include "state/store.h"

struct api;
struct call;

/* ---- api.c: all of it ----------------------------------------------------------- */

extern const struct serve_hooks api_hooks; /* their owner is the api */

struct api_figures { /* since the start; for status and metrics */
	uint64_t requests[ROUTES];
	uint64_t problems[PROBLEMS];
	uint64_t no_route; /* requests that came to no row */
	uint64_t replayed; /* replies given again */
	size_t calls;	   /* now */
	size_t watchers;   /* now */
	uint64_t bodies;   /* bytes held, now */
};

/* Everything is borrowed and outlives it. exports_fd: a directory of ours for
 * copies on their way out, -1: there are none. */
struct api *api_open(struct loop *, const struct store_engine *, struct store *,
    struct auth *, int exports_fd);
/* Also sets what serve is to know of it. */
void api_configure(struct api *, const struct config *, struct serve *);
/* Ends what waits for changes; the rest is over by itself. */
void api_drain(struct api *);
/* ... and goes on with another store, of the same engine; the one before is
 * closed. */
void api_renew(struct api *, struct store *);
/* No connection may be left, and the store closed. */
void api_close(struct api **);
void api_report(const struct api *, struct api_figures *);

enum {
	API_SPARE_MOST = 256,		     /* calls kept for the next */
	API_BODIES_MOST = 256 * 1024 * 1024, /* bytes of all bodies */
	API_KEEP_BYTES = 8 * 1024,	     /* of a buffer, for the next */
	API_UPLOAD_MS = 60 * 1000,	     /* for a body */
	API_PING_MS = 15 * 1000,	     /* between bytes of a stream */
	API_EVENTS_MOST = 256,		     /* changes asked for at once */
	API_RETRY_S = 1,		     /* Retry-After */
	API_LIST = 100,			     /* items, unless it says so */
	API_LINES_MOST = 10,		     /* of the log, a second */
	API_CHANGE_BYTES = 128,		     /* of JSON, beside the key */
	API_SWEEP_MOST = 2000,		     /* keys expire in a commit */
	API_ITEM_BYTES = PAGE_ITEM_BYTES + STORE_TYPE_MOST,
};

/* May one more line be logged? What clients do must not fill the log. */
bool api_may_log(struct api *);

struct api {
	struct loop *loop;
	const struct store_engine *engine;
	struct store *store;
	struct auth *auth;
	struct config *config; /* ours, a reference */
	int exports_fd;
	bool draining;
	uint64_t next_export;
	struct list calls; /* all that are not over */
	struct list spare;
	size_t spare_count;
	struct map watched;	/* tenants with watchers */
	struct map idempotency; /* keys in flight, of all tenants */
	uint64_t bodies;	/* bytes reserved for bodies */
	size_t changes_most;	/* bytes of JSON of one answer's changes */
	uint64_t lines_ms;	/* the second of which log lines are counted */
	unsigned lines;
	struct api_figures figures;
};

/* ---- call.c: the life of one request ----------------------------------------------
 *
 *   PARAMS ──▶ BODY ──▶ STORE ◀──▶ WAITING       SENDING
 *     │  └─────────────▶ │ └───────────│────────▶ │
 *     └───────┴──────────┼─────────────┴──────────┴──▶ OVER
 *                        └─(client gone)─▶ ORPHAN ──▶ OVER
 *
 * PARAMS: its parameters come. BODY: its body does. STORE: the store has been
 * asked and will call back. WAITING: for a change, for time, or for room in the
 * connection. SENDING: a file. ORPHAN: nobody wants the answer, but the store
 * still reads what it was asked. OVER: used again for the next request. */

enum call_state {
	CALL_PARAMS,
	CALL_BODY,
	CALL_STORE,
	CALL_WAITING,
	CALL_SENDING,
	CALL_ORPHAN,
	CALL_OVER,
};

/* May answer, ask again or wait. */
typedef void call_fn(struct call *, const struct store_result *);

struct watched { /* a tenant with watchers */
	struct map_node node;
	size_t count;
	char tenant[STORE_TENANT_MOST + 1];
};

struct call {
	enum call_state state;
	struct api *api;
	struct connection *connection; /* NULL in ORPHAN and OVER */
	struct list node;	       /* api->calls or api->spare */
	char id[REQUEST_ID_CHARS + 1];

	/* what was asked; spans point into params */
	struct buf params;
	struct span method;
	struct span uri;
	struct span type;
	struct span length;
	struct span range_of;
	struct span encoding;
	struct span accept;
	struct span if_match;
	struct span if_none_match;
	struct span idempotency_key;
	struct span last_event_id;
	struct span client_id;
	struct span authorization[2];
	size_t authorization_count;
	const char *twice; /* a field that came more than once, or NULL */
	bool tokenless;	   /* 401: no token was shown, good or bad */
	bool too_long;	   /* more parameters than there may be */
	struct target target;
	struct query query;
	struct preconditions preconditions;
	struct access access;
	struct buf body;
	uint64_t body_most;
	uint64_t body_reserved; /* of api->bodies */
	struct orders orders;

	/* what the store was asked: borrowed by it in STORE and ORPHAN */
	struct span key;
	struct store_range range;
	struct store_read read;
	struct store_check checks[2];
	struct store_op op;
	struct store_batch batch;
	struct store_changes changes;
	struct store_tenant tenant;
	call_fn *then; /* its answer goes on to */
	char idem_print[32];
	struct buf idem_name; /* tenant and key: the node's key */
	struct map_node idem;
	bool in_flight;
	bool replayed; /* the reply is that of another request */

	/* what waits */
	struct timer timer;
	struct store_watch watch;
	struct watched *watched; /* counts us, NULL: not watching */
	bool events;		 /* server-sent events are wanted */
	bool streams;		 /* ... and have begun */
	uint64_t seen;		 /* the version told last */
	uint64_t news;		 /* the newest we heard of */
	uint64_t until_ms;	 /* monotonic: gives up then */

	/* what is sent */
	struct buf out;	    /* while it is put together */
	int file;	    /* ours, or -1 */
	uint64_t file_left; /* to be sent; BODY: has come */
	char file_name[32];
};

struct call *call_new(struct api *, struct connection *);
void call_params(struct call *, struct span);
void call_params_end(struct call *);
void call_body(struct call *, struct span);
void call_body_end(struct call *);
void call_too_large(struct call *, uint64_t bytes);
void call_gone(struct call *); /* nobody waits for it any more */
void call_room(struct call *);
void call_move(struct call *, enum call_state);
void call_over(struct call *); /* lets go of all it has, back to the spare */

/* Each asks the store what `c` holds for it; `then` gets the answer, unless
 * nobody wants it any more. */
void call_read(struct call *, call_fn *then);
void call_commit(struct call *, call_fn *then);
void call_changes(struct call *, call_fn *then);
void call_usage(struct call *, call_fn *then);
void call_backup(struct call *, struct span name, call_fn *then);
void call_restore(struct call *, struct span name, call_fn *then);
void call_check(struct call *, bool deep, call_fn *then);
void call_drop(struct call *, call_fn *then);
void call_tenants(struct call *, struct span after, size_t limit,
    call_fn *then);

/* False when it was answered with 403, or 400 for a key above state.key. */
bool call_may_read(struct call *, struct span key);
bool call_may_write(struct call *, struct span key);
bool call_may_read_all(struct call *, struct span prefix);
bool call_may_write_all(struct call *, struct span prefix);

static inline struct span
call_tenant(const struct call *c)
{
	return span_of(c->access.claims.tenant);
}

/* ---- reply.c: what a call is answered with; each ends it ----------------------------- */

/* A complete CGI header, but for what all have, and a body that HEAD leaves
 * out. */
void reply_send(struct call *, struct span head, struct span body);
void reply_json(struct call *, uint64_t version, struct span body);
/* c->out as JSON, or, when it could not be written, why: what is missing. */
void reply_page(struct call *, bool failed, uint64_t version, const char *why);
void reply_empty(struct call *, unsigned status, uint64_t version);
/* ETag and Fn-Version of a key that the client has. */
void reply_unmodified(struct call *, uint64_t key_version, uint64_t version);
void reply_problem(struct call *, enum problem, const char *, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with further members, each with a comma before it. */
void reply_problem_with(struct call *, enum problem, struct span more,
    const char *, ...) __attribute__((format(printf, 4, 5)));
/* The storage is unavailable, and nothing was done. */
void reply_undone(struct call *, const char *, ...)
    __attribute__((format(printf, 2, 3)));
/* What the store could not do. */
void reply_failed(struct call *, const struct store_result *);
/* If-Match or If-None-Match do not hold; 0: there is no such key. */
void reply_conditions(struct call *, uint64_t current);
/* What its body could not be read as. */
void reply_orders(struct call *);
/* The reply has begun: 0, or -1, and the call is over. */
int reply_begin(struct call *, struct span head);
int reply_more(struct call *, struct span);
void reply_end(struct call *);

/* ---- kv.c: one key ------------------------------------------------------------------ */

void kv_get(struct call *);
void kv_look(struct call *); /* answers with the value as it is now */
void kv_put(struct call *);
void kv_delete(struct call *);
void kv_counter(struct call *);

/* ---- list.c: many keys --------------------------------------------------------------- */

void list_get(struct call *);
void list_delete(struct call *);
void list_many(struct call *);
void list_atomic(struct call *);

/* ---- commit.c: what changes something, once ------------------------------------------- */

/* Commits c->batch under the request's Idempotency-Key and answers. */
void commit_run(struct call *);

/* ---- watch.c: who waits for changes --------------------------------------------------- */

void watch_get(struct call *);
void watch_key(struct call *); /* GET of a key with since */
void watch_room(struct call *);
void watch_drain(struct call *); /* what waits has waited long enough */
void watch_stop(struct call *);	 /* lets go of what waiting takes */

/* ---- about.c: the store as a whole ------------------------------------------------------- */

void about_info(struct call *);
void about_usage(struct call *);

/* ---- export.c: a copy of the tenant's data ---------------------------------------------- */

void export_clean(struct api *); /* what a process before us left */
void export_get(struct call *);
void export_room(struct call *);
void export_discard(struct call *); /* nobody wants it */

/* ---- host.c: what only the host's own connections may ask ------------------------------- */

/* Takes *fd and serves one request on it, of this tenant's administrator. No
 * tenant: only what is about all of them. 0 or -1. */
int host_serve(struct serve *, int *fd, struct span tenant);
void host_closed(struct connection *); /* for the hook closed */
void host_restore_begin(struct call *);
void host_restore_body(struct call *, struct span);
void host_restore(struct call *);
void host_check(struct call *);
void host_drop(struct call *);
void host_tenants(struct call *);

#endif
