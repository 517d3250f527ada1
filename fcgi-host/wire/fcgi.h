/* SPDX-License-Identifier: MIT */
/* fcgi.h - FastCGI 1.0 records to and from bytes (specification sections 3, 4
 * and 5; constants and layouts are those of libfcgi's <fastcgi.h>). Pure: no
 * I/O, no allocation but in the caller's buf. Reading is incremental: bytes may
 * come split anywhere; content is handed out in slices as it comes, so a record
 * needs no buffer. */
#ifndef WIRE_FCGI_H
#define WIRE_FCGI_H

#include <fastcgi.h>

#include "base/buf.h"
#include "base/span.h"

enum {
	FCGI_RECORD_CONTENT_MOST = 65528, /* we write: a multiple of 8 */
	FCGI_OVERHEAD = 8 + 7,		  /* of a record: header and padding */
};

struct fcgi_record {
	uint8_t type; /* FCGI_BEGIN_REQUEST ... or unknown */
	uint16_t id;  /* 0 = management record */
	uint16_t content_bytes;
	uint8_t padding_bytes;
};

struct fcgi_reader {
	struct fcgi_record record; /* the one being read */
	uint8_t head[FCGI_HEADER_LEN];
	unsigned head_bytes; /* of the header read so far */
	unsigned content_left;
	unsigned padding_left;
	bool in_record;
};

enum fcgi_event {
	FCGI_NEED_MORE,	  /* *in is used up */
	FCGI_RECORD,	  /* a header is complete: reader->record */
	FCGI_CONTENT,	  /* *content is the next slice of its content */
	FCGI_RECORD_END,  /* content and padding of it are through */
	FCGI_BAD_VERSION, /* not version 1: the connection is lost (F2) */
};

void fcgi_reader_init(struct fcgi_reader *);
/* The next event; takes what it used from the front of *in. Call until
 * FCGI_NEED_MORE. A record gives RECORD, CONTENT any number of times, END.
 * BAD_VERSION comes at the first byte of a header, and ever after. */
enum fcgi_event fcgi_read(struct fcgi_reader *, struct span *in,
    struct span *content);
bool fcgi_reader_between(const struct fcgi_reader *); /* two records */

struct fcgi_begin {
	uint16_t role;
	bool keep_conn;
};
/* Content of a BEGIN_REQUEST: 0, or -1 unless it is exactly 8 bytes (F3). */
int fcgi_begin_parse(struct span content, struct fcgi_begin *);

struct fcgi_end {
	uint32_t app_status;
	uint8_t protocol_status;
};
int fcgi_end_parse(struct span content, struct fcgi_end *);

/* Writers: append whole records, padded to 8 with zeros; 0, or -1 at the
 * buf's ceiling with nothing written. */
int fcgi_put_record(struct buf *, uint8_t type, uint16_t id,
    struct span content); /* at most FCGI_MAX_LENGTH bytes */
/* Any length, in as many records as it takes; nothing for no bytes. */
int fcgi_put_stream(struct buf *, uint8_t type, uint16_t id,
    struct span content);
int fcgi_put_stream_end(struct buf *, uint8_t type, uint16_t id);
int fcgi_put_begin(struct buf *, uint16_t id, uint16_t role, bool keep_conn);
int fcgi_put_abort(struct buf *, uint16_t id);
int fcgi_put_end(struct buf *, uint16_t id, uint32_t app_status,
    uint8_t protocol_status);
int fcgi_put_unknown_type(struct buf *, uint8_t type);

/* A record header in place, for content that stands elsewhere (writev). */
void fcgi_head_write(uint8_t head[FCGI_HEADER_LEN], uint8_t type, uint16_t id,
    uint16_t content_bytes, uint8_t padding_bytes);

/* Answers GET_VALUES (F9): the names of a whole record's content that are
 * known, each once, in one GET_VALUES_RESULT record; malformed pairs end the
 * list. Bounded whatever is asked. */
struct fcgi_values {
	uint32_t max_conns;
	uint32_t max_reqs;
	bool mpxs_conns;
};
int fcgi_put_values_result(struct buf *, struct span asked,
    const struct fcgi_values *);

#endif
