/* SPDX-License-Identifier: MIT */
/* route.h - from a request target to tenant, function and the CGI path
 * variables. Pure: decides by the bytes alone, never searches for a file. The
 * first segment behind the tenant is the function, exactly (R3, R4). */
#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

#include "base/buf.h"
#include "base/span.h"

enum {
	ROUTE_TARGET_MOST = 16 * 1024,
};

/* In words, for who has chosen another name. */
#define ROUTE_TENANT_RULE                          \
	"small letters, digits, _ and -, at most " \
	"63, and begins with a letter or digit"

enum route_result {
	ROUTE_FOUND,
	ROUTE_BAD_TARGET,  /* 400: *why says what is wrong with it */
	ROUTE_NOT_OURS,	   /* 404: outside the prefix, or no tenant named */
	ROUTE_NO_FUNCTION, /* 404: nothing behind the tenant */
	ROUTE_BAD_TENANT,  /* 404: no tenant can have this name */
	ROUTE_BAD_NAME,	   /* 404: no function can have this name */
};

/* Spans point into the target (query) or into the buf of decoded bytes. */
struct route {
	struct span tenant;
	struct span function;	 /* as asked: "report" or "report.py" */
	struct span script_name; /* decoded, with prefix */
	struct span path_info;	 /* decoded, empty when there is none */
	struct span query;	 /* not decoded, empty when there is none */
};

/* target: REQUEST_URI as the client sent it. prefix: what the web server's
 * location stands at, "/fn/" or "/~" or "/". users: behind "/~" is a user, not a
 * tenant that could be called so. tenant: by virtual host, or
 * SPAN_NONE when it is the first segment behind the prefix. decoded must be
 * empty and outlive the route. */
enum route_result route_find(struct span target, struct span prefix, bool users,
    struct span tenant, struct buf *decoded, struct route *, const char **why);

#endif
