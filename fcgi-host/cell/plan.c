/* SPDX-License-Identifier: MIT */
/* plan.c - what is in a cell, and in which order it is put there.
 * The order is what makes it hold: mounts before the pivot, which ends the
 * view of the host; limits and the bounding set before the user, who could not
 * set them; everything before no_new_privs, which a change of user would not
 * survive. Paths are the same inside as outside. */

#define _GNU_SOURCE 1
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/diag.h"

#include "config/terms.h"

#include "cell/plan.h"
#include "cell/seccomp.h"

/* Cells and launchers open some of their own, the latter for a moment from 64
 * up. */
enum { FILES_LEAST = 128 };

/* An empty file costs no block, but about a kilobyte of kernel memory: one for
 * each block that /tmp has room for, and for the smallest /tmp enough to work. */
enum { TMP_BYTES_A_FILE = 4096, TMP_FILES_LEAST = 256 };

/* Of 1000; the host's processes have 0 or less. */
enum { OOM_SCORE = 500 };

/* What programs of a Debian system need of it. Private files below /etc are
 * protected by their modes, as from any user. */
static const char *const system_paths[] = {
	"/usr",
	"/bin",
	"/sbin",
	"/lib",
	"/lib32",
	"/lib64",
	"/libx32",
	"/etc",
	"/run/systemd/resolve", /* /etc/resolv.conf may lead there */
	"/var/cache/fontconfig",
	"/var/cache/ghostscript",
	"/var/lib/ghostscript",
	"/var/lib/aspell",
	"/var/lib/texmf",
};

static const char *const devices[] = {
	"/dev/null",
	"/dev/zero",
	"/dev/full",
	"/dev/random",
	"/dev/urandom",
};

/* One /tmp is all the memory for files that a tenant gets. */
static const struct {
	const char *path;
	const char *target;
} links[] = {
	{ "/dev/fd", "/proc/self/fd" },
	{ "/dev/stdin", "/proc/self/fd/0" },
	{ "/dev/stdout", "/proc/self/fd/1" },
	{ "/dev/stderr", "/proc/self/fd/2" },
	{ "/dev/shm", "/tmp" },
	{ "/var/tmp", "/tmp" },
};

static void plan_cgroups(struct plan *, const struct plan_facts *);
static void plan_give(struct plan *, const struct plan_facts *);
static void plan_mounts(struct plan *, const struct plan_facts *,
    const struct config *, const struct terms *);
static void plan_alone(struct plan *, uint64_t namespaces);
static void plan_rules(struct plan *, const struct plan_facts *,
    const struct terms *);
static void plan_allow(struct plan *, const struct plan_facts *,
    const struct config *, const struct terms *);
static void plan_allow_host(struct plan *, const struct plan_facts *,
    const struct config *, const struct terms *);
static void plan_allow_all(struct plan *, const struct strings *,
    const char *right);
static void plan_paths(struct plan *, enum plan_op, const struct strings *,
    const char *setting);
static void plan_limits(struct plan *, const struct terms *);
static uint64_t files_at_least(uint64_t);
static void plan_limit(struct plan *, const char *name, int resource,
    uint64_t soft, uint64_t hard);
static struct plan_step *plan_add(struct plan *, enum plan_op, const char *path,
    const char *options);
static struct plan_step *plan_add_below(struct plan *, enum plan_op,
    const char *directory, const char *name, const char *options);
static void plan_numbers(struct plan *, enum plan_op, uint64_t first,
    uint64_t second);
static bool path_below(const char *path, const char *directory);

struct plan *
plan_make(const struct plan_facts *facts, const struct config *config)
{
	bool user_namespace = facts->namespaces & CLONE_NEWUSER;
	bool own_pids = facts->namespaces & CLONE_NEWPID;
	struct plan *p = diag_alloc(sizeof(*p));
	const struct terms *terms =
	    config_terms(config, span_of(facts->tenant));

	plan_cgroups(p, facts);
	if (user_namespace)
		plan_numbers(p, PLAN_IDS, facts->uid, facts->gid);
	plan_alone(p, facts->namespaces);
	if (facts->root && facts->of_root && facts->uid != 0)
		plan_give(p, facts);
	plan_numbers(p, PLAN_OOM_SCORE, OOM_SCORE, 0);
	if (facts->namespaces & CLONE_NEWCGROUP)
		plan_add(p, PLAN_CGROUP_ROOT, NULL, NULL);
	if (facts->namespaces & CLONE_NEWNET)
		plan_add(p, PLAN_NETWORK, NULL, NULL);
	plan_rules(p, facts, terms);
	/* where large bodies are, without a name: to open /dev/stdin again */
	plan_add_below(p, PLAN_ALLOW, config->run, "spool", "open");
	if (facts->namespaces & CLONE_NEWNS)
		plan_mounts(p, facts, config, terms);
	if (facts->namespaces & CLONE_NEWUTS)
		plan_add(p, PLAN_HOSTNAME, NULL, facts->tenant);
	plan_limits(p, terms);
	if (facts->root || user_namespace) {
		plan_add(p, PLAN_SECUREBITS, NULL, NULL);
		plan_add(p, PLAN_BOUNDING, NULL, NULL);
	}
	if (facts->root)
		plan_numbers(p, PLAN_USER, facts->uid, facts->gid);
	if ((facts->namespaces & CLONE_NEWNS) && facts->directory)
		plan_add(p, PLAN_DIRECTORY, facts->directory, NULL);
	if (facts->root || user_namespace)
		plan_add(p, PLAN_CAPABILITIES, NULL, NULL);
	plan_add(p, PLAN_NO_NEW_PRIVS, NULL, NULL);
	plan_add(p, PLAN_HIDDEN, NULL, NULL);
	/* without a pid namespace a dead cell would leave its processes: it
	 * has to live on for as long as it takes to end them */
	plan_numbers(p, PLAN_DEATH, own_pids ? SIGKILL : 0, 0);
	if (!own_pids)
		plan_add(p, PLAN_SUBREAPER, NULL, NULL);
	plan_numbers(p, PLAN_UMASK, 027, 0);
	plan_allow(p, facts, config, terms);
	plan_add(p, PLAN_RESTRICT, NULL, NULL);
	plan_numbers(p, PLAN_FILTER, seccomp_rows(), 0);
	return p;
}

void
plan_free(struct plan **plan)
{
	struct plan *p = *plan;

	*plan = NULL;
	for (size_t i = 0; i < p->count; i++) {
		free(p->steps[i].path);
		free(p->steps[i].options);
	}
	free(p->steps);
	free(p);
}

const char *
plan_op_name(enum plan_op op)
{
	static const char *const names[PLAN_OPS] = {
#define STEP(NAME, name, first, second, sentence) [PLAN_##NAME] = #name,
#include "cell/steps.def"
#undef STEP
	};

	return names[op];
}

void
plan_print_step(const struct plan_step *s, struct buf *out)
{
	static const char *const numbers[PLAN_OPS][2] = {
#define STEP(NAME, name, first, second, sentence) \
	[PLAN_##NAME] = { first, second },
#include "cell/steps.def"
#undef STEP
	};
	const uint64_t values[2] = { s->first, s->second };

	buf_put_string(out, plan_op_name(s->op));
	if (s->path)
		buf_printf(out, " %s", s->path);
	if (s->options)
		buf_printf(out, s->op == PLAN_LINK ? " -> %s" : " %s",
		    s->options);
	for (int i = 0; i < 2; i++)
		if (numbers[s->op][i] && values[i] == RLIM_INFINITY)
			buf_printf(out, " %s=unlimited", numbers[s->op][i]);
		else if (numbers[s->op][i] && s->op == PLAN_UMASK)
			buf_printf(out, " %s=%03jo", numbers[s->op][i],
			    (uintmax_t)values[i]);
		else if (numbers[s->op][i])
			buf_printf(out, " %s=%ju", numbers[s->op][i],
			    (uintmax_t)values[i]);
	if (s->note[0])
		buf_printf(out, " (%s)", s->note);
}

void
plan_print(const struct plan *p, struct buf *out)
{
	for (size_t i = 0; i < p->count; i++) {
		plan_print_step(&p->steps[i], out);
		buf_put_byte(out, '\n');
	}
}

/* First of all: what is made and started from here on is counted. */
static void
plan_cgroups(struct plan *p, const struct plan_facts *facts)
{
	struct span rest = facts->cgroups;

	for (int i = 0; i < PLAN_CGROUPS_MOST && rest.bytes > 0; i++)
		plan_add(p, PLAN_CGROUP, NULL, span_cut(&rest, '\0').data)
		    ->resource = facts->cgroup_fds[i];
}

static void
plan_alone(struct plan *p, uint64_t namespaces)
{
	static const struct {
		uint64_t one;
		const char *name;
	} kinds[] = {
		{ CLONE_NEWUSER, " user" },
		{ CLONE_NEWPID, " pid" },
		{ CLONE_NEWNS, " mount" },
		{ CLONE_NEWIPC, " ipc" },
		{ CLONE_NEWUTS, " uts" },
	};
	char names[64] = "";
	size_t bytes = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (namespaces & kinds[i].one)
			bytes += (size_t)snprintf(names + bytes,
			    sizeof(names) - bytes, "%s", kinds[i].name);
	if (bytes > 0)
		plan_add(p, PLAN_NAMESPACES, NULL, names + 1);
}

/* In every kind of cell: where there is a root of its own they are a second
 * wall, else the only one. */
static void
plan_rules(struct plan *p, const struct plan_facts *facts,
    const struct terms *terms)
{
	bool tcp = terms->network == NETWORK_NONE &&
	    !(facts->namespaces & CLONE_NEWNET);

	plan_add(p, PLAN_RULES, NULL,
	    tcp ? "files signals sockets tcp" : "files signals sockets");
}

/* As few as will do, for each is copied for every program that starts. In a root
 * of our own there is nothing but what may be read, and of the host's nothing is
 * below it, even if something led there. In the host's root, nothing but what is
 * allowed can be so much as listed. */
static void
plan_allow(struct plan *p, const struct plan_facts *facts,
    const struct config *config, const struct terms *terms)
{
	if (facts->namespaces & CLONE_NEWNS) {
		plan_add(p, PLAN_ALLOW, "/", "read");
		plan_add(p, PLAN_ALLOW, "/dev", "all");
	} else
		plan_allow_host(p, facts, config, terms);
	plan_add(p, PLAN_ALLOW, "/tmp", "write");
	plan_add(p, PLAN_ALLOW, "/proc", "write");
	if (facts->directory)
		plan_add_below(p, PLAN_ALLOW, facts->directory, PLAN_DATA_NAME,
		    "write");
	plan_allow_all(p, &terms->write, "write");
}

static void
plan_allow_host(struct plan *p, const struct plan_facts *facts,
    const struct config *config, const struct terms *terms)
{
	for (size_t i = 0; i < sizeof(system_paths) / sizeof(char *); i++)
		plan_add(p, PLAN_ALLOW, system_paths[i], "read");
	for (size_t i = 0; i < sizeof(devices) / sizeof(char *); i++)
		plan_add(p, PLAN_ALLOW, devices[i], "all");
	plan_add(p, PLAN_ALLOW, "/dev/shm", "write");
	plan_add(p, PLAN_ALLOW, "/var/tmp", "write");
	plan_allow_all(p, &config->link_targets, "read");
	plan_allow_all(p, &config->cell_paths, "read");
	plan_allow_all(p, &terms->read, "read");
	plan_add_below(p, PLAN_ALLOW, config->run, "fn", "read");
	if (facts->python && !path_below(facts->python, "/usr"))
		plan_add(p, PLAN_ALLOW, facts->python, "read");
	if (facts->directory)
		plan_add(p, PLAN_ALLOW, facts->directory, "read");
}

static void
plan_allow_all(struct plan *p, const struct strings *paths, const char *right)
{
	for (size_t i = 0; i < paths->count; i++)
		if (!path_below(paths->items[i], "/usr"))
			plan_add(p, PLAN_ALLOW, paths->items[i], right);
}

/* Root alone can change the directory, so nobody else has chosen what has the
 * name data in it. In a directory of another user that user gives. */
static void
plan_give(struct plan *p, const struct plan_facts *facts)
{
	struct plan_step *s = plan_add_below(p, PLAN_GIVE, facts->directory,
	    PLAN_DATA_NAME, NULL);

	s->first = facts->uid;
	s->second = facts->gid;
}

/* A path below another one comes behind it, or it would be covered. */
static void
plan_mounts(struct plan *p, const struct plan_facts *facts,
    const struct config *config, const struct terms *terms)
{
	char tmp_options[96];
	uint64_t inodes = terms->tmp / TMP_BYTES_A_FILE;

	snprintf(tmp_options, sizeof(tmp_options),
	    "size=%ju,nr_inodes=%ju,mode=1777", (uintmax_t)terms->tmp,
	    (uintmax_t)(inodes < TMP_FILES_LEAST ? TMP_FILES_LEAST : inodes));
	plan_add(p, PLAN_PRIVATE, "/", NULL);
	plan_add(p, PLAN_ROOT, "/", "size=1m,nr_inodes=16k,mode=755");
	for (size_t i = 0; i < sizeof(system_paths) / sizeof(char *); i++)
		plan_add(p, PLAN_SYSTEM, system_paths[i], NULL);
	plan_add(p, PLAN_TMPFS, "/tmp", tmp_options)->setting = "cell.tmp";
	plan_add(p, PLAN_TMPFS, "/dev", "size=64k,nr_inodes=1k,mode=755");
	for (size_t i = 0; i < sizeof(devices) / sizeof(char *); i++)
		plan_add(p, PLAN_DEVICE, devices[i], NULL);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		plan_add(p, PLAN_LINK, links[i].path, links[i].target);
	if (facts->namespaces & CLONE_NEWPID)
		plan_add(p, PLAN_PROC, "/proc", "hidepid=2,subset=pid");
	for (size_t i = 0; i < config->link_targets.count; i++)
		if (!path_below(config->link_targets.items[i], "/usr"))
			plan_add(p, PLAN_MAYBE, config->link_targets.items[i],
			    NULL);
	plan_paths(p, PLAN_READ, &config->cell_paths, "cell.paths");
	plan_paths(p, PLAN_READ, &terms->read, "tenants.read");
	/* the directory: a socket mounted by itself would be the old one as
	 * soon as the web server makes a new one */
	plan_add_below(p, PLAN_MAYBE, config->run, "fn", NULL);
	/* that one file, wherever the host is installed */
	if (facts->python && !path_below(facts->python, "/usr"))
		plan_add(p, PLAN_MAYBE, facts->python, NULL);
	if (facts->directory) {
		plan_add(p, PLAN_TENANT, facts->directory, NULL);
		plan_add_below(p, PLAN_DATA, facts->directory, PLAN_DATA_NAME,
		    NULL);
	}
	plan_paths(p, PLAN_WRITE, &terms->write, "tenants.write");
	plan_add(p, PLAN_PIVOT, NULL, NULL);
	plan_add(p, PLAN_READONLY, "/dev", NULL);
	plan_add(p, PLAN_READONLY, "/", NULL);
}

static int
compare_paths(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, so that a directory comes before what is in it. */
static void
plan_paths(struct plan *p, enum plan_op op, const struct strings *paths,
    const char *setting)
{
	const char **sorted = diag_alloc((paths->count + 1) * sizeof(*sorted));

	for (size_t i = 0; i < paths->count; i++)
		sorted[i] = paths->items[i];
	qsort(sorted, paths->count, sizeof(*sorted), compare_paths);
	for (size_t i = 0; i < paths->count; i++)
		plan_add(p, op, sorted[i], NULL)->setting = setting;
	free(sorted);
}

/* Soft is what functions get that say nothing, hard what their settings may
 * ask for; the launcher sets each function's own. */
static void
plan_limits(struct plan *p, const struct terms *terms)
{
	plan_limit(p, "core", RLIMIT_CORE, 0, 0);
	plan_limit(p, "memlock", RLIMIT_MEMLOCK, 0, 0);
	plan_limit(p, "msgqueue", RLIMIT_MSGQUEUE, 0, 0);
	plan_limit(p, "rtprio", RLIMIT_RTPRIO, 0, 0);
	plan_limit(p, "nice", RLIMIT_NICE, 0, 0);
	plan_limit(p, "nofile", RLIMIT_NOFILE,
	    files_at_least(terms->limits[LIMIT_files]),
	    files_at_least(terms->maximum[LIMIT_files]));
}

/* However few a function may open, the cell opens some of its own. */
static uint64_t
files_at_least(uint64_t files)
{
	return files < FILES_LEAST ? FILES_LEAST : files;
}

static void
plan_limit(struct plan *p, const char *name, int resource, uint64_t soft,
    uint64_t hard)
{
	struct plan_step *s = plan_add(p, PLAN_LIMIT, NULL, name);

	s->resource = resource;
	s->first = soft;
	s->second = hard;
}

static void
plan_numbers(struct plan *p, enum plan_op op, uint64_t first, uint64_t second)
{
	struct plan_step *s = plan_add(p, op, NULL, NULL);

	s->first = first;
	s->second = second;
}

static struct plan_step *
plan_add(struct plan *p, enum plan_op op, const char *path, const char *options)
{
	size_t room = p->room ? p->room * 2 : 64;
	struct plan_step *steps;

	if (p->count == p->room) {
		steps = diag_alloc(room * sizeof(*steps));
		if (p->count > 0)
			memcpy(steps, p->steps, p->count * sizeof(*steps));
		free(p->steps);
		p->steps = steps;
		p->room = room;
	}
	p->steps[p->count] = (struct plan_step){
		.op = op,
		.path = path ? diag_strdup(path) : NULL,
		.options = options ? diag_strdup(options) : NULL,
	};
	return &p->steps[p->count++];
}

static struct plan_step *
plan_add_below(struct plan *p, enum plan_op op, const char *directory,
    const char *name, const char *options)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return plan_add(p, op, path, options);
}

static bool
path_below(const char *path, const char *directory)
{
	size_t bytes = strlen(directory);

	return strncmp(path, directory, bytes) == 0 && path[bytes] == '/';
}
