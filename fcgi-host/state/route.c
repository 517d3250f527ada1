/* SPDX-License-Identifier: MIT */
/* route.c - the table of routes, and finding a row of it. */
#include "wire/url_path.h"

#include "state/route.h"

#define KEY_NONE false
#define KEY_KEY true
#define Q(name) (1u << QUERY_##name)
static const struct route_row rows[ROUTES] = {
#define ROUTE(NAME, method, path, key, scope, query, body, sentence)           \
	[ROUTE_##NAME] = { #NAME, METHOD_##method, { path, sizeof(path) - 1 }, \
		KEY_##key, SCOPE_##scope, query, BODY_##body, sentence },
#include "state/routes.def"
#undef ROUTE
};

static const char *const methods[METHODS] = { "GET", "PUT", "POST", "DELETE" };

static bool same_path(enum route, enum route);
static int find_method(struct span name, bool *head);

const struct route_row *
route_row(enum route route)
{
	return &rows[route];
}

const char *
method_name(enum method method)
{
	return methods[method];
}

enum route_result
route_find(struct span method_text, struct span uri, struct target *target)
{
	struct span path;
	int method, route;

	target->key_bytes = 0;
	target->key_error = KEY_OK;
	target->head = false;
	url_split(uri, &path, &target->query);
	if (!span_starts(path, SPAN(ROUTE_PREFIX)))
		return ROUTE_NO_PATH;
	path = span_skip(path, sizeof(ROUTE_PREFIX) - 1);
	if (path.bytes == 0)
		path = SPAN("/");

	for (route = 0; route < ROUTES; route++)
		if (rows[route].key ? span_starts(path, rows[route].path) :
				      span_equal(path, rows[route].path))
			break;
	if (route == ROUTES)
		return ROUTE_NO_PATH;
	target->route = target->path = (enum route)route;
	if (span_equal(method_text, SPAN("OPTIONS")))
		return ROUTE_OPTIONS;

	method = find_method(method_text, &target->head);
	while (route < ROUTES && same_path(target->path, (enum route)route) &&
	    (int)rows[route].method != method)
		route++;
	if (route == ROUTES || !same_path(target->path, (enum route)route))
		return ROUTE_NOT_METHOD;
	target->route = (enum route)route;

	if (!rows[route].key)
		return ROUTE_FOUND;
	target->key_error = key_decode(span_skip(path, rows[route].path.bytes),
	    target->key, &target->key_bytes);
	return target->key_error == KEY_OK ? ROUTE_FOUND : ROUTE_BAD_KEY;
}

int
route_allow(struct buf *out, const struct target *target)
{
	for (int r = target->path;
	     r < ROUTES && same_path(target->path, (enum route)r); r++) {
		if (buf_printf(out, "%s, ", methods[rows[r].method]) != 0)
			return -1;
		if (rows[r].method == METHOD_GET &&
		    buf_put_string(out, "HEAD, ") != 0)
			return -1;
	}
	return buf_put_string(out, "OPTIONS");
}

static bool
same_path(enum route a, enum route b)
{
	return span_equal(rows[a].path, rows[b].path);
}

/* -1 for one that no row has. */
static int
find_method(struct span name, bool *head)
{
	if (span_equal(name, SPAN("HEAD"))) {
		*head = true;
		return METHOD_GET;
	}
	for (int m = 0; m < METHODS; m++)
		if (span_equal(name, span_of(methods[m])))
			return m;
	return -1;
}
