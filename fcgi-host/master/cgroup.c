/* SPDX-License-Identifier: MIT */
/* cgroup.c - makes, limits and removes groups of processes. Everything is done
 * below descriptors of directories, so the same code walks a tree of plain files
 * in the tests. An instance is locked while its master lives: one that can be
 * locked is what a dead one has left. */

#define _GNU_SOURCE 1
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "master/cgroup.h"

#define INSTANCE "fcgi-host-"
#define TENANT "tenant-"
#define HOST_LEAF "host" /* version 2: where we are ourselves */

enum {
	ALL_KINDS = (1 << CGROUP_KINDS) - 1,
	PERIOD_US = 100000,    /* of the processor's quota */
	QUOTA_LEAST_US = 1000, /* that kernels take */
	WEIGHT_EVERYBODY = 100,
	SHARES_EVERYBODY = 1024, /* the same in version 1 */
	HOST_WEIGHT = 1000,
	ALONE = 8,    /* times the share of everybody: see cgroups_share() */
	AGAIN_MS = 5, /* what somebody else does is looked at so often */
	LEFT_TRIES = 400, /* for what is being killed: 2 s, and longer where
			   * the machine has no time for us either */
	LOCK_TRIES = 100,
	DEPTH_MOST = 4,
	FILE_MOST = 64 * 1024,
};

static bool tree_open(struct cgroups *, const struct cgroup_found *,
    unsigned kinds);
static bool tree_open_at(struct cgroups *, struct cgroup_tree *,
    const char *path);
static int instance_lock(struct cgroup_tree *, const char *name);
static bool instance_same(int base_fd, const char *name, int fd);
static int tree_enable(struct cgroup_tree *);
static int tree_move_in(const struct cgroup_tree *);
static void tree_close(const struct cgroups *, struct cgroup_tree *);
static unsigned kinds_of_version_2(const char *path);
static int control_kinds(int fd, char sign, unsigned kinds);
static void leftovers_remove(int base_fd);
static void left_remove(int base_fd, const char *name);
static int group_end(int base_fd, const char *name, int fd);
static void pause_ms(int ms);
static void group_kill(int fd, int depth);
static void processes_kill(int fd);
static int group_remove(int parent_fd, const char *name, int depth);
static void each_directory(int fd, void (*each)(void *arg, const char *name),
    void *arg);
static int group_open(const struct cgroup_tree *, const char *tenant);
static int group_limit(int fd, bool unified, enum cgroup_kind,
    const struct cgroup_limits *);
static int limit_memory(int fd, bool unified, uint64_t bytes);
static int limit_cpu(int fd, bool unified, const struct cgroup_limits *);
static int put_weight(int fd, bool unified, uint64_t weight);
static void group_name(const char *tenant, char name[CGROUP_PATH_MOST]);
static int put_number(int fd, const char *file, uint64_t number,
    const char *none);
static int put(int fd, const char *file, const char *text);
static int get(int fd, const char *file, struct buf *);
static void because(struct cgroups *, const char *path, const char *what);

void
cgroups_open(struct cgroups *c)
{
	struct cgroup_found found[CGROUP_KINDS + 1];
	struct buf mounts, membership;
	size_t count = 0;

	buf_init(&mounts, 4 * 1024 * 1024);
	buf_init(&membership, FILE_MOST);
	if (get(AT_FDCWD, "/proc/self/mountinfo", &mounts) == 0 &&
	    get(AT_FDCWD, "/proc/self/cgroup", &membership) == 0)
		count = cgroup_find(buf_span(&mounts), buf_span(&membership),
		    found);
	buf_free(&mounts);
	buf_free(&membership);
	cgroups_open_found(c, found, count);
}

/* Version 1 first: a controller that is there is not in version 2. */
void
cgroups_open_found(struct cgroups *c, const struct cgroup_found *found,
    size_t count)
{
	*c = (struct cgroups){ 0 };
	snprintf(c->name, sizeof(c->name), INSTANCE "%ld", (long)getpid());
	snprintf(c->reason, sizeof(c->reason),
	    "no control groups are mounted here");
	for (int unified = 0; unified <= 1; unified++)
		for (size_t i = 0; i < count; i++) {
			unsigned kinds = found[i].unified ?
			    kinds_of_version_2(found[i].own) :
			    found[i].kinds;

			kinds &= ~c->kinds;
			if (found[i].unified == (unified != 0) && kinds != 0 &&
			    tree_open(c, &found[i], kinds))
				c->kinds |= kinds;
		}
	if (c->kinds == ALL_KINDS)
		c->reason[0] = '\0';
}

void
cgroups_close(struct cgroups *c)
{
	for (size_t i = 0; i < c->count; i++)
		tree_close(c, &c->trees[i]);
	c->count = 0;
	c->kinds = 0;
}

void
cgroups_share(struct cgroups *c, size_t tenants)
{
	bool alone = tenants <= 1;

	if (alone == c->alone)
		return;
	c->alone = alone;
	for (size_t i = 0; i < c->count; i++)
		if (c->trees[i].kinds & 1U << CGROUP_CPU)
			put_weight(c->trees[i].fd, c->trees[i].unified,
			    alone ? ALONE * WEIGHT_EVERYBODY :
				    WEIGHT_EVERYBODY);
}

bool
cgroups_have(const struct cgroups *c, enum cgroup_kind kind)
{
	return (c->kinds & 1U << kind) != 0;
}

/* ---- the instance ---------------------------------------------------------- */

/* Below our own group, where limits of ours hold for all we start and where a
 * service manager expects what we make. Where that group is not ours alone,
 * version 2 does not divide it: then below the root. */
static bool
tree_open(struct cgroups *c, const struct cgroup_found *f, unsigned kinds)
{
	struct cgroup_tree *t = &c->trees[c->count];

	*t = (struct cgroup_tree){
		.unified = f->unified,
		.kinds = kinds,
		.base_fd = -1,
		.fd = -1,
	};
	if (!tree_open_at(c, t, f->own) &&
	    (!f->unified || strcmp(f->own, f->mount) == 0 ||
		!tree_open_at(c, t, f->mount)))
		return false;
	c->count++;
	return true;
}

static bool
tree_open_at(struct cgroups *c, struct cgroup_tree *t, const char *path)
{
	t->base_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->base_fd < 0) {
		because(c, path, "cannot be opened");
		return false;
	}
	leftovers_remove(t->base_fd);
	if (instance_lock(t, c->name) != 0) {
		because(c, path,
		    errno == EWOULDBLOCK ? "another host has our number" :
					   "nothing can be made in it");
		fd_close(&t->base_fd);
		return false;
	}
	if (t->unified && tree_enable(t) != 0) {
		because(c, path, "it cannot be divided");
		tree_close(c, t);
		return false;
	}
	if (!t->unified)
		put(t->fd, "memory.use_hierarchy", "1"); /* old kernels */
	return true;
}

/* Between its making and its lock another master that starts may take it for
 * one that is left: it holds the lock for as long as it takes to remove it, and
 * what we have then locked has no name any more. Who holds it for longer is
 * another host by the same number. */
static int
instance_lock(struct cgroup_tree *t, const char *name)
{
	for (int tries = 0; tries < LOCK_TRIES; tries++) {
		if (mkdirat(t->base_fd, name, 0755) != 0 && errno != EEXIST)
			return -1;
		t->fd = openat(t->base_fd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (t->fd >= 0 && flock(t->fd, LOCK_EX | LOCK_NB) == 0 &&
		    instance_same(t->base_fd, name, t->fd))
			return 0;
		if (t->fd < 0 && errno != ENOENT)
			return -1;
		fd_close(&t->fd);
		pause_ms(AGAIN_MS);
	}
	errno = EWOULDBLOCK;
	return -1;
}

static bool
instance_same(int base_fd, const char *name, int fd)
{
	struct stat named, open;

	return fstatat(base_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstat(fd, &open) == 0 && named.st_ino == open.st_ino &&
	    named.st_dev == open.st_dev;
}

/* A group whose controllers are given to those below it may not have processes
 * of its own, unless it is the root: we move. */
static int
tree_enable(struct cgroup_tree *t)
{
	if (control_kinds(t->base_fd, '+', t->kinds) != 0 &&
	    (errno != EBUSY || tree_move_in(t) != 0 ||
		control_kinds(t->base_fd, '+', t->kinds) != 0))
		return -1;
	if (control_kinds(t->fd, '+', t->kinds) != 0)
		return -1;
	/* what answers comes before what is answered for */
	put_number(t->fd, HOST_LEAF "/cpu.weight", HOST_WEIGHT, NULL);
	return 0;
}

static int
tree_move_in(const struct cgroup_tree *t)
{
	int fd, result;

	if (mkdirat(t->fd, HOST_LEAF, 0755) != 0 && errno != EEXIST)
		return -1;
	fd = openat(t->fd, HOST_LEAF, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	result = fd < 0 ? -1 : put(fd, "cgroup.procs", "0");
	fd_close(&fd);
	return result;
}

/* Back to where we were, if we have moved: our own group could not go. */
static void
tree_close(const struct cgroups *c, struct cgroup_tree *t)
{
	int error = errno;
	struct stat there;

	if (t->fd >= 0 && t->unified &&
	    fstatat(t->fd, HOST_LEAF, &there, AT_SYMLINK_NOFOLLOW) == 0) {
		control_kinds(t->fd, '-', t->kinds);
		control_kinds(t->base_fd, '-', t->kinds);
		if (put(t->base_fd, "cgroup.procs", "0") != 0)
			diag_warn("control groups: we cannot go back: %s",
			    diag_errno());
	}
	if (t->fd >= 0 && group_end(t->base_fd, c->name, t->fd) != 0)
		diag_warn("control groups: %s stays: %s", c->name,
		    diag_errno());
	fd_close(&t->fd);
	fd_close(&t->base_fd);
	errno = error;
}

static unsigned
kinds_of_version_2(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct span rest;
	unsigned kinds = 0;
	struct buf text;

	buf_init(&text, FILE_MOST);
	if (fd >= 0 && get(fd, "cgroup.controllers", &text) == 0) {
		rest = buf_span(&text);
		rest = span_cut(&rest, '\n');
		while (rest.bytes > 0) {
			struct span name = span_cut(&rest, ' ');

			for (int kind = 0; kind < CGROUP_KINDS; kind++)
				if (span_equal(name,
					span_of(cgroup_kind_name(
					    (enum cgroup_kind)kind))))
					kinds |= 1U << kind;
		}
	}
	buf_free(&text);
	fd_close(&fd);
	return kinds;
}

static int
control_kinds(int fd, char sign, unsigned kinds)
{
	char text[64] = "";
	size_t used = 0;

	for (int kind = 0; kind < CGROUP_KINDS; kind++)
		if (kinds & 1U << kind)
			used += (size_t)snprintf(text + used,
			    sizeof(text) - used, "%s%c%s", used ? " " : "",
			    sign, cgroup_kind_name((enum cgroup_kind)kind));
	return put(fd, "cgroup.subtree_control", text);
}

/* ---- what dead masters left -------------------------------------------------- */

static void
left_one(void *arg, const char *name)
{
	const int *base_fd = arg;

	if (strncmp(name, INSTANCE, strlen(INSTANCE)) == 0)
		left_remove(*base_fd, name);
}

static void
leftovers_remove(int base_fd)
{
	each_directory(base_fd, left_one, &base_fd);
}

/* Its cells die with it; those without a namespace need a moment, or us. */
static void
left_remove(int base_fd, const char *name)
{
	int fd = openat(base_fd, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	/* else another host's, alive */
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    instance_same(base_fd, name, fd) &&
	    group_end(base_fd, name, fd) != 0)
		diag_warn("control groups: %s is left from an earlier start "
			  "and stays: %s",
		    name, diag_errno());
	fd_close(&fd);
}

/* Whatever is in there. What is being killed may take a moment. */
static int
group_end(int base_fd, const char *name, int fd)
{
	for (int tries = 0; group_remove(base_fd, name, 0) != 0; tries++) {
		if (errno != EBUSY || tries == LEFT_TRIES)
			return errno == ENOENT ? 0 : -1;
		group_kill(fd, 0);
		pause_ms(AGAIN_MS);
	}
	return 0;
}

static void
pause_ms(int ms)
{
	const struct timespec pause = { 0, ms * 1000000L };

	nanosleep(&pause, NULL);
}

struct walk {
	int fd;
	int depth;
};

static void
kill_one(void *arg, const char *name)
{
	const struct walk *w = arg;
	int fd = openat(w->fd, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		group_kill(fd, w->depth + 1);
	fd_close(&fd);
}

static void
group_kill(int fd, int depth)
{
	struct walk w = { fd, depth };

	processes_kill(fd);
	if (depth < DEPTH_MOST)
		each_directory(fd, kill_one, &w);
}

static void
processes_kill(int fd)
{
	struct buf text;
	struct span rest;
	uint64_t pid;

	buf_init(&text, 4 * 1024 * 1024);
	if (get(fd, "cgroup.procs", &text) == 0) {
		rest = buf_span(&text);
		while (rest.bytes > 0)
			if (span_number(span_cut(&rest, '\n'), INT32_MAX,
				&pid) == 0 &&
			    pid > 1 && (pid_t)pid != getpid())
				kill((pid_t)pid, SIGKILL);
	}
	buf_free(&text);
}

static void
remove_one(void *arg, const char *name)
{
	const struct walk *w = arg;

	group_remove(w->fd, name, w->depth + 1);
}

/* With the groups in it. 0, or -1 with errno: EBUSY while there are processes. */
static int
group_remove(int parent_fd, const char *name, int depth)
{
	struct walk w = { .depth = depth };

	if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno == ENOENT || depth >= DEPTH_MOST)
		return -1;
	w.fd = openat(parent_fd, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (w.fd < 0)
		return -1;
	each_directory(w.fd, remove_one, &w);
	fd_close(&w.fd);
	return unlinkat(parent_fd, name, AT_REMOVEDIR);
}

/* Which may remove what it is told of. */
static void
each_directory(int fd, void (*each)(void *arg, const char *name), void *arg)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;

	if (!directory) {
		fd_close(&again);
		return;
	}
	while ((entry = readdir(directory)))
		if (entry->d_type == DT_DIR &&
		    strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			each(arg, entry->d_name);
	closedir(directory);
}

/* ---- a tenant's group ---------------------------------------------------------- */

int
cgroup_limit(struct cgroups *c, const char *tenant,
    const struct cgroup_limits *limits, char *reason, size_t room)
{
	char name[CGROUP_PATH_MOST];

	group_name(tenant, name);
	for (size_t i = 0; i < c->count; i++) {
		const struct cgroup_tree *t = &c->trees[i];
		bool made = mkdirat(t->fd, name, 0755) == 0 || errno == EEXIST;
		int fd = made ? group_open(t, tenant) : -1;

		for (int kind = 0; fd >= 0 && kind < CGROUP_KINDS; kind++)
			if ((t->kinds & 1U << kind) != 0 &&
			    group_limit(fd, t->unified, (enum cgroup_kind)kind,
				limits) != 0) {
				snprintf(reason, room,
				    "its limit of %s cannot be set: %s",
				    cgroup_kind_name((enum cgroup_kind)kind),
				    diag_errno());
				fd_close(&fd);
				return -1;
			}
		if (fd < 0) {
			snprintf(reason, room,
			    "its control group cannot be made: %s",
			    diag_errno());
			return -1;
		}
		fd_close(&fd);
	}
	return 0;
}

/* To `tasks` of version 1: a process of one thread that moves itself there
 * waits for nobody, while cgroup.procs stops all forks of the machine and waits
 * for each processor (measured: 0.09 ms instead of 7). Version 2 has
 * cgroup.procs only, which can be read as well: who was made in there is. */
int
cgroup_joins(const struct cgroups *c, const char *tenant, struct buf *names,
    int fds[CGROUP_KINDS])
{
	int count = 0;

	for (size_t i = 0; i < c->count; i++) {
		const struct cgroup_tree *t = &c->trees[i];
		int kind = __builtin_ctz(t->kinds);
		int fd = group_open(t, tenant);

		fds[count] = fd < 0 ?
		    -1 :
		    t->unified ?
		    openat(fd, "cgroup.procs", O_RDWR | O_CLOEXEC) :
		    openat(fd, "tasks", O_WRONLY | O_CLOEXEC);
		fd_close(&fd);
		if (fds[count] < 0) {
			while (count > 0)
				fd_close(&fds[--count]);
			return -1;
		}
		count++;
		buf_put_string(names,
		    t->unified ? "unified" :
				 cgroup_kind_name((enum cgroup_kind)kind));
		buf_put_byte(names, '\0');
	}
	return count;
}

int
cgroup_home(const struct cgroups *c, const char *tenant)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->trees[i].unified)
			return group_open(&c->trees[i], tenant);
	return -1;
}

/* One that is not there, in an old kernel, is left out. */
int
cgroup_meters(const struct cgroups *c, const char *tenant, struct buf *names,
    int fds[CGROUP_KINDS])
{
	static const char *const files[CGROUP_KINDS][2] = {
		[CGROUP_MEMORY] = { "memory.oom_control", "memory.events" },
		[CGROUP_PIDS] = { "pids.events", "pids.events" },
		[CGROUP_CPU] = { "cpu.stat", "cpu.stat" },
	};
	int count = 0;

	for (size_t i = 0; i < c->count; i++) {
		const struct cgroup_tree *t = &c->trees[i];
		int fd = group_open(t, tenant);

		for (int kind = 0; fd >= 0 && kind < CGROUP_KINDS; kind++) {
			if ((t->kinds & 1U << kind) == 0 ||
			    (fds[count] = openat(fd, files[kind][t->unified],
				 O_RDONLY | O_CLOEXEC)) < 0)
				continue;
			count++;
			buf_put_string(names,
			    cgroup_kind_name((enum cgroup_kind)kind));
			buf_put_byte(names, '\0');
		}
		fd_close(&fd);
	}
	return count;
}

bool
cgroup_remove(struct cgroups *c, const char *tenant)
{
	char name[CGROUP_PATH_MOST];
	bool gone = true;

	group_name(tenant, name);
	for (size_t i = 0; i < c->count; i++)
		if (group_remove(c->trees[i].fd, name, 1) != 0 &&
		    errno != ENOENT)
			gone = false;
	return gone;
}

static int
group_open(const struct cgroup_tree *t, const char *tenant)
{
	char name[CGROUP_PATH_MOST];

	group_name(tenant, name);
	return openat(t->fd, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A tenant may be called like a file of the kernel's. */
static void
group_name(const char *tenant, char name[CGROUP_PATH_MOST])
{
	snprintf(name, CGROUP_PATH_MOST, TENANT "%s", tenant);
}

static int
group_limit(int fd, bool unified, enum cgroup_kind kind,
    const struct cgroup_limits *limits)
{
	switch (kind) {
	case CGROUP_MEMORY:
		return limit_memory(fd, unified, limits->memory);
	case CGROUP_PIDS:
		return put_number(fd, "pids.max", limits->processes, "max");
	case CGROUP_CPU:
	case CGROUP_KINDS:
		return limit_cpu(fd, unified, limits);
	}
	diag_panic("kind of control group %d", (int)kind);
}

/* With swap: what is swapped out is used all the same. The limit of both
 * together (version 1, where swap is counted) may not be the lower one at any
 * moment, so it is set before, to raise, and behind, to lower. */
static int
limit_memory(int fd, bool unified, uint64_t bytes)
{
	if (unified) {
		put(fd, "memory.swap.max", bytes ? "0" : "max");
		return put_number(fd, "memory.max", bytes, "max");
	}
	put_number(fd, "memory.memsw.limit_in_bytes", bytes, "-1");
	if (put_number(fd, "memory.limit_in_bytes", bytes, "-1") != 0)
		return -1;
	put_number(fd, "memory.memsw.limit_in_bytes", bytes, "-1");
	return 0;
}

/* A quota above the one we are in ourselves is refused by version 1; then ours
 * is the one that counts. A quota of all processors limits nothing, but has the
 * kernel keep account of it whenever a process goes to sleep: then none. */
static int
limit_cpu(int fd, bool unified, const struct cgroup_limits *limits)
{
	uint64_t weight = limits->weight ? limits->weight : WEIGHT_EVERYBODY;
	bool all =
	    limits->processors > 0 && limits->cpu >= limits->processors * 100;
	uint64_t quota_us = all ? 0 : limits->cpu * PERIOD_US / 100;
	char text[64];

	if (quota_us > 0 && quota_us < QUOTA_LEAST_US)
		quota_us = QUOTA_LEAST_US;
	if (unified) {
		if (quota_us > 0)
			snprintf(text, sizeof(text), "%ju %d",
			    (uintmax_t)quota_us, PERIOD_US);
		else
			snprintf(text, sizeof(text), "max %d", PERIOD_US);
		return put_weight(fd, unified, weight) != 0 ?
		    -1 :
		    put(fd, "cpu.max", text);
	}
	put_number(fd, "cpu.cfs_period_us", PERIOD_US, NULL);
	if (put_number(fd, "cpu.cfs_quota_us", quota_us, "-1") != 0 &&
	    errno != EINVAL && (quota_us > 0 || errno != ENOENT))
		return -1;
	return put_weight(fd, unified, weight);
}

static int
put_weight(int fd, bool unified, uint64_t weight)
{
	return unified ?
	    put_number(fd, "cpu.weight", weight, NULL) :
	    put_number(fd, "cpu.shares",
		weight * SHARES_EVERYBODY / WEIGHT_EVERYBODY, NULL);
}

/* ---- files ------------------------------------------------------------------------ */

/* none: what 0 is written as, NULL: 0. */
static int
put_number(int fd, const char *file, uint64_t number, const char *none)
{
	char text[32];

	snprintf(text, sizeof(text), "%ju", (uintmax_t)number);
	return put(fd, file, number == 0 && none ? none : text);
}

static int
put(int fd, const char *file, const char *text)
{
	int file_fd = openat(fd, file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	int result = file_fd < 0 ? -1 : fd_write_all(file_fd, span_of(text));

	fd_close(&file_fd);
	return result;
}

/* Appends; 0 or -1. */
static int
get(int fd, const char *file, struct buf *to)
{
	int file_fd = openat(fd, file, O_RDONLY | O_CLOEXEC);
	char text[4096];
	ssize_t n;

	if (file_fd < 0)
		return -1;
	while ((n = read(file_fd, text, sizeof(text))) > 0)
		if (buf_put(to, span_make(text, (size_t)n)) != 0)
			break;
	fd_close(&file_fd);
	return n < 0 ? -1 : 0;
}

static void
because(struct cgroups *c, const char *path, const char *what)
{
	snprintf(c->reason, sizeof(c->reason), "%.150s: %s (%s)", path, what,
	    diag_errno());
}
