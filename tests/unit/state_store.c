/* SPDX-License-Identifier: MIT */
/* If this fails, a storage does not keep what store.h promises of keys, batches,
 * counters, times and ranges: what the API answers would be wrong, or differ
 * between storages. */
#include "../fault/suite.h"

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

int
main(void)
{
	static const struct sentence sentences[] = {
		SENTENCE(an_absent_tenant_is_an_empty_one),
		SENTENCE(what_is_set_is_read),
		SENTENCE(values_are_bytes),
		SENTENCE(what_changes_nothing_takes_no_version),
		SENTENCE(a_batch_is_one_version),
		SENTENCE(checks_hold_or_nothing_happens),
		SENTENCE(all_failed_checks_are_told),
		SENTENCE(counters_count),
		SENTENCE(a_counter_keeps_its_type),
		SENTENCE(only_numbers_are_counted),
		SENTENCE(a_refused_operation_takes_back_its_batch_alone),
		SENTENCE(an_expired_key_is_absent),
		SENTENCE(expiry_is_set_kept_and_taken_away),
		SENTENCE(what_expired_is_swept_and_told),
		SENTENCE(the_clock_never_runs_back),
		SENTENCE(ranges_are_bytewise),
		SENTENCE(pages_follow_each_other),
		SENTENCE(an_answer_has_a_ceiling),
		SENTENCE(ranges_are_deleted_in_order),
	};

	return suite_run(sentences, COUNT(sentences));
}
