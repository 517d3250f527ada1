/* SPDX-License-Identifier: MIT */
/* ratelimit.c - five requests in ten seconds for each client, then 429 with the
 * seconds to wait. The counter is made with a time to live, so that it clears
 * itself; its upper bound is checked where it is counted.
 *   for i in 1 2 3 4 5 6; do curl -i 127.0.0.1:8080/fn/demo/ratelimit; done */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <fn.h>

enum { REQUESTS = 5, WINDOW_S = 10 };

static int64_t seconds_left(const char *key);

int
fn_handle(struct fn_request *request, struct fn_reply *reply)
{
	const int64_t most = REQUESTS;
	const struct fn_incr how = { .max = &most, .ttl_s = WINDOW_S };
	char key[128];
	int64_t used;

	snprintf(key, sizeof(key), "ratelimit/%s", fn_request_address(request));
	switch (fn_state_incr(key, 1, &how, &used)) {
	case FN_OK:
		fn_reply_header(reply, "Cache-Control", "no-store");
		fn_reply_printf(reply,
		    "request %" PRId64 " of %d in %d seconds\n", used, REQUESTS,
		    WINDOW_S);
		return 0;
	case FN_RANGE:
		fn_reply_problem(reply, 429,
		    "too many requests; come again later");
		fn_reply_header(reply, "Retry-After", "%" PRId64,
		    seconds_left(key));
		return 0;
	default:
		fn_log("%s", fn_problem());
		fn_reply_problem(reply, 503, "cannot count right now");
		return 0;
	}
}

/* At least 1: it may be gone by now. */
static int64_t
seconds_left(const char *key)
{
	struct fn_value value;
	int64_t left = 0;

	if (fn_state_get(key, &value) == FN_OK)
		left = value.expires_s - (int64_t)time(NULL);
	fn_value_free(&value);
	return left > 0 && left <= WINDOW_S ? left : 1;
}
