/* SPDX-License-Identifier: MIT */
/* If this fails, a process reads bytes that somebody can still change or take
 * away under it. */

#define _GNU_SOURCE 1
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sealed.h"

enum { MOST = 1024 * 1024 };

static void
there_and_back(void **state)
{
	static char sent[300 * 1024];
	struct span got;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (char)(i * 7 / 3);
	fd = sealed_make("test", span_make(sent, sizeof(sent)));
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(sealed_map(fd, sizeof(sent), MOST, &got), 0);
	close(fd);
	assert_true(span_equal(got, span_make(sent, sizeof(sent))));
	sealed_unmap(&got);
	assert_null(got.data);
}

static void
nobody_changes_it(void **state)
{
	int fd = sealed_make("test", SPAN("as it is"));

	(void)state;
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 4), -1);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_ptr_equal(mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			     0),
	    MAP_FAILED);
	close(fd);
}

static const struct refusal {
	const char *sentence;
	unsigned seals; /* of a file of eight bytes */
	uint64_t bytes; /* as the message says */
	size_t most;
	int error; /* 0: it is mapped */
} refusals[] = {
	{ "all four seals are enough",
	    F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 8, MOST,
	    0 },
	{ "without any seal it is refused", 0, 8, MOST, EPERM },
	{ "what can be written to is refused",
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 8, MOST, EPERM },
	{ "what can become shorter is refused",
	    F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SEAL, 8, MOST, EPERM },
	{ "what can become longer is refused",
	    F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL, 8, MOST, EPERM },
	{ "fewer bytes than the message says are refused",
	    F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 9, MOST,
	    EMSGSIZE },
	{ "more bytes than the message says are refused",
	    F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 7, MOST,
	    EMSGSIZE },
	{ "more than the receiver takes are refused",
	    F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 8, 7,
	    EMSGSIZE },
	{ "none are refused",
	    F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 0, MOST,
	    EMSGSIZE },
};

static void
run_refusal(void **state)
{
	const struct refusal *row = *state;
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct span got = SPAN_NONE;

	assert_int_equal(fd_write_all(fd, SPAN("8 bytes.")), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, row->seals), 0);
	errno = 0;
	assert_int_equal(sealed_map(fd, row->bytes, row->most, &got),
	    row->error ? -1 : 0);
	assert_int_equal(errno, row->error);
	assert_true((got.data == NULL) == (row->error != 0));
	if (got.data)
		sealed_unmap(&got);
	close(fd);
}

static void
no_memory_file(void **state)
{
	struct span got;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(sealed_map(ends[0], 8, MOST, &got), -1);
	assert_int_equal(errno, EPERM);
	close(ends[0]);
	close(ends[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		{ "bytes come back as they were, without the descriptor",
		    there_and_back, NULL, NULL, NULL },
		{ "nobody changes what is sealed, not its sender either",
		    nobody_changes_it, NULL, NULL, NULL },
		{ "what is no memory file is refused", no_memory_file, NULL,
		    NULL, NULL },
	};
	int failed = RUN_ROWS(refusals, run_refusal);

	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
