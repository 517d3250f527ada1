/* SPDX-License-Identifier: MIT */
/* state_copy.c - a tenant's state as one file: the host makes the copy, verifies
 * it by opening it, and sends it; here it gets its name only when it is whole and
 * on the disk. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "ctl/state.h"

struct copy {
	int fd;		    /* ours */
	int directory_fd;   /* ours */
	char *name;	    /* ours: in the directory */
	char temporary[64]; /* likewise, until it is whole */
	uint64_t bytes;
	char first[16]; /* bytes */
};

static int copy_open(struct copy *, const char *tenant, const char *to);
static const char *copy_take(void *arg, struct span);
static int copy_finish(struct copy *, const struct state_ask *);
static void copy_close(struct copy *);
static int copy_map(const char *from, struct span *copy);
static int failed(const char *what, const char *name);

int
state_backup(const struct ctl *ctl, const char *tenant, const char *to)
{
	struct copy copy = { .fd = -1, .directory_fd = -1 };
	struct state_ask ask;
	int result = copy_open(&copy, tenant, to);

	state_ask_init(&ask, tenant, "GET", "/export");
	ask.sink = copy_take;
	ask.arg = &copy;
	if (result == 0)
		result = state_ask_run(ctl, &ask);
	if (result == 0)
		result = copy_finish(&copy, &ask);
	state_ask_free(&ask);
	copy_close(&copy);
	return result;
}

/* TO is a file, or a directory in which the file is called by the tenant. */
static int
copy_open(struct copy *c, const char *tenant, const char *to)
{
	const char *slash = strrchr(to, '/');
	char *directory;
	int length;

	c->directory_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->directory_fd >= 0) {
		length = asprintf(&c->name, "%s.sqlite3", tenant);
	} else {
		directory =
		    slash ? strndup(to, (size_t)(slash - to) + 1) : strdup(".");
		length = asprintf(&c->name, "%s", slash ? slash + 1 : to);
		if (directory)
			c->directory_fd =
			    open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		free(directory);
	}
	if (length < 0)
		c->name = NULL;
	if (c->directory_fd < 0 || !c->name || !c->name[0])
		return failed("make", to);
	snprintf(c->temporary, sizeof(c->temporary), ".%ld.tmp",
	    (long)getpid());
	c->fd = openat(c->directory_fd, c->temporary,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->fd >= 0)
		return 0;
	c->temporary[0] = '\0';
	return failed("make", to);
}

static const char *
copy_take(void *arg, struct span bytes)
{
	struct copy *c = arg;

	for (size_t i = 0; i < bytes.bytes && c->bytes + i < sizeof(c->first);
	     i++)
		c->first[c->bytes + i] = bytes.data[i];
	c->bytes += bytes.bytes;
	return fd_write_all(c->fd, bytes) == 0 ? NULL :
						 "the copy cannot be written";
}

/* It is what it should be, and survives a power loss, before it gets its name. */
static int
copy_finish(struct copy *c, const struct state_ask *ask)
{
	if (ask->head.cgi.content_length < 0 ||
	    (uint64_t)ask->head.cgi.content_length != c->bytes ||
	    c->bytes < sizeof(c->first) ||
	    memcmp(c->first, "SQLite format 3", sizeof(c->first)) != 0) {
		diag_error("the copy %s did not come whole; nothing was "
			   "changed",
		    c->name);
		return CTL_FAILED;
	}
	if (fsync(c->fd) != 0 ||
	    renameat(c->directory_fd, c->temporary, c->directory_fd, c->name) !=
		0)
		return failed("finish", c->name);
	c->temporary[0] = '\0';
	return fsync(c->directory_fd) == 0 ? 0 : failed("finish", c->name);
}

static void
copy_close(struct copy *c)
{
	if (c->temporary[0])
		unlinkat(c->directory_fd, c->temporary, 0);
	fd_close(&c->fd);
	fd_close(&c->directory_fd);
	free(c->name);
}

int
state_restore(const struct ctl *ctl, const char *tenant, const char *from)
{
	struct state_ask ask;
	struct span copy;
	int result;

	if (!state_may_overwrite())
		return usage("state",
		    "restore replaces all that %s has kept; --yes says that "
		    "this is meant",
		    tenant);
	if (copy_map(from, &copy) != 0)
		return CTL_FAILED;
	state_ask_init(&ask, tenant, "POST", "/host/restore");
	ask.type = "application/vnd.sqlite3";
	ask.send = copy;
	result = state_ask_run(ctl, &ask);
	state_ask_free(&ask);
	munmap((void *)copy.data, copy.bytes);
	return result;
}

/* Never waits, as the open of a FIFO would. 0, or -1 with the reason said. */
static int
copy_map(const char *from, struct span *copy)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *wrong = NULL;
	void *memory = MAP_FAILED;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		wrong = diag_errno();
	else if (!S_ISREG(st.st_mode))
		wrong = "it is not a file";
	else if (st.st_size == 0)
		wrong = "it is empty";
	else if ((memory = mmap(NULL, (size_t)st.st_size, PROT_READ,
		      MAP_PRIVATE, fd, 0)) == MAP_FAILED)
		wrong = diag_errno();
	fd_close(&fd);
	if (memory == MAP_FAILED) {
		diag_error("cannot read the copy %s: %s", from, wrong);
		return -1;
	}
	*copy = span_make(memory, (size_t)st.st_size);
	return 0;
}

static int
failed(const char *what, const char *name)
{
	diag_error("cannot %s the copy %s: %s", what, name, diag_errno());
	return CTL_FAILED;
}
