/* SPDX-License-Identifier: MIT */
/* call.c - the target of a request, put together piece by piece. What does not
 * fit is remembered and refused once, when it is to be sent. */

#include "sdk/client.h"

static void encoded_put(struct call *, const char *, const char *also);

void
call_init(struct call *c, const char *method, enum again again)
{
	*c = (struct call){ .method = method, .again = again };
	buf_init(&c->target, CLIENT_TARGET_MOST);
}

void
call_free(struct call *c)
{
	buf_free(&c->target);
}

void
call_path(struct call *c, const char *literal)
{
	if (buf_put_string(&c->target, literal) != 0)
		c->target_bad = true;
}

void
call_key(struct call *c, const char *key)
{
	encoded_put(c, key, "/");
}

void
call_query(struct call *c, const char *name, const char *value)
{
	bool first = span_find(buf_span(&c->target), '?') < 0;

	if (buf_printf(&c->target, "%c%s=", first ? '?' : '&', name) != 0)
		c->target_bad = true;
	encoded_put(c, value, "");
}

void
call_query_number(struct call *c, const char *name, uint64_t value)
{
	char text[24];
	size_t at = sizeof(text);

	text[--at] = '\0';
	do
		text[--at] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	call_query(c, name, text + at);
}

/* All but the unreserved characters of RFC 3986 and those in `also`: so a key
 * with a '?', a '%' or a blank stays that key on its way through the web
 * server. */
static void
encoded_put(struct call *c, const char *text, const char *also)
{
	static const char hex[] = "0123456789ABCDEF";

	for (const char *at = text; *at; at++) {
		unsigned char b = (unsigned char)*at;
		char escape[3] = { '%', hex[b >> 4], hex[b & 15] };
		bool plain = (b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') ||
		    (b >= 'a' && b <= 'z') || strchr("-._~", b) ||
		    strchr(also, b);

		if (plain ? buf_put_byte(&c->target, *at) != 0 :
			    buf_put(&c->target, span_make(escape, 3)) != 0)
			c->target_bad = true;
	}
}
