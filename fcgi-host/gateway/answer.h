/* SPDX-License-Identifier: MIT */
/* answer.h - the host's own answers: one row of ends.def becomes a sentence and
 * a document, application/problem+json (RFC 9457) or HTML for a browser. Pure.
 * Everything a client or tenant chose is escaped. */
#ifndef GATEWAY_ANSWER_H
#define GATEWAY_ANSWER_H

#include "base/buf.h"
#include "base/span.h"

enum end_fault {
	FAULT_NOBODY,
	FAULT_CLIENT,
	FAULT_FUNCTION,
	FAULT_OPERATOR,
	FAULT_HOST
};

enum end {
#define END(NAME, name, status, fault, title, detail) END_##NAME,
#include "gateway/ends.def"
#undef END
	ENDS
};

struct end_row {
	const char *name;
	unsigned status;
	enum end_fault fault;
	const char *title;
	const char *detail;
};
const struct end_row *end_row(enum end);

struct answer_facts {
	enum end end;
	struct span tenant;
	struct span function; /* "acme/slow" is made of both */
	struct span limit;    /* name of the setting */
	struct span value;    /* its value in words */
	struct span what;
	struct span request_id;
	struct span method;
	struct span accept;	/* HTTP_ACCEPT */
	struct span allow;	/* Allow: of a 405 */
	unsigned retry_after_s; /* 0: no Retry-After */
	bool head;		/* header only */
};

/* The sentence alone, for logs. 0 or -1 at the ceiling. */
int answer_detail(struct buf *, const struct answer_facts *);
/* CGI-style header ("Status: 504 Gateway Timeout" ...) and body. */
int answer_write(struct buf *, const struct answer_facts *);
bool answer_prefers_html(struct span accept);

#endif
