/* SPDX-License-Identifier: MIT */
/* fuzz_state_api.c - whole requests to the state API over the memory engine, some
 * of them cut off, aborted or left alone: every one that is whole gets a complete
 * reply with a status, and when all have gone nothing of them is left.
 * Input: requests with RS (0x1e) between them, each a letter (w: whole; c: cut off
 * in its body; a: aborted; l: left before the reply), a line "METHOD target",
 * header lines "NAME: value" of CGI, an empty line, and the body. */
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

#include "base/fd.h"
#include "wire/params.h"

#include "state/api.h"

#include "../unit/settle.h"

enum { REQUESTS_MOST = 32, REPLY_MOST = 8 * 1024 * 1024 };

static struct loop *loop;
static struct serve serve;

static uint64_t
unix_ms(void)
{
	return UINT64_C(1800000000000);
}

static void
put_params(struct buf *out, struct span *request)
{
	struct span line = span_cut(request, '\n'), target = line;
	struct span method = span_cut(&target, ' ');
	struct buf params;

	buf_init(&params, 1024 * 1024);
	must(params_put(&params, SPAN("REQUEST_METHOD"), method));
	must(params_put(&params, SPAN("REQUEST_URI"),
	    target.data ? target : SPAN("")));
	while (request->bytes > 0) {
		struct span value = span_cut(request, '\n'), name;

		if (value.bytes == 0)
			break;
		name = span_cut(&value, ':');
		must(params_put(&params, name,
		    value.data ? span_trim(value) : SPAN("")));
	}
	must(fcgi_put_stream(out, FCGI_PARAMS, 1, buf_span(&params)));
	must(fcgi_put_stream_end(out, FCGI_PARAMS, 1));
	buf_free(&params);
}

static void
go_on(int batches)
{
	for (int i = 0; i < batches; i++)
		loop_once(loop, 0);
}

/* END_REQUEST came, behind a header that begins with its status. */
static void
check_reply(int fd)
{
	struct fcgi_reader reader;
	struct span in, content;
	struct buf reply, out;
	enum fcgi_event event;
	bool ended = false;
	ssize_t bytes;
	char *to;

	buf_init(&reply, REPLY_MOST);
	buf_init(&out, REPLY_MOST);
	fcgi_reader_init(&reader);
	for (int i = 0; i < 1000; i++) {
		to = buf_reserve(&reply, 65536);
		assert(to != NULL);
		bytes = recv(fd, to, 65536, MSG_DONTWAIT);
		if (bytes == 0)
			break;
		if (bytes > 0)
			buf_wrote(&reply, (size_t)bytes);
		else
			go_on(1);
	}
	in = buf_span(&reply);
	while ((event = fcgi_read(&reader, &in, &content)) != FCGI_NEED_MORE) {
		assert(event != FCGI_BAD_VERSION);
		if (event == FCGI_RECORD &&
		    reader.record.type == FCGI_END_REQUEST)
			ended = true;
		if (event == FCGI_CONTENT && reader.record.type == FCGI_STDOUT)
			must(buf_put(&out, content));
	}
	assert(ended && fcgi_reader_between(&reader));
	assert(span_starts(buf_span(&out), SPAN("Status: ")));
	assert(strstr(buf_string(&out), "\r\n\r\n") != NULL);
	assert(strstr(buf_string(&out), "\r\nX-Request-Id: ") != NULL);
	buf_free(&reply);
	buf_free(&out);
}

/* Waits that nobody ends would take their time: those are left. */
static bool
waits(struct span request)
{
	for (size_t i = 0; i + 5 <= request.bytes; i++)
		if (memcmp(request.data + i, "wait", 4) == 0 ||
		    memcmp(request.data + i, "event", 5) == 0)
			return true;
	return false;
}

static void
run(struct span request, int *left)
{
	char how = request.bytes > 0 ? request.data[0] : 'w';
	struct access *access = calloc(1, sizeof(*access));
	bool long_one = waits(request);
	struct buf out;
	int ends[2];

	assert(access != NULL);
	memcpy(access->claims.tenant, "acme", 5);
	access->claims.scope = JWT_ADMIN;
	access->claims.kind = JWT_ACCESS;
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	must(fd_nonblock(ends[0], true));
	must(fd_nonblock(ends[1], true));
	buf_init(&out, 4 * 1024 * 1024);
	request = span_skip(request, 1);
	must(fcgi_put_begin(&out, 1, FCGI_RESPONDER, false));
	put_params(&out, &request);
	if (how == 'c')
		request = span_take(request, request.bytes / 2);
	must(fcgi_put_stream(&out, FCGI_STDIN, 1, request));
	if (how != 'c')
		must(fcgi_put_stream_end(&out, FCGI_STDIN, 1));
	if (how == 'a')
		must(fcgi_put_abort(&out, 1));
	if (connection_new(&serve, &ends[1], true, access) == NULL)
		abort();
	if (send(ends[0], buf_span(&out).data, buf_bytes(&out), MSG_NOSIGNAL) ==
		(ssize_t)buf_bytes(&out) &&
	    how != 'c' && how != 'l' && how != 'a' && !long_one)
		check_reply(ends[0]);
	else
		go_on(how == 'l' ? 1 : 3);
	buf_free(&out);
	*left = ends[0]; /* some stay until the end */
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const struct store_config with = { .unix_ms = unix_ms,
		.steady_ms = unix_ms };
	struct span rest = span_make(data, bytes);
	int left[REQUESTS_MOST];
	struct api_figures figures;
	struct config *config;
	struct store *store;
	struct api *api;
	char why[STORE_DETAIL_MOST];
	int count = 0;

	if (bytes > 60 * 1024) /* all of it fits into a socket */
		return 0;
	loop = loop_new();
	config = config_new();
	config->state_watchers = 4;
	store = store_memory.open(&with, loop, why);
	assert(store != NULL);
	api = api_open(loop, &store_memory, store, NULL, -1);
	serve_init(&serve, loop, &api_hooks, api, "state");
	api_configure(api, config, &serve);
	loop_before_wait(loop, settle, &serve);
	while (rest.bytes > 0 && count < REQUESTS_MOST)
		run(span_cut(&rest, 0x1e), &left[count++]);
	for (int i = 0; i < count; i++)
		fd_close(&left[i]);
	api_drain(api);
	do {
		go_on(1);
		api_report(api, &figures);
	} while (figures.calls > 0);
	assert(figures.watchers == 0 && figures.bodies == 0);
	serve_close(&serve);
	go_on(1);
	store_memory.close(store);
	api_close(&api);
	loop_free(loop);
	config_release(&config);
	return 0;
}
