/* SPDX-License-Identifier: MIT */
/* fuzz_fcgi_app.c - what a worker sends: however it is split, the same is made
 * of it; slices stand in what came in and are no more than that; behind an end
 * or a violation nothing comes any more; what is passed over has a bound. And an
 * environment written as PARAMS is read as the same pairs. */
#include "fuzz.h"

#include "wire/fcgi_app.h"

struct transcript {
	struct buf text;
	size_t content_bytes;
	bool over;
};

static void
read_slice(struct fcgi_app *a, struct span in, struct transcript *t)
{
	struct span content, before;
	enum fcgi_app_event event;

	for (;;) {
		before = in;
		event = fcgi_app_read(a, &in, &content);
		assert(in.bytes <= before.bytes);
		assert(a->strange_bytes <= FCGI_APP_STRANGE_MOST ||
		    event == FCGI_APP_VIOLATION);
		switch (event) {
		case FCGI_APP_NEED_MORE:
			assert(in.bytes == 0);
			return;
		case FCGI_APP_STDOUT:
		case FCGI_APP_STDERR:
			assert(!t->over && content.bytes > 0);
			assert(content.data >= before.data &&
			    content.data + content.bytes == in.data);
			t->content_bytes += content.bytes;
			for (size_t i = 0; i < content.bytes; i++) {
				must(buf_put_byte(&t->text,
				    event == FCGI_APP_STDOUT ? 'o' : 'e'));
				must(buf_put_byte(&t->text, content.data[i]));
			}
			break;
		case FCGI_APP_END:
			assert(!t->over && a->over);
			t->over = true;
			must(buf_printf(&t->text, "<%u %u>", a->end.app_status,
			    a->end.protocol_status));
			break;
		case FCGI_APP_VIOLATION:
			assert(a->violation);
			must(buf_printf(&t->text, "!%s", a->violation));
			t->over = true;
			return;
		}
	}
}

static void
check_reading(struct span all)
{
	struct transcript whole = { 0 }, split = { 0 };
	struct span rest = all;
	struct fcgi_app a;
	struct splits s;

	buf_init(&whole.text, 256 + 2 * all.bytes);
	buf_init(&split.text, 256 + 2 * all.bytes);
	fcgi_app_init(&a);
	read_slice(&a, all, &whole);
	assert(whole.content_bytes <= all.bytes);

	fcgi_app_init(&a);
	splits_init(&s, all);
	while (rest.bytes > 0 && !a.violation) {
		size_t part = splits_next(&s, rest.bytes);

		read_slice(&a, span_take(rest, part), &split);
		rest = span_skip(rest, part);
	}
	must_equal(buf_span(&split.text), buf_span(&whole.text));
	buf_free(&whole.text);
	buf_free(&split.text);
}

static void
read_params(struct span in, struct buf *stream)
{
	struct fcgi_reader r;
	struct span content;
	enum fcgi_event event;

	fcgi_reader_init(&r);
	while ((event = fcgi_read(&r, &in, &content)) != FCGI_NEED_MORE) {
		assert(event != FCGI_BAD_VERSION);
		assert(r.record.id == FCGI_APP_ID);
		if (event == FCGI_CONTENT && r.record.type == FCGI_PARAMS)
			must(buf_put(stream, content));
	}
	assert(fcgi_reader_between(&r) && r.record.type == FCGI_PARAMS &&
	    r.record.content_bytes == 0);
}

static void
check_writing(struct span environment)
{
	/* every byte a variable, whose two lengths are a byte each */
	size_t most = 3 * environment.bytes + 1024;
	struct buf out, stream;
	struct span rest, value, name;
	struct param pair;

	buf_init(&out, most);
	buf_init(&stream, most);
	must(fcgi_app_put_begin(&out, true, environment));
	assert(buf_bytes(&out) % 8 == 0);
	read_params(buf_span(&out), &stream);
	rest = buf_span(&stream);
	while (params_cut(&rest, &pair) == PARAMS_PAIR) {
		value = span_cut(&environment, '\0');
		name = span_cut(&value, '=');
		must_equal(pair.name, name);
		must_equal(pair.value, value);
	}
	assert(rest.bytes == 0 && environment.bytes == 0);
	buf_free(&out);
	buf_free(&stream);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span all = span_make(data, bytes);

	check_reading(all);
	check_writing(all);
	return 0;
}
