/* SPDX-License-Identifier: MIT */
/* commit.c - what changes something, and the reply to it. The reply is written by
 * one function that looks at the call and the result alone, because the store runs
 * it inside the commit of a request with an Idempotency-Key: what a repeat gets
 * is as durable as the change. */
#include <openssl/evp.h>

#include "state/api.h"
#include "state/page.h"

enum { REPLY_MOST = 4 * 1024 * 1024 };

static call_fn committed;
static bool idempotent(struct call *);
static int key_of(struct span field, struct span *key);
static int fingerprint(const struct call *, char print[32]);
static int write_reply(void *arg, const struct store_result *, struct buf *);
static int write_body(const struct call *, const struct store_result *,
    struct buf *);
static void check_failed(struct call *, const struct store_result *);

void
commit_run(struct call *c)
{
	if (c->idempotency_key.data != NULL && !idempotent(c))
		return;
	call_commit(c, committed);
}

static void
committed(struct call *c, const struct store_result *result)
{
	struct buf reply;

	if (result->status == STORE_CHECK_FAILED) {
		check_failed(c, result);
		return;
	}
	if (result->status != STORE_OK) {
		reply_failed(c, result);
		return;
	}
	if (result->replayed) {
		c->api->figures.replayed++;
		c->replayed = true;
		reply_send(c, result->reply, SPAN(""));
		return;
	}
	buf_init(&reply, REPLY_MOST);
	if (write_reply(c, result, &reply) == 0) {
		reply_send(c, buf_span(&reply), SPAN(""));
		buf_free(&reply);
		return;
	}
	buf_free(&reply);
	reply_problem_with(c, PROBLEM_STORAGE_UNAVAILABLE,
	    SPAN(",\"outcome\":\"unknown\""),
	    "it was done, but there is no memory to say so");
}

/* ---- Idempotency-Key -------------------------------------------------------------- */

/* False when it was answered. */
static bool
idempotent(struct call *c)
{
	struct span key;

	if (key_of(c->idempotency_key, &key) != 0) {
		reply_problem(c, PROBLEM_BAD_HEADER,
		    "Idempotency-Key is to be a string of 1 to %d printable "
		    "ASCII characters in quotes",
		    STORE_IDEM_MOST);
		return false;
	}
	buf_init(&c->idem_name, STORE_TENANT_MOST + 1 + STORE_IDEM_MOST);
	if (fingerprint(c, c->idem_print) != 0 ||
	    buf_put(&c->idem_name, call_tenant(c)) != 0 ||
	    buf_put_byte(&c->idem_name, '/') != 0 ||
	    buf_put(&c->idem_name, key) != 0) {
		reply_undone(c, "there is no memory");
		return false;
	}
	if (map_add(&c->api->idempotency, &c->idem, buf_span(&c->idem_name))) {
		reply_problem(c, PROBLEM_IDEMPOTENCY_IN_FLIGHT, "%s", "");
		return false;
	}
	c->in_flight = true;
	c->batch.idem_key = key;
	c->batch.idem_print = span_make(c->idem_print, sizeof(c->idem_print));
	c->batch.reply = write_reply;
	c->batch.reply_arg = c;
	return true;
}

/* A string of RFC 8941 in its quotes; without them is fine too. */
static int
key_of(struct span field, struct span *key)
{
	field = span_trim(field);
	if (field.bytes >= 2 && field.data[0] == '"' &&
	    field.data[field.bytes - 1] == '"')
		field = span_take(span_skip(field, 1), field.bytes - 2);
	if (field.bytes == 0 || field.bytes > STORE_IDEM_MOST)
		return -1;
	for (size_t i = 0; i < field.bytes; i++)
		if (field.data[i] <= ' ' || field.data[i] > '~' ||
		    field.data[i] == '"' || field.data[i] == '\\')
			return -1;
	*key = field;
	return 0;
}

/* Of all that makes it this request and no other. */
static int
fingerprint(const struct call *c, char print[32])
{
	const struct span parts[] = { c->method, c->uri, c->type, c->if_match,
		c->if_none_match, buf_span(&c->body) };
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	bool good =
	    hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;

	for (size_t i = 0; good && i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t bytes = parts[i].bytes; /* where each ends */

		good = EVP_DigestUpdate(hash, &bytes, sizeof(bytes)) == 1 &&
		    EVP_DigestUpdate(hash, parts[i].data, parts[i].bytes) == 1;
	}
	good =
	    good && EVP_DigestFinal_ex(hash, (unsigned char *)print, NULL) == 1;
	EVP_MD_CTX_free(hash);
	return good ? 0 : -1;
}

/* ---- the reply ------------------------------------------------------------------- */

/* Also run by threads of the store. */
static int
write_reply(void *arg, const struct store_result *result, struct buf *out)
{
	const struct call *c = arg;
	enum route route = c->target.route;
	struct buf body;
	int failed;

	if (route == ROUTE_PUT)
		return buf_printf(out,
		    "Status: %s\r\nETag: \"%llu\"\r\nFn-Version: %llu\r\n\r\n",
		    result->ops[0].created ?
			"201 Created\r\nContent-Length: 0" :
			"204 No Content",
		    (unsigned long long)result->ops[0].version,
		    (unsigned long long)result->version);
	if (route == ROUTE_DELETE)
		return buf_printf(out,
		    "Status: 204 No Content\r\nFn-Version: %llu\r\n\r\n",
		    (unsigned long long)result->version);

	buf_init(&body, REPLY_MOST);
	failed = write_body(c, result, &body) ||
	    buf_printf(out,
		"Status: 200 OK\r\nFn-Version: %llu\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n",
		(unsigned long long)result->version, buf_bytes(&body)) ||
	    (route == ROUTE_COUNTER &&
		buf_printf(out, "ETag: \"%llu\"\r\n",
		    (unsigned long long)result->ops[0].version)) ||
	    buf_put_string(out, "\r\n") || buf_put(out, buf_span(&body));
	buf_free(&body);
	return failed ? -1 : 0;
}

static int
write_body(const struct call *c, const struct store_result *result,
    struct buf *out)
{
	const struct store_op_result *first = &result->ops[0];

	if (c->target.route == ROUTE_BULK)
		return buf_printf(out,
		    "{\"version\":%llu,\"deleted\":%llu,\"more\":%s}\n",
		    (unsigned long long)result->version,
		    (unsigned long long)first->deleted,
		    first->more ? "true" : "false");
	if (c->target.route == ROUTE_COUNTER)
		return buf_printf(out, "{\"value\":%lld,\"version\":%llu}\n",
		    (long long)first->value,
		    (unsigned long long)first->version);
	return page_results(out, result, &c->batch);
}

static void
check_failed(struct call *c, const struct store_result *result)
{
	struct buf more;

	if (c->target.route != ROUTE_ATOMIC) {
		reply_conditions(c, result->failed[0].version);
		return;
	}
	buf_init(&more, REPLY_MOST);
	if (page_failed(&more, result, &c->batch) != 0)
		buf_clear(&more);
	reply_problem_with(c, PROBLEM_CHECK_FAILED, buf_span(&more),
	    "%zu of %zu checks did not hold", result->failed_count,
	    c->batch.check_count);
	buf_free(&more);
}
