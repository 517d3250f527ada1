/* SPDX-License-Identifier: MIT */
/* If this fails, the host serves with half of a new configuration, keeps quiet of
 * what is wrong with it, or of what was taken away from under it. */
#include "master_host.h"

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
taken_away(struct host *h, const char *name)
{
	char path[160], told[200], inside[64], text[LINE_MOST];
	mode_t mode = 0;

	host_start(h);
	host_ready(h);
	assert_string_equal(ask(h, name), "ok");
	assert_null(strstr(ask(h, "reload"), name));
	snprintf(inside, sizeof(inside), "run/%s", name);
	snprintf(path, sizeof(path), "%s/%s", h->run, name);
	snprintf(told, sizeof(told), "/run/%s was removed or replaced", name);
	assert_int_equal(rmdir(path), 0);
	assert_string_equal(ask(h, name), strerror(ENOENT));
	assert_says(h, "reload", told);
	assert_string_equal(ask(h, name), "ok");
	assert_true(exists(h, inside, &mode));
	assert_int_equal(mode, 0700);
	assert_null(strstr(ask(h, "reload"), name));

	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_says(h, "reload", told);
	assert_true(exists(h, inside, &mode));
	assert_int_equal(mode, 0700);

	assert_int_equal(rmdir(path), 0);
	kill(atoi(ask(h, "pid")), SIGKILL);
	assert_true(await_words(h->err, "it is made again", text,
	    sizeof(text)));
	assert_says(h, name, "ok");
}

static void
a_spool_that_is_taken_away_is_made_again(void **state)
{
	taken_away(*state, "spool");
}

static void
a_worker_directory_that_is_taken_away_is_made_again(void **state)
{
	taken_away(*state, "workers");
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

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WITH_A_HOST(reload_changes_all_or_nothing),
		WITH_A_HOST(what_stays_is_told_by_what_is_in_force),
		WITH_A_HOST(a_run_directory_that_is_taken_away_is_told),
		WITH_A_HOST(the_front_socket_that_is_taken_away_is_told),
		WITH_A_HOST(a_spool_that_is_taken_away_is_made_again),
		WITH_A_HOST(
		    a_worker_directory_that_is_taken_away_is_made_again),
		WITH_A_HOST(a_group_of_operators_that_there_is_not_is_an_error),
		WITH_A_HOST(a_missing_functions_directory_is_told),
		WITH_A_HOST(a_functions_directory_that_is_a_file_is_an_error),
		WITH_A_HOST(
		    a_configuration_that_others_can_write_is_refused_by_root),
	};

	return RUN_WITH_FAKES(tests, argc, argv);
}
