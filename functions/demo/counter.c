/* SPDX-License-Identifier: MIT */
/* counter.c - a visit counter: a number that is not lost, and never counted twice,
 * however many ask at once.
 *   curl 127.0.0.1:8080/fn/demo/counter */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <fn.h>

int
main(void)
{
	int64_t visits;

	if (fn_state_incr("counter/visits", 1, NULL, &visits) != FN_OK) {
		fprintf(stderr, "%s\n", fn_problem());
		printf("Status: 503\nContent-Type: text/plain\n\n"
		       "cannot count right now\n");
		return EXIT_FAILURE;
	}
	printf("Content-Type: text/plain\nCache-Control: no-store\n\n"
	       "visit number %" PRId64 "\n",
	    visits);
	return ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
