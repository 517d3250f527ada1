/* SPDX-License-Identifier: MIT */
/* message.h - messages between the processes of the host: structs, bytes, and
 * who may send what to whom. Structs, encoders and decoders come from the rows
 * of message.def; this header adds the roles and the few enums that rows name.
 * Knows no socket; peer.h moves the bytes. */
#ifndef IPC_MESSAGE_H
#define IPC_MESSAGE_H

#include "base/buf.h"
#include "base/span.h"

enum role {
	ROLE_MASTER = 1,
	ROLE_GATEWAY,
	ROLE_CELL,
	ROLE_LAUNCHER,
	ROLE_LOG,
	ROLE_CTL,
	ROLE_STATE,
	/* In rows only: any process started by master; whoever answers ctl. */
	ROLE_CHILD,
	ROLE_SERVICE,
	ROLE_KEEPER, /* of the key of invocation tokens: gateway, state */
};
const char *role_name(enum role); /* "gateway" */

enum { MESSAGE_HEAD_BYTES = 4, MESSAGE_MOST = 200 * 1024 };

enum message_type {
	MESSAGE_NONE,
#define MESSAGE(NAME, name, from, to, fds, most_fds, most, when) MESSAGE_##NAME,
#include "ipc/message.def"
#undef MESSAGE
	MESSAGE_TYPES
};

/* One struct per row: struct message_start, struct message_ended, ... Spans of
 * a decoded struct point into the received bytes. */
/* clang-format off */
#define MESSAGE_U32(field) uint32_t field;
#define MESSAGE_U64(field) uint64_t field;
#define MESSAGE_SPAN(field) struct span field;
#define MESSAGE(NAME, name, from, to, fds, most_fds, most, when)           \
	struct message_##name {                                            \
		MESSAGE_##NAME##_FIELDS(MESSAGE_U32, MESSAGE_U64,          \
		    MESSAGE_SPAN) char none[0];                            \
	};                                                                 \
	int message_##name##_encode(struct buf *,                          \
	    const struct message_##name *);                                \
	int message_##name##_decode(struct span body,                      \
	    struct message_##name *);
/* encode: appends head and fields; 0, or -1 when it is larger than its row
 * allows or memory is out. decode: body is what follows the head; 0, or -1
 * unless exactly the fields are there. */
#include "ipc/message.def"
#undef MESSAGE
#undef MESSAGE_U32
#undef MESSAGE_U64
#undef MESSAGE_SPAN
/* clang-format on */

/* The encoder of a row by its type; m may be NULL for a row without fields. */
int message_encode(struct buf *, enum message_type, const void *m);

/* Encoded messages in one span, each behind its length in bytes (32 bits). pack
 * appends one; 0, or -1 at the buf's ceiling with nothing appended. unpack
 * takes the next from the front of *packed: MESSAGE_NONE at the end and at what
 * cannot be one. */
int message_pack(struct buf *packed, struct span message);
enum message_type message_unpack(struct span *packed, struct span *body);

struct message_row {
	const char *name;
	enum role from;
	enum role to;
	unsigned fds_least;
	unsigned fds_most;
	size_t most; /* bytes with the head */
	const char *when;
};
const struct message_row *message_row(enum message_type); /* NULL: none */

/* May `from` send this to `to`? Knows what CHILD and SERVICE stand for. */
bool message_allowed(enum message_type, enum role from, enum role to);

/* Type of a message by its head, and what follows the head; MESSAGE_NONE when
 * it has no row or is larger than its row allows. */
enum message_type message_type_of(struct span bytes, struct span *body);

enum resolved {
	RESOLVED_FOUND,
	RESOLVED_NONE,	     /* 404 */
	RESOLVED_REFUSED,    /* 503 with the reason */
	RESOLVED_MOVED,	     /* the tenant's directory itself is gone */
	RESOLVED_UNFINISHED, /* refused, but it may be being written: ask
			      * again in a moment */
};

enum ended {
	ENDED_EXITED,	   /* wait_status tells how */
	ENDED_STALE,	   /* not started: file or settings changed */
	ENDED_NOT_STARTED, /* error and step tell why */
	ENDED_NO_TEMPLATE, /* nor from the template: there is none, or it did
			    * not do what it was asked to, see error */
};

/* How a START makes its process. */
enum start_template {
	START_EXECUTED, /* by execve */
	START_TEMPLATE, /* by execve, and it becomes the launcher's template:
			 * descriptor 0 is its channel to the launcher; the
			 * two that come are stdout and stderr */
	START_FORKED,	/* by that template; or ENDED_NO_TEMPLATE */
};

enum control_flag {
	CONTROL_JSON = 1,
	CONTROL_FOLLOW = 2,
	CONTROL_NOW = 4, /* suspend: what runs ends, too */
};

/* Unix user ids and the like that may call a verb: see verbs.def. */
enum verb_right {
	VERB_OPERATOR, /* root, the host's own user, operator group */
	VERB_TENANT,   /* those, and a tenant's user for its tenant */
};

enum verb {
	VERB_NONE,
#define VERB(NAME, name, right, takes, sentence) VERB_##NAME,
#include "ipc/verbs.def"
#undef VERB
	VERBS
};
struct verb_row {
	const char *name;
	enum verb_right right;
	const char *takes; /* synopsis of its arguments */
	const char *sentence;
};
const struct verb_row *verb_row(enum verb);

#endif
