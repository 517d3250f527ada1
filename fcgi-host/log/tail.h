/* SPDX-License-Identifier: MIT */
/* tail.h - who asked for logs, between tail.c (their life, and what they are
 * sent) and tail_find.c (where that begins). Private to them. */
#ifndef LOG_TAIL_H
#define LOG_TAIL_H

#include "log/log.h"

enum { ID_MOST = 128 };

enum tail_state {
	TAIL_FINDING,
	TAIL_READING,
	TAIL_WAITING,
	TAIL_ENDING,
	TAIL_GONE,
};

struct place {
	int fd; /* ours; -1: there is no such file yet */
	uint64_t offset;
};

struct tail {
	struct list node;  /* in tails.list until GONE */
	struct tails *all; /* borrowed, outlives us */
	enum tail_state state;
	struct watch watch;
	struct timer step;  /* armed: there is something to do */
	struct timer limit; /* READING, ENDING: it takes nothing;
				 * WAITING: nothing is known of the call */
	struct deferred freed;
	int fd; /* the listener, ours */
	uid_t uid;

	char tenant[LINE_NAME_MOST];
	size_t tenant_bytes; /* 0: access.log */
	char call[ID_MOST];  /* a string; "": every line */
	bool follow;

	uint64_t left;	   /* FINDING: line ends still to be passed */
	struct place find; /* FINDING: what is not looked at ends here */
	uint64_t looked_bytes;
	uint64_t since_ms;    /* older lines are of other requests; 0: not
				 * known */
	bool here;	      /* `start` is in the file of `find` */
	struct place start;   /* where READING goes on */
	uint64_t known_by_ms; /* a line of the call must be seen */
	bool seen;	      /* it was */
	bool over;	      /* its last line */

	struct buf out; /* read, not sent */
	bool failed;
	char reason[256]; /* for CONTROL_END: why, or a remark */
};

struct recent { /* a result that is in no file */
	char call[ID_MOST];
	char tenant[LINE_NAME_MOST];
	char line[TAIL_RECENT_LINE];
};

struct tails {
	struct loop *loop;   /* borrowed */
	struct files *files; /* borrowed */
	struct list list;
	char *chunk;			    /* TAIL_CHUNK bytes */
	struct recent *recent[TAIL_RECENT]; /* a ring, ours */
	size_t recent_next;
};

/* ---- tail.c ---------------------------------------------------------------- */

void tail_move(struct tail *, enum tail_state);
void tail_begin(struct tail *);
void tail_at_end(struct tail *);
void tail_end(struct tail *, const char *reason);
void tail_soon(struct tail *);
struct span tail_name(const struct tail *);
const struct recent *recent_find(const struct tails *, const struct tail *);

/* ---- tail_find.c ----------------------------------------------------------- */

/* One chunk further back: moves on when it is found, or there is no more. */
void tail_find(struct tail *);
/* Is this line of the call? */
bool tail_is_of_call(struct tail *, struct span text);
void tail_found_tenant(struct tail *, struct span json);

#endif
