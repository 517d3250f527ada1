/* SPDX-License-Identifier: MIT */
/* store_sqlite.h - private to the files of the SQLite engine.
 *
 *   store_sqlite.c         the table of operations, on the loop's thread
 *   store_sqlite_thread.c  a store thread: whose turn it is, groups of commits
 *   store_sqlite_open.c    a tenant's file: opened, what is believed of it
 *   store_sqlite_file.c    used, closed, put in quarantine
 *   store_sqlite_read.c    reads and changes
 *   store_sqlite_write.c   batches, sweeping
 *   store_sqlite_tenant.c  tenants made, dropped, changed, counted, listed
 *   store_sqlite_copy.c    backup, restore, check
 *   store_sqlite_path.c    names below a directory descriptor
 *
 * A tenant's file belongs to one thread, chosen by the hash of its name, which
 * has the only connection to it. So nothing of a file is locked, and the
 * WAL-reset bug of SQLite before 3.51.3, which needs two connections to one
 * file, cannot happen. */
#ifndef STATE_STORE_SQLITE_H
#define STATE_STORE_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>

#include "state/desk.h"

enum {
	THREADS_MOST = 16,
	PAGE_BYTES = 4096,
	FILE_PATH_MOST = 128,  /* of paths below the directory */
	GROUP_JOBS_MOST = 128, /* batches in one commit ... */
	GROUP_US_MOST = 5000,  /* and how long they may take, as others wait */
	GROUP_BYTES_MOST = 1 << 20,
	FREE_PAGES_MORE = 64,	/* over the quota, for deleting */
	FILE_FAILURES_MOST = 3, /* in a minute, then it takes reads only */
};

/* Versions are given out in blocks; the upper end of the last one is kept
 * beside the file. So whatever happens to the file, a later one begins above
 * every version that was ever told. */
#define VERSION_LEAP (UINT64_C(1) << 20)
#define VERSION_MOST (UINT64_C(1) << 52)
#define FLOOR_BAD UINT64_MAX /* what is noted is no number */

/* Each is prepared when a file first needs it and kept while it is open. */
#define STATEMENT_EACH(ROW)                                                    \
	ROW(BEGIN, "BEGIN IMMEDIATE")                                          \
	ROW(COMMIT, "COMMIT")                                                  \
	ROW(ROLLBACK, "ROLLBACK")                                              \
	ROW(SAVEPOINT, "SAVEPOINT batch")                                      \
	ROW(ROLLBACK_TO, "ROLLBACK TO batch")                                  \
	ROW(RELEASE, "RELEASE batch")                                          \
	ROW(META_GET,                                                          \
	    "SELECT version, oldest, clock, quota, durability, frozen"         \
	    " FROM meta")                                                      \
	ROW(META_PUT, "UPDATE meta SET version = ?1, oldest = ?2, clock = ?3") \
	ROW(META_SET,                                                          \
	    "UPDATE meta SET quota = ?1, durability = ?2, frozen = ?3")        \
	ROW(GET, "SELECT ver, exp, type, v FROM kv WHERE k = ?1")              \
	ROW(GET_SIZE, "SELECT ver, exp, type, length(v) FROM kv WHERE k = ?1") \
	ROW(FIND, "SELECT id, ver, exp FROM kv WHERE k = ?1")                  \
	ROW(FIND_VALUE, "SELECT id, ver, exp, type, v FROM kv WHERE k = ?1")   \
	ROW(INSERT,                                                            \
	    "INSERT INTO kv(k, v, type, ver, exp)"                             \
	    " VALUES(?1, ?2, ?3, ?4, ?5)")                                     \
	ROW(UPDATE,                                                            \
	    "UPDATE kv SET v = ?1, type = ?2, ver = ?3, exp = ?4"              \
	    " WHERE id = ?5")                                                  \
	ROW(DELETE, "DELETE FROM kv WHERE id = ?1")                            \
	ROW(LIST,                                                              \
	    "SELECT k, ver, exp, type, length(v), v FROM kv"                   \
	    " WHERE k >= ?1 AND k < ?2 ORDER BY k")                            \
	ROW(LIST_REVERSE,                                                      \
	    "SELECT k, ver, exp, type, length(v), v FROM kv"                   \
	    " WHERE k >= ?1 AND k < ?2 ORDER BY k DESC")                       \
	ROW(LIST_SIZES,                                                        \
	    "SELECT k, ver, exp, type, length(v) FROM kv"                      \
	    " WHERE k >= ?1 AND k < ?2 ORDER BY k")                            \
	ROW(LIST_SIZES_REVERSE,                                                \
	    "SELECT k, ver, exp, type, length(v) FROM kv"                      \
	    " WHERE k >= ?1 AND k < ?2 ORDER BY k DESC")                       \
	ROW(LIST_IDS,                                                          \
	    "SELECT id, exp, k FROM kv"                                        \
	    " WHERE k >= ?1 AND k < ?2 ORDER BY k")                            \
	ROW(CHANGE_PUT,                                                        \
	    "INSERT INTO chg(ver, n, op, at, k)"                               \
	    " VALUES(?1, ?2, ?3, ?4, ?5)")                                     \
	ROW(CHANGES,                                                           \
	    "SELECT ver, op, k FROM chg WHERE ver > ?1 ORDER BY ver, n")       \
	ROW(IDEM_GET,                                                          \
	    "SELECT print, reply FROM idem WHERE key = ?1 AND exp > ?2")       \
	ROW(IDEM_PUT,                                                          \
	    "INSERT OR REPLACE INTO idem(key, print, reply, exp)"              \
	    " VALUES(?1, ?2, ?3, ?4)")                                         \
	ROW(COUNT, "SELECT count(*) FROM kv WHERE exp IS NULL")                \
	ROW(COUNT_EXPIRING,                                                    \
	    "SELECT count(*) FROM kv WHERE exp IS NOT NULL AND exp > ?1")      \
	ROW(SWEEP_FIND,                                                        \
	    "SELECT id, k FROM kv WHERE exp IS NOT NULL AND exp <= ?1"         \
	    " ORDER BY exp LIMIT ?2")                                          \
	ROW(SWEEP_NEXT,                                                        \
	    "SELECT exp FROM kv WHERE exp IS NOT NULL ORDER BY exp LIMIT 1")   \
	ROW(SWEEP_IDEM_NEXT, "SELECT exp FROM idem ORDER BY exp LIMIT 1")      \
	ROW(SWEEP_CHANGES_NEXT,                                                \
	    "SELECT ver, at FROM chg ORDER BY ver, n LIMIT 1")                 \
	ROW(SWEEP_CHANGES_FIND,                                                \
	    "SELECT max(ver) FROM (SELECT ver, at FROM chg"                    \
	    " ORDER BY ver, n LIMIT ?3) WHERE ver <= ?1 OR at < ?2")           \
	ROW(SWEEP_CHANGES, "DELETE FROM chg WHERE ver <= ?1")                  \
	ROW(SWEEP_IDEM,                                                        \
	    "DELETE FROM idem WHERE key IN"                                    \
	    " (SELECT key FROM idem WHERE exp <= ?1 LIMIT ?2)")                \
	ROW(PAGES, "PRAGMA page_count")                                        \
	ROW(FREE_PAGES, "PRAGMA freelist_count")                               \
	ROW(VACUUM, "PRAGMA incremental_vacuum(256)")

#define STATEMENT_ENUM(name, sql) STATEMENT_##name,
enum statement { STATEMENT_EACH(STATEMENT_ENUM) STATEMENTS };
#undef STATEMENT_ENUM

struct queue {
	struct job *first;
	struct job *last;
};

static inline void
queue_add(struct queue *q, struct job *job)
{
	job->next = NULL;
	if (q->last)
		q->last->next = job;
	else
		q->first = job;
	q->last = job;
}

static inline struct job *
queue_take(struct queue *q)
{
	struct job *job = q->first;

	if (job && !(q->first = job->next))
		q->last = NULL;
	return job;
}

/*        open: the first job that needs it
 *   CLOSED ───────────▶ OPEN ──▶ CLOSED: idle, evicted, dropped, I/O error
 *      └──▶ BAD ◀────────┘       BAD ──▶ CLOSED: checked good, restored,
 *           what it holds is no good         dropped
 */
enum file_state { FILE_CLOSED, FILE_OPEN, FILE_BAD };

struct copy; /* store_sqlite_copy.c */

struct file {
	struct map_node node;
	struct thread *thread;
	char name[STORE_TENANT_MOST + 1];
	char path[FILE_PATH_MOST]; /* "3f/acme.db" */
	enum file_state state;
	char *why;	     /* ours while BAD */
	struct queue reads;  /* JOB_READ, JOB_CHANGES, JOB_VERSION */
	struct queue writes; /* all others */
	struct list waiting; /* in the thread's, with jobs */
	/* what outlives closing */
	uint64_t failed_ms[FILE_FAILURES_MOST]; /* latest first */
	uint64_t busy_until_ms;
	bool reads_only; /* failed too often */
	bool suspect;	 /* an I/O error: the WAL may not be on the disk */
	/* while OPEN */
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	struct list used;  /* in the thread's, lately used last */
	struct list chore; /* in the thread's, to be swept and tidied */
	uint64_t used_ms;  /* steady */
	uint64_t version;
	uint64_t oldest;
	uint64_t floor;	    /* versions up to it may be given out */
	bool expected;	    /* its note says that there is a file */
	uint64_t quota_own; /* as kept; 0: as configured */
	uint64_t quota_bytes;
	int durability_own; /* as kept: 1 + what was set, 0: as configured */
	enum store_durability durability;
	bool frozen;
	bool dirty; /* the WAL has what the file has not */
	unsigned wal_pages;
	uint64_t sweep_ms; /* on its clock, when there may be work */
	struct store_clock clock;
	struct copy *copy; /* a backup under way */
};

struct thread {
	struct store *store;
	pthread_t id;
	bool started;
	_Atomic(struct job *) inbox; /* the last one given first */
	atomic_uint asleep;	     /* what it sleeps on: 1, or 0 */
	atomic_bool stop;
	/* the thread's own */
	struct map files;
	struct list open; /* files, lately used last */
	unsigned open_count;
	struct list waiting; /* files with jobs */
	struct list chores;  /* files that the sweep has yet to visit */
	struct job *sweep;   /* ours, while it goes on */
	size_t moved_most;   /* room in its list */
	unsigned chore_waits;
	struct list copies;
	struct queue replies; /* to be told with the next wake-up */
};

struct store {
	struct desk desk;
	struct store_config config;
	struct thread threads[THREADS_MOST];
	unsigned thread_count;
	struct deferred wake; /* of the threads, at the end of a batch */
	unsigned handles_each;
	atomic_uint copies_checked; /* threads that look through a copy */
	pthread_mutex_t copies_lock;
	pthread_cond_t copies_end;
	atomic_uint_fast64_t reads, commits, groups, group_most, reruns,
	    failures, quarantined, opened, handles;
};

static inline void
store_count(atomic_uint_fast64_t *figure, uint64_t more)
{
	atomic_fetch_add_explicit(figure, more, memory_order_relaxed);
}

/* ---- store_sqlite_path.c --------------------------------------------------- */

/* SQLite knows only paths. One that begins "/@N/" is below descriptor N, and
 * never follows a link. 0, or -1: this SQLite cannot be taught. */
int path_teach(void);
void path_of(char path[FILE_PATH_MOST], int directory_fd, const char *below);
/* Set when there were no more descriptors, by whatever opened something. */
extern _Thread_local bool path_starved;
int path_open(int directory_fd, const char *below, int flags);
unsigned path_hash(struct span tenant);
/* "3f/acme" and what it ends with. */
void path_tenant(char path[FILE_PATH_MOST], struct span tenant,
    const char *suffix);
/* A small file written whole and durably, or not at all. 0 or -1. */
int path_write(int directory_fd, const char *below, struct span text);
/* Reads at most room - 1 bytes: the length, or -1. */
ssize_t path_read(int directory_fd, const char *below, char *text, size_t room);
int path_sync_parent(int directory_fd, const char *below);
bool path_file_name_good(struct span); /* of a backup */

/* ---- store_sqlite_open.c --------------------------------------------------- */

enum file_use {
	FILE_EXISTING, /* absent is an answer: status OK with db NULL */
	FILE_CREATE,
};

/* Opens it when it is not. STORE_OK or what to tell, with the sentence. */
enum store_status file_open(struct file *, enum file_use,
    char why[STORE_DETAIL_MOST]);
/* What follows from the settings it keeps: limits and syncs of the handle.
 * SQLITE_OK or the extended code. */
int file_settings(struct file *);
int file_set_quota(struct file *, unsigned more_pages);
int file_make_directory(struct file *); /* that it lies in: 0 or -1 */
/* SQLITE_OK, SQLITE_CORRUPT with what is wrong, or why it cannot be said. */
int file_look(sqlite3 *, bool deep, char why[STORE_DETAIL_MOST]);

/* ---- store_sqlite_file.c --------------------------------------------------- */

void file_close(struct file *);
/* After an error: the handle is thrown away as it is, without a checkpoint. */
void file_abandon(struct file *);
/* Frees a closed file that there is nothing to remember of. */
void file_forget(struct file *);
void file_bad(struct file *, const char *why);
void file_good(struct file *); /* takes it out of quarantine */
/* Into floor and expected; 0, or -1 with errno, EBADMSG when it is damaged. */
int file_floor_read(struct file *);
/* The same for who begins anew anyway: a damaged one is replaced by one that is
 * above every version there can have been. */
int file_floor_force(struct file *);
int file_floor_write(struct file *, uint64_t floor, bool expected);
uint64_t file_now(struct file *);
void file_used(struct file *);
/* Room for one more handle: closes the one used longest ago. */
void file_evict(struct thread *, unsigned most);
void file_checkpoint(struct file *, int mode);

/* NULL without memory, or when the file is not what it should be. */
sqlite3_stmt *file_statement(struct file *, enum statement);
/* One that gives no row: SQLITE_OK or the extended code. Resets it. */
int file_run(struct file *, enum statement);
int file_done(sqlite3_stmt *, int code); /* resets; the code */

/* What a code of SQLite means for the job, and for the file: it is put in
 * quarantine, abandoned, or goes on. */
void file_failed(struct file *, struct job *, int code, const char *doing);
/* One more that was not the client's: too many, and it takes reads only. */
void file_count_failure(struct file *, const char *doing, int code);

static inline int
file_directory(const struct file *f)
{
	return f->thread->store->config.directory_fd;
}

static inline uint64_t
file_steady_ms(const struct file *f)
{
	return f->thread->store->config.steady_ms();
}

/* The path of what lies beside it. */
static inline void
file_beside(const struct file *f, char path[FILE_PATH_MOST], const char *suffix)
{
	path_tenant(path, f->node.key, suffix);
}

static inline void
file_bind(sqlite3_stmt *statement, int at, struct span text)
{
	sqlite3_bind_text(statement, at, text.data ? text.data : "",
	    (int)text.bytes, SQLITE_STATIC);
}

static inline struct span
file_column(sqlite3_stmt *statement, int at)
{
	const void *data = sqlite3_column_blob(statement, at);
	int bytes = sqlite3_column_bytes(statement, at);

	if (sqlite3_column_type(statement, at) == SQLITE_NULL)
		return SPAN_NONE;
	return span_make(data ? data : "", (size_t)bytes);
}

/* ---- store_sqlite_read.c --------------------------------------------------- */

void read_run(struct file *, struct job *);
void read_changes(struct file *, struct job *);
/* The least text above all that begin with it; false: there is none. */
bool read_successor(struct span, char *to, size_t *bytes);
/* Binds from <= k < to, an absent `to` being without end. */
void read_bind_range(sqlite3_stmt *, struct span from, struct span to,
    bool to_end);

/* ---- store_sqlite_write.c -------------------------------------------------- */

/* Within a transaction: SQLITE_OK, the job done or failed by itself; another
 * code: the transaction is to be rolled back. */
int write_batch(struct file *, struct job *, uint64_t now, bool alone);
int write_meta(struct file *, uint64_t now);
void write_reset(struct job *); /* as it was before it was run */
/* One transaction of sweeping; *swept rows. False: more is left. */
bool write_sweep(struct file *, size_t budget, uint64_t *swept, bool *moved);

/* ---- store_sqlite_copy.c --------------------------------------------------- */

void copy_start(struct file *, struct job *); /* JOB_BACKUP */
/* A few pages; false when it has ended. */
bool copy_step(struct copy *);
void copy_break(struct file *); /* the file goes away under it */
void copy_restore(struct file *, struct job *);
void copy_check(struct file *, struct job *);
struct copy *copy_first(struct thread *); /* NULL: none is under way */

/* ---- store_sqlite_tenant.c ------------------------------------------------- */

void tenant_run(struct file *, struct job *);
void tenant_list(struct thread *, struct job *); /* JOB_TENANTS */

/* ---- store_sqlite_thread.c ------------------------------------------------- */

int thread_start(struct thread *);
void thread_stop(struct thread *); /* what it was given is done first */
void thread_give(struct thread *, struct job *);
void thread_wake(struct thread *); /* when it sleeps, after thread_give() */
void thread_reply(struct thread *, struct job *); /* with the next wake-up */

#endif
