/* SPDX-License-Identifier: MIT */
/* hello.c - the smallest CGI program there is; built static and dynamic. */
#include <unistd.h>

int
main(void)
{
	static const char reply[] =
	    "Content-Type: text/plain\nContent-Length: 6\n\nhello\n";

	return write(1, reply, sizeof(reply) - 1) == sizeof(reply) - 1 ? 0 : 1;
}
