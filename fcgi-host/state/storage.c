/* SPDX-License-Identifier: MIT */
/* storage.c - keys, storage and API, which come and go together. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/diag.h"

#include "state/api.h"
#include "state/ring.h"
#include "state/state.h"

static bool differs(const struct config *, const struct config *);
static void storage_renew(struct state *);
static void storage_limits(struct state *);
static size_t files_afforded(uint64_t wanted);
static int storage_store(struct state *);
static void storage_sweep(void *arg);
static void storage_swept(void *arg, const struct store_result *);

/* All of it, or nothing and the reason in s->refusal. */
int
storage_open(struct state *s)
{
	s->ring =
	    ring_open(STATE_DIRECTORY_FD, clock_unix_ms() / 1000, s->refusal);
	if (!s->ring)
		return -1;
	s->auth = auth_new(s->ring);
	if (!s->auth ||
	    (s->key_bytes > 0 &&
		auth_invocation_key(s->auth, span_make(s->key, s->key_bytes)) !=
		    0) ||
	    storage_store(s) != 0) {
		storage_close(s);
		return -1;
	}
	s->api = api_open(s->loop, s->engine, s->store, s->auth, s->exports_fd);
	if (!s->api) {
		snprintf(s->refusal, sizeof(s->refusal), "no memory");
		storage_close(s);
		return -1;
	}
	serve_change(&s->serve, &api_hooks, s->api);
	api_configure(s->api, s->config, &s->serve);
	s->phase = STATE_SERVING;
	timer_init(&s->sweep, storage_sweep, s);
	facts_send(s);
	storage_used(s);
	return 0;
}

static void
storage_limits(struct state *s)
{
	s->files_most = files_afforded(s->config->state_handles);
	s->serve.reserve = SERVE_RESERVE + s->files_most * STATE_FILE_FDS;
}

static int
storage_store(struct state *s)
{
	const struct config *c = s->config;
	const struct store_config config = {
		.directory_fd = STATE_DIRECTORY_FD,
		.threads = (unsigned)c->state_threads,
		.handles_most = (unsigned)s->files_most,
		.durability = c->state_durability == DURABILITY_RELAXED ?
		    STORE_RELAXED :
		    STORE_FULL,
		.quota_bytes = c->state_quota,
		.value_most = c->state_value,
		.page_bytes_most = c->state_page_bytes,
		.log_commits_most = c->state_history,
		.log_ms = c->state_history_time,
		.idem_ms = c->state_idempotency,
		.idle_ms = c->state_idle,
	};

	s->engine = &store_sqlite;
	s->store = s->engine->open(&config, s->loop, s->refusal);
	return s->store ? 0 : -1;
}

/* A quarter of what we may open is for connections, whatever is wanted. */
static size_t
files_afforded(uint64_t wanted)
{
	struct rlimit limit = { 1024, 1024 };
	uint64_t most;

	getrlimit(RLIMIT_NOFILE, &limit);
	most = limit.rlim_cur / 4 * 3 / STATE_FILE_FDS;
	if (wanted <= most)
		return (size_t)wanted;
	diag_warn("state.handles = %llu: the limit of open files, %llu, allows "
		  "%llu",
	    (unsigned long long)wanted, (unsigned long long)limit.rlim_cur,
	    (unsigned long long)most);
	return (size_t)most;
}

/* In the order that api.h and store.h say. */
void
storage_close(struct state *s)
{
	loop_timer_clear(s->loop, &s->sweep);
	if (s->store)
		s->engine->close(s->store);
	s->store = NULL;
	if (s->api)
		api_close(&s->api);
	auth_free(&s->auth);
	ring_free(&s->ring);
}

/* Nobody uses it, nothing is open: it sleeps. */
void
storage_used(struct state *s)
{
	if (s->store && !timer_armed(&s->sweep))
		loop_timer_set(s->loop, &s->sweep,
		    loop_now_ms(s->loop) + STATE_SWEEP_MS);
}

static void
storage_sweep(void *arg)
{
	struct state *s = arg;
	struct store_figures figures = { 0 };

	s->engine->figures(s->store, &figures);
	if (figures.handles > 0 || figures.queued > 0)
		storage_used(s);
	if (!s->sweeping &&
	    s->engine->sweep(s->store, STATE_SWEEP_ROWS, storage_swept, s) == 0)
		s->sweeping = true;
	facts_send(s);
}

static void
storage_swept(void *arg, const struct store_result *result)
{
	struct state *s = arg;

	s->sweeping = false;
	if (result->more && s->phase == STATE_SERVING)
		loop_timer_set(s->loop, &s->sweep, loop_now_ms(s->loop));
}

/* ---- what the process is told ---------------------------------------------------- */

/* A key file that is broken now changes nothing. */
void
storage_configure(struct state *s, const struct config *before)
{
	char why[RING_WHY];

	if (s->api && before && s->phase == STATE_SERVING &&
	    differs(before, s->config))
		storage_renew(s);
	if (!s->api)
		return;
	api_configure(s->api, s->config, &s->serve);
	if (ring_reload(s->ring, clock_unix_ms() / 1000, why) != 0)
		diag_error("keys of access tokens stay as they were: %s", why);
}

/* What the storage reads when it is opened. */
static bool
differs(const struct config *a, const struct config *b)
{
#define DIFFERS(member) a->member != b->member
	return DIFFERS(state_threads) || DIFFERS(state_durability) ||
	    DIFFERS(state_quota) || DIFFERS(state_value) ||
	    DIFFERS(state_page_bytes) || DIFFERS(state_history) ||
	    DIFFERS(state_history_time) || DIFFERS(state_idempotency) ||
	    DIFFERS(state_handles) || DIFFERS(state_idle);
#undef DIFFERS
}

/* Everything that was asked is answered before it is closed; what is asked next
 * meets the new one. Connections need not know. */
static void
storage_renew(struct state *s)
{
	api_drain(s->api);
	s->engine->close(s->store);
	s->store = NULL;
	s->sweeping = false;
	storage_limits(s);
	if (storage_store(s) == 0) {
		api_renew(s->api, s->store);
		diag_info("storage opened anew with its new options");
		return;
	}
	serve_change(&s->serve, &refuse_hooks, s);
	storage_close(s);
	state_refuse(s);
}

void
storage_key(struct state *s)
{
	if (s->auth &&
	    auth_invocation_key(s->auth, span_make(s->key, s->key_bytes)) != 0)
		diag_panic("master sent a key that is none");
}

void
storage_drain(struct state *s)
{
	if (s->api)
		api_drain(s->api);
}
