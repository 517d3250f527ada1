/* SPDX-License-Identifier: MIT */
/* problem.c - one sentence about what went wrong last, for each thread; and what
 * the host says is wrong, read from its replies. */

#include <stdarg.h>
#include <stdio.h>

#include "sdk/client.h"
#include "sdk/walk.h"

enum { PROBLEM_BYTES = 512 };

static _Thread_local char sentence[PROBLEM_BYTES];

static void member_take(struct walk *, struct span name, struct reply *);
static void failed_take(struct walk *, struct reply *);
static struct span last_part(struct span urn);
static void sentence_clean(void);

const char *
fn_problem(void)
{
	return sentence;
}

enum fn_result
problem(enum fn_result result, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	sentence_clean();
	return result;
}

enum fn_result
problem_none(void)
{
	sentence[0] = '\0';
	return FN_OK;
}

void
problem_read(struct reply *r)
{
	struct span name, body = buf_span(&r->body);
	struct walk w;

	if (!span_starts(span_of(r->type), SPAN("application/problem+json")))
		return;
	walk_init(&w, (char *)(uintptr_t)body.data, body.bytes);
	if (!walk_object(&w))
		return;
	while (walk_member(&w, &name))
		member_take(&w, name, r);
	if (!walk_over(&w))
		r->problem = r->title = r->detail = SPAN_NONE;
}

enum fn_result
problem_reply(enum fn_result result, const struct reply *r)
{
	/* Not state itself: the web server in front of a host that is gone. */
	if (!r->title.data && !r->detail.data)
		return problem(result, "state answered %u", r->status);
	if (r->failed_key.data)
		return problem(result, "state answered %u: %.*s: %.*s",
		    r->status, SPAN_ARGS(r->title), SPAN_ARGS(r->failed_key));
	return problem(result, "state answered %u: %.*s%s%.*s", r->status,
	    SPAN_ARGS(r->title), r->title.bytes && r->detail.bytes ? ": " : "",
	    SPAN_ARGS(r->detail));
}

static void
member_take(struct walk *w, struct span name, struct reply *r)
{
	struct span outcome;

	if (span_equal(name, SPAN("title"))) {
		walk_string(w, &r->title);
	} else if (span_equal(name, SPAN("detail"))) {
		walk_string(w, &r->detail);
	} else if (span_equal(name, SPAN("type"))) {
		if (walk_string(w, &r->problem))
			r->problem = last_part(r->problem);
	} else if (span_equal(name, SPAN("outcome"))) {
		if (walk_string(w, &outcome))
			r->outcome_unknown =
			    span_equal(outcome, SPAN("unknown"));
	} else if (span_equal(name, SPAN("failed"))) {
		failed_take(w, r);
	} else {
		walk_skip(w);
	}
}

/* [{"index": 0, "key": "a", "version": 60}, ...] */
static void
failed_take(struct walk *w, struct reply *r)
{
	struct span name;

	walk_array(w);
	while (walk_element(w)) {
		walk_object(w);
		while (walk_member(w, &name))
			if (!r->failed_key.data &&
			    span_equal(name, SPAN("key")))
				walk_string(w, &r->failed_key);
			else
				walk_skip(w);
	}
}

static struct span
last_part(struct span urn)
{
	struct span part = urn;

	while (urn.data != NULL)
		part = span_cut(&urn, ':');
	return part;
}

/* One line, whatever was quoted in it. */
static void
sentence_clean(void)
{
	for (char *c = sentence; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
}
