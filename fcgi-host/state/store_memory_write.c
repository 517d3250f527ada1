/* SPDX-License-Identifier: MIT */
/* store_memory_write.c - the reference model commits: a batch is tried on a copy
 * of all there is, which takes the place of the old when all went well. */
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "state/store_memory.h"

/* ---- committing ------------------------------------------------------------ */

static struct idem *
find_idem(struct tenant *t, struct span key, uint64_t now)
{
	for (size_t i = 0; i < t->idem_count; i++)
		if (span_equal(t->idems[i].key, key) &&
		    t->idems[i].expires_ms > now)
			return &t->idems[i];
	return NULL;
}

void
memory_forget_idem(struct tenant *t, size_t i)
{
	memory_disown(t->idems[i].key);
	memory_disown(t->idems[i].print);
	memory_disown(t->idems[i].reply);
	t->idems[i] = t->idems[--t->idem_count];
}

static bool
check_holds(const struct store_check *check, const struct entry *entry)
{
	bool among = false;

	for (size_t i = 0; entry && i < check->version_count; i++)
		among |= check->versions[i] == entry->version;
	switch (check->kind) {
	case STORE_ABSENT:
		return !entry;
	case STORE_PRESENT:
		return entry;
	case STORE_VERSION:
		return among;
	case STORE_NOT_VERSION:
		return !among;
	}
	return false;
}

/* What a counter becomes; false with the job failed. */
static bool
count(struct job *job, const struct store_op *op, size_t i,
    const struct entry *old, int64_t *value)
{
	int64_t have = 0;

	if (old && store_number(old->value, &have) < 0) {
		job->result.failed_op = i;
		job_fail(job, STORE_NOT_A_NUMBER,
		    "what key \"%.*s\" holds is not a number",
		    SPAN_ARGS(op->key));
		return false;
	}
	*value = op->number;
	if (op->kind == STORE_MIN && old && have < op->number)
		*value = have;
	if (op->kind == STORE_MAX && old && have > op->number)
		*value = have;
	if (op->kind != STORE_SUM)
		return true;
	if (__builtin_add_overflow(have, op->number, value) ||
	    (op->has_least && *value < op->least) ||
	    (op->has_most && *value > op->most)) {
		job->result.failed_op = i;
		job->result.value = have;
		job_fail(job, STORE_OUT_OF_RANGE,
		    "key \"%.*s\" would leave its bounds", SPAN_ARGS(op->key));
		return false;
	}
	return true;
}

struct trial { /* a commit that is tried on a copy */
	struct entries entries;
	struct change *notes;
	size_t note_count, note_room;
	uint64_t version, now;
};

static void
try_note(struct trial *trial, enum store_change_kind kind, struct span key)
{
	if (trial->note_count == trial->note_room) {
		trial->note_room = trial->note_room ? trial->note_room * 2 : 16;
		trial->notes = realloc(trial->notes,
		    trial->note_room * sizeof(*trial->notes));
		if (!trial->notes)
			diag_panic("no memory for the model");
	}
	trial->notes[trial->note_count++] = (struct change){ kind,
		trial->version, trial->now, memory_own(key) };
}

static void
try_delete(struct trial *trial, const struct store_op *op,
    struct store_op_result *out)
{
	bool range = op->kind == STORE_DELETE_RANGE;
	size_t limit = range ? op->limit : 1;

	for (size_t i = 0; i < trial->entries.count;) {
		struct entry *entry = &trial->entries.at[i];

		if (!memory_alive(entry, trial->now) ||
		    !(range ? span_starts(entry->key, op->key) :
			      span_equal(entry->key, op->key))) {
			i++;
			continue;
		}
		if (out->deleted == limit) {
			out->more = true;
			return;
		}
		try_note(trial, STORE_CHANGE_DELETE, entry->key);
		memory_take_out(&trial->entries, i);
		out->deleted++;
	}
}

static bool
try_op(struct job *job, struct trial *trial, size_t i,
    struct store_op_result *out)
{
	const struct store_op *op = &job->request.batch->ops[i];
	const struct entry *old =
	    memory_find(&trial->entries, op->key, trial->now);
	struct entry entry = { .key = op->key, .version = trial->version };
	char text[24];

	if (op->kind == STORE_DELETE || op->kind == STORE_DELETE_RANGE) {
		try_delete(trial, op, out);
		return true;
	}
	if (op->kind == STORE_SET) {
		entry.value = op->value.data ? op->value : SPAN("");
		entry.type = op->type;
	} else {
		if (!count(job, op, i, old, &out->value))
			return false;
		snprintf(text, sizeof(text), "%lld", (long long)out->value);
		entry.value = span_of(text);
		entry.type = memory_own(old ? old->type : op->type);
	}
	entry.expires_ms =
	    store_expires(op, !old, old ? old->expires_ms : 0, trial->now);
	out->created = !old;
	out->version = trial->version;
	memory_put(&trial->entries, &entry);
	if (op->kind != STORE_SET)
		memory_disown(entry.type);
	try_note(trial, STORE_CHANGE_SET, op->key);
	return true;
}

static bool
run_checks(struct tenant *t, struct job *job, uint64_t now)
{
	const struct store_batch *batch = job->request.batch;
	struct store_failed_check *failed =
	    job_alloc(job, (batch->check_count + 1) * sizeof(*failed));
	size_t failed_count = 0;

	if (!failed)
		diag_panic("no memory for the model");
	for (size_t i = 0; i < batch->check_count; i++) {
		const struct entry *entry =
		    memory_find(&t->entries, batch->checks[i].key, now);

		if (!check_holds(&batch->checks[i], entry))
			failed[failed_count++] = (struct store_failed_check){ i,
				entry ? entry->version : 0 };
	}
	if (failed_count == 0)
		return true;
	job->result.failed = failed;
	job->result.failed_count = failed_count;
	job_fail(job, STORE_CHECK_FAILED, "%zu of %zu checks failed",
	    failed_count, batch->check_count);
	return false;
}

/* False: the job has its answer without a commit. */
static bool
run_idem(struct tenant *t, struct job *job, uint64_t now)
{
	const struct store_batch *batch = job->request.batch;
	struct idem *idem;

	if (!batch->idem_key.data ||
	    !(idem = find_idem(t, batch->idem_key, now)))
		return true;
	if (!span_equal(idem->print, batch->idem_print)) {
		job_fail(job, STORE_IDEM_MISMATCH,
		    "the idempotency key was used by another request");
		return false;
	}
	job->result.replayed = true;
	job->result.reply = job_copy(job, idem->reply);
	return false;
}

static bool
keep_idem(struct store *s, struct tenant *t, struct job *job, uint64_t now)
{
	const struct store_batch *batch = job->request.batch;
	struct buf reply;

	if (!batch->idem_key.data)
		return true;
	buf_init(&reply, s->config.page_bytes_most);
	if (t->idem_count >= IDEM_PER_TENANT_MOST ||
	    (batch->reply &&
		batch->reply(batch->reply_arg, &job->result, &reply) < 0)) {
		buf_free(&reply);
		job_fail(job, STORE_NO_MEMORY, "no memory for the reply");
		return false;
	}
	t->idems = realloc(t->idems, (t->idem_count + 1) * sizeof(*t->idems));
	if (!t->idems)
		diag_panic("no memory for the model");
	for (size_t i = 0; i < t->idem_count; i++)
		if (span_equal(t->idems[i].key, batch->idem_key))
			memory_forget_idem(t, i--);
	t->idems[t->idem_count++] = (struct idem){ memory_own(batch->idem_key),
		memory_own(batch->idem_print), memory_own(buf_span(&reply)),
		now + s->config.idem_ms };
	buf_free(&reply);
	return true;
}

void
memory_run_commit(struct store *s, struct tenant *t, struct job *job)
{
	const struct store_batch *batch = job->request.batch;
	struct store_result *r = &job->result;
	uint64_t now = memory_now(s, t);
	struct trial trial = { .now = now };
	struct store_op_result *ops =
	    job_alloc(job, (batch->op_count + 1) * sizeof(*ops));
	bool good = true;

	if (!ops)
		diag_panic("no memory for the model");
	memset(ops, 0, batch->op_count * sizeof(*ops));
	r->version = t->exists ? t->version : t->floor;
	r->now_ms = now;
	if (t->frozen) {
		job_fail(job, STORE_FROZEN, "the tenant takes reads only");
		return;
	}
	if (!run_idem(t, job, now) || !run_checks(t, job, now))
		return;
	trial.version = r->version + 1;
	trial.entries = memory_copy_entries(&t->entries);
	for (size_t i = 0; good && i < batch->op_count; i++)
		good = try_op(job, &trial, i, &ops[i]);
	if (good) {
		r->ops = ops;
		r->op_count = batch->op_count;
		r->changed = trial.note_count > 0;
		if (r->changed)
			r->version = trial.version;
		good = keep_idem(s, t, job, now);
	}
	if (good && (r->changed || batch->idem_key.data))
		memory_create(s, t);
	if (good && r->changed) {
		t->version = trial.version;
		memory_free_entries(&t->entries);
		t->entries = trial.entries;
		trial.entries = (struct entries){ 0 };
		for (size_t i = 0; i < trial.note_count; i++)
			memory_note(t, trial.notes[i].kind, trial.version,
			    trial.notes[i].key, now);
	}
	for (size_t i = 0; i < trial.note_count; i++)
		memory_disown(trial.notes[i].key);
	free(trial.notes);
	memory_free_entries(&trial.entries);
	s->figures.commits += good;
	s->figures.groups += good;
	s->figures.group_most = 1;
}
