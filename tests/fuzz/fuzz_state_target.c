/* SPDX-License-Identifier: MIT */
/* fuzz_state_target.c - a target of the state API: what is found has a key that
 * asks for itself when it is encoded; parameters keep their promises, and their
 * memory its ceiling. Input: a target. */
#include "fuzz.h"

#include "wire/url_path.h"

#include "state/route.h"

static void
check_key(const struct target *target)
{
	struct span key = target_key(target), rest = key;
	char room[KEY_MOST];
	struct buf encoded;
	size_t bytes;

	assert(key.bytes >= 1 && key.bytes <= KEY_MOST);
	assert(key_check(key) == KEY_OK && utf8_good(key));
	for (size_t i = 0; i < key.bytes; i++)
		assert((unsigned char)key.data[i] >= ' ' &&
		    key.data[i] != 0x7f);
	while (rest.data != NULL) {
		struct span segment = span_cut(&rest, '/');

		assert(!span_equal(segment, SPAN(".")));
		assert(!span_equal(segment, SPAN("..")));
	}
	buf_init(&encoded, 3 * KEY_MOST);
	must(url_path_encode(&encoded, key));
	assert(key_decode(buf_span(&encoded), room, &bytes) == KEY_OK);
	must_equal(span_make(room, bytes), key);
	buf_free(&encoded);
}

static void
check_part(struct span part)
{
	assert(part.bytes <= KEY_MOST && utf8_good(part));
	assert(span_find(part, '\0') < 0);
}

static void
check_query(struct span raw, unsigned takes)
{
	struct query q;
	struct buf words;
	enum query_error error;

	query_init(&q);
	buf_init(&words, 1024);
	error = query_parse(&q, raw, takes);
	must(query_error_put(&words, &q, error));
	if (error == QUERY_OK) {
		assert((q.given & ~takes) == 0);
		check_part(q.prefix);
		check_part(q.start);
		check_part(q.end);
		check_part(q.delimiter);
		assert(q.cursor.bytes <= QUERY_CURSOR_MOST);
		assert(!query_has(&q, QUERY_LIMIT) || q.limit >= 1);
		assert(q.since < UINT64_C(1) << 53);
	}
	buf_free(&words);
	query_free(&q);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const struct span methods[] = { SPAN("GET"), SPAN("PUT"),
		SPAN("POST"), SPAN("DELETE"), SPAN("HEAD"), SPAN("OPTIONS"),
		SPAN("get") };
	struct span uri = span_make(data, bytes);

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		struct target target;
		enum route_result result;

		result = route_find(methods[i], uri, &target);
		if (result != ROUTE_FOUND)
			continue;
		if (route_row(target.route)->key)
			check_key(&target);
		else
			assert(target.key_bytes == 0);
		check_query(target.query, route_row(target.route)->query);
		check_query(target.query, ~0u);
	}
	return 0;
}
