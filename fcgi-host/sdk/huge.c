/* SPDX-License-Identifier: MIT */
/* huge.c - memory that is cheap to copy in a fork. What that takes is the number of
 * pages that are there: a huge one counts as one of its 512. */

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "sdk/fn.h"

static const size_t page = (size_t)2 << 20;

static size_t rounded(size_t bytes);

/* The kernel aligns no mapping by itself: one page more, whose ends go back. */
void *
fn_alloc_huge(size_t bytes)
{
	size_t whole = rounded(bytes), room = whole + page, ahead;
	char *at;

	if (whole < bytes || room < whole) {
		errno = ENOMEM;
		return NULL;
	}
	at = mmap(NULL, room, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	ahead = (page - (uintptr_t)at % page) % page;
	if (ahead > 0)
		munmap(at, ahead);
	if (ahead < page)
		munmap(at + ahead + whole, page - ahead);
	at += ahead;
	/* Small pages, where there are no others, do as well. */
	madvise(at, whole, MADV_HUGEPAGE);
	return at;
}

void
fn_free_huge(void *at, size_t bytes)
{
	if (at)
		munmap(at, rounded(bytes));
}

/* At least one; less than `bytes` where that is no number. */
static size_t
rounded(size_t bytes)
{
	return bytes == 0 ? page : (bytes + page - 1) & ~(page - 1);
}
