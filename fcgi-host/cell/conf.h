/* SPDX-License-Identifier: MIT */
/* conf.h - the settings of a function from its tenant's files. */
#ifndef CELL_CONF_H
#define CELL_CONF_H

#include "config/terms.h"

#include "cell/grounds.h"

/* The tenant's settings, over them the function's, settled for such a program,
 * which becomes what they make of it; *protocol is how it is spoken to. 0, or -1
 * with a reason.
 * Their identities go into the ticket, and how long they are young, and that they
 * ask for Python. `encoded` stays empty when all are the defaults. */
int conf_read(const struct grounds *, const struct terms *, const char *file,
    unsigned *program, unsigned *protocol, uint64_t unix_ms, struct ticket *,
    struct buf *encoded, char *reason);

#endif
