/* SPDX-License-Identifier: MIT */
/* fn.h - a function written in C: you write fn_handle(), the library has main().
 * Link with libfn.a (`pkg-config --static --cflags --libs libfn`), into a static
 * program as well, with glibc or musl. fn(3) has examples.
 *
 * The same program answers one request as plain CGI, or many, one after the
 * other, when descriptor 0 is a listening socket (FastCGI). It is never in two
 * requests at once; what belongs to a request is in its struct fn_request and
 * struct fn_reply, and nothing of it is left for the next.
 *
 * What a call returns is there until fn_handle() returns. Text is as the client
 * sent it: any bytes, maybe no UTF-8. */
#ifndef FN_H
#define FN_H

#include <stddef.h>
#include <stdint.h>

#include "fn_state.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FN_PRINTF(text, first) \
	__attribute__((__format__(__printf__, text, first)))
#else
#define FN_PRINTF(text, first)
#endif

struct fn_request;
struct fn_reply;

/* ---- what you write ------------------------------------------------------- */

/* Answers one request; 0. Anything else says that it failed: the client gets a
 * complete 500 instead of what was written, or, when part of that has been sent,
 * a reply that is visibly broken off. */
int fn_handle(struct fn_request *, struct fn_reply *);

/* You need not have it: done once, before the first request, for what many
 * requests use. The arguments are those of the program. 0, or the status with
 * which the process ends. */
int fn_init(int argc, char **argv);

/* What the library's main() calls, for a program that has its own. `init` may be
 * NULL. Returns the exit status of the process, when there are no more requests. */
int fn_main(int argc, char **argv,
    int (*handle)(struct fn_request *, struct fn_reply *),
    int (*init)(int argc, char **argv));

/* ---- templates ------------------------------------------------------------- */

/* With the setting start = "fork", fn_init() runs once, in a process that answers
 * nothing: the template. Each process that answers is a copy of it, with all that
 * fn_init() has made, and is thrown away. It has its own request, environment,
 * time limit and random numbers; what else must not be shared (the position in an
 * open file, a connection) is opened anew in the copy: here, or in fn_handle(). */

/* To be called by fn_init(), at most 32 times; each may be NULL. For each copy:
 * `before` in the template, the one given last first; then `in_template` there and
 * `in_copy` in the copy, which is complete but for its request. A process that was
 * not copied calls none. 0, or -1: there are too many. */
int fn_at_fork(void (*before)(void), void (*in_template)(void),
    void (*in_copy)(void));

/* To be called by fn_init(), at most 32 times: `end` is called at the end of each
 * process that answered requests, copy or not, the one given last first; not when
 * it is killed or leaves by itself. What atexit(3) was given by fn_init() is for
 * the template's end, not for each copy's. 0, or -1: there are too many. */
int fn_at_end(void (*end)(void));

/* Memory for a table that fn_init() fills, zeroed: in pages of 2 MiB, where the
 * system has them, so that a copy takes as long with it as without it, not 1 ms
 * more for each 64 MiB. Rounded up to 2 MiB; NULL with errno. */
void *fn_alloc_huge(size_t bytes);
void fn_free_huge(void *, size_t bytes); /* as many; NULL is no harm */

/* Writes a line to the log, at most 4000 bytes of it. */
void fn_log(const char *format, ...) FN_PRINTF(1, 2);

/* ---- the request ----------------------------------------------------------- */

/* Those that return a string never return NULL but where it says so. */
const char *fn_request_method(const struct fn_request *); /* "GET" */
/* What follows the function in the path, decoded: "" or "/...". */
const char *fn_request_path(const struct fn_request *);
/* The path of the function itself, for links: "/fn/acme/hello". */
const char *fn_request_script(const struct fn_request *);
const char *fn_request_address(const struct fn_request *); /* of the client */
/* By which the log knows it; "" when the web server gives none. */
const char *fn_request_id(const struct fn_request *);
/* Milliseconds until the time limit, 0 when it is over; INT64_MAX: no limit. */
int64_t fn_request_ms_left(const struct fn_request *);
/* The value of a header, "Accept-Language", in any case; NULL: not sent. */
const char *fn_request_header(const struct fn_request *, const char *name);
/* NULL: no such cookie. Not decoded. */
const char *fn_request_cookie(struct fn_request *, const char *name);
/* Of CGI, "HTTPS", "REMOTE_USER"; NULL: not set. What the settings of the
 * function add to its environment is there, for getenv(3). */
const char *fn_request_variable(const struct fn_request *, const char *name);
/* All of them, "NAME=value", a NULL behind the last. */
char *const *fn_request_variables(const struct fn_request *);

struct fn_pair {
	const char *name;
	const char *value; /* a NUL stands behind it; there may be one in it */
	size_t bytes;	   /* of the value */
	/* Of a part of multipart/form-data that said so, else NULL: the name of the
	 * file as the client gave it, which is no path, and its media type. */
	const char *file;
	const char *type;
};

/* The first value of that name in the query, decoded, "" for a name without
 * one; NULL: none. */
const char *fn_request_query(struct fn_request *, const char *name);
/* All of them in order, at most 4096; returns how many. */
size_t fn_request_query_pairs(struct fn_request *, const struct fn_pair **);

/* Reads a form of at most `most` bytes as it is sent, files and all:
 * application/x-www-form-urlencoded or multipart/form-data. FN_NOT_FOUND: the body
 * is no form. FN_TOO_LARGE: it is longer, or has above 4096 values. FN_BAD: its
 * parts are not whole. FN_FAILED: it was cut off, or no memory. Twice is no harm;
 * fn_request_body() is for other bodies. */
enum fn_result fn_request_read_form(struct fn_request *, size_t most);
/* As of the query, after that returned FN_OK; before it, and else, none. */
const char *fn_request_form(const struct fn_request *, const char *name);
size_t fn_request_form_pairs(const struct fn_request *,
    const struct fn_pair **);

/* Of the body: its media type, "" when there is none, and its length in bytes, 0
 * when none is said. */
const char *fn_request_type(const struct fn_request *);
int64_t fn_request_length(const struct fn_request *);
/* Waits for the next bytes of the body: how many it has put there, 0 at the end,
 * -1 when the body was cut off or the client has gone. What you do not read is
 * dropped. */
ptrdiff_t fn_request_read(struct fn_request *, void *to, size_t room);
/* The whole body, with a NUL behind it that is not counted. FN_TOO_LARGE: more
 * than `most` bytes. FN_FAILED: cut off, or no memory. Twice gives the same. */
enum fn_result fn_request_body(struct fn_request *, size_t most,
    const char **data, size_t *bytes);

/* ---- the reply -------------------------------------------------------------- */

/* A reply of up to 60 KiB is sent whole, with its length, when fn_handle() has
 * returned; a longer one is sent as it is written. Before anything was sent, status
 * and headers may be set, in any order, also when there is some body already.
 *
 * Each returns FN_OK, or
 *   FN_BAD       it is not as it must be (a line end in a header ...). Nothing
 *                was changed, the log says why, and, unless the reply is begun
 *                anew (fn_reply_reset(), fn_reply_problem(), fn_reply_redirect()),
 *                the client gets a 500: what could not be said is not left out
 *   FN_CONFLICT  the header has been sent
 *   FN_FAILED    the client has gone, or no memory */

enum fn_result fn_reply_status(struct fn_reply *, unsigned); /* 200 to 599 */
/* "text/html; charset=utf-8"; unless you say so: "text/plain; charset=utf-8" */
enum fn_result fn_reply_type(struct fn_reply *, const char *type);
/* Instead of what was set by that name. A value has at most 8000 bytes; there are
 * at most 200, of 24 KiB in all. */
enum fn_result fn_reply_header(struct fn_reply *, const char *name,
    const char *format, ...) FN_PRINTF(3, 4);
/* One more of that name (Set-Cookie, Link). */
enum fn_result fn_reply_header_add(struct fn_reply *, const char *name,
    const char *format, ...) FN_PRINTF(3, 4);

enum fn_result fn_reply_write(struct fn_reply *, const void *, size_t bytes);
enum fn_result fn_reply_puts(struct fn_reply *, const char *);
enum fn_result fn_reply_printf(struct fn_reply *, const char *format, ...)
    FN_PRINTF(2, 3);
/* Text, with what has a meaning in HTML (& < > " ') escaped. */
enum fn_result fn_reply_html(struct fn_reply *, const char *text);
/* Text as part of a URL: all but letters, digits and -._~ percent-encoded. */
enum fn_result fn_reply_url(struct fn_reply *, const char *text);
/* Sends what there is, now. From here on there is no length to be said. */
enum fn_result fn_reply_flush(struct fn_reply *);

/* Throws away all that was set and written. */
enum fn_result fn_reply_reset(struct fn_reply *);
/* Instead of all that was set and written: leads the client to `url`, with 301,
 * 302, 303 (after a form), 307 or 308. */
enum fn_result fn_reply_redirect(struct fn_reply *, unsigned status,
    const char *url);
/* Instead of all that was set and written: an application/problem+json (RFC 9457)
 * with that detail, at most 1000 bytes of it. */
enum fn_result fn_reply_problem(struct fn_reply *, unsigned status,
    const char *format, ...) FN_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif

#endif
