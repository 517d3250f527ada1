/* SPDX-License-Identifier: MIT */
/* ctl.h - fcgi-hostctl: one file a verb, what they share, and the table of
 * them. Runs as whoever calls it and has no right of its own: the host decides
 * by the caller's user. On stdout is only what was asked for. */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdio.h>

#include "base/buf.h"
#include "base/span.h"
#include "ipc/message.h"
#include "wire/cgi_head.h"

enum { CTL_FAILED = 1, CTL_USAGE = 2 }; /* exit statuses beside 0 */

/* ---- main.c: verbs -------------------------------------------------------- */

struct ctl {
	const char *run; /* directory of the host's sockets */
	bool json;
};

struct command {
	const struct argument *arguments; /* of its own, ends with {} */
	int operands_least;
	int operands_most;
	const char *text; /* paragraphs and examples for --help */
	int (*run)(const struct ctl *, int count, char **operands);
};

/* ---- one file each ------------------------------------------------------------ */

extern const struct command command_status;
extern const struct command command_list;
extern const struct command command_faults;
extern const struct command command_logs;
extern const struct command command_explain;
extern const struct command command_invoke;
extern const struct command command_plan;
extern const struct command command_state;
extern const struct command command_suspend;
extern const struct command command_resume;
extern const struct command command_reload;
extern const struct command command_check;
extern const struct command command_put;
extern const struct command command_token;

/* ---- arguments.c: options -------------------------------------------------------- */

enum argument_kind {
	ARGUMENT_FLAG,	/* bool */
	ARGUMENT_TEXT,	/* const char * */
	ARGUMENT_COUNT, /* uint32_t */
	ARGUMENT_LIST,	/* struct argument_list */
};

enum { ARGUMENT_LIST_MOST = 128 };

struct argument_list {
	const char *items[ARGUMENT_LIST_MOST];
	size_t count;
};

struct argument {
	char letter;	  /* 0: none */
	const char *name; /* NULL: none */
	enum argument_kind kind;
	void *to;
	const char *takes; /* what its value is called, NULL for flags */
	const char *sentence;
};

/* Reads options of either table (each ends with an entry without letter and
 * name) up to the first operand (in_order), or wherever they stand. Operands
 * are moved behind them; returns the index of the first, or -1 when it said
 * what is wrong. `verb` is for that, NULL before one is known. */
int arguments_read(const char *verb, const struct argument *,
    const struct argument *more, bool in_order, int argc, char **argv);
void arguments_print(FILE *, const struct argument *);
/* Words for wrong usage, on stderr; returns CTL_USAGE. */
int usage(const char *verb, const char *, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- host.c: asking the host ---------------------------------------------------- */

enum { HOST_REASON = 1024 };

struct question {
	struct message_control control;
	int fd;				     /* passed along; -1 */
	void (*out)(void *arg, struct span); /* the answer, in parts */
	void *arg;
	int unread_ms;	 /* until the gateway has at least read it */
	int wait_ms;	 /* then for each part; -1: as long as it takes */
	const char *who; /* answers, for when he does not */
	char reason[HOST_REASON]; /* why it failed, or a remark, or "" */
};

/* A question of that verb with nothing in it; the answer goes to stdout. */
struct question question_of(enum verb);
/* The answer goes there; one that is longer than its ceiling ends us. */
void question_collects(struct question *, struct buf *);
/* The same for bytes that came otherwise: into a struct buf. */
void host_collect(void *arg, struct span);
/* 0, or CTL_FAILED with the reason; nothing is said. */
int host_ask(const struct ctl *, struct question *);
/* Says the reason on stderr, or what the host remarks on an answer; returns the
 * result. */
int host_say(const struct question *, int result);
/* Both. */
int host_ask_loudly(const struct ctl *, struct question *);
/* Says on stderr why the host refuses that function, if it answers and does. */
void list_warn(const struct ctl *, const char *tenant, struct span function);
/* How many functions are refused for this file of the tenant, and why. */
void list_warn_of(const struct ctl *, const char *tenant, struct span file);
/* The host's functions directory, which the caller frees; NULL with the reason
 * in a buffer of HOST_REASON bytes. */
char *host_functions(const struct ctl *, char *reason);
/* Where a tenant's directory stands: the directory that root has made, and the
 * way from there, both the caller's to free: "/srv/functions" and "acme", or
 * "/home" and "bob/functions". functions: NULL, or in place of what the host
 * says. CTL_FAILED with the reason. */
int host_place(const struct ctl *, const char *functions, const char *tenant,
    char **base, char **below, char *reason);

/* A tenant of the form it must have, or words on stderr and CTL_USAGE. */
int tenant_check(const char *verb, const char *tenant);

/* ---- answer.c: answers that are read before they are shown ------------------------- */

struct json_t;
/* One JSON object, or one a line; the caller's. NULL with the reason in the
 * question; nothing is said. */
struct json_t *answer_object(const struct ctl *, struct question *);
struct json_t *answer_rows(const struct ctl *, struct question *);
/* A member that is text; "" when it is not. */
const char *answer_text(const struct json_t *, const char *name);

/* ---- words.c: text for people ----------------------------------------------------- */

/* As it is, but what a terminal would obey as \xNN; line ends and tabs stay.
 * For text that comes from tenants. */
void words_put(FILE *, struct span);
/* For a name or reason that is a part of a line: line ends and tabs as well. */
void words_put_line(FILE *, struct span);
/* The reply of --json, with a line end. Takes json_t *. */
int words_json(struct json_t *);

/* ---- fastcgi.c: one request, spoken by us ------------------------------------------ */

struct exchange {
	int fd;		    /* ours */
	struct span params; /* encoded */
	struct span body;
	/* What comes back, as it comes. A sentence ends it. */
	const char *(*on_stdout)(void *arg, struct span);
	void (*on_stderr)(void *arg, struct span);
	void *arg;
	uint32_t app_status; /* of END_REQUEST */
};

/* Speaks until END_REQUEST: 0, or -1 with `reason` (a sentence). Who leaves
 * unread for five seconds what we wrote does not answer. */
int exchange_run(struct exchange *, const char **reason);
/* The same on a connection that the host makes for this question; x->fd is ours
 * to close afterwards. 0, or CTL_FAILED with the reason said. */
int exchange_ask(const struct ctl *, struct question *, struct exchange *);

enum { REPLY_HEAD_MOST = CGI_HEAD_MOST + 65536 }; /* and what came with it */

struct reply_head {
	struct buf bytes; /* ours, until it is complete and beyond */
	size_t scanned;
	bool parsed;
	struct cgi_head cgi; /* points into bytes */
};

void reply_head_init(struct reply_head *);
void reply_head_free(struct reply_head *);
/* Takes bytes of the reply until its header is parsed; *body is what is behind it
 * from then on, else empty. NULL, or a sentence. */
const char *reply_head_take(struct reply_head *, struct span bytes,
    struct span *body);

#endif
