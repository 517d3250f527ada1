/* SPDX-License-Identifier: MIT */
/* If this fails, a process that was copied from a template is not what one that was
 * executed would be: it outlives its time, draws the random numbers of its
 * siblings, repeats their output, kills another when it raises a signal, or the
 * template itself wears out. The test is the launcher. */
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "wire/template.h"

#include "sdk/fn.h"

enum {
	PATIENCE_MS = 20 * 1000,
	TEXT_MOST = 512 * 1024,
	TIME_US = 30 * 1000 * 1000,
	CPU_S = 7,
};

/* It keeps what is freed for a while, and at the end looks for leaks with a
 * process of its own. */
#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

typedef int init_fn(int, char **);
typedef int handle_fn(struct fn_request *, struct fn_reply *);

/* ---- the launcher's side --------------------------------------------------------- */

struct run {
	pid_t pid;
	int out, err; /* our ends */
	int input;    /* -1: none */
	char text[TEXT_MOST];
	char log[64 * 1024];
	int status;
};

struct bed {
	struct run run; /* the template itself */
	int control;	/* our end */
	uint64_t number;
};

static void
pipe_make(int ends[2])
{
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

/* All of one stream, to its end. */
static void
read_all(int *fd, char *to, size_t room)
{
	struct pollfd ready = { .fd = *fd, .events = POLLIN };
	size_t done = 0;
	ssize_t n;

	do {
		assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
		n = read(*fd, to + done, room - 1 - done);
		assert_true(n >= 0 && done < room - 1);
		done += (size_t)n;
	} while (n > 0);
	to[done] = '\0';
	fd_close(fd);
}

static int
reap(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status;
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	assert_true(fd >= 0);
	assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
run_end(struct run *r)
{
	read_all(&r->out, r->text, sizeof(r->text));
	read_all(&r->err, r->log, sizeof(r->log));
	r->status = reap(r->pid);
	r->pid = 0;
}

/* In the child: descriptors 0, 1 and 2, and nothing else; what a launcher says. */
static void
child_begin(int in, int out, int err)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	syscall(SYS_close_range, 3, ~0U, 0);
}

static void
environment_clear(void)
{
	static char *none[] = { NULL };

	environ = none;
}

static _Noreturn void
child_function(handle_fn *handle, init_fn *init)
{
	char name[] = "function", *argv[] = { name, NULL };
	int status = fn_main(1, argv, handle, init);

	exit(status);
}

static void
template_start(struct bed *b, handle_fn *handle, init_fn *init)
{
	int ends[2], out[2], err[2];

	*b = (struct bed){ .number = 100 };
	assert_int_equal(fd_channel(ends), 0);
	pipe_make(out);
	pipe_make(err);
	fflush(NULL);
	b->run.pid = fork();
	if (b->run.pid == 0) {
		child_begin(ends[1], out[1], err[1]);
		environment_clear();
		setenv("FN_TEMPLATE", "1", 1);
		setenv("OF_TEMPLATE", "1", 1);
		setenv("SHARED", "template", 1);
		setenv("REMOVED", "template", 1);
		child_function(handle, init);
	}
	close(ends[1]);
	close(out[1]);
	close(err[1]);
	b->control = ends[0];
	b->run.out = out[0];
	b->run.err = err[0];
}

static void
expect_ready(int fd, const char *line)
{
	char text[64] = "";
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, line);
}

static void
template_begin(struct bed *b, handle_fn *handle, init_fn *init)
{
	template_start(b, handle, init);
	expect_ready(b->run.out, TEMPLATE_READY);
}

static void
say(struct bed *b, struct span packet, const int *fds, size_t count)
{
	assert_int_equal(fd_send(b->control, packet, fds, count), packet.bytes);
}

static struct template_forked
heard(struct bed *b)
{
	struct pollfd ready = { .fd = b->control, .events = POLLIN };
	struct template_forked forked;
	char bytes[256];
	size_t none = 0;
	ssize_t n;

	assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
	n = fd_receive(b->control, bytes, sizeof(bytes), NULL, &none);
	assert_int_equal(n, TEMPLATE_FORKED_BYTES);
	assert_int_equal(template_forked_decode(span_make(bytes, (size_t)n),
			     &forked),
	    0);
	return forked;
}

static struct template_forked
fork_ask(struct bed *b, struct span env, const int fds[3], uint64_t time_us,
    uint64_t cpu_s)
{
	struct template_fork order = { ++b->number, time_us, cpu_s, env };
	struct template_forked forked;
	struct buf packet;

	buf_init(&packet, TEMPLATE_FORK_MOST);
	assert_int_equal(template_fork_encode(&packet, &order), 0);
	say(b, buf_span(&packet), fds, 3);
	buf_free(&packet);
	forked = heard(b);
	assert_int_equal(forked.invocation, b->number);
	return forked;
}

static void
run_streams(struct run *r, const char *body, int fds[3])
{
	int in[2], out[2], err[2];

	pipe_make(in);
	pipe_make(out);
	pipe_make(err);
	assert_int_equal(write(in[1], body, strlen(body)), strlen(body));
	close(in[1]);
	fds[0] = in[0];
	fds[1] = out[1];
	fds[2] = err[1];
	r->out = out[0];
	r->err = err[0];
}

static void
close_all(int fds[3])
{
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void
run_forked(struct bed *b, struct run *r, struct span env, const char *body,
    uint64_t time_us)
{
	struct template_forked forked;
	int fds[3];

	run_streams(r, body, fds);
	forked = fork_ask(b, env, fds, time_us, CPU_S);
	close_all(fds);
	assert_true(forked.pid > 1 && forked.error == 0);
	r->pid = forked.pid;
	run_end(r);
}

/* What base/proc.c does with a program. */
static void
run_executed(struct run *r, handle_fn *handle, init_fn *init, struct span env,
    const char *body, uint64_t time_us)
{
	const struct itimerval once = {
		.it_value = { (time_t)(time_us / 1000000),
		    (suseconds_t)(time_us % 1000000) }
	};
	const struct rlimit cpu = { CPU_S, CPU_S + 1 };
	int fds[3];

	run_streams(r, body, fds);
	fflush(NULL);
	r->pid = fork();
	if (r->pid == 0) {
		child_begin(fds[0], fds[1], fds[2]);
		setitimer(ITIMER_REAL, &once, NULL);
		setrlimit(RLIMIT_CPU, &cpu);
		environment_clear();
		while (env.bytes > 0) {
			putenv((char *)(uintptr_t)env.data);
			env = span_skip(env, strlen(env.data) + 1);
		}
		child_function(handle, init);
	}
	close_all(fds);
	run_end(r);
}

static int
template_end(struct bed *b)
{
	fd_close(&b->control);
	run_end(&b->run);
	return b->run.status;
}

/* ---- what both are asked ----------------------------------------------------------- */

/* Leaves what a copy must have, and what it must not. */
static int
init_rich(int argc, char **argv)
{
	sigset_t some;

	(void)argc;
	(void)argv;
	printf("printed by init");
	srand(1);
	srandom(1);
	srand48(1);
	setenv("SHARED", "init", 1);
	setenv("OF_INIT", "1", 1);
	unsetenv("REMOVED");
	signal(SIGUSR2, SIG_IGN);
	sigemptyset(&some);
	sigaddset(&some, SIGHUP);
	sigprocmask(SIG_BLOCK, &some, NULL);
	umask(027);
	if (getenv("FN_TEMPLATE"))
		getchar(); /* the end is seen, and has to be forgotten */
	return 0;
}

static int
facts(struct fn_request *q, struct fn_reply *r)
{
	struct itimerval left;
	struct rlimit cpu;
	struct sigaction term, alarmed, ignored;
	sigset_t mask;
	int death = 0, count = 0, open = 0;

	(void)q;
	prctl(PR_GET_PDEATHSIG, &death);
	fn_reply_printf(r, "own group %d, dies with %d, by %d\n",
	    getpgrp() == getpid(), getppid() == atoi(getenv("LAUNCHER")),
	    death);
	getitimer(ITIMER_REAL, &left);
	fn_reply_printf(r, "alarm %d\n",
	    left.it_value.tv_sec > 0 && left.it_value.tv_sec < 30 &&
		left.it_interval.tv_sec == 0);
	getrlimit(RLIMIT_CPU, &cpu);
	fn_reply_printf(r, "cpu %d %d\n", (int)cpu.rlim_cur, (int)cpu.rlim_max);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int signo = 1; signo < NSIG; signo++)
		if (sigismember(&mask, signo) == 1)
			fn_reply_printf(r, "blocked %d\n", signo);
	sigaction(SIGTERM, NULL, &term);
	sigaction(SIGALRM, NULL, &alarmed);
	sigaction(SIGUSR2, NULL, &ignored);
	fn_reply_printf(r, "default %d %d, ignored %d\n",
	    term.sa_handler == SIG_DFL, alarmed.sa_handler == SIG_DFL,
	    ignored.sa_handler == SIG_IGN);
	for (char **at = environ; *at; at++, count++)
		if (strncmp(*at, "LAUNCHER=", 9) != 0)
			fn_reply_printf(r, "%s\n", *at);
	fn_reply_printf(r, "%d variables\n", count);
	for (int fd = 0; fd < 256; fd++)
		open += fcntl(fd, F_GETFD) >= 0;
	fn_reply_printf(r, "%d descriptors, umask %o\n", open, umask(0));
	fn_reply_printf(r, "end of input %d, error %d\n", feof(stdin),
	    ferror(stdout));
	return 0;
}

static int
echo(struct fn_request *q, struct fn_reply *r)
{
	const char *data = "none";
	size_t bytes = 4;

	fn_request_body(q, 4096, &data, &bytes);
	fn_reply_write(r, data, bytes);
	return 0;
}

static int
reads_stdin(struct fn_request *q, struct fn_reply *r)
{
	char line[64] = "nothing";

	(void)q;
	if (!fgets(line, sizeof(line), stdin))
		fn_reply_puts(r, "end of input\n");
	fn_reply_puts(r, line);
	return 0;
}

static int
large(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	for (int i = 0; i < 20000; i++)
		fn_reply_printf(r, "line %d\n", i);
	return 0;
}

static int
prints(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	printf("printed, ");
	fn_log("logged");
	printf("not ended");
	fn_reply_puts(r, "yes");
	return 0;
}

static int
exits(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	(void)r;
	printf("last words");
	exit(3);
}

static int
fails(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_puts(r, "half");
	return 3;
}

static int
raises(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	(void)r;
	raise(SIGUSR1);
	return 0;
}

static int
aborts(struct fn_request *q, struct fn_reply *r)
{
	const struct rlimit none = { 0, 0 };

	(void)q;
	(void)r;
	setrlimit(RLIMIT_CORE, &none);
	abort();
}

static int
breaks_off(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_puts(r, "half");
	fn_reply_flush(r);
	return 1;
}

static int
signals_thread(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	(void)r;
	pthread_kill(pthread_self(), SIGUSR1);
	return 0;
}

static int
terminated(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	(void)r;
	kill(getpid(), SIGTERM);
	return 0;
}

static int
is_late(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	(void)r;
	while (pause() != 0)
		continue;
	return 0;
}

static void *
thread(void *argument)
{
	pthread_mutex_t *m = argument;
	void *memory = malloc(1000 * 1000);

	if (pthread_mutex_lock(m) == EOWNERDEAD)
		pthread_mutex_consistent(m);
	pthread_mutex_unlock(m);
	free(memory);
	return m;
}

static void *
dies_locked(void *argument)
{
	pthread_mutex_lock(argument);
	return NULL;
}

static int
threads(struct fn_request *q, struct fn_reply *r)
{
	static const int protocols[] = { PTHREAD_PRIO_NONE,
		PTHREAD_PRIO_INHERIT };
	pthread_mutexattr_t kind;
	pthread_mutex_t m;
	pthread_t id[8];
	void *result;

	(void)q;
	for (size_t p = 0; p < COUNT(protocols); p++) {
		pthread_mutexattr_init(&kind);
		pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
		pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
		pthread_mutexattr_setprotocol(&kind, protocols[p]);
		pthread_mutex_init(&m, &kind);
		pthread_mutex_lock(&m);
		pthread_mutex_lock(&m);
		for (int i = 0; i < 8; i++)
			if (pthread_create(&id[i], NULL, thread, &m) != 0)
				fn_reply_puts(r, "not created\n");
		pthread_mutex_unlock(&m);
		pthread_mutex_unlock(&m);
		for (int i = 0; i < 8; i++)
			fn_reply_printf(r, "%d %d\n",
			    pthread_join(id[i], &result), result == &m);
		pthread_create(&id[0], NULL, dies_locked, &m);
		pthread_join(id[0], NULL);
		fn_reply_printf(r, "dead owner %d\n",
		    pthread_mutex_lock(&m) == EOWNERDEAD);
	}
	return 0;
}

static void *
ends_process(void *argument)
{
	pthread_join(*(pthread_t *)argument, NULL);
	printf("the first is gone");
	fflush(stdout);
	_exit(7);
}

static int
first_thread_ends(struct fn_request *q, struct fn_reply *r)
{
	static pthread_t first;
	pthread_t id;

	(void)q;
	(void)r;
	first = pthread_self();
	pthread_create(&id, NULL, ends_process, &first);
	pthread_exit(NULL);
}

static int
starts_others(struct fn_request *q, struct fn_reply *r)
{
	FILE *other = popen("echo from a shell", "r");
	char line[64] = "";
	int status;
	pid_t pid;

	(void)q;
	if (!fgets(line, sizeof(line), other))
		return 1;
	fn_reply_printf(r, "%s%d\n", line, pclose(other));
	fn_reply_printf(r, "%d\n", system("kill -USR1 $$"));
	pid = fork();
	if (pid == 0)
		raise(SIGUSR1);
	waitpid(pid, &status, 0);
	fn_reply_printf(r, "%d\n", status);
	return 0;
}

static int
changes_environment(struct fn_request *q, struct fn_reply *r)
{
	static char words[] = "PUT=1";

	(void)q;
	setenv("SHARED", "handler", 1);
	setenv("NEW", "1", 1);
	unsetenv("OF_INIT");
	putenv(words);
	for (char **at = environ; *at; at++)
		fn_reply_printf(r, "%s\n", *at);
	fn_reply_printf(r, "%d\n", system("test $SHARED$NEW$PUT = handler11"));
	clearenv();
	fn_reply_printf(r, "%d\n", getenv("NEW") == NULL);
	return 0;
}

static int
allocates(struct fn_request *q, struct fn_reply *r)
{
	char *blocks[1000];
	unsigned sum = 0;

	(void)q;
	for (size_t i = 0; i < COUNT(blocks); i++) {
		blocks[i] = malloc(i * 100 + 1);
		memset(blocks[i], (int)i, i * 100 + 1);
	}
	for (size_t i = 0; i < COUNT(blocks); i++) {
		sum += (unsigned char)blocks[i][i * 100];
		free(blocks[i]);
	}
	fn_reply_printf(r, "%u\n", sum);
	return 0;
}

static int
nothing(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	(void)r;
	return 0;
}

struct same {
	const char *sentence;
	handle_fn *handle;
	const char *part; /* of the reply: both could be wrong alike */
	int status;	  /* as waitpid gives it */
	uint64_t time_us; /* 0: enough */
};

static const struct same alike[] = {
	{ "group, parent, alarm, limits, signals, environment, descriptors",
	    facts, "own group 1, dies with 1, by 9\nalarm 1\ncpu 7 8\n", 0, 0 },
	{ "what fn_init did to the environment is done, and nothing else",
	    facts, "LAST=\nOF_INIT=1\n6 variables\n", 0, 0 },
	{ "the body is read", echo, "a body\n", 0, 0 },
	{ "standard input is the body's, whatever fn_init has read",
	    reads_stdin, "a body\n", 0, 0 },
	{ "a long reply is whole", large, "line 19999\n", 0, 0 },
	{ "what is printed is printed once", prints, "yes", 0, 0 },
	{ "exit() in a handler", exits, "", 3 << 8, 0 },
	{ "a handler that fails", fails, "500", 1 << 8, 0 },
	{ "a reply that is broken off", breaks_off, "half", SIGABRT, 0 },
	{ "raise() ends this process", raises, "", SIGUSR1, 0 },
	{ "abort() ends this process", aborts, "", SIGABRT, 0 },
	{ "a signal to the thread itself", signals_thread, "", SIGUSR1, 0 },
	{ "SIGTERM ends it", terminated, "", SIGTERM, 0 },
	{ "the alarm ends it", is_late, "", SIGALRM, 50 * 1000 },
	{ "threads, mutexes: recursive, robust, with priorities", threads,
	    "0 1\ndead owner 1\n", 0, 0 },
	{ "the first thread may end before the others", first_thread_ends, "",
	    7 << 8, 0 },
	{ "popen(), system(), fork()", starts_others, "from a shell\n0\n", 0,
	    0 },
	{ "the environment may be changed", changes_environment,
	    "SHARED=handler", 0, 0 },
	{ "memory", allocates, "124716", 0, 0 },
	{ "an empty reply", nothing, "Content-Length: 0", 0, 0 },
};

static char variables[256];

static struct span
environment(void)
{
	int n = snprintf(variables, sizeof(variables),
	    "REQUEST_METHOD=POST%cCONTENT_LENGTH=7%cSHARED=request%c"
	    "REMOVED=1%cLAUNCHER=%d%cLAST=",
	    0, 0, 0, 0, (int)getpid(), 0);

	return span_make(variables, (size_t)n + 1);
}

/* A second one, too: the first has left nothing behind. */
static void
test_alike(void **state)
{
	const struct same *row = *state;
	static struct run executed, forked;
	static struct bed b;
	uint64_t time_us = row->time_us ? row->time_us : TIME_US;

	run_executed(&executed, row->handle, init_rich, environment(),
	    "a body\n", time_us);
	assert_int_equal(executed.status, row->status);
	template_begin(&b, row->handle, init_rich);
	for (int i = 0; i < 2; i++) {
		run_forked(&b, &forked, environment(), "a body\n", time_us);
		assert_string_equal(forked.text, executed.text);
		assert_non_null(strstr(forked.text, row->part));
		assert_int_equal(forked.status, executed.status);
		/* what init has printed is the template's to say */
		assert_null(strstr(forked.log, "by init"));
		if (strncmp(executed.log, "printed by init", 15) == 0)
			assert_string_equal(forked.log, executed.log + 15);
	}
	assert_int_equal(template_end(&b), 0);
	assert_string_equal(b.run.log, "printed by init");
}

/* ---- how a template begins and ends ------------------------------------------------- */

static int
init_plain(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static int
init_refuses(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	fn_log("no table");
	return 9;
}

static void *
waits(void *argument)
{
	pause();
	return argument;
}

static int
init_threads(int argc, char **argv)
{
	pthread_t id;

	(void)argc;
	(void)argv;
	return pthread_create(&id, NULL, waits, NULL);
}

static void *
returns(void *argument)
{
	return argument;
}

static int
init_joins(int argc, char **argv)
{
	pthread_t id[4];

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < COUNT(id); i++)
		if (pthread_create(&id[i], NULL, returns, NULL) != 0)
			return 1;
	for (size_t i = 0; i < COUNT(id); i++)
		pthread_join(id[i], NULL);
	return 0;
}

static void
own_end(int number)
{
	(void)number;
	_exit(5);
}

static int
init_catches(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	signal(SIGTERM, own_end);
	return 0;
}

static void
at_end(void)
{
	printf("at the end");
}

static int
init_at_end(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return atexit(at_end);
}

static int
init_closes(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	return 0;
}

enum then { THEN_NOTHING, THEN_END, THEN_TERM };

struct life {
	const char *sentence;
	init_fn *init;
	enum then then;
	int status;
	bool ready;
	const char *log; /* all of it, or, behind '~', a part */
};

static const struct life lives[] = {
	{ "the end of the socket ends it with 0", init_plain, THEN_END, 0, true,
	    "" },
	{ "SIGTERM ends it with 0", init_plain, THEN_TERM, 0, true, "" },
	{ "it needs no fn_init", NULL, THEN_END, 0, true, "" },
	{ "a fn_init that refuses is its end, without READY", init_refuses,
	    THEN_NOTHING, 9 << 8, false, "no table\n" },
	{ "with a second thread there is no template", init_threads,
	    THEN_NOTHING, 1 << 8, false, "~it has 2 threads" },
	{ "threads that were joined are no harm", init_joins, THEN_END, 0, true,
	    "" },
	{ "a fn_init that takes SIGTERM has it", init_catches, THEN_TERM,
	    5 << 8, true, "" },
	{ "what atexit() was told is done once, by the template", init_at_end,
	    THEN_END, 0, true, "at the end" },
	{ "SIGTERM is no other end", init_at_end, THEN_TERM, 0, true,
	    "at the end" },
	{ "one that closed its descriptors ends with a word", init_closes,
	    THEN_NOTHING, 1 << 8, false, "~cannot be told that this is ready" },
};

static void
test_life(void **state)
{
	const struct life *row = *state;
	static struct run forked;
	static struct bed b;

	template_start(&b, nothing, row->init);
	if (row->ready) {
		expect_ready(b.run.out, TEMPLATE_READY);
		run_forked(&b, &forked, environment(), "", TIME_US);
		assert_int_equal(forked.status, 0);
		assert_string_equal(forked.log, "");
	}
	if (row->then == THEN_END)
		fd_close(&b.control);
	else if (row->then == THEN_TERM)
		kill(b.run.pid, SIGTERM);
	run_end(&b.run);
	assert_int_equal(b.run.status, row->status);
	assert_string_equal(b.run.text, ""); /* but READY */
	if (row->log[0] == '~')
		assert_non_null(strstr(b.run.log, row->log + 1));
	else
		assert_string_equal(b.run.log, row->log);
	fd_close(&b.control);
}

/* ---- what is no order ---------------------------------------------------------------- */

struct packet {
	const char *sentence;
	struct span bytes; /* in place of an order's, when there are any */
	size_t cut, more;  /* else: bytes of it */
	int fds;
	int error;
};

static const struct packet packets[] = {
	{ "one byte", SPAN("x"), 0, 0, 0, EBADMSG },
	{ "one byte with descriptors", SPAN("x"), 0, 0, 3, EBADMSG },
	{ "the answer to itself",
	    SPAN("FRD1\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0"), 0, 0, 3,
	    EBADMSG },
	{ "an order without descriptors", SPAN(""), 0, 0, 0, EBADMSG },
	{ "an order with two", SPAN(""), 0, 0, 2, EBADMSG },
	{ "an order with four", SPAN(""), 0, 0, 4, EBADMSG },
	{ "an order with as many as can be", SPAN(""), 0, 0, FD_PASS_MOST,
	    EBADMSG },
	{ "an order that is cut", SPAN(""), 1, 0, 3, EBADMSG },
	{ "an order with a byte behind it", SPAN(""), 0, 1, 3, EBADMSG },
	{ "a packet that is too long", SPAN(""), 0, TEMPLATE_FORK_MOST, 3,
	    EMSGSIZE },
};

static int
descriptors_of(pid_t pid)
{
	char path[64];
	struct stat list;

	/* Linux 6.2 and later count them here */
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	assert_int_equal(stat(path, &list), 0);
	return (int)list.st_size;
}

static void
test_no_order(void **state)
{
	const struct packet *row = *state;
	const struct template_fork order = { .env = environment() };
	const int fds[FD_PASS_MOST] = { 0, 1, 2, 0, 1, 2, 0, 1 };
	static struct run forked;
	static struct bed b;
	struct template_forked answer;
	struct buf packet;
	int before;

	template_begin(&b, nothing, init_plain);
	before = descriptors_of(b.run.pid);
	buf_init(&packet, 2 * TEMPLATE_FORK_MOST);
	assert_int_equal(template_fork_encode(&packet, &order), 0);
	for (size_t i = 0; i < row->more; i++)
		buf_put_byte(&packet, 'x');
	for (int i = 0; i < 20; i++) {
		say(&b,
		    row->bytes.bytes > 0 ? row->bytes :
					   span_take(buf_span(&packet),
					       buf_bytes(&packet) - row->cut),
		    fds, (size_t)row->fds);
		answer = heard(&b);
		assert_int_equal(answer.pid, -1);
		assert_int_equal(answer.error, row->error);
	}
	buf_free(&packet);
	assert_int_equal(descriptors_of(b.run.pid), before);
	run_forked(&b, &forked, environment(), "", TIME_US);
	assert_int_equal(forked.status, 0);
	assert_non_null(strstr(forked.text, "Content-Length: 0"));
	assert_int_equal(template_end(&b), 0);
}

/* ---- others ------------------------------------------------------------------------- */

static int
init_no_more_processes(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };

	(void)argc;
	(void)argv;
	prctl(PR_SET_DUMPABLE, 1);
	if (setrlimit(RLIMIT_NPROC, &none) != 0)
		return 1;
	/* root may have any number */
	return geteuid() == 0 && syscall(SYS_setresuid, 54321, 54321, 54321);
}

static void
test_no_process(void **state)
{
	static struct bed b;
	struct template_forked forked;
	int fds[3] = { 0, 1, 2 };

	(void)state;
	template_begin(&b, nothing, init_no_more_processes);
	for (int i = 0; i < 3; i++) {
		forked = fork_ask(&b, environment(), fds, 0, 0);
		assert_int_equal(forked.pid, -1);
		assert_int_equal(forked.error, EAGAIN);
	}
	assert_true(template_end(&b) == 0 || SANITIZED);
}

static int
draws(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_printf(r, "%d\n%ld\n%f\n", rand(), random(), drand48());
	return 0;
}

static void
test_random(void **state)
{
	static struct run one, two;
	static struct bed b;
	char *a, *c, *rest_a, *rest_c;

	(void)state;
	template_begin(&b, draws, init_rich);
	run_forked(&b, &one, environment(), "", TIME_US);
	run_forked(&b, &two, environment(), "", TIME_US);
	a = strtok_r(strstr(one.text, "\r\n\r\n"), "\r\n", &rest_a);
	c = strtok_r(strstr(two.text, "\r\n\r\n"), "\r\n", &rest_c);
	for (int i = 0; i < 3; i++) {
		assert_non_null(a);
		assert_non_null(c);
		assert_string_not_equal(a, c);
		a = strtok_r(NULL, "\r\n", &rest_a);
		c = strtok_r(NULL, "\r\n", &rest_c);
	}
	assert_int_equal(template_end(&b), 0);
}

static char story[256];

#define TOLD(name, word)                                                 \
	static void name(void)                                           \
	{                                                                \
		strncat(story, word, sizeof(story) - 1 - strlen(story)); \
	}
TOLD(before_1, " b1")
TOLD(before_2, " b2")
TOLD(template_1, " t1")
TOLD(template_2, " t2")
TOLD(copy_1, " c1")

static void
copy_2(void)
{
	const size_t told = strlen(story);

	/* the environment is there already */
	snprintf(story + told, sizeof(story) - told, " c2%s", getenv("SHARED"));
}

static int
init_hooks(int argc, char **argv)
{
	int many = 2;

	(void)argc;
	(void)argv;
	if (fn_at_fork(before_1, template_1, copy_1) != 0 ||
	    fn_at_fork(before_2, template_2, copy_2) != 0)
		return 1;
	while (fn_at_fork(NULL, NULL, NULL) == 0)
		many++;
	return many == 32 ? 0 : 1;
}

static int
tells(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_printf(r, "[%s]", story);
	return 0;
}

static void
test_hooks(void **state)
{
	static struct run r;
	static struct bed b;

	(void)state;
	template_begin(&b, tells, init_hooks);
	run_forked(&b, &r, environment(), "", TIME_US);
	assert_non_null(strstr(r.text, "[ b2 b1 c1 c2request]"));
	run_forked(&b, &r, environment(), "", TIME_US);
	assert_non_null(strstr(r.text, "[ b2 b1 t1 t2 b2 b1 c1 c2request]"));
	assert_int_equal(template_end(&b), 0);
	run_executed(&r, tells, init_hooks, environment(), "", TIME_US);
	assert_non_null(strstr(r.text, "[]"));
}

static void
end_1(void)
{
	printf("end 1");
}

static void
end_2(void)
{
	printf("end 2 ");
}

static void
end_none(void)
{
}

static int
init_ends(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (fn_at_end(end_1) != 0 || fn_at_end(end_2) != 0)
		return 1;
	for (int i = 2; i < 32; i++)
		if (fn_at_end(end_none) != 0)
			return 1;
	return fn_at_end(end_none) == -1 ? 0 : 1;
}

/* Of what answers, copied or not, and never of the template. */
static void
test_ends(void **state)
{
	static struct run r;
	static struct bed b;

	(void)state;
	template_begin(&b, nothing, init_ends);
	for (int i = 0; i < 2; i++) {
		run_forked(&b, &r, environment(), "", TIME_US);
		assert_int_equal(r.status, 0);
		assert_string_equal(r.log, "end 2 end 1");
	}
	run_forked(&b, &r, environment(), "", TIME_US);
	assert_int_equal(template_end(&b), 0);
	assert_string_equal(b.run.log, "");
	run_executed(&r, nothing, init_ends, environment(), "", TIME_US);
	assert_string_equal(r.log, "end 2 end 1");
}

static const char backwards[] = "tseuqer tsrif eht fo drow eht";

static bool
piece_has(const char *piece, size_t bytes)
{
	const size_t length = sizeof(backwards) - 1;

	for (size_t at = 0; at + length <= bytes; at++) {
		size_t i = 0;

		while (i < length && piece[at + i] == backwards[length - 1 - i])
			i++;
		if (i == length)
			return true;
	}
	return false;
}

/* In all that it could read of its memory. */
static int
remembers(struct fn_request *q, struct fn_reply *r)
{
	static char piece[1 << 20];
	FILE *maps = fopen("/proc/self/maps", "re");
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC), found = 0;
	unsigned long start, end;
	char line[512];
	size_t pieces = 0;

	(void)q;
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx rw", &start, &end) != 2 ||
		    !strstr(line, " rw") || end - start > 64UL << 20)
			continue;
		for (unsigned long at = start; at < end; at += sizeof(piece)) {
			ssize_t n =
			    pread(memory, piece, sizeof(piece), (off_t)at);

			pieces += n > 0;
			found += n > 0 && piece_has(piece, (size_t)n);
		}
	}
	fn_reply_printf(r, "%s, found %s", pieces > 3 ? "searched" : "blind",
	    found ? "it" : "nothing");
	return 0;
}

/* Though both came through the template. */
static void
test_knows_no_other(void **state)
{
	static char first[300];
	static struct run r;
	static struct bed b;
	size_t filled = 200, length = sizeof(backwards) - 1;

	(void)state;
	template_begin(&b, remembers, init_plain);
	memset(first, 'x', sizeof(first));
	memcpy(first, "FILLED=", 7);
	for (size_t i = 0; i < length; i++)
		first[filled + i] = backwards[length - 1 - i];
	first[filled + length] = '\0';
	run_forked(&b, &r, span_make(first, filled + length + 1), "", TIME_US);
	assert_non_null(strstr(r.text, "searched, found it"));
	run_forked(&b, &r, span_make("A=b", 4), "", TIME_US);
	assert_non_null(strstr(r.text, "searched, found nothing"));
	assert_int_equal(template_end(&b), 0);
}

static void
late_thread(void)
{
	pthread_t id;

	pthread_create(&id, NULL, waits, NULL);
}

static int
init_late_thread(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return fn_at_fork(NULL, late_thread, NULL);
}

/* Begun by a hook: the next order finds it. */
static void
test_late_thread(void **state)
{
	const struct template_fork order = { .env = environment() };
	static struct run r;
	static struct bed b;
	struct buf packet;
	int fds[3] = { 0, 1, 2 };

	(void)state;
	template_begin(&b, nothing, init_late_thread);
	run_forked(&b, &r, environment(), "", TIME_US);
	assert_int_equal(r.status, 0);
	buf_init(&packet, 4096);
	template_fork_encode(&packet, &order);
	say(&b, buf_span(&packet), fds, 3);
	buf_free(&packet);
	run_end(&b.run);
	assert_int_equal(b.run.status, 1 << 8);
	assert_non_null(strstr(b.run.log, "it has 2 threads"));
	fd_close(&b.control);
}

/* Its own worker's life, behind a template. */
static void
test_worker(void **state)
{
	static struct run r;
	static struct bed b;
	char path[64];
	struct template_forked forked;
	int fds[3], listener;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/sdk_template.%d", (int)getpid());
	listener = fd_listen_unix(path, SOCK_STREAM, 0600, (gid_t)-1);
	unlink(path);
	assert_true(listener >= 0);
	assert_int_equal(fd_nonblock(listener, false), 0);
	template_begin(&b, nothing, init_rich);
	run_streams(&r, "", fds);
	close(fds[0]);
	fds[0] = listener;
	forked = fork_ask(&b, SPAN("FN_WORKER=1\0"), fds, 0, 0);
	r.pid = forked.pid;
	close(fds[1]);
	close(fds[2]);
	expect_ready(r.out, "fn-worker 1 ready\n");
	assert_int_equal(shutdown(listener, SHUT_RD), 0);
	close(listener);
	run_end(&r);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.log, "");
	assert_int_equal(template_end(&b), 0);
}

/* The launcher may be killed; what runs has been told whether to stay. */
static void
test_orders_in_a_row(void **state)
{
	static struct bed b;
	const struct template_fork order = { .invocation = 1,
		.env = environment() };
	struct buf packet;
	int fds[3];
	static struct run r;

	(void)state;
	template_begin(&b, nothing, init_plain);
	buf_init(&packet, 4096);
	template_fork_encode(&packet, &order);
	run_streams(&r, "", fds);
	for (int i = 0; i < 5; i++)
		say(&b, buf_span(&packet), fds, 3);
	buf_free(&packet);
	close_all(fds);
	for (int i = 0; i < 5; i++) {
		struct template_forked forked = heard(&b);

		assert_true(forked.pid > 1);
		assert_int_equal(reap(forked.pid), 0);
	}
	read_all(&r.out, r.text, sizeof(r.text));
	read_all(&r.err, r.log, sizeof(r.log));
	assert_int_equal(template_end(&b), 0);
}

static long
resident_pages(pid_t pid)
{
	char path[64], text[128] = "";
	long pages;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_int_equal(sscanf(text, "%*d %ld", &pages), 1);
	return pages;
}

static void
test_wears_not_out(void **state)
{
	const char *full = getenv("TORTURE");
	int rounds = full && full[0] == '1' ? 10000 : 2000, descriptors = 0;
	static struct bed b;
	long pages = 0, more;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fds[3] = { null, null, null };

	(void)state;
	template_begin(&b, nothing, init_hooks);
	for (int i = 0; i < rounds; i++) {
		struct template_forked forked =
		    fork_ask(&b, environment(), fds, TIME_US, CPU_S);

		assert_int_equal(reap(forked.pid), 0);
		if (i == 100) {
			pages = resident_pages(b.run.pid);
			descriptors = descriptors_of(b.run.pid);
		}
	}
	more = resident_pages(b.run.pid) - pages;
	assert_in_range(more, 0, SANITIZED ? rounds / 20 : 0);
	assert_int_equal(descriptors_of(b.run.pid), descriptors);
	close(null);
	assert_int_equal(template_end(&b), 0);
}

/* ---- memory ---------------------------------------------------------------------------- */

/* Of the mapping that begins there, in KiB. */
static long
huge_kib(const void *at)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	char line[512];
	unsigned long start, end;
	bool here = false;
	long kib = -1;

	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (uintptr_t)at && (uintptr_t)at < end;
		else if (here && sscanf(line, "AnonHugePages: %ld", &kib) == 1)
			break;
	}
	fclose(maps);
	return kib;
}

static bool
system_has_huge(void)
{
	char text[128] = "";
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled",
	    O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return false;
	close(fd);
	return strstr(text, "[never]") == NULL;
}

static void
test_huge(void **state)
{
	static const size_t sizes[] = { 0, 1, 2 << 20, (2 << 20) + 1,
		16 << 20 };

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		char *at = fn_alloc_huge(sizes[i]);

		assert_non_null(at);
		assert_int_equal((uintptr_t)at % (2 << 20), 0);
		for (size_t n = 0; n < sizes[i]; n += 512)
			assert_int_equal(at[n], 0);
		memset(at, 'x', sizes[i]);
		/* there may be none left; some is what the call can do */
		if (sizes[i] == 16 << 20 && system_has_huge())
			assert_true(huge_kib(at) > 0);
		fn_free_huge(at, sizes[i]);
		errno = 0;
		assert_int_equal(msync(at, 4096, MS_ASYNC), -1);
		assert_int_equal(errno, ENOMEM); /* nothing is there */
	}
	assert_null(fn_alloc_huge(SIZE_MAX));
	assert_int_equal(errno, ENOMEM);
	assert_null(fn_alloc_huge(SIZE_MAX - (3 << 20)));
	assert_null(fn_alloc_huge(SIZE_MAX / 2));
	fn_free_huge(NULL, 1);
}

static const struct CMUnitTest others[] = {
	{ "where no process can be made, that is the answer", test_no_process,
	    NULL, NULL, NULL },
	{ "each copy draws its own random numbers", test_random, NULL, NULL,
	    NULL },
	{ "hooks are called in the template and in the copy, in their order",
	    test_hooks, NULL, NULL, NULL },
	{ "a copy finds nothing of another's request in its memory",
	    test_knows_no_other, NULL, NULL, NULL },
	{ "what is for the end is called by what answers, not the template",
	    test_ends, NULL, NULL, NULL },
	{ "a thread that a hook begins ends the template", test_late_thread,
	    NULL, NULL, NULL },
	{ "with a listening socket a copy is a worker", test_worker, NULL, NULL,
	    NULL },
	{ "orders that wait are carried out one by one", test_orders_in_a_row,
	    NULL, NULL, NULL },
	{ "thousands of copies leave it as it was", test_wears_not_out, NULL,
	    NULL, NULL },
	{ "memory in huge pages: aligned, zeroed, given back", test_huge, NULL,
	    NULL, NULL },
};

int
main(void)
{
	return RUN_ROWS(alike, test_alike) + RUN_ROWS(lives, test_life) +
	    RUN_ROWS(packets, test_no_order) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
