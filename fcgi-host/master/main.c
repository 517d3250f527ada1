/* SPDX-License-Identifier: MIT */
/* main.c - fcgi-host, the master: starts and wires all others and keeps them
 * running (serve.c), or checks its configuration, or explains itself. It
 * contains no parser of what clients, functions or tenants write. */

#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "master/master.h"

static int print(void (*)(struct buf *));
static int check(const struct arguments *);

int
main(int argc, char **argv)
{
	struct arguments arguments;

	diag_init("fcgi-host");
	if (fd_fill_standard() != 0)
		diag_fatal("/dev/null: %s", diag_errno());
	arguments_read(&arguments, argc, argv);
	diag_verbose(arguments.verbose);

	switch (arguments.task) {
	case TASK_PRINT:
		return print(arguments.print);
	case TASK_PROBE:
		return probe_child();
	case TASK_CHECK:
	case TASK_NGINX:
		return check(&arguments);
	case TASK_SERVE:
		return serve(&arguments);
	}
	diag_panic("task %d has no row", (int)arguments.task);
}

static int
print(void (*what)(struct buf *))
{
	struct buf out;

	buf_init(&out, 1024 * 1024);
	what(&out);
	if (fd_write_all(STDOUT_FILENO, buf_span(&out)) != 0)
		return EXIT_FAILURE;
	buf_free(&out);
	return EXIT_SUCCESS;
}

static int
check(const struct arguments *a)
{
	struct settled settled;
	struct buf text;
	struct config *c;

	buf_init(&text, 256 * 1024);
	c = settle(a, geteuid() == 0, 1, &settled, &text);
	if (!c) {
		fd_write_all(STDERR_FILENO, buf_span(&text));
		return EXIT_FAILURE;
	}
	if (a->task == TASK_NGINX)
		nginx_print(c, &text);
	else
		buf_printf(&text, "%s: the configuration is good\n",
		    a->config_file ? a->config_file : "defaults");
	fd_write_all(STDOUT_FILENO, buf_span(&text));
	config_release(&c);
	buf_free(&text);
	return EXIT_SUCCESS;
}
