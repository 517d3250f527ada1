/* SPDX-License-Identifier: MIT */
/* fuzz_cgi_head.c - headers of programs: the end is found however bytes come;
 * what is written has no byte and no field that may not be there, is read with
 * the meaning of what was parsed, and written once more is the same. */
#include "fuzz.h"

#include "wire/cgi_head.h"

enum { WRITTEN_MOST = 2 * CGI_HEAD_MOST };

static struct cgi_head head, again;

static void
check_inside(struct span all, struct span part)
{
	if (part.bytes > 0)
		assert(part.data >= all.data &&
		    part.data + part.bytes <= all.data + all.bytes);
}

static size_t
check_find(struct span all)
{
	size_t whole_scanned = 0, whole_bytes = 0;
	size_t scanned = 0, head_bytes = 0, given = 0;
	enum cgi_head_state whole, state;
	struct splits s;

	whole = cgi_head_find(all, false, &whole_scanned, &whole_bytes);
	assert(whole_scanned <= all.bytes && whole_scanned <= CGI_HEAD_MOST);
	splits_init(&s, all);
	for (;;) {
		state = cgi_head_find(span_take(all, given), false, &scanned,
		    &head_bytes);
		if (state != CGI_HEAD_NEED_MORE || given == all.bytes)
			break;
		given += splits_next(&s, all.bytes - given);
	}
	assert(state == whole);
	if (state != CGI_HEAD_COMPLETE) {
		assert(cgi_head_find(all, true, &scanned, &head_bytes) ==
		    CGI_HEAD_BAD);
		return 0;
	}
	assert(head_bytes == whole_bytes && head_bytes <= CGI_HEAD_MOST);
	assert(all.data[head_bytes - 1] == '\n');
	return head_bytes;
}

static void
check_field(struct span name)
{
	static const char *const never[] = { "Connection", "Keep-Alive", "TE",
		"Trailer", "Transfer-Encoding", "Upgrade" };

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		assert(!span_equal_nocase(name, span_of(never[i])));
	assert(!span_starts_nocase(name, SPAN("Proxy-")));
	assert(!span_starts_nocase(name, SPAN("X-Accel-")));
	assert(name.bytes > 0);
	for (size_t i = 0; i < name.bytes; i++)
		assert(name.data[i] > ' ' && name.data[i] < 0x7f);
}

/* By its own eyes, not by the parser's. */
static void
check_written(struct span written)
{
	struct span rest = written;
	size_t statuses = 0, lengths = 0, types = 0, locations = 0;
	bool ended = false;

	while (rest.bytes > 0) {
		struct span line = span_cut(&rest, '\n'), name;

		assert(!ended && span_ends(line, SPAN("\r")));
		line.bytes--;
		for (size_t i = 0; i < line.bytes; i++)
			assert((unsigned char)line.data[i] >= ' ' ||
			    line.data[i] == '\t');
		assert(span_find(line, 0x7f) < 0);
		if (line.bytes == 0) {
			ended = true;
			continue;
		}
		assert(span_find(line, ':') > 0);
		name = span_cut(&line, ':');
		check_field(name);
		assert(span_starts(line, SPAN(" ")));
		statuses += span_equal_nocase(name, SPAN("Status"));
		lengths += span_equal_nocase(name, SPAN("Content-Length"));
		types += span_equal_nocase(name, SPAN("Content-Type"));
		locations += span_equal_nocase(name, SPAN("Location"));
	}
	assert(ended && statuses == 1 && lengths <= 1 && types <= 1 &&
	    locations <= 1);
	assert(span_starts(written, SPAN("Status: ")));
	assert(written.data[8] >= '2' && written.data[8] <= '5');
	assert(written.data[11] == ' ');
	assert((unsigned char)written.data[12] > ' ');
}

static void
check_same_meaning(void)
{
	assert(again.status == head.status);
	assert(again.bodyless == head.bodyless);
	assert(again.content_length ==
	    (head.bodyless ? -1 : head.content_length));
	must_equal(again.location, head.location);
	must_equal(again.content_type, head.content_type);
	assert((again.location.data == NULL) == (head.location.data == NULL));
	assert((again.content_type.data == NULL) ==
	    (head.content_type.data == NULL));
	assert((again.kind == CGI_DOCUMENT) == (head.kind == CGI_DOCUMENT));
	assert(again.field_count <= head.field_count);
}

static void
check_ceiling(const struct cgi_head_policy *policy, size_t written_bytes)
{
	struct buf b;

	buf_init(&b, written_bytes - 1);
	assert(cgi_head_write(&b, &head, policy) == -1);
	assert(buf_bytes(&b) == 0);
	buf_free(&b);
	buf_init(&b, written_bytes);
	must(cgi_head_write(&b, &head, policy));
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const struct cgi_head_policy policy = { .allow_accel = false };
	struct span all = span_make(data, bytes);
	size_t head_bytes = check_find(all);
	struct buf once, twice;

	/* Also bytes that no header was found in must do no harm. */
	if (head_bytes > 0)
		all = span_take(all, head_bytes);
	if (cgi_head_parse(all, &head) != 0) {
		assert(head.error != CGI_HEAD_OK);
		return 0;
	}
	assert(head.error == CGI_HEAD_OK);
	assert(head.field_count <= CGI_HEAD_FIELDS_MOST);
	assert(head.status >= 200 && head.status <= 599);
	check_inside(all, head.location);
	check_inside(all, head.content_type);
	for (size_t i = 0; i < head.field_count; i++) {
		check_inside(all, head.fields[i].name);
		check_inside(all, head.fields[i].value);
	}

	buf_init(&once, WRITTEN_MOST);
	buf_init(&twice, WRITTEN_MOST);
	must(cgi_head_write(&once, &head, &policy));
	check_written(buf_span(&once));
	check_ceiling(&policy, buf_bytes(&once));
	/* CRLF for LF, and a blank behind each colon, may make it longer than
	 * what a program may write. */
	if (cgi_head_parse(buf_span(&once), &again) != 0) {
		assert(again.error == CGI_HEAD_TOO_LONG ||
		    again.error == CGI_HEAD_LINE_TOO_LONG);
	} else {
		check_same_meaning();
		must(cgi_head_write(&twice, &again, &policy));
		must_equal(buf_span(&twice), buf_span(&once));
	}
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
