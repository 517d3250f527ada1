/* SPDX-License-Identifier: MIT */
/* scan.c - one reading of a directory, sorted, and when it must be repeated.
 * A flood of names that do not exist costs one fstat() each. */

#define _GNU_SOURCE 1
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "wire/name.h"

#include "cell/scan.h"

static int scan_read(void *scan, struct span file);
static int scan_walk(int fd, scan_fn *, void *arg);
static int scan_add(struct scan *, struct span file);
static void scan_forget(struct scan *);
static bool scan_true(const struct scan *, const struct stat *);
static int64_t modified_ns(const struct stat *);
static int compare_files(const void *, const void *, void *scan);
static int compare_spans(struct span, struct span);

void
scan_init(struct scan *s)
{
	*s = (struct scan){ 0 };
	buf_init(&s->names, SCAN_BYTES_MOST);
}

void
scan_free(struct scan *s)
{
	buf_free(&s->names);
	free(s->order);
	*s = (struct scan){ 0 };
}

int
scan_refresh(struct scan *s, int directory_fd, uint64_t unix_ms, bool again)
{
	struct stat st;
	int fd, result;

	if (fstat(directory_fd, &st) != 0)
		return -1;
	if (!again && scan_true(s, &st))
		return 0;
	scan_forget(s);
	/* opening, not only looking, makes NFS ask its server */
	fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	result = fstat(fd, &st) == 0 ? scan_walk(fd, scan_read, s) : -1;
	fd_close(&fd);
	if (result != 0) {
		scan_forget(s);
		return -1;
	}
	if (s->count > 0)
		qsort_r(s->order, s->count, sizeof(s->order[0]), compare_files,
		    s);
	s->at = identity_of(&st);
	s->modified_ns = modified_ns(&st);
	s->settled = unix_ms > TICKET_TICK_MS +
		(uint64_t)(s->at.changed_ns > s->modified_ns ?
			s->at.changed_ns :
			s->modified_ns) /
		    1000000;
	return 1;
}

size_t
scan_find(const struct scan *s, struct span function, size_t *first)
{
	size_t low = 0, high = s->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (compare_spans(name_function(span_of(scan_file(s, middle))),
			function) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*first = low;
	while (high < s->count &&
	    span_equal(function, name_function(span_of(scan_file(s, high)))))
		high++;
	return high - low;
}

const char *
scan_file(const struct scan *s, size_t index)
{
	return s->names.data + s->names.start + s->order[index];
}

int
scan_each(int directory_fd, scan_fn *tell, void *arg)
{
	int fd, result;

	fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	result = scan_walk(fd, tell, arg);
	fd_close(&fd);
	return result;
}

static int
scan_read(void *scan, struct span file)
{
	return name_file(file) == NAME_FILE_PROGRAM ? scan_add(scan, file) : 0;
}

/* By getdents64, whose buffer is on our stack: opendir() takes 32 KiB of heap
 * that never come back. */
static int
scan_walk(int fd, scan_fn *tell, void *arg)
{
	_Alignas(struct dirent64) char bytes[8192];
	const struct dirent64 *entry;
	ssize_t n;

	while ((n = getdents64(fd, bytes, sizeof(bytes))) > 0)
		for (ssize_t at = 0; at < n; at += entry->d_reclen) {
			entry = (const void *)(bytes + at);
			if (tell(arg, span_of(entry->d_name)) != 0)
				return -1;
		}
	return n < 0 ? -1 : 0;
}

static int
scan_add(struct scan *s, struct span file)
{
	size_t room = s->room ? s->room * 2 : 16;
	uint32_t *order;

	if (s->count == SCAN_NAMES_MOST) {
		errno = EFBIG;
		return -1;
	}
	if (s->count == s->room) {
		order = realloc(s->order, room * sizeof(order[0]));
		if (!order)
			return -1;
		s->order = order;
		s->room = room;
	}
	s->order[s->count] = (uint32_t)buf_bytes(&s->names);
	if (buf_put(&s->names, file) != 0 ||
	    buf_put_byte(&s->names, '\0') != 0) {
		errno = EFBIG;
		return -1;
	}
	s->count++;
	return 0;
}

static void
scan_forget(struct scan *s)
{
	buf_clear(&s->names);
	s->count = 0;
	s->settled = false;
	s->at = (struct identity){ 0 };
}

static bool
scan_true(const struct scan *s, const struct stat *st)
{
	struct identity now = identity_of(st);

	return s->settled && identity_same(&now, &s->at) &&
	    modified_ns(st) == s->modified_ns;
}

static int64_t
modified_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* Not by strcmp alone: "a-b" would come between "a" and "a.sh". */
static int
compare_files(const void *left, const void *right, void *scan)
{
	const struct scan *s = scan;
	const char *names = s->names.data + s->names.start;
	struct span a = span_of(names + *(const uint32_t *)left);
	struct span b = span_of(names + *(const uint32_t *)right);
	int order = compare_spans(name_function(a), name_function(b));

	return order != 0 ? order : compare_spans(a, b);
}

static int
compare_spans(struct span a, struct span b)
{
	size_t least = a.bytes < b.bytes ? a.bytes : b.bytes;
	int order = least > 0 ? memcmp(a.data, b.data, least) : 0;

	if (order != 0)
		return order;
	return a.bytes < b.bytes ? -1 : a.bytes > b.bytes;
}
