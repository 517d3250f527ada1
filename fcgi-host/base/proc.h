/* SPDX-License-Identifier: MIT */
/* proc.h - starting and being a process: the one door to execve, clone and
 * setuid. A child gets exactly the descriptors it is given, default signal
 * dispositions, an empty signal mask, and is told apart from its siblings by
 * nothing else. */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/span.h"

enum { PROC_FD_MOST = 12, PROC_LIMIT_MOST = 10 };

struct proc_limit {
	int resource; /* RLIMIT_... */
	rlim_t soft;
	rlim_t hard;
};

/* What to start. All pointers are borrowed for the duration of the call. */
struct proc_plan {
	const char *path;
	int program_fd; /* execute this file, open with O_PATH, rather than
			 * what `path` is by now; above 2 and all targets of
			 * fds. 0: by path, which scripts need, because their
			 * interpreters open it again */
	char *const *argv;
	char *const *envp;
	const char *directory; /* NULL: stay */
	const int *fds;	       /* fds[i] becomes descriptor i; -1: none */
	size_t fd_count;       /* all others are close-on-exec already */
	/* CLONE_NEW... or 0. In a user namespace it keeps its ids and, through
	 * execve, every right in there: the ambient set, to be cleared by it. */
	uint64_t namespaces;
	int cgroup_fd;	       /* made in this control group of version 2, its
			* directory; 0: in ours. To join one later takes the
			* kernel 10 ms. ENOSYS at clone where we cannot */
	bool own_session;      /* setsid: own group, no terminal; the kernel
				* makes a scheduling group for each, which
				* costs 20 us */
	bool own_group;	       /* setpgid: to be signalled as a whole */
	bool dies_with_parent; /* PR_SET_PDEATHSIG SIGKILL */
	bool changes_user;     /* to uid, gid, no further groups */
	uid_t uid;
	gid_t gid;
	uint64_t alarm_us; /* ITIMER_REAL armed before execve; 0: no */
	int rules_fd;	   /* of landlock_new(), restricts it; 0: none */
	struct proc_limit limits[PROC_LIMIT_MOST];
	size_t limit_count;
};

enum proc_step { /* where starting failed */
	PROC_STARTED,
	PROC_CLONE,
	PROC_SESSION,
	PROC_DESCRIPTORS,
	PROC_LIMIT,
	PROC_USER,
	PROC_DIRECTORY,
	PROC_RULES,
	PROC_EXECVE,
};
const char *proc_step_name(enum proc_step);

struct proc_started {
	pid_t pid;	     /* -1 when it failed */
	enum proc_step step; /* where */
	int error;	     /* errno there */
};

/* vfork semantics: returns after the child's execve or failure. A child that
 * failed is already reaped. */
struct proc_started proc_start(const struct proc_plan *);

/* Which signals this process catches or ignores is looked up by the first
 * proc_start(); who changes one later (but for SIGPIPE, SIGCHLD and SIGALRM,
 * which every child gets reset anyway) calls this. */
void proc_signals_changed(void);

/* This process moves into new namespaces (CLONE_NEW...) of these kinds; for
 * those of processes its children do. 0 or -1 with errno. */
int proc_unshare(uint64_t namespaces);

/* This process becomes another user for good: groups dropped, uid and gid
 * set, verified, no way back. 0 or -1 with errno. */
int proc_become(uid_t, gid_t);

int proc_die_with_parent(void); /* again after a change of user; 0 or -1 */
int proc_no_new_privs(void);
int proc_subreaper(void); /* orphans of ours come to us */
/* Woken, it takes the processor from nobody; so does what it starts. */
int proc_batch(void);

/* A name or "uid" or "uid:gid", numeric without an entry in passwd too. 0, or
 * -1 when there is no such user. Reads the system's user database. */
int proc_find_user(const char *, uid_t *, gid_t *);
int proc_find_group(const char *, gid_t *);

/* Direct children of this process by /proc; count, or -1 where the kernel
 * does not say. At most `room` are stored. */
ssize_t proc_children(pid_t *pids, size_t room);

/* SIGKILLs and reaps every child but those in `keep` until none is left or
 * deadline_ms (monotonic) passed. Their children come to us as they die when
 * we are subreaper or pid 1. 0: none left; -1: time is up. on_reaped may be
 * NULL. */
int proc_kill_children(const pid_t *keep, size_t keep_count,
    uint64_t deadline_ms, void (*on_reaped)(void *arg, pid_t, int status),
    void *arg);

/* "exit 3", "signal SEGV": words for a wait status. */
const char *proc_status_words(int wait_status, char text[32]);
const char *proc_signal_name(int signo); /* "SEGV"; "?" when unknown */

#endif
