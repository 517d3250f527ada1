/* SPDX-License-Identifier: MIT */
/* fuzz_sdk_records.c - what a web server may send to a function: whatever it is, the
 * function is called with whole parameters only, all it is told of a body was
 * sent, and what goes back is records, with no more ends than beginnings. The
 * first byte says how much of each body the function reads. */
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

#include "sdk/records.h"

enum { INPUT_MOST = 16 * 1024, OUTPUT_MOST = 1 << 20 };

static struct fastcgi f;
static struct turn turn;
static char out[OUTPUT_MOST];

struct seen {
	size_t begins, ends;
};

static struct seen
records_check(struct span bytes, bool whole)
{
	struct fcgi_reader reader;
	struct span content;
	struct seen seen = { 0 };
	enum fcgi_event event;

	fcgi_reader_init(&reader);
	while ((event = fcgi_read(&reader, &bytes, &content)) !=
		FCGI_NEED_MORE &&
	    event != FCGI_BAD_VERSION) {
		if (event != FCGI_RECORD_END)
			continue;
		seen.begins += reader.record.type == FCGI_BEGIN_REQUEST;
		seen.ends += reader.record.type == FCGI_END_REQUEST;
	}
	assert(!whole ||
	    (event == FCGI_NEED_MORE && fcgi_reader_between(&reader)));
	return seen;
}

/* As a handler that reads `reads` bytes, and its reply. */
static bool
answer(unsigned reads, size_t *taken)
{
	char *const *variables = fastcgi_variables(&f);
	struct carrier *c = &f.carrier;
	char byte;

	for (size_t i = 0; variables && variables[i]; i++)
		assert(strchr(variables[i], '=') > variables[i]);
	while (reads-- > 0 && c->read(c, &byte, 1) == 1)
		++*taken;
	if (reads % 2)
		c->log(c, SPAN("a line\n"));
	if (reads % 4 == 2)
		c->write(c, SPAN("head"), SPAN("body"), false);
	return fastcgi_end(&f, c->write(c, SPAN("h"), SPAN("i"), true) != 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span in = span_make(data, bytes), sent;
	unsigned reads = bytes > 0 ? data[0] : 0;
	size_t taken = 0, calls = 0, at = 0;
	struct seen asked, given;
	int ends[2];
	ssize_t n;

	in = sent = span_take(span_skip(in, 1), INPUT_MOST);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	assert(send(ends[0], in.data, in.bytes, 0) == (ssize_t)in.bytes ||
	    in.bytes == 0);
	must(shutdown(ends[0], SHUT_WR));
	fastcgi_init(&f, &turn);
	f.patient = reads % 2;
	fastcgi_open(&f, ends[1]);
	while (fastcgi_request(&f) == 0) {
		calls++;
		if (!answer(reads, &taken))
			break;
		assert(f.state == FASTCGI_BETWEEN);
	}
	fastcgi_close(&f);
	while ((n = recv(ends[0], out + at, sizeof(out) - at, 0)) > 0)
		at += (size_t)n;
	close(ends[0]);
	asked = records_check(sent, false);
	given = records_check(span_make(out, at), true);
	assert(calls <= asked.begins && given.ends <= asked.begins);
	assert(taken <= sent.bytes);
	buf_free(&f.params);
	buf_free(&f.small);
	free(f.text);
	f.text = NULL;
	return 0;
}
