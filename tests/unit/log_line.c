/* SPDX-License-Identifier: MIT */
/* If this fails, a function or a client can write lines of the log that look
 * like ours, or a program that reads access.log finds something else in it. */
#include "rows.h"

#include <jansson.h>

#include "base/clock.h"
#include "log/log.h"

static const struct text_row {
	const char *sentence;
	struct span raw;
	const char *text;
	const char *word;
	const char *json;
} texts[] = {
	{ "plain text stays", SPAN("hello, world"), "hello, world",
	    "hello,\\x20world", "\"hello, world\"" },
	{ "UTF-8 stays",
	    SPAN("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
	    "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
	    "gr\xc3\xbc\xc3\x9f\\x20\xe2\x82\xac\\x20\xf0\x9f\x98\x80",
	    "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\"" },
	{ "nothing is one dash as a word", SPAN(""), "", "-", "\"\"" },
	{ "a tab is text, not part of a word", SPAN("a\tb"), "a\tb", "a\\x09b",
	    "\"a\\u0009b\"" },
	{ "ESC does not reach the terminal", SPAN("\x1b[2J"), "\\x1b[2J",
	    "\\x1b[2J", "\"\\u001b[2J\"" },
	{ "NUL, CR, LF and DEL are escaped", SPAN("\0\r\n\x7f"),
	    "\\x00\\x0d\\x0a\\x7f", "\\x00\\x0d\\x0a\\x7f",
	    "\"\\u0000\\u000d\\u000a\\u007f\"" },
	{ "quotes and backslashes end no JSON string", SPAN("\"\\"), "\"\\",
	    "\"\\", "\"\\\"\\\\\"" },
	{ "C1 controls are control bytes",
	    SPAN("\xc2\x9b"
		 "31m"),
	    "\\xc2\\x9b31m", "\\xc2\\x9b31m", "\"\\u009b31m\"" },
	{ "a line separator ends no line",
	    SPAN("a\xe2\x80\xa8"
		 "b"),
	    "a\\xe2\\x80\\xa8b", "a\\xe2\\x80\\xa8b", "\"a\\u2028b\"" },
	{ "text is not turned around",
	    SPAN("\xe2\x80\xae"
		 "cod.exe\xe2\x80\xac"),
	    "\\xe2\\x80\\xaecod.exe\\xe2\\x80\\xac",
	    "\\xe2\\x80\\xaecod.exe\\xe2\\x80\\xac",
	    "\"\\u202ecod.exe\\u202c\"" },
	{ "a lone continuation byte is no character", SPAN("a\x80z"), "a\\x80z",
	    "a\\x80z", "\"a\\ufffdz\"" },
	{ "Latin-1 is no UTF-8", SPAN("\xe9t\xe9"), "\\xe9t\\xe9",
	    "\\xe9t\\xe9", "\"\\ufffdt\\ufffd\"" },
	{ "a character that is cut off is none", SPAN("\xe2\x82"), "\\xe2\\x82",
	    "\\xe2\\x82", "\"\\ufffd\\ufffd\"" },
	{ "an overlong form is none", SPAN("\xc0\xaf"), "\\xc0\\xaf",
	    "\\xc0\\xaf", "\"\\ufffd\\ufffd\"" },
	{ "a surrogate is none", SPAN("\xed\xa0\x80"), "\\xed\\xa0\\x80",
	    "\\xed\\xa0\\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "nothing lies above U+10FFFF", SPAN("\xf4\x90\x80\x80"),
	    "\\xf4\\x90\\x80\\x80", "\\xf4\\x90\\x80\\x80",
	    "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
};

static void
text(void **state)
{
	const struct text_row *row = *state;
	struct buf out;
	json_t *value;

	buf_init(&out, 4096);
	assert_int_equal(line_put_text(&out, row->raw), 0);
	assert_string_equal(buf_string(&out), row->text);
	buf_clear(&out);
	assert_int_equal(line_put_word(&out, row->raw), 0);
	assert_string_equal(buf_string(&out), row->word);
	buf_clear(&out);
	assert_int_equal(line_put_json(&out, row->raw), 0);
	assert_string_equal(buf_string(&out), row->json);
	/* and somebody else's parser agrees that it is one string */
	value = json_loadb(buf_span(&out).data, buf_bytes(&out),
	    JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_true(json_is_string(value));
	json_decref(value);
	buf_free(&out);
}

static void
any_bytes_are_one_line_and_one_string(void **state)
{
	uint64_t seed = rows_seed();
	struct buf out;
	char raw[64];
	json_t *value;

	(void)state;
	buf_init(&out, 4096);
	for (unsigned i = 0; i < 20000; i++) {
		size_t bytes = rows_random(&seed, sizeof(raw));

		for (size_t k = 0; k < bytes; k++)
			raw[k] = rows_random(&seed, 3) ?
			    (char)rows_random(&seed, 256) :
			    "\xe2\x80\xae\n\"\\"[rows_random(&seed, 6)];
		buf_clear(&out);
		assert_int_equal(line_put_text(&out, span_make(raw, bytes)), 0);
		for (size_t k = 0; k < buf_bytes(&out); k++)
			assert_true((unsigned char)buf_span(&out).data[k] >=
				0x20 ||
			    buf_span(&out).data[k] == '\t');
		buf_clear(&out);
		assert_int_equal(line_put_json(&out, span_make(raw, bytes)), 0);
		value = json_loadb(buf_span(&out).data, buf_bytes(&out),
		    JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		assert_true(json_is_string(value));
		json_decref(value);
	}
	buf_free(&out);
}

static const struct cut_row {
	const char *sentence;
	struct span bytes;
	size_t most, cut;
} cuts[] = {
	{ "what fits is not cut", SPAN("abc"), 3, 3 },
	{ "ASCII is cut anywhere", SPAN("abcdef"), 4, 4 },
	{ "a character of two bytes is not cut", SPAN("abc\xc3\xbcz"), 4, 3 },
	{ "one of three neither, after its first byte",
	    SPAN("abc\xe2\x82\xacz"), 4, 3 },
	{ "nor after its second", SPAN("abc\xe2\x82\xacz"), 5, 3 },
	{ "a character that ends there is whole", SPAN("abc\xe2\x82\xacz"), 6,
	    6 },
	{ "what is no character is cut anywhere", SPAN("ab\x80\x80\x80\x80z"),
	    5, 5 },
	{ "four continuation bytes do not hold it up", SPAN("\x80\x80\x80\x80"),
	    3, 3 },
};

static void
cut(void **state)
{
	const struct cut_row *row = *state;

	assert_int_equal(line_cut(row->bytes, row->most), row->cut);
}

/* What is written, '|' between pieces, '+' before one that continues. */
static const struct split_row {
	const char *sentence;
	struct span raw;
	const char *pieces;
} splits[] = {
	{ "a line", SPAN("one\n"), "one|" },
	{ "two lines", SPAN("one\ntwo\n"), "one|two|" },
	{ "an empty line is a line", SPAN("\n\na\n"), "||a|" },
	{ "the end of the stream ends a line", SPAN("one\ntwo"), "one|two|" },
	{ "CR LF is one line end", SPAN("one\r\ntwo\r\n"), "one|two|" },
	{ "CR elsewhere is not", SPAN("o\rne\r\r\n"), "o\rne\r|" },
	{ "CR before the end of the stream is one", SPAN("one\r"), "one|" },
	{ "a line of the greatest length is whole", SPAN("12345678\nx\n"),
	    "12345678|x|" },
	{ "so it is with CR", SPAN("12345678\r\nx\n"), "12345678|x|" },
	{ "one byte more and it goes on", SPAN("123456789\nx\n"),
	    "12345678|+9|x|" },
	{ "a long line is cut into pieces", SPAN("1234567812345678abc\nx"),
	    "12345678|+12345678|+abc|x|" },
	{ "a long line may end with the stream", SPAN("1234567812345678"),
	    "12345678|+12345678|" },
	{ "CR at the cut waits for what follows", SPAN("12345678\rx\n"),
	    "12345678|+\rx|" },
	{ "no character is cut",
	    SPAN("1234567\xc3\xbc"
		 "9\n"),
	    "1234567|+\xc3\xbc"
	    "9|" },
	{ "nothing is nothing", SPAN(""), "" },
};

static void
split_into(struct buf *out, struct span raw, size_t step)
{
	struct split split;
	struct split_piece piece;
	struct span part;

	split_init(&split, 8);
	while (raw.bytes > 0) {
		part = span_take(raw, step);
		raw = span_skip(raw, step);
		while (split_next(&split, &part, &piece)) {
			if (piece.mark == LINE_MORE)
				buf_put_byte(out, '+');
			buf_put(out, piece.text);
			buf_put_byte(out, '|');
		}
		assert_int_equal(part.bytes, 0);
	}
	while (split_last(&split, &piece)) {
		if (piece.mark == LINE_MORE)
			buf_put_byte(out, '+');
		buf_put(out, piece.text);
		buf_put_byte(out, '|');
	}
	split_free(&split);
}

static void
split_anywhere(void **state)
{
	const struct split_row *row = *state;
	struct buf out;

	buf_init(&out, 4096);
	for (size_t step = 1; step <= row->raw.bytes + 1; step++) {
		buf_clear(&out);
		split_into(&out, row->raw, step);
		assert_string_equal(buf_string(&out), row->pieces);
	}
	buf_free(&out);
}

static void
no_byte_is_lost_however_it_comes(void **state)
{
	uint64_t seed = rows_seed();
	struct buf whole, parts;
	char raw[96];

	(void)state;
	buf_init(&whole, 65536);
	buf_init(&parts, 65536);
	for (unsigned i = 0; i < 20000; i++) {
		size_t bytes = 1 + rows_random(&seed, sizeof(raw) - 1);

		for (size_t k = 0; k < bytes; k++)
			raw[k] = "abc\xc3\xbc\r\n\n"[rows_random(&seed, 8)];
		buf_clear(&whole);
		buf_clear(&parts);
		split_into(&whole, span_make(raw, bytes), bytes);
		split_into(&parts, span_make(raw, bytes),
		    1 + rows_random(&seed, 12));
		assert_string_equal(buf_string(&parts), buf_string(&whole));
	}
	buf_free(&whole);
	buf_free(&parts);
}

static const struct parse_row {
	const char *sentence;
	struct span line;
	int result;
	const char *request, *function;
	char mark;
	const char *text;
} parses[] = {
	{ "a line of stderr",
	    SPAN("2026-11-23T09:56:42.123Z 01ID hello: text = text: text"), 0,
	    "01ID", "hello", ':', "text = text: text" },
	{ "a result", SPAN("2026-11-23T09:56:42.123Z 01ID hello= 200 GET /"), 0,
	    "01ID", "hello", '=', "200 GET /" },
	{ "an empty text", SPAN("2026-11-23T09:56:42.123Z 01ID hello+ "), 0,
	    "01ID", "hello", '+', "" },
	{ "another mark is none",
	    SPAN("2026-11-23T09:56:42.123Z 01ID hello? x"), -1, NULL, NULL, 0,
	    NULL },
	{ "no time is none", SPAN("yesterday 01ID hello: x"), -1, NULL, NULL, 0,
	    NULL },
	{ "an empty line is none", SPAN(""), -1, NULL, NULL, 0, NULL },
};

static void
parse(void **state)
{
	const struct parse_row *row = *state;
	struct line line;

	assert_int_equal(line_parse(row->line, &line), row->result);
	if (row->result != 0)
		return;
	assert_true(span_equal(line.request, span_of(row->request)));
	assert_true(span_equal(line.function, span_of(row->function)));
	assert_true(span_equal(line.text, span_of(row->text)));
	assert_int_equal(line.mark, row->mark);
}

static void
times_read_back(void **state)
{
	char iso[25];
	uint64_t ms;

	(void)state;
	clock_iso(UINT64_C(1795427802123), iso);
	assert_int_equal(line_time(span_of(iso), &ms), 0);
	assert_true(ms == UINT64_C(1795427802123));
	assert_int_equal(line_time(SPAN("2026-11-23 is no time at"), &ms), -1);
	assert_int_equal(line_time(SPAN("2026"), &ms), -1);
}

static void
a_function_cannot_take_our_marks(void **state)
{
	struct buf out;
	struct line line;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(line_put_head(&out, "2026-11-23T09:56:42.123Z",
			     SPAN("01ID"), SPAN("x= 200 y"), LINE_TEXT),
	    0);
	assert_int_equal(line_put_text(&out, SPAN("text")), 0);
	assert_int_equal(line_parse(buf_span(&out), &line), 0);
	assert_int_equal(line.mark, LINE_TEXT);
	assert_true(span_equal(line.text, SPAN("text")));
	buf_free(&out);
}

static const struct message_access record = {
	.at_unix_ms = UINT64_C(1795427802123),
	.request = SPAN("01ID"),
	.client_request = SPAN("theirs"),
	.tenant = SPAN("acme"),
	.function = SPAN("hello"),
	.method = SPAN("GET"),
	.target = SPAN("/fn/acme/hello?\"\xff"),
	.remote = SPAN("192.0.2.1"),
	.status = 504,
	.end = SPAN("time"),
	.detail = SPAN("function acme/hello reached limits.time = 10 s"),
	.ran = 1,
	.wait_status = 14,
	.strays = 2,
	.upload_us = 1,
	.waited_us = 20,
	.started_us = 345,
	.ran_us = 10000678,
	.cpu_us = 99,
	.max_rss_kib = 1234,
	.bytes_in = 5,
	.bytes_out = 6,
};

static void
a_record_is_one_object_with_every_member(void **state)
{
	struct buf out;
	json_t *object;
	const char *request, *client, *tenant, *function, *method, *target,
	    *remote, *end, *detail, *time, *signal;
	json_int_t status, strays, rss, in, sent;
	double upload, waited, started, ran, cpu;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(record_put_json(&out, &record), 0);
	assert_int_equal(span_find(buf_span(&out), '\n'), buf_bytes(&out) - 1);
	object = json_loads(buf_string(&out), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(object);
	assert_int_equal(
	    json_unpack(object,
		"{s:s,s:s,s:s,s:s,s:s,s:s,s:s,"
		"s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:F,s:F,s:F,s:F,s:F !}",
		"time", &time, "request", &request, "client_request", &client,
		"tenant", &tenant, "function", &function, "method", &method,
		"target", &target, "remote", &remote, "end", &end, "detail",
		&detail, "signal", &signal, "status", &status, "strays",
		&strays, "max_rss_kib", &rss, "bytes_in", &in, "bytes_out",
		&sent, "upload_ms", &upload, "waited_ms", &waited, "started_ms",
		&started, "ran_ms", &ran, "cpu_ms", &cpu),
	    0);
	assert_string_equal(time, "2026-11-23T09:56:42.123Z");
	assert_string_equal(target, "/fn/acme/hello?\"\xef\xbf\xbd");
	assert_string_equal(signal, "ALRM");
	assert_true(ran == 10000.678 && started == 0.345 && upload == 0.001);
	assert_int_equal(status, 504);
	json_decref(object);
	buf_free(&out);
}

static void
a_record_of_what_never_ran_has_no_exit(void **state)
{
	struct message_access m = record;
	struct buf out;
	json_t *object;

	(void)state;
	m.ran = 0;
	m.client_request = SPAN("");
	buf_init(&out, 4096);
	assert_int_equal(record_put_json(&out, &m), 0);
	object = json_loads(buf_string(&out), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(object);
	assert_null(json_object_get(object, "exit"));
	assert_null(json_object_get(object, "signal"));
	assert_null(json_object_get(object, "ran_ms"));
	assert_null(json_object_get(object, "client_request"));
	json_decref(object);
	buf_free(&out);
}

/* What a worker uses is no single request's. */
static void
a_record_of_a_worker_has_its_number(void **state)
{
	struct message_access m = record;
	struct buf out;
	json_t *object;
	json_int_t worker, served;

	(void)state;
	m.worker = 17;
	m.served = 3;
	m.start = SPAN("fork");
	m.wait_status = 0;
	buf_init(&out, 4096);
	assert_int_equal(record_put_json(&out, &m), 0);
	object = json_loads(buf_string(&out), JSON_REJECT_DUPLICATES, NULL);
	assert_int_equal(json_unpack(object, "{s:I,s:I}", "worker", &worker,
			     "served", &served),
	    0);
	assert_true(worker == 17 && served == 3);
	assert_string_equal(json_string_value(json_object_get(object, "start")),
	    "fork");
	assert_non_null(json_object_get(object, "ran_ms"));
	assert_non_null(json_object_get(object, "exit"));
	assert_null(json_object_get(object, "cpu_ms"));
	assert_null(json_object_get(object, "max_rss_kib"));
	assert_null(json_object_get(object, "strays"));
	json_decref(object);
	buf_clear(&out);
	m.detail = SPAN("");
	assert_int_equal(record_put_result(&out, &m,
			     "2026-11-23T09:56:42.123Z"),
	    0);
	assert_string_equal(buf_string(&out),
	    "2026-11-23T09:56:42.123Z 01ID hello= 504 GET "
	    "/fn/acme/hello?\"\\xff end=time total=10001.044ms "
	    "waited=0.020ms started=0.345ms ran=10000.678ms "
	    "start=fork worker=17 served=3 in=5 out=6 (exit 0)\n");
	buf_free(&out);
}

static void
a_result_tells_it_in_words(void **state)
{
	struct buf out;
	struct line line;
	uint64_t total;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(record_put_result(&out, &record,
			     "2026-11-23T09:56:42.123Z"),
	    0);
	assert_string_equal(buf_string(&out),
	    "2026-11-23T09:56:42.123Z 01ID hello= 504 GET "
	    "/fn/acme/hello?\"\\xff end=time total=10001.044ms "
	    "waited=0.020ms started=0.345ms ran=10000.678ms cpu=0.099ms "
	    "rss=1234KiB in=5 out=6 strays=2 (signal ALRM) - "
	    "function acme/hello reached limits.time = 10 s\n");
	assert_int_equal(line_parse(span_take(buf_span(&out),
					buf_bytes(&out) - 1),
			     &line),
	    0);
	assert_int_equal(line.mark, LINE_RESULT);
	assert_int_equal(record_total_ms(line.text, &total), 0);
	assert_int_equal(total, 10001);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest others[] = {
		cmocka_unit_test(any_bytes_are_one_line_and_one_string),
		cmocka_unit_test(no_byte_is_lost_however_it_comes),
		cmocka_unit_test(times_read_back),
		cmocka_unit_test(a_function_cannot_take_our_marks),
		cmocka_unit_test(a_record_is_one_object_with_every_member),
		cmocka_unit_test(a_record_of_what_never_ran_has_no_exit),
		cmocka_unit_test(a_record_of_a_worker_has_its_number),
		cmocka_unit_test(a_result_tells_it_in_words),
	};

	return RUN_ROWS(texts, text) + RUN_ROWS(cuts, cut) +
	    RUN_ROWS(splits, split_anywhere) + RUN_ROWS(parses, parse) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
