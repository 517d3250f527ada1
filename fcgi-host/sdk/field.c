/* SPDX-License-Identifier: MIT */
/* field.c - each rule once, for what authors pass on from their clients without
 * having looked at it. */

#include "sdk/field.h"

static bool is_token(struct span);
static size_t utf8_bytes(struct span);

const char *
field_name_fault(struct span name)
{
	static const char *const others[] = { "Status", "Connection",
		"Transfer-Encoding", "Keep-Alive", "Proxy-Connection", "TE",
		"Trailer", "Upgrade" };

	if (name.bytes > FIELD_NAME_MOST)
		return "the name is too long";
	if (!is_token(name))
		return "the name is no token";
	if (span_equal_nocase(name, span_of(others[0])))
		return "fn_reply_status() is for that";
	for (size_t i = 1; i < sizeof(others) / sizeof(others[0]); i++)
		if (span_equal_nocase(name, span_of(others[i])))
			return "that is of the connection, not of the reply";
	return NULL;
}

const char *
field_value_fault(struct span value)
{
	if (value.bytes > FIELD_VALUE_MOST)
		return "the value is too long";
	for (size_t i = 0; i < value.bytes; i++) {
		unsigned char byte = (unsigned char)value.data[i];

		if (byte == '\r' || byte == '\n')
			return "there is a line end in the value";
		if ((byte < ' ' && byte != '\t') || byte == 0x7f)
			return "there is a control byte in the value";
	}
	return NULL;
}

int
field_put_html(struct buf *b, struct span text)
{
	static const struct {
		char byte;
		const char *reference;
	} rows[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" },
		{ '"', "&quot;" }, { '\'', "&#39;" } };
	int result = 0;

	for (size_t i = 0; i < text.bytes && result == 0; i++) {
		const char *reference = NULL;

		for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
			if (text.data[i] == rows[r].byte)
				reference = rows[r].reference;
		result = reference ? buf_put_string(b, reference) :
				     buf_put_byte(b, text.data[i]);
	}
	return result;
}

int
field_put_url(struct buf *b, struct span text)
{
	int result = 0;

	for (size_t i = 0; i < text.bytes && result == 0; i++) {
		unsigned char byte = (unsigned char)text.data[i];

		if ((byte >= '0' && byte <= '9') ||
		    (byte >= 'A' && byte <= 'Z') ||
		    (byte >= 'a' && byte <= 'z') ||
		    (byte && strchr("-._~", byte)))
			result = buf_put_byte(b, (char)byte);
		else
			result = buf_printf(b, "%%%02X", byte);
	}
	return result;
}

int
field_put_json(struct buf *b, struct span text)
{
	int result = buf_put_byte(b, '"');

	while (text.bytes > 0 && result == 0) {
		size_t bytes = utf8_bytes(text);
		unsigned char byte = (unsigned char)text.data[0];

		if (bytes == 0)
			result = buf_put_byte(b, '?');
		else if (byte < ' ')
			result = buf_printf(b, "\\u%04x", byte);
		else if (byte == '"' || byte == '\\')
			result = buf_printf(b, "\\%c", byte);
		else
			result = buf_put(b, span_take(text, bytes));
		text = span_skip(text, bytes > 0 ? bytes : 1);
	}
	return result == 0 ? buf_put_byte(b, '"') : -1;
}

/* RFC 9110 section 5.6.2. */
static bool
is_token(struct span name)
{
	for (size_t i = 0; i < name.bytes; i++) {
		char c = name.data[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return name.bytes > 0;
}

/* Of the character at the front (RFC 3629 section 4); 0: none. */
static size_t
utf8_bytes(struct span text)
{
	const unsigned char *at = (const unsigned char *)text.data;
	size_t bytes = at[0] < 0x80 ? 1 :
	    at[0] < 0xc2	    ? 0 :
	    at[0] < 0xe0	    ? 2 :
	    at[0] < 0xf0	    ? 3 :
	    at[0] < 0xf5	    ? 4 :
				      0;

	if (bytes == 0 || bytes > text.bytes)
		return 0;
	for (size_t i = 1; i < bytes; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) ||
	    (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return bytes;
}
