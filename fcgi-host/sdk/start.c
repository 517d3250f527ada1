/* SPDX-License-Identifier: MIT */
/* start.c - main() of a function. A file of its own, so that the linker takes it
 * for programs only that have none. */

#include "sdk/fn.h"

int main(int, char **);

/* Who has nothing to prepare writes none. */
#pragma weak fn_init

int
main(int argc, char **argv)
{
	return fn_main(argc, argv, fn_handle, fn_init);
}
