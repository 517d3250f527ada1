/* SPDX-License-Identifier: MIT */
/* store_sqlite_write.c - batches and sweeping, within transactions that
 * store_sqlite_thread.c begins and ends. A batch that shares a transaction
 * with others and may find out late that it cannot be has a savepoint to go
 * back to, so that nothing of it stays and the others are not touched. */
#include <stdio.h>

#include "state/store_sqlite.h"

/* One batch being run. */
struct run {
	struct file *file;
	struct job *job;
	const struct store_batch *batch;
	struct store_op_result *ops;
	uint64_t now;
	uint64_t version; /* of this batch, when it changes something */
	int64_t changes;  /* so far */
	bool refused;	  /* the job was failed, for the caller's reasons */
};

/* A row as found. */
struct found {
	bool there; /* and not expired */
	bool row;   /* at all */
	int64_t id;
	uint64_t version;
	uint64_t expires_ms;
};

static int run_idem(struct run *, bool *answered);
static int run_checks(struct run *);
static int run_ops(struct run *);
static int run_op(struct run *, size_t i);
static int run_set(struct run *, const struct store_op *, const struct found *,
    struct span value, struct span type, struct store_op_result *);
static int run_count(struct run *, size_t i);
static int run_delete_range(struct run *, const struct store_op *,
    struct store_op_result *);
static int run_note(struct run *, enum store_change_kind, struct span key);
static int run_keep_idem(struct run *);

/* Whether it may be refused after something of it was written. */
static bool
batch_refused_late(const struct store_batch *batch)
{
	for (size_t i = 1; i < batch->op_count; i++)
		if (batch->ops[i].kind == STORE_SUM ||
		    batch->ops[i].kind == STORE_MIN ||
		    batch->ops[i].kind == STORE_MAX)
			return true;
	return batch->idem_key.data;
}

int
write_batch(struct file *f, struct job *job, uint64_t now, bool alone)
{
	const struct store_batch *batch = job->request.batch;
	struct run run = {
		.file = f,
		.job = job,
		.batch = batch,
		.now = now,
		.version = f->version + 1,
	};
	bool savepoint = !alone && batch_refused_late(batch);
	bool answered = false;
	int code = SQLITE_OK;

	job->result.version = f->version;
	job->result.now_ms = now;
	if (batch->idem_key.data)
		code = run_idem(&run, &answered);
	if (code != SQLITE_OK || answered)
		return code;
	if (batch->check_count && (code = run_checks(&run)) != SQLITE_OK)
		return code;
	if (run.refused)
		return SQLITE_OK;
	if (savepoint && (code = file_run(f, STATEMENT_SAVEPOINT)) != SQLITE_OK)
		return code;
	code = run_ops(&run);
	if (code == SQLITE_OK && !run.refused && batch->idem_key.data)
		code = run_keep_idem(&run);
	if (code != SQLITE_OK)
		return code; /* the whole transaction goes */
	if (run.refused && savepoint)
		code = file_run(f, STATEMENT_ROLLBACK_TO);
	else if (run.refused && run.changes)
		return SQLITE_ABORT; /* alone: so does it */
	if (code == SQLITE_OK && savepoint)
		code = file_run(f, STATEMENT_RELEASE);
	if (code == SQLITE_OK && !run.refused && run.changes)
		f->version = run.version;
	return code;
}

void
write_reset(struct job *job)
{
	job->result = (struct store_result){ .detail = "" };
}

/* ---- what a batch asks first ------------------------------------------------ */

static int
run_idem(struct run *run, bool *answered)
{
	struct file *f = run->file;
	struct job *job = run->job;
	sqlite3_stmt *s = file_statement(f, STATEMENT_IDEM_GET);
	int code;

	if (!s)
		return sqlite3_extended_errcode(f->db);
	file_bind(s, 1, run->batch->idem_key);
	sqlite3_bind_int64(s, 2, (int64_t)run->now);
	if ((code = sqlite3_step(s)) != SQLITE_ROW)
		return file_done(s, code);
	*answered = true;
	if (!span_equal(file_column(s, 0), run->batch->idem_print)) {
		job_fail(job, STORE_IDEM_MISMATCH,
		    "the idempotency key was used by another request");
		return file_done(s, code);
	}
	job->result.replayed = true;
	job->result.reply = job_copy(job, file_column(s, 1));
	code = file_done(s, code);
	return code == SQLITE_OK && !job->result.reply.data ? SQLITE_NOMEM :
							      code;
}

static int
find(struct run *run, struct span key, struct found *found)
{
	sqlite3_stmt *s;
	int code;

	*found = (struct found){ 0 };
	if (!run->file->db)
		return SQLITE_OK;
	if (!(s = file_statement(run->file, STATEMENT_FIND)))
		return sqlite3_extended_errcode(run->file->db);
	file_bind(s, 1, key);
	if ((code = sqlite3_step(s)) == SQLITE_ROW) {
		found->row = true;
		found->id = sqlite3_column_int64(s, 0);
		found->version = (uint64_t)sqlite3_column_int64(s, 1);
		found->expires_ms = (uint64_t)sqlite3_column_int64(s, 2);
		found->there =
		    !found->expires_ms || found->expires_ms > run->now;
	}
	return file_done(s, code);
}

static bool
check_holds(const struct store_check *check, const struct found *found)
{
	bool among = false;

	if (found->there)
		for (size_t i = 0; i < check->version_count; i++)
			among |= check->versions[i] == found->version;
	switch (check->kind) {
	case STORE_ABSENT:
		return !found->there;
	case STORE_PRESENT:
		return found->there;
	case STORE_VERSION:
		return among;
	case STORE_NOT_VERSION:
		return !among;
	}
	return false;
}

static int
run_checks(struct run *run)
{
	const struct store_batch *batch = run->batch;
	struct store_failed_check *failed =
	    job_alloc(run->job, batch->check_count * sizeof(*failed));
	size_t failed_count = 0;
	struct found found;
	int code;

	if (!failed)
		return SQLITE_NOMEM;
	for (size_t i = 0; i < batch->check_count; i++) {
		code = find(run, batch->checks[i].key, &found);
		if (code != SQLITE_OK)
			return code;
		if (!check_holds(&batch->checks[i], &found))
			failed[failed_count++] = (struct store_failed_check){ i,
				found.there ? found.version : 0 };
	}
	if (failed_count == 0)
		return SQLITE_OK;
	run->refused = true;
	run->job->result.failed = failed;
	run->job->result.failed_count = failed_count;
	job_fail(run->job, STORE_CHECK_FAILED, "%zu of %zu checks failed",
	    failed_count, batch->check_count);
	return SQLITE_OK;
}

/* ---- operations ------------------------------------------------------------ */

static int
run_ops(struct run *run)
{
	struct store_result *r = &run->job->result;
	size_t count = run->batch->op_count;
	int code;

	if (!(run->ops = job_alloc(run->job, count * sizeof(*run->ops))))
		return SQLITE_NOMEM;
	memset(run->ops, 0, count * sizeof(*run->ops));
	for (size_t i = 0; i < count; i++)
		if ((code = run_op(run, i)) != SQLITE_OK || run->refused)
			return code;
	r->ops = run->ops;
	r->op_count = count;
	r->changed = run->changes > 0;
	if (r->changed)
		r->version = run->version;
	return SQLITE_OK;
}

static int
delete_row(struct run *run, int64_t id, struct span key,
    struct store_op_result *out)
{
	sqlite3_stmt *s = file_statement(run->file, STATEMENT_DELETE);
	int code;

	if (!s)
		return sqlite3_extended_errcode(run->file->db);
	sqlite3_bind_int64(s, 1, id);
	if ((code = file_done(s, sqlite3_step(s))) != SQLITE_OK)
		return code;
	out->deleted++;
	return run_note(run, STORE_CHANGE_DELETE, key);
}

static int
run_op(struct run *run, size_t i)
{
	const struct store_op *op = &run->batch->ops[i];
	struct store_op_result *out = &run->ops[i];
	struct found found;
	int code;

	switch (op->kind) {
	case STORE_DELETE_RANGE:
		return run_delete_range(run, op, out);
	case STORE_SUM:
	case STORE_MIN:
	case STORE_MAX:
		return run_count(run, i);
	case STORE_SET:
	case STORE_DELETE:
		break;
	}
	if ((code = find(run, op->key, &found)) != SQLITE_OK)
		return code;
	if (op->kind == STORE_SET)
		return run_set(run, op, &found, op->value, op->type, out);
	return found.there ? delete_row(run, found.id, op->key, out) :
			     SQLITE_OK;
}

static int
run_set(struct run *run, const struct store_op *op, const struct found *found,
    struct span value, struct span type, struct store_op_result *out)
{
	struct file *f = run->file;
	uint64_t expires_ms =
	    store_expires(op, !found->there, found->expires_ms, run->now);
	sqlite3_stmt *s =
	    file_statement(f, found->row ? STATEMENT_UPDATE : STATEMENT_INSERT);
	int at = found->row ? 1 : 2, code;

	if (!s)
		return sqlite3_extended_errcode(f->db);
	if (found->row)
		sqlite3_bind_int64(s, 5, found->id);
	else
		file_bind(s, 1, op->key);
	sqlite3_bind_blob(s, at, value.data ? value.data : "", (int)value.bytes,
	    SQLITE_STATIC);
	if (type.data)
		file_bind(s, at + 1, type);
	sqlite3_bind_int64(s, at + 2, (int64_t)run->version);
	if (expires_ms)
		sqlite3_bind_int64(s, at + 3, (int64_t)expires_ms);
	if ((code = file_done(s, sqlite3_step(s))) != SQLITE_OK)
		return code;
	out->created = !found->there;
	out->version = run->version;
	return run_note(run, STORE_CHANGE_SET, op->key);
}

/* What a counter becomes; false with the job refused. */
static bool
count(struct run *run, size_t i, bool there, struct span text, int64_t *value)
{
	const struct store_op *op = &run->batch->ops[i];
	struct store_result *r = &run->job->result;
	int64_t have = 0;

	if (there && store_number(text, &have) < 0) {
		r->failed_op = i;
		job_fail(run->job, STORE_NOT_A_NUMBER,
		    "what key \"%.*s\" holds is not a number",
		    SPAN_ARGS(op->key));
		return false;
	}
	*value = op->number;
	if (there && op->kind != STORE_SUM &&
	    (op->kind == STORE_MIN ? have < op->number : have > op->number))
		*value = have;
	if (op->kind != STORE_SUM)
		return true;
	if (__builtin_add_overflow(have, op->number, value) ||
	    (op->has_least && *value < op->least) ||
	    (op->has_most && *value > op->most)) {
		r->failed_op = i;
		r->value = have;
		job_fail(run->job, STORE_OUT_OF_RANGE,
		    "key \"%.*s\" would leave its bounds", SPAN_ARGS(op->key));
		return false;
	}
	return true;
}

static int
run_count(struct run *run, size_t i)
{
	const struct store_op *op = &run->batch->ops[i];
	sqlite3_stmt *s = file_statement(run->file, STATEMENT_FIND_VALUE);
	struct found found = { 0 };
	char type[STORE_TYPE_MOST], text[24];
	struct span kept = op->type;
	int64_t value = 0;
	int code, bytes;

	if (!s)
		return sqlite3_extended_errcode(run->file->db);
	file_bind(s, 1, op->key);
	code = sqlite3_step(s);
	if (code == SQLITE_ROW) {
		found.row = true;
		found.id = sqlite3_column_int64(s, 0);
		found.expires_ms = (uint64_t)sqlite3_column_int64(s, 2);
		found.there = !found.expires_ms || found.expires_ms > run->now;
	}
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return file_done(s, code);
	run->refused = !count(run, i, found.there,
	    found.there ? file_column(s, 4) : SPAN_NONE, &value);
	if (found.there) { /* the row's own type is kept */
		kept = span_take(file_column(s, 3), sizeof(type));
		if (kept.data) {
			memcpy(type, kept.data, kept.bytes);
			kept.data = type;
		}
	}
	if ((code = file_done(s, code)) != SQLITE_OK || run->refused)
		return code;
	bytes = snprintf(text, sizeof(text), "%lld", (long long)value);
	run->ops[i].value = value;
	return run_set(run, op, &found, span_make(text, (size_t)bytes), kept,
	    &run->ops[i]);
}

/* Found first, deleted then: what a statement walks over must not change. */
static int
run_delete_range(struct run *run, const struct store_op *op,
    struct store_op_result *out)
{
	struct row {
		struct row *next;
		int64_t id;
		struct span key;
	} *first = NULL, **last = &first, *row;
	sqlite3_stmt *s;
	char end[STORE_KEY_MOST];
	size_t end_bytes = 0, count_of = 0;
	bool bounded = read_successor(op->key, end, &end_bytes);
	int code;

	if (!run->file->db)
		return SQLITE_OK;
	if (!(s = file_statement(run->file, STATEMENT_LIST_IDS)))
		return sqlite3_extended_errcode(run->file->db);
	read_bind_range(s, op->key, span_make(end, end_bytes), !bounded);
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		uint64_t expires_ms = (uint64_t)sqlite3_column_int64(s, 1);

		if (expires_ms && expires_ms <= run->now)
			continue;
		if (count_of == op->limit) {
			out->more = true;
			break;
		}
		row = job_alloc(run->job, sizeof(*row));
		if (row) {
			row->next = NULL;
			row->id = sqlite3_column_int64(s, 0);
			row->key = job_copy(run->job, file_column(s, 2));
		}
		if (!row || !row->key.data) {
			code = SQLITE_NOMEM;
			break;
		}
		*last = row;
		last = &row->next;
		count_of++;
	}
	if ((code = file_done(s, code)) != SQLITE_OK)
		return code;
	for (row = first; row; row = row->next)
		if ((code = delete_row(run, row->id, row->key, out)) !=
		    SQLITE_OK)
			return code;
	return SQLITE_OK;
}

static int
note(struct file *f, uint64_t version, int64_t n, enum store_change_kind kind,
    uint64_t now, struct span key)
{
	sqlite3_stmt *s = file_statement(f, STATEMENT_CHANGE_PUT);

	if (!s)
		return sqlite3_extended_errcode(f->db);
	sqlite3_bind_int64(s, 1, (int64_t)version);
	sqlite3_bind_int64(s, 2, n);
	sqlite3_bind_int(s, 3, kind);
	sqlite3_bind_int64(s, 4, (int64_t)now);
	file_bind(s, 5, key);
	return file_done(s, sqlite3_step(s));
}

static int
run_note(struct run *run, enum store_change_kind kind, struct span key)
{
	return note(run->file, run->version, run->changes++, kind, run->now,
	    key);
}

static int
run_keep_idem(struct run *run)
{
	struct store_config *config = &run->file->thread->store->config;
	const struct store_batch *batch = run->batch;
	sqlite3_stmt *s = file_statement(run->file, STATEMENT_IDEM_PUT);
	struct buf reply;
	int code;

	if (!s)
		return sqlite3_extended_errcode(run->file->db);
	buf_init(&reply, config->page_bytes_most);
	if (batch->reply &&
	    batch->reply(batch->reply_arg, &run->job->result, &reply) < 0) {
		buf_free(&reply);
		run->refused = true;
		job_fail(run->job, STORE_NO_MEMORY, "no memory for the reply");
		return SQLITE_OK;
	}
	file_bind(s, 1, batch->idem_key);
	sqlite3_bind_blob(s, 2,
	    batch->idem_print.data ? batch->idem_print.data : "",
	    (int)batch->idem_print.bytes, SQLITE_STATIC);
	sqlite3_bind_blob(s, 3, buf_span(&reply).data, (int)buf_bytes(&reply),
	    SQLITE_STATIC);
	sqlite3_bind_int64(s, 4, (int64_t)(run->now + config->idem_ms));
	code = file_done(s, sqlite3_step(s));
	buf_free(&reply);
	return code;
}

int
write_meta(struct file *f, uint64_t now)
{
	sqlite3_stmt *s = file_statement(f, STATEMENT_META_PUT);

	if (!s)
		return sqlite3_extended_errcode(f->db);
	sqlite3_bind_int64(s, 1, (int64_t)f->version);
	sqlite3_bind_int64(s, 2, (int64_t)f->oldest);
	sqlite3_bind_int64(s, 3, (int64_t)now);
	return file_done(s, sqlite3_step(s));
}

/* ---- sweeping -------------------------------------------------------------- */

/* The first column of the first row, or `absent`. */
static int
ask(struct file *f, sqlite3_stmt *s, uint64_t absent, uint64_t *value)
{
	int code;

	*value = absent;
	if (!s)
		return sqlite3_extended_errcode(f->db);
	if ((code = sqlite3_step(s)) == SQLITE_ROW &&
	    sqlite3_column_type(s, 0) != SQLITE_NULL)
		*value = (uint64_t)sqlite3_column_int64(s, 0);
	return file_done(s, code);
}

/* When there may next be something to do. */
static int
sweep_next(struct file *f, uint64_t now, uint64_t *when)
{
	struct store_config *config = &f->thread->store->config;
	sqlite3_stmt *s;
	uint64_t expires, idem, at = UINT64_MAX;
	int code;

	code = ask(f, file_statement(f, STATEMENT_SWEEP_NEXT), UINT64_MAX,
	    &expires);
	if (code == SQLITE_OK)
		code = ask(f, file_statement(f, STATEMENT_SWEEP_IDEM_NEXT),
		    UINT64_MAX, &idem);
	if (code != SQLITE_OK)
		return code;
	if (!(s = file_statement(f, STATEMENT_SWEEP_CHANGES_NEXT)))
		return sqlite3_extended_errcode(f->db);
	if ((code = sqlite3_step(s)) == SQLITE_ROW) {
		at = (uint64_t)sqlite3_column_int64(s, 1) + config->log_ms + 1;
		if ((uint64_t)sqlite3_column_int64(s, 0) +
			config->log_commits_most <=
		    f->version)
			at = now;
	}
	if ((code = file_done(s, code)) != SQLITE_OK)
		return code;
	*when = expires < idem ? expires : idem;
	*when = at < *when ? at : *when;
	return SQLITE_OK;
}

static int
sweep_keys(struct file *f, uint64_t now, size_t budget, uint64_t *swept)
{
	sqlite3_stmt *s, *delete = file_statement(f, STATEMENT_DELETE);
	uint64_t version = f->version + 1;
	char text[STORE_KEY_MOST];
	struct span key;
	int code;

	/* one at a time, as what a statement walks over must not change */
	for (*swept = 0; *swept < budget; ++*swept) {
		if (!(s = file_statement(f, STATEMENT_SWEEP_FIND)) || !delete)
			return sqlite3_extended_errcode(f->db);
		sqlite3_bind_int64(s, 1, (int64_t)now);
		sqlite3_bind_int64(s, 2, 1);
		if ((code = sqlite3_step(s)) != SQLITE_ROW) {
			if ((code = file_done(s, code)) != SQLITE_OK)
				return code;
			break;
		}
		sqlite3_bind_int64(delete, 1, sqlite3_column_int64(s, 0));
		key = span_take(file_column(s, 1), sizeof(text));
		if (key.data)
			memcpy(text, key.data, key.bytes);
		key.data = text;
		if ((code = file_done(s, code)) == SQLITE_OK)
			code = file_done(delete, sqlite3_step(delete));
		if (code == SQLITE_OK)
			code = note(f, version, (int64_t)*swept,
			    STORE_CHANGE_EXPIRE, now, key);
		if (code != SQLITE_OK)
			return code;
	}
	if (*swept)
		f->version = version;
	return SQLITE_OK;
}

static int
sweep_changes(struct file *f, uint64_t now, size_t budget, uint64_t *swept)
{
	struct store_config *config = &f->thread->store->config;
	uint64_t most = config->log_commits_most, last;
	sqlite3_stmt *s = file_statement(f, STATEMENT_SWEEP_CHANGES_FIND);
	int code;

	if (!s)
		return sqlite3_extended_errcode(f->db);
	sqlite3_bind_int64(s, 1,
	    f->version > most ? (int64_t)(f->version - most) : 0);
	sqlite3_bind_int64(s, 2,
	    now > config->log_ms ? (int64_t)(now - config->log_ms) : 0);
	sqlite3_bind_int64(s, 3, (int64_t)budget);
	if ((code = ask(f, s, 0, &last)) != SQLITE_OK || last == 0)
		return code;
	if (!(s = file_statement(f, STATEMENT_SWEEP_CHANGES)))
		return sqlite3_extended_errcode(f->db);
	sqlite3_bind_int64(s, 1, (int64_t)last);
	if ((code = file_done(s, sqlite3_step(s))) != SQLITE_OK)
		return code;
	*swept += (uint64_t)sqlite3_changes(f->db);
	f->oldest = last;
	return SQLITE_OK;
}

static int
sweep_idem(struct file *f, uint64_t now, size_t budget, uint64_t *swept)
{
	sqlite3_stmt *s = file_statement(f, STATEMENT_SWEEP_IDEM);
	int code;

	if (!s)
		return sqlite3_extended_errcode(f->db);
	sqlite3_bind_int64(s, 1, (int64_t)now);
	sqlite3_bind_int64(s, 2, (int64_t)budget);
	if ((code = file_done(s, sqlite3_step(s))) != SQLITE_OK)
		return code;
	*swept += (uint64_t)sqlite3_changes(f->db);
	return SQLITE_OK;
}

bool
write_sweep(struct file *f, size_t budget, uint64_t *swept, bool *moved)
{
	uint64_t now = file_now(f), version = f->version, oldest = f->oldest;
	uint64_t next = 0, keys = 0;
	struct job dummy = { .tenant = f->node.key };
	int code;

	*swept = 0;
	*moved = false;
	if (now < f->sweep_ms || f->frozen || f->reads_only)
		return true;
	if ((code = sweep_next(f, now, &next)) != SQLITE_OK)
		goto failed;
	f->sweep_ms = next;
	if (next > now)
		return true;
	/* to delete needs no more than what the quota leaves for it */
	if ((code = file_set_quota(f, FREE_PAGES_MORE)) != SQLITE_OK ||
	    (code = file_run(f, STATEMENT_BEGIN)) != SQLITE_OK)
		goto failed;
	code = sweep_keys(f, now, budget, &keys);
	*swept = keys;
	if (code == SQLITE_OK)
		code = sweep_changes(f, now, budget, swept);
	if (code == SQLITE_OK)
		code = sweep_idem(f, now, budget, swept);
	if (code == SQLITE_OK)
		code = write_meta(f, now);
	if (code == SQLITE_OK)
		code = file_run(f, STATEMENT_COMMIT);
	if (code != SQLITE_OK)
		goto failed;
	f->dirty = true;
	f->sweep_ms = 0;
	*moved = keys > 0;
	file_set_quota(f, 0);
	return *swept < budget;

failed:
	/* what nobody asked for is told nobody, and tried again */
	*swept = 0;
	f->version = version;
	f->oldest = oldest;
	if (!sqlite3_get_autocommit(f->db))
		file_run(f, STATEMENT_ROLLBACK);
	file_failed(f, &dummy, code, "sweeping");
	if (f->state == FILE_OPEN)
		file_set_quota(f, 0);
	return true;
}
