/* SPDX-License-Identifier: MIT */
/* If this fails, what a function's worker sends becomes another reply than it
 * meant, a broken worker is kept for the next request, or one that sends nonsense
 * for ever is listened to for ever. */
#include "wire_spans.h"

#include "wire/fcgi_app.h"

enum { TEXT_MOST = 4 * 1024 * 1024 };

/* Records for the rows: of request 1 unless said. */
#define OUT(bytes, text) "\1\6\0\1\0" bytes "\0\0" text
#define ERR(bytes, text) "\1\7\0\1\0" bytes "\0\0" text
#define OUT_END "\1\6\0\1\0\0\0\0"
#define ERR_END "\1\7\0\1\0\0\0\0"
#define END(code, status) "\1\3\0\1\0\10\0\0\0\0\0" code status "\0\0\0"
#define OTHER_END "\1\3\0\2\0\10\0\0\0\0\0\0\0\0\0\0"

/* What is made of bytes, as text that does not show where they were split:
 * stdout as it is, stderr in brackets, the end as "<status protocol>", behind
 * which '+' says that more came, and a violation as "!phrase". */
static bool
read_slice(struct fcgi_app *a, struct span in, struct buf *text)
{
	struct span content;

	for (;;) {
		switch (fcgi_app_read(a, &in, &content)) {
		case FCGI_APP_NEED_MORE:
			assert_int_equal(in.bytes, 0);
			return true;
		case FCGI_APP_STDOUT:
			assert_true(content.bytes > 0);
			buf_put(text, content);
			break;
		case FCGI_APP_STDERR:
			for (size_t i = 0; i < content.bytes; i++)
				buf_printf(text, "[%c]", content.data[i]);
			break;
		case FCGI_APP_END:
			buf_printf(text, "<%u %u>", a->end.app_status,
			    a->end.protocol_status);
			break;
		case FCGI_APP_VIOLATION:
			buf_printf(text, "!%s", a->violation);
			assert_int_equal(fcgi_app_read(a, &in, &content),
			    FCGI_APP_VIOLATION);
			return false;
		}
	}
}

static void
read_split(struct span in, size_t at, struct buf *text)
{
	struct fcgi_app a;

	fcgi_app_init(&a);
	if (read_slice(&a, span_take(in, at), text))
		read_slice(&a, span_skip(in, at), text);
}

static const struct reading {
	const char *sentence;
	struct span bytes;
	const char *text;
} readings[] = {
	{ "a reply is stdout, its end and END_REQUEST",
	    SPAN(OUT("\5", "hello") OUT_END END("\0", "\0")), "hello<0 0>" },
	{ "the end of stdout may be left out before END_REQUEST",
	    SPAN(OUT("\2", "hi") END("\0", "\0")), "hi<0 0>" },
	{ "a request may end without a byte", SPAN(END("\0", "\0")), "<0 0>" },
	{ "END_REQUEST carries the exit status", SPAN(END("\7", "\0")),
	    "<7 0>" },
	{ "the exit status has four bytes",
	    SPAN("\1\3\0\1\0\10\0\0\1\2\3\4\0\0\0\0"), "<16909060 0>" },
	{ "CANT_MPX_CONN is an end", SPAN(END("\0", "\1")), "<0 1>" },
	{ "OVERLOADED is an end", SPAN(END("\0", "\2")), "<0 2>" },
	{ "UNKNOWN_ROLE is an end", SPAN(END("\0", "\3")), "<0 3>" },
	{ "END_REQUEST may have padding, which belongs to it",
	    SPAN("\1\3\0\1\0\10\3\0\0\0\0\0\0\0\0\0xyz"), "<0 0>" },
	{ "stdout and stderr come in any order",
	    SPAN(OUT("\1", "a") ERR("\1", "x") OUT("\1", "b") ERR("\1", "y")
		    END("\0", "\0")),
	    "a[x]b[y]<0 0>" },
	{ "stderr may come behind the end of stdout",
	    SPAN(OUT("\1", "a") OUT_END ERR("\1", "x") ERR_END END("\0", "\0")),
	    "a[x]<0 0>" },
	{ "stdout may come behind the end of stderr",
	    SPAN(ERR("\1", "x") ERR_END OUT("\1", "a") END("\0", "\0")),
	    "[x]a<0 0>" },
	{ "doubled ends of streams do no harm",
	    SPAN(OUT("\1", "a")
		    OUT_END OUT_END ERR_END ERR_END END("\0", "\0")),
	    "a<0 0>" },
	{ "padding is skipped",
	    SPAN("\1\6\0\1\0\1\7\0A\1\3\0\1\0\10\0" END("\0", "\0")),
	    "A<0 0>" },
	{ "F6: END_REQUEST of another id is not ours",
	    SPAN(OUT("\1", "a") OTHER_END OUT("\1", "b") END("\0", "\0")),
	    "ab<0 0>" },
	{ "F6: stdout of another id is not ours",
	    SPAN("\1\6\0\2\0\3\0\0bad" OUT("\1", "a") END("\0", "\0")),
	    "a<0 0>" },
	{ "F6: nor is it with our id in the low byte",
	    SPAN("\1\6\1\1\0\3\0\0bad" OUT("\1", "a") END("\0", "\0")),
	    "a<0 0>" },
	{ "F6: a record of any type and another id is not ours",
	    SPAN("\1\1\0\2\0\0\0\0\1\377\0\2\0\1\0\0x" END("\0", "\0")),
	    "<0 0>" },
	{ "GET_VALUES_RESULT and UNKNOWN_TYPE are passed over",
	    SPAN("\1\12\0\0\0\2\0\0\0\0\1\13\0\0\0\10\0\0\1\0\0\0\0\0\0\0" END(
		"\0", "\0")),
	    "<0 0>" },
	{ "a cut reply is waited for", SPAN(OUT("\5", "hel")), "hel" },
	{ "a cut header is waited for", SPAN("\1\6\0\1\0\5\0"), "" },
	{ "a cut END_REQUEST is no end",
	    SPAN("\1\3\0\1\0\10\0\0\0\0\0\0\0\0\0"), "" },
	{ "an END_REQUEST whose padding is cut is no end",
	    SPAN("\1\3\0\1\0\10\2\0\0\0\0\0\0\0\0\0x"), "" },

	{ "F2: another version ends it", SPAN(OUT("\1", "a") "\2\6\0\1"),
	    "a!what is no record of FastCGI version 1" },
	{ "F2: so does plain CGI", SPAN("Content-Type: text/plain\n\n"),
	    "!what is no record of FastCGI version 1" },
	{ "END_REQUEST of 7 bytes is no end",
	    SPAN("\1\3\0\1\0\7\0\0\0\0\0\0\0\0\0"),
	    "!an END_REQUEST that has not 8 bytes" },
	{ "END_REQUEST of 9 bytes is no end",
	    SPAN("\1\3\0\1\0\11\0\0\0\0\0\0\0\0\0\0\0"),
	    "!an END_REQUEST that has not 8 bytes" },
	{ "END_REQUEST without content is no end", SPAN("\1\3\0\1\0\0\0\0"),
	    "!an END_REQUEST that has not 8 bytes" },
	{ "two END_REQUESTs are one too many",
	    SPAN(END("\0", "\0") END("\0", "\0")),
	    "<0 0>!bytes behind END_REQUEST" },
	{ "a second reply belongs to nobody",
	    SPAN(OUT("\1", "a") END("\0", "\0") OUT("\3", "bad")
		    END("\0", "\0")),
	    "a<0 0>!bytes behind END_REQUEST" },
	{ "one byte behind END_REQUEST is one too many",
	    SPAN(END("\0", "\0") "\1"), "<0 0>!bytes behind END_REQUEST" },
	{ "stdout has one end", SPAN(OUT_END OUT("\1", "a")),
	    "!stdout behind the end of stdout" },
	{ "stderr has one end", SPAN(ERR_END ERR("\1", "a")),
	    "!stderr behind the end of stderr" },
	{ "BEGIN_REQUEST is for web servers",
	    SPAN("\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0"),
	    "!a record of a type that only a web server sends" },
	{ "STDIN is for web servers", SPAN("\1\5\0\1\0\0\0\0"),
	    "!a record of a type that only a web server sends" },
	{ "UNKNOWN_TYPE has no request",
	    SPAN("\1\13\0\1\0\10\0\0\0\0\0\0\0\0\0\0"),
	    "!a record of a type that only a web server sends" },
	{ "type 12 is nothing", SPAN("\1\14\0\1\0\0\0\0"),
	    "!a record of a type that FastCGI does not have" },
	{ "type 0 is nothing", SPAN("\1\0\0\1\0\0\0\0"),
	    "!a record of a type that FastCGI does not have" },
	{ "stdout without an id is nobody's", SPAN("\1\6\0\0\0\1\0\0a"),
	    "!a record without a request's id that only a request has" },
	{ "END_REQUEST without an id ends nothing",
	    SPAN("\1\3\0\0\0\10\0\0\0\0\0\0\0\0\0\0"),
	    "!a record without a request's id that only a request has" },
};

static void
test_reading(void **state)
{
	const struct reading *row = *state;
	struct buf text;

	buf_init(&text, TEXT_MOST);
	for (size_t at = 0; at <= row->bytes.bytes; at++) {
		buf_clear(&text);
		read_split(row->bytes, at, &text);
		assert_span(buf_span(&text), span_of(row->text));
	}
	buf_free(&text);
}

static void
test_one_byte_records(void **state)
{
	struct buf bytes, text;
	struct fcgi_app a;

	(void)state;
	buf_init(&bytes, TEXT_MOST);
	buf_init(&text, TEXT_MOST);
	for (int i = 0; i < 10000; i++)
		fcgi_put_record(&bytes, FCGI_STDOUT, 1, SPAN("a"));
	fcgi_put_end(&bytes, 1, 0, 0);
	fcgi_app_init(&a);
	assert_true(read_slice(&a, buf_span(&bytes), &text));
	assert_int_equal(buf_bytes(&text), 10000 + strlen("<0 0>"));
	assert_int_equal(a.strange_bytes, 0);
	buf_free(&bytes);
	buf_free(&text);
}

static void
test_largest_record(void **state)
{
	enum { BYTES = FCGI_HEADER_LEN + 65535 + 255 };
	char *bytes = malloc(BYTES);
	struct fcgi_app a;
	struct span in, content;

	(void)state;
	fcgi_head_write((uint8_t *)bytes, FCGI_STDOUT, 1, 65535, 255);
	fill(bytes + FCGI_HEADER_LEN, 65535 + 255);
	fcgi_app_init(&a);
	in = span_make(bytes, BYTES);
	assert_int_equal(fcgi_app_read(&a, &in, &content), FCGI_APP_STDOUT);
	/* where it stands, not copied */
	assert_ptr_equal(content.data, bytes + FCGI_HEADER_LEN);
	assert_int_equal(content.bytes, 65535);
	assert_int_equal(fcgi_app_read(&a, &in, &content), FCGI_APP_NEED_MORE);
	assert_int_equal(in.bytes, 0);
	free(bytes);
}

/* A record that says nothing, sent for ever. */
static const struct flood {
	const char *sentence;
	uint8_t type;
	uint16_t id, bytes;
	const char *violation;
} floods[] = {
	{ "replies to other requests are not listened to for ever", FCGI_STDOUT,
	    2, 65535, "too many records of other requests" },
	{ "nor are ends of other requests", FCGI_END_REQUEST, 65535, 8,
	    "too many records of other requests" },
	{ "nor is management", FCGI_GET_VALUES_RESULT, 0, 100,
	    "too many records that say nothing" },
	{ "nor are ends of a stream", FCGI_STDOUT, 1, 0,
	    "too many records that say nothing" },
	{ "not even of stderr", FCGI_STDERR, 1, 0,
	    "too many records that say nothing" },
};

static void
test_flood(void **state)
{
	const struct flood *row = *state;
	char *bytes = calloc(1, FCGI_HEADER_LEN + 65535);
	enum fcgi_app_event event;
	struct fcgi_app a;
	struct span in, content;
	size_t sent = 0;

	fcgi_head_write((uint8_t *)bytes, row->type, row->id, row->bytes, 0);
	fcgi_app_init(&a);
	do {
		in = span_make(bytes, (size_t)FCGI_HEADER_LEN + row->bytes);
		event = fcgi_app_read(&a, &in, &content);
		sent += (size_t)FCGI_HEADER_LEN + row->bytes;
		assert_true(sent <= FCGI_APP_STRANGE_MOST + 70000);
	} while (event == FCGI_APP_NEED_MORE);
	assert_int_equal(event, FCGI_APP_VIOLATION);
	assert_string_equal(a.violation, row->violation);
	assert_true(sent > FCGI_APP_STRANGE_MOST);
	free(bytes);
}

static void
test_next_request(void **state)
{
	struct buf text;
	struct fcgi_app a;

	(void)state;
	buf_init(&text, TEXT_MOST);
	fcgi_app_init(&a);
	assert_true(read_slice(&a, SPAN(OUT("\1", "a") OUT_END END("\1", "\0")),
	    &text));
	assert_true(a.over && a.stdout_ended);
	fcgi_app_init(&a);
	assert_true(read_slice(&a, SPAN(OUT("\1", "b") OUT_END END("\2", "\0")),
	    &text));
	assert_span(buf_span(&text), SPAN("a<1 0>b<2 0>"));
	buf_free(&text);
}

static void
test_refusals(void **state)
{
	(void)state;
	assert_null(fcgi_app_refusal(FCGI_REQUEST_COMPLETE));
	for (unsigned status = 1; status < 256; status++)
		assert_non_null(fcgi_app_refusal((uint8_t)status));
	assert_non_null(strstr(fcgi_app_refusal(FCGI_OVERLOADED),
	    "FCGI_OVERLOADED"));
}

/* ---- the request ---------------------------------------------------------- */

/* What a request's records are made of: "BEGIN n keep" and "NAME=value;"s, the
 * PARAMS stream whole. Says in how many records it came. */
static unsigned
read_request(struct span in, struct buf *text)
{
	struct fcgi_reader r;
	struct span content, rest;
	struct buf stream, begin_body;
	struct fcgi_begin begin;
	struct param pair;
	unsigned records = 0;
	bool ended = false;

	fcgi_reader_init(&r);
	buf_init(&stream, TEXT_MOST);
	buf_init(&begin_body, 8);
	for (;;) {
		enum fcgi_event event = fcgi_read(&r, &in, &content);

		if (event == FCGI_NEED_MORE)
			break;
		assert_int_not_equal(event, FCGI_BAD_VERSION);
		assert_int_equal(r.record.id, FCGI_APP_ID);
		if (event == FCGI_CONTENT)
			buf_put(r.record.type == FCGI_PARAMS ? &stream :
							       &begin_body,
			    content);
		if (event != FCGI_RECORD_END)
			continue;
		assert_false(ended);
		if (r.record.type == FCGI_BEGIN_REQUEST) {
			assert_int_equal(records, 0);
			assert_int_equal(fcgi_begin_parse(buf_span(&begin_body),
					     &begin),
			    0);
			assert_int_equal(begin.role, FCGI_RESPONDER);
			buf_printf(text,
			    "%s: ", begin.keep_conn ? "keep" : "close");
			continue;
		}
		assert_int_equal(r.record.type, FCGI_PARAMS);
		records++;
		ended = r.record.content_bytes == 0;
	}
	assert_true(ended && fcgi_reader_between(&r));
	rest = buf_span(&stream);
	while (params_cut(&rest, &pair) == PARAMS_PAIR)
		buf_printf(text, "%.*s=%.*s;", SPAN_ARGS(pair.name),
		    SPAN_ARGS(pair.value));
	assert_int_equal(rest.bytes, 0);
	buf_free(&stream);
	buf_free(&begin_body);
	return records - 1;
}

static const struct writing {
	const char *sentence;
	bool keep_conn;
	struct span environment;
	const char *text;
	unsigned records;
} writings[] = {
	{ "an environment becomes PARAMS", false,
	    SPAN("REQUEST_METHOD=GET\0QUERY_STRING=a=b\0"),
	    "close: REQUEST_METHOD=GET;QUERY_STRING=a=b;", 1 },
	{ "a connection to be kept says so", true, SPAN("A=b\0"), "keep: A=b;",
	    1 },
	{ "a value may be empty", false, SPAN("A=\0B=c\0"), "close: A=;B=c;",
	    1 },
	{ "what has no '=' has no value", false, SPAN("A\0B=c\0"),
	    "close: A=;B=c;", 1 },
	{ "an empty environment has an end only", false, SPAN(""),
	    "close: ", 0 },
};

static void
test_writing(void **state)
{
	const struct writing *row = *state;
	struct buf out, text;

	buf_init(&out, TEXT_MOST);
	buf_init(&text, TEXT_MOST);
	assert_int_equal(fcgi_app_put_begin(&out, row->keep_conn,
			     row->environment),
	    0);
	assert_int_equal(buf_bytes(&out) % 8, 0);
	assert_int_equal(read_request(buf_span(&out), &text), row->records);
	assert_span(buf_span(&text), span_of(row->text));
	buf_free(&out);
	buf_free(&text);
}

/* Lengths round the two forms of a length and round a record's end, in an
 * environment of one variable. */
static void
test_lengths(void **state)
{
	static const size_t lengths[] = { 0, 1, 126, 127, 128, 129, 255, 256,
		8183, 8192, 65517, 65518, 65519, 65520, 65521, 65522, 65523,
		65524, 65527, 65528, 65529, 131055, 131056, 131057, 200000 };
	char *bytes = malloc(200002);
	struct buf out, text;
	struct span s;

	(void)state;
	buf_init(&out, TEXT_MOST);
	buf_init(&text, TEXT_MOST);
	for (size_t i = 0; i < COUNT(lengths); i++) {
		size_t length = lengths[i];

		bytes[0] = 'A';
		bytes[1] = '=';
		fill(bytes + 2, length);
		buf_clear(&out);
		buf_clear(&text);
		assert_int_equal(fcgi_app_put_begin(&out, false,
				     span_make(bytes, 2 + length)),
		    0);
		assert_int_equal(read_request(buf_span(&out), &text),
		    (1 + (length > 127 ? 4 : 1) + 1 + length +
			FCGI_RECORD_CONTENT_MOST - 1) /
			FCGI_RECORD_CONTENT_MOST);
		s = span_skip(buf_span(&text), strlen("close: "));
		assert_int_equal(s.bytes, 2 + length + 1);
		assert_memory_equal(s.data, bytes, 2 + length);
	}
	buf_free(&out);
	buf_free(&text);
	free(bytes);
}

static void
test_ceiling(void **state)
{
	char bytes[1000] = "A=";
	struct buf out;
	size_t written = 0;

	(void)state;
	fill(bytes + 2, sizeof(bytes) - 2);
	for (size_t ceiling = 8; ceiling < 1100; ceiling++) {
		buf_init(&out, ceiling);
		buf_put(&out, SPAN("before"));
		if (fcgi_app_put_begin(&out, false,
			span_make(bytes, sizeof(bytes))) == 0) {
			written++;
			assert_true(buf_bytes(&out) > sizeof(bytes));
		} else {
			assert_span(buf_span(&out), SPAN("before"));
		}
		buf_free(&out);
	}
	assert_true(written > 0);
}

int
main(void)
{
	const struct CMUnitTest others[] = {
		cmocka_unit_test(test_one_byte_records),
		cmocka_unit_test(test_largest_record),
		cmocka_unit_test(test_next_request),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_ceiling),
	};

	return RUN_ROWS(readings, test_reading) + RUN_ROWS(floods, test_flood) +
	    RUN_ROWS(writings, test_writing) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
