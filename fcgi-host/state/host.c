/* SPDX-License-Identifier: MIT */
/* host.c - what only the host itself may ask, for its operator or the tenant's own
 * user: over a connection that the gateway authorised and passed on, which brings
 * its access with it and needs no token. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#include "state/api.h"
#include "state/text.h"

enum {
	NAMES_AT_ONCE = 256,
	NAMES_MOST = 64 * 1024, /* bytes of one answer */
	SOUND_MOST = 4096,
};

static call_fn restored, dropped, looked, named;
static void tidy_failed(struct call *, const char *what);

int
host_serve(struct serve *serve, int *fd, struct span tenant)
{
	struct access *access = calloc(1, sizeof(*access));

	if (access == NULL || tenant.bytes > STORE_TENANT_MOST) {
		free(access);
		return -1;
	}
	access->claims.kind = JWT_ACCESS;
	access->claims.scope = JWT_ADMIN;
	memcpy(access->claims.tenant, tenant.data, tenant.bytes);
	access->claims.tenant[tenant.bytes] = '\0';
	if (connection_new(serve, fd, true, access) == NULL) {
		free(access);
		return -1;
	}
	return 0;
}

void
host_closed(struct connection *connection)
{
	free(connection->arg);
	connection->arg = NULL;
}

/* ---- a copy comes back ------------------------------------------------------------ */

/* The copy is written as it comes: it may be larger than all bodies together may
 * be in memory. */
void
host_restore_begin(struct call *c)
{
	struct api *api = c->api;
	int bytes;

	if (!(api->engine->can & STORE_CAN_BACKUP) || api->exports_fd < 0) {
		reply_problem(c, PROBLEM_UNSUPPORTED_OPERATION,
		    "this store takes no copies");
		return;
	}
	bytes = snprintf(c->file_name, sizeof(c->file_name), "restore-%llu",
	    (unsigned long long)++api->next_export);
	assert(bytes > 0 && (size_t)bytes < sizeof(c->file_name));
	c->file = openat(api->exports_fd, c->file_name,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->file < 0)
		tidy_failed(c, "cannot be made");
}

void
host_restore_body(struct call *c, struct span bytes)
{
	if (fd_write_all(c->file, bytes) != 0)
		tidy_failed(c, "cannot be written");
	else
		c->file_left += bytes.bytes;
}

void
host_restore(struct call *c)
{
	fd_close(&c->file);
	call_restore(c, span_make(c->file_name, strlen(c->file_name)),
	    restored);
}

static void
restored(struct call *c, const struct store_result *result)
{
	export_discard(c);
	if (result->status == STORE_OK)
		reply_empty(c, 204, result->version);
	else
		reply_failed(c, result);
}

static void
tidy_failed(struct call *c, const char *what)
{
	diag_error("a copy %s: %s; file=export/%s request=%s", what,
	    diag_errno(), c->file_name, c->id);
	reply_undone(c, "the copy %s: %s", what, diag_errno());
}

/* ---- the tenant as a whole ----------------------------------------------------------- */

void
host_check(struct call *c)
{
	call_check(c, c->query.deep, looked);
}

/* Damage is an answer, not a failure of the question. */
static void
looked(struct call *c, const struct store_result *result)
{
	bool sound = result->status == STORE_OK;

	if (!sound && result->status != STORE_QUARANTINED) {
		reply_failed(c, result);
		return;
	}
	buf_init(&c->out, SOUND_MOST);
	reply_page(c,
	    buf_printf(&c->out,
		"{\"sound\":%s,\"detail\":", sound ? "true" : "false") ||
		text_put_words(&c->out, span_of(sound ? "" : result->detail)) ||
		buf_put_string(&c->out, "}\n"),
	    result->version, "there is no memory");
}

void
host_drop(struct call *c)
{
	call_drop(c, dropped);
}

static void
dropped(struct call *c, const struct store_result *result)
{
	if (result->status == STORE_OK)
		reply_empty(c, 204, result->version);
	else
		reply_failed(c, result);
}

/* {"tenants": ["acme", ...], "more": false}, behind the name `start`. Only who may
 * ask for all tenants gets here without one. */
void
host_tenants(struct call *c)
{
	if (call_tenant(c).bytes > 0) {
		reply_problem(c, PROBLEM_INSUFFICIENT_SCOPE,
		    "this is asked for all tenants, not for one");
		return;
	}
	call_tenants(c, c->query.start, NAMES_AT_ONCE, named);
}

static void
named(struct call *c, const struct store_result *result)
{
	bool bad;

	if (result->status != STORE_OK) {
		reply_failed(c, result);
		return;
	}
	buf_init(&c->out, NAMES_MOST);
	bad = buf_put_string(&c->out, "{\"tenants\":[") != 0;
	for (size_t i = 0; i < result->name_count && !bad; i++)
		bad = buf_printf(&c->out, "%s\"%.*s\"", i > 0 ? "," : "",
			  SPAN_ARGS(result->names[i])) != 0;
	bad = bad ||
	    buf_printf(&c->out, "],\"more\":%s}\n",
		result->more ? "true" : "false") != 0;
	reply_page(c, bad, 0, "there is no memory");
}
