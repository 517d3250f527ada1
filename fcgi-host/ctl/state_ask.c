/* SPDX-License-Identifier: MIT */
/* state_ask.c - one request to the state API, as the web server would make it, on
 * a connection that the host made for us because of who we are. */

#include <stdlib.h>

#include <jansson.h>

#include "base/diag.h"
#include "base/fd.h"
#include "wire/params.h"

#include "ctl/ctl.h"
#include "ctl/state.h"

enum {
	PROBLEM_MOST = 1024 * 1024,
	URI_MOST = 16 * 1024,
};

static int params_write(struct buf *, const struct state_ask *);
static const char *reply_take(void *arg, struct span);
static const char *reply_body(struct state_ask *, struct span);
static void reply_stderr(void *arg, struct span);
static void problem_say(const struct state_ask *);

void
state_ask_init(struct state_ask *a, const char *tenant, const char *method,
    const char *path)
{
	*a = (struct state_ask){ .tenant = tenant, .method = method };
	buf_init(&a->uri, URI_MOST);
	reply_head_init(&a->head);
	buf_init(&a->body, STATE_BODY_MOST);
	buf_init(&a->problem, PROBLEM_MOST);
	buf_put_string(&a->uri, "/state/v1");
	buf_put_string(&a->uri, path);
}

void
state_ask_free(struct state_ask *a)
{
	buf_free(&a->uri);
	reply_head_free(&a->head);
	buf_free(&a->body);
	buf_free(&a->problem);
}

/* All but the unreserved characters of RFC 3986, and '/'. */
static void
uri_put(struct buf *uri, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z') || strchr("-._~/", c))
			buf_put_byte(uri, *text);
		else
			buf_printf(uri, "%%%02X", c);
	}
}

void
state_ask_key(struct state_ask *a, const char *key)
{
	uri_put(&a->uri, key);
}

void
state_ask_query(struct state_ask *a, const char *name, const char *value)
{
	bool first = span_find(buf_span(&a->uri), '?') < 0;

	buf_printf(&a->uri, "%c%s=", first ? '?' : '&', name);
	uri_put(&a->uri, value);
}

int
state_ask_run(const struct ctl *ctl, struct state_ask *a)
{
	struct exchange exchange = { .fd = -1,
		.arg = a,
		.body = a->send,
		.on_stdout = reply_take,
		.on_stderr = reply_stderr };
	struct question question = question_of(VERB_STATE);
	struct buf params;
	int result;

	question.control.tenant = span_of(a->tenant);
	buf_init(&params, PARAMS_STREAM_MOST);
	result = params_write(&params, a);
	exchange.params = buf_span(&params);
	if (result == 0)
		result = exchange_ask(ctl, &question, &exchange);
	fd_close(&exchange.fd);
	buf_free(&params);
	if (result == 0 && a->head.cgi.status >= 400) {
		problem_say(a);
		result = CTL_FAILED;
	}
	return result;
}

json_t *
state_ask_json(const struct state_ask *a)
{
	json_t *root = json_loadb(buf_span(&a->body).data, buf_bytes(&a->body),
	    JSON_REJECT_DUPLICATES, NULL);

	if (!root)
		diag_error("the host's answer is no JSON");
	return root;
}

static int
params_write(struct buf *out, const struct state_ask *a)
{
	struct span uri = buf_span(&a->uri), query = uri;
	char length[24];
	int bad = 0;

	snprintf(length, sizeof(length), "%zu", a->send.bytes);
	span_cut(&query, '?');
	const struct {
		const char *name;
		struct span value;
	} rows[] = {
		{ "GATEWAY_INTERFACE", SPAN("CGI/1.1") },
		{ "SERVER_PROTOCOL", SPAN("HTTP/1.1") },
		{ "REMOTE_ADDR", SPAN("127.0.0.1") },
		{ "REQUEST_METHOD", span_of(a->method) },
		{ "REQUEST_URI", uri },
		{ "QUERY_STRING", query.data ? query : SPAN("") },
		{ "CONTENT_LENGTH",
		    a->send.data ? span_of(length) : SPAN_NONE },
		{ "CONTENT_TYPE", span_of(a->type) },
		{ "HTTP_ACCEPT", span_of(a->accept) },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].value.data)
			bad |= params_put(out, span_of(rows[i].name),
			    rows[i].value);
	return bad == 0 ? 0 : usage("state", "the request is too long");
}

static const char *
reply_take(void *arg, struct span bytes)
{
	struct state_ask *a = arg;
	struct span body;
	const char *wrong = reply_head_take(&a->head, bytes, &body);

	return wrong ? wrong : reply_body(a, body);
}

static const char *
reply_body(struct state_ask *a, struct span bytes)
{
	if (bytes.bytes == 0)
		return NULL;
	if (a->head.cgi.status >= 400)
		return buf_put(&a->problem, bytes) == 0 ?
		    NULL :
		    "the host's refusal is too long";
	if (a->sink)
		return a->sink(a->arg, bytes);
	return buf_put(&a->body, bytes) == 0 ? NULL : "the reply is too long";
}

static void
reply_stderr(void *arg, struct span bytes)
{
	(void)arg;
	words_put(stderr, bytes);
}

/* Among many tenants, whose it is. */
static void
problem_say(const struct state_ask *a)
{
	const char *who = state_all() ? a->tenant : "";
	const char *colon = who[0] ? ": " : "";
	json_t *root = json_loadb(buf_span(&a->problem).data,
	    buf_bytes(&a->problem), 0, NULL);
	const char *title = json_string_value(json_object_get(root, "title"));
	const char *detail = json_string_value(json_object_get(root, "detail"));

	if (title && detail)
		diag_error("%s%s%s: %s", who, colon, title, detail);
	else
		diag_error("%s%s%s (status %u)", who, colon,
		    title ? title : "the host refused it", a->head.cgi.status);
	json_decref(root);
}
