/* SPDX-License-Identifier: MIT */
/* counter.c - a visit counter: a number that is not lost, and never counted twice,
 * however many ask at once.
 *   curl 127.0.0.1:8080/fn/demo/counter */
#include <inttypes.h>

#include <fn.h>

int
fn_handle(struct fn_request *request, struct fn_reply *reply)
{
	int64_t visits;

	(void)request;
	if (fn_state_incr("counter/visits", 1, NULL, &visits) != FN_OK) {
		fn_log("%s", fn_problem());
		fn_reply_problem(reply, 503, "cannot count right now");
		return 0;
	}
	fn_reply_header(reply, "Cache-Control", "no-store");
	fn_reply_printf(reply, "visit number %" PRId64 "\n", visits);
	return 0;
}
