/* SPDX-License-Identifier: MIT */
/* fuzz_url_path.c - targets: path and query lie inside the target; a decoded
 * path has no NUL and no dot segment, and asks for itself when encoded; a path
 * refused leaves nothing behind. */
#include "fuzz.h"

#include "wire/url_path.h"

static void
check_decoded(struct span decoded)
{
	struct span rest = decoded;

	assert(decoded.bytes > 0 && decoded.data[0] == '/');
	assert(span_find(decoded, '\0') < 0);
	while (rest.data != NULL) {
		struct span segment = span_cut(&rest, '/');

		assert(!span_equal(segment, SPAN(".")));
		assert(!span_equal(segment, SPAN("..")));
	}
}

static size_t
count_of(struct span s, char c)
{
	size_t count = 0;

	for (size_t i = 0; i < s.bytes; i++)
		count += s.data[i] == c;
	return count;
}

static void
check_encoded(struct span decoded)
{
	struct buf encoded, back;
	struct span e;

	buf_init(&encoded, 3 * decoded.bytes);
	buf_init(&back, decoded.bytes);
	must(url_path_encode(&encoded, decoded));
	e = buf_span(&encoded);
	for (size_t i = 0; i < e.bytes; i++)
		assert(e.data[i] > ' ' && e.data[i] < 0x7f &&
		    strchr("?#\"<>\\^`{|}[]", e.data[i]) == NULL);
	assert(url_path_decode(e, &back) == URL_PATH_OK);
	must_equal(buf_span(&back), decoded);
	/* One byte less of room has nothing. */
	buf_free(&back);
	buf_init(&back, decoded.bytes - 1);
	assert(url_path_decode(e, &back) == URL_PATH_TOO_LONG);
	assert(buf_bytes(&back) == 0);
	buf_free(&encoded);
	buf_free(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span target = span_make(data, bytes), path, query;
	struct buf decoded;

	url_split(target, &path, &query);
	assert(query.data != NULL);
	assert(path.bytes + query.bytes <= bytes + 1); /* "/" for a host */
	assert(count_of(path, '?') == 0 && count_of(path, '#') == 0 &&
	    count_of(query, '#') == 0);

	buf_init(&decoded, bytes + 1);
	if (url_path_decode(path, &decoded) == URL_PATH_OK) {
		check_decoded(buf_span(&decoded));
		assert(count_of(buf_span(&decoded), '/') ==
		    count_of(path, '/'));
		check_encoded(buf_span(&decoded));
	} else {
		assert(buf_bytes(&decoded) == 0);
	}
	buf_free(&decoded);
	return 0;
}
