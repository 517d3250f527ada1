/* SPDX-License-Identifier: MIT */
/* faults.h - what tenants' functions ran into: how often which limit was reached
 * and what failed, when last, and by which function. Pure: no clock and no I/O
 * of its own. Kept for tenants whether or not the gateway still knows them,
 * until it ends; bounded: a tenant that has too many rows loses those that are
 * longest over, and so does the tenant that was longest without any when all
 * together have too many. What was lost is still counted. */
#ifndef GATEWAY_FAULTS_H
#define GATEWAY_FAULTS_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "wire/request_id.h"

#include "gateway/answer.h"

enum fault_class { FAULT_CLASS_LIMIT, FAULT_CLASS_FAILURE, FAULT_CLASS_HOST };

enum fault_kind {
#define FAULT(NAME, name, CLASS, sentence, advice) FAULTS_##NAME,
#include "gateway/faults.def"
#undef FAULT
	FAULTS /* how many there are; also: none */
};

enum {
	FAULTS_ROWS_MOST = 8192, /* of all tenants, 410 bytes each */
	FAULTS_TENANT_MOST = 64, /* of one */
	FAULTS_LIMIT_MOST = 31,	 /* bytes of a limit's name */
	FAULTS_VALUE_MOST = 63,	 /* ... and value */
	FAULTS_WHAT_MOST = 159,
	FAULTS_HALF_MS = 3600 * 1000, /* what counts half for `lately` */
};

struct fault_row_text {
	const char *name;
	enum fault_class class;
	const char *sentence;
	const char *advice;
};
const struct fault_row_text *fault_text(enum fault_kind);

struct fault { /* of one tenant, function, kind and limit */
	struct list in_tenant;
	struct list in_all;
	struct faults_tenant *tenant;
	enum fault_kind kind;
	uint64_t count;
	uint64_t first_unix_ms;
	uint64_t last_unix_ms;
	char request[REQUEST_ID_CHARS + 1]; /* the last one, or "" */
	char limit[FAULTS_LIMIT_MOST + 1];  /* "limits.time", or "" */
	char value[FAULTS_VALUE_MOST + 1];  /* as it was the last time */
	char what[FAULTS_WHAT_MOST + 1];
	char function[]; /* "": all of the tenant */
};

struct faults_tenant {
	struct map_node node; /* in faults.tenants, by name */
	struct list rows;     /* the latest first */
	size_t row_count;
	uint64_t count;		 /* all there ever were, */
	uint64_t forgotten;	 /* of them in no row any more */
	uint64_t lately;	 /* halved every FAULTS_HALF_MS, */
	uint64_t lately_unix_ms; /* ... for the last time then */
	char name[];
};

struct faults {
	struct map tenants;
	struct list rows; /* of all, the latest first */
	size_t row_count;
	uint64_t count;
	uint64_t since_unix_ms;
};

struct fault_event {
	enum fault_kind kind;
	struct span tenant;
	struct span function; /* SPAN_NONE: none in particular */
	struct span limit;
	struct span value;
	struct span what;
	struct span request;
	uint64_t times;
	uint64_t at_unix_ms;
};

void faults_init(struct faults *, uint64_t now_unix_ms);
void faults_free(struct faults *);
/* Without memory it is not counted. */
void faults_add(struct faults *, const struct fault_event *);
/* What an end is counted as; FAULTS: it is no fault, or the client's. limit is
 * what was reached, or empty. */
enum fault_kind fault_of_end(enum end, struct span limit);
const struct faults_tenant *faults_tenant(const struct faults *, struct span);
/* Those with most of late, at most `room`: how many there are. */
size_t faults_most(const struct faults *, uint64_t now_unix_ms,
    const struct faults_tenant **, size_t room);
/* The row with the largest count; there is one. */
const struct fault *faults_worst(const struct faults_tenant *);

/* ---- faults_words.c ------------------------------------------------------------ */

/* "3 requests of photos took longer than limits.time = 10s". 0, or -1 at the
 * ceiling. */
int fault_put_sentence(struct buf *, const struct fault *);
int fault_put_advice(struct buf *, const struct fault *);
/* {"since_unix_ms": ...} and line end. */
int faults_put_since(struct buf *, const struct faults *);
/* One JSON object and line end for each row of that tenant. */
int faults_put_json(struct buf *, const struct faults_tenant *);
/* The tenants' names, each with NUL, who had the last one first. */
int faults_put_names(struct buf *, const struct faults *);

#endif
