/* SPDX-License-Identifier: MIT */
/* request.c - what an author asks a request. Variables are looked for in the list
 * they came in: there are few, and most are never asked for. */

#include <stdlib.h>

#include "base/clock.h"

#include "sdk/handler.h"
#include "sdk/multipart.h"

enum { BODY_STEP = 64 * 1024 }; /* read at once */

static const char *variable_or_empty(const struct fn_request *,
    const char *name);
static bool is_form(struct span type);
static void body_read(struct fn_request *, size_t most);
static size_t body_step(const struct fn_request *);

void
request_init(struct fn_request *r, struct carrier *carrier,
    char *const *variables)
{
	uint64_t length = 0;

	*r = (struct fn_request){ .carrier = carrier, .variables = variables };
	span_number(span_of(variable_or_empty(r, "CONTENT_LENGTH")), INT64_MAX,
	    &length);
	r->length = (int64_t)length;
	buf_init(&r->body, 0);
}

void
request_free(struct fn_request *r)
{
	pairs_free(&r->query);
	pairs_free(&r->cookies);
	pairs_free(&r->form);
	buf_free(&r->body);
}

uint64_t
request_deadline_ms(const struct fn_request *r)
{
	uint64_t ms = REQUEST_DEADLINE_NONE;

	span_number(span_of(variable_or_empty(r, "FN_DEADLINE_MS")), INT64_MAX,
	    &ms);
	return ms;
}

const char *
variable_find(char *const *variables, const char *name)
{
	size_t bytes = strlen(name);

	for (char *const *v = variables; *v; v++)
		if (strncmp(*v, name, bytes) == 0 && (*v)[bytes] == '=')
			return *v + bytes + 1;
	return NULL;
}

const char *
fn_request_variable(const struct fn_request *r, const char *name)
{
	return variable_find(r->variables, name);
}

char *const *
fn_request_variables(const struct fn_request *r)
{
	return r->variables;
}

const char *
fn_request_method(const struct fn_request *r)
{
	const char *method = fn_request_variable(r, "REQUEST_METHOD");

	return method ? method : "GET"; /* started by hand */
}

const char *
fn_request_path(const struct fn_request *r)
{
	return variable_or_empty(r, "PATH_INFO");
}

const char *
fn_request_script(const struct fn_request *r)
{
	return variable_or_empty(r, "SCRIPT_NAME");
}

const char *
fn_request_address(const struct fn_request *r)
{
	return variable_or_empty(r, "REMOTE_ADDR");
}

const char *
fn_request_id(const struct fn_request *r)
{
	return variable_or_empty(r, "FN_REQUEST_ID");
}

const char *
fn_request_type(const struct fn_request *r)
{
	return variable_or_empty(r, "CONTENT_TYPE");
}

int64_t
fn_request_length(const struct fn_request *r)
{
	return r->length;
}

int64_t
fn_request_ms_left(const struct fn_request *r)
{
	uint64_t deadline = request_deadline_ms(r), now = clock_unix_ms();

	if (deadline == REQUEST_DEADLINE_NONE)
		return INT64_MAX;
	return deadline > now ? (int64_t)(deadline - now) : 0;
}

/* "Accept-Language" is HTTP_ACCEPT_LANGUAGE; two have no HTTP_ (RFC 3875 section
 * 4.1.18). */
const char *
fn_request_header(const struct fn_request *r, const char *name)
{
	char variable[256] = "HTTP_";
	size_t bytes = strlen(name), at = strlen(variable);

	if (bytes == 0 || bytes >= sizeof(variable) - at)
		return NULL;
	for (size_t i = 0; i <= bytes; i++) {
		char c = name[i];

		variable[at + i] = c == '-' ? '_' :
		    c >= 'a' && c <= 'z'    ? (char)(c - 'a' + 'A') :
					      c;
	}
	if (strcmp(variable + at, "CONTENT_TYPE") == 0 ||
	    strcmp(variable + at, "CONTENT_LENGTH") == 0) {
		const char *value = fn_request_variable(r, variable + at);

		return value && value[0] ? value : NULL;
	}
	return fn_request_variable(r, variable);
}

const char *
fn_request_cookie(struct fn_request *r, const char *name)
{
	if (!r->cookies.read &&
	    pairs_read_cookies(&r->cookies,
		span_of(variable_or_empty(r, "HTTP_COOKIE"))) != 0)
		fn_log("not all of the cookies are taken");
	return pairs_find(&r->cookies, name);
}

/* ---- query and form ------------------------------------------------------------ */

const char *
fn_request_query(struct fn_request *r, const char *name)
{
	const struct fn_pair *pairs;

	fn_request_query_pairs(r, &pairs);
	return pairs_find(&r->query, name);
}

size_t
fn_request_query_pairs(struct fn_request *r, const struct fn_pair **pairs)
{
	if (!r->query.read &&
	    pairs_read_form(&r->query,
		span_of(variable_or_empty(r, "QUERY_STRING"))) != 0)
		fn_log("not all of the query is taken");
	*pairs = r->query.list;
	return r->query.count;
}

enum fn_result
fn_request_read_form(struct fn_request *r, size_t most)
{
	struct span type = span_of(fn_request_type(r));
	const char *data;
	size_t bytes;

	if (r->form.read)
		return r->form_result;
	if (!is_form(type) && !multipart_is(type))
		return FN_NOT_FOUND;
	r->form_result = fn_request_body(r, most, &data, &bytes);
	r->form.read = true;
	if (r->form_result != FN_OK)
		return r->form_result;
	if (multipart_is(type))
		r->form_result =
		    multipart_read(&r->form, r->body.data, bytes, type);
	else if (pairs_read_form(&r->form, span_make(data, bytes)) != 0)
		r->form_result =
		    r->form.count == PAIRS_MOST ? FN_TOO_LARGE : FN_FAILED;
	if (r->form_result != FN_OK)
		r->form.count = 0;
	return r->form_result;
}

const char *
fn_request_form(const struct fn_request *r, const char *name)
{
	return pairs_find(&r->form, name);
}

size_t
fn_request_form_pairs(const struct fn_request *r, const struct fn_pair **pairs)
{
	*pairs = r->form.list;
	return r->form.count;
}

/* ---- the body -------------------------------------------------------------------- */

ptrdiff_t
fn_request_read(struct fn_request *r, void *to, size_t room)
{
	ptrdiff_t n;

	if (room == 0)
		return 0;
	if (room > PTRDIFF_MAX)
		room = PTRDIFF_MAX;
	n = r->carrier->read(r->carrier, to, room);
	if (n > 0)
		r->taken += n;
	/* A web server that lost its client ends the stream all the same. */
	return n == 0 && r->taken < r->length ? -1 : n;
}

enum fn_result
fn_request_body(struct fn_request *r, size_t most, const char **data,
    size_t *bytes)
{
	if (!r->body_read)
		body_read(r, most);
	*data = "";
	*bytes = 0;
	if (r->body_result != FN_OK)
		return r->body_result;
	if (buf_bytes(&r->body) > most)
		return FN_TOO_LARGE;
	*data = buf_string(&r->body);
	*bytes = buf_bytes(&r->body);
	return FN_OK;
}

static void
body_read(struct fn_request *r, size_t most)
{
	ptrdiff_t n = 1;

	r->body_read = true;
	r->body_result = FN_TOO_LARGE;
	if (r->length > 0 && (uint64_t)r->length > most)
		return;
	r->body_result = FN_OK;
	buf_init(&r->body,
	    most < SIZE_MAX - BODY_STEP ? most + BODY_STEP : SIZE_MAX - 1);
	while (n > 0 && r->body_result == FN_OK) {
		size_t step = body_step(r);
		char *to = buf_reserve(&r->body, step);

		n = to ? fn_request_read(r, to, step) : -1;
		if (n > 0)
			buf_wrote(&r->body, (size_t)n);
		if (n < 0)
			r->body_result = FN_FAILED;
		else if (buf_bytes(&r->body) > most)
			r->body_result = FN_TOO_LARGE;
	}
}

/* What is said to come, and then one more, to see the end. */
static size_t
body_step(const struct fn_request *r)
{
	int64_t left = r->length - r->taken;

	if (r->length == 0 || left > BODY_STEP)
		return BODY_STEP;
	return left > 0 ? (size_t)left : 1;
}

/* ---- the rest ---------------------------------------------------------------------- */

static const char *
variable_or_empty(const struct fn_request *r, const char *name)
{
	const char *value = fn_request_variable(r, name);

	return value ? value : "";
}

static bool
is_form(struct span type)
{
	return span_equal_nocase(span_trim(span_cut(&type, ';')),
	    SPAN("application/x-www-form-urlencoded"));
}
