/* SPDX-License-Identifier: MIT */
/* fuzz_sdk_pairs.c - forms and cookies: names and values lie inside of one copy, end
 * with a NUL, and are no longer than what was sent; a value written again as part
 * of a URL is read as the same value. */
#include "fuzz.h"

#include "sdk/field.h"
#include "sdk/pairs.h"

static void
check_pair(const struct pairs *p, const struct fn_pair *pair, size_t most)
{
	assert(pair->name >= p->text && pair->value >= pair->name);
	assert(pair->value + pair->bytes <= p->text + most);
	assert(pair->value[pair->bytes] == '\0');
	assert(strlen(pair->name) <= most);
}

static void
check_same(const struct fn_pair *pair)
{
	struct pairs again = { 0 };
	struct buf b;

	buf_init(&b, 4 * pair->bytes + 16);
	must(buf_put_string(&b, "a="));
	must(field_put_url(&b, span_make(pair->value, pair->bytes)));
	must(pairs_read_form(&again, buf_span(&b)));
	assert(again.count == 1);
	must_equal(span_make(again.list[0].value, again.list[0].bytes),
	    span_make(pair->value, pair->bytes));
	assert(pairs_find(&again, "a") == again.list[0].value);
	pairs_free(&again);
	buf_free(&b);
}

static void
check_escapes(struct span text)
{
	struct buf b;

	buf_init(&b, 6 * text.bytes + 2);
	must(field_put_json(&b, text));
	for (size_t i = 0; i < buf_bytes(&b); i++)
		assert((unsigned char)b.data[i] >= ' ');
	buf_clear(&b);
	must(field_put_html(&b, text));
	assert(span_find(buf_span(&b), '<') < 0);
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span text = span_make(data, bytes);
	struct pairs p = { 0 };

	if (pairs_read_form(&p, text) != 0)
		assert(p.count == PAIRS_MOST);
	for (size_t i = 0; i < p.count; i++) {
		check_pair(&p, &p.list[i], bytes);
		if (i < 16)
			check_same(&p.list[i]);
	}
	pairs_free(&p);
	if (pairs_read_cookies(&p, text) != 0)
		assert(p.count == PAIRS_MOST);
	for (size_t i = 0; i < p.count; i++)
		check_pair(&p, &p.list[i], bytes);
	pairs_free(&p);
	check_escapes(text);
	return 0;
}
