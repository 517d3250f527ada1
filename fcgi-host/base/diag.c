/* SPDX-License-Identifier: MIT */
/* diag.c - one write(2) a line, so lines of several processes on the same
 * descriptor never mix. No stdio buffer, no allocation: it works when memory
 * is gone. Not for threads: the main thread of a process speaks for it. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"

enum { REPEAT_MS = 10000 }; /* a flood shows one line in this time */

static const char *name = "fcgi-host";
static bool verbose;

static struct {
	char line[DIAG_LINE_MOST];
	size_t bytes;
	uint64_t since_ms; /* when it was printed */
	unsigned repeats;  /* and how often not printed after that */
} last;

static void diag_say(const char *severity, const char *, va_list)
    __attribute__((format(printf, 2, 0)));
static size_t diag_escape(char *to, size_t room, const char *from);
static void diag_tell_repeats(void);
static void diag_write(const char *, size_t);

void
diag_init(const char *process_name)
{
	name = process_name;
}

void
diag_verbose(int on)
{
	verbose = on;
}

/* The five and diag_debug differ in one word and in how they end. */
#define SAY(severity)                               \
	do {                                        \
		va_list args;                       \
                                                    \
		va_start(args, format);             \
		diag_say((severity), format, args); \
		va_end(args);                       \
	} while (0)

void
diag_debug(const char *format, ...)
{
	if (verbose)
		SAY("debug");
}

void
diag_info(const char *format, ...)
{
	SAY("info");
}

void
diag_warn(const char *format, ...)
{
	SAY("warn");
}

void
diag_error(const char *format, ...)
{
	SAY("error");
}

void
diag_fatal(const char *format, ...)
{
	SAY("fatal");
	exit(1);
}

void
diag_panic(const char *format, ...)
{
	SAY("panic");
	abort();
}

const char *
diag_errno(void)
{
	const char *words = strerrordesc_np(errno);

	return words ? words : "unknown error";
}

void *
diag_alloc(size_t bytes)
{
	void *memory = calloc(1, bytes ? bytes : 1);

	if (!memory)
		diag_fatal("no memory: %zu bytes were refused", bytes);
	return memory;
}

char *
diag_strdup(const char *string)
{
	size_t bytes = strlen(string) + 1;

	return memcpy(diag_alloc(bytes), string, bytes);
}

static void
diag_say(const char *severity, const char *format, va_list args)
{
	char words[DIAG_LINE_MOST], line[DIAG_LINE_MOST];
	uint64_t now_ms = clock_ms();
	int kept_errno = errno;
	size_t bytes;

	if (vsnprintf(words, sizeof(words), format, args) < 0)
		words[0] = '\0';
	bytes = (size_t)snprintf(line, sizeof(line) / 2, "%s: %s: ", name,
	    severity);
	if (bytes >= sizeof(line) / 2)
		bytes = sizeof(line) / 2 - 1;
	bytes += diag_escape(line + bytes, sizeof(line) - 1 - bytes, words);
	line[bytes++] = '\n';

	if (bytes == last.bytes && memcmp(line, last.line, bytes) == 0 &&
	    now_ms - last.since_ms < REPEAT_MS) {
		last.repeats++;
	} else {
		diag_tell_repeats();
		diag_write(line, bytes);
		memcpy(last.line, line, bytes);
		last.bytes = bytes;
		last.since_ms = now_ms;
	}
	errno = kept_errno;
}

/* Control bytes as \xNN, so that foreign bytes can neither begin a line of
 * their own nor speak to a terminal. */
static size_t
diag_escape(char *to, size_t room, const char *from)
{
	static const char hex[] = "0123456789abcdef";
	size_t used = 0;

	for (; *from; from++) {
		unsigned char c = (unsigned char)*from;

		if (c >= 0x20 && c != 0x7f) {
			if (used + 1 > room)
				break;
			to[used++] = *from;
			continue;
		}
		if (used + 4 > room)
			break;
		to[used++] = '\\';
		to[used++] = 'x';
		to[used++] = hex[c >> 4];
		to[used++] = hex[c & 15];
	}
	return used;
}

static void
diag_tell_repeats(void)
{
	char line[128];
	int bytes;

	if (last.repeats == 0)
		return;
	bytes = snprintf(line, sizeof(line),
	    "%.64s: info: last line repeated %u times\n", name, last.repeats);
	diag_write(line, (size_t)bytes);
	last.repeats = 0;
}

/* A line that cannot be written is lost: there is nobody left to tell. */
static void
diag_write(const char *line, size_t bytes)
{
	ssize_t n;

	do
		n = write(STDERR_FILENO, line, bytes);
	while (n < 0 && errno == EINTR);
}
