/* SPDX-License-Identifier: MIT */
/* random.c - unpredictable bytes from the kernel, a pool of them for each system
 * call: a request needs 34. Bytes are given out once and wiped. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "base/diag.h"
#include "base/random.h"

enum { POOL_BYTES = 4096 };

static uint8_t pool[POOL_BYTES];
static size_t pool_left;

void
random_take(void *to, size_t bytes)
{
	ssize_t got;

	while (pool_left < bytes) {
		got = getrandom(pool, sizeof(pool), 0);
		if (got < 0 && errno != EINTR)
			diag_panic("no random bytes: %s", diag_errno());
		pool_left = got > 0 ? (size_t)got : 0;
	}
	pool_left -= bytes;
	memcpy(to, pool + pool_left, bytes);
	memset(pool + pool_left, 0, bytes);
}
