/* SPDX-License-Identifier: MIT */
/* fuzz_sdk_multipart.c - files of forms: the first line of the input is the type of
 * the body. What is found lies inside of it, in order, and ends with a NUL; no value
 * has its delimiter in it; what is cut off is never a body of that type. */
#include "fuzz.h"

#include "sdk/multipart.h"

static void
check(const char *body, size_t bytes, const struct pairs *p)
{
	const char *at = body;

	for (size_t i = 0; i < p->count; i++) {
		const struct fn_pair *pair = &p->list[i];

		assert(pair->name > at && pair->name < pair->value);
		assert(pair->value + pair->bytes < body + bytes);
		assert(pair->value[pair->bytes] == '\0');
		assert(strlen(pair->name) < (size_t)(pair->value - pair->name));
		if (pair->file)
			assert(pair->file > at && pair->file < pair->value);
		if (pair->type)
			assert(pair->type > at && pair->type < pair->value);
		at = pair->value + pair->bytes;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span rest = span_make(data, bytes);
	struct span type = span_cut(&rest, '\n');
	/* The SDK has a NUL behind it. */
	char *body = malloc(rest.bytes + 1);
	struct pairs p = { 0 };

	assert(body);
	if (rest.bytes > 0)
		memcpy(body, rest.data, rest.bytes);
	body[rest.bytes] = '\0';
	if (multipart_read(&p, body, rest.bytes, type) == FN_OK)
		check(body, rest.bytes, &p);
	else
		assert(p.count == 0);
	pairs_free(&p);
	free(body);
	return 0;
}
