/* SPDX-License-Identifier: MIT */
/* words.c - text for people's terminals, and JSON for programs. */

#include <stdlib.h>

#include <jansson.h>

#include "base/diag.h"

#include "ctl/ctl.h"

static void put(FILE *, struct span, const char *harmless);
static bool moves_terminal(struct span rest, const char *harmless,
    size_t *bytes);

void
words_put(FILE *to, struct span text)
{
	put(to, text, "\n\t");
}

void
words_put_line(FILE *to, struct span text)
{
	put(to, text, "");
}

static void
put(FILE *to, struct span text, const char *harmless)
{
	size_t bytes;

	while (text.bytes > 0) {
		if (moves_terminal(text, harmless, &bytes))
			for (size_t i = 0; i < bytes; i++)
				fprintf(to, "\\x%02x",
				    (unsigned)(unsigned char)text.data[i]);
		else
			fwrite(text.data, 1, bytes, to);
		text = span_skip(text, bytes);
	}
}

int
words_json(json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);

	json_decref(value);
	if (!text) {
		diag_error("no memory for the answer");
		return CTL_FAILED;
	}
	puts(text);
	free(text);
	return 0;
}

/* What stands at the front, and how long it is: a control character (C0, DEL,
 * C1 in UTF-8) that is not among the harmless ones, or text up to the next. */
static bool
moves_terminal(struct span rest, const char *harmless, size_t *bytes)
{
	for (size_t i = 0; i < rest.bytes; i++) {
		unsigned char c = (unsigned char)rest.data[i];
		unsigned char next =
		    i + 1 < rest.bytes ? (unsigned char)rest.data[i + 1] : 0;
		size_t length = 0;

		if ((c < 0x20 && (c == 0 || !strchr(harmless, c))) || c == 0x7f)
			length = 1;
		else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			length = 2;
		if (length == 0)
			continue;
		*bytes = i == 0 ? length : i;
		return i == 0;
	}
	*bytes = rest.bytes;
	return false;
}
