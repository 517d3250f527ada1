/* SPDX-License-Identifier: MIT */
/* door.c - the module _fcgi_host: the SDK's calls for the one request there is,
 * with Python's types and exceptions. Whoever waits in one of them lets other
 * threads run; they are refused here meanwhile. */

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "python/python.h"

static struct fn_request *request; /* borrowed, while there is one */
static struct fn_reply *reply;
static bool waiting; /* a thread is in a call that has let go of Python */

static PyObject *initialize(void);
static bool door_shut(void);
static PyObject *done(enum fn_result, const char *what);
static PyObject *latin1(const char *text);
static PyObject *pairs_list(const struct fn_pair *, size_t count);

int
door_install(void)
{
	return PyImport_AppendInittab("_fcgi_host", initialize);
}

void
door_open(struct fn_request *q, struct fn_reply *r)
{
	request = q;
	reply = r;
}

void
door_close(void)
{
	request = NULL;
	reply = NULL;
}

/* True with an exception. */
static bool
door_shut(void)
{
	if (request && !waiting)
		return false;
	PyErr_SetString(PyExc_RuntimeError,
	    waiting ? "another thread is reading or writing this request" :
		      "the request is over");
	return true;
}

static PyObject *
done(enum fn_result result, const char *what)
{
	switch (result) {
	case FN_OK:
		Py_RETURN_NONE;
	case FN_BAD:
		return PyErr_Format(PyExc_ValueError,
		    "%s cannot be part of a reply: the line before says why",
		    what);
	case FN_CONFLICT:
		return PyErr_Format(PyExc_RuntimeError,
		    "%s comes too late: the header of the reply has been sent",
		    what);
	default:
		return PyErr_Format(PyExc_BrokenPipeError,
		    "the client has gone");
	}
}

/* ---- the request ------------------------------------------------------------- */

/* PEP 3333: text that has one character for each byte. */
static PyObject *
latin1(const char *text)
{
	return PyUnicode_DecodeLatin1(text, (Py_ssize_t)strlen(text), NULL);
}

static PyObject *
door_variables(PyObject *self, PyObject *none)
{
	PyObject *all, *name, *value;
	const char *is;
	int bad = 0;

	(void)self;
	(void)none;
	if (door_shut() || !(all = PyDict_New()))
		return NULL;
	for (char *const *v = fn_request_variables(request); *v && !bad; v++) {
		is = strchr(*v, '=');
		if (!is)
			continue;
		name = PyUnicode_DecodeLatin1(*v, is - *v, NULL);
		value = latin1(is + 1);
		bad = !name || !value || PyDict_SetItem(all, name, value) != 0;
		Py_XDECREF(name);
		Py_XDECREF(value);
	}
	if (bad)
		Py_CLEAR(all);
	return all;
}

/* Of the process: what os.environ was made of may have changed since. */
static PyObject *
door_environment(PyObject *self, PyObject *none)
{
	PyObject *all = PyList_New(0), *one;
	int bad = 0;

	(void)self;
	(void)none;
	for (char **v = environ; all && v && *v && !bad; v++) {
		one = PyBytes_FromString(*v);
		bad = !one || PyList_Append(all, one) != 0;
		Py_XDECREF(one);
	}
	if (bad)
		Py_CLEAR(all);
	return all;
}

static PyObject *
door_readinto(PyObject *self, PyObject *to)
{
	Py_buffer room;
	ptrdiff_t n;

	(void)self;
	if (door_shut() || PyObject_GetBuffer(to, &room, PyBUF_WRITABLE) != 0)
		return NULL;
	waiting = true;
	Py_BEGIN_ALLOW_THREADS;
	n = fn_request_read(request, room.buf, (size_t)room.len);
	Py_END_ALLOW_THREADS;
	waiting = false;
	PyBuffer_Release(&room);
	if (n < 0) {
		PyErr_SetString(PyExc_ConnectionError,
		    "the body of the request was cut off");
		return NULL;
	}
	return PyLong_FromSsize_t(n);
}

/* None: it is no form. */
static PyObject *
door_form(PyObject *self, PyObject *none)
{
	const struct fn_pair *pairs;
	enum fn_result result;
	size_t count;

	(void)self;
	(void)none;
	if (door_shut())
		return NULL;
	waiting = true;
	Py_BEGIN_ALLOW_THREADS;
	result = fn_request_read_form(request, PY_SSIZE_T_MAX);
	Py_END_ALLOW_THREADS;
	waiting = false;
	switch (result) {
	case FN_OK:
		count = fn_request_form_pairs(request, &pairs);
		return pairs_list(pairs, count);
	case FN_NOT_FOUND:
		Py_RETURN_NONE;
	case FN_TOO_LARGE:
		PyErr_SetString(PyExc_ValueError,
		    "the form has more than 4096 values");
		return NULL;
	case FN_BAD:
		PyErr_SetString(PyExc_ValueError,
		    "the parts of the form are not whole");
		return NULL;
	default:
		PyErr_SetString(PyExc_ConnectionError,
		    "the body of the request was cut off");
		return NULL;
	}
}

static PyObject *
door_body(PyObject *self, PyObject *none)
{
	enum fn_result result;
	const char *data;
	size_t bytes;

	(void)self;
	(void)none;
	if (door_shut())
		return NULL;
	waiting = true;
	Py_BEGIN_ALLOW_THREADS;
	result = fn_request_body(request, PY_SSIZE_T_MAX, &data, &bytes);
	Py_END_ALLOW_THREADS;
	waiting = false;
	if (result == FN_OK)
		return PyBytes_FromStringAndSize(data, (Py_ssize_t)bytes);
	PyErr_SetString(PyExc_ConnectionError,
	    "the body of the request was cut off");
	return NULL;
}

static PyObject *
door_query(PyObject *self, PyObject *none)
{
	const struct fn_pair *pairs;
	size_t count;

	(void)self;
	(void)none;
	if (door_shut())
		return NULL;
	count = fn_request_query_pairs(request, &pairs);
	return pairs_list(pairs, count);
}

/* (name, value, file, type), bytes all of them; of no file None. */
static PyObject *
pairs_list(const struct fn_pair *pairs, size_t count)
{
	PyObject *list = PyList_New((Py_ssize_t)count), *row;

	for (size_t i = 0; list && i < count; i++) {
		row = Py_BuildValue("(yy#yy)", pairs[i].name, pairs[i].value,
		    (Py_ssize_t)pairs[i].bytes, pairs[i].file, pairs[i].type);
		if (row)
			PyList_SET_ITEM(list, (Py_ssize_t)i, row);
		else
			Py_CLEAR(list);
	}
	return list;
}

/* ---- the reply ---------------------------------------------------------------- */

static PyObject *
door_status(PyObject *self, PyObject *args)
{
	unsigned status;

	(void)self;
	if (door_shut() || !PyArg_ParseTuple(args, "I", &status))
		return NULL;
	return done(fn_reply_status(reply, status), "the status");
}

/* Adds one: those of the same name stay. */
static PyObject *
door_header(PyObject *self, PyObject *args)
{
	PyObject *name, *value, *n = NULL, *v = NULL, *result = NULL;
	char *field, *text;

	(void)self;
	if (door_shut() || !PyArg_ParseTuple(args, "UU", &name, &value))
		return NULL;
	n = PyUnicode_AsLatin1String(name);
	v = n ? PyUnicode_AsLatin1String(value) : NULL;
	/* with a NUL in it they are no string: an exception as well */
	if (v && PyBytes_AsStringAndSize(n, &field, NULL) == 0 &&
	    PyBytes_AsStringAndSize(v, &text, NULL) == 0)
		result = done(fn_reply_header_add(reply, field, "%s", text),
		    "the header");
	Py_XDECREF(n);
	Py_XDECREF(v);
	return result;
}

static PyObject *
door_write(PyObject *self, PyObject *from)
{
	enum fn_result result;
	Py_buffer data;

	(void)self;
	if (door_shut() || PyObject_GetBuffer(from, &data, PyBUF_SIMPLE) != 0)
		return NULL;
	waiting = true;
	Py_BEGIN_ALLOW_THREADS;
	result = fn_reply_write(reply, data.buf, (size_t)data.len);
	Py_END_ALLOW_THREADS;
	waiting = false;
	PyBuffer_Release(&data);
	return done(result, "the body");
}

static PyObject *
door_flush(PyObject *self, PyObject *none)
{
	enum fn_result result;

	(void)self;
	(void)none;
	if (door_shut())
		return NULL;
	waiting = true;
	Py_BEGIN_ALLOW_THREADS;
	result = fn_reply_flush(reply);
	Py_END_ALLOW_THREADS;
	waiting = false;
	return done(result, "the body");
}

static PyObject *
door_reset(PyObject *self, PyObject *none)
{
	(void)self;
	(void)none;
	if (door_shut())
		return NULL;
	return done(fn_reply_reset(reply), "another reply");
}

static PyObject *
door_problem(PyObject *self, PyObject *args)
{
	const char *detail;
	unsigned status;

	(void)self;
	if (door_shut() || !PyArg_ParseTuple(args, "Is", &status, &detail))
		return NULL;
	return done(fn_reply_problem(reply, status, "%s", detail),
	    "another reply");
}

static PyObject *
door_log(PyObject *self, PyObject *args)
{
	const char *line;

	(void)self;
	if (door_shut() || !PyArg_ParseTuple(args, "y", &line))
		return NULL;
	fn_log("%s", line);
	Py_RETURN_NONE;
}

/* ---- the module ------------------------------------------------------------------ */

static PyMethodDef methods[] = {
	{ "variables", door_variables, METH_NOARGS,
	    "All variables of the request, as PEP 3333 has them." },
	{ "environment", door_environment, METH_NOARGS,
	    "The environment of the process, as NAME=value." },
	{ "readinto", door_readinto, METH_O,
	    "Waits for the next bytes of the body: how many; 0 at its end." },
	{ "form", door_form, METH_NOARGS,
	    "The values of a form that was sent, or None." },
	{ "body", door_body, METH_NOARGS, "The whole body." },
	{ "query", door_query, METH_NOARGS, "The values of the query." },
	{ "status", door_status, METH_VARARGS, "Sets the status." },
	{ "header", door_header, METH_VARARGS, "Adds a header." },
	{ "write", door_write, METH_O, "Writes some of the body." },
	{ "flush", door_flush, METH_NOARGS, "Sends what there is." },
	{ "reset", door_reset, METH_NOARGS, "Begins the reply anew." },
	{ "problem", door_problem, METH_VARARGS,
	    "Replies with status and detail (RFC 9457) instead." },
	{ "log", door_log, METH_VARARGS,
	    "Writes a line to the log, as one of this request." },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT,
	.m_name = "_fcgi_host",
	.m_doc = "The request that is being answered, and its reply.",
	.m_size = -1,
	.m_methods = methods,
};

static PyObject *
initialize(void)
{
	return PyModule_Create(&module);
}
