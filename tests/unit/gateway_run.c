/* SPDX-License-Identifier: MIT */
/* If this fails, a request is started wrongly, twice or never, waits where it
 * should not, or is lost when a process of the host, a file or a configuration
 * changes under it. */
#include "gateway_host.h"

#include <sys/mman.h>

static struct host host;
static struct web web;
static int overheard = -1; /* what the gateway says on stderr */

static void
small(struct config *c)
{
	c->slots_host = 4;
	c->slots_tenant = 4;
	c->slots_share = 100;
	c->slots_function = 2;
	c->queue_function = 2;
	c->queue_tenant = 3;
	c->queue_host = 8;
	c->limits[LIMIT_grace] = 50;
	c->limits[LIMIT_queue] = 300;
	c->launcher_idle = 100;
	c->cell_idle = 1000;
}

static int
setup(void **state)
{
	(void)state;
	host_open(&host, small);
	web_open(&web, &host);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	web_close(&web);
	host_close(&host);
	return 0;
}

static void
answer(struct start *s)
{
	start_write(s, "Content-Type: text/plain\n\nhello\n");
	host_exit(&host, s, 0);
}

static void
hello_comes(struct web *w)
{
	web_end(w);
	assert_true(w->ended);
	web_has(w, "hello\n");
	web_forget(w);
}

/* The fakes answer whatever they are asked until the web server has this. */
static void
refused(const char *target, const char *status, const char *says,
    const char *end)
{
	struct event e;

	web_get(&web, target);
	host_expect(&host, MESSAGE_ACCESS, &e);
	assert_int_equal(host.access.end.bytes, strlen(end));
	assert_memory_equal(host.access.end.data, end, strlen(end));
	web_end(&web);
	web_has(&web, status);
	web_has(&web, says);
	web_forget(&web);
	assert_int_equal(host.heard[MESSAGE_START], 0);
}

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
	host.settings = settings_new(host.config);
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

/* The gateway has seen all that was there before this. */
static void
seen(void)
{
	struct web w;

	web_open(&w, &host);
	fcgi_put_begin(&w.send, 2, FCGI_FILTER, true);
	web_flush(&w);
	web_end(&w);
	web_close(&w);
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
not_started(struct start *s, enum ended how, int error, enum proc_step step)
{
	host_ended(&host, s,
	    (struct message_ended){
		.how = how, .error = (uint32_t)error, .step = step });
}

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
	host.settings = settings_new(host.config);
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
	host.settings = settings_new(host.config);
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
	host.settings = settings_new(host.config);
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
	host.settings = settings_new(host.config);
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

/* ---- launchers ---------------------------------------------------------------------- */

static void
launcher_dies(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_launcher_dies(&host, s.launcher);
	start_close(&s);
	web_end(&web);
	web_has(&web, "Status: 502 ");
	web_has(&web, "launcher-gone");
	host_record(&host, "launcher-gone", 502);
	web_hello(&web, &host);
}

static void
launcher_dies_in_the_middle(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	start_write(&s, "Content-Type: text/plain\n\nhalf");
	web_until(&web, "half");
	host_launcher_dies(&host, s.launcher);
	start_close(&s);
	web_end(&web);
	assert_false(web.ended);
	host_record(&host, "launcher-gone", 200);
}

/* It died without reading START: nothing was run, another may run it. */
static void
launcher_dies_before_reading(void **state)
{
	struct start s;
	struct pollfd p;

	(void)state;
	web_hello(&web, &host);
	web_get(&web, "/fn/acme/hello");
	p = (struct pollfd){ .fd = host.launchers[0].fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	host_launcher_dies(&host, 0);
	host_start(&host, &s);
	assert_int_equal(s.launcher, 1);
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
}

static void
no_launcher(void **state)
{
	struct event e;

	(void)state;
	host.no_launcher = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_ACCESS, &e);
	web_end(&web);
	web_has(&web, "Status: 503 ");
	host.no_launcher = false;
	web_hello(&web, &host);
}

/* Idle launchers end, then idle cells; both come again. */
static void
idle(void **state)
{
	struct pollfd p;
	char byte;

	(void)state;
	web_hello(&web, &host);
	p = (struct pollfd){ .fd = host.launchers[0].fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(p.fd, &byte, 1, 0), 0);
	p.fd = host.cells[0];
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(p.fd, &byte, 1, 0), 0);
	web_hello(&web, &host);
	assert_int_equal(host.heard[MESSAGE_TENANT_ASK], 2);
	assert_int_equal(host.heard[MESSAGE_RESOLVE], 1); /* still known */
}

/* ---- time ------------------------------------------------------------------------------ */

/* TERM, grace, KILL, confirmation, the cell, and on without it. */
static void
every_step_to_the_end(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	host.settings = settings_new(host.config);
	host.settings->limits[LIMIT_time] = 20;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGTERM);
	assert_int_equal(host.stop.invocation, s.invocation);
	host_expect(&host, MESSAGE_STOP, &e);
	assert_int_equal(host.stop.signal, SIGKILL);
	host_expect(&host, MESSAGE_CELL_KILL, &e);
	web_end(&web);
	web_has(&web, "Status: 504 ");
	web_has(&web, "limits.time = 20");
	host_record(&host, "time", 504);
	start_close(&s);
	web_hello(&web, &host);
}

/* Who catches the alarm may finish, and is believed. */
static void
finishes_in_grace(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	host.settings = settings_new(host.config);
	host.settings->limits[LIMIT_time] = 20;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_expect(&host, MESSAGE_STOP, &e);
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
}

static void
ends_in_grace_without_a_word(void **state)
{
	struct start s;
	struct event e;

	(void)state;
	host.settings = settings_new(host.config);
	host.settings->limits[LIMIT_time] = 20;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_expect(&host, MESSAGE_STOP, &e);
	host_exit(&host, &s, 0);
	web_end(&web);
	web_has(&web, "Status: 504 ");
	host_record(&host, "time", 504);
}

/* ---- slots ------------------------------------------------------------------------------ */

static void
slots_and_queue(void **state)
{
	struct web webs[5];
	struct start first, second, s;

	(void)state;
	web_hello(&web, &host);
	for (int i = 0; i < 5; i++) {
		web_open(&webs[i], &host);
		web_get(&webs[i], "/fn/acme/hello");
	}
	/* two run, two wait, one is turned away; which is not ours to say */
	host_start(&host, &first);
	host_start(&host, &second);
	answer(&first);
	host_start(&host, &s);
	answer(&second);
	host_start(&host, &first);
	answer(&s);
	answer(&first);
	unsigned full = 0;
	for (int i = 0; i < 5; i++) {
		web_end(&webs[i]);
		if (strstr(webs[i].text, "Status: 503 ")) {
			web_has(&webs[i], "Retry-After: ");
			web_has(&webs[i], "queue.function = 2");
			full++;
		} else
			web_has(&webs[i], "hello");
		web_close(&webs[i]);
	}
	assert_int_equal(full, 1);
	assert_true(host.launcher_count <= 2);
}

static void
waited_too_long(void **state)
{
	struct web webs[3];
	struct start a, b;

	(void)state;
	for (int i = 0; i < 3; i++)
		web_open(&webs[i], &host);
	web_get(&webs[0], "/fn/acme/hello");
	host_start(&host, &a);
	web_get(&webs[1], "/fn/acme/hello");
	host_start(&host, &b);
	web_get(&webs[2], "/fn/acme/hello");
	web_end(&webs[2]);
	web_has(&webs[2], "Status: 503 ");
	web_has(&webs[2], "limits.queue");
	web_has(&webs[2], "Retry-After: ");
	answer(&a);
	answer(&b);
	hello_comes(&webs[0]);
	hello_comes(&webs[1]);
	for (int i = 0; i < 3; i++)
		web_close(&webs[i]);
}

/* Whoever waits and goes away leaves nothing behind. */
static void
gone_while_waiting(void **state)
{
	struct web other, third;
	struct start a, b;

	(void)state;
	web_open(&other, &host);
	web_open(&third, &host);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &a);
	web_get(&other, "/fn/acme/hello");
	host_start(&host, &b);
	web_get(&third, "/fn/acme/hello");
	web_close(&third);
	host_record(&host, "client-gone", 0);
	answer(&a);
	answer(&b);
	hello_comes(&web);
	hello_comes(&other);
	web_close(&other);
	assert_int_equal(host.heard[MESSAGE_START], 2);
}

static void
switched_off(void **state)
{
	(void)state;
	host.settings = settings_new(host.config);
	host.settings->concurrency = 0;
	refused("/fn/acme/hello", "Status: 503 ", "switched off",
	    "switched-off");
	/* nothing is started, so nothing is compared: it is asked for */
	settings_release(&host.settings);
	web_hello(&web, &host);
}

/* ---- cells -------------------------------------------------------------------------------- */

static void
cell_dies(void **state)
{
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	fd_close(&host.cells[0]);
	seen(); /* so it is the cell's end, not only its launcher's */
	host_launcher_dies(&host, s.launcher);
	start_close(&s);
	web_end(&web);
	assert_true(web.ended);
	web_has(&web, "Status: 502 ");
	web_has(&web, "its cell ended");
	web_has_not(&web, "Retry-After");
	host_record(&host, "launcher-gone", 502);
	web_hello(&web, &host);
	assert_int_equal(host.heard[MESSAGE_TENANT_ASK], 2);
}

/* Nobody has read START: the next cell runs it. */
static void
cell_dies_before_reading(void **state)
{
	struct start s;
	struct pollfd p;

	(void)state;
	web_hello(&web, &host);
	web_get(&web, "/fn/acme/hello");
	p = (struct pollfd){ .fd = host.launchers[0].fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	fd_close(&host.cells[0]);
	host_launcher_dies(&host, 0);
	host_start(&host, &s);
	assert_int_equal(host.cell_count, 2);
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
}

/* That often, and it is no more than unlucky: it may be asked for again. */
static void
nobody_reads(void **state)
{
	struct pollfd p;
	size_t i;

	(void)state;
	web_hello(&web, &host);
	web_get(&web, "/fn/acme/hello");
	for (i = 0; i <= INVOCATION_RESENT_MOST; i++) {
		struct event e;

		p = (struct pollfd){ .fd = host.launchers[i].fd,
			.events = POLLIN };
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		host_launcher_dies(&host, i);
		if (i < INVOCATION_RESENT_MOST)
			host_expect(&host, MESSAGE_LAUNCHER_WANTED, &e);
	}
	host_record(&host, "cell-gone", 503);
	web_end(&web);
	web_has(&web, "Status: 503 ");
	web_has(&web, "Retry-After: 1\r\n");
	web_hello(&web, &host);
}

/* Only asked, nothing started: the next cell is asked the same. */
static void
cell_dies_while_asked(void **state)
{
	struct event e;
	struct start s;

	(void)state;
	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_RESOLVE, &e);
	host.silent = false;
	fd_close(&host.cells[0]);
	host_start(&host, &s);
	answer(&s);
	hello_comes(&web);
	assert_int_equal(host.cell_count, 2);
}

static void
cell_dies_again_and_again(void **state)
{
	struct event e;

	(void)state;
	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	for (int i = 0; i < 3; i++) {
		host_expect(&host, MESSAGE_RESOLVE, &e);
		fd_close(&host.cells[i]);
	}
	host_record(&host, "cell-gone", 503);
	web_end(&web);
	web_has(&web, "Status: 503 ");
	web_has(&web, "Retry-After: 1\r\n");
}

static void
cell_is_silent(void **state)
{
	(void)state;
	host.silent = true;
	refused("/fn/acme/hello", "Retry-After: 1\r\n", "did not answer",
	    "cell-gone");
	assert_int_equal(host.heard[MESSAGE_CELL_KILL], 1);
	fd_close(&host.cells[0]); /* master does */
	host.silent = false;
	web_hello(&web, &host);
}

static void
cell_could_not_be_made(void **state)
{
	struct message_tenant_none none = { .tenant = SPAN("acme"),
		.refused = 1,
		.reason = SPAN("mount: no such path /x") };
	struct event e;

	(void)state;
	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_RESOLVE, &e);
	host_send(&host, host.master, MESSAGE_TENANT_NONE, &none, NULL, 0);
	host_record(&host, "tenant-refused", 503);
	web_end(&web);
	web_has(&web, "no such path /x");
	host.silent = false;
	web_hello(&web, &host);
}

static void
directory_moved(void **state)
{
	struct event e;
	struct message_resolve ask;
	struct start s;

	(void)state;
	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_RESOLVE, &e);
	message_resolve_decode(e.body, &ask);
	ask.name = SPAN("hello");
	host.silent = false;
	host.outcome = RESOLVED_MOVED;
	host_resolved(&host, 0, &ask);
	host.outcome = RESOLVED_FOUND;
	host_start(&host, &s);
	assert_int_equal(host.cell_count, 2);
	answer(&s);
	hello_comes(&web);
}

/* Master has seen it: what runs may finish, what comes next has a new cell. */
static void
directory_moved_under_a_run(void **state)
{
	struct message_tenant_moved moved = { .tenant = SPAN("acme") };
	struct web other;
	struct start s, next;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	host_send(&host, host.master, MESSAGE_TENANT_MOVED, &moved, NULL, 0);
	seen();
	web_open(&other, &host);
	web_get(&other, "/fn/acme/hello");
	host_start(&host, &next);
	assert_int_equal(host.cell_count, 2);
	assert_int_not_equal(s.launcher, next.launcher);
	answer(&next);
	hello_comes(&other);
	web_close(&other);
	answer(&s);
	hello_comes(&web);
	host_record(&host, "done", 200);
	host_record(&host, "done", 200);
	moved.tenant = SPAN("nobody");
	host_send(&host, host.master, MESSAGE_TENANT_MOVED, &moved, NULL, 0);
	web_hello(&web, &host);
}

/* ---- cells and launchers are a tenant's user ---------------------------------- */

static void
lies(const struct message_resolved *lie)
{
	struct event e;
	struct message_resolve ask;
	struct message_resolved m = *lie;
	struct start s;

	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_RESOLVE, &e);
	message_resolve_decode(e.body, &ask);
	m.ask = ask.ask;
	host.silent = false;
	host_send(&host, host.cells[0], MESSAGE_RESOLVED, &m, NULL, 0);
	/* the cell is closed, and the next one asked */
	host_start(&host, &s);
	assert_int_equal(host.cell_count, 2);
	assert_int_equal(host.cells[0], -1);
	answer(&s);
	hello_comes(&web);
}

static void
another_name(void **state)
{
	(void)state;
	lies(&(struct message_resolved){ .outcome = RESOLVED_FOUND,
	    .name = SPAN("other"),
	    .file = SPAN("hello") });
}

static void
long_name(void **state)
{
	static char much[60000];

	(void)state;
	memset(much, 'x', sizeof(much));
	lies(&(struct message_resolved){ .outcome = RESOLVED_FOUND,
	    .name = span_make(much, sizeof(much)),
	    .file = SPAN("hello") });
}

static void
file_with_nul(void **state)
{
	(void)state;
	lies(&(struct message_resolved){ .outcome = RESOLVED_FOUND,
	    .name = SPAN("hello"),
	    .file = SPAN("a\0LD_PRELOAD=x") });
}

static void
no_such_outcome(void **state)
{
	(void)state;
	lies(&(struct message_resolved){ .outcome = 77 });
}

static void
settings_out_of_range(void **state)
{
	struct event e;
	struct message_resolve ask;
	struct message_resolved m = { .outcome = RESOLVED_FOUND,
		.name = SPAN("hello"),
		.file = SPAN("hello"),
		.settings = SPAN("\377\377\377\377\377\377\377") };

	(void)state;
	host.silent = true;
	web_get(&web, "/fn/acme/hello");
	host_expect(&host, MESSAGE_RESOLVE, &e);
	message_resolve_decode(e.body, &ask);
	m.ask = ask.ask;
	host_send(&host, host.cells[0], MESSAGE_RESOLVED, &m, NULL, 0);
	host_record(&host, "refused", 503);
	web_end(&web);
	host.silent = false;
	web_hello(&web, &host);
}

static void
no_such_end(void **state)
{
	static const struct message_ended lies[] = {
		{ .how = 9, .error = 1, .step = 1 },
		{ .how = ENDED_NOT_STARTED, .error = EACCES, .step = 99 },
		{ .how = ENDED_NOT_STARTED, .error = 123456, .step = 7 },
		{ .how = ENDED_EXITED, .wait_status = 0x7f7f7f7f },
		{ .how = ENDED_EXITED,
		    .started_us = UINT64_MAX,
		    .ended_us = 1 },
	};
	struct start s;

	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		web_get(&web, "/fn/acme/hello");
		host_start(&host, &s);
		host_ended(&host, &s, lies[i]);
		web_end(&web);
		assert_true(web.ended);
		web_has(&web, "Status: 502 ");
		web_forget(&web);
	}
	web_hello(&web, &host);
}

/* An end that is nobody's, twice, or of another. */
static void
ends_of_nobody(void **state)
{
	struct message_ended m = { .how = ENDED_EXITED };
	struct message_exited exited = { .invocation = 99 };
	struct start s;

	(void)state;
	web_hello(&web, &host);
	host_send(&host, host.launchers[0].fd, MESSAGE_ENDED, &m, NULL, 0);
	web_get(&web, "/fn/acme/hello");
	host_start(&host, &s);
	m.invocation = s.invocation + 1;
	host_send(&host, host.launchers[0].fd, MESSAGE_ENDED, &m, NULL, 0);
	host_send(&host, host.launchers[0].fd, MESSAGE_EXITED, &exited, NULL,
	    0);
	m.invocation = s.invocation;
	answer(&s);
	host_send(&host, host.launchers[0].fd, MESSAGE_ENDED, &m, NULL, 0);
	hello_comes(&web);
	web_hello(&web, &host);
}

/* What is given as a launcher's channel may be any descriptor. */
static void
launcher_is_a_file(void **state)
{
	struct event e;
	struct message_launcher m = { .launcher = 0 };
	int fd = open("/dev/null", O_RDWR);
	struct start s;

	(void)state;
	web_get(&web, "/fn/acme/hello");
	do {
		host_event(&host, &e);
		if (e.type == MESSAGE_LAUNCHER_WANTED)
			break;
		host_react(&host, &e);
	} while (true);
	host_send(&host, host.cells[0], MESSAGE_LAUNCHER, &m, &fd, 1);
	close(fd);
	host_start(&host, &s);
	answer(&s);
	hello_comes(&web);
}

/* A channel is shared with who made it: he can make it block, and never read.
 * Other tenants do not notice. */
static void
channel_made_blocking(void **state)
{
	enum { ENOUGH = 700 };
	char target[32];
	int cell;

	(void)state;
	host.keep_ends = true;
	web_hello(&web, &host);
	host.keep_ends = false;
	assert_int_equal(fd_nonblock(host.kept_end, false), 0);
	cell = host.cells[0];
	host.cells[0] = -1; /* we do not listen any more */
	for (int i = 0; i < ENOUGH; i++) {
		snprintf(target, sizeof(target), "/fn/acme/f%d", i);
		web_get(&web, target);
		fcgi_put_abort(&web.send, 1);
		web_flush(&web);
		web_end(&web);
		assert_true(web.ended);
	}
	web_known(&web, &host, "/fn/beta/hello");
	close(cell);
	close(host.kept_end);
}

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
#define TEST(words, function)                          \
	{                                              \
		words, function, setup, teardown, NULL \
	}
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
		TEST("a launcher that dies is a 502", launcher_dies),
		TEST("a launcher that dies in mid-reply breaks it",
		    launcher_dies_in_the_middle),
		TEST("a launcher that dies before it read loses nothing",
		    launcher_dies_before_reading),
		TEST("no launcher to be had is 503", no_launcher),
		TEST("idle launchers and cells end and come again", idle),
		TEST("T1: every step to the end of a run",
		    every_step_to_the_end),
		TEST("T1: who finishes within grace is believed",
		    finishes_in_grace),
		TEST("T1: who ends within grace without a word is 504",
		    ends_in_grace_without_a_word),
		TEST("as many run as slots, as many wait as may",
		    slots_and_queue),
		TEST("who waits for limits.queue is told so", waited_too_long),
		TEST("who goes while waiting leaves nothing",
		    gone_while_waiting),
		TEST("concurrency 0 switches off", switched_off),
		TEST("a cell that dies takes its runs with it", cell_dies),
		TEST("a cell that dies before START was read costs nobody",
		    cell_dies_before_reading),
		TEST("launchers that die before they read, again and again",
		    nobody_reads),
		TEST("a cell that dies while asked costs nobody",
		    cell_dies_while_asked),
		TEST("a cell that dies again and again is an answer",
		    cell_dies_again_and_again),
		TEST("a cell that does not answer is one too", cell_is_silent),
		TEST("a cell that could not be made says why",
		    cell_could_not_be_made),
		TEST("a directory that moved gets a new cell", directory_moved),
		TEST("a directory that moved under a run lets it finish",
		    directory_moved_under_a_run),
		TEST("an answer about another name closes the cell",
		    another_name),
		TEST("an answer with a long name closes the cell", long_name),
		TEST("an answer with NUL in a file closes the cell",
		    file_with_nul),
		TEST("an answer of no kind closes the cell", no_such_outcome),
		TEST("settings that are none are refused",
		    settings_out_of_range),
		TEST("a launcher may say any end", no_such_end),
		TEST("a launcher may end what is not its", ends_of_nobody),
		TEST("a launcher may be a file", launcher_is_a_file),
		TEST("a channel may be made to block", channel_made_blocking),
		TEST("a new configuration loses no request", reload),
		TEST("stderr goes to the log, from its first byte",
		    stderr_is_handed_over),
		TEST("a log that restarts gets what waited", log_restarts),
		TEST("draining finishes what is there", drain),
		TEST("draining has a limit", drain_is_limited),
		{ "draining does not wonder where cells are", drain_is_quiet,
		    setup_overheard, teardown, NULL },
		{ "more connections than descriptors wait their turn",
		    too_many_connections, setup_few_fds, teardown, NULL },
		{ "without a descriptor there is an answer", no_descriptors,
		    setup_few_fds, teardown, NULL },
		TEST("without a spool there is an answer", no_spool),
		TEST("after a storm nothing is left", storm),
	};

	int failed = RUN_ROWS(judged, judged_again);

	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
