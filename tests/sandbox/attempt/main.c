/* SPDX-License-Identifier: MIT */
/* main.c - a function that tries what no function may do, and says what it was
 * told: one line NAME=ERRNO for each row of attempts.def, NAME=ok when it was
 * allowed, NAME=SIG... when it was killed for trying. Each attempt has a process of
 * its own and does as little as shows that it could: signals are 0, values are
 * those that are there already. Knows nothing of the host; static, so that it runs
 * anywhere; refuses to be run by root, who could. */
#include <sys/wait.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attempt.h"

pid_t launcher;

static const struct {
	const char *name;
	int (*function)(void);
} attempts[] = {
#define ATTEMPT(name, root, network, user, bare) { #name, attempt_##name },
#include "../attempts.def"
#undef ATTEMPT
};

/* The result is an exit status: 0 allowed, else errno. */
static void
try(const char *name, int (*function)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(function() < 0 ? errno : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		printf("%s=not tried\n", name);
	else if (WIFSIGNALED(status))
		printf("%s=SIG%s\n", name, sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 255)
		printf("%s=no target\n", name);
	else if (WEXITSTATUS(status) != 0)
		printf("%s=%s\n", name, strerrorname_np(WEXITSTATUS(status)));
	else
		printf("%s=ok\n", name);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--who") == 0)
		return geteuid() == 0 || getegid() == 0 ? 0 : 1;
	if (geteuid() == 0 || !getenv("GATEWAY_INTERFACE")) {
		fprintf(stderr, "attempt: only in a cell\n");
		return 1;
	}
	launcher = getppid();
	read_targets(getenv("QUERY_STRING"));
	printf("Content-Type: text/plain\r\n\r\n");
	fflush(stdout);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		try(attempts[i].name, attempts[i].function);
	return 0;
}
