/* SPDX-License-Identifier: MIT */
/* precondition.c - lists of entity tags, and what follows from them. */
#include "state/precondition.h"

static enum precondition_error read_field(struct precondition *, struct span,
    bool weak_too);
static int take_tag(struct span *rest, bool *weak, struct span *tag);
static bool matches(const struct precondition *, uint64_t version);

enum precondition_error
preconditions_read(struct preconditions *p, struct span if_match,
    struct span if_none_match, const char **field)
{
	enum precondition_error error;

	*field = "If-Match";
	error = read_field(&p->match, if_match, false);
	if (error != PRECONDITION_OK)
		return error;
	*field = "If-None-Match";
	return read_field(&p->none_match, if_none_match, true);
}

enum precondition_result
preconditions_hold(const struct preconditions *p, uint64_t version,
    bool reading)
{
	if (p->match.kind != PRECONDITION_NONE && !matches(&p->match, version))
		return PRECONDITIONS_FAIL;
	if (p->none_match.kind != PRECONDITION_NONE &&
	    matches(&p->none_match, version))
		return reading ? PRECONDITIONS_UNMADE : PRECONDITIONS_FAIL;
	return PRECONDITIONS_HOLD;
}

static bool
matches(const struct precondition *p, uint64_t version)
{
	if (version == 0)
		return false;
	if (p->kind == PRECONDITION_ANY)
		return true;
	for (size_t i = 0; i < p->count; i++)
		if (p->versions[i] == version)
			return true;
	return false;
}

static enum precondition_error
read_field(struct precondition *p, struct span field, bool weak_too)
{
	size_t tags = 0;

	p->count = 0;
	p->kind = PRECONDITION_NONE;
	if (field.data == NULL)
		return PRECONDITION_OK;
	field = span_trim(field);
	if (span_equal(field, SPAN("*"))) {
		p->kind = PRECONDITION_ANY;
		return PRECONDITION_OK;
	}
	p->kind = PRECONDITION_TAGS;
	while (field.bytes > 0) {
		struct span tag;
		bool weak;

		/* Lists may have empty elements (section 5.6.1). */
		if (field.data[0] == ',') {
			field = span_trim(span_skip(field, 1));
			continue;
		}
		if (take_tag(&field, &weak, &tag) != 0)
			return PRECONDITION_BAD;
		if (++tags > PRECONDITION_TAGS_MOST)
			return PRECONDITION_TOO_MANY;
		field = span_trim(field);
		if (field.bytes > 0 && field.data[0] != ',')
			return PRECONDITION_BAD;
		/* One spelling a version: "057" is no tag of ours. */
		if ((!weak || weak_too) && tag.bytes > 0 &&
		    tag.data[0] != '0' &&
		    span_number(tag, UINT64_MAX, &p->versions[p->count]) == 0)
			p->count++;
	}
	return tags > 0 ? PRECONDITION_OK : PRECONDITION_BAD;
}

/* entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE (section 8.8.3) */
static int
take_tag(struct span *rest, bool *weak, struct span *tag)
{
	struct span s = *rest;

	*weak = span_starts(s, SPAN("W/"));
	if (*weak)
		s = span_skip(s, 2);
	if (s.bytes < 2 || s.data[0] != '"')
		return -1;
	s = span_skip(s, 1);
	for (size_t i = 0; i < s.bytes; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c == '"') {
			*tag = span_take(s, i);
			*rest = span_skip(s, i + 1);
			return 0;
		}
		if (c <= ' ' || c == 0x7f)
			return -1;
	}
	return -1;
}
