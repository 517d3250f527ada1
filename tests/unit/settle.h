/* SPDX-License-Identifier: MIT */
/* settle.h - the end of a batch, for an owner of connections who has nothing else
 * to do there; for tests and fuzzers. */
#ifndef SETTLE_H
#define SETTLE_H

#include "serve/serve.h"

static inline void
settle(void *serve)
{
	while (serve_settle(serve))
		continue;
}

#endif
