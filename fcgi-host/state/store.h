/* SPDX-License-Identifier: MIT */
/* store.h - what the state API asks of a storage, and all it may know of one.
 *
 * A storage is a `struct store` behind a `struct store_engine`, a table of
 * operations. Engines: store_sqlite (a file per tenant), store_memory (the
 * reference model), store_fault (breaks another engine on purpose). An engine
 * that talks to a server over a socket fits the same table: nothing here says
 * file, thread or SQL.
 *
 * True of every engine:
 *  - Every operation with a callback is asynchronous: it returns 0 and the
 *    callback runs later, on the loop's thread, exactly once, never from
 *    within the call. -1 (errno EAGAIN: too much is queued; ENOMEM) means
 *    the call was not taken and no callback comes.
 *  - The tenant's name is copied. The request and everything it points to is
 *    borrowed until the callback. The result and everything it points to is
 *    valid during the callback only. There is no cancelling: who loses
 *    interest keeps its request alive until the callback.
 *  - Commits of one tenant take effect in the order they were made. A read
 *    sees every commit whose callback ran before it was made, and only what
 *    was committed; commits under way may be in it or not.
 *  - A commit is all or nothing. STORE_OK means durable to the tenant's level
 *    (enum store_durability). `unknown` in the result means it may have
 *    happened or not: the caller says so, and asks again to know.
 *  - Versions: each commit that changes something takes the tenant's next
 *    version, one for all its operations. A tenant's versions strictly
 *    increase and are never used twice, not after a drop, a restore or the
 *    loss of the file. They may have gaps and stay below 2^53. 0 is "nothing
 *    was ever written".
 *  - Keys are ordered bytewise. They are 1 to STORE_KEY_MOST bytes without
 *    NUL; that they are good UTF-8 is the API's to check.
 *  - Times are Unix milliseconds on the tenant's clock, which never runs
 *    backwards. A key whose time has come is absent: for reads, checks and
 *    operations, at once; its "expire" change comes with a later sweep.
 *  - A tenant nobody wrote to exists as an empty one at version 0; reading it
 *    makes nothing. The first commit makes it.
 *
 * Queue and cron come with the events process and will fit here: `enqueue` as
 * one more enum store_op_kind of a commit (so that change and message are one
 * commit), `claim` (jobs that are due, leased to a host) and `finish` (with a
 * batch of its own) as rows of struct store_engine behind `commit`. */
#ifndef STATE_STORE_H
#define STATE_STORE_H

#include "base/buf.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/span.h"

enum {
	STORE_TENANT_MOST = 63,	 /* bytes of a name, [a-z0-9][a-z0-9_-]* */
	STORE_KEY_MOST = 1024,	 /* bytes */
	STORE_TYPE_MOST = 255,	 /* bytes of a content type */
	STORE_IDEM_MOST = 255,	 /* bytes of an idempotency key */
	STORE_PRINT_MOST = 64,	 /* bytes of its request's fingerprint */
	STORE_DETAIL_MOST = 256, /* bytes of a result's sentence, with NUL */
};

/* The last time there is: version numbers and times stay whole in JSON. */
#define STORE_TIME_MOST (UINT64_C(1) << 53)

struct store; /* opaque, each engine its own */

/* How it ended. Second: the word for logs and tests. */
#define STORE_STATUS_EACH(ROW)                                                \
	ROW(OK, "ok")                                                         \
	/* The caller's: nothing was changed. */                              \
	ROW(CHECK_FAILED, "check-failed")   /* see failed[] */                \
	ROW(OUT_OF_RANGE, "out-of-range")   /* see failed_op, value */        \
	ROW(NOT_A_NUMBER, "not-a-number")   /* see failed_op */               \
	ROW(IDEM_MISMATCH, "idem-mismatch") /* key used by another request */ \
	ROW(GONE, "gone")		    /* compacted: see oldest */       \
	ROW(QUOTA, "quota")		/* the tenant's share is used up */   \
	ROW(TOO_LARGE, "too-large")	/* a value above value_most */        \
	ROW(NO_TENANT, "no-tenant")	/* nothing to drop, back up... */     \
	ROW(EXISTS, "exists")		/* the backup's name is taken */      \
	ROW(BAD_NAME, "bad-name")	/* of a tenant, key or file */        \
	ROW(FROZEN, "frozen")		/* reads only, for now */             \
	ROW(UNSUPPORTED, "unsupported") /* not with this engine */            \
	/* The machine's. */                                                  \
	ROW(QUARANTINED, "quarantined") /* this tenant's data is bad */       \
	ROW(NO_SPACE, "no-space")	/* the disk is full */                \
	ROW(NO_MEMORY, "no-memory")                                           \
	ROW(BUSY, "busy")     /* held by others, try again */                 \
	ROW(FAILED, "failed") /* an I/O error */

#define STORE_STATUS_ENUM(name, word) STORE_##name,
enum store_status { STORE_STATUS_EACH(STORE_STATUS_ENUM) STORE_STATUSES };
#undef STORE_STATUS_ENUM

const char *store_status_word(enum store_status);

/* What STORE_OK of a commit survives. Both survive the death of the process. */
enum store_durability {
	STORE_FULL,    /* power loss */
	STORE_RELAXED, /* consistent after power loss, but the last commits
			  may be gone */
};

/* ---- reading --------------------------------------------------------------- */

/* Keys k with start <= k < end that begin with prefix, each bound absent when
 * SPAN_NONE. With a delimiter, keys that hold it behind the prefix are folded
 * into one item, their beginning up to and including the first one. */
struct store_range {
	struct span prefix;
	struct span start;
	struct span end;
	struct span after; /* the `next` of the page before, or SPAN_NONE */
	struct span delimiter;
	size_t limit; /* most items of the page, at least 1 */
	bool reverse;
	bool values; /* with their values, else sizes only */
};

struct store_read {
	const struct span *keys; /* points; absent ones are fine */
	size_t key_count;
	bool values; /* of the points */
	const struct store_range *ranges;
	size_t range_count;
	size_t bytes_most; /* of keys, types and values of the answer; 0: the
			      engine's */
};

struct store_item {
	struct span key;
	struct span value;   /* SPAN_NONE: absent, not asked for, or did not
				fit into bytes_most (see size) */
	struct span type;    /* SPAN_NONE: none was given */
	uint64_t version;    /* 0: there is no such key */
	uint64_t expires_ms; /* 0: never */
	uint64_t size;	     /* of the value */
	bool folded;	     /* key is a common beginning, nothing else set */
};

struct store_page {
	const struct store_item *items; /* in order */
	size_t item_count;
	bool more;	  /* limit or bytes_most ended it */
	struct span next; /* for `after`, when more */
};

/* ---- committing ------------------------------------------------------------ */

enum store_check_kind {
	STORE_ABSENT,	   /* the key must not exist */
	STORE_PRESENT,	   /* must exist, whatever its version */
	STORE_VERSION,	   /* must exist and have one of the versions */
	STORE_NOT_VERSION, /* must not have any of them; absent is fine */
};

struct store_check {
	enum store_check_kind kind;
	struct span key;
	const uint64_t *versions;
	size_t version_count;
};

enum store_op_kind {
	STORE_SET,
	STORE_DELETE, /* an absent key is fine */
	STORE_SUM,    /* absent counts as 0 */
	STORE_MIN,    /* the lesser of what is there and `number`; absent: it */
	STORE_MAX,
	STORE_DELETE_RANGE, /* every key that begins with `key`, in order, at
			       most `limit`; the empty span is every key */
};

enum store_expiry {
	STORE_FOREVER, /* takes an expiry away */
	STORE_AT,      /* expires_ms is absolute */
	STORE_FOR,     /* expires_ms from the commit's time on */
	STORE_KEEP,    /* as it is; never, when the key is new */
	STORE_FOR_NEW, /* STORE_FOR when the key is new, else STORE_KEEP */
};

/* Counters are int64 kept as decimal text, without leading zeros or plus. */
struct store_op {
	enum store_op_kind kind;
	enum store_expiry expiry; /* SET, SUM, MIN, MAX */
	uint64_t expires_ms;
	struct span key;
	struct span value; /* SET */
	struct span type;  /* SET; SUM, MIN, MAX when the key is new */
	int64_t number;	   /* SUM, MIN, MAX */
	int64_t least;	   /* SUM, when has_least: what may come out */
	int64_t most;
	bool has_least;
	bool has_most;
	size_t limit; /* DELETE_RANGE, at least 1 */
};

struct store_result;

/* Writes the reply that a repeat of the request shall get into `reply`. Runs
 * inside the commit, on any thread, maybe more than once: it looks at its
 * arguments and what the request borrowed, and changes nothing else. -1: no
 * memory; the commit then fails. */
typedef int store_reply_fn(void *arg, const struct store_result *,
    struct buf *reply);

struct store_batch {
	/* With a key: a batch that was committed under it before is not run
	 * again, its reply is returned; under another fingerprint it is
	 * STORE_IDEM_MISMATCH. Only what succeeds is remembered, for idem_ms. */
	struct span idem_key; /* SPAN_NONE: none */
	struct span idem_print;
	store_reply_fn *reply;
	void *reply_arg;
	const struct store_check *checks; /* against the state before the ops */
	size_t check_count;
	const struct store_op *ops; /* one after the other */
	size_t op_count;
};

struct store_op_result {
	uint64_t version; /* of the key, now; 0: it is absent */
	int64_t value;	  /* SUM, MIN, MAX */
	uint64_t deleted; /* DELETE, DELETE_RANGE: keys that were there */
	bool created;	  /* SET, SUM, MIN, MAX: it was absent before */
	bool more;	  /* DELETE_RANGE: limit ended it */
};

struct store_failed_check {
	size_t index;	  /* in checks */
	uint64_t version; /* the key has; 0: absent */
};

/* ---- changes --------------------------------------------------------------- */

enum store_change_kind {
	STORE_CHANGE_SET = 1,
	STORE_CHANGE_DELETE = 2,
	STORE_CHANGE_EXPIRE = 3,
};

/* Changes of the commits behind `since`, in order, of keys that begin with
 * prefix (or are it, with exact). A page never ends within a commit, so limit
 * may be passed by the rest of the last one; to resume asks for what is behind
 * `until` of the result. STORE_GONE when commits behind `since` are no longer
 * known, or `since` is a version that never was. */
struct store_changes {
	uint64_t since;
	struct span prefix;
	bool exact;
	size_t limit; /* at least 1 */
};

struct store_change {
	enum store_change_kind kind;
	uint64_t version;
	struct span key;
};

/* Embedded by who watches; `callback` first runs soon after watch() with the
 * version as it is, then whenever it has moved (several moves may be one
 * call), until unwatch(), after which it never runs. It may unwatch. Not
 * durable: a version is told when its commit is. */
typedef void store_watch_fn(void *arg, uint64_t version);

struct store_watch {
	store_watch_fn *callback;
	void *arg;
	struct list node; /* the engine's, as are the next */
	void *hub;
	bool told;
};

/* ---- tenants --------------------------------------------------------------- */

enum store_tenant_op {
	STORE_TENANT_CREATE, /* fine when it exists */
	STORE_TENANT_DROP,   /* with all it has */
	STORE_TENANT_STAT,
	STORE_TENANT_CHANGE, /* the settings that `set` names */
};

enum { STORE_SET_QUOTA = 1, STORE_SET_DURABILITY = 2, STORE_SET_FROZEN = 4 };

struct store_tenant {
	enum store_tenant_op op;
	unsigned set;	      /* STORE_SET_*, CREATE and CHANGE */
	uint64_t quota_bytes; /* 0: the configuration's */
	enum store_durability durability;
	bool frozen;
};

struct store_usage {
	uint64_t bytes; /* on disk, all of it */
	uint64_t quota_bytes;
	uint64_t keys;	 /* not expired */
	uint64_t oldest; /* `since` from which changes are known */
	enum store_durability durability;
	bool frozen;
};

/* ---- results --------------------------------------------------------------- */

/* Every field not named for an operation is 0. */
struct store_result {
	enum store_status status;
	bool unknown;	    /* a commit that may have happened */
	const char *detail; /* a sentence for people, "" when OK */
	uint64_t version;   /* of the tenant: of the snapshot, of the commit */
	uint64_t now_ms;    /* the tenant's clock then */

	/* read */
	const struct store_item *points; /* one for each of keys, in order */
	size_t point_count;
	const struct store_page *pages; /* one for each of ranges */
	size_t page_count;

	/* commit */
	const struct store_op_result *ops; /* when OK and not replayed */
	size_t op_count;
	const struct store_failed_check *failed; /* all that failed */
	size_t failed_count;
	size_t failed_op; /* OUT_OF_RANGE, NOT_A_NUMBER, TOO_LARGE, BAD_NAME */
	int64_t value;	  /* OUT_OF_RANGE: what the counter has */
	bool changed;	  /* a version was taken */
	bool replayed;	  /* reply is from the first time */
	struct span reply;

	/* changes; `oldest` with GONE too */
	const struct store_change *changes;
	size_t change_count;
	uint64_t until;
	uint64_t oldest;

	/* sweep: what was removed. more: of sweep, tenants, and of changes when
	 * until is not yet version */
	uint64_t swept;
	bool more;

	/* tenant STAT */
	const struct store_usage *usage;

	/* tenants; a full page says more */
	const struct span *names;
	size_t name_count;

	/* backup */
	uint64_t bytes;
};

typedef void store_fn(void *arg, const struct store_result *);

/* Since open(); for status and metrics. */
struct store_figures {
	uint64_t reads;	      /* calls */
	uint64_t commits;     /* batches committed */
	uint64_t groups;      /* commits of the storage: commits / groups is
				 the batch size */
	uint64_t group_most;  /* batches in the largest */
	uint64_t reruns;      /* groups taken apart after a failure */
	uint64_t failures;    /* I/O errors, of which the operator must know */
	uint64_t quarantined; /* tenants */
	uint64_t opened;      /* handles, ever */
	uint64_t handles;     /* now */
	uint64_t wakeups;     /* of the loop */
	uint64_t queued;      /* calls not answered yet */
};

/* ---- the table ------------------------------------------------------------- */

/* Zero is a good default everywhere but directory_fd. */
struct store_config {
	int directory_fd;		  /* of the state directory, borrowed */
	unsigned threads;		  /* 2 */
	unsigned handles_most;		  /* files open at once: 1024 */
	unsigned queue_most;		  /* calls under way: 65536 */
	uint64_t quota_bytes;		  /* of a tenant: 256 MiB */
	uint64_t value_most;		  /* bytes of a value: 1 MiB */
	uint64_t page_bytes_most;	  /* bytes of an answer: 4 MiB */
	uint64_t log_commits_most;	  /* known to changes: 10,000 */
	uint64_t log_ms;		  /* ... and for how long: 24 h */
	uint64_t idem_ms;		  /* 24 h */
	uint64_t idle_ms;		  /* before a file is closed: 60 s */
	uint64_t (*unix_ms)(void);	  /* for tests; clock_unix_ms */
	uint64_t (*steady_ms)(void);	  /* for tests; clock_ms */
	const char *vfs;		  /* for tests of store_sqlite */
	enum store_durability durability; /* of tenants that set none */
};

enum {
	STORE_CAN_SHARE = 1,  /* several hosts on the same data */
	STORE_CAN_BACKUP = 2, /* backup and restore */
};

struct store_engine {
	const char *name;
	unsigned can;

	/* NULL with a sentence in `why`. */
	struct store *(*open)(const struct store_config *, struct loop *,
	    char why[STORE_DETAIL_MOST]);
	/* Waits until all that was taken has ended, and runs the callbacks. */
	void (*close)(struct store *);

	/* Points and ranges of one snapshot. */
	int (*read)(struct store *, struct span tenant,
	    const struct store_read *, store_fn *, void *arg);
	int (*commit)(struct store *, struct span tenant,
	    const struct store_batch *, store_fn *, void *arg);
	int (*changes)(struct store *, struct span tenant,
	    const struct store_changes *, store_fn *, void *arg);

	/* 0 or -1 (no memory); not asynchronous. */
	int (*watch)(struct store *, struct span tenant, struct store_watch *);
	void (*unwatch)(struct store *, struct store_watch *);

	/* Removes what time has passed by (expired keys, old changes, old
	 * idempotency keys), at most `budget` rows, of tenants lately used;
	 * also tidies up: gives space back, closes what is idle. To be called
	 * every second or so, again at once when `more`. */
	int (*sweep)(struct store *, size_t budget, store_fn *, void *arg);

	int (*tenant)(struct store *, struct span tenant,
	    const struct store_tenant *, store_fn *, void *arg);
	/* Names behind `after` in bytewise order, at most `limit`, then more. */
	int (*tenants)(struct store *, struct span after, size_t limit,
	    store_fn *, void *arg);

	/* A consistent copy as file `name` (not yet there) in the directory,
	 * whose descriptor stays open until the callback; durable and verified
	 * when OK. */
	int (*backup)(struct store *, struct span tenant, int directory_fd,
	    struct span name, store_fn *, void *arg);
	/* The tenant has what the copy has, at a version above every one that
	 * either ever had; its changes before that are GONE. */
	int (*restore)(struct store *, struct span tenant, int directory_fd,
	    struct span name, store_fn *, void *arg);
	/* Looks for damage; deep reads everything. OK also takes a tenant out
	 * of quarantine; QUARANTINED says what is wrong. */
	int (*check)(struct store *, struct span tenant, bool deep, store_fn *,
	    void *arg);

	void (*figures)(struct store *, struct store_figures *);
};

extern const struct store_engine store_sqlite;
extern const struct store_engine store_memory;

/* ---- common to engines (store.c) ------------------------------------------- */

bool store_tenant_name_good(struct span);
bool store_key_good(struct span);
/* Canonical decimal int64: 0, or -1. */
int store_number(struct span, int64_t *);
/* When what the op writes expires; `old_ms` is that of the key it replaces. */
uint64_t store_expires(const struct store_op *, bool is_new, uint64_t old_ms,
    uint64_t now_ms);
/* Fills in what is 0. */
void store_config_defaults(struct store_config *);
/* What is wrong with a batch in itself, whatever the tenant has: STORE_OK,
 * STORE_BAD_NAME or STORE_TOO_LARGE, with the op. */
enum store_status store_batch_good(const struct store_batch *,
    uint64_t value_most, size_t *op);

/* A clock that follows the machine's forward and never back: when that is set
 * back, it goes on from where it was. */
struct store_clock {
	uint64_t unix_ms;   /* what it said last */
	uint64_t steady_ms; /* and when, on the steady clock */
};
uint64_t store_clock_now(struct store_clock *, uint64_t unix_ms,
    uint64_t steady_ms);

/* store_fault.h has the engine for tests that breaks another one. */

#endif
