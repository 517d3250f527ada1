/* SPDX-License-Identifier: MIT */
/* cell_kinds.h - a cell of each kind that the machine and the caller's rights
 * allow, with the test as master at one channel and gateway at the other. */
#ifndef CELL_KINDS_H
#define CELL_KINDS_H

#include "cell_place.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/landlock.h"
#include "cell/apply.h"
#include "cell/cell.h"

enum { PATIENCE_S = 60, TENANT_USER = 71234 };

/* The others a cell makes by itself. */
enum {
	MADE_IN = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC |
	    CLONE_NEWUTS
};

enum kind {
	KIND_PLAIN, /* an ordinary user where the kernel allows nothing */
	KIND_USER,  /* an ordinary user in a user namespace */
	KIND_ROOT,  /* what root makes for a tenant's user */
	KINDS
};

static const char *const kind_names[KINDS] = { "plain", "user namespace",
	"root" };
static enum kind kind;

static pid_t cell;
static int master = -1, gateway = -1, launcher = -1;
static int out_fd = -1;
static char output[65536];
static struct config *config;

/* ---- a cell ------------------------------------------------------------------ */

static inline uint64_t
kind_namespaces(void)
{
	uint64_t most = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC |
	    CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET;

	return kind == KIND_PLAIN ? 0 :
	    kind == KIND_USER	  ? most | CLONE_NEWUSER :
				    most;
}

static inline void
write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(96);
	close(fd);
}

/* What proc_start() does for master: goes on as pid 1 of new namespaces, while
 * the parent waits to end as it ends. */
static inline void
namespaces_enter(void)
{
	unsigned user = geteuid(), group = getegid();
	char map[48];
	int status;
	pid_t pid;

	if (unshare((int)(kind_namespaces() & MADE_IN)) != 0)
		_exit(99);
	if (kind == KIND_USER) {
		write_proc("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "%u %u 1", user, user);
		write_proc("/proc/self/uid_map", map);
		snprintf(map, sizeof(map), "%u %u 1", group, group);
		write_proc("/proc/self/gid_map", map);
	}
	pid = fork();
	if (pid < 0)
		_exit(99);
	if (pid > 0) {
		close_range(3, ~0U, 0);
		waitpid(pid, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 98);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static inline bool
kind_possible(enum kind k)
{
	static int user = -1;
	int status;
	pid_t pid;

	if (k == KIND_ROOT || geteuid() == 0)
		return (k == KIND_ROOT) == (geteuid() == 0);
	if (k == KIND_USER && user < 0) {
		pid = fork();
		if (pid == 0) {
			kind = KIND_USER;
			namespaces_enter();
			_exit(start_probe(kind_namespaces()));
		}
		waitpid(pid, &status, 0);
		user = status == 0;
	}
	return k == KIND_PLAIN || user == 1;
}

/* What main() does, and before it what master does. */
static inline void
cell_live(int channel)
{
	struct cell_start start;
	struct plan *plan;
	struct buf reason;

	if (kind != KIND_PLAIN)
		namespaces_enter();
	if (channel != PEER_FIRST_FD)
		dup2(channel, PEER_FIRST_FD);
	close_range(PEER_FIRST_FD + 1, ~0U, 0);
	if (!start_receive(&start))
		_exit(97);
	buf_init(&reason, 1800);
	plan = plan_make(&start.facts, start.config);
	if (apply_plan(plan, &start.directory_fd, &reason) != 0)
		start_failed(buf_span(&reason));
	cell_serve(&start, &plan);
}

static inline void
tell_cell(void)
{
	bool root = kind == KIND_ROOT;
	struct message_cell m = {
		.tenant = SPAN("acme"),
		.directory = span_of(place_path),
		.uid = root ? TENANT_USER : geteuid(),
		.gid = root ? TENANT_USER : getegid(),
		.namespaces = kind_namespaces(),
	};
	int ends[2], fds[2];
	struct buf options;

	buf_init(&options, 65536);
	assert_int_equal(config_encode(config, &options), 0);
	m.options = buf_span(&options);
	assert_int_equal(fd_channel(ends), 0);
	gateway = ends[0];
	fds[0] = place_fd;
	fds[1] = ends[1];
	assert_int_equal(peer_send_now(master, MESSAGE_CELL, &m, fds, 2), 0);
	close(ends[1]);
	buf_free(&options);
}

static inline enum message_type
receive(int channel, enum role from, struct span *body, int *fd)
{
	int fds[FD_PASS_MOST];
	size_t fd_count;
	enum message_type type = peer_receive_now(channel,
	    from == ROLE_CELL && channel == master ? ROLE_MASTER : ROLE_GATEWAY,
	    from, body, fds, &fd_count);

	assert_int_not_equal(type, MESSAGE_NONE);
	assert_true(fd_count <= (fd ? 1 : 0));
	if (fd)
		*fd = fd_count ? fds[0] : -1;
	return type;
}

static inline void
place_below_private(void)
{
	place_top_make();
	snprintf(place_path, sizeof(place_path), "%.3000s/acme", place_top);
	assert_int_equal(mkdir(place_path, 0755), 0);
	assert_int_equal(mkdir(place_of("data"), 0755), 0);
	if (kind == KIND_ROOT)
		assert_int_equal(chown(place_of("data"), TENANT_USER,
				     TENANT_USER),
		    0);
	place_fd = open(place_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static inline void
cell_begin(void)
{
	int ends[2];

	alarm(PATIENCE_S);
	if (!config)
		config = config_new();
	place_below_private();
	assert_int_equal(fd_channel(ends), 0);
	cell = fork();
	assert_true(cell >= 0);
	if (cell == 0)
		cell_live(ends[1]);
	close(ends[1]);
	master = ends[0];
	tell_cell();
}

static inline void
cell_ready(void)
{
	struct message_cell_failed failed;
	struct span body;

	cell_begin();
	if (receive(master, ROLE_CELL, &body, NULL) == MESSAGE_READY)
		return;
	assert_int_equal(message_cell_failed_decode(body, &failed), 0);
	fail_msg("%.*s", SPAN_ARGS(failed.reason));
}

static inline int
cell_status(void)
{
	int status = -1;

	assert_int_equal(waitpid(cell, &status, 0), cell);
	cell = 0;
	return status;
}

static inline void
cell_end(void)
{
	fd_close(&gateway);
	if (cell > 0)
		assert_int_equal(cell_status(), 0);
	fd_close(&master);
	fd_close(&launcher);
	fd_close(&out_fd);
	config_release(&config);
	place_remove();
	alarm(0);
}

/* ---- a gateway ---------------------------------------------------------------- */

static inline struct message_resolved
resolve(const char *name)
{
	struct message_resolve ask = { .ask = 7, .name = span_of(name) };
	struct message_resolved m;
	struct span body;

	assert_int_equal(peer_send_now(gateway, MESSAGE_RESOLVE, &ask, NULL, 0),
	    0);
	assert_int_equal(receive(gateway, ROLE_CELL, &body, NULL),
	    MESSAGE_RESOLVED);
	assert_int_equal(message_resolved_decode(body, &m), 0);
	assert_int_equal(m.ask, 7);
	return m;
}

static inline void
want_launcher(uint32_t number)
{
	struct message_launcher_wanted wanted = { .launcher = number };
	struct message_launcher m;
	struct span body;

	fd_close(&launcher);
	assert_int_equal(peer_send_now(gateway, MESSAGE_LAUNCHER_WANTED,
			     &wanted, NULL, 0),
	    0);
	assert_int_equal(receive(gateway, ROLE_CELL, &body, &launcher),
	    MESSAGE_LAUNCHER);
	assert_int_equal(message_launcher_decode(body, &m), 0);
	assert_int_equal(m.launcher, number);
	assert_int_equal(m.error, 0);
	assert_true(launcher >= 0);
}

static inline void
start(uint64_t invocation, struct span ticket)
{
	struct message_start m = {
		.invocation = invocation,
		.processes = 77,
		.ticket = ticket,
		.args = SPAN(""),
		.env = SPAN("PATH=/usr/sbin:/usr/bin:/bin\0"),
	};
	int fds[2], outs[2];

	fd_close(&out_fd);
	assert_int_equal(pipe2(outs, O_CLOEXEC), 0);
	assert_int_equal(fchmod(outs[1], 0666), 0);
	fds[0] = fds[1] = outs[1];
	assert_int_equal(peer_send_now(launcher, MESSAGE_START, &m, fds, 2), 0);
	close(outs[1]);
	out_fd = outs[0];
}

static inline struct message_ended
ended(void)
{
	struct message_ended m;
	struct span body;

	while (receive(launcher, ROLE_LAUNCHER, &body, NULL) != MESSAGE_ENDED)
		;
	assert_int_equal(message_ended_decode(body, &m), 0);
	return m;
}

static inline const char *
read_all(void)
{
	size_t bytes = 0;
	ssize_t n;

	while ((n = read(out_fd, output + bytes, sizeof(output) - 1 - bytes)) >
	    0)
		bytes += (size_t)n;
	output[bytes] = '\0';
	return output;
}

static inline void
read_ready(void)
{
	char ready[6];

	for (size_t i = 0; i < sizeof(ready); i++)
		assert_int_equal(read(out_fd, ready + i, 1), 1);
	assert_memory_equal(ready, "ready\n", 6);
}

static inline void
script(const char *text)
{
	char whole[8192];

	snprintf(whole, sizeof(whole), "#!/bin/sh\nexec 2>&1\n%s\n", text);
	place_put("program", 0755, whole);
}

static inline void
script_start(const char *text)
{
	struct message_resolved m;

	script(text);
	m = resolve("program");
	if (m.outcome != RESOLVED_FOUND)
		fail_msg("%.*s", SPAN_ARGS(m.reason));
	want_launcher(1);
	start(1, m.ticket);
}

/* The sum of what tests() returns in every kind of cell that is possible here. */
static inline int
every_kind(int (*tests)(void))
{
	int failed = 0;

	/* orphans of a test that fails must not stay */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (kind = 0; kind < KINDS; kind++) {
		print_message("kind of cell: %s%s\n", kind_names[kind],
		    kind_possible(kind) ? "" : " (not possible here)");
		if (kind_possible(kind))
			failed += tests();
	}
	return failed;
}

#endif
