/* SPDX-License-Identifier: MIT */
/* sealed.h - bytes for another process in memory that nobody can change any
 * more: for what is too large for a message. */
#ifndef BASE_SEALED_H
#define BASE_SEALED_H

#include <stdint.h>

#include "base/span.h"

/* A descriptor of a memory file with these bytes, sealed; -1 with errno. `name`
 * is for who looks at the descriptors of the process. */
int sealed_make(const char *name, struct span bytes);

/* The bytes of such a file, private and read-only until sealed_unmap(): 0, or
 * -1 with errno. EPERM: it is not sealed, so it could change or shrink while it
 * is read; EMSGSIZE: it has none, not as many as it should, or more than
 * `most`. The descriptor stays the caller's and may be closed at once. */
int sealed_map(int fd, uint64_t bytes, size_t most, struct span *);
void sealed_unmap(struct span *);

#endif
