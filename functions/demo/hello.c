/* SPDX-License-Identifier: MIT */
/* hello.c - the smallest useful function: a header, a blank line, a greeting.
 *   curl 127.0.0.1:8080/fn/demo/hello/Ada */
#include <stdio.h>
#include <stdlib.h>

int
main(void)
{
	const char *path = getenv("PATH_INFO");
	const char *name =
	    path && path[0] == '/' && path[1] ? path + 1 : "world";

	printf("Content-Type: text/plain; charset=utf-8\n\nhello, %s\n", name);
	return ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
