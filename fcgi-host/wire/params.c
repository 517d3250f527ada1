/* SPDX-License-Identifier: MIT */
/* params.c - name-value pairs. Lengths are compared with what is left before
 * they are added to anything, so no sum of a peer's numbers can wrap. */
#include "wire/params.h"

enum { SHORT_MOST = 127 }; /* longer lengths take four bytes */

#define LONG_MOST ((size_t)0x7fffffff)

static bool take_length(struct span *, size_t *length);
static bool has_byte(struct span, char);
static size_t length_bytes(size_t length);
static char *put_length(char *at, size_t length);

const char *
params_result_words(enum params_result result)
{
	switch (result) {
	case PARAMS_PAIR:
		return "a pair";
	case PARAMS_DONE:
		return "the end of the parameters";
	case PARAMS_CUT:
		return "the parameters end in the middle of a pair";
	case PARAMS_BAD_NAME:
		return "a parameter's name is empty or has NUL or '=' in it";
	case PARAMS_BAD_VALUE:
		return "a parameter's value has NUL in it";
	case PARAMS_TOO_LONG:
		return "a parameter's name is longer than 512 bytes";
	}
	return "unknown";
}

enum params_result
params_cut(struct span *rest, struct param *pair)
{
	struct span left = *rest;
	size_t name_bytes, value_bytes;

	if (left.bytes == 0)
		return PARAMS_DONE;
	if (!take_length(&left, &name_bytes) ||
	    !take_length(&left, &value_bytes) || name_bytes > left.bytes ||
	    value_bytes > left.bytes - name_bytes)
		return PARAMS_CUT;

	pair->name = span_make(left.data, name_bytes);
	pair->value = span_make(left.data + name_bytes, value_bytes);
	rest->data = left.data + name_bytes + value_bytes;
	rest->bytes = left.bytes - name_bytes - value_bytes;
	return PARAMS_PAIR;
}

enum params_result
params_next(struct span *rest, struct param *pair)
{
	struct span left = *rest;
	enum params_result result = params_cut(&left, pair);

	if (result != PARAMS_PAIR)
		return result;
	if (pair->name.bytes > PARAMS_NAME_MOST)
		return PARAMS_TOO_LONG;
	if (pair->name.bytes == 0 || has_byte(pair->name, '\0') ||
	    has_byte(pair->name, '='))
		return PARAMS_BAD_NAME;
	if (has_byte(pair->value, '\0'))
		return PARAMS_BAD_VALUE;
	*rest = left;
	return PARAMS_PAIR;
}

int
params_put(struct buf *b, struct span name, struct span value)
{
	char *at = params_put_room(b, name, value.bytes);

	if (at == NULL)
		return -1;
	if (value.bytes > 0)
		memcpy(at, value.data, value.bytes);
	return 0;
}

char *
params_put_room(struct buf *b, struct span name, size_t value_bytes)
{
	size_t bytes;
	char *at;

	if (name.bytes > LONG_MOST || value_bytes > LONG_MOST)
		return NULL;
	bytes = length_bytes(name.bytes) + length_bytes(value_bytes) +
	    name.bytes + value_bytes;
	at = buf_reserve(b, bytes);
	if (at == NULL)
		return NULL;
	at = put_length(at, name.bytes);
	at = put_length(at, value_bytes);
	if (name.bytes > 0)
		memcpy(at, name.data, name.bytes);
	buf_wrote(b, bytes);
	return at + name.bytes;
}

static bool
take_length(struct span *s, size_t *length)
{
	const unsigned char *at = (const unsigned char *)s->data;
	size_t used = 1;

	if (s->bytes == 0)
		return false;
	*length = at[0];
	if (at[0] > SHORT_MOST) {
		used = 4;
		if (s->bytes < used)
			return false;
		*length = ((size_t)at[0] & 0x7f) << 24 | (size_t)at[1] << 16 |
		    (size_t)at[2] << 8 | at[3];
	}
	s->data += used;
	s->bytes -= used;
	return true;
}

static bool
has_byte(struct span s, char c)
{
	return s.bytes > 0 && memchr(s.data, c, s.bytes) != NULL;
}

static size_t
length_bytes(size_t length)
{
	return length > SHORT_MOST ? 4 : 1;
}

static char *
put_length(char *at, size_t length)
{
	if (length > SHORT_MOST) {
		*at++ = (char)(unsigned char)(length >> 24 | 0x80);
		*at++ = (char)(unsigned char)(length >> 16 & 0xff);
		*at++ = (char)(unsigned char)(length >> 8 & 0xff);
	}
	*at++ = (char)(unsigned char)(length & 0xff);
	return at;
}
