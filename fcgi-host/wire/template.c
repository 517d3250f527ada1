/* SPDX-License-Identifier: MIT */
/* template.c - FORK and FORKED. Each is a struct without padding as it is in memory,
 * begins with its kind, in which the version is, and has its whole length: a packet
 * is never joined to another or cut. */

#include "wire/template.h"

enum { KIND_FORK = 0x314b5246, KIND_FORKED = 0x31445246 }; /* "FRK1", "FRD1" */

struct fork_head {
	uint32_t kind;
	uint32_t env_bytes; /* all that is behind it */
	uint64_t invocation;
	uint64_t time_us;
	uint64_t cpu_s;
};

struct forked_body {
	uint32_t kind;
	uint32_t error;
	uint64_t invocation;
	int32_t pid;
	uint32_t zero;
};
_Static_assert(sizeof(struct forked_body) == TEMPLATE_FORKED_BYTES,
    "no padding");

static bool variable_whole(struct span);
static bool forked_holds(const struct template_forked *);

int
template_fork_encode(struct buf *b, const struct template_fork *f)
{
	struct fork_head head = {
		.kind = KIND_FORK,
		.invocation = f->invocation,
		.time_us = f->time_us,
		.cpu_s = f->cpu_s,
	};
	size_t count;
	char *at;

	if (f->env.bytes > TEMPLATE_FORK_MOST - sizeof(head) ||
	    template_variables(f->env, &count) != 0)
		return -1;
	at = buf_reserve(b, sizeof(head) + f->env.bytes);
	if (at == NULL)
		return -1;
	head.env_bytes = (uint32_t)f->env.bytes;
	memcpy(at, &head, sizeof(head));
	if (f->env.bytes > 0)
		memcpy(at + sizeof(head), f->env.data, f->env.bytes);
	buf_wrote(b, sizeof(head) + f->env.bytes);
	return 0;
}

int
template_fork_decode(struct span message, struct template_fork *f)
{
	struct fork_head head;
	size_t count;

	*f = (struct template_fork){ 0 };
	if (message.bytes < sizeof(head) || message.bytes > TEMPLATE_FORK_MOST)
		return -1;
	memcpy(&head, message.data, sizeof(head));
	if (head.kind != KIND_FORK)
		return -1;
	f->invocation = head.invocation;
	f->time_us = head.time_us;
	f->cpu_s = head.cpu_s;
	f->env = span_skip(message, sizeof(head));
	return head.env_bytes == f->env.bytes ?
	    template_variables(f->env, &count) :
	    -1;
}

int
template_variables(struct span env, size_t *count)
{
	*count = 0;
	while (env.bytes > 0) {
		ptrdiff_t end = span_find(env, '\0');

		if (end < 0 || !variable_whole(span_take(env, (size_t)end)) ||
		    *count == TEMPLATE_VARIABLES_MOST)
			return -1;
		++*count;
		env = span_skip(env, (size_t)end + 1);
	}
	return 0;
}

static bool
variable_whole(struct span variable)
{
	return span_find(variable, '=') > 0;
}

int
template_forked_encode(struct buf *b, const struct template_forked *f)
{
	struct forked_body body = {
		.kind = KIND_FORKED,
		.error = f->error,
		.invocation = f->invocation,
		.pid = f->pid,
	};

	return forked_holds(f) ? buf_put(b, span_make(&body, sizeof(body))) :
				 -1;
}

int
template_forked_decode(struct span message, struct template_forked *f)
{
	struct forked_body body;

	*f = (struct template_forked){ .pid = -1 };
	if (message.bytes != sizeof(body))
		return -1;
	memcpy(&body, message.data, sizeof(body));
	if (body.kind != KIND_FORKED || body.zero != 0)
		return -1;
	f->invocation = body.invocation;
	f->pid = body.pid;
	f->error = body.error;
	return forked_holds(f) ? 0 : -1;
}

/* 1 is the cell: it is nobody's child, and to signal it ends all. */
static bool
forked_holds(const struct template_forked *f)
{
	return f->pid > 1 ?
	    f->error == 0 :
	    f->pid == -1 && f->error > 0 && f->error <= TEMPLATE_ERROR_MOST;
}
