/* SPDX-License-Identifier: MIT */
/* arguments.c - the command line, one row an option. What an option does and
 * what --help says about it come from the same row. */

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/version.h"

#include "config/nearest.h"

#include "master/master.h"

enum { EXIT_USAGE = 2, HELP_LEFT = 24, HELP_WIDTH = 80 };

static void print_help(struct buf *);
static void print_version(struct buf *);

struct row {
	const char *name;
	int letter;	   /* 0: none */
	const char *takes; /* what its argument is called, or NULL */
	const char *sentence;
	/* one of: */
	size_t text; /* where in struct arguments its text goes */
	enum task task;
	void (*print)(struct buf *);
};

#define TEXT(member) .text = offsetof(struct arguments, member)

/* clang-format off */
static const struct row rows[] = {
	{ "config", 'c', "FILE",
	    "the configuration; else /etc/fcgi-host/fcgi-host.conf if it is "
	    "there", TEXT(config_file) },
	{ "functions", 0, "DIR",
	    "directory of the tenants' directories", TEXT(functions) },
	{ "run", 0, "DIR",
	    "directory of sockets, pid file and spool", TEXT(run) },
	{ "log", 0, "DIR", "directory of the log files", TEXT(log) },
	{ "state", 0, "DIR",
	    "directory of what must outlive a reboot: the user ids given to "
	    "tenants, who is suspended, and what functions keep; else the run "
	    "directory",
	    TEXT(state) },
	{ "libexec", 0, "DIR",
	    "where fcgi-host-gateway, -log, -state and -cell are; else beside this "
	    "program or in ../libexec/fcgi-host", TEXT(libexec) },
	{ "verbose", 'v', NULL, "say more on stderr",
	    TEXT(verbose) },
	{ "check", 'n', NULL,
	    "check the configuration and exit: 0 good, 1 with file:line: and "
	    "a sentence for each error", .task = TASK_CHECK },
	{ "nginx", 0, NULL,
	    "with -n: print the limits nginx needs (fcgi-host-limits.conf)",
	    .task = TASK_NGINX },
	{ "nginx-state", 0, NULL,
	    "with -n: print those of the state endpoint "
	    "(fcgi-host-state-limits.conf)",
	    .task = TASK_NGINX_STATE },
	{ "help-options", 0, NULL, "every option of the configuration file",
	    .print = config_print_help },
	{ "print-config", 0, NULL,
	    "a configuration file with every option at its default",
	    .print = config_print_file },
	{ "print-man", 0, NULL, "the same as rows of the man page",
	    .print = config_print_man },
	{ "help", 'h', NULL, "this text", .print = print_help },
	{ "version", 0, NULL, "the version", .print = print_version },
};
/* clang-format on */

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void apply(struct arguments *, const struct row *, const char *text);
static const struct row *row_of(int letter, int index);
static void unknown(const char *argument) __attribute__((noreturn));
static void usage(const char *problem, const char *argument)
    __attribute__((noreturn));
static void print_wrapped(struct buf *, const char *sentence);

void
arguments_read(struct arguments *a, int argc, char **argv)
{
	struct option longs[ROWS + 1] = { { NULL, 0, NULL, 0 } };
	char shorts[2 * ROWS + 2] = ":";
	size_t used = 1;
	int c, index;

	*a = (struct arguments){ .task = TASK_SERVE };
	a->directory = getcwd(NULL, 0);
	if (!a->directory)
		diag_fatal("the directory we are started in is gone: %s",
		    diag_errno());
	for (int i = 0; i < ROWS; i++) {
		longs[i].name = rows[i].name;
		longs[i].has_arg = rows[i].takes != NULL;
		if (rows[i].letter)
			shorts[used++] = (char)rows[i].letter;
		if (rows[i].letter && rows[i].takes)
			shorts[used++] = ':';
	}
	opterr = 0;
	while ((index = -1),
	    (c = getopt_long(argc, argv, shorts, longs, &index)) != -1) {
		if (c == ':')
			usage("needs an argument", argv[optind - 1]);
		if (c == '?')
			unknown(argv[optind - 1]);
		apply(a, row_of(c, index), optarg);
	}
	if (optind < argc)
		usage("is not expected: all arguments are options",
		    argv[optind]);
}

static void
apply(struct arguments *a, const struct row *row, const char *text)
{
	char *at = (char *)a + row->text;

	if (row->takes)
		*(const char **)(void *)at = text;
	else if (row->text)
		*(bool *)(void *)at = true;
	else if (row->print && a->task != TASK_PRINT) {
		a->task = TASK_PRINT;
		a->print = row->print;
	} else if (row->task > a->task)
		a->task = row->task; /* --nginx says more than -n */
}

static const struct row *
row_of(int letter, int index)
{
	if (index >= 0)
		return &rows[index];
	for (int i = 0; i < ROWS; i++)
		if (rows[i].letter == letter)
			return &rows[i];
	diag_panic("option %d has no row", letter);
}

/* Also one that is short for several, or has an argument it does not take. */
static void
unknown(const char *argument)
{
	const char *names[ROWS], *near;

	for (int i = 0; i < ROWS; i++)
		names[i] = rows[i].name;
	near = nearest(argument + strspn(argument, "-"), names, ROWS);
	if (near)
		fprintf(stderr,
		    "fcgi-host: %s is no option; did you mean "
		    "--%s? See fcgi-host --help\n",
		    argument, near);
	else
		fprintf(stderr,
		    "fcgi-host: %s is no option; see fcgi-host "
		    "--help\n",
		    argument);
	exit(EXIT_USAGE);
}

static void
usage(const char *problem, const char *argument)
{
	fprintf(stderr, "fcgi-host: %s %s; see fcgi-host --help\n", argument,
	    problem);
	exit(EXIT_USAGE);
}

static void
print_version(struct buf *out)
{
	buf_put_string(out, "fcgi-host " FCGI_HOST_VERSION "\n");
}

static void
print_help(struct buf *out)
{
	buf_put_string(out,
	    "fcgi-host answers requests that nginx forwards, by running "
	    "executables you drop\ninto a directory.\n"
	    "\n"
	    "    mkdir -p functions/acme run\n"
	    "    cp hello functions/acme/hello\n"
	    "    fcgi-host --functions functions --run run\n"
	    "\n"
	    "serves run/front.sock, where nginx finds /fn/acme/hello (its "
	    "configuration comes\nwith fcgi-host). A new or changed file "
	    "counts from the next request on. The\ndirectory's owner is who "
	    "its functions run as, if fcgi-host is started by root.\n"
	    "\n"
	    "It stays in the foreground. HUP reads the configuration again, "
	    "USR1 opens the\nlog files again, TERM or INT lets requests "
	    "finish and ends, a second one ends\nnow. fcgi-hostctl asks a "
	    "running host what it does.\n"
	    "\n");
	for (int i = 0; i < ROWS; i++) {
		const struct row *r = &rows[i];
		char left[40];

		snprintf(left, sizeof(left), "%c%c --%s %s",
		    r->letter ? '-' : ' ', r->letter ? r->letter : ' ', r->name,
		    r->takes ? r->takes : "");
		buf_printf(out, "  %-*s", HELP_LEFT - 2, left);
		print_wrapped(out, r->sentence);
	}
}

/* In the right column, word by word; the left one is written. */
static void
print_wrapped(struct buf *out, const char *sentence)
{
	struct span rest = span_of(sentence);
	size_t used = HELP_LEFT;

	while (rest.data) {
		struct span word = span_cut(&rest, ' ');

		if (used + 1 + word.bytes > HELP_WIDTH) {
			buf_printf(out, "\n%*s", HELP_LEFT, "");
			used = HELP_LEFT;
		}
		buf_printf(out, " %.*s", SPAN_ARGS(word));
		used += 1 + word.bytes;
	}
	buf_put_byte(out, '\n');
}
