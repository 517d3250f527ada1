/* SPDX-License-Identifier: MIT */
/* route.h - from a request's method and target to a row of routes.def and its
 * key. Works on the target as the client sent it, so nobody else has decoded it
 * before. Pure. */
#ifndef STATE_ROUTE_H
#define STATE_ROUTE_H

#include "base/buf.h"
#include "base/span.h"

#include "state/key.h"
#include "state/query.h"

enum method { METHOD_GET, METHOD_PUT, METHOD_POST, METHOD_DELETE, METHODS };

/* HOST: not for tokens, but for connections that the host made itself. */
enum scope { SCOPE_READ, SCOPE_WRITE, SCOPE_ADMIN, SCOPE_HOST };

enum route_body { BODY_NONE, BODY_VALUE, BODY_JSON, BODY_COPY };

enum route {
#define ROUTE(NAME, ...) ROUTE_##NAME,
#include "state/routes.def"
#undef ROUTE
	ROUTES
};

struct route_row {
	const char *name;
	enum method method;
	struct span path; /* below the prefix */
	bool key;	  /* ... and a key behind it */
	enum scope scope;
	unsigned query; /* Q(...) bits of what it takes */
	enum route_body body;
	const char *sentence;
};
const struct route_row *route_row(enum route);
const char *method_name(enum method);

#define ROUTE_PREFIX "/state/v1"

enum route_result {
	ROUTE_FOUND,
	ROUTE_OPTIONS,	  /* OPTIONS of a path there is */
	ROUTE_NO_PATH,	  /* nothing has this path */
	ROUTE_NOT_METHOD, /* the path is there, for others: route_allow() */
	ROUTE_BAD_KEY,	  /* see key_error */
};

struct target {
	enum route route;
	bool head;	   /* HEAD: as GET, without the body */
	struct span query; /* of what was given; empty without one */
	enum key_error key_error;
	enum route path; /* the first row of this path */
	size_t key_bytes;
	char key[KEY_MOST]; /* decoded; nothing behind key_bytes is set */
};

static inline struct span
target_key(const struct target *t)
{
	return span_make(t->key, t->key_bytes);
}

/* The method is case-sensitive. HEAD is for every path that has GET. */
enum route_result route_find(struct span method, struct span uri,
    struct target *);
/* "GET, HEAD, PUT, DELETE, OPTIONS" of the path that was found. */
int route_allow(struct buf *, const struct target *);

#endif
