/* SPDX-License-Identifier: MIT */
/* rogue.c - a CGI program that misbehaves on request, for the tests. Its query
 * is a list of steps, STEP or STEP=ARGUMENT between '&', done in order:
 *   rogue?head&out=hi&grandchild&ignore=TERM&forever
 * Arguments are percent-decoded. It stays silent about errors of its own: what
 * arrives is what the steps say. Files are in data/ of the tenant. */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char **arguments;

/* ---- helpers ----------------------------------------------------------------- */

static void
put(int fd, const char *data, size_t bytes)
{
	ssize_t n;

	while (bytes > 0) {
		n = write(fd, data, bytes);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0) {
			data += n;
			bytes -= (size_t)n;
		}
	}
}

static void
say(const char *text)
{
	put(1, text, strlen(text));
}

static void
nap_ms(unsigned long ms)
{
	struct timespec left = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000,
	};

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

static unsigned long
number(const char *text)
{
	return strtoul(text, NULL, 0);
}

static int
hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10;
}

/* In place; the length tells of decoded NULs. */
static size_t
decode(char *text)
{
	char *to = text;
	const char *from;

	for (from = text; *from; from++) {
		if (*from == '%' && isxdigit((unsigned char)from[1]) &&
		    isxdigit((unsigned char)from[2])) {
			*to++ = (char)(hex(from[1]) * 16 + hex(from[2]));
			from += 2;
		} else {
			*to++ = *from == '+' ? ' ' : *from;
		}
	}
	*to = '\0';
	return (size_t)(to - text);
}

static const char *
data_path(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "data/%s", name);
	return path;
}

static void
fill(int fd, unsigned long long bytes, const char *pattern)
{
	static char block[65536];
	size_t part, i, length = strlen(pattern);

	for (i = 0; i < sizeof(block); i++)
		block[i] = pattern[i % length];
	while (bytes > 0) {
		part = bytes < sizeof(block) ? (size_t)bytes : sizeof(block);
		put(fd, block, part);
		bytes -= part;
	}
}

/* TERM, ALRM, ..., or all of them. */
static void
each_signal(const char *name, void (*action)(int))
{
	static const struct {
		const char *name;
		int number;
	} names[] = {
		{ "TERM", SIGTERM },
		{ "ALRM", SIGALRM },
		{ "HUP", SIGHUP },
		{ "INT", SIGINT },
		{ "PIPE", SIGPIPE },
		{ "SEGV", SIGSEGV },
		{ "KILL", SIGKILL },
		{ "ABRT", SIGABRT },
		{ "STOP", SIGSTOP },
	};
	size_t i;
	int signo;

	if (strcmp(name, "all") == 0) {
		for (signo = 1; signo < NSIG; signo++)
			action(signo);
		return;
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i].name) == 0)
			action(names[i].number);
	}
}

static void
ignore(int signo)
{
	signal(signo, SIG_IGN);
}

static void
block(int signo)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void
raise_default(int signo)
{
	signal(signo, SIG_DFL);
	raise(signo);
}

/* ---- output ------------------------------------------------------------------- */

static void
do_head(char *arg, size_t bytes)
{
	(void)arg, (void)bytes;
	say("Content-Type: text/plain\n\n");
}

static void
do_out(char *arg, size_t bytes)
{
	put(1, arg, bytes);
}

static void
do_err(char *arg, size_t bytes)
{
	put(2, arg, bytes);
}

static void
do_line(char *arg, size_t bytes)
{
	put(1, arg, bytes);
	put(1, "\n", 1);
}

static void
do_fill(char *arg, size_t bytes)
{
	(void)bytes;
	fill(1, strtoull(arg, NULL, 0), "0123456789abcde\n");
}

static void
do_errfill(char *arg, size_t bytes)
{
	(void)bytes;
	fill(2, strtoull(arg, NULL, 0), "rogue"); /* no newline in it */
}

static void
do_pad(char *arg, size_t bytes)
{
	(void)bytes;
	fill(1, strtoull(arg, NULL, 0), "x");
}

static void
do_lines(char *arg, size_t bytes) /* N header fields */
{
	unsigned long i, count = number(arg);
	char line[64];

	(void)bytes;
	for (i = 0; i < count; i++) {
		snprintf(line, sizeof(line), "X-Line-%lu: %lu\n", i, i);
		say(line);
	}
}

static void
do_drip(char *arg, size_t bytes) /* MS,TEXT: byte by byte */
{
	char *text = strchr(arg, ',');
	size_t i;

	if (!text)
		return;
	text++;
	for (i = 0; i < bytes - (size_t)(text - arg); i++) {
		put(1, text + i, 1);
		nap_ms(number(arg));
	}
}

static void
do_close(char *arg, size_t bytes)
{
	(void)bytes;
	close((int)number(arg));
}

/* ---- input -------------------------------------------------------------------- */

static void
do_read(char *arg, size_t bytes) /* all of it; says how many */
{
	static char block_[65536];
	unsigned long long total = 0;
	char text[64];
	ssize_t n;

	(void)arg, (void)bytes;
	while ((n = read(0, block_, sizeof(block_))) > 0)
		total += (size_t)n;
	snprintf(text, sizeof(text), "read %llu%s\n", total,
	    n < 0 ? " and an error" : "");
	say(text);
}

static void
do_readsome(char *arg, size_t bytes)
{
	char byte;
	unsigned long i, count = number(arg);

	(void)bytes;
	for (i = 0; i < count && read(0, &byte, 1) == 1; i++)
		;
}

static void
do_echo(char *arg, size_t bytes)
{
	static char block_[65536];
	ssize_t n;

	(void)arg, (void)bytes;
	while ((n = read(0, block_, sizeof(block_))) > 0)
		put(1, block_, (size_t)n);
}

static void
do_reopen(char *arg, size_t bytes) /* /dev/stdin and its kind */
{
	int fd = open(arg, strstr(arg, "in") ? O_RDONLY : O_WRONLY);
	char text[16];

	(void)bytes;
	snprintf(text, sizeof(text), "%s\n", fd < 0 ? strerror(errno) : "ok");
	say(text);
	if (fd >= 0)
		close(fd);
}

/* ---- time and processes ------------------------------------------------------- */

static void
do_sleep(char *arg, size_t bytes)
{
	(void)bytes;
	nap_ms(number(arg));
}

static void
do_forever(char *arg, size_t bytes)
{
	(void)arg, (void)bytes;
	for (;;)
		pause();
}

static void
do_spin(char *arg, size_t bytes)
{
	volatile unsigned turns = 0;

	(void)arg, (void)bytes;
	for (;;)
		turns++;
}

static void
do_ignore(char *arg, size_t bytes)
{
	(void)bytes;
	each_signal(arg, ignore);
}

static void
do_block(char *arg, size_t bytes)
{
	(void)bytes;
	each_signal(arg, block);
}

static void
do_signal(char *arg, size_t bytes)
{
	(void)bytes;
	each_signal(arg, raise_default);
}

static void
do_alarm(char *arg, size_t bytes)
{
	(void)bytes;
	alarm((unsigned)number(arg));
}

static void
do_exit(char *arg, size_t bytes)
{
	(void)bytes;
	_exit((int)number(arg));
}

static void
do_fork(char *arg, size_t bytes) /* the child goes on, its parent exits */
{
	(void)arg, (void)bytes;
	if (fork() > 0)
		_exit(0);
}

static void
do_child(char *arg, size_t bytes) /* the parent goes on with a sleeper */
{
	(void)arg, (void)bytes;
	if (fork() == 0)
		do_forever(NULL, 0);
}

static void
do_grandchild(char *arg, size_t bytes) /* as far away as it gets */
{
	(void)arg, (void)bytes;
	if (fork() > 0) {
		wait(NULL);
		return;
	}
	setsid();
	if (fork() > 0)
		_exit(0);
	each_signal("all", ignore);
	do_forever(NULL, 0);
}

static void
do_children(char *arg, size_t bytes) /* N that exit at once, unwaited */
{
	unsigned long i, count = number(arg);

	(void)bytes;
	for (i = 0; i < count; i++) {
		if (fork() == 0)
			_exit(0);
	}
}

static void
do_bomb(char *arg, size_t bytes)
{
	(void)arg, (void)bytes;
	each_signal("all", ignore);
	each_signal("all", block);
	for (;;) {
		if (fork() < 0)
			nap_ms(1);
	}
}

static void
do_eat(char *arg, size_t bytes) /* N bytes of memory, touched */
{
	unsigned long size = number(arg);
	char *memory = malloc(size);

	(void)bytes;
	if (!memory) {
		say("no memory\n");
		return;
	}
	memset(memory, 1, size);
	say(memory[size / 2] == 1 ? "ate it\n" : "strange\n");
	free(memory);
}

static void
do_hold(char *arg, size_t bytes) /* N bytes of memory, kept */
{
	unsigned long size = number(arg);
	volatile char *memory = malloc(size);

	(void)bytes;
	for (unsigned long at = 0; memory && at < size; at += 1024)
		memory[at] = 1;
}

/* ---- files, as signs between a test and us ------------------------------------ */

static void
do_mark(char *arg, size_t bytes) /* appends our pid to data/NAME */
{
	int fd = open(data_path(arg), O_WRONLY | O_CREAT | O_APPEND, 0666);
	char text[32];

	(void)bytes;
	if (fd < 0)
		return;
	put(fd, text, (size_t)snprintf(text, sizeof(text), "%d\n", getpid()));
	close(fd);
}

static void
do_wait(char *arg, size_t bytes) /* until data/NAME is there */
{
	(void)bytes;
	while (access(data_path(arg), F_OK) != 0)
		nap_ms(2);
}

static void
do_cat(char *arg, size_t bytes) /* any path */
{
	static char block_[65536];
	int fd = open(arg, O_RDONLY);
	ssize_t n;

	(void)bytes;
	if (fd < 0) {
		say(strerror(errno));
		say("\n");
		return;
	}
	while ((n = read(fd, block_, sizeof(block_))) > 0)
		put(1, block_, (size_t)n);
	close(fd);
}

static void
do_write(char *arg, size_t bytes) /* can this path be written? */
{
	int fd = open(arg, O_WRONLY | O_CREAT, 0600);

	(void)bytes;
	say(fd < 0 ? strerror(errno) : "ok");
	say("\n");
	if (fd >= 0)
		close(fd);
}

/* ---- what it was given --------------------------------------------------------- */

static void
do_env(char *arg, size_t bytes) /* all, or one */
{
	char **variable;
	const char *value;

	if (bytes > 0) {
		value = getenv(arg);
		say(value ? value : "(unset)");
		return;
	}
	for (variable = environ; *variable; variable++)
		put(1, *variable, strlen(*variable) + 1); /* NUL ends each */
}

static void
do_args(char *arg, size_t bytes)
{
	char **argument;

	(void)arg, (void)bytes;
	for (argument = arguments; *argument; argument++)
		put(1, *argument, strlen(*argument) + 1);
}

static void
do_fds(char *arg, size_t bytes) /* number, flags, where it leads */
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	char path[300], target[256], line[640];
	ssize_t n;
	int fd;

	(void)arg, (void)bytes;
	while (dir && (entry = readdir(dir))) {
		fd = (int)number(entry->d_name);
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    fd == dirfd(dir))
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		snprintf(line, sizeof(line), "%s %o %s\n", entry->d_name,
		    (unsigned)fcntl(fd, F_GETFL), target);
		say(line);
	}
	if (dir)
		closedir(dir);
}

static void
do_state(char *arg, size_t bytes) /* KEY VALUE lines */
{
	static const struct {
		const char *name;
		int resource;
	} limits[] = {
		{ "core", RLIMIT_CORE },
		{ "data", RLIMIT_DATA },
		{ "nofile", RLIMIT_NOFILE },
		{ "nproc", RLIMIT_NPROC },
		{ "cpu", RLIMIT_CPU },
	};
	struct itimerval timer;
	struct rlimit limit;
	char cwd[4096], text[4200];
	mode_t mask = umask(0);
	size_t i;

	(void)arg, (void)bytes;
	umask(mask);
	getitimer(ITIMER_REAL, &timer);
	snprintf(text, sizeof(text),
	    "pid %d\nppid %d\npgid %d\nsid %d\numask %o\nalarm_ms %lld\n"
	    "no_new_privs %d\ncwd %s\n",
	    getpid(), getppid(), getpgrp(), getsid(0), (unsigned)mask,
	    (long long)timer.it_value.tv_sec * 1000 +
		timer.it_value.tv_usec / 1000,
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
	    getcwd(cwd, sizeof(cwd)) ? cwd : "?");
	say(text);
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		getrlimit(limits[i].resource, &limit);
		snprintf(text, sizeof(text), "limit_%s %llu\n", limits[i].name,
		    (unsigned long long)limit.rlim_cur);
		say(text);
	}
	do_cat(strcpy(text, "/proc/self/status"), 0);
}

/* ------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*act)(char *argument, size_t bytes);
} steps[] = {
	{ "alarm", do_alarm },
	{ "args", do_args },
	{ "block", do_block },
	{ "bomb", do_bomb },
	{ "cat", do_cat },
	{ "child", do_child },
	{ "children", do_children },
	{ "close", do_close },
	{ "drip", do_drip },
	{ "eat", do_eat },
	{ "echo", do_echo },
	{ "env", do_env },
	{ "err", do_err },
	{ "errfill", do_errfill },
	{ "exit", do_exit },
	{ "fds", do_fds },
	{ "fill", do_fill },
	{ "forever", do_forever },
	{ "fork", do_fork },
	{ "grandchild", do_grandchild },
	{ "head", do_head },
	{ "hold", do_hold },
	{ "ignore", do_ignore },
	{ "line", do_line },
	{ "lines", do_lines },
	{ "mark", do_mark },
	{ "out", do_out },
	{ "pad", do_pad },
	{ "read", do_read },
	{ "readsome", do_readsome },
	{ "reopen", do_reopen },
	{ "signal", do_signal },
	{ "sleep", do_sleep },
	{ "spin", do_spin },
	{ "state", do_state },
	{ "wait", do_wait },
	{ "write", do_write },
};

static void
step(char *text)
{
	char *argument = strchr(text, '=');
	size_t i, bytes = 0;

	if (argument) {
		*argument++ = '\0';
		bytes = decode(argument);
	} else {
		argument = text + strlen(text);
	}
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (strcmp(text, steps[i].name) == 0) {
			steps[i].act(argument, bytes);
			return;
		}
	}
	fprintf(stderr, "rogue: no step \"%s\"\n", text);
	_exit(99);
}

int
main(int argc, char **argv)
{
	const char *query = getenv("QUERY_STRING");
	char *text, *rest, *one;

	(void)argc;
	arguments = argv;
	text = strdup(query ? query : "");
	for (rest = text; text && (one = strsep(&rest, "&"));) {
		if (*one)
			step(one);
	}
	free(text);
	return 0;
}
