/* SPDX-License-Identifier: MIT */
/* interpreter.c - the interpreter is started as /usr/bin/python3 is, or as that of
 * a virtual environment: by its name alone Python finds all the rest, so that
 * packages are where authors have installed them. */

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "python/python.h"

#define VERSION                                                   \
	"python" Py_STRINGIFY(PY_MAJOR_VERSION) "." Py_STRINGIFY( \
	    PY_MINOR_VERSION)
#define SYSTEM_PYTHON "/usr/bin/" VERSION

static const char *python_of(const char *script, char *path, size_t room);
static bool is_environment(const char *directory);
static int say(PyStatus);

int
interpreter_start(int argc, char **argv)
{
	char path[PATH_MAX];
	PyPreConfig before;
	PyConfig config;
	PyStatus status;

	PyPreConfig_InitPythonConfig(&before);
	before.parse_argv = 0;
	status = Py_PreInitialize(&before);
	if (PyStatus_Exception(status))
		return say(status);
	PyConfig_InitPythonConfig(&config);
	config.parse_argv = 0; /* they are the function's */
	status = PyConfig_SetBytesString(&config, &config.program_name,
	    python_of(argv[0], path, sizeof(path)));
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesArgv(&config, argc, argv);
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	return PyStatus_Exception(status) ? say(status) : 0;
}

/* Which python3 we are to be. */
static const char *
python_of(const char *script, char *path, size_t room)
{
	static const char *const names[] = { "venv", ".venv" };
	const char *said = getenv("VIRTUAL_ENV"), *slash = strrchr(script, '/');
	int bytes = slash ? (int)(slash - script) + 1 : 0;
	char directory[PATH_MAX] = "";

	if (said && said[0]) {
		snprintf(directory, sizeof(directory), "%s%s",
		    said[0] == '/' ? "" : "./", said);
		if (!is_environment(directory)) {
			fprintf(stderr,
			    "VIRTUAL_ENV = %s is no virtual environment of "
			    "%s: it has no pyvenv.cfg or no lib/%s\n",
			    said, VERSION, VERSION);
			return SYSTEM_PYTHON;
		}
	}
	for (size_t i = 0; i < 2 && !(said && said[0]); i++) {
		snprintf(directory, sizeof(directory), "%.*s%s", bytes, script,
		    names[i]);
		if (is_environment(directory))
			break;
		directory[0] = '\0';
	}
	if (!directory[0] ||
	    snprintf(path, room, "%s/bin/python3", directory) >= (int)room)
		return SYSTEM_PYTHON;
	return path;
}

/* One that was made for another version of Python has nothing that we could
 * load. */
static bool
is_environment(const char *directory)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/pyvenv.cfg", directory);
	if (access(path, R_OK) != 0)
		return false;
	snprintf(path, sizeof(path), "%s/lib/" VERSION, directory);
	if (access(path, X_OK) == 0)
		return true;
	fprintf(stderr,
	    "the virtual environment %s is not used: it has no lib/" VERSION
	    ", so it was made for another Python\n",
	    directory);
	return false;
}

static int
say(PyStatus status)
{
	fprintf(stderr, "Python does not start: %s\n",
	    status.err_msg ? status.err_msg : "no reason is given");
	return -1;
}
