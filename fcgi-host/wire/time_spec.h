/* SPDX-License-Identifier: MIT */
/* time_spec.h - "250ms", "10s", "2m", "1h" and "64 KiB", "2 MiB": quantities
 * with their unit written, to numbers and back. Pure. */
#ifndef WIRE_TIME_SPEC_H
#define WIRE_TIME_SPEC_H

#include "base/span.h"

enum time_spec_error {
	TIME_SPEC_OK,
	TIME_SPEC_EMPTY,
	TIME_SPEC_NO_NUMBER,
	TIME_SPEC_NO_UNIT, /* a bare number other than 0 */
	TIME_SPEC_BAD_UNIT,
	TIME_SPEC_TOO_LARGE,
};
const char *time_spec_error_words(enum time_spec_error);

/* us, ms, s, m, h, d; whole numbers or one decimal point ("1.5s"); a blank
 * before the unit is allowed; "0" needs no unit and means off. A part of a
 * millisecond, or of a byte, counts as a whole one. *ms is set on OK only. */
enum time_spec_error time_spec_parse(struct span, uint64_t *ms);
/* B, KiB, MiB, GiB (and K, M, G for the same); "0" needs no unit. */
enum time_spec_error size_spec_parse(struct span, uint64_t *bytes);

/* The shortest text that parses back to the same value: "10s", "1.5s"; never
 * one that begins with "0.": "500ms". Returns `text`. */
const char *time_spec_text(uint64_t ms, char text[32]);
const char *size_spec_text(uint64_t bytes, char text[32]);

#endif
