/* SPDX-License-Identifier: MIT */
/* If this fails, a request is lost when the configuration, the log process or
 * the machine changes under it. */
#include "gateway_web.h"

#include <sys/mman.h>

static int overheard = -1; /* what the gateway says on stderr */

static void (*configure)(struct config *) = few_of_all;

/* ---- configuration, log, end ----------------------------------------------------------------- */

/* What runs ends in its old cell; what comes starts in a new one. */
static void
reload(void **state)
{
	struct start old, new;
	struct web other;
	struct pollfd p;
	char byte;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &old);
	host.config->generation = 2;
	host.config->limits[LIMIT_time] = 7000;
	config_settle(host.config);
	host_configure(&host);
	web_open(&other, &host);
	web_get(&other, "/fn/acme/hello");
	do
		host_start(&host, &new);
	while (0);
	assert_int_equal(host.cell_count, 2);
	assert_int_equal(new.time_us, 7000000);
	answer(&new);
	hello_comes(&other);
	answer(&old);
	hello_comes(&web);
	p = (struct pollfd){ .fd = host.cells[0], .events = POLLIN };
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(p.fd, &byte, 1, 0), 0);
	web_hello(&web, &host);
	web_close(&other);
	assert_int_equal(host.cell_count, 2);
}

/* Cells are dear: whose would be made as it is stays, and what it has said
 * counts on. */
static void
reload_of_others(void **state)
{
	struct start s;

	(void)state;
	web_hello(&web, &host);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host.config->generation = 2;
	host.config->slots_host = 8;
	host.config->log_keep++;
	config_settle(host.config);
	host_configure(&host);
	answer(&s);
	hello_comes(&web);
	web_hello(&web, &host);
	assert_int_equal(host.cell_count, 1);
	assert_int_equal(host.heard[MESSAGE_RESOLVE], 1);
	host.config->generation = 3;
	host.config->cell_paths =
	    (struct strings){ .items = calloc(1, sizeof(char *)), .count = 1 };
	host.config->cell_paths.items[0] = strdup("/srv");
	host_configure(&host);
	web_hello(&web, &host);
	assert_int_equal(host.cell_count, 2);
	assert_int_equal(host.heard[MESSAGE_RESOLVE], 2);
}

static void
suspend(bool suspended, bool now)
{
	const struct message_suspended m = { .tenant = SPAN("acme"),
		.suspended = suspended,
		.now = now,
		.reason = SPAN("it is over") };

	host_send(&host, host.master, MESSAGE_SUSPENDED, &m, NULL, 0);
}

/* Of four requests two run and two wait when it comes. */
static void
suspended(void **state)
{
	struct start running[2];
	struct web others[3];
	struct pollfd p;
	char byte;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &running[0]);
	for (int i = 0; i < 3; i++) {
		web_open(&others[i], &host);
		web_get(&others[i], "/fn/acme/hello");
	}
	host_start(&host, &running[1]);
	seen();
	suspend(true, false);
	for (int i = 1; i < 3; i++) {
		web_end(&others[i]);
		web_has(&others[i], "Status: 503 ");
		web_has(&others[i], "tenant acme is suspended: it is over");
		web_close(&others[i]);
	}
	answer(&running[0]);
	answer(&running[1]);
	hello_comes(&web);
	hello_comes(&others[0]);
	web_close(&others[0]);
	/* nothing runs: no process either */
	p = (struct pollfd){ .fd = host.cells[0], .events = POLLIN };
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(p.fd, &byte, 1, 0), 0);
	host.heard[MESSAGE_START] = 0;
	refused("/fn/acme/hello", "Status: 503 ",
	    "tenant acme is suspended: it is over", "suspended");
	suspend(false, false);
	web_hello(&web, &host);
}

/* It is asked to end; whoever waits for it is answered at once. */
static void
suspended_now(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	suspend(true, true);
	host_expect(&host, MESSAGE_STOP, &e);
	web_end(&web);
	web_has(&web, "tenant acme is suspended: it is over");
	host_exit(&host, &s, SIGTERM);
	host_expect(&host, MESSAGE_ACCESS, &e);
	assert_memory_equal(host.access.end.data, "suspended", 9);
}

static void
stderr_is_handed_over(void **state)
{
	struct start s;
	struct event e;
	struct message_stderr m;
	char text[16];
	int fd;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	assert_int_equal(write(s.err, "oops", 4), 4);
	host_expect(&host, MESSAGE_STDERR, &e);
	message_stderr_decode(e.body, &m);
	assert_memory_equal(m.tenant.data, "acme", 4);
	assert_memory_equal(m.function.data, "hello", 5);
	fd = e.fds[0];
	assert_int_equal(read(fd, text, sizeof(text)), 4);
	assert_int_equal(read(fd, text, sizeof(text)), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
	answer(&s);
	hello_comes(&web);
	/* at the very end, when nothing was watched yet */
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	assert_int_equal(write(s.err, "late", 4), 4);
	answer(&s);
	host_expect(&host, MESSAGE_STDERR, &e);
	close(e.fds[0]);
	hello_comes(&web);
	/* who is silent costs the log nothing */
	web_hello(&web, &host);
	assert_int_equal(host.heard[MESSAGE_STDERR], 2);
}

/* Without a log requests go on; their records, and a stderr, wait. */
static void
log_restarts(void **state)
{
	struct start s;
	struct event e;
	int fd;

	(void)state;
	web_hello(&web, &host);
	fd_close(&host.log);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	assert_int_equal(write(s.err, "kept", 4), 4);
	answer(&s);
	hello_comes(&web);
	/* one that runs while there is none */
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	assert_int_equal(write(s.err, "noise", 5), 5);
	start_write(&s, "Content-Type: text/plain\n\nbefore");
	web_until(&web, "before");
	host_wire_log(&host);
	host_expect(&host, MESSAGE_STDERR, &e);
	fd = e.fds[0];
	host_expect(&host, MESSAGE_STDERR, &e);
	close(fd);
	close(e.fds[0]);
	start_write(&s, "hello\n");
	host_exit(&host, &s, 0);
	hello_comes(&web);
	host_expect(&host, MESSAGE_ACCESS, &e);
	if (host.heard[MESSAGE_ACCESS] < 3)
		host_expect(&host, MESSAGE_ACCESS, &e);
	assert_int_equal(host.heard[MESSAGE_ACCESS], 3);
}

static void
drain(void **state)
{
	struct message_drain m = { .limit_ms = 10000 };
	struct start s;
	struct web other;
	int status;

	(void)state;
	web_open(&other, &host); /* idle: closed at once */
	web_hello(&other, &host);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_send(&host, host.master, MESSAGE_DRAIN, &m, NULL, 0);
	assert_false(web_read(&other));
	web_close(&other);
	answer(&s);
	hello_comes(&web);
	assert_false(web_read(&web)); /* though KEEP_CONN */
	assert_int_equal(waitpid(host.pid, &status, 0), host.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	web_close(&web);
	host_forget(&host);
	setup(NULL);
}

/* Everybody is ending: that a cell has is no news. */
static int
setup_overheard(void **state)
{
	int kept = dup(STDERR_FILENO), result;

	overheard = memfd_create("stderr", MFD_CLOEXEC);
	dup2(overheard, STDERR_FILENO);
	result = setup(state);
	dup2(kept, STDERR_FILENO);
	close(kept);
	return result;
}

static void
drain_is_quiet(void **state)
{
	struct message_drain m = { .limit_ms = 10000 };
	char text[4096] = "";
	struct start s;
	int status, fd;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_send(&host, host.master, MESSAGE_DRAIN, &m, NULL, 0);
	while ((fd = fd_connect_unix(host.front, SOCK_STREAM)) >= 0)
		fd_close(&fd); /* until it has heard of it */
	fd_close(&host.cells[0]);
	host_launcher_dies(&host, s.launcher);
	start_close(&s);
	web_end(&web);
	web_has(&web, "Status: 502 ");
	assert_int_equal(waitpid(host.pid, &status, 0), host.pid);
	assert_true(pread(overheard, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "stopping"));
	assert_null(strstr(text, "gone"));
	fd_close(&overheard);
	web_close(&web);
	host_forget(&host);
	setup(NULL);
}

static void
drain_is_limited(void **state)
{
	struct message_drain m = { .limit_ms = 50 };
	struct start s;
	int status;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_send(&host, host.master, MESSAGE_DRAIN, &m, NULL, 0);
	assert_int_equal(waitpid(host.pid, &status, 0), host.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	start_close(&s);
	web_close(&web);
	host_forget(&host);
	setup(NULL);
}

/* ---- when the machine has no more ------------------------------------------ */

static int
setup_few_fds(void **state)
{
	int result;

	host_fd_limit = 120;
	result = setup(state);
	host_fd_limit = 0;
	return result;
}

/* More connections than it can serve: those it has are served, the others wait
 * in the kernel's queue and come when there is room. */
static void
too_many_connections(void **state)
{
	enum { MANY = 100 };
	struct web webs[MANY];

	(void)state;
	web_hello(&web, &host);
	for (int i = 0; i < MANY; i++)
		web_open(&webs[i], &host);
	web_hello(&web, &host);
	assert_true(host_fds(&host) < 120);
	for (int i = 0; i < MANY - 1; i++)
		web_close(&webs[i]);
	web_hello(&webs[MANY - 1], &host);
	web_close(&webs[MANY - 1]);
}

/* Not one descriptor to be had: an answer, no loop, and all is well after. */
static void
no_descriptors(void **state)
{
	struct rlimit none = { 3, 120 }, some = { 120, 120 };
	struct web late;
	struct event e;

	(void)state;
	web_hello(&web, &host);
	assert_int_equal(prlimit(host.pid, RLIMIT_NOFILE, &none, NULL), 0);
	web_open(&late, &host); /* cannot be accepted */
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_ACCESS, &e);
	web_end(&web);
	web_has(&web, "Status: 503 ");
	web_has(&web, "Too many open files");
	assert_int_equal(prlimit(host.pid, RLIMIT_NOFILE, &some, NULL), 0);
	web_hello(&web, &host);
	web_hello(&late, &host);
	web_close(&late);
}

/* The spool cannot be written to. */
static void
no_spool(void **state)
{
	static char much[2000000];
	const char *pairs[] = { "REQUEST_METHOD=POST",
		"REQUEST_URI=/fn/acme/hello", "CONTENT_LENGTH=2000000", NULL };
	char spool[96];

	(void)state;
	web_hello(&web, &host);
	snprintf(spool, sizeof(spool), "%s/spool", host.directory);
	assert_int_equal(rmdir(spool), 0);
	web_begin(&web, 1, true, pairs);
	web_body(&web, 1, span_make(much, sizeof(much)));
	web_flush(&web);
	web_end(&web);
	web_has(&web, "Status: 503 ");
	host_record(&host, "machine", 503);
	web_hello(&web, &host);
}

/* ---- a storm -------------------------------------------------------------------------------- */

/* What a run does that may have nobody to write to. */
static void
storm_writes(const struct start *s, const char *text)
{
	ssize_t n = write(s->out, text, strlen(text));

	assert_true(n > 0 || errno == EPIPE);
}

static void
storm_ends(struct start *s, unsigned how)
{
	if (how == 0)
		host_killed(&host, s, SIGSEGV, 10);
	else if (how == 1)
		host_exit(&host, s, 1);
	else if (how == 2)
		not_started(s, ENDED_NOT_STARTED, EACCES, PROC_EXECVE);
	else {
		host_launcher_dies(&host, s->launcher);
		start_close(s);
		/* its place is for the next */
		if (s->launcher + 1 == host.launcher_count)
			host.launcher_count--;
	}
}

/* Clients that come and go at every moment, functions that end in every way:
 * afterwards nothing is left, and the gateway is well. A client that is gone
 * early may never have been seen. */
static void
storm(void **state)
{
	enum { ROUNDS = 400 };
	uint64_t seed = rows_seed();
	size_t before;

	(void)state;
	web_hello(&web, &host);
	before = host_fds(&host);
	for (int i = 0; i < ROUNDS; i++) {
		struct web w;
		static struct start s;
		struct event e;
		unsigned gone = (unsigned)rows_random(&seed, 5);

		web_open(&w, &host);
		web_get(&w, "/fn/acme/hello");
		host_start(&host, &s);
		if (gone == 0)
			web_close(&w);
		storm_writes(&s, "Content-Type: a/b\n");
		if (gone == 1)
			web_close(&w);
		if (rows_random(&seed, 2))
			storm_writes(&s, "\nbody");
		if (gone == 2)
			web_close(&w);
		storm_ends(&s, (unsigned)rows_random(&seed, 4));
		host_expect(&host, MESSAGE_ACCESS, &e);
		if (gone > 2) {
			web_end(&w);
			assert_true(w.ended);
			web_close(&w);
		}
	}
	web_hello(&web, &host);
	/* those of connections that close go a moment later */
	for (uint64_t until = clock_ms() + PATIENCE_MS;
	     host_fds(&host) > before + 1 && clock_ms() < until;)
		poll(NULL, 0, 1);
	assert_true(host_fds(&host) <= before + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST("a new configuration loses no request", reload),
		TEST("a configuration that is the same for a tenant",
		    reload_of_others),
		TEST("a tenant is suspended: what runs finishes", suspended),
		TEST("a tenant is suspended now", suspended_now),
		TEST("stderr goes to the log, from its first byte",
		    stderr_is_handed_over),
		TEST("a log that restarts gets what waited", log_restarts),
		TEST("draining finishes what is there", drain),
		TEST("draining has a limit", drain_is_limited),
		TEST_AFTER(setup_overheard,
		    "draining does not wonder where cells are", drain_is_quiet),
		TEST_AFTER(setup_few_fds,
		    "more connections than descriptors wait their turn",
		    too_many_connections),
		TEST_AFTER(setup_few_fds,
		    "without a descriptor there is an answer", no_descriptors),
		TEST("without a spool there is an answer", no_spool),
		TEST("after a storm nothing is left", storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
