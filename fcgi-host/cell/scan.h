/* SPDX-License-Identifier: MIT */
/* scan.h - the names in a tenant's directory that could be functions, read
 * again only when the directory is another one than before. Knows names, not
 * what is behind them: that changes without the directory noticing. */
#ifndef CELL_SCAN_H
#define CELL_SCAN_H

#include "cell/ticket.h"

/* A directory with more names that could be functions is an error: a person
 * does not have so many, a mistake does. */
enum { SCAN_NAMES_MOST = 65536, SCAN_BYTES_MOST = 4 * 1024 * 1024 };

struct scan {
	struct buf names; /* each ends with NUL */
	uint32_t *order;  /* ours: where each name starts, sorted by
				 * function, then by file */
	size_t count;
	size_t room;
	struct identity at; /* of the directory when it was read */
	int64_t modified_ns;
	bool settled; /* a change since then would show in them */
};

void scan_init(struct scan *);
void scan_free(struct scan *);

/* Makes it true now. 1: it was read; 0: it was still true; -1 with errno:
 * nothing is known. again: read it even if it looks the same. */
int scan_refresh(struct scan *, int directory_fd, uint64_t unix_ms, bool again);

/* The files of one function are neighbours: index of the first and how many. */
size_t scan_find(const struct scan *, struct span function, size_t *first);
const char *scan_file(const struct scan *, size_t index);

/* Every entry as the directory is now. 0, or -1 when it cannot be read, or as
 * soon as scan_fn returns other than 0. */
typedef int scan_fn(void *arg, struct span file);
int scan_each(int directory_fd, scan_fn *, void *arg);

#endif
