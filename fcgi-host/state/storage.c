/* SPDX-License-Identifier: MIT */
/* storage.c - keys, storage and API, which come and go together. This version has
 * none: who asks is refused. */
#include <stdio.h>

#include "state/state.h"

int
storage_open(struct state *s)
{
	snprintf(s->refusal, sizeof(s->refusal), "this version has no storage");
	return -1;
}

void
storage_close(struct state *s)
{
	(void)s;
}

void
storage_configure(struct state *s)
{
	(void)s;
}

void
storage_key(struct state *s)
{
	(void)s;
}

void
storage_drain(struct state *s)
{
	(void)s;
}
