/* SPDX-License-Identifier: MIT */
/* connection.h - what serve.c, listener.c and connection.c want of each other. */
#ifndef SERVE_CONNECTION_H
#define SERVE_CONNECTION_H

#include "serve/serve.h"

void connection_settle(struct connection *); /* at the end of a batch */
void connection_sweep(struct serve *, uint64_t now_ms);
void connection_drain(struct connection *); /* closes when it is idle */

void serve_lapses(struct serve *); /* something may, from now on */
void listener_close(struct serve *);

#endif
