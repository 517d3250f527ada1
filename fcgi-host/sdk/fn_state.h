/* SPDX-License-Identifier: MIT */
/* fn_state.h - state that outlives the request. <fn.h> includes it; a program with
 * a main() of its own may do without the rest of that. fn_state(3) has examples.
 *
 * Keys are UTF-8, 1 to 1024 bytes, without control bytes and without a segment
 * "." or ".."; they are ordered byte by byte. Values are any bytes, up to the
 * host's limit (1 MiB unless the administrator says otherwise). A version is the
 * number of the commit that wrote a key: it grows, and is never used twice.
 *
 * Where to ask, with which token and until when is taken from the environment
 * (FN_SOCKET, FN_STATE_URL, FN_TOKEN, FN_DEADLINE_MS) or from fn_use(). The
 * library speaks HTTP/1.1 on one kept connection for the process; any thread may
 * call, they take turns. A call ends 100 ms before the deadline, so that there
 * is time to say so; without a deadline after 10 s.
 *
 * What may be asked again after a lost connection or a busy host is asked again
 * (up to 5 times, the last after about a second): reads always; put and delete
 * when they have a condition, or when the host certainly has not read them;
 * counters and atomic commits always, because they carry a key by which the host
 * knows a repeated one. So counters and atomic commits happen once or not at
 * all; only a put or delete can end as FN_UNKNOWN while the host is there. */
#ifndef FN_STATE_H
#define FN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every call returns one of these; what else is returned is set with FN_OK only,
 * unless the call says otherwise. */
enum fn_result {
	FN_OK = 0,
	FN_NOT_FOUND, /* no such key, or its time to live is over */
	FN_UNCHANGED, /* fn_state_wait: nothing happened to it in time */
	FN_CONFLICT,  /* a condition or check did not hold; nothing was changed:
		       * read again, decide again */
	FN_RANGE,     /* a counter would leave its bounds; it was not changed */
	FN_BAD,	      /* a key, type or argument is not as it must be, or a
		       * counter's key holds no number */
	FN_TOO_LARGE, /* a value, a commit or a reply is over a limit */
	FN_FULL,      /* the tenant's quota is used up; delete still works */
	FN_REFUSED,   /* no token, or one that does not allow this: see the
		       * setting `state` of the function */
	FN_BUSY,    /* too many requests, or the host cannot store now; nothing
		       * was changed */
	FN_TIMEOUT, /* no time left; nothing was changed */
	FN_UNKNOWN, /* the connection broke, or the time was over, after a write
		       * was sent: it may or may not have been carried out */
	FN_FAILED,  /* no host there, or it speaks nonsense; nothing was
		       * changed. Also no memory */
};

/* Why this thread's last call did not return FN_OK: one sentence without a line
 * end, at most 511 bytes, for a log. Never contains the token. "" after FN_OK. */
const char *fn_problem(void);

/* For programs to which requests do not come by environment, such as those of
 * FCGX_Accept_r(); around fn_handle() it has been called. Takes the four variables from "NAME=value" strings (ends with
 * NULL) instead, for this thread's next calls; NULL: the environment again. They
 * are copied. FN_OK, or FN_BAD when one is above 4095 bytes. */
enum fn_result fn_use(char *const *variables);

/* ---- one key ------------------------------------------------------------ */

struct fn_value {
	char *data;	   /* yours: fn_value_free(). A NUL stands behind it */
	size_t bytes;	   /* without that NUL */
	uint64_t version;  /* never 0 */
	int64_t expires_s; /* Unix time, seconds; 0: stays */
	char type[128];	   /* media type as it was put */
};

/* FN_OK, FN_NOT_FOUND ... */
enum fn_result fn_state_get(const char *key, struct fn_value *);

/* The same when the key was changed, made or removed after commit `since`; waits
 * for that at most wait_s seconds (50 at most, and not beyond the deadline).
 * FN_UNCHANGED: nothing seen yet. FN_NOT_FOUND: it was removed. */
enum fn_result fn_state_wait(const char *key, uint64_t since, unsigned wait_s,
    struct fn_value *);

/* Frees data and clears all; twice, or of a zeroed value or NULL, is no harm. */
void fn_value_free(struct fn_value *);

struct fn_put {
	uint64_t if_version; /* only when it has this version; 0: any */
	bool if_absent;	     /* only when there is no such key */
	uint32_t ttl_s;	     /* seconds until it is gone; 0: stays */
	const char *type;    /* NULL: application/octet-stream */
};

/* Stores bytes of data (not NULL unless bytes is 0) under key. `how` may be NULL,
 * so may `version`, which is set to the key's new version. FN_CONFLICT: if_version
 * or if_absent did not hold. */
enum fn_result fn_state_put(const char *key, const void *data, size_t bytes,
    const struct fn_put *how, uint64_t *version);

/* Removes it, when it has that version (0: any). FN_OK too when there is none. */
enum fn_result fn_state_delete(const char *key, uint64_t if_version);

struct fn_incr {
	const int64_t *min; /* NULL: no bound; FN_RANGE beyond */
	const int64_t *max;
	uint32_t ttl_s; /* of a counter that this call makes; 0: stays */
};

/* Adds `by` to the counter (0 when there is none, or it expired) and sets *value
 * to what it is then; `how` and `value` may be NULL. The value is decimal text
 * for fn_state_get(). FN_BAD when the key holds something else. */
enum fn_result fn_state_incr(const char *key, int64_t by,
    const struct fn_incr *how, int64_t *value);

/* ---- many keys ---------------------------------------------------------- */

struct fn_list {	    /* zeroed: the first 100 keys there are */
	const char *prefix; /* keys that begin so; NULL: all */
	const char *start;  /* from this key on; NULL: from the first */
	const char *end;    /* up to, without, this key; NULL: to the last */
	const char
	    *delimiter;	    /* keys with it behind the prefix are given as one
				* of `prefixes`; NULL: no */
	const char *cursor; /* of the page before, NULL: the first page */
	unsigned limit;	    /* items on a page, at most 1000; 0: 100 */
	bool reverse;	    /* from the last to the first */
	bool values;	    /* with values, not only keys */
};

struct fn_item {
	const char *key;
	uint64_t version;
	size_t bytes;	   /* of the value */
	int64_t expires_s; /* Unix time, seconds; 0: stays */
	const char *type;  /* "" when none is said */
	const char *data;  /* the value with a NUL behind it; NULL: not asked */
};

struct fn_page {	  /* of one moment; all yours: fn_page_free() */
	uint64_t version; /* the tenant's last commit at that moment */
	struct fn_item *items;
	size_t item_count;
	const char **prefixes;
	size_t prefix_count;
	const char *cursor; /* for the next page, NULL: this is the last */
	void *memory;	    /* what the rest points into */
};

/* A list of NULL is a zeroed one. */
enum fn_result fn_state_list(const struct fn_list *, struct fn_page *);
void fn_page_free(struct fn_page *); /* clears all; twice is no harm */

/* ---- all or nothing ------------------------------------------------------ */

struct fn_check {
	const char *key;
	uint64_t version; /* it must have; 0: it must not be there */
};

enum fn_op_kind {
	FN_SET,	   /* key, data, bytes, type, ttl_s */
	FN_DELETE, /* key */
	FN_SUM,	   /* key, by, min, max: as fn_state_incr() */
	FN_MIN,	   /* key, by: the smaller of both stays */
	FN_MAX,	   /* key, by: the larger of both stays */
};

struct fn_op {
	enum fn_op_kind kind;
	const char *key;
	const void *data;
	size_t bytes;
	const char *type;
	uint32_t ttl_s;
	int64_t by;
	const int64_t *min;
	const int64_t *max;
	int64_t value; /* set: of FN_SUM, FN_MIN, FN_MAX */
};

/* When every check holds, does every operation, in order, in one commit, and sets
 * *version (may be NULL) to it. At most 64 checks, 512 operations and 4 MiB of
 * JSON, in which a value takes 4/3 of its bytes. FN_CONFLICT: a check did not
 * hold, fn_problem() names its key. FN_RANGE, FN_BAD: an operation could not be
 * done; then none was. */
enum fn_result fn_state_atomic(const struct fn_check *, size_t check_count,
    struct fn_op *, size_t op_count, uint64_t *version);

#ifdef __cplusplus
}
#endif

#endif
