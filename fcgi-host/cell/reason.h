/* SPDX-License-Identifier: MIT */
/* reason.h - the sentence that says why a file is no function. */
#ifndef CELL_REASON_H
#define CELL_REASON_H

enum { REASON_MOST = 1024 };

/* Into `reason`, which has REASON_MOST bytes; cut where they end. */
void reason_say(char *reason, const char *, ...)
    __attribute__((format(printf, 2, 3)));

#endif
