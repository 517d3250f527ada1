/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant's cell does not come up, does not answer, leaves
 * processes behind, or lets its functions reach what is not theirs. The test
 * is master at one channel and gateway at the other. Each row runs in every
 * kind of cell that the machine and the caller's rights allow. */

#define _GNU_SOURCE 1
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

static uint64_t
kind_namespaces(void)
{
	uint64_t most = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC |
	    CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET;

	return kind == KIND_PLAIN ? 0 :
	    kind == KIND_USER	  ? most | CLONE_NEWUSER :
				    most;
}

static void
write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(96);
	close(fd);
}

/* What proc_start() does for master: goes on as pid 1 of new namespaces, while
 * the parent waits to end as it ends. */
static void
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

static bool
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
static void
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

static void
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

static enum message_type
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

static void
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

static void
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

static void
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

static int
cell_status(void)
{
	int status = -1;

	assert_int_equal(waitpid(cell, &status, 0), cell);
	cell = 0;
	return status;
}

static void
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

static struct message_resolved
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

static void
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

static void
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

static struct message_ended
ended(void)
{
	struct message_ended m;
	struct span body;

	while (receive(launcher, ROLE_LAUNCHER, &body, NULL) != MESSAGE_ENDED)
		;
	assert_int_equal(message_ended_decode(body, &m), 0);
	return m;
}

static const char *
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

static void
read_ready(void)
{
	char ready[6];

	for (size_t i = 0; i < sizeof(ready); i++)
		assert_int_equal(read(out_fd, ready + i, 1), 1);
	assert_memory_equal(ready, "ready\n", 6);
}

static void
script(const char *text)
{
	char whole[8192];

	snprintf(whole, sizeof(whole), "#!/bin/sh\nexec 2>&1\n%s\n", text);
	place_put("program", 0755, whole);
}

static void
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

/* ---- what functions find inside -------------------------------------------------- */

static const struct inside {
	const char *sentence;
	const char *script;
	const char *output[KINDS]; /* NULL: not promised there */
} insides[] = {
	{ "no capability is left",
	    "grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status | "
	    "grep -v 0000000000000000; echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "not even in the bounding set",
	    "grep ^CapBnd /proc/self/status | tr -d 0; echo .",
	    { NULL, "CapBnd:\t\n.\n", "CapBnd:\t\n.\n" } },
	{ "no new privileges", "grep ^NoNewPrivs /proc/self/status",
	    { "NoNewPrivs:\t1\n", "NoNewPrivs:\t1\n", "NoNewPrivs:\t1\n" } },
	/* where all that the user runs would count, it is not set */
	{ "processes are limited where none of somebody else count",
	    "[ $(ulimit -p) = 77 ] && echo limited || echo not",
	    { "not\n", "limited\n", "limited\n" } },
	{ "the tenant's user in no other group", "id -u; id -G",
	    { NULL, NULL, "71234\n71234\n" } },
	{ "the host's root is out of reach",
	    "ls -d /root /home /boot /sys /srv /mnt 2>/dev/null; echo .",
	    { NULL, ".\n", ".\n" } },
	{ "system files cannot be changed",
	    "for f in /usr/x /etc/x /bin/x /dev/x /x; do "
	    "( : >$f ) 2>/dev/null && echo $f; done; echo .",
	    { NULL, ".\n", ".\n" } },
	{ "nor the tenant's own programs",
	    "( : >x ) 2>/dev/null && echo made; "
	    "( : >>program ) 2>/dev/null && echo changed; echo .",
	    { NULL, ".\n", ".\n" } },
	{ "data/ is writable", "echo text >data/file && cat data/file",
	    { "text\n", "text\n", "text\n" } },
	{ "/tmp is writable and its own",
	    "echo text >/tmp/file && cat /tmp/file && ls -A /var/tmp | "
	    "grep -c fcgi-host-cell",
	    { NULL, "text\n1\n", "text\n1\n" } },
	{ "/tmp has an end",
	    "head -c 200000000 /dev/zero >/tmp/file 2>/dev/null || "
	    "echo full",
	    { NULL, "full\n", "full\n" } },
	{ "what it creates is not for others", "umask",
	    { "0027\n", "0027\n", "0027\n" } },
	{ "only the cell's processes are there",
	    "ls -d /proc/[0-9]* | wc -l | grep -cE '^[1-4]$'",
	    { NULL, "1\n", "1\n" } },
	{ "nor can pid 1 be looked into",
	    "cat /proc/1/environ 2>/dev/null; ls /proc/1/fd 2>/dev/null; "
	    "echo .",
	    { NULL, ".\n", ".\n" } },
	{ "nor its launcher", "ls /proc/$PPID/fd 2>/dev/null; echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "what it starts itself can",
	    "sleep 1000 & kill -CONT $! && kill -CONT 0 && echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "the root can be listed where it is the cell's own",
	    "ls / | grep -c '^usr$'", { NULL, "1\n", "1\n" } },
	{ "no rule stands in the way of devices and what /proc says of it",
	    "head -c 3 /dev/zero | wc -c; echo x >/dev/null; "
	    "cat /proc/self/comm; echo out >/dev/stderr",
	    { "3\ncat\nout\n", "3\ncat\nout\n", "3\ncat\nout\n" } },
	{ "nor can namespaces be made, where there would be rights again",
	    "unshare -U true 2>/dev/null || echo .; "
	    "unshare -n true 2>/dev/null || echo .",
	    { ".\n.\n", ".\n.\n", ".\n.\n" } },
	{ "127.0.0.1 is up, and the network ends there",
	    "perl -MIO::Socket::INET -e '"
	    "my $s = IO::Socket::INET->new(Listen => 1, "
	    "LocalAddr => \"127.0.0.1\") or print \"down\\n\"; "
	    "print -e \"/sys/class/net\" ? \"sys\\n\" : \"\", "
	    "IO::Socket::INET->new(Proto => \"udp\", "
	    "PeerAddr => \"192.0.2.1:9\") ? \"out\\n\" : \"in\\n\"'",
	    { NULL, "in\n", "in\n" } },
	{ "it is ended before the host when memory is short",
	    "[ $(cat /proc/self/oom_score_adj) -ge 500 ] && echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "its control group is the top one",
	    "cut -d: -f3 /proc/self/cgroup | sort -u", { NULL, "/\n", "/\n" } },
	{ "nothing dumps core", "ulimit -c", { "0\n", "0\n", "0\n" } },
	{ "the machine has the tenant's name", "uname -n",
	    { NULL, "acme\n", "acme\n" } },
	{ "the usual devices work",
	    "head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; "
	    "echo x >/dev/null; (echo x >/dev/full) 2>/dev/null || echo full",
	    { "3\n3\nfull\n", "3\n3\nfull\n", "3\n3\nfull\n" } },
	{ "standard output can be opened by name",
	    "echo x >/dev/stdout; "
	    "echo y >/dev/stderr",
	    { "x\ny\n", "x\ny\n", "x\ny\n" } },
	{ "mounting is refused",
	    "mount -t tmpfs none /tmp 2>/dev/null || echo no",
	    { NULL, "no\n", "no\n" } },
	{ "the working directory is where it is outside",
	    "[ \"$(pwd)\" = \"$(dirname $0)\" ] && echo same",
	    { "same\n", "same\n", "same\n" } },
	{ "python runs",
	    "/usr/bin/python3 -c 'import os, tempfile; "
	    "tempfile.TemporaryFile().write(b\"x\"); print(os.getcwd()[:5])'",
	    { "/tmp/\n", "/tmp/\n", "/tmp/\n" } },
	{ "perl runs", "perl -e 'print \"perl\\n\"'",
	    { "perl\n", "perl\n", "perl\n" } },
};

/* What rules (Landlock) alone keep from it. */
static const struct inside ruled[] = {
	{ "nor signalled", "kill -CONT $PPID 2>/dev/null || echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "nor can pid 1", "kill -CONT 1 2>/dev/null || echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "the host's files are out of reach by their contents",
	    "cat /root/.profile 2>/dev/null; ls /home /srv 2>/dev/null; "
	    "( : >/var/spool/x ) 2>/dev/null && echo made; echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "files move between the places it may write",
	    "mkdir data/a data/b && echo text >data/a/f && mv data/a/f data/b/ "
	    "&& ln data/b/f data/a/g && cat data/a/g",
	    { "text\n", "text\n", "text\n" } },
};

static void
inside_is(void **state)
{
	const struct inside *row = *state;

	if (!row->output[kind])
		skip();
	cell_ready();
	script_start(row->script);
	assert_string_equal(read_all(), row->output[kind]);
	assert_int_equal(ended().how, ENDED_EXITED);
	cell_end();
}

static void
ruled_is(void **state)
{
	if (landlock_version() < LANDLOCK_SCOPE)
		skip();
	inside_is(state);
}

/* ---- what a cell does ---------------------------------------------------------------- */

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
	    "good\0good.sh\0\0"
	    "plain\0plain\0plain is not executable: chmod +x plain\0";
	struct span body;

	cell_ready();
	place_put("good.sh", 0755, "#!/bin/sh\n");
	place_put("plain", 0644, "text");
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
	    "Permission denied",
	    '\0', '\0', kind == KIND_ROOT ? TENANT_USER : geteuid());
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
	assert_int_equal(count, 1500 * 3);
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

int
main(void)
{
	int failed = 0;

	/* orphans of a test that fails must not stay */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (kind = 0; kind < KINDS; kind++) {
		print_message("kind of cell: %s%s\n", kind_names[kind],
		    kind_possible(kind) ? "" : " (not possible here)");
		if (!kind_possible(kind))
			continue;
		failed += RUN_ROWS(doeses, cell_does);
		failed += RUN_ROWS(insides, inside_is);
		failed += RUN_ROWS(ruled, ruled_is);
	}
	return failed != 0;
}
