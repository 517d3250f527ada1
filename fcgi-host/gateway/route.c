/* SPDX-License-Identifier: MIT */
/* route.c - from a request target to tenant, function and the CGI path
 * variables. The target is decoded once, here; what comes out is what the
 * function sees and what the log says. */
#include "wire/name.h"
#include "wire/url_path.h"

#include "config/config.h"

#include "gateway/route.h"

static enum route_result route_names(struct span path, struct span prefix,
    bool users, struct span tenant, struct route *);

enum route_result
route_find(struct span target, struct span prefix, bool users,
    struct span tenant, struct buf *decoded, struct route *route,
    const char **why)
{
	struct span raw;
	enum url_path_error error;

	*route = (struct route){ .query = SPAN("") };
	*why = NULL;
	if (target.bytes > ROUTE_TARGET_MOST) {
		*why = "path and query together are longer than 16 KiB";
		return ROUTE_BAD_TARGET;
	}
	url_split(target, &raw, &route->query);
	error = url_path_decode(raw, decoded);
	if (error != URL_PATH_OK) {
		*why = url_path_error_words(error);
		return ROUTE_BAD_TARGET;
	}
	return route_names(buf_span(decoded), prefix, users, tenant, route);
}

/* "/fn/acme/hello/a/b" with the prefix "/fn/": tenant acme, function hello,
 * SCRIPT_NAME "/fn/acme/hello", PATH_INFO "/a/b". With the tenant known from
 * the host name the function follows the prefix. Where users have functions,
 * the "~" of a prefix is the first character of a name. */
static enum route_result
route_names(struct span path, struct span prefix, bool users,
    struct span tenant, struct route *route)
{
	struct span rest, segment;

	if (!span_starts(path, prefix))
		return ROUTE_NOT_OURS;
	if (users && span_ends(prefix, SPAN("~")))
		prefix.bytes--;
	rest = span_skip(path, prefix.bytes);
	route->tenant = tenant;
	if (tenant.bytes == 0) {
		segment = span_cut(&rest, '/');
		if (segment.bytes == 0)
			return ROUTE_NOT_OURS;
		route->tenant = segment;
	}
	if (!config_tenant_name(route->tenant))
		return ROUTE_BAD_TENANT;
	if (rest.bytes == 0)
		return ROUTE_NO_FUNCTION;

	route->function = span_cut(&rest, '/');
	if (route->function.bytes == 0)
		return ROUTE_NO_FUNCTION;
	if (!name_is_asked(route->function))
		return ROUTE_BAD_NAME;
	route->script_name = span_make(path.data,
	    (size_t)(route->function.data + route->function.bytes - path.data));
	route->path_info = span_skip(path, route->script_name.bytes);
	return ROUTE_FOUND;
}
