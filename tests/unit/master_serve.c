/* SPDX-License-Identifier: MIT */
/* If this fails, the host does not start, does not come back after one of its
 * processes died, or leaves something behind.
 * The master is the real one; gateway, log and cell are this program under
 * their names. The fake gateway takes lines from the test on the front socket,
 * says what they ask to master, and answers with what came back. */

#include "place.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"

#include "master/master.h"

enum {
	DEADLINE_MS = 20000, /* for anything that is waited for */
	LINE_MOST = 65536,
};

/* ---- the fake children -------------------------------------------------------- */

static struct {
	unsigned long long generation;
	bool wired;
	char moved[64];	   /* tenant of the last TENANT_MOVED */
	bool stubborn;	   /* does not end when drained */
	int cell;	   /* channel to the last cell, -1: none */
	char refused[256]; /* the last reason against a tenant */
	char key[65];	   /* in hexadecimal */
} fake = { .cell = -1 };

static void
fake_send(enum message_type type, const void *message)
{
	if (peer_send_now(PEER_FIRST_FD, type, message, NULL, 0) != 0)
		_exit(9);
}

static void
fake_ready(void)
{
	static const struct message_ready ready;

	fake_send(MESSAGE_READY, &ready);
}

/* One message from master; what every child does with it, or its type. */
static enum message_type
fake_receive(enum role own, struct span *body, int *fds, size_t *count)
{
	enum message_type type;

	type =
	    peer_receive_now(PEER_FIRST_FD, own, ROLE_MASTER, body, fds, count);
	if (type == MESSAGE_NONE)
		_exit(8); /* master is gone */
	if (type == MESSAGE_CONFIG) {
		struct message_config config;
		struct config *options;

		if (message_config_decode(*body, &config) != 0)
			_exit(7);
		options = config_decode(config.options);
		if (!options ||
		    (own != ROLE_GATEWAY && options->tenants.count > 0))
			_exit(7); /* tenants' secrets are not for all */
		config_release(&options);
		fake.generation = config.generation;
	}
	if (type == MESSAGE_KEY) {
		struct message_key key;

		if (message_key_decode(*body, &key) != 0 || key.key.bytes != 32)
			_exit(7);
		for (size_t i = 0; i < 32; i++)
			snprintf(fake.key + 2 * i, 3, "%02x",
			    (uint8_t)key.key.data[i]);
	}
	if (type == MESSAGE_TENANT_NONE) {
		struct message_tenant_none none;

		message_tenant_none_decode(*body, &none);
		snprintf(fake.refused, sizeof(fake.refused), "%.*s",
		    SPAN_ARGS(none.reason));
	}
	if (type == MESSAGE_TENANT_MOVED) {
		struct message_tenant_moved moved;

		message_tenant_moved_decode(*body, &moved);
		snprintf(fake.moved, sizeof(fake.moved), "%.*s",
		    SPAN_ARGS(moved.tenant));
	}
	if (type == MESSAGE_SPOOL) {
		dup2(fds[0], 6);
		fd_close(&fds[0]);
	}
	if (type == MESSAGE_WIRE) {
		fake.wired = true;
		fd_close(&fds[0]);
	}
	if (type == MESSAGE_DRAIN && !fake.stubborn)
		_exit(0);
	return type;
}

/* Log is ready when it is configured; "log" of the test may forbid that. */
static void
fake_log(void)
{
	int fds[FD_PASS_MOST];
	struct span body;
	size_t count;

	do
		fake_receive(ROLE_LOG, &body, fds, &count);
	while (!fake.wired || fake.generation == 0);
	fake_ready();
	for (;;)
		if (fake_receive(ROLE_LOG, &body, fds, &count) ==
		    MESSAGE_REOPEN)
			close(openat(4, "reopened", O_CREAT | O_WRONLY, 0600));
}

/* Ready when it is configured and has its key; descriptors as contracted: 4
 * listener, 5 its directory. */
static void
fake_state(void)
{
	int fds[FD_PASS_MOST];
	struct span body;
	size_t count;

	if (fcntl(4, F_GETFD) < 0 || faccessat(5, ".", W_OK, AT_EACCESS) != 0)
		_exit(5);
	while (!fake.wired || fake.generation == 0 || !fake.key[0])
		fake_receive(ROLE_STATE, &body, fds, &count);
	if (write(openat(5, "key", O_CREAT | O_WRONLY | O_APPEND, 0600),
		fake.key, sizeof(fake.key)) != sizeof(fake.key))
		_exit(4);
	fake_ready();
	for (;;)
		fake_receive(ROLE_STATE, &body, fds, &count);
}

/* Behaves as its tenant is called. */
static void
fake_cell(void)
{
	struct message_cell_failed failed = { .reason = SPAN("no such luck") };
	int fds[FD_PASS_MOST], gateway;
	struct message_cell cell;
	struct config *options;
	struct pollfd both[2];
	struct span body;
	pid_t function;
	size_t count;
	char text[256];
	bool rough;

	if (fake_receive(ROLE_CELL, &body, fds, &count) != MESSAGE_CELL ||
	    message_cell_decode(body, &cell) != 0)
		_exit(6);
	gateway = fds[1];
	fd_close(&fds[0]);
	if (span_equal(cell.tenant, SPAN("failing"))) {
		fake_send(MESSAGE_CELL_FAILED, &failed);
		_exit(1);
	}
	if (span_equal(cell.tenant, SPAN("dying")))
		_exit(3);
	rough = span_equal(cell.tenant, SPAN("rough"));
	fake_ready(); /* first: it ends us when master is gone */
	function = fork();
	if (function == 0) {
		/* what a function may do: live on in a session of its own */
		setsid();
		close(PEER_FIRST_FD);
		close(gateway);
		for (;;)
			pause();
	}
	options = config_decode(cell.options);
	if (!options)
		_exit(4);
	count = (size_t)snprintf(text, sizeof(text), "%d %u generation=%u",
	    getpid(), (unsigned)cell.uid, (unsigned)options->generation);
	for (size_t i = 0; i < options->tenants.count; i++)
		count += (size_t)snprintf(text + count, sizeof(text) - count,
		    " %s has %s", options->tenants.items[i].name,
		    options->tenants.items[i].env.items[0]);
	fd_send(gateway, span_make(text, count), NULL, 0);
	both[0] = (struct pollfd){ .fd = PEER_FIRST_FD, .events = POLLIN };
	both[1] = (struct pollfd){ .fd = gateway, .events = POLLIN };
	poll(both, 2, -1);
	kill(function, SIGKILL);
	_exit(rough ? 9 : 0);
}

/* The gateway waits for a type from master and gives its body. */
static enum message_type
fake_await(enum message_type a, enum message_type b, struct span *body,
    int *fds)
{
	enum message_type type;
	size_t count;

	do
		type = fake_receive(ROLE_GATEWAY, body, fds, &count);
	while (type != a && type != b);
	return type;
}

static void
fake_gateway_ask(const char *tenant, char *answer)
{
	struct message_tenant_ask ask = { .tenant = span_of(tenant) };
	struct message_tenant_cell cell;
	struct message_tenant_none none;
	int fds[FD_PASS_MOST];
	struct span body;

	fake.refused[0] = '\0';
	fake_send(MESSAGE_TENANT_ASK, &ask);
	if (fake_await(MESSAGE_TENANT_CELL, MESSAGE_TENANT_NONE, &body, fds) ==
	    MESSAGE_TENANT_CELL) {
		message_tenant_cell_decode(body, &cell);
		fake.cell = fds[0]; /* one before stays open as well */
		snprintf(answer, LINE_MOST, "cell uid=%u directory=%.*s",
		    cell.uid, SPAN_ARGS(cell.directory));
		return;
	}
	message_tenant_none_decode(body, &none);
	snprintf(answer, LINE_MOST, "none refused=%u %.*s", none.refused,
	    SPAN_ARGS(none.reason));
}

/* What the cell said first, or "gone". */
static void
fake_gateway_hear(char *answer)
{
	struct pollfd ready = { .fd = fake.cell, .events = POLLIN };
	ssize_t n;

	if (poll(&ready, 1, DEADLINE_MS) <= 0) {
		snprintf(answer, LINE_MOST, "%s", "silence");
		return;
	}
	n = recv(fake.cell, answer, 200, 0);
	if (n > 0)
		answer[n] = '\0';
	else
		snprintf(answer, LINE_MOST, "%s", "gone");
}

static void
fake_gateway_says(char *answer)
{
	struct message_master_says says;
	int fds[FD_PASS_MOST];
	struct span body;

	fake_await(MESSAGE_MASTER_SAYS, MESSAGE_MASTER_SAYS, &body, fds);
	message_master_says_decode(body, &says);
	snprintf(answer, LINE_MOST, "failed=%u\n%.*s", says.failed,
	    SPAN_ARGS(says.text));
}

static void
fake_gateway_obey(const char *line, char *answer)
{
	struct message_cell_kill kill_it = { .reason = SPAN("a test") };
	struct message_tenant_check check;
	struct message_master_status_ask status = { .ask = 7 };
	struct message_reload reload_it = { .ask = 8 };
	struct message_tenants_ask names = { .ask = 9 };
	struct message_tenants tenants;
	int fds[FD_PASS_MOST];
	struct span body;

	snprintf(answer, LINE_MOST, "%s", "ok");
	if (strncmp(line, "ask ", 4) == 0)
		fake_gateway_ask(line + 4, answer);
	else if (strcmp(line, "hear") == 0)
		fake_gateway_hear(answer);
	else if (strcmp(line, "refused") == 0) {
		/* it may have come before it was asked for */
		if (!fake.refused[0])
			fake_await(MESSAGE_TENANT_NONE, MESSAGE_TENANT_NONE,
			    &body, fds);
		snprintf(answer, LINE_MOST, "%s", fake.refused);
	} else if (strncmp(line, "kill ", 5) == 0) {
		kill_it.tenant = span_of(line + 5);
		fake_send(MESSAGE_CELL_KILL, &kill_it);
	} else if (strncmp(line, "check ", 6) == 0) {
		check.tenant = span_of(line + 6);
		fake_send(MESSAGE_TENANT_CHECK, &check);
	} else if (strcmp(line, "moved") == 0) {
		if (!fake.moved[0])
			fake_await(MESSAGE_TENANT_MOVED, MESSAGE_TENANT_MOVED,
			    &body, fds);
		snprintf(answer, LINE_MOST, "moved %s", fake.moved);
	} else if (strcmp(line, "leave") == 0) {
		fd_close(&fake.cell);
	} else if (strcmp(line, "status") == 0) {
		fake_send(MESSAGE_MASTER_STATUS_ASK, &status);
		fake_gateway_says(answer);
	} else if (strcmp(line, "reload") == 0) {
		fake_send(MESSAGE_RELOAD, &reload_it);
		fake_gateway_says(answer);
	} else if (strcmp(line, "names") == 0) {
		fake_send(MESSAGE_TENANTS_ASK, &names);
		fake_await(MESSAGE_TENANTS, MESSAGE_TENANTS, &body, fds);
		message_tenants_decode(body, &tenants);
		for (size_t i = 0; i < tenants.names.bytes; i++)
			answer[i] =
			    tenants.names.data[i] ? tenants.names.data[i] : ' ';
		answer[tenants.names.bytes] = '\0';
	} else if (strcmp(line, "generation") == 0)
		snprintf(answer, LINE_MOST, "%llu", fake.generation);
	else if (strcmp(line, "key") == 0)
		snprintf(answer, LINE_MOST, "%s", fake.key);
	else if (strcmp(line, "pid") == 0)
		snprintf(answer, LINE_MOST, "%d", getpid());
	else if (strcmp(line, "stubborn") == 0)
		fake.stubborn = true;
	else if (strcmp(line, "nonsense") == 0)
		send(PEER_FIRST_FD, "nonsense", 8, 0);
	else if (strcmp(line, "spool") == 0) {
		int fd = openat(6, "body", O_CREAT | O_RDWR | O_CLOEXEC, 0600);

		if (fd < 0)
			snprintf(answer, LINE_MOST, "%s", strerror(errno));
		fd_close(&fd);
		unlinkat(6, "body", 0);
	} else if (strcmp(line, "user") == 0)
		snprintf(answer, LINE_MOST, "%u %u", getuid(), getgid());
	else
		snprintf(answer, LINE_MOST, "%s", "what?");
}

/* Descriptors as contracted: 4 front, 5 control, 6 spool. */
static void
fake_gateway(void)
{
	struct pollfd ready[] = { { .fd = PEER_FIRST_FD, .events = POLLIN },
		{ .fd = 4, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
	static char answer[LINE_MOST];
	int fds[FD_PASS_MOST];
	struct span body;
	char line[256];
	size_t count;
	ssize_t n;

	if (fcntl(5, F_GETFD) < 0 || faccessat(6, ".", W_OK, AT_EACCESS) != 0)
		_exit(5);
	while (!fake.wired || fake.generation == 0 || !fake.key[0])
		fake_receive(ROLE_GATEWAY, &body, fds, &count);
	fake_ready();
	for (;;) {
		poll(ready, 3, -1);
		if (ready[0].revents)
			fake_receive(ROLE_GATEWAY, &body, fds, &count);
		if (ready[1].revents && ready[2].fd < 0)
			ready[2].fd = accept(4, NULL, NULL);
		if (!ready[2].revents)
			continue;
		n = read(ready[2].fd, line, sizeof(line) - 1);
		ready[2].revents = 0;
		if (n <= 0) {
			fd_close(&ready[2].fd);
			continue;
		}
		line[n] = '\0';
		fake_gateway_obey(line, answer);
		fd_write_all(ready[2].fd,
		    span_make(answer, strlen(answer) + 1));
	}
}

/* ---- the host under test -------------------------------------------------------- */

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

static void
make_directory(const struct host *h, const char *name)
{
	assert_int_equal(mkdirat(h->place->fd, name, 0755), 0);
}

static int
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

static void
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
static bool
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

static void
host_ready(struct host *h)
{
	char text[LINE_MOST];

	if (await_words(h->out, "ready: ", text, sizeof(text)))
		return;
	await_words(h->err, "\n\n", text, sizeof(text));
	fail_msg("not ready: %s", text);
}

static int
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
static const char *
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

static const char *
ask(const struct host *h, const char *line)
{
	uint64_t until_ms = clock_ms() + DEADLINE_MS;
	const char *answer;

	while (!(answer = ask_once(h, line)))
		assert_true(clock_ms() < until_ms);
	return answer;
}

static void
assert_says(const struct host *h, const char *line, const char *words)
{
	const char *answer = ask(h, line);

	if (!strstr(answer, words))
		fail_msg("%s: %s, without \"%s\"", line, answer, words);
}

/* The value of a line "key=value" in what `status` says. */
static long
status_of(const struct host *h, const char *key)
{
	const char *at = strstr(ask(h, "status"), key);

	assert_non_null(at);
	return strtol(at + strlen(key), NULL, 10);
}

/* None, nor what was in it: that is looked for in the batch after. */
static void
await_no_cell(const struct host *h)
{
	uint64_t until_ms = clock_ms() + DEADLINE_MS;

	while (status_of(h, "cells=") > 0)
		assert_true(clock_ms() < until_ms);
	status_of(h, "cells=");
}

static int
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
static void
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

static int
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

/* ---- the tests --------------------------------------------------------------------- */

static bool
exists(const struct host *h, const char *name, mode_t *mode)
{
	struct stat s;

	if (fstatat(h->place->fd, name, &s, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	*mode = s.st_mode & 07777;
	return true;
}

static void
it_is_ready_and_ends_and_leaves_nothing(void **state)
{
	struct host *h = *state;
	char text[64];
	mode_t mode = 0;

	host_start(h);
	host_ready(h);
	assert_true(exists(h, "run/front.sock", &mode));
	assert_int_equal(mode, 0660);
	assert_true(exists(h, "run/control.sock", &mode));
	assert_int_equal(mode, 0666);
	assert_true(exists(h, "run/spool", &mode));
	assert_int_equal(mode, 0700);
	assert_true(exists(h, "run/log", &mode));
	assert_int_equal(mode, 0750);
	assert_true(exists(h, "run/state.sock", &mode));
	assert_int_equal(mode, 0660);
	assert_true(exists(h, "run/state", &mode));
	assert_int_equal(mode, 0700);
	assert_true(exists(h, "run/fn", &mode));
	assert_int_equal(mode & ~(mode_t)020, 0755);
	place_read(h->place, "run/pid", text, sizeof(text));
	assert_int_equal(strtol(text, NULL, 10), h->pid);
	assert_says(h, "generation", "1");
	assert_says(h, "user", geteuid() == 0 ? "70001 70001" : "");

	kill(h->pid, SIGTERM);
	assert_int_equal(host_await_end(h), 0);
	assert_nothing_lives();
	assert_false(exists(h, "run/front.sock", &mode));
	assert_false(exists(h, "run/control.sock", &mode));
	assert_false(exists(h, "run/state.sock", &mode));
	assert_false(exists(h, "run/pid", &mode));
}

static void
a_second_master_is_refused(void **state)
{
	struct host *h = *state, other = *h;
	char text[LINE_MOST];
	int status;

	host_start(h);
	host_ready(h);
	host_start(&other);
	assert_true(await_words(other.err, "another fcgi-host (pid ", text,
	    sizeof(text)));
	assert_non_null(strstr(text, "--run"));
	status = host_await_end(&other);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_says(h, "pid", ""); /* the first one serves on */
}

static void
a_killed_gateway_is_replaced_on_the_same_socket(void **state)
{
	struct host *h = *state;
	long before;

	host_start(h);
	host_ready(h);
	before = strtol(ask(h, "pid"), NULL, 10);
	assert_int_equal(before, status_of(h, "gateway.pid="));
	kill((pid_t)before, SIGKILL);
	/* the listener is master's: who connects now is answered later */
	while (strtol(ask(h, "pid"), NULL, 10) == before)
		;
	assert_int_equal(status_of(h, "gateway.restarts="), 1);
	assert_int_equal(status_of(h, "log.restarts="), 0);
	assert_says(h, "ask acme", "cell ");
}

static void
a_killed_log_is_replaced(void **state)
{
	struct host *h = *state;

	host_start(h);
	host_ready(h);
	kill((pid_t)status_of(h, "log.pid="), SIGKILL);
	while (status_of(h, "log.restarts=") == 0)
		;
	while (!strstr(ask(h, "status"), "log.state=up"))
		;
	assert_int_equal(status_of(h, "gateway.restarts="), 0);
}

/* One key for as long as master lives, whoever else dies. */
static void
a_killed_state_is_replaced_and_keys_agree(void **state)
{
	struct host *h = *state;
	char key[65], keys[200];

	host_start(h);
	host_ready(h);
	snprintf(key, sizeof(key), "%s", ask(h, "key"));
	assert_int_equal(strlen(key), 64);
	kill((pid_t)status_of(h, "state.pid="), SIGKILL);
	while (status_of(h, "state.restarts=") == 0)
		;
	while (!strstr(ask(h, "status"), "state.state=up"))
		;
	assert_int_equal(status_of(h, "gateway.restarts="), 0);
	assert_int_equal(status_of(h, "log.restarts="), 0);
	kill((pid_t)status_of(h, "gateway.pid="), SIGKILL);
	assert_string_equal(ask(h, "key"), key);
	assert_int_equal(status_of(h, "state.restarts="), 1);
	place_read(h->place, "run/state/key", keys, sizeof(keys));
	assert_int_equal(strncmp(keys, key, 64), 0);
	assert_int_equal(strncmp(keys + 65, key, 64), 0);
}

static void
a_gateway_that_speaks_nonsense_is_replaced(void **state)
{
	struct host *h = *state;
	char text[LINE_MOST];
	const char *lived;
	uint64_t from_ms;
	long before;

	host_start(h);
	host_ready(h);
	before = strtol(ask(h, "pid"), NULL, 10);
	from_ms = clock_ms();
	while (clock_ms() < from_ms + 100)
		ask(h, "pid");
	ask_once(h, "nonsense");
	while (strtol(ask(h, "pid"), NULL, 10) == before)
		;
	assert_int_equal(status_of(h, "gateway.restarts="), 1);
	/* as a process, not since it was found to be broken */
	assert_true(await_words(h->err, "gateway gone: pid=", text,
	    sizeof(text)));
	lived = strstr(strstr(text, "gateway gone: pid="), " lived=");
	assert_non_null(lived);
	assert_true(strtod(lived + sizeof(" lived=") - 1, NULL) >= 0.1);
}

static void
a_tenant_gets_a_cell_and_loses_it(void **state)
{
	struct host *h = *state;
	bool own_pids;

	host_start(h);
	host_ready(h);
	assert_says(h, "ask acme", "/functions/acme");
	own_pids = strstr(ask(h, "status"), "\nenforced=processes") != NULL;
	if (own_pids)
		assert_says(h, "hear", "1 "); /* first of its namespace */
	else
		ask(h, "hear");
	assert_int_equal(status_of(h, "cells="), 1);
	assert_says(h, "kill acme", "ok");
	assert_says(h, "hear", "gone");
	await_no_cell(h);
	/* and the next one comes at once */
	assert_says(h, "ask acme", "cell ");
	ask(h, "hear");
	assert_int_equal(status_of(h, "cells="), 1);
	kill(h->pid, SIGTERM);
	assert_int_equal(host_await_end(h), 0);
	assert_nothing_lives(); /* nor the cell's own children */
}

static void
no_tenant_is_a_clear_answer(void **state)
{
	struct host *h = *state;

	host_start(h);
	host_ready(h);
	assert_says(h, "ask nobody", "none refused=0 there is no directory");
	assert_says(h, "ask ..", "none refused=0");
	assert_int_equal(symlinkat("/etc", h->place->fd, "functions/etc"), 0);
	assert_says(h, "ask etc", "none refused=1");
	assert_int_equal(status_of(h, "cells="), 0);
}

static void
a_cell_that_cannot_be_built_is_told_and_not_tried_at_once(void **state)
{
	struct host *h = *state;

	host_start(h);
	host_ready(h);
	assert_says(h, "ask failing", "cell ");
	assert_says(h, "refused", "no such luck");
	/* from memory, as long as the pause lasts: no other cell is made */
	for (int i = 0; i < 5; i++)
		if (strstr(ask(h, "ask failing"), "cell "))
			assert_says(h, "refused", "no such luck");
	assert_says(h, "ask dying", "cell ");
	assert_says(h, "refused", "exit 3");
	await_no_cell(h);
}

static void
nobody_gets_what_others_are_granted(void **state)
{
	struct host *h = *state;

	place_write(h->place, "host.conf",
	    "tenants = ( { name = \"other\"; env = { KEY = \"theirs\"; }; },\n"
	    "  { name = \"acme\"; env = { KEY = \"ours\"; }; } );\n",
	    0644);
	host_start(h);
	host_ready(h);
	assert_says(h, "ask acme", "cell ");
	assert_says(h, "hear", "generation=1 acme has KEY=ours");
}

static void
a_replaced_directory_gets_another_cell(void **state)
{
	struct host *h = *state;

	host_start(h);
	host_ready(h);
	assert_says(h, "ask acme", "cell ");
	ask(h, "hear");
	ask(h, "check acme"); /* the same: nothing happens */
	assert_int_equal(status_of(h, "cells="), 1);
	assert_int_equal(renameat(h->place->fd, "functions/acme", h->place->fd,
			     "functions/old"),
	    0);
	make_directory(h, "functions/acme");
	ask(h, "check acme");
	assert_says(h, "moved", "moved acme");
	assert_int_equal(status_of(h, "cells="), 1); /* it may finish */
	ask(h, "leave");
	await_no_cell(h);
	assert_says(h, "ask acme", "cell ");
}

static void
tenants_are_listed(void **state)
{
	struct host *h = *state;

	host_start(h);
	host_ready(h);
	assert_string_equal(ask(h, "names"), "acme dying failing ");
}

static void
await_generation(const struct host *h, int generation)
{
	uint64_t until_ms = clock_ms() + DEADLINE_MS;

	while (strtol(ask(h, "generation"), NULL, 10) != generation)
		assert_true(clock_ms() < until_ms);
}

static void
reload_changes_all_or_nothing(void **state)
{
	struct host *h = *state;
	char text[LINE_MOST];

	host_start(h);
	host_ready(h);
	kill(h->pid, SIGHUP);
	await_generation(h, 2);

	place_write(h->place, "host.conf", "drain = !;\n", 0644);
	assert_says(h, "reload", "failed=1");
	assert_says(h, "reload", "host.conf:1:");
	assert_says(h, "generation", "2");
	place_write(h->place, "host.conf", "\ndrain = !;\n", 0644);
	kill(h->pid, SIGHUP);
	assert_true(await_words(h->err, "host.conf:2:", text, sizeof(text)));
	assert_says(h, "generation", "2");

	place_write(h->place, "host.conf", "drain = \"1s\";\n", 0644);
	assert_says(h, "reload", "failed=0");
	await_generation(h, 3);
	assert_int_equal(status_of(h, "config.generation="), 3);
}

static void
what_stays_is_told_by_what_is_in_force(void **state)
{
	struct host *h = *state;
	const char *answer;

	place_write(h->place, "host.conf", "", 0644);
	host_start(h);
	host_ready(h);
	place_write(h->place, "host.conf", "log = \"/elsewhere\";\n", 0644);
	assert_says(h, "reload", "log stays \"");
	assert_says(h, "reload", "/run/log\" until"); /* twice is the same */
	assert_says(h, "status", "/run/log\n");
	place_write(h->place, "host.conf", "", 0644);
	answer = ask(h, "reload");
	assert_non_null(strstr(answer, "failed=0"));
	assert_null(strstr(answer, "stays"));
}

static void
a_run_directory_that_is_taken_away_is_told(void **state)
{
	struct host *h = *state;
	char gone[160], text[LINE_MOST];

	host_start(h);
	host_ready(h);
	snprintf(gone, sizeof(gone), "%s.gone", h->run);
	assert_int_equal(rename(h->run, gone), 0);
	kill(h->pid, SIGHUP);
	assert_true(await_words(h->err, "start the host again", text,
	    sizeof(text)));
	snprintf(gone, sizeof(gone), "run = \"%s\" was removed or replaced",
	    h->run);
	assert_non_null(strstr(text, gone));
	snprintf(gone, sizeof(gone), "%s.gone", h->run);
	assert_int_equal(rename(gone, h->run), 0);
	assert_says(h, "reload", "failed=0");
	assert_null(strstr(ask(h, "reload"), "was removed"));
}

static void
the_front_socket_that_is_taken_away_is_told(void **state)
{
	struct host *h = *state;
	char path[160], text[LINE_MOST];

	host_start(h);
	host_ready(h);
	snprintf(path, sizeof(path), "%s/front.sock", h->run);
	/* who is connected stays connected, and may ask */
	assert_string_equal(ask(h, "spool"), "ok");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	kill(h->pid, SIGHUP);
	assert_true(await_words(h->err, "/front.sock was removed or replaced",
	    text, sizeof(text)));
}

/* By a tidy program or hand: also when it is there again by itself. */
static void
a_spool_that_is_taken_away_is_made_again(void **state)
{
	struct host *h = *state;
	char path[160], text[LINE_MOST];
	mode_t mode = 0;

	host_start(h);
	host_ready(h);
	assert_string_equal(ask(h, "spool"), "ok");
	assert_null(strstr(ask(h, "reload"), "spool"));
	snprintf(path, sizeof(path), "%s/spool", h->run);
	assert_int_equal(rmdir(path), 0);
	assert_string_equal(ask(h, "spool"), strerror(ENOENT));
	assert_says(h, "reload", "/run/spool was removed or replaced");
	assert_string_equal(ask(h, "spool"), "ok");
	assert_true(exists(h, "run/spool", &mode));
	assert_int_equal(mode, 0700);
	assert_null(strstr(ask(h, "reload"), "spool"));

	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_says(h, "reload", "/run/spool was removed or replaced");
	assert_true(exists(h, "run/spool", &mode));
	assert_int_equal(mode, 0700);

	assert_int_equal(rmdir(path), 0);
	kill(atoi(ask(h, "pid")), SIGKILL);
	assert_true(await_words(h->err, "it is made again", text,
	    sizeof(text)));
	assert_says(h, "spool", "ok");
}

/* Somebody emptied the directory, and another host is there now. */
static void
what_is_another_hosts_by_now_is_not_removed(void **state)
{
	static const char *const names[] = { "pid", "front.sock",
		"control.sock" };
	struct host *h = *state, other = *h;
	char path[160];

	host_start(h);
	host_ready(h);
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", h->run, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	host_start(&other);
	host_ready(&other);
	kill(h->pid, SIGTERM);
	assert_int_equal(host_await_end(h), 0);
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", h->run, names[i]);
		assert_int_equal(access(path, F_OK), 0);
	}
	kill(other.pid, SIGTERM);
	assert_int_equal(host_await_end(&other), 0);
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", h->run, names[i]);
		assert_int_not_equal(access(path, F_OK), 0);
	}
}

static void
a_group_of_operators_that_there_is_not_is_an_error(void **state)
{
	struct host *h = *state;

	host_start(h);
	host_ready(h);
	place_write(h->place, "host.conf",
	    "operator_group = \"no-such-group\";\n", 0644);
	assert_says(h, "reload", "failed=1");
	assert_says(h, "reload",
	    "operator_group = \"no-such-group\": there is no such group");
}

static void
a_missing_functions_directory_is_told(void **state)
{
	struct host *h = *state;
	char text[LINE_MOST];

	assert_int_equal(renameat(h->place->fd, "functions", h->place->fd,
			     "elsewhere"),
	    0);
	host_start(h);
	assert_true(await_words(h->err, "is no directory", text, sizeof(text)));
	assert_non_null(strstr(text, "warn: functions = \""));
	assert_non_null(strstr(text, "answers 503 until it is"));
	host_ready(h);
	assert_says(h, "reload", "is no directory");
	assert_says(h, "reload", "failed=0");
	make_directory(h, "functions");
	assert_null(strstr(ask(h, "reload"), "is no directory"));
}

static void
a_functions_directory_that_is_a_file_is_an_error(void **state)
{
	struct host *h = *state;
	char text[LINE_MOST];

	assert_int_equal(renameat(h->place->fd, "functions", h->place->fd,
			     "elsewhere"),
	    0);
	place_write(h->place, "functions", "", 0644);
	host_start(h);
	assert_true(await_words(h->err, "is no directory", text, sizeof(text)));
	assert_true(host_await_end(h) != 0);
}

/* The gateway's end takes them along, each in its way. */
static void
cells_that_end_with_the_host_are_no_news(void **state)
{
	struct host *h = *state;
	char text[LINE_MOST];

	make_directory(h, "functions/rough");
	host_start(h);
	host_ready(h);
	assert_says(h, "ask rough", "cell ");
	ask(h, "hear");
	kill(h->pid, SIGTERM);
	assert_false(await_words(h->err, "no such words", text, sizeof(text)));
	assert_non_null(strstr(text, "cell ended: tenant=rough"));
	assert_null(strstr(text, "cell gone"));
	assert_int_equal(host_await_end(h), 0);
}

static void
a_configuration_that_others_can_write_is_refused_by_root(void **state)
{
	struct host *h = *state;
	char text[LINE_MOST];

	if (geteuid() != 0)
		skip();
	assert_int_equal(fchmodat(h->place->fd, "host.conf", 0666, 0), 0);
	host_start(h);
	assert_true(await_words(h->err, "can be changed by everybody", text,
	    sizeof(text)));
	assert_true(host_await_end(h) != 0);
	assert_int_equal(fchmodat(h->place->fd, "host.conf", 0644, 0), 0);
	make_directory(h, "run");
	assert_int_equal(fchmodat(h->place->fd, "run", 0777, 0), 0);
	host_start(h);
	assert_true(await_words(h->err, "can be changed by everybody", text,
	    sizeof(text)));
	assert_true(host_await_end(h) != 0);
}

static void
usr1_reaches_log(void **state)
{
	struct host *h = *state;
	uint64_t until_ms = clock_ms() + DEADLINE_MS;
	mode_t mode;

	host_start(h);
	host_ready(h);
	kill(h->pid, SIGUSR1);
	while (!exists(h, "run/log/reopened", &mode))
		assert_true(clock_ms() < until_ms);
}

static void
a_second_signal_ends_it_now(void **state)
{
	struct host *h = *state;
	char text[LINE_MOST];

	host_start(h);
	host_ready(h);
	ask(h, "stubborn");
	assert_says(h, "ask acme", "cell ");
	kill(h->pid, SIGTERM);
	assert_true(await_words(h->err, "requests may finish", text,
	    sizeof(text)));
	assert_says(h, "status", "gateway.state=draining");
	kill(h->pid, SIGINT);
	assert_int_equal(host_await_end(h), 0);
	assert_nothing_lives();
}

static void
the_drain_has_an_end(void **state)
{
	struct host *h = *state;

	place_write(h->place, "host.conf", "drain = \"50ms\";\n", 0644);
	host_start(h);
	host_ready(h);
	ask(h, "stubborn");
	kill(h->pid, SIGTERM);
	assert_int_equal(host_await_end(h), 0);
	assert_nothing_lives();
}

static void
nothing_survives_a_killed_master_and_it_starts_again(void **state)
{
	struct host *h = *state;
	mode_t mode;

	host_start(h);
	host_ready(h);
	assert_says(h, "ask acme", "cell ");
	ask(h, "hear");
	kill(h->pid, SIGKILL);
	host_await_end(h);
	assert_nothing_lives();
	assert_true(exists(h, "run/front.sock", &mode));

	host_start(h);
	host_ready(h);
	assert_says(h, "ask acme", "cell ");
	kill(h->pid, SIGTERM);
	assert_int_equal(host_await_end(h), 0);
}

static void
a_gateway_that_cannot_start_is_given_up_on(void **state)
{
	struct host *h = *state;
	char text[LINE_MOST];
	int status;

	assert_int_equal(unlinkat(h->place->fd, "libexec/fcgi-host-gateway", 0),
	    0);
	host_start(h);
	assert_true(await_words(h->err, "the host cannot start", text,
	    sizeof(text)));
	assert_non_null(strstr(text,
	    "fcgi-host-gateway cannot be started: execve"));
	status = host_await_end(h);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_nothing_lives();
}

#define WITH_A_HOST(test) \
	cmocka_unit_test_setup_teardown(test, host_make, host_remove)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WITH_A_HOST(it_is_ready_and_ends_and_leaves_nothing),
		WITH_A_HOST(a_second_master_is_refused),
		WITH_A_HOST(a_killed_gateway_is_replaced_on_the_same_socket),
		WITH_A_HOST(a_killed_log_is_replaced),
		WITH_A_HOST(a_killed_state_is_replaced_and_keys_agree),
		WITH_A_HOST(a_gateway_that_speaks_nonsense_is_replaced),
		WITH_A_HOST(a_tenant_gets_a_cell_and_loses_it),
		WITH_A_HOST(no_tenant_is_a_clear_answer),
		WITH_A_HOST(
		    a_cell_that_cannot_be_built_is_told_and_not_tried_at_once),
		WITH_A_HOST(nobody_gets_what_others_are_granted),
		WITH_A_HOST(a_replaced_directory_gets_another_cell),
		WITH_A_HOST(tenants_are_listed),
		WITH_A_HOST(reload_changes_all_or_nothing),
		WITH_A_HOST(what_stays_is_told_by_what_is_in_force),
		WITH_A_HOST(a_run_directory_that_is_taken_away_is_told),
		WITH_A_HOST(the_front_socket_that_is_taken_away_is_told),
		WITH_A_HOST(a_spool_that_is_taken_away_is_made_again),
		WITH_A_HOST(what_is_another_hosts_by_now_is_not_removed),
		WITH_A_HOST(a_group_of_operators_that_there_is_not_is_an_error),
		WITH_A_HOST(a_missing_functions_directory_is_told),
		WITH_A_HOST(a_functions_directory_that_is_a_file_is_an_error),
		WITH_A_HOST(cells_that_end_with_the_host_are_no_news),
		WITH_A_HOST(
		    a_configuration_that_others_can_write_is_refused_by_root),
		WITH_A_HOST(usr1_reaches_log),
		WITH_A_HOST(a_second_signal_ends_it_now),
		WITH_A_HOST(the_drain_has_an_end),
		WITH_A_HOST(
		    nothing_survives_a_killed_master_and_it_starts_again),
		WITH_A_HOST(a_gateway_that_cannot_start_is_given_up_on),
	};

	if (strcmp(argv[0], "fcgi-host-gateway") == 0)
		fake_gateway();
	if (strcmp(argv[0], "fcgi-host-log") == 0)
		fake_log();
	if (strcmp(argv[0], "fcgi-host-state") == 0)
		fake_state();
	if (strcmp(argv[0], "fcgi-host-cell") == 0 && argc == 1)
		fake_cell();
	if (strcmp(argv[0], "fcgi-host-cell") == 0) /* --probe */
		return dprintf(STDERR_FILENO, "landlock=7 seccomp=1\n") < 0;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
