/* SPDX-License-Identifier: MIT */
/* spawn.c - how often this machine can start a program and wait for it, with
 * nothing around it: spawn PROGRAM PROCESSES SECONDS [scope] prints starts per
 * second and the median of one start in microseconds. scope: each child gets the
 * layer of Landlock that a launcher gives its own, where the kernel has it. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TIMES_MOST = 1 << 20 };

struct result {
	uint64_t starts;
	uint32_t us[TIMES_MOST];
};

static uint64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The headers of Debian 12 do not know the third member, nor its bits. */
static int
scope_make(void)
{
	const struct {
		uint64_t files, network, scoped;
	} rules = { .scoped = 1 << 1 /* signals */ };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules),
	    0);
}

static void
run(char *program, int scope, uint64_t until_us, struct result *result)
{
	char *argv[] = { program, NULL }, *envp[] = { NULL };
	uint64_t before = now_us(), after;

	for (; before < until_us; before = after) {
		int status;
		pid_t pid = vfork();

		if (pid == 0) {
			if (scope >= 0)
				syscall(SYS_landlock_restrict_self, scope, 0);
			execve(program, argv, envp);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
			exit(1);
		after = now_us();
		if (result->starts < TIMES_MOST)
			result->us[result->starts] = (uint32_t)(after - before);
		result->starts++;
	}
	exit(0);
}

int
main(int argc, char **argv)
{
	int processes = argc >= 4 ? atoi(argv[2]) : 0, scope = -1;
	uint64_t begin, total = 0, count;
	struct result *results;
	int status;

	if (processes < 1)
		return 2;
	if (argc == 5 && strcmp(argv[4], "scope") == 0)
		scope = scope_make();
	results = mmap(NULL, sizeof(*results) * (size_t)processes,
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (results == MAP_FAILED ||
	    dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 3) != 3)
		return 1;
	begin = now_us();
	for (int i = 0; i < processes; i++)
		if (fork() == 0) {
			dup2(3, 1);
			run(argv[1], scope,
			    begin + (uint64_t)(atof(argv[3]) * 1e6),
			    &results[i]);
		}
	while (wait(&status) > 0)
		if (status != 0)
			return 1;
	for (int i = 0; i < processes; i++)
		total += results[i].starts;
	count = results[0].starts < TIMES_MOST ? results[0].starts : TIMES_MOST;
	qsort(results[0].us, count, sizeof(uint32_t), compare);
	printf("%.0f %u\n", (double)total * 1e6 / (double)(now_us() - begin),
	    results[0].us[count / 2]);
	return 0;
}
