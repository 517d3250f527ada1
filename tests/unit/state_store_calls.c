/* SPDX-License-Identifier: MIT */
/* If this fails, a storage does not keep what store.h promises of changes,
 * repeats, tenants, watching and the order of calls: what the API answers would
 * be wrong, or differ between storages. */
#include "../fault/suite.h"

static void
changes_end_with_a_commit(void)
{
	struct store_op ops[] = {
		{ .kind = STORE_SET, .key = SPAN("a"), .value = SPAN("1") },
		{ .kind = STORE_SET, .key = SPAN("b"), .value = SPAN("2") },
	};
	struct store_batch batch = { .ops = ops, .op_count = 2 };

	bed_commit(&bed, "acme", &batch);
	bed_commit(&bed, "acme", &batch);
	set("ab", "3");
	assert_text(changes((struct store_changes){ .limit = 1 }),
	    "ok v3 1sa 1sb until 1 oldest 0 more ");
	assert_text(changes((struct store_changes){ .since = 1, .limit = 3 }),
	    "ok v3 2sa 2sb 3sab until 3 oldest 0 ");
	assert_text(changes((struct store_changes){ .prefix = SPAN("a") }),
	    "ok v3 1sa 2sa 3sab until 3 oldest 0 ");
	assert_text(changes((struct store_changes){
			.prefix = SPAN("a"), .exact = true }),
	    "ok v3 1sa 2sa until 3 oldest 0 ");
	assert_text(changes((struct store_changes){ .since = 3 }),
	    "ok v3 until 3 oldest 0 ");
	assert_text(changes((struct store_changes){ .since = 4 }), "gone v3 ");
}

static void
old_changes_are_gone(void)
{
	bed_close(&bed);
	bed.config.log_commits_most = 5;
	bed_open(&bed);
	for (unsigned i = 0; i < 20; i++)
		set("a", "1");
	bed_sweep(&bed, 1000);
	assert_text(changes((struct store_changes){ .since = 14 }),
	    "gone v20 until 0 oldest 15 ");
	assert_text(changes((struct store_changes){ .since = 15 }),
	    "ok v20 16sa 17sa 18sa 19sa 20sa until 20 oldest 15 ");
	bed_passes(24 * 3600 * 1000 + 1);
	set("a", "1");
	bed_sweep(&bed, 1000);
	assert_text(changes((struct store_changes){ .since = 20 }),
	    "ok v21 21sa until 21 oldest 20 ");
	assert_text(changes((struct store_changes){ .since = 19 }),
	    "gone v21 until 0 oldest 20 ");
}

static int
reply_words(void *arg, const struct store_result *r, struct buf *reply)
{
	(void)arg;
	return buf_printf(reply, "version %llu value %lld",
	    (unsigned long long)r->version, (long long)r->ops[0].value);
}

static struct store_batch
repeatable(const struct store_op *o, const char *key, const char *print)
{
	return (struct store_batch){ .idem_key = span_of(key),
		.idem_print = span_of(print),
		.reply = reply_words,
		.ops = o,
		.op_count = 1 };
}

static void
a_repeated_request_has_one_effect(void)
{
	struct store_op o = sum_of("n", 1);
	struct store_batch batch = repeatable(&o, "key", "print");
	struct store_batch other = repeatable(&o, "key", "other");

	assert_text(bed_commit(&bed, "acme", &batch), "ok v1 {1 1 0 new} ");
	assert_text(bed_commit(&bed, "acme", &batch),
	    "ok v1 again version 1 value 1 ");
	assert_text(bed_commit(&bed, "acme", &other), "idem-mismatch v1 ");
	assert_text(get("n"), "ok v1 n@1=1:1 ");
	bed_passes(24 * 3600 * 1000);
	assert_text(bed_commit(&bed, "acme", &other), "ok v2 {2 2 0} ");
	assert_text(bed_commit(&bed, "acme", &batch), "idem-mismatch v2 ");
	bed_passes(24 * 3600 * 1000);
	assert_true(bed_sweep(&bed, 1000)->r.swept >= 1);
	assert_text(bed_commit(&bed, "acme", &batch), "ok v3 {3 3 0} ");
}

static void
what_was_refused_may_be_repeated(void)
{
	struct store_op o = sum_of("n", 1);
	struct store_batch batch = repeatable(&o, "key", "print");

	set("n", "x");
	assert_status(bed_commit(&bed, "acme", &batch), STORE_NOT_A_NUMBER);
	set("n", "5");
	assert_text(bed_commit(&bed, "acme", &batch), "ok v3 {3 6 0} ");
	assert_text(bed_commit(&bed, "acme", &batch),
	    "ok v3 again version 3 value 6 ");
}

static void
repeats_in_flight_have_one_effect(void)
{
	struct store_op o = sum_of("n", 1);
	struct store_batch batch = repeatable(&o, "key", "print");
	struct got *got = calloc(20, sizeof(*got));
	unsigned first = 0;

	for (size_t i = 0; i < 20; i++)
		assert_int_equal(bed.engine->commit(bed.store, SPAN("acme"),
				     &batch, got_answer, &got[i]),
		    0);
	for (size_t i = 0; i < 20; i++) {
		bed_wait(&bed, &got[i].done);
		assert_status(&got[i], STORE_OK);
		first += !got[i].r.replayed;
		buf_free(&got[i].text);
	}
	assert_int_equal(first, 1);
	assert_text(get("n"), "ok v1 n@1=1:1 ");
	free(got);
}

static void
a_dropped_tenant_begins_above(void)
{
	struct store_tenant drop = { .op = STORE_TENANT_DROP };
	struct got *g;
	uint64_t version;

	assert_status(bed_tenant(&bed, "acme", &drop), STORE_NO_TENANT);
	set("a", "1");
	set("a", "2");
	assert_status(bed_tenant(&bed, "acme", &drop), STORE_OK);
	g = get("a");
	assert_true((version = g->r.version) > 2);
	assert_null(strchr(got_text(g), '@'));
	assert_status(bed_tenant(&bed, "acme", &drop), STORE_NO_TENANT);
	assert_status(changes((struct store_changes){ .since = 2 }),
	    STORE_GONE);
	g = set("a", "3");
	assert_true(g->r.version > version && g->ops[0].created);
	version = g->r.version;
	bed_tenant(&bed, "acme", &drop);
	assert_true(set("a", "4")->r.version > version);
}

static void
a_frozen_tenant_takes_reads_only(void)
{
	struct store_tenant ask = { .op = STORE_TENANT_CHANGE,
		.set = STORE_SET_FROZEN,
		.frozen = true };

	assert_status(bed_tenant(&bed, "acme", &ask), STORE_NO_TENANT);
	set("a", "1");
	assert_status(bed_tenant(&bed, "acme", &ask), STORE_OK);
	assert_status(set("a", "2"), STORE_FROZEN);
	assert_text(get("a"), "ok v1 a@1=1:1 ");
	ask.frozen = false;
	bed_tenant(&bed, "acme", &ask);
	assert_status(set("a", "2"), STORE_OK);
}

static void
a_tenant_is_described(void)
{
	struct store_tenant ask = { .op = STORE_TENANT_CREATE,
		.set = STORE_SET_QUOTA | STORE_SET_DURABILITY,
		.quota_bytes = 1 << 20,
		.durability = STORE_RELAXED };
	struct store_op o = { .kind = STORE_SET,
		.key = SPAN("b"),
		.value = SPAN("1"),
		.expiry = STORE_FOR,
		.expires_ms = 1000 };
	struct got *g;

	assert_status(bed_tenant(&bed, "acme", &ask), STORE_OK);
	assert_status(bed_tenant(&bed, "acme", &ask), STORE_OK);
	set("a", "1");
	op(o);
	bed_passes(1000);
	ask.op = STORE_TENANT_STAT;
	g = bed_tenant(&bed, "acme", &ask);
	assert_int_equal(g->usage.keys, 1);
	assert_int_equal(g->usage.quota_bytes, 1 << 20);
	assert_int_equal(g->usage.durability, STORE_RELAXED);
	assert_int_equal(g->r.version, 2);
	assert_true(g->usage.bytes > 0);
	g = bed_tenant(&bed, "nobody", &ask);
	assert_status(g, STORE_OK);
	assert_int_equal(g->usage.keys, 0);
}

static void
tenants_are_apart_and_listed(void)
{
	struct got *g;

	bed_set(&bed, "one", "a", "1");
	bed_set(&bed, "two", "a", "2");
	bed_set(&bed, "three_3", "a", "3");
	bed_get(&bed, "nobody", "a");
	assert_text(bed_get(&bed, "one", "a"), "ok v1 a@1=1:1 ");
	assert_text(bed_get(&bed, "two", "a"), "ok v1 a@1=2:1 ");
	g = bed_slot();
	bed.engine->tenants(bed.store, SPAN_NONE, 2, got_answer, g);
	bed_wait(&bed, &g->done);
	assert_text(g, "ok v0 one three_3 more ");
	g = bed_slot();
	bed.engine->tenants(bed.store, SPAN("three_3"), 2, got_answer, g);
	bed_wait(&bed, &g->done);
	assert_text(g, "ok v0 two ");
}

static void
bad_names_are_refused(void)
{
	static const char *const tenants[] = {
		"", "A", "a.b", "..", "../x", "a/b", "-a", "_a",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	};
	char key[STORE_KEY_MOST + 1];

	for (size_t i = 0; i < COUNT(tenants); i++) {
		assert_status(bed_get(&bed, tenants[i], "a"), STORE_BAD_NAME);
		assert_status(bed_set(&bed, tenants[i], "a", "1"),
		    STORE_BAD_NAME);
	}
	memset(key, 'k', sizeof(key));
	assert_status(set("", "1"), STORE_BAD_NAME);
	assert_status(op((struct store_op){
			  .kind = STORE_SET, .key = span_make("a\0b", 3) }),
	    STORE_BAD_NAME);
	assert_status(op((struct store_op){ .kind = STORE_SET,
			  .key = span_make(key, sizeof(key)) }),
	    STORE_BAD_NAME);
}

static void
values_have_a_ceiling(void)
{
	size_t most = (1 << 20) + 1;
	char *value = calloc(1, most);
	struct store_op o = { .kind = STORE_SET,
		.key = SPAN("a"),
		.value = span_make(value, most) };

	assert_status(op(o), STORE_TOO_LARGE);
	o.value.bytes--;
	assert_status(op(o), STORE_OK);
	free(value);
}

struct watcher {
	struct store_watch watch;
	unsigned calls;
	uint64_t version;
	bool any;
};

static void
moved(void *arg, uint64_t version)
{
	struct watcher *w = arg;

	assert_true(!w->calls || version > w->version);
	w->calls++;
	w->version = version;
	w->any = true;
}

static void
who_watches_is_told(void)
{
	struct watcher w[2] = { { .watch.callback = moved },
		{ .watch.callback = moved } };
	struct store_op o = { .kind = STORE_SET,
		.key = SPAN("b"),
		.value = SPAN("1"),
		.expiry = STORE_FOR,
		.expires_ms = 1000 };

	set("a", "1");
	for (size_t i = 0; i < 2; i++) {
		w[i].watch.arg = &w[i];
		assert_int_equal(bed.engine->watch(bed.store, SPAN("acme"),
				     &w[i].watch),
		    0);
		assert_int_equal(w[i].calls, 0);
		bed_wait(&bed, &w[i].any);
		assert_int_equal(w[i].version, 1);
	}
	assert_int_equal(w[0].calls, 1);
	set("a", "2");
	assert_int_equal(w[0].version, 2);
	assert_int_equal(w[1].version, 2);
	bed_set(&bed, "other", "a", "1");
	get("a");
	assert_int_equal(w[0].calls, 2);
	bed.engine->unwatch(bed.store, &w[0].watch);
	op(o);
	assert_int_equal(w[0].calls, 2);
	assert_int_equal(w[1].version, 3);
	bed_passes(1000);
	bed_sweep(&bed, 10);
	assert_int_equal(w[1].version, 4);
	bed.engine->unwatch(bed.store, &w[1].watch);
	set("a", "3");
	assert_int_equal(w[1].calls, 4);
	assert_int_equal(bed.engine->watch(bed.store, SPAN("../x"),
			     &w[0].watch),
	    -1);
}

struct flow {
	struct store_op op;
	struct store_batch batch;
	char key[16];
	unsigned answers;
	uint64_t version;
};

static struct flow *flows;
static unsigned answered;

static void
flow_done(void *arg, const struct store_result *r)
{
	struct flow *f = arg;

	assert_int_equal(r->status, STORE_OK);
	f->answers++;
	f->version = r->version;
	answered++;
}

static void
commits_keep_their_order(void)
{
	enum { FLOWS = 3000 };

	flows = calloc(FLOWS, sizeof(*flows));
	answered = 0;
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow *f = &flows[i];

		snprintf(f->key, sizeof(f->key), "key%u", i % 50);
		f->op = (struct store_op){ .kind = STORE_SET,
			.key = span_of(f->key),
			.value = span_of(f->key) };
		f->batch = (struct store_batch){ .ops = &f->op, .op_count = 1 };
		assert_int_equal(bed.engine->commit(bed.store, SPAN("acme"),
				     &f->batch, flow_done, f),
		    0);
	}
	/* closing answers what was taken */
	bed_close(&bed);
	assert_int_equal(answered, FLOWS);
	for (unsigned i = 0; i < FLOWS; i++) {
		assert_int_equal(flows[i].answers, 1);
		assert_int_equal(flows[i].version, i + 1);
	}
	free(flows);
}

static void
too_much_at_once_is_refused(void)
{
	struct span key = SPAN("a");
	struct store_read read = { .keys = &key, .key_count = 1 };
	struct got got[5] = { 0 };

	if (bed.faulty)
		return; /* it lines calls up itself */
	bed_close(&bed);
	bed.config.queue_most = 4;
	bed_open(&bed);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(bed.engine->read(bed.store, SPAN("acme"),
				     &read, got_answer, &got[i]),
		    0);
	assert_int_equal(bed.engine->read(bed.store, SPAN("acme"), &read,
			     got_answer, &got[4]),
	    -1);
	assert_int_equal(errno, EAGAIN);
	for (size_t i = 0; i < 4; i++) {
		bed_wait(&bed, &got[i].done);
		buf_free(&got[i].text);
	}
}

int
main(void)
{
	static const struct sentence sentences[] = {
		SENTENCE(changes_end_with_a_commit),
		SENTENCE(old_changes_are_gone),
		SENTENCE(a_repeated_request_has_one_effect),
		SENTENCE(what_was_refused_may_be_repeated),
		SENTENCE(repeats_in_flight_have_one_effect),
		SENTENCE(a_dropped_tenant_begins_above),
		SENTENCE(a_frozen_tenant_takes_reads_only),
		SENTENCE(a_tenant_is_described),
		SENTENCE(tenants_are_apart_and_listed),
		SENTENCE(bad_names_are_refused),
		SENTENCE(values_have_a_ceiling),
		SENTENCE(who_watches_is_told),
		SENTENCE(commits_keep_their_order),
		SENTENCE(too_much_at_once_is_refused),
	};

	return suite_run(sentences, COUNT(sentences));
}
