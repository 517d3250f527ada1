/* SPDX-License-Identifier: MIT */
/* If this fails, a request that is to be forked from a template is lost, runs
 * twice or for ever, or a template that lies has the launcher do harm. The test
 * is gateway, cell, and, started by the launcher, the template. */

#define _GNU_SOURCE 1
#include "cell_launch.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "wire/template.h"

/* ---- what this file does when it is started as a template -------------------- */

static char received[TEMPLATE_FORK_MOST];

static pid_t
sibling(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
}

static void
say(uint64_t number, pid_t pid, uint32_t error)
{
	struct template_forked m = { number, pid, error };
	struct buf b;

	buf_init(&b, 4096);
	if (template_forked_encode(&b, &m) == 0)
		fd_send(0, buf_span(&b), NULL, 0);
	buf_free(&b);
}

/* The newborn does what DO= says, by a shell. */
static void
newborn(const struct template_fork *m, const int fds[3])
{
	char *words[] = { (char[]){ "sh" }, (char[]){ "-c" }, NULL, NULL };
	char *env[] = { (char[]){ "PATH=/usr/bin:/bin" }, NULL };

	setpgid(0, 0);
	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	words[2] = (char *)(uintptr_t)m->env.data + strlen("DO=");
	execve("/bin/sh", words, env);
	_exit(126);
}

/* One that never ends and holds nobody's output. */
static void
linger(void)
{
	close_range(0, ~0U, 0);
	for (;;)
		pause();
}

static void
misbehave(const char *kind, const struct template_fork *m, pid_t *known)
{
	if (strcmp(kind, "silent") == 0)
		return;
	if (strcmp(kind, "wrong") == 0)
		say(m->invocation + 1, getpid(), 0);
	if (strcmp(kind, "launcher") == 0)
		say(m->invocation, getppid(), 0);
	if (strcmp(kind, "itself") == 0)
		say(m->invocation, getpid(), 0);
	if (strcmp(kind, "nobody") == 0)
		say(m->invocation, 1, 0); /* is not even said */
	if (strcmp(kind, "own") == 0) {
		pid_t pid = fork();

		if (pid == 0)
			linger();
		say(m->invocation, pid, 0);
	}
	if (strcmp(kind, "known") == 0 && *known > 0)
		say(m->invocation, *known, 0);
	if (strcmp(kind, "errno") == 0)
		say(m->invocation, -1, EAGAIN);
	if (strcmp(kind, "dies") == 0)
		_exit(3);
	if (strcmp(kind, "closes") == 0) {
		close(0);
		pause();
	}
	if (strcmp(kind, "stops") == 0)
		raise(SIGSTOP);
	if (strcmp(kind, "long") == 0)
		fd_send(0, span_make(received, 4096), NULL, 0);
	if (strcmp(kind, "short") == 0)
		fd_send(0, SPAN("x"), NULL, 0);
}

static int
template_run(const char *kind)
{
	struct template_fork m;
	int fds[FD_PASS_MOST];
	size_t fd_count;
	pid_t pid, known = 0;
	ssize_t n;

	if (strcmp(kind, "early") == 0)
		say(7, getppid(), 0);
	for (;;) {
		fd_count = FD_PASS_MOST;
		n = fd_receive_wait(0, received, sizeof(received), fds,
		    &fd_count);
		if (n <= 0)
			return 0;
		if (fd_count != TEMPLATE_FDS ||
		    template_fork_decode(span_make(received, (size_t)n), &m) !=
			0)
			return 9;
		if (strcmp(kind, "good") == 0 ||
		    strcmp(kind, "multiplies") == 0 ||
		    strcmp(kind, "late") == 0 || strcmp(kind, "twice") == 0 ||
		    (strcmp(kind, "known") == 0 && known == 0)) {
			pid = sibling();
			if (pid == 0)
				newborn(&m, fds);
			if (strcmp(kind, "late") == 0)
				pause(); /* it runs, and nobody says so */
			if (strcmp(kind, "multiplies") == 0)
				for (int i = 0; i < 3; i++)
					if (sibling() == 0)
						linger();
			known = pid;
			say(m.invocation, pid, 0);
			if (strcmp(kind, "twice") == 0)
				say(m.invocation, pid, 0);
		} else {
			misbehave(kind, &m, &known);
		}
		for (size_t i = 0; i < fd_count; i++)
			close(fds[i]);
	}
}

/* ---- the gateway -------------------------------------------------------------- */

struct forked { /* a run under way */
	uint64_t invocation;
	int out_fd;
};

static uint64_t template_invocation;
static uint32_t template_status;
static uint32_t template_strays;

static void
template_begin(const char *kind)
{
	char text[64];

	launcher_begin(NULL);
	snprintf(text, sizeof(text), "exec $SELF %s", kind);
	script(text);
	start_send(&(struct start){ .template = START_TEMPLATE });
	template_invocation = invocation;
}

static struct forked
fork_asked(const char *what, const struct start *start)
{
	struct start s = start ? *start : (struct start){ 0 };
	struct forked f;
	char env[256];

	s.template = START_FORKED;
	s.env = span_make(env,
	    (size_t)snprintf(env, sizeof(env), "DO=%s", what) + 1);
	start_send(&s);
	f = (struct forked){ invocation, out_fd };
	out_fd = -1;
	return f;
}

/* The next ENDED; EXITED, if there is one before, is of the same run, or of the
 * template. */
static struct message_ended
next_ended(void)
{
	struct message_exited exited = { 0 };
	struct message_ended m;
	struct span body;

	while (answer(&body) == MESSAGE_EXITED)
		assert_int_equal(message_exited_decode(body, &exited), 0);
	assert_int_equal(message_ended_decode(body, &m), 0);
	return m;
}

static struct message_ended
ended_of(uint64_t number)
{
	struct message_ended m = next_ended();

	assert_int_equal(m.invocation, number);
	return m;
}

static const char *
forked_says(struct forked *f)
{
	read_all(f->out_fd);
	fd_close(&f->out_fd);
	return output;
}

static void
template_ended(void)
{
	struct message_ended m = ended_of(template_invocation);

	assert_int_equal(m.how, ENDED_EXITED);
	template_status = m.wait_status;
	template_strays = m.strays;
}

static void
works_as_ever(void)
{
	script("echo well");
	start_send(&(struct start){ 0 });
	assert_string_equal(read_all(out_fd), "well\n");
	assert_int_equal(ended().how, ENDED_EXITED);
	assert_int_equal(launcher_fds(), 6);
	launcher_end(NULL);
}

static void
template_finish(int signo)
{
	assert_int_equal(order_send(launcher, (uint32_t)template_invocation,
			     signo),
	    0);
	template_ended();
	assert_int_equal(template_status, signo);
	works_as_ever();
}

/* ---- a template that does as it is told ------------------------------------------ */

static const struct told {
	const char *sentence;
	const char *what;
	struct start start;
	const char *output;
	int status;
} tolds[] = {
	{ "a newborn speaks, and its exit status is told", "echo hello; exit 3",
	    { 0 }, "hello\n", 3 << 8 },
	{ "without a body stdin is empty", "cat; echo .", { 0 }, ".\n", 0 },
	{ "a body is stdin", "cat; echo .", { .body = "first\nsecond" },
	    "first\nsecond.\n", 0 },
	{ "a signal that ends it is told", "kill -SEGV $$", { 0 }, "",
	    SIGSEGV },
	{ "what it leaves behind is killed",
	    "setsid sleep 1000 & (sleep 1000 &) ; exit 5", { 0 }, "", 5 << 8 },
	{ "it leads its group",
	    "[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] && "
	    "echo leader",
	    { 0 }, "leader\n", 0 },
};

static void
newborn_is_told(void **state)
{
	const struct told *t = *state;
	struct message_ended m;

	template_begin("good");
	for (int i = 0; i < 3; i++) {
		struct forked f = fork_asked(t->what, &t->start);

		assert_string_equal(forked_says(&f), t->output);
		m = ended_of(f.invocation);
		assert_int_equal(m.how, ENDED_EXITED);
		assert_int_equal(m.wait_status, t->status);
		assert_true(m.ended_us >= m.started_us && m.started_us > 0);
		assert_int_equal(m.strays > 0, t->status == 5 << 8);
	}
	template_finish(SIGTERM);
}

static void
many_at_once(void **state)
{
	enum { MANY = 40 };
	struct forked runs[MANY];
	bool over[MANY] = { false };

	(void)state;
	template_begin("good");
	assert_int_equal(mkfifo(place_of("gate"), 0600), 0);
	for (int i = 0; i < MANY; i++) {
		char text[PATH_MAX + 64];

		snprintf(text, sizeof(text), "read x <%.180s; echo %d",
		    place_of("gate"), i);
		runs[i] = fork_asked(text, NULL);
	}
	int gate = open(place_of("gate"), O_RDWR | O_CLOEXEC);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(write(gate, "go\n", 3), 3);
	for (int i = 0; i < MANY; i++) {
		struct message_ended m = next_ended();
		uint64_t which = m.invocation - runs[0].invocation;

		assert_true(which < MANY && !over[which]);
		assert_int_equal(m.how, ENDED_EXITED);
		assert_int_equal(m.wait_status, 0);
		assert_int_equal(m.strays, 0);
		over[which] = true;
	}
	close(gate);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(atoi(forked_says(&runs[i])), i);
	template_finish(SIGTERM);
}

static void
no_more_than_can_be_held(void **state)
{
	struct forked refused, last = { 0, -1 };

	(void)state;
	template_begin("good");
	for (int i = 0; i < ORDER_RUNS - 1; i++) {
		fd_close(&last.out_fd);
		last = fork_asked("exec sleep 1000", NULL);
	}
	refused = fork_asked("echo never", NULL);
	struct message_ended m = ended_of(refused.invocation);
	assert_int_equal(m.how, ENDED_NO_TEMPLATE);
	assert_int_equal(m.error, EAGAIN);
	assert_string_equal(forked_says(&refused), "");
	assert_int_equal(order_send(launcher, (uint32_t)last.invocation,
			     SIGKILL),
	    0);
	assert_int_equal(ended_of(last.invocation).wait_status, SIGKILL);
	fd_close(&last.out_fd);
	/* the end of the channel is the end of all of them */
	launcher_end(NULL);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void
order_ends_one_of_several(void **state)
{
	struct forked one, other;
	char byte;

	(void)state;
	template_begin("good");
	one = fork_asked("echo; exec sleep 1000", NULL);
	other = fork_asked("echo; exec sleep 1000", NULL);
	assert_int_equal(read(one.out_fd, &byte, 1), 1);
	assert_int_equal(read(other.out_fd, &byte, 1), 1);
	order_send(launcher, (uint32_t)one.invocation, SIGTERM);
	assert_int_equal(ended_of(one.invocation).wait_status, SIGTERM);
	order_send(launcher, (uint32_t)other.invocation, SIGKILL);
	assert_int_equal(ended_of(other.invocation).wait_status, SIGKILL);
	fd_close(&one.out_fd);
	fd_close(&other.out_fd);
	template_finish(SIGTERM);
}

/* Before it is read, between FORK and FORKED, when it has just been published:
 * whenever it is sent, it arrives. */
static void
order_is_never_lost(void **state)
{
	(void)state;
	template_begin("good");
	for (int i = 0; i < 200; i++) {
		int signo = i % 2 ? SIGKILL : SIGTERM;
		struct forked f;

		if (i % 5 == 0)
			order_send(launcher, (uint32_t)invocation + 1, signo);
		f = fork_asked("exec sleep 1000", NULL);
		for (volatile int spin = 0; spin < i * 500; spin++)
			;
		if (i % 5 != 0)
			order_send(launcher, (uint32_t)f.invocation, signo);
		assert_int_equal(ended_of(f.invocation).wait_status, signo);
		fd_close(&f.out_fd);
	}
	template_finish(SIGTERM);
}

static void
forks_outlive_their_template(void **state)
{
	struct forked f, refused;
	struct message_exited exited;
	struct span body;
	char byte;

	(void)state;
	template_begin("good");
	assert_int_equal(mkfifo(place_of("gate"), 0600), 0);
	char text[PATH_MAX + 64];
	snprintf(text, sizeof(text), "echo; read x <%.180s; echo $x",
	    place_of("gate"));
	f = fork_asked(text, NULL);
	assert_int_equal(read(f.out_fd, &byte, 1), 1);
	order_send(launcher, (uint32_t)template_invocation, SIGTERM);
	assert_int_equal(answer(&body), MESSAGE_EXITED);
	assert_int_equal(message_exited_decode(body, &exited), 0);
	assert_int_equal(exited.invocation, template_invocation);
	refused = fork_asked("echo never", NULL);
	assert_int_equal(ended_of(refused.invocation).how, ENDED_NO_TEMPLATE);
	assert_string_equal(forked_says(&refused), "");
	int gate = open(place_of("gate"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(gate, "word\n", 5), 5);
	close(gate);
	assert_string_equal(forked_says(&f), "word\n");
	assert_int_equal(ended_of(f.invocation).wait_status, 0);
	template_ended();
	assert_int_equal(template_status, SIGTERM);
	works_as_ever();
}

static void
another_file_is_stale(void **state)
{
	struct ticket t;
	struct forked f;

	(void)state;
	template_begin("good");
	t = ticket_now("program", "program.conf");
	f = fork_asked("echo well", NULL);
	assert_string_equal(forked_says(&f), "well\n");
	assert_int_equal(ended_of(f.invocation).how, ENDED_EXITED);
	script("echo another");
	f = fork_asked("echo never", &(struct start){ .ticket = &t });
	assert_int_equal(ended_of(f.invocation).how, ENDED_STALE);
	assert_string_equal(forked_says(&f), "");
	template_finish(SIGKILL);
}

static void
environment_may_be_too_large(void **state)
{
	static char env[(TEMPLATE_VARIABLES_MOST + 1) * 3];
	struct message_ended m;
	struct forked f;

	(void)state;
	template_begin("good");
	for (size_t i = 0; i < sizeof(env); i += 3)
		memcpy(env + i, "A=", 3);
	start_send(&(struct start){
	    .template = START_FORKED, .env = span_make(env, sizeof(env)) });
	m = ended();
	assert_int_equal(m.how, ENDED_NO_TEMPLATE);
	assert_int_equal(m.error, E2BIG);
	f = fork_asked("echo well", NULL);
	assert_string_equal(forked_says(&f), "well\n");
	assert_int_equal(ended_of(f.invocation).how, ENDED_EXITED);
	template_finish(SIGTERM);
}

/* By the next end of anybody, so they are counted by whose that was; of the last
 * nobody but the template is left to have them. */
static void
what_it_makes_by_itself_is_killed(void **state)
{
	uint32_t strays = 0;

	(void)state;
	template_begin("multiplies");
	for (int i = 0; i < 3; i++) {
		struct forked f = fork_asked("echo x", NULL);
		struct message_ended m;

		assert_string_equal(forked_says(&f), "x\n");
		m = ended_of(f.invocation);
		assert_int_equal(m.wait_status, 0);
		strays += m.strays;
	}
	template_finish(SIGTERM);
	assert_int_equal(strays + template_strays, 9);
}

/* ---- templates that do not ------------------------------------------------------- */

static const struct bad {
	const char *sentence;
	const char *kind;
	int before;	/* forks that go well */
	enum ended how; /* the next one ends */
	int error;	/* -1: any */
	int status;	/* of the template; -1: it goes on */
} bads[] = {
	{ "one that says nothing is killed in time", "silent", 0,
	    ENDED_NO_TEMPLATE, ETIMEDOUT, SIGKILL },
	{ "one that stops is killed in time", "stops", 0, ENDED_NO_TEMPLATE,
	    ETIMEDOUT, SIGKILL },
	{ "another invocation is no answer", "wrong", 0, ENDED_NO_TEMPLATE,
	    EPROTO, SIGKILL },
	{ "the launcher is no newborn", "launcher", 0, ENDED_NO_TEMPLATE, ESRCH,
	    SIGKILL },
	{ "nor is the template itself", "itself", 0, ENDED_NO_TEMPLATE, ESRCH,
	    SIGKILL },
	{ "nor one that runs already", "known", 1, ENDED_NO_TEMPLATE, ESRCH,
	    SIGKILL },
	{ "no memory for it is no offence", "errno", 0, ENDED_NO_TEMPLATE,
	    EAGAIN, -1 },
	{ "a template may die on it", "dies", 0, ENDED_NO_TEMPLATE, -1,
	    3 << 8 },
	{ "one that cannot be asked any more is killed", "closes", 0,
	    ENDED_NO_TEMPLATE, -1, SIGKILL },
	{ "an answer with more to it is none", "long", 0, ENDED_NO_TEMPLATE, -1,
	    SIGKILL },
	{ "nor is a byte", "short", 0, ENDED_NO_TEMPLATE, EPROTO, SIGKILL },
	{ "its own child is not ours: it might have begun", "own", 0,
	    ENDED_EXITED, 0, SIGKILL },
	{ "a newborn that nobody names is not started again", "late", 0,
	    ENDED_EXITED, 0, SIGKILL },
};

static void
template_is_bad(void **state)
{
	const struct bad *b = *state;
	struct forked before = { 0, -1 }, f;
	struct message_ended m;
	char byte;

	template_begin(b->kind);
	if (b->before) {
		before = fork_asked("echo; exec sleep 1000", NULL);
		assert_int_equal(read(before.out_fd, &byte, 1), 1);
	}
	f = fork_asked("exec sleep 1000", NULL);
	m = ended_of(f.invocation);
	assert_int_equal(m.how, b->how);
	if (b->error >= 0)
		assert_int_equal(m.error, b->error);
	if (b->how == ENDED_EXITED)
		assert_int_equal(m.wait_status, SIGKILL);
	assert_string_equal(forked_says(&f), "");
	if (b->before) {
		/* nothing happens to it */
		order_send(launcher, (uint32_t)before.invocation, SIGTERM);
		assert_int_equal(ended_of(before.invocation).wait_status,
		    SIGTERM);
		fd_close(&before.out_fd);
	}
	if (b->status < 0) {
		template_finish(SIGTERM);
		return;
	}
	template_ended();
	assert_int_equal(template_status, b->status);
	works_as_ever();
}

static void
unasked_it_may_not_speak(void **state)
{
	(void)state;
	template_begin("early");
	template_ended();
	assert_int_equal(template_status, SIGKILL);
	works_as_ever();
}

static void
nor_twice(void **state)
{
	struct forked f;
	struct message_ended m;

	(void)state;
	template_begin("twice");
	f = fork_asked("echo well", NULL);
	assert_string_equal(forked_says(&f), "well\n");
	m = ended_of(f.invocation);
	assert_int_equal(m.wait_status, 0);
	template_ended();
	assert_int_equal(template_status, SIGKILL);
	works_as_ever();
}

/* What is ordered to end does not wait for a template that is stuck. */
static void
ending_is_not_held_up(void **state)
{
	struct forked one, stuck;
	struct message_ended m;
	char byte;

	(void)state;
	template_begin(
	    "known"); /* with nobody new to name, it names the first */
	one = fork_asked("echo; exec sleep 1000", NULL);
	assert_int_equal(read(one.out_fd, &byte, 1), 1);
	stuck = fork_asked("exec sleep 1000", NULL);
	order_send(launcher, (uint32_t)one.invocation, SIGKILL);
	for (int i = 0; i < 2; i++) {
		m = next_ended();
		if (m.invocation == one.invocation)
			assert_int_equal(m.wait_status, SIGKILL);
		else
			assert_int_equal(m.invocation, stuck.invocation);
	}
	fd_close(&one.out_fd);
	fd_close(&stuck.out_fd);
	template_ended();
	works_as_ever();
}

static void
dead_cell_leaves_nothing(void **state)
{
	int ends[2];
	struct launcher_place place;
	struct span body;
	struct forked f;
	char byte;
	pid_t cell;

	(void)state;
	launcher_begin(NULL);
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
	script("exec $SELF good");
	start_send(&(struct start){ .template = START_TEMPLATE });
	f = fork_asked("setsid sleep 1000 & echo; sleep 1000", NULL);
	assert_int_equal(read(f.out_fd, &byte, 1), 1);
	assert_int_equal(kill(cell, SIGKILL), 0);
	while (peer_receive_now(channel, ROLE_GATEWAY, ROLE_LAUNCHER, &body,
		   (int[FD_PASS_MOST]){ 0 }, &(size_t){ 0 }) != MESSAGE_NONE)
		;
	forked_says(&f);
	assert_int_equal(waitpid(cell, NULL, 0), cell);
	launcher_end(NULL);
}

static void
template_may_not_start(void **state)
{
	(void)state;
	launcher_begin(NULL);
	place_put("program", 0755, "#!/no/such/thing\n");
	start_send(&(struct start){ .template = START_TEMPLATE });
	assert_int_equal(ended().how, ENDED_NOT_STARTED);
	works_as_ever();
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(no_more_than_can_be_held),
		cmocka_unit_test(order_ends_one_of_several),
		cmocka_unit_test(order_is_never_lost),
		cmocka_unit_test(forks_outlive_their_template),
		cmocka_unit_test(another_file_is_stale),
		cmocka_unit_test(environment_may_be_too_large),
		cmocka_unit_test(what_it_makes_by_itself_is_killed),
		cmocka_unit_test(unasked_it_may_not_speak),
		cmocka_unit_test(nor_twice),
		cmocka_unit_test(ending_is_not_held_up),
		cmocka_unit_test(dead_cell_leaves_nothing),
		cmocka_unit_test(template_may_not_start),
	};
	int failed;

	if (argc == 2)
		return template_run(argv[1]);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	order_block();
	/* orphans of a test that fails must not stay */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	failed = RUN_ROWS(tolds, newborn_is_told);
	failed += RUN_ROWS(bads, template_is_bad);
	failed += cmocka_run_group_tests(others, NULL, NULL);
	return failed != 0;
}
