/* SPDX-License-Identifier: MIT */
/* resident.c - what hello_fn.c says, by a function that holds a table in memory:
 * RESIDENT_MIB of it, in huge pages if RESIDENT_HUGE is 1. Each answer looks at it
 * in a few places, as a lookup does. */
#include <fn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LOOKUPS = 16 };

static unsigned char *table;
static size_t table_bytes;

static long
number(const char *name)
{
	const char *text = getenv(name);

	return text ? atol(text) : 0;
}

/* Small pages also where the system would give huge ones to all who have not
 * asked. */
static void *
alloc_small(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	madvise(at, bytes, MADV_NOHUGEPAGE);
	return at;
}

int
fn_init(int argc, char **argv)
{
	(void)argc, (void)argv;
	table_bytes = (size_t)number("RESIDENT_MIB") << 20;
	if (table_bytes == 0)
		return 0;
	table = number("RESIDENT_HUGE") ? fn_alloc_huge(table_bytes) :
					  alloc_small(table_bytes);
	if (!table)
		return 1;
	memset(table, 'o', table_bytes);
	return 0;
}

int
fn_handle(struct fn_request *request, struct fn_reply *reply)
{
	size_t at = 0;
	char last = 'o';

	(void)request;
	for (int i = 0; table && i < LOOKUPS; i++) {
		at = (at * 31 + 999983) % table_bytes;
		last = (char)table[at];
	}
	fn_reply_type(reply, "text/plain");
	return fn_reply_printf(reply, "hell%c\n", last) == FN_OK ? 0 : 1;
}
