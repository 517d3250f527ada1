/* SPDX-License-Identifier: MIT */
/* variables.c - from the environment, or from what fn_use() was given. They are
 * the host's, but a function may have changed them: nothing of them reaches a
 * request before it was looked at. */

#include <stdlib.h>

#include "base/span.h"

#include "sdk/client.h"
#include "sdk/variables.h"

enum variable { SOCKET, STATE_URL, TOKEN, DEADLINE_MS, VARIABLES };

static const char *const names[VARIABLES] = { "FN_SOCKET", "FN_STATE_URL",
	"FN_TOKEN", "FN_DEADLINE_MS" };

static _Thread_local bool used; /* fn_use() gave them */
static _Thread_local char given[VARIABLES][VARIABLE_MOST + 1];

static const char *variable(enum variable);
static enum fn_result url_take(struct variables *, const char *url);
static bool graphic(const char *);

enum fn_result
fn_use(char *const *variables)
{
	problem_none();
	used = variables != NULL;
	for (int i = 0; i < VARIABLES; i++)
		given[i][0] = '\0';
	for (; variables && *variables; variables++) {
		struct span value = span_of(*variables);
		struct span name = span_cut(&value, '=');

		for (int i = 0; i < VARIABLES; i++) {
			if (!span_equal(name, span_of(names[i])))
				continue;
			if (value.bytes > VARIABLE_MOST)
				return problem(FN_BAD,
				    "%s has %zu bytes, at most "
				    "%d are taken",
				    names[i], value.bytes, VARIABLE_MOST);
			if (value.bytes > 0)
				memcpy(given[i], value.data, value.bytes);
			given[i][value.bytes] = '\0';
		}
	}
	return FN_OK;
}

enum fn_result
variables_get(struct variables *v)
{
	const char *deadline = variable(DEADLINE_MS);

	*v = (struct variables){ .socket = variable(SOCKET),
		.token = variable(TOKEN) };
	if (!v->socket)
		return problem(FN_REFUSED,
		    "FN_SOCKET is not set: this is no "
		    "function of fcgi-host");
	if (!v->token)
		return problem(FN_REFUSED,
		    "FN_TOKEN is not set: the function's "
		    "setting is state = \"none\"");
	if (!graphic(v->token) || strlen(v->token) > VARIABLE_MOST)
		return problem(FN_BAD, "FN_TOKEN is no token");
	if (deadline &&
	    span_number(span_of(deadline), INT64_MAX, &v->deadline_ms) != 0)
		return problem(FN_BAD, "FN_DEADLINE_MS is no number");
	return url_take(v, variable(STATE_URL));
}

static const char *
variable(enum variable which)
{
	const char *value = used ? given[which] : getenv(names[which]);

	return value && value[0] ? value : NULL;
}

/* "http://fn/state/v1" */
static enum fn_result
url_take(struct variables *v, const char *url)
{
	struct span rest = span_of(url ? url : "http://fn/state/v1");
	const char *slash;

	if (!span_starts(rest, SPAN("http://")) || !graphic(rest.data) ||
	    rest.bytes > VARIABLE_MOST)
		return problem(FN_BAD, "FN_STATE_URL is not http://HOST/PATH");
	rest = span_skip(rest, 7);
	slash = strchr(rest.data, '/');
	v->host = rest.data;
	v->host_bytes = (int)(slash ? (size_t)(slash - rest.data) : rest.bytes);
	v->path = slash ? slash : "";
	return FN_OK;
}

/* No blank, no control byte: it stays on its line of a request. */
static bool
graphic(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f)
			return false;
	return true;
}
