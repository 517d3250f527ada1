/* SPDX-License-Identifier: MIT */
/* If this fails, a client reaches a directory that is no tenant, or functions
 * run as somebody they should not. */

#include "place.h"

#include <pwd.h>

#include "base/fd.h"

#include "master/master.h"

static void
host_make(struct master *m, const struct place *p)
{
	*m = (struct master){ .root = geteuid() == 0 };
	m->config = config_new();
	free(m->config->functions);
	m->config->functions = strdup(p->path);
	free(m->config->front_users.items[0]);
	m->config->front_users.items[0] = strdup("70005");
	free(m->config->operator_group);
	m->config->operator_group = strdup("70006");
	m->settled = (struct settled){ .gateway_uid = 70001,
		.log_uid = 70002,
		.state_uid = 70003,
		.front_gid = 70004,
		.gateway_gid = (gid_t)-1,
		.log_gid = 70009,
		.state_gid = (gid_t)-1 };
	users_settle(&m->users, m->config, &m->settled);
	registry_init(&m->registry, p->fd);
}

static void
host_free(struct master *m)
{
	registry_free(&m->registry);
	users_free(&m->users);
	config_release(&m->config);
}

static enum tenant_outcome
find(struct master *m, const char *name, struct tenant_place *place)
{
	enum tenant_outcome outcome = tenant_find(m, span_of(name), place);

	assert_int_equal(outcome == TENANT_FOUND, place->fd >= 0);
	if (outcome != TENANT_FOUND)
		assert_true(place->reason[0] != '\0');
	fd_close(&place->fd);
	return outcome;
}

static void
a_directory_is_found_with_its_user(void **state)
{
	const struct place *p = *state;
	char path[128];
	struct tenant_place place;
	struct master m;

	host_make(&m, p);
	mkdirat(p->fd, "acme", 0755);
	snprintf(path, sizeof(path), "%s/acme", p->path);
	assert_int_equal(find(&m, "acme", &place), TENANT_FOUND);
	assert_string_equal(place.path, path);
	assert_int_equal(place.owner, geteuid());
	if (m.root) {
		/* root's directory: an id of its own, never root's */
		assert_true(place.uid >= m.config->tenant_first);
		assert_int_equal(place.gid, place.uid);
	} else {
		assert_int_equal(place.uid, geteuid());
		assert_int_equal(place.gid, getegid());
	}
	host_free(&m);
}

static void
what_is_no_directory_is_no_tenant(void **state)
{
	const struct place *p = *state;
	struct tenant_place place;
	struct master m;

	host_make(&m, p);
	place_write(p, "file", "#!/bin/sh\n", 0755);
	mkdirat(p->fd, "real", 0755);
	assert_int_equal(symlinkat("real", p->fd, "link"), 0);
	assert_int_equal(symlinkat("/etc", p->fd, "etc"), 0);
	assert_int_equal(find(&m, "file", &place), TENANT_MISSING);
	assert_int_equal(find(&m, "none", &place), TENANT_MISSING);
	assert_int_equal(find(&m, "..", &place), TENANT_MISSING);
	assert_int_equal(find(&m, "real/../real", &place), TENANT_MISSING);
	assert_int_equal(find(&m, "link", &place), TENANT_REFUSED);
	assert_int_equal(find(&m, "etc", &place), TENANT_REFUSED);
	assert_non_null(strstr(place.reason, "symbolic link"));
	host_free(&m);
}

static void
a_directory_that_others_can_change_is_refused(void **state)
{
	const struct place *p = *state;
	struct tenant_place place;
	struct master m;

	host_make(&m, p);
	mkdirat(p->fd, "open", 0755);
	assert_int_equal(fchmodat(p->fd, "open", 0777, 0), 0);
	assert_int_equal(find(&m, "open", &place), TENANT_REFUSED);
	assert_non_null(strstr(place.reason, "chmod"));
	assert_int_equal(fchmodat(p->fd, "open", 0755, 0), 0);
	assert_int_equal(find(&m, "open", &place), TENANT_FOUND);
	/* and so is everything, if the directory above is open */
	chmod(p->path, 0777);
	assert_int_equal(find(&m, "open", &place), TENANT_REFUSED);
	chmod(p->path, 0755);
	host_free(&m);
}

static void
without_the_directory_above_the_setting_is_named(void **state)
{
	const struct place *p = *state;
	struct tenant_place place;
	struct master m;

	host_make(&m, p);
	free(m.config->functions);
	m.config->functions = strdup("/nowhere/at/all");
	assert_int_equal(find(&m, "acme", &place), TENANT_REFUSED);
	assert_non_null(strstr(place.reason, "functions = \"/nowhere"));
	host_free(&m);
}

static const struct {
	uid_t uid;
	const char *words;
} host_users[] = {
	{ 70001, "which is the gateway's (users.gateway)" },
	{ 70002, "which is the log process's (users.log)" },
	{ 70003, "which is the state process's (users.state)" },
	{ 70004, "which is in the web server's group (front.group)" },
	{ 70005, "which is the web server's (front.users)" },
	{ 70006, "which is an operator's (operator_group)" },
	{ 70009, "which is the log process's (users.log)" },
	{ 65534, "which is what files of nobody have" },
	{ 4294967294, "which is what files of nobody have" },
	{ 71000, "one of those from users.tenants_first = 71000 on" },
	{ 90999, "one of those from users.tenants_first = 71000 on" },
};

static void
an_owner_that_must_not_run_is_refused(void **state)
{
	const struct place *p = *state;
	struct tenant_place place;
	struct master m;

	host_make(&m, p);
	if (!m.root) {
		host_free(&m);
		skip();
	}
	mkdirat(p->fd, "system", 0755);
	assert_int_equal(fchownat(p->fd, "system", 33, 33, 0), 0);
	assert_int_equal(find(&m, "system", &place), TENANT_REFUSED);
	assert_non_null(strstr(place.reason, "users.least"));

	/* numbers without a name here: the group has the same */
	for (size_t i = 0; i < COUNT(host_users); i++) {
		assert_int_equal(fchownat(p->fd, "system", host_users[i].uid, 0,
				     0),
		    0);
		assert_int_equal(find(&m, "system", &place), TENANT_REFUSED);
		assert_non_null(strstr(place.reason, host_users[i].words));
	}

	m.config->tenant_least_group = 70008;
	assert_int_equal(fchownat(p->fd, "system", 70007, 0, 0), 0);
	assert_int_equal(find(&m, "system", &place), TENANT_REFUSED);
	assert_non_null(strstr(place.reason,
	    "group 70007, below users.least_group = 70008"));
	m.config->tenant_least_group = 100;

	/* nor does a directory take the id that another is given later */
	assert_int_equal(fchownat(p->fd, "system", 71000, 71000, 0), 0);
	assert_int_equal(find(&m, "system", &place), TENANT_REFUSED);
	assert_int_equal(fchownat(p->fd, "system", 91000, 0, 0), 0);
	assert_int_equal(find(&m, "system", &place), TENANT_FOUND);

	/* an id that was given to another tenant */
	mkdirat(p->fd, "first", 0755);
	assert_int_equal(find(&m, "first", &place), TENANT_FOUND);
	assert_int_equal(fchownat(p->fd, "system", place.uid, place.gid, 0), 0);
	assert_int_equal(find(&m, "system", &place), TENANT_REFUSED);
	assert_non_null(strstr(place.reason, "tenant first's"));
	/* whose own it may be on disk as well */
	assert_int_equal(fchownat(p->fd, "first", place.uid, place.gid, 0), 0);
	assert_int_equal(find(&m, "first", &place), TENANT_FOUND);

	/* its own group decides, not that of the directory */
	assert_int_equal(fchownat(p->fd, "system", 1234567, 33, 0), 0);
	assert_int_equal(find(&m, "system", &place), TENANT_FOUND);
	assert_int_equal(place.uid, 1234567);
	assert_int_equal(place.gid, 1234567);
	host_free(&m);
}

static void
another_directory_of_that_name_is_not_the_same(void **state)
{
	const struct place *p = *state;
	struct tenant_place place;
	struct span name = SPAN("acme");
	struct master m;

	host_make(&m, p);
	mkdirat(p->fd, "acme", 0755);
	assert_int_equal(find(&m, "acme", &place), TENANT_FOUND);
	assert_true(tenant_same(&m, name, place.device, place.inode,
	    place.owner));
	assert_false(tenant_same(&m, name, place.device, place.inode,
	    place.owner + 1));
	mkdirat(p->fd, "other", 0755);
	assert_int_equal(renameat(p->fd, "acme", p->fd, "old"), 0);
	assert_false(tenant_same(&m, name, place.device, place.inode,
	    place.owner));
	assert_int_equal(renameat(p->fd, "other", p->fd, "acme"), 0);
	assert_false(tenant_same(&m, name, place.device, place.inode,
	    place.owner));
	host_free(&m);
}

/* Asks page by page, like the gateway, and counts. */
static size_t
list_all(const struct config *c, size_t page_bytes, size_t *pages)
{
	char after[CONFIG_TENANT_MOST + 1] = "";
	struct buf names;
	size_t count = 0;
	bool more = true;

	for (*pages = 0; more; (*pages)++) {
		struct span rest;

		buf_init(&names, page_bytes);
		assert_int_equal(tenant_names(c, span_of(after), page_bytes,
				     &names, &more),
		    0);
		rest = buf_span(&names);
		assert_true(!more || rest.bytes > 0);
		while (rest.bytes > 0) {
			struct span name = span_cut(&rest, '\0');

			/* ascending, so none twice */
			assert_true(strcmp(name.data, after) > 0);
			memcpy(after, name.data, name.bytes + 1);
			count++;
		}
		buf_free(&names);
	}
	return count;
}

static void
all_names_are_listed_page_by_page(void **state)
{
	const struct place *p = *state;
	struct config *c = config_new();
	size_t pages;
	char name[16];

	free(c->functions);
	c->functions = strdup(p->path);
	for (int i = 0; i < 5000; i++) {
		/* in an order that is none */
		snprintf(name, sizeof(name), "t%d", i * 7919 % 5000);
		assert_int_equal(mkdirat(p->fd, name, 0755), 0);
	}
	place_write(p, "file", "", 0644);
	mkdirat(p->fd, ".hidden", 0755);
	mkdirat(p->fd, "Capital", 0755); /* to be told what is wrong */
	assert_int_equal(symlinkat("t1", p->fd, "link"), 0);
	assert_int_equal(list_all(c, 60 * 1024, &pages), 5002);
	assert_int_equal(pages, 3);
	assert_int_equal(list_all(c, 1000, &pages), 5002);
	assert_true(pages > 20);
	config_release(&c);
}

static void
an_empty_directory_has_no_names(void **state)
{
	const struct place *p = *state;
	struct config *c = config_new();
	size_t pages;

	free(c->functions);
	c->functions = strdup(p->path);
	assert_int_equal(list_all(c, 1000, &pages), 0);
	assert_int_equal(pages, 1);
	config_release(&c);
}

/* ---- in the homes of users ----------------------------------------------------- */

/* A user of this machine who is not root: daemon is one everywhere. */
static struct passwd *
some_user(void)
{
	return geteuid() == 0 ? getpwnam("daemon") : getpwuid(geteuid());
}

/* PLACE/homes/NAME/functions, and what is asked for. */
static void
home_make(struct master *m, const struct place *p, char name[64])
{
	const struct passwd *user = some_user();
	char path[128];

	host_make(m, p);
	m->config->tenant_least = m->config->tenant_least_group = 1;
	free(m->config->user_directories);
	assert_true(asprintf(&m->config->user_directories,
			"%s/homes/*/functions", p->path) > 0);
	assert_int_equal(mkdirat(p->fd, "homes", 0755), 0);
	snprintf(name, 64, "~%s", user->pw_name);
	snprintf(path, sizeof(path), "homes/%s", user->pw_name);
	assert_int_equal(mkdirat(p->fd, path, 0755), 0);
	assert_int_equal(fchownat(p->fd, path, user->pw_uid, user->pw_gid, 0),
	    0);
	snprintf(path, sizeof(path), "homes/%s/functions", user->pw_name);
	assert_int_equal(mkdirat(p->fd, path, 0755), 0);
	assert_int_equal(fchownat(p->fd, path, user->pw_uid, user->pw_gid, 0),
	    0);
}

/* Of "functions", or of the home when it is "". */
static const char *
in_home(const char *name, const char *below)
{
	static char path[128];

	snprintf(path, sizeof(path), "homes/%s%s%s", name + 1,
	    below[0] ? "/" : "", below);
	return path;
}

static void
a_user_is_found_at_home(void **state)
{
	const struct place *p = *state;
	struct tenant_place place;
	char name[64], path[256];
	struct master m;
	size_t pages;

	home_make(&m, p, name);
	snprintf(path, sizeof(path), "%s/%s", p->path,
	    in_home(name, "functions"));
	assert_int_equal(find(&m, name, &place), TENANT_FOUND);
	assert_string_equal(place.path, path);
	assert_int_equal(place.uid, some_user()->pw_uid);
	assert_true(tenant_same(&m, span_of(name), place.device, place.inode,
	    place.owner));
	/* listed behind the others */
	mkdirat(p->fd, "homes/without", 0755);
	assert_int_equal(list_all(m.config, 1000, &pages), 2);
	host_free(&m);
}

static void
who_has_no_functions_is_missing(void **state)
{
	const struct place *p = *state;
	struct tenant_place place;
	struct master m;
	char name[64];

	home_make(&m, p, name);
	assert_int_equal(find(&m, "~nosuchuser", &place), TENANT_MISSING);
	assert_int_equal(find(&m, "~", &place), TENANT_MISSING);
	assert_int_equal(find(&m, "~0", &place), TENANT_MISSING);
	assert_int_equal(find(&m, "~root", &place), TENANT_REFUSED);
	assert_int_equal(unlinkat(p->fd, in_home(name, "functions"),
			     AT_REMOVEDIR),
	    0);
	assert_int_equal(find(&m, name, &place), TENANT_MISSING);
	free(m.config->user_directories);
	m.config->user_directories = strdup("");
	assert_int_equal(find(&m, name, &place), TENANT_MISSING);
	assert_non_null(strstr(place.reason, "user_directories is empty"));
	host_free(&m);
}

static void
a_home_that_others_can_change_is_refused(void **state)
{
	static const char *const parts[] = { "", "functions" };
	const struct place *p = *state;
	struct tenant_place place;
	struct master m;
	char name[64];

	home_make(&m, p, name);
	for (size_t i = 0; i < COUNT(parts); i++) {
		const char *part = in_home(name, parts[i]);

		assert_int_equal(fchmodat(p->fd, part, 0777, 0), 0);
		assert_int_equal(find(&m, name, &place), TENANT_REFUSED);
		assert_non_null(strstr(place.reason, "chmod go-w"));
		assert_int_equal(fchmodat(p->fd, part, 0755, 0), 0);
		assert_int_equal(find(&m, name, &place), TENANT_FOUND);
		if (!m.root)
			continue;
		assert_int_equal(fchownat(p->fd, part, 1234567, 0, 0), 0);
		assert_int_equal(find(&m, name, &place), TENANT_REFUSED);
		assert_non_null(strstr(place.reason, "another user"));
		/* a home may be root's, what is served may not */
		assert_int_equal(fchownat(p->fd, part, 0, 0, 0), 0);
		assert_int_equal(find(&m, name, &place),
		    i == 0 ? TENANT_FOUND : TENANT_REFUSED);
		assert_int_equal(fchownat(p->fd, part, some_user()->pw_uid,
				     some_user()->pw_gid, 0),
		    0);
	}
	host_free(&m);
}

/* His home is his to change: it must lead nowhere else. */
static void
a_link_on_the_way_is_refused(void **state)
{
	const struct place *p = *state;
	struct tenant_place place;
	struct master m;
	char name[64];

	home_make(&m, p, name);
	assert_int_equal(renameat(p->fd, in_home(name, "functions"), p->fd,
			     "elsewhere"),
	    0);
	assert_int_equal(symlinkat("../../elsewhere", p->fd,
			     in_home(name, "functions")),
	    0);
	assert_int_equal(find(&m, name, &place), TENANT_REFUSED);
	assert_non_null(strstr(place.reason, "symbolic link"));
	host_free(&m);
}

static void
a_pattern_has_one_place_for_the_user(void **state)
{
	static const struct {
		const char *pattern;
		bool good;
	} rows[] = {
		{ "", true },
		{ "/home/*/functions", true },
		{ "/srv/users/*", true },
		{ "/home/*/a/b", true },
		{ "home/*/functions", false },
		{ "/home/functions", false },
		{ "/home/*/*", false },
		{ "/home/x*/functions", false },
		{ "/home/*x/functions", false },
		{ "/home/*/", false },
		{ "/*/functions", false },
		{ "*", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (userdirs_pattern_good(rows[i].pattern) != rows[i].good)
			fail_msg("%s", rows[i].pattern);
}

#define IN_A_PLACE(test) \
	cmocka_unit_test_setup_teardown(test, place_make, place_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_PLACE(a_directory_is_found_with_its_user),
		IN_A_PLACE(what_is_no_directory_is_no_tenant),
		IN_A_PLACE(a_directory_that_others_can_change_is_refused),
		IN_A_PLACE(without_the_directory_above_the_setting_is_named),
		IN_A_PLACE(an_owner_that_must_not_run_is_refused),
		IN_A_PLACE(another_directory_of_that_name_is_not_the_same),
		IN_A_PLACE(all_names_are_listed_page_by_page),
		IN_A_PLACE(an_empty_directory_has_no_names),
		IN_A_PLACE(a_user_is_found_at_home),
		IN_A_PLACE(who_has_no_functions_is_missing),
		IN_A_PLACE(a_home_that_others_can_change_is_refused),
		IN_A_PLACE(a_link_on_the_way_is_refused),
		cmocka_unit_test(a_pattern_has_one_place_for_the_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
