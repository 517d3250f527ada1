/* SPDX-License-Identifier: MIT */
/* cgi.c - one request by environment and descriptors (RFC 3875). */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sdk/handler.h"

struct cgi {
	struct carrier carrier;
	int out;       /* borrowed */
	uint64_t left; /* of the body, by CONTENT_LENGTH */
};

static ptrdiff_t cgi_read(struct carrier *, char *to, size_t room);
static int cgi_write(struct carrier *, struct span head, struct span body,
    bool last);
static void cgi_log(struct carrier *, struct span line);
static char **environ_keep(void);
static void break_off(void) __attribute__((noreturn));

int
cgi_main(int out, handle_fn *handle)
{
	const char *length = getenv("CONTENT_LENGTH");
	struct cgi c = { .carrier = { .read = cgi_read,
			     .write = cgi_write,
			     .log = cgi_log },
		.out = out };
	char **variables = environ_keep();
	int result;

	if (!variables) {
		perror("the request cannot be read");
		return EXIT_FAILURE;
	}
	span_number(span_of(length), INT64_MAX, &c.left);
	result = run(&c.carrier, variables, handle);
	free(variables);
	if (result != 0)
		break_off();
	return c.carrier.status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Section 4.2: never more than CONTENT_LENGTH, there may be no end behind it. */
static ptrdiff_t
cgi_read(struct carrier *carrier, char *to, size_t room)
{
	struct cgi *c = (struct cgi *)carrier;
	ssize_t n;

	if (room > c->left)
		room = (size_t)c->left;
	if (room == 0)
		return 0;
	do
		n = read(STDIN_FILENO, to, room);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		c->left -= (uint64_t)n;
	return n;
}

static int
cgi_write(struct carrier *carrier, struct span head, struct span body,
    bool last)
{
	const struct cgi *c = (const struct cgi *)carrier;
	struct iovec parts[2];
	ssize_t n;

	(void)last;
	while (head.bytes + body.bytes > 0) {
		parts[0] =
		    (struct iovec){ (void *)(uintptr_t)head.data, head.bytes };
		parts[1] =
		    (struct iovec){ (void *)(uintptr_t)body.data, body.bytes };
		n = writev(c->out, parts, 2);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if ((size_t)n > head.bytes) {
			body = span_skip(body, (size_t)n - head.bytes);
			n = (ssize_t)head.bytes;
		}
		head = span_skip(head, (size_t)n);
	}
	return 0;
}

static void
cgi_log(struct carrier *carrier, struct span line)
{
	(void)carrier;
	fwrite(line.data, 1, line.bytes, stderr);
}

/* The list as it is: a handler that calls setenv(3) has libc free it. */
static char **
environ_keep(void)
{
	size_t count = 0;
	char **kept;

	while (environ && environ[count])
		count++;
	kept = malloc((count + 1) * sizeof(*kept));
	if (kept && count > 0)
		memcpy(kept, environ, count * sizeof(*kept));
	if (kept)
		kept[count] = NULL;
	return kept;
}

/* There is no other way to say that what was written is not all: an exit status is
 * read by nobody once the reply has begun. */
static void
break_off(void)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGABRT, SIG_DFL);
	abort();
}
