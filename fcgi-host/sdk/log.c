/* SPDX-License-Identifier: MIT */
/* log.c - fn_log(): a line for whoever runs the function. Under fcgi-host its log
 * puts time, request and function before it; under another server the request is
 * said here, when that server gives one a name. */

#include "sdk/handler.h"

enum { LINE_MOST = 4000 };

static const struct fn_request *current;

static struct span one_line(char *text, size_t bytes);

void
log_of(const struct fn_request *request)
{
	current = request;
}

void
fn_log(const char *format, ...)
{
	char line[LINE_MOST + 2];
	int head = 0, bytes;
	struct span text;
	va_list args;

	if (current && fn_request_id(current)[0] &&
	    !fn_request_variable(current, "FN_TENANT"))
		head = snprintf(line, 256, "%s ", fn_request_id(current));
	if (head < 0 || head >= 256)
		head = 0;
	va_start(args, format);
	bytes =
	    vsnprintf(line + head, LINE_MOST + 1 - (size_t)head, format, args);
	va_end(args);
	if (bytes < 0)
		return;
	if (bytes > LINE_MOST - head)
		bytes = LINE_MOST - head;
	text = one_line(line, (size_t)head + (size_t)bytes);
	if (current)
		current->carrier->log(current->carrier, text);
	else
		fwrite(text.data, 1, text.bytes, stderr);
}

/* What a client sent may be quoted in it: it makes no second line. */
static struct span
one_line(char *text, size_t bytes)
{
	while (bytes > 0 && text[bytes - 1] == '\n')
		bytes--;
	for (size_t i = 0; i < bytes; i++)
		if ((unsigned char)text[i] < ' ' && text[i] != '\t')
			text[i] = ' ';
	text[bytes] = '\n';
	return span_make(text, bytes + 1);
}
