/* SPDX-License-Identifier: MIT */
/* If this fails, the SQLite storage does something else than the model, or a
 * caller that repeats what it does not know the end of counts twice. Random
 * calls go to both and every word of the answers is compared. STEPS says how
 * many, FCGI_HOST_SEED which. */
#include "../fault/bed.h"

static struct bed bed;

static int
reply_words(void *arg, const struct store_result *r, struct buf *reply)
{
	(void)arg;
	return buf_printf(reply, "version %llu value %lld",
	    (unsigned long long)r->version, (long long)r->ops[0].value);
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

/* Many batches at once, which SQLite commits in groups, against the model that
 * takes them one after the other: what a batch of a group sees and leaves must
 * not depend on the others. */
static void
F14_groups_do_what_one_after_the_other_does(void **state)
{
	enum { AT_ONCE = 200 };
	const char *steps_text = getenv("STEPS");
	uint64_t rounds =
	    steps_text ? strtoull(steps_text, NULL, 10) / 100 : 50;
	struct random_batch *batches = calloc(AT_ONCE, sizeof(*batches));
	struct got *got = calloc(AT_ONCE, sizeof(*got));
	struct store_figures figures;
	struct bed sqlite, model;
	uint64_t version;

	(void)state;
	random_state = rows_seed();
	bed_make(&sqlite, "sqlite");
	bed_make(&model, "memory");
	sqlite.config.threads = 1;
	bed_open(&sqlite);
	bed_open(&model);
	version = bed_set(&sqlite, "acme", "k", "1")->r.version;
	bed_set(&model, "acme", "k", "1");
	for (uint64_t round = 0; round < rounds; round++) {
		for (size_t i = 0; i < AT_ONCE; i++) {
			random_batch(&batches[i], version + i / 2);
			memset(&got[i], 0, sizeof(got[i]));
			assert_int_equal(sqlite.engine->commit(sqlite.store,
					     SPAN("acme"), &batches[i].batch,
					     got_answer, &got[i]),
			    0);
		}
		for (size_t i = 0; i < AT_ONCE; i++) {
			bed_wait(&sqlite, &got[i].done);
			same(&got[i],
			    bed_commit(&model, "acme", &batches[i].batch),
			    round * AT_ONCE + i, "commit of a group");
			version = got[i].r.version;
			buf_free(&got[i].text);
		}
		same(bed_list(&sqlite, "acme",
			 (struct store_range){ .values = true }),
		    bed_list(&model, "acme",
			(struct store_range){ .values = true }),
		    round, "all");
		bed_passes(random_below(1000));
	}
	sqlite.engine->figures(sqlite.store, &figures);
	print_message("%llu batches in %llu groups\n",
	    (unsigned long long)figures.commits,
	    (unsigned long long)figures.groups);
	assert_true(figures.groups * 4 < figures.commits);
	bed_free(&sqlite);
	bed_free(&model);
	free(batches);
	free(got);
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
	struct store_op o = {
		.kind = STORE_SUM, .key = SPAN("n"), .number = 1
	};
	unsigned failed = 0, unknown = 0;
	char key[16];

	(void)state;
	bed_make(&bed, "fault over sqlite");
	bed_open(&bed);
	store_fault_change(bed.store, &plan);
	for (unsigned i = 0; i < 300; i++) {
		struct store_batch batch = { .idem_print = SPAN("print"),
			.reply = reply_words,
			.ops = &o,
			.op_count = 1 };
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
	assert_text(bed_get(&bed, "acme", "n"), "ok v300 n@300=300:3 ");
	bed_free(&bed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F14_sqlite_does_what_the_model_does),
		cmocka_unit_test(F14_groups_do_what_one_after_the_other_does),
		cmocka_unit_test(lost_answers_are_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
