/* SPDX-License-Identifier: MIT */
/* pages.c - a copy of a template shares its memory, and where it writes it waits for
 * a page of its own: some hundred times in a request, since Python counts in each
 * object who uses it. What the requests of a function write is nearly the same for
 * all. So the first copies tell at their end which pages they have got, and later
 * ones that listen, so have some time before their first request, take these at
 * once; and map what the first ones have read of files, which no copy inherits.
 *
 * What is told is a bit for each page and nothing else, in memory that only the
 * first copies share. It is a hint: a wrong one costs memory. Where the kernel does
 * not know how (before Linux 5.14) nothing is taken. */

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "python/python.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

enum {
	PAGE = 4096,
	PAGES_MOST = 32768, /* 128 MiB: what lies behind is not learnt */
	REGIONS_MOST = 256,
	TEACHERS = 4, /* copies that have told, until it is enough */
	ENTRIES = 512,
};

/* Of /proc/PID/pagemap. */
static const uint64_t page_present = (uint64_t)1 << 63;
static const uint64_t page_own = (uint64_t)1 << 56;

struct region {
	uintptr_t at;
	size_t pages;
	bool written; /* else it is a part of a file, which a copy maps anew */
};

/* Of the template; their pages are numbered in this order. */
static struct region regions[REGIONS_MOST];
static size_t region_count;

static struct lesson {
	_Atomic unsigned told;
	_Atomic unsigned char pages[PAGES_MOST / 8];
} * lesson; /* NULL: not begun, or over */

static unsigned char known[PAGES_MOST / 8];
static bool knows;

static bool listens(int fd);
static bool region_parse(struct region *, const char *line);
static void regions_find(void);
static void lesson_end(void);
static size_t region_take(const struct region *, size_t first);
static void region_tell(int pagemap, const struct region *, size_t first);

void
pages_before_copy(void)
{
	if (knows)
		return;
	if (lesson && lesson->told >= TEACHERS) {
		lesson_end();
		return;
	}
	if (lesson || PAGE != sysconf(_SC_PAGESIZE))
		return;
	lesson = mmap(NULL, sizeof(*lesson), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (lesson == MAP_FAILED)
		lesson = NULL;
	regions_find();
}

void
pages_take(void)
{
	size_t first = 0;

	if (!knows || !listens(STDIN_FILENO))
		return;
	for (size_t i = 0; i < region_count; i++)
		first += region_take(&regions[i], first);
}

void
pages_tell(void)
{
	size_t first = 0;
	int pagemap;

	if (!lesson || lesson->told >= TEACHERS)
		return;
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return;
	for (size_t i = 0; i < region_count; i++) {
		region_tell(pagemap, &regions[i], first);
		first += regions[i].pages;
	}
	close(pagemap);
	lesson->told++;
}

static bool
listens(int fd)
{
	int is = 0;
	socklen_t bytes = sizeof(is);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is, &bytes) == 0 &&
	    is;
}

/* "7f00-7f10 rw-p ... /path"; false: it is nothing to be learnt. */
static bool
region_parse(struct region *r, const char *line)
{
	char *end;

	r->at = strtoul(line, &end, 16);
	r->pages = (strtoul(end + 1, &end, 16) - r->at) / PAGE;
	r->written = strncmp(end, " rw-p", 5) == 0;
	return r->written || (end[1] == 'r' && strchr(end, '/'));
}

static void
regions_find(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	size_t left = PAGES_MOST;
	struct region *r;

	region_count = 0;
	while (maps && fgets(line, sizeof(line), maps) &&
	    region_count < REGIONS_MOST && left > 0) {
		r = &regions[region_count];
		if (!region_parse(r, line))
			continue;
		if (r->pages > left)
			r->pages = left;
		left -= r->pages;
		region_count++;
	}
	if (maps)
		fclose(maps);
}

static void
lesson_end(void)
{
	for (size_t i = 0; i < sizeof(known); i++)
		known[i] = lesson->pages[i];
	munmap(lesson, sizeof(*lesson));
	lesson = NULL;
	knows = true;
}

static bool
is_known(size_t page)
{
	return known[page / 8] & 1U << page % 8;
}

/* How many pages it has. What has been given back since is no error. */
static size_t
region_take(const struct region *r, size_t first)
{
	size_t i = 0, from;

	while (i < r->pages) {
		for (; i < r->pages && !is_known(first + i); i++)
			;
		for (from = i; i < r->pages && is_known(first + i); i++)
			;
		if (i > from)
			madvise((void *)(r->at + from * PAGE),
			    (i - from) * PAGE,
			    r->written ? MADV_POPULATE_WRITE :
					 MADV_POPULATE_READ);
	}
	return r->pages;
}

static void
region_tell(int pagemap, const struct region *r, size_t first)
{
	uint64_t entries[ENTRIES];
	ssize_t bytes;
	size_t number;

	for (size_t i = 0; i < r->pages; i += number) {
		bytes = pread(pagemap, entries, sizeof(entries),
		    (off_t)((r->at / PAGE + i) * sizeof(entries[0])));
		if (bytes <= 0)
			return;
		number = (size_t)bytes / sizeof(entries[0]);
		if (number > r->pages - i)
			number = r->pages - i;
		for (size_t k = 0; k < number; k++)
			if (entries[k] & page_present &&
			    (entries[k] & page_own || !r->written))
				lesson->pages[(first + i + k) / 8] |=
				    (unsigned char)(1U << (first + i + k) % 8);
	}
}
