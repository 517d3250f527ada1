/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant's cell does not come up, does not answer, or leaves
 * processes behind. Each row runs in every kind of cell. */

#define _GNU_SOURCE 1
#include "cell_kinds.h"

static void
unknown_name_is_none(void)
{
	cell_ready();
	assert_int_equal(resolve("nothing").outcome, RESOLVED_NONE);
	script("echo here");
	assert_int_equal(resolve("program").outcome, RESOLVED_FOUND);
	unlink(place_of("program"));
	assert_int_equal(resolve("program").outcome, RESOLVED_NONE);
	cell_end();
}

static void
stop_ends_an_invocation(void)
{
	struct message_stop stop = {
		.launcher = 1, .invocation = 1, .signal = SIGTERM
	};
	struct message_ended m;

	cell_ready();
	script_start("exec 2>/dev/null; trap 'echo ready' TERM; "
		     "echo ready; while :; do sleep 0.05; done");
	read_ready();
	assert_int_equal(peer_send_now(gateway, MESSAGE_STOP, &stop, NULL, 0),
	    0);
	read_ready(); /* it heard, and went on */
	stop.signal = SIGKILL;
	assert_int_equal(peer_send_now(gateway, MESSAGE_STOP, &stop, NULL, 0),
	    0);
	m = ended();
	assert_int_equal(m.wait_status, SIGKILL);
	assert_string_equal(read_all(), "");
	cell_end();
}

/* The order is on its way before the launcher knows what an order is. */
static void
stop_finds_a_newborn_launcher(void)
{
	struct message_launcher_wanted wanted;
	struct message_stop stop = { .signal = SIGKILL };
	struct message_resolved m;
	char ticket[4096];
	struct span body;
	size_t bytes;

	cell_ready();
	script("sleep 1000");
	m = resolve("program");
	bytes = m.ticket.bytes;
	memcpy(ticket, m.ticket.data, bytes);
	for (uint32_t i = 2; i < 30; i++) {
		wanted.launcher = stop.launcher = stop.invocation = i;
		assert_int_equal(peer_send_now(gateway, MESSAGE_LAUNCHER_WANTED,
				     &wanted, NULL, 0),
		    0);
		assert_int_equal(peer_send_now(gateway, MESSAGE_STOP, &stop,
				     NULL, 0),
		    0);
		fd_close(&launcher);
		assert_int_equal(receive(gateway, ROLE_CELL, &body, &launcher),
		    MESSAGE_LAUNCHER);
		start(i, span_make(ticket, bytes));
		assert_int_equal(ended().wait_status, SIGKILL);
	}
	cell_end();
}

static pid_t
first_child(pid_t pid)
{
	char path[64], text[32] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid,
	    (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(n > 0);
	return (pid_t)strtol(text, NULL, 10);
}

/* The cell's first launcher, as the machine numbers it: functions may not
 * signal it where the kernel has a rule against that. */
static pid_t
the_launcher(void)
{
	return first_child(kind == KIND_PLAIN ? cell : first_child(cell));
}

static void
stop_reaches_through_a_stopped_launcher(void)
{
	struct message_stop stop = {
		.launcher = 1, .invocation = 1, .signal = SIGKILL
	};

	cell_ready();
	script_start("echo ready; sleep 1000");
	read_ready();
	assert_int_equal(kill(the_launcher(), SIGSTOP), 0);
	assert_int_equal(peer_send_now(gateway, MESSAGE_STOP, &stop, NULL, 0),
	    0);
	assert_int_equal(ended().wait_status, SIGKILL);
	assert_string_equal(read_all(), "");
	cell_end();
}

/* A launcher whose user's queue of signals is full cannot be told, only
 * killed: its channel closes, and what it ran is gone. */
static void
stop_reaches_through_a_full_queue(void)
{
	struct message_stop stop = {
		.launcher = 1, .invocation = 1, .signal = SIGKILL
	};
	struct rlimit before, few;

	assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &before), 0);
	few = before;
	few.rlim_cur = 40;
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &few), 0);
	cell_ready();
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &before), 0);
	script_start("exec perl -e 'use POSIX; my $s = POSIX::SigSet->new(40);"
		     "sigprocmask(SIG_BLOCK, $s); kill 40, $$ for 1..1000;"
		     "$| = 1; print \"ready\n\"; sleep 1000'");
	read_ready();
	assert_int_equal(peer_send_now(gateway, MESSAGE_STOP, &stop, NULL, 0),
	    0);
	assert_string_equal(read_all(), "");
	assert_int_equal(resolve("program").outcome, RESOLVED_FOUND);
	cell_end();
}

static void
dead_launcher_leaves_nothing(void)
{
	cell_ready();
	script_start("setsid sleep 1000 & echo ready; sleep 1000");
	read_ready();
	assert_int_equal(kill(the_launcher(), SIGKILL), 0);
	/* all that could write is dead, and the cell lives */
	assert_string_equal(read_all(), "");
	assert_int_equal(resolve("program").outcome, RESOLVED_FOUND);
	script_start("echo again");
	assert_string_equal(read_all(), "again\n");
	assert_int_equal(ended().how, ENDED_EXITED);
	cell_end();
}

static void
cell_ends_with_the_gateway(void)
{
	cell_ready();
	script_start("setsid sleep 1000 & echo ready; sleep 1000");
	read_ready();
	fd_close(&gateway);
	assert_string_equal(read_all(), "");
	assert_int_equal(cell_status(), 0);
	cell_end();
}

static void
cell_ends_with_master(void)
{
	cell_ready();
	script_start("setsid sleep 1000 & echo ready; sleep 1000");
	read_ready();
	fd_close(&master);
	assert_string_equal(read_all(), "");
	assert_int_equal(cell_status(), 0);
	cell_end();
}

static void
killed_cell_leaves_nothing(void)
{
	cell_ready();
	script_start("(setsid sh -c 'sleep 1000' &); echo ready; sleep 1000");
	read_ready();
	assert_int_equal(kill(cell, SIGKILL), 0);
	assert_int_equal(cell_status(), SIGKILL);
	/* in a plain cell, the launcher's doing */
	assert_string_equal(read_all(), "");
	cell_end();
}

/* A namespace all the same, so that a red test takes nothing down. */
static void
host_keeps_its_root(void)
{
	struct stat before, after;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (geteuid() == 0 &&
		    (unshare(CLONE_NEWNS) != 0 ||
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0))
			_exit(99);
		if (stat("/", &before) != 0 ||
		    start_probe(CLONE_NEWPID | CLONE_NEWNS) != 1 ||
		    stat("/", &after) != 0)
			_exit(98);
		_exit(before.st_dev != after.st_dev);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Process 1, but beside others: what `unshare --pid --fork` or a container's
 * entry makes. In a mount namespace again, for the same reason. */
static void
first_process_alone_is_not_enough(void)
{
	struct stat before, after;
	int status;
	pid_t pid;

	if (kind != KIND_ROOT)
		skip();
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS | CLONE_NEWPID) != 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
			_exit(99);
		pid = fork();
		if (pid != 0) {
			waitpid(pid, &status, 0);
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 97);
		}
		/* now the process 1 that /proc knows is this one */
		if (mount("proc", "/proc", "proc", 0, NULL) != 0 ||
		    stat("/", &before) != 0 ||
		    start_probe(CLONE_NEWPID | CLONE_NEWNS) != 1 ||
		    stat("/", &after) != 0)
			_exit(98);
		_exit(before.st_dev != after.st_dev);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
cell_without_a_first_message_ends(void)
{
	int ends[2];

	alarm(PATIENCE_S);
	assert_int_equal(fd_channel(ends), 0);
	cell = fork();
	if (cell == 0)
		cell_live(ends[1]);
	close(ends[1]);
	close(ends[0]);
	assert_int_equal(cell_status(), 97 << 8);
}

static void
list_has_functions_and_refusals(void)
{
	struct message_list ask = { .ask = 9 };
	struct message_listed m;
	static const char rows[] =
	    "good\0good.sh\0\0cgi\0\0\0"
	    "off\0off.sh\0\0cgi\0off\0\0"
	    "plain\0plain\0plain is not executable: chmod +x plain\0\0\0\0"
	    "worker\0worker.sh\0\0fastcgi\0\0\0";
	struct span body;

	cell_ready();
	place_put("good.sh", 0755, "#!/bin/sh\n");
	place_put("off.sh", 0755, "#!/bin/sh\n");
	place_put("off.conf", 0644, "concurrency = 0;");
	place_put("plain", 0644, "text");
	place_put("worker.sh", 0755, "#!/bin/sh\n");
	place_put("worker.conf", 0644, "protocol = \"fastcgi\";");
	place_put("tenant.conf", 0644, "");
	assert_int_equal(peer_send_now(gateway, MESSAGE_LIST, &ask, NULL, 0),
	    0);
	assert_int_equal(receive(gateway, ROLE_CELL, &body, NULL),
	    MESSAGE_LISTED);
	assert_int_equal(message_listed_decode(body, &m), 0);
	assert_int_equal(m.ask, 9);
	assert_int_equal(m.more, 0);
	assert_int_equal(m.rows.bytes, sizeof(rows) - 1);
	assert_memory_equal(m.rows.data, rows, m.rows.bytes);
	cell_end();
}

static void
list_says_that_it_cannot_read(void)
{
	struct message_list ask = { .ask = 9 };
	struct message_listed m;
	char row[256];
	struct span body;
	int bytes;

	cell_ready();
	assert_int_equal(chmod(place_path, 0311), 0);
	assert_int_equal(peer_send_now(gateway, MESSAGE_LIST, &ask, NULL, 0),
	    0);
	assert_int_equal(receive(gateway, ROLE_CELL, &body, NULL),
	    MESSAGE_LISTED);
	assert_int_equal(chmod(place_path, 0755), 0);
	assert_int_equal(message_listed_decode(body, &m), 0);
	bytes = snprintf(row, sizeof(row),
	    "%c.%cthe tenant's directory cannot be read by user %u: "
	    "Permission denied%c%c%c",
	    '\0', '\0', kind == KIND_ROOT ? TENANT_USER : geteuid(), '\0', '\0',
	    '\0');
	assert_int_equal(m.rows.bytes, bytes + 1);
	assert_memory_equal(m.rows.data, row, m.rows.bytes);
	cell_end();
}

static void
long_list_comes_in_parts(void)
{
	struct message_list ask = { .ask = 9 };
	struct message_listed m;
	size_t count = 0, parts = 0;
	struct span body, rest;
	char name[64];

	cell_ready();
	for (int i = 0; i < 1500; i++) {
		snprintf(name, sizeof(name), "a_name_of_some_length_%d", i);
		place_put(name, 0644, "");
	}
	assert_int_equal(peer_send_now(gateway, MESSAGE_LIST, &ask, NULL, 0),
	    0);
	do {
		assert_int_equal(receive(gateway, ROLE_CELL, &body, NULL),
		    MESSAGE_LISTED);
		assert_int_equal(message_listed_decode(body, &m), 0);
		for (rest = m.rows; rest.bytes > 0; count++)
			span_cut(&rest, '\0');
		parts++;
	} while (m.more);
	assert_int_equal(count, 1500 * 6);
	assert_true(parts > 1);
	cell_end();
}

static void
plan_is_told(void)
{
	struct message_plan_ask ask = { .ask = 5 };
	struct message_plan m;
	struct span body;

	cell_ready();
	assert_int_equal(peer_send_now(gateway, MESSAGE_PLAN_ASK, &ask, NULL,
			     0),
	    0);
	assert_int_equal(receive(gateway, ROLE_CELL, &body, NULL),
	    MESSAGE_PLAN);
	assert_int_equal(message_plan_decode(body, &m), 0);
	assert_non_null(memmem(m.text.data, m.text.bytes, "\nno_new_privs\n",
	    14));
	cell_end();
}

static void
moved_directory_is_told(void)
{
	cell_ready();
	assert_int_equal(rmdir(place_of("data")), 0);
	if (kind == KIND_PLAIN) {
		assert_int_equal(rmdir(place_path), 0);
		assert_int_equal(resolve("program").outcome, RESOLVED_MOVED);
	}
	cell_end();
}

static void
failing_step_is_named(void)
{
	static char *missing[] = { (char *)(uintptr_t) "/no/such/path" };
	struct message_cell_failed m;
	struct span body;

	if (kind == KIND_PLAIN)
		skip();
	config = config_new();
	config->cell_paths = (struct strings){ missing, 1 };
	cell_begin();
	config->cell_paths = (struct strings){ NULL, 0 };
	assert_int_equal(receive(master, ROLE_CELL, &body, NULL),
	    MESSAGE_CELL_FAILED);
	assert_int_equal(message_cell_failed_decode(body, &m), 0);
	assert_true(span_equal(m.reason,
	    SPAN("sandbox step \"read /no/such/path\" of cell.paths: "
		 "No such file or directory")));
	assert_int_equal(cell_status(), 1 << 8);
	cell_end();
}

static void
other_directory_is_refused(void)
{
	struct message_cell_failed m;
	struct span body;
	int ends[2];

	if (kind == KIND_PLAIN)
		skip();
	alarm(PATIENCE_S);
	config = config_new();
	place_below_private();
	close(place_fd);
	place_fd = open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fd_channel(ends), 0);
	cell = fork();
	if (cell == 0)
		cell_live(ends[1]);
	close(ends[1]);
	master = ends[0];
	tell_cell();
	assert_int_equal(receive(master, ROLE_CELL, &body, NULL),
	    MESSAGE_CELL_FAILED);
	assert_int_equal(message_cell_failed_decode(body, &m), 0);
	assert_true(span_starts(m.reason, SPAN("sandbox step \"tenant ")));
	assert_int_equal(cell_status(), 1 << 8);
	cell_end();
}

/* A link in the place of data/ would have the host's root mount its target. */
static void
data_that_is_a_link_is_not_followed(void)
{
	int ends[2];
	struct span body;

	if (kind == KIND_PLAIN)
		skip();
	alarm(PATIENCE_S);
	config = config_new();
	place_below_private();
	assert_int_equal(rmdir(place_of("data")), 0);
	assert_int_equal(symlink("/usr", place_of("data")), 0);
	assert_int_equal(fd_channel(ends), 0);
	cell = fork();
	if (cell == 0)
		cell_live(ends[1]);
	close(ends[1]);
	master = ends[0];
	tell_cell();
	assert_int_equal(receive(master, ROLE_CELL, &body, NULL),
	    MESSAGE_READY);
	script_start("( : >data/x ) 2>/dev/null && echo written; echo .");
	assert_string_equal(read_all(), ".\n");
	ended();
	cell_end();
}

static const struct does {
	const char *sentence;
	void (*run)(void);
} doeses[] = {
	{ "a name that is not there is none, until it is",
	    unknown_name_is_none },
	{ "STOP asks, then kills", stop_ends_an_invocation },
	{ "STOP finds a launcher that has just been made",
	    stop_finds_a_newborn_launcher },
	{ "STOP reaches through a launcher that its function stopped",
	    stop_reaches_through_a_stopped_launcher },
	{ "STOP reaches through a queue of signals that a function filled",
	    stop_reaches_through_a_full_queue },
	{ "a launcher that is killed leaves nothing and is replaced",
	    dead_launcher_leaves_nothing },
	{ "the cell ends with its gateway and takes all along",
	    cell_ends_with_the_gateway },
	{ "the cell ends with master and takes all along",
	    cell_ends_with_master },
	{ "a killed cell leaves nothing", killed_cell_leaves_nothing },
	{ "a cell that is told nothing ends",
	    cell_without_a_first_message_ends },
	{ "a plan is never walked in the host's own namespaces",
	    host_keeps_its_root },
	{ "nor by a process 1 that shares its mounts",
	    first_process_alone_is_not_enough },
	{ "LIST has functions, and files with the reason against them",
	    list_has_functions_and_refusals },
	{ "LIST of a directory that cannot be read says so",
	    list_says_that_it_cannot_read },
	{ "a long LIST comes in parts", long_list_comes_in_parts },
	{ "PLAN is the plan", plan_is_told },
	{ "a directory that has gone is told", moved_directory_is_told },
	{ "a step that fails is named with its path", failing_step_is_named },
	{ "another directory of the same name is refused",
	    other_directory_is_refused },
	{ "data/ that is a link is not followed",
	    data_that_is_a_link_is_not_followed },
};

static void
cell_does(void **state)
{
	const struct does *row = *state;

	row->run();
}

static int
tests(void)
{
	return RUN_ROWS(doeses, cell_does);
}

int
main(void)
{
	return every_kind(tests) != 0;
}
