/* SPDX-License-Identifier: MIT */
/* nginx.c - the limits nginx has to agree with, made from our own maxima, so
 * that the two cannot contradict each other. Pure. */

#include <inttypes.h>

#include "config/terms.h"

#include "master/master.h"

/* What nginx waits beyond us: the host answers first, with its reason. */
enum { NGINX_PATIENCE_S = 5, STATE_PING_S = 15, STATE_UPLOAD_S = 60 };

static uint64_t seconds(uint64_t ms);

void
nginx_print(const struct config *c, struct buf *out)
{
	uint64_t most[LIMITS], silence_ms;

	for (int i = 0; i < LIMITS; i++)
		most[i] = config_maximum(c, (enum limit)i);
	silence_ms = most[LIMIT_queue] + most[LIMIT_start] + most[LIMIT_time] +
	    most[LIMIT_grace];

	buf_put_string(out,
	    "# Made by `fcgi-host -n --nginx` from the maxima of the host's "
	    "configuration.\n");
	buf_printf(out, "client_max_body_size %" PRIu64 ";\n",
	    most[LIMIT_body]);
	buf_printf(out, "client_body_timeout %" PRIu64 "s;\n",
	    seconds(most[LIMIT_upload]));
	buf_printf(out, "fastcgi_connect_timeout %ds;\n", NGINX_PATIENCE_S);
	buf_printf(out, "fastcgi_send_timeout %" PRIu64 "s;\n",
	    seconds(most[LIMIT_upload]) + NGINX_PATIENCE_S);
	buf_printf(out, "fastcgi_read_timeout %" PRIu64 "s;\n",
	    seconds(silence_ms) + NGINX_PATIENCE_S);
}

/* Somewhat more than the host takes, so that it is the host who refuses a body
 * that is a little too long. A stream of changes says something every 15 s. */
void
nginx_print_state(const struct config *c, struct buf *out)
{
	uint64_t body = c->state_atomic_body > c->state_value ?
	    c->state_atomic_body :
	    c->state_value;
	uint64_t wait_s = seconds(c->state_wait);

	buf_put_string(out,
	    "# Made by `fcgi-host -n --nginx-state` from the group state of the "
	    "host's configuration.\n");
	buf_printf(out, "client_max_body_size %" PRIu64 ";\n", body + body / 4);
	buf_printf(out, "client_body_timeout %ds;\n", STATE_UPLOAD_S);
	buf_printf(out, "fastcgi_connect_timeout %ds;\n", NGINX_PATIENCE_S);
	buf_printf(out, "fastcgi_send_timeout %ds;\n",
	    STATE_UPLOAD_S + NGINX_PATIENCE_S);
	buf_printf(out, "fastcgi_read_timeout %" PRIu64 "s;\n",
	    (wait_s > 2 * STATE_PING_S ? wait_s : 2 * STATE_PING_S) +
		NGINX_PATIENCE_S);
}

/* nginx takes whole ones, and reads 0 as an error. */
static uint64_t
seconds(uint64_t ms)
{
	return ms < 1000 ? 1 : (ms + 999) / 1000;
}
