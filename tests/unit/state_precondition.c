/* SPDX-License-Identifier: MIT */
/* If this fails, a write goes through that its condition forbids, or a client is
 * told that it has what it has not. */
#include "rows.h"

#include "state/precondition.h"

enum outcome { HOLDS, FAILS, UNMADE, BAD, MANY };

static const struct condition_row {
	const char *sentence;
	const char *match;
	const char *none;
	uint64_t version; /* 0: there is no such key */
	enum outcome reading;
	enum outcome writing;
} conditions[] = {
	{ "no conditions hold", NULL, NULL, 57, HOLDS, HOLDS },
	{ "the version there is", "\"57\"", NULL, 57, HOLDS, HOLDS },
	{ "another version", "\"56\"", NULL, 57, FAILS, FAILS },
	{ "one of several", "\"1\", \"57\" ,\"9\"", NULL, 57, HOLDS, HOLDS },
	{ "none of several", "\"1\",\"9\"", NULL, 57, FAILS, FAILS },
	{ "no key has no version", "\"57\"", NULL, 0, FAILS, FAILS },
	{ "any key", "*", NULL, 57, HOLDS, HOLDS },
	{ "any key, and there is none", "*", NULL, 0, FAILS, FAILS },
	{ "If-Match compares strongly", "W/\"57\"", NULL, 57, FAILS, FAILS },
	{ "no key yet", NULL, "*", 0, HOLDS, HOLDS },
	{ "no key yet, and there is one", NULL, "*", 57, UNMADE, FAILS },
	{ "what the client has", NULL, "\"57\"", 57, UNMADE, FAILS },
	{ "what it has is old", NULL, "\"56\"", 57, HOLDS, HOLDS },
	{ "If-None-Match compares weakly", NULL, "W/\"57\"", 57, UNMADE,
	    FAILS },
	{ "no key is not what it has", NULL, "\"57\"", 0, HOLDS, HOLDS },
	{ "If-Match comes first", "\"1\"", "\"57\"", 57, FAILS, FAILS },
	{ "both hold", "\"57\"", "\"56\"", 57, HOLDS, HOLDS },
	{ "a tag of somebody else matches nothing", "\"abc\"", NULL, 57, FAILS,
	    FAILS },
	{ "... and is nothing one has", NULL, "\"abc\"", 57, HOLDS, HOLDS },
	{ "another spelling is another tag", "\"057\"", NULL, 57, FAILS,
	    FAILS },
	{ "the empty tag", "\"\"", NULL, 57, FAILS, FAILS },
	{ "an empty field", "", NULL, 57, BAD, BAD },
	{ "no quotes", "57", NULL, 57, BAD, BAD },
	{ "half of the quotes", "\"57", NULL, 57, BAD, BAD },
	{ "no comma", "\"57\" \"58\"", NULL, 57, BAD, BAD },
	{ "a small w", NULL, "w/\"57\"", 57, BAD, BAD },
	{ "* and more", "*, \"57\"", NULL, 57, BAD, BAD },
	{ "a blank in a tag", "\"5 7\"", NULL, 57, BAD, BAD },
	{ "empty elements are none", ",\"57\",,", NULL, 57, HOLDS, HOLDS },
	{ "commas alone are no list", ",,", NULL, 57, BAD, BAD },
	{ "sixteen tags are enough",
	    "\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\","
	    "\"1\",\"1\",\"1\",\"1\",\"57\"",
	    NULL, 57, HOLDS, HOLDS },
	{ "seventeen are too many",
	    "\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\","
	    "\"1\",\"1\",\"1\",\"1\",\"1\",\"57\"",
	    NULL, 57, MANY, MANY },
};

static enum outcome
outcome_of(const struct condition_row *row, bool reading)
{
	struct preconditions p;
	const char *field;

	switch (preconditions_read(&p, span_of(row->match), span_of(row->none),
	    &field)) {
	case PRECONDITION_BAD:
		return BAD;
	case PRECONDITION_TOO_MANY:
		return MANY;
	case PRECONDITION_OK:
		break;
	}
	assert_int_equal(preconditions_any(&p),
	    row->match != NULL || row->none != NULL);
	switch (preconditions_hold(&p, row->version, reading)) {
	case PRECONDITIONS_FAIL:
		return FAILS;
	case PRECONDITIONS_UNMADE:
		return UNMADE;
	case PRECONDITIONS_HOLD:
		break;
	}
	return HOLDS;
}

static void
test_condition(void **state)
{
	const struct condition_row *row = *state;

	assert_int_equal(outcome_of(row, true), row->reading);
	assert_int_equal(outcome_of(row, false), row->writing);
}

int
main(void)
{
	return RUN_ROWS(conditions, test_condition);
}
