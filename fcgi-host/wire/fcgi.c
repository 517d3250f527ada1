/* SPDX-License-Identifier: MIT */
/* fcgi.c - FastCGI records, read byte by byte if need be and written whole.
 * Knows the frame and the bodies of fixed size; which record may come when is
 * for the two ends of a connection to say. A reader owns nothing but its eight
 * header bytes: content goes to the caller as slices of what came in. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "wire/fcgi.h"
#include "wire/params.h"

enum {
	ALIGNMENT = 8,		  /* specification section 3.3 recommends it */
	VALUES_RESULT_MOST = 128, /* three names, three numbers */
};

static unsigned big_endian_16(const uint8_t *);
static void put_16(uint8_t *, unsigned);
static uint8_t padding_for(size_t content_bytes);
static char *append_record(char *at, uint8_t type, uint16_t id, struct span);
static int put_bytes(struct buf *, uint8_t type, uint16_t id,
    const uint8_t *body, size_t bytes);

void
fcgi_reader_init(struct fcgi_reader *r)
{
	memset(r, 0, sizeof(*r));
}

bool
fcgi_reader_between(const struct fcgi_reader *r)
{
	return !r->in_record && r->head_bytes == 0;
}

static enum fcgi_event
read_head(struct fcgi_reader *r, struct span *in)
{
	while (r->head_bytes < FCGI_HEADER_LEN) {
		/* At the first byte already: whoever speaks something else
		 * should not be waited for, and stays refused. */
		if (r->head_bytes > 0 && r->head[0] != FCGI_VERSION_1)
			return FCGI_BAD_VERSION;
		if (in->bytes == 0)
			return FCGI_NEED_MORE;
		r->head[r->head_bytes++] = (uint8_t)in->data[0];
		in->data++;
		in->bytes--;
	}
	r->record = (struct fcgi_record){
		.type = r->head[1],
		.id = (uint16_t)big_endian_16(r->head + 2),
		.content_bytes = (uint16_t)big_endian_16(r->head + 4),
		.padding_bytes = r->head[6],
	};
	r->content_left = r->record.content_bytes;
	r->padding_left = r->record.padding_bytes;
	r->in_record = true;
	return FCGI_RECORD;
}

enum fcgi_event
fcgi_read(struct fcgi_reader *r, struct span *in, struct span *content)
{
	size_t bytes;

	*content = SPAN_NONE;
	if (!r->in_record)
		return read_head(r, in);

	if (r->content_left > 0) {
		if (in->bytes == 0)
			return FCGI_NEED_MORE;
		bytes =
		    in->bytes < r->content_left ? in->bytes : r->content_left;
		*content = span_make(in->data, bytes);
		in->data += bytes;
		in->bytes -= bytes;
		r->content_left -= (unsigned)bytes;
		return FCGI_CONTENT;
	}

	bytes = in->bytes < r->padding_left ? in->bytes : r->padding_left;
	if (bytes > 0) {
		in->data += bytes;
		in->bytes -= bytes;
		r->padding_left -= (unsigned)bytes;
	}
	if (r->padding_left > 0)
		return FCGI_NEED_MORE;

	r->in_record = false;
	r->head_bytes = 0;
	return FCGI_RECORD_END;
}

int
fcgi_begin_parse(struct span content, struct fcgi_begin *begin)
{
	const uint8_t *body = (const uint8_t *)content.data;

	if (content.bytes != sizeof(FCGI_BeginRequestBody))
		return -1;
	begin->role = (uint16_t)big_endian_16(body);
	begin->keep_conn = (body[2] & FCGI_KEEP_CONN) != 0;
	return 0;
}

int
fcgi_end_parse(struct span content, struct fcgi_end *end)
{
	const uint8_t *body = (const uint8_t *)content.data;

	if (content.bytes != sizeof(FCGI_EndRequestBody))
		return -1;
	end->app_status = (uint32_t)big_endian_16(body) << 16 |
	    (uint32_t)big_endian_16(body + 2);
	end->protocol_status = body[4];
	return 0;
}

void
fcgi_head_write(uint8_t head[FCGI_HEADER_LEN], uint8_t type, uint16_t id,
    uint16_t content_bytes, uint8_t padding_bytes)
{
	head[0] = FCGI_VERSION_1;
	head[1] = type;
	put_16(head + 2, id);
	put_16(head + 4, content_bytes);
	head[6] = padding_bytes;
	head[7] = 0;
}

int
fcgi_put_record(struct buf *b, uint8_t type, uint16_t id, struct span content)
{
	size_t bytes;
	char *at;

	assert(content.bytes <= FCGI_MAX_LENGTH);
	bytes = FCGI_HEADER_LEN + content.bytes + padding_for(content.bytes);
	at = buf_reserve(b, bytes);
	if (at == NULL)
		return -1;
	append_record(at, type, id, content);
	buf_wrote(b, bytes);
	return 0;
}

int
fcgi_put_stream(struct buf *b, uint8_t type, uint16_t id, struct span content)
{
	/* Full records need no padding, so only the last one may. */
	size_t full = content.bytes / FCGI_RECORD_CONTENT_MOST;
	size_t last = content.bytes % FCGI_RECORD_CONTENT_MOST;
	size_t bytes = content.bytes + full * FCGI_HEADER_LEN;
	char *at;

	if (last > 0)
		bytes += FCGI_HEADER_LEN + (size_t)padding_for(last);
	if (bytes == 0)
		return 0;
	at = buf_reserve(b, bytes);
	if (at == NULL)
		return -1;
	while (content.bytes > 0) {
		size_t part = content.bytes < FCGI_RECORD_CONTENT_MOST ?
		    content.bytes :
		    FCGI_RECORD_CONTENT_MOST;

		at = append_record(at, type, id, span_make(content.data, part));
		content.data += part;
		content.bytes -= part;
	}
	buf_wrote(b, bytes);
	return 0;
}

int
fcgi_put_stream_end(struct buf *b, uint8_t type, uint16_t id)
{
	return fcgi_put_record(b, type, id, SPAN_NONE);
}

int
fcgi_put_begin(struct buf *b, uint16_t id, uint16_t role, bool keep_conn)
{
	uint8_t body[sizeof(FCGI_BeginRequestBody)] = { 0 };

	put_16(body, role);
	body[2] = keep_conn ? FCGI_KEEP_CONN : 0;
	return put_bytes(b, FCGI_BEGIN_REQUEST, id, body, sizeof(body));
}

int
fcgi_put_abort(struct buf *b, uint16_t id)
{
	return fcgi_put_record(b, FCGI_ABORT_REQUEST, id, SPAN_NONE);
}

int
fcgi_put_end(struct buf *b, uint16_t id, uint32_t app_status,
    uint8_t protocol_status)
{
	uint8_t body[sizeof(FCGI_EndRequestBody)] = { 0 };

	put_16(body, app_status >> 16);
	put_16(body + 2, app_status & 0xffff);
	body[4] = protocol_status;
	return put_bytes(b, FCGI_END_REQUEST, id, body, sizeof(body));
}

int
fcgi_put_unknown_type(struct buf *b, uint8_t type)
{
	uint8_t body[sizeof(FCGI_UnknownTypeBody)] = { 0 };

	body[0] = type;
	return put_bytes(b, FCGI_UNKNOWN_TYPE, FCGI_NULL_REQUEST_ID, body,
	    sizeof(body));
}

int
fcgi_put_values_result(struct buf *b, struct span asked,
    const struct fcgi_values *values)
{
	const struct {
		struct span name;
		uint32_t value;
	} known[] = {
		{ SPAN(FCGI_MAX_CONNS), values->max_conns },
		{ SPAN(FCGI_MAX_REQS), values->max_reqs },
		{ SPAN(FCGI_MPXS_CONNS), values->mpxs_conns },
	};
	enum { KNOWN = sizeof(known) / sizeof(known[0]) };
	bool given[KNOWN] = { false };
	struct buf pairs;
	struct param pair;
	int result = 0;

	buf_init(&pairs, VALUES_RESULT_MOST);
	/* Each name once, however often it is asked for: the answer has a size
	 * known beforehand whatever the question is (F9). */
	while (result == 0 && params_cut(&asked, &pair) == PARAMS_PAIR) {
		for (size_t i = 0; i < KNOWN; i++) {
			char number[16];

			if (given[i] || !span_equal(pair.name, known[i].name))
				continue;
			given[i] = true;
			snprintf(number, sizeof(number), "%" PRIu32,
			    known[i].value);
			result = params_put(&pairs, pair.name, span_of(number));
		}
	}
	if (result == 0)
		result = fcgi_put_record(b, FCGI_GET_VALUES_RESULT,
		    FCGI_NULL_REQUEST_ID, buf_span(&pairs));
	buf_free(&pairs);
	return result;
}

static unsigned
big_endian_16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static void
put_16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8 & 0xff);
	at[1] = (uint8_t)(value & 0xff);
}

static uint8_t
padding_for(size_t content_bytes)
{
	return (uint8_t)((ALIGNMENT - content_bytes % ALIGNMENT) % ALIGNMENT);
}

/* Room is there; returns where the next record goes. */
static char *
append_record(char *at, uint8_t type, uint16_t id, struct span content)
{
	uint8_t padding = padding_for(content.bytes);

	fcgi_head_write((uint8_t *)at, type, id, (uint16_t)content.bytes,
	    padding);
	at += FCGI_HEADER_LEN;
	if (content.bytes > 0)
		memcpy(at, content.data, content.bytes);
	at += content.bytes;
	memset(at, 0, padding);
	return at + padding;
}

static int
put_bytes(struct buf *b, uint8_t type, uint16_t id, const uint8_t *body,
    size_t bytes)
{
	return fcgi_put_record(b, type, id, span_make(body, bytes));
}
