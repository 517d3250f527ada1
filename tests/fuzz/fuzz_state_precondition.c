/* SPDX-License-Identifier: MIT */
/* fuzz_state_precondition.c - lists of entity tags: no more of them than there is
 * room for, and what holds for a version follows from what was read. */
#include "fuzz.h"

#include "state/precondition.h"

static void
check(const struct precondition *p)
{
	assert(p->count <= PRECONDITION_TAGS_MOST);
	for (size_t i = 0; i < p->count; i++)
		assert(p->versions[i] > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span match = span_make(data, bytes);
	struct span none = span_cut(&match, '\n');
	struct preconditions p;
	const char *field;

	if (preconditions_read(&p, match, none, &field) != PRECONDITION_OK)
		return 0;
	check(&p.match);
	check(&p.none_match);
	/* Where there is nothing, only If-Match can fail. */
	assert((preconditions_hold(&p, 0, false) == PRECONDITIONS_FAIL) ==
	    (p.match.kind != PRECONDITION_NONE));
	for (size_t i = 0; i < p.none_match.count; i++)
		assert(preconditions_hold(&p, p.none_match.versions[i],
			   false) == PRECONDITIONS_FAIL);
	/* Reading and writing differ in the word alone. */
	for (uint64_t version = 0; version < 100; version += 7)
		assert((preconditions_hold(&p, version, true) ==
			   PRECONDITIONS_HOLD) ==
		    (preconditions_hold(&p, version, false) ==
			PRECONDITIONS_HOLD));
	return 0;
}
