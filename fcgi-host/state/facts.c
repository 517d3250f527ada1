/* SPDX-License-Identifier: MIT */
/* facts.c - what `fcgi-hostctl status` says of state: lines that the gateway keeps,
 * sent when one has changed. Numbers are since the process started, unless they
 * say what is there now. */
#include <inttypes.h>

#include "state/api.h"
#include "state/state.h"

static void facts_storage(struct state *, struct buf *);
static void facts_requests(struct state *, struct buf *);
static void facts_tokens(struct state *, struct buf *);

void
facts_send(struct state *s)
{
	struct message_state_facts m;
	struct buf lines;

	buf_init(&lines, STATE_FACTS_MOST);
	buf_printf(&lines, "state.serving=%s\n",
	    s->phase == STATE_REFUSING ? s->refusal : "yes");
	buf_printf(&lines, "state.connections=%zu\n", s->serve.connections);
	buf_printf(&lines, "state.connections_refused=%" PRIu64 "\n",
	    s->serve.refused);
	if (s->api) {
		facts_requests(s, &lines);
		facts_tokens(s, &lines);
		facts_storage(s, &lines);
	}
	m.lines = buf_span(&lines);
	if (s->gateway && !span_equal(m.lines, buf_span(&s->facts)) &&
	    peer_send(s->gateway, MESSAGE_STATE_FACTS, &m, NULL, 0) == 0) {
		buf_free(&s->facts);
		s->facts = lines;
		return;
	}
	buf_free(&lines);
}

static void
facts_requests(struct state *s, struct buf *lines)
{
	struct api_figures figures;
	uint64_t requests = 0, problems = 0;

	api_report(s->api, &figures);
	for (int i = 0; i < ROUTES; i++)
		requests += figures.requests[i];
	for (int i = 0; i < PROBLEMS; i++)
		problems += figures.problems[i];
	buf_printf(lines, "state.requests=%" PRIu64 "\n", requests);
	buf_printf(lines, "state.requests_open=%zu\n", figures.calls);
	buf_printf(lines, "state.problems=%" PRIu64 "\n", problems);
	buf_printf(lines, "state.replayed=%" PRIu64 "\n", figures.replayed);
	buf_printf(lines, "state.watchers=%zu\n", figures.watchers);
}

/* Why requests are 401, which nobody outside is told. */
static void
facts_tokens(struct state *s, struct buf *lines)
{
	for (int i = AUTH_OK; i < AUTH_REFUSALS; i++) {
		uint64_t count = auth_count(s->auth, (enum auth_refusal)i);

		if (count > 0)
			buf_printf(lines, "state.tokens_%s=%" PRIu64 "\n",
			    auth_refusal_name((enum auth_refusal)i), count);
	}
}

static void
facts_storage(struct state *s, struct buf *lines)
{
	struct store_figures figures = { 0 };

	s->engine->figures(s->store, &figures);
	buf_printf(lines, "state.reads=%" PRIu64 "\n", figures.reads);
	buf_printf(lines, "state.commits=%" PRIu64 "\n", figures.commits);
	buf_printf(lines, "state.commit_groups=%" PRIu64 "\n", figures.groups);
	buf_printf(lines, "state.commit_group_most=%" PRIu64 "\n",
	    figures.group_most);
	buf_printf(lines, "state.failures=%" PRIu64 "\n", figures.failures);
	buf_printf(lines, "state.quarantined=%" PRIu64 "\n",
	    figures.quarantined);
	buf_printf(lines, "state.files_open=%" PRIu64 "\n", figures.handles);
	buf_printf(lines, "state.files_opened=%" PRIu64 "\n", figures.opened);
}
