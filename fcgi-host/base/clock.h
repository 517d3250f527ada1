/* SPDX-License-Identifier: MIT */
/* clock.h - the only place that asks the machine what time it is. Policy code
 * takes the time as a parameter instead. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_ms(void);      /* CLOCK_MONOTONIC, milliseconds */
uint64_t clock_us(void);      /* CLOCK_MONOTONIC, microseconds */
uint64_t clock_unix_ms(void); /* CLOCK_REALTIME, milliseconds since 1970 */

/* "2026-11-23T09:56:42.123Z" (24 characters and NUL). */
void clock_iso(uint64_t unix_ms, char text[25]);

#endif
