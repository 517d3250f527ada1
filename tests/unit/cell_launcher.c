/* SPDX-License-Identifier: MIT */
/* If this fails, a request starts the wrong program or none, a stop order is
 * lost or hits a stranger, or processes outlive their invocation. The test is
 * the gateway at one end of the channel, and the cell that forked. */

#define _GNU_SOURCE 1
#include "cell_launch.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/proc.h"

/* ---- what this file does when it is started as a function ------------------ */

static int
role_run(const char *role)
{
	struct sigaction action;
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int fd = 0; fd < 256; fd++)
		if (strcmp(role, "fds") == 0 && fcntl(fd, F_GETFD) >= 0)
			printf("%d ", fd);
	for (int signo = 1; signo <= 64; signo++)
		if (strcmp(role, "signals") == 0 &&
		    (sigismember(&mask, signo) == 1 ||
			(sigaction(signo, NULL, &action) == 0 &&
			    action.sa_handler == SIG_IGN)))
			printf("%d ", signo);
	return 0;
}

/* ---- programs that say what they were given ---------------------------------- */

static const struct told {
	const char *sentence;
	const char *script;
	struct start start;
	const char *output;
	int status; /* as of wait */
} tolds[] = {
	{ "a program runs and its exit status is told", "echo hello; exit 3",
	    { 0 }, "hello\n", 3 << 8 },
	{ "without a body stdin is empty", "cat; echo .", { 0 }, ".\n", 0 },
	{ "a body is stdin", "cat; echo .", { .body = "first\nsecond" },
	    "first\nsecond.\n", 0 },
	{ "a body can be opened again by name", "cat /dev/stdin",
	    { .body = "again" }, "again", 0 },
	{ "arguments come behind the name, also empty ones",
	    "for a in \"$@\"; do echo \"<$a>\"; done",
	    { .args = { "one\0\0two words\0", 15 } },
	    "<one>\n<>\n<two words>\n", 0 },
	{ "an argument that does not end is none",
	    "for a in \"$@\"; do echo \"<$a>\"; done",
	    { .args = { "one\0two", 7 } }, "<one>\n", 0 },
	{ "the environment is what was sent and nothing else",
	    "exec /usr/bin/env -u PWD | sort",
	    { .env = { "A=1\0B=x=y\0C=\0", 13 } }, "A=1\nB=x=y\nC=\n", 0 },
	{ "there are three descriptors and no fourth", "exec $SELF fds", { 0 },
	    "0 1 2 ", 0 },
	{ "no signal is blocked or ignored", "exec $SELF signals", { 0 }, "",
	    0 },
	{ "it leads its own group, in the session of its launcher",
	    "set -- $(cut -d' ' -f4,5,6 /proc/$$/stat); "
	    "[ $2 = $$ ] && [ $3 = $1 ] && echo leader",
	    { 0 }, "leader\n", 0 },
	{ "no terminal is its own",
	    "(exec 3</dev/tty) 2>/dev/null || echo none", { 0 }, "none\n", 0 },
	{ "open files are limited, for good",
	    "ulimit -Sn; ulimit -Hn; ulimit -n 100 2>/dev/null || echo no",
	    { .files = 32 }, "32\n32\nno\n", 2 << 8 },
	{ "memory is limited", "ulimit -d", { .memory_bytes = 64 << 20 },
	    "65536\n", 0 },
	{ "processor time is limited", "ulimit -St; ulimit -Ht", { .cpu_s = 7 },
	    "7\n8\n", 0 },
	{ "processes are limited", "ulimit -p", { .processes = 77 }, "77\n",
	    0 },
	{ "at its deadline the kernel ends it", "while :; do :; done",
	    { .time_us = 50000 }, "", SIGALRM },
	{ "processor time ends it too", "while :; do :; done", { .cpu_s = 1 },
	    "", SIGXCPU },
	{ "what it left behind and has ended by itself is no stray",
	    "(exit 0) & wait", { 0 }, "", 0 },
};

static void
program_is_told(void **state)
{
	const struct told *t = *state;
	struct message_ended m;

	launcher_begin(NULL);
	script(t->script);
	start_send(&t->start);
	read_all(out_fd);
	m = ended();
	assert_int_equal(m.how, ENDED_EXITED);
	/* of a shell that could not raise its limit, only that it failed */
	if (WIFEXITED(t->status) && WEXITSTATUS(t->status) == 2)
		assert_true(WIFEXITED((int)m.wait_status));
	else
		assert_int_equal(m.wait_status, t->status);
	assert_string_equal(output, t->output);
	assert_int_equal(m.strays, 0);
	assert_true(m.ended_us >= m.started_us && m.started_us > 0);
	launcher_end(NULL);
}

/* ---- programs that cannot be started ------------------------------------------- */

static const struct unstarted {
	const char *sentence;
	const char *text;
	mode_t mode;
	bool open_for_writing;
	size_t env_bytes;
	int error;
} unstarteds[] = {
	{ "a missing interpreter is ENOENT", "#!/no/such/thing\n", 0755, false,
	    0, ENOENT },
	{ "an interpreter with a carriage return is ENOENT",
	    "#!/bin/sh\r\necho\r\n", 0755, false, 0, ENOENT },
	{ "an empty file is ENOEXEC", "", 0755, false, 0, ENOEXEC },
	{ "no shebang is ENOEXEC", "echo hello\n", 0755, false, 0, ENOEXEC },
	{ "not executable is EACCES", "#!/bin/sh\n", 0644, false, 0, EACCES },
	{ "an interpreter that is not executable is EACCES", "#!/etc/passwd\n",
	    0755, false, 0, EACCES },
	{ "still open for writing is ETXTBSY", "#!/bin/sh\n", 0755, true, 0,
	    ETXTBSY },
	{ "a variable over 128 KiB is E2BIG", "#!/bin/sh\n", 0755, false,
	    140000, E2BIG },
};

static void
program_is_not_started(void **state)
{
	const struct unstarted *u = *state;
	char *env = calloc(1, u->env_bytes + 2);
	struct start start = { .env = { env, u->env_bytes + 2 } };
	struct message_ended m;
	int fd = -1;

	launcher_begin(NULL);
	memset(env, 'x', u->env_bytes);
	place_put("program", u->mode, u->text);
	if (u->open_for_writing)
		fd = open(place_of("program"), O_WRONLY | O_CLOEXEC);
	start_send(&start);
	m = ended();
	assert_int_equal(m.how, ENDED_NOT_STARTED);
	assert_int_equal(m.error, u->error);
	assert_int_equal(m.step, PROC_EXECVE);
	assert_string_equal(read_all(out_fd), "");
	fd_close(&fd);
	/* and the launcher goes on */
	script("echo well");
	start_send(&(struct start){ 0 });
	assert_string_equal(read_all(out_fd), "well\n");
	assert_int_equal(ended().how, ENDED_EXITED);
	free(env);
	launcher_end(NULL);
}

/* ---- tickets --------------------------------------------------------------------- */

static void
stale_program(void)
{
	script("echo another");
}

static void
stale_settings(void)
{
	place_put("program.conf", 0644, "args = []");
}

static void
stale_tenant(void)
{
	place_put("tenant.conf", 0644, "args = []");
}

static void
stale_gone(void)
{
	unlink(place_of("program"));
}

static void
stale_mode(void)
{
	chmod(place_of("program"), 0700);
}

static const struct stale {
	const char *sentence;
	void (*change)(void);
} stales[] = {
	{ "another program is stale", stale_program },
	{ "settings that were not there are stale", stale_settings },
	{ "the tenant's settings count too", stale_tenant },
	{ "a program that has gone is stale", stale_gone },
	{ "another mode is stale", stale_mode },
};

static void
ticket_is_stale(void **state)
{
	const struct stale *s = *state;
	struct ticket t;

	launcher_begin(NULL);
	script("echo one");
	t = ticket_now("program", "program.conf");
	start_send(&(struct start){ .ticket = &t });
	assert_string_equal(read_all(out_fd), "one\n");
	assert_int_equal(ended().how, ENDED_EXITED);
	s->change();
	start_send(&(struct start){ .ticket = &t });
	assert_string_equal(read_all(out_fd), "");
	assert_int_equal(ended().how, ENDED_STALE);
	launcher_end(NULL);
}

static void
young_settings_are_read_again(void **state)
{
	struct ticket t;

	(void)state;
	script("echo one");
	t = ticket_now("program", "program.conf");
	t.young_until_ms = UINT64_MAX;
	start_send(&(struct start){ .ticket = &t });
	assert_int_equal(ended().how, ENDED_EXITED);
	t.young_until_ms = 1;
	start_send(&(struct start){ .ticket = &t });
	assert_int_equal(ended().how, ENDED_STALE);
}

static const struct bent {
	const char *sentence;
	const char *program;
	const char *settings;
} bents[] = {
	{ "a ticket does not lead up", "../program", "x.conf" },
	{ "nor up from further down", "a/../../program", "x.conf" },
	{ "nor to the root", "/bin/sh", "x.conf" },
	{ "nor to nothing", "", "x.conf" },
	{ "nor its settings", "program", "/etc/passwd" },
};

static void
ticket_is_refused(void **state)
{
	const struct bent *b = *state;
	struct ticket t = { .program = span_of(b->program),
		.settings = span_of(b->settings) };
	struct buf bytes;
	struct span whole;

	buf_init(&bytes, 65536);
	assert_int_equal(ticket_encode(&t, &bytes), 0);
	assert_int_equal(ticket_decode(buf_span(&bytes), &t), -1);
	buf_clear(&bytes);
	t = (struct ticket){ .program = SPAN("a/b"), .settings = SPAN("c") };
	assert_int_equal(ticket_encode(&t, &bytes), 0);
	whole = buf_span(&bytes);
	for (size_t cut = 0; cut < whole.bytes; cut++)
		assert_int_equal(ticket_decode(span_take(whole, cut), &t), -1);
	assert_int_equal(ticket_decode(whole, &t), 0);
	buf_free(&bytes);
}

static const struct settings_name {
	const char *sentence;
	const char *program;
	const char *name;
} settings_names[] = {
	{ "a program has NAME.conf", "hello", "hello.conf" },
	{ "without its extensions", "report.tar.py", "report.conf" },
	{ "a directory has function.conf in it", "gallery/run",
	    "gallery/function.conf" },
};

static void
settings_are_named(void **state)
{
	const struct settings_name *n = *state;
	char name[64];

	assert_int_equal(ticket_settings_name(span_of(n->program), name,
			     sizeof(name)),
	    0);
	assert_string_equal(name, n->name);
	assert_int_equal(ticket_settings_name(span_of(n->program), name, 4),
	    -1);
}

/* ---- what is left, and orders to stop -------------------------------------------- */

static const struct left {
	const char *sentence;
	const char *script;
} lefts[] = {
	{ "a child in the background is killed", "sleep 1000 & exit 5" },
	{ "a child in a session of its own is killed",
	    "setsid sleep 1000 & exit 5" },
	{ "a daemon that forked twice is killed",
	    "(setsid sh -c 'sleep 1000 & sleep 1000' &) ; exit 5" },
	{ "many are killed",
	    "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; exit 5" },
	{ "a child that ignores requests is killed",
	    "(trap '' TERM HUP INT; sleep 1000; sleep 1000) & exit 5" },
	{ "a child that is stopped is killed",
	    "sleep 1000 & kill -STOP $!; exit 5" },
};

static void
nothing_is_left(void **state)
{
	const struct left *l = *state;
	struct message_exited exited;
	struct message_ended m;
	struct span body;

	launcher_begin(NULL);
	script(l->script);
	start_send(&(struct start){ 0 });
	assert_int_equal(answer(&body), MESSAGE_EXITED);
	assert_int_equal(message_exited_decode(body, &exited), 0);
	assert_int_equal(exited.wait_status, 5 << 8);
	m = ended();
	assert_int_equal(m.wait_status, 5 << 8);
	assert_true(m.strays >= 1);
	/* the pipe has no writer: there is nobody */
	assert_string_equal(read_all(out_fd), "");
	launcher_end(NULL);
}

static const struct stop {
	const char *sentence;
	const char *script;
	int signo;
	int status;
} stops[] = {
	{ "asked, a program ends by SIGTERM", "echo ready; sleep 1000; exit 1",
	    SIGTERM, SIGTERM },
	{ "asked, it may clean up",
	    "trap 'kill $!; exit 6' TERM; sleep 1000 & echo ready; wait",
	    SIGTERM, 6 << 8 },
	{ "killed, it does not matter what it ignores",
	    "trap '' TERM; echo ready; sleep 1000; sleep 1000", SIGKILL,
	    SIGKILL },
	{ "killed, a stopped one goes too", "echo ready; kill -STOP $$",
	    SIGKILL, SIGKILL },
};

static void
order_is_carried_out(void **state)
{
	const struct stop *s = *state;
	struct message_ended m;
	char line[64];

	launcher_begin(NULL);
	script(s->script);
	start_send(&(struct start){ 0 });
	read_line(line, sizeof(line));
	assert_string_equal(line, "ready");
	assert_int_equal(order_send(launcher, (uint32_t)invocation, s->signo),
	    0);
	m = ended();
	assert_int_equal(m.how, ENDED_EXITED);
	assert_int_equal(m.wait_status, s->status);
	read_all(out_fd);
	launcher_end(NULL);
}

static void
order_for_another_invocation_is_ignored(void **state)
{
	char line[64];

	(void)state;
	script("echo ready; read x; echo \"got $x\"");
	assert_int_equal(mkfifo(place_of("fifo"), 0600), 0);
	script("echo ready; read x <fifo; echo \"got $x\"");
	start_send(&(struct start){ 0 });
	read_line(line, sizeof(line));
	assert_int_equal(order_send(launcher, (uint32_t)invocation - 1,
			     SIGKILL),
	    0);
	assert_int_equal(order_send(launcher, (uint32_t)invocation + 1,
			     SIGTERM),
	    0);
	int fd = open(place_of("fifo"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, "word\n", 5), 5);
	close(fd);
	assert_string_equal(read_all(out_fd), "got word\n");
	assert_int_equal(ended().wait_status, 0);
}

static void
order_before_its_start_is_kept(void **state)
{
	(void)state;
	script("sleep 1000");
	assert_int_equal(order_send(launcher, (uint32_t)invocation + 1,
			     SIGKILL),
	    0);
	start_send(&(struct start){ 0 });
	assert_int_equal(ended().wait_status, SIGKILL);
	/* and it is not kept for the next */
	script("echo next");
	start_send(&(struct start){ 0 });
	assert_string_equal(read_all(out_fd), "next\n");
	assert_int_equal(ended().wait_status, 0);
}

/* Orders fired at any moment of a start: whenever it is sent, it arrives. */
static void
order_during_the_start_is_not_lost(void **state)
{
	(void)state;
	script("exec sleep 1000");
	for (int i = 0; i < 300; i++) {
		start_send(&(struct start){ 0 });
		for (volatile int spin = 0; spin < i * 300; spin++)
			;
		assert_int_equal(order_send(launcher, (uint32_t)invocation,
				     i % 2 ? SIGKILL : SIGTERM),
		    0);
		assert_int_equal(ended().wait_status,
		    i % 2 ? SIGKILL : SIGTERM);
	}
}

/* ---- the launcher itself ------------------------------------------------------------ */

static void
launcher_keeps_nothing(void **state)
{
	struct ticket t;
	size_t before;

	(void)state;
	script("sleep 1000 & exit 0");
	t = ticket_now("program", "program.conf");
	t.young_until_ms = 1;
	start_send(&(struct start){ 0 });
	ended();
	before = launcher_fds();
	assert_int_equal(before, 6);
	for (int i = 0; i < 50; i++) {
		start_send(&(struct start){
		    .body = i % 2 ? "x" : NULL, .ticket = i % 3 ? NULL : &t });
		assert_int_equal(ended().how,
		    i % 3 ? ENDED_EXITED : ENDED_STALE);
	}
	assert_int_equal(launcher_fds(), before);
}

static void
nothing_is_forked_without_a_template(void **state)
{
	(void)state;
	script("echo here");
	start_send(&(struct start){ .template = START_FORKED, .body = "x" });
	assert_string_equal(read_all(out_fd), "");
	assert_int_equal(ended().how, ENDED_NO_TEMPLATE);
	start_send(&(struct start){ 0 });
	assert_string_equal(read_all(out_fd), "here\n");
	assert_int_equal(ended().how, ENDED_EXITED);
	assert_int_equal(launcher_fds(), 6);
}

static void
signals_for_the_host_do_not_end_it(void **state)
{
	(void)state;
	script("echo here");
	start_send(&(struct start){ 0 });
	ended();
	kill(launcher, SIGTERM);
	kill(launcher, SIGINT);
	kill(launcher, SIGHUP);
	start_send(&(struct start){ 0 });
	assert_string_equal(read_all(out_fd), "here\n");
	assert_int_equal(ended().how, ENDED_EXITED);
}

/* Kills what forked the launcher, without a pid namespace to help. */
static void
dead_cell_leaves_nothing(void **state)
{
	int ends[2];
	struct launcher_place place;
	struct span body;
	char byte;
	pid_t cell;

	(void)state;
	/* the one that is there does without us */
	fd_close(&channel);
	assert_int_equal(waitpid(launcher, NULL, 0), launcher);
	launcher = 0;
	assert_int_equal(fd_channel(ends), 0);
	cell = fork();
	if (cell == 0) {
		place = (struct launcher_place){ .channel = ends[1],
			.directory_fd = place_fd,
			.directory = place_path,
			.cell = getpid(),
			.alone = true };
		if (fork() == 0)
			launcher_run(&place);
		pause();
	}
	close(ends[1]);
	channel = ends[0];
	script("setsid sleep 1000 & echo ready; sleep 1000");
	start_send(&(struct start){ 0 });
	assert_int_equal(read(out_fd, &byte, 1), 1);
	assert_int_equal(kill(cell, SIGKILL), 0);
	/* what the launcher still says, and then the end of it and of all */
	while (peer_receive_now(channel, ROLE_GATEWAY, ROLE_LAUNCHER, &body,
		   (int[FD_PASS_MOST]){ 0 }, &(size_t){ 0 }) != MESSAGE_NONE)
		;
	read_all(out_fd);
	assert_int_equal(waitpid(cell, NULL, 0), cell);
}

static void
resources_are_accounted(void **state)
{
	struct message_ended m;

	(void)state;
	script("sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'");
	start_send(&(struct start){ 0 });
	m = ended();
	assert_true(m.cpu_us > 0);
	assert_true(m.max_rss_kib > 0);
	assert_true(m.cpu_us < 60 * UINT64_C(1000000));
}

/* A program the kernel runs without help: by descriptor. */
static void
native_program_runs(void **state)
{
	char whole[1 << 16];
	ssize_t n;
	int from = open(self, O_RDONLY | O_CLOEXEC), to;

	(void)state;
	place_put("program", 0755, "");
	to = open(place_of("program"), O_WRONLY | O_CLOEXEC);
	while ((n = read(from, whole, sizeof(whole))) > 0)
		assert_int_equal(write(to, whole, (size_t)n), n);
	start_send(&(struct start){ .args = { "fds\0", 4 } });
	assert_string_equal(read_all(out_fd), "");
	assert_int_equal(ended().error, ETXTBSY);
	close(to);
	close(from);
	assert_true(ticket_now("program", "x.conf").native);
	for (int i = 0; i < 3; i++) {
		start_send(&(struct start){
		    .args = { "fds\0", 4 }, .body = i % 2 ? "x" : NULL });
		assert_string_equal(read_all(out_fd), "0 1 2 ");
		assert_int_equal(ended().wait_status, 0);
	}
	assert_int_equal(launcher_fds(), 6);
}

static void
directory_form_runs_in_its_directory(void **state)
{
	char expected[PATH_MAX];

	(void)state;
	assert_int_equal(mkdir(place_of("gallery"), 0755), 0);
	place_put("gallery/run", 0755, "#!/bin/sh\npwd\necho \"$0\"\n");
	start_send(&(struct start){ .program = "gallery/run" });
	read_all(out_fd);
	snprintf(expected, sizeof(expected),
	    "%.1000s/gallery\n%.1000s/gallery/run\n", place_path, place_path);
	assert_string_equal(output, expected);
	assert_int_equal(ended().wait_status, 0);
}

#define ONE(function) \
	cmocka_unit_test_setup_teardown(function, launcher_begin, launcher_end)

int
main(int argc, char **argv)
{
	static const struct CMUnitTest others[] = {
		ONE(young_settings_are_read_again),
		ONE(order_for_another_invocation_is_ignored),
		ONE(order_before_its_start_is_kept),
		ONE(order_during_the_start_is_not_lost),
		ONE(launcher_keeps_nothing),
		ONE(nothing_is_forked_without_a_template),
		ONE(signals_for_the_host_do_not_end_it),
		ONE(dead_cell_leaves_nothing),
		ONE(resources_are_accounted),
		ONE(native_program_runs),
		ONE(directory_form_runs_in_its_directory),
	};
	int failed;

	if (argc == 2)
		return role_run(argv[1]);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	order_block();
	/* orphans of a test that fails must not stay */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	failed = RUN_ROWS(tolds, program_is_told);
	failed += RUN_ROWS(unstarteds, program_is_not_started);
	failed += RUN_ROWS(stales, ticket_is_stale);
	failed += RUN_ROWS(bents, ticket_is_refused);
	failed += RUN_ROWS(settings_names, settings_are_named);
	failed += RUN_ROWS(lefts, nothing_is_left);
	failed += RUN_ROWS(stops, order_is_carried_out);
	failed += cmocka_run_group_tests(others, NULL, NULL);
	return failed != 0;
}
