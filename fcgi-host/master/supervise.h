/* SPDX-License-Identifier: MIT */
/* supervise.h - when a child of master is started, given up on and killed: a
 * table of state and event. Pure: no process, no clock of its own; the caller
 * tells what happened and does what it is told. */
#ifndef MASTER_SUPERVISE_H
#define MASTER_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	SUPERVISE_READY_MS = 10000, /* a child not READY by then is hung */
	SUPERVISE_EARLY_MS = 1000,  /* death sooner after READY is early */
	SUPERVISE_PAUSE_MS = 100,   /* behind the second early death */
	SUPERVISE_PAUSE_MOST_MS =
	    4000,		  /* each early death doubles it to this */
	SUPERVISE_GIVE_UP = 5,	  /* early deaths in a row, when the child
					 * has never been READY: it cannot be */
	SUPERVISE_REAP_MS = 5000, /* a killed process is gone by then, or
					 * the kernel holds it: say so */
};

enum child_state {
	CHILD_DOWN,	/* not there and not wanted */
	CHILD_STARTING, /* its process is there, READY has not come */
	CHILD_UP,	/* serves */
	CHILD_PAUSED,	/* died early: not there until the timer */
	CHILD_KILLED,	/* hung: SIGKILL is sent, it will be replaced */
	CHILD_DRAINING, /* finishes what it has, then ends */
	CHILD_ENDING,	/* SIGKILL is sent, it will not be replaced */
	CHILD_STATES
};
const char *child_state_name(enum child_state); /* "up" */

enum child_event {
	CHILD_WANTED, /* the host starts */
	CHILD_READY,
	CHILD_DIED,   /* reaped, or could not be started */
	CHILD_BROKEN, /* it closed its channel or broke its rules */
	CHILD_TIMER,  /* timer_ms has come */
	CHILD_DRAIN,  /* the host stops */
	CHILD_STOP,   /* the host stops at once */
	CHILD_EVENTS
};

enum child_order { /* what the caller does now */
	CHILD_NOTHING,
	CHILD_START, /* make its process; CHILD_DIED if that fails */
	CHILD_KILL,  /* SIGKILL */
	CHILD_SEND_DRAIN,
	CHILD_SAY_READY,
	CHILD_SAY_STUCK, /* it does not even die; keep waiting */
	CHILD_SAY_GONE,	 /* down for good, as wanted */
	CHILD_GIVE_UP,	 /* it cannot start here: the host cannot */
};

/*   DOWN --WANTED--> STARTING --READY--> UP
 *    ^               |  ^   |            |
 *    |             DIED |  TIMER,BROKEN  |BROKEN     DIED in UP after a
 *    |               v  |   v            v           second: STARTING at
 *    |            PAUSED|  KILLED <------+           once; else PAUSED
 *    |               |  |   |DIED: like PAUSED
 *    |               +--+<--+
 *    |
 *    +--DIED-- DRAINING <--DRAIN-- STARTING, UP     DOWN <--DRAIN-- PAUSED
 *    |            |TIMER
 *    +--DIED--  ENDING  <--STOP--- any with a process
 *
 * In STARTING, KILLED, PAUSED, DRAINING and ENDING a timer runs; in DOWN and
 * UP none does. */
struct supervise {
	enum child_state state;
	uint64_t since_ms; /* in this state */
	uint64_t timer_ms; /* when CHILD_TIMER is due; 0: none */
	uint64_t drain_ms; /* how long DRAINING may last; set by the owner */
	unsigned early_deaths; /* in a row */
	unsigned restarts;     /* processes made after the first */
	bool started_once;
	bool ready_once;
};

/* The one way to change state. Returns what is to be done now. An event that
 * has no place in a state (a late READY, a second DRAIN) changes nothing. */
enum child_order supervise(struct supervise *, enum child_event,
    uint64_t now_ms);

bool supervise_has_process(const struct supervise *);

/* Aborts unless the state keeps its promises. */
void supervise_check(const struct supervise *);

#endif
