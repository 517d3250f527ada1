/* SPDX-License-Identifier: MIT */
/* fn_test.h - calls a handler on a made-up request, in a program of yours that is
 * linked with the function and libfn.a, without a host. fn(3) has an example. */
#ifndef FN_TEST_H
#define FN_TEST_H

#include "fn.h"

#ifdef __cplusplus
extern "C" {
#endif

struct fn_test_request {    /* zeroed: GET of the function itself */
	const char *method; /* NULL: GET, or POST when there is a body */
	const char *target; /* behind the function: "/path?a=b", encoded;
				    * NULL: "" */
	const char *const *headers;   /* "Name: value" ..., ends with NULL */
	const char *const *variables; /* "NAME=value" ..., likewise; they win */
	const void *body;
	size_t bytes;
	size_t cut; /* the body breaks off so many bytes before its end */
};

struct fn_test_reply { /* all yours: fn_test_free() */
	int result;    /* what the handler returned */
	unsigned status;
	const char *header; /* lines "Name: value", each with \r\n */
	const char *body;   /* a NUL stands behind it */
	size_t bytes;	    /* of the body */
	bool broken;	    /* it was broken off */
	unsigned sent;	    /* in how many pieces */
	const char *log;    /* lines of fn_log() and of the library */
	void *memory;
};

/* 0, or -1 without memory or with a request that cannot be (a header without a
 * colon, an escape in the target that is none). The reply is to be freed either
 * way. State calls of the handler find no host, unless variables name one. */
int fn_test_call(int (*handle)(struct fn_request *, struct fn_reply *),
    const struct fn_test_request *, struct fn_test_reply *);
/* The first of that name, in any case; NULL: none. There until the next call. */
const char *fn_test_header(struct fn_test_reply *, const char *name);
void fn_test_free(struct fn_test_reply *); /* clears all; twice is no harm */

#ifdef __cplusplus
}
#endif

#endif
