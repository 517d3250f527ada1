/* SPDX-License-Identifier: MIT */
/* token.h - `fcgi-hostctl token`: access tokens made, shown and ended. */
#ifndef STATE_TOKEN_H
#define STATE_TOKEN_H

#include "base/loop.h"
#include "ipc/message.h"

struct ring;

/* Answers VERB_TOKEN on *fd, a control connection of somebody the gateway has
 * found to be an operator; takes *fd. ring is NULL while keys cannot be
 * read. */
void token_control(struct loop *, struct ring *,
    const struct message_control_state *, int *fd);

#endif
