/* SPDX-License-Identifier: MIT */
/* env_name.c - names a function's environment cannot get from a file. Two
 * reasons: the request says what they are (a file must not make a function
 * believe something else), or a loader, libc or shell obeys them before the
 * function's first line runs. */

#include "config/env_name.h"

static const char per_request[] = "is set by the host for each request";
static const char obeyed[] =
    "is obeyed by the loader or a shell before the function runs";

/* A name that ends with '*' stands for all that begin so. */
static const struct {
	const char *name;
	const char *why;
} refused[] = {
	/* RFC 3875, 4.1, and what web servers add to it */
	{ "AUTH_TYPE", per_request },
	{ "CONTENT_LENGTH", per_request },
	{ "CONTENT_TYPE", per_request },
	{ "DOCUMENT_ROOT", per_request },
	{ "DOCUMENT_URI", per_request },
	{ "GATEWAY_INTERFACE", per_request },
	{ "HTTPS", per_request },
	{ "HTTP_*", per_request },
	{ "PATH_INFO", per_request },
	{ "PATH_TRANSLATED", per_request },
	{ "QUERY_STRING", per_request },
	{ "REDIRECT_*", per_request },
	{ "REMOTE_*", per_request },
	{ "REQUEST_METHOD", per_request },
	{ "REQUEST_SCHEME", per_request },
	{ "REQUEST_URI", per_request },
	{ "SCRIPT_FILENAME", per_request },
	{ "SCRIPT_NAME", per_request },
	{ "SCRIPT_URI", per_request },
	{ "SCRIPT_URL", per_request },
	{ "SERVER_*", per_request },
	/* ours */
	{ "FN_*", per_request },
	{ "TRACEPARENT", per_request },
	{ "TRACESTATE", per_request },
	/* ld.so(8), gconv, locale and resolver of glibc */
	{ "GCONV_PATH", obeyed },
	{ "GETCONF_DIR", obeyed },
	{ "GLIBC_TUNABLES", obeyed },
	{ "HOSTALIASES", obeyed },
	{ "LD_*", obeyed },
	{ "LOCALDOMAIN", obeyed },
	{ "LOCPATH", obeyed },
	{ "MALLOC_TRACE", obeyed },
	{ "NIS_PATH", obeyed },
	{ "NLSPATH", obeyed },
	{ "RESOLV_*", obeyed },
	{ "RES_OPTIONS", obeyed },
	/* sh(1), bash(1) */
	{ "BASHOPTS", obeyed },
	{ "BASH_*", obeyed },
	{ "ENV", obeyed },
	{ "IFS", obeyed },
	{ "PROMPT_COMMAND", obeyed },
	{ "PS4", obeyed },
	{ "SHELLOPTS", obeyed },
};

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool
matches(struct span name, struct span pattern)
{
	if (!span_ends(pattern, SPAN("*")))
		return span_equal(name, pattern);
	return span_starts(name, span_take(pattern, pattern.bytes - 1));
}

const char *
env_name_refused(struct span name)
{
	if (name.bytes == 0 || !is_letter(name.data[0]))
		return "is no name of a variable: it begins with a letter or _";
	for (size_t i = 1; i < name.bytes; i++)
		if (!is_letter(name.data[i]) &&
		    (name.data[i] < '0' || name.data[i] > '9'))
			return "is no name of a variable: letters, digits and "
			       "_ only";
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (matches(name, span_of(refused[i].name)))
			return refused[i].why;
	return NULL;
}
