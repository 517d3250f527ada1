/* SPDX-License-Identifier: MIT */
/* reason.c - one sentence, never longer than its room. */

#include <stdarg.h>
#include <stdio.h>

#include "cell/reason.h"

void
reason_say(char *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, REASON_MOST, format, args);
	va_end(args);
}
