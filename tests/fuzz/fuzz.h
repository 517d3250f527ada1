/* SPDX-License-Identifier: MIT */
/* fuzz.h - what every fuzzer has: its entry, and a source of splits that comes
 * from the input, so that a finding can be seen again. A property that does not
 * hold is an assert; a fuzzer is deterministic and keeps nothing between two
 * inputs. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct splits {
	uint64_t state;
};

static inline void
splits_init(struct splits *s, struct span input)
{
	s->state = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < input.bytes; i++)
		s->state = (s->state ^ (unsigned char)input.data[i]) *
		    UINT64_C(0x100000001b3);
}

/* 0 to most, small more often than large. */
static inline size_t
splits_next(struct splits *s, size_t most)
{
	uint64_t random;

	s->state = s->state * UINT64_C(6364136223846793005) + 1;
	random = s->state >> 33;
	if (random % 4 > 0 && most > 8)
		most = 8;
	return (size_t)(random / 4 % (most + 1));
}

static inline void
must(int result)
{
	assert(result == 0);
}

static inline void
must_equal(struct span a, struct span b)
{
	assert(span_equal(a, b));
}

#endif
