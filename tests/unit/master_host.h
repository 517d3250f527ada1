/* SPDX-License-Identifier: MIT */
/* master_host.h - the real master in a place of its own, with fake children, and
 * the questions a test asks of it. */
#ifndef MASTER_HOST_H
#define MASTER_HOST_H

#include "master_fakes.h"

struct host {
	struct place *place;
	pid_t pid;
	int out; /* its stdout */
	int err; /* its stderr */
	char functions[128];
	char run[128];
	char libexec[128];
	char config[128];
};

static inline void
make_directory(const struct host *h, const char *name)
{
	assert_int_equal(mkdirat(h->place->fd, name, 0755), 0);
}

static inline int
host_make(void **state)
{
	static const char *const names[] = { "fcgi-host-gateway",
		"fcgi-host-log", "fcgi-host-state", "fcgi-host-cell" };
	struct host *h = calloc(1, sizeof(*h));
	void *place = NULL;
	char self[4096] = "", path[256];

	if (!h || place_make(&place) != 0 ||
	    readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return -1;
	h->place = place;
	h->pid = h->out = h->err = -1;
	snprintf(h->functions, sizeof(h->functions), "%s/functions",
	    h->place->path);
	snprintf(h->run, sizeof(h->run), "%s/run", h->place->path);
	snprintf(h->libexec, sizeof(h->libexec), "%s/libexec", h->place->path);
	snprintf(h->config, sizeof(h->config), "%s/host.conf", h->place->path);
	make_directory(h, "functions");
	make_directory(h, "functions/acme");
	make_directory(h, "functions/failing");
	make_directory(h, "functions/dying");
	make_directory(h, "libexec");
	/* copies, not links: the gateway's user need not reach our build */
	for (size_t i = 0; i < COUNT(names); i++) {
		char command[8192];

		snprintf(path, sizeof(path), "%s/%s", h->libexec, names[i]);
		snprintf(command, sizeof(command), "cp '%s' '%s'", self, path);
		if (system(command) != 0)
			return -1;
	}
	place_write(h->place, "host.conf", "drain = \"20000ms\";\n", 0644);
	*state = h;
	return 0;
}

static inline void
host_start(struct host *h)
{
	int out[2], err[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	h->pid = fork();
	if (h->pid == 0) {
		const struct arguments arguments = {
			.directory = h->place->path,
			.config_file = "host.conf",
			.functions = "functions",
			.run = h->run,
			.libexec = h->libexec,
			.verbose = true,
		};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		diag_init("fcgi-host");
		diag_verbose(1);
		exit(serve(&arguments));
	}
	assert_true(h->pid > 0);
	close(out[1]);
	close(err[1]);
	h->out = out[0];
	h->err = err[0];
}

/* Reads until the words come; all that was read is in text. False at the end
 * of the stream. */
static inline bool
await_words(int fd, const char *words, char *text, size_t room)
{
	uint64_t until_ms = clock_ms() + DEADLINE_MS;
	size_t used = 0;

	text[0] = '\0';
	while (clock_ms() < until_ms) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&ready, 1, DEADLINE_MS) <= 0)
			break;
		n = read(fd, text + used, room - 1 - used);
		if (n <= 0)
			return false;
		used += (size_t)n;
		text[used] = '\0';
		if (strstr(text, words))
			return true;
	}
	return false;
}

static inline void
host_ready(struct host *h)
{
	char text[LINE_MOST];

	if (await_words(h->out, "ready: ", text, sizeof(text)))
		return;
	await_words(h->err, "\n\n", text, sizeof(text));
	fail_msg("not ready: %s", text);
}

static inline int
host_connect(const struct host *h)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/front.sock", h->run);
	fd = fd_connect_unix(path, SOCK_STREAM);
	assert_true(fd >= 0);
	assert_int_equal(fd_nonblock(fd, false), 0);
	return fd;
}

/* What the gateway of now answers, whichever process that is; NULL when it
 * ends meanwhile. */
static inline const char *
ask_once(const struct host *h, const char *line)
{
	static char answer[LINE_MOST];
	size_t used = 0;
	ssize_t n;
	int fd = host_connect(h);

	n = write(fd, line, strlen(line));
	while (n > 0) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };

		assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
		n = read(fd, answer + used, sizeof(answer) - used);
		if (n > 0 && answer[(used += (size_t)n) - 1] == '\0')
			break;
	}
	close(fd);
	return n > 0 ? answer : NULL;
}

static inline const char *
ask(const struct host *h, const char *line)
{
	uint64_t until_ms = clock_ms() + DEADLINE_MS;
	const char *answer;

	while (!(answer = ask_once(h, line)))
		assert_true(clock_ms() < until_ms);
	return answer;
}

static inline void
assert_says(const struct host *h, const char *line, const char *words)
{
	const char *answer = ask(h, line);

	if (!strstr(answer, words))
		fail_msg("%s: %s, without \"%s\"", line, answer, words);
}

/* The value of a line "key=value" in what `status` says. */
static inline long
status_of(const struct host *h, const char *key)
{
	const char *at = strstr(ask(h, "status"), key);

	assert_non_null(at);
	return strtol(at + strlen(key), NULL, 10);
}

/* None, nor what was in it: that is looked for in the batch after. */
static inline void
await_no_cell(const struct host *h)
{
	uint64_t until_ms = clock_ms() + DEADLINE_MS;

	while (status_of(h, "cells=") > 0)
		assert_true(clock_ms() < until_ms);
	status_of(h, "cells=");
}

static inline int
host_await_end(struct host *h)
{
	uint64_t until_ms = clock_ms() + DEADLINE_MS;
	int status = -1;

	/* the pipe closes when nobody who inherited it is left */
	while (clock_ms() < until_ms) {
		struct pollfd ready = { .fd = h->err, .events = POLLIN };
		char text[4096];

		if (poll(&ready, 1, DEADLINE_MS) > 0 &&
		    read(h->err, text, sizeof(text)) <= 0)
			break;
	}
	if (clock_ms() >= until_ms)
		kill(h->pid, SIGKILL);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	h->pid = -1;
	fd_close(&h->out);
	fd_close(&h->err);
	return status;
}

/* We are subreaper: whoever outlives master is our child now, and must end. */
static inline void
assert_nothing_lives(void)
{
	uint64_t until_ms = clock_ms() + DEADLINE_MS;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0)
		if (clock_ms() > until_ms)
			fail_msg("something survived");
		else if (pid == 0)
			poll(NULL, 0, 1);
	assert_int_equal(errno, ECHILD);
}

static inline int
host_remove(void **state)
{
	struct host *h = *state;
	void *place = h->place;

	if (h->pid > 0) {
		kill(h->pid, SIGKILL);
		host_await_end(h);
	}
	assert_nothing_lives();
	free(h);
	return place_remove(&place);
}

static inline bool
exists(const struct host *h, const char *name, mode_t *mode)
{
	struct stat s;

	if (fstatat(h->place->fd, name, &s, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	*mode = s.st_mode & 07777;
	return true;
}

#define WITH_A_HOST(test) \
	cmocka_unit_test_setup_teardown(test, host_make, host_remove)

/* For main(): plays the fake it was started as, or runs the tests. */
#define RUN_WITH_FAKES(tests, argc, argv)           \
	(fake_play(argc, argv), host_tests_begin(), \
	    cmocka_run_group_tests(tests, NULL, NULL))

static inline void
host_tests_begin(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
}

#endif
