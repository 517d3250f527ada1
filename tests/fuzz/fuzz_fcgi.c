/* SPDX-License-Identifier: MIT */
/* fuzz_fcgi.c - records: however bytes are split, the events say the same; a
 * record read and written again is read as the same record; a reader hands out
 * no byte that did not come in; the answer to GET_VALUES stays small. */
#include "fuzz.h"

#include "wire/fcgi.h"
#include "wire/params.h"

enum { VALUES_MOST = FCGI_HEADER_LEN + 128 };

/* Everything a reader said, so that two readings can be compared. */
struct transcript {
	struct buf text;
	struct buf content; /* of the record under way */
	size_t content_bytes;
	bool bad;
};

static void
transcript_init(struct transcript *t, size_t input_bytes)
{
	buf_init(&t->text, 64 + 32 * input_bytes);
	buf_init(&t->content, FCGI_MAX_LENGTH);
	t->content_bytes = 0;
	t->bad = false;
}

static void
transcript_free(struct transcript *t)
{
	buf_free(&t->text);
	buf_free(&t->content);
}

static void
check_small(const struct fcgi_record *record, struct span content)
{
	struct buf b;
	struct fcgi_begin begin, begin_again;
	struct fcgi_end end, end_again;

	buf_init(&b, 64);
	if (fcgi_begin_parse(content, &begin) == 0) {
		assert(content.bytes == 8);
		must(fcgi_put_begin(&b, record->id, begin.role,
		    begin.keep_conn));
		must(fcgi_begin_parse(span_skip(buf_span(&b), 8),
		    &begin_again));
		assert(begin.role == begin_again.role &&
		    begin.keep_conn == begin_again.keep_conn);
		buf_clear(&b);
	}
	if (fcgi_end_parse(content, &end) == 0) {
		must(fcgi_put_end(&b, record->id, end.app_status,
		    end.protocol_status));
		must(fcgi_end_parse(span_skip(buf_span(&b), 8), &end_again));
		assert(end.app_status == end_again.app_status &&
		    end.protocol_status == end_again.protocol_status);
	}
	buf_free(&b);
}

static void
check_values(struct span asked)
{
	static const struct fcgi_values values = { 4294967295, 1024, true };
	struct span rest;
	struct param pair;
	struct buf b;
	size_t count = 0;

	buf_init(&b, VALUES_MOST);
	must(fcgi_put_values_result(&b, asked, &values));
	assert(buf_bytes(&b) % 8 == 0);
	rest = span_take(span_skip(buf_span(&b), 8),
	    (size_t)(unsigned char)buf_span(&b).data[4] << 8 |
		(unsigned char)buf_span(&b).data[5]);
	while (params_next(&rest, &pair) == PARAMS_PAIR)
		count++;
	assert(rest.bytes == 0 && count <= 3);
	buf_free(&b);
}

/* The record as we would write it, read again. */
static void
check_record(const struct fcgi_record *record, struct span content)
{
	struct fcgi_reader r;
	struct span in, slice;
	struct buf b;

	assert(content.bytes == record->content_bytes);
	buf_init(&b, FCGI_HEADER_LEN + FCGI_MAX_LENGTH + 7);
	must(fcgi_put_record(&b, record->type, record->id, content));
	assert(buf_bytes(&b) % 8 == 0);
	fcgi_reader_init(&r);
	in = buf_span(&b);
	assert(fcgi_read(&r, &in, &slice) == FCGI_RECORD);
	assert(r.record.type == record->type && r.record.id == record->id &&
	    r.record.content_bytes == record->content_bytes);
	if (content.bytes > 0) {
		assert(fcgi_read(&r, &in, &slice) == FCGI_CONTENT);
		must_equal(slice, content);
	}
	assert(fcgi_read(&r, &in, &slice) == FCGI_RECORD_END);
	assert(in.bytes == 0 && fcgi_reader_between(&r));
	buf_free(&b);
	check_small(record, content);
	check_values(content);
}

static void
read_slice(struct fcgi_reader *r, struct span in, struct transcript *t)
{
	struct span content, before;
	enum fcgi_event event;

	for (;;) {
		before = in;
		event = fcgi_read(r, &in, &content);
		assert(in.bytes <= before.bytes);
		switch (event) {
		case FCGI_NEED_MORE:
			assert(in.bytes == 0);
			return;
		case FCGI_RECORD:
			must(buf_printf(&t->text,
			    "<%u %u %u %u:", r->record.type, r->record.id,
			    r->record.content_bytes, r->record.padding_bytes));
			buf_clear(&t->content);
			break;
		case FCGI_CONTENT:
			assert(content.bytes > 0);
			assert(content.data == before.data);
			must(buf_put(&t->text, content));
			must(buf_put(&t->content, content));
			t->content_bytes += content.bytes;
			break;
		case FCGI_RECORD_END:
			must(buf_put_byte(&t->text, '>'));
			check_record(&r->record, buf_span(&t->content));
			break;
		case FCGI_BAD_VERSION:
			must(buf_put_byte(&t->text, '!'));
			t->bad = true;
			return;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span all = span_make(data, bytes), rest = all;
	struct transcript whole, split;
	struct fcgi_reader r;
	struct splits s;

	transcript_init(&whole, bytes);
	fcgi_reader_init(&r);
	read_slice(&r, all, &whole);
	assert(whole.content_bytes <= bytes);

	transcript_init(&split, bytes);
	fcgi_reader_init(&r);
	splits_init(&s, all);
	while (rest.bytes > 0 && !split.bad) {
		size_t part = splits_next(&s, rest.bytes);

		read_slice(&r, span_take(rest, part), &split);
		rest = span_skip(rest, part);
	}
	must_equal(buf_span(&split.text), buf_span(&whole.text));
	transcript_free(&whole);
	transcript_free(&split);
	check_values(all);
	return 0;
}
