/* SPDX-License-Identifier: MIT */
/* state.c - the calls of <fn.h>: each makes one request of state's API, and
 * reads its reply. Arguments are looked at before anything is sent, as far as no
 * limit of the host's has to be known for it. */

#include <stdlib.h>

#include "wire/base64.h"

#include "sdk/client.h"
#include "sdk/page.h"
#include "sdk/walk.h"

enum {
	KEY_MOST = 1024,
	TYPE_MOST = 127,
	WAIT_MOST_S = 50,
	COMMIT_MOST = 8 * 1024 * 1024, /* the host's own limit is lower */
};

static enum fn_result key_check(const char *key);
static enum fn_result type_check(const char *type);
static enum fn_result data_check(const void *data, size_t bytes);
static enum fn_result place_check(const void *place);
static enum fn_result op_check(const struct fn_op *);
static enum fn_result ask(const struct call *, struct reply *);
static enum fn_result result_of(const struct call *, const struct reply *);
static enum fn_result conflict_of(const struct reply *);
static enum fn_result finish(struct call *, struct reply *, enum fn_result);
static enum fn_result value_call(struct call *, const char *key,
    struct fn_value *);
static enum fn_result value_get(struct call *, struct fn_value *);
static void value_take(struct reply *, struct fn_value *);
static int bounds_put(struct buf *, const int64_t *min, const int64_t *max,
    uint32_t ttl_s);
static bool counter_take(struct reply *, int64_t *value);
static void list_query(struct call *, const struct fn_list *);
static enum fn_result commit_put(struct buf *, const struct fn_check *,
    size_t check_count, const struct fn_op *, size_t op_count);
static int check_put(struct buf *, const struct fn_check *);
static int op_put(struct buf *, const struct fn_op *);
static bool commit_take(struct reply *, struct fn_op *, size_t op_count,
    uint64_t *version);
static bool results_take(struct walk *, struct fn_op *, size_t op_count);

/* ---- one key ------------------------------------------------------------------ */

enum fn_result
fn_state_get(const char *key, struct fn_value *value)
{
	struct call call;
	enum fn_result result = value_call(&call, key, value);

	return result == FN_OK ? value_get(&call, value) : result;
}

enum fn_result
fn_state_wait(const char *key, uint64_t since, unsigned wait_s,
    struct fn_value *value)
{
	struct call call;
	enum fn_result result = value_call(&call, key, value);

	if (result != FN_OK)
		return result;
	call.wait_s = wait_s < WAIT_MOST_S ? wait_s : WAIT_MOST_S;
	call_query_number(&call, "since", since);
	call_query_number(&call, "wait", client_wait_ms(call.wait_s));
	call_path(&call, "ms");
	return value_get(&call, value);
}

/* The call for a key's value, when there are a key and a place for it. */
static enum fn_result
value_call(struct call *call, const char *key, struct fn_value *value)
{
	enum fn_result result = place_check(value);

	if (result != FN_OK)
		return result;
	*value = (struct fn_value){ 0 };
	result = key_check(key);
	if (result != FN_OK)
		return result;
	call_init(call, "GET", AGAIN_ALWAYS);
	call_path(call, "/kv/");
	call_key(call, key);
	return FN_OK;
}

static enum fn_result
value_get(struct call *call, struct fn_value *value)
{
	struct reply reply;
	enum fn_result result = ask(call, &reply);

	if (result == FN_OK && reply.version == 0)
		result = problem(FN_FAILED, "state's answer has no version");
	if (result == FN_OK && !buf_string(&reply.body))
		result = problem(FN_FAILED, "no memory for the value");
	if (result == FN_OK)
		value_take(&reply, value);
	return finish(call, &reply, result);
}

/* The buffer's memory becomes the caller's: it is a string since buf_string(),
 * and was never taken from at its front. */
static void
value_take(struct reply *r, struct fn_value *value)
{
	value->bytes = buf_bytes(&r->body);
	value->data = r->body.data ? r->body.data : calloc(1, 1);
	value->version = r->version;
	value->expires_s = r->expires_s;
	memcpy(value->type, r->type, sizeof(value->type));
	buf_init(&r->body, 0);
}

void
fn_value_free(struct fn_value *value)
{
	if (!value)
		return;
	free(value->data);
	*value = (struct fn_value){ 0 };
}

enum fn_result
fn_state_put(const char *key, const void *data, size_t bytes,
    const struct fn_put *how, uint64_t *version)
{
	static const struct fn_put plain;
	struct call call;
	struct reply reply;
	enum fn_result result = key_check(key);

	how = how ? how : &plain;
	if (result == FN_OK)
		result = type_check(how->type);
	if (result == FN_OK)
		result = data_check(data, bytes);
	if (result != FN_OK)
		return result;
	call_init(&call, "PUT",
	    how->if_version > 0 || how->if_absent ? AGAIN_CONDITION :
						    AGAIN_NEVER);
	call_path(&call, "/kv/");
	call_key(&call, key);
	if (how->ttl_s > 0)
		call_query_number(&call, "ttl", how->ttl_s);
	call.if_match = how->if_version;
	call.if_none_match = how->if_absent;
	call.type = how->type ? how->type : "application/octet-stream";
	call.body = span_make(data, bytes);
	result = ask(&call, &reply);
	if (result == FN_OK && version)
		*version = reply.version;
	return finish(&call, &reply, result);
}

enum fn_result
fn_state_delete(const char *key, uint64_t if_version)
{
	struct call call;
	struct reply reply;
	enum fn_result result = key_check(key);

	if (result != FN_OK)
		return result;
	call_init(&call, "DELETE",
	    if_version > 0 ? AGAIN_CONDITION : AGAIN_NEVER);
	call_path(&call, "/kv/");
	call_key(&call, key);
	call.if_match = if_version;
	result = ask(&call, &reply);
	return finish(&call, &reply, result);
}

/* ---- counters ----------------------------------------------------------------- */

enum fn_result
fn_state_incr(const char *key, int64_t by, const struct fn_incr *how,
    int64_t *value)
{
	static const struct fn_incr plain;
	struct call call;
	struct reply reply;
	struct buf body;
	int64_t after = 0;
	enum fn_result result = key_check(key);

	if (result != FN_OK)
		return result;
	how = how ? how : &plain;
	buf_init(&body, 256);
	call_init(&call, "POST", AGAIN_KEYED);
	call_path(&call, "/counter/");
	call_key(&call, key);
	buf_printf(&body, "{\"by\":%lld", (long long)by);
	bounds_put(&body, how->min, how->max, how->ttl_s);
	buf_put_byte(&body, '}'); /* four numbers always fit */
	call.type = "application/json";
	call.body = buf_span(&body);
	result = ask(&call, &reply);
	if (result == FN_OK && !counter_take(&reply, &after))
		result = problem(FN_FAILED, "state's answer is no counter");
	if (result == FN_OK && value)
		*value = after;
	buf_free(&body);
	return finish(&call, &reply, result);
}

static int
bounds_put(struct buf *b, const int64_t *min, const int64_t *max,
    uint32_t ttl_s)
{
	int bad = 0;

	if (min)
		bad |= buf_printf(b, ",\"min\":%lld", (long long)*min);
	if (max)
		bad |= buf_printf(b, ",\"max\":%lld", (long long)*max);
	if (ttl_s > 0)
		bad |= buf_printf(b, ",\"ttl\":%u", ttl_s);
	return bad;
}

static bool
counter_take(struct reply *r, int64_t *value)
{
	struct span name, body = buf_span(&r->body);
	struct walk w;
	bool found = false;

	walk_init(&w, (char *)(uintptr_t)body.data, body.bytes);
	walk_object(&w);
	while (walk_member(&w, &name))
		if (span_equal(name, SPAN("value")))
			found = walk_integer(&w, value);
		else
			walk_skip(&w);
	return found && walk_over(&w);
}

/* ---- many keys ------------------------------------------------------------------ */

enum fn_result
fn_state_list(const struct fn_list *list, struct fn_page *page)
{
	struct call call;
	struct reply reply;
	enum fn_result result = place_check(page);

	if (result != FN_OK)
		return result;
	*page = (struct fn_page){ 0 };
	call_init(&call, "GET", AGAIN_ALWAYS);
	call_path(&call, "/kv");
	if (list)
		list_query(&call, list);
	result = ask(&call, &reply);
	if (result == FN_OK)
		result = page_read(page, &reply.body);
	return finish(&call, &reply, result);
}

static void
list_query(struct call *c, const struct fn_list *list)
{
	const struct {
		const char *name;
		const char *value;
	} texts[] = {
		{ "prefix", list->prefix },
		{ "start", list->start },
		{ "end", list->end },
		{ "delimiter", list->delimiter },
		{ "cursor", list->cursor },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].value)
			call_query(c, texts[i].name, texts[i].value);
	if (list->limit > 0)
		call_query_number(c, "limit", list->limit);
	if (list->reverse)
		call_query_number(c, "reverse", 1);
	if (list->values)
		call_query_number(c, "values", 1);
}

/* ---- all or nothing ------------------------------------------------------------ */

enum fn_result
fn_state_atomic(const struct fn_check *checks, size_t check_count,
    struct fn_op *ops, size_t op_count, uint64_t *version)
{
	struct call call;
	struct reply reply;
	struct buf body;
	uint64_t commit = 0;
	enum fn_result result;

	buf_init(&body, COMMIT_MOST);
	result = commit_put(&body, checks, check_count, ops, op_count);
	if (result != FN_OK) {
		buf_free(&body);
		return result;
	}
	call_init(&call, "POST", AGAIN_KEYED);
	call_path(&call, "/atomic");
	call.type = "application/json";
	call.body = buf_span(&body);
	result = ask(&call, &reply);
	if (result == FN_OK && !commit_take(&reply, ops, op_count, &commit))
		result = problem(FN_FAILED, "state's answer is no commit");
	if (result == FN_OK && version)
		*version = commit;
	buf_free(&body);
	return finish(&call, &reply, result);
}

static enum fn_result
commit_put(struct buf *b, const struct fn_check *checks, size_t check_count,
    const struct fn_op *ops, size_t op_count)
{
	enum fn_result result = FN_OK;
	int bad = buf_put_string(b, "{\"checks\":[");

	if ((!checks && check_count > 0) || (!ops && op_count > 0))
		return problem(FN_BAD,
		    "there are checks or operations, but "
		    "no place of them");
	for (size_t i = 0; i < check_count && result == FN_OK && !bad; i++) {
		bad |= i > 0 ? buf_put_byte(b, ',') : 0;
		result = key_check(checks[i].key);
		if (result == FN_OK)
			bad |= check_put(b, &checks[i]);
	}
	bad |= buf_put_string(b, "],\"ops\":[");
	for (size_t i = 0; i < op_count && result == FN_OK && !bad; i++) {
		bad |= i > 0 ? buf_put_byte(b, ',') : 0;
		result = key_check(ops[i].key);
		if (result == FN_OK)
			result = type_check(ops[i].type);
		if (result == FN_OK)
			result = op_check(&ops[i]);
		if (result == FN_OK)
			bad |= op_put(b, &ops[i]);
	}
	bad |= buf_put_string(b, "]}");
	if (result == FN_OK && bad)
		return problem(FN_TOO_LARGE, "a commit is above %d bytes",
		    COMMIT_MOST);
	return result;
}

static int
check_put(struct buf *b, const struct fn_check *c)
{
	int bad = buf_put_string(b, "{\"key\":");

	bad |= walk_put_string(b, span_of(c->key));
	if (c->version == 0)
		return bad | buf_put_string(b, ",\"version\":null}");
	return bad |
	    buf_printf(b, ",\"version\":%llu}", (unsigned long long)c->version);
}

static int
op_put(struct buf *b, const struct fn_op *o)
{
	static const char *const names[] = { [FN_SET] = "set",
		[FN_DELETE] = "delete",
		[FN_SUM] = "sum",
		[FN_MIN] = "min",
		[FN_MAX] = "max" };
	int bad = buf_printf(b, "{\"op\":\"%s\",\"key\":", names[o->kind]);

	bad |= walk_put_string(b, span_of(o->key));
	if (o->kind == FN_SET) {
		bad |= buf_put_string(b, ",\"b64\":\"");
		bad |= base64_put(b, BASE64, span_make(o->data, o->bytes));
		bad |= buf_put_byte(b, '"');
		if (o->type) {
			bad |= buf_put_string(b, ",\"type\":");
			bad |= walk_put_string(b, span_of(o->type));
		}
		bad |= bounds_put(b, NULL, NULL, o->ttl_s);
	} else if (o->kind != FN_DELETE) {
		bad |= buf_printf(b, ",\"by\":%lld", (long long)o->by);
		if (o->kind == FN_SUM)
			bad |= bounds_put(b, o->min, o->max, o->ttl_s);
	}
	return bad | buf_put_byte(b, '}');
}

/* {"version": 92, "results": [{"version": 92}, {"value": 3}]} */
static bool
commit_take(struct reply *r, struct fn_op *ops, size_t op_count,
    uint64_t *version)
{
	struct span name, body = buf_span(&r->body);
	struct walk w;
	int64_t number = 0;
	bool found = false, all = false;

	walk_init(&w, (char *)(uintptr_t)body.data, body.bytes);
	walk_object(&w);
	while (walk_member(&w, &name))
		if (span_equal(name, SPAN("version")))
			found = walk_integer(&w, &number) && number >= 0;
		else if (span_equal(name, SPAN("results")))
			all = results_take(&w, ops, op_count);
		else
			walk_skip(&w);
	*version = (uint64_t)number;
	return found && all && walk_over(&w);
}

static bool
results_take(struct walk *w, struct fn_op *ops, size_t op_count)
{
	struct span name;
	int64_t value;
	size_t at = 0;

	walk_array(w);
	for (; walk_element(w); at++) {
		walk_object(w);
		while (walk_member(w, &name))
			if (at < op_count && span_equal(name, SPAN("value")) &&
			    ops[at].kind >= FN_SUM && walk_integer(w, &value))
				ops[at].value = value;
			else
				walk_skip(w);
	}
	return at == op_count;
}

/* ---- replies ------------------------------------------------------------------- */

/* On FN_OK there is a reply to take from; in any case finish() must come. */
static enum fn_result
ask(const struct call *call, struct reply *reply)
{
	enum fn_result result = client_call(call, reply);

	if (result != FN_OK)
		return result;
	result = result_of(call, reply);
	if (result == FN_OK)
		return problem_none();
	if (result == FN_UNCHANGED)
		return problem(result, "it did not change");
	if (result == FN_UNKNOWN)
		return problem(result,
		    "state answered %u to a second try; the "
		    "first may have been carried out",
		    reply->status);
	return problem_reply(result, reply);
}

/* What a status means; problem types where one status has two meanings. */
static enum fn_result
result_of(const struct call *call, const struct reply *r)
{
	switch (r->status) {
	case 200:
	case 201:
	case 204:
		return FN_OK;
	case 304:
		return FN_UNCHANGED;
	case 401:
	case 403:
		return FN_REFUSED;
	case 404: /* any other is not state's own: nobody serves it there */
		return span_equal(r->problem, SPAN("key-not-found")) ?
		    FN_NOT_FOUND :
		    FN_FAILED;
	case 409:
	case 412:
		return r->repeated && call->again == AGAIN_CONDITION ?
		    FN_UNKNOWN :
		    conflict_of(r);
	case 413:
		return FN_TOO_LARGE;
	case 429:
	case 503:
		return r->repeated ? FN_UNKNOWN : FN_BUSY;
	case 507:
		return FN_FULL;
	default:
		return r->status >= 400 && r->status < 500 ? FN_BAD : FN_FAILED;
	}
}

static enum fn_result
conflict_of(const struct reply *r)
{
	return span_equal(r->problem, SPAN("counter-range")) ? FN_RANGE :
							       FN_CONFLICT;
}

static enum fn_result
finish(struct call *call, struct reply *reply, enum fn_result result)
{
	call_free(call);
	reply_free(reply);
	return result;
}

/* ---- arguments ------------------------------------------------------------------ */

static enum fn_result
key_check(const char *key)
{
	struct span rest = span_of(key), segment;

	if (rest.bytes == 0 || rest.bytes > KEY_MOST)
		return problem(FN_BAD, "a key has 1 to %d bytes, this one %zu",
		    KEY_MOST, rest.bytes);
	if (!walk_utf8(rest))
		return problem(FN_BAD, "a key is UTF-8, this one is not");
	for (size_t i = 0; i < rest.bytes; i++)
		if ((unsigned char)key[i] < ' ' || key[i] == 0x7f)
			return problem(FN_BAD, "a key has no control bytes");
	while (rest.data != NULL) {
		segment = span_cut(&rest, '/');
		if (span_equal(segment, SPAN(".")) ||
		    span_equal(segment, SPAN("..")))
			return problem(FN_BAD,
			    "a key has no segment \".\" or \"..\"");
	}
	return FN_OK;
}

/* It becomes a field of the request. */
static enum fn_result
type_check(const char *type)
{
	for (const char *c = type; c && *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			return problem(FN_BAD, "a type is printable ASCII");
	if (type && (!type[0] || strlen(type) > TYPE_MOST))
		return problem(FN_BAD, "a type has 1 to %d bytes", TYPE_MOST);
	return FN_OK;
}

static enum fn_result
data_check(const void *data, size_t bytes)
{
	return data || bytes == 0 ?
	    FN_OK :
	    problem(FN_BAD, "a value of %zu bytes is at NULL", bytes);
}

static enum fn_result
place_check(const void *place)
{
	return place ? FN_OK :
		       problem(FN_BAD, "there is no place for the answer");
}

static enum fn_result
op_check(const struct fn_op *op)
{
	if ((unsigned)op->kind > FN_MAX)
		return problem(FN_BAD, "there is no operation %d",
		    (int)op->kind);
	return op->kind == FN_SET ? data_check(op->data, op->bytes) : FN_OK;
}
