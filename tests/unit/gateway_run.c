/* SPDX-License-Identifier: MIT */
/* If this fails, a request is started wrongly, twice or never, or a changed file
 * is not noticed. */
#include "gateway_web.h"

static void (*configure)(struct config *) = few_of_all;

/* ---- what a target means ------------------------------------------------------- */

static void
targets(void **state)
{
	(void)state;
	refused("/fn/acme", "Status: 404 ", "no-function", "no-function");
	refused("/other", "Status: 404 ", "no-function", "no-function");
	refused("/fn/acme/a%00b", "Status: 400 ", "bad-request", "bad-request");
	refused("/fn/acme/..%2f", "Status: 400 ", "bad-request", "bad-request");
	assert_int_equal(host.heard[MESSAGE_TENANT_ASK], 0);
	host.tenant_none = true;
	refused("/fn/acme/hello", "Status: 404 ", "no-tenant", "no-tenant");
	host.tenant_none = false;
	host.tenant_refused = "its owner is nobody";
	refused("/fn/acme/hello", "Status: 503 ", "its owner is nobody",
	    "tenant-refused");
	host.tenant_refused = NULL;
	host.outcome = RESOLVED_NONE;
	refused("/fn/acme/hello", "Status: 404 ", "no function acme/hello",
	    "no-function");
	host.outcome = RESOLVED_REFUSED;
	host.reason = "it is not executable";
	refused("/fn/acme/hello", "Status: 503 ", "it is not executable",
	    "refused");
	host.outcome = RESOLVED_FOUND;
	/* nothing of that was remembered */
	web_hello(&web, &host);
	assert_int_equal(host.heard[MESSAGE_TENANT_ASK], 3);
	assert_int_equal(host.heard[MESSAGE_RESOLVE], 3);
}

static void
settings_count(void **state)
{
	char *methods[] = { strdup("GET"), strdup("HEAD") };
	const char *post[] = { "REQUEST_METHOD=POST",
		"REQUEST_URI=/fn/acme/hello", NULL };
	char *args[] = { strdup("-x"), strdup("two words") };
	struct start s;

	(void)state;
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->methods.items = calloc(2, sizeof(char *));
	memcpy(host.settings->methods.items, methods, sizeof(methods));
	host.settings->methods.count = 2;
	host.settings->args.items = calloc(2, sizeof(char *));
	memcpy(host.settings->args.items, args, sizeof(args));
	host.settings->args.count = 2;
	host.settings->limits[LIMIT_time] = 1234;
	host.settings->limits[LIMIT_cpu] = 1500;
	host.settings->limits[LIMIT_memory] = 1 << 20;
	host.settings->limits[LIMIT_files] = 17;
	host.settings->limits[LIMIT_processes] = 3;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	assert_int_equal(s.time_us, 1234000);
	assert_int_equal(s.message.cpu_s, 2);
	assert_int_equal(s.message.memory_bytes, 1 << 20);
	assert_int_equal(s.message.files, 17);
	assert_int_equal(s.message.processes, 3);
	assert_int_equal(s.message.args.bytes, 13);
	assert_memory_equal(s.message.args.data, "-x\0two words", 13);
	assert_memory_equal(s.message.ticket.data, "ticket", 6);
	assert_string_equal(start_env(&s, "SCRIPT_FILENAME"),
	    "/srv/acme/hello");
	assert_non_null(start_env(&s, "FN_DEADLINE_MS"));
	assert_int_equal(strlen(start_env(&s, "TRACEPARENT")), 55);
	assert_non_null(start_env(&s, "PATH"));
	answer(&s);
	hello_comes(&web);
	web_begin(&web, 1, true, post);
	web_body(&web, 1, SPAN_NONE);
	web_flush(&web);
	host_record(&host, "done", 200);
	host_record(&host, "method", 405);
	web_end(&web);
	web_has(&web, "Status: 405 ");
	web_has(&web, "Allow: GET, HEAD\r\n");
}

/* The file's name works too, without a second look at it. */
static void
by_its_file(void **state)
{
	struct start s;

	(void)state;
	host.name = "report";
	web_known(&web, &host, "/fn/acme/report.py");
	web_known(&web, &host, "/fn/acme/report.py");
	assert_int_equal(host.heard[MESSAGE_RESOLVE], 1);
	web_get(&web, "/fn/acme/report");
	host_start(&host, &s);
	assert_string_equal(start_env(&s, "FN_NAME"), "report");
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
	assert_int_equal(host.heard[MESSAGE_RESOLVE], 1);
	/* another extension is another question */
	host.outcome = RESOLVED_NONE;
	host.heard[MESSAGE_START] = 0;
	refused("/fn/acme/report.sh", "Status: 404 ", "", "no-function");
	host.outcome = RESOLVED_FOUND;
	web_known(&web, &host, "/fn/acme/report");
	assert_int_equal(host.heard[MESSAGE_RESOLVE], 2);
}

static void
asked_once(void **state)
{
	struct web more[3];
	struct event e;
	struct message_resolve ask;
	struct start s;

	(void)state;
	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_RESOLVE, &e);
	message_resolve_decode(e.body, &ask);
	for (int i = 0; i < 3; i++) {
		web_open(&more[i], &host);
		web_get(&more[i], "/fn/acme/hello");
		seen();
	}
	ask.name = SPAN("hello");
	host_resolved(&host, e.index, &ask);
	for (int i = 0; i < 4; i++) {
		host_start(&host, &s);
		answer(&s);
	}
	hello_comes(&web);
	for (int i = 0; i < 3; i++) {
		hello_comes(&more[i]);
		web_close(&more[i]);
	}
	assert_int_equal(host.heard[MESSAGE_RESOLVE], 1);
	assert_int_equal(host.heard[MESSAGE_TENANT_ASK], 1);
}

/* ---- how a start may fail -------------------------------------------------------- */

static void
changed(void **state)
{
	struct start s;

	(void)state;
	web_hello(&web, &host);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	not_started(&s, ENDED_STALE, 0, 0);
	host_start(&host, &s);
	answer(&s);
	hello_comes(&web);
	assert_int_equal(host.heard[MESSAGE_RESOLVE], 2);
	host_record(&host, "done", 200);
}

/* A request that is about to start is judged by what the settings are now. */

struct judged {
	const char *sentence;
	void (*change)(struct settings *);
	const char *status;
	const char *end;
};

static void
get_only(struct settings *s)
{
	s->methods.items = calloc(1, sizeof(char *));
	s->methods.items[0] = strdup("GET");
	s->methods.count = 1;
}

static void
small_body(struct settings *s)
{
	s->limits[LIMIT_body] = 3;
}

static void
off(struct settings *s)
{
	s->concurrency = 0;
}

static const struct judged judged[] = {
	{ "a changed file: its methods count", get_only, "405", "method" },
	{ "a changed file: its limits.body counts", small_body, "413",
	    "body-size" },
	{ "a changed file: concurrency 0 counts", off, "503", "switched-off" },
};

static void
judged_again(void **state)
{
	static const char *const pairs[] = { "REQUEST_METHOD=POST",
		"CONTENT_LENGTH=4", "REQUEST_URI=/fn/acme/hello", NULL };
	const struct judged *row = *state;
	char status[16];
	struct start s;

	setup(NULL);
	web_begin(&web, 1, true, pairs);
	web_body(&web, 1, SPAN("four"));
	web_flush(&web);
	host_start(&host, &s);
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	row->change(host.settings);
	not_started(&s, ENDED_STALE, 0, 0);
	host_record(&host, row->end, (unsigned)atoi(row->status));
	web_end(&web);
	snprintf(status, sizeof(status), "Status: %s ", row->status);
	web_has(&web, status);
	web_forget(&web);
	/* and what forbade it is looked at again when it is asked for again */
	settings_release(&host.settings);
	web_begin(&web, 1, true, pairs);
	web_body(&web, 1, SPAN("four"));
	web_flush(&web);
	host_start(&host, &s);
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
	for (int i = 0; i < 5; i++) /* slots are free */
		web_known(&web, &host, "/fn/acme/hello");
	teardown(NULL);
}

/* A body of unknown length is too large when it is: the next one is judged
 * anew. */
static void
too_large_as_it_comes(void **state)
{
	static const char *const pairs[] = { "REQUEST_METHOD=POST",
		"REQUEST_URI=/fn/acme/hello", NULL };
	struct start s;

	(void)state;
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	small_body(host.settings);
	web_hello(&web, &host);
	settings_release(&host.settings);
	for (int i = 0; i < 2; i++) {
		web_begin(&web, 1, true, pairs);
		web_body(&web, 1, SPAN("four"));
		web_flush(&web);
		if (i == 0) {
			host_record(&host, "body-size", 413);
			web_end(&web);
			web_forget(&web);
			continue;
		}
		host_start(&host, &s);
		answer(&s);
		hello_comes(&web);
	}
}

/* Who waited for a slot while the file was resolved again has the new settings,
 * as it has the new file. */
static void
judged_after_waiting(void **state)
{
	struct web webs[3];
	struct start a, b, s;

	(void)state;
	for (int i = 0; i < 3; i++)
		web_open(&webs[i], &host);
	web_get(&webs[0], "/fn/acme/hello");
	host_start(&host, &a);
	web_get(&webs[1], "/fn/acme/hello");
	host_start(&host, &b);
	web_get(&webs[2], "/fn/acme/hello");
	seen(); /* it waits */
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->limits[LIMIT_time] = 1234;
	not_started(&a, ENDED_STALE, 0, 0);
	host_start(&host, &a);
	assert_int_equal(a.time_us, 1234000);
	answer(&b);
	host_start(&host, &s);
	assert_int_equal(s.time_us, 1234000);
	answer(&a);
	answer(&s);
	for (int i = 0; i < 3; i++) {
		hello_comes(&webs[i]);
		web_close(&webs[i]);
	}
}

/* Less than run already: this one waits until it may. */
static void
concurrency_lowered(void **state)
{
	struct web other;
	struct start a, b;
	struct event e;
	struct message_resolve ask;
	struct pollfd p = { .events = POLLIN };

	(void)state;
	web_open(&other, &host);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &a);
	web_get(&other, "/fn/acme/hello");
	host_start(&host, &b);
	host.settings = settings_new(config_terms(host.config, SPAN_NONE));
	host.settings->concurrency = 1;
	not_started(&b, ENDED_STALE, 0, 0);
	host_expect(&host, MESSAGE_RESOLVE, &e);
	message_resolve_decode(e.body, &ask);
	ask.name = SPAN("hello");
	host_resolved(&host, 0, &ask);
	seen();
	for (size_t i = 0; i < host.launcher_count; i++) {
		p.fd = host.launchers[i].fd;
		assert_int_equal(poll(&p, 1, 0), 0);
	}
	answer(&a);
	hello_comes(&web);
	host_start(&host, &b);
	answer(&b);
	hello_comes(&other);
	web_close(&other);
}

/* Its pipes may be seen closed before its launcher says why; what is written
 * after the next start must not be held back for that. */
static void
changed_pipes_first(void **state)
{
	static char much[40000];
	struct start s;
	struct message_ended stale = { .how = ENDED_STALE };

	(void)state;
	memset(much, 'x', sizeof(much) - 1);
	web_get(&web, "/fn/acme/hello"); /* much: watched afterwards */
	host_start(&host, &s);
	start_write(&s, "Content-Type: text/plain\n\n");
	start_write(&s, much);
	host_exit(&host, &s, 0);
	web_end(&web);
	web_forget(&web);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	stale.invocation = s.invocation;
	start_close(&s);
	seen();
	host_send(&host, host.launchers[s.launcher].fd, MESSAGE_ENDED, &stale,
	    NULL, 0);
	host_start(&host, &s);
	start_write(&s, "Content-Type: text/plain\n\nearly");
	web_until(&web, "early");
	start_write(&s, "hello\n");
	host_exit(&host, &s, 0);
	hello_comes(&web);
}

static void
removed(void **state)
{
	struct start s;

	(void)state;
	web_hello(&web, &host);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host.outcome = RESOLVED_NONE;
	not_started(&s, ENDED_STALE, 0, 0);
	host_record(&host, "no-function", 404);
	web_end(&web);
	web_has(&web, "Status: 404 ");
	host.outcome = RESOLVED_FOUND;
	web_hello(&web, &host);
}

static void
being_written(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	for (int i = 0; i < 3; i++) {
		host_start(&host, &s);
		not_started(&s, ENDED_NOT_STARTED, ETXTBSY, PROC_EXECVE);
	}
	host_start(&host, &s);
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
}

static void
written_for_long(void **state)
{
	struct event e;
	struct message_start m;
	struct message_ended ended = {
		.how = ENDED_NOT_STARTED, .error = ETXTBSY, .step = PROC_EXECVE
	};

	(void)state;
	web_get(&web, "/fn/acme/hello");
	do {
		host_event(&host, &e);
		if (e.type == MESSAGE_START) {
			message_start_decode(e.body, &m);
			ended.invocation = m.invocation;
			host_send(&host, host.launchers[e.index].fd,
			    MESSAGE_ENDED, &ended, NULL, 0);
		}
		host_react(&host, &e);
	} while (e.type != MESSAGE_ACCESS);
	web_end(&web);
	web_has(&web, "Status: 503 ");
	web_has(&web, "limits.queue");
	web_hello(&web, &host);
}

static void
cannot_start(void **state)
{
	static const struct {
		int error;
		const char *status, *end;
	} rows[] = {
		{ EACCES, "Status: 502 ", "not-started" },
		{ ENOEXEC, "Status: 502 ", "not-started" },
		{ ENOMEM, "Status: 503 ", "machine" },
		{ EAGAIN, "Status: 503 ", "machine" },
	};
	struct start s;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		web_forget(&web);
		web_get(&web, "/fn/acme/hello");
		host_start(&host, &s);
		not_started(&s, ENDED_NOT_STARTED, rows[i].error, PROC_EXECVE);
		web_end(&web);
		web_has(&web, rows[i].status);
		host_record(&host, rows[i].end,
		    rows[i].status[8] == '5' && rows[i].status[10] == '2' ?
			502 :
			503);
	}
	web_hello(&web, &host);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST("a target names a tenant and a function, or nothing",
		    targets),
		TEST("settings arrive in START", settings_count),
		TEST("a function is called by its file's name too",
		    by_its_file),
		TEST("the same question is asked once", asked_once),
		TEST("a changed file is resolved again", changed),
		TEST("a changed file, seen by its pipes first",
		    changed_pipes_first),
		TEST("a body too large for what it was is judged anew",
		    too_large_as_it_comes),
		TEST("who waited has the settings of now",
		    judged_after_waiting),
		TEST("concurrency lowered to less than run",
		    concurrency_lowered),
		TEST("a removed file is 404", removed),
		TEST("a file being written is waited for", being_written),
		TEST("a file written for long is 503", written_for_long),
		TEST("what cannot start is told apart", cannot_start),
	};

	int failed = RUN_ROWS(judged, judged_again);

	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
