/* SPDX-License-Identifier: MIT */
/* control.h - the control socket: who calls, what he may, and what he gets.
 * Knows verbs, callers and answers; knows nothing of requests, cells or
 * channels: what the gateway has to do for a verb it does through the hooks.
 * The answer to `status` is one JSON object, to `list` one a line; fcgi-hostctl
 * makes words of them. The others are words. */
#ifndef GATEWAY_CONTROL_H
#define GATEWAY_CONTROL_H

#include <sys/types.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/loop.h"
#include "ipc/message.h"

enum {
	CONTROL_CALLERS_MOST = 64,  /* connections at once */
	CONTROL_OTHERS_MOST = 32,   /* of them from who is no operator */
	CONTROL_USER_MOST = 8,	    /* of one such user */
	CONTROL_SPEAK_MS = 5000,    /* to say what is wanted; to take the
					 * rest of the answer */
	CONTROL_ASK_MS = 30000,	    /* for each answer of a hook */
	CONTROL_LATE_MS = 250,	    /* ... until the next tenant of all is
				     * listed, and */
	CONTROL_LAST_MS = 2000,	    /* ... behind the last, for those that are
				     * late */
	CONTROL_LATE_MOST = 4096,   /* of one caller; then he waits */
	CONTROL_GROUPS_MOST = 1024, /* of one caller; more are not looked at */
};

/* ask numbers of control have this bit, so that they may share a channel with
 * the gateway's own. */
#define CONTROL_ASK_BIT (UINT64_C(1) << 63)

struct control;	      /* opaque */
struct control_facts; /* opaque: what `status` has collected so far */

/* Who is at the other end, as the kernel says. */
struct control_caller {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary; ours */
	size_t group_count;
};

/* Who counts as an operator beside root. (uid_t)-1 and (gid_t)-1: nobody. */
struct control_operators {
	uid_t uid;   /* the host's own user */
	gid_t group; /* operator_group */
};

/* May this caller use a verb of this right on a tenant of that user? Pure.
 * tenant_uid is (uid_t)-1 when the verb names no tenant, or one there is not:
 * then only an operator may. */
bool control_may(enum verb_right, const struct control_caller *,
    const struct control_operators *, uid_t tenant_uid);

/* Processes of a function that serve many requests. */
struct control_workers {
	uint64_t all;	       /* that have not ended */
	uint64_t ready;	       /* ... and wait for a request */
	uint64_t spare;	       /* so many are to be kept ahead, */
	uint64_t spare_short;  /* ... and that lacks, because of */
	char spare_limit[128]; /* "tenant.spare = 8": others have the rest */
	char template[160];    /* what there is to fork from, in words */
};

/* What control needs of the gateway. All are called from the loop; none may
 * free control. Those with an `ask` return 0 and are answered later, or within
 * the call, by the function named, or by control_refused(); -1 is "not now"
 * (the channel to who would know is down). */
struct control_hooks {
	/* Calls control_fact_...() for everything it can say. */
	void (*status)(void *arg, struct control_facts *);
	int (*master_status_ask)(void *arg, uint64_t ask);
	/* control_master_said() */
	int (*reload)(void *arg, uint64_t ask); /* control_master_said() */
	/* Resumes it when it is not to be suspended. control_master_said() */
	int (*suspend)(void *arg, uint64_t ask, struct span tenant,
	    bool suspended, bool now, struct span reason);
	/* Why nothing of it is run; the absent span when it is served. NULL:
	 * all are. */
	struct span (*suspended)(void *arg, struct span tenant);
	/* The plan it has, or an empty span. NULL: there are none. */
	struct span (*plan_of)(void *arg, struct span tenant);
	/* The workers it has now. NULL: nobody has any. */
	void (*workers)(void *arg, struct span tenant, struct span function,
	    struct control_workers *);
	/* Adds why its processes are made as they are; `start` is what its
	 * settings say, empty: it cannot be forked. NULL: nobody knows. */
	void (*explain)(void *arg, struct span tenant, struct span function,
	    struct span start, json_t *row);
	int (*tenants_ask)(void *arg, uint64_t ask, struct span after);
	/* control_tenants() */
	/* Is there such a tenant, and whose is it? Makes its cell. */
	int (*tenant_ask)(void *arg, uint64_t ask, struct span tenant);
	/* control_tenant() */
	/* Makes its cell too, which may end as soon as it has answered when
	 * no request needs it: all tenants may be listed, one by one. */
	int (*list_ask)(void *arg, uint64_t ask, struct span tenant);
	/* control_listed() */
	int (*plan_ask)(void *arg, uint64_t ask, struct span tenant);
	/* control_plan() */
	/* Faults of a tenant, or with an empty name of all, will be asked for.
	 * Appends since when they are counted, as a JSON object and line end,
	 * and for all the names of those that have any, each with NUL. 0, or
	 * -1 when there is no memory. */
	int (*faults_begin)(void *arg, struct span tenant, struct buf *line,
	    struct buf *names);
	/* Appends those of a tenant, a JSON object a line. How many tenants that
	 * are, 0 or 1, or -1 when there is no memory. */
	int (*faults)(void *arg, struct span tenant, struct buf *);
	/* Adopts *fd as a front connection, kept for one request, whose path
	 * must lead to this tenant (403 if not); takes *fd whatever it
	 * returns. It is a connected AF_UNIX SOCK_STREAM socket, but its other
	 * holder may have kept a copy and change the flags of the open file:
	 * only MSG_DONTWAIT makes reading and writing not block. */
	int (*invoke)(void *arg, int *fd, struct span tenant,
	    struct span function);
	/* Passes a control connection to the log process; the descriptor stays
	 * control's, which closes it right afterwards. */
	int (*tail)(void *arg, int fd, const struct message_tail *);
	/* Passes a verb to the state process, with the control connection or
	 * what the caller brought; the descriptor stays control's, as above. */
	int (*state)(void *arg, int fd, const struct message_control_state *);
	/* Who is connected? NULL: control_caller_of(), the kernel's answer.
	 * Tests put somebody else here. */
	int (*caller)(int fd, struct control_caller *);
};

/* Serves `listener` (SOCK_SEQPACKET, stays the caller's). The hooks are
 * copied; arg is handed to each. */
struct control *control_new(struct loop *, int listener,
    const struct control_hooks *, void *arg);
void control_free(struct control **); /* NULL is harmless; ends all callers */

/* After each CONFIG. Without it root and nobody else is an operator. */
void control_operators_set(struct control *, struct control_operators);

/* Draining: no new callers; those that are there get their answer. */
void control_stop(struct control *);

int control_caller_of(int fd, struct control_caller *); /* 0 or -1 */
void control_caller_free(struct control_caller *);

/* Answers. Asks that are not known (the caller has gone, or time was up) are
 * ignored. Spans are borrowed for the call. */
void control_master_said(struct control *, uint64_t ask, bool failed,
    struct span text);
void control_tenants(struct control *, uint64_t ask, bool more,
    struct span names); /* each ends with NUL */
void control_tenant(struct control *, uint64_t ask, uid_t);
void control_listed(struct control *, uint64_t ask, bool more,
    struct span rows); /* as in LISTED */
void control_plan(struct control *, uint64_t ask, struct span text);
void control_refused(struct control *, uint64_t ask, struct span reason);

/* ---- control_facts.c: what `status` says ------------------------------------- */

struct control_facts *control_facts_new(void);
void control_facts_free(struct control_facts **); /* *facts may be NULL */
/* `section` is names separated by '/': "requests", "tenants/acme"; a name is
 * said once in its section. */
void control_fact_count(struct control_facts *, const char *section,
    const char *name, uint64_t);
void control_fact_text(struct control_facts *, const char *section,
    const char *name, struct span);
/* A line of master: "gateway.pid=311". */
void control_fact_line(struct control_facts *, struct span line);
/* As JSON, which the caller frees. NULL: no memory. */
char *control_facts_print(const struct control_facts *);

#endif
