/* SPDX-License-Identifier: MIT */
/* If this fails, nginx and the host do not agree where a record ends: requests
 * are lost, mixed up, or smuggled in the body of another. */
#include <stdio.h>
#include <stdlib.h>

#include "wire_spans.h"

#include "wire/fcgi.h"
#include "wire/params.h"

enum { TEXT_MOST = 4 * 1024 * 1024 };

/* What a reader makes of bytes, as text that does not show where they were
 * split: "<type id content+padding:...>" a record, '!' for a bad version. */
static void
read_slice(struct fcgi_reader *r, struct span in, struct buf *text)
{
	struct span content;

	for (;;) {
		switch (fcgi_read(r, &in, &content)) {
		case FCGI_NEED_MORE:
			assert_int_equal(in.bytes, 0);
			return;
		case FCGI_RECORD:
			buf_printf(text, "<%u %u %u+%u:", r->record.type,
			    r->record.id, r->record.content_bytes,
			    r->record.padding_bytes);
			break;
		case FCGI_CONTENT:
			assert_true(content.bytes > 0);
			buf_put(text, content);
			break;
		case FCGI_RECORD_END:
			buf_put_byte(text, '>');
			assert_true(fcgi_reader_between(r));
			break;
		case FCGI_BAD_VERSION:
			buf_put_byte(text, '!');
			return;
		}
	}
}

static void
read_split(struct span in, size_t at, struct buf *text)
{
	struct fcgi_reader r;

	fcgi_reader_init(&r);
	read_slice(&r, span_take(in, at), text);
	if (buf_bytes(text) > 0 &&
	    buf_span(text).data[buf_bytes(text) - 1] == '!')
		return;
	read_slice(&r, span_skip(in, at), text);
}

static const struct reading {
	const char *sentence;
	struct span bytes;
	struct span text;
} readings[] = {
	{ "F1: a record is type, id, content and padding",
	    SPAN("\1\6\0\1\0\3\5\0abc\0\0\0\0\0"), SPAN("<6 1 3+5:abc>") },
	{ "F1: a record may have no content", SPAN("\1\4\0\1\0\0\0\0"),
	    SPAN("<4 1 0+0:>") },
	{ "F1: a record may have padding only",
	    SPAN("\1\5\0\1\0\0\3\0xyz\1\5\0\1\0\0\0\0"),
	    SPAN("<5 1 0+3:><5 1 0+0:>") },
	{ "F1: padding may be anything and is skipped",
	    SPAN("\1\5\0\1\0\1\7\0A\1\1\1\1\1\1\1\1\2\0\2\0\0\0\0"),
	    SPAN("<5 1 1+7:A><2 2 0+0:>") },
	{ "F1: the reserved byte is ignored", SPAN("\1\5\0\1\0\1\0\377A"),
	    SPAN("<5 1 1+0:A>") },
	{ "F1: ids are two bytes, high byte first",
	    SPAN("\1\2\0\377\0\0\0\0\1\2\1\0\0\0\0\0\1\2\377\377\0\0\0\0"),
	    SPAN("<2 255 0+0:><2 256 0+0:><2 65535 0+0:>") },
	{ "F1: lengths are two bytes, high byte first",
	    SPAN("\1\5\0\1\1\2\0\0AB"), SPAN("<5 1 258+0:AB") },
	{ "F10: a type nobody knows is a record like any other",
	    SPAN("\1\377\0\0\0\2\0\0hi\1\14\0\1\0\0\0\0"),
	    SPAN("<255 0 2+0:hi><12 1 0+0:>") },
	{ "F17: the next request may follow in the same bytes",
	    SPAN("\1\5\0\1\0\0\0\0\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0"
		 "\1\4\0\1\0\0\0\0"),
	    SPAN("<5 1 0+0:><1 1 8+0:\0\1\1\0\0\0\0\0><4 1 0+0:>") },
	{ "F2: version 0 ends the connection", SPAN("\0\1\0\1\0\0\0\0"),
	    SPAN("!") },
	{ "F2: version 2 ends the connection", SPAN("\2\1\0\1\0\0\0\0"),
	    SPAN("!") },
	{ "F2: version 255 ends the connection", SPAN("\377"), SPAN("!") },
	{ "F2: an HTTP request is not waited for", SPAN("G"), SPAN("!") },
	{ "F2: a bad version ends it behind good records too",
	    SPAN("\1\5\0\1\0\1\1\0A\0\2"), SPAN("<5 1 1+1:A>!") },
	{ "a header that is not there yet is waited for",
	    SPAN("\1\5\0\1\0\1\7"), SPAN("") },
};

static void
test_reading(void **state)
{
	const struct reading *row = *state;
	struct buf text, split;

	buf_init(&text, TEXT_MOST);
	buf_init(&split, TEXT_MOST);
	read_split(row->bytes, 0, &text);
	assert_span(buf_span(&text), row->text);
	for (size_t at = 1; at <= row->bytes.bytes; at++) {
		buf_clear(&split);
		read_split(row->bytes, at, &split);
		assert_span(buf_span(&split), buf_span(&text));
	}
	buf_free(&text);
	buf_free(&split);
}

static void
test_largest_record(void **state)
{
	enum { BYTES = FCGI_HEADER_LEN + 65535 + 255 };
	char *bytes = malloc(BYTES + FCGI_HEADER_LEN);
	struct buf text;

	(void)state;
	fcgi_head_write((uint8_t *)bytes, FCGI_STDIN, 7, 65535, 255);
	fill(bytes + FCGI_HEADER_LEN, 65535 + 255);
	fcgi_head_write((uint8_t *)bytes + BYTES, FCGI_STDIN, 7, 0, 0);
	buf_init(&text, TEXT_MOST);
	for (size_t at = 0; at <= BYTES + FCGI_HEADER_LEN; at += 997) {
		static const char head[] = "<5 7 65535+255:";
		static const char tail[] = "><5 7 0+0:>";
		struct span s;

		buf_clear(&text);
		read_split(span_make(bytes, BYTES + FCGI_HEADER_LEN), at,
		    &text);
		s = buf_span(&text);
		assert_int_equal(s.bytes,
		    sizeof(head) - 1 + 65535 + sizeof(tail) - 1);
		assert_true(span_starts(s, span_of(head)));
		assert_true(span_ends(s, span_of(tail)));
		assert_memory_equal(s.data + sizeof(head) - 1,
		    bytes + FCGI_HEADER_LEN, 65535);
	}
	buf_free(&text);
	free(bytes);
}

static void
test_tiny_records(void **state)
{
	static const char record[] = "\1\5\0\1\0\1\0\0x";
	struct fcgi_reader r;
	size_t content_bytes = 0, ends = 0;

	(void)state;
	assert_true(sizeof(r) <= 64);
	fcgi_reader_init(&r);
	for (int i = 0; i < 100000; i++) {
		struct span in = span_make(record, sizeof(record) - 1);
		struct span content;
		enum fcgi_event event;

		while ((event = fcgi_read(&r, &in, &content)) !=
		    FCGI_NEED_MORE) {
			assert_int_not_equal(event, FCGI_BAD_VERSION);
			content_bytes += content.bytes;
			ends += event == FCGI_RECORD_END;
		}
	}
	assert_int_equal(content_bytes, 100000);
	assert_int_equal(ends, 100000);
}

static void
test_bad_version_stays(void **state)
{
	struct fcgi_reader r;
	struct span good = SPAN("\1\5\0\1\0\0\0\0"), bad = SPAN("\2");
	struct span content;

	(void)state;
	fcgi_reader_init(&r);
	assert_int_equal(fcgi_read(&r, &bad, &content), FCGI_BAD_VERSION);
	assert_int_equal(fcgi_read(&r, &good, &content), FCGI_BAD_VERSION);
	assert_int_equal(good.bytes, 8);
	assert_false(fcgi_reader_between(&r));
}

static void
test_between(void **state)
{
	struct span all = SPAN("\1\5\0\1\0\1\2\0Axx");
	struct fcgi_reader r;

	(void)state;
	fcgi_reader_init(&r);
	assert_true(fcgi_reader_between(&r));
	for (size_t i = 0; i < all.bytes; i++) {
		struct span in = span_make(all.data + i, 1), content;

		while (fcgi_read(&r, &in, &content) != FCGI_NEED_MORE)
			;
		assert_int_equal(fcgi_reader_between(&r), i == all.bytes - 1);
	}
}

static const struct begin {
	const char *sentence;
	struct span content;
	int result;
	unsigned role;
	bool keep_conn;
} begins[] = {
	{ "F3: a role and KEEP_CONN", SPAN("\0\1\1\0\0\0\0\0"), 0, 1, true },
	{ "F3: without KEEP_CONN", SPAN("\0\2\0\0\0\0\0\0"), 0, 2, false },
	{ "F3: other flags are ignored", SPAN("\0\1\376\1\2\3\4\5"), 0, 1,
	    false },
	{ "F3: a role nobody knows is for others to refuse",
	    SPAN("\1\2\1\0\0\0\0\0"), 0, 258, true },
	{ "F3: no body", SPAN(""), -1, 0, false },
	{ "F3: seven bytes are too few", SPAN("\0\1\1\0\0\0\0"), -1, 0, false },
	{ "F3: nine bytes are too many", SPAN("\0\1\1\0\0\0\0\0\0"), -1, 0,
	    false },
};

static void
test_begin(void **state)
{
	const struct begin *row = *state;
	struct fcgi_begin begin;

	assert_int_equal(fcgi_begin_parse(row->content, &begin), row->result);
	if (row->result != 0)
		return;
	assert_int_equal(begin.role, row->role);
	assert_int_equal(begin.keep_conn, row->keep_conn);
}

static void
test_end(void **state)
{
	static const uint32_t codes[] = { 0, 1, 137, 255, 256, 0x01020304,
		0xffffffff };
	struct fcgi_end end;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	for (size_t i = 0; i < COUNT(codes); i++) {
		buf_clear(&b);
		assert_int_equal(fcgi_put_end(&b, 1, codes[i], FCGI_OVERLOADED),
		    0);
		assert_int_equal(buf_bytes(&b), 16);
		assert_int_equal(fcgi_end_parse(span_skip(buf_span(&b), 8),
				     &end),
		    0);
		assert_int_equal(end.app_status, codes[i]);
		assert_int_equal(end.protocol_status, FCGI_OVERLOADED);
	}
	assert_int_equal(fcgi_end_parse(SPAN("\0\0\0\0\0\0\0"), &end), -1);
	assert_int_equal(fcgi_end_parse(SPAN("\0\0\0\0\0\0\0\0\0"), &end), -1);
	buf_free(&b);
}

static void
test_small_records(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(fcgi_put_begin(&b, 0x102, FCGI_FILTER, true), 0);
	assert_span(buf_span(&b), SPAN("\1\1\1\2\0\10\0\0\0\3\1\0\0\0\0\0"));
	buf_clear(&b);
	assert_int_equal(fcgi_put_begin(&b, 1, FCGI_RESPONDER, false), 0);
	assert_span(buf_span(&b), SPAN("\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0"));
	buf_clear(&b);
	assert_int_equal(fcgi_put_abort(&b, 65535), 0);
	assert_span(buf_span(&b), SPAN("\1\2\377\377\0\0\0\0"));
	buf_clear(&b);
	assert_int_equal(fcgi_put_unknown_type(&b, 200), 0);
	assert_span(buf_span(&b), SPAN("\1\13\0\0\0\10\0\0\310\0\0\0\0\0\0\0"));
	buf_clear(&b);
	assert_int_equal(fcgi_put_stream_end(&b, FCGI_STDOUT, 3), 0);
	assert_span(buf_span(&b), SPAN("\1\6\0\3\0\0\0\0"));
	buf_clear(&b);
	assert_int_equal(fcgi_put_stream(&b, FCGI_STDOUT, 3, SPAN("")), 0);
	assert_int_equal(buf_bytes(&b), 0);
	buf_free(&b);
}

/* Decodes a stream of `type` records, which is to be like what our writer
 * makes: multiples of 8 with zeros for padding. */
static void
gather(struct span in, uint8_t type, struct buf *content)
{
	struct fcgi_reader r;
	struct span slice;
	enum fcgi_event event;

	fcgi_reader_init(&r);
	while ((event = fcgi_read(&r, &in, &slice)) != FCGI_NEED_MORE) {
		assert_int_not_equal(event, FCGI_BAD_VERSION);
		if (event == FCGI_CONTENT)
			assert_int_equal(buf_put(content, slice), 0);
		if (event != FCGI_RECORD)
			continue;
		assert_int_equal(r.record.type, type);
		assert_int_equal(r.record.id, 9);
		assert_true(r.record.content_bytes <= FCGI_RECORD_CONTENT_MOST);
		assert_int_equal((r.record.content_bytes +
				     r.record.padding_bytes) %
			8,
		    0);
		for (unsigned i = 0; i < r.record.padding_bytes; i++)
			assert_int_equal(in.data[r.record.content_bytes + i],
			    0);
	}
	assert_true(fcgi_reader_between(&r));
}

static void
test_streams(void **state)
{
	static const size_t sizes[] = { 1, 7, 8, 9, 127, 128, 255, 8192, 65527,
		65528, 65529, 65535, 65536, 131056, 131057, 1000000 };
	char *bytes = malloc(1000000);
	struct buf b, content;

	(void)state;
	fill(bytes, 1000000);
	buf_init(&b, 2 * 1000000);
	buf_init(&content, 2 * 1000000);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct span s = span_make(bytes, sizes[i]);

		buf_clear(&b);
		buf_clear(&content);
		assert_int_equal(fcgi_put_stream(&b, FCGI_STDERR, 9, s), 0);
		assert_true(buf_bytes(&b) <= sizes[i] +
			FCGI_OVERHEAD *
			    (sizes[i] / FCGI_RECORD_CONTENT_MOST + 1));
		gather(buf_span(&b), FCGI_STDERR, &content);
		assert_true(span_equal(buf_span(&content), s));
	}
	buf_free(&b);
	buf_free(&content);
	free(bytes);
}

static void
test_ceiling(void **state)
{
	char bytes[1000] = { 0 };
	struct span s = span_make(bytes, sizeof(bytes));
	struct buf b;

	(void)state;
	buf_init(&b, 1007);
	assert_int_equal(fcgi_put_stream(&b, FCGI_STDOUT, 1, s), -1);
	assert_int_equal(fcgi_put_record(&b, FCGI_STDOUT, 1, s), -1);
	assert_int_equal(buf_bytes(&b), 0);
	assert_int_equal(fcgi_put_stream(&b, FCGI_STDOUT, 1, span_take(s, 992)),
	    0);
	assert_int_equal(buf_bytes(&b), 1000);
	assert_int_equal(fcgi_put_end(&b, 1, 0, 0), -1);
	assert_int_equal(fcgi_put_begin(&b, 1, 1, false), -1);
	assert_int_equal(fcgi_put_stream_end(&b, FCGI_STDOUT, 1), -1);
	assert_int_equal(buf_bytes(&b), 1000);
	buf_free(&b);
}

static const struct asking {
	const char *sentence;
	struct span asked;
	struct span answer; /* without the record's header and padding */
} askings[] = {
	{ "F9: all three are answered in the order asked",
	    SPAN("\17\0FCGI_MPXS_CONNS\16\0FCGI_MAX_CONNS\15\0FCGI_MAX_REQS"),
	    SPAN("\17\1FCGI_MPXS_CONNS1"
		 "\16\3FCGI_MAX_CONNS512"
		 "\15\4FCGI_MAX_REQS1024") },
	{ "F9: a name nobody knows is left out",
	    SPAN("\5\0OTHER\15\0FCGI_MAX_REQS\1\0x"),
	    SPAN("\15\4FCGI_MAX_REQS1024") },
	{ "F9: a question for nothing is answered with nothing", SPAN(""),
	    SPAN("") },
	{ "F9: a name asked for twice is answered once",
	    SPAN("\15\0FCGI_MAX_REQS\15\0FCGI_MAX_REQS"),
	    SPAN("\15\4FCGI_MAX_REQS1024") },
	{ "F9: a value in the question is ignored",
	    SPAN("\15\2FCGI_MAX_REQS99"), SPAN("\15\4FCGI_MAX_REQS1024") },
	{ "F9: what is cut off is not answered",
	    SPAN("\15\0FCGI_MAX_REQS\15\0FCGI_MAX"),
	    SPAN("\15\4FCGI_MAX_REQS1024") },
	{ "F9: a length beyond the record ends the list",
	    SPAN("\377\377\377\377\0FCGI_MAX_REQS"), SPAN("") },
	{ "F9: the beginning of a name is not the name",
	    SPAN("\14\0FCGI_MAX_REQ\16\0FCGI_MAX_REQSx"), SPAN("") },
	{ "F9: an empty name and one with NUL do no harm",
	    SPAN("\0\0\1\0\0\15\0FCGI_MAX_REQS"),
	    SPAN("\15\4FCGI_MAX_REQS1024") },
};

static const struct fcgi_values honest = {
	.max_conns = 512,
	.max_reqs = 1024,
	.mpxs_conns = true,
};

static void
test_values(void **state)
{
	const struct asking *row = *state;
	struct fcgi_reader r;
	struct span in, content;
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(fcgi_put_values_result(&b, row->asked, &honest), 0);
	in = buf_span(&b);
	fcgi_reader_init(&r);
	assert_int_equal(fcgi_read(&r, &in, &content), FCGI_RECORD);
	assert_int_equal(r.record.type, FCGI_GET_VALUES_RESULT);
	assert_int_equal(r.record.id, 0);
	assert_int_equal(r.record.content_bytes, row->answer.bytes);
	assert_span(span_take(in, r.record.content_bytes), row->answer);
	buf_free(&b);
}

static void
ask_many(const char *const *names, size_t name_count, size_t most, size_t count)
{
	struct buf asked, b;
	size_t once, i;

	buf_init(&asked, most);
	buf_init(&b, 4096);
	for (i = 0; i < count; i++)
		if (params_put(&asked, span_of(names[i % name_count]),
			SPAN("")) != 0)
			break;
	assert_int_equal(fcgi_put_values_result(&b, buf_span(&asked), &honest),
	    0);
	once = buf_bytes(&b);
	assert_true(once <= 8 + 128);
	assert_int_equal(fcgi_put_values_result(&b, buf_span(&asked), &honest),
	    0);
	assert_int_equal(buf_bytes(&b), 2 * once);
	buf_free(&asked);
	buf_free(&b);
}

static void
test_values_bomb(void **state)
{
	static const char *const names[] = { FCGI_MPXS_CONNS, FCGI_MAX_CONNS,
		FCGI_MAX_REQS, "x" };

	(void)state;
	ask_many(names, 1, 65535, 40);
	ask_many(names, 3, 1024 * 1024, 4000);
	ask_many(names, 4, 65535, SIZE_MAX);
	ask_many(names + 3, 1, 65535, SIZE_MAX);
}

static void
test_values_largest(void **state)
{
	const struct fcgi_values most = { UINT32_MAX, UINT32_MAX, true };
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(fcgi_put_values_result(&b, askings[0].asked, &most),
	    0);
	assert_true(buf_bytes(&b) <= 8 + 128);
	buf_free(&b);
	buf_init(&b, 16);
	assert_int_equal(fcgi_put_values_result(&b, askings[0].asked, &most),
	    -1);
	assert_int_equal(buf_bytes(&b), 0);
	buf_free(&b);
}

static const struct CMUnitTest others[] = {
	{ "F1: 65535 bytes and 255 of padding, split anywhere",
	    test_largest_record, NULL, NULL, NULL },
	{ "F1: 100000 records of one byte take no memory", test_tiny_records,
	    NULL, NULL, NULL },
	{ "F2: a connection of a bad version never becomes good",
	    test_bad_version_stays, NULL, NULL, NULL },
	{ "a reader knows whether it stands between two records", test_between,
	    NULL, NULL, NULL },
	{ "F12: an end of request is what was written", test_end, NULL, NULL,
	    NULL },
	{ "F10: records of fixed size, byte by byte", test_small_records, NULL,
	    NULL, NULL },
	{ "F15: a stream of any length, in records of at most 65528",
	    test_streams, NULL, NULL, NULL },
	{ "at the ceiling nothing is written", test_ceiling, NULL, NULL, NULL },
	{ "F9: 40 names, 4000 names, 64 KiB of names: one small answer",
	    test_values_bomb, NULL, NULL, NULL },
	{ "F9: the largest answer has its room, no room has no answer",
	    test_values_largest, NULL, NULL, NULL },
};

int
main(void)
{
	return RUN_ROWS(readings, test_reading) + RUN_ROWS(begins, test_begin) +
	    RUN_ROWS(askings, test_values) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
