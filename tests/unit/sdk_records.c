/* SPDX-License-Identifier: MIT */
/* If this fails, what is left of one request is taken for the next one, a function
 * runs with half of a request, or a web server waits for an end that never comes.
 * The socket keeps the borders of what was sent, so that every split is seen. */
#include <errno.h>
#include <sys/socket.h>

#include "wire_spans.h"

#include "sdk/records.h"

enum { ROOM = 256 * 1024 };

/* Records of id 1, unless it says another. */
#define BEGIN "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\0\0\0\0\0"
#define BEGIN_KEEP "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\0\0\0\0\0"
#define PARAMS                                     \
	"\x01\x04\x00\x01\x00\x05\x03\x00\x01\x02" \
	"A12pad"                                   \
	"\x01\x04\x00\x01\x00\x00\x00\x00"
#define NO_STDIN "\x01\x05\x00\x01\x00\x00\x00\x00"
#define STDIN "\x01\x05\x00\x01\x00\x05\x00\x00hello"
#define ABORT "\x01\x02\x00\x01\x00\x00\x00\x00"
#define END "\x01\x03\x00\x01\x00\x08\x00\x00\0\0\0\0\0\0\0\0"
#define NO_STDOUT "\x01\x06\x00\x01\x00\x00\x00\x00"
#define REPLY "\x01\x06\x00\x01\x00\x02\x06\x00hi\0\0\0\0\0\0"
#define ASKED                                      \
	"\x01\x09\x00\x00\x00\x11\x00\x00\x0f\x00" \
	"FCGI_MPXS_CONNS"
#define TOLD                                       \
	"\x01\x0a\x00\x00\x00\x12\x06\x00\x0f\x01" \
	"FCGI_MPXS_CONNS0\0\0\0\0\0\0"
#define ALIEN "\x01\x63\x00\x00\x00\x00\x00\x00"
#define UNKNOWN "\x01\x0b\x00\x00\x00\x08\x00\x00\x63\0\0\0\0\0\0\0"
#define OTHER_BEGIN "\x01\x01\x00\x02\x00\x08\x00\x00\x00\x01\x01\0\0\0\0\0"
#define OTHER_REFUSED "\x01\x03\x00\x02\x00\x08\x00\x00\0\0\0\0\x01\0\0\0"
#define FILTER "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x03\x01\0\0\0\0\0"
#define FILTER_REFUSED "\x01\x03\x00\x01\x00\x08\x00\x00\0\0\0\0\x03\0\0\0"

static struct fastcgi f;
static struct turn turn;

/* What a handler does in these: reads so many bytes of the body and says "hi". */
static const struct row {
	const char *sentence;
	struct span in;
	const char *requests; /* "A=12" each, and what was read, "-" broken */
	struct span out;
	size_t reads;
} rows[] = {
	{ "a request", SPAN(BEGIN PARAMS NO_STDIN), "A=12()",
	    SPAN(REPLY NO_STDOUT END), 9 },
	{ "its body", SPAN(BEGIN PARAMS STDIN STDIN NO_STDIN), "A=12(hellohel)",
	    SPAN(REPLY NO_STDOUT END), 8 },
	{ "two on one connection",
	    SPAN(BEGIN_KEEP PARAMS NO_STDIN BEGIN PARAMS STDIN NO_STDIN),
	    "A=12()A=12(hello)", SPAN(REPLY NO_STDOUT END REPLY NO_STDOUT END),
	    9 },
	{ "a body that nobody reads is not the next request",
	    SPAN(BEGIN_KEEP PARAMS STDIN STDIN NO_STDIN BEGIN PARAMS NO_STDIN),
	    "A=12()A=12()", SPAN(REPLY NO_STDOUT END REPLY NO_STDOUT END), 0 },
	{ "nor one that half is read of",
	    SPAN(BEGIN_KEEP PARAMS STDIN STDIN NO_STDIN BEGIN PARAMS NO_STDIN),
	    "A=12(hel)A=12()", SPAN(REPLY NO_STDOUT END REPLY NO_STDOUT END),
	    3 },
	{ "half of the parameters are no request",
	    SPAN(BEGIN "\x01\x04\x00\x01\x00\x05\x03\x00\x01\x02"
		       "A1"),
	    "", SPAN(""), 9 },
	{ "nor are they when the connection ends well",
	    SPAN(BEGIN "\x01\x04\x00\x01\x00\x05\x00\x00\x01\x02"
		       "A12"),
	    "", SPAN(""), 9 },
	{ "an abort before them", SPAN(BEGIN_KEEP ABORT BEGIN PARAMS NO_STDIN),
	    "A=12()", SPAN(NO_STDOUT END REPLY NO_STDOUT END), 9 },
	{ "an abort in the body",
	    SPAN(BEGIN_KEEP PARAMS STDIN ABORT BEGIN PARAMS NO_STDIN),
	    "A=12(hello-)A=12()", SPAN(NO_STDOUT END REPLY NO_STDOUT END), 9 },
	{ "a body that breaks off", SPAN(BEGIN_KEEP PARAMS STDIN),
	    "A=12(hello-)", SPAN(""), 9 },
	{ "a body before the parameters are over",
	    SPAN(BEGIN_KEEP "\x01\x04\x00\x01\x00\x05\x00\x00\x01\x02"
			    "A12" STDIN "\x01\x04\x00\x01\x00\x00\x00\x00"),
	    "", SPAN(""), 9 },
	{ "what it is asked", SPAN(ASKED BEGIN PARAMS NO_STDIN), "A=12()",
	    SPAN(TOLD REPLY NO_STDOUT END), 9 },
	{ "what nobody knows", SPAN(ALIEN BEGIN PARAMS NO_STDIN), "A=12()",
	    SPAN(UNKNOWN REPLY NO_STDOUT END), 9 },
	{ "asked in the middle of a body",
	    SPAN(BEGIN PARAMS STDIN ASKED STDIN NO_STDIN), "A=12(hellohell)",
	    SPAN(TOLD REPLY NO_STDOUT END), 9 },
	{ "another one at the same time",
	    SPAN(BEGIN PARAMS STDIN OTHER_BEGIN NO_STDIN), "A=12(hello)",
	    SPAN(OTHER_REFUSED REPLY NO_STDOUT END), 9 },
	{ "the same one at the same time", SPAN(BEGIN PARAMS BEGIN NO_STDIN),
	    "A=12(-)", SPAN(""), 9 },
	{ "a role that is not ours", SPAN(FILTER BEGIN PARAMS NO_STDIN),
	    "A=12()", SPAN(FILTER_REFUSED REPLY NO_STDOUT END), 9 },
	{ "records of nobody",
	    SPAN("\x01\x05\x00\x07\x00\x02\x00\x00xx" BEGIN
		 "\x01\x04\x00\x07\x00\x00\x00\x00" PARAMS NO_STDIN),
	    "A=12()", SPAN(REPLY NO_STDOUT END), 9 },
	{ "no FastCGI", SPAN("GET / HTTP/1.1\r\n\r\n"), "", SPAN(""), 9 },
	{ "no FastCGI behind a request", SPAN(BEGIN_KEEP PARAMS NO_STDIN "\0"),
	    "A=12()", SPAN(REPLY NO_STDOUT END), 9 },
	{ "nothing", SPAN(""), "", SPAN(""), 9 },
};

/* As a handler and its reply do. */
static bool
answer(size_t reads, char *said, size_t room)
{
	char *const *variables = fastcgi_variables(&f);
	struct carrier *c = &f.carrier;
	size_t at = strlen(said);
	ptrdiff_t n = 1;
	char byte;

	at += (size_t)snprintf(said + at, room - at, "%s(",
	    variables ? variables[0] : "none");
	for (; reads > 0 && n > 0; reads--) {
		n = c->read(c, &byte, 1);
		if (n != 0)
			said[at++] = n < 0 ? '-' : byte;
	}
	snprintf(said + at, room - at, ")");
	return fastcgi_end(&f, c->write(c, SPAN("h"), SPAN("i"), true) != 0);
}

static void
run_row(const struct row *row, size_t piece)
{
	static char out[ROOM];
	char said[128] = "";
	struct span rest = row->in;
	ssize_t n = 0;
	size_t at = 0;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	for (; rest.bytes > 0; rest = span_skip(rest, piece)) {
		struct span part = span_take(rest, piece);

		assert_int_equal(send(ends[0], part.data, part.bytes, 0),
		    part.bytes);
	}
	shutdown(ends[0], SHUT_WR);
	fastcgi_init(&f, &turn);
	fastcgi_open(&f, ends[1]);
	while (fastcgi_request(&f) == 0 &&
	    answer(row->reads, said, sizeof(said)))
		;
	fastcgi_close(&f);
	while ((n = recv(ends[0], out + at, sizeof(out) - at, 0)) > 0)
		at += (size_t)n;
	close(ends[0]);
	buf_free(&f.params);
	buf_free(&f.small);
	assert_string_equal(said, row->requests);
	assert_span(span_make(out, at), row->out);
}

static void
test_row(void **state)
{
	const struct row *row = *state;

	/* A queue of the kernel is not long enough for bytes one by one of the
	 * longest; the small pieces are those that matter. */
	for (size_t piece = row->in.bytes; piece > 0; piece--)
		if (row->in.bytes / piece < 100)
			run_row(row, piece);
}

/* Streams of any length: in records that a peer can read, padded, none empty. */
static void
test_long(void **state)
{
	static char bytes[3 * 65535 + 7], got[ROOM];
	static const size_t heads[] = { 0, 1, 8, 65528, 65529, 100000 };
	struct fcgi_reader reader;
	struct span in, content, all = span_make(bytes, sizeof(bytes));
	size_t room;
	int ends[2];

	(void)state;
	fill(bytes, sizeof(bytes));
	for (size_t i = 0; i < COUNT(heads); i++) {
		size_t at = 0, large = 0;
		enum fcgi_event event;
		ssize_t n;
		int buffer = 1 << 20;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		setsockopt(ends[1], SOL_SOCKET, SO_SNDBUFFORCE, &buffer,
		    sizeof(buffer));
		setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &buffer,
		    sizeof(buffer));
		fastcgi_init(&f, &turn);
		fastcgi_open(&f, ends[1]);
		send(ends[0], BEGIN PARAMS NO_STDIN,
		    sizeof(BEGIN PARAMS NO_STDIN) - 1, 0);
		assert_int_equal(fastcgi_request(&f), 0);
		assert_non_null(fastcgi_variables(&f));
		if (fork() == 0) {
			struct span head = span_take(all, heads[i]);

			_exit(f.carrier.write(&f.carrier, head,
				  span_skip(all, heads[i]), true) != 0);
		}
		fastcgi_close(&f);
		fcgi_reader_init(&reader);
		for (;;) {
			room = sizeof(got) - at;
			n = recv(ends[0], got + at, room, 0);
			if (n <= 0)
				break;
			in = span_make(got + at, (size_t)n);
			while ((event = fcgi_read(&reader, &in, &content)) !=
			    FCGI_NEED_MORE) {
				assert_int_not_equal(event, FCGI_BAD_VERSION);
				if (event == FCGI_RECORD)
					assert_int_equal(
					    (reader.record.content_bytes +
						reader.record.padding_bytes) %
						8,
					    0);
				if (event != FCGI_CONTENT ||
				    reader.record.type != FCGI_STDOUT)
					continue;
				/* behind what is still to be read of it */
				memmove(got + large, content.data,
				    content.bytes);
				large += content.bytes;
			}
			at = large;
		}
		assert_true(fcgi_reader_between(&reader));
		assert_span(span_make(got, large), all);
		close(ends[0]);
		buf_free(&f.params);
		buf_free(&f.small);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_long) };

	return RUN_ROWS(rows, test_row) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
