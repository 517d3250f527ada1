/* SPDX-License-Identifier: MIT */
/* store_memory.c - the reference model: what a storage is to do, as plainly as
 * it can be written down. Tenants are sorted arrays in memory; every call takes
 * effect when it is made. Whatever store_sqlite does is compared with this, so
 * nothing here may be clever, and the two share no code beyond store.c.
 * Nothing lasts, and quotas, which count bytes on a disk, are not enforced. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "state/desk.h"

enum {
	IDEM_PER_TENANT_MOST = 100000,
	/* after this many rows a page of changes ends with a commit, as a
	 * filter that fits nothing must not take for ever */
	CHANGES_SCAN_MOST = 16384,
};

static const uint64_t version_leap = UINT64_C(1) << 20;

struct entry {
	struct span key; /* all spans: ours */
	struct span value;
	struct span type;
	uint64_t version;
	uint64_t expires_ms;
};

struct entries {
	struct entry *at; /* ours, sorted by key */
	size_t count;
	size_t room;
};

struct change {
	enum store_change_kind kind;
	uint64_t version;
	uint64_t ms;
	struct span key; /* ours */
};

struct idem {
	struct span key, print, reply; /* ours */
	uint64_t expires_ms;
};

struct tenant {
	struct map_node node;
	char name[STORE_TENANT_MOST + 1];
	bool exists;
	uint64_t version;
	uint64_t oldest;
	uint64_t floor; /* where a next life begins */
	struct store_clock clock;
	struct entries entries;
	struct change *changes; /* ours, oldest first */
	size_t change_count, change_room;
	struct idem *idems; /* ours */
	size_t idem_count;
	uint64_t quota_bytes; /* 0: the configuration's */
	bool relaxed, full;   /* what was set */
	bool frozen;
};

struct store {
	struct desk desk;
	struct store_config config;
	struct map tenants;
	struct store_figures figures;
};

static uint64_t
now_of(struct store *s, struct tenant *t)
{
	if (!t->exists) /* nothing that could run back */
		t->clock = (struct store_clock){ 0 };
	return store_clock_now(&t->clock, s->config.unix_ms(),
	    s->config.steady_ms());
}

static struct span
own(struct span from)
{
	char *to;

	if (!from.data)
		return SPAN_NONE;
	to = diag_alloc(from.bytes + 1);
	if (from.bytes)
		memcpy(to, from.data, from.bytes);
	return span_make(to, from.bytes);
}

static void
disown(struct span s)
{
	free((char *)(uintptr_t)s.data);
}

static int
compare(struct span a, struct span b)
{
	size_t least = a.bytes < b.bytes ? a.bytes : b.bytes;
	int order = least ? memcmp(a.data, b.data, least) : 0;

	if (order)
		return order;
	return a.bytes < b.bytes ? -1 : a.bytes > b.bytes;
}

/* ---- entries --------------------------------------------------------------- */

static size_t
place_of(const struct entries *e, struct span key)
{
	size_t low = 0, high = e->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(e->at[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
alive(const struct entry *entry, uint64_t now)
{
	return entry->expires_ms == 0 || entry->expires_ms > now;
}

/* The key as everybody sees it: NULL when it has expired. */
static struct entry *
find(const struct entries *e, struct span key, uint64_t now)
{
	size_t place = e->count ? place_of(e, key) : 0;

	if (!e->at || place == e->count || !span_equal(e->at[place].key, key) ||
	    !alive(&e->at[place], now))
		return NULL;
	return &e->at[place];
}

static void
forget(struct entry *entry)
{
	disown(entry->key);
	disown(entry->value);
	disown(entry->type);
}

static void
take_out(struct entries *e, size_t place)
{
	forget(&e->at[place]);
	e->count--;
	memmove(&e->at[place], &e->at[place + 1],
	    (e->count - place) * sizeof(*e->at));
}

static void
put(struct entries *e, const struct entry *entry)
{
	size_t place = place_of(e, entry->key);

	if (place < e->count && span_equal(e->at[place].key, entry->key)) {
		forget(&e->at[place]);
	} else {
		if (e->count == e->room) {
			e->room = e->room ? e->room * 2 : 16;
			e->at = realloc(e->at, e->room * sizeof(*e->at));
			if (!e->at)
				diag_panic("no memory for the model");
		}
		memmove(&e->at[place + 1], &e->at[place],
		    (e->count - place) * sizeof(*e->at));
		e->count++;
	}
	e->at[place] = (struct entry){ own(entry->key), own(entry->value),
		own(entry->type), entry->version, entry->expires_ms };
}

static void
free_entries(struct entries *e)
{
	for (size_t i = 0; i < e->count; i++)
		forget(&e->at[i]);
	free(e->at);
	*e = (struct entries){ 0 };
}

static struct entries
copy_entries(const struct entries *from)
{
	struct entries to = { 0 };

	for (size_t i = 0; i < from->count; i++)
		put(&to, &from->at[i]);
	return to;
}

/* ---- tenants --------------------------------------------------------------- */

static struct tenant *
tenant_of(struct store *s, struct span name)
{
	struct map_node *node = map_find(&s->tenants, name);
	struct tenant *t;

	if (node)
		return MAP_OWNER(node, struct tenant, node);
	t = diag_alloc(sizeof(*t));
	memcpy(t->name, name.data, name.bytes);
	if (map_add(&s->tenants, &t->node, span_make(t->name, name.bytes)) < 0)
		diag_panic("no memory for the model");
	return t;
}

static void
create(struct store *s, struct tenant *t)
{
	(void)s;
	if (t->exists)
		return;
	t->exists = true;
	t->version = t->oldest = t->floor;
	t->floor += version_leap;
}

static void
cut_changes(struct tenant *t, size_t count)
{
	for (size_t i = 0; i < count; i++)
		disown(t->changes[i].key);
	t->change_count -= count;
	if (count)
		memmove(t->changes, t->changes + count,
		    t->change_count * sizeof(*t->changes));
}

static void
drop(struct tenant *t)
{
	free_entries(&t->entries);
	cut_changes(t, t->change_count);
	for (size_t i = 0; i < t->idem_count; i++) {
		disown(t->idems[i].key);
		disown(t->idems[i].print);
		disown(t->idems[i].reply);
	}
	t->idem_count = 0;
	t->exists = t->frozen = false;
	t->quota_bytes = 0;
	t->relaxed = t->full = false;
	t->version = t->oldest = t->floor;
}

static void
free_tenant(struct tenant *t)
{
	drop(t);
	free(t->entries.at);
	free(t->changes);
	free(t->idems);
	free(t);
}

static void
note(struct tenant *t, enum store_change_kind kind, uint64_t version,
    struct span key, uint64_t ms)
{
	if (t->change_count == t->change_room) {
		t->change_room = t->change_room ? t->change_room * 2 : 16;
		t->changes =
		    realloc(t->changes, t->change_room * sizeof(*t->changes));
		if (!t->changes)
			diag_panic("no memory for the model");
	}
	t->changes[t->change_count++] =
	    (struct change){ kind, version, ms, own(key) };
}

/* ---- reading --------------------------------------------------------------- */

static struct store_item
item_of(struct job *job, const struct entry *entry, bool values)
{
	return (struct store_item){
		.key = job_copy(job, entry->key),
		.value = values ? job_copy(job, entry->value) : SPAN_NONE,
		.type = job_copy(job, entry->type),
		.version = entry->version,
		.expires_ms = entry->expires_ms,
		.size = entry->value.bytes,
	};
}

/* The common beginning that a key is folded into, or SPAN_NONE. */
static struct span
folded(const struct store_range *range, struct span key)
{
	size_t d = range->delimiter.bytes;

	if (d == 0)
		return SPAN_NONE;
	for (size_t i = range->prefix.bytes; i + d <= key.bytes; i++)
		if (memcmp(key.data + i, range->delimiter.data, d) == 0)
			return span_take(key, i + d);
	return SPAN_NONE;
}

static void
read_range(struct job *job, const struct tenant *t, uint64_t now,
    const struct store_range *range, size_t bytes_most, size_t *used,
    struct store_page *page)
{
	struct store_item *items =
	    job_alloc(job, (t->entries.count + 1) * sizeof(*items));
	struct span last = SPAN_NONE;

	if (!items)
		diag_panic("no memory for the model");
	page->items = items;
	for (size_t i = 0; i < t->entries.count; i++) {
		const struct entry *entry =
		    &t->entries
			 .at[range->reverse ? t->entries.count - 1 - i : i];
		struct span shown = folded(range, entry->key);
		struct store_item item;
		size_t cost;
		int order;

		if (!alive(entry, now) ||
		    !span_starts(entry->key, range->prefix) ||
		    (range->start.data &&
			compare(entry->key, range->start) < 0) ||
		    (range->end.data && compare(entry->key, range->end) >= 0))
			continue;
		if (!shown.data)
			shown = entry->key;
		if (last.data && span_equal(last, shown))
			continue;
		if (range->after.data) {
			order = compare(shown, range->after);
			if (range->reverse ? order >= 0 : order <= 0)
				continue;
		}
		if (shown.bytes == entry->key.bytes &&
		    !folded(range, entry->key).data)
			item = item_of(job, entry, range->values);
		else
			item = (struct store_item){ .key = job_copy(job, shown),
				.folded = true };
		cost = item.key.bytes + item.type.bytes + item.value.bytes;
		if (page->item_count == range->limit ||
		    (page->item_count > 0 && *used + cost > bytes_most)) {
			page->more = true;
			page->next = last;
			return;
		}
		*used += cost;
		items[page->item_count++] = item;
		last = item.key;
	}
}

static void
run_read(struct store *s, struct tenant *t, struct job *job)
{
	const struct store_read *read = job->request.read;
	struct store_result *r = &job->result;
	uint64_t now = now_of(s, t);
	size_t used = 0, most = read->bytes_most;
	struct store_item *points =
	    job_alloc(job, (read->key_count + 1) * sizeof(*points));
	struct store_page *pages =
	    job_alloc(job, (read->range_count + 1) * sizeof(*pages));

	if (!points || !pages)
		diag_panic("no memory for the model");
	if (most == 0)
		most = s->config.page_bytes_most;
	for (size_t i = 0; i < read->key_count; i++) {
		const struct entry *entry =
		    find(&t->entries, read->keys[i], now);

		if (!entry) {
			points[i] = (struct store_item){ .key = read->keys[i] };
			continue;
		}
		points[i] = item_of(job, entry, read->values);
		used += points[i].key.bytes + points[i].type.bytes;
		if (points[i].value.data) {
			if (i > 0 && used + points[i].size > most)
				points[i].value = SPAN_NONE;
			else
				used += points[i].size;
		}
	}
	for (size_t i = 0; i < read->range_count; i++) {
		pages[i] = (struct store_page){ 0 };
		read_range(job, t, now, &read->ranges[i], most, &used,
		    &pages[i]);
	}
	r->version = t->version;
	r->now_ms = now;
	r->points = points;
	r->point_count = read->key_count;
	r->pages = pages;
	r->page_count = read->range_count;
	s->figures.reads++;
}

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

static void
forget_idem(struct tenant *t, size_t i)
{
	disown(t->idems[i].key);
	disown(t->idems[i].print);
	disown(t->idems[i].reply);
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
	trial->notes[trial->note_count++] =
	    (struct change){ kind, trial->version, trial->now, own(key) };
}

static void
try_delete(struct trial *trial, const struct store_op *op,
    struct store_op_result *out)
{
	bool range = op->kind == STORE_DELETE_RANGE;
	size_t limit = range ? op->limit : 1;

	for (size_t i = 0; i < trial->entries.count;) {
		struct entry *entry = &trial->entries.at[i];

		if (!alive(entry, trial->now) ||
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
		take_out(&trial->entries, i);
		out->deleted++;
	}
}

static bool
try_op(struct job *job, struct trial *trial, size_t i,
    struct store_op_result *out)
{
	const struct store_op *op = &job->request.batch->ops[i];
	const struct entry *old = find(&trial->entries, op->key, trial->now);
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
		entry.type = own(old ? old->type : op->type);
	}
	entry.expires_ms =
	    store_expires(op, !old, old ? old->expires_ms : 0, trial->now);
	out->created = !old;
	out->version = trial->version;
	put(&trial->entries, &entry);
	if (op->kind != STORE_SET)
		disown(entry.type);
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
		    find(&t->entries, batch->checks[i].key, now);

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
			forget_idem(t, i--);
	t->idems[t->idem_count++] =
	    (struct idem){ own(batch->idem_key), own(batch->idem_print),
		    own(buf_span(&reply)), now + s->config.idem_ms };
	buf_free(&reply);
	return true;
}

static void
run_commit(struct store *s, struct tenant *t, struct job *job)
{
	const struct store_batch *batch = job->request.batch;
	struct store_result *r = &job->result;
	uint64_t now = now_of(s, t);
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
	trial.entries = copy_entries(&t->entries);
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
		create(s, t);
	if (good && r->changed) {
		t->version = trial.version;
		free_entries(&t->entries);
		t->entries = trial.entries;
		trial.entries = (struct entries){ 0 };
		for (size_t i = 0; i < trial.note_count; i++)
			note(t, trial.notes[i].kind, trial.version,
			    trial.notes[i].key, now);
	}
	for (size_t i = 0; i < trial.note_count; i++)
		disown(trial.notes[i].key);
	free(trial.notes);
	free_entries(&trial.entries);
	s->figures.commits += good;
	s->figures.groups += good;
	s->figures.group_most = 1;
}

/* ---- the other operations -------------------------------------------------- */

static void
run_changes(struct store *s, struct tenant *t, struct job *job)
{
	const struct store_changes *ask = job->request.changes;
	struct store_result *r = &job->result;
	struct store_change *changes =
	    job_alloc(job, (t->change_count + 1) * sizeof(*changes));
	size_t scanned = 0;

	if (!changes)
		diag_panic("no memory for the model");
	r->version = t->version;
	r->now_ms = now_of(s, t);
	r->oldest = t->oldest;
	if (ask->since < t->oldest || ask->since > t->version) {
		job_fail(job, STORE_GONE,
		    "changes are known from version %llu on",
		    (unsigned long long)t->oldest);
		return;
	}
	r->changes = changes;
	r->until = t->version;
	for (size_t i = 0; i < t->change_count; i++) {
		const struct change *change = &t->changes[i];

		if (change->version <= ask->since)
			continue;
		if ((r->change_count >= ask->limit ||
			scanned >= CHANGES_SCAN_MOST) &&
		    change->version != t->changes[i - 1].version) {
			r->until = t->changes[i - 1].version;
			r->more = true;
			return;
		}
		scanned++;
		if (ask->exact ? !span_equal(change->key, ask->prefix) :
				 !span_starts(change->key, ask->prefix))
			continue;
		changes[r->change_count++] =
		    (struct store_change){ change->kind, change->version,
			    job_copy(job, change->key) };
	}
}

static void
change_tenant(struct tenant *t, const struct store_tenant *ask)
{
	if (ask->set & STORE_SET_QUOTA)
		t->quota_bytes = ask->quota_bytes;
	if (ask->set & STORE_SET_DURABILITY)
		t->relaxed = !(t->full = ask->durability == STORE_FULL);
	if (ask->set & STORE_SET_FROZEN)
		t->frozen = ask->frozen;
}

static void
stat_tenant(struct store *s, struct tenant *t, struct job *job)
{
	struct store_usage *usage = job_alloc(job, sizeof(*usage));
	uint64_t now = now_of(s, t);

	if (!usage)
		diag_panic("no memory for the model");
	*usage = (struct store_usage){
		.quota_bytes =
		    t->quota_bytes ? t->quota_bytes : s->config.quota_bytes,
		.oldest = t->oldest,
		.durability = t->full ? STORE_FULL :
		    t->relaxed	      ? STORE_RELAXED :
					s->config.durability,
		.frozen = t->frozen,
	};
	for (size_t i = 0; i < t->entries.count; i++) {
		usage->bytes +=
		    t->entries.at[i].key.bytes + t->entries.at[i].value.bytes;
		usage->keys += alive(&t->entries.at[i], now);
	}
	job->result.usage = usage;
}

static void
run_tenant(struct store *s, struct tenant *t, struct job *job)
{
	const struct store_tenant *ask = job->request.tenant;

	if (ask->op == STORE_TENANT_CREATE)
		create(s, t);
	job->result.now_ms = now_of(s, t);
	job->result.version = t->version;
	if (!t->exists && ask->op != STORE_TENANT_STAT) {
		job_fail(job, STORE_NO_TENANT, "there is no such tenant");
		return;
	}
	switch (ask->op) {
	case STORE_TENANT_CREATE:
	case STORE_TENANT_CHANGE:
		change_tenant(t, ask);
		break;
	case STORE_TENANT_DROP:
		drop(t);
		break;
	case STORE_TENANT_STAT:
		stat_tenant(s, t, job);
		break;
	}
	job->result.version = t->version;
}

static size_t
sweep_keys(struct tenant *t, uint64_t now, size_t budget)
{
	size_t swept = 0;

	for (size_t i = 0; i < t->entries.count && swept < budget;) {
		if (alive(&t->entries.at[i], now)) {
			i++;
			continue;
		}
		note(t, STORE_CHANGE_EXPIRE, t->version + 1,
		    t->entries.at[i].key, now);
		take_out(&t->entries, i);
		swept++;
	}
	t->version += swept > 0;
	return swept;
}

static size_t
sweep_changes(struct store *s, struct tenant *t, uint64_t now, size_t budget)
{
	uint64_t most = s->config.log_commits_most;
	uint64_t last = t->version > most ? t->version - most : 0;
	uint64_t old = now > s->config.log_ms ? now - s->config.log_ms : 0;
	size_t count_of = 0;

	while (count_of < t->change_count && count_of < budget &&
	    (t->changes[count_of].version <= last ||
		t->changes[count_of].ms < old))
		count_of++;
	/* the rest of a commit goes with its beginning */
	while (count_of > 0 && count_of < t->change_count &&
	    t->changes[count_of].version == t->changes[count_of - 1].version)
		count_of++;
	if (count_of > 0)
		t->oldest = t->changes[count_of - 1].version;
	cut_changes(t, count_of);
	return count_of;
}

static void
run_sweep(struct store *s, struct job *job)
{
	struct store_result *r = &job->result;
	struct map_node *node = NULL;

	job->moved =
	    job_alloc(job, (s->tenants.count + 1) * sizeof(*job->moved));
	if (!job->moved)
		diag_panic("no memory for the model");
	while ((node = map_next(&s->tenants, node))) {
		struct tenant *t = MAP_OWNER(node, struct tenant, node);
		uint64_t now = now_of(s, t);
		size_t swept;

		if (!t->exists)
			continue;
		if (r->swept >= job->count) {
			r->more = true;
			return;
		}
		swept =
		    t->frozen ? 0 : sweep_keys(t, now, job->count - r->swept);
		if (swept)
			job->moved[job->moved_count++] =
			    (struct job_moved){ job_copy(job, t->node.key),
				    t->version };
		swept += sweep_changes(s, t, now, job->count);
		for (size_t i = 0; i < t->idem_count; i++) {
			if (t->idems[i].expires_ms > now)
				continue;
			forget_idem(t, i--);
			swept++;
		}
		r->swept += swept;
	}
	r->more = r->swept >= job->count;
}

static int
compare_names(const void *a, const void *b)
{
	return compare(*(const struct span *)a, *(const struct span *)b);
}

static void
run_tenants(struct store *s, struct job *job)
{
	struct span *names =
	    job_alloc(job, (s->tenants.count + 1) * sizeof(*names));
	struct map_node *node = NULL;
	size_t n = 0;

	if (!names)
		diag_panic("no memory for the model");
	while ((node = map_next(&s->tenants, node)))
		if (MAP_OWNER(node, struct tenant, node)->exists &&
		    compare(node->key, job->name) > 0)
			names[n++] = job_copy(job, node->key);
	qsort(names, n, sizeof(*names), compare_names);
	job->result.names = names;
	job->result.name_count = n > job->count ? job->count : n;
	job->result.more = n > job->count;
}

/* ---- the table ------------------------------------------------------------- */

static struct store *
memory_open(const struct store_config *config, struct loop *loop,
    char why[STORE_DETAIL_MOST])
{
	struct store *s = diag_alloc(sizeof(*s));

	s->config = *config;
	store_config_defaults(&s->config);
	map_init(&s->tenants);
	if (desk_open(&s->desk, loop, s->config.queue_most) == 0)
		return s;
	snprintf(why, STORE_DETAIL_MOST, "no eventfd: %s", diag_errno());
	map_free(&s->tenants);
	free(s);
	return NULL;
}

static void
memory_close(struct store *s)
{
	struct map_node *node;

	desk_close(&s->desk);
	while ((node = map_next(&s->tenants, NULL))) {
		map_remove(&s->tenants, node);
		free_tenant(MAP_OWNER(node, struct tenant, node));
	}
	map_free(&s->tenants);
	free(s);
}

static void
memory_run(struct store *s, struct job *job)
{
	struct tenant *t;
	size_t bad;
	enum store_status status;

	job->next = NULL;
	if (job->kind == JOB_SWEEP) {
		run_sweep(s, job);
	} else if (job->kind == JOB_TENANTS) {
		run_tenants(s, job);
	} else if (!store_tenant_name_good(job->tenant)) {
		job_fail(job, STORE_BAD_NAME, "no name of a tenant");
	} else {
		t = tenant_of(s, job->tenant);
		job->result.version = t->version;
		switch (job->kind) {
		case JOB_READ:
			run_read(s, t, job);
			break;
		case JOB_COMMIT:
			status = store_batch_good(job->request.batch,
			    s->config.value_most, &bad);
			job->result.failed_op = bad;
			if (status != STORE_OK)
				job_fail(job, status, "operation %zu cannot be",
				    bad);
			else
				run_commit(s, t, job);
			break;
		case JOB_CHANGES:
			run_changes(s, t, job);
			break;
		case JOB_TENANT:
			run_tenant(s, t, job);
			break;
		case JOB_CHECK:
			if (!t->exists)
				job_fail(job, STORE_NO_TENANT,
				    "there is no such tenant");
			break;
		case JOB_BACKUP:
		case JOB_RESTORE:
			job_fail(job, STORE_UNSUPPORTED,
			    "a storage in memory has no backups");
			break;
		default:
			break;
		}
	}
	desk_done(&s->desk, job);
}

static int
memory_read(struct store *s, struct span tenant, const struct store_read *read,
    store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_READ, tenant, fn, arg);

	if (!job)
		return -1;
	job->request.read = read;
	memory_run(s, job);
	return 0;
}

static int
memory_commit(struct store *s, struct span tenant,
    const struct store_batch *batch, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_COMMIT, tenant, fn, arg);

	if (!job)
		return -1;
	job->request.batch = batch;
	memory_run(s, job);
	return 0;
}

static int
memory_changes(struct store *s, struct span tenant,
    const struct store_changes *changes, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_CHANGES, tenant, fn, arg);

	if (!job)
		return -1;
	job->request.changes = changes;
	memory_run(s, job);
	return 0;
}

static int
memory_watch(struct store *s, struct span tenant, struct store_watch *watch)
{
	struct job *first;

	if (desk_watch(&s->desk, tenant, watch, &first) < 0)
		return -1;
	memory_run(s, first);
	return 0;
}

static void
memory_unwatch(struct store *s, struct store_watch *watch)
{
	desk_unwatch(&s->desk, watch);
}

static int
memory_sweep(struct store *s, size_t budget, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_SWEEP, SPAN_NONE, fn, arg);

	if (!job)
		return -1;
	job->count = budget;
	memory_run(s, job);
	return 0;
}

static int
memory_tenant(struct store *s, struct span tenant,
    const struct store_tenant *ask, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_TENANT, tenant, fn, arg);

	if (!job)
		return -1;
	job->request.tenant = ask;
	memory_run(s, job);
	return 0;
}

static int
memory_tenants(struct store *s, struct span after, size_t limit, store_fn *fn,
    void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_TENANTS, SPAN_NONE, fn, arg);

	if (!job)
		return -1;
	job->name = after;
	job->count = limit;
	memory_run(s, job);
	return 0;
}

static int
memory_backup(struct store *s, struct span tenant, int directory_fd,
    struct span name, store_fn *fn, void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_BACKUP, tenant, fn, arg);

	(void)directory_fd;
	(void)name;
	if (!job)
		return -1;
	memory_run(s, job);
	return 0;
}

static int
memory_check(struct store *s, struct span tenant, bool deep, store_fn *fn,
    void *arg)
{
	struct job *job = desk_take(&s->desk, JOB_CHECK, tenant, fn, arg);

	if (!job)
		return -1;
	job->deep = deep;
	memory_run(s, job);
	return 0;
}

static void
memory_figures(struct store *s, struct store_figures *figures)
{
	*figures = s->figures;
	figures->wakeups = atomic_load(&s->desk.wakeups);
	figures->queued = s->desk.queued;
}

const struct store_engine store_memory = {
	.name = "memory",
	.open = memory_open,
	.close = memory_close,
	.read = memory_read,
	.commit = memory_commit,
	.changes = memory_changes,
	.watch = memory_watch,
	.unwatch = memory_unwatch,
	.sweep = memory_sweep,
	.tenant = memory_tenant,
	.tenants = memory_tenants,
	.backup = memory_backup,
	.restore = memory_backup,
	.check = memory_check,
	.figures = memory_figures,
};
