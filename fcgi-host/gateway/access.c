/* SPDX-License-Identifier: MIT */
/* access.c - what the log process is told: a record of every request that is
 * over, and the read end of every stderr somebody wrote to. While there is no
 * log process, or it is slow, a bounded amount of both waits, of which no tenant
 * takes what others need: each may have half of what is left. So one that floods
 * has a third of all at most, and loses what is beyond. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/diag.h"
#include "wire/name.h"

#include "gateway/gateway.h"

struct handover { /* a run that is over, its stderr not read */
	struct list node;
	int fd; /* ours */
	size_t request_bytes;
	size_t tenant_bytes;
	size_t function_bytes;
	char request[REQUEST_ID_CHARS];
	char names[CONFIG_TENANT_MOST + NAME_ASKED_MOST];
};

static void access_gone(void *arg, const char *reason, bool unread);
static void access_put(const struct request *, const struct message_access *);
static void access_dropped(const struct request *);
static bool backlog_takes(struct gateway *, struct access_share *,
    size_t bytes);
static int stderr_send(struct gateway *, struct span request,
    struct span tenant, struct span function, int fd);
static bool stderr_keep(struct gateway *, const struct run_about *, int *fd);
static bool handovers_take(const struct gateway *, struct span tenant);
static void stderr_send_kept(struct gateway *);
static uint64_t difference(uint64_t later, uint64_t earlier);

void
access_open(struct gateway *g, int *fd)
{
	peer_free(&g->log);
	g->log = peer_new(g->loop, *fd, ROLE_GATEWAY, ROLE_LOG, NULL,
	    access_gone, g);
	*fd = -1;
	access_send(g);
	stderr_send_kept(g);
	LIST_EACH(node, &g->runs)
		run_errors_again(LIST_OWNER(node, struct run, all));
}

void
access_close(struct gateway *g, uint64_t limit_ms)
{
	access_send(g);
	if (g->log)
		peer_flush(g->log, limit_ms);
	peer_free(&g->log);
}

static void
access_gone(void *arg, const char *reason, bool unread)
{
	struct gateway *g = arg;

	(void)unread;
	diag_warn("the log process is gone: %s; records wait for the next",
	    reason);
	peer_free(&g->log);
}

/* ---- records --------------------------------------------------------------------- */

void
access_record(const struct request *r)
{
	static struct buf detail = { .ceiling = ACCESS_DETAIL_MOST };
	const struct invocation *v = &r->invocation;
	const struct run_result *result = &v->result;
	const struct answer_facts facts = {
		.end = r->end,
		.tenant = r->route.tenant,
		.function = r->route.function,
		.limit = span_of(r->end_limit),
		.value = span_of(r->end_value),
		.what = span_of(r->end_what),
	};
	struct message_access m = {
		.at_unix_ms = clock_unix_ms(),
		.request = span_make(r->name, REQUEST_ID_CHARS),
		.client_request = r->client_name,
		.tenant = r->route.tenant,
		.function = r->function ? function_name(r->function) :
					  r->route.function,
		.method = span_take(r->method, 32),
		.target = span_take(r->target, ACCESS_TARGET_MOST),
		.remote = span_take(r->remote, 64),
		.status = r->status,
		.end = span_of(end_row(r->end)->name),
		.ran = v->state == INVOCATION_OVER && result->ended,
		.wait_status = (uint32_t)result->facts.wait_status,
		.strays = result->strays,
		.upload_us = difference(r->complete_us, r->begun_us),
		.waited_us = difference(r->granted_us, r->complete_us),
		.started_us =
		    difference(result->started_us > 0 ? result->started_us :
							clock_us(),
			r->granted_us),
		.ran_us = result->facts.ran_us,
		.cpu_us = result->facts.cpu_us,
		.max_rss_kib = result->max_rss_kib,
		.worker = v->exchange.number,
		.served = v->exchange.served,
		.start = v->forked ? SPAN("fork") : SPAN_NONE,
		.bytes_in = r->body.bytes,
		.bytes_out = r->reply.bytes,
	};

	if (r->end != END_DONE)
		m.limit = span_of(r->end_limit);
	buf_clear(&detail);
	if (r->end != END_DONE && answer_detail(&detail, &facts) == 0)
		m.detail = buf_span(&detail);
	else if (r->reply.cut)
		m.detail = SPAN("more than its Content-Length was written");
	access_put(r, &m);
}

/* Records of a few milliseconds go together: waking the log process costs more
 * than its line does. */
static void
access_put(const struct request *r, const struct message_access *m)
{
	static struct buf encoded = { .ceiling = MESSAGE_MOST };
	struct gateway *g = r->gateway;
	struct access_share *share =
	    r->function && r->tenant ? &r->tenant->records : &g->strangers;

	buf_clear(&encoded);
	if (message_access_encode(&encoded, m) != 0 ||
	    !backlog_takes(g, share, buf_bytes(&encoded)) ||
	    message_pack(&g->records, buf_span(&encoded)) != 0) {
		access_dropped(r);
		return;
	}
	if (!g->log)
		return;
	if (buf_bytes(&g->records) >= ACCESS_BATCH_BYTES)
		access_send(g);
	else if (!timer_armed(&g->records_due))
		loop_timer_set(g->loop, &g->records_due,
		    loop_now_ms(g->loop) + ACCESS_BATCH_MS);
}

static void
access_dropped(const struct request *r)
{
	const struct fault_event event = {
		.kind = FAULTS_UNLOGGED,
		.tenant = r->route.tenant,
		.function =
		    r->function ? function_name(r->function) : SPAN_NONE,
		.request = span_make(r->name, REQUEST_ID_CHARS),
		.times = 1,
		.at_unix_ms = clock_unix_ms(),
	};

	r->gateway->stats.records_dropped++;
	if (r->function)
		faults_add(&r->gateway->faults, &event);
}

/* Anybody can ask for names: what is none of a tenant is one tenant's. */
static bool
backlog_takes(struct gateway *g, struct access_share *share, size_t bytes)
{
	uint64_t waiting =
	    buf_bytes(&g->records) + (g->log ? peer_queued(g->log) : 0);
	uint64_t most = ACCESS_RECORDS_MOST + (g->log ? PEER_QUEUE_BYTES : 0);

	if (waiting == 0)
		g->backlog_epoch++;
	if (share->epoch != g->backlog_epoch)
		*share = (struct access_share){ g->backlog_epoch, 0 };
	if (waiting > most || share->bytes > (most - waiting) / 2)
		return false;
	share->bytes += bytes;
	return true;
}

void
access_due(void *arg)
{
	access_send(arg);
}

/* As many messages as it takes: some may have waited for a log process. */
void
access_send(struct gateway *g)
{
	struct span rest = buf_span(&g->records);

	if (!g->log)
		return;
	loop_timer_clear(g->loop, &g->records_due);
	while (rest.bytes > 0) {
		struct message_accesses m = { .packed = rest };
		struct span after = rest, body;
		size_t count = 0;

		while (message_unpack(&after, &body) != MESSAGE_NONE &&
		    rest.bytes - after.bytes <= ACCESS_MESSAGE_MOST) {
			m.packed = span_take(rest, rest.bytes - after.bytes);
			count++;
		}
		if (peer_send(g->log, MESSAGE_ACCESSES, &m, NULL, 0) != 0)
			g->stats.records_dropped += count;
		rest = span_skip(rest, m.packed.bytes);
	}
	buf_clear(&g->records);
}

static uint64_t
difference(uint64_t later, uint64_t earlier)
{
	return later > earlier && earlier > 0 ? later - earlier : 0;
}

/* ---- stderr ------------------------------------------------------------------------ */

/* A run that goes on keeps its pipe until it is over, or there is a log again. */
bool
access_stderr(struct gateway *g, const struct run_about *about, int *fd,
    bool over)
{
	if (g->log &&
	    backlog_takes(g, &about->tenant->records, ACCESS_STDERR_BYTES) &&
	    stderr_send(g, about->request, tenant_name(about->tenant),
		about->function, *fd) == 0) {
		fd_close(fd);
		return true;
	}
	if (over && !g->log)
		return stderr_keep(g, about, fd);
	g->stats.stderr_dropped += over;
	return false;
}

static int
stderr_send(struct gateway *g, struct span request, struct span tenant,
    struct span function, int fd)
{
	const struct message_stderr m = {
		.request = request, .tenant = tenant, .function = function
	};

	if (!g->log)
		return -1;
	return peer_send(g->log, MESSAGE_STDERR, &m, &fd, 1);
}

static bool
stderr_keep(struct gateway *g, const struct run_about *about, int *fd)
{
	struct span tenant = tenant_name(about->tenant);
	struct span function = about->function;
	struct handover *h = NULL;

	if (handovers_take(g, tenant))
		h = malloc(sizeof(*h));
	if (!h) {
		g->stats.stderr_dropped++;
		return false;
	}
	h->fd = *fd;
	*fd = -1;
	h->tenant_bytes = tenant.bytes;
	h->function_bytes = function.bytes;
	h->request_bytes = span_take(about->request, sizeof(h->request)).bytes;
	memcpy(h->request, about->request.data, h->request_bytes);
	memcpy(mempcpy(h->names, tenant.data, tenant.bytes), function.data,
	    function.bytes);
	list_init(&h->node);
	list_add_last(&g->handovers, &h->node);
	g->handover_count++;
	return true;
}

static bool
handovers_take(const struct gateway *g, struct span tenant)
{
	size_t own = 0;

	LIST_EACH(node, &g->handovers) {
		const struct handover *h =
		    LIST_OWNER(node, struct handover, node);

		own += span_equal(span_make(h->names, h->tenant_bytes), tenant);
	}
	return g->handover_count < ACCESS_HANDOVERS_MOST &&
	    own <= (ACCESS_HANDOVERS_MOST - g->handover_count) / 2;
}

static void
stderr_send_kept(struct gateway *g)
{
	while (!list_empty(&g->handovers)) {
		struct handover *h = LIST_OWNER(list_first(&g->handovers),
		    struct handover, node);

		if (stderr_send(g, span_make(h->request, h->request_bytes),
			span_make(h->names, h->tenant_bytes),
			span_make(h->names + h->tenant_bytes,
			    h->function_bytes),
			h->fd) != 0)
			g->stats.stderr_dropped++;
		list_remove(&h->node);
		g->handover_count--;
		fd_close(&h->fd);
		free(h);
	}
}
