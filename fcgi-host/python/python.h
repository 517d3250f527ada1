/* SPDX-License-Identifier: MIT */
/* python.h - the inside of fcgi-host-python, in sections by file. C has the
 * interpreter's life and a narrow door to the SDK; what WSGI and handle() are is
 * function.py, which is compiled into the program. */
#ifndef PYTHON_PYTHON_H
#define PYTHON_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <marshal.h>

#include "sdk/fn.h"

/* ---- interpreter.c: its start ----------------------------------------------- */

/* The interpreter of the function `script`, as its own `python3` would be: with
 * the virtual environment that is beside the script, or that VIRTUAL_ENV names.
 * The arguments are the script's, its name first. 0, or -1 with the reason on
 * stderr. */
int interpreter_start(int argc, char **argv);

/* ---- door.c: what function.py can do with the SDK ---------------------------- */

/* The module _fcgi_host; to be called before the interpreter starts. */
int door_install(void);

/* Of which request and reply the module speaks; NULL: of none. */
void door_open(struct fn_request *, struct fn_reply *);
void door_close(void);

/* ---- pages.c: memory that copies of a template will write -------------------- */

void pages_before_copy(void); /* in the template */
void pages_take(void);	      /* in a copy, at its beginning */
void pages_tell(void);	      /* and at its end */

#endif
