/* SPDX-License-Identifier: MIT */
/* gateway_host.h - a gateway in a process of its own, and the test in the place
 * of everybody it talks to: master, log, cells, launchers, and the web server.
 * Fakes answer as real ones would until a test says otherwise; every wait has a
 * deadline. */
#ifndef GATEWAY_HOST_H
#define GATEWAY_HOST_H

#include "rows.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/proc.h"
#include "gateway/gateway.h"

enum {
	PATIENCE_MS = 20000,
	CELLS_MOST = 4,
	LAUNCHERS_MOST = 16,
	TEXT_MOST = 4 << 20,
};

enum source { FROM_MASTER, FROM_LOG, FROM_CELL, FROM_LAUNCHER };

struct event { /* a message of the gateway */
	enum source source;
	size_t index; /* of the cell or launcher */
	enum message_type type;
	struct span body;      /* until the next event */
	int fds[FD_PASS_MOST]; /* ours */
	size_t fd_count;
};

struct fake_launcher {
	int fd; /* -1: gone, or closed by the gateway */
	size_t cell;
	uint64_t invocation; /* of the last START */
};

struct host {
	pid_t pid;
	int master;
	int log;
	char directory[64];
	char front[96];
	char control[96];
	struct config *config;
	int cells[CELLS_MOST];
	size_t cell_count;
	struct fake_launcher launchers[LAUNCHERS_MOST];
	size_t launcher_count;
	/* what the fakes say */
	const char *tenant_refused; /* TENANT_NONE with this reason */
	bool tenant_none;
	enum resolved outcome;
	const char *reason;
	const char *name;	   /* NULL: what was asked */
	struct settings *settings; /* NULL: the defaults */
	uint64_t version;	   /* of file and settings */
	bool silent;		   /* cells do not answer RESOLVE */
	bool keep_ends;		   /* our copy of the cell's channel as the
			 * gateway has it */
	int kept_end;
	bool no_launcher; /* cells have none */
	char packed_text[64 * 1024];
	struct span packed; /* access records that are still to be told */
	/* what was heard */
	unsigned heard[MESSAGE_TYPES];
	struct message_stop stop;     /* the last */
	char record[16384];	      /* the last ACCESS, */
	struct message_access access; /* ... decoded */
};

struct start { /* a START, taken apart */
	size_t launcher;
	uint64_t invocation;
	uint64_t time_us;
	int in; /* -1: /dev/null */
	int out;
	int err;
	struct message_start message; /* spans are in `text` */
	char text[256 * 1024];
};

/* Descriptors the next gateway may have; 0: as many as we. */
static rlim_t host_fd_limit;

/* ---- the process ------------------------------------------------------------ */

static inline void
host_child(const int fds[5])
{
	static struct gateway gateway;
	int high[5];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 5; i++)
		high[i] = fcntl(fds[i], F_DUPFD, 100);
	for (int i = 0; i < 5; i++)
		dup2(high[i], 3 + i);
	for (int fd = 8; fd < 200; fd++)
		close(fd);
	if (host_fd_limit > 0)
		setrlimit(RLIMIT_NOFILE,
		    &(struct rlimit){ host_fd_limit, host_fd_limit });
	diag_init("gateway");
	signal(SIGPIPE, SIG_IGN);
	gateway_init(&gateway);
	master_open(&gateway);
	loop_run(gateway.loop);
	access_close(&gateway, 1000);
	_exit(0);
}

static inline void
host_configure(struct host *h)
{
	struct message_config m = { .generation = h->config->generation };
	int fd = config_seal(h->config, true, &m.bytes);

	assert_true(fd >= 0);
	assert_int_equal(peer_send_now(h->master, MESSAGE_CONFIG, &m, &fd, 1),
	    0);
	close(fd);
}

static inline void
host_wire_log(struct host *h)
{
	struct message_wire m = { .role = ROLE_LOG };
	int ends[2];

	assert_int_equal(fd_channel(ends), 0);
	assert_int_equal(peer_send_now(h->master, MESSAGE_WIRE, &m, &ends[1],
			     1),
	    0);
	close(ends[1]);
	fd_close(&h->log);
	h->log = ends[0];
}

static inline void host_expect(struct host *, enum message_type,
    struct event *);

/* tweak may change the configuration it starts with. */
static inline void
host_open(struct host *h, void (*tweak)(struct config *))
{
	int channel[2], fds[5];
	char spool[96], workers[96];
	struct event e;

	signal(SIGPIPE, SIG_IGN);
	memset(h, 0, sizeof(*h));
	h->log = -1;
	h->config = config_new();
	h->config->generation = 1;
	if (tweak)
		tweak(h->config);
	config_settle(h->config);
	snprintf(h->directory, sizeof(h->directory), "/tmp/gateway.XXXXXX");
	assert_non_null(mkdtemp(h->directory));
	snprintf(h->front, sizeof(h->front), "%s/front", h->directory);
	snprintf(h->control, sizeof(h->control), "%s/control", h->directory);
	snprintf(spool, sizeof(spool), "%s/spool", h->directory);
	assert_int_equal(mkdir(spool, 0700), 0);
	snprintf(workers, sizeof(workers), "%s/workers", h->directory);
	assert_int_equal(mkdir(workers, 0700), 0);
	assert_int_equal(fd_channel(channel), 0);
	fds[0] = channel[1];
	fds[1] = fd_listen_unix(h->front, SOCK_STREAM, 0600, (gid_t)-1);
	fds[2] = fd_listen_unix(h->control, SOCK_SEQPACKET, 0600, (gid_t)-1);
	fds[3] = open(spool, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fds[4] = open(workers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fflush(NULL);
	h->pid = fork();
	if (h->pid == 0)
		host_child(fds);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	h->master = channel[0];
	host_configure(h);
	host_wire_log(h);
	host_expect(h, MESSAGE_READY, &e);
}

/* How many descriptors the gateway has open. */
static inline size_t
host_fds(const struct host *h)
{
	char path[64];
	size_t count = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)h->pid);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

static inline void
host_forget(struct host *h)
{
	char command[96];

	fd_close(&h->master);
	fd_close(&h->log);
	for (size_t i = 0; i < h->cell_count; i++)
		fd_close(&h->cells[i]);
	for (size_t i = 0; i < h->launcher_count; i++)
		fd_close(&h->launchers[i].fd);
	config_release(&h->config);
	settings_release(&h->settings);
	snprintf(command, sizeof(command), "rm -rf %s", h->directory);
	assert_int_equal(system(command), 0);
}

/* Closing the channel to master ends it; it must still have been alive. */
static inline void
host_close(struct host *h)
{
	int status;

	assert_int_equal(waitpid(h->pid, &status, WNOHANG), 0);
	fd_close(&h->master);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	assert_true(WIFEXITED(status));
	host_forget(h);
}

/* ---- what the gateway says ------------------------------------------------------ */

static inline void
host_event(struct host *h, struct event *e)
{
	static const enum role roles[] = { [FROM_MASTER] = ROLE_MASTER,
		[FROM_LOG] = ROLE_LOG,
		[FROM_CELL] = ROLE_CELL,
		[FROM_LAUNCHER] = ROLE_LAUNCHER };
	struct pollfd polled[2 + CELLS_MOST + LAUNCHERS_MOST];
	struct {
		enum source source;
		size_t index;
		int *fd;
	} at[2 + CELLS_MOST + LAUNCHERS_MOST] = { 0 };
	struct message_accesses accesses;
	size_t count;

	if (h->packed.bytes > 0) {
		*e = (struct event){ .source = FROM_LOG };
		e->type = message_unpack(&h->packed, &e->body);
		assert_int_equal(e->type, MESSAGE_ACCESS);
		h->heard[e->type]++;
		return;
	}
again:
	count = 0;
	at[count].source = FROM_MASTER;
	at[count++].fd = &h->master;
	at[count].source = FROM_LOG;
	at[count++].fd = &h->log;
	for (size_t i = 0; i < h->cell_count; i++) {
		at[count].source = FROM_CELL;
		at[count].index = i;
		at[count++].fd = &h->cells[i];
	}
	for (size_t i = 0; i < h->launcher_count; i++) {
		at[count].source = FROM_LAUNCHER;
		at[count].index = i;
		at[count++].fd = &h->launchers[i].fd;
	}
	for (size_t i = 0; i < count; i++)
		polled[i] =
		    (struct pollfd){ .fd = *at[i].fd, .events = POLLIN };
	if (poll(polled, count, PATIENCE_MS) <= 0)
		fail_msg("the gateway says nothing");
	for (size_t i = 0; i < count; i++) {
		if (polled[i].revents == 0)
			continue;
		e->source = at[i].source;
		e->index = at[i].index;
		e->type = peer_receive_now(*at[i].fd, roles[e->source],
		    ROLE_GATEWAY, &e->body, e->fds, &e->fd_count);
		if (e->type == MESSAGE_ACCESSES) {
			assert_int_equal(message_accesses_decode(e->body,
					     &accesses),
			    0);
			h->packed =
			    span_make(h->packed_text, accesses.packed.bytes);
			memcpy(h->packed_text, accesses.packed.data,
			    accesses.packed.bytes);
			host_event(h, e);
			return;
		}
		if (e->type != MESSAGE_NONE) {
			h->heard[e->type]++;
			return;
		}
		if (e->source == FROM_MASTER)
			fail_msg("the gateway has ended");
		fd_close(at[i].fd); /* it closed a cell or launcher */
	}
	goto again;
}

static inline void
host_send(struct host *h, int fd, enum message_type type, const void *m,
    const int *fds, size_t fd_count)
{
	(void)h;
	assert_int_equal(peer_send_now(fd, type, m, fds, fd_count), 0);
}

static inline void
host_tenant(struct host *h, const struct message_tenant_ask *ask)
{
	int ends[2];

	if (h->tenant_none || h->tenant_refused) {
		struct message_tenant_none none = { .tenant = ask->tenant,
			.refused = h->tenant_refused != NULL,
			.reason = span_of(h->tenant_refused) };

		host_send(h, h->master, MESSAGE_TENANT_NONE, &none, NULL, 0);
		return;
	}
	struct message_tenant_cell cell = { .tenant = ask->tenant,
		.uid = 4711,
		.gid = 4711,
		.directory = SPAN("/srv/acme") };

	assert_true(h->cell_count < CELLS_MOST);
	assert_int_equal(fd_channel(ends), 0);
	host_send(h, h->master, MESSAGE_TENANT_CELL, &cell, &ends[1], 1);
	if (h->keep_ends)
		h->kept_end = ends[1];
	else
		close(ends[1]);
	h->cells[h->cell_count++] = ends[0];
}

static inline void
host_resolved(struct host *h, size_t cell, const struct message_resolve *ask)
{
	struct message_resolved m = { .ask = ask->ask,
		.outcome = h->outcome,
		.name = h->name ? span_of(h->name) : ask->name,
		.file = ask->name,
		.ticket = SPAN("ticket"),
		.version = h->version,
		.reason = span_of(h->reason) };
	struct buf bytes;

	buf_init(&bytes, 65536);
	if (h->settings)
		assert_int_equal(settings_encode(h->settings,
				     config_terms(h->config, SPAN_NONE),
				     &bytes),
		    0);
	m.settings = buf_span(&bytes);
	host_send(h, h->cells[cell], MESSAGE_RESOLVED, &m, NULL, 0);
	buf_free(&bytes);
}

static inline void
host_launcher(struct host *h, size_t cell,
    const struct message_launcher_wanted *wanted)
{
	struct message_launcher m = { .launcher = wanted->launcher };
	struct fake_launcher *l;
	int ends[2];

	if (h->no_launcher) {
		m.error = EAGAIN;
		host_send(h, h->cells[cell], MESSAGE_LAUNCHER, &m, NULL, 0);
		return;
	}
	assert_true(h->launcher_count < LAUNCHERS_MOST);
	l = &h->launchers[h->launcher_count++];
	assert_int_equal(fd_channel(ends), 0);
	host_send(h, h->cells[cell], MESSAGE_LAUNCHER, &m, &ends[1], 1);
	close(ends[1]);
	*l = (struct fake_launcher){ .fd = ends[0], .cell = cell };
}

/* As the real ones would. */
static inline void
host_react(struct host *h, struct event *e)
{
	union {
		struct message_tenant_ask tenant;
		struct message_resolve resolve;
		struct message_launcher_wanted wanted;
	} m;

	for (size_t i = 0; i < e->fd_count; i++)
		fd_close(&e->fds[i]);
	if (e->type == MESSAGE_TENANT_ASK) {
		message_tenant_ask_decode(e->body, &m.tenant);
		host_tenant(h, &m.tenant);
	} else if (e->type == MESSAGE_RESOLVE && !h->silent) {
		message_resolve_decode(e->body, &m.resolve);
		host_resolved(h, e->index, &m.resolve);
	} else if (e->type == MESSAGE_LAUNCHER_WANTED) {
		message_launcher_wanted_decode(e->body, &m.wanted);
		host_launcher(h, e->index, &m.wanted);
	} else if (e->type == MESSAGE_STOP) {
		message_stop_decode(e->body, &h->stop);
	} else if (e->type == MESSAGE_ACCESS) {
		memcpy(h->record, e->body.data, e->body.bytes);
		message_access_decode(span_make(h->record, e->body.bytes),
		    &h->access);
	}
}

/* Serves the gateway until it says this, which is left to the test: its
 * descriptors too. */
static inline void
host_expect(struct host *h, enum message_type type, struct event *e)
{
	for (;;) {
		host_event(h, e);
		if (e->type == type && type != MESSAGE_STOP &&
		    type != MESSAGE_ACCESS && type != MESSAGE_TENANT_ASK &&
		    type != MESSAGE_LAUNCHER_WANTED)
			return;
		host_react(h, e);
		if (e->type == type)
			return;
	}
}

static inline void
host_start(struct host *h, struct start *s)
{
	struct event e;
	size_t i = 0;

	host_expect(h, MESSAGE_START, &e);
	assert_true(e.body.bytes <= sizeof(s->text));
	memcpy(s->text, e.body.data, e.body.bytes);
	assert_int_equal(message_start_decode(span_make(s->text, e.body.bytes),
			     &s->message),
	    0);
	s->launcher = e.index;
	s->invocation = s->message.invocation;
	s->time_us = s->message.time_us;
	h->launchers[e.index].invocation = s->invocation;
	s->in = s->message.has_body ? e.fds[i++] : -1;
	s->out = e.fds[i++];
	s->err = e.fds[i++];
	assert_int_equal(i, e.fd_count);
}

/* The value of a variable, or NULL. */
static inline const char *
start_env(const struct start *s, const char *name)
{
	struct span rest = s->message.env;
	size_t bytes = strlen(name);

	while (rest.bytes > 0) {
		struct span one = span_cut(&rest, '\0');

		if (one.bytes > bytes && one.data[bytes] == '=' &&
		    memcmp(one.data, name, bytes) == 0)
			return one.data + bytes + 1;
	}
	return NULL;
}

static inline void
start_write(const struct start *s, const char *text)
{
	assert_int_equal(fd_write_all(s->out, span_of(text)), 0);
}

static inline void
start_close(struct start *s)
{
	fd_close(&s->in);
	fd_close(&s->out);
	fd_close(&s->err);
}

static inline void
host_ended(struct host *h, struct start *s, struct message_ended m)
{
	m.invocation = s->invocation;
	start_close(s);
	host_send(h, h->launchers[s->launcher].fd, MESSAGE_ENDED, &m, NULL, 0);
}

static inline void
host_exit(struct host *h, struct start *s, int code)
{
	host_ended(h, s,
	    (struct message_ended){ .how = ENDED_EXITED,
		.wait_status = (uint32_t)code << 8,
		.started_us = 1000000,
		.ended_us = 1002000,
		.cpu_us = 500 });
}

static inline void
host_killed(struct host *h, struct start *s, int signo, uint64_t ran_us)
{
	host_ended(h, s,
	    (struct message_ended){ .how = ENDED_EXITED,
		.wait_status = (uint32_t)signo,
		.started_us = 1000000,
		.ended_us = 1000000 + ran_us });
}

/* The launcher dies. */
static inline void
host_launcher_dies(struct host *h, size_t launcher)
{
	fd_close(&h->launchers[launcher].fd);
}

/* The access record of a request that ended so; those of requests before it,
 * which the test did not ask for, come first. */
static inline void
host_record(struct host *h, const char *end, unsigned status)
{
	struct event e;

	do
		host_expect(h, MESSAGE_ACCESS, &e);
	while (!span_equal(h->access.end, span_of(end)));
	assert_int_equal(h->access.status, status);
}

/* ---- the web server ---------------------------------------------------------------- */

struct web {
	int fd;
	struct fcgi_reader reader;
	struct buf send;
	char *text; /* of STDOUT */
	size_t bytes;
	char record[64]; /* END_REQUEST and the like */
	size_t record_bytes;
	unsigned begun_records; /* STDOUT records with content */
	unsigned stdout_ends;
	bool ended;
	bool closed; /* the gateway closed the connection */
	uint16_t ended_id;
	struct fcgi_end end;
	uint8_t unknown_type;
	char values[256];
	size_t values_bytes;
};

static inline void
web_open(struct web *w, const struct host *h)
{
	memset(w, 0, sizeof(*w));
	w->fd = fd_connect_unix(h->front, SOCK_STREAM);
	assert_true(w->fd >= 0);
	buf_init(&w->send, 64 << 20);
	w->text = calloc(1, TEXT_MOST);
	fcgi_reader_init(&w->reader);
}

static inline void
web_close(struct web *w)
{
	fd_close(&w->fd);
	buf_free(&w->send);
	free(w->text);
	w->text = NULL;
}

static inline void
web_flush(struct web *w)
{
	assert_int_equal(fd_write_all(w->fd, buf_span(&w->send)), 0);
	buf_clear(&w->send);
}

/* pairs: "NAME=value", ends with NULL. */
static inline void
web_params(struct buf *out, const char *const *pairs)
{
	for (; *pairs; pairs++) {
		struct span rest = span_of(*pairs);
		struct span name = span_cut(&rest, '=');

		assert_int_equal(params_put(out, name, rest), 0);
	}
}

static inline void
web_begin(struct web *w, uint16_t id, bool keep, const char *const *pairs)
{
	struct buf params;

	buf_init(&params, 1 << 20);
	web_params(&params, pairs);
	fcgi_put_begin(&w->send, id, FCGI_RESPONDER, keep);
	fcgi_put_stream(&w->send, FCGI_PARAMS, id, buf_span(&params));
	fcgi_put_stream_end(&w->send, FCGI_PARAMS, id);
	buf_free(&params);
}

static inline void
web_body(struct web *w, uint16_t id, struct span body)
{
	fcgi_put_stream(&w->send, FCGI_STDIN, id, body);
	fcgi_put_stream_end(&w->send, FCGI_STDIN, id);
}

/* A GET on a kept connection. */
static inline void
web_get(struct web *w, const char *target)
{
	char uri[512];
	const char *pairs[] = { "REQUEST_METHOD=GET", uri, NULL };

	snprintf(uri, sizeof(uri), "REQUEST_URI=%s", target);
	web_begin(w, 1, true, pairs);
	web_body(w, 1, SPAN_NONE);
	web_flush(w);
}

static inline void
web_record_end(struct web *w)
{
	const struct fcgi_record *r = &w->reader.record;
	struct span content = span_make(w->record, w->record_bytes);

	if (r->type == FCGI_STDOUT && r->content_bytes == 0)
		w->stdout_ends++;
	else if (r->type == FCGI_END_REQUEST) {
		assert_int_equal(fcgi_end_parse(content, &w->end), 0);
		w->ended = true;
		w->ended_id = r->id;
	} else if (r->type == FCGI_UNKNOWN_TYPE)
		w->unknown_type = (uint8_t)w->record[0];
	else if (r->type == FCGI_GET_VALUES_RESULT) {
		memcpy(w->values, w->record, w->record_bytes);
		w->values_bytes = w->record_bytes;
	}
	w->record_bytes = 0;
}

static inline void
web_content(struct web *w, struct span content)
{
	if (w->reader.record.type == FCGI_STDOUT) {
		assert_true(w->bytes + content.bytes < TEXT_MOST);
		memcpy(w->text + w->bytes, content.data, content.bytes);
		w->bytes += content.bytes;
		return;
	}
	assert_true(w->record_bytes + content.bytes <= sizeof(w->record));
	memcpy(w->record + w->record_bytes, content.data, content.bytes);
	w->record_bytes += content.bytes;
}

/* Reads once; false when the connection is over. */
static inline bool
web_read(struct web *w)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	static const char no_record[8];
	static char block[65536];
	struct span in, content;
	ssize_t n;

	if (poll(&p, 1, PATIENCE_MS) <= 0)
		fail_msg("no answer from the gateway");
	n = recv(w->fd, block, sizeof(block), 0);
	if (n <= 0) {
		w->closed = true;
		return false;
	}
	in = span_make(block, (size_t)n);
	for (;;) {
		switch (fcgi_read(&w->reader, &in, &content)) {
		case FCGI_NEED_MORE:
			return true;
		case FCGI_RECORD:
			break;
		case FCGI_CONTENT:
			web_content(w, content);
			break;
		case FCGI_RECORD_END:
			web_record_end(w);
			break;
		case FCGI_BAD_VERSION: /* broken off, see front.c */
			assert_true(n >= 8);
			assert_memory_equal(block + n - 8, no_record, 8);
			w->closed = true;
			return false;
		}
	}
}

/* Until END_REQUEST, or the end of the connection. */
static inline void
web_end(struct web *w)
{
	w->ended = false;
	while (!w->ended && web_read(w))
		;
}

static inline void
web_until(struct web *w, const char *text)
{
	while (!strstr(w->text, text))
		if (!web_read(w))
			fail_msg("the connection closed before \"%s\" came, "
				 "but \"%s\"",
			    text, w->text);
}

static inline void
web_forget(struct web *w)
{
	memset(w->text, 0, w->bytes);
	w->bytes = w->stdout_ends = 0;
	w->ended = false;
}

static inline void
web_has(const struct web *w, const char *text)
{
	if (!strstr(w->text, text))
		fail_msg("no \"%s\" in \"%s\"", text, w->text);
}

static inline void
web_has_not(const struct web *w, const char *text)
{
	if (strstr(w->text, text))
		fail_msg("\"%s\" in \"%s\"", text, w->text);
}

/* A GET that is answered with hello. Afterwards the function is known. */
static inline void
web_known(struct web *w, struct host *h, const char *target)
{
	struct start s;

	web_forget(w);
	web_get(w, target);
	host_start(h, &s);
	start_write(&s, "Content-Type: text/plain\n\nhello\n");
	host_exit(h, &s, 0);
	web_end(w);
	assert_true(w->ended);
	assert_int_equal(w->end.protocol_status, FCGI_REQUEST_COMPLETE);
	web_has(w, "Status: 200 OK\r\n");
	web_has(w, "\r\n\r\nhello\n");
	host_record(h, "done", 200);
	web_forget(w);
}

/* The gateway is well. */
static inline void
web_hello(struct web *w, struct host *h)
{
	web_known(w, h, "/fn/acme/hello");
}

#endif
