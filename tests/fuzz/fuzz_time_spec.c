/* SPDX-License-Identifier: MIT */
/* fuzz_time_spec.c - quantities: any text is read or refused; what is written
 * for a value is read as that value, and is as short for text as for number. */
#include "fuzz.h"

#include "wire/time_spec.h"

static void
check(uint64_t value, enum time_spec_error (*parse)(struct span, uint64_t *),
    const char *(*write)(uint64_t, char[32]))
{
	char text[32], text_again[32];
	uint64_t again;

	assert(write(value, text) == text);
	assert(strlen(text) < sizeof(text));
	assert(parse(span_of(text), &again) == TIME_SPEC_OK);
	assert(again == value);
	write(again, text_again);
	must_equal(span_of(text_again), span_of(text));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span text = span_make(data, bytes);
	uint64_t value = 4711;
	enum time_spec_error error;

	error = time_spec_parse(text, &value);
	assert(error == TIME_SPEC_OK || value == 4711);
	if (error == TIME_SPEC_OK)
		check(value, time_spec_parse, time_spec_text);
	value = 4711;
	error = size_spec_parse(text, &value);
	assert(error == TIME_SPEC_OK || value == 4711);
	if (error == TIME_SPEC_OK)
		check(value, size_spec_parse, size_spec_text);

	/* The bytes as a number: any value has a text. */
	value = 0;
	memcpy(&value, data, bytes < sizeof(value) ? bytes : sizeof(value));
	check(value, time_spec_parse, time_spec_text);
	check(value, size_spec_parse, size_spec_text);
	return 0;
}
