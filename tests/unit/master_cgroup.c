/* SPDX-License-Identifier: MIT */
/* If this fails, tenants are limited in a control group that is not theirs, or
 * not at all although the machine could. Version 2 is a tree of plain files
 * here; what the kernel then does is tried end to end where it has it. */

#include "place.h"

#include <sys/wait.h>

#include "base/fd.h"

#include "master/cgroup.h"

enum { STARTS = 500 };

/* ---- where they are ------------------------------------------------------------ */

#define V1(point, root, options)     \
	"30 25 0:26 " root " " point \
	" rw,nosuid shared:9 - cgroup c rw," options "\n"
#define V2(point, root) \
	"29 25 0:25 " root " " point " rw,nosuid - cgroup2 cgroup2 rw\n"
#define OTHER "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"

static const struct where {
	const char *sentence;
	const char *mounts;
	const char *membership;
	const char *found; /* "unified OWN" or "KINDS OWN", a line each */
} wheres[] = {
	{ "a machine with version 2 alone", OTHER V2("/sys/fs/cgroup", "/"),
	    "0::/system.slice/fcgi-host.service\n",
	    "unified /sys/fs/cgroup/system.slice/fcgi-host.service\n" },
	{ "a hybrid machine has each controller in a tree of its own, and "
	  "version 2 beside them",
	    V1("/c/memory", "/", "memory") V1("/c/pids", "/", "pids")
		V1("/c/cpu,cpuacct", "/", "cpu,cpuacct")
		    V1("/c/freezer", "/", "freezer") V2("/c/unified", "/"),
	    "9:name=systemd:/\n4:memory:/user/a\n3:cpu,cpuacct:/b\n"
	    "2:pids:/\n0::/\n",
	    "1 /c/memory/user/a\n2 /c/pids\n4 /c/cpu,cpuacct/b\n"
	    "unified /c/unified\n" },
	{ "in a container only its part is mounted",
	    V2("/sys/fs/cgroup", "/docker/123"), "0::/docker/123/service\n",
	    "unified /sys/fs/cgroup/service\n" },
	{ "... which may be all it sees", V2("/sys/fs/cgroup", "/docker/123"),
	    "0::/docker/123\n", "unified /sys/fs/cgroup\n" },
	{ "a part that we are not in is used from its top",
	    V2("/sys/fs/cgroup", "/docker/12"), "0::/docker/123\n",
	    "unified /sys/fs/cgroup\n" },
	{ "the first mount of a hierarchy counts",
	    V1("/a", "/", "memory") V1("/b", "/", "memory"), "4:memory:/x\n",
	    "1 /a/x\n" },
	{ "two controllers may share a tree", V1("/a", "/", "memory,cpu"),
	    "4:cpu,memory:/x\n", "5 /a/x\n" },
	{ "a place with a blank in its name is left alone",
	    V1("/a\\040b", "/", "memory"), "4:memory:/\n", "" },
	{ "a machine without any", OTHER, "", "" },
	{ "nonsense is none", "cgroup\n - cgroup\n- cgroup2", "x", "" },
};

static void
they_are_found(void **state)
{
	const struct where *row = *state;
	struct cgroup_found found[CGROUP_KINDS + 1];
	size_t count =
	    cgroup_find(span_of(row->mounts), span_of(row->membership), found);
	char text[2048] = "";
	size_t used = 0;

	for (size_t i = 0; i < count; i++)
		if (found[i].unified)
			used += (size_t)snprintf(text + used,
			    sizeof(text) - used, "unified %s\n", found[i].own);
		else
			used +=
			    (size_t)snprintf(text + used, sizeof(text) - used,
				"%x %s\n", found[i].kinds, found[i].own);
	assert_string_equal(text, row->found);
}

/* ---- what is written there ------------------------------------------------------- */

/* A group as the kernel would make it. */
static void
group_make(const struct place *p, const char *name, const char *const *files,
    size_t count)
{
	char path[256];

	mkdirat(p->fd, name, 0755);
	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", name, files[i]);
		place_write(p, path, "", 0644);
	}
}

static const char *const files_of_2[] = { "cgroup.procs",
	"cgroup.subtree_control", "memory.max", "memory.swap.max",
	"memory.events", "pids.max", "pids.events", "cpu.weight", "cpu.max",
	"cpu.stat" };
static const char *const files_of_1[] = { "cgroup.procs", "tasks",
	"memory.limit_in_bytes", "memory.memsw.limit_in_bytes",
	"memory.oom_control", "pids.max", "pids.events", "cpu.shares",
	"cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.stat" };

static void
tree_make(const struct place *p, bool unified, struct cgroup_found *found)
{
	const char *const *files = unified ? files_of_2 : files_of_1;
	size_t count = unified ? COUNT(files_of_2) : COUNT(files_of_1);
	char name[64];

	if (unified)
		place_write(p, "cgroup.controllers", "cpuset cpu memory pids\n",
		    0644);
	group_make(p, ".", files, count);
	snprintf(name, sizeof(name), "fcgi-host-%ld", (long)getpid());
	group_make(p, name, files, count);
	snprintf(name, sizeof(name), "fcgi-host-%ld/tenant-acme",
	    (long)getpid());
	group_make(p, name, files, count);
	*found = (struct cgroup_found){ .unified = unified,
		.kinds = unified ? 0 : 7 };
	snprintf(found->own, sizeof(found->own), "%s", p->path);
	snprintf(found->mount, sizeof(found->mount), "%s", p->path);
}

static void
expect(const struct place *p, const char *group, const char *file,
    const char *text)
{
	char path[256], found[256];

	snprintf(path, sizeof(path), "fcgi-host-%ld%s/%s", (long)getpid(),
	    group, file);
	place_read(p, path, found, sizeof(found));
	assert_string_equal(found, text);
}

static const struct cgroup_limits some = {
	.memory = 1 << 20,
	.processes = 30,
	.cpu = 150,
	.weight = 200,
};

/* Control groups of one hierarchy, with a tenant that has these. */
static void
limit(struct cgroups *c, const struct place *p, bool unified,
    const struct cgroup_limits *limits)
{
	struct cgroup_found found;
	char reason[256];

	tree_make(p, unified, &found);
	cgroups_open_found(c, &found, 1);
	assert_int_equal(cgroup_limit(c, "acme", limits, reason,
			     sizeof(reason)),
	    0);
}

static void
version_2_is_divided_and_limited(void **state)
{
	const struct place *p = *state;
	struct cgroup_found found;
	char reason[256], text[64];
	struct cgroups c;

	tree_make(p, true, &found);
	cgroups_open_found(&c, &found, 1);
	assert_string_equal(c.reason, "");
	for (int kind = 0; kind < CGROUP_KINDS; kind++)
		assert_true(cgroups_have(&c, (enum cgroup_kind)kind));
	place_read(p, "cgroup.subtree_control", text, sizeof(text));
	assert_string_equal(text, "+memory +pids +cpu");
	expect(p, "", "cgroup.subtree_control", "+memory +pids +cpu");
	assert_int_equal(cgroup_limit(&c, "acme", &some, reason,
			     sizeof(reason)),
	    0);
	expect(p, "/tenant-acme", "memory.max", "1048576");
	expect(p, "/tenant-acme", "memory.swap.max", "0");
	expect(p, "/tenant-acme", "pids.max", "30");
	expect(p, "/tenant-acme", "cpu.weight", "200");
	expect(p, "/tenant-acme", "cpu.max", "150000 100000");
	cgroups_close(&c);
}

static void
version_1_is_limited(void **state)
{
	const struct place *p = *state;
	struct cgroups c;

	limit(&c, p, false, &some);
	expect(p, "/tenant-acme", "memory.limit_in_bytes", "1048576");
	expect(p, "/tenant-acme", "memory.memsw.limit_in_bytes", "1048576");
	expect(p, "/tenant-acme", "pids.max", "30");
	expect(p, "/tenant-acme", "cpu.shares", "2048");
	expect(p, "/tenant-acme", "cpu.cfs_quota_us", "150000");
	cgroups_close(&c);
}

/* The instance as a whole, against what else runs on the machine. */
static void
who_is_alone_has_a_larger_share(void **state)
{
	const struct place *p = *state;

	for (int unified = 0; unified <= 1; unified++) {
		const char *file = unified ? "cpu.weight" : "cpu.shares";
		struct cgroup_found found;
		struct cgroups c;

		tree_make(p, unified, &found);
		cgroups_open_found(&c, &found, 1);
		cgroups_share(&c, 1);
		expect(p, "", file, unified ? "800" : "8192");
		cgroups_share(&c, 2);
		expect(p, "", file, unified ? "100" : "1024");
		cgroups_share(&c, 3);
		expect(p, "", file, unified ? "100" : "1024");
		cgroups_share(&c, 0);
		expect(p, "", file, unified ? "800" : "8192");
		cgroups_close(&c);
	}
}

static void
no_limit_is_said_in_the_words_of_each(void **state)
{
	static const struct cgroup_limits none;
	const struct place *p = *state;
	struct cgroups c;

	limit(&c, p, true, &none);
	expect(p, "/tenant-acme", "memory.max", "max");
	expect(p, "/tenant-acme", "memory.swap.max", "max");
	expect(p, "/tenant-acme", "pids.max", "max");
	expect(p, "/tenant-acme", "cpu.weight", "100");
	expect(p, "/tenant-acme", "cpu.max", "max 100000");
	cgroups_close(&c);
	limit(&c, p, false, &none);
	expect(p, "/tenant-acme", "memory.limit_in_bytes", "-1");
	expect(p, "/tenant-acme", "cpu.cfs_quota_us", "-1");
	cgroups_close(&c);
}

static void
a_quota_of_all_processors_is_none(void **state)
{
	static const struct {
		uint64_t cpu, processors;
		const char *in_2, *in_1;
	} rows[] = {
		{ 1600, 2, "max 100000", "-1" },
		{ 200, 2, "max 100000", "-1" },
		{ 199, 2, "199000 100000", "199000" },
		{ 1600, 17, "1600000 100000", "1600000" },
		{ 1600, 0, "1600000 100000", "1600000" },
		{ 1, 1, "1000 100000", "1000" },
		{ 0, 2, "max 100000", "-1" },
	};
	const struct place *p = *state;
	struct cgroups c;

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct cgroup_limits limits = {
			.cpu = rows[i].cpu,
			.processors = rows[i].processors,
		};

		limit(&c, p, true, &limits);
		expect(p, "/tenant-acme", "cpu.max", rows[i].in_2);
		cgroups_close(&c);
		limit(&c, p, false, &limits);
		expect(p, "/tenant-acme", "cpu.cfs_quota_us", rows[i].in_1);
		cgroups_close(&c);
	}
}

static void
one_joins_by_one_write_to_each(void **state)
{
	const struct place *p = *state;
	int fds[CGROUP_KINDS];
	struct cgroup_found found;
	struct buf names;
	struct cgroups c;

	buf_init(&names, CGROUP_NAMES_MOST);
	tree_make(p, true, &found);
	cgroups_open_found(&c, &found, 1);
	assert_int_equal(cgroup_joins(&c, "acme", &names, fds), 1);
	assert_memory_equal(buf_string(&names), "unified\0", 8);
	assert_int_equal(fd_write_all(fds[0], SPAN("0")), 0);
	fd_close(&fds[0]);
	expect(p, "/tenant-acme", "cgroup.procs", "0");
	cgroups_close(&c);

	buf_clear(&names);
	tree_make(p, false, &found);
	cgroups_open_found(&c, &found, 1);
	assert_int_equal(cgroup_joins(&c, "acme", &names, fds), 1);
	assert_int_equal(fd_write_all(fds[0], SPAN("0")), 0);
	fd_close(&fds[0]);
	expect(p, "/tenant-acme", "tasks", "0");
	assert_int_equal(cgroup_joins(&c, "nobody", &names, fds), -1);
	cgroups_close(&c);
	buf_free(&names);
}

static void
a_meter_is_of_each_kind(void **state)
{
	const struct place *p = *state;
	int fds[CGROUP_KINDS];
	struct cgroup_found found;
	struct buf names;
	struct cgroups c;

	buf_init(&names, CGROUP_NAMES_MOST);
	for (int unified = 0; unified <= 1; unified++) {
		buf_clear(&names);
		tree_make(p, unified, &found);
		cgroups_open_found(&c, &found, 1);
		assert_int_equal(cgroup_meters(&c, "acme", &names, fds), 3);
		assert_int_equal(buf_bytes(&names), 16);
		assert_memory_equal(buf_string(&names), "memory\0pids\0cpu\0",
		    16);
		for (int i = 0; i < 3; i++)
			fd_close(&fds[i]);
		cgroups_close(&c);
	}
	buf_free(&names);
}

static void
what_cannot_be_limited_is_said(void **state)
{
	const struct place *p = *state;
	struct cgroup_found found;
	struct cgroups c;
	char reason[256];

	cgroups_open_found(&c, NULL, 0);
	assert_false(cgroups_have(&c, CGROUP_MEMORY));
	assert_string_equal(c.reason, "no control groups are mounted here");
	/* then there is nothing to do, which works */
	assert_int_equal(cgroup_limit(&c, "acme", &some, reason,
			     sizeof(reason)),
	    0);
	assert_true(cgroup_remove(&c, "acme"));
	cgroups_close(&c);

	/* a controller that is not among them */
	tree_make(p, true, &found);
	place_write(p, "cgroup.controllers", "pids\n", 0644);
	cgroups_open_found(&c, &found, 1);
	assert_false(cgroups_have(&c, CGROUP_MEMORY));
	assert_true(cgroups_have(&c, CGROUP_PIDS));
	cgroups_close(&c);

	/* a tree that is not there */
	snprintf(found.own, sizeof(found.own), "%s/none", p->path);
	found.unified = false;
	found.kinds = 1;
	cgroups_open_found(&c, &found, 1);
	assert_int_equal(c.kinds, 0);
	assert_non_null(strstr(c.reason, "none: cannot be opened"));
	cgroups_close(&c);
}

static void
a_limit_that_is_refused_is_an_error(void **state)
{
	const struct place *p = *state;
	struct cgroup_found found;
	struct cgroups c;
	char reason[256], path[128];

	tree_make(p, true, &found);
	snprintf(path, sizeof(path), "fcgi-host-%ld/tenant-acme/pids.max",
	    (long)getpid());
	assert_int_equal(unlinkat(p->fd, path, 0), 0);
	cgroups_open_found(&c, &found, 1);
	assert_int_equal(cgroup_limit(&c, "acme", &some, reason,
			     sizeof(reason)),
	    -1);
	assert_string_equal(reason,
	    "its limit of pids cannot be set: No such file or directory");
	cgroups_close(&c);
}

/* Directories without files, as it is with real ones. */
static void
what_a_dead_master_left_is_removed(void **state)
{
	const struct place *p = *state;
	struct cgroup_found found = { .kinds = 2 };
	struct cgroups c;

	snprintf(found.own, sizeof(found.own), "%s", p->path);
	mkdirat(p->fd, "fcgi-host-1", 0755);
	mkdirat(p->fd, "fcgi-host-1/tenant-acme", 0755);
	mkdirat(p->fd, "fcgi-host-1/tenant-acme/leaf", 0755);
	mkdirat(p->fd, "mine", 0755);
	cgroups_open_found(&c, &found, 1);
	assert_int_equal(faccessat(p->fd, "fcgi-host-1", F_OK, 0), -1);
	assert_int_equal(faccessat(p->fd, "mine", F_OK, 0), 0);
	assert_int_equal(faccessat(p->fd, c.name, F_OK, 0), 0);

	cgroups_close(&c);
	assert_int_equal(faccessat(p->fd, c.name, F_OK, 0), -1);
}

/* Each may take what the other has just made for what a dead one left. */
static void
masters_that_start_together_have_one_each(void **state)
{
	const struct place *p = *state;
	struct cgroup_found found = { .kinds = 2 };
	struct cgroups c;
	bool had = true;
	pid_t other;
	int status;

	snprintf(found.own, sizeof(found.own), "%s", p->path);
	other = fork();
	assert_true(other >= 0);
	for (int i = 0; had && i < STARTS; i++) {
		cgroups_open_found(&c, &found, 1);
		had = c.kinds == 2 && faccessat(p->fd, c.name, F_OK, 0) == 0 &&
		    mkdirat(c.trees[0].fd, "tenant-acme", 0755) == 0;
		cgroups_close(&c);
	}
	if (other == 0)
		_exit(had ? 0 : 1);
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(status, 0);
	assert_true(had);
	assert_int_equal(faccessat(p->fd, c.name, F_OK, 0), -1);
}

/* The lock is what counts, not the number. */
static void
another_host_may_have_our_number(void **state)
{
	const struct place *p = *state;
	struct cgroup_found found = { .kinds = 2 };
	struct cgroups c, again;

	snprintf(found.own, sizeof(found.own), "%s", p->path);
	cgroups_open_found(&c, &found, 1);
	cgroups_open_found(&again, &found, 1);
	assert_int_equal(again.kinds, 0);
	assert_non_null(strstr(again.reason, "another host has our number"));
	cgroups_close(&again);
	assert_int_equal(faccessat(p->fd, c.name, F_OK, 0), 0);
	cgroups_close(&c);
	assert_int_equal(faccessat(p->fd, c.name, F_OK, 0), -1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(test) \
	cmocka_unit_test_setup_teardown(test, place_make, place_remove)
		TEST(version_2_is_divided_and_limited),
		TEST(version_1_is_limited),
		TEST(who_is_alone_has_a_larger_share),
		TEST(no_limit_is_said_in_the_words_of_each),
		TEST(a_quota_of_all_processors_is_none),
		TEST(one_joins_by_one_write_to_each),
		TEST(a_meter_is_of_each_kind),
		TEST(what_cannot_be_limited_is_said),
		TEST(a_limit_that_is_refused_is_an_error),
		TEST(what_a_dead_master_left_is_removed),
		TEST(masters_that_start_together_have_one_each),
		TEST(another_host_may_have_our_number),
	};

	return RUN_ROWS(wheres, they_are_found) ||
	    cmocka_run_group_tests(tests, NULL, NULL);
}
