/* SPDX-License-Identifier: MIT */
/* If this fails, a request runs with an environment that is not the one nginx
 * sent: cut off, shifted, or with names a client made up. */
#include <stdlib.h>

#include "wire_spans.h"

#include "wire/fcgi.h"
#include "wire/params.h"

enum { TEXT_MOST = 1024 * 1024 };

/* "name=value;" for each pair, and how it ended. */
static enum params_result
read_pairs(struct span rest, struct buf *text)
{
	struct param pair;
	enum params_result result;
	struct span before = rest;

	while ((result = params_next(&rest, &pair)) == PARAMS_PAIR) {
		buf_put(text, pair.name);
		buf_put_byte(text, '=');
		buf_put(text, pair.value);
		buf_put_byte(text, ';');
		before = rest;
	}
	assert_ptr_equal(rest.data, before.data);
	assert_int_equal(rest.bytes, before.bytes);
	return result;
}

static const struct stream {
	const char *sentence;
	struct span bytes;
	enum params_result result;
	struct span pairs;
} streams[] = {
	{ "F7: no bytes are no parameters", SPAN(""), PARAMS_DONE, SPAN("") },
	{ "F7: a pair is two lengths, a name and a value", SPAN("\1\2Abc"),
	    PARAMS_DONE, SPAN("A=bc;") },
	{ "F7: pair stands behind pair", SPAN("\1\1Ab\2\0CD\1\3Efgh"),
	    PARAMS_DONE, SPAN("A=b;CD=;E=fgh;") },
	{ "F7: a value may be empty", SPAN("\1\0A"), PARAMS_DONE, SPAN("A=;") },
	{ "F7: a value may hold any byte but NUL", SPAN("\1\5A\n=\377\1;"),
	    PARAMS_DONE, SPAN("A=\n=\377\1;;") },
	{ "F7: a short name with a length of four bytes",
	    SPAN("\200\0\0\1\1Ab"), PARAMS_DONE, SPAN("A=b;") },
	{ "F7: a short value with a length of four bytes",
	    SPAN("\1\200\0\0\2Abc"), PARAMS_DONE, SPAN("A=bc;") },
	{ "F7: both lengths in four bytes", SPAN("\200\0\0\1\200\0\0\1Ab"),
	    PARAMS_DONE, SPAN("A=b;") },
	{ "F7: an empty value with a length of four bytes",
	    SPAN("\1\200\0\0\0A"), PARAMS_DONE, SPAN("A=;") },
	{ "F7: a params record may end in the middle of a name",
	    SPAN("\13\1SCRIPT"), PARAMS_CUT, SPAN("") },
	{ "F7: it may end in the middle of a value, behind good pairs",
	    SPAN("\1\1Ab\1\3Bab"), PARAMS_CUT, SPAN("A=b;") },
	{ "F7: it may end between the lengths", SPAN("\1\1Ab\1"), PARAMS_CUT,
	    SPAN("A=b;") },
	{ "F7: it may end in a length of four bytes", SPAN("\1\1Ab\200\0\0"),
	    PARAMS_CUT, SPAN("A=b;") },
	{ "F7: two lengths whose sum has no room in 32 bits",
	    SPAN("\377\377\377\377\377\377\377\377Ab"), PARAMS_CUT, SPAN("") },
	{ "F7: a value of two gigabytes that is not there",
	    SPAN("\1\377\377\377\377Ab"), PARAMS_CUT, SPAN("") },
	{ "R16: an empty name is refused", SPAN("\1\1Ab\0\1x"), PARAMS_BAD_NAME,
	    SPAN("A=b;") },
	{ "R16: an empty pair is refused", SPAN("\0\0"), PARAMS_BAD_NAME,
	    SPAN("") },
	{ "R16: NUL in a name is refused", SPAN("\3\1A\0Bx"), PARAMS_BAD_NAME,
	    SPAN("") },
	{ "R16: '=' in a name is refused", SPAN("\4\1LANGC\3\1A=Bx"),
	    PARAMS_BAD_NAME, SPAN("LANG=C;") },
	{ "R16: '=' at the end of a name is refused", SPAN("\2\1A=x"),
	    PARAMS_BAD_NAME, SPAN("") },
	{ "F7: NUL in a value is refused", SPAN("\1\3Ax\0y"), PARAMS_BAD_VALUE,
	    SPAN("") },
};

static void
test_stream(void **state)
{
	const struct stream *row = *state;
	struct buf text;

	buf_init(&text, TEXT_MOST);
	assert_int_equal(read_pairs(row->bytes, &text), row->result);
	assert_span(buf_span(&text), row->pairs);
	buf_free(&text);
}

/* Whatever is cut off, what was read before is what it was: a beginning of the
 * pairs, and never more than what is there. */
static void
test_cut_anywhere(void **state)
{
	const struct stream *row = *state;
	struct buf whole, part;

	buf_init(&whole, TEXT_MOST);
	buf_init(&part, TEXT_MOST);
	read_pairs(row->bytes, &whole);
	for (size_t at = 0; at < row->bytes.bytes; at++) {
		enum params_result result;

		buf_clear(&part);
		result = read_pairs(span_take(row->bytes, at), &part);
		assert_true(span_starts(buf_span(&whole), buf_span(&part)));
		if (row->result == PARAMS_DONE)
			assert_true(result == PARAMS_CUT ||
			    result == PARAMS_DONE);
	}
	buf_free(&whole);
	buf_free(&part);
}

static const size_t sizes[] = { 0, 1, 2, 126, 127, 128, 129, 255, 256, 511, 512,
	513, 65535, 65536 };

static void
test_lengths(void **state)
{
	char *bytes = malloc(65536);
	struct buf b;

	(void)state;
	fill(bytes, 65536);
	buf_init(&b, TEXT_MOST);
	for (size_t i = 0; i < COUNT(sizes) * COUNT(sizes); i++) {
		struct span name = span_make(bytes, sizes[i % COUNT(sizes)]);
		struct span value = span_make(bytes, sizes[i / COUNT(sizes)]);
		struct param pair;
		struct span rest;

		buf_clear(&b);
		assert_int_equal(params_put(&b, name, value), 0);
		assert_int_equal(buf_bytes(&b),
		    name.bytes + value.bytes + (name.bytes > 127 ? 4 : 1) +
			(value.bytes > 127 ? 4 : 1));
		rest = buf_span(&b);
		assert_int_equal(params_cut(&rest, &pair), PARAMS_PAIR);
		assert_true(span_equal(pair.name, name));
		assert_true(span_equal(pair.value, value));
		assert_int_equal(params_cut(&rest, &pair), PARAMS_DONE);

		rest = buf_span(&b);
		assert_int_equal(params_next(&rest, &pair),
		    name.bytes == 0		      ? PARAMS_BAD_NAME :
			name.bytes > PARAMS_NAME_MOST ? PARAMS_TOO_LONG :
							PARAMS_PAIR);
	}
	buf_free(&b);
	free(bytes);
}

/* As slowcgi does not: the pair belongs to the stream, not to the record. */
static void
test_records_of_one_byte(void **state)
{
	struct buf pairs, records, gathered;
	struct fcgi_reader r;
	struct span in, content;

	(void)state;
	buf_init(&pairs, 4096);
	buf_init(&records, 65536);
	buf_init(&gathered, 4096);
	assert_int_equal(params_put(&pairs, SPAN("REQUEST_METHOD"),
			     SPAN("GET")),
	    0);
	assert_int_equal(params_put(&pairs, SPAN("QUERY_STRING"), SPAN("")), 0);
	for (size_t i = 0; i < buf_bytes(&pairs); i++)
		assert_int_equal(fcgi_put_record(&records, FCGI_PARAMS, 1,
				     span_make(buf_span(&pairs).data + i, 1)),
		    0);
	fcgi_reader_init(&r);
	in = buf_span(&records);
	while (fcgi_read(&r, &in, &content) != FCGI_NEED_MORE)
		buf_put(&gathered, content);
	assert_span(buf_span(&gathered), buf_span(&pairs));
	buf_clear(&pairs);
	assert_int_equal(read_pairs(buf_span(&gathered), &pairs), PARAMS_DONE);
	assert_span(buf_span(&pairs),
	    SPAN("REQUEST_METHOD=GET;QUERY_STRING=;"));
	buf_free(&pairs);
	buf_free(&records);
	buf_free(&gathered);
}

static void
test_ceiling(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(params_put(&b, SPAN("NAME"), SPAN("value")), -1);
	assert_int_equal(buf_bytes(&b), 0);
	assert_int_equal(params_put(&b, SPAN("NAME"), SPAN("valu")), 0);
	assert_int_equal(params_put(&b, SPAN(""), SPAN("")), -1);
	assert_span(buf_span(&b), SPAN("\4\4NAMEvalu"));
	buf_free(&b);
}

static void
test_long_is_refused(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, TEXT_MOST);
	assert_int_equal(params_put(&b, SPAN("A"),
			     span_make("", (size_t)1 << 31)),
	    -1);
	assert_int_equal(buf_bytes(&b), 0);
	buf_free(&b);
}

static void
test_words(void **state)
{
	(void)state;
	for (int i = PARAMS_PAIR; i <= PARAMS_TOO_LONG; i++)
		assert_string_not_equal(params_result_words((enum params_result)
						i),
		    "unknown");
}

static const struct CMUnitTest others[] = {
	{ "F7: names and values of 0, 127, 128, 255, 65535 bytes and between",
	    test_lengths, NULL, NULL, NULL },
	{ "F7: every byte of the stream in a record of its own",
	    test_records_of_one_byte, NULL, NULL, NULL },
	{ "at the ceiling nothing is written", test_ceiling, NULL, NULL, NULL },
	{ "what has no length in 31 bits is not written", test_long_is_refused,
	    NULL, NULL, NULL },
	{ "every result has its words", test_words, NULL, NULL, NULL },
};

int
main(void)
{
	return RUN_ROWS(streams, test_stream) +
	    RUN_ROWS(streams, test_cut_anywhere) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
