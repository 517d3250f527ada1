/* SPDX-License-Identifier: MIT */
/* store_sqlite_read.c - points, ranges and changes. A file has one connection
 * and this thread has it, so whatever is read between two commits is one
 * snapshot without a transaction. */
#include "state/store_sqlite.h"

enum {
	ITEMS_FIRST = 32,
	/* a page of changes ends after so many rows, at the end of a commit,
	 * when a filter leaves nothing of them */
	CHANGES_SCAN_MOST = 16384,
};

/* Where a walk over keys stands. */
struct walk {
	struct file *file;
	struct job *job;
	const struct store_range *range;
	uint64_t now;
	size_t bytes_most;
	size_t *used; /* of the answer */
	struct store_page *page;
	struct store_item *items;
	size_t room;
	struct span from; /* inclusive */
	struct span to;	  /* exclusive, when there is an end */
	bool to_end;
	bool full;
};

/* Columns of the statements that give an item. */
enum { LIST_KEY, LIST_VERSION, LIST_EXPIRES, LIST_TYPE, LIST_SIZE, LIST_VALUE };
enum { GET_VERSION, GET_EXPIRES, GET_TYPE, GET_VALUE };

static int read_point(struct file *, struct job *, struct span key,
    uint64_t now, size_t bytes_most, size_t *used, bool first,
    struct store_item *);
static int read_range(struct walk *);
static int read_step(struct walk *, sqlite3_stmt *, struct span *skip);
static bool read_bounds(struct walk *);

void
read_run(struct file *f, struct job *job)
{
	const struct store_read *read = job->request.read;
	struct store_result *r = &job->result;
	size_t used = 0, most = read->bytes_most;
	struct store_item *points =
	    job_alloc(job, read->key_count * sizeof(*points));
	struct store_page *pages =
	    job_alloc(job, read->range_count * sizeof(*pages));
	int code = points && pages ? SQLITE_OK : SQLITE_NOMEM;

	if (most == 0)
		most = f->thread->store->config.page_bytes_most;
	r->version = f->version;
	r->now_ms = file_now(f);
	for (size_t i = 0; i < read->key_count && code == SQLITE_OK; i++)
		code = read_point(f, job, read->keys[i], r->now_ms, most, &used,
		    i == 0, &points[i]);
	for (size_t i = 0; i < read->range_count && code == SQLITE_OK; i++) {
		struct walk walk = {
			.file = f,
			.job = job,
			.range = &read->ranges[i],
			.now = r->now_ms,
			.bytes_most = most,
			.used = &used,
			.page = &pages[i],
		};

		pages[i] = (struct store_page){ 0 };
		if (f->db)
			code = read_range(&walk);
	}
	if (code != SQLITE_OK) {
		file_failed(f, job, code, "reading");
		return;
	}
	r->points = points;
	r->point_count = read->key_count;
	r->pages = pages;
	r->page_count = read->range_count;
	store_count(&f->thread->store->reads, 1);
}

static uint64_t
column_expires(sqlite3_stmt *s, int at)
{
	return (uint64_t)sqlite3_column_int64(s, at); /* NULL is 0 */
}

static bool
expired(uint64_t expires_ms, uint64_t now)
{
	return expires_ms && expires_ms <= now;
}

/* A copy in the job of what the row has; SQLITE_NOMEM without memory. */
static int
keep(struct job *job, struct span from, struct span *to)
{
	*to = job_copy(job, from);
	return from.data && !to->data ? SQLITE_NOMEM : SQLITE_OK;
}

static int
read_point(struct file *f, struct job *job, struct span key, uint64_t now,
    size_t bytes_most, size_t *used, bool first, struct store_item *item)
{
	bool values = job->request.read->values;
	enum statement which = values ? STATEMENT_GET : STATEMENT_GET_SIZE;
	sqlite3_stmt *s;
	int code;

	*item = (struct store_item){ .key = key };
	if (!f->db)
		return SQLITE_OK;
	if (!(s = file_statement(f, which)))
		return sqlite3_extended_errcode(f->db);
	file_bind(s, 1, key);
	code = sqlite3_step(s);
	if (code != SQLITE_ROW || expired(column_expires(s, GET_EXPIRES), now))
		return file_done(s, code);
	item->version = (uint64_t)sqlite3_column_int64(s, GET_VERSION);
	item->expires_ms = column_expires(s, GET_EXPIRES);
	code = keep(job, file_column(s, GET_TYPE), &item->type);
	*used += key.bytes + item->type.bytes;
	if (!values) {
		item->size = (uint64_t)sqlite3_column_int64(s, GET_VALUE);
		return file_done(s, code);
	}
	item->size = (uint64_t)sqlite3_column_bytes(s, GET_VALUE);
	if (code == SQLITE_OK && (first || *used + item->size <= bytes_most)) {
		code = keep(job, file_column(s, GET_VALUE), &item->value);
		*used += item->value.bytes;
	}
	return file_done(s, code);
}

/* ---- ranges ---------------------------------------------------------------- */

bool
read_successor(struct span s, char *to, size_t *bytes)
{
	size_t n = s.bytes;

	while (n > 0 && (unsigned char)s.data[n - 1] == 0xff)
		n--;
	if (n == 0)
		return false;
	memcpy(to, s.data, n);
	to[n - 1] = (char)((unsigned char)to[n - 1] + 1);
	*bytes = n;
	return true;
}

/* Any blob is above any text. */
void
read_bind_range(sqlite3_stmt *s, struct span from, struct span to, bool to_end)
{
	file_bind(s, 1, from);
	if (to_end)
		sqlite3_bind_zeroblob(s, 2, 0);
	else
		file_bind(s, 2, to);
}

static int
compare(struct span a, struct span b)
{
	size_t least = a.bytes < b.bytes ? a.bytes : b.bytes;
	int order = least ? memcmp(a.data, b.data, least) : 0;

	return order ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

/* The common beginning the key is folded into, or SPAN_NONE. */
static struct span
fold(const struct store_range *range, struct span key)
{
	struct span d = range->delimiter;
	struct span rest;
	const char *found;

	if (d.bytes == 0 || !span_starts(key, range->prefix))
		return SPAN_NONE;
	rest = span_skip(key, range->prefix.bytes);
	if (rest.bytes == 0)
		return SPAN_NONE;
	found = memmem(rest.data, rest.bytes, d.data, d.bytes);
	return found ? span_take(key, (size_t)(found - key.data) + d.bytes) :
		       SPAN_NONE;
}

static void
raise_from(struct walk *w, struct span from)
{
	if (compare(from, w->from) > 0)
		w->from = from;
}

static void
lower_to(struct walk *w, struct span to)
{
	if (w->to_end || compare(to, w->to) < 0) {
		w->to = to;
		w->to_end = false;
	}
}

/* The successor in the job's memory: false when there is none. */
static bool
successor_of(struct walk *w, struct span s, struct span *to, bool *memory)
{
	char *text = job_alloc(w->job, s.bytes + 1);
	size_t bytes;

	if (!text) {
		*memory = false;
		return false;
	}
	if (!read_successor(s, text, &bytes))
		return false;
	*to = span_make(text, bytes);
	return true;
}

/* Where the walk begins and ends; false without memory. */
static bool
read_bounds(struct walk *w)
{
	const struct store_range *range = w->range;
	struct span after = range->after, folded = fold(range, after), next;
	bool memory = true;
	char *text;

	w->from = SPAN("");
	w->to_end = true;
	raise_from(w, range->prefix);
	if (range->prefix.bytes &&
	    successor_of(w, range->prefix, &next, &memory))
		lower_to(w, next);
	if (range->start.data)
		raise_from(w, range->start);
	if (range->end.data)
		lower_to(w, range->end);
	if (!after.data || !memory)
		return memory;
	if (range->reverse) {
		/* a beginning stands before all that it stands for */
		if (folded.data && folded.bytes < after.bytes &&
		    successor_of(w, folded, &next, &memory))
			lower_to(w, next);
		else if (memory)
			lower_to(w, after);
		return memory;
	}
	if (folded.data) {
		if (successor_of(w, folded, &next, &memory))
			raise_from(w, next);
		else
			w->full = true; /* nothing is above it */
		return memory;
	}
	/* the least text above it: one more byte, the least one */
	if (!(text = job_alloc(w->job, after.bytes + 1)))
		return false;
	memcpy(text, after.data, after.bytes);
	text[after.bytes] = '\0';
	raise_from(w, span_make(text, after.bytes + 1));
	return true;
}

static int
read_range(struct walk *w)
{
	static const enum statement which[2][2] = {
		{ STATEMENT_LIST_SIZES, STATEMENT_LIST_SIZES_REVERSE },
		{ STATEMENT_LIST, STATEMENT_LIST_REVERSE },
	};
	const struct store_range *range = w->range;
	sqlite3_stmt *s =
	    file_statement(w->file, which[range->values][range->reverse]);
	int code;

	if (!s)
		return sqlite3_extended_errcode(w->file->db);
	if (!read_bounds(w))
		return SQLITE_NOMEM;
	while (!w->full) {
		struct span skip = SPAN_NONE, next;
		bool memory = true;

		read_bind_range(s, w->from, w->to, w->to_end);
		while ((code = sqlite3_step(s)) == SQLITE_ROW)
			if ((code = read_step(w, s, &skip)) != SQLITE_OK ||
			    skip.data || w->full)
				break;
		code = file_done(s, code);
		if (code != SQLITE_OK || !skip.data)
			return code;
		/* all that a beginning stands for is passed by */
		if (range->reverse)
			lower_to(w, skip);
		else if (successor_of(w, skip, &next, &memory))
			raise_from(w, next);
		else if (memory)
			return SQLITE_OK;
		if (!memory)
			return SQLITE_NOMEM;
	}
	return SQLITE_OK;
}

static struct store_item *
item_room(struct walk *w)
{
	struct store_item *more;
	size_t room = w->room ? w->room * 2 : ITEMS_FIRST;

	if (w->page->item_count < w->room)
		return &w->items[w->page->item_count];
	if (!(more = job_alloc(w->job, room * sizeof(*more))))
		return NULL;
	if (w->room)
		memcpy(more, w->items, w->room * sizeof(*more));
	w->items = more;
	w->page->items = more;
	w->room = room;
	return &more[w->page->item_count];
}

/* One row: an item, or a beginning with *skip to go on behind. */
static int
read_step(struct walk *w, sqlite3_stmt *s, struct span *skip)
{
	const struct store_range *range = w->range;
	struct store_page *page = w->page;
	struct span key = file_column(s, LIST_KEY), type = SPAN_NONE;
	struct span folded = fold(range, key);
	struct store_item *item;
	uint64_t size = 0;
	size_t cost;
	int code;

	if (expired(column_expires(s, LIST_EXPIRES), w->now))
		return SQLITE_OK;
	if (folded.data) {
		cost = folded.bytes;
	} else {
		type = file_column(s, LIST_TYPE);
		size = (uint64_t)sqlite3_column_int64(s, LIST_SIZE);
		cost = key.bytes + type.bytes + (range->values ? size : 0);
	}
	if (page->items &&
	    (page->item_count >= range->limit ||
		*w->used + cost > w->bytes_most)) {
		page->more = true;
		page->next = page->items[page->item_count - 1].key;
		w->full = true;
		return SQLITE_OK;
	}
	if (!(item = item_room(w)))
		return SQLITE_NOMEM;
	*item = (struct store_item){ .folded = folded.data };
	*w->used += cost;
	if (folded.data) {
		code = keep(w->job, folded, &item->key);
		*skip = item->key;
	} else {
		code = keep(w->job, key, &item->key);
		if (code == SQLITE_OK)
			code = keep(w->job, type, &item->type);
		if (code == SQLITE_OK && range->values)
			code = keep(w->job, file_column(s, LIST_VALUE),
			    &item->value);
		item->size = size;
		item->version = (uint64_t)sqlite3_column_int64(s, LIST_VERSION);
		item->expires_ms = column_expires(s, LIST_EXPIRES);
	}
	if (code == SQLITE_OK)
		page->item_count++;
	return code;
}

/* ---- changes --------------------------------------------------------------- */

static int
changes_walk(struct file *f, struct job *job, sqlite3_stmt *s)
{
	const struct store_changes *ask = job->request.changes;
	struct store_result *r = &job->result;
	struct store_change *changes = NULL, *more;
	size_t room = 0, scanned = 0;
	uint64_t last = 0;
	int code;

	sqlite3_bind_int64(s, 1, (int64_t)ask->since);
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		uint64_t version = (uint64_t)sqlite3_column_int64(s, 0);
		struct span key = file_column(s, 2);

		if ((r->change_count >= ask->limit ||
			scanned >= CHANGES_SCAN_MOST) &&
		    version != last) {
			r->until = last;
			r->more = true;
			return SQLITE_OK;
		}
		last = version;
		scanned++;
		if (ask->exact ? !span_equal(key, ask->prefix) :
				 !span_starts(key, ask->prefix))
			continue;
		if (!changes || r->change_count == room) {
			room = room ? room * 2 : ITEMS_FIRST;
			more = job_alloc(job, room * sizeof(*more));
			if (!more)
				return SQLITE_NOMEM;
			if (changes)
				memcpy(more, changes,
				    r->change_count * sizeof(*more));
			r->changes = changes = more;
		}
		changes[r->change_count] = (struct store_change){
			.kind =
			    (enum store_change_kind)sqlite3_column_int(s, 1),
			.version = version,
		};
		if (keep(job, key, &changes[r->change_count].key) != SQLITE_OK)
			return SQLITE_NOMEM;
		r->change_count++;
	}
	(void)f;
	return code;
}

void
read_changes(struct file *f, struct job *job)
{
	const struct store_changes *ask = job->request.changes;
	struct store_result *r = &job->result;
	sqlite3_stmt *s;
	int code;

	r->version = r->until = f->version;
	r->oldest = f->oldest;
	r->now_ms = file_now(f);
	if (ask->since < f->oldest || ask->since > f->version) {
		job_fail(job, STORE_GONE,
		    "changes are known from version %llu on",
		    (unsigned long long)f->oldest);
		return;
	}
	if (!f->db || ask->since == f->version)
		return;
	if (!(s = file_statement(f, STATEMENT_CHANGES))) {
		file_failed(f, job, sqlite3_extended_errcode(f->db), "reading");
		return;
	}
	code = changes_walk(f, job, s);
	if ((code = file_done(s, code)) != SQLITE_OK)
		file_failed(f, job, code, "reading changes");
}
