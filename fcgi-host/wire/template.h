/* SPDX-License-Identifier: MIT */
/* template.h - what a launcher and a template say to each other, a message in a
 * packet, on the socket at the template's descriptor 0. A template is a process of
 * a function that has run its initialisation and makes others of itself. Numbers
 * are in the order of the machine: both ends are on it. Neither trusts the other.
 * Pure. Spans point into the decoded message.
 *
 *	launcher			template
 *	  <- READY, by descriptor 1, which the gateway reads
 *	FORK, stdin, stdout, stderr ->
 *					<- FORKED
 *	FORK ...   (one at a time; the end of the socket ends the template)
 */
#ifndef WIRE_TEMPLATE_H
#define WIRE_TEMPLATE_H

#include "base/buf.h"
#include "base/span.h"

#define TEMPLATE_READY "fn-template 1 ready\n"

enum {
	TEMPLATE_FDS = 3,		    /* with FORK */
	TEMPLATE_FORK_MOST = 192 * 1024,    /* bytes of FORK */
	TEMPLATE_FORKED_BYTES = 24,	    /* of FORKED */
	TEMPLATE_VARIABLES_MOST = 4 * 1024, /* of its environment */
	TEMPLATE_ERROR_MOST = 4095,	    /* as the kernel's */
};

struct template_fork {
	uint64_t invocation;
	uint64_t time_us; /* ITIMER_REAL; 0: none */
	uint64_t cpu_s;	 /* RLIMIT_CPU, soft; the hard one is 1 more; 0: none */
	struct span env; /* NAME=value, NUL, NAME=value, NUL ... */
};

struct template_forked {
	uint64_t invocation;
	int32_t pid;	/* as the template sees it, or -1 */
	uint32_t error; /* errno, when there is none */
};

/* Appends it. 0, or -1 with nothing written: at the ceiling of the buf, above
 * TEMPLATE_FORK_MOST, or what template_fork_decode() would refuse. */
int template_fork_encode(struct buf *, const struct template_fork *);
/* 0, or -1 when it is no FORK, with the invocation if so much of one is there,
 * else 0. */
int template_fork_decode(struct span, struct template_fork *);
/* What env has: *count variables. 0, or -1 when one has no name, no '=', or no
 * NUL behind it, or there are too many. */
int template_variables(struct span env, size_t *count);

/* 0, or -1 with nothing written: at the ceiling, or what would be refused. */
int template_forked_encode(struct buf *, const struct template_forked *);
/* 0, or -1 when it is no FORKED: neither a pid above 1 nor -1 with an error. */
int template_forked_decode(struct span, struct template_forked *);

#endif
