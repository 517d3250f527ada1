/* SPDX-License-Identifier: MIT */
/* status.c - what master knows, as lines "key=value" for fcgi-hostctl. */

#include <inttypes.h>
#include <unistd.h>

#include "base/version.h"

#include "master/master.h"

static void print_child(const struct child *, struct buf *);
static void print_promise(void *out, const char *key, const char *sentence);

void
status_print(struct master *m, struct buf *out)
{
	buf_printf(out, "version=%s\n", FCGI_HOST_VERSION);
	buf_printf(out, "master.pid=%d\n", (int)getpid());
	buf_printf(out, "master.user=%u\n", (unsigned)geteuid());
	buf_printf(out, "master.since_unix_ms=%" PRIu64 "\n", m->since_unix_ms);
	buf_printf(out, "master.state=%s\n",
	    m->stop == STOP_SERVING ? "serving" : "stopping");
	buf_printf(out, "config.file=%s\n",
	    m->arguments.config_file ? m->arguments.config_file : "");
	buf_printf(out, "config.generation=%" PRIu64 "\n",
	    m->config->generation);
	buf_printf(out, "functions=%s\n", m->config->functions);
	if (m->config->user_directories[0])
		buf_printf(out, "user_directories=%s\n",
		    m->config->user_directories);
	buf_printf(out, "run=%s\n", m->rundir.path);
	buf_printf(out, "log=%s\n", m->config->log);
	for (int kind = 0; kind < CHILD_KINDS; kind++)
		print_child(&m->children[kind], out);
	buf_printf(out, "cells=%zu\n", cells_count(m));
	probe_list(m, print_promise, out);
}

static void
print_child(const struct child *c, struct buf *out)
{
	const char *name = child_name(c->kind);

	buf_printf(out, "%s.pid=%d\n", name, (int)c->pid);
	buf_printf(out, "%s.state=%s\n", name,
	    child_state_name(c->supervise.state));
	buf_printf(out, "%s.restarts=%u\n", name, c->supervise.restarts);
	buf_printf(out, "%s.since_unix_ms=%" PRIu64 "\n", name,
	    c->since_unix_ms);
}

static void
print_promise(void *arg, const char *key, const char *sentence)
{
	struct buf *out = arg;

	buf_printf(out, "%s=%s\n", key, sentence);
}
