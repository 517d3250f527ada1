/* SPDX-License-Identifier: MIT */
/* fuzz_params.c - pairs: they lie inside the stream and keep the rules; written
 * again they are read as the same pairs; a stream cut off gives a beginning of
 * the pairs, never others. */
#include "fuzz.h"

#include "wire/params.h"

static void
check_pair(struct span stream, const struct param *pair)
{
	struct span name = pair->name, value = pair->value;

	assert(name.bytes > 0 && name.bytes <= PARAMS_NAME_MOST);
	assert(name.data >= stream.data &&
	    value.data == name.data + name.bytes);
	assert(value.data + value.bytes <= stream.data + stream.bytes);
	assert(span_find(name, '=') < 0 && span_find(name, '\0') < 0);
	assert(span_find(value, '\0') < 0);
}

/* Writes what is read: the shortest form of the same pairs. */
static enum params_result
rewrite(struct span stream, struct buf *to)
{
	struct span rest = stream, frame = stream;
	struct param pair, same;
	enum params_result result;

	while ((result = params_next(&rest, &pair)) == PARAMS_PAIR) {
		check_pair(stream, &pair);
		must(params_put(to, pair.name, pair.value));
		assert(params_cut(&frame, &same) == PARAMS_PAIR);
		assert(frame.data == rest.data && frame.bytes == rest.bytes);
	}
	if (result == PARAMS_DONE)
		assert(rest.bytes == 0);
	return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span stream = span_make(data, bytes);
	struct buf once, twice, part;
	enum params_result result;
	struct splits s;

	buf_init(&once, bytes); /* never longer than what was read */
	buf_init(&twice, bytes);
	buf_init(&part, bytes);
	result = rewrite(stream, &once);
	assert(rewrite(buf_span(&once), &twice) == PARAMS_DONE);
	must_equal(buf_span(&twice), buf_span(&once));

	splits_init(&s, stream);
	for (int i = 0; i < 8; i++) {
		enum params_result cut;

		buf_clear(&part);
		cut = rewrite(span_take(stream, splits_next(&s, bytes)), &part);
		assert(span_starts(buf_span(&once), buf_span(&part)));
		if (result == PARAMS_DONE)
			assert(cut == PARAMS_DONE || cut == PARAMS_CUT);
	}
	buf_free(&once);
	buf_free(&twice);
	buf_free(&part);
	return 0;
}
