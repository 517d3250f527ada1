/* SPDX-License-Identifier: MIT */
/* orders.c - JSON to orders, by jansson: duplicate members, bytes that are no
 * UTF-8, NUL in strings and what follows the document are refused by it; depth
 * and number of values by a look at the bytes before, as it would first take the
 * memory. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "wire/base64.h"

#include "state/key.h"
#include "state/orders.h"
#include "state/query.h"

enum member {
	MEMBER_OP = 1,
	MEMBER_KEY = 2,
	MEMBER_VALUE = 4,
	MEMBER_B64 = 8,
	MEMBER_TYPE = 16,
	MEMBER_TTL = 32,
	MEMBER_EXPIRES = 64,
	MEMBER_BY = 128,
	MEMBER_MIN = 256,
	MEMBER_MAX = 512,
	MEMBER_VERSION = 1024,
	MEMBER_KEYS = 2048,
	MEMBER_VALUES = 4096,
	MEMBER_CHECKS = 8192,
	MEMBER_OPS = 16384,
};

static const struct {
	const char *name;
	unsigned member;
} members[] = {
	{ "op", MEMBER_OP },
	{ "key", MEMBER_KEY },
	{ "value", MEMBER_VALUE },
	{ "b64", MEMBER_B64 },
	{ "type", MEMBER_TYPE },
	{ "ttl", MEMBER_TTL },
	{ "expires", MEMBER_EXPIRES },
	{ "by", MEMBER_BY },
	{ "min", MEMBER_MIN },
	{ "max", MEMBER_MAX },
	{ "version", MEMBER_VERSION },
	{ "keys", MEMBER_KEYS },
	{ "values", MEMBER_VALUES },
	{ "checks", MEMBER_CHECKS },
	{ "ops", MEMBER_OPS },
};

enum {
	COUNTER =
	    MEMBER_BY | MEMBER_MIN | MEMBER_MAX | MEMBER_TTL | MEMBER_EXPIRES,
};

static const struct op_row {
	const char *name;
	enum store_op_kind kind;
	unsigned takes;
} op_rows[] = {
	{ "set", STORE_SET,
	    MEMBER_OP | MEMBER_KEY | MEMBER_VALUE | MEMBER_B64 | MEMBER_TYPE |
		MEMBER_TTL | MEMBER_EXPIRES },
	{ "delete", STORE_DELETE, MEMBER_OP | MEMBER_KEY },
	{ "sum", STORE_SUM, MEMBER_OP | MEMBER_KEY | COUNTER },
	{ "min", STORE_MIN,
	    MEMBER_OP | MEMBER_KEY | MEMBER_BY | MEMBER_TTL | MEMBER_EXPIRES },
	{ "max", STORE_MAX,
	    MEMBER_OP | MEMBER_KEY | MEMBER_BY | MEMBER_TTL | MEMBER_EXPIRES },
};

/* "ops[3]" in a sentence, or the document itself. */
struct place {
	const char *list;
	size_t index;
};

static int load(struct orders *, struct span body, size_t values_most);
static int refuse(struct orders *, enum problem, const struct place *,
    const char *, ...) __attribute__((format(printf, 4, 5)));
static int known_members(struct orders *, const json_t *, const struct place *,
    unsigned takes);
static int read_lists(struct orders *, json_t *checks, json_t *ops,
    const struct orders_limits *);
static int read_check(struct orders *, json_t *, size_t index);
static int read_op(struct orders *, json_t *, size_t index,
    const struct orders_limits *);
static int read_value(struct orders *, json_t *, const struct place *,
    struct store_op *, const struct orders_limits *);
static int read_number(struct orders *, json_t *, const struct place *,
    struct store_op *);
static int read_expiry(struct orders *, json_t *, const struct place *,
    struct store_op *);
static int read_key(struct orders *, json_t *, const struct place *,
    struct span *);
static int read_integer(struct orders *, json_t *, const char *name,
    const struct place *, int64_t *, bool *given);
static struct span string_of(const json_t *);

void
orders_init(struct orders *o)
{
	memset(o, 0, sizeof(*o));
}

void
orders_free(struct orders *o)
{
	free(o->checks);
	free(o->ops);
	free(o->keys);
	free(o->versions);
	json_decref(o->document);
	buf_free(&o->bytes);
	orders_init(o);
}

int
orders_read_atomic(struct orders *o, struct span body,
    const struct orders_limits *limits)
{
	json_t *checks, *ops;
	static const struct place top = { NULL, 0 };

	if (load(o, body, limits->checks + limits->ops) != 0 ||
	    known_members(o, o->document, &top, MEMBER_CHECKS | MEMBER_OPS))
		return -1;
	checks = json_object_get(o->document, "checks");
	ops = json_object_get(o->document, "ops");
	if ((checks != NULL && !json_is_array(checks)) ||
	    (ops != NULL && !json_is_array(ops)))
		return refuse(o, PROBLEM_BAD_JSON, NULL,
		    "checks and ops are lists");
	if (json_array_size(checks) + json_array_size(ops) == 0)
		return refuse(o, PROBLEM_BAD_JSON, NULL,
		    "there are neither checks nor ops");
	return read_lists(o, checks, ops, limits);
}

int
orders_read_counter(struct orders *o, struct span key, struct span body)
{
	static const struct place top = { NULL, 0 };

	if (body.bytes == 0)
		body = SPAN("{}");
	if (load(o, body, 1) != 0 ||
	    known_members(o, o->document, &top, COUNTER) != 0)
		return -1;
	o->ops = calloc(1, sizeof(*o->ops));
	if (o->ops == NULL)
		return refuse(o, PROBLEM_STORAGE_UNAVAILABLE, NULL,
		    "there is no memory for the request");
	o->op_count = 1;
	o->ops->kind = STORE_SUM;
	o->ops->key = key;
	return read_number(o, o->document, &top, o->ops);
}

int
orders_read_many(struct orders *o, struct span body,
    const struct orders_limits *limits)
{
	json_t *keys, *values;
	static const struct place top = { NULL, 0 };

	if (load(o, body, limits->keys) != 0 ||
	    known_members(o, o->document, &top, MEMBER_KEYS | MEMBER_VALUES))
		return -1;
	keys = json_object_get(o->document, "keys");
	values = json_object_get(o->document, "values");
	if (!json_is_array(keys) || json_array_size(keys) == 0)
		return refuse(o, PROBLEM_BAD_JSON, NULL,
		    "keys is to be a list of at least one key");
	if (values != NULL && !json_is_boolean(values))
		return refuse(o, PROBLEM_BAD_JSON, NULL,
		    "values is to be true or false");
	o->values = !json_is_false(values);
	o->limit = limits->keys;
	o->size = json_array_size(keys);
	if (o->size > o->limit)
		return refuse(o, PROBLEM_TOO_LARGE, NULL,
		    "there are more than %zu keys", limits->keys);
	o->keys = calloc(json_array_size(keys), sizeof(*o->keys));
	if (o->keys == NULL)
		return refuse(o, PROBLEM_STORAGE_UNAVAILABLE, NULL,
		    "there is no memory for the request");
	for (; o->key_count < json_array_size(keys); o->key_count++) {
		struct place place = { "keys", o->key_count };

		if (read_key(o, json_array_get(keys, o->key_count), &place,
			&o->keys[o->key_count]) != 0)
			return -1;
	}
	return 0;
}

bool
type_good(struct span type)
{
	if (type.bytes == 0 || type.bytes > ORDERS_TYPE_MOST)
		return false;
	for (size_t i = 0; i < type.bytes; i++)
		if (type.data[i] < ' ' || type.data[i] > '~')
			return false;
	return true;
}

/* Depth, and values in it: what the parser would take memory for. */
static int
scan(struct orders *o, struct span body, size_t values_most)
{
	size_t depth = 0, values = 0;
	bool quoted = false;

	for (size_t i = 0; i < body.bytes; i++) {
		char c = body.data[i];

		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '[' || c == '{') {
			values++;
			if (++depth > ORDERS_DEPTH_MOST)
				return refuse(o, PROBLEM_BAD_JSON, NULL,
				    "it is nested more than %d deep",
				    ORDERS_DEPTH_MOST);
		} else if (c == ']' || c == '}') {
			depth -= depth > 0;
		} else if (c == ',') {
			values++;
		}
	}
	o->limit = values_most;
	o->size = values;
	if (values > values_most)
		return refuse(o, PROBLEM_TOO_LARGE, NULL,
		    "it has too many values");
	return 0;
}

static int
load(struct orders *o, struct span body, size_t orders_most)
{
	json_error_t error;

	orders_free(o);
	buf_init(&o->bytes, body.bytes);
	if (scan(o, body, (orders_most + 1) * ORDERS_MEMBERS_MOST) != 0)
		return -1;
	o->document =
	    json_loadb(body.data, body.bytes, JSON_REJECT_DUPLICATES, &error);
	if (o->document == NULL)
		return refuse(o, PROBLEM_BAD_JSON, NULL, "line %d: %s",
		    error.line, error.text);
	if (!json_is_object((const json_t *)o->document))
		return refuse(o, PROBLEM_BAD_JSON, NULL,
		    "it is to be an object");
	return 0;
}

static int
refuse(struct orders *o, enum problem problem, const struct place *place,
    const char *format, ...)
{
	va_list args;
	int at = 0;

	o->problem = problem;
	if (place != NULL && place->list != NULL)
		at = snprintf(o->why, sizeof(o->why), "%s[%zu]: ", place->list,
		    place->index);
	va_start(args, format);
	vsnprintf(o->why + at, sizeof(o->why) - (size_t)at, format, args);
	va_end(args);
	return -1;
}

static int
known_members(struct orders *o, const json_t *object, const struct place *place,
    unsigned takes)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value)
	{
		unsigned found = 0;

		for (size_t i = 0; i < sizeof(members) / sizeof(members[0]);
		     i++)
			if (strcmp(members[i].name, name) == 0)
				found = members[i].member & takes;
		if (found == 0)
			return refuse(o, PROBLEM_BAD_JSON, place,
			    "there is no member \"%.32s\" here", name);
	}
	return 0;
}

static int
read_lists(struct orders *o, json_t *checks, json_t *ops,
    const struct orders_limits *limits)
{
	size_t check_count = json_array_size(checks);
	size_t op_count = json_array_size(ops);

	o->limit = check_count > limits->checks ? limits->checks : limits->ops;
	o->size = check_count > limits->checks ? check_count : op_count;
	if (o->size > o->limit)
		return refuse(o, PROBLEM_TOO_LARGE, NULL,
		    "there are more than %zu checks or %zu ops", limits->checks,
		    limits->ops);
	o->checks = calloc(check_count + 1, sizeof(*o->checks));
	o->versions = calloc(check_count + 1, sizeof(*o->versions));
	o->ops = calloc(op_count + 1, sizeof(*o->ops));
	if (o->checks == NULL || o->versions == NULL || o->ops == NULL)
		return refuse(o, PROBLEM_STORAGE_UNAVAILABLE, NULL,
		    "there is no memory for the request");
	for (; o->check_count < check_count; o->check_count++)
		if (read_check(o, json_array_get(checks, o->check_count),
			o->check_count) != 0)
			return -1;
	for (; o->op_count < op_count; o->op_count++)
		if (read_op(o, json_array_get(ops, o->op_count), o->op_count,
			limits) != 0)
			return -1;
	return 0;
}

static int
read_check(struct orders *o, json_t *object, size_t index)
{
	struct store_check *check = &o->checks[index];
	struct place place = { "checks", index };
	json_t *version;

	if (!json_is_object(object))
		return refuse(o, PROBLEM_BAD_JSON, &place,
		    "it is to be an object");
	if (known_members(o, object, &place, MEMBER_KEY | MEMBER_VERSION) ||
	    read_key(o, json_object_get(object, "key"), &place, &check->key))
		return -1;
	version = json_object_get(object, "version");
	if (json_is_null(version)) {
		check->kind = STORE_ABSENT;
		return 0;
	}
	if (!json_is_integer(version) || json_integer_value(version) <= 0)
		return refuse(o, PROBLEM_BAD_JSON, &place,
		    "version is to be a version, or null for no such key");
	o->versions[index] = (uint64_t)json_integer_value(version);
	check->kind = STORE_VERSION;
	check->versions = &o->versions[index];
	check->version_count = 1;
	return 0;
}

static int
read_op(struct orders *o, json_t *object, size_t index,
    const struct orders_limits *limits)
{
	struct place place = { "ops", index };
	struct store_op *op = &o->ops[index];
	const struct op_row *row = NULL;
	const char *name;

	name = json_string_value(json_object_get(object, "op"));
	if (name == NULL)
		return refuse(o, PROBLEM_BAD_JSON, &place,
		    "op is to be the name of an operation");
	for (size_t i = 0; i < sizeof(op_rows) / sizeof(op_rows[0]); i++)
		if (strcmp(op_rows[i].name, name) == 0)
			row = &op_rows[i];
	if (row == NULL)
		return refuse(o, PROBLEM_UNSUPPORTED_OPERATION, &place,
		    "this host has no operation %.32s%s", name,
		    strcmp(name, "enqueue") == 0 ? ": it comes with events" :
						   "");
	if (known_members(o, object, &place, row->takes) ||
	    read_key(o, json_object_get(object, "key"), &place, &op->key))
		return -1;
	op->kind = row->kind;
	if (op->kind == STORE_DELETE)
		return 0;
	if (op->kind == STORE_SET)
		return read_value(o, object, &place, op, limits);
	return read_number(o, object, &place, op);
}

static int
read_value(struct orders *o, json_t *object, const struct place *place,
    struct store_op *op, const struct orders_limits *limits)
{
	const json_t *value = json_object_get(object, "value");
	const json_t *b64 = json_object_get(object, "b64");
	const json_t *type = json_object_get(object, "type");

	if ((value == NULL) == (b64 == NULL) ||
	    !json_is_string(value != NULL ? value : b64))
		return refuse(o, PROBLEM_BAD_JSON, place,
		    "it needs a string, either value or b64");
	op->value = string_of(value);
	if (b64 != NULL) {
		size_t before = buf_bytes(&o->bytes);

		/* Reserved once, so that no span of it moves. */
		if (before == 0 &&
		    buf_reserve(&o->bytes, o->bytes.ceiling) == NULL)
			return refuse(o, PROBLEM_STORAGE_UNAVAILABLE, place,
			    "there is no memory for the request");
		if (base64_read(&o->bytes, BASE64, string_of(b64)) != 0)
			return refuse(o, PROBLEM_BAD_JSON, place,
			    "b64 is not base 64 with its padding");
		op->value = span_skip(buf_span(&o->bytes), before);
	}
	if (op->value.bytes > limits->value) {
		o->limit = limits->value;
		o->size = op->value.bytes;
		return refuse(o, PROBLEM_TOO_LARGE, place,
		    "the value is larger than %llu bytes",
		    (unsigned long long)limits->value);
	}
	if (type != NULL) {
		op->type = string_of(type);
		if (!json_is_string(type) || !type_good(op->type))
			return refuse(o, PROBLEM_BAD_JSON, place,
			    "type is no content type");
	}
	return read_expiry(o, object, place, op);
}

static int
read_number(struct orders *o, json_t *object, const struct place *place,
    struct store_op *op)
{
	bool given;

	op->number = 1;
	if (read_integer(o, object, "by", place, &op->number, &given) ||
	    read_integer(o, object, "min", place, &op->least, &op->has_least) ||
	    read_integer(o, object, "max", place, &op->most, &op->has_most))
		return -1;
	if (op->kind != STORE_SUM && !given)
		return refuse(o, PROBLEM_BAD_JSON, place,
		    "by is to be a number");
	if (op->has_least && op->has_most && op->least > op->most)
		return refuse(o, PROBLEM_BAD_JSON, place,
		    "min is more than max");
	op->type = SPAN("text/plain");
	if (read_expiry(o, object, place, op) != 0)
		return -1;
	/* A window of time begins with the first count in it. */
	if (op->expiry == STORE_FOREVER)
		op->expiry = STORE_KEEP;
	else if (op->expiry == STORE_FOR)
		op->expiry = STORE_FOR_NEW;
	return 0;
}

static int
read_expiry(struct orders *o, json_t *object, const struct place *place,
    struct store_op *op)
{
	const json_t *ttl = json_object_get(object, "ttl");
	const json_t *expires = json_object_get(object, "expires");
	char seconds[24];
	struct span text = string_of(ttl);

	op->expiry = STORE_FOREVER;
	if (ttl == NULL && expires == NULL)
		return 0;
	if (ttl != NULL && expires != NULL)
		return refuse(o, PROBLEM_BAD_JSON, place,
		    "it has both ttl and expires");
	if (json_is_integer(ttl)) {
		snprintf(seconds, sizeof(seconds), "%lld",
		    (long long)json_integer_value(ttl));
		text = span_of(seconds);
	}
	if (ttl != NULL) {
		op->expiry = STORE_FOR;
		if (query_time(text, &op->expires_ms) != 0 ||
		    op->expires_ms == 0)
			return refuse(o, PROBLEM_BAD_JSON, place,
			    "ttl is to be seconds, or text like \"250ms\"");
		return 0;
	}
	op->expiry = STORE_AT;
	if (!json_is_integer(expires) || json_integer_value(expires) <= 0 ||
	    json_integer_value(expires) > QUERY_UNIX_MOST)
		return refuse(o, PROBLEM_BAD_JSON, place,
		    "expires is to be seconds since 1970");
	op->expires_ms = (uint64_t)json_integer_value(expires) * 1000;
	return 0;
}

static int
read_key(struct orders *o, json_t *value, const struct place *place,
    struct span *key)
{
	enum key_error error;

	if (!json_is_string(value))
		return refuse(o, PROBLEM_BAD_JSON, place,
		    "a key is to be a string");
	*key = string_of(value);
	error = key_check(*key);
	if (error != KEY_OK)
		return refuse(o, PROBLEM_BAD_KEY, place, "the key %s",
		    key_error_words(error));
	return 0;
}

static int
read_integer(struct orders *o, json_t *object, const char *name,
    const struct place *place, int64_t *number, bool *given)
{
	const json_t *value = json_object_get(object, name);

	*given = value != NULL;
	if (value == NULL)
		return 0;
	if (!json_is_integer(value))
		return refuse(o, PROBLEM_BAD_JSON, place,
		    "%s is to be a whole number of 64 bits", name);
	*number = json_integer_value(value);
	return 0;
}

static struct span
string_of(const json_t *value)
{
	if (!json_is_string(value))
		return SPAN_NONE;
	return span_make(json_string_value(value), json_string_length(value));
}
