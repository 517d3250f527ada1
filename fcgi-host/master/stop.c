/* SPDX-License-Identifier: MIT */
/* stop.c - the end of the host, in order: the gateway finishes what it has,
 * then cells end because their gateway is gone, while state commits and log
 * writes the rest. */

#include <stdlib.h>

#include "base/diag.h"

#include "master/master.h"

enum {
	CELLS_END_MS = 1000, /* cells end by themselves; then are killed */
	LAST_MS = 10000,     /* what is not dead by then is the kernel's */
};

static void stop_gateway(struct master *);
static void stop_rest(struct master *);
static void stop_all_now(struct master *);
static void stop_late(void *arg);
static bool all_down(struct master *);

void
stop_init(struct master *m)
{
	timer_init(&m->stop_timer, stop_late, m);
}

void
stop_asked(struct master *m)
{
	if (m->stop == STOP_SERVING) {
		diag_info("stopping: requests may finish for %llu ms; a "
			  "second signal ends them",
		    (unsigned long long)m->config->drain);
		notify("STOPPING=1");
		stop_gateway(m);
	} else {
		diag_warn("stopping now");
		stop_all_now(m);
	}
	stop_step(m);
}

void
stop_failed(struct master *m)
{
	m->exit_status = EXIT_FAILURE;
	stop_all_now(m);
	stop_step(m);
}

void
stop_step(struct master *m)
{
	const struct child *gateway = &m->children[CHILD_GATEWAY];

	if (m->stop == STOP_GATEWAY &&
	    !supervise_has_process(&gateway->supervise))
		stop_rest(m);
	if (m->stop >= STOP_REST && all_down(m))
		loop_stop(m->loop);
}

static void
stop_gateway(struct master *m)
{
	m->stop = STOP_GATEWAY;
	children_tell(&m->children[CHILD_GATEWAY], CHILD_DRAIN);
}

static void
stop_rest(struct master *m)
{
	m->stop = STOP_REST;
	loop_timer_set(m->loop, &m->stop_timer,
	    loop_now_ms(m->loop) + CELLS_END_MS);
	children_tell(&m->children[CHILD_STATE], CHILD_DRAIN);
	children_tell(&m->children[CHILD_LOG], CHILD_DRAIN);
}

static void
stop_all_now(struct master *m)
{
	m->stop = STOP_KILLED;
	loop_timer_set(m->loop, &m->stop_timer, loop_now_ms(m->loop) + LAST_MS);
	for (int kind = 0; kind < CHILD_KINDS; kind++)
		children_tell(&m->children[kind], CHILD_STOP);
	cells_kill_all(m);
}

/* First what did not end by itself is killed (log is under a timer of its
 * own); what does not even die then waits in the kernel, and we need not. */
static void
stop_late(void *arg)
{
	struct master *m = arg;

	if (m->stop == STOP_REST) {
		m->stop = STOP_KILLED;
		loop_timer_set(m->loop, &m->stop_timer,
		    loop_now_ms(m->loop) + LAST_MS);
		if (cells_count(m) > 0)
			diag_warn("%zu cells did not end by themselves and "
				  "are killed",
			    cells_count(m));
		cells_kill_all(m);
		return;
	}
	diag_error("some processes do not die, the kernel holds them; ending "
		   "without them");
	m->exit_status = EXIT_FAILURE;
	loop_stop(m->loop);
}

static bool
all_down(struct master *m)
{
	return children_all(m, CHILD_DOWN) && cells_count(m) == 0 &&
	    !cells_kill_strays(m);
}
