/* SPDX-License-Identifier: MIT */
/* master.h - the process that starts, wires and restarts all others, in
 * sections named by file. It may be root, so it reads nothing but its own
 * configuration, its own small files below the run directory, directory
 * entries, and messages of a fixed form from its children. */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <sched.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/map.h"

#include "config/config.h"
#include "ipc/peer.h"

#include "master/cgroup.h"
#include "master/supervise.h"

struct master;

/* ---- arguments.c: the command line --------------------------------------- */

enum task {
	TASK_SERVE,
	TASK_CHECK, /* -n */
	TASK_NGINX, /* -n --nginx */
	TASK_NGINX_STATE,
	TASK_PRINT, /* help and the like: `print` writes it */
};

struct arguments {
	enum task task;
	void (*print)(struct buf *);
	char *directory;	 /* where we were started, ours */
	const char *config_file; /* NULL: the installed one, if there */
	const char *functions;	 /* NULL: as the file says; likewise */
	const char *run;
	const char *log;
	const char *state;   /* what must last; NULL: the run directory */
	const char *libexec; /* where the other programs are */
	bool verbose;
};

/* Exits with 2 and a sentence when they are wrong. */
void arguments_read(struct arguments *, int argc, char **argv);

/* ---- settle.c: a configuration that fits this machine -------------------- */

struct settled { /* what its names mean here */
	uid_t gateway_uid;
	gid_t gateway_gid;
	uid_t log_uid;
	gid_t log_gid;
	uid_t state_uid;
	gid_t state_gid;
	gid_t front_gid; /* -1: leave the socket's group */
};

/* Reads the file the arguments name, applies the arguments over it, makes all
 * paths absolute, looks up users and groups. NULL with lines in errors. */
struct config *settle(const struct arguments *, bool root, uint64_t generation,
    struct settled *, struct buf *errors);

/* By the directory we were started in, however often we have moved since. The
 * caller frees it. */
char *settle_path(const struct arguments *, const char *path);

/* What counts at start only stays in `wanted` as it is in `running`; lines for
 * the operator say what would have been another. */
void settle_keep(const struct config *running, struct config *wanted,
    struct buf *lines);

/* NULL, or one sentence: the directory of functions is not there now. */
const char *settle_missing(const struct config *, char *text, size_t room);
/* NULL, or one sentence: functions can read the file, and it has variables of
 * tenants. */
const char *settle_exposed(const struct arguments *, bool root,
    const struct config *, char *text, size_t room);

/* ---- users.c: who no tenant may be --------------------------------------- */

struct host_user { /* (uid_t)-1 or (gid_t)-1: whoever is in the other */
	uid_t uid;
	gid_t gid;
	const char *who; /* a literal: "the gateway's (users.gateway)" */
};

struct users {
	struct host_user *all; /* ours */
	size_t count;
};

void users_settle(struct users *, const struct config *,
    const struct settled *);
void users_free(struct users *);
/* Whose user that is, in words, or NULL: nobody's of the host. */
const char *users_host(const struct users *, uid_t, gid_t);

/* True for ids that stand for no user or group in particular: the kernel shows
 * them for those it cannot, and system calls take some for "none". */
bool users_nobody(uint32_t id);

/* ---- trust.c: who else could change this? -------------------------------- */

/* NULL, or one sentence why root must not rely on it: it belongs to somebody
 * else, or its group or others may write it. `what` begins the sentence. */
const char *trust_refusal(const struct stat *, const char *what,
    const char *path, char *text, size_t room);

/* Likewise of all directories on the way to a file, by its name and by what
 * its links lead to: who can change one puts another file there. */
const char *trust_way_refusal(const char *path, char *text, size_t room);

/* True when only the owner can write: not others, nor a group that is more
 * than the owner's private one. */
bool trust_only_owner_writes(const struct stat *);

/* ---- nginx.c ------------------------------------------------------------- */

/* The limits nginx needs to agree with, as its directives: of functions, and of
 * the state endpoint. Pure. */
void nginx_print(const struct config *, struct buf *);
void nginx_print_state(const struct config *, struct buf *);

/* ---- rundir.c: the directory of sockets ---------------------------------- */

/* Directories that are made again when somebody took them away. */
enum rundir_place { RUNDIR_SPOOL, RUNDIR_WORKERS, RUNDIR_PLACES };

struct rundir {	    /* descriptors are ours */
	char *path; /* ours */
	int fd;
	int state_fd; /* what must outlive a reboot */
	int lock_fd;  /* the pid file, locked while we live */
	int front_fd;
	int control_fd;
	int place_fds[RUNDIR_PLACES]; /* the gateway's own */
	int log_fd;
	int data_fd; /* the state process's own */
	int state_listen_fd;
	int fn_fd; /* where the web server puts fn.sock */
};

/* Takes the lock, makes directories and binds sockets. Fatal with a sentence
 * when another master serves there or the machine refuses. fn/ is the one place
 * below it that functions see; a socket nobody serves any more is removed. */
void rundir_open(struct rundir *, const struct config *, const struct settled *,
    const char *state, bool root);
void rundir_close(struct rundir *); /* removes sockets and pid file, if ours */
/* Makes it again if somebody took it away. 1 when it is another one now; 0; -1
 * when that cannot be. Not 0: with a sentence. */
int rundir_again(struct rundir *, enum rundir_place, const struct settled *,
    bool root, char *text, size_t room);
/* NULL while what clients reach us by is there; else the sentence that it is
 * not. */
const char *rundir_missing(const struct rundir *, char *text, size_t room);

/* ---- registry.c: the user ids of tenants whose directory belongs to root - */

/* The file "uids" of the state directory: lines "uid name". Ids are given in
 * order and never again to another name, so that what a tenant has written
 * stays its own over restarts. */
struct registry {
	int dir_fd; /* borrowed, see struct rundir */
	bool loaded;
	bool told;	    /* that it cannot be loaded, on stderr */
	struct map by_name; /* of struct registered, ours */
	struct map by_uid;
};

void registry_init(struct registry *, int dir_fd);
void registry_free(struct registry *);

/* The id of a tenant, given now (and on disk on return) if it has none. 0, or
 * -1 with a sentence in `reason`. */
int registry_uid(struct registry *, struct span tenant, uint64_t first,
    uint64_t count, uid_t *, char *reason, size_t room);

/* Whose id this is; the absent span if nobody's. */
struct span registry_name(struct registry *, uid_t);

/* ---- suspended.c: tenants of which nothing is run -------------------------- */

enum {
	SUSPENDED_MOST = 8192, /* all of them wait in one channel at once */
	SUSPENDED_REASON_MOST = 200,
};

/* The file "suspended" of the state directory: lines "tenant reason". It is on
 * disk before anybody hears of it. */
struct suspended {
	int dir_fd;	    /* borrowed, see struct rundir */
	struct map by_name; /* of struct suspension, ours */
};

/* Fatal with a sentence when there is a file that cannot be understood: who is
 * in it must not be served by mistake. */
void suspended_open(struct suspended *, int dir_fd);
void suspended_free(struct suspended *);
/* 0, or -1 and nothing has changed; a sentence either way. An empty reason has
 * words of its own; another one takes the place of the one before. */
int suspended_add(struct suspended *, struct span tenant, struct span reason,
    struct buf *text);
int suspended_remove(struct suspended *, struct span tenant, struct buf *text);
/* The absent span: it is not. */
struct span suspended_reason(const struct suspended *, struct span tenant);
void suspended_each(const struct suspended *,
    void (*each)(void *arg, struct span tenant, struct span reason), void *arg);

/* ---- userdirs.c: tenants in the homes of their users ----------------------- */

/* Is it empty, or an absolute path of which one part is "*"? */
bool userdirs_pattern_good(const char *);
/* What stands before the "*" of a good one that is not empty. */
void userdirs_base(const char *pattern, char *base, size_t room);

/* ---- tenants.c: finding a tenant ----------------------------------------- */

enum { TENANT_REASON_MOST = 1024 };

enum tenant_outcome { TENANT_FOUND, TENANT_MISSING, TENANT_REFUSED };

struct tenant_place {
	int fd;	      /* O_PATH, the caller closes it */
	dev_t device; /* these three are its identity */
	ino_t inode;
	uid_t owner;
	uid_t uid; /* who its processes run as */
	gid_t gid;
	char path[4096];		 /* absolute, without links */
	char reason[TENANT_REASON_MOST]; /* when it is refused */
};

/* userdirs.c: the directory of "~bob", O_PATH, or -1 with a sentence. */
enum tenant_outcome userdirs_open(const struct config *, bool root,
    struct span name, int *fd, char *reason, size_t room);

/* Opens the one directory, never anything in it. */
enum tenant_outcome tenant_find(struct master *, struct span name,
    struct tenant_place *);

/* True when the name still leads to that directory with that owner. */
bool tenant_same(struct master *, struct span name, dev_t, ino_t, uid_t owner);

/* Names of directories and links, also such that are refused when asked for but
 * none that is hidden or too long, behind `after` in byte order, each with its NUL, as many as fit in `most` bytes.
 * more: there are others. 0, or -1 with errno when the directory cannot be
 * read. Memory is bounded however many there are. */
int tenant_names(const struct config *, struct span after, size_t most,
    struct buf *names, bool *more);

/* ---- granted.c: paths of the host in a cell -------------------------------- */

struct granted {		    /* zeroed: none */
	struct strings paths;	    /* ours */
	struct granted_path *items; /* ours, one for each */
};

/* What a cell is given that is made now. */
void granted_look(struct granted *, const struct config *,
    const struct terms *);
/* A path that leads to something else now, or NULL. */
const char *granted_moved(const struct granted *);
void granted_free(struct granted *);

/* ---- cells.c: their processes -------------------------------------------- */

enum {
	CELLS_MOST = 16384,	   /* all tenants together */
	CELLS_OF_TENANT = 8,	   /* older ones finish beside the newest */
	CELL_READY_MS = 10000,	   /* not built by then: hung */
	CELL_RETRY_MOST_MS = 4000, /* between attempts that fail */
};

struct cells {
	struct map tenants;  /* of struct tenant, ours */
	struct map by_pid;   /* of struct cell, ours */
	size_t served;	     /* tenants that have some */
	struct timer strays; /* looks for orphans again */
	struct timer sweep;  /* forgets failures that are over */
	struct timer groups; /* removes control groups that are empty now */
};

void cells_init(struct master *);
void cells_free(struct master *);		       /* when none is left */
void cells_ask(struct master *, struct span tenant);   /* TENANT_ASK */
void cells_check(struct master *, struct span tenant); /* TENANT_CHECK */
void cells_configure(struct master *); /* the same, of all, behind a reload */
void cells_kill(struct master *, struct span tenant, struct span reason);
/* What failed may be tried again at once: what it is made from is another. */
void cells_forgive(struct master *);
/* The limits of those that are there, as the configuration is now. */
void cells_limit(struct master *);
void cells_kill_all(struct master *);
size_t cells_count(const struct master *);
/* What the cell of a tenant is to be alone in. */
uint64_t cell_namespaces(const struct master *, struct span tenant);
/* True when the pid was one of ours, which is now freed. */
bool cells_reaped(struct master *, pid_t, int wait_status);
/* Any other process that ended: an orphan of a cell without a namespace. */
void cells_stray_reaped(struct master *);
/* SIGKILLs children that are neither of children.c nor a cell; true when there
 * are still some. */
bool cells_kill_strays(struct master *);

/* ---- children.c: gateway, log and state ----------------------------------- */

enum child_kind { CHILD_LOG, CHILD_STATE, CHILD_GATEWAY, CHILD_KINDS };

enum { MASTER_KEY_BYTES = 32 };

struct child {
	struct master *master;
	enum child_kind kind;
	struct supervise supervise;
	pid_t pid;		/* -1: no process */
	struct peer *peer;	/* ours, NULL without a process */
	struct timer timer;	/* at supervise.timer_ms */
	struct timer ping;	/* while it is up */
	unsigned pings;		/* that it has not answered */
	uint64_t started_ms;	/* its process */
	uint64_t since_unix_ms; /* in its state */
};

void children_init(struct master *);
void children_start(struct master *);
void children_configure(struct master *); /* CONFIG to all that are there */
/* SUSPENDED as it is now, to the gateway that is. */
void children_suspended(struct master *, struct span tenant, bool now);
/* Makes it again if it is not there, for the gateway that is. As
 * rundir_again(). */
int children_again(struct master *, enum rundir_place, char *text, size_t room);
void children_tell(struct child *, enum child_event);
bool children_reaped(struct master *, pid_t, int wait_status);
bool children_all(const struct master *, enum child_state);
const char *child_name(enum child_kind);
/* The gateway's channel, NULL while it has none. */
struct peer *children_gateway(struct master *);
/* Starts a program of ours: its end of the channel becomes descriptor 3, more
 * descriptors follow. In the control group of that descriptor (-1: ours) where
 * the kernel can. */
pid_t children_spawn(struct master *, const char *program, int channel,
    const int *fds, size_t fd_count, uint64_t namespaces, int cgroup_fd,
    const uid_t *uid, const gid_t *gid, bool dies_with_us, char *const *envp,
    char *reason, size_t room);

/* ---- gateway_says.c: what the gateway may ask ---------------------------- */

void gateway_says(struct master *, enum message_type, struct span body);

/* ---- reload.c ------------------------------------------------------------ */

/* 0, or -1 and the old configuration stays. Sentences go to `text`. */
int reload(struct master *, struct buf *text);

/* ---- stop.c -------------------------------------------------------------- */

/*   SERVING --stop--> GATEWAY --it is down--> REST --all are down--> over
 *       |                |                     |                       ^
 *       +-- failed       +-- stop --> KILLED <-+ stop, timer           |
 *       +---------------------------->   +-----all are down, timer-----+
 * GATEWAY: it finishes what it has, at most `drain`. REST: cells end because
 * their gateway is gone, state and log write what they have. KILLED: SIGKILL is sent. */
enum stop_phase { STOP_SERVING, STOP_GATEWAY, STOP_REST, STOP_KILLED };

void stop_init(struct master *);
void stop_asked(struct master *);  /* TERM, INT: the second one kills */
void stop_failed(struct master *); /* we cannot go on: kills, exit 1 */
void stop_step(struct master *);   /* somebody ended: go on, or be over */

/* ---- probe.c: what this kernel lets us do -------------------------------- */

enum {
	/* what a cell is started in; others it moves into by itself, which
	 * nobody has to wait for */
	CELL_MADE_IN = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS |
	    CLONE_NEWIPC | CLONE_NEWUTS,
	CELL_NAMESPACES = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC |
	    CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET,
};

/* Finds out what cells can have here: namespaces, landlock, seccomp. */
void probe_machine(struct master *);

/* One line each for all that is, or is not, enforced: `each` gets the key
 * "enforced" or "not_enforced" and a sentence. */
void probe_list(const struct master *,
    void (*each)(void *arg, const char *key, const char *sentence), void *arg);

/* ---- status.c ------------------------------------------------------------ */

void status_print(struct master *, struct buf *); /* lines key=value */

/* ---- notify.c: telling who started us ------------------------------------ */

/* systemd's datagram protocol; nothing without NOTIFY_SOCKET. */
void notify(const char *state);

/* ---- serve.c ------------------------------------------------------------- */

struct master {
	struct arguments arguments;
	bool root;
	char *config_file;     /* ours, absolute */
	struct config *config; /* ours, replaced by reload */
	struct settled settled;
	struct users users;    /* ours */
	int sealed_fd;	       /* ours: config_seal() of it, */
	uint64_t sealed_bytes; /* ... this many */
	struct loop *loop;     /* ours */
	struct rundir rundir;
	struct registry registry;
	struct suspended suspended;
	struct child children[CHILD_KINDS];
	struct cells cells;
	struct cgroups cgroups;
	uint64_t namespaces;	     /* that cells can have */
	char namespaces_reason[256]; /* why not all of them */
	char rules_reason[256];
	int landlock; /* its version, 0: none */
	bool seccomp;
	char **cell_environment;  /* ours */
	char **child_environment; /* ours */
	bool announced;		  /* "ready" was said */
	enum stop_phase stop;
	struct timer stop_timer;
	int exit_status;
	uint64_t since_unix_ms;
	char *key; /* ours: MASTER_KEY_BYTES, of invocation tokens */
};

int serve(const struct arguments *);	 /* the exit status */
void serve_child_ready(struct master *); /* says "ready" once */

#endif
