/* SPDX-License-Identifier: MIT */
/* main.c - a function written in Python is a function of the SDK: its fn_init()
 * starts the interpreter and loads the script, its fn_handle() calls what the
 * script has. So it is all that a function in C can be. Between the calls Python is
 * let go of, so that threads of the script run on. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "python/python.h"

/* function.py, compiled by the Python of the same version. */
static const char function_code[] = {
#include "python/function.inc"
};

static PyThreadState *thread; /* ours, while Python is let go of */
static PyObject *functions;   /* the module of function.py */
static pid_t owner; /* who loaded it; a copy of it ends without a word */

static int functions_load(void);
static long functions_call(const char *name, const char *script);
static void before_copy(void);
static void in_template(void);
static void in_copy(void);
static void leave_after_this(void);
static void finish(void);

int
fn_init(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr,
		    "usage: fcgi-host-python SCRIPT [ARGUMENT...]\n");
		return 2;
	}
	if (door_install() != 0 || interpreter_start(argc - 1, argv + 1) != 0)
		return EXIT_FAILURE;
	if (functions_load() != 0) {
		PyErr_Print();
		return EXIT_FAILURE;
	}
	/* What fails in there is answered for by a request: the host would show
	 * the clients of a program that does not start an error of its own. A
	 * template answers none, and copies of it could not try again. */
	if (functions_call("load", argv[1]) != 0 && getenv("FN_TEMPLATE"))
		return EXIT_FAILURE;
	thread = PyEval_SaveThread();
	owner = getpid();
	return fn_at_end(finish) == 0 &&
		fn_at_fork(before_copy, in_template, in_copy) == 0 ?
	    0 :
	    EXIT_FAILURE;
}

int
fn_handle(struct fn_request *request, struct fn_reply *reply)
{
	long result;

	PyEval_RestoreThread(thread);
	thread = NULL;
	door_open(request, reply);
	result = functions_call("answer", NULL);
	door_close();
	thread = PyEval_SaveThread();
	if (result & 2)
		leave_after_this();
	return result & 1;
}

static int
functions_load(void)
{
	PyObject *code = PyMarshal_ReadObjectFromString(function_code,
	    (Py_ssize_t)sizeof(function_code));

	if (code)
		functions = PyImport_ExecCodeModule("fcgi_host", code);
	Py_XDECREF(code);
	return functions ? 0 : -1;
}

/* What it returns; 1 when it has failed. */
static long
functions_call(const char *name, const char *script)
{
	PyObject *result = script ? PyObject_CallMethod(functions, name, "N",
					PyUnicode_DecodeFSDefault(script)) :
				    PyObject_CallMethod(functions, name, NULL);
	long value = result && PyLong_Check(result) ? PyLong_AsLong(result) : 1;

	if (!result)
		PyErr_Print();
	Py_XDECREF(result);
	return value;
}

/* ---- copies of a template -------------------------------------------------------- */

/* What os.fork() does as well: so os.register_at_fork() is for these, too. */
static void
before_copy(void)
{
	PyEval_RestoreThread(thread);
	functions_call("flush", NULL);
	pages_before_copy();
	PyOS_BeforeFork();
}

static void
in_template(void)
{
	PyOS_AfterFork_Parent();
	thread = PyEval_SaveThread();
}

static void
in_copy(void)
{
	pages_take();
	PyOS_AfterFork_Child();
	functions_call("copied", NULL);
	thread = PyEval_SaveThread();
	owner = getpid();
}

/* ---- the end ---------------------------------------------------------------------- */

/* As if the host had asked for it: the reply is sent whole, and no other request
 * taken. Who answers but one has no handler for that, and ends anyway. */
static void
leave_after_this(void)
{
	struct sigaction action;

	if (sigaction(SIGTERM, NULL, &action) == 0 &&
	    action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
		raise(SIGTERM);
}

/* What Python does when it ends, but for taking itself to pieces, which takes
 * longer than most requests. Not when a script has called exit(3) from within
 * a request, nor for its child. */
static void
finish(void)
{
	if (!thread || owner != getpid())
		return;
	PyEval_RestoreThread(thread);
	functions_call("finish", NULL);
	thread = PyEval_SaveThread();
	pages_tell();
}
