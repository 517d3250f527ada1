/* SPDX-License-Identifier: MIT */
/* faults_words.c - what functions ran into, in words for who owns them. Names and
 * reasons are a tenant's bytes: JSON takes them as they are, and who shows them
 * on a terminal escapes them. */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "wire/json_text.h"

#include "gateway/faults.h"

enum { WORDS_MOST = 1024 };

static buf_name_fn put_named;
static int put_requests(struct buf *, const struct fault *);
static int put_times(struct buf *, uint64_t count);
static int put_limit(struct buf *, const struct fault *);
static int put_line(struct buf *, json_t *taken);
static json_t *row_json(const struct fault *);
static json_t *forgotten_json(const struct faults_tenant *);
static void set_words(json_t *, const char *name,
    int (*put)(struct buf *, const struct fault *), const struct fault *);
static void set_if(json_t *, const char *name, const char *text);

int
fault_put_sentence(struct buf *out, const struct fault *f)
{
	return buf_fill(out, fault_text(f->kind)->sentence, put_named, f);
}

int
fault_put_advice(struct buf *out, const struct fault *f)
{
	return buf_fill(out, fault_text(f->kind)->advice, put_named, f);
}

static int
put_named(struct buf *out, struct span name, const void *arg)
{
	const struct fault *f = arg;

	if (span_equal(name, SPAN("requests")))
		return put_requests(out, f);
	if (span_equal(name, SPAN("were")))
		return buf_put_string(out, f->count == 1 ? "was" : "were");
	if (span_equal(name, SPAN("times")))
		return put_times(out, f->count);
	if (span_equal(name, SPAN("limit")))
		return put_limit(out, f);
	if (span_equal(name, SPAN("tenant")))
		return buf_put_string(out, f->tenant->name);
	return buf_put_string(out, f->what[0] ? f->what : "an unknown reason");
}

static int
put_requests(struct buf *out, const struct fault *f)
{
	return buf_printf(out, "%llu request%s%s%s",
	    (unsigned long long)f->count, f->count == 1 ? "" : "s",
	    f->function[0] ? " of " : "", f->function);
}

static int
put_times(struct buf *out, uint64_t count)
{
	return buf_printf(out, "%llu time%s", (unsigned long long)count,
	    count == 1 ? "" : "s");
}

static int
put_limit(struct buf *out, const struct fault *f)
{
	return buf_printf(out, "%s%s%s", f->limit[0] ? f->limit : "its limit",
	    f->value[0] ? " = " : "", f->value);
}

/* ---- JSON --------------------------------------------------------------------- */

int
faults_put_since(struct buf *out, const struct faults *all)
{
	return buf_printf(out, "{\"since_unix_ms\":%llu}\n",
	    (unsigned long long)all->since_unix_ms);
}

int
faults_put_json(struct buf *out, const struct faults_tenant *t)
{
	LIST_EACH(node, &t->rows) {
		const struct fault *f =
		    LIST_OWNER(node, struct fault, in_tenant);

		if (put_line(out, row_json(f)) != 0)
			return -1;
	}
	return t->forgotten > 0 ? put_line(out, forgotten_json(t)) : 0;
}

/* Both lists have the latest first: a tenant stands where its first row does. */
int
faults_put_names(struct buf *out, const struct faults *all)
{
	LIST_EACH(node, &all->rows) {
		const struct fault *f = LIST_OWNER(node, struct fault, in_all);

		if (list_first(&f->tenant->rows) == &f->in_tenant &&
		    buf_put(out,
			span_make(f->tenant->name,
			    f->tenant->node.key.bytes + 1)) != 0)
			return -1;
	}
	return 0;
}

static int
put_line(struct buf *out, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	int result = text && buf_put_string(out, text) == 0 &&
		buf_put_byte(out, '\n') == 0 ?
	    0 :
	    -1;

	json_decref(object);
	free(text);
	return result;
}

static json_t *
row_json(const struct fault *f)
{
	static const char *const classes[] = { "limit", "failure", "host" };
	const struct fault_row_text *text = fault_text(f->kind);
	json_t *row = json_object();

	set_if(row, "tenant", f->tenant->name);
	set_if(row, "function", f->function);
	set_if(row, "fault", text->name);
	set_if(row, "class", classes[text->class]);
	set_if(row, "limit", f->limit);
	set_if(row, "value", f->value);
	set_if(row, "what", f->what);
	json_object_set_new(row, "count", json_integer((json_int_t)f->count));
	json_object_set_new(row, "first_unix_ms",
	    json_integer((json_int_t)f->first_unix_ms));
	json_object_set_new(row, "last_unix_ms",
	    json_integer((json_int_t)f->last_unix_ms));
	set_if(row, "request", f->request);
	set_words(row, "says", fault_put_sentence, f);
	set_words(row, "advice", fault_put_advice, f);
	return row;
}

/* What there is no room for any more, so that no number is too small. */
static json_t *
forgotten_json(const struct faults_tenant *t)
{
	json_t *row = json_object();
	char says[96];

	snprintf(says, sizeof(says),
	    "%llu more, longer ago, of which only the number is kept",
	    (unsigned long long)t->forgotten);
	set_if(row, "tenant", t->name);
	set_if(row, "fault", "older");
	json_object_set_new(row, "count",
	    json_integer((json_int_t)t->forgotten));
	set_if(row, "says", says);
	return row;
}

static void
set_words(json_t *row, const char *name,
    int (*put)(struct buf *, const struct fault *), const struct fault *f)
{
	struct buf words;

	buf_init(&words, WORDS_MOST);
	(void)put(&words, f); /* as much as there is room for */
	json_object_set_new(row, name, json_text(buf_span(&words)));
	buf_free(&words);
}

static void
set_if(json_t *row, const char *name, const char *text)
{
	if (text[0])
		json_object_set_new(row, name, json_text(span_of(text)));
}
