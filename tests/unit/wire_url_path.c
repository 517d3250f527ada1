/* SPDX-License-Identifier: MIT */
/* If this fails, the path that was routed is not the path the function sees, or
 * a request reaches a file or a tenant that its text did not name. */
#include <stdlib.h>

#include "wire_spans.h"

#include "wire/url_path.h"

static const struct split {
	const char *sentence;
	struct span target;
	struct span raw_path;
	struct span query;
} splits[] = {
	{ "R6: a target without a query", SPAN("/fn/acme/hello"),
	    SPAN("/fn/acme/hello"), SPAN("") },
	{ "R6: a query begins at the first question mark", SPAN("/a?b=c?d"),
	    SPAN("/a"), SPAN("b=c?d") },
	{ "R6: a query may be empty", SPAN("/a?"), SPAN("/a"), SPAN("") },
	{ "R6: a query is not decoded", SPAN("/a?%2f%zz"), SPAN("/a"),
	    SPAN("%2f%zz") },
	{ "R6: a slash in a query is no path", SPAN("/a?http://b/c"),
	    SPAN("/a"), SPAN("http://b/c") },
	{ "a fragment is not ours", SPAN("/a?b#c?d"), SPAN("/a"), SPAN("b") },
	{ "a fragment may come without a query", SPAN("/a#b?c"), SPAN("/a"),
	    SPAN("") },
	{ "scheme and authority go off an absolute target",
	    SPAN("http://host:80/a/b?c"), SPAN("/a/b"), SPAN("c") },
	{ "so they do in capitals", SPAN("HTTPS://user@[::1]:80/a"), SPAN("/a"),
	    SPAN("") },
	{ "an authority alone asks for the root", SPAN("http://host"),
	    SPAN("/"), SPAN("") },
	{ "an authority may be followed by a query", SPAN("http://host?a/b"),
	    SPAN("/"), SPAN("a/b") },
	{ "an authority may be followed by a fragment", SPAN("http://host#a/b"),
	    SPAN("/"), SPAN("") },
	{ "two slashes do not begin an authority in a request",
	    SPAN("//host/a"), SPAN("//host/a"), SPAN("") },
	{ "a scheme begins with a letter", SPAN("1http://host/a"),
	    SPAN("1http://host/a"), SPAN("") },
	{ "an asterisk is what it is", SPAN("*"), SPAN("*"), SPAN("") },
	{ "nothing is nothing", SPAN(""), SPAN(""), SPAN("") },
};

static void
test_split(void **state)
{
	const struct split *row = *state;
	struct span raw_path, query;

	url_split(row->target, &raw_path, &query);
	assert_span(raw_path, row->raw_path);
	assert_span(query, row->query);
	assert_non_null(query.data);
}

static const struct decoding {
	const char *sentence;
	struct span raw;
	enum url_path_error error;
	struct span decoded;
} decodings[] = {
	{ "R4: a path without escapes", SPAN("/fn/acme/hello"), URL_PATH_OK,
	    SPAN("/fn/acme/hello") },
	{ "R4: an escape is a byte", SPAN("/a%20b"), URL_PATH_OK,
	    SPAN("/a b") },
	{ "R4: digits of an escape in either case", SPAN("/%c3%A4"),
	    URL_PATH_OK, SPAN("/\303\244") },
	{ "R4: case is kept", SPAN("/A%42c"), URL_PATH_OK, SPAN("/ABc") },
	{ "R4: it is decoded once", SPAN("/%252e%252e%252f"), URL_PATH_OK,
	    SPAN("/%2e%2e%2f") },
	{ "R4: a plus is a plus", SPAN("/a+b"), URL_PATH_OK, SPAN("/a+b") },
	{ "R4: a semicolon is a byte like any other", SPAN("/a;b=c/..;/d"),
	    URL_PATH_OK, SPAN("/a;b=c/..;/d") },
	{ "R4: an encoded question mark does not begin a query", SPAN("/a%3fb"),
	    URL_PATH_OK, SPAN("/a?b") },
	{ "R4: a newline is a byte like any other", SPAN("/a%0ab%0d"),
	    URL_PATH_OK, SPAN("/a\nb\r") },
	{ "R4: raw bytes above 127 pass", SPAN("/\303\244"), URL_PATH_OK,
	    SPAN("/\303\244") },
	{ "R4: an encoded slash is refused", SPAN("/a%2fb"),
	    URL_PATH_ENCODED_SLASH, SPAN("") },
	{ "R4: an encoded slash in capitals is refused", SPAN("/a%2Fb"),
	    URL_PATH_ENCODED_SLASH, SPAN("") },
	{ "R20: void segments are kept", SPAN("//a///b//"), URL_PATH_OK,
	    SPAN("//a///b//") },
	{ "R20: the root", SPAN("/"), URL_PATH_OK, SPAN("/") },
	{ "R20: '.' is refused", SPAN("/a/./b"), URL_PATH_DOTS, SPAN("") },
	{ "R20: '..' is refused", SPAN("/a/../b"), URL_PATH_DOTS, SPAN("") },
	{ "R20: '.' at the end is refused", SPAN("/a/."), URL_PATH_DOTS,
	    SPAN("") },
	{ "R20: '..' at the end is refused", SPAN("/a/.."), URL_PATH_DOTS,
	    SPAN("") },
	{ "R20: '..' at the beginning is refused", SPAN("/../a"), URL_PATH_DOTS,
	    SPAN("") },
	{ "R20: dots are refused encoded as well", SPAN("/a/%2e%2E/b"),
	    URL_PATH_DOTS, SPAN("") },
	{ "R20: dots are refused half encoded", SPAN("/a/.%2e"), URL_PATH_DOTS,
	    SPAN("") },
	{ "R20: one encoded dot is refused", SPAN("/%2e/"), URL_PATH_DOTS,
	    SPAN("") },
	{ "R20: three dots are a name", SPAN("/..."), URL_PATH_OK,
	    SPAN("/...") },
	{ "R20: dots in front of a name are a name", SPAN("/.a/..b/c.."),
	    URL_PATH_OK, SPAN("/.a/..b/c..") },
	{ "an encoded NUL is refused", SPAN("/a%00b"), URL_PATH_NUL, SPAN("") },
	{ "a NUL is refused", SPAN("/a\0b"), URL_PATH_NUL, SPAN("") },
	{ "an escape needs its digits", SPAN("/a%"), URL_PATH_BAD_ESCAPE,
	    SPAN("") },
	{ "an escape needs both digits", SPAN("/a%2"), URL_PATH_BAD_ESCAPE,
	    SPAN("") },
	{ "an escape needs hexadecimal digits", SPAN("/a%2g"),
	    URL_PATH_BAD_ESCAPE, SPAN("") },
	{ "an escape's digits are not a number with a sign", SPAN("/a%+1"),
	    URL_PATH_BAD_ESCAPE, SPAN("") },
	{ "a percent sign does not escape itself", SPAN("/a%%20"),
	    URL_PATH_BAD_ESCAPE, SPAN("") },
	{ "an empty path is refused", SPAN(""), URL_PATH_NOT_ABSOLUTE,
	    SPAN("") },
	{ "a relative path is refused", SPAN("a/b"), URL_PATH_NOT_ABSOLUTE,
	    SPAN("") },
	{ "an encoded slash does not begin a path", SPAN("%2fa"),
	    URL_PATH_NOT_ABSOLUTE, SPAN("") },
};

static void
test_decoding(void **state)
{
	const struct decoding *row = *state;
	struct buf b, encoded, twice;

	buf_init(&b, 4096);
	buf_put(&b, SPAN("before"));
	assert_int_equal(url_path_decode(row->raw, &b), row->error);
	assert_true(span_starts(buf_span(&b), SPAN("before")));
	assert_span(span_skip(buf_span(&b), 6), row->decoded);

	/* Encoded anew it is the same path (the Script-URI property). */
	buf_init(&encoded, 4096);
	buf_init(&twice, 4096);
	if (row->error == URL_PATH_OK) {
		assert_int_equal(url_path_encode(&encoded, row->decoded), 0);
		assert_int_equal(url_path_decode(buf_span(&encoded), &twice),
		    URL_PATH_OK);
		assert_span(buf_span(&twice), row->decoded);
	}
	buf_free(&b);
	buf_free(&encoded);
	buf_free(&twice);
}

static void
test_encoding(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(
	    url_path_encode(&b,
		SPAN("/a b?c#d%\n\303\244~-._!$&'()*+,;=:@[]\"<>\\^`{|}\177")),
	    0);
	assert_span(buf_span(&b),
	    SPAN("/a%20b%3Fc%23d%25%0A%C3%A4"
		 "~-._!$&'()*+,;=:@%5B%5D%22%3C%3E%5C%5E%60%7B%7C%7D%7F"));
	buf_clear(&b);
	assert_int_equal(url_path_encode(&b, SPAN("a\0b")), 0);
	assert_span(buf_span(&b), SPAN("a%00b"));
	buf_clear(&b);
	assert_int_equal(url_path_encode(&b, SPAN("")), 0);
	assert_int_equal(buf_bytes(&b), 0);
	buf_free(&b);
}

static void
test_ceiling(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	assert_int_equal(url_path_decode(SPAN("/abcd"), &b), URL_PATH_TOO_LONG);
	assert_int_equal(buf_bytes(&b), 0);
	assert_int_equal(url_path_decode(SPAN("/%61%62%63"), &b), URL_PATH_OK);
	assert_span(buf_span(&b), SPAN("/abc"));
	buf_clear(&b);
	assert_int_equal(url_path_encode(&b, SPAN("/a ")), -1);
	assert_int_equal(buf_bytes(&b), 0);
	assert_int_equal(url_path_encode(&b, SPAN("/ ")), 0);
	assert_span(buf_span(&b), SPAN("/%20"));
	buf_free(&b);
}

static void
test_words(void **state)
{
	(void)state;
	for (int i = URL_PATH_OK; i <= URL_PATH_TOO_LONG; i++)
		assert_string_not_equal(
		    url_path_error_words((enum url_path_error)i), "unknown");
}

static const struct CMUnitTest others[] = {
	{ "R4: what may not stand in a path is encoded, the rest is not",
	    test_encoding, NULL, NULL, NULL },
	{ "at the ceiling nothing is written", test_ceiling, NULL, NULL, NULL },
	{ "every error has its words", test_words, NULL, NULL, NULL },
};

int
main(void)
{
	return RUN_ROWS(splits, test_split) +
	    RUN_ROWS(decodings, test_decoding) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
