/* SPDX-License-Identifier: MIT */
/* rogue.c - a function that misbehaves on request, for the tests. ROGUE in its
 * settings' env says how it is a template: as the library's, after something that
 * fn_init() does, or with messages of its own making, once TEMPLATE_GOOD forks have
 * gone well. A request's query is a list of steps, done in order. The reply begins
 * with how the process was made. Files are in data/ of the tenant. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fn.h"

static const char *rogue;
static pid_t template; /* 0: this was executed */
static int value = 7;  /* that the template has */
static FILE *notes;

static const char *
place(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "data/%s", name);
	return path;
}

/* The process, in this file. */
static void
mark(const char *name)
{
	int fd = open(place(name), O_WRONLY | O_APPEND | O_CREAT, 0666);

	dprintf(fd, "%d\n", (int)getpid());
	close(fd);
}

static pid_t
marked(const char *name)
{
	FILE *f = fopen(place(name), "r");
	int pid = 0;

	if (!f || fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static void
hold(const char *name)
{
	const struct timespec nap = { .tv_nsec = 2000000 };

	while (access(place(name), F_OK) != 0)
		nanosleep(&nap, NULL);
}

/* Holds nobody's output, and ends for SIGKILL only. */
__attribute__((noreturn)) static void
linger(const char *name)
{
	sigset_t all;

	if (name)
		mark(name);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	for (;;)
		pause();
}

/* ---- a template by the library ------------------------------------------------- */

static void
daemonise(const char *name)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		if (fork() != 0)
			_exit(0);
		linger(name);
	}
	waitpid(pid, NULL, 0);
}

/* Takes every process that can be had, also when one comes free. */
__attribute__((noreturn)) static void
exhaust(void)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	for (;;) {
		pid_t pid = fork();

		if (pid == 0)
			linger(NULL);
		if (pid < 0)
			nanosleep(&nap, NULL);
	}
}

static int
init(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (!getenv("FN_TEMPLATE"))
		return 0;
	template = getpid();
	if (strcmp(rogue, "exhausts") == 0 && fork() == 0)
		exhaust();
	if (strcmp(rogue, "buffers") == 0) {
		printf("printed by the template\n");
		notes = fopen(place("notes"), "a");
		fputs("noted by the template\n", notes);
	}
	return 0;
}

/* ---- a request -------------------------------------------------------------------- */

static void
deaf(void)
{
	const struct itimerval never = { 0 };
	sigset_t all;

	signal(SIGALRM, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	setitimer(ITIMER_REAL, &never, NULL);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

static const char *
outcome(long result)
{
	return result < 0 ? strerrorname_np(errno) : "ok";
}

static long
look_into(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	return open(path, O_RDWR);
}

static long
change(pid_t pid)
{
	int other = 8;
	struct iovec from = { &other, sizeof(other) };
	struct iovec to = { &value, sizeof(value) };

	return process_vm_writev(pid, &from, 1, &to, 1, 0);
}

static long
by_descriptor(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -1 : syscall(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0);
}

/* Of process `pid`, all that would be somebody else's business. */
static void
harm(struct fn_reply *r, pid_t pid)
{
	fn_reply_printf(r, "kill %s\n", outcome(kill(pid, SIGKILL)));
	fn_reply_printf(r, "group %s\n", outcome(kill(-pid, SIGKILL)));
	fn_reply_printf(r, "stop %s\n", outcome(kill(pid, SIGSTOP)));
	fn_reply_printf(r, "descriptor %s\n", outcome(by_descriptor(pid)));
	fn_reply_printf(r, "trace %s\n",
	    outcome(ptrace(PTRACE_SEIZE, pid, 0, 0)));
	fn_reply_printf(r, "memory %s\n", outcome(look_into(pid)));
	fn_reply_printf(r, "change %s\n", outcome(change(pid)));
}

static void
step(struct fn_reply *r, const char *name, const char *argument)
{
	if (strcmp(name, "mark") == 0)
		mark(argument);
	else if (strcmp(name, "hold") == 0)
		hold(argument);
	else if (strcmp(name, "deaf") == 0)
		deaf();
	else if (strcmp(name, "value") == 0)
		fn_reply_printf(r, "value %d\n", value++);
	else if (strcmp(name, "template") == 0)
		harm(r, template);
	else if (strcmp(name, "harm") == 0)
		harm(r, marked(argument));
	else if (strcmp(name, "everybody") == 0)
		fn_reply_printf(r, "kill %s\n", outcome(kill(-1, SIGKILL)));
	else if (strcmp(name, "daemon") == 0)
		daemonise(argument);
	else if (strcmp(name, "sibling") == 0) {
		if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0)
			linger(argument);
	} else if (strcmp(name, "descriptors") == 0)
		for (int i = 0; i < 40; i++)
			fn_reply_printf(r, "%s", dup(2) < 0 ? "none\n" : "");
	else if (strcmp(name, "exit") == 0) {
		printf("printed by the copy\n");
		exit(atoi(argument));
	}
}

static int
handle(struct fn_request *q, struct fn_reply *r)
{
	const struct fn_pair *pairs;
	size_t count = fn_request_query_pairs(q, &pairs);

	fn_reply_puts(r, template ? "forked\n" : "executed\n");
	for (size_t i = 0; i < count; i++)
		step(r, pairs[i].name, pairs[i].value);
	return 0;
}

/* ---- a template without the library ---------------------------------------------- */

struct fork { /* what of FORK is needed here */
	uint32_t kind, env_bytes;
	uint64_t invocation, time_us, cpu_s;
};

struct forked {
	uint32_t kind, error;
	uint64_t invocation;
	int32_t pid;
	uint32_t zero;
};

static union {
	struct fork head;
	char all[192 * 1024];
} received;

static int fds[3];

static void
say(uint64_t invocation, pid_t pid, uint32_t error)
{
	const struct forked m = { 0x31445246, error, invocation, pid, 0 };

	send(0, &m, sizeof(m), MSG_NOSIGNAL);
}

static bool
asked(void)
{
	union {
		struct cmsghdr head;
		char all[CMSG_SPACE(sizeof(fds))];
	} control;
	struct iovec to = { &received, sizeof(received) };
	struct msghdr m = {
		.msg_iov = &to,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	if (recvmsg(0, &m, 0) <= 0 || !CMSG_FIRSTHDR(&m))
		return false;
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fds));
	return true;
}

static pid_t
sibling(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
}

/* Answers one request, once data/NAME is there if its query is hold=NAME. */
__attribute__((noreturn)) static void
newborn(void)
{
	const char *at = (const char *)(&received.head + 1);
	const char *end = at + received.head.env_bytes;
	const char reply[] = "Content-Type: text/plain\n\nforked\n";

	setpgid(0, 0);
	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	for (; at < end; at += strlen(at) + 1)
		if (strncmp(at, "QUERY_STRING=hold=", 18) == 0) {
			mark("held");
			hold(at + 18);
		}
	_exit(write(1, reply, sizeof(reply) - 1) < 0);
}

static pid_t
good(void)
{
	pid_t pid = sibling();

	if (pid == 0)
		newborn();
	return pid;
}

static void
misbehave(void)
{
	uint64_t number = received.head.invocation;
	const struct {
		const char *name;
		pid_t pid;
		uint32_t error;
	} answers[] = {
		{ "zero", 0, 0 },
		{ "none", -1, 0 },
		{ "no-error", -1, 1000000 },
		{ "both", getpid(), EAGAIN },
		{ "huge", INT32_MAX, 0 },
		{ "least", INT32_MIN, 0 },
		{ "known", marked("held"), 0 },
		{ "others", marked("others"), 0 },
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (strcmp(rogue, answers[i].name) == 0)
			say(number, answers[i].pid, answers[i].error);
	if (strcmp(rogue, "empty") == 0)
		send(0, "", 0, MSG_NOSIGNAL);
	if (strcmp(rogue, "long") == 0)
		send(0, &received, 4096, MSG_NOSIGNAL);
	if (strcmp(rogue, "twice") == 0) {
		pid_t pid = good();

		say(number, pid, 0);
		say(number, pid, 0);
	}
}

static int
template_run(void)
{
	const char *said = getenv("TEMPLATE_GOOD");
	int left = said ? atoi(said) : 0;

	if (write(1, "fn-template 1 ready\n", 20) != 20)
		return 1;
	while (asked()) {
		if (left-- > 0)
			say(received.head.invocation, good(), 0);
		else
			misbehave();
		for (int i = 0; i < 3; i++)
			close(fds[i]);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	rogue = getenv("ROGUE") ? getenv("ROGUE") : "";
	if (getenv("FN_TEMPLATE") && getenv("TEMPLATE_GOOD"))
		return template_run();
	return fn_main(argc, argv, handle, init);
}
