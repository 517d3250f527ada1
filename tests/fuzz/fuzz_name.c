/* SPDX-License-Identifier: MIT */
/* fuzz_name.c - names: what a URL may ask for is what a directory may serve, is
 * one path component, and has a function as its first part. */
#include "fuzz.h"

#include "wire/name.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span name = span_make(data, bytes);
	struct span function = name_function(name);
	enum name_file kind = name_file(name);

	assert(function.data == name.data && function.bytes <= name.bytes);
	assert(span_find(function, '.') < 0);
	assert(name_is_function(function) == (kind == NAME_FILE_PROGRAM) ||
	    kind == NAME_FILE_SETTINGS || kind == NAME_FILE_NEVER);
	if (name_is_function(name))
		assert(kind == NAME_FILE_PROGRAM && name_is_asked(name) &&
		    span_equal(name, function));
	if (name_is_asked(name)) {
		assert(kind == NAME_FILE_PROGRAM && bytes <= NAME_ASKED_MOST);
		assert(name.data[0] != '.' && span_find(name, '/') < 0);
		for (size_t i = 0; i < bytes; i++)
			assert(data[i] > ' ' && data[i] < 0x7f);
	}
	return 0;
}
