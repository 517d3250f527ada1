/* SPDX-License-Identifier: MIT */
/* pairs.c - one copy of the text, decoded where it stands: that only makes it
 * shorter, and the separator that follows leaves room for a NUL. */

#include <stdlib.h>

#include "wire/url_path.h"

#include "sdk/pairs.h"

enum { PAIRS_FIRST = 16 };

static int pairs_read(struct pairs *, struct span, char separator);
static size_t decode(char *to, struct span);

int
pairs_read_form(struct pairs *p, struct span text)
{
	int result = pairs_read(p, text, '&');

	for (size_t i = 0; i < p->count; i++) {
		struct fn_pair *pair = &p->list[i];
		char *name = p->text + (pair->name - p->text);
		char *value = p->text + (pair->value - p->text);

		pair->bytes = decode(value, span_make(value, pair->bytes));
		decode(name, span_of(name));
	}
	return result;
}

int
pairs_read_cookies(struct pairs *p, struct span text)
{
	return pairs_read(p, text, ';');
}

const char *
pairs_find(const struct pairs *p, const char *name)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->list[i].name, name) == 0)
			return p->list[i].value;
	return NULL;
}

enum fn_result
pairs_add(struct pairs *p, const struct fn_pair *pair)
{
	size_t n = p->count;
	struct fn_pair *list;

	if (n == PAIRS_MOST)
		return FN_TOO_LARGE;
	/* Full at PAIRS_FIRST, a power of two, and at each doubling of it. */
	if (n == 0 || (n >= PAIRS_FIRST && (n & (n - 1)) == 0)) {
		list = reallocarray(p->list, n == 0 ? PAIRS_FIRST : 2 * n,
		    sizeof(*list));
		if (!list)
			return FN_FAILED;
		p->list = list;
	}
	p->list[p->count++] = *pair;
	return FN_OK;
}

void
pairs_free(struct pairs *p)
{
	free(p->list);
	free(p->text);
	*p = (struct pairs){ 0 };
}

/* Nothing between two separators is no pair. The blank behind a ';' is none of a
 * cookie's name. */
static int
pairs_read(struct pairs *p, struct span text, char separator)
{
	struct span rest, name, value;
	struct fn_pair pair = { .name = NULL };

	p->read = true;
	p->text = malloc(text.bytes + 1);
	if (!p->text)
		return -1;
	if (text.bytes > 0)
		memcpy(p->text, text.data, text.bytes);
	p->text[text.bytes] = '\0';
	rest = span_make(p->text, text.bytes);
	while (rest.data) {
		value = span_cut(&rest, separator);
		if (separator == ';')
			value = span_trim(value);
		if (value.bytes == 0)
			continue;
		name = span_cut(&value, '=');
		if (!value.data)
			value = span_make(name.data + name.bytes, 0);
		p->text[name.data + name.bytes - p->text] = '\0';
		p->text[value.data + value.bytes - p->text] = '\0';
		pair.name = name.data;
		pair.value = value.data;
		pair.bytes = value.bytes;
		if (pairs_add(p, &pair) != FN_OK)
			return -1;
	}
	return 0;
}

/* `to` may be where it stands. */
static size_t
decode(char *to, struct span from)
{
	char *const begin = to;

	for (size_t at = 0; at < from.bytes;) {
		size_t before = at;
		int byte = url_byte_decode(from, &at);

		if (byte < 0) { /* a '%' that is one */
			byte = '%';
			at = before + 1;
		} else if (at == before + 1 && byte == '+') {
			byte = ' ';
		}
		*to++ = (char)byte;
	}
	*to = '\0';
	return (size_t)(to - begin);
}
