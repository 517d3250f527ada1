/* SPDX-License-Identifier: MIT */
/* If this fails, a storage does not keep what store.h promises: what the API
 * answers would be wrong, or differ between storages. Every test runs over
 * every engine; the last one compares SQLite with the model step by step.
 * STEPS says how many steps that takes, FCGI_HOST_SEED which. */
#include "../fault/bed.h"

#define SPAN_INIT(literal)                      \
	{                                       \
		"" literal, sizeof(literal) - 1 \
	}

static struct bed bed;

static struct got *
get(const char *key)
{
	return bed_get(&bed, "acme", key);
}

static struct got *
set(const char *key, const char *value)
{
	return bed_set(&bed, "acme", key, value);
}

static struct got *
op(struct store_op o)
{
	return bed_op(&bed, "acme", o);
}

static struct got *
list(struct store_range range)
{
	return bed_list(&bed, "acme", range);
}

static struct got *
changes(struct store_changes ask)
{
	if (ask.limit == 0)
		ask.limit = 1000;
	return bed_changes(&bed, "acme", &ask);
}

static struct store_op
delete_of(const char *key)
{
	return (struct store_op){ .kind = STORE_DELETE, .key = span_of(key) };
}

static struct store_op
sum_of(const char *key, int64_t by)
{
	return (struct store_op){
		.kind = STORE_SUM, .key = span_of(key), .number = by
	};
}

/* ---- one sentence each ------------------------------------------------------ */

static void
an_absent_tenant_is_an_empty_one(void)
{
	assert_text(get("a"), "ok v0 a ");
	assert_text(list((struct store_range){ 0 }), "ok v0 [ ] ");
	assert_text(changes((struct store_changes){ 0 }), "ok v0 ");
	assert_text(op(delete_of("a")), "ok v0 {0 0 0} ");
}

static void
what_is_set_is_read(void)
{
	assert_text(set("a", "one"), "ok v1 {1 0 0 new} ");
	assert_text(get("a"), "ok v1 a@1=one:3 ");
	assert_text(op((struct store_op){ .kind = STORE_SET,
			.key = SPAN("a"),
			.value = SPAN(""),
			.type = SPAN("text/plain") }),
	    "ok v2 {2 0 0} ");
	assert_text(get("a"), "ok v2 a@2=:0(text/plain) ");
	assert_text(set("a", "x"), "ok v3 {3 0 0} ");
	assert_text(get("a"), "ok v3 a@3=x:1 ");
}

static void
values_are_bytes(void)
{
	char value[70000], key[STORE_KEY_MOST + 1];
	struct span k = span_make(key, STORE_KEY_MOST);
	struct store_op o = { .kind = STORE_SET,
		.key = k,
		.value = span_make(value, sizeof(value)) };
	struct got *g;

	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (char)(i * 7 + i / 256);
	memset(key, 'k', sizeof(key));
	assert_status(op(o), STORE_OK);
	g = bed_read(&bed, "acme",
	    &(struct store_read){ .keys = &k, .key_count = 1, .values = true });
	assert_non_null(memmem(buf_span(&g->text).data, buf_bytes(&g->text),
	    value, sizeof(value)));
}

static void
what_changes_nothing_takes_no_version(void)
{
	set("a", "1");
	assert_text(op(delete_of("b")), "ok v1 {0 0 0} ");
	assert_text(op(delete_of("a")), "ok v2 {0 0 1} ");
	assert_text(op(delete_of("a")), "ok v2 {0 0 0} ");
	assert_text(bed_commit(&bed, "acme", &(struct store_batch){ 0 }),
	    "ok v2 ");
}

static void
a_batch_is_one_version(void)
{
	struct store_op ops[] = {
		{ .kind = STORE_SET, .key = SPAN("a"), .value = SPAN("1") },
		{ .kind = STORE_SET, .key = SPAN("b"), .value = SPAN("2") },
		{ .kind = STORE_SET, .key = SPAN("a"), .value = SPAN("3") },
		{ .kind = STORE_DELETE, .key = SPAN("b") },
		{ .kind = STORE_SUM, .key = SPAN("a"), .number = 4 },
	};

	assert_text(bed_commit(&bed, "acme",
			&(struct store_batch){
			    .ops = ops, .op_count = COUNT(ops) }),
	    "ok v1 {1 0 0 new} {1 0 0 new} {1 0 0} {0 0 1} {1 7 0} ");
	assert_text(list((struct store_range){ .values = true }),
	    "ok v1 [ a@1=7:1 ] ");
	assert_text(changes((struct store_changes){ 0 }),
	    "ok v1 1sa 1sb 1sa 1db 1sa until 1 oldest 0 ");
}

static void
checks_hold_or_nothing_happens(void)
{
	static const uint64_t one = 1, two = 2, both[] = { 2, 1 };
	static const struct {
		struct store_check check;
		const char *answer;
	} rows[] = {
		{ { STORE_ABSENT, SPAN_INIT("no"), NULL, 0 }, "ok" },
		{ { STORE_ABSENT, SPAN_INIT("a"), NULL, 0 }, "failed 0@1" },
		{ { STORE_PRESENT, SPAN_INIT("a"), NULL, 0 }, "ok" },
		{ { STORE_PRESENT, SPAN_INIT("no"), NULL, 0 }, "failed 0@0" },
		{ { STORE_VERSION, SPAN_INIT("a"), &one, 1 }, "ok" },
		{ { STORE_VERSION, SPAN_INIT("a"), both, 2 }, "ok" },
		{ { STORE_VERSION, SPAN_INIT("a"), &two, 1 }, "failed 0@1" },
		{ { STORE_VERSION, SPAN_INIT("no"), &one, 1 }, "failed 0@0" },
		{ { STORE_NOT_VERSION, SPAN_INIT("a"), &two, 1 }, "ok" },
		{ { STORE_NOT_VERSION, SPAN_INIT("no"), &two, 1 }, "ok" },
		{ { STORE_NOT_VERSION, SPAN_INIT("a"), both, 2 },
		    "failed 0@1" },
	};
	struct store_op o = {
		.kind = STORE_SET, .key = SPAN("x"), .value = SPAN("x")
	};

	set("a", "1");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct got *g = bed_commit(&bed, "acme",
		    &(struct store_batch){ .checks = &rows[i].check,
			.check_count = 1,
			.ops = &o,
			.op_count = 1 });

		if (!strstr(got_text(g), rows[i].answer))
			fail_msg("row %zu: %s instead of %s", i, got_text(g),
			    rows[i].answer);
	}
	assert_text(get("x"), "ok v7 x@7=x:1 ");
}

static void
all_failed_checks_are_told(void)
{
	struct store_check checks[] = {
		{ STORE_ABSENT, SPAN("a"), NULL, 0 },
		{ STORE_PRESENT, SPAN("a"), NULL, 0 },
		{ STORE_PRESENT, SPAN("b"), NULL, 0 },
	};

	set("a", "1");
	assert_text(bed_commit(&bed, "acme",
			&(struct store_batch){
			    .checks = checks, .check_count = 3 }),
	    "check-failed v1 failed 0@1 failed 2@0 ");
}

static void
counters_count(void)
{
	struct store_op bounded = sum_of("n", 5);

	bounded.has_most = bounded.has_least = true;
	bounded.least = -10;
	bounded.most = 10;
	assert_text(op(sum_of("n", 3)), "ok v1 {1 3 0 new} ");
	assert_text(get("n"), "ok v1 n@1=3:1 ");
	assert_text(op(bounded), "ok v2 {2 8 0} ");
	assert_text(op(bounded), "out-of-range v2 op 0 has 8 ");
	bounded.number = -18;
	assert_text(op(bounded), "ok v3 {3 -10 0} ");
	assert_text(op(bounded), "out-of-range v3 op 0 has -10 ");
	set("n", "9223372036854775807");
	assert_text(op(sum_of("n", 1)),
	    "out-of-range v4 op 0 has 9223372036854775807 ");
	assert_text(op(sum_of("n", INT64_MIN)), "ok v5 {5 -1 0} ");
	assert_text(op((struct store_op){
			.kind = STORE_MAX, .key = SPAN("n"), .number = 7 }),
	    "ok v6 {6 7 0} ");
	assert_text(op((struct store_op){
			.kind = STORE_MAX, .key = SPAN("n"), .number = 6 }),
	    "ok v7 {7 7 0} ");
	assert_text(op((struct store_op){
			.kind = STORE_MIN, .key = SPAN("n"), .number = 6 }),
	    "ok v8 {8 6 0} ");
	assert_text(op((struct store_op){
			.kind = STORE_MIN, .key = SPAN("m"), .number = 9 }),
	    "ok v9 {9 9 0 new} ");
}

static void
a_counter_keeps_its_type(void)
{
	struct store_op o = sum_of("n", 1);

	o.type = SPAN("text/new");
	op(o);
	assert_text(get("n"), "ok v1 n@1=1:1(text/new) ");
	o.type = SPAN("text/other");
	op(o);
	assert_text(get("n"), "ok v2 n@2=2:1(text/new) ");
}

static void
only_numbers_are_counted(void)
{
	static const char *const bad[] = { "", "x", "1x", "+1", "01", "-0",
		" 1", "1 ", "9223372036854775808", "-9223372036854775809",
		"1.0", "-" };

	for (size_t i = 0; i < COUNT(bad); i++) {
		set("n", bad[i]);
		assert_status(op(sum_of("n", 1)), STORE_NOT_A_NUMBER);
	}
	set("n", "-9223372036854775808");
	assert_status(op(sum_of("n", 1)), STORE_OK);
	set("n", "0");
	assert_status(op(sum_of("n", 1)), STORE_OK);
}

/* F11: a storage that commits many batches at once must take back the whole of
 * the one that fails in its middle. */
static void
a_refused_operation_takes_back_its_batch_alone(void)
{
	struct store_op good[] = {
		{ .kind = STORE_SET, .key = SPAN("good"), .value = SPAN("1") }
	};
	struct store_op bad[] = {
		{ .kind = STORE_SET, .key = SPAN("x"), .value = SPAN("1") },
		{ .kind = STORE_DELETE, .key = SPAN("keep") },
		{ .kind = STORE_SUM, .key = SPAN("text"), .number = 1 },
	};
	struct store_batch batches[] = {
		{ .ops = good, .op_count = 1 },
		{ .ops = bad, .op_count = 3 },
		{ .ops = good, .op_count = 1 },
	};
	struct got *got[30];

	set("keep", "1");
	set("text", "no number");
	for (size_t i = 0; i < COUNT(got); i++) {
		got[i] = calloc(1, sizeof(*got[i]));
		assert_int_equal(bed.engine->commit(bed.store, SPAN("acme"),
				     &batches[i % 3], got_answer, got[i]),
		    0);
	}
	for (size_t i = 0; i < COUNT(got); i++) {
		bed_wait(&bed, &got[i]->done);
		assert_status(got[i],
		    i % 3 == 1 ? STORE_NOT_A_NUMBER : STORE_OK);
		if (i % 3 == 1)
			assert_int_equal(got[i]->r.failed_op, 2);
	}
	assert_text(list((struct store_range){ 0 }),
	    "ok v22 [ good@22:1 keep@1:1 text@2:9 ] ");
	for (size_t i = 0; i < COUNT(got); i++) {
		buf_free(&got[i]->text);
		free(got[i]);
	}
}

static void
an_expired_key_is_absent(void)
{
	uint64_t now = bed_unix();
	struct store_op o = { .kind = STORE_SET,
		.key = SPAN("a"),
		.value = SPAN("1"),
		.expiry = STORE_FOR,
		.expires_ms = 1000 };
	struct store_check absent = { STORE_ABSENT, SPAN("a"), NULL, 0 };
	char text[64];

	op(o);
	snprintf(text, sizeof(text), "ok v1 a@1=1:1!%llu ",
	    (unsigned long long)now + 1000);
	assert_text(get("a"), text);
	bed_passes(999);
	assert_text(get("a"), text);
	bed_passes(1);
	assert_text(get("a"), "ok v1 a ");
	assert_text(list((struct store_range){ 0 }), "ok v1 [ ] ");
	assert_text(bed_commit(&bed, "acme",
			&(struct store_batch){
			    .checks = &absent, .check_count = 1 }),
	    "ok v1 ");
	assert_text(op(delete_of("a")), "ok v1 {0 0 0} ");
	assert_text(op(sum_of("a", 4)), "ok v2 {2 4 0 new} ");
	assert_text(get("a"), "ok v2 a@2=4:1 ");
}

static void
expiry_is_set_kept_and_taken_away(void)
{
	uint64_t now = bed_unix();
	struct store_op o = sum_of("n", 1);
	char text[64];

	o.expiry = STORE_FOR_NEW;
	o.expires_ms = 5000;
	op(o);
	snprintf(text, sizeof(text), "!%llu", (unsigned long long)now + 5000);
	bed_passes(1000);
	op(o);
	assert_non_null(strstr(got_text(get("n")), text));
	o.expiry = STORE_KEEP;
	op(o);
	assert_non_null(strstr(got_text(get("n")), text));
	o.expiry = STORE_AT;
	o.expires_ms = now + 7000;
	op(o);
	snprintf(text, sizeof(text), "!%llu", (unsigned long long)now + 7000);
	assert_non_null(strstr(got_text(get("n")), text));
	o.expiry = STORE_FOREVER;
	op(o);
	assert_null(strchr(got_text(get("n")), '!'));
	o.expiry = STORE_FOR;
	o.expires_ms = UINT64_MAX;
	op(o);
	assert_non_null(strstr(got_text(get("n")), "!9007199254740992"));
	o.expiry = STORE_AT;
	o.expires_ms = now - 1;
	op(o);
	assert_null(strchr(got_text(get("n")), '@'));
}

static void
what_expired_is_swept_and_told(void)
{
	struct store_op o = { .kind = STORE_SET,
		.key = SPAN("a"),
		.value = SPAN("1"),
		.expiry = STORE_FOR,
		.expires_ms = 1000 };

	op(o);
	set("b", "2");
	assert_int_equal(bed_sweep(&bed, 100)->r.swept, 0);
	bed_passes(1000);
	assert_int_equal(bed_sweep(&bed, 100)->r.swept, 1);
	assert_text(changes((struct store_changes){ .since = 2 }),
	    "ok v3 3xa until 3 oldest 0 ");
	assert_int_equal(bed_sweep(&bed, 100)->r.swept, 0);
	assert_text(list((struct store_range){ 0 }), "ok v3 [ b@2:1 ] ");
}

/* F9 */
static void
the_clock_never_runs_back(void)
{
	struct store_op o = { .kind = STORE_SET,
		.key = SPAN("lock"),
		.value = SPAN("1"),
		.expiry = STORE_FOR,
		.expires_ms = 30000 };
	uint64_t now;

	op(o);
	atomic_fetch_sub(&bed_unix_ms, 24 * 3600 * 1000); /* a day back */
	now = get("lock")->r.now_ms;
	assert_true(now >= bed_unix());
	bed_passes(29999);
	assert_non_null(strchr(got_text(get("lock")), '@'));
	bed_passes(1); /* time passes all the same */
	assert_null(strchr(got_text(get("lock")), '@'));
	assert_status(set("lock", "2"), STORE_OK);
	atomic_fetch_add(&bed_unix_ms, 48 * 3600 * 1000); /* a day ahead */
	assert_true(get("lock")->r.now_ms > now + 23 * 3600 * 1000);
	assert_non_null(strchr(got_text(get("lock")), '@'));
	assert_int_equal(get("lock")->r.version, 2);
}

static void
fill(void)
{
	static const char *const keys[] = { "a", "a/", "a/1", "a/2", "a/2/x",
		"a0", "b", "b/1", "c", "c/1/2", "\xff\xff" };

	for (size_t i = 0; i < COUNT(keys); i++)
		set(keys[i], "v");
}

static void
ranges_are_bytewise(void)
{
	static const struct {
		struct store_range range;
		const char *answer;
	} rows[] = {
		{ { .limit = 9, .prefix = SPAN_INIT("a/") },
		    "[ a/@2:1 a/1@3:1 a/2@4:1 a/2/x@5:1 ] " },
		{ { .limit = 9,
		      .start = SPAN_INIT("a/2"),
		      .end = SPAN_INIT("b/1") },
		    "[ a/2@4:1 a/2/x@5:1 a0@6:1 b@7:1 ] " },
		{ { .limit = 2, .reverse = true },
		    "[ \xff\xff@11:1 c/1/2@10:1 ]+ " },
		{ { .limit = 9, .prefix = SPAN_INIT("\xff") },
		    "[ \xff\xff@11:1 ] " },
		{ { .limit = 9,
		      .prefix = SPAN_INIT("b"),
		      .reverse = true,
		      .after = SPAN_INIT("b/1") },
		    "[ b@7:1 ] " },
		{ { .limit = 9, .delimiter = SPAN_INIT("/") },
		    "[ a@1:1 a/* a0@6:1 b@7:1 b/* c@9:1 c/* "
		    "\xff\xff@11:1 ] " },
		{ { .limit = 9, .delimiter = SPAN_INIT("/"), .reverse = true },
		    "[ \xff\xff@11:1 c/* c@9:1 b/* b@7:1 a0@6:1 a/* "
		    "a@1:1 ] " },
		{ { .limit = 9,
		      .prefix = SPAN_INIT("a/"),
		      .delimiter = SPAN_INIT("/") },
		    "[ a/@2:1 a/1@3:1 a/2@4:1 a/2/* ] " },
		{ { .limit = 2, .delimiter = SPAN_INIT("/") },
		    "[ a@1:1 a/* ]+ " },
		{ { .limit = 2,
		      .delimiter = SPAN_INIT("/"),
		      .after = SPAN_INIT("a/") },
		    "[ a0@6:1 b@7:1 ]+ " },
		{ { .limit = 9,
		      .start = SPAN_INIT("d"),
		      .end = SPAN_INIT("c") },
		    "[ ] " },
	};

	fill();
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct got *g = list(rows[i].range);
		const char *text = strchr(got_text(g), '[');

		if (!text || strcmp(text, rows[i].answer))
			fail_msg("row %zu: %s instead of %s", i, text,
			    rows[i].answer);
	}
}

static void
pages_follow_each_other(void)
{
	fill();
	for (unsigned how = 0; how < 8; how++) {
		struct store_range range = { .reverse = how & 1,
			.values = how & 2,
			.limit = 1000,
			.delimiter = how & 4 ? SPAN("/") : SPAN_NONE };
		struct buf all, pages;
		struct got *g = list(range);
		char next[STORE_KEY_MOST];

		buf_init(&all, 100000);
		buf_init(&pages, 100000);
		buf_put_string(&all, got_text(g));
		range.limit = 1;
		buf_put_string(&pages, "ok v11 [ ");
		do {
			const char *text;

			g = list(range);
			text = strchr(got_text(g), '[') + 2;
			buf_put(&pages,
			    span_make(text,
				(size_t)(strchr(text, ']') - text)));
			memcpy(next, g->next, g->next_bytes);
			range.after = span_make(next, g->next_bytes);
		} while (g->page_more);
		buf_put_string(&pages, "] ");
		assert_string_equal(buf_string(&pages), buf_string(&all));
		buf_free(&all);
		buf_free(&pages);
	}
}

static void
an_answer_has_a_ceiling(void)
{
	struct span keys[] = { SPAN("a"), SPAN("b"), SPAN("c") };
	struct store_range range = { .limit = 10, .values = true };

	set("a", "0123456789");
	set("b", "0123456789");
	set("c", "01");
	assert_text(bed_read(&bed, "acme",
			&(struct store_read){ .keys = keys,
			    .key_count = 3,
			    .values = true,
			    .bytes_most = 15 }),
	    "ok v3 a@1=0123456789:10 b@2:10 c@3=01:2 ");
	assert_text(bed_read(&bed, "acme",
			&(struct store_read){ .ranges = &range,
			    .range_count = 1,
			    .bytes_most = 15 }),
	    "ok v3 [ a@1=0123456789:10 ]+ ");
	assert_text(bed_read(&bed, "acme",
			&(struct store_read){ .ranges = &range,
			    .range_count = 1,
			    .bytes_most = 1 }),
	    "ok v3 [ a@1=0123456789:10 ]+ ");
}

static void
ranges_are_deleted_in_order(void)
{
	struct store_op o = {
		.kind = STORE_DELETE_RANGE, .key = SPAN("a/"), .limit = 3
	};

	fill();
	assert_text(op(o), "ok v12 {0 0 3 more} ");
	assert_text(op(o), "ok v13 {0 0 1} ");
	assert_text(op(o), "ok v13 {0 0 0} ");
	assert_text(changes((struct store_changes){ .since = 11 }),
	    "ok v13 12da/ 12da/1 12da/2 13da/2/x until 13 oldest 0 ");
	o.key = SPAN("");
	o.limit = 1000;
	assert_text(op(o), "ok v14 {0 0 7} ");
	assert_text(list((struct store_range){ 0 }), "ok v14 [ ] ");
}

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

/* ---- the model (F14) -------------------------------------------------------- */

static uint64_t random_state;

static uint64_t
random_below(uint64_t below)
{
	return rows_random(&random_state, below);
}

/* A batch of random operations, all on few keys, so that they meet. */
struct random_batch {
	struct store_batch batch;
	struct store_op ops[6];
	struct store_check checks[3];
	uint64_t versions[3][2];
	char keys[9][16];
	char values[6][64];
	char idem[16];
	char print[16];
};

static struct span
random_key(char key[16])
{
	static const char *const heads[] = { "", "a", "a/", "a/b/", "c/" };

	snprintf(key, 16, "%sk%u", heads[random_below(COUNT(heads))],
	    (unsigned)random_below(6));
	return span_of(key);
}

static void
random_op(struct random_batch *r, size_t i, uint64_t version)
{
	static const enum store_op_kind kinds[] = { STORE_SET, STORE_SET,
		STORE_SET, STORE_DELETE, STORE_SUM, STORE_SUM, STORE_MIN,
		STORE_MAX, STORE_DELETE_RANGE };
	struct store_op *o = &r->ops[i];

	*o = (struct store_op){
		.kind = kinds[random_below(COUNT(kinds))],
		.expiry = (enum store_expiry)random_below(5),
		.key = random_key(r->keys[i]),
		.number = (int64_t)random_below(40) - 20,
		.has_least = random_below(4) == 0,
		.has_most = random_below(4) == 0,
		.least = -30,
		.most = 30,
		.limit = 1 + random_below(5),
	};
	o->expires_ms = o->expiry == STORE_AT ?
	    bed_unix() + random_below(5000) :
	    1 + random_below(5000);
	if (o->kind == STORE_DELETE_RANGE && random_below(2))
		o->key = span_take(o->key, random_below(3));
	if (random_below(2))
		snprintf(r->values[i], sizeof(r->values[i]), "%d",
		    (int)random_below(50) - 25);
	else
		snprintf(r->values[i], sizeof(r->values[i]), "text %llu %.*s",
		    (unsigned long long)version, (int)random_below(40),
		    "........................................");
	o->value = span_of(r->values[i]);
	if (random_below(3) == 0)
		o->type = SPAN("text/plain");
}

static void
random_batch(struct random_batch *r, uint64_t version)
{
	size_t op_count = random_below(COUNT(r->ops)) + 1;
	size_t check_count = random_below(8) < 5 ? 0 : random_below(4);

	memset(r, 0, sizeof(*r));
	for (size_t i = 0; i < op_count; i++)
		random_op(r, i, version);
	for (size_t i = 0; i < check_count; i++) {
		r->versions[i][0] = random_below(version + 2);
		r->versions[i][1] = random_below(version + 2);
		r->checks[i] = (struct store_check){
			.kind = (enum store_check_kind)random_below(4),
			.key = random_key(r->keys[6 + i]),
			.versions = r->versions[i],
			.version_count = random_below(3),
		};
	}
	r->batch = (struct store_batch){
		.checks = r->checks,
		.check_count = check_count,
		.ops = r->ops,
		.op_count = op_count,
	};
	if (random_below(6) == 0) {
		snprintf(r->idem, sizeof(r->idem), "i%u",
		    (unsigned)random_below(30));
		snprintf(r->print, sizeof(r->print), "p%u",
		    (unsigned)random_below(3) / 2);
		r->batch.idem_key = span_of(r->idem);
		r->batch.idem_print = span_of(r->print);
		r->batch.reply = reply_words;
	}
}

static void
same(struct got *a, struct got *b, uint64_t step, const char *what)
{
	if (strcmp(got_text(a), got_text(b)))
		fail_msg("step %llu, %s:\n sqlite %s\n model  %s\n (%s; %s)",
		    (unsigned long long)step, what, got_text(a), got_text(b),
		    a->detail, b->detail);
}

/* Expired keys are swept in any order: the words of a commit, sorted. */
static int
compare_words(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
sort_words(struct got *g)
{
	char *words[4096], *save = NULL, *text = strdup(got_text(g));
	size_t count = 0;

	for (char *w = strtok_r(text, " ", &save); w && count < COUNT(words);
	     w = strtok_r(NULL, " ", &save))
		words[count++] = w;
	qsort(words, count, sizeof(*words), compare_words);
	buf_clear(&g->text);
	for (size_t i = 0; i < count; i++)
		buf_printf(&g->text, "%s ", words[i]);
	free(text);
}

static void
model_step(struct bed *sqlite, struct bed *model, uint64_t step,
    uint64_t *version)
{
	static struct random_batch batch;
	char key[16], after[16];
	struct span keys[3];
	char texts[3][16];
	struct store_range range;
	struct store_changes ask;
	struct got *a, *b;
	uint64_t kind = random_below(100);

	if (kind < 55) {
		random_batch(&batch, *version);
		a = bed_commit(sqlite, "acme", &batch.batch);
		b = bed_commit(model, "acme", &batch.batch);
		same(a, b, step, "commit");
		*version = a->r.version;
	} else if (kind < 65) {
		for (size_t i = 0; i < 3; i++)
			keys[i] = random_key(texts[i]);
		same(bed_read(sqlite, "acme",
			 &(struct store_read){
			     .keys = keys, .key_count = 3, .values = true }),
		    bed_read(model, "acme",
			&(struct store_read){
			    .keys = keys, .key_count = 3, .values = true }),
		    step, "points");
	} else if (kind < 80) {
		range = (struct store_range){
			.prefix = span_take(random_key(key), random_below(5)),
			.reverse = random_below(2),
			.values = random_below(2),
			.limit = 1 + random_below(8),
			.delimiter = random_below(2) ? SPAN("/") : SPAN_NONE,
		};
		if (random_below(3) == 0)
			range.after = random_key(after);
		if (random_below(3) == 0)
			range.start = random_key(texts[0]);
		if (random_below(3) == 0)
			range.end = random_key(texts[1]);
		same(bed_list(sqlite, "acme", range),
		    bed_list(model, "acme", range), step, "range");
	} else if (kind < 88) {
		ask = (struct store_changes){
			.since = *version > 40 ?
			    *version - 40 + random_below(41) :
			    random_below(*version + 1),
			.prefix = span_take(random_key(key), random_below(4)),
			.limit = 1 + random_below(30),
		};
		a = bed_changes(sqlite, "acme", &ask);
		b = bed_changes(model, "acme", &ask);
		sort_words(a);
		sort_words(b);
		same(a, b, step, "changes");
	} else if (kind < 94) {
		bed_get(sqlite, "acme", "k"); /* only open files are swept */
		a = bed_sweep(sqlite, 100000);
		b = bed_sweep(model, 100000);
		if (a->r.swept != b->r.swept)
			fail_msg("step %llu: %llu swept instead of %llu (%s)",
			    (unsigned long long)step,
			    (unsigned long long)a->r.swept,
			    (unsigned long long)b->r.swept, a->detail);
	} else if (kind < 99) {
		bed_passes(random_below(2000));
		if (random_below(20) == 0) /* somebody sets the clock */
			atomic_fetch_add(&bed_unix_ms,
			    random_below(200000) - 100000);
	} else if (random_below(4) == 0) {
		struct store_tenant drop = { .op = STORE_TENANT_DROP };

		a = bed_tenant(sqlite, "acme", &drop);
		b = bed_tenant(model, "acme", &drop);
		same(a, b, step, "drop");
		/* a refused first batch may leave an empty tenant or none, so
		 * the first one here is not refused */
		a = bed_set(sqlite, "acme", "k", "1");
		same(a, bed_set(model, "acme", "k", "1"), step, "set");
		*version = a->r.version;
	} else {
		/* what lasts is what was */
		bed_close(sqlite);
		bed_open(sqlite);
		/* from here on its clock runs again */
		bed_get(sqlite, "acme", "k");
	}
}

static void
F14_sqlite_does_what_the_model_does(void **state)
{
	const char *steps_text = getenv("STEPS");
	uint64_t steps = steps_text ? strtoull(steps_text, NULL, 10) : 5000;
	struct bed sqlite, model;
	uint64_t version = 0;

	(void)state;
	random_state = rows_seed();
	bed_make(&sqlite, "sqlite");
	bed_make(&model, "memory");
	sqlite.config.threads = model.config.threads = 1;
	sqlite.config.log_commits_most = model.config.log_commits_most = 30;
	sqlite.config.idem_ms = model.config.idem_ms = 20000;
	bed_open(&sqlite);
	bed_open(&model);
	version = bed_set(&sqlite, "acme", "k", "1")->r.version;
	bed_set(&model, "acme", "k", "1");
	for (uint64_t step = 0; step < steps; step++)
		model_step(&sqlite, &model, step, &version);
	bed_free(&sqlite);
	bed_free(&model);
}

/* ---- the breaking storage --------------------------------------------------- */

/* What a caller must live with: an answer that is lost, a call that fails. With
 * an idempotency key it repeats until it knows, and counts once. */
static void
lost_answers_are_repeated(void **state)
{
	struct store_fault_plan plan = {
		.seed = 7, .fail_per_mille = 200, .lose_per_mille = 200
	};
	struct store_op o = sum_of("n", 1);
	unsigned failed = 0, unknown = 0;
	char key[16];

	(void)state;
	bed_make(&bed, "fault over sqlite");
	bed_open(&bed);
	store_fault_change(bed.store, &plan);
	for (unsigned i = 0; i < 300; i++) {
		struct store_batch batch = repeatable(&o, key, "print");
		struct got *g;

		snprintf(key, sizeof(key), "key%u", i);
		batch.idem_key = span_of(key);
		while ((g = bed_commit(&bed, "acme", &batch))->r.status !=
		    STORE_OK) {
			assert_status(g, STORE_FAILED);
			failed++;
			unknown += g->r.unknown;
		}
	}
	plan.fail_per_mille = plan.lose_per_mille = 0;
	store_fault_change(bed.store, &plan);
	assert_true(failed > unknown && unknown > 20);
	assert_text(get("n"), "ok v300 n@300=300:3 ");
	bed_free(&bed);
}

/* ---- all over all ----------------------------------------------------------- */

#define EACH(ROW)                                           \
	ROW(an_absent_tenant_is_an_empty_one)               \
	ROW(what_is_set_is_read)                            \
	ROW(values_are_bytes)                               \
	ROW(what_changes_nothing_takes_no_version)          \
	ROW(a_batch_is_one_version)                         \
	ROW(checks_hold_or_nothing_happens)                 \
	ROW(all_failed_checks_are_told)                     \
	ROW(counters_count)                                 \
	ROW(a_counter_keeps_its_type)                       \
	ROW(only_numbers_are_counted)                       \
	ROW(a_refused_operation_takes_back_its_batch_alone) \
	ROW(an_expired_key_is_absent)                       \
	ROW(expiry_is_set_kept_and_taken_away)              \
	ROW(what_expired_is_swept_and_told)                 \
	ROW(the_clock_never_runs_back)                      \
	ROW(ranges_are_bytewise)                            \
	ROW(pages_follow_each_other)                        \
	ROW(an_answer_has_a_ceiling)                        \
	ROW(ranges_are_deleted_in_order)                    \
	ROW(changes_end_with_a_commit)                      \
	ROW(old_changes_are_gone)                           \
	ROW(a_repeated_request_has_one_effect)              \
	ROW(what_was_refused_may_be_repeated)               \
	ROW(repeats_in_flight_have_one_effect)              \
	ROW(a_dropped_tenant_begins_above)                  \
	ROW(a_frozen_tenant_takes_reads_only)               \
	ROW(a_tenant_is_described)                          \
	ROW(tenants_are_apart_and_listed)                   \
	ROW(bad_names_are_refused)                          \
	ROW(values_have_a_ceiling)                          \
	ROW(who_watches_is_told)                            \
	ROW(commits_keep_their_order)                       \
	ROW(too_much_at_once_is_refused)

struct sentence {
	const char *name;
	void (*run)(void);
	const char *engine;
};

static void
run_sentence(void **state)
{
	const struct sentence *s = *state;

	bed_make(&bed, s->engine);
	bed_open(&bed);
	s->run();
	bed_free(&bed);
}

int
main(void)
{
#define SENTENCE(name) { #name, name, "memory" },
	static const struct sentence sentences[] = { EACH(SENTENCE) };
	static const char *const engines[] = { "memory", "sqlite",
		"fault over memory", "fault over sqlite" };
	static struct sentence rows[COUNT(engines)][COUNT(sentences)];
	const struct CMUnitTest others[] = {
		cmocka_unit_test(F14_sqlite_does_what_the_model_does),
		cmocka_unit_test(lost_answers_are_repeated),
	};
	int failed = 0;

	for (size_t e = 0; e < COUNT(engines); e++) {
		for (size_t i = 0; i < COUNT(sentences); i++) {
			rows[e][i] = sentences[i];
			rows[e][i].engine = engines[e];
		}
		print_message("over %s\n", engines[e]);
		failed += rows_run(engines[e], rows[e], COUNT(rows[e]),
		    sizeof(rows[e][0]), run_sentence);
	}
	failed += cmocka_run_group_tests(others, NULL, NULL);
	return failed;
}
