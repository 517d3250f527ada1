/* SPDX-License-Identifier: MIT */
/* sealed.c - memory files that are written once. Whoever reads one looks at the
 * seals before it looks at the bytes: a file without them can be made shorter
 * under its reader, which is a SIGBUS, or changed behind a check. */

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sealed.h"

enum { SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

int
sealed_make(const char *name, struct span bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (fd_write_all(fd, bytes) != 0 || fcntl(fd, F_ADD_SEALS, SEALS) != 0)
		fd_close(&fd);
	return fd;
}

/* Private: before Linux 6.7 a file sealed against writing cannot be mapped
 * shared, not even to read. The pages are the file's own all the same. */
int
sealed_map(int fd, uint64_t bytes, size_t most, struct span *mapped)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat status;
	void *at;

	if (seals < 0 || (seals & SEALS) != SEALS) {
		errno = EPERM; /* or no file that could have seals */
		return -1;
	}
	if (fstat(fd, &status) != 0)
		return -1;
	if (bytes == 0 || bytes > most || (uint64_t)status.st_size != bytes) {
		errno = EMSGSIZE;
		return -1;
	}
	at = mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE,
	    fd, 0);
	if (at == MAP_FAILED)
		return -1;
	*mapped = span_make(at, (size_t)bytes);
	return 0;
}

void
sealed_unmap(struct span *mapped)
{
	munmap((void *)(uintptr_t)mapped->data, mapped->bytes);
	*mapped = SPAN_NONE;
}
