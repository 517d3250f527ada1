/* SPDX-License-Identifier: MIT */
/* fuzz_base64.c - a text that is read is the only spelling of its bytes: written
 * again it is the same; bytes that are written are read back. */
#include "fuzz.h"

#include "wire/base64.h"

static void
check(enum base64_alphabet alphabet, struct span input)
{
	struct buf bytes, text, back;

	buf_init(&bytes, input.bytes);
	buf_init(&text, base64_text_bytes(alphabet, input.bytes));
	buf_init(&back, input.bytes);
	if (base64_read(&bytes, alphabet, input) == 0) {
		must(base64_put(&text, alphabet, buf_span(&bytes)));
		must_equal(buf_span(&text), input);
		buf_clear(&text);
	} else {
		assert(buf_bytes(&bytes) == 0);
	}
	must(base64_put(&text, alphabet, input));
	assert(buf_bytes(&text) == base64_text_bytes(alphabet, input.bytes));
	must(base64_read(&back, alphabet, buf_span(&text)));
	must_equal(buf_span(&back), input);
	buf_free(&bytes);
	buf_free(&text);
	buf_free(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	check(BASE64, span_make(data, bytes));
	check(BASE64_URL, span_make(data, bytes));
	return 0;
}
