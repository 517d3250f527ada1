/* SPDX-License-Identifier: MIT */
/* If this fails, root relies on what somebody else can change. */

#include "rows.h"

#include "master/master.h"

struct row {
	const char *sentence;
	uid_t uid;
	gid_t gid;
	mode_t mode;
	const char *refusal; /* words of it; NULL: trusted */
	bool only_owner;
};

/* Ids that are in no database: such a user's own group has his number. */
enum { SOMEBODY = 1234567 };

static const struct row rows[] = {
	{ "root's, closed", 0, 0, 0755, NULL, true },
	{ "root's, and root's group may write", 0, 0, 0775, NULL, true },
	{ "root's, but everybody may write", 0, 0, 0757, "everybody", false },
	{ "root's, but another group may write", 0, SOMEBODY, 0775,
	    "group id 1234567", false },
	{ "root's, another group may only read", 0, SOMEBODY, 0750, NULL,
	    true },
	{ "somebody's, closed", SOMEBODY, SOMEBODY, 0700,
	    "belongs to user id 1234567", true },
	{ "somebody's, and his own group may write", SOMEBODY, SOMEBODY, 0775,
	    "belongs", true },
	{ "somebody's, and another group may write", SOMEBODY, SOMEBODY + 1,
	    0775, "belongs", false },
	{ "somebody's, and everybody may write", SOMEBODY, SOMEBODY, 0707,
	    "belongs", false },
};

static void
run(void **state)
{
	const struct row *row = *state;
	struct stat s = { .st_uid = row->uid,
		.st_gid = row->gid,
		.st_mode = S_IFDIR | row->mode };
	char text[256];
	const char *refusal =
	    trust_refusal(&s, "the directory", "/x", text, sizeof(text));

	if (!row->refusal)
		assert_null(refusal);
	else {
		assert_non_null(refusal);
		assert_non_null(strstr(refusal, "the directory /x"));
		assert_non_null(strstr(refusal, row->refusal));
	}
	assert_int_equal(trust_only_owner_writes(&s), row->only_owner);
}

int
main(void)
{
	return RUN_ROWS(rows, run);
}
