/* SPDX-License-Identifier: MIT */
/* master_fakes.h - gateway, log, state and cell, as master sees them: the test
 * itself, started under their names. The fake gateway takes lines from the test on
 * the front socket, says what they ask to master, and answers with what came
 * back. */
#ifndef MASTER_FAKES_H
#define MASTER_FAKES_H

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
#include "config/options.h"

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

static inline void
fake_send(enum message_type type, const void *message)
{
	if (peer_send_now(PEER_FIRST_FD, type, message, NULL, 0) != 0)
		_exit(9);
}

static inline void
fake_ready(void)
{
	static const struct message_ready ready;

	fake_send(MESSAGE_READY, &ready);
}

/* One message from master; what every child does with it, or its type. */
static inline enum message_type
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
		options =
		    *count == 1 ? config_unseal(fds[0], config.bytes) : NULL;
		if (!options ||
		    (own != ROLE_GATEWAY && options->tenants.count > 0))
			_exit(7); /* tenants' secrets are not for all */
		config_release(&options);
		fd_close(&fds[0]);
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
	if (type == MESSAGE_SPOOL || type == MESSAGE_WORKERS) {
		dup2(fds[0], type == MESSAGE_SPOOL ? 6 : 7);
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
static inline void
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
static inline void
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
static inline void
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
	if (span_equal(cell.tenant, SPAN("hasty")))
		_exit(0); /* as when the gateway has let it go */
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
	for (size_t i = 0; i < options->tenants.count; i++) {
		struct span name = packed_name(&options->tenants, i);

		count += (size_t)snprintf(text + count, sizeof(text) - count,
		    " %.*s has %s", SPAN_ARGS(name),
		    config_terms(options, name)->env.items[0]);
	}
	fd_send(gateway, span_make(text, count), NULL, 0);
	both[0] = (struct pollfd){ .fd = PEER_FIRST_FD, .events = POLLIN };
	both[1] = (struct pollfd){ .fd = gateway, .events = POLLIN };
	poll(both, 2, -1);
	kill(function, SIGKILL);
	_exit(rough ? 9 : 0);
}

/* The gateway waits for a type from master and gives its body. */
static inline enum message_type
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

static inline void
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
static inline void
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

static inline void
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

/* Can the gateway make files there? */
static inline void
fake_write(int directory_fd, char *answer)
{
	int fd =
	    openat(directory_fd, "body", O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		snprintf(answer, LINE_MOST, "%s", strerror(errno));
	fd_close(&fd);
	unlinkat(directory_fd, "body", 0);
}

static inline void
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
	} else if (strcmp(line, "moved so far") == 0) {
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
	else if (strcmp(line, "spool") == 0)
		fake_write(6, answer);
	else if (strcmp(line, "workers") == 0)
		fake_write(7, answer);
	else if (strcmp(line, "user") == 0)
		snprintf(answer, LINE_MOST, "%u %u", getuid(), getgid());
	else
		snprintf(answer, LINE_MOST, "%s", "what?");
}

/* Descriptors as contracted: 4 front, 5 control, 6 spool, 7 workers. */
static inline void
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

	if (fcntl(5, F_GETFD) < 0 || faccessat(6, ".", W_OK, AT_EACCESS) != 0 ||
	    faccessat(7, ".", W_OK, AT_EACCESS) != 0)
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

/* Whoever it is, by its name: does not return. */
static inline void
fake_play(int argc, char **argv)
{
	if (strcmp(argv[0], "fcgi-host-gateway") == 0)
		fake_gateway();
	if (strcmp(argv[0], "fcgi-host-log") == 0)
		fake_log();
	if (strcmp(argv[0], "fcgi-host-state") == 0)
		fake_state();
	if (strcmp(argv[0], "fcgi-host-cell") == 0 && argc == 1)
		fake_cell();
	if (strcmp(argv[0], "fcgi-host-cell") == 0) /* --probe */
		_exit(dprintf(STDERR_FILENO, "landlock=7 seccomp=1\n") < 0);
}

#endif
