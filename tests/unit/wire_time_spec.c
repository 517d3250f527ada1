/* SPDX-License-Identifier: MIT */
/* If this fails, a limit written in a settings file is not the limit that is
 * kept, or the status page shows another one. */
#include "wire_spans.h"

#include "wire/time_spec.h"

struct spec {
	const char *sentence;
	const char *text;
	enum time_spec_error error;
	uint64_t value;
	const char *shortest; /* NULL: `text` itself */
};

static const struct spec times[] = {
	{ "a quarter of a second", "250ms", TIME_SPEC_OK, 250, NULL },
	{ "half a second in milliseconds", "500ms", TIME_SPEC_OK, 500, NULL },
	{ "half a second", "0.5s", TIME_SPEC_OK, 500, "500ms" },
	{ "ten seconds", "10s", TIME_SPEC_OK, 10000, NULL },
	{ "one decimal", "1.5s", TIME_SPEC_OK, 1500, NULL },
	{ "three decimals", "1.234s", TIME_SPEC_OK, 1234, "1234ms" },
	{ "two minutes", "2m", TIME_SPEC_OK, 120000, NULL },
	{ "ninety seconds", "90s", TIME_SPEC_OK, 90000, NULL },
	{ "a minute and a half", "1.5m", TIME_SPEC_OK, 90000, "90s" },
	{ "sixty seconds are a minute", "60s", TIME_SPEC_OK, 60000, "1m" },
	{ "an hour", "1h", TIME_SPEC_OK, 3600000, NULL },
	{ "a day", "1d", TIME_SPEC_OK, 86400000, NULL },
	{ "twelve hours", "0.5d", TIME_SPEC_OK, 43200000, "12h" },
	{ "a part of a millisecond counts as one", "1us", TIME_SPEC_OK, 1,
	    "1ms" },
	{ "so does a part of a microsecond", "0.001us", TIME_SPEC_OK, 1,
	    "1ms" },
	{ "a thousand microseconds", "1000us", TIME_SPEC_OK, 1, "1ms" },
	{ "a microsecond above a millisecond", "1001us", TIME_SPEC_OK, 2,
	    "2ms" },
	{ "off", "0", TIME_SPEC_OK, 0, NULL },
	{ "off, with a unit", "0s", TIME_SPEC_OK, 0, "0" },
	{ "off, with decimals", "0.000", TIME_SPEC_OK, 0, "0" },
	{ "a blank before the unit", "10 s", TIME_SPEC_OK, 10000, "10s" },
	{ "blanks around", " 10\ts ", TIME_SPEC_OK, 10000, "10s" },
	{ "zeros in front", "0010s", TIME_SPEC_OK, 10000, "10s" },
	{ "zeros behind", "1.500s", TIME_SPEC_OK, 1500, "1.5s" },
	{ "all there is", "18446744073709551615ms", TIME_SPEC_OK, UINT64_MAX,
	    NULL },
	{ "one more", "18446744073709551616ms", TIME_SPEC_TOO_LARGE, 0, NULL },
	{ "too many days", "213503982335d", TIME_SPEC_TOO_LARGE, 0, NULL },
	{ "a decimal too many for 64 bits", "213503982334.7d",
	    TIME_SPEC_TOO_LARGE, 0, NULL },
	{ "more decimals than anybody needs", "0.00000000000000000000000001s",
	    TIME_SPEC_TOO_LARGE, 0, NULL },
	{ "nothing", "", TIME_SPEC_EMPTY, 0, NULL },
	{ "blanks", " \t", TIME_SPEC_EMPTY, 0, NULL },
	{ "a unit alone", "s", TIME_SPEC_NO_NUMBER, 0, NULL },
	{ "a negative time", "-1s", TIME_SPEC_NO_NUMBER, 0, NULL },
	{ "a sign", "+1s", TIME_SPEC_NO_NUMBER, 0, NULL },
	{ "no digit before the point", ".5s", TIME_SPEC_NO_NUMBER, 0, NULL },
	{ "no digit behind the point", "1.s", TIME_SPEC_NO_NUMBER, 0, NULL },
	{ "two points", "1.2.3s", TIME_SPEC_BAD_UNIT, 0, NULL },
	{ "a comma", "1,5s", TIME_SPEC_BAD_UNIT, 0, NULL },
	{ "a number without a unit", "10", TIME_SPEC_NO_UNIT, 0, NULL },
	{ "a tenth without a unit", "0.1", TIME_SPEC_NO_UNIT, 0, NULL },
	{ "a unit nobody knows", "10sec", TIME_SPEC_BAD_UNIT, 0, NULL },
	{ "a unit in capitals", "10S", TIME_SPEC_BAD_UNIT, 0, NULL },
	{ "two quantities", "1m 30s", TIME_SPEC_BAD_UNIT, 0, NULL },
	{ "a hexadecimal number", "0x10s", TIME_SPEC_BAD_UNIT, 0, NULL },
	{ "an exponent", "1e3s", TIME_SPEC_BAD_UNIT, 0, NULL },
	{ "a size", "1 KiB", TIME_SPEC_BAD_UNIT, 0, NULL },
};

static const struct spec sizes[] = {
	{ "64 KiB", "64 KiB", TIME_SPEC_OK, 65536, NULL },
	{ "2 MiB", "2 MiB", TIME_SPEC_OK, 2097152, NULL },
	{ "1 GiB", "1 GiB", TIME_SPEC_OK, 1073741824, NULL },
	{ "one and a half", "1.5 GiB", TIME_SPEC_OK, 1610612736, NULL },
	{ "1536 bytes", "1.5KiB", TIME_SPEC_OK, 1536, "1536 B" },
	{ "K is KiB", "64K", TIME_SPEC_OK, 65536, "64 KiB" },
	{ "M is MiB", "64M", TIME_SPEC_OK, 67108864, "64 MiB" },
	{ "G is GiB", "4 G", TIME_SPEC_OK, 4294967296, "4 GiB" },
	{ "a thousand bytes", "1000 B", TIME_SPEC_OK, 1000, NULL },
	{ "1024 bytes are a KiB", "1024B", TIME_SPEC_OK, 1024, "1 KiB" },
	{ "a part of a byte counts as one", "0.1 KiB", TIME_SPEC_OK, 103,
	    "103 B" },
	{ "no bytes", "0", TIME_SPEC_OK, 0, NULL },
	{ "all bytes", "18446744073709551615 B", TIME_SPEC_OK, UINT64_MAX,
	    NULL },
	{ "too many", "17179869184 GiB", TIME_SPEC_TOO_LARGE, 0, NULL },
	{ "a size without a unit", "65536", TIME_SPEC_NO_UNIT, 0, NULL },
	{ "KB is not said what it is", "64 KB", TIME_SPEC_BAD_UNIT, 0, NULL },
	{ "k is not K", "64k", TIME_SPEC_BAD_UNIT, 0, NULL },
	{ "a time", "64s", TIME_SPEC_BAD_UNIT, 0, NULL },
};

static void
check(const struct spec *row,
    enum time_spec_error (*parse)(struct span, uint64_t *),
    const char *(*write)(uint64_t, char[32]))
{
	uint64_t value = 4711;
	char text[32];

	assert_int_equal(parse(span_of(row->text), &value), row->error);
	if (row->error != TIME_SPEC_OK) {
		assert_int_equal(value, 4711);
		return;
	}
	assert_int_equal(value, row->value);
	assert_string_equal(write(value, text),
	    row->shortest ? row->shortest : row->text);
	assert_int_equal(parse(span_of(text), &value), TIME_SPEC_OK);
	assert_int_equal(value, row->value);
}

static void
test_time(void **state)
{
	check(*state, time_spec_parse, time_spec_text);
}

static void
test_size(void **state)
{
	check(*state, size_spec_parse, size_spec_text);
}

static void
test_every_value(void **state)
{
	char text[32];
	uint64_t value, back;

	(void)state;
	for (int shift = 0; shift < 64; shift++)
		for (uint64_t step = 0; step < 5000; step++) {
			value = ((uint64_t)1 << shift) + step * 60000 / 7;
			assert_int_equal(time_spec_parse(span_of(time_spec_text(
							     value, text)),
					     &back),
			    TIME_SPEC_OK);
			assert_int_equal(back, value);
			assert_int_equal(size_spec_parse(span_of(size_spec_text(
							     value, text)),
					     &back),
			    TIME_SPEC_OK);
			assert_int_equal(back, value);
		}
}

static void
test_words(void **state)
{
	(void)state;
	for (int i = TIME_SPEC_OK; i <= TIME_SPEC_TOO_LARGE; i++)
		assert_string_not_equal(
		    time_spec_error_words((enum time_spec_error)i), "unknown");
}

static const struct CMUnitTest others[] = {
	{ "what is written parses back, at every magnitude", test_every_value,
	    NULL, NULL, NULL },
	{ "every error has its words", test_words, NULL, NULL, NULL },
};

int
main(void)
{
	return RUN_ROWS(times, test_time) + RUN_ROWS(sizes, test_size) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
