/* SPDX-License-Identifier: MIT */
/* host.c - one question to the host over its control socket, and the answer. */

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <jansson.h>

#include "base/diag.h"
#include "base/fd.h"
#include "config/config.h"
#include "ipc/peer.h"

#include "ctl/ctl.h"

#define SILENT_GATEWAY "the gateway does not answer (stopped or overloaded)"

enum {
	UNREAD_MS = 5000,  /* its loop never needs so long */
	ANSWER_MS = 40000, /* it gives up before we do */
	TOKEN_MS = 5000,   /* a small file is read or written */
};

static char *host_says(const struct ctl *, const char *name, char *reason);
static int host_connect(const struct ctl *, struct question *);
static bool host_reads(const struct question *, int fd);
static int host_listen(struct question *, int fd);
static void host_print(void *arg, struct span);
static int explain(struct question *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

struct question
question_of(enum verb verb)
{
	bool token = verb == VERB_TOKEN;

	return (struct question){
		.control.verb = verb,
		.fd = -1,
		.out = host_print,
		.unread_ms = UNREAD_MS,
		.wait_ms = token ? TOKEN_MS : ANSWER_MS,
		.who = token ? "the state process" : "the host",
	};
}

void
question_collects(struct question *q, struct buf *to)
{
	q->out = host_collect;
	q->arg = to;
}

void
host_collect(void *arg, struct span bytes)
{
	struct buf *to = arg;

	if (buf_put(to, bytes) != 0)
		diag_fatal("the answer is longer than %zu bytes", to->ceiling);
}

int
host_ask(const struct ctl *ctl, struct question *q)
{
	int fd = host_connect(ctl, q), result;

	if (fd < 0)
		return CTL_FAILED;
	if (peer_send_now(fd, MESSAGE_CONTROL, &q->control, &q->fd,
		q->fd >= 0) != 0)
		result = explain(q, "cannot ask the host: %s", diag_errno());
	else if (!host_reads(q, fd))
		result = explain(q, SILENT_GATEWAY);
	else
		result = host_listen(q, fd);
	fd_close(&fd);
	return result;
}

int
host_ask_loudly(const struct ctl *ctl, struct question *q)
{
	return host_say(q, host_ask(ctl, q));
}

int
host_say(const struct question *q, int result)
{
	if (result != 0)
		diag_error("%s", q->reason);
	else if (q->reason[0])
		diag_info("%s", q->reason);
	return result;
}

char *
host_functions(const struct ctl *ctl, char *reason)
{
	return host_says(ctl, "functions", reason);
}

int
host_place(const struct ctl *ctl, const char *functions, const char *tenant,
    char **base, char **below, char *reason)
{
	bool user = tenant[0] == '~';
	char *said = functions ?
	    diag_strdup(functions) :
	    host_says(ctl, user ? "user_directories" : "functions", reason);
	char *star;

	*base = said;
	*below = NULL;
	if (!said)
		return CTL_FAILED;
	if (!user) {
		*below = diag_strdup(tenant);
		return 0;
	}
	star = strstr(said, "/*");
	if (!star) {
		snprintf(reason, HOST_REASON,
		    "%s has no * for the name of a user", said);
		free(said);
		*base = NULL;
		return CTL_FAILED;
	}
	*star = '\0';
	if (asprintf(below, "%s%s", tenant + 1, star + 2) < 0)
		diag_fatal("no memory");
	return 0;
}

/* A text of the section host of `status`, which the caller frees. */
static char *
host_says(const struct ctl *ctl, const char *name, char *reason)
{
	struct question q = question_of(VERB_STATUS);
	json_t *root = answer_object(ctl, &q);
	char *text = NULL;
	const char *found;

	if (root) {
		found = answer_text(json_object_get(root, "host"), name);
		if (found[0])
			text = diag_strdup(found);
		else
			explain(&q, "it has no %s", name);
		json_decref(root);
	}
	snprintf(reason, HOST_REASON, "%s", q.reason);
	return text;
}

int
tenant_check(const char *verb, const char *tenant)
{
	if (config_tenant_name(span_of(tenant)))
		return 0;
	return usage(verb,
	    "\"%s\" is no name of a tenant: a to z, 0 to 9, _ "
	    "and -, up to %d, a letter or digit first; or a user behind ~",
	    tenant, CONFIG_TENANT_MOST);
}

static int
host_connect(const struct ctl *ctl, struct question *q)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/control.sock", ctl->run);
	fd = fd_connect_unix(path, SOCK_SEQPACKET);
	if (fd < 0 && errno == EAGAIN) /* more wait than may */
		explain(q, SILENT_GATEWAY);
	else if (fd < 0)
		explain(q,
		    errno == ENOENT || errno == ECONNREFUSED ?
			"no host answers at %s (%s); start fcgi-host, or name its "
			"run directory by --run DIR or FCGI_HOST_RUN" :
			"cannot reach the host at %s: %s",
		    path, diag_errno());
	return fd;
}

/* An answer may take its time, a cell has to be made for some; but a gateway
 * that runs has read the question at once. What it has not read is still in
 * our socket. */
static bool
host_reads(const struct question *q, int fd)
{
	struct pollfd come = { .fd = fd, .events = POLLIN };
	int wait_ms = q->unread_ms, unread = 0;

	if (q->wait_ms >= 0 && q->wait_ms < wait_ms)
		wait_ms = q->wait_ms;
	return poll(&come, 1, wait_ms) != 0 ||
	    ioctl(fd, SIOCOUTQ, &unread) != 0 || unread == 0;
}

static int
host_listen(struct question *q, int fd)
{
	struct pollfd come = { .fd = fd, .events = POLLIN };
	int fds[FD_PASS_MOST];
	size_t fd_count;
	struct span body;
	struct message_control_out out;
	struct message_control_end end;

	for (;;) {
		int ready = poll(&come, 1, q->wait_ms);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return explain(q, "%s does not answer", q->who);
		switch (peer_receive_now(fd, ROLE_CTL, ROLE_GATEWAY, &body, fds,
		    &fd_count)) {
		case MESSAGE_CONTROL_OUT:
			if (message_control_out_decode(body, &out) == 0)
				q->out(q->arg, out.bytes);
			break;
		case MESSAGE_CONTROL_END:
			if (message_control_end_decode(body, &end) != 0)
				return explain(q,
				    "the host speaks another version");
			explain(q, "%.*s", SPAN_ARGS(end.text));
			return end.failed ? CTL_FAILED : 0;
		default:
			return explain(q, "%s",
			    errno == 0 ? "the host broke off its answer" :
					 "the host speaks another version");
		}
	}
}

static void
host_print(void *arg, struct span bytes)
{
	(void)arg;
	words_put(stdout, bytes);
	fflush(stdout);
}

static int
explain(struct question *q, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(q->reason, sizeof(q->reason), format, args);
	va_end(args);
	return CTL_FAILED;
}
