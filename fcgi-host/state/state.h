/* SPDX-License-Identifier: MIT */
/* state.h - the state process as a whole: its channels, its storage, its end.
 * What requests mean is api.h's, who may ask auth.h's, how data are kept
 * store.h's; here they are put together. */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include "config/config.h"
#include "ipc/peer.h"
#include "serve/serve.h"

struct api;
struct auth;
struct ring;
struct store;
struct store_engine;

/* ---- state.c: all of it --------------------------------------------------------
 *
 *   STARTING ─(first CONFIG)─▶ SERVING ──(DRAIN)──▶ DRAINING ─▶ exit 0
 *                └─▶ REFUSING ─▶┘ └──────────────────▲
 *                       └────────────────────────────┘
 *
 * REFUSING: keys or storage cannot be opened. Functions that keep nothing go on;
 * who asks for state gets 503 with the reason in our log, and we try again. */

enum state_phase {
	STATE_STARTING,
	STATE_SERVING,
	STATE_REFUSING,
	STATE_DRAINING,
};

enum {
	STATE_LISTEN_FD = 4, /* descriptors at the start */
	STATE_DIRECTORY_FD = 5,
	STATE_RETRY_MS = 5000, /* REFUSING */
	STATE_SWEEP_MS = 1000, /* what time has passed by is looked for, while
				* a tenant's file is open */
	STATE_SWEEP_ROWS = 2000,
	STATE_FILE_FDS = 3, /* an open file of a tenant has */
	STATE_KEY_MOST = 64,
	STATE_FACTS_MOST = 8192,
	STATE_WHY = 512, /* room for a sentence */
};

struct state {
	enum state_phase phase;
	struct loop *loop;     /* ours */
	struct peer *master;   /* ours */
	struct peer *gateway;  /* ours, NULL while there is none */
	struct config *config; /* ours, a reference */
	struct serve serve;
	int exports_fd; /* ours: copies on their way out */
	size_t files_most;
	char key[STATE_KEY_MOST]; /* of invocation tokens, from master */
	size_t key_bytes;

	/* while SERVING or DRAINING */
	struct ring *ring;		   /* ours */
	struct auth *auth;		   /* ours */
	const struct store_engine *engine; /* NULL: not open */
	struct store *store;		   /* ours */
	struct api *api;		   /* ours */
	bool sweeping;
	struct timer sweep;

	struct buf facts;	 /* as the gateway has them */
	char refusal[STATE_WHY]; /* the last reason, REFUSING */
	struct timer retry;
	struct timer drain; /* its limit */
};

void state_init(struct state *);
/* With what a CONFIG message has. */
void state_configure(struct state *, int fd, uint64_t bytes);
void state_key(struct state *, struct span key);
void state_drain(struct state *, uint64_t limit_ms);
void state_refuse(struct state *); /* with s->refusal, and tries again */
void state_close(struct state *);  /* when the loop has ended */

/* ---- storage.c: keys, storage and API ---------------------------------------------- */

int storage_open(struct state *);   /* all, or -1 with s->refusal */
void storage_close(struct state *); /* no connection may be left */
/* before: NULL at the first. */
void storage_configure(struct state *, const struct config *before);
void storage_key(struct state *);
void storage_drain(struct state *); /* what waits for changes ends */
void storage_used(struct state *);  /* by somebody, just now */

/* ---- facts.c: what `status` says ---------------------------------------------------- */

void facts_send(struct state *); /* if they have changed */

/* ---- master.c: the channels to master and gateway -------------------------------- */

void master_open(struct state *);

/* ---- refuse.c: the answer to everybody while there is no storage ------------------ */

extern const struct serve_hooks refuse_hooks;

#endif
