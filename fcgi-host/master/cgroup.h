/* SPDX-License-Identifier: MIT */
/* cgroup.h - the kernel's groups of processes, by which a tenant's memory,
 * processes and processor time are limited as a whole, whatever they are
 * divided among. All that we make is below one directory of our own, the
 * instance, in each hierarchy:
 *
 *	<our own group>/fcgi-host-PID/tenant-NAME
 *
 * Version 2, or the controllers of version 1 that a hybrid system has, each in
 * a hierarchy of its own; what neither has is not limited, and said. Knows
 * nothing of cells: names and numbers in, descriptors out. */
#ifndef MASTER_CGROUP_H
#define MASTER_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

enum cgroup_kind { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_KINDS };
const char *cgroup_kind_name(enum cgroup_kind); /* "memory" */

/* ---- cgroup_find.c: where they are. Pure ----------------------------------- */

enum { CGROUP_PATH_MOST = 512 };

struct cgroup_found {	/* one hierarchy */
	bool unified;	/* version 2 */
	unsigned kinds; /* 1 << kind of each controller; of version 2: not
			 * known from here */
	char mount[CGROUP_PATH_MOST];
	char own[CGROUP_PATH_MOST]; /* where we are in it, below mount */
};

/* The hierarchies that can be of use, from the text of /proc/self/mountinfo and
 * of /proc/self/cgroup; how many. */
size_t cgroup_find(struct span mountinfo, struct span membership,
    struct cgroup_found found[CGROUP_KINDS + 1]);

/* ---- cgroup.c ---------------------------------------------------------------- */

enum { CGROUP_NAMES_MOST = 64 }; /* bytes of the lists of names below */

struct cgroup_limits {	     /* of a tenant; 0 is none */
	uint64_t memory;     /* bytes */
	uint64_t processes;  /* and threads */
	uint64_t cpu;	     /* percent of one processor */
	uint64_t weight;     /* 100 is what everybody has */
	uint64_t processors; /* of the machine: all of them are no limit; 0 is
			      * not known */
};

struct cgroup_tree { /* a hierarchy we use */
	bool unified;
	unsigned kinds;
	int base_fd; /* ours: what the instance is made in, or -1 */
	int fd;	     /* ours: the instance, locked */
};

struct cgroups {
	unsigned kinds; /* that are limited */
	struct cgroup_tree trees[CGROUP_KINDS];
	size_t count;
	bool alone;	  /* see cgroups_share() */
	char name[32];	  /* of the instance */
	char reason[256]; /* why not all, or empty */
};

/* Makes the instance, ends and removes what masters that are dead have left
 * beside it. What cannot be had is not in `kinds`. */
void cgroups_open(struct cgroups *);
/* Likewise for hierarchies found by somebody else. */
void cgroups_open_found(struct cgroups *, const struct cgroup_found *,
    size_t count);
/* Removes all of it: no process is left in there. */
void cgroups_close(struct cgroups *);

bool cgroups_have(const struct cgroups *, enum cgroup_kind);

/* So many tenants have processes now. Against what else runs on the machine all
 * of them together count as one program, so that one's flood does not keep web
 * server and gateway from answering for another (measured, 99 of 100 answers:
 * within 8 ms instead of 14, and beside processes that spin 25 instead of 1200).
 * Who is alone is in nobody's way and counts eight times: served in larger
 * batches, he gets a fifth more answers. */
void cgroups_share(struct cgroups *, size_t tenants);

/* The tenant's group, made if it is not there, with these limits from now on.
 * 0, or -1 with a sentence: who cannot be limited is not to be served. */
int cgroup_limit(struct cgroups *, const char *tenant,
    const struct cgroup_limits *, char *reason, size_t room);

/* What a process joins it by: descriptors, to each of which it writes "0", and
 * their names, each with its NUL ("memory", "unified"). How many, or -1 with
 * errno. The caller closes them. */
int cgroup_joins(const struct cgroups *, const char *tenant, struct buf *names,
    int fds[CGROUP_KINDS]);
/* Its directory in version 2, in which a process can be made and so need not
 * join; -1: none. The caller closes it. */
int cgroup_home(const struct cgroups *, const char *tenant);
/* What tells how often a limit was reached: likewise, read-only, one of each
 * kind ("memory", "pids", "cpu"). */
int cgroup_meters(const struct cgroups *, const char *tenant, struct buf *names,
    int fds[CGROUP_KINDS]);

/* False while processes of it have not gone yet. */
bool cgroup_remove(struct cgroups *, const char *tenant);

#endif
