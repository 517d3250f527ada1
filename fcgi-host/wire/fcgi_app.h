/* SPDX-License-Identifier: MIT */
/* fcgi_app.h - the web server's side of a connection to a FastCGI application
 * (specification sections 3 and 5): one request at a time, always of the same
 * id. Pure and of fixed size: what an application sends is handed out in slices
 * of what came in. What it may not send is said in words; what does no harm is
 * passed over, but not for ever. */
#ifndef WIRE_FCGI_APP_H
#define WIRE_FCGI_APP_H

#include "wire/fcgi.h"
#include "wire/params.h"

enum {
	FCGI_APP_ID = 1, /* of every request */
	/* Records of a request that passed over: of other ids, of management,
	 * ends of streams that had ended. */
	FCGI_APP_STRANGE_MOST = 256 * 1024,
};

struct fcgi_app {
	struct fcgi_reader reader;
	uint8_t end_body[sizeof(FCGI_EndRequestBody)];
	unsigned end_bytes;   /* of it read so far */
	size_t strange_bytes; /* passed over so far */
	bool strange_id;      /* some were of another request */
	bool strange;	      /* the record being read is */
	bool stdout_ended, stderr_ended;
	bool over;	       /* END_REQUEST was read */
	struct fcgi_end end;   /* what it said, when over */
	const char *violation; /* a phrase for "it sent ...", or NULL */
};

enum fcgi_app_event {
	FCGI_APP_NEED_MORE, /* *in is used up */
	FCGI_APP_STDOUT,    /* *content is the next slice of it */
	FCGI_APP_STDERR,    /* likewise */
	FCGI_APP_END,	    /* of the request: app->end, app->stdout_ended */
	FCGI_APP_VIOLATION, /* app->violation; the connection is lost */
};

/* For a new connection, and for each further request of a kept one. */
void fcgi_app_init(struct fcgi_app *);
/* The next event; takes what it used from the front of *in. A VIOLATION comes
 * ever after. So does one for any byte behind the END: what is left in *in then
 * or comes later belongs to no request, and the connection may not be kept. */
enum fcgi_app_event fcgi_app_read(struct fcgi_app *, struct span *in,
    struct span *content);
/* What a protocol_status other than FCGI_REQUEST_COMPLETE says of an
 * application ("it ..."); NULL for that one. */
const char *fcgi_app_refusal(uint8_t protocol_status);

/* BEGIN_REQUEST for a responder and the whole PARAMS stream with its end, from
 * NAME=value NUL ...: 0, or -1 at the buf's ceiling or without memory, with
 * nothing written. What has no '=' has an empty value. STDIN is for the caller:
 * fcgi_put_stream(), fcgi_put_stream_end(). */
int fcgi_app_put_begin(struct buf *, bool keep_conn, struct span environment);
/* The same in two steps, between which the caller puts the pairs (params_put()),
 * which are then not copied any more. open: room for all that comes before them;
 * gives where it is. close: 0, or -1 at the ceiling or without memory; the buf is
 * then to be cleared. */
int fcgi_app_open_params(struct buf *, size_t *at);
int fcgi_app_close_params(struct buf *, size_t at, bool keep_conn);

#endif
