/* SPDX-License-Identifier: MIT */
/* test.c - a handler called on a made-up request, its reply kept in memory. */

#include <stdlib.h>

#include "wire/url_path.h"

#include "sdk/fn_test.h"
#include "sdk/handler.h"

#define SCRIPT "/fn/test/function"

enum { OUTPUT_MOST = 1 << 30, TEXT_MOST = 1 << 20, VARIABLES_MOST = 512 };

struct memory {
	struct carrier carrier;
	struct span unread; /* of the body */
	bool cut;	    /* it ends with a broken connection */
	struct buf output;  /* header and body, as they came */
	struct buf log;
	struct buf field; /* of fn_test_header() */
	unsigned sent;
};

struct variables_made {
	struct buf text; /* "NAME=value\0" one after the other */
	char *list[VARIABLES_MOST + 1];
};

static ptrdiff_t test_read(struct carrier *, char *to, size_t room);
static int test_write(struct carrier *, struct span head, struct span body,
    bool last);
static void test_log(struct carrier *, struct span line);
static int variables_make(struct variables_made *,
    const struct fn_test_request *);
static int target_put(struct buf *, struct span target);
static int header_put(struct buf *, struct span header);
static int end_put(struct buf *);
static int list_make(struct variables_made *);
static void reply_take(struct fn_test_reply *, struct memory *);

int
fn_test_call(int (*handle)(struct fn_request *, struct fn_reply *),
    const struct fn_test_request *request, struct fn_test_reply *reply)
{
	struct memory *m = calloc(1, sizeof(*m));
	struct variables_made *v = calloc(1, sizeof(*v));
	size_t cut =
	    request->cut < request->bytes ? request->cut : request->bytes;
	int result = -1;

	*reply = (struct fn_test_reply){ .memory = m };
	if (m && v && variables_make(v, request) == 0) {
		m->carrier = (struct carrier){
			.read = test_read, .write = test_write, .log = test_log
		};
		m->unread = span_make(request->body, request->bytes - cut);
		m->cut = cut > 0;
		buf_init(&m->output, OUTPUT_MOST);
		buf_init(&m->log, TEXT_MOST);
		buf_init(&m->field, TEXT_MOST);
		fn_use(v->list);
		reply->broken = run(&m->carrier, v->list, handle) != 0;
		fn_use(NULL);
		reply_take(reply, m);
		result = 0;
	}
	if (v)
		buf_free(&v->text);
	free(v);
	return result;
}

const char *
fn_test_header(struct fn_test_reply *reply, const char *name)
{
	struct memory *m = reply->memory;
	struct span rest = span_of(reply->header), value;

	while (rest.bytes > 0) {
		value = span_cut(&rest, '\r');
		rest = span_skip(rest, 1);
		if (!span_equal_nocase(span_cut(&value, ':'), span_of(name)))
			continue;
		buf_clear(&m->field);
		if (buf_put(&m->field, span_trim(value)) != 0)
			return NULL;
		return buf_string(&m->field);
	}
	return NULL;
}

void
fn_test_free(struct fn_test_reply *reply)
{
	struct memory *m = reply->memory;

	if (m) {
		buf_free(&m->output);
		buf_free(&m->log);
		buf_free(&m->field);
	}
	free(m);
	*reply = (struct fn_test_reply){ 0 };
}

/* ---- the carrier -------------------------------------------------------------- */

static ptrdiff_t
test_read(struct carrier *carrier, char *to, size_t room)
{
	struct memory *m = (struct memory *)carrier;
	struct span part = span_take(m->unread, room);

	if (part.bytes == 0)
		return m->cut ? -1 : 0;
	memcpy(to, part.data, part.bytes);
	m->unread = span_skip(m->unread, part.bytes);
	return (ptrdiff_t)part.bytes;
}

static int
test_write(struct carrier *carrier, struct span head, struct span body,
    bool last)
{
	struct memory *m = (struct memory *)carrier;

	(void)last;
	m->sent += head.bytes + body.bytes > 0;
	return buf_put(&m->output, head) | buf_put(&m->output, body);
}

static void
test_log(struct carrier *carrier, struct span line)
{
	buf_put(&((struct memory *)carrier)->log, line);
}

/* ---- the request ---------------------------------------------------------------- */

/* The first of a name counts, so those of the author come first. */
static int
variables_make(struct variables_made *v, const struct fn_test_request *r)
{
	const char *method = r->method ? r->method :
	    r->bytes > 0	       ? "POST" :
					 "GET";
	struct buf *b = &v->text;
	int bad = 0;

	buf_init(b, TEXT_MOST);
	for (size_t i = 0; r->variables && r->variables[i]; i++)
		bad |= buf_put_string(b, r->variables[i]) | end_put(b);
	bad |= buf_printf(b, "REQUEST_METHOD=%s%c", method, 0);
	bad |= target_put(b, span_of(r->target ? r->target : ""));
	for (size_t i = 0; r->headers && r->headers[i]; i++)
		bad |= header_put(b, span_of(r->headers[i]));
	if (r->bytes > 0)
		bad |= buf_printf(b, "CONTENT_LENGTH=%zu%c", r->bytes, 0) |
		    buf_printf(b,
			"CONTENT_TYPE=application/x-www-form-urlencoded%c", 0);
	bad |= buf_printf(b,
	    "GATEWAY_INTERFACE=CGI/1.1%cSERVER_PROTOCOL=HTTP/1.1%c"
	    "SERVER_NAME=test.example%cSERVER_PORT=80%c"
	    "REMOTE_ADDR=127.0.0.1%cSCRIPT_NAME=" SCRIPT "%c"
	    "FN_TENANT=test%cFN_NAME=function%cFN_REQUEST_ID=test%c",
	    0, 0, 0, 0, 0, 0, 0, 0, 0);
	return bad ? -1 : list_make(v);
}

/* "/a%20b?x=1" */
static int
target_put(struct buf *b, struct span target)
{
	struct span path, query;
	int bad;

	url_split(target, &path, &query);
	bad = buf_put_string(b, "PATH_INFO=");
	if (path.bytes > 0)
		bad |= url_path_decode(path, b) != URL_PATH_OK;
	bad |= end_put(b);
	bad |= buf_put_string(b, "QUERY_STRING=") | buf_put(b, query);
	return bad | end_put(b);
}

/* "Accept-Language: de" is HTTP_ACCEPT_LANGUAGE=de */
static int
header_put(struct buf *b, struct span header)
{
	struct span value = header, name = span_cut(&value, ':');
	int bad = !value.data || name.bytes == 0;

	if (!span_equal_nocase(name, SPAN("Content-Type")) &&
	    !span_equal_nocase(name, SPAN("Content-Length")))
		bad |= buf_put_string(b, "HTTP_");
	for (size_t i = 0; i < name.bytes; i++) {
		char c = name.data[i];

		bad |= buf_put_byte(b,
		    c == '-'		     ? '_' :
			c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') :
					       c);
	}
	bad |= buf_put_byte(b, '=') | buf_put(b, span_trim(value));
	return bad | end_put(b);
}

static int
end_put(struct buf *b)
{
	return buf_put_byte(b, '\0');
}

static int
list_make(struct variables_made *v)
{
	struct span rest = buf_span(&v->text);
	size_t count = 0;

	while (rest.bytes > 0) {
		if (count == VARIABLES_MOST)
			return -1;
		v->list[count++] = v->text.data + (rest.data - v->text.data);
		span_cut(&rest, '\0');
	}
	v->list[count] = NULL;
	return 0;
}

/* ---- the reply -------------------------------------------------------------------- */

/* "Status: 200 OK\r\n" comes first, always; the blank line becomes a NUL. */
static void
reply_take(struct fn_test_reply *reply, struct memory *m)
{
	char *text = (char *)(uintptr_t)buf_string(&m->output);
	char *body = text ? strstr(text, "\r\n\r\n") : NULL;

	reply->result = m->carrier.status;
	reply->sent = m->sent;
	reply->log = buf_string(&m->log);
	reply->header = reply->body = "";
	if (!body)
		return;
	body[2] = '\0';
	reply->header = text;
	reply->body = body + 4;
	reply->bytes = buf_bytes(&m->output) - (size_t)(body + 4 - text);
	reply->status = (unsigned)strtoul(text + strlen("Status: "), NULL, 10);
}
