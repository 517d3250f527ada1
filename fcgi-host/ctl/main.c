/* SPDX-License-Identifier: MIT */
/* main.c - fcgi-hostctl: options that every verb has, the table of verbs, and
 * --help, which is made from the same rows as the parser. */

#include <stdlib.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/version.h"

#include "ctl/ctl.h"

#define RUN_DIRECTORY "/run/fcgi-host"

struct verb_entry {
	const char *name;
	const char *takes;
	const char *sentence;
	const struct command *command;
};

/* clang-format off */
static const struct verb_entry verbs[] = {
#define VERB(NAME, name, right, takes, sentence) \
	{ #name, takes, sentence, &command_##name },
#include "ipc/verbs.def"
#undef VERB
	{ "check", "[FILE|TENANT]",
	    "whether the host answers; with FILE, whether that is a good "
	    "configuration; with TENANT, whether all its functions are served",
	    &command_check },
	{ "put", "FILE TENANT[/NAME]",
	    "installs a function, so that no request ever sees half of it",
	    &command_put },
};

static struct ctl ctl = { .run = RUN_DIRECTORY };
static bool help;
static bool version;

static const struct argument everywhere[] = {
	{ 0, "run", ARGUMENT_TEXT, &ctl.run, "DIR",
	    "the host whose sockets are in DIR; else FCGI_HOST_RUN, else "
	    RUN_DIRECTORY },
	{ 0, "json", ARGUMENT_FLAG, &ctl.json, NULL,
	    "for programs" },
	{ 'h', "help", ARGUMENT_FLAG, &help, NULL, "this text" },
	{ 0, "version", ARGUMENT_FLAG, &version, NULL, "the version" },
	{ 0 },
};
/* clang-format on */

enum { VERB_ENTRIES = sizeof(verbs) / sizeof(verbs[0]) };

static const struct verb_entry *verb_find(const char *name);
static int verb_run(const struct verb_entry *, int argc, char **argv);
static void help_print(FILE *);
static void verb_help_print(const struct verb_entry *);

int
main(int argc, char **argv)
{
	const char *run = getenv("FCGI_HOST_RUN");
	const struct verb_entry *verb;
	int at;

	if (fd_fill_standard() != 0)
		return CTL_FAILED;
	diag_init("fcgi-hostctl");
	if (run && run[0])
		ctl.run = run;
	at = arguments_read(NULL, everywhere, NULL, true, argc, argv);
	if (at < 0)
		return CTL_USAGE;
	if (version) {
		puts("fcgi-hostctl " FCGI_HOST_VERSION);
		return 0;
	}
	if (at == argc) {
		help_print(help ? stdout : stderr);
		return help ? 0 : CTL_USAGE;
	}
	verb = verb_find(argv[at]);
	if (!verb)
		return usage(NULL, "there is no verb %s", argv[at]);
	return verb_run(verb, argc - at, argv + at);
}

static const struct verb_entry *
verb_find(const char *name)
{
	for (int i = 0; i < VERB_ENTRIES; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int
verb_run(const struct verb_entry *verb, int argc, char **argv)
{
	const struct command *command = verb->command;
	int result,
	    at = arguments_read(verb->name, everywhere, command->arguments,
		false, argc, argv);

	if (at < 0)
		return CTL_USAGE;
	if (help) {
		verb_help_print(verb);
		return 0;
	}
	if (argc - at < command->operands_least ||
	    argc - at > command->operands_most)
		return usage(verb->name, "the form is: fcgi-hostctl %s %s",
		    verb->name, verb->takes);
	result = command->run(&ctl, argc - at, argv + at);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		diag_error("cannot write to stdout: %s", diag_errno());
		return CTL_FAILED;
	}
	return result;
}

static void
help_print(FILE *to)
{
	fputs("fcgi-hostctl [--run DIR] VERB ...\n"
	      "Asks a running fcgi-host, or puts functions where it finds them."
	      "\n\n",
	    to);
	for (int i = 0; i < VERB_ENTRIES; i++)
		fprintf(to, "  %-8s %s\n", verbs[i].name, verbs[i].sentence);
	fputs("\nWith every verb:\n", to);
	arguments_print(to, everywhere);
	fputs("\nExit status: 0; 1 it failed; 2 wrong usage.\n"
	      "Root, the host's own user and members of operator_group may use "
	      "every verb; a\ntenant's user all but status, reload, token, "
	      "suspend and resume, for its own tenant.\n\n"
	      "  fcgi-hostctl list\n"
	      "  fcgi-hostctl invoke demo/hello\n"
	      "  fcgi-hostctl put hello.sh demo/hello\n"
	      "  fcgi-hostctl logs -f demo\n"
	      "  fcgi-hostctl VERB --help\n",
	    to);
}

static void
verb_help_print(const struct verb_entry *verb)
{
	printf("fcgi-hostctl %s %s\n%s.\n\n", verb->name, verb->takes,
	    verb->sentence);
	if (verb->command->arguments)
		arguments_print(stdout, verb->command->arguments);
	arguments_print(stdout, everywhere);
	printf("\n%s", verb->command->text);
}
