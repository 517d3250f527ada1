/* SPDX-License-Identifier: MIT */
/* buf.h - bytes we own, growing up to a ceiling declared at init.
 * Writes go to the end, reads from the front. Growing past the ceiling fails
 * and changes nothing, so memory is bounded where the buffer is declared. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/span.h"

struct buf {
	char *data;	/* ours, NULL while empty */
	size_t start;	/* first byte not yet taken */
	size_t end;	/* behind the last byte written */
	size_t room;	/* bytes allocated */
	size_t ceiling; /* most bytes it may hold at once */
};

void buf_init(struct buf *, size_t ceiling);
void buf_free(struct buf *); /* gives memory back; usable again */

static inline size_t
buf_bytes(const struct buf *b)
{
	return b->end - b->start;
}

static inline struct span
buf_span(const struct buf *b)
{
	return span_make(b->data ? b->data + b->start : "", b->end - b->start);
}

/* Room for at least `bytes` more: where to write them, or NULL when the
 * ceiling or memory is reached. buf_wrote() then says how many were. */
char *buf_reserve(struct buf *, size_t bytes);
void buf_wrote(struct buf *, size_t bytes);

/* All: 0, or -1 at the ceiling, with nothing written. */
int buf_put(struct buf *, struct span);
int buf_put_string(struct buf *, const char *);
int buf_put_byte(struct buf *, char);
int buf_printf(struct buf *, const char *, ...)
    __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *, const char *, va_list)
    __attribute__((format(printf, 2, 0)));
/* A template, in which put() writes what stands for each {name}; what was written
 * before it failed stays. */
typedef int buf_name_fn(struct buf *, struct span name, const void *arg);
int buf_fill(struct buf *, const char *template, buf_name_fn *put,
    const void *arg);

void buf_taken(struct buf *, size_t bytes); /* drops them from the front */
void buf_clear(struct buf *);		    /* drops all, keeps memory */
void buf_shrink(struct buf *);		    /* frees memory when empty */

/* The contents as a string, NUL-terminated for as long as nothing is written;
 * "" when empty, NULL without memory. */
const char *buf_string(struct buf *);

#endif
