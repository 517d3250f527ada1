/* SPDX-License-Identifier: MIT */
/* fuzz_sdk_http.c - replies of a host: however bytes come, the same content, status
 * and end; what is handed out lies inside of what came; JSON in it is walked to
 * its end or refused, in its own memory. */
#include "fuzz.h"

#include "sdk/http.h"
#include "sdk/walk.h"

static struct http_reader reader;

struct reading {
	enum http_event last;
	unsigned status;
	bool keep;
	struct buf body;
	size_t left;
};

static void
check_content(struct span all, struct span content)
{
	assert(content.bytes > 0 && content.data >= all.data &&
	    content.data + content.bytes <= all.data + all.bytes);
}

static void
read_all(struct reading *r, struct span all, struct splits *splits)
{
	struct span rest = all, in, content;
	size_t heads = 0;

	*r = (struct reading){ 0 };
	buf_init(&r->body, all.bytes + 1);
	http_reader_init(&reader);
	while (rest.bytes > 0 && r->last == HTTP_NEED_MORE) {
		in = span_take(rest,
		    splits ? 1 + splits_next(splits, rest.bytes) : rest.bytes);
		rest = span_skip(rest, in.bytes);
		do {
			r->last = http_read(&reader, &in, &content);
			heads += r->last == HTTP_HEAD;
			if (r->last == HTTP_CONTENT) {
				check_content(all, content);
				must(buf_put(&r->body, content));
			}
		} while (r->last == HTTP_HEAD || r->last == HTTP_CONTENT);
		r->left = rest.bytes + in.bytes;
	}
	r->status = reader.status;
	r->keep = reader.keep;
	assert(heads <= 1);
	assert(r->last != HTTP_END || (heads == 1 && r->status >= 200));
	assert(!reader.keep || r->last != HTTP_BAD);
}

static void
check_fields(void)
{
	struct span head = span_make(reader.head, reader.head_bytes);
	struct span value = http_field(&reader, SPAN("content-type"));

	for (size_t i = 0; i < value.bytes; i++)
		assert((unsigned char)value.data[i] >= ' ' ||
		    value.data[i] == '\t');
	if (value.bytes > 0)
		check_content(head, value);
}

/* In a copy without a byte to spare, so that the sanitizer sees the last one. */
static void
check_json(struct span body)
{
	char *copy = malloc(body.bytes ? body.bytes : 1);
	struct walk w;

	assert(copy);
	memcpy(copy, body.data, body.bytes);
	walk_init(&w, copy, body.bytes);
	walk_skip(&w);
	assert(w.at <= w.end && w.depth <= WALK_DEPTH_MOST);
	if (walk_over(&w))
		assert(w.at == w.end);
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span all = span_make(data, bytes);
	struct reading whole, pieces;
	struct splits splits;

	splits_init(&splits, all);
	read_all(&pieces, all, &splits);
	read_all(&whole, all, NULL);
	assert(whole.last == pieces.last && whole.status == pieces.status &&
	    whole.keep == pieces.keep && whole.left == pieces.left);
	must_equal(buf_span(&whole.body), buf_span(&pieces.body));
	if (whole.last == HTTP_END)
		check_fields();
	if (http_read_end(&reader) == 0)
		assert(whole.last == HTTP_END || whole.last == HTTP_NEED_MORE);
	assert(!reader.keep);
	check_json(buf_span(&whole.body));
	check_json(all);
	buf_free(&whole.body);
	buf_free(&pieces.body);
	return 0;
}
