/* SPDX-License-Identifier: MIT */
/* supervise.c - the table of state and event, one small function a cell.
 * Pure policy: children.c does as told. */

#include <assert.h>

#include "master/supervise.h"

typedef enum child_order cell_fn(struct supervise *, uint64_t now_ms);

static void move(struct supervise *, enum child_state, uint64_t now_ms,
    uint64_t timer_in_ms);
static uint64_t pause_ms(unsigned early_deaths);
static cell_fn start, ready, hung, broken, died_early, died_up, ended, drain,
    kill_now, drop, stuck;

/* clang-format off */
static cell_fn *const table[CHILD_STATES][CHILD_EVENTS] = {
	[CHILD_DOWN] = {
		[CHILD_WANTED] = start,
	},
	[CHILD_STARTING] = {
		[CHILD_READY] = ready,
		[CHILD_DIED] = died_early,
		[CHILD_BROKEN] = broken,
		[CHILD_TIMER] = hung,
		[CHILD_DRAIN] = drain,
		[CHILD_STOP] = kill_now,
	},
	[CHILD_UP] = {
		[CHILD_DIED] = died_up,
		[CHILD_BROKEN] = broken,
		[CHILD_DRAIN] = drain,
		[CHILD_STOP] = kill_now,
	},
	[CHILD_PAUSED] = {
		[CHILD_TIMER] = start,
		[CHILD_DRAIN] = ended,
		[CHILD_STOP] = ended,
	},
	[CHILD_KILLED] = {
		[CHILD_DIED] = died_early,
		[CHILD_TIMER] = stuck,
		[CHILD_DRAIN] = drop,
		[CHILD_STOP] = drop,
	},
	[CHILD_DRAINING] = {
		[CHILD_DIED] = ended,
		[CHILD_BROKEN] = kill_now,
		[CHILD_TIMER] = kill_now,
		[CHILD_STOP] = kill_now,
	},
	[CHILD_ENDING] = {
		[CHILD_DIED] = ended,
		[CHILD_TIMER] = stuck,
	},
};
/* clang-format on */

enum child_order
supervise(struct supervise *s, enum child_event event, uint64_t now_ms)
{
	enum child_order order = CHILD_NOTHING;

	assert(event < CHILD_EVENTS);
	supervise_check(s);
	if (table[s->state][event])
		order = table[s->state][event](s, now_ms);
	supervise_check(s);
	return order;
}

bool
supervise_has_process(const struct supervise *s)
{
	return s->state != CHILD_DOWN && s->state != CHILD_PAUSED;
}

void
supervise_check(const struct supervise *s)
{
	bool quiet = s->state == CHILD_DOWN || s->state == CHILD_UP;

	assert(s->state < CHILD_STATES);
	assert(quiet == (s->timer_ms == 0));
	assert(s->state != CHILD_UP || s->ready_once);
	assert(s->state == CHILD_DOWN || s->started_once);
}

const char *
child_state_name(enum child_state state)
{
	static const char *const names[CHILD_STATES] = {
		[CHILD_DOWN] = "down",
		[CHILD_STARTING] = "starting",
		[CHILD_UP] = "up",
		[CHILD_PAUSED] = "paused",
		[CHILD_KILLED] = "killed",
		[CHILD_DRAINING] = "draining",
		[CHILD_ENDING] = "ending",
	};

	assert(state < CHILD_STATES);
	return names[state];
}

static void
move(struct supervise *s, enum child_state to, uint64_t now_ms,
    uint64_t timer_in_ms)
{
	s->state = to;
	s->since_ms = now_ms;
	/* a clock that stands at 0 must not read as "no timer" */
	s->timer_ms = timer_in_ms ? now_ms + timer_in_ms : 0;
}

static enum child_order
start(struct supervise *s, uint64_t now_ms)
{
	s->restarts += s->started_once;
	s->started_once = true;
	move(s, CHILD_STARTING, now_ms, SUPERVISE_READY_MS);
	return CHILD_START;
}

static enum child_order
ready(struct supervise *s, uint64_t now_ms)
{
	s->ready_once = true;
	move(s, CHILD_UP, now_ms, 0);
	return CHILD_SAY_READY;
}

static enum child_order
hung(struct supervise *s, uint64_t now_ms)
{
	move(s, CHILD_KILLED, now_ms, SUPERVISE_REAP_MS);
	return CHILD_KILL;
}

/* One that served for a while starts again at once, like one that died. */
static enum child_order
broken(struct supervise *s, uint64_t now_ms)
{
	if (s->state == CHILD_UP && now_ms - s->since_ms >= SUPERVISE_EARLY_MS)
		s->early_deaths = 0;
	return hung(s, now_ms);
}

/* The first early death may be chance and costs no pause: service is to be
 * back within a second after any one kill. */
static enum child_order
died_early(struct supervise *s, uint64_t now_ms)
{
	s->early_deaths++;
	if (!s->ready_once && s->early_deaths >= SUPERVISE_GIVE_UP) {
		move(s, CHILD_DOWN, now_ms, 0);
		return CHILD_GIVE_UP;
	}
	if (s->early_deaths == 1)
		return start(s, now_ms);
	move(s, CHILD_PAUSED, now_ms, pause_ms(s->early_deaths));
	return CHILD_NOTHING;
}

static enum child_order
died_up(struct supervise *s, uint64_t now_ms)
{
	if (now_ms - s->since_ms < SUPERVISE_EARLY_MS)
		return died_early(s, now_ms);
	s->early_deaths = 0;
	return start(s, now_ms);
}

static enum child_order
ended(struct supervise *s, uint64_t now_ms)
{
	move(s, CHILD_DOWN, now_ms, 0);
	return CHILD_SAY_GONE;
}

/* One more millisecond, so that a drain of 0 is a timer as well. */
static enum child_order
drain(struct supervise *s, uint64_t now_ms)
{
	move(s, CHILD_DRAINING, now_ms, s->drain_ms + 1);
	return CHILD_SEND_DRAIN;
}

static enum child_order
kill_now(struct supervise *s, uint64_t now_ms)
{
	move(s, CHILD_ENDING, now_ms, SUPERVISE_REAP_MS);
	return CHILD_KILL;
}

static enum child_order
drop(struct supervise *s, uint64_t now_ms)
{
	move(s, CHILD_ENDING, now_ms, SUPERVISE_REAP_MS);
	return CHILD_NOTHING;
}

static enum child_order
stuck(struct supervise *s, uint64_t now_ms)
{
	move(s, s->state, now_ms, SUPERVISE_REAP_MS);
	return CHILD_SAY_STUCK;
}

static uint64_t
pause_ms(unsigned early_deaths)
{
	uint64_t pause = SUPERVISE_PAUSE_MS;

	while (early_deaths-- > 2 && pause < SUPERVISE_PAUSE_MOST_MS)
		pause *= 2;
	return pause < SUPERVISE_PAUSE_MOST_MS ? pause :
						 SUPERVISE_PAUSE_MOST_MS;
}
