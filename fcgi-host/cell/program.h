/* SPDX-License-Identifier: MIT */
/* program.h - would the kernel start this file? */
#ifndef CELL_PROGRAM_H
#define CELL_PROGRAM_H

#include "cell/candidate.h"

/* The program that runs functions written in Python, beside ours. */
#define PYTHON_NAME "fcgi-host-python"

/* Would execve(2) take it? It says ENOENT for a program that is there and an
 * interpreter that is not, so what can be known from the first bytes is told
 * here; formats we do not know may be binfmt_misc's and are left to it. Says in
 * the ticket whether the kernel alone runs it, and that its settings are to be
 * read again when another file is there by now; and in *program what it is:
 * PROGRAM_SDK where it has the note of the SDK, PROGRAM_PYTHON if it is a script
 * whose first line asks for fcgi-host-python, else PROGRAM_CGI. */
bool program_check(const struct grounds *, const struct candidate *,
    struct ticket *, unsigned *program, char *reason);

/* Can fcgi-host-python take it, as its first line or its settings ask? */
bool program_python(const struct grounds *, const struct candidate *,
    const struct ticket *, char *reason);

#endif
