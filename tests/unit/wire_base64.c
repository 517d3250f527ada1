/* SPDX-License-Identifier: MIT */
/* If this fails, a token or cursor has a second spelling, or bytes change on
 * their way through JSON. */
#include "rows.h"

#include "wire/base64.h"

static const struct text_row {
	const char *sentence;
	enum base64_alphabet alphabet;
	struct span text;
	struct span bytes; /* SPAN_NONE: refused */
} texts[] = {
	{ "nothing is nothing", BASE64, SPAN(""), SPAN("") },
	{ "one byte has two of padding", BASE64, SPAN("Zg=="), SPAN("f") },
	{ "two bytes have one of padding", BASE64, SPAN("Zm8="), SPAN("fo") },
	{ "three bytes have none", BASE64, SPAN("Zm9v"), SPAN("foo") },
	{ "four bytes", BASE64, SPAN("Zm9vYg=="), SPAN("foob") },
	{ "the last two digits", BASE64, SPAN("+/+/"), SPAN("\xfb\xff\xbf") },
	{ "the last two digits of the other alphabet", BASE64_URL, SPAN("-_-_"),
	    SPAN("\xfb\xff\xbf") },
	{ "one byte without padding", BASE64_URL, SPAN("Zg"), SPAN("f") },
	{ "two bytes without padding", BASE64_URL, SPAN("Zm8"), SPAN("fo") },
	{ "NUL is a byte", BASE64, SPAN("AAE="), SPAN("\0\1") },
	{ "padding may not be missing", BASE64, SPAN("Zg"), { NULL, 0 } },
	{ "nor be short", BASE64, SPAN("Zg="), { NULL, 0 } },
	{ "nor be there where none is", BASE64_URL, SPAN("Zg=="), { NULL, 0 } },
	{ "nor be more than needed", BASE64, SPAN("Zm9v===="), { NULL, 0 } },
	{ "nor be all of it", BASE64, SPAN("===="), { NULL, 0 } },
	{ "nor stand inside", BASE64, SPAN("Zg==Zg=="), { NULL, 0 } },
	{ "one digit alone is nothing", BASE64_URL, SPAN("Z"), { NULL, 0 } },
	{ "spare bits are 0", BASE64, SPAN("Zh=="), { NULL, 0 } },
	{ "spare bits are 0 behind two bytes", BASE64_URL, SPAN("Zm9"),
	    { NULL, 0 } },
	{ "the other alphabet is none", BASE64, SPAN("-_-_"), { NULL, 0 } },
	{ "nor the other way round", BASE64_URL, SPAN("+/+/"), { NULL, 0 } },
	{ "no blanks", BASE64, SPAN("Zm 9v==="), { NULL, 0 } },
	{ "no line ends", BASE64_URL, SPAN("Zm9v\n"), { NULL, 0 } },
	{ "no bytes above 127", BASE64, SPAN("Zm9\xf6"), { NULL, 0 } },
};

static void
test_text(void **state)
{
	const struct text_row *row = *state;
	struct buf bytes, text;

	buf_init(&bytes, 64);
	buf_init(&text, 64);
	if (row->bytes.data == NULL) {
		assert_int_equal(base64_read(&bytes, row->alphabet, row->text),
		    -1);
		assert_int_equal(buf_bytes(&bytes), 0);
	} else {
		assert_int_equal(base64_read(&bytes, row->alphabet, row->text),
		    0);
		assert_true(span_equal(buf_span(&bytes), row->bytes));
		assert_int_equal(base64_put(&text, row->alphabet, row->bytes),
		    0);
		assert_true(span_equal(buf_span(&text), row->text));
	}
	buf_free(&bytes);
	buf_free(&text);
}

/* There and back for every length, in exactly the room it takes. */
static void
test_lengths(void **state)
{
	char bytes[100];
	struct buf text, back;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 37 + 11);
	for (size_t n = 1; n < sizeof(bytes); n++)
		for (int a = 0; a < 2; a++) {
			enum base64_alphabet alphabet = (enum base64_alphabet)a;
			size_t room = base64_text_bytes(alphabet, n);

			buf_init(&text, room);
			buf_init(&back, n);
			assert_int_equal(base64_put(&text, alphabet,
					     span_make(bytes, n)),
			    0);
			assert_int_equal(buf_bytes(&text), room);
			assert_int_equal(base64_read(&back, alphabet,
					     buf_span(&text)),
			    0);
			assert_memory_equal(buf_span(&back).data, bytes, n);
			buf_free(&back);
			buf_init(&back, n - 1);
			if (n > 1)
				assert_int_equal(base64_read(&back, alphabet,
						     buf_span(&text)),
				    -1);
			buf_free(&text);
			buf_free(&back);
			buf_init(&text, room - 1);
			assert_int_equal(base64_put(&text, alphabet,
					     span_make(bytes, n)),
			    -1);
			assert_int_equal(buf_bytes(&text), 0);
			buf_free(&text);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lengths) };

	return RUN_ROWS(texts, test_text) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
