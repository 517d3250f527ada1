/* SPDX-License-Identifier: MIT */
/* message.c - structs to bytes and back, made from the rows of message.def.
 * A message is its type (32 bits), then its fields in the order of the row.
 * Numbers are in native byte order: both ends are processes of one host. Only
 * copies bytes; whether a value makes sense is for the receiver to say. */

#include <assert.h>

#include "ipc/message.h"

/* ---- writing ------------------------------------------------------------- */

/* What a span adds. One that no row could take counts as MESSAGE_MOST, so that
 * sums of a few of them cannot wrap. */
static size_t
span_size(struct span s)
{
	return sizeof(uint32_t) +
	    (s.bytes < MESSAGE_MOST ? s.bytes : MESSAGE_MOST);
}

static char *
put_u32(char *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static char *
put_u64(char *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static char *
put_span(char *at, struct span s)
{
	at = put_u32(at, (uint32_t)s.bytes);
	if (s.bytes > 0)
		memcpy(at, s.data, s.bytes);
	return at + s.bytes;
}

/* Room for a whole message with its head written: where the fields go, or
 * NULL when it is larger than its row allows or memory is out. */
static char *
begin(struct buf *b, enum message_type type, size_t bytes)
{
	char *at;

	if (bytes > message_row(type)->most)
		return NULL;
	at = buf_reserve(b, bytes);
	return at ? put_u32(at, type) : NULL;
}

/* ---- reading ------------------------------------------------------------- */

static bool
take_bytes(struct span *rest, void *to, size_t bytes)
{
	if (rest->bytes < bytes)
		return false;
	memcpy(to, rest->data, bytes);
	*rest = span_skip(*rest, bytes);
	return true;
}

static bool
take_span(struct span *rest, struct span *s)
{
	uint32_t bytes;

	if (!take_bytes(rest, &bytes, sizeof(bytes)) || rest->bytes < bytes)
		return false;
	*s = span_take(*rest, bytes);
	*rest = span_skip(*rest, bytes);
	return true;
}

/* ---- one encoder and one decoder a row ------------------------------------ */

/* clang-format off */
#define SIZE_U32(field) bytes += sizeof(uint32_t);
#define SIZE_U64(field) bytes += sizeof(uint64_t);
#define SIZE_SPAN(field) bytes += span_size(m->field);
#define PUT_U32(field) at = put_u32(at, m->field);
#define PUT_U64(field) at = put_u64(at, m->field);
#define PUT_SPAN(field) at = put_span(at, m->field);
#define TAKE_NUMBER(field) \
	good = good && take_bytes(&body, &m->field, sizeof(m->field));
#define TAKE_SPAN(field) good = good && take_span(&body, &m->field);

#define MESSAGE(NAME, name, from, to, fds, most_fds, most, when)            \
	int                                                                 \
	message_##name##_encode(struct buf *b,                              \
	    const struct message_##name *m)                                 \
	{                                                                   \
		size_t bytes = MESSAGE_HEAD_BYTES;                          \
		char *at;                                                   \
									    \
		(void)m;	/* a row may have no fields */              \
		MESSAGE_##NAME##_FIELDS(SIZE_U32, SIZE_U64, SIZE_SPAN)      \
		at = begin(b, MESSAGE_##NAME, bytes);                       \
		if (!at)                                                    \
			return -1;                                          \
		MESSAGE_##NAME##_FIELDS(PUT_U32, PUT_U64, PUT_SPAN)         \
		buf_wrote(b, bytes);                                        \
		return 0;                                                   \
	}                                                                   \
									    \
	int                                                                 \
	message_##name##_decode(struct span body,                           \
	    struct message_##name *m)                                       \
	{                                                                   \
		bool good = true;                                           \
									    \
		(void)m;                                                    \
		MESSAGE_##NAME##_FIELDS(TAKE_NUMBER, TAKE_NUMBER,           \
		    TAKE_SPAN)                                              \
		return good && body.bytes == 0 ? 0 : -1;                    \
	}
#include "ipc/message.def"
#undef MESSAGE

/* clang-format on */

int
message_encode(struct buf *b, enum message_type type, const void *m)
{
	switch (type) {
#define MESSAGE(NAME, name, from, to, fds, most_fds, most, when) \
	case MESSAGE_##NAME:                                     \
		return message_##name##_encode(b, m);
#include "ipc/message.def"
#undef MESSAGE
	case MESSAGE_NONE:
	case MESSAGE_TYPES:
		break;
	}
	assert(!"a message without a row");
	return -1;
}

/* ---- the rows themselves --------------------------------------------------- */

/* clang-format off */
static const struct message_row rows[MESSAGE_TYPES] = {
#define MESSAGE(NAME, name, from, to, fds, most_fds, most, when)            \
	[MESSAGE_##NAME] = { #NAME, ROLE_##from, ROLE_##to, fds, most_fds,  \
	    most, when },
#include "ipc/message.def"
#undef MESSAGE
};

#define MESSAGE(NAME, name, from, to, fds, most_fds, most, when)            \
	_Static_assert((most) <= MESSAGE_MOST, #NAME " is too large");      \
	_Static_assert((fds) <= (most_fds), #NAME " takes no number of fds");
#include "ipc/message.def"
#undef MESSAGE

/* clang-format on */

const struct message_row *
message_row(enum message_type type)
{
	/* The type is a peer's number: it may be any. */
	if ((unsigned)type >= MESSAGE_TYPES || type == MESSAGE_NONE)
		return NULL;
	return &rows[type];
}

static bool
role_stands_for(enum role in_row, enum role actual)
{
	if (in_row == ROLE_CHILD)
		return actual == ROLE_GATEWAY || actual == ROLE_CELL ||
		    actual == ROLE_LOG || actual == ROLE_STATE;
	if (in_row == ROLE_SERVICE)
		return actual == ROLE_GATEWAY || actual == ROLE_LOG ||
		    actual == ROLE_STATE;
	if (in_row == ROLE_KEEPER)
		return actual == ROLE_GATEWAY || actual == ROLE_STATE;
	return in_row == actual;
}

bool
message_allowed(enum message_type type, enum role from, enum role to)
{
	const struct message_row *row = message_row(type);

	return row && role_stands_for(row->from, from) &&
	    role_stands_for(row->to, to);
}

enum message_type
message_type_of(struct span bytes, struct span *body)
{
	const struct message_row *row;
	uint32_t type;

	*body = bytes;
	if (!take_bytes(body, &type, sizeof(type)) || type >= MESSAGE_TYPES)
		return MESSAGE_NONE;
	row = message_row((enum message_type)type);
	if (!row || bytes.bytes > row->most)
		return MESSAGE_NONE;
	return (enum message_type)type;
}

int
message_pack(struct buf *packed, struct span message)
{
	uint32_t bytes = (uint32_t)message.bytes;

	if (!buf_reserve(packed, sizeof(bytes) + message.bytes))
		return -1;
	buf_put(packed, span_make(&bytes, sizeof(bytes)));
	return buf_put(packed, message);
}

enum message_type
message_unpack(struct span *packed, struct span *body)
{
	struct span one;
	uint32_t bytes;

	if (!take_bytes(packed, &bytes, sizeof(bytes)) || bytes > packed->bytes)
		return MESSAGE_NONE;
	one = span_take(*packed, bytes);
	*packed = span_skip(*packed, bytes);
	return message_type_of(one, body);
}

const char *
role_name(enum role role)
{
	switch (role) {
	case ROLE_MASTER:
		return "master";
	case ROLE_GATEWAY:
		return "gateway";
	case ROLE_CELL:
		return "cell";
	case ROLE_LAUNCHER:
		return "launcher";
	case ROLE_LOG:
		return "log";
	case ROLE_CTL:
		return "ctl";
	case ROLE_STATE:
		return "state";
	case ROLE_CHILD:
		return "child";
	case ROLE_SERVICE:
		return "service";
	case ROLE_KEEPER:
		return "keeper";
	}
	return "unknown";
}

static const struct verb_row verbs[VERBS] = {
#define VERB(NAME, name, right, takes, sentence) \
	[VERB_##NAME] = { #name, VERB_##right, takes, sentence },
#include "ipc/verbs.def"
#undef VERB
};

const struct verb_row *
verb_row(enum verb verb)
{
	if ((unsigned)verb >= VERBS || verb == VERB_NONE)
		return NULL;
	return &verbs[verb];
}
