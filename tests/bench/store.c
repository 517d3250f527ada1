/* SPDX-License-Identifier: MIT */
/* How fast the SQLite storage is by itself, in this process: `store DIRECTORY
 * [seconds]` prints one line a case as "name value" pairs. DIRECTORY is on the
 * disk that is meant; the time of its fdatasync stands beside. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "state/store.h"

enum { CALLERS_MOST = 256, KEYS = 10000, VALUE_BYTES = 100 };

struct caller {
	unsigned number;
	uint64_t calls;
	char key_text[32];
	char tenant_text[32];
	char value[VALUE_BYTES];
	struct span key;
	struct store_op op;
	struct store_batch batch;
	struct store_read read;
};

static struct loop *loop;
static struct store *store;
static struct caller callers[CALLERS_MOST];
static bool reading, over;
static unsigned tenants, under_way;
static uint64_t calls, errors;

static void next(struct caller *);

static void
done(void *arg, const struct store_result *r)
{
	calls++;
	errors += r->status != STORE_OK;
	under_way--;
	if (!over)
		next(arg);
}

static void
next(struct caller *c)
{
	struct span tenant;
	int bytes;

	c->calls++;
	bytes = snprintf(c->tenant_text, sizeof(c->tenant_text), "tenant%u",
	    (unsigned)(c->number + c->calls) % tenants);
	tenant = span_make(c->tenant_text, (size_t)bytes);
	bytes = snprintf(c->key_text, sizeof(c->key_text), "key/%06u",
	    (unsigned)((c->number * 7919 + c->calls) % KEYS));
	c->key = span_make(c->key_text, (size_t)bytes);
	under_way++;
	if (reading) {
		c->read = (struct store_read){
			.keys = &c->key, .key_count = 1, .values = true
		};
		if (store_sqlite.read(store, tenant, &c->read, done, c) == 0)
			return;
	} else {
		c->op = (struct store_op){ .kind = STORE_SET,
			.key = c->key,
			.value = span_make(c->value, sizeof(c->value)) };
		c->batch = (struct store_batch){ .ops = &c->op, .op_count = 1 };
		if (store_sqlite.commit(store, tenant, &c->batch, done, c) == 0)
			return;
	}
	diag_fatal("a call was not taken: %s", diag_errno());
}

static void
measure(const char *name, unsigned count, unsigned tenant_count, bool reads,
    double seconds)
{
	struct store_figures before, after;
	uint64_t started, us;

	tenants = tenant_count;
	reading = reads;
	over = false;
	calls = errors = 0;
	store_sqlite.figures(store, &before);
	started = clock_us();
	for (unsigned i = 0; i < count; i++)
		next(&callers[i]);
	while ((us = clock_us() - started) < (uint64_t)(seconds * 1e6))
		loop_once(loop, 10);
	over = true;
	while (under_way)
		loop_once(loop, 100);
	store_sqlite.figures(store, &after);
	printf("%s callers %u tenants %u rate %.0f group %.1f largest %llu "
	       "wakeups %.2f errors %llu\n",
	    name, count, tenant_count, (double)calls * 1e6 / (double)us,
	    after.groups > before.groups ?
		(double)(after.commits - before.commits) /
		    (double)(after.groups - before.groups) :
		0,
	    (unsigned long long)after.group_most,
	    (double)(after.wakeups - before.wakeups) / (double)calls,
	    (unsigned long long)errors);
	fflush(stdout);
}

static void
measure_disk(int directory)
{
	static const char page[4096];
	int fd =
	    openat(directory, "fdatasync", O_RDWR | O_CREAT | O_TRUNC, 0600);
	uint64_t started = clock_us();
	unsigned count = 0;

	if (fd < 0)
		diag_fatal("cannot write: %s", diag_errno());
	for (; clock_us() - started < 500000; count++)
		if (pwrite(fd, page, sizeof(page),
			(off_t)(count % 1000) * (off_t)sizeof(page)) < 0 ||
		    fdatasync(fd) < 0)
			diag_fatal("cannot write: %s", diag_errno());
	printf("fdatasync us %.1f\n", (double)(clock_us() - started) / count);
	close(fd);
	unlinkat(directory, "fdatasync", 0);
}

int
main(int argc, char **argv)
{
	static const unsigned counts[] = { 1, 8, 32, 128 };
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
	struct store_config config = { 0 };
	char why[STORE_DETAIL_MOST];

	if (argc < 2)
		diag_fatal("usage: store DIRECTORY [seconds]");
	diag_init("store");
	mkdir(argv[1], 0700);
	config.directory_fd = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (config.directory_fd < 0)
		diag_fatal("cannot open %s: %s", argv[1], diag_errno());
	measure_disk(config.directory_fd);
	loop = loop_new();
	store = store_sqlite.open(&config, loop, why);
	if (!store)
		diag_fatal("%s", why);
	for (unsigned i = 0; i < CALLERS_MOST; i++) {
		callers[i].number = i;
		memset(callers[i].value, 'x', VALUE_BYTES);
	}
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		measure("commit", counts[i], 1, false, seconds);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		measure("read", counts[i], 1, true, seconds);
	measure("commit", 32, 100, false, seconds);
	measure("read", 32, 100, true, seconds);
	store_sqlite.close(store);
	loop_free(loop);
	return 0;
}
