/* SPDX-License-Identifier: MIT */
/* explain.h - why the processes of a function are made as they are, in words and
 * figures for who owns it. */
#ifndef GATEWAY_EXPLAIN_H
#define GATEWAY_EXPLAIN_H

#include <jansson.h>

#include "base/span.h"

struct function;

/* Adds to the object: chosen, why, since_unix_ms, template, starts_per_s, and what
 * each way costs (ways). The function is NULL when nobody has asked for it;
 * `start` is what its settings say, empty when it cannot be forked. */
void explain_put(json_t *, struct function *, struct span start);

#endif
