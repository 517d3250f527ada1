/* SPDX-License-Identifier: MIT */
/* If this fails, half a file is taken for a whole one, or what is in a file for
 * another value of its form. */
#include "wire_spans.h"

#include "sdk/multipart.h"

#define TYPE "multipart/form-data; boundary=XyZ"
#define PART "--XyZ\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"
#define FILE_PART                                               \
	"--XyZ\r\nContent-Disposition: form-data; name=\"f\"; " \
	"filename=\"x; y.png\"\r\nContent-Type: image/png\r\n\r\n"
#define END "\r\n--XyZ--\r\n"

static const struct row {
	const char *sentence;
	const char *type;
	struct span body;
	enum fn_result result;
	const char *pairs; /* "name=value(bytes)[file,type]\n" each */
} rows[] = {
	{ "a value", TYPE, SPAN(PART "1" END), FN_OK, "a=1(1)\n" },
	{ "two values", TYPE, SPAN(PART "1\r\n" PART "2" END), FN_OK,
	    "a=1(1)\na=2(1)\n" },
	{ "a file", TYPE, SPAN(FILE_PART "\x89PNG\r\n" END), FN_OK,
	    "f=\x89PNG\r\n(6)[x; y.png,image/png]\n" },
	{ "a value and a file", TYPE, SPAN(PART "1\r\n" FILE_PART "2" END),
	    FN_OK, "a=1(1)\nf=2(1)[x; y.png,image/png]\n" },
	{ "an empty value", TYPE, SPAN(PART END), FN_OK, "a=(0)\n" },
	{ "a NUL counts", TYPE, SPAN(PART "1\0002" END), FN_OK, "a=1(3)\n" },
	{ "line ends in a value", TYPE, SPAN(PART "\r\n\r\n" END), FN_OK,
	    "a=\r\n\r\n(4)\n" },
	{ "the beginning of a delimiter in it", TYPE,
	    SPAN(PART "\r\n--Xy\r\n--XyZ1\r\n--XyZ-\r\n-" END), FN_OK,
	    "a=\r\n--Xy\r\n--XyZ1\r\n--XyZ-\r\n-(25)\n" },
	{ "a delimiter without a line end before it", TYPE,
	    SPAN(PART "--XyZ--" END), FN_OK, "a=--XyZ--(7)\n" },
	{ "blanks behind a delimiter", TYPE,
	    SPAN(PART "1\r\n--XyZ \t\r\n\r\n" END), FN_OK, "a=1(1)\n" },
	{ "a quoted boundary, and a charset",
	    "Multipart/Form-Data ; charset=utf-8; Boundary=\"XyZ\"",
	    SPAN(PART "1" END), FN_OK, "a=1(1)\n" },
	{ "what stands behind the end", TYPE, SPAN(PART "1" END "more"), FN_OK,
	    "a=1(1)\n" },
	{ "an end without a line end", TYPE, SPAN(PART "1\r\n--XyZ--"), FN_OK,
	    "a=1(1)\n" },
	{ "no part", TYPE, SPAN("--XyZ--\r\n"), FN_OK, "" },
	{ "names in any case, without quotes", TYPE,
	    SPAN("--XyZ\r\nx: y\r\nCONTENT-DISPOSITION:Form-Data;Name=a; "
		 "FileName=b\r\n\r\n1" END),
	    FN_OK, "a=1(1)[b,-]\n" },
	{ "a file without a name", TYPE,
	    SPAN("--XyZ\r\nContent-Disposition: form-data; name=\"f\"; "
		 "filename=\"\"\r\nContent-Type:\r\n\r\n" END),
	    FN_OK, "f=(0)[,]\n" },
	{ "a ';' and a name in a name", TYPE,
	    SPAN("--XyZ\r\nContent-Disposition: form-data; "
		 "filename=\"; name=b\"; name=\"a\"\r\n\r\n1" END),
	    FN_OK, "a=1(1)[; name=b,-]\n" },
	{ "a part that is of no form", TYPE,
	    SPAN("--XyZ\r\nContent-Disposition: attachment; name=\"a\"\r\n"
		 "\r\n1\r\n" PART "2" END),
	    FN_OK, "a=2(1)\n" },
	{ "a part without a header", TYPE,
	    SPAN("--XyZ\r\n\r\n1\r\n" PART "2" END), FN_OK, "a=2(1)\n" },
	{ "no end", TYPE, SPAN(PART "1\r\n"), FN_BAD, "" },
	{ "an end that is cut off", TYPE, SPAN(PART "1\r\n--XyZ-"), FN_BAD,
	    "" },
	{ "a second part that is cut off", TYPE, SPAN(PART "1\r\n" PART "2"),
	    FN_BAD, "" },
	{ "a header that is cut off", TYPE,
	    SPAN("--XyZ\r\nContent-Disposition: form-data; name=\"a\"\r\n"),
	    FN_BAD, "" },
	{ "another boundary", TYPE, SPAN("--XyA\r\n\r\n1\r\n--XyA--"), FN_BAD,
	    "" },
	{ "no boundary", "multipart/form-data", SPAN(PART "1" END), FN_BAD,
	    "" },
	{ "an empty boundary", "multipart/form-data; boundary=\"\"",
	    SPAN("--\r\n\r\n1\r\n----"), FN_BAD, "" },
	{ "a boundary that is too long",
	    "multipart/form-data; boundary="
	    "12345678901234567890123456789012345678901234567890"
	    "123456789012345678901",
	    SPAN(PART "1" END), FN_BAD, "" },
	{ "line ends of Unix", TYPE,
	    SPAN("--XyZ\nContent-Disposition: form-data; name=\"a\"\n\n1\n"
		 "--XyZ--\n"),
	    FN_BAD, "" },
	{ "something before the first part", TYPE, SPAN("x\r\n" PART "1" END),
	    FN_BAD, "" },
	{ "nothing", TYPE, SPAN(""), FN_BAD, "" },
};

static void
test_row(void **state)
{
	const struct row *row = *state;
	/* One byte more, for a NUL, as the SDK has it. */
	char *body = malloc(row->body.bytes + 1), said[256] = "";
	struct pairs p = { 0 };
	size_t at = 0;

	assert_true(multipart_is(span_of(row->type)));
	assert_non_null(body);
	memcpy(body, row->body.data, row->body.bytes);
	assert_int_equal(multipart_read(&p, body, row->body.bytes,
			     span_of(row->type)),
	    row->result);
	for (size_t i = 0; i < p.count; i++) {
		const struct fn_pair *pair = &p.list[i];

		assert_int_equal(pair->value[pair->bytes], '\0');
		at += (size_t)snprintf(said + at, sizeof(said) - at,
		    "%s=%s(%zu)", pair->name, pair->value, pair->bytes);
		if (pair->file)
			at += (size_t)snprintf(said + at, sizeof(said) - at,
			    "[%s,%s]", pair->file,
			    pair->type ? pair->type : "-");
		at += (size_t)snprintf(said + at, sizeof(said) - at, "\n");
	}
	assert_string_equal(said, row->pairs);
	pairs_free(&p);
	free(body);
}

static void
test_most(void **state)
{
	static const char part[] = PART "\r\n";
	struct pairs p = { 0 };
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	for (int i = 0; i <= PAIRS_MOST; i++)
		buf_put_string(&b, part);
	buf_put_string(&b, "--XyZ--");
	assert_int_equal(multipart_read(&p, b.data, buf_bytes(&b),
			     span_of(TYPE)),
	    FN_TOO_LARGE);
	assert_int_equal(p.count, 0);
	pairs_free(&p);
	buf_free(&b);
}

static void
test_is(void **state)
{
	(void)state;
	assert_false(multipart_is(SPAN("multipart/mixed; boundary=a")));
	assert_false(multipart_is(SPAN("multipart/form-data2")));
	assert_false(multipart_is(SPAN("")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_is),
	};

	return RUN_ROWS(rows, test_row) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
