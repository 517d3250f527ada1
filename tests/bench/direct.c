/* SPDX-License-Identifier: MIT */
/* direct.c - the same reply from a libfcgi program that stays: what the web
 * path alone can do. direct SOCKET PROCESSES; without arguments it answers at
 * its descriptor 0, as FastCGI programs do: behind the host. */
#include <fcgiapp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
serve(int listener)
{
	FCGX_Request request;

	FCGX_InitRequest(&request, listener, 0);
	while (FCGX_Accept_r(&request) == 0) {
		FCGX_PutS("Content-Type: text/plain\r\n"
			  "Content-Length: 6\r\n\r\nhello\n",
		    request.out);
		FCGX_Finish_r(&request);
	}
	_exit(0);
}

int
main(int argc, char **argv)
{
	int listener;

	if (argc != 1 && argc != 3)
		return 2;
	FCGX_Init();
	if (argc == 1)
		serve(0);
	listener = FCGX_OpenSocket(argv[1], 1024);
	if (listener < 0 || chmod(argv[1], 0666) != 0) {
		perror(argv[1]);
		return 1;
	}
	for (int i = 0; i < atoi(argv[2]); i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(listener);
		}
	while (wait(NULL) > 0)
		;
	return 0;
}
