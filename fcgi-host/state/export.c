/* SPDX-License-Identifier: MIT */
/* export.c - a tenant's data as one file, on its way out: the store writes a copy
 * into a directory of ours, which loses its name as soon as it is open, and goes
 * out in pieces as the client reads. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "state/api.h"

enum { PIECE_BYTES = 64 * 1024 };

static call_fn copied;
static int open_copy(struct call *);

void
export_clean(struct api *api)
{
	int fd = api->exports_fd < 0 ? -1 : dup(api->exports_fd);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (directory == NULL) {
		fd_close(&fd);
		return;
	}
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			unlinkat(api->exports_fd, entry->d_name, 0);
	closedir(directory);
}

void
export_get(struct call *c)
{
	struct api *api = c->api;
	int bytes;

	if (!(api->engine->can & STORE_CAN_BACKUP) || api->exports_fd < 0) {
		reply_problem(c, PROBLEM_UNSUPPORTED_OPERATION,
		    "this store has no copies to give");
		return;
	}
	bytes = snprintf(c->file_name, sizeof(c->file_name), "export-%llu",
	    (unsigned long long)++api->next_export);
	call_backup(c, span_make(c->file_name, (size_t)bytes), copied);
}

static void
copied(struct call *c, const struct store_result *result)
{
	char head[512];
	int bytes;

	if (result->status != STORE_OK) {
		export_discard(c);
		reply_failed(c, result);
		return;
	}
	call_move(c, CALL_SENDING);
	if (open_copy(c) != 0) {
		diag_error("a copy cannot be read: %s; request=%s",
		    diag_errno(), c->id);
		export_discard(c);
		reply_undone(c, "the copy cannot be read");
		return;
	}
	export_discard(c);
	bytes = snprintf(head, sizeof(head),
	    "Status: 200 OK\r\nFn-Version: %llu\r\n"
	    "Content-Type: application/vnd.sqlite3\r\n"
	    "Content-Disposition: attachment; filename=\"%s.sqlite3\"\r\n"
	    "Content-Length: %llu\r\n\r\n",
	    (unsigned long long)result->version, c->access.claims.tenant,
	    (unsigned long long)c->file_left);
	if (c->target.head)
		c->file_left = 0;
	if (reply_begin(c, span_make(head, (size_t)bytes)) == 0)
		export_room(c);
}

static int
open_copy(struct call *c)
{
	struct stat st;

	c->file = openat(c->api->exports_fd, c->file_name,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (c->file < 0 || fstat(c->file, &st) != 0)
		return -1;
	c->file_left = (uint64_t)st.st_size;
	return 0;
}

void
export_room(struct call *c)
{
	while (c->file_left > 0 &&
	    connection_waiting(c->connection) < CONNECTION_WAIT_MOST) {
		static char piece[PIECE_BYTES];
		ssize_t bytes = read(c->file, piece, sizeof(piece));

		if (bytes <= 0 || (uint64_t)bytes > c->file_left) {
			struct connection *connection = c->connection;

			diag_error("an export broke off: %s; request=%s",
			    diag_errno(), c->id);
			call_over(c);
			connection_break_off(connection);
			return;
		}
		c->file_left -= (uint64_t)bytes;
		if (reply_more(c, span_make(piece, (size_t)bytes)) != 0)
			return;
	}
	if (c->file_left == 0)
		reply_end(c);
}

void
export_discard(struct call *c)
{
	if (c->file_name[0] != '\0' &&
	    unlinkat(c->api->exports_fd, c->file_name, 0) != 0 &&
	    errno != ENOENT)
		diag_warn("a copy cannot be removed: %s; file=export/%s",
		    diag_errno(), c->file_name);
	c->file_name[0] = '\0';
}
