/* SPDX-License-Identifier: MIT */
/* cell_launch.h - a launcher for one test, which is the gateway at one end of its
 * channel, and the cell that forked it. */
#ifndef CELL_LAUNCH_H
#define CELL_LAUNCH_H

#include "cell_place.h"

#include <signal.h>
#include <sys/wait.h>

#include "ipc/peer.h"

#include "cell/launcher.h"
#include "cell/order.h"
#include "cell/ticket.h"

enum { PATIENCE_S = 60 }; /* a hang fails, a slow machine does not */

static pid_t launcher;
static int channel = -1;
static int out_fd = -1, err_fd = -1;
static char output[65536];
static uint64_t invocation = UINT64_C(0x300000000);

static char self[PATH_MAX]; /* this test, for programs to call */

static inline int
launcher_begin(void **state)
{
	int ends[2];
	struct launcher_place place;

	(void)state;
	alarm(PATIENCE_S);
	place_make();
	place = (struct launcher_place){
		.directory_fd = place_fd,
		.directory = place_path,
		.cell = getpid(),
		.alone = true,
		.limits_processes = true,
	};
	assert_int_equal(fd_channel(ends), 0);
	place.channel = ends[1];
	launcher = fork();
	assert_true(launcher >= 0);
	if (launcher == 0)
		launcher_run(&place);
	close(ends[1]);
	channel = ends[0];
	return 0;
}

static inline int
launcher_end(void **state)
{
	int status = -1;

	(void)state;
	fd_close(&channel);
	if (launcher > 0) {
		assert_int_equal(waitpid(launcher, &status, 0), launcher);
		assert_int_equal(status, 0);
	}
	fd_close(&out_fd);
	fd_close(&err_fd);
	place_remove();
	alarm(0);
	return 0;
}

static inline bool
is_native(const char *program)
{
	char first[4] = "";
	int fd = openat(place_fd, program, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, first, sizeof(first));

	fd_close(&fd);
	return n == 4 && memcmp(first, "\177ELF", 4) == 0;
}

static inline struct ticket
ticket_now(const char *program, const char *settings)
{
	struct ticket t = {
		.program = span_of(program),
		.settings = span_of(settings),
		.native = is_native(program),
	};
	const char *names[] = { program, settings, TICKET_TENANT_NAME };
	struct stat st;

	for (int i = 0; i < TICKET_FILES; i++)
		if (fstatat(place_fd, names[i], &st, 0) == 0)
			t.files[i] = identity_of(&st);
	return t;
}

struct start {		     /* what a test wants to say */
	const char *program; /* NULL: "program" */
	const char *body;
	struct span args;
	struct span env;
	enum start_template template;
	uint64_t time_us;
	uint64_t cpu_s;
	uint64_t memory_bytes;
	uint32_t files;
	uint32_t processes;
	const struct ticket *ticket;
};

static inline void
start_send(const struct start *s)
{
	const char *program = s->program ? s->program : "program";
	char env[PATH_MAX + 64];
	int env_bytes = snprintf(env, sizeof(env),
	    "PATH=/usr/bin:/bin%cSELF=%s", '\0', self);
	struct ticket t =
	    s->ticket ? *s->ticket : ticket_now(program, "program.conf");
	struct message_start m = {
		.invocation = ++invocation,
		.has_body = s->body != NULL,
		.template = s->template,
		.time_us = s->time_us,
		.cpu_s = s->cpu_s,
		.memory_bytes = s->memory_bytes,
		.files = s->files,
		.processes = s->processes,
		.args = s->args.data ? s->args : SPAN(""),
		.env = s->env.data ? s->env :
				     span_make(env, (size_t)env_bytes + 1),
	};
	int outs[2], errs[2], fds[3], count = 0, body = -1;
	struct buf bytes;

	fd_close(&out_fd);
	fd_close(&err_fd);
	assert_int_equal(pipe2(outs, O_CLOEXEC), 0);
	assert_int_equal(pipe2(errs, O_CLOEXEC), 0);
	if (s->body) {
		place_put("body", 0600, s->body);
		body = open(place_of("body"), O_RDONLY | O_CLOEXEC);
		fds[count++] = body;
	}
	fds[count++] = outs[1];
	fds[count++] = errs[1];
	buf_init(&bytes, 65536);
	assert_int_equal(ticket_encode(&t, &bytes), 0);
	m.ticket = buf_span(&bytes);
	assert_int_equal(peer_send_now(channel, MESSAGE_START, &m, fds,
			     (size_t)count),
	    0);
	buf_free(&bytes);
	fd_close(&body);
	close(outs[1]);
	close(errs[1]);
	out_fd = outs[0];
	err_fd = errs[0];
}

static inline enum message_type
answer(struct span *body)
{
	int fds[FD_PASS_MOST];
	size_t fd_count;
	enum message_type type = peer_receive_now(channel, ROLE_GATEWAY,
	    ROLE_LAUNCHER, body, fds, &fd_count);

	assert_int_not_equal(type, MESSAGE_NONE);
	return type;
}

static inline struct message_ended
ended(void)
{
	struct message_ended m;
	struct message_exited exited;
	struct span body;

	if (answer(&body) == MESSAGE_EXITED) {
		assert_int_equal(message_exited_decode(body, &exited), 0);
		assert_int_equal(exited.invocation, invocation);
		assert_int_equal(answer(&body), MESSAGE_ENDED);
	}
	assert_int_equal(message_ended_decode(body, &m), 0);
	assert_int_equal(m.invocation, invocation);
	return m;
}

/* All of it; the end means that nobody has the other end any more. */
static inline const char *
read_all(int fd)
{
	size_t bytes = 0;
	ssize_t n;

	while ((n = read(fd, output + bytes, sizeof(output) - 1 - bytes)) > 0)
		bytes += (size_t)n;
	output[bytes] = '\0';
	return output;
}

static inline void
read_line(char *line, size_t room)
{
	size_t bytes = 0;

	while (bytes + 1 < room && read(out_fd, line + bytes, 1) == 1 &&
	    line[bytes] != '\n')
		bytes++;
	line[bytes] = '\0';
}

static inline void
script(const char *text)
{
	char whole[4096];

	snprintf(whole, sizeof(whole), "#!/bin/sh\n%s\n", text);
	place_put("program", 0755, whole);
}

static inline size_t
launcher_fds(void)
{
	char path[64];
	size_t count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		char target[256];

		snprintf(path, sizeof(path), "/proc/%ld/fd/%d", (long)launcher,
		    fd);
		count += readlink(path, target, sizeof(target)) >= 0;
	}
	return count;
}

#endif
