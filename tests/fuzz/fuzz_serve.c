/* SPDX-License-Identifier: MIT */
/* fuzz_serve.c - a connection of the web server: whatever bytes come, split
 * anywhere, and whatever the owner does in between, hooks are called in their
 * order and for a request that is not over; a body that is not wanted waits; what
 * is waiting to be written stays small; and who is gone leaves no request. */
#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "serve/serve.h"

#include "../unit/settle.h"

enum {
	WAITING_MOST = 1024 * 1024,
	PIECE_MOST = 4096, /* less than a socket holds */
};

enum phase { NO_REQUEST, PARAMS, BODY, BODY_ENDED };

static struct serve serve;
static struct loop *loop;
static struct splits choices;
static enum phase phase;
static struct connection *current;
static bool takes;

static void
answer(struct connection *c)
{
	phase = NO_REQUEST;
	current = NULL;
	if (splits_next(&choices, 3) == 0) {
		connection_break_off(c);
		return;
	}
	if (connection_put(c, SPAN("Status: 200\r\n\r\nhello")) == 0)
		connection_end(c, 0);
	else
		connection_break(c, "full");
}

static void
maybe_answer(void)
{
	takes = splits_next(&choices, 3) > 0;
	if (current && splits_next(&choices, 9) == 0)
		answer(current);
}

static void *
begin(struct connection *c)
{
	assert(phase == NO_REQUEST && !current);
	if (splits_next(&choices, 50) == 50)
		return NULL;
	phase = PARAMS;
	return current = c;
}

static void
params(void *request, struct span s)
{
	assert(phase == PARAMS && request == current && s.bytes > 0);
	maybe_answer();
}

static void
params_end(void *request)
{
	assert(phase == PARAMS && request == current);
	phase = BODY;
	maybe_answer();
}

static bool
takes_body(const void *request)
{
	assert(phase >= PARAMS && request == current);
	return takes;
}

static void
body(void *request, struct span s)
{
	assert(phase == BODY && request == current && s.bytes > 0);
	assert(takes);
	maybe_answer();
}

static void
body_end(void *request)
{
	assert(phase == BODY && request == current);
	phase = BODY_ENDED;
	maybe_answer();
}

static void
rests(void *request)
{
	assert(phase >= PARAMS && request == current);
}

static void
room(void *request)
{
	assert(phase >= PARAMS && request == current);
}

static void
aborted(void *request, bool gone)
{
	if (phase == NO_REQUEST && gone) /* we broke it ourselves */
		return;
	assert(request == current);
	if (gone) {
		phase = NO_REQUEST;
		current = NULL;
	} else if (splits_next(&choices, 1)) {
		answer(current);
	}
}

static const struct serve_hooks hooks = {
	.begin = begin,
	.params = params,
	.params_end = params_end,
	.takes_body = takes_body,
	.body = body,
	.body_end = body_end,
	.rests = rests,
	.room = room,
	.abort = aborted,
};

/* The web server reads what came, or leaves it. */
static void
one_batch(int web)
{
	static char got[65536];

	loop_once(loop, 0);
	if (current)
		assert(connection_waiting(current) <= WAITING_MOST);
	if (splits_next(&choices, 2) > 0)
		while (recv(web, got, sizeof(got), MSG_DONTWAIT) > 0)
			continue;
	takes |= splits_next(&choices, 2) > 0;
	if (!current)
		return;
	if (splits_next(&choices, 5) == 0)
		answer(current);
	else
		connection_touch(current);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span input = span_make(data, bytes);
	int ends[2];

	splits_init(&choices, input);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    ends));
	loop = loop_new();
	loop_before_wait(loop, settle, &serve);
	serve_init(&serve, loop, &hooks, NULL, "fuzz");
	phase = NO_REQUEST;
	current = NULL;
	takes = true;
	assert(connection_new(&serve, &ends[1], false, NULL));
	while (input.bytes > 0) {
		size_t piece = 1 + splits_next(&choices, PIECE_MOST - 1);
		ssize_t sent = send(ends[0], input.data,
		    piece < input.bytes ? piece : input.bytes,
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && serve.connections == 0)
			break; /* it was closed */
		if (sent > 0)
			input = span_skip(input, (size_t)sent);
		one_batch(ends[0]);
		if (sent < 0) { /* it waits: let it go on */
			takes = true;
			if (current)
				answer(current);
		}
	}
	close(ends[0]);
	for (int i = 0; i < 4 && serve.connections > 0; i++) {
		takes = true;
		if (current)
			connection_touch(current);
		loop_once(loop, 0);
	}
	serve_close(&serve);
	assert(phase == NO_REQUEST && !current);
	loop_once(loop, 0);
	loop_free(loop);
	return 0;
}
