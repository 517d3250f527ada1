/* SPDX-License-Identifier: MIT */
/* answer.c - the host's own answers. The sentence of a row is a template; what
 * is filled in comes from clients and tenants and is escaped for where it
 * goes: control bytes always, then JSON or HTML. */
#include "wire/cgi_head.h"

#include "gateway/answer.h"

enum { SENTENCE_MOST = 4096, BODY_MOST = 16 * 1024 };

static const struct end_row rows[] = {
#define END(NAME, name, status, fault, title, detail) \
	{ #name, status, FAULT_##fault, title, detail },
#include "gateway/ends.def"
#undef END
};

static buf_name_fn put_named;
static int put_words(struct buf *, struct span);
static int put_without_directories(struct buf *, struct span);
static int put_json(struct buf *, struct span);
static int put_html(struct buf *, struct span);
static int body_json(struct buf *, const struct answer_facts *,
    struct span detail);
static int body_html(struct buf *, const struct answer_facts *,
    struct span detail);
static unsigned quality(struct span parameters);

const struct end_row *
end_row(enum end end)
{
	return &rows[end];
}

int
answer_detail(struct buf *out, const struct answer_facts *facts)
{
	return buf_fill(out, rows[facts->end].detail, put_named, facts);
}

int
answer_write(struct buf *out, const struct answer_facts *facts)
{
	const struct end_row *row = &rows[facts->end];
	bool html = answer_prefers_html(facts->accept);
	struct answer_facts shown = *facts;
	struct buf what, detail, body;
	int failed = 0;

	buf_init(&what, SENTENCE_MOST);
	if (facts->end == END_TENANT_REFUSED) {
		failed = put_without_directories(&what, facts->what);
		shown.what = buf_span(&what);
	}
	buf_init(&detail, SENTENCE_MOST);
	buf_init(&body, BODY_MOST);
	failed = failed || answer_detail(&detail, &shown) ||
	    (html ? body_html : body_json)(&body, facts, buf_span(&detail)) ||
	    buf_printf(out, "Status: %u %s\r\n", row->status,
		http_reason(row->status)) ||
	    buf_printf(out, "Content-Type: %s\r\n",
		html ? "text/html; charset=utf-8" :
		       "application/problem+json") ||
	    buf_printf(out, "Content-Length: %zu\r\n", buf_bytes(&body)) ||
	    buf_put_string(out, "Cache-Control: no-store\r\n") ||
	    buf_printf(out, "X-Request-Id: %.*s\r\n",
		SPAN_ARGS(facts->request_id)) ||
	    (facts->retry_after_s > 0 &&
		buf_printf(out, "Retry-After: %u\r\n", facts->retry_after_s)) ||
	    (facts->allow.bytes > 0 &&
		buf_printf(out, "Allow: %.*s\r\n", SPAN_ARGS(facts->allow))) ||
	    buf_put_string(out, "\r\n") ||
	    (!facts->head && buf_put(out, buf_span(&body)));
	buf_free(&what);
	buf_free(&detail);
	buf_free(&body);
	return failed ? -1 : 0;
}

/* Browsers name text/html; what only accepts everything gets JSON. */
bool
answer_prefers_html(struct span accept)
{
	unsigned html = 0, json = 0;

	while (accept.bytes > 0) {
		struct span item = span_cut(&accept, ',');
		struct span type = span_trim(span_cut(&item, ';'));
		unsigned q = quality(item);

		if (span_equal_nocase(type, SPAN("text/html")))
			html = q;
		else if (span_equal_nocase(type, SPAN("application/json")) ||
		    span_equal_nocase(type, SPAN("application/problem+json")))
			json = q;
	}
	return html > 0 && html >= json;
}

/* The q parameter in thousandths (RFC 9110 section 12.4.2). */
static unsigned
quality(struct span parameters)
{
	while (parameters.bytes > 0) {
		struct span item = span_trim(span_cut(&parameters, ';'));
		unsigned value, scale = 100;

		if (!span_starts_nocase(item, SPAN("q=")))
			continue;
		item = span_skip(item, 2);
		if (item.bytes == 0 || item.data[0] == '1')
			return 1000;
		value = 0;
		item = span_skip(item, 2);
		for (size_t i = 0; i < item.bytes && scale > 0; i++) {
			if (item.data[i] < '0' || item.data[i] > '9')
				break;
			value += (unsigned)(item.data[i] - '0') * scale;
			scale /= 10;
		}
		return value;
	}
	return 1000;
}

static int
put_named(struct buf *out, struct span name, const void *arg)
{
	const struct answer_facts *facts = arg;

	if (span_equal(name, SPAN("limit")))
		return put_words(out, facts->limit);
	if (span_equal(name, SPAN("value")))
		return put_words(out, facts->value);
	if (span_equal(name, SPAN("what")))
		return put_words(out, facts->what);
	if (put_words(out, facts->tenant) != 0)
		return -1;
	if (span_equal(name, SPAN("tenant")))
		return 0;
	return buf_put_byte(out, '/') || put_words(out, facts->function) ? -1 :
									   0;
}

/* Control bytes and what is not ASCII become '?', so that the sentence may go
 * to a terminal. */
static int
put_words(struct buf *out, struct span words)
{
	for (size_t i = 0; i < words.bytes; i++) {
		char c = words.data[i];

		if (buf_put_byte(out, c >= ' ' && c <= '~' ? c : '?') != 0)
			return -1;
	}
	return 0;
}

/* Where things are on the host is for its log: of a path that is not in the root
 * itself only the last name is left, ".../acme". */
static int
put_without_directories(struct buf *out, struct span words)
{
	static const char before[] = " \"(=", behind[] = " \"),:;";
	size_t at = 0, end, last;

	while (at < words.bytes) {
		last = at;
		end = at + 1;
		if (words.data[at] == '/' &&
		    (at == 0 || strchr(before, words.data[at - 1])))
			for (; end < words.bytes &&
			     !strchr(behind, words.data[end]);
			     end++)
				if (words.data[end - 1] == '/')
					last = end - 1;
		if ((last > at && buf_put_string(out, "...") != 0) ||
		    buf_put(out, span_make(words.data + last, end - last)) != 0)
			return -1;
		at = end;
	}
	return 0;
}

static int
body_json(struct buf *out, const struct answer_facts *facts, struct span detail)
{
	const struct end_row *row = &rows[facts->end];

	return buf_printf(out,
		   "{\"type\":\"urn:fcgi-host:end:%s\","
		   "\"title\":\"%s\",\"status\":%u,\"detail\":\"",
		   row->name, row->title, row->status) ||
		put_json(out, detail) ||
		buf_put_string(out, "\",\"instance\":\"") ||
		put_json(out, facts->request_id) ||
		buf_put_string(out, "\"}\n") ?
	    -1 :
	    0;
}

static int
put_json(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.bytes; i++) {
		char c = text.data[i];

		if ((c == '"' || c == '\\') && buf_put_byte(out, '\\') != 0)
			return -1;
		if (buf_put_byte(out, c) != 0)
			return -1;
	}
	return 0;
}

static int
body_html(struct buf *out, const struct answer_facts *facts, struct span detail)
{
	const struct end_row *row = &rows[facts->end];
	char first = detail.bytes > 0 ? detail.data[0] : ' ';

	if (first >= 'a' && first <= 'z')
		first = (char)(first - 'a' + 'A');

	return buf_printf(out,
		   "<!doctype html>\n"
		   "<html lang=\"en\"><meta charset=\"utf-8\">\n"
		   "<meta name=\"viewport\" content=\"width=device-width\">\n"
		   "<title>%u %s</title>\n<style>\n"
		   "body{font:1rem/1.5 system-ui,sans-serif;margin:15vh auto;"
		   "max-width:34rem;padding:0 1.5rem;color:#223;background:#fafafc}\n"
		   "h1{font-size:1.6rem;margin:0}h1 span{color:#a33}"
		   "p{margin:1rem 0}small{color:#667}\n"
		   "@media(prefers-color-scheme:dark){"
		   "body{background:#16181d;color:#dde}h1 span{color:#f88}}\n"
		   "</style>\n<h1><span>%u</span> %s</h1>\n<p>",
		   row->status, row->title, row->status, row->title) ||
		buf_put_byte(out, first) ||
		put_html(out, span_skip(detail, 1)) ||
		buf_put_string(out, ".</p>\n<small>Request ") ||
		put_html(out, facts->request_id) ||
		buf_put_string(out, "</small>\n</html>\n") ?
	    -1 :
	    0;
}

static int
put_html(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.bytes; i++) {
		char c = text.data[i];
		int failed;

		if (c == '<')
			failed = buf_put_string(out, "&lt;");
		else if (c == '>')
			failed = buf_put_string(out, "&gt;");
		else if (c == '&')
			failed = buf_put_string(out, "&amp;");
		else if (c == '"')
			failed = buf_put_string(out, "&quot;");
		else
			failed = buf_put_byte(out, c);
		if (failed)
			return -1;
	}
	return 0;
}
