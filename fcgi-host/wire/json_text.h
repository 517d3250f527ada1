/* SPDX-License-Identifier: MIT */
/* json_text.h - text that others wrote, as a string of JSON. */
#ifndef WIRE_JSON_TEXT_H
#define WIRE_JSON_TEXT_H

#include <jansson.h>

#include "base/span.h"

/* A new reference; NULL without memory. Names and reasons of tenants are any
 * bytes: if they are not UTF-8, each byte above 127 becomes '?'. */
json_t *json_text(struct span);

#endif
