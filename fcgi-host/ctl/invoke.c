/* SPDX-License-Identifier: MIT */
/* invoke.c - calls a function as the web server would, and shows what a browser
 * does not: its stderr, how long it took and how it ended. The reply's body is
 * on stdout and nothing else; the rest is on stderr, and comes from the log by
 * the request's id. */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "base/diag.h"
#include "base/fd.h"
#include "wire/json_text.h"
#include "wire/params.h"

#include "ctl/ctl.h"

enum {
	BODY_MOST = 1 << 30, /* of --data @FILE */
	JSON_BODY_MOST = 256 << 20,
	LOG_MOST = 16 << 20,
	LOG_WAIT_MS = 8000, /* for the end of the function's stderr */
	FAILED_STATUS = 400,
	BAD_REQUEST = 400,
	PREFIX_BYTES = sizeof("/fn/") - 1,
};

struct reply {
	const struct ctl *ctl;
	struct reply_head head;
	struct buf body; /* --json: all of it */
	uint64_t body_bytes;
};

static const char *data;
static bool show_head;
static const char *method;
static struct argument_list headers;

static int invoke_run(const struct ctl *, int count, char **operands);
static int target_read(const char *operand, char **uri, char **tenant,
    char **function);
static int data_read(struct buf *);
static int params_write(struct buf *, const char *uri, bool has_body,
    size_t body_bytes);
static int header_put(struct buf *, const char *line);
static const char *reply_take(void *arg, struct span);
static void head_print(struct span);
static const char *reply_body(struct reply *, struct span);
static void reply_stderr(void *arg, struct span);
static int reply_show(const struct ctl *, struct reply *, const char *tenant);
static int log_ask(const struct ctl *, const char *tenant, const struct reply *,
    struct buf *log);
static void log_print(struct span log);
static struct span request_id_of(const struct reply *);
static json_t *reply_json(const struct reply *, struct span log);
static void json_put_log(json_t *, struct span log);
static void json_put_body(json_t *, struct span body);

/* clang-format off */
const struct command command_invoke = {
	.arguments = (const struct argument[]){
		{ 0, "data", ARGUMENT_TEXT, &data, "TEXT|@FILE",
		    "the request's body; @- is stdin. The method is POST then" },
		{ 'X', "method", ARGUMENT_TEXT, &method, "METHOD",
		    "another method than GET or POST" },
		{ 'H', "header", ARGUMENT_LIST, &headers, "'NAME: VALUE'",
		    "a request header field; any number" },
		{ 0, "head", ARGUMENT_FLAG, &show_head, NULL,
		    "show the reply's header too, on stderr" },
		{ 0 },
	},
	.operands_least = 1,
	.operands_most = 1,
	.run = invoke_run,
	.text = "The reply's body goes to stdout; stderr gets what the "
	    "function wrote there, and\none line on how it ended. Exits 1 "
	    "when the status is 400 or above. The path is\nthat of a URL, so "
	    "blanks in it are %20.\n\n"
	    "  fcgi-hostctl invoke demo/hello\n"
	    "  fcgi-hostctl invoke 'demo/environment/a/path?name=value' --head\n"
	    "  fcgi-hostctl invoke demo/echo --data @photo.jpg "
	    "-H 'Content-Type: image/jpeg'\n",
};
/* clang-format on */

static int
invoke_run(const struct ctl *ctl, int count, char **operands)
{
	struct reply reply = { .ctl = ctl };
	struct exchange exchange = { .fd = -1,
		.arg = &reply,
		.on_stdout = reply_take,
		.on_stderr = reply_stderr };
	struct question question = question_of(VERB_INVOKE);
	char *uri = NULL, *tenant = NULL, *function = NULL;
	struct buf body, params;
	int result;

	(void)count;
	buf_init(&body, BODY_MOST);
	buf_init(&params, PARAMS_STREAM_MOST);
	reply_head_init(&reply.head);
	buf_init(&reply.body, JSON_BODY_MOST);
	result = target_read(operands[0], &uri, &tenant, &function);
	if (result == 0 && data)
		result = data_read(&body);
	if (result == 0)
		result =
		    params_write(&params, uri, data != NULL, buf_bytes(&body));
	question.control.tenant = span_of(tenant);
	question.control.function = span_of(function);
	exchange.params = buf_span(&params);
	exchange.body = buf_span(&body);
	if (result == 0)
		result = exchange_ask(ctl, &question, &exchange);
	if (result != CTL_USAGE && reply.head.parsed &&
	    reply_show(ctl, &reply, tenant) != 0)
		result = CTL_FAILED;
	fd_close(&exchange.fd);
	buf_free(&body);
	buf_free(&params);
	reply_head_free(&reply.head);
	buf_free(&reply.body);
	free(uri);
	free(tenant);
	free(function);
	return result;
}

/* "demo/hello/path?query"; a URL's path, "/fn/demo/hello", is taken too. */
static int
target_read(const char *operand, char **uri, char **tenant, char **function)
{
	struct span rest = span_of(operand), segment;
	struct buf text;

	if (span_starts(rest, SPAN("/fn/")))
		rest = span_skip(rest, PREFIX_BYTES);
	buf_init(&text, 65536);
	buf_put_string(&text, "/fn/");
	for (size_t i = 0; i < rest.bytes; i++) {
		unsigned char c = (unsigned char)rest.data[i];

		if (c <= ' ' || c >= 0x7f)
			buf_printf(&text, "%%%02X", c);
		else
			buf_put_byte(&text, (char)c);
	}
	*uri = span_dup(buf_span(&text));
	buf_free(&text);
	segment = span_cut(&rest, '/');
	*tenant = span_dup(segment);
	segment = span_cut(&rest, '?');
	*function = span_dup(span_cut(&segment, '/'));
	if (!*uri || !*tenant || !*function)
		diag_fatal("no memory");
	if ((*function)[0] == '\0')
		return usage("invoke",
		    "\"%s\" names no function: "
		    "TENANT/FUNCTION",
		    operand);
	return tenant_check("invoke", *tenant);
}

static int
data_read(struct buf *body)
{
	int fd;
	char *to;
	ssize_t n;

	if (data[0] != '@') {
		buf_put_string(body, data);
		return 0;
	}
	fd = strcmp(data, "@-") == 0 ? dup(0) :
				       open(data + 1, O_RDONLY | O_CLOEXEC);
	while ((n = -1), fd >= 0 && (to = buf_reserve(body, 65536))) {
		n = read(fd, to, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_wrote(body, (size_t)n);
	}
	if (n != 0)
		diag_error("cannot read %s: %s", data + 1,
		    fd >= 0 && n > 0 ? "it is too long" : diag_errno());
	fd_close(&fd);
	return n == 0 ? 0 : CTL_FAILED;
}

static int
params_write(struct buf *out, const char *uri, bool has_body, size_t body_bytes)
{
	const char *query = strchr(uri, '?');
	char length[24];
	const struct {
		const char *name, *value;
	} rows[] = {
		{ "GATEWAY_INTERFACE", "CGI/1.1" },
		{ "SERVER_SOFTWARE", "fcgi-hostctl" },
		{ "SERVER_PROTOCOL", "HTTP/1.1" },
		{ "SERVER_NAME", "localhost" },
		{ "SERVER_PORT", "80" },
		{ "REQUEST_SCHEME", "http" },
		{ "REMOTE_ADDR", "127.0.0.1" },
		{ "HTTP_HOST", "localhost" },
		{ "REQUEST_METHOD",
		    method	 ? method :
			has_body ? "POST" :
				   "GET" },
		{ "REQUEST_URI", uri },
		{ "FN_PREFIX", "/fn/" },
		{ "QUERY_STRING", query ? query + 1 : "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (params_put(out, span_of(rows[i].name),
			span_of(rows[i].value)) != 0)
			return usage("invoke", "the request is too long");
	if (has_body) {
		snprintf(length, sizeof(length), "%zu", body_bytes);
		params_put(out, SPAN("CONTENT_LENGTH"), span_of(length));
		/* as curl does; a header given later counts instead */
		params_put(out, SPAN("CONTENT_TYPE"),
		    SPAN("application/x-www-form-urlencoded"));
	}
	for (size_t i = 0; i < headers.count; i++)
		if (header_put(out, headers.items[i]) != 0)
			return CTL_USAGE;
	return 0;
}

/* "Name: value" is HTTP_NAME, but for the two that CGI gives names of their
 * own. */
static int
header_put(struct buf *out, const char *line)
{
	struct span value = span_of(line), name = span_cut(&value, ':');
	char key[256] = "HTTP_";
	size_t at = 5;

	if (name.bytes == 0 || !value.data || name.bytes > sizeof(key) - 6)
		return usage("invoke",
		    "\"%s\" is no header field: "
		    "'NAME: VALUE'",
		    line);
	for (size_t i = 0; i < name.bytes; i++)
		key[at++] = name.data[i] == '-' ?
		    '_' :
		    (char)toupper((unsigned char)name.data[i]);
	key[at] = '\0';
	if (strcmp(key, "HTTP_CONTENT_TYPE") == 0 ||
	    strcmp(key, "HTTP_CONTENT_LENGTH") == 0)
		return params_put(out, span_of(key + 5), span_trim(value));
	return params_put(out, span_of(key), span_trim(value));
}

static const char *
reply_take(void *arg, struct span bytes)
{
	struct reply *r = arg;
	bool parsed = r->head.parsed;
	struct span body;
	const char *wrong = reply_head_take(&r->head, bytes, &body);

	if (wrong)
		return wrong;
	if (!parsed && r->head.parsed && show_head && !r->ctl->json) {
		head_print(span_take(buf_span(&r->head.bytes),
		    buf_bytes(&r->head.bytes) - body.bytes));
		fflush(stderr);
	}
	return r->head.parsed ? reply_body(r, body) : NULL;
}

/* Its lines end with CR LF, a terminal's with LF. */
static void
head_print(struct span head)
{
	struct span line;

	while (head.bytes > 0) {
		line = span_cut(&head, '\n');
		if (span_ends(line, SPAN("\r")))
			line.bytes--;
		words_put(stderr, line);
		fputc('\n', stderr);
	}
}

static const char *
reply_body(struct reply *r, struct span bytes)
{
	r->body_bytes += bytes.bytes;
	if (r->ctl->json)
		return buf_put(&r->body, bytes) == 0 ?
		    NULL :
		    "the reply is too long for --json";
	if (bytes.bytes > 0 &&
	    (fwrite(bytes.data, 1, bytes.bytes, stdout) != bytes.bytes ||
		fflush(stdout) != 0))
		return "stdout takes no more";
	return NULL;
}

static void
reply_stderr(void *arg, struct span bytes)
{
	(void)arg;
	words_put(stderr, bytes);
}

static int
reply_show(const struct ctl *ctl, struct reply *r, const char *tenant)
{
	struct buf log;
	int result;

	buf_init(&log, LOG_MOST);
	log_ask(ctl, tenant, r, &log);
	if (ctl->json) {
		result = words_json(reply_json(r, buf_span(&log)));
	} else {
		log_print(buf_span(&log));
		result = 0;
	}
	buf_free(&log);
	return result != 0 || r->head.cgi.status >= FAILED_STATUS ? CTL_FAILED :
								    0;
}

/* Waits until the request's stderr has ended and its result is there. */
static int
log_ask(const struct ctl *ctl, const char *tenant, const struct reply *r,
    struct buf *log)
{
	struct span id = request_id_of(r);
	struct question q = question_of(VERB_LOGS);

	if (id.bytes == 0) {
		diag_warn("the reply has no X-Request-Id, so its log lines "
			  "cannot be found");
		return CTL_FAILED;
	}
	q.control.tenant = span_of(tenant);
	q.control.call = id;
	q.control.flags = CONTROL_FOLLOW;
	q.wait_ms = LOG_WAIT_MS;
	question_collects(&q, log);
	if (host_ask(ctl, &q) == 0)
		return 0;
	/* refused before it was known to be for a tenant: in access.log only */
	if (r->head.cgi.status == BAD_REQUEST &&
	    span_starts(r->head.cgi.content_type, SPAN("application/problem")))
		return CTL_FAILED;
	diag_warn("stderr and timing are not known: %s; request=%.*s", q.reason,
	    SPAN_ARGS(id));
	return CTL_FAILED;
}

/* Lines are "TIME REQUEST FUNCTION<mark> TEXT". */
static void
log_print(struct span log)
{
	struct span line, word;
	char mark;

	while (log.bytes > 0) {
		line = span_cut(&log, '\n');
		span_cut(&line, ' ');
		span_cut(&line, ' ');
		word = span_cut(&line, ' ');
		mark = word.bytes > 0 ? word.data[word.bytes - 1] : ' ';
		fputs(mark == '=' ? "" : mark == '+' ? "  " : "| ", stderr);
		words_put(stderr, line);
		fputc('\n', stderr);
	}
}

static struct span
request_id_of(const struct reply *r)
{
	for (size_t i = 0; i < r->head.cgi.field_count; i++)
		if (span_equal_nocase(r->head.cgi.fields[i].name,
			SPAN("X-Request-Id")))
			return r->head.cgi.fields[i].value;
	return SPAN_NONE;
}

static json_t *
reply_json(const struct reply *r, struct span log)
{
	json_t *object = json_object(), *head = json_array();

	json_object_set_new(object, "status",
	    json_integer((json_int_t)r->head.cgi.status));
	for (size_t i = 0; i < r->head.cgi.field_count; i++)
		json_array_append_new(head,
		    json_pack("[o, o]", json_text(r->head.cgi.fields[i].name),
			json_text(r->head.cgi.fields[i].value)));
	json_object_set_new(object, "head", head);
	json_put_log(object, log);
	json_put_body(object, buf_span(&r->body));
	return object;
}

/* "result": the words of its line, key=value pairs as members. */
static void
json_put_log(json_t *object, struct span log)
{
	json_t *lines = json_array(), *result = json_object();
	struct span line, word, key;

	while (log.bytes > 0) {
		line = span_cut(&log, '\n');
		span_cut(&line, ' ');
		span_cut(&line, ' ');
		word = span_cut(&line, ' ');
		if (word.bytes == 0 || word.data[word.bytes - 1] != '=') {
			json_array_append_new(lines, json_text(line));
			continue;
		}
		json_object_set_new(result, "text", json_text(line));
		while ((word = span_cut(&line, ' ')).data &&
		    !span_equal(word, SPAN("-"))) {
			key = span_cut(&word, '=');
			if (word.data && key.bytes > 0 && key.data[0] != '/')
				json_object_setn_new(result, key.data,
				    key.bytes, json_text(word));
		}
	}
	json_object_set_new(object, "stderr", lines);
	json_object_set_new(object, "result", result);
}

/* "body" when it is text, else "body_base64". */
static void
json_put_body(json_t *object, struct span body)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl"
				     "mnopqrstuvwxyz0123456789+/";
	json_t *text = json_stringn(body.bytes ? body.data : "", body.bytes);
	size_t room = (body.bytes + 2) / 3 * 4, at = 0;
	char *out;

	if (text) {
		json_object_set_new(object, "body", text);
		return;
	}
	out = diag_alloc(room + 1);
	for (; body.bytes > 0; body = span_skip(body, 3)) {
		uint32_t three = 0;

		for (size_t i = 0; i < 3; i++)
			three = three << 8 |
			    (i < body.bytes ? (unsigned char)body.data[i] : 0);
		for (size_t i = 0; i < 4; i++)
			out[at++] = i <= body.bytes ?
			    digits[three >> (18 - 6 * i) & 63] :
			    '=';
	}
	json_object_set_new(object, "body_base64", json_stringn(out, at));
	free(out);
}
