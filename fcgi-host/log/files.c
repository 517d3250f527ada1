/* SPDX-License-Identifier: MIT */
/* files.c - the log files: opened by name below one directory, appended to,
 * rotated by size. Always true: a file ends at the end of a line; pending lines
 * belong to an open file; the files a listener may open for reading have all
 * lines that were announced by on_written. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "log/log.h"

enum {
	PATH_ROOM =
	    sizeof("tenants/") + LINE_NAME_MOST + sizeof(".log.4294967295"),
	FILE_MODE = 0640,
	ROTATED_MOST = 100, /* logs.keep at most */
};

struct file {
	struct map_node node;
	struct list used;	   /* in files.used, the latest last */
	struct list dirty;	   /* in files.dirty while lines are pending */
	char name[LINE_NAME_MOST]; /* not a string */
	size_t name_bytes;	   /* 0: access.log */
	int fd;			   /* ours */
	uint64_t size;		   /* of what is in the file */
	struct buf pending;
};

struct files {
	int directory_fd; /* borrowed */
	struct map map;
	struct list used;
	struct list dirty;
	uint64_t size_most;
	uint64_t keep;
	bool failing;	     /* the last write failed, and it was said */
	uint64_t lost_lines; /* since then */
	void (*on_written)(void *arg, struct span name);
	void *arg;
};

static struct file *file_take(struct files *, struct span name,
    enum files_make);
static struct file *file_open(struct files *, struct span name,
    enum files_make);
static void file_close(struct files *, struct file *);
static void file_flush(struct files *, struct file *);
static void file_rotate(struct files *, struct file *);
static void file_path(char path[PATH_ROOM], struct span name, unsigned age);
static int tenants_make(int directory_fd);
static int file_open_fd(struct files *, struct span name, bool make,
    uint64_t *size);
static bool older(const struct stat *, const struct stat *);
static struct span file_name(const struct file *);
static void failed(struct files *, struct span name, const char *doing,
    struct span lines);

struct files *
files_new(int directory_fd, void (*on_written)(void *, struct span), void *arg)
{
	struct files *fs = diag_alloc(sizeof(*fs));

	fs->directory_fd = directory_fd;
	fs->on_written = on_written;
	fs->arg = arg;
	fs->size_most = UINT64_MAX;
	map_init(&fs->map);
	list_init(&fs->used);
	list_init(&fs->dirty);
	if (tenants_make(directory_fd) != 0)
		diag_fatal(
		    "cannot make the directory tenants in the log "
		    "directory: %s; it must belong to the user of the log "
		    "process (option log, users.log)",
		    diag_errno());
	return fs;
}

void
files_free(struct files **taken)
{
	struct files *fs = *taken;

	if (!fs)
		return;
	*taken = NULL;
	files_reopen(fs);
	map_free(&fs->map);
	free(fs);
}

void
files_limits_set(struct files *fs, uint64_t size, uint64_t keep)
{
	fs->size_most = size;
	fs->keep = keep < ROTATED_MOST ? keep : ROTATED_MOST;
}

int
files_put(struct files *fs, struct span name, struct span line,
    enum files_make make)
{
	struct file *f = file_take(fs, name, make);
	uint64_t size;

	if (!f)
		return -1;
	size = f->size + buf_bytes(&f->pending);
	if (size > 0 && size + line.bytes > fs->size_most) {
		file_rotate(fs, f);
		if (f->fd < 0) {
			file_close(fs, f);
			return -1;
		}
	}
	if (buf_bytes(&f->pending) >= FILES_PENDING)
		file_flush(fs, f);
	if (buf_put(&f->pending, line) != 0) {
		failed(fs, name, "keep a line for", line);
		return -1;
	}
	if (list_empty(&f->dirty))
		list_add_last(&fs->dirty, &f->dirty);
	return 0;
}

void
files_flush(struct files *fs)
{
	LIST_EACH(node, &fs->dirty)
		file_flush(fs, LIST_OWNER(node, struct file, dirty));
}

void
files_reopen(struct files *fs)
{
	LIST_EACH(node, &fs->used)
		file_close(fs, LIST_OWNER(node, struct file, used));
}

bool
files_name_good(struct span name)
{
	if (name.bytes == 0 || name.bytes >= LINE_NAME_MOST ||
	    name.data[0] == '.')
		return false;
	for (size_t i = name.data[0] == '~'; i < name.bytes; i++) {
		char c = name.data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '.')
			return false;
	}
	return true;
}

int
files_open(const struct files *fs, struct span name, unsigned age)
{
	char path[PATH_ROOM];

	if (name.bytes > 0 && !files_name_good(name)) {
		errno = ENOENT;
		return -1;
	}
	file_path(path, name, age);
	return openat(fs->directory_fd, path,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

int
files_age(const struct files *fs, struct span name, int fd)
{
	char path[PATH_ROOM];
	struct stat ours, there;

	if (fstat(fd, &ours) != 0)
		return -1;
	for (unsigned age = 0; age <= ROTATED_MOST; age++) {
		file_path(path, name, age);
		if (fstatat(fs->directory_fd, path, &there,
			AT_SYMLINK_NOFOLLOW) != 0) {
			if (age == 0)
				continue; /* just being rotated */
			return -1;
		}
		if (there.st_ino == ours.st_ino && there.st_dev == ours.st_dev)
			return (int)age;
	}
	return -1;
}

bool
files_grows(const struct files *fs, struct span name, int fd)
{
	const struct map_node *node = map_find(&fs->map,
	    span_make(name.bytes ? name.data : "", name.bytes));
	struct stat ours, there;

	return node && fstat(fd, &ours) == 0 &&
	    fstat(MAP_OWNER(node, struct file, node)->fd, &there) == 0 &&
	    there.st_ino == ours.st_ino && there.st_dev == ours.st_dev;
}

int
files_after(const struct files *fs, struct span name, int fd, bool *lost)
{
	char path[PATH_ROOM];
	struct stat ours, there;
	int after = -1;

	*lost = false;
	if (fstat(fd, &ours) != 0)
		return -1;
	for (unsigned age = 0; age <= ROTATED_MOST; age++) {
		file_path(path, name, age);
		if (fstatat(fs->directory_fd, path, &there,
			AT_SYMLINK_NOFOLLOW) != 0 ||
		    (age > 0 && older(&there, &ours)))
			break;
		after = (int)age;
	}
	/* somebody else may have moved or removed it; we remove the oldest */
	*lost = ours.st_nlink == 0 && after > 0 && (uint64_t)after >= fs->keep;
	return after;
}

static bool
older(const struct stat *a, const struct stat *b)
{
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return a->st_mtim.tv_sec < b->st_mtim.tv_sec;
	return a->st_mtim.tv_nsec < b->st_mtim.tv_nsec;
}

/* The open file of that name, now the latest used. */
static struct file *
file_take(struct files *fs, struct span name, enum files_make make)
{
	struct map_node *node = map_find(&fs->map,
	    span_make(name.bytes ? name.data : "", name.bytes));
	struct file *f;

	if (!node)
		return file_open(fs, name, make);
	f = MAP_OWNER(node, struct file, node);
	list_remove(&f->used);
	list_add_last(&fs->used, &f->used);
	return f;
}

static struct file *
file_open(struct files *fs, struct span name, enum files_make make)
{
	struct file *f;
	uint64_t size;
	int fd;

	if (name.bytes > 0 && !files_name_good(name))
		return NULL;
	if (fs->map.count >= FILES_OPEN_MOST)
		file_close(fs,
		    LIST_OWNER(list_first(&fs->used), struct file, used));
	fd = file_open_fd(fs, name, make == FILES_MAKE, &size);
	if (fd < 0)
		return NULL;
	f = diag_alloc(sizeof(*f));
	f->fd = fd;
	f->size = size;
	f->name_bytes = name.bytes;
	if (name.bytes > 0)
		memcpy(f->name, name.data, name.bytes);
	buf_init(&f->pending, FILES_PENDING + FILES_LINE_MOST);
	list_init(&f->dirty);
	list_init(&f->used);
	if (map_add(&fs->map, &f->node, file_name(f)) != 0) {
		fd_close(&f->fd);
		free(f);
		return NULL;
	}
	list_add_last(&fs->used, &f->used);
	return f;
}

static void
file_close(struct files *fs, struct file *f)
{
	file_flush(fs, f);
	list_remove(&f->used);
	map_remove(&fs->map, &f->node);
	buf_free(&f->pending);
	fd_close(&f->fd);
	free(f);
}

/* All that is pending or, when the machine refuses, nothing of it: half a line
 * is worse than none. */
static void
file_flush(struct files *fs, struct file *f)
{
	struct span all = buf_span(&f->pending), left = all;
	ssize_t n;

	list_remove(&f->dirty);
	while (left.bytes > 0 && f->fd >= 0) {
		n = write(f->fd, left.data, left.bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		left = span_skip(left, (size_t)n);
	}
	if (left.bytes == 0 && all.bytes > 0) {
		f->size += all.bytes;
		if (fs->failing)
			diag_info(
			    "log files are written again; lines lost=%llu",
			    (unsigned long long)fs->lost_lines);
		fs->failing = false;
		fs->lost_lines = 0;
	} else if (all.bytes > 0) {
		failed(fs, file_name(f), "write", all);
		if (left.bytes < all.bytes && f->fd >= 0 &&
		    ftruncate(f->fd, (off_t)f->size) != 0)
			f->size += all.bytes - left.bytes;
	}
	buf_clear(&f->pending);
	if (buf_bytes(&f->pending) == 0)
		buf_shrink(&f->pending);
	if (left.bytes == 0 && all.bytes > 0 && fs->on_written)
		fs->on_written(fs->arg, file_name(f));
}

/* NAME.log.1 becomes NAME.log.2 and so on, what is over logs.keep goes. When
 * renaming fails the file grows on, and it is tried again a size later. */
static void
file_rotate(struct files *fs, struct file *f)
{
	char from[PATH_ROOM], to[PATH_ROOM];
	struct span name = file_name(f);
	bool moved;

	file_flush(fs, f);
	for (unsigned age = ROTATED_MOST; age >= fs->keep && age > 0; age--) {
		file_path(from, name, age);
		unlinkat(fs->directory_fd, from, 0);
	}
	for (unsigned age = (unsigned)fs->keep; age-- > 1;) {
		file_path(from, name, age);
		file_path(to, name, age + 1);
		renameat(fs->directory_fd, from, fs->directory_fd, to);
	}
	file_path(from, name, 0);
	file_path(to, name, 1);
	moved = fs->keep > 0 ?
	    renameat(fs->directory_fd, from, fs->directory_fd, to) == 0 :
	    unlinkat(fs->directory_fd, from, 0) == 0;
	if (!moved && errno != ENOENT) {
		diag_warn("cannot rotate %s: %s; it grows on", from,
		    diag_errno());
		f->size = 0;
		return;
	}
	fd_close(&f->fd);
	f->fd = file_open_fd(fs, name, true, &f->size);
}

static void
file_path(char path[PATH_ROOM], struct span name, unsigned age)
{
	int bytes = name.bytes == 0 ?
	    snprintf(path, PATH_ROOM, "access.log") :
	    snprintf(path, PATH_ROOM, "tenants/%.*s.log", SPAN_ARGS(name));

	if (age > 0)
		snprintf(path + bytes, (size_t)(PATH_ROOM - bytes), ".%u", age);
}

static int
tenants_make(int directory_fd)
{
	return mkdirat(directory_fd, "tenants", 0750) == 0 || errno == EEXIST ?
	    0 :
	    -1;
}

static int
file_open_fd(struct files *fs, struct span name, bool make, uint64_t *size)
{
	int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK |
	    (make ? O_CREAT : 0);
	char path[PATH_ROOM];
	struct stat st;
	int fd;

	file_path(path, name, 0);
	fd = openat(fs->directory_fd, path, flags, FILE_MODE);
	/* somebody may have tidied up */
	if (fd < 0 && make && errno == ENOENT &&
	    tenants_make(fs->directory_fd) == 0)
		fd = openat(fs->directory_fd, path, flags, FILE_MODE);
	if (fd >= 0 && fstat(fd, &st) == 0) {
		*size = (uint64_t)st.st_size;
		return fd;
	}
	if (make || errno != ENOENT)
		failed(fs, name, "open", SPAN("\n"));
	fd_close(&fd);
	return -1;
}

static struct span
file_name(const struct file *f)
{
	return span_make(f->name, f->name_bytes);
}

static void
failed(struct files *fs, struct span name, const char *doing, struct span lines)
{
	char path[PATH_ROOM];
	const char *why = diag_errno();
	struct stat directory;
	ptrdiff_t end;

	file_path(path, name, 0);
	if (fstat(fs->directory_fd, &directory) == 0 && directory.st_nlink == 0)
		why = "the log directory was removed (option log), so the host "
		      "has to be started again";
	if (!fs->failing)
		diag_error("cannot %s %s: %s; lines are lost until it can be "
			   "written again",
		    doing, path, why);
	fs->failing = true;
	for (; (end = span_find(lines, '\n')) >= 0;
	     lines = span_skip(lines, (size_t)end + 1))
		fs->lost_lines++;
}
