/* SPDX-License-Identifier: MIT */
/* cgi_head.c - one pass over the header a program wrote. Every byte is looked
 * up in a table of what may stand where; the few fields that mean something to
 * us are told by the length of their name first. Nothing is copied, and of the
 * array of fields only what is used is touched. */
#include <assert.h>

#include "wire/cgi_head.h"

enum {
	IN_NAME = 1,  /* tchar, RFC 9110 section 5.6.2 */
	IN_VALUE = 2, /* visible, blank, tab, and bytes above 0x7f */
};

/* clang-format off */
#define V IN_VALUE
#define N (IN_NAME | IN_VALUE)
static const unsigned char allowed[256] = {
	/* 0x00 */ 0, 0, 0, 0, 0, 0, 0, 0, 0, V, 0, 0, 0, 0, 0, 0,
	/* 0x10 */ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	/*    ! */ V, N, V, N, N, N, N, N, V, V, N, N, V, N, N, V,
	/* 0..? */ N, N, N, N, N, N, N, N, N, N, V, V, V, V, V, V,
	/* @..O */ V, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	/* P.._ */ N, N, N, N, N, N, N, N, N, N, N, V, V, V, N, N,
	/* `..o */ N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	/* p..  */ N, N, N, N, N, N, N, N, N, N, N, V, N, V, N, 0,
	/* 0x80 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
	/* 0x90 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
	/* 0xa0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
	/* 0xb0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
	/* 0xc0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
	/* 0xd0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
	/* 0xe0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
	/* 0xf0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
};
#undef V
#undef N
/* clang-format on */

/* A parse under way: what was seen decides the kind at the end. */
struct parse {
	struct cgi_head *head;
	bool status_given;
};

static struct span take_line(struct span *rest);
static enum cgi_head_error parse_first(struct parse *, struct span line,
    bool *taken);
static enum cgi_head_error parse_line(struct parse *, struct span line);
static enum cgi_head_error decide(struct parse *);
static bool is_in_extra(struct span name, struct span extra);
static bool passes(const struct cgi_field *, const struct cgi_head_policy *);
static size_t decimal(uint64_t, char digits[20]);
static char *put(char *at, struct span);

const char *
cgi_head_error_words(enum cgi_head_error error)
{
	static const char *const words[] = {
		[CGI_HEAD_OK] = "the header is good",
		[CGI_HEAD_TOO_LONG] = "the header is longer than 32 KiB",
		[CGI_HEAD_TOO_MANY_FIELDS] =
		    "the header has more than 256 fields",
		[CGI_HEAD_LINE_TOO_LONG] =
		    "a header line is longer than 16 KiB",
		[CGI_HEAD_NO_COLON] = "a header line has no colon",
		[CGI_HEAD_BAD_NAME] = "a header field's name is not a token",
		[CGI_HEAD_CONTINUATION] =
		    "a header line begins with a blank (a folded line)",
		[CGI_HEAD_BAD_VALUE] =
		    "a header field's value has a control byte in it",
		[CGI_HEAD_BAD_STATUS] =
		    "the Status is not a number from 200 to 599 and a reason",
		[CGI_HEAD_TWICE] =
		    "Status, Location or Content-Type is there twice",
		[CGI_HEAD_BAD_LENGTH] =
		    "the Content-Length is not one decimal number",
		[CGI_HEAD_NO_CGI_FIELD] =
		    "the header has no Content-Type, Location or Status",
		[CGI_HEAD_BAD_LOCATION] =
		    "the Location is empty or has blanks in it",
		[CGI_HEAD_UPGRADE] =
		    "the header asks to upgrade the connection",
	};

	if ((size_t)error >= sizeof(words) / sizeof(words[0]))
		return "unknown";
	return words[error];
}

/* *scanned is where to go on. That it is where a line begins shows in the byte
 * before it, so a line's first bytes are looked at again while they are not
 * enough to tell a blank line, and no other byte ever is. */
enum cgi_head_state
cgi_head_find(struct span bytes, bool at_end, size_t *scanned,
    size_t *head_bytes)
{
	size_t most = bytes.bytes < CGI_HEAD_MOST ? bytes.bytes : CGI_HEAD_MOST;
	const char *newline;
	size_t at = *scanned;

	for (;;) {
		if (at == 0 || bytes.data[at - 1] == '\n') {
			size_t end = at;

			if (end < most && bytes.data[end] == '\r')
				end++;
			if (end >= most)
				break;
			if (bytes.data[end] == '\n') {
				*head_bytes = end + 1;
				return CGI_HEAD_COMPLETE;
			}
		}
		newline =
		    at < most ? memchr(bytes.data + at, '\n', most - at) : NULL;
		if (newline == NULL) {
			at = most;
			break;
		}
		at = (size_t)(newline - bytes.data) + 1;
	}
	*scanned = at;
	return at_end || bytes.bytes >= CGI_HEAD_MOST ? CGI_HEAD_BAD :
							CGI_HEAD_NEED_MORE;
}

int
cgi_head_parse(struct span bytes, struct cgi_head *head)
{
	struct parse p = { .head = head };
	struct span rest = bytes;
	struct span line;
	bool taken = false;

	/* Not by assignment of a whole struct: the fields are 10 KiB. */
	head->kind = CGI_DOCUMENT;
	head->error = CGI_HEAD_OK;
	head->status = 200;
	head->reason = SPAN("");
	head->location = SPAN_NONE;
	head->content_type = SPAN_NONE;
	head->content_length = -1;
	head->bodyless = false;
	head->field_count = 0;

	line = take_line(&rest);
	if (line.bytes > 0)
		head->error = parse_first(&p, line, &taken);
	if (taken)
		line = take_line(&rest);
	while (head->error == CGI_HEAD_OK && line.bytes > 0) {
		head->error = parse_line(&p, line);
		line = take_line(&rest);
	}
	if (head->error == CGI_HEAD_OK &&
	    bytes.bytes - rest.bytes > CGI_HEAD_MOST)
		head->error = CGI_HEAD_TOO_LONG;
	if (head->error == CGI_HEAD_OK)
		head->error = decide(&p);
	return head->error == CGI_HEAD_OK ? 0 : -1;
}

int
cgi_head_write(struct buf *b, const struct cgi_head *head,
    const struct cgi_head_policy *policy)
{
	struct span reason = head->reason;
	char status[20], length[20];
	size_t length_digits = 0;
	size_t bytes;
	char *at;

	assert(head->status >= 200 && head->status <= 599);
	if (reason.bytes == 0)
		reason = span_of(http_reason(head->status));
	if (head->content_length >= 0 && !head->bodyless)
		length_digits = decimal((uint64_t)head->content_length, length);

	/* Sizes first, so that the room is asked for once. */
	bytes = sizeof("Status: NNN \r\n") - 1 + reason.bytes +
	    policy->extra.bytes + 2;
	if (length_digits > 0)
		bytes += sizeof("Content-Length: \r\n") - 1 + length_digits;
	for (size_t i = 0; i < head->field_count; i++)
		if (passes(&head->fields[i], policy))
			bytes += head->fields[i].name.bytes + 2 +
			    head->fields[i].value.bytes + 2;
	at = buf_reserve(b, bytes);
	if (at == NULL)
		return -1;

	decimal(head->status, status);
	at = put(at, SPAN("Status: "));
	at = put(at, span_make(status, 3));
	at = put(at, SPAN(" "));
	at = put(at, reason);
	at = put(at, SPAN("\r\n"));
	for (size_t i = 0; i < head->field_count; i++) {
		const struct cgi_field *f = &head->fields[i];

		if (!passes(f, policy))
			continue;
		at = put(at, f->name);
		at = put(at, SPAN(": "));
		at = put(at, f->value);
		at = put(at, SPAN("\r\n"));
	}
	if (length_digits > 0) {
		at = put(at, SPAN("Content-Length: "));
		at = put(at, span_make(length, length_digits));
		at = put(at, SPAN("\r\n"));
	}
	at = put(at, policy->extra);
	put(at, SPAN("\r\n"));
	buf_wrote(b, bytes);
	return 0;
}

/* RFC 9110 section 15 and the registry of status codes. */
const char *
http_reason(unsigned status)
{
	static const char *const reasons[] = {
		[200] = "OK",
		[201] = "Created",
		[202] = "Accepted",
		[203] = "Non-Authoritative Information",
		[204] = "No Content",
		[205] = "Reset Content",
		[206] = "Partial Content",
		[207] = "Multi-Status",
		[208] = "Already Reported",
		[226] = "IM Used",
		[300] = "Multiple Choices",
		[301] = "Moved Permanently",
		[302] = "Found",
		[303] = "See Other",
		[304] = "Not Modified",
		[305] = "Use Proxy",
		[307] = "Temporary Redirect",
		[308] = "Permanent Redirect",
		[400] = "Bad Request",
		[401] = "Unauthorized",
		[402] = "Payment Required",
		[403] = "Forbidden",
		[404] = "Not Found",
		[405] = "Method Not Allowed",
		[406] = "Not Acceptable",
		[407] = "Proxy Authentication Required",
		[408] = "Request Timeout",
		[409] = "Conflict",
		[410] = "Gone",
		[411] = "Length Required",
		[412] = "Precondition Failed",
		[413] = "Content Too Large",
		[414] = "URI Too Long",
		[415] = "Unsupported Media Type",
		[416] = "Range Not Satisfiable",
		[417] = "Expectation Failed",
		[421] = "Misdirected Request",
		[422] = "Unprocessable Content",
		[423] = "Locked",
		[424] = "Failed Dependency",
		[425] = "Too Early",
		[426] = "Upgrade Required",
		[428] = "Precondition Required",
		[429] = "Too Many Requests",
		[431] = "Request Header Fields Too Large",
		[451] = "Unavailable For Legal Reasons",
		[500] = "Internal Server Error",
		[501] = "Not Implemented",
		[502] = "Bad Gateway",
		[503] = "Service Unavailable",
		[504] = "Gateway Timeout",
		[505] = "HTTP Version Not Supported",
		[506] = "Variant Also Negotiates",
		[507] = "Insufficient Storage",
		[508] = "Loop Detected",
		[511] = "Network Authentication Required",
	};

	if (status >= sizeof(reasons) / sizeof(reasons[0]) ||
	    reasons[status] == NULL)
		return "Unknown";
	return reasons[status];
}

/* The next line without its LF or CRLF; empty at a blank line and at the end.
 * Any other CR stays, and is refused as a control byte. */
static struct span
take_line(struct span *rest)
{
	const char *newline =
	    rest->bytes > 0 ? memchr(rest->data, '\n', rest->bytes) : NULL;
	size_t bytes = newline ? (size_t)(newline - rest->data) : rest->bytes;
	struct span line = span_make(rest->data, bytes);

	*rest = span_skip(*rest, bytes + 1);
	if (newline && bytes > 0 && line.data[bytes - 1] == '\r')
		line.bytes--;
	return line;
}

static bool
is_value(struct span s)
{
	unsigned char all = IN_VALUE;

	for (size_t i = 0; i < s.bytes; i++)
		all &= allowed[(unsigned char)s.data[i]];
	return all != 0;
}

/* "NNN" or "NNN reason" (RFC 3875 section 6.3.3). */
static enum cgi_head_error
parse_status(struct parse *p, struct span value)
{
	uint64_t status;

	if (p->status_given)
		return CGI_HEAD_TWICE;
	p->status_given = true;
	if (span_number(span_take(value, 3), 999, &status) != 0 ||
	    value.bytes < 3 || (value.bytes > 3 && value.data[3] != ' '))
		return CGI_HEAD_BAD_STATUS;
	if (status == 101)
		return CGI_HEAD_UPGRADE;
	if (status < 200 || status > 599)
		return CGI_HEAD_BAD_STATUS;
	p->head->status = (unsigned)status;
	p->head->reason = span_trim(span_skip(value, 3));
	return CGI_HEAD_OK;
}

/* A status line, as programs write that take themselves for unparsed. */
static enum cgi_head_error
parse_first(struct parse *p, struct span line, bool *taken)
{
	static const size_t version_bytes = sizeof("HTTP/1.x") - 1;

	*taken = false;
	if (!span_starts(line, SPAN("HTTP/1.")) ||
	    line.bytes <= version_bytes || line.data[version_bytes] != ' ')
		return CGI_HEAD_OK;
	*taken = true;
	if (line.data[version_bytes - 1] != '0' &&
	    line.data[version_bytes - 1] != '1')
		return CGI_HEAD_BAD_STATUS;
	if (line.bytes > CGI_HEAD_LINE_MOST)
		return CGI_HEAD_LINE_TOO_LONG;
	if (!is_value(line))
		return CGI_HEAD_BAD_VALUE;
	return parse_status(p, span_trim(span_skip(line, version_bytes)));
}

static enum cgi_head_error
parse_once(struct span *where, struct span value)
{
	if (where->data != NULL)
		return CGI_HEAD_TWICE;
	*where = value;
	return CGI_HEAD_OK;
}

static enum cgi_head_error
parse_length(struct cgi_head *head, struct span value)
{
	uint64_t length;

	if (head->content_length >= 0 ||
	    span_number(value, INT64_MAX, &length) != 0)
		return CGI_HEAD_BAD_LENGTH;
	head->content_length = (int64_t)length;
	return CGI_HEAD_OK;
}

/* "close, upgrade" asks for another protocol; Upgrade alone only offers one. */
static enum cgi_head_error
parse_connection(struct span value)
{
	while (value.bytes > 0)
		if (span_equal_nocase(span_trim(span_cut(&value, ',')),
			SPAN("upgrade")))
			return CGI_HEAD_UPGRADE;
	return CGI_HEAD_OK;
}

/* What the host makes of a field other than Status. */
static enum cgi_head_error
parse_known(struct cgi_head *head, struct cgi_field *f)
{
	struct span name = f->name;

	f->kind = CGI_FIELD_PLAIN;
	switch (name.bytes) {
	case sizeof("TE") - 1:
		if (span_equal_nocase(name, SPAN("TE")))
			f->kind = CGI_FIELD_HOP;
		break;
	case sizeof("Trailer") - 1: /* and Upgrade */
		if (span_equal_nocase(name, SPAN("Trailer")) ||
		    span_equal_nocase(name, SPAN("Upgrade")))
			f->kind = CGI_FIELD_HOP;
		break;
	case sizeof("Location") - 1:
		if (span_equal_nocase(name, SPAN("Location")))
			return parse_once(&head->location, f->value);
		break;
	case sizeof("Connection") - 1: /* and Keep-Alive */
		if (span_equal_nocase(name, SPAN("Connection"))) {
			f->kind = CGI_FIELD_HOP;
			return parse_connection(f->value);
		}
		if (span_equal_nocase(name, SPAN("Keep-Alive")))
			f->kind = CGI_FIELD_HOP;
		break;
	case sizeof("Content-Type") - 1:
		if (span_equal_nocase(name, SPAN("Content-Type")))
			return parse_once(&head->content_type, f->value);
		break;
	case sizeof("Content-Length") - 1:
		if (span_equal_nocase(name, SPAN("Content-Length"))) {
			f->kind = CGI_FIELD_LENGTH;
			return parse_length(head, f->value);
		}
		break;
	case sizeof("Transfer-Encoding") - 1:
		if (span_equal_nocase(name, SPAN("Transfer-Encoding")))
			f->kind = CGI_FIELD_HOP;
		break;
	}
	if ((name.data[0] | 0x20) == 'p' &&
	    span_starts_nocase(name, SPAN("Proxy-")))
		f->kind = CGI_FIELD_HOP;
	if ((name.data[0] | 0x20) == 'x' &&
	    span_starts_nocase(name, SPAN("X-Accel-")))
		f->kind = CGI_FIELD_ACCEL;
	return CGI_HEAD_OK;
}

static enum cgi_head_error
parse_line(struct parse *p, struct span line)
{
	struct cgi_head *head = p->head;
	struct cgi_field *f;
	struct span value;
	size_t name_bytes = 0;

	if (line.bytes > CGI_HEAD_LINE_MOST)
		return CGI_HEAD_LINE_TOO_LONG;
	if (line.data[0] == ' ' || line.data[0] == '\t')
		return CGI_HEAD_CONTINUATION;
	while (name_bytes < line.bytes &&
	    (allowed[(unsigned char)line.data[name_bytes]] & IN_NAME))
		name_bytes++;
	if (name_bytes == line.bytes || line.data[name_bytes] != ':')
		return span_find(line, ':') < 0 ? CGI_HEAD_NO_COLON :
						  CGI_HEAD_BAD_NAME;
	if (name_bytes == 0)
		return CGI_HEAD_BAD_NAME;
	value = span_trim(span_skip(line, name_bytes + 1));
	if (!is_value(value))
		return CGI_HEAD_BAD_VALUE;

	if (name_bytes == sizeof("Status") - 1 &&
	    span_equal_nocase(span_take(line, name_bytes), SPAN("Status")))
		return parse_status(p, value);

	if (head->field_count == CGI_HEAD_FIELDS_MOST)
		return CGI_HEAD_TOO_MANY_FIELDS;
	f = &head->fields[head->field_count++];
	f->name = span_take(line, name_bytes);
	f->value = value;
	return parse_known(head, f);
}

/* A path of this server, to be asked for anew (RFC 3875 section 6.3.2):
 * "//host/" has an authority, a fragment is for the client. */
static bool
location_is_local(struct span location)
{
	return location.data[0] == '/' && !span_starts(location, SPAN("//")) &&
	    span_find(location, '#') < 0;
}

static enum cgi_head_error
decide(struct parse *p)
{
	struct cgi_head *head = p->head;

	if (!p->status_given && head->location.data == NULL &&
	    head->content_type.data == NULL)
		return CGI_HEAD_NO_CGI_FIELD;

	head->bodyless = head->status == 204 || head->status == 304;
	if (head->location.data == NULL)
		return CGI_HEAD_OK;
	if (head->location.bytes == 0)
		return CGI_HEAD_BAD_LOCATION;

	if (p->status_given) {
		if (head->status / 100 == 3)
			head->kind = CGI_CLIENT_REDIRECT_DOCUMENT;
		return CGI_HEAD_OK;
	}
	head->status = 302;
	head->kind = CGI_CLIENT_REDIRECT;
	if (head->field_count > 1 || !location_is_local(head->location))
		return CGI_HEAD_OK;
	/* It becomes a request target, where a blank would end it. */
	if (span_find(head->location, ' ') >= 0 ||
	    span_find(head->location, '\t') >= 0)
		return CGI_HEAD_BAD_LOCATION;
	head->kind = CGI_LOCAL_REDIRECT;
	return CGI_HEAD_OK;
}

/* Two of a name, and each reader would choose its own: ours is the one. */
static bool
is_in_extra(struct span name, struct span extra)
{
	struct span line, own;

	while (extra.bytes > 0) {
		line = span_cut(&extra, '\n');
		own = span_cut(&line, ':');
		if (own.bytes == name.bytes && span_equal_nocase(own, name))
			return true;
	}
	return false;
}

static bool
passes(const struct cgi_field *f, const struct cgi_head_policy *policy)
{
	switch (f->kind) {
	case CGI_FIELD_PLAIN:
		return !is_in_extra(f->name, policy->extra);
	case CGI_FIELD_ACCEL:
		return policy->allow_accel;
	case CGI_FIELD_LENGTH:
	case CGI_FIELD_HOP:
		break;
	}
	return false;
}

/* How many of the digits are used; the first ones. */
static size_t
decimal(uint64_t value, char digits[20])
{
	char reversed[20];
	size_t count = 0;

	do {
		reversed[count++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	for (size_t i = 0; i < count; i++)
		digits[i] = reversed[count - 1 - i];
	return count;
}

static char *
put(char *at, struct span s)
{
	if (s.bytes > 0)
		memcpy(at, s.data, s.bytes);
	return at + s.bytes;
}
