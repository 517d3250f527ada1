/* SPDX-License-Identifier: MIT */
/* lock.c - work that must not be done by two at once, with a lock that is safe
 * even when its holder stalls: who has it writes with its version (the fencing
 * token) as a check, so a holder whose time ran out cannot write any more.
 *   curl '127.0.0.1:8080/fn/demo/lock?work=1500' */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fn.h>

#define LOCK "lock/holder"
#define DONE "lock/done"

enum {
	HOLD_S = 5,	     /* then it is free again, come what may */
	WORK_MOST_MS = 8000, /* which shows what happens beyond that */
	WAIT_S = 2,	     /* for the holder, at once */
	WAITS_MOST = 4,
};

static enum fn_result lock_take(const char *who, uint64_t *token);
static enum fn_result work(unsigned ms, uint64_t token, int64_t *times);
static unsigned work_ms(struct fn_request *);
static int answer(struct fn_reply *, unsigned status, const char *words);

int
fn_handle(struct fn_request *request, struct fn_reply *reply)
{
	uint64_t token = 0;
	int64_t times = 0;
	enum fn_result result = lock_take(fn_request_id(request), &token);

	if (result == FN_CONFLICT)
		return answer(reply, 423,
		    "somebody else is at it; try again later");
	if (result != FN_OK)
		return answer(reply, 503, "cannot lock right now");
	result = work(work_ms(request), token, &times);
	if (result == FN_CONFLICT)
		return answer(reply, 409,
		    "it took too long: the lock was gone, and nothing was "
		    "written");
	fn_state_delete(LOCK, token); /* it is still ours */
	if (result != FN_OK)
		return answer(reply, 503, "cannot write right now");
	fn_reply_header(reply, "Cache-Control", "no-store");
	fn_reply_printf(reply,
	    "done with token %" PRIu64 ", %" PRId64 " times in all\n", token,
	    times);
	return 0;
}

/* FN_CONFLICT: somebody else has it still. */
static enum fn_result
lock_take(const char *who, uint64_t *token)
{
	const struct fn_put how = { .if_absent = true, .ttl_s = HOLD_S };
	struct fn_value holder;
	enum fn_result result = FN_CONFLICT;

	for (int i = 0; i < WAITS_MOST && result == FN_CONFLICT; i++) {
		result = fn_state_put(LOCK, who, strlen(who), &how, token);
		if (result != FN_CONFLICT)
			break;
		if (fn_state_get(LOCK, &holder) == FN_OK) {
			uint64_t since = holder.version;

			fn_value_free(&holder);
			fn_state_wait(LOCK, since, WAIT_S, &holder);
			fn_value_free(&holder);
		}
	}
	return result;
}

/* What is guarded: written only while the lock still has our version. */
static enum fn_result
work(unsigned ms, uint64_t token, int64_t *times)
{
	const struct fn_check ours = { LOCK, token };
	struct fn_op count = { .kind = FN_SUM, .key = DONE, .by = 1 };
	const struct timespec pause = { ms / 1000,
		(long)(ms % 1000) * 1000000 };
	enum fn_result result;

	nanosleep(&pause, NULL);
	result = fn_state_atomic(&ours, 1, &count, 1, NULL);
	*times = count.value;
	return result;
}

static unsigned
work_ms(struct fn_request *request)
{
	const char *work = fn_request_query(request, "work");
	unsigned long ms = work ? strtoul(work, NULL, 10) : 0;

	return ms < WORK_MOST_MS ? (unsigned)ms : WORK_MOST_MS;
}

static int
answer(struct fn_reply *reply, unsigned status, const char *words)
{
	fn_log("%s: %s", words, fn_problem());
	fn_reply_problem(reply, status, "%s", words);
	fn_reply_header(reply, "Retry-After", "1");
	return 0;
}
