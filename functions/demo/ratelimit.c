/* SPDX-License-Identifier: MIT */
/* ratelimit.c - five requests in ten seconds for each client, then 429 with the
 * seconds to wait. The counter is made with a time to live, so that it clears
 * itself; its upper bound is checked where it is counted.
 *   for i in 1 2 3 4 5 6; do curl -i 127.0.0.1:8080/fn/demo/ratelimit; done */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <fn.h>

enum { REQUESTS = 5, WINDOW_S = 10 };

static int64_t seconds_left(const char *key);

int
main(void)
{
	const char *client = getenv("REMOTE_ADDR");
	const int64_t most = REQUESTS;
	const struct fn_incr how = { .max = &most, .ttl_s = WINDOW_S };
	char key[128];
	int64_t used;

	snprintf(key, sizeof(key), "ratelimit/%s", client ? client : "nobody");
	switch (fn_state_incr(key, 1, &how, &used)) {
	case FN_OK:
		printf("Content-Type: text/plain\nCache-Control: no-store\n\n"
		       "request %" PRId64 " of %d in %d seconds\n",
		    used, REQUESTS, WINDOW_S);
		return EXIT_SUCCESS;
	case FN_RANGE:
		printf("Status: 429\nContent-Type: text/plain\n"
		       "Retry-After: %" PRId64 "\n\n"
		       "too many requests; come again later\n",
		    seconds_left(key));
		return EXIT_SUCCESS;
	default:
		fprintf(stderr, "%s\n", fn_problem());
		printf("Status: 503\nContent-Type: text/plain\n\n"
		       "cannot count right now\n");
		return EXIT_FAILURE;
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
