/* SPDX-License-Identifier: MIT */
/* log.h - the log process: access records and functions' stderr come in, log
 * files go out, and `fcgi-hostctl logs` reads them. It owns every log file. It
 * knows nothing of requests but what their records say, and trusts no byte a
 * client or a function wrote: what reaches a file is one line, escaped, behind
 * a head no function can forge. Sections by file. */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include "base/buf.h"
#include "base/loop.h"
#include "base/map.h"
#include "config/config.h"
#include "ipc/message.h"

/* ---- line.c: text that is safe to put into a line. Pure. ------------------
 *
 * A line of a tenant's log is
 *	TIME REQUEST FUNCTION<mark> TEXT
 * and the mark says whose words follow. It is what stands before the third
 * blank; time, request id and function have none. */

enum line_mark {
	LINE_TEXT = ':',   /* the function's stderr, from a line's start */
	LINE_MORE = '+',   /* ... the line before goes on */
	LINE_HOST = '!',   /* the log process about this stderr */
	LINE_RESULT = '=', /* the request is over, this is how */
};

enum {
	LINE_TIME_BYTES = 24, /* of clock_iso() */
	LINE_NAME_MOST = 64,  /* bytes of request id or function we show */
};

struct line { /* one that was read back */
	struct span time;
	struct span request;
	struct span function;
	enum line_mark mark;
	struct span text;
};

/* All: 0, or -1 at the buffer's ceiling (something may have been written). */
int line_put_head(struct buf *, const char *time, struct span request,
    struct span function, enum line_mark);
/* Text as it is, but control bytes, invalid UTF-8 and characters that move
 * other text about (C1, line separators, bidirectional overrides) as \xNN. */
int line_put_text(struct buf *, struct span);
/* The same as one word: blanks escaped too, "-" when empty. */
int line_put_word(struct buf *, struct span);
/* A JSON string with its quotes; what is no UTF-8 becomes U+FFFD. */
int line_put_json(struct buf *, struct span);

/* How much of `bytes` to take for a piece of at most `most`, without cutting a
 * UTF-8 character: 1..most. */
size_t line_cut(struct span bytes, size_t most);

int line_parse(struct span bytes, struct line *); /* 0 or -1 */
/* Unix milliseconds of clock_iso()'s text: 0, or -1 when it is none. */
int line_time(struct span text, uint64_t *unix_ms);

/* ---- split.c: a stream of stderr into pieces of lines. Pure. ---------------- */

struct split {
	struct buf partial; /* a line whose end has not come yet */
	size_t line_most;
	bool middle; /* the last piece did not end its line */
};

struct split_piece {
	struct span text;    /* without line end; until the next call */
	enum line_mark mark; /* LINE_TEXT or LINE_MORE */
};

void split_init(struct split *, size_t line_most);
void split_free(struct split *);
/* The next piece; takes from *in. False when *in is used up. */
bool split_next(struct split *, struct span *in, struct split_piece *);
/* At the end of the stream: what had no line end. False: nothing. */
bool split_last(struct split *, struct split_piece *);

/* ---- record.c: an access record in words and in JSON. Pure. ----------------- */

int record_put_json(struct buf *, const struct message_access *);
/* With its head and line end; `time` is when the line is written. */
int record_put_result(struct buf *, const struct message_access *,
    const char *time);
/* From the text of a LINE_RESULT: how long the request took. 0 or -1. */
int record_total_ms(struct span text, uint64_t *ms);

/* ---- files.c: the log files ---------------------------------------------------
 *
 * Named by what is in them: SPAN_NONE is access.log, a tenant's name is
 * tenants/NAME.log. Lines of one loop batch are written together. */

enum {
	FILES_OPEN_MOST = 64,	      /* descriptors; least recently used */
	FILES_PENDING = 256 * 1024,   /* bytes of a file before it is written
					 * in the middle of a batch */
	FILES_LINE_MOST = 512 * 1024, /* 64 KiB of line, each byte escaped */
};

struct files; /* opaque */

enum files_make { FILES_MAKE, FILES_IF_THERE };

/* directory_fd stays the caller's. on_written is called after lines went to a
 * file. Fatal when `tenants` cannot be made. */
struct files *files_new(int directory_fd,
    void (*on_written)(void *arg, struct span name), void *arg);
void files_free(struct files **); /* flushes */
void files_limits_set(struct files *, uint64_t size, uint64_t keep);

/* Appends one line with its end. 0; -1 when there is no such file (IF_THERE),
 * the name is none, or the machine refused (counted, said once). */
int files_put(struct files *, struct span name, struct span line,
    enum files_make);
void files_flush(struct files *);
void files_reopen(struct files *); /* flushes, closes all */

/* A name that is safe in a path: letters, digits, '_', '-', '.', not first. */
bool files_name_good(struct span name);

/* For reading: age 0 is the file that grows, 1 the one before. -1 with errno. */
int files_open(const struct files *, struct span name, unsigned age);
/* The age of an open file by its identity, or -1 when it is none of them. */
int files_age(const struct files *, struct span name, int fd);
/* Is it the one our lines of that name go to, whatever its name is by now? */
bool files_grows(const struct files *, struct span name, int fd);
/* Where one goes on who has read to the end of a file that is none of them any
 * more: the age of the oldest that is newer, or -1 when there is none yet.
 * *lost: rotation went over it, so there may have been others in between. */
int files_after(const struct files *, struct span name, int fd, bool *lost);

/* ---- drain.c: stderr pipes ----------------------------------------------------- */

enum {
	DRAIN_READ = 8 * 1024,	   /* bytes of a pipe at once, */
	DRAIN_COUNTED = 64 * 1024, /* ... when they are only counted */
	DRAIN_WORK = 64 * 1024,	   /* a tenant's in one turn: bytes that are
				     * written and a part of those read */
	DRAIN_CHEAPER = 4,	   /* so much cheaper is reading */
	DRAIN_SECOND_MS = 1000,
	DRAIN_HOLD_MS = 2000, /* a request's result waits so long for the end
				 * of its stderr, so that it is the last line */
};

struct drains; /* opaque */

struct drains *drains_new(struct loop *, struct files *);
void drains_free(struct drains **); /* writes what is held */
/* rate: bytes of a tenant that are kept a second. */
void drains_limits_set(struct drains *, size_t line, uint64_t stderr_most,
    uint64_t rate);
/* Reads what is ready: at the end of each batch, before files_flush(). */
void drains_turn(struct drains *);
/* Takes *fd. */
void drains_add(struct drains *, const struct message_stderr *, int *fd);
/* A record has come: its result line goes to the tenant's log, now or when its
 * stderr has ended; on_result is told then. */
void drains_result(struct drains *, const struct message_access *);
void drains_on_result(struct drains *,
    void (*)(void *arg, struct span request, struct span tenant,
	struct span line, bool in_file),
    void *arg);
bool drains_empty(const struct drains *);
/* Calls back whenever no pipe is left. */
void drains_on_empty(struct drains *, void (*)(void *arg), void *arg);

/* ---- tail.c: `fcgi-hostctl logs` -------------------------------------------------
 *
 * A listener reads the files at its own pace, so nothing is queued for it. */

enum {
	TAIL_MOST = 32,			  /* listeners */
	TAIL_OTHERS_MOST = 24,		  /* of them not root's */
	TAIL_USER_MOST = 8,		  /* of one user but root */
	TAIL_CHUNK = 320 * 1024,	  /* read at once; a line is shorter */
	TAIL_BACK_MOST = 4 * 1024 * 1024, /* how far back to look for a
					 * request that may not be over */
	TAIL_RECENT = 256,		  /* results kept that are in no file */
	TAIL_RECENT_LINE = 2048,	  /* longest of those */
	TAIL_WAIT_MS = 3000,   /* for a request nothing is known of */
	TAIL_STUCK_MS = 30000, /* a listener that takes nothing */
};

struct tails; /* opaque */

struct tails *tails_new(struct loop *, struct files *);
void tails_free(struct tails **); /* tells the listeners */
/* Takes *fd, a control connection. With a call, `follow` means: until that
 * request is over; without, what is in the log now. */
void tails_add(struct tails *, const struct message_tail *, int *fd);
void tails_written(struct tails *, struct span name); /* more to read */
void tails_result(struct tails *, struct span request, struct span tenant,
    struct span line, bool in_file);

/* Counts line ends from the back. Where the text behind the one begins that
 * took *left to 0; -1 when there are not so many, *left being those that are
 * missing. Pure. */
ptrdiff_t tail_back(struct span bytes, uint64_t *left);

#endif
