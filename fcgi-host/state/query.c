/* SPDX-License-Identifier: MIT */
/* query.c - parameters, one row of query.def each. All text is decoded into one
 * buffer that has the size of what came, so it never moves. */
#include "wire/base64.h"
#include "wire/time_spec.h"
#include "wire/url_path.h"

#include "state/key.h"
#include "state/query.h"

enum query_type {
	TYPE_VERSION,
	TYPE_TIME,
	TYPE_UNIX,
	TYPE_COUNT,
	TYPE_FLAG,
	TYPE_KEY,
	TYPE_TEXT,
	TYPE_CURSOR,
};

static const struct query_row {
	struct span name;
	enum query_type type;
	const char *may;
	size_t offset; /* of its member in struct query */
} rows[QUERIES] = {
#define MEMBER_since since
#define MEMBER_wait wait_ms
#define MEMBER_ttl ttl_ms
#define MEMBER_expires expires_ms
#define MEMBER_limit limit
#define MEMBER_reverse reverse
#define MEMBER_values values
#define MEMBER_deep deep
#define MEMBER_prefix prefix
#define MEMBER_start start
#define MEMBER_end end
#define MEMBER_delimiter delimiter
#define MEMBER_cursor cursor
#define QUERY(NAME, name, type, may, sentence)                             \
	[QUERY_##NAME] = { { #name, sizeof(#name) - 1 }, TYPE_##type, may, \
		offsetof(struct query, MEMBER_##name) },
#include "state/query.def"
#undef QUERY
};

enum {
	VERSION_BITS = 53, /* more is no number of JSON everywhere */
	COUNT_MOST = 1000 * 1000,
};
/* 100 years, so that sums stay far from overflowing. */
static const uint64_t time_most_ms = UINT64_C(100) * 365 * 24 * 3600 * 1000;

static enum query_error take(struct query *, struct span pair, unsigned takes);
static enum query_error decode(struct query *, struct span raw, struct span *);
static int set(struct query *, const struct query_row *, struct span value);

void
query_init(struct query *q)
{
	memset(q, 0, sizeof(*q));
	buf_init(&q->text, QUERY_BYTES_MOST + QUERY_CURSOR_MOST);
}

void
query_free(struct query *q)
{
	buf_free(&q->text);
}

enum query_error
query_parse(struct query *q, struct span raw, unsigned takes)
{
	struct buf text = q->text;
	struct span rest = raw;

	buf_clear(&text);
	memset(q, 0, sizeof(*q));
	q->text = text;
	if (raw.bytes == 0)
		return QUERY_OK;
	if (raw.bytes > QUERY_BYTES_MOST)
		return QUERY_TOO_LONG;
	if (buf_reserve(&q->text, raw.bytes + QUERY_CURSOR_MOST) == NULL)
		return QUERY_NO_MEMORY;
	while (rest.bytes > 0) {
		struct span pair = span_cut(&rest, '&');
		enum query_error error;

		if (pair.bytes == 0)
			continue;
		error = take(q, pair, takes);
		if (error != QUERY_OK)
			return error;
	}
	return QUERY_OK;
}

int
query_error_put(struct buf *out, const struct query *q, enum query_error error)
{
	switch (error) {
	case QUERY_OK:
		return buf_put_string(out, "the query is good");
	case QUERY_UNKNOWN:
		return buf_printf(out, "there is no parameter %.*s here",
		    SPAN_ARGS(q->what));
	case QUERY_TWICE:
		return buf_printf(out, "the parameter %.*s is given twice",
		    SPAN_ARGS(q->what));
	case QUERY_BAD_ESCAPE:
		return buf_printf(out,
		    "the parameter %.*s has a '%%' without two hexadecimal "
		    "digits",
		    SPAN_ARGS(q->what));
	case QUERY_BAD_VALUE:
		if (q->why != NULL)
			return buf_printf(out, "the parameter %.*s %s",
			    SPAN_ARGS(q->what), q->why);
		return buf_printf(out, "the parameter %.*s is no %s",
		    SPAN_ARGS(q->what), q->may);
	case QUERY_TOO_LONG:
		return buf_printf(out, "the query is longer than %d bytes",
		    QUERY_BYTES_MOST);
	case QUERY_NO_MEMORY:
		return buf_put_string(out, "there is no memory for the query");
	}
	return -1;
}

int
query_time(struct span text, uint64_t *ms)
{
	uint64_t seconds;

	if (span_number(text, time_most_ms / 1000, &seconds) == 0) {
		*ms = seconds * 1000;
		return 0;
	}
	return time_spec_parse(text, ms) == TIME_SPEC_OK &&
		*ms <= time_most_ms ?
	    0 :
	    -1;
}

static enum query_error
take(struct query *q, struct span pair, unsigned takes)
{
	struct span name = span_cut(&pair, '='), value;
	int i;

	q->what = span_take(name, 32); /* no more of it in a sentence */
	for (i = 0; i < QUERIES; i++)
		if (span_equal(name, rows[i].name))
			break;
	if (i == QUERIES || (takes & 1u << i) == 0)
		return QUERY_UNKNOWN;
	if ((q->given & 1u << i) != 0)
		return QUERY_TWICE;
	if (decode(q, pair, &value) != QUERY_OK)
		return QUERY_BAD_ESCAPE;
	q->may = rows[i].may;
	if (set(q, &rows[i], value) != 0)
		return QUERY_BAD_VALUE;
	q->given |= 1u << i;
	return QUERY_OK;
}

static enum query_error
decode(struct query *q, struct span raw, struct span *value)
{
	char *begin = buf_reserve(&q->text, raw.bytes), *to = begin;

	for (size_t at = 0; at < raw.bytes;) {
		int byte = raw.data[at] == '+' ? (at++, ' ') :
						 url_byte_decode(raw, &at);

		if (byte < 0)
			return QUERY_BAD_ESCAPE;
		*to++ = (char)byte;
	}
	buf_wrote(&q->text, (size_t)(to - begin));
	*value = span_make(begin, (size_t)(to - begin));
	return QUERY_OK;
}

static int
set_number(void *member, struct span value, uint64_t least, uint64_t most,
    uint64_t unit)
{
	uint64_t number;

	if (span_number(value, most, &number) != 0 || number < least)
		return -1;
	*(uint64_t *)member = number * unit;
	return 0;
}

static int
set_flag(bool *member, struct span value)
{
	if (value.bytes > 0 && !span_equal(value, SPAN("0")) &&
	    !span_equal(value, SPAN("1")))
		return -1;
	*member = !span_equal(value, SPAN("0"));
	return 0;
}

static int
set_part(struct query *q, struct span *member, struct span value)
{
	enum key_error error = key_part_check(value);

	if (error != KEY_OK) {
		q->why = key_error_words(error);
		return -1;
	}
	*member = value;
	return 0;
}

static int
set_cursor(struct query *q, struct span value)
{
	size_t before = buf_bytes(&q->text);

	if (value.bytes == 0 ||
	    value.bytes > base64_text_bytes(BASE64_URL, QUERY_CURSOR_MOST) ||
	    base64_read(&q->text, BASE64_URL, value) != 0) {
		q->why = "is none that a page gave";
		return -1;
	}
	q->cursor = span_skip(buf_span(&q->text), before);
	return 0;
}

static int
set(struct query *q, const struct query_row *row, struct span value)
{
	void *member = (char *)q + row->offset;

	switch (row->type) {
	case TYPE_VERSION:
		return set_number(member, value, 0,
		    (UINT64_C(1) << VERSION_BITS) - 1, 1);
	case TYPE_TIME:
		return query_time(value, member);
	case TYPE_UNIX:
		return set_number(member, value, 1, QUERY_UNIX_MOST, 1000);
	case TYPE_COUNT:
		return set_number(member, value, 1, COUNT_MOST, 1);
	case TYPE_FLAG:
		return set_flag(member, value);
	case TYPE_KEY:
		return set_part(q, member, value);
	case TYPE_TEXT:
		if (value.bytes == 0 || value.bytes > QUERY_DELIMITER_MOST) {
			q->why = "is not 1 to 16 bytes";
			return -1;
		}
		return set_part(q, member, value);
	case TYPE_CURSOR:
		return set_cursor(q, value);
	}
	return -1;
}
