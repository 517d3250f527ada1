/* SPDX-License-Identifier: MIT */
/* If this fails, the host does not start, does not come back after one of its
 * processes died, or leaves something behind. */
#include "master_host.h"

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
	/* the first one serves on */
	assert_true(strtol(ask(h, "pid"), NULL, 10) > 0);
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
		WITH_A_HOST(what_is_another_hosts_by_now_is_not_removed),
		WITH_A_HOST(usr1_reaches_log),
		WITH_A_HOST(a_second_signal_ends_it_now),
		WITH_A_HOST(the_drain_has_an_end),
		WITH_A_HOST(
		    nothing_survives_a_killed_master_and_it_starts_again),
		WITH_A_HOST(a_gateway_that_cannot_start_is_given_up_on),
	};

	return RUN_WITH_FAKES(tests, argc, argv);
}
