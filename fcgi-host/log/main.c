/* SPDX-License-Identifier: MIT */
/* main.c - the log process: wired by master, fed by the gateway. Owns nothing
 * but log files; needs no right but to write in one directory.
 *
 *	STARTING ──CONFIG──▶ SERVING ──DRAIN──▶ DRAINING ──pipes at end──▶ exit
 *
 * At the end of its channel to master it writes what it has and exits. */

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/proc.h"
#include "config/config.h"
#include "ipc/peer.h"

#include "log/log.h"

enum { LOG_DIRECTORY_FD = PEER_FIRST_FD + 1 };

enum log_state { LOG_STARTING, LOG_SERVING, LOG_DRAINING };

struct log {
	enum log_state state;
	struct loop *loop;
	struct peer *master;
	struct peer *gateway; /* NULL: there is none now */
	uint64_t generation;  /* of the configuration */
	struct files *files;
	struct drains *drains;
	struct tails *tails;
	struct timer limit; /* DRAINING */
	struct buf line;
};

static void log_from_master(void *arg, enum message_type, struct span body,
    int *fds, size_t fd_count);
static void log_configure(struct log *, struct span body, int fd);
static void log_wire(struct log *, int *fd);
static void log_drain(struct log *, struct span body);
static void log_master_gone(void *arg, const char *reason, bool unread);
static void log_from_gateway(void *arg, enum message_type, struct span body,
    int *fds, size_t fd_count);
static void log_accesses(struct log *, struct span packed);
static void log_access(struct log *, const struct message_access *);
static void log_gateway_gone(void *arg, const char *reason, bool unread);
static void log_written(void *arg, struct span name);
static void log_result(void *arg, struct span request, struct span tenant,
    struct span line, bool in_file);
static void log_before_wait(void *arg);
static void log_pipes_ended(void *arg);
static void log_stop(void *arg);
static void log_signal(void *arg, int signo);
static void log_raise_files(void);

int
main(void)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1,
		SIGUSR2, SIGPIPE };
	struct log log = { .state = LOG_STARTING };
	struct stat st;

	diag_init("log");
	if (fd_fill_standard() != 0 || fstat(LOG_DIRECTORY_FD, &st) != 0 ||
	    !S_ISDIR(st.st_mode))
		diag_fatal(
		    "fcgi-host-log is started by fcgi-host, with its "
		    "channel at descriptor %d and the log directory at %d",
		    PEER_FIRST_FD, LOG_DIRECTORY_FD);
	if (proc_die_with_parent() != 0 || proc_no_new_privs() != 0)
		diag_fatal("cannot give up rights: %s", diag_errno());
	umask(027);
	log_raise_files();

	log.loop = loop_new();
	buf_init(&log.line, FILES_LINE_MOST);
	timer_init(&log.limit, log_stop, &log);
	log.files = files_new(LOG_DIRECTORY_FD, log_written, &log);
	log.drains = drains_new(log.loop, log.files);
	log.tails = tails_new(log.loop, log.files);
	drains_on_result(log.drains, log_result, &log);
	drains_on_empty(log.drains, log_pipes_ended, &log);
	/* only master decides when the host stops */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		loop_on_signal(log.loop, ignored[i], log_signal, &log);
	loop_before_wait(log.loop, log_before_wait, &log);
	log.master = peer_new(log.loop, PEER_FIRST_FD, ROLE_LOG, ROLE_MASTER,
	    log_from_master, log_master_gone, &log);
	loop_run(log.loop);

	drains_free(&log.drains);
	files_flush(log.files);
	tails_free(&log.tails);
	files_free(&log.files);
	peer_free(&log.gateway);
	peer_free(&log.master);
	buf_free(&log.line);
	loop_free(log.loop);
	return EXIT_SUCCESS;
}

static void
log_from_master(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct log *log = arg;

	(void)fd_count; /* as the row says */
	switch (type) {
	case MESSAGE_CONFIG:
		log_configure(log, body, fds[0]);
		break;
	case MESSAGE_WIRE:
		log_wire(log, &fds[0]);
		break;
	case MESSAGE_REOPEN:
		files_reopen(log->files);
		break;
	case MESSAGE_DRAIN:
		log_drain(log, body);
		break;
	default:
		break;
	}
}

static void
log_configure(struct log *log, struct span body, int fd)
{
	struct message_config m;
	struct config *config = NULL;

	if (message_config_decode(body, &m) == 0)
		config = config_unseal(fd, m.bytes);
	if (!config)
		diag_panic(
		    "the configuration from master cannot be read: it "
		    "is another version of fcgi-host; install and start all "
		    "of it");
	log->generation = m.generation;
	files_limits_set(log->files, config->log_size, config->log_keep);
	drains_limits_set(log->drains, config->log_line, config->log_stderr,
	    config->log_rate);
	config_release(&config);
	if (log->state != LOG_STARTING)
		return;
	log->state = LOG_SERVING;
	peer_send(log->master, MESSAGE_READY, NULL, NULL, 0);
}

/* A new gateway: the one before has ended, or is about to. */
static void
log_wire(struct log *log, int *fd)
{
	int own = *fd;

	*fd = -1;
	peer_free(&log->gateway);
	log->gateway = peer_new(log->loop, own, ROLE_LOG, ROLE_GATEWAY,
	    log_from_gateway, log_gateway_gone, log);
}

/* The gateway has ended by now; what it sent last is read before this message
 * only if it was in the same batch, so its channel's end is waited for too. */
static void
log_drain(struct log *log, struct span body)
{
	struct message_drain m;

	if (message_drain_decode(body, &m) != 0 || log->state == LOG_DRAINING)
		return;
	log->state = LOG_DRAINING;
	loop_timer_set(log->loop, &log->limit,
	    loop_now_ms(log->loop) + m.limit_ms);
	log_pipes_ended(log);
}

static void
log_master_gone(void *arg, const char *reason, bool unread)
{
	struct log *log = arg;

	(void)reason;
	(void)unread;
	loop_stop(log->loop);
}

static void
log_from_gateway(void *arg, enum message_type type, struct span body, int *fds,
    size_t fd_count)
{
	struct log *log = arg;
	struct message_accesses accesses;
	struct message_stderr stderr_of;
	struct message_tail tail;

	(void)fd_count;
	if (type == MESSAGE_ACCESSES &&
	    message_accesses_decode(body, &accesses) == 0)
		log_accesses(log, accesses.packed);
	else if (type == MESSAGE_STDERR &&
	    message_stderr_decode(body, &stderr_of) == 0)
		drains_add(log->drains, &stderr_of, &fds[0]);
	else if (type == MESSAGE_TAIL && message_tail_decode(body, &tail) == 0)
		tails_add(log->tails, &tail, &fds[0]);
	else
		diag_warn("a message from the gateway could not be read; "
			  "type=%d bytes=%zu",
		    (int)type, body.bytes);
}

static void
log_accesses(struct log *log, struct span packed)
{
	struct message_access access;
	struct span body;

	while (message_unpack(&packed, &body) == MESSAGE_ACCESS &&
	    message_access_decode(body, &access) == 0)
		log_access(log, &access);
	if (packed.bytes > 0)
		diag_warn("%zu bytes of access records from the gateway could "
			  "not be read",
		    packed.bytes);
}

static void
log_access(struct log *log, const struct message_access *m)
{
	buf_clear(&log->line);
	if (record_put_json(&log->line, m) == 0)
		files_put(log->files, SPAN_NONE, buf_span(&log->line),
		    FILES_MAKE);
	drains_result(log->drains, m);
}

static void
log_gateway_gone(void *arg, const char *reason, bool unread)
{
	struct log *log = arg;

	(void)unread;
	/* master says why, and makes a new one */
	diag_debug("no channel to the gateway: %s", reason);
	peer_free(&log->gateway);
	log_pipes_ended(log);
}

static void
log_written(void *arg, struct span name)
{
	struct log *log = arg;

	tails_written(log->tails, name);
}

static void
log_result(void *arg, struct span request, struct span tenant, struct span line,
    bool in_file)
{
	struct log *log = arg;

	tails_result(log->tails, request, tenant, line, in_file);
}

static void
log_before_wait(void *arg)
{
	struct log *log = arg;

	drains_turn(log->drains);
	files_flush(log->files);
}

static void
log_pipes_ended(void *arg)
{
	struct log *log = arg;

	if (log->state == LOG_DRAINING && !log->gateway &&
	    drains_empty(log->drains))
		loop_stop(log->loop);
}

static void
log_stop(void *arg)
{
	struct log *log = arg;

	diag_warn("time to stop is up (option drain), stderr is cut");
	loop_stop(log->loop);
}

static void
log_signal(void *arg, int signo)
{
	(void)arg;
	diag_debug("signal left to master: %s", proc_signal_name(signo));
}

/* Each stderr pipe takes a descriptor: as many as the machine allows. */
static void
log_raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}
