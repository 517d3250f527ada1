/* SPDX-License-Identifier: MIT */
/* variables.h - what the host told this function: where to ask, with which token,
 * until when. */
#ifndef SDK_VARIABLES_H
#define SDK_VARIABLES_H

#include <stdint.h>

#include "sdk/fn.h"

enum { VARIABLE_MOST = 4095 }; /* bytes of one: a token has at most 2048 */

struct
    variables { /* all borrowed until the thread's next fn_use(), or setenv() */
	const char *socket;
	const char *host; /* of FN_STATE_URL; host_bytes of it */
	int host_bytes;
	const char *path; /* of FN_STATE_URL, "/state/v1" */
	const char *token;
	uint64_t deadline_ms; /* Unix time; 0: none */
};

/* FN_OK, or FN_REFUSED or FN_BAD with the problem said. */
enum fn_result variables_get(struct variables *);

#endif
