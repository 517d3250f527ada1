/* SPDX-License-Identifier: MIT */
/* fcgx.c - a FastCGI program as people have them: libfcgi, its FCGX flavour. It
 * knows nothing of the host. What the query asks of it, all programs here do:
 * see test_programs.py. */
#include <fcgiapp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long served;

/* The value of NAME=... when the query begins with it. */
static const char *
asked(const FCGX_Request *request, const char *name)
{
	const char *query = FCGX_GetParam("QUERY_STRING", request->envp);
	size_t length = strlen(name);

	return query && strncmp(query, name, length) == 0 ? query + length :
							    NULL;
}

static void
echo(FCGX_Request *request)
{
	char block[4000];
	int bytes;

	while ((bytes = FCGX_GetStr(block, sizeof(block), request->in)) > 0)
		FCGX_PutStr(block, bytes, request->out);
}

static void
large(FCGX_Request *request, long bytes)
{
	char block[1000];

	memset(block, 'x', sizeof(block));
	for (; bytes > 0; bytes -= (long)sizeof(block))
		FCGX_PutStr(block,
		    (int)(bytes < (long)sizeof(block) ? bytes :
							(long)sizeof(block)),
		    request->out);
}

static void
answer(FCGX_Request *request)
{
	const char *path = FCGX_GetParam("PATH_INFO", request->envp);
	const char *method = FCGX_GetParam("REQUEST_METHOD", request->envp);
	const char *value = asked(request, "status=");

	if (value)
		FCGX_FPrintF(request->out, "Status: %s\r\n", value);
	FCGX_FPrintF(request->out,
	    "Content-Type: text/plain\r\nX-Pid: %d\r\nX-Served: %ld\r\n\r\n",
	    (int)getpid(), served);
	if (asked(request, "ignore"))
		FCGX_PutS("unread\n", request->out);
	else if (strcmp(method, "POST") == 0)
		echo(request);
	else if ((value = asked(request, "large=")))
		large(request, atol(value));
	else
		FCGX_FPrintF(request->out, "%s %s\n", method,
		    path ? path : "-");
	if ((value = asked(request, "error=")))
		FCGX_FPrintF(request->err, "fcgx says %s\n", value);
}

int
main(void)
{
	FCGX_Request request;

	FCGX_Init();
	FCGX_InitRequest(&request, 0, 0);
	while (FCGX_Accept_r(&request) == 0) {
		const char *value = asked(&request, "after=");
		char path[4096] = "";

		if (asked(&request, "exit"))
			_exit(3);
		if (value)
			snprintf(path, sizeof(path), "%s/data/%s",
			    FCGX_GetParam("DOCUMENT_ROOT", request.envp),
			    value);
		served++;
		answer(&request);
		FCGX_Finish_r(&request);
		if (path[0]) { /* what nobody waits for */
			FILE *file = fopen(path, "a");

			if (!file)
				return 1;
			fprintf(file, "%ld\n", served);
			fclose(file);
		}
	}
	return 0;
}
