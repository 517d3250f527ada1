/* SPDX-License-Identifier: MIT */
/* main.c - how a function is being run, and its descriptors put in order before
 * anything of the author's is called. */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

#include "sdk/handler.h"

/* By this the host knows, without running it, that a program is a function which
 * speaks FastCGI as well. A note of ELF: its owner is "fcgi-host", type 1, one
 * number: the version of what is agreed on. */
static const struct {
	uint32_t owner_bytes, bytes, type;
	char owner[12]; /* padded to 4 */
	uint32_t version;
} note __attribute__((section(".note.fcgi-host"), used,
    aligned(4))) = { sizeof("fcgi-host"), 4, 1, "fcgi-host", 1 };

enum { ENDS_MOST = 32 };

static void (*ends[ENDS_MOST])(void);
static size_t end_count;

static int standard_prepare(void);
static bool listens(int fd);

int
fn_main(int argc, char **argv,
    int (*handle)(struct fn_request *, struct fn_reply *),
    int (*init)(int argc, char **argv))
{
	int out = standard_prepare(), status;
	bool template = template_asked();

	if (out < 0 || (template && template_prepare() != 0)) {
		perror("descriptors cannot be put in order");
		return EXIT_FAILURE;
	}
	status = init ? init(argc, argv) : 0;
	if (status != 0)
		return status;
	if (template && !template_run(out, &status))
		return status;
	status = listens(STDIN_FILENO) ? worker_main(out, handle) :
					 cgi_main(out, handle);
	while (end_count > 0)
		ends[--end_count]();
	if (template)
		template_leave(status);
	return status;
}

int
fn_at_end(void (*end)(void))
{
	if (end_count == ENDS_MOST)
		return -1;
	ends[end_count++] = end;
	return 0;
}

/* What descriptor 1 was, put out of reach; in its place is descriptor 2, so that
 * what is printed by mistake is seen, and gets into no reply. */
static int
standard_prepare(void)
{
	int null, out;

	do
		null = open("/dev/null", O_RDWR);
	while (null >= 0 && null <= STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
	out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (out >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return -1;
	return out;
}

int
standard_take_input(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), input;

	if (null < 0)
		return -1;
	input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (input >= 0 && dup2(null, STDIN_FILENO) < 0)
		fd_close(&input);
	fd_close(&null);
	return input;
}

static bool
listens(int fd)
{
	int is = 0;
	socklen_t bytes = sizeof(is);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is, &bytes) == 0 &&
	    is;
}
