/* SPDX-License-Identifier: MIT */
/* diag.h - what a process of the host says to its operator, on descriptor 2.
 * Words first, then key=value. Five severities with meanings: info; warn (we
 * go on, somebody should look); error (this request or worker failed); fatal
 * (the machine at start: exit 1); panic (our bug: abort). One line a call, at
 * most DIAG_LINE_MOST bytes, control bytes escaped. Equal lines in a row
 * within ten seconds are counted, not printed. */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include <stddef.h>

enum { DIAG_LINE_MOST = 2048 };

/* Every line begins "name: severity: ". Borrowed, a literal. */
void diag_init(const char *process_name);
void diag_verbose(int on); /* shows diag_debug() */

void diag_debug(const char *, ...) __attribute__((format(printf, 1, 2)));
void diag_info(const char *, ...) __attribute__((format(printf, 1, 2)));
void diag_warn(const char *, ...) __attribute__((format(printf, 1, 2)));
void diag_error(const char *, ...) __attribute__((format(printf, 1, 2)));
void diag_fatal(const char *, ...)
    __attribute__((format(printf, 1, 2), noreturn));
void diag_panic(const char *, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* What errno means, in words; keeps errno. */
const char *diag_errno(void);

/* Memory of our own that the process cannot go on without: never NULL. Not
 * for anything whose size a peer chooses. */
void *diag_alloc(size_t bytes); /* zeroed */
char *diag_strdup(const char *);

#endif
