/* SPDX-License-Identifier: MIT */
/* state.c - the state process as a whole: what it opens at its first CONFIG, what
 * it does every second, and how it ends. It opens nothing but what is below its
 * directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "state/state.h"

static int exports_open(void);
static void exports_clear(int fd);
static void state_serve(struct state *);
static void state_retry(void *arg);
static void state_settle(void *arg);
static void state_drain_over(void *arg);

void
state_init(struct state *s)
{
	struct stat st;

	if (fstat(STATE_DIRECTORY_FD, &st) != 0 || !S_ISDIR(st.st_mode) ||
	    fd_cloexec(STATE_DIRECTORY_FD, true) != 0)
		diag_fatal("fcgi-host-state is started by fcgi-host, with its "
			   "channel at descriptor %d, a listener at %d and its "
			   "directory at %d",
		    PEER_FIRST_FD, STATE_LISTEN_FD, STATE_DIRECTORY_FD);
	s->exports_fd = -1;
	buf_init(&s->facts, STATE_FACTS_MOST);
	s->loop = loop_new();
	timer_init(&s->retry, state_retry, s);
	timer_init(&s->drain, state_drain_over, s);
	loop_before_wait(s->loop, state_settle, s);
}

/* ---- configuration ------------------------------------------------------------ */

void
state_configure(struct state *s, int fd, uint64_t bytes)
{
	struct config *config = config_unseal(fd, bytes), *before = s->config;

	if (!config)
		diag_panic("master sent a configuration that is none");
	s->config = config;
	if (s->phase == STATE_STARTING)
		state_serve(s);
	serve_users(&s->serve, config->front_users.items,
	    config->front_users.count, "front.users");
	storage_configure(s, before);
	config_release(&before);
}

void
state_key(struct state *s, struct span key)
{
	if (key.bytes > sizeof(s->key))
		diag_panic("master sent a key of %zu bytes", key.bytes);
	memcpy(s->key, key.data, key.bytes);
	s->key_bytes = key.bytes;
	storage_key(s);
}

static void
state_serve(struct state *s)
{
	serve_init(&s->serve, s->loop, &refuse_hooks, s, "state");
	serve_open(&s->serve, STATE_LISTEN_FD);
	s->exports_fd = exports_open();
	if (storage_open(s) != 0)
		state_refuse(s);
	if (peer_send(s->master, MESSAGE_READY, NULL, NULL, 0) != 0)
		diag_fatal("cannot tell master: %s", diag_errno());
}

/* Copies on their way out when we ended: nobody waits for them any more. */
static int
exports_open(void)
{
	int fd;

	if (mkdirat(STATE_DIRECTORY_FD, "export", 0700) != 0 &&
	    errno != EEXIST) {
		diag_error("export/ in the state directory: %s", diag_errno());
		return -1;
	}
	fd = openat(STATE_DIRECTORY_FD, "export",
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		diag_error("export/ in the state directory: %s", diag_errno());
	else
		exports_clear(fd);
	return fd;
}

static void
exports_clear(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *directory = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!directory) {
		fd_close(&copy);
		return;
	}
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			unlinkat(fd, entry->d_name, 0);
	closedir(directory);
}

/* ---- while there is no storage -------------------------------------------------- */

void
state_refuse(struct state *s)
{
	if (s->phase != STATE_REFUSING)
		diag_error("state is not served: %s; trying again every %d s",
		    s->refusal, STATE_RETRY_MS / 1000);
	s->phase = STATE_REFUSING;
	facts_send(s);
	loop_timer_set(s->loop, &s->retry,
	    loop_now_ms(s->loop) + STATE_RETRY_MS);
}

static void
state_retry(void *arg)
{
	struct state *s = arg;

	if (s->phase != STATE_REFUSING)
		return;
	if (storage_open(s) != 0)
		state_refuse(s);
	else
		diag_info("state is served");
}

/* ---- the end of each batch -------------------------------------------------------- */

static void
state_settle(void *arg)
{
	struct state *s = arg;

	if (s->phase == STATE_STARTING)
		return;
	while (serve_settle(&s->serve))
		storage_used(s);
	if (s->phase == STATE_DRAINING && s->serve.connections == 0)
		loop_stop(s->loop);
}

/* ---- the end --------------------------------------------------------------------- */

void
state_drain(struct state *s, uint64_t limit_ms)
{
	if (s->phase == STATE_STARTING)
		exit(0); /* nothing has begun */
	s->phase = STATE_DRAINING;
	loop_timer_clear(s->loop, &s->retry);
	loop_timer_set(s->loop, &s->drain, loop_now_ms(s->loop) + limit_ms);
	serve_drain(&s->serve);
	storage_drain(s);
}

static void
state_drain_over(void *arg)
{
	struct state *s = arg;

	diag_warn("stopping: %zu connections are broken off",
	    s->serve.connections);
	loop_stop(s->loop);
}

void
state_close(struct state *s)
{
	serve_close(&s->serve);
	loop_once(s->loop, 0); /* frees them */
	storage_close(s);
	fd_close(&s->exports_fd);
	buf_free(&s->facts);
	peer_free(&s->gateway);
	peer_free(&s->master);
	config_release(&s->config);
	loop_free(s->loop);
	explicit_bzero(s->key, sizeof(s->key));
}
