/* SPDX-License-Identifier: MIT */
/* hello_fn.c - what hello.c says, as a function of the SDK: the same file answers
 * as CGI and as a process that stays. */
#include <fn.h>

int
fn_handle(struct fn_request *request, struct fn_reply *reply)
{
	(void)request;
	fn_reply_type(reply, "text/plain");
	return fn_reply_puts(reply, "hello\n") == FN_OK ? 0 : 1;
}
