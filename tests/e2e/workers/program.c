/* SPDX-License-Identifier: MIT */
/* program.c - an ordinary program on libfcgi, as its manual shows it: the peer
 * that we did not write. It answers with what it was told of the user, what it has
 * read of the body and how many bytes of PARAMS it had; it keeps a list of its
 * users in data/users, and is finished after PROGRAM_REQUESTS requests. Asked to
 * linger, it does something behind its reply until the test makes data/gate. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcgiapp.h>

static int
body_bytes(FCGX_Request *request, const char *query)
{
	char part[4096];
	int bytes = 0, n;

	if (!strstr(query, "read"))
		return 0;
	while ((n = FCGX_GetStr(part, sizeof(part), request->in)) > 0)
		bytes += n;
	return bytes;
}

static size_t
length_bytes(size_t length)
{
	return length > 127 ? 4 : 1;
}

static size_t
params_bytes(char **params)
{
	size_t bytes = 0;

	for (; *params; params++) {
		size_t name = strcspn(*params, "=");
		size_t value = strlen(*params) - name - 1;

		bytes +=
		    length_bytes(name) + name + length_bytes(value) + value;
	}
	return bytes;
}

static void
remember(const char *file, const char *what)
{
	int fd = open(file, O_WRONLY | O_APPEND | O_CREAT, 0666);

	dprintf(fd, "%s\n", what);
	close(fd);
}

static void
linger(void)
{
	remember("data/lingers", "it");
	while (access("data/gate", F_OK) != 0)
		usleep(5000);
	remember("data/lingered", "it");
}

int
main(void)
{
	const char *most = getenv("PROGRAM_REQUESTS");
	int left = most ? atoi(most) : -1;
	FCGX_Request request;

	FCGX_Init();
	FCGX_InitRequest(&request, 0, 0);
	while (left-- != 0 && FCGX_Accept_r(&request) == 0) {
		const char *user = FCGX_GetParam("REMOTE_USER", request.envp);
		const char *query = FCGX_GetParam("QUERY_STRING", request.envp);
		bool lingers;

		if (user)
			remember("data/users", user);
		FCGX_FPrintF(request.out,
		    "Content-Type: text/plain\r\n\r\n"
		    "%s %s read %d pid %d params %d\n",
		    user ? user : "nobody", query, body_bytes(&request, query),
		    (int)getpid(), (int)params_bytes(request.envp));
		lingers = strstr(query, "linger") != NULL;
		if (left == 0 || lingers)
			FCGX_Finish_r(&request);
		if (lingers)
			linger();
	}
	return 0;
}
