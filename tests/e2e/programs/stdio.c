/* SPDX-License-Identifier: MIT */
/* stdio.c - the same as fcgx.c in libfcgi's other flavour, where a program that
 * was written for CGI becomes one for FastCGI by a loop and another header. */
#include <fcgi_stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long served;

static const char *
asked(const char *name)
{
	const char *query = getenv("QUERY_STRING");
	size_t length = strlen(name);

	return query && strncmp(query, name, length) == 0 ? query + length :
							    NULL;
}

static void
echo(void)
{
	char block[4000];
	size_t bytes;

	while ((bytes = fread(block, 1, sizeof(block), stdin)) > 0)
		fwrite(block, 1, bytes, stdout);
}

static void
answer(void)
{
	const char *path = getenv("PATH_INFO"), *value = asked("status=");
	const char *method = getenv("REQUEST_METHOD");

	if (value)
		printf("Status: %s\r\n", value);
	printf("Content-Type: text/plain\r\nX-Pid: %d\r\nX-Served: %ld\r\n\r\n",
	    (int)getpid(), served);
	if (asked("ignore")) {
		puts("unread");
	} else if (strcmp(method, "POST") == 0) {
		echo();
	} else if ((value = asked("large="))) {
		for (long left = atol(value); left > 0; left--)
			putchar('x');
	} else {
		printf("%s %s\n", method, path ? path : "-");
	}
	if ((value = asked("error=")))
		fprintf(stderr, "stdio says %s\n", value);
}

int
main(void)
{
	while (FCGI_Accept() >= 0) {
		const char *value = asked("after=");
		char path[4096] = "";

		if (asked("exit"))
			_exit(3);
		if (value)
			snprintf(path, sizeof(path), "%s/data/%s",
			    getenv("DOCUMENT_ROOT"), value);
		served++;
		answer();
		FCGI_Finish();
		if (path[0]) {
			FILE *file = fopen(path, "a");

			if (!file)
				return 1;
			fprintf(file, "%ld\n", served);
			fclose(file);
		}
	}
	return 0;
}
