/* SPDX-License-Identifier: MIT */
/* main.c - fcgi-host, the master: starts and wires all others and keeps them
 * running (serve.c), or checks its configuration, or explains itself. It
 * contains no parser of what clients, functions or tenants write. */

#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "master/master.h"

static int run(const struct arguments *);
static int print(void (*)(struct buf *));
static int check(const struct arguments *);

int
main(int argc, char **argv)
{
	struct arguments arguments;
	int status;

	diag_init("fcgi-host");
	if (fd_fill_standard() != 0)
		diag_fatal("/dev/null: %s", diag_errno());
	arguments_read(&arguments, argc, argv);
	diag_verbose(arguments.verbose);

	status = run(&arguments);
	free(arguments.directory);
	return status;
}

static int
run(const struct arguments *a)
{
	switch (a->task) {
	case TASK_PRINT:
		return print(a->print);
	case TASK_CHECK:
	case TASK_NGINX:
	case TASK_NGINX_STATE:
		return check(a);
	case TASK_SERVE:
		return serve(a);
	}
	diag_panic("task %d has no row", (int)a->task);
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
	int out = STDOUT_FILENO, status = EXIT_SUCCESS;
	char missing[TENANT_REASON_MOST];
	struct settled settled;
	struct config *c;
	struct buf text;

	buf_init(&text, 256 * 1024);
	c = settle(a, geteuid() == 0, 1, &settled, &text);
	if (!c) {
		out = STDERR_FILENO;
		status = EXIT_FAILURE;
	} else if (a->task == TASK_NGINX) {
		nginx_print(c, &text);
	} else if (a->task == TASK_NGINX_STATE) {
		nginx_print_state(c, &text);
	} else {
		buf_printf(&text, "%s: the configuration is good\n",
		    a->config_file ? a->config_file : "defaults");
	}
	if (c && settle_missing(c, missing, sizeof(missing)))
		diag_warn("%s", missing);
	if (c && settle_exposed(a, geteuid() == 0, c, missing, sizeof(missing)))
		diag_warn("%s", missing);
	if (fd_write_all(out, buf_span(&text)) != 0)
		status = EXIT_FAILURE;
	config_release(&c);
	buf_free(&text);
	return status;
}
