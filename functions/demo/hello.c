/* SPDX-License-Identifier: MIT */
/* hello.c - the smallest useful function: a greeting.
 *   curl 127.0.0.1:8080/fn/demo/hello/Ada */
#include <fn.h>

int
fn_handle(struct fn_request *request, struct fn_reply *reply)
{
	const char *path = fn_request_path(request);

	fn_reply_printf(reply, "hello, %s\n",
	    path[0] && path[1] ? path + 1 : "world");
	return 0;
}
