/* SPDX-License-Identifier: MIT */
/* ticket.c - the identities of a function's files, as bytes and back. The bytes
 * come back through the gateway, which talks to the world: what they say may
 * choose among the tenant's own files, and nothing else. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fd.h"

#include "cell/ticket.h"

/* What stands before the two names. Read only by the machine, even the process
 * tree, that wrote it. */
struct ticket_head {
	struct identity files[TICKET_FILES];
	uint64_t young_until_ms;
	uint64_t native; /* 0 or 1 */
	uint64_t python; /* 0 or 1 */
};

static struct identity identity_now(int fd, const char *path, int flags);
static int take_path(struct span *rest, struct span *path);
static bool path_stays_below(struct span);

struct identity
identity_of(const struct stat *st)
{
	return (struct identity){
		.device = st->st_dev,
		.inode = st->st_ino,
		.bytes = (uint64_t)st->st_size,
		.changed_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 +
		    st->st_ctim.tv_nsec,
	};
}

bool
identity_same(const struct identity *a, const struct identity *b)
{
	return a->inode == b->inode && a->device == b->device &&
	    a->bytes == b->bytes && a->changed_ns == b->changed_ns;
}

int
ticket_settings_name(struct span program, char *name, size_t room)
{
	size_t stem;
	int n;

	if (span_ends(program, SPAN("/run")))
		n = snprintf(name, room, "%.*s/function.conf",
		    (int)program.bytes - 4, program.data);
	else {
		stem = 0;
		while (stem < program.bytes && program.data[stem] != '.')
			stem++;
		n = snprintf(name, room, "%.*s.conf", (int)stem, program.data);
	}
	return n > 0 && (size_t)n < room ? 0 : -1;
}

uint64_t
ticket_version(const struct ticket *t)
{
	return ticket_hash(span_make(t->files, sizeof(t->files))) ^
	    3 * ticket_hash(t->program) ^ 5 * ticket_hash(t->settings);
}

/* FNV-1a */
uint64_t
ticket_hash(struct span bytes)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < bytes.bytes; i++)
		hash = (hash ^ (unsigned char)bytes.data[i]) *
		    UINT64_C(0x100000001b3);
	return hash;
}

int
ticket_encode(const struct ticket *t, struct buf *b)
{
	struct ticket_head head = {
		.young_until_ms = t->young_until_ms,
		.native = t->native,
		.python = t->python,
	};

	memcpy(head.files, t->files, sizeof(head.files));
	if (buf_put(b, span_make(&head, sizeof(head))) != 0 ||
	    buf_put(b, t->program) != 0 || buf_put_byte(b, '\0') != 0 ||
	    buf_put(b, t->settings) != 0 || buf_put_byte(b, '\0') != 0)
		return -1;
	return 0;
}

int
ticket_decode(struct span bytes, struct ticket *t)
{
	struct ticket_head head;
	struct span rest = span_skip(bytes, sizeof(head));

	if (bytes.bytes < sizeof(head))
		return -1;
	memcpy(&head, bytes.data, sizeof(head));
	memcpy(t->files, head.files, sizeof(t->files));
	t->young_until_ms = head.young_until_ms;
	t->native = head.native == 1;
	t->python = head.python == 1;
	if (head.native > 1 || head.python > 1 || (head.native && head.python))
		return -1;
	if (take_path(&rest, &t->program) != 0 ||
	    take_path(&rest, &t->settings) != 0 || rest.bytes != 0)
		return -1;
	return 0;
}

/* What is native is looked at by the descriptor that will be executed: its name
 * may lead elsewhere a moment later. */
int
ticket_open(const struct ticket *t, int directory_fd, int *program_fd)
{
	struct identity found[TICKET_FILES] = {
		[TICKET_SETTINGS] =
		    identity_now(directory_fd, t->settings.data, 0),
		[TICKET_TENANT] =
		    identity_now(directory_fd, TICKET_TENANT_NAME, 0),
	};
	bool same =
	    t->young_until_ms == 0 || clock_unix_ms() <= t->young_until_ms;

	*program_fd = -1;
	if (t->native) {
		*program_fd =
		    openat(directory_fd, t->program.data, O_PATH | O_CLOEXEC);
		/* that says nothing about the file */
		if (*program_fd < 0 &&
		    (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
			return -1;
		if (*program_fd >= 0)
			found[TICKET_PROGRAM] =
			    identity_now(*program_fd, "", AT_EMPTY_PATH);
	} else {
		found[TICKET_PROGRAM] =
		    identity_now(directory_fd, t->program.data, 0);
	}
	for (int i = 0; i < TICKET_FILES; i++)
		same = same && identity_same(&found[i], &t->files[i]);
	if (same)
		return 0;
	fd_close(program_fd);
	errno = ESTALE;
	return -1;
}

/* All zero: there is no such file. */
static struct identity
identity_now(int fd, const char *path, int flags)
{
	struct stat st;

	return fstatat(fd, path, &st, flags) == 0 ? identity_of(&st) :
						    (struct identity){ 0 };
}

/* A string of the ticket: what stands before the next NUL. */
static int
take_path(struct span *rest, struct span *path)
{
	ptrdiff_t end = span_find(*rest, '\0');

	if (end <= 0 || end >= PATH_MAX)
		return -1;
	*path = span_take(*rest, (size_t)end);
	*rest = span_skip(*rest, (size_t)end + 1);
	return path_stays_below(*path) ? 0 : -1;
}

static bool
path_stays_below(struct span path)
{
	struct span part, rest = path;

	while (rest.data) {
		part = span_cut(&rest, '/');
		if (part.bytes == 0 || span_equal(part, SPAN(".")) ||
		    span_equal(part, SPAN("..")))
			return false;
	}
	return true;
}
