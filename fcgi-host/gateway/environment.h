/* SPDX-License-Identifier: MIT */
/* environment.h - the environment of a function: an allow-list made from the
 * web server's parameters, one value per name (RFC 3875 section 4.1). Pure.
 * What is not written here does not exist for the function. */
#ifndef GATEWAY_ENVIRONMENT_H
#define GATEWAY_ENVIRONMENT_H

#include "base/buf.h"
#include "base/span.h"
#include "config/settings.h"
#include "gateway/route.h"
#include "wire/params.h"

enum {
	ENVIRONMENT_MOST = 128 * 1024,	    /* all of it */
	ENVIRONMENT_VALUE_MOST = 64 * 1024, /* one variable */
};

/* The request's parameters as the web server sent them, the last of a
 * non-HTTP_ name counts; all point into the request's PARAMS. */
struct request_params {
	struct param pairs[PARAMS_COUNT_MOST];
	size_t count;
};
/* Reads a complete PARAMS stream: PARAMS_DONE, or what is wrong with it;
 * PARAMS_TOO_LONG also when there are too many. */
enum params_result request_params_read(struct request_params *, struct span);
/* The last value of that name; SPAN_NONE. */
struct span request_params_get(const struct request_params *, struct span name);

struct environment_facts {
	const struct request_params *params;
	const struct route *route;
	struct span method; /* GET after a local redirect */
	bool has_body;
	uint64_t body_bytes;	/* CONTENT_LENGTH (R10, R11) */
	bool body_length_known; /* false: a streamed, chunked one */
	struct span directory;	/* the tenant's */
	struct span file;	/* executable, relative to it */
	struct span request_id;
	struct span function_name;
	uint64_t deadline_unix_ms; /* 0: none */
	struct span token;	   /* for the state endpoint; empty: none */
	struct span run;	   /* directory, with fn/fn.sock in it */
	struct span trace_parent;
	struct span server_software;
	const struct settings *settings;
	const struct strings *granted; /* administrator's, NULL: none */
	const struct strings *host;    /* NAME=value for every function */
	unsigned redirects;	       /* local redirects before this one */
	struct span redirect_url;      /* path that was asked first */
	unsigned redirect_status;
};

enum environment_role { ENVIRONMENT_WORKER, ENVIRONMENT_TEMPLATE };

/* Of a process that serves many requests, or none itself: what is the same for
 * all of them. */
struct environment_worker {
	enum environment_role role;
	struct span tenant;
	struct span function_name;
	struct span directory;
	struct span run;
	const struct settings *settings;
	const struct strings *granted;
	const struct strings *host;
	uint64_t cpu_s; /* that each may use, 0: no limit */
};

/* Writes NAME=value NUL ..., or FastCGI's name-value pairs. 0, or -1 when it would be larger than the ceiling
 * of the buf or a value than ENVIRONMENT_VALUE_MOST (*why says which). */
int environment_write(struct buf *, const struct environment_facts *,
    const char **why);
int environment_write_pairs(struct buf *, const struct environment_facts *,
    const char **why);
/* Likewise. FN_WORKER or FN_TEMPLATE says what it is, to the SDK. */
int environment_write_worker(struct buf *, const struct environment_worker *,
    const char **why);

/* W3C trace context: continues a valid parent with a new span id, or starts
 * one. random: 24 bytes. */
void trace_parent_next(struct span incoming, const uint8_t random[24],
    char text[56]);

#endif
