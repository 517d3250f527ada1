/* SPDX-License-Identifier: MIT */
/* environment.c - the environment of a function. Four sources, in this order of
 * trust: what the host itself knows, what the web server knows (a list of
 * names), what the client sent (HTTP_* by rule), what settings add. A later
 * source never changes what an earlier one wrote. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "gateway/environment.h"

/* What the web server may say about connection and client, as it is. */
static const struct span server_names[] = {
	SPAN("HTTPS"),
	SPAN("REMOTE_PORT"),
	SPAN("REQUEST_SCHEME"),
	SPAN("REQUEST_URI"),
	SPAN("SERVER_ADDR"),
	SPAN("SERVER_PORT"),
};

/* Request header fields that are not the function's business: hop by hop (RFC
 * 9110 section 7.6.1), said elsewhere (R10, R12), or a known trap: httpoxy. */
static const struct span client_denied[] = {
	SPAN("CONNECTION"),
	SPAN("CONTENT_LENGTH"),
	SPAN("CONTENT_TYPE"),
	SPAN("KEEP_ALIVE"),
	SPAN("TE"),
	SPAN("TRAILER"),
	SPAN("TRANSFER_ENCODING"),
	SPAN("UPGRADE"),
};

struct writer {
	struct buf *out;
	bool pairs;
	const char *why;
	bool failed;
};

static int write_all(struct writer *, const struct environment_facts *,
    const char **why);
static void put(struct writer *, struct span name, struct span value);
static char *put_room(struct writer *, struct span name, size_t value_bytes);
static char *append(char *to, struct span);
static void put_joined(struct writer *, struct span name, struct span a,
    struct span b, struct span c);
static void put_number(struct writer *, struct span name, uint64_t);
static void host_variables(struct writer *, const struct environment_facts *);
static void path_variables(struct writer *, const struct environment_facts *);
static void body_variables(struct writer *, const struct environment_facts *);
static void server_variables(struct writer *, const struct environment_facts *);
static void client_variables(struct writer *, const struct environment_facts *);
static void place_variables(struct writer *, struct span run);
static void setting_variables(struct writer *, const struct strings *own,
    const struct strings *granted, const struct strings *host,
    struct span directory);
static bool client_name_passes(struct span header, bool authorization);
static void put_header(struct writer *, const struct request_params *,
    size_t first);
static bool lists_name(const struct strings *, struct span name);
static bool is_hex(struct span);

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

enum params_result
request_params_read(struct request_params *params, struct span stream)
{
	params->count = 0;
	for (;;) {
		struct param pair;
		enum params_result result = params_next(&stream, &pair);

		if (result != PARAMS_PAIR)
			return result;
		if (params->count == PARAMS_COUNT_MOST)
			return PARAMS_TOO_LONG;
		params->pairs[params->count++] = pair;
	}
}

struct span
request_params_get(const struct request_params *params, struct span name)
{
	for (size_t i = params->count; i-- > 0;)
		if (span_equal(params->pairs[i].name, name))
			return params->pairs[i].value;
	return SPAN_NONE;
}

int
environment_write(struct buf *out, const struct environment_facts *facts,
    const char **why)
{
	struct writer w = { .out = out };

	return write_all(&w, facts, why);
}

int
environment_write_pairs(struct buf *out, const struct environment_facts *facts,
    const char **why)
{
	struct writer w = { .out = out, .pairs = true };

	return write_all(&w, facts, why);
}

static int
write_all(struct writer *w, const struct environment_facts *facts,
    const char **why)
{
	host_variables(w, facts);
	path_variables(w, facts);
	body_variables(w, facts);
	server_variables(w, facts);
	client_variables(w, facts);
	setting_variables(w, &facts->settings->env, facts->granted, facts->host,
	    facts->directory);
	*why = w->why;
	return w->failed ? -1 : 0;
}

int
environment_write_worker(struct buf *out,
    const struct environment_worker *facts, const char **why)
{
	struct writer w = { .out = out };

	if (facts->role == ENVIRONMENT_TEMPLATE)
		put_number(&w, SPAN("FN_TEMPLATE"), 1);
	else
		put_number(&w, SPAN("FN_WORKER"), 1);
	put(&w, SPAN("FN_TENANT"), facts->tenant);
	put(&w, SPAN("FN_NAME"), facts->function_name);
	if (facts->cpu_s > 0)
		put_number(&w, SPAN("FN_CPU_S"), facts->cpu_s);
	place_variables(&w, facts->run);
	/* php-cgi would end by itself after 500, before its successor is there;
	 * after how many a process ends is a setting of ours. */
	if (!lists_name(&facts->settings->env, SPAN("PHP_FCGI_MAX_REQUESTS")) &&
	    !lists_name(facts->granted, SPAN("PHP_FCGI_MAX_REQUESTS")) &&
	    !lists_name(facts->host, SPAN("PHP_FCGI_MAX_REQUESTS")))
		put_number(&w, SPAN("PHP_FCGI_MAX_REQUESTS"), 0);
	setting_variables(&w, &facts->settings->env, facts->granted,
	    facts->host, facts->directory);
	*why = w.why;
	return w.failed ? -1 : 0;
}

static void
host_variables(struct writer *w, const struct environment_facts *facts)
{
	put(w, SPAN("GATEWAY_INTERFACE"), SPAN("CGI/1.1"));
	put(w, SPAN("SERVER_SOFTWARE"), facts->server_software);
	put(w, SPAN("REQUEST_METHOD"), facts->method);
	put(w, SPAN("FN_REQUEST_ID"), facts->request_id);
	put(w, SPAN("FN_TENANT"), facts->route->tenant);
	put(w, SPAN("FN_NAME"), facts->function_name);
	if (facts->deadline_unix_ms > 0)
		put_number(w, SPAN("FN_DEADLINE_MS"), facts->deadline_unix_ms);
	if (facts->token.bytes > 0)
		put(w, SPAN("FN_TOKEN"), facts->token);
	place_variables(w, facts->run);
	put(w, SPAN("TRACEPARENT"), facts->trace_parent);
	/* php-cgi runs nothing without it; others read it after a redirect. */
	put_number(w, SPAN("REDIRECT_STATUS"),
	    facts->redirects > 0 ? facts->redirect_status : 200);
	if (facts->redirects > 0)
		put(w, SPAN("REDIRECT_URL"), facts->redirect_url);
}

/* Where a function finds the host. */
static void
place_variables(struct writer *w, struct span run)
{
	put_joined(w, SPAN("FN_SOCKET"), run, SPAN("/fn/fn.sock"), SPAN(""));
	put(w, SPAN("FN_STATE_URL"), SPAN("http://fn/state/v1"));
}

static void
path_variables(struct writer *w, const struct environment_facts *facts)
{
	const struct route *route = facts->route;

	put(w, SPAN("SCRIPT_NAME"), route->script_name);
	put_joined(w, SPAN("SCRIPT_FILENAME"), facts->directory, SPAN("/"),
	    facts->file);
	put(w, SPAN("DOCUMENT_ROOT"), facts->directory);
	put(w, SPAN("QUERY_STRING"), route->query);
	if (route->path_info.bytes > 0) {
		put(w, SPAN("PATH_INFO"), route->path_info);
		put_joined(w, SPAN("PATH_TRANSLATED"), facts->directory,
		    route->path_info, SPAN(""));
	}
}

static void
body_variables(struct writer *w, const struct environment_facts *facts)
{
	struct span type =
	    request_params_get(facts->params, SPAN("CONTENT_TYPE"));

	if (facts->has_body && facts->body_length_known)
		put_number(w, SPAN("CONTENT_LENGTH"), facts->body_bytes);
	if (facts->redirects == 0 && type.bytes > 0)
		put(w, SPAN("CONTENT_TYPE"), type);
}

static void
server_variables(struct writer *w, const struct environment_facts *facts)
{
	const struct request_params *params = facts->params;
	struct span address = request_params_get(params, SPAN("REMOTE_ADDR"));
	struct span host = request_params_get(params, SPAN("REMOTE_HOST"));
	struct span name = request_params_get(params, SPAN("SERVER_NAME"));
	struct span protocol =
	    request_params_get(params, SPAN("SERVER_PROTOCOL"));
	struct span auth = request_params_get(params, SPAN("AUTH_TYPE"));
	struct span user = request_params_get(params, SPAN("REMOTE_USER"));

	for (size_t i = 0; i < ELEMENTS(server_names); i++) {
		struct span value = request_params_get(params, server_names[i]);

		if (value.bytes > 0 && !span_starts(value, SPAN("unix:")))
			put(w, server_names[i], value);
	}
	/* Who comes by fn.sock has no address and may be any tenant's function:
	 * none that a program trusts as its own machine's (N1). */
	if (address.bytes == 0 || span_starts(address, SPAN("unix:"))) {
		address = SPAN("0.0.0.0");
		if (request_params_get(params, SPAN("SERVER_PORT")).bytes == 0)
			put(w, SPAN("SERVER_PORT"), SPAN("80"));
	}
	put(w, SPAN("REMOTE_ADDR"), address);
	put(w, SPAN("REMOTE_HOST"), host.bytes > 0 ? host : address);
	if (name.bytes > 0 && name.data[0] != '[' && span_find(name, ':') >= 0)
		put_joined(w, SPAN("SERVER_NAME"), SPAN("["), name, SPAN("]"));
	else
		put(w, SPAN("SERVER_NAME"),
		    name.bytes > 0 ? name : SPAN("localhost"));
	put(w, SPAN("SERVER_PROTOCOL"),
	    protocol.bytes > 0 ? protocol : SPAN("HTTP/1.1"));
	/* $remote_user alone is what a client typed; the scheme is only set by
	 * a location that checks it (R14). */
	if (auth.bytes > 0 && user.bytes > 0) {
		put(w, SPAN("AUTH_TYPE"), auth);
		put(w, SPAN("REMOTE_USER"), user);
	}
}

static void
client_variables(struct writer *w, const struct environment_facts *facts)
{
	const struct request_params *params = facts->params;

	for (size_t i = 0; i < params->count; i++) {
		struct span name = params->pairs[i].name;
		bool seen = false;

		if (!span_starts(name, SPAN("HTTP_")) ||
		    !client_name_passes(span_skip(name, 5),
			facts->settings->pass_authorization))
			continue;
		for (size_t j = 0; j < i && !seen; j++)
			seen = span_equal(params->pairs[j].name, name);
		if (!seen)
			put_header(w, params, i);
	}
}

static bool
client_name_passes(struct span header, bool authorization)
{
	if (header.bytes == 0 || span_starts(header, SPAN("PROXY")))
		return false;
	if (span_equal(header, SPAN("AUTHORIZATION")))
		return authorization;
	for (size_t i = 0; i < ELEMENTS(client_denied); i++)
		if (span_equal(header, client_denied[i]))
			return false;
	for (size_t i = 0; i < header.bytes; i++) {
		char c = header.data[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			c == '_'))
			return false;
	}
	return true;
}

/* Repeated fields become one value (R15); cookies have a separator of their
 * own (RFC 6265 section 5.4). */
static void
put_header(struct writer *w, const struct request_params *params, size_t first)
{
	struct span name = params->pairs[first].name;
	struct span comma =
	    span_equal(name, SPAN("HTTP_COOKIE")) ? SPAN("; ") : SPAN(", ");
	size_t bytes = params->pairs[first].value.bytes;
	char *at;

	for (size_t i = first + 1; i < params->count; i++)
		if (span_equal(params->pairs[i].name, name))
			bytes += comma.bytes + params->pairs[i].value.bytes;
	if (name.bytes + bytes + 2 > ENVIRONMENT_VALUE_MOST && !w->failed) {
		w->failed = true;
		w->why = "a request header field is longer than 64 KiB";
	}
	at = put_room(w, name, bytes);
	if (!at)
		return;
	at = append(at, params->pairs[first].value);
	for (size_t i = first + 1; i < params->count; i++)
		if (span_equal(params->pairs[i].name, name))
			at = append(append(at, comma), params->pairs[i].value);
}

/* A function's own variables, then what the administrator gives the tenant,
 * then every function's; the first of a name counts. */
static void
setting_variables(struct writer *w, const struct strings *own,
    const struct strings *granted, const struct strings *host,
    struct span directory)
{
	const struct strings *lists[] = { own, granted, host };

	for (size_t i = 0; i < ELEMENTS(lists); i++) {
		for (size_t j = 0; lists[i] && j < lists[i]->count; j++) {
			struct span rest = span_of(lists[i]->items[j]);
			struct span name = span_cut(&rest, '=');
			bool seen = false;

			for (size_t k = 0; k < i && !seen; k++)
				seen = lists_name(lists[k], name);
			if (!seen)
				put(w, name, rest);
		}
	}
	if (!lists_name(lists[0], SPAN("HOME")) &&
	    !lists_name(lists[1], SPAN("HOME")))
		put(w, SPAN("HOME"), directory);
	if (!lists_name(lists[0], SPAN("TMPDIR")) &&
	    !lists_name(lists[1], SPAN("TMPDIR")))
		put(w, SPAN("TMPDIR"), SPAN("/tmp"));
}

static bool
lists_name(const struct strings *list, struct span name)
{
	for (size_t i = 0; list && i < list->count; i++) {
		const char *item = list->items[i];

		if (strncmp(item, name.data, name.bytes) == 0 &&
		    item[name.bytes] == '=')
			return true;
	}
	return false;
}

static void
put(struct writer *w, struct span name, struct span value)
{
	char *at = put_room(w, name, value.bytes);

	if (at)
		append(at, value);
}

static void
put_joined(struct writer *w, struct span name, struct span a, struct span b,
    struct span c)
{
	char *at = put_room(w, name, a.bytes + b.bytes + c.bytes);

	if (at)
		append(append(append(at, a), b), c);
}

/* Where the value goes, all of it. NULL: there is no room, which is noted. */
static char *
put_room(struct writer *w, struct span name, size_t value_bytes)
{
	size_t bytes = name.bytes + value_bytes + 2;
	char *at = NULL;

	if (w->failed)
		return NULL;
	if (bytes > ENVIRONMENT_VALUE_MOST) {
		w->failed = true;
		w->why = "a variable is longer than 64 KiB";
		return NULL;
	}
	if (w->pairs) {
		at = params_put_room(w->out, name, value_bytes);
	} else if ((at = buf_reserve(w->out, bytes))) {
		buf_wrote(w->out, bytes);
		at[bytes - 1] = '\0';
		at = append(at, name);
		*at++ = '=';
	}
	if (!at) {
		w->failed = true;
		w->why = "all of it is longer than 128 KiB";
	}
	return at;
}

static char *
append(char *to, struct span s)
{
	return s.bytes > 0 ? mempcpy(to, s.data, s.bytes) : to;
}

static void
put_number(struct writer *w, struct span name, uint64_t number)
{
	char text[24];
	int digits = snprintf(text, sizeof(text), "%" PRIu64, number);

	put(w, name, span_make(text, (size_t)digits));
}

/* "00-" trace id (32 hexadecimal digits) "-" span id (16) "-" flags (2): W3C
 * Trace Context, version 00. */
void
trace_parent_next(struct span incoming, const uint8_t random[24], char text[56])
{
	static const char digits[] = "0123456789abcdef";
	struct span trace = span_take(span_skip(incoming, 3), 32);
	struct span parent = span_take(span_skip(incoming, 36), 16);
	struct span flags = span_take(span_skip(incoming, 53), 2);
	bool continued = incoming.bytes == 55 &&
	    span_starts(incoming, SPAN("00-")) && incoming.data[35] == '-' &&
	    incoming.data[52] == '-' && is_hex(trace) && is_hex(parent) &&
	    is_hex(flags) &&
	    !span_equal(trace, SPAN("00000000000000000000000000000000")) &&
	    !span_equal(parent, SPAN("0000000000000000"));

	memcpy(text, "00-", 3);
	for (size_t i = 0; i < 16; i++) {
		text[3 + 2 * i] = digits[random[i] >> 4];
		text[4 + 2 * i] = digits[random[i] & 15];
	}
	if (continued)
		memcpy(text + 3, trace.data, 32);
	text[35] = '-';
	for (size_t i = 0; i < 8; i++) {
		text[36 + 2 * i] = digits[random[16 + i] >> 4];
		text[37 + 2 * i] = digits[random[16 + i] & 15];
	}
	text[52] = '-';
	memcpy(text + 53, continued ? flags.data : "00", 2);
	text[55] = '\0';
}

static bool
is_hex(struct span text)
{
	for (size_t i = 0; i < text.bytes; i++) {
		char c = text.data[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}
	return true;
}
